//! One live devnet, and one check after another on it: crashes, bad input, and whether the ledger is right afterwards.
//!
//! The checks share the network because starting one takes most of a minute, and they run in this order because later
//! ones look at what earlier ones did to it. Each is reported by its name, as a test. A filter selects checks; those
//! that come before are not needed for those that come after.

#![allow(clippy::unwrap_used)]

#[path = "support/examples.rs"]
mod examples;
#[path = "support/operators.rs"]
mod operators;
#[path = "support/queries.rs"]
mod queries;
mod support;

use anyhow::{ensure, Context, Result};
use cairn_devnet::{
	devnet::{Devnet, Keep, PROGRAMME},
	ledger::{check_records, committed, own_artifacts, Counts},
	process::{run, tail, Process},
	report::{recompute_all, Lineage},
	rpc::{RecordInfo, RoundInfo, Rpc},
	ui::Ui,
};
use cairn_primitives::{
	bitmap,
	views::{FailureReason, MemberOutcome, Phase, MAX_PAGE},
	Schedule, H256,
};
use futures::{future::BoxFuture, FutureExt};
use jsonrpsee::rpc_params;
use operators::metrics_and_status_of_a_running_worker_are_what_the_chain_says;
use queries::lists_of_the_chain_are_what_its_records_and_rounds_say;
use serde_json::Value;
use std::{
	any::Any,
	collections::BTreeSet,
	panic::AssertUnwindSafe,
	process::{Command, ExitCode},
	time::Instant,
};
use subxt::dynamic::Value as Argument;
use support::{number, Account, Call, Outcome};

/// Worker 2 aggregates and does not train, so that its loss costs no commit window. Worker 5 is a spare.
const LOST_AGGREGATOR: usize = 2;
const TRAINERS: [usize; 4] = [0, 1, 3, 4];
const SPARE: usize = 5;
/// The validator that prunes its state, as nodes do when nobody says otherwise.
const PRUNED: usize = 2;
/// For how many finalised blocks it keeps it: for as many as a worker's transaction may be looked for. The default is 256.
const WINDOW: u32 = 64;
/// Codes of the `provenance_*` errors.
const UNKNOWN_PROGRAMME: i32 = 9101;
const UNKNOWN_ROUND: i32 = 9102;
const UNKNOWN_RECORD: i32 = 9103;
const PAGE_SIZE: i32 = 9104;
const MALFORMED: i32 = 9105;
const UNKNOWN_BLOCK: i32 = 9106;

type Check = for<'a> fn(&'a mut Devnet) -> BoxFuture<'a, Result<()>>;

macro_rules! checks {
	($($name:ident,)+) => {
		&[$((stringify!($name), |net| $name(net).boxed())),+]
	};
}

const CHECKS: &[(&str, Check)] = checks![
	first_round_is_finalised_with_every_trainers_update,
	metrics_and_status_of_a_running_worker_are_what_the_chain_says,
	rpc_page_above_the_cap_is_refused_with_the_cap,
	rpc_input_that_is_malformed_is_refused_by_name,
	rpc_question_about_what_does_not_exist_is_answered_by_name,
	worker_without_funds_is_told_what_to_do,
	worker_refuses_another_chain_than_its_own,
	second_commit_and_late_commit_are_refused,
	trainer_killed_while_it_trains_commits_once_after_its_restart,
	trainer_killed_after_its_commit_neither_repeats_nor_loses_it,
	rounds_go_on_after_a_validator_was_killed_and_started_again,
	rounds_go_on_after_an_aggregator_was_killed_for_good,
	no_record_is_doubled_or_lost_after_all_that,
	lineage_leads_to_genesis_in_pages_of_any_size,
	lists_of_the_chain_are_what_its_records_and_rounds_say,
	every_aggregate_is_recomputed_bit_for_bit,
	examples_of_the_docs_and_an_audit_of_a_node_that_prunes_prove_what_they_are_asked,
	model_has_learned_on_held_out_samples,
];

/// A call of `Training.commit_update`.
fn commit_update(programme: u32, round: u32, artifact: [u8; 32]) -> Call {
	let arguments =
		vec![number(programme), number(round), Argument::from_bytes(artifact), number(1), number(1)];
	("Training", "commit_update", arguments)
}

