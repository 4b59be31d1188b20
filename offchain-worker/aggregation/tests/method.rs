//! What surrounds the rules: pre-aggregation, server optimisers, and the state that goes from round to round.
#![allow(clippy::unwrap_used)]

mod common;
#[path = "common/reference.rs"]
mod reference;

use cairn_aggregation::{
	aggregate, aggregate_with, settle, settle_with, AggregationError, AggregationRule, Bucketed, Bucketing,
	CheckedUpdate, EffectiveSteps, Method, Mixing, Normalisation, PreAggregation, RoundInputs,
	ServerOptimiser, Settlement, StateEnvelope, WeightsEnvelope,
};
use cairn_artifacts::{artifact_hash, TensorFile};
use cairn_primitives::round::inputs_digest;
use common::*;
use proptest::prelude::*;

const MEAN: AggregationRule = AggregationRule::WeightedMean;
const CLIPPING: AggregationRule = AggregationRule::CenteredClipping { radius: 2_000_000, iterations: 2 };
const ADAM: ServerOptimiser =
	ServerOptimiser::Adam { rate: 10_000, beta1: 900_000, beta2: 999_000, epsilon: 10_000 };

/// The README's order of updates, from its own words.
fn buckets(bucketing: Option<Bucketing>, n: usize) -> Vec<Vec<usize>> {
	let Some(Bucketing { size, seed }) = bucketing else { return Vec::new() };
	let mut stream = blake3::Hasher::new_derive_key("cairn 2026-11 bucketing order v1");
	stream.update(&seed);
	let mut bytes = vec![0u8; 8 * n];
	stream.finalize_xof().fill(&mut bytes);
	let mut words = bytes.chunks(8).map(|w| u64::from_le_bytes(w.try_into().unwrap()));
	let mut order: Vec<usize> = (0..n).collect();
	for i in (1..n).rev() {
		let j = u128::from(words.next().unwrap()) * (i as u128 + 1) / (1u128 << 64);
		order.swap(i, j as usize);
	}
	order
		.chunks(size as usize)
		.map(|bucket| {
			let mut bucket = bucket.to_vec();
			bucket.sort();
			bucket
		})
		.collect()
}

fn pre() -> impl Strategy<Value = PreAggregation> {
	let effective = prop_oneof![Just(EffectiveSteps::Mean), Just(EffectiveSteps::Median)];
	let normalisation =
		(effective, 1_000_000u32..4_000_000).prop_map(|(effective, cap)| Normalisation { effective, cap });
	let bucketing = (1u32..4, any::<[u8; 32]>()).prop_map(|(size, seed)| Bucketing { size, seed });
	let mixing = (0u32..2).prop_map(|hostile| Mixing { hostile });
	(proptest::option::of(normalisation), proptest::option::of(bucketing), proptest::option::of(mixing))
		.prop_map(|(normalisation, bucketing, mixing)| PreAggregation { normalisation, bucketing, mixing })
}

fn value() -> impl Strategy<Value = f32> {
	prop_oneof![
		8 => -1.0f32..1.0,
		1 => any::<u32>().prop_map(f32::from_bits).prop_filter("finite", |x| x.is_finite()),
		1 => prop::sample::select(vec![0.0, -0.0, f32::MAX, f32::from_bits(1), -1e-42]),
	]
}

