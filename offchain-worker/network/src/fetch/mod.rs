//! Fetching artifacts: whom to ask, in which order, and what to believe.

mod report;

pub use report::{FetchError, Fetched, MaxLen, Problem, Route, Shortage, Source, SourceReport};

use crate::{
	identity::peer_id_of_network_key,
	node::{Command, Shared},
	partial::{Claim, Partial},
	protocol::{BlobRequest, BlobResponse, Refusal},
	tree::{Bad, TakeError, Tree, BLOCK_LEN},
};
use cairn_artifacts::{Store, StoreError};
use cairn_primitives::ArtifactHash;
use futures::{stream::FuturesUnordered, StreamExt};
use libp2p::PeerId;
use std::{
	collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
	fmt, io,
	path::PathBuf,
	sync::{
		atomic::{AtomicU64, Ordering},
		Arc, Mutex, MutexGuard, PoisonError, Weak,
	},
	time::Duration,
};
use tokio::{
	sync::{mpsc, oneshot, watch, OnceCell, Semaphore, SemaphorePermit},
	task::JoinSet,
	time::{sleep, timeout},
};

/// Providers that are passed on from Kademlia before the fetch has tried the first of them.
const PROVIDERS: usize = 32;

/// How long holders of one kind may take to connect before those of the next kind are tried beside them.
const HEAD_START: Duration = Duration::from_secs(2);

/// How long a transfer keeps its turn while others wait for theirs: holders that give next to nothing, but that, must not
/// keep all turns to themselves.
const TURN: Duration = Duration::from_secs(20);

/// How often it is looked whether a turn is over, and a fetch that waits for one shows that it does.
const LOOK: Duration = Duration::from_secs(1);

/// How often a busy holder is asked again, without anything having come in between, before it is given up.
const BUSY: u32 = 5;

/// A chunk that was asked for is asked of a second peer, which has nothing else to do, after this part of the time that
/// a peer has for it.
const IMPATIENCE: u32 = 8;

/// Why a transfer from one peer did not end well.
enum Failure {
	/// The peer's doing: ask another.
	Peer(Problem),
	/// This machine's doing: another peer would not help.
	Local(FetchError),
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
	given: Mutex<BTreeMap<PeerId, (Route, u64)>>,
	/// The most that any of those who want it allows.
	most: Mutex<MaxLen>,
	/// Peers that broke the protocol: they are not asked for this artifact again.
	unfit: Mutex<BTreeSet<PeerId>>,
	/// Grows with every chunk that has come, or is found to be there, and while the fetch waits for its turn.
	progress: AtomicU64,
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

	fn allow(&self, most: MaxLen) {
		let mut allowed = lock(&self.most);
		if most.bytes > allowed.bytes {
			*allowed = most;
		}
	}

	/// Whether an artifact of a proven length may be fetched.
	fn check(&self, hash: ArtifactHash, len: u64) -> Result<(), FetchError> {
		let MaxLen { bytes: max, reason } = lock(&self.most).clone();
		if len > max {
			return Err(FetchError::TooLarge { hash, len, max, reason });
		}
		Ok(())
	}

