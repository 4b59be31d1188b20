//! Local runs: what repeats, what is refused, and what is said about it.
#![allow(clippy::unwrap_used)]

use cairn_artifacts::{Tensor, TensorFile};
use cairn_training::{
	evaluate, genesis_weights, load, plain_steps, train, Activation, DataSource, Dataset, Device, LocalRun,
	LocalTrainer, ModelSpec, Optimiser, Splits, Stop, TrainingConfig, TrainingError, DIGITS_CNN, DIGITS_MLP,
};
use std::ops::ControlFlow;

const RUN: LocalRun = LocalRun { seed: 7, local_steps: 20, device: Device::Cpu };

fn mlp() -> TrainingConfig {
	TrainingConfig::from_toml(DIGITS_MLP).unwrap()
}

fn cnn() -> TrainingConfig {
	TrainingConfig::from_toml(DIGITS_CNN).unwrap()
}

fn digits() -> Splits {
	load(&DataSource::Digits).unwrap()
}

fn go_on(_: u32, _: f32) -> ControlFlow<Stop> {
	ControlFlow::Continue(())
}

fn refused(config: &TrainingConfig, base: &TensorFile, data: &Dataset) -> TrainingError {
	let trained = train(config, base, data, &RUN, &mut go_on).unwrap_err();
	// Evaluation refuses the same for the same reason.
	let evaluated = evaluate(config, base, data, Device::Cpu).unwrap_err();
	assert_eq!(trained.to_string(), evaluated.to_string());
	trained
}

/// The weights with one tensor changed.
fn changed(weights: &TensorFile, name: &str, change: impl Fn(&mut Tensor)) -> TensorFile {
	let (metadata, mut tensors) = weights.clone().into_parts();
	tensors.iter_mut().filter(|tensor| tensor.name == name).for_each(change);
	TensorFile::new(metadata, tensors).unwrap()
}

#[test]
fn update_has_the_same_bits_when_everything_is_the_same_and_others_when_the_seed_differs() {
	let data = digits().train;
	let adam =
		Optimiser::Adam { learning_rate: 0.01, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.001 };
	for config in [mlp(), cnn(), TrainingConfig { optimiser: adam, ..cnn() }] {
		let base = genesis_weights(&config);
		let bits = |seed| {
			let run = LocalRun { seed, ..RUN };
			let update = train(&config, &base, &data, &run, &mut go_on).unwrap().update;
			update.into_iter().flat_map(|t| t.data).map(f32::to_bits).collect::<Vec<_>>()
		};
		assert_eq!(bits(1), bits(1));
		assert_ne!(bits(1), bits(2));
	}
}

#[test]
fn update_has_the_same_bits_when_runs_go_on_side_by_side() {
	let (config, data) = (cnn(), digits().train);
	let base = genesis_weights(&config);
	let update = || train(&config, &base, &data, &RUN, &mut go_on).unwrap().update;
	let alone = update();
	let together: Vec<_> = std::thread::scope(|scope| {
		let runs: Vec<_> = (0..3).map(|_| scope.spawn(update)).collect();
		runs.into_iter().map(|run| run.join().unwrap()).collect()
	});
	assert!(together.iter().all(|update| *update == alone));
}

#[test]
fn base_minus_update_is_better_than_the_base() {
	let Splits { train: data, held_out } = digits();
	let families = [
		mlp(),
		cnn(),
		TrainingConfig { model: ModelSpec::Mlp { hidden: vec![], activation: Activation::Relu }, ..mlp() },
		TrainingConfig {
			model: ModelSpec::Mlp { hidden: vec![32, 16], activation: Activation::Tanh },
			..mlp()
		},
		TrainingConfig {
			model: ModelSpec::Cnn {
				channels: vec![4],
				kernel: 5,
				pool: 1,
				dense: vec![],
				activation: Activation::Gelu,
			},
			..cnn()
		},
	];
	for config in families {
		let base = genesis_weights(&config);
		let trained = train(&config, &base, &data, &RUN, &mut go_on).unwrap();
		assert_eq!((trained.samples, trained.local_steps), (1438, 20));
		let signature: Vec<_> = trained.update.iter().map(|t| (t.name.clone(), t.shape.clone())).collect();
		assert_eq!(signature, base.signature());
		let mut weights = base.clone();
		for tensor in &trained.update {
			weights = changed(&weights, &tensor.name, |weight| {
				for (w, u) in weight.data.iter_mut().zip(&tensor.data) {
					*w -= u;
				}
			});
		}
		let before = evaluate(&config, &base, &held_out, Device::Cpu).unwrap();
		let after = evaluate(&config, &weights, &held_out, Device::Cpu).unwrap();
		assert_eq!(after.samples, 359);
		assert!(after.loss < before.loss && after.accuracy > before.accuracy, "{before:?} {after:?}");
		assert!((0.0..=1.0).contains(&after.accuracy));
	}
}

