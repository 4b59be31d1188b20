//! What committee members do.

use super::*;
use cairn_primitives::round::{aggregate_commitment, quality_digest, Revealed, MAX_QUALITY};

impl<T: Config> Pallet<T> {
	pub(crate) fn do_vote(
		account: T::AccountId,
		programme: ProgrammeId,
		round: RoundIndex,
		attempt: u32,
		bitmap: BoundedVec<u8, T::MaxBitmap>,
	) -> DispatchResultWithPostInfo {
		let phases = [Phase::Availability, Phase::Aggregate];
		let (running, seat) = Self::seat(&account, programme, round, attempt, phases)?;
		ensure!(bitmap::is_canonical(&bitmap, running.commit_count), Error::<T>::MalformedBitmap);
		Members::<T>::try_mutate(programme, seat, |member| -> DispatchResult {
			ensure!(member.bitmap.is_none(), Error::<T>::AlreadyVoted);
			member.bitmap = Some(bitmap);
			Ok(())
		})?;
		Self::deposit_event(Event::AvailabilityVoted { programme, round, member: account });
		// The others may have settled availability already: then the vote is welcome and changes nothing.
		let step = match running.phase {
			Phase::Availability => Self::progress(programme),
			_ => Step::NotDue,
		};
		let base = <T as Config>::WeightInfo::vote_availability(running.commit_count, seats(&running));
		Ok(Self::post_info(base, step))
	}

	pub(crate) fn do_commit_aggregate(
		account: T::AccountId,
		programme: ProgrammeId,
		round: RoundIndex,
		attempt: u32,
		commitment: H256,
	) -> DispatchResultWithPostInfo {
		let phases = [Phase::Aggregate, Phase::AuditAggregate];
		let (running, seat) = Self::seat(&account, programme, round, attempt, phases)?;
		Members::<T>::try_mutate(programme, seat, |member| -> DispatchResult {
			ensure!(member.commitment.is_none(), Error::<T>::AlreadyCommitted);
			member.commitment = Some(commitment);
			Ok(())
		})?;
		Self::deposit_event(Event::AggregateCommitted { programme, round, member: account });
		let step = Self::progress(programme);
		Ok(Self::post_info(<T as Config>::WeightInfo::commit_aggregate(seats(&running)), step))
	}

	pub(crate) fn do_reveal(
		account: T::AccountId,
		programme: ProgrammeId,
		round: RoundIndex,
		attempt: u32,
		result: ArtifactHash,
		quality: BoundedVec<u8, T::MaxUpdates>,
		salt: [u8; 32],
	) -> DispatchResultWithPostInfo {
		let phases = [Phase::Reveal, Phase::AuditReveal];
		let (running, seat) = Self::seat(&account, programme, round, attempt, phases)?;
		let included = bitmap::count(&running.included);
		ensure!(
			quality.len() as u32 == included && quality.iter().all(|q| *q <= MAX_QUALITY),
			Error::<T>::MalformedQuality
		);
		let revealed = Revealed { result, quality: quality_digest(&quality) };
		Members::<T>::try_mutate(programme, seat, |member| -> DispatchResult {
			let commitment = member.commitment.ok_or(Error::<T>::NotCommitted)?;
			ensure!(member.revealed.is_none(), Error::<T>::AlreadyRevealed);
			let expected = aggregate_commitment(
				&Self::genesis_hash(),
				programme,
				round,
				attempt,
				account.as_ref(),
				&result,
				&quality,
				&salt,
			);
			ensure!(commitment == expected, Error::<T>::CommitmentMismatch);
			member.revealed = Some(revealed);
			Ok(())
		})?;
		if !Qualities::<T>::contains_key(programme, revealed.quality) {
			Qualities::<T>::insert(programme, revealed.quality, quality);
		}
		Self::deposit_event(Event::AggregateRevealed { programme, round, member: account, revealed });
		let step = Self::progress(programme);
		let base = <T as Config>::WeightInfo::reveal_aggregate(included, seats(&running));
		Ok(Self::post_info(base, step))
	}

	/// The running round and the caller's seat on the committee at work, if the round takes from that seat what belongs
	/// to one of `phases` now.
	fn seat(
		account: &T::AccountId,
		programme: ProgrammeId,
		round: RoundIndex,
		attempt: u32,
		phases: [Phase; 2],
	) -> Result<(RunningOf<T>, u32), DispatchError> {
		let entry = Programmes::<T>::get(programme).ok_or(Error::<T>::UnknownProgramme)?;
		ensure!(entry.state != ProgrammeState::Paused, Error::<T>::ProgrammePaused);
		let running = Running::<T>::get(programme).ok_or(Error::<T>::NoRunningRound)?;
		ensure!(round == running.index, Error::<T>::WrongRound);
		ensure!(attempt == running.attempt, Error::<T>::WrongAttempt);
		ensure!(
			phases.contains(&running.phase) && !Self::is_past(running.deadline),
			Error::<T>::WindowClosed
		);
		let seat = running
			.committee
			.iter()
			.position(|member| member == account)
			.ok_or(Error::<T>::NotOnCommittee)?;
		// A committee has at most `MaxCommittee: u32` seats.
		Ok((running, seat as u32))
	}
}

fn seats<A, B, C, M>(running: &RunningRound<A, B, C, M>) -> u32
where
	A: Clone + PartialEq + Eq + core::fmt::Debug,
	B: Clone + PartialEq + Eq + core::fmt::Debug,
	C: Get<u32>,
	M: Get<u32>,
{
	running.committee.len() as u32
}
