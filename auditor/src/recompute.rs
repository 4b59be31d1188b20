//! Recomputing what committees agreed on, from the updates themselves.

use crate::{
	artifacts::Artifacts,
	chain::{ask_programme, ask_record, ask_round, Chain, ChainError, Programme, Record, Round},
	Verdict,
};
use cairn_aggregation::{
	check_mapped_update, settle_with, AggregationError, CheckedUpdate, ExpectedUpdate, Method, RoundInputs,
	Settlement, UpdateEnvelope, WeightsEnvelope,
};
use cairn_artifacts::{MappedFile, TensorFile};
use cairn_primitives::{
	bitmap,
	round::{quality_digest, terms_digest},
	views::Phase,
	Aggregation, ArtifactHash, ProgrammeId, RecordId, RecordKind, RecordRange, RoundIndex, H256,
};
use cairn_verifier::ss58;
use serde::Serialize;
use std::ops::RangeInclusive;

/// What became of one round.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
	/// The updates give the weights that the chain recorded, bit for bit.
	Equal,
	/// They give others, or must not have been included, or the chain's records contradict each other.
	Refuted,
	/// What is needed to tell is missing.
	Unknown,
	/// The round made no weights: it failed, or still runs.
	Skipped,
}

/// One round's result.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RoundReport {
	/// The round.
	pub round: RoundIndex,
	/// How many updates were included.
	pub updates: u32,
	/// The next weights, as the chain has them.
	pub result: Option<ArtifactHash>,
	/// Their record.
	pub record: Option<RecordId>,
	/// The records of the included updates.
	pub inputs: Option<RecordRange>,
	/// The next weights, as the updates give them, when it came to that.
	pub recomputed: Option<ArtifactHash>,
	/// What became of it.
	pub outcome: Outcome,
	/// Why, for each outcome but `Equal`: full sentences for people.
	pub reasons: Vec<String>,
}

/// All rounds' results.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
	/// The chain.
	pub genesis: H256,
	/// The programme.
	pub programme: ProgrammeId,
	/// Its name.
	pub name: String,
	/// How it aggregates now. Each round was aggregated as was decided when it ran.
	pub aggregation: Aggregation,
	/// Round by round.
	pub rounds: Vec<RoundReport>,
	/// What contradicts across rounds.
	pub contradictions: Vec<String>,
	/// What it all comes to.
	pub verdict: Verdict,
}

/// What the chain says about a finalised round.
struct Facts<'a> {
	round: &'a Round,
	base: Record,
	result: Record,
	updates: Vec<Record>,
}

impl Facts<'_> {
	/// What has to be there to compute the round again.
	fn artifacts(&self) -> impl Iterator<Item = ArtifactHash> + '_ {
		std::iter::once(self.round.base).chain(self.updates.iter().map(|update| update.record.artifact))
	}
}

/// Recomputes one round of a programme, or all of them, and reports each as it is done.
///
/// # Errors
/// When the chain does not answer. What is wrong with answers or artifacts is in the report.
pub async fn recompute(
	chain: &impl Chain,
	artifacts: &Artifacts,
	programme: ProgrammeId,
	only: Option<RoundIndex>,
	threads: usize,
	done: impl FnMut(&RoundReport),
) -> Result<Report, ChainError> {
	let genesis = chain.genesis().await?;
	let at = chain.finalised().await?;
	let programme = ask_programme(chain, programme, at).await?;
	let range = only.map_or(0..=programme.round, |n| n..=n);
	recompute_rounds(chain, artifacts, genesis, programme, range, only.is_none(), threads, done).await
}

