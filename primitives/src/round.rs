//! Hashes of the round protocol that are not artifact names.

use crate::{ArtifactHash, ProgrammeId, RoundIndex, H256};

/// Domain of [`aggregate_commitment`].
pub const AGGREGATE_COMMITMENT_DOMAIN: &str = "cairn 2026-11 aggregate commitment v1";
/// Domain of [`inputs_digest`].
pub const INPUTS_DIGEST_DOMAIN: &str = "cairn 2026-11 aggregate inputs v1";

/// What a committee member commits before it reveals its aggregate.
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
	salt: &[u8; 32],
) -> H256 {
	let mut hasher = blake3::Hasher::new_derive_key(AGGREGATE_COMMITMENT_DOMAIN);
	hasher.update(genesis.as_bytes());
	hasher.update(&programme.to_le_bytes());
	hasher.update(&round.to_le_bytes());
	hasher.update(&attempt.to_le_bytes());
	hasher.update(member);
	hasher.update(result.as_bytes());
	hasher.update(salt);
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

	#[test]
	fn every_field_changes_the_commitment() {
		let base = || aggregate_commitment(&H256([1; 32]), 1, 2, 3, &[4; 32], &H256([5; 32]), &[6; 32]);
		let variants = [
			aggregate_commitment(&H256([9; 32]), 1, 2, 3, &[4; 32], &H256([5; 32]), &[6; 32]),
			aggregate_commitment(&H256([1; 32]), 9, 2, 3, &[4; 32], &H256([5; 32]), &[6; 32]),
			aggregate_commitment(&H256([1; 32]), 1, 9, 3, &[4; 32], &H256([5; 32]), &[6; 32]),
			aggregate_commitment(&H256([1; 32]), 1, 2, 9, &[4; 32], &H256([5; 32]), &[6; 32]),
			aggregate_commitment(&H256([1; 32]), 1, 2, 3, &[9; 32], &H256([5; 32]), &[6; 32]),
			aggregate_commitment(&H256([1; 32]), 1, 2, 3, &[4; 32], &H256([9; 32]), &[6; 32]),
			aggregate_commitment(&H256([1; 32]), 1, 2, 3, &[4; 32], &H256([5; 32]), &[9; 32]),
		];
		assert_eq!(base(), base());
		assert!(variants.iter().all(|v| *v != base()));
	}

	#[test]
	fn inputs_digest_depends_on_order() {
		let (a, b) = (H256([1; 32]), H256([2; 32]));
		assert_ne!(inputs_digest([&a, &b]), inputs_digest([&b, &a]));
		assert_ne!(inputs_digest([&a]), inputs_digest([&a, &a]));
	}
}
