//! Weights of the calls: their storage accesses at the runtime's database costs. Benchmarks replace these figures.

use core::marker::PhantomData;
use frame_support::{traits::Get, weights::Weight};

/// What each call costs.
pub trait WeightInfo {
	/// `bond`.
	fn bond() -> Weight;
	/// `unbond`.
	fn unbond() -> Weight;
	/// `fund`.
	fn fund() -> Weight;
	/// `claim`.
	fn claim() -> Weight;
}

/// Weights from the database costs of the runtime.
pub struct DbCosts<T>(PhantomData<T>);

fn cost<T: frame_system::Config>(reads: u64, writes: u64, proof: u64) -> Weight {
	Weight::from_parts(20_000_000, proof).saturating_add(T::DbWeight::get().reads_writes(reads, writes))
}

impl<T: frame_system::Config> WeightInfo for DbCosts<T> {
	fn bond() -> Weight {
		cost::<T>(2, 2, 4_000)
	}
	fn unbond() -> Weight {
		cost::<T>(4, 2, 6_000)
	}
	fn fund() -> Weight {
		cost::<T>(3, 2, 6_000)
	}
	fn claim() -> Weight {
		cost::<T>(4, 4, 8_000)
	}
}
