//! From a round's updates to its next weights.

use crate::{
	check::{first_not_finite, same_shapes},
	engine::{self, Part, Walked},
	optimiser,
	pre::{Bucketing, PreAggregation, Prepared},
	quality::from_products,
	rules::{self, Given},
	state::{self, Slot, Start, State},
	AggregationError, CheckedUpdate,
};
use cairn_artifacts::{artifact_hash, ArtifactHash, Tensor, TensorFile};
use cairn_primitives::{
	aggregation::ServerOptimiser,
	envelope::{ExpectedUpdate, StateEnvelope, WeightsEnvelope},
	round::inputs_digest,
	Aggregation, AggregationRule, ProgrammeId, RoundIndex, H256,
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

/// What surrounds the rule. The default adds nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Method {
	/// What is done to updates before the rule.
	pub pre: PreAggregation,
	/// What is made of the aggregate after it.
	pub optimiser: ServerOptimiser,
}

impl Method {
	/// What surrounds a programme's rule in a round whose bucketing is ordered by `seed`.
	///
	/// # Errors
	/// When the programme asks for bucketing and there is no seed.
	pub fn of(aggregation: &Aggregation, seed: Option<H256>) -> Result<Self, AggregationError> {
		let Aggregation { normalisation, bucketing, mixing, optimiser, .. } = *aggregation;
		let bucketing = match (bucketing, seed) {
			(None, _) => None,
			(Some(size), Some(H256(seed))) => Some(Bucketing { size, seed }),
			(Some(size), None) => return Err(AggregationError::NoSeed { size }),
		};
		Ok(Self { pre: PreAggregation { normalisation, bucketing, mixing }, optimiser })
	}
}

/// Aggregates updates, given in canonical order, into one pseudo-gradient, on up to `threads` threads (0 counts as 1).
///
/// # Errors
/// When there are none or too few for the rule, a parameter of it is out of its range, their shapes differ, or all
/// declare 0 samples where samples count.
pub fn aggregate(
	rule: AggregationRule,
	updates: &[CheckedUpdate],
	threads: usize,
) -> Result<Vec<Tensor>, AggregationError> {
	aggregate_with(rule, &PreAggregation::default(), None, updates, threads)
}

/// [`aggregate`] with pre-aggregation, and with a centre for centered clipping to start from: the last aggregate, with
/// the updates' tensors. Without one it starts from zero. Other rules do not look at it.
///
/// # Errors
/// As [`aggregate`]; also when a number of the pre-aggregation is out of its bounds, or the centre has other tensors or
/// is not finite.
pub fn aggregate_with(
	rule: AggregationRule,
	pre: &PreAggregation,
	centre: Option<&[Tensor]>,
	updates: &[CheckedUpdate],
	threads: usize,
) -> Result<Vec<Tensor>, AggregationError> {
	let Some(first) = updates.first() else { return Err(AggregationError::NoUpdates) };
	for update in updates {
		same_shapes(update.tensors(), first.tensors())
			.map_err(|reason| AggregationError::Shape { update: update.hash(), reason })?;
	}
	if let Some(centre) = centre {
		state::check(centre, first.tensors(), Slot::Centre, "")?;
	}
	let Prepared { rows, samples, bucketed } = pre.prepare(updates, threads)?;
	let rule = rules::prepare(rule, &rows, &Given { samples: &samples, bucketed, centre, threads })?;
	let walked = engine::run(&rows, &*rule, &[], &[""], threads, |_, a, outputs| round_to(a, outputs[0]))?;
	// One output was asked for.
	Ok(walked.outputs.into_iter().flatten().collect())
}

/// What a round comes to. A committee agrees when two thirds of it have both the hash and the quality in common.
#[derive(Clone, PartialEq, Debug)]
pub struct Settlement {
	/// The next weights' name.
	pub hash: ArtifactHash,
	/// Their bytes.
	pub bytes: Vec<u8>,
	/// The quality of each update, in canonical order, 0 to 100: see [`crate::quality()`].
	pub quality: Vec<u8>,
	/// What the next round starts from beside the weights, whose envelope names it: to be kept and served with them.
	/// `None` where neither rule nor optimiser remembers anything.
	pub state: Option<State>,
}

/// The next weights of a round, base − aggregate, from its included updates in canonical order (ascending commit
/// index): the artifact's name and its bytes.
///
/// # Errors
/// As [`settle`].
pub fn next_weights(
	round: &RoundInputs,
	base: &TensorFile,
	updates: &[CheckedUpdate],
	threads: usize,
) -> Result<(ArtifactHash, Vec<u8>), AggregationError> {
	let Settlement { hash, bytes, .. } = walk(round, &Method::default(), base, None, updates, &[], threads)?;
	Ok((hash, bytes))
}

