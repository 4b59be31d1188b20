//! A result can be disputed, and a larger committee decides.

use crate::{mock::*, Disputes, Error, Event, GenesisProgramme, Qualities, Serving};
use cairn_primitives::{
	round::{fault_evidence, quality_digest, Revealed},
	views::{FailureReason, FaultKind, MemberOutcome, Phase, Verdict},
	Schedule, H256,
};
use frame_support::{assert_noop, assert_ok};
use pallet_rewards::{HoldReason, Slashes};
use sp_core::crypto::AccountId32;
use sp_runtime::{BoundedVec, DispatchError};

const BOND: u128 = 100;

/// The programme, with a challenge window of six blocks and audits of five.
fn disputable() -> GenesisProgramme<u128> {
	GenesisProgramme {
		schedule: Schedule { challenge: 6, ..programme().schedule },
		audit_size: Some(5),
		challenge_bond: BOND,
		..programme()
	}
}

fn run(test: impl FnOnce()) {
	run_with(vec![disputable()], test)
}

/// Four more aggregators, so that an audit needs none of the panel.
fn enlist_more() {
	for n in 6..=9 {
		assert_ok!(Rewards::bond(signed(n), 50));
		assert_ok!(Training::enlist_aggregator(signed(n)));
	}
}

fn challenge(n: u8, claimed: H256) -> crate::DispatchResultWithPostInfo {
	let index = round().index;
	Training::challenge(signed(n), 0, index, claimed)
}

/// A challenged round: the panel that agreed, and the auditors.
fn challenged() -> (Vec<AccountId32>, Vec<AccountId32>) {
	enlist_more();
	let panel = agree();
	assert_ok!(challenge(20, hash(777)));
	(panel, auditors())
}

fn settled() -> cairn_primitives::views::RoundInfo<AccountId32, u64> {
	Training::round_info(0, 0).expect("settled")
}

fn slashes() -> Vec<(AccountId32, FaultKind, u128)> {
	let mut slashes: Vec<_> = Slashes::<Test>::iter().map(|(id, s)| (id, s)).collect();
	slashes.sort_by_key(|(id, _)| *id);
	slashes.into_iter().map(|(_, s)| (s.account, s.kind, s.amount)).collect()
}

fn held(n: u8) -> u128 {
	use frame_support::traits::fungible::InspectHold;
	Balances::balance_on_hold(&HoldReason::ChallengeBond.into(), &acc(n))
}

#[test]
fn result_stands_after_the_window_when_nobody_disputes_it() {
	run(|| {
		let result = {
			commit_all();
			next_weights()
		};
		for member in committee() {
			assert_ok!(vote(&member, |_| true));
		}
		let members = committee();
		aggregate(&members, &[result; 3]);
		let open = round();
		assert_eq!((open.phase, open.deadline), (Phase::Challenge, Some(7)));
		assert_eq!((open.result, open.result_record), (Some(result), None));
		assert_eq!(open.quality, Some(quality_digest(&[100; 4])));
		// The committee answers for the result with its bonds until the window is over.
		assert!(members.iter().all(|m| Serving::<Test>::get(m) == 1));
		pass_blocks(6);
		assert_noop!(Training::advance(signed(20), 0), Error::<Test>::NotDue);
		pass_blocks(1);
		assert_noop!(challenge(20, hash(777)), Error::<Test>::WindowClosed);
		assert_ok!(Training::advance(signed(20), 0));
		assert_eq!((settled().phase, settled().result), (Phase::Finalised, Some(result)));
		assert_eq!(settled().challenge, None);
		assert_eq!(Rewards::reward_info(0, &members[0]).claimable, 33);
		assert_eq!(Qualities::<Test>::iter().count() + Serving::<Test>::iter().count(), 0);
	});
}

#[test]
fn audit_is_larger_and_has_neither_the_challenger_nor_the_panel() {
	run(|| {
		enlist_more();
		let panel = agree();
		let outsider = (1..=9).find(|n| !panel.contains(&acc(*n))).expect("six are not on the panel");
		assert_ok!(challenge(outsider, hash(777)));
		let auditors = auditors();
		assert_eq!(auditors.len(), 5);
		assert!(!auditors.contains(&acc(outsider)));
		assert!(auditors.iter().all(|a| !panel.contains(a)));
		let now = round();
		assert_eq!((now.phase, now.attempt), (Phase::AuditAggregate, 1));
		// Time to fetch and time to compute.
		assert_eq!(now.deadline, Some(1 + 5 + 5));
		assert_eq!(now.included, vec![0b1111]);
		assert_eq!(now.committee.iter().map(|m| m.account.clone()).collect::<Vec<_>>(), panel);
		assert!(now.committee.iter().all(|m| m.revealed == now.result && m.quality == now.quality));
		let challenge = now.challenge.expect("challenged");
		assert_eq!((challenge.challenger, challenge.claimed), (acc(outsider), hash(777)));
		assert_eq!((challenge.verdict, held(outsider)), (None, BOND));
		// Both committees' bonds stay.
		assert!(panel.iter().chain(&auditors).all(|m| Serving::<Test>::get(m) == 1));
		System::assert_has_event(
			Event::AggregateChallenged {
				programme: 0,
				round: 0,
				challenger: acc(outsider),
				claimed: hash(777),
				bond: BOND,
			}
			.into(),
		);
	});
}

