//! `cairn-bench-state`: how many bytes of state a finalised round leaves, by the number of its updates.
//!
//! The runtime itself runs, natively and in memory: trainers and committees make their calls, round after round. What is
//! counted are the keys and values of the whole state before and after a round, not the database's overhead on them.

use anyhow::{anyhow, ensure, Context, Result};
use cairn_devnet::ui::table;
use cairn_primitives::{
	bitmap, ledger::batch_key, round::aggregate_commitment, views::Phase, AggregationRule, DeviceClass,
	DeviceState, EnergySource, Schedule, H256,
};
use cairn_runtime::{
	AccountId, Balance, Balances, Hardware, Rewards, Runtime, RuntimeGenesisConfig, RuntimeOrigin, System,
	Training, CRN,
};
use clap::Parser;
use frame_support::traits::{fungible::Mutate, Get, PalletsInfoAccess};
use pallet_training::GenesisProgramme;
use sp_io::{hashing::blake2_256, hashing::twox_128, TestExternalities};
use sp_runtime::{BuildStorage, DispatchError};
use std::{collections::BTreeMap, process::ExitCode};

/// Rounds before the ones that count: trainers are paid for the first time, and the ledger knows a block before.
const WARM_UP: u32 = 2;

/// Measures how many bytes of state a finalised round leaves.
#[derive(Parser)]
#[command(name = "cairn-bench-state", version)]
struct Cli {
	/// Updates per round, one chain for each
	#[arg(long, value_delimiter = ',', default_values_t = [10, 100, 1_000])]
	updates: Vec<u32>,
	/// Rounds that are measured on each chain
	#[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
	rounds: u32,
	/// Members of the committee
	#[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..))]
	committee: u32,
}

/// Bytes and entries of a part of the state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Size {
	bytes: u64,
	entries: u64,
}

/// What the rounds of one chain left.
struct Outcome {
	updates: u32,
	rounds: u32,
	/// What each pallet's part of the state grew by.
	growth: BTreeMap<String, (i64, i64)>,
	/// Bytes that went into the offchain index.
	offchain: u64,
	/// Records that the ledger has in the end.
	records: u64,
}

fn hash(what: &str, number: u64) -> H256 {
	H256(blake2_256(&codec::Encode::encode(&(what, number))))
}

fn account(number: u32) -> AccountId {
	AccountId::new(blake2_256(&codec::Encode::encode(&("cairn bench state", number))))
}

fn signed(account: &AccountId) -> RuntimeOrigin {
	RuntimeOrigin::signed(account.clone())
}

/// Says which call was refused.
fn refused<E: Into<DispatchError>>(what: &'static str) -> impl Fn(E) -> anyhow::Error {
	move |error| anyhow!("{what} is refused: {:?}", error.into())
}

/// A chain whose one programme takes `updates` updates in a round.
fn genesis(updates: u32, committee: u32, rounds: u32) -> Result<TestExternalities> {
	let mut config = RuntimeGenesisConfig::default();
	config.training.programmes = vec![GenesisProgramme {
		name: "state".into(),
		config: hash("config", 0),
		genesis_weights: hash("weights", 0),
		aggregation: AggregationRule::WeightedMean.into(),
		schedule: Schedule { commit: 10, availability: 10, aggregate: 10, reveal: 10, challenge: 0 },
		committee_size: committee,
		audit_size: None,
		min_updates: updates,
		target_updates: updates,
		max_updates: updates,
		max_samples: 1_000,
		max_local_steps: 1_000,
		rounds,
		reward_per_round: CRN,
		committee_share: 10,
		licence: String::new(),
		data_category: String::new(),
		epsilon_per_round: None,
		challenge_bond: 0,
		pot: Balance::from(rounds) * CRN,
	}];
	let storage = config.build_storage().map_err(|e| anyhow!("the genesis is refused: {e}"))?;
	Ok(TestExternalities::new(storage))
}

