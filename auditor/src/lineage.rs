//! Where a model came from, back to the weights that its programme started from.

use crate::{
	chain::{Chain, ChainError, Record},
	terminal::plain,
	Verdict,
};
use cairn_primitives::{ArtifactHash, RecordId, RecordKind, H256};
use serde::Serialize;
use std::fmt::{self, Write};

/// An artifact and all it was derived from.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Lineage {
	/// The chain.
	pub genesis: H256,
	/// The finalised block that was asked.
	pub block: H256,
	/// The artifact, or the weights it was derived from, or the weights before those, and so on: newest first.
	pub steps: Vec<Step>,
	/// What does not fit together, as full sentences. Empty when the lineage is complete.
	pub contradictions: Vec<String>,
	/// `Equal` when it is complete, else `Refuted`.
	pub verdict: Verdict,
}

/// One artifact on the way back.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
	/// Its record.
	#[serde(flatten)]
	pub record: Record,
	/// The updates that it was made of, in canonical order.
	pub updates: Vec<Record>,
}

/// Follows an artifact's lineage to its end.
///
/// # Errors
/// When the chain does not know the artifact or does not answer.
pub async fn lineage(chain: &impl Chain, artifact: ArtifactHash) -> Result<Lineage, ChainError> {
	let genesis = chain.genesis().await?;
	let block = chain.finalised().await?;
	let mut walk = Walk::new(artifact);
	let problem = list(chain, artifact, None, block, |record| {
		walk.take(record);
		// What a liar says after its first contradiction could go on for ever.
		walk.contradictions.is_empty()
	})
	.await?;
	walk.contradictions.extend(problem);
	let (steps, contradictions) = walk.finish();
	let verdict = if contradictions.is_empty() { Verdict::Equal } else { Verdict::Refuted };
	Ok(Lineage { genesis, block, steps, contradictions, verdict })
}

/// Gives the records that a chain lists as an artifact's lineage to `take`, until it says `false`. The first is none that is
/// newer than `newest`, and each one is older than the one before it, so that every list ends. What contradicts that is
/// returned.
pub(crate) async fn list(
	chain: &impl Chain,
	artifact: ArtifactHash,
	newest: Option<RecordId>,
	at: H256,
	mut take: impl FnMut(Record) -> bool,
) -> Result<Option<String>, ChainError> {
	// The next record has a lower number than this one.
	let mut end = newest.map(|newest| newest.saturating_add(1));
	let mut cursor = None;
	loop {
		let page = chain.lineage(artifact, cursor, at).await?;
		let is_empty = page.records.is_empty();
		for record in page.records {
			if let Some(end) = end.filter(|end| record.id >= *end) {
				let id = record.id;
				return Ok(Some(format!(
					"the node lists record {id} where only those before record {end} can be"
				)));
			}
			end = Some(record.id);
			if !take(record) {
				return Ok(None);
			}
		}
		match page.next {
			None => return Ok(None),
			Some(next) if !is_empty && end.is_some_and(|end| next < end) => cursor = Some(next),
			Some(next) => {
				return Ok(Some(format!(
					"the node says that its list of records goes on at record {next}, which is not before those that it listed"
				)))
			},
		}
	}
}

/// Puts a node's list of records together, believing only what the records themselves say.
pub(crate) struct Walk {
	artifact: ArtifactHash,
	steps: Vec<Step>,
	contradictions: Vec<String>,
}

impl Walk {
	pub(crate) fn new(artifact: ArtifactHash) -> Self {
		Self { artifact, steps: Vec::new(), contradictions: Vec::new() }
	}

	pub(crate) fn take(&mut self, record: Record) {
		let id = record.id;
		let Some(last) = self.steps.last_mut() else {
			if record.record.artifact != self.artifact {
				self.contradictions.push(format!(
					"asked about {:?}, the node began with record {id} of {:?}",
					self.artifact, record.record.artifact
				));
			}
			self.steps.push(Step { record, updates: Vec::new() });
			return;
		};
		let child = &last.record.record;
		let is_input = child.inputs.is_some_and(|r| id >= r.first && id - r.first < RecordId::from(r.count));
		if is_input {
			if record.record.kind != RecordKind::Update || record.record.base != child.base {
				self.contradictions.push(format!(
					"record {id} is among what record {} was made of, but is no update of its base",
					last.record.id
				));
			}
			last.updates.push(record);
		} else if child.base == Some(id) {
			if record.record.kind != RecordKind::Weights {
				self.contradictions.push(format!(
					"record {id} is what record {} was derived from, but is no set of weights",
					last.record.id
				));
			}
			self.steps.push(Step { record, updates: Vec::new() });
		} else {
			self.contradictions.push(format!(
				"record {id} follows record {}, which does not name it as a parent",
				last.record.id
			));
		}
	}

	/// The lineage and what contradicts it. What is missing is only told where nothing else is wrong: a walk that met a
	/// contradiction may have ended there.
	pub(crate) fn finish(mut self) -> (Vec<Step>, Vec<String>) {
		for step in &mut self.steps {
			step.updates.sort_by_key(|u| u.id);
			step.updates.dedup_by_key(|u| u.id);
		}
		if !self.contradictions.is_empty() {
			return (self.steps, self.contradictions);
		}
		for step in &self.steps {
			let named = step.record.record.inputs.map_or(0, |r| r.count as usize);
			if named != step.updates.len() {
				self.contradictions.push(format!(
					"record {} was made of {named} updates, but {} are there",
					step.record.id,
					step.updates.len()
				));
			}
		}
		match self.steps.last().map(|s| (s.record.id, s.record.record.base)) {
			None => self.contradictions.push("there is no record at all".into()),
			Some((id, Some(base))) => self
				.contradictions
				.push(format!("the lineage breaks off at record {id}, which was derived from record {base}")),
			Some((_, None)) => {},
		}
		(self.steps, self.contradictions)
	}
}

fn kind(record: &Record) -> &'static str {
	match record.record.kind {
		RecordKind::Weights => "weights",
		RecordKind::Update => "update",
		RecordKind::TrainingConfig => "configuration",
	}
}

impl fmt::Display for Lineage {
	fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
		for (i, Step { record, updates }) in self.steps.iter().enumerate() {
			writeln!(f, "{}", describe(record))?;
			let last_step = i + 1 == self.steps.len();
			for (j, update) in updates.iter().enumerate() {
				let branch = if last_step && j + 1 == updates.len() { '└' } else { '├' };
				writeln!(
					f,
					"{branch}─ update {:?}  record {}{}",
					update.record.artifact,
					update.id,
					by(update)
				)?;
			}
			if !last_step {
				f.write_char('│')?;
				f.write_char('\n')?;
			}
		}
		Ok(())
	}
}

/// A record in one line.
pub fn describe(record: &Record) -> String {
	let r = &record.record;
	let round = match r.round {
		Some(round) => format!(", round {round}"),
		None => ", where it started".into(),
	};
	format!(
		"{} {:?}  programme {}{round}, record {}, block {}{}",
		kind(record),
		r.artifact,
		r.programme,
		record.id,
		r.block,
		by(record)
	)
}

/// Who made it and where, if somebody did.
fn by(record: &Record) -> String {
	let mut text = String::new();
	if let Some(producer) = &record.record.producer {
		text.push_str(", by ");
		// A node can say anything here.
		text.push_str(&plain(producer));
	}
	if let Some(device) = record.record.device {
		text.push_str(&format!(" on device {device}"));
	}
	if let Some(site) = record.record.site {
		text.push_str(&format!(" of site {site}"));
	}
	text
}
