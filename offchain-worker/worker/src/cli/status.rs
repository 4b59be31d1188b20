//! `cairn-worker status`: from the chain, and from the daemon's last word. Either may be missing.

use super::{App, CliError};
use crate::{
	base::BasePath,
	chain::{
		api::{Device, Programme, Rewards, Round},
		ChainError,
	},
	daemon::Report,
	keys::Keys,
	plan::Notice,
	units::{format_amount, hex, short},
};
use cairn_artifacts::Store;
use cairn_primitives::{DeviceState, H256};
use serde_json::{json, Value};
use std::{
	fmt::Write,
	time::{Duration, SystemTime},
};
use subxt::utils::AccountId32;

/// How long a node may take to be reached: what is known without one is shown then.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long it may take to be reached and to answer everything.
const ANSWERED: Duration = Duration::from_secs(15);

/// What the chain says.
struct OnChain {
	node: String,
	syncing: bool,
	genesis: H256,
	finalised: u32,
	free: u128,
	bonded: u128,
	device: Option<Device>,
	enlisted: bool,
	programmes: Vec<(Programme, Option<Round>, Rewards)>,
}

async fn ask(app: &App, base: &BasePath, me: &AccountId32) -> Result<OnChain, CliError> {
	let chain = app.connect(base, Some(PATIENCE)).await?;
	let asking = async {
		let head = chain.finalised().await?;
		let at = Some(head.hash);
		let mut programmes = Vec::new();
		for id in chain.programmes(at).await? {
			let Some(info) = chain.programme(id, at).await? else { continue };
			programmes.push((info, chain.current_round(id, at).await?, chain.rewards(id, me, at).await?));
		}
		Ok::<_, ChainError>(OnChain {
			node: chain.rpc().url().unwrap_or_default(),
			syncing: chain.is_syncing().await?,
			genesis: chain.genesis(),
			finalised: head.number,
			free: chain.free_balance(head, me).await?,
			bonded: chain.bonded(me, at).await?,
			device: chain.device_of(me, at).await?,
			enlisted: chain.aggregators(at).await?.contains(me),
			programmes,
		})
	};
	Ok(asking.await?)
}

/// What is known of the daemon on this base path.
enum Daemon {
	/// It runs, and this is its last word, if it has said anything yet.
	Runs(Option<Report>),
	/// It does not run. What is left is from one that did not end in order.
	Gone(Option<Report>),
}

impl Daemon {
	fn find(base: &BasePath) -> Result<Self, CliError> {
		let report = Report::read(base.path());
		Ok(if base.is_locked()? { Self::Runs(report) } else { Self::Gone(report) })
	}

	fn report(&self) -> Option<&Report> {
		let (Self::Runs(report) | Self::Gone(report)) = self;
		report.as_ref()
	}

	fn says(&self) -> String {
		match self {
			Self::Runs(Some(r)) => match &r.waiting {
				Some(waiting) => format!("process {} waits: {waiting}", r.process),
				None => format!("runs as process {}, {} peers{}", r.process, r.peers.len(), doing(r)),
			},
			Self::Runs(None) => "runs, and has not reached a node yet".into(),
			Self::Gone(Some(r)) => format!(
				"does not run: process {} ended without a word {} ago, at finalised block {}. Start it again with \
				 `cairn-worker run`; it goes on where it was",
				r.process,
				ago(r.written),
				r.finalised
			),
			Self::Gone(None) => "does not run: start it with `cairn-worker run`".into(),
		}
	}
}

fn doing(report: &Report) -> String {
	match report.doing.as_slice() {
		[] => ", idle".into(),
		doing => format!(", doing {}", doing.join(", ")),
	}
}

fn ago(seconds: u64) -> String {
	let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
	match now.saturating_sub(seconds) {
		s @ 0..=119 => format!("{s} s"),
		s @ 120..=7199 => format!("{} min", s / 60),
		s => format!("{} h", s / 3600),
	}
}

