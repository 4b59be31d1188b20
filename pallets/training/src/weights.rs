//! Weights of the calls: their storage accesses at the runtime's database costs. Benchmarks replace these figures.

use core::marker::PhantomData;
use frame_support::{traits::Get, weights::Weight};

/// What the calls cost, and what moving a round on costs on top of the call that does it.
pub trait WeightInfo {
	/// `enlist_aggregator` and `delist_aggregator`, in a full pool.
	fn enlist() -> Weight;
	/// `commit_update`, without moving on.
	fn commit_update() -> Weight;
	/// `vote_availability` over `u` commits on a committee of `c`, without moving on.
	fn vote_availability(u: u32, c: u32) -> Weight;
	/// `commit_aggregate` on a committee of `c`, which opens the reveal with the last one.
	fn commit_aggregate(c: u32) -> Weight;
	/// `reveal_aggregate` of `u` included updates on a committee of `c`, without settling.
	fn reveal_aggregate(u: u32, c: u32) -> Weight;
	/// `advance`, without moving on.
	fn advance() -> Weight;
	/// `challenge`, without drawing the auditors.
	fn challenge() -> Weight;
	/// Drawing a committee of `c` from `a` enlisted aggregators.
	fn draw(a: u32, c: u32) -> Weight;
	/// Settling which of `u` commits are included, by the votes of a committee of `c`.
	fn include(u: u32, c: u32) -> Weight;
	/// Settling a round of `u` updates and `c` committee members and auditors, opening the next one included.
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
	fn vote_availability(u: u32, c: u32) -> Weight {
		cost::<T>(u64::from(c) + 4, 2, 12_000 + 20 * u64::from(u)).saturating_add(bits(u, c))
	}
	fn commit_aggregate(c: u32) -> Weight {
		cost::<T>(u64::from(c) + 4, 3, 12_000)
	}
	fn reveal_aggregate(u: u32, c: u32) -> Weight {
		// One more write of `u` bytes, and their hash twice.
		cost::<T>(u64::from(c) + 6, 3, 12_000 + u64::from(u))
			.saturating_add(Weight::from_parts(20_000 * u64::from(u), 0))
	}
	fn advance() -> Weight {
		cost::<T>(4, 1, 8_000)
	}
	fn challenge() -> Weight {
		// The bond's hold and its count, the dispute; the panel's members move from their entries into it.
		cost::<T>(10, 8, 16_000)
	}
	fn draw(a: u32, c: u32) -> Weight {
		// For each candidate its device, its bond with what is pending of it and what the charter asks of it, and a hash
		// for each ticket; for each member a write in and out.
		let (a, c) = (u64::from(a), u64::from(c));
		cost::<T>(6 * a + 2 + c, 3 * c + 2, 4_000 + 600 * a)
			.saturating_add(Weight::from_parts(10_000_000 * a, 0))
	}
	fn include(u: u32, c: u32) -> Weight {
		// For each update its commit, the charter, the device and its evidence.
		cost::<T>(u64::from(c) + 4 * u64::from(u) + 2, 2, 4_000 + 500 * u64::from(u))
			.saturating_add(bits(u, c))
	}
	fn settle(u: u32, c: u32) -> Weight {
		// For each update: commit and earnings read, two records, earnings and two removals written. For each member its
		// seat, its earnings, and its slash.
		let (u, c) = (u64::from(u), u64::from(c));
		cost::<T>(3 * u + 8 * c + 12, 5 * u + 8 * c + 14, 8_000 + 500 * u + 600 * c)
	}
}

/// Looking at each of `u` bits in each of `c` votes.
fn bits(u: u32, c: u32) -> Weight {
	Weight::from_parts(u64::from(u).saturating_mul(u64::from(c)).saturating_mul(5_000), 0)
}
