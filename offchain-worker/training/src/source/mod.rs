//! Where samples come from.

mod csv;
mod digits;
mod idx;

pub use self::csv::{CsvOptions, Header, LabelColumn};
pub use self::idx::DEFAULT_IDX_DIVISOR;

use crate::dataset::{Dataset, Splits, HELD_OUT_PERCENT, HELD_OUT_SEED};
use flate2::read::MultiGzDecoder;
use std::{
	fmt,
	fs::File,
	io::{self, BufReader, Read},
	path::{Path, PathBuf},
	str::FromStr,
};

/// A data set that can be loaded.
///
/// Features are scaled by dividing by one fixed number and by nothing that is computed from the data: all workers of a
/// programme must scale alike, and none sees the others' data.
///
/// As text: `digits`, `csv:PATH[,label=last|NUMBER|NAME][,header=auto|yes|no][,divisor=X]` (columns count from 1) or
/// `idx:IMAGES,LABELS[,divisor=X]`. A file whose name ends in `.gz` is decompressed. A path with a comma cannot be
/// written as text.
#[derive(Clone, PartialEq, Debug)]
pub enum DataSource {
	/// The built-in UCI digits: 1,797 images of 8×8 pixels of 0 to 16, divided by 16.
	Digits,
	/// A text file with one sample per line.
	Csv {
		/// The file.
		path: PathBuf,
		/// How to read it.
		options: CsvOptions,
	},
	/// A pair of files in the format of MNIST.
	Idx {
		/// The images: unsigned bytes in two or more dimensions, the first of which counts the samples.
		images: PathBuf,
		/// The labels: unsigned bytes in one dimension.
		labels: PathBuf,
		/// What pixels are divided by; [`DEFAULT_IDX_DIVISOR`] maps bytes to 0 to 1.
		divisor: f32,
	},
}

/// Why data could not be loaded or used.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
	/// The description of a source is not understood.
	#[error(
		"`{0}` is not a data source: write `digits`, `csv:PATH[,label=last|NUMBER|NAME][,header=auto|yes|no]\
		 [,divisor=X]` or `idx:IMAGES,LABELS[,divisor=X]`"
	)]
	Source(String),
	/// A file cannot be opened or read.
	#[error("cannot read {}: {error}", path.display())]
	Io {
		/// The file.
		path: PathBuf,
		/// What went wrong.
		error: io::Error,
	},
	/// A line of a CSV file is not a sample.
	#[error("{} line {line}: {problem}", path.display())]
	Csv {
		/// The file.
		path: PathBuf,
		/// The line, from 1.
		line: u64,
		/// What is wrong with it, and what to do.
		problem: String,
	},
	/// A file is not the IDX file it should be.
	#[error("{}: {problem}", path.display())]
	Idx {
		/// The file.
		path: PathBuf,
		/// What is wrong with it, and what to do.
		problem: String,
	},
	/// There are no samples.
	#[error("the data set is empty: it needs at least one sample with at least one value")]
	Empty,
	/// There are too many samples.
	#[error("the data set has {0} samples, but at most 4294967295 can be numbered")]
	TooManySamples(usize),
	/// Numbers of features and labels do not fit.
	#[error("{samples} samples of shape {shape:?} do not have {values} values")]
	Unfit {
		/// The number of labels.
		samples: usize,
		/// Shape of one sample.
		shape: Vec<usize>,
		/// The number of features in all.
		values: usize,
	},
	/// A feature is NaN or infinite.
	#[error("sample {sample} has the value {value}: replace or drop what is missing before training")]
	NotFinite {
		/// The sample, from 0.
		sample: usize,
		/// The value.
		value: f32,
	},
	/// An index beyond the end.
	#[error("there is no sample {index}: the data set has {samples}")]
	NoSuchSample {
		/// The index.
		index: u32,
		/// The number of samples.
		samples: usize,
	},
	/// A split with an empty part.
	#[error(
		"holding out {percent} % of each class of {samples} samples leaves nothing on one side: bring more samples per \
		 class, or a percentage further from 0 and 100"
	)]
	NothingToHoldOut {
		/// The number of samples.
		samples: usize,
		/// The percentage.
		percent: u32,
	},
	/// A divisor that cannot be divided by.
	#[error("the divisor is {0}, but must be a positive number; 1 leaves values as they are")]
	Divisor(f32),
}

/// Loads a data set and holds [`HELD_OUT_PERCENT`] of each class out for evaluation, by the fixed seed
/// [`HELD_OUT_SEED`], so that everybody holds out the same samples.
///
/// # Errors
/// When a file cannot be read or is not what it should be; the message names the file, and the line in a CSV file.
pub fn load(source: &DataSource) -> Result<Splits, DataError> {
	load_all(source)?.split(HELD_OUT_PERCENT, HELD_OUT_SEED)
}

/// Loads a data set without splitting it.
///
/// # Errors
/// As [`load`].
pub fn load_all(source: &DataSource) -> Result<Dataset, DataError> {
	match source {
		DataSource::Digits => digits::load(),
		DataSource::Csv { path, options } => csv::load(path, options),
		DataSource::Idx { images, labels, divisor } => idx::load(images, labels, *divisor),
	}
}

impl FromStr for DataSource {
	type Err = DataError;

