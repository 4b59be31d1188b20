//! The daemon: follows the chain, [plans](crate::plan), and runs each planned action once at a time.
//!
//! Every action may be repeated without harm. One that fails is planned again from the state that the chain has then,
//! after a growing pause. An action that the chain has overtaken is told to stop.

mod aggregator;
mod attest;
mod error;
mod exchange;
mod ledger;
mod pace;
mod policy;
mod report;
pub mod retention;
#[cfg(test)]
mod tests;
mod trainer;
mod upkeep;

pub use error::ActionError;
pub use exchange::{Exchange, NetworkExchange, NotFetched};
pub use ledger::{Ledger, LiveLedger};
pub use pace::Pace;
pub use policy::{ChainPolicy, Withheld};
pub use report::{Report, ReportedProgramme};

use crate::{
	chain::{Call, Landed, SubmitError},
	journal::{JournalError, SentLog, SharedJournal},
	metrics::Metrics,
	output::Output,
	plan::{self, notices, plan, Action, Artifacts, ChainView, Duties, Notice, ProgrammeView},
	trainer::Trainer,
};
use cairn_artifacts::Store;
use cairn_primitives::{ArtifactHash, ProgrammeId, H256};
use error::overtaken;
use serde_json::json;
use std::{
	collections::{BTreeSet, HashMap, HashSet},
	path::PathBuf,
	sync::{Arc, Mutex, PoisonError},
	time::Duration,
};
use subxt::utils::AccountId32;
use tokio::{
	sync::{watch, Semaphore},
	task::JoinSet,
	time::Instant,
};

/// Blocks before a deadline at which what is there has to do: the call must be in a block by the deadline.
const MARGIN: u32 = 3;
/// The pause after an action failed once; it doubles with every further failure.
const RETRY: Duration = Duration::from_secs(2);
/// The longest such pause.
const RETRY_MAX: Duration = Duration::from_secs(60);
/// The pause after what would fail in the same way again: longer than any round.
const NEVER: Duration = Duration::from_secs(365 * 24 * 3600);
/// How long a stopping daemon waits for its tasks.
const GRACE: Duration = Duration::from_secs(3);
/// How long it waits for one that trains: for the end of the local step, and for the update to be packed up.
pub const HAND_OVER: Duration = Duration::from_secs(20);
/// Without a new finalised block for this long, something is wrong with the node or the chain.
pub const STALLED: Duration = Duration::from_secs(60);
/// How long reading the chain may take before that is said.
const READING: Duration = Duration::from_secs(45);
/// How long reading what was earned may hold up the rest: it is for metrics alone.
const REWARDS: Duration = Duration::from_secs(5);

/// Why the daemon ended.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
	/// Without the journal nothing may be done.
	#[error(transparent)]
	Journal(#[from] JournalError),
}

/// What all actions share.
pub struct Context {
	/// The chain.
	pub ledger: Arc<dyn Ledger>,
	/// The network.
	pub exchange: Arc<dyn Exchange>,
	/// What trains, if this worker does.
	pub trainer: Option<Arc<dyn Trainer>>,
	/// The artifacts.
	pub store: Store,
	/// The journal.
	pub journal: SharedJournal,
	/// What is not given out yet.
	pub withheld: Withheld,
	/// Where events go.
	pub output: Output,
	/// The account.
	pub me: AccountId32,
	/// Roles.
	pub duties: Duties,
	/// Seed that the operator declared; goes into the seed of every local run.
	pub seed: u64,
	/// Threads for aggregation.
	pub threads: usize,
	/// libtorch's own threads use the whole machine, and its global state is shared: one run at a time.
	pub training: Semaphore,
	/// What this process has announced.
	pub announced: Mutex<HashSet<ArtifactHash>>,
	/// How fast this machine trains.
	pub pace: Pace,
	/// What is counted.
	pub metrics: Arc<Metrics>,
	/// Where `cairn-worker status` reads what this process does.
	pub report: Option<PathBuf>,
	/// The newest state of the chain that was read, for actions that go on while it changes.
	pub latest: watch::Sender<Option<Arc<ChainView>>>,
	/// How long the chain may be without a new finalised block before that is said.
	pub stalled: Duration,
}