	fn progress(&self) {
		// A sign of life, by which nothing else is ordered.
		self.progress.fetch_add(1, Ordering::Relaxed);
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

	fn gave(&self, peer: PeerId, route: Route, bytes: u64) {
		lock(&self.given).entry(peer).or_insert((route, 0)).1 += bytes;
	}

	fn fetched(&self) -> Fetched {
		let source = |(peer, (route, bytes)): (&PeerId, &(Route, u64))| Source {
			peer: *peer,
			route: *route,
			bytes: *bytes,
		};
		Fetched::From {
			sources: lock(&self.given).iter().map(source).collect(),
			problems: lock(&self.reports).clone(),
		}
	}
}

/// The unfinished transfer of an artifact, as long as anybody is at it. A file operation that was left behind by a
/// fetch that nobody wanted any more still holds it, and the next fetch of the same artifact joins in.
type Slot = Arc<tokio::sync::Mutex<Weak<Partial>>>;

/// Runs fetches.
pub(crate) struct Fetcher {
	shared: Arc<Shared>,
	store: Store,
	partials: PathBuf,
	commands: mpsc::Sender<Command>,
	transfers: Semaphore,
	/// As many clones as there are fetches that wait for their turn.
	waiting: Arc<()>,
	/// Chunks that may be on their way to this node.
	chunks: Semaphore,
	flights: Mutex<HashMap<ArtifactHash, Weak<Flight>>>,
	slots: Mutex<BTreeMap<ArtifactHash, Slot>>,
	/// Transfers that disk space is promised to. Locked while it is measured.
	promised: Mutex<Vec<Weak<Partial>>>,
}

/// What one round of asking shares: the right to transfer, and the transfer once it has begun.
#[derive(Default)]
struct Transfer<'a> {
	permit: OnceCell<SemaphorePermit<'a>>,
	partial: OnceCell<Arc<Partial>>,
}

impl Fetcher {
	pub(crate) fn new(
		shared: Arc<Shared>,
		store: Store,
		partials: PathBuf,
		commands: mpsc::Sender<Command>,
	) -> Arc<Self> {
		let transfers = Semaphore::new(shared.limits.max_transfers);
		let chunks = Semaphore::new(shared.limits.chunks_in_flight_total);
		Arc::new(Self {
			shared,
			store,
			partials,
			commands,
			transfers,
			waiting: Arc::default(),
			chunks,
			flights: Mutex::default(),
			slots: Mutex::default(),
			promised: Mutex::default(),
		})
	}

	pub(crate) fn commands(&self) -> &mpsc::Sender<Command> {
		&self.commands
	}

	/// Fetches an artifact, together with everybody else who wants it. Without `most`, what this node takes is the most.
	pub(crate) async fn fetch(
		self: &Arc<Self>,
		hash: ArtifactHash,
		preferred: Vec<[u8; 32]>,
		within: Duration,
		most: Option<MaxLen>,
	) -> Result<Fetched, FetchError> {
		let counted = &self.shared.counted;
		let any = MaxLen::of_node(self.shared.limits.max_artifact_len);
		let most = most.filter(|most| most.bytes < any.bytes).unwrap_or(any);
		let result = self.fetch_uncounted(hash, preferred, within, most).await;
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
		most: MaxLen,
	) -> Result<Fetched, FetchError> {
		if self.store.contains(&hash) {
			return Ok(Fetched::AlreadyStored);
		}
		if self.commands.is_closed() {
			return Err(FetchError::Stopped { hash });
		}
		loop {
			let flight = self.join(hash, preferred.clone(), most.clone())?;
			match follow(&flight, hash, within).await {
				// It was refused just before this call allowed more.
				Err(FetchError::TooLarge { len, .. }) if len <= most.bytes => {},
				result => return result,
			}
		}
	}

