//! A sorting network: which pairs of places to compare and exchange, whatever stands there.
//!
//! Comparing the same places for every coordinate is what lets one instruction do it for many of them. Any correct way
//! of sorting gives the same result, so the network is no part of a rule's definition.

use std::ops::Range;

/// Comparators in the order in which they work: after `(i, j)`, place `i` has the lesser value.
pub(super) struct Network(Vec<(u32, u32)>);

impl Network {
	/// Brings the right values to the places `wanted` of `n`; the other places are left in any order.
	///
	/// Merge exchange: Batcher, "Sorting Networks and Their Applications", 1968, in the form for any `n` that Knuth
	/// calls Algorithm M (The Art of Computer Programming, volume 3, 5.2.2).
	pub(super) fn new(n: usize, wanted: Range<usize>) -> Self {
		let mut all = Vec::new();
		let top = n.next_power_of_two() / 2;
		let mut p = top;
		while p > 0 {
			let (mut q, mut r, mut d) = (top, 0, p);
			loop {
				all.extend((0..n - d).filter(|i| i & p == r).map(|i| (i as u32, (i + d) as u32)));
				if q == p {
					break;
				}
				(d, q, r) = (q - p, q / 2, p);
			}
			p /= 2;
		}
		// From the end, only what a wanted place still depends on.
		let mut needed: Vec<bool> = (0..n).map(|i| wanted.contains(&i)).collect();
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
		Self(kept)
	}

	/// Sorts each column of `rows`.
	#[inline(always)]
	pub(super) fn sort<const W: usize>(&self, rows: &mut [[i32; W]]) {
		for (i, j) in &self.0 {
			let (low, high) = rows.split_at_mut(*j as usize);
			for (a, b) in low[*i as usize].iter_mut().zip(&mut high[0]) {
				(*a, *b) = ((*a).min(*b), (*a).max(*b));
			}
		}
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use proptest::prelude::*;

	proptest! {
		#![proptest_config(ProptestConfig::with_cases(64))]

		#[test]
		fn wanted_places_get_what_sorting_brings_there(
			values in proptest::collection::vec(any::<[i32; 2]>(), 1..90),
			a in any::<prop::sample::Index>(),
			b in any::<prop::sample::Index>(),
		) {
			let n = values.len();
			let (a, b) = (a.index(n), b.index(n));
			let wanted = a.min(b)..a.max(b) + 1;
			let mut sorted = values.clone();
			Network::new(n, wanted.clone()).sort(&mut sorted);
			for lane in 0..2 {
				let mut expected: Vec<_> = values.iter().map(|v| v[lane]).collect();
				expected.sort_unstable();
				for place in wanted.clone() {
					prop_assert_eq!(sorted[place][lane], expected[place]);
				}
			}
		}
	}

	#[test]
	fn every_row_of_zeros_and_ones_is_sorted() {
		// A network that sorts these sorts everything.
		for n in 1..=12 {
			let network = Network::new(n, 0..n);
			for pattern in 0u32..1 << n {
				let mut rows: Vec<[i32; 1]> = (0..n).map(|i| [(pattern >> i & 1) as i32]).collect();
				network.sort(&mut rows);
				assert!(rows.is_sorted(), "{n} {pattern:b}");
			}
		}
	}

	#[test]
	fn median_needs_fewer_comparators_than_sorting() {
		assert!(Network::new(31, 15..16).0.len() < Network::new(31, 0..31).0.len());
		assert_eq!(Network::new(32, 0..32).0.len(), 191);
	}
}
