//! A committee that lies, and a challenger that does, on a live devnet.
//!
//! Two aggregators with ten times the bond of the others are driven by this test through the public RPC: together they
//! are two thirds of a committee of three, vouch for weights that nobody computed, and say nothing when they are
//! alone in the majority. The other workers are ordinary daemons that know of nothing.

use crate::support::{number, Account, Call, Outcome};
use anyhow::{ensure, Context, Result};
use cairn_devnet::{
	devnet::{Devnet, Keep, Snapshot, PROGRAMME},
	rpc::{Member, RoundInfo},
	ui::Ui,
};
use cairn_primitives::{
	bitmap,
	round::aggregate_commitment,
	views::{BondInfo, FaultKind, MemberOutcome, Phase, SlashInfo, Verdict},
	Schedule, H256,
};
use codec::{Decode, Encode};
use futures::future::try_join_all;
use jsonrpsee::rpc_params;
use std::{collections::BTreeSet, str::FromStr};
use subxt::{dynamic::Value, utils::AccountId32};

const HONEST: usize = 5;
const LIARS: [usize; 2] = [5, 6];
const SPARE: usize = 7;
/// What a challenge puts at stake: 10 CRN.
const STAKE: u64 = 10_000_000_000_000;
/// With ten times the tickets both liars are on nearly every committee; this many without them do not happen.
const PATIENCE: u32 = 20;

/// The aggregators that lie.
struct Liars {
	genesis: H256,
	accounts: Vec<Account>,
	/// What was sent before: by whom, for which round, attempt and phase.
	sent: BTreeSet<(usize, u32, u32, String)>,
}

impl Liars {
	async fn new(net: &Devnet) -> Result<Self> {
		let urls = std::iter::repeat_with(|| net.rpc().clone());
		let accounts = LIARS.iter().zip(urls).map(|(index, rpc)| Account::new(rpc, &net.worker(*index).suri));
		let accounts = try_join_all(accounts.collect::<Vec<_>>()).await?;
		Ok(Self { genesis: H256::from_str(net.genesis())?, accounts, sent: BTreeSet::new() })
	}

	/// Weights that nobody has, others for every round.
	fn lie(round: &RoundInfo) -> H256 {
		H256(*blake3::hash(&(b"a lie", round.index).encode()).as_bytes())
	}

	fn call(&self, liar: &Account, member: &Member, round: &RoundInfo) -> Option<Call> {
		let (lie, salt) = (Self::lie(round), [7u8; 32]);
		let quality = vec![100u8; bitmap::count(&round.included) as usize];
		let place = || vec![number(PROGRAMME), number(round.index), number(round.attempt)];
		let with = |arguments: Vec<Value>| [place(), arguments].concat();
		match round.phase {
			Phase::Availability if member.bitmap.is_none() => {
				let all = bitmap::from_fn(round.commit_count, |_| true);
				Some(("Training", "vote_availability", with(vec![Value::from_bytes(all)])))
			},
			Phase::Aggregate if !member.committed => {
				let (programme, index, attempt) = (round.programme, round.index, round.attempt);
				let commitment = aggregate_commitment(
					&self.genesis,
					programme,
					index,
					attempt,
					&liar.id(),
					&lie,
					&quality,
					&salt,
				);
				Some(("Training", "commit_aggregate", with(vec![Value::from_bytes(commitment)])))
			},
			Phase::Reveal if member.committed && member.revealed.is_none() => {
				let revealed = [Value::from_bytes(lie), Value::from_bytes(quality), Value::from_bytes(salt)];
				Some(("Training", "reveal_aggregate", with(revealed.to_vec())))
			},
			// They have nothing to say in an audit.
			_ => None,
		}
	}

	/// Does what is due at a block.
	async fn act(&mut self, at: &Snapshot) -> Result<()> {
		let Some(round) = &at.round else { return Ok(()) };
		let mut due = Vec::new();
		for (index, liar) in self.accounts.iter().enumerate() {
			let address = liar.address();
			let Some(member) = round.committee.iter().find(|m| m.account == address) else { continue };
			let Some(call) = self.call(liar, member, round) else { continue };
			if self.sent.insert((index, round.index, round.attempt, format!("{:?}", round.phase))) {
				due.push(liar.send(vec![call]));
			}
		}
		// Refused when the others were faster: the window closes with the vote that decides.
		for outcome in try_join_all(due).await?.into_iter().flatten() {
			let late = ["Training.WindowClosed", "Training.WrongAttempt", "Training.WrongRound"];
			ensure!(
				matches!(&outcome, Outcome::Applied)
					|| matches!(&outcome, Outcome::Refused(e) if late.contains(&e.as_str())),
				"a liar was refused: {outcome:?}"
			);
		}
		Ok(())
	}
}

/// The answer of a runtime API at a block.
async fn api<R: Decode>(net: &Devnet, name: &str, arguments: impl Encode, at: &str) -> Result<R> {
	let arguments: String = arguments.encode().iter().map(|b| format!("{b:02x}")).collect();
	let answer: String =
		net.rpc().call("state_call", rpc_params![name, format!("0x{arguments}"), at]).await?;
	let bytes = (2..answer.len()).step_by(2).map(|i| u8::from_str_radix(&answer[i..i + 2], 16));
	let bytes = bytes.collect::<Result<Vec<u8>, _>>().context("hexadecimal")?;
	R::decode(&mut &bytes[..]).with_context(|| format!("the answer of {name}"))
}

