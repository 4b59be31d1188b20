use crate::{mock::*, *};
use cairn_primitives::ledger::{self, prove, record_hash};
use frame_support::{assert_err, storage::with_storage_layer};
use proptest::prelude::*;
use sp_runtime::{BuildStorage, DispatchError};

/// The digest of some round's terms.
const TERMS: H256 = H256([7; 32]);

fn hash(n: u64) -> H256 {
	H256::from_low_u64_be(n)
}

/// `count` updates of accounts 1, 2, … whose artifacts are `tag * 10_000 + account`.
fn updates(tag: u64, count: u64) -> Vec<IncludedUpdate<u64>> {
	(1..=count)
		.map(|n| IncludedUpdate { producer: n, device: n as u32, site: 3, artifact: hash(tag * 10_000 + n) })
		.collect()
}

fn batch(id: BatchId) -> BatchOf<Test> {
	Batches::<Test>::get(id).expect("the batch exists")
}

#[test]
fn start_records_configuration_and_weights_in_state() {
	let (weights, records) = run(|| {
		let weights = Provenance::record_start(7, hash(1), hash(2));
		let batch = batch(0);
		assert_eq!((batch.first, batch.count, batch.block), (0, 2, 1));
		assert_eq!((batch.programme, batch.round), (7, None));
		System::assert_last_event(
			Event::BatchRecorded {
				batch: 0,
				root: batch.root,
				first: 0,
				count: 2,
				programme: 7,
				round: None,
			}
			.into(),
		);
		weights
	});
	assert_eq!(weights, 1);
	assert_eq!((records[0].kind, records[0].artifact), (RecordKind::TrainingConfig, hash(1)));
	assert_eq!((records[1].kind, records[1].artifact), (RecordKind::Weights, hash(2)));
	assert_eq!((records[1].base, records[1].round, records[1].block), (None, None, 1));
}

#[test]
fn round_records_every_update_and_links_the_next_weights_to_them() {
	let ((base, left), records) = run(|| {
		let base = Provenance::record_start(0, hash(1), hash(2));
		System::set_block_number(9);
		let left = Provenance::record_round(0, 3, base, updates(1, 4), hash(5), TERMS);
		assert_eq!(RecordCount::<Test>::get(), 7);
		assert_eq!(WeightsRecord::<Test>::get(hash(5)), Some(6));
		(base, left)
	});
	assert_eq!(left, RoundRecords { updates: RecordRange { first: 2, count: 4 }, weights: 6 });
	for (n, update) in records[2..6].iter().enumerate() {
		assert_eq!(update.producer, Some(n as u64 + 1));
		assert_eq!(update.device, Some(n as u32 + 1));
		assert_eq!((update.base, update.round, update.block), (Some(base), Some(3), 9));
		assert_eq!(update.terms, None);
	}
	assert_eq!((records[6].base, records[6].inputs), (Some(base), Some(left.updates)));
	assert_eq!(records[6].terms, Some(TERMS));
}

#[test]
fn round_of_any_size_leaves_the_same_number_of_bytes_in_state() {
	/// Bytes of all keys and values of this pallet.
	fn size() -> usize {
		let prefix = sp_io::hashing::twox_128(b"Provenance");
		let (mut key, mut size) = (prefix.to_vec(), 0);
		while let Some(next) = sp_io::storage::next_key(&key).filter(|k| k.starts_with(&prefix)) {
			size += next.len() + sp_io::storage::get(&next).expect("has a value").len();
			key = next;
		}
		size
	}
	let grown: Vec<_> = [1, 10, 100, 1_024]
		.map(|count| {
			run(|| {
				let base = Provenance::record_start(0, hash(1), hash(2));
				// Now the block before is known, as in every round but the first.
				System::set_block_number(2);
				let base = Provenance::record_round(0, 0, base, updates(1, 1), hash(3), TERMS).weights;
				let before = size();
				System::set_block_number(3);
				Provenance::record_round(0, 1, base, updates(2, count), hash(4), TERMS);
				size() - before
			})
			.0
		})
		.into();
	assert!(grown.iter().all(|bytes| *bytes == grown[0]), "{grown:?}");
	assert!(grown[0] < 300, "{grown:?}");
}

#[test]
fn weights_recorded_twice_are_found_by_their_first_record() {
	run(|| {
		let first = Provenance::record_start(0, hash(1), hash(2));
		let second = Provenance::record_start(1, hash(1), hash(2));
		assert_ne!(first, second);
		assert_eq!(WeightsRecord::<Test>::get(hash(2)), Some(first));
		assert!(Provenance::is_recorded(&hash(2)));
		assert!(!Provenance::is_recorded(&hash(3)));
		assert_eq!(Provenance::batch_of_weights(first, &hash(2), 0), Some(batch(0)));
		assert_eq!(Provenance::batch_of_weights(second, &hash(2), 1), Some(batch(1)));
	});
}

#[test]
fn update_is_not_in_state() {
	run(|| {
		let base = Provenance::record_start(0, hash(1), hash(2));
		Provenance::record_round(0, 0, base, updates(1, 1), hash(5), TERMS);
		assert!(Provenance::is_recorded(&hash(5)));
		assert!(!Provenance::is_recorded(&hash(10_001)));
	});
}

