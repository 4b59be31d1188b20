//! Proofs that hold without this node: from a genesis hash to a record, or to its absence.
//!
//! [`Prover`] puts together what `cairn-verifier` checks, out of what the node keeps for ever: headers, justifications at
//! changes of the authorities and once in every period, the Merkle mountain range in the offchain index. No state of an
//! old block is needed. Every bundle is checked before it leaves the node.

mod chain;
#[cfg(test)]
mod tests;

pub use chain::NodeChain;

use cairn_primitives::{ledger, ArtifactHash, H256};
use cairn_verifier::{
	bundle::{Absence, Finality, Inclusion, RecordProof},
	grandpa::{Finalised, Justification},
	mmr::Leaf,
	storage, trie, verify, Bundle, Claim, Evidence, Header,
};
use codec::{DecodeAll, Encode};
use sp_core::crypto::AccountId32;
use std::sync::{Arc, OnceLock};

/// A block's number.
pub type BlockNumber = u32;

/// How many blocks are looked at for a justification before a later one is taken whose place is known. At least one is
/// stored in every period in which a block was made final by itself; during a fast synchronisation there can be fewer.
const SEARCH: BlockNumber = 1024;

/// What a prover asks a node's databases for. All of it is about the finalised chain, and bytes are SCALE.
pub trait FinalisedChain: Send + Sync + 'static {
	/// The number of the newest finalised block.
	fn finalised(&self) -> BlockNumber;
	/// A header.
	fn header(&self, number: BlockNumber) -> Result<Option<Vec<u8>>, String>;
	/// The GRANDPA justification that is stored with a block.
	fn justification(&self, number: BlockNumber) -> Result<Option<Vec<u8>>, String>;
	/// The newest justification, which is not stored with its block.
	fn newest_justification(&self) -> Result<Option<Vec<u8>>, String>;
	/// The last block of each set of authorities that is over, ascending; `None` when the node does not know all of them.
	fn hand_overs(&self) -> Option<Vec<BlockNumber>>;
	/// What the Merkle mountain range says of `block`, and the path to its root after block `at`.
	fn path(&self, block: BlockNumber, at: BlockNumber) -> Result<(Leaf, Vec<H256>), String>;
	/// The nodes of the state of a block that prove what is under this key.
	fn state_proof(&self, number: BlockNumber, key: &[u8]) -> Result<Vec<Vec<u8>>, String>;
	/// The same of the genesis block, whose state a node does not keep.
	fn genesis_proof(&self, key: &[u8]) -> Result<Vec<Vec<u8>>, String>;
}

/// Why there is no proof.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ProofError {
	/// The block is not final yet.
	NotFinal {
		/// The block that a proof needs.
		number: BlockNumber,
		/// The newest finalised block.
		finalised: BlockNumber,
	},
	/// No block from there on has a justification yet.
	Unjustified {
		/// The block that a proof needs.
		number: BlockNumber,
		/// The newest finalised block.
		finalised: BlockNumber,
	},
	/// The node lacks something that every node should have.
	Lacking {
		/// What.
		what: String,
		/// What the database says about it.
		detail: String,
	},
	/// The node lacks the mountain range's nodes of some block.
	NoPath {
		/// The block.
		number: BlockNumber,
		/// What the runtime says about it.
		detail: String,
	},
	/// What was put together does not prove what it should: the database is damaged.
	Unsound {
		/// What the verifier says.
		detail: String,
	},
}

fn lacking(what: impl Into<String>, detail: impl Into<String>) -> ProofError {
	ProofError::Lacking { what: what.into(), detail: detail.into() }
}

/// Makes proofs.
#[derive(Clone)]
pub struct Prover {
	chain: Arc<dyn FinalisedChain>,
	/// The genesis header with the proof of the first authorities, once they were asked for.
	genesis: Arc<OnceLock<(Header, Vec<cairn_verifier::header::Data>)>>,
}

impl Prover {
	/// Proofs about this chain.
	pub fn new(chain: Arc<dyn FinalisedChain>) -> Self {
		Self { chain, genesis: Arc::default() }
	}

	/// The proof of a record as of the first block with a justification that comes after the record's and not before
	/// `from`.
	pub fn record(
		&self,
		proof: ledger::RecordProof<AccountId32, BlockNumber>,
		from: BlockNumber,
	) -> Result<Bundle, ProofError> {
		let proof = RecordProof::decode_all(&mut &proof.encode()[..])
			.map_err(|e| lacking("a record as the verifier reads it", e.to_string()))?;
		let block = proof.record.block;
		// The leaf about a block is added by the next one.
		let finality = self.finality(block.saturating_add(1).max(from))?;
		let (leaf, path) = self
			.chain
			.path(block, finality.block.header.number)
			.map_err(|detail| ProofError::NoPath { number: block, detail })?;
		let evidence = Evidence { inclusion: Inclusion::Record(proof), leaf, path };
		self.checked(Bundle { finality, claim: Claim::Records(vec![evidence]) })
	}

