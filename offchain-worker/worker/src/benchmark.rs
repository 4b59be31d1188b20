//! The timed benchmark behind a device's evidence: matrix products and memory sweeps from a nonce, and a digest of
//! what they lead to.
//!
//! - **The same digest everywhere.** Matrix entries are whole numbers from -4 to 3, so every sum in a product of
//!   [`MATRIX_ORDER`] terms is a whole number far below 2^24 and exact in f32: neither the order of the additions, nor
//!   fused multiply-add, nor the number of threads, nor another processor changes a bit. Sweeps are integer arithmetic.
//! - **No short cut.** A product's result goes through a function that is not linear before it is multiplied again, so
//!   many products cannot be folded into few. A sweep's key is made from the sum over the whole buffer after the sweep
//!   before, so no part of the buffer can be swept ahead while it is in a cache.
//! - **Whoever checks runs it again**, for the counts that the device states.

use cairn_primitives::{
	hardware::{Measurement, MATRIX_ORDER, SWEEP_BUFFER},
	H256,
};
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};
use std::{
	ops::ControlFlow,
	thread,
	time::{Duration, Instant},
};

/// Domain of the digest.
const DIGEST_DOMAIN: &str = "cairn 2026-11 benchmark digest v1";
/// Multipliers without structure: the golden ratio's fraction in 32 and 64 bits.
const GOLDEN_32: u32 = 0x9E37_79B1;
const GOLDEN_64: u64 = 0x9E37_79B9_7F4A_7C15;
/// Another one, for places.
const PLACE: u32 = 0x85EB_CA6B;
/// Columns of one step through a product: with four rows, what the vector registers hold.
const COLUMNS: usize = 16;
/// Rows of the same.
const ROWS: usize = 4;

/// How large the two parts are. Evidence is always for [`Size::FULL`]; tests use less.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Size {
	/// Rows and columns of the matrices; a multiple of [`COLUMNS`] and [`ROWS`], at most 2^19.
	order: usize,
	/// Words of the buffer.
	words: usize,
}

impl Size {
	const FULL: Self = Self { order: MATRIX_ORDER as usize, words: SWEEP_BUFFER as usize / 8 };
}

/// What is under way, for a progress bar.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
	/// Matrix products.
	Products,
	/// Memory sweeps.
	Sweeps,
}

/// How far the benchmark is; breaking stops it.
pub type Progress<'a> = &'a mut dyn FnMut(Part, u32, Duration) -> ControlFlow<()>;

/// Why there is no result.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BenchmarkError {
	/// The caller asked to stop.
	#[error("the benchmark was stopped")]
	Stopped,
}

/// Runs each part for at least `duration`, and at least once, and measures it. Blocks, and keeps `threads` cores busy.
///
/// # Errors
/// When `progress` asks to stop.
pub fn measure(
	nonce: &H256,
	duration: Duration,
	threads: usize,
	progress: Progress<'_>,
) -> Result<Measurement, BenchmarkError> {
	// A day in milliseconds fits into 32 bits many times over.
	let duration = duration.min(Duration::from_secs(86_400));
	let mut products = Products::new(nonce, Size::FULL, threads);
	let product_ms = timed(duration, |spent| {
		products.step();
		progress(Part::Products, products.count, spent)
	})?;
	let mut sweeps = Sweeps::new(nonce, Size::FULL, threads);
	let sweep_ms = timed(duration, |spent| {
		sweeps.step();
		progress(Part::Sweeps, sweeps.count, spent)
	})?;
	let digest = digest(nonce, &products, &sweeps);
	Ok(Measurement { products: products.count, product_ms, sweeps: sweeps.count, sweep_ms, digest })
}

/// The digest of a run with these counts. Blocks, and keeps `threads` cores busy.
///
/// # Errors
/// When `progress` asks to stop.
pub fn replay(
	nonce: &H256,
	count: (u32, u32),
	threads: usize,
	progress: Progress<'_>,
) -> Result<H256, BenchmarkError> {
	replay_of_size(nonce, Size::FULL, count, threads, progress)
}

fn replay_of_size(
	nonce: &H256,
	size: Size,
	(product_count, sweep_count): (u32, u32),
	threads: usize,
	progress: Progress<'_>,
) -> Result<H256, BenchmarkError> {
	let started = Instant::now();
	let mut products = Products::new(nonce, size, threads);
	while products.count < product_count {
		products.step();
		go_on(progress(Part::Products, products.count, started.elapsed()))?;
	}
	let mut sweeps = Sweeps::new(nonce, size, threads);
	while sweeps.count < sweep_count {
		sweeps.step();
		go_on(progress(Part::Sweeps, sweeps.count, started.elapsed()))?;
	}
	Ok(digest(nonce, &products, &sweeps))
}

