//! Who is let in: peers that come and go, and what the policy says of them.

use super::{Node, Peer, GUEST, TICK};
use crate::{
	fetch::Problem,
	identity::network_key_of_peer_id,
	policy::{Admission, Standing},
	protocol::Refusal,
};
use libp2p::{kad::store::RecordStore, PeerId};
use std::time::Instant;

/// Questions to the policy that run at once.
const CHECKS: usize = 16;

impl Node {
	pub(super) fn on_connected(&mut self, peer: PeerId) {
		if self.peers.contains_key(&peer) {
			return;
		}
		self.peers.insert(peer, Peer::default());
		match self.gate.standing(&peer, Instant::now()) {
			Standing::Admitted { stale } => {
				self.admit(peer);
				if stale {
					self.check(peer);
				}
			},
			Standing::Guest { stale } => {
				self.welcome(peer);
				if stale {
					self.check(peer);
				}
			},
			Standing::Unknown => self.check(peer),
			// The block list has let it pass between the end of one verdict and now.
			Standing::Refused { reason } | Standing::Banned { reason } => self.expel(peer, &reason),
		}
	}

	pub(super) fn on_disconnected(&mut self, peer: PeerId, cause: Option<String>) {
		let Some(gone) = self.peers.remove(&peer) else { return };
		self.serving.retain(|_, serving| {
			serving.over |= serving.peer == peer;
			serving.working || !serving.over
		});
		// Nobody need be asked about it. A question that has been put is answered by itself.
		let waiting = self.to_check.len();
		self.to_check.retain(|waiting| *waiting != peer);
		if self.to_check.len() < waiting {
			self.checking.remove(&peer);
		}
		if gone.admitted {
			tracing::debug!(%peer, cause = cause.as_deref().unwrap_or("closed"), "disconnected");
			self.shared.connected.send_if_modified(|connected| connected.remove(&peer));
		}
		let cause = cause.unwrap_or_else(|| "the connection closed".into());
		let hint =
			"if this repeats, it may not admit this device: is it registered and active on this chain?";
		self.bootnodes.failed(&peer, &format!("{cause}; {hint}"), Instant::now());
		let problem = match self.gate.standing(&peer, Instant::now()) {
			Standing::Refused { reason } => Problem::NotAdmitted(reason),
			Standing::Banned { reason } => Problem::Banned(reason),
			_ => Problem::Disconnected,
		};
		self.answer_waiting(&peer, Err(problem));
	}

	/// Has the policy asked about a peer.
	pub(super) fn check(&mut self, peer: PeerId) {
		if self.checking.insert(peer) {
			self.to_check.push_back(peer);
			self.start_checks();
		}
	}

	fn start_checks(&mut self) {
		while self.checks.len() < CHECKS {
			let Some(peer) = self.to_check.pop_front() else { return };
			let Some(key) = network_key_of_peer_id(&peer) else {
				self.checking.remove(&peer);
				let reason = "its identity key is not ed25519, so it is no device's".into();
				self.on_answer(peer, Admission::Refused { reason });
				continue;
			};
			let policy = self.policy.clone();
			let patience = self.shared.limits.policy_timeout;
			self.checks.spawn(async move {
				// On a task of its own, so that a policy that panics is an answer like others.
				let question = tokio::spawn(async move { policy.admits(key).await });
				let abort = AbortOnDrop(question.abort_handle());
				let answer = match tokio::time::timeout(patience, question).await {
					Ok(Ok(answer)) => answer,
					Ok(Err(error)) => Admission::Unknown { reason: error.to_string() },
					Err(_) => Admission::Unknown { reason: format!("no answer within {patience:?}") },
				};
				drop(abort);
				(peer, answer)
			});
		}
	}

	pub(super) fn on_checked(&mut self, result: Result<(PeerId, Admission), tokio::task::JoinError>) {
		match result {
			Ok((peer, answer)) => {
				self.checking.remove(&peer);
				self.on_answer(peer, answer);
			},
			// Only when the runtime shuts down: what could panic runs on a task of its own.
			Err(error) => tracing::error!(%error, "a check was lost"),
		}
		self.start_checks();
	}

	fn on_answer(&mut self, peer: PeerId, mut answer: Admission) {
		if answer == Admission::Guest && self.shared.limits.max_guests == 0 {
			let reason = "it is no device's, and this node serves devices only".into();
			answer = Admission::Refused { reason };
		}
		if let Admission::Unknown { reason } = &answer {
			tracing::warn!(%peer, %reason, "it cannot be checked whether this peer is an active device; nobody new is admitted meanwhile");
		}
		match self.gate.enter(peer, answer, Instant::now()) {
			Standing::Admitted { .. } => {
				self.swarm.behaviour_mut().blocked.unblock_peer(peer);
				self.admit(peer);
			},
			Standing::Guest { .. } => {
				self.swarm.behaviour_mut().blocked.unblock_peer(peer);
				self.welcome(peer);
			},
			Standing::Refused { reason } => {
				self.shared.counted.refused_peers.add(1);
				self.expel(peer, &reason);
			},
			Standing::Banned { reason } => self.expel(peer, &reason),
			Standing::Unknown => {},
		}
	}

