//! Cairn's own pallets.

use crate::*;
use cairn_primitives::hardware::Speed;
use frame_support::{
	parameter_types,
	traits::{ConstU128, ConstU32},
	PalletId,
};
use frame_system::EnsureRoot;

/// The most updates a round takes.
const MAX_UPDATES: u32 = 256;

/// Two minutes to run the benchmark, whose two parts take a dozen seconds each, and to deliver what it showed.
const MEASUREMENT_WINDOW: BlockNumber = 40;
/// Ten minutes for attesters to run it again, on a tenth of the device's speed.
const STATEMENT_WINDOW: BlockNumber = if cfg!(feature = "fast-runtime") { 40 } else { 10 * MINUTES };
/// What a device that is busy or switched off has to answer a re-check in.
const RECHECK_WINDOW: BlockNumber = if cfg!(feature = "fast-runtime") { 160 } else { 12 * HOURS };

parameter_types! {
	pub const RewardsPalletId: PalletId = PalletId(*b"crn/rwds");
	/// About what eight cores of a present-day server processor reach.
	pub const ReferenceSpeed: Speed = Speed { flops: 200_000_000_000, bandwidth: 20_000_000_000 };
}

impl pallet_provenance::Config for Runtime {}

impl pallet_hardware::Config for Runtime {
	type Currency = Balances;
	type RuntimeHoldReason = RuntimeHoldReason;
	type SiteDeposit = ConstU128<CRN>;
	type DeviceDeposit = ConstU128<{ CRN / 10 }>;
	type MaxDevicesPerSite = ConstU32<1_024>;
	type RegistryOrigin = EnsureRoot<AccountId>;
	// One value for an epoch, and not known before the epoch in front of it ends.
	type EpochRandomness = pallet_babe::RandomnessFromOneEpochAgo<Runtime>;
	type Clock = Timestamp;
	type MaxAttesters = ConstU32<16>;
	type MeasurementWindow = ConstU32<MEASUREMENT_WINDOW>;
	type StatementWindow = ConstU32<STATEMENT_WINDOW>;
	type EvidencePeriod = ConstU32<{ 30 * DAYS }>;
	type RecheckWindow = ConstU32<RECHECK_WINDOW>;
	type MaxRechecks = ConstU32<16>;
	type ReferenceSpeed = ReferenceSpeed;
	type WeightInfo = pallet_hardware::weights::DbCosts<Runtime>;
}

impl pallet_rewards::Config for Runtime {
	type Currency = Balances;
	type RuntimeHoldReason = RuntimeHoldReason;
	type PalletId = RewardsPalletId;
	type MinAggregatorBond = ConstU128<{ 100 * CRN }>;
	type BondLocked = Training;
	type Programmes = pallet_training::KnownProgrammes<Runtime>;
	type WeightInfo = pallet_rewards::weights::DbCosts<Runtime>;
}

impl pallet_training::Config for Runtime {
	// Fixed an epoch ago, so nobody who closes a commit window can choose the committee.
	type Randomness = pallet_babe::RandomnessFromOneEpochAgo<Runtime>;
	type MaxUpdates = ConstU32<MAX_UPDATES>;
	type MaxBitmap = ConstU32<{ MAX_UPDATES / 8 }>;
	type MaxCommittee = ConstU32<32>;
	type MaxAggregators = ConstU32<128>;
	type MaxAttempts = ConstU32<3>;
	type WeightInfo = pallet_training::weights::DbCosts<Runtime>;
}
