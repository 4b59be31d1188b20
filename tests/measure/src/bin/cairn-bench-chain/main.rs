//! `cairn-bench-chain`: what one validator takes into its blocks. Commits of updates next to plain transfers on the same
//! node, and whether a commit costs more when the ledger is long.
//!
//! Genesis already has what would take hours to bring about: accounts, devices that may take part, programmes that wait
//! for updates, and a ledger of as many records as are asked for, made by the provenance pallet itself. Then transactions
//! that were signed in advance are submitted, transfers first, and once all of them wait in the pool, the blocks are
//! watched that take them up.

use anyhow::{ensure, Context, Result};
use cairn_devnet::{
	binaries::Binaries,
	rpc::Rpc,
	ui::{table, Ui},
};
use cairn_measure::{
	account,
	chain::{bytes, hexadecimal, keys, make_spec, median, populate, Validator, PATIENCE},
	program::{self, Folder},
	sign,
};
use cairn_primitives::H256;
use cairn_runtime::{AccountId, Provenance, Runtime, RuntimeCall, RuntimeEvent, CRN};
use clap::Parser;
use codec::{Decode, Encode};
use frame_support::{
	dispatch::{DispatchClass, PerDispatchClass},
	traits::Get,
	weights::Weight,
};
use frame_system::EventRecord;
use futures::{stream, StreamExt, TryStreamExt};
use jsonrpsee::rpc_params;
use pallet_provenance::IncludedUpdate;
use serde_json::Value;
use sp_core::sr25519::Pair;
use sp_io::hashing::{blake2_256, twox_128};
use sp_runtime::MultiAddress;
use std::{
	collections::BTreeMap,
	fs,
	path::{Path, PathBuf},
	process::ExitCode,
	time::{Duration, Instant},
};

/// Submissions that are under way at once: enough that the node never waits for this program.
const AT_ONCE: usize = 128;

/// So many blocks without a transaction, and none waits any more.
const DRY: u32 = 5;

/// Updates of each round in the ledger that a chain starts with.
const UPDATES_PER_ROUND: u64 = 10;

/// Measures how many commits of updates one validator takes into its blocks, next to transfers on the same node, and
/// whether a commit costs more when the ledger is long.
#[derive(Parser)]
#[command(name = "cairn-bench-chain", version)]
struct Cli {
	/// Transactions of each kind
	#[arg(long, default_value_t = 16_000, value_parser = clap::value_parser!(u32).range(1..))]
	transactions: u32,
	/// How often each chain is started and measured
	#[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..))]
	passes: u32,
	/// Records in the shorter ledger
	#[arg(long, default_value_t = 1_000)]
	few: u64,
	/// Records in the longer ledger
	#[arg(long, default_value_t = 100_000)]
	many: u64,
	/// Where databases and logs go. A temporary folder when not given, which is kept when something fails
	#[arg(long, value_name = "DIR")]
	data_dir: Option<PathBuf>,
}

/// A kind of transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
	Transfer,
	Commit,
}

impl Kind {
	fn name(self) -> &'static str {
		match self {
			Self::Transfer => "balances.transfer_keep_alive",
			Self::Commit => "training.commit_update",
		}
	}

	/// Whether this event says that one of this kind succeeded.
	fn succeeded(self, event: &RuntimeEvent) -> bool {
		match self {
			Self::Transfer => {
				matches!(event, RuntimeEvent::Balances(pallet_balances::Event::Transfer { .. }))
			},
			Self::Commit => {
				matches!(event, RuntimeEvent::Training(pallet_training::Event::UpdateCommitted { .. }))
			},
		}
	}
}

/// A block that took transactions up.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Block {
	number: u32,
	/// The chain's time, milliseconds.
	time: u64,
	/// Transactions of the kind that succeeded.
	taken: u32,
	/// Part of the weight that ordinary transactions may have, from 0 to 1.
	full: f64,
	/// Milliseconds it took to put together.
	made_in: Option<u64>,
}

/// What one kind did on one chain.
#[derive(Clone, Debug, Default)]
struct Sample {
	/// Transactions per second, by the chain's clock, of each pass.
	rates: Vec<f64>,
	/// Microseconds that each transaction added to the making of a block, of each full block.
	costs: Vec<f64>,
	/// Transactions of each full block.
	taken: Vec<f64>,
	/// How full those blocks were.
	full: Vec<f64>,
}

