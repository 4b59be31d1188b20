//! The daemon on a chain, a network and a trainer that live in this process.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::{
	base::BasePath,
	chain::{api::Rewards, heads::Head, Challenge, Device, Heads, Refused, Round},
	journal::Journal,
	plan::tests::{commit, device, member, round, view, ME, OTHER},
	trainer::{LocalUpdate, Progress, TrainJob, TrainerError},
};
use async_trait::async_trait;
use cairn_artifacts::{artifact_hash, Tensor, TensorFile};
use cairn_primitives::{
	bitmap,
	envelope::{UpdateEnvelope, WeightsEnvelope},
	hardware::{EvidenceKind, Measurement, Speed},
	round::aggregate_commitment,
	views::{EvidenceInfo, Phase, ProgrammeState},
	DeviceId, DeviceState, RoundIndex,
};
use std::{
	ops::ControlFlow,
	sync::atomic::{AtomicUsize, Ordering},
};

const GENESIS: H256 = H256([77; 32]);
const CONFIG_BYTES: &[u8] = b"a training configuration";

fn tensors(value: f32) -> Vec<Tensor> {
	vec![Tensor { name: "w".into(), shape: vec![2], data: vec![value, -value] }]
}

fn base_weights() -> TensorFile {
	let envelope = WeightsEnvelope::Genesis { config: artifact_hash(CONFIG_BYTES) };
	TensorFile::new(envelope.to_metadata(), tensors(1.0)).unwrap()
}

/// The chain's state, and what the tests steer.
#[derive(Clone)]
struct State {
	view: ChainView,
	settled: Vec<Round>,
	commitment: Option<H256>,
	submitted: Vec<(String, Call)>,
	/// Transactions are taken, and never land.
	swallow: bool,
	/// The chain cannot be read.
	unreachable: bool,
	/// The device's request for attestation.
	challenge: Option<Challenge>,
	/// Aggregators that a committee could be drawn from.
	drawable: u32,
}

struct FakeLedger {
	state: watch::Sender<State>,
	heads: Heads,
	finalised: watch::Sender<Head>,
	best: watch::Sender<u32>,
}

