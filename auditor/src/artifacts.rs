//! Where the auditor has artifacts from: stores that it was given, one of its own, and workers.

use crate::stores::Stores;
use async_trait::async_trait;
use cairn_artifacts::{ArtifactHash, MappedFile, Store, StoreError};
use cairn_network::{
	keypair_from_seed, network_key_of_peer_id, protocol::Refusal, AccessPolicy, Admission, FetchError,
	Keypair, Limits, Multiaddr, Network, NetworkConfig, PeerId, Problem, StartError,
};
use cairn_primitives::H256;
use std::{
	collections::{BTreeMap, BTreeSet, VecDeque},
	fs::{self, File, OpenOptions, TryLockError},
	io::{self, Read, Write},
	os::unix::fs::OpenOptionsExt,
	path::{Path, PathBuf},
	sync::{Arc, Mutex, MutexGuard, PoisonError},
	time::Duration,
};
use thiserror::Error;
use tokio::task::JoinSet;

/// How long nothing at all may arrive before an artifact is given up, when nobody says otherwise.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(20);

/// The same, after a round for which nobody gave anything.
const IN_VAIN: Duration = Duration::from_secs(5);

/// What a worker's file of a past round is called in an error's remedy.
const GONE: &str =
	"workers keep the files of the newest rounds only (`--keep-rounds`): ask for a worker that keeps \
                    more and name it with --peer, or give a store that has it with --store";