proptest! {
	#![proptest_config(ProptestConfig::with_cases(40))]

	#[test]
	fn result_is_the_documented_arithmetic_on_any_number_of_threads(
		(rows, samples, steps) in (7usize..12, 1usize..600).prop_flat_map(|(n, d)| (
			proptest::collection::vec(proptest::collection::vec(value(), d), n),
			proptest::collection::vec(1u32.., n),
			proptest::collection::vec(1u32..1000, n),
		)),
		pre in pre(),
		threads in 1usize..8,
	) {
		let base = base(flat(&rows[0]));
		let updates: Vec<_> = rows.iter().enumerate()
			.map(|(i, row)| update_of_steps(&base, i, samples[i], steps[i], flat(row))).collect();
		let buckets = buckets(pre.bucketing, rows.len());
		let (made, weights) = reference::prepare(&pre, &buckets, &rows, &samples, &steps);
		for rule in [
			MEAN,
			AggregationRule::CoordinateMedian,
			AggregationRule::Krum { hostile: 0 },
			AggregationRule::MultiKrum { hostile: 0, selected: 2 },
			AggregationRule::GEOMETRIC_MEDIAN,
			CLIPPING,
		] {
			let expected = reference::aggregate(rule, Some(&rows[0]), &made, &weights);
			let centre = flat(&rows[0]);
			let found = aggregate_with(rule, &pre, Some(&centre), &updates, threads).unwrap();
			prop_assert!(
				found[0].data.iter().zip(&expected).all(|(x, y)| x.to_bits() == (*y as f32).to_bits()),
				"{:?} {:?}", rule, pre
			);
		}
	}

	#[test]
	fn optimisers_are_the_documented_arithmetic_over_several_rounds(
		rounds in (1usize..200).prop_flat_map(|d| proptest::collection::vec(
			proptest::collection::vec(-1.0f32..1.0, d), 4)),
		rate in 1u32..2_000_000, one in 0u32..1_000_000, two in 0u32..1_000_000, epsilon in 1u64..1_000_000_000,
	) {
		let d = rounds[0].len();
		let of = |n: u32| f64::from(n) / 1e6;
		let (rate64, b1, b2, epsilon64) = (of(rate), of(one), of(two), epsilon as f64 / 1e12);
		for optimiser in [
			ServerOptimiser::Sgd { rate },
			ServerOptimiser::Nesterov { rate, momentum: one },
			ServerOptimiser::Adam { rate, beta1: one, beta2: two, epsilon },
		] {
			let mut weights = vec![0.25f32; d];
			let (mut m, mut r) = (vec![0.0f32; d], vec![0.0f32; d]);
			let mut place = Place::new(&weights);
			for (t, row) in rounds.iter().enumerate() {
				let (c1, c2) = (1.0 - power(b1, t + 1), 1.0 - power(b2, t + 1));
				for i in 0..d {
					let a = (0.0 + 1.0 * f64::from(row[i])) / 1.0;
					let w = f64::from(weights[i]);
					weights[i] = match optimiser {
						ServerOptimiser::Sgd { .. } => (w - rate64 * a) as f32,
						ServerOptimiser::Nesterov { .. } => {
							m[i] = (b1 * f64::from(m[i]) + a) as f32;
							(w - rate64 * (a + b1 * f64::from(m[i]))) as f32
						},
						ServerOptimiser::Adam { .. } => {
							let square = f64::from(r[i]) * f64::from(r[i]);
							m[i] = (b1 * f64::from(m[i]) + of(1_000_000 - one) * a) as f32;
							r[i] = (b2 * square + of(1_000_000 - two) * (a * a)).sqrt() as f32;
							let step = rate64 * (f64::from(m[i]) / c1) / (f64::from(r[i]) / c2.sqrt() + epsilon64);
							(w - step) as f32
						},
					};
				}
				place.advance(MEAN, optimiser, std::slice::from_ref(row)).unwrap();
				prop_assert_eq!(bits(place.base.tensors()), bits(&flat(&weights)), "{:?}", optimiser);
			}
		}
	}
}

fn power(x: f64, n: usize) -> f64 {
	match n {
		0 => 1.0,
		1 => x,
		_ => {
			// Bits from the lowest up: what is multiplied first matters.
			let (mut result, mut square, mut n) = (1.0, x, n);
			while n > 0 {
				if n & 1 == 1 {
					result *= square;
				}
				square *= square;
				n >>= 1;
			}
			result
		},
	}
}

/// Where a programme stands.
struct Place {
	base: TensorFile,
	state: Option<TensorFile>,
}

impl Place {
	fn new(weights: &[f32]) -> Self {
		Self { base: base(flat(weights)), state: None }
	}

	fn updates(&self, rows: &[Vec<f32>]) -> Vec<CheckedUpdate> {
		updates_of(&self.base, &vec![1; rows.len()], rows)
	}

	fn settle(
		&self,
		rule: AggregationRule,
		optimiser: ServerOptimiser,
		rows: &[Vec<f32>],
	) -> Result<Settlement, AggregationError> {
		let method = Method { optimiser, ..Method::default() };
		let round = round(&self.base, rule);
		settle_with(&round, &method, &self.base, self.state.as_ref(), &self.updates(rows), 2)
	}

