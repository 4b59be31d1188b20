//! What a devnet's run came to: the table of rounds, the lineage of the last model, and the recomputation of every
//! aggregate.

use crate::{
	devnet::{Devnet, PROGRAMME},
	rpc::{ProgrammeInfo, RecordInfo, RoundInfo},
	ui::table,
};
use anyhow::{bail, ensure, Context, Result};
use cairn_primitives::{
	views::{Phase, ProgrammeState, MAX_PAGE},
	RecordKind, H256,
};
use std::collections::HashMap;

/// One settled round.
#[derive(Clone, Debug)]
pub struct Row {
	/// The round, as the chain has it.
	pub round: RoundInfo,
	/// Held-out loss of the next weights, nats; `None` for a failed round.
	pub loss: Option<f64>,
	/// Held-out accuracy of the next weights.
	pub accuracy: Option<f64>,
	/// From the block that opened the round to the one that settled it, by the chain's clock.
	pub seconds: f64,
	/// Points that the workers got for it, all together.
	pub points: u128,
}

impl Row {
	/// How many updates are in the aggregate.
	pub fn included(&self) -> u32 {
		self.round.updates.map_or(0, |range| range.count)
	}

	fn cells(&self) -> Vec<String> {
		let number = |value: Option<f64>| value.map_or("-".into(), |v| format!("{v:.4}"));
		vec![
			self.round.index.to_string(),
			match self.round.phase {
				Phase::Finalised => format!("{} of {}", self.included(), self.round.commit_count),
				_ => format!("failed: {}", self.round.failure.map_or("?".into(), |f| format!("{f:?}"))),
			},
			self.round.result.map_or("-".into(), |hash| short(&hash)),
			number(self.loss),
			number(self.accuracy),
			format!("{:.0}", self.seconds),
			self.points.to_string(),
		]
	}
}

/// The first 16 hexadecimal digits of a hash.
pub fn short(hash: &H256) -> String {
	let full = format!("{hash:?}");
	format!("{}…", &full[..18])
}

/// Runs the programme to its end and shows every round as it is settled.
///
/// # Errors
/// When the chain or the programme stands still, a process dies, or an evaluation fails.
pub async fn run_rounds(net: &Devnet) -> Result<Vec<Row>> {
	let (ui, mut rows) = (net.ui(), Vec::<Row>::new());
	let mut watch = net.watch().await?;
	let mut points = HashMap::new();
	ui.rounds(0, net.rounds());
	loop {
		let snapshot = watch.next().await?;
		while snapshot.is_settled(rows.len() as u32) {
			let row = net.guard(settled(net, rows.len() as u32, &snapshot.programme, &mut points)).await?;
			ui.line(match row.accuracy {
				Some(accuracy) => format!(
					"round {}: {} updates, aggregate {}, held-out accuracy {accuracy:.4}, {:.0} s",
					row.round.index,
					row.included(),
					row.round.result.map_or("-".into(), |hash| short(&hash)),
					row.seconds
				),
				None => {
					format!("round {} failed: {:?}; it is tried again", row.round.index, row.round.failure)
				},
			});
			rows.push(row);
		}
		ui.rounds(snapshot.programme.finalised, net.rounds());
		ui.status(snapshot.status());
		match snapshot.programme.state {
			ProgrammeState::Open | ProgrammeState::Paused => {},
			ProgrammeState::Completed => return Ok(rows),
			ProgrammeState::Unfunded => bail!(
				"the programme's pot cannot pay for another round after {} of {}",
				snapshot.programme.finalised,
				net.rounds()
			),
			ProgrammeState::Barred => bail!(
				"the charter does not allow another round after {} of {}",
				snapshot.programme.finalised,
				net.rounds()
			),
			ProgrammeState::Closed => bail!(
				"the programme was closed after {} rounds of {}",
				snapshot.programme.finalised,
				net.rounds()
			),
		}
	}
}

async fn settled(
	net: &Devnet,
	index: u32,
	programme: &ProgrammeInfo,
	points: &mut HashMap<String, u128>,
) -> Result<Row> {
	let rpc = net.rpc();
	let round = rpc.round(PROGRAMME, index, None).await?;
	let block = round.deadline.context("a settled round has the block that settled it")?;
	let (opened, closed) = (rpc.time_at(round.opened).await?, rpc.time_at(block).await?);
	let at = rpc.block_hash(block).await?;
	let mut gained = 0;
	for worker in net.workers() {
		let account = &worker.identity.account;
		let now = rpc.rewards(PROGRAMME, account, Some(&at)).await?.points;
		let before = points.insert(account.clone(), now).unwrap_or(0);
		gained += now
			.checked_sub(before)
			.with_context(|| format!("{} lost points in round {index}", worker.name))?;
	}
	let quality = match round.result {
		Some(weights) => Some(net.evaluate(&weights, &programme.config).await?),
		None => None,
	};
	Ok(Row {
		loss: quality.map(|q| q.loss),
		accuracy: quality.map(|q| q.accuracy),
		seconds: closed.saturating_sub(opened) as f64 / 1000.0,
		points: gained,
		round,
	})
}

