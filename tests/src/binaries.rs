//! Where the programs are that a devnet runs.

use anyhow::{bail, Context, Result};
use std::path::{Path, PathBuf};

/// The programs of a devnet, all of one build.
#[derive(Clone, Debug)]
pub struct Binaries {
	/// `cairn-node`
	pub node: PathBuf,
	/// `cairn-worker`
	pub worker: PathBuf,
	/// `cairn`, the auditor
	pub auditor: PathBuf,
	/// `cairn-hostile-worker`: `cairn-worker` with attacks. Only where somebody attacks need it be there.
	pub hostile: PathBuf,
}

impl Binaries {
	/// Finds them in a folder.
	///
	/// # Errors
	/// When one is not there; the message names it and says how it is built.
	pub fn in_folder(folder: &Path) -> Result<Self> {
		let find = |name: &str| {
			let path = folder.join(name);
			if path.is_file() {
				Ok(path)
			} else {
				bail!(
					"{name} is not in {}: run ./scripts/build first, which builds all programs",
					folder.display()
				)
			}
		};
		Ok(Self {
			node: find("cairn-node")?,
			worker: find("cairn-worker")?,
			auditor: find("cairn")?,
			hostile: folder.join("cairn-hostile-worker"),
		})
	}

	/// Finds them beside the program that runs now, be it `cairn-devnet` or a test in cargo's `deps` folder.
	///
	/// # Errors
	/// As [`Binaries::in_folder`].
	pub fn beside_this_one() -> Result<Self> {
		let this = std::env::current_exe().context("cannot tell where this program is")?;
		let folder = this.parent().context("this program is in no folder")?;
		let folder = if folder.ends_with("deps") { folder.parent().unwrap_or(folder) } else { folder };
		Self::in_folder(folder)
	}
}

#[cfg(test)]
mod tests {
	#![allow(clippy::unwrap_used)]
	use super::*;

	#[test]
	fn missing_binary_is_named_with_the_command_that_builds_it() {
		let dir = tempfile::tempdir().unwrap();
		std::fs::write(dir.path().join("cairn-node"), "").unwrap();
		let message = Binaries::in_folder(dir.path()).unwrap_err().to_string();
		assert!(message.contains("cairn-worker") && message.contains("./scripts/build"), "{message}");
		for name in ["cairn-worker", "cairn"] {
			std::fs::write(dir.path().join(name), "").unwrap();
		}
		assert_eq!(Binaries::in_folder(dir.path()).unwrap().auditor, dir.path().join("cairn"));
	}
}