/// Why artifacts cannot be had from anywhere.
#[derive(Debug, Error)]
pub enum SourceError {
	/// A store cannot be used.
	#[error(transparent)]
	Store(#[from] StoreError),
	/// The network did not start.
	#[error(transparent)]
	Network(#[from] StartError),
	/// The cache's own files cannot be used.
	#[error("cannot use {} for the auditor's own artifacts: {source}; name another folder with --cache", path.display())]
	Cache {
		/// The file or folder.
		path: PathBuf,
		/// What the system said.
		source: io::Error,
	},
}

/// From whom artifacts are fetched, and how.
#[derive(Clone, Debug)]
pub struct FetchSettings {
	/// Workers to ask, each ending in `/p2p/PEER_ID`. Whom they know is asked, too.
	pub peers: Vec<Multiaddr>,
	/// A folder of the auditor's own, where what was fetched is kept.
	pub cache: PathBuf,
	/// The most that it may take on disk, bytes.
	pub quota: Option<u64>,
	/// How long nothing at all may arrive before an artifact is given up.
	pub timeout: Duration,
	/// The chain.
	pub genesis: H256,
}

/// Where artifacts come from.
#[derive(Debug)]
pub struct Artifacts {
	given: Stores,
	/// The auditor's own, which alone is written to, and only when there is a network.
	cache: Option<Store>,
	workers: Option<Workers>,
	known: Mutex<Known>,
}

#[derive(Debug)]
struct Workers {
	network: Network,
	/// The network keys of the peers that were named: they are asked first.
	first: Vec<[u8; 32]>,
	timeout: Duration,
	/// Held for as long as this process uses the cache's identity.
	_lock: Option<File>,
}

/// What this process has learnt.
#[derive(Debug, Default)]
struct Known {
	/// Why an artifact was not obtained.
	problems: BTreeMap<ArtifactHash, String>,
	/// What was wanted and is nowhere.
	missing: BTreeSet<ArtifactHash>,
	/// What is no longer needed, oldest first: it makes room.
	done: VecDeque<ArtifactHash>,
	/// What was looked at for the round at hand, so that it is hashed once.
	open: BTreeMap<ArtifactHash, MappedFile>,
	fetched: u64,
	/// The last time that anything was to be fetched, nobody gave anything.
	in_vain: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
	mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl From<Stores> for Artifacts {
	/// From these stores and nowhere else.
	fn from(given: Stores) -> Self {
		Self { given, cache: None, workers: None, known: Mutex::default() }
	}
}

impl Artifacts {
	/// From stores, and from what an earlier audit has fetched into a cache, if there is one.
	///
	/// # Errors
	/// When the cache is there and cannot be read.
	pub fn offline(given: Stores, cache: &Path) -> Result<Self, SourceError> {
		let store = cache.join(STORE);
		let cache = store.is_dir().then(|| Store::open_read_only(store)).transpose()?;
		Ok(Self { cache, ..given.into() })
	}

	/// From stores, then from a cache, then from workers.
	///
	/// # Errors
	/// When the cache cannot be written, or an address names no peer.
	pub async fn joined(given: Stores, settings: FetchSettings) -> Result<Self, SourceError> {
		let FetchSettings { peers, cache, quota, timeout, genesis } = settings;
		let first = peers.iter().filter_map(key_of).collect();
		let store = Store::open(cache.join(STORE))?;
		let (identity, lock) = identity(&cache)?;
		// As many chunks at once as a worker gives guests.
		let config = NetworkConfig {
			bootstrap: peers,
			limits: Limits { disk_quota: quota, max_transfers: 4, chunks_in_flight: 2, ..Limits::default() },
			..NetworkConfig::new(identity, genesis)
		};
		let network = Network::start(config, store.clone(), Arc::new(Anybody)).await?;
		let workers = Workers { network, first, timeout, _lock: lock };
		Ok(Self { cache: Some(store), workers: Some(workers), ..given.into() })
	}

	/// Whether there is anything to look in.
	pub fn is_nowhere(&self) -> bool {
		self.given.is_empty() && self.cache.is_none() && self.workers.is_none()
	}

	/// Makes artifacts ready, and fetches what is not there yet. What could not be had is told by [`Artifacts::get`].
	pub async fn gather(&self, wanted: impl IntoIterator<Item = ArtifactHash>) {
		let Some(workers) = &self.workers else { return };
		// Who had nothing for one round is not given as long for each of hundreds.
		let in_vain = lock(&self.known).in_vain;
		let timeout = if in_vain { workers.timeout.min(IN_VAIN) } else { workers.timeout };
		let (mut asked, mut given) = (false, false);
		let mut fetches = JoinSet::new();
		for hash in wanted.into_iter().filter(|hash| !self.has(hash)).collect::<BTreeSet<_>>() {
			let (network, first) = (workers.network.clone(), workers.first.clone());
			fetches.spawn(async move { (hash, fetch(&network, hash, &first, timeout).await) });
		}
		while let Some(fetched) = fetches.join_next().await {
			let Ok((hash, mut result)) = fetched else { continue };
			while matches!(result, Err(FetchError::NoSpace { .. })) && self.make_room() {
				result = fetch(&workers.network, hash, &workers.first, timeout).await;
			}
			asked = true;
			given |= result.is_ok();
			let mut known = lock(&self.known);
			match result {
				Ok(()) => {
					known.fetched += 1;
					known.problems.remove(&hash);
				},
				Err(error) => drop(known.problems.insert(hash, told(&error))),
			}
		}
		if asked {
			lock(&self.known).in_vain = !given;
		}
	}

	/// An intact copy of an artifact, mapped into memory, or a sentence on why there is none.
	///
	/// # Errors
	/// When it is nowhere, or broken wherever it is.
	pub fn get(&self, hash: &ArtifactHash) -> Result<MappedFile, String> {
		if let Some(file) = lock(&self.known).open.get(hash) {
			return Ok(file.clone());
		}
		let mut problems = Vec::new();
		for store in self.stores() {
			match store.map(hash) {
				Ok(Some(file)) => return Ok(file),
				Ok(None) => {},
				Err(e) => problems.push(e.to_string()),
			}
		}
		let mut known = lock(&self.known);
		problems.extend(known.problems.get(hash).cloned());
		known.missing.insert(*hash);
		if problems.is_empty() {
			let looked: Vec<_> = self.stores().map(|s| s.root().display().to_string()).collect();
			problems.push(format!(
				"artifact {hash:?} is in none of the stores given ({}); give a store that has it with --store, or a worker \
				 that does with --peer",
				looked.join(", ")
			));
		}
		Err(problems.join("; "))
	}

	/// Keeps weights that were computed here, so that the next round need not fetch them. That they could not be kept
	/// costs a transfer and nothing else.
	pub fn keep(&self, hash: &ArtifactHash, bytes: &[u8]) {
		if let (Some(cache), Some(_)) = (&self.cache, &self.workers) {
			if !self.has(hash) {
				let _ = cache.put_expected(hash, bytes);
			}
		}
	}

	/// A round is done. These are not needed any more in this audit: they go first when room is needed.
	pub fn done_with(&self, hashes: impl IntoIterator<Item = ArtifactHash>) {
		let mut known = lock(&self.known);
		known.open.clear();
		known.done.extend(hashes);
	}

	/// What was wanted and could not be had.
	pub fn missing(&self) -> Vec<ArtifactHash> {
		lock(&self.known).missing.iter().copied().collect()
	}

	/// How many artifacts workers gave.
	pub fn fetched(&self) -> u64 {
		lock(&self.known).fetched
	}

	/// Leaves the network.
	pub async fn leave(&self) {
		if let Some(workers) = &self.workers {
			workers.network.shutdown().await;
		}
	}

	fn stores(&self) -> impl Iterator<Item = &Store> {
		self.given.iter().chain(&self.cache)
	}

	/// Whether an intact copy is at hand. A broken one in the cache is put away by looking at it.
	fn has(&self, hash: &ArtifactHash) -> bool {
		let mut known = lock(&self.known);
		if known.open.contains_key(hash) {
			return true;
		}
		let file = self.stores().find_map(|store| store.map(hash).ok().flatten());
		file.map(|file| known.open.insert(*hash, file)).is_some()
	}

	/// Removes one artifact that is no longer needed from the cache. `false` when there is none.
	fn make_room(&self) -> bool {
		let Some(cache) = &self.cache else { return false };
		loop {
			let Some(hash) = lock(&self.known).done.pop_front() else { return false };
			if matches!(cache.remove(&hash), Ok(true)) {
				return true;
			}
		}
	}
}

/// The subfolder of the cache that is a store.
const STORE: &str = "store";

/// Fetches an artifact, for as long as anything arrives.
async fn fetch(
	network: &Network,
	hash: ArtifactHash,
	first: &[[u8; 32]],
	timeout: Duration,
) -> Result<(), FetchError> {
	loop {
		let before = network.counters().blob_bytes_in;
		match network.fetch(hash, first.to_vec(), timeout).await {
			Ok(_) => return Ok(()),
			Err(error @ FetchError::NotObtained { .. }) => {
				// This one may be waiting for others' turn to end, or be large. When everybody said no, it is neither.
				let refused = nobody_has_it(&error);
				if refused || network.counters().blob_bytes_in == before {
					return Err(error);
				}
			},
			Err(error) => return Err(error),
		}
	}
}

/// Whether everybody who was asked answered that they do not have it.
fn nobody_has_it(error: &FetchError) -> bool {
	let FetchError::NotObtained { sources, .. } = error else { return false };
	!sources.is_empty() && sources.iter().all(|s| s.problem == Problem::Refused(Refusal::NotFound))
}

/// A fetch's error, with the remedy of somebody who is no worker.
fn told(error: &FetchError) -> String {
	let FetchError::NotObtained { sources, .. } = error else { return error.to_string() };
	let has = |wanted: fn(&Problem) -> bool| sources.iter().any(|source| wanted(&source.problem));
	let remedy = if sources.is_empty() {
		"check that the addresses given with --peer are right and reachable"
	} else if has(|p| matches!(p, Problem::Refused(Refusal::NotAdmitted) | Problem::Disconnected)) {
		"a worker serves whoever is no device of the chain only if its `--guests` is not 0: name one that does with --peer, \
		 or give a store that has it with --store"
	} else if nobody_has_it(error) {
		GONE
	} else {
		"try again, name more workers with --peer, or give a store that has it with --store"
	};
	format!("{error}; {remedy}")
}

/// Everybody may be asked: bytes prove themselves, and this node gives nothing away.
struct Anybody;

#[async_trait]
impl AccessPolicy for Anybody {
	async fn admits(&self, _network_key: [u8; 32]) -> Admission {
		Admission::Admitted
	}

	fn may_serve(&self, _hash: &ArtifactHash) -> bool {
		false
	}
}

/// The network key in an address that ends in `/p2p/PEER_ID`.
fn key_of(address: &Multiaddr) -> Option<[u8; 32]> {
	let text = address.to_string();
	let (_, peer) = text.rsplit_once("/p2p/")?;
	network_key_of_peer_id(&peer.parse::<PeerId>().ok()?)
}

/// The cache's network identity, by which unfinished transfers are found again, and the lock on it. While another
/// process has it, one for this process alone.
fn identity(cache: &Path) -> Result<(Keypair, Option<File>), SourceError> {
	let failed = |path: &Path| {
		let path = path.to_owned();
		move |source| SourceError::Cache { path, source }
	};
	let path = cache.join("lock");
	let lock =
		OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(failed(&path))?;
	match lock.try_lock() {
		Ok(()) => {},
		Err(TryLockError::WouldBlock) => return Ok((Keypair::generate(), None)),
		Err(TryLockError::Error(source)) => return Err(SourceError::Cache { path, source }),
	}
	let path = cache.join("network-key");
	let mut seed = [0; 32];
	let read = File::open(&path).and_then(|mut file| file.read_exact(&mut seed));
	let keypair = match read {
		Ok(()) => keypair_from_seed(seed),
		// Not there yet, or cut short by a crash: it is worth no more than the transfers that it finds again.
		Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof) => {
			let keypair = Keypair::generate();
			let beside = cache.join("network-key.new");
			let written = OpenOptions::new()
				.create(true)
				.truncate(true)
				.write(true)
				.mode(0o600)
				.open(&beside)
				.and_then(|mut file| file.write_all(keypair.secret().as_ref()))
				.and_then(|()| fs::rename(&beside, &path));
			written.map_err(failed(&path))?;
			keypair
		},
		Err(error) => return Err(failed(&path)(error)),
	};
	Ok((keypair, Some(lock)))
}

#[cfg(test)]
mod tests {
	#![allow(clippy::unwrap_used)]

	use super::*;

	fn peer(keypair: &Keypair) -> [u8; 32] {
		cairn_network::network_key(keypair)
	}

	#[test]
	fn identity_is_kept_and_another_process_gets_one_of_its_own() {
		let dir = tempfile::tempdir().unwrap();
		let (first, held) = identity(dir.path()).unwrap();
		let (beside, none) = identity(dir.path()).unwrap();
		assert!(held.is_some() && none.is_none());
		assert_ne!(peer(&first), peer(&beside));
		drop(held);
		assert_eq!(peer(&identity(dir.path()).unwrap().0), peer(&first));
		fs::write(dir.path().join("network-key"), [1; 7]).unwrap();
		assert_ne!(peer(&identity(dir.path()).unwrap().0), peer(&first));
	}

	#[test]
	fn key_of_an_address_is_its_peers() {
		let key = peer(&keypair_from_seed([7; 32]));
		let peer = cairn_network::peer_id_of_network_key(key).unwrap();
		let address = |text: String| text.parse::<Multiaddr>().unwrap();
		assert_eq!(key_of(&address(format!("/ip4/192.0.2.7/tcp/4001/p2p/{peer}"))), Some(key));
		assert_eq!(key_of(&address("/ip4/192.0.2.7/tcp/4001".into())), None);
	}
}
