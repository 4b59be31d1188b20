//! Squared distances of all pairs of rows, each of them measured only if something depends on it.
//!
//! What uses them asks which rows are nearest. For that, bounds mostly do: ‖*x*‖² + ‖*y*‖² − 2⟨*x*, *y*⟩ from products in
//! binary32, which processors compute several times as fast as differences in binary64, and how far it can be off. Only
//! where the bounds of two candidates overlap are distances measured as the README defines them. So the result is that of
//! the definition, whatever the processor makes of the products.
//!
//! The bounds. *u* = 2⁻²⁴, γ = *ku* / (1 − *ku*) for *k* roundings of each product; the error of a sum of rounded products
//! is at most γ Σ |*xy*| ≤ γ ‖*x*‖ ‖*y*‖ (Higham, "Accuracy and Stability of Numerical Algorithms", 2002, 3.1). Leaving
//! elements below 2⁻⁶³ out changes ⟨*x*, *y*⟩ by at most *η* (‖*x*‖ + ‖*y*‖), *η* = 2⁻⁶³ √*d*. Where numbers leave the range
//! of binary32 there remains (‖*x*‖ − ‖*y*‖)² ≤ ‖*x* − *y*‖² ≤ (‖*x*‖ + ‖*y*‖)², from norms in binary64.

use crate::{
	engine::{in_order, Parts},
	pairs::place,
	products::{Products, LEAST, ROUNDINGS, WIDE_ROUNDINGS},
	rows::{Buffers, Rows},
	sums::{exact_distances, Lanes, CHUNK, LANES},
	AggregationError,
};

/// Two numbers with another between them, which is itself known where they are equal.
pub(crate) type Bounds = (f64, f64);

/// Squared distances between all pairs of rows, or bounds on them.
pub(crate) struct Distances<'a> {
	rows: &'a Rows<'a>,
	threads: usize,
	/// Of row 0 to 1, 2, …, then of row 1 to 2, 3, …
	squares: Vec<Bounds>,
}

impl<'a> Distances<'a> {
	/// Finds bounds, in one walk over the updates.
	pub(crate) fn of(rows: &'a Rows<'a>, threads: usize) -> Result<Self, AggregationError> {
		let n = rows.count();
		let products = Products::of(rows, threads)?;
		let of = Estimate::new(rows, &products, threads)?;
		let pairs = (0..n).flat_map(|i| (i + 1..n).map(move |j| (i, j)));
		let mut squares = Vec::with_capacity(n * (n - 1) / 2);
		squares.extend(pairs.map(|(i, j)| of.bounds(i, j, products.between(i, j))));
		Ok(Self { rows, threads, squares })
	}

	/// How many rows there are.
	pub(crate) fn rows(&self) -> usize {
		self.rows.count()
	}

	/// The squared distance between two rows; 0 between a row and itself.
	pub(crate) fn between(&self, i: usize, j: usize) -> Bounds {
		let (i, j) = (i.min(j), i.max(j));
		if i == j {
			return (0.0, 0.0);
		}
		self.squares[place(self.rows(), i, j)]
	}

	/// Measures the distances of these pairs of different rows, in one walk over the updates.
	pub(crate) fn measure(
		&mut self,
		pairs: impl Iterator<Item = (usize, usize)>,
	) -> Result<(), AggregationError> {
		let n = self.rows();
		let mut wanted = vec![false; self.squares.len()];
		for (i, j) in pairs {
			let at = place(n, i.min(j), i.max(j));
			wanted[at] = self.squares[at].0 < self.squares[at].1;
		}
		exact_distances(self.rows, &mut wanted, self.threads, |at, square| {
			self.squares[at] = (square, square)
		})
	}
}

/// Which of these numbers are the least, so many of them; of equal ones, the first. In ascending order, as far as the
/// bounds tell: those that certainly are, and those that may be. Where all bounds of the latter are known numbers, or
/// there is room for all of them, the former are all.
pub(crate) fn least(bounds: &[Bounds], count: usize) -> (Vec<usize>, Vec<usize>) {
	let ascending = |of: fn(&Bounds) -> f64| {
		let mut all: Vec<f64> = bounds.iter().map(of).collect();
		all.sort_unstable_by(f64::total_cmp);
		all
	};
	let (lows, highs) = (ascending(|b| b.0), ascending(|b| b.1));
	let (mut chosen, mut open) = (Vec::new(), Vec::new());
	for (i, (low, high)) in bounds.iter().enumerate() {
		// Those that may come before it, itself among them; and those that certainly do.
		let before = lows.partition_point(|other| other <= high);
		let surely_before = highs.partition_point(|other| other < low);
		if before <= count {
			chosen.push(i);
		} else if surely_before < count {
			open.push(i);
		}
	}
	let left = count - chosen.len();
	if open.len() <= left || open.iter().all(|i| bounds[*i].0 == bounds[*i].1) {
		// A stable sort, which leaves equal ones in their order.
		open.sort_by(|a, b| bounds[*a].0.total_cmp(&bounds[*b].0));
		chosen.extend(open.drain(..).take(left));
		chosen.sort_unstable();
	}
	(chosen, open)
}

