//! Fetching artifacts: whom to ask, in which order, and what to believe.

use crate::{
	identity::{peer_id_of_network_key, InvalidNetworkKey},
	node::{Command, Shared},
	partial::{Outcome, Partial},
	protocol::{BlobRequest, BlobResponse, Refusal},
};
use cairn_artifacts::Store;
use cairn_primitives::ArtifactHash;
use futures::{
	stream::{FuturesOrdered, FuturesUnordered},
	StreamExt,
};
use libp2p::PeerId;
use std::{
	collections::{BTreeMap, BTreeSet, HashMap},
	fmt,
	path::PathBuf,
	sync::{
		atomic::{AtomicBool, Ordering},
		Arc, Mutex, MutexGuard, PoisonError, Weak,
	},
	time::Duration,
};
use tokio::{
	sync::{mpsc, oneshot, watch, OwnedMutexGuard, Semaphore},
	time::{sleep, timeout},
};

/// Providers that are passed on from Kademlia before the fetch has tried the first of them.
const PROVIDERS: usize = 32;

/// How long holders of one kind may take to connect before those of the next kind are tried beside them.
const HEAD_START: Duration = Duration::from_secs(2);

/// How often a busy holder is asked again, without anything having come in between, before the next one's turn.
const BUSY: u32 = 5;

/// How a holder was found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Route {
	/// The caller named it.
	Preferred,
	/// Kademlia has a provider record for it.
	Provider,
	/// It was connected, and was asked whether it has the artifact.
	Connected,
}

impl fmt::Display for Route {
	fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
		f.write_str(match self {
			Self::Preferred => "preferred",
			Self::Provider => "provider",
			Self::Connected => "connected",
		})
	}
}

/// Why a source gave no artifact.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Problem {
	/// The key names no peer.
	#[error(transparent)]
	InvalidKey(#[from] InvalidNetworkKey),
	/// Neither this node nor Kademlia knows where it is.
	#[error("no address of it is known; is it running, and joined through the same bootstrap nodes?")]
	NoAddress,
	/// It could not be reached.
	#[error("cannot be reached: {0}")]
	Dial(String),
	/// This node does not admit it.
	#[error("is not admitted: {0}")]
	NotAdmitted(String),
	/// This node has banned it.
	#[error("is banned: {0}")]
	Banned(String),
	/// It refused.
	#[error("{0}")]
	Refused(Refusal),
	/// It says that the artifact is larger than this node takes.
	#[error("says that it has {declared} bytes, more than the limit `max_artifact_len` of {max}")]
	TooLarge {
		/// What it says, bytes.
		declared: u64,
		/// The limit, bytes.
		max: u64,
	},
	/// What it sent has another hash.
	#[error("sent bytes with another hash; it is kept out for a while")]
	WrongBytes,
	/// What several peers sent together has another hash, and it is not known whose fault that is.
	#[error("bytes from several peers do not fit together")]
	Mixed,
	/// It does not follow the protocol.
	#[error("does not follow the protocol: {0}")]
	Protocol(String),
	/// It did not answer in time.
	#[error("did not answer in time")]
	TimedOut,
	/// The connection broke.
	#[error("the connection closed; it may have gone, or not admit this device")]
	Disconnected,
}

/// What came of asking one source.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SourceReport {
	/// The peer; `None` for a preferred key that names none.
	pub peer: Option<PeerId>,
	/// How it was found.
	pub route: Route,
	/// How often it was asked.
	pub attempts: u32,
	/// What went wrong the last time.
	pub problem: Problem,
}

impl fmt::Display for SourceReport {
	fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
		match &self.peer {
			Some(peer) => {
				write!(f, "{peer} ({}, asked {} times) {}", self.route, self.attempts, self.problem)
			},
			None => write!(f, "{} {}", self.route, self.problem),
		}
	}
}

struct Sources<'a>(&'a [SourceReport]);

