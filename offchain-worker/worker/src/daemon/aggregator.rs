//! The committee's actions.

use super::{
	upkeep::{self, Holders, Obtained},
	ActionError, At, Task, MARGIN,
};
use crate::{
	chain::{Call, Round},
	crash,
	journal::{fresh_salt, AggregateState, Entry},
	plan::{Action, ChainView, ProgrammeView},
	units::short,
};
use cairn_aggregation::{check_mapped_update, settle_with, CheckedUpdate, Method, RoundInputs, Settlement};
use cairn_artifacts::{StoreError, TensorFile};
use cairn_primitives::{
	bitmap,
	envelope::{ExpectedUpdate, UpdateEnvelope, WeightsEnvelope},
	round::aggregate_commitment,
	views::{CommitInfo, Phase},
	ArtifactHash, ProgrammeId, H256,
};
use futures::stream::{FuturesUnordered, StreamExt};
use serde_json::json;
use std::{collections::BTreeMap, sync::Arc, time::Instant};
use subxt::utils::AccountId32;

/// What became of one committed update.
enum Gathered {
	Good(Box<CheckedUpdate>),
	/// The bytes are there, and they are not what was committed to.
	Refused(String),
}

fn round_of(programme: &ProgrammeView) -> Result<Arc<Round>, ActionError> {
	programme.round.clone().map(Arc::new).ok_or(ActionError::Cancelled)
}

async fn base_of(task: &Task, round: &Round) -> Result<Arc<TensorFile>, ActionError> {
	let file = upkeep::obtain(task, &round.base, Holders::Aggregators).await?;
	TensorFile::from_mapped(&file).map(Arc::new).map_err(ActionError::failed)
}

/// What rule or optimiser carry from the last round: the state that the base weights name. Whoever made or checked the
/// weights has it.
async fn state_of(task: &Task, base: &TensorFile) -> Result<Option<TensorFile>, ActionError> {
	let envelope = WeightsEnvelope::from_metadata(base.metadata()).map_err(ActionError::failed)?;
	let Some(state) = envelope.state() else { return Ok(None) };
	let file = upkeep::obtain(task, &state, Holders::Aggregators).await?;
	TensorFile::from_mapped(&file).map(Some).map_err(ActionError::failed)
}

/// What the chain knows of a committed update.
fn expected_of(
	genesis: H256,
	config: ArtifactHash,
	round: &Round,
	commit: &CommitInfo<AccountId32>,
) -> ExpectedUpdate {
	ExpectedUpdate {
		genesis,
		programme: round.programme,
		round: round.index,
		base: round.base,
		config,
		producer: commit.producer.0,
		device: commit.device,
		samples: commit.samples,
		local_steps: commit.local_steps,
	}
}

/// Whether an artifact that is no good update of this round is needed for something else, by a state of the chain: as
/// somebody's update `of` another programme, or as weights or configuration.
fn is_needed(view: &ChainView, artifact: &ArtifactHash, of: Option<ProgrammeId>, here: ProgrammeId) -> bool {
	view.programmes.iter().any(|p| {
		let elsewhere = p.info.id != here;
		[p.info.config, p.info.genesis_weights, p.info.weights].contains(artifact)
			|| elsewhere && of == Some(p.info.id)
			|| p.round.as_ref().is_some_and(|r| {
				r.base == *artifact || elsewhere && r.commits.iter().any(|c| c.artifact == *artifact)
			})
	})
}

