//! The binary as a person meets it: exit codes, messages, and that it stops when told to. No chain is needed.
#![allow(clippy::unwrap_used)]

use nix::{
	sys::signal::{kill, Signal},
	unistd::Pid,
};
use serde_json::Value;
use std::{
	io::{BufRead, BufReader, Read, Write},
	net::{TcpListener, TcpStream},
	path::PathBuf,
	process::{Child, Command, Output, Stdio},
};

struct Base(tempfile::TempDir);

impl Base {
	fn new() -> Self {
		Self(tempfile::tempdir().unwrap())
	}

	fn path(&self) -> PathBuf {
		self.0.path().join("worker")
	}

	fn command(&self, args: &[&str]) -> Command {
		let mut command = Command::new(env!("CARGO_BIN_EXE_cairn-worker"));
		for (name, _) in std::env::vars_os() {
			if name.to_string_lossy().starts_with("CAIRN_") {
				command.env_remove(name);
			}
		}
		command.arg("--base-path").arg(self.path()).args(args);
		command
	}

	fn run(&self, args: &[&str]) -> (i32, String, String) {
		let Output { status, stdout, stderr } = self.command(args).output().unwrap();
		let text = |bytes| String::from_utf8(bytes).unwrap();
		(status.code().unwrap(), text(stdout), text(stderr))
	}

	fn ok(&self, args: &[&str]) -> String {
		let (code, stdout, stderr) = self.run(args);
		assert_eq!(code, 0, "{args:?}: {stderr}");
		stdout
	}

	fn json(&self, args: &[&str]) -> Value {
		serde_json::from_str(&self.ok(&[&["--json"], args].concat())).unwrap()
	}
}

fn model() -> String {
	std::path::absolute("../training/models/digits-mlp.toml").unwrap().display().to_string()
}

/// A port on which nobody answers: it is bound, but never accepted from.
fn silent_node() -> (TcpListener, String) {
	let listener = TcpListener::bind("127.0.0.1:0").unwrap();
	let url = format!("ws://{}", listener.local_addr().unwrap());
	(listener, url)
}

/// Starts a daemon, and returns once it has said something: then it holds the lock and listens for signals.
fn daemon(base: &Base, node: &str) -> Child {
	let args = ["--log", "debug", "--node", node, "run", "--role", "aggregator"];
	let mut child = base.command(&args).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
	let stderr = child.stderr.as_mut().unwrap();
	let mut line = String::new();
	BufReader::new(stderr).read_line(&mut line).unwrap();
	assert!(line.contains("connecting"), "{line}");
	child
}

#[test]
fn wrong_usage_ends_with_code_2_and_says_what_is_right() {
	let base = Base::new();
	for (args, part) in [
		(vec!["nonsense"], "Usage"),
		(vec!["--node", "http://a:1", "status"], "ws://"),
		(vec!["--node", "nonsense", "status"], "ws://127.0.0.1:9944"),
		(vec!["--genesis", "0x12", "status"], "64 hexadecimal digits"),
		(vec!["--log", "a=b=c", "status"], "cairn_worker=debug"),
		(vec!["evaluate", "--weights", "0x12"], "64 hexadecimal digits"),
		(vec!["register", "--site", "1", "--site-name", "x"], "cannot be used with"),
		(vec!["register", "--aggregator", "--bond", "lots"], "not an amount"),
		(vec!["register", "--image", "0x12"], "64 hexadecimal digits"),
		(vec!["attest", "--judge", "--measure-only"], "cannot be used with"),
		(vec!["attest", "--seconds", "0"], "1..=600"),
	] {
		let (code, _, stderr) = base.run(&args);
		assert_eq!(code, 2, "{args:?}: {stderr}");
		assert!(stderr.contains(part), "{args:?}: {stderr}");
	}
}

#[test]
fn settings_file_that_is_not_understood_ends_with_code_2_and_names_the_line() {
	let base = Base::new();
	std::fs::create_dir_all(base.path()).unwrap();
	std::fs::write(base.path().join("worker.toml"), "log = \"info\"\nnodes = 3\n").unwrap();
	let (code, _, stderr) = base.run(&["keys", "show"]);
	assert_eq!(code, 2);
	assert!(
		stderr.contains("worker.toml") && stderr.contains("line 2") && stderr.contains("nodes"),
		"{stderr}"
	);
}

