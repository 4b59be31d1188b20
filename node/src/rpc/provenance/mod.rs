//! `provenance_*`: programmes, rounds, records, lineage, devices and rewards over JSON-RPC.
//!
//! The answers are those of the runtime APIs in `cairn-runtime-api` and, for records, of this node's [`crate::ledger`],
//! as JSON that people read too: hashes, keys and bitmaps in hex, accounts in SS58, balances and points as decimal
//! strings, names as text. No method changes anything. The work of each is bounded: a page has at most 100 entries, and
//! each of them may be in a batch of its own, which is read and checked whole unless it is among those that were read
//! lately; an artifact that the index lacks, and what a list has beyond it, is looked for in at most 64 batches, and refused
//! (9107) when the index lacks more; a page of rounds looks at a limited number of them; a proof goes over all changes of
//! the authorities.
//!
//! The methods of [`ProvenanceApi`] take `at` as their last argument: the hash of the block whose state is asked. Without
//! it the best block answers, which may still be replaced by another; ask at a finalised block when that matters. A record
//! is there at a block when the ledger had it then. Lists are right for an `at` on the chain that became final or is becoming
//! it; at a block of an abandoned fork they may lack entries, because the index follows finality. `provenance_prove` asks no
//! state of an old block: see [`ProofApiServer`].
//!
//! A hash means its first record. Weights that a second programme starts from are recorded again, as that programme's
//! start: a lineage ends at the start of its programme, and descendants are those of the same programme.

mod arguments;
mod error;
mod prove;
#[cfg(test)]
mod prove_tests;
#[cfg(test)]
mod query_tests;
mod subscribe;
#[cfg(test)]
mod tests;

pub use error::Error;
pub use prove::{BlockRef, ProofApiServer, Proofs};
pub use subscribe::{NewRecords, NewRecordsApiServer};

use crate::ledger::{
	ApiFailure, Ledger, LedgerState, Owner, ReadError, RecordInfo, RecordPage, RecordsFrom, StateAt,
};
use cairn_primitives::{
	ledger::RecordProof,
	views::{
		DeviceInfo, ProgrammeInfo, RewardInfo, RoundInfo as RoundInfoOf, RoundPage as RoundPageOf, SiteInfo,
		MAX_PAGE,
	},
	DeviceId, ProgrammeId, RecordId, RoundIndex, SiteId,
};
use cairn_runtime_api::{
	HardwareApi as HardwareRuntimeApi, ProvenanceApi as ProvenanceRuntimeApi,
	RewardsApi as RewardsRuntimeApi, TrainingApi as TrainingRuntimeApi,
};
use jsonrpsee::proc_macros::rpc;
use sp_api::{ApiError, ApiRef, ProvideRuntimeApi};
use sp_blockchain::{BlockStatus, HeaderBackend};
use sp_core::{crypto::AccountId32, offchain::OffchainStorage, H256};
use sp_runtime::traits::{Block as BlockT, UniqueSaturatedInto};
use std::{marker::PhantomData, sync::Arc};

/// An amount in plancks.
pub type Balance = u128;
/// A block's number.
pub type BlockNumber = u32;
/// A round of this chain.
pub type RoundInfo = RoundInfoOf<AccountId32, BlockNumber>;

/// A page of rounds of this chain.
pub type RoundPage = RoundPageOf<AccountId32, BlockNumber>;

