//! `provenance_subscribeRecords`: what is recorded, as soon as it is final.

use super::{prove::BlockRef, *};
use jsonrpsee::{
	IntoSubscriptionCloseResponse, PendingSubscriptionSink, SubscriptionCloseResponse, SubscriptionMessage,
	SubscriptionSink,
};
use serde::{Deserialize, Serialize};
use sp_runtime::traits::UniqueSaturatedInto;
use tokio::sync::watch;

/// Records that are final.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Recorded {
	/// The finalised block as of which these are the newest, unless more messages follow for it.
	pub block: BlockRef,
	/// The records, oldest first, at most 100.
	pub records: Vec<RecordInfo>,
	/// The record to go on from: pass it as `from` after a broken connection, and nothing is missed or seen twice.
	pub next: RecordId,
}

/// How a subscription ends: silently when the client left or the node stops, otherwise with the error as its last
/// message.
pub struct Ended(Option<Error>);

impl IntoSubscriptionCloseResponse for Ended {
	fn into_response(self) -> SubscriptionCloseResponse {
		let message =
			self.0.map(|e| SubscriptionMessage::from_json(&jsonrpsee::types::ErrorObjectOwned::from(e)));
		// An error object always serialises.
		message
			.and_then(Result::ok)
			.map_or(SubscriptionCloseResponse::None, SubscriptionCloseResponse::NotifErr)
	}
}

/// The subscription. Errors are as for [`super::ProvenanceApi`].
#[rpc(server, namespace = "provenance")]
pub trait NewRecordsApi {
	/// Records as they become final, in the order of the ledger; those of `programme` alone when it is not `null`. They
	/// come from record `from` on, and from the newest on when it is absent.
	///
	/// A client that is slow to read slows down its own subscription and nothing else.
	#[subscription(name = "subscribeRecords" => "records", unsubscribe = "unsubscribeRecords", item = Recorded)]
	async fn subscribe_records(&self, programme: Option<ProgrammeId>, from: Option<RecordId>) -> Ended;
}

/// Serves [`NewRecordsApi`].
pub struct NewRecords<Client, Block, S> {
	provenance: Provenance<Client, Block, S>,
	indexed: watch::Receiver<H256>,
}

impl<Client, Block, S> NewRecords<Client, Block, S> {
	/// Answers from this client and this ledger. `indexed` is the newest finalised block that the ledger's index has
	/// followed: waiting for it, and not for the client's notifications, keeps no old blocks in memory for slow readers.
	pub fn new(client: Arc<Client>, ledger: Ledger<S>, indexed: watch::Receiver<H256>) -> Self {
		Self { provenance: Provenance::new(client, ledger), indexed }
	}
}

impl<Client, Block, S> NewRecords<Client, Block, S>
where
	Block: BlockT<Hash = H256>,
	Client: ProvideRuntimeApi<Block> + HeaderBackend<Block>,
	Client::Api: ProvenanceRuntimeApi<Block, AccountId32, BlockNumber>
		+ TrainingRuntimeApi<Block, AccountId32, Balance, BlockNumber>,
	S: OffchainStorage,
{
	/// Where a subscription begins.
	fn start(&self, programme: Option<ProgrammeId>, from: Option<RecordId>) -> Result<RecordId, Error> {
		let (_, view) = self.finalised();
		if let Some(programme) = programme {
			view.programme(programme)?;
		}
		let count = view.state::<Block>().record_count().map_err(|failure| view.failure(failure))?;
		match from {
			// What is not final yet may be waited for, but a mistyped number would be waited for without end.
			Some(from) if from > count.saturating_add(u64::from(MAX_PAGE)) => Err(Error::malformed(
				"from",
				&from.to_string(),
				format!("is far beyond the newest final record; there are {count}"),
				"pass the `next` of the last message, or leave it out to begin with what comes next",
			)),
			from => Ok(from.unwrap_or(count)),
		}
	}

	fn finalised(&self) -> (BlockRef, View<'_, Client::Api>) {
		let info = self.provenance.client.info();
		let block =
			BlockRef { number: info.finalized_number.unique_saturated_into(), hash: info.finalized_hash };
		let view = View { api: self.provenance.client.runtime_api(), block: block.hash };
		(block, view)
	}

	/// What is final from record `from` on.
	fn read(&self, programme: Option<ProgrammeId>, from: RecordId) -> Result<Recorded, Error> {
		let (block, view) = self.finalised();
		let (records, next) = view.read(self.provenance.ledger.records_from(
			&view.state::<Block>(),
			from,
			programme,
			MAX_PAGE,
		))?;
		Ok(Recorded { block, records, next })
	}

	/// Sends all that is final from `next` on, and moves it. False when nobody listens any more.
	async fn catch_up(
		&self,
		sink: &SubscriptionSink,
		programme: Option<ProgrammeId>,
		next: &mut RecordId,
	) -> Result<bool, Error> {
		loop {
			let page = self.read(programme, *next)?;
			if page.next == *next {
				return Ok(true);
			}
			*next = page.next;
			if page.records.is_empty() {
				tokio::task::yield_now().await;
				continue;
			}
			// Records always serialise.
			let Ok(message) = SubscriptionMessage::from_json(&page) else { return Ok(false) };
			if sink.send(message).await.is_err() {
				return Ok(false);
			}
		}
	}
}

#[jsonrpsee::core::async_trait]
impl<Client, Block, S> NewRecordsApiServer for NewRecords<Client, Block, S>
where
	Block: BlockT<Hash = H256>,
	Client: ProvideRuntimeApi<Block> + HeaderBackend<Block> + Send + Sync + 'static,
	Client::Api: ProvenanceRuntimeApi<Block, AccountId32, BlockNumber>
		+ TrainingRuntimeApi<Block, AccountId32, Balance, BlockNumber>,
	S: OffchainStorage + 'static,
{
	async fn subscribe_records(
		&self,
		pending: PendingSubscriptionSink,
		programme: Option<ProgrammeId>,
		from: Option<RecordId>,
	) -> Ended {
		let mut indexed = self.indexed.clone();
		let mut next = match self.start(programme, from) {
			Ok(next) => next,
			Err(error) => {
				pending.reject(error).await;
				return Ended(None);
			},
		};
		let Ok(sink) = pending.accept().await else { return Ended(None) };
		loop {
			indexed.borrow_and_update();
			match self.catch_up(&sink, programme, &mut next).await {
				Ok(true) => {},
				Ok(false) => return Ended(None),
				Err(error) => return Ended(Some(error)),
			}
			tokio::select! {
				() = sink.closed() => return Ended(None),
				changed = indexed.changed() => if changed.is_err() {
					return Ended(None);
				},
			}
		}
	}
}