impl Context {
	fn genesis(&self) -> H256 {
		self.ledger.genesis()
	}

	async fn submit(&self, action: &Action, call: &Call) -> Result<Landed, SubmitError> {
		self.ledger.submit(&action.key(), call).await
	}
}

impl Artifacts for Context {
	fn held(&self, artifact: &ArtifactHash) -> bool {
		self.store.contains(artifact)
	}

	fn announced(&self, artifact: &ArtifactHash) -> bool {
		self.announced.lock().unwrap_or_else(PoisonError::into_inner).contains(artifact)
	}
}

/// What a running action is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Order {
	/// Nothing.
	GoOn,
	/// The daemon stops: leave behind what is worth keeping, and end.
	HandOver,
	/// The chain has overtaken it.
	Drop,
}

/// One running action: where it started from, and whether it is still needed.
#[derive(Clone)]
struct Task {
	context: Arc<Context>,
	view: Arc<ChainView>,
	order: watch::Receiver<Order>,
}

impl Task {
	fn programme(&self, id: ProgrammeId) -> Result<&ProgrammeView, ActionError> {
		// The plan is made from the same view, so it is there.
		self.view.programmes.iter().find(|p| p.info.id == id).ok_or(ActionError::Cancelled)
	}

	/// Ends when the action is no longer needed.
	async fn cancelled(&self) {
		let mut order = self.order.clone();
		// An error means that the daemon itself is gone.
		drop(order.wait_for(|order| *order != Order::GoOn).await);
	}

	fn is_cancelled(&self) -> bool {
		*self.order.borrow() != Order::GoOn
	}

	async fn run(self, action: Action) -> Result<(), ActionError> {
		match &action {
			Action::Train { at } => trainer::train(&self, at).await,
			Action::CommitUpdate { at, .. } => trainer::commit(&self, &action, at).await,
			Action::Vote { at } => aggregator::vote(&self, &action, at).await,
			Action::Aggregate { at } => aggregator::aggregate(&self, at).await,
			Action::CommitAggregate { at } => aggregator::commit(&self, &action, at).await,
			Action::Reveal { at } => aggregator::reveal(&self, &action, at).await,
			Action::Challenge { at, claimed } => aggregator::challenge(&self, &action, at, *claimed).await,
			Action::Advance { at, phase } => upkeep::advance(&self, &action, at, *phase).await,
			Action::Resume { programme } => upkeep::resume(&self, &action, *programme).await,
			Action::Attest => attest::attest(&self, &action).await,
			Action::Fetch { programme, artifact } => upkeep::fetch(&self, *programme, artifact).await,
			Action::Announce { artifact } => upkeep::announce(&self, artifact).await,
			Action::Settle { programme, round } => upkeep::settle(&self, *programme, *round).await,
		}
	}
}

struct Running {
	order: watch::Sender<Order>,
	action: Action,
}

struct Retry {
	failures: u32,
	not_before: Instant,
}

/// Whether an action that is no longer planned should be told so. One that has sent a transaction is not: it learns
/// from the chain what became of it.
fn stops_when_overtaken(action: &Action) -> bool {
	matches!(
		action,
		Action::Train { .. } | Action::Vote { .. } | Action::Aggregate { .. } | Action::Fetch { .. }
	)
}

struct Daemon {
	context: Arc<Context>,
	view: Option<Arc<ChainView>>,
	running: HashMap<String, Running>,
	ids: HashMap<tokio::task::Id, String>,
	retries: HashMap<String, Retry>,
	tasks: JoinSet<Result<(), ActionError>>,
	noticed: BTreeSet<Notice>,
	/// What keeps the worker from working now.
	trouble: Option<String>,
	/// What has since the chain was last read.
	troubles: HashSet<String>,
	/// The newest finalised block, and since when it is.
	newest: (u32, Instant),
	/// Finalised rounds by programme when rewards were last asked for.
	rewarded: HashMap<ProgrammeId, u32>,
	reporter: report::Reporter,
}

