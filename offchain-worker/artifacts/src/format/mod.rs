//! Tensors, and the one byte form of a file of them.

mod buffer;
mod elements;
mod header;

pub use buffer::TensorFileBuffer;
pub use elements::Elements;

use crate::{ArtifactHash, MappedFile, Metadata};
use std::{
	fs::File,
	io::{self, Read, Write},
	ops::Range,
	path::Path,
};
use thiserror::Error;

/// The longest header that is read or written, in bytes. Checked before anything is allocated for it.
pub const MAX_HEADER_BYTES: usize = 16 * 1024 * 1024;
/// The most tensors that one file holds.
pub const MAX_TENSORS: usize = 65_536;
/// The most dimensions that a tensor has.
pub const MAX_DIMENSIONS: usize = 16;
/// The longest tensor name, in bytes of UTF-8.
pub const MAX_NAME_BYTES: usize = 1024;

/// Bytes of the length field in front of the header.
const LENGTH_BYTES: usize = 8;
/// The header is padded so that the data behind it starts at a multiple of this.
const ALIGNMENT: usize = 8;
/// Bytes of one element.
const ELEMENT_BYTES: u64 = 4;
/// The name under which safetensors keeps metadata; no tensor may have it.
const METADATA_NAME: &str = "__metadata__";

/// Why bytes are no canonical tensor file, or why tensors cannot become one. Offsets count bytes from the start of the
/// file.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum FormatError {
	/// The file ends before its header does.
	#[error(
		"the file has {found} bytes, but its header alone needs {needed}; it was cut short: fetch it again"
	)]
	Truncated {
		/// Bytes there are.
		found: usize,
		/// Bytes the length field and the header take.
		needed: u64,
	},
	/// The header is longer than [`MAX_HEADER_BYTES`].
	#[error("the header has {found} bytes; at most {MAX_HEADER_BYTES} are allowed")]
	HeaderTooLong {
		/// The header's declared or would-be length.
		found: u64,
	},
	/// The header is not UTF-8.
	#[error("the header is not UTF-8 at byte {offset}")]
	NotUtf8 {
		/// Where.
		offset: usize,
	},
	/// The header is no safetensors header, or not in the one form that this format allows.
	#[error("the header is not in canonical form at byte {offset}: expected {expected}; write the file with Cairn's own tools")]
	NotCanonical {
		/// Where.
		offset: usize,
		/// What had to stand there.
		expected: &'static str,
	},
	/// Names are not in ascending byte order, or one stands there twice.
	#[error("the header is not in canonical form: {what} {name:?} stands after {previous:?}; they must ascend, each once")]
	Order {
		/// `tensor` or `metadata key`.
		what: &'static str,
		/// The name that stands too late.
		name: String,
		/// The one before it.
		previous: String,
	},
	/// Two tensors of one name.
	#[error("there are two tensors named {name:?}")]
	Duplicate {
		/// The name.
		name: String,
	},
	/// A name that no tensor may have.
	#[error("a tensor cannot be named {name:?}: names are neither empty, nor `__metadata__`, nor longer than {MAX_NAME_BYTES} bytes")]
	Name {
		/// The name, at most its first 64 characters.
		name: String,
	},
	/// More than [`MAX_TENSORS`].
	#[error("there are more than {MAX_TENSORS} tensors")]
	TooManyTensors,
	/// An element type other than `F32`.
	#[error("tensor {name:?} has element type {dtype:?}; this version of the format has only F32")]
	ElementType {
		/// The tensor.
		name: String,
		/// Its type.
		dtype: String,
	},
	/// More than [`MAX_DIMENSIONS`].
	#[error("tensor {name:?} has more than {MAX_DIMENSIONS} dimensions")]
	TooManyDimensions {
		/// The tensor.
		name: String,
	},
	/// A shape, or the sum of all, whose size in bytes is beyond what 64 bits can count.
	#[error("tensor {name:?} with shape {shape:?} is too large to be counted")]
	TooLarge {
		/// The tensor.
		name: String,
		/// Its shape.
		shape: Vec<usize>,
	},
	/// Data that does not fill the shape.
	#[error("tensor {name:?} with shape {shape:?} needs {expected} elements, but has {found}")]
	ElementCount {
		/// The tensor.
		name: String,
		/// Its shape.
		shape: Vec<usize>,
		/// The product of the shape.
		expected: u64,
		/// The elements there are.
		found: u64,
	},
	/// Offsets with a gap, an overlap, or another size than the shape says.
	#[error("tensor {name:?} has data offsets {found:?}, but by its place and shape they are {expected:?}")]
	Offsets {
		/// The tensor.
		name: String,
		/// What stands there.
		found: (u64, u64),
		/// What had to.
		expected: (u64, u64),
	},
	/// The file is shorter or longer than its header says.
	#[error("the file has {found} bytes, but its header describes {expected}; fetch it again")]
	FileLength {
		/// Bytes there are.
		found: u64,
		/// Bytes the header describes.
		expected: u64,
	},
}

