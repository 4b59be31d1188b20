//! What a journal's entries add up to.

use super::Entry;
use cairn_primitives::{ArtifactHash, ProgrammeId, RoundIndex, H256};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The update that this worker trained in a round.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UpdateState {
	/// The update.
	pub artifact: ArtifactHash,
	/// The weights it was trained from.
	pub base: ArtifactHash,
	/// Declared samples.
	pub samples: u32,
	/// Declared local steps.
	pub local_steps: u32,
	/// Seed of the run.
	pub seed: u64,
	/// Training loss at the end.
	pub loss: f64,
	/// Seconds it took.
	pub train_seconds: f64,
}

/// The aggregate that this worker computed for one committee of a round.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AggregateState {
	/// Artifact hash of the next weights.
	pub result: ArtifactHash,
	/// Quality of each included update in canonical order, per cent.
	#[serde(with = "super::hex_bytes")]
	pub quality: Vec<u8>,
	/// What hides it until the reveal.
	pub salt: H256,
}

/// A signed transaction.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SentTx {
	/// What it is for; one transaction per key is under way.
	pub key: String,
	/// The signed bytes.
	#[serde(with = "super::hex_bytes")]
	pub extrinsic: Vec<u8>,
	/// The account's nonce in it.
	pub nonce: u64,
	/// Number of the finalised block it was signed at.
	pub birth: u32,
	/// From this block on it is not valid any more.
	pub death: u32,
}

/// One round.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct RoundState {
	/// Updates that may be in the store and must not be served before the commit window closes.
	pub withheld: BTreeSet<ArtifactHash>,
	/// The update to commit.
	pub update: Option<UpdateState>,
	/// The aggregates, by the committee's number.
	pub aggregates: BTreeMap<u32, AggregateState>,
}

/// Everything that still counts.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct JournalState {
	/// Rounds that are not settled.
	pub rounds: BTreeMap<(ProgrammeId, RoundIndex), RoundState>,
	/// Transactions under way, by key.
	pub sent: BTreeMap<String, SentTx>,
}

impl JournalState {
	/// Takes in one entry.
	pub fn apply(&mut self, entry: Entry) {
		match entry {
			Entry::Withhold { programme, round, artifact } => {
				self.round_mut(programme, round).withheld.insert(artifact);
			},
			Entry::UpdateReady { programme, round, update } => {
				let round = self.round_mut(programme, round);
				round.withheld.insert(update.artifact);
				round.update = Some(update);
			},
			Entry::AggregateReady { programme, round, attempt, aggregate } => {
				self.round_mut(programme, round).aggregates.insert(attempt, aggregate);
			},
			Entry::Sent(tx) => {
				self.sent.insert(tx.key.clone(), tx);
			},
			Entry::Closed { key, .. } => {
				self.sent.remove(&key);
			},
			Entry::Settled { programme, round } => {
				self.rounds.remove(&(programme, round));
			},
		}
	}

	/// The entries that lead to this state from nothing.
	pub fn entries(&self) -> Vec<Entry> {
		let mut entries = Vec::new();
		for ((programme, round), state) in &self.rounds {
			let (programme, round) = (*programme, *round);
			for artifact in &state.withheld {
				entries.push(Entry::Withhold { programme, round, artifact: *artifact });
			}
			if let Some(update) = &state.update {
				entries.push(Entry::UpdateReady { programme, round, update: update.clone() });
			}
			for (attempt, aggregate) in &state.aggregates {
				let (attempt, aggregate) = (*attempt, aggregate.clone());
				entries.push(Entry::AggregateReady { programme, round, attempt, aggregate });
			}
		}
		entries.extend(self.sent.values().cloned().map(Entry::Sent));
		entries
	}

	/// What is known of a round.
	pub fn round(&self, programme: ProgrammeId, round: RoundIndex) -> Option<&RoundState> {
		self.rounds.get(&(programme, round))
	}

	/// The update to commit in a round, once it is in the store.
	pub fn update(&self, programme: ProgrammeId, round: RoundIndex) -> Option<&UpdateState> {
		self.round(programme, round)?.update.as_ref()
	}

	/// The aggregate computed for one committee of a round.
	pub fn aggregate(
		&self,
		programme: ProgrammeId,
		round: RoundIndex,
		attempt: u32,
	) -> Option<&AggregateState> {
		self.round(programme, round)?.aggregates.get(&attempt)
	}

	fn round_mut(&mut self, programme: ProgrammeId, round: RoundIndex) -> &mut RoundState {
		self.rounds.entry((programme, round)).or_default()
	}
}