/// Fetches one committed update and checks it. Whoever commits to a hash chooses what it stands for: what is too large is
/// not fetched, and what is refused does not stay.
async fn gather(
	task: &Task,
	programme: &ProgrammeView,
	round: &Arc<Round>,
	base: Arc<TensorFile>,
	commit: &CommitInfo<AccountId32>,
) -> Result<(u32, Gathered), ActionError> {
	let (artifact, context) = (commit.artifact, task.context.clone());
	let (genesis, config) = (context.genesis(), programme.info.config);
	let expected = expected_of(genesis, config, round, commit);
	// What the worker had before is not the commit's affair.
	let had = context.store.contains(&artifact);
	let auditors = round.challenge.iter().flat_map(|c| &c.committee);
	let members = round.committee.iter().chain(auditors).map(|m| m.account).collect();
	let holders = Holders::Producer(commit.device, members);
	let reason = "an update has no more than its base weights and some metadata; it is voted out, and its producer has \
	              to commit to a right one in another round";
	let most = upkeep::as_large_as(task, &round.base, reason)?;
	let file = match upkeep::obtain_up_to(task, &artifact, holders, most).await? {
		Obtained::Here(file) => file,
		Obtained::TooLarge(reason) => return Ok((commit.index, Gathered::Refused(reason))),
	};
	// Checked and removed in one go, which goes on when the round does not wait for it.
	let (round, view, index) = (round.clone(), task.view.clone(), commit.index);
	let check = move || {
		let checked = check_mapped_update(&file, &artifact, &expected, &base);
		if checked.is_ok() || had {
			return checked;
		}
		let read = TensorFile::from_mapped(&file).ok();
		let envelope = read.and_then(|file| UpdateEnvelope::from_metadata(file.metadata()).ok());
		// Others may have committed to the same hash. It can be good for that one alone which its envelope names.
		let good = envelope.as_ref().is_some_and(|envelope| {
			let others = round.commits.iter().filter(|c| c.artifact == artifact && c.index != index);
			let mut others = others.map(|c| expected_of(genesis, config, &round, c));
			let meant = others.find(|expected| envelope.check(expected).is_ok());
			meant.is_some_and(|expected| check_mapped_update(&file, &artifact, &expected, &base).is_ok())
		});
		// By the newest state, too: another programme's round may have come to its commits since.
		let latest = context.latest.borrow().clone();
		let of = envelope.map(|envelope| envelope.programme);
		let needed = |view: Arc<ChainView>| is_needed(&view, &artifact, of, round.programme);
		if !good && !latest.into_iter().chain([view]).any(needed) {
			if let Err(error) = context.store.remove(&artifact) {
				tracing::warn!(%error, "a refused update stays in the store");
			}
		}
		checked
	};
	let checked = tokio::task::spawn_blocking(check).await.map_err(ActionError::failed)?;
	Ok(match checked {
		Ok(update) => (commit.index, Gathered::Good(Box::new(update))),
		Err(refused) => (commit.index, Gathered::Refused(refused.to_string())),
	})
}