/// How fast this machine is, roughly, by one product and one sweep.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pace {
	/// Time of a product.
	pub product: Duration,
	/// Time of a sweep.
	pub sweep: Duration,
}

impl Pace {
	/// Takes the time. Blocks.
	pub fn take(threads: usize) -> Self {
		let nonce = H256::zero();
		let mut products = Products::new(&nonce, Size::FULL, threads);
		let started = Instant::now();
		products.step();
		let product = started.elapsed();
		let mut sweeps = Sweeps::new(&nonce, Size::FULL, threads);
		let started = Instant::now();
		sweeps.step();
		Self { product, sweep: started.elapsed() }
	}

	/// The faster of two takes, part by part.
	#[must_use]
	pub fn better(self, other: Self) -> Self {
		Self { product: self.product.min(other.product), sweep: self.sweep.min(other.sweep) }
	}

	/// How long a run with these counts takes here.
	pub fn of(&self, measurement: &Measurement) -> Duration {
		let products = self.product.saturating_mul(measurement.products);
		products.saturating_add(self.sweep.saturating_mul(measurement.sweeps))
	}
}

fn go_on(flow: ControlFlow<()>) -> Result<(), BenchmarkError> {
	match flow {
		ControlFlow::Continue(()) => Ok(()),
		ControlFlow::Break(()) => Err(BenchmarkError::Stopped),
	}
}

/// Repeats `step` until `duration` is over; the milliseconds it took, at least 1.
fn timed(
	duration: Duration,
	mut step: impl FnMut(Duration) -> ControlFlow<()>,
) -> Result<u32, BenchmarkError> {
	let started = Instant::now();
	loop {
		go_on(step(started.elapsed()))?;
		let spent = started.elapsed();
		if spent >= duration {
			// Rounded up: a rounded time must never make a device faster than it is.
			let ms = spent.as_nanos().div_ceil(1_000_000).max(1);
			return Ok(u32::try_from(ms).unwrap_or(u32::MAX));
		}
	}
}

/// One stream of random numbers for each purpose, all from the nonce.
fn stream(nonce: &H256, purpose: u64) -> ChaCha20Rng {
	let mut stream = ChaCha20Rng::from_seed(nonce.0);
	stream.set_stream(purpose);
	stream
}

/// A matrix entry from three random bits.
fn entry(bits: u32) -> f32 {
	(bits & 7) as f32 - 4.0
}

/// `state ← mix(state × factor)`, again and again.
struct Products {
	size: Size,
	threads: usize,
	/// Row after row.
	state: Vec<f32>,
	/// [`COLUMNS`] columns at a time, each time row after row: the order in which a product reads it.
	factor: Vec<f32>,
	result: Vec<f32>,
	count: u32,
}

impl Products {
	fn new(nonce: &H256, size: Size, threads: usize) -> Self {
		let matrix = |purpose| {
			let mut stream = stream(nonce, purpose);
			(0..size.order * size.order).map(|_| entry(stream.next_u32())).collect::<Vec<_>>()
		};
		let rows = matrix(1);
		let mut factor = Vec::with_capacity(rows.len());
		for column in (0..size.order).step_by(COLUMNS) {
			for row in rows.chunks_exact(size.order) {
				factor.extend_from_slice(&row[column..][..COLUMNS]);
			}
		}
		let result = vec![0.0; size.order * size.order];
		Self { size, threads: threads.max(1), state: matrix(0), factor, result, count: 0 }
	}

	fn step(&mut self) {
		let order = self.size.order;
		let (state, factor) = (&self.state, &self.factor);
		// Whole bands of rows, so that no band is shared.
		let bands = order / ROWS;
		let rows = bands.div_ceil(self.threads.min(bands)) * ROWS;
		thread::scope(|scope| {
			for (index, result) in self.result.chunks_mut(rows * order).enumerate() {
				let state = &state[index * rows * order..][..result.len()];
				scope.spawn(move || multiply(state, factor, result, order));
			}
		});
		self.count = self.count.wrapping_add(1);
		let count = self.count;
		for (place, (state, sum)) in self.state.iter_mut().zip(&self.result).enumerate() {
			// Exact: the sum is a whole number of at most 15 bits and a sign.
			let bits = (*sum as i32 as u32)
				.wrapping_add((place as u32).wrapping_mul(PLACE))
				.wrapping_add(count)
				.wrapping_mul(GOLDEN_32);
			*state = entry(bits >> 29);
		}
	}
}