/// What is known of rows before their products.
struct Estimate {
	/// Of each row, a bound below and one above ‖*x*‖, and the middle of those of ‖*x*‖² with its error.
	norms: Vec<Norm>,
	/// The greatest relative error of a sum of positive products in binary32, with room to spare.
	gamma: f64,
	/// The same in binary64, also of distances as they are defined.
	rho: f64,
	/// The greatest norm of what is left out of a row.
	eta: f64,
}

#[derive(Clone, Copy)]
struct Norm {
	low: f64,
	high: f64,
	square: f64,
	error: f64,
}

impl Estimate {
	fn new(rows: &Rows, products: &Products, threads: usize) -> Result<Self, AggregationError> {
		let n = rows.count();
		let elements: usize = rows.like().iter().map(|t| t.len()).sum();
		let parts = Parts::of(rows.like()).len();
		// Twice what there can be: room for the roundings of the bounds themselves.
		let gamma = 2.0f64.powi(-24) * (ROUNDINGS as f64) * 1.001;
		let roundings = (CHUNK / LANES).max(WIDE_ROUNDINGS) + LANES + parts + 8;
		let rho = 2.0f64.powi(-52) * roundings as f64;
		let eta = f64::from(LEAST) * (elements as f64).sqrt() * 1.001;
		let mut squares: Vec<(f64, f64)> = (0..n)
			.map(|i| {
				let square = products.between(i, i);
				(square, square * (gamma + rho) + eta * eta)
			})
			.collect();
		let unknown: Vec<usize> = (0..n).filter(|i| !squares[*i].0.is_finite()).collect();
		if !unknown.is_empty() {
			for (i, square) in unknown.iter().zip(squares_of(rows, &unknown, threads)?) {
				squares[*i] = (square, square * rho);
			}
		}
		let norm = |(square, error): (f64, f64)| Norm {
			low: (square - error).max(0.0).sqrt() * (1.0 - rho),
			high: (square + error).sqrt() * (1.0 + rho),
			square,
			error,
		};
		Ok(Self { norms: squares.into_iter().map(norm).collect(), gamma, rho, eta })
	}

	/// Bounds on the squared distance of two rows, as it is defined.
	fn bounds(&self, i: usize, j: usize, product: f64) -> Bounds {
		let Self { gamma, rho, eta, .. } = *self;
		let (x, y) = (self.norms[i], self.norms[j]);
		let mut low = (x.low - y.high).max(y.low - x.high).max(0.0).powi(2);
		let mut high = (x.high + y.high).powi(2);
		// Not finite where the product is not, and then no bound.
		let square = x.square + y.square - 2.0 * product;
		if square.is_finite() {
			let rounding = 2.0 * (gamma + rho) * x.high * y.high + 4.0 * rho * (x.square + y.square);
			let error = (x.error + y.error + rounding + 2.0 * eta * (x.high + y.high)) * 1.001;
			low = low.max(square - error);
			high = high.min(square + error);
		}
		(low * (1.0 - rho), high * (1.0 + rho))
	}
}

