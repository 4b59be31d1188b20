//! Proofs of what the chain in memory says: one authority, which made block 256 final; one batch of records per block.

use super::Fake;
use cairn_auditor::chain::{ChainError, Record};
use cairn_network::keypair_from_seed;
use cairn_primitives::{ledger, RecordId, RecordKind, H256};
use cairn_verifier::{
	blake2_256,
	bundle::{Absence, Finality, Inclusion, Record as ProvenRecord, RecordProof},
	grandpa::{Finalised, Justification, Signature, SignedPrecommit},
	header::{Data, DigestItem, Engine, MMR_ENGINE_ID},
	mmr::Leaf,
	ss58, storage, Account, Bundle, Claim, Evidence, Header, LEDGER_VERSION,
};
use serde_json::{json, Value};

/// The finalised block, and so how many leaves the range has: one mountain.
const BLOCK: u32 = 256;
const AUTHORITY: [u8; 32] = [0xa0; 32];

fn authority() -> H256 {
	H256(keypair_from_seed(AUTHORITY).public().to_bytes())
}

/// The genesis state: one leaf with the list of one authority, of weight 1.
fn state() -> Vec<u8> {
	let list = [&[1 << 2][..], authority().as_bytes(), &1u64.to_le_bytes()].concat();
	// A leaf whose partial key has 64 nibbles: 63 and 1.
	[&[0x7f, 1][..], &storage::GRANDPA_AUTHORITIES, &[(list.len() as u8) << 2], &list[..]].concat()
}

/// The state of the finalised block: the ledger's version, and no weights.
fn ledger_state() -> Vec<u8> {
	let version = LEDGER_VERSION.to_le_bytes();
	[&[0x7f, 1][..], &storage::LEDGER_VERSION, &[(version.len() as u8) << 2], &version].concat()
}

fn genesis_header() -> Header {
	Header {
		parent_hash: H256::zero(),
		number: 0,
		state_root: blake2_256(&state()),
		extrinsics_root: H256::zero(),
		digest: Vec::new(),
	}
}

/// The hash of the genesis block.
pub fn genesis() -> H256 {
	genesis_header().hash()
}

fn proven(record: &Record) -> ProvenRecord {
	let r = &record.record;
	ProvenRecord {
		kind: r.kind,
		artifact: r.artifact,
		base: r.base,
		inputs: r.inputs,
		terms: r.terms,
		producer: r.producer.as_deref().map(|producer| Account(ss58::decode(producer).unwrap())),
		device: r.device,
		site: r.site,
		programme: r.programme,
		round: r.round,
		block: r.block,
	}
}

fn hash_of(leaf: &Leaf) -> H256 {
	let Leaf { number, hash, provenance_root } = leaf;
	blake2_256(&[&number.to_le_bytes()[..], hash.as_bytes(), provenance_root.as_bytes()].concat())
}

impl Fake {
	/// The records of a block.
	fn batch(&self, block: u32) -> (RecordId, Vec<ProvenRecord>) {
		let records: Vec<_> = self.records.iter().filter(|r| r.record.block == block).collect();
		(records.first().map_or(0, |r| r.id), records.into_iter().map(proven).collect())
	}

	fn leaf(&self, block: u32) -> Leaf {
		let (first, records) = self.batch(block);
		let root = if records.is_empty() {
			H256::zero()
		} else {
			ledger::root([ledger::batch_root(first, &records)])
		};
		Leaf { number: block, hash: H256::from_low_u64_be(block.into()), provenance_root: root }
	}

	/// The way from the leaf about a block to the range's root, and the root.
	fn path(&self, block: u32) -> (Vec<H256>, H256) {
		let mut level: Vec<_> = (0..BLOCK).map(|n| hash_of(&self.leaf(n))).collect();
		let (mut path, mut place) = (Vec::new(), block as usize);
		while level.len() > 1 {
			path.push(level[place ^ 1]);
			place /= 2;
			level = level
				.chunks(2)
				.map(|pair| blake2_256(&[pair[0].as_bytes(), pair[1].as_bytes()].concat()))
				.collect();
		}
		(path, level[0])
	}

