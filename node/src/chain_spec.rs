//! The chains this binary knows by name, and how others are loaded.

use cairn_runtime::opaque::Block;
use sc_chain_spec::{ChainSpecExtension, ChainType, Properties};
use sc_client_api::{BadBlocks, ForkBlocks};
use sc_sync_state_rpc::LightSyncStateExtension;
use serde::{Deserialize, Serialize};
use sp_genesis_builder::{DEV_RUNTIME_PRESET, LOCAL_TESTNET_RUNTIME_PRESET};
use std::path::PathBuf;

/// A Cairn chain specification.
pub type ChainSpec = sc_service::GenericChainSpec<Extensions>;

/// What a chain specification holds beyond the usual.
#[derive(Default, Clone, Serialize, Deserialize, ChainSpecExtension)]
#[serde(rename_all = "camelCase")]
pub struct Extensions {
	/// Blocks that are known to be on the chain, by number.
	pub fork_blocks: ForkBlocks<Block>,
	/// Blocks that are known not to be on the chain.
	pub bad_blocks: BadBlocks<Block>,
	/// Where a light client may start; filled by `sync_state_genSyncSpec`.
	pub light_sync_state: LightSyncStateExtension,
}

/// A chain that is built into the binary. Its genesis is a preset of the runtime.
struct BuiltIn {
	/// What `--chain` calls it.
	name: &'static str,
	/// What people read.
	title: &'static str,
	/// Names the chain's directory under the base path.
	id: &'static str,
	kind: ChainType,
	/// The runtime's WASM, if this binary was compiled with it.
	code: Option<&'static [u8]>,
	preset: &'static str,
	/// Part of the network protocols' names, so that nodes of two chains never talk to each other.
	protocol_id: &'static str,
	/// The same for the protocols that are named after the genesis hash.
	fork_id: &'static str,
}

const BUILT_IN: [BuiltIn; 4] = [
	BuiltIn {
		name: "dev",
		title: "Cairn Development",
		id: "cairn_dev",
		kind: ChainType::Development,
		code: cairn_runtime::WASM_BINARY,
		preset: DEV_RUNTIME_PRESET,
		protocol_id: "cairn-dev",
		fork_id: "dev",
	},
	BuiltIn {
		name: "dev-fast",
		title: "Cairn Development, fast governance",
		id: "cairn_dev_fast",
		kind: ChainType::Development,
		code: cairn_runtime::fast::WASM_BINARY,
		preset: DEV_RUNTIME_PRESET,
		protocol_id: "cairn-dev-fast",
		fork_id: "dev-fast",
	},
	BuiltIn {
		name: "local",
		title: "Cairn Local Testnet",
		id: "cairn_local",
		kind: ChainType::Local,
		code: cairn_runtime::WASM_BINARY,
		preset: LOCAL_TESTNET_RUNTIME_PRESET,
		protocol_id: "cairn-local",
		fork_id: "local",
	},
	BuiltIn {
		name: "local-fast",
		title: "Cairn Local Testnet, fast governance",
		id: "cairn_local_fast",
		kind: ChainType::Local,
		code: cairn_runtime::fast::WASM_BINARY,
		preset: LOCAL_TESTNET_RUNTIME_PRESET,
		protocol_id: "cairn-local-fast",
		fork_id: "local-fast",
	},
];

/// What `--chain` may be, for help and errors.
pub const CHOICES: &str =
	"`dev` (one validator, Alice), `local` (three validators: Alice, Bob and Charlie), the same with epochs and votes of \
	 minutes as `dev-fast` and `local-fast`, or the path of a chain specification in JSON";

