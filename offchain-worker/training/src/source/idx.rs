//! The format of MNIST: two zero bytes, a type byte, the number of dimensions, the dimensions as big-endian `u32`,
//! then the values in row-major order. Only unsigned bytes (type 8) are read.

use super::{check_divisor, io_error, open, DataError};
use crate::dataset::Dataset;
use std::{io::Read, path::Path};

/// What the pixels of an IDX file are divided by unless another number is given.
pub const DEFAULT_IDX_DIVISOR: f32 = 255.0;
/// The most values that a file may have; as features they take 4 GiB.
const MAX_VALUES: u64 = 1 << 30;
const UNSIGNED_BYTE: u8 = 8;

/// The content of a file.
pub(super) struct Array<'a> {
	path: &'a Path,
	shape: Vec<usize>,
	values: Vec<u8>,
}

pub(super) fn load(images: &Path, labels: &Path, divisor: f32) -> Result<Dataset, DataError> {
	let ((mut image_reader, image_size), (mut label_reader, label_size)) = (open(images)?, open(labels)?);
	assemble(
		read(&mut image_reader, image_size, images)?,
		read(&mut label_reader, label_size, labels)?,
		divisor,
	)
}

/// Reads a file. Nothing is allocated by what the header says before the size of the file, where it is known, agrees;
/// of a file whose size is not known no more is read than the header says.
pub(super) fn read<'a>(
	reader: &mut dyn Read,
	size: Option<u64>,
	path: &'a Path,
) -> Result<Array<'a>, DataError> {
	let refused = |problem: String| DataError::Idx { path: path.to_owned(), problem };
	let mut header = |bytes: &mut [u8]| {
		reader.read_exact(bytes).map_err(|error| match error.kind() {
			std::io::ErrorKind::UnexpectedEof => refused("the file ends within its IDX header".into()),
			_ => io_error(path, error),
		})
	};
	let mut magic = [0u8; 4];
	header(&mut magic)?;
	let [zero, another, kind, dimensions] = magic;
	if [zero, another] != [0, 0] {
		return Err(refused(format!(
			"not an IDX file: it starts with the bytes {magic:02x?}; give a `.gz` file its `.gz` ending"
		)));
	}
	if kind != UNSIGNED_BYTE {
		return Err(refused(format!(
			"IDX values of type 0x{kind:02x}, but only unsigned bytes (0x08) are read"
		)));
	}
	if !(1..=4).contains(&dimensions) {
		return Err(refused(format!("{dimensions} dimensions, but an IDX file of samples has 1 to 4")));
	}
	let mut shape = Vec::new();
	let mut values = 1u64;
	for _ in 0..dimensions {
		let mut bytes = [0u8; 4];
		header(&mut bytes)?;
		let side = u32::from_be_bytes(bytes);
		shape.push(side as usize);
		values = values.saturating_mul(u64::from(side));
	}
	if values > MAX_VALUES {
		return Err(refused(format!(
			"dimensions {shape:?} are more than the {MAX_VALUES} values that are read"
		)));
	}
	let expected = 4 + 4 * u64::from(dimensions) + values;
	if let Some(size) = size {
		if size != expected {
			return Err(refused(format!(
				"dimensions {shape:?} make {expected} bytes, but the file has {size}: it is cut off or not an IDX file"
			)));
		}
	}
	let mut content = Vec::new();
	reader.take(values + 1).read_to_end(&mut content).map_err(|error| io_error(path, error))?;
	if content.len() as u64 != values {
		let found = if content.len() as u64 > values { "more".to_owned() } else { content.len().to_string() };
		return Err(refused(format!("dimensions {shape:?} make {values} values, but the file has {found}")));
	}
	Ok(Array { path, shape, values: content })
}

pub(super) fn assemble(images: Array<'_>, labels: Array<'_>, divisor: f32) -> Result<Dataset, DataError> {
	check_divisor(divisor)?;
	let refused =
		|array: &Array<'_>, problem: String| DataError::Idx { path: array.path.to_owned(), problem };
	if images.shape.len() < 2 {
		let problem = "one dimension only: this is a file of labels; give the images first, then the labels";
		return Err(refused(&images, problem.into()));
	}
	if labels.shape.len() != 1 {
		let problem = format!("{} dimensions, but labels have one", labels.shape.len());
		return Err(refused(&labels, problem));
	}
	if images.shape[0] != labels.shape[0] {
		let problem = format!(
			"{} labels for {} images in {}: the two files do not belong together",
			labels.shape[0],
			images.shape[0],
			images.path.display()
		);
		return Err(refused(&labels, problem));
	}
	Dataset::new(
		images.shape[1..].to_vec(),
		images.values.iter().map(|&v| f32::from(v) / divisor).collect(),
		labels.values.iter().map(|&v| u32::from(v)).collect(),
	)
}

