//! What came of a fetch: where the bytes came from, or why there are none.

use crate::{identity::InvalidNetworkKey, protocol::Refusal};
use cairn_primitives::ArtifactHash;
use libp2p::PeerId;
use std::{fmt, path::PathBuf, time::Duration};

/// How a holder was found.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Route {
	/// The caller named it.
	Preferred,
	/// Kademlia has a provider record for it.
	Provider,
	/// It was connected, and was asked whether it has the artifact.
	Connected,
}

impl fmt::Display for Route {
	fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
		f.write_str(match self {
			Self::Preferred => "preferred",
			Self::Provider => "provider",
			Self::Connected => "connected",
		})
	}
}

/// Why a source gave no artifact.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Problem {
	/// The key names no peer.
	#[error(transparent)]
	InvalidKey(#[from] InvalidNetworkKey),
	/// Neither this node nor Kademlia knows where it is.
	#[error("no address of it is known; is it running, and joined through the same bootstrap nodes?")]
	NoAddress,
	/// It could not be reached.
	#[error("cannot be reached: {0}")]
	Dial(String),
	/// This node does not admit it.
	#[error("is not admitted: {0}")]
	NotAdmitted(String),
	/// This node has banned it.
	#[error("is banned: {0}")]
	Banned(String),
	/// It refused.
	#[error("{0}")]
	Refused(Refusal),
	/// What it sent is not what the hash stands for.
	#[error("sent wrong bytes, or a wrong length; it is kept out for a while")]
	WrongBytes,
	/// It does not follow the protocol.
	#[error("does not follow the protocol: {0}")]
	Protocol(String),
	/// It did not answer in time.
	#[error("did not answer in time")]
	TimedOut,
	/// The connection broke.
	#[error("the connection closed; it may have gone, or not admit this device")]
	Disconnected,
}

/// What came of asking one source.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SourceReport {
	/// The peer; `None` for a preferred key that names none.
	pub peer: Option<PeerId>,
	/// How it was found.
	pub route: Route,
	/// How often it was asked.
	pub attempts: u32,
	/// What went wrong the last time.
	pub problem: Problem,
}

impl fmt::Display for SourceReport {
	fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
		match &self.peer {
			Some(peer) => {
				write!(f, "{peer} ({}, asked {} times) {}", self.route, self.attempts, self.problem)
			},
			None => write!(f, "{} {}", self.route, self.problem),
		}
	}
}

/// All of them in one line.
struct Sources<'a>(&'a [SourceReport]);

impl fmt::Display for Sources<'_> {
	fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
		if self.0.is_empty() {
			return f.write_str(
				"nobody could be asked; check that the bootstrap addresses are right and reachable",
			);
		}
		for (i, source) in self.0.iter().enumerate() {
			write!(f, "{}{source}", if i == 0 { "" } else { "; " })?;
		}
		Ok(())
	}
}

/// The most bytes that an artifact may have to be fetched.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct MaxLen {
	/// Bytes.
	pub bytes: u64,
	/// Why no more, and what is to be done about one that is larger: a part of [`FetchError::TooLarge`].
	pub reason: String,
}

impl MaxLen {
	/// What a node takes, whatever it is.
	pub(crate) fn of_node(bytes: u64) -> Self {
		let reason = "this node takes nothing larger; raise its limit `max_artifact_len`, or have the artifact made smaller";
		Self { bytes, reason: reason.into() }
	}
}

/// Why an artifact was not fetched.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FetchError {
	/// Nobody gave it, or any more of it, in time.
	#[error("artifact {hash:?} was not obtained within {} s: {}", waited.as_secs(), Sources(sources))]
	NotObtained {
		/// The artifact.
		hash: ArtifactHash,
		/// How long nothing came.
		waited: Duration,
		/// Who was asked, and what went wrong.
		sources: Vec<SourceReport>,
	},
	/// It is larger than it may be. Whoever asks again gets the same answer.
	#[error("artifact {hash:?} is not fetched: it has {len} bytes, and the most is {max}: {reason}")]
	TooLarge {
		/// The artifact.
		hash: ArtifactHash,
		/// Its proven length, bytes.
		len: u64,
		/// The limit, bytes.
		max: u64,
		/// Why no more, and what is to be done.
		reason: String,
	},
	/// There is no room for it.
	#[error("artifact {hash:?} needs {need} more bytes in {}, {shortage}; then fetch it again: it goes on from what is on the disk", folder.display())]
	NoSpace {
		/// The artifact.
		hash: ArtifactHash,
		/// The store's folder.
		folder: PathBuf,
		/// Bytes that it still takes.
		need: u64,
		/// What there is.
		shortage: Shortage,
	},
	/// This machine could not keep it.
	#[error(
		"artifact {hash:?} was found but could not be stored: {message}; check the disk, then fetch it again: it goes on \
		 from what the disk has kept"
	)]
	Local {
		/// The artifact.
		hash: ArtifactHash,
		/// What went wrong.
		message: String,
	},
	/// As many artifacts as the limit allows are being fetched.
	#[error("artifact {hash:?} was not asked for: {limit} fetches (the limit `max_fetches`) are under way; wait for some to end")]
	TooMany {
		/// The artifact.
		hash: ArtifactHash,
		/// The limit.
		limit: usize,
	},
	/// The network was shut down.
	#[error("artifact {hash:?} was not fetched: the network has been shut down")]
	Stopped {
		/// The artifact.
		hash: ArtifactHash,
	},
}

/// Why there is no room for an artifact, in bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Shortage {
	/// The disk has not enough.
	Disk {
		/// What is free there.
		free: u64,
		/// What has to stay free: the limit `disk_reserve`.
		reserve: u64,
		/// What other transfers are going to take.
		promised: u64,
	},
	/// The store would exceed its quota.
	Quota {
		/// The limit `disk_quota`.
		quota: u64,
		/// What the store takes already.
		used: u64,
		/// What other transfers are going to take.
		promised: u64,
	},
	/// The system refused to write.
	Refused {
		/// What it said.
		message: String,
		/// What is free on the disk, if it tells.
		free: Option<u64>,
	},
}

impl fmt::Display for Shortage {
	fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
		match self {
			Self::Disk { free, reserve, promised } => write!(
				f,
				"where {free} are free, {reserve} of which stay free and {promised} are promised to other transfers; free \
				 some space there, or move the store to a larger disk"
			),
			Self::Quota { quota, used, promised } => write!(
				f,
				"which may take {quota} in all, takes {used} already and has promised {promised} to other transfers; raise \
				 the quota, or remove artifacts that are no longer needed"
			),
			Self::Refused { message, free } => {
				write!(f, "which could not be written ({message}; ")?;
				match free {
					Some(free) => write!(f, "{free} are free)")?,
					None => f.write_str("it is not known how many are free)")?,
				}
				f.write_str("; free some space there, or lift this user's limit")
			},
		}
	}
}

/// A peer that an artifact came from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Source {
	/// The peer.
	pub peer: PeerId,
	/// How it was found.
	pub route: Route,
	/// How many bytes of the artifact it gave, proofs not counted.
	pub bytes: u64,
}

/// Where a fetched artifact came from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fetched {
	/// It was in the store already.
	AlreadyStored,
	/// Peers gave it.
	From {
		/// Who gave how much, by peer id. What was there from an earlier attempt is nobody's.
		sources: Vec<Source>,
		/// Who else was asked and did not do their part.
		problems: Vec<SourceReport>,
	},
}