/// The table of rounds.
pub fn rounds_table(rows: &[Row]) -> String {
	let header = ["round", "updates", "aggregate", "held-out loss", "accuracy", "seconds", "points"];
	table(&header, &rows.iter().map(Row::cells).collect::<Vec<_>>())
}

/// The table of workers: what each earned.
///
/// # Errors
/// When the node cannot be asked.
pub async fn workers_table(net: &Devnet) -> Result<String> {
	let mut rows = Vec::new();
	for worker in net.workers() {
		let reward = net.rpc().rewards(PROGRAMME, &worker.identity.account, None).await?;
		rows.push(vec![
			worker.name.clone(),
			match (worker.trainer, worker.aggregator) {
				(true, true) => "trainer, aggregator",
				(true, false) => "trainer",
				(false, true) => "aggregator",
				(false, false) => "none",
			}
			.to_string(),
			worker.identity.account.clone(),
			reward.points.to_string(),
			format!("{}.{:03}", reward.claimable / UNIT, reward.claimable % UNIT / (UNIT / 1000)),
		]);
	}
	Ok(table(&["worker", "roles", "account", "points", "claimable CRN"], &rows))
}

/// One CRN, in plancks.
const UNIT: u128 = 1_000_000_000_000;

/// The lineage of a programme's newest model, as the chain tells it, checked to reach genesis without a gap.
pub struct Lineage {
	/// The records, newest first.
	pub records: Vec<RecordInfo>,
}

impl Lineage {
	/// Reads it, `page` records at a time, at the finalised head.
	///
	/// # Errors
	/// When the node cannot be asked, or the lineage has a gap or does not end at the programme's genesis weights.
	pub async fn read(net: &Devnet, page: u32) -> Result<Self> {
		let head = net.rpc().finalised().await?;
		let programme = net.rpc().programme(PROGRAMME, Some(&head.hash)).await?;
		let model = format!("{:?}", programme.weights);
		let records = net.rpc().lineage(&model, page.min(MAX_PAGE), &head.hash).await?;
		check_lineage(&records, &programme.weights, &programme.genesis_weights, programme.finalised)?;
		Ok(Self { records })
	}

	/// One line per model, with what it was made of.
	pub fn show(&self, net: &Devnet) -> String {
		let name = |account: &str| {
			let worker = net.workers().iter().find(|w| w.identity.account == account);
			worker.map_or_else(|| account.to_string(), |w| w.name.clone())
		};
		let mut lines = Vec::new();
		for RecordInfo { id, record } in &self.records {
			let artifact = short(&record.artifact);
			lines.push(match (record.kind, record.round) {
				(RecordKind::Weights, Some(round)) => {
					let inputs = record.inputs.map_or(String::new(), |r| {
						format!(
							" from updates {} to {}",
							r.first,
							r.first + u64::from(r.count).saturating_sub(1)
						)
					});
					let base = record.base.map_or("?".into(), |b| b.to_string());
					format!(
						"weights {artifact} record {id}: round {round}, block {}, base {base}{inputs}",
						record.block
					)
				},
				(RecordKind::Weights, None) => {
					format!("weights {artifact} record {id}: genesis of the programme")
				},
				(kind, _) => {
					let by = record.producer.as_deref().map_or("?".into(), name);
					let device = record.device.map_or("?".into(), |d| d.to_string());
					format!(
						"  {} {artifact} record {id}: by {by} on device {device}",
						format!("{kind:?}").to_lowercase()
					)
				},
			});
		}
		lines.join("\n")
	}
}

