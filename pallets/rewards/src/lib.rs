#![doc = include_str!("../README.md")]
#![cfg_attr(not(feature = "std"), no_std)]

#[cfg(test)]
mod mock;
#[cfg(test)]
mod tests;
mod try_state;
pub mod weights;

use cairn_primitives::{views::RewardInfo, ProgrammeId};
use frame_support::{
	pallet_prelude::*,
	traits::{
		fungible::{Inspect, InspectHold, Mutate, MutateHold},
		tokens::{Fortitude, Precision, Preservation},
		Contains,
	},
	PalletId,
};
use frame_system::pallet_prelude::*;
use sp_runtime::{
	helpers_128bit::multiply_by_rational_with_rounding,
	traits::{AccountIdConversion, Zero},
	ArithmeticError, Rounding,
};

pub use pallet::*;
pub use weights::WeightInfo;

/// The native token's amounts are 128 bits wide: shares are computed in this width.
pub type BalanceOf<T> = <<T as Config>::Currency as Inspect<<T as frame_system::Config>::AccountId>>::Balance;

/// What one account, or all together, earned in a programme.
#[derive(
	Clone, Copy, PartialEq, Eq, Debug, Default, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct Earnings<Balance> {
	/// Verified work so far.
	pub points: u128,
	/// Earned and not yet claimed, in plancks.
	pub owed: Balance,
	/// Claimed, in plancks.
	pub claimed: Balance,
}

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
		/// The least bond of an aggregator.
		#[pallet::constant]
		type MinAggregatorBond: Get<BalanceOf<Self>>;
		/// Whose bond must stay as it is: aggregators that are enlisted or serve on a committee.
		type BondLocked: Contains<Self::AccountId>;
		/// Which programmes exist.
		type Programmes: Contains<ProgrammeId>;
		/// What the calls cost.
		type WeightInfo: WeightInfo;
	}

	/// Why this pallet holds funds.
	#[pallet::composite_enum]
	pub enum HoldReason {
		/// An aggregator's bond.
		Bond,
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

	/// The same over all accounts. Twox64Concat: the chain makes the numbers. One entry per programme.
	#[pallet::storage]
	pub type Totals<T: Config> = StorageMap<_, Twox64Concat, ProgrammeId, Earnings<BalanceOf<T>>, ValueQuery>;

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
		/// Adds to the caller's bond.
		///
		/// - **Origin**: signed.
		/// - **Event**: [`Event::Bonded`].
		#[pallet::call_index(0)]
		pub fn bond(origin: OriginFor<T>, #[pallet::compact] amount: BalanceOf<T>) -> DispatchResult {
			let account = ensure_signed(origin)?;
			ensure!(!amount.is_zero(), Error::<T>::ZeroAmount);
			T::Currency::hold(&HoldReason::Bond.into(), &account, amount)?;
			Self::deposit_event(Event::Bonded { account, amount });
			Ok(())
		}

		/// Takes from the caller's bond.
		///
		/// - **Origin**: signed.
		/// - **Event**: [`Event::Unbonded`].
		#[pallet::call_index(1)]
		pub fn unbond(origin: OriginFor<T>, #[pallet::compact] amount: BalanceOf<T>) -> DispatchResult {
			let account = ensure_signed(origin)?;
			ensure!(!amount.is_zero(), Error::<T>::ZeroAmount);
			ensure!(Self::bonded(&account) >= amount, Error::<T>::BondTooSmall);
			ensure!(!T::BondLocked::contains(&account), Error::<T>::BondLocked);
			T::Currency::release(&HoldReason::Bond.into(), &account, amount, Precision::Exact)?;
			Self::deposit_event(Event::Unbonded { account, amount });
			Ok(())
		}

		/// Fills a programme's pot from the caller's funds. What is given cannot be taken back.
		///
		/// - **Origin**: signed.
		/// - **Event**: [`Event::Funded`].
		#[pallet::call_index(2)]
		pub fn fund(
			origin: OriginFor<T>,
			programme: ProgrammeId,
			#[pallet::compact] amount: BalanceOf<T>,
		) -> DispatchResult {
			let sponsor = ensure_signed(origin)?;
			ensure!(!amount.is_zero(), Error::<T>::ZeroAmount);
			ensure!(T::Programmes::contains(&programme), Error::<T>::UnknownProgramme);
			T::Currency::transfer(&sponsor, &Self::pot(programme), amount, Preservation::Preserve)?;
			Self::deposit_event(Event::Funded { programme, sponsor, amount });
			Ok(())
		}

		/// Pays the caller what a programme owes it.
		///
		/// - **Origin**: signed by who earned it.
		/// - **Event**: [`Event::Claimed`].
		#[pallet::call_index(3)]
		pub fn claim(origin: OriginFor<T>, programme: ProgrammeId) -> DispatchResult {
			let account = ensure_signed(origin)?;
			let mut earnings = Accounts::<T>::get(programme, &account);
			let amount = earnings.owed;
			ensure!(!amount.is_zero(), Error::<T>::NothingToClaim);
			earnings.owed = Zero::zero();
			earnings.claimed = earnings.claimed.checked_add(amount).ok_or(ArithmeticError::Overflow)?;
			Totals::<T>::try_mutate(programme, |totals| -> DispatchResult {
				totals.owed = totals.owed.checked_sub(amount).ok_or(ArithmeticError::Underflow)?;
				totals.claimed = totals.claimed.checked_add(amount).ok_or(ArithmeticError::Overflow)?;
				Ok(())
			})?;
			Accounts::<T>::insert(programme, &account, earnings);
			T::Currency::transfer(&Self::pot(programme), &account, amount, Preservation::Preserve)?;
			Self::deposit_event(Event::Claimed { programme, account, amount });
			Ok(())
		}
	}
}

