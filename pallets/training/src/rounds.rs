//! How a round moves from phase to phase.
//!
//! [`Pallet::progress`] is the only way on. It looks at the running round, takes at most one step, and never fails: a
//! step that cannot be taken leaves everything as it is, so that the call that brought it about still counts.

use super::*;
use alloc::vec::Vec;
use frame_support::storage::with_storage_layer;
use pallet_provenance::IncludedUpdate;
use sp_io::hashing::blake2_256;

/// What [`Pallet::progress`] did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Step {
	/// Nothing is due.
	NotDue,
	/// The commit window could close, but too few aggregators are enlisted. The round waits.
	NoCommittee,
	/// A round could open, but the pot cannot pay for it. The programme waits.
	NoFunds,
	/// A round could open, but the policy does not allow it. The programme waits.
	Barred,
	/// The round is in its next phase, or a round opened.
	Moved,
	/// The included ones among `updates` are fixed.
	Included { updates: u32 },
	/// A committee of `seats` was drawn from a pool of `candidates`.
	Drew { candidates: u32, seats: u32 },
	/// The round is settled.
	Settled { updates: u32, seats: u32 },
}

impl<T: Config> Pallet<T> {
	/// Takes the next step of a programme's running round, if one is due.
	pub(crate) fn progress(programme: ProgrammeId) -> Step {
		let (Some(entry), Some(running)) = (Programmes::<T>::get(programme), Running::<T>::get(programme))
		else {
			return Step::NotDue;
		};
		if entry.state != ProgrammeState::Open {
			return Step::NotDue;
		}
		match running.phase {
			Phase::Commit => Self::close_commit(programme, entry, running),
			Phase::Availability => Self::close_availability(programme, entry, running),
			Phase::Aggregate => Self::close_aggregate(programme, entry, running),
			Phase::Reveal => Self::close_reveal(programme, entry, running),
			// Settled rounds do not run.
			Phase::Finalised | Phase::Failed => Step::NotDue,
		}
	}

	fn close_commit(programme: ProgrammeId, entry: ProgrammeOf<T>, running: RunningOf<T>) -> Step {
		let complete = running.commit_count >= entry.settings.target_updates;
		if !complete && !Self::is_past(running.deadline) {
			return Step::NotDue;
		}
		if running.commit_count < entry.settings.min_updates {
			return Self::fail(programme, entry, running, FailureReason::TooFewCommits);
		}
		Self::seat_committee(programme, &entry, running)
	}

	/// Availability is over when every update's fate is decided, or at the deadline.
	fn close_availability(programme: ProgrammeId, entry: ProgrammeOf<T>, mut running: RunningOf<T>) -> Step {
		let seats = running.committee.len() as u32;
		let quorum = two_thirds(seats);
		let bitmaps: Vec<_> =
			(0..seats).filter_map(|seat| Members::<T>::get(programme, seat).bitmap).collect();
		let voted = bitmaps.len() as u32;
		let mut decided = true;
		let held = bitmap::from_fn(running.commit_count, |i| {
			let yes = bitmaps.iter().filter(|b| bitmap::get(b, i)).count() as u32;
			decided &= yes >= quorum || yes.saturating_add(seats.saturating_sub(voted)) < quorum;
			yes >= quorum
		});
		if !decided && !Self::is_past(running.deadline) {
			return Step::NotDue;
		}
		if voted < quorum {
			return Self::retry(programme, entry, running);
		}
		// What allowed a device to commit may have lapsed since.
		let included = bitmap::from_fn(running.commit_count, |i| {
			bitmap::get(&held, i)
				&& Commits::<T>::get(programme, i)
					.is_some_and(|commit| T::Policy::may_take_part(programme, commit.device))
		});
		if bitmap::count(&included) < entry.settings.min_updates {
			return Self::fail(programme, entry, running, FailureReason::TooFewIncluded);
		}
		running.included = BoundedVec::truncate_from(included);
		let updates = running.commit_count;
		Self::start_phase(programme, running, Phase::Aggregate, entry.settings.schedule.aggregate);
		Step::Included { updates }
	}

