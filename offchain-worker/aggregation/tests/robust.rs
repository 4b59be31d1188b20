//! The robust rules: what they compute, how far hostile updates move them, and which parameters they refuse.
#![allow(clippy::unwrap_used)]

mod common;
#[path = "common/reference.rs"]
mod reference;

use cairn_aggregation::{
	aggregate, aggregate_with, AggregationError, AggregationRule, CheckedUpdate, PreAggregation,
};
use common::*;
use proptest::prelude::*;
use reference::{squared_distance, wide};

const MEDIAN: AggregationRule = AggregationRule::CoordinateMedian;

fn geometric_median(smoothing: u64, iterations: u32) -> AggregationRule {
	AggregationRule::GeometricMedian { smoothing, iterations }
}

fn clipping(radius: u64, iterations: u32) -> AggregationRule {
	AggregationRule::CenteredClipping { radius, iterations }
}

fn with_centre(
	rule: AggregationRule,
	centre: Option<&[f32]>,
	updates: &[CheckedUpdate],
	threads: usize,
) -> Vec<f32> {
	let centre = centre.map(flat);
	let pre = PreAggregation::default();
	aggregate_with(rule, &pre, centre.as_deref(), updates, threads).unwrap().remove(0).data
}

/// Every rule that `n` updates are enough for, with several parameters.
fn rules(n: usize) -> Vec<AggregationRule> {
	let n = n as u32;
	let mut rules = vec![
		MEDIAN,
		AggregationRule::GEOMETRIC_MEDIAN,
		geometric_median(1, 1),
		geometric_median(3_000_000, 3),
		AggregationRule::CENTERED_CLIPPING,
		clipping(1, 1),
		clipping(700_000, 4),
	];
	for hostile in 0..n.saturating_sub(1) / 2 {
		rules.push(AggregationRule::Krum { hostile });
		rules.push(AggregationRule::MultiKrum { hostile, selected: 1 + n / 3 });
		rules.push(AggregationRule::MultiKrum { hostile, selected: n - hostile });
	}
	rules.retain(|rule| rule.min_updates() <= n);
	rules
}

fn value() -> impl Strategy<Value = f32> {
	prop_oneof![
		8 => -1.0f32..1.0,
		1 => any::<u32>().prop_map(f32::from_bits).prop_filter("finite", |x| x.is_finite()),
		1 => prop::sample::select(vec![0.0, -0.0, f32::MIN_POSITIVE, f32::from_bits(1), 1e-39, -1e-42]),
	]
}

fn rows(n: impl Into<prop::collection::SizeRange>, d: usize) -> impl Strategy<Value = Vec<Vec<f32>>> {
	proptest::collection::vec(proptest::collection::vec(-1.0f32..1.0, d), n)
}

fn hostile_rows(n: impl Into<prop::collection::SizeRange>, d: usize) -> impl Strategy<Value = Vec<Vec<f32>>> {
	let loud = prop_oneof![value(), Just(f32::MAX), Just(f32::MIN), -1e4f32..1e4];
	proptest::collection::vec(proptest::collection::vec(loud, d), n)
}

/// Honest rows and fewer hostile ones, somewhere among them: the rows, and which are hostile.
fn besieged(d: usize) -> impl Strategy<Value = (Vec<Vec<f32>>, Vec<bool>)> {
	(1usize..5)
		.prop_flat_map(move |hostile| (rows(hostile + 3..hostile + 8, d), hostile_rows(hostile, d)))
		.prop_flat_map(|(honest, hostile)| {
			let all: Vec<_> = honest
				.into_iter()
				.map(|row| (row, false))
				.chain(hostile.into_iter().map(|row| (row, true)))
				.collect();
			Just(all).prop_shuffle()
		})
		.prop_map(|all| all.into_iter().unzip())
}

fn updates(rows: &[Vec<f32>]) -> Vec<CheckedUpdate> {
	updates_of(&base(flat(&rows[0])), &vec![1; rows.len()], rows)
}

fn norm(row: &[f32]) -> f64 {
	distance(row, &vec![0.0; row.len()])
}

fn distance(x: &[f32], y: &[f32]) -> f64 {
	squared_distance(x, &wide(y)).sqrt()
}

/// What rounding may add to a bound.
const SLACK: f64 = 1.0 + 1e-5;