#[test]
fn speed_is_measured_without_keys_or_a_chain() {
	let shown = Base::new().ok(&["--json", "attest", "--measure-only", "--seconds", "1"]);
	let result: Value = serde_json::from_str(shown.lines().last().unwrap()).unwrap();
	for measure in ["flops", "bandwidth"] {
		assert!(result["speed"][measure].as_u64().unwrap() > 0, "{result}");
	}
	assert!(result["measurement"]["productMs"].as_u64().unwrap() >= 1_000, "{result}");
}

#[test]
fn keys_are_made_once_shown_without_secrets_and_kept() {
	let base = Base::new();
	let (code, _, stderr) = base.run(&["keys", "show"]);
	assert_eq!(code, 1);
	assert!(stderr.contains("keys generate"), "{stderr}");
	let made = base.ok(&["keys", "generate", "--suri", "//Alice"]);
	assert!(!made.contains("//Alice"), "{made}");
	let shown = base.json(&["keys", "show"]);
	assert_eq!(shown["account"], "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY");
	assert!(made.contains(shown["peerId"].as_str().unwrap()));
	let (code, _, stderr) = base.run(&["keys", "generate"]);
	assert_eq!(code, 1);
	assert!(stderr.contains("--force"), "{stderr}");
	assert_eq!(base.json(&["keys", "show"]), shown);
}

#[test]
fn programme_is_prepared_the_same_every_time_and_its_weights_can_be_evaluated() {
	let base = Base::new();
	let out = base.path().join("out");
	let args = [
		"programme",
		"init",
		"--config",
		&model(),
		"--out",
		out.to_str().unwrap(),
		"--rule",
		"trimmed-mean:1",
	];
	let entry = base.json(&args);
	assert_eq!(entry["aggregation"]["rule"]["trimmedMean"]["trim"], 1);
	assert_eq!(entry["pot"], 20_000_000_000_000_000u64);
	assert_eq!(base.json(&args), entry);
	let weights = entry["genesisWeights"].as_str().unwrap();
	let file = out.join(weights).display().to_string();
	let from_store = base.json(&["evaluate", "--weights", weights]);
	assert_eq!(from_store["samples"], 359);
	assert_eq!(base.json(&["evaluate", "--weights", &file]), from_store);
}

#[test]
fn damaged_file_is_not_imported_under_another_name() {
	let base = Base::new();
	let out = base.path().join("out");
	let args = ["programme", "init", "--config", &model(), "--out", out.to_str().unwrap()];
	let entry = base.json(&args);
	let file = out.join(entry["genesisWeights"].as_str().unwrap());
	let mut bytes = std::fs::read(&file).unwrap();
	*bytes.last_mut().unwrap() ^= 1;
	std::fs::write(&file, bytes).unwrap();
	let other = Base::new();
	let (code, _, stderr) = other.run(&["artifacts", "import", file.to_str().unwrap()]);
	assert_eq!(code, 1);
	assert!(stderr.contains("damaged") && stderr.contains("Copy it again"), "{stderr}");
	assert_eq!(other.ok(&["artifacts", "list"]), "");
}

#[test]
fn artifact_damaged_in_the_store_is_found_and_said() {
	let base = Base::new();
	let out = base.path().join("out");
	let entry = base.json(&["programme", "init", "--config", &model(), "--out", out.to_str().unwrap()]);
	let weights = entry["genesisWeights"].as_str().unwrap();
	let hash = cairn_worker::units::parse_hash(weights).unwrap();
	let path = cairn_artifacts::Store::open(base.path().join("store")).unwrap().path(&hash);
	let mut bytes = std::fs::read(&path).unwrap();
	bytes[100] ^= 1;
	std::fs::remove_file(&path).unwrap();
	std::fs::write(&path, bytes).unwrap();
	let (code, stdout, _) = base.run(&["artifacts", "verify"]);
	assert_eq!(code, 1);
	assert!(stdout.contains("1 artifacts are intact, 1 damaged"), "{stdout}");
}

