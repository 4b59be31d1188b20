//! Whole simulations of few rounds.
#![allow(clippy::unwrap_used)]

use cairn_aggregation::{AggregationRule, ServerOptimiser};
use cairn_simulator::{
	prepare_folder, AttackKind, End, Results, Round, Run, Simulation, SimulationError, Simulator, Watcher,
};
use cairn_training::Optimiser;
use std::{
	fs,
	num::NonZeroUsize,
	path::Path,
	sync::atomic::{AtomicBool, Ordering},
};

struct Silent;

impl Watcher for Silent {
	fn round(&self, _: usize, _: &Round) {}
	fn ended(&self, _: &Run, _: &Results) -> Result<(), SimulationError> {
		Ok(())
	}
}

fn jobs(count: usize) -> NonZeroUsize {
	NonZeroUsize::new(count).unwrap()
}

fn run(simulation: Simulation, threads: usize) -> Results {
	Simulator::new(simulation).unwrap().run(jobs(threads), &AtomicBool::new(false), &Silent).unwrap()
}

/// A perceptron for digits that is small enough for runs of a fraction of a second.
const MODEL: &str = "input = [8, 8]\nclasses = 10\nbatch_size = 32\nlocal_steps = 15\ngenesis_seed = 1\n\
	[model]\nfamily = \"mlp\"\nhidden = [32]\nactivation = \"relu\"\n\
	[optimiser]\nkind = \"sgd\"\nlearning_rate = 0.2\nmomentum = 0.9\n";

fn parsed(rest: &str) -> Result<Simulation, SimulationError> {
	let folder = tempfile::tempdir().unwrap();
	fs::write(folder.path().join("small.toml"), MODEL).unwrap();
	Simulation::parse(&format!("model = \"small.toml\"\n{rest}"), folder.path())
}

/// Ten workers of which three are hostile, for a few rounds.
fn ten(rounds: u32, seeds: &str, rest: &str) -> Simulation {
	parsed(&format!(
		"rounds = {rounds}\nseeds = {seeds}\nevaluate_every = {rounds}\n[workers]\ncount = 10\nhostile = 3\n{rest}"
	))
	.unwrap()
}

const SOME_METHODS: &str = "[[method]]\nrule = \"weighted-mean\"\n[[method]]\nrule = \"trimmed-mean\"\n\
	[[method]]\nrule = \"median\"\n[[method]]\nrule = \"multi-krum\"\n[[method]]\nrule = \"geometric-median\"\n\
	[[method]]\nrule = \"centered-clipping\"\nradius = 2\n[[method]]\nrule = \"centered-clipping\"\nradius = 2\nmixing = true\n";

/// Every last accuracy of a method under an attack.
fn accuracies(results: &Results, method: &str, attack: &str) -> Vec<f64> {
	let of = |run: &&Run| run.method == method && run.attack == attack;
	results.runs.iter().filter(of).map(|run| run.rounds.last().unwrap().accuracy).collect()
}

#[test]
fn mean_breaks_under_sign_flip_where_robust_rules_keep_their_accuracy() {
	let attacks = "[[attack]]\nkind = \"none\"\n[[attack]]\nkind = \"sign-flip\"\nscale = 5\n";
	let results = run(ten(6, "[1, 2]", &format!("{SOME_METHODS}{attacks}")), 2);
	println!("{}", results.table());
	assert_eq!(results.runs.len(), 28);
	assert!(accuracies(&results, "weighted-mean", "none").iter().all(|a| *a > 0.9));
	assert!(accuracies(&results, "weighted-mean", "sign-flip").iter().all(|a| *a < 0.3));
	for method in [
		"trimmed-mean",
		"median",
		"multi-krum",
		"geometric-median",
		"centered-clipping",
		"centered-clipping + mixing",
	] {
		for attack in ["none", "sign-flip"] {
			let accuracies = accuracies(&results, method, attack);
			assert!(
				accuracies.len() == 2 && accuracies.iter().all(|a| *a > 0.85),
				"{method} {attack} {accuracies:?}"
			);
		}
	}
}

