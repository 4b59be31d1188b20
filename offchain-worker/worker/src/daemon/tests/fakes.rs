//! A chain, a network and a trainer that live in this process.

use crate::{
	base::BasePath,
	chain::{api::Rewards, heads::Head, ChainError, Challenge, Device, Heads, Refused, Round},
	daemon::*,
	journal::Journal,
	plan::tests::{commit, device, member, view, ME, OTHER},
	trainer::{LocalUpdate, Progress, Stop, TrainJob, TrainerError},
};
use async_trait::async_trait;
use cairn_artifacts::{artifact_hash, Tensor, TensorFile};
use cairn_primitives::{
	envelope::{UpdateEnvelope, WeightsEnvelope},
	round::aggregate_commitment,
	views::{ChallengeInfo, Phase, ProgrammeState},
	DeviceId, DeviceState, RoundIndex,
};
use std::{
	ops::ControlFlow,
	sync::atomic::{AtomicUsize, Ordering},
};

pub(super) const GENESIS: H256 = H256([77; 32]);
pub(super) const CONFIG_BYTES: &[u8] = b"a training configuration";

pub(super) fn tensors(value: f32) -> Vec<Tensor> {
	vec![Tensor { name: "w".into(), shape: vec![2], data: vec![value, -value] }]
}

pub(super) fn base_weights() -> TensorFile {
	let envelope = WeightsEnvelope::Genesis { config: artifact_hash(CONFIG_BYTES) };
	TensorFile::new(envelope.to_metadata(), tensors(1.0)).unwrap()
}

/// The chain's state, and what the tests steer.
#[derive(Clone)]
pub(super) struct State {
	pub(super) view: ChainView,
	pub(super) settled: Vec<Round>,
	pub(super) commitment: Option<H256>,
	pub(super) submitted: Vec<(String, Call)>,
	/// Transactions are taken, and never land.
	pub(super) swallow: bool,
	/// The chain cannot be read.
	pub(super) unreachable: bool,
	/// The node catches up.
	pub(super) syncing: bool,
	/// Reading it does not come to an end.
	pub(super) hangs: bool,
	/// The device's request for attestation.
	pub(super) challenge: Option<Challenge>,
	/// Aggregators that a committee could be drawn from.
	pub(super) drawable: u32,
	/// The round at the best block, where it is another than at the finalised one.
	pub(super) best: Option<Round>,
	/// What the chain asks of a device of this worker's speed, at most.
	pub(super) steps: u32,
	/// The first committee does not agree, and the second agrees on something else than this worker computed.
	pub(super) disputed: bool,
}

pub(super) struct FakeLedger {
	pub(super) state: watch::Sender<State>,
	pub(super) heads: Heads,
	pub(super) finalised: watch::Sender<Head>,
	pub(super) best: watch::Sender<u32>,
}

impl FakeLedger {
	pub(super) fn new(round: Round) -> Arc<Self> {
		let mut view = view(Some(round));
		let info = &mut view.programmes[0].info;
		info.config = artifact_hash(CONFIG_BYTES);
		info.weights = base_weights().hash();
		info.target_updates = 1;
		view.programmes[0].round.as_mut().unwrap().base = base_weights().hash();
		let (heads, finalised, best) = Heads::manual(Head { number: 100, hash: H256::zero() });
		let (state, _) = watch::channel(State {
			view,
			settled: Vec::new(),
			commitment: None,
			submitted: Vec::new(),
			swallow: false,
			unreachable: false,
			syncing: false,
			hangs: false,
			challenge: None,
			drawable: 3,
			best: None,
			steps: u32::MAX,
			disputed: false,
		});
		Arc::new(Self { state, heads, finalised, best })
	}

	/// Changes the state and finalises a block with it.
	pub(super) fn change(&self, change: impl FnOnce(&mut State)) {
		self.state.send_modify(change);
		self.finalised.send_modify(|head| head.number += 1);
	}

	pub(super) fn change_round(&self, change: impl FnOnce(&mut Round)) {
		self.change(|s| change(s.view.programmes[0].round.as_mut().unwrap()));
	}

	pub(super) async fn until(&self, condition: impl FnMut(&State) -> bool) -> State {
		self.state.subscribe().wait_for(condition).await.unwrap().clone()
	}

	pub(super) fn now(&self) -> State {
		self.state.borrow().clone()
	}
}

fn refused(name: &str) -> SubmitError {
	SubmitError::Refused {
		call: "Training.test".into(),
		block: 1,
		refused: Refused { pallet: "Training".into(), name: name.into(), docs: String::new() },
	}
}

