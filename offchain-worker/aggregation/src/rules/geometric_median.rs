//! The geometric median by smoothed Weiszfeld steps: Pillutla, Kakade and Harchaoui, "Robust Aggregation for Federated
//! Learning", 2022 (RFA). All rows count alike, because a hostile worker could invent samples.
//!
//! Breakdown point 1/2. The steps start at zero, no change to the model, where the paper leaves the start open: a start
//! at the mean would let one huge row set it so far away that few steps do not come back. A step never increases
//! Σ *g*(‖*z* − *xᵢ*‖), where *g*(*r*) is *r* from *ν* on and *r*²/2*ν* + *ν*/2 below; *r* ≤ *g*(*r*) ≤ *r* + *ν*/2.
//! Comparing the result *z* with the start, with *f* < *n*/2 hostile rows of any contents,
//!
//! > ‖*z*‖ ≤ (2 Σ ‖*x*‖ over the honest rows + *n* *ν*/2) / (*n* − 2*f*),
//!
//! after any number of steps.

use super::Combination;
use crate::{rows::Rows, sums::distances_from, AggregationError};

/// The point that so many steps lead to; at least one.
pub(super) fn combination(
	rows: &Rows,
	smoothing: f64,
	iterations: u32,
	threads: usize,
) -> Result<Combination<'static>, AggregationError> {
	let mut point = Combination { centre: None, weights: vec![0.0; rows.count()], divisor: 1.0 };
	for _ in 0..iterations {
		let squares = distances_from(rows, &point, threads)?;
		let mut total = 0.0f64;
		for (weight, square) in point.weights.iter_mut().zip(squares) {
			let distance = square.sqrt();
			// A comparison rather than a function for the greater one, whose treatment of zeros and NaN would have to be
			// looked up.
			*weight = 1.0 / if distance > smoothing { distance } else { smoothing };
			total += *weight;
		}
		point.divisor = total;
	}
	Ok(point)
}