#[test]
fn backdoor_takes_the_mean_over_and_not_a_robust_rule() {
	let rest = "[[method]]\nrule = \"weighted-mean\"\n[[method]]\nrule = \"multi-krum\"\n\
		[[attack]]\nkind = \"backdoor\"\ntarget = 7\n";
	let results = run(ten(6, "[1, 2]", rest), 2);
	println!("{}", results.table());
	let success = |method| results.summary(method, "backdoor").unwrap().attack_success.unwrap();
	assert!(success("weighted-mean") > 0.9, "{}", success("weighted-mean"));
	assert!(success("multi-krum") < 0.1, "{}", success("multi-krum"));
	assert!(results.success_plot().contains(">multi-krum<"));
	assert!(results.rounds_csv().lines().skip(1).all(|line| line
		.split(',')
		.nth(6)
		.unwrap()
		.parse::<f64>()
		.is_ok()));
}

/// Every attack, for two rounds under one method.
const EVERY_ATTACK: &str = "[[attack]]\nkind = \"none\"\n[[attack]]\nkind = \"sign-flip\"\n\
	[[attack]]\nkind = \"label-flip\"\n[[attack]]\nkind = \"ipm\"\n[[attack]]\nkind = \"alie\"\n\
	[[attack]]\nkind = \"mimic\"\n[[attack]]\nkind = \"min-max\"\n[[attack]]\nkind = \"min-sum\"\n\
	[[attack]]\nname = \"unit\"\nkind = \"min-max\"\nperturbation = \"unit\"\n[[attack]]\nkind = \"backdoor\"\n\
	[[attack]]\nkind = \"noise\"\n[[attack]]\nkind = \"nan\"\n";

#[test]
fn every_attack_changes_the_weights_and_only_nan_is_refused() {
	for partition in ["partition = \"sorted\"\n", "partition = \"dirichlet\"\nalpha = 0.3\nlong_tail = 0.8\n"]
	{
		let rest = format!("{partition}[[method]]\nrule = \"weighted-mean\"\nbucketing = 2\n{EVERY_ATTACK}");
		let results = run(ten(2, "[1]", &rest), 2);
		let mut weights: Vec<&str> = results.runs.iter().map(|run| run.weights.as_str()).collect();
		assert_eq!(weights.len(), 12);
		weights.sort_unstable();
		weights.dedup();
		assert_eq!(weights.len(), 12);
		for run in &results.runs {
			let last = run.rounds.last().unwrap();
			let expected = if run.attack == "nan" { (7, 3) } else { (10, 0) };
			assert_eq!(
				(last.round, last.included, last.refused),
				(2, expected.0, expected.1),
				"{}",
				run.attack
			);
			assert_eq!((&run.end, run.failed_rounds), (&End::Completed, 0));
		}
	}
}

#[test]
fn results_have_the_same_bits_for_the_same_seed_and_any_number_of_threads() {
	let rest = format!(
		"[[method]]\nrule = \"centered-clipping\"\nbucketing = 2\noptimiser = {{ kind = \"nesterov\" }}\n\
		 [[method]]\nrule = \"multi-krum\"\n{EVERY_ATTACK}"
	);
	let files = |seeds: &str, threads: usize| {
		let folder = tempfile::tempdir().unwrap();
		run(ten(2, seeds, &rest), threads).write(folder.path()).unwrap();
		let mut names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().path()).collect();
		names.sort();
		assert_eq!(names.len(), 6);
		names.iter().map(|name| fs::read_to_string(name).unwrap()).collect::<Vec<_>>()
	};
	let once = files("[1]", 1);
	assert_eq!(once, files("[1]", 3));
	for (one, other) in once.iter().zip(files("[2]", 2)) {
		assert_ne!(*one, other);
	}
}

#[test]
fn normalisation_changes_the_weights_where_workers_take_different_numbers_of_steps() {
	let methods = "[[method]]\nrule = \"weighted-mean\"\n\
		[[method]]\nrule = \"weighted-mean\"\nnormalisation = \"mean:4\"\n";
	let runs = |steps: &str| run(ten(2, "[1]", &format!("{steps}{methods}")), 2).runs;
	let (alike, unlike) = (runs(""), runs("local_steps = [2, 15, 30]\n"));
	assert_eq!(alike[0].weights, alike[1].weights);
	assert_ne!(unlike[0].weights, unlike[1].weights);
	for run in alike.iter().chain(&unlike) {
		assert_eq!((run.failed_rounds, run.rounds[1].included), (0, 10));
	}
	assert_eq!(unlike[1].method, "weighted-mean + normalisation");
	// A cap that the chain would not take is refused before anything is trained.
	let low = ten(1, "[1]", "[[method]]\nrule = \"median\"\nnormalisation = \"median:0.5\"\n");
	let error = Simulator::new(low).err().expect("refused").to_string();
	assert!(error.contains("`normalisation.cap` is 500000"), "{error}");
}

