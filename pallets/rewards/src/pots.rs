//! Pots: what comes in, what is earned, and what happens to the rest.

use super::*;
use alloc::collections::BTreeMap;
use frame_support::storage::with_storage_layer;

/// `amount × part / whole`, rounded down. An error when `whole` is zero or the result does not fit.
pub(crate) fn share_of(amount: u128, part: u128, whole: u128) -> Result<u128, ArithmeticError> {
	multiply_by_rational_with_rounding(amount, part, whole, Rounding::Down).ok_or(ArithmeticError::Overflow)
}

impl<T: Config> Pallet<T> {
	/// The account that holds a programme's pot.
	pub fn pot(programme: ProgrammeId) -> T::AccountId {
		T::PalletId::get().into_sub_account_truncating((b"pot", programme))
	}

	/// What rounds can spend of a pot, in plancks: all beyond what it owes and beyond the existential deposit; nothing
	/// once the programme has closed.
	pub fn pot_free(programme: ProgrammeId) -> BalanceOf<T> {
		let pot = Pots::<T>::get(programme);
		if pot.closing.is_some() {
			return Zero::zero();
		}
		Self::free_of(programme, &pot)
	}

	fn free_of(programme: ProgrammeId, pot: &PotOf<T>) -> BalanceOf<T> {
		T::Currency::reducible_balance(&Self::pot(programme), Preservation::Preserve, Fortitude::Polite)
			.saturating_sub(pot.owed)
	}

	/// Endows a programme's pot out of nothing, so that `amount` of it can be spent: the existential deposit comes on
	/// top. For genesis, before there is anybody to pay. It counts as the treasury's.
	///
	/// # Errors
	/// `Overflow` when the amount does not fit; what the currency says when it cannot mint.
	pub fn endow_at_genesis(programme: ProgrammeId, amount: BalanceOf<T>) -> DispatchResult {
		let total = amount.checked_add(T::Currency::minimum_balance()).ok_or(ArithmeticError::Overflow)?;
		T::Currency::mint_into(&Self::pot(programme), total)?;
		Pots::<T>::mutate(programme, |pot| Self::count_transfers(programme, pot));
		Ok(())
	}

	/// Enters in the ledger what arrived by plain transfer, such as a treasury spend, since it was last looked at. No
	/// hook sees such a transfer; therefore everything that divides the free part calls this first.
	fn count_transfers(programme: ProgrammeId, pot: &mut PotOf<T>) {
		let arrived = T::Currency::total_balance(&Self::pot(programme)).saturating_sub(pot.balance());
		if !arrived.is_zero() {
			// Cannot overflow before the total issuance does.
			pot.funded = pot.funded.saturating_add(arrived);
			Self::deposit_event(Event::TransferCounted { programme, amount: arrived });
		}
	}

	/// Moves a contribution from a sponsor into the pot.
	pub(crate) fn do_fund(
		programme: ProgrammeId,
		sponsor: T::AccountId,
		amount: BalanceOf<T>,
	) -> DispatchResult {
		ensure!(!amount.is_zero(), Error::<T>::ZeroAmount);
		ensure!(T::Programmes::contains(&programme), Error::<T>::UnknownProgramme);
		ensure!(amount >= T::MinContribution::get(), Error::<T>::ContributionTooSmall);
		let mut pot = Pots::<T>::get(programme);
		ensure!(pot.closing.is_none(), Error::<T>::PotClosed);
		T::Currency::transfer(&sponsor, &Self::pot(programme), amount, Preservation::Preserve)?;
		let before = Contributions::<T>::get(programme, &sponsor);
		if before.is_none() {
			pot.sponsors = pot.sponsors.checked_add(1).ok_or(ArithmeticError::Overflow)?;
		}
		let contribution = before.unwrap_or_default().checked_add(amount).ok_or(ArithmeticError::Overflow)?;
		pot.sponsored = pot.sponsored.checked_add(amount).ok_or(ArithmeticError::Overflow)?;
		pot.funded = pot.funded.checked_add(amount).ok_or(ArithmeticError::Overflow)?;
		Contributions::<T>::insert(programme, &sponsor, contribution);
		Pots::<T>::insert(programme, pot);
		Self::deposit_event(Event::Funded { programme, sponsor, amount });
		Ok(())
	}