proptest! {
	#![proptest_config(ProptestConfig::with_cases(24))]

	#[test]
	fn result_is_the_documented_arithmetic_on_any_number_of_threads(
		rows in (1usize..10, 1usize..700).prop_flat_map(|(n, d)| proptest::collection::vec(
			proptest::collection::vec(value(), d), n + 1)),
		threads in 0usize..9,
	) {
		let (centre, rows) = rows.split_first().unwrap();
		let updates = updates(rows);
		for rule in rules(rows.len()) {
			for centre in [None, Some(&centre[..])] {
				let expected = reference::aggregate(rule, centre, rows, &[]);
				let found = with_centre(rule, centre, &updates, threads);
				prop_assert!(
					found.iter().zip(&expected).all(|(x, y)| x.to_bits() == (*y as f32).to_bits()),
					"{:?} {}", rule, centre.is_some()
				);
			}
		}
	}

	#[test]
	fn order_of_updates_changes_no_bit_of_median_and_krum_and_little_of_the_others(
		rows in rows(3..9, 60), turn in any::<prop::sample::Index>(),
	) {
		let before = updates(&rows);
		let mut after = before.clone();
		after.rotate_left(turn.index(rows.len()));
		after.reverse();
		for rule in rules(rows.len()) {
			// With a single neighbour that counts, the nearest two are a tie, which goes to the first.
			if let AggregationRule::Krum { hostile } | AggregationRule::MultiKrum { hostile, .. } = rule {
				if rows.len() == hostile as usize + 3 {
					continue;
				}
			}
			let [a, b] = [&before, &after].map(|u| aggregate(rule, u, 2).unwrap().remove(0).data);
			if matches!(rule, AggregationRule::CoordinateMedian | AggregationRule::Krum { .. }) {
				prop_assert_eq!(&a, &b, "{:?}", rule);
			} else {
				prop_assert!(distance(&a, &b) <= 1e-6 * (1.0 + norm(&a)), "{:?}", rule);
			}
		}
	}

	#[test]
	fn median_stays_within_the_honest_range((rows, hostile) in besieged(30)) {
		let found = aggregate(MEDIAN, &updates(&rows), 2).unwrap().remove(0).data;
		for (c, x) in found.iter().enumerate() {
			let honest = || rows.iter().zip(&hostile).filter(|(_, h)| !**h).map(|(row, _)| row[c]);
			let low = honest().fold(f32::INFINITY, f32::min);
			let high = honest().fold(f32::NEG_INFINITY, f32::max);
			prop_assert!(low <= *x && *x <= high, "{low} <= {x} <= {high}");
		}
	}

	#[test]
	fn krum_selects_nothing_farther_from_an_honest_update_than_documented((rows, hostile) in besieged(30)) {
		let n = rows.len();
		let f = hostile.iter().filter(|h| **h).count();
		prop_assume!(n >= 2 * f + 3);
		let honest: Vec<_> = rows.iter().zip(&hostile).filter(|(_, h)| !**h).map(|(row, _)| row).collect();
		let diameter = honest.iter().flat_map(|x| honest.iter().map(|y| distance(x, y))).fold(0.0, f64::max);
		let bound = diameter * (((n - f - 2) as f64) / ((n - 2 * f - 1) as f64)).sqrt();
		let updates = updates(&rows);
		let found = aggregate(AggregationRule::Krum { hostile: f as u32 }, &updates, 2).unwrap().remove(0).data;
		let nearest = honest.iter().map(|x| distance(&found, x)).fold(f64::INFINITY, f64::min);
		prop_assert!(nearest <= bound * SLACK, "{nearest} <= {bound}");
		// The mean of several is within the same distance of a mean of honest ones, and these are within the diameter of
		// each other.
		for selected in 1..=n - f {
			let rule = AggregationRule::MultiKrum { hostile: f as u32, selected: selected as u32 };
			let found = aggregate(rule, &updates, 2).unwrap().remove(0).data;
			let farthest = honest.iter().map(|x| distance(&found, x)).fold(0.0, f64::max);
			prop_assert!(farthest <= (bound + diameter) * SLACK, "{selected}: {farthest} <= {bound}");
		}
	}

	#[test]
	fn geometric_median_stays_as_near_to_zero_as_documented(
		(rows, hostile) in besieged(30), iterations in 1u32..12, smoothing in 1u64..2_000_000,
	) {
		let (n, f) = (rows.len() as f64, hostile.iter().filter(|h| **h).count() as f64);
		prop_assume!(2.0 * f < n);
		let found = aggregate(geometric_median(smoothing, iterations), &updates(&rows), 2).unwrap().remove(0);
		let honest: f64 = rows.iter().zip(&hostile).filter(|(_, h)| !**h).map(|(row, _)| norm(row)).sum();
		let bound = (2.0 * honest + n * smoothing as f64 / 2e6) / (n - 2.0 * f);
		prop_assert!(norm(&found.data) <= bound * SLACK, "{} <= {bound}", norm(&found.data));
	}

	#[test]
	fn hostile_updates_move_centered_clipping_by_no_more_than_their_share(
		(rows, hostile) in besieged(30),
		others in hostile_rows(4, 30),
		centre in proptest::collection::vec(-1.0f32..1.0, 30),
		radius in 1u64..4_000_000, iterations in 1u32..8,
	) {
		let mut exchanged = rows.clone();
		let mut others = others.into_iter();
		for (row, hostile) in exchanged.iter_mut().zip(&hostile) {
			if *hostile {
				*row = others.next().unwrap();
			}
		}
		let f = hostile.iter().filter(|h| **h).count() as f64;
		let rule = clipping(radius, iterations);
		let [a, b] = [&rows, &exchanged].map(|rows| with_centre(rule, Some(&centre), &updates(rows), 2));
		let reach = radius as f64 / 1e6 * f64::from(iterations);
		prop_assert!(distance(&a, &b) <= 2.0 * reach * f / rows.len() as f64 * SLACK + 1e-6);
		prop_assert!(distance(&a, &centre) <= reach * SLACK + 1e-6);
	}

	#[test]
	fn geometric_median_minimises_the_sum_of_distances(rows in rows(3..9, 20)) {
		let found = aggregate(geometric_median(1_000, 100), &updates(&rows), 1).unwrap().remove(0).data;
		let cost = |z: &[f32]| rows.iter().map(|x| distance(x, z)).sum::<f64>();
		let least = cost(&found);
		for c in 0..20 {
			for step in [-0.05, 0.05] {
				let mut other = found.clone();
				other[c] += step;
				prop_assert!(least <= cost(&other) + 1e-3);
			}
		}
	}

	#[test]
	fn every_rule_gives_what_all_updates_say(row in proptest::collection::vec(-1.0f32..1.0, 1..100), n in 3usize..9) {
		let rows = vec![row.clone(); n];
		let updates = updates(&rows);
		for rule in rules(n) {
			if matches!(rule, AggregationRule::CenteredClipping { .. }) {
				// From there, it need not go anywhere.
				let found = with_centre(rule, Some(&row), &updates, 2);
				prop_assert!(distance(&found, &row) <= 1e-6 * norm(&row), "{:?}", rule);
			} else {
				let found = aggregate(rule, &updates, 2).unwrap().remove(0).data;
				prop_assert!(distance(&found, &row) <= 1e-6 * norm(&row), "{:?}", rule);
			}
		}
	}
}

