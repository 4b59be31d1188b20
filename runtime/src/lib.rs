//! The Cairn runtime: polkadot-sdk's consensus and account pallets, and Cairn's own: `provenance`, `hardware`,
//! `training` and `rewards`.
//!
//! The only executor is the WASM that this crate builds; nothing runs natively but tests.
#![cfg_attr(not(feature = "std"), no_std)]
#![recursion_limit = "512"]
// FRAME's macros expand to items without documentation; what is written here by hand has it.
#![allow(missing_docs)]

#[cfg(feature = "std")]
include!(concat!(env!("OUT_DIR"), "/wasm_binary.rs"));

/// The same runtime with short epochs and governance periods (`fast-runtime`), for chains that live for minutes.
#[cfg(feature = "std")]
pub mod fast {
	include!(concat!(env!("OUT_DIR"), "/fast_wasm_binary.rs"));
}

/// [`fast`] under the next version number, for the rehearsal of an upgrade.
#[cfg(feature = "std")]
pub mod rehearsal {
	include!(concat!(env!("OUT_DIR"), "/rehearsal_wasm_binary.rs"));
}

extern crate alloc;

// First, because it defines macros that `apis` uses.
#[cfg(feature = "runtime-benchmarks")]
#[macro_use]
mod benchmarks;

pub mod apis;
pub mod configs;
pub mod genesis_config_presets;
pub mod governance;
#[cfg(test)]
mod tests;
pub mod weights;

use alloc::vec::Vec;
use sp_runtime::{
	generic, impl_opaque_keys,
	traits::{BlakeTwo256, IdentifyAccount, Verify},
	MultiAddress, MultiSignature,
};
use sp_version::RuntimeVersion;

/// What a node knows of blocks: everything but the meaning of an extrinsic, which only the WASM knows.
pub mod opaque {
	use super::*;

	pub use sp_runtime::OpaqueExtrinsic as UncheckedExtrinsic;

	/// Block header.
	pub type Header = generic::Header<BlockNumber, BlakeTwo256>;
	/// Block.
	pub type Block = generic::Block<Header, UncheckedExtrinsic>;
	/// Block identifier.
	pub type BlockId = generic::BlockId<Block>;
}

impl_opaque_keys! {
	/// The keys a validator takes part in consensus with.
	pub struct SessionKeys {
		/// Block production.
		pub babe: Babe,
		/// Finality.
		pub grandpa: Grandpa,
	}
}

macro_rules! version {
	($spec_version:tt) => {
		/// What this runtime is. `spec_version` grows with every change of logic, `transaction_version` with every
		/// change of how a call is encoded.
		#[sp_version::runtime_version]
		pub const VERSION: RuntimeVersion = RuntimeVersion {
			spec_name: alloc::borrow::Cow::Borrowed("cairn"),
			impl_name: alloc::borrow::Cow::Borrowed("cairn"),
			authoring_version: 1,
			spec_version: $spec_version,
			impl_version: 1,
			apis: apis::RUNTIME_API_VERSIONS,
			transaction_version: 1,
			system_version: 1,
		};
	};
}

#[cfg(not(feature = "upgrade-rehearsal"))]
version!(100);
// Always the next one.
#[cfg(feature = "upgrade-rehearsal")]
version!(101);

/// Length of a slot, in milliseconds. It cannot change once a chain has started.
pub const SLOT_DURATION: u64 = 3_000;
/// Blocks per minute.
pub const MINUTES: BlockNumber = 60_000 / (SLOT_DURATION as BlockNumber);
/// Blocks per hour.
pub const HOURS: BlockNumber = MINUTES * 60;
/// Blocks per day.
pub const DAYS: BlockNumber = HOURS * 24;

/// Length of an epoch, which is also a session, in slots. With `fast-runtime` a devnet sees epochs change.
pub const EPOCH_DURATION: u64 = if cfg!(feature = "fast-runtime") { 20 } else { HOURS as u64 };

/// One CRN in plancks.
pub const CRN: Balance = 1_000_000_000_000;
/// A thousandth of a CRN.
pub const MILLI_CRN: Balance = CRN / 1_000;
/// What an account must hold to exist.
pub const EXISTENTIAL_DEPOSIT: Balance = MILLI_CRN;

/// BABE from the first block: one in four slots has a primary author on average, every other slot a secondary one with a
/// VRF of its own, so that each block adds to the randomness.
pub const BABE_GENESIS_EPOCH_CONFIG: sp_consensus_babe::BabeEpochConfiguration =
	sp_consensus_babe::BabeEpochConfiguration {
		c: (1, 4),
		allowed_slots: sp_consensus_babe::AllowedSlots::PrimaryAndSecondaryVRFSlots,
	};

