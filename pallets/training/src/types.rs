//! What the pallet stores.

use cairn_primitives::{
	round::Revealed,
	views::{FailureReason, MemberOutcome, Phase, ProgrammeState, Verdict},
	Aggregation, ArtifactHash, DeviceId, RecordId, RecordRange, RoundIndex, RoundTerms, Schedule, Settings,
	SiteId, H256,
};
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use frame_support::{
	traits::{ConstU32, Get},
	BoundedVec, CloneNoBound, DebugNoBound, EqNoBound, PartialEqNoBound,
};
use scale_info::TypeInfo;
use serde::{Deserialize, Serialize};

extern crate alloc;
use alloc::{format, string::String};

/// A training run that was approved: what was decided about it, and how far it has come.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Programme<Balance, BlockNumber> {
	/// What binds its running round.
	pub settings: Settings<Balance>,
	/// What was decided since and binds from the next round on.
	pub next: Option<Settings<Balance>>,
	/// Whether it runs.
	pub state: ProgrammeState,
	/// The block that paused it, while it is paused.
	pub paused_at: Option<BlockNumber>,
	/// The newest weights.
	pub weights: ArtifactHash,
	/// The record of the newest weights.
	pub weights_record: RecordId,
	/// Rounds finalised.
	pub finalised: u32,
	/// Rounds whose updates left their devices, finalised or not: what participants paid for in privacy.
	pub released: u32,
	/// The number of the running round, or of the last one.
	pub round: RoundIndex,
}

/// A round while it runs.
#[derive(
	CloneNoBound,
	PartialEqNoBound,
	EqNoBound,
	DebugNoBound,
	Encode,
	Decode,
	DecodeWithMemTracking,
	MaxEncodedLen,
	TypeInfo,
)]
#[scale_info(skip_type_params(MaxCommittee, MaxBitmap))]
#[codec(mel_bound(AccountId: MaxEncodedLen, BlockNumber: MaxEncodedLen))]
pub struct RunningRound<AccountId, BlockNumber, MaxCommittee, MaxBitmap>
where
	AccountId: Clone + PartialEq + Eq + core::fmt::Debug,
	BlockNumber: Clone + PartialEq + Eq + core::fmt::Debug,
	MaxCommittee: Get<u32>,
	MaxBitmap: Get<u32>,
{
	/// Its number.
	pub index: RoundIndex,
	/// Which committee this is, from 0.
	pub attempt: u32,
	/// Where it stands: not yet settled.
	pub phase: Phase,
	/// The last block at which the phase takes what it waits for.
	pub deadline: Option<BlockNumber>,
	/// The block that opened it.
	pub opened: BlockNumber,
	/// The base weights.
	pub base: ArtifactHash,
	/// Their record.
	pub base_record: RecordId,
	/// Updates committed.
	pub commit_count: u32,
	/// The members of the committee at work, by seat: during an audit, the auditors. Empty until drawn.
	pub committee: BoundedVec<AccountId, MaxCommittee>,
	/// The included updates, as a bitmap over commits. Empty until settled.
	pub included: BoundedVec<u8, MaxBitmap>,
	/// What orders the included updates for bucketing. Nothing where the programme has none.
	pub bucketing_seed: Option<H256>,
	/// What two thirds of the committee agreed on, while it can be challenged and while it is audited.
	pub agreed: Option<Revealed>,
}

/// An update's commit in the running round.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Commit<AccountId> {
	/// The committing account.
	pub producer: AccountId,
	/// Its device.
	pub device: DeviceId,
	/// Where the device stood when it committed: the cap on a site's share counts it there.
	pub site: SiteId,
	/// The update.
	pub artifact: ArtifactHash,
	/// Declared samples.
	pub samples: u32,
	/// Declared local steps.
	pub local_steps: u32,
}

/// What a committee member has done in the running attempt.
#[derive(
	CloneNoBound,
	PartialEqNoBound,
	EqNoBound,
	DebugNoBound,
	Encode,
	Decode,
	DecodeWithMemTracking,
	MaxEncodedLen,
	TypeInfo,
)]
#[scale_info(skip_type_params(MaxBitmap))]
#[codec(mel_bound())]
pub struct MemberState<MaxBitmap: Get<u32>> {
	/// Its availability bitmap.
	pub bitmap: Option<BoundedVec<u8, MaxBitmap>>,
	/// Its commitment to an aggregate.
	pub commitment: Option<H256>,
	/// What it revealed.
	pub revealed: Option<Revealed>,
}

