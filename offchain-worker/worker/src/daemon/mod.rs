//! The daemon: follows the chain, [plans](crate::plan), and runs each planned action once at a time.
//!
//! Every action may be repeated without harm. One that fails is planned again from the state that the chain has then,
//! after a growing pause. An action that the chain has overtaken is told to stop.

mod aggregator;
mod attest;
mod exchange;
mod ledger;
mod policy;
pub mod retention;
#[cfg(test)]
mod tests;
mod trainer;
mod upkeep;

pub use exchange::{Exchange, NetworkExchange};
pub use ledger::{Ledger, LiveLedger};
pub use policy::{ChainPolicy, Withheld};

use crate::{
	chain::{Call, ChainError, Landed, SubmitError},
	journal::{JournalError, SentLog, SharedJournal},
	output::Output,
	plan::{self, notices, plan, Action, Artifacts, ChainView, Duties, Notice, ProgrammeView},
	trainer::Trainer,
};
use cairn_artifacts::{Store, StoreError};
use cairn_primitives::{ArtifactHash, ProgrammeId, H256};
use serde_json::json;
use std::{
	collections::{BTreeSet, HashMap, HashSet},
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
/// How long a stopping daemon waits for its tasks.
const GRACE: Duration = Duration::from_secs(3);

/// Why an action had no effect.
#[derive(Debug, thiserror::Error)]
pub enum ActionError {
	/// The chain has overtaken it, or the daemon stops.
	#[error("no longer needed")]
	Cancelled,
	/// A transaction had no effect.
	#[error(transparent)]
	Submit(#[from] SubmitError),
	/// The chain could not be read.
	#[error(transparent)]
	Chain(#[from] ChainError),
	/// The journal could not be written.
	#[error(transparent)]
	Journal(#[from] JournalError),
	/// The store failed.
	#[error(transparent)]
	Store(#[from] StoreError),
	/// An artifact could not be had.
	#[error("artifact {artifact:?} could not be fetched: {reason}")]
	Fetch {
		/// Which.
		artifact: ArtifactHash,
		/// Who was asked, and what they said.
		reason: String,
	},
	/// Anything else, in words.
	#[error("{0}")]
	Failed(String),
}

impl ActionError {
	fn failed(e: impl std::fmt::Display) -> Self {
		Self::Failed(e.to_string())
	}
}

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

/// One running action: where it started from, and whether it is still needed.
#[derive(Clone)]
struct Task {
	context: Arc<Context>,
	view: Arc<ChainView>,
	cancel: watch::Receiver<bool>,
}

impl Task {
	fn programme(&self, id: ProgrammeId) -> Result<&ProgrammeView, ActionError> {
		// The plan is made from the same view, so it is there.
		self.view.programmes.iter().find(|p| p.info.id == id).ok_or(ActionError::Cancelled)
	}

	/// Ends when the action is no longer needed.
	async fn cancelled(&self) {
		let mut cancel = self.cancel.clone();
		// An error means that the daemon itself is gone.
		drop(cancel.wait_for(|cancelled| *cancelled).await);
	}

	fn is_cancelled(&self) -> bool {
		*self.cancel.borrow()
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
	cancel: watch::Sender<bool>,
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

/// Whether the chain refused a call because others were faster or the window had closed: no fault, nothing lost.
fn overtaken(error: &SubmitError) -> bool {
	const NAMES: [&str; 9] = [
		"CommitWindowClosed",
		"WindowClosed",
		"WrongRound",
		"WrongAttempt",
		"NoRunningRound",
		"AlreadyCommitted",
		"AlreadyVoted",
		"AlreadyRevealed",
		"TooManyUpdates",
	];
	NAMES.iter().any(|name| error.is_refusal("Training", name))
}

struct Daemon {
	context: Arc<Context>,
	view: Option<Arc<ChainView>>,
	running: HashMap<String, Running>,
	ids: HashMap<tokio::task::Id, String>,
	retries: HashMap<String, Retry>,
	tasks: JoinSet<Result<(), ActionError>>,
	noticed: BTreeSet<Notice>,
	trouble: Option<String>,
}

/// Runs until `stop` turns true.
///
/// # Errors
/// Only when the journal cannot be written: everything else is reported and tried again.
pub async fn run(context: Arc<Context>, mut stop: watch::Receiver<bool>) -> Result<(), DaemonError> {
	let mut daemon = Daemon {
		context,
		view: None,
		running: HashMap::new(),
		ids: HashMap::new(),
		retries: HashMap::new(),
		tasks: JoinSet::new(),
		noticed: BTreeSet::new(),
		trouble: None,
	};
	let heads = daemon.context.ledger.heads().clone();
	let (mut finalised, mut best) = (heads.finalised.clone(), heads.best.clone());
	let result = loop {
		if let Err(e) = daemon.step().await {
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
		if self.view.as_ref().is_none_or(|v| v.finalised < finalised) && !self.refresh().await {
			return Ok(());
		}
		let Some(view) = &mut self.view else { return Ok(()) };
		Arc::make_mut(view).best = best;
		let view = view.clone();
		self.context.withheld.release(&view.programmes);
		let journal = self.context.journal.state();
		self.say_notices(&view, &journal);
		self.forget_dead_transactions(&view, &journal)?;
		let actions = plan(&view, &journal, &self.context.duties, &*self.context);
		let planned: HashSet<String> = actions.iter().map(Action::key).collect();
		for (key, running) in &self.running {
			if !planned.contains(key) && stops_when_overtaken(&running.action) {
				running.cancel.send_replace(true);
			}
		}
		self.retries.retain(|key, _| planned.contains(key));
		for action in actions {
			self.start(action, &view);
		}
		Ok(())
	}

	/// Reads the chain. False when that is not possible now.
	async fn refresh(&mut self) -> bool {
		let reading = async {
			if self.context.ledger.is_syncing().await? {
				return Ok(None);
			}
			self.context.ledger.view(&self.context.duties).await.map(Some)
		};
		let trouble = match reading.await {
			Ok(Some(view)) => {
				self.report_rounds(&view);
				self.view = Some(Arc::new(view));
				self.trouble = None;
				return true;
			},
			Ok(None) => "the node is still catching up with the chain; waiting for it".to_string(),
			Err(e) => e.to_string(),
		};
		// Once per kind of trouble, not at every block.
		if self.trouble.as_ref() != Some(&trouble) {
			let text = format!("waiting: {trouble}");
			self.context.output.event("chain.waiting", json!({ "reason": trouble.clone() }), text);
			self.trouble = Some(trouble);
		}
		false
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
				self.context.journal.closed(&tx.key, None)?;
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
		let (cancel, cancelled) = watch::channel(false);
		let task = Task { context: self.context.clone(), view: view.clone(), cancel: cancelled };
		let id = self.tasks.spawn(task.run(action.clone())).id();
		self.ids.insert(id, key.clone());
		self.running.insert(key, Running { cancel, action });
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
			Err(ActionError::Submit(e)) if overtaken(&e) => {
				let fields = json!({ "action": key.clone(), "reason": e.to_string() });
				self.context.output.event("action.overtaken", fields, format!("{key} came too late: {e}"));
			},
			Err(ActionError::Journal(e) | ActionError::Submit(SubmitError::Journal(e))) => {
				return Err(DaemonError::Journal(e));
			},
			Err(e) => self.failed(key, &e),
		}
		Ok(())
	}

	fn failed(&mut self, key: String, error: &ActionError) {
		let failures = self.retries.get(&key).map_or(0, |r| r.failures) + 1;
		let pause = RETRY.saturating_mul(1 << (failures - 1).min(6)).min(RETRY_MAX);
		let again = pause.as_secs();
		let text = format!("{key}: {error} (looked at again in {again} s)");
		let fields = json!({ "action": key.clone(), "error": error.to_string(), "failures": failures });
		self.context.output.event("action.failed", fields, text);
		self.retries.insert(key, Retry { failures, not_before: Instant::now() + pause });
	}

	async fn shut_down(&mut self) {
		for running in self.running.values() {
			running.cancel.send_replace(true);
		}
		// What has sent a transaction waits for finality; the journal takes it up again next time.
		let finish = async { while self.tasks.join_next().await.is_some() {} };
		drop(tokio::time::timeout(GRACE, finish).await);
	}
}

pub(crate) use plan::At;
