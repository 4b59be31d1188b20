//! Products of all pairs of rows in binary32: sixteen at once, in whatever way the processor is fastest at.
//!
//! What comes out differs between processors in its last bits, and is part of no result: together with a bound on its
//! error it tells which distances have to be measured. See [`crate::distances`].

// Loops over the numbers of a tile: they are constants, and index several arrays at once.
#![allow(clippy::needless_range_loop)]

use crate::{
	arithmetic::{has_wide_vectors, vectorised},
	engine::{in_order, Parts, BLOCK},
	rows::{Buffers, Rows},
	sums::CHUNK,
	AggregationError,
};

/// Numbers in a vector.
const WIDTH: usize = 16;
/// Vectors in a block of one row.
const STEPS: usize = BLOCK / WIDTH;
/// Rows on one side of a tile.
const SIDE: usize = 4;
/// Blocks whose sums are added in binary32, before they go on in binary64.
const BLOCKS: usize = 16;

/// Elements nearer to zero count as zeros: products of the others are normal numbers, which processors are fast at, or
/// infinite.
pub(crate) const LEAST: f32 = f32::from_bits((127 - 63) << 23);
/// How often, at most, a product is rounded to binary32 on its way to a sum in binary64: itself, where it is not fused
/// with the sum; with the sums over a block's vectors; and with those over blocks.
pub(crate) const ROUNDINGS: usize = 1 + STEPS + BLOCKS;
/// How often, at most, it is rounded to binary64 within its part of the rows: with the sums over a vector's numbers and
/// over what a part has of `BLOCKS` blocks.
pub(crate) const WIDE_ROUNDINGS: usize = WIDTH + CHUNK / (BLOCK * BLOCKS) + 1;

/// Sixteen numbers, where vectors of 64 bytes like to be.
#[derive(Clone, Copy, Default)]
#[repr(C, align(64))]
struct Line([f32; WIDTH]);

/// ⟨*xᵢ*, *xⱼ*⟩ of all pairs of rows.
pub(crate) struct Products {
	sides: usize,
	sums: Vec<f64>,
}

impl Products {
	/// Computes them, in one walk over the updates. It needs 72 bytes per pair of rows and thread, and 2 KiB per row and
	/// thread.
	pub(crate) fn of(rows: &Rows, threads: usize) -> Result<Self, AggregationError> {
		let sides = rows.count().div_ceil(SIDE);
		let count = sides * (sides + 1) / 2 * SIDE * SIDE;
		let sums = in_order(Parts::of(rows.like()), count, threads, |part, sums| {
			let mut buffers = Buffers::default();
			// Rows of zeros fill the last tiles.
			let packed = &mut vec![Line::default(); sides * SIDE * STEPS][..];
			let mut lanes = vec![Line::default(); count];
			let mut blocks = part.blocks().enumerate().peekable();
			while let Some((number, block)) = blocks.next() {
				rows.columns(block, &mut buffers, |columns| {
					with_widest!(pack(columns: &[&[f32]], packed: &mut [Line]));
				});
				let next: Vec<&[f32]> = match blocks.peek() {
					Some((_, next)) => rows.updates().iter().map(|update| next.of(update)).collect(),
					None => Vec::new(),
				};
				let (rows, next, lanes) = (&*packed, &next[..], &mut lanes[..]);
				with_widest!(add_all_products(rows: &[Line], next: &[&[f32]], lanes: &mut [Line]));
				if (number + 1) % BLOCKS == 0 || next.is_empty() {
					let sums = &mut *sums;
					vectorised!(move_on(lanes: &mut [Line], sums: &mut [f64]));
				}
			}
		})?;
		Ok(Self { sides, sums })
	}

	/// That of the rows `i` ≤ `j`; not finite where something on the way left the range of binary32.
	pub(crate) fn between(&self, i: usize, j: usize) -> f64 {
		let (a, b) = (i / SIDE, j / SIDE);
		// Before side a's own tiles come those of the sides 0 to a − 1: `sides`, `sides` − 1, … of them.
		let tile = a * (2 * self.sides - a + 1) / 2 + (b - a);
		self.sums[(tile * SIDE + i % SIDE) * SIDE + j % SIDE]
	}
}

/// Adds sums in binary32 to those in binary64, and starts again with zeros.
#[inline(always)]
fn move_on(lanes: &mut [Line], sums: &mut [f64]) {
	for (line, sum) in lanes.iter_mut().zip(sums) {
		let mut wide = line.0.map(f64::from);
		let mut half = WIDTH / 2;
		while half > 0 {
			for i in 0..half {
				wide[i] += wide[i + half];
			}
			half /= 2;
		}
		*sum += wide[0];
		*line = Line::default();
	}
}

