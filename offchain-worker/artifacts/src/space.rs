//! How much room there is for artifacts.

use crate::store::{Store, StoreError};
use nix::sys::statvfs::statvfs;
use std::{fs, io, os::unix::fs::MetadataExt, path::Path};

/// Room on the file system that holds a store, and what the store takes of it. Bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Space {
	/// What this user may still write there.
	pub free: u64,
	/// What the store's files take, those under way and in quarantine included.
	pub used: u64,
}

impl Store {
	/// Measures the store and its file system, by going through all of its files.
	///
	/// # Errors
	/// When the file system does not tell.
	pub fn space(&self) -> Result<Space, StoreError> {
		let root = self.root();
		let failed = |source| StoreError::Io { action: "measuring", path: root.to_owned(), source };
		let volume = statvfs(root).map_err(|errno| failed(errno.into()))?;
		// The types differ between platforms.
		#[allow(clippy::unnecessary_cast)]
		let free = (volume.blocks_available() as u64).saturating_mul(volume.fragment_size() as u64);
		Ok(Space { free, used: used(root).map_err(failed)? })
	}
}

/// Blocks that the files below a folder occupy, in bytes: a file with holes takes less than its length.
fn used(folder: &Path) -> io::Result<u64> {
	let mut sum = 0u64;
	for entry in fs::read_dir(folder)? {
		let entry = entry?;
		// Files come and go while this counts.
		let metadata = match entry.metadata() {
			Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
			metadata => metadata?,
		};
		sum += if metadata.is_dir() {
			match used(&entry.path()) {
				Err(e) if e.kind() == io::ErrorKind::NotFound => 0,
				used => used?,
			}
		} else {
			metadata.blocks() * 512
		};
	}
	Ok(sum)
}
