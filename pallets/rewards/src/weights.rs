//! Weights of the calls, and of what other pallets call: storage accesses at the runtime's database costs. Benchmarks
//! replace these figures.

use core::marker::PhantomData;
use frame_support::{traits::Get, weights::Weight};

/// What each call costs, and each function that other pallets call.
pub trait WeightInfo {
	/// `bond`.
	fn bond() -> Weight;
	/// `unbond`.
	fn unbond() -> Weight;
	/// `fund`.
	fn fund() -> Weight;
	/// `claim`.
	fn claim() -> Weight;
	/// `claim_refund`.
	fn claim_refund() -> Weight;
	/// `sweep_pot`.
	fn sweep_pot() -> Weight;
	/// `appeal`.
	fn appeal() -> Weight;
	/// `veto_slash`.
	fn veto_slash() -> Weight;
	/// `apply_slash`.
	fn apply_slash() -> Weight;
	/// `set_slash_fractions`.
	fn set_slash_fractions() -> Weight;
	/// `accrue` to `n` shares of as many sites.
	fn accrue(n: u32) -> Weight;
	/// `close_pot`.
	fn close_pot() -> Weight;
	/// `report_fault`, with what the offence handler adds to it.
	fn report_fault() -> Weight;
	/// `hold_challenge_bond`.
	fn hold_challenge_bond() -> Weight;
	/// `release_challenge_bond`.
	fn release_challenge_bond() -> Weight;
	/// `forfeit_challenge_bond`.
	fn forfeit_challenge_bond() -> Weight;
}

/// Weights from the database costs of the runtime.
pub struct DbCosts<T>(PhantomData<T>);

fn cost<T: frame_system::Config>(reads: u64, writes: u64, proof: u64) -> Weight {
	Weight::from_parts(20_000_000, proof).saturating_add(T::DbWeight::get().reads_writes(reads, writes))
}

impl<T: frame_system::Config> WeightInfo for DbCosts<T> {
	fn bond() -> Weight {
		cost::<T>(3, 2, 8_000)
	}
	fn unbond() -> Weight {
		cost::<T>(5, 2, 10_000)
	}
	fn fund() -> Weight {
		cost::<T>(5, 4, 10_000)
	}
	fn claim() -> Weight {
		cost::<T>(4, 4, 8_000)
	}
	fn claim_refund() -> Weight {
		cost::<T>(4, 4, 8_000)
	}
	fn sweep_pot() -> Weight {
		cost::<T>(3, 3, 8_000)
	}
	fn appeal() -> Weight {
		cost::<T>(1, 1, 4_000)
	}
	fn veto_slash() -> Weight {
		cost::<T>(4, 4, 10_000)
	}
	fn apply_slash() -> Weight {
		cost::<T>(5, 5, 12_000)
	}
	fn set_slash_fractions() -> Weight {
		cost::<T>(0, 1, 1_000)
	}
	fn accrue(n: u32) -> Weight {
		// Two 256-bit divisions and a look-up in a tree per share.
		cost::<T>(2, 1, 8_000).saturating_add(
			Weight::from_parts(2_000_000, 3_000)
				.saturating_add(T::DbWeight::get().reads_writes(1, 1))
				.saturating_mul(n.into()),
		)
	}
	fn close_pot() -> Weight {
		cost::<T>(4, 4, 10_000)
	}
	fn report_fault() -> Weight {
		cost::<T>(5, 4, 12_000)
	}
	fn hold_challenge_bond() -> Weight {
		cost::<T>(4, 3, 10_000)
	}
	fn release_challenge_bond() -> Weight {
		cost::<T>(3, 3, 10_000)
	}
	fn forfeit_challenge_bond() -> Weight {
		cost::<T>(6, 6, 14_000)
	}
}
