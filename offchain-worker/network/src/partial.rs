//! A transfer that is not complete yet: which parts of an artifact are on disk, which are asked for, and by whom.
//!
//! The bytes are in `partial/PEER_ID/HASH.data` in the store's folder, at their places in a file with holes, and the
//! hashes that prove them in `HASH.outboard` beside it. Nothing else is kept: after a restart, or a crash that may have
//! left anything, the part that the outboard proves against the artifact's name is what there is.

use crate::tree::{TakeError, Tree, BLOCK_LEN};
use cairn_artifacts::{Store, StoreError};
use cairn_primitives::ArtifactHash;
use libp2p::PeerId;
use std::{
	fs::{self, File, OpenOptions},
	io,
	ops::Range,
	path::{Path, PathBuf},
	sync::{
		atomic::{AtomicBool, AtomicU64, Ordering},
		Arc, Mutex, MutexGuard, PoisonError,
	},
	time::{Duration, Instant, SystemTime},
};
use tokio::sync::{futures::Notified, Notify};

/// How many bytes may come before those that came are brought to the disk. Left to itself, the system may keep all of an
/// artifact in memory until it is complete and has to be synced, and the disk does nothing until then.
const SYNC_EVERY: u64 = 64 << 20;

/// Where a chunk stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Chunk {
	Missing,
	Asked { of: PeerId, since: Instant },
	Done,
}

#[derive(Debug)]
struct State {
	chunks: Vec<Chunk>,
	/// Before this one, none is missing.
	first_missing: usize,
	/// How many are not done.
	left: usize,
}

/// An artifact that arrives in chunks. Its length is proven.
#[derive(Debug)]
pub(crate) struct Partial {
	hash: ArtifactHash,
	tree: Tree,
	chunk_len: u64,
	data_path: PathBuf,
	outboard_path: PathBuf,
	data: File,
	outboard: File,
	state: Mutex<State>,
	changed: Notify,
	/// Bytes that have come since the last of them were brought to the disk.
	unsynced: AtomicU64,
	syncing: AtomicBool,
	/// Why they could not be. Locked meanwhile.
	broken: Mutex<Option<io::Error>>,
	/// They could not be: what has come is lost.
	lost: AtomicBool,
}

/// The folder for a node's unfinished transfers. Each identity has its own, because a store may be shared.
pub(crate) fn folder(store: &Store, local: &PeerId) -> PathBuf {
	store.root().join("partial").join(local.to_string())
}

/// Removes unfinished transfers of all identities that nobody has added to for `max_age`: those of one that was given
/// up, too. Another process's go on, because it adds to them; its folder stays, even when there is nothing in it.
pub(crate) fn sweep(store: &Store, max_age: Duration) {
	let now = SystemTime::now();
	// One entry that cannot be looked at, somebody else's perhaps, keeps none of the others.
	let said = |error: io::Error| {
		tracing::warn!(store = %store.root().display(), %error, "old unfinished transfers could not be removed");
	};
	let entries = |folder: &Path| -> Vec<fs::DirEntry> {
		let found = fs::read_dir(folder).map_err(said).ok();
		found.into_iter().flatten().filter_map(|entry| entry.map_err(said).ok()).collect()
	};
	let folders = entries(&store.root().join("partial")).into_iter().map(|folder| folder.path());
	for entry in folders.filter(|folder| folder.is_dir()).flat_map(|folder| entries(&folder)) {
		let old = entry
			.metadata()
			.and_then(|metadata| metadata.modified())
			.is_ok_and(|modified| now.duration_since(modified).is_ok_and(|age| age > max_age));
		if old {
			remove(&entry.path()).unwrap_or_else(said);
		}
	}
}

/// Removes a file, if it is still there.
fn remove(path: &Path) -> io::Result<()> {
	match fs::remove_file(path) {
		Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
		_ => Ok(()),
	}
}