	/// The aggregate window is over when all have committed, or at the deadline.
	fn close_aggregate(programme: ProgrammeId, entry: ProgrammeOf<T>, running: RunningOf<T>) -> Step {
		let seats = running.committee.len() as u32;
		let committed =
			(0..seats).filter(|seat| Members::<T>::get(programme, seat).commitment.is_some()).count() as u32;
		if committed < seats && !Self::is_past(running.deadline) {
			return Step::NotDue;
		}
		if committed < two_thirds(seats) {
			return Self::retry(programme, entry, running);
		}
		Self::start_phase(programme, running, Phase::Reveal, entry.settings.schedule.reveal)
	}

	/// The reveal window is over when all who committed have revealed, or at the deadline. It does not close as soon as
	/// two thirds agree: a member that is merely slower must not be recorded as silent.
	fn close_reveal(programme: ProgrammeId, entry: ProgrammeOf<T>, running: RunningOf<T>) -> Step {
		let seats = running.committee.len() as u32;
		let members: Vec<_> = (0..seats).map(|seat| Members::<T>::get(programme, seat)).collect();
		let open = members.iter().any(|m| m.commitment.is_some() && m.revealed.is_none());
		if open && !Self::is_past(running.deadline) {
			return Step::NotDue;
		}
		let quorum = two_thirds(seats);
		let agreed = members.iter().filter_map(|m| m.revealed).find(|hash| {
			members.iter().filter(|m| m.revealed.as_ref() == Some(hash)).count() as u32 >= quorum
		});
		match agreed {
			None => Self::retry(programme, entry, running),
			Some(result) if pallet_provenance::Pallet::<T>::is_recorded(&result) => {
				Self::fail(programme, entry, running, FailureReason::AlreadyRecorded)
			},
			Some(result) => Self::finalise(programme, entry, running, result),
		}
	}

	fn start_phase(programme: ProgrammeId, mut running: RunningOf<T>, phase: Phase, window: u32) -> Step {
		let deadline = Self::block_after(window);
		running.phase = phase;
		running.deadline = Some(deadline);
		let round = running.index;
		Running::<T>::insert(programme, running);
		Self::deposit_event(Event::PhaseStarted { programme, round, phase, deadline });
		Step::Moved
	}

	/// The enlisted aggregators that can be drawn now: those whose device is active and may take part.
	fn candidates(programme: ProgrammeId) -> Vec<T::AccountId> {
		Aggregators::<T>::get()
			.into_iter()
			.filter(|a| {
				pallet_hardware::Pallet::<T>::active_device(a)
					.is_some_and(|device| T::Policy::may_take_part(programme, device))
			})
			.collect()
	}

	/// Draws a committee for the round as it stands and starts its availability window.
	fn seat_committee(programme: ProgrammeId, entry: &ProgrammeOf<T>, mut running: RunningOf<T>) -> Step {
		let candidates = Self::candidates(programme);
		let pool = candidates.len() as u32;
		let seats = entry.settings.committee_size;
		if pool < seats {
			return Step::NoCommittee;
		}
		let subject = (b"cairn/committee", programme, running.index, running.attempt).encode();
		let (seed, _) = T::Randomness::random(&subject);
		let committee = BoundedVec::truncate_from(draw(seed, candidates, seats));
		for member in &committee {
			Serving::<T>::mutate(member, |n| n.saturating_inc());
		}
		Self::deposit_event(Event::CommitteeDrawn {
			programme,
			round: running.index,
			attempt: running.attempt,
			members: committee.clone(),
		});
		running.committee = committee;
		running.included = BoundedVec::new();
		Self::start_phase(programme, running, Phase::Availability, entry.settings.schedule.availability);
		Step::Drew { candidates: pool, seats }
	}

