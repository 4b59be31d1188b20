//! Sums over all coordinates, in the order that the README fixes.

use crate::{
	arithmetic::vectorised,
	engine::{in_order, Parts, BLOCK},
	pairs::{add_all_pairs, add_fans, place},
	rows::{Buffers, Rows},
	rules::CoordinateRule,
	AggregationError,
};

/// Elements of one tensor whose sums are made together; part of the definition.
pub(crate) const CHUNK: usize = 32_768;
/// Sums that a chunk is dealt out to, which is what vector instructions need; part of the definition.
pub(crate) const LANES: usize = 8;

/// Coordinates whose numbers in 64 bits are compared at once: so few that those of 32 rows stay in the first-level cache.
/// A multiple of [`LANES`].
const AT_ONCE: usize = 128;

/// The sum over a chunk while it is being made: element *i* goes to lane *i* mod 8. Whatever is added has to begin at a
/// multiple of 8 within the chunk.
#[derive(Clone, Copy, Default)]
pub(crate) struct Lanes(pub(crate) [f64; LANES]);

impl Lanes {
	/// Adds the products of two blocks, element by element.
	pub(crate) fn add_products(&mut self, a: &[f32], b: &[f32]) {
		let lanes = self;
		vectorised!(add_products(lanes: &mut Lanes, a: &[f32], b: &[f32]));
	}

	/// Adds the squares of the differences of two blocks, element by element.
	#[inline(always)]
	fn add_squared_differences(&mut self, a: &[f64], b: &[f64]) {
		self.add(a, b, |x, y| {
			let difference = x - y;
			difference * difference
		});
	}

	/// Adds a term for each pair of elements.
	#[inline(always)]
	fn add<T: Copy>(&mut self, a: &[T], b: &[T], term: impl Fn(T, T) -> f64) {
		let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
		// A copy, so that it stays in registers.
		let mut lanes = self.0;
		for (a, b) in a.iter().zip(b) {
			for i in 0..LANES {
				lanes[i] += term(a[i], b[i]);
			}
		}
		for ((lane, x), y) in lanes.iter_mut().zip(a_rest).zip(b_rest) {
			*lane += term(*x, *y);
		}
		self.0 = lanes;
	}

	/// The lanes, put together.
	pub(crate) fn sum(&self) -> f64 {
		let mut sum = 0.0f64;
		for lane in self.0 {
			sum += lane;
		}
		sum
	}
}

#[inline(always)]
fn add_products(lanes: &mut Lanes, a: &[f32], b: &[f32]) {
	// Exact: a product of two 24-bit significands has at most 48 of the 53 bits.
	lanes.add(a, b, |x, y| f64::from(x) * f64::from(y));
}

/// The squared distances of the `wanted` pairs of rows, each handed to `found` with the pair's place, in one walk over the
/// updates. It needs 72 bytes per pair and thread, and 1 KiB per row and thread.
pub(crate) fn exact_distances(
	rows: &Rows,
	wanted: &mut [bool],
	threads: usize,
	mut found: impl FnMut(usize, f64),
) -> Result<(), AggregationError> {
	let n = rows.count();
	let count = wanted.iter().filter(|wanted| **wanted).count();
	if count == 0 {
		return Ok(());
	}
	// All of them are faster by the pair than some.
	let fans = if count * 2 < wanted.len() { fans(n, wanted) } else { Vec::new() };
	let count = if fans.is_empty() { wanted.len() } else { count };
	let mut used = vec![fans.is_empty(); n];
	for (hub, others) in &fans {
		used[*hub] = true;
		others.iter().for_each(|other| used[*other] = true);
	}
	let squares = in_order(Parts::of(rows.like()), count, threads, |part, sums| {
		let mut buffers = Buffers::default();
		let mut lanes = vec![Lanes::default(); count];
		let mut wide = vec![0.0f64; n * AT_ONCE];
		for block in part.blocks() {
			rows.columns(block, &mut buffers, |columns| {
				for start in (0..block.len).step_by(AT_ONCE) {
					let range = start..block.len.min(start + AT_ONCE);
					let wide = &mut wide[..n * range.len()];
					let rows = wide.chunks_exact_mut(range.len()).zip(columns).zip(&used);
					for ((to, column), _) in rows.filter(|(_, used)| **used) {
						let from = &column[range.clone()];
						vectorised!(widen(from: &[f32], to: &mut [f64]));
					}
					if fans.is_empty() {
						add_all_pairs(wide, range.len(), &mut lanes);
					} else {
						add_fans(wide, range.len(), &fans, &mut lanes);
					}
				}
			});
		}
		for (sum, lanes) in sums.iter_mut().zip(lanes) {
			*sum = lanes.sum();
		}
	})?;
	if fans.is_empty() {
		squares.into_iter().enumerate().for_each(|(at, square)| found(at, square));
	} else {
		let pairs = fans.iter().flat_map(|(hub, others)| others.iter().map(|other| (*hub, *other)));
		for ((i, j), square) in pairs.zip(squares) {
			found(place(n, i.min(j), i.max(j)), square);
		}
	}
	Ok(())
}

