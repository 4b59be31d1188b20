//! The runtime APIs, called over `state_call` and decoded with the types of `cairn-primitives`.

use super::{Chain, ChainError, RpcError};
use cairn_primitives::{
	views::{AttestationInfo, AttestersInfo, DeviceInfo, ProgrammeInfo, RewardInfo, RoundInfo, MAX_PAGE},
	DeviceId, ProgrammeId, RoundIndex, H256,
};
use codec::{DecodeAll, Encode};
use subxt::utils::AccountId32;

/// A programme on this chain.
pub type Programme = ProgrammeInfo<AccountId32, u128>;
/// A round on this chain.
pub type Round = RoundInfo<AccountId32, u32>;
/// A device on this chain.
pub type Device = DeviceInfo<AccountId32>;
/// A request for attestation on this chain.
pub type Challenge = AttestationInfo<AccountId32, u32>;
/// The attesters of this chain.
pub type Attesters = AttestersInfo<AccountId32>;
/// Rewards on this chain.
pub type Rewards = RewardInfo<u128>;

/// Decodes the answer of a runtime API: all of it, or it is another version.
pub(crate) fn decode<R: DecodeAll>(api: &str, answer: &str) -> Result<R, ChainError> {
	let wrong = |reason: String| ChainError::Decode { api: api.to_string(), reason };
	let digits = answer.strip_prefix("0x").unwrap_or(answer);
	let bytes = hex::decode(digits).map_err(|e| wrong(e.to_string()))?;
	// The decoder says on several lines where in the value it was.
	let one_line = |e: codec::Error| e.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
	R::decode_all(&mut &bytes[..]).map_err(|e| wrong(one_line(e)))
}

/// Each reads at `at`, or at the node's best block when that is `None`.
impl Chain {
	async fn call<R: DecodeAll>(
		&self,
		api: &str,
		arguments: impl Encode,
		at: Option<H256>,
	) -> Result<R, ChainError> {
		let arguments = crate::units::hex(arguments.encode());
		let answer = match at {
			Some(at) => self.rpc().request::<String>("state_call", (api, arguments, at)).await,
			None => self.rpc().request::<String>("state_call", (api, arguments)).await,
		};
		match answer {
			Ok(answer) => decode(api, &answer),
			Err(RpcError::Call { message, data, .. })
				if [Some(&message), data.as_ref()]
					.into_iter()
					.flatten()
					.any(|text| text.contains("Exported method") && text.contains("not found")) =>
			{
				Err(ChainError::NoSuchApi { api: api.to_string() })
			},
			Err(e) => Err(e.into()),
		}
	}

	/// The numbers of all programmes.
	///
	/// # Errors
	/// When no node answers or the runtime speaks another version. So do the following.
	pub async fn programmes(&self, at: Option<H256>) -> Result<Vec<ProgrammeId>, ChainError> {
		self.call("TrainingApi_programmes", (), at).await
	}

	/// A programme.
	///
	/// # Errors
	/// See [`Chain::programmes`].
	pub async fn programme(
		&self,
		id: ProgrammeId,
		at: Option<H256>,
	) -> Result<Option<Programme>, ChainError> {
		self.call("TrainingApi_programme", id, at).await
	}

	/// The round that runs in a programme.
	///
	/// # Errors
	/// See [`Chain::programmes`].
	pub async fn current_round(
		&self,
		id: ProgrammeId,
		at: Option<H256>,
	) -> Result<Option<Round>, ChainError> {
		self.call("TrainingApi_current_round", id, at).await
	}

	/// A round by its number.
	///
	/// # Errors
	/// See [`Chain::programmes`].
	pub async fn round(
		&self,
		id: ProgrammeId,
		index: RoundIndex,
		at: Option<H256>,
	) -> Result<Option<Round>, ChainError> {
		self.call("TrainingApi_round", (id, index), at).await
	}

	/// Who stands ready for committees.
	///
	/// # Errors
	/// See [`Chain::programmes`].
	pub async fn aggregators(&self, at: Option<H256>) -> Result<Vec<AccountId32>, ChainError> {
		self.call("TrainingApi_aggregators", (), at).await
	}

	/// How many of them a committee of this programme could be drawn from.
	///
	/// # Errors
	/// See [`Chain::programmes`].
	pub async fn drawable(&self, id: ProgrammeId, at: Option<H256>) -> Result<u32, ChainError> {
		self.call("TrainingApi_drawable", id, at).await
	}

	/// Whether the next round of a programme that waits could open.
	///
	/// # Errors
	/// See [`Chain::programmes`].
	pub async fn can_open_round(&self, id: ProgrammeId, at: Option<H256>) -> Result<bool, ChainError> {
		self.call("TrainingApi_can_open_round", id, at).await
	}

