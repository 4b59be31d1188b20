//! Chains that begin with what would take hours to bring about, and a validator that runs one.

use anyhow::{anyhow, Context, Result};
use cairn_devnet::{
	binaries::Binaries,
	ports::Ports,
	process::{run, Process},
	rpc::Rpc,
};
use cairn_primitives::{DeviceClass, DeviceState, EnergySource, SiteId, H256};
use cairn_runtime::{AccountId, Balance, Balances, Hardware, Runtime, RuntimeOrigin, CRN};
use codec::Encode;
use frame_support::traits::{fungible::Mutate, Get};
use serde_json::{json, Value};
use sp_core::{crypto::Pair as _, sr25519::Pair};
use sp_io::hashing::blake2_256;
use sp_runtime::Storage;
use sp_state_machine::BasicExternalities;
use std::{
	fs,
	path::{Path, PathBuf},
	process::Command,
	time::{Duration, Instant},
};

/// How long the chain may take no transaction while some wait.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// What every account holds: fees for all it does here.
const ENDOWMENT: Balance = 1_000 * CRN;

/// The middle one of some values, not a number when there are none.
pub fn median(values: &[f64]) -> f64 {
	let mut values = values.to_vec();
	values.sort_by(f64::total_cmp);
	values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// An account with a device, by number.
pub fn keys(index: u32) -> Pair {
	Pair::from_seed(&blake2_256(&("cairn bench chain", index).encode()))
}

/// One site with a device for each account, all of which may take part.
fn register(owner: &AccountId, accounts: &[AccountId]) -> Result<(), sp_runtime::DispatchError> {
	let site: SiteId = pallet_hardware::SiteCount::<Runtime>::get();
	let signed = || RuntimeOrigin::signed(owner.clone());
	let (name, region) = (b"bench".to_vec(), b"EU".to_vec());
	Hardware::register_site(
		signed(),
		name.try_into().unwrap_or_default(),
		region.try_into().unwrap_or_default(),
		EnergySource::Renewable,
	)?;
	for account in accounts {
		let device = pallet_hardware::DeviceCount::<Runtime>::get();
		Hardware::register_device(signed(), site, account.clone(), DeviceClass::Cpu, 16_384)?;
		// The proof of a libp2p key is over the genesis hash, which is not known yet.
		pallet_hardware::Devices::<Runtime>::mutate(device, |entry| {
			if let Some(entry) = entry {
				entry.state = DeviceState::Active;
			}
		});
	}
	Ok(())
}

/// Puts accounts with a device each into a genesis state, by the runtime's own pallets, and then what `fill` adds.
///
/// # Errors
/// When a pallet refuses.
pub fn populate(
	storage: Storage,
	accounts: &[AccountId],
	fill: impl FnOnce() -> Result<()>,
) -> Result<Storage> {
	let mut state = BasicExternalities::new(storage);
	state.execute_with(|| -> Result<()> {
		let refused = |what: &'static str| move |e: sp_runtime::DispatchError| anyhow!("{what}: {e:?}");
		for account in accounts {
			Balances::mint_into(account, ENDOWMENT).map_err(refused("an account cannot be endowed"))?;
		}
		let owner = accounts.first().context("there is no account")?;
		let site: Balance = <Runtime as pallet_hardware::Config>::SiteDeposit::get();
		let device: Balance = <Runtime as pallet_hardware::Config>::DeviceDeposit::get();
		let deposits = site + device * accounts.len() as Balance;
		Balances::mint_into(owner, deposits).map_err(refused("the site's owner cannot be endowed"))?;
		register(owner, accounts).map_err(refused("a device cannot be registered"))?;
		fill()
	})?;
	Ok(state.into_storages())
}

/// Writes a chain specification: that of the development chain with other programmes, each made of the one that it has,
/// and with what `populate` makes of its genesis state.
///
/// # Errors
/// When the node does not give one, `populate` fails or the file cannot be written.
pub async fn make_spec(
	binaries: &Binaries,
	folder: &Path,
	name: &str,
	programmes: impl FnOnce(&Value) -> Vec<Value>,
	populate: impl FnOnce(Storage) -> Result<Storage>,
) -> Result<PathBuf> {
	let mut spec = node(binaries, &["export-chain-spec", "--chain", "dev"]).await?;
	let list = spec.pointer_mut("/genesis/runtimeGenesis/patch/training/programmes");
	let list = list.and_then(Value::as_array_mut).context("the development chain has no programmes")?;
	let model = list.first().cloned().context("the development chain has no programme")?;
	*list = programmes(&model);
	spec["id"] = "cairn_bench".into();
	spec["protocolId"] = "cairn-bench".into();
	spec["bootNodes"] = json!([]);
	let plain = folder.join(format!("spec-{name}.json"));
	write_json(&plain, &spec)?;

	let mut raw =
		node(binaries, &["export-chain-spec", "--raw", "--chain", &plain.display().to_string()]).await?;
	let top = raw_state(&mut raw)?;
	let mut storage = Storage::default();
	for (key, value) in &*top {
		let value = value.as_str().context("a raw state of something else than text")?;
		storage.top.insert(bytes(key)?, bytes(value)?);
	}
	let storage = populate(storage)?;
	*top = storage.top.iter().map(|(key, value)| (hexadecimal(key), hexadecimal(value).into())).collect();
	let path = folder.join(format!("raw-{name}.json"));
	write_json(&path, &raw)?;
	Ok(path)
}

/// The raw state of a chain specification.
fn raw_state(spec: &mut Value) -> Result<&mut serde_json::Map<String, Value>> {
	let top = spec.pointer_mut("/genesis/raw/top").and_then(Value::as_object_mut);
	top.context("`export-chain-spec --raw` printed no raw genesis")
}

/// Bytes from `0x` and hex digits.
///
/// # Errors
/// When they are something else.
pub fn bytes(text: &str) -> Result<Vec<u8>> {
	let digits = text.strip_prefix("0x").with_context(|| format!("`{text}` is not hexadecimal"))?;
	let nibble = |digit: u8| char::from(digit).to_digit(16).map(|n| n as u8);
	let pairs = digits.as_bytes().chunks(2).map(|pair| match pair {
		[high, low] => nibble(*high).zip(nibble(*low)).map(|(high, low)| high << 4 | low),
		_ => None,
	});
	pairs.collect::<Option<_>>().with_context(|| format!("`{text}` is not hexadecimal"))
}

/// Bytes as `0x` and hex digits.
pub fn hexadecimal(bytes: &[u8]) -> String {
	const DIGITS: &[u8; 16] = b"0123456789abcdef";
	let mut text = String::with_capacity(2 + 2 * bytes.len());
	text.push_str("0x");
	for byte in bytes {
		text.push(DIGITS[usize::from(byte >> 4)].into());
		text.push(DIGITS[usize::from(byte & 15)].into());
	}
	text
}

/// What the node prints as JSON.
async fn node(binaries: &Binaries, args: &[&str]) -> Result<Value> {
	let mut command = Command::new(&binaries.node);
	command.args(args);
	run(command).await?.json()
}

fn write_json(path: &Path, value: &Value) -> Result<()> {
	let text = serde_json::to_vec(value).context("the chain specification cannot be written as JSON")?;
	fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// A validator on its own.
pub struct Validator {
	/// The node.
	pub process: Process,
	/// Its JSON-RPC.
	pub rpc: Rpc,
	/// Its chain.
	pub genesis: H256,
}

impl Validator {
	/// Starts a validator of the chain `spec` with a database in `base`, and waits until it answers. `extra` are further
	/// arguments for it.
	///
	/// # Errors
	/// When it does not come up.
	pub async fn start(
		binaries: &Binaries,
		spec: &Path,
		base: &Path,
		log: &Path,
		extra: &[&str],
	) -> Result<Self> {
		let mut ports = Ports::default();
		let rpc_port = ports.free()?;
		let mut command = Command::new(&binaries.node);
		command.args(["--chain", &spec.display().to_string(), "--base-path", &base.display().to_string()]);
		// Nobody else knows this node, so it needs no lasting identity.
		command.arg("--unsafe-force-node-key-generation");
		command.args(["--alice", "--validator", "--force-authoring", "--no-telemetry", "--no-mdns"]);
		command.args(["--rpc-port", &rpc_port.to_string(), "--prometheus-port", &ports.free()?.to_string()]);
		command.args(["--listen-addr", &format!("/ip4/127.0.0.1/tcp/{}", ports.free()?)]);
		// All transactions wait in the pool before the blocks are watched.
		command.args(["--pool-limit", "1000000", "--pool-kbytes", "1000000"]);
		command.args(["--state-pruning", "archive"]);
		command.args(extra);
		let process = Process::start("the validator", command, log, None)?;
		let rpc = Rpc::new(format!("ws://127.0.0.1:{rpc_port}"));
		let start = Instant::now();
		let genesis = loop {
			match rpc.genesis().await {
				Ok(genesis) => break genesis,
				Err(error) if start.elapsed() > PATIENCE || !process.is_running() => {
					return Err(
						error.context(format!("the validator does not answer; its log is {}", log.display()))
					)
				},
				// A port that is not open yet tells nobody when it is.
				Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
			}
		};
		let genesis = H256(bytes(&genesis)?.try_into().map_err(|_| anyhow!("a genesis hash is 32 bytes"))?);
		Ok(Self { process, rpc, genesis })
	}
}

#[cfg(test)]
mod tests {
	#![allow(clippy::unwrap_used)]
	use super::*;

	#[test]
	fn hexadecimal_is_read_as_it_is_written() {
		assert_eq!(hexadecimal(&[0, 0x1f, 0xff]), "0x001fff");
		assert_eq!(bytes("0x001fff").unwrap(), [0, 0x1f, 0xff]);
		for wrong in ["001f", "0x1", "0xzz"] {
			assert!(bytes(wrong).is_err(), "{wrong}");
		}
	}
}
