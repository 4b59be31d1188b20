//! What appending costs.

use super::*;
use cairn_primitives::ledger::Frontier;
use frame_benchmarking::v2::*;
use sp_runtime::traits::One;

/// The most updates that a round is measured with.
const MAX_UPDATES: u32 = 1_024;

fn hash(n: u32) -> H256 {
	let mut bytes = [0; 32];
	bytes[28..].copy_from_slice(&n.saturating_add(1).to_be_bytes());
	H256(bytes)
}

#[benchmarks]
mod benchmarks {
	use super::*;

	#[benchmark]
	fn record_start() {
		let before = RecordCount::<T>::get();
		#[block]
		{
			Pallet::<T>::record_start(7, hash(0), hash(1));
		}
		assert_eq!(RecordCount::<T>::get(), before + u64::from(START_RECORDS));
	}

	#[benchmark]
	fn record_round(u: Linear<1, MAX_UPDATES>) {
		let base = Pallet::<T>::record_start(7, hash(0), hash(1));
		let updates = (0..u)
			.map(|n| IncludedUpdate {
				producer: account("producer", n, 0),
				device: n,
				site: n,
				artifact: hash(n.saturating_add(2)),
			})
			.collect();
		let records;
		#[block]
		{
			records =
				Pallet::<T>::record_round(7, 0, base, updates, hash(MAX_UPDATES.saturating_add(2)), hash(0));
		}
		assert_eq!(records.updates.count, u);
		assert_eq!(Pallet::<T>::batch_of(records.weights).map(|(_, b)| b.count), Some(u + 1));
	}

	#[benchmark]
	fn parent_root() {
		// One batch less than a power of two has the most peaks to join.
		let mut tree = Frontier::default();
		for n in 0..1_023 {
			tree.push(hash(n));
		}
		let block = frame_system::Pallet::<T>::block_number();
		Newest::<T>::put(BlockBatches { block, tree: tree.clone(), before: None });
		frame_system::Pallet::<T>::set_block_number(block + One::one());
		let root;
		#[block]
		{
			root = Pallet::<T>::parent_root();
		}
		assert_eq!(root, tree.root());
	}

	impl_benchmark_test_suite!(Pallet, crate::mock::chain(), crate::mock::Test);
}
