//! A chain in memory, made of the types that a node is made of: headers of `sp_runtime`, the range of `pallet-mmr`, states
//! in `sp_trie`, votes signed as GRANDPA's voters sign them. From it come bundles that are real but for the consensus that
//! no one had to reach.
#![allow(dead_code, clippy::unwrap_used)]

use cairn_primitives::{
	artifact_hash,
	ledger::{self, Proof},
	RecordKind, RecordRange, H256,
};
use cairn_verifier::{
	blake2_256,
	bundle::{Absence, Batch, Finality, Inclusion, Record, RecordProof},
	grandpa::Finalised,
	header::Data,
	mmr::Leaf,
	storage, trie, Account, Bundle, Claim, Evidence, Header,
};
use codec::{Decode, Encode};
use finality_grandpa::{Commit, Precommit, SignedPrecommit};
use sp_consensus_grandpa::{
	localized_payload, AuthorityId, AuthorityList, ConsensusLog, GrandpaJustification, ScheduledChange,
	GRANDPA_ENGINE_ID,
};
use sp_core::{ed25519, storage::StateVersion, Pair};
use sp_mmr_primitives::mmr_lib::{self, util::MemStore, Merge, MMR};
use sp_runtime::{
	generic,
	traits::{BlakeTwo256, Header as _},
	Digest, DigestItem,
};
use sp_state_machine::{prove_read, InMemoryBackend};
use std::{collections::BTreeMap, sync::Mutex};

pub type SubstrateHeader = generic::Header<u32, BlakeTwo256>;
pub type SubstrateJustification = GrandpaJustification<SubstrateHeader>;
/// What the runtime puts into a leaf.
pub type MmrLeaf = ((u32, H256), H256);
pub type MmrNode = sp_mmr_primitives::DataOrHash<BlakeTwo256, MmrLeaf>;

/// As `pallet_mmr` joins nodes.
pub struct Joined;

impl Merge for Joined {
	type Item = MmrNode;

	fn merge(left: &MmrNode, right: &MmrNode) -> mmr_lib::Result<MmrNode> {
		let both = [left.hash().0, right.hash().0].concat();
		Ok(MmrNode::Hash(blake2_256(&both)))
	}
}

/// The keys of an authority set: different ones for every seed and set.
pub fn keys(seed: u8, set: u8, count: u8) -> Vec<ed25519::Pair> {
	let seed = |n| {
		let mut bytes = [7; 32];
		bytes[..3].copy_from_slice(&[seed, set, n]);
		bytes
	};
	(0..count).map(|n| ed25519::Pair::from_seed(&seed(n))).collect()
}

pub fn authorities(keys: &[ed25519::Pair]) -> AuthorityList {
	keys.iter().map(|pair| (AuthorityId::from(pair.public()), 1)).collect()
}

/// Through bytes, as it comes from a node.
pub fn convert<T: Encode, U: Decode>(value: &T) -> U {
	let bytes = value.encode();
	let mut input = &bytes[..];
	let converted = U::decode(&mut input).unwrap();
	assert!(input.is_empty());
	converted
}

/// What a chain is to be like.
#[derive(Clone)]
pub struct Plan {
	/// Makes the chain another one.
	pub seed: u8,
	/// How many authorities each set has.
	pub authorities: u8,
	/// The blocks at whose end the authorities change.
	pub changes: Vec<u32>,
	/// How many blocks there are after genesis.
	pub blocks: u32,
	/// The blocks with a round's records: so many updates, and weights.
	pub rounds: BTreeMap<u32, u32>,
}

impl Default for Plan {
	fn default() -> Self {
		Self {
			seed: 1,
			authorities: 4,
			changes: vec![],
			blocks: 30,
			rounds: [(5, 3), (9, 2), (20, 5)].into_iter().collect(),
		}
	}
}

/// A batch and where it is.
pub struct TestBatch {
	pub first: u64,
	pub records: Vec<Record>,
	pub block: u32,
	/// The roots of the block's batches, and which this one is.
	pub roots: Vec<H256>,
	pub place: u32,
}

pub struct Chain {
	pub plan: Plan,
	pub headers: Vec<SubstrateHeader>,
	pub sets: Vec<Vec<ed25519::Pair>>,
	pub batches: Vec<TestBatch>,
	pub leaves: Vec<MmrLeaf>,
	pub genesis_state: InMemoryBackend<BlakeTwo256>,
	pub state: InMemoryBackend<BlakeTwo256>,
	store: Mutex<MemStore<MmrNode>>,
}

