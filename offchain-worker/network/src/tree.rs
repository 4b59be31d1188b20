//! BLAKE3's tree over an artifact: which hashes prove a range of it, and checking them.
//!
//! An artifact's name is the root of a binary tree of hashes over its bytes (section 2.1 of the BLAKE3 paper), so the
//! hashes beside the way from the root to a range prove that range alone. The crate `bao-tree` does the walking. The
//! leaves of the tree that is kept on disk, the *outboard*, are blocks of 16 KiB: it takes 64 bytes per block, four
//! thousandths of the artifact.

use bao_tree::{
	io::{
		outboard::PreOrderOutboard,
		sync::{encode_ranges, encode_ranges_validated, outboard, DecodeResponseIter, OutboardMut, WriteAt},
		BaoContentItem, EncodeError,
	},
	BaoTree, BlockSize, ChunkNum, ChunkRanges,
};
use cairn_primitives::ArtifactHash;
use std::{
	fs::File,
	io::{self, Seek},
	ops::Range,
	os::unix::fs::FileExt,
};

/// 2^4 of BLAKE3's chunks of 1 KiB.
const BLOCK: BlockSize = BlockSize::from_chunk_log(4);

/// Bytes of a block, the smallest part of an artifact that is proven: 16 KiB.
pub(crate) const BLOCK_LEN: u64 = 16 * 1024;

/// The most bytes of hashes that prove a range of at most 1 MiB that begins with a block: the 63 parents inside, and
/// at most two paths from the root of a tree of 2^64 bytes.
pub(crate) const MAX_PROOF: u32 = 64 * (63 + 2 * 50);

/// Why bytes prove nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Bad {
	/// They hash to something else.
	Hash,
	/// There are fewer than the range needs.
	Short,
	/// There are more.
	Long,
}

/// What went wrong while a range was taken in.
#[derive(Debug)]
pub(crate) enum TakeError {
	/// The sender's doing.
	Bad(Bad),
	/// This machine's.
	Io(io::Error),
}

/// What went wrong while a range was read for somebody.
#[derive(Debug)]
pub(crate) enum GiveError {
	/// File and outboard do not belong together, or not to this name.
	Mismatch,
	/// The file system failed.
	Io(io::Error),
}

/// A file that many threads write at once, each its own part.
struct Target<'a>(&'a File);

impl WriteAt for Target<'_> {
	fn write_at(&mut self, at: u64, bytes: &[u8]) -> io::Result<usize> {
		self.0.write_at(bytes, at)
	}

	fn flush(&mut self) -> io::Result<()> {
		Ok(())
	}
}

/// An artifact whose length is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Tree {
	hash: ArtifactHash,
	tree: BaoTree,
}

impl Tree {
	pub(crate) fn new(hash: ArtifactHash, len: u64) -> Self {
		Self { hash, tree: BaoTree::new(len, BLOCK) }
	}

	/// The artifact's length, bytes.
	pub(crate) fn len(&self) -> u64 {
		self.tree.size()
	}

	/// Bytes of the outboard.
	pub(crate) fn outboard_len(&self) -> u64 {
		self.tree.outboard_size()
	}

	/// The last block, which may be shorter than the others. Whoever proves it proves the length: no tree over
	/// another number of bytes has the same root and ends in these.
	pub(crate) fn tail(&self) -> Range<u64> {
		self.len().saturating_sub(1) / BLOCK_LEN * BLOCK_LEN..self.len()
	}

	fn root(&self) -> blake3::Hash {
		blake3::Hash::from_bytes(self.hash.0)
	}

	fn outboard<D>(&self, data: D) -> PreOrderOutboard<D> {
		PreOrderOutboard { root: self.root(), tree: self.tree, data }
	}

	fn chunks(&self, range: &Range<u64>) -> ChunkRanges {
		debug_assert_eq!(range.start % BLOCK_LEN, 0, "only whole blocks are proven");
		if self.len() == 0 {
			return ChunkRanges::all();
		}
		ChunkRanges::from(ChunkNum::full_chunks(range.start)..ChunkNum::chunks(range.end))
	}

