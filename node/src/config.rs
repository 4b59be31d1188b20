//! What is checked and changed in the configuration before a node starts.
//!
//! The libraries below this node are lenient about ports: the RPC server takes a random port when its own is taken,
//! the metrics server gives up in silence, and the network layer logs a line and goes on without being reachable. An
//! operator wants to know, so this module looks first and refuses to start.

use sc_network::{multiaddr::Protocol, Multiaddr};
use sc_service::{config::DatabaseSource, Configuration};
use std::{
	io::ErrorKind,
	net::{IpAddr, SocketAddr, TcpListener},
};

/// A port that the node needs and cannot have. The text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
	/// Somebody else listens there.
	#[error(
		"port {port} is in use, so the node cannot listen on {address} for {service}. End the program that holds it \
		 (`ss -ltnp` lists who listens where; it may be another node), or choose another port with {flag}"
	)]
	InUse {
		/// What it is needed for.
		service: &'static str,
		/// Where.
		address: SocketAddr,
		/// The port alone.
		port: u16,
		/// The flag that changes it.
		flag: &'static str,
	},
	/// Two parts of this node want it.
	#[error("port {port} is asked for twice, for {first} and for {second}; choose another one with {flag}")]
	Twice {
		/// The port.
		port: u16,
		/// Who wants it.
		first: &'static str,
		/// Who wants it too.
		second: &'static str,
		/// The flag that changes the second.
		flag: &'static str,
	},
	/// It cannot be listened on for another reason.
	#[error(
		"the node cannot listen on {address} for {service}: {source}. Choose another address with {flag}"
	)]
	Unusable {
		/// What it is needed for.
		service: &'static str,
		/// Where.
		address: SocketAddr,
		/// The flag that changes it.
		flag: &'static str,
		/// Why not.
		source: std::io::Error,
	},
}

impl From<PortError> for sc_cli::Error {
	fn from(error: PortError) -> Self {
		Self::Application(Box::new(error))
	}
}

/// An address the node will listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Listen {
	service: &'static str,
	flag: &'static str,
	address: SocketAddr,
	/// Whether the node does without it where the machine has no such address, as without IPv6.
	optional: bool,
}

/// Takes `--database auto` for what it is: ParityDB, the only database in this binary.
pub fn use_parity_db(config: &mut Configuration) {
	if let DatabaseSource::Auto { paritydb_path, .. } = &config.database {
		config.database = DatabaseSource::ParityDb { path: paritydb_path.clone() };
	}
}

/// Says what a node without the offchain index cannot do.
pub fn warn_without_index(config: &Configuration) {
	if !config.offchain_worker.indexing_enabled {
		tracing::warn!(
			target: "cairn",
			"Offchain indexing is off: this node cannot serve proofs about records of the blocks it imports now, and \
			 switching it on later does not bring them back. Leave out `--enable-offchain-indexing false` to keep them."
		);
	}
}

/// Has the RPC server fail when its port is taken, where it would otherwise take any other one and the operator's
/// clients would talk to whoever holds the first.
pub fn refuse_other_rpc_ports(config: &mut Configuration) {
	for endpoint in config.rpc.addr.iter_mut().flatten() {
		endpoint.retry_random_port = false;
	}
}

/// Checks that every TCP port this configuration asks for is free.
///
/// Somebody can still take one between this and the start, but the usual case, a second node or a forgotten one, gets
/// a clear answer before the database is opened.
pub fn check_ports(config: &Configuration) -> Result<(), PortError> {
	let wanted = wanted(config);
	for (n, second) in wanted.iter().enumerate() {
		if let Some(first) = wanted[..n].iter().find(|first| first.collides(second)) {
			return Err(PortError::Twice {
				port: second.address.port(),
				first: first.service,
				second: second.service,
				flag: second.flag,
			});
		}
	}
	wanted.iter().try_for_each(Listen::check)
}

/// Every TCP address that the node will listen on.
fn wanted(config: &Configuration) -> Vec<Listen> {
	let network = config.network.listen_addresses.iter().filter_map(tcp_address).map(|address| Listen {
		service: "peers",
		flag: "--port (or --listen-addr)",
		address,
		// The network layer is content with those of its addresses that the machine has.
		optional: true,
	});
	let rpc = config.rpc.addr.iter().flatten().filter(|e| !e.retry_random_port).map(|endpoint| Listen {
		service: "JSON-RPC",
		flag: "--rpc-port",
		address: endpoint.listen_addr,
		optional: endpoint.is_optional,
	});
	let metrics = config.prometheus_config.iter().map(|prometheus| Listen {
		service: "Prometheus",
		flag: "--prometheus-port (or switch it off with --no-prometheus)",
		address: prometheus.port,
		optional: false,
	});
	network.chain(rpc).chain(metrics).collect()
}

