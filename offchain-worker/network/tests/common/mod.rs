//! Nodes on loopback, and a peer that speaks the protocol with bytes of its own.
#![allow(dead_code)]

use async_trait::async_trait;
use bao_tree::{
	io::{outboard::PreOrderMemOutboard, sync::encode_ranges_validated},
	BlockSize, ChunkNum, ChunkRanges,
};
use cairn_artifacts::Store;
use cairn_network::{
	keypair_from_seed, network_key, peer_id_of_network_key, protocol, AccessPolicy, Admission, Limits,
	Multiaddr, Network, NetworkConfig, PeerId, StartError,
};
use cairn_primitives::{ArtifactHash, H256};
use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, StreamExt};
use libp2p::{
	identify, noise,
	request_response::{self, ProtocolSupport},
	swarm::{NetworkBehaviour, SwarmEvent},
	tcp, yamux,
};
use std::{
	collections::HashSet,
	io,
	sync::{
		atomic::{AtomicBool, AtomicUsize, Ordering},
		Arc, Mutex,
	},
	time::Duration,
};
use tokio::sync::mpsc;

pub const GENESIS: H256 = H256([0xca; 32]);
/// For what must happen: only a safety net.
pub const LONG: Duration = Duration::from_secs(60);
/// For what must not happen, however long one waits.
pub const SHORT: Duration = Duration::from_millis(1500);

/// What a chain would say.
pub struct TestChain {
	/// `None`: everybody is registered.
	registered: Mutex<Option<HashSet<[u8; 32]>>>,
	reachable: AtomicBool,
	window_closed: AtomicBool,
	guests: AtomicBool,
	questions: AtomicUsize,
}

impl TestChain {
	pub fn open() -> Arc<Self> {
		Arc::new(Self {
			registered: Mutex::new(None),
			reachable: true.into(),
			window_closed: true.into(),
			guests: false.into(),
			questions: 0.into(),
		})
	}

	pub fn of(seeds: &[u8]) -> Arc<Self> {
		let chain = Self::open();
		chain.register(seeds);
		chain
	}

	pub fn register(&self, seeds: &[u8]) {
		*self.registered.lock().unwrap() = Some(seeds.iter().map(|seed| key(*seed)).collect());
	}

	pub fn set_reachable(&self, reachable: bool) {
		self.reachable.store(reachable, Ordering::SeqCst);
	}

	pub fn set_window_closed(&self, closed: bool) {
		self.window_closed.store(closed, Ordering::SeqCst);
	}

	/// From now on, who is not registered is a guest.
	pub fn take_guests(&self) {
		self.guests.store(true, Ordering::SeqCst);
	}

	pub fn questions(&self) -> usize {
		self.questions.load(Ordering::SeqCst)
	}
}

#[async_trait]
impl AccessPolicy for TestChain {
	async fn admits(&self, network_key: [u8; 32]) -> Admission {
		self.questions.fetch_add(1, Ordering::SeqCst);
		if !self.reachable.load(Ordering::SeqCst) {
			return Admission::Unknown { reason: "no node answers".into() };
		}
		let registered = self.registered.lock().unwrap();
		if registered.as_ref().is_none_or(|keys| keys.contains(&network_key)) {
			Admission::Admitted
		} else if self.guests.load(Ordering::SeqCst) {
			Admission::Guest
		} else {
			Admission::Refused { reason: "no device has this network key".into() }
		}
	}

	fn may_serve(&self, _: &ArtifactHash) -> bool {
		self.window_closed.load(Ordering::SeqCst)
	}
}

pub fn key(seed: u8) -> [u8; 32] {
	network_key(&keypair_from_seed([seed; 32]))
}

pub fn peer_id(seed: u8) -> PeerId {
	peer_id_of_network_key(key(seed)).unwrap()
}