impl<T: Config> Pallet<T> {
	/// The account that holds a programme's pot.
	pub fn pot(programme: ProgrammeId) -> T::AccountId {
		T::PalletId::get().into_sub_account_truncating((b"pot", programme))
	}

	/// What a pot holds beyond what it owes and beyond the existential deposit, in plancks.
	pub fn pot_free(programme: ProgrammeId) -> BalanceOf<T> {
		T::Currency::reducible_balance(&Self::pot(programme), Preservation::Preserve, Fortitude::Polite)
			.saturating_sub(Totals::<T>::get(programme).owed)
	}

	/// An account's bond, in plancks.
	pub fn bonded(account: &T::AccountId) -> BalanceOf<T> {
		T::Currency::balance_on_hold(&HoldReason::Bond.into(), account)
	}

	/// Endows a programme's pot out of nothing, so that `amount` of it can be spent: the existential deposit comes on
	/// top. For genesis, before there is anybody to pay.
	pub fn endow_at_genesis(programme: ProgrammeId, amount: BalanceOf<T>) -> DispatchResult {
		let total = amount.checked_add(T::Currency::minimum_balance()).ok_or(ArithmeticError::Overflow)?;
		T::Currency::mint_into(&Self::pot(programme), total).map(|_| ())
	}

	/// Splits `amount` of a programme's free pot over `shares` in proportion to points. Each share is rounded down;
	/// what rounding leaves stays free. An account may appear more than once. Returns what the pot now owes for it.
	///
	/// # Errors
	/// `FundsUnavailable` when the free part of the pot is smaller than `amount`; arithmetic errors when a total no
	/// longer fits. The caller rolls back.
	pub fn accrue(
		programme: ProgrammeId,
		amount: BalanceOf<T>,
		shares: &[(T::AccountId, u128)],
	) -> Result<BalanceOf<T>, DispatchError> {
		ensure!(
			Self::pot_free(programme) >= amount,
			DispatchError::Token(sp_runtime::TokenError::FundsUnavailable)
		);
		let mut points: u128 = 0;
		for (_, p) in shares {
			points = points.checked_add(*p).ok_or(ArithmeticError::Overflow)?;
		}
		if points == 0 {
			return Ok(0);
		}
		let mut owed: u128 = 0;
		for (account, p) in shares {
			let share = multiply_by_rational_with_rounding(amount, *p, points, Rounding::Down)
				.ok_or(ArithmeticError::Overflow)?;
			Accounts::<T>::try_mutate(programme, account, |e| -> DispatchResult {
				e.points = e.points.checked_add(*p).ok_or(ArithmeticError::Overflow)?;
				e.owed = e.owed.checked_add(share).ok_or(ArithmeticError::Overflow)?;
				Ok(())
			})?;
			owed = owed.checked_add(share).ok_or(ArithmeticError::Overflow)?;
		}
		Totals::<T>::try_mutate(programme, |t| -> DispatchResult {
			t.points = t.points.checked_add(points).ok_or(ArithmeticError::Overflow)?;
			t.owed = t.owed.checked_add(owed).ok_or(ArithmeticError::Overflow)?;
			Ok(())
		})?;
		Self::deposit_event(Event::Accrued { programme, points, amount: owed });
		Ok(owed)
	}

	/// What an account earned, as clients see it.
	pub fn reward_info(programme: ProgrammeId, account: &T::AccountId) -> RewardInfo<BalanceOf<T>> {
		let Earnings { points, owed, claimed } = Accounts::<T>::get(programme, account);
		RewardInfo { points, claimable: owed, claimed }
	}
}
