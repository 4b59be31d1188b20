//! From a round's updates to its next weights.

use crate::{
	check::{first_not_finite, same_shapes, slices},
	engine::{self, Output, Part, Place},
	optimiser,
	pre::{Bucketing, PreAggregation, Prepared},
	quality::from_products,
	rules::{self, Given},
	state::{self, Slot, Start, State},
	AggregationError, CheckedUpdate,
};
use cairn_artifacts::{artifact_hash, zeros, ArtifactHash, Elements, Tensor, TensorFile, TensorFileBuffer};
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
	let centre = centre.map(slices);
	let Prepared { rows, samples, bucketed } = pre.prepare(updates, threads)?;
	let given = Given { samples: &samples, bucketed, centre: centre.as_deref(), threads };
	let rule = rules::prepare(rule, &rows, &given)?;
	let zeros = |t: &Tensor<Elements>| Tensor {
		name: t.name.clone(),
		shape: t.shape.clone(),
		data: zeros(t.data.len()),
	};
	let mut made: Vec<Tensor> = first.tensors().iter().map(zeros).collect();
	let places = made.iter_mut().map(|t| Place::Floats(&mut t.data)).collect();
	let outputs = vec![Output { prefix: "", places }];
	let finish = |_: Part, a: &[f64], outputs: &mut [&mut [f32]]| round_to(a, outputs[0]);
	engine::run(&rows, &*rule, false, &names(first.tensors()), outputs, threads, finish)?;
	Ok(made)
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
	let Settlement { hash, bytes, .. } =
		walk(round, &Method::default(), base, None, updates, false, threads)?;
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
/// Beside what it is given and returns, it takes less than 9 KiB per update and thread and 64 KiB, and where the rule or
/// mixing compares all pairs of rows, 72 bytes per pair and thread and 80 bytes per pair.
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
	walk(round, method, base, state, updates, true, threads)
}

fn round_to(values: &[f64], out: &mut [f32]) {
	for (out, value) in out.iter_mut().zip(values) {
		*out = *value as f32;
	}
}

fn names(tensors: &[Tensor<Elements>]) -> Vec<&str> {
	tensors.iter().map(|t| t.name.as_str()).collect()
}

/// The model's tensors with `prefix` before their names.
fn named<'a>(prefix: &'a str, model: &'a [Tensor<Elements>]) -> impl Iterator<Item = Tensor<()>> + use<'a> {
	model.iter().map(move |t| Tensor {
		name: format!("{prefix}{}", t.name),
		shape: t.shape.clone(),
		data: (),
	})
}

/// The settlement, with the quality of the updates if they are to be judged.
fn walk(
	round: &RoundInputs,
	method: &Method,
	base: &TensorFile,
	state: Option<&TensorFile>,
	updates: &[CheckedUpdate],
	judge: bool,
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
	let centre = start.get(Slot::Centre);
	let given = Given { samples: &samples, bucketed, centre: centre.as_deref(), threads };
	let rule = rules::prepare(round.rule, &rows, &given)?;

	let hashes: Vec<_> = updates.iter().map(CheckedUpdate::hash).collect();
	let inputs = inputs_digest(&hashes);
	let RoundInputs { genesis, programme, round, config, base: base_hash, .. } = *round;
	let weights_envelope = |state| {
		let base = base_hash;
		WeightsEnvelope::Aggregate { genesis, programme, round, config, base, inputs, state }.to_metadata()
	};
	let state_envelope = {
		let steps = if carried.is_empty() { 0 } else { start.next_step() };
		StateEnvelope { genesis, programme, round, config, base: base_hash, inputs, steps }.to_metadata()
	};
	// The files are made where they stand. A state's name is not known before its elements are, but how long it is.
	let model = base.tensors();
	let unknown = (!slots.is_empty()).then_some(H256::zero());
	let mut next = TensorFileBuffer::new(&weights_envelope(unknown), named("", model).collect())?;
	let behind = slots.iter().flat_map(|slot| named(slot.prefix(), model)).collect();
	let mut new_state = TensorFileBuffer::new(&state_envelope, behind)?;

	let places = next.data_mut().into_iter().map(Place::Bytes).collect();
	let mut outputs = vec![Output { prefix: "", places }];
	outputs.extend(slots.iter().map(|slot| Output { prefix: slot.prefix(), places: Vec::new() }));
	// In the file they ascend by name: those of one slot stand together, in the model's order.
	let mut places = new_state.data_mut().into_iter().map(Place::Bytes);
	let mut by_name: Vec<&mut Output> = outputs.iter_mut().skip(1).collect();
	by_name.sort_by_key(|output| output.prefix);
	for output in by_name {
		output.places.extend(places.by_ref().take(model.len()));
	}

	let before: Vec<_> = carried.iter().map(|slot| start.get(*slot)).collect();
	let base = slices(model);
	let finish = |block: Part, a: &[f64], outputs: &mut [&mut [f32]]| {
		let Some((next, new)) = outputs.split_first_mut() else { return };
		let old: Vec<_> = before.iter().map(|slot| slot.as_ref().map(|tensors| block.of(tensors))).collect();
		step.apply(block.of(&base), a, &old, next, new);
		if let Some(centre) = new.get_mut(carried.len()) {
			round_to(a, centre);
		}
	};
	let products = engine::run(&rows, &*rule, judge, &names(model), outputs, threads, finish)?;
	drop(places);
	let state = (!slots.is_empty()).then(|| State::new(new_state));
	if let Some(state) = &state {
		next.set_metadata(&weights_envelope(Some(state.hash)))?;
	}
	let bytes = next.into_bytes();
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
		..envelope.into()
	};
	envelope.check(&expected).map_err(|reason| AggregationError::OtherRound { update: update.hash(), reason })
}