fn paths(folder: &Path, hash: &ArtifactHash) -> (PathBuf, PathBuf) {
	let name = crate::identity::hex(hash.as_bytes());
	(folder.join(format!("{name}.data")), folder.join(format!("{name}.outboard")))
}

fn options() -> OpenOptions {
	let mut options = OpenOptions::new();
	options.read(true).write(true);
	options
}

impl Partial {
	/// What an earlier transfer left of the artifact, as far as it can be proven. Reads and hashes all of it, and calls
	/// `progress` after each chunk.
	pub(crate) fn open(
		store: &Store,
		folder: &Path,
		hash: ArtifactHash,
		chunk_len: u64,
		progress: impl Fn(),
	) -> io::Result<Option<Self>> {
		let (data_path, outboard_path) = paths(folder, &hash);
		if data_path.is_file() && !outboard_path.exists() {
			// Where a `finish` has brought it that then failed, or died. Without it, all that is here is worth nothing.
			let _ = fs::rename(store.outboard_path(&hash), &outboard_path);
		}
		let opened = options().open(&data_path).and_then(|data| Ok((data, options().open(&outboard_path)?)));
		let (data, outboard) = match opened {
			Ok(files) => files,
			Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
			Err(error) => return Err(error),
		};
		let tree = Tree::new(hash, data.metadata()?.len());
		if !tree.holds(&tree.tail(), &data, &outboard)? {
			// Not even the length is proven, so nothing is.
			return Ok(None);
		}
		let partial = Self::with(hash, tree, chunk_len, (data_path, outboard_path), (data, outboard));
		let count = partial.state().chunks.len();
		for index in 0..count {
			if tree.holds(&partial.range(index), &partial.data, &partial.outboard)? {
				partial.done(index);
			}
			progress();
		}
		tracing::info!(
			artifact = ?hash, missing = partial.missing_bytes(), bytes = tree.len(),
			"going on with an unfinished transfer"
		);
		Ok(Some(partial))
	}

	/// Begins a transfer, with the slice that proved the length.
	pub(crate) fn create(
		folder: &Path,
		hash: ArtifactHash,
		tree: Tree,
		chunk_len: u64,
		tail: &[u8],
	) -> io::Result<Self> {
		let paths = paths(folder, &hash);
		let make = |path| options().create(true).truncate(true).open(path);
		let files = (make(&paths.0)?, make(&paths.1)?);
		files.0.set_len(tree.len())?;
		tree.take(&tree.tail(), tail, &files.0, &files.1).map_err(|error| match error {
			TakeError::Io(error) => error,
			TakeError::Bad(bad) => io::Error::other(format!("the proof of the length has become {bad:?}")),
		})?;
		let partial = Self::with(hash, tree, chunk_len, paths, files);
		let last = partial.state().chunks.len() - 1;
		if partial.range(last).start >= tree.tail().start {
			partial.done(last);
		}
		Ok(partial)
	}

	fn with(
		hash: ArtifactHash,
		tree: Tree,
		chunk_len: u64,
		(data_path, outboard_path): (PathBuf, PathBuf),
		(data, outboard): (File, File),
	) -> Self {
		debug_assert_eq!(chunk_len % BLOCK_LEN, 0, "checked with the limits");
		// An artifact without bytes has one chunk without bytes.
		let count = usize::try_from(tree.len().div_ceil(chunk_len).max(1)).unwrap_or(usize::MAX);
		let state = State { chunks: vec![Chunk::Missing; count], first_missing: 0, left: count };
		Self {
			hash,
			tree,
			chunk_len,
			data_path,
			outboard_path,
			data,
			outboard,
			state: Mutex::new(state),
			changed: Notify::new(),
			unsynced: AtomicU64::new(0),
			syncing: AtomicBool::new(false),
			broken: Mutex::new(None),
			lost: AtomicBool::new(false),
		}
	}

