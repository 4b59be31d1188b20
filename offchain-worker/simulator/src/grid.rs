//! All runs of a simulation: methods × attacks × seeds, several at a time.

use crate::{
	config::{AttackKind, Simulation},
	results::{Results, Round, Run},
	run::{run, try_methods, Data, RunId},
	SimulationError,
};
use cairn_training::{load, load_all, DataSource, Dataset, Splits};
use std::{
	num::NonZeroUsize,
	sync::{
		atomic::{AtomicBool, AtomicUsize, Ordering},
		Mutex, PoisonError,
	},
	thread,
	time::{Duration, Instant},
};

/// A simulation with its data.
pub struct Simulator {
	simulation: Simulation,
	data: Data,
}

/// What a simulation takes.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Estimate {
	/// How many runs there are.
	pub runs: usize,
	/// How long they take, by the time that two rounds of the first one took.
	pub time: Duration,
	/// How much memory they need, in bytes, beside libtorch itself.
	pub memory: u64,
}

/// What happens while runs go on.
pub trait Watcher: Sync {
	/// A round was measured.
	fn round(&self, run: usize, round: &Round);
	/// A run ended. `results` are those so far; calls do not overlap.
	///
	/// # Errors
	/// When it cannot keep them: then nothing more is run.
	fn ended(&self, run: &Run, results: &Results) -> Result<(), SimulationError>;
}

impl Simulator {
	/// Loads the data, and lets every method try whether it can aggregate the updates of so many workers.
	///
	/// # Errors
	/// Names the key that is wrong, the file that cannot be read, or the method and why aggregation refuses it.
	pub fn new(simulation: Simulation) -> Result<Self, SimulationError> {
		try_methods(&simulation)?;
		let refused = |key: &'static str| {
			let help_text = simulation.data_help.clone();
			move |error| SimulationError::Data { key, error, help_text }
		};
		let whole = |key, source: &DataSource| load_all(source).map_err(refused(key));
		let data = match &simulation.test {
			Some(test) => Data { train: whole("data", &simulation.data)?, held_out: whole("test", test)? },
			None => {
				let Splits { train, held_out } = load(&simulation.data).map_err(refused("data"))?;
				Data { train, held_out }
			},
		};
		Ok(Self { simulation, data })
	}

	/// What it simulates.
	pub fn simulation(&self) -> &Simulation {
		&self.simulation
	}

	/// The runs, in the order of methods, attacks and seeds.
	pub fn runs(&self) -> Vec<RunId> {
		let Simulation { methods, attacks, seeds, .. } = &self.simulation;
		let mut runs = Vec::new();
		for method in 0..methods.len() {
			for attack in 0..attacks.len() {
				runs.extend(seeds.iter().map(|seed| RunId { method, attack, seed: *seed }));
			}
		}
		runs
	}

	/// Does two rounds of the first run, and works out from them what all runs take on `jobs` threads.
	///
	/// # Errors
	/// When these rounds fail: data that do not fit the model, or too few of them.
	pub fn estimate(&self, jobs: NonZeroUsize, stop: &AtomicBool) -> Result<Estimate, SimulationError> {
		let short = Simulation { rounds: 2, evaluate_every: 1, ..self.simulation.clone() };
		let runs = self.runs();
		let start = Instant::now();
		let times = Mutex::new(Vec::new());
		run(&short, &self.data, runs[0], stop, &|_| {
			times.lock().unwrap_or_else(PoisonError::into_inner).push(start.elapsed());
		})?;
		let times = times.into_inner().unwrap_or_else(PoisonError::into_inner);
		let (one, two) = match times[..] {
			[one, two] => (one, two - one),
			_ => (start.elapsed(), start.elapsed()),
		};
		let each = one + two * self.simulation.rounds.saturating_sub(1);
		let rows = runs.len().div_ceil(jobs.get()) as u32;
		Ok(Estimate {
			runs: runs.len(),
			time: each * rows,
			memory: self.memory(jobs.get().min(runs.len()) as u64),
		})
	}

	fn memory(&self, jobs: u64) -> u64 {
		let bytes = |data: &Dataset| 4 * data.features().len() as u64;
		let Simulation { workers, hostile, training, attacks, .. } = &self.simulation;
		let (workers, hostile) = (u64::from(*workers), u64::from(*hostile));
		let model = 4 * training.parameter_count() as u64;
		// As trained, as sent, as checked, as a plain vector; and twice as wide where distances are looked at.
		let distances = |k: &AttackKind| matches!(k, AttackKind::MinMax { .. } | AttackKind::MinSum { .. });
		let updates = if attacks.iter().any(|a| distances(&a.kind)) { 6 } else { 4 };
		let own = bytes(&self.data.train) * (workers + hostile) / workers + bytes(&self.data.held_out);
		let each = own + workers * updates * model + 8 * model;
		bytes(&self.data.train) + bytes(&self.data.held_out) + jobs * each
	}

	/// Does all runs on up to `jobs` threads, until `stop` is set: then runs end where they are, which is part of the
	/// results. How many threads there are changes nothing but the time.
	///
	/// # Errors
	/// When a run fails for another reason than its method or attack, or the watcher does. What ended before has been
	/// told to the watcher.
	pub fn run(
		&self,
		jobs: NonZeroUsize,
		stop: &AtomicBool,
		watcher: &dyn Watcher,
	) -> Result<Results, SimulationError> {
		let runs = self.runs();
		let next = AtomicUsize::new(0);
		let failed = AtomicBool::new(false);
		struct Shared {
			ended: Vec<Option<Run>>,
			error: Option<SimulationError>,
		}
		let shared = Mutex::new(Shared { ended: vec![None; runs.len()], error: None });
		let results = |ended: &[Option<Run>]| {
			let mut results = Results::new(&self.simulation);
			results.runs = ended.iter().flatten().cloned().collect();
			results
		};
		let work = || {
			while !stop.load(Ordering::Relaxed) && !failed.load(Ordering::Relaxed) {
				let number = next.fetch_add(1, Ordering::Relaxed);
				let Some(id) = runs.get(number) else { return };
				let outcome =
					run(&self.simulation, &self.data, *id, stop, &|round| watcher.round(number, round));
				let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
				let told = outcome.and_then(|run| {
					shared.ended[number] = Some(run.clone());
					watcher.ended(&run, &results(&shared.ended))
				});
				if let Err(error) = told {
					failed.store(true, Ordering::Relaxed);
					shared.error.get_or_insert(error);
				}
			}
		};
		thread::scope(|scope| {
			for _ in 0..jobs.get().min(runs.len()) {
				scope.spawn(work);
			}
		});
		let shared = shared.into_inner().unwrap_or_else(PoisonError::into_inner);
		match shared.error {
			Some(error) => Err(error),
			None => Ok(results(&shared.ended)),
		}
	}
}
