//! Answering requests for chunks.

use crate::{
	policy::AccessPolicy,
	protocol::{BlobRequest, BlobResponse, Refusal, MAX_CHUNK},
};
use cairn_artifacts::Store;
use cairn_primitives::{ArtifactHash, H256};
use std::{
	collections::HashMap,
	fs::File,
	io::{self, Read, Seek, SeekFrom},
	sync::{Arc, Mutex, PoisonError},
	time::SystemTime,
};

/// The most files that are remembered as checked.
const CHECKED: usize = 4096;

/// What a file looked like when it was checked.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
	len: u64,
	modified: Option<SystemTime>,
}

/// Reads chunks of stored artifacts, if the policy allows.
pub(crate) struct Shelf {
	store: Store,
	policy: Arc<dyn AccessPolicy>,
	/// Files whose bytes were found to be what their name says. A node that serves a file that rotted on its disk
	/// would be banned as a liar, so each is checked before its first chunk goes out, and again when it changed.
	checked: Mutex<HashMap<ArtifactHash, Stamp>>,
}

impl Shelf {
	pub(crate) fn new(store: Store, policy: Arc<dyn AccessPolicy>) -> Self {
		Self { store, policy, checked: Mutex::default() }
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
		match self.read(request) {
			Ok(Some(response)) => response,
			Ok(None) => BlobResponse::Refused(Refusal::NotFound),
			Err(error) => {
				tracing::error!(artifact = ?request.hash, %error, "a stored artifact cannot be read");
				BlobResponse::Refused(Refusal::NotFound)
			},
		}
	}

	fn read(&self, request: &BlobRequest) -> io::Result<Option<BlobResponse>> {
		let mut file = match File::open(self.store.path(&request.hash)) {
			Ok(file) => file,
			Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
			Err(error) => return Err(error),
		};
		if !self.is_intact(&request.hash, &mut file)? {
			return Ok(None);
		}
		let total_len = file.metadata()?.len();
		let Some(left) = total_len.checked_sub(request.offset) else {
			return Ok(Some(BlobResponse::Refused(Refusal::OutOfRange)));
		};
		let len = left.min(request.max_len.min(MAX_CHUNK).into());
		file.seek(SeekFrom::Start(request.offset))?;
		let mut bytes = vec![0u8; usize::try_from(len).expect("at most 1 MiB; qed")];
		file.read_exact(&mut bytes)?;
		Ok(Some(BlobResponse::Chunk { total_len, bytes }))
	}

	fn is_intact(&self, hash: &ArtifactHash, file: &mut File) -> io::Result<bool> {
		let metadata = file.metadata()?;
		let stamp = Stamp { len: metadata.len(), modified: metadata.modified().ok() };
		{
			let checked = self.checked.lock().unwrap_or_else(PoisonError::into_inner);
			if checked.get(hash) == Some(&stamp) {
				return Ok(true);
			}
		}
		let mut hasher = blake3::Hasher::new();
		io::copy(file, &mut hasher)?;
		if H256(*hasher.finalize().as_bytes()) != *hash {
			// The store's own read moves it out of the way and says so.
			if let Err(error) = self.store.get(hash) {
				tracing::error!(%error, "not serving it");
			}
			return Ok(false);
		}
		let mut checked = self.checked.lock().unwrap_or_else(PoisonError::into_inner);
		if checked.len() >= CHECKED {
			checked.clear();
		}
		checked.insert(*hash, stamp);
		Ok(true)
	}
}

#[cfg(test)]
mod tests {
	#![allow(clippy::unwrap_used)]

	use super::*;
	use crate::policy::Admission;
	use std::sync::atomic::{AtomicBool, Ordering};

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

	struct Place {
		_dir: tempfile::TempDir,
		store: Store,
		window: Arc<Window>,
		shelf: Shelf,
	}

	fn place() -> Place {
		let dir = tempfile::tempdir().unwrap();
		let store = Store::open(dir.path()).unwrap();
		let window = Arc::new(Window { closed: true.into() });
		let shelf = Shelf::new(store.clone(), window.clone());
		Place { _dir: dir, store, window, shelf }
	}

	fn ask(place: &Place, hash: ArtifactHash, offset: u64, max_len: u32) -> BlobResponse {
		place.shelf.answer_blocking(&BlobRequest { hash, offset, max_len })
	}

	#[test]
	fn chunks_are_what_was_asked_for_and_no_more_than_there_is() {
		let place = place();
		let hash = place.store.put(b"hello world").unwrap();
		let chunk = |bytes: &[u8]| BlobResponse::Chunk { total_len: 11, bytes: bytes.to_vec() };
		assert_eq!(ask(&place, hash, 0, 5), chunk(b"hello"));
		assert_eq!(ask(&place, hash, 6, u32::MAX), chunk(b"world"));
		assert_eq!(ask(&place, hash, 11, 1), chunk(b""));
		assert_eq!(ask(&place, hash, 0, 0), chunk(b""));
		assert_eq!(ask(&place, hash, 12, 1), BlobResponse::Refused(Refusal::OutOfRange));
		assert_eq!(ask(&place, hash, u64::MAX, 1), BlobResponse::Refused(Refusal::OutOfRange));
	}

	#[test]
	fn no_chunk_is_longer_than_the_protocol_allows() {
		let place = place();
		let hash = place.store.put(&vec![7u8; MAX_CHUNK as usize + 9]).unwrap();
		let BlobResponse::Chunk { bytes, .. } = ask(&place, hash, 0, u32::MAX) else { panic!("refused") };
		assert_eq!(bytes.len(), MAX_CHUNK as usize);
	}

	#[test]
	fn nothing_is_served_before_the_window_closes_or_when_it_is_not_there() {
		let place = place();
		let hash = place.store.put(b"hello world").unwrap();
		place.window.closed.store(false, Ordering::SeqCst);
		assert_eq!(ask(&place, hash, 0, 5), BlobResponse::Refused(Refusal::NotYet));
		assert_eq!(ask(&place, H256([9; 32]), 0, 5), BlobResponse::Refused(Refusal::NotFound));
	}

	#[test]
	fn file_that_rotted_is_not_served_and_goes_to_quarantine() {
		let place = place();
		let hash = place.store.put(b"hello world").unwrap();
		assert!(matches!(ask(&place, hash, 0, 5), BlobResponse::Chunk { .. }));
		let path = place.store.path(&hash);
		std::fs::write(&path, b"jello world!").unwrap();
		assert_eq!(ask(&place, hash, 0, 5), BlobResponse::Refused(Refusal::NotFound));
		assert!(!path.exists());
	}
}
