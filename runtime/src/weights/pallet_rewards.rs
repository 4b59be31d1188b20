//! Weights of `pallet_rewards`, measured on the runtime's WASM. Made by a program: change the benchmarks instead.
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

/// What the calls of `pallet_rewards` cost.
pub struct WeightInfo<T>(PhantomData<T>);

impl<T: frame_system::Config> pallet_rewards::WeightInfo for WeightInfo<T> {
	/// Storage: `Balances::Holds` (r:1 w:1)
	/// Storage: `Rewards::Pending` (r:1 w:0)
	fn bond() -> Weight {
		// At least 81_330_000 ps.
		Weight::from_parts(84_188_000, 0)
			.saturating_add(T::DbWeight::get().reads(2))
			.saturating_add(T::DbWeight::get().writes(1))
	}
	/// Storage: `Balances::Holds` (r:1 w:1)
	/// Storage: `Governance::FormerValidators` (r:1 w:0)
	/// Storage: `Rewards::Pending` (r:1 w:0)
	/// Storage: `Session::Validators` (r:1 w:0)
	/// Storage: `Training::Aggregators` (r:1 w:0)
	/// Storage: `Training::Serving` (r:1 w:0)
	fn unbond() -> Weight {
		// At least 86_004_000 ps.
		Weight::from_parts(94_682_000, 0)
			.saturating_add(T::DbWeight::get().reads(6))
			.saturating_add(T::DbWeight::get().writes(1))
	}
	/// Storage: `Rewards::Contributions` (r:1 w:1)
	/// Storage: `Rewards::Pots` (r:1 w:1)
	/// Storage: `System::Account` (r:1 w:1)
	/// Storage: `Training::Programmes` (r:1 w:0)
	fn fund() -> Weight {
		// At least 93_548_000 ps.
		Weight::from_parts(150_852_000, 0)
			.saturating_add(T::DbWeight::get().reads(4))
			.saturating_add(T::DbWeight::get().writes(3))
	}
	/// Storage: `Rewards::Accounts` (r:1 w:1)
	/// Storage: `Rewards::Pots` (r:1 w:1)
	/// Storage: `System::Account` (r:1 w:1)
	fn claim() -> Weight {
		// At least 140_006_000 ps.
		Weight::from_parts(152_714_000, 0)
			.saturating_add(T::DbWeight::get().reads(3))
			.saturating_add(T::DbWeight::get().writes(3))
	}
	/// Storage: `Rewards::Contributions` (r:1 w:1)
	/// Storage: `Rewards::Pots` (r:1 w:1)
	/// Storage: `System::Account` (r:1 w:1)
	fn claim_refund() -> Weight {
		// At least 138_387_000 ps.
		Weight::from_parts(155_025_000, 0)
			.saturating_add(T::DbWeight::get().reads(3))
			.saturating_add(T::DbWeight::get().writes(3))
	}
	/// Storage: `Rewards::Pots` (r:1 w:1)
	/// Storage: `System::Account` (r:2 w:2)
	fn sweep_pot() -> Weight {
		// At least 152_491_000 ps.
		Weight::from_parts(156_436_000, 0)
			.saturating_add(T::DbWeight::get().reads(3))
			.saturating_add(T::DbWeight::get().writes(3))
	}
	/// Storage: `Rewards::Slashes` (r:1 w:1)
	fn appeal() -> Weight {
		// At least 41_185_000 ps.
		Weight::from_parts(43_977_000, 0)
			.saturating_add(T::DbWeight::get().reads(1))
			.saturating_add(T::DbWeight::get().writes(1))
	}
	/// Storage: `Balances::Holds` (r:1 w:1)
	/// Storage: `Rewards::Pending` (r:1 w:1)
	/// Storage: `Rewards::Slashes` (r:1 w:1)
	fn veto_slash() -> Weight {
		// At least 152_236_000 ps.
		Weight::from_parts(163_343_000, 0)
			.saturating_add(T::DbWeight::get().reads(3))
			.saturating_add(T::DbWeight::get().writes(3))
	}
	/// Storage: `Balances::Holds` (r:1 w:1)
	/// Storage: `Rewards::Pending` (r:1 w:1)
	/// Storage: `Rewards::Slashes` (r:1 w:1)
	/// Storage: `System::Account` (r:1 w:1)
	fn apply_slash() -> Weight {
		// At least 151_337_000 ps.
		Weight::from_parts(154_370_000, 0)
			.saturating_add(T::DbWeight::get().reads(4))
			.saturating_add(T::DbWeight::get().writes(4))
	}
	/// Storage: `Rewards::Fractions` (r:0 w:1)
	fn set_slash_fractions() -> Weight {
		// At least 7_464_000 ps.
		Weight::from_parts(7_669_000, 0).saturating_add(T::DbWeight::get().writes(1))
	}
	/// Storage: `Rewards::Accounts` (r:1100 w:1100)
	/// Storage: `Rewards::Pots` (r:1 w:1)
	/// Storage: `System::Account` (r:1 w:0)
	/// `n` was measured in `[1, 1100]`.
	fn accrue(n: u32) -> Weight {
		// At least 28_892_000 ps.
		Weight::from_parts(32_584_000, 0)
			.saturating_add(Weight::from_parts(7_619_579, 0).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().reads(2))
			.saturating_add(T::DbWeight::get().reads(n.into()))
			.saturating_add(T::DbWeight::get().writes(1))
			.saturating_add(T::DbWeight::get().writes(n.into()))
	}
	/// Storage: `Rewards::Pots` (r:1 w:1)
	/// Storage: `System::Account` (r:2 w:2)
	fn close_pot() -> Weight {
		// At least 160_867_000 ps.
		Weight::from_parts(170_048_000, 0)
			.saturating_add(T::DbWeight::get().reads(3))
			.saturating_add(T::DbWeight::get().writes(3))
	}
	/// Storage: `Balances::Holds` (r:1 w:0)
	/// Storage: `Rewards::Equivocations` (r:1 w:1)
	/// Storage: `Rewards::Fractions` (r:1 w:0)
	/// Storage: `Rewards::Pending` (r:1 w:1)
	/// Storage: `Rewards::SlashCount` (r:1 w:1)
	/// Storage: `Rewards::Slashes` (r:0 w:1)
	fn report_fault() -> Weight {
		// At least 69_903_000 ps.
		Weight::from_parts(72_949_000, 0)
			.saturating_add(T::DbWeight::get().reads(5))
			.saturating_add(T::DbWeight::get().writes(4))
	}
	/// Storage: `Balances::Holds` (r:1 w:1)
	/// Storage: `Rewards::Challenges` (r:1 w:1)
	/// Storage: `Rewards::Pending` (r:1 w:0)
	fn hold_challenge_bond() -> Weight {
		// At least 140_117_000 ps.
		Weight::from_parts(144_916_000, 0)
			.saturating_add(T::DbWeight::get().reads(3))
			.saturating_add(T::DbWeight::get().writes(2))
	}
	/// Storage: `Balances::Holds` (r:1 w:1)
	/// Storage: `Rewards::Challenges` (r:1 w:1)
	fn release_challenge_bond() -> Weight {
		// At least 95_793_000 ps.
		Weight::from_parts(101_718_000, 0)
			.saturating_add(T::DbWeight::get().reads(2))
			.saturating_add(T::DbWeight::get().writes(2))
	}
	/// Storage: `Balances::Holds` (r:1 w:1)
	/// Storage: `Rewards::Challenges` (r:1 w:1)
	/// Storage: `Rewards::Fractions` (r:1 w:0)
	/// Storage: `Rewards::Pending` (r:1 w:1)
	/// Storage: `Rewards::SlashCount` (r:1 w:1)
	/// Storage: `Rewards::Slashes` (r:0 w:1)
	fn forfeit_challenge_bond() -> Weight {
		// At least 156_425_000 ps.
		Weight::from_parts(163_249_000, 0)
			.saturating_add(T::DbWeight::get().reads(5))
			.saturating_add(T::DbWeight::get().writes(5))
	}
}