	fn advance(
		&mut self,
		rule: AggregationRule,
		optimiser: ServerOptimiser,
		rows: &[Vec<f32>],
	) -> Result<(), AggregationError> {
		let settled = self.settle(rule, optimiser, rows)?;
		self.base = TensorFile::from_bytes(&settled.bytes).unwrap();
		self.state = settled.state.map(|state| TensorFile::from_bytes(&state.bytes).unwrap());
		Ok(())
	}
}

fn rows(seed: u32, n: usize) -> Vec<Vec<f32>> {
	let value = |i: usize, c: usize| ((seed as usize * 31 + i * 7 + c * 3) % 17) as f32 / 17.0 - 0.4;
	(0..n).map(|i| (0..6).map(|c| value(i, c)).collect()).collect()
}

#[test]
fn default_method_changes_nothing() {
	let place = Place::new(&[0.5; 6]);
	let (rows, round) = (rows(1, 5), round(&place.base, MEAN));
	let plain = settle(&round, &place.base, &place.updates(&rows), 1).unwrap();
	assert_eq!(
		plain,
		settle_with(&round, &Method::default(), &place.base, None, &place.updates(&rows), 3).unwrap()
	);
	assert_eq!(plain.state, None);
	let updates = place.updates(&rows);
	assert_eq!(
		aggregate(MEAN, &updates, 1),
		aggregate_with(MEAN, &PreAggregation::default(), None, &updates, 1)
	);
}

#[test]
fn buckets_of_one_change_nothing_for_a_rule_that_takes_any_order() {
	let updates = Place::new(&[0.0; 6]).updates(&rows(1, 5));
	let bucketing = Some(Bucketing { size: 1, seed: [3; 32] });
	let pre = PreAggregation { bucketing, ..PreAggregation::default() };
	for rule in [AggregationRule::CoordinateMedian, AggregationRule::TrimmedMean { trim: 1 }] {
		assert_eq!(aggregate_with(rule, &pre, None, &updates, 1), aggregate(rule, &updates, 1));
	}
}

#[test]
fn mixing_takes_a_lonely_update_back_to_the_others() {
	let mut rows = vec![vec![1.0f32, 1.0]; 4];
	rows.push(vec![1e6, -1e6]);
	let updates = Place::new(&[0.0; 2]).updates(&rows);
	let pre = PreAggregation { mixing: Some(Mixing { hostile: 1 }), ..PreAggregation::default() };
	let mixed = aggregate_with(AggregationRule::CoordinateMedian, &pre, None, &updates, 1).unwrap();
	assert_eq!(mixed, flat(&[1.0, 1.0]));
	// The hostile one is now a quarter of itself: the mean of itself and three others.
	let mean = aggregate_with(MEAN, &pre, None, &updates, 1).unwrap();
	assert_eq!(mean, flat(&[(4.0 + 250_000.75) / 5.0, (4.0 - 249_999.25) / 5.0]));
}

#[test]
fn normalisation_makes_up_for_different_numbers_of_steps() {
	let base = base(flat(&[0.0]));
	let of = |normalisation, steps: [u32; 3]| {
		// Each goes 1 per step.
		let updates: Vec<_> =
			(0..3).map(|i| update_of_steps(&base, i, 1, steps[i], flat(&[steps[i] as f32]))).collect();
		let pre = PreAggregation { normalisation: Some(normalisation), ..PreAggregation::default() };
		aggregate_with(MEAN, &pre, None, &updates, 1).unwrap()[0].data[0]
	};
	let mean = Normalisation { effective: EffectiveSteps::Mean, cap: 10_000_000 };
	assert_eq!(of(mean, [10, 20, 60]), 30.0);
	let median = Normalisation { effective: EffectiveSteps::Median, ..mean };
	assert_eq!(of(median, [10, 20, 60]), 20.0);
	// One step would have to count 20 times, but counts 10 times.
	assert_eq!(of(median, [1, 20, 60]), 50.0 / 3.0);
}

