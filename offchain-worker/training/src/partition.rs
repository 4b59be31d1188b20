//! Which worker has which samples.
//!
//! On a devnet and in experiments one data set plays the private data of several workers. The usual way to make them
//! unlike each other is to draw, for each class, the workers' shares of it from a symmetric Dirichlet distribution
//! (Hsu, Qi & Brown 2019): the smaller `alpha`, the fewer classes each worker sees.

use crate::{dataset::Dataset, random::Stream, source::DataError};

/// The fewest samples that any worker gets.
pub const MIN_PARTITION_SAMPLES: usize = 16;

/// One worker's part of a data set.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Partition {
	/// How many workers share the data set.
	pub workers: u32,
	/// Which of them this is, from 0.
	pub index: u32,
	/// Concentration of the Dirichlet distribution, 0.001 to 1,000,000; `None` deals the samples out evenly at random.
	pub alpha: Option<f64>,
	/// Seed of the draw. Workers that name the same seed, number and `alpha` get disjoint parts.
	pub seed: u64,
}

/// Why there is no such partition.
#[derive(Debug, thiserror::Error)]
pub enum PartitionError {
	/// No such worker.
	#[error("there is no worker {index} of {workers}: the index runs from 0 to {}", workers.saturating_sub(1))]
	Index {
		/// The index that was asked for.
		index: u32,
		/// The number of workers.
		workers: u32,
	},
	/// Too many workers for the data.
	#[error(
		"{samples} samples are too few for {workers} workers, because each gets at least {MIN_PARTITION_SAMPLES}: \
		 use at most {} workers or more data", samples / MIN_PARTITION_SAMPLES
	)]
	TooFewSamples {
		/// The samples to share.
		samples: usize,
		/// The number of workers.
		workers: u32,
	},
	/// An `alpha` that is no concentration.
	#[error(
		"the Dirichlet alpha is {0}, but must be between 0.001 (each class goes to hardly more than one worker) and \
		 1000000 (all alike)"
	)]
	Alpha(f64),
	/// A share of a long tail that is none.
	#[error("the long tail's share is {0}, but must be more than 0 and at most 1 (all classes whole)")]
	LongTail(f64),
	/// The part could not be taken from the data set.
	#[error(transparent)]
	Data(#[from] DataError),
}

impl Dataset {
	/// One worker's part. See [`Dataset::partition_indices`].
	///
	/// # Errors
	/// As [`Dataset::partition_indices`], and when `index` is not below `workers`.
	pub fn partition(&self, partition: &Partition) -> Result<Dataset, PartitionError> {
		let Partition { workers, index, alpha, seed } = *partition;
		if index >= workers {
			return Err(PartitionError::Index { index, workers });
		}
		let parts = self.partition_indices(workers, alpha, seed)?;
		Ok(self.select(&parts[index as usize])?)
	}

	/// The indices of every worker's samples, ascending. Each sample goes to exactly one worker, and the same
	/// arguments give the same parts on every host.
	///
	/// With `alpha`, each class in turn is shuffled and cut at the cumulated shares that a Dirichlet draw gives the
	/// workers. Then, while a worker has fewer than [`MIN_PARTITION_SAMPLES`], it is given the last sample of the
	/// class of which the worker with most samples has most (on a tie, the lower number counts). Without `alpha`, all
	/// samples are shuffled and dealt out one by one.
	///
	/// # Errors
	/// When there are not [`MIN_PARTITION_SAMPLES`] for each worker, when there is no worker, or when `alpha` is not
	/// between 0.001 and 1,000,000.
	pub fn partition_indices(
		&self,
		workers: u32,
		alpha: Option<f64>,
		seed: u64,
	) -> Result<Vec<Vec<u32>>, PartitionError> {
		self.enough_for(workers)?;
		let mut parts = match alpha {
			Some(alpha) if (1e-3..=1e6).contains(&alpha) => {
				self.dirichlet_parts(workers as usize, alpha, seed)
			},
			Some(alpha) => return Err(PartitionError::Alpha(alpha)),
			None => {
				let mut indices: Vec<u32> = (0..self.samples() as u32).collect();
				Stream::new("even partition", seed, &[]).shuffle(&mut indices);
				let mut parts = vec![Vec::new(); workers as usize];
				for (i, index) in indices.into_iter().enumerate() {
					parts[i % workers as usize].push(index);
				}
				parts
			},
		};
		for part in &mut parts {
			part.sort_unstable();
		}
		Ok(parts)
	}

