//! Points at which a test kills the process. Nothing is here in other builds.
//!
//! A point stands before and after everything that outlives the process: a line of the journal, an artifact, a
//! transaction, an event. The [recovery test](crate::daemon) kills a real process at each of them in turn.

#[cfg(test)]
mod armed {
	use nix::{
		sys::signal::{kill, Signal},
		unistd::Pid,
	};
	use std::{
		io::Write,
		path::PathBuf,
		sync::{Mutex, OnceLock, PoisonError},
	};

	struct Armed {
		/// How many points are left, this one included.
		left: u32,
		/// Where the dying process says which point it was.
		note: PathBuf,
	}

	static ARMED: OnceLock<Mutex<Armed>> = OnceLock::new();

	/// This process dies at its `nth` point from here, and writes the point's name to `note`.
	pub(crate) fn arm(nth: u32, note: PathBuf) {
		assert!(ARMED.set(Mutex::new(Armed { left: nth, note })).is_ok(), "a process dies once");
	}

	/// Whether the process has to die now; everybody else is held up meanwhile.
	fn strike(name: &str, last_act: impl FnOnce()) {
		let Some(armed) = ARMED.get() else { return };
		let mut armed = armed.lock().unwrap_or_else(PoisonError::into_inner);
		armed.left -= 1;
		if armed.left > 0 {
			return;
		}
		last_act();
		std::fs::write(&armed.note, name).expect("the test's folder takes a file");
		kill(Pid::this(), Signal::SIGKILL).expect("a process may kill itself");
		// SIGKILL may take a moment to arrive; nothing may happen in it.
		loop {
			std::thread::park();
		}
	}

	/// A point.
	pub(crate) fn point(name: &str) {
		strike(name, || {});
	}

	/// A point in the middle of a write: half of the bytes are written, then the process dies.
	pub(crate) fn torn(name: &str, file: &mut std::fs::File, bytes: &[u8]) {
		strike(name, || file.write_all(&bytes[..bytes.len() / 2]).expect("the test's folder takes bytes"));
	}
}

#[cfg(test)]
pub(crate) use armed::{arm, point, torn};

#[cfg(not(test))]
pub(crate) fn point(_: &str) {}

#[cfg(not(test))]
pub(crate) fn torn(_: &str, _: &mut std::fs::File, _: &[u8]) {}
