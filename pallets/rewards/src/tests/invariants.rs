//! `try_state` must notice what it is there for.

use crate::{
	mock::*, Accounts, Challenges, Contributions, FaultKind, HoldReason, Pending, Pots, SlashCount, Slashes,
};
use frame_support::{
	assert_ok, storage::with_transaction, traits::fungible::MutateHold, traits::tokens::Precision,
};
use sp_runtime::{DispatchError, TransactionOutcome};

/// A chain with something of everything: an open pot, a closed one, a slash, a challenge and a lost one.
fn busy() {
	assert_ok!(Rewards::fund(signed(1), 0, 100));
	assert_ok!(Rewards::fund(signed(2), 1, 100));
	for programme in [0, 1] {
		assert_ok!(Rewards::accrue(programme, 50, &shares([(1, 1), (2, 2)]), 100));
	}
	Rewards::close_pot(1);
	assert_ok!(Rewards::bond(signed(1), 100));
	assert!(Rewards::report_fault(&acc(1), FaultKind::Overturned, evidence(1)).is_some());
	assert_ok!(Rewards::hold_challenge_bond(&acc(1), 10));
	assert_ok!(Rewards::hold_challenge_bond(&acc(2), 10));
	assert!(Rewards::forfeit_challenge_bond(&acc(2), 10, evidence(1)).is_some());
	assert_eq!(Rewards::do_try_state(), Ok(()));
}

#[test]
fn every_broken_invariant_is_noticed() {
	let breaks: [(&str, fn()); 17] = [
		("an account's earnings", || Accounts::<Test>::mutate(0, acc(1), |e| e.owed += 1)),
		("a pot's points", || Pots::<Test>::mutate(0, |p| p.points += 1)),
		("money from nowhere", || Pots::<Test>::mutate(0, |p| p.funded += 1)),
		("money gone", || Pots::<Test>::mutate(0, |p| p.forfeited += p.funded)),
		("too much owed", || {
			Accounts::<Test>::mutate(0, acc(1), |e| e.owed += 1_000);
			Pots::<Test>::mutate(0, |p| p.owed += 1_000);
		}),
		("a pot without its programme", || Pots::<Test>::insert(7, Pots::<Test>::get(0))),
		("earnings without a pot", || Accounts::<Test>::insert(7, acc(1), Accounts::<Test>::get(0, acc(1)))),
		("a contribution without a pot", || Contributions::<Test>::insert(7, acc(1), 10)),
		("a contribution more", || Contributions::<Test>::insert(0, acc(3), 10)),
		("too little kept for refunds", || {
			Pots::<Test>::mutate(1, |p| {
				if let Some(c) = p.closing.as_mut() {
					c.reserved -= 1
				}
			})
		}),
		("a slash without a slot", || Pending::<Test>::remove(acc(1), HoldReason::Bond)),
		("a slot without a slash", || Slashes::<Test>::remove(0)),
		("another amount", || {
			Slashes::<Test>::mutate(0, |s| {
				if let Some(s) = s {
					s.amount += 1
				}
			})
		}),
		("a slash of the future", || SlashCount::<Test>::put(1)),
		("a bond that cannot pay", || {
			assert_ok!(Balances::release(&HoldReason::Bond.into(), &acc(1), 60, Precision::Exact));
		}),
		("a challenge without a hold", || Challenges::<Test>::mutate(acc(1), |c| c.amount += 1)),
		("a hold without a challenge", || {
			assert_ok!(Balances::hold(&HoldReason::ChallengeBond.into(), &acc(2), 1));
		}),
	];
	run(|| {
		busy();
		for (what, break_it) in breaks {
			let noticed = with_transaction(|| {
				break_it();
				TransactionOutcome::Rollback(Ok::<_, DispatchError>(Rewards::do_try_state().is_err()))
			});
			assert_eq!(noticed, Ok(true), "{what}");
		}
	});
}