	fn from_str(text: &str) -> Result<Self, DataError> {
		let refused = || DataError::Source(text.to_owned());
		if text == "digits" {
			return Ok(Self::Digits);
		}
		let (kind, rest) = text.split_once(':').ok_or_else(refused)?;
		let mut parts = rest.split(',');
		let mut path = || parts.next().filter(|p| !p.is_empty()).map(PathBuf::from).ok_or_else(refused);
		match kind {
			"csv" => {
				let path = path()?;
				let mut options = CsvOptions::default();
				for part in parts {
					match part.split_once('=').ok_or_else(refused)? {
						("label", "last") => options.label = LabelColumn::Last,
						("label", "") => return Err(refused()),
						("label", value) => {
							options.label = match value.parse::<u32>() {
								Ok(0) => return Err(refused()),
								Ok(number) => LabelColumn::Number(number),
								Err(_) => LabelColumn::Name(value.to_owned()),
							}
						},
						("header", "auto") => options.header = Header::Auto,
						("header", "yes") => options.header = Header::Yes,
						("header", "no") => options.header = Header::No,
						("divisor", value) => options.divisor = positive(value).ok_or_else(refused)?,
						_ => return Err(refused()),
					}
				}
				Ok(Self::Csv { path, options })
			},
			"idx" => {
				let (images, labels) = (path()?, path()?);
				let mut divisor = DEFAULT_IDX_DIVISOR;
				for part in parts {
					match part.split_once('=').ok_or_else(refused)? {
						("divisor", value) => divisor = positive(value).ok_or_else(refused)?,
						_ => return Err(refused()),
					}
				}
				Ok(Self::Idx { images, labels, divisor })
			},
			_ => Err(refused()),
		}
	}
}

impl fmt::Display for DataSource {
	fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
		match self {
			Self::Digits => f.write_str("digits"),
			Self::Csv { path, options: CsvOptions { label, header, divisor } } => {
				let label = match label {
					LabelColumn::Last => "last".to_owned(),
					LabelColumn::Number(number) => number.to_string(),
					LabelColumn::Name(name) => name.clone(),
				};
				let header = match header {
					Header::Auto => "auto",
					Header::Yes => "yes",
					Header::No => "no",
				};
				write!(f, "csv:{},label={label},header={header},divisor={divisor}", path.display())
			},
			Self::Idx { images, labels, divisor } => {
				write!(f, "idx:{},{},divisor={divisor}", images.display(), labels.display())
			},
		}
	}
}

fn positive(text: &str) -> Option<f32> {
	text.parse().ok().filter(|v: &f32| v.is_finite() && *v > 0.0)
}

fn check_divisor(divisor: f32) -> Result<(), DataError> {
	if divisor.is_finite() && divisor > 0.0 {
		Ok(())
	} else {
		Err(DataError::Divisor(divisor))
	}
}

fn io_error(path: &Path, error: io::Error) -> DataError {
	DataError::Io { path: path.to_owned(), error }
}

/// Opens a file; one whose name ends in `.gz` is decompressed. With it comes the size of what will be read, where it
/// is known before reading.
fn open(path: &Path) -> Result<(Box<dyn Read>, Option<u64>), DataError> {
	let file = File::open(path).map_err(|error| io_error(path, error))?;
	if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("gz")) {
		return Ok((Box::new(MultiGzDecoder::new(BufReader::new(file))), None));
	}
	let metadata = file.metadata().map_err(|error| io_error(path, error))?;
	// A pipe has no size.
	Ok((Box::new(file), metadata.is_file().then_some(metadata.len())))
}

#[cfg(test)]
mod tests {
	#![allow(clippy::unwrap_used)]
	use super::*;

	#[test]
	fn source_is_read_from_its_text_and_written_back() {
		for text in [
			"digits",
			"csv:a.csv,label=last,header=auto,divisor=1",
			"csv:/d/a.csv.gz,label=3,header=no,divisor=16",
			"csv:a.csv,label=kind,header=yes,divisor=0.5",
			"idx:i.gz,l.gz,divisor=255",
		] {
			assert_eq!(text.parse::<DataSource>().unwrap().to_string(), text);
		}
		assert_eq!(
			"csv:a.csv".parse::<DataSource>().unwrap(),
			DataSource::Csv { path: "a.csv".into(), options: CsvOptions::default() }
		);
		assert_eq!(
			"idx:i,l".parse::<DataSource>().unwrap(),
			DataSource::Idx { images: "i".into(), labels: "l".into(), divisor: 255.0 }
		);
	}

	#[test]
	fn source_is_refused_when_its_text_is_not_understood() {
		for text in [
			"",
			"mnist",
			"digits:",
			"csv:",
			"csv:a,label",
			"csv:a,label=",
			"csv:a,label=0",
			"csv:a,header=maybe",
			"csv:a,divisor=0",
			"csv:a,divisor=NaN",
			"csv:a,colour=3",
			"idx:a",
			"idx:a,",
			"idx:a,b,label=3",
		] {
			let error = text.parse::<DataSource>().unwrap_err();
			assert!(matches!(&error, DataError::Source(shown) if shown == text), "{text}");
		}
	}

	#[test]
	fn missing_file_is_named() {
		for text in ["csv:/no/such/file.csv", "idx:/no/such/file.csv,/no", "csv:/no/such/file.csv.gz"] {
			let error = load(&text.parse().unwrap()).unwrap_err();
			assert!(error.to_string().contains("/no/such/file.csv"), "{error}");
		}
	}
}
