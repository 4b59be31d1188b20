//! Answering requests for chunks.

use crate::{
	policy::AccessPolicy,
	protocol::{BlobRequest, BlobResponse, Refusal, BLOCK, MAX_CHUNK},
	tree::{GiveError, Tree, BLOCK_LEN},
};
use cairn_artifacts::Store;
use cairn_primitives::ArtifactHash;
use std::{
	collections::HashMap,
	fs::{self, File, OpenOptions},
	io,
	ops::Range,
	path::PathBuf,
	sync::{
		atomic::{AtomicU64, Ordering},
		Arc, Mutex, MutexGuard, PoisonError,
	},
	time::SystemTime,
};

/// The most files of which it is remembered what was checked.
const KNOWN: usize = 1024;

/// What a file looked like when it was checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Stamp {
	len: u64,
	modified: Option<SystemTime>,
}

/// A stored artifact whose outboard is there.
struct Known {
	stamp: Stamp,
	tree: Tree,
	/// A bit for each block that was found to be what the name says, since this process has known the file.
	checked: Mutex<Vec<u64>>,
}

impl Known {
	fn new(stamp: Stamp, tree: Tree, checked: bool) -> Self {
		let words = stamp.len.div_ceil(BLOCK_LEN).div_ceil(64);
		let words = vec![if checked { u64::MAX } else { 0 }; usize::try_from(words).unwrap_or(usize::MAX)];
		Self { stamp, tree, checked: Mutex::new(words) }
	}

	fn bits(range: &Range<u64>) -> impl Iterator<Item = (usize, u64)> {
		(range.start / BLOCK_LEN..range.end.div_ceil(BLOCK_LEN)).map(|i| ((i / 64) as usize, 1 << (i % 64)))
	}

	fn is_checked(&self, range: &Range<u64>) -> bool {
		let words = lock(&self.checked);
		Self::bits(range).all(|(word, bit)| words[word] & bit != 0)
	}

	fn set_checked(&self, range: &Range<u64>) {
		let mut words = lock(&self.checked);
		Self::bits(range).for_each(|(word, bit)| words[word] |= bit);
	}
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
	mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A place for what is known of a file, locked while it is found out: hashing a large one once is enough.
type Place = Arc<Mutex<Option<Arc<Known>>>>;

/// Reads chunks of stored artifacts with their proofs, if the policy allows.
pub(crate) struct Shelf {
	store: Store,
	policy: Arc<dyn AccessPolicy>,
	/// Where outboards are made; on the store's file system.
	workshop: PathBuf,
	/// How many were begun: each has a file of its own.
	begun: AtomicU64,
	/// A node that serves a file that rotted on its disk would be banned as a liar. So each block is compared with the
	/// outboard before it first goes out, and again when the file has changed.
	places: Mutex<HashMap<ArtifactHash, Place>>,
}

impl Shelf {
	pub(crate) fn new(store: Store, policy: Arc<dyn AccessPolicy>, workshop: PathBuf) -> Self {
		Self { store, policy, workshop, begun: AtomicU64::new(0), places: Mutex::default() }
	}

	/// The answer to a request of an admitted peer.
	pub(crate) async fn answer(self: Arc<Self>, request: BlobRequest) -> BlobResponse {
		let hash = request.hash;
		tokio::task::spawn_blocking(move || self.answer_blocking(&request)).await.unwrap_or_else(|error| {
			tracing::error!(?hash, %error, "a request could not be answered");
			BlobResponse::Refused(Refusal::Busy)
		})
	}

	fn answer_blocking(&self, request: &BlobRequest) -> BlobResponse {
		if !self.store.contains(&request.hash) {
			return BlobResponse::Refused(Refusal::NotFound);
		}
		if !self.policy.may_serve(&request.hash) {
			return BlobResponse::Refused(Refusal::NotYet);
		}
		// A second time with an outboard that was made anew, when it was the outboard that was wrong.
		for _ in 0..2 {
			match self.read(request) {
				Ok(Some(response)) => return response,
				Ok(None) => {},
				Err(error) => {
					tracing::error!(artifact = ?request.hash, %error, "a stored artifact cannot be read");
					break;
				},
			}
		}
		BlobResponse::Refused(Refusal::NotFound)
	}

