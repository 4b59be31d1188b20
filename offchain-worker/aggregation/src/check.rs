//! What a receiver checks of an update before it uses it.

use crate::error::ShapeDifference;
use cairn_artifacts::{artifact_hash, ArtifactHash, Elements, FormatError, MappedFile, Tensor, TensorFile};
use cairn_primitives::envelope::{EnvelopeError, ExpectedUpdate, UpdateEnvelope};
use std::ops::Deref;
use thiserror::Error;

/// An update that passed [`check_update`] or [`check_mapped_update`]. There is no other way to make one, so
/// whatever takes it need not check again. One of a mapped file leaves its elements there.
#[derive(Clone, PartialEq, Debug)]
pub struct CheckedUpdate {
	hash: ArtifactHash,
	envelope: UpdateEnvelope,
	file: TensorFile,
}

impl CheckedUpdate {
	/// The artifact.
	pub fn hash(&self) -> ArtifactHash {
		self.hash
	}

	/// What it declares, which agrees with what the chain knows.
	pub fn envelope(&self) -> &UpdateEnvelope {
		&self.envelope
	}

	/// Its tensors: the base's names and shapes, finite elements.
	pub fn tensors(&self) -> &[Tensor<Elements>] {
		self.file.tensors()
	}

	/// The whole file.
	pub fn file(&self) -> &TensorFile {
		&self.file
	}
}

/// An update that must not be used.
#[derive(Clone, PartialEq, Debug, Error)]
#[error("update {update:?} is refused: {reason}")]
pub struct UpdateRefused {
	/// The artifact that was committed.
	pub update: ArtifactHash,
	/// What is wrong with it.
	pub reason: Refusal,
}

/// What is wrong with an update.
#[derive(Clone, PartialEq, Debug, Error)]
pub enum Refusal {
	/// The bytes are not the artifact.
	#[error("the bytes hash to {found:?}; fetch it again, from another peer")]
	Hash {
		/// What the bytes hash to.
		found: ArtifactHash,
	},
	/// The artifact is no canonical tensor file.
	#[error("{0}")]
	Format(#[from] FormatError),
	/// It is no update, or declares something else than the chain knows.
	#[error("{0}")]
	Envelope(#[from] EnvelopeError),
	/// It has other tensors than the base weights.
	#[error("{0}")]
	Shape(#[from] ShapeDifference),
	/// It contains NaN or an infinity.
	#[error("element {index} of tensor {tensor:?} is {value}, which is not finite")]
	NotFinite {
		/// The first such tensor.
		tensor: String,
		/// Its first such element, counted in row-major order from 0.
		index: usize,
		/// What stands there.
		value: f32,
	},
}

/// Checks that `bytes` are the artifact `hash`, in canonical form, an update that declares what the chain knows of it
/// (`expected`), with exactly the tensors of `base`, all finite.
///
/// Every honest receiver comes to the same verdict: nothing but the arguments decides.
///
/// # Errors
/// Names the artifact and the first thing that is wrong.
pub fn check_update(
	bytes: &[u8],
	hash: &ArtifactHash,
	expected: &ExpectedUpdate,
	base: &TensorFile,
) -> Result<CheckedUpdate, UpdateRefused> {
	checked(artifact_hash(bytes), || TensorFile::from_bytes(bytes), hash, expected, base)
		.map_err(|reason| UpdateRefused { update: *hash, reason })
}

/// [`check_update`] of a file that is mapped into memory: the update takes no more memory of this process's own than its
/// names and shapes do, however many elements it has. The verdict is the same.
///
/// # Errors
/// As [`check_update`].
pub fn check_mapped_update(
	file: &MappedFile,
	hash: &ArtifactHash,
	expected: &ExpectedUpdate,
	base: &TensorFile,
) -> Result<CheckedUpdate, UpdateRefused> {
	checked(file.hash(), || TensorFile::from_mapped(file), hash, expected, base)
		.map_err(|reason| UpdateRefused { update: *hash, reason })
}

fn checked(
	found: ArtifactHash,
	read: impl FnOnce() -> Result<TensorFile, FormatError>,
	hash: &ArtifactHash,
	expected: &ExpectedUpdate,
	base: &TensorFile,
) -> Result<CheckedUpdate, Refusal> {
	// The hash first: until it holds, nothing that the bytes say is worth a parser's attention.
	if found != *hash {
		return Err(Refusal::Hash { found });
	}
	let file = read()?;
	let envelope = UpdateEnvelope::from_metadata(file.metadata())?;
	envelope.check(expected)?;
	same_shapes(file.tensors(), base.tensors())?;
	if let Some((tensor, index, value)) = first_not_finite(file.tensors()) {
		return Err(Refusal::NotFinite { tensor: tensor.to_owned(), index, value });
	}
	Ok(CheckedUpdate { hash: *hash, envelope, file })
}

/// Compares names and shapes of two lists that ascend by name.
pub(crate) fn same_shapes<A, B>(found: &[Tensor<A>], expected: &[Tensor<B>]) -> Result<(), ShapeDifference> {
	same_shapes_behind("", found, expected)
}

/// [`same_shapes`] where every name in `found` begins with `prefix`, which does not count.
pub(crate) fn same_shapes_behind<A, B>(
	prefix: &str,
	found: &[Tensor<A>],
	expected: &[Tensor<B>],
) -> Result<(), ShapeDifference> {
	let name = |t: &Tensor<A>| t.name[prefix.len()..].to_owned();
	let (mut found, mut expected) = (found.iter().peekable(), expected.iter().peekable());
	loop {
		match (found.peek(), expected.peek()) {
			(None, None) => return Ok(()),
			(f, Some(e)) if f.is_none_or(|f| f.name[prefix.len()..] > e.name[..]) => {
				return Err(ShapeDifference::Missing { tensor: e.name.clone() })
			},
			(Some(f), e) if e.is_none_or(|e| f.name[prefix.len()..] < e.name[..]) => {
				return Err(ShapeDifference::Unknown { tensor: name(f) })
			},
			(Some(f), Some(e)) if f.shape != e.shape => {
				return Err(ShapeDifference::Shape {
					tensor: name(f),
					found: f.shape.clone(),
					expected: e.shape.clone(),
				})
			},
			_ => {
				found.next();
				expected.next();
			},
		}
	}
}

/// The first element that is NaN or infinite: tensor, index, value.
pub(crate) fn first_not_finite<D: Deref<Target = [f32]>>(
	tensors: &[Tensor<D>],
) -> Option<(&str, usize, f32)> {
	tensors.iter().find_map(|t| {
		let index = t.data.iter().position(|x| !x.is_finite())?;
		Some((t.name.as_str(), index, t.data[index]))
	})
}

/// The elements of each tensor.
pub(crate) fn slices<D: Deref<Target = [f32]>>(tensors: &[Tensor<D>]) -> Vec<&[f32]> {
	tensors.iter().map(|t| &*t.data).collect()
}
