#![doc = include_str!("../README.md")]
#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

#[cfg(feature = "runtime-benchmarks")]
pub mod benchmarking;
#[cfg(test)]
mod mock;
mod offences;
mod pots;
mod slashing;
#[cfg(test)]
mod tests;
mod try_state;
pub mod types;
mod view;
pub mod weights;

use cairn_primitives::{
	views::{BondInfo, PotInfo, RewardInfo, SlashInfo},
	ProgrammeId, SiteId, H256,
};
use frame_support::{
	pallet_prelude::*,
	traits::{
		fungible::{Inspect, InspectHold, Mutate, MutateHold},
		tokens::{Fortitude, Precision, Preservation, Restriction},
		Contains,
	},
	PalletId,
};
use frame_system::pallet_prelude::*;
use sp_runtime::{
	helpers_128bit::multiply_by_rational_with_rounding,
	traits::{AccountIdConversion, Saturating, Zero},
	ArithmeticError, Perbill, Rounding,
};
use sp_staking::SessionIndex;

pub use cairn_primitives::{views::FaultKind, SlashId};
pub use pallet::*;
use pots::share_of;
pub use types::*;
pub use weights::WeightInfo;

/// The native token's amounts are 128 bits wide: shares are computed in this width.
pub type BalanceOf<T> = <<T as Config>::Currency as Inspect<<T as frame_system::Config>::AccountId>>::Balance;
type PotOf<T> = Pot<BalanceOf<T>>;
type SlashOf<T> = Slash<<T as frame_system::Config>::AccountId, BalanceOf<T>, BlockNumberFor<T>>;

#[frame_support::pallet]
pub mod pallet {
	use super::*;

	const STORAGE_VERSION: StorageVersion = StorageVersion::new(1);

	#[pallet::pallet]
	#[pallet::storage_version(STORAGE_VERSION)]
	pub struct Pallet<T>(_);

	#[pallet::config]
	pub trait Config: frame_system::Config<RuntimeEvent: From<Event<Self>>> {
		/// The native token.
		type Currency: Mutate<Self::AccountId>
			+ Inspect<Self::AccountId, Balance = u128>
			+ MutateHold<Self::AccountId, Reason = Self::RuntimeHoldReason>;
		/// The runtime's hold reasons.
		type RuntimeHoldReason: From<HoldReason>;
		/// Pots are accounts derived from this.
		#[pallet::constant]
		type PalletId: Get<PalletId>;
		/// The least that a sponsor gives at once, because each sponsor of a programme takes an entry in state.
		#[pallet::constant]
		type MinContribution: Get<BalanceOf<Self>>;
		/// Where slashes go, and what is left of the pots of closed programmes.
		type Treasury: Get<Self::AccountId>;
		/// Who decides what faults cost.
		type SlashOrigin: EnsureOrigin<Self::RuntimeOrigin>;
		/// Who lifts slashes.
		type VetoOrigin: EnsureOrigin<Self::RuntimeOrigin>;
		/// What faults cost until that is decided otherwise.
		type DefaultSlashFractions: Get<SlashFractions>;
		/// Blocks from the report of a fault to its slash. The accused can appeal within it.
		#[pallet::constant]
		type SlashDeferral: Get<BlockNumberFor<Self>>;
		/// Blocks that an appeal adds: long enough for a vote on a veto.
		#[pallet::constant]
		type AppealPeriod: Get<BlockNumberFor<Self>>;
		/// The most slashes that can wait at once for an account's bond, and as many for its challenge bonds, those of
		/// undecided challenges included.
		#[pallet::constant]
		type MaxPendingSlashes: Get<u32>;
		/// The least bond of an aggregator.
		#[pallet::constant]
		type MinAggregatorBond: Get<BalanceOf<Self>>;
		/// Whose bond must stay as it is: aggregators that are enlisted or serve on a committee, and validators.
		type BondLocked: Contains<Self::AccountId>;
		/// Which programmes exist.
		type Programmes: Contains<ProgrammeId>;
		/// What the calls cost.
		type WeightInfo: WeightInfo;
		/// Makes what benchmarks need.
		#[cfg(feature = "runtime-benchmarks")]
		type BenchmarkHelper: benchmarking::BenchmarkHelper;
	}

