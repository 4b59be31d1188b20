//! The provenance ledger as a node keeps it: the records of rounds, which are not in state but in the offchain index,
//! and an index over them by artifact, device and account.
//!
//! Nothing read from disk is believed: the records of a batch are those whose tree has the root that state names, and
//! where the index says that an artifact is, its record must be. What the index lacks or has wrong is an error and never
//! a wrong answer.

mod index;
mod indexer;
#[cfg(test)]
pub mod mock;
mod state;
#[cfg(test)]
mod tests;

pub use index::Owner;
#[cfg(test)]
pub use indexer::catch_up;
pub use indexer::follow;
pub use state::{ApiFailure, LedgerState, StateAt};

use cairn_primitives::{
	ledger::{self, BatchId, RecordProof},
	views::{LineagePage as LineagePageOf, RecordInfo as RecordInfoOf},
	ArtifactHash, RecordId, RecordKind, RecordRange,
};
use codec::DecodeAll;
use index::Index;
use sp_core::{
	crypto::AccountId32,
	offchain::{OffchainStorage, STORAGE_PREFIX},
	H256,
};

/// A block's number.
pub type BlockNumber = u32;
/// A record of this chain.
pub type Record = cairn_primitives::Record<AccountId32, BlockNumber>;
/// A batch of this chain.
pub type Batch = ledger::Batch<BlockNumber>;
/// A record with its number.
pub type RecordInfo = RecordInfoOf<AccountId32, BlockNumber>;
/// A page of records: of a lineage, or of a device's or account's.
pub type RecordPage = LineagePageOf<AccountId32, BlockNumber>;

/// How many of the newest batches are searched for an artifact that is not in the index. The index follows finality, so
/// these are the few that are not final yet.
const UNINDEXED: BatchId = 64;

/// Why the ledger has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadError<E> {
	/// The state could not be asked.
	State(E),
	/// The node lacks a batch's records.
	Missing {
		/// The batch.
		batch: BatchId,
		/// Its root.
		root: H256,
		/// The block that appended it.
		number: BlockNumber,
	},
	/// The node has something else in the place of a batch's records.
	Damaged {
		/// The batch.
		batch: BatchId,
		/// Its root.
		root: H256,
		/// The block that appended it.
		number: BlockNumber,
	},
	/// The index says that an artifact has a record which is one of something else.
	Misleading {
		/// The artifact.
		artifact: ArtifactHash,
		/// The record.
		record: RecordId,
	},
	/// The index has not caught up with the chain.
	Behind {
		/// How many batches it has.
		indexed: BatchId,
		/// How many there are.
		count: BatchId,
	},
}

impl<E> From<E> for ReadError<E> {
	fn from(error: E) -> Self {
		Self::State(error)
	}
}

/// The ledger in a node's database.
#[derive(Clone)]
pub struct Ledger<S> {
	storage: S,
	index: Index<S>,
}

impl<S: OffchainStorage> Ledger<S> {
	/// The ledger in this database.
	pub fn new(storage: S) -> Self {
		Self { index: Index::new(storage.clone()), storage }
	}

	/// The records of a batch, checked against its root.
	pub fn records<T: LedgerState>(
		&self,
		state: &T,
		id: BatchId,
		batch: &Batch,
	) -> Result<Vec<Record>, ReadError<T::Error>> {
		let Batch { root, block: number, .. } = *batch;
		let missing = || ReadError::Missing { batch: id, root, number };
		let damaged = || ReadError::Damaged { batch: id, root, number };
		let records = if batch.round.is_none() {
			state.start_records(id)?.ok_or_else(missing)?
		} else {
			let bytes = self.storage.get(STORAGE_PREFIX, &ledger::batch_key(&root)).ok_or_else(missing)?;
			Vec::decode_all(&mut &bytes[..]).map_err(|_| damaged())?
		};
		if batch.holds(&records) {
			Ok(records)
		} else {
			Err(damaged())
		}
	}

	/// A record by its number; `None` when the state has no such record.
	pub fn record<T: LedgerState>(
		&self,
		state: &T,
		id: RecordId,
	) -> Result<Option<Record>, ReadError<T::Error>> {
		Ok(Reader::new(self, state).record(id)?.cloned())
	}

	/// The number of the first record of an artifact; `None` when there is none. An artifact that is recorded as weights
	/// is found as weights.
	pub fn record_of<T: LedgerState>(
		&self,
		state: &T,
		artifact: &ArtifactHash,
	) -> Result<Option<RecordId>, ReadError<T::Error>> {
		if let Some(record) = state.weights_record(*artifact)? {
			return Ok(Some(record));
		}
		let mut reader = Reader::new(self, state);
		if let Some(id) = self.index.artifact(artifact) {
			return match reader.record(id)? {
				Some(record) if record.artifact == *artifact => Ok(Some(id)),
				Some(_) => Err(ReadError::Misleading { artifact: *artifact, record: id }),
				// Finalised, but after the block whose state is asked.
				None => Ok(None),
			};
		}
		// What is not final is not indexed.
		let (indexed, count) = (self.index.next_batch(), state.batch_count()?);
		if count.saturating_sub(indexed) > UNINDEXED {
			return Err(ReadError::Behind { indexed, count });
		}
		for id in indexed..count {
			if let Some(batch) = state.batch(id)? {
				let records = self.records(state, id, &batch)?;
				if let Some(place) = records.iter().position(|r| r.artifact == *artifact) {
					return Ok(Some(batch.first.saturating_add(place as RecordId)));
				}
			}
		}
		// It may be among those that the index could not read.
		match self.index.gap() {
			Some(gap) if gap < count => match state.batch(gap)? {
				Some(Batch { root, block: number, .. }) => {
					Err(ReadError::Missing { batch: gap, root, number })
				},
				None => Ok(None),
			},
			_ => Ok(None),
		}
	}

