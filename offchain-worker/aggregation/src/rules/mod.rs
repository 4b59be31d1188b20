//! The aggregation rules, one file each.
//!
//! A rule is, in the end, something that treats every coordinate by itself: a [`CoordinateRule`]. Those that look at
//! whole rows first (distances, norms) do so while they are prepared, and are then a [`Combination`] of the rows with
//! the weights that they found. So no rule ever holds a point of its own: where one is needed, it is made again from
//! its weights, block by block.

mod centered_clipping;
mod combination;
mod geometric_median;
mod krum;
mod network;
mod trimmed_mean;
mod weighted_mean;

pub(crate) use combination::Combination;

use crate::{distances::Distances, engine::Part, error::Bucketed, rows::Rows, AggregationError};
use cairn_primitives::{rule::MILLION, AggregationRule};
use trimmed_mean::TrimmedMean;

/// A rule that treats every coordinate by itself.
pub(crate) trait CoordinateRule: Sync {
	/// Aggregates a block: `columns[i][c]` is row `i`'s value at the `c`-th of its coordinates. What stands in `out` at
	/// `c` must depend on nothing but these values, in the order of `i`, and on what else the rule knows of this
	/// coordinate.
	fn aggregate(&self, block: Part, columns: &[&[f32]], out: &mut [f64]);
}

/// What a rule is prepared with, beside the rows.
pub(crate) struct Given<'a> {
	/// The rows' numbers of samples.
	pub(crate) samples: &'a [u64],
	/// What the rows were before they were averaged in buckets, if they were.
	pub(crate) bucketed: Option<Bucketed>,
	/// The last aggregate; `None` where there is none, which counts as zeros.
	pub(crate) centre: Option<&'a [&'a [f32]]>,
	/// On how many threads to prepare.
	pub(crate) threads: usize,
}

/// A parameter in millionths as a number: one division, correctly rounded.
pub(crate) fn from_millionths(millionths: u64) -> f64 {
	millionths as f64 / MILLION as f64
}

/// The rule for these rows.
pub(crate) fn prepare<'a>(
	rule: AggregationRule,
	rows: &Rows,
	given: &Given<'a>,
) -> Result<Box<dyn CoordinateRule + 'a>, AggregationError> {
	rule.check_parameters().map_err(|reason| AggregationError::Parameter { rule, reason })?;
	let found = rows.count();
	let needed = least(rule);
	if (found as u64) < needed {
		return Err(AggregationError::TooFew { rule, needed, found, bucketed: given.bucketed });
	}
	let threads = given.threads;
	Ok(match rule {
		AggregationRule::WeightedMean => Box::new(
			weighted_mean::combination(given.samples)
				.ok_or(AggregationError::NoSamples { updates: found })?,
		),
		// Below `found`, hence a usize.
		AggregationRule::TrimmedMean { trim } => Box::new(TrimmedMean::new(found, trim as usize)),
		AggregationRule::CoordinateMedian => Box::new(TrimmedMean::median(found)),
		AggregationRule::Krum { hostile } => {
			Box::new(krum::combination(Distances::of(rows, threads)?, hostile as usize, 1)?)
		},
		AggregationRule::MultiKrum { hostile, selected } => {
			Box::new(krum::combination(Distances::of(rows, threads)?, hostile as usize, selected as usize)?)
		},
		AggregationRule::GeometricMedian { smoothing, iterations } => {
			Box::new(geometric_median::combination(rows, from_millionths(smoothing), iterations, threads)?)
		},
		AggregationRule::CenteredClipping { radius, iterations } => Box::new(centered_clipping::combination(
			rows,
			given.centre,
			from_millionths(radius),
			iterations,
			threads,
		)?),
	})
}

/// [`AggregationRule::min_updates`] without saturation, so that errors name the true number.
fn least(rule: AggregationRule) -> u64 {
	match rule {
		AggregationRule::TrimmedMean { trim } => u64::from(trim) * 2 + 1,
		AggregationRule::Krum { hostile } => u64::from(hostile) * 2 + 3,
		AggregationRule::MultiKrum { hostile, selected } => {
			(u64::from(hostile) * 2 + 3).max(u64::from(hostile) + u64::from(selected))
		},
		other => other.min_updates().into(),
	}
}