#[test]
fn distances_are_summed_in_the_documented_order_over_many_chunks() {
	// Long enough for three chunks, the last of them no multiple of a lane.
	let d = 2 * 32_768 + 13;
	let row = |seed: u32| -> Vec<f32> {
		let mut state = seed;
		let mut next = || {
			state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
			(state >> 8) as f32 / 16_777_216.0 - 0.5
		};
		(0..d).map(|i| if i % 1000 == 7 { next() * 1e6 } else { next() }).collect()
	};
	let rows: Vec<_> = (1..=5).map(row).collect();
	let updates = updates(&rows);
	for rule in [
		AggregationRule::MultiKrum { hostile: 1, selected: 3 },
		geometric_median(100_000, 2),
		clipping(10_000_000, 2),
	] {
		let expected = reference::aggregate(rule, Some(&rows[4]), &rows, &[]);
		for threads in [1, 2, 7] {
			let found = with_centre(rule, Some(&rows[4]), &updates, threads);
			assert!(
				found.iter().zip(&expected).all(|(x, y)| x.to_bits() == (*y as f32).to_bits()),
				"{rule:?} on {threads}"
			);
		}
	}
}

#[test]
fn median_is_the_middle_or_the_mean_of_the_two_in_the_middle() {
	let of = |values: &[f32]| {
		let rows: Vec<_> = values.iter().map(|x| vec![*x]).collect();
		aggregate(MEDIAN, &updates(&rows), 1).unwrap()[0].data[0]
	};
	assert_eq!(of(&[5.0]), 5.0);
	assert_eq!(of(&[5.0, -1.0, 2.0]), 2.0);
	assert_eq!(of(&[f32::MAX, 1.0, f32::MIN, 4.0]), 2.5);
	assert_eq!(of(&[f32::MAX, f32::MAX]), f32::MAX);
	assert_eq!(of(&[-0.0]).to_bits(), 0);
}

