//! The background task: owns the swarm and everything that only it may touch.

mod admission;
mod discovery;
mod serving;

use crate::{
	book::{AddressBook, Bootnodes},
	config::Limits,
	counters::{Counted, Counters},
	fetch::Problem,
	meter::Meters,
	policy::{AccessPolicy, Admission, Gate, Standing},
	protocol::{self, BlobCodec, BlobProtocol, BlobRequest, BlobResponse, Refusal},
	records::ProviderRecords,
	serve::Shelf,
};
use cairn_artifacts::Store;
use cairn_primitives::{ArtifactHash, H256};
use discovery::record_key;
use futures::StreamExt;
use libp2p::{
	allow_block_list::{self, BlockedPeers},
	connection_limits::{self, ConnectionLimits},
	core::{muxing::StreamMuxerBox, transport::Boxed, transport::ListenerId},
	identify, identity,
	kad::{
		self,
		store::{MemoryStore, MemoryStoreConfig, RecordStore},
	},
	multiaddr::Protocol,
	ping,
	request_response::{self, InboundRequestId, OutboundRequestId, ProtocolSupport, ResponseChannel},
	swarm::{
		self,
		dial_opts::{DialOpts, PeerCondition},
		DialError, NetworkBehaviour, SwarmEvent,
	},
	Multiaddr, PeerId, StreamProtocol, Swarm,
};
use std::{
	collections::{BTreeSet, HashMap, HashSet, VecDeque},
	sync::{
		atomic::{AtomicUsize, Ordering},
		Arc, RwLock,
	},
	time::{Duration, Instant},
};
use tokio::{
	sync::{mpsc, oneshot, watch},
	task::JoinSet,
};

/// How often the task looks after what only time brings.
const TICK: Duration = Duration::from_millis(500);
/// Verdicts on peers that are kept.
const VERDICTS: usize = 4096;
/// Requests and provider records that a peer may send before it is known whether it is admitted.
const HELD: usize = 64;
/// How long a guest may stay without asking for anything.
const GUEST_PATIENCE: Duration = Duration::from_secs(60);
/// How often partial files are swept.
const SWEEP: Duration = Duration::from_secs(3600);

/// Why an artifact is not announced.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AnnounceError {
	/// The limit is reached.
	#[error("artifact {hash:?} is not announced: {limit} are (the limit `max_announced`); withdraw some that are no longer needed")]
	TooMany {
		/// The artifact.
		hash: ArtifactHash,
		/// The limit.
		limit: usize,
	},
	/// The network was shut down.
	#[error("artifact {hash:?} is not announced: the network has been shut down")]
	Stopped {
		/// The artifact.
		hash: ArtifactHash,
	},
}

/// What the handle and the fetches ask of the task.
pub(crate) enum Command {
	/// Be connected to an admitted peer.
	Connect { peer: PeerId, reply: oneshot::Sender<Result<(), Problem>> },
	/// Ask a connected peer for a chunk.
	Ask { peer: PeerId, request: BlobRequest, reply: oneshot::Sender<Result<BlobResponse, Problem>> },
	/// Look in Kademlia for providers.
	Providers { hash: ArtifactHash, found: mpsc::Sender<PeerId> },
	/// Look in Kademlia for a peer's addresses.
	Find { peer: PeerId, reply: oneshot::Sender<()> },
	/// Keep a peer out.
	Ban { peer: PeerId, reason: String },
	/// Announce an artifact.
	Announce { hash: ArtifactHash, reply: oneshot::Sender<Result<(), AnnounceError>> },
	/// Announce it no more.
	Withdraw { hash: ArtifactHash },
	/// End.
	Shutdown,
}

/// What the task shows to the handle and the fetches.
pub(crate) struct Shared {
	pub(crate) local: PeerId,
	pub(crate) limits: Limits,
	pub(crate) counted: Arc<Counted>,
	pub(crate) listen: RwLock<Vec<Multiaddr>>,
	/// Peers that are connected and admitted.
	pub(crate) connected: watch::Sender<BTreeSet<PeerId>>,
	pub(crate) banned: watch::Sender<BTreeSet<PeerId>>,
	pub(crate) provider_records: AtomicUsize,
}

