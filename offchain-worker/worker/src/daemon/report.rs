//! Word of what a running daemon does, for `cairn-worker status`: `status.json` in the base path.
//!
//! A file rather than a socket: it needs no port and no access rules, it can be read while the daemon hangs, and it is
//! still there after `kill -9`. Whether its writer runs is known by the base path's lock, not by the file.

use crate::plan::ChainView;
use cairn_primitives::{views::Phase, ProgrammeId, RoundIndex};
use serde::{Deserialize, Serialize};
use std::{
	fs, io,
	os::unix::fs::OpenOptionsExt,
	path::{Path, PathBuf},
	time::{Duration, Instant, SystemTime},
};

/// What the daemon does now.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Report {
	/// Its process.
	pub process: u32,
	/// When this was written, in seconds since 1970.
	pub written: u64,
	/// Its account.
	pub account: String,
	/// The newest finalised block.
	pub finalised: u32,
	/// The best block.
	pub best: u32,
	/// The peers that are connected.
	pub peers: Vec<String>,
	/// What is under way, by [key](crate::plan::Action::key).
	pub doing: Vec<String>,
	/// What keeps it from working, if anything does.
	pub waiting: Option<String>,
	/// What a person should look at.
	pub notices: Vec<String>,
	/// The programmes that it serves.
	pub programmes: Vec<ReportedProgramme>,
}

/// A programme as the daemon has seen it last.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReportedProgramme {
	/// Its number.
	pub id: ProgrammeId,
	/// Its name.
	pub name: String,
	/// The running round.
	pub round: Option<RoundIndex>,
	/// Its phase.
	pub phase: Option<Phase>,
	/// The phase's last block.
	pub deadline: Option<u32>,
}

impl Report {
	/// From what the daemon has at hand.
	pub(super) fn new(
		account: String,
		(finalised, best): (u32, u32),
		view: Option<&ChainView>,
		peers: Vec<String>,
		doing: Vec<String>,
		waiting: Option<String>,
		notices: Vec<String>,
	) -> Self {
		let programmes = view.into_iter().flat_map(|v| &v.programmes).map(|p| ReportedProgramme {
			id: p.info.id,
			name: String::from_utf8_lossy(&p.info.name).into_owned(),
			round: p.round.as_ref().map(|r| r.index),
			phase: p.round.as_ref().map(|r| r.phase),
			deadline: p.round.as_ref().and_then(|r| r.deadline),
		});
		let programmes = programmes.collect();
		let process = std::process::id();
		Self { process, written: 0, account, finalised, best, peers, doing, waiting, notices, programmes }
	}

	/// Where a daemon on this base path leaves word.
	pub fn path(base: &Path) -> PathBuf {
		base.join("status.json")
	}

	/// Takes back the word of a daemon on this base path: it ends in order, or another begins.
	pub(crate) fn remove(path: &Path) {
		match fs::remove_file(path) {
			Err(e) if e.kind() != io::ErrorKind::NotFound => {
				tracing::warn!("cannot remove {}: {e}", path.display());
			},
			_ => {},
		}
	}

	/// The last word of a daemon on this base path; `None` when there is none, or it cannot be read.
	pub fn read(base: &Path) -> Option<Self> {
		serde_json::from_slice(&fs::read(Self::path(base)).ok()?).ok()
	}
}

/// How often the file is written at most.
const EVERY: Duration = Duration::from_secs(1);

/// Writes reports that say something new.
pub(super) struct Reporter {
	path: Option<PathBuf>,
	last: Option<(Instant, Report)>,
}

impl Reporter {
	pub(super) fn new(path: Option<PathBuf>) -> Self {
		Self { path, last: None }
	}

	/// Writes it, unless the file says so already or is a moment old. The work does not depend on it, so failures are
	/// only logged.
	pub(super) fn write(&mut self, report: Report) {
		let Some(path) = &self.path else { return };
		if self.last.as_ref().is_some_and(|(at, last)| *last == report || at.elapsed() < EVERY) {
			return;
		}
		let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
		let stamped = Report { written: now.as_secs(), ..report.clone() };
		if let Err(e) = replace(path, &stamped) {
			tracing::debug!("cannot write {}: {e}", path.display());
		}
		self.last = Some((Instant::now(), report));
	}

	/// Takes the word back: the daemon ends in order.
	pub(super) fn remove(&self) {
		if let Some(path) = &self.path {
			Report::remove(path);
		}
	}
}

/// Readers see the old file or the new one. It need not survive a power cut, so nothing is synced.
fn replace(path: &Path, report: &Report) -> io::Result<()> {
	let temporary = path.with_extension("json.new");
	let mut options = fs::OpenOptions::new();
	let file = options.write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
	serde_json::to_writer(&file, report).map_err(io::Error::from)?;
	fs::rename(&temporary, path)
}

#[cfg(test)]
mod tests {
	#![allow(clippy::unwrap_used)]
	use super::*;
	use crate::plan::tests::{round, view};

	#[test]
	fn report_is_read_back_as_it_was_written_until_it_is_taken_back() {
		let dir = tempfile::tempdir().unwrap();
		assert_eq!(Report::read(dir.path()), None);
		let mut reporter = Reporter::new(Some(Report::path(dir.path())));
		let view = view(Some(round(Phase::Reveal)));
		let doing = vec!["reveal:0:3:0".to_string()];
		let report =
			Report::new("me".into(), (100, 102), Some(&view), vec!["p".into()], doing, None, Vec::new());
		reporter.write(report.clone());
		let read = Report::read(dir.path()).unwrap();
		assert!(read.written > 0);
		assert_eq!(Report { written: 0, ..read.clone() }, report);
		let programme = &read.programmes[0];
		assert_eq!(
			(programme.round, programme.phase, programme.deadline),
			(Some(3), Some(Phase::Reveal), Some(200))
		);
		// A moment later it is not written again.
		reporter.write(Report { best: 103, ..report });
		assert_eq!(Report::read(dir.path()).unwrap(), read);
		reporter.remove();
		assert_eq!(Report::read(dir.path()), None);
	}

	#[test]
	fn report_of_another_release_or_damaged_is_no_report() {
		let dir = tempfile::tempdir().unwrap();
		fs::write(Report::path(dir.path()), "{\"process\":").unwrap();
		assert_eq!(Report::read(dir.path()), None);
		fs::write(Report::path(dir.path()), "{\"process\":7,\"another\":1}").unwrap();
		assert_eq!(Report::read(dir.path()).unwrap().process, 7);
	}
}