	/// Why this pallet holds funds.
	#[pallet::composite_enum]
	pub enum HoldReason {
		/// A bond of an aggregator or a validator.
		Bond,
		/// A bond that a challenge of a round was made with: until the verdict, and after a lost challenge until the
		/// slash.
		ChallengeBond,
	}

	/// What accounts earned. Twox64Concat: the chain makes programme numbers. Blake2_128Concat: users choose accounts.
	/// One entry per account that worked for a programme.
	#[pallet::storage]
	pub type Accounts<T: Config> = StorageDoubleMap<
		_,
		Twox64Concat,
		ProgrammeId,
		Blake2_128Concat,
		T::AccountId,
		Earnings<BalanceOf<T>>,
		ValueQuery,
	>;

	/// The ledgers of the pots. Twox64Concat: the chain makes the numbers. At most one entry per programme.
	#[pallet::storage]
	pub type Pots<T: Config> = StorageMap<_, Twox64Concat, ProgrammeId, PotOf<T>, ValueQuery>;

	/// What sponsors gave. Twox64Concat: the chain makes the numbers. Blake2_128Concat: users choose accounts. One
	/// entry per sponsor of a programme, each worth `MinContribution` at least; removed with the refund.
	#[pallet::storage]
	pub type Contributions<T: Config> =
		StorageDoubleMap<_, Twox64Concat, ProgrammeId, Blake2_128Concat, T::AccountId, BalanceOf<T>>;

	/// What faults cost.
	#[pallet::storage]
	pub type Fractions<T: Config> =
		StorageValue<_, SlashFractions, ValueQuery, <T as Config>::DefaultSlashFractions>;

	/// The number of the next slash.
	#[pallet::storage]
	pub type SlashCount<T> = StorageValue<_, SlashId, ValueQuery>;

	/// The slashes that are neither applied nor vetoed. Twox64Concat: the chain makes the numbers. Twice
	/// `MaxPendingSlashes` per account with a bond at most.
	#[pallet::storage]
	pub type Slashes<T: Config> = StorageMap<_, Twox64Concat, SlashId, SlashOf<T>>;

	/// The same by account and by the hold that pays, with amounts. Blake2_128Concat: users choose accounts.
	/// Twox64Concat: there are two holds. Entries exist while there are slashes.
	#[pallet::storage]
	pub type Pending<T: Config> = StorageDoubleMap<
		_,
		Blake2_128Concat,
		T::AccountId,
		Twox64Concat,
		HoldReason,
		BoundedVec<(SlashId, BalanceOf<T>), T::MaxPendingSlashes>,
		ValueQuery,
	>;

	/// The undecided challenges of each account. Blake2_128Concat: users choose accounts. Each entry is backed by a
	/// challenge bond; removed with the last verdict.
	#[pallet::storage]
	pub type Challenges<T: Config> =
		StorageMap<_, Blake2_128Concat, T::AccountId, OpenChallenges<BalanceOf<T>>, ValueQuery>;

	/// Which validators equivocated in a session, so that none is punished twice for it. Twox64Concat: the chain makes
	/// session numbers. Blake2_128Concat: users choose accounts. One entry per proven offender and session, fewer than
	/// the offences pallet keeps reports.
	#[pallet::storage]
	pub type Equivocations<T: Config> =
		StorageDoubleMap<_, Twox64Concat, SessionIndex, Blake2_128Concat, T::AccountId, ()>;