fn main() -> ExitCode {
	let options: Vec<String> = std::env::args().skip(1).collect();
	let exact = options.iter().any(|o| o == "--exact");
	let mut filters = Vec::new();
	let mut skips = Vec::new();
	let mut rest = options.iter();
	while let Some(option) = rest.next() {
		match option.as_str() {
			"--skip" => skips.extend(rest.next()),
			// Options of the usual test harness that take a value.
			"--test-threads" | "--color" | "--format" | "--logfile" | "--shuffle-seed" => drop(rest.next()),
			o if o.starts_with('-') => {},
			_ => filters.push(option),
		}
	}
	let matches = |name: &str, text: &str| if exact { name == text } else { name.contains(text) };
	let wanted: Vec<_> = CHECKS
		.iter()
		.filter(|(name, _)| filters.is_empty() || filters.iter().any(|f| matches(name, f)))
		.filter(|(name, _)| !skips.iter().any(|s| matches(name, s)))
		.collect();
	if options.iter().any(|o| o == "--list") {
		for (name, _) in wanted {
			println!("{name}: test");
		}
		return ExitCode::SUCCESS;
	}
	println!("\nrunning {} tests", wanted.len());
	if wanted.is_empty() || options.iter().any(|o| o == "--ignored") {
		println!("\ntest result: ok. 0 passed; 0 failed");
		return ExitCode::SUCCESS;
	}
	let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
	runtime.block_on(run_checks(&wanted))
}

async fn run_checks(wanted: &[&(&str, Check)]) -> ExitCode {
	let start = Instant::now();
	let started = Devnet::builder()
		.validators(3usize)
		.pruning(WINDOW)
		.workers(5usize)
		.aggregators(3usize)
		.aggregators_only(1usize)
		.spares(1usize)
		// More than can be run here: the programme stays open.
		.rounds(500u32)
		// Long enough to be killed in, short enough to be done again before the window closes.
		.local_steps(Some(1500))
		.schedule(Schedule { commit: 20, availability: 8, aggregate: 5, reveal: 5, challenge: 0 })
		.min_updates(Some(2))
		.ui(Ui::quiet())
		.start()
		.await;
	let mut net = match started {
		Ok(net) => net,
		Err(error) => {
			println!("the devnet did not start: {error:#}");
			return ExitCode::FAILURE;
		},
	};
	println!("devnet up in {} s; logs in {}", start.elapsed().as_secs(), net.logs().display());
	let mut failed = Vec::new();
	for (name, check) in wanted {
		let start = Instant::now();
		// A failed assertion is this check's failure; the network stands for the others.
		let outcome = AssertUnwindSafe(check(&mut net)).catch_unwind().await;
		let seconds = start.elapsed().as_secs();
		let error = match outcome {
			Ok(Ok(())) => {
				println!("test {name} ... ok ({seconds} s)");
				continue;
			},
			Ok(Err(error)) => format!("{error:#}"),
			Err(panic) => panic_message(&*panic),
		};
		println!("test {name} ... FAILED ({seconds} s)\n{error}");
		failed.push((name, error));
	}
	if !failed.is_empty() {
		for worker in net.workers() {
			println!("---- {}\n{}", worker.name, tail(&worker.log, 10));
		}
		// Once more at the end, because of a long log only the end may be kept.
		println!("\nfailures:");
		for (name, error) in &failed {
			println!("---- {name}\n{error}");
		}
	}
	net.shutdown(if failed.is_empty() { Keep::No } else { Keep::Yes }).await;
	println!(
		"\ntest result: {} passed; {} failed; {} s",
		wanted.len() - failed.len(),
		failed.len(),
		start.elapsed().as_secs()
	);
	if failed.is_empty() {
		ExitCode::SUCCESS
	} else {
		ExitCode::FAILURE
	}
}

/// What an assertion that failed has said.
fn panic_message(panic: &(dyn Any + Send)) -> String {
	let text = panic.downcast_ref::<String>().cloned();
	text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string))
		.unwrap_or_else(|| "a panic without a message".into())
}

// ---- helpers ----

/// The round that runs now, as the best block has it.
async fn running(net: &Devnet) -> Result<RoundInfo> {
	let round = net.rpc().current_round(PROGRAMME, None).await?;
	round.context("the programme has no running round")
}

