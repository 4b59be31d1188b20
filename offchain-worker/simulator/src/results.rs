//! What came of a simulation, and its files.

use crate::{
	config::{AttackKind, Simulation},
	plot::{panels, Curve, Panel, Point},
	SimulationError,
};
use cairn_aggregation::{AggregationRule, Normalisation};
use cairn_primitives::artifact_hash;
use serde::Serialize;
use std::{
	fmt::Write,
	fs, io,
	path::{Path, PathBuf},
};

/// The format of `results.json`.
pub const RESULTS_FORMAT: &str = "simulation/1";

/// Weights after a round, and what the round was.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Round {
	/// The round, from 1; 0 are the weights that the run starts from.
	pub round: u32,
	/// Mean cross entropy on the samples that nobody trains on, nats.
	pub loss: f64,
	/// Share of these samples that are classified rightly.
	pub accuracy: f64,
	/// Share of the samples of other classes that the trigger turns into the backdoor's target, where there is one.
	#[serde(skip_serializing_if = "Option::is_none")]
	pub attack_success: Option<f64>,
	/// Updates that were aggregated.
	pub included: u32,
	/// Updates that every honest receiver refuses.
	pub refused: u32,
}

/// How a run ended.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum End {
	/// After its last round.
	Completed,
	/// It was stopped.
	Interrupted,
	/// No honest worker could train any more: the model is broken.
	Lost {
		/// In which round.
		round: u32,
		/// What training said.
		reason: String,
	},
}

/// One run.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Run {
	/// The method's name.
	pub method: String,
	/// The attack's name.
	pub attack: String,
	/// The seed.
	pub seed: u64,
	/// How it ended.
	pub end: End,
	/// Rounds that could not be settled, which left the weights as they were.
	pub failed_rounds: u32,
	/// Why the last of these could not.
	#[serde(skip_serializing_if = "Option::is_none")]
	pub last_failure: Option<String>,
	/// Hash of the last weights.
	pub weights: String,
	/// The rounds that were measured.
	pub rounds: Vec<Round>,
}

/// A method with its settings as the chain keeps them.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct MethodSettings {
	name: String,
	rule: AggregationRule,
	normalisation: Option<Normalisation>,
	bucketing: Option<u32>,
	mixing: Option<u32>,
	/// All of it in the notation of `cairn-worker programme init`.
	flags: String,
}

/// Everything that came of a simulation so far.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Results {
	format: &'static str,
	title: String,
	/// Hash of the training configuration's artifact: what a programme names as `config`.
	training_config: String,
	workers: u32,
	hostile: u32,
	rounds: u32,
	methods: Vec<MethodSettings>,
	attacks: Vec<String>,
	#[serde(skip)]
	backdoor: bool,
	/// The runs that ended, in the order of methods, attacks and seeds.
	pub runs: Vec<Run>,
}

/// The last accuracies of a method under an attack, over all seeds whose runs have ended. A run that was stopped is not
/// among them: where it would have ended is not known.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Summary {
	/// How many runs.
	pub runs: usize,
	/// The mean of their last accuracies.
	pub mean: f64,
	/// The least.
	pub worst: f64,
	/// The greatest.
	pub best: f64,
	/// The mean success of the backdoor, where there is one.
	pub attack_success: Option<f64>,
}

impl Results {
	/// Without any run yet.
	pub(crate) fn new(simulation: &Simulation) -> Self {
		let settings = |m: &crate::config::Method| MethodSettings {
			name: m.name.clone(),
			rule: m.rule,
			normalisation: m.normalisation,
			bucketing: m.bucketing,
			mixing: m.mixing,
			flags: m.flags(),
		};
		Self {
			format: RESULTS_FORMAT,
			title: simulation.title.clone(),
			training_config: format!("{:?}", artifact_hash(&simulation.training.to_artifact())),
			workers: simulation.workers,
			hostile: simulation.hostile,
			rounds: simulation.rounds,
			methods: simulation.methods.iter().map(settings).collect(),
			attacks: simulation.attacks.iter().map(|a| a.name.clone()).collect(),
			backdoor: simulation.attacks.iter().any(|a| matches!(a.kind, AttackKind::Backdoor(_))),
			runs: Vec::new(),
		}
	}