	/// Reads a range and what proves it. `check` has it compared with the name first; without, that is the
	/// receiver's affair alone.
	pub(crate) fn give(
		&self,
		range: &Range<u64>,
		file: &File,
		outboard: &File,
		check: bool,
	) -> Result<Vec<u8>, GiveError> {
		let len = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
		let mut out = Vec::with_capacity(len.saturating_add(MAX_PROOF as usize));
		let (ranges, outboard) = (self.chunks(range), self.outboard(outboard));
		let given = if check {
			encode_ranges_validated(file, outboard, &ranges, &mut out)
		} else {
			encode_ranges(file, outboard, &ranges, &mut out)
		};
		match given {
			Ok(()) => Ok(out),
			// Too short a file is as wrong as one with other bytes.
			Err(EncodeError::Io(error)) if error.kind() != io::ErrorKind::UnexpectedEof => {
				Err(GiveError::Io(error))
			},
			Err(_) => Err(GiveError::Mismatch),
		}
	}

	/// Whether a range of the file is what the name says, going by the outboard.
	pub(crate) fn holds(&self, range: &Range<u64>, file: &File, outboard: &File) -> io::Result<bool> {
		match encode_ranges_validated(file, self.outboard(outboard), &self.chunks(range), io::sink()) {
			Ok(()) => Ok(true),
			Err(EncodeError::Io(error)) if error.kind() != io::ErrorKind::UnexpectedEof => Err(error),
			Err(_) => Ok(false),
		}
	}

	/// Checks what [`Tree::give`] gave, and says nothing about it before all of it has been checked.
	pub(crate) fn check(&self, range: &Range<u64>, encoded: &[u8]) -> Result<(), Bad> {
		let mut rest = encoded;
		let ranges = self.chunks(range);
		for item in DecodeResponseIter::new(self.root(), self.tree, &mut rest, &ranges) {
			item.map_err(|error| bad(&error))?;
		}
		if rest.is_empty() {
			Ok(())
		} else {
			Err(Bad::Long)
		}
	}

	/// Checks what [`Tree::give`] gave, and writes each block, with the hashes that prove it, as soon as it is found
	/// right.
	pub(crate) fn take(
		&self,
		range: &Range<u64>,
		encoded: &[u8],
		file: &File,
		outboard: &File,
	) -> Result<(), TakeError> {
		let mut rest = encoded;
		let ranges = self.chunks(range);
		let mut outboard = self.outboard(Target(outboard));
		for item in DecodeResponseIter::new(self.root(), self.tree, &mut rest, &ranges) {
			match item.map_err(|error| TakeError::Bad(bad(&error)))? {
				BaoContentItem::Parent(parent) => outboard.save(parent.node, &parent.pair),
				BaoContentItem::Leaf(leaf) => file.write_all_at(&leaf.data, leaf.offset),
			}
			.map_err(TakeError::Io)?;
		}
		if rest.is_empty() {
			Ok(())
		} else {
			Err(TakeError::Bad(Bad::Long))
		}
	}

	/// Computes the outboard of a whole file. False when the file is not what the name says.
	pub(crate) fn build(&self, file: &File, to: &File) -> io::Result<bool> {
		let mut from = file;
		from.rewind()?;
		let reader = io::BufReader::with_capacity(1 << 20, from);
		let mut target = self.outboard(Target(to));
		match outboard(reader, self.tree, &mut target) {
			Ok(root) => Ok(root == self.root()),
			Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
			Err(error) => Err(error),
		}
	}
}

fn bad(error: &bao_tree::io::DecodeError) -> Bad {
	use bao_tree::io::DecodeError::{LeafHashMismatch, ParentHashMismatch};
	match error {
		ParentHashMismatch(_) | LeafHashMismatch(_) => Bad::Hash,
		// Reading from memory fails in one way only.
		_ => Bad::Short,
	}
}

#[cfg(test)]
mod tests {
	#![allow(clippy::unwrap_used)]

	use super::*;
	use cairn_primitives::artifact_hash;
	use proptest::prelude::*;
	use std::io::{Read, Write};

	struct Place {
		tree: Tree,
		file: File,
		outboard: File,
	}

	fn bytes(len: usize) -> Vec<u8> {
		(0..len).map(|i| (i * 31 + i / 251) as u8).collect()
	}

