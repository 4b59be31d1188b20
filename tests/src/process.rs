//! Child processes that cannot outlive this one, whose death is noticed at once.

use anyhow::{anyhow, bail, Context, Result};
use nix::{
	errno::Errno,
	sys::{
		prctl::set_pdeathsig,
		signal::{killpg, Signal},
		wait::{waitid, Id, WaitPidFlag},
	},
	unistd::{getppid, Pid},
};
use std::{
	ffi::OsStr,
	fs::{File, OpenOptions},
	io::{self, Read, Seek, SeekFrom, Write},
	os::unix::process::CommandExt,
	path::{Path, PathBuf},
	process::{Child, Command, ExitStatus, Stdio},
	sync::{
		mpsc::{channel, Sender},
		Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError,
	},
	thread,
	time::Duration,
};
use tokio::sync::watch;

/// How many lines of a log are shown when its process has died.
const TAIL_LINES: usize = 15;

/// How long a process may take to end after SIGTERM before it is killed.
const GRACE: Duration = Duration::from_secs(10);

struct Job {
	command: Command,
	reply: Sender<io::Result<Child>>,
}

/// The thread that starts every child. The kernel sends a child its parent-death signal when the *thread* that started
/// it ends, so that thread must live as long as the process; a runtime's threads and a test's do not.
fn spawner() -> &'static Sender<Job> {
	static SPAWNER: OnceLock<Sender<Job>> = OnceLock::new();
	SPAWNER.get_or_init(|| {
		let (jobs, inbox) = channel::<Job>();
		thread::Builder::new()
			.name("spawner".into())
			.spawn(move || {
				for mut job in inbox {
					let child = job.command.spawn();
					if let Err(unsent) = job.reply.send(child) {
						// Whoever asked is gone. Then nobody will stop this child, either.
						if let Ok(mut child) = unsent.0 {
							let _ = child.kill().and_then(|()| child.wait());
						}
					}
				}
			})
			.expect("a thread can be made at the start of the program; qed");
		jobs
	})
}

/// Starts a child that is killed by the kernel when this process ends, however it ends.
fn spawn_tied(mut command: Command) -> io::Result<Child> {
	let parent = Pid::this();
	command.stdin(Stdio::null());
	// A group of its own, so that Ctrl-C on the terminal reaches this process alone, which then stops its children in
	// order instead of seeing them die.
	command.process_group(0);
	// SAFETY: between fork and exec the closure makes two system calls and allocates nothing.
	unsafe {
		command.pre_exec(move || {
			set_pdeathsig(Signal::SIGKILL)?;
			// The parent may have died before the line above; then no signal will come.
			if getppid() != parent {
				return Err(Errno::ESRCH.into());
			}
			Ok(())
		});
	}
	let (reply, answer) = channel();
	let gone = || io::Error::other("the thread that starts processes is gone");
	spawner().send(Job { command, reply }).map_err(|_| gone())?;
	answer.recv().map_err(|_| gone())?
}

/// The state that the reaper thread and the handle share. `Some` once the process was reaped: from then on its id may
/// belong to another process and must not be signalled.
#[derive(Default)]
struct Shared {
	ended: Mutex<Option<ExitStatus>>,
	changed: Condvar,
}

impl Shared {
	fn lock(&self) -> MutexGuard<'_, Option<ExitStatus>> {
		self.ended.lock().unwrap_or_else(PoisonError::into_inner)
	}
}

/// A running daemon with its log. Dropping it kills it.
pub struct Process {
	name: String,
	log: PathBuf,
	pid: Pid,
	shared: Arc<Shared>,
	exit: watch::Receiver<Option<ExitStatus>>,
}

