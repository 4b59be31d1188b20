//! Who is hostile, and what goes wrong when: all of it a function of the seed and the number of rounds.

use crate::worker::Attack;
use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};
use std::{fmt, time::Duration};

/// Validators: one may be cut off and three of four still finalise.
pub const VALIDATORS: usize = 4;
/// Workers. All of them train.
pub const WORKERS: usize = 10;
/// How many of them are aggregators: the first ones.
pub const AGGREGATORS: usize = 6;
/// The honest workers. Those below [`AGGREGATORS`] are on committees, too.
pub const HONEST: [usize; 5] = [0, 1, 2, 3, 6];
/// The aggregator that lies about the aggregate.
pub const LIAR: usize = 4;
/// The aggregator that serves wrong bytes.
pub const SPOILER: usize = 5;
/// The trainers whose updates have the other sign, and are this many times as long: two of them outweigh the others in
/// a mean.
pub const FLIPPERS: [usize; 2] = [7, 8];
/// How many times as long.
pub const TIMES: u8 = 4;
/// The trainer whose updates are not numbers.
pub const NOT_A_NUMBER: usize = 9;

/// What the hostile workers do.
pub fn attacks() -> Vec<(usize, Attack)> {
	let mut attacks: Vec<_> = FLIPPERS.map(|worker| (worker, Attack::SignFlip(TIMES))).into();
	attacks.push((LIAR, Attack::FalseAggregate));
	attacks.push((SPOILER, Attack::WrongBytes));
	attacks.push((NOT_A_NUMBER, Attack::NotANumber));
	attacks
}

/// Something that goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
	/// A worker is killed with SIGKILL, this long after the round opened, and started again after `down`.
	KillWorker {
		/// Which.
		worker: usize,
		/// When.
		after: Duration,
		/// For how long.
		down: Duration,
	},
	/// The same for a validator.
	KillValidator {
		/// Which.
		validator: usize,
		/// When.
		after: Duration,
		/// For how long.
		down: Duration,
	},
	/// A worker's cable is pulled, and plugged in again after `down`.
	Unplug {
		/// Which.
		worker: usize,
		/// When.
		after: Duration,
		/// For how long.
		down: Duration,
	},
	/// The network splits as the round opens. Three validators go on on one side; the others have no finality until two
	/// rounds are settled and the network heals.
	Split {
		/// The validator on the smaller side.
		validator: usize,
		/// The workers there.
		workers: Vec<usize>,
		/// How many rounds.
		rounds: u32,
	},
	/// The network splits in the middle as the round opens: two validators on each side, so that nothing is finalised
	/// anywhere until it heals.
	Halves {
		/// The validators that go with the second half, besides the last one.
		validator: usize,
		/// The workers that do.
		workers: Vec<usize>,
		/// For how long.
		down: Duration,
	},
}

fn name(worker: usize) -> String {
	format!("worker-{}", worker + 1)
}

fn names(workers: &[usize]) -> String {
	workers.iter().map(|w| name(*w)).collect::<Vec<_>>().join(", ")
}

impl fmt::Display for Fault {
	fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
		match self {
			Self::KillWorker { worker, after, down } => {
				let role = if *worker < AGGREGATORS { "aggregator" } else { "trainer" };
				let (after, down) = (after.as_secs(), down.as_secs());
				write!(f, "after {after} s {role} {} is killed, for {down} s", name(*worker))
			},
			Self::KillValidator { validator, after, down } => {
				let (after, down) = (after.as_secs(), down.as_secs());
				write!(f, "after {after} s validator-{} is killed, for {down} s", validator + 1)
			},
			Self::Unplug { worker, after, down } => {
				let (after, down) = (after.as_secs(), down.as_secs());
				write!(f, "after {after} s the cable of {} is pulled, for {down} s", name(*worker))
			},
			Self::Split { validator, workers, rounds } => {
				write!(
					f,
					"the network splits for {rounds} rounds: validator-{}, {} against the rest",
					validator + 1,
					names(workers)
				)
			},
			Self::Halves { validator, workers, down } => write!(
				f,
				"the network splits in halves for {} s: validator-{}, validator-{VALIDATORS}, {} against the rest",
				down.as_secs(),
				validator + 1,
				names(workers)
			),
		}
	}
}

/// Everything that goes wrong in a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
	/// The seed that it is made of.
	pub seed: u64,
	/// Rounds to finalise.
	pub rounds: u32,
	/// In which round what goes wrong, in order.
	pub faults: Vec<(u32, Fault)>,
}

/// The fewest rounds that the split fits into, with one before it. Another one follows the heal in any case.
pub const LEAST_ROUNDS: u32 = 3;

struct Dice(ChaCha8Rng);

impl Dice {
	/// From `from` to `to`, both included. What the remainder of a division by so small a number favours does not matter.
	fn between(&mut self, from: u64, to: u64) -> u64 {
		from + self.0.next_u64() % (to - from + 1)
	}

	fn seconds(&mut self, from: u64, to: u64) -> Duration {
		Duration::from_secs(self.between(from, to))
	}

	fn one_of(&mut self, list: &[usize]) -> usize {
		list[self.between(0, list.len() as u64 - 1) as usize]
	}
}

