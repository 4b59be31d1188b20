//! Sends transactions of one account and follows each to finality, across reorganisations, restarts of the node and
//! restarts of the worker.
//!
//! Signed bytes are written to the journal before they are sent, so that after any interruption the *same* bytes are
//! sent again; a transaction pool and a chain take them at most once. Whether a transaction landed is read from
//! finalised blocks, never from what a node promised. A transaction that can no longer land is reported as
//! [`SubmitError::Lost`]: the caller looks at the finalised state and decides anew.

use super::{
	errors::{cannot_pay, read_pool_answer, PoolAnswer},
	AtBlock, Call, Chain, ChainError, Head, Heads, Refused, RpcError,
};
use crate::{
	journal::{JournalError, SentLog, SentTx},
	units,
};
use cairn_primitives::H256;
use serde::Deserialize;
use std::{sync::Arc, time::Duration};
use subxt::{
	config::{substrate::SubstrateConfig, DefaultExtrinsicParamsBuilder},
	error::DispatchError,
	events::Phase,
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
const ATTEMPTS: u32 = 5;

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

/// Sends the transactions of one account. There must be only one per account in a process; share it.
pub struct Submitter {
	chain: Chain,
	heads: Heads,
	signer: Keypair,
	account: AccountId32,
	log: Arc<dyn SentLog>,
	/// Held from asking for the nonce until the pool has the transaction.
	nonce: Mutex<()>,
}

#[derive(Deserialize)]
struct SignedBlock {
	block: Block,
}

#[derive(Deserialize)]
struct Block {
	extrinsics: Vec<String>,
}

impl Submitter {
	/// A sender for the account of `signer`, which keeps track of its transactions in `log`.
	pub fn new(chain: Chain, heads: Heads, signer: Keypair, log: Arc<dyn SentLog>) -> Self {
		let account = AccountId32(signer.public_key().0);
		Self { chain, heads, signer, account, log, nonce: Mutex::new(()) }
	}

	/// The account.
	pub fn account(&self) -> &AccountId32 {
		&self.account
	}

	/// Sends `call` and waits until it is finalised. `key` names what it is for: a transaction that was sent for the
	/// same key earlier, even by an earlier process, is taken up again instead of making a second one.
	///
	/// # Errors
	/// [`SubmitError`]; after [`SubmitError::Lost`] it is safe to look at the chain and call again.
	pub async fn submit(&self, key: &str, call: &Call) -> Result<Landed, SubmitError> {
		let pending = self.log.pending(key).filter(|tx| self.heads.finalised_now().number < tx.death);
		let tx = match pending {
			Some(tx) => {
				tracing::debug!("taking up {key} with nonce {} again", tx.nonce);
				self.resend(&tx).await?;
				tx
			},
			None => self.sign_and_send(key, call).await?,
		};
		let outcome = self.track(&tx, &name(call)).await;
		match &outcome {
			Ok(landed) => self.log.closed(key, Some(landed.block))?,
			Err(SubmitError::Refused { block, .. }) => self.log.closed(key, Some(*block))?,
			Err(SubmitError::Lost { .. } | SubmitError::CannotPay(_)) => self.log.closed(key, None)?,
			Err(_) => {},
		}
		outcome
	}

	async fn next_nonce(&self) -> Result<u64, RpcError> {
		self.chain.rpc().request("system_accountNextIndex", [self.account.to_string()]).await
	}

	/// The account's nonce in a finalised block, if the node still has that state.
	async fn finalised_nonce(&self, head: Head) -> Option<u64> {
		let at = self.chain.at(head).await.ok()?;
		at.transactions().account_nonce(&self.account).await.ok()
	}

	async fn sign_and_send(&self, key: &str, call: &Call) -> Result<SentTx, SubmitError> {
		let mut reason = String::new();
		for attempt in 0..ATTEMPTS {
			if attempt > 0 {
				sleep(Duration::from_millis(500) * attempt).await;
			}
			let _one_at_a_time = self.nonce.lock().await;
			let head = self.heads.finalised_now();
			let tx = self.sign(key, call, self.chain.at(head).await?, head).await?;
			self.log.sent(&tx)?;
			match self.send(&tx).await? {
				None | Some(PoolAnswer::AlreadyThere) => return Ok(tx),
				Some(PoolAnswer::CannotPay) => {
					self.log.closed(key, None)?;
					return Err(self.cannot_pay());
				},
				Some(PoolAnswer::Never(why)) => {
					self.log.closed(key, None)?;
					return Err(SubmitError::NotTaken { call: name(call), reason: why });
				},
				Some(PoolAnswer::Stale) => reason = "its nonce was used meanwhile".into(),
				Some(PoolAnswer::SignAgain) => reason = "it had to be signed again".into(),
				Some(PoolAnswer::Later(why)) => reason = why,
			}
			self.log.closed(key, None)?;
		}
		Err(SubmitError::Lost { call: name(call), reason })
	}

	async fn sign(&self, key: &str, call: &Call, at: AtBlock, head: Head) -> Result<SentTx, SubmitError> {
		let nonce = self.next_nonce().await?;
		let params = DefaultExtrinsicParamsBuilder::<SubstrateConfig>::new()
			.nonce(nonce)
			.mortal_from_unchecked(MORTALITY.into(), head.number.into(), head.hash)
			.build();
		let payload = call.payload();
		let metadata = |e: subxt::error::ExtrinsicError| ChainError::Metadata(format!("{}: {e}", name(call)));
		let transactions = at.transactions();
		let mut signable = transactions.create_signable_offline(&payload, params).map_err(metadata)?;
		let signed = signable.sign(&self.signer).map_err(metadata)?;
		Ok(SentTx {
			key: key.to_string(),
			extrinsic: signed.into_encoded(),
			nonce,
			birth: head.number,
			death: head.number.saturating_add(MORTALITY),
		})
	}

	/// Sends the bytes. `None` when the pool took them.
	async fn send(&self, tx: &SentTx) -> Result<Option<PoolAnswer>, RpcError> {
		let sent: Result<H256, _> =
			self.chain.rpc().request("author_submitExtrinsic", [units::hex(&tx.extrinsic)]).await;
		match sent {
			Ok(_) => Ok(None),
			Err(RpcError::Call { code, message, data, .. }) => {
				Ok(Some(read_pool_answer(code, &message, data.as_deref())))
			},
			Err(e) => Err(e),
		}
	}

	/// Sends bytes again that were sent before. Whatever the pool says is only a hint here.
	async fn resend(&self, tx: &SentTx) -> Result<Option<PoolAnswer>, RpcError> {
		let _one_at_a_time = self.nonce.lock().await;
		self.send(tx).await
	}

	/// Looks for the transaction in every finalised block from its birth to its death.
	async fn track(&self, tx: &SentTx, call: &str) -> Result<Landed, SubmitError> {
		let bytes = units::hex(&tx.extrinsic);
		let lost = |reason: &str| SubmitError::Lost { call: call.to_string(), reason: reason.to_string() };
		let mut finalised = self.heads.finalised.clone();
		let mut next = tx.birth + 1;
		let mut quiet = 0;
		loop {
			let head = *finalised.borrow_and_update();
			while next <= head.number.min(tx.death) {
				if let Some((block, index)) = self.find(&bytes, next).await? {
					return self.outcome(block, index, call).await;
				}
				next += 1;
				quiet += 1;
			}
			if head.number >= tx.death {
				return Err(lost("it was not taken into a block in time"));
			}
			if quiet >= RESEND_EVERY {
				quiet = 0;
				if self.finalised_nonce(head).await.is_some_and(|n| n > tx.nonce) {
					return Err(lost("another transaction of the account used its nonce"));
				}
				match self.resend(tx).await? {
					None | Some(PoolAnswer::AlreadyThere) => {},
					Some(PoolAnswer::CannotPay) => return Err(self.cannot_pay()),
					// In a block that is not finalised yet, or gone for good.
					Some(answer) => {
						if self.next_nonce().await? <= tx.nonce {
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

	/// The finalised block of this number, and the place in it, if it has the transaction.
	async fn find(&self, bytes: &str, number: u32) -> Result<Option<(Head, u32)>, SubmitError> {
		// Below the finalised head every node that has the block has the same one; one that lags has none yet.
		let hash = loop {
			match self.chain.block_hash(number).await? {
				Some(hash) => break hash,
				None => sleep(Duration::from_millis(500)).await,
			}
		};
		let body: Option<SignedBlock> = self.chain.rpc().request("chain_getBlock", [hash]).await?;
		let position = body.and_then(|b| b.block.extrinsics.iter().position(|x| x == bytes));
		Ok(position.map(|index| (Head { number, hash }, index as u32)))
	}

	async fn outcome(&self, block: Head, index: u32, call: &str) -> Result<Landed, SubmitError> {
		let at = self.chain.at(block).await?;
		let unreadable = |e: &dyn std::fmt::Display| {
			ChainError::Metadata(format!("events of block {}: {e}", block.number))
		};
		let events = at.events().fetch().await.map_err(|e| unreadable(&e))?;
		let mut seen = Vec::new();
		for event in events.iter() {
			let event = event.map_err(|e| unreadable(&e))?;
			if event.phase() != Phase::ApplyExtrinsic(index) {
				continue;
			}
			if event.pallet_name() == "System" && event.event_name() == "ExtrinsicFailed" {
				let error = DispatchError::decode_from(event.field_bytes(), at.metadata())
					.map_err(|e| unreadable(&e))?;
				let refused = Refused::from_dispatch(&error);
				return Err(SubmitError::Refused { call: call.to_string(), block: block.number, refused });
			}
			seen.push(SeenEvent {
				pallet: event.pallet_name().to_string(),
				name: event.event_name().to_string(),
				fields: event.decode_fields_unchecked_as::<Composite<()>>().map_err(|e| unreadable(&e))?,
			});
		}
		Ok(Landed { block: block.number, block_hash: block.hash, events: seen })
	}

	fn cannot_pay(&self) -> SubmitError {
		SubmitError::CannotPay(cannot_pay(&self.account, &self.chain.genesis()))
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