/// Short pauses, so that tests do not wait for what a real network would be patient about.
pub fn limits() -> Limits {
	Limits {
		refused_for: Duration::from_millis(300),
		unknown_for: Duration::from_millis(200),
		backoff_min: Duration::from_millis(50),
		backoff_max: Duration::from_millis(400),
		shutdown_grace: Duration::from_secs(2),
		..Limits::default()
	}
}

pub struct Node {
	pub network: Network,
	pub store: Store,
	pub seed: u8,
	dir: tempfile::TempDir,
}

impl Node {
	pub fn address(&self) -> Multiaddr {
		self.network.listen_addrs()[0].clone()
	}

	pub fn key(&self) -> [u8; 32] {
		key(self.seed)
	}

	/// Files of unfinished transfers.
	pub fn partials(&self) -> Vec<std::path::PathBuf> {
		let folder = self.store.root().join("partial").join(peer_id(self.seed).to_string());
		std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
	}

	pub async fn connected_to(&self, peer: PeerId) {
		let mut peers = self.network.watch_peers();
		within_long(peers.wait_for(|peers| peers.contains(&peer))).await.unwrap();
	}

	pub async fn disconnected_from(&self, peer: PeerId) {
		let mut peers = self.network.watch_peers();
		within_long(peers.wait_for(|peers| !peers.contains(&peer))).await.unwrap();
	}
}

pub fn config(seed: u8, bootstrap: &[Multiaddr]) -> NetworkConfig {
	let mut config = NetworkConfig::new(keypair_from_seed([seed; 32]), GENESIS);
	config.listen = vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()];
	config.bootstrap = bootstrap.to_vec();
	config.limits = limits();
	config
}

pub async fn start(config: NetworkConfig, seed: u8, chain: &Arc<TestChain>) -> Result<Node, StartError> {
	let _ = tracing_subscriber::fmt()
		.with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
		.with_test_writer()
		.try_init();
	let dir = tempfile::tempdir().unwrap();
	let store = Store::open(dir.path().join("store")).unwrap();
	let network = Network::start(config, store.clone(), chain.clone()).await?;
	Ok(Node { network, store, seed, dir })
}

pub async fn node(seed: u8, bootstrap: &[Multiaddr], chain: &Arc<TestChain>) -> Node {
	start(config(seed, bootstrap), seed, chain).await.unwrap()
}

/// Starts the node again in the same place.
pub async fn restart(node: Node, config: NetworkConfig, chain: &Arc<TestChain>) -> Node {
	node.network.shutdown().await;
	let Node { seed, dir, store, .. } = node;
	let network = Network::start(config, store.clone(), chain.clone()).await.unwrap();
	Node { network, store, seed, dir }
}

pub async fn within_long<T>(future: impl std::future::Future<Output = T>) -> T {
	tokio::time::timeout(LONG, future).await.expect("it should have happened long ago")
}

/// Waits for something that counters tell, which nobody announces.
pub async fn eventually(mut condition: impl FnMut() -> bool) {
	within_long(async {
		while !condition() {
			tokio::time::sleep(Duration::from_millis(20)).await;
		}
	})
	.await;
}

/// Bytes without a pattern that a mistake in offsets could hide in.
pub fn artifact(len: usize, seed: u64) -> Vec<u8> {
	let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
	(0..len)
		.map(|_| {
			state ^= state << 13;
			state ^= state >> 7;
			state ^= state << 17;
			(state >> 32) as u8
		})
		.collect()
}

/// A slice on the wire, written out by hand.
pub fn slice(total: u64, bytes: &[u8]) -> Vec<u8> {
	let mut out = vec![0u8];
	out.extend_from_slice(&total.to_le_bytes());
	out.extend_from_slice(&u32::try_from(bytes.len()).unwrap().to_le_bytes());
	out.extend_from_slice(bytes);
	out
}