/// As [`recompute`], of some rounds of a programme that was asked for before. When they are `all` that it had then, each
/// has to start from what the one before it made.
///
/// # Errors
/// As for [`recompute`].
pub async fn recompute_rounds(
	chain: &impl Chain,
	artifacts: &Artifacts,
	genesis: H256,
	programme: Programme,
	range: RangeInclusive<RoundIndex>,
	all: bool,
	threads: usize,
	mut done: impl FnMut(&RoundReport),
) -> Result<Report, ChainError> {
	let mut rounds = Vec::new();
	let mut contradictions = Vec::new();
	// What the next finalised round has to start from.
	let mut weights = programme.genesis_weights;
	let mut finalised = 0;
	for index in range {
		// Asked anew, because a long audit outlives the states that a pruning node keeps. A settled round is the same
		// in each of them.
		let at = chain.finalised().await?;
		let round = if all {
			match ask_next_round(chain, &programme, index, at).await? {
				Ok(round) => round,
				Err(why) => {
					contradictions.extend(why);
					break;
				},
			}
		} else {
			ask_round(chain, programme.id, index, at).await?
		};
		if round.phase == Phase::Finalised && all {
			if round.base != weights {
				contradictions.push(format!(
					"round {index} started from {:?}, but the weights before it were {weights:?}",
					round.base
				));
			}
			weights = round.result.unwrap_or(weights);
			finalised += 1;
			// Rounds that were finalised since the programme was read come after this.
			if finalised == programme.finalised && weights != programme.weights {
				contradictions.push(format!(
					"the programme's newest weights are {:?}, but round {index} made {weights:?}",
					programme.weights
				));
			}
		}
		let report = match audit(chain, artifacts, genesis, &programme, &round, at, threads).await {
			// A record that the node does not give leaves this round undecided, and says nothing about the others.
			Err(refused @ ChainError::Refused { .. }) => {
				RoundReport { outcome: Outcome::Unknown, reasons: vec![refused.to_string()], ..empty(&round) }
			},
			other => other?,
		};
		done(&report);
		rounds.push(report);
	}
	if all && finalised < programme.finalised {
		contradictions.push(format!(
			"the programme counts {} finalised rounds, but only {finalised} are there",
			programme.finalised
		));
	}
	let outcomes = || rounds.iter().map(|r| r.outcome);
	let verdict = if !contradictions.is_empty() || outcomes().any(|o| o == Outcome::Refuted) {
		Verdict::Refuted
	} else if outcomes().any(|o| o == Outcome::Unknown) || outcomes().all(|o| o == Outcome::Skipped) {
		Verdict::Unknown
	} else {
		Verdict::Equal
	};
	let name = String::from_utf8_lossy(&programme.name).into_owned();
	let Programme { id, aggregation, .. } = programme;
	Ok(Report { genesis, programme: id, name, aggregation, rounds, contradictions, verdict })
}

/// The next of all rounds. When there is none, or none that can be, the walk ends: with a contradiction, unless the programme
/// has no round yet.
async fn ask_next_round(
	chain: &impl Chain,
	programme: &Programme,
	index: RoundIndex,
	at: H256,
) -> Result<Result<Round, Option<String>>, ChainError> {
	let newest = programme.round;
	let round = match ask_round(chain, programme.id, index, at).await {
		Err(ChainError::Refused { code: UNKNOWN_ROUND, .. }) => {
			// A programme without a round yet still says that its newest is 0.
			let has_none = newest == 0 && programme.finalised == 0;
			return Ok(Err((!has_none).then(|| {
				format!("the node says that the programme's newest round is {newest}, but does not know round {index}")
			})));
		},
		other => other?,
	};
	if index < newest && !matches!(round.phase, Phase::Finalised | Phase::Failed) {
		return Ok(Err(Some(format!(
			"the node says that round {index} still runs (phase {:?}), but also that round {newest} was opened after it",
			round.phase
		))));
	}
	Ok(Ok(round))
}

/// The node's error for a round that is not there.
const UNKNOWN_ROUND: i32 = 9102;

/// The report on a round before anything was found out.
fn empty(round: &Round) -> RoundReport {
	RoundReport {
		round: round.index,
		updates: round.updates.map_or(0, |u| u.count),
		result: round.result,
		record: round.result_record,
		inputs: round.updates,
		recomputed: None,
		outcome: Outcome::Skipped,
		reasons: Vec::new(),
	}
}

