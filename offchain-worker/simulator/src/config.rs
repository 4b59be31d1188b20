//! The configuration of a simulation. The README explains every key.

use crate::{
	attacks::{little_is_enough_z, Perturbation},
	fields::Fields,
	SimulationError,
};
use cairn_aggregation::{AggregationRule, Normalisation, ServerOptimiser};
use cairn_training::{DataSource, Device, TrainingConfig, DEFAULT_ALPHA, DIGITS_CNN, DIGITS_MLP, MNIST_CNN};
use std::{
	fs,
	path::{Path, PathBuf},
};
use toml::Table;

/// The most workers, rounds and so on of one simulation; more is a slip of the pen.
const MANY: u32 = 1_000_000;

/// Everything that a simulation does.
#[derive(Clone, Debug)]
pub struct Simulation {
	/// Title of the plots.
	pub title: String,
	/// The model file's text.
	pub model_text: String,
	/// What every worker does with its data.
	pub training: TrainingConfig,
	/// What workers train on, and what is held out of it where `test` is not given.
	pub data: DataSource,
	/// What weights are measured on, where that is not a held-out part of `data`.
	pub test: Option<DataSource>,
	/// Where the data come from: shown when they are missing.
	pub data_help: String,
	/// Where to train.
	pub device: Device,
	/// Rounds per run.
	pub rounds: u32,
	/// Weights are measured after every so many rounds, and after the last.
	pub evaluate_every: u32,
	/// One run each for every method and attack.
	pub seeds: Vec<u64>,
	/// How many workers there are.
	pub workers: u32,
	/// How many of them are hostile.
	pub hostile: u32,
	/// The local steps of the first worker, of the second, and so on, from the beginning again for the workers after
	/// these; those of the model file where there are none.
	pub local_steps: Vec<u32>,
	/// How the data are shared out among the honest workers.
	pub partition: Share,
	/// The share of its samples that each class keeps more than the next.
	pub long_tail: Option<f64>,
	/// What to compare.
	pub methods: Vec<Method>,
	/// Under which attacks.
	pub attacks: Vec<Attack>,
}

/// How data are shared out.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Share {
	/// Evenly, at random.
	Iid,
	/// By a Dirichlet draw of this concentration per class.
	Dirichlet(f64),
	/// Sorted by label.
	Sorted,
}

/// A way to aggregate.
#[derive(Clone, PartialEq, Debug)]
pub struct Method {
	/// What tables and plots call it.
	pub name: String,
	/// The rule.
	pub rule: AggregationRule,
	/// What makes up for different numbers of local steps, where something does.
	pub normalisation: Option<Normalisation>,
	/// Updates per bucket, where they are averaged before the rule.
	pub bucketing: Option<u32>,
	/// Hostile rows that mixing is to withstand, where there is mixing.
	pub mixing: Option<u32>,
	/// What makes next weights of the aggregate.
	pub optimiser: ServerOptimiser,
}

/// What hostile workers do.
#[derive(Clone, PartialEq, Debug)]
pub struct Attack {
	/// What tables and plots call it.
	pub name: String,
	/// What it is.
	pub kind: AttackKind,
}

/// An attack with its numbers: see [`crate::attacks`] and the README.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum AttackKind {
	/// Everybody is honest.
	None,
	/// The opposite of an honest update.
	SignFlip {
		/// How many times as long.
		scale: f64,
	},
	/// What training on turned labels gives: class *y* becomes classes − 1 − *y*.
	LabelFlip,
	/// Against the honest mean.
	InnerProduct {
		/// How many times as long as the mean.
		epsilon: f64,
	},
	/// The honest mean, moved within what honest updates deviate from it.
	LittleIsEnough {
		/// By how many standard deviations in each coordinate.
		z: f64,
	},
	/// What one honest worker sends.
	Mimic {
		/// In how many rounds it is still being found out whom to copy.
		warm_up: u32,
	},
	/// As far from the honest mean as no honest update is further from it than two honest ones are apart.
	MinMax {
		/// In which direction.
		perturbation: Perturbation,
	},
	/// As far from the honest mean as the sum of squared distances allows.
	MinSum {
		/// In which direction.
		perturbation: Perturbation,
	},
	/// What training with a trigger gives.
	Backdoor(Backdoor),
	/// Normal noise.
	Noise {
		/// Its standard deviation.
		deviation: f64,
	},
	/// Nothing but NaN.
	NotANumber,
}

