//! Whether a node's lists say what its records say, one by one.

use anyhow::{ensure, Context, Result};
use cairn_devnet::{
	devnet::{Devnet, PROGRAMME},
	ledger::check_records,
	rpc::{Head, RecordInfo, RoundInfo, RoundPage},
};
use cairn_primitives::{
	views::{RoundState, MAX_PAGE},
	RecordKind,
};
use jsonrpsee::rpc_params;
use serde::Serialize;
use std::collections::BTreeSet;

/// Finalised blocks that are waited for until a node has put a finalised round into its index.
const UNTIL_INDEXED: u32 = 20;

/// The records that a method lists, in pages of three.
async fn listed(net: &Devnet, method: &str, of: impl Serialize + Send + Sync, at: &Head) -> Result<Vec<u64>> {
	let records = net.rpc().records(method, of, 3, &at.hash).await?;
	Ok(records.iter().map(|r| r.id).collect())
}

fn newest_first(records: &[RecordInfo], is_of: impl Fn(&RecordInfo) -> bool) -> Vec<u64> {
	records.iter().rev().filter(|r| is_of(r)).map(|r| r.id).collect()
}

/// What a record became, and what devices, sites and accounts made, is what all records say when they are read one by one;
/// and so are the rounds of each state.
pub async fn lists_of_the_chain_are_what_its_records_and_rounds_say(net: &mut Devnet) -> Result<()> {
	let net = &*net;
	let at = net.wait_for_finalised(2).await?;
	let count = check_records(net, &at).await?.records as u64;
	let mut records = Vec::new();
	for id in 0..count {
		records.push(net.rpc().record(id, Some(&at.hash)).await?);
	}
	descendants_are_what_came_later(net, &records, &at).await?;
	lineage_of_an_update_goes_on_with_its_base(net, &records, &at).await?;

	for worker in net.workers() {
		let account = worker.identity.account.as_str();
		let made = newest_first(&records, |r| r.record.producer.as_deref() == Some(account));
		assert_eq!(listed(net, "provenance_recordsByAccount", account, &at).await?, made, "{}", worker.name);
		assert!(!made.is_empty() || !worker.trainer, "{} has made nothing", worker.name);
	}
	let devices: BTreeSet<u32> = records.iter().filter_map(|r| r.record.device).collect();
	for device in devices {
		let made = newest_first(&records, |r| r.record.device == Some(device));
		let list = listed(net, "provenance_recordsByDevice", device, &at).await?;
		assert_eq!(list, made, "device {device}");
	}
	let sites: BTreeSet<u32> = records.iter().filter_map(|r| r.record.site).collect();
	// Every worker has a site of its own.
	assert_eq!(sites.len(), net.workers().iter().filter(|w| w.trainer).count(), "{sites:?}");
	for site in sites {
		let made = newest_first(&records, |r| r.record.site == Some(site));
		let list = listed(net, "provenance_recordsBySite", site, &at).await?;
		assert_eq!(list, made, "site {site}");
	}
	rounds_of_each_state_are_those_in_it(net, &at).await
}

async fn descendants_are_what_came_later(net: &Devnet, records: &[RecordInfo], at: &Head) -> Result<()> {
	let model = records.iter().find(|r| r.record.kind == RecordKind::Weights && r.record.round.is_some());
	let model = model.context("no round left weights")?;
	let later: Vec<u64> = records.iter().map(|r| r.id).filter(|id| *id > model.id).collect();
	let artifact = format!("{:?}", model.record.artifact);
	// The index follows finality: it may be a moment behind the block that is asked about.
	let mut heads = net.guard(net.rpc().heads()).await?;
	let mut list = listed(net, "provenance_descendants", &artifact, at).await?;
	for _ in 0..UNTIL_INDEXED {
		if list == later {
			break;
		}
		net.guard(heads.next()).await?;
		list = listed(net, "provenance_descendants", &artifact, at).await?;
	}
	assert_eq!(list, later, "descendants of record {}", model.id);
	// One of the updates that it was made of became this model, and not what was made beside it.
	let update = model.record.inputs.context("a round's weights are made of updates")?.first;
	let update = net.rpc().record(update, Some(&at.hash)).await?.record.artifact;
	let list = listed(net, "provenance_descendants", &format!("{update:?}"), at).await?;
	assert_eq!(list, [&[model.id][..], &later[..]].concat(), "descendants of {update:?}");
	Ok(())
}

async fn lineage_of_an_update_goes_on_with_its_base(
	net: &Devnet,
	records: &[RecordInfo],
	at: &Head,
) -> Result<()> {
	// The last of its round, beside which there are others.
	let update = records.iter().rfind(|r| r.record.kind == RecordKind::Update).context("no update")?;
	let base = update.record.base.and_then(|base| records.iter().find(|r| r.id == base));
	let base = base.context("an update has a base")?;
	let mut expected = vec![update.clone()];
	expected.extend(lineage_of(net, base, at).await?);
	assert_eq!(lineage_of(net, update, at).await?, expected);
	Ok(())
}

async fn lineage_of(net: &Devnet, of: &RecordInfo, at: &Head) -> Result<Vec<RecordInfo>> {
	net.rpc().lineage(&format!("{:?}", of.record.artifact), MAX_PAGE, &at.hash).await
}

async fn rounds_of_each_state_are_those_in_it(net: &Devnet, at: &Head) -> Result<()> {
	let newest = net.rpc().programme(PROGRAMME, Some(&at.hash)).await?.round;
	let mut rounds = Vec::new();
	for index in (0..=newest).rev() {
		rounds.push(net.rpc().round(PROGRAMME, index, Some(&at.hash)).await?);
	}
	for (name, state) in [
		(None, None),
		(Some("running"), Some(RoundState::Running)),
		(Some("finalised"), Some(RoundState::Finalised)),
		(Some("failed"), Some(RoundState::Failed)),
	] {
		let expected: Vec<_> =
			rounds.iter().filter(|r| state.is_none_or(|s| r.phase.state() == s)).cloned().collect();
		assert_eq!(read_rounds(net, name, at).await?, expected, "{name:?}");
	}
	Ok(())
}

async fn read_rounds(net: &Devnet, state: Option<&str>, at: &Head) -> Result<Vec<RoundInfo>> {
	let (mut rounds, mut cursor) = (Vec::new(), None::<u32>);
	loop {
		let params = rpc_params![PROGRAMME, state, cursor, 2, &at.hash];
		let page: RoundPage = net.rpc().call("provenance_rounds", params).await?;
		rounds.extend(page.rounds);
		let Some(next) = page.next else { return Ok(rounds) };
		ensure!(cursor.is_none_or(|last| next < last), "rounds went from {cursor:?} to {next}");
		cursor = Some(next);
	}
}
