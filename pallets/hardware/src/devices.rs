//! Devices: their life, their keys, and how one moves to another site.

use super::*;
use cairn_primitives::{hardware::account_rotation_message, DeviceClass};
use sp_core::sr25519;

impl<T: Config> Pallet<T> {
	pub(crate) fn now() -> BlockNumberFor<T> {
		frame_system::Pallet::<T>::block_number()
	}

	pub(crate) fn genesis_hash() -> H256 {
		frame_system::Pallet::<T>::block_hash(BlockNumberFor::<T>::zero())
	}

	/// The device that signs with `account`.
	pub(crate) fn device_by(account: &T::AccountId) -> Result<(DeviceId, DeviceEntry<T>), DispatchError> {
		let id = DeviceOf::<T>::get(account).ok_or(Error::<T>::NotADevice)?;
		Ok((id, Devices::<T>::get(id).ok_or(Error::<T>::UnknownDevice)?))
	}

	/// A device that is not retired.
	pub(crate) fn in_service(id: DeviceId) -> Result<DeviceEntry<T>, DispatchError> {
		let device = Devices::<T>::get(id).ok_or(Error::<T>::UnknownDevice)?;
		ensure!(device.state != DeviceState::Retired, Error::<T>::AlreadyRetired);
		Ok(device)
	}

	/// A device that is not retired, for its site's owner or for its own account.
	fn in_service_for(id: DeviceId, who: &T::AccountId) -> Result<DeviceEntry<T>, DispatchError> {
		let device = Self::in_service(id)?;
		if device.account != *who {
			Self::own_site(device.site, who)?;
		}
		Ok(device)
	}

	fn unbind_network_key(device: &mut DeviceEntry<T>) {
		if let Some(key) = device.network_key.take() {
			DeviceOfNetworkKey::<T>::remove(key);
		}
	}

	pub(crate) fn do_register_device(
		owner: T::AccountId,
		site: SiteId,
		account: T::AccountId,
		class: DeviceClass,
		memory_mib: u32,
	) -> DispatchResult {
		ensure!(!DeviceOf::<T>::contains_key(&account), Error::<T>::AccountInUse);
		let mut entry = Self::own_site(site, &owner)?;
		let deposit = T::DeviceDeposit::get();
		Self::enter(&mut entry, deposit)?;
		let id = DeviceCount::<T>::get();
		DeviceCount::<T>::put(id.checked_add(1).ok_or(Error::<T>::RegistryFull)?);
		Self::hold(&owner, deposit)?;
		Sites::<T>::insert(site, entry);
		DeviceOf::<T>::insert(&account, id);
		Devices::<T>::insert(
			id,
			Device {
				site,
				account: account.clone(),
				class,
				memory_mib,
				state: DeviceState::Registered,
				network_key: None,
				vendor: Vendor::new(),
				model: Model::new(),
				image: None,
				deposit,
				evidence: None,
				recheck: None,
				suspension: None,
				requested: None,
			},
		);
		Self::deposit_event(Event::DeviceRegistered { device: id, site, account });
		Ok(())
	}

	pub(crate) fn do_describe_device(
		who: T::AccountId,
		id: DeviceId,
		vendor: Vendor,
		model: Model,
		memory_mib: u32,
		image: Option<H256>,
	) -> DispatchResult {
		let mut device = Self::in_service_for(id, &who)?;
		Self::settle(id, &mut device);
		if (&device.vendor, &device.model, device.memory_mib) != (&vendor, &model, memory_mib) {
			// Evidence is about the machine as it was when it was measured.
			Challenges::<T>::remove(id);
			Self::void(id, &mut device);
		}
		Devices::<T>::insert(id, Device { vendor, model, memory_mib, image, ..device });
		Self::deposit_event(Event::DeviceDescribed { device: id, image });
		Ok(())
	}

	pub(crate) fn do_activate_device(
		account: T::AccountId,
		network_key: NetworkKey,
		proof: [u8; 64],
	) -> DispatchResult {
		let (id, mut device) = Self::device_by(&account)?;
		ensure!(device.state_at(Self::now()) != DeviceState::Suspended, Error::<T>::NotActivatable);
		let message = cairn_primitives::network_key_message(&Self::genesis_hash(), account.as_ref());
		ensure!(
			sp_io::crypto::ed25519_verify(&proof.into(), &message, &network_key.into()),
			Error::<T>::BadNetworkKeyProof
		);
		ensure!(
			DeviceOfNetworkKey::<T>::get(network_key).is_none_or(|other| other == id),
			Error::<T>::NetworkKeyInUse
		);
		Self::settle(id, &mut device);
		Self::unbind_network_key(&mut device);
		device.network_key = Some(network_key);
		DeviceOfNetworkKey::<T>::insert(network_key, id);
		device.settle_state();
		Devices::<T>::insert(id, device);
		Self::deposit_event(Event::DeviceActivated { device: id, network_key });
		Ok(())
	}

