//! `cairn prove`, `verify`, `file` and `lineage --prove` against a node that proves, and against nodes that lie.
//!
//! The proofs are those of a bundle that the verifier's tests made of a chain in memory: four authorities that changed
//! twice, and a programme with three rounds.
#![allow(clippy::unwrap_used)]

mod common;

use cairn_aggregation::AggregationRule;
use cairn_auditor::prove::to_list;
use cairn_primitives::{ledger, H256};
use cairn_verifier::{
	bundle::{Inclusion, RecordProof},
	report, Bundle, Claim, Evidence,
};
use common::{
	rpc::{cairn_in, serve, start},
	World, HEAD,
};
use jsonrpsee::{server::ServerHandle, types::ErrorObjectOwned, RpcModule};
use serde_json::{json, Value};
use tempfile::TempDir;

const BUNDLE: &[u8] = include_bytes!("../../verifier/tests/ledger.cairn");

/// How a node answers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lie {
	/// As it should.
	None,
	/// The records it proves are changed.
	Changed,
	/// It proves another record.
	Other,
	/// It lists one update less.
	LeftOut,
	/// It lists an update that is changed.
	Listed,
	/// It lists the same records again and again.
	Endless,
}

struct Node {
	bundle: Bundle,
	lie: Lie,
}

impl Node {
	fn new(lie: Lie) -> Self {
		Self { bundle: report::read(BUNDLE).unwrap(), lie }
	}

	fn genesis(&self) -> H256 {
		self.bundle.finality.genesis.hash()
	}

	fn evidence(&self) -> &[Evidence] {
		match &self.bundle.claim {
			Claim::Records(evidence) => evidence,
			Claim::NoWeights(_) => panic!("it is of records"),
		}
	}

	fn records(&self) -> Vec<(u64, cairn_verifier::Record)> {
		self.evidence()
			.iter()
			.flat_map(|e| e.inclusion.records())
			.map(|(id, record)| (id, record.clone()))
			.collect()
	}

	/// The artifact of a record.
	fn artifact(&self, id: u64) -> String {
		format!("{:?}", self.records()[id as usize].1.artifact)
	}

	/// As the node's `provenance_prove` does.
	fn prove(&self, record: &Value) -> Result<Value, ErrorObjectOwned> {
		let records = self.records();
		let id = match record {
			Value::Number(id) => id.as_u64(),
			hash => {
				let is_it = |r: &cairn_verifier::Record| json!(format!("{:?}", r.artifact)) == *hash;
				records.iter().find(|(_, r)| is_it(r)).map(|(id, _)| *id)
			},
		};
		let unknown = || ErrorObjectOwned::owned(9103, "no record names it", None::<()>);
		let mut id = id.filter(|id| (*id as usize) < records.len()).ok_or_else(unknown)?;
		if self.lie == Lie::Other {
			id = (id + 1) % records.len() as u64;
		}
		let evidence =
			self.evidence().iter().rfind(|e| e.inclusion.records().next().unwrap().0 <= id).unwrap();
		let Inclusion::Batch(batch) = &evidence.inclusion else { panic!("it has batches") };
		let place = (id - batch.first) as u32;
		let hashes: Vec<_> = ledger::record_hashes(batch.first, &batch.records).collect();
		let mut record = batch.records[place as usize].clone();
		if self.lie == Lie::Changed {
			record.device = Some(99);
		}
		let inclusion = Inclusion::Record(RecordProof {
			id,
			record,
			in_batch: ledger::prove(&hashes, place).unwrap(),
			in_block: batch.in_block.clone(),
		});
		let bundle = Bundle {
			claim: Claim::Records(vec![Evidence { inclusion, ..evidence.clone() }]),
			finality: self.bundle.finality.clone(),
		};
		let hex: String = bundle.to_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
		Ok(json!({ "bundle": format!("0x{hex}") }))
	}

