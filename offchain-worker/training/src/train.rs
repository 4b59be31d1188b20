//! Local steps and evaluation.

use crate::{
	config::TrainingConfig,
	dataset::Dataset,
	model,
	optimiser::{duplicate, State},
	random::Stream,
	torch::{self, Device},
};
use cairn_artifacts::{Tensor, TensorFile};
use std::{collections::VecDeque, ops::ControlFlow};
use tch::{Kind, TchError};

/// Samples per forward pass of an evaluation.
const EVALUATION_BATCH: i64 = 1024;

/// What one worker does in one round.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LocalRun {
	/// Seed of the order in which samples are drawn; goes into the update's envelope.
	pub seed: u64,
	/// How many steps.
	pub local_steps: u32,
	/// Where.
	pub device: Device,
}

/// Why a run is to end before its last step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stop {
	/// What was done so far is wanted: it becomes the update, with as many local steps as were taken.
	Finish,
	/// It is not: there is no update.
	Abandon,
}

/// What came of a local run.
#[derive(Clone, PartialEq, Debug)]
pub struct Trained {
	/// Base weights minus trained weights: the pseudo-gradient, with the names and shapes of the base weights, sorted
	/// by name.
	pub update: Vec<Tensor>,
	/// How many samples the data set has: the update's weight in a weighted mean.
	pub samples: u32,
	/// How many steps were taken.
	pub local_steps: u32,
	/// Mean training loss (cross entropy, nats) of the last pass over the data, or of all steps when they are fewer.
	pub loss: f32,
}

/// How good weights are.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Evaluation {
	/// Mean cross entropy, nats.
	pub loss: f64,
	/// Share of samples whose class has the largest logit.
	pub accuracy: f64,
	/// How many samples it was measured on.
	pub samples: usize,
}

/// Why training or evaluation failed.
#[derive(Debug, thiserror::Error)]
pub enum TrainingError {
	/// CUDA was asked for and is not there.
	#[error(
		"the device cuda:{number} was asked for, but libtorch finds {present} CUDA devices: use the device `cpu`, or \
		 check the driver and that LIBTORCH is a CUDA build"
	)]
	NoCuda {
		/// The device's number.
		number: u16,
		/// How many there are.
		present: i64,
	},
	/// The configuration's values are not possible.
	#[error(transparent)]
	Config(#[from] crate::ConfigError),
	/// Worker momentum was asked for where there is nothing to keep it in.
	#[error(
		"the training configuration has `keep_momentum`, but this round is trained by itself and would start from \
		 none: train its rounds with a `LocalTrainer`, which keeps it, or use a configuration without it"
	)]
	ForgottenMomentum,
	/// The weights lack a tensor.
	#[error("the weights have no tensor `{name}`: they belong to another training configuration")]
	MissingTensor {
		/// The tensor.
		name: String,
	},
	/// The weights have a tensor that the model has not.
	#[error("the weights have a tensor `{name}` that the model does not: they belong to another training configuration")]
	UnknownTensor {
		/// The tensor.
		name: String,
	},
	/// A tensor has another shape than the model's.
	#[error(
		"the tensor `{name}` has shape {found:?}, but the model's has {expected:?}: the weights belong to another \
		 training configuration"
	)]
	Shape {
		/// The tensor.
		name: String,
		/// Its shape.
		found: Vec<usize>,
		/// The model's.
		expected: Vec<usize>,
	},
	/// A tensor of the weights holds NaN or infinity.
	#[error("the tensor `{name}` of the weights holds NaN or infinity: the weights cannot be used")]
	NotFinite {
		/// The tensor.
		name: String,
	},
	/// The data's samples do not fit the model.
	#[error(
		"the data's samples have shape {found:?}, but the model takes {expected:?}: choose the programme's data set, \
		 or check the label column"
	)]
	Input {
		/// Shape of the data's samples.
		found: Vec<usize>,
		/// Shape that the configuration gives.
		expected: Vec<usize>,
	},
	/// A label that the model cannot give.
	#[error("sample {sample} has the label {label}, but the model's classes are 0 to {}", classes - 1)]
	Label {
		/// The sample, from 0.
		sample: usize,
		/// Its label.
		label: u32,
		/// The configuration's number of classes.
		classes: u32,
	},
	/// No steps.
	#[error("0 local steps were asked for: a run takes at least 1")]
	NoSteps,
	/// The loss is not a number any more.
	#[error(
		"the loss is {loss} in local step {step} of {of}: training diverged; a lower `learning_rate`, fewer local \
		 steps or features on a smaller scale help"
	)]
	Diverged {
		/// The step, from 1.
		step: u32,
		/// The steps of the run.
		of: u32,
		/// The loss.
		loss: f64,
	},
	/// The last step gave weights that are not finite.
	#[error("after local step {step} the tensor `{name}` holds NaN or infinity: training diverged; a lower `learning_rate` helps")]
	DivergedWeights {
		/// The step, from 1.
		step: u32,
		/// The tensor.
		name: String,
	},
	/// The progress callback abandoned the run.
	#[error("training was stopped after local step {step}")]
	Stopped {
		/// The last step that was taken.
		step: u32,
	},
	/// libtorch refused an operation.
	#[error("libtorch: {0}")]
	Torch(#[from] TchError),
}