impl Shared {
	pub(crate) fn counters(&self) -> Counters {
		let counted = &self.counted;
		Counters {
			bytes_in: counted.wire_in.get(),
			bytes_out: counted.wire_out.get(),
			blob_bytes_in: counted.blob_in.get(),
			blob_bytes_out: counted.blob_out.get(),
			connected_peers: self.connected.borrow().len() as u64,
			refused_peers: counted.refused_peers.get(),
			bans: counted.bans.get(),
			provider_records: self.provider_records.load(Ordering::Relaxed) as u64,
			requests_served: counted.requests_served.get(),
			requests_refused: counted.requests_refused.get(),
			requests_malformed: counted.requests_malformed.get(),
			fetches_ok: counted.fetches_ok.get(),
			fetches_failed: counted.fetches_failed.get(),
		}
	}
}

#[derive(NetworkBehaviour)]
pub(crate) struct Behaviour {
	connections: connection_limits::Behaviour,
	blocked: allow_block_list::Behaviour<BlockedPeers>,
	identify: identify::Behaviour,
	ping: ping::Behaviour,
	kad: kad::Behaviour<MemoryStore>,
	blobs: request_response::Behaviour<BlobCodec>,
}

/// A connected peer.
#[derive(Default)]
struct Peer {
	admitted: bool,
	/// It may fetch, and nothing else; it last did then.
	guest: Option<Instant>,
	/// Where it listens, once it has said that it is on our chain.
	addresses: Vec<Multiaddr>,
	/// Requests that wait for the policy's answer.
	requests: Vec<(InboundRequestId, BlobRequest, ResponseChannel<BlobResponse>)>,
	/// Provider records that do.
	records: Vec<kad::ProviderRecord>,
	/// To be disconnected as soon as its refusals are sent, or at the next tick but one.
	leaving: Option<Instant>,
}

/// A request that was accepted. It counts until its task and its answer are both over, so that nobody has more served by
/// coming back.
struct Serving {
	peer: PeerId,
	guest: bool,
	/// A task waits for the rate's sake, or reads.
	working: bool,
	/// The answer is sent, or nobody waits for it any more.
	over: bool,
}

/// A chunk that was read and is to be sent, and what was entered for it in the peer's meter.
struct Served {
	request_id: InboundRequestId,
	peer: PeerId,
	guest: bool,
	entered: u64,
	channel: ResponseChannel<BlobResponse>,
	response: BlobResponse,
}

pub(crate) struct Node {
	swarm: Swarm<Behaviour>,
	shared: Arc<Shared>,
	policy: Arc<dyn AccessPolicy>,
	shelf: Arc<Shelf>,
	store: Store,
	commands: mpsc::Receiver<Command>,
	/// What this node says of its chain in identify, and what others must say.
	chain: String,
	kademlia: StreamProtocol,

	gate: Gate,
	checks: JoinSet<(PeerId, Admission)>,
	/// Peers about whom the policy is being asked, or will be.
	checking: HashSet<PeerId>,
	to_check: VecDeque<PeerId>,

	peers: HashMap<PeerId, Peer>,
	book: AddressBook,
	bootnodes: Bootnodes,
	waiting: HashMap<PeerId, Vec<oneshot::Sender<Result<(), Problem>>>>,

	requests: HashMap<OutboundRequestId, oneshot::Sender<Result<BlobResponse, Problem>>>,
	providers: HashMap<kad::QueryId, mpsc::Sender<PeerId>>,
	finds: HashMap<kad::QueryId, (PeerId, oneshot::Sender<()>)>,

	announced: HashSet<ArtifactHash>,
	to_announce: VecDeque<ArtifactHash>,
	announcing: HashSet<kad::QueryId>,
	announce_all_at: Instant,
	records: ProviderRecords,

	/// Requests that were accepted and are not over yet.
	serving: HashMap<InboundRequestId, Serving>,
	served: (mpsc::Sender<Served>, mpsc::Receiver<Served>),
	meters: Meters,
	/// One meter for all guests, under this node's own name.
	guest_meters: Meters,
	sweep_at: Instant,
}

/// What it takes to make a [`Node`].
pub(crate) struct Parts {
	pub(crate) keypair: identity::Keypair,
	pub(crate) transport: Boxed<(PeerId, StreamMuxerBox)>,
	pub(crate) genesis: H256,
	pub(crate) shared: Arc<Shared>,
	pub(crate) policy: Arc<dyn AccessPolicy>,
	pub(crate) shelf: Arc<Shelf>,
	pub(crate) store: Store,
	pub(crate) commands: mpsc::Receiver<Command>,
	pub(crate) bootnodes: Bootnodes,
}

