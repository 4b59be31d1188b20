use crate::{mock::*, Contributions, Error, Event, Pots};
use frame_support::{assert_noop, assert_ok};
use sp_runtime::{DispatchError, TokenError};

/// 305 from account 1, 100 from account 2, 600 from the treasury: 1,000 beyond the existential deposit of 5.
fn filled() {
	assert_ok!(Rewards::fund(signed(1), 0, 305));
	assert_ok!(Rewards::fund(signed(2), 0, 100));
	transfer_to_pot(3, 0, 600);
}

#[test]
fn free_part_returns_to_sponsors_and_treasury_in_proportion() {
	run(|| {
		filled();
		assert_ok!(Rewards::accrue(0, 400, &shares([(4, 1)]), 100));
		Rewards::close_pot(0);
		// 600 are free: 600 × 405 / 1,005 belong to the sponsors.
		System::assert_has_event(Event::PotClosed { programme: 0, refundable: 241 }.into());
		System::assert_has_event(Event::PotSwept { programme: 0, amount: 359 }.into());
		assert_eq!(treasury(), 359);
		assert_eq!(Rewards::refund(0, &acc(1)), 182);
		assert_ok!(Rewards::claim_refund(signed(1), 0));
		System::assert_last_event(Event::Refunded { programme: 0, sponsor: acc(1), amount: 182 }.into());
		assert_eq!(free(1), 1_000 - 305 + 182);
		assert_ok!(Rewards::claim_refund(signed(2), 0));
		assert_eq!(free(2), 1_000 - 100 + 59);
		assert_eq!(Rewards::refund(0, &acc(2)), 0);
		let pot = Pots::<Test>::get(0);
		assert_eq!(pot.funded, 1_005);
		assert_eq!((pot.owed, pot.refunded, pot.forfeited), (400, 241, 359));
	});
}

#[test]
fn earned_rewards_stay_claimable_after_closing_and_the_last_dust_goes_to_the_treasury() {
	run(|| {
		filled();
		assert_ok!(Rewards::accrue(0, 401, &shares([(4, 1)]), 100));
		Rewards::close_pot(0);
		assert_noop!(Rewards::sweep_pot(signed(4), 0), Error::<Test>::NothingToSweep);
		pass_blocks(1_000_000);
		assert_ok!(Rewards::claim(signed(4), 0));
		assert_eq!(free(4), 1_401);
		assert_ok!(Rewards::claim_refund(signed(1), 0));
		assert_ok!(Rewards::claim_refund(signed(2), 0));
		// The existential deposit and what rounding left.
		assert_ok!(Rewards::sweep_pot(signed(4), 0));
		assert_eq!(Balances::free_balance(Rewards::pot(0)), 0);
		assert!(!System::account_exists(&Rewards::pot(0)));
		let pot = Pots::<Test>::get(0);
		assert_eq!(pot.funded, pot.claimed + pot.refunded + pot.forfeited);
		assert_eq!(pot.forfeited, treasury());
		assert_noop!(Rewards::sweep_pot(signed(4), 0), Error::<Test>::NothingToSweep);
	});
}

#[test]
fn dust_of_rounding_goes_to_the_treasury_once_every_sponsor_is_refunded() {
	run(|| {
		for n in [1, 2, 4] {
			assert_ok!(Rewards::fund(signed(n), 0, 11));
		}
		// Of 33, 5 are the existential deposit and 20 are owed: 8 are free, and 8 × 11 / 33 is 2 for each.
		assert_ok!(Rewards::accrue(0, 20, &shares([(3, 1)]), 100));
		Rewards::close_pot(0);
		for n in [1, 2, 4] {
			assert_ok!(Rewards::claim_refund(signed(n), 0));
			assert_eq!(free(n), 1_000 - 11 + 2);
		}
		// 5 of existential deposit stay while 20 are owed; 2 are nobody's, too little to create the treasury's account.
		assert_noop!(Rewards::sweep_pot(signed(3), 0), TokenError::BelowMinimum);
		assert_ok!(Rewards::claim(signed(3), 0));
		assert_ok!(Rewards::sweep_pot(signed(3), 0));
		assert_eq!(treasury(), 7);
	});
}

#[test]
fn transfer_that_arrives_after_closing_goes_to_the_treasury() {
	run(|| {
		filled();
		Rewards::close_pot(0);
		let before = treasury();
		transfer_to_pot(4, 0, 77);
		assert_eq!(Rewards::pot_free(0), 0);
		assert_ok!(Rewards::sweep_pot(signed(1), 0));
		System::assert_last_event(Event::PotSwept { programme: 0, amount: 77 }.into());
		assert_eq!(treasury(), before + 77);
		// The sponsors' part is as it was.
		assert_eq!(Rewards::refund(0, &acc(1)), 303);
	});
}

#[test]
fn closing_twice_changes_nothing() {
	run(|| {
		filled();
		Rewards::close_pot(0);
		let pot = Pots::<Test>::get(0);
		Rewards::close_pot(0);
		assert_eq!(Pots::<Test>::get(0), pot);
	});
}

#[test]
fn pot_that_nobody_filled_closes() {
	run(|| {
		Rewards::close_pot(0);
		System::assert_last_event(Event::PotClosed { programme: 0, refundable: 0 }.into());
		assert!(Rewards::pot_info(0).expect("the programme exists").closed);
		assert_noop!(Rewards::sweep_pot(signed(1), 0), Error::<Test>::NothingToSweep);
	});
}

#[test]
fn sponsor_of_a_spent_pot_gets_nothing_back_and_its_entry_is_removed() {
	run(|| {
		assert_ok!(Rewards::fund(signed(1), 0, 105));
		assert_ok!(Rewards::accrue(0, 100, &shares([(4, 1)]), 100));
		Rewards::close_pot(0);
		assert_ok!(Rewards::claim_refund(signed(1), 0));
		System::assert_last_event(Event::Refunded { programme: 0, sponsor: acc(1), amount: 0 }.into());
		assert_eq!(Contributions::<Test>::get(0, acc(1)), None);
	});
}

#[test]
fn refund_is_refused_when_the_pot_is_open_or_nothing_was_given() {
	run(|| {
		filled();
		assert_noop!(Rewards::claim_refund(signed(1), 0), Error::<Test>::PotOpen);
		assert_eq!(Rewards::refund(0, &acc(1)), 0);
		Rewards::close_pot(0);
		assert_noop!(Rewards::claim_refund(signed(3), 0), Error::<Test>::NothingToRefund);
		assert_ok!(Rewards::claim_refund(signed(1), 0));
		assert_noop!(Rewards::claim_refund(signed(1), 0), Error::<Test>::NothingToRefund);
		assert_noop!(Rewards::claim_refund(signed(1), 99), Error::<Test>::PotOpen);
	});
}

#[test]
fn sweep_is_refused_while_the_pot_is_open() {
	run(|| {
		filled();
		assert_noop!(Rewards::sweep_pot(signed(1), 0), Error::<Test>::PotOpen);
	});
}

#[test]
fn closing_calls_are_refused_when_the_origin_is_not_signed() {
	run(|| {
		for origin in unsigned() {
			assert_noop!(Rewards::claim_refund(origin.clone(), 0), DispatchError::BadOrigin);
			assert_noop!(Rewards::sweep_pot(origin, 0), DispatchError::BadOrigin);
		}
	});
}
