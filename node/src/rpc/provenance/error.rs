//! What can go wrong in a `provenance_*` call, and how it is said.

use crate::proofs::ProofError;
use cairn_primitives::{
	ledger::BatchId, views::MAX_PAGE, ArtifactHash, DeviceId, ProgrammeId, RecordId, RoundIndex, SiteId,
};
use jsonrpsee::types::{ErrorObject, ErrorObjectOwned};
use serde_json::{json, Value};
use sp_core::H256;

/// The runtime did not answer.
pub const RUNTIME_CALL_FAILED: i32 = 9100;
/// No programme has this number.
pub const UNKNOWN_PROGRAMME: i32 = 9101;
/// The programme has not opened this round.
pub const UNKNOWN_ROUND: i32 = 9102;
/// No record, device or site has this number, or no record names this artifact.
pub const UNKNOWN_RECORD: i32 = 9103;
/// A page of a size that is not served was asked for.
pub const PAGE_SIZE: i32 = 9104;
/// An argument is not what it has to be.
pub const MALFORMED: i32 = 9105;
/// The block is not here, or its state is not.
pub const UNKNOWN_BLOCK: i32 = 9106;
/// This node's records or its index over them are incomplete or damaged.
pub const LEDGER_UNREADABLE: i32 = 9107;

/// What a proof needs is not final yet.
pub const NOT_PROVABLE_YET: i32 = 9108;
/// This node lacks what a proof is made of.
pub const PROOF_UNAVAILABLE: i32 = 9109;
/// Absence was to be proved of something that is there.
pub const RECORDED: i32 = 9110;

/// The most characters of a caller's own words that an error repeats.
const ECHO: usize = 96;