	/// The indices of every worker's samples when they are sorted by label and cut into parts whose sizes differ by one
	/// at most, so that a worker has hardly more than its share of classes: the most unlike that workers usually are in
	/// the literature. Among samples of a label, `seed` decides the order.
	///
	/// # Errors
	/// When there are not [`MIN_PARTITION_SAMPLES`] for each worker, or when there is no worker.
	pub fn sorted_indices(&self, workers: u32, seed: u64) -> Result<Vec<Vec<u32>>, PartitionError> {
		self.enough_for(workers)?;
		let mut sorted = Vec::with_capacity(self.samples());
		for (class, mut indices) in self.by_class() {
			Stream::new("sorted partition", seed, &[&class.to_le_bytes()]).shuffle(&mut indices);
			sorted.append(&mut indices);
		}
		let workers = workers as usize;
		let cut = |worker: usize| worker * sorted.len() / workers;
		let part = |worker: usize| {
			let mut part = sorted[cut(worker)..cut(worker + 1)].to_vec();
			part.sort_unstable();
			part
		};
		Ok((0..workers).map(part).collect())
	}

	/// A long tail: of the classes that there are samples of, in ascending order, number *k* (from 0) keeps a share of
	/// `share`^*k* of its samples, rounded down but at least one (Karimireddy, He & Jaggi 2022 take 0.5 on MNIST). Which,
	/// `seed` decides; the rest keep their order.
	///
	/// # Errors
	/// When `share` is not more than 0 and at most 1.
	pub fn long_tail(&self, share: f64, seed: u64) -> Result<Dataset, PartitionError> {
		if !(share > 0.0 && share <= 1.0) {
			return Err(PartitionError::LongTail(share));
		}
		let (mut kept, mut part) = (Vec::new(), 1.0);
		for (class, mut indices) in self.by_class() {
			Stream::new("long tail", seed, &[&class.to_le_bytes()]).shuffle(&mut indices);
			let count = ((indices.len() as f64 * part) as usize).max(1);
			kept.extend_from_slice(&indices[..count]);
			part *= share;
		}
		kept.sort_unstable();
		Ok(self.select(&kept)?)
	}

	fn enough_for(&self, workers: u32) -> Result<(), PartitionError> {
		if workers == 0 {
			return Err(PartitionError::Index { index: 0, workers });
		}
		if self.samples() / MIN_PARTITION_SAMPLES < workers as usize {
			return Err(PartitionError::TooFewSamples { samples: self.samples(), workers });
		}
		Ok(())
	}

	fn dirichlet_parts(&self, workers: usize, alpha: f64, seed: u64) -> Vec<Vec<u32>> {
		let classes = self.by_class();
		// By worker and class, so that the worker with too many can give from where it has most.
		let mut parts = vec![vec![Vec::new(); classes.len()]; workers];
		for (place, (class, mut indices)) in classes.into_iter().enumerate() {
			let mut stream = Stream::new("Dirichlet partition", seed, &[&class.to_le_bytes()]);
			stream.shuffle(&mut indices);
			let shares = stream.dirichlet(alpha, workers);
			let (mut sum, mut from) = (0.0, 0);
			for (worker, share) in shares.iter().enumerate() {
				sum += share;
				// The last takes the rest, whatever rounding left of the sum.
				let to =
					if worker + 1 == workers { indices.len() } else { (sum * indices.len() as f64) as usize };
				let to = to.clamp(from, indices.len());
				parts[worker][place] = indices[from..to].to_vec();
				from = to;
			}
		}
		let mut sizes: Vec<usize> = parts.iter().map(|p| p.iter().map(Vec::len).sum()).collect();
		// Ends: there are enough samples for all, so while one has too few, the one with most has more than enough.
		for needy in 0..workers {
			while sizes[needy] < MIN_PARTITION_SAMPLES {
				let giver = largest(sizes.iter().copied());
				let class = largest(parts[giver].iter().map(Vec::len));
				if let Some(sample) = parts[giver][class].pop() {
					parts[needy][class].push(sample);
					sizes[giver] -= 1;
					sizes[needy] += 1;
				}
			}
		}
		parts.into_iter().map(|p| p.concat()).collect()
	}
}