/// The rules of the round, for a committee of this worker alone.
pub(super) fn apply(state: &mut State, call: &Call) -> Result<(), SubmitError> {
	let programme = &mut state.view.programmes[0];
	let Some(round) = &mut programme.round else { return Err(refused("NoRound")) };
	match call {
		Call::VoteAvailability { attempt, .. }
		| Call::CommitAggregate { attempt, .. }
		| Call::RevealAggregate { attempt, .. }
			if *attempt != round.attempt =>
		{
			return Err(refused("WrongAttempt"));
		},
		Call::CommitUpdate { artifact, samples, local_steps, .. } => {
			if round.phase != Phase::Commit {
				return Err(refused("CommitWindowClosed"));
			}
			if round.commits.iter().any(|c| c.producer == ME) {
				return Err(refused("AlreadyCommitted"));
			}
			let mut entry = commit(round.commit_count, ME, *artifact);
			(entry.samples, entry.local_steps) = (*samples, *local_steps);
			round.commits.push(entry);
			round.commit_count += 1;
			if round.commit_count >= programme.info.target_updates {
				round.phase = Phase::Availability;
				round.committee = vec![member(ME)];
			}
		},
		Call::VoteAvailability { bitmap, .. } => {
			round
				.committee
				.iter_mut()
				.filter(|m| m.account == ME)
				.for_each(|m| m.bitmap = Some(bitmap.clone()));
			round.included = bitmap.clone();
			round.phase = Phase::Aggregate;
		},
		Call::CommitAggregate { commitment, .. } => {
			let (committee, next) = match &mut round.challenge {
				Some(challenge) => (&mut challenge.committee, Phase::AuditReveal),
				None => (&mut round.committee, Phase::Reveal),
			};
			if committee[0].committed {
				return Err(refused("AlreadyCommitted"));
			}
			committee[0].committed = true;
			state.commitment = Some(*commitment);
			round.phase = next;
		},
		Call::RevealAggregate { programme: p, round: r, attempt, result, quality, salt } => {
			let opened = aggregate_commitment(&GENESIS, *p, *r, *attempt, &ME.0, result, quality, &salt.0);
			if state.commitment != Some(opened) {
				return Err(refused("WrongReveal"));
			}
			if state.disputed && round.challenge.is_none() {
				if round.attempt == 0 {
					// Another committee gets the same commits.
					(round.attempt, round.phase, round.included) = (1, Phase::Availability, Vec::new());
					round.committee = vec![member(ME)];
				} else {
					round.committee[0].revealed = Some(*result);
					(round.result, round.quality) = (Some(H256([98; 32])), Some(H256([99; 32])));
					round.phase = Phase::Challenge;
				}
				return Ok(());
			}
			let mut done = round.clone();
			(done.phase, done.result) = (Phase::Finalised, Some(*result));
			state.settled.push(done);
			programme.info.weights = *result;
			programme.info.state = ProgrammeState::Completed;
			programme.round = None;
		},
		Call::Challenge { claimed, .. } => {
			if round.phase != Phase::Challenge {
				return Err(refused("WindowClosed"));
			}
			// On a real chain the challenger is no auditor; here there is nobody else.
			let committee = vec![member(ME)];
			round.challenge =
				Some(ChallengeInfo { challenger: ME, claimed: *claimed, committee, verdict: None });
			round.attempt += 1;
			round.phase = Phase::AuditAggregate;
		},
		Call::Advance { .. } => {
			round.phase = Phase::Failed;
			let done = round.clone();
			state.settled.push(done);
			programme.round = None;
		},
		other => panic!("the daemon makes no such call: {other:?}"),
	}
	Ok(())
}

#[async_trait]
impl Ledger for FakeLedger {
	fn genesis(&self) -> H256 {
		GENESIS
	}

	fn heads(&self) -> &Heads {
		&self.heads
	}

	async fn view(&self, _: &Duties) -> Result<ChainView, ChainError> {
		let state = self.now();
		if state.hangs {
			std::future::pending::<()>().await;
		}
		if state.unreachable {
			return Err(ChainError::Metadata("no node".into()));
		}
		let finalised = self.heads.finalised_now().number;
		Ok(ChainView { finalised, best: self.heads.best_now(), ..state.view })
	}

	async fn round(&self, _: ProgrammeId, index: RoundIndex) -> Result<Option<Round>, ChainError> {
		Ok(self.now().settled.into_iter().find(|r| r.index == index))
	}

	async fn best_round(&self, _: ProgrammeId) -> Result<Option<Round>, ChainError> {
		let state = self.now();
		Ok(state.best.or_else(|| state.view.programmes[0].round.clone()))
	}

	async fn device(&self, _: DeviceId) -> Result<Option<Device>, ChainError> {
		Ok(self.now().view.device)
	}

