//! What the node counts.

use std::sync::atomic::{AtomicU64, Ordering};

/// A counter that only grows.
#[derive(Default, Debug)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
	pub(crate) fn add(&self, n: u64) {
		// Only ever read for display: no order between counters is promised.
		self.0.fetch_add(n, Ordering::Relaxed);
	}

	pub(crate) fn get(&self) -> u64 {
		self.0.load(Ordering::Relaxed)
	}
}

#[derive(Default, Debug)]
pub(crate) struct Counted {
	pub(crate) wire_in: Counter,
	pub(crate) wire_out: Counter,
	pub(crate) blob_in: Counter,
	pub(crate) blob_out: Counter,
	pub(crate) refused_peers: Counter,
	pub(crate) bans: Counter,
	pub(crate) requests_served: Counter,
	pub(crate) requests_refused: Counter,
	pub(crate) requests_malformed: Counter,
	pub(crate) fetches_ok: Counter,
	pub(crate) fetches_failed: Counter,
}

/// A snapshot of what a node has counted since it started.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Counters {
	/// Bytes read from TCP, everything included.
	pub bytes_in: u64,
	/// Bytes written to TCP, everything included.
	pub bytes_out: u64,
	/// Bytes of artifacts received, with their proofs.
	pub blob_bytes_in: u64,
	/// Bytes of artifacts sent, with their proofs.
	pub blob_bytes_out: u64,
	/// Peers connected and admitted at this moment.
	pub connected_peers: u64,
	/// Times that a peer was refused: not admitted by the policy, or on another chain.
	pub refused_peers: u64,
	/// Times that a peer was banned for sending wrong bytes.
	pub bans: u64,
	/// Provider records that this node keeps for others at this moment.
	pub provider_records: u64,
	/// Requests for a chunk that were answered with bytes.
	pub requests_served: u64,
	/// Requests for a chunk that were refused.
	pub requests_refused: u64,
	/// Requests that could not be read.
	pub requests_malformed: u64,
	/// Fetches that ended with the artifact in the store.
	pub fetches_ok: u64,
	/// Fetches that did not.
	pub fetches_failed: u64,
}