	fn state(&self) -> MutexGuard<'_, State> {
		self.state.lock().unwrap_or_else(PoisonError::into_inner)
	}

	fn range(&self, index: usize) -> Range<u64> {
		let start = index as u64 * self.chunk_len;
		start..(start + self.chunk_len).min(self.tree.len())
	}

	/// The length of the artifact, bytes.
	pub(crate) fn len(&self) -> u64 {
		self.tree.len()
	}

	/// Whether all of it is there.
	pub(crate) fn is_complete(&self) -> bool {
		self.state().left == 0
	}

	/// What is still to come, bytes: an upper bound.
	pub(crate) fn missing_bytes(&self) -> u64 {
		let left = self.state().left as u64;
		left.saturating_mul(self.chunk_len).min(self.tree.len())
	}

	/// Ends when, from this call on, a chunk has come or is free to be asked for.
	pub(crate) fn changed(&self) -> Notified<'_> {
		self.changed.notified()
	}

	/// The next chunk to ask `of` for: one that is missing, or else one that another peer was asked for more than
	/// `patience` ago.
	pub(crate) fn claim(self: &Arc<Self>, of: PeerId, patience: Duration) -> Option<Claim> {
		let mut state = self.state();
		let now = Instant::now();
		let from = state.first_missing;
		let missing = (from..state.chunks.len()).find(|i| state.chunks[*i] == Chunk::Missing);
		state.first_missing = missing.unwrap_or(state.chunks.len());
		let index = missing.or_else(|| {
			state.chunks.iter().position(|chunk| {
				matches!(chunk, Chunk::Asked { of: other, since }
					if *other != of && now.saturating_duration_since(*since) > patience)
			})
		})?;
		state.chunks[index] = Chunk::Asked { of, since: now };
		Some(Claim { partial: self.clone(), index, of })
	}

	fn done(&self, index: usize) {
		let mut state = self.state();
		if std::mem::replace(&mut state.chunks[index], Chunk::Done) != Chunk::Done {
			state.left -= 1;
		}
		drop(state);
		self.changed.notify_waiters();
	}

	/// Brings what has come to the disk, while more may come. When the disk does not take it, all of it is lost: the
	/// system says it once, and still shows what it could not write, so nobody could tell later what is there.
	pub(crate) fn sync(&self) {
		let mut broken = self.broken();
		self.unsynced.store(0, Ordering::Relaxed);
		// Once it is lost, another transfer may have files of the same names.
		if !self.is_lost() {
			if let Err(error) = self.data.sync_data() {
				if let Err(error) = remove(&self.data_path) {
					tracing::error!(path = %self.data_path.display(), %error, "cannot be removed, and is not to be trusted");
				}
				*broken = Some(error);
				self.lost.store(true, Ordering::Release);
			}
		}
		drop(broken);
		self.syncing.store(false, Ordering::Release);
	}

	/// Whether a [`Partial::sync`] has failed: then this transfer cannot end well.
	pub(crate) fn is_lost(&self) -> bool {
		self.lost.load(Ordering::Acquire)
	}

	/// What has come of it then, for a person.
	pub(crate) fn loss(&self) -> String {
		let path = self.data_path.display();
		let cause = self.broken().as_ref().map_or_else(String::new, |error| format!(" ({error})"));
		format!("the disk did not take {path}{cause}, and what had arrived is lost")
	}

	fn broken(&self) -> MutexGuard<'_, Option<io::Error>> {
		self.broken.lock().unwrap_or_else(PoisonError::into_inner)
	}

	/// Gives the complete artifact to the store, and its outboard with it.
	pub(crate) fn finish(&self, store: &Store) -> Result<(), StoreError> {
		debug_assert!(self.is_complete());
		let to = store.outboard_path(&self.hash);
		let failed = |action, path: &Path| {
			let path = path.to_owned();
			move |source| StoreError::Io { action, path, source }
		};
		// On this handle, too: the system says that it could not write something once to each, and the store has another.
		self.sync();
		if self.is_lost() {
			let error = self.broken().take();
			let error = error.unwrap_or_else(|| io::Error::other("the disk did not take it"));
			return Err(failed("syncing", &self.data_path)(error));
		}
		if let Some(shard) = to.parent() {
			fs::create_dir_all(shard).map_err(failed("making", shard))?;
		}
		// First, so that it is there as soon as the artifact is. Alone it is of no use and does no harm; when this comes no
		// further, `open` takes it back. It is not synced: what is wrong with it shows, and it can be computed again.
		match fs::rename(&self.outboard_path, &to) {
			// An earlier attempt came to this and no further.
			Err(error) if error.kind() != io::ErrorKind::NotFound => {
				return Err(failed("renaming", &self.outboard_path)(error))
			},
			_ => {},
		}
		store.adopt_verified(&self.hash, &self.data_path)
	}
}

