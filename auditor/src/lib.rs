#![doc = include_str!("../README.md")]

pub mod artifacts;
pub mod audit;
pub mod chain;
pub mod html;
pub mod lineage;
pub mod prove;
pub mod recompute;
pub mod rpc;
pub mod stores;
pub mod terminal;

use serde::Serialize;

/// What an audit came to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Verdict {
	/// Everything that was asked about holds.
	Equal,
	/// Something that is needed for an answer is missing, and nothing that was found is wrong.
	Unknown,
	/// Something on the chain is not what it claims to be.
	Refuted,
}

impl Verdict {
	/// The exit code that says it: 0, 2 or 1.
	pub const fn exit_code(self) -> u8 {
		match self {
			Self::Equal => 0,
			Self::Refuted => 1,
			Self::Unknown => 2,
		}
	}
}
