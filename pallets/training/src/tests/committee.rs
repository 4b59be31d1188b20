use crate::{mock::*, pool::draw, Aggregators, Error, Serving};
use cairn_primitives::{
	views::{FaultKind, Phase},
	H256,
};
use frame_support::{assert_noop, assert_ok};
use sp_io::hashing::blake2_256;
use sp_runtime::{BoundedVec, DispatchError};
use std::collections::{BTreeMap, BTreeSet};

/// The exact probability of each set of `seats` from these tickets, as bits, when they are drawn one by one without
/// replacement.
fn exact(tickets: &[u32], seats: u32) -> BTreeMap<u32, f64> {
	let mut sets = BTreeMap::from([(0u32, 1.0)]);
	for _ in 0..seats {
		let mut next = BTreeMap::<u32, f64>::new();
		for (set, chance) in sets {
			let left = |i: &usize| set >> i & 1 == 0;
			let all: u32 = (0..tickets.len()).filter(left).map(|i| tickets[i]).sum();
			for i in (0..tickets.len()).filter(left) {
				*next.entry(set | 1 << i).or_default() += chance * f64::from(tickets[i]) / f64::from(all);
			}
		}
		sets = next;
	}
	sets
}

fn draw_many(tickets: &[u32], seats: u32, draws: u32) -> BTreeMap<u32, u32> {
	let mut times = BTreeMap::<u32, u32>::new();
	for n in 0..draws {
		let candidates = (0u32..).zip(tickets.iter().copied()).collect();
		let drawn = draw(H256(blake2_256(&n.to_le_bytes())), candidates, seats);
		let set = drawn.iter().fold(0u32, |set, i| set | 1 << i);
		assert_eq!(set.count_ones(), seats, "members are distinct");
		*times.entry(set).or_default() += 1;
	}
	times
}

#[test]
fn every_set_is_drawn_as_often_as_its_tickets_say() {
	const DRAWS: u32 = 4_000;
	for (tickets, seats) in
		[(vec![1; 6], 3), (vec![1, 2, 3, 4], 1), (vec![1, 1, 2, 8], 2), (vec![4, 1, 1, 1, 3, 2], 3)]
	{
		let times = draw_many(&tickets, seats, DRAWS);
		for (set, chance) in exact(&tickets, seats) {
			let found = f64::from(times.get(&set).copied().unwrap_or_default());
			let (mean, deviation) =
				(f64::from(DRAWS) * chance, (f64::from(DRAWS) * chance * (1.0 - chance)).sqrt());
			// Five standard deviations either way: with these seeds none is that far.
			assert!((found - mean).abs() < 5.0 * deviation, "{tickets:?}: {set:b} {found} times, not {mean}");
		}
	}
}

#[test]
fn draw_of_another_candidate_does_not_depend_on_one_that_leaves() {
	for n in 0..200u32 {
		let seed = H256(blake2_256(&n.to_le_bytes()));
		let all: Vec<(u32, u32)> = (0..8).map(|i| (i, 1 + i % 4)).collect();
		let before = draw(seed, all.clone(), 4);
		for gone in 0..8 {
			let after = draw(seed, all.iter().copied().filter(|(i, _)| *i != gone).collect(), 4);
			assert!(before.iter().filter(|i| **i != gone).all(|i| after.contains(i)));
		}
	}
}

#[test]
fn draw_takes_all_when_there_are_no_more() {
	let mut drawn = draw(H256::zero(), vec![(1, 1), (2, 4), (3, 1)], 5);
	drawn.sort();
	assert_eq!(drawn, vec![1, 2, 3]);
	assert!(draw(H256::zero(), Vec::<(u32, u32)>::new(), 3).is_empty());
}

