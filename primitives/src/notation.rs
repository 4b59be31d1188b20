//! How people write an aggregation on a command line: `krum:1`, `centered-clipping:10:3`, `nesterov:0.7:0.9`.
//!
//! A name, then its parameters behind colons, in the order in which the types declare them. Fractions are written as
//! decimals with at most six digits behind the point (Adam's epsilon: twelve); parameters that have a recommended
//! value may be left out together. What is printed reads back as the same value.

use crate::{
	aggregation::{Aggregation, EffectiveSteps, Mixing, Normalisation, ServerOptimiser},
	AggregationRule,
};
use alloc::{
	format,
	string::{String, ToString},
	vec::Vec,
};
use core::{fmt, str::FromStr};

/// Digits behind the point of millionths, and of trillionths.
const SIX: u32 = 6;
const TWELVE: u32 = 12;

/// A text that names nothing that there is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NotationError(String);

impl fmt::Display for NotationError {
	fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
		f.write_str(&self.0)
	}
}

impl core::error::Error for NotationError {}

const RULES: &str = "weighted-mean, median, trimmed-mean:TRIM, krum:HOSTILE, multi-krum:HOSTILE:SELECTED, \
	geometric-median (or geometric-median:SMOOTHING:ITERATIONS), centered-clipping (or \
	centered-clipping:RADIUS:ITERATIONS)";
const OPTIMISERS: &str = "sgd (or sgd:RATE), nesterov:RATE:MOMENTUM, adam:RATE:BETA1:BETA2:EPSILON";
const NORMALISATIONS: &str = "mean:CAP or median:CAP";

fn refused(text: &str, known: &str) -> NotationError {
	NotationError(format!("`{text}` is none of: {known}"))
}

fn whole(text: &str) -> Result<u32, NotationError> {
	text.parse().map_err(|_| NotationError(format!("`{text}` is not a whole number below 2^32")))
}

/// A decimal in units of 10^-`digits`, without rounding.
fn decimal(text: &str, digits: u32) -> Result<u64, NotationError> {
	let bad =
		|| NotationError(format!("`{text}` is not a decimal with at most {digits} digits behind the point"));
	let (units, fraction) = text.split_once('.').unwrap_or((text, ""));
	let number = |text: &str| match text {
		"" => Some(0),
		_ if text.bytes().all(|b| b.is_ascii_digit()) => text.parse::<u64>().ok(),
		_ => None,
	};
	if (units.is_empty() && fraction.is_empty()) || fraction.len() > digits as usize {
		return Err(bad());
	}
	let (units, fraction_value) = number(units).zip(number(fraction)).ok_or_else(bad)?;
	let missing = digits - fraction.len() as u32;
	units
		.checked_mul(10u64.pow(digits))
		.and_then(|n| n.checked_add(fraction_value.checked_mul(10u64.pow(missing))?))
		.ok_or_else(bad)
}

fn millionths(text: &str) -> Result<u32, NotationError> {
	u32::try_from(decimal(text, SIX)?).map_err(|_| NotationError(format!("`{text}` is too large")))
}

/// A number of 10^-`digits` as a decimal, without superfluous zeros.
fn written(value: u64, digits: u32) -> String {
	let one = 10u64.pow(digits);
	let fraction = format!("{:0width$}", value % one, width = digits as usize);
	let (units, fraction) = (value / one, fraction.trim_end_matches('0'));
	if fraction.is_empty() {
		units.to_string()
	} else {
		format!("{units}.{fraction}")
	}
}

impl FromStr for AggregationRule {
	type Err = NotationError;

