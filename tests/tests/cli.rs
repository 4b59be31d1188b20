//! `cairn-devnet` with stand-ins for the programs it starts: what it says when something is wrong, and that it leaves
//! no process behind, however it ends.

#![allow(clippy::unwrap_used)]

use nix::{
	sys::signal::{kill, Signal},
	unistd::Pid,
};
use std::{
	fs,
	net::{Ipv4Addr, TcpListener},
	os::unix::{fs::PermissionsExt, process::ExitStatusExt},
	path::{Path, PathBuf},
	process::{Child, Command, Output, Stdio},
	sync::{Mutex, PoisonError},
	thread::sleep,
	time::{Duration, Instant},
};

const WORKER: &str = r#"#!/bin/sh
case "$*" in
	*"keys show"*) echo '{"account":"5Fake","peerId":"12D3Fake"}' ;;
	*"programme init"*) echo '{"name":"digits"}' ;;
esac
"#;

/// A node whose commands answer, and that, when it is to run, writes its process id and does what `RUN` says.
const NODE: &str = r#"#!/bin/sh
case "$*" in
	*export-chain-spec*) echo '{"genesis":{"runtimeGenesis":{"patch":{}}}}' ;;
	*inspect-node-key*) echo 12D3Fake ;;
	*"key inspect"*) echo '{"ss58Address":"5Fake"}' ;;
	*"key insert"*) ;;
	*) echo $$ >>"$(dirname "$0")/pids"; RUN ;;
esac
"#;

/// Held while programs are written and while one is started: a fork that happens while a program is open for writing
/// would keep it open, and the system refuses to start it then.
static WRITING: Mutex<()> = Mutex::new(());

/// A folder with `cairn-devnet` and stand-ins.
struct Folder(tempfile::TempDir);

impl Folder {
	fn new(run: &str) -> Self {
		let _alone = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
		let folder = Self(tempfile::tempdir().unwrap());
		fs::copy(env!("CARGO_BIN_EXE_cairn-devnet"), folder.path("cairn-devnet")).unwrap();
		for (name, text) in [
			("cairn-node", NODE.replace("RUN", run)),
			("cairn-worker", WORKER.into()),
			("cairn", "#!/bin/sh".into()),
		] {
			fs::write(folder.path(name), text).unwrap();
			fs::set_permissions(folder.path(name), fs::Permissions::from_mode(0o755)).unwrap();
		}
		folder
	}

	fn path(&self, name: &str) -> PathBuf {
		self.0.path().join(name)
	}

	fn devnet(&self, args: &[&str]) -> Child {
		let _alone = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
		let mut command = Command::new(self.path("cairn-devnet"));
		command.args(args).args(["--data-dir", self.path("data").to_str().unwrap()]);
		command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
	}

	fn run(&self, args: &[&str]) -> (Output, String) {
		let output = self.devnet(args).wait_with_output().unwrap();
		let said = String::from_utf8_lossy(&output.stderr).into_owned();
		(output, said)
	}

	/// The process ids of the nodes that were started, as soon as there are `count`.
	fn nodes(&self, count: usize) -> Vec<i32> {
		wait_until("the nodes to be started", || {
			let text = fs::read_to_string(self.path("pids")).unwrap_or_default();
			let ids: Vec<i32> = text.lines().filter_map(|line| line.parse().ok()).collect();
			(ids.len() >= count && text.ends_with('\n')).then_some(ids)
		})
	}
}

/// Looks again until there is something. Files and process tables tell nobody when they change.
fn wait_until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
	let start = Instant::now();
	loop {
		if let Some(found) = look() {
			return found;
		}
		assert!(start.elapsed() < Duration::from_secs(60), "waited in vain for {what}");
		sleep(Duration::from_millis(20));
	}
}