/// Fetches and checks all committed updates at once, and votes for those that are there and good; when all are known,
/// or as late as the deadline allows.
pub(super) async fn vote(task: &Task, action: &Action, at: &At) -> Result<(), ActionError> {
	let context = &task.context;
	let programme = task.programme(at.programme)?;
	let round = round_of(programme)?;
	let started = Instant::now();
	let latest = round.deadline.unwrap_or(u32::MAX).saturating_sub(MARGIN);
	let count = round.commits.len() as u32;
	let mut good = vec![false; round.commits.len()];
	let mut refused = BTreeMap::new();
	let gathering = async {
		let base = base_of(task, &round).await?;
		let mut gathering: FuturesUnordered<_> =
			round.commits.iter().map(|c| gather(task, programme, &round, base.clone(), c)).collect();
		while let Some(gathered) = gathering.next().await {
			match gathered? {
				(index, Gathered::Good(_)) => {
					if let Some(bit) = good.get_mut(index as usize) {
						*bit = true;
					}
				},
				(index, Gathered::Refused(reason)) => {
					let text = format!(
						"programme {} round {}: update {index} refused: {reason}",
						at.programme, at.round
					);
					let fields = json!({
						"programme": at.programme, "round": at.round, "index": index, "reason": reason.clone(),
					});
					context.output.event("update.refused", fields, text);
					refused.insert(index, reason);
				},
			}
		}
		Ok::<(), ActionError>(())
	};
	tokio::select! {
		gathered = gathering => gathered?,
		() = context.ledger.heads().best_reaches(latest) => {
			tracing::info!("voting with what is there: the window closes at block {:?}", round.deadline);
		},
	}
	let fetch_seconds = started.elapsed().as_secs_f64();
	let map = bitmap::from_fn(count, |i| good.get(i as usize).copied().unwrap_or(false));
	let held = bitmap::count(&map);
	let call = Call::VoteAvailability {
		programme: at.programme,
		round: at.round,
		attempt: at.attempt,
		bitmap: map.clone(),
	};
	// Not paid for when the others have settled it meanwhile.
	let best = context.ledger.best_round(at.programme).await?;
	let open = |r: &Round| r.index == at.round && r.attempt == at.attempt && r.phase == Phase::Availability;
	if !best.is_some_and(|r| open(&r)) {
		return Err(ActionError::Cancelled);
	}
	let waiting = Instant::now();
	let landed = match context.submit(action, &call).await {
		Ok(landed) => landed,
		// Usual for the last of a committee: two thirds settle it.
		Err(e) if e.is_refusal("Training", "WindowClosed") => {
			let fields = json!({ "programme": at.programme, "round": at.round, "attempt": at.attempt });
			let text = format!(
				"programme {} round {}: the others' votes had settled it already",
				at.programme, at.round
			);
			context.output.event("vote.unneeded", fields, text);
			return Ok(());
		},
		Err(e) => return Err(e.into()),
	};
	let fields = json!({
		"programme": at.programme, "round": at.round, "attempt": at.attempt, "held": held, "commits": count,
		"refused": refused.len(), "bitmap": crate::units::hex(&map), "fetchSeconds": fetch_seconds,
		"waitSeconds": waiting.elapsed().as_secs_f64(), "block": landed.block,
	});
	let text = format!("programme {} round {}: voted for {held} of {count} updates", at.programme, at.round);
	context.output.event("round.voted", fields, text);
	Ok(())
}

/// Computes the next weights from the included updates, and puts them into store and journal with a fresh salt.
/// Committing to them is another action.
pub(super) async fn aggregate(task: &Task, at: &At) -> Result<(), ActionError> {
	let context = &task.context;
	let programme = task.programme(at.programme)?;
	let round = round_of(programme)?;
	let fetching = Instant::now();
	let base = base_of(task, &round).await?;
	let mut gathering: FuturesUnordered<_> = round
		.commits
		.iter()
		.filter(|c| bitmap::get(&round.included, c.index))
		.map(|c| gather(task, programme, &round, base.clone(), c))
		.collect();
	// Sorted by index: the canonical order.
	let mut updates = BTreeMap::new();
	while let Some(gathered) = gathering.next().await {
		match gathered? {
			(index, Gathered::Good(update)) => {
				updates.insert(index, *update);
			},
			(index, Gathered::Refused(reason)) => {
				return Err(ActionError::Failed(format!(
					"two thirds of the committee included update {index}, but here it is refused: {reason}. This worker cannot \
					 take part in the aggregate"
				)));
			},
		}
	}
	drop(gathering);
	let state = if round.terms.aggregation.has_state() { state_of(task, &base).await? } else { None };
	let fetch_seconds = fetching.elapsed().as_secs_f64();
	let computing = Instant::now();
	let aggregation = &round.terms.aggregation;
	let method = Method::of(aggregation, round.bucketing_seed).map_err(ActionError::failed)?;
	let inputs = RoundInputs {
		genesis: context.genesis(),
		programme: at.programme,
		round: at.round,
		config: programme.info.config,
		base: round.base,
		rule: aggregation.rule,
	};
	let threads = context.threads;
	let updates: Vec<CheckedUpdate> = updates.into_values().collect();
	let count = updates.len();
	let compute = move || settle_with(&inputs, &method, &base, state.as_ref(), &updates, threads);
	let computed = tokio::task::spawn_blocking(compute).await.map_err(ActionError::failed)?;
	let Settlement { hash: result, bytes, quality, state } = computed.map_err(ActionError::failed)?;
	let aggregate_seconds = computing.elapsed().as_secs_f64();
	let store = context.store.clone();
	// It waits for the disk.
	let keep = move || {
		crash::point("before the store has the aggregate");
		// First: the weights name it, and whoever finds them here may ask for it.
		if let Some(state) = &state {
			store.put_expected(&state.hash, &state.bytes)?;
			crash::point("after the store has the state");
		}
		store.put_expected(&result, &bytes)?;
		crash::point("after the store has the aggregate");
		Ok::<usize, StoreError>(bytes.len())
	};
	let bytes = tokio::task::spawn_blocking(keep).await.map_err(ActionError::failed)??;
	let (programme, round, attempt) = (at.programme, at.round, at.attempt);
	let fields = json!({
		"programme": programme, "round": round, "attempt": attempt, "result": result, "updates": count,
		"quality": quality,
		"fetchSeconds": fetch_seconds, "aggregateSeconds": aggregate_seconds, "bytes": bytes,
	});
	let aggregate = AggregateState { result, quality, salt: fresh_salt() };
	context.journal.append(Entry::AggregateReady { programme, round, attempt, aggregate })?;
	let text = format!(
		"programme {programme} round {round}: aggregated {count} updates into {} in {aggregate_seconds:.2} s",
		short(&result)
	);
	context.output.event("round.aggregated", fields, text);
	Ok(())
}

