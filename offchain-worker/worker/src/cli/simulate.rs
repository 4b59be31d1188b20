//! `cairn-worker simulate`

use super::{args::SimulateArgs, App, CliError};
use crate::output::{Bar, Output};
use cairn_simulator::{
	prepare_folder, End, Results, Round, Run, Simulation, SimulationError, Simulator, Watcher,
};
use serde_json::json;
use std::{
	num::NonZeroUsize,
	path::{Path, PathBuf},
	sync::{
		atomic::{AtomicBool, AtomicUsize, Ordering},
		Arc,
	},
	time::{Duration, Instant},
};
use tokio::signal::unix::{signal, SignalKind};

impl From<SimulationError> for CliError {
	fn from(e: SimulationError) -> Self {
		use SimulationError::{Method, Missing, NotEmpty, Toml, Unknown, Value};
		match e {
			Toml(_) | Missing { .. } | Unknown { .. } | Value { .. } | Method { .. } | NotEmpty(_) => {
				Self::usage(e)
			},
			_ => Self::failed(e),
		}
	}
}

pub(super) async fn run(app: &App, args: SimulateArgs) -> Result<(), CliError> {
	let stop = Arc::new(AtomicBool::new(false));
	stop_on_signals(stop.clone())?;
	let output = app.output.clone();
	tokio::task::spawn_blocking(move || simulate(&output, &args, &stop)).await.map_err(CliError::failed)?
}

fn simulate(output: &Output, args: &SimulateArgs, stop: &AtomicBool) -> Result<(), CliError> {
	let named = |e: SimulationError| match CliError::from(e) {
		CliError::Usage(text) => CliError::Usage(format!("{}: {text}", args.config.display())),
		CliError::Failed(text) => CliError::Failed(format!("{}: {text}", args.config.display())),
	};
	let text = std::fs::read_to_string(&args.config)
		.map_err(|e| CliError::Failed(format!("cannot read {}: {e}", args.config.display())))?;
	let folder = args.config.parent().unwrap_or(Path::new(""));
	let simulation = Simulation::parse(&text, folder).map_err(named)?;
	let simulator = Simulator::new(simulation).map_err(named)?;
	if let (Some(out), false) = (&args.out, args.check) {
		// Before hours are spent on results that could not be kept.
		prepare_folder(out, args.overwrite, &text, simulator.simulation())?;
	}
	let jobs = args.jobs.unwrap_or_else(|| std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN));
	let estimate = simulator.estimate(jobs, stop).map_err(named)?;
	let simulated = simulator.simulation();
	let (time, mebibytes) = (readable(estimate.time), estimate.memory.div_ceil(1 << 20));
	let plan = format!(
		"{} runs ({} methods, {} attacks, {} seeds) of {} rounds with {} workers, {} of them hostile: about {time} on {} \
		 threads, {mebibytes} MiB",
		estimate.runs,
		simulated.methods.len(),
		simulated.attacks.len(),
		simulated.seeds.len(),
		simulated.rounds,
		simulated.workers,
		simulated.hostile,
		jobs.get().min(estimate.runs),
	);
	let Some(out) = args.out.as_ref().filter(|_| !args.check) else {
		let value = json!({ "runs": estimate.runs, "seconds": estimate.time.as_secs_f64(), "bytes": estimate.memory });
		output.result(&value, plan);
		return Ok(());
	};
	tracing::info!("{plan}");
	let rounds = u64::from(simulated.rounds) * estimate.runs as u64;
	let watcher = Progress {
		out: out.clone(),
		bar: output.bar(rounds, "simulating"),
		rounds: simulated.rounds as usize,
		every: simulated.evaluate_every as usize,
		done: AtomicUsize::new(0),
		runs: estimate.runs,
		ended: AtomicUsize::new(0),
		start: Instant::now(),
	};
	let results = simulator.run(jobs, stop, &watcher)?;
	// Also when no run has ended.
	results.write(out)?;
	let complete = results.runs.iter().filter(|run| run.end != End::Interrupted).count();
	if complete < estimate.runs {
		return Err(CliError::Failed(format!(
			"stopped: {complete} of {} runs are complete; what there is lies in {}",
			estimate.runs,
			out.display()
		)));
	}
	let elapsed = watcher.start.elapsed();
	let value = serde_json::to_value(&results).map_err(CliError::failed)?;
	let text = format!(
		"{}\nAccuracy after the last round: mean over the seeds (and the worst of them). {} runs in {}; plots and all \
		 figures are in {}",
		results.table(),
		estimate.runs,
		readable(elapsed),
		out.display()
	);
	output.result(&value, text);
	Ok(())
}

fn readable(time: Duration) -> String {
	let seconds = time.as_secs();
	match seconds {
		0 => format!("{} ms", time.as_millis()),
		1..=119 => format!("{seconds} s"),
		120..=7199 => format!("{} min", seconds.div_ceil(60)),
		_ => format!("{:.1} h", seconds as f64 / 3600.0),
	}
}

/// Writes results whenever a run has ended, and says how far everything is.
struct Progress {
	out: PathBuf,
	bar: Bar,
	rounds: usize,
	every: usize,
	done: AtomicUsize,
	runs: usize,
	ended: AtomicUsize,
	start: Instant,
}

impl Watcher for Progress {
	fn round(&self, _: usize, round: &Round) {
		let step = match round.round as usize % self.every {
			0 => self.every,
			rest => rest,
		};
		let done = self.done.fetch_add(step, Ordering::Relaxed) + step;
		let left = (self.rounds * self.runs).saturating_sub(done);
		let left = self.start.elapsed().mul_f64(left as f64 / done.max(1) as f64);
		self.bar.set(done as u64, format!("rounds, {} left", readable(left)));
	}

	fn ended(&self, run: &Run, results: &Results) -> Result<(), SimulationError> {
		results.write(&self.out)?;
		let ended = self.ended.fetch_add(1, Ordering::Relaxed) + 1;
		let accuracy = run.rounds.last().map_or(f64::NAN, |r| r.accuracy);
		let end = match &run.end {
			End::Completed if run.failed_rounds > 0 => format!(", {} rounds failed", run.failed_rounds),
			End::Completed => String::new(),
			End::Interrupted => ", stopped".into(),
			End::Lost { round, reason } => format!(", lost in round {round}: {reason}"),
		};
		tracing::info!(
			"run {ended} of {}: {} under {}, seed {}: accuracy {accuracy:.4}{end}",
			self.runs,
			run.method,
			run.attack,
			run.seed
		);
		Ok(())
	}
}

/// The first signal lets runs end where they are; the second ends everything.
fn stop_on_signals(stop: Arc<AtomicBool>) -> Result<(), CliError> {
	let listen = |kind| signal(kind).map_err(|e| CliError::Failed(format!("cannot listen for signals: {e}")));
	let (mut interrupt, mut terminate) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
	tokio::spawn(async move {
		loop {
			tokio::select! {
				_ = interrupt.recv() => {},
				_ = terminate.recv() => {},
			}
			if stop.swap(true, Ordering::Relaxed) {
				std::process::exit(130);
			}
			tracing::info!("stopping; once more to lose what is not written yet");
		}
	});
	Ok(())
}