	async fn device_of(&self, _: &AccountId32) -> Result<Option<Device>, ChainError> {
		Ok(Some(device(DeviceState::Active)))
	}

	async fn local_steps(&self, _: DeviceId, max: u32) -> Result<u32, ChainError> {
		Ok(max.min(self.now().steps))
	}

	async fn device_of_network_key(&self, _: &[u8; 32]) -> Result<Option<Device>, ChainError> {
		Ok(None)
	}

	async fn drawable(&self, _: ProgrammeId) -> Result<u32, ChainError> {
		Ok(self.now().drawable)
	}

	async fn open_challenge(&self, _: DeviceId) -> Result<Option<Challenge>, ChainError> {
		Ok(self.now().challenge)
	}

	async fn block_hash(&self, _: u32) -> Result<Option<H256>, ChainError> {
		Ok(Some(H256::zero()))
	}

	async fn block_time(&self) -> Result<Duration, ChainError> {
		Ok(Duration::from_secs(6))
	}

	async fn aggregators(&self) -> Result<Vec<AccountId32>, ChainError> {
		Ok(vec![ME, OTHER])
	}

	async fn rewards(&self, _: ProgrammeId) -> Result<Rewards, ChainError> {
		Ok(Rewards { points: 5, claimable: 7, claimed: 0 })
	}

	async fn submit(&self, key: &str, call: &Call) -> Result<Landed, SubmitError> {
		// Decided in the same step in which the tests see it.
		let mut swallowed = false;
		self.state.send_modify(|s| {
			s.submitted.push((key.to_string(), call.clone()));
			swallowed = s.swallow;
		});
		if swallowed {
			std::future::pending::<()>().await;
		}
		let mut outcome = Ok(());
		self.state.send_modify(|s| outcome = apply(s, call));
		outcome?;
		self.finalised.send_modify(|head| head.number += 1);
		Ok(Landed { block: self.heads.finalised_now().number, block_hash: H256::zero(), events: Vec::new() })
	}

	async fn is_syncing(&self) -> Result<bool, ChainError> {
		Ok(self.now().syncing)
	}
}

/// Other workers' artifacts.
pub(super) struct FakeExchange {
	pub(super) store: Store,
	pub(super) elsewhere: Mutex<HashMap<ArtifactHash, Vec<u8>>>,
	pub(super) announced: watch::Sender<Vec<ArtifactHash>>,
}

#[async_trait]
impl Exchange for FakeExchange {
	async fn fetch(
		&self,
		artifact: ArtifactHash,
		_: Vec<[u8; 32]>,
		most: Option<cairn_network::MaxLen>,
	) -> Result<(), NotFetched> {
		let found = self.elsewhere.lock().unwrap().get(&artifact).cloned();
		let bytes = found.ok_or_else(|| NotFetched::Failed("nobody has it".into()))?;
		let len = bytes.len() as u64;
		if let Some(most) = most.filter(|most| len > most.bytes) {
			return Err(NotFetched::TooLarge(format!("{len} bytes: {}", most.reason)));
		}
		self.store.put_expected(&artifact, &bytes).map_err(|e| NotFetched::Failed(e.to_string()))
	}

	async fn announce(&self, artifact: ArtifactHash) -> Result<(), String> {
		self.announced.send_modify(|all| all.push(artifact));
		Ok(())
	}
}

/// A trainer that counts, and that can be made to go on until it is stopped.
#[derive(Default)]
pub(super) struct FakeTrainer {
	pub(super) runs: AtomicUsize,
	/// It goes on until it is stopped.
	pub(super) endless: bool,
	/// It does not get beyond this step.
	pub(super) stuck_at: Option<u32>,
	/// Why it fails, each time.
	pub(super) unfit: Option<&'static str>,
	/// What makes this process's updates unlike another's.
	pub(super) salt: f32,
	pub(super) started: watch::Sender<bool>,
	/// The step it is at.
	pub(super) reached: watch::Sender<u32>,
}

impl Trainer for FakeTrainer {
	fn train(&self, job: &TrainJob, progress: Progress<'_>) -> Result<LocalUpdate, TrainerError> {
		assert_eq!(&*job.config, CONFIG_BYTES);
		// Another result at every run: a second one would be a different update.
		let run = self.runs.fetch_add(1, Ordering::SeqCst);
		self.started.send_replace(true);
		if let Some(reason) = self.unfit {
			return Err(TrainerError::Hopeless(reason.into()));
		}
		let mut step = 0;
		loop {
			step = (step + 1).min(self.stuck_at.unwrap_or(u32::MAX));
			let order = progress(step, job.max_local_steps, 0.5);
			self.reached.send_if_modified(|reached| std::mem::replace(reached, step) != step);
			match order {
				ControlFlow::Break(Stop::Abandon) => return Err(TrainerError::Stopped),
				ControlFlow::Break(Stop::Finish) => break,
				ControlFlow::Continue(()) if !self.endless && step == 10 => break,
				ControlFlow::Continue(()) => std::thread::yield_now(),
			}
		}
		let tensors = tensors(0.25 + run as f32 + self.salt);
		Ok(LocalUpdate { tensors, samples: 100, local_steps: step, loss: 0.5 })
	}
}