#[test]
fn bond_counts_in_the_draw_up_to_the_cap_and_less_what_a_slash_would_take() {
	run(|| {
		let tickets =
			|n: u8| Aggregators::<Test>::get().iter().find(|a| a.account == acc(n)).map(|a| a.tickets);
		let mut amounts = [(6, 99, 1), (7, 149, 2), (8, 200, 4), (9, 5_000, 4)];
		for (n, bond, expected) in &mut amounts {
			assert_ok!(Rewards::bond(signed(*n), *bond));
			assert_ok!(Training::enlist_aggregator(signed(*n)));
			assert_eq!(tickets(*n), Some(*expected));
		}
		// A bond that grows counts from the next enlistment on.
		assert_ok!(Rewards::bond(signed(6), 900));
		assert_eq!(tickets(6), Some(1));
		assert_ok!(Training::delist_aggregator(signed(6)));
		assert_ok!(Training::enlist_aggregator(signed(6)));
		assert_eq!(tickets(6), Some(4));
		// Account 1 has the least bond: what a pending slash would take disqualifies it.
		assert_eq!(Training::drawable(0), 9);
		Rewards::report_fault(&acc(1), FaultKind::Dissented, H256::zero());
		assert_eq!(Training::drawable(0), 8);
		assert_ok!(Training::delist_aggregator(signed(1)));
		assert_noop!(Training::enlist_aggregator(signed(1)), Error::<Test>::BondTooSmall);
	});
}

#[test]
fn aggregator_enlisted_after_the_randomness_was_known_is_not_drawn_with_it() {
	run(|| {
		// The pool was filled in block 1.
		Known::set(&1);
		for n in 6..=9 {
			assert_ok!(commit(n));
		}
		assert_noop!(Training::advance(signed(20), 0), Error::<Test>::NotEnoughAggregators);
		assert_eq!((phase(), Training::drawable(0)), (Phase::Commit, 0));
		pass_blocks(5);
		assert_ok!(Rewards::bond(signed(6), 5_000));
		assert_ok!(Training::enlist_aggregator(signed(6)));
		Known::set(&2);
		assert_eq!(Training::drawable(0), 5);
		assert_ok!(Training::advance(signed(20), 0));
		assert!(!committee().contains(&acc(6)));
	});
}

#[test]
fn committee_follows_the_randomness_and_not_the_caller() {
	let committee_with = |seed: u64, last: u8| {
		chain(vec![programme()]).execute_with(|| {
			Seed::set(&seed);
			for n in [6, 7, 8, last] {
				assert_ok!(commit(n));
			}
			committee()
		})
	};
	assert_eq!(committee_with(1, 9), committee_with(1, 12));
	let distinct: BTreeSet<_> = (0..20).map(|seed| committee_with(seed, 9)).collect();
	assert!(distinct.len() > 5);
}

#[test]
fn round_waits_for_aggregators_when_too_few_are_enlisted() {
	run(|| {
		for n in 1..=3 {
			assert_ok!(Training::delist_aggregator(signed(n)));
		}
		for n in 6..=9 {
			assert_ok!(commit(n));
		}
		assert_eq!(phase(), Phase::Commit);
		assert_noop!(Training::advance(signed(20), 0), Error::<Test>::NotEnoughAggregators);
		assert_ok!(Training::enlist_aggregator(signed(1)));
		assert_ok!(Training::advance(signed(20), 0));
		assert_eq!(phase(), Phase::Availability);
	});
}

#[test]
fn aggregator_whose_device_is_retired_is_not_drawn() {
	run(|| {
		assert_ok!(Hardware::retire_device(signed(1), 0));
		assert_ok!(Hardware::retire_device(signed(2), 1));
		commit_all();
		let mut members = committee();
		members.sort();
		assert_eq!(members, vec![acc(3), acc(4), acc(5)]);
	});
}

mod availability {
	use super::*;

	#[test]
	fn phase_moves_on_as_soon_as_every_fate_is_decided() {
		run(|| {
			commit_all();
			let members = committee();
			assert_ok!(vote(&members[0], |_| true));
			assert_eq!(phase(), Phase::Availability);
			assert_ok!(vote(&members[1], |_| true));
			assert_eq!(phase(), Phase::Aggregate);
			assert_eq!(round().included, vec![0b1111]);
		});
	}

