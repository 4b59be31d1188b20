//! Configuration, and what can be wrong with it.

use crate::{
	identity::Keypair,
	meter::BURST,
	protocol::{BLOCK, MAX_CHUNK},
};
use cairn_primitives::H256;
use libp2p::{multiaddr::Protocol, Multiaddr, PeerId};
use std::{
	io,
	net::{IpAddr, SocketAddr},
	path::PathBuf,
	time::Duration,
};

/// What a node needs to know to start.
#[derive(Clone)]
pub struct NetworkConfig {
	/// The device's network identity.
	pub identity: Keypair,
	/// Addresses to listen on: `/ip4/0.0.0.0/tcp/PORT` and the like; port 0 lets the system choose. May be empty, for
	/// a node that only dials.
	pub listen: Vec<Multiaddr>,
	/// Addresses under which this node can be reached from outside although it does not listen on them: the public
	/// side of a router that forwards a port.
	pub external: Vec<Multiaddr>,
	/// Nodes to join through, each ending in `/p2p/PEER_ID`. This node's own address may be among them.
	pub bootstrap: Vec<Multiaddr>,
	/// Genesis hash of the chain. It is part of every protocol name.
	pub genesis: H256,
	/// Limits and times.
	pub limits: Limits,
}

impl NetworkConfig {
	/// A configuration that neither listens nor joins anybody yet, with the default limits.
	pub fn new(identity: Keypair, genesis: H256) -> Self {
		Self {
			identity,
			listen: Vec::new(),
			external: Vec::new(),
			bootstrap: Vec::new(),
			genesis,
			limits: Limits::default(),
		}
	}
}