/// The updates of a settled round, in canonical order.
async fn updates(net: &Devnet, round: &RoundInfo) -> Result<Vec<RecordInfo>> {
	let range = round.updates.with_context(|| format!("round {} has no updates: {round:?}", round.index))?;
	let mut records = Vec::new();
	for id in range.first..range.first + u64::from(range.count) {
		records.push(net.rpc().record(id, None).await?);
	}
	Ok(records)
}

/// How many of the updates are this account's.
fn count_by(updates: &[RecordInfo], account: &str) -> usize {
	updates.iter().filter(|u| u.record.producer.as_deref() == Some(account)).count()
}

/// Waits for the next round that a worker starts to train in; gives its number.
async fn next_training(net: &Devnet, worker: usize) -> Result<u32> {
	let worker = net.worker(worker);
	let seen = worker.read_events()?.len();
	let trains = |e: &Value| e["event"] == "round.training" && e["programme"] == PROGRAMME;
	let (event, _) = net.guard(worker.wait_for_event(seen, trains)).await?;
	let round = event["round"].as_u64().context("an event without its round")?;
	Ok(u32::try_from(round)?)
}

// ---- rounds ----

async fn first_round_is_finalised_with_every_trainers_update(net: &mut Devnet) -> Result<()> {
	let round = net.wait_for_round(0).await?;
	assert_eq!(round.phase, Phase::Finalised, "{round:?}");
	let updates = updates(net, &round).await?;
	assert_eq!(updates.len(), TRAINERS.len());
	for worker in TRAINERS {
		assert_eq!(
			count_by(&updates, &net.worker(worker).identity.account),
			1,
			"{}",
			net.worker(worker).name
		);
	}
	// Only the first worker was given the genesis weights and the configuration; whoever trained has fetched them.
	let programme = net.rpc().programme(PROGRAMME, None).await?;
	for worker in TRAINERS {
		let store = cairn_artifacts::Store::open_read_only(net.worker(worker).store())?;
		assert!(store.contains(&programme.genesis_weights) && store.contains(&programme.config));
	}
	Ok(())
}

// ---- bad input ----

async fn rpc_page_above_the_cap_is_refused_with_the_cap(net: &mut Devnet) -> Result<()> {
	let genesis = format!("{:?}", net.rpc().programme(PROGRAMME, None).await?.genesis_weights);
	for count in [0, MAX_PAGE + 1, u32::MAX] {
		let refusal =
			net.rpc().refusal("provenance_lineage", rpc_params![&genesis, None::<u64>, count]).await?;
		assert_eq!(refusal.code, PAGE_SIZE, "{refusal:?}");
		assert!(refusal.message.contains(&MAX_PAGE.to_string()), "{refusal:?}");
	}
	Ok(())
}

async fn rpc_input_that_is_malformed_is_refused_by_name(net: &mut Devnet) -> Result<()> {
	let digits = "ab".repeat(32);
	let malformed = [
		"".to_string(),
		"0x".into(),
		"0xzz".into(),
		digits.clone(),
		format!("0x{digits}00"),
		format!("0x{}", "zz".repeat(32)),
	];
	for hash in &malformed {
		for method in ["provenance_recordByArtifact", "provenance_lineage"] {
			let refusal = net.rpc().refusal(method, rpc_params![hash]).await?;
			assert_eq!(refusal.code, MALFORMED, "{method} {hash:?}: {refusal:?}");
			assert!(refusal.message.contains("hash"), "{refusal:?}");
		}
		let refusal = net.rpc().refusal("provenance_programme", rpc_params![PROGRAMME, hash]).await?;
		assert_eq!(refusal.code, MALFORMED, "at {hash:?}: {refusal:?}");
	}
	let refusal = net.rpc().refusal("provenance_rounds", rpc_params![PROGRAMME, "done"]).await?;
	assert_eq!(refusal.code, MALFORMED, "{refusal:?}");
	assert!(refusal.message.contains("done") && refusal.message.contains("finalised"), "{refusal:?}");
	// A cursor of another list.
	let genesis = net.rpc().programme(PROGRAMME, None).await?.genesis_weights;
	for method in ["provenance_lineage", "provenance_descendants"] {
		let cursor = if method == "provenance_lineage" { u64::from(u32::MAX) } else { 0 };
		let refusal = net.rpc().refusal(method, rpc_params![genesis, cursor]).await?;
		assert_eq!(refusal.code, MALFORMED, "{method} {cursor}: {refusal:?}");
		assert!(refusal.message.contains("cursor"), "{refusal:?}");
	}
	for account in ["", "5Grwva", "//Alice"] {
		let refusal = net.rpc().refusal("provenance_rewards", rpc_params![PROGRAMME, account]).await?;
		assert_eq!(refusal.code, MALFORMED, "{account:?}: {refusal:?}");
		assert!(refusal.message.contains("account"), "{refusal:?}");
	}
	Ok(())
}

