//! What holds is proved.
#![allow(clippy::unwrap_used)]

use crate::support::*;
use cairn_primitives::H256;
use cairn_verifier::{
	report::{read, report, Verdict},
	verify, Bundle, Statement,
};

#[test]
fn every_record_is_proved_by_every_later_block() {
	let chain = Chain::new(Plan::default());
	for batch in &chain.batches {
		for (id, record) in (batch.first..).zip(&batch.records) {
			for number in batch.block + 1..=chain.plan.blocks {
				let bundle = chain.record_bundle(id, number);
				let proven = verify(&bundle, &chain.genesis())
					.unwrap_or_else(|e| panic!("record {id} at {number}: {e}"));
				assert_eq!(proven.statement, Statement::Records(vec![(id, record.clone())]));
				assert_eq!((proven.number, proven.block), (number, chain.headers[number as usize].hash()));
				assert_eq!((proven.set_id, proven.authorities), (0, 4));
			}
		}
	}
}

#[test]
fn record_is_proved_across_hand_overs_of_the_authorities() {
	for changes in [vec![3], vec![3, 11], vec![1, 2, 3, 11, 24, 29]] {
		let chain = Chain::new(Plan { changes: changes.clone(), ..Plan::default() });
		for number in [6, 11, 12, 24, 25, 30] {
			let bundle = chain.record_bundle(3, number);
			let before = changes.iter().filter(|change| **change < number).count();
			assert_eq!(bundle.finality.hand_overs.len(), before);
			let proven =
				verify(&bundle, &chain.genesis()).unwrap_or_else(|e| panic!("{changes:?} at {number}: {e}"));
			assert_eq!(proven.set_id, before as u64);
		}
	}
}

#[test]
fn whole_ledger_is_proved_batch_by_batch() {
	let chain = Chain::new(Plan { changes: vec![7, 19], ..Plan::default() });
	let proven = verify(&chain.ledger_bundle(30), &chain.genesis()).unwrap();
	let Statement::Records(records) = proven.statement else { panic!("records were claimed") };
	let all: Vec<_> = chain.batches.iter().flat_map(|b| (b.first..).zip(b.records.clone())).collect();
	assert_eq!(records, all);
}

#[test]
fn absence_of_weights_is_proved_and_presence_is_not_hidden() {
	let chain = Chain::new(Plan::default());
	let stranger = H256::repeat_byte(0x77);
	let proven = verify(&chain.absence_bundle(stranger, 12), &chain.genesis()).unwrap();
	assert_eq!((proven.number, proven.statement), (12, Statement::NoWeights(stranger)));
}

#[test]
fn one_authority_alone_and_many_finalise() {
	for authorities in [1, 2, 3, 5, 7, 40] {
		let chain = Chain::new(Plan { authorities, changes: vec![4], ..Plan::default() });
		let proven = verify(&chain.record_bundle(4, 17), &chain.genesis()).unwrap();
		assert_eq!(proven.authorities, u32::from(authorities));
	}
}

#[test]
fn bundle_is_the_same_in_every_form() {
	let chain = Chain::new(Plan { changes: vec![4], ..Plan::default() });
	for bundle in
		[chain.record_bundle(4, 17), chain.ledger_bundle(30), chain.absence_bundle(H256::repeat_byte(1), 9)]
	{
		let bytes = bundle.to_bytes();
		assert_eq!(Bundle::from_bytes(&bytes).unwrap(), bundle);
		let hex = format!("0x{}\n", hex::encode(&bytes));
		let answer = format!("{{\"block\": 1, \"bundle\": \"{}\"}}", hex.trim());
		for form in [bytes, hex.into_bytes(), answer.into_bytes(), bundle.to_json().into_bytes()] {
			assert_eq!(read(&form).unwrap(), bundle);
			assert_eq!(report(&form, &chain.genesis()).verdict, Verdict::Proven);
		}
	}
}

