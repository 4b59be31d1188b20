//! Weights of `pallet_hardware`, measured on the runtime's WASM. Made by a program: change the benchmarks instead.
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

/// What the calls of `pallet_hardware` cost.
pub struct WeightInfo<T>(PhantomData<T>);

impl<T: frame_system::Config> pallet_hardware::WeightInfo for WeightInfo<T> {
	/// Storage: `Balances::Holds` (r:1 w:1)
	/// Storage: `Hardware::SiteCount` (r:1 w:1)
	/// Storage: `Hardware::Sites` (r:0 w:1)
	/// Storage: `System::Account` (r:1 w:1)
	fn register_site() -> Weight {
		// At least 74_093_000 ps.
		Weight::from_parts(76_262_000, 0)
			.saturating_add(T::DbWeight::get().reads(3))
			.saturating_add(T::DbWeight::get().writes(4))
	}
	/// Storage: `Balances::Holds` (r:1 w:1)
	/// Storage: `Hardware::DeviceCount` (r:1 w:1)
	/// Storage: `Hardware::DeviceOf` (r:1 w:1)
	/// Storage: `Hardware::Devices` (r:0 w:1)
	/// Storage: `Hardware::Sites` (r:1 w:1)
	/// Storage: `System::Account` (r:1 w:1)
	fn register_device() -> Weight {
		// At least 160_222_000 ps.
		Weight::from_parts(175_557_000, 0)
			.saturating_add(T::DbWeight::get().reads(5))
			.saturating_add(T::DbWeight::get().writes(6))
	}
	/// Storage: `Hardware::DeviceOf` (r:1 w:0)
	/// Storage: `Hardware::DeviceOfNetworkKey` (r:1 w:2)
	/// Storage: `Hardware::Devices` (r:1 w:1)
	/// Storage: `System::BlockHash` (r:1 w:0)
	fn activate_device() -> Weight {
		// At least 184_352_000 ps.
		Weight::from_parts(191_469_000, 0)
			.saturating_add(T::DbWeight::get().reads(4))
			.saturating_add(T::DbWeight::get().writes(3))
	}
	/// Storage: `Hardware::Challenges` (r:0 w:1)
	/// Storage: `Hardware::DeviceOf` (r:0 w:1)
	/// Storage: `Hardware::DeviceOfNetworkKey` (r:0 w:1)
	/// Storage: `Hardware::DeviceOffers` (r:0 w:1)
	/// Storage: `Hardware::Devices` (r:1 w:1)
	/// Storage: `Hardware::Sites` (r:1 w:1)
	fn retire_device() -> Weight {
		// At least 47_002_000 ps.
		Weight::from_parts(49_892_000, 0)
			.saturating_add(T::DbWeight::get().reads(2))
			.saturating_add(T::DbWeight::get().writes(6))
	}
	/// Storage: `Hardware::Sites` (r:1 w:1)
	fn update_site() -> Weight {
		// At least 18_014_000 ps.
		Weight::from_parts(19_012_000, 0)
			.saturating_add(T::DbWeight::get().reads(1))
			.saturating_add(T::DbWeight::get().writes(1))
	}
	/// Storage: `Hardware::SiteOffers` (r:0 w:1)
	/// Storage: `Hardware::Sites` (r:1 w:0)
	fn offer_site() -> Weight {
		// At least 21_074_000 ps.
		Weight::from_parts(27_799_000, 0)
			.saturating_add(T::DbWeight::get().reads(1))
			.saturating_add(T::DbWeight::get().writes(1))
	}
	/// Storage: `Balances::Holds` (r:2 w:2)
	/// Storage: `Hardware::SiteOffers` (r:1 w:1)
	/// Storage: `Hardware::Sites` (r:1 w:1)
	/// Storage: `System::Account` (r:2 w:2)
	fn accept_site() -> Weight {
		// At least 133_696_000 ps.
		Weight::from_parts(138_096_000, 0)
			.saturating_add(T::DbWeight::get().reads(6))
			.saturating_add(T::DbWeight::get().writes(6))
	}
	/// Storage: `Hardware::Challenges` (r:0 w:1)
	/// Storage: `Hardware::Devices` (r:1 w:1)
	/// Storage: `Hardware::Sites` (r:1 w:0)
	fn describe_device() -> Weight {
		// At least 31_733_000 ps.
		Weight::from_parts(33_694_000, 0)
			.saturating_add(T::DbWeight::get().reads(2))
			.saturating_add(T::DbWeight::get().writes(2))
	}
	/// Storage: `Hardware::Challenges` (r:0 w:1)
	/// Storage: `Hardware::DeviceOf` (r:1 w:2)
	/// Storage: `Hardware::DeviceOfNetworkKey` (r:0 w:1)
	/// Storage: `Hardware::Devices` (r:1 w:1)
	/// Storage: `Hardware::Sites` (r:1 w:0)
	/// Storage: `System::BlockHash` (r:1 w:0)
	fn rotate_account() -> Weight {
		// At least 137_969_000 ps.
		Weight::from_parts(213_106_000, 0)
			.saturating_add(T::DbWeight::get().reads(4))
			.saturating_add(T::DbWeight::get().writes(5))
	}
	/// Storage: `Hardware::DeviceOffers` (r:0 w:1)
	/// Storage: `Hardware::Devices` (r:1 w:0)
	/// Storage: `Hardware::Sites` (r:2 w:0)
	fn offer_device() -> Weight {
		// At least 48_728_000 ps.
		Weight::from_parts(49_695_000, 0)
			.saturating_add(T::DbWeight::get().reads(3))
			.saturating_add(T::DbWeight::get().writes(1))
	}
	/// Storage: `Balances::Holds` (r:2 w:2)
	/// Storage: `Hardware::DeviceOffers` (r:1 w:1)
	/// Storage: `Hardware::Devices` (r:1 w:1)
	/// Storage: `Hardware::Sites` (r:2 w:2)
	/// Storage: `System::Account` (r:2 w:2)
	fn accept_device() -> Weight {
		// At least 148_186_000 ps.
		Weight::from_parts(152_337_000, 0)
			.saturating_add(T::DbWeight::get().reads(8))
			.saturating_add(T::DbWeight::get().writes(8))
	}
	/// Storage: `Hardware::Devices` (r:1 w:1)
	fn suspend_device() -> Weight {
		// At least 23_664_000 ps.
		Weight::from_parts(27_510_000, 0)
			.saturating_add(T::DbWeight::get().reads(1))
			.saturating_add(T::DbWeight::get().writes(1))
	}
	/// Storage: `Hardware::Devices` (r:1 w:1)
	fn reinstate_device() -> Weight {
		// At least 44_762_000 ps.
		Weight::from_parts(47_284_000, 0)
			.saturating_add(T::DbWeight::get().reads(1))
			.saturating_add(T::DbWeight::get().writes(1))
	}
	/// Storage: `Hardware::Attesters` (r:0 w:1)
	/// `n` was measured in `[0, 16]`.
	fn set_attesters(n: u32) -> Weight {
		// At least 14_556_000 ps.
		Weight::from_parts(19_338_949, 0)
			.saturating_add(Weight::from_parts(311_493, 0).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().writes(1))
	}
	/// Storage: `Hardware::Attesters` (r:1 w:0)
	/// Storage: `Hardware::Challenges` (r:0 w:1)
	/// Storage: `Hardware::DeviceOf` (r:1 w:0)
	/// Storage: `Hardware::Devices` (r:1 w:1)
	/// Storage: `Timestamp::Now` (r:1 w:0)
	fn request_attestation() -> Weight {
		// At least 62_785_000 ps.
		Weight::from_parts(63_500_000, 0)
			.saturating_add(T::DbWeight::get().reads(4))
			.saturating_add(T::DbWeight::get().writes(2))
	}
	/// Storage: `Hardware::Challenges` (r:1 w:1)
	/// Storage: `Hardware::DeviceOf` (r:1 w:0)
	/// Storage: `Hardware::Devices` (r:1 w:1)
	/// Storage: `System::BlockHash` (r:1 w:0)
	/// Storage: `Timestamp::Now` (r:1 w:0)
	fn submit_measurement() -> Weight {
		// At least 52_106_000 ps.
		Weight::from_parts(53_746_000, 0)
			.saturating_add(T::DbWeight::get().reads(5))
			.saturating_add(T::DbWeight::get().writes(2))
	}
	/// Storage: `Hardware::Attesters` (r:1 w:0)
	/// Storage: `Hardware::Challenges` (r:1 w:1)
	/// Storage: `Hardware::Devices` (r:1 w:1)
	/// Storage: `Hardware::Sites` (r:1 w:0)
	fn attest() -> Weight {
		// At least 77_587_000 ps.
		Weight::from_parts(80_484_000, 0)
			.saturating_add(T::DbWeight::get().reads(4))
			.saturating_add(T::DbWeight::get().writes(2))
	}
	/// Storage: `Babe::EpochStart` (r:1 w:0)
	/// Storage: `Babe::NextRandomness` (r:1 w:0)
	/// Storage: `Hardware::DeviceCount` (r:1 w:0)
	/// Storage: `Hardware::Devices` (r:16 w:16)
	/// Storage: `Hardware::LastRecheck` (r:1 w:1)
	/// `d` was measured in `[1, 16]`.
	fn recheck(d: u32) -> Weight {
		// At least 47_574_000 ps.
		Weight::from_parts(34_517_067, 0)
			.saturating_add(Weight::from_parts(19_673_109, 0).saturating_mul(d.into()))
			.saturating_add(T::DbWeight::get().reads(4))
			.saturating_add(T::DbWeight::get().reads(d.into()))
			.saturating_add(T::DbWeight::get().writes(1))
			.saturating_add(T::DbWeight::get().writes(d.into()))
	}
	/// Storage: `Hardware::Devices` (r:1 w:1)
	fn expire_recheck() -> Weight {
		// At least 42_716_000 ps.
		Weight::from_parts(44_339_000, 0)
			.saturating_add(T::DbWeight::get().reads(1))
			.saturating_add(T::DbWeight::get().writes(1))
	}
}
