//! From a round's updates to its next weights.

use crate::{
	check::{first_not_finite, same_shapes},
	engine::{self, Walked},
	quality::quality,
	rules, AggregationError, CheckedUpdate,
};
use cairn_artifacts::{artifact_hash, ArtifactHash, Tensor, TensorFile};
use cairn_primitives::{
	envelope::{ExpectedUpdate, WeightsEnvelope},
	round::inputs_digest,
	AggregationRule, ProgrammeId, RoundIndex, H256,
};
use std::collections::BTreeSet;

/// What the chain says about a round, as far as the next weights depend on it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RoundInputs {
	/// Genesis hash of the chain.
	pub genesis: H256,
	/// The programme.
	pub programme: ProgrammeId,
	/// The round.
	pub round: RoundIndex,
	/// The programme's training configuration.
	pub config: ArtifactHash,
	/// The round's base weights.
	pub base: ArtifactHash,
	/// The programme's rule.
	pub rule: AggregationRule,
}

/// Aggregates updates, given in canonical order, into one pseudo-gradient, on up to `threads` threads (0 counts as 1).
///
/// # Errors
/// When there are none or too few, their shapes differ, all declare 0 samples where samples count, or the result
/// overflows.
pub fn aggregate(
	rule: AggregationRule,
	updates: &[CheckedUpdate],
	threads: usize,
) -> Result<Vec<Tensor>, AggregationError> {
	Ok(run(rule, updates, threads, |_, _, sum| sum as f32)?.aggregate)
}

/// What a round comes to. A committee agrees when two thirds of it have both the hash and the quality in common.
#[derive(Clone, PartialEq, Debug)]
pub struct Settlement {
	/// The next weights' name.
	pub hash: ArtifactHash,
	/// Their bytes.
	pub bytes: Vec<u8>,
	/// The quality of each update, in canonical order, 0 to 100: see [`quality`].
	pub quality: Vec<u8>,
}

/// The next weights of a round, base − aggregate, from its included updates in canonical order (ascending commit
/// index): the artifact's name and its bytes.
///
/// # Errors
/// As [`aggregate`]; also when the base is not the round's or not finite, or an update is there twice or belongs to
/// another round.
pub fn next_weights(
	round: &RoundInputs,
	base: &TensorFile,
	updates: &[CheckedUpdate],
	threads: usize,
) -> Result<(ArtifactHash, Vec<u8>), AggregationError> {
	let (hash, bytes, _) = walk(round, base, updates, threads)?;
	Ok((hash, bytes))
}

/// [`next_weights`] together with the [`quality`] of each update: everything that a committee member commits to.
///
/// # Errors
/// As [`next_weights`].
pub fn settle(
	round: &RoundInputs,
	base: &TensorFile,
	updates: &[CheckedUpdate],
	threads: usize,
) -> Result<Settlement, AggregationError> {
	let (hash, bytes, aggregate) = walk(round, base, updates, threads)?;
	Ok(Settlement { hash, bytes, quality: quality(updates, &aggregate, threads)? })
}

/// The next weights, name and bytes, and the aggregate that they come from.
fn walk(
	round: &RoundInputs,
	base: &TensorFile,
	updates: &[CheckedUpdate],
	threads: usize,
) -> Result<(ArtifactHash, Vec<u8>, Vec<Tensor>), AggregationError> {
	let found = base.hash();
	if found != round.base {
		return Err(AggregationError::OtherBase { expected: round.base, found });
	}
	if let Some((tensor, index, value)) = first_not_finite(base.tensors()) {
		return Err(AggregationError::BaseNotFinite { tensor: tensor.to_owned(), index, value });
	}
	let mut seen = BTreeSet::new();
	for update in updates {
		belongs(update, round)?;
		same_shapes(update.tensors(), base.tensors())
			.map_err(|reason| AggregationError::Shape { update: update.hash(), reason })?;
		if !seen.insert(update.hash()) {
			return Err(AggregationError::Duplicate { update: update.hash() });
		}
	}
	let Walked { results, aggregate } = run(round.rule, updates, threads, |tensor, index, sum| {
		// The one rounding to 32 bits; the aggregate itself is never rounded to them.
		(f64::from(base.tensors()[tensor].data[index]) - sum) as f32
	})?;
	let hashes: Vec<_> = updates.iter().map(CheckedUpdate::hash).collect();
	let envelope = WeightsEnvelope::Aggregate {
		genesis: round.genesis,
		programme: round.programme,
		round: round.round,
		config: round.config,
		base: round.base,
		inputs: inputs_digest(&hashes),
	};
	let bytes = TensorFile::new(envelope.to_metadata(), results)?.to_bytes();
	Ok((artifact_hash(&bytes), bytes, aggregate))
}

/// Checks that an update was made for this round. What only the committing account could declare is taken as it is.
fn belongs(update: &CheckedUpdate, round: &RoundInputs) -> Result<(), AggregationError> {
	let envelope = update.envelope();
	let expected = ExpectedUpdate {
		genesis: round.genesis,
		programme: round.programme,
		round: round.round,
		base: round.base,
		config: round.config,
		producer: envelope.producer,
		device: envelope.device,
		samples: envelope.samples,
		local_steps: envelope.local_steps,
	};
	envelope.check(&expected).map_err(|reason| AggregationError::OtherRound { update: update.hash(), reason })
}

fn run(
	rule: AggregationRule,
	updates: &[CheckedUpdate],
	threads: usize,
	finish: impl Fn(usize, usize, f64) -> f32 + Sync,
) -> Result<Walked, AggregationError> {
	let samples: Vec<_> = updates.iter().map(|u| u.envelope().samples).collect();
	let rule = rules::prepare(rule, &samples)?;
	let tensors: Vec<_> = updates.iter().map(CheckedUpdate::tensors).collect();
	for (update, own) in updates.iter().zip(&tensors) {
		same_shapes(own, tensors[0])
			.map_err(|reason| AggregationError::Shape { update: update.hash(), reason })?;
	}
	engine::run(&tensors, &*rule, threads, finish)
}
