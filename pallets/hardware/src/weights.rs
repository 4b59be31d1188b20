//! Weights of the calls: their storage accesses at the runtime's database costs, plus the signature check. Benchmarks
//! replace these figures.

use core::marker::PhantomData;
use frame_support::{traits::Get, weights::Weight};

/// What each call costs.
pub trait WeightInfo {
	/// `register_site`.
	fn register_site() -> Weight;
	/// `register_device`.
	fn register_device() -> Weight;
	/// `activate_device`.
	fn activate_device() -> Weight;
	/// `retire_device`.
	fn retire_device() -> Weight;
	/// `update_site`.
	fn update_site() -> Weight;
	/// `offer_site`.
	fn offer_site() -> Weight;
	/// `accept_site`.
	fn accept_site() -> Weight;
	/// `describe_device`.
	fn describe_device() -> Weight;
	/// `rotate_account`.
	fn rotate_account() -> Weight;
	/// `offer_device`.
	fn offer_device() -> Weight;
	/// `accept_device`.
	fn accept_device() -> Weight;
	/// `suspend_device`.
	fn suspend_device() -> Weight;
	/// `reinstate_device`.
	fn reinstate_device() -> Weight;
	/// `set_attesters` of `n` attesters.
	fn set_attesters(n: u32) -> Weight;
	/// `request_attestation`.
	fn request_attestation() -> Weight;
	/// `submit_measurement`.
	fn submit_measurement() -> Weight;
	/// `attest`, as the last of `MaxAttesters`.
	fn attest() -> Weight;
	/// `recheck` that draws `d` numbers.
	fn recheck(d: u32) -> Weight;
	/// `expire_recheck`.
	fn expire_recheck() -> Weight;
}

/// Weights from the database costs of the runtime.
pub struct DbCosts<T>(PhantomData<T>);

/// One signature verification is about 50 µs.
const SIGNATURE: Weight = Weight::from_parts(60_000_000, 0);

fn cost<T: frame_system::Config>(reads: u64, writes: u64, proof: u64) -> Weight {
	Weight::from_parts(20_000_000, proof).saturating_add(T::DbWeight::get().reads_writes(reads, writes))
}

impl<T: frame_system::Config> WeightInfo for DbCosts<T> {
	fn register_site() -> Weight {
		cost::<T>(3, 4, 4_000)
	}
	fn register_device() -> Weight {
		cost::<T>(5, 6, 6_000)
	}
	fn activate_device() -> Weight {
		cost::<T>(5, 4, 6_000).saturating_add(SIGNATURE)
	}
	fn retire_device() -> Weight {
		cost::<T>(4, 7, 6_000)
	}
	fn update_site() -> Weight {
		cost::<T>(1, 1, 3_000)
	}
	fn offer_site() -> Weight {
		cost::<T>(1, 1, 3_000)
	}
	fn accept_site() -> Weight {
		cost::<T>(6, 6, 8_000)
	}
	fn describe_device() -> Weight {
		cost::<T>(2, 2, 6_000)
	}
	fn rotate_account() -> Weight {
		cost::<T>(4, 5, 8_000).saturating_add(SIGNATURE)
	}
	fn offer_device() -> Weight {
		cost::<T>(3, 1, 8_000)
	}
	fn accept_device() -> Weight {
		cost::<T>(8, 8, 12_000)
	}
	fn suspend_device() -> Weight {
		cost::<T>(1, 1, 3_000)
	}
	fn reinstate_device() -> Weight {
		cost::<T>(1, 1, 3_000)
	}
	fn set_attesters(n: u32) -> Weight {
		cost::<T>(0, 1, 0).saturating_add(Weight::from_parts(1_000_000, 0).saturating_mul(n.into()))
	}
	fn request_attestation() -> Weight {
		cost::<T>(4, 2, 8_000)
	}
	fn submit_measurement() -> Weight {
		cost::<T>(6, 2, 10_000)
	}
	fn attest() -> Weight {
		cost::<T>(4, 2, 12_000)
	}
	fn recheck(d: u32) -> Weight {
		cost::<T>(4, 1, 2_000).saturating_add(
			T::DbWeight::get()
				.reads_writes(1, 1)
				.saturating_add(Weight::from_parts(5_000_000, 3_000))
				.saturating_mul(d.into()),
		)
	}
	fn expire_recheck() -> Weight {
		cost::<T>(1, 1, 3_000)
	}
}
