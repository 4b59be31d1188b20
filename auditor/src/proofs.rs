//! `cairn prove`, `verify`, `file` and `lineage --prove`.

use crate::{File, Genesis, Lineage, Prove, Verify};
use anyhow::{bail, Context};
use cairn_auditor::{
	chain::Chain,
	lineage::{self, describe},
	prove::{self, to_list, ProveError, Subject},
	rpc::RpcChain,
	terminal::{say, say_json, say_lines},
	Verdict,
};
use cairn_primitives::{ArtifactHash, RecordId, H256};
use cairn_verifier::{
	bundle::MAX_LEN,
	report::{self, Report, Verdict as BundleVerdict},
	Bundle, Proven, Statement,
};
use serde::Serialize;
use std::{
	collections::BTreeSet,
	fs,
	io::{self, Read, Write},
	path::{Path, PathBuf},
};

/// How much of a file is read: one byte more than any bundle has, so that a longer one is told from it.
const LONGEST: u64 = report::MAX_TEXT_LEN as u64 + 1;

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

/// A bundle as a file of this name has it: JSON, or binary. None is made that no verifier would read.
pub(crate) fn encode(bundle: &Bundle, path: &Path) -> anyhow::Result<Vec<u8>> {
	let is_json = path.extension().is_some_and(|extension| extension == "json");
	let (bytes, most, shorter) = if is_json {
		// Without spaces, because the length counts.
		let bytes = serde_json::to_vec(bundle).context("cannot write the bundle as JSON")?;
		(
			bytes,
			report::MAX_TEXT_LEN,
			"; the binary form, under a name that does not end in .json, is shorter",
		)
	} else {
		(bundle.to_bytes(), MAX_LEN, "")
	};
	let len = bytes.len();
	if len > most {
		bail!(
			"the bundle has {len} bytes, and verifiers read no more than {most}, so nothing is written to {}{shorter}. \
			 Without --out, `cairn lineage --prove` and `cairn audit` prove the same and keep no bundle",
			path.display()
		);
	}
	Ok(bytes)
}

/// Writes a bundle.
pub(crate) fn write(bundle: &Bundle, path: &Path) -> anyhow::Result<()> {
	write_file("the bundle", &encode(bundle, path)?, path)
}

/// As of which block something is proved, and by whom.
fn say_finality(proven: &Proven, genesis_from_node: bool) -> io::Result<()> {
	let Proven { genesis, block, number, set_id, authorities, .. } = proven;
	let of = if genesis_from_node { " for the chain that the node named," } else { "" };
	say(format_args!("proven{of} as of block {number} {block:?}"))?;
	say(format_args!("       finalised by authority set {set_id}, of {authorities}, of chain {genesis:?}"))?;
	if genesis_from_node {
		say("       (compare this genesis hash with one that you know, or give --genesis)")?;
	}
	Ok(())
}

/// Says what is proved.
fn say_proven(proven: &Proven, genesis_from_node: bool) -> io::Result<()> {
	match &proven.statement {
		Statement::Records(records) => {
			records.iter().try_for_each(|(id, record)| say(describe(&to_list(*id, record))))?;
		},
		Statement::NoWeights(artifact) => {
			say(format_args!("no weights {artifact:?} up to block {} and no further", proven.number))?;
		},
	}
	say_finality(proven, genesis_from_node)
}

