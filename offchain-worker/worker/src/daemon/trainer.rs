//! The trainer's actions.

use super::{upkeep, ActionError, At, Context, Order, Task, MARGIN};
use crate::{
	chain::{Call, SubmitError},
	crash,
	journal::{Entry, UpdateState},
	plan::{run_seed, Action, ChainView},
	trainer::{Stop, TrainJob, TrainerError},
	units::short,
};
use cairn_artifacts::TensorFile;
use cairn_primitives::{
	artifact_hash,
	envelope::UpdateEnvelope,
	views::{Phase, ProgrammeState},
};
use serde_json::json;
use std::{
	ops::ControlFlow,
	sync::{
		atomic::{AtomicBool, AtomicU32, Ordering},
		Arc, OnceLock,
	},
	time::{Duration, Instant},
};

/// Bytes a second at which an update is hashed, written and synced, on a slow disk.
const PACKING: u64 = 50_000_000;
/// When the daemon stops, the update of a run that has come this far is kept; the rest of one that has not is made anew
/// sooner than it is missed.
const WORTH_KEEPING: f64 = 0.5;

/// Blocks before the end of the commit window at which training has to end, so that the update is in a block in time.
fn reserve(update_bytes: usize, block_time: Duration) -> u32 {
	let packing = Duration::from_secs((update_bytes as u64).div_ceil(PACKING));
	let blocks = packing.as_millis().div_ceil(block_time.as_millis().max(1));
	MARGIN.saturating_add(u32::try_from(blocks).unwrap_or(u32::MAX))
}

/// The last block of the round's commit window, as far as it is known: the first commit starts its clock.
fn deadline(view: &ChainView, at: &At) -> Option<u32> {
	let programme = view.programmes.iter().find(|p| p.info.id == at.programme)?;
	let round = programme.round.as_ref().filter(|r| r.index == at.round && r.phase == Phase::Commit)?;
	round.deadline
}

/// Ends when the commit window is about to close.
async fn closes(task: &Task, at: &At, reserve: u32) {
	let heads = task.context.ledger.heads();
	let (mut best, mut latest) = (heads.best.clone(), task.context.latest.subscribe());
	loop {
		let known = latest.borrow_and_update().as_deref().and_then(|view| deadline(view, at));
		let known = known.or_else(|| deadline(&task.view, at));
		best.borrow_and_update();
		if known.is_some_and(|last| heads.best_now() >= last.saturating_sub(reserve)) {
			return;
		}
		let moved = async {
			tokio::select! {
				moved = best.changed() => moved.is_ok(),
				moved = latest.changed() => moved.is_ok(),
			}
		};
		if !moved.await {
			// Nobody follows the chain any more: the window is unknown.
			std::future::pending::<()>().await;
		}
	}
}

/// Why a run was dropped that was under way, by the newest state of the chain: for machines and for people.
fn dropped_for(view: &ChainView, at: &At) -> (&'static str, &'static str) {
	let programme = view.programmes.iter().find(|p| p.info.id == at.programme);
	let state = programme.map(|p| p.info.state);
	if matches!(state, Some(ProgrammeState::Paused | ProgrammeState::Closed)) {
		return ("programme", "the programme was paused or closed");
	}
	let open = programme.and_then(|p| {
		let round = p.round.as_ref().filter(|r| r.index == at.round && r.phase == Phase::Commit);
		round.map(|round| (p, round))
	});
	match open {
		Some(_) if !view.active() => {
			("device", "this worker's device may not take part any more; a notice says how it comes back")
		},
		Some((programme, _)) if !programme.admits => (
			"evidence",
			"the charter asks for evidence of this device's speed that it does not have any more; this worker renews it as soon \
			 as it can, and then trains again if the window is still open",
		),
		Some((_, round)) if round.commits.iter().any(|c| c.producer == view.me) => (
			"committed",
			"an update of this account is committed already: does the same key run on two machines? Give each its own device",
		),
		_ => (
			"window",
			"the window closed before training was done. Nothing is lost; fewer local steps or a faster device would make it",
		),
	}
}

