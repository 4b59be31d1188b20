//! Whether the chain, the model and the pay are what they should be after a bad day.

use super::{
	longest_round,
	plan::{self, Fault, FLIPPERS, HONEST, LIAR, NOT_A_NUMBER, SPOILER},
	Story,
};
use crate::{
	devnet::{Devnet, PROGRAMME},
	ledger::{check_records, committed, events_of, Counts},
	report::Lineage,
	rpc::{RewardInfo, RoundInfo},
	ui::table,
};
use anyhow::{ensure, Context, Result};
use cairn_artifacts::Store;
use cairn_primitives::{
	bitmap,
	round::{fault_evidence, Revealed},
	views::{FaultKind, MemberOutcome, Phase, SlashInfo, MAX_PAGE},
	H256,
};
use codec::{Decode, Encode};
use jsonrpsee::rpc_params;
use std::{collections::BTreeSet, fmt, fs, str::FromStr};
use subxt::utils::AccountId32;

/// What the model must reach on the held-out digits.
const ACCURACY: f64 = 0.9;

/// What came of it.
pub struct Report {
	/// The plan, the rounds and the workers.
	pub text: String,
	/// What was checked, and what was found or what is wrong.
	pub checks: Vec<(&'static str, Result<String>)>,
}

impl Report {
	/// Whether all of it held.
	pub fn is_ok(&self) -> bool {
		self.checks.iter().all(|(_, outcome)| outcome.is_ok())
	}
}

impl fmt::Display for Report {
	fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
		writeln!(f, "{}", self.text)?;
		for (name, outcome) in &self.checks {
			match outcome {
				Ok(found) => writeln!(f, "ok      {name}: {found}")?,
				Err(error) => writeln!(f, "FAILED  {name}: {error:#}")?,
			}
		}
		Ok(())
	}
}

