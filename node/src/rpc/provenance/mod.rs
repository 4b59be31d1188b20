//! `provenance_*`: programmes, rounds, records, lineage, devices and rewards over JSON-RPC.
//!
//! The answers are those of the runtime APIs in `cairn-runtime-api`, as JSON that people read too: hashes, keys and
//! bitmaps in hex, accounts in SS58, balances and points as decimal strings, names as text. No method changes
//! anything, and the work of each is bounded by one page of the ledger.
//!
//! Every method takes `at` as its last argument: the hash of the block whose state is asked. Without it the best block
//! answers, which may still be replaced by another; ask at a finalised block when that matters.

mod arguments;
mod error;
#[cfg(test)]
mod tests;

pub use error::Error;

use cairn_primitives::{
	views::{
		DeviceInfo, LineagePage, ProgrammeInfo, RecordInfo, RewardInfo, RoundInfo as RoundInfoOf, MAX_PAGE,
	},
	DeviceId, ProgrammeId, RecordId, RoundIndex,
};
use cairn_runtime_api::{
	HardwareApi as HardwareRuntimeApi, ProvenanceApi as ProvenanceRuntimeApi,
	RewardsApi as RewardsRuntimeApi, TrainingApi as TrainingRuntimeApi,
};
use jsonrpsee::proc_macros::rpc;
use sp_api::{ApiError, ApiRef, ProvideRuntimeApi};
use sp_blockchain::{BlockStatus, HeaderBackend};
use sp_core::{crypto::AccountId32, H256};
use sp_runtime::traits::Block as BlockT;
use std::{marker::PhantomData, sync::Arc};

/// An amount in plancks.
pub type Balance = u128;
/// A block's number.
pub type BlockNumber = u32;
/// A round of this chain.
pub type RoundInfo = RoundInfoOf<AccountId32, BlockNumber>;

/// The methods. Every error is an [`Error`] with a code from 9100 to 9106 and machine-readable `data`.
#[rpc(client, server, namespace = "provenance")]
pub trait ProvenanceApi {
	/// The numbers of all programmes, ascending.
	#[method(name = "programmes", blocking)]
	fn programmes(&self, at: Option<String>) -> Result<Vec<ProgrammeId>, Error>;

	/// A programme: what it trains, under which rules, and how far it has come.
	#[method(name = "programme", blocking)]
	fn programme(
		&self,
		id: ProgrammeId,
		at: Option<String>,
	) -> Result<ProgrammeInfo<AccountId32, Balance>, Error>;

	/// The round that runs in a programme; `null` when none does.
	#[method(name = "currentRound", blocking)]
	fn current_round(&self, programme: ProgrammeId, at: Option<String>) -> Result<Option<RoundInfo>, Error>;

	/// A round by its number, running or settled.
	#[method(name = "round", blocking)]
	fn round(
		&self,
		programme: ProgrammeId,
		index: RoundIndex,
		at: Option<String>,
	) -> Result<RoundInfo, Error>;

	/// A record by its number.
	#[method(name = "record", blocking)]
	fn record(&self, id: RecordId, at: Option<String>)
		-> Result<RecordInfo<AccountId32, BlockNumber>, Error>;

	/// The record of the artifact with this hash (0x and 64 hex digits).
	#[method(name = "recordByArtifact", blocking)]
	fn record_by_artifact(
		&self,
		hash: String,
		at: Option<String>,
	) -> Result<RecordInfo<AccountId32, BlockNumber>, Error>;

	/// A page of the lineage of the artifact with this hash: its record, the updates it was made of, the weights it was
	/// applied to, and so on to what the programme started from, newest first.
	///
	/// `cursor` is the `next` of the page before, absent for the first page; `count` is the most records wanted, 1 to
	/// 100, 100 when absent. Read all pages at the same block.
	#[method(name = "lineage", blocking)]
	fn lineage(
		&self,
		hash: String,
		cursor: Option<RecordId>,
		count: Option<u32>,
		at: Option<String>,
	) -> Result<LineagePage<AccountId32, BlockNumber>, Error>;

