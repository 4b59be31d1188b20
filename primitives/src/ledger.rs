//! How the provenance ledger is committed to: hashes of records, and the binary Merkle tree over them.
//!
//! Records are appended in batches. A batch's root is the [`root`] of a tree whose leaves are its records' hashes
//! ([`record_hash`]) in the order of their numbers; a block's root is the root of a tree whose leaves are the roots of
//! the block's batches in the order in which they were appended. The block's root goes into the leaf that the next
//! block adds to the chain's Merkle mountain range. A record of any age therefore has a proof of three short paths:
//! record in batch, batch in block, block in chain.
//!
//! # The tree
//!
//! BLAKE3 in key-derivation mode, with one domain for each role, so that no leaf can be taken for an inner node and no
//! tree for a part of another. A level with an odd number of nodes hands its last one up as it is. The root covers the
//! number of leaves, so that a [`Proof`] binds its index and its count: with the count fixed, an index determines the
//! length of the path and which sibling stands left. The root of no leaves is 32 zero bytes.

use crate::{ProgrammeId, Record, RecordId, RoundIndex, H256};
use alloc::vec::Vec;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;
#[cfg(feature = "serde")]
use serde::{Deserialize, Serialize};

/// Domain of [`record_hash`].
pub const RECORD_DOMAIN: &str = "cairn 2026-11 ledger record v2";
/// Domain of a tree's leaves.
pub const LEAF_DOMAIN: &str = "cairn 2026-11 ledger leaf v1";
/// Domain of a tree's inner nodes.
pub const NODE_DOMAIN: &str = "cairn 2026-11 ledger node v1";
/// Domain of a tree's root.
pub const ROOT_DOMAIN: &str = "cairn 2026-11 ledger root v1";

/// What comes before a batch's root in the key of the offchain index under which the batch's records are kept.
pub const BATCH_KEY_PREFIX: &[u8] = b"cairn/batch/";

/// Number of a batch of records, from 0, without gaps.
pub type BatchId = u64;

/// Records that were appended together: what a programme starts with, or what a finalised round left.
///
/// The chain keeps this much of every batch for ever. The records themselves are found by `root`, which names them as a
/// hash names an artifact.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub struct Batch<BlockNumber> {
	/// The root of the tree over the records' hashes.
	pub root: H256,
	/// The number of the first record.
	pub first: RecordId,
	/// How many records there are, at least one.
	pub count: u32,
	/// The block that appended them.
	pub block: BlockNumber,
	/// The programme they belong to.
	pub programme: ProgrammeId,
	/// The round that left them; `None` for what a programme starts with.
	pub round: Option<RoundIndex>,
}

impl<BlockNumber> Batch<BlockNumber> {
	/// Whether the record is one of this batch.
	pub fn contains(&self, record: RecordId) -> bool {
		self.place(record).is_some()
	}

	/// The place of a record in the batch, from 0.
	pub fn place(&self, record: RecordId) -> Option<u32> {
		record
			.checked_sub(self.first)
			.filter(|place| *place < u64::from(self.count))
			.map(|place| place as u32)
	}

	/// Whether these are the batch's records: all of them, unchanged and in order.
	pub fn holds<AccountId: Encode>(&self, records: &[Record<AccountId, BlockNumber>]) -> bool
	where
		BlockNumber: Encode,
	{
		records.len() as u64 == u64::from(self.count) && batch_root(self.first, records) == self.root
	}
}

/// The key of the offchain index under which the SCALE encoding of a batch's `Vec<Record>` is kept.
///
/// It is made of nothing but the batch's content, so that forks can never overwrite each other's records.
pub fn batch_key(root: &H256) -> Vec<u8> {
	[BATCH_KEY_PREFIX, root.as_bytes()].concat()
}

/// The hash that commits to a record and to its number: BLAKE3 in key-derivation mode over the SCALE encoding of both.
pub fn record_hash<AccountId, BlockNumber>(id: RecordId, record: &Record<AccountId, BlockNumber>) -> H256
where
	AccountId: Encode,
	BlockNumber: Encode,
{
	hash_record(blake3::Hasher::new_derive_key(RECORD_DOMAIN), id, record)
}

fn hash_record<AccountId, BlockNumber>(
	mut hasher: blake3::Hasher,
	id: RecordId,
	record: &Record<AccountId, BlockNumber>,
) -> H256
where
	AccountId: Encode,
	BlockNumber: Encode,
{
	(id, record).using_encoded(|bytes| hasher.update(bytes));
	finish(hasher)
}

