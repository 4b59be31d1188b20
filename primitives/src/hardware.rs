//! Evidence of what a device can do: the timed benchmark, the messages that keys sign, and what measured speed means
//! for the work a device is asked for.
//!
//! The benchmark has two parts, each run for a while and then counted: products of square f32 matrices, one made from
//! the other, and sweeps over a buffer that is larger than any cache. Its seed is a nonce that nobody knew before the
//! chain issued it, and its answer is a digest of the final state, so the counted work cannot have been done earlier,
//! skipped or borrowed from another device's run. How long it took is bounded by the chain's own clock.

use crate::{DeviceId, H256};
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;
#[cfg(feature = "serde")]
use serde::{Deserialize, Serialize};

/// Rows and columns of the benchmark's matrices.
pub const MATRIX_ORDER: u32 = 1_024;
/// Floating-point operations in one product: a multiplication and an addition for each of `MATRIX_ORDER³` terms.
pub const FLOP_PER_PRODUCT: u64 = 2 * (MATRIX_ORDER as u64) * (MATRIX_ORDER as u64) * (MATRIX_ORDER as u64);
/// Bytes of the buffer that sweeps run over.
pub const SWEEP_BUFFER: u32 = 64 << 20;
/// Bytes moved by one sweep: it reads and writes every word.
pub const BYTES_PER_SWEEP: u64 = 2 * SWEEP_BUFFER as u64;
/// How many times as fast as the chain's clock proves a device may claim to be. The rest is what each part of the
/// benchmark waits for: the other part, the nonce's finality, and the way of the answer into a block.
pub const TIMING_SLACK: u64 = 4;

/// Domain of [`attestation_nonce`].
pub const ATTESTATION_DOMAIN: &str = "cairn 2026-11 attestation nonce v1";
/// Domain of [`account_rotation_message`].
pub const ROTATION_DOMAIN: &str = "cairn 2026-11 device account rotation v1";

/// The benchmark's seed: from the hash of the block that took the request, which nobody knew before it was made.
pub fn attestation_nonce(genesis: &H256, block: &H256, device: DeviceId) -> H256 {
	let mut hasher = blake3::Hasher::new_derive_key(ATTESTATION_DOMAIN);
	hasher.update(genesis.as_bytes());
	hasher.update(block.as_bytes());
	hasher.update(&device.to_le_bytes());
	H256(*hasher.finalize().as_bytes())
}

/// What a device's next account key signs, with sr25519, to agree that it takes over from `old` on the chain `genesis`.
///
/// Without it, a site's owner could make somebody else's account a device's.
pub fn account_rotation_message(
	genesis: &H256,
	device: DeviceId,
	old: &[u8; 32],
	new: &[u8; 32],
) -> [u8; 32] {
	let mut hasher = blake3::Hasher::new_derive_key(ROTATION_DOMAIN);
	hasher.update(genesis.as_bytes());
	hasher.update(&device.to_le_bytes());
	hasher.update(old);
	hasher.update(new);
	*hasher.finalize().as_bytes()
}

/// What backs a device's evidence.
#[derive(
	Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub enum EvidenceKind {
	/// Attesters' statements about a timed benchmark.
	Measured,
}

/// How fast a device is.
#[derive(
	Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub struct Speed {
	/// Floating-point operations a second in products of f32 matrices.
	pub flops: u64,
	/// Bytes a second moved between memory and processor.
	pub bandwidth: u64,
}

impl Speed {
	/// The local steps a device of this speed is asked for, where one as fast as `reference` or faster is asked for
	/// `max`: proportional to the slower of its two measures, because a training step waits for that one; rounded
	/// down, at least 1, at most `max`.
	///
	/// ```
	/// use cairn_primitives::hardware::Speed;
	/// let reference = Speed { flops: 100, bandwidth: 20 };
	/// let steps = |flops, bandwidth| Speed { flops, bandwidth }.local_steps(&reference, 50);
	/// assert_eq!(steps(100, 20), 50);
	/// assert_eq!(steps(900, 20), 50);
	/// assert_eq!(steps(50, 20), 25);
	/// assert_eq!(steps(900, 4), 10);
	/// assert_eq!(steps(0, 20), 1);
	/// ```
	pub fn local_steps(&self, reference: &Self, max: u32) -> u32 {
		let share = |mine: u64, theirs: u64| {
			// u64 times u32 fits into u128.
			let steps = u128::from(mine) * u128::from(max) / u128::from(theirs.max(1));
			u32::try_from(steps).unwrap_or(u32::MAX)
		};
		share(self.flops, reference.flops)
			.min(share(self.bandwidth, reference.bandwidth))
			.clamp(1, max.max(1))
	}
}

