//! What the daemon needs of the chain, so that it can be tested without one.

use crate::{
	chain::{
		api::Rewards, Call, Chain, ChainError, Challenge, Device, Heads, Landed, Round, SubmitError,
		Submitter,
	},
	plan::{ChainView, Duties, ProgrammeView},
};
use async_trait::async_trait;
use cairn_primitives::{views::ProgrammeState, DeviceId, ProgrammeId, RoundIndex, H256};
use futures::future::try_join_all;
use std::time::Duration;
use subxt::utils::AccountId32;

/// The chain at finalised blocks, and one account on it.
#[async_trait]
pub trait Ledger: Send + Sync {
	/// Genesis hash.
	fn genesis(&self) -> H256;
	/// The heads, as they move.
	fn heads(&self) -> &Heads;
	/// Everything the plan needs, at the newest finalised block.
	async fn view(&self, duties: &Duties) -> Result<ChainView, ChainError>;
	/// A round, at the newest finalised block.
	async fn round(&self, programme: ProgrammeId, index: RoundIndex) -> Result<Option<Round>, ChainError>;
	/// The running round, at the best block.
	async fn best_round(&self, programme: ProgrammeId) -> Result<Option<Round>, ChainError>;
	/// A device.
	async fn device(&self, id: DeviceId) -> Result<Option<Device>, ChainError>;
	/// The device of an account.
	async fn device_of(&self, account: &AccountId32) -> Result<Option<Device>, ChainError>;
	/// The device of a libp2p key.
	async fn device_of_network_key(&self, key: &[u8; 32]) -> Result<Option<Device>, ChainError>;
	/// The local steps a device is asked for where one of full speed is asked for `max`.
	async fn local_steps(&self, id: DeviceId, max: u32) -> Result<u32, ChainError>;
	/// How many aggregators a committee of this programme could be drawn from.
	async fn drawable(&self, id: ProgrammeId) -> Result<u32, ChainError>;
	/// A device's request for attestation that is under way.
	async fn open_challenge(&self, id: DeviceId) -> Result<Option<Challenge>, ChainError>;
	/// The hash of a block by its number, if the node has it.
	async fn block_hash(&self, number: u32) -> Result<Option<H256>, ChainError>;
	/// How long a block takes, by the chain's own word.
	async fn block_time(&self) -> Result<Duration, ChainError>;
	/// Who stands ready for committees.
	async fn aggregators(&self) -> Result<Vec<AccountId32>, ChainError>;
	/// What this account earned in a programme.
	async fn rewards(&self, programme: ProgrammeId) -> Result<Rewards, ChainError>;
	/// Sends a call of this account and waits until it is finalised. See [`Submitter::submit`].
	async fn submit(&self, key: &str, call: &Call) -> Result<Landed, SubmitError>;
	/// Whether the node is still catching up.
	async fn is_syncing(&self) -> Result<bool, ChainError>;
}

/// A real chain.
pub struct LiveLedger {
	chain: Chain,
	heads: Heads,
	submitter: Submitter,
}

impl LiveLedger {
	/// The chain, with an account on it.
	pub fn new(chain: Chain, heads: Heads, submitter: Submitter) -> Self {
		Self { chain, heads, submitter }
	}

	fn at(&self) -> Option<H256> {
		Some(self.heads.finalised_now().hash)
	}

	async fn programme(
		&self,
		id: ProgrammeId,
		device: Option<DeviceId>,
		at: H256,
	) -> Result<Option<ProgrammeView>, ChainError> {
		let at = Some(at);
		let admits = async {
			match device {
				Some(device) => self.chain.may_take_part(id, device, at).await,
				None => Ok(false),
			}
		};
		let (info, round, admits) =
			futures::try_join!(self.chain.programme(id, at), self.chain.current_round(id, at), admits)?;
		let Some(info) = info else { return Ok(None) };
		let can_open = matches!(info.state, ProgrammeState::Unfunded | ProgrammeState::Barred)
			&& self.chain.can_open_round(id, at).await?;
		Ok(Some(ProgrammeView { info, round, can_open, admits }))
	}
}

#[async_trait]
impl Ledger for LiveLedger {
	fn genesis(&self) -> H256 {
		self.chain.genesis()
	}

	fn heads(&self) -> &Heads {
		&self.heads
	}

	async fn view(&self, duties: &Duties) -> Result<ChainView, ChainError> {
		let head = self.heads.finalised_now();
		let me = *self.submitter.account();
		let at = Some(head.hash);
		let (ids, device, aggregators) = futures::try_join!(
			self.chain.programmes(at),
			self.chain.device_of(&me, at),
			self.chain.aggregators(at)
		)?;
		// An aggregator serves whatever programme draws it.
		let wanted = |id: &ProgrammeId| {
			duties.aggregator || duties.programmes.is_empty() || duties.programmes.contains(id)
		};
		let mine = device.as_ref().map(|d| d.id);
		let programmes = ids.into_iter().filter(wanted).map(|id| self.programme(id, mine, head.hash));
		let programmes = try_join_all(programmes).await?;
		let can_attest = match mine {
			Some(device) => self.chain.can_attest(device, at).await?,
			None => false,
		};
		Ok(ChainView {
			finalised: head.number,
			best: self.heads.best_now(),
			me,
			device,
			enlisted: aggregators.contains(&me),
			can_attest,
			programmes: programmes.into_iter().flatten().collect(),
		})
	}

	async fn round(&self, programme: ProgrammeId, index: RoundIndex) -> Result<Option<Round>, ChainError> {
		self.chain.round(programme, index, self.at()).await
	}

	async fn best_round(&self, programme: ProgrammeId) -> Result<Option<Round>, ChainError> {
		self.chain.current_round(programme, None).await
	}

	async fn device(&self, id: DeviceId) -> Result<Option<Device>, ChainError> {
		self.chain.device(id, self.at()).await
	}

	async fn device_of(&self, account: &AccountId32) -> Result<Option<Device>, ChainError> {
		self.chain.device_of(account, self.at()).await
	}

	async fn device_of_network_key(&self, key: &[u8; 32]) -> Result<Option<Device>, ChainError> {
		self.chain.device_of_network_key(key, self.at()).await
	}

	async fn local_steps(&self, id: DeviceId, max: u32) -> Result<u32, ChainError> {
		self.chain.local_steps(id, max, self.at()).await
	}

	async fn drawable(&self, id: ProgrammeId) -> Result<u32, ChainError> {
		self.chain.drawable(id, self.at()).await
	}

	async fn open_challenge(&self, id: DeviceId) -> Result<Option<Challenge>, ChainError> {
		self.chain.open_challenge(id, self.at()).await
	}

	async fn block_hash(&self, number: u32) -> Result<Option<H256>, ChainError> {
		self.chain.block_hash(number).await
	}

	async fn block_time(&self) -> Result<Duration, ChainError> {
		self.chain.block_time(self.heads.finalised_now()).await
	}

	async fn aggregators(&self) -> Result<Vec<AccountId32>, ChainError> {
		self.chain.aggregators(self.at()).await
	}

	async fn rewards(&self, programme: ProgrammeId) -> Result<Rewards, ChainError> {
		self.chain.rewards(programme, self.submitter.account(), self.at()).await
	}

	async fn submit(&self, key: &str, call: &Call) -> Result<Landed, SubmitError> {
		self.submitter.submit(key, call).await
	}

	async fn is_syncing(&self) -> Result<bool, ChainError> {
		self.chain.is_syncing().await
	}
}
