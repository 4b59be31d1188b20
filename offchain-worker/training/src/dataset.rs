//! Labelled samples in memory, and how they are split.

use crate::{random::Stream, source::DataError};

/// Per cent of each class that is held out for evaluation by [`crate::load`].
pub const HELD_OUT_PERCENT: u32 = 20;
/// Seed of the held-out split of [`crate::load`]: the split is the same for everybody.
pub const HELD_OUT_SEED: u64 = 0;

/// Labelled samples.
#[derive(Clone, PartialEq, Debug)]
pub struct Dataset {
	shape: Vec<usize>,
	features: Vec<f32>,
	labels: Vec<u32>,
}

/// What a data source gives: samples to train on, and samples that no worker trains on.
#[derive(Clone, PartialEq, Debug)]
pub struct Splits {
	/// To train on.
	pub train: Dataset,
	/// To evaluate on.
	pub held_out: Dataset,
}

impl Dataset {
	/// Samples of `shape` each, row-major one after the other, with one label each.
	///
	/// # Errors
	/// When there are no samples or more than `u32::MAX`, when the numbers of features and labels do not fit, or when
	/// a feature is not finite.
	pub fn new(shape: Vec<usize>, features: Vec<f32>, labels: Vec<u32>) -> Result<Self, DataError> {
		let size = shape.iter().try_fold(1usize, |size, &d| size.checked_mul(d)).unwrap_or(usize::MAX);
		if labels.is_empty() || size == 0 {
			return Err(DataError::Empty);
		}
		if u32::try_from(labels.len()).is_err() {
			return Err(DataError::TooManySamples(labels.len()));
		}
		if labels.len().checked_mul(size) != Some(features.len()) {
			return Err(DataError::Unfit { samples: labels.len(), shape, values: features.len() });
		}
		if let Some(at) = features.iter().position(|v| !v.is_finite()) {
			return Err(DataError::NotFinite { sample: at / size, value: features[at] });
		}
		Ok(Self { shape, features, labels })
	}

	/// How many samples there are; at least 1 and at most `u32::MAX`.
	pub fn samples(&self) -> usize {
		self.labels.len()
	}

	/// Shape of one sample.
	pub fn shape(&self) -> &[usize] {
		&self.shape
	}

	/// How many values one sample has.
	pub fn sample_values(&self) -> usize {
		self.features.len() / self.labels.len()
	}

	/// All features, sample by sample.
	pub fn features(&self) -> &[f32] {
		&self.features
	}

	/// All labels.
	pub fn labels(&self) -> &[u32] {
		&self.labels
	}

	/// The samples of each label, by label: `class_counts()[3]` is how many there are of class 3.
	pub fn class_counts(&self) -> Vec<usize> {
		let mut counts = Vec::new();
		for &label in &self.labels {
			let label = label as usize;
			if counts.len() <= label {
				counts.resize(label + 1, 0);
			}
			counts[label] += 1;
		}
		counts
	}

	/// The samples with the given indices, in that order.
	///
	/// # Errors
	/// When the list is empty or an index is not below [`Dataset::samples`].
	pub fn select(&self, indices: &[u32]) -> Result<Self, DataError> {
		let size = self.sample_values();
		let mut features = Vec::with_capacity(indices.len() * size);
		let mut labels = Vec::with_capacity(indices.len());
		for &index in indices {
			let at = index as usize;
			let label =
				self.labels.get(at).ok_or(DataError::NoSuchSample { index, samples: self.samples() })?;
			labels.push(*label);
			features.extend_from_slice(&self.features[at * size..(at + 1) * size]);
		}
		Self::new(self.shape.clone(), features, labels)
	}

	/// Holds out `percent` of each class (rounded to the nearest sample), drawn with a ChaCha20 shuffle from `seed`.
	/// Both parts keep the order of the samples. A class of one sample is trained on.
	///
	/// # Errors
	/// When one of the two parts would be empty: too few samples, or a percentage of 0 or of 100 and more.
	pub fn split(&self, percent: u32, seed: u64) -> Result<Splits, DataError> {
		let mut held_out = Vec::new();
		let mut train = Vec::new();
		for (class, mut indices) in self.by_class() {
			Stream::new("held-out split", seed, &[&class.to_le_bytes()]).shuffle(&mut indices);
			let count = (indices.len() as u64 * u64::from(percent) + 50) / 100;
			let count = (count as usize).min(indices.len() - usize::from(percent < 100));
			held_out.extend_from_slice(&indices[..count]);
			train.extend_from_slice(&indices[count..]);
		}
		if train.is_empty() || held_out.is_empty() {
			return Err(DataError::NothingToHoldOut { samples: self.samples(), percent });
		}
		train.sort_unstable();
		held_out.sort_unstable();
		Ok(Splits { train: self.select(&train)?, held_out: self.select(&held_out)? })
	}

