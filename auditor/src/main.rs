//! `cairn`: the auditor's command line.

mod proofs;
mod rounds;

use anyhow::Context;
use cairn_auditor::{
	artifacts::DEFAULT_TIMEOUT,
	audit::DEFAULT_PATIENCE,
	lineage::lineage,
	rpc::RpcChain,
	terminal::{say, say_json, say_lines, tell},
	Verdict,
};
use cairn_network::{parse_multiaddr, Multiaddr};
use cairn_primitives::{ArtifactHash, ProgrammeId, RoundIndex, H256};
use clap::{Args, Parser, Subcommand};
use serde_json::json;
use std::{path::PathBuf, process::ExitCode};

/// Asks a Cairn node where a model came from, and checks the answer.
///
/// Exit code 0: what was asked about holds. 1: it is refuted. 2: could not tell, because something is missing, the
/// node does not answer, or the command line is wrong. Without --genesis, what holds is said of the chain that the node
/// names.
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
	/// artifacts are read from stores, those of workers for example, or fetched from workers. Every update is checked as
	/// the committee had to.
	Recompute(Recompute),
	/// Check a whole programme: prove every record from its first weights to its newest, and recompute every aggregate.
	Audit(Audit),
	/// Print where an artifact came from, back to the weights that its programme started from.
	///
	/// With --prove, every record of it is proved, and what is printed is only what was proved.
	Lineage(Lineage),
	/// Ask a node for the proof of a record, check it, and keep it in a file.
	Prove(Prove),
	/// Check a bundle without any network, and print what it proves, as a lineage where it is one.
	Verify(Verify),
	/// Tell which model or update a file is: ask for the proof of the record of its hash, and check it.
	File(File),
}

impl Command {
	/// Whether one JSON document is to be printed.
	fn is_json(&self) -> bool {
		match self {
			Self::Recompute(Recompute { common, .. })
			| Self::Audit(Audit { common, .. })
			| Self::Lineage(Lineage { common, .. })
			| Self::Prove(Prove { common, .. })
			| Self::File(File { common, .. }) => common.json,
			Self::Verify(verify) => verify.json,
		}
	}
}

#[derive(Args)]
struct Common {
	/// The node's WebSocket address.
	#[arg(long, env = "CAIRN_NODE", default_value = "ws://127.0.0.1:9944", value_name = "URL")]
	node: String,
	/// Print one JSON document instead of text, also of an error.
	#[arg(long)]
	json: bool,
}

/// Where artifacts come from.
#[derive(Args)]
struct Sources {
	/// A folder of artifacts, such as BASE-PATH/store of a worker. Can be given several times: the first intact
	/// copy of an artifact is used. Nobody may change files in it meanwhile: copy the store of a worker that runs.
	#[arg(long = "store", value_name = "DIR")]
	stores: Vec<PathBuf>,
	/// A worker to fetch from what no store has, ending in /p2p/PEER_ID. Can be given several times. Whom it knows is asked,
	/// too. No account and no device are needed.
	#[arg(long = "peer", env = "CAIRN_PEERS", value_name = "MULTIADDR", value_delimiter = ',', value_parser = parse_multiaddr)]
	peers: Vec<Multiaddr>,
	/// Where to keep what was fetched, so that an audit that was interrupted goes on there [default:
	/// $XDG_CACHE_HOME/cairn-audit or ~/.cache/cairn-audit]
	#[arg(long, env = "CAIRN_AUDIT_CACHE", value_name = "DIR")]
	cache: Option<PathBuf>,
	/// The most that this folder may take on disk. What is no longer needed goes first [default: what the disk has, less
	/// 256 MiB]
	#[arg(long, value_name = "BYTES")]
	quota: Option<u64>,
	/// How long nothing at all may arrive before an artifact is given up.
	#[arg(long, value_name = "SECONDS", default_value_t = DEFAULT_TIMEOUT.as_secs())]
	timeout: u64,
	/// Ask no worker: use the stores and what was fetched before.
	#[arg(long)]
	offline: bool,
	/// Threads to compute with. The result does not depend on it. As many as there are processors when absent.
	#[arg(long, value_name = "N")]
	threads: Option<usize>,
}