	/// The proof that weights have no record, as of the newest block with a justification.
	pub fn no_weights(&self, artifact: ArtifactHash) -> Result<Bundle, ProofError> {
		let newest = self.newest()?.ok_or_else(|| {
			let finalised = self.chain.finalised();
			ProofError::Unjustified { number: finalised, finalised }
		})?;
		let header = &newest.header;
		let prove = |key: &[u8]| {
			let nodes = self
				.chain
				.state_proof(header.number, key)
				.map_err(|e| lacking(format!("the state of block {}", header.number), e))?;
			trie::prove(&header.state_root, key, nodes).map_err(|e| {
				lacking(format!("a proof of the state of block {}", header.number), e.to_string())
			})
		};
		let entry = prove(&storage::weights_record(&artifact))?;
		let version = prove(&storage::LEDGER_VERSION)?;
		let finality = self.finality_of(newest)?;
		self.checked(Bundle { finality, claim: Claim::NoWeights(Absence { artifact, entry, version }) })
	}

	/// A block at or after `from` that is final, and why.
	fn finality(&self, from: BlockNumber) -> Result<Finality, ProofError> {
		let finalised = self.chain.finalised();
		if from > finalised {
			return Err(ProofError::NotFinal { number: from, finalised });
		}
		let stored = || -> Result<Option<Finalised>, ProofError> {
			for number in from..=finalised.min(from.saturating_add(SEARCH)) {
				if let Some(block) = self.stored(number)? {
					return Ok(Some(block));
				}
			}
			// Every block at which the authorities change has one.
			let change = self.hand_overs()?.into_iter().find(|change| *change >= from);
			change.map_or(Ok(None), |number| self.stored(number))
		};
		let block = match stored()? {
			Some(block) => block,
			None => self
				.newest()?
				.filter(|block| block.header.number >= from)
				.ok_or(ProofError::Unjustified { number: from, finalised })?,
		};
		self.finality_of(block)
	}

	fn finality_of(&self, block: Finalised) -> Result<Finality, ProofError> {
		let (genesis, authorities) = self.genesis()?;
		let mut hand_overs = Vec::new();
		for number in self.hand_overs()?.into_iter().take_while(|number| *number < block.header.number) {
			let hand_over = self.stored(number)?;
			hand_overs.push(hand_over.ok_or_else(|| {
				lacking(format!("the justification of block {number}, at which the authorities changed"), "")
			})?);
		}
		Ok(Finality { genesis, authorities, hand_overs, block })
	}

	fn hand_overs(&self) -> Result<Vec<BlockNumber>, ProofError> {
		self.chain
			.hand_overs()
			.ok_or_else(|| lacking("the history of the sets of authorities", "it begins after genesis"))
	}

	fn header(&self, number: BlockNumber) -> Result<Header, ProofError> {
		let what = || format!("the header of block {number}");
		let bytes = self.chain.header(number).map_err(|e| lacking(what(), e))?;
		let bytes = bytes.ok_or_else(|| lacking(what(), ""))?;
		Header::decode_all(&mut &bytes[..]).map_err(|e| lacking(what(), e.to_string()))
	}

	/// A block with the justification that is stored with it.
	fn stored(&self, number: BlockNumber) -> Result<Option<Finalised>, ProofError> {
		let what = || format!("the justification of block {number}");
		let Some(bytes) = self.chain.justification(number).map_err(|e| lacking(what(), e))? else {
			return Ok(None);
		};
		let justification =
			Justification::decode_all(&mut &bytes[..]).map_err(|e| lacking(what(), e.to_string()))?;
		let header = self.header(number)?;
		Ok((justification.target_hash == header.hash()).then_some(Finalised { header, justification }))
	}

	/// The newest block that has a justification.
	fn newest(&self) -> Result<Option<Finalised>, ProofError> {
		let what = "the newest justification";
		let Some(bytes) = self.chain.newest_justification().map_err(|e| lacking(what, e))? else {
			return Ok(None);
		};
		let justification =
			Justification::decode_all(&mut &bytes[..]).map_err(|e| lacking(what, e.to_string()))?;
		let header = self.header(justification.target_number)?;
		Ok((justification.target_hash == header.hash()).then_some(Finalised { header, justification }))
	}

	fn genesis(&self) -> Result<(Header, Vec<cairn_verifier::header::Data>), ProofError> {
		if let Some(known) = self.genesis.get() {
			return Ok(known.clone());
		}
		let what = "the first authorities, as the chain specification has them";
		let header = self.header(0)?;
		let key = &storage::GRANDPA_AUTHORITIES;
		let nodes = self.chain.genesis_proof(key).map_err(|e| lacking(what, e))?;
		let proof = trie::prove(&header.state_root, key, nodes).map_err(|e| lacking(what, e.to_string()))?;
		Ok(self.genesis.get_or_init(|| (header, proof)).clone())
	}

	/// The bundle, if it proves what it says. A node whose database is damaged must not hand out what would make people
	/// think that the chain is forged.
	fn checked(&self, bundle: Bundle) -> Result<Bundle, ProofError> {
		let genesis = bundle.finality.genesis.hash();
		match verify(&bundle, &genesis) {
			Ok(_) => Ok(bundle),
			Err(refusal) => Err(ProofError::Unsound { detail: refusal.to_string() }),
		}
	}
}
