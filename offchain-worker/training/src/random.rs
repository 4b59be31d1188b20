//! Random numbers that are the same on every host: ChaCha20 streams, one per purpose.
//!
//! Only integer arithmetic, IEEE 754 basic operations and the pure-Rust functions of `libm` are used, never the
//! host's C library, whose last digits differ from system to system.

use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};

/// Domain of the stream keys.
const STREAM_DOMAIN: &str = "cairn 2026-11 training random stream v1";

/// One stream of random numbers.
pub struct Stream(ChaCha20Rng);

impl Stream {
	/// The stream for a purpose. Streams that differ in purpose, seed or any part are independent: each has its own
	/// key, derived with BLAKE3 from all of them.
	pub fn new(purpose: &str, seed: u64, parts: &[&[u8]]) -> Self {
		let mut hasher = blake3::Hasher::new_derive_key(STREAM_DOMAIN);
		let seed = seed.to_le_bytes();
		for part in [purpose.as_bytes(), &seed].iter().chain(parts) {
			hasher.update(&(part.len() as u64).to_le_bytes());
			hasher.update(part);
		}
		Self(ChaCha20Rng::from_seed(*hasher.finalize().as_bytes()))
	}

	/// Uniform in `0 .. n`, without bias (Lemire 2019).
	///
	/// # Panics
	/// When `n` is 0.
	pub fn below(&mut self, n: u32) -> u32 {
		let n = u64::from(n);
		let threshold = (1u64 << 32) % n;
		loop {
			let product = u64::from(self.0.next_u32()) * n;
			if product & 0xffff_ffff >= threshold {
				return (product >> 32) as u32;
			}
		}
	}

	/// A uniform permutation in place (Fisher & Yates). At most `u32::MAX` items.
	pub fn shuffle<T>(&mut self, items: &mut [T]) {
		for i in (1..items.len()).rev() {
			items.swap(i, self.below(i as u32 + 1) as usize);
		}
	}

	/// The next 64 bits.
	pub fn word(&mut self) -> u64 {
		self.0.next_u64()
	}

	/// Uniform in [-1, 1), a multiple of 2^-23.
	pub fn signed_unit(&mut self) -> f32 {
		(self.0.next_u32() >> 8) as f32 * (1.0 / 8_388_608.0) - 1.0
	}

	/// Uniform in (0, 1), never either end: an odd multiple of 2^-53.
	pub fn open_unit(&mut self) -> f64 {
		((self.0.next_u64() >> 12) as f64 + 0.5) * (1.0 / 4_503_599_627_370_496.0)
	}

	/// Standard normal (Marsaglia's polar method; the second variate is not kept).
	pub fn normal(&mut self) -> f64 {
		loop {
			let (x, y) = (2.0 * self.open_unit() - 1.0, 2.0 * self.open_unit() - 1.0);
			let s = x * x + y * y;
			if s < 1.0 && s > 0.0 {
				return x * (-2.0 * libm::log(s) / s).sqrt();
			}
		}
	}

	/// The logarithm of a Gamma(alpha, 1) variate (Marsaglia & Tsang 2000, with their boost for alpha < 1). The
	/// logarithm, because for small alpha the variate itself is below the least `f64`.
	fn ln_gamma_variate(&mut self, alpha: f64) -> f64 {
		let boost = if alpha < 1.0 { libm::log(self.open_unit()) / alpha } else { 0.0 };
		let d = if alpha < 1.0 { alpha + 1.0 } else { alpha } - 1.0 / 3.0;
		let c = 1.0 / (9.0 * d).sqrt();
		loop {
			let x = self.normal();
			let v = 1.0 + c * x;
			if v <= 0.0 {
				continue;
			}
			let v = v * v * v;
			let ln_v = libm::log(v);
			if libm::log(self.open_unit()) < 0.5 * x * x + d - d * v + d * ln_v {
				return libm::log(d) + ln_v + boost;
			}
		}
	}

	/// A draw from the symmetric Dirichlet distribution: `n` proportions that sum to about 1.
	pub fn dirichlet(&mut self, alpha: f64, n: usize) -> Vec<f64> {
		let logs: Vec<f64> = (0..n).map(|_| self.ln_gamma_variate(alpha)).collect();
		let largest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
		let weights: Vec<f64> = logs.iter().map(|l| libm::exp(l - largest)).collect();
		let sum: f64 = weights.iter().sum();
		weights.iter().map(|w| w / sum).collect()
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn streams_differ_when_purpose_seed_or_parts_differ() {
		let first =
			|purpose: &str, seed: u64, parts: &[&[u8]]| Stream::new(purpose, seed, parts).0.next_u64();
		let all = [
			first("a", 0, &[]),
			first("b", 0, &[]),
			first("a", 1, &[]),
			first("a", 0, &[b""]),
			first("a", 0, &[b"xy"]),
			first("a", 0, &[b"x", b"y"]),
		];
		for i in 0..all.len() {
			for j in 0..i {
				assert_ne!(all[i], all[j], "{i} {j}");
			}
		}
		assert_eq!(first("a", 0, &[b"xy"]), all[4]);
	}

	#[test]
	fn below_reaches_every_value_and_stays_below() {
		let mut stream = Stream::new("test", 1, &[]);
		let mut seen = [0u32; 7];
		for _ in 0..7000 {
			seen[stream.below(7) as usize] += 1;
		}
		// Six standard deviations around 1000.
		assert!(seen.iter().all(|n| (824..=1176).contains(n)), "{seen:?}");
		assert_eq!(stream.below(1), 0);
		assert!(stream.below(u32::MAX) < u32::MAX);
	}

	#[test]
	fn gamma_variates_have_the_mean_and_variance_of_their_shape() {
		for alpha in [0.1, 0.5, 1.0, 5.0] {
			let mut stream = Stream::new("test", 2, &[]);
			let n = 40_000;
			let draws: Vec<f64> = (0..n).map(|_| stream.ln_gamma_variate(alpha).exp()).collect();
			let mean = draws.iter().sum::<f64>() / n as f64;
			let variance = draws.iter().map(|d| (d - mean) * (d - mean)).sum::<f64>() / n as f64;
			// Six standard errors of the mean; a tenth for the variance.
			assert!((mean - alpha).abs() < 6.0 * (alpha / n as f64).sqrt(), "{alpha} {mean}");
			assert!((variance / alpha - 1.0).abs() < 0.12, "{alpha} {variance}");
		}
	}

	#[test]
	fn dirichlet_proportions_sum_to_one_even_for_tiny_alpha() {
		for alpha in [1e-3, 0.1, 1.0, 1e6] {
			let draw = Stream::new("test", 3, &[]).dirichlet(alpha, 9);
			assert!(draw.iter().all(|p| (0.0..=1.0).contains(p)), "{alpha} {draw:?}");
			assert!((draw.iter().sum::<f64>() - 1.0).abs() < 1e-9);
		}
	}
}
