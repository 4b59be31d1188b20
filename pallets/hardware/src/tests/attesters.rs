//! Who attests.

use crate::{mock::*, AttesterSet, Attesters, Error, Event};
use frame_support::{assert_noop, assert_ok, BoundedVec};
use sp_core::crypto::AccountId32;
use sp_runtime::DispatchError;

fn set(members: &[u8], threshold: u32) -> sp_runtime::DispatchResult {
	let members = members.iter().map(|n| attester(*n)).collect::<Vec<_>>();
	let members = BoundedVec::try_from(members).expect("not too many");
	Hardware::set_attesters(signed(Registry::get()), members, threshold)
}

fn attesters() -> (Vec<AccountId32>, u32) {
	let AttesterSet { members, threshold } = Attesters::<Test>::get();
	(members.into_inner(), threshold)
}

#[test]
fn attesters_are_sorted_when_the_registry_names_them() {
	run(|| {
		assert_ok!(set(&[5, 2, 4], 2));
		assert_eq!(attesters(), (vec![attester(2), attester(4), attester(5)], 2));
		let info = Hardware::attesters_info();
		assert_eq!((info.members, info.threshold), attesters());
		let members = BoundedVec::truncate_from(attesters().0);
		System::assert_last_event(Event::AttestersSet { members, threshold: 2 }.into());
	});
}

#[test]
fn attesters_can_be_none_at_all() {
	run(|| {
		assert_ok!(set(&[], 0));
		active_device();
		assert_noop!(Hardware::request_attestation(signed(DEVICE)), Error::<Test>::NoAttesters);
	});
}

#[test]
fn attesters_are_refused_when_two_are_the_same() {
	run(|| {
		assert_noop!(set(&[1, 2, 1], 2), Error::<Test>::BadAttesters);
	});
}

#[test]
fn attesters_are_refused_when_the_threshold_is_no_majority_or_beyond_all() {
	run(|| {
		for (members, threshold) in
			[(&[1, 2, 3][..], 1), (&[1, 2, 3, 4], 2), (&[1, 2], 3), (&[1], 0), (&[], 1)]
		{
			assert_noop!(set(members, threshold), Error::<Test>::BadAttesters);
		}
		assert_ok!(set(&[1, 2, 3, 4], 3));
		assert_ok!(set(&[1], 1));
	});
}

#[test]
fn attesters_are_refused_when_the_origin_is_not_the_registry() {
	run(|| {
		for origin in [RuntimeOrigin::root(), RuntimeOrigin::none(), signed(attester(1))] {
			assert_noop!(Hardware::set_attesters(origin, BoundedVec::new(), 0), DispatchError::BadOrigin);
		}
	});
}

#[test]
fn genesis_names_the_attesters() {
	run(|| assert_eq!(attesters(), (vec![attester(1), attester(2), attester(3)], 2)));
}

#[test]
#[should_panic(expected = "genesis names different attesters")]
fn genesis_is_refused_when_its_threshold_is_no_majority() {
	genesis(vec![attester(1), attester(2)], 1);
}

#[test]
#[should_panic(expected = "no more attesters than MaxAttesters")]
fn genesis_is_refused_when_it_names_too_many() {
	genesis((1..=6).map(attester).collect(), 4);
}
