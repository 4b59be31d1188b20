use crate::{self as pallet_training, *};
use cairn_primitives::{hardware::Speed, round::aggregate_commitment, DeviceClass, EnergySource, Schedule};
use frame_support::{
	assert_ok, derive_impl, parameter_types,
	traits::{ConstU32, ConstU64, UnixTime},
	PalletId,
};
use frame_system::EnsureRoot;
use sp_core::{crypto::AccountId32, ed25519, Pair};
use sp_io::hashing::blake2_256;
use sp_runtime::{traits::IdentityLookup, BuildStorage, Perbill};

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
	pub type Provenance = pallet_provenance;
	#[runtime::pallet_index(3)]
	pub type Hardware = pallet_hardware;
	#[runtime::pallet_index(4)]
	pub type Rewards = pallet_rewards;
	#[runtime::pallet_index(5)]
	pub type Training = pallet_training;
}

parameter_types! {
	pub const RewardsPalletId: PalletId = PalletId(*b"crn/rwds");
	pub const MinAggregatorBond: u128 = 50;
	pub Treasury: AccountId32 = acc(100);
	pub const SlashFractionsInTests: pallet_rewards::SlashFractions = pallet_rewards::SlashFractions {
		dissented: Perbill::from_percent(10),
		overturned: Perbill::from_percent(50),
		failed_challenge: Perbill::from_percent(100),
		equivocation: Perbill::from_percent(100),
	};
	pub const SlashDeferral: u64 = 20;
	pub const MaxPendingSlashes: u32 = 16;
	pub const ExistentialDeposit: u128 = 1;
	pub const Deposit: u128 = 1;
	pub const MaxDevicesPerSite: u32 = 100;
	pub const MaxUpdates: u32 = 12;
	pub const MaxBitmap: u32 = 2;
	pub const MaxCommittee: u32 = 7;
	pub const MaxAggregators: u32 = 9;
	pub const MaxAttempts: u32 = 3;
	pub const ReferenceSpeed: Speed = Speed { flops: 1_000, bandwidth: 1_000 };
	pub const MaxBondWeight: u32 = 4;
	/// What the mock's randomness is made of.
	pub storage Seed: u64 = 0;
	/// The block that the mock's randomness became known in.
	pub storage Known: u64 = u64::MAX;
	/// Whether the mock's policy forbids every programme.
	pub storage Forbidden: bool = false;
	/// Rounds with released updates after which it forbids another.
	pub storage MaxReleased: u32 = 1_000;
	/// The device that it keeps out.
	pub storage Banned: Option<DeviceId> = None;
}

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
	type ExistentialDeposit = ExistentialDeposit;
}

impl pallet_provenance::Config for Test {
	type WeightInfo = pallet_provenance::weights::DbCosts<Test>;
}

impl pallet_hardware::Config for Test {
	type Currency = Balances;
	type RuntimeHoldReason = RuntimeHoldReason;
	type SiteDeposit = Deposit;
	type DeviceDeposit = Deposit;
	type MaxDevicesPerSite = MaxDevicesPerSite;
	type RegistryOrigin = EnsureRoot<AccountId32>;
	type EpochRandomness = SeededRandomness;
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

/// Tests start with programme 0.
#[cfg(feature = "runtime-benchmarks")]
pub struct ProgrammeZero;
#[cfg(feature = "runtime-benchmarks")]
impl pallet_rewards::benchmarking::BenchmarkHelper for ProgrammeZero {
	fn open_programme() -> ProgrammeId {
		0
	}
}

impl pallet_rewards::Config for Test {
	type Currency = Balances;
	type RuntimeHoldReason = RuntimeHoldReason;
	type PalletId = RewardsPalletId;
	type MinAggregatorBond = MinAggregatorBond;
	type BondLocked = Training;
	type Programmes = KnownProgrammes<Test>;
	type MinContribution = Deposit;
	type Treasury = Treasury;
	type SlashOrigin = EnsureRoot<AccountId32>;
	type VetoOrigin = EnsureRoot<AccountId32>;
	type DefaultSlashFractions = SlashFractionsInTests;
	type SlashDeferral = SlashDeferral;
	type AppealPeriod = SlashDeferral;
	type MaxPendingSlashes = MaxPendingSlashes;
	type WeightInfo = pallet_rewards::weights::DbCosts<Test>;
	#[cfg(feature = "runtime-benchmarks")]
	type BenchmarkHelper = ProgrammeZero;
}

/// Every block comes on time.
pub struct BlockClock;
impl UnixTime for BlockClock {
	fn now() -> core::time::Duration {
		core::time::Duration::from_secs(3 * System::block_number())
	}
}

/// Randomness that is a function of its subject and of [`Seed`].
pub struct SeededRandomness;
impl Randomness<H256, u64> for SeededRandomness {
	fn random(subject: &[u8]) -> (H256, u64) {
		(H256(blake2_256(&(subject, Seed::get()).encode())), Known::get())
	}
}

/// A policy that tests change as they go.
pub struct TestPolicy;
impl Policy<u128> for TestPolicy {
	fn may_open(_: &Settings<u128>) -> DispatchResult {
		ensure!(!Forbidden::get(), DispatchError::Other("forbidden"));
		Ok(())
	}

