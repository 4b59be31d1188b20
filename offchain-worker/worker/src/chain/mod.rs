//! The chain, as the worker sees it: over a node's public JSON-RPC, at finalised blocks, with the metadata that the
//! node has at run time, so that a runtime upgrade does not break the worker.

pub mod api;
pub mod calls;
pub mod errors;
pub mod heads;
mod node;
pub mod rpc;
pub mod submit;
#[cfg(test)]
mod tests;

pub use api::{Attesters, Challenge, Device, Programme, Round};
pub use calls::Call;
pub use errors::Refused;
pub use heads::{Head, Heads};
pub use rpc::{RpcError, RpcPool, RpcSettings};
pub use submit::{Landed, SubmitError, Submitter, TxCounts};

#[cfg(test)]
pub(crate) use node::{Node, Outcome};

use cairn_primitives::H256;
use std::{sync::Arc, time::Duration};
use subxt::{
	backend::LegacyBackend,
	client::{OnlineClientAtBlockImpl, OnlineClientAtBlockT},
	config::substrate::{SubstrateConfig, SubstrateConfigBuilder},
	dynamic,
	utils::AccountId32,
	OnlineClient,
};

/// Why the chain could not be read.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ChainError {
	/// The node said no, or no node answers.
	#[error(transparent)]
	Rpc(#[from] RpcError),
	/// The answer of a runtime API has another form than this worker knows.
	#[error(
		"the answer of the runtime API `{api}` cannot be read ({reason}): the node's runtime speaks another version of it. \
		 Use a worker of the same release as the chain's runtime"
	)]
	Decode {
		/// Name of the runtime API and method.
		api: String,
		/// What is wrong.
		reason: String,
	},
	/// The runtime does not have this API.
	#[error("the node's runtime does not offer `{api}`: this is no Cairn chain, or its runtime is of another release than this worker")]
	NoSuchApi {
		/// Name of the runtime API and method.
		api: String,
	},
	/// The metadata does not have something this worker needs.
	#[error(
		"the chain's metadata cannot be used ({0}): use a worker of the same release as the chain's runtime"
	)]
	Metadata(String),
}

impl ChainError {
	/// Whether trying again later may help.
	pub fn is_transient(&self) -> bool {
		match self {
			Self::Rpc(e) => e.is_transient(),
			_ => false,
		}
	}
}

/// A connected chain. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Chain {
	rpc: RpcPool,
	client: OnlineClient<SubstrateConfig>,
	genesis: H256,
}

/// The client at one block: metadata, constants, events, transactions.
pub(crate) type AtBlock =
	subxt::client::ClientAtBlock<SubstrateConfig, OnlineClientAtBlockImpl<SubstrateConfig>>;

impl Chain {
	/// Connects, and from then on refuses nodes of any other chain.
	///
	/// # Errors
	/// When no node answers for as long as the settings allow, or all that do are on another chain than the settings
	/// name.
	pub async fn connect(rpc: RpcPool) -> Result<Self, ChainError> {
		let genesis = rpc.genesis().await?;
		rpc.require_genesis(genesis);
		let config = SubstrateConfigBuilder::new().set_genesis_hash(genesis).build();
		let backend = LegacyBackend::builder().build(subxt::rpcs::RpcClient::new(rpc.clone()));
		let client = OnlineClient::from_backend_with_config(config, Arc::new(backend))
			.await
			.map_err(|e| ChainError::Metadata(e.to_string()))?;
		Ok(Self { rpc, client, genesis })
	}

	/// Genesis hash.
	pub fn genesis(&self) -> H256 {
		self.genesis
	}

	/// The JSON-RPC underneath.
	pub fn rpc(&self) -> &RpcPool {
		&self.rpc
	}

	/// The newest finalised block.
	///
	/// # Errors
	/// When no node answers.
	pub async fn finalised(&self) -> Result<Head, ChainError> {
		let hash: H256 = self.rpc.request("chain_getFinalizedHead", ()).await?;
		let header: heads::Header = self.rpc.request("chain_getHeader", [hash]).await?;
		Ok(Head { number: header.number()?, hash })
	}

	/// The best block.
	///
	/// # Errors
	/// When no node answers.
	pub async fn best(&self) -> Result<Head, ChainError> {
		let header: heads::Header = self.rpc.request("chain_getHeader", ()).await?;
		let number = header.number()?;
		// By number, because a header does not say its own hash; a reorganisation meanwhile does no harm here.
		let hash = self.block_hash(number).await?;
		match hash {
			Some(hash) => Ok(Head { number, hash }),
			// Another node answered, which has not got there yet.
			None => self.finalised().await,
		}
	}