/// Runs until `stop` turns true.
///
/// # Errors
/// Only when the journal cannot be written: everything else is reported and tried again.
pub async fn run(context: Arc<Context>, mut stop: watch::Receiver<bool>) -> Result<(), DaemonError> {
	let mut daemon = Daemon {
		reporter: report::Reporter::new(context.report.clone()),
		newest: (0, Instant::now()),
		rewarded: HashMap::new(),
		context,
		view: None,
		running: HashMap::new(),
		ids: HashMap::new(),
		retries: HashMap::new(),
		tasks: JoinSet::new(),
		noticed: BTreeSet::new(),
		trouble: None,
		troubles: HashSet::new(),
	};
	let heads = daemon.context.ledger.heads().clone();
	let (mut finalised, mut best) = (heads.finalised.clone(), heads.best.clone());
	let result = loop {
		let step = tokio::select! {
			step = daemon.step() => step,
			// Also while no node answers.
			() = async { drop(stop.wait_for(|stop| *stop).await) } => break Ok(()),
		};
		if let Err(e) = step {
			break Err(e);
		}
		// The watch receivers remember what changed during the step, so nothing is missed.
		tokio::select! {
			() = async { drop(stop.wait_for(|stop| *stop).await) } => break Ok(()),
			changed = finalised.changed() => {
				if changed.is_err() {
					// Following ended; only a chain mix-up does that. Keep running: the operator sees the errors.
					tokio::time::sleep(RETRY).await;
				}
			},
			Ok(()) = best.changed() => {},
			Some(joined) = daemon.tasks.join_next_with_id() => {
				if let Err(e) = daemon.joined(joined) {
					break Err(e);
				}
			},
			() = tokio::time::sleep(RETRY) => {},
		}
	};
	daemon.shut_down().await;
	result
}

impl Daemon {
	/// Looks at the chain, and starts and stops actions accordingly.
	async fn step(&mut self) -> Result<(), DaemonError> {
		let heads = self.context.ledger.heads();
		let (finalised, best) = (heads.finalised_now().number, heads.best_now());
		self.watch_head(finalised);
		self.context.metrics.heads(finalised, best, self.newest.1.into_std());
		self.report();
		if self.view.as_ref().is_none_or(|v| v.finalised < finalised) && !self.refresh().await {
			return Ok(());
		}
		let Some(view) = &mut self.view else { return Ok(()) };
		Arc::make_mut(view).best = best;
		let view = view.clone();
		self.context.withheld.follow(&view);
		let journal = self.context.journal.state();
		self.say_notices(&view, &journal);
		self.forget_dead_transactions(&view, &journal)?;
		let actions = plan(&view, &journal, &self.context.duties, &*self.context);
		let planned: HashSet<String> = actions.iter().map(Action::key).collect();
		for (key, running) in &self.running {
			if !planned.contains(key) && stops_when_overtaken(&running.action) {
				running.order.send_replace(Order::Drop);
			}
		}
		self.retries.retain(|key, _| planned.contains(key));
		for action in actions {
			self.start(action, &view);
		}
		Ok(())
	}

	/// Says when finalised blocks stop coming.
	fn watch_head(&mut self, finalised: u32) {
		if self.newest.0 != finalised {
			self.newest = (finalised, Instant::now());
		} else if self.trouble.is_none() && self.newest.1.elapsed() >= self.context.stalled {
			let seconds = self.context.stalled.as_secs();
			self.trouble(format!(
				"no new finalised block for more than {seconds} s after block {finalised}: see in the node's log whether it has \
				 peers and the chain finalises, or name another node with --node; this worker goes on as soon as blocks come"
			));
		}
	}

	/// Says what keeps the worker from working: once until it works again, not at every block.
	fn trouble(&mut self, trouble: String) {
		if self.troubles.insert(trouble.clone()) {
			let text = format!("waiting: {trouble}");
			self.context.output.event("chain.waiting", json!({ "reason": trouble.clone() }), text);
		}
		self.trouble = Some(trouble);
	}