/// Rows of `state` times `factor`.
fn multiply(state: &[f32], factor: &[f32], result: &mut [f32], order: usize) {
	#[cfg(target_arch = "x86_64")]
	if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
		// SAFETY: the processor has both features, which was asked one line above.
		return unsafe { multiply_avx2(state, factor, result, order) };
	}
	multiply_rows::<false>(state, factor, result, order);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn multiply_avx2(state: &[f32], factor: &[f32], result: &mut [f32], order: usize) {
	multiply_rows::<true>(state, factor, result, order);
}

/// The product, [`ROWS`] rows and [`COLUMNS`] columns at a time. `FUSED` only where the processor has the instruction;
/// the sums are exact either way.
#[inline(always)]
fn multiply_rows<const FUSED: bool>(state: &[f32], factor: &[f32], result: &mut [f32], order: usize) {
	for (panel, factor) in factor.chunks_exact(COLUMNS * order).enumerate() {
		let column = panel * COLUMNS;
		for (band, out) in state.chunks_exact(ROWS * order).zip(result.chunks_exact_mut(ROWS * order)) {
			let mut sums = [[0f32; COLUMNS]; ROWS];
			for (k, right) in factor.chunks_exact(COLUMNS).enumerate() {
				for (row, sums) in sums.iter_mut().enumerate() {
					let left = band[row * order + k];
					for (sum, right) in sums.iter_mut().zip(right) {
						*sum = if FUSED { left.mul_add(*right, *sum) } else { *sum + left * right };
					}
				}
			}
			for (row, sums) in sums.iter().enumerate() {
				out[row * order + column..][..COLUMNS].copy_from_slice(sums);
			}
		}
	}
}

/// `word ← mix(word, key)` for every word of a buffer, and the next key from their sum.
struct Sweeps {
	threads: usize,
	words: Vec<u64>,
	key: u64,
	count: u32,
}

impl Sweeps {
	fn new(nonce: &H256, size: Size, threads: usize) -> Self {
		let mut stream = stream(nonce, 2);
		let key = stream.next_u64();
		let words = (0..size.words).map(|_| stream.next_u64()).collect();
		Self { threads: threads.max(1), words, key, count: 0 }
	}

	fn step(&mut self) {
		let key = self.key;
		let share = self.words.len().div_ceil(self.threads).max(1);
		let sum = thread::scope(|scope| {
			let parts: Vec<_> =
				self.words.chunks_mut(share).map(|words| scope.spawn(move || sweep(words, key))).collect();
			// A sum that wraps does not depend on its order.
			parts
				.into_iter()
				.map(|part| part.join().expect("a sweep does not panic; qed"))
				.fold(0u64, u64::wrapping_add)
		});
		self.key = (key.rotate_left(23) ^ sum).wrapping_mul(GOLDEN_64);
		self.count = self.count.wrapping_add(1);
	}
}

fn sweep(words: &mut [u64], key: u64) -> u64 {
	let mut sum = 0u64;
	for word in words {
		let mixed = (*word ^ key).wrapping_mul(GOLDEN_64);
		*word = mixed ^ (mixed >> 29);
		sum = sum.wrapping_add(*word);
	}
	sum
}

fn digest(nonce: &H256, products: &Products, sweeps: &Sweeps) -> H256 {
	let mut hasher = blake3::Hasher::new_derive_key(DIGEST_DOMAIN);
	hasher.update(nonce.as_bytes());
	hasher.update(&products.count.to_le_bytes());
	let mut bytes = Vec::with_capacity(1 << 16);
	for entries in products.state.chunks(1 << 16) {
		bytes.clear();
		// Entries are whole numbers from -4 to 3.
		bytes.extend(entries.iter().map(|e| *e as i8 as u8));
		hasher.update(&bytes);
	}
	hasher.update(&sweeps.count.to_le_bytes());
	hasher.update(&sweeps.key.to_le_bytes());
	for words in sweeps.words.chunks(1 << 13) {
		bytes.clear();
		bytes.extend(words.iter().flat_map(|w| w.to_le_bytes()));
		hasher.update(&bytes);
	}
	H256(*hasher.finalize().as_bytes())
}