impl Process {
	/// Starts `command` with its standard error appended to `log` and its standard output to `out` (or to the log, too).
	///
	/// # Errors
	/// When the program cannot be started or a file not be opened; the message names it.
	pub fn start(
		name: impl Into<String>,
		mut command: Command,
		log: &Path,
		out: Option<&Path>,
	) -> Result<Self> {
		let name = name.into();
		let open = |path: &Path| -> Result<File> {
			let file = OpenOptions::new().create(true).append(true).open(path);
			file.with_context(|| format!("cannot write {}", path.display()))
		};
		let mut head = open(log)?;
		writeln!(head, "## {}", shown(&command))
			.with_context(|| format!("cannot write {}", log.display()))?;
		let stdout = match out {
			Some(out) => open(out)?,
			None => open(log)?,
		};
		command.stdout(stdout).stderr(head);
		let program = command.get_program().to_owned();
		let mut child = spawn_tied(command)
			.with_context(|| format!("cannot start {name} ({})", Path::new(&program).display()))?;
		let pid = Pid::from_raw(child.id() as i32);
		let shared = Arc::new(Shared::default());
		let (changed, exit) = watch::channel(None);
		let reaper = shared.clone();
		thread::Builder::new().name(format!("reap {name}")).spawn(move || {
			// Wait without reaping, so that the id stays ours until the lock is held.
			while waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT) == Err(Errno::EINTR) {}
			let mut ended = reaper.lock();
			let status = child.wait().ok();
			*ended = status;
			drop(ended);
			reaper.changed.notify_all();
			let _ = changed.send(status);
		})?;
		Ok(Self { name, log: log.to_path_buf(), pid, shared, exit })
	}

	/// What it is called in messages.
	pub fn name(&self) -> &str {
		&self.name
	}

	/// Its process id.
	pub fn id(&self) -> u32 {
		self.pid.as_raw() as u32
	}

	/// Its log.
	pub fn log(&self) -> &Path {
		&self.log
	}

	/// Whether it still runs.
	pub fn is_running(&self) -> bool {
		self.shared.lock().is_none()
	}

	fn signal(&self, signal: Signal) {
		let ended = self.shared.lock();
		if ended.is_none() {
			// Its whole group, in case it has children of its own. ESRCH cannot happen while the process is not reaped, and
			// nothing else can go wrong with our own child.
			let _ = killpg(self.pid, signal);
		}
	}

	/// Waits until it has ended.
	pub async fn ended(&self) -> ExitStatus {
		let mut exit = self.exit.clone();
		loop {
			if let Some(status) = *exit.borrow_and_update() {
				return status;
			}
			if exit.changed().await.is_err() {
				// The reaper could not get a status; the process is gone all the same.
				return ExitStatus::default();
			}
		}
	}

	/// Why it should not have ended: its status and the end of its log.
	pub fn obituary(&self, status: ExitStatus) -> anyhow::Error {
		anyhow!(
			"{} has ended ({status}). The last lines of {}:\n{}",
			self.name,
			self.log.display(),
			tail(&self.log, TAIL_LINES)
		)
	}

	/// `kill -9`, and waits until it is gone.
	pub async fn kill(&self) -> ExitStatus {
		self.signal(Signal::SIGKILL);
		self.ended().await
	}

	/// Asks it to end (SIGTERM), waits, and kills it if it does not.
	pub async fn stop(&self) -> ExitStatus {
		self.signal(Signal::SIGTERM);
		match tokio::time::timeout(GRACE, self.ended()).await {
			Ok(status) => status,
			Err(_) => self.kill().await,
		}
	}
}

impl Drop for Process {
	fn drop(&mut self) {
		self.signal(Signal::SIGKILL);
		let mut ended = self.shared.lock();
		while ended.is_none() {
			// SIGKILL cannot be refused; the timeout is for a reaper that could not get a status.
			let (guard, timeout) = self
				.shared
				.changed
				.wait_timeout(ended, Duration::from_secs(5))
				.unwrap_or_else(PoisonError::into_inner);
			ended = guard;
			if timeout.timed_out() {
				break;
			}
		}
	}
}

/// What a program that was run to its end left.
#[derive(Debug, Clone)]
pub struct Finished {
	/// The command line, for messages.
	pub command: String,
	/// Its exit code; `None` when a signal ended it.
	pub code: Option<i32>,
	/// Its standard output.
	pub stdout: String,
	/// Its standard error.
	pub stderr: String,
}

impl Finished {
	/// Itself if it succeeded.
	///
	/// # Errors
	/// When the exit code is not 0; the message has the command and what it said.
	pub fn ok(self) -> Result<Self> {
		if self.code == Some(0) {
			return Ok(self);
		}
		// Both: a program that tells its progress on the one may have said on the other what is wrong.
		let said = [self.stdout.trim(), self.stderr.trim()].join("\n");
		let how = self.code.map_or("a signal".into(), |c| format!("exit code {c}"));
		let hint = if said.contains("error while loading shared libraries") {
			"\nThe libraries are found after `. scripts/env`"
		} else {
			""
		};
		bail!("`{}` failed ({how}): {}{hint}", self.command, said.trim())
	}

	/// The JSON on its standard output.
	///
	/// # Errors
	/// When it failed, or printed something else.
	pub fn json<T: serde::de::DeserializeOwned>(self) -> Result<T> {
		let finished = self.ok()?;
		serde_json::from_str(finished.stdout.trim()).with_context(|| {
			format!("`{}` printed no such JSON: {}", finished.command, finished.stdout.trim())
		})
	}
}

/// Runs a program to its end.
///
/// # Errors
/// When it cannot be started. How it ended is in the result.
pub async fn run(mut command: Command) -> Result<Finished> {
	let shown = shown(&command);
	command.stdout(Stdio::piped()).stderr(Stdio::piped());
	let name = shown.clone();
	let output = tokio::task::spawn_blocking(move || {
		let child = spawn_tied(command).with_context(|| format!("cannot start `{name}`"))?;
		child.wait_with_output().with_context(|| format!("cannot read from `{name}`"))
	})
	.await??;
	Ok(Finished {
		command: shown,
		code: output.status.code(),
		stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
		stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
	})
}

