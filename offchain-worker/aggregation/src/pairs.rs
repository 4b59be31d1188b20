//! Sums of squared differences of all pairs of rows, as fast as the processor's widest vectors make them.
//!
//! Written with the processor's own instructions, because the compiler finds them in loops of this shape only sometimes.
//! They are the IEEE 754 operations of the portable form, in its order: the bits are the same.

// Loops over the numbers of a tile: they are constants, and index several arrays at once.
#![allow(clippy::needless_range_loop)]

use crate::{
	arithmetic::has_wide_vectors,
	sums::{Lanes, LANES},
};

/// Where the pair of rows `i` < `j` of `n` stands in the list of all pairs: of row 0 with 1, 2, …, then of row 1 with 2,
/// 3, …
#[inline(always)]
pub(crate) fn place(n: usize, i: usize, j: usize) -> usize {
	// Before row i's own come those of the rows 0 to i − 1: n − 1, n − 2, … of them.
	i * (2 * n - i - 1) / 2 + (j - i - 1)
}

/// Adds the squared differences of all pairs of rows of `len` elements each, which stand one after the other.
pub(crate) fn add_all_pairs(rows: &[f64], len: usize, lanes: &mut [Lanes]) {
	#[cfg(target_arch = "x86_64")]
	{
		#[target_feature(enable = "avx512f")]
		fn with_avx512(rows: &[f64], len: usize, lanes: &mut [Lanes]) {
			in_tiles::<x86::Whole, 4>(rows, len, lanes);
		}
		#[target_feature(enable = "avx2")]
		fn with_avx2(rows: &[f64], len: usize, lanes: &mut [Lanes]) {
			in_tiles::<x86::Halves, 2>(rows, len, lanes);
		}
		if has_wide_vectors() {
			// SAFETY: all that `with_avx512` asks for is the feature that was just found.
			return unsafe { with_avx512(rows, len, lanes) };
		}
		if std::arch::is_x86_feature_detected!("avx2") {
			// SAFETY: all that `with_avx2` asks for is the feature that was just found.
			return unsafe { with_avx2(rows, len, lanes) };
		}
	}
	in_tiles::<[f64; LANES], 2>(rows, len, lanes);
}

/// Adds the squared differences of some pairs of rows of `len` elements each: of each fan's first row and each of its
/// others, whose sums stand one after the other.
pub(crate) fn add_fans(rows: &[f64], len: usize, fans: &[(usize, Vec<usize>)], lanes: &mut [Lanes]) {
	#[cfg(target_arch = "x86_64")]
	{
		#[target_feature(enable = "avx512f")]
		fn with_avx512(rows: &[f64], len: usize, fans: &[(usize, Vec<usize>)], lanes: &mut [Lanes]) {
			in_fans::<x86::Whole>(rows, len, fans, lanes);
		}
		#[target_feature(enable = "avx2")]
		fn with_avx2(rows: &[f64], len: usize, fans: &[(usize, Vec<usize>)], lanes: &mut [Lanes]) {
			in_fans::<x86::Halves>(rows, len, fans, lanes);
		}
		if has_wide_vectors() {
			// SAFETY: all that `with_avx512` asks for is the feature that was just found.
			return unsafe { with_avx512(rows, len, fans, lanes) };
		}
		if std::arch::is_x86_feature_detected!("avx2") {
			// SAFETY: all that `with_avx2` asks for is the feature that was just found.
			return unsafe { with_avx2(rows, len, fans, lanes) };
		}
	}
	in_fans::<[f64; LANES]>(rows, len, fans, lanes);
}

/// Eight numbers side by side.
trait Eight: Copy {
	fn load(from: &[f64; LANES]) -> Self;
	fn store(self) -> [f64; LANES];
	/// `self` + (`a` − `b`)², each operation rounded.
	fn plus_squared_difference(self, a: Self, b: Self) -> Self;
}

impl Eight for [f64; LANES] {
	#[inline(always)]
	fn load(from: &[f64; LANES]) -> Self {
		*from
	}

	#[inline(always)]
	fn store(self) -> [f64; LANES] {
		self
	}

	#[inline(always)]
	fn plus_squared_difference(mut self, a: Self, b: Self) -> Self {
		for ((sum, x), y) in self.iter_mut().zip(a).zip(b) {
			let difference = x - y;
			*sum += difference * difference;
		}
		self
	}
}

#[cfg(target_arch = "x86_64")]
mod x86 {
	use super::{Eight, LANES};
	use std::arch::x86_64::*;

	/// One vector of 512 bits. Used only where the processor has them.
	#[derive(Clone, Copy)]
	pub(super) struct Whole(__m512d);

