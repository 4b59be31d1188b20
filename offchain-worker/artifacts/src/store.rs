//! The content-addressed store: files named by the BLAKE3-256 hash of their bytes.

use crate::{mapped::MappedFile, ArtifactHash};
use cairn_primitives::{artifact_hash, H256};
use nix::{
	errno::Errno,
	fcntl::{Flock, FlockArg},
};
use std::{
	ffi::OsStr,
	fs::{self, File, OpenOptions, Permissions},
	io::{self, ErrorKind, Read, Write},
	os::unix::fs::{MetadataExt, PermissionsExt},
	path::{Path, PathBuf},
	sync::Arc,
	time::{Duration, SystemTime, UNIX_EPOCH},
};
use tempfile::TempPath;
use thiserror::Error;

/// Files under way.
const INCOMING: &str = "incoming";
/// Files that turned out not to be what their name says.
const QUARANTINE: &str = "quarantine";
/// Locked while a name in the store is given or taken away.
const LOCK: &str = "lock";
/// Prefix of files under way, so that nothing else in the folder is ever cleaned away.
const TEMPORARY_PREFIX: &str = "put-";
/// What the name of an artifact's hash tree has more than the artifact's. No hexadecimal digit, so that
/// [`Store::list`] passes it over.
const OUTBOARD_SUFFIX: &str = ".outboard";
/// How long a file in quarantine is kept for whoever wants to know what happened to it: 30 days.
const QUARANTINE_AGE: Duration = Duration::from_secs(30 * 24 * 3600);
/// Bytes read at once when a file is copied or checked.
const CHUNK: usize = 1024 * 1024;

/// Why the store could not do what it was asked to. Hashes are printed in full.
#[derive(Debug, Error)]
pub enum StoreError {
	/// The operating system refused.
	#[error("{action} {path} failed: {source}")]
	Io {
		/// What was tried.
		action: &'static str,
		/// On what.
		path: PathBuf,
		/// Why it failed.
		source: io::Error,
	},
	/// The disk or the quota is full. What was there before is untouched.
	#[error(
		"no space left to write {path}: {source}; free some space on that file system or move the store, \
		 then try again; nothing that was stored is lost"
	)]
	NoSpace {
		/// The file that could not be written.
		path: PathBuf,
		/// As the operating system says it.
		source: io::Error,
	},
	/// A stored file is not what its name says.
	#[error("artifact {hash:?} is corrupt: {path} hashes to {found:?}; {}; fetch or import the artifact again",
		match quarantined { Some(to) => format!("it was moved to {}", to.display()), None => "it was left in place".into() })]
	Corrupt {
		/// The artifact.
		hash: ArtifactHash,
		/// Its file.
		path: PathBuf,
		/// What the file hashes to.
		found: ArtifactHash,
		/// Where the file is now; `None` if the store is read-only or moving it failed.
		quarantined: Option<PathBuf>,
	},
	/// Bytes that were to be a certain artifact are not.
	#[error("these bytes are not artifact {expected:?}: they hash to {found:?}; nothing was stored")]
	Mismatch {
		/// The artifact they were to be.
		expected: ArtifactHash,
		/// What they are.
		found: ArtifactHash,
	},
	/// The folder is not there, or is no folder.
	#[error("{path} is not an artifact store: {reason}; give the folder that holds the artifacts")]
	NotAStore {
		/// The folder.
		path: PathBuf,
		/// What is wrong with it.
		reason: &'static str,
	},
	/// A store opened with [`Store::open_read_only`] was to be changed.
	#[error("the artifact store {path} was opened for reading only")]
	ReadOnly {
		/// The store.
		path: PathBuf,
	},
}

impl StoreError {
	/// An operating system error, with a full disk told apart.
	pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
		let path = path.to_owned();
		move |source| match source.kind() {
			ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
				Self::NoSpace { path, source }
			},
			_ => Self::Io { action, path, source },
		}
	}
}

type Result<T> = std::result::Result<T, StoreError>;

struct Inner {
	root: PathBuf,
	read_only: bool,
}

/// A folder of artifacts. Clones share it; so may any number of processes.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

impl std::fmt::Debug for Store {
	fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
		f.debug_struct("Store").field("root", &self.0.root).field("read_only", &self.0.read_only).finish()
	}
}

