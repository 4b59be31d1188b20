#![doc = include_str!("../README.md")]
#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

#[cfg(feature = "runtime-benchmarks")]
mod benchmarking;
pub mod charter;
#[cfg(test)]
mod mock;
#[cfg(test)]
mod tests;
mod try_state;
mod validators;
pub mod weights;

use alloc::{boxed::Box, vec::Vec};
use cairn_primitives::{views::CharterInfo, DeviceId, ProgrammeId, Settings};
use frame_support::{pallet_prelude::*, traits::Contains};
use frame_system::pallet_prelude::*;
use pallet_training::{BalanceOf, PolicyBreach};

pub use charter::Charter;
pub use pallet::*;
pub use weights::WeightInfo;

type Training<T> = pallet_training::Pallet<T>;

#[frame_support::pallet]
pub mod pallet {
	use super::*;

	const STORAGE_VERSION: StorageVersion = StorageVersion::new(1);

	#[pallet::pallet]
	#[pallet::storage_version(STORAGE_VERSION)]
	pub struct Pallet<T>(_);

	#[pallet::config]
	pub trait Config:
		frame_system::Config<RuntimeEvent: From<Event<Self>>>
		+ pallet_session::Config<ValidatorId = <Self as frame_system::Config>::AccountId>
		+ pallet_training::Config
	{
		/// Who decides about programmes.
		type ProgrammeOrigin: EnsureOrigin<Self::RuntimeOrigin>;
		/// Who decides about the charter.
		type PolicyOrigin: EnsureOrigin<Self::RuntimeOrigin>;
		/// Who may pause a programme, and do nothing else here.
		type SafetyOrigin: EnsureOrigin<Self::RuntimeOrigin>;
		/// Who decides about validators.
		type ValidatorOrigin: EnsureOrigin<Self::RuntimeOrigin>;
		/// Devices with valid evidence of what they are.
		type Evidence: Contains<DeviceId>;
		/// The least validators there may be.
		#[pallet::constant]
		type MinValidators: Get<u32>;
		/// The most validators there can be.
		#[pallet::constant]
		type MaxValidators: Get<u32>;
		/// For how many blocks after its last session a validator can still be called to account: as long as an
		/// equivocation can be reported.
		#[pallet::constant]
		type LiabilityPeriod: Get<BlockNumberFor<Self>>;
		/// The most former validators that are remembered; beyond, those who left first are forgotten.
		#[pallet::constant]
		type MaxFormerValidators: Get<u32>;
		/// What the calls cost.
		type WeightInfo: WeightInfo;
	}

	/// The policies that bind every programme. One bounded value.
	#[pallet::storage]
	pub type CurrentCharter<T> = StorageValue<_, Charter, ValueQuery>;

	/// The validators that were decided on, sorted. One value of at most `MaxValidators` accounts. The session pallet
	/// has those at work.
	#[pallet::storage]
	pub type Validators<T: Config> = StorageValue<_, BoundedVec<T::AccountId, T::MaxValidators>, ValueQuery>;

	/// The validators that left, with the last block at which they can still be called to account; in the order in which
	/// they left. One value of at most `MaxFormerValidators` accounts, whose period has not passed when another leaves.
	#[pallet::storage]
	pub type FormerValidators<T: Config> =
		StorageValue<_, BoundedVec<(T::AccountId, BlockNumberFor<T>), T::MaxFormerValidators>, ValueQuery>;

	#[pallet::event]
	#[pallet::generate_deposit(pub(super) fn deposit_event)]
	pub enum Event<T: Config> {
		/// The charter changed. It binds running programmes at their next round.
		CharterSet {
			/// What holds now.
			charter: Charter,
		},
		/// Another set of validators was decided on. It takes over with the session after the next.
		ValidatorsSet {
			/// Who, sorted.
			validators: BoundedVec<T::AccountId, T::MaxValidators>,
		},
	}

	#[pallet::error]
	pub enum Error<T> {
		/// The programme costs participants more privacy over all its rounds than the charter allows, or states no cost:
		/// lower `epsilon_per_round` or `rounds`.
		PrivacyCeilingExceeded,
		/// The charter does not list the model's licence: choose one that it lists.
		LicenceNotAllowed,
		/// The charter does not list this kind of data.
		DataCategoryNotAllowed,
		/// The charter does not list this aggregation rule: choose one that it lists.
		RuleNotAllowed,
		/// The committee is smaller than the charter asks for: give it more seats.
		CommitteeTooSmall,
		/// A window of the schedule is shorter or longer than the charter allows.
		WindowNotAllowed,
		/// The cap on a site's share must be from 1 to 100 per cent.
		SiteCapOutOfBounds,
		/// A licence or a category in the charter is empty or not printable ASCII without spaces.
		MalformedLabel,
		/// The charter's shortest windows are longer than its longest ones, or shorter than a round can have.
		WindowsOutOfOrder,
		/// The charter asks for more seats than a committee can have.
		CommitteeOutOfBounds,
		/// Fewer validators than `MinValidators`: name more.
		TooFewValidators,
		/// An account is named twice.
		DuplicateValidator,
		/// An account has no session keys: let its operator call `session.setKeys` first.
		ValidatorWithoutKeys,
	}

