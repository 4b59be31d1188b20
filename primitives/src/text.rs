//! How bytes and large numbers are written in JSON: hex and decimal strings, never arrays of bytes and never numbers
//! that JavaScript would round.

use alloc::{format, string::String, vec::Vec};
use core::{fmt::Display, str::FromStr};
use serde::{de::Error, Deserialize, Deserializer, Serializer};

fn parse_hex<E: Error>(text: &str) -> Result<Vec<u8>, E> {
	let digits =
		text.strip_prefix("0x").ok_or_else(|| E::custom(format!("`{text}` does not start with 0x")))?;
	hex::decode(digits).map_err(|e| E::custom(format!("`{text}` is not hex: {e}")))
}

/// `Vec<u8>` as `0x`-prefixed hex.
pub mod hex_bytes {
	use super::*;

	/// Writes hex.
	pub fn serialize<S: Serializer>(bytes: &[u8], s: S) -> Result<S::Ok, S::Error> {
		s.serialize_str(&format!("0x{}", hex::encode(bytes)))
	}

	/// Reads hex.
	pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<u8>, D::Error> {
		parse_hex(&String::deserialize(d)?)
	}
}

/// `Option<Vec<u8>>` as `0x`-prefixed hex or null.
pub mod hex_bytes_option {
	use super::*;

	/// Writes hex or null.
	pub fn serialize<S: Serializer>(bytes: &Option<Vec<u8>>, s: S) -> Result<S::Ok, S::Error> {
		match bytes {
			Some(bytes) => hex_bytes::serialize(bytes, s),
			None => s.serialize_none(),
		}
	}

	/// Reads hex or null.
	pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Vec<u8>>, D::Error> {
		Option::<String>::deserialize(d)?.map(|text| parse_hex(&text)).transpose()
	}
}

/// `Option<[u8; 32]>` as `0x`-prefixed hex or null.
pub mod hex_key_option {
	use super::*;

	/// Writes hex or null.
	pub fn serialize<S: Serializer>(key: &Option<[u8; 32]>, s: S) -> Result<S::Ok, S::Error> {
		match key {
			Some(key) => hex_bytes::serialize(key, s),
			None => s.serialize_none(),
		}
	}

	/// Reads hex or null.
	pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Option<[u8; 32]>, D::Error> {
		hex_bytes_option::deserialize(d)?
			.map(|bytes| {
				let len = bytes.len();
				<[u8; 32]>::try_from(bytes)
					.map_err(|_| D::Error::custom(format!("a key has 32 bytes, this one {len}")))
			})
			.transpose()
	}
}

/// A number as a decimal string.
pub mod decimal {
	use super::*;

	/// Writes the decimal string.
	pub fn serialize<T: Display, S: Serializer>(n: &T, s: S) -> Result<S::Ok, S::Error> {
		s.collect_str(n)
	}

	/// Reads the decimal string.
	pub fn deserialize<'de, T: FromStr, D: Deserializer<'de>>(d: D) -> Result<T, D::Error> {
		let text = String::deserialize(d)?;
		text.parse().map_err(|_| D::Error::custom(format!("`{text}` is not a decimal number")))
	}
}

/// UTF-8 bytes as a string. What is not UTF-8 is shown with replacement characters.
pub mod utf8 {
	use super::*;

	/// Writes the string.
	pub fn serialize<S: Serializer>(bytes: &[u8], s: S) -> Result<S::Ok, S::Error> {
		s.serialize_str(&String::from_utf8_lossy(bytes))
	}

	/// Reads the string.
	pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<u8>, D::Error> {
		Ok(String::deserialize(d)?.into_bytes())
	}
}
