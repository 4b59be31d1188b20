use crate::{mock::*, Contributions, Error, Event, Pots};
use frame_support::{assert_noop, assert_ok};
use sp_runtime::{ArithmeticError, DispatchError, TokenError};

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
fn contributions_of_each_sponsor_are_remembered() {
	run(|| {
		assert_ok!(Rewards::fund(signed(1), 0, 300));
		assert_ok!(Rewards::fund(signed(2), 0, 10));
		assert_ok!(Rewards::fund(signed(1), 0, 20));
		assert_ok!(Rewards::fund(signed(1), 1, 50));
		assert_eq!(Contributions::<Test>::get(0, acc(1)), Some(320));
		assert_eq!(Contributions::<Test>::get(0, acc(2)), Some(10));
		assert_eq!(Contributions::<Test>::get(1, acc(1)), Some(50));
		let pot = Pots::<Test>::get(0);
		assert_eq!((pot.funded, pot.sponsored, pot.sponsors), (330, 330, 2));
	});
}

#[test]
fn transfer_into_a_pot_can_be_spent_and_is_no_sponsors() {
	run(|| {
		assert_ok!(Rewards::fund(signed(1), 0, 100));
		transfer_to_pot(2, 0, 200);
		assert_eq!(Rewards::pot_free(0), 295);
		let info = Rewards::pot_info(0).expect("the programme exists");
		assert_eq!((info.funded, info.sponsored, info.remaining), (300, 100, 300));
		assert_ok!(Rewards::accrue(0, 250, &shares([(1, 1)]), 100));
		System::assert_has_event(Event::TransferCounted { programme: 0, amount: 200 }.into());
		let pot = Pots::<Test>::get(0);
		assert_eq!((pot.funded, pot.sponsored, pot.sponsors), (300, 100, 1));
	});
}

#[test]
fn endowment_at_genesis_is_no_sponsors_and_brings_the_existential_deposit() {
	run(|| {
		assert_ok!(Rewards::endow_at_genesis(0, 100));
		assert_eq!(Rewards::pot_free(0), 100);
		let pot = Pots::<Test>::get(0);
		assert_eq!((pot.funded, pot.sponsored), (105, 0));
		assert_noop!(Rewards::endow_at_genesis(0, u128::MAX), ArithmeticError::Overflow);
	});
}

#[test]
fn pots_of_different_programmes_are_different_accounts() {
	let pots: std::collections::BTreeSet<_> = (0..100).map(Rewards::pot).collect();
	assert_eq!(pots.len(), 100);
}

#[test]
fn funding_is_refused_when_zero_small_unknown_or_beyond_the_funds() {
	run(|| {
		assert_noop!(Rewards::fund(signed(1), 0, 0), Error::<Test>::ZeroAmount);
		assert_noop!(Rewards::fund(signed(1), 0, 9), Error::<Test>::ContributionTooSmall);
		assert_noop!(Rewards::fund(signed(1), 2, 10), Error::<Test>::UnknownProgramme);
		assert_noop!(Rewards::fund(signed(1), 0, 999), TokenError::NotExpendable);
		for origin in unsigned() {
			assert_noop!(Rewards::fund(origin, 0, 10), DispatchError::BadOrigin);
		}
	});
}

#[test]
fn funding_is_refused_after_the_pot_closed() {
	run(|| {
		assert_ok!(Rewards::fund(signed(1), 0, 100));
		Rewards::close_pot(0);
		assert_noop!(Rewards::fund(signed(1), 0, 10), Error::<Test>::PotClosed);
	});
}

#[test]
fn pot_of_no_programme_is_not_shown() {
	run(|| assert_eq!(Rewards::pot_info(2), None));
}