#[test]
fn method_that_cannot_aggregate_so_many_updates_is_refused_with_aggregations_reason() {
	for (method, parts) in [
		("rule = \"krum\"\nhostile = 4", &["\"krum\"", "10 workers", "needs at least 11 updates"][..]),
		("rule = \"trimmed-mean\"\ntrim = 5", &["needs at least 11 updates"]),
		("rule = \"krum\"\nbucketing = 2", &["needs at least 9 updates", "there are 5"]),
		("rule = \"median\"\nmixing = true\nmixing_hostile = 5", &["mixing", "needs at least 11"]),
		("rule = \"geometric-median\"\niterations = 101", &["`iterations` is 101"]),
	] {
		let simulation = ten(1, "[1]", &format!("[[method]]\n{method}\n"));
		let error = Simulator::new(simulation).err().expect("refused").to_string();
		assert!(parts.iter().all(|part| error.contains(part)), "{method}: {error}");
	}
	// To try out what breaks is allowed, as long as the rule can be computed.
	let half = "rounds = 1\n[workers]\ncount = 10\nhostile = 5\n[[method]]\nrule = \"median\"\n";
	assert!(Simulator::new(parsed(half).unwrap()).is_ok());
}

#[test]
fn configuration_is_refused_with_key_value_and_remedy() {
	let good = "rounds = 1\n[workers]\ncount = 10\nhostile = 3\n[[method]]\nrule = \"krum\"\n[[attack]]\nkind = \"ipm\"\n";
	assert!(parsed(good).is_ok());
	for (from, to, parts) in [
		("rounds = 1", "rounds = ", &["TOML", "line 2"][..]),
		("rounds = 1", "", &["`rounds` is missing"]),
		("rounds = 1", "rounds = 0", &["`rounds` is 0", "from 1 to"]),
		("rounds = 1", "rounds = 1\nround = 2", &["`round` is not a key", "rounds"]),
		("rounds = 1", "rounds = 1\nseeds = [1, 1]", &["`seeds`", "twice"]),
		("rounds = 1", "rounds = 1\nseeds = []", &["`seeds` is []"]),
		("rounds = 1", "rounds = 1\ndata = \"mnist\"", &["`data`", "idx:IMAGES,LABELS"]),
		("rounds = 1", "rounds = 1\ndevice = \"gpu\"", &["`device` is gpu", "cuda"]),
		("count = 10\n", "", &["`workers.count` is missing"]),
		("hostile = 3", "hostile = 10", &["`workers.hostile` is 10", "0 to 9"]),
		("hostile = 3", "hostile = 3\nalpha = 1", &["`workers.alpha`", "dirichlet"]),
		("hostile = 3", "hostile = 3\npartition = \"odd\"", &["`workers.partition`", "\"sorted\""]),
		("hostile = 3", "hostile = 3\nlong_tail = 2", &["`workers.long_tail` is 2"]),
		("hostile = 3", "hostile = 3\nlocal_steps = [5, 0]", &["`workers.local_steps` is [5, 0]", "from 1"]),
		(
			"rule = \"krum\"",
			"rule = \"krum\"\nnormalisation = \"most:4\"",
			&["`method[1].normalisation`", "median:CAP"],
		),
		("rule = \"krum\"", "", &["`method[1].rule` is missing", "\"krum\""]),
		("rule = \"krum\"", "rule = \"bulyan\"", &["`method[1].rule` is \"bulyan\"", "\"krum\""]),
		("rule = \"krum\"", "rule = \"krum\"\ntrim = 1", &["`method[1].trim` is not a key", "hostile"]),
		("rule = \"krum\"", "rule = \"centered-clipping\"\nradius = 0", &["`method[1].radius` is 0"]),
		(
			"rule = \"krum\"",
			"rule = \"krum\"\noptimiser = { kind = \"lion\" }",
			&["`method[1].optimiser.kind`"],
		),
		("rule = \"krum\"", "rule = \"krum\"\n[[method]]\nrule = \"krum\"", &["`method` is \"krum\" twice"]),
		("kind = \"ipm\"", "kind = \"ddos\"", &["`attack[1].kind` is \"ddos\"", "\"alie\""]),
		("kind = \"ipm\"", "kind = \"ipm\"\nz = 1", &["`attack[1].z` is not a key", "epsilon"]),
		("kind = \"ipm\"", "kind = \"backdoor\"\ntarget = 10", &["`attack[1].target` is 10", "0 to 9"]),
		("hostile = 3", "hostile = 0", &["`attack[1].kind`", "`workers.hostile`"]),
	] {
		let text = good.replacen(from, to, 1);
		assert_ne!(text, good);
		let error = parsed(&text).unwrap_err().to_string();
		assert!(parts.iter().all(|part| error.contains(part)), "{to}: {error}");
	}
	let alie = good.replace("hostile = 3", "hostile = 6").replace("ipm", "alie");
	let error = parsed(&alie).unwrap_err().to_string();
	assert!(error.contains("`attack[1].z`") && error.contains("6 hostile of 10"), "{error}");
	let error = Simulation::parse("model = \"none.toml\"", Path::new("/no/such")).unwrap_err().to_string();
	assert!(error.contains("/no/such/none.toml, which `model` names"), "{error}");
	let many = "rounds = 1\n[workers]\ncount = 200\n[[method]]\nrule = \"weighted-mean\"\n";
	let error = Simulator::new(parsed(many).unwrap())
		.unwrap()
		.estimate(jobs(1), &AtomicBool::new(false))
		.unwrap_err();
	assert!(error.to_string().contains("too few for 200 workers"), "{error}");
}

