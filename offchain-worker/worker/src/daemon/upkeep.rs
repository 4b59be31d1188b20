//! Artifacts, deadlines and the end of rounds.

use super::{ActionError, At, NotFetched, Task};
use crate::{
	chain::{Call, SubmitError},
	journal::Entry,
	plan::Action,
	units::{format_amount, short},
};
use cairn_artifacts::{metadata_of, MappedFile, Store};
use cairn_network::MaxLen;
use cairn_primitives::{
	envelope::WeightsEnvelope, views::Phase, ArtifactHash, DeviceId, ProgrammeId, RoundIndex,
};
use serde_json::json;
use std::{
	sync::PoisonError,
	time::{Duration, Instant},
};
use subxt::utils::AccountId32;

/// Who is likely to hold an artifact.
pub(super) enum Holders {
	/// Weights and configurations: the aggregators that made or checked them.
	Aggregators,
	/// An update: the device that made it, then these committee members.
	Producer(DeviceId, Vec<AccountId32>),
}

/// The most aggregators asked by name; the rest are found through the network.
const MAX_PREFERRED: usize = 8;

async fn network_keys(task: &Task, holders: &Holders) -> Vec<[u8; 32]> {
	let ledger = &task.context.ledger;
	let mut keys = Vec::new();
	let accounts = match holders {
		Holders::Aggregators => ledger.aggregators().await.unwrap_or_default(),
		Holders::Producer(device, members) => {
			if let Ok(Some(device)) = ledger.device(*device).await {
				keys.extend(device.network_key);
			}
			members.clone()
		},
	};
	for account in accounts.iter().filter(|a| **a != task.context.me).take(MAX_PREFERRED) {
		if let Ok(Some(device)) = ledger.device_of(account).await {
			keys.extend(device.network_key);
		}
	}
	keys
}

/// How many bytes more than weights of the same shapes a file may have: room for other metadata.
const METADATA: u64 = 64 << 10;

/// What became of looking for an artifact.
pub(super) enum Obtained {
	/// It is in the store, and mapped into memory.
	Here(MappedFile),
	/// It is larger than it may be, as this sentence says, and is not fetched.
	TooLarge(String),
}

/// The most bytes that a file may have which has the shapes of weights that are in the store.
pub(super) fn as_large_as(
	task: &Task,
	weights: &ArtifactHash,
	reason: &str,
) -> Result<Option<MaxLen>, ActionError> {
	let size = task.context.store.size(weights)?;
	Ok(size.map(|size| MaxLen { bytes: size.saturating_add(METADATA), reason: reason.into() }))
}

/// The most bytes that an artifact may have which the chain names as weights, if other weights of the same programme
/// are in the store: all have the same shapes.
fn most_of_weights(task: &Task, artifact: &ArtifactHash) -> Result<Option<MaxLen>, ActionError> {
	let reason = "weights have no more than others of their programme and some metadata; the committee that agreed on \
	              these can be challenged";
	for programme in &task.view.programmes {
		let info = &programme.info;
		let base = programme.round.as_ref().map(|round| round.base);
		let all: Vec<_> = [info.genesis_weights, info.weights].into_iter().chain(base).collect();
		if !all.contains(artifact) {
			continue;
		}
		for other in all.iter().filter(|other| *other != artifact) {
			if let Some(most) = as_large_as(task, other, reason)? {
				return Ok(Some(most));
			}
		}
	}
	Ok(None)
}

/// The bytes of an artifact, mapped into memory: from the store, or from the network until that works or the action is
/// overtaken.
pub(super) async fn obtain(
	task: &Task,
	artifact: &ArtifactHash,
	holders: Holders,
) -> Result<MappedFile, ActionError> {
	match obtain_up_to(task, artifact, holders, most_of_weights(task, artifact)?).await? {
		Obtained::Here(file) => Ok(file),
		Obtained::TooLarge(reason) => Err(ActionError::Fetch { artifact: *artifact, reason }),
	}
}

/// The same of an artifact that must not be larger than `most`.
pub(super) async fn obtain_up_to(
	task: &Task,
	artifact: &ArtifactHash,
	holders: Holders,
	most: Option<MaxLen>,
) -> Result<Obtained, ActionError> {
	let mut pause = Duration::from_millis(500);
	let mut failures = 0u32;
	loop {
		let (store, wanted) = (task.context.store.clone(), *artifact);
		// Reading it through and hashing it takes its time.
		let mapped = tokio::task::spawn_blocking(move || store.map(&wanted)).await;
		match mapped.map_err(ActionError::failed)? {
			Ok(Some(file)) => return Ok(Obtained::Here(file)),
			Ok(None) => {},
			// The store has moved the damaged file aside; another holder's bytes take its place.
			Err(e) => tracing::warn!("{e}"),
		}
		if task.is_cancelled() {
			return Err(ActionError::Cancelled);
		}
		let keys = network_keys(task, &holders).await;
		let fetched = tokio::select! {
			fetched = task.context.exchange.fetch(*artifact, keys, most.clone()) => fetched,
			() = task.cancelled() => return Err(ActionError::Cancelled),
		};
		let reason = match fetched {
			Ok(()) => continue,
			Err(NotFetched::TooLarge(reason)) => return Ok(Obtained::TooLarge(reason)),
			Err(NotFetched::Failed(reason)) => reason,
		};
		failures += 1;
		if failures == 3 {
			let error = ActionError::Fetch { artifact: *artifact, reason: reason.clone() }.to_string();
			let text = format!("{error}; still trying");
			let fields = json!({ "artifact": artifact, "reason": reason });
			task.context.output.event("artifact.missing", fields, text);
		}
		tokio::select! {
			() = tokio::time::sleep(pause) => {},
			() = task.cancelled() => return Err(ActionError::Cancelled),
		}
		pause = (pause * 2).min(Duration::from_secs(15));
	}
}