/// A scaled backdoor: Bagdasaryan and others 2020, "How To Backdoor Federated Learning", with a trigger as in Gu and
/// others 2017, "BadNets".
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Backdoor {
	/// The class that samples with the trigger are to be taken for.
	pub target: u32,
	/// Side of the square in the last corner of an image that is the trigger.
	pub trigger: u32,
	/// What share of the hostile workers' samples has it.
	pub poisoned: f64,
	/// What the update is multiplied by.
	pub scale: f64,
}

/// Words for the attacks.
const ATTACKS: [&str; 11] = [
	"none",
	"sign-flip",
	"label-flip",
	"ipm",
	"alie",
	"mimic",
	"min-max",
	"min-sum",
	"backdoor",
	"noise",
	"nan",
];
const RULES: [&str; 7] = [
	"weighted-mean",
	"trimmed-mean",
	"median",
	"krum",
	"multi-krum",
	"geometric-median",
	"centered-clipping",
];

impl Simulation {
	/// Reads a configuration file. Paths in it are relative to the folder that it lies in.
	///
	/// # Errors
	/// Names the key that is wrong, and what may stand there, or the file that cannot be read.
	pub fn read(path: &Path) -> Result<Self, SimulationError> {
		let text = fs::read_to_string(path).map_err(|error| SimulationError::File {
			verb: "read",
			path: path.to_owned(),
			key: "",
			error,
		})?;
		Self::parse(&text, path.parent().unwrap_or(Path::new("")))
	}

	/// Reads a configuration whose paths are relative to `folder`.
	///
	/// # Errors
	/// As [`Self::read`].
	pub fn parse(text: &str, folder: &Path) -> Result<Self, SimulationError> {
		let table: Table = text
			.parse()
			.map_err(|e: toml::de::Error| SimulationError::Toml(e.to_string().trim_end().to_owned()))?;
		let top = Fields::new("", &table);
		let title = top.text("title")?.unwrap_or("Accuracy by aggregation method and attack").to_owned();
		let (model_text, training) = model(&top, folder)?;
		let data = source(&top, "data", folder)?.unwrap_or(DataSource::Digits);
		let test = source(&top, "test", folder)?;
		let data_help = top.text("data_help")?.unwrap_or_default().to_owned();
		let device = top.text("device")?.unwrap_or("cpu");
		let device = device.parse().map_err(|_| top.refused("device", device, "cpu, cuda or cuda:NUMBER"))?;
		let rounds = top
			.count("rounds", 1, MANY)?
			.ok_or_else(|| top.missing("rounds", "how many rounds a run has"))?;
		let evaluate_every = top.count("evaluate_every", 1, MANY)?.unwrap_or(1);
		let seeds = top.wholes("seeds")?.unwrap_or_else(|| vec![1]);
		distinct(&top, "seeds", seeds.iter().map(ToString::to_string))?;

		let place =
			top.table("workers")?.ok_or_else(|| top.missing("workers", "a table [workers] with `count`"))?;
		let workers = place.count("count", 1, 10_000)?;
		let workers = workers.ok_or_else(|| place.missing("count", "how many workers there are"))?;
		let hostile = place.count("hostile", 0, workers - 1)?.unwrap_or(0);
		let alpha = place.number("alpha", false, 1e-3, 1e6)?;
		let partition = match place.choice("partition", &["iid", "dirichlet", "sorted"])? {
			"dirichlet" => Share::Dirichlet(alpha.unwrap_or(DEFAULT_ALPHA)),
			_ if alpha.is_some() => {
				return Err(place.refused(
					"alpha",
					"there",
					"left out unless `workers.partition` is \"dirichlet\"",
				))
			},
			"sorted" => Share::Sorted,
			_ => Share::Iid,
		};
		let long_tail = place.number("long_tail", true, 0.0, 1.0)?;
		let local_steps = local_steps(&place)?;
		place.finish("[workers]")?;

		let crew = Crew { workers, hostile, classes: training.classes };
		let methods = top.tables("method")?.iter().map(|m| method(m, crew)).collect::<Result<Vec<_>, _>>()?;
		if methods.is_empty() {
			return Err(top.missing("method", "at least one table [[method]] with a `rule`"));
		}
		distinct(&top, "method", methods.iter().map(|m| m.name.clone()))?;
		let mut attacks =
			top.tables("attack")?.iter().map(|a| attack(a, crew)).collect::<Result<Vec<_>, _>>()?;
		if attacks.is_empty() {
			attacks.push(Attack { name: "none".into(), kind: AttackKind::None });
		}
		distinct(&top, "attack", attacks.iter().map(|a| a.name.clone()))?;
		top.finish("a simulation")?;
		Ok(Self {
			title,
			model_text,
			training,
			data,
			test,
			data_help,
			device,
			rounds,
			evaluate_every,
			seeds,
			workers,
			hostile,
			local_steps,
			partition,
			long_tail,
			methods,
			attacks,
		})
	}

