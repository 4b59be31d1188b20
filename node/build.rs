//! Puts the version into the binary: the package's version, and the commit when it is built from a git checkout.

use std::process::{Command, Stdio};
use substrate_build_script_utils::{generate_cargo_keys, rerun_if_git_head_changed};

/// What `substrate-build-script-utils` takes the commit from before it asks git.
const COMMIT: &str = "SUBSTRATE_CLI_GIT_COMMIT_HASH";

fn main() {
	println!("cargo:rerun-if-env-changed={COMMIT}");
	if std::env::var_os(COMMIT).is_none() {
		if in_git_checkout() {
			rerun_if_git_head_changed();
		} else {
			// From an archive, or without git: the version alone, rather than a commit of zeros.
			std::env::set_var(COMMIT, "");
		}
	}
	generate_cargo_keys();
}

fn in_git_checkout() -> bool {
	Command::new("git")
		.args(["rev-parse", "--verify", "HEAD"])
		.stdout(Stdio::null())
		.stderr(Stdio::null())
		.status()
		.is_ok_and(|status| status.success())
}