/// The methods. Errors are [`Error`]s with a code from 9100 to 9110 and machine-readable `data`. Only an argument of the
/// wrong JSON type, or one that is missing, is refused before: with JSON-RPC's own code, -32602.
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

	/// A page of a programme's rounds, newest first; only those of `state` when it is `"running"`, `"finalised"` or
	/// `"failed"`.
	///
	/// `cursor` is the `next` of the page before, absent for the first page; `count` is the most rounds wanted, 1 to 100,
	/// 100 when absent. A page can be shorter and still have a `next`: how many rounds one call looks at is limited.
	#[method(name = "rounds", blocking)]
	fn rounds(
		&self,
		programme: ProgrammeId,
		state: Option<String>,
		cursor: Option<RoundIndex>,
		count: Option<u32>,
		at: Option<String>,
	) -> Result<RoundPage, Error>;

	/// A record by its number.
	#[method(name = "record", blocking)]
	fn record(&self, id: RecordId, at: Option<String>) -> Result<RecordInfo, Error>;

	/// The record of the artifact with this hash (0x and 64 hex digits).
	#[method(name = "recordByArtifact", blocking)]
	fn record_by_artifact(&self, hash: String, at: Option<String>) -> Result<RecordInfo, Error>;

	/// A record with its path to the provenance root of the block that appended it. `mmr_generateProof` for the block
	/// after that one gives the leaf that has this root, and its path to the root in a header's digest.
	#[method(name = "recordProof", blocking)]
	fn record_proof(
		&self,
		id: RecordId,
		at: Option<String>,
	) -> Result<RecordProof<AccountId32, BlockNumber>, Error>;

	/// A page of the updates made on a device, newest first. `cursor` and `count` are as in `lineage`.
	#[method(name = "recordsByDevice", blocking)]
	fn records_by_device(
		&self,
		device: DeviceId,
		cursor: Option<RecordId>,
		count: Option<u32>,
		at: Option<String>,
	) -> Result<RecordPage, Error>;

	/// A page of the updates made on devices that stood at a site when they were committed, newest first. `cursor` and
	/// `count` are as in `lineage`.
	#[method(name = "recordsBySite", blocking)]
	fn records_by_site(
		&self,
		site: SiteId,
		cursor: Option<RecordId>,
		count: Option<u32>,
		at: Option<String>,
	) -> Result<RecordPage, Error>;

	/// A page of the updates made by the account with this SS58 address, newest first. `cursor` and `count` are as
	/// in `lineage`.
	#[method(name = "recordsByAccount", blocking)]
	fn records_by_account(
		&self,
		account: String,
		cursor: Option<RecordId>,
		count: Option<u32>,
		at: Option<String>,
	) -> Result<RecordPage, Error>;

	/// A page of the lineage of the artifact with this hash, newest first. Of weights: their record, the updates they were
	/// made of, the weights that these were applied to, and so on to what the programme started from. Of an update: its
	/// record, and then the lineage of its base weights; the other updates of its round are none of it.
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
	) -> Result<RecordPage, Error>;

	/// A page of what the artifact with this hash became, oldest first: the weights that an update went
	/// into, and all that was trained from them since in the same programme. Weights that another programme starts
	/// from are recorded again there, and what it makes of them are not descendants of this record.
	///
	/// `cursor` is the `next` of the page before, absent for the first page; `count` is as in `lineage`.
	#[method(name = "descendants", blocking)]
	fn descendants(
		&self,
		hash: String,
		cursor: Option<RecordId>,
		count: Option<u32>,
		at: Option<String>,
	) -> Result<RecordsFrom, Error>;

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

	/// A site by its number.
	#[method(name = "site", blocking)]
	fn site(&self, id: SiteId, at: Option<String>) -> Result<SiteInfo<AccountId32>, Error>;
}

/// Answers [`ProvenanceApi`] from the state of `Client`'s chain and the ledger in a database of kind `S`.
pub struct Provenance<Client, Block, S> {
	client: Arc<Client>,
	ledger: Ledger<S>,
	block: PhantomData<Block>,
}

impl<Client, Block, S> Provenance<Client, Block, S> {
	/// Answers from this client and this ledger.
	pub fn new(client: Arc<Client>, ledger: Ledger<S>) -> Self {
		Self { client, ledger, block: PhantomData }
	}
}

