#![doc = include_str!("../README.md")]
#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

use alloc::vec::Vec;
use cairn_primitives::{
	views::{
		BondInfo, CharterInfo, DeviceInfo, LineagePage, PotInfo, ProgrammeInfo, RewardInfo, RoundInfo, SlashInfo,
	},
	ArtifactHash, DeviceId, ProgrammeId, Record, RecordId, RoundIndex, SlashId,
};
use codec::Codec;

sp_api::decl_runtime_apis! {
	/// Programmes and their rounds.
	#[api_version(1)]
	pub trait TrainingApi<AccountId, Balance, BlockNumber>
	where
		AccountId: Codec,
		Balance: Codec,
		BlockNumber: Codec,
	{
		/// The numbers of all programmes, ascending.
		fn programmes() -> Vec<ProgrammeId>;

		/// A programme: what it trains, under which rules, and how far it has come.
		///
		/// `None` when no programme has this number.
		fn programme(programme: ProgrammeId) -> Option<ProgrammeInfo<AccountId, Balance>>;

		/// The round that runs in a programme.
		///
		/// `None` when the programme does not exist or when none of its rounds runs: it is complete or its pot cannot
		/// pay for one.
		fn current_round(programme: ProgrammeId) -> Option<RoundInfo<AccountId, BlockNumber>>;

		/// A round by its number, running or settled.
		///
		/// `None` when the programme does not exist or has not opened this round.
		fn round(programme: ProgrammeId, index: RoundIndex) -> Option<RoundInfo<AccountId, BlockNumber>>;

		/// The accounts that stand ready to be drawn into a committee, in the order in which the draw sees them.
		fn aggregators() -> Vec<AccountId>;
	}

	/// The provenance ledger.
	#[api_version(1)]
	pub trait ProvenanceApi<AccountId, BlockNumber>
	where
		AccountId: Codec,
		BlockNumber: Codec,
	{
		/// How many records there are. Records are numbered from 0 without gaps, so this is also the next number.
		fn record_count() -> RecordId;

		/// A record by its number.
		///
		/// `None` when no record has this number.
		fn record(id: RecordId) -> Option<Record<AccountId, BlockNumber>>;

		/// The record of an artifact.
		///
		/// `None` when no record names this artifact.
		fn record_of(artifact: ArtifactHash) -> Option<RecordId>;

		/// A page of the lineage that begins at record `from`: the record, the updates it was made of, the weights it
		/// was applied to, and so on to what the programme started from; newest first. To read on, pass the page's
		/// `next` as `from`.
		///
		/// `limit` is the most records wanted, capped at [`cairn_primitives::views::MAX_PAGE`]. `None` when no
		/// record has the number `from`.
		fn lineage(from: RecordId, limit: u32) -> Option<LineagePage<AccountId, BlockNumber>>;
	}

	/// The hardware registry.
	#[api_version(1)]
	pub trait HardwareApi<AccountId>
	where
		AccountId: Codec,
	{
		/// A device by its number.
		///
		/// `None` when no device has this number.
		fn device(device: DeviceId) -> Option<DeviceInfo<AccountId>>;

		/// The device that signs with `account`.
		///
		/// `None` when no device has this account.
		fn device_of(account: AccountId) -> Option<DeviceInfo<AccountId>>;

		/// The device whose libp2p identity is this ed25519 public key.
		///
		/// `None` when no device has bound this key.
		fn device_of_network_key(network_key: [u8; 32]) -> Option<DeviceInfo<AccountId>>;
	}

	/// What the DAO has decided.
	#[api_version(1)]
	pub trait GovernanceApi<AccountId>
	where
		AccountId: Codec,
	{
		/// The policies that bind every programme.
		fn charter() -> CharterInfo;

		/// The validators that were decided on last, sorted. They take over with the session after the next.
		fn validators() -> Vec<AccountId>;
	}

	/// Points, claims and bonds.
	#[api_version(1)]
	pub trait RewardsApi<AccountId, Balance>
	where
		AccountId: Codec,
		Balance: Codec,
	{
		/// What an account has earned in a programme: points so far, and in plancks what it can claim and has claimed.
		///
		/// All zero when the account earned nothing there or the programme does not exist.
		fn rewards(programme: ProgrammeId, account: AccountId) -> RewardInfo<Balance>;

		/// What an account has bonded, in plancks; zero when it has no bond.
		fn bonded(account: AccountId) -> Balance;
	}

	/// The pots of programmes.
	#[api_version(1)]
	pub trait PotsApi<AccountId, Balance>
	where
		AccountId: Codec,
		Balance: Codec,
	{
		/// The ledger of a programme's pot: what came in, what was earned, returned and forfeited, and what is left.
		///
		/// `None` when no programme has this number.
		fn pot(programme: ProgrammeId) -> Option<PotInfo<AccountId, Balance>>;

		/// What a sponsor gets back from a closed programme's pot when it asks now, in plancks.
		///
		/// Zero while the programme is not closed, and when the account gave nothing or has been refunded.
		fn refund(programme: ProgrammeId, sponsor: AccountId) -> Balance;
	}

	/// Stakes, and what waits to be taken from them.
	#[api_version(1)]
	pub trait SlashesApi<AccountId, Balance, BlockNumber>
	where
		AccountId: Codec,
		Balance: Codec,
		BlockNumber: Codec,
	{
		/// What an account stakes: its bond, the part that pending slashes would take, and its challenge bonds.
		fn bond(account: AccountId) -> BondInfo<Balance>;

		/// The slashes of an account that are neither applied nor vetoed.
		fn slashes(account: AccountId) -> Vec<SlashInfo<AccountId, Balance, BlockNumber>>;

		/// A slash by its number.
		///
		/// `None` when it was applied or vetoed, or when no slash has this number.
		fn slash(slash: SlashId) -> Option<SlashInfo<AccountId, Balance, BlockNumber>>;
	}
}