	/// As the node's `provenance_lineage` does, in pages of three.
	fn lineage(&self, cursor: Option<u64>) -> Value {
		let mut records: Vec<_> = self.records().iter().map(|(id, r)| to_list(*id, r)).collect();
		// The configuration is no ancestor.
		records.remove(0);
		match self.lie {
			Lie::LeftOut => drop(records.remove(3)),
			Lie::Listed => records[3].record.device = Some(99),
			_ => {},
		}
		records.reverse();
		let from = records.iter().position(|r| cursor.is_none_or(|cursor| r.id <= cursor)).unwrap();
		let page = &records[from..records.len().min(from + 3)];
		let next = if self.lie == Lie::Endless { Some(14) } else { records.get(from + 3).map(|r| r.id) };
		json!({ "records": page, "next": next })
	}

	async fn serve(self) -> (String, ServerHandle) {
		let mut module = RpcModule::new(self);
		module.register_method("chain_getBlockHash", |_, node, _| Some(node.genesis())).unwrap();
		module.register_method("chain_getFinalizedHead", |_, _, _| Some(HEAD)).unwrap();
		module
			.register_method("provenance_prove", |params, node, _| {
				let [record, _at]: [Value; 2] = params.parse().unwrap();
				node.prove(&record)
			})
			.unwrap();
		module
			.register_method("provenance_proveAbsence", |_, _, _| {
				Err::<(), _>(ErrorObjectOwned::owned(9110, "they are recorded", None::<()>))
			})
			.unwrap();
		module
			.register_method("provenance_lineage", |params, node, _| {
				// What a node lists is asked for at its finalised head, not at the old block of a proof.
				let [_, cursor, _, at]: [Value; 4] = params.parse().unwrap();
				assert_eq!(at, json!(HEAD));
				node.lineage(cursor.as_u64())
			})
			.unwrap();
		start(module).await
	}
}

#[tokio::test]
async fn proof_of_a_record_is_kept_and_verified_when_no_node_is_left() {
	let dir = TempDir::new().unwrap();
	let node = Node::new(Lie::None);
	let (artifact, other) = (node.artifact(5), node.artifact(6));
	let genesis = format!("{:?}", node.genesis());
	let (url, server) = node.serve().await;
	let with_genesis = |args: &[&str]| -> Vec<String> {
		args.iter().copied().chain(["--genesis", &genesis]).map(String::from).collect()
	};
	let folder = dir.path();
	let run = |args: Vec<String>| async move {
		let args: Vec<_> = args.iter().map(String::as_str).collect();
		cairn_in(folder, &args).await
	};

	let done = run(with_genesis(&["prove", &artifact, "--node", &url])).await;
	assert_eq!((done.code, &*done.err), (0, ""), "{}", done.out);
	assert!(done.out.contains(&format!("weights {artifact}  programme 0, round 0, record 5, block 5")));
	assert!(done.out.contains("proven as of block 30") && done.out.contains("authority set 2, of 4"));
	let file = format!("{}.cairn", &artifact[2..18]);
	assert!(done.out.contains(&file), "{}", done.out);
	// By its number, as JSON, of the chain that the node names.
	let done = cairn_in(dir.path(), &["prove", "5", "--node", &url, "--out", "five.json", "--json"]).await;
	assert_eq!(done.code, 0, "{}", done.err);
	let printed: Value = serde_json::from_str(&done.out).unwrap();
	assert_eq!(printed["report"]["verdict"], "proven");
	assert_eq!(printed["genesisFromNode"], true);
	assert_eq!(printed["report"]["proof"]["records"][0]["record"]["artifact"], *artifact);
	server.stop().unwrap();
	server.stopped().await;

	for file in [&*file, "five.json"] {
		let done = run(with_genesis(&["verify", file])).await;
		assert_eq!((done.code, &*done.err), (0, ""), "{}", done.out);
		assert!(done.out.contains(&artifact) && !done.out.contains("named the chain"), "{}", done.out);
		assert_eq!(run(with_genesis(&["verify", file, "--artifact", &artifact])).await.code, 0);
		let done = run(with_genesis(&["verify", file, "--artifact", &other])).await;
		assert_eq!(done.code, 1);
		assert!(done.out.contains("REFUTED: it says nothing about artifact"), "{}", done.out);
	}
	let done = run(with_genesis(&["verify", "five.json", "--json"])).await;
	let report: Value = serde_json::from_str(&done.out).unwrap();
	assert_eq!(report, printed["report"]);

	let stranger = format!("0x{}", "12".repeat(32));
	let done = cairn_in(dir.path(), &["verify", &file, "--genesis", &stranger]).await;
	assert_eq!(done.code, 1);
	assert!(done.out.contains("REFUTED") && done.out.contains(&genesis), "{}", done.out);
}