/// A transaction's signature.
pub type Signature = MultiSignature;
/// An account: the public key of a signature.
pub type AccountId = <<Signature as Verify>::Signer as IdentifyAccount>::AccountId;
/// An amount of the native token, in plancks (10⁻¹² CRN).
pub type Balance = u128;
/// How many transactions an account has sent.
pub type Nonce = u32;
/// A hash of chain data: BLAKE2-256. Artifacts are named by BLAKE3 instead.
pub type Hash = sp_core::H256;
/// A block's number.
pub type BlockNumber = u32;
/// How accounts are addressed in calls.
pub type Address = MultiAddress<AccountId, ()>;
/// Block header.
pub type Header = generic::Header<BlockNumber, BlakeTwo256>;
/// Block.
pub type Block = generic::Block<Header, UncheckedExtrinsic>;

/// What a transaction is checked for, in order.
pub type TxExtension = (
	frame_system::CheckNonZeroSender<Runtime>,
	frame_system::CheckSpecVersion<Runtime>,
	frame_system::CheckTxVersion<Runtime>,
	frame_system::CheckGenesis<Runtime>,
	frame_system::CheckEra<Runtime>,
	frame_system::CheckNonce<Runtime>,
	frame_system::CheckWeight<Runtime>,
	pallet_transaction_payment::ChargeTransactionPayment<Runtime>,
	frame_metadata_hash_extension::CheckMetadataHash<Runtime>,
	frame_system::WeightReclaim<Runtime>,
);

/// A transaction as it travels.
pub type UncheckedExtrinsic = generic::UncheckedExtrinsic<Address, RuntimeCall, Signature, TxExtension>;

/// Migrations that run at the next upgrade; removed once they have.
type Migrations = ();

/// Executes blocks.
pub type Executive = frame_executive::Executive<
	Runtime,
	Block,
	frame_system::ChainContext<Runtime>,
	Runtime,
	AllPalletsWithSystem,
	Migrations,
>;

// Wallets and polkadot.js Apps look for these very names. A pallet's number is part of how its calls are encoded and must
// not move: 0 to 19 are accounts and consensus, 20 to 39 governance, 40 is `Mmr`, 50 and up are Cairn's own.
#[frame_support::runtime]
mod runtime {
	#[runtime::runtime]
	#[runtime::derive(
		RuntimeCall,
		RuntimeEvent,
		RuntimeError,
		RuntimeOrigin,
		RuntimeFreezeReason,
		RuntimeHoldReason,
		RuntimeSlashReason,
		RuntimeLockId,
		RuntimeTask,
		RuntimeViewFunction
	)]
	pub struct Runtime;

	#[runtime::pallet_index(0)]
	pub type System = frame_system;
	#[runtime::pallet_index(1)]
	pub type Timestamp = pallet_timestamp;
	#[runtime::pallet_index(2)]
	pub type Babe = pallet_babe;
	#[runtime::pallet_index(3)]
	pub type Authorship = pallet_authorship;
	#[runtime::pallet_index(4)]
	pub type Balances = pallet_balances;
	#[runtime::pallet_index(5)]
	pub type TransactionPayment = pallet_transaction_payment;
	#[runtime::pallet_index(6)]
	pub type Session = pallet_session;
	#[runtime::pallet_index(7)]
	pub type Historical = pallet_session::historical;
	#[runtime::pallet_index(8)]
	pub type Grandpa = pallet_grandpa;
	#[runtime::pallet_index(9)]
	pub type Offences = pallet_offences;
	#[runtime::pallet_index(10)]
	pub type Utility = pallet_utility;

	#[runtime::pallet_index(20)]
	pub type Preimage = pallet_preimage;
	#[runtime::pallet_index(21)]
	pub type Scheduler = pallet_scheduler;
	#[runtime::pallet_index(22)]
	pub type Referenda = pallet_referenda;
	#[runtime::pallet_index(23)]
	pub type ConvictionVoting = pallet_conviction_voting;
	#[runtime::pallet_index(24)]
	pub type Origins = governance::pallet_custom_origins;
	#[runtime::pallet_index(25)]
	pub type TechnicalCommittee = pallet_collective<Instance1>;
	#[runtime::pallet_index(26)]
	pub type Whitelist = pallet_whitelist;
	#[runtime::pallet_index(27)]
	pub type Treasury = pallet_treasury;
	#[runtime::pallet_index(28)]
	pub type Multisig = pallet_multisig;
	#[runtime::pallet_index(29)]
	pub type Proxy = pallet_proxy;

	#[runtime::pallet_index(40)]
	pub type Mmr = pallet_mmr;

	#[runtime::pallet_index(50)]
	pub type Provenance = pallet_provenance;
	#[runtime::pallet_index(51)]
	pub type Hardware = pallet_hardware;
	#[runtime::pallet_index(52)]
	pub type Rewards = pallet_rewards;
	#[runtime::pallet_index(53)]
	pub type Training = pallet_training;
	#[runtime::pallet_index(54)]
	pub type Governance = pallet_governance;
}