	/// The local steps that a worker takes, counted from 0; the honest workers come first.
	pub fn steps_of(&self, worker: u32) -> u32 {
		let own = self.local_steps.iter().cycle().nth(worker as usize);
		own.copied().unwrap_or(self.training.local_steps)
	}
}

impl Method {
	/// The method in the notation of `cairn-worker programme init`, so that what was tried out is what is voted on.
	pub fn flags(&self) -> String {
		let mut flags = format!("--rule {}", self.rule);
		if let Some(normalisation) = self.normalisation {
			flags += &format!(" --normalisation {normalisation}");
		}
		if let Some(size) = self.bucketing {
			flags += &format!(" --bucketing {size}");
		}
		if let Some(hostile) = self.mixing {
			flags += &format!(" --mixing {hostile}");
		}
		if self.optimiser != ServerOptimiser::PLAIN {
			flags += &format!(" --server-optimiser {}", self.optimiser);
		}
		flags
	}
}

/// Who takes part.
#[derive(Clone, Copy)]
struct Crew {
	workers: u32,
	hostile: u32,
	classes: u32,
}

fn distinct(top: &Fields<'_>, key: &str, names: impl Iterator<Item = String>) -> Result<(), SimulationError> {
	let mut seen = Vec::new();
	for name in names {
		if seen.contains(&name) {
			return Err(top.refused(
				key,
				format!("\"{name}\" twice"),
				"different each time; give one another `name`",
			));
		}
		seen.push(name);
	}
	Ok(())
}

fn model(top: &Fields<'_>, folder: &Path) -> Result<(String, TrainingConfig), SimulationError> {
	let remedy = "digits-mlp, digits-cnn or mnist-cnn (shipped), or the path of a model file";
	let text = match top.text("model")?.ok_or_else(|| top.missing("model", remedy))? {
		"digits-mlp" => DIGITS_MLP.to_owned(),
		"digits-cnn" => DIGITS_CNN.to_owned(),
		"mnist-cnn" => MNIST_CNN.to_owned(),
		path => {
			let path = folder.join(path);
			let refused =
				|error| SimulationError::File { verb: "read", path: path.clone(), key: "model", error };
			fs::read_to_string(&path).map_err(refused)?
		},
	};
	let config = TrainingConfig::from_toml(&text).map_err(|e| SimulationError::Model(e.to_string()))?;
	Ok((text, config))
}

fn source(top: &Fields<'_>, key: &'static str, folder: &Path) -> Result<Option<DataSource>, SimulationError> {
	let Some(text) = top.text(key)? else { return Ok(None) };
	let join = |path: PathBuf| folder.join(path);
	Ok(Some(
		match text.parse().map_err(|error| SimulationError::Data { key, error, help_text: String::new() })? {
			DataSource::Digits => DataSource::Digits,
			DataSource::Csv { path, options } => DataSource::Csv { path: join(path), options },
			DataSource::Idx { images, labels, divisor } => {
				DataSource::Idx { images: join(images), labels: join(labels), divisor }
			},
		},
	))
}

fn local_steps(place: &Fields<'_>) -> Result<Vec<u32>, SimulationError> {
	let numbers = place.wholes("local_steps")?.unwrap_or_default();
	let count = |n: &u64| u32::try_from(*n).ok().filter(|n| (1..=MANY).contains(n));
	numbers.iter().map(count).collect::<Option<_>>().ok_or_else(|| {
		let allowed = format!("a list of whole numbers from 1 to {MANY}, such as [20, 60]");
		place.refused("local_steps", format!("{numbers:?}"), allowed)
	})
}