/// The hashes of consecutive records, of which the first has the number `first`: the leaves of a batch's tree.
pub fn record_hashes<AccountId, BlockNumber>(
	first: RecordId,
	records: &[Record<AccountId, BlockNumber>],
) -> impl Iterator<Item = H256> + '_
where
	AccountId: Encode,
	BlockNumber: Encode,
{
	// Preparing a domain costs as much as hashing a record, so it is done once.
	let hasher = blake3::Hasher::new_derive_key(RECORD_DOMAIN);
	records.iter().zip(first..).map(move |(record, id)| hash_record(hasher.clone(), id, record))
}

/// The root of a batch whose first record has the number `first`.
pub fn batch_root<AccountId, BlockNumber>(first: RecordId, records: &[Record<AccountId, BlockNumber>]) -> H256
where
	AccountId: Encode,
	BlockNumber: Encode,
{
	root(record_hashes(first, records))
}

/// The root of the tree over these leaves, in this order.
///
/// ```
/// use cairn_primitives::{ledger::{prove, root}, H256};
/// let leaves = [H256([1; 32]), H256([2; 32]), H256([3; 32])];
/// let proof = prove(&leaves, 2).expect("there is a leaf 2");
/// assert!(proof.verify(&root(leaves), &leaves[2]));
/// assert!(!proof.verify(&root(leaves), &leaves[1]));
/// ```
pub fn root(leaves: impl IntoIterator<Item = H256>) -> H256 {
	let domains = Domains::new();
	let mut frontier = Frontier::default();
	for leaf in leaves {
		frontier.push_with(&domains, leaf);
	}
	frontier.root_with(&domains)
}

/// The path from leaf `index` to the root of the tree over these leaves; `None` when there is no such leaf.
pub fn prove(leaves: &[H256], index: u32) -> Option<Proof> {
	let count = u32::try_from(leaves.len()).ok()?;
	if index >= count {
		return None;
	}
	let domains = Domains::new();
	let mut level: Vec<_> = leaves.iter().map(|leaf| domains.leaf(leaf)).collect();
	let mut place = index as usize;
	let mut siblings = Vec::new();
	while level.len() > 1 {
		// The other of the pair; there is none for the last of an odd level.
		siblings.extend(level.get(place ^ 1).copied());
		level = level
			.chunks(2)
			.map(|pair| match pair {
				[left, right] => domains.node(left, right),
				odd => odd[0],
			})
			.collect();
		place /= 2;
	}
	Some(Proof { index, count, siblings })
}

/// The proof that a tree has a certain leaf at a certain place.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub struct Proof {
	/// The leaf's place, from 0.
	pub index: u32,
	/// How many leaves the tree has.
	pub count: u32,
	/// What the path to the root is joined with, from the leaf upwards. Levels at which the path's node is the odd one
	/// have no entry.
	pub siblings: Vec<H256>,
}

impl Proof {
	/// Whether the tree with this root has `count` leaves of which `leaf` is the one at `index`.
	pub fn verify(&self, root: &H256, leaf: &H256) -> bool {
		self.root(leaf) == Some(*root)
	}

	/// The root of the tree in which `leaf` is at the end of this path; `None` when the path has a form that none has.
	pub fn root(&self, leaf: &H256) -> Option<H256> {
		if self.index >= self.count {
			return None;
		}
		let domains = Domains::new();
		let mut siblings = self.siblings.iter();
		let (mut place, mut width) = (self.index, self.count);
		let mut node = domains.leaf(leaf);
		while width > 1 {
			let is_odd_one = place == width - 1 && place % 2 == 0;
			if !is_odd_one {
				let sibling = siblings.next()?;
				node = match place % 2 {
					0 => domains.node(&node, sibling),
					_ => domains.node(sibling, &node),
				};
			}
			place /= 2;
			width = width.div_ceil(2);
		}
		siblings.next().is_none().then(|| domains.root(self.count, &node))
	}
}

/// A record with its path to the provenance root of the block that appended it.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub struct RecordProof<AccountId, BlockNumber> {
	/// The record's number.
	pub id: RecordId,
	/// The record.
	pub record: Record<AccountId, BlockNumber>,
	/// The path from the record's hash to its batch's root.
	pub in_batch: Proof,
	/// The path from the batch's root to the block's.
	pub in_block: Proof,
}