	/// What the account with this SS58 address has earned in a programme.
	#[method(name = "rewards", blocking)]
	fn rewards(
		&self,
		programme: ProgrammeId,
		account: String,
		at: Option<String>,
	) -> Result<RewardInfo<Balance>, Error>;

	/// A device by its number.
	#[method(name = "device", blocking)]
	fn device(&self, id: DeviceId, at: Option<String>) -> Result<DeviceInfo<AccountId32>, Error>;
}

/// Answers [`ProvenanceApi`] from the state of `Client`'s chain.
pub struct Provenance<Client, Block> {
	client: Arc<Client>,
	block: PhantomData<Block>,
}

impl<Client, Block> Provenance<Client, Block> {
	/// Answers from this client.
	pub fn new(client: Arc<Client>) -> Self {
		Self { client, block: PhantomData }
	}
}

/// One instance of the runtime API and the block it is asked about.
struct View<'a, Api> {
	api: ApiRef<'a, Api>,
	block: H256,
}

impl<Api> View<'_, Api> {
	/// What a runtime call answered, or why it did not.
	fn answer<T>(&self, call: &'static str, result: Result<T, ApiError>) -> Result<T, Error> {
		result.map_err(|error| match error {
			// The header was found before the call, so what is missing is the state.
			ApiError::UnknownBlock(_) => Error::PrunedBlock { block: self.block },
			error => Error::RuntimeCall { call, block: self.block, reason: error.to_string() },
		})
	}
}

impl<Client, Block> Provenance<Client, Block>
where
	Block: BlockT<Hash = H256>,
	Client: ProvideRuntimeApi<Block> + HeaderBackend<Block>,
{
	/// The state of block `at`, or of the best block.
	fn view(&self, at: Option<String>) -> Result<View<'_, Client::Api>, Error> {
		let block = match at {
			None => self.client.info().best_hash,
			Some(text) => {
				let block = arguments::hash("at", &text)?;
				match self.client.status(block) {
					Ok(BlockStatus::InChain) => block,
					Ok(BlockStatus::Unknown) => return Err(Error::UnknownBlock { block }),
					Err(e) => {
						let reason = e.to_string();
						return Err(Error::RuntimeCall { call: "the block database", block, reason });
					},
				}
			},
		};
		Ok(View { api: self.client.runtime_api(), block })
	}
}

impl<Api> View<'_, Api> {
	fn programme<Block>(&self, id: ProgrammeId) -> Result<ProgrammeInfo<AccountId32, Balance>, Error>
	where
		Block: BlockT<Hash = H256>,
		Api: TrainingRuntimeApi<Block, AccountId32, Balance, BlockNumber>,
	{
		self.answer("TrainingApi_programme", self.api.programme(self.block, id))?
			.ok_or(Error::UnknownProgramme { programme: id, block: self.block })
	}

	fn record<Block>(&self, id: RecordId) -> Result<RecordInfo<AccountId32, BlockNumber>, Error>
	where
		Block: BlockT<Hash = H256>,
		Api: ProvenanceRuntimeApi<Block, AccountId32, BlockNumber>,
	{
		match self.answer("ProvenanceApi_record", self.api.record(self.block, id))? {
			Some(record) => Ok(RecordInfo { id, record }),
			None => Err(self.unknown_record(id)?),
		}
	}

	/// The error for a record that is not there. It says which are, and that can fail too.
	fn unknown_record<Block>(&self, record: RecordId) -> Result<Error, Error>
	where
		Block: BlockT<Hash = H256>,
		Api: ProvenanceRuntimeApi<Block, AccountId32, BlockNumber>,
	{
		let count = self.answer("ProvenanceApi_record_count", self.api.record_count(self.block))?;
		Ok(Error::UnknownRecord { record, count, block: self.block })
	}

	fn record_of<Block>(&self, hash: &str) -> Result<RecordId, Error>
	where
		Block: BlockT<Hash = H256>,
		Api: ProvenanceRuntimeApi<Block, AccountId32, BlockNumber>,
	{
		let artifact = arguments::hash("hash", hash)?;
		self.answer("ProvenanceApi_record_of", self.api.record_of(self.block, artifact))?
			.ok_or(Error::UnknownArtifact { artifact, block: self.block })
	}
}

