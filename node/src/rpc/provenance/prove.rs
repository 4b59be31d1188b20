//! `provenance_prove` and `provenance_proveAbsence`: answers that can be checked without this node.

use super::*;
use crate::proofs::Prover;
use cairn_verifier::Bundle;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sp_runtime::traits::SaturatedConversion;

/// A proof, with what it is about for whoever reads the answer. Only the bundle proves anything.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProofAnswer {
	/// The record that is proved; `null` when absence is.
	pub record: Option<RecordInfo>,
	/// The finalised block as of which it holds.
	pub block: BlockRef,
	/// How many changes of the authorities the proof goes over.
	pub hand_overs: u32,
	/// The length of the bundle, in bytes.
	pub size: u32,
	/// The bundle in hex: a version byte and SCALE, as `cairn-verifier` reads it.
	pub bundle: String,
}

/// A block.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BlockRef {
	/// Its number.
	pub number: BlockNumber,
	/// Its hash.
	pub hash: H256,
}

impl ProofAnswer {
	fn new(record: Option<RecordInfo>, bundle: &Bundle) -> Self {
		let header = &bundle.finality.block.header;
		let bytes = bundle.to_bytes();
		Self {
			record,
			block: BlockRef { number: header.number, hash: header.hash() },
			hand_overs: bundle.finality.hand_overs.len().saturated_into(),
			size: bytes.len().saturated_into(),
			bundle: format!("0x{}", hex::encode(bytes)),
		}
	}
}

/// The methods. Errors are as for [`super::ProvenanceApi`].
#[rpc(client, server, namespace = "provenance")]
pub trait ProofApi {
	/// The proof of a record, given by its number or by its artifact's hash (0x and 64 hex digits).
	///
	/// It holds as of the first finalised block after the record's that a proof of finality is kept for, so that the
	/// answer stays the same. With `at`, the hash of a finalised block of any age, that is the first one which is not before
	/// `at` either: proofs for one `at` share their way from genesis. The record is read at the newest finalised block,
	/// because the ledger only grows, and so the state of `at` may be pruned.
	#[method(name = "prove", blocking)]
	fn prove(&self, record: Value, at: Option<String>) -> Result<ProofAnswer, Error>;

	/// The proof that no weights with this hash are recorded, as of the newest block that a proof of finality is kept for.
	/// For updates and training configurations there is no such proof, because the state does not list them.
	#[method(name = "proveAbsence", blocking)]
	fn prove_absence(&self, hash: String) -> Result<ProofAnswer, Error>;
}

/// Answers [`ProofApi`].
pub struct Proofs<Client, Block, S> {
	provenance: Provenance<Client, Block, S>,
	prover: Prover,
}

impl<Client, Block, S> Proofs<Client, Block, S> {
	/// Answers from this client, this ledger and this prover.
	pub fn new(client: Arc<Client>, ledger: Ledger<S>, prover: Prover) -> Self {
		Self { provenance: Provenance::new(client, ledger), prover }
	}
}

impl<Client, Block, S> ProofApiServer for Proofs<Client, Block, S>
where
	Block: BlockT<Hash = H256>,
	Client: ProvideRuntimeApi<Block> + HeaderBackend<Block> + 'static,
	Client::Api: ProvenanceRuntimeApi<Block, AccountId32, BlockNumber>,
	S: OffchainStorage + 'static,
{
	fn prove(&self, record: Value, at: Option<String>) -> Result<ProofAnswer, Error> {
		let from = at.map(|at| self.number_of(&at)).transpose()?.unwrap_or(0);
		let (_, view) = self.provenance.finalised();
		let id = match &record {
			Value::Number(number) => number.as_u64(),
			Value::String(hash) => Some(self.provenance.record_of(&view, hash)?),
			_ => None,
		};
		let id = id.ok_or_else(|| {
			Error::malformed(
				"record",
				&record.to_string(),
				"names no record",
				"give a record's number, or an artifact's hash as 0x and 64 hex digits",
			)
		})?;
		let Some(proof) = view.read(self.provenance.ledger.prove(&view.state::<Block>(), id))? else {
			return Err(Provenance::<Client, Block, S>::unknown_record(&view, id)?);
		};
		let info = RecordInfo { id, record: proof.record.clone() };
		Ok(ProofAnswer::new(Some(info), &self.prover.record(proof, from)?))
	}

	fn prove_absence(&self, hash: String) -> Result<ProofAnswer, Error> {
		let artifact = arguments::hash("hash", &hash)?;
		let bundle = match self.prover.no_weights(artifact) {
			Ok(bundle) => bundle,
			Err(error) => {
				// What is there cannot be proved absent, and that is not the node's fault.
				let (_, view) = self.provenance.finalised();
				let record = view.api.weights_record(view.block, artifact);
				return Err(match view.answer("ProvenanceApi_weights_record", record)? {
					Some(record) => Error::Recorded { artifact, record },
					None => error.into(),
				});
			},
		};
		Ok(ProofAnswer::new(None, &bundle))
	}
}

impl<Client, Block, S> Proofs<Client, Block, S>
where
	Block: BlockT<Hash = H256>,
	Client: ProvideRuntimeApi<Block> + HeaderBackend<Block>,
{
	/// The number of the block from which on a proof is to hold, which must be final.
	fn number_of(&self, at: &str) -> Result<BlockNumber, Error> {
		let block = arguments::hash("at", at)?;
		let client = &self.provenance.client;
		let failed = |e: sp_blockchain::Error| Error::RuntimeCall {
			call: "the block database",
			block,
			reason: e.to_string(),
		};
		let Some(number) = client.number(block).map_err(failed)? else {
			return Err(Error::UnknownBlock { block });
		};
		let finalised = client.info().finalized_number;
		let is_final = number <= finalised && client.hash(number).map_err(failed)? == Some(block);
		let number: BlockNumber = number.unique_saturated_into();
		match is_final {
			true => Ok(number),
			false => Err(Error::NotFinal { number, finalised: finalised.unique_saturated_into() }),
		}
	}
}
