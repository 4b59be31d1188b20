//! Keeps the index up with finality.

use super::{BlockNumber, Ledger, LedgerState, ReadError, StateAt};
use cairn_primitives::ledger::BatchId;
use cairn_runtime_api::ProvenanceApi;
use futures::StreamExt;
use sc_client_api::BlockchainEvents;
use sp_api::ProvideRuntimeApi;
use sp_blockchain::HeaderBackend;
use sp_core::{crypto::AccountId32, offchain::OffchainStorage, H256};
use sp_runtime::traits::Block as BlockT;
use std::sync::Arc;
use tokio::sync::watch;

/// Indexes what is final, now and as finality moves on, until the node stops. It works in the foreground of its thread
/// while it catches up, so it belongs on a blocking one. Says in `indexed` which finalised block it has come to.
pub async fn follow<Client, Block, S>(
	client: Arc<Client>,
	mut ledger: Ledger<S>,
	indexed: watch::Sender<H256>,
) where
	Block: BlockT<Hash = H256>,
	Client: BlockchainEvents<Block> + HeaderBackend<Block> + ProvideRuntimeApi<Block>,
	Client::Api: ProvenanceApi<Block, AccountId32, BlockNumber>,
	S: OffchainStorage,
{
	// Subscribed first, so that nothing is missed between the two.
	let mut finality = client.finality_notification_stream();
	let step = |ledger: &mut Ledger<S>, block: H256| {
		let api = client.runtime_api();
		if let Err(failure) = catch_up(ledger, &StateAt::<Block, _>::new(&*api, block)) {
			// The next finalised block is another chance, and everything is still to be had then.
			tracing::warn!(
				target: "cairn",
				"Cannot index the provenance ledger up to block {block:?}: {} failed: {}",
				failure.call,
				failure.error
			);
		}
		indexed.send_replace(block);
	};
	step(&mut ledger, client.info().finalized_hash);
	while let Some(notification) = finality.next().await {
		step(&mut ledger, notification.hash);
	}
}

/// Indexes every batch of a finalised state that is not indexed yet. Returns how many those were.
pub fn catch_up<S: OffchainStorage, T: LedgerState>(
	ledger: &mut Ledger<S>,
	state: &T,
) -> Result<BatchId, T::Error> {
	let (start, count) = (ledger.index.next_batch(), state.batch_count()?);
	for id in start..count {
		let Some(batch) = state.batch(id)? else { return Ok(id.saturating_sub(start)) };
		let records = match ledger.records(state, id, &batch) {
			Ok(records) => Some(records),
			Err(ReadError::State(error)) => return Err(error),
			Err(_) => {
				if ledger.index.gap().is_none() {
					tracing::warn!(
						target: "cairn",
						"This node does not have the provenance records of block {} (batch {id}): it did not execute the \
						 block, or its offchain index was off. It cannot serve them, nor find their artifacts; to have \
						 them, synchronise from the start with `--sync full`",
						batch.block
					);
				}
				None
			},
		};
		ledger.index.add(id, &batch, records.as_deref());
	}
	Ok(count.saturating_sub(start))
}
