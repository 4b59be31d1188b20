//! What other pallets and clients ask the registry.

use super::*;
use alloc::vec::Vec;
use cairn_primitives::{
	hardware::Speed,
	views::{AttestationInfo, AttestersInfo, DeviceInfo, EvidenceInfo, SiteInfo, StatementInfo, MAX_PAGE},
};

impl<T: Config> Pallet<T> {
	/// The device that `account` signs for, if it may take part now.
	pub fn active_device(account: &T::AccountId) -> Option<DeviceId> {
		Self::active_device_at(account).map(|(device, _)| device)
	}

	/// The device that `account` signs for, if it may take part now, and the site at which it stands.
	pub fn active_device_at(account: &T::AccountId) -> Option<(DeviceId, SiteId)> {
		let id = DeviceOf::<T>::get(account)?;
		let device = Devices::<T>::get(id).filter(|d| d.state_at(Self::now()) == DeviceState::Active)?;
		Some((id, device.site))
	}

	/// Whether a device has evidence that counts now: not expired, the device not suspended or retired, no re-check
	/// missed.
	pub fn has_valid_evidence(device: DeviceId) -> bool {
		Devices::<T>::get(device).is_some_and(|d| d.evidence_at(Self::now()).is_some())
	}

	/// How fast a device is, by evidence that counts now.
	pub fn speed(device: DeviceId) -> Option<Speed> {
		Devices::<T>::get(device)?.evidence_at(Self::now())?.speed()
	}

	/// The local steps a device is asked for in a round whose programme allows up to `max`: by its measured speed
	/// against `ReferenceSpeed`, see [`Speed::local_steps`]. A device that nobody measured is asked for `max`, because
	/// nothing speaks for less.
	pub fn local_steps_for(device: DeviceId, max: u32) -> u32 {
		Self::speed(device).map_or(max, |speed| speed.local_steps(&T::ReferenceSpeed::get(), max))
	}

	/// What a device is, coarsely.
	pub fn class_of(device: DeviceId) -> Option<DeviceClass> {
		Devices::<T>::get(device).map(|d| d.class)
	}

	/// Where a device stands.
	pub fn site_of(device: DeviceId) -> Option<SiteId> {
		Devices::<T>::get(device).map(|d| d.site)
	}

	/// A site, as clients see it.
	pub fn site_info(id: SiteId) -> Option<SiteInfo<T::AccountId>> {
		let s = Sites::<T>::get(id)?;
		Some(SiteInfo {
			id,
			owner: s.owner,
			name: s.name.into_inner(),
			region: s.region.into_inner(),
			energy: s.energy,
			devices: s.devices,
		})
	}

	/// A device, as clients see it.
	pub fn device_info(id: DeviceId) -> Option<DeviceInfo<T::AccountId, BlockNumberFor<T>>> {
		let now = Self::now();
		let d = Devices::<T>::get(id)?;
		let valid = d.evidence_at(now).is_some();
		let state = d.state_at(now);
		Some(DeviceInfo {
			id,
			site: d.site,
			account: d.account,
			class: d.class,
			memory_mib: d.memory_mib,
			state,
			network_key: d.network_key,
			vendor: d.vendor.into_inner(),
			model: d.model.into_inner(),
			image: d.image,
			evidence: d.evidence.map(|e| EvidenceInfo {
				kind: e.kind(),
				speed: e.speed(),
				at: e.at(),
				expires: e.expires(),
				valid,
			}),
			recheck_due: d.recheck.map(|r| r.due),
		})
	}

	/// The attesters and their threshold.
	pub fn attesters_info() -> AttestersInfo<T::AccountId> {
		let set = Attesters::<T>::get();
		AttestersInfo { members: set.members.into_inner(), threshold: set.threshold }
	}

	/// A device's request for attestation, if one is under way: its windows are not over and nothing is decided.
	pub fn open_challenge(device: DeviceId) -> Option<AttestationInfo<T::AccountId, BlockNumberFor<T>>> {
		let challenge = Challenges::<T>::get(device)?;
		let deadline = challenge.submission.as_ref().map_or(challenge.submit_by, |s| s.state_by);
		if Self::now() > deadline {
			return None;
		}
		let nonce = match &challenge.submission {
			Some(submission) => Some(submission.nonce),
			None => Self::nonce_of(device, challenge.requested),
		};
		Some(AttestationInfo {
			device,
			nonce,
			requested: challenge.requested,
			submit_by: challenge.submit_by,
			measurement: challenge.submission.as_ref().map(|s| s.measurement),
			state_by: challenge.submission.map(|s| s.state_by),
			statements: challenge
				.statements
				.into_iter()
				.map(|(attester, speed)| StatementInfo { attester, speed })
				.collect(),
		})
	}

	/// Whether a device has a request for attestation under way, or would be allowed one now.
	pub fn can_attest(device: DeviceId) -> bool {
		let account = Devices::<T>::get(device).map(|d| d.account);
		let entry = account.and_then(|account| Self::device_by(&account).ok());
		entry.is_some_and(|(id, entry)| {
			Self::open_challenge(id).is_some() || Self::ensure_may_request(&entry).is_ok()
		})
	}

	/// Whether nobody has drawn for re-checks in this epoch yet.
	pub fn recheck_is_due() -> bool {
		let (_, epoch) = T::EpochRandomness::random(recheck::SUBJECT);
		LastRecheck::<T>::get().is_none_or(|(drawn, _)| drawn != epoch)
	}

	/// A page of the requests that wait for attesters, in no particular order: at most `limit` and `MAX_PAGE`, beginning
	/// behind the device `after`. An empty page is the end.
	pub fn challenges_to_judge(
		after: Option<DeviceId>,
		limit: u32,
	) -> Vec<AttestationInfo<T::AccountId, BlockNumberFor<T>>> {
		let keys = match after {
			Some(id) => Challenges::<T>::iter_keys_from(Challenges::<T>::hashed_key_for(id)),
			None => Challenges::<T>::iter_keys(),
		};
		keys.filter_map(Self::open_challenge)
			.filter(|challenge| challenge.measurement.is_some())
			.take(limit.min(MAX_PAGE) as usize)
			.collect()
	}
}