// ---- genesis ----

/// Devices that commit: one place less than a round has, so that no round is complete and closes.
fn devices() -> u32 {
	let updates: u32 = <Runtime as pallet_training::Config>::MaxUpdates::get();
	let site: u32 = <Runtime as pallet_hardware::Config>::MaxDevicesPerSite::get();
	updates.saturating_sub(1).min(site).min(1_000)
}

/// A programme that waits for updates all the time, made of the one in the chain specification.
fn programme(model: &Value, index: u32) -> Value {
	let mut programme = model.clone();
	let updates: u32 = <Runtime as pallet_training::Config>::MaxUpdates::get();
	if let Some(fields) = programme.as_object_mut() {
		fields.insert("name".into(), format!("bench {index}").into());
		fields.insert("minUpdates".into(), 1.into());
		fields.insert("targetUpdates".into(), updates.into());
		fields.insert("maxUpdates".into(), updates.into());
		if let Some(schedule) = fields.get_mut("schedule").and_then(Value::as_object_mut) {
			schedule.insert("commit".into(), 10_000.into());
		}
	}
	programme
}

/// Appends rounds of the first programme until the ledger has this many records.
fn extend_ledger(producer: &AccountId, records: u64) {
	let hash = |what: &str, number: u64| H256(blake2_256(&(what, number).encode()));
	let mut base = 0;
	let mut round = 0;
	loop {
		let missing = records.saturating_sub(pallet_provenance::RecordCount::<Runtime>::get());
		// A round leaves a record of each update and one of the weights.
		if missing < 2 {
			return;
		}
		let first = u64::from(round) * UPDATES_PER_ROUND;
		let updates = (0..UPDATES_PER_ROUND.min(missing - 1)).map(|update| IncludedUpdate {
			producer: producer.clone(),
			device: 0,
			site: 0,
			artifact: hash("update", first + update),
		});
		let updates = updates.collect();
		let weights = hash("weights", round.into());
		let terms = hash("terms", round.into());
		base = Provenance::record_round(0, round, base, updates, weights, terms).weights;
		round += 1;
	}
}

// ---- transactions ----

/// The transactions of a kind: every account's first, then every account's second, and so on.
fn transactions(kind: Kind, pairs: &[Pair], count: u32, genesis: H256) -> Vec<String> {
	let accounts = pairs.len() as u32;
	let rounds = count.div_ceil(accounts);
	let one = |number: u32| {
		let (turn, index) = (number / accounts, (number % accounts) as usize);
		let call = match kind {
			Kind::Transfer => RuntimeCall::Balances(pallet_balances::Call::transfer_keep_alive {
				dest: MultiAddress::Id(account(&pairs[(index + 1) % pairs.len()])),
				value: CRN / 1_000,
			}),
			Kind::Commit => RuntimeCall::Training(pallet_training::Call::commit_update {
				programme: turn,
				round: 0,
				artifact: H256(blake2_256(&("committed", turn, number).encode())),
				samples: 1,
				local_steps: 1,
			}),
		};
		// Transfers come first.
		let nonce = if kind == Kind::Transfer { turn } else { rounds + turn };
		hexadecimal(&sign(call, &pairs[index], nonce, genesis).encode())
	};
	(0..count).map(one).collect()
}

// ---- blocks ----

fn storage_key(pallet: &str, item: &str) -> String {
	hexadecimal(&[twox_128(pallet.as_bytes()), twox_128(item.as_bytes())].concat())
}

async fn stored<T: Decode>(rpc: &Rpc, pallet: &str, item: &str, at: &str) -> Result<Option<T>> {
	let value: Option<String> =
		rpc.call("state_getStorage", rpc_params![storage_key(pallet, item), at]).await?;
	let Some(value) = value else { return Ok(None) };
	let value = T::decode(&mut &bytes(&value)?[..]);
	value.map(Some).with_context(|| format!("{pallet}::{item} is something else than expected"))
}

