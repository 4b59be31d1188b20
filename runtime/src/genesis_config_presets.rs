//! Genesis presets of the chains `dev` and `local`: well-known development keys, for machines of one's own only.

use crate::*;
use alloc::vec;
use cairn_primitives::{AggregationRule, Schedule};
use frame_support::build_struct_json_patch;
use pallet_training::GenesisProgramme;
use serde_json::Value;
use sp_core::{hex2array, H256};
use sp_genesis_builder::PresetId;
use sp_keyring::{Ed25519Keyring, Sr25519Keyring};

/// A validator's account and session keys, all from one well-known seed.
fn authority(account: Sr25519Keyring, grandpa: Ed25519Keyring) -> (AccountId, AccountId, SessionKeys) {
	let keys = SessionKeys { babe: account.public().into(), grandpa: grandpa.public().into() };
	(account.to_account_id(), account.to_account_id(), keys)
}

/// The programme of the development chains: the perceptron on handwritten digits that `cairn-worker` ships, as
/// `cairn-worker programme init` prints it. A test compares the two.
fn digits(committee_size: u32, min_updates: u32, target_updates: u32) -> GenesisProgramme<Balance> {
	GenesisProgramme {
		name: "digits".into(),
		config: H256(hex2array!("eb76bd803836db7bd2a5dfedbe0e4db9472bfa67cf37ad8fbfbbf9104c0ef654")),
		genesis_weights: H256(hex2array!("f3a27713478cfc6b088e47990318cd31627d3e435073a5aea1fb9a21c1965893")),
		aggregation: AggregationRule::WeightedMean.into(),
		schedule: Schedule { commit: 20, availability: 8, aggregate: 8, reveal: 8, challenge: 0 },
		committee_size,
		audit_size: None,
		min_updates,
		target_updates,
		max_updates: 64,
		max_samples: 100_000,
		max_local_steps: 10_000,
		rounds: 10,
		reward_per_round: 1_000 * CRN,
		committee_share: 10,
		licence: "".into(),
		data_category: "".into(),
		epsilon_per_round: None,
		challenge_bond: 0,
		pot: 20_000 * CRN,
	}
}

fn genesis(
	authorities: Vec<(AccountId, AccountId, SessionKeys)>,
	programme: GenesisProgramme<Balance>,
) -> Value {
	build_struct_json_patch!(RuntimeGenesisConfig {
		balances: BalancesConfig {
			balances: Sr25519Keyring::well_known()
				.map(|k| k.to_account_id())
				.chain([configs::governance::TreasuryAccount::get()])
				.map(|account| (account, 1_000_000 * CRN))
				.collect::<Vec<_>>(),
		},
		technical_committee: TechnicalCommitteeConfig {
			members: [Sr25519Keyring::Alice, Sr25519Keyring::Bob, Sr25519Keyring::Charlie]
				.map(|k| k.to_account_id())
				.to_vec(),
		},
		babe: BabeConfig { epoch_config: BABE_GENESIS_EPOCH_CONFIG },
		session: SessionConfig { keys: authorities },
		training: TrainingConfig { programmes: vec![programme] },
	})
}

fn development() -> Value {
	// One worker alone gets somewhere.
	genesis(vec![authority(Sr25519Keyring::Alice, Ed25519Keyring::Alice)], digits(1, 1, 1))
}

fn local() -> Value {
	genesis(
		vec![
			authority(Sr25519Keyring::Alice, Ed25519Keyring::Alice),
			authority(Sr25519Keyring::Bob, Ed25519Keyring::Bob),
			authority(Sr25519Keyring::Charlie, Ed25519Keyring::Charlie),
		],
		digits(3, 3, 5),
	)
}

/// The preset of this name, as JSON.
pub fn get_preset(id: &PresetId) -> Option<Vec<u8>> {
	let patch = match id.as_ref() {
		sp_genesis_builder::DEV_RUNTIME_PRESET => development(),
		sp_genesis_builder::LOCAL_TESTNET_RUNTIME_PRESET => local(),
		_ => return None,
	};
	serde_json::to_vec(&patch).ok()
}

/// The names of all presets.
pub fn preset_names() -> Vec<PresetId> {
	vec![
		PresetId::from(sp_genesis_builder::DEV_RUNTIME_PRESET),
		PresetId::from(sp_genesis_builder::LOCAL_TESTNET_RUNTIME_PRESET),
	]
}