#[test]
fn daemon_without_a_node_keeps_waiting_refuses_a_second_one_and_stops_on_signals() {
	for signal in [Signal::SIGTERM, Signal::SIGINT] {
		let base = Base::new();
		base.ok(&["keys", "generate"]);
		let (_listener, node) = silent_node();
		let mut child = daemon(&base, &node);
		let (code, _, stderr) = base.run(&["--node", &node, "run", "--role", "aggregator"]);
		assert_eq!(code, 1, "{stderr}");
		assert!(stderr.contains(&child.id().to_string()) && stderr.contains("--base-path"), "{stderr}");
		kill(Pid::from_raw(child.id() as i32), signal).unwrap();
		assert_eq!(child.wait().unwrap().code(), Some(0), "{signal}");
	}
}

#[test]
fn metrics_are_served_while_no_node_answers_and_a_port_in_use_is_named() {
	let base = Base::new();
	base.ok(&["keys", "generate"]);
	let (_listener, node) = silent_node();
	let args = ["--json", "--node", &node, "run", "--role", "aggregator", "--prometheus-port", "0"];
	let mut child = base.command(&args).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
	let mut line = String::new();
	BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
	let serving: Value = serde_json::from_str(&line).unwrap();
	assert_eq!(serving["event"], "metrics.serving");
	let address = serving["address"].as_str().unwrap();
	let mut stream = TcpStream::connect(address).unwrap();
	stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
	let mut answer = String::new();
	stream.read_to_string(&mut answer).unwrap();
	assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
	for name in ["cairn_worker_build_info{version=", "cairn_worker_lag_blocks 0", "cairn_worker_notices 0"] {
		assert!(answer.contains(name), "no {name} in\n{answer}");
	}

	let other = Base::new();
	other.ok(&["keys", "generate"]);
	let port = address.rsplit(':').next().unwrap();
	let (code, _, stderr) =
		other.run(&["--node", &node, "run", "--role", "aggregator", "--prometheus-port", port]);
	assert_eq!(code, 1);
	assert!(stderr.contains(port) && stderr.contains("--prometheus-port"), "{stderr}");
	kill(Pid::from_raw(child.id() as i32), Signal::SIGTERM).unwrap();
	assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn status_without_a_node_and_without_a_daemon_says_so_and_shows_what_is_known() {
	let base = Base::new();
	base.ok(&["keys", "generate", "--suri", "//Alice"]);
	// Nobody listens there any more.
	let node = {
		let (listener, node) = silent_node();
		drop(listener);
		node
	};
	let shown = base.ok(&["--node", &node, "status"]);
	for part in ["5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY", "does not run", "no node answers", &node]
	{
		assert!(shown.contains(part), "no {part} in\n{shown}");
	}
	let value = base.json(&["--node", &node, "status"]);
	assert_eq!((&value["node"], &value["daemon"]["running"]), (&Value::Null, &Value::Bool(false)));
	assert!(value["nodeError"].as_str().unwrap().contains(&node), "{value}");
}

#[test]
fn word_that_a_killed_daemon_left_is_not_taken_for_the_running_ones() {
	let base = Base::new();
	base.ok(&["keys", "generate"]);
	let report = base.path().join("status.json");
	std::fs::write(&report, "{\"process\":77,\"finalised\":5}").unwrap();
	let (_listener, node) = silent_node();
	let shown = base.ok(&["--node", &node, "status"]);
	assert!(shown.contains("process 77 ended without a word"), "{shown}");
	let mut child = daemon(&base, &node);
	let shown = base.ok(&["--node", &node, "status"]);
	assert!(shown.contains("runs, and has not reached a node yet"), "{shown}");
	kill(Pid::from_raw(child.id() as i32), Signal::SIGTERM).unwrap();
	assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn data_that_cannot_be_read_are_said_before_anything_else() {
	let base = Base::new();
	base.ok(&["keys", "generate"]);
	let (code, _, stderr) = base.run(&["run", "--role", "trainer", "--data", "csv:/no/such/file.csv"]);
	assert_eq!(code, 1);
	assert!(stderr.contains("/no/such/file.csv"), "{stderr}");
	let (code, _, stderr) = base.run(&["run", "--role", "trainer", "--data", "nonsense"]);
	assert_eq!(code, 2);
	assert!(stderr.contains("digits"), "{stderr}");
}