/// The place of the largest value, the first on a tie.
fn largest(values: impl Iterator<Item = usize>) -> usize {
	values.enumerate().fold((0, 0), |best, (i, v)| if v > best.1 { (i, v) } else { best }).0
}

#[cfg(test)]
mod tests {
	#![allow(clippy::unwrap_used)]
	use super::*;
	use crate::{load, DataSource};
	use proptest::prelude::*;

	fn digits() -> Dataset {
		load(&DataSource::Digits).unwrap().train
	}

	#[test]
	fn digits_partition_is_the_published_one() {
		let parts = [Some(0.5), Some(0.01), None].map(|alpha| {
			let parts = digits().partition_indices(5, alpha, 1).unwrap();
			let bytes: Vec<u8> = parts.iter().flatten().flat_map(|i| i.to_le_bytes()).collect();
			let sizes: Vec<usize> = parts.iter().map(Vec::len).collect();
			(sizes, format!("{:?}", cairn_primitives::artifact_hash(&bytes)))
		});
		let golden = GOLDEN.map(|(sizes, hash)| (sizes.to_vec(), hash.to_owned()));
		assert_eq!(parts, golden);
	}

	/// Sizes of the parts, and the hash of all indices as little-endian `u32`.
	const GOLDEN: [([usize; 5], &str); 3] = [
		([225, 299, 310, 315, 289], "0xae1a0f94adefbe19af9ac226a26e69cc6c3163836de6a25cc8c41e54bd05a8a4"),
		([285, 288, 428, 144, 293], "0x00db0b56fca5450c558a8a7e82c209bb3f8b86356bf02b9e12374b1e53911620"),
		([288, 288, 288, 287, 287], "0x3c048a7e49e97c05f15385354c8e2cac1c276d8f45da46b5da7e063a6544867e"),
	];

	/// Mean over the workers of the total variation distance between a worker's labels and all labels: 0 when all
	/// are alike, near 1 when each has a class of its own.
	fn skew(data: &Dataset, parts: &[Vec<u32>]) -> f64 {
		let share = |counts: &[usize], class: usize| {
			counts.get(class).copied().unwrap_or(0) as f64 / counts.iter().sum::<usize>() as f64
		};
		let all = data.class_counts();
		let distance = |part: &Vec<u32>| {
			let counts = data.select(part).unwrap().class_counts();
			(0..all.len()).map(|c| (share(&counts, c) - share(&all, c)).abs()).sum::<f64>() / 2.0
		};
		parts.iter().map(distance).sum::<f64>() / parts.len() as f64
	}

	#[test]
	fn skew_grows_as_alpha_falls() {
		let data = digits();
		let mean = |alpha: Option<f64>| {
			(0..10).map(|seed| skew(&data, &data.partition_indices(5, alpha, seed).unwrap())).sum::<f64>()
				/ 10.0
		};
		let skews = [mean(None), mean(Some(100.0)), mean(Some(1.0)), mean(Some(0.3)), mean(Some(0.05))];
		assert!(skews[0] < 0.12 && skews[4] > 0.6, "{skews:?}");
		assert!(skews[1..].windows(2).all(|w| w[0] + 0.05 < w[1]), "{skews:?}");
	}

	#[test]
	fn even_partition_sizes_differ_by_one_at_most() {
		let sizes: Vec<usize> =
			digits().partition_indices(7, None, 3).unwrap().iter().map(Vec::len).collect();
		assert!(sizes.iter().max().unwrap() - sizes.iter().min().unwrap() <= 1, "{sizes:?}");
	}