/// Stops everything when the first run has ended.
struct Stopper<'a>(&'a AtomicBool);

impl Watcher for Stopper<'_> {
	fn round(&self, _: usize, _: &Round) {}
	fn ended(&self, _: &Run, _: &Results) -> Result<(), SimulationError> {
		self.0.store(true, Ordering::Relaxed);
		Ok(())
	}
}

#[test]
fn results_so_far_are_kept_when_everything_is_stopped() {
	let stop = AtomicBool::new(false);
	let simulator = Simulator::new(ten(2, "[1, 2, 3]", "[[method]]\nrule = \"weighted-mean\"\n")).unwrap();
	let results = simulator.run(jobs(1), &stop, &Stopper(&stop)).unwrap();
	assert_eq!(results.runs.iter().map(|r| (r.seed, &r.end)).collect::<Vec<_>>(), [(1, &End::Completed)]);
	let whole = simulator.run(jobs(1), &AtomicBool::new(false), &Silent).unwrap();
	assert_eq!(results.runs[0], whole.runs[0]);
	// Asked for before anything was trained: nothing is done, and the plots are empty ones.
	let nothing = simulator.run(jobs(1), &stop, &Silent).unwrap();
	assert!(nothing.runs.is_empty() && nothing.accuracy_plot().ends_with("</svg>\n"));
}

#[test]
fn folder_with_something_in_it_is_refused_unless_it_may_be_written_over() {
	let folder = tempfile::tempdir().unwrap();
	let out = folder.path().join("new/results");
	let simulation = ten(1, "[1]", "[[method]]\nrule = \"weighted-mean\"\n");
	prepare_folder(&out, false, "text", &simulation).unwrap();
	assert_eq!(fs::read_to_string(out.join("model.toml")).unwrap(), MODEL);
	let error = prepare_folder(&out, false, "text", &simulation).unwrap_err();
	assert!(error.to_string().contains("--overwrite"), "{error}");
	prepare_folder(&out, true, "other", &simulation).unwrap();
	assert_eq!(fs::read_to_string(out.join("simulation.toml")).unwrap(), "other");
	fs::write(folder.path().join("file"), "").unwrap();
	let error = prepare_folder(&folder.path().join("file"), true, "text", &simulation).unwrap_err();
	assert!(error.to_string().contains("file"), "{error}");
}

#[test]
fn run_is_lost_when_no_honest_worker_can_train_any_more() {
	// Noise beyond anything: the mean's weights have losses that are not finite.
	let rest = "[[method]]\nrule = \"weighted-mean\"\n[[method]]\nrule = \"median\"\n\
		[[attack]]\nkind = \"noise\"\ndeviation = 1e30\n";
	let results = run(ten(3, "[1]", rest), 2);
	assert!(matches!(&results.runs[0].end, End::Lost { round: 2, reason } if reason.contains("diverged")));
	assert_eq!(results.runs[1].end, End::Completed);
	assert!(results.table().contains("1 lost"), "{}", results.table());
}

const MNIST: &str = include_str!("../configs/mnist-2006.09365.toml");

