//! Which artifacts a worker keeps, and the removal of the others.
//!
//! Kept are, of every programme that the chain has: the files of the last finalised rounds, as many as the operator
//! says, of as many of the last rounds however they ended, and of the running one; the configuration, the first and the
//! newest weights; whatever these rounds, their commits, their committees' reveals and their challenges name; and
//! whatever this worker's journal still counts on. Only files that say of themselves that they are the updates, weights
//! or optimiser states of an older round of this chain are removed. What says nothing, or speaks of another chain or a
//! programme that the chain does not have, stays.
//!
//! Removing is one file after the other and keeps no state of its own: a crash in the middle leaves a smaller rest.

use super::{Context, Ledger};
use crate::{
	chain::{ChainError, Programme, Round},
	journal::JournalState,
	plan::ProgrammeView,
	units::short,
};
use cairn_artifacts::{metadata_of, Metadata, Store, StoreError};
use cairn_primitives::{
	envelope::{StateEnvelope, UpdateEnvelope, WeightsEnvelope},
	views::RoundState,
	ArtifactHash, ProgrammeId, RoundIndex, H256,
};
use serde_json::json;
use std::{
	collections::{BTreeMap, BTreeSet},
	future::Future,
	num::NonZeroU32,
	sync::{Arc, PoisonError},
	time::Duration,
};
use tokio::sync::watch;

/// Finalised rounds of each programme whose files are kept when nobody says otherwise.
pub const DEFAULT_ROUNDS: NonZeroU32 = NonZeroU32::new(8).expect("8 is not 0; qed");

/// How often a running worker looks for what it need not keep.
const PERIOD: Duration = Duration::from_secs(600);
/// The pause before the first look, so that a start is not slowed down.
const FIRST: Duration = Duration::from_secs(30);

/// What is not to be removed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Keep {
	genesis: H256,
	/// Of each programme the newest round, and the rounds whose files are kept.
	rounds: BTreeMap<ProgrammeId, (RoundIndex, BTreeSet<RoundIndex>)>,
	/// Artifacts that are kept whatever they are.
	named: BTreeSet<ArtifactHash>,
}

/// A file of an old round.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Old {
	/// The artifact.
	pub artifact: ArtifactHash,
	/// What it is.
	pub kind: &'static str,
	/// The programme.
	pub programme: ProgrammeId,
	/// The round.
	pub round: RoundIndex,
	/// Its size, bytes.
	pub bytes: u64,
}

/// Finds out what to keep. `round` reads a round that is over from the finalised chain, or the running one.
///
/// # Errors
/// When the chain cannot be read; then nothing is to be removed.
pub async fn keep<F: Future<Output = Result<Option<Round>, ChainError>>>(
	genesis: H256,
	programmes: &[(&Programme, Option<&Round>)],
	journal: &JournalState,
	rounds: NonZeroU32,
	round: impl Fn(ProgrammeId, RoundIndex) -> F,
) -> Result<Keep, ChainError> {
	let mut keep = Keep { genesis, rounds: BTreeMap::new(), named: BTreeSet::new() };
	for (info, running) in programmes {
		keep.named.extend([info.config, info.genesis_weights, info.weights]);
		if let Some(running) = running {
			keep.name_round(running);
		}
		let mut index = info.round;
		let (mut over, mut finalised, mut kept) = (0, 0, BTreeSet::new());
		loop {
			let past = round(info.id, index).await?;
			let state = past.as_ref().map(|past| past.phase.state());
			// Of rounds that failed, however many in a row, only the newest: else they would fill the disk. What the chain
			// says nothing of is not judged.
			if over < rounds.get() || state != Some(RoundState::Failed) {
				if let Some(past) = &past {
					keep.name_round(past);
				}
				kept.insert(index);
			}
			over += u32::from(matches!(state, Some(RoundState::Finalised | RoundState::Failed)));
			finalised += u32::from(state == Some(RoundState::Finalised));
			if finalised == rounds.get() || index == 0 {
				break;
			}
			index -= 1;
		}
		keep.rounds.insert(info.id, (info.round, kept));
	}
	for state in journal.rounds.values() {
		keep.named.extend(&state.withheld);
		keep.named.extend(state.update.iter().flat_map(|update| [update.artifact, update.base]));
		keep.named.extend(state.aggregates.values().map(|aggregate| aggregate.result));
	}
	Ok(keep)
}

