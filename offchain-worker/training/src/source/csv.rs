//! Samples as text, one per line.

use super::{check_divisor, io_error, open, DataError};
use crate::dataset::Dataset;
use std::{
	io::{BufRead, BufReader, Read},
	path::Path,
};

/// The longest line that is read, in bytes.
const MAX_LINE: u64 = 1 << 24;

/// Which column holds the label.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum LabelColumn {
	/// The last.
	#[default]
	Last,
	/// By number, from 1.
	Number(u32),
	/// By its name in the header.
	Name(String),
}

/// Whether the first line names the columns.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Header {
	/// It does when something in it is not a number.
	#[default]
	Auto,
	/// It does.
	Yes,
	/// It does not.
	No,
}

/// How to read a CSV file: fields are separated by commas, each feature is a decimal number, the label is a whole
/// number from 0. Empty lines are skipped. Quotes are understood around column names only.
#[derive(Clone, PartialEq, Debug)]
pub struct CsvOptions {
	/// Which column holds the label.
	pub label: LabelColumn,
	/// Whether the first line names the columns.
	pub header: Header,
	/// What features are divided by; 1 leaves them as they are.
	pub divisor: f32,
}

impl Default for CsvOptions {
	fn default() -> Self {
		Self { label: LabelColumn::Last, header: Header::Auto, divisor: 1.0 }
	}
}

pub(super) fn load(path: &Path, options: &CsvOptions) -> Result<Dataset, DataError> {
	let (reader, _) = open(path)?;
	read(BufReader::new(reader), path, options)
}

/// What is known of the columns once the first line was seen.
struct Columns {
	count: usize,
	label: usize,
}

impl Columns {
	fn new(first: &[&str], is_header: bool, label: &LabelColumn) -> Result<Self, String> {
		let count = first.len();
		if count < 2 {
			return Err(
				"one column only: a sample needs at least one feature and a label, separated by commas"
					.into(),
			);
		}
		let label = match label {
			LabelColumn::Last => count - 1,
			LabelColumn::Number(number) => match (*number as usize).checked_sub(1) {
				Some(place) if place < count => place,
				_ => {
					return Err(format!(
						"there is no column {number} for the label: the columns are 1 to {count}"
					))
				},
			},
			LabelColumn::Name(name) if is_header => {
				first.iter().position(|cell| cell.trim_matches('"') == name).ok_or_else(|| {
					format!("no column is named `{name}`: choose the label column among {first:?}")
				})?
			},
			LabelColumn::Name(name) => {
				return Err(format!(
					"there is no header that names a column `{name}`: give the label column by number"
				))
			},
		};
		Ok(Self { count, label })
	}
}

pub(super) fn read(
	mut reader: impl BufRead,
	path: &Path,
	options: &CsvOptions,
) -> Result<Dataset, DataError> {
	check_divisor(options.divisor)?;
	let (mut features, mut labels) = (Vec::new(), Vec::new());
	let mut columns: Option<Columns> = None;
	let mut bytes = Vec::new();
	for number in 1u64.. {
		bytes.clear();
		let read = (&mut reader)
			.take(MAX_LINE + 1)
			.read_until(b'\n', &mut bytes)
			.map_err(|error| io_error(path, error))?;
		if read == 0 {
			break;
		}
		let refused = |problem: String| DataError::Csv { path: path.to_owned(), line: number, problem };
		if read as u64 > MAX_LINE {
			return Err(refused(format!("longer than {MAX_LINE} bytes: this is not a CSV file of samples")));
		}
		let text = std::str::from_utf8(&bytes).map_err(|_| refused("not UTF-8 text".into()))?;
		// Spreadsheets put a byte order mark first.
		let text = if number == 1 { text.trim_start_matches('\u{feff}') } else { text }.trim();
		if text.is_empty() {
			continue;
		}
		let cells: Vec<&str> = text.split(',').map(str::trim).collect();
		let known = match &columns {
			Some(known) => known,
			None => {
				let is_header = match options.header {
					Header::Auto => cells.iter().any(|cell| cell.parse::<f32>().is_err()),
					Header::Yes => true,
					Header::No => false,
				};
				let known = Columns::new(&cells, is_header, &options.label).map_err(refused)?;
				let known = columns.insert(known);
				if is_header {
					continue;
				}
				known
			},
		};
		if cells.len() != known.count {
			return Err(refused(format!("{} columns, but the first line has {}", cells.len(), known.count)));
		}
		for (place, cell) in cells.iter().enumerate() {
			let column = place + 1;
			if place == known.label {
				labels.push(cell.parse::<u32>().map_err(|_| {
					refused(format!(
						"the label in column {column} is `{cell}`, but must be a whole number from 0; number the classes"
					))
				})?);
				continue;
			}
			match cell.parse::<f32>().map(|value| value / options.divisor) {
				Ok(value) if value.is_finite() => features.push(value),
				_ => {
					return Err(refused(format!(
						"column {column} is `{cell}`, but must be a finite number; replace or drop what is missing"
					)))
				},
			}
		}
	}
	let width = columns.map_or(0, |known| known.count - 1);
	Dataset::new(vec![width], features, labels)
}

