//! What a node hands out as proof: a version byte and then the SCALE encoding of a [`Bundle`].

use crate::{
	account::Account,
	grandpa::Finalised,
	header::{Data, Header},
	mmr::Leaf,
	BlockNumber,
};
use alloc::vec::Vec;
use cairn_primitives::{
	ledger::{self, Proof},
	ArtifactHash, RecordId, H256,
};
use codec::{Decode, DecodeWithMemLimit, DecodeWithMemTracking, Encode};
use core::fmt;
#[cfg(feature = "json")]
use serde::{Deserialize, Serialize};

/// The version of the format, its first byte.
pub const VERSION: u8 = 2;

/// The longest bundle that is decoded, in bytes. A thousand rounds of a hundred updates each take a third of it.
pub const MAX_LEN: usize = 32 << 20;

/// The most memory that a bundle may ask for while it is decoded, per byte of its length. The smallest record has 48 bytes
/// and takes 176, and nothing that a bundle needs takes more than that; a list of empty items, each of one byte, would take
/// tens of times its length. Lists are moved as they grow, so twice as much can be held for a moment.
pub const MEMORY_PER_BYTE: usize = 8;

/// A record as this chain makes it.
pub type Record = cairn_primitives::Record<Account, BlockNumber>;
/// A record with its path to its block's provenance root.
pub type RecordProof = ledger::RecordProof<Account, BlockNumber>;

/// What is claimed, and everything that is needed to check it against a genesis hash.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking)]
#[cfg_attr(
	feature = "json",
	derive(Serialize, Deserialize),
	serde(rename_all = "camelCase", deny_unknown_fields)
)]
pub struct Bundle {
	/// How it is known that a block is final.
	pub finality: Finality,
	/// What is claimed, as of that block.
	pub claim: Claim,
}

/// The way from a genesis hash to a finalised block.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking)]
#[cfg_attr(
	feature = "json",
	derive(Serialize, Deserialize),
	serde(rename_all = "camelCase", deny_unknown_fields)
)]
pub struct Finality {
	/// The genesis header: its hash names the chain, and its state root leads to the first authorities.
	pub genesis: Header,
	/// The proof of `Grandpa.Authorities` in the genesis state, as [`crate::trie::read`] takes it.
	pub authorities: Vec<Data>,
	/// The blocks at whose end the authorities changed, ascending: all before the finalised block.
	pub hand_overs: Vec<Finalised>,
	/// The finalised block.
	pub block: Finalised,
}

/// What is claimed.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking)]
#[cfg_attr(feature = "json", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub enum Claim {
	/// These records are in the ledger: at least one, those of a lower number first.
	#[codec(index = 0)]
	Records(Vec<Evidence>),
	/// No weights with this hash had been recorded when the finalised block was made.
	#[codec(index = 1)]
	NoWeights(Absence),
}

/// Records of one batch, and how they are known to be in the ledger.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking)]
#[cfg_attr(
	feature = "json",
	derive(Serialize, Deserialize),
	serde(rename_all = "camelCase", deny_unknown_fields)
)]
pub struct Evidence {
	/// The records, with their path to their block's provenance root.
	pub inclusion: Inclusion,
	/// What the Merkle mountain range says of that block.
	pub leaf: Leaf,
	/// The path from the leaf to the range's root in the finalised header. See [`crate::mmr`].
	pub path: Vec<H256>,
}

/// Records of one batch, with their path to their block's provenance root.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking)]
#[cfg_attr(feature = "json", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub enum Inclusion {
	/// One record of the batch.
	#[codec(index = 0)]
	Record(RecordProof),
	/// All of them.
	#[codec(index = 1)]
	Batch(Batch),
}

/// All records of a batch, with the batch's path to its block's provenance root.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking)]
#[cfg_attr(
	feature = "json",
	derive(Serialize, Deserialize),
	serde(rename_all = "camelCase", deny_unknown_fields)
)]
pub struct Batch {
	/// The number of the first.
	pub first: RecordId,
	/// The records.
	pub records: Vec<Record>,
	/// The path from the batch's root to the block's.
	pub in_block: Proof,
}

/// That the state of the finalised block has no record of weights with this hash.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking)]
#[cfg_attr(
	feature = "json",
	derive(Serialize, Deserialize),
	serde(rename_all = "camelCase", deny_unknown_fields)
)]
pub struct Absence {
	/// The hash.
	pub artifact: ArtifactHash,
	/// The proof that `Provenance.WeightsRecord` has no entry for it, as [`crate::trie::read`] takes it.
	pub entry: Vec<Data>,
	/// The proof of the ledger's storage version: an entry that is looked for in the wrong place is absent too.
	pub version: Vec<Data>,
}

/// Why bytes are no bundle.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DecodeError {
	/// There is nothing.
	Empty,
	/// It is of another version.
	Version(u8),
	/// It is longer than [`MAX_LEN`].
	TooLong(usize),
	/// It does not have the form of a bundle.
	Malformed,
}

impl fmt::Display for DecodeError {
	fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
		match self {
			Self::Empty => f.write_str("there are no bytes"),
			Self::Version(version) => {
				write!(
					f,
					"it says to be of version {version}, and this verifier knows version {VERSION} only"
				)
			},
			Self::TooLong(len) => write!(
				f,
				"it has {len} bytes, and no more than {MAX_LEN} are looked at; have single records proved, or the lineage of \
				 older weights"
			),
			Self::Malformed => {
				f.write_str("its bytes do not have the form of a bundle: some are missing, added or changed")
			},
		}
	}
}

impl core::error::Error for DecodeError {}

impl Bundle {
	/// The bundle as bytes.
	pub fn to_bytes(&self) -> Vec<u8> {
		(VERSION, self).encode()
	}

	/// The bundle in these bytes.
	///
	/// # Errors
	/// When they are none of this version.
	pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
		let (version, mut body) = bytes.split_first().ok_or(DecodeError::Empty)?;
		if *version != VERSION {
			return Err(DecodeError::Version(*version));
		}
		if bytes.len() > MAX_LEN {
			return Err(DecodeError::TooLong(bytes.len()));
		}
		let most = bytes.len().saturating_mul(MEMORY_PER_BYTE);
		let bundle = Self::decode_with_mem_limit(&mut body, most).map_err(|_| DecodeError::Malformed)?;
		if body.is_empty() {
			Ok(bundle)
		} else {
			Err(DecodeError::Malformed)
		}
	}
}

impl Inclusion {
	/// The records with their numbers, ascending.
	pub fn records(&self) -> impl Iterator<Item = (RecordId, &Record)> {
		let (first, records) = match self {
			Self::Record(proof) => (proof.id, core::slice::from_ref(&proof.record)),
			Self::Batch(batch) => (batch.first, &batch.records[..]),
		};
		// A number that does not fit is refused with the batch's root; here it must only not overflow.
		records.iter().enumerate().map(move |(place, record)| (first.saturating_add(place as u64), record))
	}

	/// The provenance root that the records' block has if they are in the ledger; `None` when a path has a form that
	/// none has.
	pub fn block_root(&self) -> Option<H256> {
		match self {
			Self::Record(proof) => proof.block_root(),
			Self::Batch(batch) => {
				// A batch whose numbers would not fit has never been.
				batch.first.checked_add(batch.records.len() as u64)?;
				batch.in_block.root(&ledger::batch_root(batch.first, &batch.records))
			},
		}
	}
}
