//! `kill -9` at every point of a round, in a process of its own, against a chain that goes on without it.
//!
//! Processes are forked from one that has a single thread, so that a trial takes milliseconds.

use super::{fakes::*, simulated::*};
use crate::{
	base::BasePath,
	chain::Round,
	cli::run::listen_for_signals,
	crash::{self, When},
	daemon::*,
	journal::Journal,
	output::Output,
	plan::tests::{round, ME},
};
use cairn_artifacts::artifact_hash;
use cairn_primitives::views::Phase;
use nix::{
	sys::{
		signal::{kill, Signal},
		wait::{waitpid, WaitStatus},
	},
	unistd::{fork, ForkResult, Pid},
};
use serde::{Deserialize, Serialize};
use std::{
	collections::BTreeMap,
	io::{BufRead, BufReader, Write},
	path::{Path, PathBuf},
	process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

/// Set for the process that workers are forked from.
const FORKED_FROM: &str = "CAIRN_TEST_WORKERS";
/// What it writes before each answer, because the test harness writes to the same place.
const ANSWER: &str = "worker: ";
/// A worker that takes longer than this hangs.
const HANGS: u32 = 120;

/// What a process is to do.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
struct Trial {
	/// When to die, if at all.
	die: Option<When>,
	/// Bytes that a file may have until the worker has said that it could not write; any if 0.
	file_limit: u64,
	/// Train without an end, and do not end when told.
	hang: bool,
}

impl Trial {
	fn dying(when: When) -> Self {
		Self { die: Some(when), ..Self::default() }
	}
}

/// Starts workers, one at a time.
struct Workers {
	process: Child,
	input: ChildStdin,
	output: BufReader<ChildStdout>,
}

impl Workers {
	fn new() -> Self {
		let name = format!("{}::worker_process", module_path!().split_once("::").unwrap().1);
		let mut command = Command::new(std::env::current_exe().unwrap());
		command
			.args([&name, "--exact", "--ignored", "--nocapture", "--test-threads=1"])
			.env(FORKED_FROM, "1");
		let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
		let input = process.stdin.take().unwrap();
		let output = BufReader::new(process.stdout.take().unwrap());
		Self { process, input, output }
	}

	fn start(&mut self, folder: &Path, trial: Trial) {
		writeln!(self.input, "{}", serde_json::to_string(&(folder, trial)).unwrap()).unwrap();
	}

	/// How the worker ended: `killed`, `exited CODE`, or a surprise.
	fn ended(&mut self) -> String {
		let mut line = String::new();
		loop {
			line.clear();
			assert!(self.output.read_line(&mut line).unwrap() > 0, "the process that starts workers is gone");
			// The harness does not end its own line before the test's first output.
			if let Some((_, answer)) = line.split_once(ANSWER) {
				return answer.trim().to_string();
			}
		}
	}

	fn run(&mut self, folder: &Path, trial: Trial) -> String {
		self.start(folder, trial);
		self.ended()
	}
}

impl Drop for Workers {
	fn drop(&mut self) {
		let _ = self.process.kill();
		let _ = self.process.wait();
	}
}

#[test]
#[ignore = "the process that the workers of the other tests are forked from"]
fn worker_process() {
	if std::env::var_os(FORKED_FROM).is_none() {
		return;
	}
	for line in std::io::stdin().lines() {
		let line = line.unwrap();
		let (folder, trial): (PathBuf, Trial) = serde_json::from_str(&line).unwrap();
		// SAFETY: the harness runs one test at a time on request, so no other thread does anything: the child may use
		// everything that it has.
		match unsafe { fork() }.unwrap() {
			ForkResult::Child => {
				let code = std::panic::catch_unwind(|| work(&folder, trial)).unwrap_or(101);
				// SAFETY: ends the process, without what the harness does at its end.
				unsafe { libc::_exit(code) };
			},
			ForkResult::Parent { child } => {
				let ended = match waitpid(child, None).unwrap() {
					WaitStatus::Exited(_, code) => format!("exited {code}"),
					WaitStatus::Signaled(_, Signal::SIGKILL, _) => "killed".into(),
					other => format!("{other:?}"),
				};
				println!("\n{ANSWER}{ended}");
			},
		}
	}
}

/// The worker: a round from whatever it finds on disk and on chain, to the end.
fn work(folder: &Path, trial: Trial) -> i32 {
	// SAFETY: system calls without memory.
	unsafe {
		libc::alarm(HANGS);
		if trial.file_limit > 0 {
			// A write beyond the limit is an error then, instead of the process's end.
			libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
			limit_files(trial.file_limit);
		}
	}
	if let Some(when) = trial.die.clone() {
		crash::arm(when, folder.join("died"));
	}
	let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
	runtime.block_on(live(folder, trial))
}

fn limit_files(bytes: u64) {
	let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
	// SAFETY: the pointers are to a local variable.
	unsafe {
		assert_eq!(libc::getrlimit(libc::RLIMIT_FSIZE, &mut limit), 0);
		limit.rlim_cur = bytes.min(limit.rlim_max);
		assert_eq!(libc::setrlimit(libc::RLIMIT_FSIZE, &limit), 0);
	}
}

async fn live(folder: &Path, trial: Trial) -> i32 {
	let base = BasePath::open(folder).unwrap();
	let journal = SharedJournal::new(Journal::open(&base, &ME).unwrap());
	let ledger = SimulatedLedger::connect(&folder.join("node"), journal.clone()).await;
	let store = Store::open(base.store()).unwrap();
	let output = Output::memory(true);
	if trial.file_limit > 0 {
		let said = folder.join("said");
		output.observe(move |event, fields| {
			if matches!(event, "disk.full" | "action.failed" | "artifact.missing") {
				limit_files(u64::MAX);
				std::fs::write(&said, fields.to_string()).unwrap();
			}
		});
	}
	let elsewhere = HashMap::from([
		(artifact_hash(CONFIG_BYTES), CONFIG_BYTES.to_vec()),
		(base_weights().hash(), base_weights().to_bytes()),
	]);
	let trainer = FakeTrainer {
		endless: trial.hang,
		stuck_at: trial.hang.then_some(1),
		// Another process trains another update, which shows if it is committed beside the first.
		salt: std::process::id() as f32 / 1e4,
		..FakeTrainer::default()
	};
	let training = trainer.started.subscribe();
	let (stop, stopped) = watch::channel(false);
	let context = Arc::new(Context {
		ledger: Arc::new(ledger),
		exchange: Arc::new(FakeExchange {
			store: store.clone(),
			elsewhere: Mutex::new(elsewhere),
			announced: watch::Sender::new(Vec::new()),
		}),
		trainer: Some(Arc::new(trainer)),
		store,
		withheld: Withheld::from_journal(&journal.state()),
		journal,
		output,
		me: ME,
		duties: Duties { trainer: true, aggregator: true, programmes: Vec::new() },
		seed: 0,
		threads: 1,
		training: Semaphore::new(1),
		announced: HashSet::new().into(),
		pace: Pace::default(),
		metrics: Arc::default(),
		report: None,
		latest: watch::Sender::new(None),
		stalled: STALLED,
	});
	if trial.hang {
		return hang(folder, context, training, stop, stopped).await;
	}
	let daemon = tokio::spawn(run(context.clone(), stopped));
	while !daemon.is_finished() {
		let journal = context.journal.state();
		let over = journal.rounds.is_empty() && journal.sent.is_empty();
		if over && context.ledger.round(0, 3).await.unwrap().is_some() {
			stop.send_replace(true);
		}
		tokio::time::sleep(Duration::from_millis(1)).await;
	}
	match daemon.await.unwrap() {
		Ok(()) => 0,
		Err(_) => 1,
	}
}

/// A worker that has been told to stop and does not come to it: says in a file how far it is.
async fn hang(
	folder: &Path,
	context: Arc<Context>,
	mut training: watch::Receiver<bool>,
	stop: watch::Sender<bool>,
	mut stopped: watch::Receiver<bool>,
) -> i32 {
	listen_for_signals(&context.output, stop).unwrap();
	// The daemon itself is never told, so nothing but the second signal ends this.
	let (_keep, never) = watch::channel(false);
	let daemon = tokio::spawn(run(context, never));
	training.wait_for(|training| *training).await.unwrap();
	std::fs::write(folder.join("process"), std::process::id().to_string()).unwrap();
	stopped.wait_for(|stop| *stop).await.unwrap();
	std::fs::write(folder.join("stopping"), "").unwrap();
	drop(daemon.await);
	1
}

/// What a round asks of the worker, call by call.
const AGREED: &[&str] = &["commit_update", "vote_availability", "commit_aggregate", "reveal_aggregate"];
/// The same where the first committee does not agree, and the second on something that the worker challenges and, as
/// auditor, overturns.
const DISPUTED: &[&str] = &[
	"commit_update",
	"vote_availability",
	"commit_aggregate",
	"reveal_aggregate",
	"vote_availability",
	"commit_aggregate",
	"reveal_aggregate",
	"challenge",
	"commit_aggregate",
	"reveal_aggregate",
];

fn start_chain(folder: &Path, calls: &[&str]) -> Simulated {
	let state = FakeLedger::new(Round { deadline: None, ..round(Phase::Commit) }).now();
	Simulated::start(State { disputed: calls == DISPUTED, ..state }, folder)
}

/// Nothing was lost and nothing was done twice: each step of the round landed once, and none was refused, which would
/// have cost a fee for nothing.
fn check(folder: &Path, chain: &Simulated, expected: &[&str], how: &str) {
	let landed = chain.landed();
	let calls: Vec<_> =
		landed.iter().map(|(did, refused)| (Call::from(did.clone()).name().1, refused)).collect();
	let once: Vec<_> = expected.iter().map(|name| (*name, &None)).collect();
	assert_eq!(calls, once, "{how}");
	let Did::CommitUpdate(_, _, update, ..) = &landed[0].0 else { panic!("{how}: {landed:?}") };
	let settled = chain.settled();
	assert_eq!(settled.len(), 1, "{how}");
	let store = Store::open(folder.join("store")).unwrap();
	for artifact in [*update, settled[0].result.unwrap()] {
		assert!(store.get(&artifact).unwrap().is_some(), "{how}: {artifact:?} is not in the store");
	}
	let journal = Journal::open(&BasePath::open(folder).unwrap(), &ME).unwrap();
	assert_eq!(journal.state(), &crate::journal::JournalState::default(), "{how}");
}

/// Where a process died, or the points that it came to.
fn noted(folder: &Path) -> String {
	std::fs::read_to_string(folder.join("died")).unwrap()
}

/// The points of a round that is not disturbed, with how often each is come to.
fn all_points(workers: &mut Workers, calls: &[&str]) -> BTreeMap<String, u32> {
	let dir = tempfile::tempdir().unwrap();
	let chain = start_chain(dir.path(), calls);
	assert_eq!(workers.run(dir.path(), Trial::dying(When::Never)), "exited 0");
	check(dir.path(), &chain, calls, "not killed");
	let mut points = BTreeMap::new();
	for name in noted(dir.path()).lines() {
		*points.entry(name.to_string()).or_default() += 1;
	}
	points
}

/// Kills a worker at a point of a round, and lets another finish it. Where the worker did not come to the point, says so:
/// how often some events are come to depends on how the blocks fall.
fn kill_and_finish(workers: &mut Workers, calls: &[&str], name: &str, nth: u32) -> Option<String> {
	let dir = tempfile::tempdir().unwrap();
	let chain = start_chain(dir.path(), calls);
	let how = format!("killed {name}, the {nth}. time");
	let passed_by = match workers.run(dir.path(), Trial::dying(When::Named(name.into(), nth))).as_str() {
		"killed" => {
			assert_eq!(noted(dir.path()), name);
			assert_eq!(workers.run(dir.path(), Trial::default()), "exited 0", "{how}");
			false
		},
		"exited 0" => true,
		other => panic!("{how}: {other}"),
	};
	check(dir.path(), &chain, calls, &how);
	passed_by.then_some(how)
}

#[test]
fn worker_killed_in_a_second_committee_a_challenge_or_an_audit_does_each_once_after_its_restart() {
	let mut workers = Workers::new();
	let (before, points) = (all_points(&mut workers, AGREED), all_points(&mut workers, DISPUTED));
	for (point, times) in [
		("before the event result.challenged", 1),
		("before the event round.voted", 2),
		("before the event round.aggregated", 3),
		("before the event aggregate.committed", 3),
		("before the event aggregate.revealed", 3),
		("before the event round.finalised", 1),
		("after the store has the aggregate", 3),
		("while the journal gets an aggregate to commit to", 3),
		("after the pool has a transaction", 10),
		("after the journal has a transaction's end", 10),
	] {
		assert!(points.get(point) >= Some(&times), "not {times} times {point}: {points:#?}");
	}
	let mut passed_by = Vec::new();
	for (name, times) in &points {
		// The first committee's are the next test's.
		for nth in before.get(name).unwrap_or(&0) + 1..=*times {
			passed_by.extend(kill_and_finish(&mut workers, DISPUTED, name, nth));
		}
	}
	println!("not come to again: {passed_by:?}");
	let challenged = |how: &String| how.contains("result.challenged");
	assert!(!passed_by.iter().any(challenged), "{passed_by:?}");
}

#[test]
fn worker_killed_at_any_point_of_a_round_commits_once_and_finishes_it_after_its_restart() {
	let mut workers = Workers::new();
	let points = all_points(&mut workers, AGREED);
	let mut passed_by = Vec::new();
	for (name, times) in &points {
		for nth in 1..=*times {
			passed_by.extend(kill_and_finish(&mut workers, AGREED, name, nth));
		}
	}
	let trials: u32 = points.values().sum();
	println!("{trials} points; not come to again: {passed_by:?}");
	for (point, times) in [
		("before the event round.training", 1),
		("before the event round.trained", 1),
		("before the event round.committed", 1),
		("before the event round.voted", 1),
		("before the event round.aggregated", 1),
		("before the event aggregate.committed", 1),
		("before the event aggregate.revealed", 1),
		("before the event round.finalised", 1),
		("before the store has the update", 1),
		("after the store has the update", 1),
		("before the store has the aggregate", 1),
		("after the store has the aggregate", 1),
		("before the pool has a transaction", 4),
		("after the pool has a transaction", 4),
	] {
		assert!(points.get(point) >= Some(&times), "not {times} times {point}: {points:#?}");
		assert!(
			!passed_by.iter().any(|how| how.contains(point) && how.ends_with("the 1. time")),
			"{passed_by:?}"
		);
	}
	for (line, times) in [
		("an update to withhold", 1),
		("an update to commit", 1),
		("an aggregate to commit to", 1),
		("a transaction to send", 4),
		("a transaction's end", 4),
		("a round's end", 1),
	] {
		for point in [
			format!("before the journal has {line}"),
			format!("while the journal gets {line}"),
			format!("before {line} is on disk"),
			format!("after the journal has {line}"),
		] {
			assert!(points.get(&point) >= Some(&times), "not {times} times {point}: {points:#?}");
			assert!(
				!passed_by.iter().any(|how| how.contains(&point) && how.ends_with("the 1. time")),
				"{passed_by:?}"
			);
		}
	}
}

#[test]
fn worker_killed_again_and_again_gets_through_a_round_and_commits_once() {
	let mut workers = Workers::new();
	let dir = tempfile::tempdir().unwrap();
	let chain = start_chain(dir.path(), AGREED);
	let mut deaths = Vec::new();
	// Each process gets one point further than the one before it, so that the last one gets to the end.
	for nth in 1.. {
		match workers.run(dir.path(), Trial::dying(When::At(nth))).as_str() {
			"exited 0" => break,
			"killed" => deaths.push(noted(dir.path())),
			other => panic!("process {nth}: {other}"),
		}
	}
	assert!(deaths.len() >= 10, "{deaths:#?}");
	check(dir.path(), &chain, AGREED, &format!("{deaths:#?}"));
}

#[test]
fn worker_that_cannot_write_says_what_to_do_and_goes_on_once_it_can() {
	let mut workers = Workers::new();
	let base = base_weights().to_bytes().len() as u64;
	// The update's file, and lines of the journal.
	for file_limit in [base, base + 300, base + 1200] {
		let dir = tempfile::tempdir().unwrap();
		let chain = start_chain(dir.path(), AGREED);
		assert_eq!(
			workers.run(dir.path(), Trial { file_limit, ..Trial::default() }),
			"exited 0",
			"{file_limit}"
		);
		check(dir.path(), &chain, AGREED, &format!("files of {file_limit} bytes at most"));
		let said = std::fs::read_to_string(dir.path().join("said")).unwrap();
		assert!(said.contains("free some space"), "{file_limit}: {said}");
	}
}

#[test]
fn second_signal_ends_a_worker_that_is_still_stopping_at_once() {
	let mut workers = Workers::new();
	let dir = tempfile::tempdir().unwrap();
	let _chain = start_chain(dir.path(), AGREED);
	workers.start(dir.path(), Trial { hang: true, ..Trial::default() });
	let file = |name: &str| dir.path().join(name);
	let wait_for = |name: &str| loop {
		match std::fs::read_to_string(file(name)) {
			Ok(text) if name == "stopping" || !text.is_empty() => break text,
			_ => std::thread::sleep(Duration::from_millis(2)),
		}
	};
	let process = Pid::from_raw(wait_for("process").parse().unwrap());
	kill(process, Signal::SIGTERM).unwrap();
	wait_for("stopping");
	kill(process, Signal::SIGTERM).unwrap();
	assert_eq!(workers.ended(), "exited 130");
}
