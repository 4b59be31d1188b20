//! Coordinate-wise trimmed mean: Yin and others, "Byzantine-Robust Distributed Learning: Towards Optimal Statistical
//! Rates", 2018.
//!
//! Breakdown point `trim / n`: with at most `trim` hostile updates, each coordinate of the result lies within the range
//! of the honest updates' values there. The numbers of samples, which a hostile worker could invent, do not count.

use super::CoordinateRule;

/// Drops the `trim` smallest and the `trim` largest values, averages the rest, summed in ascending order.
pub(crate) struct TrimmedMean {
	/// Less than half of the number of updates.
	pub(crate) trim: usize,
}

/// Maps a float's bits to an integer that sorts as IEEE 754's total order does (-0 before +0), and back: the function
/// is its own inverse. Integers sort faster, and there is no comparison whose result for NaN would matter.
fn key(bits: i32) -> i32 {
	bits ^ (((bits >> 31) as u32) >> 1) as i32
}

impl CoordinateRule for TrimmedMean {
	fn aggregate(&self, columns: &[&[f32]], out: &mut [f64]) {
		let n = columns.len();
		let mut keys = vec![0i32; n];
		let kept = self.trim..n - self.trim;
		let count = kept.len() as f64;
		for (c, out) in out.iter_mut().enumerate() {
			for (k, column) in keys.iter_mut().zip(columns) {
				*k = key(column[c].to_bits() as i32);
			}
			keys.sort_unstable();
			let mut sum = 0.0f64;
			for k in &keys[kept.clone()] {
				sum += f64::from(f32::from_bits(key(*k) as u32));
			}
			*out = sum / count;
		}
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