fn state(entries: Vec<(Vec<u8>, Vec<u8>)>) -> InMemoryBackend<BlakeTwo256> {
	let storage = sp_core::storage::Storage {
		top: entries.into_iter().collect(),
		children_default: Default::default(),
	};
	(storage, StateVersion::V1).into()
}

/// Entries as other pallets have, so that the trie is not a toy.
fn filler(seed: u8) -> Vec<(Vec<u8>, Vec<u8>)> {
	(0..200u32)
		.map(|n| {
			let key = blake2_256(&(seed, n).encode()).0.to_vec();
			let value = key.iter().cycle().take(1 + n as usize % 70).copied().collect();
			(key, value)
		})
		.chain([(b":code".to_vec(), vec![seed; 5000])])
		.collect()
}

impl Chain {
	pub fn new(plan: Plan) -> Self {
		let sets: Vec<_> =
			(0..=plan.changes.len()).map(|set| keys(plan.seed, set as u8, plan.authorities)).collect();
		let mut entries = filler(plan.seed);
		entries.push((storage::GRANDPA_AUTHORITIES.to_vec(), authorities(&sets[0]).encode()));
		let genesis_state = state(entries);
		let mut chain = Self {
			headers: vec![SubstrateHeader::new(
				0,
				H256::repeat_byte(plan.seed),
				*genesis_state.root(),
				H256::zero(),
				Digest::default(),
			)],
			sets,
			batches: vec![],
			leaves: vec![],
			genesis_state,
			state: state(vec![]),
			store: Mutex::default(),
			plan,
		};
		chain.append_batches();
		let weights =
			chain.batches.iter().map(|b| (b.first + b.records.len() as u64 - 1, b.records.last().unwrap()));
		let mut entries = filler(chain.plan.seed ^ 0xff);
		entries.extend(weights.map(|(id, record)| (storage::weights_record(&record.artifact), id.encode())));
		entries.push((storage::LEDGER_VERSION.to_vec(), cairn_verifier::LEDGER_VERSION.encode()));
		chain.state = state(entries);
		chain.append_blocks();
		chain
	}

	pub fn genesis(&self) -> H256 {
		self.headers[0].hash()
	}

	fn append_batches(&mut self) {
		let seed = self.plan.seed;
		let artifact = |id: u64| artifact_hash(format!("artifact {id} of chain {seed}").as_bytes());
		let mut next = 0;
		let mut base = None;
		let rounds = [(0, 0)].into_iter().chain(self.plan.rounds.clone());
		for (round, (block, updates)) in rounds.enumerate() {
			let first = next;
			let record = |id, kind, base, inputs| Record {
				kind,
				artifact: artifact(id),
				base,
				inputs,
				terms: inputs.map(|_| artifact_hash(format!("terms of record {id}").as_bytes())),
				producer: (kind == RecordKind::Update).then_some(Account([id as u8; 32])),
				device: (kind == RecordKind::Update).then_some(id as u32),
				site: (kind == RecordKind::Update).then_some(id as u32 / 2),
				programme: 0,
				round: round.checked_sub(1).map(|round| round as u32),
				block,
			};
			let records: Vec<_> = if block == 0 {
				vec![
					record(0, RecordKind::TrainingConfig, None, None),
					record(1, RecordKind::Weights, None, None),
				]
			} else {
				let inputs = Some(RecordRange { first, count: updates });
				(0..u64::from(updates))
					.map(|n| record(first + n, RecordKind::Update, base, None))
					.chain([record(first + u64::from(updates), RecordKind::Weights, base, inputs)])
					.collect()
			};
			next += records.len() as u64;
			base = Some(next - 1);
			// Another programme's batch in the same block, before this one.
			let roots = vec![H256::repeat_byte(0xee), ledger::batch_root(first, &records)];
			self.batches.push(TestBatch { first, records, block, roots, place: 1 });
		}
	}

	fn provenance_root(&self, block: u32) -> H256 {
		self.batches.iter().find(|b| b.block == block).map_or(H256::zero(), |b| ledger::root(b.roots.clone()))
	}

