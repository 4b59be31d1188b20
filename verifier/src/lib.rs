#![doc = include_str!("../README.md")]
#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

mod account;
pub mod bundle;
pub mod grandpa;
pub mod header;
#[cfg(feature = "json")]
pub mod json;
pub mod mmr;
#[cfg(feature = "json")]
pub mod report;
#[cfg(feature = "json")]
pub mod ss58;
pub mod trie;
mod verify;
#[cfg(all(feature = "wasm", target_arch = "wasm32"))]
mod wasm;

pub use account::Account;
pub use bundle::{Bundle, Claim, DecodeError, Evidence, Record};
pub use grandpa::{AuthorityId, AuthorityList, SetId};
pub use header::Header;
pub use verify::{storage, verify, Proven, Refusal, Statement, LEDGER_VERSION};

use blake2::{digest::consts::U32, Blake2b, Digest};
use cairn_primitives::H256;

/// A block's number.
pub type BlockNumber = u32;

/// BLAKE2-256, the hash of everything that Substrate makes.
pub fn blake2_256(bytes: &[u8]) -> H256 {
	H256(Blake2b::<U32>::digest(bytes).into())
}

/// BLAKE2-256 of two hashes, one after the other.
fn blake2_256_pair(left: &H256, right: &H256) -> H256 {
	H256(Blake2b::<U32>::new().chain_update(left).chain_update(right).finalize().into())
}