impl fmt::Display for Sources<'_> {
	fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
		if self.0.is_empty() {
			return f.write_str(
				"nobody could be asked; check that the bootstrap addresses are right and reachable",
			);
		}
		for (i, source) in self.0.iter().enumerate() {
			write!(f, "{}{source}", if i == 0 { "" } else { "; " })?;
		}
		Ok(())
	}
}

/// Why an artifact was not fetched.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FetchError {
	/// Nobody gave it in time.
	#[error("artifact {hash:?} was not obtained within {} s: {}", waited.as_secs(), Sources(sources))]
	NotObtained {
		/// The artifact.
		hash: ArtifactHash,
		/// How long it was tried.
		waited: Duration,
		/// Who was asked, and what went wrong.
		sources: Vec<SourceReport>,
	},
	/// This machine could not keep it.
	#[error(
		"artifact {hash:?} was found but could not be stored: {message}; check the disk, then fetch it again"
	)]
	Local {
		/// The artifact.
		hash: ArtifactHash,
		/// What went wrong.
		message: String,
	},
	/// As many artifacts as the limit allows are being fetched.
	#[error("artifact {hash:?} was not asked for: {limit} fetches (the limit `max_fetches`) are under way; wait for some to end")]
	TooMany {
		/// The artifact.
		hash: ArtifactHash,
		/// The limit.
		limit: usize,
	},
	/// The network was shut down.
	#[error("artifact {hash:?} was not fetched: the network has been shut down")]
	Stopped {
		/// The artifact.
		hash: ArtifactHash,
	},
}

/// Where a fetched artifact came from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fetched {
	/// It was in the store already.
	AlreadyStored,
	/// A peer gave it (the last bytes of it, when several did).
	From {
		/// The peer.
		peer: PeerId,
		/// How it was found.
		route: Route,
	},
}

/// Why a transfer from one peer did not end with the artifact in the store.
enum Failure {
	/// The peer's doing: ask another.
	Peer(Problem),
	/// This machine's doing: another peer would not help.
	Local(String),
	/// The node has stopped.
	Stopped,
}

impl From<Problem> for Failure {
	fn from(problem: Problem) -> Self {
		Self::Peer(problem)
	}
}

type FlightResult = Option<Result<Fetched, FetchError>>;

/// A fetch under way, shared by all who want the same artifact. It ends when nobody wants it any more.
struct Flight {
	notes: Arc<Notes>,
	result: watch::Receiver<FlightResult>,
	task: tokio::task::AbortHandle,
}

impl Drop for Flight {
	fn drop(&mut self) {
		self.task.abort();
	}
}

/// What a fetch knows and has learnt.
#[derive(Default)]
struct Notes {
	preferred: Mutex<Vec<[u8; 32]>>,
	reports: Mutex<Vec<SourceReport>>,
	/// Set once bytes of several peers did not fit together: from then on, nothing is mixed.
	solo: AtomicBool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
	mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Notes {
	fn prefer(&self, keys: Vec<[u8; 32]>) {
		let mut preferred = lock(&self.preferred);
		for key in keys {
			if !preferred.contains(&key) {
				preferred.push(key);
			}
		}
	}

	fn report(&self, peer: Option<PeerId>, route: Route, problem: Problem) {
		let mut reports = lock(&self.reports);
		match reports
			.iter_mut()
			.find(|report| report.peer == peer && (peer.is_some() || report.problem == problem))
		{
			Some(report) => {
				report.attempts += 1;
				report.problem = problem;
			},
			None => reports.push(SourceReport { peer, route, attempts: 1, problem }),
		}
	}
}

/// A place for an unfinished transfer. A file operation that was left behind by a fetch that nobody wanted any more
/// still holds it, so that the next fetch of the same artifact waits for it.
type Slot = Arc<tokio::sync::Mutex<Option<Partial>>>;

/// Runs fetches.
pub(crate) struct Fetcher {
	shared: Arc<Shared>,
	store: Store,
	partials: PathBuf,
	commands: mpsc::Sender<Command>,
	transfers: Semaphore,
	flights: Mutex<HashMap<ArtifactHash, Weak<Flight>>>,
	slots: Mutex<BTreeMap<ArtifactHash, Weak<tokio::sync::Mutex<Option<Partial>>>>>,
}

impl Fetcher {
	pub(crate) fn new(
		shared: Arc<Shared>,
		store: Store,
		partials: PathBuf,
		commands: mpsc::Sender<Command>,
	) -> Arc<Self> {
		let transfers = Semaphore::new(shared.limits.max_transfers);
		Arc::new(Self {
			shared,
			store,
			partials,
			commands,
			transfers,
			flights: Mutex::default(),
			slots: Mutex::default(),
		})
	}

