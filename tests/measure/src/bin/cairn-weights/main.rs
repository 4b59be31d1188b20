//! `cairn-weights`: measures what the calls of the runtime cost and writes it as Rust. `scripts/weights` builds the
//! runtime for it.

mod overhead;
mod render;
mod runner;
mod state;

use anyhow::{bail, ensure, Context, Result};
use clap::Parser;
use frame_benchmarking::{BenchmarkList, BenchmarkMetadata};
use render::Origin;
use runner::{pallet, Effort, Measured, Runner};
use std::{
	collections::BTreeSet,
	fs,
	io::Write,
	path::{Path, PathBuf},
	process::ExitCode,
};

/// Runs the benchmarks of a runtime's WASM and writes the weights of its pallets: time by linear regression over the
/// benchmarks' components, and the keys read and written, charged at the runtime's database costs.
///
/// Exit code 0 says that every benchmark ran and every file was written. A pallet with a benchmark that fails keeps the
/// file it had.
#[derive(Parser)]
#[command(name = "cairn-weights", version)]
struct Cli {
	/// The runtime's WASM, built with the feature `runtime-benchmarks`
	#[arg(long, value_name = "FILE")]
	runtime: PathBuf,
	/// Only these pallets (names of crates, for example `pallet_training`); all when not given
	#[arg(long, value_name = "NAME")]
	pallet: Vec<String>,
	/// Only benchmarks whose names contain this; nothing is written then, because a file needs all of its pallet's
	#[arg(long, value_name = "TEXT")]
	only: Option<String>,
	/// Values of each component, from its least to its greatest
	#[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(2..))]
	steps: u32,
	/// Timed repetitions at each value
	#[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
	repeat: u32,
	/// The genesis preset that every benchmark starts from
	#[arg(long, default_value = "development")]
	preset: String,
	/// The folder for the files, usually runtime/src/weights; nothing is written when not given
	#[arg(long, value_name = "DIR")]
	output: Option<PathBuf>,
	/// List the benchmarks and end
	#[arg(long, conflicts_with = "check")]
	list: bool,
	/// Run every benchmark once at its extremes with its own checks, measure nothing, and end
	#[arg(long)]
	check: bool,
	/// The command that the files are to name as their origin
	#[arg(long, default_value = "scripts/weights")]
	command: String,
	/// What the files are to say about this machine; found out when not given
	#[arg(long)]
	machine: Option<String>,
}

fn main() -> ExitCode {
	match run(&Cli::parse()) {
		Ok(()) => ExitCode::SUCCESS,
		Err(error) => {
			eprintln!("cairn-weights: {error:#}");
			ExitCode::FAILURE
		},
	}
}

fn say(text: &str) {
	// A closed pipe is no reason to stop.
	let _ = writeln!(std::io::stdout(), "{text}");
}

/// A list's file and module. Of a pallet with several instances each has its own.
fn module_name(lists: &[BenchmarkList], list: &BenchmarkList) -> String {
	if lists.iter().filter(|other| other.pallet == list.pallet).count() < 2 {
		return pallet(list);
	}
	let instance = String::from_utf8_lossy(&list.instance).to_lowercase();
	format!("{}_{}", pallet(list), instance.replace(|c: char| !c.is_ascii_alphanumeric(), "_"))
}

fn run(cli: &Cli) -> Result<()> {
	let code = fs::read(&cli.runtime).with_context(|| format!("cannot read {}", cli.runtime.display()))?;
	let runner = Runner::new(code, &cli.preset)?;
	let known: BTreeSet<String> = runner.lists().iter().map(pallet).collect();
	if let Some(unknown) = cli.pallet.iter().find(|name| !known.contains(*name)) {
		let known: Vec<_> = known.into_iter().collect();
		bail!("the runtime has no benchmarks of `{unknown}`; it has those of {}", known.join(", "));
	}
	let chosen = |list: &&BenchmarkList| cli.pallet.is_empty() || cli.pallet.contains(&pallet(list));
	let (mut failures, mut extensions) = (0, 0);
	for list in runner.lists().iter().filter(chosen) {
		let wanted = |benchmark: &&BenchmarkMetadata| {
			let name = String::from_utf8_lossy(&benchmark.name);
			cli.only.as_ref().is_none_or(|part| name.contains(part.as_str()))
		};
		let benchmarks: Vec<_> = list.benchmarks.iter().filter(wanted).collect();
		if cli.list {
			benchmarks.iter().for_each(|benchmark| say(&describe(list, benchmark)));
			continue;
		}
		let mut measured = Vec::new();
		let before = failures;
		for benchmark in benchmarks {
			let outcome = if cli.check {
				runner.check(list, benchmark).map(|()| format!("{}: ok", describe(list, benchmark)))
			} else {
				let effort = Effort { steps: cli.steps, repeat: cli.repeat };
				runner.measure(list, benchmark, effort).map(|found| {
					let line = summary(list, &found);
					if overhead::is_charged(&pallet(list), &found.name) {
						extensions += found.time.base;
					}
					measured.push(found);
					line
				})
			};
			match outcome {
				Ok(line) => say(&line),
				Err(error) => {
					failures += 1;
					eprintln!("cairn-weights: {error:#}");
				},
			}
		}
		if let (Some(folder), None, false, true) = (&cli.output, &cli.only, cli.check, failures == before) {
			write(folder, &module_name(runner.lists(), list), &pallet(list), cli, &measured)?;
		}
	}
	// Part of everything, so measured when everything is.
	if cli.pallet.is_empty() && cli.only.is_none() && !cli.list {
		let repeat = if cli.check { 1 } else { cli.repeat };
		let extrinsic = overhead::extrinsic(&runner, repeat)?.saturating_sub(extensions);
		say(&format!("a signed transaction before its call: {:.3} µs", extrinsic as f64 / 1e6));
		if let (Some(folder), false) = (&cli.output, cli.check) {
			put(folder, "overhead", &render::overhead(&origin(cli), extrinsic))?;
		}
	}
	ensure!(failures == 0, "{failures} benchmarks failed; the files of their pallets are as they were");
	Ok(())
}