/// Checks everything at the block at which the story ends.
///
/// # Errors
/// When the node cannot be asked for what the report shows. What is wrong is in the report.
pub async fn check(net: &Devnet, story: &Story) -> Result<Report> {
	let mut checks: Vec<(&'static str, Result<String>)> = Vec::new();
	let mut add = |name, outcome| {
		net.ui().status(name);
		checks.push((name, outcome));
	};
	add("the model has learned", model_has_learned(net, story).await);
	add("honest workers are paid", honest_are_paid(net, story).await);
	add("the liar is recorded with evidence", liar_is_recorded(net, story).await);
	add("updates that are not numbers are refused", not_a_number_is_refused(net, story).await);
	add("wrong bytes are refused", wrong_bytes_are_refused(net));
	add("no round blocked", no_round_blocked(story));
	add("the network was split, and healed", network_was_split(net, story).await);
	add("no record is doubled or lost", records_are_right(net, story).await);
	add("no honest update is lost", nothing_is_lost(net, story).await);
	add("the lineage leads to genesis", lineage_leads_to_genesis(net).await);
	add("every aggregate is recomputed bit for bit", aggregates_are_recomputed(net, story).await);
	let text = format!(
		"{}\n{}\n\n{}\n\n{} s from the first round to the last.\n",
		story.plan,
		rounds_table(net, story).await?,
		workers_table(net, story).await?,
		story.took.as_secs()
	);
	Ok(Report { text, checks })
}

fn finalised(story: &Story) -> impl Iterator<Item = &RoundInfo> {
	story.rounds.iter().filter(|round| round.phase == Phase::Finalised)
}

fn account(net: &Devnet, worker: usize) -> &str {
	&net.worker(worker).identity.account
}

async fn rewards(net: &Devnet, story: &Story, worker: usize) -> Result<RewardInfo> {
	net.rpc().rewards(PROGRAMME, account(net, worker), Some(&story.end.hash)).await
}

async fn model_has_learned(net: &Devnet, story: &Story) -> Result<String> {
	let found = net.evaluate(&story.programme.weights, &story.programme.config).await?;
	let text = format!("accuracy {:.4} on {} held-out digits", found.accuracy, found.samples);
	ensure!(found.accuracy >= ACCURACY, "{text}, less than {ACCURACY}");
	Ok(text)
}

async fn honest_are_paid(net: &Devnet, story: &Story) -> Result<String> {
	let mut least = u128::MAX;
	for worker in HONEST {
		let reward = rewards(net, story, worker).await?;
		let earned = reward.claimable + reward.claimed;
		ensure!(earned > 0, "{} earned nothing", net.worker(worker).name);
		least = least.min(earned);
	}
	Ok(format!("each earned at least {} CRN", least / UNIT))
}

/// One CRN, in plancks.
const UNIT: u128 = 1_000_000_000_000;

async fn slashes(
	net: &Devnet,
	account: &AccountId32,
	at: &str,
) -> Result<Vec<SlashInfo<[u8; 32], u128, u32>>> {
	let arguments: String = account.0.encode().iter().map(|b| format!("{b:02x}")).collect();
	let params = rpc_params!["SlashesApi_slashes", format!("0x{arguments}"), at];
	let answer: String = net.rpc().call("state_call", params).await?;
	Vec::decode(&mut &bytes_of(&answer)?[..]).context("the answer of SlashesApi_slashes")
}

fn bytes_of(hexadecimal: &str) -> Result<Vec<u8>> {
	let digits = hexadecimal.strip_prefix("0x").context("hexadecimal")?;
	let bytes = (0..digits.len()).step_by(2).map(|i| {
		let byte = digits.get(i..i + 2).context("an even number of digits")?;
		u8::from_str_radix(byte, 16).context("hexadecimal")
	});
	bytes.collect()
}

/// Each time that the liar revealed another aggregate than its committee, the round's entry says so, and a slash waits
/// whose evidence is the hash over what it revealed, by its own word, and what was settled. Nobody else has one.
async fn liar_is_recorded(net: &Devnet, story: &Story) -> Result<String> {
	let genesis = H256::from_str(net.genesis())?;
	let parse = |worker: usize| {
		AccountId32::from_str(account(net, worker))
			.map_err(|e| anyhow::anyhow!("{}: {e}", account(net, worker)))
	};
	let liar = parse(LIAR)?;
	let pending = slashes(net, &liar, &story.end.hash).await?;
	let lies = events_of(net.worker(LIAR), "hostile.lied")?;
	let (mut caught, mut evidence) = (0, BTreeSet::new());
	for round in finalised(story) {
		let member = round.committee.iter().find(|m| m.account == account(net, LIAR));
		match member.and_then(|m| m.outcome) {
			None | Some(MemberOutcome::Silent) => continue,
			Some(MemberOutcome::Dissented) => caught += 1,
			Some(other) => anyhow::bail!("round {}: the liar is recorded as {other:?}", round.index),
		}
		let lie = lies.iter().find(|e| e["round"] == round.index && e["attempt"] == round.attempt);
		let lie = lie.with_context(|| format!("round {}: dissent without a lie", round.index))?;
		let hash = |field: &str| -> Result<H256> {
			Ok(H256::from_str(lie[field].as_str().context("a lie has its hashes")?)?)
		};
		let revealed = Revealed { result: hash("result")?, quality: hash("quality")? };
		let (result, quality) = round.result.zip(round.quality).context("a finalised round has a result")?;
		let settled = Revealed { result, quality };
		let expected =
			fault_evidence(&genesis, PROGRAMME, round.index, round.attempt, &liar.0, &revealed, &settled);
		let slash = pending.iter().find(|s| s.evidence == expected);
		let slash = slash.with_context(|| format!("round {}: no slash has this evidence", round.index))?;
		ensure!(slash.kind == FaultKind::Dissented, "round {}: {slash:?}", round.index);
		evidence.insert(expected);
	}
	ensure!(caught > 0, "the liar was never recorded in {} rounds", story.rounds.len());
	ensure!(
		evidence.len() == pending.len(),
		"{} lies, {} slashes: {pending:?}",
		evidence.len(),
		pending.len()
	);
	for worker in (0..plan::WORKERS).filter(|w| *w != LIAR) {
		let pending = slashes(net, &parse(worker)?, &story.end.hash).await?;
		ensure!(pending.is_empty(), "{} told no lie: {pending:?}", net.worker(worker).name);
	}
	Ok(format!("{caught} times, each with its evidence; it earned {}", earned(net, story, LIAR).await?))
}

async fn earned(net: &Devnet, story: &Story, worker: usize) -> Result<String> {
	let reward = rewards(net, story, worker).await?;
	let total = reward.claimable + reward.claimed;
	Ok(format!("{}.{:03} CRN", total / UNIT, total % UNIT / (UNIT / 1000)))
}

/// The accounts whose updates a round included.
async fn producers(net: &Devnet, round: &RoundInfo) -> Result<Vec<(String, H256)>> {
	let range = round.updates.context("a finalised round has updates")?;
	let mut found = Vec::new();
	for id in range.first..range.first + u64::from(range.count) {
		let record = net.rpc().record(id, None).await?.record;
		found.push((record.producer.context("an update has a producer")?, record.artifact));
	}
	Ok(found)
}

async fn not_a_number_is_refused(net: &Devnet, story: &Story) -> Result<String> {
	let hostile = account(net, NOT_A_NUMBER);
	let mut tried = 0;
	for round in finalised(story) {
		let included = producers(net, round).await?;
		ensure!(included.iter().all(|(who, _)| who != hostile), "round {} includes one", round.index);
		tried += committed(net.worker(NOT_A_NUMBER), round.index)?.len();
	}
	ensure!(tried > 0, "none was ever committed");
	let mut seen = 0;
	for worker in HONEST {
		let refused = events_of(net.worker(worker), "update.refused")?;
		let reason = |e: &serde_json::Value| e["reason"].as_str().unwrap_or_default().to_string();
		seen += refused.iter().filter(|e| reason(e).contains("not finite")).count();
	}
	ensure!(seen > 0, "no honest worker says that it refused one");
	let paid = rewards(net, story, NOT_A_NUMBER).await?.points;
	ensure!(paid == 0, "its sender has {paid} points");
	Ok(format!("{tried} were committed, {seen} times an honest worker refused one, none was included"))
}

/// How many honest workers say in their logs that they keep out the peer that served wrong bytes.
///
/// # Errors
/// When a log cannot be read.
pub(super) fn keep_out_the_spoiler(net: &Devnet) -> Result<usize> {
	let peer = &net.worker(SPOILER).identity.peer_id;
	let mut count = 0;
	for worker in HONEST {
		let log = &net.worker(worker).log;
		let text = fs::read(log).with_context(|| format!("cannot read {}", log.display()))?;
		let text = String::from_utf8_lossy(&text);
		let says = |line: &str| ["peer refused", peer, "bytes"].iter().all(|part| line.contains(part));
		count += usize::from(text.lines().any(says));
	}
	Ok(count)
}

/// What the honest workers store is what its name says, whoever served it; and who got wrong bytes said so.
fn wrong_bytes_are_refused(net: &Devnet) -> Result<String> {
	let served = events_of(net.worker(SPOILER), "hostile.served")?.len();
	ensure!(served > 0, "nobody ever asked for wrong bytes");
	let mut artifacts = 0;
	for worker in HONEST {
		let worker = net.worker(worker);
		let store = Store::open_read_only(worker.store())?;
		for artifact in store.list()? {
			let bytes = store.get(&artifact).with_context(|| format!("in the store of {}", worker.name))?;
			artifacts += usize::from(bytes.is_some());
		}
	}
	let banned = keep_out_the_spoiler(net)?;
	ensure!(banned > 0, "{served} times wrong bytes were served, and no honest worker kept the peer out");
	Ok(format!(
		"served {served} times; {banned} honest workers keep the peer out; all {artifacts} artifacts in honest stores are intact"
	))
}

fn no_round_blocked(story: &Story) -> Result<String> {
	let mut longest = 0;
	let mut failed = Vec::new();
	for round in &story.rounds {
		let end = round.deadline.context("a settled round has the block that settled it")?;
		let blocks = end.saturating_sub(round.opened.max(story.begun));
		longest = longest.max(blocks);
		if round.phase == Phase::Failed {
			failed.push(format!("{} ({:?})", round.index, round.failure));
		}
		let mut cuts = story.cuts.iter().filter(|cut| cut.overlaps(round.opened, end)).peekable();
		let one_less =
			cuts.peek().is_some() || story.dead.iter().any(|dead| dead.overlaps(round.opened, end));
		let most = longest_round(round.attempt + 1, one_less);
		// No window closes while nothing is finalised.
		ensure!(
			blocks <= most || cuts.any(|cut| matches!(cut.fault, Fault::Halves { .. })),
			"round {} took {blocks} blocks, of which its windows and {} committees explain {most}",
			round.index,
			round.attempt + 1
		);
	}
	let again = match failed.is_empty() {
		true => "none failed".to_string(),
		false => format!("failed, and made up for by later ones: {}", failed.join(", ")),
	};
	Ok(format!("{} rounds, the longest of {longest} blocks; {again}", story.rounds.len()))
}

/// While the network was split, the watched side went on exactly when it had a majority, the other side did not, and in
/// the end both have the same blocks.
async fn network_was_split(net: &Devnet, story: &Story) -> Result<String> {
	/// What may have been on its way when the cable was cut.
	const UNDER_WAY: u32 = 3;
	let mut found = Vec::new();
	for cut in &story.cuts {
		let (from, here, there) = (cut.from.number, cut.here.number, cut.there.number);
		ensure!(there <= from + UNDER_WAY, "cut off at block {from}, the other side finalised {there}");
		match cut.fault {
			Fault::Halves { .. } => {
				ensure!(here <= from + UNDER_WAY, "without a majority, {here} was finalised after {from}");
			},
			_ => ensure!(here > from + 2 * UNDER_WAY, "the majority finalised only {here} after {from}"),
		}
		found.push(format!("{from} to {here} without validator-{} ({there})", cut.validator + 1));
	}
	ensure!(
		story.cuts.iter().any(|cut| matches!(cut.fault, Fault::Split { .. })),
		"the network was never split"
	);
	for validator in 0..plan::VALIDATORS {
		let rpc = net.rpc_of(validator);
		let head = rpc.finalised().await?;
		let at = head.number.min(story.end.number);
		let (theirs, ours) = (rpc.block_hash(at).await?, net.rpc().block_hash(at).await?);
		ensure!(theirs == ours, "block {at} of validator-{} is another one", validator + 1);
		// Nobody was cut off in the last rounds.
		ensure!(
			head.number + 10 >= story.end.number,
			"validator-{} has finalised {} of {} only",
			validator + 1,
			head.number,
			story.end.number
		);
	}
	Ok(format!("{}; all validators have the same chain", found.join("; ")))
}

async fn records_are_right(net: &Devnet, story: &Story) -> Result<String> {
	let Counts { records, finalised, failed } = check_records(net, &story.end).await?;
	Ok(format!(
		"{records} records of {finalised} finalised and {failed} failed rounds, each as its worker says"
	))
}

/// Whether a member had every update in hand when it voted, but perhaps those of the worker that it keeps out. As the
/// window closes it votes with what is there.
fn had_all(net: &Devnet, story: &Story, round: u32, vote: &serde_json::Value) -> Result<bool> {
	let count = |field: &str| vote[field].as_u64().with_context(|| format!("a vote has no `{field}`"));
	let held = bytes_of(vote["bitmap"].as_str().context("a vote has a bitmap")?)?;
	let commits = story.commits.get(&round).into_iter().flatten();
	let kept_out = commits.filter(|c| c.producer == account(net, SPOILER) && !bitmap::get(&held, c.index));
	Ok(count("held")? + count("refused")? + kept_out.count() as u64 == count("commits")?)
}

/// Whatever an honest worker has seen committed in a round that was finalised is in the ledger, unless that worker was
/// hindered in the round, or so many of its committee that the others are less than two thirds.
async fn nothing_is_lost(net: &Devnet, story: &Story) -> Result<String> {
	let (mut kept, mut excused) = (0, 0);
	for round in finalised(story) {
		let included = producers(net, round).await?;
		let hindered = |worker: usize| story.hindered.contains(&(worker, round.index));
		let mut able = 0;
		for member in &round.committee {
			let worker = (0..plan::WORKERS).find(|w| account(net, *w) == member.account);
			let worker = worker.with_context(|| format!("{} is no worker", member.account))?;
			let votes = events_of(net.worker(worker), "round.voted")?;
			let mut votes =
				votes.iter().filter(|e| e["round"] == round.index && e["attempt"] == round.attempt);
			// The others keep out who serves wrong bytes.
			let had_all = match votes.next() {
				Some(vote) => had_all(net, story, round.index, vote)?,
				None => false,
			};
			able += usize::from(had_all && worker != SPOILER && !hindered(worker));
		}
		let outvoted = 3 * able < 2 * round.committee.len();
		for worker in HONEST {
			for artifact in committed(net.worker(worker), round.index)? {
				if included.iter().any(|(_, a)| *a == artifact) {
					kept += 1;
					continue;
				}
				ensure!(
					hindered(worker) || outvoted,
					"round {}: {artifact:?} of {} was committed and is in no record, though nothing kept it from {able} of \
					 the {} members of the committee",
					round.index,
					net.worker(worker).name,
					round.committee.len()
				);
				excused += 1;
			}
		}
		ensure!(
			bitmap::count(&round.included) as usize == included.len(),
			"round {}: another number of records than of included updates",
			round.index
		);
	}
	ensure!(kept > 0, "there is no honest update at all");
	Ok(format!("{kept} are in the ledger; of {excused} who made them or most of a committee were hindered"))
}

async fn lineage_leads_to_genesis(net: &Devnet) -> Result<String> {
	let lineage = Lineage::read(net, MAX_PAGE).await?;
	Ok(format!("{} records", lineage.records.len()))
}

async fn aggregates_are_recomputed(net: &Devnet, story: &Story) -> Result<String> {
	let mut count = 0;
	for round in finalised(story) {
		let finished = net.recompute(round.index).await?;
		let said = format!("{} {}", finished.stdout.trim(), finished.stderr.trim());
		ensure!(finished.code == Some(0), "round {}: {}", round.index, said.trim());
		count += 1;
	}
	Ok(format!("{count} of {count}"))
}

async fn rounds_table(net: &Devnet, story: &Story) -> Result<String> {
	let mut rows = Vec::new();
	for round in &story.rounds {
		let end = round.deadline.unwrap_or(round.opened);
		let accuracy = match round.result {
			Some(weights) => {
				let found = net.evaluate(&weights, &story.programme.config).await;
				found.map_or_else(|_| "?".into(), |e| format!("{:.4}", e.accuracy))
			},
			None => "-".into(),
		};
		let committee = round.committee.iter().map(|m| {
			let number = net.workers().iter().position(|w| w.identity.account == m.account);
			let number = number.map_or("?".into(), |n| (n + 1).to_string());
			match m.outcome {
				Some(MemberOutcome::Agreed) | None => number,
				Some(other) => format!("{number} {}", format!("{other:?}").to_lowercase()),
			}
		});
		rows.push(vec![
			round.index.to_string(),
			match round.updates {
				Some(updates) => format!("{} of {}", updates.count, round.commit_count),
				None => format!("failed: {:?}", round.failure),
			},
			(round.attempt + 1).to_string(),
			committee.collect::<Vec<_>>().join(", "),
			end.saturating_sub(round.opened).to_string(),
			accuracy,
		]);
	}
	Ok(table(&["round", "updates", "committees", "the last one", "blocks", "accuracy"], &rows))
}

async fn workers_table(net: &Devnet, story: &Story) -> Result<String> {
	let mut rows = Vec::new();
	for worker in 0..plan::WORKERS {
		let mut included = 0;
		for round in finalised(story) {
			let of_round = producers(net, round).await?;
			included += of_round.iter().filter(|(who, _)| who == account(net, worker)).count();
		}
		let pending = slashes(
			net,
			&AccountId32::from_str(account(net, worker)).map_err(|e| anyhow::anyhow!("{e}"))?,
			&story.end.hash,
		)
		.await?;
		let attack = net.worker(worker).attack.map_or("honest".into(), |attack| attack.to_string());
		let flips = FLIPPERS.contains(&worker);
		rows.push(vec![
			net.worker(worker).name.clone(),
			if flips { format!("{attack} (trimmed)") } else { attack },
			included.to_string(),
			rewards(net, story, worker).await?.points.to_string(),
			earned(net, story, worker).await?,
			pending.len().to_string(),
		]);
	}
	Ok(table(&["worker", "is", "updates included", "points", "earned", "slashes"], &rows))
}
