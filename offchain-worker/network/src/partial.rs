//! A transfer that is not complete yet: the first bytes of an artifact, on disk, and who sent them.
//!
//! The file is `partial/PEER_ID/HASH` in the store's folder. It outlives a broken connection and the process; what is
//! in it is believed only when the whole of it has the right hash.

use cairn_artifacts::Store;
use cairn_primitives::{ArtifactHash, H256};
use libp2p::PeerId;
use std::{
	collections::BTreeSet,
	fs::{self, File, OpenOptions},
	io::{self, Read, Seek, SeekFrom, Write},
	path::{Path, PathBuf},
	time::{Duration, SystemTime},
};

/// Who bytes came from.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Origin {
	/// An earlier run of this program, which did not write down whom it asked.
	EarlierRun,
	Peer(PeerId),
}

/// What came of a complete transfer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
	/// It is the artifact, and in the store.
	Stored,
	/// It is something else. All of it came from this peer, or from several of which any may be to blame.
	Wrong {
		/// The one peer that sent it all.
		liar: Option<PeerId>,
	},
}

/// The first bytes of an artifact.
#[derive(Debug)]
pub(crate) struct Partial {
	hash: ArtifactHash,
	path: PathBuf,
	file: File,
	hasher: blake3::Hasher,
	len: u64,
	/// The length of the whole as it was declared by whoever sent the first bytes.
	total: Option<u64>,
	origins: BTreeSet<Origin>,
}

/// The folder for a node's unfinished transfers. Each identity has its own, because a store may be shared.
pub(crate) fn folder(store: &Store, local: &PeerId) -> PathBuf {
	store.root().join("partial").join(local.to_string())
}

/// Removes unfinished transfers that nobody has added to for `max_age`.
pub(crate) fn sweep(folder: &Path, max_age: Duration) -> io::Result<()> {
	let now = SystemTime::now();
	for entry in fs::read_dir(folder)? {
		let entry = entry?;
		let old = entry
			.metadata()
			.and_then(|metadata| metadata.modified())
			.is_ok_and(|modified| now.duration_since(modified).is_ok_and(|age| age > max_age));
		if old {
			fs::remove_file(entry.path())?;
		}
	}
	Ok(())
}

impl Partial {
	/// Opens what there is of the artifact, which may be nothing.
	pub(crate) fn open(folder: &Path, hash: ArtifactHash, max_len: u64) -> io::Result<Self> {
		let path = folder.join(crate::identity::hex(hash.as_bytes()));
		let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path)?;
		let mut hasher = blake3::Hasher::new();
		let len = io::copy(&mut file, &mut hasher)?;
		let origins = if len == 0 { BTreeSet::new() } else { BTreeSet::from([Origin::EarlierRun]) };
		let mut partial = Self { hash, path, file, hasher, len, total: None, origins };
		if len > max_len {
			partial.reset()?;
		}
		Ok(partial)
	}

	/// How many bytes there are.
	pub(crate) fn len(&self) -> u64 {
		self.len
	}

	/// Takes note of how long the whole is said to be. False when that contradicts what is here.
	#[must_use]
	pub(crate) fn declare(&mut self, total: u64) -> bool {
		if self.len > total || self.total.is_some_and(|known| known != total) {
			return false;
		}
		self.total = Some(total);
		true
	}

	/// Whether nothing here came from anybody but `peer`.
	pub(crate) fn is_from_only(&self, peer: &PeerId) -> bool {
		self.origins.iter().all(|origin| *origin == Origin::Peer(*peer))
	}

	/// Starts over with nothing.
	pub(crate) fn reset(&mut self) -> io::Result<()> {
		self.file.set_len(0)?;
		self.file.seek(SeekFrom::Start(0))?;
		self.hasher.reset();
		self.len = 0;
		self.total = None;
		self.origins.clear();
		Ok(())
	}

	/// Adds the bytes that come next, from `peer`.
	pub(crate) fn append(&mut self, peer: PeerId, bytes: &[u8]) -> io::Result<()> {
		// Where an earlier write that failed half-way may have left something.
		self.file.seek(SeekFrom::Start(self.len))?;
		self.file.write_all(bytes)?;
		self.hasher.update(bytes);
		self.len += bytes.len() as u64;
		self.origins.insert(Origin::Peer(peer));
		Ok(())
	}

	/// Gives the complete bytes to the store when they are the artifact; else starts over with nothing.
	pub(crate) fn finish(&mut self, store: &Store) -> Result<Outcome, String> {
		if H256(*self.hasher.finalize().as_bytes()) != self.hash {
			let liar = match self.origins.iter().next() {
				Some(Origin::Peer(peer)) if self.origins.len() == 1 => Some(*peer),
				_ => None,
			};
			self.reset().map_err(|error| error.to_string())?;
			return Ok(Outcome::Wrong { liar });
		}
		self.give_to(store)?;
		// The store has it; a file that stays behind is swept one day.
		let _ = fs::remove_file(&self.path);
		Ok(Outcome::Stored)
	}

	/// Streams the file into the store, which checks the hash again: the disk may not have kept what was written.
	fn give_to(&mut self, store: &Store) -> Result<(), String> {
		let mut writer = store.writer().map_err(|error| error.to_string())?;
		self.file.seek(SeekFrom::Start(0)).map_err(|error| error.to_string())?;
		let mut source = (&self.file).take(self.len);
		let mut buffer = vec![0u8; 1 << 20];
		loop {
			match source.read(&mut buffer) {
				Ok(0) => break,
				Ok(n) => writer.append(&buffer[..n]).map_err(|error| error.to_string())?,
				Err(error) if error.kind() == io::ErrorKind::Interrupted => {},
				Err(error) => return Err(error.to_string()),
			}
		}
		writer.finish_expected(&self.hash).map_err(|error| error.to_string())
	}
}