#[test]
fn weights_record_is_told_from_what_is_not_one() {
	run(|| {
		let base = Provenance::record_start(4, hash(1), hash(2));
		let weights = Provenance::record_round(4, 2, base, updates(1, 3), hash(5), TERMS).weights;
		assert_eq!(Provenance::batch_of_weights(base, &hash(2), 4), Some(batch(0)));
		assert_eq!(Provenance::batch_of_weights(weights, &hash(5), 4), Some(batch(1)));
		assert_eq!(Provenance::batch_of_weights(weights - 1, &hash(5), 4), None);
		assert_eq!(Provenance::batch_of_weights(weights + 1, &hash(5), 4), None);
		assert_eq!(Provenance::batch_of_weights(weights, &hash(6), 4), None);
		assert_eq!(Provenance::batch_of_weights(weights, &hash(5), 3), None);
		assert_eq!(Provenance::batch_of_weights(base, &hash(5), 4), None);
	});
}

#[test]
fn every_record_is_found_in_its_batch_and_none_beyond_the_last() {
	run(|| {
		assert_eq!(Provenance::batch_of(0), None);
		let mut base = Provenance::record_start(0, hash(1), hash(2));
		for round in 0..20 {
			let tag = u64::from(round) + 1;
			let count = 1 + tag % 5;
			base = Provenance::record_round(0, round, base, updates(tag, count), hash(tag * 10_000), TERMS)
				.weights;
		}
		for record in 0..RecordCount::<Test>::get() {
			let (id, found) = Provenance::batch_of(record).expect("every record has a batch");
			assert!(found.contains(record));
			assert_eq!(found, batch(id));
		}
		assert_eq!(Provenance::batch_of(RecordCount::<Test>::get()), None);
		assert_eq!(Provenance::batch_of(u64::MAX), None);
	});
}

#[test]
fn parent_root_is_that_of_the_block_before_whatever_this_block_appends() {
	run(|| {
		assert_eq!(Provenance::parent_root(), H256::zero());
		Provenance::record_start(0, hash(1), hash(2));
		Provenance::record_start(1, hash(1), hash(3));
		// The block itself is not its parent.
		assert_eq!(Provenance::parent_root(), H256::zero());

		System::set_block_number(2);
		let root = ledger::root([batch(0).root, batch(1).root]);
		assert_eq!(Provenance::parent_root(), root);
		// As the scheduler does, before the range asks.
		Provenance::record_start(2, hash(1), hash(4));
		assert_eq!(Provenance::parent_root(), root);

		System::set_block_number(3);
		assert_eq!(Provenance::parent_root(), ledger::root([batch(2).root]));
		System::set_block_number(4);
		assert_eq!(Provenance::parent_root(), H256::zero());
		Provenance::record_start(3, hash(1), hash(5));
		assert_eq!(Provenance::parent_root(), H256::zero());
		System::set_block_number(5);
		assert_eq!(Provenance::parent_root(), ledger::root([batch(3).root]));
	});
}

#[test]
fn genesis_has_a_root_when_it_starts_programmes() {
	let storage = frame_system::GenesisConfig::<Test>::default();
	let mut chain = sp_io::TestExternalities::new(storage.build_storage().expect("no genesis to fail"));
	chain.execute_with(|| {
		Provenance::record_start(0, hash(1), hash(2));
		System::set_block_number(1);
		assert_eq!(Provenance::parent_root(), ledger::root([batch(0).root]));
		Provenance::do_try_state().expect("the ledger's invariants hold");
	});
	assert_eq!(records(&mut chain).len(), 2);
}

#[test]
fn record_of_any_block_is_proved_up_to_the_blocks_root() {
	let ((root, beside, batches), records) = run(|| {
		let base = Provenance::record_start(0, hash(1), hash(2));
		System::set_block_number(5);
		let other = Provenance::record_start(1, hash(1), hash(3));
		Provenance::record_round(0, 0, base, updates(1, 6), hash(7), TERMS);
		Provenance::record_round(1, 0, other, updates(2, 2), hash(8), TERMS);
		System::set_block_number(6);
		let batches: Vec<_> = (0..BatchCount::<Test>::get()).map(batch).collect();
		assert_eq!(Provenance::batches_beside(0), Some((0, vec![batches[0].root])));
		assert_eq!(Provenance::batches_beside(4), None);
		(Provenance::parent_root(), [1, 2, 3].map(Provenance::batches_beside), batches)
	});
	let roots: Vec<_> = batches[1..4].iter().map(|b| b.root).collect();
	assert!(beside.iter().all(|b| *b == Some((1, roots.clone()))));
	for (id, record) in records.iter().enumerate().skip(2) {
		let place = batches[1..4].iter().position(|b| b.contains(id as u64)).expect("in the block");
		let batch = &batches[1 + place];
		let leaves: Vec<_> =
			ledger::record_hashes(batch.first, &records[batch.first as usize..][..batch.count as usize])
				.collect();
		let in_batch = prove(&leaves, batch.place(id as u64).expect("inside")).expect("a path");
		let in_block = prove(&roots, place as u32).expect("a path");
		assert!(in_batch.verify(&batch.root, &record_hash(id as u64, record)));
		assert!(in_block.verify(&root, &batch.root));
	}
}

