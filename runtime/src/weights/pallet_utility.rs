//! Weights of `pallet_utility`, measured on the runtime's WASM. Made by a program: change the benchmarks instead.
//!
//! ```sh
//! scripts/weights --steps 10 --repeat 3
//! ```
//!
//! 2026-11-21; 2 cores, Intel(R) Xeon(R) Processor @ 2.80GHz; 10 steps, 3 repetitions.
//! Times are picoseconds in memory; the database's come on top, as the runtime's `DbWeight` says. The proof size
//! is 0, because no block of this chain is proven to another one.

use core::marker::PhantomData;
use frame_support::weights::Weight;

/// What the calls of `pallet_utility` cost.
pub struct WeightInfo<T>(PhantomData<T>);

impl<T: frame_system::Config> pallet_utility::WeightInfo for WeightInfo<T> {
	/// `c` was measured in `[0, 1000]`.
	fn batch(c: u32) -> Weight {
		// At least 7_172_000 ps.
		Weight::from_parts(7_172_000, 0)
			.saturating_add(Weight::from_parts(4_930_115, 0).saturating_mul(c.into()))
	}
	fn as_derivative() -> Weight {
		// At least 9_314_000 ps.
		Weight::from_parts(9_795_000, 0)
	}
	/// `c` was measured in `[0, 1000]`.
	fn batch_all(c: u32) -> Weight {
		// At least 9_747_000 ps.
		Weight::from_parts(124_423_670, 0)
			.saturating_add(Weight::from_parts(4_790_759, 0).saturating_mul(c.into()))
	}
	fn dispatch_as() -> Weight {
		// At least 10_097_000 ps.
		Weight::from_parts(10_679_000, 0)
	}
	/// `c` was measured in `[0, 1000]`.
	fn force_batch(c: u32) -> Weight {
		// At least 6_909_000 ps.
		Weight::from_parts(6_909_000, 0)
			.saturating_add(Weight::from_parts(4_941_015, 0).saturating_mul(c.into()))
	}
	fn dispatch_as_fallible() -> Weight {
		// At least 10_049_000 ps.
		Weight::from_parts(10_797_000, 0)
	}
	fn if_else() -> Weight {
		// At least 12_710_000 ps.
		Weight::from_parts(13_142_000, 0)
	}
}
