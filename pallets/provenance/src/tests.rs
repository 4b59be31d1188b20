use crate::{mock::*, Event, IncludedUpdate, RecordCount, RecordOf, Records};
use cairn_primitives::{views::MAX_PAGE, RecordId, RecordKind, RecordRange, H256};

fn hash(n: u64) -> H256 {
	H256::from_low_u64_be(n)
}

/// `count` updates of accounts 1, 2, … whose artifacts are `tag * 1000 + account`.
fn updates(tag: u64, count: u64) -> Vec<IncludedUpdate<u64>> {
	(1..=count)
		.map(|n| IncludedUpdate { producer: n, device: n as u32, artifact: hash(tag * 1000 + n) })
		.collect()
}

#[test]
fn start_records_configuration_and_weights() {
	run(|| {
		let weights = Provenance::record_start(7, hash(1), hash(2));
		assert_eq!(weights, 1);
		let config = Records::<Test>::get(0).expect("recorded");
		assert_eq!((config.kind, config.artifact), (RecordKind::TrainingConfig, hash(1)));
		let weights = Records::<Test>::get(1).expect("recorded");
		assert_eq!((weights.kind, weights.artifact, weights.programme), (RecordKind::Weights, hash(2), 7));
		assert_eq!((weights.base, weights.round, weights.block), (None, None, 1));
		System::assert_last_event(
			Event::Recorded {
				id: 1,
				kind: RecordKind::Weights,
				artifact: hash(2),
				programme: 7,
				round: None,
			}
			.into(),
		);
	});
}

#[test]
fn round_records_every_update_and_links_the_next_weights_to_them() {
	run(|| {
		let base = Provenance::record_start(0, hash(1), hash(2));
		System::set_block_number(9);
		let records = Provenance::record_round(0, 3, base, updates(1, 4), hash(5));
		assert_eq!(records.updates, RecordRange { first: 2, count: 4 });
		assert_eq!(records.weights, 6);
		for (n, id) in (2..6).enumerate() {
			let update = Records::<Test>::get(id).expect("recorded");
			assert_eq!(update.producer, Some(n as u64 + 1));
			assert_eq!(update.device, Some(n as u32 + 1));
			assert_eq!((update.base, update.round, update.block), (Some(base), Some(3), 9));
			assert_eq!(RecordOf::<Test>::get(update.artifact), Some(id));
		}
		let weights = Records::<Test>::get(6).expect("recorded");
		assert_eq!((weights.base, weights.inputs), (Some(base), Some(records.updates)));
		assert_eq!(RecordCount::<Test>::get(), 7);
	});
}

#[test]
fn artifact_recorded_twice_is_found_by_its_first_record() {
	run(|| {
		let first = Provenance::record_start(0, hash(1), hash(2));
		let second = Provenance::record_start(1, hash(1), hash(2));
		assert_ne!(first, second);
		assert_eq!(RecordOf::<Test>::get(hash(2)), Some(first));
		assert!(Provenance::is_recorded(&hash(2)));
		assert!(!Provenance::is_recorded(&hash(3)));
	});
}

/// Two programmes whose rounds alternate, so that neighbours in the ledger are not relatives.
fn two_programmes(rounds: u32) -> (RecordId, RecordId) {
	let mut a = Provenance::record_start(0, hash(1), hash(2));
	let mut b = Provenance::record_start(1, hash(3), hash(4));
	for round in 0..rounds {
		let tag = 10 + u64::from(round) * 2;
		a = Provenance::record_round(0, round, a, updates(tag, 3), hash(tag * 1000)).weights;
		b = Provenance::record_round(1, round, b, updates(tag + 1, 2), hash((tag + 1) * 1000)).weights;
	}
	(a, b)
}

#[test]
fn lineage_walks_back_to_the_first_weights_of_its_own_programme() {
	run(|| {
		let (a, b) = two_programmes(3);
		for (programme, from, per_round) in [(0, a, 4), (1, b, 3)] {
			let page = Provenance::lineage(from, MAX_PAGE).expect("the record exists");
			assert_eq!(page.next, None);
			assert_eq!(page.records.len(), 3 * per_round + 1);
			assert!(page.records.iter().all(|r| r.record.programme == programme));
			assert_eq!(page.records[0].id, from);
			let last = &page.records[page.records.len() - 1].record;
			assert_eq!((last.kind, last.round), (RecordKind::Weights, None));
		}
	});
}

#[test]
fn lineage_in_pages_of_any_size_is_the_same_walk() {
	run(|| {
		let (a, _) = two_programmes(4);
		let whole: Vec<_> = Provenance::lineage(a, MAX_PAGE).expect("exists").records;
		for size in 1..=whole.len() as u32 + 1 {
			let mut paged = Vec::new();
			let mut cursor = Some(a);
			while let Some(from) = cursor {
				let page = Provenance::lineage(from, size).expect("a cursor names a record");
				assert!(page.records.len() as u32 <= size);
				paged.extend(page.records);
				cursor = page.next;
			}
			assert_eq!(paged, whole, "page size {size}");
		}
	});
}

#[test]
fn lineage_page_is_capped_whatever_was_asked_for() {
	run(|| {
		let base = Provenance::record_start(0, hash(1), hash(2));
		let weights = Provenance::record_round(0, 0, base, updates(1, 250), hash(9)).weights;
		let page = Provenance::lineage(weights, u32::MAX).expect("exists");
		assert_eq!(page.records.len() as u32, MAX_PAGE);
		assert_eq!(Provenance::lineage(weights, 0).expect("exists").records.len(), 1);
	});
}

#[test]
fn lineage_of_a_record_that_is_not_there_is_none() {
	run(|| assert_eq!(Provenance::lineage(0, 10), None));
}

#[test]
fn try_state_notices_what_must_not_be() {
	use frame_support::assert_err;
	run(|| {
		let base = Provenance::record_start(0, hash(1), hash(2));
		let weights = Provenance::record_round(0, 0, base, updates(1, 2), hash(9)).weights;
		let broken = |change: &dyn Fn()| {
			frame_support::storage::with_storage_layer::<(), sp_runtime::DispatchError, _>(|| {
				change();
				assert!(Provenance::do_try_state().is_err());
				Err(sp_runtime::DispatchError::Other("undone"))
			})
		};
		let undone = sp_runtime::DispatchError::Other("undone");
		assert_err!(broken(&|| Records::<Test>::remove(2)), undone);
		assert_err!(broken(&|| RecordCount::<Test>::put(99)), undone);
		assert_err!(broken(&|| RecordOf::<Test>::remove(hash(9))), undone);
		assert_err!(broken(&|| RecordOf::<Test>::insert(hash(77), 1)), undone);
		assert_err!(
			broken(&|| Records::<Test>::mutate(weights, |r| {
				if let Some(r) = r {
					r.base = Some(weights)
				}
			})),
			undone
		);
		assert_err!(
			broken(&|| Records::<Test>::mutate(weights, |r| {
				if let Some(r) = r {
					r.inputs = Some(RecordRange { first: 0, count: 4 })
				}
			})),
			undone
		);
	});
}
