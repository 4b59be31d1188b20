//! The runtime's interface to nodes and clients.

use crate::*;
use cairn_primitives::{
	ledger::{Batch, BatchId},
	views, ArtifactHash, DeviceId, ProgrammeId, Record, RecordId, RoundIndex, SiteId,
};
use frame_support::{
	genesis_builder_helper::{build_state, get_preset},
	weights::Weight,
};
use sp_api::impl_runtime_apis;
use sp_core::{crypto::KeyTypeId, OpaqueMetadata};
use sp_runtime::{
	traits::{Block as BlockT, NumberFor},
	transaction_validity::{TransactionSource, TransactionValidity},
	ApplyExtrinsicResult,
};
use sp_session::OpaqueGeneratedSessionKeys;

impl_runtime_apis! {
	impl sp_api::Core<Block> for Runtime {
		fn version() -> RuntimeVersion {
			VERSION
		}

		fn execute_block(block: <Block as BlockT>::LazyBlock) {
			Executive::execute_block(block);
		}

		fn initialize_block(header: &<Block as BlockT>::Header) -> sp_runtime::ExtrinsicInclusionMode {
			Executive::initialize_block(header)
		}
	}

	impl sp_api::Metadata<Block> for Runtime {
		fn metadata() -> OpaqueMetadata {
			OpaqueMetadata::new(Runtime::metadata().into())
		}

		fn metadata_at_version(version: u32) -> Option<OpaqueMetadata> {
			Runtime::metadata_at_version(version)
		}

		fn metadata_versions() -> Vec<u32> {
			Runtime::metadata_versions()
		}
	}

	impl frame_support::view_functions::runtime_api::RuntimeViewFunction<Block> for Runtime {
		fn execute_view_function(
			id: frame_support::view_functions::ViewFunctionId,
			input: Vec<u8>,
		) -> Result<Vec<u8>, frame_support::view_functions::ViewFunctionDispatchError> {
			Runtime::execute_view_function(id, input)
		}
	}

	impl sp_block_builder::BlockBuilder<Block> for Runtime {
		fn apply_extrinsic(extrinsic: <Block as BlockT>::Extrinsic) -> ApplyExtrinsicResult {
			Executive::apply_extrinsic(extrinsic)
		}

		fn finalize_block() -> <Block as BlockT>::Header {
			Executive::finalize_block()
		}

		fn inherent_extrinsics(data: sp_inherents::InherentData) -> Vec<<Block as BlockT>::Extrinsic> {
			data.create_extrinsics()
		}

		fn check_inherents(
			block: <Block as BlockT>::LazyBlock,
			data: sp_inherents::InherentData,
		) -> sp_inherents::CheckInherentsResult {
			data.check_extrinsics(&block)
		}
	}

	impl sp_transaction_pool::runtime_api::TaggedTransactionQueue<Block> for Runtime {
		fn validate_transaction(
			source: TransactionSource,
			tx: <Block as BlockT>::Extrinsic,
			block_hash: <Block as BlockT>::Hash,
		) -> TransactionValidity {
			Executive::validate_transaction(source, tx, block_hash)
		}
	}

	impl sp_offchain::OffchainWorkerApi<Block> for Runtime {
		fn offchain_worker(header: &<Block as BlockT>::Header) {
			Executive::offchain_worker(header)
		}
	}

	impl sp_consensus_babe::BabeApi<Block> for Runtime {
		fn configuration() -> sp_consensus_babe::BabeConfiguration {
			let epoch_config = Babe::epoch_config().unwrap_or(BABE_GENESIS_EPOCH_CONFIG);
			sp_consensus_babe::BabeConfiguration {
				slot_duration: Babe::slot_duration(),
				epoch_length: EPOCH_DURATION,
				c: epoch_config.c,
				authorities: Babe::authorities().to_vec(),
				randomness: Babe::randomness(),
				allowed_slots: epoch_config.allowed_slots,
			}
		}

		fn current_epoch_start() -> sp_consensus_babe::Slot {
			Babe::current_epoch_start()
		}

		fn current_epoch() -> sp_consensus_babe::Epoch {
			Babe::current_epoch()
		}

		fn next_epoch() -> sp_consensus_babe::Epoch {
			Babe::next_epoch()
		}

		fn generate_key_ownership_proof(
			_slot: sp_consensus_babe::Slot,
			authority_id: sp_consensus_babe::AuthorityId,
		) -> Option<sp_consensus_babe::OpaqueKeyOwnershipProof> {
			use codec::Encode;
			use frame_support::traits::KeyOwnerProofSystem;

			Historical::prove((sp_consensus_babe::KEY_TYPE, authority_id))
				.map(|proof| sp_consensus_babe::OpaqueKeyOwnershipProof::new(proof.encode()))
		}

		fn submit_report_equivocation_unsigned_extrinsic(
			equivocation_proof: sp_consensus_babe::EquivocationProof<<Block as BlockT>::Header>,
			key_owner_proof: sp_consensus_babe::OpaqueKeyOwnershipProof,
		) -> Option<()> {
			Babe::submit_unsigned_equivocation_report(equivocation_proof, key_owner_proof.decode()?)
		}
	}

	impl sp_consensus_grandpa::GrandpaApi<Block> for Runtime {
		fn grandpa_authorities() -> sp_consensus_grandpa::AuthorityList {
			Grandpa::grandpa_authorities()
		}

		fn current_set_id() -> sp_consensus_grandpa::SetId {
			pallet_grandpa::CurrentSetId::<Runtime>::get()
		}

		fn submit_report_equivocation_unsigned_extrinsic(
			equivocation_proof: sp_consensus_grandpa::EquivocationProof<
				<Block as BlockT>::Hash,
				NumberFor<Block>,
			>,
			key_owner_proof: sp_consensus_grandpa::OpaqueKeyOwnershipProof,
		) -> Option<()> {
			Grandpa::submit_unsigned_equivocation_report(equivocation_proof, key_owner_proof.decode()?)
		}

		fn generate_key_ownership_proof(
			_set_id: sp_consensus_grandpa::SetId,
			authority_id: sp_consensus_grandpa::AuthorityId,
		) -> Option<sp_consensus_grandpa::OpaqueKeyOwnershipProof> {
			use codec::Encode;
			use frame_support::traits::KeyOwnerProofSystem;

			Historical::prove((sp_consensus_grandpa::KEY_TYPE, authority_id))
				.map(|proof| sp_consensus_grandpa::OpaqueKeyOwnershipProof::new(proof.encode()))
		}
	}

	impl sp_session::SessionKeys<Block> for Runtime {
		fn generate_session_keys(owner: Vec<u8>, seed: Option<Vec<u8>>) -> OpaqueGeneratedSessionKeys {
			SessionKeys::generate(&owner, seed).into()
		}

		fn decode_session_keys(encoded: Vec<u8>) -> Option<Vec<(Vec<u8>, KeyTypeId)>> {
			SessionKeys::decode_into_raw_public_keys(&encoded)
		}
	}

	impl frame_system_rpc_runtime_api::AccountNonceApi<Block, AccountId, Nonce> for Runtime {
		fn account_nonce(account: AccountId) -> Nonce {
			System::account_nonce(account)
		}
	}

	impl pallet_transaction_payment_rpc_runtime_api::TransactionPaymentApi<Block, Balance> for Runtime {
		fn query_info(
			uxt: <Block as BlockT>::Extrinsic,
			len: u32,
		) -> pallet_transaction_payment_rpc_runtime_api::RuntimeDispatchInfo<Balance> {
			TransactionPayment::query_info(uxt, len)
		}

		fn query_fee_details(
			uxt: <Block as BlockT>::Extrinsic,
			len: u32,
		) -> pallet_transaction_payment::FeeDetails<Balance> {
			TransactionPayment::query_fee_details(uxt, len)
		}

		fn query_weight_to_fee(weight: Weight) -> Balance {
			TransactionPayment::weight_to_fee(weight)
		}

		fn query_length_to_fee(length: u32) -> Balance {
			TransactionPayment::length_to_fee(length)
		}
	}

	impl pallet_transaction_payment_rpc_runtime_api::TransactionPaymentCallApi<Block, Balance, RuntimeCall>
		for Runtime
	{
		fn query_call_info(
			call: RuntimeCall,
			len: u32,
		) -> pallet_transaction_payment::RuntimeDispatchInfo<Balance> {
			TransactionPayment::query_call_info(call, len)
		}

		fn query_call_fee_details(
			call: RuntimeCall,
			len: u32,
		) -> pallet_transaction_payment::FeeDetails<Balance> {
			TransactionPayment::query_call_fee_details(call, len)
		}

		fn query_weight_to_fee(weight: Weight) -> Balance {
			TransactionPayment::weight_to_fee(weight)
		}

		fn query_length_to_fee(length: u32) -> Balance {
			TransactionPayment::length_to_fee(length)
		}
	}

	impl cairn_runtime_api::TrainingApi<Block, AccountId, Balance, BlockNumber> for Runtime {
		fn programmes() -> Vec<ProgrammeId> {
			Training::programme_ids()
		}

		fn programme(programme: ProgrammeId) -> Option<views::ProgrammeInfo<AccountId, Balance>> {
			Training::programme_info(programme)
		}

		fn current_round(programme: ProgrammeId) -> Option<views::RoundInfo<AccountId, BlockNumber>> {
			Training::current_round(programme)
		}

		fn round(programme: ProgrammeId, index: RoundIndex) -> Option<views::RoundInfo<AccountId, BlockNumber>> {
			Training::round_info(programme, index)
		}

		fn rounds(
			programme: ProgrammeId,
			state: Option<views::RoundState>,
			from: Option<RoundIndex>,
			limit: u32,
		) -> Option<views::RoundPage<AccountId, BlockNumber>> {
			Training::rounds(programme, state, from, limit)
		}

		fn aggregators() -> Vec<AccountId> {
			Training::aggregators()
		}

		fn drawable(programme: ProgrammeId) -> u32 {
			Training::drawable(programme)
		}

		fn can_open_round(programme: ProgrammeId) -> bool {
			Training::can_open_round(programme)
		}

		fn may_take_part(programme: ProgrammeId, device: DeviceId) -> bool {
			Training::may_take_part(programme, device)
		}
	}

	impl cairn_runtime_api::ProvenanceApi<Block, AccountId, BlockNumber> for Runtime {
		fn record_count() -> RecordId {
			pallet_provenance::RecordCount::<Runtime>::get()
		}

		fn batch_count() -> BatchId {
			pallet_provenance::BatchCount::<Runtime>::get()
		}

		fn batch(batch: BatchId) -> Option<Batch<BlockNumber>> {
			pallet_provenance::Batches::<Runtime>::get(batch)
		}

		fn batches(batches: Vec<BatchId>) -> Vec<Option<Batch<BlockNumber>>> {
			let asked = batches.into_iter().take(views::MAX_PAGE as usize);
			asked.map(pallet_provenance::Batches::<Runtime>::get).collect()
		}

		fn batch_of(record: RecordId) -> Option<(BatchId, Batch<BlockNumber>)> {
			Provenance::batch_of(record)
		}

		fn batches_beside(batch: BatchId) -> Option<(BatchId, Vec<Hash>)> {
			Provenance::batches_beside(batch)
		}

		fn start_records(batch: BatchId) -> Option<Vec<Record<AccountId, BlockNumber>>> {
			pallet_provenance::StartRecords::<Runtime>::get(batch).map(Into::into)
		}

		fn weights_record(weights: ArtifactHash) -> Option<RecordId> {
			pallet_provenance::WeightsRecord::<Runtime>::get(weights)
		}
	}

	impl sp_mmr_primitives::MmrApi<Block, Hash, BlockNumber> for Runtime {
		fn mmr_root() -> Result<Hash, sp_mmr_primitives::Error> {
			Ok(Mmr::mmr_root())
		}

		fn mmr_leaf_count() -> Result<sp_mmr_primitives::LeafIndex, sp_mmr_primitives::Error> {
			Ok(Mmr::mmr_leaves())
		}

		fn generate_proof(
			block_numbers: Vec<BlockNumber>,
			best_known_block_number: Option<BlockNumber>,
		) -> Result<
			(Vec<sp_mmr_primitives::EncodableOpaqueLeaf>, sp_mmr_primitives::LeafProof<Hash>),
			sp_mmr_primitives::Error,
		> {
			let (leaves, proof) = Mmr::generate_proof(block_numbers, best_known_block_number)?;
			let opaque = leaves.iter().map(sp_mmr_primitives::EncodableOpaqueLeaf::from_leaf).collect();
			Ok((opaque, proof))
		}

		fn generate_ancestry_proof(
			prev_block_number: BlockNumber,
			best_known_block_number: Option<BlockNumber>,
		) -> Result<sp_mmr_primitives::AncestryProof<Hash>, sp_mmr_primitives::Error> {
			Mmr::generate_ancestry_proof(prev_block_number, best_known_block_number)
		}

		fn verify_proof(
			leaves: Vec<sp_mmr_primitives::EncodableOpaqueLeaf>,
			proof: sp_mmr_primitives::LeafProof<Hash>,
		) -> Result<(), sp_mmr_primitives::Error> {
			let leaves = leaves
				.into_iter()
				.map(|leaf| leaf.into_opaque_leaf().try_decode().ok_or(sp_mmr_primitives::Error::Verify))
				.collect::<Result<Vec<_>, _>>()?;
			Mmr::verify_leaves(leaves, proof)
		}

		fn verify_proof_stateless(
			root: Hash,
			leaves: Vec<sp_mmr_primitives::EncodableOpaqueLeaf>,
			proof: sp_mmr_primitives::LeafProof<Hash>,
		) -> Result<(), sp_mmr_primitives::Error> {
			let nodes = leaves
				.into_iter()
				.map(|leaf| sp_mmr_primitives::DataOrHash::Data(leaf.into_opaque_leaf()))
				.collect();
			pallet_mmr::verify_leaves_proof::<<Runtime as pallet_mmr::Config>::Hashing, _>(root, nodes, proof)
		}
	}

	impl cairn_runtime_api::HardwareApi<Block, AccountId> for Runtime {
		fn site(site: SiteId) -> Option<views::SiteInfo<AccountId>> {
			Hardware::site_info(site)
		}

		fn device(device: DeviceId) -> Option<views::DeviceInfo<AccountId>> {
			Hardware::device_info(device)
		}

		fn device_of(account: AccountId) -> Option<views::DeviceInfo<AccountId>> {
			pallet_hardware::DeviceOf::<Runtime>::get(account).and_then(Hardware::device_info)
		}

		fn device_of_network_key(network_key: [u8; 32]) -> Option<views::DeviceInfo<AccountId>> {
			pallet_hardware::DeviceOfNetworkKey::<Runtime>::get(network_key).and_then(Hardware::device_info)
		}

		fn attesters() -> views::AttestersInfo<AccountId> {
			Hardware::attesters_info()
		}

		fn open_challenge(device: DeviceId) -> Option<views::AttestationInfo<AccountId, BlockNumber>> {
			Hardware::open_challenge(device)
		}

		fn challenges_to_judge(
			after: Option<DeviceId>,
			limit: u32,
		) -> Vec<views::AttestationInfo<AccountId, BlockNumber>> {
			Hardware::challenges_to_judge(after, limit)
		}

		fn local_steps(device: DeviceId, max: u32) -> u32 {
			Hardware::local_steps_for(device, max)
		}

		fn can_attest(device: DeviceId) -> bool {
			Hardware::can_attest(device)
		}

		fn recheck_is_due() -> bool {
			Hardware::recheck_is_due()
		}
	}

	impl cairn_runtime_api::RewardsApi<Block, AccountId, Balance> for Runtime {
		fn rewards(programme: ProgrammeId, account: AccountId) -> views::RewardInfo<Balance> {
			Rewards::reward_info(programme, &account)
		}

		fn bonded(account: AccountId) -> Balance {
			Rewards::bonded(&account)
		}
	}

	#[cfg(feature = "runtime-benchmarks")]
	impl frame_benchmarking::Benchmark<Block> for Runtime {
		fn benchmark_metadata(
			extra: bool,
		) -> (Vec<frame_benchmarking::BenchmarkList>, Vec<frame_support::traits::StorageInfo>) {
			use frame_support::traits::StorageInfoTrait;

			let mut list = Vec::new();
			list_benchmarks!(list, extra);
			(list, AllPalletsWithSystem::storage_info())
		}

		fn dispatch_benchmark(
			config: frame_benchmarking::BenchmarkConfig,
		) -> Result<Vec<frame_benchmarking::BenchmarkBatch>, alloc::string::String> {
			use frame_support::traits::WhitelistedStorageKeys;

			let whitelist = AllPalletsWithSystem::whitelisted_storage_keys();
			let mut batches = Vec::new();
			let params = (&config, &whitelist);
			add_benchmarks!(params, batches);
			Ok(batches)
		}
	}

	impl cairn_runtime_api::PotsApi<Block, AccountId, Balance> for Runtime {
		fn pot(programme: ProgrammeId) -> Option<views::PotInfo<AccountId, Balance>> {
			Rewards::pot_info(programme)
		}

		fn refund(programme: ProgrammeId, sponsor: AccountId) -> Balance {
			Rewards::refund(programme, &sponsor)
		}
	}

	impl cairn_runtime_api::SlashesApi<Block, AccountId, Balance, BlockNumber> for Runtime {
		fn bond(account: AccountId) -> views::BondInfo<Balance> {
			Rewards::bond_info(&account)
		}

		fn slashes(account: AccountId) -> Vec<views::SlashInfo<AccountId, Balance, BlockNumber>> {
			Rewards::slashes_of(&account)
		}

		fn slash(slash: cairn_primitives::SlashId) -> Option<views::SlashInfo<AccountId, Balance, BlockNumber>> {
			Rewards::slash_info(slash)
		}
	}

	impl cairn_runtime_api::GovernanceApi<Block, AccountId> for Runtime {
		fn charter() -> views::CharterInfo {
			Governance::charter_info()
		}

		fn validators() -> Vec<AccountId> {
			Governance::validators()
		}
	}

	#[cfg(feature = "try-runtime")]
	impl frame_try_runtime::TryRuntime<Block> for Runtime {
		fn on_runtime_upgrade(checks: frame_try_runtime::UpgradeCheckSelect) -> (Weight, Weight) {
			let weight = Executive::try_runtime_upgrade(checks).expect("every check before and after a migration holds");
			(weight, <Runtime as frame_system::Config>::BlockWeights::get().max_block)
		}

		fn execute_block(
			block: <Block as BlockT>::LazyBlock,
			state_root_check: bool,
			signature_check: bool,
			select: frame_try_runtime::TryStateSelect,
		) -> Weight {
			Executive::try_execute_block(block, state_root_check, signature_check, select)
				.expect("the block executes and every invariant holds")
		}
	}

	impl sp_genesis_builder::GenesisBuilder<Block> for Runtime {
		fn build_state(config: Vec<u8>) -> sp_genesis_builder::Result {
			build_state::<RuntimeGenesisConfig>(config)
		}

		fn get_preset(id: &Option<sp_genesis_builder::PresetId>) -> Option<Vec<u8>> {
			get_preset::<RuntimeGenesisConfig>(id, crate::genesis_config_presets::get_preset)
		}

		fn preset_names() -> Vec<sp_genesis_builder::PresetId> {
			crate::genesis_config_presets::preset_names()
		}
	}
}
