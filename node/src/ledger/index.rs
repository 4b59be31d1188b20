//! Which records there are of an artifact, a device, a site, an account or a programme.
//!
//! Entries are in the node's offchain database, apart from what the runtime writes there. They are added batch by batch
//! in the order of the ledger and never change, so that adding a batch again, after a crash in the middle of it, ends
//! where adding it once does. How far the index has come is written last.

use super::{Batch, Record};
use cairn_primitives::{ledger::BatchId, ArtifactHash, DeviceId, ProgrammeId, RecordId, RecordKind, SiteId};
use codec::{Decode, DecodeAll, Encode};
use sp_core::{crypto::AccountId32, offchain::OffchainStorage};
use std::{collections::BTreeMap, fmt};

/// What all keys begin with. The number is that of the layout: another layout is another index.
const PREFIX: &[u8] = b"cairn/index/2/";

/// How many record numbers one entry of a list holds: 2 KiB.
const PAGE: u64 = 256;

/// The keys. A new kind goes to the end, because the encoding is on disk.
#[derive(Encode)]
enum Key<'a> {
	/// How many batches are indexed.
	NextBatch,
	/// The first batch whose records could not be read.
	Gap,
	/// The first record of an artifact.
	Artifact(&'a ArtifactHash),
	/// How many records a list has.
	Length(Owner<'a>),
	/// A page of a list.
	Page(Owner<'a>, u64),
}

/// Whose records a list has.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Encode)]
pub enum Owner<'a> {
	/// Those made on a device.
	Device(DeviceId),
	/// Those made by an account.
	Account(&'a AccountId32),
	/// Those made at a site.
	Site(SiteId),
	/// The weights of a programme: the last record of each of its batches.
	Weights(ProgrammeId),
	/// The first record of every batch, in the place of the batch's number.
	Batches,
}

impl fmt::Display for Owner<'_> {
	fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
		match self {
			Self::Device(device) => write!(f, "device {device}"),
			Self::Account(account) => write!(f, "account {account}"),
			Self::Site(site) => write!(f, "site {site}"),
			Self::Weights(programme) => write!(f, "the weights of programme {programme}"),
			Self::Batches => f.write_str("the batches"),
		}
	}
}

/// Whose lists have a record.
pub fn owners(record: &Record) -> [Option<Owner<'_>>; 4] {
	[
		record.device.map(Owner::Device),
		record.producer.as_ref().map(Owner::Account),
		record.site.map(Owner::Site),
		(record.kind == RecordKind::Weights).then_some(Owner::Weights(record.programme)),
	]
}

/// The index in a node's database.
#[derive(Clone)]
pub struct Index<S>(S);

impl<S: OffchainStorage> Index<S> {
	/// The index in this database.
	pub fn new(storage: S) -> Self {
		Self(storage)
	}

	/// How many batches are indexed; the number of the next one.
	pub fn next_batch(&self) -> BatchId {
		self.get(&Key::NextBatch).unwrap_or_default()
	}

	/// The first batch whose records could not be read when its turn came. The index lacks them.
	pub fn gap(&self) -> Option<BatchId> {
		self.get(&Key::Gap)
	}

	/// The first record of an artifact.
	pub fn artifact(&self, artifact: &ArtifactHash) -> Option<RecordId> {
		self.get(&Key::Artifact(artifact))
	}

	/// The numbers of an owner's records below `end`, newest first, at most `count`; and that of the one after them.
	pub fn page(&self, owner: Owner, end: RecordId, count: u32) -> (Vec<RecordId>, Option<RecordId>) {
		let mut list = List::open(self, owner);
		let mut ids = Vec::new();
		for place in (0..list.place(end)).rev() {
			let Some(id) = list.get(place) else { break };
			if ids.len() as u64 == u64::from(count) {
				return (ids, Some(id));
			}
			ids.push(id);
		}
		(ids, None)
	}

	/// The first record number of an owner's that is `start` or greater.
	pub fn first_from(&self, owner: Owner, start: RecordId) -> Option<RecordId> {
		let mut list = List::open(self, owner);
		let place = list.place(start);
		list.get(place)
	}

	/// The batches that records are in, as far as they are indexed: for each record, in the order given.
	pub fn batches_of(&self, records: &[RecordId]) -> Vec<Option<BatchId>> {
		let mut firsts = List::open(self, Owner::Batches);
		let batch_of = |id: &RecordId| firsts.place(id.saturating_add(1)).checked_sub(1);
		records.iter().map(batch_of).collect()
	}

