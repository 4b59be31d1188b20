//! The node's JSON-RPC beyond what every Substrate node has.

pub mod provenance;

use crate::{
	ledger::Ledger,
	proofs::Prover,
	service::{FullBackend, FullClient, FullOffchain, FullPool, FullSelectChain},
};
use cairn_primitives::RecordId;
use cairn_runtime::{opaque::Block, BlockNumber, Hash};
use jsonrpsee::RpcModule;
use sc_consensus_babe::BabeWorkerHandle;
use sc_consensus_grandpa::{
	FinalityProofProvider, GrandpaJustificationStream, SharedAuthoritySet, SharedVoterState,
};
use sc_service::ChainSpec;
use sp_core::traits::SpawnNamed;
use sp_keystore::KeystorePtr;
use std::sync::Arc;
use tokio::sync::watch;

/// What the methods need of the node.
pub struct Deps {
	/// The chain.
	pub client: Arc<FullClient>,
	/// The transaction pool.
	pub pool: Arc<FullPool>,
	/// Which fork is the best.
	pub select_chain: FullSelectChain,
	/// The chain specification.
	pub chain_spec: Box<dyn ChainSpec>,
	/// The keys of this node.
	pub keystore: KeystorePtr,
	/// Answers about epochs.
	pub babe: BabeWorkerHandle<Block>,
	/// What GRANDPA tells.
	pub grandpa: Grandpa,
	/// The database that the runtime's offchain index is in.
	pub offchain: FullOffchain,
	/// The provenance ledger in it.
	pub ledger: Ledger<FullOffchain>,
	/// How many final records its index has followed.
	pub indexed: watch::Receiver<RecordId>,
	/// Makes proofs about it.
	pub prover: Prover,
}

/// What the GRANDPA methods need.
#[derive(Clone)]
pub struct Grandpa {
	/// The votes of the running round.
	pub voter_state: SharedVoterState,
	/// Who votes.
	pub authority_set: SharedAuthoritySet<Hash, BlockNumber>,
	/// Justifications as they come.
	pub justifications: GrandpaJustificationStream<Block>,
	/// Proofs of finality.
	pub proofs: Arc<FinalityProofProvider<FullBackend, Block>>,
}

/// All methods beyond the standard ones. Subscriptions run on `executor`.
pub fn create(
	deps: Deps,
	executor: Arc<dyn SpawnNamed>,
) -> Result<RpcModule<()>, Box<dyn std::error::Error + Send + Sync>> {
	use mmr_rpc::{Mmr, MmrApiServer};
	use pallet_transaction_payment_rpc::{TransactionPayment, TransactionPaymentApiServer};
	use provenance::{
		NewRecords, NewRecordsApiServer, ProofApiServer, Proofs, Provenance, ProvenanceApiServer,
	};
	use sc_consensus_babe_rpc::{Babe, BabeApiServer};
	use sc_consensus_grandpa_rpc::{Grandpa as GrandpaRpc, GrandpaApiServer};
	use sc_sync_state_rpc::{SyncState, SyncStateApiServer};
	use substrate_frame_rpc_system::{System, SystemApiServer};

	let Deps {
		client,
		pool,
		select_chain,
		chain_spec,
		keystore,
		babe,
		grandpa,
		offchain,
		ledger,
		indexed,
		prover,
	} = deps;
	let mut module = RpcModule::new(());
	module.merge(System::new(client.clone(), pool).into_rpc())?;
	module.merge(TransactionPayment::new(client.clone()).into_rpc())?;
	module.merge(Babe::new(client.clone(), babe.clone(), keystore, select_chain).into_rpc())?;
	module.merge(
		GrandpaRpc::new(
			executor,
			grandpa.authority_set.clone(),
			grandpa.voter_state,
			grandpa.justifications,
			grandpa.proofs,
		)
		.into_rpc(),
	)?;
	module.merge(SyncState::new(chain_spec, client.clone(), grandpa.authority_set, babe)?.into_rpc())?;
	module.merge(Mmr::<_, (Block, Hash), _>::new(client.clone(), offchain).into_rpc())?;
	module.merge(Provenance::<_, Block, _>::new(client.clone(), ledger.clone()).into_rpc())?;
	module.merge(NewRecords::<_, Block, _>::new(client.clone(), ledger.clone(), indexed).into_rpc())?;
	module.merge(Proofs::<_, Block, _>::new(client, ledger, prover).into_rpc())?;
	Ok(module)
}
