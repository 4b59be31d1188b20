#![allow(clippy::unwrap_used)]

use super::{error::*, subscribe::Recorded, tests::*, *};
use crate::ledger::mock::{artifact, DEVICE, SITE};
use cairn_primitives::views::RoundState;
use jsonrpsee::core::server::Subscription;
use serde_json::{json, Value};
use sp_core::offchain::{testing::TestPersistentOffchainDB, STORAGE_PREFIX};
use std::{sync::atomic::Ordering, time::Duration};
use tokio::sync::watch;

#[tokio::test]
async fn rounds_are_filtered_by_state_and_an_unknown_state_is_9105() {
	let rounds = |state: Value| async move {
		let page: RoundPage =
			serde_json::from_value(ask("rounds", json!([0, state])).await.unwrap()).unwrap();
		page.rounds.iter().map(|r| (r.index, r.phase.state())).collect::<Vec<_>>()
	};
	assert_eq!(rounds(Value::Null).await, [(1, RoundState::Running), (0, RoundState::Failed)]);
	assert_eq!(rounds(json!("running")).await, [(1, RoundState::Running)]);
	assert_eq!(rounds(json!("failed")).await, [(0, RoundState::Failed)]);
	assert_eq!(rounds(json!("finalised")).await, []);
	let first = ask("rounds", json!([0, null, null, 1])).await.unwrap();
	assert_eq!(first["next"], 0);
	let error = ask("rounds", json!([0, "finalized"])).await.unwrap_err();
	assert_eq!(error.code, MALFORMED);
	assert!(error.message.contains("running, finalised or failed"), "{}", error.message);
	let error = ask("rounds", json!([9])).await.unwrap_err();
	assert_eq!((error.code, error.data["reason"].as_str()), (UNKNOWN_PROGRAMME, Some("unknownProgramme")));
	let error = ask("rounds", json!([0, null, null, 101])).await.unwrap_err();
	assert_eq!(error.code, PAGE_SIZE);
}

#[tokio::test]
async fn unknown_site_is_9103() {
	for method in ["site", "recordsBySite"] {
		let error = ask(method, json!([DEVICE])).await.unwrap_err();
		assert_eq!(error.code, UNKNOWN_RECORD);
		assert!(error.message.contains(&format!("no site {DEVICE}")), "{}", error.message);
		assert_eq!(error.data, json!({ "reason": "unknownSite", "site": DEVICE, "block": BEST }));
	}
	assert_eq!(ask("site", json!([SITE])).await.unwrap()["name"], "Genève");
}

#[tokio::test]
async fn descendants_of_an_update_begin_with_its_weights_and_a_cursor_of_the_past_is_9105() {
	// Record 2 is the first update of the first round, which ends with record 5.
	let page = ask("descendants", json!([hex(artifact(2)), null, 3])).await.unwrap();
	let page: RecordsFrom = serde_json::from_value(page).unwrap();
	assert_eq!(page.records.iter().map(|r| r.id).collect::<Vec<_>>(), [5, 6, 7]);
	assert_eq!(page.next, Some(8));
	for cursor in [0, 2] {
		let error = ask("descendants", json!([hex(artifact(2)), cursor])).await.unwrap_err();
		assert_eq!(error.code, MALFORMED);
		assert!(error.message.contains("not newer than record 2"), "{}", error.message);
	}
	let error = ask("descendants", json!([hex(H256([3; 32]))])).await.unwrap_err();
	assert_eq!(error.data["reason"], "unknownArtifact");
}

type Module = jsonrpsee::RpcModule<NewRecords<MockClient, Block, TestPersistentOffchainDB>>;

/// The methods of a subscription, on a chain on which finality moves.
struct Node {
	module: Module,
	client: Arc<MockClient>,
	indexed: watch::Sender<RecordId>,
}

impl Node {
	fn new(ledger: &Ledger<TestPersistentOffchainDB>) -> Self {
		let (indexed, receiver) = watch::channel(0);
		let client = Arc::new(MockClient::default());
		let module = NewRecords::<_, Block, _>::new(client.clone(), ledger.clone(), receiver).into_rpc();
		Self { module, client, indexed }
	}

	/// A node that has executed every block of [`MOVING`], of which the first two batches are final.
	fn moving(happened: impl FnOnce(&mut TestPersistentOffchainDB)) -> Self {
		let mut db = TestPersistentOffchainDB::new();
		MOVING.store(&mut db);
		happened(&mut db);
		let node = Self::new(&Ledger::new(db));
		node.finalise(2);
		node
	}

	/// Makes this many batches final, as the indexer tells it.
	fn finalise(&self, batches: usize) {
		*self.client.finalised.lock().unwrap() = block_with(batches);
		self.indexed.send_replace(count(batches));
	}

	async fn subscribe(&self, programme: Value, from: Value) -> Subscription {
		self.module.subscribe_unbounded("provenance_subscribeRecords", [programme, from]).await.unwrap()
	}
}

/// How many records these many batches of [`MOVING`] have.
fn count(batches: usize) -> RecordId {
	MOVING.batches[..batches].iter().map(|batch| u64::from(batch.count)).sum()
}

async fn in_time<T>(what: impl std::future::Future<Output = T>) -> T {
	tokio::time::timeout(Duration::from_secs(60), what).await.expect("it comes at once")
}

async fn message(records: &mut Subscription) -> Recorded {
	in_time(records.next::<Recorded>()).await.unwrap().unwrap().0
}

fn ids(message: &Recorded) -> Vec<RecordId> {
	message.records.iter().map(|r| r.id).collect()
}