	/// The fetch of this artifact that is under way, or a new one.
	fn join(
		self: &Arc<Self>,
		hash: ArtifactHash,
		preferred: Vec<[u8; 32]>,
		most: MaxLen,
	) -> Result<Arc<Flight>, FetchError> {
		let mut flights = lock(&self.flights);
		let under_way = flights
			.get(&hash)
			.and_then(Weak::upgrade)
			// One that has failed already is not joined: it would hand on an old error.
			.filter(|flight| flight.result.borrow().is_none());
		if let Some(flight) = under_way {
			flight.notes.prefer(preferred);
			flight.notes.allow(most);
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
		notes.allow(most);
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
	async fn run(self: &Arc<Self>, hash: ArtifactHash, notes: &Arc<Notes>) -> Result<Fetched, FetchError> {
		let limits = &self.shared.limits;
		let mut kept = None;
		let mut peers = self.shared.connected.subscribe();
		let mut backoff = limits.backoff_min;
		loop {
			peers.mark_unchanged();
			let before = notes.progress.load(Ordering::Relaxed);
			match self.round(hash, notes, &mut kept).await {
				Ok(Some(fetched)) => return Ok(fetched),
				Ok(None) => {},
				Err(Failure::Local(error)) => return Err(error),
				Err(Failure::Stopped | Failure::Peer(_)) => return Err(FetchError::Stopped { hash }),
			}
			// Holders that give something are asked again soon, perhaps after another's turn.
			if notes.progress.load(Ordering::Relaxed) != before {
				backoff = limits.backoff_min;
			}
			// Somebody new may have it, but a crowd that comes and goes must not set the pace.
			sleep(limits.backoff_min).await;
			if timeout(backoff - limits.backoff_min, peers.changed()).await.is_err() {
				backoff = backoff.saturating_mul(2).min(limits.backoff_max);
			}
		}
	}

	/// Asks everybody once: first those whom the caller named, then providers, then whoever is connected. All are
	/// connected to at once, so that one that is not there holds nobody up; a few at a time transfer, each other chunks.
	/// What there is of the artifact is `kept` for the next round: to find it on the disk again, all of it is hashed.
	async fn round(
		self: &Arc<Self>,
		hash: ArtifactHash,
		notes: &Arc<Notes>,
		kept: &mut Option<Arc<Partial>>,
	) -> Result<Option<Fetched>, Failure> {
		// The caller of an earlier fetch, or a program beside this one, may have stored it meanwhile.
		if self.store.contains(&hash) {
			return Ok(Some(Fetched::AlreadyStored));
		}
		let transfer = Transfer::default();
		let here = match kept.take() {
			Some(partial) => Some(partial),
			None => self.resume(hash, notes).await?,
		};
		if let Some(partial) = here {
			let _ = transfer.partial.set(partial);
		}
		let mut asked = lock(&notes.unfit).clone();
		asked.insert(self.shared.local);
		let mut connecting = FuturesUnordered::new();
		let connect = |peer, route| async move { (peer, route, self.connect(peer).await) };
		let mut pulling = FuturesUnordered::new();
		let mut spare = VecDeque::new();
		let pull = |peer, route| {
			let transfer = &transfer;
			async move { (peer, route, self.pull(hash, peer, route, transfer, notes).await) }
		};
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
		let mut turn_is_over = Box::pin(self.turn_is_over(&transfer));
		loop {
			if transfer.partial.get().is_some_and(|partial| partial.is_complete()) {
				self.finish(hash, &transfer).await?;
				return Ok(Some(notes.fetched()));
			}
			while pulling.len() < self.shared.limits.sources_per_transfer {
				let Some((peer, route)) = spare.pop_front() else { break };
				pulling.push(pull(peer, route));
			}
			let idle = connecting.is_empty() && pulling.is_empty() && providers.is_none();
			if idle || head_start.is_elapsed() && kind != Route::Connected {
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
					Route::Connected => {
						*kept = transfer.partial.get().cloned();
						return Ok(None);
					},
				};
				head_start = Box::pin(sleep(HEAD_START));
				continue;
			}
			tokio::select! {
				Some((peer, route, connected)) = connecting.next() => match connected {
					Ok(()) => spare.push_back((peer, route)),
					Err(failure) => note(hash, peer, route, failure, notes)?,
				},
				Some((peer, route, pulled)) = pulling.next() => {
					if let Err(failure) = pulled {
						note(hash, peer, route, failure, notes)?;
					}
				},
				found = async { providers.as_mut()?.recv().await }, if providers.is_some() => match found {
					Some(peer) if asked.insert(peer) => connecting.push(connect(peer, Route::Provider)),
					Some(_) => {},
					None => providers = None,
				},
				() = &mut head_start, if kind != Route::Connected => {},
				() = &mut turn_is_over => {
					*kept = transfer.partial.get().cloned();
					return Ok(None);
				},
			}
		}
	}

	/// Ends when a transfer has had its turn and another fetch waits for one.
	async fn turn_is_over(&self, transfer: &Transfer<'_>) {
		while transfer.permit.get().is_none() {
			sleep(LOOK).await;
		}
		sleep(TURN).await;
		while Arc::strong_count(&self.waiting) == 1 {
			sleep(LOOK).await;
		}
	}

	/// Waits for a turn. Whoever wants the artifact does not give it up meanwhile, as all turns end.
	async fn turn(&self, notes: &Notes) -> Result<SemaphorePermit<'_>, Failure> {
		let _waits = self.waiting.clone();
		let mut permit = Box::pin(self.transfers.acquire());
		loop {
			match timeout(LOOK, &mut permit).await {
				Ok(permit) => return permit.map_err(|_| Failure::Stopped),
				Err(_) => notes.progress(),
			}
		}
	}

