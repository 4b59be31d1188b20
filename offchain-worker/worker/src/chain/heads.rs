//! Follows the finalised and the best head. The finalised one never goes back, whichever node reports it.

use super::{Chain, ChainError, RpcError};
use cairn_primitives::H256;
use futures::stream::{BoxStream, StreamExt};
use serde::Deserialize;
use std::time::Duration;
use tokio::{
	sync::watch,
	time::{interval, Instant, MissedTickBehavior},
};

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

/// How often the node in use is looked at in the time that it may bring nothing new.
const LOOKS: u32 = 6;

impl Heads {
	/// Starts following. The tasks end when all receivers are dropped, or when no node answers for as long as the
	/// settings allow.
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

/// A subscription to headers that goes on for ever: when every node is on another chain, that is said, and they are
/// asked again later. It ends only when a command's patience does.
struct Following {
	chain: Chain,
	methods: (&'static str, &'static str),
	stream: BoxStream<'static, Result<Header, RpcError>>,
}

impl Following {
	fn new(chain: Chain, subscribe: &'static str, unsubscribe: &'static str) -> Self {
		let stream = chain.rpc().subscribe(subscribe, unsubscribe);
		Self { chain, methods: (subscribe, unsubscribe), stream }
	}

	fn again(&mut self) {
		self.stream = self.chain.rpc().subscribe(self.methods.0, self.methods.1);
	}

	/// The number of the next header. `None` when patience has run out.
	async fn next(&mut self) -> Option<u32> {
		loop {
			let error = match self.stream.next().await {
				Some(Ok(header)) => match header.number() {
					Ok(number) => return Some(number),
					Err(e) => e,
				},
				Some(Err(RpcError::Unreachable { .. })) => return None,
				Some(Err(e)) => e,
				None => {
					self.again();
					continue;
				},
			};
			tracing::error!("cannot follow the chain: {error}");
			tokio::time::sleep(self.chain.rpc().longest_pause()).await;
		}
	}
}

async fn follow_finalised(chain: Chain, heads: watch::Sender<Head>) {
	let mut headers =
		Following::new(chain.clone(), "chain_subscribeFinalizedHeads", "chain_unsubscribeFinalizedHeads");
	let stalled = chain.rpc().stalled();
	// Since when the node in use has brought nothing new, and when one was last left for that.
	let (mut since, mut left) = (Instant::now(), None::<Instant>);
	let mut looks = interval((stalled / LOOKS).max(Duration::from_millis(1)));
	looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
	loop {
		tokio::select! {
			next = headers.next() => {
				let Some(number) = next else { return };
				let last = heads.borrow().number;
				// A node that lags behind is no reason to go back, and what it says is no sign that it gets on.
				if number <= last {
					continue;
				}
				match chain.block_hash(number).await {
					Ok(Some(hash)) => {
						heads.send_replace(Head { number, hash });
						since = Instant::now();
					},
					// The node restarted meanwhile and has not got there yet.
					Ok(None) => {},
					Err(e) => tracing::warn!("cannot follow finalised blocks: {e}"),
				}
			},
			_ = looks.tick() => {
				let asked = Instant::now();
				let syncing = chain.rpc().has_others() && chain.is_syncing().await.unwrap_or(false);
				// While no node answered, none was slow.
				since += asked.elapsed();
				let last = heads.borrow().number;
				if since.elapsed() >= stalled {
					tracing::warn!("no new finalised block for {} s after block {last}", stalled.as_secs());
				} else if syncing && left.is_none_or(|at| at.elapsed() >= stalled) {
					tracing::warn!("the node is still catching up after block {last}: going to the next");
				} else {
					continue;
				}
				chain.rpc().rotate();
				headers.again();
				since = Instant::now();
				left = Some(since);
			},
			() = heads.closed() => return,
		}
	}
}

async fn follow_best(chain: Chain, best: watch::Sender<u32>) {
	let mut headers = Following::new(chain, "chain_subscribeNewHeads", "chain_unsubscribeNewHeads");
	loop {
		tokio::select! {
			next = headers.next() => match next {
				Some(number) => drop(best.send_replace(number)),
				None => return,
			},
			() = best.closed() => return,
		}
	}
}
