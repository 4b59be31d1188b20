//! What the runtime APIs return: the state of programmes, rounds, records and rewards as a client wants to see it.

use crate::{
	hardware::{EvidenceKind, Measurement, Speed},
	Aggregation, ArtifactHash, DeviceClass, DeviceId, ProgrammeId, Record, RecordId, RecordRange, RoundIndex,
	RoundTerms, RuleKind, Schedule, SlashId, H256,
};
use alloc::{string::String, vec::Vec};
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;
#[cfg(feature = "serde")]
use serde::{Deserialize, Serialize};

/// The most records that one page of a runtime API or RPC answer holds.
pub const MAX_PAGE: u32 = 100;

/// Whether a programme runs.
#[derive(
	Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub enum ProgrammeState {
	/// Rounds run.
	Open,
	/// No round runs because the pot cannot pay for one; it goes on when the pot is funded.
	Unfunded,
	/// All its rounds are done.
	Completed,
	/// Governance stopped it; the running round stands still until it is resumed.
	Paused,
	/// No round runs because the charter does not allow one; it goes on when the programme or the charter is amended.
	Barred,
	/// Governance ended it.
	Closed,
}

/// Where a round stands.
#[derive(
	Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub enum Phase {
	/// Workers train and commit update hashes.
	Commit,
	/// The committee fetches, checks and votes which updates it holds.
	Availability,
	/// The committee computes the aggregate and commits to it.
	Aggregate,
	/// The committee reveals the aggregate's hash and the updates' quality.
	Reveal,
	/// The committee agreed; anyone can dispute the result.
	Challenge,
	/// The result is disputed; an audit committee computes it again and commits to it.
	AuditAggregate,
	/// The audit committee reveals what it computed.
	AuditReveal,
	/// The next weights are recorded.
	Finalised,
	/// Nothing came of it; nothing was paid.
	Failed,
}

/// What has become of a round, coarsely.
#[derive(
	Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub enum RoundState {
	/// It is in one of the phases before the last.
	Running,
	/// It left weights.
	Finalised,
	/// It left nothing.
	Failed,
}

impl Phase {
	/// What has become of a round in this phase.
	pub const fn state(self) -> RoundState {
		match self {
			Self::Finalised => RoundState::Finalised,
			Self::Failed => RoundState::Failed,
			_ => RoundState::Running,
		}
	}
}

/// Why a round failed.
#[derive(
	Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub enum FailureReason {
	/// Fewer updates were committed than the programme asks for.
	TooFewCommits,
	/// Fewer updates were available to two thirds of the committee than the programme asks for.
	TooFewIncluded,
	/// No two thirds of the committee agreed on one aggregate, in all attempts.
	NoAgreement,
	/// The agreed aggregate is an artifact that was recorded before.
	AlreadyRecorded,
	/// Governance closed the programme while the round ran.
	ProgrammeClosed,
	/// The result was challenged, and no two thirds of the audit committee agreed on one.
	NoVerdict,
}