#[derive(Args)]
struct Recompute {
	#[command(flatten)]
	common: Common,
	#[command(flatten)]
	sources: Sources,
	/// The programme's number.
	#[arg(value_name = "PROGRAMME", required_unless_present = "programme")]
	named: Option<ProgrammeId>,
	/// This round only; all rounds when absent.
	#[arg(value_name = "ROUND")]
	nth: Option<RoundIndex>,
	/// The programme's number.
	#[arg(long, value_name = "ID", conflicts_with = "named")]
	programme: Option<ProgrammeId>,
	/// This round only.
	#[arg(long, value_name = "N", conflicts_with_all = ["all", "nth"])]
	round: Option<RoundIndex>,
	/// All rounds; this is what is done when no round is named.
	#[arg(long, conflicts_with = "nth")]
	all: bool,
	#[command(flatten)]
	genesis: Genesis,
}

#[derive(Args)]
struct Audit {
	#[command(flatten)]
	common: Common,
	#[command(flatten)]
	sources: Sources,
	/// The programme's number.
	programme: ProgrammeId,
	#[command(flatten)]
	genesis: Genesis,
	/// Write the report as one HTML page here: the lineage as a drawing, no script, nothing loaded from anywhere.
	#[arg(long, value_name = "FILE")]
	html: Option<PathBuf>,
	/// Write the bundle that proves all records here.
	#[arg(long, value_name = "FILE")]
	out: Option<PathBuf>,
	/// How long to wait until the newest weights can be proved: until the node has a proof of finality.
	#[arg(long, value_name = "SECONDS", default_value_t = DEFAULT_PATIENCE.as_secs())]
	patience: u64,
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
	/// Take no proof that holds as of an older block than this one, by its number. A node chooses the block, and can choose
	/// an old one.
	#[arg(long, value_name = "BLOCK")]
	not_before: Option<u32>,
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
	/// Refute it unless it proves a record of this artifact, or its absence; and print this artifact's lineage.
	#[arg(long, value_name = "HASH", value_parser = parse_hash)]
	artifact: Option<ArtifactHash>,
	/// Take it only if it holds as of this block or a later one, by its number.
	#[arg(long, value_name = "BLOCK")]
	not_before: Option<u32>,
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
	let command = Cli::parse().command;
	let json = command.is_json();
	let outcome = match command {
		Command::Recompute(args) => rounds::recompute(args).await,
		Command::Audit(args) => rounds::audit(args).await,
		Command::Lineage(args) => run_lineage(args).await,
		Command::Prove(args) => proofs::prove(args).await,
		Command::Verify(args) => proofs::verify(args),
		Command::File(args) => proofs::file(args).await,
	};
	match outcome {
		Ok(verdict) => verdict.exit_code().into(),
		Err(error) => {
			let error = format!("{error:#}");
			tell(format_args!("cairn: {error}"));
			if json {
				// If this cannot be printed either, the error has been told.
				let _ = say_json(&json!({ "verdict": "unknown", "error": error }));
			}
			Verdict::Unknown.exit_code().into()
		},
	}
}

async fn run_lineage(args: Lineage) -> anyhow::Result<Verdict> {
	if args.prove {
		return proofs::lineage(args).await;
	}
	let chain = RpcChain::connect(&args.common.node).await?;
	let lineage = lineage(&chain, args.artifact).await?;
	let printed = if args.common.json {
		say_json(&lineage)
	} else {
		let mut refuted = lineage.contradictions.iter();
		say_lines(&lineage).and_then(|()| refuted.try_for_each(|it| say(format_args!("REFUTED: {it}"))))
	};
	printed.context("cannot print")?;
	Ok(lineage.verdict)
}
