//! Weights of `pallet_rewards`, measured on the runtime's WASM. Made by a program: change the benchmarks instead.
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

/// What the calls of `pallet_rewards` cost.
pub struct WeightInfo<T>(PhantomData<T>);

impl<T: frame_system::Config> pallet_rewards::WeightInfo for WeightInfo<T> {
	/// Storage: `Balances::Holds` (r:1 w:1)
	/// Storage: `Rewards::Pending` (r:1 w:0)
	fn bond() -> Weight {
		// At least 140_828_000 ps.
		Weight::from_parts(146_425_000, 0)
			.saturating_add(T::DbWeight::get().reads(2))
			.saturating_add(T::DbWeight::get().writes(1))
	}
	/// Storage: `Balances::Holds` (r:1 w:1)
	/// Storage: `Rewards::Pending` (r:1 w:0)
	/// Storage: `Session::Validators` (r:1 w:0)
	/// Storage: `Training::Aggregators` (r:1 w:0)
	/// Storage: `Training::Serving` (r:1 w:0)
	fn unbond() -> Weight {
		// At least 143_827_000 ps.
		Weight::from_parts(146_097_000, 0)
			.saturating_add(T::DbWeight::get().reads(5))
			.saturating_add(T::DbWeight::get().writes(1))
	}
	/// Storage: `Rewards::Contributions` (r:1 w:1)
	/// Storage: `Rewards::Pots` (r:1 w:1)
	/// Storage: `System::Account` (r:1 w:1)
	/// Storage: `Training::Programmes` (r:1 w:0)
	fn fund() -> Weight {
		// At least 156_003_000 ps.
		Weight::from_parts(165_705_000, 0)
			.saturating_add(T::DbWeight::get().reads(4))
			.saturating_add(T::DbWeight::get().writes(3))
	}
	/// Storage: `Rewards::Accounts` (r:1 w:1)
	/// Storage: `Rewards::Pots` (r:1 w:1)
	/// Storage: `System::Account` (r:1 w:1)
	fn claim() -> Weight {
		// At least 138_468_000 ps.
		Weight::from_parts(138_815_000, 0)
			.saturating_add(T::DbWeight::get().reads(3))
			.saturating_add(T::DbWeight::get().writes(3))
	}
	/// Storage: `Rewards::Contributions` (r:1 w:1)
	/// Storage: `Rewards::Pots` (r:1 w:1)
	/// Storage: `System::Account` (r:1 w:1)
	fn claim_refund() -> Weight {
		// At least 150_401_000 ps.
		Weight::from_parts(154_960_000, 0)
			.saturating_add(T::DbWeight::get().reads(3))
			.saturating_add(T::DbWeight::get().writes(3))
	}
	/// Storage: `Rewards::Pots` (r:1 w:1)
	/// Storage: `System::Account` (r:2 w:2)
	fn sweep_pot() -> Weight {
		// At least 140_751_000 ps.
		Weight::from_parts(145_337_000, 0)
			.saturating_add(T::DbWeight::get().reads(3))
			.saturating_add(T::DbWeight::get().writes(3))
	}
	/// Storage: `Rewards::Slashes` (r:1 w:1)
	fn appeal() -> Weight {
		// At least 41_495_000 ps.
		Weight::from_parts(41_794_000, 0)
			.saturating_add(T::DbWeight::get().reads(1))
			.saturating_add(T::DbWeight::get().writes(1))
	}
	/// Storage: `Balances::Holds` (r:1 w:1)
	/// Storage: `Rewards::Pending` (r:1 w:1)
	/// Storage: `Rewards::Slashes` (r:1 w:1)
	fn veto_slash() -> Weight {
		// At least 78_918_000 ps.
		Weight::from_parts(95_110_000, 0)
			.saturating_add(T::DbWeight::get().reads(3))
			.saturating_add(T::DbWeight::get().writes(3))
	}
	/// Storage: `Balances::Holds` (r:1 w:1)
	/// Storage: `Rewards::Pending` (r:1 w:1)
	/// Storage: `Rewards::Slashes` (r:1 w:1)
	/// Storage: `System::Account` (r:1 w:1)
	fn apply_slash() -> Weight {
		// At least 82_145_000 ps.
		Weight::from_parts(87_471_000, 0)
			.saturating_add(T::DbWeight::get().reads(4))
			.saturating_add(T::DbWeight::get().writes(4))
	}
	/// Storage: `Rewards::Fractions` (r:0 w:1)
	fn set_slash_fractions() -> Weight {
		// At least 14_961_000 ps.
		Weight::from_parts(17_012_000, 0).saturating_add(T::DbWeight::get().writes(1))
	}
	/// Storage: `Rewards::Accounts` (r:1100 w:1100)
	/// Storage: `Rewards::Pots` (r:1 w:1)
	/// Storage: `System::Account` (r:1 w:0)
	/// `n` was measured in `[1, 1100]`.
	fn accrue(n: u32) -> Weight {
		// At least 28_807_000 ps.
		Weight::from_parts(28_807_000, 0)
			.saturating_add(Weight::from_parts(6_079_580, 0).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().reads(2))
			.saturating_add(T::DbWeight::get().reads(n.into()))
			.saturating_add(T::DbWeight::get().writes(1))
			.saturating_add(T::DbWeight::get().writes(n.into()))
	}
	/// Storage: `Rewards::Pots` (r:1 w:1)
	/// Storage: `System::Account` (r:2 w:2)
	fn close_pot() -> Weight {
		// At least 149_569_000 ps.
		Weight::from_parts(166_017_000, 0)
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
		// At least 70_599_000 ps.
		Weight::from_parts(71_297_000, 0)
			.saturating_add(T::DbWeight::get().reads(5))
			.saturating_add(T::DbWeight::get().writes(4))
	}
	/// Storage: `Balances::Holds` (r:1 w:1)
	/// Storage: `Rewards::Challenges` (r:1 w:1)
	/// Storage: `Rewards::Pending` (r:1 w:0)
	fn hold_challenge_bond() -> Weight {
		// At least 139_251_000 ps.
		Weight::from_parts(141_821_000, 0)
			.saturating_add(T::DbWeight::get().reads(3))
			.saturating_add(T::DbWeight::get().writes(2))
	}
	/// Storage: `Balances::Holds` (r:1 w:1)
	/// Storage: `Rewards::Challenges` (r:1 w:1)
	fn release_challenge_bond() -> Weight {
		// At least 98_440_000 ps.
		Weight::from_parts(108_958_000, 0)
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
		// At least 80_074_000 ps.
		Weight::from_parts(86_417_000, 0)
			.saturating_add(T::DbWeight::get().reads(5))
			.saturating_add(T::DbWeight::get().writes(5))
	}
}
