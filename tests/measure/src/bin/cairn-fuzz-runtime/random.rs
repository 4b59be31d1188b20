//! Random numbers from a seed.

use codec::Encode;
use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};
use sp_io::hashing::blake2_256;

/// The same numbers for the same seed and batch, on every machine.
pub struct Random(ChaCha8Rng);

impl Random {
	/// For one batch of a run.
	pub fn new(seed: u64, batch: u64) -> Self {
		Self(ChaCha8Rng::from_seed((b"cairn/fuzz", seed, batch).using_encoded(blake2_256)))
	}

	/// Any number.
	pub fn next(&mut self) -> u64 {
		self.0.next_u64()
	}

	/// A number below `limit`, or 0. Not quite uniform, which nothing here needs.
	pub fn below(&mut self, limit: u64) -> u64 {
		self.next() % limit.max(1)
	}

	/// Whether something happens that does in so many per cent of all cases.
	pub fn chance(&mut self, per_cent: u64) -> bool {
		self.below(100) < per_cent
	}

	/// One of some. Panics when there is none.
	pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
		&of[self.below(of.len() as u64) as usize]
	}

	/// 32 random bytes.
	pub fn bytes32(&mut self) -> [u8; 32] {
		let mut bytes = [0; 32];
		self.0.fill_bytes(&mut bytes);
		bytes
	}
}