impl<MaxBitmap: Get<u32>> Default for MemberState<MaxBitmap> {
	fn default() -> Self {
		Self { bitmap: None, commitment: None, revealed: None }
	}
}

/// What stays of a round.
#[derive(
	CloneNoBound,
	PartialEqNoBound,
	EqNoBound,
	DebugNoBound,
	Encode,
	Decode,
	DecodeWithMemTracking,
	MaxEncodedLen,
	TypeInfo,
)]
#[scale_info(skip_type_params(MaxCommittee, MaxBitmap))]
#[codec(mel_bound(AccountId: MaxEncodedLen, BlockNumber: MaxEncodedLen))]
pub struct SettledRound<AccountId, BlockNumber, MaxCommittee, MaxBitmap>
where
	AccountId: Clone + PartialEq + Eq + core::fmt::Debug,
	BlockNumber: Clone + PartialEq + Eq + core::fmt::Debug,
	MaxCommittee: Get<u32>,
	MaxBitmap: Get<u32>,
{
	/// Committees it took, minus one.
	pub attempt: u32,
	/// The block that opened it.
	pub opened: BlockNumber,
	/// The block that settled it.
	pub settled: BlockNumber,
	/// The base weights.
	pub base: ArtifactHash,
	/// Their record.
	pub base_record: RecordId,
	/// What bound its updates.
	pub terms: RoundTerms,
	/// Updates committed.
	pub commit_count: u32,
	/// The last committee before any audit, and how each member did. Empty when the programme was closed: nobody is to
	/// blame then.
	pub committee: BoundedVec<(AccountId, MemberOutcome), MaxCommittee>,
	/// The included updates, as a bitmap over commits.
	pub included: BoundedVec<u8, MaxBitmap>,
	/// What orders the included updates for bucketing. Nothing where the programme has none.
	pub bucketing_seed: Option<H256>,
	/// The audit, if its result was challenged.
	pub audit: Option<Audit<AccountId, MaxCommittee>>,
	/// What came of it.
	pub outcome: Outcome,
}

/// An aggregator in the pool.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Aggregator<AccountId, BlockNumber> {
	/// Who.
	pub account: AccountId,
	/// The block that enlisted it. It can be drawn only with randomness that became known later.
	pub since: BlockNumber,
	/// Its tickets in the draw, by its bond when it enlisted.
	pub tickets: u32,
}

/// A result that is disputed.
#[derive(
	CloneNoBound,
	PartialEqNoBound,
	EqNoBound,
	DebugNoBound,
	Encode,
	Decode,
	DecodeWithMemTracking,
	MaxEncodedLen,
	TypeInfo,
)]
#[scale_info(skip_type_params(MaxCommittee))]
#[codec(mel_bound(AccountId: MaxEncodedLen, Balance: MaxEncodedLen))]
pub struct Dispute<AccountId, Balance, MaxCommittee>
where
	AccountId: Clone + PartialEq + Eq + core::fmt::Debug,
	Balance: Clone + PartialEq + Eq + core::fmt::Debug,
	MaxCommittee: Get<u32>,
{
	/// Who disputes it.
	pub challenger: AccountId,
	/// What it says the next weights are. The agreed ones when it disputes the quality.
	pub claimed: ArtifactHash,
	/// What it put at stake, in plancks.
	pub bond: Balance,
	/// The attempt of those who agreed.
	pub attempt: u32,
	/// The committee that agreed on the result, by seat, and what each member revealed.
	pub panel: BoundedVec<(AccountId, Option<Revealed>), MaxCommittee>,
}

/// What stays of an audit.
#[derive(
	CloneNoBound,
	PartialEqNoBound,
	EqNoBound,
	DebugNoBound,
	Encode,
	Decode,
	DecodeWithMemTracking,
	MaxEncodedLen,
	TypeInfo,
)]
#[scale_info(skip_type_params(MaxCommittee))]
#[codec(mel_bound(AccountId: MaxEncodedLen))]
pub struct Audit<AccountId, MaxCommittee>
where
	AccountId: Clone + PartialEq + Eq + core::fmt::Debug,
	MaxCommittee: Get<u32>,
{
	/// Who challenged.
	pub challenger: AccountId,
	/// What it said the next weights are.
	pub claimed: ArtifactHash,
	/// What came of it.
	pub verdict: Verdict,
	/// The auditors, and how each of them did.
	pub committee: BoundedVec<(AccountId, MemberOutcome), MaxCommittee>,
}

