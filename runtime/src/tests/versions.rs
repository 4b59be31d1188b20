//! Storage versions: what a new chain says it has is what the code expects, so that a later migration knows where it
//! starts.

use super::*;
use frame_support::traits::{GetStorageVersion, NoStorageVersionSet, PalletsInfoAccess, StorageVersion};

/// What a pallet's code says about its storage.
trait InCode {
	/// The version; pallets that never said one are at 0.
	fn version(self) -> StorageVersion;
}

impl InCode for StorageVersion {
	fn version(self) -> StorageVersion {
		self
	}
}

impl InCode for NoStorageVersionSet {
	fn version(self) -> StorageVersion {
		StorageVersion::new(0)
	}
}

macro_rules! versions {
	($($pallet:ident),+ $(,)?) => {
		vec![$((
			stringify!($pallet),
			<$pallet as GetStorageVersion>::in_code_storage_version().version(),
			<$pallet as GetStorageVersion>::on_chain_storage_version(),
		)),+]
	};
}

/// Name, version in code and version on chain of every pallet.
fn versions() -> Vec<(&'static str, StorageVersion, StorageVersion)> {
	versions![
		System,
		Timestamp,
		Babe,
		Authorship,
		Balances,
		TransactionPayment,
		Session,
		Historical,
		Grandpa,
		Offences,
		Utility,
		Preimage,
		Scheduler,
		Referenda,
		ConvictionVoting,
		Origins,
		TechnicalCommittee,
		Whitelist,
		Treasury,
		Multisig,
		Proxy,
		Mmr,
		Provenance,
		Hardware,
		Rewards,
		Training,
		Governance,
	]
}

#[test]
fn storage_version_of_every_pallet_is_that_of_its_code_after_every_genesis() {
	let mut chains = vec![serde_json::to_value(RuntimeGenesisConfig::default()).expect("serialises")];
	for name in genesis_config_presets::preset_names() {
		chains.push(merged(preset(name.as_ref())));
	}
	for genesis in chains {
		sp_io::TestExternalities::new(Default::default()).execute_with(|| {
			let json = serde_json::to_vec(&genesis).expect("serialises");
			frame_support::genesis_builder_helper::build_state::<RuntimeGenesisConfig>(json)
				.expect("it is a valid genesis");
			for (pallet, in_code, on_chain) in versions() {
				assert_eq!(in_code, on_chain, "{pallet}");
			}
		});
	}
}

#[test]
fn storage_versions_of_all_pallets_are_looked_at() {
	let looked_at: Vec<_> =
		sp_io::TestExternalities::default().execute_with(|| versions().into_iter().map(|v| v.0).collect());
	let all: Vec<_> = AllPalletsWithSystem::infos().into_iter().map(|p| p.name).collect();
	assert_eq!(looked_at, all);
}

#[test]
fn presets_start_chains_whose_invariants_hold_and_whose_charter_binds_nothing_yet() {
	for name in genesis_config_presets::preset_names() {
		sp_io::TestExternalities::new(Default::default()).execute_with(|| {
			let json = serde_json::to_vec(&merged(preset(name.as_ref()))).expect("serialises");
			frame_support::genesis_builder_helper::build_state::<RuntimeGenesisConfig>(json)
				.expect("it is a valid genesis");
			chain::check_invariants().expect("invariants hold");
			assert_eq!(pallet_governance::CurrentCharter::<Runtime>::get(), Default::default());
			assert_eq!(Training::programme_ids(), [0]);
			// Treasury and committee are there from the start: nobody else can stop a programme or pay for one.
			assert_eq!(pallet_collective::Members::<Runtime, pallet_collective::Instance1>::get().len(), 3);
			assert!(Balances::free_balance(configs::governance::TreasuryAccount::get()) > 0);
		});
	}
}