/// The chain that `--chain` names: a built-in one, or a file.
pub fn load(name: &str) -> Result<ChainSpec, String> {
	if name.is_empty() {
		return Err(format!(
			"no chain was chosen, and there is no public Cairn network yet that could be the default; pass --chain \
			 with {CHOICES}, or --dev"
		));
	}
	if let Some(chain) = BUILT_IN.iter().find(|chain| chain.name == name) {
		let code = chain.code.ok_or_else(|| {
			format!(
				"the chain `{name}` cannot be built: this binary was compiled without the runtime's WASM \
				 (SKIP_WASM_BUILD was set). Build it again without that variable, or pass a chain specification file"
			)
		})?;
		return Ok(chain.spec(code));
	}
	let path = PathBuf::from(name);
	if !path.is_file() {
		return Err(format!(
			"`{name}` is neither a chain this binary knows nor a file; --chain takes {CHOICES}"
		));
	}
	ChainSpec::from_json_file(path)
		.map_err(|e| format!("`{name}` is not a chain specification of this node: {e}"))
}

impl BuiltIn {
	fn spec(&self, code: &[u8]) -> ChainSpec {
		ChainSpec::builder(code, Extensions::default())
			.with_name(self.title)
			.with_id(self.id)
			.with_chain_type(self.kind.clone())
			.with_genesis_config_preset_name(self.preset)
			.with_protocol_id(self.protocol_id)
			.with_fork_id(self.fork_id)
			.with_properties(properties())
			.build()
	}
}

/// How wallets show amounts and addresses.
fn properties() -> Properties {
	let mut properties = Properties::new();
	properties.insert("tokenSymbol".into(), "CRN".into());
	properties.insert("tokenDecimals".into(), 12.into());
	properties.insert("ss58Format".into(), 42.into());
	properties
}

#[cfg(test)]
mod tests {
	#![allow(clippy::unwrap_used)]

	use super::*;

	/// The specification itself does not depend on the runtime's code.
	fn specs() -> Vec<ChainSpec> {
		BUILT_IN.iter().map(|chain| chain.spec(b"code")).collect()
	}

	#[test]
	fn the_built_in_chains_share_no_name_id_or_protocol() {
		let specs = specs();
		assert_eq!(specs.iter().map(|s| s.id()).collect::<Vec<_>>()[..2], ["cairn_dev", "cairn_dev_fast"]);
		for (i, a) in specs.iter().enumerate() {
			assert!(a.protocol_id().is_some() && a.fork_id().is_some());
			for b in &specs[i + 1..] {
				assert_ne!(a.id(), b.id());
				assert_ne!(a.name(), b.name());
				assert_ne!(a.protocol_id(), b.protocol_id());
				assert_ne!(a.fork_id(), b.fork_id());
			}
		}
	}

	#[test]
	fn every_built_in_chain_has_the_chain_properties() {
		for spec in specs() {
			let properties = spec.properties();
			assert_eq!(properties["tokenSymbol"], "CRN");
			assert_eq!(properties["tokenDecimals"], 12);
			assert_eq!(properties["ss58Format"], 42);
		}
	}

	#[test]
	fn no_built_in_chain_sends_telemetry() {
		assert!(specs().iter().all(|spec| spec.telemetry_endpoints().is_none()));
	}

	#[test]
	fn every_built_in_chain_can_hand_out_a_light_client_state() {
		for spec in specs() {
			assert!(sc_chain_spec::get_extension::<LightSyncStateExtension>(spec.extensions()).is_some());
		}
	}

	#[test]
	fn an_unknown_chain_is_told_what_exists() {
		for name in ["", "mainnet", "/no/such/spec.json", "/"] {
			let error = load(name).err().unwrap();
			assert!(error.contains("`dev`") && error.contains("`local`"), "{error}");
			assert!(error.contains(name), "{error}");
		}
	}

	#[test]
	fn a_file_that_is_not_a_specification_is_named() {
		let file = tempfile::NamedTempFile::new().unwrap();
		std::fs::write(file.path(), "{}").unwrap();
		let path = file.path().to_str().unwrap();
		let error = load(path).err().unwrap();
		assert!(error.contains(path), "{error}");
	}
}