/// Deals pairs out to rows that many of them have in common: each with its others. Takes them out of `wanted`.
fn fans(n: usize, wanted: &mut [bool]) -> Vec<(usize, Vec<usize>)> {
	let mut fans = Vec::new();
	let mut degrees = vec![0usize; n];
	for i in 0..n {
		for j in i + 1..n {
			if wanted[place(n, i, j)] {
				degrees[i] += 1;
				degrees[j] += 1;
			}
		}
	}
	while let Some((hub, _)) = degrees.iter().enumerate().filter(|(_, d)| **d > 0).max_by_key(|(_, d)| **d) {
		let mut others = Vec::with_capacity(degrees[hub]);
		for other in (0..n).filter(|other| *other != hub) {
			let at = place(n, hub.min(other), hub.max(other));
			if std::mem::take(&mut wanted[at]) {
				degrees[other] -= 1;
				others.push(other);
			}
		}
		degrees[hub] = 0;
		fans.push((hub, others));
	}
	fans
}

#[inline(always)]
fn widen(from: &[f32], to: &mut [f64]) {
	for (w, x) in to.iter_mut().zip(from) {
		*w = f64::from(*x);
	}
}

/// Adds the squared differences of a row and a point; `wide` is for the row's numbers in 64 bits.
#[inline(always)]
fn add_row(lanes: &mut Lanes, column: &[f32], wide: &mut [f64], at: &[f64]) {
	widen(column, wide);
	lanes.add_squared_differences(wide, at);
}

/// Squared distances of all rows from one point, which is given by its coordinates' rule, in one walk over the updates.
/// It needs 72 bytes per row and thread.
pub(crate) fn distances_from(
	rows: &Rows,
	point: &dyn CoordinateRule,
	threads: usize,
) -> Result<Vec<f64>, AggregationError> {
	let n = rows.count();
	in_order(Parts::of(rows.like()), n, threads, |part, sums| {
		let mut buffers = Buffers::default();
		let mut lanes = vec![Lanes::default(); n];
		let mut point_block = [0.0f64; BLOCK];
		let mut wide = [0.0f64; BLOCK];
		for block in part.blocks() {
			let (at, wide) = (&mut point_block[..block.len], &mut wide[..block.len]);
			rows.columns(block, &mut buffers, |columns| {
				point.aggregate(block, columns, at);
				for (column, lanes) in columns.iter().zip(&mut lanes) {
					let wide = &mut *wide;
					vectorised!(add_row(lanes: &mut Lanes, column: &[f32], wide: &mut [f64], at: &[f64]));
				}
			});
		}
		for (sum, lanes) in sums.iter_mut().zip(lanes) {
			*sum = lanes.sum();
		}
	})
}

#[cfg(test)]
mod tests {
	use super::*;
	use crate::arithmetic::some_rows;

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
		let mut found = Lanes::default();
		found.add_products(&row, &row);
		assert_eq!(found.sum().to_bits(), sum.to_bits());
	}

	#[test]
	fn sums_with_this_processors_vectors_have_the_bits_of_the_portable_form() {
		let bits = |lanes: &Lanes| lanes.0.map(f64::to_bits);
		for len in [1, 7, 8, 100, BLOCK] {
			let rows = some_rows(2, len);
			let at: Vec<f64> = rows[1].iter().map(|x| f64::from(*x) * 1.1).collect();
			let [mut portable, mut found] = [Lanes::default(); 2];
			add_products(&mut portable, &rows[0], &rows[1]);
			found.add_products(&rows[0], &rows[1]);
			assert_eq!(bits(&found), bits(&portable), "products of {len}");

			let mut room = vec![0.0; len];
			add_row(&mut portable, &rows[0], &mut room, &at);
			let (lanes, column, wide, at) = (&mut found, &rows[0][..], &mut room[..], &at[..]);
			vectorised!(add_row(lanes: &mut Lanes, column: &[f32], wide: &mut [f64], at: &[f64]));
			assert_eq!(bits(&found), bits(&portable), "distances of {len}");
		}
	}
}