	/// Splits `amount` of a programme's free pot over `shares` in proportion to points.
	///
	/// One site gets at most `site_cap` per cent of `amount`, which its shares divide in proportion to their points;
	/// what the cap cuts off stays free, it does not go to the others. Every share is rounded down; what rounding leaves
	/// stays free too. An account may appear more than once. `n log s` for `n` shares of `s` sites. Returns what the pot
	/// now owes for it.
	///
	/// # Errors
	/// `PotClosed` when the programme has closed; `FundsUnavailable` when the free part of the pot is smaller than
	/// `amount`; arithmetic errors when a total no longer fits. The caller rolls back.
	pub fn accrue(
		programme: ProgrammeId,
		amount: BalanceOf<T>,
		shares: &[Share<T::AccountId>],
		site_cap: u8,
	) -> Result<BalanceOf<T>, DispatchError> {
		let mut pot = Pots::<T>::get(programme);
		ensure!(pot.closing.is_none(), Error::<T>::PotClosed);
		ensure!(
			Self::free_of(programme, &pot) >= amount,
			DispatchError::Token(sp_runtime::TokenError::FundsUnavailable)
		);
		let mut points: u128 = 0;
		let mut sites = BTreeMap::<SiteId, u128>::new();
		for share in shares {
			points = points.checked_add(share.points).ok_or(ArithmeticError::Overflow)?;
			// At most the sum over all sites, which fits.
			let site = sites.entry(share.site).or_default();
			*site = site.saturating_add(share.points);
		}
		if points == 0 {
			return Ok(0);
		}
		Self::count_transfers(programme, &mut pot);
		let cap = share_of(amount, site_cap.min(100).into(), 100)?;
		let mut owed: u128 = 0;
		for share in shares {
			let site = sites.get(&share.site).copied().unwrap_or_default();
			let part = if share_of(amount, site, points)? > cap {
				share_of(cap, share.points, site)?
			} else {
				share_of(amount, share.points, points)?
			};
			Accounts::<T>::try_mutate(programme, &share.account, |e| -> DispatchResult {
				e.points = e.points.checked_add(share.points).ok_or(ArithmeticError::Overflow)?;
				e.owed = e.owed.checked_add(part).ok_or(ArithmeticError::Overflow)?;
				Ok(())
			})?;
			owed = owed.checked_add(part).ok_or(ArithmeticError::Overflow)?;
		}
		pot.points = pot.points.checked_add(points).ok_or(ArithmeticError::Overflow)?;
		pot.owed = pot.owed.checked_add(owed).ok_or(ArithmeticError::Overflow)?;
		Pots::<T>::insert(programme, pot);
		Self::deposit_event(Event::Accrued { programme, points, amount: owed });
		Ok(owed)
	}

	/// Pays an account what it is owed.
	pub(crate) fn do_claim(programme: ProgrammeId, account: T::AccountId) -> DispatchResult {
		let mut earnings = Accounts::<T>::get(programme, &account);
		let amount = earnings.owed;
		ensure!(!amount.is_zero(), Error::<T>::NothingToClaim);
		earnings.owed = Zero::zero();
		earnings.claimed = earnings.claimed.checked_add(amount).ok_or(ArithmeticError::Overflow)?;
		Pots::<T>::try_mutate(programme, |pot| -> DispatchResult {
			pot.owed = pot.owed.checked_sub(amount).ok_or(ArithmeticError::Underflow)?;
			pot.claimed = pot.claimed.checked_add(amount).ok_or(ArithmeticError::Overflow)?;
			Ok(())
		})?;
		Accounts::<T>::insert(programme, &account, earnings);
		T::Currency::transfer(&Self::pot(programme), &account, amount, Preservation::Preserve)?;
		Self::deposit_event(Event::Claimed { programme, account, amount });
		Ok(())
	}

