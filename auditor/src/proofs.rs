//! `cairn prove`, `verify`, `file` and `lineage --prove`.

use crate::{File, Genesis, Lineage, Prove, Verify};
use anyhow::{bail, Context};
use cairn_auditor::{
	chain::Chain,
	lineage::describe,
	prove::{self, ProveError, Subject},
	rpc::RpcChain,
	Verdict,
};
use cairn_primitives::{ArtifactHash, RecordId, H256};
use cairn_verifier::{
	report::{self, Report, Verdict as BundleVerdict},
	Bundle, Proven, Statement,
};
use serde::Serialize;
use std::{
	fs,
	io::{Read, Write},
	path::{Path, PathBuf},
};

/// A bundle that is longer than this was made by nobody, and is not read into memory.
const LONGEST: u64 = 2 * cairn_verifier::bundle::MAX_LEN as u64 + 4096;

impl Genesis {
	/// The hash to check against, and whether it is only the node's word.
	pub(crate) async fn known(&self, chain: &RpcChain) -> anyhow::Result<(H256, bool)> {
		match self.genesis {
			Some(genesis) => Ok((genesis, false)),
			None => Ok((chain.genesis().await?, true)),
		}
	}
}

/// What is printed of a proof with `--json`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Output {
	report: Report,
	/// Whether the genesis hash is the node's word.
	genesis_from_node: bool,
	/// The length of the bundle, in bytes.
	#[serde(skip_serializing_if = "Option::is_none")]
	size: Option<usize>,
	/// Where it was written.
	#[serde(skip_serializing_if = "Option::is_none")]
	file: Option<PathBuf>,
}

/// Prints JSON for machines.
pub(crate) fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
	let mut out = std::io::stdout().lock();
	serde_json::to_writer_pretty(&mut out, value)?;
	writeln!(out).context("cannot print")
}

/// Writes a file, all at once, so that no half of one is ever taken for the whole, or for a forgery.
pub(crate) fn write_file(what: &str, bytes: &[u8], path: &Path) -> anyhow::Result<()> {
	let mut beside = path.as_os_str().to_owned();
	beside.push(".new");
	let written = fs::File::create(&beside)
		.and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
		.and_then(|()| fs::rename(&beside, path));
	if written.is_err() {
		// What is left of it, if anything.
		let _ = fs::remove_file(&beside);
	}
	written.with_context(|| format!("cannot write {what} to {}", path.display()))
}

/// Writes a bundle.
pub(crate) fn write(bundle: &Bundle, path: &Path) -> anyhow::Result<()> {
	let is_json = path.extension().is_some_and(|extension| extension == "json");
	let bytes = if is_json { bundle.to_json().into_bytes() } else { bundle.to_bytes() };
	write_file("the bundle", &bytes, path)
}

/// Says what is proved.
fn print_proven(out: &mut impl Write, proven: &Proven, genesis_from_node: bool) -> std::io::Result<()> {
	match &proven.statement {
		Statement::Records(records) => {
			for (id, record) in records {
				writeln!(out, "{}", describe(&prove::to_list(*id, record)))?;
			}
		},
		Statement::NoWeights(artifact) => writeln!(out, "no weights {artifact:?}")?,
	}
	let Proven { genesis, block, number, set_id, authorities, .. } = proven;
	writeln!(out, "proven as of block {number} {block:?}")?;
	writeln!(out, "       finalised by authority set {set_id}, of {authorities}, of chain {genesis:?}")?;
	if genesis_from_node {
		writeln!(
			out,
			"       (the node named the chain: compare this genesis hash with one that you know, or give --genesis)"
		)?;
	}
	Ok(())
}

/// Ends a command that asked for a proof.
fn finish(
	asked: Result<(Bundle, Proven), ProveError>,
	genesis: (H256, bool),
	out: Option<PathBuf>,
	json: bool,
) -> anyhow::Result<Verdict> {
	let (genesis, genesis_from_node) = genesis;
	let (bundle, proven) = match asked {
		Ok(proved) => proved,
		Err(error) if error.verdict() == Verdict::Refuted => {
			let reason = Some(error.to_string());
			if json {
				let report = Report { verdict: BundleVerdict::Refuted, genesis, reason, proof: None };
				print_json(&Output { report, genesis_from_node, size: None, file: None })?;
			} else {
				println!("REFUTED: {error}");
			}
			return Ok(Verdict::Refuted);
		},
		Err(error) => return Err(error.into()),
	};
	if let Some(path) = &out {
		write(&bundle, path)?;
	}
	let size = bundle.to_bytes().len();
	if json {
		let report =
			Report { verdict: BundleVerdict::Proven, genesis, reason: None, proof: Some(proven.into()) };
		print_json(&Output { report, genesis_from_node, size: Some(size), file: out })?;
	} else {
		let mut stdout = std::io::stdout().lock();
		print_proven(&mut stdout, &proven, genesis_from_node)?;
		if let Some(path) = &out {
			writeln!(stdout, "{size} bytes in {}", path.display())?;
		}
	}
	Ok(Verdict::Equal)
}