#[tokio::test]
async fn file_that_is_no_bundle_or_a_changed_one_is_not_taken() {
	let dir = TempDir::new().unwrap();
	let genesis = format!("{:?}", Node::new(Lie::None).genesis());
	let write = |name: &str, bytes: &[u8]| std::fs::write(dir.path().join(name), bytes).unwrap();
	let mut changed = BUNDLE.to_vec();
	*changed.last_mut().unwrap() ^= 1;
	write("changed", &changed);
	write("cut", &BUNDLE[..BUNDLE.len() - 1]);
	write("newer", &[&[3], &BUNDLE[1..]].concat());
	write("text", b"not a bundle");
	for (name, code, said) in [
		("changed", 1, "REFUTED"),
		("cut", 2, "cut: this is no bundle"),
		("newer", 2, "version 3"),
		("text", 2, "text: this is no bundle"),
		("absent", 2, "cannot read absent"),
	] {
		let done = cairn_in(dir.path(), &["verify", name, "--genesis", &genesis]).await;
		assert_eq!(done.code, code, "{name}: {}{}", done.out, done.err);
		assert!(done.out.contains(said) || done.err.contains(said), "{name}: {}{}", done.out, done.err);
	}
	write("whole", BUNDLE);
	assert_eq!(cairn_in(dir.path(), &["verify", "whole", "--genesis", &genesis]).await.code, 0);
	// Without a genesis hash there is nothing to check against.
	assert_eq!(cairn_in(dir.path(), &["verify", "whole"]).await.code, 2);
	let done = cairn_in(dir.path(), &["verify", "whole", "--genesis", "0x12"]).await;
	assert_eq!(done.code, 2);
	assert!(done.err.contains("64 hex digits, this has 2"), "{}", done.err);
}

#[tokio::test]
async fn node_that_lies_about_a_record_is_refuted() {
	let dir = TempDir::new().unwrap();
	for (lie, said) in [(Lie::Changed, "record 5 is not what"), (Lie::Other, "the node proved")] {
		let node = Node::new(lie);
		let artifact = node.artifact(5);
		let (url, _server) = node.serve().await;
		let done = cairn_in(dir.path(), &["prove", &artifact, "--node", &url]).await;
		assert_eq!(done.code, 1, "{}{}", done.out, done.err);
		assert!(done.out.contains("REFUTED") && done.out.contains(said), "{}", done.out);
		let done = cairn_in(dir.path(), &["prove", &artifact, "--node", &url, "--json"]).await;
		let printed: Value = serde_json::from_str(&done.out).unwrap();
		assert_eq!((done.code, &printed["report"]["verdict"]), (1, &json!("refuted")));
	}
	// Nothing was kept.
	assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);

	let (url, _server) = Node::new(Lie::None).serve().await;
	let stranger = format!("0x{}", "12".repeat(32));
	let done = cairn_in(dir.path(), &["prove", "5", "--node", &url, "--genesis", &stranger]).await;
	assert_eq!(done.code, 1);
	assert!(done.out.contains("of the chain with genesis"), "{}", done.out);
}

#[tokio::test]
async fn what_a_node_cannot_prove_leaves_it_open() {
	let dir = TempDir::new().unwrap();
	let (url, _server) = Node::new(Lie::None).serve().await;
	let stranger = format!("0x{}", "12".repeat(32));
	for (args, said) in [
		(&["prove", "999"][..], "error 9103"),
		(&["prove", &stranger], "error 9103"),
		(&["prove", &stranger, "--absent"], "error 9110"),
		(&["prove", "5", "--absent"], "by their hash"),
		(&["prove", "0x12"], "neither the number of a record nor an artifact's hash"),
		(&["lineage", &stranger, "--prove"], "error 9103"),
	] {
		let args: Vec<_> = args.iter().copied().chain(["--node", &url]).collect();
		let done = cairn_in(dir.path(), &args).await;
		assert_eq!((done.code, &*done.out), (2, ""), "{args:?}: {}", done.err);
		assert!(done.err.contains(said), "{args:?}: {}", done.err);
	}
	let done = cairn_in(dir.path(), &["prove", "5", "--node", &url, "--out", "no/such/folder"]).await;
	assert_eq!(done.code, 2);
	assert!(done.err.contains("cannot write the bundle to no/such/folder"), "{}", done.err);
}

