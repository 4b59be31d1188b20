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
		let free = self.free()?;
		Ok(Space { free, used: used(self.root()).map_err(|source| self.not_measured(source))? })
	}

	/// What this user may still write on the store's file system, bytes, without going through anything.
	///
	/// # Errors
	/// When the file system does not tell.
	pub fn free(&self) -> Result<u64, StoreError> {
		let volume = statvfs(self.root()).map_err(|errno| self.not_measured(errno.into()))?;
		// The types differ between platforms.
		#[allow(clippy::unnecessary_cast)]
		let free = (volume.blocks_available() as u64).saturating_mul(volume.fragment_size() as u64);
		Ok(free)
	}

	fn not_measured(&self, source: io::Error) -> StoreError {
		StoreError::Io { action: "measuring", path: self.root().to_owned(), source }
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
