use crate::{mock::*, Error, Event, FaultKind};
use cairn_primitives::views::BondInfo;
use frame_support::{assert_noop, assert_ok};
use sp_runtime::{DispatchError, TokenError};

#[test]
fn bond_is_held_and_released() {
	run(|| {
		assert_ok!(Rewards::bond(signed(1), 60));
		assert_ok!(Rewards::bond(signed(1), 40));
		assert_eq!(Rewards::bonded(&acc(1)), 100);
		assert_eq!(free(1), 900);
		System::assert_last_event(Event::Bonded { account: acc(1), amount: 40 }.into());
		assert_ok!(Rewards::unbond(signed(1), 30));
		assert_eq!(Rewards::bonded(&acc(1)), 70);
		assert_eq!(free(1), 930);
		System::assert_last_event(Event::Unbonded { account: acc(1), amount: 30 }.into());
	});
}

#[test]
fn bond_is_refused_when_zero_or_beyond_the_funds() {
	run(|| {
		assert_noop!(Rewards::bond(signed(1), 0), Error::<Test>::ZeroAmount);
		assert_noop!(Rewards::bond(signed(1), 1_001), TokenError::FundsUnavailable);
		assert_noop!(Rewards::bond(signed(7), 1), TokenError::FundsUnavailable);
	});
}

#[test]
fn bond_is_refused_while_no_slot_is_left_for_another_slash() {
	run(|| {
		assert_ok!(Rewards::bond(signed(1), 100));
		for n in 0..4 {
			assert!(Rewards::report_fault(&acc(1), FaultKind::Dissented, evidence(n)).is_some());
		}
		assert_noop!(Rewards::bond(signed(1), 1), Error::<Test>::TooManyPendingSlashes);
		assert_ok!(Rewards::veto_slash(signed(VETO_ORIGIN), 2));
		assert_ok!(Rewards::bond(signed(1), 1));
	});
}

#[test]
fn unbonding_is_refused_when_zero_beyond_the_bond_or_locked() {
	run(|| {
		assert_ok!(Rewards::bond(signed(1), 10));
		assert_noop!(Rewards::unbond(signed(1), 0), Error::<Test>::ZeroAmount);
		assert_noop!(Rewards::unbond(signed(1), 11), Error::<Test>::BondTooSmall);
		assert_ok!(Rewards::bond(signed(9), 10));
		assert_noop!(Rewards::unbond(signed(9), 1), Error::<Test>::BondLocked);
	});
}

#[test]
fn unbonding_leaves_what_pending_slashes_would_take() {
	run(|| {
		assert_ok!(Rewards::bond(signed(1), 100));
		assert_ok!(Rewards::bond(signed(2), 100));
		assert!(Rewards::report_fault(&acc(1), FaultKind::Overturned, evidence(1)).is_some());
		assert_eq!(Rewards::free_bond(&acc(1)), 50);
		assert_noop!(Rewards::unbond(signed(1), 51), Error::<Test>::SlashPending);
		assert_ok!(Rewards::unbond(signed(1), 50));
		assert_noop!(Rewards::unbond(signed(1), 1), Error::<Test>::SlashPending);
		assert_ok!(Rewards::unbond(signed(2), 100));
	});
}

#[test]
fn bond_calls_are_refused_when_the_origin_is_not_signed() {
	run(|| {
		for origin in unsigned() {
			assert_noop!(Rewards::bond(origin.clone(), 1), DispatchError::BadOrigin);
			assert_noop!(Rewards::unbond(origin, 1), DispatchError::BadOrigin);
		}
	});
}

#[test]
fn stake_is_shown_with_what_waits_for_it() {
	run(|| {
		assert_ok!(Rewards::bond(signed(9), 100));
		assert_ok!(Rewards::hold_challenge_bond(&acc(9), 7));
		assert!(Rewards::report_fault(&acc(9), FaultKind::Dissented, evidence(1)).is_some());
		assert_eq!(
			Rewards::bond_info(&acc(9)),
			BondInfo { bonded: 100, pending: 10, challenges: 7, locked: true }
		);
		assert_eq!(
			Rewards::bond_info(&acc(1)),
			BondInfo { bonded: 0, pending: 0, challenges: 0, locked: false }
		);
	});
}
