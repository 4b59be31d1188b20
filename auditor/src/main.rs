//! `cairn`: the auditor's command line.

mod proofs;

use anyhow::Context;
use cairn_auditor::{
	lineage::lineage,
	recompute::{recompute, Outcome, RoundReport},
	rpc::RpcChain,
	stores::Stores,
	Verdict,
};
use cairn_primitives::{ArtifactHash, ProgrammeId, RoundIndex, H256};
use clap::{Args, Parser, Subcommand};
use std::{io::Write, path::PathBuf, process::ExitCode};

/// Asks a Cairn node where a model came from, and checks the answer.
///
/// Exit code 0: what was asked about holds. 1: it is refuted. 2: could not tell, because something is missing, the
/// node does not answer, or the command line is wrong.
#[derive(Parser)]
#[command(name = "cairn", version)]
struct Cli {
	#[command(subcommand)]
	command: Command,
}

#[derive(Subcommand)]
enum Command {
	/// Recompute the aggregates of a programme's rounds from the updates, and compare them with the chain's.
	///
	/// Which updates were included, and what came of them, is asked from the node at its finalised head. The
	/// artifacts are read from stores: those of workers, for example. Every update is checked as the committee had to.
	Recompute(Recompute),
	/// Print where an artifact came from, back to the weights that its programme started from.
	///
	/// With --prove, every record of it is proved, and what is printed is only what was proved.
	Lineage(Lineage),
	/// Ask a node for the proof of a record, check it, and keep it in a file.
	Prove(Prove),
	/// Check a bundle without any network, and print what it proves.
	Verify(Verify),
	/// Tell which model or update a file is: ask for the proof of the record of its hash, and check it.
	File(File),
}

#[derive(Args)]
struct Common {
	/// The node's WebSocket address.
	#[arg(long, env = "CAIRN_NODE", default_value = "ws://127.0.0.1:9944", value_name = "URL")]
	node: String,
	/// Print one JSON document instead of text.
	#[arg(long)]
	json: bool,
}

#[derive(Args)]
struct Recompute {
	#[command(flatten)]
	common: Common,
	/// A folder of artifacts, such as BASE-PATH/store of a worker. Can be given several times: the first intact
	/// copy of an artifact is used.
	#[arg(long = "store", value_name = "DIR", required = true)]
	stores: Vec<PathBuf>,
	/// The programme's number.
	#[arg(long, value_name = "ID")]
	programme: ProgrammeId,
	/// This round only.
	#[arg(long, value_name = "N", conflicts_with = "all")]
	round: Option<RoundIndex>,
	/// All rounds; this is what is done when no round is named.
	#[arg(long)]
	all: bool,
	/// Threads to compute with. The result does not depend on it. As many as there are processors when absent.
	#[arg(long, value_name = "N")]
	threads: Option<usize>,
}

#[derive(Args)]
struct Lineage {
	#[command(flatten)]
	common: Common,
	/// Prove all of it.
	#[arg(long)]
	prove: bool,
	#[command(flatten)]
	genesis: Genesis,
	/// Write the bundle that proves it here.
	#[arg(long, value_name = "FILE", requires = "prove")]
	out: Option<PathBuf>,
	/// The artifact's hash: 0x and 64 hex digits.
	#[arg(value_parser = parse_hash)]
	artifact: ArtifactHash,
}

/// Against what proofs are checked.
#[derive(Args)]
struct Genesis {
	/// The hash of the chain's genesis block: 0x and 64 hex digits. When it is absent, the node's is taken, and what is
	/// proved is proved about the chain that the node says it has.
	#[arg(long, env = "CAIRN_GENESIS", value_name = "HASH", value_parser = parse_hash)]
	genesis: Option<H256>,
}

#[derive(Args)]
struct Prove {
	#[command(flatten)]
	common: Common,
	/// The artifact's hash, 0x and 64 hex digits; or the number of a record.
	subject: String,
	/// Prove that no weights with this hash are recorded.
	#[arg(long, conflicts_with = "at")]
	absent: bool,
	/// As of this finalised block, or the next with a proof of finality; otherwise the first after the record's own.
	#[arg(long, value_name = "HASH", value_parser = parse_hash)]
	at: Option<H256>,
	#[command(flatten)]
	genesis: Genesis,
	/// Where to write the bundle: binary, or JSON if the name ends in .json. Otherwise it goes into a file in this folder
	/// that is named after the subject.
	#[arg(long, value_name = "FILE")]
	out: Option<PathBuf>,
}

