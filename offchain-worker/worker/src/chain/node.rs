//! What a transaction needs of a node.

use super::{
	errors::{read_pool_answer, PoolAnswer},
	submit::SeenEvent,
	Call, Chain, ChainError, Head, Refused, RpcError,
};
use crate::units;
use async_trait::async_trait;
use cairn_primitives::H256;
use serde::Deserialize;
use std::time::Duration;
use subxt::{
	config::{substrate::SubstrateConfig, DefaultExtrinsicParamsBuilder},
	error::DispatchError,
	events::Phase,
	ext::scale_value::Composite,
	utils::AccountId32,
};
use subxt_signer::sr25519::Keypair;
use tokio::time::sleep;

/// How a transaction in a block ended.
pub(crate) enum Outcome {
	/// With effect: what it caused, in order.
	Done(Vec<SeenEvent>),
	/// Without.
	Refused(Refused),
}

/// A node, and a key that signs.
#[async_trait]
pub(crate) trait Node: Send + Sync {
	/// The nonce of the account's next transaction, the pool's own counted in.
	async fn next_nonce(&self, account: &AccountId32) -> Result<u64, RpcError>;
	/// The account's nonce in a finalised block, if the node still has that state.
	async fn finalised_nonce(&self, head: Head, account: &AccountId32) -> Option<u64>;
	/// Signs a call, valid for `mortality` blocks after `birth`.
	async fn sign(&self, call: &Call, nonce: u64, birth: Head, mortality: u32)
		-> Result<Vec<u8>, ChainError>;
	/// Hands signed bytes to the pool. `None` when it took them.
	async fn send(&self, extrinsic: &[u8]) -> Result<Option<PoolAnswer>, RpcError>;
	/// The finalised block of this number, and the place in it, if it has these bytes.
	async fn find(&self, extrinsic: &[u8], number: u32) -> Result<Option<(Head, u32)>, ChainError>;
	/// How the transaction at this place ended.
	async fn outcome(&self, block: Head, index: u32) -> Result<Outcome, ChainError>;
}

/// The pause before a block is asked for again.
const PAUSE: Duration = Duration::from_millis(500);
/// After how many such pauses it is said, each time.
const SAID_EVERY: u32 = 60;

/// Whichever node answers.
pub(crate) struct LiveNode {
	chain: Chain,
	signer: Keypair,
}

#[derive(Deserialize)]
struct SignedBlock {
	block: Block,
}

#[derive(Deserialize)]
struct Block {
	extrinsics: Vec<String>,
}

impl LiveNode {
	pub(crate) fn new(chain: Chain, signer: Keypair) -> Self {
		Self { chain, signer }
	}
}

#[async_trait]
impl Node for LiveNode {
	async fn next_nonce(&self, account: &AccountId32) -> Result<u64, RpcError> {
		self.chain.rpc().request("system_accountNextIndex", [account.to_string()]).await
	}

	async fn finalised_nonce(&self, head: Head, account: &AccountId32) -> Option<u64> {
		let at = self.chain.at(head).await.ok()?;
		at.transactions().account_nonce(account).await.ok()
	}

	async fn sign(
		&self,
		call: &Call,
		nonce: u64,
		birth: Head,
		mortality: u32,
	) -> Result<Vec<u8>, ChainError> {
		// The pool checks signatures by the runtime of the best block, which an upgrade changes before it is finalised.
		let at = self.chain.at(self.chain.best().await?).await?;
		let params = DefaultExtrinsicParamsBuilder::<SubstrateConfig>::new()
			.nonce(nonce)
			.mortal_from_unchecked(mortality.into(), birth.number.into(), birth.hash)
			.build();
		let (pallet, name) = call.name();
		let metadata =
			|e: subxt::error::ExtrinsicError| ChainError::Metadata(format!("{pallet}.{name}: {e}"));
		let payload = call.payload();
		let transactions = at.transactions();
		let mut signable = transactions.create_signable_offline(&payload, params).map_err(metadata)?;
		let signed = signable.sign(&self.signer).map_err(metadata)?;
		Ok(signed.into_encoded())
	}

	async fn send(&self, extrinsic: &[u8]) -> Result<Option<PoolAnswer>, RpcError> {
		let sent: Result<H256, _> =
			self.chain.rpc().request("author_submitExtrinsic", [units::hex(extrinsic)]).await;
		match sent {
			Ok(_) => Ok(None),
			Err(RpcError::Call { code, message, data, .. }) => {
				Ok(Some(read_pool_answer(code, &message, data.as_deref())))
			},
			Err(e) => Err(e),
		}
	}

	async fn find(&self, extrinsic: &[u8], number: u32) -> Result<Option<(Head, u32)>, ChainError> {
		let bytes = units::hex(extrinsic);
		// Below the finalised head every node that has the block has the same one. One that lags has none yet; another node
		// may answer each request.
		let mut tries = 0u32;
		loop {
			if let Some(hash) = self.chain.block_hash(number).await? {
				let body: Option<SignedBlock> = self.chain.rpc().request("chain_getBlock", [hash]).await?;
				if let Some(SignedBlock { block }) = body {
					let position = block.extrinsics.iter().position(|x| *x == bytes);
					return Ok(position.map(|index| (Head { number, hash }, index as u32)));
				}
			}
			tries = tries.wrapping_add(1);
			if tries.is_multiple_of(SAID_EVERY) {
				tracing::warn!(
					"no node gives out block {number}, which is finalised: they lag, or keep no bodies of old blocks; name one with \
					 --node that does (--blocks-pruning archive-canonical)"
				);
			}
			sleep(PAUSE).await;
		}
	}

	async fn outcome(&self, block: Head, index: u32) -> Result<Outcome, ChainError> {
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
				return Ok(Outcome::Refused(Refused::from_dispatch(&error)));
			}
			seen.push(SeenEvent {
				pallet: event.pallet_name().to_string(),
				name: event.event_name().to_string(),
				fields: event.decode_fields_unchecked_as::<Composite<()>>().map_err(|e| unreadable(&e))?,
			});
		}
		Ok(Outcome::Done(seen))
	}
}
