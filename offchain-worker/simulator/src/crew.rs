//! The workers of one run: what each trains on, and what the hostile ones send.

use crate::{
	attacks::{self, Mimic},
	config::{AttackKind, Backdoor, Share, Simulation},
	SimulationError,
};
use cairn_artifacts::{Tensor, TensorFile};
use cairn_training::{random::Stream, Dataset, Evaluator, LocalTrainer, Stop, Trained, TrainingError};
use std::{
	ops::ControlFlow,
	sync::atomic::{AtomicBool, Ordering},
};

/// What a worker sends in a round, before it is an artifact.
pub(crate) struct Sent {
	/// The worker: the honest ones come first.
	pub worker: u32,
	pub tensors: Vec<Tensor>,
	pub samples: u32,
	/// The local steps that it declares.
	pub local_steps: u32,
	/// The seed of its local run.
	pub seed: u64,
}

/// The workers.
pub(crate) struct Crew<'a> {
	simulation: &'a Simulation,
	attack: AttackKind,
	seed: u64,
	honest: Vec<LocalTrainer>,
	/// Hostile workers that train; the others need no data.
	hostile: Vec<LocalTrainer>,
	mimic: Option<Mimic>,
}

/// Why there are no updates of a round.
pub(crate) enum NoUpdates {
	/// It was stopped.
	Stopped,
	/// No honest worker can train from these weights.
	Lost(String),
	/// libtorch failed, or something does not fit.
	Failed(SimulationError),
}

impl<'a> Crew<'a> {
	/// The workers of a run. `data` are all samples to train on.
	pub fn new(
		simulation: &'a Simulation,
		attack: AttackKind,
		seed: u64,
		data: &Dataset,
	) -> Result<Self, SimulationError> {
		let Simulation { training, device, workers, hostile, .. } = simulation;
		let honest_count = workers - hostile;
		let tailed = simulation.long_tail.map(|share| data.long_tail(share, seed)).transpose()?;
		let shared = tailed.as_ref().unwrap_or(data);
		let parts = match simulation.partition {
			Share::Iid => shared.partition_indices(honest_count, None, seed)?,
			Share::Dirichlet(alpha) => shared.partition_indices(honest_count, Some(alpha), seed)?,
			Share::Sorted => shared.sorted_indices(honest_count, seed)?,
		};
		let of = |data: &Dataset| LocalTrainer::new(training, data, *device);
		let select = |data: &Dataset, part: &[u32]| {
			data.select(part).map_err(|e| SimulationError::Partition(e.into()))
		};
		let honest = parts
			.iter()
			.map(|part| Ok(of(&select(shared, part)?)?))
			.collect::<Result<_, SimulationError>>()?;
		let trains = matches!(
			attack,
			AttackKind::None | AttackKind::SignFlip { .. } | AttackKind::LabelFlip | AttackKind::Backdoor(_)
		);
		let mut enemies = Vec::new();
		if trains {
			// An even share of all data each, which honest workers have, too: that hostile ones take samples away is not
			// what is to be shown.
			let parts = data.partition_indices(honest_count, None, seed)?;
			for (number, part) in parts.iter().cycle().take(*hostile as usize).enumerate() {
				let own = select(data, part)?;
				let own = match attack {
					AttackKind::LabelFlip => flipped(&own, training.classes)?,
					AttackKind::Backdoor(backdoor) => {
						let bright = brightest(data);
						poisoned(&own, &backdoor, bright, &mut stream("poison", seed, &[number as u64]))?
					},
					_ => own,
				};
				enemies.push(of(&own)?);
			}
		}
		let mimic = match attack {
			AttackKind::Mimic { warm_up } => {
				Some(Mimic::new(training.parameter_count(), warm_up, &mut stream("mimic", seed, &[])))
			},
			_ => None,
		};
		Ok(Self { simulation, attack, seed, honest, hostile: enemies, mimic })
	}

	/// What everybody sends in a round that starts from `base`.
	pub fn round(
		&mut self,
		round: u32,
		base: &TensorFile,
		stop: &AtomicBool,
	) -> Result<Vec<Sent>, NoUpdates> {
		let mut reason = None;
		let mut sent = Vec::new();
		let honest_count = self.honest.len();
		for (worker, trainer) in self.honest.iter_mut().chain(&mut self.hostile).enumerate() {
			let seed = stream("local run", self.seed, &[round.into(), worker as u64]).word();
			let mut progress = |_, _| match stop.load(Ordering::Relaxed) {
				true => ControlFlow::Break(Stop::Abandon),
				false => ControlFlow::Continue(()),
			};
			let worker = worker as u32;
			match trainer.round(base, seed, self.simulation.steps_of(worker), &mut progress) {
				Ok(Trained { update, samples, local_steps, .. }) => {
					sent.push(Sent { worker, tensors: update, samples, local_steps, seed });
				},
				Err(TrainingError::Stopped { .. }) => return Err(NoUpdates::Stopped),
				// Such a worker has nothing to send, as in a live round.
				Err(e @ (TrainingError::Diverged { .. } | TrainingError::DivergedWeights { .. })) => {
					reason = Some(e.to_string());
				},
				Err(e) => return Err(NoUpdates::Failed(e.into())),
			}
		}
		let honest = sent.iter().take_while(|s| (s.worker as usize) < honest_count).count();
		if honest == 0 {
			return Err(NoUpdates::Lost(reason.unwrap_or_default()));
		}
		self.spoil(round, &mut sent, honest);
		Ok(sent)
	}