impl Keep {
	fn name_round(&mut self, round: &Round) {
		self.named.insert(round.base);
		self.named.extend(round.result);
		self.named.extend(round.commits.iter().map(|commit| commit.artifact));
		self.named.extend(round.committee.iter().filter_map(|member| member.revealed));
		if let Some(challenge) = &round.challenge {
			self.named.insert(challenge.claimed);
			self.named.extend(challenge.committee.iter().filter_map(|member| member.revealed));
		}
	}

	/// The stored files that need not be kept. Reads the head of every file.
	///
	/// # Errors
	/// When the store cannot be listed.
	pub fn old(&self, store: &Store) -> Result<Vec<Old>, StoreError> {
		let mut kept = self.named.clone();
		for artifact in &self.named {
			// A round starts from its base weights and from the state that these name.
			let metadata = metadata_of(&store.path(artifact)).ok().flatten().unwrap_or_default();
			kept.extend(WeightsEnvelope::from_metadata(&metadata).ok().and_then(|weights| weights.state()));
		}
		let mut old = Vec::new();
		for artifact in store.list()? {
			if kept.contains(&artifact) {
				continue;
			}
			// What cannot be read now is not judged.
			let Ok(Some(metadata)) = metadata_of(&store.path(&artifact)) else { continue };
			let Some((kind, genesis, programme, round)) = origin(&metadata) else { continue };
			let past = self
				.rounds
				.get(&programme)
				.is_some_and(|(newest, kept)| round < *newest && !kept.contains(&round));
			if genesis == self.genesis && past {
				let bytes = store.size(&artifact)?.unwrap_or(0);
				old.push(Old { artifact, kind, programme, round, bytes });
			}
		}
		Ok(old)
	}
}

/// What a file says of itself: its kind, chain, programme and round. A programme's first weights have no round.
fn origin(metadata: &Metadata) -> Option<(&'static str, H256, ProgrammeId, RoundIndex)> {
	if let Ok(update) = UpdateEnvelope::from_metadata(metadata) {
		return Some(("update", update.genesis, update.programme, update.round));
	}
	if let Ok(state) = StateEnvelope::from_metadata(metadata) {
		return Some(("state", state.genesis, state.programme, state.round));
	}
	match WeightsEnvelope::from_metadata(metadata) {
		Ok(WeightsEnvelope::Aggregate { genesis, programme, round, .. }) => {
			Some(("weights", genesis, programme, round))
		},
		_ => None,
	}
}

/// Removes the files, one by one; returns how many bytes became free.
///
/// # Errors
/// When the store fails; what was removed by then is.
pub fn remove(store: &Store, old: &[Old]) -> Result<u64, StoreError> {
	let mut freed = 0;
	for file in old {
		if store.remove(&file.artifact)? {
			freed += file.bytes;
		}
		tracing::info!(
			artifact = ?file.artifact, programme = file.programme, round = file.round, bytes = file.bytes,
			"removed the {} of an old round", file.kind
		);
	}
	store.sweep_outboards()?;
	Ok(freed)
}

/// Removes old files now and then, until `stop` turns true.
pub async fn run(context: Arc<Context>, rounds: NonZeroU32, mut stop: watch::Receiver<bool>) {
	let mut pause = FIRST;
	loop {
		tokio::select! {
			() = async { drop(stop.wait_for(|stop| *stop).await) } => return,
			() = tokio::time::sleep(pause) => {},
		}
		pause = PERIOD;
		if let Err(reason) = collect(&context, rounds).await {
			tracing::warn!(%reason, "old artifacts were not removed; looking again later");
		}
	}
}

