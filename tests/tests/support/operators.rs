//! What the operator of a worker sees of it: its metrics and `cairn-worker status`.

use anyhow::{ensure, Context, Result};
use cairn_devnet::{
	devnet::{Devnet, PROGRAMME},
	ledger::events_of,
	process::Process,
	rpc::{RewardInfo, RoundInfo},
	worker::Worker,
};
use serde_json::{json, Value};
use std::{
	collections::{BTreeMap, BTreeSet},
	io::{Read, Write},
	net::TcpStream,
	time::Duration,
};

/// The worker that is looked at. It trains and aggregates, and nobody has killed it.
const WORKER: usize = 0;
/// Plancks in one CRN.
const CRN: f64 = 1e12;
/// Finalised blocks that are waited for until what is shown fits.
const TRIES: u32 = 20;

/// The metrics and the status of a running worker are what the chain says about it at the block that they are of.
pub async fn metrics_and_status_of_a_running_worker_are_what_the_chain_says(net: &mut Devnet) -> Result<()> {
	let net = &*net;
	// What it has earned by then.
	net.wait_for_round(0).await?;
	let mut heads = net.guard(net.rpc().heads()).await?;
	// One is looked at in the middle of a step sometimes, and a node that is busy may not be reached in time.
	let mut tries = 0;
	loop {
		let looked = async {
			metrics_fit(net).await.context("the metrics")?;
			status_fits(net).await.context("the status")
		};
		match net.guard(looked).await {
			Ok(()) => return Ok(()),
			Err(error) if tries == TRIES => return Err(error),
			Err(_) => tries += 1,
		}
		net.guard(heads.next()).await?;
	}
}

/// The round that ran and what the worker had earned at a block.
async fn chain_at(net: &Devnet, block: u32) -> Result<(RoundInfo, RewardInfo)> {
	let at = net.rpc().block_hash(block).await?;
	let round = net.rpc().current_round(PROGRAMME, Some(&at)).await?;
	let round = round.with_context(|| format!("no round ran at block {block}"))?;
	let rewards = net.rpc().rewards(PROGRAMME, &net.worker(WORKER).identity.account, Some(&at)).await?;
	ensure!(rewards.points > 0, "it has earned nothing by block {block}");
	Ok((round, rewards))
}

async fn metrics_fit(net: &Devnet) -> Result<()> {
	let worker = net.worker(WORKER);
	let metrics = scrape(worker)?;
	let get = |name: &str| {
		let value = metrics.get(&format!("cairn_worker_{name}")).copied();
		value.with_context(|| format!("there is no metric `{name}`, but {:?}", metrics.keys()))
	};
	let (round, rewards) = chain_at(net, get("acted_block")? as u32).await?;
	let of_programme = |name: &str| format!("{name}{{programme=\"{PROGRAMME}\"}}");
	let phase = format!("{:?}", round.phase).to_lowercase();
	for (name, value) in [
		(of_programme("round"), f64::from(round.index)),
		(format!("round_phase{{phase=\"{phase}\",programme=\"{PROGRAMME}\"}}"), 1.0),
		(of_programme("points"), rewards.points as f64),
		(of_programme("claimable_crn"), rewards.claimable as f64 / CRN),
		("updates_committed_total".into(), events_of(worker, "round.committed")?.len() as f64),
	] {
		let shown = get(&name)?;
		ensure!(shown == value, "{name} is {shown}, and should be {value}: {round:?}, {rewards:?}");
	}
	let (peers, others) = (get("peers")?, others(net).len() as f64);
	ensure!((1.0..=others).contains(&peers), "{peers} peers, and there are {others} other workers");
	ensure!(get("finalised_block")? >= get("acted_block")?, "it has acted on blocks that are not final");
	Ok(())
}

/// All samples of the endpoint that the worker says it serves.
fn scrape(worker: &Worker) -> Result<BTreeMap<String, f64>> {
	let serving = events_of(worker, "metrics.serving")?.pop();
	let serving = serving.with_context(|| format!("{} serves no metrics", worker.name))?;
	let address = serving["address"].as_str().context("an event without its address")?;
	let mut stream = TcpStream::connect(address)?;
	// It is tried again.
	stream.set_read_timeout(Some(Duration::from_secs(60)))?;
	write!(stream, "GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
	let mut answer = String::new();
	stream.read_to_string(&mut answer)?;
	ensure!(answer.starts_with("HTTP/1.1 200"), "{address} answers {answer}");
	let samples = answer.lines().filter(|line| line.starts_with("cairn_worker_"));
	samples
		.map(|line| {
			let (name, value) = line.rsplit_once(' ').with_context(|| format!("no sample: {line}"))?;
			Ok((name.to_string(), value.parse().with_context(|| format!("no number: {line}"))?))
		})
		.collect()
}

/// The peer ids of the other workers that run.
fn others(net: &Devnet) -> BTreeSet<&str> {
	let workers = net.workers().iter().enumerate();
	let running = workers.filter(|(i, w)| *i != WORKER && w.daemon().is_some_and(Process::is_running));
	running.map(|(_, w)| w.identity.peer_id.as_str()).collect()
}

async fn status_fits(net: &Devnet) -> Result<()> {
	let worker = net.worker(WORKER);
	let status: Value = worker.cli(&["status"]).await?.json()?;
	ensure!(status["nodeError"].is_null(), "{}", status["nodeError"]);
	let block = status["finalised"].as_u64().with_context(|| format!("as of no block: {status}"))?;
	let (round, rewards) = chain_at(net, u32::try_from(block)?).await?;
	let at = net.rpc().block_hash(u32::try_from(block)?).await?;
	let programme = net.rpc().programme(PROGRAMME, Some(&at)).await?;
	let expected = json!([{
		"id": PROGRAMME,
		"name": "digits",
		"state": programme.state,
		"finalised": programme.finalised,
		"rounds": programme.rounds,
		"weights": programme.weights,
		"round": {
			"index": round.index,
			"attempt": round.attempt,
			"phase": round.phase,
			"deadline": round.deadline,
			"commits": round.commit_count,
		},
		"rewards": rewards,
	}]);
	ensure!(status["programmes"] == expected, "{status:#} instead of {expected:#}");
	ensure!(
		status["account"] == worker.identity.account.as_str()
			&& status["peerId"] == worker.identity.peer_id.as_str()
			&& status["genesis"] == net.genesis()
			&& status["enlisted"] == true,
		"{status:#}"
	);
	let report = &status["daemon"]["report"];
	let process = worker.daemon().context("it runs")?.id();
	ensure!(status["daemon"]["running"] == true && report["process"] == process, "{status:#}");
	ensure!(
		report["programmes"][0]["id"] == PROGRAMME && report["programmes"][0]["name"] == "digits",
		"{status:#}"
	);
	let (peers, others) = (report["peers"].as_array().context("a report has peers")?, others(net));
	let is_known = |peer: &Value| peer.as_str().is_some_and(|peer| others.contains(peer));
	ensure!(!peers.is_empty() && peers.iter().all(is_known), "{peers:?} are not among {others:?}");
	Ok(())
}
