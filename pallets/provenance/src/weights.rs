//! Weights of appending: its storage accesses at the runtime's database costs, and its hashing. Benchmarks replace these
//! figures.

use core::marker::PhantomData;
use frame_support::{traits::Get, weights::Weight};

/// What it costs to append. This pallet has no calls: whoever has it append charges for it.
pub trait WeightInfo {
	/// Recording what a programme starts with.
	fn record_start() -> Weight;
	/// Recording a round of `u` updates.
	fn record_round(u: u32) -> Weight;
	/// Telling the root of the block before.
	fn parent_root() -> Weight;
}

/// Weights from the database costs of the runtime.
pub struct DbCosts<T>(PhantomData<T>);

/// Hashing one record into its tree: four compressions of BLAKE3 in WASM, and the record's encoding.
const RECORD: u64 = 2_000_000;

fn cost<T: frame_system::Config>(reads: u64, writes: u64, records: u64) -> Weight {
	Weight::from_parts(20_000_000_u64.saturating_add(RECORD.saturating_mul(records)), 4_000)
		.saturating_add(T::DbWeight::get().reads_writes(reads, writes))
}

impl<T: frame_system::Config> WeightInfo for DbCosts<T> {
	fn record_start() -> Weight {
		cost::<T>(4, 6, 2)
	}
	fn record_round(u: u32) -> Weight {
		cost::<T>(4, 5, u64::from(u).saturating_add(1))
	}
	fn parent_root() -> Weight {
		cost::<T>(1, 0, 0)
	}
}
