//! The command itself, against a node's RPC over a real connection: output and exit codes.
#![allow(clippy::unwrap_used)]

mod common;

use cairn_aggregation::AggregationRule;
use cairn_primitives::H256;
use common::{
	rpc::{answer, cairn, serve, start},
	*,
};
use jsonrpsee::RpcModule;
use serde_json::{json, Value};
use std::process::Stdio;

fn three_rounds() -> World {
	World::with_rounds(AggregationRule::TrimmedMean { trim: 1 }, 3)
}

#[tokio::test]
async fn recompute_exits_with_0_and_one_row_per_round_when_all_is_equal() {
	let world = three_rounds();
	let (url, _server) = serve(world.chain.clone()).await;
	let store = world.store.root().to_str().unwrap();
	let done = cairn(&["recompute", "--node", &url, "--store", store, "--programme", "0", "--all"]).await;
	assert_eq!((done.code, &*done.err), (0, ""), "{}", done.out);
	let lines: Vec<_> = done.out.lines().collect();
	for (i, round) in world.chain.rounds.iter().enumerate() {
		assert_eq!(lines[i], format!("round    {i}    5 updates  {:?}  equal", round.result.unwrap()));
	}
	assert_eq!(lines[3..], ["programme 0 (digits): all 3 recomputed aggregates equal the chain's"]);

	let done =
		cairn(&["recompute", "--node", &url, "--store", store, "--programme", "0", "--round", "1", "--json"])
			.await;
	assert_eq!(done.code, 0);
	let report: Value = serde_json::from_str(&done.out).unwrap();
	assert_eq!(report["verdict"], "equal");
	assert_eq!(report["aggregation"]["rule"], serde_json::json!({ "trimmedMean": { "trim": 1 } }));
	assert_eq!(report["genesis"], serde_json::to_value(genesis()).unwrap());
	assert_eq!(report["rounds"].as_array().unwrap().len(), 1);
	assert_eq!(report["rounds"][0]["outcome"], "equal");
	assert_eq!(report["rounds"][0]["recomputed"], report["rounds"][0]["result"]);
}

#[tokio::test]
async fn recompute_exits_with_1_when_a_result_is_forged() {
	let mut world = three_rounds();
	world.chain.set_result(2, H256::repeat_byte(0xee));
	let (url, _server) = serve(world.chain.clone()).await;
	let store = world.store.root().to_str().unwrap();
	let done = cairn(&["recompute", "--node", &url, "--store", store, "--programme", "0"]).await;
	assert_eq!(done.code, 1, "{}{}", done.out, done.err);
	assert!(done.out.contains("REFUTED; 2 of 3 aggregates equal the chain's"), "{}", done.out);
	assert!(done.out.contains("the updates give 0x"), "{}", done.out);
}

#[tokio::test]
async fn recompute_exits_with_2_and_names_what_is_missing() {
	let world = three_rounds();
	let gone = world.update(1, 2).record.artifact;
	world.store.remove(&gone).unwrap();
	let (url, server) = serve(world.chain.clone()).await;
	let store = world.store.root().to_str().unwrap();
	let done = cairn(&["recompute", "--node", &url, "--store", store, "--programme", "0"]).await;
	assert_eq!(done.code, 2, "{}{}", done.out, done.err);
	assert!(done.out.contains(&format!("{gone:?}")) && done.out.contains("could not tell"), "{}", done.out);

	let absent = world.dir.path().join("absent");
	let absent = absent.to_str().unwrap();
	let unknown = ["recompute", "--node", &url, "--store", store, "--programme", "7"];
	let no_store = ["recompute", "--node", &url, "--store", absent, "--programme", "0"];
	let no_url = ["recompute", "--node", "127.0.0.1:9944", "--store", store, "--programme", "0"];
	for (args, said) in
		[(unknown, "there is no programme 7"), (no_store, absent), (no_url, "ws://127.0.0.1:9944")]
	{
		let done = cairn(&args).await;
		assert_eq!((done.code, &*done.out), (2, ""), "{}", done.err);
		assert!(done.err.contains(said), "{}", done.err);
	}

	server.stop().unwrap();
	server.stopped().await;
	let done = cairn(&["recompute", "--node", &url, "--store", store, "--programme", "0"]).await;
	assert_eq!(done.code, 2);
	assert!(done.err.contains(&url) && done.err.contains("is it running"), "{}", done.err);
}

#[tokio::test]
async fn node_without_the_methods_is_named_as_such() {
	let mut module = RpcModule::new(());
	module.register_method("chain_getBlockHash", |_, _, _| answer(Ok(genesis()))).unwrap();
	module.register_method("chain_getFinalizedHead", |_, _, _| answer(Ok(HEAD))).unwrap();
	module.register_method("provenance_lineage", |_, _, _| "not a page").unwrap();
	let (url, _server) = start(module).await;
	let world = three_rounds();
	let store = world.store.root().to_str().unwrap();
	let done = cairn(&["recompute", "--node", &url, "--store", store, "--programme", "0"]).await;
	assert_eq!(done.code, 2);
	assert!(done.err.contains("does not know provenance_programme"), "{}", done.err);
	let done = cairn(&["lineage", "--node", &url, &format!("{:?}", genesis())]).await;
	assert_eq!(done.code, 2);
	assert!(done.err.contains("answer to provenance_lineage is not what it should be"), "{}", done.err);
}