#[tokio::test]
async fn whole_lineage_is_proved_in_one_bundle() {
	let dir = TempDir::new().unwrap();
	let node = Node::new(Lie::None);
	let (all, model, genesis) = (node.records(), node.artifact(14), format!("{:?}", node.genesis()));
	let (url, server) = node.serve().await;
	let args =
		["lineage", &model, "--prove", "--node", &url, "--genesis", &genesis, "--out", "lineage.cairn"];
	let done = cairn_in(dir.path(), &args).await;
	assert_eq!((done.code, &*done.err), (0, ""), "{}", done.out);
	for (id, record) in &all[1..] {
		assert!(done.out.contains(&format!("{:?}", record.artifact)), "record {id}: {}", done.out);
	}
	assert!(done.out.starts_with(&format!("weights {model}")), "{}", done.out);
	let done = cairn_in(dir.path(), &["lineage", &model, "--prove", "--node", &url, "--json"]).await;
	let printed: Value = serde_json::from_str(&done.out).unwrap();
	assert_eq!(printed["report"]["proof"]["records"].as_array().unwrap().len(), all.len() - 1);
	server.stop().unwrap();
	server.stopped().await;
	let verify = ["verify", "lineage.cairn", "--genesis", &genesis];
	let done = cairn_in(dir.path(), &verify).await;
	assert_eq!(done.code, 0, "{}{}", done.out, done.err);
	assert!(done.out.starts_with(&format!("weights {model}")), "{}", done.out);
	assert_eq!(done.out.lines().filter(|line| line.contains("─ update 0x")).count(), 10);
	assert!(
		done.out.ends_with("lineage complete, back to what the programme started from\n"),
		"{}",
		done.out
	);
	let update = format!("{:?}", all[2].1.artifact);
	for artifact in [&*model, &*update] {
		let args = [&verify[..], &["--artifact", artifact, "--json"]].concat();
		let report: Value = serde_json::from_str(&cairn_in(dir.path(), &args).await.out).unwrap();
		assert_eq!((&report["verdict"], &report["lineage"]), (&json!("proven"), &json!("complete")));
		assert_eq!(report["lineageOf"], *artifact);
	}

	for (lie, said) in [
		(Lie::LeftOut, "left out record 4"),
		(Lie::Listed, "record 2 is not what its path shows"),
		(Lie::Endless, "goes on at record 14"),
	] {
		let (url, _server) = Node::new(lie).serve().await;
		let done = cairn_in(dir.path(), &["lineage", &model, "--prove", "--node", &url]).await;
		assert_eq!(done.code, 1, "{}{}", done.out, done.err);
		assert!(done.out.contains(said), "{}", done.out);
	}
}

#[tokio::test]
async fn bundle_whose_lineage_breaks_off_is_proven_and_says_so() {
	let dir = TempDir::new().unwrap();
	let node = Node::new(Lie::None);
	let (model, genesis) = (node.artifact(14), format!("{:?}", node.genesis()));
	let mut bundle = node.bundle;
	let Claim::Records(evidence) = &mut bundle.claim else { panic!("it is of records") };
	// The first round's batch, with the weights that the second started from.
	evidence.remove(1);
	std::fs::write(dir.path().join("broken.cairn"), bundle.to_bytes()).unwrap();
	let verify = ["verify", "broken.cairn", "--genesis", &genesis, "--artifact", &model];
	let done = cairn_in(dir.path(), &verify).await;
	assert_eq!((done.code, &*done.err), (0, ""), "{}", done.out);
	let said = "lineage NOT complete: the lineage breaks off at record 8, which was derived from record 5";
	assert!(done.out.contains(said) && done.out.contains("besides: configuration 0x"), "{}", done.out);
	let done = cairn_in(dir.path(), &[&verify[..], &["--json"]].concat()).await;
	let report: Value = serde_json::from_str(&done.out).unwrap();
	assert_eq!((&report["verdict"], &report["lineage"]), (&json!("proven"), &json!("broken")));
	assert!(report["lineageProblems"][0].as_str().unwrap().contains("breaks off at record 8"), "{report}");
}