impl FakeLedger {
	fn new(round: Round) -> Arc<Self> {
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
			challenge: None,
			drawable: 3,
		});
		Arc::new(Self { state, heads, finalised, best })
	}

	/// Changes the state and finalises a block with it.
	fn change(&self, change: impl FnOnce(&mut State)) {
		self.state.send_modify(change);
		self.finalised.send_modify(|head| head.number += 1);
	}

	fn change_round(&self, change: impl FnOnce(&mut Round)) {
		self.change(|s| change(s.view.programmes[0].round.as_mut().unwrap()));
	}

	async fn until(&self, condition: impl FnMut(&State) -> bool) -> State {
		self.state.subscribe().wait_for(condition).await.unwrap().clone()
	}

	fn now(&self) -> State {
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
fn apply(state: &mut State, call: &Call) -> Result<(), SubmitError> {
	let programme = &mut state.view.programmes[0];
	let Some(round) = &mut programme.round else { return Err(refused("NoRound")) };
	match call {
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
			round.committee[0].committed = true;
			state.commitment = Some(*commitment);
			round.phase = Phase::Reveal;
		},
		Call::RevealAggregate { programme: p, round: r, attempt, result, quality, salt } => {
			let opened = aggregate_commitment(&GENESIS, *p, *r, *attempt, &ME.0, result, quality, &salt.0);
			if state.commitment != Some(opened) {
				return Err(refused("WrongReveal"));
			}
			let mut done = round.clone();
			(done.phase, done.result) = (Phase::Finalised, Some(*result));
			state.settled.push(done);
			programme.info.weights = *result;
			programme.info.state = ProgrammeState::Completed;
			programme.round = None;
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
		Ok(self.now().view.programmes[0].round.clone())
	}

	async fn device(&self, _: DeviceId) -> Result<Option<Device>, ChainError> {
		Ok(self.now().view.device)
	}

	async fn device_of(&self, _: &AccountId32) -> Result<Option<Device>, ChainError> {
		Ok(Some(device(DeviceState::Active)))
	}

	async fn local_steps(&self, _: DeviceId, max: u32) -> Result<u32, ChainError> {
		Ok(max)
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
		Ok(false)
	}
}

/// Other workers' artifacts.
struct FakeExchange {
	store: Store,
	elsewhere: Mutex<HashMap<ArtifactHash, Vec<u8>>>,
	announced: watch::Sender<Vec<ArtifactHash>>,
}

#[async_trait]
impl Exchange for FakeExchange {
	async fn fetch(&self, artifact: ArtifactHash, _: Vec<[u8; 32]>) -> Result<(), String> {
		let found = self.elsewhere.lock().unwrap().get(&artifact).cloned();
		let bytes = found.ok_or("nobody has it")?;
		self.store.put_expected(&artifact, &bytes).map_err(|e| e.to_string())
	}

	async fn announce(&self, artifact: ArtifactHash) -> Result<(), String> {
		self.announced.send_modify(|all| all.push(artifact));
		Ok(())
	}
}

/// A trainer that counts, and that can be made to go on until it is stopped.
#[derive(Default)]
struct FakeTrainer {
	runs: AtomicUsize,
	endless: bool,
	started: watch::Sender<bool>,
}

impl Trainer for FakeTrainer {
	fn train(&self, job: &TrainJob, progress: Progress<'_>) -> Result<LocalUpdate, TrainerError> {
		assert_eq!(job.config, CONFIG_BYTES);
		// Another result at every run: a second one would be a different update.
		let run = self.runs.fetch_add(1, Ordering::SeqCst);
		self.started.send_replace(true);
		loop {
			if progress(1, 1, 0.5) == ControlFlow::Break(()) {
				return Err(TrainerError::Stopped);
			}
			if !self.endless {
				break;
			}
			std::thread::yield_now();
		}
		Ok(LocalUpdate { tensors: tensors(0.25 + run as f32), samples: 100, local_steps: 10, loss: 0.5 })
	}
}

struct Worker {
	dir: tempfile::TempDir,
	ledger: Arc<FakeLedger>,
	exchange: Arc<FakeExchange>,
	trainer: Arc<FakeTrainer>,
	output: Output,
}

struct Process {
	context: Arc<Context>,
	stop: watch::Sender<bool>,
	task: tokio::task::JoinHandle<Result<(), DaemonError>>,
}

impl Worker {
	fn new(round: Round, trainer: FakeTrainer) -> Self {
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
		}
	}

	/// Starts the daemon as a new process would: from the disk.
	fn start(&self) -> Process {
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
		});
		let (stop, stopped) = watch::channel(false);
		let task = tokio::spawn(run(context.clone(), stopped));
		Process { context, stop, task }
	}

	fn events(&self, name: &str) -> Vec<serde_json::Value> {
		let lines = self.output.lines();
		let parsed = lines.iter().map(|l| serde_json::from_str::<serde_json::Value>(l).unwrap());
		parsed.filter(|v| v["event"] == name).collect()
	}

	/// What a committed update of somebody else looks like.
	fn foreign_update(
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
	async fn kill(self) {
		self.task.abort();
		drop(self.task.await);
	}

	async fn stop(self) {
		self.stop.send_replace(true);
		self.task.await.unwrap().unwrap();
	}
}

fn open_round() -> Round {
	round(Phase::Commit)
}

fn is_commit(call: &Call) -> bool {
	matches!(call, Call::CommitUpdate { .. })
}

