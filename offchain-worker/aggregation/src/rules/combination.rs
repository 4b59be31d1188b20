//! Sums of rows with weights of their own.

use super::CoordinateRule;
use crate::{arithmetic::vectorised, engine::Part};

/// (*β*·*v* + Σ *wᵢ*·*xᵢ*) / *divisor*, summed from +0 in this order; without the first term where there is no centre.
pub(crate) struct Combination<'a> {
	/// Its weight *β*, and the centre *v*.
	pub(crate) centre: Option<(f64, &'a [&'a [f32]])>,
	/// One per row.
	pub(crate) weights: Vec<f64>,
	/// Not 0.
	pub(crate) divisor: f64,
}

impl CoordinateRule for Combination<'_> {
	fn aggregate(&self, block: Part, columns: &[&[f32]], out: &mut [f64]) {
		let rule = self;
		vectorised!(fill(rule: &Combination<'_>, block: Part, columns: &[&[f32]], out: &mut [f64]));
	}
}

#[inline(always)]
fn fill(rule: &Combination<'_>, block: Part, columns: &[&[f32]], out: &mut [f64]) {
	out.fill(0.0);
	// Row by row rather than coordinate by coordinate: the order per coordinate is the same, and the inner loop is one
	// that the compiler turns into vector instructions without changing any result.
	let centre = rule.centre.map(|(weight, centre)| (block.of(centre), weight));
	let rows = columns.iter().copied().zip(rule.weights.iter().copied());
	for (column, weight) in centre.into_iter().chain(rows) {
		// Its terms are zeros, and a sum that starts at +0 stays what it is when a zero is added.
		if weight == 0.0 {
			continue;
		}
		for (sum, x) in out.iter_mut().zip(column) {
			*sum += weight * f64::from(*x);
		}
	}
	for sum in out {
		*sum /= rule.divisor;
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use crate::{arithmetic::some_rows, engine::BLOCK};

	#[test]
	fn combination_with_this_processors_vectors_has_the_bits_of_the_portable_form() {
		let bits = |values: &[f64]| values.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
		for len in [1, 7, 8, 100, BLOCK] {
			let rows = some_rows(6, len);
			let (centre, columns) =
				([&rows[0][..]], rows[1..].iter().map(|row| &row[..]).collect::<Vec<_>>());
			let weights = vec![1.0, 0.0, 0.7, 1e-3, 5.0];
			let rule = Combination { centre: Some((0.3, &centre[..])), weights, divisor: 3.0 };
			let block = Part { tensor: 0, start: 0, len };
			let [mut portable, mut found] = [vec![f64::NAN; len], vec![f64::NAN; len]];
			fill(&rule, block, &columns, &mut portable);
			rule.aggregate(block, &columns, &mut found);
			assert_eq!(bits(&found), bits(&portable), "{len}");
		}
	}
}
