//! Nobody can stop a programme by doing nothing.

use crate::{mock::*, Event};
use cairn_primitives::views::{FailureReason, MemberOutcome, Phase};
use frame_support::assert_ok;

fn failure(round: u32) -> Option<FailureReason> {
	Training::round_info(0, round).and_then(|r| r.failure)
}

#[test]
fn silent_trainer_costs_only_its_own_reward() {
	run(|| {
		// Three of four commit; the window closes at its deadline.
		for n in 6..=8 {
			assert_ok!(commit(n));
		}
		pass_blocks(11);
		assert_ok!(Training::advance(signed(20), 0));
		assert_eq!((phase(), round().commit_count), (Phase::Availability, 3));
	});
}

#[test]
fn too_few_commits_fail_the_round_and_the_next_starts_from_the_same_base() {
	run(|| {
		assert_ok!(commit(6));
		pass_blocks(11);
		assert_ok!(Training::advance(signed(20), 0));
		assert_eq!(failure(0), Some(FailureReason::TooFewCommits));
		assert_eq!((round().index, round().base, round().deadline), (1, hash(2), None));
		assert_eq!(Rewards::pot_free(0), 100_000);
		finalise_round();
	});
}

#[test]
fn idle_programme_stays_as_it_is() {
	run(|| {
		pass_blocks(1_000_000);
		assert_eq!(
			Training::advance(signed(20), 0).map_err(|e| e.error),
			Err(crate::Error::<Test>::NotDue.into())
		);
		assert_eq!((round().index, phase()), (0, Phase::Commit));
	});
}

#[test]
fn silent_member_costs_only_its_own_reward() {
	run(|| {
		commit_all();
		let members = committee();
		assert_ok!(vote(&members[0], |_| true));
		assert_ok!(vote(&members[1], |_| true));
		let result = next_weights();
		assert_ok!(commit_result(&members[0], result));
		assert_ok!(commit_result(&members[1], result));
		assert_eq!(phase(), Phase::Aggregate);
		pass_blocks(6);
		assert_ok!(Training::advance(signed(20), 0));
		assert_ok!(reveal(&members[0], result));
		assert_ok!(reveal(&members[1], result));
		// All who committed have revealed, so nothing is waited for.
		let settled = Training::round_info(0, 0).expect("settled");
		assert_eq!(settled.result, Some(result));
		assert_eq!(settled.committee[2].outcome, Some(MemberOutcome::Silent));
		assert_eq!(Rewards::reward_info(0, &members[2]).claimable, 0);
		System::assert_has_event(
			Event::MemberFaulted {
				programme: 0,
				round: 0,
				attempt: 0,
				member: members[2].clone(),
				outcome: MemberOutcome::Silent,
			}
			.into(),
		);
	});
}

#[test]
fn member_that_commits_and_never_reveals_is_not_waited_for_beyond_the_deadline() {
	run(|| {
		commit_all();
		let members = committee();
		assert_ok!(vote(&members[0], |_| true));
		assert_ok!(vote(&members[1], |_| true));
		let result = next_weights();
		for member in &members {
			assert_ok!(commit_result(member, result));
		}
		assert_ok!(reveal(&members[0], result));
		assert_ok!(reveal(&members[2], result));
		assert_eq!(phase(), Phase::Reveal);
		pass_blocks(6);
		assert_ok!(Training::advance(signed(20), 0));
		assert_eq!(Training::round_info(0, 0).and_then(|r| r.result), Some(result));
	});
}

#[test]
fn silent_committee_is_replaced_until_the_round_fails_and_the_next_one_works() {
	run(|| {
		commit_all();
		for attempt in 0..MaxAttempts::get() {
			assert_eq!((round().index, round().attempt, phase()), (0, attempt, Phase::Availability));
			pass_blocks(6);
			assert_ok!(Training::advance(signed(20), 0));
		}
		assert_eq!(failure(0), Some(FailureReason::NoAgreement));
		assert_eq!((round().index, round().base), (1, hash(2)));
		finalise_round();
		assert_eq!(Training::programme_info(0).map(|p| p.finalised), Some(1));
	});
}

#[test]
fn committee_that_stops_after_any_phase_is_replaced() {
	for stop_after in [Phase::Availability, Phase::Aggregate] {
		run(|| {
			commit_all();
			let members = committee();
			assert_ok!(vote(&members[0], |_| true));
			assert_ok!(vote(&members[1], |_| true));
			if stop_after == Phase::Aggregate {
				for member in &members {
					assert_ok!(commit_result(member, next_weights()));
				}
			} else {
				assert_ok!(commit_result(&members[0], next_weights()));
			}
			pass_blocks(6);
			assert_ok!(Training::advance(signed(20), 0));
			assert_eq!((round().attempt, phase(), round().commit_count), (1, Phase::Availability, 4));
		});
	}
}

#[test]
fn unavailable_updates_fail_the_round() {
	run(|| {
		commit_all();
		for member in committee() {
			if phase() == Phase::Availability && round().index == 0 {
				assert_ok!(vote(&member, |i| i == 0));
			}
		}
		assert_eq!(failure(0), Some(FailureReason::TooFewIncluded));
		assert_eq!(round().index, 1);
	});
}

#[test]
fn round_fails_when_the_pool_shrinks_below_a_committee() {
	run(|| {
		commit_all();
		for n in 1..=3 {
			assert_ok!(Training::delist_aggregator(signed(n)));
		}
		pass_blocks(6);
		assert_ok!(Training::advance(signed(20), 0));
		assert_eq!(failure(0), Some(FailureReason::NoAgreement));
	});
}
