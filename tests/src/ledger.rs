//! Whether the chain's records are what the rounds and the workers say.

use crate::{
	devnet::{Devnet, PROGRAMME},
	rpc::Head,
	worker::Worker,
};
use anyhow::{bail, ensure, Context, Result};
use cairn_primitives::{bitmap, views::Phase, RecordKind, H256};
use serde_json::Value;
use std::{
	collections::{BTreeMap, BTreeSet},
	str::FromStr,
};

/// Code of the error for a record that does not exist.
const UNKNOWN_RECORD: i32 = 9103;

/// How much was checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
	/// Records.
	pub records: usize,
	/// Finalised rounds.
	pub finalised: u32,
	/// Failed rounds.
	pub failed: u32,
}

fn artifacts(worker: &Worker, round: u32, kinds: &[&str]) -> Result<BTreeSet<H256>> {
	let mut found = BTreeSet::new();
	for event in worker.read_events()? {
		let kind = event["event"].as_str().is_some_and(|kind| kinds.contains(&kind));
		if kind && event["programme"] == PROGRAMME && event["round"] == round {
			let artifact = event["artifact"].as_str().context("an event without its artifact")?;
			found.insert(H256::from_str(artifact)?);
		}
	}
	Ok(found)
}

/// The artifacts that a worker has trained or committed for a round, by its own account.
///
/// # Errors
/// When its events cannot be read.
pub fn own_artifacts(worker: &Worker, round: u32) -> Result<BTreeSet<H256>> {
	artifacts(worker, round, &["round.trained", "round.committed"])
}

/// The artifacts that a worker has seen committed in a finalised block for a round.
///
/// # Errors
/// When its events cannot be read.
pub fn committed(worker: &Worker, round: u32) -> Result<BTreeSet<H256>> {
	artifacts(worker, round, &["round.committed"])
}

/// Reads every record there is at a finalised block, and checks that each belongs to its round and its worker, that none
/// is there twice, and that the models follow one another without gap and fork.
///
/// # Errors
/// When the node cannot be asked, or something of it is not so.
pub async fn check_records(net: &Devnet, head: &Head) -> Result<Counts> {
	let at = Some(head.hash.as_str());
	let programme = net.rpc().programme(PROGRAMME, at).await?;
	let mut records = Vec::new();
	loop {
		let id = records.len() as u64;
		match net.rpc().record(id, at).await {
			Ok(record) => {
				ensure!(record.id == id, "record {id} says that it is record {}", record.id);
				records.push(record.record);
			},
			Err(_) => {
				let params = jsonrpsee::rpc_params![id, at];
				let refusal = net.rpc().refusal("provenance_record", params).await?;
				ensure!(refusal.code == UNKNOWN_RECORD, "record {id}: {refusal:?}");
				break;
			},
		}
	}
	let distinct: BTreeSet<H256> = records.iter().map(|r| r.artifact).collect();
	ensure!(distinct.len() == records.len(), "an artifact has two records");

	let (mut finalised, mut failed, mut accounted) = (0, 0, 0);
	let mut base = None;
	for index in 0..=programme.round {
		let round = net.rpc().round(PROGRAMME, index, at).await?;
		let of_round: Vec<(u64, _)> =
			(0u64..).zip(&records).filter(|(_, r)| r.round == Some(index)).collect();
		accounted += of_round.len();
		if round.phase != Phase::Finalised {
			ensure!(of_round.is_empty(), "round {index}, {:?}, left records", round.phase);
			ensure!(
				round.phase == Phase::Failed || index == programme.round,
				"round {index} is over but {:?}",
				round.phase
			);
			failed += u32::from(round.phase == Phase::Failed);
			continue;
		}
		finalised += 1;
		let range = round.updates.context("a finalised round has updates")?;
		let (weights, inputs): (Vec<_>, Vec<_>) =
			of_round.into_iter().partition(|(_, r)| r.kind == RecordKind::Weights);
		let [(id, weights)] = weights[..] else { bail!("round {index} has {} models", weights.len()) };
		ensure!(
			(Some(id), Some(weights.artifact)) == (round.result_record, round.result),
			"record {id} is not the result of round {index}"
		);
		ensure!(
			(weights.inputs, weights.base) == (Some(range), Some(round.base_record))
				&& weights.producer.is_none(),
			"record {id} is not made of what round {index} included: {weights:?}"
		);
		ensure!(base.is_none_or(|b| b == round.base_record), "round {index} is not built on the one before");
		base = Some(id);

		let ids: Vec<u64> = inputs.iter().map(|(id, _)| *id).collect();
		let expected: Vec<u64> = (range.first..range.first + u64::from(range.count)).collect();
		ensure!(ids == expected, "round {index} has the updates {ids:?}, not {expected:?}");
		let included = bitmap::count(&round.included);
		ensure!(range.count == included, "round {index} included {included}, and recorded {}", range.count);
		let devices: BTreeSet<_> = inputs.iter().map(|(_, r)| r.device).collect();
		ensure!(devices.len() == inputs.len(), "a device has two updates in round {index}");
		for (id, update) in inputs {
			ensure!(
				(update.kind, update.base) == (RecordKind::Update, Some(round.base_record)),
				"record {id} is no update of round {index}: {update:?}"
			);
			let producer =
				net.workers().iter().find(|w| Some(&w.identity.account) == update.producer.as_ref());
			let producer = producer.with_context(|| format!("record {id} is by a stranger: {update:?}"))?;
			let own = own_artifacts(producer, index)?;
			ensure!(
				own.contains(&update.artifact),
				"record {id} is not what {} committed: {own:?}",
				producer.name
			);
		}
	}
	ensure!(
		finalised == programme.finalised,
		"{finalised} rounds are finalised; the programme says {}",
		programme.finalised
	);
	// Besides: the configuration and the genesis weights.
	let founding: BTreeMap<_, _> =
		records.iter().filter(|r| r.round.is_none()).map(|r| (r.artifact, r.kind)).collect();
	ensure!(
		accounted + founding.len() == records.len(),
		"{} records belong to no round",
		records.len() - accounted - founding.len()
	);
	ensure!(
		founding.get(&programme.genesis_weights) == Some(&RecordKind::Weights),
		"the genesis weights have no record"
	);
	Ok(Counts { records: records.len(), finalised, failed })
}

/// The events of a kind that a worker's daemon wrote.
///
/// # Errors
/// When they cannot be read.
pub fn events_of(worker: &Worker, kind: &str) -> Result<Vec<Value>> {
	Ok(worker.read_events()?.into_iter().filter(|e| e["event"] == kind).collect())
}