#[cfg(test)]
mod tests {
	#![allow(clippy::unwrap_used)]
	use super::*;
	use flate2::{write::GzEncoder, Compression};
	use std::io::Write;

	fn parse(text: &str, options: &CsvOptions) -> Result<Dataset, DataError> {
		read(text.as_bytes(), Path::new("test.csv"), options)
	}

	#[test]
	fn csv_is_read_with_and_without_header() {
		let bare = "1,2,0\n3.5,-4e-1,1\n";
		let expected = Dataset::new(vec![2], vec![1.0, 2.0, 3.5, -0.4], vec![0, 1]).unwrap();
		for text in [
			bare.to_owned(),
			format!("a,b,label\n{bare}"),
			format!("\u{feff}\"a\",\"b\",\"label\"\r\n{}", bare.replace('\n', "\r\n")),
			format!("\n{}\n\n", bare.replace(',', " , ")),
			bare.trim_end().to_owned(),
		] {
			assert_eq!(parse(&text, &CsvOptions::default()).unwrap(), expected, "{text:?}");
		}
	}

	#[test]
	fn csv_label_column_is_chosen_by_number_or_name_and_features_are_divided() {
		let text = "kind,a,b\n7,16,8\n";
		let expected = Dataset::new(vec![2], vec![1.0, 0.5], vec![7]).unwrap();
		for label in [LabelColumn::Number(1), LabelColumn::Name("kind".into())] {
			let options = CsvOptions { label, header: Header::Yes, divisor: 16.0 };
			assert_eq!(parse(text, &options).unwrap(), expected);
		}
	}

	#[test]
	fn csv_is_refused_with_the_line_that_is_wrong() {
		let default = CsvOptions::default();
		let no_header = CsvOptions { header: Header::No, ..default.clone() };
		let named = CsvOptions { label: LabelColumn::Name("kind".into()), ..default.clone() };
		let fourth = CsvOptions { label: LabelColumn::Number(4), ..default.clone() };
		for (text, options, line, part) in [
			("a,b,c\n1,2,0\n1,x,0\n", &default, 3, "column 2 is `x`"),
			("1,2,0\n\n1,2\n", &default, 3, "2 columns"),
			("1,2,0\n1,2,0.5\n", &default, 2, "`0.5`"),
			("1,2,0\n1,2,-1\n", &default, 2, "`-1`"),
			("1,2,0\n1,NaN,1\n", &default, 2, "`NaN`"),
			("1,2,0\n1,1e39,1\n", &default, 2, "`1e39`"),
			("1,2,0\n1,,1\n", &default, 2, "column 2 is ``"),
			("a,b,c\n1,2,0\n", &no_header, 1, "column 1 is `a`"),
			("1\n", &default, 1, "one column only"),
			("a,b,c\n1,2,0\n", &named, 1, "no column is named `kind`"),
			("1,2,0\n", &named, 1, "no header"),
			("1,2,0\n", &fourth, 1, "no column 4"),
		] {
			let error = parse(text, options).unwrap_err();
			assert!(matches!(&error, DataError::Csv { line: at, .. } if *at == line), "{text:?}: {error}");
			assert!(error.to_string().contains(part), "{text:?}: {error}");
		}
		assert!(matches!(
			read(&b"1,2\n\xff,1\n"[..], Path::new("x"), &default),
			Err(DataError::Csv { line: 2, .. })
		));
		assert!(matches!(parse("a,b\n", &default), Err(DataError::Empty)));
		assert!(matches!(parse("", &default), Err(DataError::Empty)));
		let endless = vec![b'1'; MAX_LINE as usize + 2];
		assert!(matches!(read(&endless[..], Path::new("x"), &default), Err(DataError::Csv { line: 1, .. })));
	}

	#[test]
	fn csv_is_read_from_a_gzip_file() {
		let directory = tempfile::tempdir().unwrap();
		let path = directory.path().join("data.csv.gz");
		let mut encoder = GzEncoder::new(std::fs::File::create(&path).unwrap(), Compression::default());
		encoder.write_all(b"1,0\n2,1\n").unwrap();
		encoder.finish().unwrap();
		let data = load(&path, &CsvOptions::default()).unwrap();
		assert_eq!((data.features(), data.labels()), (&[1.0, 2.0][..], &[0, 1][..]));
	}
}
