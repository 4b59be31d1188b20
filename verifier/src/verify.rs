//! The check of a bundle, link by link.

use crate::{
	bundle::{Absence, Bundle, Claim, Evidence, Finality, Record},
	grandpa::{AuthorityList, AuthoritySet, Finalised, JustificationError, SetError, SetId},
	header::{Data, SetChange},
	trie::{self, TrieError},
	BlockNumber,
};
use alloc::{vec, vec::Vec};
use cairn_primitives::{ArtifactHash, RecordId, H256};
use codec::DecodeAll;
use core::fmt;

/// The storage version of the ledger that absence is proved for: `pallet_provenance`'s.
pub const LEDGER_VERSION: u16 = 2;

/// Where the state has what is proved of it. A test compares these keys with those of the runtime.
pub mod storage {
	use super::*;
	use blake2::{digest::consts::U16, Blake2b, Digest};
	use codec::Encode;

	/// XXH64-128 of "Grandpa", then of "Authorities".
	pub const GRANDPA_AUTHORITIES: [u8; 32] = [
		0x5f, 0x9c, 0xc4, 0x5b, 0x7a, 0x00, 0xc5, 0x89, 0x93, 0x61, 0xe1, 0xc6, 0x09, 0x96, 0x78, 0xdc, 0x5e,
		0x06, 0x21, 0xc4, 0x86, 0x9a, 0xa6, 0x0c, 0x02, 0xbe, 0x9a, 0xdc, 0xc9, 0x8a, 0x0d, 0x1d,
	];
	/// XXH64-128 of "Provenance", then of "WeightsRecord".
	pub const WEIGHTS_RECORD: [u8; 32] = [
		0x4c, 0xe2, 0x04, 0x57, 0x93, 0x87, 0x9f, 0x8c, 0x50, 0x99, 0xc6, 0xb4, 0xc1, 0x5d, 0x29, 0xbc, 0x26,
		0xa9, 0x91, 0x9f, 0x98, 0x8c, 0x68, 0x53, 0x19, 0x65, 0x14, 0xc1, 0x19, 0x80, 0xd8, 0x6e,
	];
	/// XXH64-128 of "Provenance", then of ":__STORAGE_VERSION__:".
	pub const LEDGER_VERSION: [u8; 32] = [
		0x4c, 0xe2, 0x04, 0x57, 0x93, 0x87, 0x9f, 0x8c, 0x50, 0x99, 0xc6, 0xb4, 0xc1, 0x5d, 0x29, 0xbc, 0x4e,
		0x7b, 0x90, 0x12, 0x09, 0x6b, 0x41, 0xc4, 0xeb, 0x3a, 0xaf, 0x94, 0x7f, 0x6e, 0xa4, 0x29,
	];

	/// The key of the record of these weights: `Blake2_128Concat` behind the map's prefix.
	pub fn weights_record(weights: &ArtifactHash) -> Vec<u8> {
		let mut key = WEIGHTS_RECORD.to_vec();
		key.extend_from_slice(&Blake2b::<U16>::digest(weights));
		weights.encode_to(&mut key);
		key
	}
}

/// What a bundle proves.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Proven {
	/// The chain.
	pub genesis: H256,
	/// The finalised block as of which it holds.
	pub block: H256,
	/// Its number.
	pub number: BlockNumber,
	/// The number of the set of authorities that made it final: how often it had changed since genesis.
	pub set_id: SetId,
	/// How many authorities that set has.
	pub authorities: u32,
	/// What holds.
	pub statement: Statement,
}

/// What holds as of a finalised block.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Statement {
	/// These records are in the ledger, ascending by their numbers, which are with them.
	Records(Vec<(RecordId, Record)>),
	/// No weights with this hash are in the ledger.
	NoWeights(ArtifactHash),
}

