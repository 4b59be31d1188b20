//! Keeps the index up with finality.

use super::{ApiFailure, BlockNumber, Ledger, LedgerState, ReadError, StateAt};
use cairn_primitives::{ledger::BatchId, RecordId};
use cairn_runtime_api::ProvenanceApi;
use futures::StreamExt;
use sc_client_api::BlockchainEvents;
use sp_api::ProvideRuntimeApi;
use sp_blockchain::HeaderBackend;
use sp_core::{crypto::AccountId32, offchain::OffchainStorage, H256};
use sp_runtime::traits::Block as BlockT;
use std::sync::Arc;
use substrate_prometheus_endpoint::{register, Gauge, PrometheusError, Registry, U64};
use tokio::sync::watch;

/// How far the index has come, for whoever watches over the node.
pub struct Metrics {
	indexed: Gauge<U64>,
	finalised: Gauge<U64>,
	first_missing: Gauge<U64>,
}

impl Metrics {
	/// Gauges in this registry.
	pub fn register(registry: &Registry) -> Result<Self, PrometheusError> {
		let gauge = |name: &'static str, help: &'static str| -> Result<Gauge<U64>, PrometheusError> {
			register(Gauge::new(name, help)?, registry)
		};
		Ok(Self {
			indexed: gauge(
				"cairn_provenance_batches_indexed",
				"Batches of records that the index has followed",
			)?,
			finalised: gauge(
				"cairn_provenance_batches_finalised",
				"Batches of records that the newest finalised state has",
			)?,
			first_missing: gauge(
				"cairn_provenance_first_missing_batch",
				"The first batch whose records this node lacks; 0 when it has all of them",
			)?,
		})
	}
}

/// Indexes what is final, now and as finality moves on, until the node stops. It works in the foreground of its thread
/// while it catches up, so it belongs on a blocking one. Says in `indexed` how many records are final, as far as it has
/// come.
pub async fn follow<Client, Block, S>(
	client: Arc<Client>,
	mut ledger: Ledger<S>,
	indexed: watch::Sender<RecordId>,
	metrics: Option<Metrics>,
) where
	Block: BlockT<Hash = H256>,
	Client: BlockchainEvents<Block> + HeaderBackend<Block> + ProvideRuntimeApi<Block>,
	Client::Api: ProvenanceApi<Block, AccountId32, BlockNumber>,
	S: OffchainStorage,
{
	// Subscribed first, so that nothing is missed between the two.
	let mut finality = client.finality_notification_stream();
	let mut is_failing = false;
	let mut step = |ledger: &mut Ledger<S>, block: H256| {
		let api = client.runtime_api();
		let state = StateAt::<Block, _>::new(&*api, block);
		let records = state.batch_count().and_then(|batches| {
			let report = |ledger: &Ledger<S>| {
				if let Some(metrics) = &metrics {
					metrics.indexed.set(ledger.index.next_batch());
					metrics.finalised.set(batches);
					metrics.first_missing.set(ledger.index.gap().unwrap_or_default());
				}
			};
			// Before, too: the first time it may take long.
			report(ledger);
			catch_up(ledger, &state)?;
			report(ledger);
			state.record_count()
		});
		match records {
			Ok(records) => {
				is_failing = false;
				indexed.send_if_modified(|count| std::mem::replace(count, records) != records);
			},
			// The next finalised block is another chance, and everything is still to be had then. It is said once: a node
			// that synchronises with `--sync warp` has no state until all of it has come.
			Err(ApiFailure { call, error }) if !is_failing => {
				is_failing = true;
				tracing::warn!(
					target: "cairn",
					"Cannot index the provenance ledger up to block {block:?}: {call} failed: {error}. It is tried again \
					 with each finalised block; with `--sync warp` there is no state until it has been fetched"
				);
			},
			Err(_) => {},
		}
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
