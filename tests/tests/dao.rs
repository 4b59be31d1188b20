//! The DAO on a live devnet, through the libraries that its members' wallets are made of: `@polkadot/api` and papi from
//! npm, with no types of our own. The steps are in `js/`; here is the network that they run on.

#![allow(clippy::unwrap_used)]

use anyhow::{ensure, Context, Result};
use cairn_devnet::{
	devnet::{Devnet, Keep},
	process::run,
	ui::Ui,
};
use cairn_primitives::Schedule;
use std::{path::Path, process::Command};

/// Alice to Eve of the development keyring.
const MEMBERS: [&str; 5] = [
	"5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY",
	"5FHneW46xGXgs5mUiveU4sbTyGBzmstUspZC92UhjJM694ty",
	"5FLSigC9HGRKVhB9FiEo4Y3koPsNmBmLJbpXg2mp1hXcS59Y",
	"5DAAnrj7VHTznn2AWBemMuyBwZWs6FNFjdyVXUeYum3PTXFy",
	"5HGjWAeFDfFCWPsjFQdVV2Msvz2XtMktvgocEZcCj68kUMaw",
];

/// Runs one of the scripts in `js/` and shows what it printed when it fails.
async fn script(name: &str, args: &[&str]) -> Result<String> {
	let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("js");
	ensure!(
		folder.join("node_modules").is_dir(),
		"{} has no node_modules: run scripts/setup, which fetches @polkadot/api and papi",
		folder.display()
	);
	let mut command = Command::new("node");
	command.current_dir(&folder).arg(name).args(args);
	let finished = run(command).await.context("node cannot be run; scripts/setup installs it")?;
	Ok(finished.ok()?.stdout)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dao_governs_a_live_chain_through_what_wallets_use() {
	let mut net = Devnet::builder()
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
	let outcome = govern(&mut net).await;
	if let Err(error) = &outcome {
		println!("logs: {}", net.logs().display());
		println!("{error:#}");
	}
	net.shutdown(if outcome.is_ok() { Keep::No } else { Keep::Yes }).await;
	outcome.unwrap();
}

async fn govern(net: &mut Devnet) -> Result<()> {
	let url = net.urls()[0].clone();
	let candidate = net.urls()[3].clone();
	net.guard(script("metadata.mjs", &[&url])).await?;
	net.guard(script("papi.mjs", &[&url])).await?;
	let next = net.path().join("next-runtime.wasm");
	let code = cairn_runtime::rehearsal::WASM_BINARY.context("the build made no WASM")?;
	std::fs::write(&next, code)?;
	let next = next.display().to_string();
	println!("{}", net.guard(script("governance.mjs", &[&url, &candidate, &next])).await?);
	Ok(())
}