#[test]
fn mnist_configuration_has_the_papers_settings_and_says_where_the_data_come_from() {
	let folder = tempfile::tempdir().unwrap();
	let simulation = Simulation::parse(MNIST, folder.path()).unwrap();
	let training = &simulation.training;
	assert_eq!((simulation.workers, simulation.hostile, simulation.rounds), (25, 5, 600));
	assert_eq!((training.batch_size, training.local_steps, training.keep_momentum), (32, 1, true));
	assert_eq!(training.optimiser, Optimiser::Sgd { learning_rate: 0.01, momentum: 0.9, weight_decay: 0.0 });
	assert_eq!(training.parameter_count(), 421_642);
	// Each rule with and without buckets of two. The radius is the authors' 10 / (1 - 0.9) for m <- 0.9 m + g, times the
	// learning rate that makes an update of m.
	let radius = 10.0 / (1.0 - 0.9) * 0.01;
	let rules: Vec<_> = simulation.methods.iter().map(|method| (method.rule, method.bucketing)).collect();
	let robust = [
		AggregationRule::Krum { hostile: 5 },
		AggregationRule::CoordinateMedian,
		AggregationRule::GeometricMedian { smoothing: 100_000, iterations: 8 },
		AggregationRule::CenteredClipping { radius: (radius * 1e6_f64).round() as u64, iterations: 3 },
	];
	let mut expected = vec![(AggregationRule::WeightedMean, None)];
	expected.extend([None, Some(2)].into_iter().flat_map(|size| robust.map(|rule| (rule, size))));
	assert_eq!(rules, expected);
	assert!(simulation.methods.iter().all(|m| m.mixing.is_none() && m.optimiser == ServerOptimiser::PLAIN));
	let attacks: Vec<_> = simulation.attacks.iter().map(|attack| attack.kind).collect();
	let (z, before) = attacks.split_last().unwrap();
	assert_eq!(
		*before,
		[
			AttackKind::None,
			AttackKind::SignFlip { scale: 1.0 },
			AttackKind::LabelFlip,
			AttackKind::Mimic { warm_up: 75 },
			AttackKind::InnerProduct { epsilon: 0.1 },
		]
	);
	assert!(matches!(z, AttackKind::LittleIsEnough { z } if (*z - 0.253_347_1).abs() < 1e-6), "{z:?}");
	let error = Simulator::new(simulation.clone()).err().expect("no data").to_string();
	for part in ["`data`", "train-images-idx3-ubyte.gz", "https://", "folder `mnist`"] {
		assert!(error.contains(part), "{part}: {error}");
	}

	// Made-up images of the right form: a bright row per class.
	let mnist = folder.path().join("mnist");
	fs::create_dir(&mnist).unwrap();
	for (name, count) in [("train", 340u32), ("t10k", 20)] {
		let mut images =
			[&[0u8, 0, 8, 3][..], &count.to_be_bytes(), &28u32.to_be_bytes(), &28u32.to_be_bytes()].concat();
		let mut labels = [&[0u8, 0, 8, 1][..], &count.to_be_bytes()].concat();
		for sample in 0..count {
			let class = (sample % 10) as usize;
			let mut image = [0u8; 784];
			image[class * 56..class * 56 + 56].fill(200 + (sample % 50) as u8);
			images.extend_from_slice(&image);
			labels.push(class as u8);
		}
		fs::write(mnist.join(format!("{name}-images-idx3-ubyte")), images).unwrap();
		fs::write(mnist.join(format!("{name}-labels-idx1-ubyte")), labels).unwrap();
	}
	// The four files unpacked, and of all runs two short ones.
	let mut simulation = Simulation::parse(&MNIST.replace("ubyte.gz", "ubyte"), folder.path()).unwrap();
	simulation.methods.drain(..8);
	simulation.attacks.retain(|a| ["mimic", "label-flip"].contains(&a.name.as_str()));
	(simulation.rounds, simulation.evaluate_every, simulation.seeds) = (2, 1, vec![1]);
	let results = run(simulation, 2);
	assert_eq!(results.runs.len(), 2);
	for run in &results.runs {
		assert_eq!((run.method.as_str(), run.failed_rounds), ("centered-clipping + bucketing 2", 0));
		let losses: Vec<f64> = run.rounds.iter().map(|r| r.loss).collect();
		assert!(losses.len() == 3 && losses[2] < losses[0], "{losses:?}");
		assert_eq!(run.rounds[2].included, 25);
	}
}
