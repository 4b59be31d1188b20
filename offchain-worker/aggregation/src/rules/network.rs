//! A sorting network: which pairs of places to compare and exchange, whatever stands there.
//!
//! Comparing the same places for every coordinate is what lets one instruction do it for many of them. Any correct way
//! of sorting gives the same result, so the network is no part of a rule's definition.
//!
//! Eight places make a line, which is sorted by itself first. Where a network that sorts single values would compare and
//! exchange two of them, two sorted lines are merged, the lesser half going to one and the greater half to the other: such
//! a network sorts lines as well (Knuth, The Art of Computer Programming, volume 3, exercise 5.3.4-38). This takes more
//! comparisons than a network of single values, but two lines fit into a processor's registers: most comparisons neither
//! load nor store anything.

// Loops over the places of a line: they are constants, and index several arrays at once.
#![allow(clippy::needless_range_loop)]

use std::ops::Range;

/// Places of a line.
const LINE: usize = 8;
/// Columns that are sorted side by side.
pub(super) const SIDE_BY_SIDE: usize = 32;

/// One value of each column, where vectors of 64 bytes are read from a single cache line.
#[derive(Clone, Copy, PartialEq, PartialOrd, Debug)]
#[repr(C, align(64))]
pub(super) struct Row(pub(super) [f32; SIDE_BY_SIDE]);

/// What stands where there is no value: behind all others.
const NOTHING: Row = Row([f32::INFINITY; SIDE_BY_SIDE]);

/// Comparators of lines in the order in which they work: after `(i, j)`, line `i` has the lesser values.
pub(super) struct Network {
	places: usize,
	lines: usize,
	comparators: Vec<(u32, u32)>,
}

impl Network {
	/// Brings the right values to the places `wanted` of `n`; the other places are left in any order.
	///
	/// Merge exchange: Batcher, "Sorting Networks and Their Applications", 1968, in the form for any number of lines that
	/// Knuth calls Algorithm M (5.2.2).
	pub(super) fn new(n: usize, wanted: Range<usize>) -> Self {
		let lines = n.div_ceil(LINE);
		let mut all = Vec::new();
		let top = lines.next_power_of_two() / 2;
		let mut p = top;
		while p > 0 {
			let (mut q, mut r, mut d) = (top, 0, p);
			loop {
				all.extend((0..lines - d).filter(|i| i & p == r).map(|i| (i as u32, (i + d) as u32)));
				if q == p {
					break;
				}
				(d, q, r) = (q - p, q / 2, p);
			}
			p /= 2;
		}
		// From the end, only what a wanted line still depends on.
		let wanted = wanted.start / LINE..wanted.end.div_ceil(LINE);
		let mut needed: Vec<bool> = (0..lines).map(|i| wanted.contains(&i)).collect();
		let mut kept: Vec<_> = all
			.into_iter()
			.rev()
			.filter(|(i, j)| {
				let (i, j) = (*i as usize, *j as usize);
				let keep = needed[i] || needed[j];
				needed[i] |= keep;
				needed[j] |= keep;
				keep
			})
			.collect();
		kept.reverse();
		Self { places: n, lines, comparators: kept }
	}

	/// Rows to be filled in and sorted: the places, and some behind them that belong to the network.
	pub(super) fn rows(&self) -> Vec<Row> {
		vec![NOTHING; self.lines * LINE]
	}

	/// Sorts each column of `rows`. There are no NaNs; zeros of either sign are equal.
	#[inline(always)]
	pub(super) fn sort<V: Vector>(&self, rows: &mut [Row]) {
		rows[self.places..].fill(NOTHING);
		let (lines, _) = rows.as_chunks_mut::<LINE>();
		for line in &mut *lines {
			for at in (0..SIDE_BY_SIDE).step_by(V::WIDTH) {
				let mut values = load::<V>(line, at);
				sort_line(&mut values);
				store(values, line, at);
			}
		}
		for (i, j) in &self.comparators {
			let (before, from) = lines.split_at_mut(*j as usize);
			let (low, high) = (&mut before[*i as usize], &mut from[0]);
			for at in (0..SIDE_BY_SIDE).step_by(V::WIDTH) {
				let (mut a, mut b) = (load::<V>(low, at), load::<V>(high, at));
				merge(&mut a, &mut b);
				store(a, low, at);
				store(b, high, at);
			}
		}
	}
}