#[tokio::test(flavor = "multi_thread")]
async fn one_worker_takes_a_round_from_training_to_the_next_weights() {
	let worker = Worker::new(open_round(), FakeTrainer::default());
	let process = worker.start();
	let state = worker.ledger.until(|s| !s.settled.is_empty()).await;
	let result = state.settled[0].result.unwrap();
	// The next weights are announced once they are final.
	worker.exchange.announced.subscribe().wait_for(|all| all.contains(&result)).await.unwrap();
	let weights = TensorFile::from_bytes(&worker.exchange.store.get(&result).unwrap().unwrap()).unwrap();
	// base − update, with the one update's weight being everything.
	assert_eq!(weights.get("w").unwrap().data, [0.75, -0.75]);
	assert_eq!(worker.trainer.runs.load(Ordering::SeqCst), 1);
	process.stop().await;
	let calls: Vec<&str> = state.submitted.iter().map(|(_, call)| call.name().1).collect();
	assert_eq!(calls, ["commit_update", "vote_availability", "commit_aggregate", "reveal_aggregate"]);
	for name in ["round.trained", "round.committed", "round.voted", "round.aggregated", "aggregate.revealed"]
	{
		assert_eq!(worker.events(name).len(), 1, "{name}");
	}
	assert_eq!(worker.events("action.failed"), Vec::<serde_json::Value>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn settled_round_is_reported_and_leaves_the_journal() {
	let worker = Worker::new(open_round(), FakeTrainer::default());
	let process = worker.start();
	worker.ledger.until(|s| !s.settled.is_empty()).await;
	let mut poll = tokio::time::interval(Duration::from_millis(5));
	while worker.events("round.finalised").is_empty() || !process.context.journal.state().rounds.is_empty() {
		poll.tick().await;
	}
	let event = &worker.events("round.finalised")[0];
	assert_eq!((&event["included"], &event["points"]), (&json!(1), &json!("5")));
	process.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn worker_killed_after_sending_commits_the_same_update_and_no_second_one() {
	let worker = Worker::new(open_round(), FakeTrainer::default());
	worker.ledger.change(|s| s.swallow = true);
	let process = worker.start();
	let state = worker.ledger.until(|s| s.submitted.iter().any(|(_, c)| is_commit(c))).await;
	process.kill().await;
	let first = state.submitted[0].clone();

	worker.ledger.change(|s| s.swallow = false);
	let process = worker.start();
	let state = worker.ledger.until(|s| !s.settled.is_empty()).await;
	process.stop().await;
	let commits: Vec<_> = state.submitted.iter().filter(|(_, c)| is_commit(c)).collect();
	assert_eq!(commits, [&first, &first]);
	assert_eq!(worker.trainer.runs.load(Ordering::SeqCst), 1);
	assert_eq!(state.settled[0].commits.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn worker_killed_after_committing_to_an_aggregate_reveals_it() {
	let worker = Worker::new(open_round(), FakeTrainer::default());
	let process = worker.start();
	// Stopped right when its commitment is on chain; the reveal never gets out.
	let ledger = worker.ledger.clone();
	worker.ledger.until(|s| s.commitment.is_some()).await;
	process.kill().await;
	let process = worker.start();
	let state = ledger.until(|s| !s.settled.is_empty()).await;
	process.stop().await;
	assert!(state.settled[0].result.is_some());
	assert_eq!(worker.events("round.aggregated").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn own_update_is_withheld_until_the_commit_window_has_closed() {
	let worker = Worker::new(open_round(), FakeTrainer::default());
	worker.ledger.change(|s| s.swallow = true);
	let process = worker.start();
	let state = worker.ledger.until(|s| !s.submitted.is_empty()).await;
	let Call::CommitUpdate { artifact, .. } = state.submitted[0].1 else { panic!("{:?}", state.submitted) };
	assert!(worker.exchange.store.contains(&artifact));
	assert!(process.context.withheld.contains(&artifact));
	process.kill().await;

	let process = worker.start();
	assert!(process.context.withheld.contains(&artifact), "also after a restart");
	worker.ledger.change_round(|r| {
		r.phase = Phase::Availability;
		r.committee.clear();
	});
	worker.exchange.announced.subscribe().wait_for(|all| all.contains(&artifact)).await.unwrap();
	assert!(!process.context.withheld.contains(&artifact));
	process.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn training_stops_when_the_window_closes_and_nothing_is_committed() {
	let worker = Worker::new(open_round(), FakeTrainer { endless: true, ..FakeTrainer::default() });
	let process = worker.start();
	worker.trainer.started.subscribe().wait_for(|started| *started).await.unwrap();
	worker.ledger.change_round(|r| {
		r.phase = Phase::Availability;
		r.committee.clear();
	});
	let mut poll = tokio::time::interval(Duration::from_millis(5));
	while worker.events("round.abandoned").is_empty() {
		poll.tick().await;
	}
	process.stop().await;
	assert_eq!(worker.ledger.now().submitted, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_ends_training_promptly_and_cleanly() {
	let worker = Worker::new(open_round(), FakeTrainer { endless: true, ..FakeTrainer::default() });
	let process = worker.start();
	worker.trainer.started.subscribe().wait_for(|started| *started).await.unwrap();
	process.stop().await;
	assert_eq!(worker.ledger.now().submitted, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn vote_leaves_out_what_is_missing_when_the_deadline_comes_near() {
	let mut running = open_round();
	running.phase = Phase::Availability;
	let worker = Worker::new(running, FakeTrainer::default());
	let base = base_weights().hash();
	let (here, bytes) = worker.foreign_update(base, 0);
	let (missing, _) = worker.foreign_update(base, 1);
	worker.exchange.elsewhere.lock().unwrap().insert(here.artifact, bytes);
	worker.ledger.change_round(|r| {
		r.commit_count = 2;
		r.commits = vec![here.clone(), missing.clone()];
		r.committee = vec![member(ME)];
	});
	let process = worker.start();
	let mut poll = tokio::time::interval(Duration::from_millis(5));
	while !worker.exchange.store.contains(&here.artifact) {
		poll.tick().await;
	}
	assert_eq!(worker.ledger.now().submitted, []);
	worker.ledger.best.send_replace(200 - MARGIN);
	let state = worker.ledger.until(|s| !s.submitted.is_empty()).await;
	process.stop().await;
	let Call::VoteAvailability { bitmap, .. } = &state.submitted[0].1 else {
		panic!("{:?}", state.submitted)
	};
	assert!(!bitmap::get(bitmap, 1));
	assert_eq!(bitmap.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn update_that_is_not_what_was_committed_to_is_voted_out_with_the_reason() {
	let mut running = open_round();
	running.phase = Phase::Availability;
	let worker = Worker::new(running, FakeTrainer::default());
	let (good, good_bytes) = worker.foreign_update(base_weights().hash(), 0);
	let (stale, stale_bytes) = worker.foreign_update(H256([99; 32]), 1);
	worker
		.exchange
		.elsewhere
		.lock()
		.unwrap()
		.extend([(good.artifact, good_bytes), (stale.artifact, stale_bytes)]);
	worker.ledger.change_round(|r| {
		r.commit_count = 2;
		r.commits = vec![good, stale];
		r.committee = vec![member(ME)];
	});
	let process = worker.start();
	let state = worker.ledger.until(|s| !s.submitted.is_empty()).await;
	process.stop().await;
	let Call::VoteAvailability { bitmap, .. } = &state.submitted[0].1 else {
		panic!("{:?}", state.submitted)
	};
	assert_eq!(bitmap, &[0b01]);
	let refusals = worker.events("update.refused");
	assert_eq!(refusals.len(), 1);
	assert!(refusals[0]["reason"].as_str().unwrap().contains("base"), "{refusals:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn round_past_its_deadline_is_moved_on_once() {
	let mut running = open_round();
	running.phase = Phase::Reveal;
	running.committee.clear();
	let worker = Worker::new(running, FakeTrainer::default());
	let process = worker.start();
	worker.ledger.best.send_replace(300);
	let state = worker.ledger.until(|s| !s.settled.is_empty()).await;
	process.stop().await;
	let advances = state.submitted.iter().filter(|(_, c)| matches!(c, Call::Advance { .. })).count();
	assert_eq!(advances, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn unreachable_chain_is_said_once_and_waited_out() {
	let worker = Worker::new(open_round(), FakeTrainer::default());
	worker.ledger.change(|s| s.unreachable = true);
	let process = worker.start();
	let mut poll = tokio::time::interval(Duration::from_millis(5));
	while worker.events("chain.waiting").is_empty() {
		poll.tick().await;
	}
	worker.ledger.change(|_| {});
	worker.ledger.change(|s| s.unreachable = false);
	worker.ledger.until(|s| !s.settled.is_empty()).await;
	process.stop().await;
	assert_eq!(worker.events("chain.waiting").len(), 1);
}

/// Waits for an event of the worker's.
async fn event(worker: &Worker, name: &str) -> serde_json::Value {
	loop {
		if let Some(event) = worker.events(name).pop() {
			return event;
		}
		tokio::time::sleep(Duration::from_millis(5)).await;
	}
}

#[tokio::test(flavor = "multi_thread")]
async fn delivered_measurement_is_not_made_again_after_a_restart_and_its_verdict_is_awaited() {
	let worker = Worker::new(open_round(), FakeTrainer { endless: true, ..FakeTrainer::default() });
	let measurement =
		Measurement { products: 1, product_ms: 1, sweeps: 1, sweep_ms: 1, digest: H256([5; 32]) };
	worker.ledger.change(|s| {
		s.view.programmes[0].admits = false;
		s.challenge = Some(Challenge {
			device: 7,
			nonce: Some(H256([4; 32])),
			requested: 90,
			submit_by: 95,
			measurement: Some(measurement),
			state_by: Some(130),
			statements: Vec::new(),
		});
	});
	let process = worker.start();
	event(&worker, "attest.waiting").await;
	assert_eq!(worker.events("attest.measuring").len(), 0);
	worker.ledger.change(|s| {
		let speed = Some(Speed { flops: 1, bandwidth: 1 });
		let evidence =
			EvidenceInfo { kind: EvidenceKind::Measured, speed, at: 101, expires: 900, valid: true };
		s.view.device.as_mut().unwrap().evidence = Some(evidence);
		s.view.programmes[0].admits = true;
		s.challenge = None;
	});
	let done = event(&worker, "attest.done").await;
	assert_eq!(done["evidence"]["expires"], 900);
	// And what it was kept out of goes on.
	event(&worker, "round.training").await;
	assert!(worker.ledger.now().submitted.is_empty());
	process.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_paid_for_moving_on_to_a_committee_that_cannot_be_drawn() {
	let mut over = open_round();
	(over.commit_count, over.deadline) = (2, Some(90));
	let worker = Worker::new(over, FakeTrainer::default());
	worker.ledger.change(|s| s.drawable = 2);
	let process = worker.start();
	let failed = event(&worker, "action.failed").await;
	let error = failed["error"].as_str().unwrap();
	assert!(error.contains("2 aggregators can be drawn, 3 are needed"), "{error}");
	assert!(worker.ledger.now().submitted.is_empty());
	process.stop().await;
}
