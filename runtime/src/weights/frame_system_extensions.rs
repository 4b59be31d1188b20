//! Weights of `frame_system_extensions`, measured on the runtime's WASM. Made by a program: change the benchmarks instead.
//!
//! ```sh
//! scripts/weights --steps 10 --repeat 3
//! ```
//!
//! 2026-11-21; 2 cores, Intel(R) Xeon(R) Processor @ 2.80GHz; 10 steps, 3 repetitions.
//! Times are picoseconds in memory; the database's come on top, as the runtime's `DbWeight` says. The proof size
//! is 0, because no block of this chain is proven to another one.

use core::marker::PhantomData;
use frame_support::{traits::Get, weights::Weight};

/// What the calls of `frame_system_extensions` cost.
pub struct WeightInfo<T>(PhantomData<T>);

impl<T: frame_system::Config> frame_system::ExtensionsWeightInfo for WeightInfo<T> {
	fn check_genesis() -> Weight {
		// At least 2_911_000 ps.
		Weight::from_parts(2_941_000, 0)
	}
	fn check_mortality_mortal_transaction() -> Weight {
		// At least 5_739_000 ps.
		Weight::from_parts(6_098_000, 0)
	}
	fn check_mortality_immortal_transaction() -> Weight {
		// At least 5_573_000 ps.
		Weight::from_parts(5_810_000, 0)
	}
	fn check_non_zero_sender() -> Weight {
		// At least 760_000 ps.
		Weight::from_parts(782_000, 0)
	}
	/// Storage: `System::Account` (r:1 w:1)
	fn check_nonce() -> Weight {
		// At least 10_738_000 ps.
		Weight::from_parts(10_893_000, 0)
			.saturating_add(T::DbWeight::get().reads(1))
			.saturating_add(T::DbWeight::get().writes(1))
	}
	fn check_spec_version() -> Weight {
		// At least 613_000 ps.
		Weight::from_parts(643_000, 0)
	}
	fn check_tx_version() -> Weight {
		// At least 631_000 ps.
		Weight::from_parts(670_000, 0)
	}
	fn check_weight() -> Weight {
		// At least 6_839_000 ps.
		Weight::from_parts(6_944_000, 0)
	}
	fn weight_reclaim() -> Weight {
		// At least 3_504_000 ps.
		Weight::from_parts(3_710_000, 0)
	}
}