	/// A page of what record `from` came from, newest first, itself included: at most `limit` records, at least one.
	/// `None` when there is no such record.
	///
	/// The walk goes from weights to the last of their inputs, from an update to the one before it in the same round, and
	/// from the first update of a round to the base that all of them share. A page can therefore start at any record that
	/// an earlier page named.
	pub fn lineage<T: LedgerState>(
		&self,
		state: &T,
		from: RecordId,
		limit: u32,
	) -> Result<Option<RecordPage>, ReadError<T::Error>> {
		let mut reader = Reader::new(self, state);
		let mut records = Vec::new();
		let mut next = Some(from);
		while let Some(id) = next.filter(|_| records.is_empty() || records.len() < limit as usize) {
			let Some(record) = reader.record(id)?.cloned() else {
				if records.is_empty() {
					return Ok(None);
				}
				// Records with parents that do not exist are never appended.
				next = None;
				break;
			};
			next = reader.before(id, &record);
			records.push(RecordInfo { id, record });
		}
		Ok(Some(RecordPage { records, next }))
	}

	/// A page of what a device or an account made, newest first: at most `count` records, from record `from` or the one
	/// before it. What is not final is not among them.
	pub fn records_of<T: LedgerState>(
		&self,
		state: &T,
		owner: Owner,
		from: Option<RecordId>,
		count: u32,
	) -> Result<RecordPage, ReadError<T::Error>> {
		// What the block does not know yet is not there for whoever asks at it.
		let end = state.record_count()?.min(from.map_or(RecordId::MAX, |from| from.saturating_add(1)));
		let (ids, next) = self.index.page(owner, end, count);
		let mut reader = Reader::new(self, state);
		let mut records = Vec::with_capacity(ids.len());
		for id in ids {
			if let Some(record) = reader.record(id)? {
				records.push(RecordInfo { id, record: record.clone() });
			}
		}
		Ok(RecordPage { records, next })
	}

	/// The path from a record to the provenance root of its block; `None` when there is no such record.
	pub fn prove<T: LedgerState>(
		&self,
		state: &T,
		id: RecordId,
	) -> Result<Option<RecordProof<AccountId32, BlockNumber>>, ReadError<T::Error>> {
		let Some((batch_id, batch)) = state.batch_of(id)? else { return Ok(None) };
		let records = self.records(state, batch_id, &batch)?;
		let leaves: Vec<_> = ledger::record_hashes(batch.first, &records).collect();
		let proof = (|| {
			let place = batch.place(id)?;
			let in_batch = ledger::prove(&leaves, place)?;
			Some((in_batch, records.get(place as usize)?.clone()))
		})();
		let Some((in_batch, record)) = proof else { return Ok(None) };
		let Some((first, roots)) = state.batches_beside(batch_id)? else { return Ok(None) };
		let place = batch_id.saturating_sub(first) as u32;
		Ok(ledger::prove(&roots, place).map(|in_block| RecordProof { id, record, in_batch, in_block }))
	}
}

/// Reads records one after the other and keeps the batch of the last one, because neighbours come next.
struct Reader<'a, S, T> {
	ledger: &'a Ledger<S>,
	state: &'a T,
	batch: Option<(Batch, Vec<Record>)>,
}

impl<'a, S: OffchainStorage, T: LedgerState> Reader<'a, S, T> {
	fn new(ledger: &'a Ledger<S>, state: &'a T) -> Self {
		Self { ledger, state, batch: None }
	}

	fn record(&mut self, id: RecordId) -> Result<Option<&Record>, ReadError<T::Error>> {
		if !self.batch.as_ref().is_some_and(|(batch, _)| batch.contains(id)) {
			let Some((number, batch)) = self.state.batch_of(id)? else { return Ok(None) };
			let records = self.ledger.records(self.state, number, &batch)?;
			self.batch = Some((batch, records));
		}
		Ok(self.batch.as_ref().and_then(|(batch, records)| records.get(batch.place(id)? as usize)))
	}

	/// The record before `id`, the last one read, in the order of [`Ledger::lineage`].
	fn before(&self, id: RecordId, record: &Record) -> Option<RecordId> {
		match record.inputs {
			Some(RecordRange { first, count }) if count > 0 => {
				Some(first.saturating_add(count.into()).saturating_sub(1))
			},
			_ => {
				let place = self.batch.as_ref().and_then(|(batch, _)| batch.place(id));
				// What stands before an update in its batch is another update of the same round.
				match (record.kind, place) {
					(RecordKind::Update, Some(1..)) => id.checked_sub(1),
					_ => record.base,
				}
			},
		}
	}
}