/// What a block took up.
async fn block(rpc: &Rpc, number: u32, kind: Kind) -> Result<Block> {
	let at = rpc.block_hash(number).await?;
	let events: Vec<EventRecord<RuntimeEvent, H256>> =
		stored(rpc, "System", "Events", &at).await?.unwrap_or_default();
	let weight: PerDispatchClass<Weight> =
		stored(rpc, "System", "BlockWeight", &at).await?.unwrap_or_default();
	let limits = <Runtime as frame_system::Config>::BlockWeights::get();
	let limit = limits.get(DispatchClass::Normal).max_total.unwrap_or(limits.max_block).ref_time();
	Ok(Block {
		number,
		time: rpc.time_at(number).await?,
		// Fees are not transfers, so each success has exactly one such event.
		taken: events.iter().filter(|record| kind.succeeded(&record.event)).count() as u32,
		full: weight.get(DispatchClass::Normal).ref_time() as f64 / limit as f64,
		made_in: None,
	})
}

async fn best(rpc: &Rpc) -> Result<u32> {
	let header: Value = rpc.call("chain_getHeader", rpc_params![]).await?;
	let number =
		header["number"].as_str().and_then(|n| u32::from_str_radix(n.trim_start_matches("0x"), 16).ok());
	number.context("the node names no best block")
}

/// How long each block took to put together, in milliseconds, from the node's log.
fn making_times(log: &str) -> BTreeMap<u32, u64> {
	log.lines()
		.filter_map(|line| {
			let (_, rest) = line.split_once("Prepared block for proposing at ")?;
			let (number, rest) = rest.split_once(" (")?;
			let (milliseconds, _) = rest.split_once(" ms)")?;
			Some((number.trim().parse().ok()?, milliseconds.parse().ok()?))
		})
		.collect()
}

/// Submits all transactions of a kind and gives the blocks that took them, the last of which need not be full, and
/// how many of the first came while transactions were still being submitted.
async fn load(
	validator: &Validator,
	kind: Kind,
	pairs: &[Pair],
	count: u32,
	ui: &Ui,
) -> Result<(Vec<Block>, usize)> {
	ui.status(format!("signing {count} of {}", kind.name()));
	let genesis = validator.genesis;
	let owned = pairs.to_vec();
	let signed = tokio::task::spawn_blocking(move || transactions(kind, &owned, count, genesis))
		.await
		.context("signing")?;
	let before = best(&validator.rpc).await?;
	ui.status(format!("submitting {count} of {}", kind.name()));
	stream::iter(signed.into_iter().map(|signed| {
		let rpc = validator.rpc.clone();
		async move { rpc.call::<String>("author_submitExtrinsic", rpc_params![signed]).await }
	}))
	.buffer_unordered(AT_ONCE)
	.try_for_each(|_| async { Ok(()) })
	.await?;

	let submitted = best(&validator.rpc).await?;
	let (mut blocks, mut taken, mut next, mut moved) = (Vec::new(), 0, before + 1, Instant::now());
	let mut dry = 0;
	while taken < count {
		if next > best(&validator.rpc).await? {
			ensure!(
				validator.process.is_running() && moved.elapsed() < PATIENCE,
				"{taken} of {count} of {} were taken up, then no more for {} seconds: the validator's log is {}",
				kind.name(),
				moved.elapsed().as_secs(),
				validator.process.log().display()
			);
			tokio::time::sleep(Duration::from_millis(250)).await;
			continue;
		}
		let block = block(&validator.rpc, next, kind).await?;
		next += 1;
		// The node's pool may forget a few of so many. They are missing at the end, behind the blocks that count.
		dry = if block.taken == 0 && next > submitted { dry + 1 } else { 0 };
		if dry > DRY {
			ui.line(format!("the pool forgot {} of {count} of {}", count - taken, kind.name()));
			break;
		}
		if block.taken > 0 {
			(taken, moved) = (taken + block.taken, Instant::now());
			ui.status(format!("{taken} of {count} of {}", kind.name()));
		}
		blocks.push(block);
	}
	while blocks.last().is_some_and(|block| block.taken == 0) {
		blocks.pop();
	}
	let log = fs::read_to_string(validator.process.log()).unwrap_or_default();
	let times = making_times(&log);
	for block in &mut blocks {
		block.made_in = times.get(&block.number).copied();
	}
	let early = blocks.iter().filter(|block| block.number <= submitted).count();
	Ok((blocks, early))
}

