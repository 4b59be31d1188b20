//! Weights of `pallet_provenance`, measured on the runtime's WASM. Made by a program: change the benchmarks instead.
//!
//! ```sh
//! scripts/weights --steps 10 --repeat 5
//! ```
//!
//! 2026-11-21; 2 cores, Intel(R) Xeon(R) Processor @ 2.80GHz; 10 steps, 5 repetitions.
//! Times are picoseconds in memory; the database's come on top, as the runtime's `DbWeight` says. The proof size
//! is 0, because no block of this chain is proven to another one.

use core::marker::PhantomData;
use frame_support::{traits::Get, weights::Weight};

/// What the calls of `pallet_provenance` cost.
pub struct WeightInfo<T>(PhantomData<T>);

impl<T: frame_system::Config> pallet_provenance::WeightInfo for WeightInfo<T> {
	/// Storage: `Provenance::BatchCount` (r:1 w:1)
	/// Storage: `Provenance::Batches` (r:0 w:1)
	/// Storage: `Provenance::Newest` (r:1 w:1)
	/// Storage: `Provenance::RecordCount` (r:1 w:1)
	/// Storage: `Provenance::StartRecords` (r:0 w:1)
	/// Storage: `Provenance::WeightsRecord` (r:1 w:1)
	fn record_start() -> Weight {
		// At least 51_576_000 ps.
		Weight::from_parts(73_950_000, 0)
			.saturating_add(T::DbWeight::get().reads(4))
			.saturating_add(T::DbWeight::get().writes(6))
	}
	/// Storage: `Provenance::BatchCount` (r:1 w:1)
	/// Storage: `Provenance::Batches` (r:0 w:1)
	/// Storage: `Provenance::Newest` (r:1 w:1)
	/// Storage: `Provenance::RecordCount` (r:1 w:1)
	/// Storage: `Provenance::WeightsRecord` (r:1 w:1)
	/// `u` was measured in `[1, 1024]`.
	fn record_round(u: u32) -> Weight {
		// At least 74_528_000 ps.
		Weight::from_parts(74_991_000, 0)
			.saturating_add(Weight::from_parts(6_930_332, 0).saturating_mul(u.into()))
			.saturating_add(T::DbWeight::get().reads(4))
			.saturating_add(T::DbWeight::get().writes(5))
	}
	/// Storage: `Provenance::Newest` (r:1 w:0)
	fn parent_root() -> Weight {
		// At least 21_062_000 ps.
		Weight::from_parts(29_275_000, 0).saturating_add(T::DbWeight::get().reads(1))
	}
}