impl<Client, Block> ProvenanceApiServer for Provenance<Client, Block>
where
	Block: BlockT<Hash = H256>,
	Client: ProvideRuntimeApi<Block> + HeaderBackend<Block> + 'static,
	Client::Api: TrainingRuntimeApi<Block, AccountId32, Balance, BlockNumber>
		+ ProvenanceRuntimeApi<Block, AccountId32, BlockNumber>
		+ HardwareRuntimeApi<Block, AccountId32>
		+ RewardsRuntimeApi<Block, AccountId32, Balance>,
{
	fn programmes(&self, at: Option<String>) -> Result<Vec<ProgrammeId>, Error> {
		let view = self.view(at)?;
		view.answer("TrainingApi_programmes", view.api.programmes(view.block))
	}

	fn programme(
		&self,
		id: ProgrammeId,
		at: Option<String>,
	) -> Result<ProgrammeInfo<AccountId32, Balance>, Error> {
		self.view(at)?.programme(id)
	}

	fn current_round(&self, programme: ProgrammeId, at: Option<String>) -> Result<Option<RoundInfo>, Error> {
		let view = self.view(at)?;
		// `null` is for a programme without a running round, not for one that does not exist.
		view.programme(programme)?;
		view.answer("TrainingApi_current_round", view.api.current_round(view.block, programme))
	}

	fn round(
		&self,
		programme: ProgrammeId,
		index: RoundIndex,
		at: Option<String>,
	) -> Result<RoundInfo, Error> {
		let view = self.view(at)?;
		let newest = view.programme(programme)?.round;
		view.answer("TrainingApi_round", view.api.round(view.block, programme, index))?
			.ok_or(Error::UnknownRound { programme, round: index, newest, block: view.block })
	}

	fn record(
		&self,
		id: RecordId,
		at: Option<String>,
	) -> Result<RecordInfo<AccountId32, BlockNumber>, Error> {
		self.view(at)?.record(id)
	}

	fn record_by_artifact(
		&self,
		hash: String,
		at: Option<String>,
	) -> Result<RecordInfo<AccountId32, BlockNumber>, Error> {
		let view = self.view(at)?;
		let id = view.record_of(&hash)?;
		view.record(id)
	}

	fn lineage(
		&self,
		hash: String,
		cursor: Option<RecordId>,
		count: Option<u32>,
		at: Option<String>,
	) -> Result<LineagePage<AccountId32, BlockNumber>, Error> {
		let count = count.unwrap_or(MAX_PAGE);
		if !(1..=MAX_PAGE).contains(&count) {
			return Err(Error::PageSize { count });
		}
		let view = self.view(at)?;
		let model = view.record_of(&hash)?;
		let from = match cursor {
			// A lineage only goes back, so this cursor came from another one.
			Some(cursor) if cursor > model => {
				return Err(Error::malformed(
					"cursor",
					&cursor.to_string(),
					format!("is newer than record {model}, at which the lineage of this artifact begins"),
					"pass the `next` of the page before, for the same artifact",
				));
			},
			cursor => cursor.unwrap_or(model),
		};
		match view.answer("ProvenanceApi_lineage", view.api.lineage(view.block, from, count))? {
			Some(page) => Ok(page),
			None => Err(view.unknown_record(from)?),
		}
	}

	fn rewards(
		&self,
		programme: ProgrammeId,
		account: String,
		at: Option<String>,
	) -> Result<RewardInfo<Balance>, Error> {
		let account = arguments::account("account", &account)?;
		let view = self.view(at)?;
		// Without this, a mistyped programme would read as "nothing earned".
		view.programme(programme)?;
		view.answer("RewardsApi_rewards", view.api.rewards(view.block, programme, account))
	}

	fn device(&self, id: DeviceId, at: Option<String>) -> Result<DeviceInfo<AccountId32>, Error> {
		let view = self.view(at)?;
		view.answer("HardwareApi_device", view.api.device(view.block, id))?
			.ok_or(Error::UnknownDevice { device: id, block: view.block })
	}
}