/// A chunk that one peer is asked for. Dropped before it has come, the chunk can be asked of others.
pub(crate) struct Claim {
	partial: Arc<Partial>,
	index: usize,
	of: PeerId,
}

impl Claim {
	/// The bytes of the artifact that it stands for.
	pub(crate) fn range(&self) -> Range<u64> {
		self.partial.range(self.index)
	}

	/// The length of the whole artifact.
	pub(crate) fn total(&self) -> u64 {
		self.partial.tree.len()
	}

	/// Takes note that only now it is asked for.
	pub(crate) fn touch(&self) {
		let mut state = self.partial.state();
		if let Chunk::Asked { of, since } = &mut state.chunks[self.index] {
			if *of == self.of {
				*since = Instant::now();
			}
		}
	}

	/// Takes in the slice that has come. Only what it proves is written. Returns the transfer when it is time for its
	/// [`Partial::sync`].
	pub(crate) fn fulfil(self, slice: &[u8]) -> Result<Option<Arc<Partial>>, TakeError> {
		let (partial, range) = (&self.partial, self.range());
		partial.tree.take(&range, slice, &partial.data, &partial.outboard)?;
		let len = range.end - range.start;
		let due = partial.unsynced.fetch_add(len, Ordering::Relaxed) + len >= SYNC_EVERY;
		partial.done(self.index);
		Ok((due && !partial.syncing.swap(true, Ordering::AcqRel)).then(|| partial.clone()))
	}
}

impl Drop for Claim {
	fn drop(&mut self) {
		let mut state = self.partial.state();
		let of = self.of;
		if matches!(state.chunks[self.index], Chunk::Asked { of: asked, .. } if asked == of) {
			state.chunks[self.index] = Chunk::Missing;
			state.first_missing = state.first_missing.min(self.index);
			drop(state);
			self.partial.changed.notify_waiters();
		}
	}
}

#[cfg(test)]
mod tests {
	#![allow(clippy::unwrap_used)]

	use super::*;
	use cairn_primitives::{artifact_hash, H256};
	use std::os::unix::fs::FileExt;

	const CHUNK: u64 = 2 * BLOCK_LEN;
	const NEVER: Duration = Duration::from_secs(1000);

	struct Place {
		_dir: tempfile::TempDir,
		store: Store,
		folder: PathBuf,
		bytes: Vec<u8>,
		tree: Tree,
		hash: ArtifactHash,
		/// The artifact and its outboard at a holder's.
		file: File,
		outboard: File,
	}

	fn place(len: usize) -> Place {
		let dir = tempfile::tempdir().unwrap();
		let store = Store::open(dir.path().join("store")).unwrap();
		let folder = folder(&store, &PeerId::random());
		fs::create_dir_all(&folder).unwrap();
		let bytes: Vec<u8> = (0..len).map(|i| (i * 31 + i / 251) as u8).collect();
		let hash = artifact_hash(&bytes);
		let tree = Tree::new(hash, len as u64);
		let (file, outboard) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
		file.write_all_at(&bytes, 0).unwrap();
		assert!(tree.build(&file, &outboard).unwrap());
		Place { _dir: dir, store, folder, bytes, tree, hash, file, outboard }
	}