	/// Reads the chain. False when that is not possible now.
	async fn refresh(&mut self) -> bool {
		let reading = async {
			if self.context.ledger.is_syncing().await? {
				return Ok(None);
			}
			self.context.ledger.view(&self.context.duties).await.map(Some)
		};
		let trouble = match tokio::time::timeout(READING, reading).await {
			Ok(Ok(Some(view))) => {
				self.report_rounds(&view);
				self.context.metrics.view(&view);
				let view = Arc::new(view);
				self.context.latest.send_replace(Some(view.clone()));
				self.view = Some(view.clone());
				self.trouble = None;
				self.troubles.clear();
				if tokio::time::timeout(REWARDS, self.read_rewards(&view)).await.is_err() {
					tracing::debug!("rewards were not read within {} s; asking again later", REWARDS.as_secs());
				}
				return true;
			},
			Ok(Ok(None)) => "the node is still catching up with the chain; waiting for it".to_string(),
			Ok(Err(e)) => e.to_string(),
			Err(_) => format!(
				"the chain could not be read for {} s: no node answers, or it is very slow. Start a node, or name another with \
				 --node; this worker tries on",
				READING.as_secs()
			),
		};
		self.trouble(trouble);
		false
	}

	/// What this worker has earned, once per round: for metrics alone.
	async fn read_rewards(&mut self, view: &ChainView) {
		for programme in &view.programmes {
			let (id, finalised) = (programme.info.id, programme.info.finalised);
			if self.rewarded.get(&id) == Some(&finalised) {
				continue;
			}
			match self.context.ledger.rewards(id).await {
				Ok(rewards) => {
					self.context.metrics.rewards(id, &rewards);
					self.rewarded.insert(id, finalised);
				},
				Err(e) => tracing::debug!("rewards of programme {id}: {e}"),
			}
		}
	}

	/// Leaves word of what is done now for `cairn-worker status`.
	fn report(&mut self) {
		let heads = self.context.ledger.heads();
		let mut doing: Vec<String> = self.running.keys().cloned().collect();
		doing.sort();
		let report = Report::new(
			self.context.me.to_string(),
			(heads.finalised_now().number, heads.best_now()),
			self.view.as_deref(),
			self.context.exchange.peers(),
			doing,
			self.trouble.clone(),
			self.noticed.iter().map(ToString::to_string).collect(),
		);
		self.reporter.write(report);
	}

	fn report_rounds(&self, view: &ChainView) {
		for programme in &view.programmes {
			let id = programme.info.id;
			let before = self.view.iter().flat_map(|v| &v.programmes).find(|p| p.info.id == id);
			let Some(round) = &programme.round else { continue };
			let seen = before.and_then(|p| p.round.as_ref()).map(|r| (r.index, r.attempt, r.phase));
			if seen == Some((round.index, round.attempt, round.phase)) {
				continue;
			}
			let fields = json!({
				"programme": id, "round": round.index, "attempt": round.attempt, "phase": round.phase,
				"deadline": round.deadline, "commits": round.commit_count, "base": round.base,
				"block": view.finalised,
			});
			let text = format!("programme {id} round {}: {:?}", round.index, round.phase);
			self.context.output.event("round.phase", fields, text);
		}
	}

	fn say_notices(&mut self, view: &ChainView, journal: &crate::journal::JournalState) {
		let now: BTreeSet<Notice> = notices(view, journal, &self.context.duties).into_iter().collect();
		self.context.metrics.notices(now.len());
		for notice in now.difference(&self.noticed) {
			let text = notice.to_string();
			self.context.output.event("notice", json!({ "notice": text.clone() }), &text);
		}
		self.noticed = now;
	}

	/// Drops transactions that can no longer land and that nothing waits for.
	fn forget_dead_transactions(
		&self,
		view: &ChainView,
		journal: &crate::journal::JournalState,
	) -> Result<(), DaemonError> {
		for tx in journal.sent.values() {
			if tx.death <= view.finalised && !self.running.contains_key(&tx.key) {
				match self.context.journal.closed(&tx.key, None) {
					// Nobody waits for it: the next block is soon enough.
					Err(e @ JournalError::NotWritten { .. }) => tracing::warn!("{e}"),
					closed => closed?,
				}
			}
		}
		Ok(())
	}

	fn start(&mut self, action: Action, view: &Arc<ChainView>) {
		let key = action.key();
		let waits = self.retries.get(&key).is_some_and(|r| Instant::now() < r.not_before);
		if waits || self.running.contains_key(&key) {
			return;
		}
		tracing::debug!("starting {key}");
		let (order, ordered) = watch::channel(Order::GoOn);
		let task = Task { context: self.context.clone(), view: view.clone(), order: ordered };
		let id = self.tasks.spawn(task.run(action.clone())).id();
		self.ids.insert(id, key.clone());
		self.running.insert(key, Running { order, action });
	}