fn behaviour(keypair: &identity::Keypair, genesis: &H256, shared: &Shared) -> Behaviour {
	let limits = &shared.limits;
	let local = keypair.public().to_peer_id();
	let mut kad_config = kad::Config::new(protocol::kademlia_protocol(genesis));
	kad_config
		// Who is in the routing table, and whose records are kept, is decided by the policy.
		.set_kbucket_inserts(kad::BucketInserts::Manual)
		.set_record_filtering(kad::StoreInserts::FilterBoth)
		.set_query_timeout(Duration::from_secs(30))
		.set_provider_record_ttl(Some(limits.reannounce * 3))
		// Announcements are repeated by this node itself, which also does it when the neighbourhood changes.
		.set_provider_publication_interval(None)
		.set_replication_interval(None)
		.set_publication_interval(None)
		.set_periodic_bootstrap_interval(Some(Duration::from_secs(60)));
	let store = MemoryStore::with_config(
		local,
		MemoryStoreConfig {
			max_records: 0,
			max_value_bytes: 0,
			max_provided_keys: limits.max_announced + limits.max_provider_records,
			..MemoryStoreConfig::default()
		},
	);
	let mut kad = kad::Behaviour::with_config(local, store, kad_config);
	kad.set_mode(Some(kad::Mode::Server));
	Behaviour {
		connections: connection_limits::Behaviour::new(
			ConnectionLimits::default()
				.with_max_established(Some(limits.max_connections))
				.with_max_established_per_peer(Some(limits.max_connections_per_peer))
				.with_max_pending_incoming(Some(limits.max_connections))
				.with_max_pending_outgoing(Some(limits.max_connections)),
		),
		blocked: allow_block_list::Behaviour::default(),
		identify: identify::Behaviour::new(
			identify::Config::new(protocol::identify_version(genesis), keypair.public())
				.with_agent_version(concat!("cairn-worker/", env!("CARGO_PKG_VERSION")).into())
				.with_push_listen_addr_updates(true)
				// The address book of this crate does it, for admitted peers only.
				.with_cache_size(0),
		),
		ping: ping::Behaviour::default(),
		kad,
		blobs: request_response::Behaviour::with_codec(
			BlobCodec::new(shared.counted.clone()),
			[(BlobProtocol::v2(genesis), ProtocolSupport::Full)],
			request_response::Config::default()
				.with_request_timeout(limits.chunk_timeout)
				// More than are served, so that "busy" can be said to those beyond.
				.with_max_concurrent_streams(limits.serving_per_peer * 2 + 128),
		),
	}
}

impl Node {
	pub(crate) fn new(parts: Parts) -> Self {
		let Parts { keypair, transport, genesis, shared, policy, shelf, store, commands, bootnodes } = parts;
		let limits = &shared.limits;
		let swarm = Swarm::new(
			transport,
			behaviour(&keypair, &genesis, &shared),
			shared.local,
			swarm::Config::with_tokio_executor().with_idle_connection_timeout(limits.idle_timeout),
		);
		let now = Instant::now();
		// A fetch that prefers a bootstrap node says what became of dialling it.
		let mut book = AddressBook::default();
		for (peer, address) in bootnodes.addresses() {
			book.add(*peer, address);
		}
		Self {
			swarm,
			policy,
			shelf,
			store,
			commands,
			chain: protocol::identify_version(&genesis),
			kademlia: protocol::kademlia_protocol(&genesis),
			gate: Gate::new(limits.into(), VERDICTS),
			checks: JoinSet::new(),
			checking: HashSet::new(),
			to_check: VecDeque::new(),
			peers: HashMap::new(),
			book,
			bootnodes,
			waiting: HashMap::new(),
			requests: HashMap::new(),
			providers: HashMap::new(),
			finds: HashMap::new(),
			announced: HashSet::new(),
			to_announce: VecDeque::new(),
			announcing: HashSet::new(),
			announce_all_at: now + limits.reannounce,
			records: ProviderRecords::new(limits),
			serving: HashMap::new(),
			served: mpsc::channel(limits.serving_total),
			meters: Meters::new(limits),
			guest_meters: Meters::of_guests(limits),
			sweep_at: now + SWEEP,
			shared,
		}
	}

	/// Starts to listen.
	pub(crate) fn listen(
		&mut self,
		address: Multiaddr,
	) -> Result<ListenerId, libp2p::TransportError<std::io::Error>> {
		self.swarm.listen_on(address)
	}

