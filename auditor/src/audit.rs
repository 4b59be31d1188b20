//! A whole programme: every record proved, every aggregate recomputed.

mod report;

pub use report::{Audit, Configuration, Finalised, Finding, Node, Proof, RoundAudit};

use crate::{
	artifacts::Artifacts,
	chain::{ask_programme, Chain, ChainError, Page, Programme, ProvingChain, Record, Round},
	lineage::Lineage,
	prove::{prove, prove_lineage_with, ProveError, Subject},
	recompute::{recompute_rounds, Outcome, Report, RoundReport},
	Verdict,
};
use cairn_primitives::{ArtifactHash, ProgrammeId, RecordId, RecordKind, RoundIndex, H256};
use cairn_verifier::{Bundle, Proven, Statement};
use report::NOT_COVERED;
use std::{
	cell::RefCell,
	collections::BTreeMap,
	time::{Duration, Instant},
};

/// The node's error for what is not final yet, or has no justification yet.
const NOT_PROVABLE_YET: i32 = 9108;

/// How long to wait for a proof of finality of the newest weights, when nobody says otherwise: nodes keep one every 16
/// blocks.
pub const DEFAULT_PATIENCE: Duration = Duration::from_secs(120);

/// How often it is asked for meanwhile.
const ASK_AGAIN: Duration = Duration::from_secs(3);

/// What an audit is doing.
#[derive(Clone, Copy, Debug)]
pub enum Progress<'a> {
	/// Waiting until the newest weights can be proved.
	Waiting,
	/// This many sets of weights are proved, of as many as the node says there are.
	Proving(u64, u64),
	/// A round was recomputed.
	Recomputed(&'a RoundReport, RoundIndex),
}

/// How to audit.
#[derive(Clone, Copy, Debug)]
pub struct AuditSettings {
	/// The genesis hash against which everything is checked.
	pub genesis: H256,
	/// Whether that is only the node's word.
	pub genesis_from_node: bool,
	/// Threads to compute with.
	pub threads: usize,
	/// How long to wait until the newest weights can be proved.
	pub patience: Duration,
}

