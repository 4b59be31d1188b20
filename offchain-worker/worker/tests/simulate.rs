//! `cairn-worker simulate` as a person meets it.
#![allow(clippy::unwrap_used)]

use nix::{
	sys::signal::{kill, Signal},
	unistd::Pid,
};
use serde_json::Value;
use std::{
	fs,
	io::{BufRead, BufReader, Read},
	path::PathBuf,
	process::{Command, Stdio},
};

const MODEL: &str = "input = [8, 8]\nclasses = 10\nbatch_size = 32\nlocal_steps = 10\ngenesis_seed = 1\n\
	[model]\nfamily = \"mlp\"\nhidden = [16]\nactivation = \"relu\"\n\
	[optimiser]\nkind = \"sgd\"\nlearning_rate = 0.2\nmomentum = 0.9\n";

struct Place(tempfile::TempDir);

impl Place {
	/// A folder with a model and a simulation of few rounds, with these lines before its tables.
	fn new(lines: &str) -> Self {
		let place = Self(tempfile::tempdir().unwrap());
		fs::write(place.path("model.toml"), MODEL).unwrap();
		let text = format!(
			"model = \"model.toml\"\n{lines}\n[workers]\ncount = 5\nhostile = 1\n[[method]]\nrule = \"weighted-mean\"\n\
			 [[method]]\nrule = \"median\"\n[[attack]]\nkind = \"sign-flip\"\nscale = 20\n"
		);
		fs::write(place.path("simulation.toml"), text).unwrap();
		place
	}

	fn path(&self, name: &str) -> PathBuf {
		self.0.path().join(name)
	}

	fn command(&self, args: &[&str]) -> Command {
		let mut command = Command::new(env!("CARGO_BIN_EXE_cairn-worker"));
		for (name, _) in std::env::vars_os() {
			if name.to_string_lossy().starts_with("CAIRN_") {
				command.env_remove(name);
			}
		}
		command.arg("--base-path").arg(self.path("base")).arg("simulate").arg(self.path("simulation.toml"));
		command.args(args).current_dir(self.0.path());
		command
	}

	fn run(&self, args: &[&str]) -> (i32, String, String) {
		let output = self.command(args).output().unwrap();
		let text = |bytes| String::from_utf8(bytes).unwrap();
		(output.status.code().unwrap(), text(output.stdout), text(output.stderr))
	}

	fn results(&self) -> Value {
		serde_json::from_slice(&fs::read(self.path("out/results.json")).unwrap()).unwrap()
	}
}

#[test]
fn simulation_writes_table_figures_and_plots_and_no_second_time_over_them() {
	let place = Place::new("rounds = 5");
	let (code, stdout, stderr) = place.run(&["--check"]);
	assert_eq!(code, 0, "{stderr}");
	assert!(stdout.contains("2 runs") && stdout.contains("MiB") && !place.path("out").exists(), "{stdout}");

	let (code, stdout, stderr) = place.run(&["--out", "out"]);
	assert_eq!(code, 0, "{stderr}");
	assert!(stdout.contains("| median") && stdout.contains("2 runs in"), "{stdout}");
	assert!(stderr.contains("run 2 of 2"), "{stderr}");
	for name in ["simulation.toml", "model.toml", "rounds.csv", "summary.csv", "accuracy.svg"] {
		assert!(fs::metadata(place.path("out").join(name)).unwrap().len() > 0, "{name}");
	}
	let summary = fs::read_to_string(place.path("out/summary.md")).unwrap();
	assert!(summary.contains("median: `--rule median`"), "{summary}");
	let first = place.results();
	let last = |run: usize| first["runs"][run]["rounds"][5]["accuracy"].as_f64().unwrap();
	assert!(last(0) < 0.3 && last(1) > 0.6, "{} {}", last(0), last(1));

	let (code, _, stderr) = place.run(&["--out", "out"]);
	assert!(code == 2 && stderr.contains("not empty") && stderr.contains("--overwrite"), "{stderr}");
	let (code, _, stderr) = place.run(&["--out", "out", "--overwrite", "--jobs", "1"]);
	assert_eq!(code, 0, "{stderr}");
	assert_eq!(place.results(), first);
}

#[test]
fn simulation_with_a_wrong_key_ends_with_code_2_before_anything_is_written() {
	let place = Place::new("rounds = 5\nround = 5");
	let (code, _, stderr) = place.run(&["--out", "out"]);
	assert_eq!(code, 2);
	assert!(stderr.contains("simulation.toml") && stderr.contains("`round` is not a key"), "{stderr}");
	assert!(!place.path("out").exists());
	let (code, _, stderr) = place.run(&[]);
	assert!(code == 2 && stderr.contains("--out"), "{stderr}");
}

#[test]
fn interrupted_simulation_keeps_what_is_done() {
	let seeds: Vec<String> = (0..2000).map(|seed| seed.to_string()).collect();
	let place = Place::new(&format!("rounds = 20\nseeds = [{}]", seeds.join(", ")));
	let mut child = place
		.command(&["--out", "out", "--jobs", "1"])
		.stdout(Stdio::null())
		.stderr(Stdio::piped())
		.spawn()
		.unwrap();
	let mut lines = BufReader::new(child.stderr.take().unwrap());
	let mut line = String::new();
	while !line.contains("run 2 of 4000") {
		line.clear();
		assert_ne!(lines.read_line(&mut line).unwrap(), 0, "it ended before it was stopped");
	}
	kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).unwrap();
	let mut rest = String::new();
	lines.read_to_string(&mut rest).unwrap();
	assert_eq!(child.wait().unwrap().code(), Some(1), "{rest}");
	assert!(rest.contains("of 4000 runs are complete") && rest.contains("out"), "{rest}");
	let results = place.results();
	let runs = results["runs"].as_array().unwrap();
	assert!((2..4000).contains(&runs.len()));
	// A run whose model the attack broke is complete, too. The one that was under way has the rounds it came to.
	let complete = runs.iter().filter(|run| run["end"] != "interrupted").count();
	assert!(complete >= 2 && complete + 1 >= runs.len());
	assert!(runs.iter().all(|run| !run["rounds"].as_array().unwrap().is_empty()));
	// The summary is one of complete runs, and says how many were not.
	let summary = fs::read_to_string(place.path("out/summary.csv")).unwrap();
	let count = |column: usize| -> usize {
		summary
			.lines()
			.skip(1)
			.map(|line| line.split(',').nth(column).unwrap().parse::<usize>().unwrap())
			.sum()
	};
	assert_eq!((count(2), count(7)), (complete, runs.len() - complete), "{summary}");
}