impl<AccountId: Encode, BlockNumber: Encode> RecordProof<AccountId, BlockNumber> {
	/// The provenance root that the block `record.block` has if this record is in the ledger; `None` when a path has a
	/// form that none has. That it is the block's root is what the leaf of the block after it says in the chain's Merkle
	/// mountain range.
	pub fn block_root(&self) -> Option<H256> {
		self.in_block.root(&self.in_batch.root(&record_hash(self.id, &self.record))?)
	}
}

/// A tree that grows at its end and keeps only what its root needs: one node for each bit that is set in the number of
/// leaves, the largest subtree first.
#[derive(Clone, PartialEq, Eq, Debug, Default, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct Frontier {
	count: u32,
	peaks: Vec<H256>,
}

impl MaxEncodedLen for Frontier {
	fn max_encoded_len() -> usize {
		// The count, the length of the list in one byte, and a peak for each bit of the count.
		4 + 1 + 32 * H256::len_bytes()
	}
}

impl Frontier {
	/// How many leaves the tree has.
	pub const fn count(&self) -> u32 {
		self.count
	}

	/// Appends a leaf. A tree of 2³² - 1 leaves is full and takes no more.
	pub fn push(&mut self, leaf: H256) {
		self.push_with(&Domains::new(), leaf);
	}

	/// The tree's root: what [`root`] says of the same leaves.
	pub fn root(&self) -> H256 {
		self.root_with(&Domains::new())
	}

	fn push_with(&mut self, domains: &Domains, leaf: H256) {
		let Some(count) = self.count.checked_add(1) else { return };
		let mut node = domains.leaf(&leaf);
		// Two subtrees of one size become the next larger one, as a carry does when counting in binary.
		for _ in 0..self.count.trailing_ones() {
			if let Some(left) = self.peaks.pop() {
				node = domains.node(&left, &node);
			}
		}
		self.peaks.push(node);
		self.count = count;
	}

	fn root_with(&self, domains: &Domains) -> H256 {
		// An odd node goes up until it meets a larger subtree on its left: the smallest peaks are joined first.
		match self.peaks.iter().rev().copied().reduce(|right, left| domains.node(&left, &right)) {
			Some(top) => domains.root(self.count, &top),
			None => H256::zero(),
		}
	}
}

/// Hashers that have taken in their domain.
struct Domains {
	leaf: blake3::Hasher,
	node: blake3::Hasher,
}

impl Domains {
	fn new() -> Self {
		Self {
			leaf: blake3::Hasher::new_derive_key(LEAF_DOMAIN),
			node: blake3::Hasher::new_derive_key(NODE_DOMAIN),
		}
	}

	fn leaf(&self, leaf: &H256) -> H256 {
		let mut hasher = self.leaf.clone();
		hasher.update(leaf.as_bytes());
		finish(hasher)
	}

	fn node(&self, left: &H256, right: &H256) -> H256 {
		let mut hasher = self.node.clone();
		hasher.update(left.as_bytes());
		hasher.update(right.as_bytes());
		finish(hasher)
	}

	fn root(&self, count: u32, top: &H256) -> H256 {
		let mut hasher = blake3::Hasher::new_derive_key(ROOT_DOMAIN);
		hasher.update(&count.to_le_bytes());
		hasher.update(top.as_bytes());
		finish(hasher)
	}
}

fn finish(hasher: blake3::Hasher) -> H256 {
	H256(*hasher.finalize().as_bytes())
}

#[cfg(test)]
mod tests {
	use super::*;
	use crate::{RecordKind, RecordRange};
	use proptest::prelude::*;

	fn leaves(n: u32) -> Vec<H256> {
		(0..n).map(|i| H256::from_low_u64_be(u64::from(i) + 1)).collect()
	}

	fn record() -> Record<[u8; 32], u32> {
		Record {
			kind: RecordKind::Update,
			artifact: H256([1; 32]),
			base: Some(2),
			inputs: Some(RecordRange { first: 3, count: 4 }),
			terms: Some(H256([4; 32])),
			producer: Some([5; 32]),
			device: Some(6),
			site: Some(6),
			programme: 7,
			round: Some(8),
			block: 9,
		}
	}

	/// The tree's definition, level by level.
	fn root_by_levels(leaves: &[H256]) -> H256 {
		let domains = Domains::new();
		let mut level: Vec<_> = leaves.iter().map(|l| domains.leaf(l)).collect();
		while level.len() > 1 {
			level = level
				.chunks(2)
				.map(|p| if p.len() == 2 { domains.node(&p[0], &p[1]) } else { p[0] })
				.collect();
		}
		level.first().map_or(H256::zero(), |top| domains.root(leaves.len() as u32, top))
	}