#[derive(Args)]
struct Verify {
	/// The bundle: binary, hex or JSON, or a node's answer to provenance_prove. `-` reads it from standard input.
	bundle: PathBuf,
	/// The hash of the chain's genesis block: 0x and 64 hex digits.
	#[arg(long, env = "CAIRN_GENESIS", value_name = "HASH", value_parser = parse_hash)]
	genesis: H256,
	/// Refute it unless it proves a record of this artifact, or its absence.
	#[arg(long, value_name = "HASH", value_parser = parse_hash)]
	artifact: Option<ArtifactHash>,
	/// Print one JSON document instead of text.
	#[arg(long)]
	json: bool,
}

#[derive(Args)]
struct File {
	#[command(flatten)]
	common: Common,
	/// The file.
	path: PathBuf,
	#[command(flatten)]
	genesis: Genesis,
	/// Write the bundle that proves it here.
	#[arg(long, value_name = "FILE")]
	out: Option<PathBuf>,
}

fn parse_hash(text: &str) -> Result<H256, String> {
	let digits = text.strip_prefix("0x").unwrap_or(text);
	if digits.len() != 64 {
		return Err(format!("a hash has 64 hex digits, this has {}", digits.chars().count()));
	}
	digits.parse().map_err(|_| "a hash has the digits 0 to 9 and a to f only".into())
}

#[tokio::main]
async fn main() -> ExitCode {
	let outcome = match Cli::parse().command {
		Command::Recompute(args) => run_recompute(args).await,
		Command::Lineage(args) => run_lineage(args).await,
		Command::Prove(args) => proofs::prove(args).await,
		Command::Verify(args) => proofs::verify(args),
		Command::File(args) => proofs::file(args).await,
	};
	match outcome {
		Ok(verdict) => verdict.exit_code().into(),
		Err(error) => {
			eprintln!("cairn: {error:#}");
			Verdict::Unknown.exit_code().into()
		},
	}
}

async fn run_recompute(args: Recompute) -> anyhow::Result<Verdict> {
	let stores = Stores::open(&args.stores)?;
	let chain = RpcChain::connect(&args.common.node).await?;
	let threads = args
		.threads
		.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, std::num::NonZero::get));
	let json = args.common.json;
	let mut printed = Ok(());
	let report = recompute(&chain, &stores, args.programme, args.round, threads, |round| {
		if !json && printed.is_ok() {
			printed = print_round(round);
		}
	})
	.await?;
	printed.context("cannot print")?;
	let mut out = std::io::stdout().lock();
	if json {
		serde_json::to_writer_pretty(&mut out, &report)?;
		writeln!(out)?;
		return Ok(report.verdict);
	}
	for contradiction in &report.contradictions {
		writeln!(out, "REFUTED: {contradiction}")?;
	}
	let compared = report.rounds.iter().filter(|r| r.outcome != Outcome::Skipped).count();
	let equal = report.rounds.iter().filter(|r| r.outcome == Outcome::Equal).count();
	writeln!(
		out,
		"programme {} ({}): {}",
		report.programme,
		report.name,
		match report.verdict {
			Verdict::Equal => format!("all {equal} recomputed aggregates equal the chain's"),
			Verdict::Refuted => format!("REFUTED; {equal} of {compared} aggregates equal the chain's"),
			Verdict::Unknown if compared == 0 => "could not tell: no round has been finalised".into(),
			Verdict::Unknown =>
				format!("could not tell; {equal} of {compared} aggregates equal the chain's, none differs"),
		}
	)?;
	Ok(report.verdict)
}

fn print_round(report: &RoundReport) -> std::io::Result<()> {
	let mut out = std::io::stdout().lock();
	let verdict = match report.outcome {
		Outcome::Equal => "equal",
		Outcome::Refuted => "REFUTED",
		Outcome::Unknown => "could not tell",
		Outcome::Skipped => "nothing to recompute",
	};
	let result = report.result.map_or_else(|| format!("{:66}", "-"), |h| format!("{h:?}"));
	writeln!(out, "round {:>4}  {:>3} updates  {result}  {verdict}", report.round, report.updates)?;
	for reason in &report.reasons {
		writeln!(out, "            {reason}")?;
	}
	out.flush()
}

async fn run_lineage(args: Lineage) -> anyhow::Result<Verdict> {
	if args.prove {
		return proofs::lineage(args).await;
	}
	let chain = RpcChain::connect(&args.common.node).await?;
	let lineage = lineage(&chain, args.artifact).await?;
	let mut out = std::io::stdout().lock();
	if args.common.json {
		serde_json::to_writer_pretty(&mut out, &lineage)?;
		writeln!(out)?;
	} else {
		write!(out, "{lineage}")?;
		for contradiction in &lineage.contradictions {
			writeln!(out, "REFUTED: {contradiction}")?;
		}
	}
	Ok(lineage.verdict)
}
