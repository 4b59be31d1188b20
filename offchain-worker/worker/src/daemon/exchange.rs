//! What the daemon needs of the network, so that it can be tested without one.

use async_trait::async_trait;
use cairn_primitives::ArtifactHash;
use std::time::Duration;

/// Gets artifacts from, and offers them to, other workers.
#[async_trait]
pub trait Exchange: Send + Sync {
	/// Brings an artifact into the store, asking the holders of these network keys first.
	///
	/// # Errors
	/// Whom it asked, and what they said.
	async fn fetch(&self, artifact: ArtifactHash, preferred: Vec<[u8; 32]>) -> Result<(), String>;
	/// Tells others that this worker holds an artifact.
	///
	/// # Errors
	/// When that was not possible.
	async fn announce(&self, artifact: ArtifactHash) -> Result<(), String>;
	/// The peers that are connected now.
	fn peers(&self) -> Vec<String> {
		Vec::new()
	}
	/// Tells others so no longer.
	async fn withdraw(&self, _artifact: ArtifactHash) {}
}

/// How long one attempt goes on before holders are looked up anew.
const WITHIN: Duration = Duration::from_secs(20);

/// The libp2p network.
pub struct NetworkExchange(pub cairn_network::Network);

#[async_trait]
impl Exchange for NetworkExchange {
	async fn fetch(&self, artifact: ArtifactHash, preferred: Vec<[u8; 32]>) -> Result<(), String> {
		self.0.fetch(artifact, preferred, WITHIN).await.map(drop).map_err(|e| e.to_string())
	}

	async fn announce(&self, artifact: ArtifactHash) -> Result<(), String> {
		self.0.announce(artifact).await.map(drop).map_err(|e| e.to_string())
	}

	fn peers(&self) -> Vec<String> {
		self.0.connected_peers().iter().map(ToString::to_string).collect()
	}

	async fn withdraw(&self, artifact: ArtifactHash) {
		self.0.withdraw(artifact).await;
	}
}
