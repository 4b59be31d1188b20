//! A file that is filled in where it stands.

use super::{arrange, header_of, FormatError, Tensor, ELEMENT_BYTES, LENGTH_BYTES};
use crate::{zeros, Metadata};

/// A tensor file whose elements are written into its bytes, so that they are never there a second time. They start as
/// +0.
#[derive(Clone, Debug)]
pub struct TensorFileBuffer {
	tensors: Vec<Tensor<()>>,
	bytes: Vec<u8>,
	/// Where the elements begin.
	data: usize,
}

impl TensorFileBuffer {
	/// The bytes of a file of such tensors, which may come in any order and stand in the order of their names.
	///
	/// # Errors
	/// When a name is not allowed or stands twice, or a limit of the format is exceeded.
	pub fn new(metadata: &Metadata, mut tensors: Vec<Tensor<()>>) -> Result<Self, FormatError> {
		let size = arrange(&mut tensors)?;
		let header = header_of(metadata, &tensors)?;
		let data = LENGTH_BYTES + header.len();
		let too_large = || {
			let Tensor { name, shape, .. } = tensors.last().cloned().unwrap_or(Tensor {
				name: String::new(),
				shape: Vec::new(),
				data: (),
			});
			FormatError::TooLarge { name, shape }
		};
		let len = usize::try_from(size).ok().and_then(|size| size.checked_add(data)).ok_or_else(too_large)?;
		let mut bytes = zeros(len);
		bytes[..LENGTH_BYTES].copy_from_slice(&(header.len() as u64).to_le_bytes());
		bytes[LENGTH_BYTES..data].copy_from_slice(&header);
		Ok(Self { tensors, bytes, data })
	}

	/// Names and shapes, ascending by name.
	pub fn tensors(&self) -> &[Tensor<()>] {
		&self.tensors
	}

	/// The bytes of each tensor's elements, which are little-endian, in the order of [`TensorFileBuffer::tensors`].
	pub fn data_mut(&mut self) -> Vec<&mut [u8]> {
		let mut rest = &mut self.bytes[self.data..];
		let mut pieces = Vec::with_capacity(self.tensors.len());
		for tensor in &self.tensors {
			let elements: usize = tensor.shape.iter().product();
			let (piece, others) = rest.split_at_mut(elements * ELEMENT_BYTES as usize);
			pieces.push(piece);
			rest = others;
		}
		pieces
	}

	/// Gives the file other metadata. Where these take as many bytes as those before, nothing is moved.
	///
	/// # Errors
	/// When the header becomes too long.
	pub fn set_metadata(&mut self, metadata: &Metadata) -> Result<(), FormatError> {
		let header = header_of(metadata, &self.tensors)?;
		let length = (header.len() as u64).to_le_bytes();
		let data = LENGTH_BYTES + header.len();
		self.bytes.splice(..self.data, length.into_iter().chain(header));
		self.data = data;
		Ok(())
	}

	/// The canonical bytes.
	pub fn into_bytes(self) -> Vec<u8> {
		self.bytes
	}
}
