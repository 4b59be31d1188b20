//! The crash-safe journal: what was done, and what was about to be done.
//!
//! An append-only file of JSON lines, each with a checksum, each synced to disk before the act it announces. After
//! `kill -9` at any point the worker reads it back, looks at the finalised chain, and goes on: the update that was
//! trained is committed, never a second different one; the salt of an aggregate commitment is there to reveal it; a
//! transaction that was sent is sent again as the same bytes.
//!
//! A torn last line is what a crash leaves and is dropped: nothing was done on its account yet. A damaged line
//! anywhere else is reported and nothing is guessed.

mod state;
#[cfg(test)]
mod tests;

pub use state::{AggregateState, JournalState, RoundState, SentTx, UpdateState};

use crate::{
	base::{write_atomically, BaseError, BasePath},
	crash,
};
use cairn_primitives::{ArtifactHash, ProgrammeId, RoundIndex, H256};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::{
	fs::{self, File, OpenOptions},
	io::{self, Write},
	os::unix::fs::{DirBuilderExt, OpenOptionsExt},
	path::{Path, PathBuf},
	sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use subxt::utils::AccountId32;

/// One line of the journal.
///
/// Tagged from outside: serde would read an internally tagged entry through a buffer, and what serde_json puts there
/// for a fraction depends on its features, which other crates of the same build choose.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Entry {
	/// These bytes are about to enter the store; they must not be served before the commit window closes.
	Withhold {
		/// The programme.
		programme: ProgrammeId,
		/// The round.
		round: RoundIndex,
		/// The update.
		artifact: ArtifactHash,
	},
	/// The round's update is in the store. It is the one that will be committed.
	UpdateReady {
		/// The programme.
		programme: ProgrammeId,
		/// The round.
		round: RoundIndex,
		/// The update.
		update: UpdateState,
	},
	/// The round's aggregate is in the store, and this is how it was, or will be, committed to.
	AggregateReady {
		/// The programme.
		programme: ProgrammeId,
		/// The round.
		round: RoundIndex,
		/// The committee's number.
		attempt: u32,
		/// Result and salt.
		aggregate: AggregateState,
	},
	/// A signed transaction is about to be sent.
	Sent(SentTx),
	/// The transaction with this key landed in a finalised block, or never will.
	Closed {
		/// What it was for.
		key: String,
		/// Where it landed.
		block: Option<u32>,
	},
	/// The round is over; nothing of it is needed any more.
	Settled {
		/// The programme.
		programme: ProgrammeId,
		/// The round.
		round: RoundIndex,
	},
}

impl Entry {
	/// What it is, for people.
	fn name(&self) -> &'static str {
		match self {
			Self::Withhold { .. } => "an update to withhold",
			Self::UpdateReady { .. } => "an update to commit",
			Self::AggregateReady { .. } => "an aggregate to commit to",
			Self::Sent(_) => "a transaction to send",
			Self::Closed { .. } => "a transaction's end",
			Self::Settled { .. } => "a round's end",
		}
	}
}

/// Why the journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
	/// The file system refused.
	#[error(transparent)]
	Base(#[from] BaseError),
	/// A line in the middle is not what was written.
	#[error(
		"the journal {path} is damaged in line {line} ({reason}). Nothing was changed. If you have no intact copy, move the \
		 file away and start again: the worker then reads from the chain what it has committed, and does nothing of that \
		 twice; an update that was not committed yet is trained anew, and an aggregate whose salt was in the file cannot be \
		 revealed, which costs that round's share",
		path = path.display()
	)]
	Damaged {
		/// The file.
		path: PathBuf,
		/// The line, from 1.
		line: usize,
		/// What is wrong with it.
		reason: String,
	},
	/// A write failed, and was undone: the file is as it was before. Trying again is safe.
	#[error(
		"the journal {path} could not be written ({reason}), so what it was for is not done; nothing is lost, and it is tried \
		 again: free some space on that file system, or raise the quota",
		path = path.display()
	)]
	NotWritten {
		/// The file.
		path: PathBuf,
		/// What the file system said.
		reason: String,
	},
	/// An earlier write failed and could not be undone.
	#[error("the journal {path} could not be written ({reason}), so nothing more is done: free some space or repair the disk, then start again", path = path.display())]
	Broken {
		/// The file.
		path: PathBuf,
		/// What the file system said.
		reason: String,
	},
}

#[derive(Serialize)]
struct LineOut<'a> {
	entry: &'a RawValue,
	sum: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LineIn<'a> {
	#[serde(borrow)]
	entry: &'a RawValue,
	sum: &'a str,
}

fn checksum(entry: &str) -> String {
	hex::encode(&blake3::hash(entry.as_bytes()).as_bytes()[..8])
}

fn encode(entry: &Entry) -> Vec<u8> {
	let entry = serde_json::value::to_raw_value(entry).expect("entries have string keys only; qed");
	let sum = checksum(entry.get());
	let mut line = serde_json::to_vec(&LineOut { entry: &entry, sum }).expect("valid JSON inside; qed");
	line.push(b'\n');
	line
}

