//! A node's public JSON-RPC, as any client sees it.

use crate::lan::Namespace;
use anyhow::{anyhow, bail, ensure, Context, Result};
use cairn_primitives::views;
use jsonrpsee::{
	core::{
		client::{ClientT, Subscription, SubscriptionClientT},
		traits::ToRpcParams,
		ClientError,
	},
	rpc_params,
	ws_client::{WsClient, WsClientBuilder},
};
use serde::{de::DeserializeOwned, Serialize};
use serde_json::Value;
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::{net::TcpStream, sync::Mutex};

/// An account as the RPC writes it (SS58).
pub type Account = String;
/// A programme.
pub type ProgrammeInfo = views::ProgrammeInfo<Account, u128>;
/// A round.
pub type RoundInfo = views::RoundInfo<Account, u32>;
/// A member of a committee.
pub type Member = views::MemberInfo<Account>;
/// A record with its number.
pub type RecordInfo = views::RecordInfo<Account, u32>;
/// A page of records, of a lineage for example.
pub type LineagePage = views::LineagePage<Account, u32>;
/// A page of rounds.
pub type RoundPage = views::RoundPage<Account, u32>;
/// What an account earned.
pub type RewardInfo = views::RewardInfo<u128>;

/// How long a finalised block may take to come before the chain counts as stalled. Many times the few slots it takes
/// when all is well, and longer than a starved machine needs to catch up, or a network that was split in halves.
pub const STALL: Duration = Duration::from_secs(300);

/// Storage key of `Timestamp::Now`: the XXH64-based hashes of both names.
const TIMESTAMP_NOW: &str = "0xf0c365c3cf59d671eb72da0e7a4113c49f1f0515f462cdcf84e0f1d6045dfcbb";

/// A finalised block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
	/// Its number.
	pub number: u32,
	/// Its hash, hexadecimal.
	pub hash: String,
}

/// A connection to one node. It connects on first use, and again when the connection was lost.
#[derive(Clone)]
pub struct Rpc {
	url: String,
	within: Option<(Namespace, SocketAddr)>,
	client: Arc<Mutex<Option<Arc<WsClient>>>>,
}

/// An error that the node answered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
	/// The code.
	pub code: i32,
	/// The message.
	pub message: String,
}

impl Rpc {
	/// For the node at this WebSocket URL.
	pub fn new(url: impl Into<String>) -> Self {
		Self { url: url.into(), within: None, client: Arc::default() }
	}

	/// For the node at this port of the loopback interface of a namespace: it is reached whatever became of the network.
	pub fn within(namespace: &Namespace, port: u16) -> Self {
		let address = SocketAddr::from(([127, 0, 0, 1], port));
		let within = Some((namespace.clone(), address));
		Self { url: format!("ws://{address}"), within, client: Arc::default() }
	}

	/// The URL.
	pub fn url(&self) -> &str {
		&self.url
	}

	async fn client(&self) -> Result<Arc<WsClient>, ClientError> {
		let mut slot = self.client.lock().await;
		if let Some(client) = slot.as_ref().filter(|c| c.is_connected()) {
			return Ok(client.clone());
		}
		let builder = WsClientBuilder::default();
		let client = match self.within.clone() {
			None => builder.build(&self.url).await,
			Some((namespace, address)) => {
				let connected = tokio::task::spawn_blocking(move || namespace.connect(address)).await;
				let stream = connected.map_err(std::io::Error::other).and_then(|stream| stream);
				let stream =
					stream.and_then(|s| s.set_nonblocking(true).and_then(|()| TcpStream::from_std(s)));
				let stream = stream.map_err(|e| ClientError::Transport(Box::new(e)))?;
				builder.build_with_stream(&self.url, stream).await
			},
		};
		let client = Arc::new(client.map_err(|e| ClientError::Transport(Box::new(e)))?);
		*slot = Some(client.clone());
		Ok(client)
	}