	/// Takes chunks from one peer for as long as there are any to ask for.
	async fn pull<'a>(
		self: &'a Arc<Self>,
		hash: ArtifactHash,
		peer: PeerId,
		route: Route,
		transfer: &Transfer<'a>,
		notes: &Notes,
	) -> Result<(), Failure> {
		let limits = &self.shared.limits;
		if transfer.permit.get().is_none() {
			// Before this transfer takes its turn, so that a holder that says nothing takes nobody else's.
			let (tree, tail) = self.prove_len(hash, peer, notes).await?;
			transfer.permit.get_or_try_init(|| self.turn(notes)).await?;
			if transfer.partial.get().is_none() {
				let begun = self.begin(hash, tree, tail).await?;
				let range = tree.tail();
				notes.progress();
				notes.gave(peer, route, range.end - range.start);
				let _ = transfer.partial.set(begun);
			}
		}
		let partial = transfer.partial.get().expect("set above, or by another peer's pull; qed");
		let patience = limits.chunk_timeout / IMPATIENCE;
		let mut in_flight = limits.chunks_in_flight;
		let mut busy = 0;
		let mut asked = FuturesUnordered::new();
		loop {
			// Before the check, so that no change is missed.
			let changed = partial.changed();
			if partial.is_lost() {
				return Err(self.local(hash, &partial.loss()));
			}
			while asked.len() < in_flight {
				let Some(claim) = partial.claim(peer, patience) else { break };
				asked.push(self.pull_chunk(hash, peer, claim));
			}
			if asked.is_empty() {
				if partial.is_complete() {
					return Ok(());
				}
				// Others are asked for the rest. One of them may fail, or be slow.
				let _ = timeout(patience, changed).await;
				continue;
			}
			match asked.next().await.expect("it is not empty; qed") {
				Ok(Some(bytes)) => {
					busy = 0;
					notes.progress();
					notes.gave(peer, route, bytes);
				},
				// It serves many, perhaps this node's other fetches: ask for less, and more slowly.
				Ok(None) if busy < BUSY => {
					busy += 1;
					in_flight = 1;
					sleep(limits.backoff_min).await;
				},
				Ok(None) => return Err(Problem::Refused(Refusal::Busy).into()),
				Err(refused @ Failure::Peer(Problem::Refused(_))) => {
					// A refusal can overtake what the peer has given already, and counted.
					while let Some(answer) = asked.next().await {
						if let Ok(Some(bytes)) = answer {
							notes.progress();
							notes.gave(peer, route, bytes);
						}
					}
					return Err(refused);
				},
				Err(failure) => return Err(failure),
			}
		}
	}

	/// Asks for one chunk and takes it in. `None` when the peer is busy.
	async fn pull_chunk(
		self: &Arc<Self>,
		hash: ArtifactHash,
		peer: PeerId,
		claim: Claim,
	) -> Result<Option<u64>, Failure> {
		let _room = self.chunks.acquire().await.map_err(|_| Failure::Stopped)?;
		claim.touch();
		let range = claim.range();
		let len = range.end - range.start;
		// No more than there is: all that is asked for counts against what the peer gives at a time.
		let max_len = u32::try_from(len.next_multiple_of(BLOCK_LEN)).unwrap_or(self.shared.limits.chunk_len);
		let request = BlobRequest { hash, offset: range.start, max_len };
		let (total, bytes) = match self.ask(peer, request).await? {
			BlobResponse::Slice { total_len, bytes } => (total_len, bytes),
			BlobResponse::Refused(Refusal::Busy) => return Ok(None),
			BlobResponse::Refused(refusal) => return Err(Problem::Refused(refusal).into()),
		};
		self.shared.counted.blob_in.add(bytes.len() as u64);
		if total != claim.total() {
			return Err(self.wrong(hash, peer, Bad::Hash).await);
		}
		let taken = tokio::task::spawn_blocking(move || claim.fulfil(&bytes)).await;
		match taken.map_err(|error| self.local(hash, &error))? {
			Ok(due) => {
				// Nobody waits for it before the artifact is complete.
				if let Some(partial) = due {
					tokio::task::spawn_blocking(move || partial.sync());
				}
				Ok(Some(len))
			},
			Err(TakeError::Bad(bad)) => Err(self.wrong(hash, peer, bad).await),
			Err(TakeError::Io(error)) => Err(self.not_written(hash, len, error).await),
		}
	}

	/// Learns the artifact's length from a peer, which has to prove it with the last block.
	async fn prove_len(
		self: &Arc<Self>,
		hash: ArtifactHash,
		peer: PeerId,
		notes: &Notes,
	) -> Result<(Tree, Vec<u8>), Failure> {
		let mut busy = 0;
		let (len, bytes) = loop {
			match self.ask(peer, BlobRequest { hash, offset: 0, max_len: 0 }).await? {
				BlobResponse::Slice { total_len, bytes } => break (total_len, bytes),
				BlobResponse::Refused(Refusal::Busy) if busy < BUSY => {
					busy += 1;
					sleep(self.shared.limits.backoff_min).await;
				},
				BlobResponse::Refused(refusal) => return Err(Problem::Refused(refusal).into()),
			}
		};
		self.shared.counted.blob_in.add(bytes.len() as u64);
		let tree = Tree::new(hash, len);
		if let Err(bad) = tree.check(&tree.tail(), &bytes) {
			return Err(self.wrong(hash, peer, bad).await);
		}
		notes.check(hash, len).map_err(Failure::Local)?;
		Ok((tree, bytes))
	}

	/// Makes room for an artifact of a proven length, and begins with the slice that proved it.
	async fn begin(
		self: &Arc<Self>,
		hash: ArtifactHash,
		tree: Tree,
		tail: Vec<u8>,
	) -> Result<Arc<Partial>, Failure> {
		let fetcher = self.clone();
		self.with_slot(hash, move |slot| {
			if let Some(partial) = usable(slot) {
				return Ok(partial);
			}
			let mut promised = lock(&fetcher.promised);
			fetcher.room(hash, tree.len() + tree.outboard_len(), &mut promised)?;
			let chunk_len = fetcher.shared.limits.chunk_len.into();
			let made = Partial::create(&fetcher.partials, hash, tree, chunk_len, &tail);
			let partial = Arc::new(made.map_err(|error| fetcher.failed(hash, tree.len(), &error))?);
			promised.push(Arc::downgrade(&partial));
			*slot = Arc::downgrade(&partial);
			Ok(partial)
		})
		.await
	}

	/// What there is of the artifact from earlier attempts, if there is anything.
	async fn resume(
		self: &Arc<Self>,
		hash: ArtifactHash,
		notes: &Arc<Notes>,
	) -> Result<Option<Arc<Partial>>, Failure> {
		let (fetcher, notes) = (self.clone(), notes.clone());
		self.with_slot(hash, move |slot| {
			if let Some(partial) = usable(slot) {
				notes.check(hash, partial.len())?;
				return Ok(Some(partial));
			}
			let chunk_len = fetcher.shared.limits.chunk_len.into();
			let progress = || notes.progress();
			let opened = Partial::open(&fetcher.store, &fetcher.partials, hash, chunk_len, progress)
				.map_err(|error| fetcher.failed(hash, 0, &error))?;
			let Some(partial) = opened.map(Arc::new) else { return Ok(None) };
			notes.check(hash, partial.len())?;
			if !partial.is_complete() {
				let mut promised = lock(&fetcher.promised);
				fetcher.room(hash, partial.missing_bytes(), &mut promised)?;
				promised.push(Arc::downgrade(&partial));
			}
			*slot = Arc::downgrade(&partial);
			Ok(Some(partial))
		})
		.await
	}

	/// Gives a complete transfer to the store.
	async fn finish(self: &Arc<Self>, hash: ArtifactHash, transfer: &Transfer<'_>) -> Result<(), Failure> {
		let Some(partial) = transfer.partial.get().cloned() else { return Ok(()) };
		let fetcher = self.clone();
		self.with_slot(hash, move |slot| {
			// Another fetch's, that ended just now: the file is no longer there.
			if fetcher.store.contains(&hash) {
				return Ok(());
			}
			partial.finish(&fetcher.store).map_err(|error| match error {
				StoreError::Io { ref source, .. } | StoreError::NoSpace { ref source, .. }
					if is_full(source) =>
				{
					fetcher.failed(hash, 0, source)
				},
				error => FetchError::Local { hash, message: error.to_string() },
			})?;
			*slot = Weak::new();
			Ok(())
		})
		.await
	}

	/// Does something with the place of an artifact's unfinished transfer, on a thread that may block. Even when the
	/// fetch ends meanwhile, the place stays locked until it is done.
	async fn with_slot<R: Send + 'static>(
		&self,
		hash: ArtifactHash,
		action: impl FnOnce(&mut Weak<Partial>) -> Result<R, FetchError> + Send + 'static,
	) -> Result<R, Failure> {
		let slot = {
			let mut slots = lock(&self.slots);
			slots.retain(|_, slot| {
				Arc::strong_count(slot) > 1 || slot.try_lock().is_ok_and(|partial| partial.strong_count() > 0)
			});
			slots.entry(hash).or_default().clone()
		};
		// Waits on a task of its own, which ends with this future. Of the sources of a transfer one may be about to get the
		// place while nobody polls it, because another has brought all and is being finished, for which the place is needed.
		let mut doing = JoinSet::new();
		doing.spawn(async move {
			let mut guard = slot.lock_owned().await;
			tokio::task::spawn_blocking(move || action(&mut guard)).await
		});
		let done = doing.join_next().await.ok_or(Failure::Stopped)?;
		done.and_then(|done| done).map_err(|error| self.local(hash, &error))?.map_err(Failure::Local)
	}

	/// Whether there is room for `need` more bytes, beside what other transfers were promised.
	fn room(
		&self,
		hash: ArtifactHash,
		need: u64,
		promised: &mut Vec<Weak<Partial>>,
	) -> Result<(), FetchError> {
		let limits = &self.shared.limits;
		let mut others = 0u64;
		promised.retain(|partial| {
			let Some(partial) = partial.upgrade() else { return false };
			others = others.saturating_add(partial.missing_bytes());
			true
		});
		// What the store takes is found by going through all of its files, and matters to a quota only.
		let measured = match limits.disk_quota {
			Some(quota) => self.store.space().map(|space| (space.free, Some((quota, space.used)))),
			None => self.store.free().map(|free| (free, None)),
		};
		let (free, taken) =
			measured.map_err(|error| FetchError::Local { hash, message: error.to_string() })?;
		let wanted = need.saturating_add(others);
		let shortage = match taken {
			Some((quota, used)) if used.saturating_add(wanted) > quota => {
				Some(Shortage::Quota { quota, used, promised: others })
			},
			_ if free < wanted.saturating_add(limits.disk_reserve) => {
				Some(Shortage::Disk { free, reserve: limits.disk_reserve, promised: others })
			},
			_ => None,
		};
		let folder = self.store.root().to_owned();
		shortage.map_or(Ok(()), |shortage| Err(FetchError::NoSpace { hash, folder, need, shortage }))
	}

	/// What an error of the file system means for a fetch that has `need` bytes to write.
	fn failed(&self, hash: ArtifactHash, need: u64, error: &io::Error) -> FetchError {
		if !is_full(error) {
			let message = format!("{}: {error}", self.partials.display());
			return FetchError::Local { hash, message };
		}
		let free = self.store.free().ok();
		let shortage = Shortage::Refused { message: error.to_string(), free };
		FetchError::NoSpace { hash, folder: self.store.root().to_owned(), need, shortage }
	}

	async fn not_written(self: &Arc<Self>, hash: ArtifactHash, need: u64, error: io::Error) -> Failure {
		let fetcher = self.clone();
		let told = tokio::task::spawn_blocking(move || fetcher.failed(hash, need, &error)).await;
		told.map_or_else(|error| self.local(hash, &error), Failure::Local)
	}

	fn local(&self, hash: ArtifactHash, error: &dyn fmt::Display) -> Failure {
		Failure::Local(FetchError::Local { hash, message: error.to_string() })
	}

	/// The peer sent what proves nothing. Wrong bytes have it banned; after too few or too many it is not asked for this
	/// artifact again.
	async fn wrong(&self, hash: ArtifactHash, peer: PeerId, bad: Bad) -> Failure {
		let problem = match bad {
			Bad::Hash => Problem::WrongBytes,
			Bad::Short => Problem::Protocol("sent fewer bytes than the proof of a range has".into()),
			Bad::Long => Problem::Protocol("sent more bytes than the proof of a range has".into()),
		};
		if problem == Problem::WrongBytes {
			let reason = format!("sent wrong bytes or a wrong length for artifact {hash:?}");
			if let Err(failure) = self.send(Command::Ban { peer, reason }).await {
				return failure;
			}
		}
		problem.into()
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
}

