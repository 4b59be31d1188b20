//! `cairn-fuzz-runtime`: looks for extrinsics that make the runtime panic or break an invariant.

mod campaign;
#[path = "../../../../../runtime/src/tests/chain.rs"]
mod chain;
mod generate;
mod input;
mod mutate;
mod random;

use anyhow::{Context, Result};
use cairn_runtime as rt;
use campaign::{replay, Campaign, Finding, Tally};
use clap::Parser;
use input::Input;
use std::{
	fs,
	io::Write,
	path::{Path, PathBuf},
	process::ExitCode,
	thread,
	time::{Duration, Instant},
};

/// Deep calls within calls need stack; how much of it a WASM has is the executor's to say.
const STACK: usize = 256 << 20;

/// Makes extrinsics and calls of every kind, well-formed ones and others, has the native runtime decode, validate and
/// apply them on a chain of their own for each batch, and checks the pallets' invariants now and then.
///
/// Exit code 1 says that something panicked or that an invariant broke; what led to it is printed and saved. The same
/// seed makes the same batches.
#[derive(Parser)]
#[command(name = "cairn-fuzz-runtime", version)]
struct Cli {
	/// For how long to run
	#[arg(long, default_value_t = 60)]
	seconds: u64,
	/// What all inputs follow from
	#[arg(long, default_value_t = 1)]
	seed: u64,
	/// The batch to begin with, to go on where a run ended
	#[arg(long, value_name = "BATCH", default_value_t = 0)]
	from: u64,
	/// Inputs in a batch
	#[arg(long, default_value_t = 2_000)]
	cases: u64,
	/// Where findings are written
	#[arg(long, value_name = "DIR", default_value = "fuzz-findings")]
	save: PathBuf,
	/// Do again what these files say, instead of anything new
	#[arg(long, value_name = "FILE")]
	replay: Vec<PathBuf>,
}

fn say(text: &str) {
	// A closed pipe is no reason to stop.
	let _ = writeln!(std::io::stdout(), "{text}");
}

fn main() -> ExitCode {
	let cli = Cli::parse();
	let run = move || if cli.replay.is_empty() { fuzz(&cli) } else { again(&cli.replay) };
	let outcome = thread::Builder::new().stack_size(STACK).spawn(run).map(|thread| thread.join());
	match outcome {
		Ok(Ok(Ok(code))) => code,
		Ok(Ok(Err(error))) => {
			eprintln!("cairn-fuzz-runtime: {error:#}");
			ExitCode::from(2)
		},
		Ok(Err(_)) | Err(_) => {
			eprintln!("cairn-fuzz-runtime: the fuzzer itself broke");
			ExitCode::from(2)
		},
	}
}

