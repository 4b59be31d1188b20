//! The provenance ledger as a node keeps it: the records of rounds, which are not in state but in the offchain index,
//! and an index over them by artifact, device, site, account and programme.
//!
//! Nothing read from disk is believed: the records of a batch are those whose tree has the root that state names, and
//! where the index says that an artifact is, its record must be. What the index lacks or has wrong is an error and never
//! a wrong answer.

mod checked;
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
pub use indexer::{follow, Metrics};
pub use state::{ApiFailure, LedgerState, StateAt};

use cairn_primitives::{
	ledger::{self, BatchId, RecordProof},
	views::{
		LineagePage as LineagePageOf, RecordInfo as RecordInfoOf, RecordsFrom as RecordsFromOf, MAX_PAGE,
	},
	ArtifactHash, ProgrammeId, RecordId, RecordKind, RecordRange,
};
use checked::Checked;
use codec::DecodeAll;
use index::Index;
use sp_core::{
	crypto::AccountId32,
	offchain::{OffchainStorage, STORAGE_PREFIX},
	H256,
};
use std::{collections::BTreeMap, sync::Arc};

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

/// A page of records in the order of the ledger.
pub type RecordsFrom = RecordsFromOf<AccountId32, BlockNumber>;

/// How many batches that the index lacks are read, for an artifact that it does not have or for the newest end of a list;
/// no more than a state tells of at once. The index follows finality, so these are the few that are not final yet. When
/// there are more, what lies in the index is still found and listed.
const UNINDEXED: BatchId = 64;

