//! How much of an update points where the aggregate points.

use crate::{arithmetic, check::same_shapes, AggregationError, CheckedUpdate};
use cairn_artifacts::Tensor;
use std::thread;

/// Elements of one tensor whose sums are made together; part of the definition.
const CHUNK: usize = 32_768;
/// Sums that a chunk is dealt out to, which is what vector instructions need; part of the definition.
const LANES: usize = 8;

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
	aggregate: &[Tensor],
	threads: usize,
) -> Result<Vec<u8>, AggregationError> {
	for update in updates {
		same_shapes(update.tensors(), aggregate)
			.map_err(|reason| AggregationError::Shape { update: update.hash(), reason })?;
	}
	arithmetic::check()?;
	let norm = dot(aggregate, aggregate);
	let of = |update: &CheckedUpdate| {
		per_cent(dot(update.tensors(), update.tensors()), dot(update.tensors(), aggregate), norm)
	};
	let share = updates.len().div_ceil(threads.max(1)).max(1);
	let work = |part: &[CheckedUpdate]| -> Result<Vec<u8>, AggregationError> {
		arithmetic::check()?;
		Ok(part.iter().map(of).collect())
	};
	let parts: Vec<_> = thread::scope(|scope| {
		let workers: Vec<_> = updates.chunks(share).map(|part| scope.spawn(move || work(part))).collect();
		let join = |w: thread::ScopedJoinHandle<_>| w.join().unwrap_or_else(|p| std::panic::resume_unwind(p));
		workers.into_iter().map(join).collect()
	});
	let mut quality = Vec::with_capacity(updates.len());
	for part in parts {
		quality.extend(part?);
	}
	Ok(quality)
}

/// The sum of products of all elements, in the order that the README fixes.
fn dot(a: &[Tensor], b: &[Tensor]) -> f64 {
	let mut total = 0.0f64;
	for (a, b) in a.iter().zip(b) {
		for (a, b) in a.data.chunks(CHUNK).zip(b.data.chunks(CHUNK)) {
			total += chunk_dot(a, b);
		}
	}
	total
}

fn chunk_dot(a: &[f32], b: &[f32]) -> f64 {
	let mut lanes = [0.0f64; LANES];
	for (a, b) in a.chunks(LANES).zip(b.chunks(LANES)) {
		for ((lane, x), y) in lanes.iter_mut().zip(a).zip(b) {
			// Exact: a product of two 24-bit significands has at most 48 of the 53 bits.
			*lane += f64::from(*x) * f64::from(*y);
		}
	}
	let mut sum = 0.0f64;
	for lane in lanes {
		sum += lane;
	}
	sum
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

	#[test]
	fn sums_take_the_documented_order() {
		// A naive sum from the left would lose every small element against the first one.
		let mut row = vec![1.0f32; 17];
		row[0] = 3e8;
		let [mut lanes, mut expected] = [[0.0f64; LANES], [0.0; LANES]];
		for (i, x) in row.iter().enumerate() {
			lanes[i % LANES] += f64::from(*x) * f64::from(*x);
		}
		for (lane, value) in expected.iter_mut().zip(lanes) {
			*lane = value;
		}
		let sum = expected.iter().fold(0.0, |sum, lane| sum + lane);
		assert_eq!(chunk_dot(&row, &row).to_bits(), sum.to_bits());
	}
}