	fn admit(&mut self, id: PeerId) {
		let Some(peer) = self.peers.get_mut(&id) else { return };
		if std::mem::replace(&mut peer.admitted, true) {
			return;
		}
		peer.leaving = None;
		peer.guest = None;
		let requests = std::mem::take(&mut peer.requests);
		let records = std::mem::take(&mut peer.records);
		tracing::debug!(peer = %id, "connected");
		self.shared.connected.send_if_modified(|connected| connected.insert(id));
		self.route(id);
		for record in records {
			self.keep_record(record);
		}
		for (request_id, request, channel) in requests {
			self.serve(id, request_id, request, channel);
		}
		self.bootnodes.connected(&id, Instant::now());
		self.answer_waiting(&id, Ok(()));
	}

	/// Takes a peer as a guest, if there is room: it may fetch, and nothing else.
	fn welcome(&mut self, id: PeerId) {
		let guests = self.peers.values().filter(|peer| peer.guest.is_some()).count();
		match self.peers.get(&id) {
			Some(Peer { guest: Some(_), .. }) | None => return,
			Some(Peer { admitted: true, .. }) => {
				// It was a device's until now.
				self.expel(id, "its device is no longer registered");
				return;
			},
			Some(_) if guests >= self.shared.limits.max_guests => {
				self.expel(id, "as many guests as the limit `max_guests` allows are connected");
				return;
			},
			Some(_) => {},
		}
		let Some(peer) = self.peers.get_mut(&id) else { return };
		peer.guest = Some(Instant::now());
		peer.leaving = None;
		// Its records go on waiting: it may be a device that is being registered.
		let requests = std::mem::take(&mut peer.requests);
		tracing::debug!(peer = %id, "connected as a guest");
		for (request_id, request, channel) in requests {
			self.serve(id, request_id, request, channel);
		}
		self.answer_waiting(&id, Err(Problem::NotAdmitted(GUEST.into())));
	}

	/// Puts an admitted, identified peer into the routing table.
	pub(super) fn route(&mut self, id: PeerId) {
		let Some(peer) = self.peers.get(&id).filter(|peer| peer.admitted) else { return };
		for address in &peer.addresses {
			self.book.add(id, address);
			self.swarm.behaviour_mut().kad.add_address(&id, address.clone());
		}
	}

	/// Disconnects a peer and keeps it out until the gate releases it.
	pub(super) fn expel(&mut self, id: PeerId, reason: &str) {
		tracing::warn!(peer = %id, %reason, "peer refused");
		self.swarm.behaviour_mut().kad.remove_peer(&id);
		for key in self.records.forget_peer(&id) {
			self.swarm.behaviour_mut().kad.store_mut().remove_provider(&key, &id);
		}
		self.count_records();
		let Some(peer) = self.peers.get_mut(&id) else { return self.part(id) };
		if std::mem::replace(&mut peer.admitted, false) {
			self.shared.connected.send_if_modified(|connected| connected.remove(&id));
		}
		peer.guest = None;
		peer.records.clear();
		let requests = std::mem::take(&mut peer.requests);
		if requests.is_empty() {
			return self.part(id);
		}
		let refusal = match self.gate.standing(&id, Instant::now()) {
			Standing::Guest { .. } => Refusal::Busy,
			_ => Refusal::NotAdmitted,
		};
		// It asked for something: let it know why it gets nothing before the connection closes.
		peer.leaving = Some(Instant::now() + TICK * 2);
		for (request_id, _, channel) in requests {
			self.refuse(id, request_id, channel, refusal);
		}
	}

	/// Closes a peer's connections, and has new ones closed for as long as the gate keeps it out.
	pub(super) fn part(&mut self, peer: PeerId) {
		match self.gate.standing(&peer, Instant::now()) {
			// The gate's sweep names it when it need no longer be blocked.
			Standing::Refused { .. } | Standing::Banned { .. } => {
				self.swarm.behaviour_mut().blocked.block_peer(peer);
			},
			Standing::Unknown | Standing::Admitted { .. } | Standing::Guest { .. } => {
				let _ = self.swarm.disconnect_peer_id(peer);
			},
		}
	}

	pub(super) fn ban(&mut self, peer: PeerId, reason: String) {
		self.gate.ban(peer, reason.clone(), Instant::now());
		self.shared.counted.bans.add(1);
		self.shared.banned.send_modify(|banned| {
			banned.insert(peer);
		});
		self.expel(peer, &reason);
	}
}

struct AbortOnDrop(tokio::task::AbortHandle);

impl Drop for AbortOnDrop {
	fn drop(&mut self) {
		self.0.abort();
	}
}
