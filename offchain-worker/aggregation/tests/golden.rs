//! Hashes of results that must never change: not with the thread count, the build, the processor, or a later version.
//!
//! A difference here means that committees of mixed versions would not agree, and that auditors could not recompute
//! what was recorded. A rule whose arithmetic has to change gets a new name instead.
#![allow(clippy::unwrap_used)]

mod common;

use cairn_aggregation::{next_weights, AggregationRule, CheckedUpdate};
use cairn_artifacts::{Tensor, TensorFile};
use common::*;
use rand_chacha::{
	rand_core::{RngCore, SeedableRng},
	ChaCha20Rng,
};

const UPDATES: usize = 7;
/// The second tensor is longer than what one thread takes on at once, and no multiple of it.
const SHAPES: [(&str, &[usize]); 5] = [
	("bias", &[]),
	("conv.weight", &[70_001]),
	("dense.weight", &[4, 3, 3, 3]),
	("empty", &[0]),
	("z", &[513]),
];

/// Numbers as training gives them, with every kind of hard case strewn in: zeros of both signs, subnormal numbers, and
/// magnitudes so far apart that the order of summation shows.
fn number(rng: &mut ChaCha20Rng) -> f32 {
	let small = |u: u32| (u >> 8) as f32 / 8_388_608.0 - 1.0;
	let (kind, u) = (rng.next_u32() % 64, rng.next_u32());
	match kind {
		0 => 0.0,
		1 => -0.0,
		2 => f32::from_bits(u & 0x807f_ffff),
		3 => small(u) * 1e30,
		4 => small(u) * 1e-30,
		_ => small(u),
	}
}

fn tensors(seed: u64) -> Vec<Tensor> {
	let mut rng = ChaCha20Rng::seed_from_u64(seed);
	SHAPES
		.iter()
		.map(|(name, shape)| {
			let data: Vec<f32> = (0..shape.iter().product()).map(|_| number(&mut rng)).collect();
			tensor(name, shape, &data)
		})
		.collect()
}

fn inputs() -> (TensorFile, Vec<CheckedUpdate>) {
	let base = base(tensors(0));
	let updates = (0..UPDATES)
		.map(|i| update(&base, i, [17, 1, 4_000_000_000, 250, 333, 1009, 64][i], tensors(i as u64 + 1)))
		.collect();
	(base, updates)
}

fn results_are(rule: AggregationRule, golden: &str) {
	let (base, updates) = inputs();
	for threads in [1, 2, 3, 7] {
		let (hash, _) = next_weights(&round(&base, rule), &base, &updates, threads).unwrap();
		assert_eq!(format!("{hash:?}"), golden, "{rule:?} on {threads} threads");
	}
}

#[test]
fn inputs_are_the_golden_ones() {
	let (base, updates) = inputs();
	assert_eq!(
		format!("{:?}", base.hash()),
		"0x316096b8cf54f647dbf8a98191fe90ee5c9c9a3bce88551f4408d01b057b6c90"
	);
	assert_eq!(
		format!("{:?}", updates[6].hash()),
		"0x8e312ec35aed5215e69528fc4f6153f5584d2a7e2f73803e4cf3d4149f5697d6"
	);
}

#[test]
fn weighted_mean_gives_the_golden_hash_on_any_number_of_threads() {
	results_are(
		AggregationRule::WeightedMean,
		"0x1d1cb032680e12754f4ea49cd49159046fe19501739b017483f2685fff2a9d8d",
	);
}

#[test]
fn trimmed_mean_gives_the_golden_hash_on_any_number_of_threads() {
	results_are(
		AggregationRule::TrimmedMean { trim: 2 },
		"0x7eed54b3f257cb59db00051ed6453744a59ea1ac15f41c842c61d1352925206d",
	);
}
