//! The invariants of the registry.

use super::*;
use alloc::collections::BTreeMap;
use frame_support::traits::fungible::InspectHold;
use sp_runtime::TryRuntimeError;

impl<T: Config> Pallet<T> {
	/// Checks every entry. Linear in the registry: for tests and for `try-runtime`, not for blocks.
	pub fn do_try_state() -> Result<(), TryRuntimeError> {
		Self::check_sites()?;
		Self::check_deposits()?;
		Self::check_devices()?;
		Self::check_indices()?;
		Self::check_offers()?;
		Self::check_attestation()
	}

	fn check_sites() -> Result<(), TryRuntimeError> {
		let count = SiteCount::<T>::get();
		ensure!(Sites::<T>::iter().count() as u32 == count, "hardware: SiteCount differs from the sites");
		for (id, site) in Sites::<T>::iter() {
			ensure!(id < count, "hardware: a site's number was never handed out");
			ensure!(!site.name.is_empty(), "hardware: a site has no name");
			let devices = Devices::<T>::iter_values()
				.filter(|d| d.site == id && d.state != DeviceState::Retired)
				.count() as u32;
			ensure!(site.devices == devices, "hardware: a site's device count is wrong");
			ensure!(devices <= T::MaxDevicesPerSite::get(), "hardware: a site has too many devices");
		}
		Ok(())
	}

	/// What is held from an owner is exactly what its sites say, and a site says at least what its devices say.
	fn check_deposits() -> Result<(), TryRuntimeError> {
		let mut by_owner = BTreeMap::<T::AccountId, BalanceOf<T>>::new();
		for (id, site) in Sites::<T>::iter() {
			let mut devices = BalanceOf::<T>::zero();
			for device in Devices::<T>::iter_values().filter(|d| d.site == id) {
				devices.saturating_accrue(device.deposit);
			}
			ensure!(site.deposit >= devices, "hardware: a site's deposit does not cover its devices'");
			by_owner.entry(site.owner).or_default().saturating_accrue(site.deposit);
		}
		for (owner, deposit) in by_owner {
			ensure!(
				T::Currency::balance_on_hold(&HoldReason::RegistryDeposit.into(), &owner) == deposit,
				"hardware: an owner's holds are not its sites' deposits"
			);
		}
		Ok(())
	}

	fn check_devices() -> Result<(), TryRuntimeError> {
		let count = DeviceCount::<T>::get();
		ensure!(
			Devices::<T>::iter().count() as u32 == count,
			"hardware: DeviceCount differs from the devices"
		);
		for (id, device) in Devices::<T>::iter() {
			ensure!(id < count, "hardware: a device's number was never handed out");
			ensure!(Sites::<T>::contains_key(device.site), "hardware: a device stands at no site");
			let mut settled = device.clone();
			settled.settle_state();
			ensure!(
				settled.state == device.state,
				"hardware: a device's state does not follow from its entry"
			);
			if device.state == DeviceState::Retired {
				ensure!(
					device.network_key.is_none()
						&& device.evidence.is_none()
						&& device.recheck.is_none()
						&& device.suspension.is_none()
						&& !Challenges::<T>::contains_key(id)
						&& !DeviceOffers::<T>::contains_key(id),
					"hardware: a retired device has something left"
				);
			} else {
				ensure!(
					DeviceOf::<T>::get(&device.account) == Some(id),
					"hardware: a device's account is not indexed"
				);
			}
			ensure!(
				device.suspension.is_none() || device.recheck.is_none(),
				"hardware: a suspended device has to answer a re-check"
			);
			if let Some(key) = device.network_key {
				ensure!(
					DeviceOfNetworkKey::<T>::get(key) == Some(id),
					"hardware: a device's libp2p key is not indexed"
				);
			}
			if let Some(evidence) = device.evidence {
				ensure!(
					evidence.at() < evidence.expires() && evidence.at() <= Self::now(),
					"hardware: evidence is from the future or was never valid"
				);
				let positive = |s: Speed| s.flops > 0 && s.bandwidth > 0;
				ensure!(evidence.speed().is_none_or(positive), "hardware: evidence shows no speed");
			}
		}
		Ok(())
	}

	fn check_indices() -> Result<(), TryRuntimeError> {
		for (account, id) in DeviceOf::<T>::iter() {
			let device = Devices::<T>::get(id).ok_or("hardware: an account's device does not exist")?;
			ensure!(
				device.account == account && device.state != DeviceState::Retired,
				"hardware: an account points at a device that is not its own"
			);
		}
		for (key, id) in DeviceOfNetworkKey::<T>::iter() {
			let device = Devices::<T>::get(id).ok_or("hardware: a libp2p key's device does not exist")?;
			ensure!(
				device.network_key == Some(key),
				"hardware: a libp2p key points at a device that is not its own"
			);
		}
		Ok(())
	}

	fn check_offers() -> Result<(), TryRuntimeError> {
		for site in SiteOffers::<T>::iter_keys() {
			ensure!(Sites::<T>::contains_key(site), "hardware: a site is offered that does not exist");
		}
		for (device, offer) in DeviceOffers::<T>::iter() {
			ensure!(Devices::<T>::contains_key(device), "hardware: a device is offered that does not exist");
			ensure!(Sites::<T>::contains_key(offer.to), "hardware: a device is offered to no site");
		}
		Ok(())
	}

	fn check_attestation() -> Result<(), TryRuntimeError> {
		let AttesterSet { members, threshold } = Attesters::<T>::get();
		ensure!(members.is_sorted_by(|a, b| a < b), "hardware: attesters are not in order, or not different");
		let count = members.len() as u32;
		ensure!(
			(count == 0 && threshold == 0) || (threshold <= count && threshold > count / 2),
			"hardware: the attesters' threshold is no majority"
		);
		for (id, challenge) in Challenges::<T>::iter() {
			let device = Devices::<T>::get(id).ok_or("hardware: a challenged device does not exist")?;
			ensure!(
				device.requested == Some(challenge.requested),
				"hardware: a challenge is not the device's newest"
			);
			ensure!(
				challenge.submission.is_some() || challenge.statements.is_empty(),
				"hardware: statements about nothing"
			);
			for (place, (who, _)) in challenge.statements.iter().enumerate() {
				ensure!(
					challenge.statements.iter().skip(place + 1).all(|(other, _)| other != who),
					"hardware: an attester has two statements"
				);
			}
		}
		if let Some((_, devices)) = LastRecheck::<T>::get() {
			ensure!(devices <= DeviceCount::<T>::get(), "hardware: a draw is to pick from devices to come");
		}
		Ok(())
	}
}
