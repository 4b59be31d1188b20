//! What an audit found, and how it is told.

use crate::{
	chain::Record,
	recompute::{Outcome, RoundReport},
	terminal::plain,
	Verdict,
};
use cairn_primitives::{Aggregation, ArtifactHash, ProgrammeId, RecordId, RoundIndex, H256};
use serde::Serialize;
use std::fmt;

/// What no audit covers.
pub(super) const NOT_COVERED: [&str; 4] = [
	"that the newest weights that the node names are the newest: it could keep later rounds to itself",
	"the programme's name, how it aggregates from now on, and how and why rounds made no weights: the node's word",
	"whether updates that the committee did not include should have been",
	"what the updates were trained on: data never leave the devices",
];

/// What a claim came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Finding {
	/// It holds.
	Proven,
	/// It does not.
	Refuted,
	/// What is needed to tell is missing.
	Unknown,
}

impl From<Finding> for Verdict {
	fn from(finding: Finding) -> Self {
		match finding {
			Finding::Proven => Self::Equal,
			Finding::Refuted => Self::Refuted,
			Finding::Unknown => Self::Unknown,
		}
	}
}

impl From<Verdict> for Finding {
	fn from(verdict: Verdict) -> Self {
		match verdict {
			Verdict::Equal => Self::Proven,
			Verdict::Refuted => Self::Refuted,
			Verdict::Unknown => Self::Unknown,
		}
	}
}

/// What an audit found. Everything a reader needs to judge it is in it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Audit {
	/// What it all comes to.
	pub verdict: Finding,
	/// The chain against which everything was checked.
	pub genesis: H256,
	/// Whether that is only the node's word.
	pub genesis_from_node: bool,
	/// The programme.
	pub programme: ProgrammeId,
	/// Its name: the node's word.
	pub name: String,
	/// How it aggregates now: the node's word. How each round was aggregated, and within which limits, has to hash to what
	/// the record of its weights says ([`cairn_primitives::round::terms_digest`]).
	pub aggregation: Aggregation,
	/// The newest weights, as the node says.
	pub model: ArtifactHash,
	/// The proof of all records.
	pub proof: Proof,
	/// The training configuration.
	pub configuration: Configuration,
	/// The weights that the programme started from.
	pub start: Option<Node>,
	/// Round by round, from the first to the one that made the newest weights.
	pub rounds: Vec<RoundAudit>,
	/// What does not fit together, as full sentences.
	pub contradictions: Vec<String>,
	/// Artifacts that were needed and could not be had.
	pub missing: Vec<ArtifactHash>,
	/// How many artifacts workers gave for this audit. The others were at hand.
	pub fetched: u64,
	/// What is taken from the node, or not looked at: it is not covered by the verdict.
	pub not_covered: Vec<&'static str>,
}

/// The proof that the records are in the chain's ledger.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Proof {
	/// What it came to.
	pub finding: Finding,
	/// Why it proves nothing.
	#[serde(skip_serializing_if = "Option::is_none")]
	pub reason: Option<String>,
	/// The finalised block as of which it holds.
	#[serde(skip_serializing_if = "Option::is_none")]
	pub block: Option<Finalised>,
	/// How many records it proves, without the configuration's.
	pub records: u64,
	/// The length of the bundle, in bytes.
	pub size: u64,
}

/// A finalised block, and who made it final.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finalised {
	/// Its number.
	pub number: u32,
	/// Its hash.
	pub hash: H256,
	/// The number of the set of authorities.
	pub authority_set: u64,
	/// How many authorities that set has.
	pub authorities: u32,
}

/// The training configuration and its record.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Configuration {
	/// The artifact that every update of the programme names.
	pub artifact: ArtifactHash,
	/// Whether its record is proved.
	pub finding: Finding,
	/// Its record.
	#[serde(skip_serializing_if = "Option::is_none")]
	pub record: Option<RecordId>,
	/// Why not.
	#[serde(skip_serializing_if = "Option::is_none")]
	pub reason: Option<String>,
}

/// Weights or an update.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Node {
	/// The number of its record.
	pub record: RecordId,
	/// The artifact.
	pub artifact: ArtifactHash,
	/// The block in which it was recorded.
	pub block: u32,
	/// Who made it, in SS58.
	#[serde(skip_serializing_if = "Option::is_none")]
	pub producer: Option<String>,
	/// On which device.
	#[serde(skip_serializing_if = "Option::is_none")]
	pub device: Option<u32>,
	/// At which site.
	#[serde(skip_serializing_if = "Option::is_none")]
	pub site: Option<u32>,
	/// Whether the record is proved; otherwise it is the node's word.
	pub proven: bool,
}

/// One round.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RoundAudit {
	/// The round.
	pub round: RoundIndex,
	/// What recomputing its aggregate came to.
	pub aggregate: Outcome,
	/// What the included updates give, when it came to that.
	pub recomputed: Option<ArtifactHash>,
	/// The weights that it made.
	pub weights: Option<Node>,
	/// The updates that they were made of, in canonical order.
	pub updates: Vec<Node>,
	/// Why, for each outcome but `equal`: full sentences for people.
	pub reasons: Vec<String>,
}

impl RoundAudit {
	/// Whether it made weights at all, as far as the node says.
	pub fn is_finalised(&self) -> bool {
		self.aggregate != Outcome::Skipped
	}

	/// Whether its record and those of its updates are proved.
	pub fn is_proven(&self) -> bool {
		self.weights.as_ref().is_some_and(|node| node.proven) && self.updates.iter().all(|node| node.proven)
	}

