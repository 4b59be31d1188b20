//! What goes wrong around a worker, and stragglers.

use super::*;
use crate::plan::tests::{device, ME};
use cairn_primitives::DeviceState;

fn endless(stuck_at: Option<u32>) -> FakeTrainer {
	FakeTrainer { endless: true, stuck_at, ..FakeTrainer::default() }
}

async fn trains(worker: &Worker) {
	worker.trainer.started.subscribe().wait_for(|started| *started).await.unwrap();
}

async fn reaches(worker: &Worker, step: u32) {
	worker.trainer.reached.subscribe().wait_for(|reached| *reached >= step).await.unwrap();
}

fn commits(state: &State) -> Vec<&Call> {
	state.submitted.iter().map(|(_, call)| call).filter(|call| is_commit(call)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn straggler_sends_what_is_done_when_the_deadline_comes_near() {
	let worker = Worker::new(open_round(), endless(Some(7)));
	let process = worker.start();
	reaches(&worker, 7).await;
	assert_eq!(worker.ledger.now().submitted, []);
	// Three blocks for the transaction, and one for packing the update up.
	worker.ledger.best.send_replace(200 - MARGIN - 1);
	let state = worker.ledger.until(|s| s.submitted.iter().any(|(_, call)| is_commit(call))).await;
	process.stop().await;
	let Call::CommitUpdate { local_steps, artifact, .. } = commits(&state)[0] else { panic!() };
	assert_eq!(*local_steps, 7);
	// The envelope declares as many, for the aggregation to normalise by.
	let update = TensorFile::from_bytes(&worker.exchange.store.get(artifact).unwrap().unwrap()).unwrap();
	assert_eq!(update.metadata()["local_steps"], "7");
	assert_eq!(worker.events("round.trained")[0]["askedLocalSteps"], 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn straggler_keeps_a_deadline_that_another_workers_commit_sets_while_it_trains() {
	let worker = Worker::new(Round { deadline: None, ..open_round() }, endless(Some(7)));
	let process = worker.start();
	reaches(&worker, 7).await;
	worker.ledger.best.send_replace(190);
	worker.ledger.change_round(|round| round.deadline = Some(192));
	let state = worker.ledger.until(|s| s.submitted.iter().any(|(_, call)| is_commit(call))).await;
	process.stop().await;
	assert!(matches!(commits(&state)[0], Call::CommitUpdate { local_steps: 7, .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn device_is_asked_for_no_more_than_the_chain_and_its_own_speed_let_it_do_in_time() {
	for (steps, step, asked) in [
		(u32::MAX, None, 100),
		// What the chain has measured.
		(60, None, 60),
		// 100 blocks of 6 s until the deadline, 4 of them in reserve, a tenth for what is not foreseen.
		(60, Some(Duration::from_secs(12)), 43),
		(60, Some(Duration::from_secs(1)), 60),
		(60, Some(Duration::from_secs(10_000)), 1),
	] {
		let mut worker = Worker::new(open_round(), FakeTrainer::default());
		worker.step = step;
		worker.ledger.state.send_modify(|s| s.steps = steps);
		let process = worker.start();
		let training = event(&worker, "round.training").await;
		process.stop().await;
		assert_eq!((&training["localSteps"], &training["fullLocalSteps"]), (&json!(asked), &json!(100)));
	}
}

#[tokio::test(flavor = "multi_thread")]
async fn update_that_is_too_late_is_not_sent_and_not_paid_for() {
	let closed = Round { phase: Phase::Availability, ..open_round() };
	let past = Round { deadline: Some(100), ..open_round() };
	let next = Round { index: 4, ..open_round() };
	for best in [closed, past, next] {
		let worker = Worker::new(open_round(), FakeTrainer::default());
		worker.ledger.change(|s| s.best = Some(best));
		let process = worker.start();
		let late = event(&worker, "round.late").await;
		assert_eq!(late["round"], 3);
		// The window is closed in the finalised chain, too; the daemon goes on with the round.
		worker.ledger.change(|s| s.best = None);
		worker.ledger.change_round(|r| (r.phase, r.committee) = (Phase::Reveal, Vec::new()));
		worker.ledger.best.send_replace(300);
		let state = worker.ledger.until(|s| !s.settled.is_empty()).await;
		process.stop().await;
		assert_eq!(commits(&state), Vec::<&Call>::new());
		assert_eq!(worker.events("round.late").len(), 1);
		assert_eq!(worker.events("action.failed"), Vec::<serde_json::Value>::new());
	}
}

#[tokio::test(flavor = "multi_thread")]
async fn training_that_is_half_done_when_the_worker_is_stopped_is_handed_over_and_committed_after_its_restart(
) {
	let worker = Worker::new(open_round(), endless(Some(50)));
	let process = worker.start();
	reaches(&worker, 50).await;
	let context = process.context.clone();
	process.stop().await;
	let update = context.journal.state().update(0, 3).cloned().unwrap();
	drop(context);
	assert_eq!(worker.ledger.now().submitted, []);
	assert_eq!(update.local_steps, 50);
	let process = worker.start();
	let state = worker.ledger.until(|s| !s.settled.is_empty()).await;
	process.stop().await;
	assert!(
		matches!(commits(&state)[..], [Call::CommitUpdate { artifact, .. }] if *artifact == update.artifact)
	);
	assert_eq!(worker.trainer.runs.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn training_that_has_hardly_begun_when_the_worker_is_stopped_is_given_up_and_that_is_said() {
	let worker = Worker::new(open_round(), endless(Some(49)));
	let process = worker.start();
	trains(&worker).await;
	let context = process.context.clone();
	process.stop().await;
	assert_eq!(context.journal.state().update(0, 3), None);
	assert_eq!(worker.events("round.abandoned")[0]["cause"], "stopping");
	assert!(Report::read(worker.dir.path()).is_none(), "its last word is taken back");
}

#[tokio::test(flavor = "multi_thread")]
async fn update_is_not_committed_when_the_evidence_that_the_charter_asks_for_ran_out_meanwhile() {
	let worker = Worker::new(open_round(), endless(Some(7)));
	let process = worker.start();
	trains(&worker).await;
	worker.ledger.change(|s| {
		s.view.programmes[0].admits = false;
		s.view.can_attest = false;
	});
	let notice = event(&worker, "notice").await;
	assert!(notice["notice"].as_str().unwrap().contains("evidence"), "{notice}");
	assert_eq!(event(&worker, "round.abandoned").await["cause"], "evidence");
	process.stop().await;
	assert_eq!(worker.ledger.now().submitted, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn run_that_is_given_up_because_the_window_closed_early_still_measures_the_speed() {
	let worker = Worker::new(open_round(), endless(Some(7)));
	let process = worker.start();
	reaches(&worker, 7).await;
	worker.ledger.change_round(|r| (r.phase, r.committee) = (Phase::Availability, Vec::new()));
	assert_eq!(event(&worker, "round.abandoned").await["cause"], "window");
	let config = cairn_primitives::artifact_hash(CONFIG_BYTES);
	assert!(process.context.pace.fits(&config, Duration::from_secs(1000)).is_some());
	process.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn training_that_would_fail_again_is_said_once_and_waits_for_the_next_round() {
	let reason = "the loss is NaN in local step 1";
	let worker = Worker::new(open_round(), FakeTrainer { unfit: Some(reason), ..FakeTrainer::default() });
	let process = worker.start();
	let hopeless = event(&worker, "round.hopeless").await;
	assert_eq!((&hopeless["round"], &hopeless["reason"]), (&json!(3), &json!(reason)));
	worker.ledger.change(|_| {});
	// Longer than the first pause after a failure.
	tokio::time::sleep(RETRY + Duration::from_millis(500)).await;
	assert_eq!(worker.trainer.runs.load(Ordering::SeqCst), 1);
	worker.ledger.change_round(|round| round.index = 4);
	let mut poll = tokio::time::interval(Duration::from_millis(5));
	while worker.events("round.hopeless").len() < 2 {
		poll.tick().await;
	}
	process.stop().await;
	assert_eq!(worker.events("round.hopeless")[1]["round"], 4);
	assert_eq!(worker.trainer.runs.load(Ordering::SeqCst), 2);
	assert_eq!(worker.events("action.failed"), Vec::<serde_json::Value>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn evidence_from_before_a_request_is_not_taken_for_its_verdict_after_a_restart() {
	let worker = Worker::new(open_round(), endless(None));
	let measurement =
		Measurement { products: 1, product_ms: 1, sweeps: 1, sweep_ms: 1, digest: H256([5; 32]) };
	let speed = Some(Speed { flops: 1, bandwidth: 1 });
	worker.ledger.change(|s| {
		let old = EvidenceInfo { kind: EvidenceKind::Measured, speed, at: 50, expires: 900, valid: true };
		s.view.device.as_mut().unwrap().evidence = Some(old);
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
	// The attesters were silent, and what there was before is still good.
	worker.ledger.change(|s| {
		s.view.programmes[0].admits = true;
		s.challenge = None;
	});
	let failed = event(&worker, "action.failed").await;
	assert!(failed["error"].as_str().unwrap().contains("device 7 was not attested"), "{failed}");
	assert_eq!(worker.events("attest.done"), Vec::<serde_json::Value>::new());
	process.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn suspended_device_does_nothing_and_says_how_it_comes_back() {
	let worker = Worker::new(open_round(), FakeTrainer::default());
	worker.ledger.change(|s| {
		s.view.device = Some(device(DeviceState::Suspended));
		s.view.can_attest = false;
	});
	let process = worker.start();
	let notice = event(&worker, "notice").await;
	assert!(notice["notice"].as_str().unwrap().contains("suspended"), "{notice}");
	process.stop().await;
	assert_eq!(worker.ledger.now().submitted, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_planned_while_the_node_is_behind_and_the_round_goes_on_when_it_has_caught_up() {
	let worker = Worker::new(open_round(), FakeTrainer::default());
	worker.ledger.change(|s| s.syncing = true);
	let process = worker.start();
	let waiting = event(&worker, "chain.waiting").await;
	assert!(waiting["reason"].as_str().unwrap().contains("catching up"), "{waiting}");
	assert_eq!((worker.events("round.training").len(), worker.events("chain.waiting").len()), (0, 1));
	worker.ledger.change(|s| s.syncing = false);
	worker.ledger.until(|s| !s.settled.is_empty()).await;
	process.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn daemon_is_stopped_while_the_chain_cannot_be_read() {
	let worker = Worker::new(open_round(), FakeTrainer::default());
	worker.ledger.change(|s| s.hangs = true);
	let process = worker.start();
	let mut poll = tokio::time::interval(Duration::from_millis(5));
	while Report::read(worker.dir.path()).is_none() {
		poll.tick().await;
	}
	process.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn chain_that_does_not_finalise_any_more_is_said_once_with_the_remedy() {
	let standing = Round { phase: Phase::Reveal, committee: Vec::new(), ..open_round() };
	let mut worker = Worker::new(standing, FakeTrainer::default());
	worker.stalled = Duration::from_millis(20);
	let process = worker.start();
	let waiting = event(&worker, "chain.waiting").await;
	let reason = waiting["reason"].as_str().unwrap();
	assert!(reason.contains("after block 100") && reason.contains("--node"), "{reason}");
	// The daemon looks again at every best block, and has nothing new to say. It leaves word once a second at most.
	for best in [103, 104] {
		worker.ledger.best.send_replace(best);
		let mut poll = tokio::time::interval(Duration::from_millis(2));
		while Report::read(worker.dir.path()).is_none_or(|report| report.best != best) {
			poll.tick().await;
		}
	}
	assert_eq!(worker.events("chain.waiting").len(), 1);
	// It is over when a block comes, and said again when they stop again.
	worker.ledger.change(|_| {});
	let mut poll = tokio::time::interval(Duration::from_millis(2));
	while worker.events("chain.waiting").len() < 2 {
		poll.tick().await;
	}
	process.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn running_daemon_leaves_word_of_what_it_does() {
	let worker = Worker::new(open_round(), endless(Some(1)));
	let process = worker.start();
	trains(&worker).await;
	let mut poll = tokio::time::interval(Duration::from_millis(5));
	let report = loop {
		match Report::read(worker.dir.path()) {
			Some(report) if !report.doing.is_empty() => break report,
			_ => drop(poll.tick().await),
		}
	};
	process.stop().await;
	assert_eq!((report.process, report.account), (std::process::id(), ME.to_string()));
	assert!(report.doing.contains(&"train:0:3".to_string()), "{:?}", report.doing);
	assert_eq!((report.programmes[0].round, report.programmes[0].phase), (Some(3), Some(Phase::Commit)));
}