async fn rpc_question_about_what_does_not_exist_is_answered_by_name(net: &mut Devnet) -> Result<()> {
	let nobodys = format!("0x{}", "ee".repeat(32));
	let ask = |method: &'static str, params| net.rpc().refusal(method, params);
	let cases = [
		(ask("provenance_programme", rpc_params![99]).await?, UNKNOWN_PROGRAMME, "99"),
		(ask("provenance_currentRound", rpc_params![99]).await?, UNKNOWN_PROGRAMME, "99"),
		(ask("provenance_round", rpc_params![PROGRAMME, 4_000_000]).await?, UNKNOWN_ROUND, "4000000"),
		(ask("provenance_record", rpc_params![5_000_000]).await?, UNKNOWN_RECORD, "5000000"),
		(ask("provenance_recordByArtifact", rpc_params![&nobodys]).await?, UNKNOWN_RECORD, nobodys.as_str()),
		(ask("provenance_lineage", rpc_params![&nobodys]).await?, UNKNOWN_RECORD, nobodys.as_str()),
		(ask("provenance_device", rpc_params![77_777]).await?, UNKNOWN_RECORD, "77777"),
		(
			ask("provenance_programme", rpc_params![PROGRAMME, &nobodys]).await?,
			UNKNOWN_BLOCK,
			nobodys.as_str(),
		),
	];
	for (refusal, code, named) in cases {
		assert_eq!(refusal.code, code, "{refusal:?}");
		assert!(refusal.message.contains(named), "{refusal:?}");
	}
	Ok(())
}

async fn worker_without_funds_is_told_what_to_do(net: &mut Devnet) -> Result<()> {
	let dir = tempfile::tempdir()?;
	let base = dir.path().display().to_string();
	let cli = |args: Vec<&str>| {
		let mut command = std::process::Command::new(&net.binaries().worker);
		command.args(["--base-path", &base, "--json", "--node", &net.urls()[0]]).args(args);
		run(command)
	};
	cli(vec!["keys", "generate"]).await?.ok()?;
	let keys: Value = cli(vec!["keys", "show"]).await?.json()?;
	let account = keys["account"].as_str().context("keys show prints the account")?;
	let refused =
		cli(vec!["register", "--site-name", "poor", "--region", "local", "--energy", "grid"]).await?;
	assert_eq!(refused.code, Some(1), "{refused:?}");
	let said = format!("{}{}", refused.stdout, refused.stderr);
	assert!(said.contains(account) && said.contains("CRN"), "{said}");
	Ok(())
}

async fn worker_refuses_another_chain_than_its_own(net: &mut Devnet) -> Result<()> {
	let dir = tempfile::tempdir()?;
	let base = dir.path().display().to_string();
	let cli = |args: Vec<&str>| {
		let mut command = std::process::Command::new(&net.binaries().worker);
		command.args(["--base-path", &base, "--json", "--node", &net.urls()[0]]).args(args);
		run(command)
	};
	cli(vec!["keys", "generate"]).await?.ok()?;
	let other = format!("0x{}", "77".repeat(32));
	std::fs::write(dir.path().join("chain.json"), format!("{{\"genesis\":\"{other}\"}}"))?;
	let refused =
		cli(vec!["register", "--site-name", "lost", "--region", "local", "--energy", "grid"]).await?;
	assert_eq!(refused.code, Some(1), "{refused:?}");
	let said = format!("{}{}", refused.stdout, refused.stderr);
	assert!(said.contains(&other) && said.contains(net.genesis()), "{said}");
	Ok(())
}

