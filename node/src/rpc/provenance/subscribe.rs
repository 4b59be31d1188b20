//! `provenance_subscribeRecords`: what is recorded, as soon as it is final.

use super::*;
use jsonrpsee::{
	IntoSubscriptionCloseResponse, PendingSubscriptionSink, SubscriptionCloseResponse, SubscriptionMessage,
};
use serde::{Deserialize, Serialize};
use tokio::{sync::watch, task::spawn_blocking};

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
	/// A client that is slow to read slows down its own connection and nothing else.
	#[subscription(name = "subscribeRecords" => "records", unsubscribe = "unsubscribeRecords", item = Recorded)]
	async fn subscribe_records(&self, programme: Option<ProgrammeId>, from: Option<RecordId>) -> Ended;
}

/// Serves [`NewRecordsApi`].
pub struct NewRecords<Client, Block, S> {
	provenance: Arc<Provenance<Client, Block, S>>,
	indexed: watch::Receiver<RecordId>,
}

impl<Client, Block, S> NewRecords<Client, Block, S> {
	/// Answers from this client and this ledger. `indexed` is how many records are final, as the ledger's index follows
	/// it: waiting for more of them, and not for the client's notifications, asks nothing of the chain while nothing is
	/// recorded, and keeps no old blocks in memory for slow readers.
	pub fn new(client: Arc<Client>, ledger: Ledger<S>, indexed: watch::Receiver<RecordId>) -> Self {
		Self { provenance: Arc::new(Provenance::new(client, ledger)), indexed }
	}
}

impl<Client, Block, S> Provenance<Client, Block, S>
where
	Block: BlockT<Hash = H256>,
	Client: ProvideRuntimeApi<Block> + HeaderBackend<Block>,
	Client::Api: ProvenanceRuntimeApi<Block, AccountId32, BlockNumber>
		+ TrainingRuntimeApi<Block, AccountId32, Balance, BlockNumber>,
	S: OffchainStorage,
{
	/// The record that a subscription begins with, and how many are final.
	fn start(
		&self,
		programme: Option<ProgrammeId>,
		from: Option<RecordId>,
	) -> Result<(RecordId, RecordId), Error> {
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
			from => Ok((from.unwrap_or(count), count)),
		}
	}

	/// What is final from record `from` on.
	fn final_from(&self, programme: Option<ProgrammeId>, from: RecordId) -> Result<Recorded, Error> {
		let (block, view) = self.finalised();
		let state = view.state::<Block>();
		let (records, next) = view.read(self.ledger.records_from(&state, from, programme, MAX_PAGE))?;
		Ok(Recorded { block, records, next })
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
		let (provenance, mut indexed) = (self.provenance.clone(), self.indexed.clone());
		// The chain and the disk are asked on threads on which nobody else waits.
		let start = provenance.clone();
		let (mut next, mut count) = match spawn_blocking(move || start.start(programme, from)).await {
			Ok(Ok(start)) => start,
			Ok(Err(error)) => {
				pending.reject(error).await;
				return Ended(None);
			},
			// The node stops.
			Err(_) => return Ended(None),
		};
		let Ok(sink) = pending.accept().await else { return Ended(None) };
		loop {
			// Pages of other programmes' records are not sent, so that sending alone does not tell that the client left.
			while next < count && !sink.is_closed() {
				let (reader, from) = (provenance.clone(), next);
				let page = match spawn_blocking(move || reader.final_from(programme, from)).await {
					Ok(Ok(page)) => page,
					Ok(Err(error)) => return Ended(Some(error)),
					Err(_) => return Ended(None),
				};
				if page.next == next {
					break;
				}
				next = page.next;
				if page.records.is_empty() {
					continue;
				}
				// Records always serialise.
				let Ok(message) = SubscriptionMessage::from_json(&page) else { return Ended(None) };
				if sink.send(message).await.is_err() {
					return Ended(None);
				}
			}
			tokio::select! {
				() = sink.closed() => return Ended(None),
				changed = indexed.changed() => match changed {
					Ok(()) => count = *indexed.borrow_and_update(),
					Err(_) => return Ended(None),
				},
			}
		}
	}
}
