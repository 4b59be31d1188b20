//! GRANDPA's finality: justifications and the sets of authorities that sign them. The encoding is that of
//! `sp_consensus_grandpa::GrandpaJustification`, which a test compares; so do tests with the verdicts of
//! `sc_consensus_grandpa`.

use crate::{header::Header, BlockNumber};
use alloc::{collections::BTreeMap, vec::Vec};
use cairn_primitives::H256;
use codec::{Decode, DecodeWithMemTracking, Encode};
use core::fmt;
use ed25519_zebra::VerificationKey;
#[cfg(feature = "json")]
use serde::{Deserialize, Serialize};

/// The public key of an authority: ed25519.
pub type AuthorityId = H256;
/// Authorities and their weights.
pub type AuthorityList = Vec<(AuthorityId, u64)>;
/// Which set of authorities it is, counted from genesis' 0.
pub type SetId = u64;

/// The vote of an authority that a block and all before it are final.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking)]
#[cfg_attr(
	feature = "json",
	derive(Serialize, Deserialize),
	serde(rename_all = "camelCase", deny_unknown_fields)
)]
pub struct SignedPrecommit {
	/// The hash of the block voted for.
	pub target_hash: H256,
	/// Its number.
	pub target_number: BlockNumber,
	/// The ed25519 signature.
	pub signature: Signature,
	/// Who signed.
	pub id: AuthorityId,
}

/// An ed25519 signature; hex in JSON.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking)]
#[cfg_attr(feature = "json", derive(Serialize, Deserialize), serde(transparent))]
pub struct Signature(#[cfg_attr(feature = "json", serde(with = "crate::json::hex_array"))] pub [u8; 64]);

/// The votes that make a block final.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking)]
#[cfg_attr(
	feature = "json",
	derive(Serialize, Deserialize),
	serde(rename_all = "camelCase", deny_unknown_fields)
)]
pub struct Justification {
	/// GRANDPA's round in which they were given.
	pub round: u64,
	/// The hash of the block that they make final.
	pub target_hash: H256,
	/// Its number.
	pub target_number: BlockNumber,
	/// The votes.
	pub precommits: Vec<SignedPrecommit>,
	/// The headers that lead from blocks voted for back to the target.
	pub votes_ancestries: Vec<Header>,
}

/// A block and why it is final.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking)]
#[cfg_attr(
	feature = "json",
	derive(Serialize, Deserialize),
	serde(rename_all = "camelCase", deny_unknown_fields)
)]
pub struct Finalised {
	/// The block's header.
	pub header: Header,
	/// The votes.
	pub justification: Justification,
}

/// Why a list of authorities is none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SetError {
	/// Nobody is in it.
	Empty,
	/// An authority without weight, or more weight than can be counted.
	Weight,
	/// Somebody is in it twice.
	Twice(AuthorityId),
}

impl fmt::Display for SetError {
	fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
		match self {
			Self::Empty => f.write_str("nobody is in it"),
			Self::Weight => f.write_str("an authority in it has no weight, or the weights do not add up"),
			Self::Twice(id) => write!(f, "{id:?} is in it twice"),
		}
	}
}

/// Why votes do not make a block final.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum JustificationError {
	/// It is for another block.
	OtherTarget,
	/// A signature is not one over this vote in this round of this set.
	Signature(AuthorityId),
	/// A vote is for a block that is neither the target nor, by the headers given, after it.
	NotDescendant(H256),
	/// There are headers that no vote needs.
	UnusedHeaders,
	/// The votes have too little weight.
	TooFew {
		/// The weight of those who voted.
		weight: u64,
		/// The least weight that suffices.
		threshold: u64,
	},
}

impl fmt::Display for JustificationError {
	fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
		match self {
			Self::OtherTarget => f.write_str("it is for another block"),
			Self::Signature(id) => {
				write!(f, "the signature of {id:?} is not one over this vote in this round of this set of authorities")
			},
			Self::NotDescendant(hash) => {
				write!(
					f,
					"a vote is for block {hash:?}, of which it does not show that it comes after the block"
				)
			},
			Self::UnusedHeaders => f.write_str("it has headers that no vote needs"),
			Self::TooFew { weight, threshold } => {
				write!(
					f,
					"its votes have a weight of {weight}, and {threshold} is needed: more than two thirds"
				)
			},
		}
	}
}

/// A set of authorities.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AuthoritySet {
	id: SetId,
	weights: BTreeMap<AuthorityId, u64>,
	total: u64,
}

impl AuthoritySet {
	/// The set of this number.
	///
	/// # Errors
	/// When no set is like that.
	pub fn new(id: SetId, authorities: &[(AuthorityId, u64)]) -> Result<Self, SetError> {
		let (mut weights, mut total) = (BTreeMap::new(), 0u64);
		for (authority, weight) in authorities {
			total = total.checked_add(*weight).filter(|_| *weight > 0).ok_or(SetError::Weight)?;
			if weights.insert(*authority, *weight).is_some() {
				return Err(SetError::Twice(*authority));
			}
		}
		if weights.is_empty() {
			return Err(SetError::Empty);
		}
		Ok(Self { id, weights, total })
	}

