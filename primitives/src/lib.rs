//! Types, identifiers and hashing shared by Cairn's chain, workers and auditors.
//!
//! Everything here is `no_std`, free of consensus dependencies and encoded with SCALE, so that the same definition
//! is used by the runtime that stores a value, the worker that acts on it and the auditor that checks it.
//!
//! - [`aggregation`]: how a programme aggregates, in all.
//! - [`envelope`]: what an update declares about itself, bound into its artifact and therefore into its hash.
//! - [`bitmap`]: the exact availability bitmap a committee member votes.
//! - [`hardware`]: evidence of what a device can do.
//! - [`ledger`]: how the provenance ledger's records are hashed, committed to and proved.
//! - [`notation`]: how people write an aggregation.
//! - [`programme`]: what is decided about a programme.
//! - [`rule`]: how updates may be aggregated.
//! - [`views`]: what the runtime APIs return.
#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

pub mod aggregation;
pub mod bitmap;
pub mod envelope;
pub mod hardware;
pub mod ledger;
pub mod notation;
pub mod programme;
pub mod round;
pub mod rule;
#[cfg(feature = "serde")]
pub mod text;
pub mod views;

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;
#[cfg(feature = "serde")]
use serde::{Deserialize, Serialize};

pub use aggregation::Aggregation;
pub use primitive_types::H256;
pub use programme::{Label, ProgrammeName, RoundTerms, Settings};
pub use rule::{AggregationRule, RuleKind};

/// The BLAKE3-256 hash of an artifact's canonical bytes: its name everywhere.
pub type ArtifactHash = H256;
/// Number of a site in the hardware registry.
pub type SiteId = u32;
/// Number of a device in the hardware registry.
pub type DeviceId = u32;
/// Number of a programme.
pub type ProgrammeId = u32;
/// Number of a round within its programme, from 0.
pub type RoundIndex = u32;
/// Number of a record in the provenance ledger, from 0, without gaps.
pub type RecordId = u64;
/// Number of a slash, from 0.
pub type SlashId = u32;

/// The name of an artifact: BLAKE3-256 over its bytes as they are.
pub fn artifact_hash(bytes: &[u8]) -> ArtifactHash {
	H256(*blake3::hash(bytes).as_bytes())
}

/// Domain of [`network_key_message`].
pub const NETWORK_KEY_DOMAIN: &str = "cairn 2026-11 network identity v1";

/// What a libp2p identity key signs to agree that it belongs to `account` on the chain `genesis`.
///
/// Without it, anyone could enter somebody else's peer id in the registry.
pub fn network_key_message(genesis: &H256, account: &[u8; 32]) -> [u8; 32] {
	let mut hasher = blake3::Hasher::new_derive_key(NETWORK_KEY_DOMAIN);
	hasher.update(genesis.as_bytes());
	hasher.update(account);
	*hasher.finalize().as_bytes()
}

/// Two thirds of `n`, rounded up: the votes a committee of `n` needs to settle anything.
///
/// ```
/// assert_eq!([1, 2, 3, 4, 5, 6, 7].map(cairn_primitives::two_thirds), [1, 2, 2, 3, 4, 4, 5]);
/// ```
pub const fn two_thirds(n: u32) -> u32 {
	// In u64, so that no committee size can overflow.
	((n as u64 * 2).div_ceil(3)) as u32
}

/// How long each window of a round stays open at most, in blocks. A round moves on earlier when a quorum is complete.
#[derive(
	Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub struct Schedule {
	/// Training and committing update hashes.
	pub commit: u32,
	/// Fetching, checking and voting the availability bitmap.
	pub availability: u32,
	/// Computing the aggregate and committing to its hash.
	pub aggregate: u32,
	/// Revealing the hash.
	pub reveal: u32,
	/// Disputing the agreed aggregate; 0 when it cannot be disputed.
	#[cfg_attr(feature = "serde", serde(default))]
	pub challenge: u32,
}

