//! Workers on loopback that have artifacts, and one that lies.

use super::genesis;
use async_trait::async_trait;
use cairn_artifacts::{ArtifactHash, Store};
use cairn_network::{
	keypair_from_seed,
	protocol::{identify_version, BlobCodec, BlobProtocol, BlobResponse},
	AccessPolicy, Admission, Multiaddr, Network, NetworkConfig,
};
use futures::StreamExt;
use libp2p::{
	identify, noise,
	request_response::{self, Message, ProtocolSupport},
	swarm::{NetworkBehaviour, SwarmEvent},
	tcp, yamux,
};
use std::{sync::Arc, time::Duration};
use tokio::task::JoinHandle;

/// As a worker answers about whoever is no device.
struct Strangers(Admission);

#[async_trait]
impl AccessPolicy for Strangers {
	async fn admits(&self, _: [u8; 32]) -> Admission {
		self.0.clone()
	}

	fn may_serve(&self, _: &ArtifactHash) -> bool {
		true
	}
}

async fn node(seed: u8, store: &Store, bootstrap: &[&str], strangers: Admission) -> Network {
	let mut config = NetworkConfig::new(keypair_from_seed([seed; 32]), genesis());
	config.listen = vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()];
	config.bootstrap = bootstrap.iter().map(|address| address.parse().unwrap()).collect();
	Network::start(config, store.clone(), Arc::new(Strangers(strangers))).await.unwrap()
}

/// A worker that takes guests, and its address.
pub async fn worker(seed: u8, store: &Store) -> (Network, String) {
	let network = node(seed, store, &[], Admission::Guest).await;
	let address = network.listen_addrs()[0].to_string();
	(network, address)
}

/// A worker that serves devices only.
pub async fn closed_worker(seed: u8, store: &Store) -> (Network, String) {
	let strangers = Admission::Refused { reason: "no device has this network key".into() };
	let network = node(seed, store, &[], strangers).await;
	let address = network.listen_addrs()[0].to_string();
	(network, address)
}

#[derive(NetworkBehaviour)]
struct Lies {
	identify: identify::Behaviour,
	blobs: request_response::Behaviour<BlobCodec>,
}

/// A peer that answers every request with the same wrong bytes.
pub struct Liar(JoinHandle<()>);

impl Drop for Liar {
	fn drop(&mut self) {
		self.0.abort();
	}
}

/// Starts one.
pub async fn liar(seed: u8) -> (Liar, String) {
	let mut swarm = libp2p::SwarmBuilder::with_existing_identity(keypair_from_seed([seed; 32]).into())
		.with_tokio()
		.with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
		.unwrap()
		.with_behaviour(|key| Lies {
			identify: identify::Behaviour::new(identify::Config::new(
				identify_version(&genesis()),
				key.public(),
			)),
			blobs: request_response::Behaviour::with_codec(
				BlobCodec::default(),
				[(BlobProtocol::v2(&genesis()), ProtocolSupport::Full)],
				request_response::Config::default(),
			),
		})
		.unwrap()
		// Without it, a connection ends with its first exchange, which may be before the auditor has asked for anything.
		.with_swarm_config(|config| config.with_idle_connection_timeout(Duration::from_secs(60)))
		.build();
	swarm.listen_on("/ip4/127.0.0.1/tcp/0".parse().unwrap()).unwrap();
	let address: Multiaddr = loop {
		if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
			break address.with_p2p(*swarm.local_peer_id()).unwrap();
		}
	};
	let task = tokio::spawn(async move {
		loop {
			let SwarmEvent::Behaviour(LiesEvent::Blobs(request_response::Event::Message { message, .. })) =
				swarm.select_next_some().await
			else {
				continue;
			};
			if let Message::Request { channel, .. } = message {
				let wrong = BlobResponse::Slice { total_len: 500, bytes: vec![7; 500] };
				let _ = swarm.behaviour_mut().blobs.send_response(channel, wrong);
			}
		}
	});
	(Liar(task), address.to_string())
}
