//! Numbers as only an attacker sends them: every rule, behind every stage, gives a finite result and the same one on
//! any number of threads, or refuses with an error.
#![allow(clippy::unwrap_used)]

mod common;

use cairn_aggregation::{
	settle_with, AggregationError, AggregationRule, Bucketing, EffectiveSteps, Method, Mixing, Normalisation,
	PreAggregation, Refusal, ServerOptimiser,
};
use cairn_artifacts::TensorFile;
use common::*;
use proptest::prelude::*;

/// The ends of the range, the numbers around zero, and anything else that is finite.
fn number() -> impl Strategy<Value = f32> {
	prop_oneof![
		prop::sample::select(vec![
			0.0,
			-0.0,
			f32::MAX,
			f32::MIN,
			f32::MIN_POSITIVE,
			-f32::MIN_POSITIVE,
			f32::from_bits(1),
			-f32::from_bits(1),
			1.0,
		]),
		any::<u32>().prop_map(f32::from_bits).prop_filter("finite", |x| x.is_finite()),
	]
}

/// A row of such numbers, or of one of them all over.
fn row() -> impl Strategy<Value = Vec<f32>> {
	prop_oneof![proptest::collection::vec(number(), 9), number().prop_map(|x| vec![x; 9])]
}

/// As many as there are rows: each by itself, or all alike.
fn rows() -> impl Strategy<Value = Vec<Vec<f32>>> {
	prop_oneof![
		3 => proptest::collection::vec(row(), 1..10),
		1 => (row(), 1usize..10).prop_map(|(row, n)| vec![row; n]),
	]
}

fn rule() -> impl Strategy<Value = AggregationRule> {
	let small = 0u32..5;
	prop_oneof![
		Just(AggregationRule::WeightedMean),
		Just(AggregationRule::CoordinateMedian),
		small.clone().prop_map(|trim| AggregationRule::TrimmedMean { trim }),
		small.clone().prop_map(|hostile| AggregationRule::Krum { hostile }),
		(small, 1u32..10).prop_map(|(hostile, selected)| AggregationRule::MultiKrum { hostile, selected }),
		(1u64..2_000_000, 1u32..5)
			.prop_map(|(smoothing, iterations)| AggregationRule::GeometricMedian { smoothing, iterations }),
		(prop_oneof![1u64..2_000_000, Just(u64::MAX)], 1u32..5)
			.prop_map(|(radius, iterations)| AggregationRule::CenteredClipping { radius, iterations }),
	]
}

fn pre() -> impl Strategy<Value = PreAggregation> {
	let effective = prop::sample::select(vec![EffectiveSteps::Mean, EffectiveSteps::Median]);
	let normalisation = (effective, prop_oneof![1_000_000u32..3_000_000, Just(u32::MAX)])
		.prop_map(|(effective, cap)| Normalisation { effective, cap });
	let bucketing = (1u32..5, any::<u8>()).prop_map(|(size, seed)| Bucketing { size, seed: [seed; 32] });
	let mixing = (0u32..4).prop_map(|hostile| Mixing { hostile });
	(prop::option::of(normalisation), prop::option::of(bucketing), prop::option::of(mixing))
		.prop_map(|(normalisation, bucketing, mixing)| PreAggregation { normalisation, bucketing, mixing })
}

fn optimiser() -> impl Strategy<Value = ServerOptimiser> {
	prop::sample::select(vec![
		ServerOptimiser::PLAIN,
		ServerOptimiser::Sgd { rate: u32::MAX },
		ServerOptimiser::DILOCO,
		ServerOptimiser::Adam { rate: 10_000, beta1: 900_000, beta2: 990_000, epsilon: 1 },
	])
}

proptest! {
	#![proptest_config(ProptestConfig::with_cases(512))]

	#[test]
	fn hostile_numbers_give_a_finite_result_or_an_error_on_any_number_of_threads(
		rows in rows(),
		of_base in row(),
		rule in rule(),
		pre in pre(),
		optimiser in optimiser(),
		counts in proptest::collection::vec((prop_oneof![Just(0u32), any::<u32>()], prop_oneof![Just(0u32), any::<u32>()]), 10),
	) {
		let base = base(flat(&of_base));
		let updates: Vec<_> = rows
			.iter()
			.enumerate()
			.map(|(i, row)| update_of_steps(&base, i, counts[i].0, counts[i].1, flat(row)))
			.collect();
		let method = Method { pre, optimiser };
		let of = |threads| settle_with(&round(&base, rule), &method, &base, None, &updates, threads);
		let result = of(1);
		prop_assert_eq!(&of(3), &result);
		match result {
			Ok(settled) => {
				let files = std::iter::once(settled.bytes).chain(settled.state.map(|s| s.bytes));
				for file in files {
					let file = TensorFile::from_bytes(&file).unwrap();
					prop_assert!(file.tensors().iter().all(|t| t.data.iter().all(|x| x.is_finite())));
				}
				prop_assert_eq!(settled.quality.len(), updates.len());
				prop_assert!(settled.quality.iter().all(|q| *q <= 100));
			},
			Err(
				AggregationError::TooFew { .. }
				| AggregationError::TooFewToMix { .. }
				| AggregationError::NoSamples { .. }
				| AggregationError::Overflow { .. },
			) => {},
			Err(other) => prop_assert!(false, "{}", other),
		}
	}

	#[test]
	fn number_that_is_none_is_refused_wherever_it_stands(
		row in row(),
		at in any::<prop::sample::Index>(),
		// All NaNs, quiet and signalling, and the infinities.
		bits in any::<u32>().prop_map(|bits| bits | 0x7f80_0000),
	) {
		let base = base(flat(&[0.0; 9]));
		let (mut row, at) = (row, at.index(9));
		row[at] = f32::from_bits(bits);
		let refused = try_update(&base, 0, 1, flat(&row)).unwrap_err();
		prop_assert!(
			matches!(refused.reason, Refusal::NotFinite { index, .. } if index == at),
			"{}", refused
		);
	}
}