#[test]
fn rules_and_mixing_are_judged_by_the_number_of_buckets() {
	let updates = Place::new(&[0.0; 6]).updates(&rows(1, 8));
	let bucketing = Some(Bucketing { size: 2, seed: [0; 32] });
	let bucketed = Some(Bucketed { updates: 8, size: 2 });
	let of = |rule, hostile: u32| {
		let mixing = Some(Mixing { hostile });
		let pre = PreAggregation { bucketing, mixing, normalisation: None };
		aggregate_with(rule, &pre, None, &updates, 1)
	};
	let rule = AggregationRule::Krum { hostile: 1 };
	assert_eq!(of(rule, 1), Err(AggregationError::TooFew { rule, needed: 5, found: 4, bucketed }));
	assert!(of(AggregationRule::Krum { hostile: 0 }, 1).is_ok());
	let refused = of(MEAN, 2).unwrap_err();
	assert_eq!(refused, AggregationError::TooFewToMix { hostile: 2, needed: 5, found: 4, bucketed });
	assert_eq!(
		refused.to_string(),
		"mixing against 2 hostile updates needs at least 5 updates, but there are 4 buckets, made of 8 updates, 2 in \
		 each; set `mixing.hostile` to at most 1, or make smaller buckets"
	);
}

#[test]
fn huge_update_of_few_steps_does_not_stop_the_round() {
	let base = base(flat(&[0.0]));
	let updates: Vec<_> = [(1, f32::MAX), (100, 1.0), (100, 2.0)]
		.into_iter()
		.enumerate()
		.map(|(i, (steps, x))| update_of_steps(&base, i, 1, steps, flat(&[x])))
		.collect();
	let normalisation = Some(Normalisation { effective: EffectiveSteps::Median, cap: u32::MAX });
	let pre = PreAggregation { normalisation, ..PreAggregation::default() };
	assert_eq!(
		aggregate_with(AggregationRule::CoordinateMedian, &pre, None, &updates, 1).unwrap(),
		flat(&[2.0])
	);
}

#[test]
fn weights_name_the_state_and_the_state_says_where_it_is_from() {
	let place = Place::new(&[0.5; 6]);
	let rows = rows(1, 5);
	let settled = place.settle(CLIPPING, ADAM, &rows).unwrap();
	let state = settled.state.unwrap();
	assert_eq!(state.hash, artifact_hash(&state.bytes));
	let hashes: Vec<_> = place.updates(&rows).iter().map(CheckedUpdate::hash).collect();
	let RoundInputs { genesis, programme, round, config, base, .. } = round(&place.base, CLIPPING);
	let inputs = inputs_digest(&hashes);
	let weights = TensorFile::from_bytes(&settled.bytes).unwrap();
	assert_eq!(
		WeightsEnvelope::from_metadata(weights.metadata()),
		Ok(WeightsEnvelope::Aggregate {
			genesis,
			programme,
			round,
			config,
			base,
			inputs,
			state: Some(state.hash)
		})
	);
	let file = TensorFile::from_bytes(&state.bytes).unwrap();
	assert_eq!(
		StateEnvelope::from_metadata(file.metadata()),
		Ok(StateEnvelope { genesis, programme, round, config, base, inputs, steps: 1 })
	);
	let names: Vec<_> = file.tensors().iter().map(|t| t.name.as_str()).collect();
	assert_eq!(names, ["centre/w", "mean/w", "root/w"]);
	let centre = aggregate(CLIPPING, &place.updates(&rows), 1).unwrap().remove(0).data;
	assert_eq!(file.tensors()[0].data, centre);
}

#[test]
fn centered_clipping_starts_from_the_last_aggregate() {
	let mut place = Place::new(&[0.5; 6]);
	place.advance(CLIPPING, ServerOptimiser::PLAIN, &rows(1, 5)).unwrap();
	let last = place.state.as_ref().unwrap().tensors()[0].data.clone();
	let next = rows(2, 5);
	let expected =
		aggregate_with(CLIPPING, &PreAggregation::default(), Some(&flat(&last)), &place.updates(&next), 1)
			.unwrap();
	place.advance(CLIPPING, ServerOptimiser::PLAIN, &next).unwrap();
	assert_eq!(place.state.as_ref().unwrap().tensors()[0].data, expected[0].data);
}