/// The order in which samples are drawn: pass after pass over the data, each in a new ChaCha20 shuffle keyed by the
/// seed and the pass. A batch may span two passes, so that every batch has the same size and every sample is drawn
/// equally often.
struct Batches {
	seed: u64,
	pass: u64,
	order: Vec<i64>,
	next: usize,
	size: usize,
}

impl Batches {
	/// Batches of `size`, or of all samples when there are fewer.
	fn new(samples: usize, size: usize, seed: u64) -> Self {
		Self { seed, pass: 0, order: (0..samples as i64).collect(), next: samples, size: size.min(samples) }
	}

	fn next_batch(&mut self) -> Vec<i64> {
		let mut batch = Vec::with_capacity(self.size);
		while batch.len() < self.size {
			if self.next == self.order.len() {
				// From the same start each time, so that a pass depends on the seed and its number only.
				self.order.sort_unstable();
				Stream::new("batches", self.seed, &[&self.pass.to_le_bytes()]).shuffle(&mut self.order);
				(self.pass, self.next) = (self.pass + 1, 0);
			}
			let take = (self.size - batch.len()).min(self.order.len() - self.next);
			batch.extend_from_slice(&self.order[self.next..self.next + take]);
			self.next += take;
		}
		batch
	}
}

/// Takes local steps from the base weights on the data, minimising the mean cross entropy of each batch, plus the
/// proximal term where the configuration has one.
///
/// After each step, `progress` is called with the number of the step (from 1) and the loss of its batch (cross entropy
/// alone); when it breaks, training stops, with an update of the steps taken or without one. On the processor and with
/// one thread (see [`crate::set_threads`]), the same arguments give the same bits on the same host and build of libtorch.
///
/// This is one round by itself: momenta start at zero. Who trains round after round uses a [`LocalTrainer`].
///
/// # Errors
/// When the configuration has momenta go on from round to round, the device is absent, when weights or data do not fit
/// the configuration, when training diverges, when `progress` abandons it, or when libtorch refuses an operation.
pub fn train(
	config: &TrainingConfig,
	base: &TensorFile,
	data: &Dataset,
	run: &LocalRun,
	progress: &mut dyn FnMut(u32, f32) -> ControlFlow<Stop>,
) -> Result<Trained, TrainingError> {
	if config.keep_momentum {
		return Err(TrainingError::ForgottenMomentum);
	}
	LocalTrainer::new(config, data, run.device)?.round(base, run.seed, run.local_steps, progress)
}

/// A worker that trains round after round on the same data: it keeps them on the device, and its momenta where the
/// configuration says so ([`TrainingConfig::keep_momentum`]).
pub struct LocalTrainer {
	config: TrainingConfig,
	device: Device,
	features: tch::Tensor,
	labels: tch::Tensor,
	samples: usize,
	/// What the last round left, where it is kept.
	kept: Option<Momentum>,
}

/// What a worker's optimiser remembers after a round: see [`TrainingConfig::keep_momentum`]. A clone shares its memory,
/// which nothing writes to any more.
pub struct Momentum {
	state: State,
	/// How many steps the state has taken.
	steps: u32,
}

impl Clone for Momentum {
	fn clone(&self) -> Self {
		Self { state: self.state.share(), steps: self.steps }
	}
}