	/// `None` when file and outboard do not fit: the one at fault is gone then.
	fn read(&self, request: &BlobRequest) -> io::Result<Option<BlobResponse>> {
		let hash = &request.hash;
		let file = match File::open(self.store.path(hash)) {
			Ok(file) => file,
			Err(error) if error.kind() == io::ErrorKind::NotFound => {
				return Ok(Some(BlobResponse::Refused(Refusal::NotFound)))
			},
			Err(error) => return Err(error),
		};
		let Some(known) = self.known(hash, &file)? else { return Ok(None) };
		let total_len = known.stamp.len;
		let range = match request.max_len.min(MAX_CHUNK) {
			0 => known.tree.tail(),
			len if request.offset.is_multiple_of(BLOCK_LEN)
				&& len.is_multiple_of(BLOCK)
				&& request.offset < total_len =>
			{
				request.offset..total_len.min(request.offset + u64::from(len))
			},
			_ => return Ok(Some(BlobResponse::Refused(Refusal::OutOfRange))),
		};
		let outboard = match File::open(self.store.outboard_path(hash)) {
			Ok(outboard) => outboard,
			Err(error) if error.kind() == io::ErrorKind::NotFound => {
				self.forget(hash);
				return Ok(None);
			},
			Err(error) => return Err(error),
		};
		let check = !known.is_checked(&range);
		match known.tree.give(&range, &file, &outboard, check) {
			Ok(bytes) => {
				known.set_checked(&range);
				Ok(Some(BlobResponse::Slice { total_len, bytes }))
			},
			Err(GiveError::Mismatch) => {
				self.forget(hash);
				self.examine(hash)?;
				Ok(None)
			},
			Err(GiveError::Io(error)) => Err(error),
		}
	}

	fn forget(&self, hash: &ArtifactHash) {
		lock(&self.places).remove(hash);
	}

	/// Something about the artifact is wrong: takes away its outboard, and the artifact too when that is it.
	fn examine(&self, hash: &ArtifactHash) -> io::Result<()> {
		match fs::remove_file(self.store.outboard_path(hash)) {
			Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
			_ => {},
		}
		match self.store.verify(hash) {
			Ok(_) => {
				tracing::warn!(artifact = ?hash, "its hash tree on disk was damaged; it is computed again")
			},
			Err(error) => tracing::error!(%error, "not serving it"),
		}
		Ok(())
	}

	/// What is known of the file; its outboard is made if it is not there. `None` when the file is not what its name
	/// says.
	fn known(&self, hash: &ArtifactHash, file: &File) -> io::Result<Option<Arc<Known>>> {
		let metadata = file.metadata()?;
		let stamp = Stamp { len: metadata.len(), modified: metadata.modified().ok() };
		let place = {
			let mut places = lock(&self.places);
			if places.len() >= KNOWN && !places.contains_key(hash) {
				places.clear();
			}
			places.entry(*hash).or_default().clone()
		};
		let mut place = lock(&place);
		if let Some(known) = place.as_ref().filter(|known| known.stamp == stamp) {
			return Ok(Some(known.clone()));
		}
		let tree = Tree::new(*hash, stamp.len);
		let ready = match File::open(self.store.outboard_path(hash)) {
			Ok(outboard) => tree.holds(&tree.tail(), file, &outboard)?,
			Err(error) if error.kind() == io::ErrorKind::NotFound => false,
			Err(error) => return Err(error),
		};
		if !ready && !self.build(hash, &tree, file)? {
			self.examine(hash)?;
			return Ok(None);
		}
		// What has just been hashed need not be checked again.
		let known = Arc::new(Known::new(stamp, tree, !ready));
		*place = Some(known.clone());
		Ok(Some(known))
	}

