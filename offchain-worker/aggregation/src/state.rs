//! What a round leaves for the next one, beside the weights.

use crate::{
	check::{first_not_finite, same_shapes_behind, slices},
	AggregationError,
};
use cairn_artifacts::{artifact_hash, ArtifactHash, Elements, Tensor, TensorFile, TensorFileBuffer};
use cairn_primitives::envelope::{StateEnvelope, WeightsEnvelope};
use std::ops::Deref;

/// A part of the state: one number for each of the model's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Slot {
	/// The last aggregate, where centered clipping starts.
	Centre,
	/// Nesterov's momentum.
	Momentum,
	/// Adam's mean of aggregates.
	Mean,
	/// The root of Adam's mean of squares.
	Root,
}

impl Slot {
	/// What stands before the names of the model's tensors.
	pub(crate) fn prefix(self) -> &'static str {
		match self {
			Self::Centre => "centre/",
			Self::Momentum => "momentum/",
			Self::Mean => "mean/",
			Self::Root => "root/",
		}
	}

	/// As errors call it.
	fn name(self) -> &'static str {
		self.prefix().trim_end_matches('/')
	}
}

/// A state as an artifact.
#[derive(Clone, PartialEq, Debug)]
pub struct State {
	/// Its name, which the weights that it comes with carry in their envelope.
	pub hash: ArtifactHash,
	/// Its bytes: a canonical tensor file.
	pub bytes: Vec<u8>,
}

impl State {
	/// Of a file that is filled in.
	pub(crate) fn new(file: TensorFileBuffer) -> Self {
		let bytes = file.into_bytes();
		Self { hash: artifact_hash(&bytes), bytes }
	}
}

/// What a round starts from. The default is that of a programme's first round: zeros.
#[derive(Default)]
pub(crate) struct Start<'a> {
	steps: u32,
	slots: Vec<(Slot, &'a [Tensor<Elements>])>,
}

impl<'a> Start<'a> {
	/// Reads what is needed of the state that `base` names. Where it names none, or one without a slot, that slot is
	/// zeros: the programme is new, or its rule or optimiser is.
	pub(crate) fn read(
		base: &TensorFile,
		state: Option<&'a TensorFile>,
		needed: &[Slot],
	) -> Result<Self, AggregationError> {
		if needed.is_empty() {
			return Ok(Self::default());
		}
		let envelope =
			WeightsEnvelope::from_metadata(base.metadata()).map_err(AggregationError::BaseEnvelope)?;
		let expected = envelope.state();
		let Some(state) = state else {
			return match expected {
				None => Ok(Self::default()),
				Some(expected) => Err(AggregationError::MissingState { expected }),
			};
		};
		let found = state.hash();
		if expected != Some(found) {
			return Err(AggregationError::OtherState { expected, found });
		}
		let StateEnvelope { mut steps, .. } = StateEnvelope::from_metadata(state.metadata())
			.map_err(|reason| AggregationError::State { state: found, reason })?;
		let mut slots = Vec::new();
		for slot in needed {
			// They stand together, because names ascend, and in the model's order.
			let of = |t: &Tensor<Elements>| t.name.starts_with(slot.prefix());
			let tensors = state.tensors();
			let first = tensors.iter().position(of).unwrap_or(tensors.len());
			let count = tensors[first..].iter().take_while(|t| of(t)).count();
			let tensors = &tensors[first..first + count];
			if !tensors.is_empty() {
				check(tensors, base.tensors(), *slot, slot.prefix())?;
				slots.push((*slot, tensors));
			} else if *slot != Slot::Centre {
				// Another optimiser made those steps.
				steps = 0;
			}
		}
		Ok(Self { steps, slots })
	}

	/// A slot's tensors; `None` for zeros.
	pub(crate) fn get(&self, slot: Slot) -> Option<Vec<&'a [f32]>> {
		self.slots.iter().find_map(|(s, tensors)| (*s == slot).then(|| slices(tensors)))
	}

	/// The number of the step that comes next, from 1. Stops at the greatest number there is.
	pub(crate) fn next_step(&self) -> u32 {
		self.steps.saturating_add(1)
	}
}

/// Checks that a slot has the model's tensors, behind `prefix`, all finite.
pub(crate) fn check<A: Deref<Target = [f32]>, B>(
	tensors: &[Tensor<A>],
	model: &[Tensor<B>],
	slot: Slot,
	prefix: &str,
) -> Result<(), AggregationError> {
	let part = slot.name();
	same_shapes_behind(prefix, tensors, model)
		.map_err(|reason| AggregationError::StateShape { part, reason })?;
	match first_not_finite(tensors) {
		None => Ok(()),
		Some((tensor, index, value)) => {
			Err(AggregationError::StateNotFinite { part, tensor: tensor.to_owned(), index, value })
		},
	}
}
