//! Disputes: a challenge, the audit that answers it, and the verdict.
//!
//! While a result can be disputed, the committee that agreed on it keeps its seats, so that its bonds stay. A challenge
//! makes it the panel of the [`Dispute`], and an audit committee takes the round's seats: the same calls, the same
//! included updates, the next attempt number.

use super::*;
use alloc::vec::Vec;

impl<T: Config> Pallet<T> {
	/// Starts an audit by auditors that `lottery` finds for its attempt.
	pub(crate) fn do_challenge(
		challenger: T::AccountId,
		programme: ProgrammeId,
		round: RoundIndex,
		claimed: ArtifactHash,
		lottery: impl FnOnce(u32) -> Lottery<T::AccountId>,
	) -> DispatchResultWithPostInfo {
		let entry = Programmes::<T>::get(programme).ok_or(Error::<T>::UnknownProgramme)?;
		ensure!(entry.state != ProgrammeState::Paused, Error::<T>::ProgrammePaused);
		let mut running = Running::<T>::get(programme).ok_or(Error::<T>::NoRunningRound)?;
		ensure!(round == running.index, Error::<T>::WrongRound);
		ensure!(
			!matches!(running.phase, Phase::AuditAggregate | Phase::AuditReveal),
			Error::<T>::AlreadyChallenged
		);
		ensure!(
			running.phase == Phase::Challenge && !Self::is_past(running.deadline),
			Error::<T>::WindowClosed
		);
		let settings = &entry.settings;

		let attempt = running.attempt.saturating_add(1);
		let mut lottery = lottery(attempt);
		let considered = Aggregators::<T>::decode_len().unwrap_or_default() as u32;
		lottery.candidates.retain(|(candidate, _)| *candidate != challenger);
		let least = (running.committee.len() as u32).saturating_add(1);
		ensure!(lottery.size() >= least, Error::<T>::NotEnoughAggregators);
		// More than the committee has: `Pallet::check_settings` sees to it where there is a challenge window.
		let seats = settings.audit_size;
		let drawn = lottery.draw_audit(|account| running.committee.contains(account), least, seats);

		let bond = settings.challenge_bond;
		pallet_rewards::Pallet::<T>::hold_challenge_bond(&challenger, bond)?;

		let panel: Vec<_> = core::mem::take(&mut running.committee)
			.into_iter()
			.zip(0u32..)
			.map(|(account, seat)| (account, Members::<T>::take(programme, seat).revealed))
			.collect();
		let old_attempt = core::mem::replace(&mut running.attempt, attempt);
		Self::deposit_event(Event::AggregateChallenged {
			programme,
			round,
			challenger: challenger.clone(),
			claimed,
			bond,
		});
		Disputes::<T>::insert(
			programme,
			Dispute {
				challenger,
				claimed,
				bond,
				attempt: old_attempt,
				panel: BoundedVec::truncate_from(panel),
			},
		);
		let seats = drawn.len() as u32;
		Self::take_seats(programme, &mut running, drawn);
		// Auditors did not vote on availability: they fetch the updates first.
		let window = settings.schedule.availability.saturating_add(settings.schedule.aggregate);
		Self::start_phase(programme, running, Phase::AuditAggregate, window);
		let step = Step::Drew { candidates: considered, seats };
		Ok(Self::post_info(<T as Config>::WeightInfo::challenge(), step))
	}
}
