//! The aggregation rules, one file each.
//!
//! A rule that treats every coordinate by itself implements [`CoordinateRule`] and leaves the walk over the
//! coordinates to [`crate::engine`]. A rule that looks at whole updates first (distances, norms) has to compute
//! those in a fixed order of its own, and can then be a [`WeightedMean`] with the weights it found.

mod trimmed_mean;
mod weighted_mean;

pub(crate) use trimmed_mean::TrimmedMean;
pub(crate) use weighted_mean::WeightedMean;

use crate::AggregationError;
use cairn_primitives::AggregationRule;

/// A rule that treats every coordinate by itself.
pub(crate) trait CoordinateRule: Sync {
	/// Aggregates some coordinates: `columns[i][c]` is update `i`'s value at the `c`-th of them. What stands in `out`
	/// at `c` must depend on nothing but these values, in the order of `i`.
	fn aggregate(&self, columns: &[&[f32]], out: &mut [f64]);
}

/// The rule for these updates, given by their numbers of samples in canonical order.
pub(crate) fn prepare(
	rule: AggregationRule,
	samples: &[u32],
) -> Result<Box<dyn CoordinateRule>, AggregationError> {
	let found = samples.len();
	if found == 0 {
		return Err(AggregationError::NoUpdates);
	}
	match rule {
		AggregationRule::WeightedMean => {
			Ok(Box::new(WeightedMean::new(samples).ok_or(AggregationError::NoSamples { updates: found })?))
		},
		AggregationRule::TrimmedMean { trim } => {
			let needed = u64::from(trim) * 2 + 1;
			if (found as u64) < needed {
				return Err(AggregationError::TooFew { rule, needed, found });
			}
			// Below `found`, hence a usize.
			Ok(Box::new(TrimmedMean { trim: trim as usize }))
		},
	}
}
