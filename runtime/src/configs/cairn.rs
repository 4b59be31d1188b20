//! Cairn's own pallets.

use crate::*;
use frame_support::{
	parameter_types,
	traits::{ConstU128, ConstU32},
	PalletId,
};

/// The most updates a round takes.
const MAX_UPDATES: u32 = 256;

parameter_types! {
	pub const RewardsPalletId: PalletId = PalletId(*b"crn/rwds");
}

impl pallet_hardware::Config for Runtime {
	type Currency = Balances;
	type RuntimeHoldReason = RuntimeHoldReason;
	type SiteDeposit = ConstU128<CRN>;
	type DeviceDeposit = ConstU128<{ CRN / 10 }>;
	type MaxDevicesPerSite = ConstU32<1_024>;
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