/// ‖*x*‖² of some rows in binary64, in one walk over the updates.
fn squares_of(rows: &Rows, some: &[usize], threads: usize) -> Result<Vec<f64>, AggregationError> {
	in_order(Parts::of(rows.like()), some.len(), threads, |part, sums| {
		let mut buffers = Buffers::default();
		let mut lanes = vec![Lanes::default(); some.len()];
		for block in part.blocks() {
			rows.columns(block, &mut buffers, |columns| {
				for (row, lanes) in some.iter().zip(&mut lanes) {
					lanes.add_products(columns[*row], columns[*row]);
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
	use proptest::prelude::*;

	fn number() -> impl Strategy<Value = f32> {
		prop_oneof![
			8 => -1.0f32..1.0,
			1 => prop::num::f32::NORMAL | prop::num::f32::SUBNORMAL,
			1 => prop::sample::select(vec![0.0, -0.0, f32::MAX, f32::MIN, 1e-30, -1e-42, LEAST, -LEAST / 2.0]),
		]
	}

	/// Rows of all kinds of sizes, some of them nearly alike.
	fn rows() -> impl Strategy<Value = Vec<Vec<f32>>> {
		let row = |d: usize| {
			(
				proptest::collection::vec(number(), d),
				prop::sample::select(vec![1.0f32, 1.0, 1e-25, 1e25, 0.0]),
			)
		};
		(2usize..11, 1usize..1500)
			.prop_flat_map(move |(n, d)| (proptest::collection::vec(row(d), n), any::<prop::sample::Index>()))
			.prop_map(|(rows, like)| {
				let sized = |(row, size): (Vec<f32>, f32)| -> Vec<f32> {
					row.into_iter().map(|x| (x * size).clamp(f32::MIN, f32::MAX)).collect()
				};
				let mut rows: Vec<_> = rows.into_iter().map(sized).collect();
				let (like, last) = (rows[like.index(rows.len())].clone(), rows.len() - 1);
				rows[last] = like;
				rows[last][0] += 1e-6;
				rows
			})
	}

	fn measured(rows: &Rows) -> Vec<f64> {
		let n = rows.count();
		let mut found = vec![0.0; n * (n - 1) / 2];
		exact_distances(rows, &mut vec![true; n * (n - 1) / 2], 2, |at, square| found[at] = square)
			.expect("standard arithmetic");
		found
	}

	proptest! {
		#![proptest_config(ProptestConfig::with_cases(64))]

		#[test]
		fn distances_lie_within_their_bounds_and_are_measured_where_that_is_asked(
			data in rows(), some in proptest::collection::vec(any::<bool>(), 45),
		) {
			let rows = Rows::new(data.iter().map(|row| vec![&row[..]]).collect());
			let expected = measured(&rows);
			let mut distances = Distances::of(&rows, 2).expect("standard arithmetic");
			for (at, (square, (low, high))) in expected.iter().zip(&distances.squares).enumerate() {
				prop_assert!(low <= square && square <= high, "{at}: {low} <= {square} <= {high}");
			}
			let n = rows.count();
			let pairs: Vec<_> = (0..n).flat_map(|i| (i + 1..n).map(move |j| (j, i)))
				.zip(&some).filter(|(_, wanted)| **wanted).map(|(pair, _)| pair).collect();
			distances.measure(pairs.iter().copied()).expect("standard arithmetic");
			for (i, j) in pairs {
				let square = expected[place(n, j, i)];
				prop_assert_eq!(distances.between(i, j), (square, square));
			}
		}

		#[test]
		fn least_are_those_of_the_numbers_whatever_the_bounds(
			numbers in proptest::collection::vec((0u8..6, 0u8..3, 0u8..3), 1..20), count in any::<prop::sample::Index>(),
		) {
			let count = count.index(numbers.len()) + 1;
			let mut bounds: Vec<Bounds> =
				numbers.iter().map(|(x, a, b)| (f64::from(*x) - f64::from(*a), f64::from(x + b))).collect();
			let mut sorted: Vec<usize> = (0..numbers.len()).collect();
			sorted.sort_by_key(|i| numbers[*i].0);
			let (mut chosen, open) = least(&bounds, count);
			prop_assert!(chosen.iter().all(|i| sorted[..count].contains(i)), "{chosen:?}");
			if !open.is_empty() {
				for i in open {
					bounds[i] = (f64::from(numbers[i].0), f64::from(numbers[i].0));
				}
				let rest;
				(chosen, rest) = least(&bounds, count);
				prop_assert!(rest.is_empty());
			}
			let mut expected = sorted[..count].to_vec();
			expected.sort_unstable();
			prop_assert_eq!(chosen, expected);
		}
	}

	#[test]
	fn bounds_are_close_for_numbers_as_training_gives_them() {
		let row = |seed: u32| -> Vec<f32> {
			(0..20_000u32)
				.map(|i| (i.wrapping_mul(2_654_435_761).rotate_left(seed) >> 8) as f32 / 1.6e7 - 0.5)
				.collect()
		};
		let data: Vec<_> = (1..9).map(row).collect();
		let rows = Rows::new(data.iter().map(|row| vec![&row[..]]).collect());
		for (low, high) in Distances::of(&rows, 1).expect("standard arithmetic").squares {
			assert!(0.0 < low && high - low < 1e-4 * low, "{low} {high}");
		}
	}
}