/// Adds what a pass brought to a sample. Counted are the blocks that were made when everything waited in the pool, but
/// for the first, whose making may have begun before, and the last, which takes what is left.
fn add(sample: &mut Sample, blocks: &[Block], early: usize) -> Result<()> {
	let first = (early + 1).max(1);
	let last = blocks.len().saturating_sub(1);
	ensure!(
		first + 2 <= last,
		"only {} blocks were full when all transactions waited: measure with more --transactions",
		last.saturating_sub(first)
	);
	let (before, counted) = (&blocks[first - 1], &blocks[first..last]);
	let seconds = (counted[counted.len() - 1].time.saturating_sub(before.time)) as f64 / 1_000.0;
	let taken: u32 = counted.iter().map(|block| block.taken).sum();
	sample.rates.push(f64::from(taken) / seconds);
	for block in counted.iter().filter(|block| block.taken > 0) {
		sample.taken.push(block.taken.into());
		sample.full.push(block.full);
		if let Some(milliseconds) = block.made_in {
			sample.costs.push(milliseconds as f64 * 1_000.0 / f64::from(block.taken));
		}
	}
	Ok(())
}

fn main() -> ExitCode {
	let (cli, ui) = (Cli::parse(), Ui::default());
	program::run("cairn-bench-chain", &ui, measure(&cli, &ui))
}

async fn measure(cli: &Cli, ui: &Ui) -> Result<String> {
	ensure!(cli.few < cli.many, "--few must be less than --many");
	let binaries = Binaries::beside_this_one()?;
	let folder = Folder::new(cli.data_dir.as_deref())?;
	let outcome = passes(cli, &binaries, folder.path(), ui).await;
	folder.after(outcome, ui).map(|samples| show(cli, &samples))
}

type Samples = BTreeMap<(u64, Kind), Sample>;

async fn passes(cli: &Cli, binaries: &Binaries, folder: &Path, ui: &Ui) -> Result<Samples> {
	let pairs: Vec<Pair> = (0..devices()).map(keys).collect();
	let accounts: Vec<AccountId> = pairs.iter().map(account).collect();
	let programmes = cli.transactions.div_ceil(devices());
	let mut specs = Vec::new();
	for records in [cli.few, cli.many] {
		ui.status(format!("making a chain with {records} records"));
		let producer = accounts.first().context("there is no account")?;
		let fill = || {
			extend_ledger(producer, records);
			Ok(())
		};
		let name = records.to_string();
		let spec = make_spec(
			binaries,
			folder,
			&name,
			|model| (0..programmes).map(|index| programme(model, index)).collect(),
			|storage| populate(storage, &accounts, fill),
		);
		specs.push((records, spec.await?));
	}
	let mut samples = Samples::new();
	for pass in 1..=cli.passes {
		// In turns, so that a machine that gets slower or faster does so for both.
		for (records, spec) in &specs {
			let name = format!("{records}-{pass}");
			let (base, log) = (folder.join(&name), folder.join(format!("{name}.log")));
			let validator = Validator::start(binaries, spec, &base, &log, &[]).await?;
			for kind in [Kind::Transfer, Kind::Commit] {
				let (blocks, early) = load(&validator, kind, &pairs, cli.transactions, ui).await?;
				let sample = samples.entry((*records, kind)).or_default();
				add(sample, &blocks, early)
					.with_context(|| format!("{} with {records} records", kind.name()))?;
				ui.line(format!(
					"pass {pass}, {records} records, {}: {:.0} per second",
					kind.name(),
					sample.rates.last().copied().unwrap_or(f64::NAN)
				));
			}
			validator.process.stop().await;
			let removed = fs::remove_dir_all(&base);
			removed.with_context(|| format!("cannot remove {}", base.display()))?;
		}
	}
	Ok(samples)
}

fn show(cli: &Cli, samples: &Samples) -> String {
	let value = |records: u64, kind: Kind, of: fn(&Sample) -> &[f64]| {
		samples.get(&(records, kind)).map_or(f64::NAN, |sample| median(of(sample)))
	};
	let rows: Vec<Vec<String>> = samples
		.iter()
		.map(|((records, kind), sample)| {
			vec![
				records.to_string(),
				kind.name().into(),
				format!("{:.1}", median(&sample.rates)),
				format!("{:.0}", median(&sample.taken)),
				format!("{:.0} %", 100.0 * median(&sample.full)),
				format!("{:.1}", median(&sample.costs)),
			]
		})
		.collect();
	let header = ["records", "call", "per second", "per block", "of the block's weight", "µs each"];
	let (few, many) = (cli.few, cli.many);
	let rates: fn(&Sample) -> &[f64] = |sample| &sample.rates;
	let costs: fn(&Sample) -> &[f64] = |sample| &sample.costs;
	let throughput = value(few, Kind::Commit, rates) / value(few, Kind::Transfer, rates);
	let growth = value(many, Kind::Commit, costs) / value(few, Kind::Commit, costs);
	let verdict = |holds: bool| if holds { "holds" } else { "does not hold" };
	format!(
		"{}\n\nMedians over {} passes of {} transactions; `µs each` is the time that the validator took to put a full block \
		 together, divided by its transactions.\n\
		 Commits per second against transfers on the same node: {throughput:.2} (at least 0.90: {}).\n\
		 Cost of a commit with {many} records against {few}: {growth:.2} (at most 1.10: {}).",
		table(&header, &rows),
		cli.passes,
		cli.transactions,
		verdict(throughput >= 0.9),
		verdict(growth <= 1.1)
	)
}

