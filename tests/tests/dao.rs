//! The DAO on a live devnet, through the libraries that its members' wallets are made of: `@polkadot/api` and papi from
//! npm, with no types of our own. The steps are in `js/`; here is the network that they run on.

#![allow(clippy::unwrap_used)]

use anyhow::{ensure, Context, Result};
use cairn_devnet::{
	devnet::{Devnet, Keep},
	process::{tail, Process},
	ui::Ui,
};
use cairn_primitives::Schedule;
use std::{path::Path, process::Command, time::Duration};

/// Alice to Eve of the development keyring.
const MEMBERS: [&str; 5] = [
	"5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY",
	"5FHneW46xGXgs5mUiveU4sbTyGBzmstUspZC92UhjJM694ty",
	"5FLSigC9HGRKVhB9FiEo4Y3koPsNmBmLJbpXg2mp1hXcS59Y",
	"5DAAnrj7VHTznn2AWBemMuyBwZWs6FNFjdyVXUeYum3PTXFy",
	"5HGjWAeFDfFCWPsjFQdVV2Msvz2XtMktvgocEZcCj68kUMaw",
];

/// Runs one of the scripts in `js/` beside the network; what it prints goes to a log of its own among the network's.
/// One that does not end within `limit` has failed: a script that waits for ever must not hold up all other tests.
async fn script(net: &Devnet, name: &str, args: &[&str], limit: Duration) -> Result<()> {
	let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("js");
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
	print!("{}", std::fs::read_to_string(&log)?);
	let status = ended.with_context(|| format!("{name} did not end within {} s", limit.as_secs()))??;
	ensure!(status.success(), "{name} has failed ({status}); its output is above");
	Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dao_governs_a_live_chain_through_what_wallets_use() {
	let net = Devnet::builder()
		.validators(3usize)
		.candidates(1usize)
		.workers(3usize)
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
	let outcome = govern(&net).await;
	if outcome.is_err() {
		// Where the test runs for others, nobody can look into the folder afterwards.
		for log in std::fs::read_dir(net.logs()).unwrap() {
			let log = log.unwrap().path();
			println!("{}:\n{}", log.display(), tail(&log, 40));
		}
	}
	net.shutdown(if outcome.is_ok() { Keep::No } else { Keep::Yes }).await;
	outcome.unwrap();
}

async fn govern(net: &Devnet) -> Result<()> {
	let url = net.urls()[0].clone();
	let candidate = net.urls()[3].clone();
	script(net, "metadata.mjs", &[&url], Duration::from_secs(180)).await?;
	script(net, "papi.mjs", &[&url], Duration::from_secs(180)).await?;
	let next = net.path().join("next-runtime.wasm");
	let code = cairn_runtime::rehearsal::WASM_BINARY.context("the build made no WASM")?;
	std::fs::write(&next, code)?;
	let next = next.display().to_string();
	script(net, "governance.mjs", &[&url, &candidate, &next], Duration::from_secs(1200)).await
}
