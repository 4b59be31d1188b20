//! The README's arithmetic a second time: for one tensor, on one thread, with every row and point held as a whole.
#![allow(dead_code)]

use cairn_aggregation::{AggregationRule, EffectiveSteps, PreAggregation};

/// The sum of `term(i)` over the elements of one tensor, in the order of the README.
pub fn sum(n: usize, term: impl Fn(usize) -> f64) -> f64 {
	let mut total = 0.0f64;
	for start in (0..n).step_by(32_768) {
		let mut lanes = [0.0f64; 8];
		for i in start..n.min(start + 32_768) {
			lanes[(i - start) % 8] += term(i);
		}
		let mut chunk = 0.0;
		for lane in lanes {
			chunk += lane;
		}
		total += chunk;
	}
	total
}

pub fn squared_distance(x: &[f32], y: &[f64]) -> f64 {
	sum(x.len(), |i| {
		let difference = f64::from(x[i]) - y[i];
		difference * difference
	})
}

pub fn wide(row: &[f32]) -> Vec<f64> {
	row.iter().map(|x| f64::from(*x)).collect()
}

/// `centre` times its weight, plus rows times theirs, divided.
fn combination(centre: Option<(f64, &[f32])>, rows: &[Vec<f32>], weights: &[f64], divisor: f64) -> Vec<f64> {
	(0..rows[0].len())
		.map(|c| {
			let mut sum = 0.0f64;
			if let Some((weight, centre)) = centre {
				sum += weight * f64::from(centre[c]);
			}
			for (row, weight) in rows.iter().zip(weights) {
				sum += weight * f64::from(row[c]);
			}
			sum / divisor
		})
		.collect()
}

fn sorted(row: impl Iterator<Item = f32>) -> Vec<f32> {
	let mut values: Vec<f32> = row.collect();
	values.sort_by(f32::total_cmp);
	values
}

/// The rows in ascending order of a number that each has, the first of equals first.
fn by(numbers: &[f64]) -> Vec<usize> {
	let mut rows: Vec<(f64, usize)> = numbers.iter().copied().zip(0..).collect();
	rows.sort_by(|a, b| a.partial_cmp(b).unwrap());
	rows.into_iter().map(|(_, row)| row).collect()
}

pub fn aggregate(
	rule: AggregationRule,
	centre: Option<&[f32]>,
	rows: &[Vec<f32>],
	samples: &[u64],
) -> Vec<f64> {
	let n = rows.len();
	let trimmed = |trim: usize| {
		(0..rows[0].len())
			.map(|c| {
				let values = sorted(rows.iter().map(|r| r[c]));
				let kept = &values[trim..n - trim];
				let mut sum = 0.0f64;
				for x in kept {
					sum += f64::from(*x);
				}
				sum / kept.len() as f64
			})
			.collect::<Vec<f64>>()
	};
	let krum = |hostile: u32, selected: u32| {
		let scores: Vec<f64> = (0..n)
			.map(|i| {
				let mut squares: Vec<f64> = (0..n)
					.filter(|j| *j != i)
					.map(|j| squared_distance(&rows[i.min(j)], &wide(&rows[i.max(j)])))
					.collect();
				squares.sort_by(f64::total_cmp);
				let mut sum = 0.0;
				for square in &squares[..n - hostile as usize - 2] {
					sum += square;
				}
				sum
			})
			.collect();
		let mut weights = vec![0.0; n];
		for row in by(&scores).into_iter().take(selected as usize) {
			weights[row] = 1.0;
		}
		combination(None, rows, &weights, f64::from(selected))
	};
	match rule {
		AggregationRule::WeightedMean => {
			let weights: Vec<f64> = samples.iter().map(|s| *s as f64).collect();
			combination(None, rows, &weights, samples.iter().sum::<u64>() as f64)
		},
		AggregationRule::TrimmedMean { trim } => trimmed(trim as usize),
		AggregationRule::CoordinateMedian => trimmed((n - 1) / 2),
		AggregationRule::Krum { hostile } => krum(hostile, 1),
		AggregationRule::MultiKrum { hostile, selected } => krum(hostile, selected),
		AggregationRule::GeometricMedian { smoothing, iterations } => {
			let smoothing = smoothing as f64 / 1e6;
			let mut point = vec![0.0f64; rows[0].len()];
			for _ in 0..iterations {
				let weights: Vec<f64> =
					rows.iter().map(|x| 1.0 / squared_distance(x, &point).sqrt().max(smoothing)).collect();
				let mut total = 0.0;
				for weight in &weights {
					total += weight;
				}
				point = combination(None, rows, &weights, total);
			}
			point
		},
		AggregationRule::CenteredClipping { radius, iterations } => {
			let radius = radius as f64 / 1e6;
			let (mut rest, mut weights) = (1.0f64, vec![0.0f64; n]);
			let point = |rest: f64, weights: &[f64]| {
				combination(centre.map(|centre| (rest, centre)), rows, weights, 1.0)
			};
			for _ in 0..iterations {
				let at = point(rest, &weights);
				let clips: Vec<f64> = rows
					.iter()
					.map(|x| {
						let distance = squared_distance(x, &at).sqrt();
						if distance > radius {
							radius / distance
						} else {
							1.0
						}
					})
					.collect();
				let mut total = 0.0;
				for clip in &clips {
					total += clip;
				}
				let left = 1.0 - total / n as f64;
				rest *= left;
				for (weight, clip) in weights.iter_mut().zip(&clips) {
					*weight = *weight * left + clip / n as f64;
				}
			}
			point(rest, &weights)
		},
	}
}