	impl Place {
		fn slice(&self, range: &Range<u64>) -> Vec<u8> {
			self.tree.give(range, &self.file, &self.outboard, true).unwrap()
		}

		fn create(&self) -> Arc<Partial> {
			let tail = self.slice(&self.tree.tail());
			Partial::create(&self.folder, self.hash, self.tree, CHUNK, &tail).unwrap().into()
		}

		fn open(&self) -> Option<Arc<Partial>> {
			self.open_counting(|| ())
		}

		fn open_counting(&self, progress: impl Fn()) -> Option<Arc<Partial>> {
			Partial::open(&self.store, &self.folder, self.hash, CHUNK, progress).unwrap().map(Arc::new)
		}

		fn files(&self) -> usize {
			fs::read_dir(&self.folder).unwrap().count()
		}
	}

	/// Takes in chunks as long as there are any, at most `count`; returns where they began.
	fn feed(place: &Place, partial: &Arc<Partial>, count: usize) -> Vec<u64> {
		let mut starts = Vec::new();
		while starts.len() < count {
			let Some(claim) = partial.claim(PeerId::random(), NEVER) else { break };
			starts.push(claim.range().start);
			let slice = place.slice(&claim.range());
			claim.fulfil(&slice).unwrap();
		}
		starts
	}

	#[test]
	fn complete_artifact_is_stored_with_its_outboard_and_nothing_is_left() {
		for len in [0, 1, 16_384, 16_385, 32_768, 200_000] {
			let place = place(len);
			let partial = place.create();
			feed(&place, &partial, usize::MAX);
			assert!(partial.is_complete());
			partial.finish(&place.store).unwrap();
			assert_eq!(place.store.get(&place.hash).unwrap().unwrap(), place.bytes);
			assert_eq!(place.files(), 0);
			let outboard = File::open(place.store.outboard_path(&place.hash)).unwrap();
			let file = File::open(place.store.path(&place.hash)).unwrap();
			assert!(place.tree.holds(&(0..len as u64), &file, &outboard).unwrap());
			assert_eq!(place.store.list().unwrap(), [place.hash]);
			assert!(place.store.remove(&place.hash).unwrap());
			assert!(!place.store.outboard_path(&place.hash).exists());
		}
	}

	#[test]
	fn artifact_of_one_block_is_complete_with_the_proof_of_its_length() {
		assert!(place(16_384).create().is_complete());
		assert!(!place(16_385 + 16_384).create().is_complete());
	}

	#[test]
	fn what_was_proven_before_a_restart_is_kept_and_the_rest_is_asked_for() {
		let place = place(200_000);
		let partial = place.create();
		assert_eq!(feed(&place, &partial, 3), [0, CHUNK, 2 * CHUNK]);
		drop(partial);
		let looked_at = std::cell::Cell::new(0);
		let partial = place.open_counting(|| looked_at.set(looked_at.get() + 1)).unwrap();
		assert_eq!(looked_at.get(), 7, "a sign of life for each chunk");
		// The seventh chunk is no longer than the block that proved the length.
		assert_eq!(partial.missing_bytes(), 3 * CHUNK);
		assert_eq!(feed(&place, &partial, usize::MAX), [3, 4, 5].map(|i| i * CHUNK));
		partial.finish(&place.store).unwrap();
		assert_eq!(place.store.get(&place.hash).unwrap().unwrap(), place.bytes);
	}

