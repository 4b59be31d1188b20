//! A ledger for tests: programmes whose rounds take turns and all have the same number of updates.

use super::*;
use cairn_primitives::RecordRange;
use std::convert::Infallible;

/// The device of every update.
pub const DEVICE: u32 = 3;
/// And where it stands.
pub const SITE: u32 = 5;

/// The account of every update: Alice's.
pub fn producer() -> AccountId32 {
	sp_core::crypto::Ss58Codec::from_ss58check("5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY")
		.expect("is an address")
}

/// The artifact of a record.
pub fn artifact(id: RecordId) -> ArtifactHash {
	ArtifactHash::from_low_u64_be(0x0a00_0000 + id)
}

/// Everything that was ever appended.
pub struct MockLedger {
	/// All batches.
	pub batches: Vec<Batch>,
	/// All records.
	pub records: Vec<Record>,
}

impl MockLedger {
	/// A ledger of a programme's start and this many rounds, each of which is a block of its own.
	pub fn new(rounds: u32, updates: u32) -> Self {
		Self::of(&[0], rounds, updates)
	}

	/// The same of several programmes: all starts, then the first round of each, and so on.
	pub fn of(programmes: &[ProgrammeId], rounds: u32, updates: u32) -> Self {
		let mut ledger = Self { batches: Vec::new(), records: Vec::new() };
		let start = |kind, id, programme| Record {
			kind,
			artifact: artifact(id),
			base: None,
			inputs: None,
			terms: None,
			producer: None,
			device: None,
			site: None,
			programme,
			round: None,
			block: 0,
		};
		let mut newest = Vec::new();
		for programme in programmes {
			let first = ledger.records.len() as RecordId;
			ledger.append(vec![
				start(RecordKind::TrainingConfig, first, *programme),
				start(RecordKind::Weights, first + 1, *programme),
			]);
			newest.push(first + 1);
		}
		for round in 0..rounds {
			for (programme, newest) in programmes.iter().zip(&mut newest) {
				let first = ledger.records.len() as RecordId;
				let block = (ledger.batches.len() - programmes.len() + 1) as BlockNumber;
				let base = Some(*newest);
				let record =
					|kind, id| Record { base, round: Some(round), block, ..start(kind, id, *programme) };
				let mut records: Vec<_> = (first..)
					.take(updates as usize)
					.map(|id| Record {
						producer: Some(producer()),
						device: Some(DEVICE),
						site: Some(SITE),
						..record(RecordKind::Update, id)
					})
					.collect();
				*newest = first + u64::from(updates);
				records.push(Record {
					inputs: Some(RecordRange { first, count: updates }),
					terms: Some(H256::from_low_u64_be(round.into())),
					..record(RecordKind::Weights, *newest)
				});
				ledger.append(records);
			}
		}
		ledger
	}

	fn append(&mut self, records: Vec<Record>) {
		let first = self.records.len() as RecordId;
		self.batches.push(Batch {
			root: ledger::batch_root(first, &records),
			first,
			count: records.len() as u32,
			block: records[0].block,
			programme: records[0].programme,
			round: records[0].round,
		});
		self.records.extend(records);
	}

	/// Where the runtime puts a batch's records, and what it puts there.
	pub fn entry(&self, id: usize) -> (Vec<u8>, Vec<u8>) {
		let batch = &self.batches[id];
		let records = &self.records[batch.first as usize..][..batch.count as usize];
		(ledger::batch_key(&batch.root), codec::Encode::encode(&records))
	}

	/// Writes the records of rounds as the runtime does.
	pub fn store(&self, storage: &mut impl OffchainStorage) {
		for id in (0..self.batches.len()).filter(|id| self.batches[*id].round.is_some()) {
			let (key, value) = self.entry(id);
			storage.set(STORAGE_PREFIX, &key, &value);
		}
	}

	/// The state of a block up to which this many batches were appended.
	pub fn at(&self, batches: usize) -> MockState<'_> {
		MockState { ledger: self, batches: &self.batches[..batches] }
	}

	/// The newest state.
	pub fn best(&self) -> MockState<'_> {
		self.at(self.batches.len())
	}
}

/// What a state says.
#[derive(Clone, Copy)]
pub struct MockState<'a> {
	ledger: &'a MockLedger,
	batches: &'a [Batch],
}

impl LedgerState for MockState<'_> {
	type Error = Infallible;

	fn record_count(&self) -> Result<RecordId, Infallible> {
		Ok(self.batches.iter().map(|b| u64::from(b.count)).sum())
	}

	fn batch_count(&self) -> Result<BatchId, Infallible> {
		Ok(self.batches.len() as BatchId)
	}

	fn batch(&self, id: BatchId) -> Result<Option<Batch>, Infallible> {
		Ok(self.batches.get(id as usize).cloned())
	}

	fn batches(&self, ids: Vec<BatchId>) -> Result<Vec<Option<Batch>>, Infallible> {
		ids.into_iter().map(|id| self.batch(id)).collect()
	}

	fn batch_of(&self, record: RecordId) -> Result<Option<(BatchId, Batch)>, Infallible> {
		let place = self.batches.iter().position(|b| b.contains(record));
		Ok(place.map(|place| (place as BatchId, self.batches[place].clone())))
	}

	fn batches_beside(&self, id: BatchId) -> Result<Option<(BatchId, Vec<H256>)>, Infallible> {
		// A block has one batch.
		Ok(self.batches.get(id as usize).map(|b| (id, vec![b.root])))
	}

	fn start_records(&self, id: BatchId) -> Result<Option<Vec<Record>>, Infallible> {
		let start = self.batches.get(id as usize).filter(|batch| batch.round.is_none());
		Ok(start.map(|batch| self.ledger.records[batch.first as usize..][..batch.count as usize].to_vec()))
	}

	fn weights_record(&self, weights: ArtifactHash) -> Result<Option<RecordId>, Infallible> {
		let count = self.record_count()?;
		Ok((0..count).find(|id| {
			let record = &self.ledger.records[*id as usize];
			record.kind == RecordKind::Weights && record.artifact == weights
		}))
	}
}
