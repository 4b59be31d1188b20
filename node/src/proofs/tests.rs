#![allow(clippy::unwrap_used)]

use super::*;
use cairn_verifier::{Proven, Refusal, Statement};
use std::sync::Mutex;
use support::{convert, Chain, Plan};

#[path = "../../../verifier/tests/verifier/support/mod.rs"]
mod support;

/// What a node has of a chain in memory.
struct Node {
	chain: Chain,
	/// The newest finalised block.
	finalised: BlockNumber,
	/// The blocks that a justification is stored with, besides those at which the authorities change.
	justified: Vec<BlockNumber>,
	/// The block of the newest justification.
	newest: Option<BlockNumber>,
	/// What is amiss.
	fault: Fault,
	/// How often the genesis state was made.
	asked_for_genesis: Mutex<u32>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
	None,
	/// The index of the mountain range was off.
	NoRange,
	/// The history of the authorities is not known from the start.
	NoHistory,
	/// The justification of the first hand-over is gone.
	NoHandOver,
	/// A justification on disk is damaged.
	Damaged,
}

impl FinalisedChain for Node {
	fn finalised(&self) -> BlockNumber {
		self.finalised
	}

	fn header(&self, number: BlockNumber) -> Result<Option<Vec<u8>>, String> {
		Ok(self.chain.headers.get(number as usize).map(Encode::encode))
	}

	fn justification(&self, number: BlockNumber) -> Result<Option<Vec<u8>>, String> {
		let changes = &self.chain.plan.changes;
		if self.fault == Fault::NoHandOver && changes.first() == Some(&number) {
			return Ok(None);
		}
		let is_stored =
			number <= self.finalised && (changes.contains(&number) || self.justified.contains(&number));
		let mut stored = is_stored.then(|| self.chain.finalised(number).justification.encode());
		if let (Fault::Damaged, Some(bytes)) = (self.fault, &mut stored) {
			// Inside the first signature.
			bytes[8 + 36 + 1 + 36 + 5] ^= 1;
		}
		Ok(stored)
	}

	fn newest_justification(&self) -> Result<Option<Vec<u8>>, String> {
		Ok(self.newest.map(|number| self.chain.finalised(number).justification.encode()))
	}

	fn hand_overs(&self) -> Option<Vec<BlockNumber>> {
		let over = self.chain.plan.changes.iter().copied().filter(|change| *change <= self.finalised);
		(self.fault != Fault::NoHistory).then(|| over.collect())
	}

	fn path(&self, block: BlockNumber, at: BlockNumber) -> Result<(Leaf, Vec<H256>), String> {
		match self.fault {
			Fault::NoRange => Err("LeafNotFound".into()),
			_ => Ok((self.chain.leaf(block), self.chain.path(block, at))),
		}
	}

	fn state_proof(&self, _: BlockNumber, key: &[u8]) -> Result<Vec<Vec<u8>>, String> {
		Ok(support::state_proof(&self.chain.state, key).into_iter().map(|node| node.0).collect())
	}

	fn genesis_proof(&self, key: &[u8]) -> Result<Vec<Vec<u8>>, String> {
		*self.asked_for_genesis.lock().unwrap() += 1;
		Ok(support::state_proof(&self.chain.genesis_state, key).into_iter().map(|node| node.0).collect())
	}
}

/// A node whose authorities changed after blocks 3 and 11, with records in blocks 0, 5, 9 and 20.
fn node() -> Node {
	Node {
		chain: Chain::new(Plan { changes: vec![3, 11], ..Plan::default() }),
		finalised: 28,
		justified: vec![1, 16],
		newest: Some(28),
		fault: Fault::None,
		asked_for_genesis: Mutex::default(),
	}
}

fn record(chain: &Chain, id: u64) -> ledger::RecordProof<AccountId32, BlockNumber> {
	match chain.record_evidence(id, chain.plan.blocks).inclusion {
		Inclusion::Record(proof) => convert(&proof),
		Inclusion::Batch(_) => panic!("one record was asked for"),
	}
}

