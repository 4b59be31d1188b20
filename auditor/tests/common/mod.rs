//! A programme with real artifacts, settled by the rules, on a chain in memory.
#![allow(dead_code, clippy::unwrap_used)]

pub mod peers;
mod proof;
pub mod rpc;

pub use proof::genesis;

use cairn_aggregation::{
	check_update, settle_with, ExpectedUpdate, Method, RoundInputs, UpdateEnvelope, WeightsEnvelope,
};
use cairn_artifacts::{artifact_hash, ArtifactHash, Store, Tensor, TensorFile};
use cairn_auditor::chain::{Chain, ChainError, Page, Programme, ProvingChain, Record, Round};
use cairn_primitives::{
	bitmap,
	round::{quality_digest, terms_digest},
	views::{FailureReason, Phase, ProgrammeState},
	Aggregation, ProgrammeId, Record as Entry, RecordId, RecordKind, RecordRange, RoundIndex, RoundTerms,
	Schedule, H256,
};
use cairn_verifier::ss58;
use tempfile::TempDir;

pub const HEAD: H256 = H256([0xf1; 32]);
const CONFIG: H256 = H256([0x22; 32]);
pub const UPDATES: u32 = 5;

/// The chain. Tests change it to what a wrong chain would say.
#[derive(Clone)]
pub struct Fake {
	pub programme: Programme,
	pub rounds: Vec<Round>,
	pub records: Vec<Record>,
	/// Records per page of a lineage.
	pub page: usize,
	/// The record whose proof is made for another one's.
	pub forged: Option<RecordId>,
	/// Asked for the first record, it gives the second.
	pub swap: Option<(RecordId, RecordId)>,
	/// No block is provably final yet.
	pub unprovable: bool,
	/// What it does to a page of a lineage that was asked for with this cursor.
	pub alter_page: fn(Option<RecordId>, &mut Page),
}

/// The chain and the artifacts.
pub struct World {
	pub dir: TempDir,
	pub store: Store,
	pub chain: Fake,
	base: TensorFile,
	pub state: Option<TensorFile>,
}

/// What the chain writes into the record of the weights that a round made.
fn settled_under(round: &Round) -> H256 {
	terms_digest(&round.terms, round.bucketing_seed.as_ref(), round.quality.as_ref())
}

fn tensors(seed: u32) -> Vec<Tensor> {
	let value = |i: u32| ((seed * 7919 + i * 104_729) % 1009) as f32 / 1009.0 - 0.5;
	vec![
		Tensor { name: "bias".into(), shape: vec![3], data: (0..3).map(value).collect() },
		Tensor { name: "weight".into(), shape: vec![3, 4], data: (3..15).map(value).collect() },
	]
}

impl World {
	/// A programme that has just started.
	pub fn new(aggregation: impl Into<Aggregation>) -> Self {
		let dir = TempDir::new().unwrap();
		let store = Store::open(dir.path().join("artifacts")).unwrap();
		let base =
			TensorFile::new(WeightsEnvelope::Genesis { config: CONFIG }.to_metadata(), tensors(0)).unwrap();
		let weights = store.put(&base.to_bytes()).unwrap();
		let start = |kind, artifact| Entry {
			kind,
			artifact,
			base: None,
			inputs: None,
			terms: None,
			producer: None,
			device: None,
			site: None,
			programme: 0,
			round: None,
			block: 0,
		};
		let records = vec![
			Record { id: 0, record: start(RecordKind::TrainingConfig, CONFIG) },
			Record { id: 1, record: start(RecordKind::Weights, weights) },
		];
		let programme = Programme {
			id: 0,
			name: b"digits".to_vec(),
			state: ProgrammeState::Open,
			config: CONFIG,
			genesis_weights: weights,
			weights,
			weights_record: 1,
			aggregation: aggregation.into(),
			schedule: Schedule { commit: 20, availability: 8, aggregate: 8, reveal: 8, challenge: 0 },
			committee_size: 3,
			audit_size: 7,
			min_updates: 3,
			target_updates: UPDATES,
			max_updates: 64,
			max_samples: 100_000,
			max_local_steps: 10_000,
			rounds: 10,
			finalised: 0,
			round: 0,
			committee_share: 20,
			reward_per_round: 1_000_000_000_000_000,
			licence: Vec::new(),
			data_category: Vec::new(),
			epsilon_per_round: None,
			challenge_bond: 0,
			pot: ss58::encode(&[9; 32], 42),
			pot_free: 20_000_000_000_000_000,
		};
		let chain = Fake {
			programme,
			rounds: Vec::new(),
			records,
			page: 4,
			forged: None,
			swap: None,
			unprovable: false,
			alter_page: |_, _| {},
		};
		Self { dir, store, chain, base, state: None }
	}

	/// As `new`, with some rounds finalised.
	pub fn with_rounds(aggregation: impl Into<Aggregation>, rounds: u32) -> Self {
		let mut world = Self::new(aggregation);
		for _ in 0..rounds {
			world.finalise();
		}
		world
	}

