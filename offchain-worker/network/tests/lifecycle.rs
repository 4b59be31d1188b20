//! Starting and stopping.
#![allow(clippy::unwrap_used)]

mod common;

use cairn_network::{FetchError, Multiaddr, Network, StartError};
use cairn_primitives::H256;
use common::*;
use std::net::TcpListener;

fn port_of(address: &Multiaddr) -> u16 {
	match address.iter().nth(1) {
		Some(libp2p::multiaddr::Protocol::Tcp(port)) => port,
		other => panic!("{other:?}"),
	}
}

#[tokio::test]
async fn port_in_use_is_named_with_the_remedy() {
	let chain = TestChain::open();
	let taken = TcpListener::bind("127.0.0.1:0").unwrap();
	let node1 = node(1, &[], &chain).await;
	// Another program's port, and another node's, which libp2p would share silently.
	for port in [taken.local_addr().unwrap().port(), port_of(&node1.address())] {
		let mut config = config(2, &[]);
		config.listen = vec![format!("/ip4/127.0.0.1/tcp/{port}").parse().unwrap()];
		let error = start(config, 2, &chain).await.err().unwrap();
		assert!(matches!(error, StartError::PortInUse { .. }), "{error:?}");
		let message = error.to_string();
		assert!(message.contains(&port.to_string()) && message.contains("another port"), "{message}");
	}
}

#[tokio::test]
async fn addresses_that_cannot_work_are_named() {
	let chain = TestChain::open();
	let start_with = |listen: &str, bootstrap: &str| {
		let mut config = config(1, &[]);
		config.listen = vec![listen.parse().unwrap()];
		if !bootstrap.is_empty() {
			config.bootstrap = vec![bootstrap.parse().unwrap()];
		}
		let chain = chain.clone();
		async move { start(config, 1, &chain).await.err().unwrap() }
	};
	let error = start_with("/ip4/127.0.0.1/udp/0/quic-v1", "").await;
	assert!(matches!(error, StartError::UnsupportedAddress { .. }), "{error}");
	// An address of the documentation range, which no machine has.
	let error = start_with("/ip4/192.0.2.1/tcp/4001", "").await;
	assert!(matches!(error, StartError::Listen { .. }), "{error}");
	assert!(error.to_string().contains("192.0.2.1"), "{error}");
	let error = start_with("/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/tcp/4001").await;
	assert!(matches!(error, StartError::BootstrapWithoutPeer { .. }), "{error}");
	assert!(error.to_string().contains("/ip4/127.0.0.1/tcp/4001"), "{error}");
}

#[tokio::test]
async fn nodes_own_address_among_the_bootstrap_addresses_is_passed_over() {
	let chain = TestChain::open();
	let own: Multiaddr = format!("/ip4/127.0.0.1/tcp/1/p2p/{}", peer_id(1)).parse().unwrap();
	let node1 = node(1, &[own], &chain).await;
	let node2 = node(2, &[node1.address()], &chain).await;
	node2.connected_to(peer_id(1)).await;
}

#[tokio::test]
async fn shutdown_frees_the_port_and_ends_what_is_under_way() {
	let chain = TestChain::open();
	let node1 = node(1, &[], &chain).await;
	let port = port_of(&node1.address());
	let node2 = node(2, &[node1.address()], &chain).await;
	node1.connected_to(peer_id(2)).await;
	let hash = H256([9; 32]);
	let fetching = tokio::spawn({
		let network = node1.network.clone();
		async move { network.fetch(hash, vec![], LONG).await }
	});
	eventually(|| node2.network.counters().requests_refused > 0).await;
	within_long(node1.network.shutdown()).await;
	TcpListener::bind(("127.0.0.1", port)).unwrap();
	assert_eq!(within_long(fetching).await.unwrap(), Err(FetchError::Stopped { hash }));
	assert!(node1.network.connected_peers().is_empty());
	node2.disconnected_from(peer_id(1)).await;

	// Afterwards every call says so, and none hangs.
	assert_eq!(node1.network.fetch(hash, vec![], LONG).await, Err(FetchError::Stopped { hash }));
	assert!(node1.network.announce(hash).await.is_err());
	node1.network.withdraw(hash).await;
	within_long(node1.network.shutdown()).await;
}

#[tokio::test]
async fn dropping_the_last_handle_stops_the_node() {
	let chain = TestChain::open();
	let node1 = node(1, &[], &chain).await;
	let port = port_of(&node1.address());
	let handle = node1.network.clone();
	drop(node1);
	// One handle is left: the node lives.
	let node2 = node(2, &[handle.listen_addrs()[0].clone()], &chain).await;
	node2.connected_to(peer_id(1)).await;
	drop(handle);
	node2.disconnected_from(peer_id(1)).await;
	eventually(|| TcpListener::bind(("127.0.0.1", port)).is_ok()).await;
}

#[tokio::test]
async fn announcements_are_bounded_and_can_be_withdrawn() {
	let chain = TestChain::open();
	let mut config = config(1, &[]);
	config.limits.max_announced = 2;
	let node1 = start(config, 1, &chain).await.unwrap();
	let announce = |i: u8| node1.network.announce(H256([i; 32]));
	announce(1).await.unwrap();
	announce(2).await.unwrap();
	announce(2).await.unwrap();
	assert!(announce(3).await.unwrap_err().to_string().contains("max_announced"));
	node1.network.withdraw(H256([1; 32])).await;
	announce(3).await.unwrap();
}

#[tokio::test]
async fn limits_out_of_range_are_refused_at_the_start() {
	let dir = tempfile::tempdir().unwrap();
	let store = cairn_artifacts::Store::open(dir.path()).unwrap();
	let mut config = config(1, &[]);
	config.limits.max_transfers = 0;
	let error = Network::start(config, store, TestChain::open()).await.unwrap_err();
	assert!(error.to_string().contains("max_transfers"), "{error}");
}
