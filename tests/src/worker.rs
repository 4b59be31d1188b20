//! One worker of a devnet: its base path, its command line, its daemon.

use crate::lan::Machine;
use crate::process::{run, Finished, Process};
use anyhow::{bail, Context, Result};
use serde_json::Value;
use std::{
	fmt, fs,
	path::{Path, PathBuf},
	process::Command,
	str::FromStr,
	time::Duration,
};

/// What identifies a worker, as `cairn-worker keys show` prints it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
	/// The account, SS58.
	pub account: String,
	/// The libp2p peer id.
	pub peer_id: String,
}

/// A worker. Its daemon may run or not.
pub struct Worker {
	/// What it is called in messages.
	pub name: String,
	/// Where its keys, store and journal are.
	pub base: PathBuf,
	/// The secret URI of its account. These accounts are worth nothing, so it may be known.
	pub suri: String,
	/// Its account and peer id.
	pub identity: Identity,
	/// Whether it trains.
	pub trainer: bool,
	/// Whether it aggregates.
	pub aggregator: bool,
	/// What it bonds as an aggregator, in CRN; the least that the chain takes when `None`.
	pub bond: Option<u64>,
	/// Its log: standard error of the daemon.
	pub log: PathBuf,
	/// The daemon's events, one JSON object per line.
	pub events: PathBuf,
	/// The arguments of `cairn-worker run`, without the roles.
	pub run_args: Vec<String>,
	/// What it does to the others; nothing when `None`.
	pub attack: Option<Attack>,
	/// Where it runs; on this machine itself when `None`.
	pub machine: Option<Machine>,
	pub(crate) binary: PathBuf,
	pub(crate) nodes: Vec<String>,
	pub(crate) daemon: Option<Process>,
}

/// What a hostile worker does to the others. `cairn-hostile-worker` reads it from its environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attack {
	/// It commits its update with the other sign, this many times as long.
	SignFlip(u8),
	/// It commits an update of which one element is NaN.
	NotANumber,
	/// On a committee it commits to weights that nobody computed, and reveals them.
	FalseAggregate,
	/// It serves other bytes than it was asked for.
	WrongBytes,
}

/// The variable that an [`Attack`] is read from.
pub const ATTACK: &str = "HOSTILE_WORKER_ATTACK";

impl fmt::Display for Attack {
	fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
		match self {
			Self::SignFlip(times) => write!(f, "sign-flip:{times}"),
			Self::NotANumber => f.write_str("nan"),
			Self::FalseAggregate => f.write_str("false-aggregate"),
			Self::WrongBytes => f.write_str("wrong-bytes"),
		}
	}
}

impl FromStr for Attack {
	type Err = String;
	fn from_str(text: &str) -> Result<Self, String> {
		match text.split_once(':') {
			None if text == "nan" => Ok(Self::NotANumber),
			None if text == "false-aggregate" => Ok(Self::FalseAggregate),
			None if text == "wrong-bytes" => Ok(Self::WrongBytes),
			Some(("sign-flip", times)) => {
				times.parse().map(Self::SignFlip).map_err(|e| format!("sign-flip:{times}: {e}"))
			},
			_ => Err(format!("`{text}` is no attack: sign-flip:TIMES, nan, false-aggregate or wrong-bytes")),
		}
	}
}

impl Worker {
	/// `cairn-worker` with this worker's global options, to be given a subcommand.
	pub fn command(&self) -> Command {
		let mut command = Command::new(&self.binary);
		command.arg("--base-path").arg(&self.base).arg("--json");
		for node in &self.nodes {
			command.args(["--node", node]);
		}
		clean_environment(&mut command);
		if let Some(machine) = &self.machine {
			machine.namespace().enter(&mut command);
		}
		command
	}

	/// Runs a subcommand of `cairn-worker` to its end.
	///
	/// # Errors
	/// When it cannot be started. How it ended is in the result.
	pub async fn cli(&self, args: &[&str]) -> Result<Finished> {
		let mut command = self.command();
		command.args(args);
		run(command).await
	}

	/// Makes its keys.
	///
	/// # Errors
	/// When a command fails.
	pub async fn make_keys(&self) -> Result<Identity> {
		self.cli(&["keys", "generate", "--suri", &self.suri]).await?.ok()?;
		let keys: Value = self.cli(&["keys", "show"]).await?.json()?;
		let text = |field: &str| {
			let value = keys[field].as_str().map(str::to_string);
			value.with_context(|| format!("`cairn-worker keys show` has no field `{field}`: {keys}"))
		};
		Ok(Identity { account: text("account")?, peer_id: text("peerId")? })
	}

