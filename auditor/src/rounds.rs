//! `cairn recompute` and `cairn audit`.

use crate::{
	proofs::{encode, write_file},
	Audit, Recompute, Sources,
};
use anyhow::{bail, Context};
use cairn_auditor::{
	artifacts::{Artifacts, FetchSettings},
	audit::{self, AuditSettings, Progress},
	html,
	recompute::{self, Outcome, Report, RoundReport},
	rpc::RpcChain,
	stores::Stores,
	terminal::{say, say_json, say_lines, tell},
	Verdict,
};
use cairn_primitives::H256;
use std::{
	env, io,
	path::PathBuf,
	time::{Duration, Instant},
};

/// How often a long audit says where it is.
const TELL: Duration = Duration::from_secs(2);

impl Sources {
	fn threads(&self) -> usize {
		let all = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
		self.threads.unwrap_or_else(all)
	}

	fn cache(&self) -> anyhow::Result<PathBuf> {
		let of = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
		self.cache
			.clone()
			.or_else(|| Some(of("XDG_CACHE_HOME")?.join("cairn-audit")))
			.or_else(|| Some(of("HOME")?.join(".cache/cairn-audit")))
			.context("there is no home folder to keep artifacts in; name one with --cache")
	}

	/// Opens what was given, and joins the network if there is somebody to ask.
	async fn open(&self, genesis: H256) -> anyhow::Result<Artifacts> {
		let given = Stores::open(&self.stores)?;
		let artifacts = if self.offline || self.peers.is_empty() {
			match self.cache() {
				Ok(cache) => Artifacts::offline(given, &cache)?,
				Err(_) => given.into(),
			}
		} else {
			let settings = FetchSettings {
				peers: self.peers.clone(),
				cache: self.cache()?,
				quota: self.quota,
				timeout: Duration::from_secs(self.timeout),
				genesis,
			};
			Artifacts::joined(given, settings).await?
		};
		if artifacts.is_nowhere() {
			bail!("say where the artifacts are: --store DIR for a folder of them, --peer MULTIADDR for a worker that has them");
		}
		Ok(artifacts)
	}
}

/// `cairn recompute`.
pub async fn recompute(args: Recompute) -> anyhow::Result<Verdict> {
	let Some(programme) = args.named.or(args.programme) else { bail!("name a programme by its number") };
	let chain = RpcChain::connect(&args.common.node).await?;
	let (genesis, _) = args.genesis.known(&chain).await?;
	let artifacts = args.sources.open(genesis).await?;
	let json = args.common.json;
	let mut printed = Ok(());
	let only = args.nth.or(args.round);
	let report = recompute::recompute(&chain, &artifacts, programme, only, args.sources.threads(), |round| {
		if !json && printed.is_ok() {
			printed = print_round(round);
		}
	})
	.await;
	artifacts.leave().await;
	let mut report = report?;
	printed.context("cannot print")?;
	if report.genesis != genesis {
		report.contradictions.push(format!(
			"the node's chain has the genesis hash {:?}, and not {genesis:?}, which was given",
			report.genesis
		));
		report.verdict = Verdict::Refuted;
	}
	let printed = if json { say_json(&report) } else { print_report(&report) };
	printed.context("cannot print")?;
	Ok(report.verdict)
}

fn print_report(report: &Report) -> io::Result<()> {
	for contradiction in &report.contradictions {
		say(format_args!("REFUTED: {contradiction}"))?;
	}
	let compared = report.rounds.iter().filter(|r| r.outcome != Outcome::Skipped).count();
	let equal = report.rounds.iter().filter(|r| r.outcome == Outcome::Equal).count();
	let verdict = match report.verdict {
		Verdict::Equal => format!("all {equal} recomputed aggregates equal the chain's"),
		Verdict::Refuted => format!("REFUTED; {equal} of {compared} aggregates equal the chain's"),
		Verdict::Unknown if compared == 0 => "could not tell: no round has been finalised".into(),
		Verdict::Unknown => {
			format!("could not tell; {equal} of {compared} aggregates equal the chain's, none differs")
		},
	};
	say(format_args!("programme {} ({}): {verdict}", report.programme, report.name.escape_debug()))
}

fn print_round(report: &RoundReport) -> io::Result<()> {
	let verdict = match report.outcome {
		Outcome::Equal => "equal",
		Outcome::Refuted => "REFUTED",
		Outcome::Unknown => "could not tell",
		Outcome::Skipped => "nothing to recompute",
	};
	let result = report.result.map_or_else(|| format!("{:66}", "-"), |h| format!("{h:?}"));
	say(format_args!("round {:>4}  {:>3} updates  {result}  {verdict}", report.round, report.updates))?;
	report.reasons.iter().try_for_each(|reason| say(format_args!("            {reason}")))
}

/// Says on standard error where an audit is, now and then.
struct Teller {
	next: Instant,
	waiting: bool,
}

impl Teller {
	fn tell(&mut self, progress: Progress<'_>) {
		// The wait is said once, at once: it is long.
		let waits = matches!(progress, Progress::Waiting);
		if waits && !self.waiting {
			tell("waiting until the newest weights can be proved: nodes keep a proof of finality every 16 blocks");
		}
		self.waiting |= waits;
		let now = Instant::now();
		if waits || now < self.next {
			return;
		}
		self.next = now + TELL;
		match progress {
			Progress::Waiting => {},
			Progress::Proving(done, of) => tell(format_args!("proving: weights of {done} of {of} rounds")),
			Progress::Recomputed(round, last) => {
				tell(format_args!("recomputing: round {} of 0 to {last}", round.round))
			},
		}
	}
}

/// `cairn audit`.
pub async fn audit(args: Audit) -> anyhow::Result<Verdict> {
	let chain = RpcChain::connect(&args.common.node).await?;
	let (genesis, genesis_from_node) = args.genesis.known(&chain).await?;
	let artifacts = args.sources.open(genesis).await?;
	let settings = AuditSettings {
		genesis,
		genesis_from_node,
		threads: args.sources.threads(),
		patience: Duration::from_secs(args.patience),
	};
	let mut teller = Teller { next: Instant::now() + TELL, waiting: false };
	let audited =
		audit::audit(&chain, &artifacts, args.programme, &settings, |progress| teller.tell(progress)).await;
	artifacts.leave().await;
	let (audit, bundle) = audited?;
	// First, so that nothing is written when it is too long.
	let encoded = match (&args.out, &bundle) {
		(Some(path), Some(bundle)) => Some(encode(bundle, path)?),
		_ => None,
	};
	if let Some(path) = &args.html {
		write_file("the page", html::page(&audit).as_bytes(), path)?;
	}
	match (&args.out, encoded) {
		(Some(path), Some(bytes)) => write_file("the bundle", &bytes, path)?,
		(Some(path), None) => {
			tell(format_args!("nothing is proved, so there is no bundle to write to {}", path.display()))
		},
		(None, _) => {},
	}
	let printed = if args.common.json { say_json(&audit) } else { say_lines(&audit) };
	printed.context("cannot print")?;
	Ok(audit.verdict.into())
}
