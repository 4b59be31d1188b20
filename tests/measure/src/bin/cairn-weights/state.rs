//! The state that benchmarks run on: a trie in memory that starts every repetition from genesis and counts which keys
//! were read and written.
//!
//! A benchmark inside the runtime drives it through host functions: it wipes the state, sets up, commits (which empties
//! the caches, so that what is measured reads from the trie), resets the counters, and asks for them in the end.

use sp_core::{
	storage::{ChildInfo, TrackedStorageKey},
	H256,
};
use sp_runtime::{traits::BlakeTwo256, StateVersion, Storage};
use sp_state_machine::{
	Backend, BackendTransaction, ChildStorageCollection, InMemoryBackend, IterArgs, StateMachineStats,
	StorageCollection, StorageIterator, StorageKey, StorageValue, TrieBackendBuilder, UsageInfo,
};
use sp_trie::{
	cache::{CacheSize, SharedTrieCache},
	MerkleValue, PrefixedMemoryDB,
};
use std::{cell::RefCell, collections::BTreeMap, fmt, rc::Rc};

/// The hasher of the chain's state.
pub type Hasher = BlakeTwo256;

type Trie = InMemoryBackend<Hasher>;
type Nodes = PrefixedMemoryDB<Hasher>;

/// The first 32 bytes of a key name its storage item: hash of the pallet's name, hash of the item's.
const PREFIX: usize = 32;

/// How often a key was accessed since the counters were reset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Accesses {
	reads: u32,
	writes: u32,
	/// It is in memory anyway in every block, so it costs no database access.
	free: bool,
}

/// A key of the main trie, or of the child trie with this storage key.
type Key = (Option<Vec<u8>>, Vec<u8>);

/// Counts accesses by key.
#[derive(Debug, Default)]
struct Tracker {
	enabled: bool,
	keys: BTreeMap<Key, Accesses>,
}

impl Tracker {
	fn entry(&mut self, child: Option<&[u8]>, key: &[u8]) -> Option<&mut Accesses> {
		// Keeping count takes time, which must not be measured.
		self.enabled.then(|| self.keys.entry((child.map(<[u8]>::to_vec), key.to_vec())).or_default())
	}

	fn read(&mut self, child: Option<&[u8]>, key: &[u8]) {
		if let Some(accesses) = self.entry(child, key) {
			accesses.reads += 1;
		}
	}

	fn write(&mut self, child: Option<&[u8]>, key: &[u8]) {
		if let Some(accesses) = self.entry(child, key) {
			accesses.writes += 1;
		}
	}

	fn reset(&mut self, free: &[TrackedStorageKey]) {
		self.keys.clear();
		for key in free {
			if let Some(accesses) = self.entry(key.child_trie_key.as_deref(), &key.key) {
				accesses.free = true;
			}
		}
	}

	fn charged(&self) -> impl Iterator<Item = (&Key, &Accesses)> {
		self.keys.iter().filter(|(_, accesses)| !accesses.free)
	}

	/// Keys read, further reads of them, keys written, further writes of them.
	fn totals(&self) -> (u32, u32, u32, u32) {
		self.charged().fold((0, 0, 0, 0), |(reads, again, writes, over), (_, accesses)| {
			let (read, written) = (accesses.reads.min(1), accesses.writes.min(1));
			(reads + read, again + accesses.reads - read, writes + written, over + accesses.writes - written)
		})
	}

	/// Keys read and written by storage item.
	fn items(&self) -> Vec<(Vec<u8>, u32, u32, bool)> {
		let mut items = BTreeMap::<&[u8], (u32, u32)>::new();
		for ((_, key), accesses) in self.charged() {
			let item = items.entry(&key[..key.len().min(PREFIX)]).or_default();
			item.0 += accesses.reads.min(1);
			item.1 += accesses.writes.min(1);
		}
		items.into_iter().map(|(prefix, (reads, writes))| (prefix.to_vec(), reads, writes, false)).collect()
	}
}

/// The state of a benchmark.
pub struct BenchmarkState {
	trie: RefCell<Trie>,
	genesis: Nodes,
	genesis_root: H256,
	free: RefCell<Vec<TrackedStorageKey>>,
	tracker: Rc<RefCell<Tracker>>,
	cache: SharedTrieCache<Hasher>,
}

impl BenchmarkState {
	/// A state that starts from `genesis`. It counts accesses if `tracking`; time is measured without.
	pub fn new(genesis: Storage, tracking: bool) -> Self {
		let trie: Trie = (genesis, StateVersion::V1).into();
		let genesis_root = *trie.root();
		let state = Self {
			trie: RefCell::default(),
			genesis: trie.into_storage(),
			genesis_root,
			free: RefCell::default(),
			tracker: Rc::new(RefCell::new(Tracker { enabled: tracking, keys: BTreeMap::new() })),
			// Of no size: what one repetition has read must not make the next one faster.
			cache: SharedTrieCache::new(CacheSize::new(0), None),
		};
		state.open(state.genesis.clone(), genesis_root);
		state
	}

