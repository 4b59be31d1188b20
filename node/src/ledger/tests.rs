#![allow(clippy::unwrap_used)]

use super::{indexer::catch_up, mock::*, *};
use sp_core::offchain::testing::TestPersistentOffchainDB;

type Db = TestPersistentOffchainDB;

/// A ledger of 20 rounds of 5 updates, in a node that has indexed this many of its 21 batches.
fn node(indexed: usize) -> (MockLedger, Ledger<Db>, Db) {
	let mock = MockLedger::new(20, 5);
	let mut db = Db::new();
	mock.store(&mut db);
	let mut ledger = Ledger::new(db.clone());
	catch_up(&mut ledger, &mock.at(indexed)).unwrap();
	(mock, ledger, db)
}

fn damage(mock: &MockLedger, db: &mut Db, batch: usize, change: impl FnOnce(&mut Vec<u8>)) {
	let (key, mut value) = mock.entry(batch);
	change(&mut value);
	db.set(STORAGE_PREFIX, &key, &value);
}

fn damaged(mock: &MockLedger, batch: usize) -> ReadError<std::convert::Infallible> {
	let Batch { root, block: number, .. } = mock.batches[batch];
	ReadError::Damaged { batch: batch as u64, root, number }
}

fn missing(mock: &MockLedger, batch: usize) -> ReadError<std::convert::Infallible> {
	let Batch { root, block: number, .. } = mock.batches[batch];
	ReadError::Missing { batch: batch as u64, root, number }
}

#[test]
fn every_record_is_read_by_number_and_by_artifact_whether_indexed_or_not() {
	for indexed in [0, 1, 10, 21] {
		let (mock, ledger, _) = node(indexed);
		let state = mock.best();
		for (id, record) in (0..).zip(&mock.records) {
			assert_eq!(ledger.record(&state, id).unwrap().as_ref(), Some(record));
			assert_eq!(ledger.record_of(&state, &record.artifact).unwrap(), Some(id), "{indexed}");
		}
		let beyond = mock.records.len() as u64;
		assert_eq!(ledger.record(&state, beyond).unwrap(), None);
		assert_eq!(ledger.record_of(&state, &artifact(beyond)).unwrap(), None);
	}
}

#[test]
fn record_is_there_from_the_block_that_appended_it() {
	let (mock, ledger, _) = node(21);
	// Record 8 is the first update of the second round, batch 2.
	for (batches, found) in [(2, None), (3, Some(8))] {
		let state = mock.at(batches);
		assert_eq!(ledger.record_of(&state, &artifact(8)).unwrap(), found);
		assert_eq!(ledger.record(&state, 8).unwrap().is_some(), found.is_some());
		assert_eq!(ledger.lineage(&state, 8, None, 10).unwrap().is_some(), found.is_some());
	}
}

#[test]
fn lineage_in_pages_of_any_size_is_the_same_walk() {
	let (mock, ledger, _) = node(21);
	let state = mock.best();
	let last = mock.records.len() as u64 - 1;
	// All but the configuration, which is nobody's parent.
	let whole: Vec<_> = (1..=last).rev().collect();
	for size in [0, 1, 2, 7, 100, 1_000] {
		assert_eq!(lineage(&mock, &ledger, last, size), whole, "pages of {size}");
	}
	assert_eq!(ledger.lineage(&state, last + 1, None, 1).unwrap(), None);
	assert_eq!(ledger.lineage(&state, last + 1, Some(last), 1).unwrap(), None);
}

/// The numbers of a whole lineage, read in pages of this size.
fn lineage(mock: &MockLedger, ledger: &Ledger<Db>, origin: u64, size: u32) -> Vec<u64> {
	let (mut read, mut cursor) = (Vec::new(), None);
	loop {
		let page = ledger.lineage(&mock.best(), origin, cursor, size).unwrap().unwrap();
		assert!(page.records.len() <= size.max(1) as usize);
		assert!(page.records.iter().all(|r| r.record == mock.records[r.id as usize]));
		read.extend(page.records.iter().map(|r| r.id));
		cursor = page.next;
		if cursor.is_none() {
			return read;
		}
	}
}

#[test]
fn lineage_of_an_update_leaves_out_the_others_of_its_round_in_pages_of_any_size() {
	let (mock, ledger, _) = node(21);
	// The updates of the third round, whose base is record 13.
	for update in 14..19 {
		let whole: Vec<_> = std::iter::once(update).chain((1..=13).rev()).collect();
		for size in [1, 2, 5, 100] {
			assert_eq!(lineage(&mock, &ledger, update, size), whole, "of {update} in pages of {size}");
		}
	}
}