/// The socket address of a listening address, if it is a TCP one.
fn tcp_address(address: &Multiaddr) -> Option<SocketAddr> {
	let mut parts = address.iter();
	let ip: IpAddr = match parts.next()? {
		Protocol::Ip4(ip) => ip.into(),
		Protocol::Ip6(ip) => ip.into(),
		_ => return None,
	};
	match parts.next()? {
		Protocol::Tcp(port) => Some(SocketAddr::new(ip, port)),
		_ => None,
	}
}

impl Listen {
	/// Whether two services of this node want the same port of the same address.
	fn collides(&self, other: &Self) -> bool {
		let (a, b) = (self.address, other.address);
		self.service != other.service
			&& a.port() == b.port()
			&& a.port() != 0
			&& (a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified())
	}

	/// Listens for a moment. Port 0 asks for any free port and is always there.
	fn check(&self) -> Result<(), PortError> {
		let Self { service, flag, address, optional } = *self;
		match TcpListener::bind(address) {
			Ok(_) => Ok(()),
			Err(e) if e.kind() == ErrorKind::AddrInUse => {
				Err(PortError::InUse { service, address, port: address.port(), flag })
			},
			Err(source) if !optional || source.kind() == ErrorKind::PermissionDenied => {
				Err(PortError::Unusable { service, address, flag, source })
			},
			Err(_) => Ok(()),
		}
	}
}

#[cfg(test)]
mod tests {
	#![allow(clippy::unwrap_used)]

	use super::*;

	fn listen(service: &'static str, address: &str) -> Listen {
		Listen { service, flag: "--flag", address: address.parse().unwrap(), optional: false }
	}

	#[test]
	fn a_taken_port_is_named_with_service_and_flag() {
		let holder = TcpListener::bind("127.0.0.1:0").unwrap();
		let address = holder.local_addr().unwrap();
		let error = Listen { address, ..listen("JSON-RPC", "127.0.0.1:1") }.check().unwrap_err();
		let text = error.to_string();
		assert!(matches!(error, PortError::InUse { .. }), "{text}");
		for part in
			[&format!("port {} is in use", address.port()), "JSON-RPC", "--flag", &address.to_string()]
		{
			assert!(text.contains(part), "{part}: {text}");
		}
	}

	#[test]
	fn a_taken_port_is_refused_even_where_the_address_is_optional() {
		let holder = TcpListener::bind("127.0.0.1:0").unwrap();
		let address = holder.local_addr().unwrap();
		let wanted = Listen { address, optional: true, ..listen("peers", "127.0.0.1:1") };
		assert!(matches!(wanted.check(), Err(PortError::InUse { .. })));
		// All addresses include the one that is taken.
		let everywhere = Listen { address: SocketAddr::new([0, 0, 0, 0].into(), address.port()), ..wanted };
		assert!(matches!(everywhere.check(), Err(PortError::InUse { .. })));
	}

	#[test]
	fn a_free_port_passes_and_is_free_again_afterwards() {
		let holder = TcpListener::bind("127.0.0.1:0").unwrap();
		let address = holder.local_addr().unwrap();
		drop(holder);
		let wanted = Listen { address, ..listen("JSON-RPC", "127.0.0.1:1") };
		wanted.check().unwrap();
		wanted.check().unwrap();
		TcpListener::bind(address).unwrap();
	}

	#[test]
	fn an_address_of_another_machine_is_unusable_unless_it_is_optional() {
		// From the block that is set aside for documentation.
		let elsewhere = listen("JSON-RPC", "192.0.2.1:0");
		assert!(matches!(elsewhere.check(), Err(PortError::Unusable { .. })));
		Listen { optional: true, ..elsewhere }.check().unwrap();
	}

	#[test]
	fn services_collide_on_one_port_of_overlapping_addresses_only() {
		let rpc = listen("JSON-RPC", "127.0.0.1:9944");
		assert!(rpc.collides(&listen("Prometheus", "127.0.0.1:9944")));
		assert!(rpc.collides(&listen("peers", "0.0.0.0:9944")));
		assert!(!rpc.collides(&listen("Prometheus", "127.0.0.1:9615")));
		assert!(!rpc.collides(&listen("Prometheus", "127.0.0.2:9944")));
		assert!(!rpc.collides(&listen("JSON-RPC", "[::]:9944")));
		assert!(!listen("JSON-RPC", "127.0.0.1:0").collides(&listen("Prometheus", "127.0.0.1:0")));
	}

	#[test]
	fn only_tcp_addresses_of_this_machine_are_checked() {
		let address = |text: &str| tcp_address(&text.parse().unwrap());
		assert_eq!(address("/ip4/0.0.0.0/tcp/30333"), Some("0.0.0.0:30333".parse().unwrap()));
		assert_eq!(address("/ip6/::/tcp/30333/ws"), Some("[::]:30333".parse().unwrap()));
		assert_eq!(address("/ip4/0.0.0.0/udp/30333/webrtc-direct"), None);
		assert_eq!(address("/dns/node.example/tcp/30333"), None);
	}
}