/// Trains, and puts the update into store and journal. Committing it is another action.
pub(super) async fn train(task: &Task, at: &At) -> Result<(), ActionError> {
	let context = &task.context;
	let programme = task.programme(at.programme)?;
	let round = programme.round.clone().ok_or(ActionError::Cancelled)?;
	let trainer = context.trainer.clone().ok_or(ActionError::Cancelled)?;
	let device = task.view.device.as_ref().map(|d| d.id).ok_or(ActionError::Cancelled)?;

	let fetching = Instant::now();
	let config = upkeep::obtain(task, &programme.info.config, upkeep::Holders::Aggregators).await?;
	let base = upkeep::obtain(task, &round.base, upkeep::Holders::Aggregators).await?;
	let fetch_seconds = fetching.elapsed().as_secs_f64();
	let permit = tokio::select! {
		permit = context.training.acquire() => permit.map_err(|_| ActionError::Cancelled)?,
		() = task.cancelled() => return Err(ActionError::Cancelled),
	};

	let seed = run_seed(&context.genesis(), at, device, context.seed);
	let block_time = context.ledger.block_time().await?;
	let reserve = reserve(base.len(), block_time);
	let mut job = TrainJob {
		config,
		base,
		seed,
		max_samples: programme.info.max_samples,
		max_local_steps: programme.info.max_local_steps,
	};
	// A slower device is asked for less, so that it is done in time: by the speed that the chain knows of, and by its own
	// in earlier rounds.
	let full = trainer.local_steps(&job).map_err(|e| failed(at, e))?;
	let mut asked = context.ledger.local_steps(device, full).await?;
	let known = context.latest.borrow().as_deref().and_then(|view| deadline(view, at));
	if let Some(last) = known.or_else(|| deadline(&task.view, at)) {
		let blocks = last.saturating_sub(reserve).saturating_sub(context.ledger.heads().best_now());
		let fits = context.pace.fits(&programme.info.config, block_time * blocks);
		asked = asked.min(fits.unwrap_or(u32::MAX));
	}
	job.max_local_steps = asked;
	let fields = json!({
		"programme": at.programme, "round": at.round, "base": round.base, "localSteps": asked, "fullLocalSteps": full,
	});
	let text = format!(
		"programme {} round {}: training from {}, {asked} local steps",
		at.programme,
		at.round,
		short(&round.base)
	);
	context.output.event("round.training", fields, text);
	let started = Instant::now();
	let output = context.output.clone();
	let prefix = format!("programme {} round {}", at.programme, at.round);
	let order = task.order.clone();
	let closing = Arc::new(AtomicBool::new(false));
	let closed = closing.clone();
	let taken = Arc::new((AtomicU32::new(0), OnceLock::<Instant>::new()));
	let counted = taken.clone();
	let run = move || {
		let mut bar = None;
		trainer.train(&job, &mut |step, of, loss| {
			counted.0.store(step, Ordering::Relaxed);
			counted.1.get_or_init(Instant::now);
			let bar = bar.get_or_insert_with(|| output.bar(of.into(), prefix.clone()));
			bar.set(step.into(), format!("loss {loss:.4}"));
			let worth = f64::from(step) >= f64::from(of) * WORTH_KEEPING;
			let told = *order.borrow();
			match told {
				Order::Drop => ControlFlow::Break(Stop::Abandon),
				Order::HandOver if worth => ControlFlow::Break(Stop::Finish),
				Order::HandOver => ControlFlow::Break(Stop::Abandon),
				// When the sender is gone, the daemon is.
				Order::GoOn if order.has_changed().is_err() => ControlFlow::Break(Stop::Abandon),
				Order::GoOn if closed.load(Ordering::Relaxed) => ControlFlow::Break(Stop::Finish),
				Order::GoOn => ControlFlow::Continue(()),
			}
		})
	};
	let mut training = tokio::task::spawn_blocking(run);
	let trained = tokio::select! {
		trained = &mut training => trained,
		() = closes(task, at, reserve) => {
			closing.store(true, Ordering::Relaxed);
			training.await
		},
	};
	let trained = trained.map_err(ActionError::failed)?;
	drop(permit);
	// Of a run that was given up, too: whoever is always beaten to it learns from that how much fits into a round.
	// From the first step's end on: what comes before a first step takes as long for few steps as for many.
	if let Some(began) = taken.1.get() {
		let steps = taken.0.load(Ordering::Relaxed).saturating_sub(1);
		context.pace.record(programme.info.config, steps, began.elapsed());
	}
	let trained = match trained {
		Ok(trained) => trained,
		Err(TrainerError::Stopped) => {
			let stopping = *task.order.borrow() != Order::Drop;
			let (cause, why) = if stopping {
				let why =
					"the worker stops, and too little of its training was done to be kept; it trains again when it is back";
				("stopping", why)
			} else {
				let latest = context.latest.borrow().clone();
				dropped_for(latest.as_ref().unwrap_or(&task.view), at)
			};
			let text = format!("programme {} round {}: {why}", at.programme, at.round);
			let fields = json!({ "programme": at.programme, "round": at.round, "cause": cause });
			context.output.event("round.abandoned", fields, text);
			return Err(ActionError::Cancelled);
		},
		Err(e) => return Err(failed(at, e)),
	};
	if !trained.loss.is_finite() {
		let reason = format!("it diverged: its loss is {}; a lower `learning_rate` helps", trained.loss);
		return Err(ActionError::Hopeless { at: *at, reason });
	}

	let envelope = UpdateEnvelope {
		genesis: context.genesis(),
		programme: at.programme,
		round: at.round,
		base: round.base,
		config: programme.info.config,
		producer: context.me.0,
		device,
		samples: trained.samples,
		local_steps: trained.local_steps,
		clip_norm: 0.0,
		noise_multiplier: 0.0,
		seed,
	};
	let (metadata, tensors) = (envelope.to_metadata(), trained.tensors);
	// All of a model's bytes: not on a thread that others wait for.
	let pack = move || {
		let bytes = TensorFile::new(metadata, tensors).map_err(ActionError::failed)?.to_bytes();
		Ok::<_, ActionError>((artifact_hash(&bytes), bytes))
	};
	let (artifact, bytes) = tokio::task::spawn_blocking(pack).await.map_err(ActionError::failed)??;
	let update = UpdateState {
		artifact,
		base: round.base,
		samples: trained.samples,
		local_steps: trained.local_steps,
		seed,
		loss: trained.loss,
		train_seconds: started.elapsed().as_secs_f64(),
	};
	// Withheld before it exists, and journalled as the one to commit only once it does.
	let (programme, round) = (at.programme, at.round);
	context.withheld.insert(artifact, programme, round);
	let packed = Arc::new((update, bytes));
	keep_until_kept(task, at, &packed).await?;
	let (update, bytes) = &*packed;
	let fields = json!({
		"programme": programme, "round": round, "artifact": artifact, "samples": update.samples,
		"localSteps": update.local_steps, "askedLocalSteps": asked, "loss": update.loss, "trainSeconds": update.train_seconds,
		"fetchSeconds": fetch_seconds, "bytes": bytes.len(),
	});
	let text = format!(
		"programme {programme} round {round}: trained {} steps on {} samples in {:.1} s, loss {:.4}",
		update.local_steps, update.samples, update.train_seconds, update.loss
	);
	context.output.event("round.trained", fields, text);
	Ok(())
}

