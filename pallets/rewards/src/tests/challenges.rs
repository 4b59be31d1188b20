use crate::{mock::*, Challenges, Error, Event, FaultKind, HoldReason, SlashFractions};
use frame_support::{assert_noop, assert_ok};
use sp_runtime::{Perbill, TokenError};

fn held(who: u8) -> u128 {
	Rewards::bond_info(&acc(who)).challenges
}

#[test]
fn challenge_bond_is_held_and_given_back() {
	run(|| {
		assert_ok!(Rewards::hold_challenge_bond(&acc(1), 100));
		System::assert_last_event(Event::ChallengeBonded { account: acc(1), amount: 100 }.into());
		assert_eq!((held(1), free(1), Rewards::bonded(&acc(1))), (100, 900, 0));
		Rewards::release_challenge_bond(&acc(1), 100);
		System::assert_last_event(Event::ChallengeReleased { account: acc(1), amount: 100 }.into());
		assert_eq!((held(1), free(1)), (0, 1_000));
		assert!(!Challenges::<Test>::contains_key(acc(1)));
	});
}

#[test]
fn lost_challenge_is_slashed_like_any_other_fault() {
	run(|| {
		assert_ok!(Rewards::hold_challenge_bond(&acc(1), 100));
		assert_eq!(Rewards::forfeit_challenge_bond(&acc(1), 100, evidence(3)), Some(0));
		assert_eq!((held(1), Rewards::pending(&acc(1), HoldReason::ChallengeBond)), (100, 100));
		let info = Rewards::slash_info(0).expect("it waits");
		assert_eq!((info.kind, info.evidence), (FaultKind::FailedChallenge, evidence(3)));
		assert_eq!(Rewards::slashes_of(&acc(1)).len(), 1);
		assert_noop!(Rewards::apply_slash(signed(2), 0), Error::<Test>::SlashNotDue);
		assert_ok!(Rewards::appeal(signed(1), 0, evidence(4)));
		pass_blocks(50);
		assert_ok!(Rewards::apply_slash(signed(2), 0));
		assert_eq!((held(1), free(1), treasury()), (0, 900, 100));
	});
}

#[test]
fn veto_gives_a_lost_challenge_bond_back() {
	run(|| {
		assert_ok!(Rewards::hold_challenge_bond(&acc(1), 100));
		assert_ok!(Rewards::hold_challenge_bond(&acc(1), 50));
		assert_eq!(Rewards::forfeit_challenge_bond(&acc(1), 100, evidence(3)), Some(0));
		assert_ok!(Rewards::veto_slash(signed(VETO_ORIGIN), 0));
		assert_eq!((held(1), free(1)), (50, 950));
	});
}

#[test]
fn part_of_a_lost_challenge_bond_is_given_back_when_the_fraction_says_so() {
	run(|| {
		let fractions = SlashFractions { failed_challenge: Perbill::from_percent(25), ..Default::default() };
		assert_ok!(Rewards::set_slash_fractions(signed(SLASH_ORIGIN), fractions));
		assert_ok!(Rewards::hold_challenge_bond(&acc(1), 101));
		assert_eq!(Rewards::forfeit_challenge_bond(&acc(1), 101, evidence(3)), Some(0));
		assert_eq!((held(1), free(1)), (26, 974));
		assert_ok!(Rewards::set_slash_fractions(signed(SLASH_ORIGIN), Default::default()));
		assert_ok!(Rewards::hold_challenge_bond(&acc(2), 101));
		assert_eq!(Rewards::forfeit_challenge_bond(&acc(2), 101, evidence(4)), None);
		assert_eq!((held(2), free(2)), (0, 1_000));
	});
}

#[test]
fn challenge_bonds_and_the_bond_do_not_pay_for_each_other() {
	run(|| {
		assert_ok!(Rewards::bond(signed(1), 200));
		assert_ok!(Rewards::hold_challenge_bond(&acc(1), 100));
		assert!(Rewards::report_fault(&acc(1), FaultKind::Equivocation, evidence(1)).is_some());
		assert_eq!(Rewards::pending(&acc(1), HoldReason::ChallengeBond), 0);
		Rewards::release_challenge_bond(&acc(1), 100);
		assert_eq!(Rewards::pending(&acc(1), HoldReason::Bond), 200);
	});
}

#[test]
fn challenge_without_a_bond_leaves_no_trace() {
	run(|| {
		assert_ok!(Rewards::hold_challenge_bond(&acc(7), 0));
		Rewards::release_challenge_bond(&acc(7), 0);
		assert_eq!(Rewards::forfeit_challenge_bond(&acc(7), 0, evidence(1)), None);
		assert!(!Challenges::<Test>::contains_key(acc(7)));
	});
}

#[test]
fn challenge_bond_is_refused_beyond_the_funds_and_beyond_the_slots() {
	run(|| {
		assert_noop!(Rewards::hold_challenge_bond(&acc(1), 1_001), TokenError::FundsUnavailable);
		for n in 0..4 {
			assert_ok!(Rewards::hold_challenge_bond(&acc(1), 10 + n));
		}
		assert_noop!(Rewards::hold_challenge_bond(&acc(1), 10), Error::<Test>::TooManyPendingSlashes);
		// A lost challenge keeps its slot until it is slashed.
		assert_eq!(Rewards::forfeit_challenge_bond(&acc(1), 10, evidence(1)), Some(0));
		assert_noop!(Rewards::hold_challenge_bond(&acc(1), 10), Error::<Test>::TooManyPendingSlashes);
		pass_blocks(20);
		assert_ok!(Rewards::apply_slash(signed(1), 0));
		assert_ok!(Rewards::hold_challenge_bond(&acc(1), 10));
	});
}
