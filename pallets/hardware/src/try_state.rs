//! The invariants of the registry.

use super::*;
use sp_runtime::TryRuntimeError;

impl<T: Config> Pallet<T> {
	/// Checks every entry. Linear in the registry: for tests and for `try-runtime`, not for blocks.
	pub fn do_try_state() -> Result<(), TryRuntimeError> {
		Self::check_sites()?;
		Self::check_devices()?;
		Self::check_indices()
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

	fn check_devices() -> Result<(), TryRuntimeError> {
		let count = DeviceCount::<T>::get();
		ensure!(
			Devices::<T>::iter().count() as u32 == count,
			"hardware: DeviceCount differs from the devices"
		);
		for (id, device) in Devices::<T>::iter() {
			ensure!(id < count, "hardware: a device's number was never handed out");
			ensure!(Sites::<T>::contains_key(device.site), "hardware: a device stands at no site");
			match device.state {
				DeviceState::Active => {
					ensure!(device.network_key.is_some(), "hardware: an active device has no libp2p key");
				},
				DeviceState::Retired => {
					ensure!(device.network_key.is_none(), "hardware: a retired device has a libp2p key");
				},
				_ => {},
			}
			if device.state != DeviceState::Retired {
				ensure!(
					DeviceOf::<T>::get(&device.account) == Some(id),
					"hardware: a device's account is not indexed"
				);
			}
			if let Some(key) = device.network_key {
				ensure!(
					DeviceOfNetworkKey::<T>::get(key) == Some(id),
					"hardware: a device's libp2p key is not indexed"
				);
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
}
