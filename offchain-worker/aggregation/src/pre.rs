//! What is done to updates before the rule.

use crate::{
	check::slices,
	distances::{least, Distances},
	error::Bucketed,
	rows::{Rows, Stage},
	rules::from_millionths,
	AggregationError, CheckedUpdate,
};
use cairn_primitives::aggregation::{EffectiveSteps, Mixing, Normalisation};

/// Domain of the stream that orders updates for bucketing.
pub const BUCKETING_DOMAIN: &str = "cairn 2026-11 bucketing order v1";

/// What is done to updates before the rule, in the order of the fields. The default does nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PreAggregation {
	/// Makes up for different numbers of local steps.
	pub normalisation: Option<Normalisation>,
	/// Averages updates in small groups, and lets the rule aggregate the averages.
	pub bucketing: Option<Bucketing>,
	/// Replaces each update by the mean of its nearest ones.
	pub mixing: Option<Mixing>,
}

/// Bucketing: Karimireddy, He and Jaggi, "Byzantine-Robust Learning on Heterogeneous Datasets via Bucketing", 2022.
/// Updates are shuffled and averaged `size` at a time, with equal weight; a last bucket may have fewer.
///
/// Data that differ between workers make honest updates differ; buckets differ less. The price: a hostile update can
/// spoil its bucket, so *f* of them count as *f* of ⌈*n* / `size`⌉. Rule and mixing are therefore judged against the
/// number of buckets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bucketing {
	/// Updates per bucket: at least 1.
	pub size: u32,
	/// Decides the order, together with how many updates there are. It must not be known before the set of updates is
	/// fixed, or hostile workers could choose whose buckets to spoil: the round's randomness.
	pub seed: [u8; 32],
}

/// Rows, and what rules ask about them.
pub(crate) struct Prepared<'a> {
	pub(crate) rows: Rows<'a>,
	pub(crate) samples: Vec<u64>,
	pub(crate) bucketed: Option<Bucketed>,
}

impl PreAggregation {
	/// The rows that a rule aggregates. There is at least one update, and all have the same tensors.
	pub(crate) fn prepare<'a>(
		&self,
		updates: &'a [CheckedUpdate],
		threads: usize,
	) -> Result<Prepared<'a>, AggregationError> {
		let mut rows = Rows::new(updates.iter().map(|u| slices(u.tensors())).collect());
		let mut samples: Vec<u64> = updates.iter().map(|u| u.envelope().samples.into()).collect();
		let mut bucketed = None;
		if let Some(normalisation) = self.normalisation {
			let steps: Vec<u32> = updates.iter().map(|u| u.envelope().local_steps).collect();
			rows.push(Stage::Scale(factors(&normalisation, &steps, &samples)?));
		}
		if let Some(bucketing) = self.bucketing {
			let groups = bucketing.groups(updates.len())?;
			samples = groups.iter().map(|group| group.iter().map(|i| samples[*i]).sum()).collect();
			rows.push(Stage::Groups(groups));
			bucketed = Some(Bucketed { updates: updates.len(), size: bucketing.size });
		}
		if let Some(mixing) = self.mixing {
			let (found, needed) = (rows.count(), u64::from(mixing.hostile) * 2 + 1);
			if (found as u64) < needed {
				return Err(AggregationError::TooFewToMix {
					hostile: mixing.hostile,
					needed,
					found,
					bucketed,
				});
			}
			// Below `found`, hence a usize.
			let neighbours = found - mixing.hostile as usize;
			let groups = nearest(Distances::of(&rows, threads)?, neighbours)?;
			rows.push(Stage::Groups(groups));
		}
		Ok(Prepared { rows, samples, bucketed })
	}
}

