//! A chain behind a node's public JSON-RPC.

use crate::chain::{Chain, ChainError, Page, Programme, ProvingChain, Record, Round};
use cairn_primitives::{ArtifactHash, ProgrammeId, RecordId, RoundIndex, H256};
use jsonrpsee::{
	core::{
		client::{ClientT, Error},
		params::ArrayParams,
	},
	ws_client::{WsClient, WsClientBuilder},
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::time::Duration;

/// How long a connection may take to come up.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an answer may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// JSON-RPC's error number for a method that does not exist.
const METHOD_NOT_FOUND: i32 = -32601;

/// A connection to a node.
pub struct RpcChain {
	url: String,
	client: WsClient,
}

impl RpcChain {
	/// Connects to a node.
	///
	/// # Errors
	/// When the address is not one, or nobody answers there.
	pub async fn connect(url: &str) -> Result<Self, ChainError> {
		if !(url.starts_with("ws://") || url.starts_with("wss://")) {
			return Err(ChainError::Url { url: url.to_owned() });
		}
		let client = WsClientBuilder::new()
			.connection_timeout(CONNECTION_TIMEOUT)
			.request_timeout(REQUEST_TIMEOUT)
			.build(url)
			.await
			.map_err(|e| ChainError::Connect { url: url.to_owned(), reason: e.to_string() })?;
		Ok(Self { url: url.to_owned(), client })
	}

	async fn call<T: DeserializeOwned>(&self, method: &str, params: ArrayParams) -> Result<T, ChainError> {
		let (url, name) = (self.url.clone(), method.to_owned());
		self.client.request(method, params).await.map_err(|error| match error {
			Error::Call(e) if e.code() == METHOD_NOT_FOUND => ChainError::UnknownMethod { url, method: name },
			Error::Call(e) => {
				ChainError::Refused { method: name, code: e.code(), message: e.message().to_owned() }
			},
			Error::ParseError(e) => ChainError::Malformed { method: name, reason: e.to_string() },
			Error::RestartNeeded(e) => ChainError::Transport { url, method: name, reason: e.to_string() },
			e => ChainError::Transport { url, method: name, reason: e.to_string() },
		})
	}
}

/// Positional arguments of an RPC call.
macro_rules! params {
	($($value:expr),*) => {{
		#[allow(unused_mut)]
		let mut params = ArrayParams::new();
		$(params.insert($value).expect("numbers and hashes have a JSON form; qed");)*
		params
	}};
}

impl Chain for RpcChain {
	async fn genesis(&self) -> Result<H256, ChainError> {
		let hash: Option<H256> = self.call("chain_getBlockHash", params!(0u32)).await?;
		hash.ok_or_else(|| ChainError::Malformed {
			method: "chain_getBlockHash".into(),
			reason: "there is no block 0".into(),
		})
	}

	async fn finalised(&self) -> Result<H256, ChainError> {
		self.call("chain_getFinalizedHead", params!()).await
	}

	async fn programme(&self, id: ProgrammeId, at: H256) -> Result<Programme, ChainError> {
		self.call("provenance_programme", params!(id, at)).await
	}

	async fn round(&self, programme: ProgrammeId, index: RoundIndex, at: H256) -> Result<Round, ChainError> {
		self.call("provenance_round", params!(programme, index, at)).await
	}

	async fn record(&self, id: RecordId, at: H256) -> Result<Record, ChainError> {
		self.call("provenance_record", params!(id, at)).await
	}

	async fn lineage(
		&self,
		artifact: ArtifactHash,
		cursor: Option<RecordId>,
		at: H256,
	) -> Result<Page, ChainError> {
		self.call("provenance_lineage", params!(artifact, cursor, None::<u32>, at)).await
	}
}

impl ProvingChain for RpcChain {
	async fn prove(&self, record: &str, at: Option<H256>) -> Result<String, ChainError> {
		let params = match record.parse::<RecordId>() {
			Ok(id) => params!(id, at),
			Err(_) => params!(record, at),
		};
		self.call("provenance_prove", params).await.map(|answer: Value| answer.to_string())
	}

	async fn prove_absence(&self, weights: ArtifactHash) -> Result<String, ChainError> {
		self.call("provenance_proveAbsence", params!(weights)).await.map(|answer: Value| answer.to_string())
	}
}
