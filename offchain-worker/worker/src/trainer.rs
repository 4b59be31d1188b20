//! The seam between the daemon and libtorch: the daemon hands over bytes and gets an update back, and never touches
//! a C++ library itself.

use cairn_artifacts::{ArtifactHash, MappedFile, Tensor, TensorFile};
use cairn_primitives::{envelope::WeightsEnvelope, ProgrammeId};
use cairn_training::{Dataset, Device, LocalTrainer, Momentum, TrainingConfig, TrainingError};

pub use cairn_training::Stop;

use std::{
	ops::ControlFlow,
	sync::{Mutex, MutexGuard, PoisonError},
};

/// How many programmes' momenta are kept. Each takes twice what the optimiser remembers: with momentum the size of the
/// model, with Adam twice that.
const MOMENTA: usize = 8;

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
	/// Library or device do not allow it now.
	#[error("{0}")]
	Failed(String),
	/// Configuration, weights and data do not go together: the same job fails again.
	#[error("{0}")]
	Hopeless(String),
}

impl From<TrainingError> for TrainerError {
	fn from(e: TrainingError) -> Self {
		match e {
			TrainingError::Stopped { .. } => Self::Stopped,
			// Memory that another program takes now, say.
			TrainingError::Torch(_) | TrainingError::NoCuda { .. } => Self::Failed(e.to_string()),
			_ => Self::Hopeless(e.to_string()),
		}
	}
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
	/// Those that were trained for last stand last.
	momenta: Mutex<Vec<Kept>>,
}

/// Whose momenta.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Owner {
	/// The training configuration.
	config: ArtifactHash,
	/// The programme, which base weights name; `None` for the weights that it starts from, which cannot. Two programmes
	/// with one configuration are told apart from their first aggregate on.
	programme: Option<ProgrammeId>,
}

/// The momenta of a programme that has them go on from round to round.
struct Kept {
	owner: Owner,
	/// Seed of the newest round, which no other round has.
	seed: u64,
	/// What it started from; `None` is zero. A round that is trained again, because its update was lost, starts here.
	before: Option<Momentum>,
	/// What it left.
	after: Momentum,
}

impl Owner {
	/// Where its momenta are. What was learnt from a programme's first weights is its own from its first aggregate on.
	fn find(self, momenta: &[Kept]) -> Option<usize> {
		let of = |owner: Self| momenta.iter().position(|kept| kept.owner == owner);
		of(self).or_else(|| of(Self { programme: None, ..self }))
	}
}

impl LibtorchTrainer {
	/// A trainer on this data.
	pub fn new(data: Dataset, device: Device) -> Self {
		Self { data, device, momenta: Mutex::default() }
	}

	/// How many samples it trains on.
	pub fn samples(&self) -> usize {
		self.data.samples()
	}

	fn momenta(&self) -> MutexGuard<'_, Vec<Kept>> {
		self.momenta.lock().unwrap_or_else(PoisonError::into_inner)
	}

	/// The momenta that a round starts from; `None` is zero.
	fn recall(&self, owner: Owner, seed: u64) -> Option<Momentum> {
		let momenta = self.momenta();
		let kept = &momenta[owner.find(&momenta)?];
		if kept.seed == seed {
			kept.before.clone()
		} else {
			Some(kept.after.clone())
		}
	}

	/// Keeps what a round left. Those of programmes that have not been trained for the longest are given up.
	fn remember(&self, kept: Kept) {
		let mut momenta = self.momenta();
		if let Some(old) = kept.owner.find(&momenta) {
			momenta.remove(old);
		} else if momenta.len() == MOMENTA {
			momenta.remove(0);
		}
		momenta.push(kept);
	}

	/// Gives up the momenta that a round started from and came to nothing with: every later one would, too.
	fn forget(&self, owner: Owner) {
		let mut momenta = self.momenta();
		if let Some(old) = owner.find(&momenta) {
			momenta.remove(old);
			tracing::warn!(
				"training diverged with the momentum of earlier rounds; the next round begins at zero"
			);
		}
	}
}

