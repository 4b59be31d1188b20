//! The invariants of programmes and rounds.

use super::*;
use alloc::{collections::BTreeMap, vec::Vec};
use sp_runtime::TryRuntimeError;

impl<T: Config> Pallet<T> {
	/// Checks everything. Linear in the state: for tests and for `try-runtime`, not for blocks.
	pub fn do_try_state() -> Result<(), TryRuntimeError> {
		let count = ProgrammeCount::<T>::get();
		ensure!(
			Programmes::<T>::iter().count() as u32 == count,
			"training: ProgrammeCount differs from the programmes"
		);
		for id in 0..count {
			let entry = Programmes::<T>::get(id).ok_or("training: a programme's number is missing")?;
			Self::check_programme(id, &entry)?;
			Self::check_settled(id, &entry)?;
			match Running::<T>::get(id) {
				Some(running) => Self::check_running(id, &entry, &running)?,
				None => Self::check_leftovers(id)?,
			}
		}
		for id in Running::<T>::iter_keys() {
			ensure!(id < count, "training: a round runs for no programme");
		}
		Self::check_pool()
	}

	fn check_programme(id: ProgrammeId, entry: &ProgrammeOf<T>) -> Result<(), TryRuntimeError> {
		let runs = Running::<T>::contains_key(id);
		ensure!(
			match entry.state {
				ProgrammeState::Open => runs,
				ProgrammeState::Paused => true,
				_ => !runs,
			},
			"training: a round runs for a programme that is not open, or none for one that is"
		);
		ensure!(
			(entry.state == ProgrammeState::Paused) == entry.paused_at.is_some(),
			"training: a programme is paused since no block, or was paused and is not"
		);
		ensure!(
			entry.state == ProgrammeState::Closed
				|| (entry.finalised == entry.settings.rounds) == (entry.state == ProgrammeState::Completed),
			"training: a programme's state does not fit its finalised rounds"
		);
		ensure!(
			entry.finalised <= entry.settings.rounds && entry.finalised <= entry.released,
			"training: a programme has more finalised rounds than it may have"
		);
		ensure!(
			Self::check_settings(&entry.settings).is_ok()
				&& entry.next.as_ref().is_none_or(|next| {
					Self::check_settings(next).is_ok()
						&& next.rounds > entry.finalised
						&& *next != entry.settings
				}),
			"training: a programme's settings are out of bounds"
		);
		ensure!(
			entry.next.is_none() || runs || entry.state == ProgrammeState::Paused,
			"training: an amendment waits though no round runs"
		);
		let record = pallet_provenance::Records::<T>::get(entry.weights_record)
			.ok_or("training: a programme's weights have no record")?;
		ensure!(
			record.artifact == entry.weights && record.programme == id,
			"training: a programme's weights are not what their record says"
		);
		Ok(())
	}

	fn check_settled(id: ProgrammeId, entry: &ProgrammeOf<T>) -> Result<(), TryRuntimeError> {
		let settled = Settled::<T>::iter_prefix(id).count() as u32;
		let open = u32::from(!Settled::<T>::contains_key(id, entry.round));
		ensure!(settled + open == entry.round + 1, "training: a settled round is missing");
		let (mut weights, mut finalised) = (entry.settings.genesis_weights, 0);
		for round in 0..settled {
			let s = Settled::<T>::get(id, round).ok_or("training: a settled round's number is missing")?;
			ensure!(s.base == weights, "training: a round does not start from the weights before it");
			ensure!(s.opened <= s.settled, "training: a round settled before it opened");
			if let Outcome::Finalised { result, record, updates } = s.outcome {
				finalised += 1;
				weights = result;
				ensure!(
					updates.count == bitmap::count(&s.included)
						&& updates.count >= entry.settings.min_updates,
					"training: a finalised round's updates are not those included"
				);
				let written = pallet_provenance::Records::<T>::get(record)
					.ok_or("training: a finalised round has no record")?;
				ensure!(
					written.artifact == result
						&& written.inputs == Some(updates)
						&& written.base == Some(s.base_record)
						&& written.round == Some(round),
					"training: a finalised round's record says something else"
				);
				let agreed = s.committee.iter().filter(|(_, o)| *o == MemberOutcome::Agreed).count() as u32;
				ensure!(
					agreed >= two_thirds(s.committee.len() as u32),
					"training: a round was finalised without two thirds"
				);
			}
		}
		ensure!(finalised == entry.finalised, "training: the count of finalised rounds is wrong");
		ensure!(weights == entry.weights, "training: the newest weights are not the last result");
		Ok(())
	}

