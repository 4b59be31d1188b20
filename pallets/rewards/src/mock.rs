use crate::{self as pallet_rewards, Share, SlashFractions};
use cairn_primitives::{ProgrammeId, H256};
use frame_support::{derive_impl, ord_parameter_types, parameter_types, traits::Contains, PalletId};
use frame_system::EnsureSignedBy;
use sp_core::crypto::AccountId32;
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
	pub type Rewards = pallet_rewards;
}

parameter_types! {
	pub const RewardsPalletId: PalletId = PalletId(*b"crn/rwds");
	pub const MinAggregatorBond: u128 = 50;
	pub const ExistentialDeposit: u128 = 5;
	pub const MinContribution: u128 = 10;
	pub Treasury: AccountId32 = acc(100);
	pub const Fractions: SlashFractions = SlashFractions {
		dissented: Perbill::from_percent(10),
		overturned: Perbill::from_percent(50),
		failed_challenge: Perbill::from_percent(100),
		equivocation: Perbill::from_percent(100),
	};
	pub const SlashDeferral: u64 = 20;
	pub const AppealPeriod: u64 = 30;
	pub const MaxPendingSlashes: u32 = 4;
}

/// Who decides what faults cost.
pub const SLASH_ORIGIN: u8 = 50;
/// Who lifts slashes.
pub const VETO_ORIGIN: u8 = 51;

ord_parameter_types! {
	pub const Slasher: AccountId32 = AccountId32::new([SLASH_ORIGIN; 32]);
	pub const Vetoer: AccountId32 = AccountId32::new([VETO_ORIGIN; 32]);
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

/// The account number `n`.
pub fn acc(n: u8) -> AccountId32 {
	AccountId32::new([n; 32])
}

/// Account 9's bond is locked.
pub struct NineIsLocked;
impl Contains<AccountId32> for NineIsLocked {
	fn contains(account: &AccountId32) -> bool {
		*account == acc(9)
	}
}

/// Programmes 0 and 1 exist.
pub struct TwoProgrammes;
impl Contains<ProgrammeId> for TwoProgrammes {
	fn contains(programme: &ProgrammeId) -> bool {
		*programme < 2
	}
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

impl pallet_rewards::Config for Test {
	type Currency = Balances;
	type RuntimeHoldReason = RuntimeHoldReason;
	type PalletId = RewardsPalletId;
	type MinAggregatorBond = MinAggregatorBond;
	type BondLocked = NineIsLocked;
	type Programmes = TwoProgrammes;
	type MinContribution = MinContribution;
	type Treasury = Treasury;
	type SlashOrigin = EnsureSignedBy<Slasher, AccountId32>;
	type VetoOrigin = EnsureSignedBy<Vetoer, AccountId32>;
	type DefaultSlashFractions = Fractions;
	type SlashDeferral = SlashDeferral;
	type AppealPeriod = AppealPeriod;
	type MaxPendingSlashes = MaxPendingSlashes;
	type WeightInfo = pallet_rewards::weights::DbCosts<Test>;
	#[cfg(feature = "runtime-benchmarks")]
	type BenchmarkHelper = ProgrammeZero;
}

/// A chain at block 1. Accounts 1 to 4 and 9 hold 1,000 each; nobody else, the treasury included, has anything.
pub fn chain() -> sp_io::TestExternalities {
	let mut storage =
		frame_system::GenesisConfig::<Test>::default().build_storage().expect("genesis is valid");
	pallet_balances::GenesisConfig::<Test> {
		balances: [1, 2, 3, 4, 9].map(|n| (acc(n), 1_000)).into(),
		..Default::default()
	}
	.assimilate_storage(&mut storage)
	.expect("genesis is valid");
	let mut chain = sp_io::TestExternalities::new(storage);
	chain.execute_with(|| System::set_block_number(1));
	chain
}

/// Runs `test` on [`chain`] and checks the invariants at the end.
pub fn run(test: impl FnOnce()) {
	chain().execute_with(|| {
		test();
		Rewards::do_try_state().expect("the invariants hold");
	});
}

pub fn signed(who: u8) -> RuntimeOrigin {
	RuntimeOrigin::signed(acc(who))
}

/// Origins that sign for nobody.
pub fn unsigned() -> [RuntimeOrigin; 2] {
	[RuntimeOrigin::root(), RuntimeOrigin::none()]
}

pub fn pass_blocks(n: u64) {
	System::set_block_number(System::block_number() + n);
}

/// The evidence number `n`.
pub fn evidence(n: u64) -> H256 {
	H256::from_low_u64_be(n)
}

/// Points of accounts, each at a site of its own.
pub fn shares<const N: usize>(points: [(u8, u128); N]) -> Vec<Share<AccountId32>> {
	points.map(|(who, points)| Share { account: acc(who), site: who.into(), points }).into()
}

/// A plain transfer into a pot, as a treasury spend makes one.
pub fn transfer_to_pot(who: u8, programme: ProgrammeId, amount: u128) {
	frame_support::assert_ok!(Balances::transfer_keep_alive(signed(who), Rewards::pot(programme), amount));
}

pub fn free(who: u8) -> u128 {
	Balances::free_balance(acc(who))
}

pub fn treasury() -> u128 {
	Balances::free_balance(Treasury::get())
}
