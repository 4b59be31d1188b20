//! How a round moves from phase to phase.
//!
//! [`Pallet::progress`] is the only way on. It looks at the running round, takes at most one step, and never fails: a
//! step that cannot be taken leaves everything as it is, so that the call that brought it about still counts.

use super::*;
use alloc::vec::Vec;
use cairn_primitives::round::Revealed;

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
	/// A committee of `seats` was drawn from a pool of `candidates`.
	Drew { candidates: u32, seats: u32 },
	/// Inclusion was settled over `updates` commits by a committee of `seats`.
	Included { updates: u32, seats: u32 },
	/// The round is settled; `seats` counts the members of all committees that had a part in it, and `candidates` the
	/// pool if another committee was looked for first.
	Settled { candidates: u32, updates: u32, seats: u32 },
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
			Phase::Aggregate | Phase::AuditAggregate => Self::close_aggregate(programme, entry, running),
			Phase::Reveal | Phase::AuditReveal => Self::close_reveal(programme, entry, running),
			Phase::Challenge => Self::close_challenge_window(programme, entry, running),
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
		let lottery = Self::lottery(b"cairn/committee", programme, running.index, running.attempt);
		if lottery.size() < entry.settings.committee_size {
			return Step::NoCommittee;
		}
		Self::seat_committee(programme, &entry, running, lottery)
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
		let order = CommitOrder::<T>::get(programme);
		let included = bitmap::from_fn(running.commit_count, |i| {
			bitmap::get(&held, i)
				&& order.get(i as usize).is_some_and(|device| T::Policy::may_take_part(programme, *device))
		});
		if bitmap::count(&included) < entry.settings.min_updates {
			return Self::fail(programme, entry, running, FailureReason::TooFewIncluded);
		}
		running.included = BoundedVec::truncate_from(included);
		// Only now is it fixed whom an order of buckets would serve.
		running.bucketing_seed = entry.settings.aggregation.bucketing.map(|_| {
			let subject = (b"cairn/bucketing", programme, running.index, running.attempt).encode();
			T::BlockRandomness::random(&subject).0
		});
		let updates = running.commit_count;
		Self::start_phase(programme, running, Phase::Aggregate, entry.settings.schedule.aggregate);
		Step::Included { updates, seats }
	}

	/// The aggregate window is over when all have committed, or at the deadline.
	fn close_aggregate(programme: ProgrammeId, entry: ProgrammeOf<T>, running: RunningOf<T>) -> Step {
		let seats = running.committee.len() as u32;
		let committed =
			(0..seats).filter(|seat| Members::<T>::get(programme, seat).commitment.is_some()).count() as u32;
		if committed < seats && !Self::is_past(running.deadline) {
			return Step::NotDue;
		}
		let audit = running.phase == Phase::AuditAggregate;
		let next = if audit { Phase::AuditReveal } else { Phase::Reveal };
		match (committed >= two_thirds(seats), audit) {
			(true, _) => Self::start_phase(programme, running, next, entry.settings.schedule.reveal),
			(false, false) => Self::retry(programme, entry, running),
			(false, true) => Self::fail(programme, entry, running, FailureReason::NoVerdict),
		}
	}

	/// The reveal window is over when all who committed have revealed, or at the deadline. It does not close as soon as
	/// two thirds agree: a member that is merely slower must not be recorded as silent.
	fn close_reveal(programme: ProgrammeId, entry: ProgrammeOf<T>, mut running: RunningOf<T>) -> Step {
		let seats = running.committee.len() as u32;
		let members: Vec<_> = (0..seats).map(|seat| Members::<T>::get(programme, seat)).collect();
		let open = members.iter().any(|m| m.commitment.is_some() && m.revealed.is_none());
		if open && !Self::is_past(running.deadline) {
			return Step::NotDue;
		}
		let revealed: Vec<Revealed> = members.iter().filter_map(|m| m.revealed).collect();
		let agreed = revealed
			.iter()
			.find(|it| revealed.iter().filter(|other| other == it).count() as u32 >= two_thirds(seats));
		match (agreed, running.phase == Phase::AuditReveal) {
			(None, false) => Self::retry(programme, entry, running),
			(None, true) => Self::fail(programme, entry, running, FailureReason::NoVerdict),
			(Some(agreed), true) => Self::finalise(programme, entry, running, *agreed),
			(Some(agreed), false) => {
				running.agreed = Some(*agreed);
				let window = entry.settings.schedule.challenge;
				// What cannot be recorded need not be disputed.
				if window == 0 || pallet_provenance::Pallet::<T>::is_recorded(&agreed.result) {
					Self::finalise(programme, entry, running, *agreed)
				} else {
					Self::start_phase(programme, running, Phase::Challenge, window)
				}
			},
		}
	}

	/// The challenge window is over at its deadline, and nobody disputed the result.
	fn close_challenge_window(programme: ProgrammeId, entry: ProgrammeOf<T>, running: RunningOf<T>) -> Step {
		match running.agreed {
			Some(agreed) if Self::is_past(running.deadline) => {
				Self::finalise(programme, entry, running, agreed)
			},
			_ => Step::NotDue,
		}
	}

	pub(crate) fn start_phase(
		programme: ProgrammeId,
		mut running: RunningOf<T>,
		phase: Phase,
		window: u32,
	) -> Step {
		let deadline = Self::block_after(window);
		running.phase = phase;
		running.deadline = Some(deadline);
		let round = running.index;
		Running::<T>::insert(programme, running);
		Self::deposit_event(Event::PhaseStarted { programme, round, phase, deadline });
		Step::Moved
	}

	/// Draws a committee for the round as it stands, from candidates that suffice, and starts its availability window.
	pub(crate) fn seat_committee(
		programme: ProgrammeId,
		entry: &ProgrammeOf<T>,
		mut running: RunningOf<T>,
		lottery: Lottery<T::AccountId>,
	) -> Step {
		let seats = entry.settings.committee_size;
		let candidates = Aggregators::<T>::decode_len().unwrap_or_default() as u32;
		Self::take_seats(programme, &mut running, lottery.draw(seats));
		running.included = BoundedVec::new();
		running.bucketing_seed = None;
		Self::start_phase(programme, running, Phase::Availability, entry.settings.schedule.availability);
		Step::Drew { candidates, seats }
	}

	/// Gives the round's seats to those who were drawn, and keeps their bonds where they are.
	pub(crate) fn take_seats(programme: ProgrammeId, running: &mut RunningOf<T>, drawn: Vec<T::AccountId>) {
		// At most `MaxCommittee` are drawn: `Pallet::check_settings` bounds the committee and the audit.
		let committee = BoundedVec::truncate_from(drawn);
		for member in &committee {
			Serving::<T>::mutate(member, |n| n.saturating_inc());
		}
		running.committee = committee;
		Self::deposit_event(Event::CommitteeDrawn {
			programme,
			round: running.index,
			attempt: running.attempt,
			members: running.committee.clone(),
		});
	}

	/// The committee did not do its work: another one gets the same commits, or the round fails.
	fn retry(programme: ProgrammeId, entry: ProgrammeOf<T>, mut running: RunningOf<T>) -> Step {
		let next = running.attempt.saturating_add(1);
		if next >= T::MaxAttempts::get() {
			return Self::fail(programme, entry, running, FailureReason::NoAgreement);
		}
		let lottery = Self::lottery(b"cairn/committee", programme, running.index, next);
		if lottery.size() < entry.settings.committee_size {
			let looked = Aggregators::<T>::decode_len().unwrap_or_default() as u32;
			return match Self::fail(programme, entry, running, FailureReason::NoAgreement) {
				Step::Settled { updates, seats, .. } => Step::Settled { candidates: looked, updates, seats },
				step => step,
			};
		}
		let (round, attempt) = (running.index, running.attempt);
		let members = Self::dismiss(programme, &mut running);
		let nothing = Judgement { settled: None, overturned: None, blame: Blame::Record };
		Self::judge(programme, round, attempt, members, &nothing);
		running.attempt = next;
		Self::seat_committee(programme, &entry, running, lottery)
	}
}