#[test]
fn evaluation_agrees_with_a_count_by_hand() {
	// Softmax regression with weights by hand: the logits are (x, -x).
	let config = TrainingConfig {
		input: vec![1],
		classes: 2,
		model: ModelSpec::Mlp { hidden: vec![], activation: Activation::Relu },
		..mlp()
	};
	let weights = changed(&genesis_weights(&config), "dense.0.weight", |t| t.data = vec![1.0, -1.0]);
	let data = Dataset::new(vec![1], vec![1.0, 2.0, -3.0, 0.5], vec![0, 0, 1, 1]).unwrap();
	let result = evaluate(&config, &weights, &data, Device::Cpu).unwrap();
	// −ln σ(2x) for the right class.
	let expected: f64 =
		[2.0f64, 4.0, 6.0, -1.0].iter().map(|margin| (1.0 + (-margin).exp()).ln()).sum::<f64>() / 4.0;
	assert!((result.loss - expected).abs() < 1e-6, "{result:?} {expected}");
	assert_eq!((result.accuracy, result.samples), (0.75, 4));
}

#[test]
fn progress_is_told_every_step_and_can_stop_the_run() {
	let (config, data) = (mlp(), digits().train);
	let base = genesis_weights(&config);
	let mut losses = Vec::new();
	let trained = train(&config, &base, &data, &RUN, &mut |step, loss| {
		losses.push(loss);
		assert_eq!(step as usize, losses.len());
		ControlFlow::Continue(())
	})
	.unwrap();
	assert_eq!(losses.len(), 20);
	// 20 steps are less than one pass over the data, so the reported loss is the mean of all.
	let mean = losses.iter().sum::<f32>() / 20.0;
	assert!((trained.loss - mean).abs() < 1e-4, "{} {mean}", trained.loss);

	let stopped = |stop| {
		train(&config, &base, &data, &RUN, &mut |step, _| match step {
			3 => ControlFlow::Break(stop),
			_ => ControlFlow::Continue(()),
		})
	};
	assert!(matches!(stopped(Stop::Abandon).unwrap_err(), TrainingError::Stopped { step: 3 }));
	// What a run that was asked for so many steps would have given.
	let short = LocalRun { local_steps: 3, ..RUN };
	assert_eq!(stopped(Stop::Finish).unwrap(), train(&config, &base, &data, &short, &mut go_on).unwrap());
}

#[test]
fn training_that_diverges_is_an_error_that_names_the_step() {
	let config = TrainingConfig {
		optimiser: Optimiser::Sgd { learning_rate: 100.0, momentum: 0.9, weight_decay: 1.0 },
		..mlp()
	};
	let run = LocalRun { local_steps: 500, ..RUN };
	let error = train(&config, &genesis_weights(&config), &digits().train, &run, &mut go_on).unwrap_err();
	let TrainingError::Diverged { step, of: 500, .. } = error else { panic!("{error}") };
	assert!(
		(2..=500).contains(&step) && error.to_string().contains(&format!("step {step} of 500")),
		"{error}"
	);
}

#[test]
fn last_step_that_diverges_is_an_error_that_names_the_tensor() {
	// One step on a huge feature: the loss is finite, the weights after the step are not.
	let config = TrainingConfig {
		input: vec![1],
		classes: 2,
		model: ModelSpec::Mlp { hidden: vec![], activation: Activation::Relu },
		optimiser: Optimiser::Sgd { learning_rate: 100.0, momentum: 0.0, weight_decay: 0.0 },
		..mlp()
	};
	let data = Dataset::new(vec![1], vec![3e38], vec![0]).unwrap();
	let base = changed(&genesis_weights(&config), "dense.0.weight", |t| t.data = vec![0.0, 0.0]);
	let run = LocalRun { local_steps: 1, ..RUN };
	let error = train(&config, &base, &data, &run, &mut go_on).unwrap_err();
	assert!(
		matches!(&error, TrainingError::DivergedWeights { step: 1, name } if name == "dense.0.weight"),
		"{error}"
	);
}

