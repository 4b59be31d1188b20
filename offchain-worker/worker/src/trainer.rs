//! The seam between the daemon and libtorch: the daemon hands over bytes and gets an update back, and never touches
//! a C++ library itself.

use cairn_artifacts::{MappedFile, Tensor, TensorFile};
use cairn_training::{Dataset, Device, LocalRun, TrainingConfig, TrainingError};

pub use cairn_training::Stop;

use std::ops::ControlFlow;

/// What to train.
#[derive(Clone, Debug)]
pub struct TrainJob {
	/// The programme's training configuration, as its artifact.
	pub config: MappedFile,
	/// The round's base weights, as their artifact.
	pub base: MappedFile,
	/// Seed of the run.
	pub seed: u64,
	/// The most samples the programme lets an update declare.
	pub max_samples: u32,
	/// The most local steps to take: what the programme lets an update declare, or what a device of this speed is asked
	/// for.
	pub max_local_steps: u32,
}

/// What came of it.
#[derive(Clone, PartialEq, Debug)]
pub struct LocalUpdate {
	/// Base weights minus trained weights.
	pub tensors: Vec<Tensor>,
	/// How many samples there are.
	pub samples: u32,
	/// How many steps were taken.
	pub local_steps: u32,
	/// Training loss at the end.
	pub loss: f64,
}

/// Why there is no update.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TrainerError {
	/// The caller abandoned the run.
	#[error("training was stopped")]
	Stopped,
	/// Configuration, weights, data or library do not allow it.
	#[error("{0}")]
	Failed(String),
}

/// Step, of how many, and the loss of its batch; breaking ends the run, with an update of the steps taken or without.
pub type Progress<'a> = &'a mut dyn FnMut(u32, u32, f32) -> ControlFlow<Stop>;

/// Trains one round. Blocks.
pub trait Trainer: Send + Sync {
	/// The local steps that configuration and programme ask of a device of full speed.
	///
	/// # Errors
	/// When the configuration cannot be read.
	fn local_steps(&self, job: &TrainJob) -> Result<u32, TrainerError> {
		Ok(job.max_local_steps)
	}

	/// Runs the local steps of one round.
	///
	/// # Errors
	/// When abandoned, or when something does not fit.
	fn train(&self, job: &TrainJob, progress: Progress<'_>) -> Result<LocalUpdate, TrainerError>;
}

/// Trains with libtorch on this worker's data.
pub struct LibtorchTrainer {
	data: Dataset,
	device: Device,
}

impl LibtorchTrainer {
	/// A trainer on this data.
	pub fn new(data: Dataset, device: Device) -> Self {
		Self { data, device }
	}

	/// How many samples it trains on.
	pub fn samples(&self) -> usize {
		self.data.samples()
	}
}

impl Trainer for LibtorchTrainer {
	fn local_steps(&self, job: &TrainJob) -> Result<u32, TrainerError> {
		let config = TrainingConfig::from_artifact(&job.config);
		let config = config.map_err(|e| TrainerError::Failed(e.to_string()))?;
		Ok(config.local_steps.min(job.max_local_steps))
	}

	fn train(&self, job: &TrainJob, progress: Progress<'_>) -> Result<LocalUpdate, TrainerError> {
		let failed = |e: &dyn std::fmt::Display| TrainerError::Failed(e.to_string());
		let config = TrainingConfig::from_artifact(&job.config).map_err(|e| failed(&e))?;
		let base = TensorFile::from_mapped(&job.base).map_err(|e| failed(&e))?;
		let samples = self.data.samples();
		if samples > job.max_samples as usize {
			return Err(TrainerError::Failed(format!(
				"this worker has {samples} samples, but the programme takes at most {}: train on a part of them (--partition)",
				job.max_samples
			)));
		}
		// The ceiling binds even when the configuration asks for more.
		let local_steps = config.local_steps.min(job.max_local_steps);
		let run = LocalRun { seed: job.seed, local_steps, device: self.device };
		let mut report = |step: u32, loss: f32| progress(step, local_steps, loss);
		match cairn_training::train(&config, &base, &self.data, &run, &mut report) {
			Ok(trained) => Ok(LocalUpdate {
				tensors: trained.update,
				samples: trained.samples,
				local_steps: trained.local_steps,
				loss: trained.loss.into(),
			}),
			Err(TrainingError::Stopped { .. }) => Err(TrainerError::Stopped),
			Err(e) => Err(failed(&e)),
		}
	}
}
