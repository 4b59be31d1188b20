//! Krum and Multi-Krum: Blanchard and others, "Machine Learning with Adversaries: Byzantine Tolerant Gradient Descent",
//! 2017.
//!
//! With *f* the number of hostile rows, it needs *n* ≥ 2*f* + 3. Whatever these *f* contain, every row that is selected
//! lies within *D*·√((*n* − *f* − 2) / (*n* − 2*f* − 1)) of an honest one, where *D* is the greatest distance between
//! two honest rows: as long as at most *n* − *f* rows are selected, none of them has a greater score than some honest
//! row, whose score is at most (*n* − *f* − 2)·*D*²; and among the *n* − *f* − 2 neighbours that a hostile row is scored
//! by, at least *n* − 2*f* − 1 are honest.

use super::Combination;
use crate::{
	distances::{least, Bounds, Distances},
	AggregationError,
};

/// The mean of the `selected` rows with the least scores. There are at least 2 · `hostile` + 3 rows, and at least
/// `hostile` + `selected`.
pub(super) fn combination(
	mut distances: Distances,
	hostile: usize,
	selected: usize,
) -> Result<Combination<'static>, AggregationError> {
	let n = distances.rows();
	let neighbours = n - hostile - 2;
	let (mut chosen, open) = least(&scores(&distances, neighbours), selected);
	if !open.is_empty() {
		// All that the scores of these rows can be made of.
		let mut pairs = Vec::new();
		for i in open {
			let others = || (0..n).filter(move |j| *j != i).map(|j| (j, distances.between(i, j)));
			let mut highs: Vec<f64> = others().map(|(_, (_, high))| high).collect();
			highs.sort_unstable_by(f64::total_cmp);
			let farthest = highs[neighbours - 1];
			pairs.extend(others().filter(|(_, (low, _))| *low <= farthest).map(|(j, _)| (i, j)));
		}
		distances.measure(pairs.into_iter())?;
		(chosen, _) = least(&scores(&distances, neighbours), selected);
	}
	let mut weights = vec![0.0; n];
	for row in chosen {
		weights[row] = 1.0;
	}
	Ok(Combination { centre: None, weights, divisor: selected as f64 })
}

/// Per row, the sum of the squared distances to its nearest others, so many of them, in ascending order.
///
/// A sum of greater numbers in ascending order, so rounded, is never less: bounds on distances give bounds on scores.
fn scores(distances: &Distances, neighbours: usize) -> Vec<Bounds> {
	let n = distances.rows();
	let score = |i: usize, of: fn(Bounds) -> f64| {
		let mut others: Vec<f64> = (0..n).filter(|j| *j != i).map(|j| of(distances.between(i, j))).collect();
		others.sort_unstable_by(f64::total_cmp);
		let mut sum = 0.0f64;
		for square in &others[..neighbours] {
			sum += square;
		}
		sum
	};
	(0..n).map(|i| (score(i, |(low, _)| low), score(i, |(_, high)| high))).collect()
}
