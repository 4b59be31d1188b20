//! The rules: what they compute, that nothing but their inputs decides, and what they refuse.
#![allow(clippy::unwrap_used)]

mod common;

use cairn_aggregation::{
	aggregate, next_weights, AggregationError, AggregationRule, CheckedUpdate, RoundInputs, ShapeDifference,
	WeightsEnvelope,
};
use cairn_artifacts::{artifact_hash, Tensor, TensorFile};
use cairn_primitives::{round::inputs_digest, H256};
use common::*;
use proptest::prelude::*;

const MEAN: AggregationRule = AggregationRule::WeightedMean;

fn trimmed(trim: u32) -> AggregationRule {
	AggregationRule::TrimmedMean { trim }
}

/// The README's arithmetic for one coordinate, written down a second time.
fn reference(rule: AggregationRule, samples: &[u32], values: &[f32]) -> f64 {
	match rule {
		AggregationRule::WeightedMean => {
			let mut sum = 0.0f64;
			for (w, x) in samples.iter().zip(values) {
				let product = f64::from(*w) * f64::from(*x);
				sum += product;
			}
			sum / samples.iter().map(|w| u64::from(*w)).sum::<u64>() as f64
		},
		AggregationRule::TrimmedMean { trim } => {
			let mut sorted = values.to_vec();
			sorted.sort_by(f32::total_cmp);
			let kept = &sorted[trim as usize..values.len() - trim as usize];
			let mut sum = 0.0f64;
			for x in kept {
				sum += f64::from(*x);
			}
			sum / kept.len() as f64
		},
		other => panic!("{other:?} is not for one coordinate"),
	}
}

/// Any finite value, small ones more often than chance would have them, so that results seldom overflow.
fn value() -> impl Strategy<Value = f32> {
	prop_oneof![
		4 => -1.0f32..1.0,
		1 => any::<u32>().prop_map(f32::from_bits).prop_filter("finite", |x| x.is_finite()),
		1 => prop::sample::select(vec![0.0, -0.0, f32::MIN_POSITIVE, f32::from_bits(1), 1e-39, -1e-42]),
	]
}

/// A round of up to nine updates over some coordinates: samples, and one row of values per update.
fn rounds() -> impl Strategy<Value = (Vec<u32>, Vec<Vec<f32>>)> {
	(1usize..10, 1usize..1200).prop_flat_map(|(n, d)| {
		(
			proptest::collection::vec(1u32..=u32::MAX, n),
			proptest::collection::vec(proptest::collection::vec(value(), d), n),
		)
	})
}

fn updates(base: &TensorFile, samples: &[u32], rows: &[Vec<f32>]) -> Vec<CheckedUpdate> {
	rows.iter().zip(samples).enumerate().map(|(i, (row, s))| update(base, i, *s, flat(row))).collect()
}

fn rules(n: usize) -> impl Iterator<Item = AggregationRule> {
	[MEAN].into_iter().chain((0..n.div_ceil(2)).map(|t| trimmed(t as u32)))
}