/// Fetches weights or a configuration ahead of need.
pub(super) async fn fetch(
	task: &Task,
	programme: ProgrammeId,
	artifact: &ArtifactHash,
) -> Result<(), ActionError> {
	let started = Instant::now();
	let bytes = obtain(task, artifact, Holders::Aggregators).await?.len();
	let seconds = started.elapsed().as_secs_f64();
	let text = format!("programme {programme}: fetched {} ({bytes} bytes)", short(artifact));
	let fields =
		json!({ "programme": programme, "artifact": artifact, "bytes": bytes, "fetchSeconds": seconds });
	task.context.output.event("artifact.fetched", fields, text);
	Ok(())
}

/// The state that goes with weights, where the store has both.
fn state_named_by(store: &Store, weights: &ArtifactHash) -> Option<ArtifactHash> {
	let metadata = metadata_of(&store.path(weights)).ok()??;
	let state = WeightsEnvelope::from_metadata(&metadata).ok()?.state();
	state.filter(|state| store.contains(state))
}

/// Tells the network that this worker holds an artifact, and with weights the state that they name.
pub(super) async fn announce(task: &Task, artifact: &ArtifactHash) -> Result<(), ActionError> {
	let (context, named) = (&task.context, *artifact);
	let store = context.store.clone();
	let state = move || state_named_by(&store, &named);
	let state = tokio::task::spawn_blocking(state).await.map_err(ActionError::failed)?;
	for artifact in state.into_iter().chain([named]) {
		context.exchange.announce(artifact).await.map_err(ActionError::Failed)?;
	}
	task.context.announced.lock().unwrap_or_else(PoisonError::into_inner).insert(*artifact);
	Ok(())
}

/// Moves a round on whose deadline has passed, unless somebody else just did.
pub(super) async fn advance(task: &Task, action: &Action, at: &At, phase: Phase) -> Result<(), ActionError> {
	let context = &task.context;
	let now = context.ledger.best_round(at.programme).await?;
	let same = now.filter(|r| r.index == at.round && r.attempt == at.attempt && r.phase == phase);
	let Some(round) = same else { return Ok(()) };
	let info = &task.programme(at.programme)?.info;
	if phase == Phase::Commit && round.commit_count >= info.min_updates {
		// The chain would refuse, and take the fee.
		let ready = context.ledger.drawable(at.programme).await?;
		if ready < info.committee_size {
			return Err(ActionError::Failed(format!(
				"round {} waits for a committee: {ready} aggregators can be drawn, {} are needed. Enlist more with \
				 `cairn-worker register --aggregator`; who has just enlisted can be drawn from the epoch after the next on",
				at.round, info.committee_size
			)));
		}
	}
	match context.submit(action, &Call::Advance { programme: at.programme }).await {
		Ok(landed) => {
			let fields = json!({
				"programme": at.programme, "round": at.round, "attempt": at.attempt, "phase": phase, "block": landed.block,
			});
			let text = format!(
				"programme {} round {}: moved on after the {phase:?} deadline",
				at.programme, at.round
			);
			context.output.event("round.advanced", fields, text);
			Ok(())
		},
		Err(SubmitError::Refused { refused, .. }) if refused.is("Training", "NotDue") => Ok(()),
		Err(e) => Err(e.into()),
	}
}

/// Opens the next round of a programme that need not wait any more, unless somebody else just did.
pub(super) async fn resume(task: &Task, action: &Action, programme: ProgrammeId) -> Result<(), ActionError> {
	let context = &task.context;
	if context.ledger.best_round(programme).await?.is_some() {
		return Ok(());
	}
	match context.submit(action, &Call::Advance { programme }).await {
		Ok(landed) => {
			let fields = json!({ "programme": programme, "block": landed.block });
			context.output.event("programme.resumed", fields, format!("programme {programme} goes on"));
			Ok(())
		},
		Err(e) if e.is_refusal("Training", "NotDue") => Ok(()),
		Err(e) => Err(e.into()),
	}
}

/// Says how a round ended that this worker had a part in, and drops it from the journal.
pub(super) async fn settle(
	task: &Task,
	programme: ProgrammeId,
	index: RoundIndex,
) -> Result<(), ActionError> {
	let context = &task.context;
	if let Some(round) = context.ledger.round(programme, index).await? {
		let rewards = context.ledger.rewards(programme).await?;
		let included = cairn_primitives::bitmap::count(&round.included);
		let fields = json!({
			"programme": programme, "round": index, "result": round.result, "included": included,
			"commits": round.commit_count, "failure": round.failure, "attempt": round.attempt,
			"points": rewards.points.to_string(), "claimable": rewards.claimable.to_string(),
			"block": round.deadline,
		});
		let text = match (&round.result, &round.failure) {
			(Some(result), _) => format!(
				"programme {programme} round {index}: finalised with {included} of {} updates as {}; {} points, {} claimable",
				round.commit_count,
				short(result),
				rewards.points,
				format_amount(rewards.claimable)
			),
			(None, failure) => format!(
				"programme {programme} round {index}: failed ({}); nothing is lost, the next round starts from the same weights",
				failure.map_or_else(|| "no reason given".to_string(), |f| format!("{f:?}"))
			),
		};
		let name = if round.result.is_some() { "round.finalised" } else { "round.failed" };
		context.output.event(name, fields, text);
	}
	context.journal.append(Entry::Settled { programme, round: index })?;
	Ok(())
}
