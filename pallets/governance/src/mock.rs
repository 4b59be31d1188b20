use crate as pallet_governance;
use crate::*;
use cairn_primitives::{hardware::Speed, AggregationRule, DeviceClass, EnergySource, Schedule, H256};
use frame_support::{
	assert_ok, derive_impl, ord_parameter_types, parameter_types,
	traits::{ConstU128, ConstU32, ConstU64, Randomness, UnixTime},
	PalletId,
};
use frame_system::{EnsureRoot, EnsureSignedBy};
use pallet_session::historical;
use pallet_training::{GenesisProgramme, KnownProgrammes};
use sp_core::{crypto::AccountId32, crypto::KeyTypeId, ed25519, Pair};
use sp_io::hashing::blake2_256;
use sp_runtime::{
	impl_opaque_keys,
	testing::UintAuthorityId,
	traits::{Convert, ConvertInto, IdentityLookup, OpaqueKeys},
	BuildStorage, Perbill, RuntimeAppPublic,
};
use std::collections::BTreeSet;

#[frame_support::runtime]
mod runtime {
	#[runtime::runtime]
	#[runtime::derive(
		RuntimeCall,
		RuntimeEvent,
		RuntimeError,
		RuntimeOrigin,
		RuntimeTask,
		RuntimeHoldReason,
		RuntimeFreezeReason
	)]
	pub struct Test;

	#[runtime::pallet_index(0)]
	pub type System = frame_system;
	#[runtime::pallet_index(1)]
	pub type Balances = pallet_balances;
	#[runtime::pallet_index(2)]
	pub type Session = pallet_session;
	#[runtime::pallet_index(3)]
	pub type Historical = pallet_session::historical;
	#[runtime::pallet_index(4)]
	pub type Provenance = pallet_provenance;
	#[runtime::pallet_index(5)]
	pub type Hardware = pallet_hardware;
	#[runtime::pallet_index(6)]
	pub type Rewards = pallet_rewards;
	#[runtime::pallet_index(7)]
	pub type Training = pallet_training;
	#[runtime::pallet_index(8)]
	pub type Governance = pallet_governance;
}

parameter_types! {
	pub const RewardsPalletId: PalletId = PalletId(*b"crn/rwds");
	/// Devices whose evidence is valid.
	pub storage Attested: BTreeSet<DeviceId> = BTreeSet::new();
	/// For each session: whether its authorities are others than those of the one before.
	pub storage Changes: Vec<bool> = Vec::new();
}

parameter_types! {
	pub Treasury: AccountId32 = AccountId32::new([110; 32]);
	pub const Fractions: pallet_rewards::SlashFractions = pallet_rewards::SlashFractions {
		dissented: Perbill::from_percent(10),
		overturned: Perbill::from_percent(50),
		failed_challenge: Perbill::from_percent(100),
		equivocation: Perbill::from_percent(100),
	};
}

ord_parameter_types! {
	pub const ProgrammeAdmin: AccountId32 = AccountId32::new([101; 32]);
	pub const PolicyAdmin: AccountId32 = AccountId32::new([102; 32]);
	pub const Safety: AccountId32 = AccountId32::new([103; 32]);
	pub const RegistryAdmin: AccountId32 = AccountId32::new([104; 32]);
}

pub const PROGRAMME_ADMIN: u8 = 101;
pub const POLICY_ADMIN: u8 = 102;
pub const SAFETY: u8 = 103;
pub const REGISTRY_ADMIN: u8 = 104;

#[derive_impl(frame_system::config_preludes::TestDefaultConfig)]
impl frame_system::Config for Test {
	type Block = frame_system::mocking::MockBlock<Test>;
	type AccountId = AccountId32;
	type Lookup = IdentityLookup<AccountId32>;
	type AccountData = pallet_balances::AccountData<u128>;
}

#[derive_impl(pallet_balances::config_preludes::TestDefaultConfig)]
impl pallet_balances::Config for Test {
	type AccountStore = System;
	type Balance = u128;
	type ExistentialDeposit = ConstU128<1>;
}