async fn collect(context: &Arc<Context>, rounds: NonZeroU32) -> Result<(), String> {
	let said = |e: &dyn std::fmt::Display| e.to_string();
	let view = context.ledger.view(&context.duties).await.map_err(|e| said(&e))?;
	let journal = context.journal.state();
	let old = old_files(&*context.ledger, &view.programmes, &journal, rounds, &context.store).await?;
	if old.is_empty() {
		return Ok(());
	}
	for file in &old {
		context.exchange.withdraw(file.artifact).await;
		context.announced.lock().unwrap_or_else(PoisonError::into_inner).remove(&file.artifact);
	}
	let store = context.store.clone();
	let count = old.len();
	let removing = tokio::task::spawn_blocking(move || remove(&store, &old));
	let freed = removing.await.map_err(|e| said(&e))?.map_err(|e| said(&e))?;
	let text = format!("removed {count} artifacts of old rounds, {}", megabytes(freed));
	let fields = json!({ "removed": count, "bytes": freed, "keptRounds": rounds });
	context.output.event("artifacts.collected", fields, text);
	Ok(())
}

async fn old_files(
	ledger: &dyn Ledger,
	programmes: &[ProgrammeView],
	journal: &JournalState,
	rounds: NonZeroU32,
	store: &Store,
) -> Result<Vec<Old>, String> {
	let views: Vec<_> = programmes.iter().map(|view| (&view.info, view.round.as_ref())).collect();
	let read = |programme, index| ledger.round(programme, index);
	let keep =
		keep(ledger.genesis(), &views, journal, rounds, read).await.map_err(|error| error.to_string())?;
	let store = store.clone();
	let reading = tokio::task::spawn_blocking(move || keep.old(&store));
	reading.await.map_err(|e| e.to_string())?.map_err(|e| e.to_string())
}

/// Bytes for a person.
pub fn megabytes(bytes: u64) -> String {
	format!("{:.3} MB", bytes as f64 / 1e6)
}

/// A line for a person about a file that is or would be removed.
pub fn describe(file: &Old) -> String {
	let Old { artifact, kind, programme, round, bytes } = file;
	format!("{}  {kind} of programme {programme} round {round}, {}", short(artifact), megabytes(*bytes))
}

#[cfg(test)]
mod tests {
	#![allow(clippy::unwrap_used)]

	use super::*;
	use crate::{
		journal::{AggregateState, Entry},
		plan::tests::{idle, round as running},
	};
	use cairn_artifacts::{Tensor, TensorFile};
	use cairn_primitives::views::Phase;

	const GENESIS: H256 = H256([0xca; 32]);

	fn put(store: &Store, metadata: Metadata, salt: f32) -> ArtifactHash {
		let tensor = Tensor { name: "a".into(), shape: vec![1], data: vec![salt] };
		store.put(&TensorFile::new(metadata, vec![tensor]).unwrap().to_bytes()).unwrap()
	}

	fn update(store: &Store, genesis: H256, programme: ProgrammeId, round: RoundIndex) -> ArtifactHash {
		let envelope = UpdateEnvelope {
			genesis,
			programme,
			round,
			base: H256([1; 32]),
			config: H256([2; 32]),
			producer: [3; 32],
			device: 0,
			samples: 1,
			local_steps: 1,
			clip_norm: 0.0,
			noise_multiplier: 0.0,
			seed: 0,
		};
		put(store, envelope.to_metadata(), 0.0)
	}

	fn state(store: &Store, round: RoundIndex) -> ArtifactHash {
		let (config, base, inputs) = (H256([2; 32]), H256([1; 32]), H256([4; 32]));
		let envelope =
			StateEnvelope { genesis: GENESIS, programme: 0, round, config, base, inputs, steps: 1 };
		put(store, envelope.to_metadata(), 0.0)
	}

	fn weights(store: &Store, round: RoundIndex, state: Option<ArtifactHash>, salt: f32) -> ArtifactHash {
		let (config, base, inputs) = (H256([2; 32]), H256([1; 32]), H256([4; 32]));
		let envelope =
			WeightsEnvelope::Aggregate { genesis: GENESIS, programme: 0, round, config, base, inputs, state };
		put(store, envelope.to_metadata(), salt)
	}

