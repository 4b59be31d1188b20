//! Weights of `pallet_utility`, measured on the runtime's WASM. Made by a program: change the benchmarks instead.
//!
//! ```sh
//! scripts/weights --steps 10 --repeat 5
//! ```
//!
//! 2026-11-21; 2 cores, Intel(R) Xeon(R) Processor @ 2.80GHz; 10 steps, 5 repetitions.
//! Times are picoseconds in memory; the database's come on top, as the runtime's `DbWeight` says. The proof size
//! is 0, because no block of this chain is proven to another one.

use core::marker::PhantomData;
use frame_support::weights::Weight;

/// What the calls of `pallet_utility` cost.
pub struct WeightInfo<T>(PhantomData<T>);

impl<T: frame_system::Config> pallet_utility::WeightInfo for WeightInfo<T> {
	/// `c` was measured in `[0, 1000]`.
	fn batch(c: u32) -> Weight {
		// At least 6_918_000 ps.
		Weight::from_parts(7_161_000, 0)
			.saturating_add(Weight::from_parts(6_511_558, 0).saturating_mul(c.into()))
	}
	fn as_derivative() -> Weight {
		// At least 14_313_000 ps.
		Weight::from_parts(16_407_000, 0)
	}
	/// `c` was measured in `[0, 1000]`.
	fn batch_all(c: u32) -> Weight {
		// At least 11_280_000 ps.
		Weight::from_parts(11_696_000, 0)
			.saturating_add(Weight::from_parts(7_706_555, 0).saturating_mul(c.into()))
	}
	fn dispatch_as() -> Weight {
		// At least 20_509_000 ps.
		Weight::from_parts(21_358_000, 0)
	}
	/// `c` was measured in `[0, 1000]`.
	fn force_batch(c: u32) -> Weight {
		// At least 15_309_000 ps.
		Weight::from_parts(665_349_168, 0)
			.saturating_add(Weight::from_parts(5_430_598, 0).saturating_mul(c.into()))
	}
	fn dispatch_as_fallible() -> Weight {
		// At least 20_081_000 ps.
		Weight::from_parts(20_695_000, 0)
	}
	fn if_else() -> Weight {
		// At least 25_063_000 ps.
		Weight::from_parts(26_771_000, 0)
	}
}