async fn second_commit_and_late_commit_are_refused(net: &mut Devnet) -> Result<()> {
	let net = &*net;
	net.guard(net.worker(SPARE).register()).await?;
	let account = Account::new(Rpc::new(&net.urls()[0]), &net.worker(SPARE).suri).await?;
	// The next round, as soon as it is there: nobody has trained for it yet.
	let newest = running(net).await?.index;
	net.wait_for_round(newest).await?;
	let round = running(net).await?.index;
	let (first, second, late) = ([0x11; 32], [0x22; 32], [0x33; 32]);
	let calls = vec![
		commit_update(99, round, first),
		commit_update(PROGRAMME, round + 1, first),
		commit_update(PROGRAMME, round, first),
		commit_update(PROGRAMME, round, second),
	];
	let outcomes = net.guard(account.send(calls)).await?;
	let refused = |name: &str| Outcome::Refused(format!("Training.{name}"));
	let expected =
		[refused("UnknownProgramme"), refused("WrongRound"), Outcome::Applied, refused("AlreadyCommitted")];
	assert_eq!(outcomes, expected);

	let settled = net.wait_for_round(round).await?;
	let outcomes = net.guard(account.send(vec![commit_update(PROGRAMME, round, late)])).await?;
	assert_eq!(outcomes, [refused("CommitWindowClosed")]);

	// A hash without bytes behind it costs nobody anything: the others' updates are the next model.
	assert_eq!(settled.phase, Phase::Finalised, "{settled:?}");
	let updates = updates(net, &settled).await?;
	assert_eq!(count_by(&updates, &net.worker(SPARE).identity.account), 0);
	assert_eq!(settled.commit_count, bitmap::count(&settled.included) + 1);
	for artifact in [first, second, late] {
		let refusal = net.rpc().refusal("provenance_recordByArtifact", rpc_params![H256(artifact)]).await?;
		assert_eq!(refusal.code, UNKNOWN_RECORD, "{refusal:?}");
	}
	Ok(())
}

// ---- crashes ----

async fn trainer_killed_while_it_trains_commits_once_after_its_restart(net: &mut Devnet) -> Result<()> {
	let worker = 4;
	let round = next_training(net, worker).await?;
	net.kill_worker(worker).await?;
	net.restart_worker(worker)?;
	let settled = net.wait_for_round(round).await?;
	assert_eq!(settled.phase, Phase::Finalised, "{settled:?}");
	let account = &net.worker(worker).identity.account;
	assert_eq!(count_by(&updates(net, &settled).await?, account), 1);
	Ok(())
}

async fn trainer_killed_after_its_commit_neither_repeats_nor_loses_it(net: &mut Devnet) -> Result<()> {
	let worker = 3;
	let round = next_training(net, worker).await?;
	// On chain, though the worker itself may not know it yet.
	let account = net.worker(worker).identity.account.clone();
	loop {
		let now = net.guard(running(net)).await?;
		if now.index != round || now.commits.iter().any(|c| c.producer == account) {
			break;
		}
		tokio::time::sleep(std::time::Duration::from_millis(200)).await;
	}
	net.kill_worker(worker).await?;
	net.restart_worker(worker)?;
	let settled = net.wait_for_round(round).await?;
	assert_eq!(settled.phase, Phase::Finalised, "{settled:?}");
	assert_eq!(count_by(&updates(net, &settled).await?, &account), 1);
	assert_eq!(
		own_artifacts(net.worker(worker), round)?.len(),
		1,
		"another update was trained for the same round"
	);
	Ok(())
}

async fn rounds_go_on_after_a_validator_was_killed_and_started_again(net: &mut Devnet) -> Result<()> {
	let round = running(net).await?.index;
	// The second one, to which the second worker is connected.
	net.kill_validator(1).await?;
	net.restart_validator(1).await?;
	// Nothing becomes final without it, and what workers do, they do at final blocks: on a slow machine a window or two pass
	// before it is back.
	let (mut index, mut finalised) = (round, 0);
	while finalised < 2 {
		let settled = net.wait_for_round(index).await?;
		match settled.phase {
			Phase::Finalised => finalised += 1,
			_ => {
				let late =
					[FailureReason::TooFewCommits, FailureReason::TooFewIncluded, FailureReason::NoAgreement];
				assert!(settled.failure.is_some_and(|reason| late.contains(&reason)), "{settled:?}");
				assert!(index < round + 2, "rounds still fail: {settled:?}");
			},
		}
		index += 1;
	}
	Ok(())
}