proptest! {
	#![proptest_config(ProptestConfig::with_cases(48))]

	#[test]
	fn result_is_the_documented_arithmetic_on_any_number_of_threads(
		(samples, rows) in rounds(), threads in 0usize..9,
	) {
		let d = rows[0].len();
		let weights: Vec<f32> = (0..d).map(|i| i as f32 * 0.37 - 100.0).collect();
		let base = base(flat(&weights));
		let updates = updates(&base, &samples, &rows);
		for rule in rules(rows.len()) {
			let expected: Vec<f64> = (0..d)
				.map(|c| reference(rule, &samples, &rows.iter().map(|r| r[c]).collect::<Vec<_>>()))
				.collect();
			let gradient = aggregate(rule, &updates, threads).unwrap();
			prop_assert!(gradient[0].data.iter().map(|x| x.to_bits())
				.eq(expected.iter().map(|a| (*a as f32).to_bits())));
			let next = next_weights(&round(&base, rule), &base, &updates, threads);
			let rounded: Vec<f32> =
				weights.iter().zip(&expected).map(|(b, a)| (f64::from(*b) - a) as f32).collect();
			match rounded.iter().position(|x| !x.is_finite()) {
				Some(at) => prop_assert_eq!(
					next,
					Err(AggregationError::Overflow { tensor: "w".into(), index: at, value: rounded[at] })
				),
				None => {
					let file = TensorFile::from_bytes(&next.unwrap().1).unwrap();
					prop_assert_eq!(bits(file.tensors()), bits(&flat(&rounded)));
				},
			}
		}
	}

	#[test]
	fn result_does_not_depend_on_how_coordinates_are_split_into_tensors(
		(samples, rows) in rounds(), at in any::<prop::sample::Index>(),
	) {
		let at = at.index(rows[0].len() + 1);
		let whole = base(flat(&rows[0]));
		let split = |row: &[f32]| {
			vec![tensor("a", &[at], &row[..at]), tensor("b", &[row.len() - at], &row[at..])]
		};
		let parts = base(split(&rows[0]));
		let of_whole = updates(&whole, &samples, &rows);
		let of_parts: Vec<_> = rows.iter().zip(&samples).enumerate()
			.map(|(i, (row, s))| update(&parts, i, *s, split(row))).collect();
		for rule in rules(rows.len()) {
			let a = aggregate(rule, &of_whole, 2).unwrap();
			let b = aggregate(rule, &of_parts, 3).unwrap();
			prop_assert_eq!(bits(&a).concat(), bits(&b).concat());
		}
	}

	#[test]
	fn trimmed_mean_does_not_depend_on_the_order_of_updates(
		(samples, rows) in rounds(), turn in any::<prop::sample::Index>(),
	) {
		let base = base(flat(&rows[0]));
		let mut updates = updates(&base, &samples, &rows);
		for rule in rules(rows.len()).skip(1) {
			let before = aggregate(rule, &updates, 1).unwrap();
			updates.rotate_left(turn.index(rows.len()));
			updates.reverse();
			prop_assert_eq!(bits(&aggregate(rule, &updates, 1).unwrap()), bits(&before));
		}
	}

	#[test]
	fn mean_of_identical_updates_is_that_update(
		row in proptest::collection::vec(value(), 1..300), samples in proptest::collection::vec(1u32.., 1..12),
	) {
		let base = base(flat(&row));
		let rows = vec![row.clone(); samples.len()];
		let updates = updates(&base, &samples, &rows);
		// The sign of a zero is lost: sums start at +0.
		let same = row.iter().map(|x| x + 0.0).collect::<Vec<_>>();
		for rule in rules(samples.len()) {
			prop_assert_eq!(bits(&aggregate(rule, &updates, 2).unwrap()), bits(&flat(&same)));
		}
	}

	#[test]
	fn trimmed_mean_stays_within_the_honest_range_whatever_trim_updates_say(
		honest in proptest::collection::vec(proptest::collection::vec(value(), 40), 1..8),
		hostile in proptest::collection::vec(proptest::collection::vec(
			prop_oneof![value(), Just(f32::MAX), Just(f32::MIN)], 40), 0..7),
		first in any::<bool>(),
	) {
		let trim = hostile.len();
		prop_assume!(honest.len() > trim);
		let rows = if first { [&hostile[..], &honest].concat() } else { [&honest[..], &hostile].concat() };
		let base = base(flat(&[0.0; 40]));
		let updates = updates(&base, &vec![1; rows.len()], &rows);
		let result = aggregate(trimmed(trim as u32), &updates, 2).unwrap();
		for c in 0..40 {
			let low = honest.iter().map(|r| r[c]).fold(f32::INFINITY, f32::min);
			let high = honest.iter().map(|r| r[c]).fold(f32::NEG_INFINITY, f32::max);
			let x = result[0].data[c];
			prop_assert!(low <= x && x <= high, "{low} <= {x} <= {high}");
		}
	}
}

