//! Files of a store as memory.

use crate::{store::StoreError, ArtifactHash};
use cairn_primitives::H256;
use memmap2::Mmap;
use std::{
	fs::File,
	io::{self, ErrorKind, Read},
	ops::Deref,
	path::Path,
	sync::Arc,
};

/// Bytes read at once when a file is checked.
const CHUNK: usize = 1024 * 1024;

/// An artifact's bytes, mapped into memory from the store's file by [`crate::Store::map`]: the operating system reads
/// them in where they are looked at, and may forget them again, so that they take no memory of this process's own.
/// Clones share the mapping.
///
/// The bytes were checked against the artifact's name before they were handed out. They stay what they are because a
/// store's file is written once, under another name, and never again after it has got its own: what takes its place or
/// removes it gives or takes away the name, and the mapped file is there until its last mapping is gone. Who cuts such a
/// file short by other means ends the processes that have it mapped (`SIGBUS`), as does a disk that cannot be read any
/// more; nothing is lost by that which `kill -9` would not lose.
#[derive(Clone)]
pub struct MappedFile(Arc<Inner>);

struct Inner {
	map: Mmap,
	hash: ArtifactHash,
}

impl MappedFile {
	/// Maps the file, if there is one, and finds out what it is called. Its bytes are read for that rather than looked at
	/// in the mapping: a disk that fails is then an error, not a signal.
	pub(crate) fn open(path: &Path) -> Result<Option<Self>, StoreError> {
		let mut file = match File::open(path) {
			Ok(file) => file,
			Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
			Err(e) => return Err(StoreError::io("opening", path)(e)),
		};
		let (hash, read) = hash(&mut file).map_err(StoreError::io("reading", path))?;
		// SAFETY: nobody writes to a file that has a name in the store; see above.
		let map = unsafe { Mmap::map(&file) }.map_err(StoreError::io("mapping", path))?;
		if map.len() as u64 != read {
			let changed = io::Error::other("somebody writes to it, which nobody may do");
			return Err(StoreError::io("mapping", path)(changed));
		}
		Ok(Some(Self(Arc::new(Inner { map, hash }))))
	}

	/// The artifact's name.
	pub fn hash(&self) -> ArtifactHash {
		self.0.hash
	}
}

/// The hash and the number of the bytes that are left to read.
fn hash(file: &mut File) -> io::Result<(ArtifactHash, u64)> {
	let mut hasher = blake3::Hasher::new();
	let mut chunk = vec![0; CHUNK];
	loop {
		match file.read(&mut chunk) {
			Ok(0) => return Ok((H256(*hasher.finalize().as_bytes()), hasher.count())),
			Ok(n) => hasher.update(&chunk[..n]),
			Err(e) if e.kind() == ErrorKind::Interrupted => continue,
			Err(e) => return Err(e),
		};
	}
}

impl Deref for MappedFile {
	type Target = [u8];

	fn deref(&self) -> &[u8] {
		&self.0.map
	}
}

impl std::fmt::Debug for MappedFile {
	fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
		f.debug_struct("MappedFile").field("hash", &self.0.hash).field("len", &self.len()).finish()
	}
}
