#![doc = include_str!("../README.md")]
#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

#[cfg(feature = "runtime-benchmarks")]
mod benchmarking;
mod devices;
pub mod evidence;
#[cfg(test)]
mod mock;
mod recheck;
mod sites;
#[cfg(test)]
mod tests;
mod try_state;
pub mod types;
mod view;
pub mod weights;

use cairn_primitives::{
	hardware::{EvidenceKind, Measurement, Speed},
	DeviceClass, DeviceId, DeviceState, EnergySource, SiteId, H256,
};
use frame_support::{
	dispatch::{DispatchResultWithPostInfo, PostDispatchInfo},
	pallet_prelude::*,
	traits::{
		fungible::{Inspect, MutateHold},
		Randomness, UnixTime,
	},
};
use frame_system::pallet_prelude::*;
use sp_core::crypto::AccountId32;
use sp_runtime::{traits::Zero, Saturating};

pub use evidence::{Backing, Verdict};
pub use pallet::*;
pub use recheck::RECHECK_SHARE;
pub use types::*;
pub use weights::WeightInfo;

/// Amounts of the native token.
pub type BalanceOf<T> = <<T as Config>::Currency as Inspect<<T as frame_system::Config>::AccountId>>::Balance;
/// A site, as this chain stores it.
pub type SiteEntry<T> = Site<<T as frame_system::Config>::AccountId, BalanceOf<T>>;
/// A device, as this chain stores it.
pub type DeviceEntry<T> = Device<<T as frame_system::Config>::AccountId, BalanceOf<T>, BlockNumberFor<T>>;
type ChallengeOf<T> =
	Challenge<<T as frame_system::Config>::AccountId, BlockNumberFor<T>, <T as Config>::MaxAttesters>;
type AttesterSetOf<T> = AttesterSet<<T as frame_system::Config>::AccountId, <T as Config>::MaxAttesters>;