async fn audit(
	chain: &impl Chain,
	artifacts: &Artifacts,
	genesis: H256,
	programme: &Programme,
	round: &Round,
	at: H256,
	threads: usize,
) -> Result<RoundReport, ChainError> {
	let mut report = empty(round);
	match (round.phase, round.failure) {
		(Phase::Finalised, _) => {},
		(Phase::Failed, reason) => {
			let why = reason.map_or_else(|| "for an unknown reason".into(), |r| format!("({r:?})"));
			report.reasons.push(format!("the round failed {why} and made no weights"));
			return Ok(report);
		},
		(phase, _) => {
			report.reasons.push(format!("the round still runs (phase {phase:?})"));
			return Ok(report);
		},
	}
	let (Some(result), Some(result_record), Some(updates)) =
		(round.result, round.result_record, round.updates)
	else {
		report.outcome = Outcome::Refuted;
		report.reasons.push("the chain calls the round finalised, but names no result or no updates".into());
		return Ok(report);
	};
	// Compared before anything is asked for: a count is a claim, too.
	if updates.count != bitmap::count(&round.included)
		|| !bitmap::is_canonical(&round.included, round.commit_count)
	{
		report.outcome = Outcome::Refuted;
		report.reasons.push(format!(
			"the chain records {} updates, but includes {} of {} commits",
			updates.count,
			bitmap::count(&round.included),
			round.commit_count
		));
		return Ok(report);
	}
	let mut records = Vec::new();
	for id in updates.first..updates.first.saturating_add(updates.count.into()) {
		records.push(ask_record(chain, id, at).await?);
	}
	let facts = Facts {
		base: ask_record(chain, round.base_record, at).await?,
		result: ask_record(chain, result_record, at).await?,
		updates: records,
		round,
	};
	artifacts.gather(facts.artifacts()).await;
	if round.terms.aggregation.has_state() {
		artifacts.gather(state_named_by(artifacts, &round.base)).await;
	}
	let judged = judge(artifacts, genesis, programme, &facts, threads);
	artifacts.done_with(facts.artifacts());
	match judged {
		Ok(Settlement { hash: recomputed, bytes, state, .. }) if recomputed == result => {
			report.recomputed = Some(recomputed);
			report.outcome = Outcome::Equal;
			artifacts.keep(&recomputed, &bytes);
			if let Some(state) = state {
				artifacts.keep(&state.hash, &state.bytes);
			}
		},
		Ok(Settlement { hash: recomputed, .. }) => {
			report.recomputed = Some(recomputed);
			report.outcome = Outcome::Refuted;
			report.reasons.push(format!("the updates give {recomputed:?}, but the chain says {result:?}"));
		},
		Err(Doubt::Refuted(reasons)) => {
			report.outcome = Outcome::Refuted;
			report.reasons = reasons;
		},
		Err(Doubt::Unknown(reasons)) => {
			report.outcome = Outcome::Unknown;
			report.reasons = reasons;
		},
	}
	Ok(report)
}

/// Why a round could not be recomputed.
enum Doubt {
	/// Because what the chain settled cannot be right.
	Refuted(Vec<String>),
	/// Because something is missing here.
	Unknown(Vec<String>),
}

fn refuted(reason: impl ToString) -> Doubt {
	Doubt::Refuted(vec![reason.to_string()])
}

/// The next weights that a finalised round's updates give.
fn judge(
	artifacts: &Artifacts,
	genesis: H256,
	programme: &Programme,
	facts: &Facts<'_>,
	threads: usize,
) -> Result<Settlement, Doubt> {
	let contradictions = contradictions(programme, facts);
	if !contradictions.is_empty() {
		return Err(Doubt::Refuted(contradictions));
	}
	let round = facts.round;

	// All that is missing is named at once, so that it can be fetched at once.
	let mut missing = Vec::new();
	let mut fetch = |hash| artifacts.get(hash).map_err(|reason| missing.push(reason)).ok();
	let base = fetch(&round.base);
	let updates: Vec<_> = facts.updates.iter().map(|u| fetch(&u.record.artifact)).collect();
	let (Some(base), true) = (base, missing.is_empty()) else { return Err(Doubt::Unknown(missing)) };

	let base = TensorFile::from_mapped(&base)
		.map_err(|e| refuted(format!("the base weights {:?} are no weights: {e}", round.base)))?;
	let mut checked = Vec::new();
	let mut refusals = Vec::new();
	for (record, file) in facts.updates.iter().zip(updates.into_iter().flatten()) {
		match check(&file, genesis, programme, round, record, &base) {
			Ok(update) => checked.push(update),
			Err(reason) => refusals.push(format!("an update was included that must not be: {reason}")),
		}
	}
	if !refusals.is_empty() {
		return Err(Doubt::Refuted(refusals));
	}
	let aggregation = &round.terms.aggregation;
	let method = Method::of(aggregation, round.bucketing_seed).map_err(refuted)?;
	let state = match aggregation.has_state().then(|| state_of(artifacts, &base)) {
		None => None,
		Some(Ok(state)) => state,
		Some(Err(reason)) => return Err(Doubt::Unknown(vec![reason])),
	};
	let inputs = RoundInputs {
		genesis,
		programme: programme.id,
		round: round.index,
		config: programme.config,
		base: round.base,
		rule: aggregation.rule,
	};
	match settle_with(&inputs, &method, &base, state.as_ref(), &checked, threads) {
		Ok(settled) => match round.quality {
			// Another result is worse, and is reported as such.
			Some(quality)
				if round.result == Some(settled.hash) && quality != quality_digest(&settled.quality) =>
			{
				Err(refuted(format!(
					"the updates' quality, which decides what they are paid, hashes to {:?}, but the committee settled on \
					 {quality:?}",
					quality_digest(&settled.quality)
				)))
			},
			_ => Ok(settled),
		},
		Err(e @ AggregationError::Arithmetic { .. }) => Err(Doubt::Unknown(vec![e.to_string()])),
		Err(e) => Err(refuted(format!("the included updates have no aggregate: {e}"))),
	}
}