#[cfg(test)]
mod tests {
	#![allow(clippy::unwrap_used)]
	use super::*;

	const NONCE: H256 = H256([7; 32]);
	const SMALL: Size = Size { order: 64, words: 1_000 };

	fn quiet() -> impl FnMut(Part, u32, Duration) -> ControlFlow<()> {
		|_, _, _| ControlFlow::Continue(())
	}

	fn small(nonce: &H256, count: (u32, u32), threads: usize) -> H256 {
		replay_of_size(nonce, SMALL, count, threads, &mut quiet()).unwrap()
	}

	#[test]
	fn digest_is_the_same_on_any_number_of_threads() {
		let alone = small(&NONCE, (3, 4), 1);
		for threads in [0, 2, 3, 5, 16, 1_000] {
			assert_eq!(small(&NONCE, (3, 4), threads), alone, "{threads}");
		}
	}

	#[test]
	fn digest_never_changes() {
		// Devices and attesters of all releases must come to the same.
		let expected = "1a628682c44be6c42272752746fd967daa1005b5d2b40960ce3c7806ccc0bc0d";
		assert_eq!(hex::encode(small(&NONCE, (3, 4), 2)), expected);
	}

	#[test]
	fn digest_depends_on_nonce_and_on_both_counts() {
		let one = small(&NONCE, (3, 4), 2);
		assert_ne!(small(&H256([8; 32]), (3, 4), 2), one);
		assert_ne!(small(&NONCE, (4, 4), 2), one);
		assert_ne!(small(&NONCE, (3, 5), 2), one);
	}

	#[test]
	fn product_is_exact_in_whatever_way_it_is_computed() {
		let mut products = Products::new(&NONCE, SMALL, 2);
		for _ in 0..3 {
			let (state, factor) = (products.state.clone(), products.factor.clone());
			products.step();
			let order = SMALL.order;
			let mut plain = vec![0f32; order * order];
			multiply_rows::<false>(&state, &factor, &mut plain, order);
			assert_eq!(plain, products.result);
			for row in 0..order {
				for column in 0..order {
					let sum: i64 = (0..order)
						.map(|k| {
							let panel = column / COLUMNS * COLUMNS * order;
							let right = factor[panel + k * COLUMNS + column % COLUMNS];
							state[row * order + k] as i64 * right as i64
						})
						.sum();
					assert_eq!(products.result[row * order + column] as i64, sum);
				}
			}
		}
	}

	#[test]
	fn largest_sum_is_exact_in_f32() {
		const { assert!(16 * Size::FULL.order < 1 << 24) };
		const { assert!(Size::FULL.order.is_multiple_of(COLUMNS) && Size::FULL.order.is_multiple_of(ROWS)) };
	}

	#[test]
	fn entries_keep_varying_from_product_to_product() {
		let mut products = Products::new(&NONCE, SMALL, 1);
		for _ in 0..20 {
			products.step();
			for value in -4..4 {
				let found = products.state.iter().filter(|e| **e == value as f32).count();
				// An eighth of 4096 is 512.
				assert!((350..700).contains(&found), "{value}: {found}");
			}
		}
	}

	#[test]
	fn next_sweep_depends_on_every_word() {
		let mut one = Sweeps::new(&NONCE, SMALL, 2);
		let mut other = Sweeps::new(&NONCE, SMALL, 2);
		other.words[999] ^= 1;
		one.step();
		other.step();
		assert_ne!(one.key, other.key);
		one.step();
		other.step();
		assert_ne!(one.words[0], other.words[0]);
	}

	#[test]
	fn run_lasts_as_long_as_it_is_asked_to_and_at_least_one_step() {
		let mut steps = 0;
		let ms = timed(Duration::ZERO, |_| {
			steps += 1;
			ControlFlow::Continue(())
		});
		assert!(ms.unwrap() >= 1);
		assert_eq!(steps, 1);
		let ms = timed(Duration::from_millis(20), |_| {
			thread::sleep(Duration::from_millis(3));
			ControlFlow::Continue(())
		});
		assert!(ms.unwrap() >= 20);
	}

	#[test]
	fn run_stops_when_asked_to() {
		let mut stop = |_: Part, _: u32, _: Duration| ControlFlow::Break(());
		let outcome = replay_of_size(&NONCE, SMALL, (5, 5), 1, &mut stop);
		assert_eq!(outcome, Err(BenchmarkError::Stopped));
	}
}
