//! An account's public key.

use codec::{Decode, DecodeWithMemTracking, Encode};

/// An account. SS58 with Cairn's prefix in JSON.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Encode, Decode, DecodeWithMemTracking)]
pub struct Account(pub [u8; 32]);

#[cfg(feature = "json")]
mod json {
	use super::Account;
	use crate::ss58;
	use alloc::string::String;
	use core::fmt;
	use serde::{de::Error, Deserialize, Deserializer, Serialize, Serializer};

	impl fmt::Display for Account {
		fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
			f.write_str(&ss58::encode(&self.0, ss58::PREFIX))
		}
	}

	impl Serialize for Account {
		fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
			s.collect_str(self)
		}
	}

	impl<'de> Deserialize<'de> for Account {
		fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
			ss58::decode(&String::deserialize(d)?).map(Self).map_err(D::Error::custom)
		}
	}
}