impl Store {
	/// Opens the store at `root`, making it if it is not there, and removes what processes that died left behind, and
	/// what has been in quarantine for 30 days.
	///
	/// # Errors
	/// When the folder cannot be made, read or written.
	pub fn open(root: impl Into<PathBuf>) -> Result<Self> {
		let root = root.into();
		if root.exists() && !root.is_dir() {
			return Err(StoreError::NotAStore { path: root, reason: "it is not a folder" });
		}
		for folder in [root.clone(), root.join(INCOMING), root.join(QUARANTINE)] {
			fs::create_dir_all(&folder).map_err(StoreError::io("making", &folder))?;
		}
		let store = Self(Arc::new(Inner { root, read_only: false }));
		sync_folder(store.root())?;
		store.clean()?;
		store.clean_quarantine(SystemTime::now())?;
		Ok(store)
	}

	/// Opens the store at `root` to read from it. Nothing in it is ever changed, not even a corrupt file: it may be
	/// evidence, or somebody else's.
	///
	/// # Errors
	/// When there is no such folder.
	pub fn open_read_only(root: impl Into<PathBuf>) -> Result<Self> {
		let path = root.into();
		match fs::metadata(&path) {
			Ok(m) if m.is_dir() => Ok(Self(Arc::new(Inner { root: path, read_only: true }))),
			Ok(_) => Err(StoreError::NotAStore { path, reason: "it is not a folder" }),
			Err(e) if e.kind() == ErrorKind::NotFound => {
				Err(StoreError::NotAStore { path, reason: "there is no such folder" })
			},
			Err(e) => Err(StoreError::io("reading", &path)(e)),
		}
	}

	/// The store's folder.
	pub fn root(&self) -> &Path {
		&self.0.root
	}

	/// Where the artifact is or would be: `root/ab/cdef…` for a hash `0xabcdef…`.
	pub fn path(&self, hash: &ArtifactHash) -> PathBuf {
		let name = hex::encode(hash.as_bytes());
		self.root().join(&name[..2]).join(&name[2..])
	}

	/// Where the artifact's hash tree is kept, once somebody has asked for it: beside the artifact, so that the two
	/// come and go together. Its form is the business of who writes it; whether it is right shows against the name.
	pub fn outboard_path(&self, hash: &ArtifactHash) -> PathBuf {
		let mut path = self.path(hash).into_os_string();
		path.push(OUTBOARD_SUFFIX);
		path.into()
	}

	/// Whether there is a file of this name. Whether it is intact shows when it is read.
	pub fn contains(&self, hash: &ArtifactHash) -> bool {
		self.path(hash).is_file()
	}

	/// The file's size in bytes, if there is one.
	///
	/// # Errors
	/// When the file system does.
	pub fn size(&self, hash: &ArtifactHash) -> Result<Option<u64>> {
		let path = self.path(hash);
		match fs::metadata(&path) {
			Ok(m) if m.is_file() => Ok(Some(m.len())),
			Ok(_) => Ok(None),
			Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
			Err(e) => Err(StoreError::io("reading", &path)(e)),
		}
	}

	/// The artifact's bytes, which are checked against its name.
	///
	/// # Errors
	/// [`StoreError::Corrupt`] when they are not what the name says; the file is then moved to `quarantine/`, so
	/// that the next call finds the artifact absent. Otherwise when the file system fails.
	pub fn get(&self, hash: &ArtifactHash) -> Result<Option<Vec<u8>>> {
		self.checked(hash, |path| Ok(read(path)?.map(|bytes| (artifact_hash(&bytes), bytes))))
	}

	/// As [`Store::get`], but the bytes stay in the file, and take no memory of this process's own. See [`MappedFile`].
	///
	/// # Errors
	/// As [`Store::get`].
	pub fn map(&self, hash: &ArtifactHash) -> Result<Option<MappedFile>> {
		self.checked(hash, |path| Ok(MappedFile::open(path)?.map(|file| (file.hash(), file))))
	}

	/// What `read` makes of the artifact's file, if what it finds it to be called is its name. Else the file is put away.
	fn checked<T>(
		&self,
		hash: &ArtifactHash,
		read: impl Fn(&Path) -> Result<Option<(ArtifactHash, T)>>,
	) -> Result<Option<T>> {
		let path = self.path(hash);
		let corrupt =
			|found, quarantined| StoreError::Corrupt { hash: *hash, path: path.clone(), found, quarantined };
		let found = match read(&path)? {
			None => return Ok(None),
			Some((found, content)) if found == *hash => return Ok(Some(content)),
			Some((found, _)) => found,
		};
		if self.0.read_only {
			return Err(corrupt(found, None));
		}
		// Between reading and locking, another process may have put the right bytes there.
		let _lock = self.lock()?;
		match read(&path)? {
			None => Ok(None),
			Some((found, content)) if found == *hash => Ok(Some(content)),
			Some((found, _)) => Err(corrupt(found, self.quarantine(hash, &path).ok())),
		}
	}