/// Calls a function of this module, which is generic over the vectors to use, with the processor's widest:
/// `with_widest!(function(name: Type, …))` with arguments of these names.
macro_rules! with_widest {
	($function:ident($($argument:ident: $type:ty),* $(,)?)) => {{
		#[cfg(target_arch = "x86_64")]
		{
			#[target_feature(enable = "avx512f")]
			fn with_avx512($($argument: $type),*) {
				$function::<x86::Whole, 4>($($argument),*)
			}
			#[target_feature(enable = "avx2,fma")]
			fn with_fma($($argument: $type),*) {
				$function::<x86::Halves, 2>($($argument),*)
			}
			if has_wide_vectors() {
				// SAFETY: all that `with_avx512` asks for is the feature that was just found.
				unsafe { with_avx512($($argument),*) }
			} else if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
				// SAFETY: all that `with_fma` asks for are the features that were just found.
				unsafe { with_fma($($argument),*) }
			} else {
				$function::<[f32; WIDTH], 2>($($argument),*)
			}
		}
		#[cfg(not(target_arch = "x86_64"))]
		$function::<[f32; WIDTH], 2>($($argument),*)
	}};
}
use with_widest;

/// Sixteen numbers side by side.
trait Sixteen: Copy {
	fn load(from: &Line) -> Self;
	fn store(self, to: &mut Line);
	/// These numbers, without what is below [`LEAST`].
	fn kept(from: &[f32; WIDTH]) -> Self;
	/// `self` + `a` · `b`, with one rounding or with two.
	fn plus_product(self, a: Self, b: Self) -> Self;
	/// `self` + `a`.
	fn plus(self, a: Self) -> Self;
	/// Has the cache line of this number brought near.
	fn prefetch(from: &f32);
}

impl Sixteen for [f32; WIDTH] {
	#[inline(always)]
	fn load(from: &Line) -> Self {
		from.0
	}

	#[inline(always)]
	fn store(self, to: &mut Line) {
		to.0 = self;
	}

	#[inline(always)]
	fn kept(from: &[f32; WIDTH]) -> Self {
		from.map(|x| if x.abs() >= LEAST { x } else { 0.0 })
	}

	#[inline(always)]
	fn plus_product(mut self, a: Self, b: Self) -> Self {
		for ((sum, x), y) in self.iter_mut().zip(a).zip(b) {
			// Where the processor has no such instruction, `mul_add` is a function that computes it, very slowly.
			*sum = if cfg!(target_arch = "aarch64") { x.mul_add(y, *sum) } else { *sum + x * y };
		}
		self
	}

	#[inline(always)]
	fn plus(mut self, a: Self) -> Self {
		for (sum, x) in self.iter_mut().zip(a) {
			*sum += x;
		}
		self
	}

	#[inline(always)]
	fn prefetch(_: &f32) {}
}

#[cfg(target_arch = "x86_64")]
mod x86 {
	use super::{Line, Sixteen, LEAST, WIDTH};
	use std::arch::x86_64::*;

	/// One vector of 512 bits. Used only where the processor has them.
	#[derive(Clone, Copy)]
	pub(super) struct Whole(__m512);

	/// Two vectors of 256 bits. Used only where the processor has them, and fused products and sums.
	#[derive(Clone, Copy)]
	pub(super) struct Halves(__m256, __m256);

	impl Sixteen for Whole {
		#[inline(always)]
		fn load(from: &Line) -> Self {
			// SAFETY: see the type; a line is sixteen numbers, aligned to their size.
			unsafe { Self(_mm512_load_ps(from.0.as_ptr())) }
		}

		#[inline(always)]
		fn store(self, to: &mut Line) {
			// SAFETY: as for `load`.
			unsafe { _mm512_store_ps(to.0.as_mut_ptr(), self.0) }
		}

		#[inline(always)]
		fn kept(from: &[f32; WIDTH]) -> Self {
			// SAFETY: see the type; sixteen numbers are read where there are sixteen.
			unsafe {
				let all = _mm512_loadu_ps(from.as_ptr());
				let kept = _mm512_cmp_ps_mask::<_CMP_GE_OQ>(_mm512_abs_ps(all), _mm512_set1_ps(LEAST));
				Self(_mm512_maskz_mov_ps(kept, all))
			}
		}

