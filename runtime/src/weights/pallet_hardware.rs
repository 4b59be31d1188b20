//! Weights of `pallet_hardware`, measured on the runtime's WASM. Made by a program: change the benchmarks instead.
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

/// What the calls of `pallet_hardware` cost.
pub struct WeightInfo<T>(PhantomData<T>);

impl<T: frame_system::Config> pallet_hardware::WeightInfo for WeightInfo<T> {
	/// Storage: `Balances::Holds` (r:1 w:1)
	/// Storage: `Hardware::SiteCount` (r:1 w:1)
	/// Storage: `Hardware::Sites` (r:0 w:1)
	/// Storage: `System::Account` (r:1 w:1)
	fn register_site() -> Weight {
		// At least 73_968_000 ps.
		Weight::from_parts(83_774_000, 0)
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
		// At least 97_487_000 ps.
		Weight::from_parts(149_483_000, 0)
			.saturating_add(T::DbWeight::get().reads(5))
			.saturating_add(T::DbWeight::get().writes(6))
	}
	/// Storage: `Hardware::DeviceOf` (r:1 w:0)
	/// Storage: `Hardware::DeviceOfNetworkKey` (r:1 w:2)
	/// Storage: `Hardware::Devices` (r:1 w:1)
	/// Storage: `System::BlockHash` (r:1 w:0)
	fn activate_device() -> Weight {
		// At least 142_948_000 ps.
		Weight::from_parts(196_596_000, 0)
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
		// At least 50_642_000 ps.
		Weight::from_parts(84_413_000, 0)
			.saturating_add(T::DbWeight::get().reads(2))
			.saturating_add(T::DbWeight::get().writes(6))
	}
	/// Storage: `Hardware::Sites` (r:1 w:1)
	fn update_site() -> Weight {
		// At least 30_833_000 ps.
		Weight::from_parts(34_475_000, 0)
			.saturating_add(T::DbWeight::get().reads(1))
			.saturating_add(T::DbWeight::get().writes(1))
	}
	/// Storage: `Hardware::SiteOffers` (r:0 w:1)
	/// Storage: `Hardware::Sites` (r:1 w:0)
	fn offer_site() -> Weight {
		// At least 17_127_000 ps.
		Weight::from_parts(19_310_000, 0)
			.saturating_add(T::DbWeight::get().reads(1))
			.saturating_add(T::DbWeight::get().writes(1))
	}
	/// Storage: `Balances::Holds` (r:2 w:2)
	/// Storage: `Hardware::SiteOffers` (r:1 w:1)
	/// Storage: `Hardware::Sites` (r:1 w:1)
	/// Storage: `System::Account` (r:2 w:2)
	fn accept_site() -> Weight {
		// At least 124_638_000 ps.
		Weight::from_parts(126_547_000, 0)
			.saturating_add(T::DbWeight::get().reads(6))
			.saturating_add(T::DbWeight::get().writes(6))
	}
	/// Storage: `Hardware::Challenges` (r:0 w:1)
	/// Storage: `Hardware::Devices` (r:1 w:1)
	/// Storage: `Hardware::Sites` (r:1 w:0)
	fn describe_device() -> Weight {
		// At least 34_656_000 ps.
		Weight::from_parts(38_695_000, 0)
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
		// At least 152_986_000 ps.
		Weight::from_parts(223_634_000, 0)
			.saturating_add(T::DbWeight::get().reads(4))
			.saturating_add(T::DbWeight::get().writes(5))
	}
	/// Storage: `Hardware::DeviceOffers` (r:0 w:1)
	/// Storage: `Hardware::Devices` (r:1 w:0)
	/// Storage: `Hardware::Sites` (r:2 w:0)
	fn offer_device() -> Weight {
		// At least 25_325_000 ps.
		Weight::from_parts(29_107_000, 0)
			.saturating_add(T::DbWeight::get().reads(3))
			.saturating_add(T::DbWeight::get().writes(1))
	}
	/// Storage: `Balances::Holds` (r:2 w:2)
	/// Storage: `Hardware::DeviceOffers` (r:1 w:1)
	/// Storage: `Hardware::Devices` (r:1 w:1)
	/// Storage: `Hardware::Sites` (r:2 w:2)
	/// Storage: `System::Account` (r:2 w:2)
	fn accept_device() -> Weight {
		// At least 147_152_000 ps.
		Weight::from_parts(149_137_000, 0)
			.saturating_add(T::DbWeight::get().reads(8))
			.saturating_add(T::DbWeight::get().writes(8))
	}
	/// Storage: `Hardware::Devices` (r:1 w:1)
	fn suspend_device() -> Weight {
		// At least 22_937_000 ps.
		Weight::from_parts(24_474_000, 0)
			.saturating_add(T::DbWeight::get().reads(1))
			.saturating_add(T::DbWeight::get().writes(1))
	}
	/// Storage: `Hardware::Devices` (r:1 w:1)
	fn reinstate_device() -> Weight {
		// At least 23_108_000 ps.
		Weight::from_parts(24_155_000, 0)
			.saturating_add(T::DbWeight::get().reads(1))
			.saturating_add(T::DbWeight::get().writes(1))
	}
	/// Storage: `Hardware::Attesters` (r:0 w:1)
	/// `n` was measured in `[0, 16]`.
	fn set_attesters(n: u32) -> Weight {
		// At least 7_512_000 ps.
		Weight::from_parts(8_410_230, 0)
			.saturating_add(Weight::from_parts(105_978, 0).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().writes(1))
	}
	/// Storage: `Hardware::Attesters` (r:1 w:0)
	/// Storage: `Hardware::Challenges` (r:0 w:1)
	/// Storage: `Hardware::DeviceOf` (r:1 w:0)
	/// Storage: `Hardware::Devices` (r:1 w:1)
	/// Storage: `Timestamp::Now` (r:1 w:0)
	fn request_attestation() -> Weight {
		// At least 36_943_000 ps.
		Weight::from_parts(37_788_000, 0)
			.saturating_add(T::DbWeight::get().reads(4))
			.saturating_add(T::DbWeight::get().writes(2))
	}
	/// Storage: `Hardware::Challenges` (r:1 w:1)
	/// Storage: `Hardware::DeviceOf` (r:1 w:0)
	/// Storage: `Hardware::Devices` (r:1 w:1)
	/// Storage: `System::BlockHash` (r:1 w:0)
	/// Storage: `Timestamp::Now` (r:1 w:0)
	fn submit_measurement() -> Weight {
		// At least 45_322_000 ps.
		Weight::from_parts(47_269_000, 0)
			.saturating_add(T::DbWeight::get().reads(5))
			.saturating_add(T::DbWeight::get().writes(2))
	}
	/// Storage: `Hardware::Attesters` (r:1 w:0)
	/// Storage: `Hardware::Challenges` (r:1 w:1)
	/// Storage: `Hardware::Devices` (r:1 w:1)
	/// Storage: `Hardware::Sites` (r:1 w:0)
	fn attest() -> Weight {
		// At least 40_212_000 ps.
		Weight::from_parts(41_836_000, 0)
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
		// At least 29_513_000 ps.
		Weight::from_parts(42_094_157, 0)
			.saturating_add(Weight::from_parts(16_463_204, 0).saturating_mul(d.into()))
			.saturating_add(T::DbWeight::get().reads(4))
			.saturating_add(T::DbWeight::get().reads(d.into()))
			.saturating_add(T::DbWeight::get().writes(1))
			.saturating_add(T::DbWeight::get().writes(d.into()))
	}
	/// Storage: `Hardware::Devices` (r:1 w:1)
	fn expire_recheck() -> Weight {
		// At least 25_440_000 ps.
		Weight::from_parts(42_375_000, 0)
			.saturating_add(T::DbWeight::get().reads(1))
			.saturating_add(T::DbWeight::get().writes(1))
	}
}
