//! Weights of `pallet_governance`, measured on the runtime's WASM. Made by a program: change the benchmarks instead.
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

/// What the calls of `pallet_governance` cost.
pub struct WeightInfo<T>(PhantomData<T>);

impl<T: frame_system::Config> pallet_governance::WeightInfo for WeightInfo<T> {
	/// Storage: `Governance::CurrentCharter` (r:0 w:1)
	fn set_charter() -> Weight {
		// At least 56_804_000 ps.
		Weight::from_parts(60_912_000, 0).saturating_add(T::DbWeight::get().writes(1))
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
		// At least 199_602_000 ps.
		Weight::from_parts(213_182_000, 0)
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
		// At least 134_910_000 ps.
		Weight::from_parts(142_847_000, 0)
			.saturating_add(T::DbWeight::get().reads(5))
			.saturating_add(T::DbWeight::get().writes(2))
	}
	/// Storage: `Training::Programmes` (r:1 w:1)
	fn pause_programme() -> Weight {
		// At least 35_456_000 ps.
		Weight::from_parts(39_131_000, 0)
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
		// At least 73_485_000 ps.
		Weight::from_parts(122_876_000, 0)
			.saturating_add(T::DbWeight::get().reads(6))
			.saturating_add(T::DbWeight::get().writes(2))
	}
	/// Storage: `Rewards::Pots` (r:1 w:1)
	/// Storage: `System::Account` (r:1 w:0)
	/// Storage: `Training::CommitOrder` (r:1 w:0)
	/// Storage: `Training::Disputes` (r:1 w:0)
	/// Storage: `Training::Programmes` (r:1 w:1)
	/// Storage: `Training::Running` (r:1 w:1)
	/// Storage: `Training::Settled` (r:0 w:1)
	fn close_programme() -> Weight {
		// At least 61_477_000 ps.
		Weight::from_parts(62_428_000, 0)
			.saturating_add(T::DbWeight::get().reads(6))
			.saturating_add(T::DbWeight::get().writes(4))
	}
	/// Storage: `Governance::Validators` (r:0 w:1)
	/// Storage: `Session::NextKeys` (r:100 w:0)
	/// `v` was measured in `[10, 100]`.
	fn set_validators(v: u32) -> Weight {
		// At least 40_582_000 ps.
		Weight::from_parts(40_692_000, 0)
			.saturating_add(Weight::from_parts(5_294_379, 0).saturating_mul(v.into()))
			.saturating_add(T::DbWeight::get().reads(v.into()))
			.saturating_add(T::DbWeight::get().writes(1))
	}
}
