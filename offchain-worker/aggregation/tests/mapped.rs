//! Updates in mapped files: the same verdicts and the same bits as those in memory.
#![allow(clippy::unwrap_used)]

mod common;

use cairn_aggregation::{
	check_mapped_update, check_update, settle, settle_with, AggregationRule, CheckedUpdate, Method, Refusal,
	ServerOptimiser,
};
use cairn_artifacts::{artifact_hash, MappedFile, Store, TensorFile};
use common::*;
use tempfile::TempDir;

fn store() -> (TempDir, Store) {
	let dir = TempDir::new().unwrap();
	let store = Store::open(dir.path().join("store")).unwrap();
	(dir, store)
}

fn map(store: &Store, bytes: &[u8]) -> MappedFile {
	store.map(&store.put(bytes).unwrap()).unwrap().unwrap()
}

fn rows(i: usize) -> Vec<cairn_artifacts::Tensor> {
	let data: Vec<f32> = (0..33_001).map(|c| ((c * 31 + i * 17) % 97) as f32 / 48.0 - 1.0).collect();
	// Behind a tensor of 3 elements nothing is aligned to more than 4 bytes.
	vec![tensor("a", &[3], &data[..3]), tensor("b", &[data.len()], &data), tensor("c", &[0], &[])]
}

#[test]
fn settlement_of_mapped_files_is_that_of_the_same_files_in_memory() {
	let (_dir, store) = store();
	let in_memory = base(rows(100));
	let mapped_base = TensorFile::from_mapped(&map(&store, &in_memory.to_bytes())).unwrap();
	assert_eq!((mapped_base.hash(), &mapped_base), (in_memory.hash(), &in_memory));
	let both = |i: usize| -> (CheckedUpdate, CheckedUpdate) {
		let envelope = envelope(&in_memory, i, 10 + i as u32);
		let (bytes, expected) = (bytes(&envelope, rows(i)), expected(&envelope));
		let hash = artifact_hash(&bytes);
		let file = map(&store, &bytes);
		(
			check_update(&bytes, &hash, &expected, &mapped_base).unwrap(),
			check_mapped_update(&file, &hash, &expected, &in_memory).unwrap(),
		)
	};
	let (owned, mapped): (Vec<_>, Vec<_>) = (0..7).map(both).unzip();
	assert_eq!(owned, mapped);
	// What the store gives up meanwhile is still there for those that have it mapped.
	for hash in store.list().unwrap() {
		assert!(store.remove(&hash).unwrap());
	}
	for rule in [
		AggregationRule::WeightedMean,
		AggregationRule::CoordinateMedian,
		AggregationRule::Krum { hostile: 2 },
		AggregationRule::GEOMETRIC_MEDIAN,
	] {
		let round = round(&in_memory, rule);
		let expected = settle(&round, &in_memory, &owned, 1).unwrap();
		assert_eq!(settle(&round, &mapped_base, &mapped, 3), Ok(expected), "{rule:?}");
	}
}

#[test]
fn state_in_a_mapped_file_gives_the_same_next_round() {
	let (_dir, store) = store();
	let method = Method { optimiser: ServerOptimiser::DILOCO, ..Method::default() };
	let rule = AggregationRule::CENTERED_CLIPPING;
	let first = base(rows(100));
	let updates: Vec<_> = (0..3).map(|i| update(&first, i, 1, rows(i))).collect();
	let settled = settle_with(&round(&first, rule), &method, &first, None, &updates, 2).unwrap();
	let state = settled.state.unwrap().bytes;
	let (in_memory, mapped) =
		(TensorFile::from_bytes(&state).unwrap(), TensorFile::from_mapped(&map(&store, &state)).unwrap());
	let second = TensorFile::from_mapped(&map(&store, &settled.bytes)).unwrap();
	let updates: Vec<_> = (0..3).map(|i| update(&second, i, 1, rows(i + 3))).collect();
	let next =
		|state| settle_with(&round(&second, rule), &method, &second, Some(state), &updates, 2).unwrap();
	assert_eq!(next(&in_memory), next(&mapped));
}

#[test]
fn mapped_update_is_refused_for_the_reasons_of_one_in_memory() {
	let (_dir, store) = store();
	let base = base(flat(&[1.0, 2.0]));
	let envelope = envelope(&base, 0, 1);
	let expected = expected(&envelope);
	let good = bytes(&envelope, flat(&[0.5, 0.5]));
	let spoilt = [
		bytes(&envelope, flat(&[f32::NAN, 0.5])),
		bytes(&envelope, flat(&[0.5, f32::NEG_INFINITY])),
		bytes(&envelope, flat(&[0.5])),
		good[..good.len() - 1].to_vec(),
		good[..5].to_vec(),
		Vec::new(),
	];
	for bytes in spoilt {
		let hash = artifact_hash(&bytes);
		let refused = check_mapped_update(&map(&store, &bytes), &hash, &expected, &base).unwrap_err();
		let in_memory = check_update(&bytes, &hash, &expected, &base).unwrap_err();
		// NaN is not equal to itself, so it is what they say that is compared.
		assert_eq!(refused.to_string(), in_memory.to_string());
	}
	let other = artifact_hash(b"another");
	let refused = check_mapped_update(&map(&store, &good), &other, &expected, &base).unwrap_err();
	assert_eq!((refused.update, refused.reason), (other, Refusal::Hash { found: artifact_hash(&good) }));
}