	pub(crate) fn commands(&self) -> &mpsc::Sender<Command> {
		&self.commands
	}

	/// Fetches an artifact, together with everybody else who wants it.
	pub(crate) async fn fetch(
		self: &Arc<Self>,
		hash: ArtifactHash,
		preferred: Vec<[u8; 32]>,
		within: Duration,
	) -> Result<Fetched, FetchError> {
		let counted = &self.shared.counted;
		let result = self.fetch_uncounted(hash, preferred, within).await;
		match &result {
			Ok(_) => counted.fetches_ok.add(1),
			Err(error) => {
				tracing::debug!(%error, "fetch failed");
				counted.fetches_failed.add(1);
			},
		}
		result
	}

	async fn fetch_uncounted(
		self: &Arc<Self>,
		hash: ArtifactHash,
		preferred: Vec<[u8; 32]>,
		within: Duration,
	) -> Result<Fetched, FetchError> {
		if self.store.contains(&hash) {
			return Ok(Fetched::AlreadyStored);
		}
		if self.commands.is_closed() {
			return Err(FetchError::Stopped { hash });
		}
		let flight = self.join(hash, preferred)?;
		let mut result = flight.result.clone();
		let outcome = match timeout(within, result.wait_for(Option::is_some)).await {
			Ok(Ok(result)) => result.clone(),
			// The task is gone without a word: the runtime is shutting down.
			Ok(Err(_)) => Some(Err(FetchError::Stopped { hash })),
			Err(_) => None,
		};
		outcome.unwrap_or_else(|| {
			Err(FetchError::NotObtained {
				hash,
				waited: within,
				sources: lock(&flight.notes.reports).clone(),
			})
		})
	}

	/// The fetch of this artifact that is under way, or a new one.
	fn join(
		self: &Arc<Self>,
		hash: ArtifactHash,
		preferred: Vec<[u8; 32]>,
	) -> Result<Arc<Flight>, FetchError> {
		let mut flights = lock(&self.flights);
		let under_way = flights
			.get(&hash)
			.and_then(Weak::upgrade)
			// One that has failed already is not joined: it would hand on an old error.
			.filter(|flight| flight.result.borrow().is_none());
		if let Some(flight) = under_way {
			flight.notes.prefer(preferred);
			return Ok(flight);
		}
		let limit = self.shared.limits.max_fetches;
		if flights.len() >= limit {
			flights.retain(|_, flight| flight.strong_count() > 0);
			if flights.len() >= limit {
				return Err(FetchError::TooMany { hash, limit });
			}
		}
		let notes = Arc::new(Notes::default());
		notes.prefer(preferred);
		let (done, result) = watch::channel(None);
		let task = {
			let (fetcher, notes) = (self.clone(), notes.clone());
			tokio::spawn(async move {
				let result = fetcher.run(hash, &notes).await;
				done.send_replace(Some(result));
			})
		};
		let flight = Arc::new(Flight { notes, result, task: task.abort_handle() });
		flights.insert(hash, Arc::downgrade(&flight));
		Ok(flight)
	}