	fn joined(
		&mut self,
		joined: Result<(tokio::task::Id, Result<(), ActionError>), tokio::task::JoinError>,
	) -> Result<(), DaemonError> {
		let (id, outcome) = match joined {
			Ok(done) => done,
			Err(e) => (e.id(), Err(ActionError::Failed(format!("it crashed: {e}")))),
		};
		let Some(key) = self.ids.remove(&id) else { return Ok(()) };
		self.running.remove(&key);
		match outcome {
			Ok(()) => {
				self.retries.remove(&key);
			},
			Err(ActionError::Cancelled) => tracing::debug!("{key} is no longer needed"),
			Err(ActionError::Late { at, update }) => {
				// The finalised chain will show soon that the window is closed; until then it is planned again.
				if self.pause(key).0 == 1 {
					let text = ActionError::Late { at, update }.to_string();
					let fields = json!({ "programme": at.programme, "round": at.round, "artifact": update });
					self.context.output.event("round.late", fields, text);
				}
			},
			Err(ActionError::Hopeless { at, reason }) => {
				// Kept for as long as the action is planned: until the round has moved on.
				self.retries.insert(key, Retry { failures: 1, not_before: Instant::now() + NEVER });
				let fields = json!({ "programme": at.programme, "round": at.round, "reason": reason });
				let text = ActionError::Hopeless { at, reason }.to_string();
				self.context.output.event("round.hopeless", fields, text);
			},
			Err(ActionError::Submit(e)) if overtaken(&e) => {
				let fields = json!({ "action": key.clone(), "reason": e.to_string() });
				self.context.output.event("action.overtaken", fields, format!("{key} came too late: {e}"));
			},
			Err(ActionError::Journal(e) | ActionError::Submit(SubmitError::Journal(e)))
				if !matches!(e, JournalError::NotWritten { .. }) =>
			{
				return Err(DaemonError::Journal(e));
			},
			Err(e) => self.failed(key, &e),
		}
		Ok(())
	}

	/// Lets an action wait before it is started again, longer each time: how often it has failed, and how long that is.
	fn pause(&mut self, key: String) -> (u32, Duration) {
		let failures = self.retries.get(&key).map_or(0, |r| r.failures) + 1;
		let pause = RETRY.saturating_mul(1 << (failures - 1).min(6)).min(RETRY_MAX);
		self.retries.insert(key, Retry { failures, not_before: Instant::now() + pause });
		(failures, pause)
	}

	fn failed(&mut self, key: String, error: &ActionError) {
		let (failures, pause) = self.pause(key.clone());
		let text = format!("{key}: {error} (looked at again in {} s)", pause.as_secs());
		let fields =
			json!({ "action": key, "error": error.to_string(), "kind": error.kind(), "failures": failures });
		self.context.output.event("action.failed", fields, text);
	}

	async fn shut_down(&mut self) {
		let mut trains = HashSet::new();
		for (key, running) in &self.running {
			running.order.send_replace(Order::HandOver);
			if matches!(running.action, Action::Train { .. }) {
				trains.insert(key.clone());
			}
		}
		// What has sent a transaction waits for finality; the journal takes it up again next time.
		let started = Instant::now();
		while !self.tasks.is_empty() {
			let grace = if trains.is_empty() { GRACE } else { HAND_OVER };
			match tokio::time::timeout_at(started + grace, self.tasks.join_next_with_id()).await {
				Ok(Some(joined)) => {
					let id = joined.as_ref().map_or_else(tokio::task::JoinError::id, |(id, _)| *id);
					if let Some(key) = self.ids.remove(&id) {
						trains.remove(&key);
					}
					if let Ok((_, Err(e))) = joined {
						tracing::debug!("while stopping: {e}");
					}
				},
				Ok(None) => break,
				Err(_) => {
					tracing::info!(
						"{} tasks were left; the journal has what they need to go on",
						self.tasks.len()
					);
					break;
				},
			}
		}
		self.reporter.remove();
	}
}

pub(crate) use plan::At;
