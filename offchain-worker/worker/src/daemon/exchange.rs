//! What the daemon needs of the network, so that it can be tested without one.

use async_trait::async_trait;
use cairn_network::{FetchError, MaxLen};
use cairn_primitives::ArtifactHash;
use std::time::Duration;

/// Why an artifact was not brought. Both say which one, and why.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NotFetched {
	/// It is larger than it may be: whoever is asked, that stays so.
	#[error("{0}")]
	TooLarge(String),
	/// Anything that another attempt may mend.
	#[error("{0}")]
	Failed(String),
}

/// Gets artifacts from, and offers them to, other workers.
#[async_trait]
pub trait Exchange: Send + Sync {
	/// Brings an artifact that must not be larger than `most` into the store, asking the holders of these network keys
	/// first.
	///
	/// # Errors
	/// That it is larger, or whom it asked, and what they said.
	async fn fetch(
		&self,
		artifact: ArtifactHash,
		preferred: Vec<[u8; 32]>,
		most: Option<MaxLen>,
	) -> Result<(), NotFetched>;
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

/// How long nothing at all may arrive before holders are looked up anew.
const WITHIN: Duration = Duration::from_secs(20);

/// The libp2p network.
pub struct NetworkExchange(pub cairn_network::Network);

#[async_trait]
impl Exchange for NetworkExchange {
	async fn fetch(
		&self,
		artifact: ArtifactHash,
		preferred: Vec<[u8; 32]>,
		most: Option<MaxLen>,
	) -> Result<(), NotFetched> {
		let fetched = match most {
			Some(most) => self.0.fetch_up_to(artifact, preferred, WITHIN, most).await,
			None => self.0.fetch(artifact, preferred, WITHIN).await,
		};
		fetched.map(drop).map_err(|error| match error {
			FetchError::TooLarge { .. } => NotFetched::TooLarge(error.to_string()),
			error => NotFetched::Failed(error.to_string()),
		})
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