/// Whether the process runs. One that is dead but was not reaped by its new parent does not.
fn runs(id: i32) -> bool {
	let stat = fs::read_to_string(Path::new("/proc").join(id.to_string()).join("stat"));
	stat.is_ok_and(|s| s.rsplit(')').next().is_some_and(|rest| !rest.trim_start().starts_with(['Z', 'X'])))
}

#[test]
fn no_process_is_left_when_the_devnet_is_killed_with_9() {
	let folder = Folder::new("exec sleep 1000");
	let mut devnet = folder.devnet(&["--rpc-port", "0"]);
	let nodes = folder.nodes(3);
	assert!(nodes.iter().all(|id| runs(*id)));
	devnet.kill().unwrap();
	assert_eq!(devnet.wait().unwrap().signal(), Some(9));
	wait_until("the kernel to end the children", || nodes.iter().all(|id| !runs(*id)).then_some(()));
}

#[test]
fn no_process_is_left_when_the_devnet_is_interrupted() {
	for (signal, code) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 143), (Signal::SIGHUP, 129)] {
		// Nodes that do not listen to anybody.
		let folder = Folder::new("trap '' INT TERM HUP; while :; do sleep 1000; done");
		let mut devnet = folder.devnet(&["--rpc-port", "0"]);
		let nodes = folder.nodes(3);
		kill(Pid::from_raw(devnet.id() as i32), signal).unwrap();
		assert_eq!(devnet.wait().unwrap().code(), Some(code), "{signal}");
		assert!(nodes.iter().all(|id| !runs(*id)), "{signal}");
	}
}

#[test]
fn dead_child_is_said_with_the_end_of_its_log_and_the_others_are_stopped() {
	let folder = Folder::new(
		r#"case "$*" in *validator-2*) echo "the database is corrupt" >&2; exit 7 ;; *) exec sleep 1000 ;; esac"#,
	);
	let (output, said) = folder.run(&["--rpc-port", "0"]);
	assert_eq!(output.status.code(), Some(1), "{said}");
	for part in ["validator-2 has ended", "7", "the database is corrupt", "logs"] {
		assert!(said.contains(part), "{part}: {said}");
	}
	assert!(folder.nodes(1).iter().all(|id| !runs(*id)));
}

#[test]
fn port_in_use_is_said_before_anything_is_started() {
	let folder = Folder::new("exec sleep 1000");
	let held = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
	let port = held.local_addr().unwrap().port().to_string();
	let (output, said) = folder.run(&["--rpc-port", &port]);
	assert_eq!(output.status.code(), Some(1));
	assert!(said.contains(&port) && said.contains("in use") && said.contains("--rpc-port"), "{said}");
	assert!(!folder.path("pids").exists() && !folder.path("data").exists());
}

#[test]
fn missing_binary_is_said_with_the_command_that_builds_it() {
	let folder = Folder::new("exec sleep 1000");
	fs::remove_file(folder.path("cairn-worker")).unwrap();
	let (output, said) = folder.run(&["--rpc-port", "0"]);
	assert_eq!(output.status.code(), Some(1));
	assert!(said.contains("cairn-worker") && said.contains("./scripts/build"), "{said}");
}

#[test]
fn second_devnet_in_the_same_folder_is_refused_and_a_later_one_starts_clean() {
	let folder = Folder::new("exec sleep 1000");
	let mut first = folder.devnet(&["--rpc-port", "0"]);
	folder.nodes(3);
	fs::write(folder.path("data").join("left-over"), "").unwrap();
	let (output, said) = folder.run(&["--rpc-port", "0"]);
	assert_eq!(output.status.code(), Some(1));
	assert!(said.contains("another devnet runs there"), "{said}");
	assert!(folder.path("data").join("left-over").exists());
	first.kill().unwrap();
	first.wait().unwrap();

	let mut second = folder.devnet(&["--rpc-port", "0"]);
	folder.nodes(6);
	assert!(!folder.path("data").join("left-over").exists());
	second.kill().unwrap();
	second.wait().unwrap();
}
