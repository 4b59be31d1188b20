#![doc = include_str!("../README.md")]

mod book;
mod config;
mod counters;
mod fetch;
mod identity;
mod meter;
mod node;
mod partial;
mod policy;
pub mod protocol;
mod records;
mod serve;
mod transport;
mod tree;

pub use config::{parse_multiaddr, BadAddress, Limits, NetworkConfig, StartError};
pub use counters::Counters;
pub use fetch::{FetchError, Fetched, MaxLen, Problem, Route, Shortage, Source, SourceReport};
pub use identity::{
	keypair_from_seed, network_key, network_key_of_peer_id, peer_id_of_network_key, sign_network_key,
	InvalidNetworkKey, Keypair,
};
pub use libp2p::{Multiaddr, PeerId};
pub use node::AnnounceError;
pub use policy::{AccessPolicy, Admission};

use book::Bootnodes;
use cairn_artifacts::Store;
use cairn_primitives::ArtifactHash;
use fetch::Fetcher;
use node::{Command, Node, Parts, Shared};
use std::{
	collections::{BTreeSet, HashSet},
	io,
	sync::{Arc, PoisonError, RwLock},
	time::{Duration, Instant},
};
use tokio::sync::{mpsc, oneshot, watch};

/// Commands that wait for the background task.
const COMMANDS: usize = 256;

/// A handle to a running node. Clones share the node; when the last is dropped, the node stops.
#[derive(Clone)]
pub struct Network {
	shared: Arc<Shared>,
	fetcher: Arc<Fetcher>,
	/// Closed when the node has stopped and let go of its ports.
	running: watch::Receiver<()>,
}

impl Network {
	/// Starts a node on the current tokio runtime. When this returns, it listens.
	///
	/// # Errors
	/// When an address cannot be listened on, a bootstrap address names no peer, or a limit is out of range.
	pub async fn start(
		config: NetworkConfig,
		store: Store,
		policy: Arc<dyn AccessPolicy>,
	) -> Result<Self, StartError> {
		let NetworkConfig { identity, listen, external, bootstrap, genesis, limits } = config;
		limits.check()?;
		let keypair = libp2p::identity::Keypair::from(identity);
		let local = keypair.public().to_peer_id();

		let mut bootnodes = Bootnodes::new(limits.backoff_min, limits.backoff_max);
		for address in bootstrap {
			let (peer, bare) = config::split_peer(&address)
				.ok_or_else(|| StartError::BootstrapWithoutPeer { address: address.clone() })?;
			// One list for all nodes is convenient; nobody joins through themselves.
			if peer != local {
				bootnodes.add(peer, bare, Instant::now());
			}
		}
		for address in &listen {
			config::check_free(address)?;
		}

		let partials = partial::folder(&store, &local);
		std::fs::create_dir_all(&partials)
			.map_err(|source| StartError::Partials { path: partials.clone(), source })?;
		partial::sweep(&store, limits.partial_max_age);

		let counted = Arc::new(counters::Counted::default());
		let transport = transport::build(&keypair, counted.clone(), limits.dial_timeout)?;
		let shared = Arc::new(Shared {
			local,
			limits,
			counted,
			listen: RwLock::default(),
			connected: watch::Sender::default(),
			banned: watch::Sender::default(),
			provider_records: 0.into(),
		});
		let (sender, commands) = mpsc::channel(COMMANDS);
		let mut node = Node::new(Parts {
			keypair,
			transport,
			genesis,
			shared: shared.clone(),
			shelf: Arc::new(serve::Shelf::new(store.clone(), policy.clone(), partials.clone())),
			policy,
			store: store.clone(),
			commands,
			bootnodes,
		});
		let mut listeners = HashSet::new();
		for address in listen {
			let listener = node.listen(address.clone()).map_err(|error| listen_error(address, error))?;
			listeners.insert(listener);
		}
		for address in external {
			node.add_external(address);
		}
		node.settle(listeners).await.map_err(|message| StartError::Internal { message })?;

		let (alive, running) = watch::channel(());
		tokio::spawn(async move {
			node.run().await;
			// After the node, so that its ports are free when `shutdown` returns.
			drop(alive);
		});
		tracing::info!(peer = %local, "network started");
		let fetcher = Fetcher::new(shared.clone(), store, partials, sender);
		Ok(Self { shared, fetcher, running })
	}

	/// This node's peer id.
	pub fn local_peer_id(&self) -> PeerId {
		self.shared.local
	}