/// A named array of 32-bit floats in row-major order. `D` is what holds them: a list of their own, or in a
/// [`TensorFile`] [`Elements`].
#[derive(Clone, PartialEq, Debug)]
pub struct Tensor<D = Vec<f32>> {
	/// Its name, unique within a file.
	pub name: String,
	/// Its dimensions; empty for a scalar. A dimension of 0 makes a tensor without elements.
	pub shape: Vec<usize>,
	/// Its elements, as many as the product of the shape.
	pub data: D,
}

/// The number of elements of a shape.
fn elements(name: &str, shape: &[usize]) -> Result<u64, FormatError> {
	// Bytes are what must be countable, so that is what is checked.
	shape
		.iter()
		.try_fold(1u64, |n, d| n.checked_mul(*d as u64))
		.filter(|n| n.checked_mul(ELEMENT_BYTES).is_some())
		.ok_or_else(|| FormatError::TooLarge { name: name.to_owned(), shape: shape.to_vec() })
}

fn check_name(name: &str) -> Result<(), FormatError> {
	if name.is_empty() || name == METADATA_NAME || name.len() > MAX_NAME_BYTES {
		return Err(FormatError::Name { name: name.chars().take(64).collect() });
	}
	Ok(())
}

/// Brings tensors into the order of a file. Returns how many bytes their elements take.
fn arrange<D>(tensors: &mut [Tensor<D>]) -> Result<u64, FormatError> {
	if tensors.len() > MAX_TENSORS {
		return Err(FormatError::TooManyTensors);
	}
	tensors.sort_by(|a, b| a.name.cmp(&b.name));
	let mut end = 0u64;
	for (i, Tensor { name, shape, .. }) in tensors.iter().enumerate() {
		check_name(name)?;
		if i > 0 && tensors[i - 1].name == *name {
			return Err(FormatError::Duplicate { name: name.clone() });
		}
		if shape.len() > MAX_DIMENSIONS {
			return Err(FormatError::TooManyDimensions { name: name.clone() });
		}
		end = end
			.checked_add(elements(name, shape)? * ELEMENT_BYTES)
			.ok_or_else(|| FormatError::TooLarge { name: name.clone(), shape: shape.clone() })?;
	}
	Ok(end)
}

/// The padded header of arranged tensors.
fn header_of<D>(metadata: &Metadata, tensors: &[Tensor<D>]) -> Result<Vec<u8>, FormatError> {
	let header = header::write(metadata, tensors);
	if header.len() > MAX_HEADER_BYTES {
		return Err(FormatError::HeaderTooLong { found: header.len() as u64 });
	}
	Ok(header)
}

fn write_elements(data: &[f32], out: &mut impl Write) -> io::Result<()> {
	const AT_ONCE: usize = 16_384;
	let mut buffer = Vec::with_capacity(ELEMENT_BYTES as usize * data.len().min(AT_ONCE));
	for chunk in data.chunks(AT_ONCE) {
		buffer.clear();
		for x in chunk {
			buffer.extend_from_slice(&x.to_le_bytes());
		}
		out.write_all(&buffer)?;
	}
	Ok(())
}