/// What came of a round.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub enum Outcome {
	/// The next weights.
	Finalised {
		/// The next weights.
		result: ArtifactHash,
		/// The digest of the included updates' quality.
		quality: H256,
		/// The record of the next weights.
		record: RecordId,
		/// The records of the included updates.
		updates: RecordRange,
	},
	/// Nothing, and why.
	Failed(FailureReason),
}

/// A programme in a chain's genesis.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GenesisProgramme<Balance> {
	/// What it is called, at most 64 bytes.
	pub name: String,
	/// Its training configuration.
	pub config: ArtifactHash,
	/// The weights it starts from.
	pub genesis_weights: ArtifactHash,
	/// How updates are aggregated.
	pub aggregation: Aggregation,
	/// The windows of a round, in blocks.
	pub schedule: Schedule,
	/// Aggregators drawn for a round.
	pub committee_size: u32,
	/// Aggregators drawn for the audit of a disputed round; one more than twice the committee when it is not said.
	#[serde(default)]
	pub audit_size: Option<u32>,
	/// The least updates a round needs.
	pub min_updates: u32,
	/// The number of commits at which the commit window closes early.
	pub target_updates: u32,
	/// The most updates a round takes.
	pub max_updates: u32,
	/// The most samples an update may declare.
	pub max_samples: u32,
	/// The most local steps an update may declare.
	pub max_local_steps: u32,
	/// Rounds to finalise.
	pub rounds: u32,
	/// What a finalised round pays, in plancks.
	pub reward_per_round: Balance,
	/// The part of that which the committee shares, in per cent.
	#[serde(default = "default_committee_share")]
	pub committee_share: u8,
	/// The licence that the model is published under, an SPDX identifier of at most 32 bytes.
	#[serde(default)]
	pub licence: String,
	/// What kind of data it is trained on, at most 32 bytes.
	#[serde(default)]
	pub data_category: String,
	/// What one finalised round may cost a participant in differential privacy, in thousandths of epsilon; null when no
	/// guarantee is given.
	#[serde(default)]
	pub epsilon_per_round: Option<u32>,
	/// What a challenger puts at stake, in plancks.
	#[serde(default)]
	pub challenge_bond: Balance,
	/// What the pot is endowed with for rounds to spend, in plancks; the existential deposit comes on top.
	pub pot: Balance,
}

fn default_committee_share() -> u8 {
	10
}

impl<Balance: Clone> GenesisProgramme<Balance> {
	/// What was decided about it, in the form that the chain keeps.
	///
	/// # Errors
	/// Names the text that is too long.
	pub fn settings(&self) -> Result<Settings<Balance>, String> {
		fn text<const N: u32>(field: &str, text: &str) -> Result<BoundedVec<u8, ConstU32<N>>, String> {
			BoundedVec::try_from(text.as_bytes().to_vec())
				.map_err(|_| format!("`{field}` has {} bytes, but must have at most {N}", text.len()))
		}
		Ok(Settings {
			name: text("name", &self.name)?,
			config: self.config,
			genesis_weights: self.genesis_weights,
			aggregation: self.aggregation,
			schedule: self.schedule,
			committee_size: self.committee_size,
			audit_size: self
				.audit_size
				.unwrap_or_else(|| self.committee_size.saturating_mul(2).saturating_add(1)),
			min_updates: self.min_updates,
			target_updates: self.target_updates,
			max_updates: self.max_updates,
			max_samples: self.max_samples,
			max_local_steps: self.max_local_steps,
			rounds: self.rounds,
			reward_per_round: self.reward_per_round.clone(),
			committee_share: self.committee_share,
			licence: text("licence", &self.licence)?,
			data_category: text("dataCategory", &self.data_category)?,
			epsilon_per_round: self.epsilon_per_round,
			challenge_bond: self.challenge_bond.clone(),
		})
	}
}