impl LocalTrainer {
	/// A worker that has not trained yet.
	///
	/// # Errors
	/// When the configuration is not possible, the device is absent, or the data do not fit the configuration.
	pub fn new(config: &TrainingConfig, data: &Dataset, device: Device) -> Result<Self, TrainingError> {
		config.validate()?;
		let (features, labels) = torch::load_data(config, data, torch::prepare(device)?)?;
		let samples = data.samples();
		Ok(Self { config: config.clone(), device, features, labels, samples, kept: None })
	}

	/// How many samples it trains on.
	pub fn samples(&self) -> usize {
		self.samples
	}

	/// Goes on from the momenta that a worker of the same configuration was left with; `None` is zero. Without
	/// [`TrainingConfig::keep_momentum`] nothing is gone on from.
	pub fn resume(&mut self, momentum: Option<Momentum>) {
		self.kept = momentum.filter(|_| self.config.keep_momentum);
	}

	/// The momenta after the last round, where they are kept.
	pub fn into_momentum(self) -> Option<Momentum> {
		self.kept
	}

	/// One round, as [`train`] does it. Batches are drawn anew in every round, in an order that `seed` decides.
	///
	/// A round that fails, by `progress` too, leaves no trace: kept momenta are those of the last round that did not.
	///
	/// # Errors
	/// As [`train`].
	pub fn round(
		&mut self,
		base: &TensorFile,
		seed: u64,
		local_steps: u32,
		progress: &mut dyn FnMut(u32, f32) -> ControlFlow<Stop>,
	) -> Result<Trained, TrainingError> {
		if local_steps == 0 {
			return Err(TrainingError::NoSteps);
		}
		let config = &self.config;
		let device = torch::prepare(self.device)?;
		let mut parameters = torch::load_weights(config, base, device)?;
		// The proximal term pulls towards these.
		let anchors = if config.proximal > 0.0 {
			parameters.iter().map(duplicate).collect::<Result<Vec<_>, _>>()?
		} else {
			Vec::new()
		};
		for parameter in &mut parameters {
			*parameter = parameter.f_set_requires_grad(true)?;
		}
		let (mut optimiser, before) = match &self.kept {
			Some(Momentum { state, steps }) => (state.copy()?, *steps),
			None => (State::new(&config.optimiser, &parameters)?, 0),
		};
		let mut batches = Batches::new(self.samples, config.batch_size as usize, seed);
		let pass = self.samples.div_ceil(batches.size);
		let mut last_pass = VecDeque::with_capacity(pass.min(local_steps as usize) + 1);
		let mut taken = 0;

		for step in 1..=local_steps {
			let batch = batches.next_batch();
			let indices = torch::tensor(&batch, &[batch.len() as i64], device)?;
			let logits = torch::forward(config, &parameters, &self.features.f_index_select(0, &indices)?)?;
			let loss = torch::mean_loss(&logits, &self.labels.f_index_select(0, &indices)?)?;
			let value = loss.f_double_value(&[])?;
			if !value.is_finite() {
				return Err(TrainingError::Diverged { step, of: local_steps, loss: value });
			}
			let mut gradients = tch::Tensor::f_run_backward(&[loss], &parameters, false, false)?;
			tch::no_grad(|| {
				for ((gradient, parameter), anchor) in gradients.iter_mut().zip(&parameters).zip(&anchors) {
					*gradient = gradient.f_add(&parameter.f_sub(anchor)?.f_mul_scalar(config.proximal)?)?;
				}
				optimiser.step(&mut parameters, &gradients, before.saturating_add(step))
			})?;
			last_pass.push_back(value);
			if last_pass.len() > pass {
				last_pass.pop_front();
			}
			taken = step;
			match progress(step, value as f32) {
				ControlFlow::Continue(()) => {},
				ControlFlow::Break(Stop::Finish) => break,
				ControlFlow::Break(Stop::Abandon) => return Err(TrainingError::Stopped { step }),
			}
		}

		let mut update = Vec::with_capacity(parameters.len());
		for (parameter, trained) in model::parameters(config).into_iter().zip(&parameters) {
			let missing = || TrainingError::MissingTensor { name: parameter.name.clone() };
			let from = base.get(&parameter.name).ok_or_else(missing)?;
			let data: Vec<f32> = from.data.iter().zip(torch::values(trained)?).map(|(b, t)| b - t).collect();
			if !data.iter().all(|v| v.is_finite()) {
				return Err(TrainingError::DivergedWeights { step: taken, name: parameter.name });
			}
			update.push(Tensor { name: parameter.name, shape: parameter.shape, data });
		}
		update.sort_by(|a, b| a.name.cmp(&b.name));
		if config.keep_momentum {
			self.kept = Some(Momentum { state: optimiser, steps: before.saturating_add(taken) });
		}
		Ok(Trained {
			update,
			samples: self.samples as u32,
			local_steps: taken,
			loss: (last_pass.iter().sum::<f64>() / last_pass.len() as f64) as f32,
		})
	}
}

