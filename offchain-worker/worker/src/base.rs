//! The base path: one folder with everything that one worker owns.
//!
//! | path | what |
//! |---|---|
//! | `worker.toml` | configuration, optional |
//! | `keys/` | account and network secrets, readable by the owner only |
//! | `store/` | artifacts, named by hash |
//! | `journal/` | what was done and what was about to be done |
//! | `chain.json` | the chain this worker belongs to |
//! | `lock` | held while a daemon runs |
//! | `status.json` | what the daemon does, for `cairn-worker status` |

use crate::units;
use cairn_primitives::H256;
use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};
use std::{
	fs::{self, File, OpenOptions},
	io::{self, Write},
	os::unix::fs::{DirBuilderExt, OpenOptionsExt},
	path::{Path, PathBuf},
};

/// Why the base path cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BaseError {
	/// The file system refused.
	#[error("{action} {path}: {source}", path = path.display())]
	Io {
		/// What was tried.
		action: &'static str,
		/// On which path.
		path: PathBuf,
		/// What came back.
		source: io::Error,
	},
	/// Another process holds the lock.
	#[error(
		"another cairn-worker (process {holder}) runs on {path}: stop it first, or give this one its own --base-path",
		path = path.display()
	)]
	Locked {
		/// The base path.
		path: PathBuf,
		/// The process that holds it, as it wrote into the lock file.
		holder: String,
	},
	/// The chain is not the one this base path belongs to.
	#[error(
		"wrong chain: the node is on the chain with genesis {found}, but {path} belongs to the chain with genesis {pinned}. \
		 Connect to a node of that chain (--node), or use another --base-path for the other chain",
		found = units::hex(found), pinned = units::hex(pinned), path = path.display()
	)]
	WrongChain {
		/// The base path.
		path: PathBuf,
		/// The genesis hash that was pinned on first contact.
		pinned: H256,
		/// The genesis hash that the node has.
		found: H256,
	},
	/// `chain.json` is not what this program wrote.
	#[error("{path} is damaged ({reason}): it holds the genesis hash of the chain that this worker belongs to. \
		 Write it again as {{\"genesis\": \"0x…\"}}, or remove it to pin the chain anew at the next start", path = path.display())]
	DamagedPin {
		/// The file.
		path: PathBuf,
		/// What is wrong with it.
		reason: String,
	},
}

impl BaseError {
	pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
		let path = path.to_path_buf();
		move |source| Self::Io { action, path, source }
	}
}

/// A base path that exists.
#[derive(Clone, Debug)]
pub struct BasePath(PathBuf);

/// Proof that no other daemon runs on this base path. Dropping it releases the lock.
#[derive(Debug)]
pub struct Lock(#[allow(dead_code)] Flock<File>);

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pin {
	genesis: String,
}

impl BasePath {
	/// Where a worker keeps its things when nobody says otherwise: the user's data directory.
	pub fn default_path() -> PathBuf {
		let env = |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
		let data = if cfg!(target_os = "macos") {
			env("HOME").map(|home| home.join("Library/Application Support"))
		} else {
			env("XDG_DATA_HOME").or_else(|| env("HOME").map(|home| home.join(".local/share")))
		};
		data.unwrap_or_else(|| PathBuf::from(".")).join("cairn-worker")
	}

	/// Opens the folder, making it (for the owner only) if it is not there.
	///
	/// # Errors
	/// When the file system refuses.
	pub fn open(path: impl Into<PathBuf>) -> Result<Self, BaseError> {
		let path = path.into();
		fs::DirBuilder::new()
			.recursive(true)
			.mode(0o700)
			.create(&path)
			.map_err(BaseError::io("cannot make the base path", &path))?;
		Ok(Self(path))
	}

	/// The folder itself.
	pub fn path(&self) -> &Path {
		&self.0
	}

	/// Folder of the secrets.
	pub fn keys(&self) -> PathBuf {
		self.0.join("keys")
	}

	/// Folder of the artifacts.
	pub fn store(&self) -> PathBuf {
		self.0.join("store")
	}

	/// Folder of the journals.
	pub fn journal(&self) -> PathBuf {
		self.0.join("journal")
	}

	/// Takes the lock that makes this process the only daemon here.
	///
	/// # Errors
	/// [`BaseError::Locked`] when another process has it.
	pub fn lock(&self) -> Result<Lock, BaseError> {
		match self.try_lock() {
			// It may only have been looked at, see `is_locked`.
			Err(BaseError::Locked { .. }) => {
				std::thread::sleep(std::time::Duration::from_millis(50));
				self.try_lock()
			},
			outcome => outcome,
		}
	}

	fn try_lock(&self) -> Result<Lock, BaseError> {
		let path = self.0.join("lock");
		let file = OpenOptions::new()
			.read(true)
			.write(true)
			.create(true)
			.truncate(false)
			.mode(0o600)
			.open(&path)
			.map_err(BaseError::io("cannot open the lock file", &path))?;
		match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
			Ok(mut lock) => {
				// Only for the message that a second process shows; the lock is the kernel's, also on a full disk.
				let note = lock.set_len(0).and_then(|()| write!(lock, "{}", std::process::id()));
				if let Err(e) = note {
					tracing::warn!("cannot note the process in {}: {e}", path.display());
				}
				Ok(Lock(lock))
			},
			Err((_, nix::errno::Errno::EWOULDBLOCK)) => {
				let holder = fs::read_to_string(&path).unwrap_or_default();
				let holder = if holder.is_empty() { "unknown".to_string() } else { holder };
				Err(BaseError::Locked { path: self.0.clone(), holder })
			},
			Err((_, errno)) => Err(BaseError::Io {
				action: "cannot lock",
				path,
				source: io::Error::from_raw_os_error(errno as i32),
			}),
		}
	}

	/// Whether a daemon holds the lock.
	///
	/// # Errors
	/// When the lock file is there and cannot be opened.
	pub fn is_locked(&self) -> Result<bool, BaseError> {
		let path = self.0.join("lock");
		let file = match File::open(&path) {
			Ok(file) => file,
			Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
			Err(e) => return Err(BaseError::io("cannot open the lock file", &path)(e)),
		};
		// A shared lock, for as long as this takes: a daemon that starts right now tries again.
		Ok(Flock::lock(file, FlockArg::LockSharedNonblock).is_err())
	}

	/// The genesis hash this base path belongs to, if it has met its chain.
	///
	/// # Errors
	/// When `chain.json` is there but damaged.
	pub fn pinned_chain(&self) -> Result<Option<H256>, BaseError> {
		let path = self.0.join("chain.json");
		let text = match fs::read_to_string(&path) {
			Ok(text) => text,
			Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
			Err(e) => return Err(BaseError::io("cannot read", &path)(e)),
		};
		let damaged = |reason: String| BaseError::DamagedPin { path: path.clone(), reason };
		let pin: Pin = serde_json::from_str(&text).map_err(|e| damaged(e.to_string()))?;
		units::parse_hash(&pin.genesis).map(Some).map_err(|e| damaged(e.to_string()))
	}

	/// Pins the chain on first contact; afterwards refuses every other.
	///
	/// # Errors
	/// [`BaseError::WrongChain`], naming both hashes.
	pub fn pin_chain(&self, genesis: H256) -> Result<(), BaseError> {
		match self.pinned_chain()? {
			Some(pinned) if pinned == genesis => Ok(()),
			Some(pinned) => Err(BaseError::WrongChain { path: self.0.clone(), pinned, found: genesis }),
			None => {
				let pin = Pin { genesis: units::hex(genesis) };
				let text = serde_json::to_vec(&pin).expect("a struct of one string is valid JSON; qed");
				write_atomically(&self.0.join("chain.json"), &text, 0o600)
			},
		}
	}
}

