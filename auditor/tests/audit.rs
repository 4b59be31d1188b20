//! `cairn audit`: what it says of a chain that tells the truth, of one that does not, and of gaps.
#![allow(clippy::unwrap_used)]

mod common;

use cairn_aggregation::AggregationRule;
use cairn_auditor::{
	artifacts::Artifacts,
	audit::{audit, Audit, AuditSettings, Finding, Node, RoundAudit},
	html,
	recompute::Outcome,
	stores::Stores,
};
use cairn_primitives::{RecordRange, H256};
use common::{
	peers::worker,
	rpc::{cairn_in, serve},
	*,
};
use serde_json::Value;
use std::{collections::BTreeSet, time::Duration};
use tempfile::TempDir;
use xml::reader::{EventReader, XmlEvent};

const MEAN: AggregationRule = AggregationRule::WeightedMean;

async fn audited(world: &World) -> Audit {
	let artifacts = Artifacts::from(Stores::open(&[world.store.root()]).unwrap());
	let settings =
		AuditSettings { genesis: genesis(), genesis_from_node: false, threads: 1, patience: Duration::ZERO };
	audit(&world.chain, &artifacts, 0, &settings, |_| ()).await.unwrap().0
}

/// What a page has: the values of the attributes `id`, the names of the elements, and the text.
struct Parsed {
	ids: BTreeSet<String>,
	elements: BTreeSet<String>,
	text: String,
}

fn parse(page: &str) -> Parsed {
	let mut parsed = Parsed { ids: BTreeSet::new(), elements: BTreeSet::new(), text: String::new() };
	for event in EventReader::new(page.as_bytes()) {
		match event.unwrap() {
			XmlEvent::StartElement { name, attributes, .. } => {
				for attribute in attributes {
					let name = attribute.name.local_name;
					assert!(!name.starts_with("on") && name != "src" && name != "href", "{name}");
					if name == "id" {
						assert!(parsed.ids.insert(attribute.value.clone()), "{} twice", attribute.value);
					}
				}
				parsed.elements.insert(name.local_name);
			},
			XmlEvent::Characters(text) => {
				parsed.text.push_str(&text);
				parsed.text.push('\n');
			},
			_ => {},
		}
	}
	parsed
}

