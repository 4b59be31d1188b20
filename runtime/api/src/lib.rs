#![doc = include_str!("../README.md")]
#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

use alloc::vec::Vec;
use cairn_primitives::{
	ledger::{Batch, BatchId},
	views::{
		AttestationInfo, AttestersInfo, BondInfo, CharterInfo, DeviceInfo, PotInfo, ProgrammeInfo,
		RewardInfo, RoundInfo, RoundPage, RoundState, SiteInfo, SlashInfo,
	},
	ArtifactHash, DeviceId, ProgrammeId, Record, RecordId, RoundIndex, SiteId, SlashId, H256,
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

		/// A page of the rounds of a programme, newest first, from round `from` or the newest on; only those of `state`,
		/// when one is given. To read on, pass the page's `next`.
		///
		/// `limit` is the most rounds wanted, capped at [`cairn_primitives::views::MAX_PAGE`]. `None` when no programme has
		/// this number.
		fn rounds(
			programme: ProgrammeId,
			state: Option<RoundState>,
			from: Option<RoundIndex>,
			limit: u32,
		) -> Option<RoundPage<AccountId, BlockNumber>>;

		/// The accounts that stand ready to be drawn into a committee, in the order in which the draw sees them.
		fn aggregators() -> Vec<AccountId>;

		/// How many of them a committee of a programme could be drawn from now: those who were enlisted before the draw
		/// could be foreseen, whose device is active and may take part, and whose bond still suffices.
		fn drawable(programme: ProgrammeId) -> u32;

		/// Whether `Training.advance` would open the next round of a programme that waits: the charter allows the round
		/// and the pot can pay for it.
		///
		/// `false` when the programme does not wait for either, or does not exist.
		fn can_open_round(programme: ProgrammeId) -> bool;

		/// Whether the charter lets a device take part in a programme: it has the evidence that is asked of its class.
		///
		/// `false` when evidence is asked for and no device has this number.
		fn may_take_part(programme: ProgrammeId, device: DeviceId) -> bool;
	}

	/// The provenance ledger, as far as it is in state: what commits to the records, and which weights have one. The records
	/// of rounds are in the nodes' offchain index, under `cairn_primitives::ledger::batch_key`.
	#[api_version(2)]
	pub trait ProvenanceApi<AccountId, BlockNumber>
	where
		AccountId: Codec,
		BlockNumber: Codec,
	{
		/// How many records there are. Records are numbered from 0 without gaps, so this is also the next number.
		fn record_count() -> RecordId;

		/// How many batches there are. Batches are numbered from 0 without gaps, so this is also the next number.
		fn batch_count() -> BatchId;

		/// A batch of records by its number.
		///
		/// `None` when no batch has this number.
		fn batch(batch: BatchId) -> Option<Batch<BlockNumber>>;

		/// Batches by their numbers, in the order asked for, at most [`cairn_primitives::views::MAX_PAGE`]: what comes after
		/// that many is left out.
		///
		/// `None` in the place of a number that no batch has.
		fn batches(batches: Vec<BatchId>) -> Vec<Option<Batch<BlockNumber>>>;

		/// The batch that a record is in, with its number.
		///
		/// `None` when no record has this number.
		fn batch_of(record: RecordId) -> Option<(BatchId, Batch<BlockNumber>)>;

		/// The roots of all batches that one block appended, in order, with the number of the first: what the path from
		/// one of them to the block's provenance root is made from. The block is that of `batch`.
		///
		/// `None` when no batch has this number.
		fn batches_beside(batch: BatchId) -> Option<(BatchId, Vec<H256>)>;

		/// The records of a batch that a programme started with: its training configuration and its weights.
		///
		/// `None` when no batch has this number or when it is a round's, whose records are not in state.
		fn start_records(batch: BatchId) -> Option<Vec<Record<AccountId, BlockNumber>>>;

		/// The first record of weights.
		///
		/// `None` when no record names these weights. Updates and configurations are not looked up here.
		fn weights_record(weights: ArtifactHash) -> Option<RecordId>;
	}

	/// The hardware registry.
	#[api_version(1)]
	pub trait HardwareApi<AccountId>
	where
		AccountId: Codec,
	{
		/// A site by its number.
		///
		/// `None` when no site has this number.
		fn site(site: SiteId) -> Option<SiteInfo<AccountId>>;

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

		/// The attesters, and how many of them must agree.
		fn attesters() -> AttestersInfo<AccountId>;

		/// A device's request for attestation that is under way, with the seed of the benchmark.
		///
		/// `None` when the device has none: it never asked, its windows are over, or it is decided.
		fn open_challenge(device: DeviceId) -> Option<AttestationInfo<AccountId, u32>>;

		/// Whether a device has a request for attestation under way, or would be allowed one now.
		///
		/// `false` when there are no attesters, when its last request was too short ago, when governance suspended it, when
		/// it is retired, and when no device has this number.
		fn can_attest(device: DeviceId) -> bool;

		/// A page of the requests that have a measurement and wait for attesters, in no particular order, beginning behind
		/// the device `after`. To read on, pass the last one's device; an empty page is the end.
		///
		/// `limit` is the most requests wanted, capped at [`cairn_primitives::views::MAX_PAGE`].
		fn challenges_to_judge(after: Option<DeviceId>, limit: u32) -> Vec<AttestationInfo<AccountId, u32>>;

		/// The local steps a device is asked for in a round whose programme allows up to `max`: proportional to its
		/// measured speed, and `max` when nobody measured it.
		fn local_steps(device: DeviceId, max: u32) -> u32;

		/// Whether nobody has called `Hardware.recheck` in this epoch yet.
		fn recheck_is_due() -> bool;
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