	/// Tells others of an address that this node does not see itself.
	pub(crate) fn add_external(&mut self, address: Multiaddr) {
		self.swarm.add_external_address(address);
	}

	/// Runs until each of the listeners has an address, or one has failed.
	pub(crate) async fn settle(&mut self, mut listeners: HashSet<ListenerId>) -> Result<(), String> {
		while !listeners.is_empty() {
			let event = self.swarm.select_next_some().await;
			match &event {
				SwarmEvent::NewListenAddr { listener_id, .. } => {
					listeners.remove(listener_id);
				},
				SwarmEvent::ListenerClosed { reason: Err(error), .. } => return Err(error.to_string()),
				_ => {},
			}
			self.on_swarm_event(event);
		}
		Ok(())
	}

	/// Runs until told to end, or until nobody is left to tell it.
	pub(crate) async fn run(mut self) {
		let mut tick = tokio::time::interval(TICK);
		tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
		loop {
			tokio::select! {
				event = self.swarm.select_next_some() => self.on_swarm_event(event),
				command = self.commands.recv() => match command {
					Some(Command::Shutdown) | None => break,
					Some(command) => self.on_command(command),
				},
				Some(result) = self.checks.join_next() => self.on_checked(result),
				Some(served) = self.served.1.recv() => self.send_served(served),
				_ = tick.tick() => self.on_tick(),
			}
		}
		self.close().await;
	}

	/// Lets chunks that are being sent reach their end, then says goodbye.
	async fn close(&mut self) {
		self.commands.close();
		self.waiting.clear();
		self.requests.clear();
		self.providers.clear();
		self.finds.clear();
		let grace = tokio::time::sleep(self.shared.limits.shutdown_grace);
		tokio::pin!(grace);
		let mut disconnected = false;
		loop {
			if self.serving.is_empty() && !disconnected {
				disconnected = true;
				for peer in self.peers.keys() {
					let _ = self.swarm.disconnect_peer_id(*peer);
				}
			}
			if disconnected && self.peers.is_empty() {
				break;
			}
			tokio::select! {
				event = self.swarm.select_next_some() => match event {
					// Nobody new, and nothing new.
					SwarmEvent::ConnectionEstablished { connection_id, .. } => {
						self.swarm.close_connection(connection_id);
					},
					SwarmEvent::Behaviour(BehaviourEvent::Blobs(request_response::Event::Message {
						message: request_response::Message::Request { channel, .. }, ..
					})) => {
						self.send_response(channel, BlobResponse::Refused(Refusal::Busy));
					},
					event => self.on_swarm_event(event),
				},
				Some(served) = self.served.1.recv() => self.send_served(served),
				() = &mut grace => break,
			}
		}
		self.shared.connected.send_replace(BTreeSet::new());
	}

	fn on_command(&mut self, command: Command) {
		match command {
			Command::Connect { peer, reply } => self.connect(peer, reply),
			Command::Ask { peer, request, reply } => {
				if self.peers.get(&peer).is_some_and(|peer| peer.admitted) {
					let id = self.swarm.behaviour_mut().blobs.send_request(&peer, request);
					self.requests.insert(id, reply);
				} else {
					let _ = reply.send(Err(Problem::Disconnected));
				}
			},
			Command::Providers { hash, found } => {
				let id = self.swarm.behaviour_mut().kad.get_providers(record_key(&hash));
				self.providers.insert(id, found);
			},
			Command::Find { peer, reply } => {
				let id = self.swarm.behaviour_mut().kad.get_closest_peers(peer);
				self.finds.insert(id, (peer, reply));
			},
			Command::Ban { peer, reason } => self.ban(peer, reason),
			Command::Announce { hash, reply } => {
				let limit = self.shared.limits.max_announced;
				let result = if self.announced.contains(&hash) {
					Ok(())
				} else if self.announced.len() >= limit {
					Err(AnnounceError::TooMany { hash, limit })
				} else {
					self.announced.insert(hash);
					self.to_announce.push_back(hash);
					self.announce();
					Ok(())
				};
				let _ = reply.send(result);
			},
			Command::Withdraw { hash } => {
				if self.announced.remove(&hash) {
					self.swarm.behaviour_mut().kad.stop_providing(&record_key(&hash));
				}
			},
			Command::Shutdown => unreachable!("ends the loop that calls this; qed"),
		}
	}

