#![doc = include_str!("../README.md")]
#![cfg_attr(not(feature = "std"), no_std)]

#[cfg(test)]
mod mock;
#[cfg(test)]
mod tests;
mod try_state;
pub mod types;
pub mod weights;

use cairn_primitives::{views::DeviceInfo, DeviceClass, DeviceId, DeviceState, EnergySource, SiteId, H256};
use frame_support::{
	pallet_prelude::*,
	traits::fungible::{Inspect, MutateHold},
};
use frame_system::pallet_prelude::*;
use sp_core::crypto::AccountId32;
use sp_runtime::traits::Zero;

pub use pallet::*;
pub use types::*;
pub use weights::WeightInfo;

type BalanceOf<T> = <<T as Config>::Currency as Inspect<<T as frame_system::Config>::AccountId>>::Balance;

#[frame_support::pallet]
pub mod pallet {
	use super::*;

	const STORAGE_VERSION: StorageVersion = StorageVersion::new(1);

	#[pallet::pallet]
	#[pallet::storage_version(STORAGE_VERSION)]
	pub struct Pallet<T>(_);

	/// Accounts are 32-byte public keys, because a libp2p key signs over one, and the genesis hash is 32 bytes.
	#[pallet::config]
	pub trait Config:
		frame_system::Config<RuntimeEvent: From<Event<Self>>, AccountId = AccountId32, Hash = H256>
	{
		/// The native token.
		type Currency: MutateHold<Self::AccountId, Reason = Self::RuntimeHoldReason>;
		/// The runtime's hold reasons.
		type RuntimeHoldReason: From<HoldReason>;
		/// Held from a site's owner for the site's entry.
		#[pallet::constant]
		type SiteDeposit: Get<BalanceOf<Self>>;
		/// Held from a site's owner for each device's entry.
		#[pallet::constant]
		type DeviceDeposit: Get<BalanceOf<Self>>;
		/// The most devices in service that one site may have.
		#[pallet::constant]
		type MaxDevicesPerSite: Get<u32>;
		/// What the calls cost.
		type WeightInfo: WeightInfo;
	}

	/// Why the registry holds funds.
	#[pallet::composite_enum]
	pub enum HoldReason {
		/// For the entries of sites and devices, which stay for good.
		RegistryDeposit,
	}

	/// The number of the next site.
	#[pallet::storage]
	pub type SiteCount<T> = StorageValue<_, SiteId, ValueQuery>;

	/// The number of the next device.
	#[pallet::storage]
	pub type DeviceCount<T> = StorageValue<_, DeviceId, ValueQuery>;

	/// The sites. Twox64Concat: the chain makes the numbers. Each entry is paid for by a deposit.
	#[pallet::storage]
	pub type Sites<T: Config> = StorageMap<_, Twox64Concat, SiteId, Site<T::AccountId>>;

	/// The devices. Twox64Concat: the chain makes the numbers. Each entry is paid for by a deposit.
	#[pallet::storage]
	pub type Devices<T: Config> = StorageMap<_, Twox64Concat, DeviceId, Device<T::AccountId>>;

	/// The device that an account signs for. Blake2_128Concat: users choose accounts. At most one per device.
	#[pallet::storage]
	pub type DeviceOf<T: Config> = StorageMap<_, Blake2_128Concat, T::AccountId, DeviceId>;

	/// The device that a libp2p key belongs to. Blake2_128Concat: users choose keys. At most one per device.
	#[pallet::storage]
	pub type DeviceOfNetworkKey<T> = StorageMap<_, Blake2_128Concat, NetworkKey, DeviceId>;

	#[pallet::event]
	#[pallet::generate_deposit(pub(super) fn deposit_event)]
	pub enum Event<T: Config> {
		/// A site was registered.
		SiteRegistered {
			/// Its number.
			site: SiteId,
			/// Who keeps it.
			owner: T::AccountId,
		},
		/// A device was registered.
		DeviceRegistered {
			/// Its number.
			device: DeviceId,
			/// Where it stands.
			site: SiteId,
			/// The account it signs with.
			account: T::AccountId,
		},
		/// A device bound its libp2p identity and may take part.
		DeviceActivated {
			/// The device.
			device: DeviceId,
			/// The libp2p key.
			network_key: NetworkKey,
		},
		/// A device is gone for good.
		DeviceRetired {
			/// The device.
			device: DeviceId,
		},
	}