	/// Registers its site and device, and enlists it if it is an aggregator. Does what is missing only.
	///
	/// # Errors
	/// When the command fails.
	pub async fn register(&self) -> Result<()> {
		let site = format!("{} site", self.name);
		let bond = self.bond.map(|crn| crn.to_string());
		let mut args = vec!["register", "--site-name", &site, "--region", "local", "--energy", "grid"];
		if self.aggregator {
			args.push("--aggregator");
			args.extend(bond.iter().flat_map(|bond| ["--bond", bond]));
		}
		self.cli(&args).await?.ok().with_context(|| format!("{} cannot be registered", self.name))?;
		Ok(())
	}

	/// Starts its daemon.
	///
	/// # Errors
	/// When it runs already or cannot be started.
	pub fn start(&mut self) -> Result<()> {
		if self.daemon.as_ref().is_some_and(Process::is_running) {
			bail!("{} runs already", self.name);
		}
		let mut command = self.command();
		if let Some(attack) = self.attack {
			command.env(ATTACK, attack.to_string());
		}
		command.arg("run");
		for (role, wanted) in [("trainer", self.trainer), ("aggregator", self.aggregator)] {
			if wanted {
				command.args(["--role", role]);
			}
		}
		command.args(&self.run_args);
		self.daemon = Some(Process::start(&self.name, command, &self.log, Some(&self.events))?);
		Ok(())
	}

	/// Where other peers reach it, with its peer id.
	pub fn address(&self) -> Option<String> {
		let listen = self.run_args.iter().skip_while(|arg| *arg != "--listen").nth(1)?;
		Some(format!("{listen}/p2p/{}", self.identity.peer_id))
	}

	/// Its daemon, if it was started.
	pub fn daemon(&self) -> Option<&Process> {
		self.daemon.as_ref()
	}

	/// Its artifact store.
	pub fn store(&self) -> PathBuf {
		self.base.join("store")
	}

	/// All events of its daemon so far, of all its runs.
	///
	/// # Errors
	/// When the file cannot be read. A line that is still being written is left out.
	pub fn read_events(&self) -> Result<Vec<Value>> {
		read_events(&self.events)
	}

	/// Waits for an event after the first `seen`; gives it and how many there were up to it.
	///
	/// # Errors
	/// When the events cannot be read.
	pub async fn wait_for_event(
		&self,
		seen: usize,
		mut wanted: impl FnMut(&Value) -> bool,
	) -> Result<(Value, usize)> {
		let mut seen = seen;
		loop {
			let events = self.read_events()?;
			for event in events.iter().skip(seen) {
				seen += 1;
				if wanted(event) {
					return Ok((event.clone(), seen));
				}
			}
			// A file tells nobody that it has grown.
			tokio::time::sleep(Duration::from_millis(20)).await;
		}
	}
}

/// Removes the variables that would override a worker's own configuration.
pub(crate) fn clean_environment(command: &mut Command) {
	for (name, _) in std::env::vars_os() {
		if name.to_string_lossy().starts_with("CAIRN_") {
			command.env_remove(name);
		}
	}
}

/// Reads a file of JSON lines. What is no JSON object is left out: the last line of a process that was killed.
///
/// # Errors
/// When the file is there but cannot be read.
pub fn read_events(path: &Path) -> Result<Vec<Value>> {
	let text = match fs::read(path) {
		Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
		Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
		Err(e) => return Err(e).with_context(|| format!("cannot read {}", path.display())),
	};
	// Without the last line feed a line may be half of what it will be.
	let complete = text.rfind('\n').map_or("", |end| &text[..end]);
	let lines = complete.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
	Ok(lines.filter(Value::is_object).collect())
}

#[cfg(test)]
mod tests {
	#![allow(clippy::unwrap_used)]
	use super::*;

	#[test]
	fn attack_is_read_as_it_is_written() {
		for attack in [Attack::SignFlip(4), Attack::NotANumber, Attack::FalseAggregate, Attack::WrongBytes] {
			assert_eq!(attack.to_string().parse(), Ok(attack));
		}
		for text in ["", "sign-flip", "sign-flip:", "sign-flip:256", "nan:1", "arson"] {
			assert!(text.parse::<Attack>().is_err(), "{text}");
		}
	}

	#[test]
	fn events_are_read_up_to_the_last_complete_line() {
		let dir = tempfile::tempdir().unwrap();
		let path = dir.path().join("events");
		assert_eq!(read_events(&path).unwrap(), Vec::<Value>::new());
		fs::write(&path, "{\"event\":\"a\"}\n{\"ev{\"event\":\"b\"}\n{\"event\":\"c\"}").unwrap();
		let events = read_events(&path).unwrap();
		assert_eq!(events, [serde_json::json!({"event": "a"})]);
	}
}
