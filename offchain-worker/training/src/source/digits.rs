//! The built-in data set.

use super::{idx, DataError};
use crate::dataset::Dataset;
use std::path::Path;

const IMAGES: &[u8] = include_bytes!("../../data/digits/images.idx3-ubyte");
const LABELS: &[u8] = include_bytes!("../../data/digits/labels.idx1-ubyte");
/// Pixels count the dark ones of 4×4, so they run from 0 to 16.
const DIVISOR: f32 = 16.0;

pub(super) fn load() -> Result<Dataset, DataError> {
	idx::assemble(
		idx::read(&mut &*IMAGES, Some(IMAGES.len() as u64), Path::new("built-in digits images"))?,
		idx::read(&mut &*LABELS, Some(LABELS.len() as u64), Path::new("built-in digits labels"))?,
		DIVISOR,
	)
}

#[cfg(test)]
mod tests {
	#![allow(clippy::unwrap_used)]
	use super::*;
	use crate::{load as load_split, DataSource};
	use cairn_primitives::artifact_hash;

	const README: &str = include_str!("../../data/digits/README.md");

	#[test]
	fn digits_are_the_bytes_that_their_readme_names() {
		for bytes in [IMAGES, LABELS] {
			let hash = format!("{:?}", artifact_hash(bytes));
			assert!(README.contains(hash.trim_start_matches("0x")), "{hash}");
		}
	}

	#[test]
	fn digits_have_the_published_number_of_each_class() {
		let data = load().unwrap();
		assert_eq!((data.samples(), data.shape()), (1797, &[8, 8][..]));
		assert_eq!(data.class_counts(), [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]);
		assert!(data.features().iter().all(|v| (0.0..=1.0).contains(v) && (v * 16.0).fract() == 0.0));
		assert!(data.features().contains(&1.0));
		// The first image, row by row, as it is printed in many a tutorial.
		assert_eq!(
			data.features()[..8].iter().map(|v| (v * 16.0) as u8).collect::<Vec<_>>(),
			[0, 0, 5, 13, 9, 1, 0, 0]
		);
		assert_eq!(data.labels()[..3], [0, 1, 2]);
	}

	#[test]
	fn held_out_digits_are_a_fifth_of_each_class() {
		let splits = load_split(&DataSource::Digits).unwrap();
		assert_eq!((splits.train.samples(), splits.held_out.samples()), (1438, 359));
		assert_eq!(splits.held_out.class_counts(), [36, 36, 35, 37, 36, 36, 36, 36, 35, 36]);
	}
}