impl Drop for Partial {
	fn drop(&mut self) {
		// Nobody had anything: leave no empty file behind.
		if self.len == 0 {
			let _ = fs::remove_file(&self.path);
		}
	}
}

#[cfg(test)]
mod tests {
	#![allow(clippy::unwrap_used)]

	use super::*;
	use cairn_primitives::artifact_hash;

	struct Place {
		_dir: tempfile::TempDir,
		store: Store,
		folder: PathBuf,
	}

	fn place() -> Place {
		let dir = tempfile::tempdir().unwrap();
		let store = Store::open(dir.path().join("store")).unwrap();
		let folder = folder(&store, &PeerId::random());
		fs::create_dir_all(&folder).unwrap();
		Place { _dir: dir, store, folder }
	}

	#[test]
	fn complete_bytes_are_stored_and_the_partial_file_goes() {
		let place = place();
		let (peer, hash) = (PeerId::random(), artifact_hash(b"hello world"));
		let mut partial = Partial::open(&place.folder, hash, 100).unwrap();
		partial.append(peer, b"hello ").unwrap();
		partial.append(peer, b"world").unwrap();
		assert_eq!(partial.finish(&place.store), Ok(Outcome::Stored));
		assert_eq!(place.store.get(&hash).unwrap().as_deref(), Some(&b"hello world"[..]));
		assert_eq!(fs::read_dir(&place.folder).unwrap().count(), 0);
		assert_eq!(place.store.list().unwrap(), [hash]);
	}

	#[test]
	fn partial_survives_a_restart_and_blames_nobody_for_what_the_earlier_run_got() {
		let place = place();
		let (peer, hash) = (PeerId::random(), artifact_hash(b"hello world"));
		let mut partial = Partial::open(&place.folder, hash, 100).unwrap();
		partial.append(peer, b"jello ").unwrap();
		drop(partial);

		let mut partial = Partial::open(&place.folder, hash, 100).unwrap();
		assert_eq!((partial.len(), partial.is_from_only(&peer)), (6, false));
		partial.append(peer, b"world").unwrap();
		assert_eq!(partial.finish(&place.store), Ok(Outcome::Wrong { liar: None }));
		assert_eq!((partial.len(), partial.is_from_only(&peer)), (0, true));

		partial.append(peer, b"jello world").unwrap();
		assert_eq!(partial.finish(&place.store), Ok(Outcome::Wrong { liar: Some(peer) }));
		assert!(!place.store.contains(&hash));
	}

	#[test]
	fn nobody_is_blamed_when_several_sent_wrong_bytes_together() {
		let place = place();
		let mut partial = Partial::open(&place.folder, artifact_hash(b"hello world"), 100).unwrap();
		partial.append(PeerId::random(), b"hello ").unwrap();
		partial.append(PeerId::random(), b"earth").unwrap();
		assert_eq!(partial.finish(&place.store), Ok(Outcome::Wrong { liar: None }));
	}

	#[test]
	fn contradicting_lengths_are_noticed() {
		let place = place();
		let mut partial = Partial::open(&place.folder, H256([1; 32]), 100).unwrap();
		assert!(partial.declare(10) && partial.declare(10) && !partial.declare(11));
		partial.reset().unwrap();
		partial.append(PeerId::random(), b"hello").unwrap();
		assert!(!partial.declare(4) && partial.declare(5));
	}

	#[test]
	fn partial_longer_than_the_limit_is_started_over() {
		let place = place();
		let hash = H256([1; 32]);
		let mut partial = Partial::open(&place.folder, hash, 100).unwrap();
		partial.append(PeerId::random(), b"hello").unwrap();
		drop(partial);
		assert_eq!(Partial::open(&place.folder, hash, 4).unwrap().len(), 0);
	}

	#[test]
	fn partial_without_bytes_leaves_no_file() {
		let place = place();
		drop(Partial::open(&place.folder, H256([1; 32]), 9).unwrap());
		assert_eq!(fs::read_dir(&place.folder).unwrap().count(), 0);
	}

	#[test]
	fn only_old_partials_are_swept() {
		let place = place();
		let names = [1u8, 2].map(|i| {
			Partial::open(&place.folder, H256([i; 32]), 9)
				.unwrap()
				.append(PeerId::random(), b"hello")
				.unwrap();
			place.folder.join(crate::identity::hex(&[i; 32]))
		});
		let past = SystemTime::now() - Duration::from_secs(7200);
		File::options().write(true).open(&names[1]).unwrap().set_modified(past).unwrap();
		sweep(&place.folder, Duration::from_secs(3600)).unwrap();
		assert!(names[0].exists() && !names[1].exists());
	}
}
