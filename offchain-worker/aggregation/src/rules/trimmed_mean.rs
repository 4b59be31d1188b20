//! Coordinate-wise trimmed mean and median: Yin and others, "Byzantine-Robust Distributed Learning: Towards Optimal
//! Statistical Rates", 2018.
//!
//! Breakdown point `trim / n`: with at most `trim` hostile rows, each coordinate of the result lies within the range of
//! the honest rows' values there. The median is the trimmed mean that leaves one value of an odd number of them, or two
//! of an even number, so it withstands (`n` − 1) / 2 hostile rows, rounded down. The numbers of samples, which a hostile
//! worker could invent, do not count.

use super::{network::Network, CoordinateRule};
use crate::{arithmetic::vectorised, engine::Part};
use std::ops::Range;

/// Coordinates that are sorted side by side.
const SIDE_BY_SIDE: usize = 32;

/// Drops the `trim` smallest and the `trim` largest values, averages the rest, summed in ascending order.
pub(crate) struct TrimmedMean {
	network: Network,
	kept: Range<usize>,
}

impl TrimmedMean {
	/// For `n` rows; `trim` is less than half of them.
	pub(crate) fn new(n: usize, trim: usize) -> Self {
		let kept = trim..n - trim;
		Self { network: Network::new(n, kept.clone()), kept }
	}

	/// The median of `n` rows, at least 1.
	pub(crate) fn median(n: usize) -> Self {
		Self::new(n, (n - 1) / 2)
	}
}

/// Maps a float's bits to an integer that sorts as IEEE 754's total order does (-0 before +0), and back: the function
/// is its own inverse. Integers sort faster, and there is no comparison whose result for NaN would matter.
#[inline(always)]
fn key(bits: i32) -> i32 {
	bits ^ (((bits >> 31) as u32) >> 1) as i32
}

#[inline(always)]
fn fill(rule: &TrimmedMean, columns: &[&[f32]], out: &mut [f64]) {
	let mut keys = vec![[0i32; SIDE_BY_SIDE]; columns.len()];
	let count = rule.kept.len() as f64;
	for (i, out) in out.chunks_mut(SIDE_BY_SIDE).enumerate() {
		// Where fewer are left, old keys stand behind them, which nobody looks at.
		let range = i * SIDE_BY_SIDE..i * SIDE_BY_SIDE + out.len();
		for (keys, column) in keys.iter_mut().zip(columns) {
			for (k, x) in keys.iter_mut().zip(&column[range.clone()]) {
				*k = key(x.to_bits() as i32);
			}
		}
		rule.network.sort(&mut keys);
		out.fill(0.0);
		for keys in &keys[rule.kept.clone()] {
			for (sum, k) in out.iter_mut().zip(keys) {
				*sum += f64::from(f32::from_bits(key(*k) as u32));
			}
		}
		for sum in out {
			*sum /= count;
		}
	}
}

impl CoordinateRule for TrimmedMean {
	fn aggregate(&self, _: Part, columns: &[&[f32]], out: &mut [f64]) {
		let rule = self;
		vectorised!(fill(rule: &TrimmedMean, columns: &[&[f32]], out: &mut [f64]));
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use proptest::prelude::*;

	proptest! {
		#[test]
		fn key_sorts_as_the_total_order_and_is_its_own_inverse(a: u32, b: u32) {
			let (x, y) = (f32::from_bits(a), f32::from_bits(b));
			prop_assert_eq!(key(a as i32).cmp(&key(b as i32)), x.total_cmp(&y));
			prop_assert_eq!(key(key(a as i32)), a as i32);
		}
	}
}
