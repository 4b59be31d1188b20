//! Why there is no aggregate.

use cairn_artifacts::{ArtifactHash, FormatError};
use cairn_primitives::{envelope::EnvelopeError, AggregationRule};
use thiserror::Error;

/// Why updates could not be aggregated. The same inputs give the same error on every host and thread count.
#[derive(Clone, PartialEq, Debug, Error)]
pub enum AggregationError {
	/// Nothing to aggregate.
	#[error("there are no updates to aggregate")]
	NoUpdates,
	/// Fewer updates than the rule can work with.
	#[error("{} needs at least {needed} updates, but there are {found}", rule_name(.rule))]
	TooFew {
		/// The rule.
		rule: AggregationRule,
		/// The least it needs.
		needed: u64,
		/// How many there are.
		found: usize,
	},
	/// All updates declare that they were trained on nothing, which leaves no weights to average with.
	#[error("all {updates} updates declare 0 samples, so a mean weighted by samples does not exist")]
	NoSamples {
		/// How many updates there are.
		updates: usize,
	},
	/// One update is there twice.
	#[error("update {update:?} is there twice")]
	Duplicate {
		/// The update.
		update: ArtifactHash,
	},
	/// An update of another round, base, configuration or chain.
	#[error("update {update:?} does not belong to this round: {reason}")]
	OtherRound {
		/// The update.
		update: ArtifactHash,
		/// The field that differs.
		reason: EnvelopeError,
	},
	/// An update has other tensors than the base, or than the update before it.
	#[error("update {update:?} has other tensors than it must: {reason}")]
	Shape {
		/// The update.
		update: ArtifactHash,
		/// The first difference.
		reason: ShapeDifference,
	},
	/// The base weights given are not the round's.
	#[error("the base weights given are {found:?}, but the round starts from {expected:?}")]
	OtherBase {
		/// The round's base.
		expected: ArtifactHash,
		/// What was given.
		found: ArtifactHash,
	},
	/// The base weights are not all numbers.
	#[error("the base weights are not finite: element {index} of tensor {tensor:?} is {value}")]
	BaseNotFinite {
		/// The tensor.
		tensor: String,
		/// The element, counted in row-major order from 0.
		index: usize,
		/// What stands there.
		value: f32,
	},
	/// The result is too large for a 32-bit float.
	#[error(
		"the result is beyond what a 32-bit float holds: element {index} of tensor {tensor:?} would be {value}"
	)]
	Overflow {
		/// The first such tensor.
		tensor: String,
		/// Its first such element, counted in row-major order from 0.
		index: usize,
		/// What it rounds to.
		value: f32,
	},
	/// This thread's floating-point unit is in a mode in which it gives other bits than IEEE 754 asks for.
	#[error(
		"this process's floating-point arithmetic is not IEEE 754 ({what}), so its result would differ from \
		 everyone else's; remove what changes the floating-point mode, such as flush-to-zero settings"
	)]
	Arithmetic {
		/// What is wrong with it.
		what: &'static str,
	},
	/// The result has no file form.
	#[error("the result cannot be written: {0}")]
	Format(#[from] FormatError),
}

/// How the tensors of one file differ from what they must be.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum ShapeDifference {
	/// A tensor is not there.
	#[error("tensor {tensor:?} is missing")]
	Missing {
		/// The tensor.
		tensor: String,
	},
	/// A tensor is there that must not be.
	#[error("tensor {tensor:?} is not part of the model")]
	Unknown {
		/// The tensor.
		tensor: String,
	},
	/// A tensor has another shape.
	#[error("tensor {tensor:?} has shape {found:?}, expected {expected:?}")]
	Shape {
		/// The tensor.
		tensor: String,
		/// Its shape.
		found: Vec<usize>,
		/// The shape it must have.
		expected: Vec<usize>,
	},
}

fn rule_name(rule: &AggregationRule) -> String {
	match rule {
		AggregationRule::WeightedMean => "the weighted mean".into(),
		AggregationRule::TrimmedMean { trim } => format!("the trimmed mean with trim {trim}"),
	}
}