	fn of<'a>(&'a self, method: &'a str, attack: &'a str) -> impl Iterator<Item = &'a Run> {
		self.runs.iter().filter(move |run| run.method == method && run.attack == attack)
	}

	/// The summary of a method under an attack; `None` where no such run has ended.
	pub fn summary(&self, method: &str, attack: &str) -> Option<Summary> {
		let ended = self.of(method, attack).filter(|run| run.end != End::Interrupted);
		let last: Vec<&Round> = ended.filter_map(|run| run.rounds.last()).collect();
		if last.is_empty() {
			return None;
		}
		let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
		let accuracies: Vec<f64> = last.iter().map(|r| r.accuracy).collect();
		let successes: Vec<f64> = last.iter().filter_map(|r| r.attack_success).collect();
		Some(Summary {
			runs: last.len(),
			mean: mean(&accuracies),
			worst: accuracies.iter().copied().fold(f64::INFINITY, f64::min),
			best: accuracies.iter().copied().fold(f64::NEG_INFINITY, f64::max),
			attack_success: (!successes.is_empty()).then(|| mean(&successes)),
		})
	}

	/// Writes all files into a folder, each replaced at once, so that a reader never sees half of one.
	///
	/// # Errors
	/// Names the file that cannot be written.
	pub fn write(&self, folder: &Path) -> Result<(), SimulationError> {
		let json =
			serde_json::to_string_pretty(self).map_err(|e| SimulationError::Internal(e.to_string()))?;
		replace(&folder.join("results.json"), &(json + "\n"))?;
		replace(&folder.join("rounds.csv"), &self.rounds_csv())?;
		replace(&folder.join("summary.csv"), &self.summary_csv())?;
		replace(&folder.join("summary.md"), &self.summary_text())?;
		replace(&folder.join("accuracy.svg"), &self.accuracy_plot())?;
		if self.backdoor {
			replace(&folder.join("attack-success.svg"), &self.success_plot())?;
		}
		Ok(())
	}

	/// One line per measured round.
	pub fn rounds_csv(&self) -> String {
		let mut out = "method,attack,seed,round,loss,accuracy,attack_success,included,refused\n".to_owned();
		for run in &self.runs {
			for r in &run.rounds {
				let success = r.attack_success.map(|s| s.to_string()).unwrap_or_default();
				let _ = writeln!(
					out,
					"{},{},{},{},{},{},{success},{},{}",
					quoted(&run.method),
					quoted(&run.attack),
					run.seed,
					r.round,
					r.loss,
					r.accuracy,
					r.included,
					r.refused
				);
			}
		}
		out
	}

	/// One line per method and attack; without figures where all runs were stopped.
	pub fn summary_csv(&self) -> String {
		let mut out =
			"method,attack,runs,accuracy_mean,accuracy_worst,accuracy_best,attack_success,stopped\n"
				.to_owned();
		for method in &self.methods {
			for attack in self.attacks.iter().filter(|attack| self.of(&method.name, attack).next().is_some())
			{
				let figures = self.summary(&method.name, attack).map(|s| {
					let success = s.attack_success.map(|s| s.to_string()).unwrap_or_default();
					format!("{},{},{},{},{success}", s.runs, s.mean, s.worst, s.best)
				});
				let figures = figures.unwrap_or_else(|| "0,,,,".to_owned());
				let stopped = self.stopped(&method.name, attack);
				let _ = writeln!(out, "{},{},{figures},{stopped}", quoted(&method.name), quoted(attack));
			}
		}
		out
	}

	/// How many runs were stopped before their end.
	fn stopped(&self, method: &str, attack: &str) -> usize {
		self.of(method, attack).filter(|run| run.end == End::Interrupted).count()
	}

	/// The table, and each method as `cairn-worker programme init` takes it.
	pub fn summary_text(&self) -> String {
		let mut out = format!(
			"# {}\n\nAccuracy after the last round: mean over the seeds (and the worst of them).\n\n{}\n",
			self.title,
			self.table()
		);
		if self.runs.iter().any(|run| run.end == End::Interrupted) {
			out += "Runs that were stopped before their last round count for nothing here.\n\n";
		}
		out += "For `cairn-worker programme init`:\n\n";
		for method in &self.methods {
			let _ = writeln!(out, "- {}: `{}`", method.name, method.flags);
		}
		out
	}

	/// Last accuracies as a table in Markdown: methods down, attacks across, mean over seeds and the worst of them.
	pub fn table(&self) -> String {
		let mut rows = vec![vec!["method".to_owned()]];
		rows[0].extend(self.attacks.iter().cloned());
		for method in &self.methods {
			let cell = |attack: &String| {
				let mut parts = Vec::new();
				if let Some(s) = self.summary(&method.name, attack) {
					let worst = if s.runs > 1 { format!(" ({:.3})", s.worst) } else { String::new() };
					parts.push(format!("{:.3}{worst}", s.mean));
					parts.extend(s.attack_success.map(|success| format!("backdoor {success:.3}")));
				}
				let lost =
					self.of(&method.name, attack).filter(|r| matches!(r.end, End::Lost { .. })).count();
				for (count, what) in [(lost, "lost"), (self.stopped(&method.name, attack), "stopped")] {
					parts.extend((count > 0).then(|| format!("{count} {what}")));
				}
				parts.join(", ")
			};
			let mut row = vec![method.name.clone()];
			row.extend(self.attacks.iter().map(cell));
			rows.push(row);
		}
		let width =
			|column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0).max(3);
		let widths: Vec<usize> = (0..rows[0].len()).map(width).collect();
		let mut out = String::new();
		for (number, row) in rows.iter().enumerate() {
			for (cell, width) in row.iter().zip(&widths) {
				let _ = write!(out, "| {cell:width$} ");
			}
			out += "|\n";
			if number == 0 {
				for width in &widths {
					let _ = write!(out, "|{}", "-".repeat(width + 2));
				}
				out += "|\n";
			}
		}
		out
	}

	fn curves(&self, attack: &str, value: impl Fn(&Round) -> Option<f64>) -> Vec<Curve> {
		let curve = |method: &MethodSettings| {
			let runs: Vec<&Run> = self.of(&method.name, attack).collect();
			let mut rounds: Vec<u32> = runs.iter().flat_map(|r| r.rounds.iter().map(|r| r.round)).collect();
			rounds.sort_unstable();
			rounds.dedup();
			let point = |round: &u32| {
				// A run that is lost stays where it was; where one that was stopped would be is not known.
				let known = |run: &&&Run| {
					run.end != End::Interrupted || run.rounds.last().is_some_and(|last| last.round >= *round)
				};
				let at =
					|run: &&Run| run.rounds.iter().take_while(|r| r.round <= *round).last().and_then(&value);
				let values: Vec<f64> = runs.iter().filter(known).filter_map(at).collect();
				let count = values.len().max(1) as f64;
				let low = values.iter().copied().fold(f64::INFINITY, f64::min);
				let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
				(!values.is_empty()).then(|| Point {
					x: f64::from(*round),
					y: values.iter().sum::<f64>() / count,
					low,
					high,
				})
			};
			Curve { name: method.name.clone(), points: rounds.iter().filter_map(point).collect() }
		};
		self.methods.iter().map(curve).collect()
	}

	/// Accuracy over rounds as an SVG image: a panel per attack, a line per method.
	pub fn accuracy_plot(&self) -> String {
		let panel = |attack: &String| Panel {
			title: attack.clone(),
			curves: self.curves(attack, |round| Some(round.accuracy)),
		};
		let all: Vec<Panel> = self.attacks.iter().map(panel).collect();
		panels(&self.title, "round", "accuracy", f64::from(self.rounds), &all)
	}

	/// The backdoors' success over rounds as an SVG image.
	pub fn success_plot(&self) -> String {
		let panel = |attack: &String| Panel {
			title: attack.clone(),
			curves: self.curves(attack, |round| round.attack_success),
		};
		let has = |panel: &Panel| panel.curves.iter().any(|c| !c.points.is_empty());
		let all: Vec<Panel> = self.attacks.iter().map(panel).filter(has).collect();
		panels(
			&format!("{}: success of the backdoor", self.title),
			"round",
			"success",
			f64::from(self.rounds),
			&all,
		)
	}
}