	#[pallet::event]
	#[pallet::generate_deposit(pub(super) fn deposit_event)]
	pub enum Event<T: Config> {
		/// A bond grew.
		Bonded {
			/// Whose.
			account: T::AccountId,
			/// By how much, in plancks.
			amount: BalanceOf<T>,
		},
		/// A bond shrank.
		Unbonded {
			/// Whose.
			account: T::AccountId,
			/// By how much, in plancks.
			amount: BalanceOf<T>,
		},
		/// A pot was filled.
		Funded {
			/// The programme.
			programme: ProgrammeId,
			/// By whom.
			sponsor: T::AccountId,
			/// How much, in plancks.
			amount: BalanceOf<T>,
		},
		/// Work was rewarded; the shares wait for their owners.
		Accrued {
			/// The programme.
			programme: ProgrammeId,
			/// Points given.
			points: u128,
			/// What the pot owes for them, in plancks.
			amount: BalanceOf<T>,
		},
		/// An account claimed what it was owed.
		Claimed {
			/// The programme.
			programme: ProgrammeId,
			/// Who.
			account: T::AccountId,
			/// How much, in plancks.
			amount: BalanceOf<T>,
		},
		/// Money was found in a pot that no sponsor gave: a treasury spend, a plain transfer, the endowment at genesis.
		TransferCounted {
			/// The programme.
			programme: ProgrammeId,
			/// How much, in plancks.
			amount: BalanceOf<T>,
		},
		/// A programme closed, and with it its pot.
		PotClosed {
			/// The programme.
			programme: ProgrammeId,
			/// What sponsors can take back together, in plancks.
			refundable: BalanceOf<T>,
		},
		/// A sponsor took its part of a closed pot back.
		Refunded {
			/// The programme.
			programme: ProgrammeId,
			/// Who.
			sponsor: T::AccountId,
			/// How much, in plancks.
			amount: BalanceOf<T>,
		},
		/// What nobody else has a right to went from a closed pot to the treasury.
		PotSwept {
			/// The programme.
			programme: ProgrammeId,
			/// How much, in plancks.
			amount: BalanceOf<T>,
		},
		/// A challenge bond was held.
		ChallengeBonded {
			/// Whose.
			account: T::AccountId,
			/// How much, in plancks.
			amount: BalanceOf<T>,
		},
		/// A challenge bond was given back, or the part of it that is not slashed.
		ChallengeReleased {
			/// Whose.
			account: T::AccountId,
			/// How much, in plancks.
			amount: BalanceOf<T>,
		},
		/// A fault was written down.
		FaultReported {
			/// Whose.
			account: T::AccountId,
			/// Which.
			kind: FaultKind,
			/// The hash of the evidence.
			evidence: H256,
			/// The slash that follows; none when there is nothing to take.
			slash: Option<SlashId>,
			/// What it takes, in plancks.
			amount: BalanceOf<T>,
			/// The first block that may apply it.
			due: BlockNumberFor<T>,
		},
		/// The accused appealed: governance may veto the slash.
		SlashAppealed {
			/// The slash.
			slash: SlashId,
			/// The accused.
			account: T::AccountId,
			/// The hash of the reason.
			reason: H256,
			/// The first block that may apply the slash now.
			due: BlockNumberFor<T>,
		},
		/// Governance lifted a slash.
		SlashVetoed {
			/// The slash.
			slash: SlashId,
			/// The accused.
			account: T::AccountId,
			/// What it would have taken, in plancks.
			amount: BalanceOf<T>,
		},
		/// A slash was applied.
		SlashApplied {
			/// The slash.
			slash: SlashId,
			/// Whose bond it took from.
			account: T::AccountId,
			/// How much went to the treasury, in plancks.
			amount: BalanceOf<T>,
		},
		/// What faults cost was decided anew. Slashes that wait already stay as they are.
		SlashFractionsSet {
			/// The new fractions.
			fractions: SlashFractions,
		},
	}

