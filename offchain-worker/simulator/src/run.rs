//! One run: rounds of local training, attack and aggregation, as on the chain but without it.

use crate::{
	config::{AttackKind, Method, Simulation},
	crew::{stream, success_of, Crew, NoUpdates, Sent},
	results::{End, Round, Run},
	SimulationError,
};
use cairn_aggregation::{
	check_update, settle_with, AggregationError, Bucketing, CheckedUpdate, ExpectedUpdate, Method as Around,
	Mixing, PreAggregation, RoundInputs, Settlement, UpdateEnvelope, WeightsEnvelope,
};
use cairn_artifacts::{artifact_hash, ArtifactHash, Tensor, TensorFile};
use cairn_primitives::H256;
use cairn_training::{genesis_weights, Dataset, Evaluator};
use std::sync::atomic::{AtomicBool, Ordering};

/// What stands where a chain's genesis hash does.
const NO_CHAIN: H256 = H256([0x51; 32]);

/// The data of all runs.
pub(crate) struct Data {
	pub train: Dataset,
	pub held_out: Dataset,
}

/// Which run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RunId {
	/// Number of the method in the configuration, from 0.
	pub method: usize,
	/// Number of the attack, from 0.
	pub attack: usize,
	/// The seed.
	pub seed: u64,
}

/// The aggregator's side of a run: weights, and what goes with them from round to round.
struct Server<'a> {
	method: &'a Method,
	config: ArtifactHash,
	seed: u64,
	weights: TensorFile,
	hash: ArtifactHash,
	state: Option<TensorFile>,
}

/// What a round came to.
struct Outcome {
	included: u32,
	refused: u32,
	failed: Option<String>,
}

impl Server<'_> {
	/// The method in this round. Bucketing's order comes from the round's randomness, as it would on the chain.
	fn around(&self, round: u32) -> Around {
		let bucketing = self.method.bucketing.map(|size| {
			let mut stream = stream("round randomness", self.seed, &[round.into()]);
			let mut seed = [0; 32];
			for part in seed.chunks_exact_mut(8) {
				part.copy_from_slice(&stream.word().to_le_bytes());
			}
			Bucketing { size, seed }
		});
		let mixing = self.method.mixing.map(|hostile| Mixing { hostile });
		Around {
			pre: PreAggregation { normalisation: self.method.normalisation, bucketing, mixing },
			optimiser: self.method.optimiser,
		}
	}

	/// Checks what was sent as a receiver does, and makes the next weights of what is left.
	fn settle(&mut self, round: u32, mut sent: Vec<Sent>) -> Result<Outcome, SimulationError> {
		// In the order of commits, which is anybody's.
		stream("commit order", self.seed, &[round.into()]).shuffle(&mut sent);
		let (mut updates, mut refused) = (Vec::with_capacity(sent.len()), 0);
		for sent in sent {
			match self.check(round, sent)? {
				Some(update) => updates.push(update),
				None => refused += 1,
			}
		}
		let inputs = RoundInputs {
			genesis: NO_CHAIN,
			programme: 0,
			round,
			config: self.config,
			base: self.hash,
			rule: self.method.rule,
		};
		let included = updates.len() as u32;
		let around = self.around(round);
		let failed = match settle_with(&inputs, &around, &self.weights, self.state.as_ref(), &updates, 1) {
			Ok(Settlement { hash, bytes, state, .. }) => {
				self.weights = read_back(&bytes)?;
				self.hash = hash;
				self.state = state.map(|state| read_back(&state.bytes)).transpose()?;
				None
			},
			// As on the chain: a round that cannot be settled fails, and the next one starts from the same weights.
			Err(e) => Some(e.to_string()),
		};
		Ok(Outcome { included, refused, failed })
	}

	fn check(&self, round: u32, sent: Sent) -> Result<Option<CheckedUpdate>, SimulationError> {
		let Sent { worker, tensors, samples, local_steps, seed } = sent;
		let mut producer = [0; 32];
		producer[..4].copy_from_slice(&worker.to_le_bytes());
		let envelope = UpdateEnvelope {
			genesis: NO_CHAIN,
			programme: 0,
			round,
			base: self.hash,
			config: self.config,
			producer,
			device: worker,
			samples,
			local_steps,
			clip_norm: 0.0,
			noise_multiplier: 0.0,
			seed,
		};
		let expected = ExpectedUpdate::from(&envelope);
		let file = TensorFile::new(envelope.to_metadata(), tensors);
		let bytes = file.map_err(|e| SimulationError::Internal(e.to_string()))?.into_bytes();
		Ok(check_update(&bytes, &artifact_hash(&bytes), &expected, &self.weights).ok())
	}
}