	/// Adds the next batch, with its records or without those that cannot be read.
	pub fn add(&mut self, id: BatchId, batch: &Batch, records: Option<&[Record]>) {
		let mut lists = BTreeMap::<Owner, Vec<RecordId>>::new();
		for (record, number) in records.unwrap_or_default().iter().zip(batch.first..) {
			let artifact = Key::Artifact(&record.artifact);
			if self.get::<RecordId>(&artifact).is_none_or(|first| first > number) {
				self.set(&artifact, &number);
			}
			for owner in owners(record).into_iter().flatten() {
				lists.entry(owner).or_default().push(number);
			}
		}
		lists.insert(Owner::Batches, vec![batch.first]);
		for (owner, numbers) in lists {
			self.extend(owner, &numbers);
		}
		if records.is_none() && self.gap().is_none() {
			self.set(&Key::Gap, &id);
		}
		self.set(&Key::NextBatch, &id.saturating_add(1));
	}

	/// Appends record numbers, ascending, to a list. Those that it has already are left out.
	fn extend(&mut self, owner: Owner, numbers: &[RecordId]) {
		let mut list = List::open(self, owner);
		let mut length = list.length;
		let last = length.checked_sub(1).and_then(|place| list.get(place));
		let mut page = length / PAGE;
		// A page may be written while the length, after it, was not: what is beyond the length does not count.
		let mut entries = list.load(page);
		entries.truncate((length % PAGE) as usize);
		for number in numbers.iter().filter(|n| last.is_none_or(|last| **n > last)) {
			entries.push(*number);
			length = length.saturating_add(1);
			if length.is_multiple_of(PAGE) {
				self.set(&Key::Page(owner, page), &entries);
				page = page.saturating_add(1);
				entries.clear();
			}
		}
		if !entries.is_empty() {
			self.set(&Key::Page(owner, page), &entries);
		}
		self.set(&Key::Length(owner), &length);
	}

	fn get<T: Decode>(&self, key: &Key) -> Option<T> {
		let bytes = self.0.get(PREFIX, &key.encode())?;
		T::decode_all(&mut &bytes[..]).ok()
	}

	fn set(&mut self, key: &Key, value: &impl Encode) {
		self.0.set(PREFIX, &key.encode(), &value.encode());
	}
}

/// A list of record numbers, ascending, read page by page.
struct List<'a, S> {
	index: &'a Index<S>,
	owner: Owner<'a>,
	length: u64,
	page: Option<(u64, Vec<RecordId>)>,
}

impl<'a, S: OffchainStorage> List<'a, S> {
	fn open(index: &'a Index<S>, owner: Owner<'a>) -> Self {
		let length = index.get(&Key::Length(owner)).unwrap_or_default();
		Self { index, owner, length, page: None }
	}

	fn load(&self, page: u64) -> Vec<RecordId> {
		self.index.get(&Key::Page(self.owner, page)).unwrap_or_default()
	}

	/// How many of its numbers are below `end`.
	fn place(&mut self, end: RecordId) -> u64 {
		let (mut low, mut high) = (0, self.length);
		while low < high {
			let middle = low.saturating_add(high) / 2;
			match self.get(middle) {
				Some(id) if id < end => low = middle.saturating_add(1),
				_ => high = middle,
			}
		}
		low
	}

	fn get(&mut self, place: u64) -> Option<RecordId> {
		if place >= self.length {
			return None;
		}
		let wanted = place / PAGE;
		if self.page.as_ref().is_none_or(|(page, _)| *page != wanted) {
			self.page = Some((wanted, self.load(wanted)));
		}
		self.page.as_ref().and_then(|(_, entries)| entries.get((place % PAGE) as usize).copied())
	}
}

#[cfg(test)]
mod tests {
	#![allow(clippy::unwrap_used)]

	use super::*;
	use cairn_primitives::H256;
	use sp_core::offchain::testing::TestPersistentOffchainDB;

	fn index() -> Index<TestPersistentOffchainDB> {
		Index::new(TestPersistentOffchainDB::new())
	}

	fn account(n: u8) -> AccountId32 {
		AccountId32::new([n; 32])
	}

	/// A batch of updates of devices 0, 1, … `count` in turn, and its records.
	fn batch(round: u32, first: RecordId, count: u32, devices: u32) -> (Batch, Vec<Record>) {
		let records = (0..count)
			.map(|n| Record {
				kind: RecordKind::Update,
				artifact: H256::from_low_u64_be(first + u64::from(n) + 1),
				base: Some(0),
				inputs: None,
				terms: None,
				producer: Some(account((n % devices) as u8)),
				device: Some(n % devices),
				site: Some(n % devices / 2),
				programme: 7,
				round: Some(round),
				block: 1,
			})
			.collect();
		let batch = Batch { root: H256::zero(), first, count, block: 1, programme: 7, round: Some(round) };
		(batch, records)
	}

