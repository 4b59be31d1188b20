//! Requests for chunks, those of peers and this node's own, and their answers.

use super::{Node, Served, Serving, HELD};
use crate::{
	fetch::Problem,
	meter::Allowance,
	protocol::{self, BlobRequest, BlobResponse, Refusal},
};
use libp2p::{
	request_response::{self, InboundRequestId, OutboundFailure, ResponseChannel},
	PeerId,
};
use std::time::Instant;

impl Node {
	pub(super) fn on_blob_event(&mut self, event: request_response::Event<BlobRequest, BlobResponse>) {
		match event {
			request_response::Event::Message { peer, message } => match message {
				request_response::Message::Request { request_id, request, channel } => {
					self.on_request(peer, request_id, request, channel);
				},
				request_response::Message::Response { request_id, response } => {
					if let Some(reply) = self.requests.remove(&request_id) {
						let _ = reply.send(Ok(response));
					}
				},
			},
			request_response::Event::OutboundFailure { request_id, error, .. } => {
				if let Some(reply) = self.requests.remove(&request_id) {
					let _ = reply.send(Err(match error {
						OutboundFailure::Timeout => Problem::TimedOut,
						OutboundFailure::ConnectionClosed | OutboundFailure::DialFailure => {
							Problem::Disconnected
						},
						OutboundFailure::UnsupportedProtocols => Problem::Protocol(
							"it does not speak this chain's blob protocol in a version that this node knows"
								.into(),
						),
						OutboundFailure::Io(error) if error.kind() == std::io::ErrorKind::InvalidData => {
							Problem::Protocol(error.to_string())
						},
						OutboundFailure::Io(_) => Problem::Disconnected,
					}));
				}
			},
			request_response::Event::InboundFailure { peer, request_id, error } => {
				tracing::debug!(%peer, %error, "an answer could not be sent");
				self.request_ended(peer, request_id);
			},
			request_response::Event::ResponseSent { peer, request_id } => {
				self.request_ended(peer, request_id);
			},
		}
	}

	fn on_request(
		&mut self,
		id: PeerId,
		request_id: InboundRequestId,
		request: BlobRequest,
		channel: ResponseChannel<BlobResponse>,
	) {
		let Some(peer) = self.peers.get_mut(&id) else { return };
		if peer.admitted || peer.guest.is_some() {
			self.serve(id, request_id, request, channel);
		} else if peer.leaving.is_some() {
			self.refuse(id, request_id, channel, Refusal::NotAdmitted);
		} else if peer.requests.len() < self.shared.limits.serving_per_peer.min(HELD) {
			peer.requests.push((request_id, request, channel));
		} else {
			self.refuse(id, request_id, channel, Refusal::Busy);
		}
	}

	pub(super) fn serve(
		&mut self,
		id: PeerId,
		request_id: InboundRequestId,
		request: BlobRequest,
		channel: ResponseChannel<BlobResponse>,
	) {
		let limits = &self.shared.limits;
		let to_guests = self.serving.values().filter(|serving| serving.guest).count();
		let to_peer = self.serving.values().filter(|serving| serving.peer == id).count();
		let local = self.shared.local;
		let Some(peer) = self.peers.get_mut(&id) else { return };
		let guest = peer.guest.is_some();
		if guest {
			peer.guest = Some(Instant::now());
		}
		if to_peer >= limits.serving_per_peer
			|| self.serving.len() >= limits.serving_total
			|| guest && to_guests >= limits.serving_guests
		{
			self.refuse(id, request_id, channel, Refusal::Busy);
			return;
		}
		let entered = u64::from(request.max_len.clamp(protocol::BLOCK, protocol::MAX_CHUNK));
		let (meters, name) = if guest { (&mut self.guest_meters, local) } else { (&mut self.meters, id) };
		let pause = match meters.take(name, entered, Instant::now()) {
			Allowance::After(pause) => pause,
			Allowance::Busy => {
				self.refuse(id, request_id, channel, Refusal::Busy);
				return;
			},
			Allowance::Spent => {
				self.refuse(id, request_id, channel, Refusal::Allowance);
				return;
			},
		};
		self.serving.insert(request_id, Serving { peer: id, guest, working: true, over: false });
		let (shelf, served) = (self.shelf.clone(), self.served.0.clone());
		tokio::spawn(async move {
			if !pause.is_zero() {
				tokio::time::sleep(pause).await;
			}
			let response = shelf.answer(request).await;
			// Fails only when the node has stopped.
			let _ = served.send(Served { request_id, peer: id, guest, entered, channel, response }).await;
		});
	}

	pub(super) fn send_served(&mut self, served: Served) {
		let Served { request_id, peer, guest, entered, channel, response } = served;
		let given = match &response {
			BlobResponse::Slice { bytes, .. } => bytes.len() as u64,
			BlobResponse::Refused(_) => 0,
		};
		let (meters, name) =
			if guest { (&mut self.guest_meters, self.shared.local) } else { (&mut self.meters, peer) };
		meters.give_back(&name, entered.saturating_sub(given), Instant::now());
		let sent = self.send_response(channel, response);
		self.note_serving(request_id, |serving| {
			serving.working = false;
			serving.over |= !sent;
		});
	}

	/// Enters what has become of an accepted request.
	fn note_serving(&mut self, request_id: InboundRequestId, change: impl FnOnce(&mut Serving)) {
		let Some(serving) = self.serving.get_mut(&request_id) else { return };
		change(serving);
		if serving.over && !serving.working {
			self.serving.remove(&request_id);
		}
	}

	pub(super) fn refuse(
		&mut self,
		peer: PeerId,
		request_id: InboundRequestId,
		channel: ResponseChannel<BlobResponse>,
		refusal: Refusal,
	) {
		tracing::debug!(%peer, %refusal, ?request_id, "request refused");
		self.send_response(channel, BlobResponse::Refused(refusal));
	}

	/// `false` when nobody waits for it any more.
	pub(super) fn send_response(
		&mut self,
		channel: ResponseChannel<BlobResponse>,
		response: BlobResponse,
	) -> bool {
		let counted = &self.shared.counted;
		match &response {
			BlobResponse::Slice { bytes, .. } => {
				counted.requests_served.add(1);
				counted.blob_out.add(bytes.len() as u64);
			},
			BlobResponse::Refused(_) => counted.requests_refused.add(1),
		}
		// An asker that has gone meanwhile has been reported by an event of its own.
		self.swarm.behaviour_mut().blobs.send_response(channel, response).is_ok()
	}

	fn request_ended(&mut self, id: PeerId, request_id: InboundRequestId) {
		self.note_serving(request_id, |serving| serving.over = true);
		let Some(peer) = self.peers.get_mut(&id) else { return };
		peer.requests.retain(|(held, ..)| *held != request_id);
		if peer.leaving.is_some() && !peer.admitted && peer.guest.is_none() {
			self.part(id);
		}
	}
}