#[tokio::test]
async fn subscription_sends_what_is_final_from_the_record_asked_for_and_waits_for_more() {
	let node = Node::new(&LEDGER);
	let mut records = node.subscribe(Value::Null, json!(1)).await;
	// At the finalised block of this chain there are the two records of the start.
	let (message, _) = records.next::<Value>().await.unwrap().unwrap();
	assert_eq!(message["records"].as_array().unwrap().len(), 1);
	assert_eq!((&message["records"][0]["id"], &message["next"]), (&json!(1), &json!(2)));
	assert_eq!(message["block"]["hash"], json!(hex(EARLY)));
	// Nothing new: it stays open and sends nothing, until the node goes.
	node.indexed.send_replace(2);
	tokio::task::yield_now().await;
	drop(node);
	assert!(in_time(records.next::<Value>()).await.is_none());
}

#[tokio::test]
async fn subscription_sends_what_becomes_final_and_asks_the_chain_for_nothing_else() {
	let node = Node::moving(|_| ());
	let mut records = node.subscribe(Value::Null, Value::Null).await;
	node.finalise(3);
	let first = message(&mut records).await;
	assert_eq!((ids(&first), first.next, first.block.hash), (vec![4, 5, 6, 7], 8, block_with(3)));
	// Finality moves over blocks without records.
	let asked = node.client.asked.load(Ordering::SeqCst);
	for _ in 0..5 {
		node.finalise(3);
		tokio::task::yield_now().await;
	}
	node.finalise(5);
	let second = message(&mut records).await;
	assert_eq!((ids(&second), second.next), ((8..16).collect::<Vec<_>>(), 16));
	assert_eq!(node.client.asked.load(Ordering::SeqCst), asked + 1);
}

#[tokio::test]
async fn subscription_to_a_programme_sends_its_records_alone() {
	let node = Node::moving(|_| ());
	let mut zeroth = node.subscribe(json!(0), json!(0)).await;
	let mut fourth = node.subscribe(json!(4), Value::Null).await;
	// Of the two starts, which are final already.
	assert_eq!(ids(&message(&mut zeroth).await), [0, 1]);
	node.finalise(6);
	assert_eq!(ids(&message(&mut zeroth).await), [4, 5, 6, 7, 12, 13, 14, 15]);
	let last = message(&mut fourth).await;
	assert_eq!((ids(&last), last.next), (vec![8, 9, 10, 11, 16, 17, 18, 19], 20));
	assert!(last.records.iter().all(|r| r.record.programme == 4));
}

#[tokio::test]
async fn records_of_many_pages_come_once_each_however_often_the_connection_breaks() {
	let node = Node::moving(|_| ());
	node.finalise(60);
	let all: Vec<_> = (0..count(60)).collect();
	let mut whole = node.subscribe(Value::Null, json!(0)).await;
	let mut seen = Vec::new();
	while seen.len() < all.len() {
		let page = message(&mut whole).await;
		assert!(page.records.len() <= 100);
		seen.extend(ids(&page));
	}
	assert_eq!(seen, all);
	for programme in [None, Some(4u32)] {
		let (mut seen, mut from) = (Vec::new(), 0);
		while from < count(60) {
			let page = message(&mut node.subscribe(json!(programme), json!(from)).await).await;
			seen.extend(ids(&page));
			from = page.next;
		}
		let is_wanted = |id: &RecordId| programme.is_none_or(|p| p == MOVING.records[*id as usize].programme);
		assert_eq!(seen, all.iter().copied().filter(is_wanted).collect::<Vec<_>>(), "{programme:?}");
	}
}

#[tokio::test]
async fn subscription_that_cannot_go_on_ends_with_the_error_as_its_last_message() {
	let node = Node::moving(|db| db.remove(STORAGE_PREFIX, &MOVING.entry(3).0));
	let request = json!({
		"jsonrpc": "2.0", "id": 1, "method": "provenance_subscribeRecords", "params": [null, null],
	});
	let (_, mut messages) = node.module.raw_json_request(&request.to_string(), 8).await.unwrap();
	let read = |text: Option<String>| serde_json::from_str::<Value>(&text.unwrap()).unwrap();
	node.finalise(3);
	let first = read(in_time(messages.recv()).await);
	assert_eq!(first["params"]["result"]["next"], 8, "{first}");
	node.finalise(4);
	let last = read(in_time(messages.recv()).await);
	let error: WireError = serde_json::from_value(last["params"]["error"].clone()).unwrap();
	assert_eq!((error.code, &error.data["reason"]), (LEDGER_UNREADABLE, &json!("missingRecords")));
	assert_eq!(error.data["batch"], 3);
	assert!(in_time(messages.recv()).await.is_none());
}

#[tokio::test]
async fn subscription_ends_when_its_client_unsubscribes_or_leaves() {
	let node = Node::moving(|_| ());
	let waiting = || node.indexed.receiver_count();
	let before = waiting();
	let unsubscribed = node.subscribe(Value::Null, Value::Null).await;
	let left = node.subscribe(Value::Null, Value::Null).await;
	assert_eq!(waiting(), before + 2);
	let id = json!([unsubscribed.subscription_id()]);
	assert_eq!(ask_module_for(&node.module, "unsubscribeRecords", id).await.unwrap(), json!(true));
	drop(left);
	in_time(async {
		while waiting() > before {
			tokio::time::sleep(Duration::from_millis(5)).await;
		}
	})
	.await;
}

#[tokio::test]
async fn subscription_to_what_cannot_come_is_refused() {
	let node = Node::new(&LEDGER);
	for (params, code) in [(json!([9]), UNKNOWN_PROGRAMME), (json!([null, 1_000]), MALFORMED)] {
		let error = ask_module_for(&node.module, "subscribeRecords", params).await.unwrap_err();
		assert_eq!(error.code, code, "{}", error.message);
	}
}
