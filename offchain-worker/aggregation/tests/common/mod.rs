//! Rounds made of given numbers.
#![allow(dead_code)]

use cairn_aggregation::{
	check_update, AggregationRule, CheckedUpdate, ExpectedUpdate, RoundInputs, UpdateEnvelope, UpdateRefused,
	WeightsEnvelope,
};
use cairn_artifacts::{artifact_hash, Tensor, TensorFile};
use cairn_primitives::H256;

pub const GENESIS: H256 = H256([0x11; 32]);
pub const CONFIG: H256 = H256([0x22; 32]);

pub fn tensor(name: &str, shape: &[usize], data: &[f32]) -> Tensor {
	Tensor { name: name.into(), shape: shape.into(), data: data.into() }
}

/// A single tensor `w` with these elements.
pub fn flat(data: &[f32]) -> Vec<Tensor> {
	vec![tensor("w", &[data.len()], data)]
}

pub fn base(tensors: Vec<Tensor>) -> TensorFile {
	TensorFile::new(WeightsEnvelope::Genesis { config: CONFIG }.to_metadata(), tensors).unwrap()
}

pub fn envelope(base: &TensorFile, index: usize, samples: u32) -> UpdateEnvelope {
	UpdateEnvelope {
		genesis: GENESIS,
		programme: 1,
		round: 2,
		base: base.hash(),
		config: CONFIG,
		producer: [index as u8; 32],
		device: index as u32,
		samples,
		local_steps: 10,
		clip_norm: 0.0,
		noise_multiplier: 0.0,
		seed: 3,
	}
}

/// What the chain knows of an honest update with this envelope.
pub fn expected(envelope: &UpdateEnvelope) -> ExpectedUpdate {
	envelope.into()
}

pub fn bytes(envelope: &UpdateEnvelope, tensors: Vec<Tensor>) -> Vec<u8> {
	TensorFile::new(envelope.to_metadata(), tensors).unwrap().to_bytes()
}

pub fn try_update(
	base: &TensorFile,
	index: usize,
	samples: u32,
	tensors: Vec<Tensor>,
) -> Result<CheckedUpdate, UpdateRefused> {
	checked(base, envelope(base, index, samples), tensors)
}

fn checked(
	base: &TensorFile,
	envelope: UpdateEnvelope,
	tensors: Vec<Tensor>,
) -> Result<CheckedUpdate, UpdateRefused> {
	let bytes = bytes(&envelope, tensors);
	check_update(&bytes, &artifact_hash(&bytes), &expected(&envelope), base)
}

pub fn update(base: &TensorFile, index: usize, samples: u32, tensors: Vec<Tensor>) -> CheckedUpdate {
	try_update(base, index, samples, tensors).unwrap()
}

/// An update that declares so many local steps.
pub fn update_of_steps(
	base: &TensorFile,
	index: usize,
	samples: u32,
	local_steps: u32,
	tensors: Vec<Tensor>,
) -> CheckedUpdate {
	let envelope = UpdateEnvelope { local_steps, ..envelope(base, index, samples) };
	checked(base, envelope, tensors).unwrap()
}

/// Updates of one tensor `w` each, with these samples.
pub fn updates_of(base: &TensorFile, samples: &[u32], rows: &[Vec<f32>]) -> Vec<CheckedUpdate> {
	rows.iter().zip(samples).enumerate().map(|(i, (row, s))| update(base, i, *s, flat(row))).collect()
}

pub fn round(base: &TensorFile, rule: AggregationRule) -> RoundInputs {
	RoundInputs { genesis: GENESIS, programme: 1, round: 2, config: CONFIG, base: base.hash(), rule }
}

pub fn bits<D: std::ops::Deref<Target = [f32]>>(tensors: &[Tensor<D>]) -> Vec<Vec<u32>> {
	tensors.iter().map(|t| t.data.iter().map(|x| x.to_bits()).collect()).collect()
}
