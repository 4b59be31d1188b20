//! The chain specification of a devnet: the node's own `local` one with this network's validators, accounts and
//! programme in its genesis.

use anyhow::{bail, Context, Result};
use serde_json::{json, Map, Value};

/// A validator's public keys (SS58).
#[derive(Clone, Debug)]
pub struct Authority {
	/// The account, and the BABE key: both sr25519 of the same secret.
	pub account: String,
	/// The GRANDPA key (ed25519).
	pub grandpa: String,
}

/// What goes into genesis.
#[derive(Clone, Debug)]
pub struct Genesis {
	/// The validators.
	pub authorities: Vec<Authority>,
	/// Accounts and what they hold, in plancks.
	pub balances: Vec<(String, u64)>,
	/// The programme's entry, as `cairn-worker programme init` made it.
	pub programme: Value,
}

/// Puts `genesis` into a plain chain specification.
///
/// # Errors
/// When the specification is not one with a JSON genesis (a raw one, for example).
pub fn with_genesis(mut spec: Value, genesis: &Genesis) -> Result<Value> {
	let keys: Vec<Value> = genesis
		.authorities
		.iter()
		.map(|a| json!([a.account, a.account, { "babe": a.account, "grandpa": a.grandpa }]))
		.collect();
	let mut balances: Vec<Value> =
		genesis.balances.iter().map(|(who, amount)| json!([who, amount])).collect();
	// A validator without an account could not be asked to do anything later, such as changing its keys.
	let unfunded = |a: &&Authority| !genesis.balances.iter().any(|(who, _)| *who == a.account);
	balances.extend(genesis.authorities.iter().filter(unfunded).map(|a| json!([a.account, ENDOWMENT])));

	let runtime = spec.pointer_mut("/genesis/runtimeGenesis").and_then(Value::as_object_mut);
	let runtime = runtime.context("the chain specification has no runtime genesis; is it a raw one?")?;
	let config = ["patch", "config"].into_iter().find(|k| runtime.contains_key(*k));
	let config = config.and_then(|k| runtime.get_mut(k)).and_then(Value::as_object_mut);
	let config =
		config.context("the chain specification's genesis is neither a patch nor a configuration")?;
	section(config, "session")?.insert("keys".into(), keys.into());
	section(config, "balances")?.insert("balances".into(), balances.into());
	section(config, "training")?.insert("programmes".into(), json!([genesis.programme]));

	let top = spec.as_object_mut().context("the chain specification is no JSON object")?;
	top.insert("name".into(), "Cairn devnet".into());
	top.insert("id".into(), ID.into());
	// Its own protocol name and no boot nodes, so that it never talks to another local chain.
	top.insert("protocolId".into(), "cairn-devnet".into());
	top.insert("bootNodes".into(), json!([]));
	Ok(spec)
}

/// The chain's id.
pub const ID: &str = "cairn_devnet";

/// What every account gets, in plancks: 100,000 CRN.
pub const ENDOWMENT: u64 = 100_000_000_000_000_000;

/// What a DAO member gets, in plancks: 1,000,000 CRN.
pub const MEMBER_ENDOWMENT: u64 = 1_000_000_000_000_000_000;

fn section<'a>(config: &'a mut Map<String, Value>, name: &str) -> Result<&'a mut Map<String, Value>> {
	let value = config.entry(name).or_insert_with(|| json!({}));
	value.as_object_mut().with_context(|| format!("genesis section `{name}` is no JSON object"))
}

/// Sets fields of a programme's entry that the devnet decides.
///
/// # Errors
/// When the entry is no JSON object.
pub fn set_fields(entry: &mut Value, fields: Value) -> Result<()> {
	match (entry, fields) {
		(Value::Object(entry), Value::Object(fields)) => {
			entry.extend(fields);
			Ok(())
		},
		(entry, _) => bail!("`cairn-worker programme init` printed no genesis entry: {entry}"),
	}
}

#[cfg(test)]
mod tests {
	#![allow(clippy::unwrap_used)]
	use super::*;

	fn genesis() -> Genesis {
		Genesis {
			authorities: vec![Authority { account: "5A".into(), grandpa: "5G".into() }],
			balances: vec![("5W".into(), 7)],
			programme: json!({"name": "digits"}),
		}
	}

	#[test]
	fn genesis_is_patched_and_the_rest_kept() {
		let spec = json!({
			"name": "Local", "id": "local", "bootNodes": ["/ip4/1.2.3.4"], "properties": {"tokenSymbol": "CRN"},
			"genesis": {"runtimeGenesis": {"code": "0x00", "patch": {
				"session": {"keys": ["old"]}, "babe": {"epochConfig": 1}, "balances": {"balances": ["old"], "devAccounts": null}
			}}}
		});
		let spec = with_genesis(spec, &genesis()).unwrap();
		let patch = &spec["genesis"]["runtimeGenesis"]["patch"];
		assert_eq!(patch["session"]["keys"], json!([["5A", "5A", {"babe": "5A", "grandpa": "5G"}]]));
		assert_eq!(patch["balances"]["balances"], json!([["5W", 7], ["5A", ENDOWMENT]]));
		assert_eq!(patch["training"]["programmes"], json!([{"name": "digits"}]));
		assert_eq!(patch["babe"]["epochConfig"], 1);
		assert_eq!(spec["genesis"]["runtimeGenesis"]["code"], "0x00");
		assert_eq!(spec["properties"]["tokenSymbol"], "CRN");
		assert_eq!((&spec["id"], &spec["bootNodes"]), (&json!(ID), &json!([])));
	}

	#[test]
	fn raw_specification_is_refused() {
		let message = with_genesis(json!({"genesis": {"raw": {}}}), &genesis()).unwrap_err().to_string();
		assert!(message.contains("raw"), "{message}");
	}
}
