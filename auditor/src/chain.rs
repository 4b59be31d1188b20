//! What the auditor asks a chain for.

use cairn_primitives::{
	views::{LineagePage, ProgrammeInfo, RecordInfo, RoundInfo},
	ArtifactHash, ProgrammeId, RecordId, RoundIndex, H256,
};
use thiserror::Error;

/// A programme; accounts in SS58, balances in plancks.
pub type Programme = ProgrammeInfo<String, u128>;
/// A round.
pub type Round = RoundInfo<String, u32>;
/// A record with its number.
pub type Record = RecordInfo<String, u32>;
/// A page of a lineage.
pub type Page = LineagePage<String, u32>;

/// Why the chain gave no answer.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum ChainError {
	/// The address cannot be a node's.
	#[error("`{url}` is not a node's WebSocket address; give one like ws://127.0.0.1:9944")]
	Url {
		/// What was given.
		url: String,
	},
	/// No connection.
	#[error("no connection to the node at {url}: {reason}; is it running, and is this its RPC port?")]
	Connect {
		/// The node.
		url: String,
		/// Why not.
		reason: String,
	},
	/// The connection was lost, or an answer took too long.
	#[error("the node at {url} did not answer {method}: {reason}; try again")]
	Transport {
		/// The node.
		url: String,
		/// The call.
		method: String,
		/// What happened.
		reason: String,
	},
	/// The node answered with an error.
	#[error("the node refused {method}: {message} (error {code})")]
	Refused {
		/// The call.
		method: String,
		/// The error's number.
		code: i32,
		/// The node's words.
		message: String,
	},
	/// The node has no such method.
	#[error("the node at {url} does not know {method}; it is no Cairn node, or of another version")]
	UnknownMethod {
		/// The node.
		url: String,
		/// The call.
		method: String,
	},
	/// An answer about something else.
	#[error("asked for {asked}, the node answered {method} with {answered}; ask another node")]
	Other {
		/// The call.
		method: &'static str,
		/// What was asked for.
		asked: String,
		/// What the answer is about.
		answered: String,
	},
	/// An answer that does not parse.
	#[error(
		"the node's answer to {method} is not what it should be: {reason}; it may be of another version"
	)]
	Malformed {
		/// The call.
		method: String,
		/// What is wrong.
		reason: String,
	},
}

/// A chain that answers. Whatever has state is asked at a block, so that answers fit together.
#[allow(async_fn_in_trait, reason = "used with static dispatch, on whatever thread the caller runs")]
pub trait Chain {
	/// The hash of the genesis block: which chain this is.
	async fn genesis(&self) -> Result<H256, ChainError>;
	/// The newest block that cannot be replaced any more.
	async fn finalised(&self) -> Result<H256, ChainError>;
	/// A programme.
	async fn programme(&self, id: ProgrammeId, at: H256) -> Result<Programme, ChainError>;
	/// A round.
	async fn round(&self, programme: ProgrammeId, index: RoundIndex, at: H256) -> Result<Round, ChainError>;
	/// A record.
	async fn record(&self, id: RecordId, at: H256) -> Result<Record, ChainError>;
	/// A page of the lineage of an artifact; the first, or that which `cursor` names.
	async fn lineage(
		&self,
		artifact: ArtifactHash,
		cursor: Option<RecordId>,
		at: H256,
	) -> Result<Page, ChainError>;
}

/// A programme, which has to be the one asked for.
///
/// # Errors
/// When the chain does not answer, or about another one.
pub async fn ask_programme(chain: &impl Chain, id: ProgrammeId, at: H256) -> Result<Programme, ChainError> {
	let programme = chain.programme(id, at).await?;
	is_about("provenance_programme", id == programme.id, || {
		(format!("programme {id}"), format!("programme {}", programme.id))
	})?;
	Ok(programme)
}

/// A round, which has to be the one asked for.
///
/// # Errors
/// When the chain does not answer, or about another one.
pub async fn ask_round(
	chain: &impl Chain,
	programme: ProgrammeId,
	index: RoundIndex,
	at: H256,
) -> Result<Round, ChainError> {
	let round = chain.round(programme, index, at).await?;
	is_about("provenance_round", (programme, index) == (round.programme, round.index), || {
		let name = |programme, index| format!("round {index} of programme {programme}");
		(name(programme, index), name(round.programme, round.index))
	})?;
	Ok(round)
}

/// A record, which has to be the one asked for.
///
/// # Errors
/// When the chain does not answer, or about another one.
pub async fn ask_record(chain: &impl Chain, id: RecordId, at: H256) -> Result<Record, ChainError> {
	let record = chain.record(id, at).await?;
	is_about("provenance_record", id == record.id, || {
		(format!("record {id}"), format!("record {}", record.id))
	})?;
	Ok(record)
}

fn is_about(
	method: &'static str,
	it_is: bool,
	names: impl FnOnce() -> (String, String),
) -> Result<(), ChainError> {
	if it_is {
		return Ok(());
	}
	let (asked, answered) = names();
	Err(ChainError::Other { method, asked, answered })
}

/// A chain that gives proofs.
#[allow(async_fn_in_trait, reason = "used with static dispatch, on whatever thread the caller runs")]
pub trait ProvingChain: Chain {
	/// The node's answer to `provenance_prove`, as JSON: for a record's number, or an artifact's hash with its 0x.
	async fn prove(&self, record: &str, at: Option<H256>) -> Result<String, ChainError>;
	/// The node's answer to `provenance_proveAbsence`, as JSON.
	async fn prove_absence(&self, weights: ArtifactHash) -> Result<String, ChainError>;
}
