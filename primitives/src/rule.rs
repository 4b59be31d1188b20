//! The aggregation rules and their parameters, as the chain keeps them.
//!
//! Parameters are integers: whole numbers of updates, or millionths where a rule needs a fraction. What each rule
//! computes, its source and its breakdown point are in `cairn-aggregation`.

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use core::fmt;
use scale_info::TypeInfo;
#[cfg(feature = "serde")]
use serde::{Deserialize, Serialize};

/// How many of a fixed-point parameter's units make one.
pub const MILLION: u64 = 1_000_000;
/// The most iterations that an iterative rule may ask for: every one reads all updates of a round once, by every
/// member of its committee.
pub const MAX_ITERATIONS: u32 = 100;

/// How included updates become one pseudo-gradient. Sources and breakdown points are in `cairn-aggregation`.
///
/// Encoded on chain: new rules are appended, and none is ever changed.
#[derive(
	Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub enum AggregationRule {
	/// Mean weighted by each update's number of samples (FedAvg). Not robust: one update moves it anywhere.
	WeightedMean,
	/// Per coordinate, drop the `trim` smallest and `trim` largest values and average the rest with equal weight.
	/// Withstands `trim` hostile updates; needs more than `2 * trim` updates.
	#[cfg_attr(feature = "serde", serde(rename_all = "camelCase"))]
	TrimmedMean {
		/// How many values are dropped on each side.
		trim: u32,
	},
	/// Per coordinate, the median: the middle value, or the mean of the two in the middle. Withstands fewer hostile
	/// updates than half of them.
	CoordinateMedian,
	/// The one update whose nearest `n - hostile - 2` others are nearest, by sums of squared distances. Withstands
	/// `hostile` hostile updates; needs `2 * hostile + 3` updates.
	#[cfg_attr(feature = "serde", serde(rename_all = "camelCase"))]
	Krum {
		/// How many hostile updates it withstands.
		hostile: u32,
	},
	/// The mean of the `selected` updates that Krum would choose first. Withstands `hostile` hostile updates; needs
	/// `2 * hostile + 3` updates, and `hostile + selected`.
	#[cfg_attr(feature = "serde", serde(rename_all = "camelCase"))]
	MultiKrum {
		/// How many hostile updates it withstands.
		hostile: u32,
		/// How many updates are averaged: at least 1.
		selected: u32,
	},
	/// The geometric median by smoothed Weiszfeld steps (RFA). Withstands fewer hostile updates than half of them.
	#[cfg_attr(feature = "serde", serde(rename_all = "camelCase"))]
	GeometricMedian {
		/// Distances below this, in millionths, count as this: at least 1.
		smoothing: u64,
		/// Steps: from 1 to [`MAX_ITERATIONS`].
		iterations: u32,
	},
	/// The last aggregate, moved by the mean of the updates' differences from it, each clipped to a length of
	/// `radius`, several times. Hostile updates move it by at most their share of `2 * radius * iterations`.
	#[cfg_attr(feature = "serde", serde(rename_all = "camelCase"))]
	CenteredClipping {
		/// The length that differences are clipped to, in millionths: at least 1.
		radius: u64,
		/// Steps: from 1 to [`MAX_ITERATIONS`].
		iterations: u32,
	},
}

/// An aggregation rule without its parameters: what a charter allows or does not.
#[derive(
	Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub enum RuleKind {
	/// [`AggregationRule::WeightedMean`].
	WeightedMean,
	/// [`AggregationRule::TrimmedMean`].
	TrimmedMean,
	/// [`AggregationRule::CoordinateMedian`].
	CoordinateMedian,
	/// [`AggregationRule::Krum`].
	Krum,
	/// [`AggregationRule::MultiKrum`].
	MultiKrum,
	/// [`AggregationRule::GeometricMedian`].
	GeometricMedian,
	/// [`AggregationRule::CenteredClipping`].
	CenteredClipping,
}

/// A parameter that no number of updates makes sense of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ParameterOutOfRange {
	/// The parameter's name, as in JSON.
	pub parameter: &'static str,
	/// Its value, in its own unit.
	pub value: u64,
	/// The least it may be.
	pub low: u64,
	/// The most it may be.
	pub high: u64,
}

