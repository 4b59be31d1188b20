//! Sends transactions of one account and follows each to finality, across reorganisations, restarts of the node and
//! restarts of the worker.
//!
//! Signed bytes are written to the journal before they are sent, so that after any interruption the *same* bytes are
//! sent again; a transaction pool and a chain take them at most once. Whether a transaction landed is read from
//! finalised blocks, never from what a node promised. A transaction that can no longer land is reported as
//! [`SubmitError::Lost`]: the caller looks at the finalised state and decides anew.

use super::{
	errors::{cannot_pay, PoolAnswer},
	node::{LiveNode, Node, Outcome},
	Call, Chain, ChainError, Heads, Refused, RpcError,
};
use crate::journal::{JournalError, SentLog, SentTx};
use cairn_primitives::H256;
use std::{
	sync::{
		atomic::{AtomicU64, Ordering},
		Arc,
	},
	time::Duration,
};
use subxt::{
	ext::scale_value::{At, Composite},
	utils::AccountId32,
};
use subxt_signer::sr25519::Keypair;
use tokio::{sync::Mutex, time::sleep};

/// How many blocks a transaction may wait. A power of two, so that the birth block is exact.
const MORTALITY: u32 = 64;
/// After how many finalised blocks without it the transaction is sent again.
const RESEND_EVERY: u32 = 3;
/// How often a transaction that the pool does not take is tried.
const ATTEMPTS: u32 = 6;
/// The first pause between those attempts; each is longer by as much.
const PAUSE: Duration = Duration::from_millis(500);

/// A transaction in a finalised block, with effect.
#[derive(Clone, Debug)]
pub struct Landed {
	/// Number of the block.
	pub block: u32,
	/// Its hash.
	pub block_hash: H256,
	/// What it caused, in order.
	pub events: Vec<SeenEvent>,
}

/// One event.
#[derive(Clone, Debug)]
pub struct SeenEvent {
	/// The pallet.
	pub pallet: String,
	/// The event.
	pub name: String,
	/// Its fields, by name.
	pub fields: Composite<()>,
}

impl Landed {
	/// A numeric field of an event, if the transaction caused it.
	pub fn number(&self, pallet: &str, event: &str, field: &str) -> Option<u128> {
		let found = self.events.iter().find(|e| e.pallet == pallet && e.name == event)?;
		found.fields.at(field)?.as_u128()
	}
}