	fn connect(&mut self, peer: PeerId, reply: oneshot::Sender<Result<(), Problem>>) {
		let problem = match self.gate.standing(&peer, Instant::now()) {
			Standing::Banned { reason } => Problem::Banned(reason),
			Standing::Refused { reason } => Problem::NotAdmitted(reason),
			Standing::Guest { .. } => Problem::NotAdmitted(GUEST.into()),
			Standing::Unknown | Standing::Admitted { .. } => {
				match self.peers.get(&peer) {
					Some(Peer { admitted: true, .. }) => {
						let _ = reply.send(Ok(()));
						return;
					},
					Some(_) => {
						self.waiting.entry(peer).or_default().push(reply);
						return;
					},
					None => {},
				}
				let options = DialOpts::peer_id(peer)
					.condition(PeerCondition::DisconnectedAndNotDialing)
					.addresses(self.book.of(&peer))
					.extend_addresses_through_behaviour()
					.build();
				match self.swarm.dial(options) {
					Ok(()) | Err(DialError::DialPeerConditionFalse(_)) => {
						self.waiting.entry(peer).or_default().push(reply);
						return;
					},
					Err(DialError::NoAddresses) => Problem::NoAddress,
					Err(error) => Problem::Dial(describe(&error)),
				}
			},
		};
		let _ = reply.send(Err(problem));
	}

	fn answer_waiting(&mut self, peer: &PeerId, result: Result<(), Problem>) {
		for reply in self.waiting.remove(peer).into_iter().flatten() {
			let _ = reply.send(result.clone());
		}
	}

	// Connections and who may have one.

	fn on_swarm_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
		match event {
			SwarmEvent::Behaviour(event) => self.on_behaviour_event(event),
			SwarmEvent::ConnectionEstablished { peer_id, endpoint, .. } => {
				if endpoint.is_dialer() {
					self.book.add(peer_id, endpoint.get_remote_address());
				}
				self.on_connected(peer_id);
			},
			SwarmEvent::ConnectionClosed { peer_id, num_established: 0, cause, .. } => {
				self.on_disconnected(peer_id, cause.map(|cause| cause.to_string()));
			},
			// Not when it is connected: then another dial has succeeded.
			SwarmEvent::OutgoingConnectionError { peer_id: Some(peer), error, .. }
				if !self.swarm.is_connected(&peer) =>
			{
				let reason = describe(&error);
				self.bootnodes.failed(&peer, &reason, Instant::now());
				self.answer_waiting(&peer, Err(Problem::Dial(reason)));
			},
			SwarmEvent::NewListenAddr { address, .. } => {
				let address = with_peer(address, self.shared.local);
				tracing::info!(%address, "listening");
				let mut listen = self.shared.listen.write().unwrap_or_else(|poisoned| poisoned.into_inner());
				listen.push(address);
			},
			SwarmEvent::ExpiredListenAddr { address, .. } => self.forget_listen_address(address),
			SwarmEvent::ListenerClosed { addresses, reason, .. } => {
				if let Err(error) = reason {
					tracing::error!(?addresses, %error, "no longer listening; restart the worker once the cause is mended");
				}
				for address in addresses {
					self.forget_listen_address(address);
				}
			},
			SwarmEvent::ListenerError { error, .. } => {
				tracing::warn!(%error, "accepting a connection failed; too many open files?");
			},
			SwarmEvent::IncomingConnectionError { error, send_back_addr, .. } => {
				tracing::debug!(%error, from = %send_back_addr, "an incoming connection failed");
			},
			_ => {},
		}
	}

	fn forget_listen_address(&mut self, address: Multiaddr) {
		let address = with_peer(address, self.shared.local);
		let mut listen = self.shared.listen.write().unwrap_or_else(|poisoned| poisoned.into_inner());
		listen.retain(|known| *known != address);
	}

	// What the protocols say.

	fn on_behaviour_event(&mut self, event: BehaviourEvent) {
		match event {
			BehaviourEvent::Identify(identify::Event::Received { peer_id, info, .. }) => {
				self.on_identified(peer_id, info);
			},
			BehaviourEvent::Identify(_) => {},
			BehaviourEvent::Ping(ping::Event { peer, connection, result }) => {
				if let Err(error @ (ping::Failure::Timeout | ping::Failure::Other { .. })) = result {
					tracing::debug!(%peer, %error, "ping failed; closing the connection");
					self.swarm.close_connection(connection);
				}
			},
			BehaviourEvent::Kad(event) => self.on_kad_event(event),
			BehaviourEvent::Blobs(event) => self.on_blob_event(event),
		}
	}

	// Time.

	fn on_tick(&mut self) {
		let now = Instant::now();
		for peer in self.gate.sweep(now, |peer| self.peers.contains_key(peer)) {
			self.swarm.behaviour_mut().blocked.unblock_peer(peer);
		}
		let banned: BTreeSet<PeerId> = self.gate.banned().into_iter().collect();
		self.shared.banned.send_if_modified(|known| {
			let changed = *known != banned;
			*known = banned;
			changed
		});

		let mut stale = Vec::new();
		let mut left = Vec::new();
		for (id, peer) in &self.peers {
			let idle = |since| {
				now.saturating_duration_since(since) >= GUEST_PATIENCE
					&& !self.serving.values().any(|serving| serving.peer == *id)
			};
			if peer.guest.map_or(peer.leaving.is_some_and(|at| now >= at) && !peer.admitted, idle) {
				left.push(*id);
			} else if matches!(
				self.gate.standing(id, now),
				Standing::Admitted { stale: true } | Standing::Guest { stale: true } | Standing::Unknown
			) {
				stale.push(*id);
			}
		}
		for peer in left {
			self.part(peer);
		}
		for peer in stale {
			self.check(peer);
		}

		self.waiting.retain(|_, replies| {
			replies.retain(|reply| !reply.is_closed());
			!replies.is_empty()
		});
		self.requests.retain(|_, reply| !reply.is_closed());

		for (peer, addresses) in self.bootnodes.due(now, |peer| self.peers.contains_key(peer)) {
			let options = DialOpts::peer_id(peer)
				.condition(PeerCondition::DisconnectedAndNotDialing)
				.addresses(addresses)
				.build();
			match self.swarm.dial(options) {
				Ok(()) | Err(DialError::DialPeerConditionFalse(_)) => {},
				Err(error) => self.bootnodes.failed(&peer, &describe(&error), now),
			}
		}

		for (key, peer) in self.records.expired(now) {
			self.swarm.behaviour_mut().kad.store_mut().remove_provider(&key, &peer);
		}
		self.count_records();
		if now >= self.announce_all_at {
			self.announce_all_at = now + self.shared.limits.reannounce;
			self.to_announce = self.announced.iter().copied().collect();
		}
		self.announce();

		if now >= self.sweep_at {
			self.sweep_at = now + SWEEP;
			let (store, max_age) = (self.store.clone(), self.shared.limits.partial_max_age);
			tokio::task::spawn_blocking(move || crate::partial::sweep(&store, max_age));
		}
	}
}