/// Training that fails, and whether there is any point in trying again.
fn failed(at: &At, error: TrainerError) -> ActionError {
	match error {
		TrainerError::Hopeless(reason) => ActionError::Hopeless { at: *at, reason },
		error => ActionError::failed(error),
	}
}

/// Writes the update. Waits for the disk.
fn keep(context: &Context, at: &At, update: &UpdateState, bytes: &[u8]) -> Result<(), ActionError> {
	let (programme, round, artifact) = (at.programme, at.round, update.artifact);
	context.journal.append(Entry::Withhold { programme, round, artifact })?;
	crash::point("before the store has the update");
	context.store.put_expected(&artifact, bytes)?;
	crash::point("after the store has the update");
	context.journal.append(Entry::UpdateReady { programme, round, update: update.clone() })?;
	Ok(())
}

/// Writes what took long to compute; when the disk is full, again and again, until there is space or it is not needed
/// any more.
async fn keep_until_kept(
	task: &Task,
	at: &At,
	packed: &Arc<(UpdateState, Vec<u8>)>,
) -> Result<(), ActionError> {
	let mut said = false;
	loop {
		let (context, at, packed) = (task.context.clone(), *at, packed.clone());
		let keeping = move || keep(&context, &at, &packed.0, &packed.1);
		let kept = tokio::task::spawn_blocking(keeping).await.map_err(ActionError::failed)?;
		let error = match kept {
			Err(e) if e.is_disk_full() => e,
			done => return done,
		};
		if !said {
			said = true;
			let text = format!("{error} (what was computed is kept in memory meanwhile)");
			let fields = json!({ "error": error.to_string(), "kind": error.kind() });
			task.context.output.event("disk.full", fields, text);
		}
		tokio::select! {
			() = tokio::time::sleep(super::RETRY) => {},
			() = task.cancelled() => return Err(error),
		}
	}
}