#[test]
fn cursor_that_is_of_no_page_of_the_lineage_is_refused() {
	let mock = MockLedger::of(&[0, 4], 3, 2);
	let mut db = Db::new();
	mock.store(&mut db);
	let mut ledger = Ledger::new(db);
	catch_up(&mut ledger, &mock.best()).unwrap();
	let state = mock.best();
	// The starts are records 0 to 3; rounds of three records take turns from 4 on: 10 to 12 are programme 0's second.
	let is_refused = |origin, cursor| match ledger.lineage(&state, origin, Some(cursor), 10) {
		Ok(page) => page.is_none(),
		Err(error) => error == ReadError::Astray { cursor, origin },
	};
	for (origin, cursor) in [(12, 13), (12, 9), (12, 3), (11, 10), (11, 12), (1, 0), (12, 1_000)] {
		assert!(is_refused(origin, cursor), "{cursor} in the lineage of {origin}");
	}
	for (origin, cursor) in [(12, 12), (12, 11), (12, 10), (12, 6), (11, 11), (11, 6), (11, 1)] {
		assert!(!is_refused(origin, cursor), "{cursor} in the lineage of {origin}");
	}
}

#[test]
fn records_of_a_device_and_of_an_account_are_its_updates_newest_first() {
	let (mock, ledger, _) = node(21);
	let updates: Vec<_> = (0..mock.records.len() as u64)
		.rev()
		.filter(|id| mock.records[*id as usize].kind == RecordKind::Update)
		.collect();
	let account = producer();
	for owner in [Owner::Device(DEVICE), Owner::Account(&account), Owner::Site(SITE)] {
		let page = ledger.records_of(&mock.best(), owner, None, 1_000).unwrap();
		assert_eq!(page.records.iter().map(|r| r.id).collect::<Vec<_>>(), updates);
		let page = ledger.records_of(&mock.best(), owner, Some(updates[3]), 2).unwrap();
		assert_eq!(page.records.iter().map(|r| r.id).collect::<Vec<_>>(), updates[3..5]);
		assert_eq!(page.next, Some(updates[5]));
		// An older block knows only its own.
		let page = ledger.records_of(&mock.at(2), owner, None, 1_000).unwrap();
		assert_eq!(page.records.iter().map(|r| r.id).collect::<Vec<_>>(), [6, 5, 4, 3, 2]);
	}
	let page = ledger.records_of(&mock.best(), Owner::Device(99), None, 10).unwrap();
	assert_eq!((page.records.len(), page.next), (0, None));
}

#[test]
fn pages_are_the_same_however_far_the_index_has_come() {
	let (mock, whole, _) = node(21);
	let account = producer();
	for indexed in [0, 1, 10, 20] {
		let (_, ledger, _) = node(indexed);
		let state = mock.best();
		for owner in [Owner::Device(DEVICE), Owner::Account(&account), Owner::Site(SITE)] {
			for size in [1, 7, 1_000] {
				let (mut read, mut from) = (Vec::new(), None);
				loop {
					let page = ledger.records_of(&state, owner, from, size).unwrap();
					assert!(page.records.len() <= size as usize);
					read.extend(page.records);
					from = page.next;
					if from.is_none() {
						break;
					}
				}
				let all = whole.records_of(&state, owner, None, 1_000).unwrap().records;
				assert_eq!(read, all, "{owner}, {indexed} batches indexed, pages of {size}");
			}
		}
		for of in [0, 1, 2, 7, 60, 125] {
			let page = |ledger: &Ledger<Db>| ledger.descendants(&state, of, None, 1_000).unwrap();
			assert_eq!(page(&ledger), page(&whole), "of {of}, {indexed} batches indexed");
		}
	}
}