impl Schedule {
	/// The windows that a programme may have at all: every window takes at least a block, and a challenge is optional.
	pub const SHORTEST: Self = Self { commit: 1, availability: 1, aggregate: 1, reveal: 1, challenge: 0 };
	/// No window is longer.
	pub const LONGEST: Self = Self {
		commit: u32::MAX,
		availability: u32::MAX,
		aggregate: u32::MAX,
		reveal: u32::MAX,
		challenge: u32::MAX,
	};

	/// Whether every window is at most as long as the same window of `other`.
	pub const fn fits_into(&self, other: &Self) -> bool {
		self.commit <= other.commit
			&& self.availability <= other.availability
			&& self.aggregate <= other.aggregate
			&& self.reveal <= other.reveal
			&& self.challenge <= other.challenge
	}
}

/// What an artifact is, in a record.
#[derive(
	Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub enum RecordKind {
	/// Model weights: a programme's genesis weights, or the aggregate of a round.
	Weights,
	/// One worker's pseudo-gradient in one round.
	Update,
	/// The training configuration of a programme.
	TrainingConfig,
}

/// A run of consecutive records: `first .. first + count`.
#[derive(
	Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub struct RecordRange {
	/// The first record.
	pub first: RecordId,
	/// How many.
	pub count: u32,
}

/// One entry of the provenance ledger: this artifact came from these parents, by this account, on this device, in
/// this round. Never edited and never deleted.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub struct Record<AccountId, BlockNumber> {
	/// What the artifact is.
	pub kind: RecordKind,
	/// The artifact.
	pub artifact: ArtifactHash,
	/// The weights it was derived from: for an update, what it was trained from; for an aggregate, what it was
	/// applied to. `None` for what a programme starts with.
	pub base: Option<RecordId>,
	/// The updates that an aggregate was made of, in canonical order.
	pub inputs: Option<RecordRange>,
	/// What the round that made these weights was settled under: [`round::terms_digest`]. `None` for everything but
	/// weights that a round made.
	pub terms: Option<H256>,
	/// Who produced it. `None` for an aggregate, which a committee agreed on, and for what genesis brought.
	pub producer: Option<AccountId>,
	/// The device it was produced on.
	pub device: Option<DeviceId>,
	/// The site where that device stood when its producer committed to the artifact. A device can move later.
	pub site: Option<SiteId>,
	/// The programme it belongs to.
	pub programme: ProgrammeId,
	/// The round it was made in. `None` for what a programme starts with.
	pub round: Option<RoundIndex>,
	/// The block that recorded it.
	pub block: BlockNumber,
}

/// What a machine is, coarsely. Together with measured speed it decides how much work a device is asked for.
#[derive(
	Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub enum DeviceClass {
	/// Trains on its processor.
	Cpu,
	/// Trains on a graphics processor.
	Gpu,
	/// Trains on a tensor processor.
	Tpu,
	/// A phone, a board, a gateway.
	Edge,
	/// Any other accelerator.
	Accelerator,
}

/// Where a device stands in its life.
#[derive(
	Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub enum DeviceState {
	/// The site's owner entered it; its own key has not spoken yet.
	Registered,
	/// Evidence of what it is was accepted.
	Attested,
	/// Its key bound a network identity; it may take part.
	Active,
	/// Barred for now.
	Suspended,
	/// Gone for good.
	Retired,
}

/// What powers a site; the charter may weigh or cap by it.
#[derive(
	Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub enum EnergySource {
	/// Not stated.
	Unknown,
	/// The public grid.
	Grid,
	/// Solar, wind, hydro or geothermal.
	Renewable,
	/// Nuclear.
	Nuclear,
	/// Coal, oil or gas.
	Fossil,
	/// Several of these.
	Mixed,
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn artifact_hash_is_plain_blake3_256() {
		// The empty input's digest, as published with BLAKE3's test vectors.
		assert_eq!(
			hex::encode(artifact_hash(b"")),
			"af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
		);
	}

	#[test]
	fn two_thirds_never_overflows_and_is_the_least_quorum() {
		for n in (0..1000).chain([u32::MAX - 1, u32::MAX]) {
			let q = two_thirds(n) as u64;
			assert!(q * 3 >= n as u64 * 2);
			assert!(n == 0 || (q - 1) * 3 < n as u64 * 2);
		}
	}
}