	/// What it comes to in a word or two.
	pub fn words(&self) -> &'static str {
		match (self.aggregate, self.is_proven()) {
			(Outcome::Refuted, _) => "REFUTED",
			(Outcome::Skipped, _) => "no weights",
			(Outcome::Equal, true) => "proven, recomputed",
			(Outcome::Equal, false) => "recomputed, not proven",
			(Outcome::Unknown, true) => "proven, could not recompute",
			(Outcome::Unknown, false) => "could not tell",
		}
	}
}

impl Node {
	pub(super) fn new(record: &Record, proven: bool) -> Self {
		let Record { id, record } = record;
		Self {
			record: *id,
			artifact: record.artifact,
			block: record.block,
			producer: record.producer.clone(),
			device: record.device,
			site: record.site,
			proven,
		}
	}
}

impl RoundAudit {
	pub(super) fn new(report: RoundReport, node: &impl Fn(RecordId) -> Option<Node>) -> Self {
		let RoundReport { round, record, inputs, recomputed, outcome, reasons, .. } = report;
		let updates =
			inputs.map_or(0..0, |range| range.first..range.first.saturating_add(range.count.into()));
		// A count is a claim, too: nothing is made up for records that nobody gave.
		let updates = updates.map_while(node).collect();
		Self { round, aggregate: outcome, recomputed, weights: record.and_then(node), updates, reasons }
	}
}

impl Audit {
	/// Finalised rounds, and how many of them were recomputed to what the chain has.
	pub fn aggregates(&self) -> (usize, usize) {
		let finalised = self.rounds.iter().filter(|round| round.is_finalised());
		(finalised.clone().count(), finalised.filter(|round| round.aggregate == Outcome::Equal).count())
	}

	/// How many updates are in the rounds.
	pub fn updates(&self) -> usize {
		self.rounds.iter().map(|round| round.updates.len()).sum()
	}

	/// What it comes to, in one sentence.
	pub fn sentence(&self) -> String {
		let (rounds, equal) = self.aggregates();
		let model = self.model;
		let of = if self.genesis_from_node { " for the chain that the node named" } else { "" };
		match self.verdict {
			Finding::Proven if rounds == 0 => {
				format!("PROVEN{of}: the programme started from {model:?}; no round has made weights yet")
			},
			Finding::Proven => format!(
				"PROVEN{of}: {model:?} is what {rounds} rounds made of the weights that the programme started from"
			),
			Finding::Refuted => {
				format!("REFUTED: {equal} of {rounds} aggregates are what the updates give; see what is refuted")
			},
			Finding::Unknown => format!(
				"COULD NOT TELL: nothing is refuted, but not all could be checked; {equal} of {rounds} aggregates are what \
				 the updates give"
			),
		}
	}

	/// Why it is not proven, one sentence each, without the rounds' own reasons.
	pub fn problems(&self) -> impl Iterator<Item = String> + '_ {
		let word = |finding| if finding == Finding::Refuted { "REFUTED" } else { "could not tell" };
		let proof = self.proof.reason.iter().map(move |r| format!("{}: {r}", word(self.proof.finding)));
		let configuration = &self.configuration;
		let configuration = configuration
			.reason
			.iter()
			.map(move |r| format!("{}: the configuration: {r}", word(configuration.finding)));
		proof.chain(configuration).chain(self.contradictions.iter().map(|c| format!("REFUTED: {c}")))
	}

	/// By which block what is proved, in words.
	pub fn proof_words(&self) -> String {
		match &self.proof.block {
			Some(Finalised { number, hash, authority_set, authorities }) => format!(
				"{} records, as of block {number} {hash:?}, finalised by authority set {authority_set}, of {authorities}, of \
				 chain {:?}",
				self.proof.records, self.genesis
			),
			None => format!("no record of chain {:?}", self.genesis),
		}
	}
}

impl fmt::Display for Audit {
	fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
		writeln!(f, "programme {} ({})", self.programme, self.name.escape_debug())?;
		if let Some(start) = &self.start {
			let proven = if start.proven { "proven" } else { "not proven" };
			writeln!(f, "started from            {:?}  {proven}", start.artifact)?;
		}
		let (configuration, word) = (
			&self.configuration,
			match self.configuration.finding {
				Finding::Proven => "proven",
				Finding::Refuted => "REFUTED",
				Finding::Unknown => "not proven",
			},
		);
		writeln!(f, "configured by           {:?}  {word}", configuration.artifact)?;
		for round in &self.rounds {
			let weights = round
				.weights
				.as_ref()
				.map_or_else(|| format!("{:66}", "-"), |node| format!("{:?}", node.artifact));
			let (index, updates) = (round.round, round.updates.len());
			writeln!(f, "round {index:>4}  {updates:>3} updates  {weights}  {}", round.words())?;
			for reason in &round.reasons {
				writeln!(f, "            {}", plain(reason))?;
			}
		}
		writeln!(f)?;
		writeln!(f, "{}", self.sentence())?;
		for problem in self.problems() {
			writeln!(f, "  {}", plain(&problem))?;
		}
		let (rounds, equal) = self.aggregates();
		writeln!(f, "  proven      {}", self.proof_words())?;
		if self.genesis_from_node {
			writeln!(
				f,
				"              (the node named the chain: compare this genesis hash with one that you know, or give --genesis)"
			)?;
		}
		writeln!(
			f,
			"  recomputed  {equal} of {rounds} aggregates, bit for bit, from {} updates; {} artifacts fetched from workers",
			self.updates(),
			self.fetched
		)?;
		for missing in &self.missing {
			writeln!(f, "  missing     {missing:?}")?;
		}
		for not in &self.not_covered {
			writeln!(f, "  not covered {not}")?;
		}
		Ok(())
	}
}