/// Why a `provenance_*` call has no answer. The text is for people: it names the thing and the remedy. The code and
/// [`Error::data`] are for machines.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
	/// The runtime, or the database under it, failed.
	#[error(
		"the runtime did not answer {call} at block {block:?}: {reason}. At an old block the runtime of that time may \
		 not know the question: ask at a newer one. Otherwise the log of the node says more"
	)]
	RuntimeCall {
		/// The runtime API and its method.
		call: &'static str,
		/// The block whose state was asked.
		block: H256,
		/// What the node says about it.
		reason: String,
	},
	/// No programme has this number.
	#[error(
		"there is no programme {programme} at block {block:?}; provenance_programmes lists the ones that exist"
	)]
	UnknownProgramme {
		/// The number.
		programme: ProgrammeId,
		/// The block whose state was asked.
		block: H256,
	},
	/// The programme has not opened this round.
	#[error(
		"programme {programme} has no round {round} at block {block:?}; its newest round is {newest}, and \
		 provenance_currentRound gives the one that runs"
	)]
	UnknownRound {
		/// The programme.
		programme: ProgrammeId,
		/// The round asked for.
		round: RoundIndex,
		/// The newest round it has.
		newest: RoundIndex,
		/// The block whose state was asked.
		block: H256,
	},
	/// No record has this number.
	#[error("there is no record {record} at block {block:?}; {}", ledger(.count))]
	UnknownRecord {
		/// The number.
		record: RecordId,
		/// How many records there are, numbered from 0.
		count: RecordId,
		/// The block whose state was asked.
		block: H256,
	},
	/// No record names this artifact.
	#[error(
		"no record names artifact {artifact:?} at block {block:?}: nobody recorded it up to there. Check the hash (an \
		 artifact's name is the BLAKE3-256 of its bytes), or ask again when its round is finalised"
	)]
	UnknownArtifact {
		/// The artifact.
		artifact: ArtifactHash,
		/// The block whose state was asked.
		block: H256,
	},
	/// No device has this number.
	#[error(
		"there is no device {device} at block {block:?}; the event Hardware.DeviceRegistered tells a device its number"
	)]
	UnknownDevice {
		/// The number.
		device: DeviceId,
		/// The block whose state was asked.
		block: H256,
	},
	/// No site has this number.
	#[error("there is no site {site} at block {block:?}; the event Hardware.SiteRegistered tells a site its number")]
	UnknownSite {
		/// The number.
		site: SiteId,
		/// The block whose state was asked.
		block: H256,
	},
	/// A page of a size that is not served was asked for.
	#[error(
		"a page holds 1 to {MAX_PAGE} entries, not {count}; ask for at most {MAX_PAGE} and read on with the page's \
		 `next` as the cursor"
	)]
	PageSize {
		/// The size asked for.
		count: u32,
	},
	/// An argument is not what it has to be.
	#[error("`{argument}` is \"{value}\", which {problem}; {expected}")]
	Malformed {
		/// The argument's name.
		argument: &'static str,
		/// Its value, shortened when it is long.
		value: String,
		/// What is wrong with it.
		problem: String,
		/// What it should be.
		expected: String,
	},
	/// The node has no such block.
	#[error(
		"this node does not have block {block:?}: it belongs to another chain or fork, or the node has not \
		 synchronised it yet. Leave `at` out to ask at the best block"
	)]
	UnknownBlock {
		/// The block.
		block: H256,
	},
	/// The node has the block but not its state.
	#[error(
		"this node no longer has the state of block {block:?}, which it prunes after a while. Ask an archive node (one \
		 run with --state-pruning archive), or leave `at` out to ask at the best block"
	)]
	PrunedBlock {
		/// The block.
		block: H256,
	},
	/// The node lacks the records of a batch.
	#[error(
		"this node does not have the records of batch {batch} (root {root:?}), which block {number} appended: it did not \
		 execute that block, as after a warp sync, or its offchain index was off then. Ask a node that has executed every \
		 block, or remove this one's database with purge-chain and synchronise again with --sync full"
	)]
	MissingRecords {
		/// The batch.
		batch: BatchId,
		/// Its root.
		root: H256,
		/// The number of the block that appended it.
		number: u32,
	},
	/// The records that the node has of a batch are not those that state commits to.
	#[error(
		"the offchain index of this node is damaged: what it has as the records of batch {batch}, which block {number} \
		 appended, does not have the root {root:?} that the state commits to. Nothing of it is served. Check the disk, \
		 remove the database with purge-chain and synchronise again with --sync full, or ask another node"
	)]
	DamagedRecords {
		/// The batch.
		batch: BatchId,
		/// Its root.
		root: H256,
		/// The number of the block that appended it.
		number: u32,
	},
	/// The index names a record that is another's.
	#[error(
		"the index of this node names record {record} for {sought}, but at block {block:?} it is a record of something \
		 else. Either the block belongs to an abandoned fork: ask at a finalised one. Or the index is \
		 damaged: check the disk, remove the database with purge-chain and synchronise again with --sync full"
	)]
	MisleadingIndex {
		/// What it names it for.
		sought: String,
		/// The record that the index names.
		record: RecordId,
		/// The block whose state was asked.
		block: H256,
	},
	/// What a proof needs is not final yet.
	#[error(
		"a proof needs block {number}, and this node's newest finalised block is {finalised}: ask again in a moment. If \
		 finality stands still, `at` may be of an abandoned fork, or the log says why"
	)]
	NotFinal {
		/// The number of the block.
		number: u32,
		/// The newest finalised block.
		finalised: u32,
	},
	/// No justification has been stored from this block on.
	#[error(
		"a proof needs a block with a GRANDPA justification from block {number} on, and there is none up to the newest \
		 finalised block, {finalised}: ask again in a minute. If it stays so, ask a node that took part when these blocks \
		 were made final"
	)]
	Unjustified {
		/// The number of the first block that would do.
		number: u32,
		/// The newest finalised block.
		finalised: u32,
	},
	/// The node lacks what a proof is made of.
	#[error(
		"this node lacks {what}{}. Ask a node that has synchronised from the start with --sync full and keeps all blocks \
		 (--blocks-pruning archive-canonical, the default), or synchronise this one again so", bracketed(.detail)
	)]
	ProofLacks {
		/// What it lacks.
		what: String,
		/// What the database says about it; empty when it is just not there.
		detail: String,
	},
	/// The node lacks nodes of the Merkle mountain range.
	#[error(
		"this node does not have the Merkle mountain range's nodes that prove block {number}{}: it did not execute every \
		 block, as after a warp sync, or its offchain index was off. Ask a node that was synchronised with --sync full and \
		 never run with --enable-offchain-indexing false; its state may be pruned", bracketed(.detail)
	)]
	MissingRange {
		/// The number of the block.
		number: u32,
		/// What the runtime says about it.
		detail: String,
	},
	/// What the node's database gives is no proof.
	#[error(
		"what this node's database gives is no proof: {detail}. Nothing of it is served. Check the disk, remove the \
		 database with purge-chain and synchronise again with --sync full, or ask another node"
	)]
	Unsound {
		/// Which link does not hold.
		detail: String,
	},
	/// Absence was to be proved of weights that have a record.
	#[error("weights {artifact:?} are recorded, in record {record}; provenance_prove proves it")]
	Recorded {
		/// The weights.
		artifact: ArtifactHash,
		/// Their record.
		record: RecordId,
	},
	/// The index has not caught up with the chain.
	#[error(
		"the index of this node has {indexed} of {count} batches of records and follows finality: ask again in a moment, \
		 or pass a finalised block as `at`. If the numbers stay as they are, finality stands still or the log says why \
		 indexing failed"
	)]
	IndexBehind {
		/// How many batches are indexed.
		indexed: BatchId,
		/// How many there are.
		count: BatchId,
	},
}