/// A programme.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, TypeInfo)]
#[cfg_attr(
	feature = "serde",
	derive(Serialize, Deserialize),
	serde(
		rename_all = "camelCase",
		bound(
			serialize = "AccountId: Serialize, Balance: core::fmt::Display",
			deserialize = "AccountId: Deserialize<'de>, Balance: core::str::FromStr"
		)
	)
)]
pub struct ProgrammeInfo<AccountId, Balance> {
	/// Its number.
	pub id: ProgrammeId,
	/// Its name, UTF-8.
	#[cfg_attr(feature = "serde", serde(with = "crate::text::utf8"))]
	pub name: Vec<u8>,
	/// Whether it runs.
	pub state: ProgrammeState,
	/// Its training configuration.
	pub config: ArtifactHash,
	/// The weights it started from.
	pub genesis_weights: ArtifactHash,
	/// The newest weights.
	pub weights: ArtifactHash,
	/// The record of the newest weights.
	pub weights_record: RecordId,
	/// How updates are aggregated.
	pub aggregation: Aggregation,
	/// The windows of a round, in blocks.
	pub schedule: Schedule,
	/// Aggregators drawn per round.
	pub committee_size: u32,
	/// Aggregators drawn for the audit of a disputed round.
	pub audit_size: u32,
	/// The least updates that a round needs.
	pub min_updates: u32,
	/// The number of commits at which the commit window closes early.
	pub target_updates: u32,
	/// The most updates that a round takes.
	pub max_updates: u32,
	/// The most samples one update may declare.
	pub max_samples: u32,
	/// The most local steps one update may declare.
	pub max_local_steps: u32,
	/// Rounds to finalise before the programme is complete.
	pub rounds: u32,
	/// Rounds finalised so far.
	pub finalised: u32,
	/// The round that runs, or the last one when none runs.
	pub round: RoundIndex,
	/// The part of that which the committee shares, in per cent.
	pub committee_share: u8,
	/// What a finalised round pays in all, in plancks.
	#[cfg_attr(feature = "serde", serde(with = "crate::text::decimal"))]
	pub reward_per_round: Balance,
	/// The licence that the model is published under, an SPDX identifier; empty when none is stated.
	#[cfg_attr(feature = "serde", serde(with = "crate::text::utf8"))]
	pub licence: Vec<u8>,
	/// What kind of data it is trained on; empty when nothing is stated.
	#[cfg_attr(feature = "serde", serde(with = "crate::text::utf8"))]
	pub data_category: Vec<u8>,
	/// What one finalised round may cost a participant in differential privacy, in thousandths of epsilon. `None`: no
	/// guarantee is given.
	pub epsilon_per_round: Option<u32>,
	/// What a challenger puts at stake, in plancks.
	#[cfg_attr(feature = "serde", serde(with = "crate::text::decimal"))]
	pub challenge_bond: Balance,
	/// The account that holds the programme's pot.
	pub pot: AccountId,
	/// What the pot holds beyond what it owes, in plancks.
	#[cfg_attr(feature = "serde", serde(with = "crate::text::decimal"))]
	pub pot_free: Balance,
}

/// The policies that bind every programme. What is left out of its JSON binds nothing.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, TypeInfo)]
#[cfg_attr(
	feature = "serde",
	derive(Serialize, Deserialize),
	serde(rename_all = "camelCase", default, deny_unknown_fields)
)]
pub struct CharterInfo {
	/// What a programme may cost a participant in differential privacy, over all its rounds, in thousandths of epsilon.
	/// `None`: nothing is asked.
	pub max_epsilon: Option<u32>,
	/// The licences a model may be published under, SPDX identifiers; empty when any will do.
	pub licences: Vec<String>,
	/// The kinds of data that may be trained on; empty when any will do.
	pub data_categories: Vec<String>,
	/// The most of a round's reward for trainers that one site may get, in per cent.
	pub site_cap: u8,
	/// The classes of devices that need valid measured evidence to take part.
	pub evidence: Vec<DeviceClass>,
	/// The aggregation rules that may be used; empty when any may.
	pub rules: Vec<RuleKind>,
	/// The least aggregators per round.
	pub min_committee: u32,
	/// The shortest windows of a round, in blocks.
	pub min_schedule: Schedule,
	/// The longest windows of a round, in blocks.
	pub max_schedule: Schedule,
}

impl Default for CharterInfo {
	/// Binds nothing.
	fn default() -> Self {
		Self {
			max_epsilon: None,
			licences: Vec::new(),
			data_categories: Vec::new(),
			site_cap: 100,
			evidence: Vec::new(),
			rules: Vec::new(),
			min_committee: 1,
			min_schedule: Schedule::SHORTEST,
			max_schedule: Schedule::LONGEST,
		}
	}
}

/// One update's commit in the running round.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, TypeInfo)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub struct CommitInfo<AccountId> {
	/// Its place in the canonical order; the bit it has in bitmaps.
	pub index: u32,
	/// The committing account.
	pub producer: AccountId,
	/// The device.
	pub device: DeviceId,
	/// The update.
	pub artifact: ArtifactHash,
	/// Declared samples.
	pub samples: u32,
	/// Declared local steps.
	pub local_steps: u32,
}

/// How a committee member did in a settled round.
#[derive(
	Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub enum MemberOutcome {
	/// It revealed the aggregate that two thirds revealed.
	Agreed,
	/// It revealed another one.
	Dissented,
	/// It revealed nothing.
	Silent,
	/// It revealed what two thirds revealed, and an audit overturned that.
	Overturned,
}

/// What an audit came to.
#[derive(
	Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub enum Verdict {
	/// The audit came to the disputed result: the challenger was wrong.
	Upheld,
	/// The audit came to another result, which was finalised: the challenger was right to dispute.
	Overturned,
	/// No two thirds of the audit committee agreed; the round failed.
	None,
}