	/// Two vectors of 256 bits. Used only where the processor has them.
	#[derive(Clone, Copy)]
	pub(super) struct Halves(__m256d, __m256d);

	impl Eight for Whole {
		#[inline(always)]
		fn load(from: &[f64; LANES]) -> Self {
			// SAFETY: see the type; eight numbers are read where there are eight.
			unsafe { Self(_mm512_loadu_pd(from.as_ptr())) }
		}

		#[inline(always)]
		fn store(self) -> [f64; LANES] {
			let mut to = [0.0; LANES];
			// SAFETY: see the type; eight numbers are written where there is room for eight.
			unsafe { _mm512_storeu_pd(to.as_mut_ptr(), self.0) };
			to
		}

		#[inline(always)]
		fn plus_squared_difference(self, a: Self, b: Self) -> Self {
			// SAFETY: see the type.
			unsafe {
				let difference = _mm512_sub_pd(a.0, b.0);
				Self(_mm512_add_pd(self.0, _mm512_mul_pd(difference, difference)))
			}
		}
	}

	impl Eight for Halves {
		#[inline(always)]
		fn load(from: &[f64; LANES]) -> Self {
			let (low, high) = from.split_at(LANES / 2);
			// SAFETY: see the type; four numbers are read where there are four.
			unsafe { Self(_mm256_loadu_pd(low.as_ptr()), _mm256_loadu_pd(high.as_ptr())) }
		}

		#[inline(always)]
		fn store(self) -> [f64; LANES] {
			let mut to = [0.0; LANES];
			let (low, high) = to.split_at_mut(LANES / 2);
			// SAFETY: see the type; four numbers are written where there is room for four.
			unsafe {
				_mm256_storeu_pd(low.as_mut_ptr(), self.0);
				_mm256_storeu_pd(high.as_mut_ptr(), self.1);
			}
			to
		}

		#[inline(always)]
		fn plus_squared_difference(self, a: Self, b: Self) -> Self {
			// SAFETY: see the type.
			unsafe {
				let (low, high) = (_mm256_sub_pd(a.0, b.0), _mm256_sub_pd(a.1, b.1));
				Self(
					_mm256_add_pd(self.0, _mm256_mul_pd(low, low)),
					_mm256_add_pd(self.1, _mm256_mul_pd(high, high)),
				)
			}
		}
	}
}

/// [`add_all_pairs`] with `S` rows against `S` others at a time: each number that is loaded then serves `S` pairs. Every
/// pair has sums of its own, so their order does not matter.
#[inline(always)]
fn in_tiles<E: Eight, const S: usize>(rows: &[f64], len: usize, lanes: &mut [Lanes]) {
	let n = rows.len() / len;
	let row = |i: usize| &rows[i * len..(i + 1) * len];
	for start in (0..n).step_by(S) {
		let end = n.min(start + S);
		let mut other = end;
		while end - start == S && other + S <= n {
			let (a, b) = (std::array::from_fn(|r| row(start + r)), std::array::from_fn(|c| row(other + c)));
			tile::<E, S, S>(a, b, |r, c| place(n, start + r, other + c), lanes);
			other += S;
		}
		if end - start == S {
			triangle::<E, S>(
				std::array::from_fn(|r| row(start + r)),
				|r, c| place(n, start + r, start + c),
				lanes,
			);
		} else {
			for i in start..end {
				for j in i + 1..end {
					tile::<E, 1, 1>([row(i)], [row(j)], |_, _| place(n, i, j), lanes);
				}
			}
		}
		for i in start..end {
			for j in other..n {
				tile::<E, 1, 1>([row(i)], [row(j)], |_, _| place(n, i, j), lanes);
			}
		}
	}
}

/// [`add_fans`], four pairs at a time. The sign of a difference does not matter to its square.
#[inline(always)]
fn in_fans<E: Eight>(rows: &[f64], len: usize, fans: &[(usize, Vec<usize>)], lanes: &mut [Lanes]) {
	let row = |i: usize| &rows[i * len..(i + 1) * len];
	let mut at = 0;
	for (hub, others) in fans {
		let (fours, rest) = others.as_chunks::<4>();
		for four in fours {
			tile::<E, 1, 4>([row(*hub)], four.map(row), |_, c| at + c, lanes);
			at += 4;
		}
		for other in rest {
			tile::<E, 1, 1>([row(*hub)], [row(*other)], |_, _| at, lanes);
			at += 1;
		}
	}
}