#[test]
fn descendants_in_pages_of_any_size_are_what_lineage_leads_back_from() {
	let (mock, ledger, _) = node(21);
	let state = mock.best();
	let count = mock.records.len() as u64;
	for of in 0..count {
		let mut expected = Vec::new();
		for id in of + 1..count {
			// Nothing names the configuration, which all that a programme makes comes from.
			if of == 0 || lineage(&mock, &ledger, id, 1_000).contains(&of) {
				expected.push(id);
			}
		}
		for size in [1, 4, 100] {
			let (mut read, mut from) = (Vec::new(), None);
			loop {
				let page = ledger.descendants(&state, of, from, size).unwrap().unwrap();
				assert!(page.records.len() <= size as usize);
				assert!(page.records.iter().all(|r| r.record == mock.records[r.id as usize]));
				read.extend(page.records.iter().map(|r| r.id));
				from = page.next;
				if from.is_none() {
					break;
				}
			}
			assert_eq!(read, expected, "of {of} in pages of {size}");
		}
	}
	assert_eq!(ledger.descendants(&state, count, None, 1).unwrap(), None);
	// An older block knows only its own: the start and one round.
	let page = ledger.descendants(&mock.at(2), 1, None, 100).unwrap().unwrap();
	assert_eq!(page.records.last().map(|r| r.id), Some(7));
}

#[test]
fn records_from_any_number_on_are_read_in_pages_to_the_end() {
	let (mock, ledger, _) = node(0);
	let state = mock.best();
	let count = mock.records.len() as u64;
	for (start, size) in [(0, 1), (0, 100), (5, 4), (count - 1, 10), (count, 10), (count + 5, 10)] {
		let (mut read, mut next) = (Vec::new(), start);
		loop {
			let (records, after) = ledger.records_from(&state, next, Some(0), size).unwrap();
			assert!(records.len() <= size as usize);
			assert!(records.iter().all(|r| r.record == mock.records[r.id as usize]));
			read.extend(records.iter().map(|r| r.id));
			if after == next {
				break;
			}
			next = after;
		}
		assert_eq!(read, (start..count).collect::<Vec<_>>());
	}
	// Of another programme there is nothing, and that is known in one go here.
	assert_eq!(ledger.records_from(&state, 3, Some(9), 10).unwrap(), (vec![], count));
}

#[test]
fn proof_of_any_record_leads_to_its_blocks_root() {
	let (mock, ledger, _) = node(21);
	for (id, record) in (0..).zip(&mock.records) {
		let proof = ledger.prove(&mock.best(), id).unwrap().unwrap();
		assert_eq!((proof.id, &proof.record), (id, record));
		let batch = mock.batches.iter().find(|b| b.contains(id)).unwrap();
		assert_eq!(proof.block_root(), Some(ledger::root([batch.root])));
	}
	assert_eq!(ledger.prove(&mock.best(), 10_000).unwrap(), None);
}

#[test]
fn damaged_records_are_an_error_wherever_they_are_read() {
	let changes: [fn(&mut Vec<u8>); 4] = [
		|bytes| bytes[40] ^= 1,
		|bytes| bytes.truncate(50),
		|bytes| bytes.push(0),
		|bytes| *bytes = codec::Encode::encode(&Vec::<Record>::new()),
	];
	for change in changes {
		let (mock, before, mut db) = node(21);
		damage(&mock, &mut db, 5, change);
		let state = mock.best();
		let id = mock.batches[5].first;
		// What was read and checked while it was whole is served as it was. A node that starts again reads anew.
		assert!(before.record(&state, id).unwrap().is_some());
		let ledger = Ledger::new(db);
		assert_eq!(ledger.record(&state, id), Err(damaged(&mock, 5)));
		assert_eq!(ledger.prove(&state, id), Err(damaged(&mock, 5)));
		assert_eq!(ledger.record_of(&state, &artifact(id)), Err(damaged(&mock, 5)));
		assert_eq!(ledger.lineage(&state, id + 8, None, 100), Err(damaged(&mock, 5)));
		// What lies elsewhere is still there.
		assert!(ledger.record(&state, id - 1).unwrap().is_some());
		assert_eq!(ledger.record_of(&state, &artifact(id - 1)), Ok(Some(id - 1)));
	}
}

#[test]
fn records_of_a_block_that_was_not_executed_are_missing_and_not_unknown() {
	let mock = MockLedger::new(20, 5);
	let mut db = Db::new();
	mock.store(&mut db);
	db.remove(STORAGE_PREFIX, &mock.entry(5).0);
	let mut ledger = Ledger::new(db);
	assert_eq!(catch_up(&mut ledger, &mock.best()), Ok(21));
	let state = mock.best();
	let id = mock.batches[5].first;
	assert_eq!(ledger.index.gap(), Some(5));
	assert_eq!(ledger.record(&state, id), Err(missing(&mock, 5)));
	// It may well be one of those that are missing.
	assert_eq!(ledger.record_of(&state, &artifact(id)), Err(missing(&mock, 5)));
	assert_eq!(ledger.record_of(&mock.at(5), &artifact(id)), Ok(None));
	assert_eq!(ledger.record_of(&state, &artifact(id + 8)), Ok(Some(id + 8)));
	// State has what the weights are.
	let weights = id + 5;
	assert_eq!(ledger.record_of(&state, &artifact(weights)), Ok(Some(weights)));
}