	/// Its number.
	pub const fn id(&self) -> SetId {
		self.id
	}

	/// How many authorities it has.
	pub fn len(&self) -> usize {
		self.weights.len()
	}

	/// Whether nobody is in it, which never is.
	pub fn is_empty(&self) -> bool {
		self.weights.is_empty()
	}

	/// The least weight that makes a block final: more than two thirds of all, as `finality_grandpa` counts it.
	pub const fn threshold(&self) -> u64 {
		self.total.saturating_sub(self.total.saturating_sub(1) / 3)
	}

	/// Whether these votes make the block with this hash and number final.
	///
	/// Every vote must be signed for this round of this set by whoever it says, and be for the lowest block voted for or
	/// one that the headers lead back from to it. The weight of the authorities that voted for the target or a block after
	/// it must reach the threshold. An authority counts once; one that voted differently twice counts whatever its votes
	/// were, as in GRANDPA, where it has then voted for everything: a commit has both of its votes, and one may be for a
	/// block before the target. Votes of others count nothing.
	///
	/// All this is as nodes have it, so that what a node took for final can be proved.
	///
	/// # Errors
	/// The first thing that is wrong.
	pub fn check(
		&self,
		hash: &H256,
		number: BlockNumber,
		justification: &Justification,
	) -> Result<(), JustificationError> {
		if (justification.target_hash, justification.target_number) != (*hash, number) {
			return Err(JustificationError::OtherTarget);
		}
		let votes = &justification.precommits;
		let base = votes.iter().min_by_key(|vote| vote.target_number).map_or(*hash, |vote| vote.target_hash);
		let mut ancestry = Ancestry::new(base, *hash, &justification.votes_ancestries)?;

		let mut voters = BTreeMap::<AuthorityId, (&SignedPrecommit, u64)>::new();
		let mut is_voted_for = false;
		for vote in votes {
			let counts = ancestry.is_after_target(vote.target_hash)?;
			if let Some(weight) = self.weights.get(&vote.id) {
				let (first, counted) = voters.entry(vote.id).or_insert((vote, 0));
				if counts || *first != vote {
					*counted = *weight;
				}
				is_voted_for |= counts;
			}
			if !self.has_signed(vote, justification.round) {
				return Err(JustificationError::Signature(vote.id));
			}
		}
		if !ancestry.is_used_up() {
			return Err(JustificationError::UnusedHeaders);
		}
		// Of weights that are all in the set and each counted once, the sum is at most the set's total.
		let weight = match is_voted_for {
			true => voters.values().fold(0u64, |sum, (_, weight)| sum.saturating_add(*weight)),
			// Those who voted for everything have not voted for what nobody voted for.
			false => 0,
		};
		if weight < self.threshold() {
			return Err(JustificationError::TooFew { weight, threshold: self.threshold() });
		}
		Ok(())
	}

	fn has_signed(&self, vote: &SignedPrecommit, round: u64) -> bool {
		// The 1 says that it is a precommit.
		let message = (1u8, vote.target_hash, vote.target_number, round, self.id).encode();
		// The same library as the nodes use, because implementations of ed25519 differ in what they accept.
		VerificationKey::try_from(vote.id.0)
			.is_ok_and(|key| key.verify(&vote.signature.0.into(), &message).is_ok())
	}
}

/// The headers of a justification, and which of them votes needed.
struct Ancestry {
	/// The lowest block voted for: all headers lead there.
	base: H256,
	/// The block that is to be final.
	target: H256,
	parents: BTreeMap<H256, H256>,
	/// The blocks that are known to come after the base, and whether they are the target or after it.
	known: BTreeMap<H256, bool>,
}

impl Ancestry {
	fn new(base: H256, target: H256, headers: &[Header]) -> Result<Self, JustificationError> {
		let parents: BTreeMap<_, _> =
			headers.iter().map(|header| (header.hash(), header.parent_hash)).collect();
		if parents.len() != headers.len() {
			return Err(JustificationError::UnusedHeaders);
		}
		let mut ancestry = Self { base, target, parents, known: BTreeMap::new() };
		// From the base to the target first, so that later walks end at the target.
		if let Some(parent) = ancestry.parents.get(&target).copied().filter(|_| base != target) {
			ancestry.is_after_target(parent)?;
			ancestry.known.insert(target, true);
		}
		Ok(ancestry)
	}

	/// Whether the block is the target or after it, by way of headers that lead back to the base.
	fn is_after_target(&mut self, block: H256) -> Result<bool, JustificationError> {
		let mut way = Vec::new();
		let mut at = block;
		let after = loop {
			if let Some(after) = self.known.get(&at) {
				break *after;
			}
			if at == self.base {
				break self.base == self.target;
			}
			way.push(at);
			at = *self.parents.get(&at).ok_or(JustificationError::NotDescendant(block))?;
		};
		self.known.extend(way.into_iter().map(|block| (block, after)));
		Ok(after)
	}

	/// Whether every header was needed.
	fn is_used_up(&self) -> bool {
		self.known.len() == self.parents.len()
	}
}