	fn place(bytes: &[u8]) -> Place {
		let tree = Tree::new(artifact_hash(bytes), bytes.len() as u64);
		let (mut file, outboard) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
		file.write_all(bytes).unwrap();
		assert!(tree.build(&file, &outboard).unwrap());
		assert_eq!(outboard.metadata().unwrap().len(), tree.outboard_len());
		Place { tree, file, outboard }
	}

	/// Lengths at which trees change their shape.
	fn lengths() -> impl Strategy<Value = usize> {
		prop_oneof![
			prop_oneof![
				Just(0usize),
				Just(1),
				Just(1024),
				Just(16384),
				Just(16385),
				Just(65536),
				Just(65537)
			],
			0usize..300_000,
		]
	}

	proptest! {
		#![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

		#[test]
		fn every_range_of_blocks_is_proven_and_together_they_are_the_file(len in lengths(), blocks in 1u64..5) {
			let data = bytes(len);
			let here = place(&data);
			let (mut file, outboard) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
			let mut start = 0;
			loop {
				let range = start..(start + blocks * BLOCK_LEN).min(len as u64);
				let encoded = here.tree.give(&range, &here.file, &here.outboard, true).unwrap();
				prop_assert_eq!(&encoded, &here.tree.give(&range, &here.file, &here.outboard, false).unwrap());
				prop_assert!(encoded.len() as u64 <= range.end - range.start + u64::from(MAX_PROOF));
				here.tree.check(&range, &encoded).unwrap();
				here.tree.take(&range, &encoded, &file, &outboard).unwrap();
				prop_assert!(here.tree.holds(&range, &file, &outboard).unwrap());
				start = range.end;
				if start >= len as u64 {
					break;
				}
			}
			let mut taken = Vec::new();
			file.rewind().unwrap();
			file.read_to_end(&mut taken).unwrap();
			prop_assert_eq!(taken, data);
		}

		#[test]
		fn no_other_length_is_proven(len in lengths(), other in lengths()) {
			prop_assume!(len != other);
			let here = place(&bytes(len));
			let encoded = here.tree.give(&here.tree.tail(), &here.file, &here.outboard, true).unwrap();
			let claimed = Tree::new(here.tree.hash, other as u64);
			prop_assert!(claimed.check(&claimed.tail(), &encoded).is_err());
		}

		#[test]
		fn any_changed_bit_is_found(len in 1usize..200_000, at: prop::sample::Index, bit in 0u8..8) {
			let here = place(&bytes(len));
			let range = 0..(2 * BLOCK_LEN).min(len as u64);
			let mut encoded = here.tree.give(&range, &here.file, &here.outboard, true).unwrap();
			let at = at.index(encoded.len());
			encoded[at] ^= 1 << bit;
			prop_assert_eq!(here.tree.check(&range, &encoded), Err(Bad::Hash));
		}
	}

	#[test]
	fn too_few_and_too_many_bytes_are_told_apart_from_wrong_ones() {
		let here = place(&bytes(100_000));
		let range = 0..BLOCK_LEN;
		let encoded = here.tree.give(&range, &here.file, &here.outboard, true).unwrap();
		assert_eq!(here.tree.check(&range, &encoded[..encoded.len() - 1]), Err(Bad::Short));
		assert_eq!(here.tree.check(&range, &[&encoded[..], &[0]].concat()), Err(Bad::Long));
	}

	#[test]
	fn a_file_or_an_outboard_that_rotted_proves_nothing() {
		let here = place(&bytes(100_000));
		let all = 0..100_000;
		for (file, at) in [(&here.file, 50_000), (&here.outboard, 100)] {
			let mut byte = [0];
			file.read_exact_at(&mut byte, at).unwrap();
			file.write_all_at(&[byte[0] ^ 1], at).unwrap();
			assert!(!here.tree.holds(&all, &here.file, &here.outboard).unwrap());
			assert!(matches!(
				here.tree.give(&all, &here.file, &here.outboard, true),
				Err(GiveError::Mismatch)
			));
			file.write_all_at(&byte, at).unwrap();
		}
		assert!(here.tree.holds(&all, &here.file, &here.outboard).unwrap());
	}
}