#[cfg(test)]
mod tests {
	#![allow(clippy::unwrap_used)]
	use super::*;
	use flate2::{write::GzEncoder, Compression};
	use std::{fs, io::Write, path::PathBuf};

	fn bytes(magic: [u8; 4], dimensions: &[u32], values: &[u8]) -> Vec<u8> {
		let mut out = magic.to_vec();
		out.extend(dimensions.iter().flat_map(|d| d.to_be_bytes()));
		out.extend_from_slice(values);
		out
	}

	fn images() -> Vec<u8> {
		bytes([0, 0, 8, 3], &[2, 1, 3], &[0, 51, 255, 1, 2, 3])
	}

	fn labels() -> Vec<u8> {
		bytes([0, 0, 8, 1], &[2], &[9, 0])
	}

	struct Files(tempfile::TempDir);
	impl Files {
		fn new() -> Self {
			Self(tempfile::tempdir().unwrap())
		}
		fn write(&self, name: &str, content: &[u8]) -> PathBuf {
			let path = self.0.path().join(name);
			fs::write(&path, content).unwrap();
			path
		}
		fn gzip(&self, name: &str, content: &[u8]) -> PathBuf {
			let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
			encoder.write_all(content).unwrap();
			self.write(name, &encoder.finish().unwrap())
		}
	}

	#[test]
	fn idx_is_read_plain_and_compressed() {
		let files = Files::new();
		let expected = Dataset::new(
			vec![1, 3],
			[0.0, 51.0, 255.0, 1.0, 2.0, 3.0].map(|v: f32| v / 255.0).to_vec(),
			vec![9, 0],
		)
		.unwrap();
		let plain = (files.write("i", &images()), files.write("l", &labels()));
		let gzip = (files.gzip("i.gz", &images()), files.gzip("l.gz", &labels()));
		for (images, labels) in [plain, gzip] {
			assert_eq!(load(&images, &labels, DEFAULT_IDX_DIVISOR).unwrap(), expected);
		}
	}

	#[test]
	fn idx_is_refused_when_the_file_is_not_what_its_header_says() {
		let files = Files::new();
		let labels = files.write("l", &labels());
		let huge = bytes([0, 0, 8, 3], &[u32::MAX, u32::MAX, u32::MAX], &[1]);
		let large = bytes([0, 0, 8, 3], &[1 << 30, 1, 1], &[1]);
		let (mut long, mut short) = (images(), images());
		long.push(0);
		short.pop();
		for (content, part) in [
			(vec![], "ends within"),
			(images()[..9].to_vec(), "ends within"),
			(bytes([0x1f, 0x8b, 8, 3], &[2, 1, 3], &[0; 6]), "not an IDX file"),
			(bytes([0, 0, 13, 3], &[2, 1, 3], &[0; 6]), "0x0d"),
			(bytes([0, 0, 8, 0], &[], &[]), "0 dimensions"),
			(bytes([0, 0, 8, 5], &[1; 5], &[0]), "5 dimensions"),
			(bytes([0, 0, 8, 1], &[2], &[1, 2]), "one dimension only"),
			(huge, "more than"),
			(large, "values"),
			(long, "dimensions [2, 1, 3]"),
			(short, "dimensions [2, 1, 3]"),
		] {
			let plain = files.write("images", &content);
			let gzip = files.gzip("images.gz", &content);
			for path in [plain, gzip] {
				let error = load(&path, &labels, 255.0).unwrap_err().to_string();
				let large_plain = part == "values" && error.contains("bytes, but the file has");
				assert!(error.contains(part) || large_plain, "{part}: {error}");
				assert!(error.contains("images"), "{error}");
			}
		}
	}

	#[test]
	fn idx_is_refused_when_images_and_labels_do_not_belong_together() {
		let files = Files::new();
		let images = files.write("i", &images());
		for (content, part) in [
			(bytes([0, 0, 8, 1], &[3], &[1, 2, 3]), "3 labels for 2 images"),
			(bytes([0, 0, 8, 2], &[2, 1], &[1, 2]), "2 dimensions, but labels have one"),
		] {
			let error = load(&images, &files.write("l", &content), 255.0).unwrap_err();
			assert!(error.to_string().contains(part), "{error}");
		}
		let labels = files.write("l", &labels());
		for divisor in [0.0, -1.0, f32::NAN, f32::INFINITY] {
			assert!(matches!(load(&images, &labels, divisor), Err(DataError::Divisor(_))));
		}
	}
}