	/// When a block was made, by its author's clock: milliseconds since 1970. `None` when the chain does not say.
	///
	/// # Errors
	/// When no node answers.
	pub async fn timestamp(&self, at: H256) -> Result<Option<u64>, ChainError> {
		// The key of `Timestamp.Now`: the same since the first release of the pallet.
		const KEY: &str = "0xf0c365c3cf59d671eb72da0e7a4113c49f1f0515f462cdcf84e0f1d6045dfcbb";
		let value: Option<String> = self.rpc.request("state_getStorage", (KEY, at)).await?;
		value.map(|value| api::decode("Timestamp.Now", &value)).transpose()
	}

	/// The hash of a block by its number, if the node has it.
	///
	/// # Errors
	/// When no node answers.
	pub async fn block_hash(&self, number: u32) -> Result<Option<H256>, ChainError> {
		Ok(self.rpc.request("chain_getBlockHash", [number]).await?)
	}

	/// Whether the node is still catching up with the chain.
	///
	/// # Errors
	/// When no node answers.
	pub async fn is_syncing(&self) -> Result<bool, ChainError> {
		#[derive(serde::Deserialize)]
		#[serde(rename_all = "camelCase")]
		struct Health {
			is_syncing: bool,
		}
		let health: Health = self.rpc.request("system_health", ()).await?;
		Ok(health.is_syncing)
	}

	/// The client at a block, with the metadata that is valid there.
	pub(crate) async fn at(&self, head: Head) -> Result<AtBlock, ChainError> {
		self.client
			.at_block_hash_and_number(head.hash, head.number.into())
			.await
			.map_err(|e| ChainError::Metadata(e.to_string()))
	}

	/// How long a block takes, by the chain's own word.
	///
	/// # Errors
	/// When the metadata does not say it.
	pub async fn block_time(&self, at: Head) -> Result<Duration, ChainError> {
		let ms = self.amount_constant(at, "Babe", "ExpectedBlockTime").await?;
		Ok(Duration::from_millis(u64::try_from(ms).unwrap_or(u64::MAX).max(1)))
	}

	/// A constant of the runtime that is an amount.
	///
	/// # Errors
	/// When the metadata does not have it.
	pub async fn amount_constant(&self, at: Head, pallet: &str, name: &str) -> Result<u128, ChainError> {
		let constant = dynamic::constant::<u128>(pallet, name);
		let at = self.at(at).await?;
		at.constants().entry(constant).map_err(|e| ChainError::Metadata(e.to_string()))
	}

	/// What an account can spend, in plancks; zero when it does not exist.
	///
	/// # Errors
	/// When no node answers, or the metadata does not have accounts of the usual form.
	pub async fn free_balance(&self, at: Head, account: &AccountId32) -> Result<u128, ChainError> {
		#[derive(subxt::ext::scale_decode::DecodeAsType)]
		#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
		struct AccountInfo {
			data: AccountData,
		}
		#[derive(subxt::ext::scale_decode::DecodeAsType)]
		#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
		struct AccountData {
			free: u128,
		}
		let address = dynamic::storage::<([u8; 32],), AccountInfo>("System", "Account");
		let metadata = |e: &dyn std::fmt::Display| ChainError::Metadata(e.to_string());
		let at = self.at(at).await?;
		let value = at.storage().try_fetch(address, (account.0,)).await.map_err(|e| metadata(&e))?;
		match value {
			None => Ok(0),
			Some(value) => Ok(value.decode().map_err(|e| metadata(&e))?.data.free),
		}
	}

	/// The number of the site that `owner` registered under `name`, if there is one.
	///
	/// # Errors
	/// When no node answers, or the metadata does not have sites of the known form.
	pub async fn site_of(
		&self,
		at: Head,
		owner: &AccountId32,
		name: &str,
	) -> Result<Option<u32>, ChainError> {
		#[derive(subxt::ext::scale_decode::DecodeAsType)]
		#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
		struct Site {
			owner: AccountId32,
			name: Vec<u8>,
		}
		let address = dynamic::storage::<(u32,), Site>("Hardware", "Sites");
		let metadata = |e: &dyn std::fmt::Display| ChainError::Metadata(e.to_string());
		let at = self.at(at).await?;
		let mut sites = at.storage().iter(address, ()).await.map_err(|e| metadata(&e))?;
		let mut found = None::<u32>;
		while let Some(entry) = sites.next().await {
			let entry = entry.map_err(|e| metadata(&e))?;
			let site = entry.value().decode().map_err(|e| metadata(&e))?;
			if site.owner == *owner && site.name == name.as_bytes() {
				let (id,) = entry.key().and_then(|key| key.decode()).map_err(|e| metadata(&e))?;
				found = Some(found.map_or(id, |other| other.min(id)));
			}
		}
		Ok(found)
	}
}

/// Proof at compile time that subxt's client at a block is the kind that can go online.
const _: fn() = || {
	fn online<T: OnlineClientAtBlockT<SubstrateConfig>>() {}
	online::<OnlineClientAtBlockImpl<SubstrateConfig>>();
};
