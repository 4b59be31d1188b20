use crate::{mock::*, Error, Event, Pots, Share};
use cairn_primitives::views::RewardInfo;
use frame_support::{assert_err, assert_noop, assert_ok};
use sp_runtime::{ArithmeticError, DispatchError, TokenError};

fn funded(amount: u128) {
	assert_ok!(Rewards::endow_at_genesis(0, amount));
}

fn owed(who: u8) -> u128 {
	Rewards::reward_info(0, &acc(who)).claimable
}

fn at(site: u32, who: u8, points: u128) -> Share<sp_core::crypto::AccountId32> {
	Share { account: acc(who), site, points }
}

#[test]
fn reward_is_split_by_points_and_rounding_stays_in_the_pot() {
	run(|| {
		funded(100);
		assert_eq!(Rewards::accrue(0, 100, &shares([(1, 1), (2, 1), (3, 1)]), 100), Ok(99));
		for account in 1..=3 {
			assert_eq!(owed(account), 33);
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
		assert_ok!(Rewards::accrue(0, 100, &shares([(1, 2), (2, 1), (1, 1)]), 100));
		assert_eq!((owed(1), owed(2)), (75, 25));
	});
}

#[test]
fn site_gets_at_most_its_cap_and_the_excess_stays_free() {
	run(|| {
		funded(1_000);
		// Site 7 did 80 of 100 points with two devices; site 8 did 20.
		let work = [at(7, 1, 60), at(8, 2, 20), at(7, 3, 20)];
		assert_eq!(Rewards::accrue(0, 1_000, &work, 40), Ok(600));
		assert_eq!((owed(1), owed(3)), (300, 100));
		assert_eq!(owed(2), 200);
		assert_eq!(Rewards::pot_free(0), 400);
		// Points say what was done, not what was paid.
		assert_eq!(Rewards::reward_info(0, &acc(1)).points, 60);
	});
}

#[test]
fn cap_binds_nobody_at_or_below_it() {
	run(|| {
		funded(1_000);
		assert_eq!(Rewards::accrue(0, 1_000, &[at(7, 1, 40), at(8, 2, 40), at(9, 3, 20)], 40), Ok(1_000));
		assert_eq!((owed(1), owed(2), owed(3)), (400, 400, 200));
	});
}

#[test]
fn cap_beyond_a_hundred_binds_nobody_and_a_cap_of_zero_pays_nobody() {
	run(|| {
		funded(200);
		assert_eq!(Rewards::accrue(0, 100, &[at(7, 1, 1)], 255), Ok(100));
		assert_eq!(Rewards::accrue(0, 100, &[at(7, 1, 1)], 0), Ok(0));
		assert_eq!(Rewards::reward_info(0, &acc(1)).points, 2);
	});
}

#[test]
fn capped_shares_are_rounded_down() {
	run(|| {
		funded(100);
		// The cap of 33 per cent of 100 is divided by three.
		assert_eq!(Rewards::accrue(0, 100, &[at(7, 1, 1), at(7, 2, 1), at(7, 3, 1)], 34), Ok(33));
		assert_eq!((owed(1), owed(2), owed(3)), (11, 11, 11));
	});
}

#[test]
fn shares_of_the_largest_round_are_paid() {
	run(|| {
		funded(1_000_000);
		let work: Vec<_> = (0..1_100u32).map(|n| at(n / 10, (n % 200) as u8, u128::from(n))).collect();
		let paid = Rewards::accrue(0, 1_000_000, &work, 50).expect("it is paid");
		assert!(paid <= 1_000_000 && paid > 1_000_000 - 1_100);
	});
}

#[test]
fn claim_pays_once() {
	run(|| {
		funded(100);
		assert_ok!(Rewards::accrue(0, 80, &shares([(1, 3), (2, 1)]), 100));
		assert_ok!(Rewards::claim(signed(1), 0));
		assert_eq!(free(1), 1_060);
		System::assert_last_event(Event::Claimed { programme: 0, account: acc(1), amount: 60 }.into());
		assert_noop!(Rewards::claim(signed(1), 0), Error::<Test>::NothingToClaim);
		assert_eq!(Rewards::reward_info(0, &acc(1)), RewardInfo { points: 3, claimable: 0, claimed: 60 });
		assert_ok!(Rewards::accrue(0, 20, &shares([(1, 1)]), 100));
		assert_ok!(Rewards::claim(signed(1), 0));
		assert_eq!(Rewards::reward_info(0, &acc(1)).claimed, 80);
	});
}

#[test]
fn everybody_can_claim_everything_that_is_owed() {
	run(|| {
		funded(1_000);
		for round in 1..=7u128 {
			assert_ok!(Rewards::accrue(0, 142, &shares([(1, round), (2, 3), (9, 11)]), 60));
		}
		for account in [1, 2, 9] {
			assert_ok!(Rewards::claim(signed(account), 0));
		}
		let pot = Pots::<Test>::get(0);
		assert_eq!(pot.owed, 0);
		assert_eq!(pot.claimed + Rewards::pot_free(0), 1_000);
	});
}

#[test]
fn reward_is_refused_when_the_free_pot_is_smaller() {
	run(|| {
		funded(100);
		assert_ok!(Rewards::accrue(0, 60, &shares([(1, 1)]), 100));
		assert_noop!(Rewards::accrue(0, 41, &shares([(1, 1)]), 100), TokenError::FundsUnavailable);
		assert_ok!(Rewards::accrue(0, 40, &shares([(1, 1)]), 100));
	});
}

#[test]
fn reward_for_no_points_owes_nothing() {
	run(|| {
		funded(100);
		assert_eq!(Rewards::accrue(0, 100, &[], 100), Ok(0));
		assert_eq!(Rewards::accrue(0, 100, &shares([(1, 0)]), 100), Ok(0));
		assert_eq!(Rewards::pot_free(0), 100);
	});
}

#[test]
fn points_that_overflow_are_an_error_not_a_wrap() {
	run(|| {
		funded(100);
		assert_err!(
			Rewards::accrue(0, 10, &shares([(1, u128::MAX), (2, 1)]), 100),
			DispatchError::Arithmetic(ArithmeticError::Overflow)
		);
	});
}

#[test]
fn largest_amounts_and_points_are_split_without_overflow() {
	run(|| {
		funded(u128::MAX / 4);
		let all = u128::MAX / 4;
		assert_eq!(Rewards::accrue(0, all, &shares([(1, u128::MAX - 1), (2, 1)]), 100), Ok(all - 1));
		assert_eq!((owed(1), owed(2)), (all - 1, 0));
	});
}

#[test]
fn reward_is_refused_after_the_pot_closed() {
	run(|| {
		funded(100);
		Rewards::close_pot(0);
		assert_eq!(Rewards::pot_free(0), 0);
		assert_noop!(Rewards::accrue(0, 1, &shares([(1, 1)]), 100), Error::<Test>::PotClosed);
	});
}

#[test]
fn claim_is_refused_when_nothing_is_owed_or_the_origin_is_wrong() {
	run(|| {
		assert_noop!(Rewards::claim(signed(1), 0), Error::<Test>::NothingToClaim);
		assert_noop!(Rewards::claim(signed(1), 99), Error::<Test>::NothingToClaim);
		for origin in unsigned() {
			assert_noop!(Rewards::claim(origin, 0), DispatchError::BadOrigin);
		}
	});
}
