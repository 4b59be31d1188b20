//! Weights of `pallet_balances`, measured on the runtime's WASM. Made by a program: change the benchmarks instead.
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

/// What the calls of `pallet_balances` cost.
pub struct WeightInfo<T>(PhantomData<T>);

impl<T: frame_system::Config> pallet_balances::WeightInfo for WeightInfo<T> {
	/// Storage: `System::Account` (r:2 w:2)
	fn transfer_allow_death() -> Weight {
		// At least 175_854_000 ps.
		Weight::from_parts(182_169_000, 0)
			.saturating_add(T::DbWeight::get().reads(2))
			.saturating_add(T::DbWeight::get().writes(2))
	}
	/// Storage: `System::Account` (r:1 w:1)
	fn transfer_keep_alive() -> Weight {
		// At least 106_415_000 ps.
		Weight::from_parts(109_946_000, 0)
			.saturating_add(T::DbWeight::get().reads(1))
			.saturating_add(T::DbWeight::get().writes(1))
	}
	/// Storage: `System::Account` (r:1 w:1)
	fn force_set_balance_creating() -> Weight {
		// At least 51_997_000 ps.
		Weight::from_parts(55_366_000, 0)
			.saturating_add(T::DbWeight::get().reads(1))
			.saturating_add(T::DbWeight::get().writes(1))
	}
	/// Storage: `System::Account` (r:1 w:1)
	fn force_set_balance_killing() -> Weight {
		// At least 55_695_000 ps.
		Weight::from_parts(57_028_000, 0)
			.saturating_add(T::DbWeight::get().reads(1))
			.saturating_add(T::DbWeight::get().writes(1))
	}
	/// Storage: `System::Account` (r:3 w:3)
	fn force_transfer() -> Weight {
		// At least 174_831_000 ps.
		Weight::from_parts(175_875_000, 0)
			.saturating_add(T::DbWeight::get().reads(3))
			.saturating_add(T::DbWeight::get().writes(3))
	}
	/// Storage: `System::Account` (r:1 w:1)
	fn transfer_all() -> Weight {
		// At least 133_165_000 ps.
		Weight::from_parts(134_797_000, 0)
			.saturating_add(T::DbWeight::get().reads(1))
			.saturating_add(T::DbWeight::get().writes(1))
	}
	/// Storage: `System::Account` (r:1 w:1)
	fn force_unreserve() -> Weight {
		// At least 44_946_000 ps.
		Weight::from_parts(46_796_000, 0)
			.saturating_add(T::DbWeight::get().reads(1))
			.saturating_add(T::DbWeight::get().writes(1))
	}
	/// Storage: `System::Account` (r:1000 w:1000)
	/// `u` was measured in `[1, 1000]`.
	fn upgrade_accounts(u: u32) -> Weight {
		// At least 43_386_000 ps.
		Weight::from_parts(44_079_000, 0)
			.saturating_add(Weight::from_parts(35_011_285, 0).saturating_mul(u.into()))
			.saturating_add(T::DbWeight::get().reads(u.into()))
			.saturating_add(T::DbWeight::get().writes(u.into()))
	}
	fn force_adjust_total_issuance() -> Weight {
		// At least 21_572_000 ps.
		Weight::from_parts(22_951_000, 0)
	}
	/// Storage: `System::Account` (r:1 w:1)
	fn burn_allow_death() -> Weight {
		// At least 132_111_000 ps.
		Weight::from_parts(132_846_000, 0)
			.saturating_add(T::DbWeight::get().reads(1))
			.saturating_add(T::DbWeight::get().writes(1))
	}
	fn burn_keep_alive() -> Weight {
		// At least 60_778_000 ps.
		Weight::from_parts(62_541_000, 0)
	}
}
