#![doc = include_str!("../README.md")]
// The errors of sc-cli and sc-service are large, and what returns them here runs once.
#![allow(clippy::result_large_err)]

mod chain_spec;
mod cli;
mod command;
mod config;
mod ledger;
mod proofs;
mod rpc;
mod service;

use std::{error::Error, process::ExitCode};

fn main() -> ExitCode {
	match command::run() {
		Ok(()) => ExitCode::SUCCESS,
		Err(error) => {
			eprintln!("Error: {}", explain(&error));
			ExitCode::FAILURE
		},
	}
}

/// An error and what caused it, in one line, without what a wrapping error repeats of the one inside.
fn explain(error: &dyn Error) -> String {
	let mut text = error.to_string();
	let mut source = error.source();
	while let Some(cause) = source {
		let cause_text = cause.to_string();
		if !text.contains(&cause_text) {
			text = format!("{text}: {cause_text}");
		}
		source = cause.source();
	}
	text
}
