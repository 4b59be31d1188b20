//! `cairn-hostile-worker`: `cairn-worker` that does harm, for the chaos runs of a devnet.
//!
//! It is the worker's own library with one part of it replaced, so that everything else that it does is what an honest
//! worker does. What is replaced is in the environment; see [`Attack`]. Each deed is a line on standard output, beside
//! the worker's own events.

use async_trait::async_trait;
use cairn_artifacts::Store;
use cairn_devnet::worker::{Attack, ATTACK};
use cairn_network::{AccessPolicy, Admission};
use cairn_primitives::{
	round::{aggregate_commitment, quality_digest},
	ArtifactHash, DeviceId, ProgrammeId, RoundIndex, H256,
};
use cairn_worker::{
	chain::{api::Rewards, Call, ChainError, Challenge, Device, Heads, Landed, Round, SubmitError},
	cli::{main_with, Embedding},
	daemon::Ledger,
	journal::SharedJournal,
	plan::{ChainView, Duties},
	trainer::{LocalUpdate, Progress, TrainJob, Trainer, TrainerError},
};
use serde_json::{json, Value};
use std::{
	collections::HashMap,
	fs::{self, File},
	io::{self, Write},
	path::Path,
	process::ExitCode,
	sync::{
		atomic::{AtomicU32, Ordering},
		Arc, Mutex, PoisonError,
	},
	thread,
	time::{Duration, SystemTime},
};
use subxt::utils::AccountId32;

/// How long a file in the store holds other bytes than its name says.
const SPOILED: Duration = Duration::from_millis(100);

fn main() -> ExitCode {
	match std::env::var(ATTACK).ok().map(|text| text.parse::<Attack>()) {
		None => main_with(Hostile(None)),
		Some(Ok(attack)) => main_with(Hostile(Some(attack))),
		Some(Err(e)) => {
			eprintln!("{ATTACK}: {e}");
			ExitCode::from(2)
		},
	}
}

/// Says what was done.
fn confess(event: &str, mut fields: Value) {
	fields["event"] = event.into();
	// Nobody to listen is nothing to stop for.
	let _ = writeln!(io::stdout().lock(), "{fields}");
}

/// Without an attack it is the worker as it is: so it registers.
struct Hostile(Option<Attack>);

impl Embedding for Hostile {
	fn trainer(&self, inner: Arc<dyn Trainer>) -> Arc<dyn Trainer> {
		match self.0 {
			Some(attack @ (Attack::SignFlip(_) | Attack::NotANumber)) => Arc::new(Forger { inner, attack }),
			_ => inner,
		}
	}

	fn ledger(
		&self,
		inner: Arc<dyn Ledger>,
		journal: &SharedJournal,
		account: AccountId32,
	) -> Arc<dyn Ledger> {
		match self.0 {
			Some(Attack::FalseAggregate) => Arc::new(Liar { inner, journal: journal.clone(), account }),
			_ => inner,
		}
	}

	fn policy(&self, inner: Arc<dyn AccessPolicy>, store: &Store) -> Arc<dyn AccessPolicy> {
		match self.0 {
			Some(Attack::WrongBytes) => {
				Arc::new(Spoiler { inner, store: store.clone(), served: Mutex::default() })
			},
			_ => inner,
		}
	}
}

/// Trains, and hands over something else.
struct Forger {
	inner: Arc<dyn Trainer>,
	attack: Attack,
}

impl Trainer for Forger {
	fn local_steps(&self, job: &TrainJob) -> Result<u32, TrainerError> {
		self.inner.local_steps(job)
	}

	fn train(&self, job: &TrainJob, progress: Progress<'_>) -> Result<LocalUpdate, TrainerError> {
		let mut update = self.inner.train(job, progress)?;
		let elements = update.tensors.iter_mut().flat_map(|tensor| &mut tensor.data);
		match self.attack {
			Attack::SignFlip(times) => elements.for_each(|x| *x *= -f32::from(times)),
			Attack::NotANumber => elements.take(1).for_each(|x| *x = f32::NAN),
			Attack::FalseAggregate | Attack::WrongBytes => {},
		}
		confess("hostile.forged", json!({ "attack": self.attack.to_string() }));
		Ok(update)
	}
}

/// Commits to, and reveals, weights that nobody computed.
struct Liar {
	inner: Arc<dyn Ledger>,
	journal: SharedJournal,
	account: AccountId32,
}

/// The lie about a result: always the same one, so that what was committed to can be revealed after a restart.
fn lie(result: &ArtifactHash) -> ArtifactHash {
	H256(*blake3::hash(result.as_bytes()).as_bytes())
}

impl Liar {
	fn twist(&self, call: &Call) -> Option<Call> {
		match call {
			Call::CommitAggregate { programme, round, attempt, .. } => {
				let (programme, round, attempt) = (*programme, *round, *attempt);
				let found = self.journal.read(|j| j.aggregate(programme, round, attempt).cloned())?;
				let commitment = aggregate_commitment(
					&self.inner.genesis(),
					programme,
					round,
					attempt,
					&self.account.0,
					&lie(&found.result),
					&found.quality,
					&found.salt.0,
				);
				Some(Call::CommitAggregate { programme, round, attempt, commitment })
			},
			Call::RevealAggregate { programme, round, attempt, result, quality, salt } => {
				let (programme, round, attempt) = (*programme, *round, *attempt);
				let (result, quality) = (lie(result), quality.clone());
				let deed = json!({
					"programme": programme, "round": round, "attempt": attempt, "result": result,
					"quality": quality_digest(&quality),
				});
				confess("hostile.lied", deed);
				Some(Call::RevealAggregate { programme, round, attempt, result, quality, salt: *salt })
			},
			_ => None,
		}
	}
}

