//! Points at which a test kills the process. Nothing is here in other builds.
//!
//! A point stands before and after everything that outlives the process: a line of the journal, an artifact, a
//! transaction, an event. The [recovery test](crate::daemon) kills a real process at each of them in turn.

#[cfg(test)]
pub(crate) use armed::{arm, point, torn, When};

#[cfg(not(test))]
pub(crate) fn point(_: &str) {}

#[cfg(not(test))]
pub(crate) fn torn(_: &str, _: &mut std::fs::File, _: &[u8]) {}

#[cfg(test)]
mod armed {
	use nix::{
		sys::signal::{kill, Signal},
		unistd::Pid,
	};
	use serde::{Deserialize, Serialize};
	use std::{
		fs::OpenOptions,
		io::Write,
		path::PathBuf,
		sync::{Mutex, OnceLock, PoisonError},
	};

	/// When the process dies.
	#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
	pub(crate) enum When {
		/// Never: the names of the points are written down instead, one per line.
		Never,
		/// At this point, counted from 1, whatever it is.
		At(u32),
		/// At the point of this name, when it is come to for the `nth` time, counted from 1.
		Named(String, u32),
	}

	struct Armed {
		when: When,
		/// Where the dying process says which point it was.
		note: PathBuf,
	}

	static ARMED: OnceLock<Mutex<Armed>> = OnceLock::new();

	/// From now on points count.
	pub(crate) fn arm(when: When, note: PathBuf) {
		assert!(ARMED.set(Mutex::new(Armed { when, note })).is_ok(), "a process is armed once");
	}

	/// Whether the process has to die now; everybody else is held up meanwhile.
	fn strike(name: &str, last_act: impl FnOnce()) {
		let Some(armed) = ARMED.get() else { return };
		let mut armed = armed.lock().unwrap_or_else(PoisonError::into_inner);
		let armed = &mut *armed;
		let left = match &mut armed.when {
			When::Never => {
				let mut note = OpenOptions::new().append(true).create(true).open(&armed.note);
				let note = note.as_mut().expect("the test's folder takes a file");
				return writeln!(note, "{name}").expect("the test's folder takes bytes");
			},
			When::At(left) => left,
			When::Named(wanted, left) if wanted == name => left,
			When::Named(..) => return,
		};
		*left -= 1;
		if *left > 0 {
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