	#[pallet::error]
	pub enum Error<T> {
		/// A site needs a name: give one of 1 to 64 bytes.
		EmptyName,
		/// There is no site of this number: look it up in the `SiteRegistered` event of its registration.
		UnknownSite,
		/// Only the site's owner may do this: sign with the owner's account.
		NotSiteOwner,
		/// The site has as many devices in service as one may have: retire one, or register another site.
		TooManyDevices,
		/// The account already signs for a device: use another account, or retire that device first.
		AccountInUse,
		/// There is no device of this number: look it up in the `DeviceRegistered` event of its registration.
		UnknownDevice,
		/// This account signs for no device: let a site's owner register one with it first.
		NotADevice,
		/// The device is suspended and cannot bind a key: wait until it is reinstated, or retire it.
		NotActivatable,
		/// The libp2p key did not sign that it belongs to this account on this chain: sign
		/// `network_key_message(genesis hash, account)` with it.
		BadNetworkKeyProof,
		/// The libp2p key belongs to another device: generate a new one.
		NetworkKeyInUse,
		/// The device is already retired; nothing is left to do.
		AlreadyRetired,
		/// No further number is left for a new entry.
		RegistryFull,
	}

	#[pallet::hooks]
	impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
		#[cfg(feature = "try-runtime")]
		fn try_state(_: BlockNumberFor<T>) -> Result<(), sp_runtime::TryRuntimeError> {
			Self::do_try_state()
		}
	}

	#[pallet::call(weight(<T as Config>::WeightInfo))]
	impl<T: Config> Pallet<T> {
		/// Registers a site that the caller keeps.
		///
		/// - **Origin**: signed.
		/// - **Deposit**: `SiteDeposit`, held for good.
		/// - **Event**: [`Event::SiteRegistered`].
		#[pallet::call_index(0)]
		pub fn register_site(
			origin: OriginFor<T>,
			name: SiteName,
			region: Region,
			energy: EnergySource,
		) -> DispatchResult {
			let owner = ensure_signed(origin)?;
			ensure!(!name.is_empty(), Error::<T>::EmptyName);
			let site = SiteCount::<T>::get();
			SiteCount::<T>::put(site.checked_add(1).ok_or(Error::<T>::RegistryFull)?);
			T::Currency::hold(&HoldReason::RegistryDeposit.into(), &owner, T::SiteDeposit::get())?;
			Sites::<T>::insert(site, Site { owner: owner.clone(), name, region, energy, devices: 0 });
			Self::deposit_event(Event::SiteRegistered { site, owner });
			Ok(())
		}

		/// Registers a device at one of the caller's sites. It takes part once its own key has called
		/// [`Pallet::activate_device`].
		///
		/// - **Origin**: signed by the site's owner.
		/// - **Deposit**: `DeviceDeposit`, held from the owner for good.
		/// - **Event**: [`Event::DeviceRegistered`].
		#[pallet::call_index(1)]
		pub fn register_device(
			origin: OriginFor<T>,
			site: SiteId,
			account: T::AccountId,
			class: DeviceClass,
			memory_mib: u32,
		) -> DispatchResult {
			let owner = ensure_signed(origin)?;
			ensure!(!DeviceOf::<T>::contains_key(&account), Error::<T>::AccountInUse);
			Sites::<T>::try_mutate(site, |entry| -> DispatchResult {
				let entry = entry.as_mut().ok_or(Error::<T>::UnknownSite)?;
				ensure!(entry.owner == owner, Error::<T>::NotSiteOwner);
				ensure!(entry.devices < T::MaxDevicesPerSite::get(), Error::<T>::TooManyDevices);
				entry.devices = entry.devices.saturating_add(1);
				Ok(())
			})?;
			let device = DeviceCount::<T>::get();
			DeviceCount::<T>::put(device.checked_add(1).ok_or(Error::<T>::RegistryFull)?);
			T::Currency::hold(&HoldReason::RegistryDeposit.into(), &owner, T::DeviceDeposit::get())?;
			DeviceOf::<T>::insert(&account, device);
			Devices::<T>::insert(
				device,
				Device {
					site,
					account: account.clone(),
					class,
					memory_mib,
					state: DeviceState::Registered,
					network_key: None,
				},
			);
			Self::deposit_event(Event::DeviceRegistered { device, site, account });
			Ok(())
		}

		/// Binds the libp2p identity that the device shows to other workers, or replaces it.
		///
		/// `proof` is an ed25519 signature of [`cairn_primitives::network_key_message`] over the genesis hash and the
		/// calling account, made with the libp2p key.
		///
		/// - **Origin**: signed by the device's account.
		/// - **Event**: [`Event::DeviceActivated`].
		#[pallet::call_index(2)]
		pub fn activate_device(
			origin: OriginFor<T>,
			network_key: NetworkKey,
			proof: [u8; 64],
		) -> DispatchResult {
			let account = ensure_signed(origin)?;
			let id = DeviceOf::<T>::get(&account).ok_or(Error::<T>::NotADevice)?;
			let mut device = Devices::<T>::get(id).ok_or(Error::<T>::UnknownDevice)?;
			ensure!(
				matches!(device.state, DeviceState::Registered | DeviceState::Attested | DeviceState::Active),
				Error::<T>::NotActivatable
			);
			let genesis = frame_system::Pallet::<T>::block_hash(BlockNumberFor::<T>::zero());
			let message = cairn_primitives::network_key_message(&genesis, account.as_ref());
			ensure!(
				sp_io::crypto::ed25519_verify(&proof.into(), &message, &network_key.into()),
				Error::<T>::BadNetworkKeyProof
			);
			ensure!(
				DeviceOfNetworkKey::<T>::get(network_key).is_none_or(|other| other == id),
				Error::<T>::NetworkKeyInUse
			);
			if let Some(old) = device.network_key.replace(network_key) {
				DeviceOfNetworkKey::<T>::remove(old);
			}
			DeviceOfNetworkKey::<T>::insert(network_key, id);
			device.state = DeviceState::Active;
			Devices::<T>::insert(id, device);
			Self::deposit_event(Event::DeviceActivated { device: id, network_key });
			Ok(())
		}

		/// Ends a device for good. Its account and libp2p key are free again; its entry stays, because records name
		/// it, and so does the deposit.
		///
		/// The device's account may do this too, so that nobody can keep an account occupied against its holder's will
		/// by registering it.
		///
		/// - **Origin**: signed by the site's owner or by the device's account.
		/// - **Event**: [`Event::DeviceRetired`].
		#[pallet::call_index(3)]
		pub fn retire_device(origin: OriginFor<T>, device: DeviceId) -> DispatchResult {
			let who = ensure_signed(origin)?;
			let mut entry = Devices::<T>::get(device).ok_or(Error::<T>::UnknownDevice)?;
			ensure!(entry.state != DeviceState::Retired, Error::<T>::AlreadyRetired);
			Sites::<T>::try_mutate(entry.site, |site| -> DispatchResult {
				let site = site.as_mut().ok_or(Error::<T>::UnknownSite)?;
				ensure!(who == site.owner || who == entry.account, Error::<T>::NotSiteOwner);
				site.devices = site.devices.saturating_sub(1);
				Ok(())
			})?;
			DeviceOf::<T>::remove(&entry.account);
			if let Some(key) = entry.network_key.take() {
				DeviceOfNetworkKey::<T>::remove(key);
			}
			entry.state = DeviceState::Retired;
			Devices::<T>::insert(device, entry);
			Self::deposit_event(Event::DeviceRetired { device });
			Ok(())
		}
	}
}

impl<T: Config> Pallet<T> {
	/// The device that `account` signs for, if it may take part now.
	pub fn active_device(account: &T::AccountId) -> Option<DeviceId> {
		let id = DeviceOf::<T>::get(account)?;
		Devices::<T>::get(id).filter(|d| d.state == DeviceState::Active).map(|_| id)
	}

	/// A device, as clients see it.
	pub fn device_info(id: DeviceId) -> Option<DeviceInfo<T::AccountId>> {
		Devices::<T>::get(id).map(|d| DeviceInfo {
			id,
			site: d.site,
			account: d.account,
			class: d.class,
			memory_mib: d.memory_mib,
			state: d.state,
			network_key: d.network_key,
		})
	}
}