fn normalisation(table: &Fields<'_>) -> Result<Option<Normalisation>, SimulationError> {
	let Some(text) = table.text("normalisation")? else { return Ok(None) };
	text.parse::<Normalisation>().map(Some).map_err(|_| {
		let allowed = "\"mean:CAP\", or \"median:CAP\" for robust rules, such as \"median:4\"";
		table.refused("normalisation", format!("\"{text}\""), allowed)
	})
}

fn method(table: &Fields<'_>, crew: Crew) -> Result<Method, SimulationError> {
	let kind = table.required("rule", &RULES)?;
	let normalisation = normalisation(table)?;
	let bucketing = table.count("bucketing", 1, MANY)?;
	let rows = crew.workers.div_ceil(bucketing.unwrap_or(1));
	let hostile = || Ok::<_, SimulationError>(table.count("hostile", 0, MANY)?.unwrap_or(crew.hostile));
	let rule = match kind {
		"weighted-mean" => AggregationRule::WeightedMean,
		"trimmed-mean" => {
			AggregationRule::TrimmedMean { trim: table.count("trim", 0, MANY)?.unwrap_or(crew.hostile) }
		},
		"median" => AggregationRule::CoordinateMedian,
		"krum" => AggregationRule::Krum { hostile: hostile()? },
		"multi-krum" => {
			let hostile = hostile()?;
			let selected = table.count("selected", 1, MANY)?.unwrap_or(rows.saturating_sub(hostile).max(1));
			AggregationRule::MultiKrum { hostile, selected }
		},
		"geometric-median" => AggregationRule::GeometricMedian {
			smoothing: table.millionths("smoothing", 100_000, 1e9)?,
			iterations: table.count("iterations", 1, MANY)?.unwrap_or(8),
		},
		_ => AggregationRule::CenteredClipping {
			radius: table.millionths("radius", 10_000_000, 1e9)?,
			iterations: table.count("iterations", 1, MANY)?.unwrap_or(3),
		},
	};
	let mixing = match table.flag("mixing")? {
		Some(true) => Some(table.count("mixing_hostile", 0, MANY)?.unwrap_or(crew.hostile)),
		_ => None,
	};
	let optimiser = table.table("optimiser")?.map(|o| optimiser(&o)).transpose()?.unwrap_or_default();
	let default = || {
		let mut name = kind.to_owned();
		if normalisation.is_some() {
			name += " + normalisation";
		}
		if let Some(size) = bucketing {
			name += &format!(" + bucketing {size}");
		}
		if mixing.is_some() {
			name += " + mixing";
		}
		name
	};
	let name = table.text("name")?.map_or_else(default, str::to_owned);
	table.finish(&format!("a method with the rule \"{kind}\""))?;
	Ok(Method { name, rule, normalisation, bucketing, mixing, optimiser })
}

fn optimiser(table: &Fields<'_>) -> Result<ServerOptimiser, SimulationError> {
	let below_one = 999_999.0 / 1e6;
	let decay = |key, default| {
		Ok::<_, SimulationError>(
			table.number(key, false, 0.0, below_one)?.map_or(default, |n| (n * 1e6).round() as u32),
		)
	};
	let kind = table.required("kind", &["sgd", "nesterov", "adam"])?;
	// Rates of at most 4,000 fit 32 bits in millionths.
	let rate = |default| Ok::<_, SimulationError>(table.millionths("rate", default, 4000.0)? as u32);
	let optimiser = match kind {
		"sgd" => ServerOptimiser::Sgd { rate: rate(1_000_000)? },
		"nesterov" => {
			ServerOptimiser::Nesterov { rate: rate(700_000)?, momentum: decay("momentum", 900_000)? }
		},
		_ => ServerOptimiser::Adam {
			rate: rate(10_000)?,
			beta1: decay("beta1", 900_000)?,
			beta2: decay("beta2", 990_000)?,
			epsilon: (table.number("epsilon", true, 0.0, 1.0)?.unwrap_or(1e-3) * 1e12).round().max(1.0)
				as u64,
		},
	};
	table.finish(&format!("an optimiser of kind \"{kind}\""))?;
	Ok(optimiser)
}