	/// A programme whose rounds 0 to 9 are over, all finalised but rounds 3 and 7, and whose round 10 runs. Each finalised
	/// round's result is the next one's base.
	struct Here {
		_dir: tempfile::TempDir,
		store: Store,
		updates: Vec<ArtifactHash>,
		states: Vec<ArtifactHash>,
		weights: Vec<ArtifactHash>,
		failed: Vec<RoundIndex>,
		programme: Programme,
	}

	fn here() -> Here {
		let dir = tempfile::tempdir().unwrap();
		let store = Store::open(dir.path()).unwrap();
		let updates = (0..=10).map(|i| update(&store, GENESIS, 0, i)).collect();
		let states: Vec<_> = (0..10).map(|i| state(&store, i)).collect();
		let weights: Vec<_> = (0..10).map(|i| weights(&store, i, Some(states[i as usize]), 0.0)).collect();
		let programme = Programme { round: 10, weights: weights[9], ..idle().info };
		Here { _dir: dir, store, updates, states, weights, failed: vec![3, 7], programme }
	}

	impl Here {
		fn round(&self, index: RoundIndex) -> Option<Round> {
			let failed = self.failed.contains(&index);
			let before = (0..index).rev().find(|i| !self.failed.contains(i));
			(index < 10).then(|| Round {
				index,
				phase: if failed { Phase::Failed } else { Phase::Finalised },
				base: before.map_or(self.programme.genesis_weights, |i| self.weights[i as usize]),
				result: (!failed).then(|| self.weights[index as usize]),
				commits: Vec::new(),
				committee: Vec::new(),
				..running(Phase::Commit)
			})
		}

		async fn keep(&self, journal: &JournalState, rounds: u32) -> Keep {
			let running = Round { index: 10, base: self.programme.weights, ..running(Phase::Reveal) };
			let read = |_, index| std::future::ready(Ok(self.round(index)));
			let rounds = NonZeroU32::new(rounds).unwrap();
			keep(GENESIS, &[(&self.programme, Some(&running))], journal, rounds, read).await.unwrap()
		}

		async fn old(&self, rounds: u32) -> BTreeSet<ArtifactHash> {
			let keep = self.keep(&JournalState::default(), rounds).await;
			keep.old(&self.store).unwrap().into_iter().map(|old| old.artifact).collect()
		}
	}

	#[tokio::test]
	async fn files_of_the_last_finalised_rounds_are_kept_and_failed_rounds_do_not_count() {
		let here = here();
		// Rounds 9, 8 and 6 are the last three that were finalised; 6 started from the weights and the state of 5.
		let mut expected = BTreeSet::new();
		expected.extend(&here.updates[..6]);
		expected.extend(&here.states[..5]);
		expected.extend(&here.weights[..5]);
		assert_eq!(here.old(3).await, expected);
		assert_eq!(here.old(8).await, BTreeSet::new());
		assert_eq!(here.old(1000).await, BTreeSet::new());
	}

	#[tokio::test]
	async fn rounds_that_go_on_failing_do_not_fill_the_disk_and_what_the_next_needs_is_kept() {
		let mut here = here();
		here.failed = (2..10).collect();
		here.programme.weights = here.weights[1];
		let mut expected = BTreeSet::new();
		// Rounds 9, 8 and 7 are the last three, 1 and 0 the only ones that were finalised.
		expected.extend(&here.updates[2..7]);
		expected.extend(&here.states[2..7]);
		expected.extend(&here.weights[2..7]);
		assert_eq!(here.old(3).await, expected);
		// Rounds 9 and 1, and the weights and the state that 1 started from.
		expected.insert(here.updates[0]);
		expected.extend(&here.updates[7..9]);
		expected.extend(&here.states[7..9]);
		expected.extend(&here.weights[7..9]);
		assert_eq!(here.old(1).await, expected);
	}