/// Limits and times of a node. The defaults suit a worker with models up to some GiB.
#[derive(Clone, PartialEq, Debug)]
pub struct Limits {
	/// The largest artifact that is fetched, bytes. Default 16 GiB.
	pub max_artifact_len: u64,
	/// The most that the store's files may take on disk, bytes: what would exceed it is not fetched. `None`, the
	/// default, leaves it at what the disk has.
	pub disk_quota: Option<u64>,
	/// What a fetch leaves free on the store's disk, bytes: journal and keys need some room, too. Default 256 MiB.
	pub disk_reserve: u64,
	/// Bytes asked for at once, a multiple of [`BLOCK`], at most [`MAX_CHUNK`]. Default 1 MiB.
	pub chunk_len: u32,
	/// Chunks asked of one peer ahead of what has arrived, per transfer. Default 6.
	pub chunks_in_flight: usize,
	/// Chunks asked for at once by all transfers together: they are held in memory. Default 32, so 32 MiB.
	pub chunks_in_flight_total: usize,
	/// The most peers that one artifact comes from at once. Default 4.
	pub sources_per_transfer: usize,
	/// How long a peer may take to answer with one chunk before the next holder is asked. Default 30 s.
	pub chunk_timeout: Duration,
	/// How long dialling and the handshakes may take. Default 10 s.
	pub dial_timeout: Duration,
	/// The most connections in all. Default 256.
	pub max_connections: u32,
	/// The most connections with one peer. Default 4: two that dial each other at once get two.
	pub max_connections_per_peer: u32,
	/// The most chunks served to one peer at once; more are answered with "busy". Default 16.
	pub serving_per_peer: usize,
	/// The most chunks served at once in all; more are answered with "busy". Default 64, so 64 MiB of memory.
	pub serving_total: usize,
	/// The most bytes per second that one peer is given; its chunks wait. At least so many that one of [`MAX_CHUNK`]
	/// comes in time: 64 KiB with the default [`Limits::chunk_timeout`]. `None`, the default, for no limit.
	pub serving_rate_per_peer: Option<u64>,
	/// The most bytes that one peer is given within [`Limits::serving_window`]; more are refused. Default 256 GiB.
	pub serving_per_window: u64,
	/// The time after which a peer's bytes are counted anew. Default 1 hour.
	pub serving_window: Duration,
	/// The most guests ([`Admission::Guest`](crate::Admission::Guest)) that are connected at once; 0 serves none. One that
	/// has asked for nothing for a minute makes room. Default 16.
	pub max_guests: usize,
	/// The most chunks served to all guests together at once; more are answered with "busy". Default 8.
	pub serving_guests: usize,
	/// The most bytes per second that all guests together are given. What one peer may have at most is the most for them,
	/// too. At least as much as [`Limits::serving_rate_per_peer`] has to be. Default 16 MiB.
	pub guest_rate: u64,
	/// Transfers that run at once; more wait. Default 8.
	pub max_transfers: usize,
	/// Artifacts that are being fetched or wait for it; more are refused. Default 4,096.
	pub max_fetches: usize,
	/// The most artifacts this node announces. Default 16,384.
	pub max_announced: usize,
	/// The most provider records kept for all other peers together. Default 65,536.
	pub max_provider_records: usize,
	/// The most provider records kept for one other peer. Default 16,384.
	pub max_provider_records_per_peer: usize,
	/// How long an admission is good before the policy is asked again. Default 60 s.
	pub admitted_for: Duration,
	/// How long a refusal is good before the policy is asked again, and that somebody is a guest. Default 12 s.
	pub refused_for: Duration,
	/// How long to wait before the policy is asked again when it did not know. Default 3 s.
	pub unknown_for: Duration,
	/// How long the policy may take to answer. Default 10 s.
	pub policy_timeout: Duration,
	/// How long a peer that sent wrong bytes is kept out. Default 10 minutes.
	pub ban_for: Duration,
	/// The first pause before something is tried again: a bootstrap node, the holders of an artifact. It doubles
	/// each time. Default 500 ms.
	pub backoff_min: Duration,
	/// The longest such pause. Default 15 s.
	pub backoff_max: Duration,
	/// How long an unused connection stays open. Default 10 minutes.
	pub idle_timeout: Duration,
	/// How often announcements are repeated. Records that are not repeated are forgotten after three times this.
	/// Default 10 minutes.
	pub reannounce: Duration,
	/// How long an unfinished transfer is kept on disk. Default 24 hours.
	pub partial_max_age: Duration,
	/// How long a shutdown waits for chunks that are being sent. Default 5 s.
	pub shutdown_grace: Duration,
}

impl Default for Limits {
	fn default() -> Self {
		Self {
			max_artifact_len: 16 << 30,
			disk_quota: None,
			disk_reserve: 256 << 20,
			chunk_len: MAX_CHUNK,
			chunks_in_flight: 6,
			chunks_in_flight_total: 32,
			sources_per_transfer: 4,
			chunk_timeout: Duration::from_secs(30),
			dial_timeout: Duration::from_secs(10),
			max_connections: 256,
			max_connections_per_peer: 4,
			serving_per_peer: 16,
			serving_total: 64,
			serving_rate_per_peer: None,
			serving_per_window: 256 << 30,
			serving_window: Duration::from_secs(3600),
			max_guests: 16,
			serving_guests: 8,
			guest_rate: 16 << 20,
			max_transfers: 8,
			max_fetches: 4096,
			max_announced: 16_384,
			max_provider_records: 65_536,
			max_provider_records_per_peer: 16_384,
			admitted_for: Duration::from_secs(60),
			refused_for: Duration::from_secs(12),
			unknown_for: Duration::from_secs(3),
			policy_timeout: Duration::from_secs(10),
			ban_for: Duration::from_secs(600),
			backoff_min: Duration::from_millis(500),
			backoff_max: Duration::from_secs(15),
			idle_timeout: Duration::from_secs(600),
			reannounce: Duration::from_secs(600),
			partial_max_age: Duration::from_secs(24 * 3600),
			shutdown_grace: Duration::from_secs(5),
		}
	}
}

