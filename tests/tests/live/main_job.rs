//! The main job as a person runs it: the `cairn-devnet` binary, from nothing to the last line.

use std::process::{Command, Stdio};

#[test]
fn devnet_trains_shows_and_confirms_every_round_and_leaves_nothing_behind() {
	let data = tempfile::tempdir().unwrap();
	let output = Command::new(env!("CARGO_BIN_EXE_cairn-devnet"))
		.args(["--rounds", "2", "--validators", "1", "--workers", "3", "--rpc-port", "0"])
		// With an order from the chain, and with what one round leaves to the next beside the weights.
		.args(["--rule", "centered-clipping:10:3", "--bucketing", "2"])
		.args(["--server-optimiser", "nesterov:1:0.5"])
		.args(["--model", "cnn", "--min-accuracy", "0.5"])
		.arg("--data-dir")
		.arg(data.path())
		.stdin(Stdio::null())
		.output()
		.unwrap();
	let (said, wrong) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
	assert_eq!(output.status.code(), Some(0), "{said}\n{wrong}");
	for part in [
		"held-out loss",
		"genesis of the programme",
		"round 0: recomputed, equal to the chain's",
		"round 1: recomputed, equal to the chain's",
		"All of it held.",
	] {
		assert!(said.contains(part), "{part}: {said}\n{wrong}");
	}
	// Whatever still ran would hold a log open.
	let logs = data.path().join("logs").display().to_string();
	let open = std::fs::read_dir("/proc").unwrap().flatten().filter(|process| {
		let descriptors = std::fs::read_dir(process.path().join("fd")).into_iter().flatten().flatten();
		descriptors.filter_map(|d| std::fs::read_link(d.path()).ok()).any(|to| to.starts_with(&logs))
	});
	assert_eq!(open.count(), 0);
}