	fn from_str(text: &str) -> Result<Self, Self::Err> {
		let parts: Vec<_> = text.split(':').collect();
		Ok(match parts[..] {
			["weighted-mean"] => Self::WeightedMean,
			["median"] => Self::CoordinateMedian,
			["trimmed-mean", trim] => Self::TrimmedMean { trim: whole(trim)? },
			["krum", hostile] => Self::Krum { hostile: whole(hostile)? },
			["multi-krum", hostile, selected] => {
				Self::MultiKrum { hostile: whole(hostile)?, selected: whole(selected)? }
			},
			["geometric-median"] => Self::GEOMETRIC_MEDIAN,
			["geometric-median", smoothing, iterations] => {
				Self::GeometricMedian { smoothing: decimal(smoothing, SIX)?, iterations: whole(iterations)? }
			},
			["centered-clipping"] => Self::CENTERED_CLIPPING,
			["centered-clipping", radius, iterations] => {
				Self::CenteredClipping { radius: decimal(radius, SIX)?, iterations: whole(iterations)? }
			},
			_ => return Err(refused(text, RULES)),
		})
	}
}

impl fmt::Display for AggregationRule {
	fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
		match self {
			Self::WeightedMean => write!(f, "weighted-mean"),
			Self::CoordinateMedian => write!(f, "median"),
			Self::TrimmedMean { trim } => write!(f, "trimmed-mean:{trim}"),
			Self::Krum { hostile } => write!(f, "krum:{hostile}"),
			Self::MultiKrum { hostile, selected } => write!(f, "multi-krum:{hostile}:{selected}"),
			Self::GeometricMedian { smoothing, iterations } => {
				write!(f, "geometric-median:{}:{iterations}", written(*smoothing, SIX))
			},
			Self::CenteredClipping { radius, iterations } => {
				write!(f, "centered-clipping:{}:{iterations}", written(*radius, SIX))
			},
		}
	}
}

impl FromStr for ServerOptimiser {
	type Err = NotationError;

	fn from_str(text: &str) -> Result<Self, Self::Err> {
		let parts: Vec<_> = text.split(':').collect();
		Ok(match parts[..] {
			["sgd"] => Self::PLAIN,
			["sgd", rate] => Self::Sgd { rate: millionths(rate)? },
			["nesterov", rate, momentum] => {
				Self::Nesterov { rate: millionths(rate)?, momentum: millionths(momentum)? }
			},
			["adam", rate, beta1, beta2, epsilon] => Self::Adam {
				rate: millionths(rate)?,
				beta1: millionths(beta1)?,
				beta2: millionths(beta2)?,
				epsilon: decimal(epsilon, TWELVE)?,
			},
			_ => return Err(refused(text, OPTIMISERS)),
		})
	}
}

impl fmt::Display for ServerOptimiser {
	fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
		let six = |value: &u32| written((*value).into(), SIX);
		match self {
			Self::Sgd { rate } => write!(f, "sgd:{}", six(rate)),
			Self::Nesterov { rate, momentum } => write!(f, "nesterov:{}:{}", six(rate), six(momentum)),
			Self::Adam { rate, beta1, beta2, epsilon } => {
				write!(f, "adam:{}:{}:{}:{}", six(rate), six(beta1), six(beta2), written(*epsilon, TWELVE))
			},
		}
	}
}

impl FromStr for Normalisation {
	type Err = NotationError;

	fn from_str(text: &str) -> Result<Self, Self::Err> {
		let (effective, cap) = match text.split_once(':') {
			Some(("mean", cap)) => (EffectiveSteps::Mean, cap),
			Some(("median", cap)) => (EffectiveSteps::Median, cap),
			_ => return Err(refused(text, NORMALISATIONS)),
		};
		Ok(Self { effective, cap: millionths(cap)? })
	}
}

impl fmt::Display for Normalisation {
	fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
		let effective = match self.effective {
			EffectiveSteps::Mean => "mean",
			EffectiveSteps::Median => "median",
		};
		write!(f, "{effective}:{}", written(self.cap.into(), SIX))
	}
}