impl Limits {
	/// How long a chunk may be held back for a rate's sake: the asker's patience has to outlast it.
	pub(crate) fn serving_patience(&self) -> Duration {
		self.chunk_timeout / 2
	}

	/// # Errors
	/// Names the first limit that no node could run with.
	pub(crate) fn check(&self) -> Result<(), StartError> {
		let positive = [
			("max_artifact_len", self.max_artifact_len),
			("chunks_in_flight", self.chunks_in_flight as u64),
			("chunks_in_flight_total", self.chunks_in_flight_total as u64),
			("sources_per_transfer", self.sources_per_transfer as u64),
			("serving_rate_per_peer", self.serving_rate_per_peer.unwrap_or(1)),
			("serving_guests", self.serving_guests as u64),
			("guest_rate", self.guest_rate),
			("max_connections", self.max_connections.into()),
			("max_connections_per_peer", self.max_connections_per_peer.into()),
			("serving_per_peer", self.serving_per_peer as u64),
			("serving_total", self.serving_total as u64),
			("max_transfers", self.max_transfers as u64),
			("max_fetches", self.max_fetches as u64),
			("max_announced", self.max_announced as u64),
			("max_provider_records", self.max_provider_records as u64),
			("max_provider_records_per_peer", self.max_provider_records_per_peer as u64),
		];
		let times = [
			("chunk_timeout", self.chunk_timeout),
			("dial_timeout", self.dial_timeout),
			("policy_timeout", self.policy_timeout),
			("admitted_for", self.admitted_for),
			("backoff_min", self.backoff_min),
			("reannounce", self.reannounce),
		];
		let zero = positive
			.into_iter()
			.find(|(_, value)| *value == 0)
			.map(|(name, _)| name)
			.or_else(|| times.into_iter().find(|(_, time)| time.is_zero()).map(|(name, _)| name));
		if let Some(name) = zero {
			return Err(StartError::Limit { name, problem: "is 0; it must be more".into() });
		}
		if self.chunk_len == 0 || self.chunk_len > MAX_CHUNK || !self.chunk_len.is_multiple_of(BLOCK) {
			return Err(StartError::Limit {
				name: "chunk_len",
				problem: format!(
					"is {}; it must be a multiple of {BLOCK} bytes, at most {MAX_CHUNK}",
					self.chunk_len
				),
			});
		}
		if self.serving_per_window < u64::from(MAX_CHUNK) {
			return Err(StartError::Limit {
				name: "serving_per_window",
				problem: format!(
					"is {}; it must be at least one chunk, {MAX_CHUNK} bytes",
					self.serving_per_window
				),
			});
		}
		// A slower one would give nobody a whole chunk.
		let in_time = (self.serving_patience() + BURST).as_secs_f64();
		let least = (f64::from(MAX_CHUNK) / in_time).ceil() as u64;
		for (name, flag, rate) in [
			("serving_rate_per_peer", "--upload-rate", self.serving_rate_per_peer.unwrap_or(least)),
			("guest_rate", "--guest-rate", self.guest_rate),
		] {
			if rate < least {
				return Err(StartError::Limit {
					name,
					problem: format!(
						"(`cairn-worker run {flag}`) is {rate} bytes per second; a chunk of {MAX_CHUNK} bytes would take longer \
						 than peers wait for it: it must be at least {least}"
					),
				});
			}
		}
		if self.backoff_max < self.backoff_min {
			return Err(StartError::Limit {
				name: "backoff_max",
				problem: format!("is {:?}, less than backoff_min {:?}", self.backoff_max, self.backoff_min),
			});
		}
		Ok(())
	}
}

/// Text that is no multiaddress.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
	"`{text}` is no multiaddress: {problem}; write it like /ip4/192.0.2.7/tcp/4001, and append /p2p/PEER_ID for a node to join"
)]
pub struct BadAddress {
	/// The text.
	pub text: String,
	/// What is wrong with it.
	pub problem: String,
}

