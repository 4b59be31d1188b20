//! The tree over the batches of one block.

use super::*;
use cairn_primitives::ledger::Frontier;
use sp_runtime::{traits::One, Saturating};

/// What the newest block with batches appended, and the root of the one before it.
///
/// A block's root is asked for at the beginning of the next block, by the Merkle mountain range. Other pallets can append
/// even earlier in that block: the scheduler enacts referenda when a block begins. So the block before must not be
/// forgotten when a new one begins, nor may what the new one appends count for it.
#[derive(
	Clone, PartialEq, Eq, Debug, Default, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct BlockBatches<BlockNumber> {
	/// The block.
	pub block: BlockNumber,
	/// The tree over the roots of its batches, in the order in which they were appended.
	pub tree: Frontier,
	/// The block with batches before it, and its root.
	pub before: Option<(BlockNumber, H256)>,
}

impl<BlockNumber: Copy + PartialEq> BlockBatches<BlockNumber> {
	/// Takes in a batch that `block`, this one or a newer, appends.
	pub fn append(&mut self, block: BlockNumber, root: H256) {
		if block != self.block {
			if self.tree.count() > 0 {
				self.before = Some((self.block, self.tree.root()));
			}
			(self.block, self.tree) = (block, Frontier::default());
		}
		self.tree.push(root);
	}

	/// The root of a block that is not older than the one before the newest; zero when it appended nothing.
	fn root_of(&self, block: BlockNumber) -> H256 {
		if block == self.block {
			return self.tree.root();
		}
		self.before.filter(|(before, _)| *before == block).map_or(H256::zero(), |(_, root)| root)
	}
}

impl<T: Config> Pallet<T> {
	/// The provenance root of the block before this one: that of the tree over the roots of the batches it appended, zero
	/// when it appended none. At any moment of this block the same.
	pub fn parent_root() -> H256 {
		Newest::<T>::get().root_of(frame_system::Pallet::<T>::block_number().saturating_sub(One::one()))
	}

	/// The roots of the batches that one block appended, in order, and the number of the first: what the path from a batch
	/// to the block's root is made from. The block is that of `batch`; `None` when there is no such batch. Linear in the
	/// number of the block's batches: for nodes, not for blocks.
	pub fn batches_beside(batch: BatchId) -> Option<(BatchId, Vec<H256>)> {
		let block = Batches::<T>::get(batch)?.block;
		let root = |id| Batches::<T>::get(id).filter(|b| b.block == block).map(|b| b.root);
		let before: Vec<_> = (0..batch).rev().map_while(root).collect();
		let first = batch.saturating_sub(before.len() as BatchId);
		Some((first, before.into_iter().rev().chain((batch..).map_while(root)).collect()))
	}
}