/// What a call that brings the registry on answers: its caller pays no fee.
const FREE: DispatchResultWithPostInfo = Ok(PostDispatchInfo { actual_weight: None, pays_fee: Pays::No });

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
		/// Who names the attesters, and suspends and reinstates devices.
		type RegistryOrigin: EnsureOrigin<Self::RuntimeOrigin>;
		/// What re-checks are drawn with: one value for a whole epoch, not known before the epoch in front of it ends;
		/// the block that comes with it tells the epochs apart.
		type EpochRandomness: Randomness<H256, BlockNumberFor<Self>>;
		/// The chain's time, which bounds how long a benchmark took.
		type Clock: UnixTime;
		/// Held from a site's owner for the site's entry.
		#[pallet::constant]
		type SiteDeposit: Get<BalanceOf<Self>>;
		/// Held from a site's owner for each device's entry.
		#[pallet::constant]
		type DeviceDeposit: Get<BalanceOf<Self>>;
		/// The most devices in service that one site may have.
		#[pallet::constant]
		type MaxDevicesPerSite: Get<u32>;
		/// The most attesters there can be.
		#[pallet::constant]
		type MaxAttesters: Get<u32>;
		/// Blocks after a request in which the device can deliver its measurement.
		#[pallet::constant]
		type MeasurementWindow: Get<BlockNumberFor<Self>>;
		/// Blocks after a measurement in which attesters can state what they found.
		#[pallet::constant]
		type StatementWindow: Get<BlockNumberFor<Self>>;
		/// Blocks for which evidence is valid.
		#[pallet::constant]
		type EvidencePeriod: Get<BlockNumberFor<Self>>;
		/// Blocks in which a device that was drawn for a re-check needs new evidence.
		#[pallet::constant]
		type RecheckWindow: Get<BlockNumberFor<Self>>;
		/// The most numbers that are drawn for re-checks in an epoch.
		#[pallet::constant]
		type MaxRechecks: Get<u32>;
		/// The speed from which on a device is asked for as many local steps as a programme allows.
		#[pallet::constant]
		type ReferenceSpeed: Get<Speed>;
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
	pub type Sites<T: Config> = StorageMap<_, Twox64Concat, SiteId, SiteEntry<T>>;

	/// Who may take a site over. Twox64Concat: the chain makes the numbers. At most one per site.
	#[pallet::storage]
	pub type SiteOffers<T: Config> = StorageMap<_, Twox64Concat, SiteId, T::AccountId>;

	/// The devices. Twox64Concat: the chain makes the numbers. Each entry is paid for by a deposit.
	#[pallet::storage]
	pub type Devices<T: Config> = StorageMap<_, Twox64Concat, DeviceId, DeviceEntry<T>>;

	/// Which site may take a device over. Twox64Concat: the chain makes the numbers. At most one per device.
	#[pallet::storage]
	pub type DeviceOffers<T: Config> = StorageMap<_, Twox64Concat, DeviceId, DeviceOffer<T::AccountId>>;

	/// The device that an account signs for. Blake2_128Concat: users choose accounts. At most one per device.
	#[pallet::storage]
	pub type DeviceOf<T: Config> = StorageMap<_, Blake2_128Concat, T::AccountId, DeviceId>;

	/// The device that a libp2p key belongs to. Blake2_128Concat: users choose keys. At most one per device.
	#[pallet::storage]
	pub type DeviceOfNetworkKey<T> = StorageMap<_, Blake2_128Concat, NetworkKey, DeviceId>;

	/// Who attests.
	#[pallet::storage]
	pub type Attesters<T: Config> = StorageValue<_, AttesterSetOf<T>, ValueQuery>;

	/// Requests for attestation that are undecided, their windows perhaps over. Twox64Concat: the chain makes the
	/// numbers. At most one per device, replaced by its next request.
	#[pallet::storage]
	pub type Challenges<T: Config> = StorageMap<_, Twox64Concat, DeviceId, ChallengeOf<T>>;

	/// The epoch that was last drawn for, by the block that its randomness names, and how many devices there were then:
	/// the next draw picks from those.
	#[pallet::storage]
	pub type LastRecheck<T: Config> = StorageValue<_, (BlockNumberFor<T>, u32)>;

	#[pallet::genesis_config]
	#[derive(frame_support::DefaultNoBound)]
	pub struct GenesisConfig<T: Config> {
		/// The attesters; none, and nothing can be attested until governance names some.
		pub attesters: alloc::vec::Vec<T::AccountId>,
		/// How many of them must agree: more than half.
		pub attester_threshold: u32,
	}

	#[pallet::genesis_build]
	impl<T: Config> BuildGenesisConfig for GenesisConfig<T> {
		fn build(&self) {
			let members = BoundedVec::try_from(self.attesters.clone())
				.expect("genesis names no more attesters than MaxAttesters");
			Pallet::<T>::do_set_attesters(members, self.attester_threshold)
				.expect("genesis names different attesters, and a threshold of more than half of them");
		}
	}

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
		/// A site is described anew.
		SiteUpdated {
			/// The site.
			site: SiteId,
			/// Where it stands.
			region: Region,
			/// What powers it.
			energy: EnergySource,
		},
		/// A site's owner lets another account take it over, or nobody any more.
		SiteOffered {
			/// The site.
			site: SiteId,
			/// Who may take it.
			to: Option<T::AccountId>,
		},
		/// A site has another owner.
		SiteTransferred {
			/// The site.
			site: SiteId,
			/// Who kept it.
			from: T::AccountId,
			/// Who keeps it.
			to: T::AccountId,
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
		/// A device is described anew.
		DeviceDescribed {
			/// The device.
			device: DeviceId,
			/// The BLAKE3-256 hash of the software image it runs.
			image: Option<H256>,
		},
		/// A device bound its libp2p identity and may take part.
		DeviceActivated {
			/// The device.
			device: DeviceId,
			/// The libp2p key.
			network_key: NetworkKey,
		},
		/// A device signs with another account. It is active again once that has bound a libp2p key.
		AccountRotated {
			/// The device.
			device: DeviceId,
			/// The account it signed with.
			old: T::AccountId,
			/// The account it signs with.
			new: T::AccountId,
		},
		/// A site's owner lets another site take a device over, or none any more.
		DeviceOffered {
			/// The device.
			device: DeviceId,
			/// Which site may take it.
			to: Option<SiteId>,
		},
		/// A device moved to another site.
		DeviceTransferred {
			/// The device.
			device: DeviceId,
			/// Where it stood.
			from: SiteId,
			/// Where it stands.
			to: SiteId,
		},
		/// A device may not take part for now.
		DeviceSuspended {
			/// The device.
			device: DeviceId,
			/// Why.
			suspension: Suspension,
		},
		/// A suspended device is back.
		DeviceReinstated {
			/// The device.
			device: DeviceId,
			/// Where it stands in its life now.
			state: DeviceState,
		},
		/// A device is gone for good.
		DeviceRetired {
			/// The device.
			device: DeviceId,
		},
		/// There are other attesters.
		AttestersSet {
			/// The attesters, ascending.
			members: BoundedVec<T::AccountId, T::MaxAttesters>,
			/// How many of them must agree.
			threshold: u32,
		},
		/// A device asked to be attested. The hash of this block makes the benchmark's seed.
		AttestationRequested {
			/// The device.
			device: DeviceId,
			/// The last block at which it can deliver its measurement.
			submit_by: BlockNumberFor<T>,
		},
		/// A device delivered its measurement.
		MeasurementSubmitted {
			/// The device.
			device: DeviceId,
			/// The seed of the benchmark.
			nonce: H256,
			/// The speed it claims.
			speed: Speed,
			/// The last block at which attesters can state what they found.
			state_by: BlockNumberFor<T>,
		},
		/// An attester stated what it found.
		StatementMade {
			/// The device.
			device: DeviceId,
			/// The attester.
			attester: T::AccountId,
			/// The speed it vouches for; `None` when it found the measurement to be false.
			speed: Option<Speed>,
		},
		/// A device has evidence of what it can do.
		EvidenceAccepted {
			/// The device.
			device: DeviceId,
			/// What backs it.
			kind: EvidenceKind,
			/// The speed it shows.
			speed: Option<Speed>,
			/// The last block at which it is valid.
			expires: BlockNumberFor<T>,
		},
		/// A request for attestation came to nothing.
		EvidenceRefused {
			/// The device.
			device: DeviceId,
			/// Whether attesters found the measurement to be false; otherwise they did not agree.
			rejected: bool,
		},
		/// A device has lost its evidence.
		EvidenceVoided {
			/// The device.
			device: DeviceId,
		},
		/// A device was drawn for a re-check.
		RecheckOrdered {
			/// The device.
			device: DeviceId,
			/// The last block at which new evidence replaces the old.
			due: BlockNumberFor<T>,
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
		/// The device is suspended: after a failed re-check, request attestation and pass it; when the registry ordered
		/// it, wait until it is reinstated, or retire it.
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
		/// Nobody offered this to you, or the offer was withdrawn or made by a former owner: let the present owner offer
		/// it.
		NotOffered,
		/// The new account did not sign that it takes over: sign
		/// `account_rotation_message(genesis hash, device, old account, new account)` with its sr25519 key.
		BadAccountProof,
		/// Attesters must differ from each other, and the threshold must be more than half of them and at most all;
		/// none at all have the threshold 0.
		BadAttesters,
		/// There are no attesters, so nobody could answer: wait until governance names some.
		NoAttesters,
		/// Only attesters state what they found: see `Attesters`.
		NotAnAttester,
		/// An attester does not judge its own device or one at its own site: leave it to the others.
		OwnDevice,
		/// It is too soon: for a request, until the windows of the one before are over; for a draw, until the next
		/// epoch; to expire a re-check, until the time to answer it is over.
		TooSoon,
		/// The device has no open request with this nonce: read `HardwareApi.open_challenge` at a finalised block.
		NoChallenge,
		/// The time for this is over: the device has to request attestation again.
		WindowClosed,
		/// The speed is zero, above what the device claims, or more than four times what the chain's clock allows: measure
		/// each part of the benchmark for at least a quarter of the time between nonce and answer.
		ImplausibleMeasurement,
		/// This was delivered or stated already; it cannot be changed.
		AlreadyStated,
		/// The device is not suspended; nothing is left to do.
		NotSuspended,
	}

	#[pallet::hooks]
	impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
		fn integrity_test() {
			let answer = T::MeasurementWindow::get().saturating_add(T::StatementWindow::get());
			assert!(!T::MeasurementWindow::get().is_zero(), "no block to deliver a measurement in");
			assert!(
				T::BlockHashCount::get() > T::MeasurementWindow::get(),
				"a block's hash must be known for as long as it makes a nonce"
			);
			assert!(
				T::RecheckWindow::get() >= answer.saturating_add(answer),
				"a device must be able to answer a re-check after a request it has just made"
			);
			assert!(T::EvidencePeriod::get() > answer, "evidence would expire before it can be renewed");
			assert!(T::MaxAttesters::get() > 0 && T::MaxRechecks::get() > 0);
		}

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
			Self::do_register_site(ensure_signed(origin)?, name, region, energy)
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
			Self::do_register_device(ensure_signed(origin)?, site, account, class, memory_mib)
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
			Self::do_activate_device(ensure_signed(origin)?, network_key, proof)
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
			Self::do_retire_device(ensure_signed(origin)?, device)
		}

		/// Describes a site anew.
		///
		/// - **Origin**: signed by the site's owner.
		/// - **Event**: [`Event::SiteUpdated`].
		#[pallet::call_index(4)]
		pub fn update_site(
			origin: OriginFor<T>,
			site: SiteId,
			name: SiteName,
			region: Region,
			energy: EnergySource,
		) -> DispatchResult {
			Self::do_update_site(ensure_signed(origin)?, site, name, region, energy)
		}

		/// Lets the account `to` take the site over with everything at it; with `None`, nobody.
		///
		/// - **Origin**: signed by the site's owner.
		/// - **Event**: [`Event::SiteOffered`].
		#[pallet::call_index(5)]
		pub fn offer_site(origin: OriginFor<T>, site: SiteId, to: Option<T::AccountId>) -> DispatchResult {
			Self::do_offer_site(ensure_signed(origin)?, site, to)
		}

		/// Takes over a site that was offered to the caller. Offers of its devices that the former owner made are void.
		///
		/// - **Origin**: signed by the account it was offered to.
		/// - **Deposit**: all that is held for the site and its devices, now from the caller; the former owner gets its
		///   own back.
		/// - **Event**: [`Event::SiteTransferred`].
		#[pallet::call_index(6)]
		pub fn accept_site(origin: OriginFor<T>, site: SiteId) -> DispatchResult {
			Self::do_accept_site(ensure_signed(origin)?, site)
		}

		/// Says what the device is made of and which software image it runs, by the image's BLAKE3-256 hash.
		///
		/// Evidence is about the machine that was measured: with another vendor, model or memory it is void.
		///
		/// - **Origin**: signed by the site's owner or by the device's account.
		/// - **Events**: [`Event::DeviceDescribed`], [`Event::EvidenceVoided`].
		#[pallet::call_index(7)]
		pub fn describe_device(
			origin: OriginFor<T>,
			device: DeviceId,
			vendor: Vendor,
			model: Model,
			memory_mib: u32,
			image: Option<H256>,
		) -> DispatchResult {
			Self::do_describe_device(ensure_signed(origin)?, device, vendor, model, memory_mib, image)
		}

		/// Lets a device sign with the account `new` from now on.
		///
		/// `proof` is an sr25519 signature of [`cairn_primitives::hardware::account_rotation_message`] over the genesis
		/// hash, the device, its present account and `new`, made with the key of `new`. The libp2p key has to be bound
		/// again. Evidence stays when the device's own key does this, and is void when the site's owner does.
		///
		/// - **Origin**: signed by the device's account, or by the site's owner, for a key that was lost.
		/// - **Events**: [`Event::AccountRotated`], [`Event::EvidenceVoided`].
		#[pallet::call_index(8)]
		pub fn rotate_account(
			origin: OriginFor<T>,
			device: DeviceId,
			new: T::AccountId,
			proof: [u8; 64],
		) -> DispatchResult {
			Self::do_rotate_account(ensure_signed(origin)?, device, new, proof)
		}

		/// Lets the site `to` take a device over; with `None`, none.
		///
		/// - **Origin**: signed by the owner of the site where it stands.
		/// - **Event**: [`Event::DeviceOffered`].
		#[pallet::call_index(9)]
		pub fn offer_device(origin: OriginFor<T>, device: DeviceId, to: Option<SiteId>) -> DispatchResult {
			Self::do_offer_device(ensure_signed(origin)?, device, to)
		}

		/// Takes over a device for the site it was offered to.
		///
		/// - **Origin**: signed by that site's owner.
		/// - **Deposit**: what is held for the device, now from the caller; the former owner gets its own back.
		/// - **Event**: [`Event::DeviceTransferred`].
		#[pallet::call_index(10)]
		pub fn accept_device(origin: OriginFor<T>, device: DeviceId) -> DispatchResult {
			Self::do_accept_device(ensure_signed(origin)?, device)
		}

		/// Bars a device until it is reinstated.
		///
		/// - **Origin**: `RegistryOrigin`.
		/// - **Event**: [`Event::DeviceSuspended`].
		#[pallet::call_index(11)]
		pub fn suspend_device(origin: OriginFor<T>, device: DeviceId) -> DispatchResult {
			T::RegistryOrigin::ensure_origin(origin)?;
			Self::do_suspend_device(device)
		}

		/// Lifts a suspension, whatever its reason.
		///
		/// - **Origin**: `RegistryOrigin`.
		/// - **Event**: [`Event::DeviceReinstated`].
		#[pallet::call_index(12)]
		pub fn reinstate_device(origin: OriginFor<T>, device: DeviceId) -> DispatchResult {
			T::RegistryOrigin::ensure_origin(origin)?;
			Self::do_reinstate_device(device)
		}

		/// Names the attesters, in any order, and how many of them must agree. Statements of those who are none any more
		/// do not count, also where nothing is decided yet.
		///
		/// - **Origin**: `RegistryOrigin`.
		/// - **Event**: [`Event::AttestersSet`].
		#[pallet::call_index(13)]
		#[pallet::weight(<T as Config>::WeightInfo::set_attesters(members.len() as u32))]
		pub fn set_attesters(
			origin: OriginFor<T>,
			members: BoundedVec<T::AccountId, T::MaxAttesters>,
			threshold: u32,
		) -> DispatchResult {
			T::RegistryOrigin::ensure_origin(origin)?;
			Self::do_set_attesters(members, threshold)
		}

		/// Asks for attestation. The seed of the benchmark is known from the next block on, see
		/// `HardwareApi.open_challenge`; the device then has `MeasurementWindow` to run it and to deliver.
		///
		/// - **Origin**: signed by the device's account.
		/// - **Event**: [`Event::AttestationRequested`].
		#[pallet::call_index(14)]
		pub fn request_attestation(origin: OriginFor<T>) -> DispatchResult {
			Self::do_request_attestation(ensure_signed(origin)?)
		}

		/// Delivers what the device measured with the seed `nonce`.
		///
		/// - **Origin**: signed by the device's account.
		/// - **Event**: [`Event::MeasurementSubmitted`].
		#[pallet::call_index(15)]
		pub fn submit_measurement(
			origin: OriginFor<T>,
			nonce: H256,
			measurement: Measurement,
		) -> DispatchResult {
			Self::do_submit_measurement(ensure_signed(origin)?, nonce, measurement)
		}

		/// States what an attester found when it ran the device's benchmark again: the speed it vouches for, at most what
		/// the device claims, or `None` when the digest is another. No fee.
		///
		/// - **Origin**: signed by an attester that neither is the device nor keeps its site.
		/// - **Events**: [`Event::StatementMade`]; with the deciding one [`Event::EvidenceAccepted`], or
		///   [`Event::EvidenceRefused`] and perhaps [`Event::EvidenceVoided`] and [`Event::DeviceSuspended`].
		#[pallet::call_index(16)]
		pub fn attest(
			origin: OriginFor<T>,
			device: DeviceId,
			nonce: H256,
			statement: Option<Speed>,
		) -> DispatchResultWithPostInfo {
			Self::do_attest(ensure_signed(origin)?, device, nonce, statement)?;
			FREE
		}

		/// Draws the devices that have to renew their evidence, once in each epoch. No fee.
		///
		/// - **Origin**: signed.
		/// - **Event**: [`Event::RecheckOrdered`] for each device drawn that has evidence.
		#[pallet::call_index(17)]
		#[pallet::weight(<T as Config>::WeightInfo::recheck(T::MaxRechecks::get()))]
		pub fn recheck(origin: OriginFor<T>) -> DispatchResultWithPostInfo {
			ensure_signed(origin)?;
			let draws = Self::do_recheck()?;
			Ok(PostDispatchInfo {
				actual_weight: Some(<T as Config>::WeightInfo::recheck(draws)),
				pays_fee: Pays::No,
			})
		}

		/// Writes down that the time of a re-check is over. It takes effect without this too; the entry and the events
		/// then say so. No fee.
		///
		/// - **Origin**: signed.
		/// - **Events**: [`Event::EvidenceVoided`]; [`Event::DeviceSuspended`] when the device did not answer.
		#[pallet::call_index(18)]
		pub fn expire_recheck(origin: OriginFor<T>, device: DeviceId) -> DispatchResultWithPostInfo {
			ensure_signed(origin)?;
			Self::do_expire_recheck(device)?;
			FREE
		}
	}
}