/// Reads a multiaddress that a person wrote.
///
/// # Errors
/// Says what is wrong with it and how one looks.
pub fn parse_multiaddr(text: &str) -> Result<Multiaddr, BadAddress> {
	let problem = match text.trim().parse::<Multiaddr>() {
		// To the parser, nothing at all is an address too.
		Ok(address) if address.is_empty() => "it is empty".into(),
		Ok(address) => return Ok(address),
		Err(error) => error.to_string(),
	};
	Err(BadAddress { text: text.into(), problem })
}

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
	/// Somebody listens there already.
	#[error("{address} is in use by another program; stop it, or listen on another port (port 0 takes a free one)")]
	PortInUse {
		/// The address.
		address: Multiaddr,
	},
	/// The address is none that TCP can listen on.
	#[error("cannot listen on {address}: only TCP over IPv4 or IPv6 is spoken; write it like /ip4/0.0.0.0/tcp/4001")]
	UnsupportedAddress {
		/// The address.
		address: Multiaddr,
	},
	/// Listening failed for another reason.
	#[error("cannot listen on {address}: {source}; choose an address of this machine and a port above 1023")]
	Listen {
		/// The address.
		address: Multiaddr,
		/// What the system said.
		source: io::Error,
	},
	/// A bootstrap address does not say whom it leads to.
	#[error("the bootstrap address {address} does not end in /p2p/PEER_ID; append the peer id that `cairn-worker keys show` prints on that node")]
	BootstrapWithoutPeer {
		/// The address.
		address: Multiaddr,
	},
	/// A limit is out of its range.
	#[error("the limit `{name}` {problem}")]
	Limit {
		/// The field of [`Limits`].
		name: &'static str,
		/// What is wrong with it.
		problem: String,
	},
	/// The directory for unfinished transfers cannot be used.
	#[error("cannot use {} for unfinished transfers: {source}; check that it is a directory that this user may write to", path.display())]
	Partials {
		/// The directory.
		path: PathBuf,
		/// What the system said.
		source: io::Error,
	},
	/// Something that no configuration explains.
	#[error("the network could not start: {message}")]
	Internal {
		/// What went wrong.
		message: String,
	},
}

/// The peer that a bootstrap address leads to, and the address without it.
pub(crate) fn split_peer(address: &Multiaddr) -> Option<(PeerId, Multiaddr)> {
	let mut bare = address.clone();
	match bare.pop() {
		Some(Protocol::P2p(peer)) => Some((peer, bare)),
		_ => None,
	}
}

/// The socket that a listen address stands for: `/ip4/../tcp/..` or `/ip6/../tcp/..`, and nothing else.
pub(crate) fn socket_address(address: &Multiaddr) -> Option<SocketAddr> {
	let mut parts = address.iter();
	let ip: IpAddr = match parts.next()? {
		Protocol::Ip4(ip) => ip.into(),
		Protocol::Ip6(ip) => ip.into(),
		_ => return None,
	};
	let Some(Protocol::Tcp(port)) = parts.next() else { return None };
	parts.next().is_none().then_some(SocketAddr::new(ip, port))
}

/// Whether an address that a peer tells about itself is worth keeping.
pub(crate) fn is_dialable(address: &Multiaddr) -> bool {
	let mut parts = address.iter();
	let host = match parts.next() {
		Some(Protocol::Ip4(ip)) => !ip.is_unspecified() && !ip.is_multicast() && !ip.is_broadcast(),
		Some(Protocol::Ip6(ip)) => !ip.is_unspecified() && !ip.is_multicast(),
		Some(Protocol::Dns(_) | Protocol::Dns4(_) | Protocol::Dns6(_)) => true,
		_ => false,
	};
	host && matches!(parts.next(), Some(Protocol::Tcp(port)) if port != 0) && parts.next().is_none()
}

