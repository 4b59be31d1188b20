//! The exact availability bitmap: bit `i` says that the member holds update `i` and found it valid.
//!
//! Bits are little-endian within bytes (bit `i` is `bytes[i / 8] >> (i % 8) & 1`). There is exactly one encoding for a
//! set of updates: the length is `ceil(n / 8)` bytes and bits at `n` and beyond are zero, so that two members who
//! agree send the same bytes.

use alloc::{vec, vec::Vec};

/// How many bytes a bitmap over `n` updates takes.
pub const fn byte_len(n: u32) -> usize {
	(n as usize).div_ceil(8)
}

/// Whether `bytes` is the one canonical encoding of some set over `n` updates.
pub fn is_canonical(bytes: &[u8], n: u32) -> bool {
	bytes.len() == byte_len(n)
		&& (n.is_multiple_of(8) || bytes.last().is_none_or(|last| last >> (n % 8) == 0))
}

/// Whether bit `i` is set. A bit beyond the end is not set.
pub fn get(bytes: &[u8], i: u32) -> bool {
	bytes.get(i as usize / 8).is_some_and(|b| b >> (i % 8) & 1 == 1)
}

/// The canonical bitmap over `n` updates of those for which `f` holds.
pub fn from_fn(n: u32, mut f: impl FnMut(u32) -> bool) -> Vec<u8> {
	let mut bytes = vec![0u8; byte_len(n)];
	for i in 0..n {
		if f(i) {
			bytes[i as usize / 8] |= 1 << (i % 8);
		}
	}
	bytes
}

/// How many bits are set.
pub fn count(bytes: &[u8]) -> u32 {
	bytes.iter().map(|b| b.count_ones()).sum()
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn bitmap_round_trips_and_is_canonical() {
		for n in 0..40u32 {
			let map = from_fn(n, |i| i % 3 == 0);
			assert!(is_canonical(&map, n));
			assert_eq!(count(&map), (0..n).filter(|i| i % 3 == 0).count() as u32);
			for i in 0..n {
				assert_eq!(get(&map, i), i % 3 == 0);
			}
			assert!(!get(&map, n));
		}
	}

	#[test]
	fn bitmap_with_stray_bits_or_wrong_length_is_not_canonical() {
		assert!(!is_canonical(&[0b0010_0000], 5));
		assert!(is_canonical(&[0b0001_0000], 5));
		assert!(!is_canonical(&[0, 0], 5));
		assert!(!is_canonical(&[], 1));
		assert!(is_canonical(&[0xff], 8));
		assert!(is_canonical(&[], 0));
	}
}
