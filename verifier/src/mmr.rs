//! The chain's Merkle mountain range: what a leaf says, and the path from a leaf to the range's root.
//!
//! The range is that of `pallet-mmr` with BLAKE2-256. Leaf `n` is added by block `n + 1` and is about block `n`, so that
//! after block `m` there are `m` leaves. Both numbers are therefore known from what is proved, and a path is nothing but
//! hashes: from the left, the peaks left of the leaf's mountain; the siblings from the leaf up to its mountain's peak;
//! the peaks right of it, joined into one.

use crate::{blake2_256, blake2_256_pair, BlockNumber};
use cairn_primitives::H256;
use codec::{Decode, DecodeWithMemTracking, Encode};
#[cfg(feature = "json")]
use serde::{Deserialize, Serialize};

/// What the chain committed to about a block.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking)]
#[cfg_attr(
	feature = "json",
	derive(Serialize, Deserialize),
	serde(rename_all = "camelCase", deny_unknown_fields)
)]
pub struct Leaf {
	/// The block's number.
	pub number: BlockNumber,
	/// The block's hash.
	pub hash: H256,
	/// The block's provenance root.
	pub provenance_root: H256,
}

impl Leaf {
	/// The root of the range of `count` leaves in which this one has its place and this path; `None` when the path does
	/// not have the length of such a path.
	pub fn root(&self, count: BlockNumber, path: &[H256]) -> Option<H256> {
		root(self.using_encoded(blake2_256), self.number, count, path)
	}
}

/// See [`Leaf::root`]; `leaf` is the leaf's hash.
fn root(leaf: H256, index: u32, count: u32, path: &[H256]) -> Option<H256> {
	if index >= count {
		return None;
	}
	// The mountains are the bits of the count, the highest first. The leaf's is the one of the highest bit in which its
	// index has a 0 where the count has a 1.
	let height = u32::BITS.checked_sub(1)?.checked_sub((count ^ index).leading_zeros())?;
	let lower = (1u32 << height).checked_sub(1)?;
	let left = (count >> height).checked_sub(1)?.count_ones() as usize;
	let right = count & lower;
	let expected = left.saturating_add(height as usize).saturating_add(usize::from(right != 0));
	if path.len() != expected {
		return None;
	}
	let (left, path) = path.split_at_checked(left)?;
	let (siblings, right) = path.split_at_checked(height as usize)?;
	let mut node = leaf;
	for (level, sibling) in siblings.iter().enumerate() {
		node = match (index >> level) & 1 {
			0 => blake2_256_pair(&node, sibling),
			_ => blake2_256_pair(sibling, &node),
		};
	}
	// Peaks are joined from the right, the right one first.
	if let [right] = right {
		node = blake2_256_pair(right, &node);
	}
	for peak in left.iter().rev() {
		node = blake2_256_pair(&node, peak);
	}
	Some(node)
}