	pub(crate) fn do_rotate_account(
		who: T::AccountId,
		id: DeviceId,
		new: T::AccountId,
		proof: [u8; 64],
	) -> DispatchResult {
		let mut device = Self::in_service_for(id, &who)?;
		ensure!(!DeviceOf::<T>::contains_key(&new), Error::<T>::AccountInUse);
		let message =
			account_rotation_message(&Self::genesis_hash(), id, device.account.as_ref(), new.as_ref());
		let key = sr25519::Public::from_raw(new.clone().into());
		ensure!(sp_io::crypto::sr25519_verify(&proof.into(), &message, &key), Error::<T>::BadAccountProof);
		Self::settle(id, &mut device);
		if who != device.account {
			// Nothing shows that the new key is on the machine that was measured.
			Challenges::<T>::remove(id);
			Self::void(id, &mut device);
		}
		let old = core::mem::replace(&mut device.account, new.clone());
		// The libp2p key signed that it belongs to the old account.
		Self::unbind_network_key(&mut device);
		device.settle_state();
		DeviceOf::<T>::remove(&old);
		DeviceOf::<T>::insert(&new, id);
		Devices::<T>::insert(id, device);
		Self::deposit_event(Event::AccountRotated { device: id, old, new });
		Ok(())
	}

	pub(crate) fn do_offer_device(who: T::AccountId, id: DeviceId, to: Option<SiteId>) -> DispatchResult {
		let device = Self::in_service(id)?;
		Self::own_site(device.site, &who)?;
		match to {
			Some(to) => {
				ensure!(Sites::<T>::contains_key(to), Error::<T>::UnknownSite);
				DeviceOffers::<T>::insert(id, DeviceOffer { to, by: who });
			},
			None => DeviceOffers::<T>::remove(id),
		}
		Self::deposit_event(Event::DeviceOffered { device: id, to });
		Ok(())
	}

	pub(crate) fn do_accept_device(who: T::AccountId, id: DeviceId) -> DispatchResult {
		let mut device = Self::in_service(id)?;
		let offer = DeviceOffers::<T>::take(id).ok_or(Error::<T>::NotOffered)?;
		let mut from = Sites::<T>::get(device.site).ok_or(Error::<T>::UnknownSite)?;
		ensure!(from.owner == offer.by, Error::<T>::NotOffered);
		Self::own_site(offer.to, &who)?;
		Self::move_deposit(&from.owner, &who, device.deposit)?;
		from.devices = from.devices.saturating_sub(1);
		from.deposit = from.deposit.saturating_sub(device.deposit);
		Sites::<T>::insert(device.site, from);
		// Read after the write: a device may move within one site.
		Sites::<T>::try_mutate(offer.to, |to| -> DispatchResult {
			Self::enter(to.as_mut().ok_or(Error::<T>::UnknownSite)?, device.deposit)
		})?;
		let from = core::mem::replace(&mut device.site, offer.to);
		Devices::<T>::insert(id, device);
		Self::deposit_event(Event::DeviceTransferred { device: id, from, to: offer.to });
		Ok(())
	}

	pub(crate) fn do_retire_device(who: T::AccountId, id: DeviceId) -> DispatchResult {
		let mut device = Self::in_service_for(id, &who)?;
		Sites::<T>::try_mutate(device.site, |site| -> DispatchResult {
			let site = site.as_mut().ok_or(Error::<T>::UnknownSite)?;
			site.devices = site.devices.saturating_sub(1);
			Ok(())
		})?;
		DeviceOf::<T>::remove(&device.account);
		DeviceOffers::<T>::remove(id);
		Challenges::<T>::remove(id);
		Self::unbind_network_key(&mut device);
		device.evidence = None;
		device.recheck = None;
		device.suspension = None;
		device.state = DeviceState::Retired;
		Devices::<T>::insert(id, device);
		Self::deposit_event(Event::DeviceRetired { device: id });
		Ok(())
	}

	pub(crate) fn do_suspend_device(id: DeviceId) -> DispatchResult {
		let mut device = Self::in_service(id)?;
		Self::settle(id, &mut device);
		// A barred device cannot answer; the order weighs more than what it would have failed.
		device.recheck = None;
		Self::suspend(id, &mut device, Suspension::Ordered);
		Devices::<T>::insert(id, device);
		Ok(())
	}

	pub(crate) fn do_reinstate_device(id: DeviceId) -> DispatchResult {
		let mut device = Self::in_service(id)?;
		Self::settle(id, &mut device);
		ensure!(device.suspension.take().is_some(), Error::<T>::NotSuspended);
		device.settle_state();
		Self::deposit_event(Event::DeviceReinstated { device: id, state: device.state });
		Devices::<T>::insert(id, device);
		Ok(())
	}

	pub(crate) fn do_set_attesters(
		mut members: BoundedVec<T::AccountId, T::MaxAttesters>,
		threshold: u32,
	) -> DispatchResult {
		members.sort();
		let count = members.len() as u32;
		ensure!(members.windows(2).all(|pair| pair[0] != pair[1]), Error::<T>::BadAttesters);
		// More than half, so that attesters can never settle one matter in two ways.
		let majority = threshold <= count && threshold > count / 2;
		ensure!(majority || (count == 0 && threshold == 0), Error::<T>::BadAttesters);
		Attesters::<T>::put(AttesterSet { members: members.clone(), threshold });
		Self::deposit_event(Event::AttestersSet { members, threshold });
		Ok(())
	}
}
