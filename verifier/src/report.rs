//! A verdict as JSON, and bundles in whatever form they were kept.

use crate::{
	bundle::{Record, MAX_LEN},
	verify, BlockNumber, Bundle, DecodeError, Proven, SetId, Statement,
};
use alloc::{
	format,
	string::{String, ToString},
	vec::Vec,
};
use cairn_primitives::{ArtifactHash, RecordId, H256};
use core::fmt;
use serde::Serialize;

/// What a bundle came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Verdict {
	/// What it claims holds.
	Proven,
	/// It proves nothing: a link does not hold.
	Refuted,
	/// It is no bundle of a version that this verifier knows.
	Unreadable,
}

/// What a bundle came to, with all that it proves.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
	/// What it came to.
	pub verdict: Verdict,
	/// The genesis hash against which it was checked.
	pub genesis: H256,
	/// Why it proves nothing, as a sentence.
	#[serde(skip_serializing_if = "Option::is_none")]
	pub reason: Option<String>,
	/// What is proved.
	#[serde(skip_serializing_if = "Option::is_none")]
	pub proof: Option<Proof>,
}

/// What is proved.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Proof {
	/// The finalised block as of which it holds.
	pub block: Block,
	/// Who made that block final.
	pub authority_set: AuthoritySet,
	/// The records that are in the ledger, ascending by number.
	#[serde(skip_serializing_if = "Vec::is_empty")]
	pub records: Vec<RecordInfo>,
	/// The weights that are not in the ledger.
	#[serde(skip_serializing_if = "Option::is_none")]
	pub no_weights: Option<ArtifactHash>,
}

/// A block.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Block {
	/// Its number.
	pub number: BlockNumber,
	/// Its hash.
	pub hash: H256,
}

/// A set of authorities.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AuthoritySet {
	/// How often the set had changed since genesis.
	pub id: SetId,
	/// How many authorities it has.
	pub authorities: u32,
}

/// A record with its number.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordInfo {
	/// The number.
	pub id: RecordId,
	/// The record.
	pub record: Record,
}

impl From<Proven> for Proof {
	fn from(proven: Proven) -> Self {
		let (records, no_weights) = match proven.statement {
			Statement::Records(records) => {
				(records.into_iter().map(|(id, record)| RecordInfo { id, record }).collect(), None)
			},
			Statement::NoWeights(artifact) => (Vec::new(), Some(artifact)),
		};
		Self {
			block: Block { number: proven.number, hash: proven.block },
			authority_set: AuthoritySet { id: proven.set_id, authorities: proven.authorities },
			records,
			no_weights,
		}
	}
}

impl From<Proven> for Report {
	fn from(proven: Proven) -> Self {
		Self { verdict: Verdict::Proven, genesis: proven.genesis, reason: None, proof: Some(proven.into()) }
	}
}

/// Reads a bundle and checks it.
pub fn report(bytes: &[u8], genesis: &H256) -> Report {
	match check(bytes, genesis) {
		Ok(proven) => proven.into(),
		Err((verdict, reason)) => Report { verdict, genesis: *genesis, reason: Some(reason), proof: None },
	}
}

/// As [`report`], for whoever goes on with what is proved.
///
/// # Errors
/// What the bundle came to instead, and why, as a sentence.
pub fn check(bytes: &[u8], genesis: &H256) -> Result<Proven, (Verdict, String)> {
	let bundle = read(bytes).map_err(|error| (Verdict::Unreadable, error.to_string()))?;
	verify(&bundle, genesis).map_err(|error| (Verdict::Refuted, error.to_string()))
}

/// The longest text that is read as a bundle, in bytes: the hex of the longest bundle, and what a node says around it.
pub const MAX_TEXT_LEN: usize = 2 * MAX_LEN + 4096;

/// How much of an error in JSON is told, in characters.
const LONGEST_ERROR: usize = 300;

/// Why bytes are no bundle in any of its forms.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ReadError {
	/// They are more than [`MAX_TEXT_LEN`].
	TooLong(usize),
	/// Not in binary form.
	Decode(DecodeError),
	/// Not in hex.
	Hex,
	/// Not in JSON.
	Json(String),
}

impl fmt::Display for ReadError {
	fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
		match self {
			Self::TooLong(len) => write!(
				f,
				"this is not looked at: it has {len} bytes, and no more than {MAX_TEXT_LEN} are read as a bundle; the binary form \
				 of one is the shortest"
			),
			Self::Decode(error) => write!(f, "this is no bundle: {error}"),
			Self::Hex => f.write_str("this is no bundle: it begins with 0x and is not hex"),
			Self::Json(error) => write!(f, "this is no bundle in JSON: {error}"),
		}
	}
}

impl core::error::Error for ReadError {}

/// The bundle in these bytes: binary, hex (as a node hands it out), or the JSON of [`Bundle::to_json`]. JSON that is an
/// object with a `bundle` in hex, as a node's whole answer is, is read too, whatever else it says.
///
/// Only the binary form is exact to the byte: one bundle has one. Hex and JSON can be written in many ways: digits in upper
/// case, spaces, accounts with another prefix, and, in JSON's records and their paths, names that mean nothing.
///
/// # Errors
/// When they are none of these.
pub fn read(bytes: &[u8]) -> Result<Bundle, ReadError> {
	if bytes.len() > MAX_TEXT_LEN {
		return Err(ReadError::TooLong(bytes.len()));
	}
	let binary = |bytes: &[u8]| Bundle::from_bytes(bytes).map_err(ReadError::Decode);
	let Ok(text) = core::str::from_utf8(bytes).map(str::trim) else { return binary(bytes) };
	if let Some(digits) = text.strip_prefix("0x") {
		return binary(&hex::decode(digits).map_err(|_| ReadError::Hex)?);
	}
	if !text.starts_with('{') {
		return binary(bytes);
	}
	#[derive(serde::Deserialize)]
	struct Answer {
		bundle: String,
	}
	match serde_json::from_str::<Answer>(text) {
		Ok(Answer { bundle }) => {
			let digits = bundle.strip_prefix("0x").unwrap_or(&bundle);
			binary(&hex::decode(digits).map_err(|_| ReadError::Hex)?)
		},
		Err(_) => Bundle::from_json(text).map_err(|error| ReadError::Json(cut(error))),
	}
}

/// The beginning of an error, which can quote text of any length.
fn cut(error: String) -> String {
	match error.char_indices().nth(LONGEST_ERROR) {
		Some((end, _)) => format!("{}…", &error[..end]),
		None => error,
	}
}

impl Report {
	/// The report as JSON.
	pub fn to_json(&self) -> String {
		serde_json::to_string(self).unwrap_or_else(|e| format!("{{\"reason\":\"{e}\"}}"))
	}
}
