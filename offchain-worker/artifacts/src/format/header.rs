//! The header's one JSON form: a writer, and a parser that accepts exactly what the writer writes.
//!
//! A general JSON parser would accept many spellings of one header, recurse as deep as its input says and give
//! numbers a floating-point life in between. This one reads a fixed grammar from left to right in one pass.

use super::{
	check_name, elements, FormatError, Tensor, ALIGNMENT, ELEMENT_BYTES, LENGTH_BYTES, MAX_DIMENSIONS,
	MAX_TENSORS, METADATA_NAME,
};
use crate::Metadata;

/// What the header says of a tensor. `start..end` are bytes within the data.
pub(super) struct Entry {
	pub name: String,
	pub shape: Vec<usize>,
	pub start: u64,
	pub end: u64,
}

pub(super) struct Header {
	pub metadata: Metadata,
	/// Ascending by name, their data without gaps from 0.
	pub tensors: Vec<Entry>,
}

/// Appends `s` as a JSON string: quotation mark, backslash and control characters below U+0020 escaped, in the short
/// form where JSON has one and else as `\u00` with two lower-case hex digits; everything else as it is.
fn write_string(out: &mut Vec<u8>, s: &str) {
	out.push(b'"');
	for b in s.bytes() {
		match b {
			b'"' => out.extend_from_slice(b"\\\""),
			b'\\' => out.extend_from_slice(b"\\\\"),
			0x08 => out.extend_from_slice(b"\\b"),
			0x09 => out.extend_from_slice(b"\\t"),
			0x0a => out.extend_from_slice(b"\\n"),
			0x0c => out.extend_from_slice(b"\\f"),
			0x0d => out.extend_from_slice(b"\\r"),
			0x00..=0x1f => out.extend_from_slice(format!("\\u{b:04x}").as_bytes()),
			_ => out.push(b),
		}
	}
	out.push(b'"');
}

/// The padded header of metadata and arranged tensors.
pub(super) fn write<D>(metadata: &Metadata, tensors: &[Tensor<D>]) -> Vec<u8> {
	let mut out = vec![b'{'];
	if !metadata.is_empty() {
		write_string(&mut out, METADATA_NAME);
		out.extend_from_slice(b":{");
		for (i, (key, value)) in metadata.iter().enumerate() {
			if i > 0 {
				out.push(b',');
			}
			write_string(&mut out, key);
			out.push(b':');
			write_string(&mut out, value);
		}
		out.push(b'}');
	}
	let mut start = 0u64;
	for (i, tensor) in tensors.iter().enumerate() {
		if i > 0 || !metadata.is_empty() {
			out.push(b',');
		}
		write_string(&mut out, &tensor.name);
		out.extend_from_slice(b":{\"dtype\":\"F32\",\"shape\":[");
		for (i, d) in tensor.shape.iter().enumerate() {
			if i > 0 {
				out.push(b',');
			}
			out.extend_from_slice(d.to_string().as_bytes());
		}
		// Was counted when the tensors were arranged, without overflow.
		let end = start + tensor.shape.iter().map(|d| *d as u64).product::<u64>() * ELEMENT_BYTES;
		out.extend_from_slice(format!("],\"data_offsets\":[{start},{end}]}}").as_bytes());
		start = end;
	}
	out.push(b'}');
	out.resize(out.len().next_multiple_of(ALIGNMENT), b' ');
	out
}

/// Reads a header. The file's length is not known here: that the data is as long as the last entry says is for the
/// caller to check.
pub(super) fn parse(header: &[u8]) -> Result<Header, FormatError> {
	let text = std::str::from_utf8(header)
		.map_err(|e| FormatError::NotUtf8 { offset: LENGTH_BYTES + e.valid_up_to() })?;
	let mut p = Parser { text, at: 0 };
	p.literal("{", "`{`")?;
	let mut metadata = Metadata::new();
	let mut tensors: Vec<Entry> = Vec::new();
	if !p.take("}") {
		let mut name = p.string()?;
		let mut more = true;
		if name == METADATA_NAME {
			metadata = p.metadata()?;
			more = p.separator()?;
			if more {
				name = p.string()?;
			}
		}
		while more {
			if tensors.len() == MAX_TENSORS {
				return Err(FormatError::TooManyTensors);
			}
			let previous = tensors.last();
			if let Some(previous) = previous.filter(|t| t.name >= name) {
				return Err(FormatError::Order { what: "tensor", name, previous: previous.name.clone() });
			}
			let start = previous.map_or(0, |t| t.end);
			tensors.push(p.tensor(name, start)?);
			more = p.separator()?;
			name = if more { p.string()? } else { String::new() };
		}
	}
	let padding = &text[p.at..];
	if !header.len().is_multiple_of(ALIGNMENT)
		|| padding.len() >= ALIGNMENT
		|| padding.bytes().any(|b| b != b' ')
	{
		return Err(p.not("the fewest spaces that make the header's length a multiple of 8"));
	}
	Ok(Header { metadata, tensors })
}

struct Parser<'a> {
	text: &'a str,
	at: usize,
}