impl_opaque_keys! {
	pub struct MockSessionKeys {
		pub dummy: UintAuthorityId,
	}
}

/// Remembers which sessions changed the authorities.
pub struct Authorities;
impl pallet_session::SessionHandler<AccountId32> for Authorities {
	const KEY_TYPE_IDS: &'static [KeyTypeId] = &[UintAuthorityId::ID];

	fn on_genesis_session<Ks: OpaqueKeys>(_: &[(AccountId32, Ks)]) {}

	fn on_new_session<Ks: OpaqueKeys>(changed: bool, _: &[(AccountId32, Ks)], _: &[(AccountId32, Ks)]) {
		let mut changes = Changes::get();
		changes.push(changed);
		Changes::set(&changes);
	}

	fn on_disabled(_: u32) {}
}

/// A validator's account says all there is to say about it.
pub struct NoFurtherIdentification;
impl Convert<AccountId32, Option<()>> for NoFurtherIdentification {
	fn convert(_: AccountId32) -> Option<()> {
		Some(())
	}
}

impl pallet_session::Config for Test {
	type RuntimeEvent = RuntimeEvent;
	type ValidatorId = AccountId32;
	type ValidatorIdOf = ConvertInto;
	type ShouldEndSession = pallet_session::PeriodicSessions<ConstU64<1_000_000>, ConstU64<1_000_000>>;
	type NextSessionRotation = ();
	type SessionManager = historical::NoteHistoricalRoot<Test, Governance>;
	type SessionHandler = Authorities;
	type Keys = MockSessionKeys;
	type DisablingStrategy = ();
	type WeightInfo = ();
	type Currency = Balances;
	type KeyDeposit = ConstU128<1>;
}

impl historical::Config for Test {
	type RuntimeEvent = RuntimeEvent;
	type FullIdentification = ();
	type FullIdentificationOf = NoFurtherIdentification;
}

impl pallet_provenance::Config for Test {
	type WeightInfo = pallet_provenance::weights::DbCosts<Test>;
}

impl pallet_hardware::Config for Test {
	type Currency = Balances;
	type RuntimeHoldReason = RuntimeHoldReason;
	type SiteDeposit = ConstU128<1>;
	type DeviceDeposit = ConstU128<1>;
	type MaxDevicesPerSite = ConstU32<100>;
	type RegistryOrigin = EnsureRoot<AccountId32>;
	type EpochRandomness = FixedRandomness;
	type Clock = BlockClock;
	type MaxAttesters = ConstU32<4>;
	type MeasurementWindow = ConstU64<4>;
	type StatementWindow = ConstU64<4>;
	type EvidencePeriod = ConstU64<1_000>;
	type RecheckWindow = ConstU64<20>;
	type MaxRechecks = ConstU32<4>;
	type ReferenceSpeed = ReferenceSpeed;
	type WeightInfo = pallet_hardware::weights::DbCosts<Test>;
}

impl pallet_rewards::Config for Test {
	type Currency = Balances;
	type RuntimeHoldReason = RuntimeHoldReason;
	type PalletId = RewardsPalletId;
	type MinAggregatorBond = ConstU128<50>;
	type BondLocked = Training;
	type Programmes = KnownProgrammes<Test>;
	type MinContribution = ConstU128<1>;
	type Treasury = Treasury;
	type SlashOrigin = EnsureSignedBy<PolicyAdmin, AccountId32>;
	type VetoOrigin = EnsureSignedBy<PolicyAdmin, AccountId32>;
	type DefaultSlashFractions = Fractions;
	type SlashDeferral = ConstU64<20>;
	type AppealPeriod = ConstU64<20>;
	type MaxPendingSlashes = ConstU32<4>;
	type WeightInfo = pallet_rewards::weights::DbCosts<Test>;
	#[cfg(feature = "runtime-benchmarks")]
	type BenchmarkHelper = ProgrammeZero;
}

