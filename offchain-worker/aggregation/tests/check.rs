//! What is refused before it is aggregated.
#![allow(clippy::unwrap_used)]

mod common;

use cairn_aggregation::{check_update, ExpectedUpdate, Refusal, ShapeDifference};
use cairn_artifacts::{artifact_hash, TensorFile};
use cairn_primitives::{envelope::EnvelopeError, H256};
use common::*;

fn model() -> TensorFile {
	base(vec![tensor("bias", &[2], &[0.0; 2]), tensor("w", &[2, 2], &[1.0; 4])])
}

fn like_model(w: [f32; 4]) -> Vec<cairn_artifacts::Tensor> {
	vec![tensor("bias", &[2], &[0.5; 2]), tensor("w", &[2, 2], &w)]
}

fn reason(tensors: Vec<cairn_artifacts::Tensor>) -> Refusal {
	try_update(&model(), 0, 5, tensors).unwrap_err().reason
}

#[test]
fn honest_update_is_accepted_as_it_is() {
	let model = model();
	let checked = update(&model, 3, 5, like_model([0.1, -0.0, 1e-40, f32::MAX]));
	assert_eq!(checked.envelope(), &envelope(&model, 3, 5));
	assert_eq!(checked.hash(), checked.file().hash());
	assert_eq!(bits(checked.tensors()), bits(&like_model([0.1, -0.0, 1e-40, f32::MAX])));
}

#[test]
fn update_is_refused_when_its_bytes_are_not_the_committed_artifact() {
	let model = model();
	let envelope = envelope(&model, 0, 5);
	let good = bytes(&envelope, like_model([1.0; 4]));
	let hash = artifact_hash(&good);
	for at in [0, 8, 100, good.len() - 1] {
		let mut corrupt = good.clone();
		corrupt[at] ^= 0x40;
		let refused = check_update(&corrupt, &hash, &expected(&envelope), &model).unwrap_err();
		assert_eq!(refused.update, hash);
		assert_eq!(refused.reason, Refusal::Hash { found: artifact_hash(&corrupt) });
		assert!(refused.to_string().contains(&format!("{hash:?}")), "{refused}");
	}
}

#[test]
fn update_is_refused_when_not_canonical_even_if_that_is_what_was_committed() {
	let model = model();
	let envelope = envelope(&model, 0, 5);
	let mut longer = bytes(&envelope, like_model([1.0; 4]));
	longer.push(0);
	for bytes in [longer, Vec::new(), b"hello".to_vec()] {
		let refused = check_update(&bytes, &artifact_hash(&bytes), &expected(&envelope), &model).unwrap_err();
		assert!(matches!(refused.reason, Refusal::Format(_)), "{refused}");
	}
}

#[test]
fn update_is_refused_when_it_declares_other_than_the_chain_knows() {
	let model = model();
	let envelope = envelope(&model, 0, 5);
	let bytes = bytes(&envelope, like_model([1.0; 4]));
	type Change = fn(&mut ExpectedUpdate);
	let changes: [(&str, Change); 9] = [
		("genesis", |e| e.genesis = H256::zero()),
		("programme", |e| e.programme += 1),
		("round", |e| e.round += 1),
		("base", |e| e.base = H256::zero()),
		("config", |e| e.config = H256::zero()),
		("producer", |e| e.producer = [9; 32]),
		("device", |e| e.device += 1),
		("samples", |e| e.samples += 1),
		("local_steps", |e| e.local_steps += 1),
	];
	for (name, change) in changes {
		let mut chain = expected(&envelope);
		change(&mut chain);
		let refused = check_update(&bytes, &artifact_hash(&bytes), &chain, &model).unwrap_err();
		assert!(
			matches!(&refused.reason, Refusal::Envelope(EnvelopeError::Mismatch { field, .. }) if *field == name),
			"{refused}"
		);
		assert!(refused.to_string().contains(name), "{refused}");
	}
}

#[test]
fn weights_are_refused_as_an_update() {
	let model = model();
	let bytes = model.to_bytes();
	let chain = expected(&envelope(&model, 0, 5));
	let refused = check_update(&bytes, &artifact_hash(&bytes), &chain, &model).unwrap_err();
	assert!(
		matches!(&refused.reason, Refusal::Envelope(EnvelopeError::Mismatch { field: "cairn", .. })),
		"{refused}"
	);
}

#[test]
fn update_is_refused_when_its_tensors_are_not_the_models() {
	let bias = || tensor("bias", &[2], &[0.0; 2]);
	let w = || tensor("w", &[2, 2], &[0.0; 4]);
	let missing = |t: &str| Refusal::Shape(ShapeDifference::Missing { tensor: t.into() });
	let unknown = |t: &str| Refusal::Shape(ShapeDifference::Unknown { tensor: t.into() });
	assert_eq!(reason(vec![]), missing("bias"));
	assert_eq!(reason(vec![bias()]), missing("w"));
	assert_eq!(reason(vec![w()]), missing("bias"));
	for extra in ["a", "c", "z"] {
		assert_eq!(reason(vec![bias(), w(), tensor(extra, &[], &[0.0])]), unknown(extra));
	}
	for shape in [&[4][..], &[1, 4], &[2, 2, 1]] {
		assert_eq!(
			reason(vec![bias(), tensor("w", shape, &[0.0; 4])]),
			Refusal::Shape(ShapeDifference::Shape {
				tensor: "w".into(),
				found: shape.into(),
				expected: vec![2, 2]
			})
		);
	}
}

#[test]
fn update_is_refused_when_an_element_is_not_finite() {
	for bad in [f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::from_bits(0x7f80_0001)] {
		match reason(like_model([1.0, 1.0, bad, bad])) {
			Refusal::NotFinite { tensor, index: 2, value } if tensor == "w" => {
				assert_eq!(value.to_bits(), bad.to_bits());
			},
			other => panic!("{other}"),
		}
	}
}