fn fuzz(cli: &Cli) -> Result<ExitCode> {
	let begun = Instant::now();
	let deadline = begun + Duration::from_secs(cli.seconds);
	let campaign = Campaign::new(cli.seed);
	let mut tally = Tally::default();
	let (mut findings, mut told) = (0, begun);
	let mut batch = cli.from;
	while Instant::now() < deadline {
		if let Err(finding) = campaign.batch(batch, cli.cases, Some(deadline), &mut tally) {
			findings += 1;
			let path = cli.save.join(format!("seed-{}-batch-{batch}.txt", cli.seed));
			say(&format!(
				"batch {batch}: {}\n  {} inputs in {}",
				finding.message,
				finding.inputs.len(),
				path.display()
			));
			save(&path, &finding)?;
		}
		batch += 1;
		if told.elapsed() > Duration::from_secs(60) {
			told = Instant::now();
			let minutes = begun.elapsed().as_secs() / 60;
			say(&format!(
				"{minutes} min: {} batches, {} inputs, {findings} findings",
				batch - cli.from,
				tally.inputs
			));
		}
	}
	summary(cli, batch, begun.elapsed(), &tally);
	say(&format!("findings: {findings}"));
	Ok(if findings == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn summary(cli: &Cli, batch: u64, took: Duration, tally: &Tally) {
	say(&format!(
		"seed {}, batches {} to {}: {} inputs in {:.1} min, invariants checked {} times",
		cli.seed,
		cli.from,
		batch.saturating_sub(1),
		tally.inputs,
		took.as_secs_f64() / 60.0,
		tally.checks
	));
	for (kind, count) in &tally.outcomes {
		say(&format!("  {kind}: {count}"));
	}
	let done = tally.calls.values().filter(|(done, _)| *done > 0).count();
	say(&format!("calls decoded: {}, of which were done at least once: {done}", tally.calls.len()));
	for (call, (done, failed)) in &tally.calls {
		say(&format!("  {call}: {done} done, {failed} not"));
	}
	for (call, by) in &tally.overweight {
		say(&format!("heavier than declared: {call} weighed {by}"));
	}
	say(&format!("slowest: {} in {} ms", tally.slowest.1, tally.slowest.0.as_millis()));
}

fn save(path: &Path, finding: &Finding) -> Result<()> {
	let mut text = format!("# {}\n", finding.message);
	for input in &finding.inputs {
		text.push_str(&format!("{input}\n"));
	}
	if let Some(folder) = path.parent() {
		fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
	}
	fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// The inputs in a file: one on each line; lines that begin with `#` are comments.
fn read(path: &Path) -> Result<Vec<Input>> {
	let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
	text.lines()
		.filter(|line| !line.starts_with('#') && !line.trim().is_empty())
		.map(str::parse)
		.collect::<Result<_>>()
		.with_context(|| format!("{} is not what this program writes", path.display()))
}

fn again(files: &[PathBuf]) -> Result<ExitCode> {
	let mut code = ExitCode::SUCCESS;
	for path in files {
		match replay(&read(path)?) {
			Ok(()) => say(&format!("{}: fine", path.display())),
			Err((n, message)) => {
				code = ExitCode::FAILURE;
				say(&format!("{}: input {n}: {message}", path.display()));
			},
		}
	}
	Ok(code)
}

#[cfg(test)]
mod tests {
	use super::*;
	use crate::{generate::Generator, input::Speaker, random::Random};
	use codec::DecodeAll;
	use std::collections::BTreeSet;

	/// On a thread with as much stack as the program gives itself.
	fn with_stack<R: Send + 'static>(test: impl FnOnce() -> R + Send + 'static) -> R {
		let thread = thread::Builder::new().stack_size(STACK).spawn(test).expect("a thread starts");
		thread.join().expect("the test passes")
	}

	#[test]
	fn nothing_is_found_in_a_fixed_number_of_inputs() {
		let (tally, findings) = with_stack(|| {
			let campaign = Campaign::new(2026);
			let mut tally = Tally::default();
			let findings: Vec<_> =
				(0..4).filter_map(|batch| campaign.batch(batch, 500, None, &mut tally).err()).collect();
			(tally, findings)
		});
		assert!(findings.is_empty(), "{findings:#?}");
		assert_eq!(tally.inputs, 2_000);
		// It is no fuzzing when nothing gets through.
		let count = |kind: &str| tally.outcomes.get(kind).copied().unwrap_or_default();
		for kind in
			["extrinsic: Done", "extrinsic: Failed", "extrinsic: Undecodable", "call: Done", "call: Failed"]
		{
			assert!(count(kind) > 20, "{kind}: {:?}", tally.outcomes);
		}
	}

	#[test]
	fn same_seed_makes_the_same_inputs() {
		let outcomes = || {
			with_stack(|| {
				let mut tally = Tally::default();
				let found = Campaign::new(7).batch(3, 150, None, &mut tally).err().map(|f| f.message);
				(found, tally.outcomes, tally.calls)
			})
		};
		assert_eq!(outcomes(), outcomes());
	}

	#[test]
	fn what_was_found_before_is_found_no_more() {
		let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz-regressions");
		let mut files: Vec<_> = fs::read_dir(&folder)
			.expect("the folder is there")
			.map(|entry| entry.expect("can be listed").path())
			.filter(|path| path.extension().is_some_and(|e| e == "txt"))
			.collect();
		files.sort();
		assert!(!files.is_empty());
		for path in files {
			let inputs = read(&path).expect("it is a list of inputs");
			let outcome = with_stack(move || replay(&inputs));
			assert_eq!(outcome, Ok(()), "{}", path.display());
		}
	}

	#[test]
	fn every_call_is_generated_and_what_is_generated_mostly_decodes() {
		let generator = Generator::new();
		let mut random = Random::new(1, 1);
		let hints = Default::default();
		let (mut decoded, mut seen) = (0, BTreeSet::new());
		const CALLS: usize = 20_000;
		for _ in 0..CALLS {
			let bytes = generator.call(&mut random, &hints);
			if rt::RuntimeCall::decode_all(&mut &bytes[..]).is_ok() {
				decoded += 1;
				seen.insert((bytes[0], bytes[1]));
			}
		}
		assert!(decoded > CALLS / 2, "{decoded}");
		let never: Vec<_> = generator.calls().into_iter().filter(|call| !seen.contains(call)).collect();
		assert!(never.is_empty(), "{never:?}");
	}

	#[test]
	fn inputs_are_read_as_they_are_written() {
		for input in [
			Input::Block(7),
			Input::Leap(900),
			Input::Extrinsic(vec![1, 2, 255]),
			Input::Call(Speaker::Nobody, vec![0]),
			Input::Call(Speaker::Account(20), vec![]),
			Input::Call(Speaker::Office(3), vec![9; 40]),
			Input::Call(Speaker::Committee(2), vec![1]),
		] {
			assert_eq!(input.to_string().parse::<Input>().expect("reads"), input);
		}
		for wrong in ["", "block", "block x", "call 1 0x00", "call account-x 0x", "extrinsic 0xz", "dance 1"]
		{
			assert!(wrong.parse::<Input>().is_err(), "{wrong}");
		}
	}
}