#[test]
fn weighted_mean_weighs_by_samples_and_one_update_can_move_it_anywhere() {
	let base = base(flat(&[0.0, 0.0]));
	let updates = [update(&base, 0, 1, flat(&[4.0, 1.0])), update(&base, 1, 3, flat(&[0.0, 1.0]))];
	assert_eq!(aggregate(MEAN, &updates, 1).unwrap(), flat(&[1.0, 1.0]));
	let moved = [updates[0].clone(), update(&base, 2, 3, flat(&[4e6, 1.0]))];
	assert_eq!(aggregate(MEAN, &moved, 1).unwrap(), flat(&[3_000_001.0, 1.0]));
}

#[test]
fn trimmed_mean_ignores_samples() {
	let base = base(flat(&[0.0]));
	let of = |samples: [u32; 3]| {
		let rows = [1.0f32, 2.0, 9.0];
		let updates: Vec<_> = (0..3).map(|i| update(&base, i, samples[i], flat(&rows[i..=i]))).collect();
		[trimmed(0), trimmed(1)].map(|r| aggregate(r, &updates, 1).unwrap()[0].data[0])
	};
	assert_eq!(of([1, 1, 1]), [4.0, 2.0]);
	assert_eq!(of([0, 0, u32::MAX]), [4.0, 2.0]);
}

#[test]
fn zeros_keep_the_signs_that_the_readme_gives_them() {
	let base = base(flat(&[-0.0, 0.0, -0.0, 0.0, f32::from_bits(1)]));
	let row = [-0.0, -0.0, 0.0, 0.0, f32::from_bits(1)];
	let updates: Vec<_> = (0..3).map(|i| update(&base, i, 2, flat(&row))).collect();
	for rule in [MEAN, trimmed(1)] {
		let (_, bytes) = next_weights(&round(&base, rule), &base, &updates, 1).unwrap();
		let next = TensorFile::from_bytes(&bytes).unwrap();
		assert_eq!(bits(next.tensors()), bits(&flat(&[-0.0, 0.0, -0.0, 0.0, 0.0])));
	}
}

#[test]
fn subnormal_numbers_are_not_flushed() {
	let least = f32::from_bits(1);
	let base = base(flat(&[f32::MIN_POSITIVE, 0.0]));
	let updates: Vec<_> = (0..3).map(|i| update(&base, i, 1, flat(&[least, -least]))).collect();
	for rule in [MEAN, trimmed(1)] {
		let (_, bytes) = next_weights(&round(&base, rule), &base, &updates, 1).unwrap();
		let next = TensorFile::from_bytes(&bytes).unwrap();
		assert_eq!(bits(next.tensors()), [[0x007f_ffff, 1]]);
	}
}

#[test]
fn next_weights_say_what_they_were_made_of() {
	let base = base(flat(&[1.0]));
	let updates: Vec<_> = (0..3).map(|i| update(&base, i, 1, flat(&[i as f32]))).collect();
	let (hash, bytes) = next_weights(&round(&base, MEAN), &base, &updates, 1).unwrap();
	assert_eq!(hash, artifact_hash(&bytes));
	let envelope = WeightsEnvelope::from_metadata(TensorFile::from_bytes(&bytes).unwrap().metadata());
	let hashes: Vec<_> = updates.iter().map(CheckedUpdate::hash).collect();
	assert_eq!(
		envelope,
		Ok(WeightsEnvelope::Aggregate {
			genesis: GENESIS,
			programme: 1,
			round: 2,
			config: CONFIG,
			base: base.hash(),
			inputs: inputs_digest(&hashes),
			state: None,
		})
	);
}

#[test]
fn aggregate_is_refused_when_there_are_too_few_updates_or_samples() {
	let base = base(flat(&[1.0]));
	let updates: Vec<_> = (0..4).map(|i| update(&base, i, 0, flat(&[0.0]))).collect();
	for rule in [MEAN, trimmed(0), trimmed(1)] {
		assert_eq!(aggregate(rule, &[], 1), Err(AggregationError::NoUpdates));
	}
	assert_eq!(aggregate(MEAN, &updates, 1), Err(AggregationError::NoSamples { updates: 4 }));
	let refused = aggregate(trimmed(2), &updates, 1).unwrap_err();
	assert_eq!(refused, AggregationError::TooFew { rule: trimmed(2), needed: 5, found: 4, bucketed: None });
	assert_eq!(
		refused.to_string(),
		"the trimmed mean with trim 2 needs at least 5 updates, but there are 4; trim at most 1"
	);
	let most = aggregate(trimmed(u32::MAX), &updates, 1);
	assert!(matches!(most, Err(AggregationError::TooFew { needed: 8_589_934_591, .. })));
}