#[test]
fn krum_breaks_ties_in_favour_of_the_first() {
	// A square: all four have the same score.
	let rows = [[0.0f32, 0.0], [0.0, 1.0], [1.0, 1.0], [1.0, 0.0]].map(|r| r.to_vec());
	let of = |rows: &[Vec<f32>]| aggregate(AggregationRule::Krum { hostile: 0 }, &updates(rows), 1).unwrap();
	assert_eq!(of(&rows), flat(&[0.0, 0.0]));
	let mut turned = rows.clone();
	turned.reverse();
	assert_eq!(of(&turned), flat(&[1.0, 0.0]));
}

#[test]
fn centered_clipping_walks_towards_the_updates_by_at_most_its_radius() {
	let rows = vec![vec![100.0f32, 0.0]; 3];
	let of = |radius, iterations, centre: Option<&[f32]>| {
		with_centre(clipping(radius, iterations), centre, &updates(&rows), 1)
	};
	assert_eq!(of(10_000_000, 3, None), [30.0, 0.0]);
	assert_eq!(of(10_000_000, 3, Some(&[95.0, 0.0])), [100.0, 0.0]);
	assert_eq!(of(500_000, 1, Some(&[100.0, 8.0])), [100.0, 7.5]);
}

#[test]
fn parameters_that_break_the_breakdown_point_are_refused_with_the_numbers() {
	let rows = vec![vec![1.0f32]; 6];
	let updates = updates(&rows);
	let refused = |rule| aggregate(rule, &updates, 1).unwrap_err();
	let rule = AggregationRule::Krum { hostile: 2 };
	assert_eq!(refused(rule), AggregationError::TooFew { rule, needed: 7, found: 6, bucketed: None });
	assert_eq!(
		refused(rule).to_string(),
		"Krum against 2 hostile updates needs at least 7 updates, but there are 6; let it withstand at most 1 \
		 hostile updates"
	);
	for (rule, needed) in [
		(AggregationRule::MultiKrum { hostile: 2, selected: 1 }, 7),
		(AggregationRule::MultiKrum { hostile: 1, selected: 6 }, 7),
		(AggregationRule::MultiKrum { hostile: u32::MAX, selected: u32::MAX }, 8_589_934_593),
		(AggregationRule::TrimmedMean { trim: 3 }, 7),
	] {
		assert_eq!(refused(rule), AggregationError::TooFew { rule, needed, found: 6, bucketed: None });
	}
	for rule in [
		AggregationRule::Krum { hostile: 1 },
		AggregationRule::MultiKrum { hostile: 1, selected: 5 },
		AggregationRule::TrimmedMean { trim: 2 },
	] {
		assert!(aggregate(rule, &updates, 1).is_ok(), "{rule:?}");
	}
}

#[test]
fn parameters_outside_their_ranges_are_refused_by_name() {
	let updates = updates(&vec![vec![1.0f32]; 6]);
	let refused = |rule| aggregate(rule, &updates, 1).unwrap_err().to_string();
	assert_eq!(
		refused(clipping(10_000_000, 0)),
		"centered clipping with radius 10 in 0 steps cannot be: `iterations` is 0, but must be from 1 to 100"
	);
	assert!(refused(clipping(0, 3)).contains("`radius` is 0"));
	assert!(refused(geometric_median(0, 8)).contains("`smoothing` is 0"));
	assert!(refused(geometric_median(100_000, 101)).contains("`iterations` is 101"));
	let none = AggregationRule::MultiKrum { hostile: 1, selected: 0 };
	assert!(refused(none).contains("`selected` is 0"));
}

#[test]
fn centre_is_refused_when_its_tensors_are_not_the_updates_or_not_finite() {
	let updates = updates(&vec![vec![1.0f32]; 3]);
	let refused = |centre: &[f32]| {
		let centre = flat(centre);
		let rule = AggregationRule::CENTERED_CLIPPING;
		aggregate_with(rule, &PreAggregation::default(), Some(&centre), &updates, 1).unwrap_err()
	};
	assert!(matches!(refused(&[1.0, 2.0]), AggregationError::StateShape { part: "centre", .. }));
	assert!(matches!(
		refused(&[f32::NAN]),
		AggregationError::StateNotFinite { part: "centre", index: 0, .. }
	));
}
