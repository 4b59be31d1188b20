//! Block headers, as far as a verifier looks into them. The encoding is that of `sp_runtime::generic::Header` with
//! BLAKE2-256, which a test compares.

use crate::{blake2_256, AuthorityList, BlockNumber};
use alloc::vec::Vec;
use cairn_primitives::H256;
use codec::{Decode, DecodeAll, DecodeWithMemTracking, Encode};
#[cfg(feature = "json")]
use serde::{Deserialize, Serialize};

/// Under which name GRANDPA's digest items stand in a header.
pub const GRANDPA_ENGINE_ID: [u8; 4] = *b"FRNK";
/// Under which name the root of the Merkle mountain range stands in a header.
pub const MMR_ENGINE_ID: [u8; 4] = *b"CRNM";

/// A block's header.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking)]
#[cfg_attr(
	feature = "json",
	derive(Serialize, Deserialize),
	serde(rename_all = "camelCase", deny_unknown_fields)
)]
pub struct Header {
	/// The hash of the block before.
	pub parent_hash: H256,
	/// The block's number.
	#[codec(compact)]
	pub number: BlockNumber,
	/// The root of the state after the block.
	pub state_root: H256,
	/// The root of the block's extrinsics.
	pub extrinsics_root: H256,
	/// What consensus and runtime left in the header.
	pub digest: Vec<DigestItem>,
}

/// One item of a header's digest.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking)]
#[cfg_attr(feature = "json", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub enum DigestItem {
	/// Anything.
	#[codec(index = 0)]
	Other(Data),
	/// From the runtime to a consensus engine.
	#[codec(index = 4)]
	Consensus(Engine, Data),
	/// The author's signature.
	#[codec(index = 5)]
	Seal(Engine, Data),
	/// From a consensus engine to the runtime.
	#[codec(index = 6)]
	PreRuntime(Engine, Data),
	/// The runtime's code or heap pages changed in this block.
	#[codec(index = 8)]
	RuntimeEnvironmentUpdated,
}

/// Bytes; hex in JSON.
#[derive(Clone, PartialEq, Eq, Debug, Default, Encode, Decode, DecodeWithMemTracking)]
#[cfg_attr(feature = "json", derive(Serialize, Deserialize), serde(transparent))]
pub struct Data(#[cfg_attr(feature = "json", serde(with = "cairn_primitives::text::hex_bytes"))] pub Vec<u8>);

/// The name of a consensus engine; hex in JSON.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking)]
#[cfg_attr(feature = "json", derive(Serialize, Deserialize), serde(transparent))]
pub struct Engine(#[cfg_attr(feature = "json", serde(with = "crate::json::hex_array"))] pub [u8; 4]);

/// What a change of the authority set says.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct ScheduledChange {
	/// The next authorities.
	pub next_authorities: AuthorityList,
	/// How many blocks later they take over.
	pub delay: BlockNumber,
}

/// What a runtime tells GRANDPA.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
enum ConsensusLog {
	#[codec(index = 1)]
	ScheduledChange(ScheduledChange),
	#[codec(index = 2)]
	ForcedChange(BlockNumber, ScheduledChange),
	#[codec(index = 3)]
	OnDisabled(u64),
	#[codec(index = 4)]
	Pause(BlockNumber),
	#[codec(index = 5)]
	Resume(BlockNumber),
}

/// What a header says about the set of authorities.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SetChange {
	/// Nothing.
	None,
	/// Others take over, right after this block if the delay is 0.
	Scheduled(ScheduledChange),
	/// The runtime replaced the authorities without the consent of the old ones.
	Forced,
}

impl Header {
	/// The block's hash.
	pub fn hash(&self) -> H256 {
		self.using_encoded(blake2_256)
	}

	/// The root of the Merkle mountain range after this block; `None` when the header does not have exactly one.
	pub fn mmr_root(&self) -> Option<H256> {
		let mut roots =
			self.consensus_items(MMR_ENGINE_ID).map(|mut bytes| H256::decode_all(&mut bytes).ok());
		match (roots.next(), roots.next()) {
			(Some(root), None) => root,
			_ => None,
		}
	}

	/// What the header says about the set of authorities. What does not decode counts as nothing, as it does for nodes.
	pub fn set_change(&self) -> SetChange {
		let mut change = SetChange::None;
		for mut bytes in self.consensus_items(GRANDPA_ENGINE_ID) {
			match ConsensusLog::decode(&mut bytes) {
				Ok(ConsensusLog::ForcedChange(..)) => return SetChange::Forced,
				Ok(ConsensusLog::ScheduledChange(scheduled)) if change == SetChange::None => {
					change = SetChange::Scheduled(scheduled);
				},
				_ => {},
			}
		}
		change
	}

	fn consensus_items(&self, engine: [u8; 4]) -> impl Iterator<Item = &[u8]> {
		self.digest.iter().filter_map(move |item| match item {
			DigestItem::Consensus(Engine(name), Data(bytes)) if *name == engine => Some(&bytes[..]),
			_ => None,
		})
	}
}
