//! How bundles are written in JSON, and read from it.

use crate::Bundle;
use alloc::string::{String, ToString};

/// `[u8; N]` as `0x`-prefixed hex.
pub mod hex_array {
	use alloc::{format, vec::Vec};
	use serde::{de::Error, Deserializer, Serializer};

	/// Writes hex.
	pub fn serialize<const N: usize, S: Serializer>(bytes: &[u8; N], s: S) -> Result<S::Ok, S::Error> {
		cairn_primitives::text::hex_bytes::serialize(bytes, s)
	}

	/// Reads hex.
	pub fn deserialize<'de, const N: usize, D: Deserializer<'de>>(d: D) -> Result<[u8; N], D::Error> {
		let bytes: Vec<u8> = cairn_primitives::text::hex_bytes::deserialize(d)?;
		let len = bytes.len();
		bytes.try_into().map_err(|_| D::Error::custom(format!("{N} bytes are expected here, not {len}")))
	}
}

impl Bundle {
	/// The bundle as JSON, for people to read and for whoever does not want to decode SCALE.
	pub fn to_json(&self) -> String {
		serde_json::to_string_pretty(self).unwrap_or_else(|e| e.to_string())
	}

	/// The bundle that [`Bundle::to_json`] wrote.
	///
	/// # Errors
	/// With a sentence on what is wrong and where.
	pub fn from_json(text: &str) -> Result<Self, String> {
		serde_json::from_str(text).map_err(|e| e.to_string())
	}
}