/// Rows with columns as wide as their widest entry; numbers to the right.
fn table(head: &[&str], right: &[bool], rows: &[Vec<String>]) -> String {
	let width = |column: usize| {
		let entries = rows.iter().map(|row| row[column].chars().count());
		entries.max().unwrap_or(0).max(head[column].chars().count())
	};
	let widths: Vec<usize> = (0..head.len()).map(width).collect();
	let mut text = String::new();
	for row in std::iter::once(head.iter().map(ToString::to_string).collect()).chain(rows.iter().cloned()) {
		let row: Vec<String> = row;
		let cells = row.iter().zip(&widths).zip(right).map(|((cell, width), right)| {
			if *right {
				format!("{cell:>width$}")
			} else {
				format!("{cell:<width$}")
			}
		});
		let line = cells.collect::<Vec<_>>().join("  ");
		let _ = writeln!(text, "{}", line.trim_end());
	}
	text
}

fn or_dash<T: ToString>(value: Option<T>) -> String {
	value.map_or_else(|| "-".into(), |v| v.to_string())
}

const HEAD: [&str; 10] = [
	"PROGRAMME",
	"NAME",
	"STATE",
	"ROUNDS",
	"ROUND",
	"PHASE",
	"UNTIL BLOCK",
	"POINTS",
	"TO CLAIM",
	"CLAIMED",
];
const RIGHT: [bool; 10] = [true, false, false, true, true, false, true, true, true, true];

/// Programme, round, phase and earnings.
fn programmes(chain: &OnChain) -> String {
	let rows: Vec<Vec<String>> = chain
		.programmes
		.iter()
		.map(|(info, round, rewards)| {
			let round = round.as_ref();
			vec![
				info.id.to_string(),
				String::from_utf8_lossy(&info.name).into_owned(),
				format!("{:?}", info.state).to_lowercase(),
				format!("{}/{}", info.finalised, info.rounds),
				or_dash(round.map(|r| r.index)),
				or_dash(round.map(|r| format!("{:?}", r.phase).to_lowercase())),
				or_dash(round.and_then(|r| r.deadline)),
				rewards.points.to_string(),
				format_amount(rewards.claimable),
				format_amount(rewards.claimed),
			]
		})
		.collect();
	table(&HEAD, &RIGHT, &rows)
}

/// The same from the daemon's word, without what only the chain knows.
fn reported(report: &Report) -> String {
	let rows: Vec<Vec<String>> = report
		.programmes
		.iter()
		.map(|p| {
			let phase = p.phase.map(|phase| format!("{phase:?}").to_lowercase());
			vec![p.id.to_string(), p.name.clone(), or_dash(p.round), or_dash(phase), or_dash(p.deadline)]
		})
		.collect();
	table(&["PROGRAMME", "NAME", "ROUND", "PHASE", "UNTIL BLOCK"], &[true, false, true, false, true], &rows)
}

fn text(
	me: &AccountId32,
	(peer, network_key): (&str, [u8; 32]),
	chain: &Result<OnChain, String>,
	daemon: &Daemon,
	store: &str,
) -> String {
	let mut text = String::new();
	let mut line = |name: &str, value: &str| {
		let _ = writeln!(text, "{name:<13}{value}");
	};
	line("account", &me.to_string());
	line("peer id", peer);
	line("daemon", &daemon.says());
	if let Some(report) = daemon.report() {
		for peer in &report.peers {
			line("  peer", peer);
		}
		for notice in &report.notices {
			line("  notice", notice);
		}
	}
	match chain {
		Ok(chain) => {
			let catching_up =
				if chain.syncing { " (catching up with the chain: what follows is old)" } else { "" };
			line("node", &format!("{}{catching_up}", chain.node));
			line("chain", &format!("genesis {}, finalised block {}", short(&chain.genesis), chain.finalised));
			line(
				"balance",
				&format!("{} free, {} bonded", format_amount(chain.free), format_amount(chain.bonded)),
			);
			line("device", &device(chain));
			let other = chain.device.as_ref().and_then(|device| Notice::of_network_key(device, network_key));
			if let Some(other) = other {
				line("  notice", &other.to_string());
			}
			line("committees", if chain.enlisted { "enlisted" } else { "not enlisted" });
		},
		Err(e) => line("node", &format!("cannot be asked: {e}")),
	}
	line("store", store);
	text.push('\n');
	match (chain, daemon.report()) {
		(Ok(chain), _) => text += &programmes(chain),
		(Err(_), Some(report)) => {
			let _ =
				writeln!(text, "as of finalised block {}, {} ago:", report.finalised, ago(report.written));
			text += &reported(report);
		},
		(Err(_), None) => text += "programmes and earnings are on the chain, which cannot be asked now\n",
	}
	text
}