	/// What the DAO starts with.
	#[pallet::genesis_config]
	#[derive(frame_support::DefaultNoBound)]
	pub struct GenesisConfig<T: Config> {
		/// The charter. What is left out of it binds nothing.
		pub charter: CharterInfo,
		#[serde(skip)]
		#[doc(hidden)]
		pub _config: core::marker::PhantomData<T>,
	}

	#[pallet::genesis_build]
	impl<T: Config> BuildGenesisConfig for GenesisConfig<T> {
		fn build(&self) {
			// A chain must not start from a genesis that is not what its author wrote.
			let charter = Charter::try_from(&self.charter)
				.unwrap_or_else(|problem| panic!("`charter` in the genesis configuration: {problem}"));
			if let Err(problem) = Pallet::<T>::check_charter(&charter) {
				panic!("`charter` in the genesis configuration: {problem:?}");
			}
			CurrentCharter::<T>::put(charter);
			// Training's genesis may have been built before.
			for id in Training::<T>::programme_ids() {
				let Some(programme) = pallet_training::Programmes::<T>::get(id) else { continue };
				if let Err(problem) = <Pallet<T> as pallet_training::Policy<_>>::may_open(&programme.settings)
				{
					panic!("programme {id} in the genesis configuration breaks the charter: {problem:?}");
				}
			}
		}
	}

	#[pallet::hooks]
	impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
		fn integrity_test() {
			assert!(
				0 < T::MinValidators::get() && T::MinValidators::get() <= T::MaxValidators::get(),
				"a chain needs a validator, and no more than there can be"
			);
		}

