//! Follows the finalised and the best head. The finalised one never goes back, whichever node reports it.

use super::{Chain, ChainError, RpcError};
use cairn_primitives::H256;
use futures::StreamExt;
use serde::Deserialize;
use std::time::Duration;
use tokio::sync::watch;

/// A block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Head {
	/// Its number.
	pub number: u32,
	/// Its hash.
	pub hash: H256,
}

/// What of a header is needed.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Header {
	number: String,
}

impl Header {
	pub(crate) fn number(&self) -> Result<u32, RpcError> {
		let digits = self.number.strip_prefix("0x").unwrap_or(&self.number);
		u32::from_str_radix(digits, 16).map_err(|e| RpcError::Unreadable {
			method: "header".into(),
			reason: format!("block number `{}`: {e}", self.number),
		})
	}
}

/// The heads, as they move. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Heads {
	/// The newest finalised block.
	pub finalised: watch::Receiver<Head>,
	/// The number of the best block; at least that of the finalised one.
	pub best: watch::Receiver<u32>,
}

/// Without a new finalised block for this long, another node is tried.
const STALLED: Duration = Duration::from_secs(60);

impl Heads {
	/// Starts following. The tasks end when all receivers are dropped, or when every node is on another chain.
	///
	/// # Errors
	/// When no node answers for as long as the settings allow.
	pub async fn follow(chain: &Chain) -> Result<Self, ChainError> {
		let first = chain.finalised().await?;
		let (finalised_tx, finalised) = watch::channel(first);
		let (best_tx, best) = watch::channel(first.number);
		tokio::spawn(follow_finalised(chain.clone(), finalised_tx));
		tokio::spawn(follow_best(chain.clone(), best_tx));
		Ok(Self { finalised, best })
	}

	/// Heads that stand still, and the means to move them.
	#[cfg(test)]
	pub(crate) fn manual(first: Head) -> (Self, watch::Sender<Head>, watch::Sender<u32>) {
		let (finalised_tx, finalised) = watch::channel(first);
		let (best_tx, best) = watch::channel(first.number);
		(Self { finalised, best }, finalised_tx, best_tx)
	}

	/// The newest finalised block, now.
	pub fn finalised_now(&self) -> Head {
		*self.finalised.borrow()
	}

	/// The number of the best block, now.
	pub fn best_now(&self) -> u32 {
		(*self.best.borrow()).max(self.finalised.borrow().number)
	}

	/// Waits until the best block has at least this number, or following has ended.
	pub async fn best_reaches(&self, number: u32) {
		let mut best = self.best.clone();
		drop(best.wait_for(|n| *n >= number).await);
	}
}

async fn follow_finalised(chain: Chain, heads: watch::Sender<Head>) {
	let mut stream =
		chain.rpc().subscribe::<Header>("chain_subscribeFinalizedHeads", "chain_unsubscribeFinalizedHeads");
	loop {
		let item = tokio::select! {
			item = tokio::time::timeout(STALLED, stream.next()) => item,
			() = heads.closed() => return,
		};
		let number = match item {
			Ok(Some(Ok(header))) => header.number(),
			Ok(Some(Err(e))) => Err(e),
			Ok(None) => return,
			Err(_) => {
				let last = heads.borrow().number;
				tracing::warn!("no new finalised block for {} s after block {last}", STALLED.as_secs());
				chain.rpc().rotate().await;
				stream =
					chain.rpc().subscribe("chain_subscribeFinalizedHeads", "chain_unsubscribeFinalizedHeads");
				continue;
			},
		};
		let head = match number {
			// A node that lags behind is no reason to go back.
			Ok(number) if number <= heads.borrow().number => continue,
			Ok(number) => match chain.block_hash(number).await {
				Ok(Some(hash)) => Head { number, hash },
				// The node restarted meanwhile and has not got there yet.
				Ok(None) => continue,
				Err(e) => {
					tracing::warn!("cannot follow finalised blocks: {e}");
					continue;
				},
			},
			Err(e) => {
				tracing::error!("cannot follow finalised blocks: {e}");
				tokio::time::sleep(Duration::from_secs(1)).await;
				continue;
			},
		};
		heads.send_replace(head);
	}
}

async fn follow_best(chain: Chain, best: watch::Sender<u32>) {
	let mut stream = chain.rpc().subscribe::<Header>("chain_subscribeNewHeads", "chain_unsubscribeNewHeads");
	loop {
		let item = tokio::select! {
			item = stream.next() => item,
			() = best.closed() => return,
		};
		match item {
			Some(Ok(header)) => {
				if let Ok(number) = header.number() {
					best.send_replace(number);
				}
			},
			Some(Err(e)) => tracing::warn!("cannot follow best blocks: {e}"),
			None => return,
		}
	}
}