/// Metadata and tensors that have a canonical byte form. Immutable, so that what was checked stays true.
#[derive(Clone, Debug)]
pub struct TensorFile {
	metadata: Metadata,
	tensors: Vec<Tensor<Elements>>,
	/// Its hash, where it came from a file that was checked against it.
	hash: Option<ArtifactHash>,
}

impl PartialEq for TensorFile {
	fn eq(&self, other: &Self) -> bool {
		self.metadata == other.metadata && self.tensors == other.tensors
	}
}

/// The metadata of a tensor file, of which no more than the header is read; `None` when the file has no such header.
///
/// # Errors
/// When the file cannot be read.
pub fn metadata_of(path: &Path) -> io::Result<Option<Metadata>> {
	let mut file = File::open(path)?;
	let mut start = Vec::with_capacity(LENGTH_BYTES);
	Read::by_ref(&mut file).take(LENGTH_BYTES as u64).read_to_end(&mut start)?;
	let Ok(length) = start.try_into().map(u64::from_le_bytes) else { return Ok(None) };
	if length > MAX_HEADER_BYTES as u64 {
		return Ok(None);
	}
	let mut header = Vec::new();
	file.take(length).read_to_end(&mut header)?;
	Ok(header::parse(&header).ok().map(|header| header.metadata))
}

impl TensorFile {
	/// A file of these tensors, which may come in any order and are kept sorted by name.
	///
	/// # Errors
	/// When a name is not allowed or stands twice, a tensor's data does not fill its shape, or a limit of the format
	/// is exceeded.
	pub fn new(metadata: Metadata, mut tensors: Vec<Tensor>) -> Result<Self, FormatError> {
		arrange(&mut tensors)?;
		for Tensor { name, shape, data } in &tensors {
			let expected = elements(name, shape)?;
			if expected != data.len() as u64 {
				return Err(FormatError::ElementCount {
					name: name.clone(),
					shape: shape.clone(),
					expected,
					found: data.len() as u64,
				});
			}
		}
		header_of(&metadata, &tensors)?;
		let hold = |Tensor { name, shape, data }: Tensor| Tensor { name, shape, data: data.into() };
		Ok(Self { metadata, tensors: tensors.into_iter().map(hold).collect(), hash: None })
	}

	/// Reads a file that is byte for byte what [`TensorFile::to_bytes`] writes. Nothing is allocated in proportion to
	/// what the header claims before the claim was checked against the bytes that are there.
	///
	/// # Errors
	/// Names the first thing that is wrong or not canonical.
	pub fn from_bytes(bytes: &[u8]) -> Result<Self, FormatError> {
		Self::read(bytes, |range| Elements::decode(&bytes[range]))
	}

	/// [`TensorFile::from_bytes`] of a mapped file. The elements stay in it, so that a file of any size takes no more
	/// memory of this process's own than its names and shapes do.
	///
	/// # Errors
	/// As [`TensorFile::from_bytes`].
	pub fn from_mapped(file: &MappedFile) -> Result<Self, FormatError> {
		let mut read = Self::read(file, |Range { start, end }| Elements::mapped(file, start, end))?;
		read.hash = Some(file.hash());
		Ok(read)
	}

	/// Reads a file; `elements` makes a tensor's elements of the place where they stand.
	fn read(bytes: &[u8], elements: impl Fn(Range<usize>) -> Elements) -> Result<Self, FormatError> {
		let truncated = |needed| FormatError::Truncated { found: bytes.len(), needed };
		let (length, rest) =
			bytes.split_first_chunk::<LENGTH_BYTES>().ok_or(truncated(LENGTH_BYTES as u64))?;
		let length = u64::from_le_bytes(*length);
		if length > MAX_HEADER_BYTES as u64 {
			return Err(FormatError::HeaderTooLong { found: length });
		}
		let (header, data) =
			rest.split_at_checked(length as usize).ok_or(truncated(LENGTH_BYTES as u64 + length))?;
		let parsed = header::parse(header)?;
		let end = parsed.tensors.last().map_or(0, |t| t.end);
		if end != data.len() as u64 {
			return Err(FormatError::FileLength {
				found: bytes.len() as u64,
				expected: end.saturating_add(LENGTH_BYTES as u64 + length),
			});
		}
		let before = bytes.len() - data.len();
		let tensor = |header::Entry { name, shape, start, end }| {
			// Within `data`, whose length is a usize.
			let data = elements(before + start as usize..before + end as usize);
			Tensor { name, shape, data }
		};
		let tensors = parsed.tensors.into_iter().map(tensor).collect();
		let file = Self { metadata: parsed.metadata, tensors, hash: None };
		// The parser accepts canonical headers only. Writing the header again makes sure of it: a form that it let
		// through by mistake would give one content two names.
		let again = file.header();
		if again != header {
			let offset = again.iter().zip(header).take_while(|(a, b)| a == b).count();
			return Err(FormatError::NotCanonical {
				offset: LENGTH_BYTES + offset,
				expected: "what writing the file again gives",
			});
		}
		Ok(file)
	}