	#[test]
	fn late_vote_is_taken_and_changes_nothing_while_the_aggregate_window_is_open() {
		run(|| {
			commit_all();
			let members = committee();
			assert_ok!(vote(&members[0], |i| i < 3));
			assert_ok!(vote(&members[1], |i| i < 3));
			let deadline = round().deadline;
			pass_blocks(1);
			assert_ok!(vote(&members[2], |_| true));
			assert_eq!(
				(phase(), round().included, round().deadline),
				(Phase::Aggregate, vec![0b0111], deadline)
			);
			assert_noop!(vote(&members[2], |_| true), Error::<Test>::AlreadyVoted);
			pass_blocks(5);
			assert_noop!(vote(&members[0], |_| true), Error::<Test>::WindowClosed);
		});
	}

	#[test]
	fn phase_waits_for_the_vote_that_decides() {
		run(|| {
			commit_all();
			let members = committee();
			assert_ok!(vote(&members[0], |_| true));
			assert_ok!(vote(&members[1], |i| i != 2));
			// Update 2 has one vote of the two it needs, and one member is still to vote.
			assert_eq!(phase(), Phase::Availability);
			assert_ok!(vote(&members[2], |i| i != 2));
			assert_eq!(phase(), Phase::Aggregate);
			assert_eq!(round().included, vec![0b1011]);
		});
	}

	#[test]
	fn undecided_update_is_left_out_at_the_deadline() {
		run(|| {
			commit_all();
			let members = committee();
			assert_ok!(vote(&members[0], |_| true));
			assert_ok!(vote(&members[1], |i| i < 2));
			pass_blocks(6);
			assert_noop!(vote(&members[2], |_| true), Error::<Test>::WindowClosed);
			assert_ok!(Training::advance(signed(20), 0));
			assert_eq!((phase(), round().included), (Phase::Aggregate, vec![0b0011]));
		});
	}

	#[test]
	fn vote_is_rejected_when_it_is_malformed_doubled_or_not_the_callers() {
		run(|| {
			assert_noop!(vote(&acc(1), |_| true), Error::<Test>::WindowClosed);
			commit_all();
			let members = committee();
			let raw = |bytes: &[u8], attempt| {
				Training::vote_availability(
					RuntimeOrigin::signed(members[0].clone()),
					0,
					0,
					attempt,
					BoundedVec::truncate_from(bytes.to_vec()),
				)
			};
			assert_noop!(raw(&[], 0), Error::<Test>::MalformedBitmap);
			assert_noop!(raw(&[0b1_0000], 0), Error::<Test>::MalformedBitmap);
			assert_noop!(raw(&[1, 0], 0), Error::<Test>::MalformedBitmap);
			assert_noop!(raw(&[1], 1), Error::<Test>::WrongAttempt);
			assert_noop!(vote(&acc(12), |_| true), Error::<Test>::NotOnCommittee);
			assert_ok!(raw(&[1], 0));
			assert_noop!(raw(&[1], 0), Error::<Test>::AlreadyVoted);
			let empty = BoundedVec::new;
			assert_noop!(
				Training::vote_availability(signed(1), 9, 0, 0, empty()),
				Error::<Test>::UnknownProgramme
			);
			assert_noop!(Training::vote_availability(signed(1), 0, 1, 0, empty()), Error::<Test>::WrongRound);
			for origin in [RuntimeOrigin::root(), RuntimeOrigin::none()] {
				assert_noop!(Training::vote_availability(origin, 0, 0, 0, empty()), DispatchError::BadOrigin);
			}
		});
	}
}

mod aggregate {
	use super::*;

	fn included() -> Vec<sp_core::crypto::AccountId32> {
		commit_all();
		let members = committee();
		assert_ok!(vote(&members[0], |_| true));
		assert_ok!(vote(&members[1], |_| true));
		assert_eq!(phase(), Phase::Aggregate);
		members
	}

	#[test]
	fn last_commitment_opens_the_reveal_and_last_reveal_settles() {
		run(|| {
			let members = included();
			let result = next_weights();
			for member in &members {
				assert_eq!(phase(), Phase::Aggregate);
				assert_ok!(commit_result(member, result));
			}
			for member in &members {
				assert_eq!(phase(), Phase::Reveal);
				assert_ok!(reveal(member, result));
			}
			assert_eq!(Training::round_info(0, 0).and_then(|r| r.result), Some(result));
			assert_eq!(Serving::<Test>::iter().count(), 0);
		});
	}

