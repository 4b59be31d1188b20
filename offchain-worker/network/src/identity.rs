//! Network identities: the ed25519 key that a device speaks libp2p with, and the peer id that follows from it.
//!
//! An ed25519 peer id *is* its public key (libp2p wraps it in an identity multihash instead of hashing it), so the
//! registry on chain can hold 32 bytes and everybody can derive the peer id from them, and the other way round.

use cairn_primitives::{network_key_message, H256};
use libp2p::{
	identity::{ed25519, PublicKey},
	PeerId,
};

/// The key pair that a device proves its network identity with.
pub use libp2p::identity::ed25519::Keypair;

/// 32 bytes that are not the encoding of a point on the curve, and so are nobody's public key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
	"0x{} is no ed25519 public key; a device's network key is what `cairn-worker keys show` prints",
	hex(key)
)]
pub struct InvalidNetworkKey {
	/// The bytes.
	pub key: [u8; 32],
}

/// Lower-case hexadecimal, without a prefix.
pub(crate) fn hex(bytes: &[u8]) -> String {
	use std::fmt::Write;
	bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
		// Writing to a string does not fail.
		let _ = write!(out, "{byte:02x}");
		out
	})
}

/// The key pair that the 32-byte secret `seed` stands for (RFC 8032).
pub fn keypair_from_seed(seed: [u8; 32]) -> Keypair {
	let secret = ed25519::SecretKey::try_from_bytes(seed).expect("any 32 bytes are an ed25519 secret; qed");
	Keypair::from(secret)
}

/// The public half, as the registry on chain keeps it.
pub fn network_key(keypair: &Keypair) -> [u8; 32] {
	keypair.public().to_bytes()
}

/// The peer id of the device whose registered network key is `key`.
///
/// # Errors
/// When `key` is no ed25519 public key. A key that the chain accepted always is one, because it signed.
pub fn peer_id_of_network_key(key: [u8; 32]) -> Result<PeerId, InvalidNetworkKey> {
	ed25519::PublicKey::try_from_bytes(&key)
		.map(|public| PublicKey::from(public).to_peer_id())
		.map_err(|_| InvalidNetworkKey { key })
}

/// The network key inside a peer id; `None` for a peer id of another kind of key, which no Cairn device has.
pub fn network_key_of_peer_id(peer: &PeerId) -> Option<[u8; 32]> {
	// Code 0 is the identity multihash, whose digest is the protobuf-encoded key itself.
	const IDENTITY: u64 = 0;
	let multihash: &libp2p::multihash::Multihash<64> = peer.as_ref();
	if multihash.code() != IDENTITY {
		return None;
	}
	let public = PublicKey::try_decode_protobuf(multihash.digest()).ok()?;
	public.try_into_ed25519().ok().map(|key| key.to_bytes())
}

/// The proof that `Hardware.activate_device` asks for: the network key's signature over
/// [`cairn_primitives::network_key_message`], which binds it to `account` (its public key) on the chain `genesis`.
pub fn sign_network_key(keypair: &Keypair, genesis: &H256, account: &[u8; 32]) -> [u8; 64] {
	keypair
		.sign(&network_key_message(genesis, account))
		.try_into()
		.expect("an ed25519 signature has 64 bytes; qed")
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn network_key_and_peer_id_convert_both_ways() {
		for seed in 0..32u8 {
			let key = network_key(&keypair_from_seed([seed; 32]));
			let peer = peer_id_of_network_key(key).expect("a real key");
			assert_eq!(network_key_of_peer_id(&peer), Some(key));
			assert!(peer.to_string().starts_with("12D3KooW"));
		}
	}

	#[test]
	fn keypair_from_seed_follows_rfc_8032() {
		// Test 1 of RFC 8032, section 7.1.
		let seed = [
			0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec, 0x2c, 0xc4,
			0x44, 0x49, 0xc5, 0x69, 0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60,
		];
		assert_eq!(
			hex(&network_key(&keypair_from_seed(seed))),
			"d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
		);
	}

	#[test]
	fn bytes_off_the_curve_are_refused_by_name() {
		// y = 2 has no x on the curve.
		let mut key = [0u8; 32];
		key[0] = 2;
		let error = peer_id_of_network_key(key).expect_err("not a point");
		assert!(error.to_string().contains("0x0200"), "{error}");
	}

	#[test]
	fn a_peer_id_of_another_kind_has_no_network_key() {
		assert_eq!(network_key_of_peer_id(&PeerId::random()), None);
	}

	#[test]
	fn signature_verifies_only_for_its_account_and_chain() {
		let pair = keypair_from_seed([7; 32]);
		let (genesis, account) = (H256([1; 32]), [2; 32]);
		let proof = sign_network_key(&pair, &genesis, &account);
		let public = pair.public();
		assert!(public.verify(&network_key_message(&genesis, &account), &proof));
		assert!(!public.verify(&network_key_message(&H256([3; 32]), &account), &proof));
		assert!(!public.verify(&network_key_message(&genesis, &[4; 32]), &proof));
	}
}