/// A challenge of a round's result.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, TypeInfo)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub struct ChallengeInfo<AccountId> {
	/// Who challenged.
	pub challenger: AccountId,
	/// What it says the next weights are; the agreed ones when it disputes the updates' quality.
	pub claimed: ArtifactHash,
	/// The audit committee. Its members' acts are kept while the round runs.
	pub committee: Vec<MemberInfo<AccountId>>,
	/// What came of it, once the round is settled.
	pub verdict: Option<Verdict>,
}

/// What a committee member has done in the running attempt.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, TypeInfo)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub struct MemberInfo<AccountId> {
	/// The member.
	pub account: AccountId,
	/// Its availability bitmap.
	#[cfg_attr(feature = "serde", serde(with = "crate::text::hex_bytes_option"))]
	pub bitmap: Option<Vec<u8>>,
	/// Whether it committed to an aggregate.
	pub committed: bool,
	/// The aggregate it revealed.
	pub revealed: Option<ArtifactHash>,
	/// The digest of the quality it revealed: [`crate::round::quality_digest`].
	pub quality: Option<H256>,
	/// How it did, once the round is settled.
	pub outcome: Option<MemberOutcome>,
}

/// A round, running or settled.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, TypeInfo)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub struct RoundInfo<AccountId, BlockNumber> {
	/// The programme.
	pub programme: ProgrammeId,
	/// Its number.
	pub index: RoundIndex,
	/// Which committee this is, from 0.
	pub attempt: u32,
	/// Where it stands.
	pub phase: Phase,
	/// The last block at which the phase takes what it waits for. `None` in a commit window that nobody has committed
	/// in: the first commit starts the clock. For a settled round, the block that settled it.
	pub deadline: Option<BlockNumber>,
	/// The block that opened it.
	pub opened: BlockNumber,
	/// The base weights.
	pub base: ArtifactHash,
	/// Their record.
	pub base_record: RecordId,
	/// What binds its updates.
	pub terms: RoundTerms,
	/// How many updates were committed.
	pub commit_count: u32,
	/// The commits, in canonical order. Empty once the round is settled; then the records tell.
	pub commits: Vec<CommitInfo<AccountId>>,
	/// The committee; not the auditors. Its members' acts are kept while the round runs.
	pub committee: Vec<MemberInfo<AccountId>>,
	/// Which commits are included, as a bitmap; empty before availability is settled.
	#[cfg_attr(feature = "serde", serde(with = "crate::text::hex_bytes"))]
	pub included: Vec<u8>,
	/// What orders the included updates for bucketing, drawn when they were settled. `None` before, and where the
	/// programme has no bucketing.
	pub bucketing_seed: Option<H256>,
	/// The agreed next weights. Final when the round is finalised; before, a challenge can still overturn them.
	pub result: Option<ArtifactHash>,
	/// The digest of the included updates' quality that was agreed on: [`crate::round::quality_digest`].
	pub quality: Option<H256>,
	/// The challenge of the result, if there is or was one.
	pub challenge: Option<ChallengeInfo<AccountId>>,
	/// Their record.
	pub result_record: Option<RecordId>,
	/// The records of the included updates.
	pub updates: Option<RecordRange>,
	/// Why it failed, if it did.
	pub failure: Option<FailureReason>,
}

/// A record with its number.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, TypeInfo)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub struct RecordInfo<AccountId, BlockNumber> {
	/// Its number.
	pub id: RecordId,
	/// The record.
	pub record: Record<AccountId, BlockNumber>,
}

/// A page of a model's lineage: the model, the updates it was made of, the model before it, and so on to the weights
/// that the programme started from.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, TypeInfo)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub struct LineagePage<AccountId, BlockNumber> {
	/// The records, newest first.
	pub records: Vec<RecordInfo<AccountId, BlockNumber>>,
	/// Where the next page starts; `None` at the end.
	pub next: Option<RecordId>,
}

/// A page of records in the order of the ledger, oldest first.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, TypeInfo)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub struct RecordsFrom<AccountId, BlockNumber> {
	/// The records, oldest first.
	pub records: Vec<RecordInfo<AccountId, BlockNumber>>,
	/// Where the next page starts; `None` at the end.
	pub next: Option<RecordId>,
}

/// A page of a programme's rounds.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, TypeInfo)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub struct RoundPage<AccountId, BlockNumber> {
	/// The rounds, newest first.
	pub rounds: Vec<RoundInfo<AccountId, BlockNumber>>,
	/// Where the next page starts; `None` at the end. A page can be short, or even empty, and have a next one: the
	/// rounds that one call looks at are limited too.
	pub next: Option<RoundIndex>,
}

