use crate::{mock::*, Error, Event};
use cairn_primitives::views::Phase;
use frame_support::{assert_noop, assert_ok};
use sp_runtime::DispatchError;

fn commit_with(
	n: u8,
	round: u32,
	artifact: u64,
	samples: u32,
	steps: u32,
) -> crate::DispatchResultWithPostInfo {
	Training::commit_update(signed(n), 0, round, hash(artifact), samples, steps)
}

#[test]
fn commit_is_kept_in_order_and_starts_the_clock() {
	run(|| {
		pass_blocks(1_000);
		assert_eq!(round().deadline, None);
		assert_ok!(commit(7));
		assert_eq!(round().deadline, Some(1_001 + 10));
		pass_blocks(3);
		assert_ok!(commit(6));
		assert_eq!(round().deadline, Some(1_001 + 10));
		let commits = round().commits;
		assert_eq!(commits.iter().map(|c| (c.index, c.device)).collect::<Vec<_>>(), vec![(0, 6), (1, 5)]);
		assert_eq!((commits[0].producer.clone(), commits[0].samples), (acc(7), 70));
		System::assert_last_event(
			Event::UpdateCommitted { programme: 0, round: 0, index: 1, device: 5, artifact: hash(1_006) }
				.into(),
		);
	});
}

#[test]
fn commit_that_reaches_the_target_closes_the_window_and_draws_the_committee() {
	run(|| {
		for n in 6..=8 {
			assert_ok!(commit(n));
			assert_eq!(phase(), Phase::Commit);
		}
		pass_blocks(2);
		assert_ok!(commit(9));
		let round = round();
		assert_eq!((round.phase, round.deadline), (Phase::Availability, Some(3 + 5)));
		assert_eq!(round.committee.len(), 3);
		assert_noop!(commit(10), Error::<Test>::CommitWindowClosed);
	});
}

#[test]
fn commit_is_rejected_after_the_window() {
	run(|| {
		assert_ok!(commit(6));
		pass_blocks(10);
		assert_ok!(commit(7));
		pass_blocks(1);
		assert_noop!(commit(8), Error::<Test>::CommitWindowClosed);
	});
}

#[test]
fn second_commit_of_a_device_in_a_round_is_rejected() {
	run(|| {
		assert_ok!(commit(6));
		assert_noop!(commit_with(6, 0, 99, 1, 1), Error::<Test>::AlreadyCommitted);
		assert_eq!(round().commit_count, 1);
	});
}

#[test]
fn commit_for_another_round_is_rejected() {
	run(|| {
		assert_noop!(commit_with(6, 1, 99, 1, 1), Error::<Test>::WrongRound);
		finalise_round();
		assert_noop!(commit_with(6, 0, 99, 1, 1), Error::<Test>::CommitWindowClosed);
	});
}

#[test]
fn commit_to_an_unknown_or_finished_programme_is_rejected() {
	run(|| {
		assert_noop!(
			Training::commit_update(signed(6), 7, 0, hash(99), 1, 1),
			Error::<Test>::UnknownProgramme
		);
		for _ in 0..3 {
			finalise_round();
		}
		assert_noop!(commit_with(6, 3, 99, 1, 1), Error::<Test>::NoRunningRound);
	});
}

#[test]
fn commit_without_an_active_device_is_rejected() {
	run(|| {
		assert_noop!(commit_with(20, 0, 99, 1, 1), Error::<Test>::DeviceNotActive);
		assert_ok!(Hardware::retire_device(signed(6), 5));
		assert_noop!(commit(6), Error::<Test>::DeviceNotActive);
		for origin in [RuntimeOrigin::root(), RuntimeOrigin::none()] {
			assert_noop!(Training::commit_update(origin, 0, 0, hash(99), 1, 1), DispatchError::BadOrigin);
		}
	});
}

#[test]
fn commit_with_work_out_of_bounds_is_rejected() {
	run(|| {
		for (samples, steps) in [(0, 1), (1_001, 1), (1, 0), (1, 101)] {
			assert_noop!(commit_with(6, 0, 99, samples, steps), Error::<Test>::WorkOutOfBounds);
		}
		assert_ok!(commit_with(6, 0, 99, 1_000, 100));
	});
}

#[test]
fn commit_of_a_recorded_artifact_is_rejected() {
	run(|| assert_eq!(commit_with(6, 0, 2, 1, 1), Err(Error::<Test>::AlreadyRecorded.into())));
}

#[test]
fn copied_hash_does_not_keep_its_owner_out() {
	// A copier may be first, but the envelope inside names the owner, so the committee will not include the copy.
	run(|| {
		assert_ok!(commit_with(6, 0, 1_007, 1, 1));
		assert_ok!(commit(7));
		assert_eq!(round().commit_count, 2);
	});
}

#[test]
fn commit_is_rejected_when_the_round_is_full() {
	let full = crate::GenesisProgramme { committee_size: 7, target_updates: 8, ..programme() };
	run_with(vec![full], || {
		for n in 1..=8 {
			assert_ok!(commit(n));
		}
		// Too few aggregators for the committee: the window stays open, but takes no more than it may.
		assert_eq!(phase(), Phase::Commit);
		assert_noop!(commit(9), Error::<Test>::TooManyUpdates);
	});
}