/// The bytes that a request asks for, and what proves that they are of `bytes`.
pub fn proof_of(bytes: &[u8], request: &[u8]) -> Vec<u8> {
	let total = bytes.len() as u64;
	let (start, end) = match max_len_of(request) {
		0 => (total.saturating_sub(1) / 16384 * 16384, total),
		len => (offset_of(request), total.min(offset_of(request) + u64::from(len))),
	};
	let outboard = PreOrderMemOutboard::create(bytes, BlockSize::from_chunk_log(4));
	let ranges = ChunkRanges::from(ChunkNum::full_chunks(start)..ChunkNum::chunks(end));
	let mut out = Vec::new();
	encode_ranges_validated(bytes, &outboard, &ranges, &mut out).unwrap();
	out
}

/// The honest answer to a request of a holder of `bytes`.
pub fn slice_of(bytes: &[u8], request: &[u8]) -> Vec<u8> {
	slice(bytes.len() as u64, &proof_of(bytes, request))
}

/// A request as bytes.
pub fn request(hash: &ArtifactHash, offset: u64, max_len: u32) -> Vec<u8> {
	[hash.as_bytes(), &offset.to_le_bytes(), &max_len.to_le_bytes()].concat()
}

pub fn offset_of(request: &[u8]) -> u64 {
	u64::from_le_bytes(request[32..40].try_into().unwrap())
}

pub fn max_len_of(request: &[u8]) -> u32 {
	u32::from_le_bytes(request[40..44].try_into().unwrap())
}

/// Whatever bytes on the blob protocol's streams.
#[derive(Clone, Default)]
pub struct RawCodec;

#[async_trait]
impl request_response::Codec for RawCodec {
	type Protocol = protocol::BlobProtocol;
	type Request = Vec<u8>;
	type Response = Vec<u8>;

	async fn read_request<T>(&mut self, _: &Self::Protocol, io: &mut T) -> io::Result<Vec<u8>>
	where
		T: AsyncRead + Unpin + Send,
	{
		let mut bytes = Vec::new();
		io.read_to_end(&mut bytes).await?;
		Ok(bytes)
	}

	async fn read_response<T>(&mut self, _: &Self::Protocol, io: &mut T) -> io::Result<Vec<u8>>
	where
		T: AsyncRead + Unpin + Send,
	{
		let mut bytes = Vec::new();
		io.read_to_end(&mut bytes).await?;
		Ok(bytes)
	}

	async fn write_request<T>(&mut self, _: &Self::Protocol, io: &mut T, bytes: Vec<u8>) -> io::Result<()>
	where
		T: AsyncWrite + Unpin + Send,
	{
		io.write_all(&bytes).await
	}

	async fn write_response<T>(&mut self, _: &Self::Protocol, io: &mut T, bytes: Vec<u8>) -> io::Result<()>
	where
		T: AsyncWrite + Unpin + Send,
	{
		io.write_all(&bytes).await
	}
}

#[derive(NetworkBehaviour)]
struct RawBehaviour {
	identify: identify::Behaviour,
	blobs: request_response::Behaviour<RawCodec>,
}

/// What a raw peer does with a request.
pub enum Answer {
	Bytes(Vec<u8>),
	Silence,
	HangUp,
	Vanish,
}

/// A peer that answers as the test likes.
pub struct RawPeer {
	pub seed: u8,
	pub address: Multiaddr,
	requests: Arc<Mutex<Vec<Vec<u8>>>>,
	ask: mpsc::UnboundedSender<(Multiaddr, Vec<u8>)>,
	pub answers: mpsc::UnboundedReceiver<Result<Vec<u8>, String>>,
	task: tokio::task::JoinHandle<()>,
}

impl Drop for RawPeer {
	fn drop(&mut self) {
		self.task.abort();
	}
}

impl RawPeer {
	pub fn key(&self) -> [u8; 32] {
		key(self.seed)
	}

	pub fn peer_id(&self) -> PeerId {
		peer_id(self.seed)
	}