/// A field of a CSV file (RFC 4180).
fn quoted(text: &str) -> String {
	if text.contains([',', '"', '\n', '\r']) {
		format!("\"{}\"", text.replace('"', "\"\""))
	} else {
		text.to_owned()
	}
}

/// Makes the folder that results go into, and writes down in it what is simulated.
///
/// # Errors
/// When it has something in it and `overwrite` does not allow that, or when it cannot be written.
pub fn prepare_folder(
	folder: &Path,
	overwrite: bool,
	config: &str,
	simulation: &Simulation,
) -> Result<(), SimulationError> {
	let failed = |verb| {
		move |error: io::Error| SimulationError::File { verb, path: folder.to_owned(), key: "", error }
	};
	fs::create_dir_all(folder).map_err(failed("make the folder"))?;
	let mut content = fs::read_dir(folder).map_err(failed("read"))?;
	if content.next().is_some() && !overwrite {
		return Err(SimulationError::NotEmpty(folder.to_owned()));
	}
	replace(&folder.join("simulation.toml"), config)?;
	replace(&folder.join("model.toml"), &simulation.model_text)
}

/// Writes a file beside the one it then takes the place of.
fn replace(path: &Path, text: &str) -> Result<(), SimulationError> {
	let mut beside: PathBuf = path.to_owned();
	beside.as_mut_os_string().push(".new");
	let written = fs::write(&beside, text).and_then(|()| fs::rename(&beside, path));
	written.map_err(|error| {
		// What could not be finished is worth nothing.
		let _ = fs::remove_file(&beside);
		SimulationError::File { verb: "write", path: path.to_owned(), key: "", error }
	})
}

