//! The node's own databases.

use super::{BlockNumber, FinalisedChain};
use crate::service::{FullBackend, FullClient, FullOffchain};
use cairn_primitives::H256;
use cairn_runtime::{opaque::Block, Hash};
use cairn_verifier::{header::GRANDPA_ENGINE_ID, mmr::Leaf};
use codec::{DecodeAll, Encode};
use sc_chain_spec::ChainSpec;
use sc_client_api::{Backend as _, ProofProvider};
use sc_consensus_grandpa::{best_justification, SharedAuthoritySet};
use sp_api::{ApiExt, ProvideRuntimeApi};
use sp_blockchain::{Backend as _, HeaderBackend};
use sp_core::{
	offchain::{storage::OffchainDb, OffchainDbExt},
	storage::StateVersion,
};
use sp_mmr_primitives::MmrApi;
use sp_runtime::traits::BlakeTwo256;
use sp_state_machine::{prove_read, InMemoryBackend};
use std::sync::Arc;

/// The finalised chain as this node has it.
pub struct NodeChain {
	/// The chain.
	pub client: Arc<FullClient>,
	/// Its database.
	pub backend: Arc<FullBackend>,
	/// Who makes blocks final, now and before.
	pub authority_set: SharedAuthoritySet<Hash, BlockNumber>,
	/// The database that the runtime's offchain index is in.
	pub offchain: FullOffchain,
	/// What the genesis state is made from.
	pub chain_spec: Box<dyn ChainSpec>,
}

impl NodeChain {
	fn hash(&self, number: BlockNumber) -> Result<Option<Hash>, String> {
		self.client.hash(number).map_err(|e| e.to_string())
	}

	fn known_hash(&self, number: BlockNumber) -> Result<Hash, String> {
		self.hash(number)?.ok_or_else(|| "the block is not there".into())
	}
}

/// How often a path is looked for again.
const PATH_ATTEMPTS: usize = 3;

impl NodeChain {
	fn path_once(&self, block: BlockNumber, at: BlockNumber) -> Result<(Leaf, Vec<H256>), String> {
		let mut api = self.client.runtime_api();
		api.register_extension(OffchainDbExt::new(OffchainDb::new(self.offchain.clone())));
		// The length of the range is given, so that the state of the finalised head, which is never pruned, will do for all
		// that is older. A justification can be here a moment before the head moves to its block; a state before `at` does
		// not know what the newest nodes are kept under.
		let info = self.client.info();
		let state = match at > info.finalized_number {
			true => self.known_hash(at)?,
			false => info.finalized_hash,
		};
		let (leaves, proof) = api
			.generate_proof(state, vec![block.saturating_add(1)], Some(at))
			.map_err(|e| e.to_string())?
			.map_err(|e| format!("{e:?}"))?;
		let leaf = leaves.into_iter().next().ok_or("no leaf")?.into_opaque_leaf();
		Ok((Leaf::decode_all(&mut &leaf.0[..]).map_err(|e| e.to_string())?, proof.items))
	}
}

impl FinalisedChain for NodeChain {
	fn finalised(&self) -> BlockNumber {
		self.client.info().finalized_number
	}

	fn header(&self, number: BlockNumber) -> Result<Option<Vec<u8>>, String> {
		let Some(hash) = self.hash(number)? else { return Ok(None) };
		let header = HeaderBackend::header(&*self.client, hash).map_err(|e| e.to_string())?;
		Ok(header.map(|header| header.encode()))
	}

	fn justification(&self, number: BlockNumber) -> Result<Option<Vec<u8>>, String> {
		let Some(hash) = self.hash(number)? else { return Ok(None) };
		let all = self.backend.blockchain().justifications(hash).map_err(|e| e.to_string())?;
		Ok(all.and_then(|all| all.into_justification(GRANDPA_ENGINE_ID)))
	}

	fn newest_justification(&self) -> Result<Option<Vec<u8>>, String> {
		let newest = best_justification::<_, Block>(&*self.backend).map_err(|e| e.to_string())?;
		Ok(newest.map(|newest| newest.encode()))
	}

	fn hand_overs(&self) -> Option<Vec<BlockNumber>> {
		// Asked for first, because there can be another change before the list is here.
		let set = self.authority_set.set_id();
		let changes = self.authority_set.authority_set_changes();
		let changes = changes.iter_from(0)?.map(|(_, last)| *last).collect::<Vec<_>>();
		// One change for each set that is over, or some are not known.
		(changes.len() as u64 >= set).then_some(changes)
	}

	fn path(&self, block: BlockNumber, at: BlockNumber) -> Result<(Leaf, Vec<H256>), String> {
		// The range's nodes move from a key of their fork to that of the chain when a block becomes final: they are written
		// anew and then removed. Who looks under the one key before that and under the other after it misses them, once.
		let mut answer = self.path_once(block, at);
		for _ in 0..PATH_ATTEMPTS {
			if answer.is_ok() {
				break;
			}
			answer = self.path_once(block, at);
		}
		answer
	}

	fn state_proof(&self, number: BlockNumber, key: &[u8]) -> Result<Vec<Vec<u8>>, String> {
		let hash = self.known_hash(number)?;
		let proof = self.client.read_proof(hash, &mut std::iter::once(key)).map_err(|e| e.to_string())?;
		Ok(proof.into_iter_nodes().collect())
	}

	fn genesis_proof(&self, key: &[u8]) -> Result<Vec<Vec<u8>>, String> {
		let storage = self.chain_spec.as_storage_builder().build_storage()?;
		let hash = self.known_hash(0)?;
		let header = HeaderBackend::header(&*self.client, hash).map_err(|e| e.to_string())?;
		let root = header.ok_or("there is no genesis header")?.state_root;
		for version in [StateVersion::V1, StateVersion::V0] {
			let state: InMemoryBackend<BlakeTwo256> = (storage.clone(), version).into();
			if *state.root() == root {
				let proof = prove_read(state, [key]).map_err(|e| e.to_string())?;
				return Ok(proof.into_iter_nodes().collect());
			}
		}
		Err("the chain specification makes another genesis state than the one in the database".into())
	}
}