	/// Makes the outboard of a whole file, which gets its name when it is complete: somebody may be reading there. False
	/// when the file is not what its name says.
	fn build(&self, hash: &ArtifactHash, tree: &Tree, file: &File) -> io::Result<bool> {
		let number = self.begun.fetch_add(1, Ordering::Relaxed);
		let name = crate::identity::hex(hash.as_bytes());
		// What a crash leaves is swept with unfinished transfers.
		let beside = self.workshop.join(format!("{name}.{number}.building"));
		let made = OpenOptions::new()
			.read(true)
			.write(true)
			.create(true)
			.truncate(true)
			.open(&beside)
			.and_then(|to| tree.build(file, &to))
			.and_then(|right| {
				if right {
					fs::rename(&beside, self.store.outboard_path(hash))?;
				}
				Ok(right)
			});
		if !matches!(made, Ok(true)) {
			let _ = fs::remove_file(&beside);
		}
		made
	}
}

#[cfg(test)]
mod tests {
	#![allow(clippy::unwrap_used)]

	use super::*;
	use crate::policy::Admission;
	use cairn_primitives::H256;
	use std::sync::atomic::AtomicBool;

	#[derive(Default)]
	struct Window {
		closed: AtomicBool,
	}

	#[async_trait::async_trait]
	impl AccessPolicy for Window {
		async fn admits(&self, _: [u8; 32]) -> Admission {
			Admission::Admitted
		}

		fn may_serve(&self, _: &ArtifactHash) -> bool {
			self.closed.load(Ordering::SeqCst)
		}
	}

	struct Here {
		dir: tempfile::TempDir,
		store: Store,
		window: Arc<Window>,
		shelf: Shelf,
	}

	fn place() -> Here {
		let dir = tempfile::tempdir().unwrap();
		let store = Store::open(dir.path().join("store")).unwrap();
		let window = Arc::new(Window { closed: true.into() });
		let workshop = dir.path().join("workshop");
		fs::create_dir(&workshop).unwrap();
		let shelf = Shelf::new(store.clone(), window.clone(), workshop);
		Here { dir, store, window, shelf }
	}

	fn ask(here: &Here, hash: ArtifactHash, offset: u64, max_len: u32) -> BlobResponse {
		here.shelf.answer_blocking(&BlobRequest { hash, offset, max_len })
	}

	/// The bytes that an answer proves.
	fn proven(hash: ArtifactHash, range: Range<u64>, answer: BlobResponse) -> Vec<u8> {
		let BlobResponse::Slice { total_len, bytes } = answer else { panic!("{answer:?}") };
		let (file, outboard) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
		Tree::new(hash, total_len).take(&range, &bytes, &file, &outboard).unwrap();
		let mut out = vec![0; (range.end - range.start) as usize];
		std::os::unix::fs::FileExt::read_exact_at(&file, &mut out, range.start).unwrap();
		out
	}

	fn bytes(len: usize) -> Vec<u8> {
		(0..len).map(|i| (i * 31 + i / 251) as u8).collect()
	}

	#[test]
	fn slices_prove_what_was_asked_for_and_no_more_than_there_is() {
		let place = place();
		let bytes = bytes(40_000);
		let hash = place.store.put(&bytes).unwrap();
		assert_eq!(proven(hash, 0..16_384, ask(&place, hash, 0, BLOCK)), bytes[..16_384]);
		assert_eq!(proven(hash, 16_384..40_000, ask(&place, hash, 16_384, 4 * BLOCK)), bytes[16_384..]);
		assert_eq!(proven(hash, 32_768..40_000, ask(&place, hash, 7, 0)), bytes[32_768..]);
		for (offset, len) in
			[(40_960, BLOCK), (49_152, BLOCK), (1 << 62, BLOCK), (u64::MAX, BLOCK), (1, BLOCK), (0, 1)]
		{
			assert_eq!(ask(&place, hash, offset, len), BlobResponse::Refused(Refusal::OutOfRange));
		}
		let empty = place.store.put(b"").unwrap();
		assert_eq!(proven(empty, 0..0, ask(&place, empty, 0, 0)), b"");
	}

	#[test]
	fn no_slice_is_longer_than_the_protocol_allows() {
		let place = place();
		let hash = place.store.put(&bytes(MAX_CHUNK as usize + 9)).unwrap();
		let BlobResponse::Slice { bytes, .. } = ask(&place, hash, 0, u32::MAX / BLOCK * BLOCK) else {
			panic!("refused")
		};
		assert!(bytes.len() >= MAX_CHUNK as usize && bytes.len() <= crate::protocol::MAX_SLICE as usize);
	}