/// Why a guest is not asked for anything.
const GUEST: &str = "it is no device's; such peers are served, and not asked";

/// The address with this node's peer id, ready to be given to others.
fn with_peer(address: Multiaddr, peer: PeerId) -> Multiaddr {
	address.with_p2p(peer).unwrap_or_else(|address| address)
}

/// The address without the peer id it may end in; `None` when that is another's.
fn without_peer(mut address: Multiaddr, peer: &PeerId) -> Option<Multiaddr> {
	match address.iter().last() {
		Some(Protocol::P2p(named)) if named == *peer => {
			address.pop();
			Some(address)
		},
		Some(Protocol::P2p(_)) => None,
		_ => Some(address),
	}
}

/// A dial error in one line, with the address and the innermost cause of each attempt.
fn describe(error: &DialError) -> String {
	match error {
		DialError::Transport(attempts) => {
			let attempts: Vec<String> = attempts
				.iter()
				.map(|(address, error)| {
					let mut cause: &dyn std::error::Error = error;
					while let Some(source) = cause.source() {
						cause = source;
					}
					format!("{address}: {cause}")
				})
				.collect();
			attempts.join(", ")
		},
		DialError::WrongPeerId { obtained, endpoint } => {
			format!("{} is answered by another peer, {obtained}", endpoint.get_remote_address())
		},
		DialError::Denied { cause } => cause.to_string(),
		error => error.to_string(),
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn peer_ids_on_addresses_are_stripped_only_when_they_are_the_right_ones() {
		let (peer, other) = (PeerId::random(), PeerId::random());
		let bare: Multiaddr = "/ip4/127.0.0.1/tcp/4001".parse().expect("an address");
		assert_eq!(without_peer(bare.clone(), &peer), Some(bare.clone()));
		assert_eq!(without_peer(with_peer(bare.clone(), peer), &peer), Some(bare.clone()));
		assert_eq!(without_peer(with_peer(bare, other), &peer), None);
	}
}