	#[test]
	fn sorted_parts_have_hardly_more_than_their_share_of_classes() {
		let data = digits();
		let parts = data.sorted_indices(5, 1).unwrap();
		let sizes: Vec<usize> = parts.iter().map(Vec::len).collect();
		assert!(sizes.iter().max().unwrap() - sizes.iter().min().unwrap() <= 1, "{sizes:?}");
		for (worker, part) in parts.iter().enumerate() {
			let counts = data.select(part).unwrap().class_counts();
			let classes: Vec<usize> = (0..counts.len()).filter(|c| counts[*c] > 0).collect();
			assert!(classes.len() <= 4 && classes[0].abs_diff(2 * worker) <= 1, "{worker}: {classes:?}");
		}
		let mut all = parts.concat();
		all.sort_unstable();
		assert!(all.into_iter().eq(0..data.samples() as u32));
		assert_ne!(parts, data.sorted_indices(5, 2).unwrap());
		assert!(matches!(data.sorted_indices(0, 1), Err(PartitionError::Index { .. })));
		assert!(matches!(data.sorted_indices(1000, 1), Err(PartitionError::TooFewSamples { .. })));
	}

	#[test]
	fn long_tail_keeps_a_power_of_the_share_of_each_class() {
		let data =
			Dataset::new(vec![1], (0..300).map(|i| i as f32).collect(), (0..300).map(|i| i % 3).collect());
		let data = data.unwrap();
		assert_eq!(data.long_tail(0.5, 1).unwrap().class_counts(), [100, 50, 25]);
		assert_eq!(data.long_tail(0.001, 1).unwrap().class_counts(), [100, 1, 1]);
		assert_eq!(data.long_tail(1.0, 1).unwrap(), data);
		assert_ne!(data.long_tail(0.5, 1).unwrap(), data.long_tail(0.5, 2).unwrap());
		for share in [0.0, -0.5, 1.01, f64::NAN] {
			assert!(matches!(data.long_tail(share, 1), Err(PartitionError::LongTail(_))));
		}
	}

	#[test]
	fn partition_is_refused_when_it_cannot_be() {
		let data = digits();
		let partition = Partition { workers: 5, index: 0, alpha: None, seed: 0 };
		for alpha in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e-4] {
			let error = data.partition(&Partition { alpha: Some(alpha), ..partition }).unwrap_err();
			assert!(matches!(error, PartitionError::Alpha(_)));
		}
		for (workers, index) in [(0, 0), (5, 5), (1, u32::MAX)] {
			let error = data.partition(&Partition { workers, index, ..partition }).unwrap_err();
			assert!(matches!(error, PartitionError::Index { .. }));
		}
		let most = (data.samples() / MIN_PARTITION_SAMPLES) as u32;
		assert!(data.partition(&Partition { workers: most, ..partition }).is_ok());
		let error = data.partition(&Partition { workers: most + 1, ..partition }).unwrap_err();
		assert!(error.to_string().contains(&format!("at most {most} workers")), "{error}");
	}

	proptest! {
		#[test]
		fn every_sample_goes_to_exactly_one_worker_and_each_has_enough(
			labels in proptest::collection::vec(0u32..6, 160..400),
			workers in 1u32..=10,
			alpha in proptest::option::of(prop_oneof![Just(1e-3), 0.01f64..2.0, Just(1e6)]),
			seed: u64,
		) {
			let data = Dataset::new(vec![1], vec![0.0; labels.len()], labels).unwrap();
			let parts = data.partition_indices(workers, alpha, seed).unwrap();
			prop_assert_eq!(parts.len(), workers as usize);
			let mut all = parts.concat();
			all.sort_unstable();
			prop_assert_eq!(all, (0..data.samples() as u32).collect::<Vec<_>>());
			for (index, part) in parts.iter().enumerate() {
				prop_assert!(part.len() >= MIN_PARTITION_SAMPLES);
				let partition = Partition { workers, index: index as u32, alpha, seed };
				prop_assert_eq!(data.partition(&partition).unwrap(), data.select(part).unwrap());
			}
		}
	}
}
