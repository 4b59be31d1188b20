#![doc = include_str!("../README.md")]

pub mod config;
mod format;
mod mapped;
mod memory;
mod space;
mod store;

pub use cairn_primitives::{artifact_hash, envelope::Metadata, ArtifactHash};
pub use format::{
	metadata_of, Elements, FormatError, Tensor, TensorFile, TensorFileBuffer, MAX_DIMENSIONS,
	MAX_HEADER_BYTES, MAX_NAME_BYTES, MAX_TENSORS,
};
pub use mapped::MappedFile;
pub use memory::{zeros, Zero};
pub use space::Space;
pub use store::{Store, StoreError, Writer};
