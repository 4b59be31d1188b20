//! Records of a chain whose validators changed twice and whose runtime was replaced, proved from its genesis hash.

use anyhow::{ensure, Context, Result};
use cairn_devnet::{
	devnet::{Devnet, PROGRAMME},
	process::{run, Finished},
	rpc::{Head, RecordInfo},
};
use cairn_primitives::{views::MAX_PAGE, RecordKind};
use jsonrpsee::rpc_params;
use serde_json::Value;
use std::process::Command;

/// A hash that no genesis block has.
const OTHER_GENESIS: &str = "0x7777777777777777777777777777777777777777777777777777777777777777";

/// Who finalised at a block, and by which rules.
struct Era {
	set: u64,
	version: u64,
}

async fn era(net: &Devnet, block: u32) -> Result<Era> {
	let hash = net.rpc().block_hash(block).await?;
	let set: String =
		net.rpc().call("state_call", rpc_params!["GrandpaApi_current_set_id", "0x", &hash]).await?;
	let set = set.strip_prefix("0x").and_then(|digits| u64::from_str_radix(digits, 16).ok());
	let set = set.with_context(|| format!("the number of block {block}'s authority set"))?.swap_bytes();
	let version: Value = net.rpc().call("state_getRuntimeVersion", rpc_params![&hash]).await?;
	let version = version["specVersion"].as_u64().with_context(|| format!("a version: {version}"))?;
	Ok(Era { set, version })
}

/// The newest weights at a finalised block, and all that they came from.
async fn lineage(net: &Devnet, head: &Head) -> Result<Vec<RecordInfo>> {
	let programme = net.rpc().programme(PROGRAMME, Some(&head.hash)).await?;
	net.rpc().lineage(&format!("{:?}", programme.weights), MAX_PAGE, &head.hash).await
}

/// Waits until weights that were recorded by the runtime with this version are final.
async fn lineage_from(net: &Devnet, version: u64) -> Result<(Head, Vec<RecordInfo>)> {
	let mut heads = net.guard(net.rpc().heads()).await?;
	loop {
		let head = net.guard(heads.next()).await?;
		let records = net.guard(lineage(net, &head)).await?;
		let newest = records.first().context("a lineage begins with what it is of")?;
		if net.guard(era(net, newest.record.block)).await?.version >= version {
			return Ok((head, records));
		}
	}
}

/// `cairn`, without what could tell it where a node is.
async fn cairn(net: &Devnet, arguments: &[&str]) -> Result<Finished> {
	let mut command = Command::new(&net.binaries().auditor);
	command.args(arguments).env_remove("CAIRN_NODE").env_remove("CAIRN_GENESIS");
	run(command).await
}

/// Has `cairn` prove something, once it can be proved: what a block recorded is proved by a later block that is final.
async fn prove(net: &Devnet, arguments: &[&str]) -> Result<Finished> {
	let mut heads = net.guard(net.rpc().heads()).await?;
	loop {
		let finished = net.guard(cairn(net, arguments)).await?;
		if finished.code == Some(2) && finished.stderr.contains("error 9108") {
			net.guard(heads.next()).await?;
		} else {
			return finished.ok();
		}
	}
}

/// What `cairn verify` says of a bundle without a network, which must prove this artifact's record, and must not for
/// another chain. How often the authorities had changed, and the whole report.
async fn verified(net: &Devnet, bundle: &str, artifact: &str) -> Result<(u64, Value)> {
	let verify = ["verify", bundle, "--artifact", artifact, "--json", "--genesis"];
	let report: Value = cairn(net, &[&verify[..], &[net.genesis()]].concat()).await?.json()?;
	ensure!(report["verdict"] == "proven", "{bundle}: {report}");
	let other = cairn(net, &[&verify[..], &[OTHER_GENESIS]].concat()).await?;
	ensure!(other.code == Some(1), "{bundle} proved something about another chain: {other:?}");
	let said: Value = serde_json::from_str(&other.stdout).with_context(|| format!("{other:?}"))?;
	ensure!(said["verdict"] == "refuted" && said["proof"].is_null(), "{bundle}: {said}");
	let changes = report["proof"]["authoritySet"]["id"].as_u64();
	Ok((changes.with_context(|| format!("a set of authorities: {report}"))?, report))
}