#[async_trait]
impl Ledger for Liar {
	async fn submit(&self, key: &str, call: &Call) -> Result<Landed, SubmitError> {
		match self.twist(call) {
			Some(twisted) => self.inner.submit(key, &twisted).await,
			None => self.inner.submit(key, call).await,
		}
	}

	// The rest is as it is.

	fn genesis(&self) -> H256 {
		self.inner.genesis()
	}

	fn heads(&self) -> &Heads {
		self.inner.heads()
	}

	async fn view(&self, duties: &Duties) -> Result<ChainView, ChainError> {
		self.inner.view(duties).await
	}

	async fn round(&self, programme: ProgrammeId, index: RoundIndex) -> Result<Option<Round>, ChainError> {
		self.inner.round(programme, index).await
	}

	async fn best_round(&self, programme: ProgrammeId) -> Result<Option<Round>, ChainError> {
		self.inner.best_round(programme).await
	}

	async fn device(&self, id: DeviceId) -> Result<Option<Device>, ChainError> {
		self.inner.device(id).await
	}

	async fn device_of(&self, account: &AccountId32) -> Result<Option<Device>, ChainError> {
		self.inner.device_of(account).await
	}

	async fn device_of_network_key(&self, key: &[u8; 32]) -> Result<Option<Device>, ChainError> {
		self.inner.device_of_network_key(key).await
	}

	async fn local_steps(&self, id: DeviceId, max: u32) -> Result<u32, ChainError> {
		self.inner.local_steps(id, max).await
	}

	async fn drawable(&self, id: ProgrammeId) -> Result<u32, ChainError> {
		self.inner.drawable(id).await
	}

	async fn open_challenge(&self, id: DeviceId) -> Result<Option<Challenge>, ChainError> {
		self.inner.open_challenge(id).await
	}

	async fn block_hash(&self, number: u32) -> Result<Option<H256>, ChainError> {
		self.inner.block_hash(number).await
	}

	async fn block_time(&self) -> Result<Duration, ChainError> {
		self.inner.block_time().await
	}

	async fn aggregators(&self) -> Result<Vec<AccountId32>, ChainError> {
		self.inner.aggregators().await
	}

	async fn rewards(&self, programme: ProgrammeId) -> Result<Rewards, ChainError> {
		self.inner.rewards(programme).await
	}

	async fn is_syncing(&self) -> Result<bool, ChainError> {
		self.inner.is_syncing().await
	}
}

/// Serves bytes that were changed since they were checked.
///
/// A worker checks what it gives out the first time that it is asked for, and again when the file's size or time has
/// changed. So a request or two are answered as they should be, and for the next one the file has other bytes and the
/// same size and time, as long as it is read; and so on. What is spoiled is the last byte, which every transfer asks for.
struct Spoiler {
	inner: Arc<dyn AccessPolicy>,
	store: Store,
	served: Mutex<HashMap<ArtifactHash, Served>>,
}

/// Every so many requests one is answered with wrong bytes.
const EVERY: u32 = 3;

/// A file as it was when it was served for the first time, and how often it was asked for since.
struct Served {
	original: Arc<(Vec<u8>, SystemTime)>,
	requests: u32,
}

/// Replaces a file at once, and gives it this time.
fn replace(path: &Path, bytes: &[u8], modified: SystemTime) -> io::Result<()> {
	// Two may be at it at a time.
	static COUNT: AtomicU32 = AtomicU32::new(0);
	let aside = path.with_extension(format!("aside-{}", COUNT.fetch_add(1, Ordering::Relaxed)));
	let mut file = File::create(&aside)?;
	file.write_all(bytes)?;
	file.set_modified(modified)?;
	fs::rename(&aside, path)
}

impl Spoiler {
	fn spoil(&self, hash: &ArtifactHash) -> io::Result<bool> {
		let path = self.store.path(hash);
		let mut served = self.served.lock().unwrap_or_else(PoisonError::into_inner);
		let Some(file) = served.get_mut(hash) else {
			let original = Arc::new((fs::read(&path)?, fs::metadata(&path)?.modified()?));
			served.insert(*hash, Served { original, requests: 1 });
			return Ok(false);
		};
		file.requests += 1;
		let original = file.original.clone();
		let (mut bytes, modified) = (original.0.clone(), original.1);
		if file.requests % EVERY != 0 {
			// It may still be as the last one got it.
			replace(&path, &bytes, modified)?;
			return Ok(false);
		}
		if let Some(last) = bytes.last_mut() {
			*last ^= 1;
		}
		replace(&path, &bytes, modified)?;
		drop(served);
		thread::spawn(move || {
			thread::sleep(SPOILED);
			// This worker itself needs the artifact.
			replace(&path, &original.0, modified)
		});
		Ok(true)
	}
}

#[async_trait]
impl AccessPolicy for Spoiler {
	async fn admits(&self, network_key: [u8; 32]) -> Admission {
		self.inner.admits(network_key).await
	}

	fn may_serve(&self, hash: &ArtifactHash) -> bool {
		if !self.inner.may_serve(hash) {
			return false;
		}
		match self.spoil(hash) {
			Ok(true) => confess("hostile.served", json!({ "artifact": hash })),
			Ok(false) => {},
			Err(e) => eprintln!("{hash:?} cannot be spoiled: {e}"),
		}
		true
	}
}