		#[cfg(feature = "try-runtime")]
		fn try_state(_: BlockNumberFor<T>) -> Result<(), sp_runtime::TryRuntimeError> {
			Self::do_try_state()
		}
	}

	#[pallet::call]
	impl<T: Config> Pallet<T> {
		/// Replaces the charter. It binds new programmes and amendments at once, and running programmes at their next
		/// round: a programme that breaks it then is barred until one of the two is amended.
		///
		/// - **Origin**: `PolicyOrigin`.
		/// - **Errors**: [`Error::SiteCapOutOfBounds`], [`Error::MalformedLabel`], [`Error::WindowsOutOfOrder`],
		///   [`Error::CommitteeOutOfBounds`].
		/// - **Event**: [`Event::CharterSet`].
		#[pallet::call_index(0)]
		#[pallet::weight(<T as Config>::WeightInfo::set_charter())]
		pub fn set_charter(origin: OriginFor<T>, charter: Box<Charter>) -> DispatchResult {
			T::PolicyOrigin::ensure_origin(origin)?;
			Self::check_charter(&charter)?;
			CurrentCharter::<T>::put(&*charter);
			Self::deposit_event(Event::CharterSet { charter: *charter });
			Ok(())
		}

		/// Opens a programme. Its first round opens as soon as its pot pays for one and somebody calls
		/// `training.advance`.
		///
		/// - **Origin**: `ProgrammeOrigin`.
		/// - **Errors**: `training.SettingOutOfBounds`; [`Error::PrivacyCeilingExceeded`], [`Error::LicenceNotAllowed`],
		///   [`Error::DataCategoryNotAllowed`], [`Error::RuleNotAllowed`], [`Error::CommitteeTooSmall`],
		///   [`Error::WindowNotAllowed`].
		/// - **Event**: `training.ProgrammeOpened`.
		#[pallet::call_index(1)]
		#[pallet::weight(<T as Config>::WeightInfo::open_programme())]
		pub fn open_programme(origin: OriginFor<T>, settings: Box<Settings<BalanceOf<T>>>) -> DispatchResult {
			T::ProgrammeOrigin::ensure_origin(origin)?;
			Training::<T>::open(*settings).map(|_| ())
		}

		/// Amends a programme from its next round on. Name, configuration, genesis weights, licence, data category and
		/// privacy cost per round are fixed. Amending to what holds already withdraws an amendment that waits.
		///
		/// - **Origin**: `ProgrammeOrigin`.
		/// - **Errors**: as [`Pallet::open_programme`]; `training.UnknownProgramme`, `training.ProgrammeCompleted`,
		///   `training.ProgrammeClosed`, `training.SettingFixed`.
		/// - **Event**: `training.ProgrammeAmended`.
		#[pallet::call_index(2)]
		#[pallet::weight(<T as Config>::WeightInfo::amend_programme())]
		pub fn amend_programme(
			origin: OriginFor<T>,
			programme: ProgrammeId,
			settings: Box<Settings<BalanceOf<T>>>,
		) -> DispatchResult {
			T::ProgrammeOrigin::ensure_origin(origin)?;
			Training::<T>::amend(programme, *settings)
		}

		/// Stops a programme within this block: its running round takes nothing more and its windows stand still.
		///
		/// - **Origin**: `SafetyOrigin` or `ProgrammeOrigin`.
		/// - **Errors**: `training.UnknownProgramme`, `training.ProgrammeCompleted`, `training.ProgrammeClosed`,
		///   `training.ProgrammePaused`.
		/// - **Event**: `training.ProgrammePaused`.
		#[pallet::call_index(3)]
		#[pallet::weight(<T as Config>::WeightInfo::pause_programme())]
		pub fn pause_programme(origin: OriginFor<T>, programme: ProgrammeId) -> DispatchResult {
			if let Err(origin) = T::SafetyOrigin::try_origin(origin) {
				T::ProgrammeOrigin::ensure_origin(origin)?;
			}
			Training::<T>::pause(programme)
		}

		/// Lets a paused programme go on where it stopped, with as many blocks left in its window as then.
		///
		/// - **Origin**: `ProgrammeOrigin`.
		/// - **Errors**: `training.UnknownProgramme`, `training.ProgrammeNotPaused`.
		/// - **Event**: `training.ProgrammeResumed`.
		#[pallet::call_index(4)]
		#[pallet::weight(<T as Config>::WeightInfo::resume_programme())]
		pub fn resume_programme(origin: OriginFor<T>, programme: ProgrammeId) -> DispatchResult {
			T::ProgrammeOrigin::ensure_origin(origin)?;
			Training::<T>::resume(programme)
		}

		/// Ends a programme for good. Its running round fails without fault to anybody; what was earned stays claimable
		/// and what the pot has left is refunded.
		///
		/// - **Origin**: `ProgrammeOrigin`.
		/// - **Errors**: `training.UnknownProgramme`, `training.ProgrammeCompleted`, `training.ProgrammeClosed`.
		/// - **Event**: `training.ProgrammeClosed`.
		#[pallet::call_index(5)]
		#[pallet::weight(
			<T as Config>::WeightInfo::close_programme().saturating_add(
				<<T as pallet_training::Config>::WeightInfo as pallet_training::WeightInfo>::settle(
					<T as pallet_training::Config>::MaxUpdates::get(),
					<T as pallet_training::Config>::MaxCommittee::get(),
				)
			)
		)]
		pub fn close_programme(origin: OriginFor<T>, programme: ProgrammeId) -> DispatchResult {
			T::ProgrammeOrigin::ensure_origin(origin)?;
			Training::<T>::close(programme)
		}

		/// Decides on another set of validators. It takes over by the rotation of sessions, with the session after the
		/// next; GRANDPA's authorities change with it and are never forced.
		///
		/// - **Origin**: `ValidatorOrigin`.
		/// - **Errors**: [`Error::TooFewValidators`], [`Error::DuplicateValidator`], [`Error::ValidatorWithoutKeys`].
		/// - **Event**: [`Event::ValidatorsSet`].
		#[pallet::call_index(6)]
		#[pallet::weight(<T as Config>::WeightInfo::set_validators(validators.len() as u32))]
		pub fn set_validators(
			origin: OriginFor<T>,
			validators: BoundedVec<T::AccountId, T::MaxValidators>,
		) -> DispatchResult {
			T::ValidatorOrigin::ensure_origin(origin)?;
			Self::decide_validators(validators)
		}
	}
}

impl<T: Config> Pallet<T> {
	/// The charter, as clients see it.
	pub fn charter_info() -> CharterInfo {
		CharterInfo::from(&CurrentCharter::<T>::get())
	}

	/// Whether an account is a validator, or was one so short ago that it can still be called to account. Its bond must
	/// stay until then.
	pub fn is_liable(account: &T::AccountId) -> bool {
		let now = frame_system::Pallet::<T>::block_number();
		pallet_session::Validators::<T>::get().iter().any(|v| v == account)
			|| FormerValidators::<T>::get().iter().any(|(former, until)| former == account && now <= *until)
	}

	/// The validators that were decided on, sorted.
	pub fn validators() -> Vec<T::AccountId> {
		Validators::<T>::get().into_inner()
	}
}

impl<T> From<PolicyBreach> for Error<T> {
	fn from(breach: PolicyBreach) -> Self {
		match breach {
			PolicyBreach::Privacy => Self::PrivacyCeilingExceeded,
			PolicyBreach::Licence => Self::LicenceNotAllowed,
			PolicyBreach::DataCategory => Self::DataCategoryNotAllowed,
			PolicyBreach::Rule => Self::RuleNotAllowed,
			PolicyBreach::CommitteeSize => Self::CommitteeTooSmall,
			PolicyBreach::Window => Self::WindowNotAllowed,
		}
	}
}