#[test]
fn round_is_refused_without_the_state_that_its_base_names_or_with_another_one() {
	let mut place = Place::new(&[0.5; 6]);
	let genesis = Place::new(&[0.5; 6]);
	place.advance(MEAN, ADAM, &rows(1, 5)).unwrap();
	let state = place.state.take().unwrap();
	let refused = place.settle(MEAN, ADAM, &rows(2, 5)).unwrap_err();
	assert_eq!(refused, AggregationError::MissingState { expected: state.hash() });
	assert!(refused.to_string().ends_with("fetch it"), "{refused}");
	// Nothing is carried by these, so nothing is asked for.
	assert!(place.settle(MEAN, ServerOptimiser::PLAIN, &rows(2, 5)).is_ok());

	let (mut metadata, tensors) = state.clone().into_parts();
	metadata.insert("steps".into(), "2".into());
	let other = TensorFile::new(metadata, tensors).unwrap();
	let (expected, found) = (Some(state.hash()), other.hash());
	place.state = Some(other);
	assert_eq!(place.settle(MEAN, ADAM, &rows(2, 5)), Err(AggregationError::OtherState { expected, found }));
	let early = Place { state: Some(state.clone()), ..genesis };
	assert_eq!(
		early.settle(MEAN, ADAM, &rows(2, 5)),
		Err(AggregationError::OtherState { expected: None, found: state.hash() })
	);
}

#[test]
fn amended_optimiser_starts_anew_and_keeps_what_it_shares() {
	let mut place = Place::new(&[0.5; 6]);
	let nesterov = ServerOptimiser::DILOCO;
	place.advance(CLIPPING, nesterov, &rows(1, 5)).unwrap();
	place.advance(CLIPPING, nesterov, &rows(2, 5)).unwrap();
	let steps =
		|place: &Place| StateEnvelope::from_metadata(place.state.as_ref().unwrap().metadata()).unwrap().steps;
	assert_eq!(steps(&place), 2);
	let anew = Place::new(&place.base.tensors()[0].data).settle(MEAN, ADAM, &rows(3, 5)).unwrap();
	let anew = TensorFile::from_bytes(&anew.bytes).unwrap();
	place.advance(MEAN, ADAM, &rows(3, 5)).unwrap();
	assert_eq!((steps(&place), place.base.tensors()), (1, anew.tensors()));
	place.advance(MEAN, ServerOptimiser::PLAIN, &rows(4, 5)).unwrap();
	assert_eq!(place.state, None);
}

#[test]
fn first_step_of_adam_is_as_long_as_its_rate_except_where_epsilon_outweighs_the_aggregate() {
	let mut place = Place::new(&[0.0; 3]);
	let adam = ServerOptimiser::Adam { rate: 10_000, beta1: 900_000, beta2: 999_000, epsilon: 1 };
	place.advance(MEAN, adam, &[vec![1e-20, -3.0, 1e30]]).unwrap();
	// The rate times a / (|a| + ε): ε is 1e-12, beside which 1e-20 counts for nothing in the divisor.
	for (x, expected) in place.base.tensors()[0].data.iter().zip([-1e-10f32, 0.01, -0.01]) {
		assert!((x - expected).abs() <= 1e-6 * expected.abs(), "{x} {expected}");
	}
}

#[test]
fn momentum_beyond_the_range_of_weights_is_an_overflow() {
	let mut place = Place::new(&[0.0; 2]);
	let optimiser = ServerOptimiser::Nesterov { rate: 1, momentum: 999_999 };
	place.advance(MEAN, optimiser, &[vec![0.0, 3e38]]).unwrap();
	assert_eq!(
		place.settle(MEAN, optimiser, &[vec![0.0, 3e38]]),
		Err(AggregationError::Overflow { tensor: "w".into(), index: 1, value: f32::NEG_INFINITY })
	);
}

#[test]
fn settings_of_the_method_are_refused_by_name() {
	let place = Place::new(&[0.0; 6]);
	let refused = place.settle(MEAN, ServerOptimiser::Sgd { rate: 0 }, &rows(1, 3)).unwrap_err();
	assert_eq!(refused.to_string(), "`optimiser.rate` is 0, but must be from 1 to 4294967295");
}