impl Parser<'_> {
	fn rest(&self) -> &str {
		&self.text[self.at..]
	}

	fn not(&self, expected: &'static str) -> FormatError {
		FormatError::NotCanonical { offset: LENGTH_BYTES + self.at, expected }
	}

	fn take(&mut self, literal: &str) -> bool {
		let found = self.rest().starts_with(literal);
		if found {
			self.at += literal.len();
		}
		found
	}

	fn literal(&mut self, literal: &str, expected: &'static str) -> Result<(), FormatError> {
		if self.take(literal) {
			Ok(())
		} else {
			Err(self.not(expected))
		}
	}

	/// `,` for more to come, `}` for the end.
	fn separator(&mut self) -> Result<bool, FormatError> {
		if self.take(",") {
			Ok(true)
		} else {
			self.literal("}", "`,` or `}`")?;
			Ok(false)
		}
	}

	fn string(&mut self) -> Result<String, FormatError> {
		self.literal("\"", "a string")?;
		let mut out = String::new();
		loop {
			let plain = self
				.rest()
				.find(|c: char| c < ' ' || c == '"' || c == '\\')
				.ok_or_else(|| self.not("a string that ends"))?;
			out.push_str(&self.rest()[..plain]);
			self.at += plain;
			if self.take("\"") {
				return Ok(out);
			}
			out.push(self.escape()?);
		}
	}

	fn escape(&mut self) -> Result<char, FormatError> {
		for (escape, c) in [
			("\\\"", '"'),
			("\\\\", '\\'),
			("\\b", '\u{8}'),
			("\\t", '\t'),
			("\\n", '\n'),
			("\\f", '\u{c}'),
			("\\r", '\r'),
		] {
			if self.take(escape) {
				return Ok(c);
			}
		}
		// What is left are the control characters without a short form.
		let digits = self.rest().strip_prefix("\\u00").and_then(|s| s.get(..2));
		let c = digits
			.filter(|s| s.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')))
			.and_then(|s| u8::from_str_radix(s, 16).ok())
			.filter(|c| *c < 0x20 && !matches!(c, 8 | 9 | 10 | 12 | 13))
			.ok_or_else(|| self.not("a character in its one canonical spelling"))?;
		self.at += "\\u0000".len();
		Ok(char::from(c))
	}

	fn number(&mut self) -> Result<u64, FormatError> {
		let rest = self.rest();
		let len = rest.bytes().take_while(u8::is_ascii_digit).count();
		let digits = &rest[..len];
		let canonical = len == 1 || !digits.starts_with('0');
		let n = digits
			.parse()
			.ok()
			.filter(|_| canonical)
			.ok_or_else(|| self.not("a whole number below 2^64, without leading zeros"))?;
		self.at += len;
		Ok(n)
	}

	/// The value of `__metadata__`, which is not written when it is empty.
	fn metadata(&mut self) -> Result<Metadata, FormatError> {
		self.literal(":{", "`:{`")?;
		let mut metadata = Metadata::new();
		loop {
			let key = self.string()?;
			if let Some((previous, _)) = metadata.last_key_value().filter(|(k, _)| **k >= key) {
				return Err(FormatError::Order {
					what: "metadata key",
					name: key,
					previous: previous.clone(),
				});
			}
			self.literal(":", "`:`")?;
			let value = self.string()?;
			metadata.insert(key, value);
			if !self.separator()? {
				return Ok(metadata);
			}
		}
	}

	/// A tensor whose data starts at `start`.
	fn tensor(&mut self, name: String, start: u64) -> Result<Entry, FormatError> {
		check_name(&name)?;
		self.literal(":{\"dtype\":", "`:{\"dtype\":` without white space")?;
		let dtype = self.string()?;
		if dtype != "F32" {
			return Err(FormatError::ElementType { name, dtype });
		}
		self.literal(",\"shape\":[", "`,\"shape\":[` without white space")?;
		let mut shape = Vec::new();
		if !self.take("]") {
			loop {
				if shape.len() == MAX_DIMENSIONS {
					return Err(FormatError::TooManyDimensions { name });
				}
				let dimension = usize::try_from(self.number()?)
					.map_err(|_| self.not("a dimension that this machine can address"))?;
				shape.push(dimension);
				if self.take("]") {
					break;
				}
				self.literal(",", "`,` or `]`")?;
			}
		}
		// Counted in bytes before it is compared, so that no shape wraps around to a size that fits.
		let size = elements(&name, &shape)? * ELEMENT_BYTES;
		let end = start
			.checked_add(size)
			.ok_or_else(|| FormatError::TooLarge { name: name.clone(), shape: shape.clone() })?;
		self.literal(",\"data_offsets\":[", "`,\"data_offsets\":[` without white space")?;
		let found_start = self.number()?;
		self.literal(",", "`,`")?;
		let found = (found_start, self.number()?);
		self.literal("]}", "`]}`")?;
		if found != (start, end) {
			return Err(FormatError::Offsets { name, found, expected: (start, end) });
		}
		Ok(Entry { name, shape, start, end })
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use proptest::prelude::*;

	proptest! {
		#[test]
		fn strings_are_written_as_a_json_library_writes_them_and_read_back(s in any::<String>()) {
			let mut out = Vec::new();
			write_string(&mut out, &s);
			prop_assert_eq!(&out, &serde_json::to_vec(&s).expect("a string has a JSON form"));
			let text = std::str::from_utf8(&out).expect("written from UTF-8");
			prop_assert_eq!(Parser { text, at: 0 }.string(), Ok(s));
		}
	}

	#[test]
	fn every_control_character_has_exactly_one_spelling() {
		for c in 0u8..0x20 {
			let mut canonical = Vec::new();
			write_string(&mut canonical, &char::from(c).to_string());
			let spellings =
				[format!("\"\\u{c:04x}\""), format!("\"\\u{c:04X}\""), format!("\"{}\"", char::from(c))];
			for spelling in spellings {
				let read = Parser { text: &spelling, at: 0 }.string();
				assert_eq!(read.is_ok(), spelling.as_bytes() == canonical, "{spelling}");
			}
		}
		for spelling in
			[r#""\/""#, r#""\u0041""#, r#""\u00e9""#, r#""\ud83d\ude00""#, r#""\u00""#, r#""\x""#, r#"""#]
		{
			assert!(Parser { text: spelling, at: 0 }.string().is_err(), "{spelling}");
		}
	}
}