	#[test]
	fn nothing_is_served_before_the_window_closes_or_when_it_is_not_there() {
		let place = place();
		let hash = place.store.put(b"hello world").unwrap();
		place.window.closed.store(false, Ordering::SeqCst);
		assert_eq!(ask(&place, hash, 0, 0), BlobResponse::Refused(Refusal::NotYet));
		assert_eq!(ask(&place, H256([9; 32]), 0, 0), BlobResponse::Refused(Refusal::NotFound));
	}

	#[test]
	fn file_that_rotted_is_not_served_and_goes_to_quarantine() {
		for served_before in [false, true] {
			let place = place();
			let bytes = bytes(100_000);
			let hash = place.store.put(&bytes).unwrap();
			if served_before {
				assert!(matches!(ask(&place, hash, 0, BLOCK), BlobResponse::Slice { .. }));
			}
			let path = place.store.path(&hash);
			let mut wrong = bytes.clone();
			wrong[70_000] ^= 1;
			fs::write(&path, &wrong).unwrap();
			// Whether the wrong block is asked for at first or another one.
			if served_before {
				assert!(matches!(ask(&place, hash, 0, BLOCK), BlobResponse::Slice { .. }));
			}
			assert_eq!(ask(&place, hash, 65_536, BLOCK), BlobResponse::Refused(Refusal::NotFound));
			assert!(!path.exists() && !place.store.outboard_path(&hash).exists());
		}
	}

	#[test]
	fn damaged_or_missing_outboard_is_made_anew_and_the_artifact_is_served() {
		let place = place();
		let bytes = bytes(100_000);
		let hash = place.store.put(&bytes).unwrap();
		let served = || proven(hash, 65_536..81_920, ask(&place, hash, 65_536, BLOCK));
		assert_eq!(served(), bytes[65_536..81_920]);
		let path = place.store.outboard_path(&hash);
		let right = fs::read(&path).unwrap();
		let wrong = |at: usize| {
			let mut wrong = right.clone();
			wrong[at] ^= 1;
			wrong
		};
		let last = right.len() - 1;
		for damaged in [Some(vec![]), Some(wrong(0)), Some(wrong(last)), Some(vec![0; right.len()]), None] {
			match damaged {
				Some(damaged) => fs::write(&path, damaged).unwrap(),
				None => fs::remove_file(&path).unwrap(),
			}
			// As after a restart, when nothing is remembered as checked.
			place.shelf.forget(&hash);
			assert_eq!(served(), bytes[65_536..81_920]);
			assert_eq!(proven(hash, 98_304..100_000, ask(&place, hash, 0, 0)), bytes[98_304..]);
		}
		place.shelf.forget(&hash);
		for at in [0, 1 << 14, 2 << 14] {
			assert!(matches!(ask(&place, hash, at, BLOCK), BlobResponse::Slice { .. }));
		}
		assert_eq!(fs::read(&path).unwrap(), right);
	}

	#[test]
	fn reader_of_an_outboard_goes_on_with_the_one_it_opened_while_another_is_made() {
		let place = place();
		let bytes = bytes(100_000);
		let hash = place.store.put(&bytes).unwrap();
		assert!(matches!(ask(&place, hash, 0, BLOCK), BlobResponse::Slice { .. }));
		let path = place.store.outboard_path(&hash);
		let right = fs::read(&path).unwrap();
		fs::write(&path, vec![0; right.len()]).unwrap();
		let mut opened = File::open(&path).unwrap();
		place.shelf.forget(&hash);
		assert!(matches!(ask(&place, hash, 0, BLOCK), BlobResponse::Slice { .. }));
		let mut seen = Vec::new();
		io::Read::read_to_end(&mut opened, &mut seen).unwrap();
		assert!(seen.iter().all(|byte| *byte == 0), "it was written in place");
		assert_eq!(fs::read(&path).unwrap(), right);
		assert_eq!(fs::read_dir(place.dir.path().join("workshop")).unwrap().count(), 0);
	}
}
