//! Centered clipping: Karimireddy, He and Jaggi, "Learning from History for Byzantine Robust Optimization", 2021.
//!
//! From the last aggregate *v*, *L* steps of *v* ← *v* + (1/*n*) Σ (*xᵢ* − *v*)·min(1, *τ*/‖*xᵢ* − *v*‖). One step moves
//! the point by at most *τ*, and *f* of the *n* rows account for at most *τ*·*f*/*n* of that. As a step is the mean of
//! maps that never increase the distance between two points, exchanging *f* rows for any others moves the result by at
//! most 2·*τ*·*L*·*f*/*n*. The authors show convergence for *f* ≤ *n*/10; any share below a half only slows it.
//!
//! Because it starts from the last aggregate, it needs honest rounds before it: an attacker that stays below *τ* round
//! after round is not stopped, which is why workers should send momentum.

use super::Combination;
use crate::{rows::Rows, sums::distances_from, AggregationError};

/// The point that so many steps lead to from `centre`; without one, from zero.
///
/// After every step the point is a combination *β*·*v* + Σ *αᵢ*·*xᵢ* of where it started and of the rows, and only these
/// numbers are kept of it.
pub(super) fn combination<'a>(
	rows: &Rows,
	centre: Option<&'a [&'a [f32]]>,
	radius: f64,
	iterations: u32,
	threads: usize,
) -> Result<Combination<'a>, AggregationError> {
	let n = rows.count() as f64;
	let mut point = Combination {
		centre: centre.map(|centre| (1.0, centre)),
		weights: vec![0.0; rows.count()],
		divisor: 1.0,
	};
	for _ in 0..iterations {
		let squares = distances_from(rows, &point, threads)?;
		let mut total = 0.0f64;
		let factors: Vec<f64> = squares
			.into_iter()
			.map(|square| {
				let distance = square.sqrt();
				let factor = if distance > radius { radius / distance } else { 1.0 };
				total += factor;
				factor
			})
			.collect();
		// What is left of where the point was.
		let rest = 1.0 - total / n;
		if let Some((weight, _)) = &mut point.centre {
			*weight *= rest;
		}
		for (weight, factor) in point.weights.iter_mut().zip(factors) {
			*weight = *weight * rest + factor / n;
		}
	}
	Ok(point)
}
