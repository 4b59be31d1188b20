//! Where peers are, and which of them to stay connected to.

use libp2p::{Multiaddr, PeerId};
use std::{
	collections::{HashMap, VecDeque},
	time::{Duration, Instant},
};

/// The most peers whose addresses are remembered.
const PEERS: usize = 4096;
/// The most addresses remembered of one.
const ADDRESSES: usize = 8;

/// Addresses of peers, the most recent first.
#[derive(Default, Debug)]
pub(crate) struct AddressBook {
	addresses: HashMap<PeerId, VecDeque<Multiaddr>>,
	/// The peers in the order in which they were entered, to forget the oldest.
	order: VecDeque<PeerId>,
}

impl AddressBook {
	pub(crate) fn add(&mut self, peer: PeerId, address: &Multiaddr) {
		let known = self.addresses.entry(peer).or_insert_with(|| {
			self.order.push_back(peer);
			VecDeque::new()
		});
		known.retain(|other| other != address);
		known.push_front(address.clone());
		known.truncate(ADDRESSES);
		if self.order.len() > PEERS {
			if let Some(oldest) = self.order.pop_front() {
				self.addresses.remove(&oldest);
			}
		}
	}

	pub(crate) fn of(&self, peer: &PeerId) -> Vec<Multiaddr> {
		self.addresses.get(peer).map(|known| known.iter().cloned().collect()).unwrap_or_default()
	}
}

#[derive(Debug)]
struct Bootnode {
	addresses: Vec<Multiaddr>,
	/// When to dial it next, if it is not connected.
	next: Instant,
	backoff: Duration,
	/// Dials in a row that did not end in an admitted connection.
	failures: u32,
	/// Whether the current attempt's failure has been counted.
	counted: bool,
	/// Since when it is connected and admitted.
	since: Option<Instant>,
}

/// The bootstrap nodes, which are dialled for ever, with growing pauses.
#[derive(Debug)]
pub(crate) struct Bootnodes {
	min: Duration,
	max: Duration,
	nodes: HashMap<PeerId, Bootnode>,
}

impl Bootnodes {
	pub(crate) fn new(min: Duration, max: Duration) -> Self {
		Self { min, max, nodes: HashMap::new() }
	}

	pub(crate) fn add(&mut self, peer: PeerId, address: Multiaddr, now: Instant) {
		let node = self.nodes.entry(peer).or_insert_with(|| Bootnode {
			addresses: Vec::new(),
			next: now,
			backoff: self.min,
			failures: 0,
			counted: true,
			since: None,
		});
		if !node.addresses.contains(&address) {
			node.addresses.push(address);
		}
	}

	/// Who they are and where.
	pub(crate) fn addresses(&self) -> impl Iterator<Item = (&PeerId, &Multiaddr)> {
		self.nodes.iter().flat_map(|(peer, node)| node.addresses.iter().map(move |address| (peer, address)))
	}

	/// The nodes to dial now.
	pub(crate) fn due(
		&mut self,
		now: Instant,
		connected: impl Fn(&PeerId) -> bool,
	) -> Vec<(PeerId, Vec<Multiaddr>)> {
		let max = self.max;
		self.nodes
			.iter_mut()
			.filter(|(peer, node)| !connected(peer) && now >= node.next)
			.map(|(peer, node)| {
				node.next = now + node.backoff;
				node.backoff = node.backoff.saturating_mul(2).min(max);
				node.counted = false;
				(*peer, node.addresses.clone())
			})
			.collect()
	}

	/// It is connected and admitted. It may still refuse this node, so the pauses stay as they are until the
	/// connection has lasted.
	pub(crate) fn connected(&mut self, peer: &PeerId, now: Instant) {
		let Some(node) = self.nodes.get_mut(peer) else { return };
		if node.failures == 0 || node.failures.is_power_of_two() {
			tracing::info!(%peer, "joined through bootstrap node");
		}
		node.since = Some(now);
		// What ends this connection is news.
		node.counted = false;
	}

	/// A dial failed, or the connection ended.
	pub(crate) fn failed(&mut self, peer: &PeerId, reason: &str, now: Instant) {
		let Some(node) = self.nodes.get_mut(peer) else { return };
		if std::mem::replace(&mut node.counted, true) {
			return;
		}
		if node.since.take().is_some_and(|since| now.saturating_duration_since(since) >= self.max) {
			node.backoff = self.min;
			node.failures = 0;
		}
		node.failures = node.failures.saturating_add(1);
		node.next = node.next.max(now + node.backoff);
		// The first, then ever more rarely: it may be away for days.
		if node.failures.is_power_of_two() {
			tracing::warn!(
				%peer, addresses = ?node.addresses, failures = node.failures, %reason,
				"bootstrap node not connected; trying again"
			);
		}
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	fn address(port: u16) -> Multiaddr {
		format!("/ip4/127.0.0.1/tcp/{port}").parse().expect("an address")
	}

	#[test]
	fn book_keeps_the_newest_addresses_first_and_is_bounded() {
		let (mut book, peer) = (AddressBook::default(), PeerId::random());
		for port in (1..=20).chain([15]) {
			book.add(peer, &address(port));
		}
		let ports = [15, 20, 19, 18, 17, 16, 14, 13].map(address);
		assert_eq!(book.of(&peer), ports);
		for _ in 0..PEERS {
			book.add(PeerId::random(), &address(1));
		}
		assert!(book.of(&peer).is_empty());
		assert_eq!((book.addresses.len(), book.order.len()), (PEERS, PEERS));
	}

	/// The seconds of `range` at which the node is dialled while every dial fails at once.
	fn dials(nodes: &mut Bootnodes, start: Instant, range: std::ops::Range<u64>) -> Vec<u64> {
		range
			.filter(|second| {
				let now = start + Duration::from_secs(*second);
				let due = nodes.due(now, |_| false);
				for (peer, addresses) in &due {
					assert_eq!(addresses, &[address(1), address(2)]);
					nodes.failed(peer, "refused", now);
				}
				!due.is_empty()
			})
			.collect()
	}

	#[test]
	fn bootnodes_are_dialled_for_ever_with_growing_pauses_until_connected() {
		let (start, peer) = (Instant::now(), PeerId::random());
		let at = |second| start + Duration::from_secs(second);
		let mut nodes = Bootnodes::new(Duration::from_secs(1), Duration::from_secs(4));
		nodes.add(peer, address(1), start);
		nodes.add(peer, address(2), start);
		assert_eq!(dials(&mut nodes, start, 0..20), [0, 2, 6, 10, 14, 18]);
		assert!(nodes.due(at(100), |_| true).is_empty());

		// A connection that ends at once, because that side does not admit this node, does not hurry the next dial.
		nodes.connected(&peer, at(100));
		nodes.failed(&peer, "closed", at(101));
		assert_eq!(dials(&mut nodes, start, 101..110), [105, 109]);
		// One that lasted does.
		nodes.connected(&peer, at(110));
		nodes.failed(&peer, "closed", at(200));
		assert_eq!(dials(&mut nodes, start, 200..210), [201, 203, 207]);
	}
}