	#[test]
	fn record_hash_depends_on_number_and_every_field() {
		let r = record;
		let base = record_hash(1, &r());
		assert_eq!(base, record_hash(1, &r()));
		let variants = [
			record_hash(2, &r()),
			record_hash(1, &Record { kind: RecordKind::Weights, ..r() }),
			record_hash(1, &Record { artifact: H256([9; 32]), ..r() }),
			record_hash(1, &Record { base: None, ..r() }),
			record_hash(1, &Record { inputs: None, ..r() }),
			record_hash(1, &Record { producer: Some([9; 32]), ..r() }),
			record_hash(1, &Record { device: Some(9), ..r() }),
			record_hash(1, &Record { site: Some(9), ..r() }),
			record_hash(1, &Record { programme: 9, ..r() }),
			record_hash(1, &Record { round: Some(9), ..r() }),
			record_hash(1, &Record { block: 10, ..r() }),
		];
		assert!(variants.iter().all(|v| *v != base));
	}

	#[test]
	fn root_is_that_of_the_definition_for_every_small_number_of_leaves() {
		for n in 0..130 {
			assert_eq!(root(leaves(n)), root_by_levels(&leaves(n)), "{n} leaves");
		}
		assert_eq!(root([]), H256::zero());
	}

	#[test]
	fn proof_verifies_for_every_leaf_of_every_small_tree_and_for_no_other() {
		for n in 1..40 {
			let (leaves, root) = (leaves(n), root(leaves(n)));
			for index in 0..n {
				let proof = prove(&leaves, index).expect("the leaf exists");
				assert!(proof.siblings.len() <= 6, "{n} leaves need no longer path");
				for (other, leaf) in leaves.iter().enumerate() {
					assert_eq!(proof.verify(&root, leaf), other as u32 == index, "leaf {other} of {n}");
				}
				for other in (0..n + 2).filter(|other| *other != index) {
					let moved = Proof { index: other, ..proof.clone() };
					assert!(!moved.verify(&root, &leaves[index as usize]), "{index} of {n} as {other}");
				}
				for count in (0..2 * n + 2).filter(|count| *count != n) {
					let resized = Proof { count, ..proof.clone() };
					assert!(!resized.verify(&root, &leaves[index as usize]), "{index} of {n} as of {count}");
				}
			}
			assert_eq!(prove(&leaves, n), None);
		}
		assert_eq!(prove(&[], 0), None);
	}

	#[test]
	fn proof_with_a_sibling_too_many_or_too_few_is_refused() {
		let leaves = leaves(7);
		let root = root(leaves.clone());
		let proof = prove(&leaves, 3).expect("the leaf exists");
		let mut long = proof.clone();
		long.siblings.push(H256::zero());
		assert!(!long.verify(&root, &leaves[3]));
		let mut short = proof;
		short.siblings.pop();
		assert!(!short.verify(&root, &leaves[3]));
	}

	#[test]
	fn an_inner_node_cannot_pass_for_a_leaf_nor_a_tree_for_a_leaf_of_another() {
		let domains = Domains::new();
		let all = leaves(4);
		let pair = domains.node(&domains.leaf(&all[0]), &domains.leaf(&all[1]));
		let other = domains.node(&domains.leaf(&all[2]), &domains.leaf(&all[3]));
		let forged = Proof { index: 0, count: 2, siblings: alloc::vec![other] };
		assert!(!forged.verify(&root(all.clone()), &pair));
		// The root of a tree of one is neither the leaf nor its hash.
		let single = root([all[0]]);
		assert_ne!(single, all[0]);
		assert_ne!(single, domains.leaf(&all[0]));
		assert_ne!(root([single]), single);
	}

	#[test]
	fn frontier_keeps_a_peak_per_bit_and_fits_its_bound() {
		let mut frontier = Frontier::default();
		assert_eq!(frontier.root(), H256::zero());
		for (n, leaf) in leaves(200).into_iter().enumerate() {
			frontier.push(leaf);
			assert_eq!(frontier.count(), n as u32 + 1);
			assert_eq!(frontier.peaks.len() as u32, frontier.count.count_ones());
			assert_eq!(frontier.root(), root(leaves(n as u32 + 1)));
			assert!(frontier.encoded_size() <= Frontier::max_encoded_len());
		}
		let mut full = Frontier { count: u32::MAX, peaks: leaves(32) };
		assert_eq!(full.encoded_size(), Frontier::max_encoded_len());
		let before = full.clone();
		full.push(H256([1; 32]));
		assert_eq!(full, before);
	}

