use crate as pallet_hardware;
use frame_support::{derive_impl, parameter_types};
use sp_core::{crypto::AccountId32, ed25519, Pair};
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

/// Runs `test` at block 1 with funded accounts and checks the registry's invariants at the end.
pub fn run(test: impl FnOnce()) {
	let mut storage =
		frame_system::GenesisConfig::<Test>::default().build_storage().expect("genesis is valid");
	pallet_balances::GenesisConfig::<Test> {
		balances: vec![(OWNER, 1_000), (DEVICE, 1_000), (OTHER, 1_000), (POOR, 5)],
		..Default::default()
	}
	.assimilate_storage(&mut storage)
	.expect("genesis is valid");
	sp_io::TestExternalities::new(storage).execute_with(|| {
		System::set_block_number(1);
		test();
		Hardware::do_try_state().expect("the registry's invariants hold");
	});
}