	/// A call of any method.
	///
	/// # Errors
	/// When the node is not reachable, refuses, or answers something else than `T`.
	pub async fn call<T: DeserializeOwned>(
		&self,
		method: &str,
		params: impl ToRpcParams + Send,
	) -> Result<T> {
		let answer = match self.client().await {
			Ok(client) => client.request(method, params).await,
			Err(e) => Err(e),
		};
		answer.map_err(|e| anyhow!("{method} at {}: {e}", self.url))
	}

	/// A call that the node is expected to refuse.
	///
	/// # Errors
	/// When it answers, or fails in another way.
	pub async fn refusal(&self, method: &str, params: impl ToRpcParams + Send) -> Result<Refusal> {
		let client = self.client().await.map_err(|e| anyhow!("{}: {e}", self.url))?;
		match client.request::<Value, _>(method, params).await {
			Ok(answer) => bail!("{method} was expected to be refused, but answered {answer}"),
			Err(ClientError::Call(error)) => {
				Ok(Refusal { code: error.code(), message: error.message().to_string() })
			},
			Err(e) => bail!("{method} at {}: {e}", self.url),
		}
	}

	/// The genesis hash.
	///
	/// # Errors
	/// As [`Rpc::call`].
	pub async fn genesis(&self) -> Result<String> {
		self.call("chain_getBlockHash", rpc_params![0]).await
	}

	/// The newest finalised block.
	///
	/// # Errors
	/// As [`Rpc::call`].
	pub async fn finalised(&self) -> Result<Head> {
		let hash: String = self.call("chain_getFinalizedHead", rpc_params![]).await?;
		let header: Value = self.call("chain_getHeader", rpc_params![&hash]).await?;
		Ok(Head { number: number(&header)?, hash })
	}

	/// The hash of a block of the best chain.
	///
	/// # Errors
	/// As [`Rpc::call`], and when there is no such block yet.
	pub async fn block_hash(&self, block: u32) -> Result<String> {
		let hash: Option<String> = self.call("chain_getBlockHash", rpc_params![block]).await?;
		hash.with_context(|| format!("{} has no block {block} yet", self.url))
	}

	/// The chain's time at a block, in milliseconds since 1970.
	///
	/// # Errors
	/// As [`Rpc::call`].
	pub async fn time_at(&self, block: u32) -> Result<u64> {
		// Genesis has no time.
		let at = self.block_hash(block.max(1)).await?;
		let value: Option<String> = self.call("state_getStorage", rpc_params![TIMESTAMP_NOW, &at]).await?;
		let value = value.with_context(|| format!("block {block} has no timestamp"))?;
		timestamp(&value).with_context(|| format!("block {block} has the timestamp {value}"))
	}

	/// Follows finalised blocks from now on.
	///
	/// # Errors
	/// As [`Rpc::call`].
	pub async fn heads(&self) -> Result<Heads> {
		let client = self.client().await.map_err(|e| anyhow!("{}: {e}", self.url))?;
		let (subscribe, unsubscribe) = ("chain_subscribeFinalizedHeads", "chain_unsubscribeFinalizedHeads");
		let subscription = client.subscribe(subscribe, rpc_params![], unsubscribe).await;
		let subscription = subscription.map_err(|e| anyhow!("{subscribe} at {}: {e}", self.url))?;
		Ok(Heads { rpc: self.clone(), subscription })
	}

	/// A programme; at the best block if `at` is `None`.
	///
	/// # Errors
	/// As [`Rpc::call`].
	pub async fn programme(&self, id: u32, at: Option<&str>) -> Result<ProgrammeInfo> {
		self.call("provenance_programme", rpc_params![id, at]).await
	}

	/// The running round of a programme.
	///
	/// # Errors
	/// As [`Rpc::call`].
	pub async fn current_round(&self, programme: u32, at: Option<&str>) -> Result<Option<RoundInfo>> {
		self.call("provenance_currentRound", rpc_params![programme, at]).await
	}

	/// A round by number.
	///
	/// # Errors
	/// As [`Rpc::call`].
	pub async fn round(&self, programme: u32, index: u32, at: Option<&str>) -> Result<RoundInfo> {
		self.call("provenance_round", rpc_params![programme, index, at]).await
	}

	/// A record by number.
	///
	/// # Errors
	/// As [`Rpc::call`].
	pub async fn record(&self, id: u64, at: Option<&str>) -> Result<RecordInfo> {
		self.call("provenance_record", rpc_params![id, at]).await
	}