	#[tokio::test]
	async fn what_the_journal_counts_on_is_kept_however_old() {
		let here = here();
		let mut journal = JournalState::default();
		journal.apply(Entry::Withhold { programme: 0, round: 1, artifact: here.updates[1] });
		let aggregate = AggregateState { result: here.weights[2], quality: vec![], salt: H256([0; 32]) };
		journal.apply(Entry::AggregateReady { programme: 0, round: 2, attempt: 0, aggregate });
		let old = here.keep(&journal, 1).await.old(&here.store).unwrap();
		let old: BTreeSet<_> = old.into_iter().map(|old| old.artifact).collect();
		assert!(old.contains(&here.updates[0]) && old.contains(&here.weights[1]));
		assert!(!old.contains(&here.updates[1]) && !old.contains(&here.weights[2]));
		assert!(!old.contains(&here.states[2]), "the state that kept weights name");
	}

	#[tokio::test]
	async fn what_a_running_round_names_is_kept_even_when_it_says_it_is_old() {
		let here = here();
		let liar = weights(&here.store, 0, None, 7.0);
		assert!(here.old(1).await.contains(&liar));
		let mut running = Round { index: 10, ..running(Phase::Challenge) };
		running.challenge = Some(cairn_primitives::views::ChallengeInfo {
			challenger: running.committee[0].account,
			claimed: liar,
			committee: Vec::new(),
			verdict: None,
		});
		let read = |_, index| std::future::ready(Ok(here.round(index)));
		let (journal, rounds) = (JournalState::default(), NonZeroU32::MIN);
		let keep = keep(GENESIS, &[(&here.programme, Some(&running))], &journal, rounds, read).await.unwrap();
		assert!(keep.old(&here.store).unwrap().iter().all(|old| old.artifact != liar));
	}

	#[tokio::test]
	async fn what_is_of_another_chain_or_programme_or_says_nothing_is_not_touched() {
		let here = here();
		let foreign = [
			update(&here.store, H256([9; 32]), 0, 0),
			update(&here.store, GENESIS, 77, 0),
			put(&here.store, Metadata::new(), 1.0),
			put(&here.store, WeightsEnvelope::Genesis { config: H256([2; 32]) }.to_metadata(), 2.0),
			here.store.put(b"{\"cairn\":\"training-config/1\"}").unwrap(),
			here.store.put(b"").unwrap(),
			here.store.put(&[0xff; 100]).unwrap(),
		];
		let old = here.old(1).await;
		assert!(!old.is_empty());
		assert!(foreign.iter().all(|artifact| !old.contains(artifact)));
	}

	#[tokio::test]
	async fn chain_that_cannot_be_read_keeps_everything() {
		let here = here();
		let read = |_, index| {
			let unread = Err(ChainError::Metadata("gone".into()));
			std::future::ready(if index == 8 { unread } else { Ok(here.round(index)) })
		};
		let journal = JournalState::default();
		let kept = keep(GENESIS, &[(&here.programme, None)], &journal, DEFAULT_ROUNDS, read).await;
		assert!(kept.is_err());
	}

	#[tokio::test]
	async fn removal_that_broke_off_is_finished_by_the_next_and_takes_the_outboards_along() {
		let here = here();
		let keep = here.keep(&JournalState::default(), 3).await;
		let old = keep.old(&here.store).unwrap();
		for artifact in &here.updates {
			std::fs::write(here.store.outboard_path(artifact), b"tree").unwrap();
		}
		// As a crash leaves it between the two files of one artifact.
		std::fs::remove_file(here.store.path(&old[0].artifact)).unwrap();
		let rest = keep.old(&here.store).unwrap();
		assert_eq!(rest, old[1..]);
		let freed = remove(&here.store, &rest).unwrap();
		assert_eq!(freed, rest.iter().map(|old| old.bytes).sum::<u64>());
		assert!(freed > 0 && keep.old(&here.store).unwrap().is_empty());
		for (index, artifact) in here.updates.iter().enumerate() {
			assert_eq!(here.store.contains(artifact), index >= 6);
			assert_eq!(here.store.outboard_path(artifact).exists(), index >= 6);
		}
	}
}