fn attack(table: &Fields<'_>, crew: Crew) -> Result<Attack, SimulationError> {
	let word = table.required("kind", &ATTACKS)?;
	let perturbation = || {
		Ok::<_, SimulationError>(match table.choice("perturbation", &["deviation", "unit", "sign"])? {
			"unit" => Perturbation::Unit,
			"sign" => Perturbation::Sign,
			_ => Perturbation::Deviation,
		})
	};
	let kind = match word {
		"none" => AttackKind::None,
		"sign-flip" => AttackKind::SignFlip { scale: table.number("scale", true, 0.0, 1e9)?.unwrap_or(1.0) },
		"label-flip" => AttackKind::LabelFlip,
		"ipm" => {
			AttackKind::InnerProduct { epsilon: table.number("epsilon", true, 0.0, 1e9)?.unwrap_or(0.1) }
		},
		"alie" => {
			let z =
				table.number("z", false, -100.0, 100.0)?.or(little_is_enough_z(crew.workers, crew.hostile));
			let Crew { workers, hostile, .. } = crew;
			AttackKind::LittleIsEnough {
				z: z.ok_or_else(|| {
					table.missing(
						"z",
						format!(
							"a number: the formula gives none for {hostile} hostile of {workers} workers"
						),
					)
				})?,
			}
		},
		"mimic" => AttackKind::Mimic { warm_up: table.count("warm_up", 1, MANY)?.unwrap_or(10) },
		"min-max" => AttackKind::MinMax { perturbation: perturbation()? },
		"min-sum" => AttackKind::MinSum { perturbation: perturbation()? },
		"backdoor" => AttackKind::Backdoor(Backdoor {
			target: table.count("target", 0, crew.classes - 1)?.unwrap_or(0),
			trigger: table.count("trigger", 1, 65_536)?.unwrap_or(2),
			poisoned: table.number("poisoned", true, 0.0, 1.0)?.unwrap_or(0.5),
			// What replaces the model where updates are averaged.
			scale: table
				.number("scale", true, 0.0, 1e9)?
				.unwrap_or(f64::from(crew.workers) / f64::from(crew.hostile.max(1))),
		}),
		"noise" => {
			AttackKind::Noise { deviation: table.number("deviation", true, 0.0, 1e30)?.unwrap_or(1.0) }
		},
		_ => AttackKind::NotANumber,
	};
	let name = table.text("name")?.unwrap_or(word).to_owned();
	table.finish(&format!("an attack of kind \"{word}\""))?;
	if kind != AttackKind::None && crew.hostile == 0 {
		return Err(table.refused(
			"kind",
			format!("\"{word}\""),
			"\"none\" unless `workers.hostile` is at least 1",
		));
	}
	Ok(Attack { name, kind })
}

#[cfg(test)]
mod tests {
	#![allow(clippy::unwrap_used)]
	use super::*;

	fn flags(method: &str) -> String {
		let text = format!(
			"model = \"digits-mlp\"\nrounds = 1\n[workers]\ncount = 10\nhostile = 3\n[[method]]\n{method}"
		);
		Simulation::parse(&text, Path::new("")).unwrap().methods[0].flags()
	}

	#[test]
	fn flags_are_what_programme_init_takes() {
		for (method, expected) in [
			("rule = \"weighted-mean\"", "--rule weighted-mean"),
			("rule = \"median\"\nbucketing = 2", "--rule median --bucketing 2"),
			(
				"rule = \"median\"\nbucketing = 2\nnormalisation = \"median:2.5\"",
				"--rule median --normalisation median:2.5 --bucketing 2",
			),
			("rule = \"trimmed-mean\"\nmixing = true", "--rule trimmed-mean:3 --mixing 3"),
			("rule = \"krum\"\nhostile = 1", "--rule krum:1"),
			("rule = \"multi-krum\"\nbucketing = 2", "--rule multi-krum:3:2 --bucketing 2"),
			("rule = \"geometric-median\"", "--rule geometric-median:0.1:8"),
			("rule = \"centered-clipping\"\nradius = 2", "--rule centered-clipping:2:3"),
			(
				"rule = \"median\"\noptimiser = { kind = \"sgd\", rate = 0.5 }",
				"--rule median --server-optimiser sgd:0.5",
			),
			(
				"rule = \"median\"\noptimiser = { kind = \"nesterov\" }",
				"--rule median --server-optimiser nesterov:0.7:0.9",
			),
			(
				"rule = \"median\"\noptimiser = { kind = \"adam\" }",
				"--rule median --server-optimiser adam:0.01:0.9:0.99:0.001",
			),
		] {
			assert_eq!(flags(method), expected);
		}
	}
}