	/// Whether the charter lets a device take part in a programme.
	///
	/// # Errors
	/// See [`Chain::programmes`].
	pub async fn may_take_part(
		&self,
		id: ProgrammeId,
		device: DeviceId,
		at: Option<H256>,
	) -> Result<bool, ChainError> {
		self.call("TrainingApi_may_take_part", (id, device), at).await
	}

	/// A device.
	///
	/// # Errors
	/// See [`Chain::programmes`].
	pub async fn device(&self, id: DeviceId, at: Option<H256>) -> Result<Option<Device>, ChainError> {
		self.call("HardwareApi_device", id, at).await
	}

	/// The device that signs with an account.
	///
	/// # Errors
	/// See [`Chain::programmes`].
	pub async fn device_of(
		&self,
		account: &AccountId32,
		at: Option<H256>,
	) -> Result<Option<Device>, ChainError> {
		self.call("HardwareApi_device_of", account, at).await
	}

	/// The device that a libp2p key belongs to.
	///
	/// # Errors
	/// See [`Chain::programmes`].
	pub async fn device_of_network_key(
		&self,
		key: &[u8; 32],
		at: Option<H256>,
	) -> Result<Option<Device>, ChainError> {
		self.call("HardwareApi_device_of_network_key", key, at).await
	}

	/// The attesters.
	///
	/// # Errors
	/// See [`Chain::programmes`].
	pub async fn attesters(&self, at: Option<H256>) -> Result<Attesters, ChainError> {
		self.call("HardwareApi_attesters", (), at).await
	}

	/// A device's request for attestation that is under way.
	///
	/// # Errors
	/// See [`Chain::programmes`].
	pub async fn open_challenge(
		&self,
		device: DeviceId,
		at: Option<H256>,
	) -> Result<Option<Challenge>, ChainError> {
		self.call("HardwareApi_open_challenge", device, at).await
	}

	/// Whether a device has a request for attestation under way, or would be allowed one now.
	///
	/// # Errors
	/// See [`Chain::programmes`].
	pub async fn can_attest(&self, device: DeviceId, at: Option<H256>) -> Result<bool, ChainError> {
		self.call("HardwareApi_can_attest", device, at).await
	}

	/// All requests that have a measurement and wait for attesters.
	///
	/// # Errors
	/// See [`Chain::programmes`].
	pub async fn challenges_to_judge(&self, at: Option<H256>) -> Result<Vec<Challenge>, ChainError> {
		let mut all = Vec::<Challenge>::new();
		loop {
			let after = all.last().map(|challenge| challenge.device);
			let page: Vec<Challenge> =
				self.call("HardwareApi_challenges_to_judge", (after, MAX_PAGE), at).await?;
			if page.is_empty() {
				return Ok(all);
			}
			all.extend(page);
		}
	}

	/// The local steps a device is asked for where one of full speed is asked for `max`.
	///
	/// # Errors
	/// See [`Chain::programmes`].
	pub async fn local_steps(&self, device: DeviceId, max: u32, at: Option<H256>) -> Result<u32, ChainError> {
		self.call("HardwareApi_local_steps", (device, max), at).await
	}

	/// Whether nobody has drawn devices for re-checks in this epoch yet.
	///
	/// # Errors
	/// See [`Chain::programmes`].
	pub async fn recheck_is_due(&self, at: Option<H256>) -> Result<bool, ChainError> {
		self.call("HardwareApi_recheck_is_due", (), at).await
	}

	/// What an account earned in a programme.
	///
	/// # Errors
	/// See [`Chain::programmes`].
	pub async fn rewards(
		&self,
		id: ProgrammeId,
		account: &AccountId32,
		at: Option<H256>,
	) -> Result<Rewards, ChainError> {
		self.call("RewardsApi_rewards", (id, account), at).await
	}

	/// What an account has bonded, in plancks.
	///
	/// # Errors
	/// See [`Chain::programmes`].
	pub async fn bonded(&self, account: &AccountId32, at: Option<H256>) -> Result<u128, ChainError> {
		self.call("RewardsApi_bonded", account, at).await
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn answer_of_another_version_is_refused_by_name_with_the_remedy() {
		// Too short, with something left over, and not hexadecimal.
		for answer in ["0x", "0x0100000002", "0xzz"] {
			let error = decode::<u32>("TrainingApi_x", answer).expect_err("not a u32").to_string();
			assert!(error.contains("TrainingApi_x") && error.contains("same release"), "{error}");
		}
		assert_eq!(decode::<u32>("TrainingApi_x", "0x01000000").expect("a u32"), 1);
	}
}
