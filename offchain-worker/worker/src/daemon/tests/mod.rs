//! The daemon on a chain, a network and a trainer that live in this process.
#![allow(clippy::unwrap_used)]

mod fakes;
mod faults;
mod recovery;
mod simulated;

use super::*;
use crate::{
	chain::{Challenge, Round},
	plan::tests::{member, round, ME},
};
use cairn_artifacts::TensorFile;
use cairn_primitives::{
	bitmap,
	hardware::{EvidenceKind, Measurement, Speed},
	views::{EvidenceInfo, Phase},
};
use fakes::*;
use std::sync::atomic::Ordering;

fn open_round() -> Round {
	round(Phase::Commit)
}

fn is_commit(call: &Call) -> bool {
	matches!(call, Call::CommitUpdate { .. })
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
async fn committed_update_is_withheld_after_a_restart_without_the_journal_too() {
	use cairn_network::AccessPolicy;
	let worker = Worker::new(open_round(), FakeTrainer::default());
	// The window stays open after this worker's commit.
	worker.ledger.change(|s| s.view.programmes[0].info.target_updates = 2);
	let process = worker.start();
	let commit = |s: &State| s.view.programmes[0].round.as_ref().unwrap().commits.first().map(|c| c.artifact);
	let artifact = commit(&worker.ledger.until(|s| commit(s).is_some()).await).unwrap();
	process.kill().await;
	std::fs::remove_dir_all(worker.dir.path().join("journal")).unwrap();

	let process = worker.start();
	let policy = ChainPolicy::new(worker.ledger.clone(), process.context.withheld.clone());
	let base = base_weights().hash();
	let mut poll = tokio::time::interval(Duration::from_millis(1));
	while !policy.may_serve(&base) {
		assert!(!policy.may_serve(&artifact));
		poll.tick().await;
	}
	assert!(worker.exchange.store.contains(&artifact) && !policy.may_serve(&artifact));
	worker.ledger.change_round(|r| (r.phase, r.committee) = (Phase::Availability, Vec::new()));
	while !policy.may_serve(&artifact) {
		poll.tick().await;
	}
	process.stop().await;
	assert_eq!(worker.trainer.runs.load(Ordering::SeqCst), 1);
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
async fn stopping_ends_training_that_would_not_end_and_nothing_is_sent() {
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
async fn refused_update_does_not_stay_in_the_store_and_one_that_is_too_large_is_not_even_fetched() {
	let mut running = open_round();
	running.phase = Phase::Availability;
	let worker = Worker::new(running, FakeTrainer::default());
	let (good, good_bytes) = worker.foreign_update(base_weights().hash(), 0);
	// What somebody else made, under a name of one's own.
	let copied = crate::plan::tests::commit(1, ME, good.artifact);
	let (mut stale, stale_bytes) = worker.foreign_update(H256([99; 32]), 2);
	stale.index = 2;
	let large_bytes = vec![7; 1 << 20];
	let large = crate::plan::tests::commit(3, good.producer, cairn_artifacts::artifact_hash(&large_bytes));
	// And something that this worker needs for itself.
	let needed = crate::plan::tests::commit(4, good.producer, base_weights().hash());
	worker.exchange.elsewhere.lock().unwrap().extend([
		(good.artifact, good_bytes),
		(stale.artifact, stale_bytes),
		(large.artifact, large_bytes),
	]);
	let commits = vec![good.clone(), copied, stale.clone(), large.clone(), needed.clone()];
	worker.ledger.change_round(|r| {
		r.commit_count = 5;
		r.commits = commits;
		r.committee = vec![member(ME)];
	});
	let process = worker.start();
	let state = worker.ledger.until(|s| !s.submitted.is_empty()).await;
	process.stop().await;
	let Call::VoteAvailability { bitmap, .. } = &state.submitted[0].1 else {
		panic!("{:?}", state.submitted)
	};
	assert_eq!(bitmap, &[0b00001]);
	let reasons: Vec<String> =
		worker.events("update.refused").iter().map(|e| e["reason"].to_string()).collect();
	assert_eq!(reasons.len(), 4, "{reasons:?}");
	assert!(reasons.iter().any(|reason| reason.contains("1048576 bytes")), "{reasons:?}");
	let store = &worker.exchange.store;
	assert!(store.contains(&good.artifact) && store.contains(&needed.artifact));
	assert!(!store.contains(&stale.artifact) && !store.contains(&large.artifact));
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_update_that_another_programmes_round_has_stays_in_the_store() {
	let mut running = open_round();
	running.phase = Phase::Availability;
	let worker = Worker::new(running, FakeTrainer::default());
	let (taken, bytes) = worker.foreign_update(H256([99; 32]), 0);
	worker.exchange.elsewhere.lock().unwrap().insert(taken.artifact, bytes);
	worker.ledger.change(|s| {
		let mut other = s.view.programmes[0].clone();
		other.info.id = 1;
		let round = other.round.as_mut().unwrap();
		(round.programme, round.commits, round.committee) = (1, vec![taken.clone()], Vec::new());
		s.view.programmes.push(other);
	});
	worker.ledger.change_round(|r| {
		(r.commit_count, r.commits) = (1, vec![taken.clone()]);
		r.committee = vec![member(ME)];
	});
	let process = worker.start();
	worker.ledger.until(|s| !s.submitted.is_empty()).await;
	process.stop().await;
	assert_eq!(worker.events("update.refused").len(), 1);
	assert!(worker.exchange.store.contains(&taken.artifact));
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

#[tokio::test]
async fn peer_that_is_no_device_is_a_guest_and_gets_nothing_that_is_withheld() {
	use cairn_network::{AccessPolicy, Admission};
	let (ledger, withheld) = (FakeLedger::new(open_round()), Withheld::default());
	withheld.follow(&ledger.now().view);
	let policy = ChainPolicy::new(ledger, withheld.clone());
	assert_eq!(policy.admits([7; 32]).await, Admission::Guest);
	let update = cairn_primitives::H256::repeat_byte(7);
	assert!(policy.may_serve(&update));
	withheld.insert(update, 0, 0);
	assert!(!policy.may_serve(&update));
}
