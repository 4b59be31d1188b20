//! Random re-checks: once per epoch, the epoch's randomness picks devices whose evidence must be renewed soon.

use super::*;
use codec::Encode;
use sp_io::hashing::blake2_256;

/// One in so many devices is drawn in an epoch, and at least one.
pub const RECHECK_SHARE: u32 = 32;

/// What the epoch's randomness is asked about.
pub(crate) const SUBJECT: &[u8] = b"cairn/recheck";

impl<T: Config> Pallet<T> {
	/// How many numbers are drawn from a registry of `devices`.
	pub(crate) fn draws(devices: u32) -> u32 {
		devices.div_ceil(RECHECK_SHARE).min(T::MaxRechecks::get())
	}

	/// Draws for this epoch. Returns how many numbers were drawn.
	///
	/// The caller decides nothing: the randomness is one value for the whole epoch, and the numbers it picks from are
	/// those that existed when the epoch before was drawn for, when this randomness was not known yet. A number whose
	/// device has no evidence to re-check is not replaced by another, or who registers, retires or calls when would
	/// move the choice.
	pub(crate) fn do_recheck() -> Result<u32, DispatchError> {
		let (seed, epoch) = T::EpochRandomness::random(SUBJECT);
		let last = LastRecheck::<T>::get();
		ensure!(last.is_none_or(|(drawn, _)| drawn != epoch), Error::<T>::TooSoon);
		let population = last.map_or(0, |(_, devices)| devices);
		LastRecheck::<T>::put((epoch, DeviceCount::<T>::get()));
		let now = Self::now();
		let due = now.saturating_add(T::RecheckWindow::get());
		let draws = Self::draws(population);
		for draw in 0..draws {
			let word = blake2_256(&(seed, draw).encode());
			let mut number = [0; 8];
			number.copy_from_slice(&word[..8]);
			// Of 2^64 values, so that the remainder favours no number noticeably.
			let id = (u64::from_le_bytes(number) % u64::from(population)) as DeviceId;
			Devices::<T>::mutate(id, |device| {
				let Some(device) = device else { return };
				if device.recheck.is_none() && device.evidence_at(now).is_some() {
					device.recheck = Some(Recheck { due, answered: false });
					Self::deposit_event(Event::RecheckOrdered { device: id, due });
				}
			});
		}
		Ok(draws)
	}

	pub(crate) fn do_expire_recheck(id: DeviceId) -> DispatchResult {
		let mut device = Devices::<T>::get(id).ok_or(Error::<T>::UnknownDevice)?;
		ensure!(Self::settle(id, &mut device), Error::<T>::TooSoon);
		Devices::<T>::insert(id, device);
		Ok(())
	}
}