fn journalled(task: &Task, at: &At) -> Result<AggregateState, ActionError> {
	let read = |j: &crate::journal::JournalState| j.aggregate(at.programme, at.round, at.attempt).cloned();
	task.context.journal.read(read).ok_or(ActionError::Cancelled)
}

/// Commits to the journal's aggregate.
pub(super) async fn commit(task: &Task, action: &Action, at: &At) -> Result<(), ActionError> {
	let context = &task.context;
	let aggregate = journalled(task, at)?;
	let commitment = aggregate_commitment(
		&context.genesis(),
		at.programme,
		at.round,
		at.attempt,
		&context.me.0,
		&aggregate.result,
		&aggregate.quality,
		&aggregate.salt.0,
	);
	let call =
		Call::CommitAggregate { programme: at.programme, round: at.round, attempt: at.attempt, commitment };
	let waiting = Instant::now();
	let landed = context.submit(action, &call).await?;
	let fields = json!({
		"programme": at.programme, "round": at.round, "attempt": at.attempt,
		"waitSeconds": waiting.elapsed().as_secs_f64(), "block": landed.block,
	});
	let text = format!("programme {} round {}: committed to the aggregate", at.programme, at.round);
	context.output.event("aggregate.committed", fields, text);
	Ok(())
}

/// Reveals the journal's aggregate.
pub(super) async fn reveal(task: &Task, action: &Action, at: &At) -> Result<(), ActionError> {
	let context = &task.context;
	let aggregate = journalled(task, at)?;
	let call = Call::RevealAggregate {
		programme: at.programme,
		round: at.round,
		attempt: at.attempt,
		result: aggregate.result,
		quality: aggregate.quality,
		salt: aggregate.salt,
	};
	let waiting = Instant::now();
	let landed = context.submit(action, &call).await?;
	let fields = json!({
		"programme": at.programme, "round": at.round, "attempt": at.attempt, "result": aggregate.result,
		"waitSeconds": waiting.elapsed().as_secs_f64(), "block": landed.block,
	});
	let text =
		format!("programme {} round {}: revealed {}", at.programme, at.round, short(&aggregate.result));
	context.output.event("aggregate.revealed", fields, text);
	Ok(())
}

/// Disputes a result that is not what this worker computed from the same updates.
pub(super) async fn challenge(
	task: &Task,
	action: &Action,
	at: &At,
	claimed: ArtifactHash,
) -> Result<(), ActionError> {
	let context = &task.context;
	let call = Call::Challenge { programme: at.programme, round: at.round, claimed };
	let landed = context.submit(action, &call).await?;
	let fields = json!({
		"programme": at.programme, "round": at.round, "attempt": at.attempt, "claimed": claimed, "block": landed.block,
	});
	let text = format!(
		"programme {} round {}: challenged the agreed result; this worker computed {}",
		at.programme,
		at.round,
		short(&claimed)
	);
	context.output.event("result.challenged", fields, text);
	Ok(())
}