#[test]
fn weights_are_refused_when_they_are_not_those_of_the_model() {
	let (config, data) = (mlp(), digits().train);
	let base = genesis_weights(&config);

	let renamed = changed(&base, "dense.1.bias", |t| t.name = "dense.9.bias".into());
	let error = refused(&config, &renamed, &data);
	assert!(matches!(error, TrainingError::MissingTensor { name } if name == "dense.1.bias"));

	let (metadata, mut tensors) = base.clone().into_parts();
	tensors.push(Tensor { name: "extra".into(), shape: vec![1], data: vec![0.0] });
	let more = TensorFile::new(metadata, tensors).unwrap();
	let error = refused(&config, &more, &data);
	assert!(matches!(error, TrainingError::UnknownTensor { name } if name == "extra"));

	let transposed = changed(&base, "dense.0.weight", |t| t.shape.reverse());
	let error = refused(&config, &transposed, &data);
	assert!(error.to_string().contains("[64, 128]") && error.to_string().contains("[128, 64]"), "{error}");

	for value in [f32::NAN, f32::INFINITY] {
		let broken = changed(&base, "dense.0.bias", |t| t.data[3] = value);
		let error = refused(&config, &broken, &data);
		assert!(matches!(error, TrainingError::NotFinite { name } if name == "dense.0.bias"));
	}

	let error = refused(&config, &genesis_weights(&cnn()), &data);
	assert!(matches!(error, TrainingError::Shape { .. } | TrainingError::MissingTensor { .. }), "{error}");
}

#[test]
fn data_are_refused_when_they_do_not_fit_the_model() {
	let config = mlp();
	let base = genesis_weights(&config);
	let narrow = Dataset::new(vec![63], vec![0.0; 63], vec![1]).unwrap();
	assert!(matches!(refused(&config, &base, &narrow), TrainingError::Input { .. }));
	let eleventh = Dataset::new(vec![64], vec![0.0; 128], vec![9, 10]).unwrap();
	assert!(matches!(
		refused(&config, &base, &eleventh),
		TrainingError::Label { sample: 1, label: 10, classes: 10 }
	));
	assert!(plain_steps(&config, &narrow, 1, 0).is_err());
}

#[test]
fn run_is_refused_without_steps_without_its_device_or_with_an_impossible_configuration() {
	let (config, data) = (mlp(), digits().held_out);
	let base = genesis_weights(&config);
	let attempt =
		|config: &TrainingConfig, run: LocalRun| train(config, &base, &data, &run, &mut go_on).unwrap_err();
	assert!(matches!(attempt(&config, LocalRun { local_steps: 0, ..RUN }), TrainingError::NoSteps));
	let error = attempt(&config, LocalRun { device: Device::Cuda(999), ..RUN });
	assert!(matches!(error, TrainingError::NoCuda { number: 999, .. }));
	let error = attempt(&TrainingConfig { batch_size: 0, ..config.clone() }, RUN);
	assert!(error.to_string().contains("`batch_size` is 0"), "{error}");
}

#[test]
fn one_sample_is_enough_to_train_on() {
	let config = mlp();
	let data = digits().train.select(&[5]).unwrap();
	let trained = train(&config, &genesis_weights(&config), &data, &RUN, &mut go_on).unwrap();
	assert_eq!(trained.samples, 1);
}

#[test]
fn plain_steps_learn_as_well() {
	for config in [mlp(), cnn()] {
		let data = digits().train;
		let few = plain_steps(&config, &data, 1, 1).unwrap();
		let many = plain_steps(&config, &data, 150, 1).unwrap();
		assert!(many.loss < few.loss / 2.0, "{few:?} {many:?}");
	}
}

/// Softmax regression on one feature and two classes from weights of zero: every number of a step can be had by hand.
fn by_hand(momentum: f64, proximal: f64, keep_momentum: bool) -> (TrainingConfig, Dataset) {
	let config = TrainingConfig {
		input: vec![1],
		classes: 2,
		batch_size: 1,
		genesis_seed: 1,
		model: ModelSpec::Mlp { hidden: vec![], activation: Activation::Relu },
		optimiser: Optimiser::Sgd { learning_rate: 1.0, momentum, weight_decay: 0.0 },
		proximal,
		keep_momentum,
		..mlp()
	};
	(config, Dataset::new(vec![1], vec![1.0], vec![0]).unwrap())
}

fn weight(update: &[Tensor], name: &str) -> f64 {
	f64::from(update.iter().find(|t| t.name == name).unwrap().data[0])
}

fn zeros(config: &TrainingConfig) -> TensorFile {
	changed(&genesis_weights(config), "dense.0.weight", |t| t.data = vec![0.0, 0.0])
}