/// Writes a whole file or nothing: to a temporary name, synced, then renamed.
///
/// # Errors
/// When the file system refuses.
pub fn write_atomically(path: &Path, bytes: &[u8], mode: u32) -> Result<(), BaseError> {
	let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
	let write = || -> io::Result<()> {
		let mut file = tempfile::NamedTempFile::new_in(folder)?;
		let permissions = std::os::unix::fs::PermissionsExt::from_mode(mode);
		file.as_file().set_permissions(permissions)?;
		file.write_all(bytes)?;
		file.as_file().sync_all()?;
		file.persist(path).map_err(|e| e.error)?;
		// The rename is durable only once the folder is.
		File::open(folder)?.sync_all()
	};
	write().map_err(BaseError::io("cannot write", path))
}

#[cfg(test)]
mod tests {
	#![allow(clippy::unwrap_used)]
	use super::*;

	fn base() -> (tempfile::TempDir, BasePath) {
		let dir = tempfile::tempdir().unwrap();
		let base = BasePath::open(dir.path().join("worker")).unwrap();
		(dir, base)
	}

	#[test]
	fn second_lock_is_refused_and_names_the_holder() {
		let (_dir, base) = base();
		let lock = base.lock().unwrap();
		// flock is per open file, so a second open in the same process conflicts as another process would.
		let message = base.lock().unwrap_err().to_string();
		assert!(message.contains(&std::process::id().to_string()), "{message}");
		assert!(message.contains("--base-path"), "{message}");
		drop(lock);
		assert!(base.lock().is_ok());
	}

	#[test]
	#[cfg(target_os = "linux")]
	fn lock_is_taken_on_a_full_disk() {
		let (_dir, base) = base();
		std::os::unix::fs::symlink("/dev/full", base.path().join("lock")).unwrap();
		let lock = base.lock().unwrap();
		assert!(base.is_locked().unwrap());
		drop(lock);
		assert!(!base.is_locked().unwrap());
	}

	#[test]
	fn lock_is_seen_by_others_while_it_is_held_and_not_after() {
		let (_dir, base) = base();
		assert!(!base.is_locked().unwrap());
		let lock = base.lock().unwrap();
		assert!(base.is_locked().unwrap());
		drop(lock);
		assert!(!base.is_locked().unwrap());
		assert!(base.lock().is_ok());
	}

	#[test]
	fn chain_is_pinned_once_and_another_is_refused_by_both_hashes() {
		let (_dir, base) = base();
		assert_eq!(base.pinned_chain().unwrap(), None);
		base.pin_chain(H256([1; 32])).unwrap();
		base.pin_chain(H256([1; 32])).unwrap();
		let message = base.pin_chain(H256([2; 32])).unwrap_err().to_string();
		assert!(message.contains(&units::hex([1; 32])), "{message}");
		assert!(message.contains(&units::hex([2; 32])), "{message}");
		assert_eq!(base.pinned_chain().unwrap(), Some(H256([1; 32])));
	}

	#[test]
	fn damaged_pin_is_reported_with_the_remedy() {
		let (_dir, base) = base();
		for text in ["", "{}", "{\"genesis\": \"0x12\"}"] {
			fs::write(base.path().join("chain.json"), text).unwrap();
			let message = base.pinned_chain().unwrap_err().to_string();
			assert!(message.contains("chain.json") && message.contains("remove it"), "{message}");
		}
	}
}