async fn rounds_go_on_after_an_aggregator_was_killed_for_good(net: &mut Devnet) -> Result<()> {
	let round = running(net).await?.index;
	net.kill_worker_for_good(LOST_AGGREGATOR).await?;
	let lost = net.worker(LOST_AGGREGATOR).identity.account.clone();
	// It may have done its part of the round that runs.
	for index in [round, round + 1, round + 2] {
		let settled = net.wait_for_round(index).await?;
		assert_eq!(settled.phase, Phase::Finalised, "{settled:?}");
		if index > round {
			let outcome = |a: &str| settled.committee.iter().find(|m| m.account == a).and_then(|m| m.outcome);
			assert_eq!(outcome(&lost), Some(MemberOutcome::Silent), "{settled:?}");
			let agreed =
				settled.committee.iter().filter(|m| m.outcome == Some(MemberOutcome::Agreed)).count();
			assert_eq!(agreed, 2, "{settled:?}");
		}
	}
	Ok(())
}

// ---- the ledger afterwards ----

async fn no_record_is_doubled_or_lost_after_all_that(net: &mut Devnet) -> Result<()> {
	let head = net.rpc().finalised().await?;
	let Counts { finalised, .. } = check_records(net, &head).await?;
	ensure!(finalised >= 2, "only {finalised} rounds were finalised; this check needs some");
	// What a worker saw committed is in the ledger, unless the committee could not get it.
	let programme = net.rpc().programme(PROGRAMME, Some(&head.hash)).await?;
	for index in 0..programme.round {
		let round = net.rpc().round(PROGRAMME, index, Some(&head.hash)).await?;
		if round.phase != Phase::Finalised || bitmap::count(&round.included) != round.commit_count {
			continue;
		}
		let recorded: BTreeSet<_> = updates(net, &round).await?.iter().map(|u| u.record.artifact).collect();
		for worker in TRAINERS {
			for artifact in committed(net.worker(worker), index)? {
				assert!(
					recorded.contains(&artifact),
					"round {index}: {artifact:?} was committed and is lost"
				);
			}
		}
	}
	Ok(())
}

async fn lineage_leads_to_genesis_in_pages_of_any_size(net: &mut Devnet) -> Result<()> {
	let head = net.wait_for_finalised(2).await?;
	let programme = net.rpc().programme(PROGRAMME, Some(&head.hash)).await?;
	let model = format!("{:?}", programme.weights);
	let whole = net.rpc().lineage(&model, MAX_PAGE, &head.hash).await?;
	for page in [1, 3, 7] {
		assert_eq!(net.rpc().lineage(&model, page, &head.hash).await?, whole, "pages of {page}");
	}
	// Also checks that no record is missing on the way.
	Lineage::read(net, 5).await?;
	Ok(())
}

async fn every_aggregate_is_recomputed_bit_for_bit(net: &mut Devnet) -> Result<()> {
	let head = net.wait_for_finalised(1).await?;
	let programme = net.rpc().programme(PROGRAMME, Some(&head.hash)).await?;
	let mut finalised = Vec::new();
	for index in 0..programme.round {
		if net.rpc().round(PROGRAMME, index, Some(&head.hash)).await?.phase == Phase::Finalised {
			finalised.push(index);
		}
	}
	recompute_all(net, finalised).await
}

async fn examples_of_the_docs_and_an_audit_of_a_node_that_prunes_prove_what_they_are_asked(
	net: &mut Devnet,
) -> Result<()> {
	let net = &*net;
	// Both spend most of their time waiting for a proof of finality.
	match tokio::join!(examples::run(net), audits_of_a_node_that_prunes(net)) {
		(Err(examples), Err(audit)) => Err(audit.context(format!("and besides: {examples:#}"))),
		(examples, audit) => examples.and(audit),
	}
}

/// `cairn`, by somebody who has no device and no artifact.
fn cairn(net: &Devnet, node: &str, arguments: &[&str]) -> Command {
	let mut command = Command::new(&net.binaries().auditor);
	for variable in ["CAIRN_NODE", "CAIRN_GENESIS", "CAIRN_PEERS", "CAIRN_AUDIT_CACHE"] {
		command.env_remove(variable);
	}
	command.args(arguments).args(["--json", "--node", node, "--genesis", net.genesis()]);
	command
}