#[tokio::test(flavor = "multi_thread")]
async fn whole_programme_is_proven_and_recomputed_over_the_network() {
	let mut world = World::with_rounds(MEAN, 2);
	world.fail();
	world.finalise();
	world.chain.programme.name = b"<script>alert(1)</script> & \"digits\"".to_vec();
	let (url, server) = serve(world.chain.clone()).await;
	let (_network, address) = worker(1, &world.store).await;
	let dir = TempDir::new().unwrap();
	let hash = format!("{:?}", genesis());
	let common = ["audit", "0", "--node", &url, "--peer", &address, "--cache", "cache", "--genesis", &hash];
	let with =
		|more: &[&'static str]| -> Vec<&str> { common.iter().copied().chain(more.iter().copied()).collect() };
	let done = cairn_in(dir.path(), &with(&["--html", "audit.html", "--out", "audit.cairn"])).await;
	assert_eq!(done.code, 0, "{}{}", done.out, done.err);
	let model = format!("{:?}", world.chain.programme.weights);
	for said in [
		format!("PROVEN: {model} is what 3 rounds made of the weights that the programme started from"),
		format!(
			"19 records, as of block 256 {:?}, finalised by authority set 0, of 1",
			world.chain.proved_block()
		),
		"3 of 3 aggregates, bit for bit, from 15 updates; 16 artifacts fetched from workers".into(),
		"the round failed (TooFewCommits) and made no weights".into(),
	] {
		assert!(done.out.contains(&said), "{said}: {}", done.out);
	}
	for (i, round) in world.chain.rounds.iter().enumerate().filter(|(i, _)| *i != 2) {
		let row = format!("round    {i}    5 updates  {:?}  proven, recomputed\n", round.result.unwrap());
		assert!(done.out.contains(&row), "{}", done.out);
	}

	let page = std::fs::read_to_string(dir.path().join("audit.html")).unwrap();
	let parsed = parse(&page);
	for round in 0..4 {
		assert!(parsed.ids.contains(&format!("round-{round}")), "{:?}", parsed.ids);
	}
	assert!(parsed.text.contains("<script>alert(1)</script> & \"digits\""));
	assert!(!parsed.elements.contains("script") && parsed.elements.contains("svg"));
	for record in world.chain.records.iter().skip(1) {
		assert!(parsed.text.contains(&format!("{:?}", record.record.artifact)), "{record:?}");
	}

	// A second time from the cache, as JSON; nothing is fetched.
	let done = cairn_in(dir.path(), &with(&["--json"])).await;
	assert_eq!(done.code, 0, "{}{}", done.out, done.err);
	let report: Value = serde_json::from_str(&done.out).unwrap();
	assert_eq!(report["verdict"], "proven");
	assert_eq!((&report["genesis"], &report["genesisFromNode"]), (&hash.clone().into(), &false.into()));
	assert_eq!((&report["model"], &report["fetched"]), (&model.into(), &0.into()));
	assert_eq!((&report["proof"]["finding"], &report["proof"]["records"]), (&"proven".into(), &19.into()));
	assert_eq!(report["proof"]["block"]["number"], 256);
	assert_eq!(report["configuration"]["finding"], "proven");
	assert_eq!(report["rounds"].as_array().unwrap().len(), 4);
	let round = &report["rounds"][1];
	assert_eq!((&round["round"], &round["aggregate"]), (&1.into(), &"equal".into()));
	assert_eq!(round["recomputed"], round["weights"]["artifact"]);
	assert_eq!((&round["updates"][4]["device"], &round["updates"][4]["proven"]), (&5.into(), &true.into()));
	assert_eq!(report["rounds"][2]["aggregate"], "skipped");
	assert_eq!(
		(&report["missing"], &report["contradictions"]),
		(&Value::Array(vec![]), &Value::Array(vec![]))
	);

	server.stop().unwrap();
	server.stopped().await;
	let done = cairn_in(dir.path(), &["verify", "audit.cairn", "--genesis", &hash]).await;
	// 19 records in four steps, the proof and the lineage.
	assert_eq!((done.code, done.out.lines().count()), (0, 19 + 3 + 2 + 1), "{}{}", done.out, done.err);
}

#[tokio::test]
async fn programme_without_a_round_is_what_it_started_from() {
	let mut world = World::new(MEAN);
	world.run();
	let audit = audited(&world).await;
	assert_eq!(audit.verdict, Finding::Proven, "{audit}");
	assert!(audit.sentence().contains("no round has made weights yet") && audit.rounds.is_empty());
	parse(&html::page(&audit));
}

#[tokio::test]
async fn programme_that_starts_from_anothers_weights_is_proved_by_its_own_record() {
	let mut world = World::new(MEAN);
	// The same configuration and weights, recorded before as programme 7's.
	for i in 0..2 {
		let mut own = world.chain.records[i].clone();
		own.id += 2;
		own.record.block = 5;
		world.chain.records[i].record.programme = 7;
		world.chain.records.push(own);
	}
	world.chain.programme.weights_record = 3;
	world.run();
	let audit = audited(&world).await;
	assert_eq!((audit.verdict, audit.configuration.record), (Finding::Proven, Some(2)), "{audit}");
	// A record that is not that of the weights.
	world.chain.programme.weights_record = 2;
	let audit = audited(&world).await;
	assert_eq!((audit.verdict, audit.proof.finding), (Finding::Refuted, Finding::Refuted), "{audit}");
}

#[tokio::test]
async fn verdict_says_itself_that_the_node_named_the_chain() {
	let world = World::with_rounds(MEAN, 1);
	let (url, _server) = serve(world.chain.clone()).await;
	let store = world.store.root().to_str().unwrap();
	let args = ["audit", "0", "--node", &url, "--store", store, "--html", "audit.html"];
	let done = cairn_in(world.dir.path(), &args).await;
	assert_eq!(done.code, 0, "{}{}", done.out, done.err);
	let verdict = "PROVEN for the chain that the node named: 0x";
	assert!(done.out.contains(verdict), "{}", done.out);
	let page = parse(&std::fs::read_to_string(world.dir.path().join("audit.html")).unwrap());
	assert!(page.text.contains(verdict), "{}", page.text);
}

#[tokio::test]
async fn node_that_makes_up_rounds_is_refuted_when_nothing_is_proved() {
	let mut world = World::with_rounds(MEAN, 2);
	world.chain.unprovable = true;
	world.chain.programme.round = u32::MAX;
	let audit = audited(&world).await;
	assert_eq!((audit.verdict, audit.rounds.len()), (Finding::Refuted, 2), "{audit}");
	assert!(audit.to_string().contains("does not know round 2"), "{audit}");
}

#[tokio::test]
async fn round_that_is_finalised_during_the_audit_is_none_of_its() {
	let mut world = World::with_rounds(MEAN, 2);
	let programme = world.chain.programme.clone();
	world.finalise();
	world.chain.programme = programme;
	world.chain.programme.round = 2;
	let audit = audited(&world).await;
	assert_eq!((audit.verdict, audit.rounds.len()), (Finding::Proven, 2), "{audit}");
}

#[tokio::test]
async fn chain_that_contradicts_the_proofs_or_the_artifacts_is_refuted() {
	type Alter = fn(&mut Fake);
	let cases: [(&str, Alter); 12] = [
		("the updates give 0x", |c| c.set_result(1, H256::repeat_byte(0xee))),
		("record 7 is not what its path shows", |c| c.forged = Some(7)),
		("is proved", |c| c.rounds[0].result = Some(H256::repeat_byte(0xee))),
		("record 7 is not that of the result", |c| c.rounds[1].result_record = Some(7)),
		("as its parents", |c| c.rounds[1].updates = Some(RecordRange { first: 2, count: 5 })),
		("but the node does not say so", |c| {
			c.rounds[0].phase = cairn_primitives::views::Phase::Failed;
		}),
		("programme started from", |c| c.programme.genesis_weights = H256::repeat_byte(0xee)),
		("is of programme 7", |c| c.records[3].record.programme = 7),
		("record 12 is on the way from the programme's start to its newest weights, and is no set", |c| {
			c.programme.weights = c.records[12].record.artifact;
		}),
		("as the configuration of programme 0", |c| c.records[0].record.programme = 7),
		("record 13 was settled under", |c| {
			c.rounds[1].terms.aggregation = AggregationRule::TrimmedMean { trim: 1 }.into();
		}),
		("record 7 was settled under", |c| c.rounds[0].quality = None),
	];
	for (said, alter) in cases {
		let mut world = World::with_rounds(MEAN, 2);
		alter(&mut world.chain);
		let audit = audited(&world).await;
		let text = audit.to_string();
		assert_eq!(audit.verdict, Finding::Refuted, "{said}: {text}");
		assert!(text.contains("REFUTED") && text.contains(said), "{said}: {text}");
		let page = parse(&html::page(&audit));
		assert!(page.text.contains("REFUTED") && page.text.contains(said), "{said}");
	}
	// And by the command's exit code.
	let mut world = World::with_rounds(MEAN, 2);
	world.chain.forged = Some(13);
	let (url, _server) = serve(world.chain.clone()).await;
	let store = world.store.root().to_str().unwrap();
	let done = cairn_in(world.dir.path(), &["audit", "0", "--node", &url, "--store", store]).await;
	assert_eq!(done.code, 1, "{}{}", done.out, done.err);
}

#[tokio::test]
async fn gaps_leave_it_open_and_are_named() {
	let world = World::with_rounds(MEAN, 3);
	let gone = world.update(1, 2).record.artifact;
	world.store.remove(&gone).unwrap();
	let (url, _server) = serve(world.chain.clone()).await;
	let store = world.store.root().to_str().unwrap();
	let args = ["audit", "0", "--node", &url, "--store", store, "--html", "audit.html"];
	let done = cairn_in(world.dir.path(), &args).await;
	assert_eq!(done.code, 2, "{}{}", done.out, done.err);
	for said in [
		"COULD NOT TELL".into(),
		"2 of 3 aggregates, bit for bit".into(),
		"proven, could not recompute".into(),
		format!("missing     {gone:?}"),
		"the node named the chain".into(),
	] {
		assert!(done.out.contains(&said), "{said}: {}", done.out);
	}
	let page = parse(&std::fs::read_to_string(world.dir.path().join("audit.html")).unwrap());
	assert!(page.text.contains(&format!("{gone:?}")) && page.text.contains("COULD NOT TELL"));
}

#[tokio::test]
async fn records_that_cannot_be_proved_leave_it_open_and_the_aggregates_are_recomputed_all_the_same() {
	let mut world = World::with_rounds(MEAN, 2);
	world.chain.unprovable = true;
	let audit = audited(&world).await;
	assert_eq!((audit.verdict, audit.proof.finding), (Finding::Unknown, Finding::Unknown));
	assert_eq!(audit.aggregates(), (2, 2));
	let round = &audit.rounds[1];
	assert_eq!((round.updates.len(), round.is_proven(), round.words()), (5, false, "recomputed, not proven"));
	assert!(audit.to_string().contains("error 9108"), "{audit}");
	parse(&html::page(&audit));

	// Nothing is asked of a node that is gone.
	let done =
		cairn_in(world.dir.path(), &["audit", "0", "--node", "ws://127.0.0.1:9", "--store", "."]).await;
	assert_eq!((done.code, &*done.out), (2, ""));
	assert!(done.err.contains("is it running"), "{}", done.err);
}

#[tokio::test]
async fn page_of_many_rounds_and_updates_has_every_round_and_stays_small() {
	let mut audit = audited(&World::with_rounds(MEAN, 1)).await;
	let node = |n: u64, device: Option<u32>| Node {
		record: n,
		artifact: H256::from_low_u64_be(n),
		block: n as u32,
		producer: device.map(|d| format!("5{d:047}")),
		device,
		site: device.map(|d| d / 2),
		proven: true,
	};
	audit.rounds = (0..500u32)
		.map(|round| RoundAudit {
			round,
			aggregate: Outcome::Equal,
			recomputed: None,
			weights: Some(node(u64::from(round) * 101, None)),
			updates: (1..=100).map(|n| node(u64::from(round) * 101 + n, Some(n as u32))).collect(),
			reasons: Vec::new(),
		})
		.collect();
	let page = html::page(&audit);
	let parsed = parse(&page);
	assert!((0..500).all(|round| parsed.ids.contains(&format!("round-{round}"))));
	assert!(parsed.text.contains("100 updates of 100 workers on 100 devices; 100 of their records proven"));
	assert!(page.len() < 1 << 20, "{} bytes", page.len());
}
