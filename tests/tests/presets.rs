//! The programme of the built-in chains is the one that `cairn-worker` ships.

#![allow(clippy::unwrap_used)]

use cairn_devnet::binaries::Binaries;
use serde_json::Value;
use std::{path::Path, process::Command};

fn json(program: &Path, args: &[&str]) -> Value {
	let output = Command::new(program).args(args).output().unwrap();
	assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
	serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn built_in_chains_run_the_programme_that_the_worker_ships() {
	let binaries = Binaries::beside_this_one().unwrap();
	let out = tempfile::tempdir().unwrap();
	let model = "../offchain-worker/training/models/digits-mlp.toml";
	let shipped = json(
		&binaries.worker,
		&["programme", "init", "--config", model, "--name", "digits", "--json", "--out"]
			.into_iter()
			.chain([out.path().to_str().unwrap()])
			.collect::<Vec<_>>(),
	);
	let spec = json(&binaries.node, &["export-chain-spec", "--chain", "local"]);
	let built_in = &spec["genesis"]["runtimeGenesis"]["patch"]["training"]["programmes"][0];
	assert_eq!(built_in, &shipped);
	let dev = json(&binaries.node, &["export-chain-spec", "--chain", "dev"]);
	let dev = &dev["genesis"]["runtimeGenesis"]["patch"]["training"]["programmes"][0];
	for field in ["config", "genesisWeights"] {
		assert_eq!(dev[field], shipped[field], "{field}");
	}
}