/// Not always round 0, which fails where windows are missed.
async fn first_finalised_round(net: &Devnet) -> Result<RoundInfo> {
	let head = net.wait_for_finalised(1).await?;
	let mut index = 0;
	loop {
		let round = net.rpc().round(PROGRAMME, index, Some(&head.hash)).await?;
		if round.phase == Phase::Finalised {
			return Ok(round);
		}
		index += 1;
	}
}

/// A node without the state of the blocks that are asked about proves them all the same: one model, and the whole
/// programme.
async fn audits_of_a_node_that_prunes(net: &Devnet) -> Result<()> {
	let first = first_finalised_round(net).await?;
	let settled = first.deadline.context("a settled round has the block that settled it")?;
	let node = net.rpc_of(PRUNED);
	let mut heads = net.guard(node.heads()).await?;
	// What somebody reads at the moment is pruned a little later.
	while net.guard(heads.next()).await?.number <= settled + WINDOW + 16 {}
	// Or what follows would say nothing.
	let at = net.rpc().block_hash(settled).await?;
	let refusal = node.refusal("provenance_programme", rpc_params![PROGRAMME, &at]).await?;
	assert_eq!(refusal.code, UNKNOWN_BLOCK, "block {settled}: {refusal:?}");

	let model = format!("{:?}", first.result.context("a finalised round leaves weights")?);
	let proof: Value = run(cairn(net, node.url(), &["lineage", "--prove", &model])).await?.json()?;
	assert_eq!(proof["report"]["verdict"], "proven", "{proof:#}");
	let newest = proof["report"]["proof"]["records"].as_array().and_then(|records| records.last());
	let newest = newest.with_context(|| format!("no record is proved: {proof:#}"))?;
	assert_eq!(newest["record"]["artifact"], model.as_str(), "{proof:#}");
	audit_by_a_guest(net, node.url()).await
}

/// `cairn audit`, which gets everything from the workers that still run.
async fn audit_by_a_guest(net: &Devnet, node: &str) -> Result<()> {
	let folder = net.path().join("audit");
	std::fs::create_dir_all(&folder)?;
	let page = folder.join("audit.html");
	let mut command = cairn(net, node, &["audit", &PROGRAMME.to_string(), "--threads", "1"]);
	// A machine that has more to do than it can is slow to answer, and that is no finding.
	command.args(["--timeout", "120", "--patience", "600"]);
	command.arg("--cache").arg(folder.join("cache")).arg("--html").arg(&page);
	for worker in net.workers().iter().filter(|w| w.daemon().is_some_and(Process::is_running)) {
		command.args(["--peer", &worker.address().context("a worker that runs has an address")?]);
	}
	// Any other exit code than 0 is an error with all that it printed.
	let report: Value = run(command).await?.json()?;
	assert_eq!(report["verdict"], "proven");
	let rounds = report["rounds"].as_array().context("an audit names rounds")?;
	let equal = rounds.iter().filter(|round| round["aggregate"] == "equal").count();
	assert!(equal >= 1 && rounds.iter().all(|round| round["aggregate"] != "unknown"), "{report:#}");
	let page = std::fs::read_to_string(&page)?;
	assert!(page.starts_with("<!DOCTYPE html>") && page.contains("proven"), "{page}");
	assert!(report["fetched"].as_u64() > Some(0), "nothing was at hand before: {report:#}");
	println!("  a guest audited {equal} rounds, all from what the workers gave it");
	Ok(())
}

async fn model_has_learned_on_held_out_samples(net: &mut Devnet) -> Result<()> {
	let head = net.wait_for_finalised(2).await?;
	let programme = net.rpc().programme(PROGRAMME, Some(&head.hash)).await?;
	let before = net.evaluate(&programme.genesis_weights, &programme.config).await?;
	let after = net.evaluate(&programme.weights, &programme.config).await?;
	assert!(after.loss < before.loss, "{before:?} {after:?}");
	// Guessing is right in one of ten; the non-identical split is no excuse to stay below most.
	assert!(before.accuracy < 0.3 && after.accuracy > 0.7, "{before:?} {after:?}");
	Ok(())
}