fn mean(rows: &[Vec<f32>], members: &[usize]) -> Vec<f32> {
	let weights: Vec<f64> = (0..rows.len()).map(|i| f64::from(u8::from(members.contains(&i)))).collect();
	combination(None, rows, &weights, members.len() as f64).into_iter().map(|x| x as f32).collect()
}

/// The rows that a rule gets, and their samples. Which updates are in which bucket is given.
pub fn prepare(
	pre: &PreAggregation,
	buckets: &[Vec<usize>],
	rows: &[Vec<f32>],
	samples: &[u32],
	steps: &[u32],
) -> (Vec<Vec<f32>>, Vec<u64>) {
	let mut rows = rows.to_vec();
	let mut samples: Vec<u64> = samples.iter().map(|s| u64::from(*s)).collect();
	if let Some(normalisation) = pre.normalisation {
		let effective = match normalisation.effective {
			EffectiveSteps::Mean => {
				let all: u128 = samples.iter().zip(steps).map(|(n, t)| u128::from(*n) * u128::from(*t)).sum();
				all as f64 / samples.iter().sum::<u64>() as f64
			},
			EffectiveSteps::Median => {
				let mut steps = steps.to_vec();
				steps.sort();
				f64::from(steps[(steps.len() - 1) / 2])
			},
		};
		for (row, steps) in rows.iter_mut().zip(steps) {
			let factor = (effective / f64::from(*steps)).min(f64::from(normalisation.cap) / 1e6);
			for x in row {
				let scaled = (f64::from(*x) * factor) as f32;
				*x = if scaled.is_finite() { scaled } else { f32::MAX.copysign(scaled) };
			}
		}
	}
	if pre.bucketing.is_some() {
		samples = buckets.iter().map(|b| b.iter().map(|i| samples[*i]).sum()).collect();
		rows = buckets.iter().map(|b| mean(&rows, b)).collect();
	}
	if let Some(mixing) = pre.mixing {
		let nearest = rows.len() - mixing.hostile as usize;
		rows = (0..rows.len())
			.map(|i| {
				let squares: Vec<f64> = (0..rows.len())
					.map(|j| squared_distance(&rows[i.min(j)], &wide(&rows[i.max(j)])))
					.collect();
				mean(&rows, &by(&squares)[..nearest])
			})
			.collect();
	}
	(rows, samples)
}
