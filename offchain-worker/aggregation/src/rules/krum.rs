//! Krum and Multi-Krum: Blanchard and others, "Machine Learning with Adversaries: Byzantine Tolerant Gradient Descent",
//! 2017.
//!
//! With *f* the number of hostile rows, it needs *n* ≥ 2*f* + 3. Whatever these *f* contain, every row that is selected
//! lies within *D*·√((*n* − *f* − 2) / (*n* − 2*f* − 1)) of an honest one, where *D* is the greatest distance between
//! two honest rows: as long as at most *n* − *f* rows are selected, none of them has a greater score than some honest
//! row, whose score is at most (*n* − *f* − 2)·*D*²; and among the *n* − *f* − 2 neighbours that a hostile row is scored
//! by, at least *n* − 2*f* − 1 are honest.

use super::Combination;
use crate::sums::Distances;

/// The mean of the `selected` rows with the least scores. There are at least 2 · `hostile` + 3 rows, and at least
/// `hostile` + `selected`.
pub(super) fn combination(distances: &Distances, hostile: usize, selected: usize) -> Combination<'static> {
	let mut weights = vec![0.0; distances.rows()];
	for row in select(&scores(distances, hostile), selected) {
		weights[row] = 1.0;
	}
	Combination { centre: None, weights, divisor: selected as f64 }
}

/// Per row, the sum of the squared distances to its nearest n − `hostile` − 2 others, in ascending order.
fn scores(distances: &Distances, hostile: usize) -> Vec<f64> {
	let n = distances.rows();
	let score = |i: usize| {
		let mut others: Vec<f64> = (0..n).filter(|j| *j != i).map(|j| distances.between(i, j)).collect();
		others.sort_unstable_by(f64::total_cmp);
		let mut sum = 0.0f64;
		for square in &others[..n - hostile - 2] {
			sum += square;
		}
		sum
	};
	(0..n).map(score).collect()
}

/// The rows with the least scores; of equal scores, the row that comes first.
fn select(scores: &[f64], selected: usize) -> Vec<usize> {
	let mut rows: Vec<usize> = (0..scores.len()).collect();
	// A stable sort, which leaves equal ones in their order.
	rows.sort_by(|a, b| scores[*a].total_cmp(&scores[*b]));
	rows.truncate(selected);
	rows
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn least_scores_are_selected_and_the_first_of_equal_ones() {
		assert_eq!(select(&[3.0, 1.0, 2.0, 1.0], 1), [1]);
		assert_eq!(select(&[3.0, 1.0, 2.0, 1.0], 2), [1, 3]);
		assert_eq!(select(&[0.0; 5], 3), [0, 1, 2]);
	}
}