	/// The addresses this node listens on, each ending in `/p2p/PEER_ID`: ready to be another node's bootstrap
	/// address.
	pub fn listen_addrs(&self) -> Vec<Multiaddr> {
		self.shared.listen.read().unwrap_or_else(PoisonError::into_inner).clone()
	}

	/// The peers that are connected and admitted.
	pub fn connected_peers(&self) -> Vec<PeerId> {
		self.shared.connected.borrow().iter().copied().collect()
	}

	/// The connected and admitted peers, to be watched as they come and go.
	pub fn watch_peers(&self) -> watch::Receiver<BTreeSet<PeerId>> {
		self.shared.connected.subscribe()
	}

	/// The peers that are kept out for a while because they sent wrong bytes.
	pub fn banned_peers(&self) -> Vec<PeerId> {
		self.shared.banned.borrow().iter().copied().collect()
	}

	/// What the node has counted since it started.
	pub fn counters(&self) -> Counters {
		self.shared.counters()
	}

	/// Fetches an artifact into the store: from the devices whose network keys are `preferred`, then from providers
	/// that Kademlia knows, then from whoever is connected; round after round, with growing pauses, until nothing of it
	/// has arrived for `within`. Only bytes with the right hash reach the store. Calls for the same artifact share one
	/// transfer.
	///
	/// Dropping the future stops the transfer unless others wait for it; what has arrived is kept and resumed.
	///
	/// # Errors
	/// [`FetchError::NotObtained`] says who was asked and what each of them did; the other errors are this machine's.
	pub async fn fetch(
		&self,
		hash: ArtifactHash,
		preferred: Vec<[u8; 32]>,
		within: Duration,
	) -> Result<Fetched, FetchError> {
		self.fetcher.fetch(hash, preferred, within, None).await
	}

	/// As [`Network::fetch`], of an artifact that must not be larger than `most`, nor than
	/// [`Limits::max_artifact_len`]: whoever chose its hash chose its length. It is refused as soon as a holder has proven
	/// how long it is. Calls that share one transfer get what the most generous of them allows.
	///
	/// # Errors
	/// As [`Network::fetch`], and [`FetchError::TooLarge`].
	pub async fn fetch_up_to(
		&self,
		hash: ArtifactHash,
		preferred: Vec<[u8; 32]>,
		within: Duration,
		most: MaxLen,
	) -> Result<Fetched, FetchError> {
		self.fetcher.fetch(hash, preferred, within, Some(most)).await
	}

	/// Tells Kademlia that this node has the artifact. The announcement is repeated now and then, and when new peers
	/// appear; it goes on until [`Network::withdraw`] or the end of the node, and is not remembered across restarts.
	///
	/// # Errors
	/// When too many are announced, or the node has stopped.
	pub async fn announce(&self, hash: ArtifactHash) -> Result<(), AnnounceError> {
		let (reply, result) = oneshot::channel();
		self.command(Command::Announce { hash, reply }).await;
		result.await.unwrap_or(Err(AnnounceError::Stopped { hash }))
	}

	/// Stops announcing the artifact. What others have noted expires by itself.
	pub async fn withdraw(&self, hash: ArtifactHash) {
		self.command(Command::Withdraw { hash }).await;
	}

	/// Stops the node, for all handles: chunks that are being sent may end (for
	/// [`Limits::shutdown_grace`] at most), connections are closed, ports are free when this returns. Fetches under
	/// way end with [`FetchError::Stopped`].
	pub async fn shutdown(&self) {
		self.command(Command::Shutdown).await;
		let mut running = self.running.clone();
		// Nothing is ever sent: the error says that the task has ended.
		while running.changed().await.is_ok() {}
	}

	/// Sends a command. That the node has stopped shows in the answer that does not come.
	async fn command(&self, command: Command) {
		let _ = self.fetcher.commands().send(command).await;
	}
}

impl std::fmt::Debug for Network {
	fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
		f.debug_struct("Network").field("peer", &self.shared.local).finish_non_exhaustive()
	}
}

/// Finds out what is behind a transport's error.
fn listen_error(address: Multiaddr, error: libp2p::TransportError<io::Error>) -> StartError {
	let error = match error {
		libp2p::TransportError::MultiaddrNotSupported(_) => {
			return StartError::UnsupportedAddress { address };
		},
		libp2p::TransportError::Other(error) => error,
	};
	// The transport's layers wrap what the system said.
	let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
	while let Some(inner) = cause {
		if inner.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::AddrInUse) {
			return StartError::PortInUse { address };
		}
		cause = inner.source();
	}
	StartError::Listen { address, source: error }
}