/// Registers a device for every account and enlists the first `committee` of them as aggregators.
fn populate(accounts: &[AccountId], committee: u32) -> Result<()> {
	let owner = accounts.first().context("there is no account")?;
	let per_site: u32 = <Runtime as pallet_hardware::Config>::MaxDevicesPerSite::get();
	for account in accounts {
		Balances::mint_into(account, 10_000 * CRN).map_err(refused("endowing an account"))?;
	}
	for (site, group) in (0..).zip(accounts.chunks(per_site as usize)) {
		let region = b"EU".to_vec().try_into().unwrap_or_default();
		Hardware::register_site(
			signed(owner),
			b"bench".to_vec().try_into().unwrap_or_default(),
			region,
			EnergySource::Renewable,
		)
		.map_err(refused("a site"))?;
		for account in group {
			let device = pallet_hardware::DeviceCount::<Runtime>::get();
			Hardware::register_device(signed(owner), site, account.clone(), DeviceClass::Cpu, 16_384)
				.map_err(refused("a device"))?;
			// Binding a libp2p key is not what is measured.
			pallet_hardware::Devices::<Runtime>::mutate(device, |entry| {
				if let Some(entry) = entry {
					entry.state = DeviceState::Active;
				}
			});
		}
	}
	let bond = <Runtime as pallet_rewards::Config>::MinAggregatorBond::get();
	for account in accounts.iter().take(committee as usize) {
		Rewards::bond(signed(account), bond).map_err(refused("a bond"))?;
		Training::enlist_aggregator(signed(account)).map_err(refused("an aggregator"))?;
	}
	Ok(())
}

/// Everybody does everything right, from an open commit window to a finalised round.
fn round(trainers: &[AccountId]) -> Result<()> {
	let next_block = || {
		System::reset_events();
		System::set_block_number(System::block_number() + 1);
	};
	let current = || Training::current_round(0).context("no round runs");
	next_block();
	let index = current()?.index;
	for (n, trainer) in (0..).zip(trainers) {
		let artifact = hash("update", u64::from(index) << 32 | n);
		Training::commit_update(signed(trainer), 0, index, artifact, 100, 10)
			.map_err(|e| refused("a commit")(e.error))?;
	}
	next_block();
	let running = current()?;
	ensure!(running.phase == Phase::Availability, "no committee was drawn");
	let members: Vec<_> = running.committee.into_iter().map(|member| member.account).collect();
	let all = bitmap::from_fn(running.commit_count, |_| true);
	for member in &members {
		let all = all.clone().try_into().map_err(|_| anyhow!("the bitmap is too long"))?;
		Training::vote_availability(signed(member), 0, index, 0, all)
			.map_err(|e| refused("a vote")(e.error))?;
	}
	next_block();
	let (result, salt) = (hash("weights", u64::from(index) + 1), [7; 32]);
	let quality = vec![100; trainers.len()];
	for member in &members {
		let commitment = aggregate_commitment(
			&System::block_hash(0),
			0,
			index,
			0,
			member.as_ref(),
			&result,
			&quality,
			&salt,
		);
		Training::commit_aggregate(signed(member), 0, index, 0, commitment)
			.map_err(|e| refused("a commitment")(e.error))?;
	}
	next_block();
	for member in &members {
		let quality = quality.clone().try_into().map_err(|_| anyhow!("too many updates"))?;
		Training::reveal_aggregate(signed(member), 0, index, 0, result, quality, salt)
			.map_err(|e| refused("a reveal")(e.error))?;
	}
	let settled = Training::round_info(0, index).context("the round is gone")?;
	ensure!(settled.result == Some(result), "round {index} ended as {:?}", settled.phase);
	System::reset_events();
	Ok(())
}

/// The size of the state, by pallet.
fn sizes() -> BTreeMap<[u8; 16], Size> {
	let mut sizes = BTreeMap::<_, Size>::new();
	let mut key = Vec::new();
	while let Some(next) = sp_io::storage::next_key(&key) {
		let value = sp_io::storage::get(&next).map_or(0, |value| value.len());
		let mut pallet = [0; 16];
		// Keys that are shorter than a pallet's prefix, as the runtime's code, belong to none.
		if let Some(prefix) = next.get(..16) {
			pallet.copy_from_slice(prefix);
		}
		let size = sizes.entry(pallet).or_default();
		size.bytes += (next.len() + value) as u64;
		size.entries += 1;
		key = next;
	}
	sizes
}