		#[inline(always)]
		fn plus_product(self, a: Self, b: Self) -> Self {
			// SAFETY: see the type.
			unsafe { Self(_mm512_fmadd_ps(a.0, b.0, self.0)) }
		}

		#[inline(always)]
		fn plus(self, a: Self) -> Self {
			// SAFETY: see the type.
			unsafe { Self(_mm512_add_ps(self.0, a.0)) }
		}

		#[inline(always)]
		fn prefetch(from: &f32) {
			// SAFETY: every processor that has 64 bits has it, and it reads nothing.
			unsafe { _mm_prefetch::<_MM_HINT_T1>(std::ptr::from_ref(from).cast()) }
		}
	}

	impl Sixteen for Halves {
		#[inline(always)]
		fn load(from: &Line) -> Self {
			let (low, high) = from.0.split_at(WIDTH / 2);
			// SAFETY: see the type; eight numbers are read where there are eight.
			unsafe { Self(_mm256_loadu_ps(low.as_ptr()), _mm256_loadu_ps(high.as_ptr())) }
		}

		#[inline(always)]
		fn store(self, to: &mut Line) {
			let (low, high) = to.0.split_at_mut(WIDTH / 2);
			// SAFETY: see the type; eight numbers are written where there is room for eight.
			unsafe {
				_mm256_storeu_ps(low.as_mut_ptr(), self.0);
				_mm256_storeu_ps(high.as_mut_ptr(), self.1);
			}
		}

		#[inline(always)]
		fn kept(from: &[f32; WIDTH]) -> Self {
			let (low, high) = from.split_at(WIDTH / 2);
			// SAFETY: see the type; eight numbers are read where there are eight.
			unsafe {
				let sign = _mm256_set1_ps(-0.0);
				let kept = |all| {
					let size = _mm256_andnot_ps(sign, all);
					_mm256_and_ps(_mm256_cmp_ps::<_CMP_GE_OQ>(size, _mm256_set1_ps(LEAST)), all)
				};
				let (low, high) = (_mm256_loadu_ps(low.as_ptr()), _mm256_loadu_ps(high.as_ptr()));
				Self(kept(low), kept(high))
			}
		}

		#[inline(always)]
		fn plus_product(self, a: Self, b: Self) -> Self {
			// SAFETY: see the type.
			unsafe { Self(_mm256_fmadd_ps(a.0, b.0, self.0), _mm256_fmadd_ps(a.1, b.1, self.1)) }
		}

		#[inline(always)]
		fn plus(self, a: Self) -> Self {
			// SAFETY: see the type.
			unsafe { Self(_mm256_add_ps(self.0, a.0), _mm256_add_ps(self.1, a.1)) }
		}

		#[inline(always)]
		fn prefetch(from: &f32) {
			Whole::prefetch(from);
		}
	}
}

/// Copies a block of each row, without what is too near to zero.
#[inline(always)]
fn pack<V: Sixteen, const S: usize>(columns: &[&[f32]], packed: &mut [Line]) {
	for (to, column) in packed.chunks_exact_mut(STEPS).zip(columns) {
		let (whole, rest) = column.as_chunks::<WIDTH>();
		for (to, from) in to.iter_mut().zip(whole) {
			V::kept(from).store(to);
		}
		if let Some((next, behind)) = to[whole.len()..].split_first_mut() {
			let mut last = [0.0; WIDTH];
			last[..rest.len()].copy_from_slice(rest);
			V::kept(&last).store(next);
			behind.fill(Line::default());
		}
	}
}

/// Adds the products of all pairs of packed rows to the sums of their tiles, of `S` rows, a divisor of [`SIDE`], and `S`
/// others at a time: each number that is loaded then serves `S` pairs. `next` is what will be packed next.
#[inline(always)]
fn add_all_products<V: Sixteen, const S: usize>(rows: &[Line], next: &[&[f32]], lanes: &mut [Line]) {
	let sides = rows.len() / (SIDE * STEPS);
	let mut next = next.iter();
	// Two sides a and a + 1 against all others, so that each of these is fetched from the second-level cache half as
	// often.
	for first in (0..sides).step_by(2) {
		for b in first..sides {
			for a in first..sides.min(first + 2).min(b + 1) {
				let tile = a * (2 * sides - a + 1) / 2 + (b - a);
				let lanes = &mut lanes[tile * SIDE * SIDE..][..SIDE * SIDE];
				let side = |number: usize| &rows[number * SIDE * STEPS..][..SIDE * STEPS];
				tile_of::<V, S>(side(a), side(b), next.next().copied().unwrap_or_default(), lanes);
			}
		}
	}
}

