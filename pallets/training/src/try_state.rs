//! The invariants of programmes and rounds.

use super::*;
use alloc::{
	collections::{BTreeMap, BTreeSet},
	vec::Vec,
};
use cairn_primitives::round::{quality_digest, MAX_QUALITY};
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
		ensure!(
			pallet_provenance::Pallet::<T>::batch_of_weights(entry.weights_record, &entry.weights, id)
				.is_some(),
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
			if let Outcome::Finalised { result, record, updates, .. } = s.outcome {
				finalised += 1;
				weights = result;
				ensure!(
					updates.count == bitmap::count(&s.included)
						&& updates.count >= entry.settings.min_updates,
					"training: a finalised round's updates are not those included"
				);
				let batch = pallet_provenance::Pallet::<T>::batch_of_weights(record, &result, id)
					.ok_or("training: a finalised round has no record")?;
				ensure!(
					batch.round == Some(round)
						&& batch.first == updates.first
						&& batch.count == updates.count + 1,
					"training: a finalised round's records are those of another"
				);
				// The verdict of an audit stands above the committee's.
				let last = s.audit.as_ref().map_or(&s.committee, |audit| &audit.committee);
				let agreed = last.iter().filter(|(_, o)| *o == MemberOutcome::Agreed).count() as u32;
				ensure!(
					agreed >= two_thirds(last.len() as u32),
					"training: a round was finalised without two thirds"
				);
			}
			let verdict = s.audit.as_ref().map(|audit| audit.verdict);
			let finalised = matches!(s.outcome, Outcome::Finalised { .. });
			ensure!(
				verdict.is_none_or(|v| (v != Verdict::None) == finalised),
				"training: a round was audited without a verdict, or failed with one"
			);
			let overturned = s.committee.iter().any(|(_, o)| *o == MemberOutcome::Overturned);
			ensure!(
				overturned == (verdict == Some(Verdict::Overturned)),
				"training: a committee was overturned without a verdict, or not with one"
			);
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
		let audited = matches!(running.phase, Phase::AuditAggregate | Phase::AuditReveal);
		ensure!(
			running.attempt < T::MaxAttempts::get().saturating_add(audited.into()),
			"training: too many attempts"
		);
		ensure!(running.commit_count <= entry.settings.max_updates, "training: too many commits");
		ensure!(
			Commits::<T>::iter_prefix(id).count() as u32 == running.commit_count
				&& CommitOrder::<T>::decode_len(id).unwrap_or_default() as u32 == running.commit_count,
			"training: the count of commits is wrong"
		);
		// As many as there are commits, and each has one: so none is there twice.
		for device in CommitOrder::<T>::get(id) {
			let commit = Commits::<T>::get(id, device).ok_or("training: a commit is missing")?;
			ensure!(commit.device == device, "training: a commit is at another device's place");
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
			Phase::Availability | Phase::Aggregate | Phase::Reveal | Phase::Challenge => {
				ensure!(seats == entry.settings.committee_size, "training: a committee has another size");
			},
			Phase::AuditAggregate | Phase::AuditReveal => {
				ensure!(
					seats > entry.settings.committee_size && seats <= entry.settings.audit_size,
					"training: an audit committee is not larger than the committee, or too large"
				);
			},
			Phase::Finalised | Phase::Failed => return Err("training: a settled round runs".into()),
		}
		let included = !matches!(running.phase, Phase::Commit | Phase::Availability);
		ensure!(included != running.included.is_empty(), "training: inclusion is settled in the wrong phase");
		ensure!(
			running.bucketing_seed.is_some() == (included && entry.settings.aggregation.bucketing.is_some()),
			"training: an order of buckets is drawn in the wrong phase, or for no buckets"
		);
		if included {
			ensure!(
				bitmap::is_canonical(&running.included, running.commit_count)
					&& bitmap::count(&running.included) >= entry.settings.min_updates,
				"training: the included set is malformed or too small"
			);
		}
		let revealing = matches!(running.phase, Phase::Reveal | Phase::Challenge | Phase::AuditReveal);
		let mut revealed = Vec::new();
		for (seat, member) in Members::<T>::iter_prefix(id) {
			revealed.extend(member.revealed);
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
				member.revealed.is_none() || (member.commitment.is_some() && revealing),
				"training: a member revealed what it had not committed, or too early"
			);
		}
		ensure!(
			running.agreed.is_some() == (audited || running.phase == Phase::Challenge),
			"training: a result is agreed on in the wrong phase"
		);
		let dispute = Disputes::<T>::get(id);
		ensure!(
			dispute.is_some() == audited,
			"training: an audit without a dispute, or a dispute without one"
		);
		if let (None, Some(agreed)) = (&dispute, running.agreed) {
			Self::check_agreement(&revealed, seats, &agreed)?;
		}
		if let Some(dispute) = dispute {
			ensure!(
				dispute.attempt.saturating_add(1) == running.attempt
					&& dispute.panel.len() as u32 == entry.settings.committee_size,
				"training: a dispute is about another committee"
			);
			ensure!(
				!running.committee.contains(&dispute.challenger),
				"training: a challenger audits its own challenge"
			);
			let panel: Vec<_> = dispute.panel.iter().filter_map(|(_, revealed)| *revealed).collect();
			if let Some(agreed) = running.agreed {
				Self::check_agreement(&panel, dispute.panel.len() as u32, &agreed)?;
			}
			revealed.extend(panel);
		}
		let kept: BTreeSet<_> = Qualities::<T>::iter_key_prefix(id).collect();
		ensure!(
			kept == revealed.iter().map(|r| r.quality).collect(),
			"training: a revealed quality is missing, or one is left"
		);
		for (digest, quality) in Qualities::<T>::iter_prefix(id) {
			ensure!(
				quality_digest(&quality) == digest
					&& quality.len() as u32 == bitmap::count(&running.included)
					&& quality.iter().all(|q| *q <= MAX_QUALITY),
				"training: a quality is malformed or under another digest"
			);
		}
		ensure!(
			pallet_rewards::Pallet::<T>::pot_free(id) >= entry.settings.reward_per_round,
			"training: a round runs that the pot cannot pay for"
		);
		Ok(())
	}

	fn check_agreement(revealed: &[Revealed], seats: u32, agreed: &Revealed) -> Result<(), TryRuntimeError> {
		let count = revealed.iter().filter(|r| *r == agreed).count() as u32;
		ensure!(count >= two_thirds(seats), "training: what was agreed on lacks two thirds");
		Ok(())
	}

	fn check_leftovers(id: ProgrammeId) -> Result<(), TryRuntimeError> {
		ensure!(
			Commits::<T>::iter_prefix(id).next().is_none()
				&& !CommitOrder::<T>::contains_key(id)
				&& Members::<T>::iter_prefix(id).next().is_none()
				&& Qualities::<T>::iter_prefix(id).next().is_none()
				&& !Disputes::<T>::contains_key(id),
			"training: something of a round is left though none runs"
		);
		Ok(())
	}

	fn check_pool() -> Result<(), TryRuntimeError> {
		let pool = Aggregators::<T>::get();
		let accounts: BTreeSet<_> = pool.iter().map(|a| &a.account).collect();
		ensure!(accounts.len() == pool.len(), "training: an aggregator is enlisted twice");
		for aggregator in &pool {
			ensure!(
				(1..=T::MaxBondWeight::get()).contains(&aggregator.tickets),
				"training: an aggregator has no ticket in the draw, or too many"
			);
			ensure!(
				aggregator.since <= frame_system::Pallet::<T>::block_number(),
				"training: an aggregator is enlisted in the future"
			);
		}
		let mut seats = BTreeMap::<T::AccountId, u32>::new();
		for running in Running::<T>::iter_values() {
			for member in running.committee {
				*seats.entry(member).or_default() += 1;
			}
		}
		for dispute in Disputes::<T>::iter_values() {
			for (member, _) in dispute.panel {
				*seats.entry(member).or_default() += 1;
			}
		}
		let serving: BTreeMap<_, _> = Serving::<T>::iter().collect();
		ensure!(seats == serving, "training: Serving differs from the seats of running rounds");
		Ok(())
	}
}