/// Programme 0 always exists.
#[cfg(feature = "runtime-benchmarks")]
pub struct ProgrammeZero;
#[cfg(feature = "runtime-benchmarks")]
impl pallet_rewards::benchmarking::BenchmarkHelper for ProgrammeZero {
	fn open_programme() -> ProgrammeId {
		0
	}
}

parameter_types! {
	pub const ReferenceSpeed: Speed = Speed { flops: 1_000, bandwidth: 1_000 };
}

/// Every block comes on time.
pub struct BlockClock;
impl UnixTime for BlockClock {
	fn now() -> core::time::Duration {
		core::time::Duration::from_secs(3 * System::block_number())
	}
}

/// Randomness that is a function of its subject.
pub struct FixedRandomness;
impl Randomness<H256, u64> for FixedRandomness {
	fn random(subject: &[u8]) -> (H256, u64) {
		(H256(blake2_256(subject)), u64::MAX)
	}
}

impl pallet_training::Config for Test {
	type Randomness = FixedRandomness;
	type BlockRandomness = FixedRandomness;
	type Policy = Governance;
	type MaxUpdates = ConstU32<16>;
	type MaxBitmap = ConstU32<2>;
	type MaxCommittee = ConstU32<7>;
	type MaxBondWeight = ConstU32<4>;
	type MaxAggregators = ConstU32<9>;
	type MaxAttempts = ConstU32<3>;
	type WeightInfo = pallet_training::weights::DbCosts<Test>;
}

/// Devices whose evidence is valid, as tests say.
pub struct AttestedDevices;
impl Contains<DeviceId> for AttestedDevices {
	fn contains(device: &DeviceId) -> bool {
		Attested::get().contains(device)
	}
}

impl Config for Test {
	type ProgrammeOrigin = EnsureSignedBy<ProgrammeAdmin, AccountId32>;
	type PolicyOrigin = EnsureSignedBy<PolicyAdmin, AccountId32>;
	type SafetyOrigin = EnsureSignedBy<Safety, AccountId32>;
	type ValidatorOrigin = EnsureSignedBy<RegistryAdmin, AccountId32>;
	type Evidence = AttestedDevices;
	type MinValidators = ConstU32<2>;
	type MaxValidators = ConstU32<100>;
	type LiabilityPeriod = ConstU64<10>;
	type MaxFormerValidators = ConstU32<3>;
	type WeightInfo = weights::DbCosts<Test>;
}

/// The account number `n`. 1 to 4 are the first validators and 5 to 9 have session keys. 11 to 16 have devices 0 to 5,
/// of which 11 to 13 are processors and 14 to 16 graphics processors; 11 to 15 are enlisted as aggregators. 20 has funds.
pub fn acc(n: u8) -> AccountId32 {
	AccountId32::new([n; 32])
}

pub fn signed(n: u8) -> RuntimeOrigin {
	RuntimeOrigin::signed(acc(n))
}

pub fn keys(n: u64) -> MockSessionKeys {
	MockSessionKeys { dummy: UintAuthorityId(n) }
}

/// The programme that tests start with.
pub fn programme() -> GenesisProgramme<u128> {
	GenesisProgramme {
		name: "digits".into(),
		config: H256::repeat_byte(1),
		genesis_weights: H256::repeat_byte(2),
		aggregation: AggregationRule::WeightedMean.into(),
		schedule: Schedule { commit: 10, availability: 5, aggregate: 5, reveal: 5, challenge: 0 },
		committee_size: 3,
		audit_size: None,
		min_updates: 1,
		target_updates: 2,
		max_updates: 8,
		max_samples: 1_000,
		max_local_steps: 100,
		rounds: 4,
		reward_per_round: 1_000,
		committee_share: 10,
		licence: "Apache-2.0".into(),
		data_category: "images".into(),
		epsilon_per_round: Some(250),
		challenge_bond: 0,
		pot: 100_000,
	}
}

pub fn settings() -> Settings<u128> {
	programme().settings().expect("they fit")
}