	/// Asks round after round until somebody gives the artifact. Whoever wants it decides how long.
	async fn run(&self, hash: ArtifactHash, notes: &Notes) -> Result<Fetched, FetchError> {
		let limits = &self.shared.limits;
		let mut peers = self.shared.connected.subscribe();
		let mut backoff = limits.backoff_min;
		loop {
			peers.mark_unchanged();
			match self.round(hash, notes).await {
				Ok(Some(fetched)) => return Ok(fetched),
				Ok(None) => {},
				Err(Failure::Local(message)) => return Err(FetchError::Local { hash, message }),
				Err(Failure::Stopped | Failure::Peer(_)) => return Err(FetchError::Stopped { hash }),
			}
			// Somebody new may have it, but a crowd that comes and goes must not set the pace.
			sleep(limits.backoff_min).await;
			if timeout(backoff - limits.backoff_min, peers.changed()).await.is_err() {
				backoff = backoff.saturating_mul(2).min(limits.backoff_max);
			}
		}
	}

	/// Asks everybody once: first those whom the caller named, then providers, then whoever is connected. All are
	/// connected to at once, so that one that is not there holds nobody up; one at a time transfers.
	async fn round(&self, hash: ArtifactHash, notes: &Notes) -> Result<Option<Fetched>, Failure> {
		let mut asked = BTreeSet::from([self.shared.local]);
		let mut connecting = FuturesUnordered::new();
		let connect = |peer, route| async move { (peer, route, self.connect(peer).await) };
		let preferred = lock(&notes.preferred).clone();
		for key in preferred {
			match peer_id_of_network_key(key) {
				Ok(peer) if asked.insert(peer) => connecting.push(connect(peer, Route::Preferred)),
				Ok(_) => {},
				Err(error) => notes.report(None, Route::Preferred, error.into()),
			}
		}
		// The kind of holders that were tried last.
		let mut kind = Route::Preferred;
		let mut providers: Option<mpsc::Receiver<PeerId>> = None;
		let mut head_start = Box::pin(sleep(HEAD_START));
		loop {
			let idle = connecting.is_empty() && providers.is_none();
			if idle || head_start.is_elapsed() {
				kind = match kind {
					Route::Preferred => {
						let (found, receiver) = mpsc::channel(PROVIDERS);
						self.send(Command::Providers { hash, found }).await?;
						providers = Some(receiver);
						Route::Provider
					},
					Route::Provider => {
						let connected = self.shared.connected.borrow().clone();
						for peer in connected.into_iter().filter(|peer| asked.insert(*peer)) {
							connecting.push(connect(peer, Route::Connected));
						}
						Route::Connected
					},
					Route::Connected if idle => return Ok(None),
					Route::Connected => Route::Connected,
				};
				head_start = Box::pin(sleep(HEAD_START));
				continue;
			}
			tokio::select! {
				Some((peer, route, connected)) = connecting.next() => {
					if let Some(fetched) = self.ask_peer(hash, peer, route, connected, notes).await? {
						return Ok(Some(fetched));
					}
				},
				found = async { providers.as_mut()?.recv().await }, if providers.is_some() => match found {
					Some(peer) if asked.insert(peer) => connecting.push(connect(peer, Route::Provider)),
					Some(_) => {},
					None => providers = None,
				},
				() = &mut head_start, if kind != Route::Connected => {},
			}
		}
	}

	async fn ask_peer(
		&self,
		hash: ArtifactHash,
		peer: PeerId,
		route: Route,
		connected: Result<(), Failure>,
		notes: &Notes,
	) -> Result<Option<Fetched>, Failure> {
		// The caller of an earlier fetch, or a program beside this one, may have stored it meanwhile.
		if self.store.contains(&hash) {
			return Ok(Some(Fetched::AlreadyStored));
		}
		let result = match connected {
			Ok(()) => self.transfer(hash, peer, notes).await,
			Err(failure) => Err(failure),
		};
		match result {
			Ok(()) => Ok(Some(Fetched::From { peer, route })),
			Err(Failure::Peer(problem)) => {
				tracing::debug!(artifact = ?hash, %peer, %route, %problem, "no artifact from this source");
				notes.report(Some(peer), route, problem);
				Ok(None)
			},
			Err(failure) => Err(failure),
		}
	}