	#[test]
	fn record_is_found_by_artifact_device_and_account() {
		let mut index = index();
		assert_eq!(index.next_batch(), 0);
		let (batch, records) = batch(3, 10, 6, 2);
		index.add(0, &batch, Some(&records));
		assert_eq!(index.next_batch(), 1);
		assert_eq!(index.artifact(&records[2].artifact), Some(12));
		assert_eq!(index.artifact(&H256::zero()), None);
		assert_eq!(index.page(Owner::Device(1), 100, 100), (vec![15, 13, 11], None));
		assert_eq!(index.page(Owner::Account(&account(0)), 100, 100), (vec![14, 12, 10], None));
		assert_eq!(index.page(Owner::Site(0), 100, 3), (vec![15, 14, 13], Some(12)));
		assert_eq!(index.page(Owner::Device(9), 100, 100), (vec![], None));
		assert_eq!(index.page(Owner::Site(9), 100, 100), (vec![], None));
	}

	#[test]
	fn artifact_recorded_twice_is_found_by_its_first_record() {
		let mut index = index();
		let (first, records) = batch(0, 10, 1, 1);
		index.add(0, &first, Some(&records));
		index.add(1, &Batch { first: 20, round: Some(1), ..first }, Some(&records));
		assert_eq!(index.artifact(&records[0].artifact), Some(10));
	}

	#[test]
	fn list_over_many_pages_is_read_from_any_place_in_pages_of_any_size() {
		let mut index = index();
		let (mut first, mut all) = (0, Vec::new());
		for round in 0..40 {
			let (batch, records) = batch(round, first, 31, 1);
			index.add(round.into(), &batch, Some(&records));
			all.extend(first..first + 31);
			// Numbers of others in between.
			first += 40;
		}
		all.reverse();
		for count in [1, 7, 255, 256, 257, 2_000] {
			let (mut read, mut end) = (Vec::new(), Some(u64::MAX));
			while let Some(below) = end {
				let (ids, next) = index.page(Owner::Device(0), below, count);
				assert!(ids.len() <= count as usize);
				read.extend(ids);
				end = next.map(|next| next + 1);
			}
			assert_eq!(read, all, "pages of {count}");
		}
		// An end between two records.
		assert_eq!(index.page(Owner::Device(0), 35, 1), (vec![30], Some(29)));
		assert_eq!(index.page(Owner::Device(0), 0, 1), (vec![], None));
	}

	#[test]
	fn weights_of_a_programme_are_found_from_any_record_on() {
		let mut index = index();
		for round in 0..3 {
			let (batch, mut records) = batch(round, u64::from(round) * 10, 4, 1);
			records.push(Record {
				kind: RecordKind::Weights,
				device: None,
				site: None,
				..records[0].clone()
			});
			index.add(round.into(), &Batch { count: 5, ..batch }, Some(&records));
		}
		let from = |start| index.first_from(Owner::Weights(7), start);
		assert_eq!([0, 4, 5, 14, 15, 24].map(from), [4, 4, 14, 14, 24, 24].map(Some));
		assert_eq!(from(25), None);
		assert_eq!(index.first_from(Owner::Weights(8), 0), None);
	}

	#[test]
	fn batch_of_a_record_is_found_over_many_pages() {
		let mut index = index();
		assert_eq!(index.batches_of(&[0]), [None]);
		for id in 0..600u64 {
			let (batch, records) = batch(id as u32, id * 3, 3, 1);
			// Also those whose records are not there.
			index.add(id, &batch, (id % 7 != 0).then_some(&records[..]));
		}
		let records: Vec<_> = (0..1_800).rev().collect();
		let expected: Vec<_> = records.iter().map(|record| Some(record / 3)).collect();
		assert_eq!(index.batches_of(&records), expected);
	}

	#[test]
	fn batch_added_again_after_a_crash_changes_nothing() {
		let (mut once, mut twice) = (index(), index());
		for round in 0..30 {
			let (batch, records) = batch(round, u64::from(round) * 20, 20, 1);
			once.add(round.into(), &batch, Some(&records));
			twice.add(round.into(), &batch, Some(&records));
			twice.add(round.into(), &batch, Some(&records));
		}
		let all = |index: &Index<_>| index.page(Owner::Device(0), u64::MAX, u32::MAX);
		assert_eq!(all(&once), all(&twice));
		assert_eq!(all(&once).0.len(), 600);

		// The crash came between a page and the length after it.
		let (batch, records) = batch(30, 600, 20, 1);
		let owner = Owner::Device(0);
		let before: u64 = once.get(&Key::Length(owner)).unwrap();
		once.add(30, &batch, Some(&records));
		once.set(&Key::Length(owner), &before);
		once.add(30, &batch, Some(&records));
		twice.add(30, &batch, Some(&records));
		assert_eq!(all(&once), all(&twice));
	}

	#[test]
	fn first_batch_that_could_not_be_read_is_remembered() {
		let mut index = index();
		let (batch, records) = batch(0, 0, 5, 1);
		index.add(0, &batch, Some(&records));
		assert_eq!(index.gap(), None);
		index.add(1, &batch, None);
		index.add(2, &batch, None);
		assert_eq!((index.gap(), index.next_batch()), (Some(1), 3));
	}
}
