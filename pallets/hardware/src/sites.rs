//! Sites, their deposits, and how a site gets another owner.

use super::*;
use cairn_primitives::EnergySource;
use frame_support::traits::{fungible::MutateHold, tokens::Precision};

impl<T: Config> Pallet<T> {
	pub(crate) fn hold(who: &T::AccountId, amount: BalanceOf<T>) -> DispatchResult {
		T::Currency::hold(&HoldReason::RegistryDeposit.into(), who, amount)
	}

	/// Holds `amount` from `to` instead of from `from`. Nothing to do when they are the same.
	pub(crate) fn move_deposit(
		from: &T::AccountId,
		to: &T::AccountId,
		amount: BalanceOf<T>,
	) -> DispatchResult {
		if from != to {
			Self::hold(to, amount)?;
			T::Currency::release(&HoldReason::RegistryDeposit.into(), from, amount, Precision::Exact)?;
		}
		Ok(())
	}

	/// A site of `who`.
	pub(crate) fn own_site(site: SiteId, who: &T::AccountId) -> Result<SiteEntry<T>, DispatchError> {
		let entry = Sites::<T>::get(site).ok_or(Error::<T>::UnknownSite)?;
		ensure!(entry.owner == *who, Error::<T>::NotSiteOwner);
		Ok(entry)
	}

	pub(crate) fn do_register_site(
		owner: T::AccountId,
		name: SiteName,
		region: Region,
		energy: EnergySource,
	) -> DispatchResult {
		ensure!(!name.is_empty(), Error::<T>::EmptyName);
		let site = SiteCount::<T>::get();
		SiteCount::<T>::put(site.checked_add(1).ok_or(Error::<T>::RegistryFull)?);
		let deposit = T::SiteDeposit::get();
		Self::hold(&owner, deposit)?;
		Sites::<T>::insert(site, Site { owner: owner.clone(), name, region, energy, devices: 0, deposit });
		Self::deposit_event(Event::SiteRegistered { site, owner });
		Ok(())
	}

	pub(crate) fn do_update_site(
		who: T::AccountId,
		site: SiteId,
		name: SiteName,
		region: Region,
		energy: EnergySource,
	) -> DispatchResult {
		let entry = Self::own_site(site, &who)?;
		ensure!(!name.is_empty(), Error::<T>::EmptyName);
		Sites::<T>::insert(site, Site { name, region: region.clone(), energy, ..entry });
		Self::deposit_event(Event::SiteUpdated { site, region, energy });
		Ok(())
	}

	pub(crate) fn do_offer_site(who: T::AccountId, site: SiteId, to: Option<T::AccountId>) -> DispatchResult {
		Self::own_site(site, &who)?;
		SiteOffers::<T>::set(site, to.clone());
		Self::deposit_event(Event::SiteOffered { site, to });
		Ok(())
	}

	pub(crate) fn do_accept_site(who: T::AccountId, site: SiteId) -> DispatchResult {
		let mut entry = Sites::<T>::get(site).ok_or(Error::<T>::UnknownSite)?;
		ensure!(SiteOffers::<T>::take(site).as_ref() == Some(&who), Error::<T>::NotOffered);
		Self::move_deposit(&entry.owner, &who, entry.deposit)?;
		let from = core::mem::replace(&mut entry.owner, who.clone());
		Sites::<T>::insert(site, entry);
		Self::deposit_event(Event::SiteTransferred { site, from, to: who });
		Ok(())
	}

	/// Gives a device a place at a site: one more in service, its deposit among the site's.
	pub(crate) fn enter(entry: &mut SiteEntry<T>, deposit: BalanceOf<T>) -> DispatchResult {
		ensure!(entry.devices < T::MaxDevicesPerSite::get(), Error::<T>::TooManyDevices);
		entry.devices = entry.devices.saturating_add(1);
		entry.deposit = entry.deposit.saturating_add(deposit);
		Ok(())
	}
}