	/// The indices of the samples of each class that has any, ascending in both.
	pub(crate) fn by_class(&self) -> Vec<(u32, Vec<u32>)> {
		let mut indices: Vec<u32> = (0..self.samples() as u32).collect();
		indices.sort_by_key(|&i| self.labels[i as usize]);
		indices
			.chunk_by(|&a, &b| self.labels[a as usize] == self.labels[b as usize])
			.map(|chunk| (self.labels[chunk[0] as usize], chunk.to_vec()))
			.collect()
	}
}

#[cfg(test)]
mod tests {
	#![allow(clippy::unwrap_used)]
	use super::*;
	use proptest::prelude::*;

	fn numbered(labels: Vec<u32>) -> Dataset {
		let features = (0..labels.len()).map(|i| i as f32).collect();
		Dataset::new(vec![1], features, labels).unwrap()
	}

	#[test]
	fn data_set_is_refused_when_its_parts_do_not_fit() {
		assert!(matches!(Dataset::new(vec![2], vec![], vec![]), Err(DataError::Empty)));
		assert!(matches!(Dataset::new(vec![0], vec![], vec![1]), Err(DataError::Empty)));
		assert!(matches!(
			Dataset::new(vec![2], vec![1.0; 3], vec![0, 1]),
			Err(DataError::Unfit { samples: 2, values: 3, .. })
		));
		assert!(matches!(
			Dataset::new(vec![usize::MAX, 2], vec![1.0], vec![0]),
			Err(DataError::Unfit { .. })
		));
		assert!(matches!(
			Dataset::new(vec![2], vec![1.0, 2.0, f32::NAN, 4.0], vec![0, 1]),
			Err(DataError::NotFinite { sample: 1, .. })
		));
	}

	#[test]
	fn select_is_refused_when_an_index_is_beyond_the_end() {
		let data = numbered(vec![0, 1, 2]);
		assert_eq!(data.select(&[2, 0]).unwrap().features(), [2.0, 0.0]);
		assert!(matches!(data.select(&[3]), Err(DataError::NoSuchSample { index: 3, samples: 3 })));
		assert!(matches!(data.select(&[]), Err(DataError::Empty)));
	}

	#[test]
	fn split_is_refused_when_a_part_would_be_empty() {
		for percent in [0, 100, u32::MAX] {
			let error = numbered(vec![0; 10]).split(percent, 0).unwrap_err();
			assert!(matches!(error, DataError::NothingToHoldOut { .. }), "{percent}");
		}
		assert!(numbered(vec![0, 1, 2]).split(90, 0).is_err());
		assert!(numbered(vec![0, 0, 1]).split(50, 0).is_ok());
	}

	proptest! {
		#[test]
		fn split_covers_every_sample_once_and_holds_out_the_share_of_each_class(
			labels in proptest::collection::vec(0u32..5, 40..200), percent in 5u32..95, seed: u64,
		) {
			let data = numbered(labels);
			let Splits { train, held_out } = data.split(percent, seed).unwrap();
			let mut all: Vec<f32> = [train.features(), held_out.features()].concat();
			all.sort_by(f32::total_cmp);
			prop_assert_eq!(&all[..], data.features());
			for part in [&train, &held_out] {
				prop_assert!(part.features().windows(2).all(|w| w[0] < w[1]));
				for (value, label) in part.features().iter().zip(part.labels()) {
					prop_assert_eq!(data.labels()[*value as usize], *label);
				}
			}
			for (class, &n) in data.class_counts().iter().enumerate() {
				let out = held_out.class_counts().get(class).copied().unwrap_or(0);
				prop_assert!((out as f64 - n as f64 * f64::from(percent) / 100.0).abs() <= 0.5 || n - out == 1);
			}
			prop_assert_eq!(data.split(percent, seed).unwrap(), Splits { train, held_out });
		}
	}
}
