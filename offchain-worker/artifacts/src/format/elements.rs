//! Where the elements of a file's tensors stand.

use super::ELEMENT_BYTES;
use crate::MappedFile;
use std::{fmt, ops::Deref};

/// The elements of a tensor of a [`super::TensorFile`]: in memory of their own, or in a mapped file.
#[derive(Clone)]
pub struct Elements(Place);

#[derive(Clone)]
enum Place {
	Owned(Vec<f32>),
	/// `len` elements from byte `start` of the file, which is a multiple of 4.
	Mapped {
		file: MappedFile,
		start: usize,
		len: usize,
	},
}

impl Elements {
	/// Those that stand in the file from byte `start` to byte `end`, both multiples of 4.
	pub(super) fn mapped(file: &MappedFile, start: usize, end: usize) -> Self {
		if cfg!(target_endian = "little") {
			let len = (end - start) / ELEMENT_BYTES as usize;
			Self(Place::Mapped { file: file.clone(), start, len })
		} else {
			Self::decode(&file[start..end])
		}
	}

	/// Those that the bytes are, little-endian.
	pub(super) fn decode(bytes: &[u8]) -> Self {
		let (elements, _) = bytes.as_chunks::<{ ELEMENT_BYTES as usize }>();
		elements.iter().map(|b| f32::from_le_bytes(*b)).collect::<Vec<f32>>().into()
	}

	/// As a list of their own; copied where they are in a mapped file.
	pub fn into_vec(self) -> Vec<f32> {
		match self.0 {
			Place::Owned(elements) => elements,
			Place::Mapped { .. } => self.to_vec(),
		}
	}
}

impl From<Vec<f32>> for Elements {
	fn from(elements: Vec<f32>) -> Self {
		Self(Place::Owned(elements))
	}
}

impl Deref for Elements {
	type Target = [f32];

	fn deref(&self) -> &[f32] {
		match &self.0 {
			Place::Owned(elements) => elements,
			Place::Mapped { file, start, len } => {
				let bytes = &file[*start..*start + *len * ELEMENT_BYTES as usize];
				// SAFETY: all bits are some `f32`, and these are little-endian as the processor is, or they would not be
				// mapped.
				let (before, elements, after) = unsafe { bytes.align_to::<f32>() };
				// A mapping begins at a page, and `start` is a multiple of 4.
				debug_assert!(before.is_empty() && after.is_empty());
				elements
			},
		}
	}
}

impl fmt::Debug for Elements {
	fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
		(**self).fmt(f)
	}
}

impl AsRef<[f32]> for Elements {
	fn as_ref(&self) -> &[f32] {
		self
	}
}

impl<T: AsRef<[f32]>> PartialEq<T> for Elements {
	fn eq(&self, other: &T) -> bool {
		**self == *other.as_ref()
	}
}