/// The same by the npm package in Node.js.
async fn verified_by_npm(bundle: &str, genesis: &str) -> Result<Value> {
	let mut command = Command::new("node");
	command.arg("js/verify.mjs").args([bundle, genesis]);
	run(command).await?.json()
}

/// Weights from before the first change, from between the two, and by the new runtime: each is proved alone, and all are in
/// one bundle.
pub async fn hold_from_genesis_over_all_changes(net: &Devnet) -> Result<()> {
	let old = net.guard(era(net, 0)).await?.version;
	let (head, records) = lineage_from(net, old + 1).await?;
	let now = net.guard(era(net, head.number)).await?;
	ensure!(now.set >= 2, "the authorities changed {} times", now.set);
	let (mut before, mut between) = (None, None);
	for record in records.iter().filter(|r| r.record.kind == RecordKind::Weights) {
		// Newest first, so these are the last of their kind.
		match net.guard(era(net, record.record.block)).await?.set {
			0 => before = before.or(Some(record)),
			1 => between = between.or(Some(record)),
			_ => {},
		}
	}
	let newest = &records[0];
	let before = before.context("no weights from before the authorities changed")?;
	let between = between.context("no weights from between the changes of the authorities")?;

	let path = |name: &str| net.path().join(format!("{name}.cairn")).display().to_string();
	let node = ["--node", net.rpc().url(), "--genesis", net.genesis()];
	// The first proof that there was, and one as of now, which goes over all changes.
	for (name, record, at, changes) in [
		("before", before, None, 0),
		("before-as-of-now", before, Some(&head.hash), 2),
		("between", between, None, 1),
		("newest", newest, None, 2),
	] {
		let (out, artifact) = (path(name), format!("{:?}", record.record.artifact));
		let mut arguments = vec!["prove", &artifact, "--out", &out];
		arguments.extend(node);
		arguments.extend(at.iter().flat_map(|at| ["--at", at.as_str()]));
		prove(net, &arguments).await?;
		let (found, report) = verified(net, &out, &artifact).await?;
		ensure!(found >= changes, "{name}: the proof goes over {found} changes: {report}");
		println!("{name}: record {} is proved over {found} hand-overs", record.id);
	}
	let newest_bundle = path("newest");
	let artifact = format!("{:?}", newest.record.artifact);
	let (_, report) = verified(net, &newest_bundle, &artifact).await?;
	let by_npm = verified_by_npm(&newest_bundle, net.genesis()).await?;
	ensure!(by_npm == report, "the npm package says {by_npm}, `cairn verify` {report}");
	let by_npm = verified_by_npm(&newest_bundle, OTHER_GENESIS).await?;
	ensure!(by_npm["verdict"] == "refuted", "the npm package says {by_npm}");

	let out = path("lineage");
	let arguments = [&["lineage", &artifact, "--prove", "--out", &out], &node[..]].concat();
	let said = prove(net, &arguments).await?.stdout;
	let (found, report) = verified(net, &out, &artifact).await?;
	let proved = report["proof"]["records"].as_array().map_or(&[][..], Vec::as_slice);
	for record in &records {
		let is_there = proved.iter().any(|p| {
			p["id"] == record.id
				&& p["record"]["artifact"] == format!("{:?}", record.record.artifact).as_str()
		});
		ensure!(is_there, "record {} is not in the bundle of the lineage: {said}", record.id);
	}
	ensure!(found >= 2, "the lineage's proof goes over {found} changes: {report}");
	println!("a lineage of {} records is proved over {found} hand-overs", records.len());
	Ok(())
}