pub(super) struct Worker {
	pub(super) dir: tempfile::TempDir,
	pub(super) ledger: Arc<FakeLedger>,
	pub(super) exchange: Arc<FakeExchange>,
	pub(super) trainer: Arc<FakeTrainer>,
	pub(super) output: Output,
	/// How long a local step took in earlier rounds.
	pub(super) step: Option<Duration>,
	/// How long the chain may stand still.
	pub(super) stalled: Duration,
}

pub(super) struct Process {
	pub(super) context: Arc<Context>,
	pub(super) stop: watch::Sender<bool>,
	pub(super) task: tokio::task::JoinHandle<Result<(), DaemonError>>,
}

impl Worker {
	pub(super) fn new(round: Round, trainer: FakeTrainer) -> Self {
		let dir = tempfile::tempdir().unwrap();
		let store = Store::open(dir.path().join("store")).unwrap();
		let base = base_weights();
		let elsewhere = HashMap::from([
			(artifact_hash(CONFIG_BYTES), CONFIG_BYTES.to_vec()),
			(base.hash(), base.to_bytes()),
		]);
		let (announced, _) = watch::channel(Vec::new());
		let exchange = FakeExchange { store, elsewhere: Mutex::new(elsewhere), announced };
		Self {
			dir,
			ledger: FakeLedger::new(round),
			exchange: Arc::new(exchange),
			trainer: Arc::new(trainer),
			output: Output::memory(true),
			step: None,
			stalled: STALLED,
		}
	}

	/// Starts the daemon as a new process would: from the disk.
	pub(super) fn start(&self) -> Process {
		let base = BasePath::open(self.dir.path()).unwrap();
		let journal = SharedJournal::new(Journal::open(&base, &ME).unwrap());
		let context = Arc::new(Context {
			ledger: self.ledger.clone(),
			exchange: self.exchange.clone(),
			trainer: Some(self.trainer.clone()),
			store: self.exchange.store.clone(),
			withheld: Withheld::from_journal(&journal.state()),
			journal,
			output: self.output.clone(),
			me: ME,
			duties: Duties { trainer: true, aggregator: true, programmes: Vec::new() },
			seed: 0,
			threads: 2,
			training: Semaphore::new(1),
			announced: HashSet::new().into(),
			pace: Pace::default(),
			metrics: Arc::default(),
			report: Some(Report::path(self.dir.path())),
			latest: watch::Sender::new(None),
			stalled: self.stalled,
		});
		if let Some(step) = self.step {
			context.pace.record(artifact_hash(CONFIG_BYTES), 1, step);
		}
		let (stop, stopped) = watch::channel(false);
		let task = tokio::spawn(run(context.clone(), stopped));
		Process { context, stop, task }
	}

	pub(super) fn events(&self, name: &str) -> Vec<serde_json::Value> {
		let lines = self.output.lines();
		let parsed = lines.iter().map(|l| serde_json::from_str::<serde_json::Value>(l).unwrap());
		parsed.filter(|v| v["event"] == name).collect()
	}

	/// What a committed update of somebody else looks like.
	pub(super) fn foreign_update(
		&self,
		base: H256,
		index: u32,
	) -> (cairn_primitives::views::CommitInfo<AccountId32>, Vec<u8>) {
		let envelope = UpdateEnvelope {
			genesis: GENESIS,
			programme: 0,
			round: 3,
			base,
			config: artifact_hash(CONFIG_BYTES),
			producer: OTHER.0,
			device: 7,
			samples: 100,
			local_steps: 10,
			clip_norm: 0.0,
			noise_multiplier: 0.0,
			seed: index.into(),
		};
		let bytes = TensorFile::new(envelope.to_metadata(), tensors(0.5)).unwrap().to_bytes();
		(commit(index, OTHER, artifact_hash(&bytes)), bytes)
	}
}

impl Process {
	/// As `kill -9` would: nothing is told, nothing is finished.
	pub(super) async fn kill(self) {
		self.task.abort();
		drop(self.task.await);
	}

	pub(super) async fn stop(self) {
		self.stop.send_replace(true);
		self.task.await.unwrap().unwrap();
	}
}