/// The size of a page.
fn page_size(count: Option<u32>) -> Result<u32, Error> {
	let count = count.unwrap_or(MAX_PAGE);
	if (1..=MAX_PAGE).contains(&count) {
		Ok(count)
	} else {
		Err(Error::PageSize { count })
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
		result.map_err(|error| self.failure(ApiFailure { call, error }))
	}

	fn failure(&self, ApiFailure { call, error }: ApiFailure) -> Error {
		match error {
			// The header was found before the call, so what is missing is the state.
			ApiError::UnknownBlock(_) => Error::PrunedBlock { block: self.block },
			error => Error::RuntimeCall { call, block: self.block, reason: error.to_string() },
		}
	}

	/// What the ledger answered, or why it did not.
	fn read<T>(&self, result: Result<T, ReadError<ApiFailure>>) -> Result<T, Error> {
		result.map_err(|error| match error {
			ReadError::State(failure) => self.failure(failure),
			ReadError::Missing { batch, root, number } => Error::MissingRecords { batch, root, number },
			ReadError::Damaged { batch, root, number } => Error::DamagedRecords { batch, root, number },
			ReadError::Misleading { sought, record } => {
				Error::MisleadingIndex { sought, record, block: self.block }
			},
			ReadError::Behind { indexed, count } => Error::IndexBehind { indexed, count },
			ReadError::Astray { cursor, origin } => Error::malformed(
				"cursor",
				&cursor.to_string(),
				format!("is not in the lineage of this artifact, whose record is {origin}"),
				"pass the `next` of the page before, for the same artifact",
			),
		})
	}

	/// The state, as the ledger asks it.
	fn state<Block>(&self) -> StateAt<'_, Block, Api> {
		StateAt::new(&*self.api, self.block)
	}
}

impl<Client, Block, S> Provenance<Client, Block, S>
where
	Block: BlockT<Hash = H256>,
	Client: ProvideRuntimeApi<Block> + HeaderBackend<Block>,
	Client::Api: ProvenanceRuntimeApi<Block, AccountId32, BlockNumber>,
	S: OffchainStorage,
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

	/// The newest finalised block and its state, which no node prunes.
	fn finalised(&self) -> (BlockRef, View<'_, Client::Api>) {
		let info = self.client.info();
		let block =
			BlockRef { number: info.finalized_number.unique_saturated_into(), hash: info.finalized_hash };
		let view = View { api: self.client.runtime_api(), block: block.hash };
		(block, view)
	}

	/// The error for a record that is not there. It says which are, and that can fail too.
	fn unknown_record(view: &View<'_, Client::Api>, record: RecordId) -> Result<Error, Error> {
		let count = view.state::<Block>().record_count().map_err(|failure| view.failure(failure))?;
		Ok(Error::UnknownRecord { record, count, block: view.block })
	}

	fn record_at(&self, view: &View<'_, Client::Api>, id: RecordId) -> Result<RecordInfo, Error> {
		match view.read(self.ledger.record(&view.state::<Block>(), id))? {
			Some(record) => Ok(RecordInfo { id, record }),
			None => Err(Self::unknown_record(view, id)?),
		}
	}

	fn records_of(
		&self,
		view: &View<'_, Client::Api>,
		owner: Owner,
		cursor: Option<RecordId>,
		count: u32,
	) -> Result<RecordPage, Error> {
		view.read(self.ledger.records_of(&view.state::<Block>(), owner, cursor, count))
	}

	fn record_of(&self, view: &View<'_, Client::Api>, hash: &str) -> Result<RecordId, Error> {
		let artifact = arguments::hash("hash", hash)?;
		view.read(self.ledger.record_of(&view.state::<Block>(), &artifact))?
			.ok_or(Error::UnknownArtifact { artifact, block: view.block })
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

	fn device<Block>(&self, id: DeviceId) -> Result<DeviceInfo<AccountId32>, Error>
	where
		Block: BlockT<Hash = H256>,
		Api: HardwareRuntimeApi<Block, AccountId32>,
	{
		self.answer("HardwareApi_device", self.api.device(self.block, id))?
			.ok_or(Error::UnknownDevice { device: id, block: self.block })
	}

	fn site<Block>(&self, id: SiteId) -> Result<SiteInfo<AccountId32>, Error>
	where
		Block: BlockT<Hash = H256>,
		Api: HardwareRuntimeApi<Block, AccountId32>,
	{
		self.answer("HardwareApi_site", self.api.site(self.block, id))?
			.ok_or(Error::UnknownSite { site: id, block: self.block })
	}
}

