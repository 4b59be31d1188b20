#![allow(clippy::unwrap_used)]

use super::{error::*, tests::*, *};
use crate::ledger::mock::{artifact, DEVICE, SITE};
use cairn_primitives::views::RoundState;
use serde_json::{json, Value};
use sp_core::offchain::testing::TestPersistentOffchainDB;
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

/// A subscription's methods, and what tells them of a finalised block.
fn subscriptions(
	ledger: &Ledger<TestPersistentOffchainDB>,
) -> (jsonrpsee::RpcModule<NewRecords<MockClient, Block, TestPersistentOffchainDB>>, watch::Sender<H256>) {
	let (sender, receiver) = watch::channel(H256::zero());
	(NewRecords::<_, Block, _>::new(Arc::new(MockClient), ledger.clone(), receiver).into_rpc(), sender)
}

#[tokio::test]
async fn subscription_sends_what_is_final_from_the_record_asked_for_and_waits_for_more() {
	let (module, indexed) = subscriptions(&LEDGER);
	let mut records =
		module.subscribe_unbounded("provenance_subscribeRecords", [Value::Null, json!(1)]).await.unwrap();
	// At the finalised block of this chain there are the two records of the start.
	let (message, _) = records.next::<Value>().await.unwrap().unwrap();
	assert_eq!(message["records"].as_array().unwrap().len(), 1);
	assert_eq!((&message["records"][0]["id"], &message["next"]), (&json!(1), &json!(2)));
	assert_eq!(message["block"]["hash"], json!(hex(EARLY)));
	// Nothing new: it stays open and sends nothing, until the node goes.
	indexed.send_replace(EARLY);
	tokio::task::yield_now().await;
	drop((indexed, module));
	assert!(records.next::<Value>().await.is_none());
}

#[tokio::test]
async fn subscription_to_what_cannot_come_is_refused() {
	let (module, _indexed) = subscriptions(&LEDGER);
	for (params, code) in [(json!([9]), UNKNOWN_PROGRAMME), (json!([null, 1_000]), MALFORMED)] {
		let error = ask_module_for(&module, "subscribeRecords", params).await.unwrap_err();
		assert_eq!(error.code, code, "{}", error.message);
	}
}