/// The hash of the state that weights name.
fn state_hash(weights: &TensorFile) -> Option<ArtifactHash> {
	// Weights that cannot be read are refused by the aggregation, with the reason.
	WeightsEnvelope::from_metadata(weights.metadata()).ok()?.state()
}

/// The same, of weights that are to be looked up.
fn state_named_by(artifacts: &Artifacts, weights: &ArtifactHash) -> Option<ArtifactHash> {
	let file = artifacts.get(weights).ok()?;
	state_hash(&TensorFile::from_mapped(&file).ok()?)
}

/// The state that the base weights name, where they do: what rule or optimiser carry from round to round.
fn state_of(artifacts: &Artifacts, base: &TensorFile) -> Result<Option<TensorFile>, String> {
	let Some(hash) = state_hash(base) else { return Ok(None) };
	let file = TensorFile::from_mapped(&artifacts.get(&hash)?)
		.map_err(|e| format!("the state {hash:?} is none: {e}"))?;
	Ok(Some(file))
}

/// Where the records of a round do not fit together.
fn contradictions(programme: &Programme, facts: &Facts<'_>) -> Vec<String> {
	let Facts { round, base, result, updates } = facts;
	let mut found = Vec::new();
	let mut expect = |holds: bool, claim: String| {
		if !holds {
			found.push(format!("the chain's records contradict each other: {claim}"));
		}
	};
	let here = (programme.id, Some(round.index));
	expect(
		base.record.kind == RecordKind::Weights
			&& base.record.artifact == round.base
			&& base.record.programme == programme.id,
		format!("record {} is not that of the base weights {:?}", base.id, round.base),
	);
	let r = &result.record;
	expect(
		r.kind == RecordKind::Weights && Some(r.artifact) == round.result,
		format!("record {} is not that of the result {:?}", result.id, round.result),
	);
	expect(
		r.base == Some(round.base_record)
			&& r.inputs == round.updates
			&& (r.programme, r.round) == here
			&& r.producer.is_none(),
		format!("record {} does not name the round's base and updates as its parents", result.id),
	);
	// The rule, the limits, the seed and the quality are what the node says of the round; the record is in the ledger.
	let settled = terms_digest(&round.terms, round.bucketing_seed.as_ref(), round.quality.as_ref());
	expect(
		r.terms == Some(settled),
		match r.terms {
			Some(terms) => format!(
				"record {} was settled under {terms:?}, but the terms, the seed and the quality given for the round hash to \
				 {settled:?}",
				result.id
			),
			None => format!("record {} does not say what its round was settled under", result.id),
		},
	);
	for Record { id, record } in updates {
		expect(
			record.kind == RecordKind::Update
				&& record.base == Some(round.base_record)
				&& (record.programme, record.round) == here
				&& record.producer.is_some()
				&& record.device.is_some()
				&& record.site.is_some(),
			format!("record {id} is not that of an update of this round"),
		);
	}
	found
}

/// Checks an included update as the committee had to. The chain keeps the declared samples and local steps only while a
/// round runs; here they are what the update itself says, held against the programme's limits.
fn check(
	file: &MappedFile,
	genesis: H256,
	programme: &Programme,
	round: &Round,
	record: &Record,
	base: &TensorFile,
) -> Result<CheckedUpdate, String> {
	let Record { id, record } = record;
	let (Some(producer), Some(device)) = (&record.producer, record.device) else {
		return Err(format!("record {id} names no producer or no device"));
	};
	let producer = ss58::decode(producer).map_err(|e| format!("the producer of record {id}: {e}"))?;
	let declared = TensorFile::from_mapped(file)
		.ok()
		.and_then(|file| UpdateEnvelope::from_metadata(file.metadata()).ok());
	let (samples, local_steps) = declared.map_or((0, 0), |e| (e.samples, e.local_steps));
	let expected = ExpectedUpdate {
		genesis,
		programme: programme.id,
		round: round.index,
		base: round.base,
		config: programme.config,
		producer,
		device,
		samples,
		local_steps,
	};
	// Whatever kept the envelope from being read is refused here, by its proper reason.
	let update = check_mapped_update(file, &record.artifact, &expected, base)
		.map_err(|refused| refused.to_string())?;
	for (what, declared, most) in [
		("samples", samples, round.terms.max_samples),
		("local steps", local_steps, round.terms.max_local_steps),
	] {
		if declared > most {
			return Err(format!(
				"update {:?} declares {declared} {what}, but the round allowed at most {most}",
				record.artifact
			));
		}
	}
	Ok(update)
}