impl fmt::Display for ParameterOutOfRange {
	fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
		let Self { parameter, value, low, high } = self;
		write!(f, "`{parameter}` is {value}, but must be from {low} to {high}")
	}
}

impl core::error::Error for ParameterOutOfRange {}

impl AggregationRule {
	/// The geometric median as its authors recommend it: 8 steps, smoothing 0.1.
	pub const GEOMETRIC_MEDIAN: Self = Self::GeometricMedian { smoothing: MILLION / 10, iterations: 8 };
	/// Centered clipping as it is recommended with worker momentum: radius 10, 3 steps.
	pub const CENTERED_CLIPPING: Self = Self::CenteredClipping { radius: 10 * MILLION, iterations: 3 };

	/// The rule without its parameters.
	pub const fn kind(&self) -> RuleKind {
		match self {
			Self::WeightedMean => RuleKind::WeightedMean,
			Self::TrimmedMean { .. } => RuleKind::TrimmedMean,
			Self::CoordinateMedian => RuleKind::CoordinateMedian,
			Self::Krum { .. } => RuleKind::Krum,
			Self::MultiKrum { .. } => RuleKind::MultiKrum,
			Self::GeometricMedian { .. } => RuleKind::GeometricMedian,
			Self::CenteredClipping { .. } => RuleKind::CenteredClipping,
		}
	}

	/// The smallest number of updates this rule can aggregate. Saturates, which no round reaches.
	pub const fn min_updates(&self) -> u32 {
		const fn krum(hostile: u32) -> u32 {
			hostile.saturating_mul(2).saturating_add(3)
		}
		match self {
			Self::WeightedMean
			| Self::CoordinateMedian
			| Self::GeometricMedian { .. }
			| Self::CenteredClipping { .. } => 1,
			Self::TrimmedMean { trim } => trim.saturating_mul(2).saturating_add(1),
			Self::Krum { hostile } => krum(*hostile),
			Self::MultiKrum { hostile, selected } => {
				let (needed, chosen) = (krum(*hostile), hostile.saturating_add(*selected));
				if needed > chosen {
					needed
				} else {
					chosen
				}
			},
		}
	}