/// Audits a programme from the weights that it started from to its newest. What is proved is returned in one bundle.
///
/// # Errors
/// When the chain does not answer. What is wrong with its answers or with artifacts is in the audit.
pub async fn audit(
	chain: &impl ProvingChain,
	artifacts: &Artifacts,
	programme: ProgrammeId,
	settings: &AuditSettings,
	mut progress: impl FnMut(Progress<'_>),
) -> Result<(Audit, Option<Bundle>), ChainError> {
	let at = chain.finalised().await?;
	let programme = ask_programme(chain, programme, at).await?;
	let proved = prove_records(chain, &programme, settings, &mut progress).await?;
	let (proof, bundle, lineage) = match proved {
		Ok((bundle, proven, lineage)) => (proof_of(&bundle, &proven), Some(bundle), Some(lineage)),
		Err(error) => (
			Proof {
				finding: error.verdict().into(),
				reason: Some(error.to_string()),
				block: None,
				records: 0,
				size: 0,
			},
			None,
			None,
		),
	};
	let first = lineage.as_ref().and_then(|lineage| lineage.steps.last()).map(|step| step.record.id);
	let configuration = prove_configuration(chain, &programme, first, &settings.genesis).await?;

	let mut contradictions = Vec::new();
	if let Some(lineage) = &lineage {
		contradictions.extend(lineage.contradictions.iter().cloned());
		contradictions.extend(misfits(&programme, lineage));
	}
	let ledger = Ledger {
		node: chain,
		proven: lineage.iter().flat_map(records_of).map(|record| (record.id, record.clone())).collect(),
		told: RefCell::default(),
	};
	// Later rounds may have been finalised since the programme was asked for: they are none of this audit's.
	let newest = lineage.as_ref().map(|lineage| lineage.steps.first().and_then(|s| s.record.record.round));
	let name = String::from_utf8_lossy(&programme.name).into_owned();
	let (model, start, aggregation, id) =
		(programme.weights, programme.genesis_weights, programme.aggregation, programme.id);
	let report = match newest {
		// It has made no weights yet.
		Some(None) => None,
		Some(Some(_)) | None => {
			let last = newest.flatten().unwrap_or(programme.round);
			let done = |round: &RoundReport| progress(Progress::Recomputed(round, last));
			let (genesis, threads) = (settings.genesis, settings.threads);
			Some(
				recompute_rounds(&ledger, artifacts, genesis, programme, 0..=last, true, threads, done)
					.await?,
			)
		},
	};
	let report = report.unwrap_or(Report {
		genesis: settings.genesis,
		programme: id,
		name: name.clone(),
		aggregation,
		rounds: Vec::new(),
		contradictions: Vec::new(),
		verdict: Verdict::Equal,
	});
	contradictions.extend(report.contradictions);
	if let Some(lineage) = &lineage {
		contradictions.extend(unlike(&report.rounds, lineage));
	}
	let told = ledger.told.borrow();
	let node = |id: RecordId| match ledger.proven.get(&id) {
		Some(record) => Some(Node::new(record, true)),
		None => told.get(&id).map(|record| Node::new(record, false)),
	};
	let rounds: Vec<_> = report.rounds.into_iter().map(|round| RoundAudit::new(round, &node)).collect();
	let start = ledger
		.proven
		.values()
		.map(|record| (record, true))
		.chain(told.values().map(|record| (record, false)))
		.find(|(record, _)| record.record.kind == RecordKind::Weights && record.record.artifact == start)
		.map(|(record, proven)| Node::new(record, proven));

	let found = [proof.finding, configuration.finding];
	let aggregates = || rounds.iter().map(|round| round.aggregate);
	let verdict = if !contradictions.is_empty()
		|| found.contains(&Finding::Refuted)
		|| aggregates().any(|outcome| outcome == Outcome::Refuted)
	{
		Finding::Refuted
	} else if found.contains(&Finding::Unknown) || aggregates().any(|outcome| outcome == Outcome::Unknown) {
		Finding::Unknown
	} else {
		Finding::Proven
	};
	let audit = Audit {
		verdict,
		genesis: settings.genesis,
		genesis_from_node: settings.genesis_from_node,
		programme: id,
		name,
		aggregation,
		model,
		proof,
		configuration,
		start,
		rounds,
		contradictions,
		missing: artifacts.missing(),
		fetched: artifacts.fetched(),
		not_covered: NOT_COVERED.to_vec(),
	};
	Ok((audit, bundle))
}

type Proved = Result<(Bundle, Proven, Lineage), ProveError>;

/// Proves the newest weights and all they came from; waits while they are too new for it.
async fn prove_records(
	chain: &impl ProvingChain,
	programme: &Programme,
	settings: &AuditSettings,
	progress: &mut impl FnMut(Progress<'_>),
) -> Result<Proved, ChainError> {
	let begun = Instant::now();
	let of = u64::from(programme.finalised) + 1;
	// What it starts from may be what another programme made, whose record the artifact's hash would mean.
	let newest = match programme.finalised {
		0 => Subject::Record(programme.weights_record),
		_ => Subject::Artifact(programme.weights),
	};
	loop {
		let tell = |done| progress(Progress::Proving(done, of));
		match prove_lineage_with(chain, programme.weights, newest, &settings.genesis, tell).await {
			Err(
				ProveError::Chain(ChainError::Refused { code: NOT_PROVABLE_YET, .. }) | ProveError::Moving,
			) if begun.elapsed() < settings.patience => {
				progress(Progress::Waiting);
				tokio::time::sleep(ASK_AGAIN.min(settings.patience)).await;
			},
			// That a node has no proof leaves the records open. That it is gone ends the audit.
			Err(ProveError::Chain(error)) if !matches!(error, ChainError::Refused { .. }) => {
				return Err(error)
			},
			proved => return Ok(proved),
		}
	}
}

fn proof_of(bundle: &Bundle, proven: &Proven) -> Proof {
	let records = match &proven.statement {
		Statement::Records(records) => records.len() as u64,
		Statement::NoWeights(_) => 0,
	};
	let Proven { block, number, set_id, authorities, .. } = proven;
	let block =
		Finalised { number: *number, hash: *block, authority_set: *set_id, authorities: *authorities };
	let size = bundle.to_bytes().len() as u64;
	Proof { finding: Finding::Proven, reason: None, block: Some(block), records, size }
}

/// A programme starts with its configuration and its first weights, one record after the other. By the artifact's hash,
/// which is all there is while those weights are not proved, the record of another programme with the same configuration
/// can be found.
///
/// The proof holds as of the first block after the start that nodes keep a proof of finality for: with the newest one, it
/// could be asked for just before that block is final for the node.
async fn prove_configuration(
	chain: &impl ProvingChain,
	programme: &Programme,
	first_weights: Option<RecordId>,
	genesis: &H256,
) -> Result<Configuration, ChainError> {
	let artifact = programme.config;
	let open = |finding, reason| Configuration { artifact, finding, record: None, reason: Some(reason) };
	let before = first_weights.and_then(|id| id.checked_sub(1));
	let subject = before.map_or(Subject::Artifact(artifact), Subject::Record);
	match prove(chain, subject, None, genesis).await {
		Ok((_, Proven { statement: Statement::Records(records), .. })) => match records.first() {
			Some((id, record))
				if (record.kind, record.artifact, record.programme)
					== (RecordKind::TrainingConfig, artifact, programme.id) =>
			{
				Ok(Configuration { artifact, finding: Finding::Proven, record: Some(*id), reason: None })
			},
			Some((_, record)) if before.is_none() && record.programme != programme.id => Ok(open(
				Finding::Unknown,
				format!("the node proved its record for programme {}, not for this one", record.programme),
			)),
			_ => Ok(open(
				Finding::Refuted,
				format!(
					"{subject} is not that of {artifact:?} as the configuration of programme {}",
					programme.id
				),
			)),
		},
		Ok(_) => Ok(open(Finding::Unknown, "the node proved no record of it".into())),
		Err(ProveError::Chain(error)) if !matches!(error, ChainError::Refused { .. }) => Err(error),
		Err(error) => Ok(open(error.verdict().into(), error.to_string())),
	}
}

/// All records of a lineage.
fn records_of(lineage: &Lineage) -> impl Iterator<Item = &Record> {
	lineage.steps.iter().flat_map(|step| std::iter::once(&step.record).chain(&step.updates))
}

/// Where a proved lineage is not that of the programme.
fn misfits(programme: &Programme, lineage: &Lineage) -> Vec<String> {
	let mut found = Vec::new();
	for record in records_of(lineage).filter(|record| record.record.programme != programme.id) {
		found.push(format!(
			"record {} is of programme {}, not of programme {}",
			record.id, record.record.programme, programme.id
		));
	}
	for step in lineage.steps.iter().filter(|step| step.record.record.kind != RecordKind::Weights) {
		found.push(format!(
			"record {} is on the way from the programme's start to its newest weights, and is no set of weights",
			step.record.id
		));
	}
	if let Some(first) = lineage.steps.last() {
		if first.record.record.artifact != programme.genesis_weights {
			found.push(format!(
				"the newest weights go back to {:?}, but the node says that the programme started from {:?}",
				first.record.record.artifact, programme.genesis_weights
			));
		}
	}
	let rounds: Vec<_> = lineage.steps.iter().map(|step| step.record.record.round).collect();
	if !rounds.is_sorted_by(|newer, older| newer > older) {
		found.push(format!("the rounds of the weights do not follow each other: {rounds:?}, newest first"));
	}
	found
}

/// Where what the node says of rounds is not what is proved of them.
fn unlike(rounds: &[RoundReport], lineage: &Lineage) -> Vec<String> {
	let proved: BTreeMap<RoundIndex, &Record> =
		lineage.steps.iter().filter_map(|step| Some((step.record.record.round?, &step.record))).collect();
	let mut found = Vec::new();
	for round in rounds.iter().filter(|round| round.outcome != Outcome::Skipped) {
		let index = round.round;
		match proved.get(&index) {
			None => found.push(format!(
				"the node says that round {index} made weights, but the newest weights do not come from any of that round"
			)),
			Some(record)
				if round.record != Some(record.id)
					|| round.result != Some(record.record.artifact)
					|| round.inputs != record.record.inputs =>
			{
				found.push(format!(
					"the node says that round {index} made {:?} of record {:?}, but {:?} of record {} is proved",
					round.result, round.record, record.record.artifact, record.id
				));
			},
			Some(_) => {},
		}
	}
	for (index, record) in proved {
		let is_there = |round: &RoundReport| round.round == index && round.outcome != Outcome::Skipped;
		if !rounds.iter().any(is_there) {
			found.push(format!(
				"round {index} made {:?}, which is proved, but the node does not say so",
				record.record.artifact
			));
		}
	}
	found
}

/// A chain whose records are those that are proved, where they are. It remembers what it had to take a node's word for.
struct Ledger<'a, C> {
	node: &'a C,
	proven: BTreeMap<RecordId, Record>,
	told: RefCell<BTreeMap<RecordId, Record>>,
}

impl<C: Chain> Chain for Ledger<'_, C> {
	async fn genesis(&self) -> Result<H256, ChainError> {
		self.node.genesis().await
	}

	async fn finalised(&self) -> Result<H256, ChainError> {
		self.node.finalised().await
	}

	async fn programme(&self, id: ProgrammeId, at: H256) -> Result<Programme, ChainError> {
		self.node.programme(id, at).await
	}

	async fn round(&self, programme: ProgrammeId, index: RoundIndex, at: H256) -> Result<Round, ChainError> {
		self.node.round(programme, index, at).await
	}

	async fn record(&self, id: RecordId, at: H256) -> Result<Record, ChainError> {
		if let Some(record) = self.proven.get(&id) {
			return Ok(record.clone());
		}
		let record = self.node.record(id, at).await?;
		self.told.borrow_mut().insert(id, record.clone());
		Ok(record)
	}

	async fn lineage(&self, a: ArtifactHash, cursor: Option<RecordId>, at: H256) -> Result<Page, ChainError> {
		self.node.lineage(a, cursor, at).await
	}
}