impl Plan {
	/// The plan of a seed.
	///
	/// Round 0: a trainer and an aggregator are killed. Rounds 1 and 2: the network is split, with a trainer, a validator
	/// and sometimes an aggregator on the smaller side. After that each round has one more fault, of any kind, until two
	/// rounds before the end, so that everybody is back when it is over; no two of them are at work at a time for long.
	pub fn new(seed: u64, rounds: u32) -> Self {
		let mut dice = Dice(ChaCha8Rng::seed_from_u64(seed));
		// Worker 1 stays: the others find each other through it when they start.
		let aggregators: Vec<usize> = HONEST[1..].iter().copied().filter(|w| *w < AGGREGATORS).collect();
		let trainers: Vec<usize> = HONEST[1..].iter().copied().filter(|w| *w >= AGGREGATORS).collect();
		// Validator 1 is the one that the run is watched through.
		let validators: Vec<usize> = (1..VALIDATORS).collect();
		let (trainer, aggregator) = (dice.one_of(&trainers), dice.one_of(&aggregators));
		let mut faults = Vec::new();
		for worker in [trainer, aggregator] {
			let (after, down) = (dice.seconds(0, 15), dice.seconds(1, 8));
			faults.push((0, Fault::KillWorker { worker, after, down }));
		}
		let split = |dice: &mut Dice| {
			let mut workers = vec![dice.one_of(&trainers)];
			if dice.between(0, 1) == 1 {
				workers.push(dice.one_of(&aggregators));
			}
			Fault::Split { validator: dice.one_of(&validators), workers, rounds: 2 }
		};
		faults.push((1, split(&mut dice)));
		// Until when the network is split, at the least.
		let mut split_until = 0;
		for round in LEAST_ROUNDS + 1..rounds.saturating_sub(1) {
			let (after, down) = (dice.seconds(0, 25), dice.seconds(1, 40));
			let worker = dice.one_of(&HONEST[1..]);
			let kind = match dice.between(0, 9) {
				8 | 9 if round < split_until => 0,
				kind => kind,
			};
			if kind > 7 {
				split_until = round + 4;
			}
			faults.push((
				round,
				match kind {
					0..=3 => Fault::KillWorker { worker, after, down },
					4..=5 => Fault::KillValidator { validator: dice.one_of(&validators), after, down },
					6..=7 => Fault::Unplug { worker, after, down },
					8 => split(&mut dice),
					_ => Fault::Halves {
						validator: dice.one_of(&validators[..VALIDATORS - 2]),
						workers: vec![dice.one_of(&aggregators), dice.one_of(&trainers), LIAR],
						down: dice.seconds(20, 60),
					},
				},
			));
		}
		Self { seed, rounds, faults }
	}

	/// What goes wrong as this round opens, or after it has.
	pub fn of_round(&self, round: u32) -> impl Iterator<Item = &Fault> {
		self.faults.iter().filter(move |(r, _)| *r == round).map(|(_, fault)| fault)
	}
}

impl fmt::Display for Plan {
	fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
		let honest = names(&HONEST);
		writeln!(f, "seed {}, {} rounds. Honest: {honest}", self.seed, self.rounds)?;
		for (worker, attack) in attacks() {
			writeln!(f, "  hostile: {} ({attack})", name(worker))?;
		}
		for (round, fault) in &self.faults {
			writeln!(f, "  round {round}: {fault}")?;
		}
		Ok(())
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn plan_is_a_function_of_the_seed() {
		assert_eq!(Plan::new(7, 20), Plan::new(7, 20));
		assert_ne!(Plan::new(7, 20).faults, Plan::new(8, 20).faults);
		// More rounds only add to it.
		let (short, long) = (Plan::new(7, 6), Plan::new(7, 30));
		assert_eq!(short.faults[..], long.faults[..short.faults.len()]);
	}

	#[test]
	fn every_plan_kills_a_trainer_and_an_aggregator_and_splits_the_network_for_two_rounds() {
		for seed in 0..100 {
			let plan = Plan::new(seed, LEAST_ROUNDS);
			let killed = |aggregator: bool| {
				plan.faults.iter().any(|(_, fault)| match fault {
					Fault::KillWorker { worker, .. } => (*worker < AGGREGATORS) == aggregator,
					_ => false,
				})
			};
			assert!(killed(true) && killed(false), "{plan}");
			assert!(plan.faults.iter().any(|(_, f)| matches!(f, Fault::Split { rounds: 2, .. })), "{plan}");
		}
	}

	#[test]
	fn hostile_workers_are_never_among_those_that_are_hurt() {
		let attackers: Vec<usize> = attacks().iter().map(|(worker, _)| *worker).collect();
		assert!(HONEST.iter().all(|w| !attackers.contains(w)));
		assert_eq!(HONEST.len() + attackers.len(), WORKERS);
		for seed in 0..100 {
			for (_, fault) in Plan::new(seed, 60).faults {
				match fault {
					Fault::KillWorker { worker, .. } | Fault::Unplug { worker, .. } => {
						assert!(worker > 0 && HONEST.contains(&worker));
					},
					Fault::KillValidator { validator, .. } => assert!((1..VALIDATORS).contains(&validator)),
					Fault::Split { validator, workers, .. } => {
						assert!((1..VALIDATORS).contains(&validator) && workers.iter().all(|w| *w > 0));
					},
					Fault::Halves { validator, .. } => assert!((1..VALIDATORS - 1).contains(&validator)),
				}
			}
		}
	}
}
