//! Hashes of results that must never change: not with the thread count, the build, the processor, or a later version.
//!
//! A difference here means that committees of mixed versions would not agree, and that auditors could not recompute
//! what was recorded. A rule whose arithmetic has to change gets a new name instead.
#![allow(clippy::unwrap_used)]

mod common;

use cairn_aggregation::{
	next_weights, settle_with, AggregationRule, Bucketing, CheckedUpdate, EffectiveSteps, Method, Mixing,
	Normalisation, PreAggregation, ServerOptimiser,
};
use cairn_artifacts::{artifact_hash, Tensor, TensorFile};
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
	tensors_of(&SHAPES, seed, number)
}

fn tensors_of(shapes: &[(&str, &[usize])], seed: u64, number: fn(&mut ChaCha20Rng) -> f32) -> Vec<Tensor> {
	let mut rng = ChaCha20Rng::seed_from_u64(seed);
	shapes
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

// ---- every rule, and what surrounds it, over two rounds ----

const MEDIAN: AggregationRule = AggregationRule::CoordinateMedian;
const KRUM: AggregationRule = AggregationRule::Krum { hostile: 2 };
const MULTI_KRUM: AggregationRule = AggregationRule::MultiKrum { hostile: 1, selected: 3 };
const SMALL_KRUM: AggregationRule = AggregationRule::Krum { hostile: 0 };
const RFA: AggregationRule = AggregationRule::GEOMETRIC_MEDIAN;
const CLIPPING: AggregationRule = AggregationRule::CENTERED_CLIPPING;
const MEAN: AggregationRule = AggregationRule::WeightedMean;
const TRIMMED: AggregationRule = AggregationRule::TrimmedMean { trim: 1 };

const NONE: PreAggregation = PreAggregation { normalisation: None, bucketing: None, mixing: None };
const BUCKETS: PreAggregation =
	PreAggregation { bucketing: Some(Bucketing { size: 2, seed: [0x33; 32] }), ..NONE };
const MIXED: PreAggregation = PreAggregation { mixing: Some(Mixing { hostile: 3 }), ..NONE };
const NORMALISED: PreAggregation = PreAggregation {
	normalisation: Some(Normalisation { effective: EffectiveSteps::Median, cap: 3_000_000 }),
	..NONE
};
const BY_MEAN: PreAggregation = PreAggregation {
	normalisation: Some(Normalisation { effective: EffectiveSteps::Mean, cap: 3_000_000 }),
	..NONE
};
const ALL: PreAggregation = PreAggregation {
	normalisation: NORMALISED.normalisation,
	bucketing: BUCKETS.bucketing,
	mixing: Some(Mixing { hostile: 1 }),
};

const PLAIN: ServerOptimiser = ServerOptimiser::PLAIN;
const SLOW: ServerOptimiser = ServerOptimiser::Sgd { rate: 300_000 };
const NESTEROV: ServerOptimiser = ServerOptimiser::DILOCO;
const ADAM: ServerOptimiser =
	ServerOptimiser::Adam { rate: 10_000, beta1: 900_000, beta2: 990_000, epsilon: 1_000_000_000 };

/// Numbers near one another, so that every update matters to a rule that looks at distances.
fn mild(rng: &mut ChaCha20Rng) -> f32 {
	let (kind, u) = (rng.next_u32() % 64, rng.next_u32());
	match kind {
		0 => -0.0,
		1 => f32::from_bits(u & 0x807f_ffff),
		_ => (u >> 8) as f32 / 8_388_608.0 - 1.0,
	}
}

/// Updates of a round that starts from `base`. A few share a direction, so that they are not all equally far apart.
fn mild_updates(base: &TensorFile, seed: u64) -> Vec<CheckedUpdate> {
	let common = tensors_of(&SHORT, seed, mild);
	let of = |i: usize| {
		let mut own = tensors_of(&SHORT, seed + 1 + i as u64, mild);
		let part = [0.9, 0.4, 0.7, 0.2, -0.3, 0.0, -1.0][i];
		for (own, common) in own.iter_mut().zip(&common) {
			for (x, y) in own.data.iter_mut().zip(&common.data) {
				*x = *x / 2.0 + part * y;
			}
		}
		let (samples, steps) = ([17, 1, 4_000, 250, 333, 1009, 64][i], [40, 10, 80, 20, 40, 7, 300][i]);
		update_of_steps(base, i, samples, steps, own)
	};
	(0..UPDATES).map(of).collect()
}

/// One hash over weights, state and quality of two rounds, the second of which starts from what the first left.
fn two_rounds(
	rule: AggregationRule,
	pre: PreAggregation,
	optimiser: ServerOptimiser,
	threads: usize,
) -> String {
	let method = Method { pre, optimiser };
	let mut weights = base(tensors_of(&SHORT, 1_000, mild));
	let mut state: Option<TensorFile> = None;
	let mut seen = Vec::new();
	for seed in [2_000, 3_000] {
		let (updates, round) = (mild_updates(&weights, seed), round(&weights, rule));
		let settled = settle_with(&round, &method, &weights, state.as_ref(), &updates, threads).unwrap();
		seen.extend_from_slice(settled.hash.as_bytes());
		seen.extend(settled.state.iter().flat_map(|state| state.hash.as_bytes().to_vec()));
		seen.extend_from_slice(&settled.quality);
		weights = TensorFile::from_bytes(&settled.bytes).unwrap();
		state = settled.state.map(|state| TensorFile::from_bytes(&state.bytes).unwrap());
	}
	format!("{:?}", artifact_hash(&seen))
}

/// Just longer than what one thread takes on at once.
const SHORT: [(&str, &[usize]); 4] = [("a", &[]), ("b", &[32_768 + 8 + 3]), ("c", &[2, 3]), ("d", &[0])];

type Golden = (AggregationRule, PreAggregation, ServerOptimiser, &'static str);

fn table_holds(table: &[Golden]) {
	let mut found = Vec::new();
	let mut equal = true;
	for (rule, pre, optimiser, golden) in table {
		let of = |threads| two_rounds(*rule, *pre, *optimiser, threads);
		let one = of(1);
		for threads in [2, 7] {
			assert_eq!(of(threads), one, "{rule:?} {pre:?} {optimiser:?} on {threads} threads");
		}
		equal &= one == *golden;
		found.push(one);
	}
	assert!(equal, "results changed; they are now {found:#?}");
}

#[test]
fn every_rule_gives_its_golden_hash_on_any_number_of_threads() {
	table_holds(&[
		(MEAN, NONE, PLAIN, "0xfa154b050a6f242a2a4075b96e390f442f0472127f52f50e6aaa39ce65bd8cfc"),
		(TRIMMED, NONE, PLAIN, "0x357cbdd546d4e75ff190c5499322ce40be27e8a97f47ad73740bb038774259a2"),
		(MEDIAN, NONE, PLAIN, "0xf63f59edfb29eb022fa1b6563f5305858a843ac688944911e51db3e786b0444d"),
		(KRUM, NONE, PLAIN, "0xde8b77e5f0a758e22ab2a1894c599b8a4fc71184319fcc01d641a6a3dfc5bce6"),
		(MULTI_KRUM, NONE, PLAIN, "0xabc23bf240f6f2804006d2622f4e5b10687831da29a2240f1ffd93e5930793a6"),
		(RFA, NONE, PLAIN, "0x5ff059ed6c0ae5643b18241cef45d0bac8828d0cf77ce8537d34a09125f53f73"),
		(CLIPPING, NONE, PLAIN, "0x61ded5a8af69c0dca51c53a1765fedfeaf2e8083e68268f537fc7cf6798e6049"),
	]);
}

#[test]
fn every_rule_over_buckets_gives_its_golden_hash_on_any_number_of_threads() {
	table_holds(&[
		(MEAN, BUCKETS, PLAIN, "0x69253e740d6596295650fa5d45d5997a2feed0c40d7eaefdc97f66050f0555b0"),
		(TRIMMED, BUCKETS, PLAIN, "0x06a0fed037f99b26c3b12b281d506a1ed305fa4fabc028cabfa94e18e6a299ac"),
		(MEDIAN, BUCKETS, PLAIN, "0x06a0fed037f99b26c3b12b281d506a1ed305fa4fabc028cabfa94e18e6a299ac"),
		(SMALL_KRUM, BUCKETS, PLAIN, "0xb5d618f0fd8436757b06aeff4199a248bca0ba78d5ba3633e1f694dd7263e264"),
		(RFA, BUCKETS, PLAIN, "0x87f55f188bac59cb2f02f404c65984b395fae9babc075b62f4d4d4a436ce7fce"),
		(CLIPPING, BUCKETS, PLAIN, "0xe4aec38aea5a7d318e56eaa09cb25dc85816660c3e3dfec3499703a232d03f62"),
	]);
}

#[test]
fn every_rule_after_mixing_gives_its_golden_hash_on_any_number_of_threads() {
	table_holds(&[
		(MEAN, MIXED, PLAIN, "0xa825828ac4692bd51847ae19074bbcda607842d79f835de9d80ffefc13f8cf65"),
		(TRIMMED, MIXED, PLAIN, "0xf129f621f329c35b7c4c10cc277906d0cf6d0f50fd031a19ccfb77a9654647ef"),
		(MEDIAN, MIXED, PLAIN, "0xcfd1abec7f37cae8feb5f3e74d0ffa1874c79609d8a2ed89963f263724a89893"),
		(KRUM, MIXED, PLAIN, "0x3fa7423c6b084b947a0a069a7f283d226e8790179c45bc0d7d0bb87c09c4be7c"),
		(MULTI_KRUM, MIXED, PLAIN, "0x26cc19884ec345fb6c2549f473bf5bf55041630cc9a18219d8eec4590cab0db9"),
		(RFA, MIXED, PLAIN, "0x59da4c3c1a510f090b6e670b01666d69ab6cc4db14d2c6b8ed644720e8e1662f"),
		(CLIPPING, MIXED, PLAIN, "0xceedbf019b89de5e42912904e16352ddf257dcc4a6abcd447017e229f94e10d9"),
	]);
}

#[test]
fn normalisation_gives_the_golden_hashes_on_any_number_of_threads() {
	table_holds(&[
		(MEAN, BY_MEAN, PLAIN, "0xd4dea5e9423a7f231d5868532c6b4c1b07d07a8161a6ce364f8e32d9d9ee942a"),
		(MEAN, NORMALISED, PLAIN, "0xc78e4eb23d588d16502e9481c8f79407ea1702bd58fe104d43b26f222e6eadf3"),
		(MEDIAN, NORMALISED, PLAIN, "0x4cbff860afa2a5bd022c5674aff9016f37bac20515c993248baea96727399e7a"),
		(MEDIAN, ALL, PLAIN, "0x51ea4068a8bcdc2fb21eb43ee4884737914d5f835714bd36670f7d9c1205fcd9"),
		(CLIPPING, ALL, PLAIN, "0x6b4d4fb08d6c6f83a6bc55fd13a119e0c595bc8e6ef1b7d33ac994c27512ca5b"),
		(RFA, ALL, PLAIN, "0x9d34e52c7e39e9eb06794f4a4970b6db633489f09914288a21bfdd4d2537d6b5"),
	]);
}

#[test]
fn server_optimisers_give_the_golden_hashes_on_any_number_of_threads() {
	table_holds(&[
		(MEAN, NONE, SLOW, "0x929872febea708852676ca598c6ff75c81f4ad7ee48dc46a20eaa27ac43cb73a"),
		(MEAN, NONE, NESTEROV, "0x31e63022b8877fbef241c462a3ba1dd06f53e4cdd5755572accd2381da5fb46e"),
		(MEAN, NONE, ADAM, "0xdb563a3701118f8b57feee617b1e56f45a655ce3ad7356559cfa241c30f11dd4"),
		(CLIPPING, NONE, NESTEROV, "0xdc4c236221c8e12161b9a8a945de0c61a9d3b6e136f3f367258873448bc7b638"),
		(CLIPPING, NONE, ADAM, "0xac9e604172e01a1874ad9b0e60a01d859899cb82f9afd1b2e72c8b9925dd3d44"),
		(CLIPPING, ALL, ADAM, "0xddd63c583f1038b382e9764ca7bcd8dbbd0f8b3908871670f98a16d48c10718f"),
	]);
}

#[test]
fn rules_give_the_golden_hashes_for_numbers_of_very_different_sizes() {
	let table = [
		(MEDIAN, "0xf397a9a1d2ae0ca8b6931a24266a39076bfade0f2538ce4457f1abc07d48b37b"),
		(KRUM, "0xf008cb1b6e3a77847c65d1cd9f17cf9008bb75ca3fbbbedf96818b372e26f336"),
		(MULTI_KRUM, "0x0a0977209ced40c12650846e0320b2c8dbfdad838755fbd82b335e43898d7281"),
		(RFA, "0x15610b1a0fdcedfc4661109b88e8f7f9d2a20960f37e4278b07a6fd64a8ec33f"),
		(CLIPPING, "0x585f45fdb464be6f7e0311b3a709f85f1d44cefef9a434c1096cd3e05fe7337a"),
	];
	let (base, updates) = inputs();
	let found = table.map(|(rule, _)| {
		let of = |threads| next_weights(&round(&base, rule), &base, &updates, threads).unwrap().0;
		let one = of(1);
		assert_eq!(of(3), one, "{rule:?}");
		format!("{one:?}")
	});
	let equal = found.iter().zip(table).all(|(found, (_, golden))| found == golden);
	assert!(equal, "results changed; they are now {found:#?}");
}
