//! Weights of the calls: their storage accesses at the runtime's database costs, plus the signature check. Benchmarks
//! replace these figures.

use core::marker::PhantomData;
use frame_support::{traits::Get, weights::Weight};

/// What each call costs.
pub trait WeightInfo {
	/// `register_site`.
	fn register_site() -> Weight;
	/// `register_device`.
	fn register_device() -> Weight;
	/// `activate_device`.
	fn activate_device() -> Weight;
	/// `retire_device`.
	fn retire_device() -> Weight;
}

/// Weights from the database costs of the runtime.
pub struct DbCosts<T>(PhantomData<T>);

fn cost<T: frame_system::Config>(reads: u64, writes: u64, proof: u64) -> Weight {
	Weight::from_parts(20_000_000, proof).saturating_add(T::DbWeight::get().reads_writes(reads, writes))
}

impl<T: frame_system::Config> WeightInfo for DbCosts<T> {
	fn register_site() -> Weight {
		cost::<T>(3, 4, 4_000)
	}
	fn register_device() -> Weight {
		cost::<T>(5, 6, 6_000)
	}
	fn activate_device() -> Weight {
		// One ed25519 verification is about 50 µs.
		cost::<T>(5, 4, 6_000).saturating_add(Weight::from_parts(60_000_000, 0))
	}
	fn retire_device() -> Weight {
		cost::<T>(4, 5, 6_000)
	}
}