fn device(chain: &OnChain) -> String {
	let Some(d) = &chain.device else { return "none: run `cairn-worker register`".into() };
	let evidence = match &d.evidence {
		None => ", not attested".to_string(),
		Some(e) if !e.valid => format!(", evidence of block {} is not valid any more", e.at),
		Some(e) => format!(", attested until block {}", e.expires),
	};
	let recheck = d.recheck_due.map_or_else(String::new, |due| format!(", re-check due by block {due}"));
	let remedy = match d.state {
		DeviceState::Active => "",
		_ => ": run `cairn-worker register`, or see the daemon's notices",
	};
	format!(
		"{} at site {}, {}{evidence}{recheck}{remedy}",
		d.id,
		d.site,
		format!("{:?}", d.state).to_lowercase()
	)
}

pub(super) async fn status(app: &App) -> Result<(), CliError> {
	let base = app.base()?;
	let keys = Keys::load(&base)?;
	let me = keys.account_id();
	let daemon = Daemon::find(&base)?;
	let held = match Store::open_read_only(base.store()) {
		Ok(store) => store.list()?.len(),
		// Nothing was stored yet.
		Err(_) => 0,
	};
	// Another chain, or a damaged pin, shows here too: it is said in place of the chain's part.
	let chain = match tokio::time::timeout(ANSWERED, ask(app, &base, &me)).await {
		Ok(answer) => answer.map_err(|e| e.to_string()),
		Err(_) => Err(format!(
			"{} did not answer everything within {} s: see the node's log, or name another with --node",
			app.settings.nodes.join(", "),
			ANSWERED.as_secs()
		)),
	};
	let store = format!("{held} artifacts in {}", base.store().display());
	let peer = keys.peer_id().to_string();
	let text = text(&me, (&peer, keys.network_key()), &chain, &daemon, &store);
	let mut value = json!({
		"account": me, "peerId": peer, "networkKey": hex(keys.network_key()),
		"store": { "path": base.store(), "artifacts": held },
		"daemon": { "running": matches!(daemon, Daemon::Runs(_)), "report": daemon.report() },
		"node": null, "nodeError": chain.as_ref().err(),
	});
	if let (Ok(chain), Value::Object(fields)) = (&chain, &mut value) {
		let programmes: Vec<Value> = chain.programmes.iter().map(programme).collect();
		let more = json!({
			"node": chain.node, "syncing": chain.syncing, "genesis": chain.genesis, "finalised": chain.finalised,
			"balance": chain.free.to_string(), "bonded": chain.bonded.to_string(), "enlisted": chain.enlisted,
			"device": chain.device, "programmes": programmes,
		});
		if let Value::Object(more) = more {
			fields.extend(more);
		}
	}
	app.output.result(&value, text.trim_end());
	Ok(())
}

fn programme((info, round, rewards): &(Programme, Option<Round>, Rewards)) -> Value {
	json!({
		"id": info.id, "name": String::from_utf8_lossy(&info.name), "state": info.state, "finalised": info.finalised,
		"rounds": info.rounds, "weights": info.weights,
		"round": round.as_ref().map(|r| json!({
			"index": r.index, "attempt": r.attempt, "phase": r.phase, "deadline": r.deadline, "commits": r.commit_count,
		})),
		"rewards": rewards,
	})
}

