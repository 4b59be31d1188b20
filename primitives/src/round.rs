//! Hashes of the round protocol that are not artifact names.

use crate::{programme::RoundTerms, ArtifactHash, ProgrammeId, RoundIndex, H256};
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;
#[cfg(feature = "serde")]
use serde::{Deserialize, Serialize};

/// Domain of [`aggregate_commitment`].
pub const AGGREGATE_COMMITMENT_DOMAIN: &str = "cairn 2026-11 aggregate commitment v2";
/// Domain of [`quality_digest`].
pub const QUALITY_DIGEST_DOMAIN: &str = "cairn 2026-11 update quality v1";
/// Domain of [`terms_digest`].
pub const TERMS_DIGEST_DOMAIN: &str = "cairn 2026-11 round terms v1";
/// Domain of [`fault_evidence`].
pub const FAULT_EVIDENCE_DOMAIN: &str = "cairn 2026-11 committee fault v1";
/// Domain of [`inputs_digest`].
pub const INPUTS_DIGEST_DOMAIN: &str = "cairn 2026-11 aggregate inputs v1";

/// The best quality that an update can have, in per cent; 0 is the worst.
pub const MAX_QUALITY: u8 = 100;

/// What a committee member commits before it reveals its aggregate: the next weights, and the quality of each included
/// update in canonical order.
///
/// The member's account is inside, so that a copied commitment cannot be opened by the copier, and so are the chain,
/// programme, round and attempt, so that none can be replayed. BLAKE3 in key-derivation mode keeps this hash apart
/// from artifact names.
pub fn aggregate_commitment(
	genesis: &H256,
	programme: ProgrammeId,
	round: RoundIndex,
	attempt: u32,
	member: &[u8; 32],
	result: &ArtifactHash,
	quality: &[u8],
	salt: &[u8; 32],
) -> H256 {
	let mut hasher = blake3::Hasher::new_derive_key(AGGREGATE_COMMITMENT_DOMAIN);
	hasher.update(genesis.as_bytes());
	hasher.update(&programme.to_le_bytes());
	hasher.update(&round.to_le_bytes());
	hasher.update(&attempt.to_le_bytes());
	hasher.update(member);
	hasher.update(result.as_bytes());
	// The length first, so that no quality can pass for another one with a piece of salt.
	hasher.update(&(quality.len() as u64).to_le_bytes());
	hasher.update(quality);
	hasher.update(salt);
	H256(*hasher.finalize().as_bytes())
}

/// One hash over the quality of the included updates in canonical order: what the chain compares and keeps.
pub fn quality_digest(quality: &[u8]) -> H256 {
	let mut hasher = blake3::Hasher::new_derive_key(QUALITY_DIGEST_DOMAIN);
	hasher.update(quality);
	H256(*hasher.finalize().as_bytes())
}

/// One hash over what decides the result of a round beside its base weights and its updates, and what decides who is paid
/// how much: the terms that bound it, the seed of the order in which bucketing took the updates, where the rule has one,
/// and [`quality_digest`].
///
/// The chain writes it into the record of the weights that the round made, so that whoever recomputes them need not take
/// anybody's word for how they came about.
pub fn terms_digest(terms: &RoundTerms, bucketing_seed: Option<&H256>, quality: Option<&H256>) -> H256 {
	let mut hasher = blake3::Hasher::new_derive_key(TERMS_DIGEST_DOMAIN);
	// SCALE tells where each part ends.
	(terms, bucketing_seed, quality).using_encoded(|bytes| hasher.update(bytes));
	H256(*hasher.finalize().as_bytes())
}

/// What a committee member revealed: the name of the next weights, and the digest of the updates' quality. Members agree
/// when both are equal.
#[derive(
	Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub struct Revealed {
	/// The next weights.
	pub result: ArtifactHash,
	/// [`quality_digest`] of the updates' quality.
	pub quality: H256,
}

/// The evidence that a committee member revealed something else than what was settled in the end: a hash over where,
/// who, what it revealed and what it should have, all of which the chain's events tell.
pub fn fault_evidence(
	genesis: &H256,
	programme: ProgrammeId,
	round: RoundIndex,
	attempt: u32,
	member: &[u8; 32],
	revealed: &Revealed,
	settled: &Revealed,
) -> H256 {
	let mut hasher = blake3::Hasher::new_derive_key(FAULT_EVIDENCE_DOMAIN);
	hasher.update(genesis.as_bytes());
	hasher.update(&programme.to_le_bytes());
	hasher.update(&round.to_le_bytes());
	hasher.update(&attempt.to_le_bytes());
	hasher.update(member);
	for found in [revealed, settled] {
		hasher.update(found.result.as_bytes());
		hasher.update(found.quality.as_bytes());
	}
	H256(*hasher.finalize().as_bytes())
}

