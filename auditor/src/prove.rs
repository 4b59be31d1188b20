//! Proofs from a node, checked here: of a record, of a whole lineage, of absence.
//!
//! What the node says is taken for nothing but a hint of what to ask next. Whatever is returned as proved was verified
//! against a genesis hash.

use crate::{
	chain::{ChainError, ProvingChain, Record},
	lineage::{list, Lineage, Walk},
	Verdict,
};
use cairn_primitives::{ArtifactHash, RecordId, RecordKind, RecordRange, H256};
use cairn_verifier::{
	bundle::{Batch, Inclusion, Record as ProvenRecord},
	report, ss58, verify, Account, Bundle, Claim, Evidence, Proven, Refusal, Statement,
};
use std::{
	collections::{BTreeMap, BTreeSet},
	fmt,
};
use thiserror::Error;

/// How often a lineage is begun anew because the node has a newer proof of finality. The second time at the latest it is
/// a stored one, which stays.
const ATTEMPTS: usize = 4;

/// What is to be proved.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Subject {
	/// The record of an artifact.
	Artifact(ArtifactHash),
	/// A record by its number.
	Record(RecordId),
	/// That weights have no record.
	NoWeights(ArtifactHash),
}

impl fmt::Display for Subject {
	fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
		match self {
			Self::Artifact(hash) => write!(f, "the record of artifact {hash:?}"),
			Self::Record(id) => write!(f, "record {id}"),
			Self::NoWeights(hash) => write!(f, "that no weights {hash:?} are recorded"),
		}
	}
}

/// What is proved, in a few words however much it is.
fn words(statement: &Statement) -> String {
	match statement {
		Statement::NoWeights(hash) => Subject::NoWeights(*hash).to_string(),
		Statement::Records(records) => match &records[..] {
			[(id, record)] => format!("record {id} of artifact {:?}", record.artifact),
			records => format!("{} records", records.len()),
		},
	}
}