/// Checks that `records` lead from `model` to `genesis` through `rounds` aggregates, each with its base and all of its
/// updates, and nothing else.
fn check_lineage(records: &[RecordInfo], model: &H256, genesis: &H256, rounds: u32) -> Result<()> {
	let by_id: HashMap<u64, &RecordInfo> = records.iter().map(|r| (r.id, r)).collect();
	ensure!(by_id.len() == records.len(), "the lineage has a record twice");
	let get = |id: u64| by_id.get(&id).copied().with_context(|| format!("the lineage has no record {id}"));
	let mut current = records.first().context("the lineage is empty")?;
	ensure!(
		current.record.artifact == *model,
		"the lineage begins with another model than the programme's newest"
	);
	let (mut seen, mut aggregates) = (1, 0);
	while let Some(base) = current.record.base {
		ensure!(current.record.kind == RecordKind::Weights, "record {} is no model", current.id);
		let inputs =
			current.record.inputs.with_context(|| format!("aggregate {} has no updates", current.id))?;
		for id in inputs.first..inputs.first + u64::from(inputs.count) {
			let update = &get(id)?.record;
			ensure!(
				update.kind == RecordKind::Update
					&& update.base == Some(base)
					&& update.round == current.record.round,
				"record {id} is no update of the round that made record {}",
				current.id
			);
			seen += 1;
		}
		aggregates += 1;
		current = get(base)?;
		seen += 1;
	}
	ensure!(current.record.artifact == *genesis, "the lineage ends at record {}, not at genesis", current.id);
	ensure!(
		aggregates == rounds,
		"the lineage has {aggregates} aggregates, but {rounds} rounds were finalised"
	);
	ensure!(seen == records.len(), "the lineage has {} records that nothing leads to", records.len() - seen);
	Ok(())
}

/// Recomputes every finalised round's aggregate by a separate process and says for each whether it equals the chain's.
///
/// # Errors
/// When one differs or cannot be recomputed, after all were tried.
pub async fn recompute_all(net: &Devnet, rounds: impl IntoIterator<Item = u32>) -> Result<()> {
	let mut wrong = Vec::new();
	for round in rounds {
		net.ui().status(format!("recomputing round {round}"));
		let finished = net.recompute(round).await?;
		match finished.code {
			Some(0) => net.ui().print(&format!("round {round}: recomputed, equal to the chain's")),
			code => {
				let verdict =
					if code == Some(1) { "NOT equal to the chain's" } else { "could not be recomputed" };
				let said = format!("{}\n{}", finished.stdout.trim(), finished.stderr.trim());
				net.ui().print(&format!("round {round}: {verdict}: {}", said.trim()));
				wrong.push(round.to_string());
			},
		}
	}
	ensure!(wrong.is_empty(), "the aggregates of rounds {} were not confirmed", wrong.join(", "));
	Ok(())
}

#[cfg(test)]
mod tests {
	#![allow(clippy::unwrap_used)]
	use super::*;
	use cairn_primitives::{Record, RecordRange};

	fn hash(n: u8) -> H256 {
		H256([n; 32])
	}

	fn record(
		id: u64,
		kind: RecordKind,
		base: Option<u64>,
		inputs: Option<(u64, u32)>,
		round: Option<u32>,
	) -> RecordInfo {
		let inputs = inputs.map(|(first, count)| RecordRange { first, count });
		let producer = (kind == RecordKind::Update).then(|| "5W".to_string());
		let (artifact, device) = (hash(id as u8), producer.is_some().then_some(0));
		let (site, block) = (device, id as u32);
		let record = Record {
			kind,
			artifact,
			base,
			inputs,
			terms: None,
			producer,
			device,
			site,
			programme: 0,
			round,
			block,
		};
		RecordInfo { id, record }
	}

	/// Configuration 0 and genesis weights 1; round 0: updates 2, 3, weights 4; round 1: update 5, weights 6.
	fn lineage() -> Vec<RecordInfo> {
		use RecordKind::*;
		vec![
			record(6, Weights, Some(4), Some((5, 1)), Some(1)),
			record(5, Update, Some(4), None, Some(1)),
			record(4, Weights, Some(1), Some((2, 2)), Some(0)),
			record(3, Update, Some(1), None, Some(0)),
			record(2, Update, Some(1), None, Some(0)),
			record(1, Weights, None, None, None),
		]
	}

	#[test]
	fn whole_lineage_is_accepted() {
		check_lineage(&lineage(), &hash(6), &hash(1), 2).unwrap();
	}

	#[test]
	fn lineage_is_refused_when_anything_is_missing_extra_or_elsewhere() {
		let refused = |change: &dyn Fn(&mut Vec<RecordInfo>)| {
			let mut records = lineage();
			change(&mut records);
			check_lineage(&records, &hash(6), &hash(1), 2).unwrap_err().to_string()
		};
		for gone in 0..6 {
			refused(&|r| drop(r.remove(gone)));
		}
		assert!(refused(&|r| r.push(record(9, RecordKind::Update, Some(1), None, Some(0))))
			.contains("nothing leads to"));
		assert!(refused(&|r| r.push(r[3].clone())).contains("twice"));
		assert!(refused(&|r| r[4].record.round = Some(1)).contains("no update of the round"));
		assert!(refused(&|r| r[5].record.artifact = hash(7)).contains("not at genesis"));
		assert!(check_lineage(&lineage(), &hash(6), &hash(1), 3).is_err());
		assert!(check_lineage(&lineage(), &hash(4), &hash(1), 2).is_err());
	}
}