/// One hash over the included updates in canonical order. It is written into the metadata of the next weights, which
/// binds the weights to exactly what they were made of.
pub fn inputs_digest<'a>(updates: impl IntoIterator<Item = &'a ArtifactHash>) -> H256 {
	let mut hasher = blake3::Hasher::new_derive_key(INPUTS_DIGEST_DOMAIN);
	for update in updates {
		hasher.update(update.as_bytes());
	}
	H256(*hasher.finalize().as_bytes())
}

#[cfg(test)]
mod tests {
	use super::*;
	use crate::AggregationRule;

	#[test]
	fn every_field_changes_the_commitment() {
		let of = |genesis: u8, numbers: [u32; 3], member: u8, result: u8, quality: &[u8], salt: u8| {
			let [programme, round, attempt] = numbers;
			let (genesis, result) = (H256([genesis; 32]), H256([result; 32]));
			aggregate_commitment(
				&genesis,
				programme,
				round,
				attempt,
				&[member; 32],
				&result,
				quality,
				&[salt; 32],
			)
		};
		let base = || of(1, [1, 2, 3], 4, 5, &[50, 60], 6);
		let variants = [
			of(9, [1, 2, 3], 4, 5, &[50, 60], 6),
			of(1, [9, 2, 3], 4, 5, &[50, 60], 6),
			of(1, [1, 9, 3], 4, 5, &[50, 60], 6),
			of(1, [1, 2, 9], 4, 5, &[50, 60], 6),
			of(1, [1, 2, 3], 9, 5, &[50, 60], 6),
			of(1, [1, 2, 3], 4, 9, &[50, 60], 6),
			of(1, [1, 2, 3], 4, 5, &[60, 50], 6),
			of(1, [1, 2, 3], 4, 5, &[50, 60, 6], 6),
			of(1, [1, 2, 3], 4, 5, &[50, 60], 9),
		];
		assert_eq!(base(), base());
		assert!(variants.iter().all(|v| *v != base()));
	}

	#[test]
	fn every_field_changes_the_evidence() {
		let found = |n: u8| Revealed { result: H256([n; 32]), quality: H256([n + 100; 32]) };
		let of = |numbers: [u32; 3], member: u8, revealed, settled| {
			let [programme, round, attempt] = numbers;
			fault_evidence(&H256([1; 32]), programme, round, attempt, &[member; 32], &revealed, &settled)
		};
		let base = of([1, 2, 3], 4, found(5), found(6));
		let other_quality = Revealed { quality: H256::zero(), ..found(5) };
		let variants = [
			of([9, 2, 3], 4, found(5), found(6)),
			of([1, 9, 3], 4, found(5), found(6)),
			of([1, 2, 9], 4, found(5), found(6)),
			of([1, 2, 3], 9, found(5), found(6)),
			of([1, 2, 3], 4, found(6), found(5)),
			of([1, 2, 3], 4, other_quality, found(6)),
		];
		assert!(variants.iter().all(|v| *v != base));
	}

	#[test]
	fn quality_digest_depends_on_order_and_length() {
		assert_ne!(quality_digest(&[1, 2]), quality_digest(&[2, 1]));
		assert_ne!(quality_digest(&[0]), quality_digest(&[0, 0]));
	}

	#[test]
	fn terms_digest_covers_rule_limits_seed_and_quality() {
		let terms = RoundTerms {
			aggregation: AggregationRule::WeightedMean.into(),
			max_samples: 10,
			max_local_steps: 5,
		};
		let (seed, quality) = (H256([1; 32]), H256([2; 32]));
		let variants = [
			terms_digest(&terms, Some(&seed), Some(&quality)),
			terms_digest(&terms, None, Some(&quality)),
			terms_digest(&terms, Some(&quality), None),
			terms_digest(&terms, Some(&quality), Some(&seed)),
			terms_digest(
				&RoundTerms { aggregation: AggregationRule::CoordinateMedian.into(), ..terms },
				Some(&seed),
				Some(&quality),
			),
			terms_digest(&RoundTerms { max_samples: 5, ..terms }, Some(&seed), Some(&quality)),
			terms_digest(&RoundTerms { max_local_steps: 10, ..terms }, Some(&seed), Some(&quality)),
		];
		for (i, one) in variants.iter().enumerate() {
			assert!(variants[..i].iter().all(|other| other != one), "{i}");
		}
	}

	#[test]
	fn inputs_digest_depends_on_order() {
		let (a, b) = (H256([1; 32]), H256([2; 32]));
		assert_ne!(inputs_digest([&a, &b]), inputs_digest([&b, &a]));
		assert_ne!(inputs_digest([&a]), inputs_digest([&a, &a]));
	}
}