	fn check_running(
		id: ProgrammeId,
		entry: &ProgrammeOf<T>,
		running: &RunningOf<T>,
	) -> Result<(), TryRuntimeError> {
		ensure!(running.index == entry.round, "training: another round runs than the programme says");
		ensure!(
			running.base == entry.weights && running.base_record == entry.weights_record,
			"training: a round does not start from the newest weights"
		);
		ensure!(running.attempt < T::MaxAttempts::get(), "training: too many attempts");
		ensure!(running.commit_count <= entry.settings.max_updates, "training: too many commits");
		ensure!(
			Commits::<T>::iter_prefix(id).count() as u32 == running.commit_count
				&& CommitOf::<T>::iter_prefix(id).count() as u32 == running.commit_count,
			"training: the count of commits is wrong"
		);
		for index in 0..running.commit_count {
			let commit = Commits::<T>::get(id, index).ok_or("training: a commit is missing")?;
			ensure!(
				CommitOf::<T>::get(id, commit.device) == Some(index),
				"training: a device's commit is not indexed"
			);
			ensure!(
				(1..=entry.settings.max_samples).contains(&commit.samples)
					&& (1..=entry.settings.max_local_steps).contains(&commit.local_steps),
				"training: a commit's work is out of bounds"
			);
		}
		ensure!(
			running.deadline.is_some() || (running.phase == Phase::Commit && running.commit_count == 0),
			"training: the clock of a round that has begun stands still"
		);
		let seats = running.committee.len() as u32;
		match running.phase {
			Phase::Commit => {
				ensure!(seats == 0 && running.attempt == 0, "training: a committee sits before it is drawn");
			},
			Phase::Availability | Phase::Aggregate | Phase::Reveal => {
				ensure!(seats == entry.settings.committee_size, "training: a committee has another size");
			},
			Phase::Finalised | Phase::Failed => return Err("training: a settled round runs".into()),
		}
		let included = matches!(running.phase, Phase::Aggregate | Phase::Reveal);
		ensure!(included != running.included.is_empty(), "training: inclusion is settled in the wrong phase");
		if included {
			ensure!(
				bitmap::is_canonical(&running.included, running.commit_count)
					&& bitmap::count(&running.included) >= entry.settings.min_updates,
				"training: the included set is malformed or too small"
			);
		}
		for (seat, member) in Members::<T>::iter_prefix(id) {
			ensure!(seat < seats, "training: somebody without a seat acted");
			ensure!(
				member.bitmap.is_none_or(|b| bitmap::is_canonical(&b, running.commit_count)),
				"training: a vote is malformed"
			);
			ensure!(
				member.commitment.is_none() || included,
				"training: a member committed before inclusion was settled"
			);
			ensure!(
				member.revealed.is_none() || (member.commitment.is_some() && running.phase == Phase::Reveal),
				"training: a member revealed what it had not committed, or too early"
			);
		}
		ensure!(
			pallet_rewards::Pallet::<T>::pot_free(id) >= entry.settings.reward_per_round,
			"training: a round runs that the pot cannot pay for"
		);
		Ok(())
	}

	fn check_leftovers(id: ProgrammeId) -> Result<(), TryRuntimeError> {
		ensure!(
			Commits::<T>::iter_prefix(id).next().is_none()
				&& CommitOf::<T>::iter_prefix(id).next().is_none()
				&& Members::<T>::iter_prefix(id).next().is_none(),
			"training: something of a round is left though none runs"
		);
		Ok(())
	}

	fn check_pool() -> Result<(), TryRuntimeError> {
		let pool = Aggregators::<T>::get();
		let mut sorted: Vec<_> = pool.iter().collect();
		sorted.sort();
		sorted.dedup();
		ensure!(sorted.len() == pool.len(), "training: an aggregator is enlisted twice");
		for account in &pool {
			ensure!(
				pallet_rewards::Pallet::<T>::bonded(account)
					>= <T as pallet_rewards::Config>::MinAggregatorBond::get(),
				"training: an enlisted aggregator's bond is too small"
			);
		}
		let mut seats = BTreeMap::<T::AccountId, u32>::new();
		for running in Running::<T>::iter_values() {
			for member in running.committee {
				*seats.entry(member).or_default() += 1;
			}
		}
		let serving: BTreeMap<_, _> = Serving::<T>::iter().collect();
		ensure!(seats == serving, "training: Serving differs from the seats of running rounds");
		Ok(())
	}
}