	#[test]
	fn bytes_that_a_crash_left_wrong_are_not_believed() {
		let place = place(200_000);
		feed(&place, &place.create(), 3);
		let (data, outboard) = paths(&place.folder, &place.hash);
		// As when the system went down before these blocks reached the disk.
		options().open(&data).unwrap().write_all_at(&[0; 4096], CHUNK + 100).unwrap();
		let partial = place.open().unwrap();
		assert_eq!(feed(&place, &partial, 1), [CHUNK]);
		drop(partial);

		options().open(&outboard).unwrap().write_all_at(&[0; 64], 0).unwrap();
		assert!(place.open().is_none(), "without the root's children nothing is proven");
		fs::remove_file(&outboard).unwrap();
		assert!(place.open().is_none());
		let partial = place.create();
		feed(&place, &partial, usize::MAX);
		partial.finish(&place.store).unwrap();
		assert_eq!(place.store.get(&place.hash).unwrap().unwrap(), place.bytes);
	}

	#[test]
	fn file_of_another_length_is_not_believed() {
		let place = place(200_000);
		feed(&place, &place.create(), 3);
		let data = paths(&place.folder, &place.hash).0;
		for len in [0, 199_999, 200_001, 1 << 40] {
			options().open(&data).unwrap().set_len(len).unwrap();
			assert!(place.open().is_none(), "{len}");
		}
	}

	#[test]
	fn wrong_slice_is_refused_and_its_chunk_is_asked_of_others() {
		let place = place(200_000);
		let partial = place.create();
		let claim = partial.claim(PeerId::random(), NEVER).unwrap();
		let mut slice = place.slice(&claim.range());
		*slice.last_mut().unwrap() ^= 1;
		assert!(matches!(claim.fulfil(&slice), Err(TakeError::Bad(crate::tree::Bad::Hash))));
		assert_eq!(feed(&place, &partial, 1), [0]);
	}

	/// Takes in the next chunk; returns the transfer when it has to be synced.
	fn next_due(place: &Place, partial: &Arc<Partial>) -> Option<Arc<Partial>> {
		let claim = partial.claim(PeerId::random(), NEVER).unwrap();
		let slice = place.slice(&claim.range());
		claim.fulfil(&slice).unwrap()
	}

	#[test]
	fn transfer_is_synced_once_enough_has_come_and_by_one_alone() {
		let place = place(300_000);
		let partial = place.create();
		assert!(next_due(&place, &partial).is_none());
		partial.unsynced.store(SYNC_EVERY - CHUNK, Ordering::Relaxed);
		let due = next_due(&place, &partial).unwrap();
		partial.unsynced.store(SYNC_EVERY, Ordering::Relaxed);
		assert!(next_due(&place, &partial).is_none(), "while one is at it");
		due.sync();
		assert!(next_due(&place, &partial).is_none(), "so soon again");
		partial.unsynced.store(SYNC_EVERY, Ordering::Relaxed);
		assert!(next_due(&place, &partial).is_some());
	}

	#[test]
	fn transfer_that_the_disk_did_not_keep_gets_no_name_and_begins_anew() {
		let place = place(100_000);
		let tail = place.slice(&place.tree.tail());
		let mut partial = Partial::create(&place.folder, place.hash, place.tree, CHUNK, &tail).unwrap();
		// It takes all that is written to it, and cannot be synced.
		partial.data = options().open("/dev/null").unwrap();
		let partial = Arc::new(partial);
		feed(&place, &partial, usize::MAX);
		// However often it is tried: the files may be another transfer's by then.
		for _ in 0..2 {
			let error = partial.finish(&place.store).unwrap_err().to_string();
			assert!(error.contains("syncing") && error.contains(".data"), "{error}");
		}
		assert!(place.store.list().unwrap().is_empty());
		assert!(place.open().is_none());
		let partial = place.create();
		feed(&place, &partial, usize::MAX);
		partial.finish(&place.store).unwrap();
		assert_eq!(place.store.get(&place.hash).unwrap().unwrap(), place.bytes);
	}