/// Adds the squared differences of all pairs among the rows `a`, all of the same length. `place` says where the sums of
/// two of them are.
#[inline(always)]
fn triangle<E: Eight, const S: usize>(
	a: [&[f64]; S],
	place: impl Fn(usize, usize) -> usize,
	lanes: &mut [Lanes],
) {
	let heads = a.map(|row| row.as_chunks::<LANES>().0);
	let whole = heads[0].len();
	// Said once, so that it need not be checked below.
	let heads = heads.map(|row| &row[..whole]);
	// Of these, those behind the diagonal.
	let zeros = E::load(&[0.0; LANES]);
	let mut sums = [[zeros; S]; S];
	for r in 0..S {
		for c in r + 1..S {
			sums[r][c] = E::load(&lanes[place(r, c)].0);
		}
	}
	for k in 0..whole {
		let mut x = [zeros; S];
		for r in 0..S {
			x[r] = E::load(&heads[r][k]);
		}
		for r in 0..S {
			for c in r + 1..S {
				sums[r][c] = sums[r][c].plus_squared_difference(x[r], x[c]);
			}
		}
	}
	for r in 0..S {
		for c in r + 1..S {
			let lanes = &mut lanes[place(r, c)].0;
			*lanes = sums[r][c].store();
			add_rest(lanes, &a[r][whole * LANES..], &a[c][whole * LANES..]);
		}
	}
}

/// Adds the squared differences of what is behind the last eight.
#[inline(always)]
fn add_rest(lanes: &mut [f64; LANES], a: &[f64], b: &[f64]) {
	for (lane, (x, y)) in lanes.iter_mut().zip(a.iter().zip(b)) {
		let difference = x - y;
		*lane += difference * difference;
	}
}

/// Adds the squared differences of every row of `a` and every row of `b`, all of the same length. `place` says where the
/// sums of two of them are.
#[inline(always)]
fn tile<E: Eight, const R: usize, const C: usize>(
	a: [&[f64]; R],
	b: [&[f64]; C],
	place: impl Fn(usize, usize) -> usize,
	lanes: &mut [Lanes],
) {
	let (heads_a, heads_b) =
		(a.map(|row| row.as_chunks::<LANES>().0), b.map(|row| row.as_chunks::<LANES>().0));
	let whole = heads_a[0].len();
	// Said once, so that it need not be checked below.
	let (heads_a, heads_b) = (heads_a.map(|row| &row[..whole]), heads_b.map(|row| &row[..whole]));
	let zeros = E::load(&[0.0; LANES]);
	// Filled by loops: what is handed to a function of the library may end up in one that has no such vectors.
	let mut sums = [[zeros; C]; R];
	for r in 0..R {
		for c in 0..C {
			sums[r][c] = E::load(&lanes[place(r, c)].0);
		}
	}
	for k in 0..whole {
		let mut x = [zeros; R];
		for r in 0..R {
			x[r] = E::load(&heads_a[r][k]);
		}
		for c in 0..C {
			let y = E::load(&heads_b[c][k]);
			for r in 0..R {
				sums[r][c] = sums[r][c].plus_squared_difference(x[r], y);
			}
		}
	}
	for r in 0..R {
		for c in 0..C {
			let lanes = &mut lanes[place(r, c)].0;
			*lanes = sums[r][c].store();
			add_rest(lanes, &a[r][whole * LANES..], &b[c][whole * LANES..]);
		}
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	type Way = fn(&[f64], usize, &mut [Lanes]);

	#[test]
	fn every_way_of_adding_gives_the_same_bits_as_one_pair_after_the_other() {
		for n in [1, 2, 3, 4, 5, 7, 8, 13] {
			for len in [1, 7, 8, 9, 40, 43] {
				let number = |i: usize| (i as f64 * 0.7).sin() * 10f64.powi((i % 9) as i32 - 4);
				let rows: Vec<f64> = (0..n * len).map(number).collect();
				let pairs = n * (n - 1) / 2;
				let mut expected = vec![[0.0f64; LANES]; pairs];
				for j in 0..n {
					for i in 0..j {
						for at in 0..len {
							let difference = rows[i * len + at] - rows[j * len + at];
							expected[place(n, i, j)][at % LANES] += difference * difference;
						}
					}
				}
				let bits =
					|lanes: &[[f64; LANES]]| lanes.concat().into_iter().map(f64::to_bits).collect::<Vec<_>>();
				let ways: [Way; 4] = [
					add_all_pairs,
					in_tiles::<[f64; LANES], 1>,
					in_tiles::<[f64; LANES], 2>,
					in_tiles::<[f64; LANES], 4>,
				];
				for (way, add) in ways.into_iter().enumerate() {
					let mut lanes = vec![Lanes::default(); pairs];
					add(&rows, len, &mut lanes);
					let found: Vec<_> = lanes.iter().map(|lanes| lanes.0).collect();
					assert_eq!(bits(&found), bits(&expected), "way {way}: {n} rows of {len}");
				}
			}
		}
	}
}