#[cfg(test)]
mod tests {
	#![allow(clippy::unwrap_used)]
	use super::*;
	use crate::plan::tests::{device, programme, round, ME, NETWORK_KEY};
	use cairn_primitives::views::Phase;

	fn on_chain() -> OnChain {
		OnChain {
			node: "ws://a:1".into(),
			syncing: false,
			genesis: H256([7; 32]),
			finalised: 120,
			free: 5_000_000_000_000,
			bonded: 0,
			device: Some(device(DeviceState::Active)),
			enlisted: true,
			programmes: vec![(
				programme(),
				Some(round(Phase::Availability)),
				Rewards { points: 12, claimable: 2_500_000_000_000, claimed: 0 },
			)],
		}
	}

	fn report() -> Report {
		let view = crate::plan::tests::view(Some(round(Phase::Commit)));
		let programme = crate::daemon::ReportedProgramme {
			id: 0,
			name: "digits".into(),
			round: view.programmes[0].round.as_ref().map(|r| r.index),
			phase: Some(Phase::Commit),
			deadline: None,
		};
		Report {
			process: 77,
			finalised: 118,
			peers: vec!["12D3peer".into()],
			doing: vec!["train:0:3".into()],
			programmes: vec![programme],
			..Report::default()
		}
	}

	#[test]
	fn table_shows_programme_round_phase_peers_and_earnings() {
		let me = ("12D3me", NETWORK_KEY);
		let shown = text(&ME, me, &Ok(on_chain()), &Daemon::Runs(Some(report())), "2 artifacts");
		let lines: Vec<&str> = shown.lines().collect();
		let row = lines.last().unwrap();
		for part in ["digits", "open", "3/10", "availability", "200", "12", "2.5 CRN"] {
			assert!(row.contains(part), "no {part} in {row}");
		}
		// Columns begin below their heads.
		let head = lines[lines.len() - 2];
		assert_eq!(head.find("PHASE"), row.find("availability"), "{shown}");
		for part in
			["process 77, 1 peers, doing train:0:3", "12D3peer", "5 CRN free", "genesis", "not attested"]
		{
			assert!(shown.contains(part), "no {part} in\n{shown}");
		}
	}

	#[test]
	fn network_key_that_is_not_the_one_on_chain_is_said_with_the_remedy() {
		let shown = |key| text(&ME, ("p", key), &Ok(on_chain()), &Daemon::Gone(None), "s");
		assert!(!shown(NETWORK_KEY).contains("notice"));
		let notice = Notice::of_network_key(&device(DeviceState::Active), [8; 32]).unwrap().to_string();
		assert!(shown([8; 32]).contains(&notice) && notice.contains("cairn-worker register"), "{notice}");
	}

	#[test]
	fn without_a_node_the_daemons_word_is_shown_and_that_it_is_old() {
		let gone = || Err("no node answers: ws://a:1".to_string());
		let shown = text(&ME, ("p", NETWORK_KEY), &gone(), &Daemon::Runs(Some(report())), "s");
		for part in
			["cannot be asked: no node answers", "as of finalised block 118", "digits", "commit", "12D3peer"]
		{
			assert!(shown.contains(part), "no {part} in\n{shown}");
		}
		let shown = text(&ME, ("p", NETWORK_KEY), &gone(), &Daemon::Gone(None), "s");
		for part in ["does not run: start it", "cannot be asked now"] {
			assert!(shown.contains(part), "no {part} in\n{shown}");
		}
	}

	#[test]
	fn daemon_that_died_is_told_from_one_that_waits() {
		let died = Daemon::Gone(Some(report())).says();
		assert!(
			died.contains("process 77 ended without a word") && died.contains("cairn-worker run"),
			"{died}"
		);
		let waiting = Report { waiting: Some("the node is still catching up".into()), ..report() };
		let waits = Daemon::Runs(Some(waiting)).says();
		assert!(waits.contains("waits: the node is still catching up"), "{waits}");
	}
}
