//! Coordinate-wise trimmed mean and median: Yin and others, "Byzantine-Robust Distributed Learning: Towards Optimal
//! Statistical Rates", 2018.
//!
//! Breakdown point `trim / n`: with at most `trim` hostile rows, each coordinate of the result lies within the range of
//! the honest rows' values there. The median is the trimmed mean that leaves one value of an odd number of them, or two
//! of an even number, so it withstands (`n` − 1) / 2 hostile rows, rounded down. The numbers of samples, which a hostile
//! worker could invent, do not count.

use super::{
	network::{Network, Vector, SIDE_BY_SIDE},
	CoordinateRule,
};
use crate::{arithmetic::has_wide_vectors, engine::Part};
use std::ops::Range;

/// Drops the `trim` smallest and the `trim` largest values, averages the rest, summed in ascending order. Zeros of either
/// sign count as equal, as they do in a sum that starts at +0.
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

#[inline(always)]
fn fill<V: Vector>(rule: &TrimmedMean, columns: &[&[f32]], out: &mut [f64]) {
	let mut values = rule.network.rows();
	let count = rule.kept.len() as f64;
	for (i, out) in out.chunks_mut(SIDE_BY_SIDE).enumerate() {
		// Where fewer are left, old values stand behind them, which nobody looks at.
		let range = i * SIDE_BY_SIDE..i * SIDE_BY_SIDE + out.len();
		for (values, column) in values.iter_mut().zip(columns) {
			let column = &column[range.clone()];
			match column.first_chunk() {
				Some(all) => values.0 = *all,
				None => values.0[..column.len()].copy_from_slice(column),
			}
		}
		rule.network.sort::<V>(&mut values);
		let mut sums = [0.0f64; SIDE_BY_SIDE];
		for values in &values[rule.kept.clone()] {
			for at in (0..SIDE_BY_SIDE).step_by(V::WIDTH) {
				V::load(values, at).add_to(&mut sums[at..]);
			}
		}
		for (out, sum) in out.iter_mut().zip(sums) {
			*out = sum / count;
		}
	}
}

impl CoordinateRule for TrimmedMean {
	fn aggregate(&self, _: Part, columns: &[&[f32]], out: &mut [f64]) {
		#[cfg(target_arch = "x86_64")]
		{
			use super::network::x86::{Half, Whole};
			#[target_feature(enable = "avx512f")]
			fn with_avx512(rule: &TrimmedMean, columns: &[&[f32]], out: &mut [f64]) {
				fill::<Whole>(rule, columns, out);
			}
			#[target_feature(enable = "avx2")]
			fn with_avx2(rule: &TrimmedMean, columns: &[&[f32]], out: &mut [f64]) {
				fill::<Half>(rule, columns, out);
			}
			if has_wide_vectors() {
				// SAFETY: all that `with_avx512` asks for is the feature that was just found.
				return unsafe { with_avx512(self, columns, out) };
			}
			if std::arch::is_x86_feature_detected!("avx2") {
				// SAFETY: all that `with_avx2` asks for is the feature that was just found.
				return unsafe { with_avx2(self, columns, out) };
			}
		}
		fill::<[f32; 4]>(self, columns, out);
	}
}