	/// Ends an attempt: the committee is free again and what it did is forgotten. Returns how each member did; without
	/// an agreed result, nobody agreed.
	fn dismiss(
		programme: ProgrammeId,
		running: &mut RunningOf<T>,
		result: Option<ArtifactHash>,
	) -> BoundedVec<(T::AccountId, MemberOutcome), T::MaxCommittee> {
		let committee = core::mem::take(&mut running.committee);
		let mut outcomes = Vec::with_capacity(committee.len());
		for (seat, account) in committee.into_iter().enumerate() {
			let member = Members::<T>::take(programme, seat as u32);
			let outcome = match member.revealed {
				None => MemberOutcome::Silent,
				Some(hash) if Some(hash) == result => MemberOutcome::Agreed,
				Some(_) => MemberOutcome::Dissented,
			};
			Self::unseat(&account);
			if outcome != MemberOutcome::Agreed {
				Self::deposit_event(Event::MemberFaulted {
					programme,
					round: running.index,
					attempt: running.attempt,
					member: account.clone(),
					outcome,
				});
			}
			outcomes.push((account, outcome));
		}
		BoundedVec::truncate_from(outcomes)
	}

	/// The committee did not do its work: another one gets the same commits, or the round fails.
	fn retry(programme: ProgrammeId, entry: ProgrammeOf<T>, mut running: RunningOf<T>) -> Step {
		let next = running.attempt.saturating_add(1);
		let enough = Self::candidates(programme).len() as u32 >= entry.settings.committee_size;
		if next >= T::MaxAttempts::get() || !enough {
			return Self::fail(programme, entry, running, FailureReason::NoAgreement);
		}
		Self::dismiss(programme, &mut running, None);
		running.attempt = next;
		Self::seat_committee(programme, &entry, running)
	}

	fn fail(
		programme: ProgrammeId,
		entry: ProgrammeOf<T>,
		mut running: RunningOf<T>,
		reason: FailureReason,
	) -> Step {
		let committee = Self::dismiss(programme, &mut running, None);
		Self::deposit_event(Event::RoundFailed { programme, round: running.index, reason });
		Self::settle(programme, entry, running, committee, Outcome::Failed(reason))
	}

	/// The programme is closed while its round runs: the committee is free, nobody is faulted and nobody is paid.
	pub(crate) fn abandon(programme: ProgrammeId, entry: ProgrammeOf<T>, mut running: RunningOf<T>) -> Step {
		for (seat, account) in core::mem::take(&mut running.committee).into_iter().enumerate() {
			Members::<T>::remove(programme, seat as u32);
			Self::unseat(&account);
		}
		let reason = FailureReason::ProgrammeClosed;
		Self::deposit_event(Event::RoundFailed { programme, round: running.index, reason });
		Self::settle(programme, entry, running, BoundedVec::new(), Outcome::Failed(reason))
	}

	/// A seat that an account held is vacant.
	fn unseat(account: &T::AccountId) {
		Serving::<T>::mutate_exists(account, |n| {
			*n = n.and_then(|n| n.checked_sub(1)).filter(|n| *n > 0);
		});
	}

	fn finalise(
		programme: ProgrammeId,
		mut entry: ProgrammeOf<T>,
		mut running: RunningOf<T>,
		result: ArtifactHash,
	) -> Step {
		let included: Vec<_> = (0..running.commit_count)
			.filter(|i| bitmap::get(&running.included, *i))
			.filter_map(|i| Commits::<T>::get(programme, i))
			.collect();
		let updates = included
			.iter()
			.map(|c| IncludedUpdate { producer: c.producer.clone(), device: c.device, artifact: c.artifact })
			.collect();
		let records = pallet_provenance::Pallet::<T>::record_round(
			programme,
			running.index,
			running.base_record,
			updates,
			result,
		);
		let committee = Self::dismiss(programme, &mut running, Some(result));
		Self::reward(programme, &entry, &included, &committee);

		entry.weights = result;
		entry.weights_record = records.weights;
		entry.finalised = entry.finalised.saturating_add(1);
		Self::deposit_event(Event::RoundFinalised {
			programme,
			round: running.index,
			result,
			updates: records.updates.count,
		});
		let outcome = Outcome::Finalised { result, record: records.weights, updates: records.updates };
		Self::settle(programme, entry, running, committee, outcome)
	}