	/// Closes a programme's pot: nothing more can be earned or funded, sponsors can take back their part of what is
	/// free, and the rest goes to the treasury. What was earned stays claimable for ever. Closing twice does nothing.
	pub fn close_pot(programme: ProgrammeId) {
		let mut pot = Pots::<T>::get(programme);
		if pot.closing.is_some() {
			return;
		}
		Self::count_transfers(programme, &mut pot);
		let free = Self::free_of(programme, &pot);
		// Nobody sponsored when nothing came in. At least the sum of the refunds, each of which is rounded down.
		let reserved = share_of(free, pot.sponsored, pot.funded).unwrap_or_default();
		pot.closing = Some(Closing { free, funded: pot.funded, reserved });
		Pots::<T>::insert(programme, pot);
		Self::deposit_event(Event::PotClosed { programme, refundable: reserved });
		// May be nothing, or too little for a treasury that does not exist yet: `sweep_pot` can be called at any time.
		let _ = with_storage_layer(|| Self::do_sweep(programme));
	}

	/// Returns to a sponsor its part of a closed pot.
	pub(crate) fn do_refund(programme: ProgrammeId, sponsor: T::AccountId) -> DispatchResult {
		let mut pot = Pots::<T>::get(programme);
		let mut closing = pot.closing.ok_or(Error::<T>::PotOpen)?;
		let contribution =
			Contributions::<T>::take(programme, &sponsor).ok_or(Error::<T>::NothingToRefund)?;
		let amount = share_of(closing.free, contribution, closing.funded)?;
		pot.sponsored = pot.sponsored.checked_sub(contribution).ok_or(ArithmeticError::Underflow)?;
		pot.sponsors = pot.sponsors.checked_sub(1).ok_or(ArithmeticError::Underflow)?;
		pot.refunded = pot.refunded.checked_add(amount).ok_or(ArithmeticError::Overflow)?;
		closing.reserved = closing.reserved.checked_sub(amount).ok_or(ArithmeticError::Underflow)?;
		if pot.sponsors == 0 {
			// What rounding left over is nobody's now.
			closing.reserved = Zero::zero();
		}
		pot.closing = Some(closing);
		Pots::<T>::insert(programme, pot);
		if !amount.is_zero() {
			T::Currency::transfer(&Self::pot(programme), &sponsor, amount, Preservation::Preserve)?;
		}
		Self::deposit_event(Event::Refunded { programme, sponsor, amount });
		Ok(())
	}

	/// Sends to the treasury what nobody else has a right to: its own part, later transfers, and, when all is claimed
	/// and refunded, the dust of rounding and the existential deposit.
	pub(crate) fn do_sweep(programme: ProgrammeId) -> DispatchResult {
		let mut pot = Pots::<T>::get(programme);
		let closing = pot.closing.ok_or(Error::<T>::PotOpen)?;
		Self::count_transfers(programme, &mut pot);
		let kept = pot.owed.checked_add(closing.reserved).ok_or(ArithmeticError::Overflow)?;
		let (amount, preservation) = if kept.is_zero() {
			(pot.balance(), Preservation::Expendable)
		} else {
			let kept = kept.saturating_add(T::Currency::minimum_balance());
			(pot.balance().saturating_sub(kept), Preservation::Preserve)
		};
		ensure!(!amount.is_zero(), Error::<T>::NothingToSweep);
		pot.forfeited = pot.forfeited.checked_add(amount).ok_or(ArithmeticError::Overflow)?;
		Pots::<T>::insert(programme, pot);
		T::Currency::transfer(&Self::pot(programme), &T::Treasury::get(), amount, preservation)?;
		Self::deposit_event(Event::PotSwept { programme, amount });
		Ok(())
	}
}