	/// Stores the bytes and returns their name. Storing what is there already changes nothing, unless the stored file
	/// is corrupt; then it is replaced.
	///
	/// # Errors
	/// When they could not be written durably.
	pub fn put(&self, bytes: &[u8]) -> Result<ArtifactHash> {
		let hash = artifact_hash(bytes);
		self.put_expected(&hash, bytes)?;
		Ok(hash)
	}

	/// As [`Store::put`], of bytes that are to be a certain artifact.
	///
	/// # Errors
	/// [`StoreError::Mismatch`] when they are not, and then nothing is stored; else as [`Store::put`].
	pub fn put_expected(&self, hash: &ArtifactHash, bytes: &[u8]) -> Result<()> {
		self.writable()?;
		let found = artifact_hash(bytes);
		if found != *hash {
			return Err(StoreError::Mismatch { expected: *hash, found });
		}
		if self.holds_intact(hash)? {
			return Ok(());
		}
		let mut writer = self.writer()?;
		writer.append(bytes)?;
		writer.finish_expected(hash)
	}

	/// Copies a file into the store, without holding it in memory, and returns its name.
	///
	/// # Errors
	/// When the file cannot be read, or could not be written durably.
	pub fn put_file(&self, file: &Path) -> Result<ArtifactHash> {
		let mut writer = self.writer()?;
		let mut source = File::open(file).map_err(StoreError::io("opening", file))?;
		let mut chunk = vec![0; CHUNK];
		loop {
			match source.read(&mut chunk) {
				Ok(0) => return writer.finish(),
				Ok(n) => writer.append(&chunk[..n])?,
				Err(e) if e.kind() == ErrorKind::Interrupted => {},
				Err(e) => return Err(StoreError::io("reading", file)(e)),
			}
		}
	}

	/// A file under way, for bytes that come in pieces.
	///
	/// # Errors
	/// When it cannot be made.
	pub fn writer(&self) -> Result<Writer> {
		self.writable()?;
		let folder = self.root().join(INCOMING);
		loop {
			let temporary = tempfile::Builder::new()
				.prefix(TEMPORARY_PREFIX)
				// As any file: the umask decides who else may read it.
				.permissions(Permissions::from_mode(0o666))
				.tempfile_in(&folder)
				.map_err(StoreError::io("making a file in", &folder))?;
			let (file, path) = temporary.into_parts();
			// The lock is what tells a live process's file from one that a dead process left: the kernel drops it
			// with the process, however that ends.
			let Some(file) = try_lock(file, &path)? else { continue };
			// A store that was opened between making and locking took it for left behind and removed it.
			if file.metadata().map_err(StoreError::io("reading", &path))?.nlink() == 0 {
				continue;
			}
			return Ok(Writer { store: self.clone(), file, path, hasher: blake3::Hasher::new(), len: 0 });
		}
	}

	/// The names of all artifacts, ascending. Files and folders that are not the store's are passed over.
	///
	/// # Errors
	/// When a folder cannot be read.
	pub fn list(&self) -> Result<Vec<ArtifactHash>> {
		let mut hashes = Vec::new();
		for (name, path) in entries(self.root())? {
			if name.len() != 2 || !is_hex(&name) || !path.is_dir() {
				continue;
			}
			for (rest, path) in entries(&path)? {
				let mut hash = [0; 32];
				if is_hex(&rest)
					&& hex::decode_to_slice(format!("{name}{rest}"), &mut hash).is_ok()
					&& path.is_file()
				{
					hashes.push(H256(hash));
				}
			}
		}
		hashes.sort();
		Ok(hashes)
	}

	/// Removes an artifact; says whether it was there.
	///
	/// # Errors
	/// When the file system fails.
	pub fn remove(&self, hash: &ArtifactHash) -> Result<bool> {
		self.writable()?;
		let path = self.path(hash);
		let _lock = self.lock()?;
		match fs::remove_file(&path) {
			Ok(()) => {
				self.remove_outboard(hash)?;
				sync_folder(self.shard(&path))?;
				Ok(true)
			},
			Err(e) if e.kind() == ErrorKind::NotFound => Ok(false),
			Err(e) => Err(StoreError::io("removing", &path)(e)),
		}
	}

