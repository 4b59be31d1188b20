use crate::{mock::*, Aggregators, Error, Event};
use frame_support::{assert_noop, assert_ok};
use sp_runtime::DispatchError;

#[test]
fn aggregator_joins_and_leaves_the_pool() {
	run(|| {
		assert_ok!(Rewards::bond(signed(6), 50));
		assert_ok!(Training::enlist_aggregator(signed(6)));
		System::assert_last_event(Event::AggregatorEnlisted { account: acc(6), tickets: 1 }.into());
		assert!(Training::aggregators().contains(&acc(6)));
		let entry = Aggregators::<Test>::get().into_iter().find(|a| a.account == acc(6));
		assert_eq!(entry.map(|a| (a.since, a.tickets)), Some((1, 1)));
		assert_noop!(Rewards::unbond(signed(6), 1), pallet_rewards::Error::<Test>::BondLocked);
		assert_ok!(Training::delist_aggregator(signed(6)));
		System::assert_last_event(Event::AggregatorDelisted { account: acc(6) }.into());
		assert_ok!(Rewards::unbond(signed(6), 50));
	});
}

#[test]
fn enlisting_is_refused_without_device_bond_or_room_and_twice() {
	run(|| {
		assert_noop!(Training::enlist_aggregator(signed(20)), Error::<Test>::DeviceNotActive);
		assert_ok!(Rewards::bond(signed(6), 49));
		assert_noop!(Training::enlist_aggregator(signed(6)), Error::<Test>::BondTooSmall);
		assert_noop!(Training::enlist_aggregator(signed(1)), Error::<Test>::AlreadyEnlisted);
		for n in 7..=10 {
			assert_ok!(Rewards::bond(signed(n), 50));
			assert_ok!(Training::enlist_aggregator(signed(n)));
		}
		assert_ok!(Rewards::bond(signed(6), 1));
		assert_noop!(Training::enlist_aggregator(signed(6)), Error::<Test>::TooManyAggregators);
		assert_noop!(Training::delist_aggregator(signed(6)), Error::<Test>::NotEnlisted);
		for origin in [RuntimeOrigin::root(), RuntimeOrigin::none()] {
			assert_noop!(Training::enlist_aggregator(origin.clone()), DispatchError::BadOrigin);
			assert_noop!(Training::delist_aggregator(origin), DispatchError::BadOrigin);
		}
	});
}

#[test]
fn bond_of_a_serving_member_stays_locked_after_delisting() {
	run(|| {
		commit_all();
		let member = committee()[0].clone();
		assert_ok!(Training::delist_aggregator(RuntimeOrigin::signed(member.clone())));
		assert_noop!(
			Rewards::unbond(RuntimeOrigin::signed(member), 1),
			pallet_rewards::Error::<Test>::BondLocked
		);
	});
}