#[test]
fn panel_fills_up_an_audit_only_when_others_are_too_few() {
	run(|| {
		// Five in the pool, three on the panel: two others, but an audit takes at least four.
		let panel = agree();
		assert_ok!(challenge(20, hash(777)));
		let auditors = auditors();
		assert_eq!(auditors.len(), 5);
		assert!(auditors[..2].iter().all(|a| !panel.contains(a)));
	});
}

#[test]
fn panel_member_may_challenge_and_does_not_audit_itself() {
	run(|| {
		let panel = agree();
		assert_ok!(Training::challenge(RuntimeOrigin::signed(panel[1].clone()), 0, 0, hash(777)));
		assert_eq!(auditors().len(), 4);
		assert!(!auditors().contains(&panel[1]));
	});
}

#[test]
fn challenge_is_refused_out_of_place_twice_or_without_means() {
	run(|| {
		assert_noop!(Training::challenge(signed(20), 7, 0, hash(1)), Error::<Test>::UnknownProgramme);
		assert_noop!(challenge(20, hash(1)), Error::<Test>::WindowClosed);
		let panel = agree();
		assert_noop!(Training::challenge(signed(20), 0, 1, hash(1)), Error::<Test>::WrongRound);
		for origin in [RuntimeOrigin::root(), RuntimeOrigin::none()] {
			assert_noop!(Training::challenge(origin, 0, 0, hash(1)), DispatchError::BadOrigin);
		}
		// Account 30 owns nothing.
		assert!(challenge(30, hash(1)).is_err());
		assert_eq!(phase(), Phase::Challenge);
		for n in 1..=5 {
			if !panel.contains(&acc(n)) {
				assert_ok!(Training::delist_aggregator(signed(n)));
			}
		}
		assert_noop!(challenge(20, hash(1)), Error::<Test>::NotEnoughAggregators);
		enlist_more();
		assert_ok!(challenge(20, hash(1)));
		assert_noop!(challenge(19, hash(1)), Error::<Test>::AlreadyChallenged);
		pass_blocks(1_000);
		assert_noop!(challenge(19, hash(1)), Error::<Test>::AlreadyChallenged);
	});
}

#[test]
fn challenge_without_a_running_round_or_window_is_refused() {
	run_with(vec![GenesisProgramme { rounds: 1, ..programme() }], || {
		finalise_round();
		assert_noop!(Training::challenge(signed(20), 0, 0, hash(1)), Error::<Test>::NoRunningRound);
	});
}

#[test]
fn upheld_result_is_finalised_and_costs_the_challenger_its_bond() {
	run(|| {
		let (panel, auditors) = challenged();
		let result = next_weights();
		aggregate(&auditors, &[result; 5]);
		let done = settled();
		assert_eq!((done.phase, done.result, done.attempt), (Phase::Finalised, Some(result), 1));
		let audit = done.challenge.expect("challenged");
		assert_eq!(audit.verdict, Some(Verdict::Upheld));
		for member in done.committee.iter().chain(&audit.committee) {
			assert_eq!(member.outcome, Some(MemberOutcome::Agreed));
			// Eight share a hundred.
			assert_eq!(Rewards::reward_info(0, &member.account).points % 100, 4);
		}
		assert_eq!(slashes(), vec![(acc(20), FaultKind::FailedChallenge, BOND)]);
		let settled = Revealed { result, quality: quality_digest(&[100; 4]) };
		let claim = Revealed { result: hash(777), quality: H256::zero() };
		assert_eq!(
			Slashes::<Test>::get(0).map(|s| s.evidence),
			Some(fault_evidence(&System::block_hash(0), 0, 0, 1, acc(20).as_ref(), &claim, &settled))
		);
		System::assert_has_event(
			Event::ChallengeSettled { programme: 0, round: 0, challenger: acc(20), verdict: Verdict::Upheld }
				.into(),
		);
		assert_eq!(Serving::<Test>::iter().count() + Qualities::<Test>::iter().count(), 0);
		assert!(Disputes::<Test>::get(0).is_none());
		assert_eq!((round().index, round().base, panel.len()), (1, result, 3));
	});
}

