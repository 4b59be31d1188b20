//! Sums over all coordinates, in the order that the README fixes.

use crate::{
	arithmetic::{has_wide_vectors, vectorised},
	engine::{in_order, Parts, BLOCK},
	rows::{Buffers, Rows},
	rules::CoordinateRule,
	AggregationError,
};

/// Elements of one tensor whose sums are made together; part of the definition.
pub(crate) const CHUNK: usize = 32_768;
/// Sums that a chunk is dealt out to, which is what vector instructions need; part of the definition.
pub(crate) const LANES: usize = 8;

/// The sum over a chunk while it is being made: element *i* goes to lane *i* mod 8. Whatever is added has to begin at a
/// multiple of 8 within the chunk.
#[derive(Clone, Copy, Default)]
pub(crate) struct Lanes([f64; LANES]);

impl Lanes {
	/// Adds the products of two blocks, element by element.
	pub(crate) fn add_products(&mut self, a: &[f32], b: &[f32]) {
		// Exact: a product of two 24-bit significands has at most 48 of the 53 bits.
		vectorised(|| self.add(a, b, |x, y| f64::from(x) * f64::from(y)));
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

/// Squared distances between all pairs of rows.
pub(crate) struct Distances {
	rows: usize,
	/// Of row 0 to 1, 2, …, then of row 1 to 2, 3, …
	squares: Vec<f64>,
}

impl Distances {
	/// Measures them, in one walk over the updates. It needs 72 bytes per pair of rows and thread, and 8 bytes per row
	/// and coordinate of a block.
	pub(crate) fn of(rows: &Rows, threads: usize) -> Result<Self, AggregationError> {
		let n = rows.count();
		let pairs = n * (n - 1) / 2;
		let squares = in_order(Parts::of(rows.like()), pairs, threads, |part, sums| {
			let mut buffers = Buffers::default();
			let mut lanes = vec![Lanes::default(); pairs];
			let mut wide = vec![0.0f64; n * BLOCK];
			for block in part.blocks() {
				let wide = &mut wide[..n * block.len];
				rows.columns(block, &mut buffers, |columns| {
					for (wide, column) in wide.chunks_exact_mut(block.len).zip(columns) {
						vectorised(|| widen(column, wide));
					}
				});
				// As many sums at once as there are registers for.
				if has_wide_vectors() {
					vectorised(|| all_pairs::<4>(wide, block.len, &mut lanes));
				} else {
					vectorised(|| all_pairs::<2>(wide, block.len, &mut lanes));
				}
			}
			for (sum, lanes) in sums.iter_mut().zip(lanes) {
				*sum = lanes.sum();
			}
		})?;
		Ok(Self { rows: n, squares })
	}

	/// How many rows there are.
	pub(crate) fn rows(&self) -> usize {
		self.rows
	}

	/// The squared distance between two rows; 0 between a row and itself.
	pub(crate) fn between(&self, i: usize, j: usize) -> f64 {
		let (i, j) = (i.min(j), i.max(j));
		if i == j {
			return 0.0;
		}
		self.squares[place(self.rows, i, j)]
	}
}

/// Where the pair of rows `i` < `j` of `n` stands.
#[inline(always)]
fn place(n: usize, i: usize, j: usize) -> usize {
	// Before row i's own come those of the rows 0 to i − 1: n − 1, n − 2, … of them.
	i * (2 * n - i - 1) / 2 + (j - i - 1)
}

#[inline(always)]
fn widen(from: &[f32], to: &mut [f64]) {
	for (w, x) in to.iter_mut().zip(from) {
		*w = f64::from(*x);
	}
}

/// Adds the squared differences of all pairs of rows of `len` elements each, `S` rows against `S` others at a time: each
/// number that is loaded then serves `S` pairs. Every pair has sums of its own, so their order does not matter.
#[inline(always)]
fn all_pairs<const S: usize>(rows: &[f64], len: usize, lanes: &mut [Lanes]) {
	let n = rows.len() / len;
	let row = |i: usize| &rows[i * len..(i + 1) * len];
	let mut start = 0;
	while start < n {
		let end = n.min(start + S);
		for i in start..end {
			for j in i + 1..end {
				lanes[place(n, i, j)].add_squared_differences(row(i), row(j));
			}
		}
		let mut other = end;
		while end - start == S && other + S <= n {
			let [a, b]: [[&[f64]; S]; 2] =
				[std::array::from_fn(|r| row(start + r)), std::array::from_fn(|c| row(other + c))];
			let mut sums = [[Lanes::default(); S]; S];
			for r in 0..S {
				for c in 0..S {
					sums[r][c] = lanes[place(n, start + r, other + c)];
				}
			}
			tile(a, b, &mut sums);
			for r in 0..S {
				for c in 0..S {
					lanes[place(n, start + r, other + c)] = sums[r][c];
				}
			}
			other += S;
		}
		for i in start..end {
			for j in other..n {
				lanes[place(n, i, j)].add_squared_differences(row(i), row(j));
			}
		}
		start = end;
	}
}

/// Adds the squared differences of every row of `a` and every row of `b`.
#[inline(always)]
fn tile<const S: usize>(a: [&[f64]; S], b: [&[f64]; S], sums: &mut [[Lanes; S]; S]) {
	// A copy, so that it stays in registers.
	let mut lanes = *sums;
	let (heads_a, heads_b) =
		(a.map(|row| row.as_chunks::<LANES>().0), b.map(|row| row.as_chunks::<LANES>().0));
	for k in 0..heads_a[0].len() {
		for r in 0..S {
			for c in 0..S {
				for l in 0..LANES {
					let difference = heads_a[r][k][l] - heads_b[c][k][l];
					lanes[r][c].0[l] += difference * difference;
				}
			}
		}
	}
	let done = heads_a[0].len() * LANES;
	for r in 0..S {
		for c in 0..S {
			for (lane, (x, y)) in lanes[r][c].0.iter_mut().zip(a[r][done..].iter().zip(&b[c][done..])) {
				let difference = x - y;
				*lane += difference * difference;
			}
		}
	}
	*sums = lanes;
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
					vectorised(|| {
						widen(column, wide);
						lanes.add_squared_differences(wide, at);
					});
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
}