/// How many batches one call of [`Ledger::records_from`] looks at.
const MOST_BATCHES: usize = 64;

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
	/// The index names a record which is one of something else.
	Misleading {
		/// What it names it for.
		sought: String,
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
	/// A page of a lineage was to start at a record that is none of it.
	Astray {
		/// The record.
		cursor: RecordId,
		/// Whose lineage it is.
		origin: RecordId,
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
	checked: Checked,
}

impl<S: OffchainStorage> Ledger<S> {
	/// The ledger in this database.
	pub fn new(storage: S) -> Self {
		Self { index: Index::new(storage.clone()), storage, checked: Checked::default() }
	}

	/// The records of a batch, checked against its root.
	pub fn records<T: LedgerState>(
		&self,
		state: &T,
		id: BatchId,
		batch: &Batch,
	) -> Result<Arc<[Record]>, ReadError<T::Error>> {
		let Batch { root, block: number, .. } = *batch;
		if let Some(records) = self.checked.get(batch) {
			return Ok(records);
		}
		let missing = || ReadError::Missing { batch: id, root, number };
		let damaged = || ReadError::Damaged { batch: id, root, number };
		let records = if batch.round.is_none() {
			state.start_records(id)?.ok_or_else(missing)?
		} else {
			let bytes = self.storage.get(STORAGE_PREFIX, &ledger::batch_key(&root)).ok_or_else(missing)?;
			Vec::decode_all(&mut &bytes[..]).map_err(|_| damaged())?
		};
		if !batch.holds(&records) {
			return Err(damaged());
		}
		Ok(self.checked.keep(batch, records))
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
		// Before the index is searched: what it takes up meanwhile is searched twice, and not passed over.
		let indexed = self.index.next_batch();
		if let Some(id) = self.index.artifact(artifact) {
			return match reader.record(id)? {
				Some(record) if record.artifact == *artifact => Ok(Some(id)),
				Some(_) => {
					Err(ReadError::Misleading { sought: format!("artifact {artifact:?}"), record: id })
				},
				// Finalised, but after the block whose state is asked.
				None => Ok(None),
			};
		}
		let unindexed = self.unindexed(state, indexed)?;
		if let Some((id, _)) = numbered(&unindexed).find(|(_, record)| record.artifact == *artifact) {
			return Ok(Some(id));
		}
		// It may be among those that the index could not read.
		self.ensure_complete(state).map(|()| None)
	}

	/// The batches of a state that an index of `indexed` batches does not have, oldest first. It follows finality, so they
	/// are those that are not final, or that became so a moment ago. An error when they are so many that it must have fallen
	/// behind.
	fn unindexed<T: LedgerState>(
		&self,
		state: &T,
		indexed: BatchId,
	) -> Result<Vec<Numbered>, ReadError<T::Error>> {
		let count = state.batch_count()?;
		if count <= indexed {
			return Ok(Vec::new());
		}
		if count.saturating_sub(indexed) > UNINDEXED {
			return Err(ReadError::Behind { indexed, count });
		}
		let batches = state.batches((indexed..count).collect())?;
		let batches = (indexed..count).zip(batches).filter_map(|(id, batch)| Some((id, batch?)));
		batches
			.map(|(id, batch)| self.records(state, id, &batch).map(|records| (batch.first, records)))
			.collect()
	}

	/// Refuses to go on when there are batches that the index could not read: what it has of anything may be a part. To be
	/// asked after [`Index::next_batch`], because a batch that cannot be read is noted before it counts as indexed.
	fn ensure_complete<T: LedgerState>(&self, state: &T) -> Result<(), ReadError<T::Error>> {
		let Some(gap) = self.index.gap() else { return Ok(()) };
		match state.batch(gap)? {
			Some(Batch { root, block: number, .. }) => Err(ReadError::Missing { batch: gap, root, number }),
			// Finalised, but after the block whose state is asked.
			None => Ok(()),
		}
	}

	/// A page of what record `origin` came from, newest first: at most `limit` records, at least one, from `cursor` on, or
	/// from the record itself on. `None` when there is no record `origin`.
	///
	/// The walk goes from weights to the last of their inputs, from an update to the one before it in the same round, and
	/// from the first update of a round to the base that all of them share. An update as the origin leads to its base
	/// at once, because it did not come from the others. A page can therefore start at any record that an earlier page of
	/// the same lineage named.
	pub fn lineage<T: LedgerState>(
		&self,
		state: &T,
		origin: RecordId,
		cursor: Option<RecordId>,
		limit: u32,
	) -> Result<Option<RecordPage>, ReadError<T::Error>> {
		let mut reader = Reader::new(self, state);
		let mut records = Vec::new();
		let mut next = Some(origin);
		if let Some(cursor) = cursor.filter(|cursor| *cursor != origin) {
			let Some((_, own)) = state.batch_of(origin)? else { return Ok(None) };
			if !(cursor < origin && reader.may_lead_to(cursor, &own, origin)?) {
				return Err(ReadError::Astray { cursor, origin });
			}
			next = Some(cursor);
		}
		while let Some(id) = next.filter(|_| records.is_empty() || records.len() < limit as usize) {
			let Some(record) = reader.record(id)?.cloned() else {
				if records.is_empty() {
					return Ok(None);
				}
				// Records with parents that do not exist are never appended.
				next = None;
				break;
			};
			next = if id == origin && record.kind == RecordKind::Update {
				record.base
			} else {
				reader.before(id, &record)
			};
			records.push(RecordInfo { id, record });
		}
		Ok(Some(RecordPage { records, next }))
	}

	/// A page of what record `of` became, oldest first: at most `limit` records from record `start` on. `None` when there is
	/// no record `of`.
	///
	/// An update and a configuration become the weights that end their batch, and weights become all that was trained
	/// from them: every record of every later batch of their programme, because each of its rounds starts from what the
	/// one before it left.
	pub fn descendants<T: LedgerState>(
		&self,
		state: &T,
		of: RecordId,
		start: Option<RecordId>,
		limit: u32,
	) -> Result<Option<RecordsFrom>, ReadError<T::Error>> {
		let mut reader = Reader::new(self, state);
		let Some(origin) = reader.record(of)?.cloned() else { return Ok(None) };
		// What the block does not know yet is not there for whoever asks at it.
		let end = state.record_count()?;
		let indexed = self.index.next_batch();
		// What the index took up since is none of it: it may have passed over a batch that cannot be read.
		let begin = state.batch(indexed)?.map_or(end, |batch| batch.first.min(end));
		self.ensure_complete(state)?;
		let owner = Owner::Weights(origin.programme);
		// Read when the index has no more, because a page that lies in it needs none of them, however many they are.
		let mut unindexed: Option<Vec<Numbered>> = None;
		let mut first_from = |from: RecordId| -> Result<Option<RecordId>, ReadError<T::Error>> {
			let found = self.index.first_from(owner, from).filter(|id| *id < begin);
			if found.is_some() || begin == end {
				return Ok(found);
			}
			if unindexed.is_none() {
				unindexed = Some(self.unindexed(state, indexed)?);
			}
			let mut newest = numbered(unindexed.as_deref().unwrap_or_default());
			let found =
				newest.find(|(id, record)| *id >= from && index::owners(record).contains(&Some(owner)));
			Ok(found.map(|(id, _)| id))
		};
		let own = if origin.kind == RecordKind::Weights { None } else { first_from(of)? };
		let mut records = Vec::new();
		let mut from = start.unwrap_or(0).max(of.saturating_add(1));
		while let Some(weights) = first_from(from)?.filter(|weights| *weights < end) {
			let Some(first) = reader.batch_of(weights)?.map(|batch| batch.first) else { break };
			// Beside an update there are others of its round, which are none of its descendants.
			from = if own == Some(weights) { weights } else { from.max(first) };
			for id in from..=weights {
				if records.len() >= limit.max(1) as usize {
					return Ok(Some(RecordsFrom { records, next: Some(id) }));
				}
				let Some(record) = reader.record(id)?.cloned() else { break };
				if record.programme != origin.programme
					|| (id == weights) != (record.kind == RecordKind::Weights)
				{
					return Err(ReadError::Misleading { sought: owner.to_string(), record: id });
				}
				records.push(RecordInfo { id, record });
			}
			from = weights.saturating_add(1);
		}
		Ok(Some(RecordsFrom { records, next: None }))
	}

	/// Records in the order of the ledger, from record `start` on: at most `limit`, whole batches read at a time. Of
	/// `programme` alone when one is given. The number is that of the record after the last one looked at, which is `start`
	/// at the end of the ledger only: how many batches one call looks at is limited, too.
	pub fn records_from<T: LedgerState>(
		&self,
		state: &T,
		start: RecordId,
		programme: Option<ProgrammeId>,
		limit: u32,
	) -> Result<(Vec<RecordInfo>, RecordId), ReadError<T::Error>> {
		let count = state.record_count()?;
		let mut records = Vec::new();
		let mut next = start;
		for _ in 0..MOST_BATCHES {
			if next >= count || records.len() >= limit as usize {
				break;
			}
			let Some((id, batch)) = state.batch_of(next)? else { break };
			let end = batch.first.saturating_add(batch.count.into());
			if programme.is_none_or(|programme| programme == batch.programme) {
				let room = (limit as usize).saturating_sub(records.len());
				let listed = self.records(state, id, &batch)?;
				let listed = (batch.first..).zip(&*listed).filter(|(id, _)| *id >= next).take(room);
				records.extend(listed.map(|(id, record)| RecordInfo { id, record: record.clone() }));
				next = records.last().map_or(end, |last| last.id.saturating_add(1));
			} else {
				next = end;
			}
		}
		Ok((records, next))
	}

	/// A page of what a device or an account made, or was made at a site, newest first: at most `count` records, from
	/// record `from` or the one before it.
	pub fn records_of<T: LedgerState>(
		&self,
		state: &T,
		owner: Owner,
		from: Option<RecordId>,
		count: u32,
	) -> Result<RecordPage, ReadError<T::Error>> {
		// What the block does not know yet is not there for whoever asks at it.
		let end = state.record_count()?.min(from.map_or(RecordId::MAX, |from| from.saturating_add(1)));
		let indexed = self.index.next_batch();
		// Where that begins which the index lacks, whatever it takes up meanwhile. A page that lies before it needs none of
		// it, however much it is.
		let begin = state.batch(indexed)?.map_or(end, |batch| batch.first.min(end));
		let unindexed = if begin < end { self.unindexed(state, indexed)? } else { Vec::new() };
		self.ensure_complete(state)?;
		let mut newest = numbered(&unindexed)
			.rev()
			.filter(|(id, record)| *id < end && index::owners(record).contains(&Some(owner)));
		let mut records: Vec<_> = newest
			.by_ref()
			.take(count as usize)
			.map(|(id, record)| RecordInfo { id, record: record.clone() })
			.collect();
		if let Some((next, _)) = newest.next() {
			return Ok(RecordPage { records, next: Some(next) });
		}
		let (ids, next) = self.index.page(owner, begin, count.saturating_sub(records.len() as u32));
		let mut reader = Reader::new(self, state);
		// In the state's own words, but all of a page asked at once: they may be in as many batches as there are records.
		for ids in ids.chunks(MAX_PAGE as usize) {
			let places = self.index.batches_of(ids);
			let mut wanted: Vec<_> = places.iter().flatten().copied().collect();
			wanted.dedup();
			let batches = state.batches(wanted.clone())?;
			let mut batches: BTreeMap<_, _> = wanted
				.into_iter()
				.zip(batches)
				.filter_map(|(number, batch)| Some((number, batch?)))
				.collect();
			for (id, place) in ids.iter().copied().zip(places) {
				if reader.here(id).is_none() {
					if let Some((number, batch)) = place.and_then(|number| batches.remove_entry(&number)) {
						reader.enter(number, batch)?;
					}
				}
				match reader.record(id)? {
					Some(record) if index::owners(record).contains(&Some(owner)) => {
						records.push(RecordInfo { id, record: record.clone() });
					},
					Some(_) => return Err(ReadError::Misleading { sought: owner.to_string(), record: id }),
					// Appended after the block whose state is asked, which is not for this page.
					None => {},
				}
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

/// The records of a batch, and the number of the first.
type Numbered = (RecordId, Arc<[Record]>);

/// The records of batches with their numbers, in the order given.
fn numbered(batches: &[Numbered]) -> impl DoubleEndedIterator<Item = (RecordId, &Record)> {
	batches.iter().flat_map(|(first, records)| {
		records
			.iter()
			.enumerate()
			.map(move |(place, record)| (first.saturating_add(place as RecordId), record))
	})
}

/// Reads records one after the other and keeps the batch of the last one, because neighbours come next.
struct Reader<'a, S, T> {
	ledger: &'a Ledger<S>,
	state: &'a T,
	batch: Option<(Batch, Arc<[Record]>)>,
}

impl<'a, S: OffchainStorage, T: LedgerState> Reader<'a, S, T> {
	fn new(ledger: &'a Ledger<S>, state: &'a T) -> Self {
		Self { ledger, state, batch: None }
	}

	/// Reads on in a batch that the state has.
	fn enter(&mut self, number: BatchId, batch: Batch) -> Result<(), ReadError<T::Error>> {
		let records = self.ledger.records(self.state, number, &batch)?;
		self.batch = Some((batch, records));
		Ok(())
	}

	/// A record, if it is in the batch of the last one.
	fn here(&self, id: RecordId) -> Option<&Record> {
		let (batch, records) = self.batch.as_ref()?;
		records.get(batch.place(id)? as usize)
	}

	/// The batch that a record is in; reads on there.
	fn batch_of(&mut self, id: RecordId) -> Result<Option<&Batch>, ReadError<T::Error>> {
		if self.here(id).is_none() {
			let Some((number, batch)) = self.state.batch_of(id)? else { return Ok(None) };
			self.enter(number, batch)?;
		}
		Ok(self.batch.as_ref().map(|(batch, _)| batch))
	}

	fn record(&mut self, id: RecordId) -> Result<Option<&Record>, ReadError<T::Error>> {
		self.batch_of(id)?;
		Ok(self.here(id))
	}

	/// Whether record `id` may be in the lineage of `origin`, a later record in batch `own`, as far as their batches tell.
	fn may_lead_to(
		&mut self,
		id: RecordId,
		own: &Batch,
		origin: RecordId,
	) -> Result<bool, ReadError<T::Error>> {
		let Some(batch) = self.batch_of(id)? else { return Ok(false) };
		// In a batch, only the weights that end a round's come from what stands before them.
		let is_weights = own.round.is_some() && !own.contains(origin.saturating_add(1));
		Ok(batch.programme == own.programme && (batch.first != own.first || is_weights))
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