#[test]
fn overturned_result_is_replaced_and_costs_those_who_agreed_on_it() {
	run(|| {
		let (panel, auditors) = challenged();
		let wrong = next_weights();
		aggregate(&auditors, &[hash(777), hash(777), hash(777), hash(777), wrong]);
		let done = settled();
		assert_eq!((done.phase, done.result), (Phase::Finalised, Some(hash(777))));
		assert_eq!(Training::programme_info(0).map(|p| p.weights), Some(hash(777)));
		assert!(done.committee.iter().all(|m| m.outcome == Some(MemberOutcome::Overturned)));
		let audit = done.challenge.expect("challenged");
		assert_eq!(audit.verdict, Some(Verdict::Overturned));
		assert_eq!(audit.committee[4].outcome, Some(MemberOutcome::Dissented));
		assert_eq!((held(20), Rewards::pending(&acc(20), HoldReason::ChallengeBond)), (0, 0));
		let mut expected = vec![(auditors[4].clone(), FaultKind::Dissented, 5)];
		expected.extend(panel.iter().map(|m| (m.clone(), FaultKind::Overturned, 25)));
		assert_eq!(slashes(), expected);
		for member in &panel {
			assert!(Rewards::reward_info(0, member).points % 100 == 0);
		}
		assert_eq!(Rewards::reward_info(0, &auditors[0]).points % 100, 4);
	});
}

#[test]
fn panel_member_that_was_right_against_the_others_is_paid_and_not_slashed() {
	run(|| {
		enlist_more();
		commit_all();
		let panel = committee();
		for member in &panel {
			assert_ok!(vote(member, |_| true));
		}
		let wrong = next_weights();
		aggregate(&panel, &[wrong, hash(777), wrong]);
		assert_eq!((phase(), round().result), (Phase::Challenge, Some(wrong)));
		// Nobody is reported before the window is over.
		assert_eq!(slashes(), vec![]);
		assert_ok!(Training::challenge(RuntimeOrigin::signed(panel[1].clone()), 0, 0, hash(777)));
		aggregate(&auditors(), &[hash(777); 5]);
		let outcomes: Vec<_> = settled().committee.into_iter().filter_map(|m| m.outcome).collect();
		use MemberOutcome::*;
		assert_eq!(outcomes, vec![Overturned, Agreed, Overturned]);
		assert!(slashes().iter().all(|(who, ..)| *who != panel[1]));
		assert_eq!(Rewards::reward_info(0, &panel[1]).points % 100, 4);
	});
}

#[test]
fn quality_alone_can_be_disputed_and_overturned() {
	run(|| {
		enlist_more();
		commit_all();
		let panel = committee();
		for member in &panel {
			assert_ok!(vote(member, |_| true));
		}
		let result = next_weights();
		let unfair = BoundedVec::truncate_from(vec![100, 0, 0, 0]);
		for member in &panel {
			assert_ok!(commit_with_quality(member, result, &unfair));
		}
		for member in &panel {
			assert_ok!(reveal_with(member, result, unfair.clone()));
		}
		assert_ok!(challenge(20, result));
		aggregate(&auditors(), &[result; 5]);
		let done = settled();
		assert_eq!(done.challenge.and_then(|c| c.verdict), Some(Verdict::Overturned));
		assert_eq!((done.result, done.quality), (Some(result), Some(quality_digest(&[100; 4]))));
		// All four trainers get alike.
		assert!((6..=9).all(|n| Rewards::reward_info(0, &acc(n)).claimable >= 225));
	});
}

#[test]
fn audit_without_agreement_fails_the_round_and_nobody_loses_a_bond() {
	run(|| {
		let (_, auditors) = challenged();
		let results: Vec<_> = (0..5).map(|n| hash(900 + n)).collect();
		aggregate(&auditors, &results);
		let done = settled();
		assert_eq!((done.phase, done.failure), (Phase::Failed, Some(FailureReason::NoVerdict)));
		assert_eq!(done.challenge.and_then(|c| c.verdict), Some(Verdict::None));
		assert_eq!((slashes(), held(20)), (vec![], 0));
		assert_eq!((round().index, round().base, round().attempt), (1, hash(2), 0));
		assert_eq!(Rewards::pot_free(0), 100_000);
		finalise_round();
		assert_eq!(Training::programme_info(0).map(|p| p.finalised), Some(1));
	});
}

#[test]
fn silent_auditor_costs_only_its_own_reward() {
	run(|| {
		let (_, auditors) = challenged();
		let result = next_weights();
		for auditor in &auditors[..4] {
			assert_ok!(commit_result(auditor, result));
		}
		assert_eq!(phase(), Phase::AuditAggregate);
		pass_blocks(11);
		assert_ok!(Training::advance(signed(20), 0));
		assert_eq!((phase(), round().deadline), (Phase::AuditReveal, Some(12 + 5)));
		for auditor in &auditors[..4] {
			assert_ok!(reveal(auditor, result));
		}
		let audit = settled().challenge.expect("challenged");
		assert_eq!(audit.verdict, Some(Verdict::Upheld));
		assert_eq!(audit.committee[4].outcome, Some(MemberOutcome::Silent));
		assert!(slashes().iter().all(|(who, ..)| *who == acc(20)));
	});
}

