//! Weights of the calls: their storage accesses at the runtime's database costs. Benchmarks replace these figures.

use core::marker::PhantomData;
use frame_support::{traits::Get, weights::Weight};

/// What the calls cost, and what moving a round on costs on top of the call that does it.
pub trait WeightInfo {
	/// `enlist_aggregator` and `delist_aggregator`.
	fn enlist() -> Weight;
	/// `commit_update`, without moving on.
	fn commit_update() -> Weight;
	/// `vote_availability`, `commit_aggregate` or `reveal_aggregate` on a committee of `c`, without moving on.
	fn member_call(c: u32) -> Weight;
	/// `advance`, without moving on.
	fn advance() -> Weight;
	/// Fixing which of `u` updates are included.
	fn include(u: u32) -> Weight;
	/// Drawing a committee of `c` from `a` enlisted aggregators.
	fn draw(a: u32, c: u32) -> Weight;
	/// Settling a round of `u` updates and a committee of `c`, opening the next one included.
	fn settle(u: u32, c: u32) -> Weight;
}

/// Weights from the database costs of the runtime.
pub struct DbCosts<T>(PhantomData<T>);

fn cost<T: frame_system::Config>(reads: u64, writes: u64, proof: u64) -> Weight {
	Weight::from_parts(20_000_000, proof).saturating_add(T::DbWeight::get().reads_writes(reads, writes))
}

impl<T: frame_system::Config> WeightInfo for DbCosts<T> {
	fn enlist() -> Weight {
		cost::<T>(4, 1, 12_000)
	}
	fn commit_update() -> Weight {
		cost::<T>(9, 4, 12_000)
	}
	fn member_call(c: u32) -> Weight {
		cost::<T>(u64::from(c) + 4, 3, 12_000)
	}
	fn advance() -> Weight {
		cost::<T>(4, 1, 8_000)
	}
	fn include(u: u32) -> Weight {
		// For each update its commit, the charter, the device and its evidence.
		cost::<T>(4 * u64::from(u) + 2, 2, 4_000 + 500 * u64::from(u))
	}
	fn draw(a: u32, c: u32) -> Weight {
		// Two reads for each candidate's device, two for what the charter asks of it, one hash for each seat, and a write
		// for each member in and out.
		cost::<T>(4 * u64::from(a) + 2 + u64::from(c), 3 * u64::from(c) + 2, 4_000 + 200 * u64::from(a))
	}
	fn settle(u: u32, c: u32) -> Weight {
		// For each update: commit and earnings read, two records, earnings and two removals written.
		let (u, c) = (u64::from(u), u64::from(c));
		cost::<T>(3 * u + 3 * c + 8, 5 * u + 3 * c + 9, 8_000 + 500 * u + 300 * c)
	}
}
