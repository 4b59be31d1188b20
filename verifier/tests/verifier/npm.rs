//! The npm package in Node.js comes to what the native verifier comes to.
#![allow(clippy::unwrap_used)]

use crate::support::*;
use cairn_primitives::H256;
use cairn_verifier::report::report;
use serde_json::{json, Value};
use std::{fs, process::Command};

#[test]
fn npm_package_comes_to_the_same_verdicts() {
	let package = std::path::absolute("npm").unwrap();
	assert!(
		package.join("cairn_verifier.wasm").exists(),
		"{} has no cairn_verifier.wasm: run scripts/build-verifier",
		package.display()
	);
	let chain = Chain::new(Plan { changes: vec![3, 11], ..Plan::default() });
	let genesis = chain.genesis();
	let record = chain.record_bundle(3, 17).to_bytes();
	let with = |place: usize| {
		let mut bytes = record.clone();
		bytes[place] ^= 1;
		bytes
	};
	let mut cases = vec![
		("record", record.clone(), genesis),
		("ledger", chain.ledger_bundle(30).to_bytes(), genesis),
		("absence", chain.absence_bundle(H256::repeat_byte(1), 14).to_bytes(), genesis),
		("another genesis", record.clone(), H256::repeat_byte(1)),
		("nothing", vec![], genesis),
		("cut", record[..record.len() - 1].to_vec(), genesis),
		("another version", [&[9][..], &record[1..]].concat(), genesis),
	];
	cases.extend((0..record.len()).step_by(97).map(|place| ("a changed byte", with(place), genesis)));
	let cases: Vec<Value> = cases
		.into_iter()
		.map(|(name, bytes, genesis)| {
			let report: Value = serde_json::from_str(&report(&bytes, &genesis).to_json()).unwrap();
			json!({
				"name": name,
				"bundle": format!("0x{}", hex::encode(bytes)),
				"genesis": genesis,
				"report": report,
			})
		})
		.collect();
	let verdicts: Vec<_> = cases.iter().map(|case| case["report"]["verdict"].as_str().unwrap()).collect();
	assert_eq!(
		verdicts[..7],
		["proven", "proven", "proven", "refuted", "unreadable", "unreadable", "unreadable"]
	);
	assert!(!verdicts[7..].contains(&"proven"));

	let file = std::env::temp_dir().join(format!("cairn-verifier-cases-{}.json", std::process::id()));
	fs::write(&file, serde_json::to_vec(&cases).unwrap()).unwrap();
	let output = Command::new("node").arg(package.join("test.mjs")).arg(&file).output();
	fs::remove_file(&file).unwrap();
	let output = output.expect("Node.js 18 or newer is needed");
	let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
	assert!(output.status.success(), "{out}{err}");
	assert_eq!(out.trim(), format!("{} cases", cases.len()));
}