/// Why there is no proof.
#[derive(Debug, Error)]
pub enum ProveError {
	/// The node gave no answer.
	#[error(transparent)]
	Chain(#[from] ChainError),
	/// What the node gave is no bundle.
	#[error("what the node gave as proof cannot be read: {0}")]
	Unreadable(String),
	/// What the node gave proves nothing.
	#[error("what the node gave as proof does not hold: {0}")]
	Refuted(#[from] Refusal),
	/// What the node gave proves something else.
	#[error("asked about {asked}, the node proved {proved}")]
	Other {
		/// What was asked about.
		asked: String,
		/// What was proved.
		proved: String,
	},
	/// The node named records that do not fit together.
	#[error("{0}")]
	Contradiction(String),
	/// The node's finality did not settle.
	#[error("the node gave proofs as of ever newer blocks; ask again in a minute")]
	Moving,
}

impl ProveError {
	/// What it says about the claim: nothing, when the node did not answer.
	pub const fn verdict(&self) -> Verdict {
		match self {
			Self::Chain(_) | Self::Moving | Self::Unreadable(_) => Verdict::Unknown,
			Self::Refuted(_) | Self::Other { .. } | Self::Contradiction(_) => Verdict::Refuted,
		}
	}
}

/// Asks for a proof and checks it. Without `at`, it holds as of the first block after the record's that the node keeps a
/// proof of finality for.
///
/// # Errors
/// When there is none, or it does not hold, or it proves something else.
pub async fn prove(
	chain: &impl ProvingChain,
	subject: Subject,
	at: Option<H256>,
	genesis: &H256,
) -> Result<(Bundle, Proven), ProveError> {
	let answer = match subject {
		Subject::Artifact(hash) => chain.prove(&format!("{hash:?}"), at).await?,
		Subject::Record(id) => chain.prove(&id.to_string(), at).await?,
		Subject::NoWeights(hash) => chain.prove_absence(hash).await?,
	};
	let bundle = report::read(answer.as_bytes()).map_err(|e| ProveError::Unreadable(e.to_string()))?;
	let proven = verify(&bundle, genesis)?;
	let is_asked_for = match (&proven.statement, subject) {
		(Statement::Records(records), Subject::Artifact(hash)) => {
			records.len() == 1 && records[0].1.artifact == hash
		},
		(Statement::Records(records), Subject::Record(id)) => records.len() == 1 && records[0].0 == id,
		(Statement::NoWeights(artifact), Subject::NoWeights(hash)) => *artifact == hash,
		_ => false,
	};
	if is_asked_for {
		Ok((bundle, proven))
	} else {
		Err(ProveError::Other { asked: subject.to_string(), proved: words(&proven.statement) })
	}
}

/// Proves an artifact and all it was derived from, in one bundle, and puts the lineage together from what is proved.
///
/// # Errors
/// As for [`prove`]; and when the node leaves out or makes up records.
pub async fn prove_lineage(
	chain: &impl ProvingChain,
	artifact: ArtifactHash,
	genesis: &H256,
) -> Result<(Bundle, Proven, Lineage), ProveError> {
	prove_lineage_with(chain, artifact, Subject::Artifact(artifact), genesis, |_| ()).await
}

/// As [`prove_lineage`], from the record `newest` of the artifact on, because it may have several; tells how many sets of
/// weights, or other steps on the way back, are proved so far.
///
/// # Errors
/// As for [`prove_lineage`]; and when the record is another artifact's.
pub async fn prove_lineage_with(
	chain: &impl ProvingChain,
	artifact: ArtifactHash,
	newest: Subject,
	genesis: &H256,
	mut progress: impl FnMut(u64),
) -> Result<(Bundle, Proven, Lineage), ProveError> {
	let mut at = None;
	for _ in 0..ATTEMPTS {
		match gather(chain, artifact, newest, at, genesis, &mut progress).await? {
			Gathered::All(bundle) => {
				let proven = verify(&bundle, genesis)?;
				let lineage = lineage_of(&proven, artifact);
				return Ok((*bundle, proven, lineage));
			},
			Gathered::Newer(block) => at = Some(block),
		}
	}
	Err(ProveError::Moving)
}

/// What came of asking for the proofs of a lineage as of one block.
enum Gathered {
	All(Box<Bundle>),
	/// The node gave one as of this newer block.
	Newer(H256),
}

async fn gather(
	chain: &impl ProvingChain,
	artifact: ArtifactHash,
	newest: Subject,
	at: Option<H256>,
	genesis: &H256,
	progress: &mut impl FnMut(u64),
) -> Result<Gathered, ProveError> {
	let (bundle, proven) = prove(chain, newest, at, genesis).await?;
	let (finality, block) = (bundle.finality, proven.block);
	let mut evidence = Vec::new();
	let mut next = the_record(bundle.claim);
	let listed = match &next {
		Some((_, _, record)) if record.artifact != artifact => {
			let (asked, proved) = (Subject::Artifact(artifact).to_string(), words(&proven.statement));
			return Err(ProveError::Other { asked, proved });
		},
		// Of what a programme starts from there is nothing to list; by its hash, another one's record could be found.
		Some((_, id, record)) if record.base.is_some() => listed(chain, artifact, *id).await?,
		_ => BTreeMap::new(),
	};
	while let Some((one, id, record)) = next {
		evidence.push(with_inputs(one, id, &record, &listed)?);
		progress(evidence.len() as u64);
		next = match record.base {
			None => None,
			// A base is always older, so the walk ends.
			Some(base) if base >= id => {
				return Err(ProveError::Contradiction(format!(
					"record {id} is derived from record {base}, which is not older"
				)));
			},
			Some(base) => {
				let (bundle, proven) = prove(chain, Subject::Record(base), Some(block), genesis).await?;
				if proven.block != block {
					return Ok(Gathered::Newer(proven.block));
				}
				the_record(bundle.claim)
			},
		};
	}
	evidence.reverse();
	Ok(Gathered::All(Box::new(Bundle { finality, claim: Claim::Records(evidence) })))
}

/// The evidence of a bundle that [`prove`] returned, with its one record.
fn the_record(claim: Claim) -> Option<(Evidence, RecordId, ProvenRecord)> {
	let Claim::Records(evidence) = claim else { return None };
	let one = evidence.into_iter().next()?;
	let (id, record) = one.inclusion.records().next().map(|(id, record)| (id, record.clone()))?;
	Some((one, id, record))
}

/// All records that the node lists as the lineage of an artifact whose record has this number. They are asked for at the
/// newest finalised block, because nodes prune the states of old ones. That they were there at the block of the proof is
/// what their batch's root shows.
async fn listed(
	chain: &impl ProvingChain,
	artifact: ArtifactHash,
	id: RecordId,
) -> Result<BTreeMap<RecordId, Record>, ProveError> {
	let at = chain.finalised().await?;
	let mut listed = BTreeMap::new();
	let problem = list(chain, artifact, Some(id), at, |record| {
		listed.insert(record.id, record);
		true
	})
	.await?;
	match problem {
		None => Ok(listed),
		Some(problem) => Err(ProveError::Contradiction(problem)),
	}
}

/// The evidence for a record, together with that for the updates it was made of: a round's batch has both, and nothing
/// else. The path to the block's root is the same.
fn with_inputs(
	one: Evidence,
	id: RecordId,
	record: &ProvenRecord,
	listed: &BTreeMap<RecordId, Record>,
) -> Result<Evidence, ProveError> {
	let (Some(RecordRange { first, count }), Inclusion::Record(proof)) = (record.inputs, &one.inclusion)
	else {
		return Ok(one);
	};
	if first.checked_add(count.into()) != Some(id) {
		return Err(ProveError::Contradiction(format!(
			"record {id} was made of records {first} to {}, which are not those right before it",
			first.saturating_add(count.into()).saturating_sub(1)
		)));
	}
	let mut records = Vec::new();
	for input in first..id {
		let listed = listed.get(&input).ok_or_else(|| {
			ProveError::Contradiction(format!(
				"the node left out record {input}, of which record {id} was made"
			))
		})?;
		records.push(to_verify(listed)?);
	}
	records.push(record.clone());
	let batch = Batch { first, records, in_block: proof.in_block.clone() };
	Ok(Evidence { inclusion: Inclusion::Batch(batch), ..one })
}

/// A record as the verifier reads it.
fn to_verify(listed: &Record) -> Result<ProvenRecord, ProveError> {
	let record = &listed.record;
	let producer = record
		.producer
		.as_deref()
		.map(ss58::decode)
		.transpose()
		.map_err(|e| ProveError::Contradiction(format!("the producer of record {}: {e}", listed.id)))?
		.map(Account);
	Ok(ProvenRecord {
		kind: record.kind,
		artifact: record.artifact,
		base: record.base,
		inputs: record.inputs,
		terms: record.terms,
		producer,
		device: record.device,
		site: record.site,
		programme: record.programme,
		round: record.round,
		block: record.block,
	})
}

/// A proved record as the rest of the auditor reads it.
pub fn to_list(id: RecordId, record: &ProvenRecord) -> Record {
	Record {
		id,
		record: cairn_primitives::Record {
			kind: record.kind,
			artifact: record.artifact,
			base: record.base,
			inputs: record.inputs,
			terms: record.terms,
			producer: record.producer.map(|account| account.to_string()),
			device: record.device,
			site: record.site,
			programme: record.programme,
			round: record.round,
			block: record.block,
		},
	}
}

/// The lineage of an artifact that a bundle's records make, newest first; other records do not matter. Its contradictions
/// say what is missing from it.
pub fn lineage_of(proven: &Proven, artifact: ArtifactHash) -> Lineage {
	let records: BTreeMap<RecordId, &ProvenRecord> = match &proven.statement {
		Statement::Records(records) => records.iter().map(|(id, record)| (*id, record)).collect(),
		Statement::NoWeights(_) => BTreeMap::new(),
	};
	let mut walk = Walk::new(artifact);
	let mut next = records.iter().rev().find(|(_, record)| record.artifact == artifact).map(|(id, _)| *id);
	// As a node lists them: the artifact first, then its updates from the last, then its base, and so on.
	while let Some((id, record)) = next.and_then(|id| Some((id, *records.get(&id)?))) {
		walk.take(to_list(id, record));
		if let Some(RecordRange { first, count }) = record.inputs {
			for (id, update) in records.range(first..first.saturating_add(count.into())).rev() {
				walk.take(to_list(*id, update));
			}
		}
		// A base is always older, so the walk ends.
		next = record.base.filter(|base| *base < id);
	}
	let (steps, contradictions) = walk.finish();
	let verdict = if contradictions.is_empty() { Verdict::Equal } else { Verdict::Refuted };
	Lineage { genesis: proven.genesis, block: proven.block, steps, contradictions, verdict }
}

/// The weights that a bundle's records lead to, if it is one set of weights: all others in it are the base of a record.
pub fn newest_weights(proven: &Proven) -> Option<ArtifactHash> {
	let Statement::Records(records) = &proven.statement else { return None };
	let bases: BTreeSet<_> = records.iter().filter_map(|(_, record)| record.base).collect();
	let mut newest = records
		.iter()
		.filter(|(id, record)| record.kind == RecordKind::Weights && !bases.contains(id))
		.map(|(_, record)| record.artifact);
	match (newest.next(), newest.next()) {
		(one, None) => one,
		_ => None,
	}
}