#[test]
fn report_names_what_is_proved_and_why_not() {
	let chain = Chain::new(Plan::default());
	let bytes = chain.record_bundle(4, 17).to_bytes();
	let proven: serde_json::Value =
		serde_json::from_str(&report(&bytes, &chain.genesis()).to_json()).unwrap();
	assert_eq!(proven["verdict"], "proven");
	assert_eq!(proven["proof"]["block"]["number"], 17);
	assert_eq!(proven["proof"]["authoritySet"], serde_json::json!({ "id": 0, "authorities": 4 }));
	assert_eq!(proven["proof"]["records"][0]["id"], 4);
	assert!(proven["proof"]["records"][0]["record"]["producer"].as_str().unwrap().starts_with('5'));

	let other = report(&bytes, &H256::repeat_byte(9));
	assert_eq!(other.verdict, Verdict::Refuted);
	assert!(other.reason.unwrap().contains("not of 0x0909"));
	let cut = report(&bytes[..bytes.len() - 1], &chain.genesis());
	assert_eq!((cut.verdict, cut.proof), (Verdict::Unreadable, None));
	for (bytes, said) in [
		(&b""[..], "no bytes"),
		(&[1, 0, 0], "version 1"),
		(b"0x0g", "not hex"),
		(b"{}", "in JSON"),
		(b"{\"bundle\": \"0x03\"}", "version 3"),
	] {
		let said_really = report(bytes, &chain.genesis()).reason.unwrap();
		assert!(said_really.contains(said), "{said_really}");
	}
}

/// The bound: 16 KiB at 10,000 blocks, 4 validators and no hand-overs.
#[test]
fn bundle_grows_with_the_logarithm_of_the_chain() {
	let mut sizes = Vec::new();
	for blocks in [100, 1_000, 10_000] {
		let chain = Chain::new(Plan { blocks, ..Plan::default() });
		// The longest path of a record's leaf.
		let bundle = chain.record_bundle(4, blocks);
		assert!(verify(&bundle, &chain.genesis()).is_ok());
		sizes.push(bundle.to_bytes().len());
	}
	println!("bytes at 100, 1,000 and 10,000 blocks: {sizes:?}");
	assert!(sizes.iter().all(|size| *size <= 16 << 10), "{sizes:?}");
	// Ten times the blocks are at most four more levels and one more peak; numbers get up to two bytes longer.
	assert!(sizes.windows(2).all(|pair| pair[1] - pair[0] <= 5 * 32 + 16), "{sizes:?}");
}

#[test]
fn bundle_grows_with_the_hand_overs_by_the_same_for_each() {
	let plan = |changes: u32| Plan {
		changes: (1..=changes).map(|n| n * 2 + 20).collect(),
		blocks: 100,
		..Plan::default()
	};
	let size = |changes| Chain::new(plan(changes)).record_bundle(4, 99).to_bytes().len();
	let (none, ten, twenty) = (size(0), size(10), size(20));
	println!("bytes with 0, 10 and 20 hand-overs: {:?}", (none, ten, twenty));
	assert_eq!(ten - none, twenty - ten);
}

/// A bundle of this version, on disk: what was proved once stays proved. The auditor's tests serve it, too.
#[test]
fn bundle_that_was_made_before_is_made_and_proved_still() {
	let chain = Chain::new(Plan { changes: vec![3, 11], ..Plan::default() });
	let file = "tests/ledger.cairn";
	let bytes = chain.ledger_bundle(30).to_bytes();
	if std::env::var_os("CAIRN_WRITE_FIXTURES").is_some() {
		std::fs::write(file, &bytes).unwrap();
	}
	let kept = std::fs::read(file).unwrap();
	assert_eq!(report(&kept, &chain.genesis()).verdict, Verdict::Proven);
	assert!(
		kept == bytes,
		"the format or the chain in memory changed; what changes the format is another version"
	);
}