#[tokio::test]
async fn proof_as_of_an_older_block_than_is_asked_for_is_not_taken() {
	let dir = TempDir::new().unwrap();
	let node = Node::new(Lie::None);
	let genesis = format!("{:?}", node.genesis());
	let (url, _server) = node.serve().await;
	std::fs::write(dir.path().join("whole"), BUNDLE).unwrap();
	for args in [
		&["verify", "whole", "--genesis", &*genesis, "--not-before"][..],
		&["prove", "5", "--node", &*url, "--out", "five.cairn", "--not-before"],
	] {
		let done = cairn_in(dir.path(), &[args, &["31"]].concat()).await;
		assert_eq!((done.code, &*done.out), (2, ""), "{args:?}");
		assert!(done.err.contains("as of block 30, and --not-before asks for block 31"), "{}", done.err);
		assert!(!dir.path().join("five.cairn").exists());
		assert_eq!(cairn_in(dir.path(), &[args, &["30"]].concat()).await.code, 0, "{args:?}");
	}
}

#[tokio::test]
async fn absence_of_weights_is_proved_up_to_a_block() {
	let world = World::with_rounds(AggregationRule::WeightedMean, 1);
	let dir = world.dir.path();
	let (url, server) = serve(world.chain.clone()).await;
	let genesis = format!("{:?}", common::genesis());
	let stranger = format!("0x{}", "12".repeat(32));
	let prove = ["prove", &stranger, "--absent", "--node", &url, "--genesis", &genesis, "--out", "no.cairn"];
	let done = cairn_in(dir, &prove).await;
	assert_eq!((done.code, &*done.err), (0, ""), "{}", done.out);
	let said = format!("no weights {stranger} up to block 256 and no further\nproven as of block 256 0x");
	assert!(done.out.starts_with(&said), "{}", done.out);
	let done = cairn_in(dir, &[&prove[..], &["--not-before", "257"]].concat()).await;
	assert_eq!((done.code, &*done.out), (2, ""));
	assert!(done.err.contains("ask again later, or another node"), "{}", done.err);
	let model = format!("{:?}", world.chain.programme.weights);
	let done = cairn_in(dir, &["prove", &model, "--absent", "--node", &url]).await;
	assert_eq!(done.code, 2, "{}", done.out);
	assert!(done.err.contains("error 9110"), "{}", done.err);
	server.stop().unwrap();
	server.stopped().await;

	let verify = ["verify", "no.cairn", "--genesis", &genesis, "--artifact"];
	let done = cairn_in(dir, &[&verify[..], &[&*stranger]].concat()).await;
	assert_eq!(done.code, 0, "{}{}", done.out, done.err);
	assert!(done.out.starts_with(&said), "{}", done.out);
	assert_eq!(cairn_in(dir, &[&verify[..], &[&*model]].concat()).await.code, 1);
}

#[tokio::test]
async fn file_is_told_by_its_bytes() {
	let dir = TempDir::new().unwrap();
	let (url, _server) = Node::new(Lie::None).serve().await;
	std::fs::write(dir.path().join("model"), "artifact 14 of chain 1").unwrap();
	let done = cairn_in(dir.path(), &["file", "model", "--node", &url, "--out", "model.cairn"]).await;
	assert_eq!((done.code, &*done.err), (0, ""), "{}", done.out);
	assert!(done.out.contains("programme 0, round 2, record 14, block 20"), "{}", done.out);
	assert!(dir.path().join("model.cairn").exists());
	std::fs::write(dir.path().join("other"), "artifact 14 of chain 2").unwrap();
	let done = cairn_in(dir.path(), &["file", "other", "--node", &url]).await;
	assert_eq!(done.code, 2);
	assert!(done.err.contains("other is 0x") && done.err.contains("error 9103"), "{}", done.err);
	assert_eq!(cairn_in(dir.path(), &["file", "absent", "--node", &url]).await.code, 2);
}