	/// The offsets of the chunks that it was asked for, in order.
	pub fn offsets(&self) -> Vec<u64> {
		let requests = self.requests.lock().unwrap();
		requests.iter().filter(|request| max_len_of(request) > 0).map(|request| offset_of(request)).collect()
	}

	/// The same, and forgets them.
	pub fn take_offsets(&self) -> Vec<u64> {
		let offsets = self.offsets();
		self.requests.lock().unwrap().clear();
		offsets
	}

	/// How often it was asked for anything.
	pub fn asked(&self) -> usize {
		self.requests.lock().unwrap().len()
	}

	/// Sends bytes as a request.
	pub fn ask(&self, address: Multiaddr, request: Vec<u8>) {
		self.ask.send((address, request)).unwrap();
	}
}

/// A raw peer that answers the `n`th request (from 0) with `answer(n, request)`. The first is mostly for the proof of
/// the length.
pub async fn raw_peer(seed: u8, mut answer: impl FnMut(usize, &[u8]) -> Answer + Send + 'static) -> RawPeer {
	let keypair = libp2p::identity::Keypair::from(keypair_from_seed([seed; 32]));
	let mut swarm = libp2p::SwarmBuilder::with_existing_identity(keypair)
		.with_tokio()
		.with_tcp(tcp::Config::default().nodelay(true), noise::Config::new, yamux::Config::default)
		.unwrap()
		.with_behaviour(|keypair| RawBehaviour {
			identify: identify::Behaviour::new(identify::Config::new(
				protocol::identify_version(&GENESIS),
				keypair.public(),
			)),
			blobs: request_response::Behaviour::new(
				[(protocol::BlobProtocol::v2(&GENESIS), ProtocolSupport::Full)],
				request_response::Config::default().with_request_timeout(LONG),
			),
		})
		.unwrap()
		.with_swarm_config(|config| config.with_idle_connection_timeout(LONG))
		.build();
	swarm.listen_on("/ip4/127.0.0.1/tcp/0".parse().unwrap()).unwrap();
	let address = loop {
		if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
			break address.with_p2p(*swarm.local_peer_id()).unwrap();
		}
	};
	let requests = Arc::new(Mutex::new(Vec::new()));
	let (ask, mut asked) = mpsc::unbounded_channel::<(Multiaddr, Vec<u8>)>();
	let (answered, answers) = mpsc::unbounded_channel();
	let seen = requests.clone();
	let task = tokio::spawn(async move {
		let mut unanswered = Vec::new();
		loop {
			let event = tokio::select! {
				Some((address, request)) = asked.recv() => {
					let Some(libp2p::multiaddr::Protocol::P2p(peer)) = address.iter().last() else {
						panic!("an address without a peer")
					};
					swarm.add_peer_address(peer, address);
					swarm.behaviour_mut().blobs.send_request(&peer, request);
					continue;
				},
				event = swarm.select_next_some() => event,
			};
			let SwarmEvent::Behaviour(RawBehaviourEvent::Blobs(event)) = event else { continue };
			match event {
				request_response::Event::Message { peer, message } => match message {
					request_response::Message::Request { request, channel, .. } => {
						let n = {
							let mut seen = seen.lock().unwrap();
							seen.push(request.clone());
							seen.len() - 1
						};
						match answer(n, &request) {
							Answer::Bytes(bytes) => {
								let _ = swarm.behaviour_mut().blobs.send_response(channel, bytes);
							},
							Answer::Silence => unanswered.push(channel),
							Answer::HangUp => {
								let _ = swarm.disconnect_peer_id(peer);
							},
							Answer::Vanish => return,
						}
					},
					request_response::Message::Response { response, .. } => {
						let _ = answered.send(Ok(response));
					},
				},
				request_response::Event::OutboundFailure { error, .. } => {
					let _ = answered.send(Err(error.to_string()));
				},
				_ => {},
			}
		}
	});
	RawPeer { seed, address, requests, ask, answers, task }
}