/// Why a bundle proves nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Refusal {
	/// It is of another chain.
	OtherGenesis {
		/// The genesis hash asked for.
		expected: H256,
		/// That of the bundle's genesis header.
		found: H256,
	},
	/// Its genesis header is not that of a genesis block.
	NotGenesis,
	/// The proof of the first authorities is wrong.
	GenesisAuthorities(TrieError),
	/// The genesis state has no authorities, or none that can be read.
	NoGenesisAuthorities,
	/// A set of authorities is none.
	AuthoritySet {
		/// The set.
		set: SetId,
		/// What is wrong with it.
		error: SetError,
	},
	/// A block is not after the one before it.
	Order {
		/// The block's number.
		number: BlockNumber,
	},
	/// A block is not final.
	NotFinal {
		/// The block's number.
		number: BlockNumber,
		/// The set of authorities that had to vote for it.
		set: SetId,
		/// What is wrong with the votes.
		error: JustificationError,
	},
	/// A block does not hand over to other authorities, or not at once, or without the consent of the old ones.
	NoHandOver {
		/// The block's number.
		number: BlockNumber,
	},
	/// The finalised header does not have the root of the Merkle mountain range.
	NoMmrRoot {
		/// The block's number.
		number: BlockNumber,
	},
	/// There is no record in the bundle.
	NoRecords,
	/// The records are not in the order of their numbers.
	RecordOrder {
		/// The first that is in a wrong place.
		record: RecordId,
	},
	/// A record is not in the block that the bundle says.
	NotInBlock {
		/// The first of the records that are proved together.
		record: RecordId,
		/// The block.
		number: BlockNumber,
	},
	/// A block is not the one that the chain made, or has another provenance root.
	NotInChain {
		/// The block's number.
		number: BlockNumber,
	},
	/// A proof of the finalised state is wrong.
	State(TrieError),
	/// The ledger's storage is of another version, or there is none.
	LedgerVersion,
	/// The weights said to be absent have a record.
	Present {
		/// The weights.
		artifact: ArtifactHash,
	},
}

impl fmt::Display for Refusal {
	fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
		match self {
			Self::OtherGenesis { expected, found } => {
				write!(f, "the bundle is of the chain with genesis {found:?}, not of {expected:?}")
			},
			Self::NotGenesis => f.write_str("the first header is not that of a genesis block"),
			Self::GenesisAuthorities(error) => {
				write!(f, "the proof of the first authorities does not lead from the genesis state to them: {error}")
			},
			Self::NoGenesisAuthorities => f.write_str("the genesis state names no authorities"),
			Self::AuthoritySet { set, error } => write!(f, "authority set {set} cannot be one: {error}"),
			Self::Order { number } => write!(f, "block {number} does not come after the one before it in the bundle"),
			Self::NotFinal { number, set, error } => {
				write!(f, "block {number} is not shown to be final: of its justification by authority set {set}, {error}")
			},
			Self::NoHandOver { number } => {
				write!(f, "block {number} does not hand over from its authorities to the next ones")
			},
			Self::NoMmrRoot { number } => {
				write!(f, "the header of block {number} does not have one root of the Merkle mountain range")
			},
			Self::NoRecords => f.write_str("there is no record in it"),
			Self::RecordOrder { record } => write!(f, "record {record} is not in the order of the numbers"),
			Self::NotInBlock { record, number } => {
				write!(f, "record {record} is not what its path shows to be in block {number}")
			},
			Self::NotInChain { number } => write!(
				f,
				"what the bundle says of block {number}, its hash and its provenance root, is not what the chain committed to"
			),
			Self::State(error) => write!(f, "the proof of the finalised state does not hold: {error}"),
			Self::LedgerVersion => write!(
				f,
				"the ledger's storage in the finalised state is not of version {LEDGER_VERSION}, in which this verifier \
				 knows where to look"
			),
			Self::Present { artifact } => write!(f, "weights {artifact:?} do have a record"),
		}
	}
}

impl core::error::Error for Refusal {}

/// What the bundle proves about the chain with this genesis hash.
///
/// Nothing in the bundle is believed: the genesis header is the one with this hash; the first authorities are in its
/// state; each hand-over was made final by the authorities of its time and names the next; the last ones made a block
/// final, whose header has the root of the Merkle mountain range, to which everything else leads.
///
/// # Errors
/// The first link that does not hold.
///
/// # What is assumed
/// That hash and signatures are sound, and that at no time more than a third of a set of authorities, by weight, has
/// signed for two chains, not even long after it handed over. See docs/auditing.md.
pub fn verify(bundle: &Bundle, genesis: &H256) -> Result<Proven, Refusal> {
	let set = check_finality(&bundle.finality, genesis)?;
	let header = &bundle.finality.block.header;
	let statement = match &bundle.claim {
		Claim::Records(evidence) => {
			let root = header.mmr_root().ok_or(Refusal::NoMmrRoot { number: header.number })?;
			Statement::Records(check_records(evidence, &root, header.number)?)
		},
		Claim::NoWeights(absence) => {
			check_absence(absence, &header.state_root)?;
			Statement::NoWeights(absence.artifact)
		},
	};
	Ok(Proven {
		genesis: *genesis,
		block: header.hash(),
		number: header.number,
		set_id: set.id(),
		authorities: u32::try_from(set.len()).unwrap_or(u32::MAX),
		statement,
	})
}