/// What is said in brackets.
fn bracketed(detail: &str) -> String {
	if detail.is_empty() {
		String::new()
	} else {
		format!(" ({detail})")
	}
}

/// Which records there are.
fn ledger(count: &RecordId) -> String {
	match count.checked_sub(1) {
		None => "the ledger is empty".into(),
		Some(0) => "the ledger holds record 0 only".into(),
		Some(last) => format!("the ledger holds records 0 to {last}"),
	}
}

impl Error {
	/// An argument that is not what it has to be. Of a long value only the beginning is repeated.
	pub fn malformed(
		argument: &'static str,
		value: &str,
		problem: impl Into<String>,
		expected: impl Into<String>,
	) -> Self {
		let mut shown: String = value.chars().take(ECHO).collect();
		if shown.len() < value.len() {
			shown.push('…');
		}
		Self::Malformed { argument, value: shown, problem: problem.into(), expected: expected.into() }
	}

	/// The JSON-RPC error code.
	pub const fn code(&self) -> i32 {
		match self {
			Self::RuntimeCall { .. } => RUNTIME_CALL_FAILED,
			Self::UnknownProgramme { .. } => UNKNOWN_PROGRAMME,
			Self::UnknownRound { .. } => UNKNOWN_ROUND,
			Self::UnknownRecord { .. }
			| Self::UnknownArtifact { .. }
			| Self::UnknownDevice { .. }
			| Self::UnknownSite { .. } => UNKNOWN_RECORD,
			Self::PageSize { .. } => PAGE_SIZE,
			Self::Malformed { .. } => MALFORMED,
			Self::UnknownBlock { .. } | Self::PrunedBlock { .. } => UNKNOWN_BLOCK,
			Self::MissingRecords { .. }
			| Self::DamagedRecords { .. }
			| Self::MisleadingIndex { .. }
			| Self::IndexBehind { .. } => LEDGER_UNREADABLE,
			Self::NotFinal { .. } | Self::Unjustified { .. } => NOT_PROVABLE_YET,
			Self::ProofLacks { .. } | Self::MissingRange { .. } | Self::Unsound { .. } => PROOF_UNAVAILABLE,
			Self::Recorded { .. } => RECORDED,
		}
	}