impl Trainer for LibtorchTrainer {
	fn local_steps(&self, job: &TrainJob) -> Result<u32, TrainerError> {
		let config = TrainingConfig::from_artifact(&job.config);
		let config = config.map_err(|e| TrainerError::Hopeless(e.to_string()))?;
		Ok(config.local_steps.min(job.max_local_steps))
	}

	fn train(&self, job: &TrainJob, progress: Progress<'_>) -> Result<LocalUpdate, TrainerError> {
		let hopeless = |e: &dyn std::fmt::Display| TrainerError::Hopeless(e.to_string());
		let config = TrainingConfig::from_artifact(&job.config).map_err(|e| hopeless(&e))?;
		let base = TensorFile::from_mapped(&job.base).map_err(|e| hopeless(&e))?;
		let samples = self.data.samples();
		if samples > job.max_samples as usize {
			return Err(TrainerError::Hopeless(format!(
				"this worker has {samples} samples, but the programme takes at most {}: train on a part of them (--partition)",
				job.max_samples
			)));
		}
		// The ceiling binds even when the configuration asks for more.
		let local_steps = config.local_steps.min(job.max_local_steps);
		let mut worker = LocalTrainer::new(&config, &self.data, self.device)?;
		let programme = match WeightsEnvelope::from_metadata(base.metadata()) {
			Ok(WeightsEnvelope::Aggregate { programme, .. }) => Some(programme),
			_ => None,
		};
		let owner = Owner { config: job.config.hash(), programme };
		let before = self.recall(owner, job.seed);
		if let (true, None, Some(programme)) = (config.keep_momentum, &before, programme) {
			tracing::info!(
				"programme {programme}: this worker has no momentum of earlier rounds, as after a restart; it begins at zero"
			);
		}
		worker.resume(before.clone());
		let mut report = |step: u32, loss: f32| progress(step, local_steps, loss);
		let trained = worker.round(&base, job.seed, local_steps, &mut report).inspect_err(|error| {
			if matches!(error, TrainingError::Diverged { .. } | TrainingError::DivergedWeights { .. }) {
				self.forget(owner);
			}
		})?;
		// Only a round that gives an update moves the momenta on.
		if let Some(after) = worker.into_momentum() {
			self.remember(Kept { owner, seed: job.seed, before, after });
		}
		Ok(LocalUpdate {
			tensors: trained.update,
			samples: trained.samples,
			local_steps: trained.local_steps,
			loss: trained.loss.into(),
		})
	}
}

#[cfg(test)]
mod tests {
	#![allow(clippy::unwrap_used)]
	use super::*;
	use cairn_artifacts::{artifact_hash, Store};
	use cairn_primitives::H256;
	use cairn_training::{genesis_weights, load, DataSource};

	/// The shipped model file that has momentum go on.
	const MODEL: &str = include_str!("../../simulator/configs/digits-momentum.toml");

	fn trainer() -> LibtorchTrainer {
		LibtorchTrainer::new(load(&DataSource::Digits).unwrap().train, Device::Cpu)
	}

	fn go_on(_: u32, _: u32, _: f32) -> ControlFlow<Stop> {
		ControlFlow::Continue(())
	}

	/// A programme with its files.
	struct Programme {
		config: TrainingConfig,
		store: Store,
		_folder: tempfile::TempDir,
	}

	impl Programme {
		fn new(keep_momentum: bool) -> Self {
			let folder = tempfile::tempdir().unwrap();
			let config = TrainingConfig { keep_momentum, ..TrainingConfig::from_toml(MODEL).unwrap() };
			Self { config, store: Store::open(folder.path()).unwrap(), _folder: folder }
		}

		fn job(&self, base: &TensorFile, seed: u64) -> TrainJob {
			let mapped = |bytes: &[u8]| self.store.map(&self.store.put(bytes).unwrap()).unwrap().unwrap();
			TrainJob {
				config: mapped(&self.config.to_artifact()),
				base: mapped(&base.to_bytes()),
				seed,
				max_samples: 10_000,
				max_local_steps: 10_000,
			}
		}