	/// Checks the parameters that do not depend on how many updates there are; [`Self::min_updates`] has the rest.
	///
	/// # Errors
	/// Names the first parameter that is out of its range.
	pub const fn check_parameters(&self) -> Result<(), ParameterOutOfRange> {
		const fn within(parameter: &'static str, value: u64, high: u64) -> Result<(), ParameterOutOfRange> {
			if value >= 1 && value <= high {
				Ok(())
			} else {
				Err(ParameterOutOfRange { parameter, value, low: 1, high })
			}
		}
		match *self {
			Self::WeightedMean | Self::TrimmedMean { .. } | Self::CoordinateMedian | Self::Krum { .. } => {
				Ok(())
			},
			Self::MultiKrum { selected, .. } => within("selected", selected as u64, u32::MAX as u64),
			Self::GeometricMedian { smoothing, iterations } => {
				match within("smoothing", smoothing, u64::MAX) {
					Ok(()) => within("iterations", iterations as u64, MAX_ITERATIONS as u64),
					refused => refused,
				}
			},
			Self::CenteredClipping { radius, iterations } => match within("radius", radius, u64::MAX) {
				Ok(()) => within("iterations", iterations as u64, MAX_ITERATIONS as u64),
				refused => refused,
			},
		}
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn trimmed_mean_needs_more_than_twice_what_it_trims() {
		assert_eq!(AggregationRule::TrimmedMean { trim: 0 }.min_updates(), 1);
		assert_eq!(AggregationRule::TrimmedMean { trim: 2 }.min_updates(), 5);
		assert_eq!(AggregationRule::TrimmedMean { trim: u32::MAX }.min_updates(), u32::MAX);
	}

	#[test]
	fn krum_needs_three_more_than_twice_the_hostile_and_as_many_honest_as_it_selects() {
		assert_eq!(AggregationRule::Krum { hostile: 0 }.min_updates(), 3);
		assert_eq!(AggregationRule::Krum { hostile: 2 }.min_updates(), 7);
		assert_eq!(AggregationRule::Krum { hostile: u32::MAX }.min_updates(), u32::MAX);
		assert_eq!(AggregationRule::MultiKrum { hostile: 2, selected: 5 }.min_updates(), 7);
		assert_eq!(AggregationRule::MultiKrum { hostile: 2, selected: 6 }.min_updates(), 8);
		assert_eq!(AggregationRule::MultiKrum { hostile: 1, selected: u32::MAX }.min_updates(), u32::MAX);
	}

	#[test]
	fn parameters_are_refused_outside_their_ranges() {
		let refused = |rule: AggregationRule| rule.check_parameters().expect_err("out of range").parameter;
		assert_eq!(refused(AggregationRule::MultiKrum { hostile: 0, selected: 0 }), "selected");
		assert_eq!(refused(AggregationRule::GeometricMedian { smoothing: 0, iterations: 8 }), "smoothing");
		for iterations in [0, MAX_ITERATIONS + 1, u32::MAX] {
			assert_eq!(refused(AggregationRule::GeometricMedian { smoothing: 1, iterations }), "iterations");
			assert_eq!(refused(AggregationRule::CenteredClipping { radius: 1, iterations }), "iterations");
		}
		let rule = AggregationRule::CenteredClipping { radius: 0, iterations: 3 };
		let problem = rule.check_parameters().expect_err("a radius of nothing");
		assert_eq!(alloc::format!("{problem}"), "`radius` is 0, but must be from 1 to 18446744073709551615");
		for rule in [
			AggregationRule::WeightedMean,
			AggregationRule::TrimmedMean { trim: 0 },
			AggregationRule::CoordinateMedian,
			AggregationRule::Krum { hostile: 0 },
			AggregationRule::MultiKrum { hostile: 0, selected: 1 },
			AggregationRule::GEOMETRIC_MEDIAN,
			AggregationRule::CENTERED_CLIPPING,
		] {
			assert_eq!(rule.check_parameters(), Ok(()), "{rule:?}");
		}
	}

	#[test]
	fn encoding_of_a_rule_never_changes() {
		for (rule, bytes) in [
			(AggregationRule::WeightedMean, "00"),
			(AggregationRule::TrimmedMean { trim: 1 }, "0101000000"),
			(AggregationRule::CoordinateMedian, "02"),
			(AggregationRule::Krum { hostile: 2 }, "0302000000"),
			(AggregationRule::MultiKrum { hostile: 2, selected: 3 }, "040200000003000000"),
			(AggregationRule::GEOMETRIC_MEDIAN, "05a08601000000000008000000"),
			(AggregationRule::CENTERED_CLIPPING, "06809698000000000003000000"),
		] {
			assert_eq!(hex::encode(rule.encode()), bytes, "{rule:?}");
			assert_eq!(AggregationRule::decode(&mut &rule.encode()[..]), Ok(rule));
			assert_eq!(rule.kind().encode(), rule.encode()[..1], "{rule:?}");
		}
		assert_eq!(AggregationRule::max_encoded_len(), 13);
	}

	#[cfg(feature = "serde")]
	#[test]
	fn rule_is_written_in_json_as_a_genesis_configuration_has_it() {
		for (rule, text) in [
			(AggregationRule::CoordinateMedian, r#""coordinateMedian""#),
			(
				AggregationRule::MultiKrum { hostile: 1, selected: 2 },
				r#"{"multiKrum":{"hostile":1,"selected":2}}"#,
			),
			(AggregationRule::GEOMETRIC_MEDIAN, r#"{"geometricMedian":{"smoothing":100000,"iterations":8}}"#),
		] {
			assert_eq!(serde_json::to_string(&rule).expect("a rule has a JSON form"), text);
			assert_eq!(serde_json::from_str::<AggregationRule>(text).expect("reads back"), rule);
		}
	}
}