	/// Transfers the artifact from one peer, going on from where an earlier transfer broke off.
	async fn transfer(&self, hash: ArtifactHash, peer: PeerId, notes: &Notes) -> Result<(), Failure> {
		let _permit = self.transfers.acquire().await.map_err(|_| Failure::Stopped)?;
		let slot = self.slot(hash);
		let mut restarted = false;
		loop {
			let solo = notes.solo.load(Ordering::Relaxed);
			let have = self
				.on_disk(&slot, hash, move |partial| {
					if solo && !partial.is_from_only(&peer) {
						partial.reset().map_err(|error| error.to_string())?;
					}
					Ok(partial.len())
				})
				.await?;
			match self.stream(&slot, hash, peer, have).await? {
				Some(Outcome::Stored) => return Ok(()),
				Some(Outcome::Wrong { liar: Some(liar) }) => {
					let reason = format!("sent bytes for artifact {hash:?} that have another hash");
					self.send(Command::Ban { peer: liar, reason }).await?;
					if liar == peer {
						return Err(Problem::WrongBytes.into());
					}
				},
				// Several peers' bytes, or lengths, do not fit together: start over and take all of it from one.
				Some(Outcome::Wrong { liar: None }) => {},
				None => {
					self.on_disk(&slot, hash, |partial| partial.reset().map_err(|error| error.to_string()))
						.await?;
				},
			}
			notes.solo.store(true, Ordering::Relaxed);
			if restarted {
				return Err(Problem::Mixed.into());
			}
			restarted = true;
		}
	}

	/// Streams from `have` on to the end. `None` when the peer contradicts what is there about the length.
	async fn stream(
		&self,
		slot: &Slot,
		hash: ArtifactHash,
		peer: PeerId,
		mut have: u64,
	) -> Result<Option<Outcome>, Failure> {
		let limits = &self.shared.limits;
		let max = limits.max_artifact_len;
		let chunk_len = u64::from(limits.chunk_len);
		let mut total = None;
		let mut next = have;
		let mut asked = FuturesOrdered::new();
		let mut in_flight = limits.chunks_in_flight;
		let mut busy = 0;
		loop {
			// The first answer tells how much there is to ask for.
			while asked.is_empty() || (asked.len() < in_flight && total.is_some_and(|t| next < t)) {
				let request = BlobRequest { hash, offset: next, max_len: limits.chunk_len };
				asked.push_back(self.ask(peer, request));
				next += chunk_len;
			}
			let answer = asked.next().await.expect("the queue was filled above; qed")?;
			let (declared, bytes) = match answer {
				BlobResponse::Chunk { total_len, bytes } => (total_len, bytes),
				BlobResponse::Refused(Refusal::OutOfRange) if have > 0 => return Ok(None),
				// It serves many, perhaps this node's other fetches: ask for less, and more slowly.
				BlobResponse::Refused(Refusal::Busy) if busy < BUSY => {
					busy += 1;
					in_flight = 1;
					asked.clear();
					next = have;
					sleep(limits.backoff_min).await;
					continue;
				},
				BlobResponse::Refused(refusal) => return Err(Problem::Refused(refusal).into()),
			};
			if declared > max {
				return Err(Problem::TooLarge { declared, max }.into());
			}
			let Some(left) = declared.checked_sub(have) else { return Ok(None) };
			// Exactly what is due: less would let a peer hold a transfer up for ever, one byte at a time.
			if bytes.len() as u64 != left.min(chunk_len) {
				let message = format!(
					"sent {} bytes from {have} on of an artifact of {declared} when asked for {chunk_len}",
					bytes.len()
				);
				return Err(Problem::Protocol(message).into());
			}
			self.shared.counted.blob_in.add(bytes.len() as u64);
			let store = self.store.clone();
			let len = bytes.len() as u64;
			let outcome = self
				.on_disk(slot, hash, move |partial| {
					if !partial.declare(declared) {
						return Ok(Some(None));
					}
					partial.append(peer, &bytes).map_err(|error| error.to_string())?;
					if partial.len() < declared {
						return Ok(None);
					}
					partial.finish(&store).map(|outcome| Some(Some(outcome)))
				})
				.await?;
			match outcome {
				None => {},
				Some(end) => return Ok(end),
			}
			have += len;
			total = Some(declared);
			busy = 0;
		}
	}