/// A site, as the registry has it.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, TypeInfo)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub struct SiteInfo<AccountId> {
	/// Its number.
	pub id: crate::SiteId,
	/// Who keeps it.
	pub owner: AccountId,
	/// What it is called, UTF-8.
	#[cfg_attr(feature = "serde", serde(with = "crate::text::utf8"))]
	pub name: Vec<u8>,
	/// Where it stands, UTF-8.
	#[cfg_attr(feature = "serde", serde(with = "crate::text::utf8"))]
	pub region: Vec<u8>,
	/// What powers it.
	pub energy: crate::EnergySource,
	/// How many of its devices are not retired.
	pub devices: u32,
}

/// What an account earned in a programme.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, TypeInfo)]
#[cfg_attr(
	feature = "serde",
	derive(Serialize, Deserialize),
	serde(
		rename_all = "camelCase",
		bound(serialize = "Balance: core::fmt::Display", deserialize = "Balance: core::str::FromStr")
	)
)]
pub struct RewardInfo<Balance> {
	/// Points so far.
	#[cfg_attr(feature = "serde", serde(with = "crate::text::decimal"))]
	pub points: u128,
	/// What can be claimed now, in plancks.
	#[cfg_attr(feature = "serde", serde(with = "crate::text::decimal"))]
	pub claimable: Balance,
	/// What was claimed before, in plancks.
	#[cfg_attr(feature = "serde", serde(with = "crate::text::decimal"))]
	pub claimed: Balance,
}

/// What an account did wrong, on evidence that is on chain.
#[derive(
	Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub enum FaultKind {
	/// An aggregator revealed another result than two thirds of its committee did.
	Dissented,
	/// An aggregator agreed on a result that an audit overturned.
	Overturned,
	/// A challenger disputed a result that an audit confirmed. Costs the challenge bond, not the account's own bond.
	FailedChallenge,
	/// A validator signed two different blocks, or two different votes, for one place.
	Equivocation,
}

/// A slash that waits to be applied, as clients see it.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, TypeInfo)]
#[cfg_attr(
	feature = "serde",
	derive(Serialize, Deserialize),
	serde(
		rename_all = "camelCase",
		bound(
			serialize = "AccountId: Serialize, BlockNumber: Serialize, Balance: core::fmt::Display",
			deserialize = "AccountId: Deserialize<'de>, BlockNumber: Deserialize<'de>, Balance: core::str::FromStr"
		)
	)
)]
pub struct SlashInfo<AccountId, Balance, BlockNumber> {
	/// Its number.
	pub id: SlashId,
	/// Whose bond it takes from.
	pub account: AccountId,
	/// What for.
	pub kind: FaultKind,
	/// How much it takes, in plancks.
	#[cfg_attr(feature = "serde", serde(with = "crate::text::decimal"))]
	pub amount: Balance,
	/// The hash of the evidence.
	pub evidence: H256,
	/// The block that reported the fault.
	pub reported: BlockNumber,
	/// The first block that may apply it.
	pub due: BlockNumber,
	/// The hash of the reason of the appeal, once there is one.
	pub appeal: Option<H256>,
}

/// What an account stakes, in plancks.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, TypeInfo)]
#[cfg_attr(
	feature = "serde",
	derive(Serialize, Deserialize),
	serde(
		rename_all = "camelCase",
		bound(serialize = "Balance: core::fmt::Display", deserialize = "Balance: core::str::FromStr")
	)
)]
pub struct BondInfo<Balance> {
	/// Its bond.
	#[cfg_attr(feature = "serde", serde(with = "crate::text::decimal"))]
	pub bonded: Balance,
	/// The part of the bond that pending slashes would take.
	#[cfg_attr(feature = "serde", serde(with = "crate::text::decimal"))]
	pub pending: Balance,
	/// Held for challenges, undecided and lost ones.
	#[cfg_attr(feature = "serde", serde(with = "crate::text::decimal"))]
	pub challenges: Balance,
	/// Whether the bond cannot be taken back now because the account is enlisted or serves.
	pub locked: bool,
}

