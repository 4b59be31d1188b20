//! How much of an update points where the aggregate points.

use crate::{
	check::{same_shapes, slices},
	engine::{in_order, Parts},
	sums::Lanes,
	AggregationError, CheckedUpdate,
};
use cairn_artifacts::Tensor;
use std::ops::Deref;

/// The quality of each update, in the order given, 0 to 100: the cosine of the angle between the update and the
/// aggregate in per cent, rounded to nearest, and 0 when the two point away from each other or either is zero.
///
/// `aggregate` is what [`crate::aggregate`] makes of these updates. Work is shared by up to `threads` threads (0 counts
/// as 1); their number changes nothing but the time. The README has the arithmetic.
///
/// # Errors
/// When an update has other tensors than the aggregate, or this process's arithmetic is not the standard's.
pub fn quality(
	updates: &[CheckedUpdate],
	aggregate: &[Tensor<impl Deref<Target = [f32]>>],
	threads: usize,
) -> Result<Vec<u8>, AggregationError> {
	for update in updates {
		same_shapes(update.tensors(), aggregate)
			.map_err(|reason| AggregationError::Shape { update: update.hash(), reason })?;
	}
	let aggregate = slices(aggregate);
	let updates: Vec<_> = updates.iter().map(|u| slices(u.tensors())).collect();
	let count = 1 + 2 * updates.len();
	let products = in_order(Parts::of(&aggregate), count, threads, |part, sums| {
		let of = |a: &[f32], b: &[f32]| {
			let mut lanes = Lanes::default();
			lanes.add_products(a, b);
			lanes.sum()
		};
		let aggregate = part.of(&aggregate);
		sums[0] = of(aggregate, aggregate);
		for (pair, update) in sums[1..].chunks_exact_mut(2).zip(&updates) {
			let update = part.of(update);
			(pair[0], pair[1]) = (of(update, update), of(update, aggregate));
		}
	})?;
	Ok(from_products(&products))
}

/// The quality of each update, of the products ⟨*a*, *a*⟩ and then ⟨*u*, *u*⟩ and ⟨*u*, *a*⟩ of each.
pub(crate) fn from_products(products: &[f64]) -> Vec<u8> {
	let Some((norm, pairs)) = products.split_first() else { return Vec::new() };
	pairs.chunks_exact(2).map(|pair| per_cent(pair[0], pair[1], *norm)).collect()
}

/// 100 · `dot` / √(`own` · `norm`), rounded to nearest with halves up, without a root: *k* is not above the quotient
/// rounded when (2*k* − 1)² · own · norm ≤ 40,000 · dot². Nothing here can overflow: the norms of 10¹⁰ of the largest
/// elements multiply to 10¹⁷⁵.
fn per_cent(own: f64, dot: f64, norm: f64) -> u8 {
	if own <= 0.0 || norm <= 0.0 || dot <= 0.0 {
		return 0;
	}
	let (squares, dots) = (own * norm, 40_000.0 * (dot * dot));
	let reached = |k: &u8| {
		let odd = 2.0 * f64::from(*k) - 1.0;
		(odd * odd) * squares <= dots
	};
	// At most 100, because `k` is.
	(1..=100u8).take_while(reached).count() as u8
}

#[cfg(test)]
mod tests {
	use super::*;

	/// The quality for a cosine of `c`, by way of unit vectors.
	fn of(c: f64) -> u8 {
		per_cent(1.0, c, 1.0)
	}

	#[test]
	fn per_cent_is_rounded_to_nearest_and_never_negative() {
		assert_eq!([of(1.0), of(0.996), of(0.994), of(0.5), of(0.004), of(0.006)], [100, 100, 99, 50, 0, 1]);
		assert_eq!([of(0.0), of(-0.0), of(-1.0), of(-1e-300)], [0; 4]);
		// Rounding may leave a cosine slightly above one.
		assert_eq!(of(1.0 + f64::EPSILON), 100);
		for k in 0..=100u8 {
			assert_eq!(of(f64::from(k) / 100.0), k);
		}
	}

	#[test]
	fn per_cent_does_not_depend_on_lengths_even_at_the_ends_of_the_range() {
		for exponent in [-149, -60, 0, 60, 127] {
			let length = 2.0f64.powi(exponent);
			let square = length * length;
			assert_eq!(per_cent(square, 0.5 * square, square), 50);
			assert_eq!(per_cent(1e10 * square, 1e10 * square, 1e10 * square), 100);
		}
		assert_eq!([per_cent(0.0, 0.0, 1.0), per_cent(1.0, 0.0, 0.0)], [0, 0]);
	}
}