/// Waits for a fetch for as long as something of the artifact arrives within each `within`.
async fn follow(flight: &Flight, hash: ArtifactHash, within: Duration) -> Result<Fetched, FetchError> {
	let mut result = flight.result.clone();
	let mut seen = flight.notes.progress.load(Ordering::Relaxed);
	loop {
		match timeout(within, result.wait_for(Option::is_some)).await {
			Ok(Ok(result)) => return result.clone().unwrap_or(Err(FetchError::Stopped { hash })),
			// The task is gone without a word: the runtime is shutting down.
			Ok(Err(_)) => return Err(FetchError::Stopped { hash }),
			Err(_) => {},
		}
		let progress = flight.notes.progress.load(Ordering::Relaxed);
		if std::mem::replace(&mut seen, progress) == progress {
			let sources = lock(&flight.notes.reports).clone();
			return Err(FetchError::NotObtained { hash, waited: within, sources });
		}
	}
}

/// The transfer that somebody is at, unless what came of it is lost.
fn usable(slot: &Weak<Partial>) -> Option<Arc<Partial>> {
	slot.upgrade().filter(|partial| !partial.is_lost())
}

/// Whether the disk, a quota or a limit of the process is at its end.
fn is_full(error: &io::Error) -> bool {
	matches!(
		error.kind(),
		io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
	)
}

/// Notes what a source did wrong, or passes on what another source could not mend.
fn note(
	hash: ArtifactHash,
	peer: PeerId,
	route: Route,
	failure: Failure,
	notes: &Notes,
) -> Result<(), Failure> {
	match failure {
		Failure::Peer(problem) => {
			if problem == Problem::WrongBytes {
				tracing::warn!(artifact = ?hash, %peer, %route, "wrong bytes; other holders are asked");
			} else {
				tracing::debug!(artifact = ?hash, %peer, %route, %problem, "no artifact from this source");
			}
			if matches!(problem, Problem::Protocol(_)) {
				lock(&notes.unfit).insert(peer);
			}
			notes.report(Some(peer), route, problem);
			Ok(())
		},
		failure => Err(failure),
	}
}
