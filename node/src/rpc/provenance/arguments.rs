//! Arguments that arrive as text. They are parsed here, not by serde, so that a bad one is told what it should be.

use super::error::Error;
use cairn_primitives::views::RoundState;
use sp_core::{
	crypto::{AccountId32, PublicError, Ss58AddressFormat, Ss58Codec},
	H256,
};

/// The SS58 prefix of Cairn's addresses.
pub const SS58_PREFIX: u16 = 42;

/// The longest text that is looked at as an address. A real one has at most 49 characters, and decoding base58 takes
/// quadratic time, which must not be a caller's to spend.
const LONGEST_ADDRESS: usize = 64;

/// A 32-byte hash: `0x` and 64 hex digits.
pub fn hash(argument: &'static str, text: &str) -> Result<H256, Error> {
	let malformed =
		|problem: String| Error::malformed(argument, text, problem, "write 0x and then 64 hex digits");
	let Some(digits) = text.strip_prefix("0x") else {
		return Err(malformed("does not begin with 0x".into()));
	};
	if let Some(stranger) = digits.chars().find(|c| !c.is_ascii_hexdigit()) {
		return Err(malformed(format!("has {stranger:?} among its digits")));
	}
	if digits.len() != 64 {
		return Err(malformed(format!("has {} hex digits", digits.len())));
	}
	let mut bytes = [0; 32];
	hex::decode_to_slice(digits, &mut bytes).map_err(|e| malformed(e.to_string()))?;
	Ok(H256(bytes))
}

/// What has become of a round, in one word.
pub fn round_state(argument: &'static str, text: &str) -> Result<RoundState, Error> {
	match text {
		"running" => Ok(RoundState::Running),
		"finalised" => Ok(RoundState::Finalised),
		"failed" => Ok(RoundState::Failed),
		_ => Err(Error::malformed(
			argument,
			text,
			"is no state of a round",
			"write running, finalised or failed, or leave it out for all rounds",
		)),
	}
}

/// An account's SS58 address with Cairn's prefix.
pub fn account(argument: &'static str, text: &str) -> Result<AccountId32, Error> {
	let ours = Ss58AddressFormat::custom(SS58_PREFIX);
	let expected = format!("write the account's SS58 address with prefix {SS58_PREFIX}");
	let malformed = |problem: String| Error::malformed(argument, text, problem, expected.clone());
	if text.starts_with("0x") {
		return Err(match hash(argument, text) {
			Ok(key) => malformed(format!(
				"is a public key in hex; its address is {}",
				AccountId32::new(key.0).to_ss58check_with_version(ours),
			)),
			Err(_) => malformed("is hex, not an address".into()),
		});
	}
	if text.len() > LONGEST_ADDRESS {
		return Err(malformed("is too long for an address".into()));
	}
	match AccountId32::from_ss58check_with_version(text) {
		Ok((account, found)) if found == ours => Ok(account),
		// The key is the same on every network, so the address that was meant can be said.
		Ok((account, found)) => Err(malformed(format!(
			"is an address with SS58 prefix {}; on this chain the same key has the address {}",
			found.prefix(),
			account.to_ss58check_with_version(ours),
		))),
		Err(PublicError::InvalidChecksum) => {
			Err(malformed("has a wrong checksum: a character is missing or mistyped".into()))
		},
		Err(PublicError::BadBase58) => Err(malformed("has a character that base58 does not use".into())),
		Err(PublicError::BadLength | PublicError::InvalidPrefix) => {
			Err(malformed("does not have the length of an address: characters are missing or added".into()))
		},
		Err(other) => Err(malformed(format!("is not an SS58 address ({other})"))),
	}
}