	/// Puts what hostile workers send in the place of what they trained, or behind what the honest ones did.
	fn spoil(&mut self, round: u32, sent: &mut Vec<Sent>, honest: usize) {
		let scale = match self.attack {
			AttackKind::SignFlip { scale } => Some(-scale),
			AttackKind::Backdoor(backdoor) => Some(backdoor.scale),
			AttackKind::None | AttackKind::LabelFlip => Some(1.0),
			_ => None,
		};
		if let Some(scale) = scale {
			for tensor in sent[honest..].iter_mut().flat_map(|s| &mut s.tensors) {
				if scale != 1.0 {
					tensor.data = attacks::scaled(&tensor.data, scale);
				}
			}
			return;
		}
		let like = sent[0].tensors.clone();
		let flat: Vec<Vec<f32>> = sent[..honest].iter().map(|s| flatten(&s.tensors)).collect();
		let rows: Vec<&[f32]> = flat.iter().map(Vec::as_slice).collect();
		let length = rows[0].len();
		// All send the same, but for noise.
		let together = match self.attack {
			AttackKind::InnerProduct { epsilon } => attacks::inner_product_manipulation(&rows, epsilon),
			AttackKind::LittleIsEnough { z } => attacks::little_is_enough(&rows, z),
			AttackKind::MinMax { perturbation } => attacks::min_max(&rows, perturbation),
			AttackKind::MinSum { perturbation } => attacks::min_sum(&rows, perturbation),
			AttackKind::NotANumber => attacks::not_a_number(length),
			_ => match &mut self.mimic {
				Some(mimic) => flat[mimic.choose(&rows)].clone(),
				None => Vec::new(),
			},
		};
		// Nobody looks twice at one who declares what most have.
		let usual = |declared: fn(&Sent) -> u32| {
			let mut all: Vec<u32> = sent[..honest].iter().map(declared).collect();
			all.sort_unstable();
			all[all.len() / 2]
		};
		let (samples, local_steps) = (usual(|s| s.samples), usual(|s| s.local_steps));
		let first = self.honest.len() as u32;
		for worker in first..first + self.simulation.hostile {
			let mut stream = stream("noise", self.seed, &[round.into(), worker.into()]);
			let values = match self.attack {
				AttackKind::Noise { deviation } => attacks::noise(length, deviation, &mut stream),
				_ => together.clone(),
			};
			let seed = stream.word();
			sent.push(Sent { worker, tensors: shaped(&like, &values), samples, local_steps, seed });
		}
	}
}

/// The stream of random numbers for a purpose within a run.
pub(crate) fn stream(purpose: &str, seed: u64, parts: &[u64]) -> Stream {
	let parts: Vec<[u8; 8]> = parts.iter().map(|part| part.to_le_bytes()).collect();
	let parts: Vec<&[u8]> = parts.iter().map(|part| &part[..]).collect();
	Stream::new(&format!("simulation: {purpose}"), seed, &parts)
}

fn flatten(tensors: &[Tensor]) -> Vec<f32> {
	tensors.iter().flat_map(|t| t.data.iter().copied()).collect()
}

/// The values as tensors like these.
fn shaped(like: &[Tensor], values: &[f32]) -> Vec<Tensor> {
	let mut rest = values;
	let of = |tensor: &Tensor| {
		let (data, behind) = rest.split_at(tensor.data.len());
		rest = behind;
		Tensor { name: tensor.name.clone(), shape: tensor.shape.clone(), data: data.to_vec() }
	};
	like.iter().map(of).collect()
}

fn brightest(data: &Dataset) -> f32 {
	data.features().iter().copied().fold(f32::MIN, f32::max)
}

/// Label flip: class *y* becomes classes − 1 − *y*. Fang and others 2020, "Local Model Poisoning Attacks"; with ten
/// classes it is 9 − *y*.
fn flipped(data: &Dataset, classes: u32) -> Result<Dataset, SimulationError> {
	let labels = data.labels().iter().map(|label| (classes - 1).saturating_sub(*label)).collect();
	rebuilt(data, data.features().to_vec(), labels)
}

fn rebuilt(data: &Dataset, features: Vec<f32>, labels: Vec<u32>) -> Result<Dataset, SimulationError> {
	Dataset::new(data.shape().to_vec(), features, labels).map_err(|e| SimulationError::Partition(e.into()))
}