	fn append_blocks(&mut self) {
		for number in 1..=self.plan.blocks {
			let parent = self.headers.last().unwrap();
			let leaf = ((number - 1, parent.hash()), self.provenance_root(number - 1));
			let size = self.size();
			self.leaves.push(leaf);
			let store = self.store.lock().unwrap();
			let mut range = MMR::<_, Joined, _>::new(size, &*store);
			range.push(MmrNode::Data(leaf)).unwrap();
			let root = range.get_root().unwrap().hash();
			range.commit().unwrap();
			drop(range);
			drop(store);

			let mut digest = Digest::default();
			// As large as a block's claim of a slot with a VRF.
			digest.push(DigestItem::PreRuntime(*b"BABE", vec![2; 109]));
			digest.push(DigestItem::Consensus(*b"CRNM", root.encode()));
			if let Some(set) = self.plan.changes.iter().position(|change| *change == number) {
				let change =
					ScheduledChange { next_authorities: authorities(&self.sets[set + 1]), delay: 0u32 };
				digest.push(DigestItem::Consensus(
					GRANDPA_ENGINE_ID,
					ConsensusLog::ScheduledChange(change).encode(),
				));
			}
			digest.push(DigestItem::Seal(*b"BABE", vec![3; 64]));
			let extrinsics = H256::from_low_u64_be(u64::from(number));
			let parent = self.headers.last().unwrap().hash();
			self.headers.push(SubstrateHeader::new(number, extrinsics, *self.state.root(), parent, digest));
		}
	}

	/// The nodes of the range before the newest leaf.
	fn size(&self) -> u64 {
		self.leaves
			.len()
			.checked_sub(1)
			.map_or(0, |last| mmr_lib::helper::leaf_index_to_mmr_size(last as u64))
	}

	/// The set of authorities that makes a block final.
	pub fn set_of(&self, number: u32) -> u64 {
		self.plan.changes.iter().filter(|change| **change < number).count() as u64
	}

	/// The votes of these keys for a block; each may vote for one of the blocks behind it.
	pub fn votes(&self, number: u32, set: u64, voters: &[(&ed25519::Pair, u32)]) -> SubstrateJustification {
		let round = 1000 + u64::from(number);
		let precommits = voters
			.iter()
			.map(|(pair, for_block)| {
				let precommit = Precommit {
					target_hash: self.headers[*for_block as usize].hash(),
					target_number: *for_block,
				};
				let message = finality_grandpa::Message::Precommit(precommit.clone());
				let signature = pair.sign(&localized_payload(round, set, &message)).into();
				SignedPrecommit { precommit, signature, id: pair.public().into() }
			})
			.collect();
		let lowest = voters.iter().map(|(_, block)| *block).min().unwrap();
		let highest = voters.iter().map(|(_, block)| *block).max().unwrap();
		SubstrateJustification {
			round,
			commit: Commit {
				target_hash: self.headers[number as usize].hash(),
				target_number: number,
				precommits,
			},
			votes_ancestries: self.headers[lowest as usize + 1..=highest as usize].to_vec(),
		}
	}

	/// Adds a vote for a block that is not of the chain, and its header.
	pub fn add_vote(
		&self,
		justification: &mut SubstrateJustification,
		set: u64,
		pair: &ed25519::Pair,
		stranger: &SubstrateHeader,
	) {
		let precommit = Precommit { target_hash: stranger.hash(), target_number: stranger.number };
		let message = finality_grandpa::Message::Precommit(precommit.clone());
		let signature = pair.sign(&localized_payload(justification.round, set, &message)).into();
		let vote = SignedPrecommit { precommit, signature, id: pair.public().into() };
		justification.commit.precommits.push(vote);
		justification.votes_ancestries.push(stranger.clone());
	}

	/// A block that its authorities made final, all but one of them, the last of these for the block behind it if there is
	/// one.
	pub fn finalised(&self, number: u32) -> Finalised {
		let set = self.set_of(number);
		let keys = &self.sets[set as usize];
		let quorum = keys.len() - (keys.len() - 1) / 3;
		// Nobody votes beyond the end of a set.
		let ahead =
			if self.plan.changes.contains(&number) { number } else { (number + 1).min(self.plan.blocks) };
		let voters: Vec<_> = keys[..quorum]
			.iter()
			.enumerate()
			.map(|(n, key)| (key, if n + 1 == quorum && n > 0 { ahead } else { number }))
			.collect();
		self.finalised_by(number, &self.votes(number, set, &voters))
	}