/// Some numbers side by side.
pub(super) trait Vector: Copy {
	/// How many; a divisor of [`SIDE_BY_SIDE`].
	const WIDTH: usize;
	/// Those of a row from this one on.
	fn load(from: &Row, at: usize) -> Self;
	fn store(self, to: &mut Row, at: usize);
	/// The lesser ones, and the greater ones. Of equal ones, each is still there.
	fn in_order(a: Self, b: Self) -> (Self, Self);
	/// Adds them to the first of these sums.
	fn add_to(self, sums: &mut [f64]);
}

#[inline(always)]
fn load<V: Vector>(line: &[Row; LINE], at: usize) -> [V; LINE] {
	// Filled by a loop: what is handed to a function of the library may end up in one that has no such vectors.
	let mut values = [V::load(&line[0], at); LINE];
	for i in 1..LINE {
		values[i] = V::load(&line[i], at);
	}
	values
}

#[inline(always)]
fn store<V: Vector>(values: [V; LINE], line: &mut [Row; LINE], at: usize) {
	for i in 0..LINE {
		values[i].store(&mut line[i], at);
	}
}

#[inline(always)]
fn exchange<V: Vector>(values: &mut [V; LINE], i: usize, j: usize) {
	(values[i], values[j]) = V::in_order(values[i], values[j]);
}

/// Sorts a line: merge exchange of eight.
#[inline(always)]
fn sort_line<V: Vector>(values: &mut [V; LINE]) {
	for i in [0, 2, 4, 6] {
		exchange(values, i, i + 1);
	}
	for i in [0, 1, 4, 5] {
		exchange(values, i, i + 2);
	}
	for i in [1, 5] {
		exchange(values, i, i + 1);
	}
	for i in [0, 1, 2, 3] {
		exchange(values, i, i + 4);
	}
	for i in [2, 3] {
		exchange(values, i, i + 2);
	}
	for i in [1, 3, 5] {
		exchange(values, i, i + 1);
	}
}

/// Puts the lesser half of two sorted lines into `a` and the greater one into `b`, both sorted: Batcher's bitonic merge.
#[inline(always)]
fn merge<V: Vector>(a: &mut [V; LINE], b: &mut [V; LINE]) {
	let (x, y) = (*a, *b);
	for i in 0..LINE {
		(a[i], b[i]) = V::in_order(x[i], y[LINE - 1 - i]);
	}
	for line in [a, b] {
		for i in [0, 1, 2, 3] {
			exchange(line, i, i + 4);
		}
		for i in [0, 1, 4, 5] {
			exchange(line, i, i + 2);
		}
		for i in [0, 2, 4, 6] {
			exchange(line, i, i + 1);
		}
	}
}

/// As the compiler makes it.
impl Vector for [f32; 4] {
	const WIDTH: usize = 4;

	#[inline(always)]
	fn load(from: &Row, at: usize) -> Self {
		[from.0[at], from.0[at + 1], from.0[at + 2], from.0[at + 3]]
	}

	#[inline(always)]
	fn store(self, to: &mut Row, at: usize) {
		to.0[at..at + Self::WIDTH].copy_from_slice(&self);
	}

	#[inline(always)]
	fn in_order(a: Self, b: Self) -> (Self, Self) {
		let (mut low, mut high) = (a, b);
		for i in 0..Self::WIDTH {
			// In this form each is one instruction.
			low[i] = if a[i] < b[i] { a[i] } else { b[i] };
			high[i] = if b[i] > a[i] { b[i] } else { a[i] };
		}
		(low, high)
	}