	/// The header, padded.
	fn header(&self) -> Vec<u8> {
		header::write(&self.metadata, &self.tensors)
	}

	/// The canonical bytes, whose BLAKE3-256 hash is the artifact's name.
	pub fn to_bytes(&self) -> Vec<u8> {
		let mut bytes = Vec::new();
		self.write_to(&mut bytes).expect("writing to a Vec cannot fail; qed");
		bytes
	}

	/// [`TensorFile::to_bytes`] for a file that is not needed any more: each tensor is dropped once it is written, so
	/// that a large model is there about once, not twice.
	pub fn into_bytes(self) -> Vec<u8> {
		let header = self.header();
		let elements: usize = self.tensors.iter().map(|t| t.data.len()).sum();
		let mut bytes = Vec::with_capacity(LENGTH_BYTES + header.len() + elements * ELEMENT_BYTES as usize);
		bytes.extend_from_slice(&(header.len() as u64).to_le_bytes());
		bytes.extend_from_slice(&header);
		for tensor in self.tensors {
			write_elements(&tensor.data, &mut bytes).expect("writing to a Vec cannot fail; qed");
		}
		bytes
	}

	/// Writes the canonical bytes without holding them all.
	///
	/// # Errors
	/// Those of `out`.
	pub fn write_to(&self, out: &mut impl Write) -> io::Result<()> {
		let header = self.header();
		out.write_all(&(header.len() as u64).to_le_bytes())?;
		out.write_all(&header)?;
		self.tensors.iter().try_for_each(|tensor| write_elements(&tensor.data, out))
	}

	/// The artifact's name: the hash of [`TensorFile::to_bytes`], without holding these.
	pub fn hash(&self) -> ArtifactHash {
		if let Some(hash) = self.hash {
			return hash;
		}
		let mut hasher = blake3::Hasher::new();
		self.write_to(&mut hasher).expect("hashing does no input or output and cannot fail; qed");
		cairn_primitives::H256(*hasher.finalize().as_bytes())
	}

	/// The metadata.
	pub fn metadata(&self) -> &Metadata {
		&self.metadata
	}

	/// The tensors, ascending by name.
	pub fn tensors(&self) -> &[Tensor<Elements>] {
		&self.tensors
	}

	/// Metadata and tensors, to keep or to change. Elements that are in a mapped file are copied out of it.
	pub fn into_parts(self) -> (Metadata, Vec<Tensor>) {
		let own =
			|Tensor { name, shape, data }: Tensor<Elements>| Tensor { name, shape, data: data.into_vec() };
		(self.metadata, self.tensors.into_iter().map(own).collect())
	}

	/// Names and shapes, ascending by name: what must agree for two files to be added coordinate by coordinate.
	pub fn signature(&self) -> Vec<(String, Vec<usize>)> {
		self.tensors.iter().map(|t| (t.name.clone(), t.shape.clone())).collect()
	}

	/// The tensor of this name.
	pub fn get(&self, name: &str) -> Option<&Tensor<Elements>> {
		let i = self.tensors.binary_search_by(|t| t.name.as_str().cmp(name)).ok()?;
		Some(&self.tensors[i])
	}
}