	/// Makes a file of this file system an artifact, durably, by renaming it. The caller has checked every byte of it
	/// against the artifact's tree; it is not read again. When the artifact is there already, the file is removed.
	///
	/// # Errors
	/// When it could not be; then the file stays where it is.
	pub fn adopt_verified(&self, hash: &ArtifactHash, file: &Path) -> Result<()> {
		self.writable()?;
		let opened = File::open(file).map_err(StoreError::io("opening", file))?;
		self.install(hash, &opened, file, |to| fs::rename(file, to))?;
		// Nobody else gives out this name, so what is left is a second copy.
		match fs::remove_file(file) {
			Err(e) if e.kind() != ErrorKind::NotFound => Err(StoreError::io("removing", file)(e)),
			_ => Ok(()),
		}
	}

	/// Reads the artifact in pieces and checks it against its name. `None` when it is not there.
	///
	/// # Errors
	/// As [`Store::get`]: a corrupt file is moved to `quarantine/`.
	pub fn verify(&self, hash: &ArtifactHash) -> Result<Option<()>> {
		if self.holds_intact(hash)? {
			return Ok(Some(()));
		}
		let _lock = if self.0.read_only { None } else { Some(self.lock()?) };
		let path = self.path(hash);
		// Another process may have replaced or removed it before the lock was had.
		let found = match hash_of(&path)? {
			None => return Ok(None),
			Some(found) if found == *hash => return Ok(Some(())),
			Some(found) => found,
		};
		let quarantined = if self.0.read_only { None } else { self.quarantine(hash, &path).ok() };
		Err(StoreError::Corrupt { hash: *hash, path, found, quarantined })
	}

	/// Removes hash trees whose artifact is gone: what a crash in the middle of [`Store::remove`] leaves.
	///
	/// # Errors
	/// When the file system fails.
	pub fn sweep_outboards(&self) -> Result<()> {
		self.writable()?;
		for (name, folder) in entries(self.root())? {
			if name.len() != 2 || !is_hex(&name) || !folder.is_dir() {
				continue;
			}
			for (rest, path) in entries(&folder)? {
				let Some(artifact) = rest.strip_suffix(OUTBOARD_SUFFIX) else { continue };
				if folder.join(artifact).exists() {
					continue;
				}
				match fs::remove_file(&path) {
					Err(e) if e.kind() != ErrorKind::NotFound => {
						return Err(StoreError::io("removing", &path)(e))
					},
					_ => {},
				}
			}
		}
		Ok(())
	}

	fn remove_outboard(&self, hash: &ArtifactHash) -> Result<()> {
		let path = self.outboard_path(hash);
		match fs::remove_file(&path) {
			Err(e) if e.kind() != ErrorKind::NotFound => Err(StoreError::io("removing", &path)(e)),
			_ => Ok(()),
		}
	}

	fn writable(&self) -> Result<()> {
		if self.0.read_only {
			return Err(StoreError::ReadOnly { path: self.root().to_owned() });
		}
		Ok(())
	}