	/// Makes sure that the peer is connected and admitted.
	async fn connect(&self, peer: PeerId) -> Result<(), Failure> {
		match self.connect_once(peer).await {
			// Perhaps somebody else knows where it is, or where it has moved to.
			Err(Failure::Peer(Problem::NoAddress | Problem::Dial(_))) => {
				let (reply, found) = oneshot::channel();
				self.send(Command::Find { peer, reply }).await?;
				if found.await.is_err() {
					return Err(Failure::Stopped);
				}
				self.connect_once(peer).await
			},
			result => result,
		}
	}

	async fn connect_once(&self, peer: PeerId) -> Result<(), Failure> {
		let limits = &self.shared.limits;
		let (reply, connected) = oneshot::channel();
		self.send(Command::Connect { peer, reply }).await?;
		// The node answers by itself well before; this is for a dial that never ends.
		let patience = (limits.dial_timeout + limits.policy_timeout) * 2;
		match timeout(patience, connected).await {
			Ok(Ok(result)) => result.map_err(Failure::Peer),
			Ok(Err(_)) => Err(Failure::Stopped),
			Err(_) => Err(Problem::TimedOut.into()),
		}
	}

	async fn ask(&self, peer: PeerId, request: BlobRequest) -> Result<BlobResponse, Failure> {
		let (reply, answer) = oneshot::channel();
		self.send(Command::Ask { peer, request, reply }).await?;
		match timeout(self.shared.limits.chunk_timeout * 2, answer).await {
			Ok(Ok(result)) => result.map_err(Failure::Peer),
			Ok(Err(_)) => Err(Failure::Stopped),
			Err(_) => Err(Problem::TimedOut.into()),
		}
	}

	async fn send(&self, command: Command) -> Result<(), Failure> {
		self.commands.send(command).await.map_err(|_| Failure::Stopped)
	}

	fn slot(&self, hash: ArtifactHash) -> Slot {
		let mut slots = lock(&self.slots);
		if let Some(slot) = slots.get(&hash).and_then(Weak::upgrade) {
			return slot;
		}
		slots.retain(|_, slot| slot.strong_count() > 0);
		let slot = Slot::default();
		slots.insert(hash, Arc::downgrade(&slot));
		slot
	}

	/// Does something with the unfinished transfer on a thread that may block.
	async fn on_disk<R: Send + 'static>(
		&self,
		slot: &Slot,
		hash: ArtifactHash,
		action: impl FnOnce(&mut Partial) -> Result<R, String> + Send + 'static,
	) -> Result<R, Failure> {
		let mut guard: OwnedMutexGuard<Option<Partial>> = slot.clone().lock_owned().await;
		let folder = self.partials.clone();
		let max = self.shared.limits.max_artifact_len;
		let done = tokio::task::spawn_blocking(move || {
			let partial = match &mut *guard {
				Some(partial) => partial,
				none => none.insert(
					Partial::open(&folder, hash, max)
						.map_err(|error| format!("{}: {error}", folder.display()))?,
				),
			};
			action(partial)
		});
		done.await.map_err(|error| Failure::Local(error.to_string()))?.map_err(Failure::Local)
	}
}