#[test]
fn index_that_names_another_record_is_an_error() {
	let (mock, mut ledger, _) = node(21);
	let wrong = H256::repeat_byte(9);
	let record = Record { artifact: wrong, ..mock.records[3].clone() };
	ledger.index.add(21, &Batch { first: 3, count: 1, ..mock.batches[1].clone() }, Some(&[record]));
	assert_eq!(
		ledger.record_of(&mock.best(), &wrong),
		Err(ReadError::Misleading { sought: format!("artifact {wrong:?}"), record: 3 })
	);
}

#[test]
fn index_that_lists_another_owners_record_is_an_error() {
	let (mock, mut ledger, _) = node(21);
	// As if the record had been made on this device.
	let record = Record { device: Some(77), ..mock.records[3].clone() };
	ledger.index.add(21, &Batch { first: 3, count: 1, ..mock.batches[1].clone() }, Some(&[record]));
	assert_eq!(
		ledger.records_of(&mock.best(), Owner::Device(77), None, 10),
		Err(ReadError::Misleading { sought: "device 77".into(), record: 3 })
	);
}

#[test]
fn index_that_is_far_behind_says_so_instead_of_finding_nothing() {
	let mock = MockLedger::new(100, 1);
	let mut db = Db::new();
	mock.store(&mut db);
	let mut ledger = Ledger::new(db);
	catch_up(&mut ledger, &mock.at(10)).unwrap();
	let unknown = H256::repeat_byte(9);
	assert_eq!(ledger.record_of(&mock.best(), &unknown), Err(ReadError::Behind { indexed: 10, count: 101 }));
	assert_eq!(ledger.record_of(&mock.at(70), &unknown), Ok(None));
	// Weights are in state and need no index.
	assert_eq!(ledger.record_of(&mock.best(), &artifact(201)), Ok(Some(201)));
}

#[test]
fn pages_that_lie_in_the_index_are_served_however_far_behind_it_is() {
	let mock = MockLedger::new(100, 1);
	let mut db = Db::new();
	mock.store(&mut db);
	let mut ledger = Ledger::new(db);
	// Up to record 19, the weights of the ninth round.
	catch_up(&mut ledger, &mock.at(10)).unwrap();
	let state = mock.best();
	let behind: ReadError<std::convert::Infallible> = ReadError::Behind { indexed: 10, count: 101 };
	let ids = |records: &[RecordInfo]| records.iter().map(|r| r.id).collect::<Vec<_>>();
	let updates = |from| ledger.records_of(&state, Owner::Device(DEVICE), from, 4);
	for from in [18, 19] {
		let page = updates(Some(from)).unwrap();
		assert_eq!((ids(&page.records), page.next), (vec![18, 16, 14, 12], Some(10)));
	}
	assert_eq!(updates(Some(20)), Err(behind.clone()));
	assert_eq!(updates(None), Err(behind.clone()));
	// A state that the index is not behind, as a finalised one is.
	assert_eq!(ids(&ledger.records_of(&mock.at(10), Owner::Site(SITE), None, 2).unwrap().records), [18, 16]);

	let page = ledger.descendants(&state, 1, Some(5), 4).unwrap().unwrap();
	assert_eq!((ids(&page.records), page.next), (vec![5, 6, 7, 8], Some(9)));
	assert_eq!(ledger.descendants(&state, 1, Some(5), 100), Err(behind));
	let page = ledger.descendants(&mock.at(10), 1, Some(18), 100).unwrap().unwrap();
	assert_eq!((ids(&page.records), page.next), (vec![18, 19], None));
}

#[test]
fn catching_up_goes_on_where_it_stopped_and_an_older_state_changes_nothing() {
	let (mock, mut ledger, _) = node(7);
	assert_eq!(catch_up(&mut ledger, &mock.at(7)), Ok(0));
	assert_eq!(catch_up(&mut ledger, &mock.at(3)), Ok(0));
	assert_eq!(catch_up(&mut ledger, &mock.at(9)), Ok(2));
	assert_eq!(ledger.index.next_batch(), 9);
}