impl fmt::Display for Aggregation {
	/// For people: everything that is not left as it is by default.
	fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
		write!(f, "{}", self.rule)?;
		if let Some(normalisation) = self.normalisation {
			write!(f, ", normalisation {normalisation}")?;
		}
		if let Some(size) = self.bucketing {
			write!(f, ", bucketing {size}")?;
		}
		if let Some(Mixing { hostile }) = self.mixing {
			write!(f, ", mixing {hostile}")?;
		}
		if self.optimiser != ServerOptimiser::PLAIN {
			write!(f, ", optimiser {}", self.optimiser)?;
		}
		Ok(())
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use crate::rule::MILLION;

	#[test]
	fn rules_read_back_as_they_are_written() {
		for (rule, text) in [
			(AggregationRule::WeightedMean, "weighted-mean"),
			(AggregationRule::CoordinateMedian, "median"),
			(AggregationRule::TrimmedMean { trim: 2 }, "trimmed-mean:2"),
			(AggregationRule::Krum { hostile: 1 }, "krum:1"),
			(AggregationRule::MultiKrum { hostile: 1, selected: 4 }, "multi-krum:1:4"),
			(AggregationRule::GEOMETRIC_MEDIAN, "geometric-median:0.1:8"),
			(
				AggregationRule::CenteredClipping { radius: 10 * MILLION + 1, iterations: 3 },
				"centered-clipping:10.000001:3",
			),
		] {
			assert_eq!(rule.to_string(), text);
			assert_eq!(text.parse(), Ok(rule));
		}
		assert_eq!("geometric-median".parse(), Ok(AggregationRule::GEOMETRIC_MEDIAN));
		assert_eq!("centered-clipping".parse(), Ok(AggregationRule::CENTERED_CLIPPING));
	}

	#[test]
	fn optimisers_and_normalisations_read_back_as_they_are_written() {
		let adam = ServerOptimiser::Adam { rate: 10_000, beta1: 900_000, beta2: 999_000, epsilon: 10_000 };
		for (optimiser, text) in [
			(ServerOptimiser::PLAIN, "sgd:1"),
			(ServerOptimiser::DILOCO, "nesterov:0.7:0.9"),
			(adam, "adam:0.01:0.9:0.999:0.00000001"),
		] {
			assert_eq!(optimiser.to_string(), text);
			assert_eq!(text.parse(), Ok(optimiser));
		}
		let median = Normalisation { effective: EffectiveSteps::Median, cap: 4_500_000 };
		assert_eq!(median.to_string(), "median:4.5");
		assert_eq!("median:4.5".parse(), Ok(median));
	}

	#[test]
	fn nonsense_is_refused_with_what_there_is() {
		let rule = |text: &str| text.parse::<AggregationRule>().expect_err("nonsense").to_string();
		for text in ["", "mean", "krum", "krum:1:2", "Krum:1"] {
			assert!(rule(text).contains("trimmed-mean:TRIM"), "{text}");
		}
		assert_eq!(rule("krum:-1"), "`-1` is not a whole number below 2^32");
		assert_eq!(
			rule("centered-clipping:0.0000001:3"),
			"`0.0000001` is not a decimal with at most 6 digits behind the point"
		);
		for text in ["centered-clipping:.:3", "centered-clipping:1e3:3", "centered-clipping:99999999999999:3"]
		{
			assert!(rule(text).contains("not a decimal"), "{text}");
		}
		assert!("sgd:5000"
			.parse::<ServerOptimiser>()
			.expect_err("too large")
			.to_string()
			.contains("too large"));
		assert!("mode:1".parse::<Normalisation>().expect_err("no such").to_string().contains("median:CAP"));
	}

	#[test]
	fn aggregation_is_described_by_what_is_not_default() {
		let mut aggregation = Aggregation::from(AggregationRule::CENTERED_CLIPPING);
		assert_eq!(aggregation.to_string(), "centered-clipping:10:3");
		aggregation.bucketing = Some(2);
		aggregation.optimiser = ServerOptimiser::DILOCO;
		assert_eq!(
			aggregation.to_string(),
			"centered-clipping:10:3, bucketing 2, optimiser nesterov:0.7:0.9"
		);
	}
}
