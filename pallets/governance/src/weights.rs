//! Weights of the calls: their storage accesses at the runtime's database costs. Benchmarks replace these figures.

use core::marker::PhantomData;
use frame_support::{traits::Get, weights::Weight};

/// What the calls cost.
pub trait WeightInfo {
	/// `set_charter`.
	fn set_charter() -> Weight;
	/// `open_programme`.
	fn open_programme() -> Weight;
	/// `amend_programme`, opening a round included.
	fn amend_programme() -> Weight;
	/// `pause_programme`.
	fn pause_programme() -> Weight;
	/// `resume_programme`, opening a round included.
	fn resume_programme() -> Weight;
	/// `close_programme`, without settling the running round.
	fn close_programme() -> Weight;
	/// `set_validators` with `v` of them.
	fn set_validators(v: u32) -> Weight;
}

/// Weights from the database costs of the runtime.
pub struct DbCosts<T>(PhantomData<T>);

fn cost<T: frame_system::Config>(reads: u64, writes: u64, proof: u64) -> Weight {
	Weight::from_parts(20_000_000, proof).saturating_add(T::DbWeight::get().reads_writes(reads, writes))
}

impl<T: frame_system::Config> WeightInfo for DbCosts<T> {
	fn set_charter() -> Weight {
		cost::<T>(0, 1, 0)
	}
	fn open_programme() -> Weight {
		// Counter, charter, pot and totals; two records with their indexes, the programme and its round.
		cost::<T>(9, 9, 12_000)
	}
	fn amend_programme() -> Weight {
		cost::<T>(6, 2, 12_000)
	}
	fn pause_programme() -> Weight {
		cost::<T>(1, 1, 4_000)
	}
	fn resume_programme() -> Weight {
		cost::<T>(6, 2, 12_000)
	}
	fn close_programme() -> Weight {
		cost::<T>(4, 3, 8_000)
	}
	fn set_validators(v: u32) -> Weight {
		cost::<T>(u64::from(v), 1, 300 * u64::from(v))
	}
}