	fn may_start_round(_: &Settings<u128>, released: u32) -> Result<(), PolicyBreach> {
		if Forbidden::get() || released >= MaxReleased::get() {
			return Err(PolicyBreach::Privacy);
		}
		Ok(())
	}

	fn may_take_part(_: ProgrammeId, device: DeviceId) -> bool {
		Some(device) != Banned::get()
	}

	fn site_cap() -> u8 {
		100
	}
}

impl pallet_training::Config for Test {
	type MaxBondWeight = MaxBondWeight;
	type Randomness = SeededRandomness;
	type BlockRandomness = SeededRandomness;
	type Policy = TestPolicy;
	type MaxUpdates = MaxUpdates;
	type MaxBitmap = MaxBitmap;
	type MaxCommittee = MaxCommittee;
	type MaxAggregators = MaxAggregators;
	type MaxAttempts = MaxAttempts;
	type WeightInfo = pallet_training::weights::DbCosts<Test>;
}

/// The account number `n`. 1 to 12 have devices; 1 to 5 are aggregators; 20 has funds and nothing else.
pub fn acc(n: u8) -> AccountId32 {
	AccountId32::new([n; 32])
}

pub fn signed(n: u8) -> RuntimeOrigin {
	RuntimeOrigin::signed(acc(n))
}

/// The artifact number `n`.
pub fn hash(n: u64) -> H256 {
	H256::from_low_u64_be(n)
}

/// The programme that tests start with.
pub fn programme() -> GenesisProgramme<u128> {
	GenesisProgramme {
		name: "digits".into(),
		config: hash(1),
		genesis_weights: hash(2),
		aggregation: Default::default(),
		schedule: Schedule { commit: 10, availability: 5, aggregate: 5, reveal: 5, challenge: 0 },
		committee_size: 3,
		audit_size: None,
		min_updates: 2,
		target_updates: 4,
		max_updates: 8,
		max_samples: 1_000,
		max_local_steps: 100,
		rounds: 3,
		reward_per_round: 1_000,
		committee_share: 10,
		licence: String::new(),
		data_category: String::new(),
		epsilon_per_round: None,
		challenge_bond: 0,
		pot: 100_000,
	}
}

/// A chain at block 1 with `programmes`, accounts, devices and aggregators as [`acc`] says.
pub fn chain(programmes: Vec<GenesisProgramme<u128>>) -> sp_io::TestExternalities {
	let mut storage =
		frame_system::GenesisConfig::<Test>::default().build_storage().expect("genesis is valid");
	pallet_balances::GenesisConfig::<Test> {
		balances: (1..=20).map(|n| (acc(n), 10_000)).collect(),
		..Default::default()
	}
	.assimilate_storage(&mut storage)
	.expect("genesis is valid");
	pallet_training::GenesisConfig::<Test> { programmes }
		.assimilate_storage(&mut storage)
		.expect("genesis is valid");
	let mut chain = sp_io::TestExternalities::new(storage);
	chain.execute_with(|| {
		System::set_block_number(1);
		assert_ok!(Hardware::register_site(
			signed(20),
			BoundedVec::truncate_from(b"Lab".to_vec()),
			Default::default(),
			EnergySource::Unknown
		));
		for n in 1..=12 {
			assert_ok!(Hardware::register_device(signed(20), 0, acc(n), DeviceClass::Cpu, 1));
			let pair = ed25519::Pair::from_seed(&[n; 32]);
			let message = cairn_primitives::network_key_message(&System::block_hash(0), &[n; 32]);
			assert_ok!(Hardware::activate_device(signed(n), pair.public().0, pair.sign(&message).0));
		}
		for n in 1..=5 {
			assert_ok!(Rewards::bond(signed(n), MinAggregatorBond::get()));
			assert_ok!(Training::enlist_aggregator(signed(n)));
		}
	});
	chain
}

/// A chain at block 1 with a keystore, where nobody has anything.
#[cfg(feature = "runtime-benchmarks")]
pub fn benchmark_chain() -> sp_io::TestExternalities {
	let storage = frame_system::GenesisConfig::<Test>::default().build_storage().expect("genesis is valid");
	let mut chain = sp_io::TestExternalities::new(storage);
	chain.register_extension(sp_keystore::KeystoreExt::new(sp_keystore::testing::MemoryKeystore::new()));
	chain.execute_with(|| System::set_block_number(1));
	chain
}

/// Checks the invariants of every pallet.
pub fn check_invariants() {
	Provenance::do_try_state().expect("provenance holds");
	Hardware::do_try_state().expect("hardware holds");
	Rewards::do_try_state().expect("rewards hold");
	Training::do_try_state().expect("training holds");
}

/// Runs `test` on a chain with [`programme`] and checks every pallet's invariants at the end.
pub fn run(test: impl FnOnce()) {
	run_with(vec![programme()], test)
}

/// Runs `test` on a chain with these programmes and checks every pallet's invariants at the end.
pub fn run_with(programmes: Vec<GenesisProgramme<u128>>, test: impl FnOnce()) {
	chain(programmes).execute_with(|| {
		test();
		check_invariants();
	});
}

pub fn pass_blocks(n: u64) {
	System::set_block_number(System::block_number() + n);
}

pub fn round() -> RoundInfo<AccountId32, u64> {
	Training::current_round(0).expect("a round runs")
}

pub fn phase() -> Phase {
	round().phase
}

/// Account `n` commits an update that only it could make in this round.
pub fn commit(n: u8) -> DispatchResultWithPostInfo {
	let index = round().index;
	Training::commit_update(
		signed(n),
		0,
		index,
		hash(1_000 * (index as u64 + 1) + n as u64),
		10 * n as u32,
		5,
	)
}

/// Brings the round to availability with commits of accounts 6, 7, 8 and 9.
pub fn commit_all() {
	for n in 6..=9 {
		assert_ok!(commit(n));
	}
	assert_eq!(phase(), Phase::Availability);
}

pub fn committee() -> Vec<AccountId32> {
	round().committee.into_iter().map(|m| m.account).collect()
}

pub fn vote(member: &AccountId32, included: impl Fn(u32) -> bool) -> DispatchResultWithPostInfo {
	let r = round();
	let bitmap = BoundedVec::truncate_from(bitmap::from_fn(r.commit_count, included));
	Training::vote_availability(RuntimeOrigin::signed(member.clone()), 0, r.index, r.attempt, bitmap)
}

pub const SALT: [u8; 32] = [42; 32];

/// The quality that every honest member computes: full marks for all.
pub fn quality() -> BoundedVec<u8, MaxUpdates> {
	BoundedVec::truncate_from(vec![100; bitmap::count(&round().included) as usize])
}

/// Commits to a result with this quality.
pub fn commit_with_quality(
	member: &AccountId32,
	result: H256,
	quality: &BoundedVec<u8, MaxUpdates>,
) -> DispatchResultWithPostInfo {
	let r = round();
	let genesis = System::block_hash(0);
	let commitment =
		aggregate_commitment(&genesis, 0, r.index, r.attempt, member.as_ref(), &result, quality, &SALT);
	Training::commit_aggregate(RuntimeOrigin::signed(member.clone()), 0, r.index, r.attempt, commitment)
}

pub fn commit_result(member: &AccountId32, result: H256) -> DispatchResultWithPostInfo {
	commit_with_quality(member, result, &quality())
}

pub fn reveal_with(
	member: &AccountId32,
	result: H256,
	quality: BoundedVec<u8, MaxUpdates>,
) -> DispatchResultWithPostInfo {
	let r = round();
	let member = RuntimeOrigin::signed(member.clone());
	Training::reveal_aggregate(member, 0, r.index, r.attempt, result, quality, SALT)
}

pub fn reveal(member: &AccountId32, result: H256) -> DispatchResultWithPostInfo {
	reveal_with(member, result, quality())
}

/// The members commit to and reveal these results, each its own.
pub fn aggregate(members: &[AccountId32], results: &[H256]) {
	for (member, result) in members.iter().zip(results) {
		assert_ok!(commit_result(member, *result));
	}
	for (member, result) in members.iter().zip(results) {
		assert_ok!(reveal(member, *result));
	}
}

/// The auditors of the running round, by seat.
pub fn auditors() -> Vec<AccountId32> {
	round().challenge.expect("challenged").committee.into_iter().map(|m| m.account).collect()
}

/// The next weights of the running round, which every honest member computes.
pub fn next_weights() -> H256 {
	hash(500_000 + round().index as u64)
}

/// Everybody does everything right, from an open commit window to an agreed result. Returns the committee.
pub fn agree() -> Vec<AccountId32> {
	commit_all();
	let members = committee();
	for member in &members {
		assert_ok!(vote(member, |_| true));
	}
	aggregate(&members, &[next_weights(); 7][..members.len()]);
	members
}

/// The same until the round is finalised.
pub fn finalise_round() {
	let index = round().index;
	agree();
	if Training::current_round(0).is_some_and(|r| r.index == index) {
		pass_blocks(u64::from(programme_schedule().challenge) + 1);
		assert_ok!(Training::advance(signed(20), 0));
	}
}

fn programme_schedule() -> Schedule {
	Training::programme_info(0).expect("it runs").schedule
}