#[tokio::test]
async fn lineage_exits_with_0_1_or_2() {
	let mut world = three_rounds();
	let model = format!("{:?}", world.chain.programme.weights);
	let (url, _server) = serve(world.chain.clone()).await;
	let done = cairn(&["lineage", "--node", &url, &model]).await;
	assert_eq!((done.code, done.out.lines().count()), (0, 4 + 15 + 3), "{}{}", done.out, done.err);
	let done = cairn(&["lineage", "--node", &url, "--json", &model]).await;
	let lineage: Value = serde_json::from_str(&done.out).unwrap();
	assert_eq!(lineage["verdict"], "equal");
	assert_eq!(lineage["steps"][0]["record"]["artifact"], *model);
	assert_eq!(lineage["steps"][0]["updates"][0]["record"]["kind"], "update");

	for (artifact, said) in [
		("0x12", "64 hex digits, this has 2"),
		(&*format!("0x{}", "g".repeat(64)), "digits 0 to 9 and a to f"),
		(&*format!("0x{}", "1".repeat(64)), "is not recorded"),
	] {
		let done = cairn(&["lineage", "--node", &url, artifact]).await;
		assert_eq!((done.code, &*done.out), (2, ""));
		assert!(done.err.contains(said), "{}", done.err);
	}

	world.chain.records[8].record.base = Some(0);
	let (url, _server) = serve(world.chain).await;
	let done = cairn(&["lineage", "--node", &url, &model]).await;
	assert_eq!(done.code, 1, "{}", done.err);
	assert!(done.out.contains("REFUTED"), "{}", done.out);
}

/// A line that clears the screen and goes on as another verdict.
const ESCAPES: &str = "5F\u{1b}[2J\nPROVEN\u{9b}m";

fn assert_plain(text: &str) {
	assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
	assert!(text.lines().all(|line| !line.starts_with("PROVEN")), "{text:?}");
}

#[tokio::test]
async fn what_others_wrote_is_printed_as_plain_text() {
	let mut world = three_rounds();
	world.chain.records[14].record.producer = Some(ESCAPES.into());
	let model = format!("{:?}", world.chain.programme.weights);
	let (url, _server) = serve(world.chain.clone()).await;
	let done = cairn(&["lineage", "--node", &url, &model]).await;
	assert_eq!(done.code, 0, "{}", done.err);
	assert!(done.out.contains("by 5F\u{fffd}[2J\u{fffd}PROVEN\u{fffd}m on device"), "{}", done.out);
	assert_plain(&done.out);
	let done = cairn(&["lineage", "--node", &url, "--json", &model]).await;
	assert_plain(&done.out);
	let lineage: Value = serde_json::from_str(&done.out).unwrap();
	assert_eq!(lineage["steps"][0]["updates"][0]["record"]["producer"], ESCAPES);

	let mut module = RpcModule::new(());
	module.register_method("chain_getBlockHash", |_, _, _| answer(Ok(genesis()))).unwrap();
	module.register_method("chain_getFinalizedHead", |_, _, _| answer(Ok(HEAD))).unwrap();
	let refusal = || answer::<()>(Err(refused(9103, ESCAPES.into())));
	module.register_method("provenance_lineage", move |_, _, _| refusal()).unwrap();
	let (url, _server) = start(module).await;
	let done = cairn(&["lineage", "--node", &url, &model]).await;
	assert_eq!((done.code, &*done.out), (2, ""));
	assert!(done.err.contains("error 9103"), "{}", done.err);
	assert_plain(&done.err);

	let bundle = world.dir.path().join("bundle.json");
	std::fs::write(&bundle, json!({ ESCAPES: 1 }).to_string()).unwrap();
	let done = cairn(&["verify", bundle.to_str().unwrap(), "--genesis", &model]).await;
	assert_eq!(done.code, 2, "{}", done.out);
	assert!(done.err.contains("unknown field"), "{}", done.err);
	assert_plain(&done.err);
}

#[tokio::test]
async fn output_that_nobody_reads_does_not_change_the_verdict() {
	let world = three_rounds();
	let model = format!("{:?}", world.chain.programme.weights);
	let (url, _server) = serve(world.chain).await;
	let unread = |model: &str| {
		let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_cairn"));
		command.args(["lineage", "--node", &url, model]).stdout(Stdio::piped()).stderr(Stdio::piped());
		let mut child = command.spawn().unwrap();
		// Closed before anything is printed: the node has not been asked yet.
		drop(child.stdout.take());
		child.wait_with_output()
	};
	let done = unread(&model).await.unwrap();
	assert_eq!((done.status.code(), &*done.stderr), (Some(0), &b""[..]));
}

#[tokio::test]
async fn error_is_one_json_document_too() {
	let world = three_rounds();
	let (url, _server) = serve(world.chain.clone()).await;
	let store = world.store.root().to_str().unwrap();
	let nowhere = format!("0x{}", "1".repeat(64));
	for (args, said) in [
		(&["lineage", &*nowhere, "--json", "--node", &*url][..], "is not recorded"),
		(&["recompute", "7", "--json", "--store", store, "--node", &*url], "there is no programme 7"),
		(&["prove", &*nowhere, "--json", "--node", &*url], "error 9103"),
		(&["verify", "no/such/bundle", "--json", "--genesis", &*nowhere], "cannot read no/such/bundle"),
	] {
		let done = cairn(args).await;
		assert_eq!(done.code, 2, "{args:?}: {}", done.out);
		assert!(done.err.contains(said), "{args:?}: {}", done.err);
		let printed: Value = serde_json::from_str(&done.out).unwrap();
		assert_eq!(printed["verdict"], "unknown");
		assert!(printed["error"].as_str().unwrap().contains(said), "{printed}");
	}
}