/// Measures weights on a data set.
///
/// # Errors
/// When the device is absent, when weights or data do not fit the configuration, or when libtorch refuses an
/// operation.
pub fn evaluate(
	config: &TrainingConfig,
	weights: &TensorFile,
	data: &Dataset,
	device: Device,
) -> Result<Evaluation, TrainingError> {
	Evaluator::new(config, data, device)?.measure(weights)
}

/// Measures one set of weights after another on the same data, which it keeps on the device.
pub struct Evaluator {
	config: TrainingConfig,
	device: Device,
	features: tch::Tensor,
	labels: tch::Tensor,
	samples: usize,
}

impl Evaluator {
	/// With the data to measure on.
	///
	/// # Errors
	/// When the configuration is not possible, the device is absent, or the data do not fit the configuration.
	pub fn new(config: &TrainingConfig, data: &Dataset, device: Device) -> Result<Self, TrainingError> {
		config.validate()?;
		let (features, labels) = torch::load_data(config, data, torch::prepare(device)?)?;
		Ok(Self { config: config.clone(), device, features, labels, samples: data.samples() })
	}

	/// Measures weights.
	///
	/// # Errors
	/// When they do not fit the configuration, or when libtorch refuses an operation.
	pub fn measure(&self, weights: &TensorFile) -> Result<Evaluation, TrainingError> {
		let parameters = torch::load_weights(&self.config, weights, torch::prepare(self.device)?)?;
		let samples = self.samples as i64;
		let (mut loss, mut correct) = (0f64, 0i64);
		tch::no_grad(|| {
			for from in (0..samples).step_by(EVALUATION_BATCH as usize) {
				let len = EVALUATION_BATCH.min(samples - from);
				let expected = self.labels.f_narrow(0, from, len)?;
				let logits =
					torch::forward(&self.config, &parameters, &self.features.f_narrow(0, from, len)?)?;
				// In double precision, so that the loss of well-trained weights keeps its digits.
				let logits = logits.f_to_kind(Kind::Double)?;
				loss += torch::mean_loss(&logits, &expected)?.f_double_value(&[])? * len as f64;
				let hits = logits.f_argmax(1, false)?.f_eq_tensor(&expected)?;
				correct += hits.f_sum(Kind::Int64)?.f_int64_value(&[])?;
			}
			Ok::<_, TchError>(())
		})?;
		Ok(Evaluation {
			loss: loss / samples as f64,
			accuracy: correct as f64 / samples as f64,
			samples: self.samples,
		})
	}
}

#[cfg(test)]
mod tests {
	#![allow(clippy::unwrap_used)]
	use super::*;
	use proptest::prelude::*;

	proptest! {
		#[test]
		fn batches_draw_every_sample_once_per_pass(samples in 1usize..60, size in 1usize..80, seed: u64) {
			let mut batches = Batches::new(samples, size, seed);
			let mut drawn = Vec::new();
			while drawn.len() < samples * 3 {
				let batch = batches.next_batch();
				prop_assert_eq!(batch.len(), size.min(samples));
				drawn.extend(batch);
			}
			for pass in drawn.chunks_exact(samples) {
				let mut pass = pass.to_vec();
				pass.sort_unstable();
				prop_assert_eq!(pass, (0..samples as i64).collect::<Vec<_>>());
			}
			let mut again = Batches::new(samples, size, seed);
			let first = size.min(samples);
			prop_assert_eq!(&again.next_batch()[..], &drawn[..first]);
		}
	}

	#[test]
	fn batches_differ_when_seed_or_pass_differ() {
		let mut one = Batches::new(100, 100, 1);
		let (first, second) = (one.next_batch(), one.next_batch());
		assert_ne!(first, second);
		assert_ne!(first, Batches::new(100, 100, 2).next_batch());
	}
}
