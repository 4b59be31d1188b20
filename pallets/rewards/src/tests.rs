use crate::{mock::*, Accounts, Error, Event, Totals};
use frame_support::{assert_err, assert_noop, assert_ok};
use sp_runtime::{ArithmeticError, DispatchError, TokenError};

fn signed(who: u8) -> RuntimeOrigin {
	RuntimeOrigin::signed(acc(who))
}

mod bond {
	use super::*;

	#[test]
	fn bond_is_held_and_released() {
		run(|| {
			assert_ok!(Rewards::bond(signed(1), 60));
			assert_ok!(Rewards::bond(signed(1), 40));
			assert_eq!(Rewards::bonded(&acc(1)), 100);
			assert_eq!(Balances::free_balance(acc(1)), 900);
			System::assert_last_event(Event::Bonded { account: acc(1), amount: 40 }.into());
			assert_ok!(Rewards::unbond(signed(1), 30));
			assert_eq!(Rewards::bonded(&acc(1)), 70);
			assert_eq!(Balances::free_balance(acc(1)), 930);
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
	fn bond_calls_are_refused_when_the_origin_is_not_signed() {
		run(|| {
			for origin in [RuntimeOrigin::root(), RuntimeOrigin::none()] {
				assert_noop!(Rewards::bond(origin.clone(), 1), DispatchError::BadOrigin);
				assert_noop!(Rewards::unbond(origin, 1), DispatchError::BadOrigin);
			}
		});
	}
}

mod fund {
	use super::*;

	#[test]
	fn pot_takes_what_a_sponsor_gives() {
		run(|| {
			assert_ok!(Rewards::fund(signed(1), 0, 300));
			assert_eq!(Balances::free_balance(Rewards::pot(0)), 300);
			assert_eq!(Rewards::pot_free(0), 300 - ExistentialDeposit::get());
			assert_eq!(Rewards::pot_free(1), 0);
			System::assert_last_event(Event::Funded { programme: 0, sponsor: acc(1), amount: 300 }.into());
		});
	}

	#[test]
	fn pots_of_different_programmes_are_different_accounts() {
		let pots: std::collections::BTreeSet<_> = (0..100).map(Rewards::pot).collect();
		assert_eq!(pots.len(), 100);
	}

	#[test]
	fn funding_is_refused_when_zero_unknown_or_beyond_the_funds() {
		run(|| {
			assert_noop!(Rewards::fund(signed(1), 0, 0), Error::<Test>::ZeroAmount);
			assert_noop!(Rewards::fund(signed(1), 2, 10), Error::<Test>::UnknownProgramme);
			assert_noop!(Rewards::fund(signed(1), 0, 999), TokenError::NotExpendable);
			for origin in [RuntimeOrigin::root(), RuntimeOrigin::none()] {
				assert_noop!(Rewards::fund(origin, 0, 10), DispatchError::BadOrigin);
			}
		});
	}
}

mod accrue_and_claim {
	use super::*;

	fn funded(amount: u128) {
		assert_ok!(Rewards::endow_at_genesis(0, amount));
	}

	#[test]
	fn reward_is_split_by_points_and_rounding_stays_in_the_pot() {
		run(|| {
			funded(100);
			assert_eq!(Rewards::accrue(0, 100, &[(acc(1), 1), (acc(2), 1), (acc(3), 1)]), Ok(99));
			for account in 1..=3 {
				assert_eq!(Rewards::reward_info(0, &acc(account)).claimable, 33);
				assert_eq!(Rewards::reward_info(0, &acc(account)).points, 1);
			}
			assert_eq!(Rewards::pot_free(0), 1);
			System::assert_last_event(Event::Accrued { programme: 0, points: 3, amount: 99 }.into());
		});
	}

	#[test]
	fn account_that_appears_twice_gets_both_shares() {
		run(|| {
			funded(100);
			assert_ok!(Rewards::accrue(0, 100, &[(acc(1), 2), (acc(2), 1), (acc(1), 1)]));
			assert_eq!(Rewards::reward_info(0, &acc(1)).claimable, 75);
			assert_eq!(Rewards::reward_info(0, &acc(2)).claimable, 25);
		});
	}

	#[test]
	fn claim_pays_once() {
		run(|| {
			funded(100);
			assert_ok!(Rewards::accrue(0, 80, &[(acc(1), 3), (acc(2), 1)]));
			assert_ok!(Rewards::claim(signed(1), 0));
			assert_eq!(Balances::free_balance(acc(1)), 1_060);
			System::assert_last_event(Event::Claimed { programme: 0, account: acc(1), amount: 60 }.into());
			assert_noop!(Rewards::claim(signed(1), 0), Error::<Test>::NothingToClaim);
			assert_eq!(
				Rewards::reward_info(0, &acc(1)),
				cairn_primitives::views::RewardInfo { points: 3, claimable: 0, claimed: 60 }
			);
			assert_ok!(Rewards::accrue(0, 20, &[(acc(1), 1)]));
			assert_ok!(Rewards::claim(signed(1), 0));
			assert_eq!(Rewards::reward_info(0, &acc(1)).claimed, 80);
		});
	}

	#[test]
	fn everybody_can_claim_everything_that_is_owed() {
		run(|| {
			funded(1_000);
			for round in 1..=7u128 {
				assert_ok!(Rewards::accrue(0, 142, &[(acc(1), round), (acc(2), 3), (acc(9), 11)]));
			}
			for account in [1, 2, 9] {
				assert_ok!(Rewards::claim(signed(account), 0));
			}
			assert_eq!(Totals::<Test>::get(0).owed, 0);
			assert_eq!(Totals::<Test>::get(0).claimed + Rewards::pot_free(0), 1_000);
		});
	}

	#[test]
	fn reward_is_refused_when_the_free_pot_is_smaller() {
		run(|| {
			funded(100);
			assert_ok!(Rewards::accrue(0, 60, &[(acc(1), 1)]));
			assert_noop!(Rewards::accrue(0, 41, &[(acc(1), 1)]), TokenError::FundsUnavailable);
			assert_ok!(Rewards::accrue(0, 40, &[(acc(1), 1)]));
		});
	}

	#[test]
	fn reward_for_no_points_owes_nothing() {
		run(|| {
			funded(100);
			assert_eq!(Rewards::accrue(0, 100, &[]), Ok(0));
			assert_eq!(Rewards::accrue(0, 100, &[(acc(1), 0)]), Ok(0));
			assert_eq!(Rewards::pot_free(0), 100);
		});
	}

	#[test]
	fn points_that_overflow_are_an_error_not_a_wrap() {
		run(|| {
			funded(100);
			assert_err!(
				Rewards::accrue(0, 10, &[(acc(1), u128::MAX), (acc(2), 1)]),
				DispatchError::Arithmetic(ArithmeticError::Overflow)
			);
		});
	}

	#[test]
	fn claim_is_refused_when_nothing_is_owed_or_the_origin_is_wrong() {
		run(|| {
			assert_noop!(Rewards::claim(signed(1), 0), Error::<Test>::NothingToClaim);
			assert_noop!(Rewards::claim(signed(1), 99), Error::<Test>::NothingToClaim);
			for origin in [RuntimeOrigin::root(), RuntimeOrigin::none()] {
				assert_noop!(Rewards::claim(origin, 0), DispatchError::BadOrigin);
			}
		});
	}

	#[test]
	fn try_state_notices_a_wrong_total_and_an_empty_pot() {
		run(|| {
			funded(100);
			assert_ok!(Rewards::accrue(0, 100, &[(acc(1), 1)]));
			Accounts::<Test>::mutate(0, acc(1), |e| e.owed += 1);
			assert!(Rewards::do_try_state().is_err());
			Totals::<Test>::mutate(0, |t| t.owed += 1);
			assert!(Rewards::do_try_state().is_err());
			Accounts::<Test>::mutate(0, acc(1), |e| e.owed -= 1);
			Totals::<Test>::mutate(0, |t| t.owed -= 1);
		});
	}
}
