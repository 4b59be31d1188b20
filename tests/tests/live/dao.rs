//! The DAO on a live devnet, through the libraries that its members' wallets are made of: `@polkadot/api` and papi from
//! npm, with no types of our own. The steps are in `js/`; here is the network that they run on.

use crate::proofs;
use anyhow::{ensure, Context, Result};
use cairn_devnet::{
	devnet::{Devnet, Keep},
	process::Process,
	ui::Ui,
	worker::Worker,
};
use cairn_primitives::Schedule;
use serde_json::Value;
use std::{path::Path, process::Command, time::Duration};

/// Alice to Eve of the development keyring.
const MEMBERS: [&str; 5] = [
	"5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY",
	"5FHneW46xGXgs5mUiveU4sbTyGBzmstUspZC92UhjJM694ty",
	"5FLSigC9HGRKVhB9FiEo4Y3koPsNmBmLJbpXg2mp1hXcS59Y",
	"5DAAnrj7VHTznn2AWBemMuyBwZWs6FNFjdyVXUeYum3PTXFy",
	"5HGjWAeFDfFCWPsjFQdVV2Msvz2XtMktvgocEZcCj68kUMaw",
];

const TRAINERS: usize = 3;
const ATTESTERS: usize = 2;

/// Starts a small device, a class of its own for which the charter will ask for evidence. Its number.
async fn start_edge_device(net: &mut Devnet) -> Result<u64> {
	let edge = net.worker_mut(TRAINERS);
	edge.trainer = true;
	let args =
		["register", "--site-name", "edge", "--region", "local", "--energy", "grid", "--class", "edge"];
	let said = edge.cli(&args).await?.ok()?.stdout;
	edge.start()?;
	// The steps come first, then what came of them.
	let result: Value = serde_json::from_str(said.lines().last().unwrap_or_default())?;
	result["device"].as_u64().with_context(|| format!("a registered worker has a device: {said}"))
}

/// Starts those who will be asked to judge it, whom nobody has named yet.
fn start_attesters(net: &Devnet) -> Result<Vec<Process>> {
	let attesters = &net.workers()[TRAINERS + 1..];
	let start = |worker: &Worker| {
		let mut command = worker.command();
		command.args(["attest", "--judge", "--threads", "1"]);
		Process::start(&worker.name, command, &worker.log, Some(&worker.events))
	};
	attesters.iter().map(start).collect()
}

/// Runs one of the scripts in `js/` beside the network; what it prints goes to a log of its own among the network's.
/// One that does not end within `limit` has failed: a script that waits for ever must not hold up all other tests.
async fn script(net: &Devnet, name: &str, args: &[&str], limit: Duration) -> Result<()> {
	let folder = Path::new("js").canonicalize()?;
	ensure!(
		folder.join("node_modules").is_dir(),
		"{} has no node_modules: run scripts/setup --tests, which fetches @polkadot/api and papi",
		folder.display()
	);
	let mut command = Command::new("node");
	command.current_dir(&folder).arg(name).args(args);
	let log = net.logs().join(format!("{name}.log"));
	let running = Process::start(name, command, &log, None)
		.context("node cannot be run; scripts/setup --tests installs it")?;
	let ended = tokio::time::timeout(limit, net.guard(async { Ok(running.ended().await) })).await;
	let said = std::fs::read_to_string(&log)?;
	print!("{said}");
	let status =
		ended.with_context(|| format!("{name} did not end within {} s:\n{said}", limit.as_secs()))??;
	ensure!(status.success(), "{name} has failed ({status}):\n{said}");
	Ok(())
}

/// No worker was given an answer that it does not know the form of, before the upgrade or after.
fn nothing_was_unreadable(net: &Devnet) -> Result<()> {
	for worker in net.workers() {
		for file in [&worker.log, &worker.events] {
			let text = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
			let text = String::from_utf8_lossy(&text);
			// As errors of the worker's chain client say it.
			let line = text.lines().find(|line| line.contains("cannot be read ("));
			ensure!(line.is_none(), "{}: {}", file.display(), line.unwrap_or_default());
		}
	}
	Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dao_governs_a_live_chain_through_what_wallets_use() {
	let mut net = Devnet::builder()
		.validators(3usize)
		.candidates(1usize)
		.workers(TRAINERS)
		.spares(1 + ATTESTERS)
		.members(MEMBERS.map(String::from).to_vec())
		.fast(true)
		// More than can be run here: the first programme stays open.
		.rounds(500u32)
		.schedule(Schedule { commit: 20, availability: 8, aggregate: 8, reveal: 8, challenge: 0 })
		.every_programme(true)
		.ui(Ui::quiet())
		.start()
		.await
		.unwrap();
	let outcome = govern(&mut net).await;
	if outcome.is_err() {
		println!("{}", net.log_tails(40));
	}
	net.shutdown(if outcome.is_ok() { Keep::No } else { Keep::Yes }).await;
	outcome.unwrap();
}

async fn govern(net: &mut Devnet) -> Result<()> {
	let edge = start_edge_device(net).await?.to_string();
	let net = &*net;
	let _attesters = start_attesters(net)?;
	let url = net.urls()[0].clone();
	let candidate = net.urls()[3].clone();
	script(net, "metadata.mjs", &[&url], Duration::from_secs(180)).await?;
	script(net, "papi.mjs", &[&url], Duration::from_secs(180)).await?;
	let next = net.path().join("next-runtime.wasm");
	let code = cairn_runtime::rehearsal::WASM_BINARY.context("the build made no WASM")?;
	std::fs::write(&next, code)?;
	let next = next.display().to_string();
	let mut args = vec![url.as_str(), &candidate, &next, &edge];
	args.extend(net.workers()[TRAINERS + 1..].iter().map(|w| w.identity.account.as_str()));
	script(net, "governance.mjs", &args, Duration::from_secs(1200)).await?;
	nothing_was_unreadable(net)?;
	// Seconds. What takes longer waits for finality that does not come.
	let proofs =
		tokio::time::timeout(Duration::from_secs(300), proofs::hold_from_genesis_over_all_changes(net));
	proofs.await.context("the records could not be proved within 300 s")?
}