/// `cairn prove`.
pub async fn prove(args: Prove) -> anyhow::Result<Verdict> {
	let subject = match args.subject.parse::<RecordId>() {
		Ok(_) if args.absent => bail!("absence is proved of weights, by their hash: 0x and 64 hex digits"),
		Ok(id) => Subject::Record(id),
		Err(_) => {
			let hash = crate::parse_hash(&args.subject).map_err(anyhow::Error::msg).with_context(|| {
				format!("`{}` is neither the number of a record nor an artifact's hash", args.subject)
			})?;
			if args.absent {
				Subject::NoWeights(hash)
			} else {
				Subject::Artifact(hash)
			}
		},
	};
	let name = match subject {
		Subject::Record(id) => format!("record-{id}.cairn"),
		Subject::Artifact(hash) => format!("{}.cairn", &format!("{hash:?}")[2..18]),
		Subject::NoWeights(hash) => format!("no-{}.cairn", &format!("{hash:?}")[2..18]),
	};
	let chain = RpcChain::connect(&args.common.node).await?;
	let genesis = args.genesis.known(&chain).await?;
	let asked = prove::prove(&chain, subject, args.at, &genesis.0).await;
	finish(asked, genesis, Some(args.out.unwrap_or_else(|| name.into())), args.common.json)
}

/// `cairn lineage --prove`.
pub async fn lineage(args: Lineage) -> anyhow::Result<Verdict> {
	let chain = RpcChain::connect(&args.common.node).await?;
	let genesis = args.genesis.known(&chain).await?;
	match prove::prove_lineage(&chain, args.artifact, &genesis.0).await {
		Ok((bundle, proven, lineage)) if lineage.contradictions.is_empty() && !args.common.json => {
			print!("{lineage}");
			let of = Proven { statement: Statement::Records(Vec::new()), ..proven };
			let mut stdout = std::io::stdout().lock();
			print_proven(&mut stdout, &of, genesis.1)?;
			if let Some(path) = &args.out {
				write(&bundle, path)?;
				writeln!(stdout, "{} bytes in {}", bundle.to_bytes().len(), path.display())?;
			}
			Ok(Verdict::Equal)
		},
		Ok((_, _, lineage)) if !lineage.contradictions.is_empty() => {
			let error = ProveError::Contradiction(lineage.contradictions.join("; "));
			finish(Err(error), genesis, None, args.common.json)
		},
		Ok((bundle, proven, _)) => finish(Ok((bundle, proven)), genesis, args.out, args.common.json),
		Err(error) => finish(Err(error), genesis, None, args.common.json),
	}
}

/// `cairn file`.
pub async fn file(args: File) -> anyhow::Result<Verdict> {
	let named = || args.path.display();
	let mut hasher = blake3::Hasher::new();
	fs::File::open(&args.path)
		.and_then(|file| hasher.update_reader(file).map(|_| ()))
		.with_context(|| format!("cannot read {}", named()))?;
	let hash = ArtifactHash::from(*hasher.finalize().as_bytes());
	let chain = RpcChain::connect(&args.common.node).await?;
	let genesis = args.genesis.known(&chain).await?;
	let asked = prove::prove(&chain, Subject::Artifact(hash), None, &genesis.0).await;
	if let Err(ProveError::Chain(error)) = &asked {
		return Err(anyhow::Error::new(error.clone()).context(format!("{} is {hash:?}", named())));
	}
	finish(asked, genesis, args.out, args.common.json)
}

/// `cairn verify`.
pub fn verify(args: Verify) -> anyhow::Result<Verdict> {
	let named = || args.bundle.display();
	let mut bytes = Vec::new();
	let read = if args.bundle.as_os_str() == "-" {
		std::io::stdin().lock().take(LONGEST).read_to_end(&mut bytes)
	} else {
		fs::File::open(&args.bundle).and_then(|file| file.take(LONGEST).read_to_end(&mut bytes))
	};
	read.with_context(|| format!("cannot read {}", named()))?;
	let mut report = report::report(&bytes, &args.genesis);
	if let (Some(artifact), Some(proof)) = (args.artifact, &report.proof) {
		let is_about = proof.no_weights == Some(artifact)
			|| proof.records.iter().any(|info| info.record.artifact == artifact);
		if !is_about {
			report.verdict = BundleVerdict::Refuted;
			report.reason = Some(format!("it says nothing about artifact {artifact:?}"));
			report.proof = None;
		}
	}
	let verdict = match report.verdict {
		BundleVerdict::Proven => Verdict::Equal,
		BundleVerdict::Refuted => Verdict::Refuted,
		BundleVerdict::Unreadable => Verdict::Unknown,
	};
	if args.json {
		print_json(&report)?;
		return Ok(verdict);
	}
	match (&report.reason, verdict) {
		(Some(reason), Verdict::Unknown) => bail!("{}: {reason}", named()),
		(Some(reason), _) => println!("REFUTED: {reason}"),
		(None, _) => {
			let bundle = report::read(&bytes)?;
			let proven = cairn_verifier::verify(&bundle, &args.genesis)?;
			print_proven(&mut std::io::stdout().lock(), &proven, false)?;
		},
	}
	Ok(verdict)
}