	fn finalised_block(&self, root: H256) -> Finalised {
		let header = Header {
			parent_hash: H256::repeat_byte(1),
			number: BLOCK,
			state_root: blake2_256(&ledger_state()),
			extrinsics_root: H256::repeat_byte(3),
			digest: vec![DigestItem::Consensus(Engine(MMR_ENGINE_ID), Data(root.as_bytes().to_vec()))],
		};
		let (hash, round) = (header.hash(), 1u64);
		let message = [
			&[1][..],
			hash.as_bytes(),
			&BLOCK.to_le_bytes(),
			&round.to_le_bytes(),
			// The set.
			&0u64.to_le_bytes(),
		]
		.concat();
		let signature = keypair_from_seed(AUTHORITY).sign(&message).try_into().unwrap();
		let vote = SignedPrecommit {
			target_hash: hash,
			target_number: BLOCK,
			signature: Signature(signature),
			id: authority(),
		};
		let justification = Justification {
			round,
			target_hash: hash,
			target_number: BLOCK,
			precommits: vec![vote],
			votes_ancestries: Vec::new(),
		};
		Finalised { header, justification }
	}

	/// The block as of which everything is proved.
	pub fn proved_block(&self) -> H256 {
		self.finalised_block(self.path(0).1).header.hash()
	}

	/// As the node's `provenance_prove` does, for a record's number or an artifact's hash, which means its first record.
	pub fn get_proof(&self, subject: &str) -> Result<Value, ChainError> {
		if self.unprovable {
			return Err(super::refused(9108, "nothing is provable yet".into()));
		}
		let is_it = |r: &&Record| match subject.parse::<RecordId>() {
			Ok(id) => r.id == id,
			Err(_) => format!("{:?}", r.record.artifact) == subject,
		};
		let record = self.records.iter().find(is_it);
		let Record { id, record: entry } =
			record.ok_or_else(|| super::refused(9103, format!("no record names {subject}")))?;
		let (first, records) = self.batch(entry.block);
		let place = (id - first) as u32;
		let hashes: Vec<_> = ledger::record_hashes(first, &records).collect();
		let mut record = records[place as usize].clone();
		if self.forged == Some(*id) {
			record.device = Some(99);
		}
		let inclusion = Inclusion::Record(RecordProof {
			id: *id,
			record,
			in_batch: ledger::prove(&hashes, place).unwrap(),
			in_block: ledger::prove(&[ledger::batch_root(first, &records)], 0).unwrap(),
		});
		let (path, root) = self.path(entry.block);
		let claim = Claim::Records(vec![Evidence { inclusion, leaf: self.leaf(entry.block), path }]);
		Ok(self.answer(root, claim))
	}

	/// As the node's `provenance_proveAbsence` does.
	pub fn get_absence(&self, artifact: H256) -> Result<Value, ChainError> {
		let is_it = |r: &Record| r.record.kind == RecordKind::Weights && r.record.artifact == artifact;
		if self.records.iter().any(is_it) {
			return Err(super::refused(9110, "they are recorded".into()));
		}
		// One node is all of the state, so that it shows what is there and what is not.
		let state = || vec![Data(ledger_state())];
		let claim = Claim::NoWeights(Absence { artifact, entry: state(), version: state() });
		Ok(self.answer(self.path(0).1, claim))
	}

	fn answer(&self, root: H256, claim: Claim) -> Value {
		let finality = Finality {
			genesis: genesis_header(),
			authorities: vec![Data(state())],
			hand_overs: Vec::new(),
			block: self.finalised_block(root),
		};
		let bytes = Bundle { finality, claim }.to_bytes();
		let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
		json!({ "bundle": format!("0x{hex}") })
	}
}