	#[pallet::error]
	pub enum Error<T> {
		/// The amount is zero: name a positive one.
		ZeroAmount,
		/// The bond is smaller than that: ask for at most what is bonded.
		BondTooSmall,
		/// The bond stands behind an aggregator that is enlisted or serves on a committee: delist it and wait until its
		/// rounds are settled.
		BondLocked,
		/// There is no programme of this number.
		UnknownProgramme,
		/// Nothing is owed to this account in this programme: it claimed already, or earned nothing yet.
		NothingToClaim,
		/// The contribution is smaller than `MinContribution`: give at least that.
		ContributionTooSmall,
		/// The programme has closed: its pot takes nothing and earns nobody anything. What was earned can be claimed.
		PotClosed,
		/// The programme has not closed: its pot serves its rounds.
		PotOpen,
		/// This account gave nothing to this programme, or has been refunded.
		NothingToRefund,
		/// All that is left in the pot belongs to those who have not claimed it yet.
		NothingToSweep,
		/// Slashes that wait would take this part of the bond: ask for less, or wait until they are applied or vetoed.
		SlashPending,
		/// As many slashes wait for this account, with its undecided challenges, as there can be: wait until one is
		/// applied or vetoed, or apply one that is due.
		TooManyPendingSlashes,
		/// No slash of this number waits: it was applied or vetoed, or never existed.
		UnknownSlash,
		/// Only the accused can appeal: sign with the account that the slash names.
		NotAccused,
		/// The slash was appealed before: each can be once.
		AlreadyAppealed,
		/// The deferral of the slash is over: only a veto can still lift it.
		AppealWindowClosed,
		/// The slash is deferred: wait for the block that it is due at.
		SlashNotDue,
	}

	#[pallet::hooks]
	impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
		fn integrity_test() {
			assert!(T::MaxPendingSlashes::get() > 0, "a fault needs a slot to be slashed");
			assert!(!T::MinContribution::get().is_zero(), "a sponsor's entry must cost something");
		}

