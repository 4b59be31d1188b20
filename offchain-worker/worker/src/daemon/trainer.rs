//! The trainer's actions.

use super::{upkeep, ActionError, At, Order, Task, MARGIN};
use crate::{
	chain::{Call, SubmitError},
	crash,
	journal::{Entry, UpdateState},
	plan::{run_seed, Action},
	trainer::{Stop, TrainJob, TrainerError},
	units::short,
};
use cairn_artifacts::TensorFile;
use cairn_primitives::{artifact_hash, envelope::UpdateEnvelope, views::Phase};
use serde_json::json;
use std::{
	ops::ControlFlow,
	sync::{
		atomic::{AtomicBool, Ordering},
		Arc,
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
fn deadline(view: &crate::plan::ChainView, at: &At) -> Option<u32> {
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
	let full = trainer.local_steps(&job).map_err(ActionError::failed)?;
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
	let run = move || {
		let mut bar = None;
		trainer.train(&job, &mut |step, of, loss| {
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
	let trained = match trained {
		Ok(trained) => trained,
		Err(TrainerError::Stopped) => {
			let handing_over = *task.order.borrow() == Order::HandOver;
			let why = if handing_over {
				"the worker stops, and too little of its training was done to be kept; it trains again when it is back"
			} else {
				"the window closed before training was done. Nothing is lost; fewer local steps or a faster device would make it"
			};
			let text = format!("programme {} round {}: {why}", at.programme, at.round);
			let fields = json!({ "programme": at.programme, "round": at.round, "stopping": handing_over });
			context.output.event("round.abandoned", fields, text);
			return Err(ActionError::Cancelled);
		},
		Err(e) => return Err(ActionError::failed(e)),
	};
	context.pace.record(programme.info.config, trained.local_steps, started.elapsed());
	if !trained.loss.is_finite() {
		return Err(ActionError::Failed(format!("training diverged: its loss is {}", trained.loss)));
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
	let file = TensorFile::new(envelope.to_metadata(), trained.tensors).map_err(ActionError::failed)?;
	let bytes = file.to_bytes();
	let artifact = artifact_hash(&bytes);
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
	let keep = || {
		context.journal.append(Entry::Withhold { programme, round, artifact })?;
		crash::point("before the store has the update");
		context.store.put(&bytes)?;
		crash::point("after the store has the update");
		context.journal.append(Entry::UpdateReady { programme, round, update: update.clone() })?;
		Ok(())
	};
	keep_until_kept(task, keep).await?;
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

/// Writes what took long to compute; when the disk is full, again and again, until there is space or it is not needed
/// any more.
async fn keep_until_kept(
	task: &Task,
	mut keep: impl FnMut() -> Result<(), ActionError>,
) -> Result<(), ActionError> {
	let mut said = false;
	loop {
		let error = match keep() {
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
