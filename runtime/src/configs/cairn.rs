//! Cairn's own pallets.

use crate::{
	configs::{
		consensus::{ReportLongevity, MAX_AUTHORITIES},
		governance::{TechnicalMajority, TreasuryAccount},
	},
	governance::{tracks::blocks, PolicyAdmin, ProgrammeAdmin, RegistryAdmin, SafetyStop},
	*,
};
use cairn_primitives::{hardware::Speed, DeviceId};
use codec::Encode;
use frame_support::{
	parameter_types,
	traits::{ConstU128, ConstU32, Contains, EitherOfDiverse, Randomness},
	PalletId,
};
use frame_system::EnsureRoot;
use pallet_rewards::SlashFractions;
use sp_consensus_babe::digests::CompatibleDigestItem;
use sp_runtime::{
	traits::{BlakeTwo256, Hash as _},
	Perbill,
};

/// The most updates a round takes.
const MAX_UPDATES: u32 = 1_024;

/// Two minutes to run the benchmark, whose two parts take a dozen seconds each, and to deliver what it showed.
const MEASUREMENT_WINDOW: BlockNumber = 40;
/// Ten minutes for attesters to run it again, on a tenth of the device's speed.
const STATEMENT_WINDOW: BlockNumber = blocks(10 * MINUTES, 40);
/// What a device that is busy or switched off has to answer a re-check in.
const RECHECK_WINDOW: BlockNumber = blocks(12 * HOURS, 160);

parameter_types! {
	pub const RewardsPalletId: PalletId = PalletId(*b"crn/rwds");
	/// About what eight cores of a present-day server processor reach.
	pub const ReferenceSpeed: Speed = Speed { flops: 200_000_000_000, bandwidth: 20_000_000_000 };
}

impl pallet_hardware::Config for Runtime {
	type Currency = Balances;
	type RuntimeHoldReason = RuntimeHoldReason;
	type SiteDeposit = ConstU128<CRN>;
	type DeviceDeposit = ConstU128<{ CRN / 10 }>;
	type MaxDevicesPerSite = ConstU32<1_024>;
	type RegistryOrigin = EitherOfDiverse<EnsureRoot<AccountId>, RegistryAdmin>;
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
	type WeightInfo = weights::pallet_hardware::WeightInfo<Runtime>;
}

parameter_types! {
	/// A week from a fault's report to its slash, so that a vote on a veto can be held; an appeal adds a track's longest
	/// vote and its enactment.
	pub const SlashDeferral: BlockNumber = blocks(7 * DAYS, 40);
	pub const AppealPeriod: BlockNumber = blocks(16 * DAYS, 60);
	/// Where faults begin, until the DAO decides otherwise. An overturned result is a lie that two thirds told together; a
	/// dissent may be a broken machine.
	pub const DefaultSlashFractions: SlashFractions = SlashFractions {
		dissented: Perbill::from_percent(5),
		overturned: Perbill::from_percent(50),
		failed_challenge: Perbill::from_percent(100),
		equivocation: Perbill::from_percent(20),
	};
}

/// Bonds that must stay: aggregators' that are enlisted or serve, and those of validators, also of former ones for as
/// long as an equivocation of theirs can be reported.
pub struct BondLocked;

impl Contains<AccountId> for BondLocked {
	fn contains(account: &AccountId) -> bool {
		Training::contains(account) || Governance::is_liable(account)
	}
}

impl pallet_rewards::Config for Runtime {
	type Currency = Balances;
	type RuntimeHoldReason = RuntimeHoldReason;
	type PalletId = RewardsPalletId;
	type MinAggregatorBond = ConstU128<{ 100 * CRN }>;
	type BondLocked = BondLocked;
	type MinContribution = ConstU128<{ CRN / 10 }>;
	type Treasury = TreasuryAccount;
	type SlashOrigin = EitherOfDiverse<EnsureRoot<AccountId>, PolicyAdmin>;
	type VetoOrigin = EitherOfDiverse<EnsureRoot<AccountId>, PolicyAdmin>;
	type DefaultSlashFractions = DefaultSlashFractions;
	type SlashDeferral = SlashDeferral;
	type AppealPeriod = AppealPeriod;
	type MaxPendingSlashes = ConstU32<32>;
	#[cfg(feature = "runtime-benchmarks")]
	type BenchmarkHelper = BenchmarkProgrammes;
	type Programmes = pallet_training::KnownProgrammes<Runtime>;
	type WeightInfo = weights::pallet_rewards::WeightInfo<Runtime>;
}

