//! The artifacts that the auditor was given.

use cairn_artifacts::{ArtifactHash, MappedFile, Store, StoreError};
use std::path::Path;

/// Artifact stores that are asked one after the other. Nothing in them is changed.
#[derive(Clone, Debug)]
pub struct Stores(Vec<Store>);

impl Stores {
	/// Opens stores for reading.
	///
	/// # Errors
	/// Names the first that is not there.
	pub fn open<P: AsRef<Path>>(paths: &[P]) -> Result<Self, StoreError> {
		paths.iter().map(|p| Store::open_read_only(p.as_ref())).collect::<Result<_, _>>().map(Self)
	}

	/// The first intact copy of an artifact, mapped into memory, or a sentence on why there is none.
	///
	/// # Errors
	/// When no store has it, or all that have it have it broken.
	pub fn get(&self, hash: &ArtifactHash) -> Result<MappedFile, String> {
		let mut problems = Vec::new();
		for store in &self.0 {
			match store.map(hash) {
				Ok(Some(file)) => return Ok(file),
				Ok(None) => {},
				Err(e) => problems.push(e.to_string()),
			}
		}
		if problems.is_empty() {
			let looked: Vec<_> = self.0.iter().map(|s| s.root().display().to_string()).collect();
			problems.push(format!(
				"artifact {hash:?} is in none of the stores given ({}); give a store that has it with --store",
				looked.join(", ")
			));
		}
		Err(problems.join("; "))
	}
}