		/// Weights that name this programme as the one they come from.
		fn weights(&self, programme: ProgrammeId, tensors: Vec<Tensor>) -> TensorFile {
			let envelope = WeightsEnvelope::Aggregate {
				genesis: H256::zero(),
				programme,
				round: 0,
				config: artifact_hash(&self.config.to_artifact()),
				base: H256::zero(),
				inputs: H256::zero(),
				state: None,
			};
			TensorFile::new(envelope.to_metadata(), tensors).unwrap()
		}

		/// The weights that a round of programme 3 makes of a single update.
		fn after(&self, base: &TensorFile, update: &LocalUpdate) -> TensorFile {
			let moved = base.tensors().iter().zip(&update.tensors).map(|(base, update)| Tensor {
				name: base.name.clone(),
				shape: base.shape.clone(),
				data: base.data.iter().zip(&update.data).map(|(b, u)| b - u).collect(),
			});
			self.weights(3, moved.collect())
		}
	}

	#[test]
	fn kept_momentum_goes_on_from_round_to_round_and_a_repeated_round_has_the_same_bits() {
		let programme = Programme::new(true);
		let base = genesis_weights(&programme.config);
		let worker = trainer();
		let train = |base: &TensorFile, seed| worker.train(&programme.job(base, seed), &mut go_on).unwrap();
		let first = train(&base, 1);
		let base = programme.after(&base, &first);
		let second = train(&base, 2);
		// From zero, as a worker that has been started anew, and as one whose configuration keeps nothing.
		let anew = trainer().train(&programme.job(&base, 2), &mut go_on).unwrap();
		let without = trainer().train(&Programme::new(false).job(&base, 2), &mut go_on).unwrap();
		assert_ne!(second.tensors, anew.tensors);
		assert_eq!(anew, without);

		assert_eq!(train(&base, 2), second);
		let base = programme.after(&base, &second);
		let third = train(&base, 3);
		let stopped =
			worker.train(&programme.job(&base, 4), &mut |_, _, _| ControlFlow::Break(Stop::Abandon));
		assert_eq!(stopped, Err(TrainerError::Stopped));
		assert_eq!(train(&base, 3), third);
	}

	#[test]
	fn stopped_round_does_not_move_the_kept_momentum_on() {
		let programme = Programme::new(true);
		let base = genesis_weights(&programme.config);
		let second = |stop: bool| {
			let worker = trainer();
			let first = worker.train(&programme.job(&base, 1), &mut go_on).unwrap();
			let job = programme.job(&programme.after(&base, &first), 2);
			if stop {
				worker.train(&job, &mut |_, _, _| ControlFlow::Break(Stop::Abandon)).unwrap_err();
			}
			worker.train(&job, &mut go_on).unwrap()
		};
		assert_eq!(second(true), second(false));
	}

	#[test]
	fn programmes_of_one_configuration_have_momenta_of_their_own_and_only_so_many_are_kept() {
		let programme = Programme::new(true);
		let (_, weights) = genesis_weights(&programme.config).into_parts();
		let worker = trainer();
		let job = |number, seed| programme.job(&programme.weights(number, weights.clone()), seed);
		let train = |number, seed| worker.train(&job(number, seed), &mut go_on).unwrap();
		for number in 0..MOMENTA as ProgrammeId {
			train(number, number.into());
		}
		// It goes on from its own momentum, as that of a worker which was trained for it alone.
		let alone = trainer();
		alone.train(&job(0, 0), &mut go_on).unwrap();
		assert_eq!(train(0, 100), alone.train(&job(0, 100), &mut go_on).unwrap());
		// One more: programme 1 is now the one that was not trained for the longest, and begins at zero again.
		train(MOMENTA as ProgrammeId, 200);
		assert_eq!(worker.momenta().len(), MOMENTA);
		assert_eq!(train(1, 100), trainer().train(&job(1, 100), &mut go_on).unwrap());
	}
}
