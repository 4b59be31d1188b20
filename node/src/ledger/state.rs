//! What the chain's state says about the ledger.

use super::{Batch, BlockNumber, Record};
use cairn_primitives::{ledger::BatchId, ArtifactHash, RecordId};
use cairn_runtime_api::ProvenanceApi;
use sp_api::ApiError;
use sp_core::{crypto::AccountId32, H256};
use sp_runtime::traits::Block as BlockT;
use std::marker::PhantomData;

/// The state of one block, as far as it is about the ledger.
pub trait LedgerState {
	/// Why there is no answer.
	type Error;

	/// How many records there are.
	fn record_count(&self) -> Result<RecordId, Self::Error>;
	/// How many batches there are.
	fn batch_count(&self) -> Result<BatchId, Self::Error>;
	/// A batch.
	fn batch(&self, id: BatchId) -> Result<Option<Batch>, Self::Error>;
	/// Batches by number, at most a page of them.
	fn batches(&self, ids: Vec<BatchId>) -> Result<Vec<Option<Batch>>, Self::Error>;
	/// The batch that a record is in.
	fn batch_of(&self, record: RecordId) -> Result<Option<(BatchId, Batch)>, Self::Error>;
	/// The roots of all batches of the block that appended `id`, and the number of the first.
	fn batches_beside(&self, id: BatchId) -> Result<Option<(BatchId, Vec<H256>)>, Self::Error>;
	/// The records of a programme's start.
	fn start_records(&self, id: BatchId) -> Result<Option<Vec<Record>>, Self::Error>;
	/// The first record of weights.
	fn weights_record(&self, weights: ArtifactHash) -> Result<Option<RecordId>, Self::Error>;
}

/// A runtime call that failed.
#[derive(Debug)]
pub struct ApiFailure {
	/// The runtime API and its method.
	pub call: &'static str,
	/// What the node says about it.
	pub error: ApiError,
}

/// The state of a block, asked through the runtime API.
pub struct StateAt<'a, Block, Api> {
	api: &'a Api,
	block: H256,
	marker: PhantomData<Block>,
}

impl<'a, Block, Api> StateAt<'a, Block, Api> {
	/// The state of this block.
	pub fn new(api: &'a Api, block: H256) -> Self {
		Self { api, block, marker: PhantomData }
	}
}

fn named<T>(call: &'static str, answer: Result<T, ApiError>) -> Result<T, ApiFailure> {
	answer.map_err(|error| ApiFailure { call, error })
}

impl<Block, Api> LedgerState for StateAt<'_, Block, Api>
where
	Block: BlockT<Hash = H256>,
	Api: ProvenanceApi<Block, AccountId32, BlockNumber>,
{
	type Error = ApiFailure;

	fn record_count(&self) -> Result<RecordId, ApiFailure> {
		named("ProvenanceApi_record_count", self.api.record_count(self.block))
	}

	fn batch_count(&self) -> Result<BatchId, ApiFailure> {
		named("ProvenanceApi_batch_count", self.api.batch_count(self.block))
	}

	fn batch(&self, id: BatchId) -> Result<Option<Batch>, ApiFailure> {
		named("ProvenanceApi_batch", self.api.batch(self.block, id))
	}

	fn batches(&self, ids: Vec<BatchId>) -> Result<Vec<Option<Batch>>, ApiFailure> {
		named("ProvenanceApi_batches", self.api.batches(self.block, ids))
	}

	fn batch_of(&self, record: RecordId) -> Result<Option<(BatchId, Batch)>, ApiFailure> {
		named("ProvenanceApi_batch_of", self.api.batch_of(self.block, record))
	}

	fn batches_beside(&self, id: BatchId) -> Result<Option<(BatchId, Vec<H256>)>, ApiFailure> {
		named("ProvenanceApi_batches_beside", self.api.batches_beside(self.block, id))
	}

	fn start_records(&self, id: BatchId) -> Result<Option<Vec<Record>>, ApiFailure> {
		named("ProvenanceApi_start_records", self.api.start_records(self.block, id))
	}

	fn weights_record(&self, weights: ArtifactHash) -> Result<Option<RecordId>, ApiFailure> {
		named("ProvenanceApi_weights_record", self.api.weights_record(self.block, weights))
	}
}