/// Puts the trigger on a sample: the last square of the image gets the brightest value, in every channel. The last two
/// dimensions are rows and columns; where there is one only, its last values are taken.
fn put_trigger(sample: &mut [f32], shape: &[usize], side: u32, bright: f32) {
	let side = side as usize;
	let (rows, columns) = match shape {
		[.., rows, columns] => (*rows, *columns),
		_ => (1, sample.len()),
	};
	for image in sample.chunks_exact_mut(rows * columns) {
		for row in rows.saturating_sub(side)..rows {
			image[(row + 1) * columns - side.min(columns)..(row + 1) * columns].fill(bright);
		}
	}
}

/// A share of the samples gets the trigger and the target's label.
fn poisoned(
	data: &Dataset,
	backdoor: &Backdoor,
	bright: f32,
	stream: &mut Stream,
) -> Result<Dataset, SimulationError> {
	let mut order: Vec<usize> = (0..data.samples()).collect();
	stream.shuffle(&mut order);
	// At least one, or there is no backdoor.
	let count = ((data.samples() as f64 * backdoor.poisoned).round() as usize).clamp(1, data.samples());
	let (mut features, mut labels) = (data.features().to_vec(), data.labels().to_vec());
	let size = data.sample_values();
	for &sample in &order[..count] {
		let values = &mut features[sample * size..(sample + 1) * size];
		put_trigger(values, data.shape(), backdoor.trigger, bright);
		labels[sample] = backdoor.target;
	}
	rebuilt(data, features, labels)
}

/// What measures the backdoor: all samples of other classes, with the trigger and the target's label, so that accuracy is
/// the attack's success. `None` where there are no samples of other classes.
pub(crate) fn success_of(
	simulation: &Simulation,
	backdoor: &Backdoor,
	train: &Dataset,
	held_out: &Dataset,
) -> Result<Option<Evaluator>, SimulationError> {
	let others: Vec<u32> = (0u32..)
		.zip(held_out.labels())
		.filter(|(_, label)| **label != backdoor.target)
		.map(|(i, _)| i)
		.collect();
	if others.is_empty() {
		return Ok(None);
	}
	let others = held_out.select(&others).map_err(|e| SimulationError::Partition(e.into()))?;
	let mut features = others.features().to_vec();
	let bright = brightest(train);
	for sample in features.chunks_exact_mut(others.sample_values()) {
		put_trigger(sample, others.shape(), backdoor.trigger, bright);
	}
	let labels = vec![backdoor.target; others.samples()];
	let data = rebuilt(&others, features, labels)?;
	Ok(Some(Evaluator::new(&simulation.training, &data, simulation.device)?))
}

#[cfg(test)]
mod tests {
	#![allow(clippy::unwrap_used)]
	use super::*;

	fn data() -> Dataset {
		Dataset::new(vec![3, 3], (0..18).map(|i| i as f32).collect(), vec![0, 2]).unwrap()
	}

	#[test]
	fn label_flip_turns_the_order_of_classes_around() {
		assert_eq!(flipped(&data(), 10).unwrap().labels(), [9, 7]);
		assert_eq!(flipped(&data(), 3).unwrap().labels(), [2, 0]);
		assert_eq!(flipped(&data(), 10).unwrap().features(), data().features());
	}

	#[test]
	fn trigger_is_a_square_in_the_last_corner() {
		let mut image: Vec<f32> = vec![0.0; 9];
		put_trigger(&mut image, &[3, 3], 2, 7.0);
		assert_eq!(image, [0.0, 0.0, 0.0, 0.0, 7.0, 7.0, 0.0, 7.0, 7.0]);
		// Every channel; a trigger as large as the image; a row of values.
		let mut channels = vec![0.0; 8];
		put_trigger(&mut channels, &[2, 2, 2], 1, 7.0);
		assert_eq!(channels, [0.0, 0.0, 0.0, 7.0, 0.0, 0.0, 0.0, 7.0]);
		put_trigger(&mut channels, &[2, 2, 2], 9, 1.0);
		assert_eq!(channels, [1.0; 8]);
		let mut row = vec![0.0; 4];
		put_trigger(&mut row, &[4], 2, 7.0);
		assert_eq!(row, [0.0, 0.0, 7.0, 7.0]);
	}

	#[test]
	fn poisoned_share_has_the_trigger_and_the_target() {
		let data = Dataset::new(vec![2, 2], vec![0.0; 400], vec![1; 100]).unwrap();
		let backdoor = Backdoor { target: 4, trigger: 1, poisoned: 0.3, scale: 1.0 };
		let poisoned = poisoned(&data, &backdoor, 9.0, &mut stream("test", 1, &[])).unwrap();
		let mut count = 0;
		for (sample, label) in poisoned.features().chunks(4).zip(poisoned.labels()) {
			let has = sample == [0.0, 0.0, 0.0, 9.0];
			assert_eq!(has, *label == 4);
			count += usize::from(has);
		}
		assert_eq!(count, 30);
	}

	#[test]
	fn values_come_back_in_the_shapes_they_had() {
		let tensor = |name: &str, data: Vec<f32>| Tensor { name: name.into(), shape: vec![data.len()], data };
		let tensors = [tensor("a", vec![1.0, 2.0]), tensor("b", vec![3.0])];
		assert_eq!(shaped(&tensors, &flatten(&tensors)), tensors);
	}
}