	/// The record of an artifact.
	///
	/// # Errors
	/// As [`Rpc::call`].
	pub async fn record_by_artifact(&self, hash: &str, at: Option<&str>) -> Result<RecordInfo> {
		self.call("provenance_recordByArtifact", rpc_params![hash, at]).await
	}

	/// The whole lineage of an artifact, newest first, read page by page at one block.
	///
	/// # Errors
	/// As [`Rpc::records`].
	pub async fn lineage(&self, hash: &str, page: u32, at: &str) -> Result<Vec<RecordInfo>> {
		self.records("provenance_lineage", hash, page, at).await
	}

	/// All that a method which lists records of something has to say, read page by page at one block.
	///
	/// # Errors
	/// As [`Rpc::call`], and when the pages go round in a circle.
	pub async fn records(
		&self,
		method: &str,
		of: impl Serialize + Send + Sync,
		page: u32,
		at: &str,
	) -> Result<Vec<RecordInfo>> {
		let (mut records, mut cursor) = (Vec::<RecordInfo>::new(), None::<u64>);
		loop {
			let answer: LineagePage = self.call(method, rpc_params![&of, cursor, page, at]).await?;
			records.extend(answer.records);
			let Some(next) = answer.next else { return Ok(records) };
			// It would be read forever.
			ensure!(
				cursor != Some(next) && records.iter().all(|r| r.id != next),
				"{method} went from record {cursor:?} to {next}, which was read before"
			);
			cursor = Some(next);
		}
	}

	/// What an account earned in a programme.
	///
	/// # Errors
	/// As [`Rpc::call`].
	pub async fn rewards(&self, programme: u32, account: &str, at: Option<&str>) -> Result<RewardInfo> {
		self.call("provenance_rewards", rpc_params![programme, account, at]).await
	}
}

/// Finalised blocks as they come.
pub struct Heads {
	rpc: Rpc,
	subscription: Subscription<Value>,
}

impl Heads {
	/// The next finalised block. Some are skipped when several are finalised at once.
	///
	/// # Errors
	/// When the connection is lost, or no block is finalised for as long as [`STALL`].
	pub async fn next(&mut self) -> Result<Head> {
		let head = match tokio::time::timeout(STALL, self.subscription.next()).await {
			Err(_) => bail!(
				"no block was finalised for {} seconds, as {} sees it: look into the validators' logs",
				STALL.as_secs(),
				self.rpc.url
			),
			Ok(None) => bail!("the connection to {} was closed", self.rpc.url),
			Ok(Some(Err(e))) => bail!("{}: a finalised head cannot be read: {e}", self.rpc.url),
			Ok(Some(Ok(header))) => header,
		};
		let number = number(&head)?;
		Ok(Head { number, hash: self.rpc.block_hash(number).await? })
	}
}

fn number(header: &Value) -> Result<u32> {
	let digits = header["number"].as_str().and_then(|n| n.strip_prefix("0x"));
	let number = digits.and_then(|n| u32::from_str_radix(n, 16).ok());
	number.with_context(|| format!("a header without a number: {header}"))
}

/// A SCALE-encoded `u64` in hexadecimal.
fn timestamp(value: &str) -> Option<u64> {
	let digits = value.strip_prefix("0x").filter(|d| d.len() == 16)?;
	u64::from_str_radix(digits, 16).ok().map(u64::swap_bytes)
}

#[cfg(test)]
mod tests {
	#![allow(clippy::unwrap_used)]
	use super::*;
	use serde_json::json;

	#[test]
	fn header_number_is_read_and_its_absence_reported() {
		assert_eq!(number(&json!({"number": "0x1f"})).unwrap(), 31);
		assert!(number(&json!({"number": 31})).is_err());
	}

	#[test]
	fn timestamp_is_little_endian() {
		assert_eq!(timestamp("0x0100000000000000"), Some(1));
		assert_eq!(timestamp("0x00e40b5402000000"), Some(10_000_000_000));
		assert_eq!(timestamp("0x01"), None);
	}
}