/// A proof as of an older block than was asked for refutes nothing, and answers nothing.
fn check_age(proven: &Proven, not_before: Option<u32>, remedy: &str) -> anyhow::Result<()> {
	match not_before {
		Some(wanted) if proven.number < wanted => bail!(
			"what is proved holds as of block {}, and --not-before asks for block {wanted} or a later one; {remedy}",
			proven.number
		),
		_ => Ok(()),
	}
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
			let printed = if json {
				let reason = Some(error.to_string());
				let report = Report { verdict: BundleVerdict::Refuted, genesis, reason, proof: None };
				say_json(&Output { report, genesis_from_node, size: None, file: None })
			} else {
				say(format_args!("REFUTED: {error}"))
			};
			printed.context("cannot print")?;
			return Ok(Verdict::Refuted);
		},
		Err(error) => return Err(error.into()),
	};
	if let Some(path) = &out {
		write(&bundle, path)?;
	}
	let size = bundle.to_bytes().len();
	let printed = if json {
		say_json(&Output { report: proven.into(), genesis_from_node, size: Some(size), file: out })
	} else {
		say_proven(&proven, genesis_from_node).and_then(|()| say_size(size, out.as_deref()))
	};
	printed.context("cannot print")?;
	Ok(Verdict::Equal)
}

/// Says where a bundle was written, if it was.
fn say_size(size: usize, path: Option<&Path>) -> io::Result<()> {
	path.map_or(Ok(()), |path| say(format_args!("{size} bytes in {}", path.display())))
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
	if let Ok((_, proven)) = &asked {
		let remedy = match subject {
			Subject::NoWeights(_) => "ask again later, or another node",
			_ => "name a later block with --at",
		};
		check_age(proven, args.not_before, remedy)?;
	}
	finish(asked, genesis, Some(args.out.unwrap_or_else(|| name.into())), args.common.json)
}