	fn shard<'a>(&self, path: &'a Path) -> &'a Path {
		path.parent().expect("an artifact's path has two components below the root; qed")
	}

	/// Whether the artifact is there, is what its name says, and will still be there after a power failure.
	fn holds_intact(&self, hash: &ArtifactHash) -> Result<bool> {
		let path = self.path(hash);
		if hash_of(&path)? != Some(*hash) {
			return Ok(false);
		}
		// Another process may have renamed it into place and not have come to this yet.
		if !self.0.read_only {
			sync_folder(self.shard(&path))?;
		}
		Ok(true)
	}

	/// Gives a complete file its name, durably: `rename` moves it there. Left undone when the artifact is there
	/// already.
	fn install(
		&self,
		hash: &ArtifactHash,
		file: &File,
		path: &Path,
		rename: impl FnOnce(&Path) -> io::Result<()>,
	) -> Result<()> {
		if self.holds_intact(hash)? {
			return Ok(());
		}
		// Contents before name: after a power failure a name never stands for half a file.
		file.sync_all().map_err(StoreError::io("syncing", path))?;
		let to = self.path(hash);
		let shard = self.shard(&to);
		match fs::create_dir(shard) {
			Ok(()) => sync_folder(self.root())?,
			Err(e) if e.kind() == ErrorKind::AlreadyExists => {},
			Err(e) => return Err(StoreError::io("making", shard)(e)),
		}
		let _lock = self.lock()?;
		if to.exists() {
			if self.holds_intact(hash)? {
				return Ok(());
			}
			self.quarantine(hash, &to)?;
		}
		rename(&to).map_err(StoreError::io("renaming to", &to))?;
		sync_folder(shard)
	}

	/// Waits for the right to give and take names in this store.
	fn lock(&self) -> Result<Flock<File>> {
		let path = self.root().join(LOCK);
		let mut file = OpenOptions::new()
			.create(true)
			.truncate(false)
			.write(true)
			.open(&path)
			.map_err(StoreError::io("opening", &path))?;
		loop {
			match Flock::lock(file, FlockArg::LockExclusive) {
				Ok(lock) => return Ok(lock),
				Err((again, Errno::EINTR)) => file = again,
				Err((_, e)) => return Err(StoreError::io("locking", &path)(e.into())),
			}
		}
	}

	/// Moves a corrupt file away. To be called under the lock.
	fn quarantine(&self, hash: &ArtifactHash, path: &Path) -> Result<PathBuf> {
		let folder = self.root().join(QUARANTINE);
		let name = hex::encode(hash.as_bytes());
		let to = (0u32..)
			.map(|n| folder.join(format!("{name}-{n}")))
			.find(|to| !to.exists())
			.expect("a folder cannot hold 2^32 copies of one artifact; qed");
		fs::rename(path, &to).map_err(StoreError::io("moving to quarantine", path))?;
		self.remove_outboard(hash)?;
		sync_folder(&folder)?;
		sync_folder(self.shard(path))?;
		Ok(to)
	}

	/// Removes what was put into quarantine too long before `now`. Nothing is ever read from there, so nobody misses it.
	fn clean_quarantine(&self, now: SystemTime) -> Result<()> {
		let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
		for (_, path) in entries(&self.root().join(QUARANTINE))? {
			let Ok(metadata) = fs::metadata(&path) else { continue };
			// Renaming it there changed this time; when it was written says nothing about when it was found corrupt.
			let since = Duration::from_secs(u64::try_from(metadata.ctime()).unwrap_or(u64::MAX));
			if metadata.is_file() && now.saturating_sub(since) > QUARANTINE_AGE {
				// What cannot be removed now, or is another user's, harms nothing by staying.
				let _ = fs::remove_file(&path);
			}
		}
		Ok(())
	}

	/// Removes files under way whose process is gone.
	fn clean(&self) -> Result<()> {
		for (name, path) in entries(&self.root().join(INCOMING))? {
			if !name.starts_with(TEMPORARY_PREFIX) {
				continue;
			}
			let file = match File::open(&path) {
				Ok(file) => file,
				// Its process finished with it just now.
				Err(e) if e.kind() == ErrorKind::NotFound => continue,
				Err(e) => return Err(StoreError::io("opening", &path)(e)),
			};
			// Removed while locked: whoever made it a moment ago and has not locked it yet sees that it is gone.
			if let Some(_lock) = try_lock(file, &path)? {
				match fs::remove_file(&path) {
					Ok(()) => {},
					Err(e) if e.kind() == ErrorKind::NotFound => {},
					Err(e) => return Err(StoreError::io("removing", &path)(e)),
				}
			}
		}
		Ok(())
	}
}

/// An artifact under way: its bytes come in pieces and get their name at the end. Dropped unfinished, it leaves
/// nothing behind.
#[derive(Debug)]
pub struct Writer {
	store: Store,
	file: Flock<File>,
	path: TempPath,
	hasher: blake3::Hasher,
	len: u64,
}

impl Writer {
	/// Appends bytes.
	///
	/// # Errors
	/// When they cannot be written.
	pub fn append(&mut self, bytes: &[u8]) -> Result<()> {
		self.file.write_all(bytes).map_err(StoreError::io("writing", &self.path))?;
		self.hasher.update(bytes);
		self.len += bytes.len() as u64;
		Ok(())
	}

	/// How many bytes were appended.
	pub fn len(&self) -> u64 {
		self.len
	}