#[test]
fn silent_audit_committee_does_not_block_in_any_phase() {
	for acting in 0..=2 {
		run(|| {
			let (_, auditors) = challenged();
			let result = next_weights();
			if acting >= 1 {
				for auditor in &auditors {
					assert_ok!(commit_result(auditor, result));
				}
			}
			if acting >= 2 {
				for auditor in &auditors[..3] {
					assert_ok!(reveal(auditor, result));
				}
			}
			assert_noop!(Training::advance(signed(20), 0), Error::<Test>::NotDue);
			pass_blocks(11);
			assert_ok!(Training::advance(signed(20), 0));
			assert_eq!(settled().failure, Some(FailureReason::NoVerdict));
			assert_eq!((held(20), slashes()), (0, vec![]));
			finalise_round();
		});
	}
}

#[test]
fn auditors_cannot_use_the_panels_attempt_nor_the_panel_the_auditors_seats() {
	run(|| {
		let (panel, auditors) = challenged();
		let auditor = RuntimeOrigin::signed(auditors[0].clone());
		assert_noop!(
			Training::commit_aggregate(auditor.clone(), 0, 0, 0, hash(1)),
			Error::<Test>::WrongAttempt
		);
		assert_noop!(commit_result(&panel[0], hash(1)), Error::<Test>::NotOnCommittee);
		assert_noop!(vote(&auditors[0], |_| true), Error::<Test>::WindowClosed);
		assert_noop!(reveal(&auditors[0], hash(1)), Error::<Test>::WindowClosed);
	});
}

#[test]
fn member_that_dissents_is_reported_with_its_evidence_when_the_result_stands() {
	run(|| {
		commit_all();
		let members = committee();
		for member in &members {
			assert_ok!(vote(member, |_| true));
		}
		let result = next_weights();
		aggregate(&members, &[result, result, hash(666)]);
		pass_blocks(7);
		assert_ok!(Training::advance(signed(20), 0));
		assert_eq!(slashes(), vec![(members[2].clone(), FaultKind::Dissented, 5)]);
		let quality = quality_digest(&[100; 4]);
		let (own, right) = (Revealed { result: hash(666), quality }, Revealed { result, quality });
		assert_eq!(
			Slashes::<Test>::get(0).map(|s| s.evidence),
			Some(fault_evidence(&System::block_hash(0), 0, 0, 0, members[2].as_ref(), &own, &right))
		);
	});
}

#[test]
fn pause_stops_the_challenge_window_and_the_audit() {
	run(|| {
		enlist_more();
		agree();
		assert_ok!(Training::pause(0));
		assert_noop!(challenge(20, hash(777)), Error::<Test>::ProgrammePaused);
		pass_blocks(100);
		assert_ok!(Training::resume(0));
		assert_eq!((phase(), round().deadline), (Phase::Challenge, Some(107)));
		assert_ok!(challenge(20, hash(777)));
		assert_ok!(Training::pause(0));
		let auditor = auditors()[0].clone();
		assert_noop!(commit_result(&auditor, hash(777)), Error::<Test>::ProgrammePaused);
		assert_noop!(Training::advance(signed(20), 0), Error::<Test>::ProgrammePaused);
		pass_blocks(100);
		assert_ok!(Training::resume(0));
		assert_eq!(round().deadline, Some(211));
		aggregate(&auditors(), &[next_weights(); 5]);
		assert_eq!(settled().phase, Phase::Finalised);
	});
}

#[test]
fn closing_a_programme_in_an_audit_gives_the_challenger_its_bond_back() {
	run(|| {
		let (_, auditors) = challenged();
		assert_ok!(commit_result(&auditors[0], next_weights()));
		assert_ok!(Training::close(0));
		assert_eq!(settled().failure, Some(FailureReason::ProgrammeClosed));
		assert_eq!((held(20), slashes()), (0, vec![]));
		assert_eq!(Serving::<Test>::iter().count() + Qualities::<Test>::iter().count(), 0);
	});
}

#[test]
fn audited_result_that_has_a_record_already_fails_the_round() {
	run(|| {
		let (_, auditors) = challenged();
		aggregate(&auditors, &[hash(2); 5]);
		assert_eq!(settled().failure, Some(FailureReason::AlreadyRecorded));
		assert_eq!((held(20), slashes()), (0, vec![]));
	});
}