	fn open(&self, phase: Phase) -> Round {
		let p = &self.chain.programme;
		let index = self.chain.rounds.len() as u32;
		Round {
			programme: 0,
			index,
			attempt: 0,
			phase,
			deadline: Some(index * 10 + 9),
			opened: index * 10,
			base: p.weights,
			base_record: p.weights_record,
			terms: RoundTerms {
				aggregation: p.aggregation,
				max_samples: p.max_samples,
				max_local_steps: p.max_local_steps,
			},
			commit_count: 0,
			commits: Vec::new(),
			committee: Vec::new(),
			included: Vec::new(),
			bucketing_seed: None,
			result: None,
			quality: None,
			challenge: None,
			result_record: None,
			updates: None,
			failure: None,
		}
	}

	/// A round that ended without a result.
	pub fn fail(&mut self) {
		let mut round = self.open(Phase::Failed);
		round.failure = Some(FailureReason::TooFewCommits);
		self.push(round);
	}

	/// A round that runs.
	pub fn run(&mut self) {
		let round = self.open(Phase::Aggregate);
		self.push(round);
	}

	fn push(&mut self, round: Round) {
		self.chain.programme.round = round.index;
		self.chain.rounds.push(round);
	}

	/// A round of honest updates.
	pub fn finalise(&mut self) {
		self.finalise_with(|_, _| {});
	}

	/// A round whose updates were altered before they were committed. If they are such that no honest committee could
	/// have aggregated them, the result is made up.
	pub fn finalise_with(&mut self, alter: impl Fn(&mut UpdateEnvelope, &mut Vec<Tensor>)) {
		let mut round = self.open(Phase::Finalised);
		let p = self.chain.programme.clone();
		let mut checked = Vec::new();
		let first = self.chain.records.len() as u64;
		// One commit more than is included, in the middle.
		round.commit_count = UPDATES + 1;
		round.included = bitmap::from_fn(UPDATES + 1, |i| i != 2);
		for i in (0..=UPDATES).filter(|i| *i != 2) {
			let honest = UpdateEnvelope {
				genesis: genesis(),
				programme: 0,
				round: round.index,
				base: round.base,
				config: CONFIG,
				producer: [i as u8; 32],
				device: i,
				samples: 100 + i,
				local_steps: 20,
				clip_norm: 0.0,
				noise_multiplier: 0.0,
				seed: 7,
			};
			let mut envelope = honest.clone();
			let mut data = tensors(round.index * 100 + i + 1);
			alter(&mut envelope, &mut data);
			let bytes = TensorFile::new(envelope.to_metadata(), data).unwrap().to_bytes();
			let hash = self.store.put(&bytes).unwrap();
			// Whatever was altered is not what the chain knows, but for what it leaves to the producer.
			let expected = ExpectedUpdate {
				samples: envelope.samples,
				local_steps: envelope.local_steps,
				..ExpectedUpdate::from(&honest)
			};
			checked.extend(check_update(&bytes, &hash, &expected, &self.base));
			self.record(Entry {
				kind: RecordKind::Update,
				artifact: hash,
				base: Some(round.base_record),
				inputs: None,
				terms: None,
				producer: Some(ss58::encode(&[i as u8; 32], 42)),
				device: Some(i),
				site: Some(0),
				programme: 0,
				round: Some(round.index),
				block: round.opened + 9,
			});
		}
		let inputs = RoundInputs {
			genesis: genesis(),
			programme: 0,
			round: round.index,
			config: CONFIG,
			base: round.base,
			rule: p.aggregation.rule,
		};
		let made_up = || (H256::repeat_byte(round.index as u8 + 1), Vec::new());
		let (result, bytes) = if checked.len() as u32 == UPDATES {
			round.bucketing_seed = p.aggregation.bucketing.map(|_| H256::repeat_byte(round.index as u8));
			let method = Method::of(&p.aggregation, round.bucketing_seed).unwrap();
			let settled =
				settle_with(&inputs, &method, &self.base, self.state.as_ref(), &checked, 1).unwrap();
			self.state = settled.state.map(|state| {
				self.store.put(&state.bytes).unwrap();
				TensorFile::from_bytes(&state.bytes).unwrap()
			});
			round.quality = Some(quality_digest(&settled.quality));
			(settled.hash, settled.bytes)
		} else {
			made_up()
		};
		if artifact_hash(&bytes) == result {
			self.store.put(&bytes).unwrap();
			self.base = TensorFile::from_bytes(&bytes).unwrap();
		}
		round.updates = Some(RecordRange { first, count: UPDATES });
		round.result = Some(result);
		round.result_record = Some(self.record(Entry {
			kind: RecordKind::Weights,
			artifact: result,
			base: Some(round.base_record),
			inputs: round.updates,
			terms: Some(settled_under(&round)),
			producer: None,
			device: None,
			site: None,
			programme: 0,
			round: Some(round.index),
			block: round.opened + 9,
		}));
		let p = &mut self.chain.programme;
		p.weights = result;
		p.weights_record = round.result_record.unwrap();
		p.finalised += 1;
		self.push(round);
	}