/// What each update counts times.
fn factors(
	normalisation: &Normalisation,
	steps: &[u32],
	samples: &[u64],
) -> Result<Vec<f64>, AggregationError> {
	normalisation.check()?;
	// A worker that declares no steps is taken to have made one, rather than to end everybody's round.
	let steps: Vec<u32> = steps.iter().map(|s| (*s).max(1)).collect();
	let effective = match normalisation.effective {
		EffectiveSteps::Mean => {
			let products = steps.iter().zip(samples).map(|(t, n)| u128::from(*t) * u128::from(*n));
			let (products, total) = (products.sum::<u128>(), samples.iter().sum::<u64>());
			if total == 0 {
				return Err(AggregationError::NoSamples { updates: steps.len() });
			}
			products as f64 / total as f64
		},
		EffectiveSteps::Median => {
			let mut sorted = steps.clone();
			sorted.sort_unstable();
			f64::from(sorted[(sorted.len() - 1) / 2])
		},
	};
	let cap = from_millionths(normalisation.cap.into());
	let factor = |own: &u32| {
		let factor = effective / f64::from(*own);
		if factor > cap {
			cap
		} else {
			factor
		}
	};
	Ok(steps.iter().map(factor).collect())
}

impl Bucketing {
	/// Which of `updates` are in which bucket, each in ascending order.
	fn groups(&self, updates: usize) -> Result<Vec<Vec<usize>>, AggregationError> {
		if self.size == 0 {
			return Err(AggregationError::Setting {
				setting: "bucketing.size",
				value: 0,
				low: 1,
				high: u32::MAX.into(),
			});
		}
		let mut groups: Vec<Vec<usize>> =
			self.order(updates).chunks(self.size as usize).map(<[usize]>::to_vec).collect();
		for group in &mut groups {
			group.sort_unstable();
		}
		Ok(groups)
	}

	/// The numbers below `n` in an order that the seed decides: Fisher and Yates' shuffle, from the end, with numbers
	/// from BLAKE3.
	fn order(&self, n: usize) -> Vec<usize> {
		let mut order: Vec<usize> = (0..n).collect();
		let mut stream = blake3::Hasher::new_derive_key(BUCKETING_DOMAIN).update(&self.seed).finalize_xof();
		for i in (1..n).rev() {
			let mut word = [0u8; 8];
			stream.fill(&mut word);
			// Below i + 1. Some places are more likely than others, by less than n / 2⁶⁴.
			let j = (u128::from(u64::from_le_bytes(word)) * (i as u128 + 1)) >> 64;
			order.swap(i, j as usize);
		}
		order
	}
}

/// For each row the rows nearest to it, so many of them, itself among them, in ascending order. Of rows equally far, the
/// first.
fn nearest(mut distances: Distances, neighbours: usize) -> Result<Vec<Vec<usize>>, AggregationError> {
	let n = distances.rows();
	let of = |distances: &Distances, i: usize| {
		let bounds: Vec<_> = (0..n).map(|j| distances.between(i, j)).collect();
		least(&bounds, neighbours)
	};
	let mut pairs = Vec::new();
	for i in 0..n {
		let (_, open) = of(&distances, i);
		pairs.extend(open.into_iter().filter(|j| *j != i).map(|j| (i, j)));
	}
	distances.measure(pairs.into_iter())?;
	Ok((0..n).map(|i| of(&distances, i).0).collect())
}

#[cfg(test)]
mod tests {
	use super::*;
	use crate::{engine::Part, rows::Buffers};
	use proptest::prelude::*;

	proptest! {
		#[test]
		fn mixing_moves_no_honest_row_further_than_honest_rows_are_apart(
			honest in proptest::collection::vec([-1.0f32..1.0, -1.0f32..1.0, -1.0f32..1.0], 1..9),
			hostile in proptest::collection::vec([any::<f32>(); 3], 0..8),
		) {
			let f = hostile.len().min(honest.len() - 1);
			let finite = |row: &[f32; 3]| row.map(|x| if x.is_finite() { x } else { f32::MAX });
			let all: Vec<[f32; 3]> = honest.iter().copied().chain(hostile[..f].iter().map(finite)).collect();
			let mut rows = Rows::new(all.iter().map(|row| vec![&row[..]]).collect());
			let distances = Distances::of(&rows, 2).expect("standard arithmetic");
			let groups = nearest(distances, all.len() - f).expect("standard arithmetic");
			rows.push(Stage::Groups(groups));
			let part = Part { tensor: 0, start: 0, len: 3 };
			let mixed: Vec<Vec<f32>> = rows.columns(part, &mut Buffers::default(), |columns| {
				columns.iter().map(|column| column.to_vec()).collect()
			});
			let distance = |a: &[f32], b: &[f32]| {
				a.iter().zip(b).map(|(x, y)| f64::from(x - y).powi(2)).sum::<f64>().sqrt()
			};
			let apart = |a: &[f32; 3]| honest.iter().map(|b| distance(a, b)).fold(0.0, f64::max);
			let most = honest.iter().map(apart).fold(0.0, f64::max);
			for (before, after) in honest.iter().zip(&mixed) {
				// What rounding adds is of the size of the numbers.
				prop_assert!(distance(before, after) <= most + 1e-6, "{before:?} became {after:?}");
			}
		}
	}

