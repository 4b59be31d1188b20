//! Weights of `frame_system_extensions`, measured on the runtime's WASM. Made by a program: change the benchmarks instead.
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

/// What the calls of `frame_system_extensions` cost.
pub struct WeightInfo<T>(PhantomData<T>);

impl<T: frame_system::Config> frame_system::ExtensionsWeightInfo for WeightInfo<T> {
	fn check_genesis() -> Weight {
		// At least 5_542_000 ps.
		Weight::from_parts(5_848_000, 0)
	}
	fn check_mortality_mortal_transaction() -> Weight {
		// At least 11_609_000 ps.
		Weight::from_parts(12_382_000, 0)
	}
	fn check_mortality_immortal_transaction() -> Weight {
		// At least 8_981_000 ps.
		Weight::from_parts(12_014_000, 0)
	}
	fn check_non_zero_sender() -> Weight {
		// At least 1_739_000 ps.
		Weight::from_parts(1_927_000, 0)
	}
	/// Storage: `System::Account` (r:1 w:1)
	fn check_nonce() -> Weight {
		// At least 19_446_000 ps.
		Weight::from_parts(20_715_000, 0)
			.saturating_add(T::DbWeight::get().reads(1))
			.saturating_add(T::DbWeight::get().writes(1))
	}
	fn check_spec_version() -> Weight {
		// At least 1_301_000 ps.
		Weight::from_parts(1_436_000, 0)
	}
	fn check_tx_version() -> Weight {
		// At least 1_058_000 ps.
		Weight::from_parts(1_248_000, 0)
	}
	fn check_weight() -> Weight {
		// At least 11_627_000 ps.
		Weight::from_parts(12_701_000, 0)
	}
	fn weight_reclaim() -> Weight {
		// At least 6_648_000 ps.
		Weight::from_parts(6_973_000, 0)
	}
}