fn read_back(bytes: &[u8]) -> Result<TensorFile, SimulationError> {
	TensorFile::from_bytes(bytes).map_err(|e| SimulationError::Internal(e.to_string()))
}

/// Lets every method aggregate as many updates as there are workers, of one number each, so that what a rule refuses is
/// known before anything is trained.
pub(crate) fn try_methods(simulation: &Simulation) -> Result<(), SimulationError> {
	let config = artifact_hash(&simulation.training.to_artifact());
	let one = || vec![Tensor { name: "w".into(), shape: vec![1], data: vec![0.0] }];
	for method in &simulation.methods {
		let weights = TensorFile::new(WeightsEnvelope::Genesis { config }.to_metadata(), one())
			.map_err(|e| SimulationError::Internal(e.to_string()))?;
		let hash = weights.hash();
		let server = Server { method, config, seed: 0, weights, hash, state: None };
		let sent = (0..simulation.workers).map(|worker| {
			let local_steps = simulation.steps_of(worker);
			Sent { worker, tensors: one(), samples: 1, local_steps, seed: 0 }
		});
		let updates =
			sent.filter_map(|sent| server.check(0, sent).transpose()).collect::<Result<Vec<_>, _>>()?;
		let inputs =
			RoundInputs { genesis: NO_CHAIN, programme: 0, round: 0, config, base: hash, rule: method.rule };
		let refused = |error: AggregationError| SimulationError::Method {
			method: method.name.clone(),
			workers: simulation.workers,
			error: Box::new(error),
		};
		settle_with(&inputs, &server.around(0), &server.weights, None, &updates, 1).map_err(refused)?;
	}
	Ok(())
}

/// Does one run. `progress` is told each round that has been measured.
pub(crate) fn run(
	simulation: &Simulation,
	data: &Data,
	id: RunId,
	stop: &AtomicBool,
	progress: &dyn Fn(&Round),
) -> Result<Run, SimulationError> {
	let (method, attack) = (&simulation.methods[id.method], &simulation.attacks[id.attack]);
	let training = &simulation.training;
	let mut crew = Crew::new(simulation, attack.kind, id.seed, &data.train)?;
	let evaluator = Evaluator::new(training, &data.held_out, simulation.device)?;
	let success = match &attack.kind {
		AttackKind::Backdoor(backdoor) => success_of(simulation, backdoor, &data.train, &data.held_out)?,
		_ => None,
	};
	let weights = genesis_weights(training);
	let hash = weights.hash();
	let config = artifact_hash(&training.to_artifact());
	let mut server = Server { method, config, seed: id.seed, weights, hash, state: None };
	let mut rounds = Vec::new();
	let (mut failed_rounds, mut last_failure) = (0, None);
	let mut end = End::Completed;
	let measure = |server: &Server<'_>, round: u32, included: u32, refused: u32| {
		let measured = evaluator.measure(&server.weights)?;
		let attack_success =
			success.as_ref().map(|s| s.measure(&server.weights)).transpose()?.map(|m| m.accuracy);
		let (loss, accuracy) = (measured.loss, measured.accuracy);
		Ok::<_, SimulationError>(Round { round, loss, accuracy, attack_success, included, refused })
	};
	rounds.push(measure(&server, 0, 0, 0)?);
	for round in 1..=simulation.rounds {
		if stop.load(Ordering::Relaxed) {
			end = End::Interrupted;
			break;
		}
		let sent = match crew.round(round, &server.weights, stop) {
			Ok(sent) => sent,
			Err(NoUpdates::Failed(e)) => return Err(e),
			Err(NoUpdates::Stopped) => {
				end = End::Interrupted;
				break;
			},
			Err(NoUpdates::Lost(reason)) => {
				end = End::Lost { round, reason };
				break;
			},
		};
		let outcome = server.settle(round, sent)?;
		if let Some(reason) = outcome.failed {
			(failed_rounds, last_failure) = (failed_rounds + 1, Some(reason));
		}
		if round % simulation.evaluate_every == 0 || round == simulation.rounds {
			let measured = measure(&server, round, outcome.included, outcome.refused)?;
			progress(&measured);
			rounds.push(measured);
		}
	}
	Ok(Run {
		method: method.name.clone(),
		attack: attack.name.clone(),
		seed: id.seed,
		end,
		failed_rounds,
		last_failure,
		weights: format!("{:?}", server.hash),
		rounds,
	})
}
