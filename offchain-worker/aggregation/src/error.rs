//! Why there is no aggregate.

use cairn_artifacts::{ArtifactHash, FormatError};
use cairn_primitives::{envelope::EnvelopeError, rule::ParameterOutOfRange, AggregationRule};
use std::fmt;
use thiserror::Error;

impl From<ParameterOutOfRange> for AggregationError {
	fn from(ParameterOutOfRange { parameter: setting, value, low, high }: ParameterOutOfRange) -> Self {
		Self::Setting { setting, value, low, high }
	}
}

/// Why updates could not be aggregated. The same inputs give the same error on every host and thread count.
#[derive(Clone, PartialEq, Debug, Error)]
pub enum AggregationError {
	/// Nothing to aggregate.
	#[error("there are no updates to aggregate: give at least one")]
	NoUpdates,
	/// A parameter of the rule that no number of updates makes sense of.
	#[error("{} cannot be: {reason}", rule_name(.rule))]
	Parameter {
		/// The rule.
		rule: AggregationRule,
		/// The parameter.
		reason: ParameterOutOfRange,
	},
	/// A setting of what surrounds the rule that cannot be.
	#[error("`{setting}` is {value}, but must be from {low} to {high}")]
	Setting {
		/// The setting.
		setting: &'static str,
		/// Its value, in its own unit.
		value: u64,
		/// The least it may be.
		low: u64,
		/// The most it may be.
		high: u64,
	},
	/// Buckets without an order.
	#[error(
		"updates are to be averaged {size} at a time, in an order that the chain draws when it settles which are \
		 included, but the round has no such seed; read the round again once it aggregates"
	)]
	NoSeed {
		/// Updates per bucket.
		size: u32,
	},
	/// Fewer updates than the rule can work with.
	#[error(
		"{} needs at least {needed} updates, but there are {found}{}; {}",
		rule_name(.rule), of_buckets(.bucketed), remedy(.rule, *.found, .bucketed)
	)]
	TooFew {
		/// The rule.
		rule: AggregationRule,
		/// The least it needs.
		needed: u64,
		/// How many there are: updates, or buckets of them.
		found: usize,
		/// What buckets these are, if they are.
		bucketed: Option<Bucketed>,
	},
	/// Fewer updates than mixing can work with.
	#[error(
		"mixing against {hostile} hostile updates needs at least {needed} updates, but there are {found}{}; set \
		 `mixing.hostile` to at most {}{}",
		of_buckets(.bucketed), found.saturating_sub(1) / 2, or_smaller_buckets(.bucketed)
	)]
	TooFewToMix {
		/// How many hostile ones it is to withstand.
		hostile: u32,
		/// The least it needs.
		needed: u64,
		/// How many there are: updates, or buckets of them.
		found: usize,
		/// What buckets these are, if they are.
		bucketed: Option<Bucketed>,
	},
	/// All updates declare that they were trained on nothing, which leaves no weights to average with.
	#[error(
		"all {updates} updates declare 0 samples, so a mean weighted by samples does not exist: leave them out, or choose \
		 a rule that does not weigh by samples"
	)]
	NoSamples {
		/// How many updates there are.
		updates: usize,
	},
	/// One update is there twice.
	#[error("update {update:?} is there twice: give each update once")]
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
	#[error(
		"the base weights are not finite: element {index} of tensor {tensor:?} is {value}; no round can start from them, \
		 and no rule makes such weights: a programme whose first weights they are has to be opened with others"
	)]
	BaseNotFinite {
		/// The tensor.
		tensor: String,
		/// The element, counted in row-major order from 0.
		index: usize,
		/// What stands there.
		value: f32,
	},
	/// The base weights' envelope does not read.
	#[error("the base weights do not say which state they come with: {0}")]
	BaseEnvelope(EnvelopeError),
	/// The state that the base weights name was not given.
	#[error("the base weights come with the state {expected:?}, which this round's rule or optimiser needs; fetch it")]
	MissingState {
		/// The state.
		expected: ArtifactHash,
	},
	/// Another state than the base weights name.
	#[error("the state given is {found:?}, but the base weights come with {}", or_none(.expected))]
	OtherState {
		/// The state that they name; `None` when none.
		expected: Option<ArtifactHash>,
		/// What was given.
		found: ArtifactHash,
	},
	/// A state that is none, although the base weights name it.
	#[error("the state {state:?} cannot be used: {reason}")]
	State {
		/// The state.
		state: ArtifactHash,
		/// What is wrong with its envelope.
		reason: EnvelopeError,
	},
	/// The centre or a part of the state has other tensors than the model.
	#[error("the {part} that the round starts from has other tensors than it must: {reason}")]
	StateShape {
		/// Which part.
		part: &'static str,
		/// The first difference.
		reason: ShapeDifference,
	},
	/// The centre or a part of the state contains NaN or an infinity.
	#[error(
		"the {part} that the round starts from is not finite: element {index} of tensor {tensor:?} is {value}; no settled \
		 round leaves such a state: compute it again from the round before"
	)]
	StateNotFinite {
		/// Which part.
		part: &'static str,
		/// The tensor.
		tensor: String,
		/// The element, counted in row-major order from 0.
		index: usize,
		/// What stands there.
		value: f32,
	},
	/// The result is too large for a 32-bit float.
	#[error(
		"the result is beyond what a 32-bit float holds: element {index} of tensor {tensor:?} would be {value}; a robust \
		 rule keeps out single huge updates, and a lower rate or momentum of the optimiser makes steps shorter"
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

