use crate as pallet_hardware;
use cairn_primitives::{
	hardware::{Measurement, Speed},
	DeviceClass, EnergySource, H256,
};
use codec::Encode;
use core::time::Duration;
use frame_support::{
	derive_impl, ord_parameter_types, parameter_types,
	traits::{Randomness, UnixTime},
};
use frame_system::EnsureSignedBy;
use sp_core::{crypto::AccountId32, ed25519, sr25519, Pair};
use sp_io::hashing::blake2_256;
use sp_runtime::{traits::IdentityLookup, BuildStorage};

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
	pub type Hardware = pallet_hardware;
}

parameter_types! {
	pub const SiteDeposit: u128 = 10;
	pub const DeviceDeposit: u128 = 3;
	pub const MaxDevicesPerSite: u32 = 4;
	pub const ExistentialDeposit: u128 = 1;
	pub const MaxAttesters: u32 = 5;
	pub const MeasurementWindow: u64 = 5;
	pub const StatementWindow: u64 = 7;
	pub const EvidencePeriod: u64 = 100;
	pub const RecheckWindow: u64 = 30;
	pub const MaxRechecks: u32 = 3;
	pub const ReferenceSpeed: Speed = Speed { flops: 1_000_000_000_000, bandwidth: 100_000_000_000 };
	/// Blocks in an epoch.
	pub const Epoch: u64 = 50;
	/// What epochs' randomness is made from.
	pub static Seed: u64 = 0;
}

ord_parameter_types! {
	pub const Registry: AccountId32 = AccountId32::new([99; 32]);
}

/// Milliseconds between blocks.
pub const BLOCK_MS: u64 = 3_000;

/// Every block comes on time.
pub struct BlockClock;
impl UnixTime for BlockClock {
	fn now() -> Duration {
		Duration::from_millis(System::block_number() * BLOCK_MS)
	}
}

