//! The quality of updates: what it rewards, what it does not, and that nothing but its inputs decides.
#![allow(clippy::unwrap_used)]

mod common;

use cairn_aggregation::{
	aggregate, next_weights, quality, settle, AggregationError, AggregationRule, CheckedUpdate,
};
use cairn_artifacts::TensorFile;
use common::*;
use proptest::prelude::*;

const MEAN: AggregationRule = AggregationRule::WeightedMean;

fn updates(base: &TensorFile, rows: &[&[f32]]) -> Vec<CheckedUpdate> {
	rows.iter().enumerate().map(|(i, row)| update(base, i, 1, flat(row))).collect()
}

/// The quality of these rows under their own aggregate.
fn of(rule: AggregationRule, rows: &[&[f32]]) -> Vec<u8> {
	let base = base(flat(rows[0]));
	let updates = updates(&base, rows);
	quality(&updates, &aggregate(rule, &updates, 1).unwrap(), 1).unwrap()
}

#[test]
fn identical_updates_are_worth_100() {
	let row: Vec<f32> = (0..1000).map(|i| (i as f32 * 0.37).fract() - 0.4).collect();
	let row = row.as_slice();
	assert_eq!(of(MEAN, &[row; 5]), [100; 5]);
	assert_eq!(of(AggregationRule::TrimmedMean { trim: 1 }, &[row; 3]), [100; 3]);
}

#[test]
fn sign_flipped_update_is_worth_nothing() {
	let row = [0.5f32, -1.0, 2.0, 0.25];
	let flipped = row.map(|x| -x);
	assert_eq!(of(MEAN, &[&row, &row, &flipped]), [100, 100, 0]);
}

#[test]
fn empty_update_and_empty_aggregate_are_worth_nothing() {
	assert_eq!(of(MEAN, &[&[1.0, 2.0], &[0.0, -0.0]]), [100, 0]);
	assert_eq!(of(MEAN, &[&[1.0, 2.0], &[-1.0, -2.0]]), [0, 0]);
	let nothing = base(vec![tensor("e", &[0], &[])]);
	let none = [update(&nothing, 0, 1, vec![tensor("e", &[0], &[])])];
	assert_eq!(quality(&none, none[0].tensors(), 1), Ok(vec![0]));
}

#[test]
fn scaling_an_update_changes_its_own_quality_only_through_the_aggregate() {
	// Under a rule that is not moved by one update, exaggerating earns nothing.
	let trimmed = AggregationRule::TrimmedMean { trim: 1 };
	let honest: [&[f32]; 3] = [&[1.0, 0.1], &[1.0, -0.1], &[1.0, 0.0]];
	let modest = of(trimmed, &[honest[0], honest[1], honest[2], &[1.0, 1.0]]);
	let loud = of(trimmed, &[honest[0], honest[1], honest[2], &[1e6, 1e6]]);
	assert_eq!(modest[3], loud[3]);
	assert!(loud[3] < 80 && loud[0] > 95, "{loud:?}");
}

#[test]
fn unrelated_updates_share_alike() {
	let rows: [[f32; 4]; 4] = std::array::from_fn(|i| std::array::from_fn(|j| f32::from(u8::from(i == j))));
	let rows: Vec<&[f32]> = rows.iter().map(|r| &r[..]).collect();
	assert_eq!(of(MEAN, &rows), [50; 4]);
}

#[test]
fn settlement_is_next_weights_with_quality() {
	let base = base(flat(&[1.0, 2.0, 3.0]));
	let updates = updates(&base, &[&[0.5, 0.0, 0.5], &[0.5, 0.25, 0.5], &[-0.5, 0.0, -0.5]]);
	let round = round(&base, MEAN);
	let settled = settle(&round, &base, &updates, 2).unwrap();
	assert_eq!(next_weights(&round, &base, &updates, 1), Ok((settled.hash, settled.bytes)));
	assert_eq!(Ok(settled.quality), quality(&updates, &aggregate(MEAN, &updates, 1).unwrap(), 1));
}

#[test]
fn quality_is_refused_when_shapes_differ() {
	let (one, two) = (base(flat(&[1.0])), base(flat(&[1.0, 2.0])));
	let refused = quality(&updates(&one, &[&[1.0]]), two.tensors(), 1);
	assert!(matches!(refused, Err(AggregationError::Shape { .. })), "{refused:?}");
	assert_eq!(quality(&[], two.tensors(), 1), Ok(vec![]));
}

/// The definition without its shortcuts: another order of sums and a square root, so it may round differently.
fn cosine(u: &[f32], a: &[f32]) -> f64 {
	let dot = |x: &[f32], y: &[f32]| x.iter().zip(y).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>();
	let (own, norm) = (dot(u, u), dot(a, a));
	if own == 0.0 || norm == 0.0 {
		return 0.0;
	}
	100.0 * (dot(u, a) / (own.sqrt() * norm.sqrt())).max(0.0)
}

proptest! {
	#![proptest_config(ProptestConfig::with_cases(48))]

	#[test]
	fn quality_is_the_cosine_in_per_cent_on_any_number_of_threads(
		rows in (1usize..9, 1usize..70_000).prop_flat_map(|(n, d)| proptest::collection::vec(
			(any::<u64>(), -1.0f32..1.0).prop_map(move |(seed, bias)| {
				let mut state = seed | 1;
				(0..d).map(|_| {
					state ^= state << 13; state ^= state >> 7; state ^= state << 17;
					bias + (state >> 40) as f32 / (1u32 << 24) as f32 - 0.5
				}).collect::<Vec<f32>>()
			}), n)),
		threads in 0usize..9,
	) {
		let rows: Vec<&[f32]> = rows.iter().map(|r| &r[..]).collect();
		let base = base(flat(rows[0]));
		let updates = updates(&base, &rows);
		let mean = aggregate(MEAN, &updates, 1).unwrap();
		let found = quality(&updates, &mean, threads).unwrap();
		prop_assert_eq!(&found, &quality(&updates, &mean, 1).unwrap());
		for (q, row) in found.iter().zip(&rows) {
			let exact = cosine(row, &mean[0].data);
			prop_assert!((f64::from(*q) - exact).abs() <= 0.5 + 1e-9, "{q} for {exact}");
		}
	}
}
