//! `cairn-worker status`, `claim` and `fund`

use super::{
	args::{ClaimArgs, FundArgs},
	App, CliError,
};
use crate::{
	chain::{Call, Chain, Submitter},
	journal::NoLog,
	keys::Keys,
	units::{format_amount, hex, short},
};
use cairn_artifacts::Store;
use cairn_primitives::{ProgrammeId, H256};
use serde_json::json;
use std::{fmt::Write, sync::Arc};

pub(super) async fn status(app: &App) -> Result<(), CliError> {
	let base = app.base()?;
	let keys = Keys::load(&base)?;
	let me = keys.account_id();
	let (chain, heads) = app.connect_for_command(&base).await?;
	let head = heads.finalised_now();
	let at = Some(head.hash);
	let syncing = chain.is_syncing().await?;
	let free = chain.free_balance(head, &me).await?;
	let bonded = chain.bonded(&me, at).await?;
	let device = chain.device_of(&me, at).await?;
	let enlisted = chain.aggregators(at).await?.contains(&me);
	let node = chain.rpc().url().await.unwrap_or_default();
	let held = match Store::open_read_only(base.store()) {
		Ok(store) => store.list()?.len(),
		// Nothing was stored yet.
		Err(_) => 0,
	};

	let mut text = String::new();
	let mut line = |name: &str, value: String| {
		let _ = writeln!(text, "{name:<13}{value}");
	};
	line("account", me.to_string());
	line("balance", format!("{} free, {} bonded", format_amount(free), format_amount(bonded)));
	line("peer id", keys.peer_id().to_string());
	line(
		"device",
		match &device {
			Some(d) => format!("{} at site {}, {}", d.id, d.site, format!("{:?}", d.state).to_lowercase()),
			None => "none: run `cairn-worker register`".into(),
		},
	);
	line("committees", if enlisted { "enlisted".into() } else { "not enlisted".to_string() });
	line("node", format!("{node}{}", if syncing { " (catching up)" } else { "" }));
	line("chain", format!("genesis {}, finalised block {}", short(&chain.genesis()), head.number));
	line("store", format!("{held} artifacts in {}", base.store().display()));

	let mut programmes = Vec::new();
	for id in chain.programmes(at).await? {
		let Some(info) = chain.programme(id, at).await? else { continue };
		let round = chain.current_round(id, at).await?;
		let rewards = chain.rewards(id, &me, at).await?;
		let name = String::from_utf8_lossy(&info.name).into_owned();
		let stage = match &round {
			Some(r) => format!("round {} in {:?}", r.index, r.phase),
			None => format!("{:?}", info.state),
		};
		let _ = writeln!(
			text,
			"programme {id}  `{name}`: {} of {} rounds, {}; {} points, {} to claim, {} claimed",
			info.finalised,
			info.rounds,
			stage,
			rewards.points,
			format_amount(rewards.claimable),
			format_amount(rewards.claimed)
		);
		programmes.push(json!({
			"id": id, "name": name, "state": info.state, "finalised": info.finalised, "rounds": info.rounds,
			"weights": info.weights,
			"round": round.as_ref().map(|r| json!({
				"index": r.index, "attempt": r.attempt, "phase": r.phase, "deadline": r.deadline, "commits": r.commit_count,
			})),
			"rewards": rewards,
		}));
	}
	let value = json!({
		"account": me, "balance": free.to_string(), "bonded": bonded.to_string(), "enlisted": enlisted,
		"peerId": keys.peer_id().to_string(), "networkKey": hex(keys.network_key()), "device": device,
		"node": node, "syncing": syncing, "genesis": chain.genesis(), "finalised": head.number,
		"store": { "path": base.store(), "artifacts": held }, "programmes": programmes,
	});
	app.output.result(&value, text.trim_end());
	Ok(())
}

/// Says which programmes there are when this one is not.
async fn known(chain: &Chain, at: Option<H256>, id: ProgrammeId) -> Result<(), CliError> {
	if chain.programme(id, at).await?.is_some() {
		return Ok(());
	}
	let known: Vec<String> = chain.programmes(at).await?.iter().map(u32::to_string).collect();
	Err(CliError::Failed(format!(
		"programme {id} does not exist on this chain; there are: {}",
		if known.is_empty() { "none".into() } else { known.join(", ") }
	)))
}

pub(super) async fn claim(app: &App, args: &ClaimArgs) -> Result<(), CliError> {
	let base = app.base()?;
	let keys = Keys::load(&base)?;
	let (chain, heads) = app.connect_for_command(&base).await?;
	let id = args.programme;
	let at = Some(heads.finalised_now().hash);
	known(&chain, at, id).await?;
	let claimable = chain.rewards(id, &keys.account_id(), at).await?.claimable;
	if claimable == 0 {
		let value = json!({ "programme": id, "claimed": "0" });
		app.output.result(&value, format!("programme {id} owes this worker nothing now"));
		return Ok(());
	}
	let submitter = Submitter::new(chain, heads, keys.signer().clone(), Arc::new(NoLog));
	let landed = submitter.submit("claim", &Call::Claim { programme: id }).await?;
	// What was paid may be more than what was claimable a moment ago.
	let paid = landed.number("Rewards", "Claimed", "amount").unwrap_or(claimable);
	let value = json!({ "programme": id, "claimed": paid.to_string(), "block": landed.block });
	app.output
		.result(&value, format!("programme {id} paid {} in block {}", format_amount(paid), landed.block));
	Ok(())
}

pub(super) async fn fund(app: &App, args: &FundArgs) -> Result<(), CliError> {
	let base = app.base()?;
	let keys = Keys::load(&base)?;
	let (chain, heads) = app.connect_for_command(&base).await?;
	let FundArgs { programme, amount } = *args;
	known(&chain, Some(heads.finalised_now().hash), programme).await?;
	let submitter = Submitter::new(chain, heads, keys.signer().clone(), Arc::new(NoLog));
	let landed = submitter.submit("fund", &Call::Fund { programme, amount }).await?;
	let value = json!({ "programme": programme, "funded": amount.to_string(), "block": landed.block });
	let text = format!("programme {programme} got {} in block {}", format_amount(amount), landed.block);
	app.output.result(&value, text);
	Ok(())
}