fn measure(updates: u32, cli: &Cli) -> Result<Outcome> {
	let rounds = WARM_UP + cli.rounds;
	let accounts: Vec<_> = (0..updates + cli.committee).map(account).collect();
	let trainers = &accounts[cli.committee as usize..];
	let mut chain = genesis(updates, cli.committee, rounds + 1)?;
	chain.execute_with(|| {
		System::set_block_number(1);
		populate(&accounts, cli.committee)
	})?;
	let run = |chain: &mut TestExternalities, rounds: u32| {
		chain.execute_with(|| (0..rounds).try_for_each(|_| round(trainers)).map(|()| sizes()))
	};
	let before = run(&mut chain, WARM_UP)?;
	let after = run(&mut chain, cli.rounds)?;

	let names: BTreeMap<_, _> = cairn_runtime::AllPalletsWithSystem::infos()
		.into_iter()
		.map(|pallet| (twox_128(pallet.name.as_bytes()), pallet.name))
		.collect();
	let mut growth = BTreeMap::new();
	for prefix in before.keys().chain(after.keys()) {
		let size = |of: &BTreeMap<_, Size>| of.get(prefix).copied().unwrap_or_default();
		let (old, new) = (size(&before), size(&after));
		let name = names.get(prefix).copied().unwrap_or("other");
		if old != new {
			let grown = |old: u64, new: u64| new as i64 - old as i64;
			growth.insert(name.to_string(), (grown(old.bytes, new.bytes), grown(old.entries, new.entries)));
		}
	}
	chain.persist_offchain_overlay();
	let index = chain.offchain_db();
	let (offchain, records) = chain.execute_with(|| {
		let batches = pallet_provenance::BatchCount::<Runtime>::get();
		let measured = batches.saturating_sub(cli.rounds.into())..batches;
		let bytes = measured.filter_map(pallet_provenance::Batches::<Runtime>::get).map(|batch| {
			let key = batch_key(&batch.root);
			index.get(&key).map_or(0, |value| (key.len() + value.len()) as u64)
		});
		(bytes.sum(), pallet_provenance::RecordCount::<Runtime>::get())
	});
	Ok(Outcome { updates, rounds: cli.rounds, growth, offchain, records })
}

fn report(outcomes: &[Outcome], committee: u32) -> String {
	let pallets: BTreeMap<_, _> =
		outcomes.iter().flat_map(|o| &o.growth).map(|(name, _)| (name, ())).collect();
	let mut header = vec!["updates", "state, bytes", "entries"];
	header.extend(pallets.keys().map(|name| name.as_str()));
	header.extend(["offchain index, bytes", "records"]);
	let rows: Vec<_> = outcomes
		.iter()
		.map(|outcome| {
			let per_round = |sum: i64| {
				let rounds = i64::from(outcome.rounds);
				match sum % rounds {
					0 => (sum / rounds).to_string(),
					_ => format!("{:.1}", sum as f64 / rounds as f64),
				}
			};
			let (bytes, entries) =
				outcome.growth.values().fold((0, 0), |(b, e), (bytes, entries)| (b + bytes, e + entries));
			let mut row = vec![outcome.updates.to_string(), per_round(bytes), per_round(entries)];
			row.extend(
				pallets
					.keys()
					.map(|name| per_round(outcome.growth.get(name.as_str()).map_or(0, |(bytes, _)| *bytes))),
			);
			row.extend([per_round(outcome.offchain as i64), outcome.records.to_string()]);
			row
		})
		.collect();
	format!(
		"{}\n\nPer finalised round with a committee of {committee}: keys and values of the whole state, by pallet; and what \
		 the round's records take in the offchain index.",
		table(&header, &rows)
	)
}

fn main() -> ExitCode {
	let cli = Cli::parse();
	let outcomes: Result<Vec<_>> = cli
		.updates
		.iter()
		.map(|updates| measure(*updates, &cli).with_context(|| format!("with {updates} updates a round")))
		.collect();
	match outcomes {
		Ok(outcomes) => {
			println!("{}", report(&outcomes, cli.committee));
			ExitCode::SUCCESS
		},
		Err(error) => {
			eprintln!("Error: {error:#}");
			ExitCode::FAILURE
		},
	}
}
