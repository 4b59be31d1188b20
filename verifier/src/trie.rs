//! One value of a state, proved against the state's root.
//!
//! A state is a radix-16 Patricia trie with BLAKE2-256, in the encoding of `sp_trie::NodeCodec`. The proof is the nodes
//! on the way from the root to where the key is or would be, in this order, and then the value, if the trie has it by
//! hash. Any other list is refused, so that there is one proof for one statement.

use crate::{blake2_256, header::Data};
use alloc::vec::Vec;
use cairn_primitives::H256;
use codec::{Compact, Decode};
use core::fmt;

/// Why a list of nodes proves nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TrieError {
	/// A node that the way leads over is not there, or another stands in its place.
	Missing {
		/// Its place in the proof, from 0.
		place: usize,
	},
	/// A node has a form that none has.
	Malformed {
		/// Its place in the proof, from 0.
		place: usize,
	},
	/// The proof goes on behind its end.
	Unused,
}

impl fmt::Display for TrieError {
	fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
		match self {
			Self::Missing { place } => {
				write!(f, "node {place} is not the one that the way from the root leads to")
			},
			Self::Malformed { place } => write!(f, "node {place} is no node of a state"),
			Self::Unused => f.write_str("it has more nodes than the way to the key has"),
		}
	}
}

/// The value under `key` in the state with this root, or that there is none.
///
/// # Errors
/// When the proof is not the way from the root to the key.
pub fn read(root: &H256, key: &[u8], proof: &[Data]) -> Result<Option<Vec<u8>>, TrieError> {
	let mut nodes = proof.iter();
	let value = walk(root, key, |hash| {
		nodes.next().filter(|Data(node)| blake2_256(node) == *hash).map(|Data(node)| node.clone())
	})?;
	match nodes.next() {
		None => Ok(value),
		Some(_) => Err(TrieError::Unused),
	}
}

/// The proof that [`read`] takes, from nodes in any order.
///
/// # Errors
/// When one that is needed is missing or malformed.
pub fn prove(
	root: &H256,
	key: &[u8],
	nodes: impl IntoIterator<Item = Vec<u8>>,
) -> Result<Vec<Data>, TrieError> {
	let nodes: alloc::collections::BTreeMap<_, _> =
		nodes.into_iter().map(|node| (blake2_256(&node), node)).collect();
	let mut proof = Vec::new();
	walk(root, key, |hash| {
		let node = nodes.get(hash)?.clone();
		proof.push(Data(node.clone()));
		Some(node)
	})?;
	Ok(proof)
}

/// Goes from the root to the key. `fetch` is asked for each node that is not part of the one before.
fn walk(
	root: &H256,
	key: &[u8],
	mut fetch: impl FnMut(&H256) -> Option<Vec<u8>>,
) -> Result<Option<Vec<u8>>, TrieError> {
	let key: Vec<u8> = key.iter().flat_map(|byte| [byte >> 4, byte & 15]).collect();
	let mut rest = &key[..];
	let mut fetched = 0usize;
	let mut get = |hash: &H256| {
		let place = fetched;
		fetched = fetched.saturating_add(1);
		fetch(hash).ok_or(TrieError::Missing { place })
	};
	let mut bytes = get(root)?;
	let mut place = 0usize;
	loop {
		let node = Node::decode(&bytes).ok_or(TrieError::Malformed { place })?;
		let Some(below) = rest.strip_prefix(&node.partial[..]) else { return Ok(None) };
		let Some((branch, below)) = below.split_first() else {
			return match node.value {
				None => Ok(None),
				Some(Slot::Inline(value)) => Ok(Some(value.to_vec())),
				Some(Slot::Hash(hash)) => get(&hash).map(Some),
			};
		};
		bytes = match node.children.get(usize::from(*branch)) {
			Some(Some(Slot::Inline(node))) => node.to_vec(),
			Some(Some(Slot::Hash(hash))) => {
				let node = get(hash)?;
				place = place.saturating_add(1);
				node
			},
			_ => return Ok(None),
		};
		rest = below;
	}
}

/// Something in a node: itself, or its hash.
enum Slot<'a> {
	Inline(&'a [u8]),
	Hash(H256),
}

/// A node. A leaf has no children; the empty trie has nothing at all.
#[derive(Default)]
struct Node<'a> {
	partial: Vec<u8>,
	value: Option<Slot<'a>>,
	children: [Option<Slot<'a>>; 16],
}

/// What the first bits of a node say.
enum Kind {
	Leaf,
	HashedLeaf,
	Branch,
	BranchWithValue,
	BranchWithHashedValue,
}

impl<'a> Node<'a> {
	fn decode(mut input: &'a [u8]) -> Option<Self> {
		let first = take(&mut input, 1)?[0];
		let (kind, bits) = match first {
			0 => return input.is_empty().then(Self::default),
			_ if first >> 6 == 0b01 => (Kind::Leaf, 6),
			_ if first >> 6 == 0b10 => (Kind::Branch, 6),
			_ if first >> 6 == 0b11 => (Kind::BranchWithValue, 6),
			_ if first >> 5 == 0b001 => (Kind::HashedLeaf, 5),
			_ if first >> 4 == 0b0001 => (Kind::BranchWithHashedValue, 4),
			_ => return None,
		};
		let partial = take_partial(&mut input, first, bits)?;
		let (has_children, value) = match kind {
			Kind::Leaf | Kind::HashedLeaf => (false, true),
			Kind::Branch => (true, false),
			Kind::BranchWithValue | Kind::BranchWithHashedValue => (true, true),
		};
		let bitmap = if has_children {
			let bytes = take(&mut input, 2)?;
			match u16::from_le_bytes([bytes[0], bytes[1]]) {
				0 => return None,
				bitmap => bitmap,
			}
		} else {
			0
		};
		let value = match kind {
			_ if !value => None,
			Kind::HashedLeaf | Kind::BranchWithHashedValue => {
				Some(Slot::Hash(H256::from_slice(take(&mut input, 32)?)))
			},
			_ => Some(Slot::Inline(take_counted(&mut input)?)),
		};
		let mut children: [Option<Slot<'a>>; 16] = Default::default();
		for (branch, child) in children.iter_mut().enumerate() {
			if bitmap & (1 << branch) != 0 {
				let bytes = take_counted(&mut input)?;
				*child = Some(if bytes.len() == 32 {
					Slot::Hash(H256::from_slice(bytes))
				} else {
					Slot::Inline(bytes)
				});
			}
		}
		input.is_empty().then_some(Self { partial, value, children })
	}
}

/// The node's part of the key, one nibble each.
fn take_partial(input: &mut &[u8], first: u8, bits: u32) -> Option<Vec<u8>> {
	let most = (1usize << bits).checked_sub(1)?;
	let mut count = usize::from(first) & most;
	if count == most {
		// The count goes on in the bytes behind, up to the first that is not 255.
		loop {
			let more = take(input, 1)?[0];
			count = count.checked_add(usize::from(more))?;
			if more != 255 {
				break;
			}
		}
	}
	let bytes = take(input, count.div_ceil(2))?;
	let mut nibbles = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
	// An odd count begins with half a byte of nothing.
	if !count.is_multiple_of(2) && nibbles.next() != Some(0) {
		return None;
	}
	Some(nibbles.collect())
}

fn take<'a>(input: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
	let (taken, rest) = input.split_at_checked(count)?;
	*input = rest;
	Some(taken)
}

fn take_counted<'a>(input: &mut &'a [u8]) -> Option<&'a [u8]> {
	let Compact(count) = Compact::<u32>::decode(input).ok()?;
	take(input, count as usize)
}