	#[test]
	fn commitment_is_rejected_when_early_doubled_late_or_foreign() {
		run(|| {
			commit_all();
			let members = committee();
			assert_noop!(commit_result(&members[0], hash(9)), Error::<Test>::WindowClosed);
			assert_ok!(vote(&members[0], |_| true));
			assert_ok!(vote(&members[1], |_| true));
			assert_noop!(commit_result(&acc(12), hash(9)), Error::<Test>::NotOnCommittee);
			assert_ok!(commit_result(&members[0], hash(9)));
			assert_noop!(commit_result(&members[0], hash(8)), Error::<Test>::AlreadyCommitted);
			assert_noop!(
				Training::commit_aggregate(signed(1), 9, 0, 0, hash(1)),
				Error::<Test>::UnknownProgramme
			);
			assert_noop!(Training::commit_aggregate(signed(1), 0, 9, 0, hash(1)), Error::<Test>::WrongRound);
			assert_noop!(
				Training::commit_aggregate(signed(1), 0, 0, 9, hash(1)),
				Error::<Test>::WrongAttempt
			);
			for origin in [RuntimeOrigin::root(), RuntimeOrigin::none()] {
				assert_noop!(Training::commit_aggregate(origin, 0, 0, 0, hash(1)), DispatchError::BadOrigin);
			}
			pass_blocks(6);
			assert_noop!(commit_result(&members[1], hash(9)), Error::<Test>::WindowClosed);
		});
	}

	#[test]
	fn reveal_is_rejected_unless_it_opens_the_callers_own_commitment() {
		run(|| {
			let members = included();
			let result = next_weights();
			assert_noop!(reveal(&members[0], result), Error::<Test>::WindowClosed);
			assert_ok!(commit_result(&members[0], result));
			// A copied commitment is worthless: the account is inside.
			let copied = cairn_primitives::round::aggregate_commitment(
				&System::block_hash(0),
				0,
				0,
				0,
				members[0].as_ref(),
				&result,
				&quality(),
				&SALT,
			);
			assert_ok!(Training::commit_aggregate(
				RuntimeOrigin::signed(members[1].clone()),
				0,
				0,
				0,
				copied
			));
			pass_blocks(6);
			assert_ok!(Training::advance(signed(20), 0));
			assert_eq!(phase(), Phase::Reveal);
			assert_noop!(reveal(&members[0], hash(9)), Error::<Test>::CommitmentMismatch);
			for malformed in [vec![], vec![100; 3], vec![100; 5], vec![101; 4]] {
				let quality = BoundedVec::truncate_from(malformed);
				assert_noop!(reveal_with(&members[0], result, quality), Error::<Test>::MalformedQuality);
			}
			let other = BoundedVec::truncate_from(vec![99; 4]);
			assert_noop!(reveal_with(&members[0], result, other), Error::<Test>::CommitmentMismatch);
			assert_noop!(
				Training::reveal_aggregate(
					RuntimeOrigin::signed(members[0].clone()),
					0,
					0,
					0,
					result,
					quality(),
					[0; 32]
				),
				Error::<Test>::CommitmentMismatch
			);
			assert_noop!(reveal(&members[1], result), Error::<Test>::CommitmentMismatch);
			assert_noop!(reveal(&members[2], result), Error::<Test>::NotCommitted);
			assert_noop!(reveal(&acc(12), result), Error::<Test>::NotOnCommittee);
			assert_ok!(reveal(&members[0], result));
			assert_noop!(reveal(&members[0], result), Error::<Test>::AlreadyRevealed);
			for origin in [RuntimeOrigin::root(), RuntimeOrigin::none()] {
				assert_noop!(
					Training::reveal_aggregate(origin, 0, 0, 0, result, quality(), SALT),
					DispatchError::BadOrigin
				);
			}
		});
	}
}