	/// Points for a finalised round: to each included update its local steps, to each member that agreed the number of
	/// updates it checked. Trainers and committee share the reward as the programme says.
	fn reward(
		programme: ProgrammeId,
		entry: &ProgrammeOf<T>,
		included: &[CommitOfT<T>],
		committee: &[(T::AccountId, MemberOutcome)],
	) {
		let total = entry.settings.reward_per_round;
		// `committee_share` is at most 100, so neither the product's quotient nor the difference can go wrong.
		let for_committee = (total / 100) * u128::from(entry.settings.committee_share)
			+ (total % 100) * u128::from(entry.settings.committee_share) / 100;
		let trainers: Vec<_> =
			included.iter().map(|c| (c.producer.clone(), u128::from(c.local_steps))).collect();
		let members: Vec<_> = committee
			.iter()
			.filter(|(_, outcome)| *outcome == MemberOutcome::Agreed)
			.map(|(account, _)| (account.clone(), included.len() as u128))
			.collect();
		let paid = with_storage_layer(|| {
			pallet_rewards::Pallet::<T>::accrue(programme, total.saturating_sub(for_committee), &trainers)?;
			pallet_rewards::Pallet::<T>::accrue(programme, for_committee, &members)
		});
		// The round opened only because the free pot covered the reward, and nothing but rounds takes from it. Should it
		// fail all the same, the model must not be lost with the pay.
		frame_support::defensive_assert!(paid.is_ok());
	}

	/// Writes down what came of the round, removes what only a running round needs, and opens the next one.
	fn settle(
		programme: ProgrammeId,
		mut entry: ProgrammeOf<T>,
		running: RunningOf<T>,
		committee: BoundedVec<(T::AccountId, MemberOutcome), T::MaxCommittee>,
		outcome: Outcome,
	) -> Step {
		for index in 0..running.commit_count {
			if let Some(commit) = Commits::<T>::take(programme, index) {
				CommitOf::<T>::remove(programme, commit.device);
			}
		}
		Running::<T>::remove(programme);
		if running.phase != Phase::Commit {
			entry.released = entry.released.saturating_add(1);
		}
		let step = Step::Settled { updates: running.commit_count, seats: committee.len() as u32 };
		Settled::<T>::insert(
			programme,
			running.index,
			SettledRound {
				attempt: running.attempt,
				opened: running.opened,
				settled: frame_system::Pallet::<T>::block_number(),
				base: running.base,
				base_record: running.base_record,
				commit_count: running.commit_count,
				committee,
				included: running.included,
				outcome,
			},
		);
		Self::go_on(programme, entry);
		step
	}
}

/// `seats` different candidates, every set in every order equally likely: a Fisher-Yates shuffle cut short, its choices
/// drawn from BLAKE2 over the seed. A choice among at most 2³² from 64 bits is biased by less than 2⁻³².
pub(crate) fn draw<A>(seed: H256, mut candidates: Vec<A>, seats: u32) -> Vec<A> {
	let n = candidates.len();
	let seats = (seats as usize).min(n);
	for i in 0..seats {
		let hash = blake2_256(&(seed, i as u32).encode());
		let word =
			u64::from_le_bytes([hash[0], hash[1], hash[2], hash[3], hash[4], hash[5], hash[6], hash[7]]);
		// `i < n`, so the divisor is at least one.
		let j = i.saturating_add((word % (n.saturating_sub(i) as u64)) as usize);
		candidates.swap(i, j);
	}
	candidates.truncate(seats);
	candidates
}
