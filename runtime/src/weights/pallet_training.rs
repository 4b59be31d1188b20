//! Weights of `pallet_training`, measured on the runtime's WASM. Made by a program: change the benchmarks instead.
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

/// What the calls of `pallet_training` cost.
pub struct WeightInfo<T>(PhantomData<T>);

impl<T: frame_system::Config> pallet_training::WeightInfo for WeightInfo<T> {
	/// Storage: `Balances::Holds` (r:1 w:0)
	/// Storage: `Hardware::DeviceOf` (r:1 w:0)
	/// Storage: `Hardware::Devices` (r:1 w:0)
	/// Storage: `Rewards::Pending` (r:1 w:0)
	/// Storage: `Training::Aggregators` (r:1 w:1)
	fn enlist() -> Weight {
		// At least 101_338_000 ps.
		Weight::from_parts(115_583_000, 0)
			.saturating_add(T::DbWeight::get().reads(5))
			.saturating_add(T::DbWeight::get().writes(1))
	}
	/// Storage: `Governance::CurrentCharter` (r:1 w:0)
	/// Storage: `Hardware::DeviceOf` (r:1 w:0)
	/// Storage: `Hardware::Devices` (r:1 w:0)
	/// Storage: `Provenance::WeightsRecord` (r:1 w:0)
	/// Storage: `Training::Commits` (r:1 w:1)
	fn commit_update() -> Weight {
		// At least 129_413_000 ps.
		Weight::from_parts(136_633_000, 0)
			.saturating_add(T::DbWeight::get().reads(5))
			.saturating_add(T::DbWeight::get().writes(1))
	}
	/// Storage: `Training::Members` (r:32 w:1)
	/// Storage: `Training::Programmes` (r:1 w:0)
	/// Storage: `Training::Running` (r:1 w:0)
	/// `u` was measured in `[1, 1024]`.
	/// `c` was measured in `[2, 32]`.
	fn vote_availability(u: u32, c: u32) -> Weight {
		// At least 104_770_000 ps.
		Weight::from_parts(76_034_295, 0)
			.saturating_add(Weight::from_parts(37_491, 0).saturating_mul(u.into()))
			.saturating_add(Weight::from_parts(7_664_415, 0).saturating_mul(c.into()))
			.saturating_add(T::DbWeight::get().reads(2))
			.saturating_add(T::DbWeight::get().reads(c.into()))
			.saturating_add(T::DbWeight::get().writes(1))
	}
	/// Storage: `Training::Members` (r:32 w:1)
	/// Storage: `Training::Programmes` (r:1 w:0)
	/// Storage: `Training::Running` (r:1 w:1)
	/// `c` was measured in `[1, 32]`.
	fn commit_aggregate(c: u32) -> Weight {
		// At least 48_353_000 ps.
		Weight::from_parts(92_095_629, 0)
			.saturating_add(Weight::from_parts(7_423_619, 0).saturating_mul(c.into()))
			.saturating_add(T::DbWeight::get().reads(2))
			.saturating_add(T::DbWeight::get().reads(c.into()))
			.saturating_add(T::DbWeight::get().writes(2))
	}
	/// Storage: `System::BlockHash` (r:1 w:0)
	/// Storage: `Training::Members` (r:32 w:1)
	/// Storage: `Training::Programmes` (r:1 w:0)
	/// Storage: `Training::Qualities` (r:1 w:1)
	/// Storage: `Training::Running` (r:1 w:0)
	/// `u` was measured in `[1, 1024]`.
	/// `c` was measured in `[2, 32]`.
	fn reveal_aggregate(u: u32, c: u32) -> Weight {
		// At least 89_047_000 ps.
		Weight::from_parts(20_849_951, 0)
			.saturating_add(Weight::from_parts(96_845, 0).saturating_mul(u.into()))
			.saturating_add(Weight::from_parts(8_460_071, 0).saturating_mul(c.into()))
			.saturating_add(T::DbWeight::get().reads(4))
			.saturating_add(T::DbWeight::get().reads(c.into()))
			.saturating_add(T::DbWeight::get().writes(2))
	}
	/// Storage: `Training::Members` (r:1 w:0)
	/// Storage: `Training::Programmes` (r:1 w:0)
	/// Storage: `Training::Running` (r:1 w:1)
	fn advance() -> Weight {
		// At least 45_453_000 ps.
		Weight::from_parts(51_415_000, 0)
			.saturating_add(T::DbWeight::get().reads(3))
			.saturating_add(T::DbWeight::get().writes(1))
	}
	/// Storage: `Balances::Holds` (r:1 w:1)
	/// Storage: `Rewards::Challenges` (r:1 w:1)
	/// Storage: `Rewards::Pending` (r:1 w:0)
	/// Storage: `Training::Aggregators` (r:1 w:0)
	/// Storage: `Training::Disputes` (r:0 w:1)
	/// Storage: `Training::Members` (r:31 w:31)
	/// Storage: `Training::Programmes` (r:1 w:0)
	/// Storage: `Training::Running` (r:1 w:1)
	/// Storage: `Training::Serving` (r:32 w:32)
	fn challenge() -> Weight {
		// At least 797_395_000 ps.
		Weight::from_parts(910_812_000, 0)
			.saturating_add(T::DbWeight::get().reads(69))
			.saturating_add(T::DbWeight::get().writes(67))
	}
	/// Storage: `Babe::EpochStart` (r:1 w:0)
	/// Storage: `Babe::NextRandomness` (r:1 w:0)
	/// Storage: `Balances::Holds` (r:128 w:0)
	/// Storage: `Governance::CurrentCharter` (r:1 w:0)
	/// Storage: `Hardware::DeviceOf` (r:128 w:0)
	/// Storage: `Hardware::Devices` (r:128 w:0)
	/// Storage: `Rewards::Pending` (r:128 w:0)
	/// Storage: `Training::Aggregators` (r:1 w:0)
	/// Storage: `Training::Running` (r:0 w:1)
	/// Storage: `Training::Serving` (r:32 w:32)
	/// `a` was measured in `[1, 128]`.
	/// `c` was measured in `[0, 32]`.
	fn draw(a: u32, c: u32) -> Weight {
		// At least 86_540_000 ps.
		Weight::from_parts(86_765_000, 0)
			.saturating_add(Weight::from_parts(53_819_586, 0).saturating_mul(a.into()))
			.saturating_add(Weight::from_parts(26_131_552, 0).saturating_mul(c.into()))
			.saturating_add(T::DbWeight::get().reads(9))
			.saturating_add(T::DbWeight::get().reads(4_u64.saturating_mul(a.into())))
			.saturating_add(T::DbWeight::get().reads(c.into()))
			.saturating_add(T::DbWeight::get().writes(1))
			.saturating_add(T::DbWeight::get().writes(c.into()))
	}
	/// Storage: `Governance::CurrentCharter` (r:1 w:0)
	/// Storage: `Hardware::Devices` (r:1024 w:0)
	/// Storage: `Training::CommitOrder` (r:1 w:0)
	/// Storage: `Training::Members` (r:32 w:0)
	/// Storage: `Training::Programmes` (r:1 w:0)
	/// Storage: `Training::Running` (r:1 w:1)
	/// `u` was measured in `[1, 1024]`.
	/// `c` was measured in `[1, 32]`.
	fn include(u: u32, c: u32) -> Weight {
		// At least 207_905_000 ps.
		Weight::from_parts(209_432_000, 0)
			.saturating_add(Weight::from_parts(38_170_554, 0).saturating_mul(u.into()))
			.saturating_add(T::DbWeight::get().reads(4))
			.saturating_add(T::DbWeight::get().reads(u.into()))
			.saturating_add(T::DbWeight::get().reads(c.into()))
			.saturating_add(T::DbWeight::get().writes(1))
	}
	/// Storage: `Balances::Holds` (r:10 w:0)
	/// Storage: `Governance::CurrentCharter` (r:1 w:0)
	/// Storage: `Provenance::BatchCount` (r:1 w:1)
	/// Storage: `Provenance::Batches` (r:0 w:1)
	/// Storage: `Provenance::Newest` (r:1 w:1)
	/// Storage: `Provenance::RecordCount` (r:1 w:1)
	/// Storage: `Provenance::WeightsRecord` (r:1 w:1)
	/// Storage: `Rewards::Accounts` (r:1046 w:1046)
	/// Storage: `Rewards::Fractions` (r:1 w:0)
	/// Storage: `Rewards::Pending` (r:10 w:10)
	/// Storage: `Rewards::Pots` (r:1 w:1)
	/// Storage: `Rewards::SlashCount` (r:1 w:1)
	/// Storage: `Rewards::Slashes` (r:0 w:10)
	/// Storage: `System::Account` (r:1 w:0)
	/// Storage: `System::BlockHash` (r:1 w:0)
	/// Storage: `Training::CommitOrder` (r:1 w:1)
	/// Storage: `Training::Commits` (r:1024 w:1024)
	/// Storage: `Training::Disputes` (r:1 w:0)
	/// Storage: `Training::Members` (r:32 w:32)
	/// Storage: `Training::Programmes` (r:1 w:1)
	/// Storage: `Training::Qualities` (r:1 w:11)
	/// Storage: `Training::Running` (r:1 w:1)
	/// Storage: `Training::Serving` (r:32 w:32)
	/// Storage: `Training::Settled` (r:0 w:1)
	/// `u` was measured in `[1, 1024]`.
	/// `c` was measured in `[1, 32]`.
	fn settle(u: u32, c: u32) -> Weight {
		// At least 2_051_920_000 ps.
		Weight::from_parts(2_076_356_000, 0)
			.saturating_add(Weight::from_parts(29_247_775, 0).saturating_mul(u.into()))
			.saturating_add(Weight::from_parts(32_756_124, 0).saturating_mul(c.into()))
			.saturating_add(T::DbWeight::get().reads(13))
			.saturating_add(T::DbWeight::get().reads(2_u64.saturating_mul(u.into())))
			.saturating_add(T::DbWeight::get().reads(3_u64.saturating_mul(c.into())))
			.saturating_add(T::DbWeight::get().writes(10))
			.saturating_add(T::DbWeight::get().writes(2_u64.saturating_mul(u.into())))
			.saturating_add(T::DbWeight::get().writes(4_u64.saturating_mul(c.into())))
	}
}
