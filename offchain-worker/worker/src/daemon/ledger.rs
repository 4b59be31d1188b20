//! What the daemon needs of the chain, so that it can be tested without one.

use crate::{
	chain::{
		api::Rewards, Call, Chain, ChainError, Challenge, Device, Head, Heads, Landed, Programme, Round,
		SubmitError, Submitter,
	},
	plan::{asks_admission, needs_attestation, ChainView, Duties, ProgrammeView},
};
use async_trait::async_trait;
use cairn_primitives::{
	views::{Phase, ProgrammeState},
	DeviceId, ProgrammeId, RoundIndex, H256,
};
use futures::future::try_join_all;
use std::{
	collections::HashMap,
	sync::{Mutex, PoisonError},
	time::{Duration, SystemTime},
};
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

/// For how many blocks the word of the charter on a device is taken, while neither the device nor the programme changes:
/// the charter itself may be amended, and evidence runs out.
const ADMISSION_HOLDS: u32 = 10;

/// Whether a device may take part in a programme, as the chain said at a block.
struct Admission {
	block: u32,
	of: (Device, Programme),
	admits: bool,
}

/// A real chain.
pub struct LiveLedger {
	chain: Chain,
	heads: Heads,
	submitter: Submitter,
	network_key: [u8; 32],
	admissions: Mutex<HashMap<ProgrammeId, Admission>>,
}

impl LiveLedger {
	/// The chain, with an account on it whose worker has this network key.
	pub fn new(chain: Chain, heads: Heads, submitter: Submitter, network_key: [u8; 32]) -> Self {
		Self { chain, heads, submitter, network_key, admissions: Mutex::default() }
	}

	fn at(&self) -> Option<H256> {
		Some(self.heads.finalised_now().hash)
	}

	async fn programme(
		&self,
		id: ProgrammeId,
		device: Option<&Device>,
		duties: &Duties,
		head: Head,
	) -> Result<Option<ProgrammeView>, ChainError> {
		let at = Some(head.hash);
		let (info, round) =
			futures::try_join!(self.chain.programme(id, at), self.chain.current_round(id, at))?;
		let Some(info) = info else { return Ok(None) };
		let can_open = matches!(info.state, ProgrammeState::Unfunded | ProgrammeState::Barred)
			&& self.chain.can_open_round(id, at).await?;
		let mut programme = ProgrammeView { info, round, can_open, admits: true };
		if let Some(device) = device.filter(|device| asks_admission(&programme, device, duties)) {
			programme.admits = self.admission(&programme, device, head).await?;
		}
		Ok(Some(programme))
	}

	/// Whether the charter lets the device take part: asked anew where the answer decides about a commit, else when
	/// something has changed that it depends on, or some blocks later.
	async fn admission(
		&self,
		programme: &ProgrammeView,
		device: &Device,
		head: Head,
	) -> Result<bool, ChainError> {
		let id = programme.info.id;
		let decides = programme.round.as_ref().is_some_and(|r| {
			r.phase == Phase::Commit && r.commits.iter().all(|commit| commit.producer != device.account)
		});
		if !decides {
			let known = self.admissions.lock().unwrap_or_else(PoisonError::into_inner);
			let holds = |known: &&Admission| {
				head.number < known.block.saturating_add(ADMISSION_HOLDS)
					&& known.of.0 == *device
					&& known.of.1 == programme.info
			};
			if let Some(known) = known.get(&id).filter(holds) {
				return Ok(known.admits);
			}
		}
		let admits = self.chain.may_take_part(id, device.id, Some(head.hash)).await?;
		let known = Admission { block: head.number, of: (device.clone(), programme.info.clone()), admits };
		self.admissions.lock().unwrap_or_else(PoisonError::into_inner).insert(id, known);
		Ok(admits)
	}

	/// By how many seconds this machine's clock is ahead of a block's.
	async fn clock_ahead(&self, at: H256) -> Result<Option<i64>, ChainError> {
		let Some(block) = self.chain.timestamp(at).await? else { return Ok(None) };
		let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
		let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
		Ok(Some(now.saturating_sub(i64::try_from(block / 1000).unwrap_or(i64::MAX))))
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
		let (ids, device, aggregators, clock_ahead) = futures::try_join!(
			self.chain.programmes(at),
			self.chain.device_of(&me, at),
			self.chain.aggregators(at),
			self.clock_ahead(head.hash)
		)?;
		// An aggregator serves whatever programme draws it.
		let wanted = |id: &ProgrammeId| {
			duties.aggregator || duties.programmes.is_empty() || duties.programmes.contains(id)
		};
		let programmes =
			ids.into_iter().filter(wanted).map(|id| self.programme(id, device.as_ref(), duties, head));
		let programmes = try_join_all(programmes).await?;
		let mut view = ChainView {
			finalised: head.number,
			best: self.heads.best_now(),
			me,
			network_key: self.network_key,
			device,
			enlisted: aggregators.contains(&me),
			can_attest: false,
			clock_ahead,
			programmes: programmes.into_iter().flatten().collect(),
		};
		if let Some(device) = view.device.as_ref().filter(|_| needs_attestation(&view, duties)) {
			view.can_attest = self.chain.can_attest(device.id, at).await?;
		}
		Ok(view)
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