/// Asks for the proof of a record and checks it.
fn prove(node: Node, id: u64, from: BlockNumber) -> Result<Proven, ProofError> {
	let (record, genesis) = (record(&node.chain, id), node.chain.genesis());
	let bundle = Prover::new(Arc::new(node)).record(record, from)?;
	Ok(verify(&bundle, &genesis).unwrap())
}

#[test]
fn record_is_proved_as_of_the_first_block_behind_it_with_a_justification() {
	// The records of blocks 0, 5, 9 and 20.
	for (id, number, set) in [(0, 1, 0), (2, 11, 1), (7, 11, 1), (10, 28, 2)] {
		let proven = prove(node(), id, 0).unwrap();
		assert_eq!((proven.number, proven.set_id), (number, set), "record {id}");
		let Statement::Records(records) = proven.statement else { panic!("a record") };
		assert_eq!((records.len(), records[0].0), (1, id));
	}
}

#[test]
fn record_is_proved_as_of_a_block_that_is_not_before_the_one_asked_for() {
	for (from, number) in [(0, 11), (11, 11), (12, 16), (16, 16), (17, 28), (28, 28)] {
		assert_eq!(prove(node(), 2, from).unwrap().number, number, "from {from}");
	}
}

#[test]
fn what_is_not_final_or_not_justified_yet_is_said() {
	let early = Node { finalised: 20, newest: Some(20), ..node() };
	assert_eq!(prove(early, 10, 0), Err(ProofError::NotFinal { number: 21, finalised: 20 }));
	let unjustified = Node { newest: None, ..node() };
	assert_eq!(prove(unjustified, 10, 0), Err(ProofError::Unjustified { number: 21, finalised: 28 }));
	// The newest one is of a block before.
	let older = Node { newest: Some(16), ..node() };
	assert_eq!(prove(older, 10, 0), Err(ProofError::Unjustified { number: 21, finalised: 28 }));
}

#[test]
fn what_the_node_lacks_is_named() {
	let with = |fault| prove(Node { fault, ..node() }, 10, 0).unwrap_err();
	assert_eq!(with(Fault::NoRange), ProofError::NoPath { number: 20, detail: "LeafNotFound".into() });
	let lacks = |fault| match with(fault) {
		ProofError::Lacking { what, .. } => what,
		other => panic!("{other:?}"),
	};
	assert!(lacks(Fault::NoHistory).contains("history"));
	assert!(lacks(Fault::NoHandOver).contains("block 3"));
}

#[test]
fn damaged_database_gives_no_bundle() {
	let error = prove(Node { fault: Fault::Damaged, ..node() }, 10, 0).unwrap_err();
	assert!(matches!(&error, ProofError::Unsound { detail } if detail.contains("block 3")), "{error:?}");
}

#[test]
fn absence_is_proved_as_of_the_newest_justification() {
	let node = node();
	let genesis = node.chain.genesis();
	let weights = node.chain.batches[1].records.last().unwrap().artifact;
	let prover = Prover::new(Arc::new(node));
	let stranger = H256::repeat_byte(0x77);
	let proven = verify(&prover.no_weights(stranger).unwrap(), &genesis).unwrap();
	assert_eq!((proven.number, proven.statement), (28, Statement::NoWeights(stranger)));
	let detail = Refusal::Present { artifact: weights }.to_string();
	assert_eq!(prover.no_weights(weights), Err(ProofError::Unsound { detail }));
}

#[test]
fn genesis_state_is_made_once() {
	let node = Arc::new(node());
	let prover = Prover::new(node.clone());
	for id in 0..5 {
		prover.clone().record(record(&node.chain, id), 0).unwrap();
	}
	assert_eq!(*node.asked_for_genesis.lock().unwrap(), 1);
}
