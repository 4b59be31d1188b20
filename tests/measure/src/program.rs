//! What the programs that run a chain do alike: how they start and end, and where they put their files.

use anyhow::{anyhow, Context, Result};
use cairn_devnet::ui::Ui;
use std::{
	fs,
	future::Future,
	path::{Path, PathBuf},
	process::ExitCode,
};
use tempfile::TempDir;

/// Runs a measurement and prints its report, or what went wrong, under the program's name. Ctrl-C ends it.
pub fn run(name: &str, ui: &Ui, measurement: impl Future<Output = Result<String>>) -> ExitCode {
	let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
	let outcome = runtime.context("cannot start").and_then(|runtime| {
		runtime.block_on(async {
			tokio::select! {
				outcome = measurement => outcome,
				// Dropping the work kills the validator and removes what is temporary.
				_ = tokio::signal::ctrl_c() => Err(anyhow!("interrupted")),
			}
		})
	});
	ui.clear();
	match outcome {
		Ok(report) => {
			ui.print(&format!("\n{report}"));
			ExitCode::SUCCESS
		},
		Err(error) => {
			eprintln!("{name}: {error:#}");
			ExitCode::FAILURE
		},
	}
}

/// Where databases and logs go: a folder that was named, or a temporary one, which stays only when something fails.
pub struct Folder {
	path: PathBuf,
	temporary: Option<TempDir>,
}

impl Folder {
	/// This folder, made if it is not there, or a temporary one.
	///
	/// # Errors
	/// When it cannot be made.
	pub fn new(named: Option<&Path>) -> Result<Self> {
		let (path, temporary) = match named {
			Some(folder) => (folder.to_path_buf(), None),
			None => {
				let folder = tempfile::Builder::new().prefix("cairn-bench-").tempdir();
				let folder = folder.context("cannot make a temporary folder")?;
				(folder.path().to_path_buf(), Some(folder))
			},
		};
		fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
		Ok(Self { path, temporary })
	}

	/// Where it is.
	pub fn path(&self) -> &Path {
		&self.path
	}

	/// Ends the use of it. When the outcome is an error, a temporary folder stays, and it is said where.
	pub fn after<T>(self, outcome: Result<T>, ui: &Ui) -> Result<T> {
		if let (Err(_), Some(folder)) = (&outcome, self.temporary) {
			ui.line(format!("logs stay in {}", folder.keep().display()));
		}
		outcome
	}
}