	fn record(&mut self, record: Entry<String, u32>) -> RecordId {
		let id = self.chain.records.len() as u64;
		self.chain.records.push(Record { id, record });
		id
	}

	/// The `i`-th included update of a round.
	pub fn update(&self, round: usize, i: u64) -> &Record {
		let range = self.chain.rounds[round].updates.unwrap();
		&self.chain.records[(range.first + i) as usize]
	}
}

pub fn refused(code: i32, message: String) -> ChainError {
	ChainError::Refused { method: "provenance".into(), code, message }
}

impl Fake {
	pub fn set_result(&mut self, round: usize, result: ArtifactHash) {
		let round = &mut self.rounds[round];
		round.result = Some(result);
		self.records[round.result_record.unwrap() as usize].record.artifact = result;
		if self.programme.weights_record == round.result_record.unwrap() {
			self.programme.weights = result;
		}
	}

	/// Makes the record of a round's weights say what the round says, as a chain does.
	pub fn bind(&mut self, round: usize) {
		let round = &self.rounds[round];
		self.records[round.result_record.unwrap() as usize].record.terms = Some(settled_under(round));
	}

	pub fn get_programme(&self, id: ProgrammeId) -> Result<Programme, ChainError> {
		(id == 0)
			.then(|| self.programme.clone())
			.ok_or_else(|| refused(9101, format!("there is no programme {id}")))
	}

	pub fn get_round(&self, programme: ProgrammeId, index: RoundIndex) -> Result<Round, ChainError> {
		self.get_programme(programme)?;
		let round = self.rounds.get(index as usize).cloned();
		round.ok_or_else(|| refused(9102, format!("there is no round {index}")))
	}

	pub fn get_record(&self, id: RecordId) -> Result<Record, ChainError> {
		let id = self.swap.filter(|(asked, _)| *asked == id).map_or(id, |(_, given)| given);
		let record = self.records.iter().find(|r| r.id == id).cloned();
		record.ok_or_else(|| refused(9103, format!("there is no record {id}")))
	}

	/// The walk that the ledger documents, from record `origin` on.
	fn before(&self, origin: RecordId, record: &Record) -> Option<RecordId> {
		let r = &record.record;
		// An update did not come from the others of its round.
		if record.id == origin && r.kind == RecordKind::Update {
			return r.base;
		}
		if let Some(range) = r.inputs {
			return Some(range.first + u64::from(range.count) - 1);
		}
		let sibling = record.id.checked_sub(1).and_then(|id| self.get_record(id).ok()).filter(|p| {
			r.kind == RecordKind::Update && p.record.kind == RecordKind::Update && p.record.round == r.round
		});
		sibling.map(|p| p.id).or(r.base)
	}

	pub fn get_lineage(&self, artifact: ArtifactHash, cursor: Option<RecordId>) -> Result<Page, ChainError> {
		let model = self.records.iter().find(|r| r.record.artifact == artifact);
		let model = model.ok_or_else(|| refused(9103, format!("artifact {artifact:?} is not recorded")))?;
		let mut next = Some(cursor.unwrap_or(model.id));
		let mut records = Vec::new();
		while let Some(id) = next.filter(|_| records.len() < self.page) {
			let record = self.get_record(id)?;
			next = self.before(model.id, &record);
			records.push(record);
		}
		let mut page = Page { records, next };
		(self.alter_page)(cursor, &mut page);
		Ok(page)
	}
}

fn at_head(at: H256) -> Result<(), ChainError> {
	if at == HEAD {
		Ok(())
	} else {
		Err(refused(9106, format!("block {at:?} is not known")))
	}
}

impl Chain for Fake {
	async fn genesis(&self) -> Result<H256, ChainError> {
		Ok(genesis())
	}

	async fn finalised(&self) -> Result<H256, ChainError> {
		Ok(HEAD)
	}

	async fn programme(&self, id: ProgrammeId, at: H256) -> Result<Programme, ChainError> {
		at_head(at)?;
		self.get_programme(id)
	}

	async fn round(&self, programme: ProgrammeId, index: RoundIndex, at: H256) -> Result<Round, ChainError> {
		at_head(at)?;
		self.get_round(programme, index)
	}

	async fn record(&self, id: RecordId, at: H256) -> Result<Record, ChainError> {
		at_head(at)?;
		self.get_record(id)
	}

	async fn lineage(&self, a: ArtifactHash, cursor: Option<RecordId>, at: H256) -> Result<Page, ChainError> {
		at_head(at)?;
		self.get_lineage(a, cursor)
	}
}

impl ProvingChain for Fake {
	async fn prove(&self, record: &str, _at: Option<H256>) -> Result<String, ChainError> {
		self.get_proof(record).map(|answer| answer.to_string())
	}

	async fn prove_absence(&self, weights: ArtifactHash) -> Result<String, ChainError> {
		self.get_absence(weights).map(|answer| answer.to_string())
	}
}