#[test]
fn aggregate_is_refused_when_shapes_differ() {
	let (one, two) = (base(flat(&[1.0])), base(flat(&[1.0, 2.0])));
	let updates = [update(&one, 0, 1, flat(&[0.0])), update(&two, 1, 1, flat(&[0.0, 0.0]))];
	let reason = ShapeDifference::Shape { tensor: "w".into(), found: vec![2], expected: vec![1] };
	let refused = AggregationError::Shape { update: updates[1].hash(), reason };
	assert_eq!(aggregate(MEAN, &updates, 1), Err(refused));
}

#[test]
fn next_weights_are_refused_when_base_or_updates_are_not_the_rounds() {
	let base = base(flat(&[1.0]));
	let updates = [update(&base, 0, 1, flat(&[0.5])), update(&base, 1, 1, flat(&[0.25]))];
	let good = round(&base, MEAN);
	assert!(next_weights(&good, &base, &updates, 1).is_ok());
	type Change = fn(&mut RoundInputs);
	let changes: [Change; 4] =
		[|r| r.genesis = H256::zero(), |r| r.programme += 1, |r| r.round += 1, |r| r.config = H256::zero()];
	for change in changes {
		let mut other = good;
		change(&mut other);
		let refused = next_weights(&other, &base, &updates, 1).unwrap_err();
		assert!(
			matches!(refused, AggregationError::OtherRound { update, .. } if update == updates[0].hash()),
			"{refused}"
		);
	}
	let other_base = RoundInputs { base: H256::zero(), ..good };
	assert_eq!(
		next_weights(&other_base, &base, &updates, 1),
		Err(AggregationError::OtherBase { expected: H256::zero(), found: base.hash() })
	);
	let twice = [updates[0].clone(), updates[1].clone(), updates[0].clone()];
	assert_eq!(
		next_weights(&good, &base, &twice, 1),
		Err(AggregationError::Duplicate { update: updates[0].hash() })
	);
}

#[test]
fn next_weights_are_refused_when_base_is_not_finite() {
	let base = base(flat(&[1.0, f32::NEG_INFINITY]));
	let updates = [update(&base, 0, 1, flat(&[0.0, 0.0]))];
	assert_eq!(
		next_weights(&round(&base, MEAN), &base, &updates, 1),
		Err(AggregationError::BaseNotFinite { tensor: "w".into(), index: 1, value: f32::NEG_INFINITY })
	);
}

#[test]
fn overflow_names_the_first_element_on_any_number_of_threads() {
	// Two places, far enough apart for different threads to meet them.
	let mut weights = vec![0.0f32; 200_000];
	(weights[70_000], weights[190_000]) = (f32::MAX, f32::MIN);
	let mut row = vec![0.0f32; 200_000];
	(row[70_000], row[190_000]) = (f32::MIN, f32::MAX);
	let base = base(flat(&weights));
	let updates: Vec<_> = (0..3).map(|i| update(&base, i, 7, flat(&row))).collect();
	for rule in [MEAN, trimmed(1)] {
		assert_eq!(aggregate(rule, &updates, 2).unwrap(), flat(&row));
		for threads in [1, 2, 3, 8] {
			assert_eq!(
				next_weights(&round(&base, rule), &base, &updates, threads),
				Err(AggregationError::Overflow { tensor: "w".into(), index: 70_000, value: f32::INFINITY })
			);
		}
	}
}

#[test]
fn model_without_elements_is_aggregated() {
	let nothing = || vec![tensor("e", &[0, 3], &[])];
	let base = base(nothing());
	let updates = [update(&base, 0, 1, nothing())];
	assert_eq!(aggregate(MEAN, &updates, 4).unwrap(), nothing());
	assert_eq!(
		aggregate(MEAN, &[update(&common::base(vec![]), 0, 1, vec![])], 4).unwrap(),
		Vec::<Tensor>::new()
	);
}
