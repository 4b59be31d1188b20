//! The artifact stores that the auditor was given.

use cairn_artifacts::{Store, StoreError};
use std::path::Path;

/// Artifact stores that are asked one after the other. Nothing in them is changed.
#[derive(Clone, Debug, Default)]
pub struct Stores(Vec<Store>);

impl Stores {
	/// Opens stores for reading.
	///
	/// # Errors
	/// Names the first that is not there.
	pub fn open<P: AsRef<Path>>(paths: &[P]) -> Result<Self, StoreError> {
		paths.iter().map(|p| Store::open_read_only(p.as_ref())).collect::<Result<_, _>>().map(Self)
	}

	/// The stores, in the order in which they were given.
	pub fn iter(&self) -> impl Iterator<Item = &Store> {
		self.0.iter()
	}

	/// Whether none was given.
	pub fn is_empty(&self) -> bool {
		self.0.is_empty()
	}
}