fn decode(line: &[u8]) -> Result<Entry, String> {
	let line: LineIn = serde_json::from_slice(line).map_err(|e| e.to_string())?;
	if checksum(line.entry.get()) != line.sum {
		return Err("its checksum does not match".into());
	}
	serde_json::from_str(line.entry.get()).map_err(|e| e.to_string())
}

/// The journal of one account. See the [module](self).
#[derive(Debug)]
pub struct Journal {
	path: PathBuf,
	file: File,
	/// Bytes known to be good and on disk.
	length: u64,
	lines: usize,
	state: JournalState,
	broken: Option<String>,
}

impl Journal {
	/// Opens the journal of `account`, making it if there is none, dropping a torn last line, and dropping what
	/// belongs to settled rounds when there is much of it.
	///
	/// # Errors
	/// [`JournalError::Damaged`] when a line before the last is not what was written.
	pub fn open(base: &BasePath, account: &AccountId32) -> Result<Self, JournalError> {
		let folder = base.journal();
		fs::DirBuilder::new()
			.recursive(true)
			.mode(0o700)
			.create(&folder)
			.map_err(BaseError::io("cannot make the journal folder", &folder))?;
		Self::open_file(&folder.join(format!("{account}.jsonl")))
	}

	fn open_file(path: &Path) -> Result<Self, JournalError> {
		let bytes = match fs::read(path) {
			Ok(bytes) => bytes,
			Err(e) if e.kind() == io::ErrorKind::NotFound => Vec::new(),
			Err(e) => return Err(BaseError::io("cannot read the journal", path)(e).into()),
		};
		let (state, lines, good) = replay(path, &bytes)?;
		let file = open_append(path).map_err(BaseError::io("cannot open the journal", path))?;
		if good < bytes.len() as u64 {
			tracing::warn!(
				"dropped a torn last line of {}: the worker was stopped while writing it",
				path.display()
			);
			let cut = file.set_len(good).and_then(|()| file.sync_all());
			cut.map_err(BaseError::io("cannot cut the torn last line of", path))?;
		}
		let mut journal = Self { path: path.to_path_buf(), file, length: good, lines, state, broken: None };
		journal.compact_if_worthwhile()?;
		Ok(journal)
	}

	/// What the entries add up to.
	pub fn state(&self) -> &JournalState {
		&self.state
	}

	/// Writes an entry, and returns once it is on disk.
	///
	/// # Errors
	/// When the disk refuses; the entry then does not count.
	pub fn append(&mut self, entry: Entry) -> Result<(), JournalError> {
		if let Some(reason) = &self.broken {
			return Err(JournalError::Broken { path: self.path.clone(), reason: reason.clone() });
		}
		let line = encode(&entry);
		let name = entry.name();
		crash::point(&format!("before the journal has {name}"));
		crash::torn(&format!("while the journal gets {name}"), &mut self.file, &line);
		let written = self.file.write_all(&line);
		crash::point(&format!("before {name} is on disk"));
		if let Err(e) = written.and_then(|()| self.file.sync_data()) {
			// Half a line may be there. It must not become the middle of the file.
			let undone = self.file.set_len(self.length).and_then(|()| self.file.sync_all());
			let (path, reason) = (self.path.clone(), e.to_string());
			if undone.is_err() {
				self.broken = Some(reason.clone());
				return Err(JournalError::Broken { path, reason });
			}
			return Err(JournalError::NotWritten { path, reason });
		}
		self.length += line.len() as u64;
		self.lines += 1;
		self.state.apply(entry);
		crash::point(&format!("after the journal has {name}"));
		self.compact_if_worthwhile()
	}

	/// Bytes of the file.
	pub fn bytes(&self) -> u64 {
		self.length
	}

	/// Rewrites the file with what still counts, once most of it does not. When that is not possible, the file stays as
	/// it is.
	fn compact_if_worthwhile(&mut self) -> Result<(), JournalError> {
		let live = self.state.entries();
		if self.lines <= 256 + 4 * live.len() {
			return Ok(());
		}
		let bytes: Vec<u8> = live.iter().flat_map(encode).collect();
		crash::point("before the journal is rewritten");
		let rewritten = write_atomically(&self.path, &bytes, 0o600);
		crash::point("after the journal is rewritten");
		// Even a failed attempt may have put the new file in the old one's place. What is appended must not go into a
		// file that has no name any more.
		let reopened = open_append(&self.path).and_then(|file| Ok((file.metadata()?.len(), file)));
		match reopened {
			Ok((length, file)) if length == bytes.len() as u64 => {
				(self.file, self.length, self.lines) = (file, length, live.len());
			},
			Ok((length, file)) if length == self.length => self.file = file,
			other => {
				let reason = match other {
					Ok((length, _)) => {
						format!("it has {length} bytes after it was rewritten with {}", bytes.len())
					},
					Err(e) => e.to_string(),
				};
				self.broken = Some(reason.clone());
				return Err(JournalError::Broken { path: self.path.clone(), reason });
			},
		}
		if let Err(e) = rewritten {
			tracing::warn!("the journal cannot be made shorter now: {e}");
		}
		Ok(())
	}
}

