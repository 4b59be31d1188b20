//! What must hold of the runtime as a whole.

mod chain;
mod hooks;
mod properties;
mod versions;

use super::*;
// For `chain`.
use crate as rt;
use frame_support::{traits::IntegrityTest, BoundedVec};
use sp_runtime::BuildStorage;

fn preset(name: &str) -> serde_json::Value {
	let json = genesis_config_presets::get_preset(&name.into()).expect("the preset exists");
	serde_json::from_slice(&json).expect("a preset is JSON")
}

#[test]
fn pallets_accept_their_configuration() {
	AllPalletsWithSystem::integrity_test();
}

#[test]
fn every_preset_builds_a_chain_whose_validators_have_keys() {
	for (name, validators) in [("development", 1), ("local_testnet", 3)] {
		let mut chain = sp_io::TestExternalities::new(Default::default());
		chain.execute_with(|| {
			frame_support::genesis_builder_helper::build_state::<RuntimeGenesisConfig>(
				serde_json::to_vec(&merged(preset(name))).expect("serialises"),
			)
			.expect("the preset is a valid genesis");
			assert_eq!(Session::validators().len(), validators, "{name}");
			assert_eq!(Babe::authorities().len(), validators, "{name}");
			assert_eq!(Grandpa::grandpa_authorities().len(), validators, "{name}");
			// Equivocation proofs need the first session's root.
			assert!(pallet_session::historical::HistoricalSessions::<Runtime>::get(0).is_some(), "{name}");
		});
	}
}

/// The default genesis with a preset laid over it, as a chain specification does.
fn merged(patch: serde_json::Value) -> serde_json::Value {
	fn lay(base: &mut serde_json::Value, patch: serde_json::Value) {
		match (base, patch) {
			(serde_json::Value::Object(base), serde_json::Value::Object(patch)) => {
				for (key, value) in patch {
					lay(base.entry(key).or_insert(serde_json::Value::Null), value);
				}
			},
			(base, patch) => *base = patch,
		}
	}
	let mut base = serde_json::to_value(RuntimeGenesisConfig::default()).expect("serialises");
	lay(&mut base, patch);
	base
}

#[test]
fn genesis_without_anything_has_no_state_of_ours() {
	let storage = RuntimeGenesisConfig::default().build_storage().expect("builds");
	sp_io::TestExternalities::new(storage).execute_with(|| {
		assert!(Training::programme_ids().is_empty());
		assert_eq!(pallet_provenance::RecordCount::<Runtime>::get(), 0);
	});
}

#[test]
fn there_is_no_sudo_and_names_are_what_wallets_look_for() {
	use frame_support::traits::PalletsInfoAccess;
	let names: alloc::vec::Vec<_> = AllPalletsWithSystem::infos().into_iter().map(|p| p.name).collect();
	assert!(!names.iter().any(|n| n.eq_ignore_ascii_case("sudo")));
	for name in [
		"System",
		"Timestamp",
		"Babe",
		"Authorship",
		"Balances",
		"TransactionPayment",
		"Session",
		"Historical",
		"Grandpa",
		"Offences",
		"Utility",
		"Provenance",
		"Hardware",
		"Rewards",
		"Training",
	] {
		assert!(names.contains(&name), "{name} is missing from {names:?}");
	}
}

#[test]
fn dearest_calls_fit_into_a_block() {
	use cairn_primitives::H256;
	use frame_support::dispatch::GetDispatchInfo;
	use pallet_training::Call::*;
	let (programme, round, attempt) = (0, 0, 0);
	let quality = BoundedVec::truncate_from(alloc::vec![50; 1_024]);
	let bitmap = BoundedVec::truncate_from(alloc::vec![u8::MAX; 128]);
	let (artifact, salt) = (H256::zero(), [0; 32]);
	let calls = [
		RuntimeCall::Training(commit_update { programme, round, artifact, samples: 1, local_steps: 1 }),
		RuntimeCall::Training(vote_availability { programme, round, attempt, bitmap }),
		RuntimeCall::Training(commit_aggregate { programme, round, attempt, commitment: artifact }),
		RuntimeCall::Training(reveal_aggregate {
			programme,
			round,
			attempt,
			result: artifact,
			quality,
			salt,
		}),
		RuntimeCall::Training(advance { programme }),
		RuntimeCall::Training(challenge { programme, round, claimed: artifact }),
		RuntimeCall::Governance(pallet_governance::Call::close_programme { programme }),
		RuntimeCall::Hardware(pallet_hardware::Call::recheck {}),
	];
	let weights = <Runtime as frame_system::Config>::BlockWeights::get();
	let max = weights.get(frame_support::dispatch::DispatchClass::Normal).max_extrinsic.expect("bounded");
	for call in calls {
		let weight = call.get_dispatch_info().call_weight;
		assert!(weight.all_lte(max), "{call:?}: {weight} is more than {max}");
	}
}