#[test]
fn proximal_term_pulls_towards_the_base_by_the_formula() {
	// Weight and bias of a class are alike from zeros on, both called w here: logits are (2w, -2w).
	let (mu, sigma) = (0.25, |x: f64| 1.0 / (1.0 + (-x).exp()));
	let first = 1.0 - sigma(0.0);
	let second = 1.0 - sigma(4.0 * first) - mu * first;
	let (config, data) = by_hand(0.0, mu, false);
	let run = LocalRun { seed: 1, local_steps: 2, device: Device::Cpu };
	let base = zeros(&config);
	let moved = -weight(&train(&config, &base, &data, &run, &mut go_on).unwrap().update, "dense.0.weight");
	assert!((moved - (first + second)).abs() < 1e-6, "{moved} {first} {second}");
	let (without, _) = by_hand(0.0, 0.0, false);
	let further = -weight(&train(&without, &base, &data, &run, &mut go_on).unwrap().update, "dense.0.weight");
	assert!((further - moved - mu * first).abs() < 1e-6, "{further} {moved}");
	// The first step starts at the base, where the term is nothing: one step is the same with and without it.
	let one = LocalRun { local_steps: 1, ..run };
	assert_eq!(
		train(&config, &base, &data, &one, &mut go_on).unwrap().update,
		train(&without, &base, &data, &one, &mut go_on).unwrap().update
	);
}

#[test]
fn kept_momentum_goes_on_in_the_next_round_and_starts_again_otherwise() {
	for (keep, expected) in [(true, 0.9 * 0.5 + 0.5), (false, 0.5)] {
		let (config, data) = by_hand(0.9, 0.0, keep);
		let base = zeros(&config);
		let mut worker = LocalTrainer::new(&config, &data, Device::Cpu).unwrap();
		let mut round = || -weight(&worker.round(&base, 1, 1, &mut go_on).unwrap().update, "dense.0.weight");
		let (first, second) = (round(), round());
		// The same base twice, so the same gradient of 1 - σ(0) twice.
		assert!((first - 0.5).abs() < 1e-6 && (second - expected).abs() < 1e-6, "{keep}: {first} {second}");
	}
}

#[test]
fn round_by_itself_is_refused_when_momentum_should_go_on() {
	let (config, data) = by_hand(0.9, 0.0, true);
	let run = LocalRun { local_steps: 1, ..RUN };
	let error = train(&config, &zeros(&config), &data, &run, &mut go_on).unwrap_err();
	assert!(matches!(&error, TrainingError::ForgottenMomentum), "{error}");
}

#[test]
fn round_that_is_stopped_leaves_the_kept_momentum_as_it_was() {
	let (config, data) = by_hand(0.9, 0.0, true);
	let base = zeros(&config);
	let updates = |stop: bool| {
		let mut worker = LocalTrainer::new(&config, &data, Device::Cpu).unwrap();
		worker.round(&base, 1, 1, &mut go_on).unwrap();
		if stop {
			worker.round(&base, 2, 3, &mut |_, _| ControlFlow::Break(Stop::Abandon)).unwrap_err();
		}
		worker.round(&base, 3, 1, &mut go_on).unwrap().update
	};
	assert_eq!(updates(true), updates(false));
}

#[test]
fn worker_that_resumes_has_the_bits_of_one_that_went_on() {
	let data = digits().train;
	let adam =
		Optimiser::Adam { learning_rate: 0.01, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.0 };
	for optimiser in [mlp().optimiser, adam] {
		let config = TrainingConfig { keep_momentum: true, optimiser, ..mlp() };
		let base = genesis_weights(&config);
		let new = || LocalTrainer::new(&config, &data, Device::Cpu).unwrap();
		let mut one = new();
		one.round(&base, 1, 3, &mut go_on).unwrap();
		let second = one.round(&base, 2, 3, &mut go_on).unwrap();

		let mut first = new();
		first.round(&base, 1, 3, &mut go_on).unwrap();
		let momentum = first.into_momentum();
		// From the same momenta twice: a round does not change those that it started from.
		for _ in 0..2 {
			let mut other = new();
			other.resume(momentum.clone());
			assert_eq!(other.round(&base, 2, 3, &mut go_on).unwrap(), second);
		}
		assert_ne!(new().round(&base, 2, 3, &mut go_on).unwrap(), second);
	}
	// Where nothing is kept, there is nothing to go on from.
	let mut without = LocalTrainer::new(&mlp(), &data, Device::Cpu).unwrap();
	without.round(&genesis_weights(&mlp()), 1, 3, &mut go_on).unwrap();
	assert!(without.into_momentum().is_none());
}