/// Whether a commit made now would still be taken. Not asked of a transaction that is under way already.
async fn in_time(task: &Task, action: &Action, at: &At) -> Result<bool, ActionError> {
	let context = &task.context;
	if context.journal.read(|j| j.sent.contains_key(&action.key())) {
		return Ok(true);
	}
	let Some(round) = context.ledger.best_round(at.programme).await? else { return Ok(false) };
	let best = context.ledger.heads().best_now();
	Ok(round.index == at.round
		&& round.phase == Phase::Commit
		&& round.deadline.is_none_or(|last| best < last)
		&& round.commits.iter().all(|commit| commit.producer != context.me))
}

/// Commits the journal's update.
pub(super) async fn commit(task: &Task, action: &Action, at: &At) -> Result<(), ActionError> {
	let context = &task.context;
	let update = context.journal.read(|j| j.update(at.programme, at.round).cloned());
	let update = update.ok_or(ActionError::Cancelled)?;
	let call = Call::CommitUpdate {
		programme: at.programme,
		round: at.round,
		artifact: update.artifact,
		samples: update.samples,
		local_steps: update.local_steps,
	};
	// The chain would refuse a late one, and take the fee.
	if !in_time(task, action, at).await? {
		return Err(ActionError::Late { at: *at, update: update.artifact });
	}
	let started = Instant::now();
	let block = match context.submit(action, &call).await {
		Ok(landed) => landed.block,
		// Committed by an earlier transaction whose fate was not known. The plan looks at the chain again.
		Err(SubmitError::Refused { refused, block, .. }) if refused.is("Training", "AlreadyCommitted") => {
			block
		},
		Err(e) => return Err(e.into()),
	};
	let wait_seconds = started.elapsed().as_secs_f64();
	let fields = json!({
		"programme": at.programme, "round": at.round, "artifact": update.artifact, "loss": update.loss,
		"trainSeconds": update.train_seconds, "waitSeconds": wait_seconds, "block": block,
	});
	let text = format!(
		"programme {} round {}: update {} committed in block {block}",
		at.programme,
		at.round,
		short(&update.artifact)
	);
	context.output.event("round.committed", fields, text);
	Ok(())
}