/// Checks that nobody listens on the address.
///
/// libp2p sets SO_REUSEPORT on what it listens on, with which the system lets two programs of one user share a port
/// and splits the connections between them. This bind does not set it, so it fails when anybody is there.
pub(crate) fn check_free(address: &Multiaddr) -> Result<(), StartError> {
	let socket =
		socket_address(address).ok_or_else(|| StartError::UnsupportedAddress { address: address.clone() })?;
	if socket.port() == 0 {
		return Ok(());
	}
	match std::net::TcpListener::bind(socket) {
		Ok(_) => Ok(()),
		Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
			Err(StartError::PortInUse { address: address.clone() })
		},
		Err(source) => Err(StartError::Listen { address: address.clone(), source }),
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn bad_multiaddress_is_named_with_the_remedy() {
		for text in ["", "127.0.0.1:4001", "/ip4/127.0.0.1/tcp/99999", "/ip4/1.2.3/tcp/1", "/foo/1"] {
			let message = parse_multiaddr(text).expect_err(text).to_string();
			assert!(message.contains(&format!("`{text}`")) && message.contains("/ip4/"), "{message}");
		}
		assert!(parse_multiaddr(" /ip4/127.0.0.1/tcp/4001\n").is_ok());
	}

	#[test]
	fn only_plain_tcp_addresses_are_listened_on() {
		for text in ["/ip4/0.0.0.0/tcp/0", "/ip6/::1/tcp/4001"] {
			assert!(socket_address(&parse_multiaddr(text).expect(text)).is_some());
		}
		for text in ["/ip4/0.0.0.0/udp/4001/quic-v1", "/dns/example.org/tcp/1", "/ip4/0.0.0.0/tcp/1/ws"] {
			let address = parse_multiaddr(text).expect(text);
			assert!(matches!(check_free(&address), Err(StartError::UnsupportedAddress { .. })), "{text}");
		}
	}

	#[test]
	fn a_peers_own_addresses_are_kept_only_when_they_can_be_dialled() {
		for (text, good) in [
			("/ip4/127.0.0.1/tcp/4001", true),
			("/ip6/2001:db8::1/tcp/4001", true),
			("/dns4/worker.example.org/tcp/4001", true),
			("/ip4/0.0.0.0/tcp/4001", false),
			("/ip4/127.0.0.1/tcp/0", false),
			("/ip4/224.0.0.1/tcp/4001", false),
			("/ip4/127.0.0.1/udp/4001/quic-v1", false),
			("/memory/7", false),
		] {
			assert_eq!(is_dialable(&parse_multiaddr(text).expect(text)), good, "{text}");
		}
	}

	#[test]
	fn limits_that_nothing_could_run_with_are_named() {
		assert!(Limits::default().check().is_ok());
		let bad = |change: fn(&mut Limits)| {
			let mut limits = Limits::default();
			change(&mut limits);
			limits.check().expect_err("bad limits").to_string()
		};
		assert!(bad(|l| l.serving_total = 0).contains("serving_total"));
		assert!(bad(|l| l.chunk_len = MAX_CHUNK + BLOCK).contains("chunk_len"));
		assert!(bad(|l| l.chunk_len = BLOCK + 1).contains("chunk_len"));
		assert!(bad(|l| l.serving_rate_per_peer = Some(0)).contains("serving_rate_per_peer"));
		assert!(bad(|l| l.serving_rate_per_peer = Some(65_535)).contains("at least 65536"));
		assert!(bad(|l| l.guest_rate = 65_535).contains("--guest-rate"));
		let least = Limits { serving_rate_per_peer: Some(65_536), guest_rate: 65_536, ..Limits::default() };
		assert!(least.check().is_ok());
		assert!(bad(|l| l.serving_per_window = 1).contains("serving_per_window"));
		assert!(bad(|l| l.chunk_timeout = Duration::ZERO).contains("chunk_timeout"));
		assert!(bad(|l| l.backoff_max = Duration::ZERO).contains("backoff_max"));
	}
}