/// The set of authorities that made the block final.
fn check_finality(finality: &Finality, genesis: &H256) -> Result<AuthoritySet, Refusal> {
	let Finality { genesis: first, authorities, hand_overs, block } = finality;
	let found = first.hash();
	if found != *genesis {
		return Err(Refusal::OtherGenesis { expected: *genesis, found });
	}
	if first.number != 0 || !first.parent_hash.is_zero() {
		return Err(Refusal::NotGenesis);
	}
	let value = trie::read(&first.state_root, &storage::GRANDPA_AUTHORITIES, authorities)
		.map_err(Refusal::GenesisAuthorities)?;
	let list = value
		.and_then(|bytes| AuthorityList::decode_all(&mut &bytes[..]).ok())
		.ok_or(Refusal::NoGenesisAuthorities)?;
	let mut set = new_set(0, &list)?;
	let mut before = 0;
	for hand_over in hand_overs {
		check_final(&set, before, hand_over)?;
		let number = hand_over.header.number;
		let next = match hand_over.header.set_change() {
			SetChange::Scheduled(change) if change.delay == 0 => change.next_authorities,
			_ => return Err(Refusal::NoHandOver { number }),
		};
		set = new_set(set.id().saturating_add(1), &next)?;
		before = number;
	}
	check_final(&set, before, block)?;
	Ok(set)
}

fn new_set(set: SetId, authorities: &AuthorityList) -> Result<AuthoritySet, Refusal> {
	AuthoritySet::new(set, authorities).map_err(|error| Refusal::AuthoritySet { set, error })
}

fn check_final(set: &AuthoritySet, before: BlockNumber, block: &Finalised) -> Result<(), Refusal> {
	let number = block.header.number;
	if number <= before {
		return Err(Refusal::Order { number });
	}
	set.check(&block.header.hash(), number, &block.justification).map_err(|error| Refusal::NotFinal {
		number,
		set: set.id(),
		error,
	})
}

fn check_records(
	evidence: &[Evidence],
	root: &H256,
	number: BlockNumber,
) -> Result<Vec<(RecordId, Record)>, Refusal> {
	let mut records: Vec<(RecordId, Record)> = vec![];
	for Evidence { inclusion, leaf, path } in evidence {
		let Some((first, _)) = inclusion.records().next() else { return Err(Refusal::NoRecords) };
		if records.last().is_some_and(|(last, _)| *last >= first) {
			return Err(Refusal::RecordOrder { record: first });
		}
		let not_in_block = Refusal::NotInBlock { record: first, number: leaf.number };
		if inclusion.block_root() != Some(leaf.provenance_root)
			|| inclusion.records().any(|(_, record)| record.block != leaf.number)
		{
			return Err(not_in_block);
		}
		// After block n the range has n leaves.
		if leaf.root(number, path) != Some(*root) {
			return Err(Refusal::NotInChain { number: leaf.number });
		}
		records.extend(inclusion.records().map(|(id, record)| (id, record.clone())));
	}
	if records.is_empty() {
		return Err(Refusal::NoRecords);
	}
	Ok(records)
}

fn check_absence(absence: &Absence, state_root: &H256) -> Result<(), Refusal> {
	let read = |key: &[u8], proof: &[Data]| trie::read(state_root, key, proof).map_err(Refusal::State);
	let version = read(&storage::LEDGER_VERSION, &absence.version)?;
	if version.and_then(|bytes| u16::decode_all(&mut &bytes[..]).ok()) != Some(LEDGER_VERSION) {
		return Err(Refusal::LedgerVersion);
	}
	match read(&storage::weights_record(&absence.artifact), &absence.entry)? {
		None => Ok(()),
		Some(_) => Err(Refusal::Present { artifact: absence.artifact }),
	}
}
