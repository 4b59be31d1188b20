//! No hook does unbounded work: what a block begins with costs less than a stated part of it, however full the state is.

use super::{chain::*, *};
use frame_support::{
	traits::{schedule::DispatchTime, Bounded, Get, OnFinalize, OnIdle, OnInitialize},
	weights::Weight,
	BoundedVec,
};
use sp_runtime::{traits::Dispatchable, Perbill};

/// What all pallets together may take of a block at its beginning. Half of a block is what the scheduler may spend on
/// calls that were voted for.
const MOST: Perbill = Perbill::from_percent(60);
/// The same without anything that is scheduled for the block.
const MOST_AT_REST: Perbill = Perbill::from_percent(5);

const PROGRAMMES: u32 = 300;

fn block() -> Weight {
	<Runtime as frame_system::Config>::BlockWeights::get().max_block
}

fn root(call: impl Into<RuntimeCall>) {
	call.into().dispatch(RuntimeOrigin::root()).expect("root may");
}

fn signed(who: &AccountId, call: impl Into<RuntimeCall>) {
	call.into().dispatch(RuntimeOrigin::signed(who.clone())).expect("it can be done");
}

/// As much of everything as there can be of it: a full pool of aggregators, rounds with a full house of commits, slashes
/// that wait, and many programmes.
fn fill() {
	let treasury = configs::governance::TreasuryAccount::get();
	for (n, programme) in (2..PROGRAMMES).enumerate() {
		let mut settings = settings(3, 1);
		settings.genesis_weights = artifact(5_000 + n as u64);
		root(pallet_governance::Call::open_programme { settings: Box::new(settings) });
		root(pallet_balances::Call::force_transfer {
			source: treasury.clone().into(),
			dest: Rewards::pot(programme).into(),
			value: 3_000 * CRN,
		});
		signed(&account(20), pallet_training::Call::advance { programme });
	}
	// The rest of the pool, each with a device.
	let most: u32 = <Runtime as pallet_training::Config>::MaxAggregators::get();
	let most = most as u8;
	for n in 9..=most {
		let who = account(n);
		if n > PEOPLE {
			root(pallet_balances::Call::force_set_balance { who: who.clone().into(), new_free: WEALTH });
		}
		if n > DEVICES {
			signed(&account(16), register_device(0, who.clone()));
			signed(&who, activate_device(n, n));
		}
		signed(&who, pallet_rewards::Call::bond { amount: 100 * CRN });
		signed(&who, pallet_training::Call::enlist_aggregator {});
	}
	assert_eq!(pallet_training::Aggregators::<Runtime>::get().len(), usize::from(most));
	for n in 1..=3 {
		let round = Training::current_round(0).expect("it runs");
		signed(&account(n), commit_update(&round, n, 0));
	}
	for n in 1..=3u8 {
		for fault in 0..32 {
			Rewards::report_fault(
				&account(n),
				pallet_rewards::FaultKind::Dissented,
				artifact(fault + 100 * u64::from(n)),
			);
		}
	}
	for index in 0..200u32 {
		let track = [
			governance::pallet_custom_origins::Origin::SafetyStop,
			governance::pallet_custom_origins::Origin::ProgrammeAdmin,
		];
		let who = account(18);
		let call = RuntimeCall::from(pallet_governance::Call::pause_programme { programme: index });
		signed(
			&who,
			pallet_referenda::Call::submit {
				proposal_origin: Box::new(track[index as usize % 2].clone().into()),
				proposal: Bounded::Inline(BoundedVec::truncate_from(codec::Encode::encode(&call))),
				enactment_moment: DispatchTime::After(1),
			},
		);
		signed(&who, pallet_referenda::Call::place_decision_deposit { index });
	}
}

/// Fills the agenda of block `when` with root's calls.
fn fill_agenda(when: BlockNumber) {
	let call = RuntimeCall::from(pallet_governance::Call::resume_programme { programme: 0 });
	let most: u32 = <Runtime as pallet_scheduler::Config>::MaxScheduledPerBlock::get();
	for _ in 0..most {
		root(pallet_scheduler::Call::schedule {
			when,
			maybe_periodic: None,
			priority: 0,
			call: Box::new(call.clone()),
		});
	}
}

#[test]
fn hooks_at_the_beginning_of_a_block_stay_below_their_bound_in_a_full_state() {
	let mut chain = Chain::new();
	chain.run(fill);
	chain.next_block(0);
	let (at_rest, full) = chain.run(|| {
		check_invariants().expect("invariants hold");
		let next = System::block_number() + 1;
		fill_agenda(next + 1);
		System::set_block_number(next);
		let at_rest = AllPalletsWithSystem::on_initialize(next);
		System::set_block_number(next + 1);
		(at_rest, AllPalletsWithSystem::on_initialize(next + 1))
	});
	assert!(at_rest.all_lte(MOST_AT_REST * block()), "{at_rest} of {}", block());
	assert!(full.all_lte(MOST * block()), "{full} of {}", block());
	assert!(full.ref_time() > 2 * at_rest.ref_time(), "the agenda was not worked on: {full}");
}

#[test]
fn hooks_of_our_pallets_cost_the_same_in_an_empty_and_in_a_full_state() {
	let cost = |chain: &mut Chain| {
		chain.run(|| {
			let next = System::block_number() + 1;
			macro_rules! hooks {
				($($pallet:ident),+) => {
					[$((
						<$pallet as OnInitialize<BlockNumber>>::on_initialize(next),
						<$pallet as OnIdle<BlockNumber>>::on_idle(next, block()),
						<$pallet as OnFinalize<BlockNumber>>::on_finalize(next),
					)),+]
				};
			}
			hooks!(Provenance, Hardware, Rewards, Training, Governance)
		})
	};
	let empty = cost(&mut Chain::bare(vec![]));
	let mut chain = Chain::new();
	chain.run(fill);
	let full = cost(&mut chain);
	assert_eq!(empty, full);
	// The ledger accounts for what the Merkle mountain range reads of it; the others have no hooks at all.
	for (n, (begin, idle, ())) in full.into_iter().enumerate() {
		assert!(begin.all_lte(Perbill::from_percent(1) * block()), "pallet {n} takes {begin}");
		assert_eq!(idle, Weight::zero());
		assert_eq!(n == 0, begin != Weight::zero(), "pallet {n} has a hook");
	}
}

#[test]
fn block_that_begins_a_session_takes_nothing_but_inherents() {
	// Rotating a session claims the whole block, whatever it costs: the one hook that the bound above leaves out.
	let mut chain = Chain::new();
	chain.run(fill);
	chain.next_block(EPOCH_DURATION);
	let left = chain.run(|| {
		assert!(pallet_session::CurrentIndex::<Runtime>::get() > 0);
		check_invariants().expect("invariants hold");
		block().checked_sub(&System::block_weight().total())
	});
	assert_eq!(left, None);
	// And the next one is an ordinary block again.
	chain.next_block(0);
	let used = chain.run(|| System::block_weight().total());
	assert!(used.all_lte(MOST_AT_REST * block()), "{used}");
}