#[cfg(test)]
mod tests {
	use super::*;

	/// A run of one method under no attack that was measured after each round.
	fn run(seed: u64, end: End, accuracies: &[f64]) -> Run {
		let round = |(round, accuracy): (usize, &f64)| Round {
			round: round as u32,
			loss: 1.0,
			accuracy: *accuracy,
			attack_success: None,
			included: 3,
			refused: 0,
		};
		Run {
			method: "mean".into(),
			attack: "none".into(),
			seed,
			end,
			failed_rounds: 0,
			last_failure: None,
			weights: String::new(),
			rounds: accuracies.iter().enumerate().map(round).collect(),
		}
	}

	#[test]
	fn run_that_was_stopped_is_counted_and_part_of_no_average() {
		let text = "model = \"digits-mlp\"\nrounds = 2\nseeds = [1, 2, 3]\n[workers]\ncount = 3\n\
			[[method]]\nname = \"mean\"\nrule = \"weighted-mean\"\n";
		let mut results = Results::new(&Simulation::parse(text, Path::new("")).expect("a configuration"));
		results.runs = vec![run(1, End::Interrupted, &[0.0])];
		assert_eq!(results.summary("mean", "none"), None);
		assert!(results.table().contains("| 1 stopped |"), "{}", results.table());
		assert!(results.summary_csv().ends_with("\nmean,none,0,,,,,1\n"), "{}", results.summary_csv());

		let lost = End::Lost { round: 2, reason: "diverged".into() };
		results.runs.extend([run(2, End::Completed, &[0.0, 0.5, 0.75]), run(3, lost, &[0.0, 0.25])]);
		let summary = results.summary("mean", "none").expect("runs that ended");
		assert_eq!((summary.runs, summary.mean, summary.worst, summary.best), (2, 0.5, 0.25, 0.75));
		let text = results.summary_text();
		assert!(
			text.contains("0.500 (0.250), 1 lost, 1 stopped") && text.contains("count for nothing"),
			"{text}"
		);
		assert!(
			results.summary_csv().ends_with("\nmean,none,2,0.5,0.25,0.75,,1\n"),
			"{}",
			results.summary_csv()
		);
		// The lost one stays where it was, the stopped one is not drawn beyond where it came to.
		let curves = results.curves("none", |round| Some(round.accuracy));
		let drawn: Vec<f64> = curves[0].points.iter().map(|point| point.y).collect();
		assert_eq!(drawn, [0.0, 0.375, 0.5]);
	}

	#[test]
	fn field_of_a_csv_file_is_quoted_when_it_has_to_be() {
		assert_eq!(quoted("krum + mixing"), "krum + mixing");
		assert_eq!(quoted("a, \"b\""), "\"a, \"\"b\"\"\"");
	}
}
