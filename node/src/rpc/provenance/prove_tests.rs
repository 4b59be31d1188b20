#![allow(clippy::unwrap_used)]

use super::{error::*, tests::*, *};
use crate::{
	ledger::mock::artifact,
	proofs::{FinalisedChain, ProofError, Prover},
};
use cairn_verifier::mmr::Leaf;
use serde_json::{json, Value};

/// A chain of which nothing is final but genesis.
struct Young;

impl FinalisedChain for Young {
	fn finalised(&self) -> BlockNumber {
		0
	}

	fn header(&self, _: BlockNumber) -> Result<Option<Vec<u8>>, String> {
		Ok(None)
	}

	fn justification(&self, _: BlockNumber) -> Result<Option<Vec<u8>>, String> {
		Ok(None)
	}

	fn newest_justification(&self) -> Result<Option<Vec<u8>>, String> {
		Ok(None)
	}

	fn hand_overs(&self) -> Option<Vec<BlockNumber>> {
		Some(Vec::new())
	}

	fn path(&self, _: BlockNumber, _: BlockNumber) -> Result<(Leaf, Vec<H256>), String> {
		Err("there is none".into())
	}

	fn state_proof(&self, _: BlockNumber, _: &[u8]) -> Result<Vec<Vec<u8>>, String> {
		Err("there is none".into())
	}

	fn genesis_proof(&self, _: &[u8]) -> Result<Vec<Vec<u8>>, String> {
		Err("there is none".into())
	}
}

async fn refused(method: &str, params: Value) -> WireError {
	let prover = Prover::new(Arc::new(Young));
	let methods = Proofs::<_, Block, _>::new(Arc::new(MockClient::default()), LEDGER.clone(), prover);
	ask_module(methods.into_rpc(), method, params).await.unwrap_err()
}

#[tokio::test]
async fn record_whose_block_is_not_final_enough_is_9108_and_says_which_is_needed() {
	// By number and by hash; at the finalised block there are the records of block 0.
	for record in [json!(1), json!(hex(artifact(1)))] {
		let error = refused("prove", json!([record])).await;
		assert_eq!(error.code, NOT_PROVABLE_YET, "{}", error.message);
		assert_eq!(error.data, json!({ "reason": "notFinal", "number": 1, "finalised": 0 }));
		assert!(error.message.contains("ask again"), "{}", error.message);
	}
	let error = refused("proveAbsence", json!([hex(H256::repeat_byte(7))])).await;
	assert_eq!((error.code, &error.data["reason"]), (NOT_PROVABLE_YET, &json!("unjustified")));
}

#[tokio::test]
async fn block_that_is_not_final_or_not_here_proves_nothing() {
	// The best block is ahead of the finalised one.
	let error = refused("prove", json!([1, hex(BEST)])).await;
	assert_eq!(error.code, NOT_PROVABLE_YET, "{}", error.message);
	assert_eq!(error.data, json!({ "reason": "notFinal", "number": 300, "finalised": 290 }));
	let error = refused("prove", json!([1, hex(H256::repeat_byte(9))])).await;
	assert_eq!(error.code, UNKNOWN_BLOCK, "{}", error.message);
}

#[tokio::test]
async fn block_from_which_on_a_proof_is_to_hold_may_have_lost_its_state() {
	// That this chain has nothing final from there on is the prover's answer, who comes after all reading.
	for record in [json!(1), json!(hex(artifact(1)))] {
		let error = refused("prove", json!([record, hex(PRUNED)])).await;
		assert_eq!(error.code, NOT_PROVABLE_YET, "{}", error.message);
		assert_eq!(error.data, json!({ "reason": "notFinal", "number": 270, "finalised": 0 }));
	}
	let error = refused("prove", json!([hex(H256::repeat_byte(7)), hex(PRUNED)])).await;
	assert_eq!(error.data["reason"], "unknownArtifact", "{}", error.message);
	let error = refused("prove", json!([1, "12"])).await;
	assert_eq!((error.code, &error.data["argument"]), (MALFORMED, &json!("at")));
}

#[tokio::test]
async fn what_is_not_recorded_or_malformed_is_said_as_elsewhere() {
	// Those of the first round are not final.
	for record in [json!(2), json!(hex(artifact(2))), json!(hex(H256::repeat_byte(7)))] {
		let error = refused("prove", json!([record])).await;
		assert_eq!(error.code, UNKNOWN_RECORD, "{}", error.message);
	}
	for record in [json!("0x12"), json!(-1), json!(1.5), json!(null), json!([1])] {
		let error = refused("prove", json!([record])).await;
		assert_eq!(error.code, MALFORMED, "{record}: {}", error.message);
	}
	let error = refused("proveAbsence", json!(["12"])).await;
	assert_eq!((error.code, &error.data["argument"]), (MALFORMED, &json!("hash")));
}

#[tokio::test]
async fn absence_of_recorded_weights_is_9110_and_names_their_record() {
	let error = refused("proveAbsence", json!([hex(artifact(1))])).await;
	assert_eq!(error.code, RECORDED, "{}", error.message);
	assert_eq!(error.data, json!({ "reason": "recorded", "artifact": artifact(1), "record": 1 }));
}

#[test]
fn what_a_node_lacks_is_9109_and_says_who_can_answer() {
	let detail = String::from("LeafNotFound");
	for (error, reason, said) in [
		(
			ProofError::NoPath { number: 7, detail: detail.clone() },
			"missingRange",
			"--enable-offchain-indexing",
		),
		(ProofError::Lacking { what: "the header of block 7".into(), detail }, "proofLacks", "--sync full"),
		(ProofError::Unsound { detail: "block 7".into() }, "unsound", "purge-chain"),
	] {
		let error = Error::from(error);
		assert_eq!((error.code(), &error.data()["reason"]), (PROOF_UNAVAILABLE, &json!(reason)));
		let text = error.to_string();
		assert!(text.contains("block 7") && text.contains(said), "{text}");
		assert!(["sk another node", "sk a node"].iter().any(|whom| text.contains(whom)), "{text}");
	}
}