	/// The same facts as in the text, as the JSON-RPC error's `data`. `reason` tells apart what shares a code.
	pub fn data(&self) -> Value {
		match self {
			Self::RuntimeCall { call, block, reason } => {
				json!({ "reason": "runtimeCallFailed", "call": call, "block": block, "detail": reason })
			},
			Self::UnknownProgramme { programme, block } => {
				json!({ "reason": "unknownProgramme", "programme": programme, "block": block })
			},
			Self::UnknownRound { programme, round, newest, block } => json!({
				"reason": "unknownRound", "programme": programme, "round": round, "newest": newest, "block": block,
			}),
			Self::UnknownRecord { record, count, block } => {
				json!({ "reason": "unknownRecord", "record": record, "count": count, "block": block })
			},
			Self::UnknownArtifact { artifact, block } => {
				json!({ "reason": "unknownArtifact", "artifact": artifact, "block": block })
			},
			Self::UnknownDevice { device, block } => {
				json!({ "reason": "unknownDevice", "device": device, "block": block })
			},
			Self::UnknownSite { site, block } => {
				json!({ "reason": "unknownSite", "site": site, "block": block })
			},
			Self::PageSize { count } => {
				json!({ "reason": "pageSize", "count": count, "max": MAX_PAGE })
			},
			Self::Malformed { argument, value, problem, expected } => json!({
				"reason": "malformed", "argument": argument, "value": value, "problem": problem, "expected": expected,
			}),
			Self::UnknownBlock { block } => json!({ "reason": "unknownBlock", "block": block }),
			Self::PrunedBlock { block } => json!({ "reason": "prunedBlock", "block": block }),
			Self::MissingRecords { batch, root, number } => {
				json!({ "reason": "missingRecords", "batch": batch, "root": root, "number": number })
			},
			Self::DamagedRecords { batch, root, number } => {
				json!({ "reason": "damagedRecords", "batch": batch, "root": root, "number": number })
			},
			Self::MisleadingIndex { sought, record, block } => json!({
				"reason": "misleadingIndex", "sought": sought, "record": record, "block": block,
			}),
			Self::NotFinal { number, finalised } => {
				json!({ "reason": "notFinal", "number": number, "finalised": finalised })
			},
			Self::Unjustified { number, finalised } => {
				json!({ "reason": "unjustified", "number": number, "finalised": finalised })
			},
			Self::ProofLacks { what, detail } => {
				json!({ "reason": "proofLacks", "what": what, "detail": detail })
			},
			Self::MissingRange { number, detail } => {
				json!({ "reason": "missingRange", "number": number, "detail": detail })
			},
			Self::Unsound { detail } => json!({ "reason": "unsound", "detail": detail }),
			Self::Recorded { artifact, record } => {
				json!({ "reason": "recorded", "artifact": artifact, "record": record })
			},
			Self::IndexBehind { indexed, count } => {
				json!({ "reason": "indexBehind", "indexed": indexed, "count": count })
			},
		}
	}
}

impl From<ProofError> for Error {
	fn from(error: ProofError) -> Self {
		match error {
			ProofError::NotFinal { number, finalised } => Self::NotFinal { number, finalised },
			ProofError::Unjustified { number, finalised } => Self::Unjustified { number, finalised },
			ProofError::Lacking { what, detail } => Self::ProofLacks { what, detail },
			ProofError::NoPath { number, detail } => Self::MissingRange { number, detail },
			ProofError::Unsound { detail } => Self::Unsound { detail },
		}
	}
}

impl From<Error> for ErrorObjectOwned {
	fn from(error: Error) -> Self {
		ErrorObject::owned(error.code(), error.to_string(), Some(error.data()))
	}
}