/// The storage that a chain with this charter and these programmes starts from.
pub fn storage(charter: CharterInfo, programmes: Vec<GenesisProgramme<u128>>) -> sp_core::storage::Storage {
	let mut storage =
		frame_system::GenesisConfig::<Test>::default().build_storage().expect("genesis is valid");
	let funded = (1..=20).chain([101, 102, 103, 104]);
	pallet_balances::GenesisConfig::<Test> {
		balances: funded.map(|n| (acc(n), 1_000_000)).collect(),
		..Default::default()
	}
	.assimilate_storage(&mut storage)
	.expect("genesis is valid");
	pallet_session::GenesisConfig::<Test> {
		keys: (1..=4).map(|n| (acc(n), acc(n), keys(n.into()))).collect(),
		..Default::default()
	}
	.assimilate_storage(&mut storage)
	.expect("genesis is valid");
	pallet_training::GenesisConfig::<Test> { programmes }
		.assimilate_storage(&mut storage)
		.expect("genesis is valid");
	pallet_governance::GenesisConfig::<Test> { charter, _config: Default::default() }
		.assimilate_storage(&mut storage)
		.expect("genesis is valid");
	storage
}

/// A chain at block 1 with accounts as [`acc`] says.
pub fn chain(charter: CharterInfo, programmes: Vec<GenesisProgramme<u128>>) -> sp_io::TestExternalities {
	let mut chain = sp_io::TestExternalities::new(storage(charter, programmes));
	chain.execute_with(|| {
		System::set_block_number(1);
		for n in 5..=9 {
			pallet_session::NextKeys::<Test>::insert(acc(n), keys(n.into()));
		}
		assert_ok!(Hardware::register_site(
			signed(20),
			BoundedVec::truncate_from(b"Lab".to_vec()),
			Default::default(),
			EnergySource::Unknown
		));
		for n in 11..=16 {
			let class = if n < 14 { DeviceClass::Cpu } else { DeviceClass::Gpu };
			assert_ok!(Hardware::register_device(signed(20), 0, acc(n), class, 1));
			let pair = ed25519::Pair::from_seed(&[n; 32]);
			let message = cairn_primitives::network_key_message(&System::block_hash(0), &[n; 32]);
			assert_ok!(Hardware::activate_device(signed(n), pair.public().0, pair.sign(&message).0));
		}
		for n in 11..=15 {
			assert_ok!(Rewards::bond(signed(n), 50));
			assert_ok!(Training::enlist_aggregator(signed(n)));
		}
	});
	chain
}

/// Checks the invariants of every pallet.
pub fn check_invariants() {
	Provenance::do_try_state().expect("provenance holds");
	Hardware::do_try_state().expect("hardware holds");
	Rewards::do_try_state().expect("rewards hold");
	Training::do_try_state().expect("training holds");
	Governance::do_try_state().expect("governance holds");
}

/// Runs `test` on a chain with [`programme`] and a charter that binds nothing, and checks every pallet's invariants at
/// the end.
pub fn run(test: impl FnOnce()) {
	chain(CharterInfo::default(), vec![programme()]).execute_with(|| {
		test();
		check_invariants();
	});
}

/// Account `n` commits an update that only it could make in this round.
pub fn commit(n: u8) -> frame_support::dispatch::DispatchResultWithPostInfo {
	let round = Training::current_round(0).expect("a round runs").index;
	Training::commit_update(signed(n), 0, round, H256(blake2_256(&(n, round).encode())), 10, 5)
}

/// Lets the running round fail by its deadline, so that the next one opens if it may.
pub fn fail_round() {
	assert_ok!(commit(14));
	for _ in 0..8 {
		let before = Training::current_round(0).map(|r| r.index);
		System::set_block_number(System::block_number() + 20);
		let _ = Training::advance(signed(20), 0);
		if Training::current_round(0).map(|r| r.index) != before {
			return;
		}
	}
	panic!("the round does not end");
}

#[cfg(feature = "runtime-benchmarks")]
pub fn new_test_ext() -> sp_io::TestExternalities {
	chain(CharterInfo::default(), vec![programme()])
}