		#[cfg(feature = "try-runtime")]
		fn try_state(_: BlockNumberFor<T>) -> Result<(), sp_runtime::TryRuntimeError> {
			Self::do_try_state()
		}
	}

	#[pallet::call(weight(<T as Config>::WeightInfo))]
	impl<T: Config> Pallet<T> {
		/// Adds to the caller's bond.
		///
		/// - **Origin**: signed.
		/// - **Errors**: `ZeroAmount`, `TooManyPendingSlashes`, and what the currency says without funds.
		/// - **Event**: [`Event::Bonded`].
		#[pallet::call_index(0)]
		pub fn bond(origin: OriginFor<T>, #[pallet::compact] amount: BalanceOf<T>) -> DispatchResult {
			Self::do_bond(ensure_signed(origin)?, amount)
		}

		/// Takes from the caller's bond.
		///
		/// - **Origin**: signed.
		/// - **Errors**: `ZeroAmount`, `BondTooSmall`, `BondLocked`, `SlashPending`.
		/// - **Event**: [`Event::Unbonded`].
		#[pallet::call_index(1)]
		pub fn unbond(origin: OriginFor<T>, #[pallet::compact] amount: BalanceOf<T>) -> DispatchResult {
			Self::do_unbond(ensure_signed(origin)?, amount)
		}

		/// Fills a programme's pot from the caller's funds. What rounds have not spent when the programme closes can be
		/// taken back with [`Pallet::claim_refund`], in proportion to what everybody gave.
		///
		/// - **Origin**: signed.
		/// - **Errors**: `ZeroAmount`, `UnknownProgramme`, `ContributionTooSmall`, `PotClosed`, and what the currency
		///   says without funds.
		/// - **Event**: [`Event::Funded`].
		#[pallet::call_index(2)]
		pub fn fund(
			origin: OriginFor<T>,
			programme: ProgrammeId,
			#[pallet::compact] amount: BalanceOf<T>,
		) -> DispatchResult {
			Self::do_fund(programme, ensure_signed(origin)?, amount)
		}

		/// Pays the caller what a programme owes it. There is no time limit, and closing the programme changes nothing.
		///
		/// - **Origin**: signed by who earned it.
		/// - **Errors**: `NothingToClaim`.
		/// - **Event**: [`Event::Claimed`].
		#[pallet::call_index(3)]
		pub fn claim(origin: OriginFor<T>, programme: ProgrammeId) -> DispatchResult {
			Self::do_claim(programme, ensure_signed(origin)?)
		}

		/// Returns to the caller its part of a closed programme's pot. There is no time limit.
		///
		/// - **Origin**: signed by a sponsor.
		/// - **Errors**: `PotOpen`, `NothingToRefund`.
		/// - **Event**: [`Event::Refunded`].
		#[pallet::call_index(4)]
		pub fn claim_refund(origin: OriginFor<T>, programme: ProgrammeId) -> DispatchResult {
			Self::do_refund(programme, ensure_signed(origin)?)
		}

		/// Sends to the treasury what nobody else has a right to in a closed programme's pot: the treasury's own part,
		/// what arrived later, and, once all is claimed and refunded, what rounding left and the existential deposit.
		///
		/// - **Origin**: signed by anyone.
		/// - **Errors**: `PotOpen`, `NothingToSweep`.
		/// - **Event**: [`Event::PotSwept`].
		#[pallet::call_index(5)]
		pub fn sweep_pot(origin: OriginFor<T>, programme: ProgrammeId) -> DispatchResult {
			ensure_signed(origin)?;
			Self::do_sweep(programme)
		}

		/// Objects to a slash. It is deferred further, once, so that governance can look at it and veto it. `reason` is
		/// the hash of the accused's text, a preimage for example.
		///
		/// - **Origin**: signed by the accused, within the deferral.
		/// - **Errors**: `UnknownSlash`, `NotAccused`, `AlreadyAppealed`, `AppealWindowClosed`.
		/// - **Event**: [`Event::SlashAppealed`].
		#[pallet::call_index(6)]
		pub fn appeal(origin: OriginFor<T>, slash: SlashId, reason: H256) -> DispatchResult {
			Self::do_appeal(ensure_signed(origin)?, slash, reason)
		}

		/// Lifts a slash that is not applied yet, appealed or not. A challenge bond is given back.
		///
		/// - **Origin**: `VetoOrigin`.
		/// - **Errors**: `UnknownSlash`.
		/// - **Event**: [`Event::SlashVetoed`].
		#[pallet::call_index(7)]
		pub fn veto_slash(origin: OriginFor<T>, slash: SlashId) -> DispatchResult {
			T::VetoOrigin::ensure_origin(origin)?;
			Self::do_veto(slash)
		}

		/// Applies a slash that is due: moves what it takes to the treasury. Free of charge when it succeeds.
		///
		/// - **Origin**: signed by anyone.
		/// - **Errors**: `UnknownSlash`, `SlashNotDue`.
		/// - **Event**: [`Event::SlashApplied`].
		#[pallet::call_index(8)]
		pub fn apply_slash(origin: OriginFor<T>, slash: SlashId) -> DispatchResultWithPostInfo {
			ensure_signed(origin)?;
			Self::do_apply(slash)?;
			Ok(Pays::No.into())
		}

		/// Decides what faults cost from now on.
		///
		/// - **Origin**: `SlashOrigin`.
		/// - **Event**: [`Event::SlashFractionsSet`].
		#[pallet::call_index(9)]
		pub fn set_slash_fractions(origin: OriginFor<T>, fractions: SlashFractions) -> DispatchResult {
			T::SlashOrigin::ensure_origin(origin)?;
			Fractions::<T>::put(fractions);
			Self::deposit_event(Event::SlashFractionsSet { fractions });
			Ok(())
		}
	}
}