	/// Goes on with these nodes, and with caches that are empty.
	fn open(&self, nodes: Nodes, root: H256) {
		let trie = TrieBackendBuilder::new(nodes, root).with_cache(self.cache.local_cache_trusted()).build();
		*self.trie.borrow_mut() = trie;
	}

	fn read(&self, child: Option<&ChildInfo>, key: &[u8]) {
		self.tracker.borrow_mut().read(child.map(ChildInfo::storage_key), key);
	}
}

impl fmt::Debug for BenchmarkState {
	fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
		f.debug_struct("BenchmarkState").field("root", self.trie.borrow().root()).finish_non_exhaustive()
	}
}

/// Iterates over keys and counts each as read.
pub struct Iter {
	inner: <Trie as Backend<Hasher>>::RawIter,
	child: Option<Vec<u8>>,
	tracker: Rc<RefCell<Tracker>>,
}

impl StorageIterator<Hasher> for Iter {
	type Backend = BenchmarkState;
	type Error = String;

	fn next_key(&mut self, state: &BenchmarkState) -> Option<Result<StorageKey, String>> {
		let next = self.inner.next_key(&state.trie.borrow());
		if let Some(Ok(key)) = &next {
			self.tracker.borrow_mut().read(self.child.as_deref(), key);
		}
		next
	}

	fn next_pair(&mut self, state: &BenchmarkState) -> Option<Result<(StorageKey, StorageValue), String>> {
		let next = self.inner.next_pair(&state.trie.borrow());
		if let Some(Ok((key, _))) = &next {
			self.tracker.borrow_mut().read(self.child.as_deref(), key);
		}
		next
	}

	fn was_complete(&self) -> bool {
		self.inner.was_complete()
	}
}

impl Backend<Hasher> for BenchmarkState {
	type Error = String;
	type TrieBackendStorage = Nodes;
	type RawIter = Iter;

	fn storage(&self, key: &[u8]) -> Result<Option<StorageValue>, String> {
		self.read(None, key);
		self.trie.borrow().storage(key)
	}

	fn storage_hash(&self, key: &[u8]) -> Result<Option<H256>, String> {
		self.read(None, key);
		self.trie.borrow().storage_hash(key)
	}

	fn closest_merkle_value(&self, key: &[u8]) -> Result<Option<MerkleValue<H256>>, String> {
		self.read(None, key);
		self.trie.borrow().closest_merkle_value(key)
	}

	fn child_closest_merkle_value(
		&self,
		child: &ChildInfo,
		key: &[u8],
	) -> Result<Option<MerkleValue<H256>>, String> {
		self.read(Some(child), key);
		self.trie.borrow().child_closest_merkle_value(child, key)
	}

	fn child_storage(&self, child: &ChildInfo, key: &[u8]) -> Result<Option<StorageValue>, String> {
		self.read(Some(child), key);
		self.trie.borrow().child_storage(child, key)
	}

	fn child_storage_hash(&self, child: &ChildInfo, key: &[u8]) -> Result<Option<H256>, String> {
		self.read(Some(child), key);
		self.trie.borrow().child_storage_hash(child, key)
	}

	fn next_storage_key(&self, key: &[u8]) -> Result<Option<StorageKey>, String> {
		self.read(None, key);
		self.trie.borrow().next_storage_key(key)
	}

	fn next_child_storage_key(&self, child: &ChildInfo, key: &[u8]) -> Result<Option<StorageKey>, String> {
		self.read(Some(child), key);
		self.trie.borrow().next_child_storage_key(child, key)
	}

