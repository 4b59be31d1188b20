//! Where peers and artifacts are: what identify and Kademlia say, and what this node tells others.

use super::{without_peer, Node, HELD};
use crate::config::is_dialable;
use cairn_primitives::ArtifactHash;
use libp2p::{
	identify,
	kad::{self, store::RecordStore},
	PeerId,
};
use std::{
	sync::atomic::Ordering,
	time::{Duration, Instant},
};

/// Addresses taken from what one peer tells about itself.
const ADDRESSES_PER_PEER: usize = 16;
/// Announcements in flight.
const ANNOUNCING: usize = 8;
/// How long the routing table may change before everything is announced again.
const ANNOUNCE_PAUSE: Duration = Duration::from_secs(1);

impl Node {
	pub(super) fn on_identified(&mut self, id: PeerId, info: identify::Info) {
		if info.protocol_version != self.chain {
			let reason = format!(
				"it is on another chain or no Cairn worker: it says `{}`, this node `{}`",
				info.protocol_version, self.chain
			);
			self.shared.counted.refused_peers.add(1);
			self.gate.refuse(id, reason.clone(), Instant::now());
			self.expel(id, &reason);
			return;
		}
		let Some(peer) = self.peers.get_mut(&id) else { return };
		if !info.protocols.contains(&self.kademlia) {
			return;
		}
		peer.addresses = info
			.listen_addrs
			.into_iter()
			.filter_map(|address| without_peer(address, &id))
			.filter(is_dialable)
			.take(ADDRESSES_PER_PEER)
			.collect();
		self.route(id);
	}

	pub(super) fn on_kad_event(&mut self, event: kad::Event) {
		match event {
			kad::Event::InboundRequest {
				request: kad::InboundRequest::AddProvider { record: Some(record) },
			} => {
				// Kademlia has checked that the provider is the one who sent it.
				match self.peers.get_mut(&record.provider) {
					Some(peer) if peer.admitted => self.keep_record(record),
					Some(peer) if peer.records.len() < HELD => peer.records.push(record),
					_ => {},
				}
			},
			kad::Event::OutboundQueryProgressed { id, result, step, .. } => match result {
				kad::QueryResult::GetProviders(result) => self.on_providers(id, result, step.last),
				kad::QueryResult::GetClosestPeers(result) => {
					let peers = match result {
						Ok(kad::GetClosestPeersOk { peers, .. })
						| Err(kad::GetClosestPeersError::Timeout { peers, .. }) => peers,
					};
					if let Some((wanted, _)) = self.finds.get(&id) {
						let wanted = *wanted;
						for info in peers.into_iter().filter(|info| info.peer_id == wanted) {
							for address in info.addrs.into_iter().take(ADDRESSES_PER_PEER) {
								if let Some(address) = without_peer(address, &wanted).filter(is_dialable) {
									self.book.add(wanted, &address);
								}
							}
						}
					}
					if step.last {
						if let Some((_, reply)) = self.finds.remove(&id) {
							let _ = reply.send(());
						}
					}
				},
				kad::QueryResult::StartProviding(result) => {
					if let Err(error) = result {
						tracing::debug!(%error, "an announcement did not reach everybody it should");
					}
					self.announcing.remove(&id);
					self.announce();
				},
				_ => {},
			},
			kad::Event::RoutingUpdated { peer, is_new_peer: true, .. } => {
				tracing::debug!(%peer, "in the routing table");
				// The newcomer may be the one that should know where our artifacts are.
				self.announce_all_at = self.announce_all_at.min(Instant::now() + ANNOUNCE_PAUSE);
			},
			_ => {},
		}
	}

	fn on_providers(&mut self, id: kad::QueryId, result: kad::GetProvidersResult, last: bool) {
		let mut enough = false;
		if let Some(found) = self.providers.get(&id) {
			if let Ok(kad::GetProvidersOk::FoundProviders { providers, .. }) = result {
				// A full queue means that there are more than the fetch has got round to.
				enough = providers.into_iter().any(|peer| found.try_send(peer).is_err());
			}
			enough |= found.is_closed();
		}
		if last || enough {
			self.providers.remove(&id);
			if let Some(mut query) = self.swarm.behaviour_mut().kad.query_mut(&id) {
				query.finish();
			}
		}
	}

	/// Starts announcements, as many as may be in flight.
	pub(super) fn announce(&mut self) {
		while self.announcing.len() < ANNOUNCING {
			let Some(hash) = self.to_announce.pop_front() else { return };
			if !self.announced.contains(&hash) {
				continue;
			}
			match self.swarm.behaviour_mut().kad.start_providing(record_key(&hash)) {
				Ok(id) => {
					self.announcing.insert(id);
				},
				Err(error) => tracing::error!(artifact = ?hash, ?error, "cannot be announced"),
			}
		}
	}

	pub(super) fn keep_record(&mut self, record: kad::ProviderRecord) {
		let now = Instant::now();
		let expires = record.expires.unwrap_or(now + self.shared.limits.reannounce * 3);
		// Keys that are no artifact's are nobody's business here.
		if record.key.as_ref().len() != 32 || !self.records.admit(record.provider, &record.key, expires) {
			tracing::debug!(peer = %record.provider, "a provider record was not kept");
			return;
		}
		if let Err(error) = self.swarm.behaviour_mut().kad.store_mut().add_provider(record) {
			tracing::debug!(?error, "a provider record was not kept");
		}
		self.count_records();
	}

	pub(super) fn count_records(&self) {
		self.shared.provider_records.store(self.records.len(), Ordering::Relaxed);
	}
}

pub(super) fn record_key(hash: &ArtifactHash) -> kad::RecordKey {
	kad::RecordKey::new(hash.as_fixed_bytes())
}