/// What a device counted and timed in one run of the benchmark.
#[derive(
	Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub struct Measurement {
	/// Matrix products made.
	pub products: u32,
	/// Milliseconds they took.
	pub product_ms: u32,
	/// Sweeps over the buffer.
	pub sweeps: u32,
	/// Milliseconds they took.
	pub sweep_ms: u32,
	/// Digest of the final state of both parts.
	pub digest: H256,
}

impl Measurement {
	/// The speed it claims. `None` when a count or a time is zero.
	pub fn speed(&self) -> Option<Speed> {
		let rate = |count: u32, unit: u64, ms: u32| {
			if count == 0 || ms == 0 {
				return None;
			}
			// At most 2^32 * 2^31 * 1000, far below 2^128.
			let rate = u128::from(count) * u128::from(unit) * 1_000 / u128::from(ms);
			Some(u64::try_from(rate).unwrap_or(u64::MAX)).filter(|rate| *rate > 0)
		};
		Some(Speed {
			flops: rate(self.products, FLOP_PER_PRODUCT, self.product_ms)?,
			bandwidth: rate(self.sweeps, BYTES_PER_SWEEP, self.sweep_ms)?,
		})
	}

	/// Whether its times fit the `elapsed` milliseconds that the chain saw between issuing the nonce and taking the
	/// answer. All the work was done in that time, so a claim that passes is at most [`TIMING_SLACK`] times what the
	/// chain itself proves. A claim to have been slower only costs the device.
	pub fn fits(&self, elapsed: u64) -> bool {
		[self.product_ms, self.sweep_ms]
			.into_iter()
			.all(|ms| u64::from(ms).saturating_mul(TIMING_SLACK) >= elapsed)
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	fn measurement() -> Measurement {
		Measurement { products: 10, product_ms: 1_000, sweeps: 50, sweep_ms: 2_000, digest: H256([1; 32]) }
	}

	#[test]
	fn speed_is_work_by_time() {
		let speed = measurement().speed().expect("counts and times are not zero");
		assert_eq!(speed, Speed { flops: 10 * FLOP_PER_PRODUCT, bandwidth: 25 * BYTES_PER_SWEEP });
	}

	#[test]
	fn speed_is_none_when_a_count_or_a_time_is_zero() {
		for broken in [
			Measurement { products: 0, ..measurement() },
			Measurement { product_ms: 0, ..measurement() },
			Measurement { sweeps: 0, ..measurement() },
			Measurement { sweep_ms: 0, ..measurement() },
		] {
			assert_eq!(broken.speed(), None);
		}
	}

	#[test]
	fn speed_saturates_when_the_claim_is_absurd() {
		let absurd = Measurement { products: u32::MAX, product_ms: 1, ..measurement() };
		assert_eq!(absurd.speed().map(|s| s.flops), Some(u64::MAX));
	}

	#[test]
	fn claim_fits_when_each_part_took_a_fair_share_of_the_time() {
		assert!(measurement().fits(0));
		assert!(measurement().fits(4_000));
		assert!(!measurement().fits(4_001));
	}

	#[test]
	fn local_steps_stay_between_one_and_the_most_asked_for() {
		let reference = Speed { flops: 10, bandwidth: 10 };
		for max in [0, 1, 7, u32::MAX] {
			for flops in [0, 1, 5, 10, u64::MAX] {
				let steps = Speed { flops, bandwidth: u64::MAX }.local_steps(&reference, max);
				assert!((1..=max.max(1)).contains(&steps));
			}
		}
		let nothing = Speed { flops: 0, bandwidth: 0 };
		assert_eq!(Speed { flops: 1, bandwidth: 1 }.local_steps(&nothing, 9), 9);
	}

	#[test]
	fn messages_differ_by_each_of_their_parts() {
		let (a, b) = (H256([1; 32]), H256([2; 32]));
		assert_ne!(attestation_nonce(&a, &b, 0), attestation_nonce(&b, &a, 0));
		assert_ne!(attestation_nonce(&a, &b, 0), attestation_nonce(&a, &b, 1));
		let message = |device, old: u8, new: u8| account_rotation_message(&a, device, &[old; 32], &[new; 32]);
		assert_ne!(message(0, 1, 2), message(0, 2, 1));
		assert_ne!(message(0, 1, 2), message(1, 1, 2));
	}
}
