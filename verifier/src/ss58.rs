//! Accounts as people write them: SS58, base 58 over prefix, public key and checksum.

use alloc::{borrow::ToOwned, string::String, vec, vec::Vec};
use blake2::{Blake2b512, Digest};
use core::fmt;

/// The prefix of Cairn's addresses.
pub const PREFIX: u8 = 42;

/// The longest text that is looked at. An address has at most 49 characters, and reading base 58 takes quadratic time.
const LONGEST: usize = 64;

/// Why a text is no account.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ss58Error {
	/// Not base 58.
	Base58(String),
	/// Not the length of a 32-byte account.
	Length(String),
	/// The checksum does not fit; a character is wrong.
	Checksum(String),
}

impl fmt::Display for Ss58Error {
	fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
		match self {
			Self::Base58(text) => write!(f, "`{text}` is not an SS58 address: it is not base 58"),
			Self::Length(text) => write!(f, "`{text}` is not the SS58 address of a 32-byte account"),
			Self::Checksum(text) => write!(f, "`{text}` is not an SS58 address: its checksum is wrong"),
		}
	}
}

impl core::error::Error for Ss58Error {}

fn checksum(payload: &[u8]) -> [u8; 2] {
	let hash = Blake2b512::new().chain_update(b"SS58PRE").chain_update(payload).finalize();
	[hash[0], hash[1]]
}

/// The public key of an address, of whatever network: the prefix says how a key is shown, not which key it is.
///
/// # Errors
/// When the text is no SS58 address of a 32-byte account.
pub fn decode(text: &str) -> Result<[u8; 32], Ss58Error> {
	if text.len() > LONGEST {
		let start: String = text.chars().take(LONGEST).collect();
		return Err(Ss58Error::Length(start + "…"));
	}
	let bytes: Vec<u8> = bs58::decode(text).into_vec().map_err(|_| Ss58Error::Base58(text.to_owned()))?;
	// Prefixes from 64 on take two bytes, the first with bit 6 set.
	let prefix = match bytes.first() {
		Some(0..=63) => 1,
		Some(64..=127) => 2,
		_ => return Err(Ss58Error::Length(text.to_owned())),
	};
	let (payload, sum) = bytes.split_last_chunk::<2>().ok_or_else(|| Ss58Error::Length(text.to_owned()))?;
	let key = payload.get(prefix..).and_then(|key| key.try_into().ok());
	let key = key.ok_or_else(|| Ss58Error::Length(text.to_owned()))?;
	if checksum(payload) != *sum {
		return Err(Ss58Error::Checksum(text.to_owned()));
	}
	Ok(key)
}

/// The address of a public key for a prefix below 64, such as 42.
pub fn encode(key: &[u8; 32], prefix: u8) -> String {
	debug_assert!(prefix < 64);
	let mut bytes = vec![prefix];
	bytes.extend_from_slice(key);
	bytes.extend(checksum(&bytes.clone()));
	bs58::encode(bytes).into_string()
}

#[cfg(test)]
mod tests {
	use super::*;

	/// The development account `//Alice`, sr25519: its key, and its address for prefixes 42, 0 and 1284 (two bytes).
	const KEY: [u8; 32] = [
		0xd4, 0x35, 0x93, 0xc7, 0x15, 0xfd, 0xd3, 0x1c, 0x61, 0x14, 0x1a, 0xbd, 0x04, 0xa9, 0x9f, 0xd6, 0x82,
		0x2c, 0x85, 0x58, 0x85, 0x4c, 0xcd, 0xe3, 0x9a, 0x56, 0x84, 0xe7, 0xa5, 0x6d, 0xa2, 0x7d,
	];
	const GENERIC: &str = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY";
	const POLKADOT: &str = "15oF4uVJwmo4TdGW7VfQxNLavjCXviqxT9S1MgbjMNHr6Sp5";

	#[test]
	fn published_addresses_are_read_and_written() {
		assert_eq!(decode(GENERIC), Ok(KEY));
		assert_eq!(decode(POLKADOT), Ok(KEY));
		assert_eq!(encode(&KEY, 42), GENERIC);
		assert_eq!(encode(&KEY, 0), POLKADOT);
	}

	#[test]
	fn two_byte_prefix_is_read() {
		let mut bytes = vec![0x41, 0x2a];
		bytes.extend(KEY);
		bytes.extend(checksum(&bytes.clone()));
		assert_eq!(decode(&bs58::encode(bytes).into_string()), Ok(KEY));
	}

	#[test]
	fn text_that_is_no_address_is_refused() {
		for text in ["", "0", "5Grw", &GENERIC[1..], &format!("{GENERIC}1")] {
			assert!(decode(text).is_err(), "{text}");
		}
		let typo = GENERIC.replace("DWS", "DWT");
		assert_eq!(decode(&typo), Err(Ss58Error::Checksum(typo.clone())));
		assert_eq!(decode("O0Il"), Err(Ss58Error::Base58("O0Il".into())));
	}
}