	#[test]
	fn transfer_that_a_sync_found_lost_is_not_gone_on_with_even_when_its_files_look_right() {
		let place = place(100_000);
		let tail = place.slice(&place.tree.tail());
		let mut partial = Partial::create(&place.folder, place.hash, place.tree, CHUNK, &tail).unwrap();
		// The bytes are in the files for all to see, and the disk says that it has not got them.
		let data = std::mem::replace(&mut partial.data, options().open("/dev/null").unwrap());
		data.write_all_at(&place.bytes, 0).unwrap();
		let partial = Arc::new(partial);
		feed(&place, &partial, 2);
		assert!(!partial.is_lost());
		partial.sync();
		assert!(partial.is_lost());
		assert!(partial.loss().contains(".data"), "{}", partial.loss());
		assert!(place.open().is_none());

		// The next transfer has files of the same names, which are none of the first one's business any more.
		let next = place.create();
		feed(&place, &next, usize::MAX);
		partial.sync();
		next.finish(&place.store).unwrap();
		assert_eq!(place.store.get(&place.hash).unwrap().unwrap(), place.bytes);
	}

	#[test]
	fn transfer_that_died_between_the_two_renames_of_its_end_is_complete_after_a_restart() {
		let place = place(100_000);
		feed(&place, &place.create(), usize::MAX);
		let outboard = place.store.outboard_path(&place.hash);
		fs::create_dir_all(outboard.parent().unwrap()).unwrap();
		fs::rename(paths(&place.folder, &place.hash).1, &outboard).unwrap();
		let partial = place.open().unwrap();
		assert!(partial.is_complete());
		partial.finish(&place.store).unwrap();
		assert_eq!(place.store.get(&place.hash).unwrap().unwrap(), place.bytes);
		assert!(outboard.exists() && place.files() == 0);
	}

	#[test]
	fn chunk_is_claimed_once_until_it_is_given_up_or_patience_ends() {
		let place = place(120_000);
		let partial = place.create();
		let (slow, quick) = (PeerId::random(), PeerId::random());
		let claims: Vec<_> = std::iter::from_fn(|| partial.claim(slow, NEVER)).collect();
		assert_eq!(claims.len(), 4);
		assert!(partial.claim(quick, NEVER).is_none());
		// The peer itself does not get the same chunk twice.
		assert!(partial.claim(slow, Duration::ZERO).is_none());
		let taken = partial.claim(quick, Duration::ZERO).unwrap();
		assert_eq!(taken.range().start, 0);
		// The first asker gives all of its own back, and none of the other's.
		drop(claims);
		assert_eq!(partial.claim(slow, NEVER).unwrap().range().start, CHUNK);
		drop(taken);
		assert_eq!(partial.claim(slow, NEVER).unwrap().range().start, 0);
	}

	#[test]
	fn only_old_partials_are_swept_whosever_they_are() {
		let (old, new) = (place(100_000), place(100_001));
		old.create();
		let folder = &old.folder;
		let tail = new.slice(&new.tree.tail());
		Partial::create(folder, new.hash, new.tree, CHUNK, &tail).unwrap();
		// Of an identity that this store's worker had before.
		let before = super::folder(&old.store, &PeerId::random());
		fs::create_dir_all(&before).unwrap();
		let others = [before.join("old.data"), before.join("new.data")];
		others.iter().for_each(|path| fs::write(path, b"bytes").unwrap());
		let past = SystemTime::now() - Duration::from_secs(7200);
		let (data, outboard) = paths(folder, &old.hash);
		for path in [&data, &outboard, &others[0]] {
			File::options().write(true).open(path).unwrap().set_modified(past).unwrap();
		}
		sweep(&old.store, Duration::from_secs(3600));
		assert_eq!(old.files(), 2);
		assert_eq!(others.map(|path| path.exists()), [false, true]);
		let open = |hash| Partial::open(&old.store, folder, hash, CHUNK, || ()).unwrap();
		assert!(open(new.hash).is_some());
		assert!(open(H256([9; 32])).is_none());
	}
}
