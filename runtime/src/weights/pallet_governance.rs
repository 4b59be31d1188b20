//! Weights of `pallet_governance`, measured on the runtime's WASM. Made by a program: change the benchmarks instead.
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

/// What the calls of `pallet_governance` cost.
pub struct WeightInfo<T>(PhantomData<T>);

impl<T: frame_system::Config> pallet_governance::WeightInfo for WeightInfo<T> {
	/// Storage: `Governance::CurrentCharter` (r:0 w:1)
	fn set_charter() -> Weight {
		// At least 54_446_000 ps.
		Weight::from_parts(54_458_000, 0).saturating_add(T::DbWeight::get().writes(1))
	}
	/// Storage: `Governance::CurrentCharter` (r:1 w:0)
	/// Storage: `Provenance::BatchCount` (r:1 w:1)
	/// Storage: `Provenance::Batches` (r:0 w:1)
	/// Storage: `Provenance::Newest` (r:1 w:1)
	/// Storage: `Provenance::RecordCount` (r:1 w:1)
	/// Storage: `Provenance::StartRecords` (r:0 w:1)
	/// Storage: `Provenance::WeightsRecord` (r:1 w:1)
	/// Storage: `Rewards::Pots` (r:1 w:0)
	/// Storage: `System::Account` (r:1 w:0)
	/// Storage: `Training::ProgrammeCount` (r:1 w:1)
	/// Storage: `Training::Programmes` (r:0 w:1)
	/// Storage: `Training::Running` (r:0 w:1)
	/// Storage: `Training::Settled` (r:1 w:0)
	fn open_programme() -> Weight {
		// At least 203_848_000 ps.
		Weight::from_parts(244_824_000, 0)
			.saturating_add(T::DbWeight::get().reads(9))
			.saturating_add(T::DbWeight::get().writes(9))
	}
	/// Storage: `Governance::CurrentCharter` (r:1 w:0)
	/// Storage: `Rewards::Pots` (r:1 w:0)
	/// Storage: `System::Account` (r:1 w:0)
	/// Storage: `Training::Programmes` (r:1 w:1)
	/// Storage: `Training::Running` (r:0 w:1)
	/// Storage: `Training::Settled` (r:1 w:0)
	fn amend_programme() -> Weight {
		// At least 139_657_000 ps.
		Weight::from_parts(140_997_000, 0)
			.saturating_add(T::DbWeight::get().reads(5))
			.saturating_add(T::DbWeight::get().writes(2))
	}
	/// Storage: `Training::Programmes` (r:1 w:1)
	fn pause_programme() -> Weight {
		// At least 37_277_000 ps.
		Weight::from_parts(38_036_000, 0)
			.saturating_add(T::DbWeight::get().reads(1))
			.saturating_add(T::DbWeight::get().writes(1))
	}
	/// Storage: `Governance::CurrentCharter` (r:1 w:0)
	/// Storage: `Rewards::Pots` (r:1 w:0)
	/// Storage: `System::Account` (r:1 w:0)
	/// Storage: `Training::Programmes` (r:1 w:1)
	/// Storage: `Training::Running` (r:1 w:1)
	/// Storage: `Training::Settled` (r:1 w:0)
	fn resume_programme() -> Weight {
		// At least 117_367_000 ps.
		Weight::from_parts(117_617_000, 0)
			.saturating_add(T::DbWeight::get().reads(6))
			.saturating_add(T::DbWeight::get().writes(2))
	}
	/// Storage: `Rewards::Pots` (r:1 w:1)
	/// Storage: `System::Account` (r:1 w:0)
	/// Storage: `Training::Disputes` (r:1 w:0)
	/// Storage: `Training::Programmes` (r:1 w:1)
	/// Storage: `Training::Running` (r:1 w:1)
	/// Storage: `Training::Settled` (r:0 w:1)
	fn close_programme() -> Weight {
		// At least 103_504_000 ps.
		Weight::from_parts(104_273_000, 0)
			.saturating_add(T::DbWeight::get().reads(5))
			.saturating_add(T::DbWeight::get().writes(4))
	}
	/// Storage: `Governance::Validators` (r:0 w:1)
	/// Storage: `Session::NextKeys` (r:100 w:0)
	/// `v` was measured in `[10, 100]`.
	fn set_validators(v: u32) -> Weight {
		// At least 75_978_000 ps.
		Weight::from_parts(23_127_111, 0)
			.saturating_add(Weight::from_parts(5_328_025, 0).saturating_mul(v.into()))
			.saturating_add(T::DbWeight::get().reads(v.into()))
			.saturating_add(T::DbWeight::get().writes(1))
	}
}