/// What buckets a rule was to aggregate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bucketed {
	/// How many updates they were made of.
	pub updates: usize,
	/// How many went into one.
	pub size: u32,
}

fn rule_name(rule: &AggregationRule) -> String {
	match rule {
		AggregationRule::WeightedMean => "the weighted mean".into(),
		AggregationRule::TrimmedMean { trim } => format!("the trimmed mean with trim {trim}"),
		AggregationRule::CoordinateMedian => "the coordinate-wise median".into(),
		AggregationRule::Krum { hostile } => format!("Krum against {hostile} hostile updates"),
		AggregationRule::MultiKrum { hostile, selected } => {
			format!("Multi-Krum against {hostile} hostile updates that selects {selected}")
		},
		AggregationRule::GeometricMedian { smoothing, iterations } => {
			format!("the geometric median with smoothing {} in {iterations} steps", Millionths(*smoothing))
		},
		AggregationRule::CenteredClipping { radius, iterations } => {
			format!("centered clipping with radius {} in {iterations} steps", Millionths(*radius))
		},
	}
}

/// A number of millionths, written as a decimal fraction.
struct Millionths(u64);

impl fmt::Display for Millionths {
	fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
		let (whole, part) = (self.0 / 1_000_000, self.0 % 1_000_000);
		if part == 0 {
			return write!(f, "{whole}");
		}
		let digits = format!("{part:06}");
		write!(f, "{whole}.{}", digits.trim_end_matches('0'))
	}
}

fn of_buckets(bucketed: &Option<Bucketed>) -> String {
	bucketed.map_or_else(String::new, |Bucketed { updates, size }| {
		format!(" buckets, made of {updates} updates, {size} in each")
	})
}

fn or_smaller_buckets(bucketed: &Option<Bucketed>) -> &'static str {
	bucketed.map_or("", |_| ", or make smaller buckets")
}

/// What can be done when there are too few.
fn remedy(rule: &AggregationRule, found: usize, bucketed: &Option<Bucketed>) -> String {
	let more = || "wait for more updates, or choose a rule that needs fewer".to_string();
	let advice = match *rule {
		AggregationRule::TrimmedMean { .. } if found > 0 => format!("trim at most {}", (found - 1) / 2),
		AggregationRule::Krum { .. } if found >= 3 => {
			format!("let it withstand at most {} hostile updates", (found - 3) / 2)
		},
		AggregationRule::MultiKrum { hostile, .. } if found >= 3 => {
			let hostile = (hostile as usize).min((found - 3) / 2);
			format!(
				"let it withstand at most {hostile} hostile updates and select at most {}",
				found - hostile
			)
		},
		_ => more(),
	};
	advice + or_smaller_buckets(bucketed)
}

fn or_none(state: &Option<ArtifactHash>) -> String {
	state.map_or_else(|| "none".into(), |state| format!("{state:?}"))
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn too_few_updates_are_answered_with_the_numbers_and_what_to_do() {
		let text = |rule, needed, found, bucketed| {
			AggregationError::TooFew { rule, needed, found, bucketed }.to_string()
		};
		let buckets = Some(Bucketed { updates: 8, size: 2 });
		assert_eq!(
			text(AggregationRule::Krum { hostile: 2 }, 7, 4, buckets),
			"Krum against 2 hostile updates needs at least 7 updates, but there are 4 buckets, made of 8 updates, 2 \
			 in each; let it withstand at most 0 hostile updates, or make smaller buckets"
		);
		assert_eq!(
			text(AggregationRule::MultiKrum { hostile: 2, selected: 9 }, 11, 8, None),
			"Multi-Krum against 2 hostile updates that selects 9 needs at least 11 updates, but there are 8; let it \
			 withstand at most 2 hostile updates and select at most 6"
		);
		assert_eq!(
			text(AggregationRule::Krum { hostile: 0 }, 3, 2, None),
			"Krum against 0 hostile updates needs at least 3 updates, but there are 2; wait for more updates, or \
			 choose a rule that needs fewer"
		);
	}

	#[test]
	fn millionths_are_written_as_decimal_fractions() {
		for (n, text) in [(0, "0"), (1, "0.000001"), (100_000, "0.1"), (10_000_000, "10"), (2_500_000, "2.5")]
		{
			assert_eq!(Millionths(n).to_string(), text);
		}
	}
}