impl<Client, Block, S> ProvenanceApiServer for Provenance<Client, Block, S>
where
	Block: BlockT<Hash = H256>,
	Client: ProvideRuntimeApi<Block> + HeaderBackend<Block> + 'static,
	Client::Api: TrainingRuntimeApi<Block, AccountId32, Balance, BlockNumber>
		+ ProvenanceRuntimeApi<Block, AccountId32, BlockNumber>
		+ HardwareRuntimeApi<Block, AccountId32>
		+ RewardsRuntimeApi<Block, AccountId32, Balance>,
	S: OffchainStorage + 'static,
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

	fn rounds(
		&self,
		programme: ProgrammeId,
		state: Option<String>,
		cursor: Option<RoundIndex>,
		count: Option<u32>,
		at: Option<String>,
	) -> Result<RoundPage, Error> {
		let state = state.map(|text| arguments::round_state("state", &text)).transpose()?;
		let count = page_size(count)?;
		let view = self.view(at)?;
		view.answer("TrainingApi_rounds", view.api.rounds(view.block, programme, state, cursor, count))?
			.ok_or(Error::UnknownProgramme { programme, block: view.block })
	}

	fn record(&self, id: RecordId, at: Option<String>) -> Result<RecordInfo, Error> {
		self.record_at(&self.view(at)?, id)
	}

	fn record_by_artifact(&self, hash: String, at: Option<String>) -> Result<RecordInfo, Error> {
		let view = self.view(at)?;
		let id = self.record_of(&view, &hash)?;
		self.record_at(&view, id)
	}

	fn record_proof(
		&self,
		id: RecordId,
		at: Option<String>,
	) -> Result<RecordProof<AccountId32, BlockNumber>, Error> {
		let view = self.view(at)?;
		match view.read(self.ledger.prove(&view.state::<Block>(), id))? {
			Some(proof) => Ok(proof),
			None => Err(Self::unknown_record(&view, id)?),
		}
	}

	fn records_by_device(
		&self,
		device: DeviceId,
		cursor: Option<RecordId>,
		count: Option<u32>,
		at: Option<String>,
	) -> Result<RecordPage, Error> {
		let count = page_size(count)?;
		let view = self.view(at)?;
		// Without this, a mistyped number would read as "made nothing".
		view.device(device)?;
		self.records_of(&view, Owner::Device(device), cursor, count)
	}

	fn records_by_site(
		&self,
		site: SiteId,
		cursor: Option<RecordId>,
		count: Option<u32>,
		at: Option<String>,
	) -> Result<RecordPage, Error> {
		let count = page_size(count)?;
		let view = self.view(at)?;
		view.site(site)?;
		self.records_of(&view, Owner::Site(site), cursor, count)
	}

	fn records_by_account(
		&self,
		account: String,
		cursor: Option<RecordId>,
		count: Option<u32>,
		at: Option<String>,
	) -> Result<RecordPage, Error> {
		let account = arguments::account("account", &account)?;
		let count = page_size(count)?;
		let view = self.view(at)?;
		self.records_of(&view, Owner::Account(&account), cursor, count)
	}

	fn lineage(
		&self,
		hash: String,
		cursor: Option<RecordId>,
		count: Option<u32>,
		at: Option<String>,
	) -> Result<RecordPage, Error> {
		let count = page_size(count)?;
		let view = self.view(at)?;
		let origin = self.record_of(&view, &hash)?;
		match view.read(self.ledger.lineage(&view.state::<Block>(), origin, cursor, count))? {
			Some(page) => Ok(page),
			None => Err(Self::unknown_record(&view, origin)?),
		}
	}

	fn descendants(
		&self,
		hash: String,
		cursor: Option<RecordId>,
		count: Option<u32>,
		at: Option<String>,
	) -> Result<RecordsFrom, Error> {
		let count = page_size(count)?;
		let view = self.view(at)?;
		let of = self.record_of(&view, &hash)?;
		if let Some(cursor) = cursor.filter(|cursor| *cursor <= of) {
			return Err(Error::malformed(
				"cursor",
				&cursor.to_string(),
				format!("is not newer than record {of}, whose descendants are asked for"),
				"pass the `next` of the page before, for the same artifact",
			));
		}
		match view.read(self.ledger.descendants(&view.state::<Block>(), of, cursor, count))? {
			Some(page) => Ok(page),
			None => Err(Self::unknown_record(&view, of)?),
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
		self.view(at)?.device(id)
	}

	fn site(&self, id: SiteId, at: Option<String>) -> Result<SiteInfo<AccountId32>, Error> {
		self.view(at)?.site(id)
	}
}