fn describe(list: &BenchmarkList, benchmark: &BenchmarkMetadata) -> String {
	let components = benchmark.components.iter();
	let components: Vec<_> =
		components.map(|(name, low, high)| format!("{name} in [{low}, {high}]")).collect();
	format!("{}::{}({})", pallet(list), String::from_utf8_lossy(&benchmark.name), components.join(", "))
}

/// One line for a person: microseconds, and keys read and written.
fn summary(list: &BenchmarkList, measured: &Measured) -> String {
	let sum = |model: &runner::Model, scale: f64, digits: usize| {
		let mut text = format!("{:.digits$}", model.base as f64 / scale);
		for ((component, ..), slope) in measured.components.iter().zip(&model.slopes).filter(|(_, s)| **s > 0)
		{
			text += &format!(" + {:.digits$} {component}", *slope as f64 / scale);
		}
		text
	};
	format!(
		"{}::{}: {} µs, {} read, {} written",
		pallet(list),
		measured.name,
		sum(&measured.time, 1e6, 3),
		sum(&measured.reads, 1.0, 0),
		sum(&measured.writes, 1.0, 0)
	)
}

fn origin(cli: &Cli) -> Origin {
	Origin {
		command: cli.command.clone(),
		machine: cli.machine.clone().unwrap_or_else(render::machine),
		date: render::today(),
		steps: cli.steps,
		repeat: cli.repeat,
	}
}

/// Writes a pallet's file, and the module file anew with all that are there.
fn write(folder: &Path, module: &str, pallet: &str, cli: &Cli, measured: &[Measured]) -> Result<()> {
	put(folder, module, &render::file(pallet, &origin(cli), measured))
}

/// Writes a module, and the module file anew with all that are there.
fn put(folder: &Path, module: &str, text: &str) -> Result<()> {
	fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
	let write = |name: &str, text: &str| {
		let path = folder.join(name);
		fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
	};
	write(&format!("{module}.rs"), text)?;
	let mut modules = BTreeSet::new();
	for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
		let name = entry.with_context(|| format!("cannot read {}", folder.display()))?.file_name();
		if let Some(name) = name.to_string_lossy().strip_suffix(".rs").filter(|name| *name != "mod") {
			modules.insert(name.to_string());
		}
	}
	write("mod.rs", &render::module(&modules))
}

#[cfg(test)]
mod tests {
	#![allow(clippy::unwrap_used)]
	use super::*;
	use clap::CommandFactory;

	fn list(pallet: &str, instance: &str) -> BenchmarkList {
		BenchmarkList { pallet: pallet.into(), instance: instance.into(), benchmarks: Vec::new() }
	}

	#[test]
	fn command_line_is_consistent() {
		Cli::command().debug_assert();
	}

	#[test]
	fn instances_of_one_pallet_get_files_of_their_own() {
		let lists =
			[list("pallet_x", "X"), list("pallet_collective", "Council"), list("pallet_collective", "Board")];
		let names: Vec<_> = lists.iter().map(|one| module_name(&lists, one)).collect();
		assert_eq!(names, ["pallet_x", "pallet_collective_council", "pallet_collective_board"]);
	}

	#[test]
	fn written_file_joins_those_that_are_there() {
		let dir = tempfile::tempdir().unwrap();
		fs::write(dir.path().join("pallet_a.rs"), "").unwrap();
		let cli = Cli::parse_from(["cairn-weights", "--runtime", "x.wasm", "--machine", "none"]);
		write(dir.path(), "pallet_b", "pallet_b", &cli, &[]).unwrap();
		let module = fs::read_to_string(dir.path().join("mod.rs")).unwrap();
		assert!(module.contains("pub mod pallet_a;\npub mod pallet_b;\n"), "{module}");
		let file = fs::read_to_string(dir.path().join("pallet_b.rs")).unwrap();
		assert!(
			file.contains("impl<T: frame_system::Config> pallet_b::WeightInfo for WeightInfo<T> {"),
			"{file}"
		);
	}

	#[test]
	fn missing_runtime_is_named() {
		let cli = Cli::parse_from(["cairn-weights", "--runtime", "/nowhere/runtime.wasm"]);
		assert!(run(&cli).unwrap_err().to_string().contains("/nowhere/runtime.wasm"));
	}
}
