//! Batches of records that were read and checked lately.

use super::{Batch, Record};
use schnellru::{Limiter, LruMap};
use sp_core::H256;
use std::sync::{Arc, Mutex, PoisonError};

/// How many records are kept: some 40 MiB.
const MOST: usize = 1 << 18;

/// Records by the root of their batch and its first record, which they depend on and on nothing else, so that they are
/// the same in every state that names them. The least recently used go first.
type Kept = LruMap<(H256, u64), Arc<[Record]>, ByRecords>;

/// Batches that were checked, for all who have a clone of it.
#[derive(Clone)]
pub struct Checked(Arc<Mutex<Kept>>);

impl Default for Checked {
	fn default() -> Self {
		Self::with_room_for(MOST)
	}
}

impl Checked {
	fn with_room_for(most: usize) -> Self {
		Self(Arc::new(Mutex::new(LruMap::new(ByRecords { most, held: 0 }))))
	}

	/// The records of a batch, if they are here.
	pub fn get(&self, batch: &Batch) -> Option<Arc<[Record]>> {
		let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
		kept.get(&(batch.root, batch.first)).cloned()
	}

	/// Keeps the records of a batch, which the caller has checked.
	pub fn keep(&self, batch: &Batch, records: Vec<Record>) -> Arc<[Record]> {
		let records: Arc<[Record]> = records.into();
		let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
		kept.insert((batch.root, batch.first), records.clone());
		records
	}
}

/// Limits how many records there are in all.
struct ByRecords {
	most: usize,
	held: usize,
}

impl Limiter<(H256, u64), Arc<[Record]>> for ByRecords {
	type KeyToInsert<'a> = (H256, u64);
	type LinkType = u32;

	fn is_over_the_limit(&self, _length: usize) -> bool {
		self.held > self.most
	}

	fn on_insert(
		&mut self,
		_length: usize,
		key: (H256, u64),
		value: Arc<[Record]>,
	) -> Option<((H256, u64), Arc<[Record]>)> {
		// One that would push out all others is not worth it.
		if value.len() > self.most / 2 {
			return None;
		}
		self.held = self.held.saturating_add(value.len());
		Some((key, value))
	}

	fn on_replace(
		&mut self,
		_length: usize,
		_old_key: &mut (H256, u64),
		_new_key: (H256, u64),
		old_value: &mut Arc<[Record]>,
		new_value: &mut Arc<[Record]>,
	) -> bool {
		self.held = self.held.saturating_sub(old_value.len()).saturating_add(new_value.len());
		true
	}

	fn on_removed(&mut self, _key: &mut (H256, u64), value: &mut Arc<[Record]>) {
		self.held = self.held.saturating_sub(value.len());
	}

	fn on_cleared(&mut self) {
		self.held = 0;
	}

	fn on_grow(&mut self, _new_memory_usage: usize) -> bool {
		true
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use crate::ledger::mock::MockLedger;

	#[test]
	fn least_recently_used_go_first_and_the_number_of_records_is_bounded() {
		// Batches of six records each, beside that of the start, which has two.
		let chain = MockLedger::new(20, 5);
		let kept = Checked::with_room_for(18);
		let records = |batch: &Batch| chain.records[batch.first as usize..][..batch.count as usize].to_vec();
		for batch in &chain.batches[1..4] {
			assert_eq!(kept.keep(batch, records(batch)).len(), 6);
		}
		assert!(kept.get(&chain.batches[1]).is_some());
		kept.keep(&chain.batches[4], records(&chain.batches[4]));
		let held: Vec<_> = (0..6).map(|id| kept.get(&chain.batches[id]).is_some()).collect();
		assert_eq!(held, [false, true, false, true, true, false]);
		// The same again takes no more room.
		kept.keep(&chain.batches[4], records(&chain.batches[4]));
		assert!(kept.get(&chain.batches[1]).is_some());
		// What would push out all others is given back and not kept.
		let all = Batch { first: 0, count: 122, ..chain.batches[0] };
		assert_eq!(kept.keep(&all, chain.records.clone()).len(), chain.records.len());
		assert!(kept.get(&all).is_none() && kept.get(&chain.batches[4]).is_some());
	}
}