	fn storage_root<'a>(
		&self,
		delta: impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)>,
		version: StateVersion,
	) -> (H256, BackendTransaction<Hasher>) {
		self.trie.borrow().storage_root(delta, version)
	}

	fn child_storage_root<'a>(
		&self,
		child: &ChildInfo,
		delta: impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)>,
		version: StateVersion,
	) -> (H256, bool, BackendTransaction<Hasher>) {
		self.trie.borrow().child_storage_root(child, delta, version)
	}

	fn raw_iter(&self, args: IterArgs) -> Result<Iter, String> {
		let child = args.child_info.as_ref().map(|child| child.storage_key().to_vec());
		let inner = self.trie.borrow().raw_iter(args)?;
		Ok(Iter { inner, child, tracker: self.tracker.clone() })
	}

	fn register_overlay_stats(&self, _: &StateMachineStats) {}

	fn usage_info(&self) -> UsageInfo {
		UsageInfo::empty()
	}

	fn wipe(&self) -> Result<(), String> {
		self.open(self.genesis.clone(), self.genesis_root);
		self.reset_read_write_count();
		Ok(())
	}

	fn commit(
		&self,
		root: H256,
		transaction: BackendTransaction<Hasher>,
		main: StorageCollection,
		children: ChildStorageCollection,
	) -> Result<(), String> {
		let mut nodes = self.trie.take().into_storage();
		nodes.consolidate(transaction);
		self.open(nodes, root);
		let mut tracker = self.tracker.borrow_mut();
		for (key, _) in main {
			tracker.write(None, &key);
		}
		for (child, changes) in children {
			for (key, _) in changes {
				tracker.write(Some(&child), &key);
			}
		}
		Ok(())
	}

	fn read_write_count(&self) -> (u32, u32, u32, u32) {
		self.tracker.borrow().totals()
	}

	fn reset_read_write_count(&self) {
		self.tracker.borrow_mut().reset(&self.free.borrow());
	}

	fn get_whitelist(&self) -> Vec<TrackedStorageKey> {
		self.free.borrow().clone()
	}

	fn set_whitelist(&self, keys: Vec<TrackedStorageKey>) {
		*self.free.borrow_mut() = keys;
	}

	/// Nobody proves a block of this chain to somebody else, so the size of such a proof costs nothing.
	fn proof_size(&self) -> Option<u32> {
		None
	}

	fn get_read_and_written_keys(&self) -> Vec<(Vec<u8>, u32, u32, bool)> {
		self.tracker.borrow().items()
	}
}

#[cfg(test)]
mod tests {
	#![allow(clippy::unwrap_used)]
	use super::*;

	fn state(tracking: bool) -> BenchmarkState {
		let top = [(b"genesis".to_vec(), vec![1])].into_iter().collect();
		BenchmarkState::new(Storage { top, children_default: Default::default() }, tracking)
	}

	fn put(state: &BenchmarkState, key: &[u8], value: &[u8]) {
		let (root, transaction) = state.storage_root([(key, Some(value))].into_iter(), StateVersion::V1);
		state.commit(root, transaction, vec![(key.to_vec(), Some(value.to_vec()))], vec![]).unwrap();
	}

	#[test]
	fn wiped_state_is_genesis_again() {
		let state = state(true);
		put(&state, b"new", &[2; 100]);
		put(&state, b"genesis", &[3]);
		assert_eq!(state.storage(b"new").unwrap(), Some(vec![2; 100]));
		state.wipe().unwrap();
		assert_eq!(state.storage(b"new").unwrap(), None);
		assert_eq!(state.storage(b"genesis").unwrap(), Some(vec![1]));
	}

	#[test]
	fn each_key_is_counted_once_and_its_repetitions_apart() {
		let state = state(true);
		state.storage(b"a").unwrap();
		state.storage(b"a").unwrap();
		state.exists_storage(b"b").unwrap();
		put(&state, b"a", &[1]);
		put(&state, b"a", &[2]);
		assert_eq!(state.read_write_count(), (2, 1, 1, 1));
		state.reset_read_write_count();
		assert_eq!(state.read_write_count(), (0, 0, 0, 0));
	}

	#[test]
	fn keys_that_are_free_are_not_counted() {
		let state = state(true);
		state.set_whitelist(vec![b"a".to_vec().into()]);
		state.reset_read_write_count();
		state.storage(b"a").unwrap();
		put(&state, b"a", &[1]);
		state.storage(b"b").unwrap();
		assert_eq!(state.read_write_count(), (1, 0, 0, 0));
		assert_eq!(state.get_read_and_written_keys(), [(b"b".to_vec(), 1, 0, false)]);
	}

	#[test]
	fn iteration_counts_every_key_it_gives() {
		let state = state(true);
		put(&state, b"other", &[1]);
		state.reset_read_write_count();
		assert_eq!(state.keys(IterArgs::default()).unwrap().count(), 2);
		assert_eq!(state.read_write_count(), (2, 0, 0, 0));
	}

	#[test]
	fn accesses_are_summed_by_storage_item() {
		let state = state(true);
		let item = [7u8; PREFIX];
		for entry in 0..3u8 {
			state.storage(&[&item[..], &[entry]].concat()).unwrap();
		}
		put(&state, &[&item[..], &[0]].concat(), &[1]);
		assert_eq!(state.get_read_and_written_keys(), [(item.to_vec(), 3, 1, false)]);
	}

	#[test]
	fn state_without_tracking_counts_nothing() {
		let state = state(false);
		state.storage(b"a").unwrap();
		put(&state, b"a", &[1]);
		assert_eq!(state.read_write_count(), (0, 0, 0, 0));
	}
}