	pub fn finalised_by(&self, number: u32, votes: &SubstrateJustification) -> Finalised {
		Finalised { header: self.header(number), justification: convert(votes) }
	}

	pub fn header(&self, number: u32) -> Header {
		convert(&self.headers[number as usize])
	}

	pub fn authorities_proof(&self) -> Vec<Data> {
		state_proof(&self.genesis_state, &storage::GRANDPA_AUTHORITIES)
	}

	pub fn finality(&self, number: u32) -> Finality {
		Finality {
			genesis: self.header(0),
			authorities: self.authorities_proof(),
			hand_overs: self
				.plan
				.changes
				.iter()
				.filter(|c| **c < number)
				.map(|c| self.finalised(*c))
				.collect(),
			block: self.finalised(number),
		}
	}

	pub fn leaf(&self, block: u32) -> Leaf {
		let ((number, hash), provenance_root) = self.leaves[block as usize];
		Leaf { number, hash, provenance_root }
	}

	/// The path of the leaf about `block` in the range after block `number`, as `pallet_mmr` makes it.
	pub fn path(&self, block: u32, number: u32) -> Vec<H256> {
		let size = mmr_lib::helper::leaf_index_to_mmr_size(u64::from(number) - 1);
		let store = self.store.lock().unwrap();
		let range = MMR::<_, Joined, _>::new(size, &*store);
		let proof = range.gen_proof(vec![mmr_lib::leaf_index_to_pos(block.into())]).unwrap();
		proof.proof_items().iter().map(MmrNode::hash).collect()
	}

	pub fn batch_of(&self, id: u64) -> &TestBatch {
		self.batches.iter().rfind(|b| b.first <= id).unwrap()
	}

	fn in_block(&self, batch: &TestBatch) -> Proof {
		ledger::prove(&batch.roots, batch.place).unwrap()
	}

	pub fn record_evidence(&self, id: u64, number: u32) -> Evidence {
		let batch = self.batch_of(id);
		let place = (id - batch.first) as u32;
		let hashes: Vec<_> = ledger::record_hashes(batch.first, &batch.records).collect();
		Evidence {
			inclusion: Inclusion::Record(RecordProof {
				id,
				record: batch.records[place as usize].clone(),
				in_batch: ledger::prove(&hashes, place).unwrap(),
				in_block: self.in_block(batch),
			}),
			leaf: self.leaf(batch.block),
			path: self.path(batch.block, number),
		}
	}

	pub fn batch_evidence(&self, id: u64, number: u32) -> Evidence {
		let batch = self.batch_of(id);
		let in_block = self.in_block(batch);
		Evidence {
			inclusion: Inclusion::Batch(Batch {
				first: batch.first,
				records: batch.records.clone(),
				in_block,
			}),
			leaf: self.leaf(batch.block),
			path: self.path(batch.block, number),
		}
	}

	/// A record, proved as of a block.
	pub fn record_bundle(&self, id: u64, number: u32) -> Bundle {
		Bundle {
			finality: self.finality(number),
			claim: Claim::Records(vec![self.record_evidence(id, number)]),
		}
	}

	/// All records, batch by batch.
	pub fn ledger_bundle(&self, number: u32) -> Bundle {
		let evidence =
			self.batches.iter().filter(|b| b.block < number).map(|b| self.batch_evidence(b.first, number));
		Bundle { finality: self.finality(number), claim: Claim::Records(evidence.collect()) }
	}

	pub fn absence(&self, artifact: H256) -> Absence {
		Absence {
			artifact,
			entry: state_proof(&self.state, &storage::weights_record(&artifact)),
			version: state_proof(&self.state, &storage::LEDGER_VERSION),
		}
	}

	pub fn absence_bundle(&self, artifact: H256, number: u32) -> Bundle {
		Bundle { finality: self.finality(number), claim: Claim::NoWeights(self.absence(artifact)) }
	}
}

/// A proof as a node's backend makes it.
pub fn state_proof(state: &InMemoryBackend<BlakeTwo256>, key: &[u8]) -> Vec<Data> {
	let root = *state.root();
	let proof = prove_read(state.clone(), [key]).unwrap();
	trie::prove(&root, key, proof.into_iter_nodes()).unwrap()
}