	#[test]
	fn batch_tells_its_records_and_refuses_changed_ones() {
		let records: Vec<_> = (0..5u8).map(|n| Record { artifact: H256([n; 32]), ..record() }).collect();
		let batch = Batch {
			root: batch_root(10, &records),
			first: 10,
			count: 5,
			block: 9u32,
			programme: 7,
			round: Some(8),
		};
		assert!(batch.holds(&records));
		assert_eq!([9, 10, 14, 15].map(|id| batch.place(id)), [None, Some(0), Some(4), None]);
		assert!(!batch.holds(&records[..4]));
		assert!(!Batch { first: 11, ..batch.clone() }.holds(&records));
		let mut changed = records.clone();
		changed[2].device = None;
		assert!(!batch.holds(&changed));
		let mut swapped = records;
		swapped.swap(0, 1);
		assert!(!batch.holds(&swapped));
		assert_eq!(batch_key(&H256([0xab; 32])), [&b"cairn/batch/"[..], &[0xab; 32]].concat());
	}

	#[test]
	fn record_proof_leads_to_the_root_of_its_block_and_to_no_other() {
		let records: Vec<_> = (0..5u8).map(|n| Record { artifact: H256([n; 32]), ..record() }).collect();
		let hashes: Vec<_> = record_hashes(10, &records).collect();
		let roots = [H256([1; 32]), batch_root(10, &records), H256([2; 32])];
		let proof = RecordProof {
			id: 13,
			record: records[3].clone(),
			in_batch: prove(&hashes, 3).expect("the leaf exists"),
			in_block: prove(&roots, 1).expect("the leaf exists"),
		};
		let block = Some(root(roots));
		assert_eq!(proof.block_root(), block);
		assert_ne!(RecordProof { id: 12, ..proof.clone() }.block_root(), block);
		assert_ne!(RecordProof { record: records[2].clone(), ..proof.clone() }.block_root(), block);
		let mut moved = proof;
		moved.in_block.index = 3;
		assert_eq!(moved.block_root(), None);
	}

	#[test]
	fn hashes_are_those_of_this_version() {
		// Whoever changes one of these changes what every proof ever given says.
		let hash = record_hash(1, &record());
		assert_eq!(
			[hex::encode(hash), hex::encode(root(leaves(3)))],
			[
				"02aed2dcba4eb4e551921a32930fa2330e26b682c5dc41ddf47b65ab28e24407",
				"d652d3a23d60697f11108d91bf408d3c08cfcb55b7c8eb8d9031f5c3f42666e9"
			]
		);
	}

	proptest! {
		#[test]
		fn any_leaf_of_any_tree_is_proved_and_any_change_is_noticed(
			seeds in prop::collection::vec(any::<[u8; 32]>(), 1..300),
			place: prop::sample::Index,
			byte in 0usize..32,
			bit in 0u8..8,
			sibling: prop::sample::Index,
		) {
			let leaves: Vec<_> = seeds.into_iter().map(H256).collect();
			let index = place.index(leaves.len());
			let root = root(leaves.clone());
			prop_assert_eq!(root, root_by_levels(&leaves));
			let proof = prove(&leaves, index as u32).expect("the leaf exists");
			prop_assert!(proof.verify(&root, &leaves[index]));
			let encoded = proof.encode();
			prop_assert_eq!(Proof::decode(&mut &encoded[..]).expect("decodes"), proof.clone());

			let mut leaf = leaves[index];
			leaf.0[byte] ^= 1 << bit;
			prop_assert!(!proof.verify(&root, &leaf));
			let mut other = root;
			other.0[byte] ^= 1 << bit;
			prop_assert!(!proof.verify(&other, &leaves[index]));
			if !proof.siblings.is_empty() {
				let mut forged = proof.clone();
				let at = sibling.index(forged.siblings.len());
				forged.siblings[at].0[byte] ^= 1 << bit;
				prop_assert!(!forged.verify(&root, &leaves[index]));
			}
		}

		#[test]
		fn a_forged_proof_of_anything_never_verifies(
			n in 1u32..100,
			index in 0u32..200,
			count in 0u32..200,
			siblings in prop::collection::vec(any::<[u8; 32]>(), 0..9),
			leaf: [u8; 32],
		) {
			let root = root(leaves(n));
			let forged = Proof { index, count, siblings: siblings.into_iter().map(H256).collect() };
			prop_assert!(!forged.verify(&root, &H256(leaf)));
		}
	}
}