fn open_append(path: &Path) -> io::Result<File> {
	let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
	if let Some(folder) = path.parent() {
		// So that a new file survives a power cut, too.
		File::open(folder)?.sync_all()?;
	}
	Ok(file)
}

/// The state, the number of lines, and how many bytes from the start are good.
fn replay(path: &Path, bytes: &[u8]) -> Result<(JournalState, usize, u64), JournalError> {
	let mut state = JournalState::default();
	let (mut good, mut count) = (0, 0);
	while good < bytes.len() {
		let rest = &bytes[good..];
		let end = rest.iter().position(|b| *b == b'\n');
		let line = &rest[..end.unwrap_or(rest.len())];
		match (decode(line), end) {
			(Ok(entry), Some(end)) => {
				state.apply(entry);
				good += end + 1;
				count += 1;
			},
			// No line end: the write was cut short, whatever can be read of it.
			(_, None) => break,
			// The file may have grown on disk before its contents were there; then nothing good follows.
			(Err(_), Some(end)) if rest[end + 1..].iter().all(|b| *b == 0) => break,
			(Err(reason), Some(_)) => {
				return Err(JournalError::Damaged { path: path.to_path_buf(), line: count + 1, reason });
			},
		}
	}
	Ok((state, count, good as u64))
}

/// The journal, shared between the daemon's tasks.
#[derive(Clone, Debug)]
pub struct SharedJournal(Arc<Mutex<Journal>>);

impl SharedJournal {
	/// Shares a journal.
	pub fn new(journal: Journal) -> Self {
		Self(Arc::new(Mutex::new(journal)))
	}

	/// Writes an entry, and returns once it is on disk.
	///
	/// # Errors
	/// As [`Journal::append`].
	pub fn append(&self, entry: Entry) -> Result<(), JournalError> {
		self.lock().append(entry)
	}

	/// Bytes of the file.
	pub fn bytes(&self) -> u64 {
		self.lock().bytes()
	}

	/// A copy of what the entries add up to.
	pub fn state(&self) -> JournalState {
		self.lock().state().clone()
	}

	/// Reads something out of the state.
	pub fn read<R>(&self, f: impl FnOnce(&JournalState) -> R) -> R {
		f(self.lock().state())
	}

	fn lock(&self) -> MutexGuard<'_, Journal> {
		// A panic elsewhere cannot leave an entry half applied: the file is written before the state.
		self.0.lock().unwrap_or_else(PoisonError::into_inner)
	}
}

/// Remembers which transactions are under way, so that they can be taken up again.
pub trait SentLog: Send + Sync {
	/// The transaction that was sent for `key` and is not closed.
	fn pending(&self, key: &str) -> Option<SentTx>;
	/// A transaction is about to be sent. Must be durable when it returns.
	///
	/// # Errors
	/// When it could not be written; the transaction must not be sent then.
	fn sent(&self, tx: &SentTx) -> Result<(), JournalError>;
	/// The transaction landed, or never will.
	///
	/// # Errors
	/// When it could not be written.
	fn closed(&self, key: &str, block: Option<u32>) -> Result<(), JournalError>;
}

impl SentLog for SharedJournal {
	fn pending(&self, key: &str) -> Option<SentTx> {
		self.read(|state| state.sent.get(key).cloned())
	}

	fn sent(&self, tx: &SentTx) -> Result<(), JournalError> {
		self.append(Entry::Sent(tx.clone()))
	}

	fn closed(&self, key: &str, block: Option<u32>) -> Result<(), JournalError> {
		self.append(Entry::Closed { key: key.to_string(), block })
	}
}

/// Forgets everything: for commands whose effect is looked up on chain anyway.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoLog;

impl SentLog for NoLog {
	fn pending(&self, _: &str) -> Option<SentTx> {
		None
	}

	fn sent(&self, _: &SentTx) -> Result<(), JournalError> {
		Ok(())
	}

	fn closed(&self, _: &str, _: Option<u32>) -> Result<(), JournalError> {
		Ok(())
	}
}

/// Serialises bytes as `0x…`.
mod hex_bytes {
	use serde::{de::Error, Deserialize, Deserializer, Serializer};

	pub fn serialize<S: Serializer>(bytes: &[u8], s: S) -> Result<S::Ok, S::Error> {
		s.serialize_str(&crate::units::hex(bytes))
	}

	pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<u8>, D::Error> {
		let text = String::deserialize(d)?;
		hex::decode(text.strip_prefix("0x").unwrap_or(&text)).map_err(D::Error::custom)
	}
}

/// A fresh salt, so that nobody can guess a committed aggregate.
pub fn fresh_salt() -> H256 {
	use rand_core::RngCore;
	let mut salt = [0u8; 32];
	rand_core::OsRng.fill_bytes(&mut salt);
	H256(salt)
}