	#[inline(always)]
	fn add_to(self, sums: &mut [f64]) {
		for (sum, x) in sums.iter_mut().zip(self) {
			*sum += f64::from(x);
		}
	}
}

#[cfg(target_arch = "x86_64")]
pub(super) mod x86 {
	use super::{Row, Vector};
	use std::arch::x86_64::*;

	/// A vector of 512 bits. Used only where the processor has them.
	#[derive(Clone, Copy)]
	pub(in crate::rules) struct Whole(__m512);

	/// A vector of 256 bits. Used only where the processor has them.
	#[derive(Clone, Copy)]
	pub(in crate::rules) struct Half(__m256);

	impl Vector for Whole {
		const WIDTH: usize = 16;

		#[inline(always)]
		fn load(from: &Row, at: usize) -> Self {
			// SAFETY: see the type; the slice is as long as what is read.
			unsafe { Self(_mm512_loadu_ps(from.0[at..at + Self::WIDTH].as_ptr())) }
		}

		#[inline(always)]
		fn store(self, to: &mut Row, at: usize) {
			// SAFETY: see the type; the slice is as long as what is written.
			unsafe { _mm512_storeu_ps(to.0[at..at + Self::WIDTH].as_mut_ptr(), self.0) }
		}

		#[inline(always)]
		fn in_order(a: Self, b: Self) -> (Self, Self) {
			// SAFETY: see the type. Of equal ones, both give the second.
			unsafe { (Self(_mm512_min_ps(a.0, b.0)), Self(_mm512_max_ps(b.0, a.0))) }
		}

		#[inline(always)]
		fn add_to(self, sums: &mut [f64]) {
			let (low, high) = sums[..Self::WIDTH].split_at_mut(Self::WIDTH / 2);
			// SAFETY: see the type; eight numbers are read and written where there are eight.
			unsafe {
				let x = _mm512_cvtps_pd(_mm512_castps512_ps256(self.0));
				let y = _mm256_castpd_ps(_mm512_extractf64x4_pd::<1>(_mm512_castps_pd(self.0)));
				_mm512_storeu_pd(low.as_mut_ptr(), _mm512_add_pd(_mm512_loadu_pd(low.as_ptr()), x));
				let y = _mm512_add_pd(_mm512_loadu_pd(high.as_ptr()), _mm512_cvtps_pd(y));
				_mm512_storeu_pd(high.as_mut_ptr(), y);
			}
		}
	}

	impl Vector for Half {
		const WIDTH: usize = 8;

		#[inline(always)]
		fn load(from: &Row, at: usize) -> Self {
			// SAFETY: see the type; the slice is as long as what is read.
			unsafe { Self(_mm256_loadu_ps(from.0[at..at + Self::WIDTH].as_ptr())) }
		}

		#[inline(always)]
		fn store(self, to: &mut Row, at: usize) {
			// SAFETY: see the type; the slice is as long as what is written.
			unsafe { _mm256_storeu_ps(to.0[at..at + Self::WIDTH].as_mut_ptr(), self.0) }
		}

		#[inline(always)]
		fn in_order(a: Self, b: Self) -> (Self, Self) {
			// SAFETY: see the type. Of equal ones, both give the second.
			unsafe { (Self(_mm256_min_ps(a.0, b.0)), Self(_mm256_max_ps(b.0, a.0))) }
		}