	/// Whether nothing was appended.
	pub fn is_empty(&self) -> bool {
		self.len == 0
	}

	/// Makes what was appended an artifact, durably.
	///
	/// # Errors
	/// When it could not be; then nothing is stored.
	pub fn finish(self) -> Result<ArtifactHash> {
		let hash = H256(*self.hasher.finalize().as_bytes());
		self.publish(&hash)?;
		Ok(hash)
	}

	/// As [`Writer::finish`], of what is to be a certain artifact.
	///
	/// # Errors
	/// [`StoreError::Mismatch`] when it is not; else as [`Writer::finish`].
	pub fn finish_expected(self, hash: &ArtifactHash) -> Result<()> {
		let found = H256(*self.hasher.finalize().as_bytes());
		if found != *hash {
			return Err(StoreError::Mismatch { expected: *hash, found });
		}
		self.publish(hash)
	}

	fn publish(self, hash: &ArtifactHash) -> Result<()> {
		let Self { store, file, path, .. } = self;
		let from = path.to_path_buf();
		store.install(hash, &file, &from, |to| path.persist(to).map_err(|e| e.error))
	}
}

/// Locks the file if nobody has.
fn try_lock(file: File, path: &Path) -> Result<Option<Flock<File>>> {
	match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
		Ok(lock) => Ok(Some(lock)),
		Err((_, Errno::EWOULDBLOCK)) => Ok(None),
		Err((_, e)) => Err(StoreError::io("locking", path)(e.into())),
	}
}

/// What a file hashes to, read in pieces; `None` when there is none.
fn hash_of(path: &Path) -> Result<Option<ArtifactHash>> {
	let mut file = match File::open(path) {
		Ok(file) => file,
		Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
		Err(e) => return Err(StoreError::io("opening", path)(e)),
	};
	let mut hasher = blake3::Hasher::new();
	hasher.update_reader(&mut file).map_err(StoreError::io("reading", path))?;
	Ok(Some(H256(*hasher.finalize().as_bytes())))
}

fn read(path: &Path) -> Result<Option<Vec<u8>>> {
	match fs::read(path) {
		Ok(bytes) => Ok(Some(bytes)),
		Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
		Err(e) => Err(StoreError::io("reading", path)(e)),
	}
}

/// Makes names that were given or taken in a folder durable.
fn sync_folder(path: &Path) -> Result<()> {
	File::open(path).and_then(|f| f.sync_all()).map_err(StoreError::io("syncing", path))
}

/// The names that are text, and their paths. The store gives no others.
fn entries(folder: &Path) -> Result<Vec<(String, PathBuf)>> {
	let failed = || StoreError::io("reading", folder);
	let mut found = Vec::new();
	for entry in fs::read_dir(folder).map_err(failed())? {
		let path = entry.map_err(failed())?.path();
		if let Some(name) = path.file_name().and_then(OsStr::to_str) {
			found.push((name.to_owned(), path));
		}
	}
	Ok(found)
}

fn is_hex(s: &str) -> bool {
	s.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn full_disk_is_told_apart_and_says_what_to_do() {
		let path = Path::new("/dev/full");
		let written = OpenOptions::new().write(true).open(path).and_then(|mut f| f.write_all(b"x"));
		let error = StoreError::io("writing", path)(written.expect_err("/dev/full is always full"));
		assert!(matches!(error, StoreError::NoSpace { .. }), "{error:?}");
		let said = error.to_string();
		assert!(said.contains("/dev/full") && said.contains("free some space"), "{said}");
	}

	#[test]
	fn only_what_has_long_been_in_quarantine_is_removed() {
		let dir = tempfile::tempdir().expect("a folder");
		let store = Store::open(dir.path()).expect("a store");
		let hash = store.put(b"precious").expect("stored");
		// Written long ago, found corrupt now.
		fs::write(store.path(&hash), b"spoilt").expect("written");
		let file = File::options().write(true).open(store.path(&hash)).expect("there");
		file.set_modified(UNIX_EPOCH).expect("set");
		assert!(matches!(store.get(&hash), Err(StoreError::Corrupt { .. })));
		let left = |store: &Store| entries(&store.root().join(QUARANTINE)).expect("a folder").len();
		assert_eq!(left(&Store::open(dir.path()).expect("a store")), 1);
		store.clean_quarantine(SystemTime::now() + 2 * QUARANTINE_AGE).expect("cleaned");
		assert_eq!(left(&store), 0);
	}
}