/// Why a transaction has had no effect.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
	/// It is in a finalised block, and the chain refused the call.
	#[error("{call} was refused in block {block}: {refused}")]
	Refused {
		/// Pallet and call.
		call: String,
		/// Number of the block.
		block: u32,
		/// Why.
		refused: Refused,
	},
	/// The account cannot pay the fee.
	#[error("{0}")]
	CannotPay(String),
	/// The node will not take it, and trying again is no use.
	#[error("the node does not take {call}: {reason}")]
	NotTaken {
		/// Pallet and call.
		call: String,
		/// What the node said.
		reason: String,
	},
	/// It is in no finalised block and will not get into one. Look at the chain's state and try again.
	#[error("{call} got lost on the way ({reason}); it is tried again if it is still needed")]
	Lost {
		/// Pallet and call.
		call: String,
		/// What is known.
		reason: String,
	},
	/// The chain could not be read.
	#[error(transparent)]
	Chain(#[from] ChainError),
	/// The journal could not be written; nothing was sent.
	#[error(transparent)]
	Journal(#[from] JournalError),
}

impl From<RpcError> for SubmitError {
	fn from(e: RpcError) -> Self {
		Self::Chain(e.into())
	}
}

impl SubmitError {
	/// Whether the chain refused the call with this error.
	pub fn is_refusal(&self, pallet: &str, name: &str) -> bool {
		matches!(self, Self::Refused { refused, .. } if refused.is(pallet, name))
	}
}

/// What became of an account's transactions since the process started.
#[derive(Debug, Default)]
pub struct TxCounts {
	signed: AtomicU64,
	resent: AtomicU64,
	landed: AtomicU64,
	refused: AtomicU64,
	lost: AtomicU64,
	not_taken: AtomicU64,
}

impl TxCounts {
	fn one(counter: &AtomicU64) {
		// Only ever read for display: no order between counters is promised.
		counter.fetch_add(1, Ordering::Relaxed);
	}

	/// Each count with its name, as the metrics call it.
	pub fn all(&self) -> [(&'static str, u64); 6] {
		[
			("signed", &self.signed),
			("resent", &self.resent),
			("landed", &self.landed),
			("refused", &self.refused),
			("lost", &self.lost),
			("not_taken", &self.not_taken),
		]
		.map(|(name, counter)| (name, counter.load(Ordering::Relaxed)))
	}
}

/// Sends the transactions of one account. There must be only one per account in a process; share it.
pub struct Submitter {
	node: Arc<dyn Node>,
	genesis: H256,
	heads: Heads,
	account: AccountId32,
	log: Arc<dyn SentLog>,
	counts: Arc<TxCounts>,
	/// Held from asking for the nonce until the pool has the transaction.
	nonce: Mutex<()>,
}

impl Submitter {
	/// A sender for the account of `signer`, which keeps track of its transactions in `log`.
	pub fn new(chain: Chain, heads: Heads, signer: Keypair, log: Arc<dyn SentLog>) -> Self {
		let account = AccountId32(signer.public_key().0);
		let genesis = chain.genesis();
		Self::over(Arc::new(LiveNode::new(chain, signer)), genesis, heads, account, log)
	}

	/// A sender over any node that signs for `account`.
	pub(crate) fn over(
		node: Arc<dyn Node>,
		genesis: H256,
		heads: Heads,
		account: AccountId32,
		log: Arc<dyn SentLog>,
	) -> Self {
		Self { node, genesis, heads, account, log, counts: Arc::default(), nonce: Mutex::new(()) }
	}

	/// The account.
	pub fn account(&self) -> &AccountId32 {
		&self.account
	}

	/// What became of its transactions.
	pub fn counts(&self) -> Arc<TxCounts> {
		self.counts.clone()
	}

	/// Sends `call` and waits until it is finalised. `key` names what it is for: a transaction that was sent for the
	/// same key earlier, even by an earlier process, is taken up again instead of making a second one.
	///
	/// # Errors
	/// [`SubmitError`]; after [`SubmitError::Lost`] it is safe to look at the chain and call again.
	pub async fn submit(&self, key: &str, call: &Call) -> Result<Landed, SubmitError> {
		let outcome = self.send_and_track(key, call).await;
		match &outcome {
			Ok(landed) => {
				TxCounts::one(&self.counts.landed);
				self.log.closed(key, Some(landed.block))?;
			},
			Err(SubmitError::Refused { block, .. }) => {
				TxCounts::one(&self.counts.refused);
				self.log.closed(key, Some(*block))?;
			},
			Err(SubmitError::Lost { .. }) => {
				TxCounts::one(&self.counts.lost);
				self.log.closed(key, None)?;
			},
			Err(SubmitError::CannotPay(_) | SubmitError::NotTaken { .. }) => {
				TxCounts::one(&self.counts.not_taken);
				self.log.closed(key, None)?;
			},
			Err(_) => {},
		}
		outcome
	}

	async fn send_and_track(&self, key: &str, call: &Call) -> Result<Landed, SubmitError> {
		let tx = match self.log.pending(key) {
			Some(tx) => {
				tracing::debug!("taking up {key} with nonce {} again", tx.nonce);
				// One that is too old may have landed all the same: whoever asks may not have seen that yet.
				if self.heads.finalised_now().number < tx.death {
					self.resend(&tx).await?;
				}
				tx
			},
			None => self.sign_and_send(key, call).await?,
		};
		self.track(&tx, &name(call)).await
	}

	async fn sign_and_send(&self, key: &str, call: &Call) -> Result<SentTx, SubmitError> {
		let mut reason = String::new();
		for attempt in 0..ATTEMPTS {
			if attempt > 0 {
				// A runtime upgrade is in the best block some blocks before it is finalised; this outlasts that.
				sleep(PAUSE * attempt).await;
			}
			let _one_at_a_time = self.nonce.lock().await;
			let birth = self.heads.finalised_now();
			let nonce = self.node.next_nonce(&self.account).await?;
			let tx = SentTx {
				key: key.to_string(),
				extrinsic: self.node.sign(call, nonce, birth, MORTALITY).await?,
				nonce,
				birth: birth.number,
				death: birth.number.saturating_add(MORTALITY),
			};
			self.log.sent(&tx)?;
			TxCounts::one(&self.counts.signed);
			let answer = match self.node.send(&tx.extrinsic).await? {
				None | Some(PoolAnswer::AlreadyThere) => return Ok(tx),
				Some(PoolAnswer::CannotPay) => return Err(self.cannot_pay()),
				Some(PoolAnswer::Never(reason)) => {
					return Err(SubmitError::NotTaken { call: name(call), reason });
				},
				Some(answer) => answer,
			};
			// The nonce is used, perhaps by these very bytes: they are sent once more when the connection is lost before
			// the answer comes. The chain will show whose it was; signing anew now could do the same thing twice.
			if self.node.next_nonce(&self.account).await? > tx.nonce {
				return Ok(tx);
			}
			reason = match answer {
				PoolAnswer::Stale => "its nonce was used meanwhile".into(),
				PoolAnswer::Later(why) => why,
				_ => "it had to be signed again".into(),
			};
			self.log.closed(key, None)?;
		}
		Err(SubmitError::Lost { call: name(call), reason })
	}

	/// Sends bytes again that were sent before. Whatever the pool says is only a hint here.
	async fn resend(&self, tx: &SentTx) -> Result<Option<PoolAnswer>, RpcError> {
		let _one_at_a_time = self.nonce.lock().await;
		TxCounts::one(&self.counts.resent);
		self.node.send(&tx.extrinsic).await
	}

	/// Looks for the transaction in every finalised block from its birth to its death.
	async fn track(&self, tx: &SentTx, call: &str) -> Result<Landed, SubmitError> {
		let lost = |reason: &str| SubmitError::Lost { call: call.to_string(), reason: reason.to_string() };
		let mut finalised = self.heads.finalised.clone();
		let mut next = tx.birth + 1;
		let mut quiet = 0;
		loop {
			let head = *finalised.borrow_and_update();
			while next <= head.number.min(tx.death) {
				if let Some((block, index)) = self.node.find(&tx.extrinsic, next).await? {
					return match self.node.outcome(block, index).await? {
						Outcome::Done(events) => {
							Ok(Landed { block: block.number, block_hash: block.hash, events })
						},
						Outcome::Refused(refused) => {
							Err(SubmitError::Refused { call: call.to_string(), block: block.number, refused })
						},
					};
				}
				next += 1;
				quiet += 1;
			}
			if head.number >= tx.death {
				return Err(lost("it was not taken into a block in time"));
			}
			if quiet >= RESEND_EVERY {
				quiet = 0;
				if self.node.finalised_nonce(head, &self.account).await.is_some_and(|n| n > tx.nonce) {
					return Err(lost("another transaction of the account used its nonce"));
				}
				match self.resend(tx).await? {
					None | Some(PoolAnswer::AlreadyThere) => {},
					Some(PoolAnswer::CannotPay) => return Err(self.cannot_pay()),
					// In a block that is not finalised yet, or gone for good.
					Some(answer) => {
						if self.node.next_nonce(&self.account).await? <= tx.nonce {
							return Err(lost(&format!("the node dropped it: {answer:?}")));
						}
					},
				}
			}
			if finalised.changed().await.is_err() {
				return Err(lost("the worker no longer follows the chain"));
			}
		}
	}

	fn cannot_pay(&self) -> SubmitError {
		SubmitError::CannotPay(cannot_pay(&self.account, &self.genesis))
	}
}

fn name(call: &Call) -> String {
	let (pallet, call) = call.name();
	format!("{pallet}.{call}")
}

impl std::fmt::Debug for Submitter {
	fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
		write!(f, "Submitter({})", self.account)
	}
}

#[cfg(test)]
mod tests;