/// [`next_weights`] together with the quality of each update: everything that a committee member commits to.
///
/// For a programme without pre-aggregation, optimiser and state; for others there is [`settle_with`].
///
/// # Errors
/// As [`aggregate`]; also when the base is not the round's or not finite, an update is there twice or belongs to
/// another round, a result overflows, or the rule needs a state that the base names.
pub fn settle(
	round: &RoundInputs,
	base: &TensorFile,
	updates: &[CheckedUpdate],
	threads: usize,
) -> Result<Settlement, AggregationError> {
	settle_with(round, &Method::default(), base, None, updates, threads)
}

/// [`settle`] with everything that surrounds the rule. `state` is the artifact that the base weights name in their
/// envelope, where they do and rule or optimiser needs it; where they name none, these start from zeros.
///
/// Beside what it is given and returns, it needs less than 9 KiB per update and thread, and where the rule or mixing
/// measures distances between all pairs of rows, 72 bytes per pair and thread and 8 bytes per pair.
///
/// # Errors
/// As [`settle`]; also when a number of the method is out of its bounds, or the state is missing, is another one, or
/// has other tensors than the model.
pub fn settle_with(
	round: &RoundInputs,
	method: &Method,
	base: &TensorFile,
	state: Option<&TensorFile>,
	updates: &[CheckedUpdate],
	threads: usize,
) -> Result<Settlement, AggregationError> {
	let judged: Vec<_> = updates.iter().map(CheckedUpdate::tensors).collect();
	walk(round, method, base, state, updates, &judged, threads)
}

fn round_to(values: &[f64], out: &mut [f32]) {
	for (out, value) in out.iter_mut().zip(values) {
		*out = *value as f32;
	}
}

/// The settlement, with the quality of the updates `judged`.
fn walk(
	round: &RoundInputs,
	method: &Method,
	base: &TensorFile,
	state: Option<&TensorFile>,
	updates: &[CheckedUpdate],
	judged: &[&[Tensor]],
	threads: usize,
) -> Result<Settlement, AggregationError> {
	let found = base.hash();
	if found != round.base {
		return Err(AggregationError::OtherBase { expected: round.base, found });
	}
	if let Some((tensor, index, value)) = first_not_finite(base.tensors()) {
		return Err(AggregationError::BaseNotFinite { tensor: tensor.to_owned(), index, value });
	}
	if updates.is_empty() {
		return Err(AggregationError::NoUpdates);
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
	// What the optimiser carries, and then what the rule does.
	let carried = optimiser::slots(&method.optimiser);
	let mut slots = carried.to_vec();
	if matches!(round.rule, AggregationRule::CenteredClipping { .. }) {
		slots.push(Slot::Centre);
	}
	let start = Start::read(base, state, &slots)?;
	let step = optimiser::prepare(&method.optimiser, &start)?;
	let Prepared { rows, samples, bucketed } = method.pre.prepare(updates, threads)?;
	let given = Given { samples: &samples, bucketed, centre: start.get(Slot::Centre), threads };
	let rule = rules::prepare(round.rule, &rows, &given)?;

	let before: Vec<_> = carried.iter().map(|slot| start.get(*slot)).collect();
	let names: Vec<_> = std::iter::once("").chain(slots.iter().map(|slot| slot.prefix())).collect();
	let finish = |block: Part, a: &[f64], outputs: &mut [&mut [f32]]| {
		let Some((next, new)) = outputs.split_first_mut() else { return };
		let old: Vec<_> = before.iter().map(|slot| slot.map(|tensors| block.of(tensors))).collect();
		step.apply(block.of(base.tensors()), a, &old, next, new);
		if let Some(centre) = new.get_mut(carried.len()) {
			round_to(a, centre);
		}
	};
	let Walked { outputs, products } = engine::run(&rows, &*rule, judged, &names, threads, finish)?;
	let mut outputs = outputs.into_iter();
	let next = outputs.next().unwrap_or_default();

	let hashes: Vec<_> = updates.iter().map(CheckedUpdate::hash).collect();
	let inputs = inputs_digest(&hashes);
	let RoundInputs { genesis, programme, round, config, base, .. } = *round;
	let state = if slots.is_empty() {
		None
	} else {
		let steps = if carried.is_empty() { 0 } else { start.next_step() };
		let envelope = StateEnvelope { genesis, programme, round, config, base, inputs, steps };
		Some(State::new(&envelope, outputs.flatten().collect())?)
	};
	let state_hash = state.as_ref().map(|state| state.hash);
	let envelope =
		WeightsEnvelope::Aggregate { genesis, programme, round, config, base, inputs, state: state_hash };
	let bytes = TensorFile::new(envelope.to_metadata(), next)?.into_bytes();
	Ok(Settlement { hash: artifact_hash(&bytes), bytes, quality: from_products(&products), state })
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
