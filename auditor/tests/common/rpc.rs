//! A node's RPC over a real connection, and the command itself.

use super::{genesis, Fake, HEAD};
use cairn_auditor::chain::ChainError;
use cairn_primitives::H256;
use jsonrpsee::{
	server::{Server, ServerHandle},
	types::{ErrorObjectOwned, Params},
	RpcModule,
};
use serde_json::Value;
use std::path::Path;
use tokio::process::Command;

pub fn answer<T>(result: Result<T, ChainError>) -> Result<T, ErrorObjectOwned> {
	result.map_err(|e| match e {
		ChainError::Refused { code, message, .. } => ErrorObjectOwned::owned(code, message, None::<()>),
		other => panic!("{other}"),
	})
}

/// The `N` arguments before the block, which has to be the finalised one: nodes prune the states of others.
fn arguments<const N: usize>(params: &Params) -> [Value; N] {
	let mut all: Vec<Value> = params.parse().unwrap();
	let at: H256 = read(&all.pop().unwrap());
	assert_eq!(at, HEAD);
	all.try_into().unwrap()
}

fn read<T: serde::de::DeserializeOwned>(value: &Value) -> T {
	serde_json::from_value(value.clone()).unwrap()
}

/// A node that answers from a chain in memory.
pub async fn serve(chain: Fake) -> (String, ServerHandle) {
	let mut module = RpcModule::new(chain);
	module
		.register_method("chain_getBlockHash", |params, _, _| {
			let [number]: [u32; 1] = params.parse().unwrap();
			answer(Ok((number == 0).then(genesis)))
		})
		.unwrap();
	module.register_method("chain_getFinalizedHead", |_, _, _| answer(Ok(HEAD))).unwrap();
	module
		.register_method("provenance_programme", |params, chain, _| {
			let [id] = arguments(&params);
			answer(chain.get_programme(read(&id)))
		})
		.unwrap();
	module
		.register_method("provenance_round", |params, chain, _| {
			let [programme, index] = arguments(&params);
			answer(chain.get_round(read(&programme), read(&index)))
		})
		.unwrap();
	module
		.register_method("provenance_record", |params, chain, _| {
			let [id] = arguments(&params);
			answer(chain.get_record(read(&id)))
		})
		.unwrap();
	module
		.register_method("provenance_lineage", |params, chain, _| {
			let [hash, cursor, count] = arguments(&params);
			assert_eq!(count, Value::Null);
			answer(chain.get_lineage(read(&hash), read(&cursor)))
		})
		.unwrap();
	module
		.register_method("provenance_prove", |params, chain, _| {
			let [subject, _at]: [Value; 2] = params.parse().unwrap();
			answer(chain.get_proof(&subject.as_str().map_or_else(|| subject.to_string(), String::from)))
		})
		.unwrap();
	module
		.register_method("provenance_proveAbsence", |params, chain, _| {
			let [hash]: [H256; 1] = params.parse().unwrap();
			answer(chain.get_absence(hash))
		})
		.unwrap();
	start(module).await
}

/// Serves any methods on a port of its own.
pub async fn start<C: Send + Sync + 'static>(module: RpcModule<C>) -> (String, ServerHandle) {
	let server = Server::builder().build("127.0.0.1:0").await.unwrap();
	let url = format!("ws://{}", server.local_addr().unwrap());
	(url, server.start(module))
}

/// What the command printed, and how it ended.
#[derive(Debug)]
pub struct Output {
	pub code: i32,
	pub out: String,
	pub err: String,
}

/// Runs the command.
pub async fn cairn(args: &[&str]) -> Output {
	cairn_in(&std::env::temp_dir(), args).await
}

/// Runs the command in a folder. It finds no cache but one that is named.
pub async fn cairn_in(dir: &Path, args: &[&str]) -> Output {
	let mut command = Command::new(env!("CARGO_BIN_EXE_cairn"));
	for name in ["CAIRN_NODE", "CAIRN_GENESIS", "CAIRN_PEERS", "CAIRN_AUDIT_CACHE", "XDG_CACHE_HOME", "HOME"]
	{
		command.env_remove(name);
	}
	let output = command.args(args).current_dir(dir).output().await.unwrap();
	Output {
		code: output.status.code().unwrap(),
		out: String::from_utf8(output.stdout).unwrap(),
		err: String::from_utf8(output.stderr).unwrap(),
	}
}