		#[inline(always)]
		fn add_to(self, sums: &mut [f64]) {
			let (low, high) = sums[..Self::WIDTH].split_at_mut(Self::WIDTH / 2);
			// SAFETY: see the type; four numbers are read and written where there are four.
			unsafe {
				let x = _mm256_cvtps_pd(_mm256_castps256_ps128(self.0));
				let y = _mm256_cvtps_pd(_mm256_extractf128_ps::<1>(self.0));
				_mm256_storeu_pd(low.as_mut_ptr(), _mm256_add_pd(_mm256_loadu_pd(low.as_ptr()), x));
				_mm256_storeu_pd(high.as_mut_ptr(), _mm256_add_pd(_mm256_loadu_pd(high.as_ptr()), y));
			}
		}
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use proptest::prelude::*;

	/// Every way that this processor has.
	fn ways() -> Vec<fn(&Network, &mut [Row])> {
		let mut ways: Vec<fn(&Network, &mut [Row])> = vec![|network, rows| network.sort::<[f32; 4]>(rows)];
		#[cfg(target_arch = "x86_64")]
		{
			if std::arch::is_x86_feature_detected!("avx") {
				ways.push(|network, rows| network.sort::<x86::Half>(rows));
			}
			if std::arch::is_x86_feature_detected!("avx512f") {
				ways.push(|network, rows| network.sort::<x86::Whole>(rows));
			}
		}
		ways
	}

	fn number() -> impl Strategy<Value = f32> {
		prop_oneof![-1.0f32..1.0, prop::num::f32::NORMAL, Just(0.0), Just(-0.0)]
	}

	fn bits(mut values: Vec<f32>) -> Vec<u32> {
		values.sort_by(f32::total_cmp);
		values.into_iter().map(f32::to_bits).collect()
	}

	proptest! {
		#![proptest_config(ProptestConfig::with_cases(64))]

		#[test]
		fn wanted_places_get_what_sorting_brings_there_and_nothing_is_lost(
			values in proptest::collection::vec(
				proptest::collection::vec(number(), SIDE_BY_SIDE),
				1..60,
			),
			a in any::<prop::sample::Index>(),
			b in any::<prop::sample::Index>(),
		) {
			let values: Vec<Row> = values.into_iter().map(|row| Row(row.try_into().expect("has so many numbers"))).collect();
			let n = values.len();
			let (a, b) = (a.index(n), b.index(n));
			let wanted = a.min(b)..a.max(b) + 1;
			let network = Network::new(n, wanted.clone());
			for sort in ways() {
				let mut sorted = network.rows();
				sorted[..n].copy_from_slice(&values);
				sort(&network, &mut sorted);
				for lane in 0..SIDE_BY_SIDE {
					let of = |rows: &[Row]| rows.iter().map(|row| row.0[lane]).collect::<Vec<f32>>();
					let mut expected = of(&values);
					expected.sort_by(f32::total_cmp);
					for place in wanted.clone() {
						prop_assert_eq!(sorted[place].0[lane], expected[place]);
					}
					let mut all = of(&values);
					all.resize(sorted.len(), f32::INFINITY);
					prop_assert_eq!(bits(of(&sorted)), bits(all));
				}
			}
		}
	}

	#[test]
	fn every_column_of_zeros_and_ones_is_sorted() {
		// A network that sorts these sorts everything.
		for n in 1..=17 {
			let network = Network::new(n, 0..n);
			for first in (0u32..1 << n).step_by(SIDE_BY_SIDE) {
				let mut rows = network.rows();
				for (i, row) in rows[..n].iter_mut().enumerate() {
					*row = Row(std::array::from_fn(|lane| ((first + lane as u32) >> i & 1) as f32));
				}
				network.sort::<[f32; 4]>(&mut rows);
				for lane in 0..SIDE_BY_SIDE {
					assert!(rows[..n].is_sorted_by_key(|row| row.0[lane]), "{n} {:b}", first + lane as u32);
				}
			}
		}
	}

	#[test]
	fn median_needs_fewer_comparators_than_sorting() {
		assert!(Network::new(63, 31..32).comparators.len() < Network::new(63, 0..63).comparators.len());
		assert_eq!(Network::new(32, 0..32).comparators.len(), 5);
	}
}