/// A command line as a person would type it. The program is shown without its folder.
fn shown(command: &Command) -> String {
	let program = Path::new(command.get_program()).file_name().unwrap_or(OsStr::new("?"));
	std::iter::once(program)
		.chain(command.get_args())
		.map(|part| {
			let part = part.to_string_lossy();
			let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@+{}\"".contains(c);
			if !part.is_empty() && part.chars().all(plain) {
				part.into_owned()
			} else {
				format!("'{}'", part.replace('\'', "'\\''"))
			}
		})
		.collect::<Vec<_>>()
		.join(" ")
}

/// The last lines of a file, indented. Reads no more than its last 64 KiB.
pub fn tail(path: &Path, lines: usize) -> String {
	let read = || -> io::Result<Vec<u8>> {
		let mut file = File::open(path)?;
		let length = file.metadata()?.len();
		file.seek(SeekFrom::Start(length.saturating_sub(64 * 1024)))?;
		let mut bytes = Vec::new();
		file.read_to_end(&mut bytes)?;
		Ok(bytes)
	};
	let text = match read() {
		Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
		Err(e) => return format!("  (cannot be read: {e})"),
	};
	let all: Vec<&str> = text.lines().collect();
	let last = &all[all.len().saturating_sub(lines)..];
	last.iter().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
	#![allow(clippy::unwrap_used)]
	use super::*;
	use nix::sys::signal::kill;

	fn shell(script: &str) -> Command {
		let mut command = Command::new("/bin/sh");
		command.args(["-c", script]);
		command
	}

	fn gone(pid: Pid) -> bool {
		kill(pid, None) == Err(Errno::ESRCH)
	}

	#[tokio::test]
	async fn dead_child_is_noticed_and_its_log_quoted() {
		let dir = tempfile::tempdir().unwrap();
		let log = dir.path().join("x.log");
		let process =
			Process::start("the thing", shell("echo 'out of cheese' >&2; exit 3"), &log, None).unwrap();
		let status = process.ended().await;
		let message = process.obituary(status).to_string();
		assert!(!process.is_running());
		for part in ["the thing has ended", "3", "out of cheese", "x.log"] {
			assert!(message.contains(part), "{message}");
		}
	}

	#[tokio::test]
	async fn process_is_killed_when_its_handle_is_dropped() {
		let dir = tempfile::tempdir().unwrap();
		let process =
			Process::start("sleeper", shell("exec sleep 1000"), &dir.path().join("log"), None).unwrap();
		let pid = process.pid;
		assert!(process.is_running() && !gone(pid));
		drop(process);
		assert!(gone(pid));
	}

	#[tokio::test]
	async fn stop_lets_a_process_end_in_its_own_way() {
		let dir = tempfile::tempdir().unwrap();
		let (log, out) = (dir.path().join("log"), dir.path().join("out"));
		let script = "trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.05; done";
		let process = Process::start("polite", shell(script), &log, Some(&out)).unwrap();
		while !std::fs::read_to_string(&out).unwrap().contains("ready") {
			tokio::task::yield_now().await;
		}
		assert!(process.stop().await.success());
		assert!(std::fs::read_to_string(&out).unwrap().contains("bye"));
	}

	#[tokio::test]
	async fn signal_after_the_end_reaches_nobody() {
		let dir = tempfile::tempdir().unwrap();
		let process = Process::start("short", shell("true"), &dir.path().join("log"), None).unwrap();
		process.ended().await;
		// The id is free now; a signal to it could hit a stranger.
		process.signal(Signal::SIGKILL);
		assert!(process.kill().await.success());
	}

	#[tokio::test]
	async fn missing_program_is_named() {
		let dir = tempfile::tempdir().unwrap();
		let command = Command::new("/nowhere/cairn-node");
		let error = Process::start("validator-1", command, &dir.path().join("log"), None).err().unwrap();
		assert!(format!("{error:#}").contains("/nowhere/cairn-node"), "{error:#}");
	}

	#[tokio::test]
	async fn failed_command_says_what_it_printed() {
		let finished = run(shell("echo broken >&2; exit 2")).await.unwrap();
		assert_eq!(finished.code, Some(2));
		let message = finished.ok().unwrap_err().to_string();
		assert!(message.contains("broken") && message.contains("exit code 2"), "{message}");
	}

	#[test]
	fn tail_shows_the_last_lines_only() {
		let dir = tempfile::tempdir().unwrap();
		let path = dir.path().join("log");
		std::fs::write(&path, (0..100).map(|i| format!("line {i}\n")).collect::<String>()).unwrap();
		assert_eq!(tail(&path, 2), "  line 98\n  line 99");
		assert!(tail(&dir.path().join("none"), 2).contains("cannot be read"));
	}
}
