//! The short form of `scripts/chaos`, as it is run from the command line: the plan of one seed, and every check.

use std::{
	fs,
	process::{Command, Stdio},
};

#[test]
fn model_learns_and_honest_workers_are_paid_on_a_bad_day() {
	let data = tempfile::tempdir().unwrap();
	let output = Command::new(env!("CARGO_BIN_EXE_cairn-devnet"))
		.args(["chaos", "--seed", "1", "--rounds", "3", "--data-dir"])
		.arg(data.path())
		.stdin(Stdio::null())
		.output()
		.unwrap();
	let (said, wrong) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
	if output.status.code() != Some(0) {
		for log in fs::read_dir(data.path().join("logs")).into_iter().flatten().flatten() {
			let path = log.path();
			println!("{}:\n{}", path.display(), cairn_devnet::process::tail(&path, 20));
		}
	}
	assert_eq!(output.status.code(), Some(0), "{said}\n{wrong}");
	for part in [
		"the network splits for 2 rounds",
		"ok      the model has learned",
		"ok      honest workers are paid",
		"ok      the liar is recorded with evidence",
		"ok      no round blocked",
		"ok      the network was split, and healed",
		"All of it held.",
	] {
		assert!(said.contains(part), "{part}: {said}\n{wrong}");
	}
}

#[test]
fn plan_is_shown_without_starting_anything() {
	let show = |seed: &str| {
		let output = Command::new(env!("CARGO_BIN_EXE_cairn-devnet"))
			.args(["chaos", "--plan", "--seed", seed, "--rounds", "12"])
			.output()
			.unwrap();
		assert_eq!(output.status.code(), Some(0));
		String::from_utf8(output.stdout).unwrap()
	};
	let plan = show("3");
	assert!(plan.contains("the network splits for 2 rounds") && plan.contains("is killed"), "{plan}");
	assert_eq!(plan, show("3"));
	assert_ne!(plan, show("4"));
}