/// One value for each epoch.
pub struct SeededRandomness;
impl Randomness<H256, u64> for SeededRandomness {
	fn random(subject: &[u8]) -> (H256, u64) {
		let epoch = System::block_number() / Epoch::get() * Epoch::get();
		(H256(blake2_256(&(subject, Seed::get(), epoch).encode())), epoch)
	}
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

impl pallet_hardware::Config for Test {
	type Currency = Balances;
	type RuntimeHoldReason = RuntimeHoldReason;
	type SiteDeposit = SiteDeposit;
	type DeviceDeposit = DeviceDeposit;
	type MaxDevicesPerSite = MaxDevicesPerSite;
	type RegistryOrigin = EnsureSignedBy<Registry, AccountId32>;
	type EpochRandomness = SeededRandomness;
	type Clock = BlockClock;
	type MaxAttesters = MaxAttesters;
	type MeasurementWindow = MeasurementWindow;
	type StatementWindow = StatementWindow;
	type EvidencePeriod = EvidencePeriod;
	type RecheckWindow = RecheckWindow;
	type MaxRechecks = MaxRechecks;
	type ReferenceSpeed = ReferenceSpeed;
	type WeightInfo = pallet_hardware::weights::DbCosts<Test>;
}

pub const OWNER: AccountId32 = AccountId32::new([1; 32]);
pub const DEVICE: AccountId32 = AccountId32::new([2; 32]);
pub const OTHER: AccountId32 = AccountId32::new([3; 32]);
pub const POOR: AccountId32 = AccountId32::new([4; 32]);

/// The libp2p key number `n`.
pub fn network_pair(n: u8) -> ed25519::Pair {
	ed25519::Pair::from_seed(&[n; 32])
}

/// The public half of [`network_pair`] and its signature for `account` on this chain.
pub fn network_key(n: u8, account: &AccountId32) -> ([u8; 32], [u8; 64]) {
	let pair = network_pair(n);
	let message = cairn_primitives::network_key_message(&System::block_hash(0), account.as_ref());
	(pair.public().0, pair.sign(&message).0)
}

/// The account of attester number `n`.
pub fn attester(n: u8) -> AccountId32 {
	AccountId32::new([80 + n; 32])
}

/// The sr25519 key number `n`, and its account.
pub fn account_pair(n: u8) -> (sr25519::Pair, AccountId32) {
	let pair = sr25519::Pair::from_seed(&[n; 32]);
	let account = AccountId32::new(pair.public().0);
	(pair, account)
}

/// The proof of [`account_pair`] number `n` that it takes over `device` from `old`.
pub fn rotation_proof(n: u8, device: u32, old: &AccountId32) -> [u8; 64] {
	let (pair, new) = account_pair(n);
	let genesis = System::block_hash(0);
	let message =
		cairn_primitives::hardware::account_rotation_message(&genesis, device, old.as_ref(), new.as_ref());
	pair.sign(&message).0
}

/// Goes on to block `n`; every block on the way has a hash.
pub fn go_to(n: u64) {
	for block in System::block_number()..n {
		frame_system::BlockHash::<Test>::insert(block, H256::from_low_u64_be(1_000 + block));
		System::set_block_number(block + 1);
	}
}

/// Goes on by `n` blocks.
pub fn pass(n: u64) {
	go_to(System::block_number() + n);
}

pub fn signed(who: AccountId32) -> RuntimeOrigin {
	RuntimeOrigin::signed(who)
}

pub fn register_site(owner: AccountId32) -> sp_runtime::DispatchResult {
	Hardware::register_site(
		signed(owner),
		b"Lab".to_vec().try_into().expect("short"),
		b"EU-CH".to_vec().try_into().expect("short"),
		EnergySource::Renewable,
	)
}

pub fn register_device(owner: AccountId32, site: u32, account: AccountId32) -> sp_runtime::DispatchResult {
	Hardware::register_device(signed(owner), site, account, DeviceClass::Cpu, 2_048)
}

pub fn activate(account: AccountId32, n: u8) -> sp_runtime::DispatchResult {
	let (key, proof) = network_key(n, &account);
	Hardware::activate_device(signed(account), key, proof)
}

/// Genesis with these attesters.
pub fn genesis(attesters: Vec<AccountId32>, attester_threshold: u32) -> sp_io::TestExternalities {
	let mut storage =
		frame_system::GenesisConfig::<Test>::default().build_storage().expect("genesis is valid");
	let mut balances = vec![(OWNER, 1_000), (DEVICE, 1_000), (OTHER, 1_000), (POOR, 5)];
	balances.extend((1..=5).map(|n| (attester(n), 1_000)));
	pallet_balances::GenesisConfig::<Test> { balances, ..Default::default() }
		.assimilate_storage(&mut storage)
		.expect("genesis is valid");
	pallet_hardware::GenesisConfig::<Test> { attesters, attester_threshold }
		.assimilate_storage(&mut storage)
		.expect("genesis is valid");
	let mut chain = sp_io::TestExternalities::new(storage);
	#[cfg(feature = "runtime-benchmarks")]
	chain.register_extension(sp_keystore::KeystoreExt::new(sp_keystore::testing::MemoryKeystore::new()));
	chain.execute_with(|| System::set_block_number(1));
	chain
}

/// Runs `test` at block 1 with funded accounts and two of three attesters, and checks the registry's invariants at the
/// end.
pub fn run(test: impl FnOnce()) {
	genesis(vec![attester(1), attester(2), attester(3)], 2).execute_with(|| {
		test();
		Hardware::do_try_state().expect("the registry's invariants hold");
	});
}

/// The chain that benchmarks are tested on.
#[cfg(feature = "runtime-benchmarks")]
pub fn benchmark_chain() -> sp_io::TestExternalities {
	genesis(Vec::new(), 0)
}

/// A site of `OWNER` with one active device, `DEVICE`.
pub fn active_device() {
	frame_support::assert_ok!(register_site(OWNER));
	frame_support::assert_ok!(register_device(OWNER, 0, DEVICE));
	frame_support::assert_ok!(activate(DEVICE, 7));
}

/// What an honest device delivers: each part took 3 s.
pub fn measurement() -> Measurement {
	Measurement { products: 30, product_ms: 3_000, sweeps: 300, sweep_ms: 3_000, digest: H256([5; 32]) }
}

/// The speed that [`measurement`] shows.
pub fn measured_speed() -> Speed {
	measurement().speed().expect("counts and times are not zero")
}

/// The nonce of the open request of `device`.
pub fn nonce(device: u32) -> H256 {
	Hardware::open_challenge(device).and_then(|c| c.nonce).expect("a request is open")
}

/// Device 0 asks for attestation and delivers two blocks later.
pub fn deliver() -> H256 {
	frame_support::assert_ok!(Hardware::request_attestation(signed(DEVICE)));
	pass(2);
	let nonce = nonce(0);
	frame_support::assert_ok!(Hardware::submit_measurement(signed(DEVICE), nonce, measurement()));
	nonce
}

/// What attester number `n` states about device 0.
pub fn state(
	n: u8,
	nonce: H256,
	statement: Option<Speed>,
) -> frame_support::dispatch::DispatchResultWithPostInfo {
	Hardware::attest(signed(attester(n)), 0, nonce, statement)
}

/// Device 0 gets evidence.
pub fn attested() {
	let nonce = deliver();
	for n in [1, 2] {
		frame_support::assert_ok!(state(n, nonce, Some(measured_speed())));
	}
}