/// The ledger of a programme's pot, in plancks: `funded = claimed + owed + refunded + forfeited + remaining`.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, TypeInfo)]
#[cfg_attr(
	feature = "serde",
	derive(Serialize, Deserialize),
	serde(
		rename_all = "camelCase",
		bound(
			serialize = "AccountId: Serialize, Balance: core::fmt::Display",
			deserialize = "AccountId: Deserialize<'de>, Balance: core::str::FromStr"
		)
	)
)]
pub struct PotInfo<AccountId, Balance> {
	/// The account that holds it.
	pub account: AccountId,
	/// Everything that ever came in.
	#[cfg_attr(feature = "serde", serde(with = "crate::text::decimal"))]
	pub funded: Balance,
	/// Of that, what sponsors gave who have not been refunded.
	#[cfg_attr(feature = "serde", serde(with = "crate::text::decimal"))]
	pub sponsored: Balance,
	/// Earned and claimed.
	#[cfg_attr(feature = "serde", serde(with = "crate::text::decimal"))]
	pub claimed: Balance,
	/// Earned and not yet claimed.
	#[cfg_attr(feature = "serde", serde(with = "crate::text::decimal"))]
	pub owed: Balance,
	/// Returned to sponsors.
	#[cfg_attr(feature = "serde", serde(with = "crate::text::decimal"))]
	pub refunded: Balance,
	/// Gone to the treasury.
	#[cfg_attr(feature = "serde", serde(with = "crate::text::decimal"))]
	pub forfeited: Balance,
	/// What is left beside what is owed: free for rounds while the pot is open, for sponsors and the treasury once it is
	/// closed. Holds the existential deposit.
	#[cfg_attr(feature = "serde", serde(with = "crate::text::decimal"))]
	pub remaining: Balance,
	/// Whether the programme has closed.
	pub closed: bool,
}

/// A device, as the registry has it.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, TypeInfo)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub struct DeviceInfo<AccountId, BlockNumber = u32> {
	/// Its number.
	pub id: DeviceId,
	/// The site it stands at.
	pub site: crate::SiteId,
	/// The account it signs with.
	pub account: AccountId,
	/// What it is.
	pub class: DeviceClass,
	/// Memory, MiB.
	pub memory_mib: u32,
	/// Where it stands in its life.
	pub state: crate::DeviceState,
	/// The ed25519 public key of its libp2p identity, once bound.
	#[cfg_attr(feature = "serde", serde(with = "crate::text::hex_key_option"))]
	pub network_key: Option<[u8; 32]>,
	/// Who made it, UTF-8, as its site says; empty when it does not say.
	#[cfg_attr(feature = "serde", serde(with = "crate::text::utf8"))]
	pub vendor: Vec<u8>,
	/// Which model it is, UTF-8, as its site says; empty when it does not say.
	#[cfg_attr(feature = "serde", serde(with = "crate::text::utf8"))]
	pub model: Vec<u8>,
	/// The BLAKE3-256 hash of the software image it runs, as it says.
	pub image: Option<ArtifactHash>,
	/// Evidence of what it can do, valid or expired.
	pub evidence: Option<EvidenceInfo<BlockNumber>>,
	/// The last block at which it can answer a random re-check, when it was drawn for one.
	pub recheck_due: Option<BlockNumber>,
}

/// Evidence of what a device can do.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, TypeInfo)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub struct EvidenceInfo<BlockNumber> {
	/// What backs it.
	pub kind: EvidenceKind,
	/// The measured speed, when this kind of evidence measures one.
	pub speed: Option<Speed>,
	/// The block that accepted it.
	pub at: BlockNumber,
	/// The last block at which it is valid.
	pub expires: BlockNumber,
	/// Whether it counts at this block: not expired, its device in service, no re-check missed.
	pub valid: bool,
}

/// A request for attestation that is under way.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, TypeInfo)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub struct AttestationInfo<AccountId, BlockNumber> {
	/// The device.
	pub device: DeviceId,
	/// The seed of the benchmark. `None` in the very block that took the request.
	pub nonce: Option<H256>,
	/// The block that took the request.
	pub requested: BlockNumber,
	/// The last block at which the device can deliver its measurement.
	pub submit_by: BlockNumber,
	/// What the device measured, once delivered.
	pub measurement: Option<Measurement>,
	/// The last block at which attesters can state what they found, once there is a measurement.
	pub state_by: Option<BlockNumber>,
	/// What attesters stated, in the order in which they did.
	pub statements: Vec<StatementInfo<AccountId>>,
}

/// What an attester stated about a measurement.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, TypeInfo)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub struct StatementInfo<AccountId> {
	/// Who.
	pub attester: AccountId,
	/// The speed it vouches for; `None` when it found the measurement to be false.
	pub speed: Option<Speed>,
}

