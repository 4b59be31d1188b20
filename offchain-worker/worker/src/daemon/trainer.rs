//! The trainer's actions.

use super::{upkeep, ActionError, At, Task};
use crate::{
	chain::{Call, SubmitError},
	journal::{Entry, UpdateState},
	plan::{run_seed, Action},
	trainer::{TrainJob, TrainerError},
	units::short,
};
use cairn_artifacts::TensorFile;
use cairn_primitives::{artifact_hash, envelope::UpdateEnvelope};
use serde_json::json;
use std::{ops::ControlFlow, time::Instant};

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
	let mut job = TrainJob {
		config,
		base,
		seed,
		max_samples: programme.info.max_samples,
		max_local_steps: programme.info.max_local_steps,
	};
	// A slower device is asked for less, so that it is done in time.
	let full = trainer.local_steps(&job).map_err(ActionError::failed)?;
	job.max_local_steps = context.ledger.local_steps(device, full).await?;
	let fields = json!({
		"programme": at.programme, "round": at.round, "base": round.base, "localSteps": job.max_local_steps,
	});
	let text = format!("programme {} round {}: training from {}", at.programme, at.round, short(&round.base));
	context.output.event("round.training", fields, text);
	let started = Instant::now();
	let output = context.output.clone();
	let prefix = format!("programme {} round {}", at.programme, at.round);
	let cancel = task.cancel.clone();
	let run = move || {
		let mut bar = None;
		trainer.train(&job, &mut |step, of, loss| {
			let bar = bar.get_or_insert_with(|| output.bar(of.into(), prefix.clone()));
			bar.set(step.into(), format!("loss {loss:.4}"));
			// Also when the sender is gone: then the daemon is.
			let stop = *cancel.borrow() || cancel.has_changed().is_err();
			if stop {
				ControlFlow::Break(())
			} else {
				ControlFlow::Continue(())
			}
		})
	};
	let trained = tokio::task::spawn_blocking(run).await.map_err(ActionError::failed)?;
	drop(permit);
	let trained = match trained {
		Ok(trained) => trained,
		Err(TrainerError::Stopped) => {
			let text = format!(
				"programme {} round {}: the window closed before training was done. Nothing is lost; fewer local steps or a faster \
				 device would make it",
				at.programme, at.round
			);
			context.output.event(
				"round.abandoned",
				json!({ "programme": at.programme, "round": at.round }),
				text,
			);
			return Err(ActionError::Cancelled);
		},
		Err(e) => return Err(ActionError::failed(e)),
	};
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
	context.journal.append(Entry::Withhold { programme, round, artifact })?;
	context.store.put(&bytes)?;
	context.journal.append(Entry::UpdateReady { programme, round, update: update.clone() })?;
	let fields = json!({
		"programme": programme, "round": round, "artifact": artifact, "samples": update.samples,
		"localSteps": update.local_steps, "loss": update.loss, "trainSeconds": update.train_seconds,
		"fetchSeconds": fetch_seconds, "bytes": bytes.len(),
	});
	let text = format!(
		"programme {programme} round {round}: trained {} steps on {} samples in {:.1} s, loss {:.4}",
		update.local_steps, update.samples, update.train_seconds, update.loss
	);
	context.output.event("round.trained", fields, text);
	Ok(())
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