#[test]
fn try_state_notices_what_must_not_be() {
	run(|| {
		let base = Provenance::record_start(0, hash(1), hash(2));
		System::set_block_number(2);
		let base = Provenance::record_round(0, 0, base, updates(1, 2), hash(9), TERMS).weights;
		System::set_block_number(3);
		Provenance::record_round(0, 1, base, updates(2, 2), hash(10), TERMS);
		let broken = |change: &dyn Fn()| {
			assert_err!(
				with_storage_layer::<(), DispatchError, _>(|| {
					change();
					assert!(Provenance::do_try_state().is_err());
					Err(DispatchError::Other("undone"))
				}),
				DispatchError::Other("undone")
			)
		};
		let change_batch = |change: &dyn Fn(&mut BatchOf<Test>)| {
			Batches::<Test>::mutate(1, |b| change(b.as_mut().expect("exists")));
		};
		broken(&|| Batches::<Test>::remove(1));
		broken(&|| RecordCount::<Test>::put(99));
		broken(&|| BatchCount::<Test>::put(2));
		broken(&|| change_batch(&|b| b.first = 3));
		broken(&|| change_batch(&|b| b.count = 0));
		broken(&|| change_batch(&|b| b.block = 0));
		broken(&|| change_batch(&|b| b.root = hash(1)));
		broken(&|| change_batch(&|b| b.round = None));
		broken(&|| StartRecords::<Test>::remove(0));
		broken(&|| StartRecords::<Test>::mutate(0, |r| r.as_mut().expect("exists")[0].artifact = hash(3)));
		broken(&|| StartRecords::<Test>::insert(1, BoundedVec::default()));
		broken(&|| StartRecords::<Test>::insert(9, BoundedVec::default()));
		broken(&|| WeightsRecord::<Test>::remove(hash(2)));
		broken(&|| WeightsRecord::<Test>::insert(hash(77), 3));
		broken(&|| WeightsRecord::<Test>::insert(hash(77), 7));
		broken(&|| WeightsRecord::<Test>::insert(hash(77), 1));
		broken(&|| Newest::<Test>::mutate(|n| n.before = None));
		broken(&|| Newest::<Test>::mutate(|n| n.tree.push(hash(1))));
		broken(&Newest::<Test>::kill);
		broken(&|| System::set_block_number(2));
	});
}

/// What a random history does.
#[derive(Clone, Debug)]
enum Step {
	Start { weights: u64 },
	Round { programme: usize, updates: u64, weights: u64 },
	NextBlock { blocks: u64 },
}

proptest! {
	#![proptest_config(ProptestConfig::with_cases(64))]

	/// Whatever is appended and whenever: the state's rules hold after each step, what is appended never changes, and
	/// every block's root is asked for at the right time and is that of its batches.
	#[test]
	fn ledger_of_any_history_is_complete_and_committed_to(
		steps in prop::collection::vec(
			prop_oneof![
				1 => (0u64..20).prop_map(|weights| Step::Start { weights }),
				4 => (any::<usize>(), 1u64..20, 0u64..1_000)
					.prop_map(|(programme, updates, weights)| Step::Round { programme, updates, weights }),
				3 => (1u64..3).prop_map(|blocks| Step::NextBlock { blocks }),
			],
			1..60,
		)
	) {
		let mut chain = chain();
		let mut model: Vec<RecordOfT<Test>> = Vec::new();
		let (mut newest, mut this_block) = (Vec::<RecordId>::new(), Vec::new());
		for (n, step) in steps.into_iter().enumerate() {
			let appended = chain.execute_with(|| {
				match step {
					Step::Start { weights } => {
						let programme = newest.len() as u32;
						newest.push(Provenance::record_start(programme, hash(1), hash(weights)));
						this_block.push(BatchCount::<Test>::get() - 1);
					},
					Step::Round { programme, updates: count, weights } if !newest.is_empty() => {
						let programme = programme % newest.len();
						let left = Provenance::record_round(
							programme as u32,
							n as u32,
							newest[programme],
							updates(n as u64 + 1, count),
							hash(weights),
							TERMS,
						);
						newest[programme] = left.weights;
						this_block.push(BatchCount::<Test>::get() - 1);
					},
					Step::Round { .. } => {},
					Step::NextBlock { blocks } => {
						System::set_block_number(System::block_number() + blocks);
						let expected = match blocks {
							1 => ledger::root(this_block.drain(..).map(|id| batch(id).root)),
							_ => H256::zero(),
						};
						this_block.clear();
						assert_eq!(Provenance::parent_root(), expected);
					},
				}
				Provenance::do_try_state().expect("the ledger's invariants hold");
				RecordCount::<Test>::get()
			});
			let now = records(&mut chain);
			prop_assert_eq!(now.len() as u64, appended);
			prop_assert_eq!(&now[..model.len()], &model[..]);
			model = now;
		}
	}
}