/// Who attests, and how many of them must agree.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, TypeInfo)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub struct AttestersInfo<AccountId> {
	/// The attesters, ascending.
	pub members: Vec<AccountId>,
	/// How many of them must agree.
	pub threshold: u32,
}

#[cfg(all(test, feature = "std"))]
mod tests {
	use super::*;
	use crate::{DeviceState, H256};

	#[test]
	fn json_has_hex_and_decimal_strings_and_reads_back() {
		let member = MemberInfo::<String> {
			account: "5F".into(),
			bitmap: Some(alloc::vec![1, 255]),
			committed: true,
			revealed: Some(H256([7; 32])),
			quality: Some(H256([8; 32])),
			outcome: None,
		};
		let json = serde_json::to_value(&member).expect("serialises");
		assert_eq!(json["bitmap"], "0x01ff");
		assert_eq!(json["revealed"], format!("0x{}", "07".repeat(32)));
		assert_eq!(serde_json::from_value::<MemberInfo<String>>(json).expect("reads back"), member);

		let reward = RewardInfo::<u128> { points: u128::MAX, claimable: 1, claimed: 0 };
		let json = serde_json::to_value(&reward).expect("serialises");
		assert_eq!(json["points"], "340282366920938463463374607431768211455");
		assert_eq!(serde_json::from_value::<RewardInfo<u128>>(json).expect("reads back"), reward);

		let slash = SlashInfo::<String, u128, u32> {
			id: 3,
			account: "5F".into(),
			kind: FaultKind::FailedChallenge,
			amount: u128::MAX,
			evidence: H256([7; 32]),
			reported: 1,
			due: 2,
			appeal: None,
		};
		let json = serde_json::to_value(&slash).expect("serialises");
		assert_eq!(json["kind"], "failedChallenge");
		assert_eq!(json["amount"], "340282366920938463463374607431768211455");
		assert_eq!(serde_json::from_value::<SlashInfo<String, u128, u32>>(json).expect("reads back"), slash);

		let bond = BondInfo::<u128> { bonded: 3, pending: 2, challenges: 1, locked: true };
		let json = serde_json::to_value(&bond).expect("serialises");
		assert_eq!(serde_json::from_value::<BondInfo<u128>>(json).expect("reads back"), bond);

		let pot = PotInfo::<String, u128> {
			account: "5F".into(),
			funded: 21,
			sponsored: 20,
			claimed: 1,
			owed: 2,
			refunded: 3,
			forfeited: 4,
			remaining: 11,
			closed: true,
		};
		let json = serde_json::to_value(&pot).expect("serialises");
		assert_eq!(json["remaining"], "11");
		assert_eq!(serde_json::from_value::<PotInfo<String, u128>>(json).expect("reads back"), pot);

		let charter: CharterInfo = serde_json::from_str(
			r#"{"licences":["MIT"],"minSchedule":{"commit":2,"availability":1,"aggregate":1,"reveal":1}}"#,
		)
		.expect("what is left out has a default");
		assert_eq!((charter.site_cap, charter.min_schedule.challenge), (100, 0));
		let json = serde_json::to_value(&charter).expect("serialises");
		assert_eq!((&json["licences"][0], &json["minSchedule"]["commit"]), (&"MIT".into(), &2.into()));
		assert_eq!(serde_json::from_value::<CharterInfo>(json).expect("reads back"), charter);
		assert!(serde_json::from_str::<CharterInfo>(r#"{"licenses":[]}"#).is_err());

		let device = DeviceInfo::<String> {
			id: 1,
			site: 2,
			account: "5F".into(),
			class: DeviceClass::Cpu,
			memory_mib: 3,
			state: DeviceState::Active,
			network_key: Some([9; 32]),
			vendor: b"ACME".to_vec(),
			model: Vec::new(),
			image: Some(H256([8; 32])),
			evidence: Some(EvidenceInfo {
				kind: EvidenceKind::Measured,
				speed: Some(Speed { flops: 1, bandwidth: 2 }),
				at: 3,
				expires: 4,
				valid: true,
			}),
			recheck_due: None,
		};
		let json = serde_json::to_value(&device).expect("serialises");
		assert_eq!(json["vendor"], "ACME");
		assert_eq!(json["evidence"]["kind"], "measured");
		assert_eq!(json["evidence"]["speed"]["bandwidth"], 2);
		assert_eq!(json["networkKey"], format!("0x{}", "09".repeat(32)));
		assert_eq!(json["memoryMib"], 3);
		assert_eq!(serde_json::from_value::<DeviceInfo<String>>(json).expect("reads back"), device);
	}
}