#[cfg(test)]
mod tests {
	#![allow(clippy::unwrap_used)]
	use super::*;
	use cairn_runtime::Hardware;
	use cairn_runtime::UncheckedExtrinsic;
	use clap::CommandFactory;
	use sp_runtime::generic;
	use sp_runtime::BuildStorage;
	use sp_runtime::Storage;
	use sp_state_machine::BasicExternalities;

	fn storage() -> Storage {
		cairn_runtime::RuntimeGenesisConfig::default().build_storage().unwrap()
	}

	fn block(number: u32, taken: u32, made_in: u64) -> Block {
		Block { number, time: u64::from(number) * 3_000, taken, full: 1.0, made_in: Some(made_in) }
	}

	#[test]
	fn command_line_is_consistent() {
		Cli::command().debug_assert();
	}

	#[test]
	fn making_times_are_found_among_other_lines() {
		let log = "2026-01-31 12:00:00 Idle\n\
			2026-01-31 12:00:03 🎁 Prepared block for proposing at 12 (345 ms) hash: 0x00; extrinsics_count: 1800\n\
			2026-01-31 12:00:06 🎁 Prepared block for proposing at x (1 ms) hash: 0x00";
		assert_eq!(making_times(log), BTreeMap::from([(12, 345)]));
	}

	#[test]
	fn only_full_blocks_after_the_submission_count() {
		let blocks = [
			block(1, 50, 10),
			block(2, 100, 20),
			block(3, 100, 30),
			block(4, 100, 40),
			block(5, 100, 50),
			block(6, 7, 5),
		];
		let mut sample = Sample::default();
		add(&mut sample, &blocks, 2).unwrap();
		// Blocks 4 and 5: 200 in the 6 seconds since block 3.
		assert_eq!(sample.rates, [200.0 / 6.0]);
		assert_eq!(sample.costs, [400.0, 500.0]);
		let message = add(&mut sample, &blocks, 4).unwrap_err().to_string();
		assert!(message.contains("--transactions"), "{message}");
	}

	#[test]
	fn genesis_has_devices_that_may_take_part_and_a_ledger_as_long_as_asked_for() {
		let accounts: Vec<AccountId> = (0..3).map(keys).map(|pair| account(&pair)).collect();
		let prepare = || {
			extend_ledger(&accounts[0], 1_000);
			Ok(())
		};
		let mut state = BasicExternalities::new(populate(storage(), &accounts, prepare).unwrap());
		state.execute_with(|| {
			assert_eq!(pallet_provenance::RecordCount::<Runtime>::get(), 1_000);
			for account in &accounts {
				assert!(Hardware::active_device(account).is_some());
			}
		});
	}

	#[test]
	fn every_account_commits_once_to_each_programme_with_nonces_in_order() {
		let pairs: Vec<Pair> = (0..3).map(keys).collect();
		let mut seen = BTreeMap::new();
		for kind in [Kind::Transfer, Kind::Commit] {
			for signed in transactions(kind, &pairs, 6, H256::zero()) {
				let transaction = UncheckedExtrinsic::decode(&mut &bytes(&signed).unwrap()[..]).unwrap();
				let generic::Preamble::Signed(signer, _, extension) = transaction.preamble.clone() else {
					panic!("it is signed")
				};
				let nonces: &mut Vec<u32> = seen.entry(format!("{signer:?}")).or_default();
				assert_eq!(extension.5 .0 as usize, nonces.len());
				nonces.push(extension.5 .0);
			}
		}
		assert!(seen.values().all(|nonces| nonces.len() == 4), "{seen:?}");
	}
}