/// Adds the products of each of the rows `a` and each of the rows `b`, of which there are [`SIDE`].
#[inline(always)]
fn tile_of<V: Sixteen, const S: usize>(a: &[Line], b: &[Line], next: &[f32], lanes: &mut [Line]) {
	let zeros = V::load(&Line::default());
	for i in (0..SIDE).step_by(S) {
		for j in (0..SIDE).step_by(S) {
			let mut sums = [[zeros; S]; S];
			let (a, b) = (&a[i * STEPS..][..S * STEPS], &b[j * STEPS..][..S * STEPS]);
			for k in 0..STEPS {
				let mut x = [zeros; S];
				for r in 0..S {
					x[r] = V::load(&a[r * STEPS + k]);
				}
				for c in 0..S {
					let y = V::load(&b[c * STEPS + k]);
					for r in 0..S {
						sums[r][c] = sums[r][c].plus_product(x[r], y);
					}
				}
				if i + j == 0 {
					if let Some(x) = next.get(k * WIDTH) {
						V::prefetch(x);
					}
				}
			}
			for r in 0..S {
				for c in 0..S {
					let lane = &mut lanes[(i + r) * SIDE + j + c];
					V::load(lane).plus(sums[r][c]).store(lane);
				}
			}
		}
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	type Way = (fn(&[&[f32]], &mut [Line]), fn(&[Line], &[&[f32]], &mut [Line]));

	/// Every way that this processor has.
	fn ways() -> Vec<Way> {
		let mut ways: Vec<Way> = vec![
			(pack::<[f32; WIDTH], 2>, add_all_products::<[f32; WIDTH], 2>),
			(pack::<[f32; WIDTH], 4>, add_all_products::<[f32; WIDTH], 4>),
		];
		#[cfg(target_arch = "x86_64")]
		{
			if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
				ways.push((pack::<x86::Halves, 2>, add_all_products::<x86::Halves, 2>));
			}
			if has_wide_vectors() {
				ways.push((pack::<x86::Whole, 4>, add_all_products::<x86::Whole, 4>));
			}
		}
		ways
	}

	#[test]
	fn every_way_of_multiplying_rounds_no_more_often_than_said() {
		for n in [1usize, 2, 4, 5, 9, 13] {
			for len in [1, 15, 16, 100, BLOCK] {
				let number = |i: usize| match i % 11 {
					0 => LEAST / 2.0,
					1 => -LEAST,
					_ => (i as f32 * 0.7).sin() * 10f32.powi((i % 9) as i32 - 4),
				};
				let data: Vec<Vec<f32>> =
					(0..n).map(|row| (0..len).map(|c| number(row * len + c)).collect()).collect();
				let columns: Vec<&[f32]> = data.iter().map(|row| &row[..]).collect();
				let sides = n.div_ceil(SIDE);
				let count = sides * (sides + 1) / 2 * SIDE * SIDE;
				for (way, (pack, add)) in ways().into_iter().enumerate() {
					// What is there from the block before must not stay.
					let mut packed = vec![Line([0.0; WIDTH]); sides * SIDE * STEPS];
					packed[..n * STEPS].fill(Line([f32::NAN; WIDTH]));
					pack(&columns, &mut packed);
					let mut lanes = vec![Line::default(); count];
					let mut products = Products { sides, sums: vec![0.0; count] };
					// As often as sums are added in binary32.
					for _ in 0..BLOCKS {
						add(&packed, &columns, &mut lanes);
					}
					move_on(&mut lanes, &mut products.sums);
					assert!(lanes.iter().all(|line| line.0 == [0.0; WIDTH]));
					for i in 0..n {
						for j in i..n {
							let terms = || {
								let kept = |x: &f32| if x.abs() < LEAST { 0.0 } else { f64::from(*x) };
								data[i].iter().zip(&data[j]).map(move |(x, y)| kept(x) * kept(y))
							};
							let expected = terms().sum::<f64>() * BLOCKS as f64;
							let size = terms().map(f64::abs).sum::<f64>() * BLOCKS as f64;
							let found = products.between(i, j);
							let most = size * ROUNDINGS as f64 * 2f64.powi(-24) * 1.001;
							assert!(
								(found - expected).abs() <= most,
								"way {way}, rows {i} and {j} of {n}, {len} elements: {found}, not {expected}"
							);
						}
					}
				}
			}
		}
	}
}
