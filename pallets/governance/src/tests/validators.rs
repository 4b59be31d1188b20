use crate::{mock::*, Error, Event, FormerValidators};
use frame_support::{assert_noop, assert_ok, BoundedVec};
use pallet_session::{historical::HistoricalSessions, NextKeys};
use sp_core::crypto::AccountId32;
use sp_runtime::DispatchError;

fn set(validators: &[u8]) -> sp_runtime::DispatchResult {
	let validators = validators.iter().map(|n| acc(*n)).collect();
	Governance::set_validators(signed(REGISTRY_ADMIN), BoundedVec::truncate_from(validators))
}

fn accounts(validators: &[u8]) -> Vec<AccountId32> {
	validators.iter().map(|n| acc(*n)).collect()
}

#[test]
fn first_validators_are_those_with_keys_in_the_genesis() {
	run(|| {
		assert_eq!(Governance::validators(), accounts(&[1, 2, 3, 4]));
		assert_eq!(Session::validators(), accounts(&[1, 2, 3, 4]));
		assert!(HistoricalSessions::<Test>::get(0).is_some());
	});
}

#[test]
fn decided_set_takes_over_by_rotation_once_and_nothing_changes_otherwise() {
	run(|| {
		Session::rotate_session();
		Session::rotate_session();
		assert_eq!(Changes::get(), [false, false]);
		assert_ok!(set(&[5, 3, 1]));
		System::assert_last_event(
			Event::ValidatorsSet { validators: BoundedVec::truncate_from(accounts(&[1, 3, 5])) }.into(),
		);
		Session::rotate_session();
		assert_eq!(Session::validators(), accounts(&[1, 2, 3, 4]));
		Session::rotate_session();
		assert_eq!(Session::validators(), accounts(&[1, 3, 5]));
		for _ in 0..3 {
			Session::rotate_session();
		}
		assert_eq!(Session::validators(), accounts(&[1, 3, 5]));
		assert_eq!(Changes::get(), [false, false, false, true, false, false, false]);
	});
}

#[test]
fn deciding_on_the_set_that_holds_changes_no_session() {
	run(|| {
		assert_ok!(set(&[1, 2, 3, 4]));
		for _ in 0..3 {
			Session::rotate_session();
		}
		assert_eq!(Changes::get(), [false; 3]);
	});
}

#[test]
fn validator_with_new_keys_gets_a_new_root_for_equivocation_proofs() {
	run(|| {
		Session::rotate_session();
		let root = |session| HistoricalSessions::<Test>::get(session).map(|(root, _)| root);
		assert_eq!(root(2), root(0));
		NextKeys::<Test>::insert(acc(2), keys(77));
		Session::rotate_session();
		assert_ne!(root(3), root(2));
		Session::rotate_session();
		assert_eq!(root(4), root(3));
		assert_eq!(Changes::get(), [false, false, true]);
	});
}

#[test]
fn validator_that_purged_its_keys_leaves_with_everybodys_knowledge() {
	run(|| {
		NextKeys::<Test>::remove(acc(4));
		Session::rotate_session();
		Session::rotate_session();
		assert_eq!(Session::validators(), accounts(&[1, 2, 3]));
		assert_eq!(Changes::get(), [false, true]);
		// It stays decided on, and is back when it has keys again.
		assert_eq!(Governance::validators(), accounts(&[1, 2, 3, 4]));
		NextKeys::<Test>::insert(acc(4), keys(4));
		Session::rotate_session();
		Session::rotate_session();
		assert_eq!(Session::validators(), accounts(&[1, 2, 3, 4]));
	});
}

#[test]
fn set_that_is_too_small_doubled_or_without_keys_is_rejected() {
	run(|| {
		assert_noop!(set(&[]), Error::<Test>::TooFewValidators);
		assert_noop!(set(&[1]), Error::<Test>::TooFewValidators);
		assert_noop!(set(&[1, 2, 1]), Error::<Test>::DuplicateValidator);
		assert_noop!(set(&[1, 2, 10]), Error::<Test>::ValidatorWithoutKeys);
		for n in [PROGRAMME_ADMIN, POLICY_ADMIN, SAFETY, 1] {
			assert_noop!(
				Governance::set_validators(signed(n), BoundedVec::truncate_from(accounts(&[1, 2]))),
				DispatchError::BadOrigin
			);
		}
		assert_noop!(
			Governance::set_validators(RuntimeOrigin::none(), Default::default()),
			DispatchError::BadOrigin
		);
	});
}

/// Rotates until what was decided holds.
fn rotate() {
	for _ in 0..2 {
		Session::rotate_session();
	}
}

#[test]
fn validator_that_left_stays_liable_for_as_long_as_it_can_be_reported() {
	run(|| {
		assert!(Governance::is_liable(&acc(4)) && !Governance::is_liable(&acc(5)));
		assert_ok!(set(&[1, 2, 3]));
		Session::rotate_session();
		assert!(FormerValidators::<Test>::get().is_empty());
		Session::rotate_session();
		let left = System::block_number();
		assert_eq!(Session::validators(), accounts(&[1, 2, 3]));
		assert_eq!(FormerValidators::<Test>::get().into_inner(), [(acc(4), left + 10)]);
		System::set_block_number(left + 10);
		assert!(Governance::is_liable(&acc(4)));
		System::set_block_number(left + 11);
		assert!(!Governance::is_liable(&acc(4)) && Governance::is_liable(&acc(3)));
	});
}

#[test]
fn validator_that_leaves_again_is_remembered_once_and_from_then_on() {
	run(|| {
		assert_ok!(set(&[1, 2, 3]));
		rotate();
		assert_ok!(set(&[1, 2, 4]));
		rotate();
		System::set_block_number(System::block_number() + 5);
		let now = System::block_number();
		assert_ok!(set(&[1, 2]));
		rotate();
		assert_eq!(FormerValidators::<Test>::get().into_inner(), [(acc(3), now + 5), (acc(4), now + 10)]);
	});
}

#[test]
fn former_validators_are_forgotten_when_their_time_is_over_or_there_are_too_many() {
	run(|| {
		assert_ok!(set(&[5, 6]));
		rotate();
		// Four left; three are remembered.
		let former =
			|accounts: &[u8], until: u64| accounts.iter().map(|n| (acc(*n), until)).collect::<Vec<_>>();
		let now = System::block_number();
		assert_eq!(FormerValidators::<Test>::get().into_inner(), former(&[2, 3, 4], now + 10));
		System::set_block_number(now + 11);
		assert_ok!(set(&[5, 7]));
		rotate();
		assert_eq!(FormerValidators::<Test>::get().into_inner(), former(&[6], now + 21));
	});
}