	const PLAIN: Normalisation = Normalisation { effective: EffectiveSteps::Median, cap: 4_000_000 };

	#[test]
	fn buckets_are_a_partition_that_the_seed_decides() {
		let groups = |seed: u8, n: usize| Bucketing { size: 3, seed: [seed; 32] }.groups(n).expect("a size");
		for n in [1, 3, 7, 100] {
			let groups = groups(1, n);
			assert_eq!(groups.len(), n.div_ceil(3));
			assert!(groups.iter().all(|g| g.is_sorted()));
			let mut all = groups.concat();
			all.sort_unstable();
			assert!(all.into_iter().eq(0..n));
		}
		assert_ne!(groups(1, 100), groups(2, 100));
		assert_eq!(groups(1, 100), groups(1, 100));
	}

	#[test]
	fn every_order_is_as_likely_as_any_other() {
		let mut seen = [0u32; 27];
		for seed in 0..6000u32 {
			let mut bytes = [0; 32];
			bytes[..4].copy_from_slice(&seed.to_le_bytes());
			let order = Bucketing { size: 1, seed: bytes }.order(3);
			seen[order[0] * 9 + order[1] * 3 + order[2]] += 1;
		}
		let seen: Vec<u32> = seen.into_iter().filter(|n| *n > 0).collect();
		// Five standard deviations of 1,000 expected ones.
		assert!(seen.len() == 6 && seen.iter().all(|n| (850..1150).contains(n)), "{seen:?}");
	}

	#[test]
	fn bucket_of_nothing_is_refused() {
		let refused = Bucketing { size: 0, seed: [0; 32] }.groups(5).expect_err("no size");
		assert_eq!(refused.to_string(), "`bucketing.size` is 0, but must be from 1 to 4294967295");
	}

	#[test]
	fn factors_bring_updates_to_the_effective_steps_and_no_further_than_the_cap() {
		assert_eq!(factors(&PLAIN, &[10, 20, 40, 1, 0], &[1; 5]), Ok(vec![1.0, 0.5, 0.25, 4.0, 4.0]));
		let mean = Normalisation { effective: EffectiveSteps::Mean, ..PLAIN };
		assert_eq!(factors(&mean, &[10, 40], &[2, 1]), Ok(vec![2.0, 0.5]));
		assert_eq!(factors(&mean, &[10, 40], &[0, 0]), Err(AggregationError::NoSamples { updates: 2 }));
		let least = Normalisation { cap: 999_999, ..PLAIN };
		let refused = factors(&least, &[1], &[1]).expect_err("a cap below 1").to_string();
		assert_eq!(refused, "`normalisation.cap` is 999999, but must be from 1000000 to 4294967295");
	}

	#[test]
	fn hostile_step_counts_move_the_median_only_among_honest_ones() {
		let of = |hostile| {
			factors(&PLAIN, &[10, 12, 14, hostile, hostile], &[1; 5]).expect("factors")[..3].to_vec()
		};
		for hostile in [1, u32::MAX] {
			for (factor, own) in of(hostile).iter().zip([10.0, 12.0, 14.0]) {
				assert!((10.0 / own..=14.0 / own).contains(factor), "{hostile} {factor} {own}");
			}
		}
	}
}