async fn slashes(
	net: &Devnet,
	account: [u8; 32],
	at: &str,
) -> Result<Vec<SlashInfo<AccountId32Bytes, u128, u32>>> {
	api(net, "SlashesApi_slashes", account, at).await
}

/// An account as the chain encodes it.
type AccountId32Bytes = [u8; 32];

fn outcome_of(members: &[Member], address: &str) -> Option<MemberOutcome> {
	members.iter().find(|m| m.account == address).and_then(|m| m.outcome)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn false_result_is_challenged_and_replaced_and_a_false_challenge_costs_its_stake() {
	let mut net = Devnet::builder()
		.validators(1usize)
		.workers(HONEST + LIARS.len())
		.aggregators(HONEST + LIARS.len())
		.aggregators_only(LIARS.len())
		.spares(1usize)
		.bonds([vec![100; HONEST], vec![1_000; LIARS.len()]].concat())
		.challenge_bond(STAKE)
		.rounds(500u32)
		.local_steps(Some(20))
		.schedule(Schedule { commit: 20, availability: 12, aggregate: 12, reveal: 12, challenge: 8 })
		.ui(Ui::quiet())
		.start()
		.await
		.unwrap();
	let outcome = disputes(&mut net).await;
	if outcome.is_err() {
		println!("{}", net.log_tails(30));
	}
	net.shutdown(if outcome.is_ok() { Keep::No } else { Keep::Yes }).await;
	outcome.unwrap();
}

async fn disputes(net: &mut Devnet) -> Result<()> {
	for liar in LIARS {
		net.kill_worker(liar).await?;
	}
	let mut liars = Liars::new(net).await?;
	let honest: Vec<_> = net.workers()[..HONEST].iter().map(|w| w.identity.account.clone()).collect();

	// The lie, and what comes of it.
	let mut watch = net.watch().await?;
	let mut next = 0;
	let (disputed, at) = loop {
		let snapshot = watch.next().await?;
		liars.act(&snapshot).await?;
		let mut found = None;
		while found.is_none() && snapshot.is_settled(next) {
			let round = net.rpc().round(PROGRAMME, next, Some(&snapshot.head.hash)).await?;
			found = round.challenge.is_some().then_some(round);
			next += 1;
		}
		if let Some(round) = found {
			break (round, snapshot.head.hash);
		}
		ensure!(next < PATIENCE, "no result was challenged in {next} rounds, though two of three lie");
	};
	let challenge = disputed.challenge.clone().context("it was found by it")?;
	ensure!(challenge.verdict == Some(Verdict::Overturned), "{disputed:?}");
	ensure!(disputed.phase == Phase::Finalised && disputed.result == Some(challenge.claimed), "{disputed:?}");
	ensure!(honest.contains(&challenge.challenger), "{disputed:?}");
	for liar in &liars.accounts {
		let outcome = outcome_of(&disputed.committee, &liar.address());
		ensure!(outcome == Some(MemberOutcome::Overturned), "{}: {outcome:?}", liar.address());
		let pending = slashes(net, liar.id(), &at).await?;
		ensure!(pending.iter().any(|s| s.kind == FaultKind::Overturned && s.amount > 0), "{pending:?}");
	}
	for account in &honest {
		let id = AccountId32::from_str(account)?.0;
		let pending = slashes(net, id, &at).await?;
		ensure!(pending.is_empty(), "{account}: {pending:?}");
		let bond: BondInfo<u128> = api(net, "SlashesApi_bond", id, &at).await?;
		ensure!(bond.challenges == 0, "the challenger has its stake back: {bond:?}");
	}
	let recomputed = net.recompute(disputed.index).await?;
	ensure!(recomputed.code == Some(0), "{recomputed:?}");

	// The liars go, and training goes on from what the audit found.
	let leave = || vec![("Training", "delist_aggregator", Vec::new())];
	for outcome in try_join_all(liars.accounts.iter().map(|liar| liar.send(leave()))).await? {
		ensure!(outcome == [Outcome::Applied], "{outcome:?}");
	}
	let spare = Account::new(net.rpc().clone(), &net.worker(SPARE).suri).await?;
	let mut watch = net.watch().await?;
	let first = watch.next().await?.programme.round + 1;
	let (index, agreed) = loop {
		let Some(round) = watch.next().await?.round else { continue };
		if round.index >= first && round.phase == Phase::Challenge {
			break (round.index, round.result.context("there is something to challenge")?);
		}
		ensure!(round.index < first + PATIENCE, "no round of honest workers came to a result");
	};

	// A challenge without reason.
	let nonsense = Value::from_bytes([9u8; 32]);
	let outcome =
		spare.send(vec![("Training", "challenge", vec![number(PROGRAMME), number(index), nonsense])]).await?;
	ensure!(outcome == [Outcome::Applied], "{outcome:?}");
	let upheld = net.wait_for_round(index).await?;
	let challenge = upheld.challenge.clone().context("it was challenged")?;
	ensure!(challenge.verdict == Some(Verdict::Upheld), "{upheld:?}");
	ensure!(upheld.phase == Phase::Finalised && upheld.result == Some(agreed), "{upheld:?}");
	let at = net.rpc().finalised().await?.hash;
	let lost = slashes(net, spare.id(), &at).await?;
	let expected = [(FaultKind::FailedChallenge, u128::from(STAKE))];
	let lost: Vec<_> = lost.iter().map(|s| (s.kind, s.amount)).collect();
	ensure!(lost == expected, "{lost:?}");
	ensure!(net.recompute(index).await?.code == Some(0), "the upheld result is what the updates give");
	Ok(())
}