impl pallet_training::Config for Runtime {
	// Fixed an epoch ago, so nobody who closes a commit window can choose the committee.
	type Randomness = pallet_babe::RandomnessFromOneEpochAgo<Runtime>;
	// Not an epoch's: everybody who votes on which updates are included would know that.
	type BlockRandomness = BlockVrf;
	type MaxUpdates = ConstU32<MAX_UPDATES>;
	type MaxBitmap = ConstU32<{ MAX_UPDATES / 8 }>;
	type MaxCommittee = ConstU32<32>;
	type MaxAggregators = ConstU32<128>;
	type MaxAttempts = ConstU32<3>;
	type MaxBondWeight = ConstU32<10>;
	type Policy = Governance;
	type WeightInfo = weights::pallet_training::WeightInfo<Runtime>;
}

/// Randomness from the output of the VRF that entitles this very block's author to make it. Who sends a transaction
/// that this block takes cannot know it, and its author cannot choose it: only whether to take the transaction.
pub struct BlockVrf;

impl Randomness<Hash, BlockNumber> for BlockVrf {
	fn random(subject: &[u8]) -> (Hash, BlockNumber) {
		let digest = System::digest();
		let vrf = digest
			.convert_first(|item| item.as_babe_pre_digest())
			.and_then(|pre_digest| pre_digest.vrf_signature().map(|signature| signature.pre_output.encode()));
		// Every author of this chain has a VRF output; blocks without an author are made in tests.
		let source = vrf.unwrap_or_else(|| System::parent_hash().encode());
		(BlakeTwo256::hash_of(&(subject, source)), System::block_number())
	}
}

parameter_types! {
	pub const LiabilityPeriod: BlockNumber = ReportLongevity::get() as BlockNumber;
}

/// Devices that an attester committee measured, and that no re-check caught since.
pub struct Evidence;

impl Contains<DeviceId> for Evidence {
	fn contains(device: &DeviceId) -> bool {
		Hardware::has_valid_evidence(*device)
	}
}

impl pallet_governance::Config for Runtime {
	type ProgrammeOrigin = EitherOfDiverse<EnsureRoot<AccountId>, ProgrammeAdmin>;
	type PolicyOrigin = EitherOfDiverse<EnsureRoot<AccountId>, PolicyAdmin>;
	type SafetyOrigin = EitherOfDiverse<SafetyStop, TechnicalMajority>;
	type ValidatorOrigin = EitherOfDiverse<EnsureRoot<AccountId>, RegistryAdmin>;
	type Evidence = Evidence;
	// A development chain has one.
	type MinValidators = ConstU32<1>;
	type MaxValidators = ConstU32<MAX_AUTHORITIES>;
	type LiabilityPeriod = LiabilityPeriod;
	// A set that is replaced as a whole once a day.
	type MaxFormerValidators = ConstU32<{ 8 * MAX_AUTHORITIES }>;
	type WeightInfo = weights::pallet_governance::WeightInfo<Runtime>;
}

/// Opens programmes for the benchmarks of what happens to their pots.
#[cfg(feature = "runtime-benchmarks")]
pub struct BenchmarkProgrammes;

#[cfg(feature = "runtime-benchmarks")]
impl pallet_rewards::benchmarking::BenchmarkHelper for BenchmarkProgrammes {
	fn open_programme() -> cairn_primitives::ProgrammeId {
		pallet_training::benchmarking::open_programme::<Runtime>()
	}
}