/// `cairn lineage --prove`.
pub async fn lineage(args: Lineage) -> anyhow::Result<Verdict> {
	let chain = RpcChain::connect(&args.common.node).await?;
	let genesis = args.genesis.known(&chain).await?;
	match prove::prove_lineage(&chain, args.artifact, &genesis.0).await {
		Ok((bundle, proven, lineage)) if lineage.contradictions.is_empty() && !args.common.json => {
			if let Some(path) = &args.out {
				write(&bundle, path)?;
			}
			say_lines(&lineage)
				.and_then(|()| say_finality(&proven, genesis.1))
				.and_then(|()| say_size(bundle.to_bytes().len(), args.out.as_deref()))
				.context("cannot print")?;
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

/// What is printed of a bundle with `--json`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Verified {
	#[serde(flatten)]
	report: Report,
	/// Of a bundle with several records.
	#[serde(flatten)]
	lineage: Option<BundleLineage>,
}

/// The lineage that a bundle's records make.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BundleLineage {
	lineage: Completeness,
	/// Of this artifact.
	lineage_of: ArtifactHash,
	/// What is missing, as full sentences.
	lineage_problems: Vec<String>,
	#[serde(skip)]
	steps: lineage::Lineage,
}

/// Whether all is there from an artifact to what its programme started from.
#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
enum Completeness {
	Complete,
	Broken,
}

impl BundleLineage {
	/// Of the artifact asked about, or else of the one set of weights that all records lead to. One record is no lineage.
	fn of(proven: &Proven, artifact: Option<ArtifactHash>) -> Option<Self> {
		let Statement::Records(records) = &proven.statement else { return None };
		if records.len() < 2 {
			return None;
		}
		let lineage_of = artifact.or_else(|| prove::newest_weights(proven))?;
		let steps = prove::lineage_of(proven, lineage_of);
		let lineage_problems = steps.contradictions.clone();
		let lineage = if lineage_problems.is_empty() { Completeness::Complete } else { Completeness::Broken };
		Some(Self { lineage, lineage_of, lineage_problems, steps })
	}

	/// Says it, with what else the bundle proves.
	fn say(&self, proven: &Proven) -> io::Result<()> {
		say_lines(&self.steps)?;
		let said: BTreeSet<_> = self
			.steps
			.steps
			.iter()
			.flat_map(|step| std::iter::once(&step.record).chain(&step.updates))
			.map(|record| record.id)
			.collect();
		if let Statement::Records(records) = &proven.statement {
			let others = records.iter().filter(|(id, _)| !said.contains(id));
			others
				.map(|(id, record)| describe(&to_list(*id, record)))
				.try_for_each(|line| say(format_args!("besides: {line}")))?;
		}
		say_finality(proven, false)?;
		match self.lineage {
			Completeness::Complete => say("lineage complete, back to what the programme started from"),
			Completeness::Broken => {
				say(format_args!("lineage NOT complete: {}", self.lineage_problems.join("; ")))
			},
		}
	}
}

/// `cairn verify`.
pub fn verify(args: Verify) -> anyhow::Result<Verdict> {
	let named = || args.bundle.display();
	let mut bytes = Vec::new();
	let read = if args.bundle.as_os_str() == "-" {
		io::stdin().lock().take(LONGEST).read_to_end(&mut bytes)
	} else {
		fs::File::open(&args.bundle).and_then(|file| file.take(LONGEST).read_to_end(&mut bytes))
	};
	read.with_context(|| format!("cannot read {}", named()))?;
	let checked = report::check(&bytes, &args.genesis).and_then(|proven| match args.artifact {
		Some(artifact) if !is_about(&proven, artifact) => {
			Err((BundleVerdict::Refuted, format!("it says nothing about artifact {artifact:?}")))
		},
		_ => Ok(proven),
	});
	let proven = match checked {
		Ok(proven) => proven,
		Err((BundleVerdict::Unreadable, reason)) if !args.json => bail!("{}: {reason}", named()),
		Err((verdict, reason)) => {
			let unread = verdict == BundleVerdict::Unreadable;
			let printed = if args.json {
				let reason = Some(reason);
				say_json(&Report { verdict, genesis: args.genesis, reason, proof: None })
			} else {
				say(format_args!("REFUTED: {reason}"))
			};
			printed.context("cannot print")?;
			return Ok(if unread { Verdict::Unknown } else { Verdict::Refuted });
		},
	};
	check_age(&proven, args.not_before, "ask a node for a newer proof")?;
	let lineage = BundleLineage::of(&proven, args.artifact);
	let printed = match (args.json, lineage) {
		(true, lineage) => say_json(&Verified { report: proven.into(), lineage }),
		(false, Some(lineage)) => lineage.say(&proven),
		(false, None) => say_proven(&proven, false).and_then(|()| say_alone(&proven, args.artifact)),
	};
	printed.context("cannot print")?;
	Ok(Verdict::Equal)
}

/// Says of the one record of the artifact asked about that what it was derived from is elsewhere.
fn say_alone(proven: &Proven, artifact: Option<ArtifactHash>) -> io::Result<()> {
	match (&proven.statement, artifact) {
		(Statement::Records(records), Some(_)) if records.iter().any(|(_, record)| record.base.is_some()) => {
			say("lineage not in this bundle: it has one record. `cairn lineage ARTIFACT --prove` proves all of it")
		},
		_ => Ok(()),
	}
}

/// Whether something about this artifact is proved.
fn is_about(proven: &Proven, artifact: ArtifactHash) -> bool {
	match &proven.statement {
		Statement::Records(records) => records.iter().any(|(_, record)| record.artifact == artifact),
		Statement::NoWeights(weights) => *weights == artifact,
	}
}

#[cfg(test)]
mod tests {
	#![allow(clippy::unwrap_used)]

	use super::*;
	use cairn_verifier::header::Data;

	#[test]
	fn bundle_that_no_verifier_would_read_is_not_written() {
		let dir = tempfile::TempDir::new().unwrap();
		let mut bundle = report::read(include_bytes!("../../verifier/tests/ledger.cairn")).unwrap();
		let files = ["bundle.cairn", "bundle.json"].map(|name| dir.path().join(name));
		for file in &files {
			write(&bundle, file).unwrap();
			assert_eq!(report::read(&fs::read(file).unwrap()), Ok(bundle.clone()));
			fs::remove_file(file).unwrap();
		}
		bundle.finality.authorities.push(Data(vec![0; MAX_LEN]));
		for file in &files {
			let error = write(&bundle, file).unwrap_err().to_string();
			assert!(error.contains("verifiers read no more than"), "{error}");
		}
		assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
	}
}
