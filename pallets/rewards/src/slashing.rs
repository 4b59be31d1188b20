//! Bonds, and what a fault does to them: a slash is individual, on evidence, deferred, open to one appeal and to a veto,
//! and only then applied.

use super::*;

impl<T: Config> Pallet<T> {
	/// An account's bond, in plancks, with the part that pending slashes would take.
	pub fn bonded(account: &T::AccountId) -> BalanceOf<T> {
		T::Currency::balance_on_hold(&HoldReason::Bond.into(), account)
	}

	/// The part of an account's bond that no pending slash would take, in plancks: what it really stands with.
	pub fn free_bond(account: &T::AccountId) -> BalanceOf<T> {
		Self::bonded(account).saturating_sub(Self::pending(account, HoldReason::Bond))
	}

	/// What pending slashes would take from one of an account's holds, in plancks.
	pub fn pending(account: &T::AccountId, hold: HoldReason) -> BalanceOf<T> {
		sum(&Pending::<T>::get(account, hold))
	}

	/// Adds to an account's bond.
	pub(crate) fn do_bond(account: T::AccountId, amount: BalanceOf<T>) -> DispatchResult {
		ensure!(!amount.is_zero(), Error::<T>::ZeroAmount);
		// Otherwise an account without a slot for another slash could stake funds that no fault costs.
		ensure!(!Pending::<T>::get(&account, HoldReason::Bond).is_full(), Error::<T>::TooManyPendingSlashes);
		T::Currency::hold(&HoldReason::Bond.into(), &account, amount)?;
		Self::deposit_event(Event::Bonded { account, amount });
		Ok(())
	}

	/// Takes from an account's bond.
	pub(crate) fn do_unbond(account: T::AccountId, amount: BalanceOf<T>) -> DispatchResult {
		ensure!(!amount.is_zero(), Error::<T>::ZeroAmount);
		let bonded = Self::bonded(&account);
		ensure!(bonded >= amount, Error::<T>::BondTooSmall);
		ensure!(!T::BondLocked::contains(&account), Error::<T>::BondLocked);
		ensure!(
			bonded.saturating_sub(amount) >= Self::pending(&account, HoldReason::Bond),
			Error::<T>::SlashPending
		);
		T::Currency::release(&HoldReason::Bond.into(), &account, amount, Precision::Exact)?;
		Self::deposit_event(Event::Unbonded { account, amount });
		Ok(())
	}

	/// Writes down a fault of `account` and, when that costs something, the slash that follows: the fraction of its kind
	/// of the account's bond as it is now, rounded up so that no bond is too small to be slashed, and at most what other
	/// pending slashes leave of it. The last of `MaxPendingSlashes` slots takes all that is left, so that no further
	/// fault goes unpunished for want of a slot.
	///
	/// The caller vouches for the evidence, whose hash is `evidence`, and reports each fault once. Never fails, so that
	/// no round depends on it. `None` when there is no bond left to slash or the fraction is zero.
	///
	/// [`FaultKind::FailedChallenge`] takes from a challenge bond, not from this one: report it with
	/// [`Pallet::forfeit_challenge_bond`], here it is only written down.
	pub fn report_fault(account: &T::AccountId, kind: FaultKind, evidence: H256) -> Option<SlashId> {
		let fraction = match kind {
			FaultKind::FailedChallenge => Perbill::zero(),
			_ => Fractions::<T>::get().of(kind),
		};
		let pending = Pending::<T>::get(account, HoldReason::Bond);
		let bonded = Self::bonded(account);
		let left = bonded.saturating_sub(sum(&pending));
		let last = (pending.len() as u32).saturating_add(1) >= T::MaxPendingSlashes::get();
		let amount = match fraction {
			none if none.is_zero() => Zero::zero(),
			_ if last => left,
			some => some.mul_ceil(bonded).min(left),
		};
		Self::defer_slash(account, kind, amount, evidence)
	}

	/// Holds the bond that a challenge is made with. Nothing happens for a bond of zero.
	///
	/// # Errors
	/// `TooManyPendingSlashes` when the account's challenges, undecided and lost ones, are as many as it may have; what
	/// the currency says when the funds do not suffice.
	pub fn hold_challenge_bond(account: &T::AccountId, amount: BalanceOf<T>) -> DispatchResult {
		if amount.is_zero() {
			return Ok(());
		}
		let mut open = Challenges::<T>::get(account);
		let lost = Pending::<T>::get(account, HoldReason::ChallengeBond).len() as u32;
		ensure!(
			open.count.saturating_add(lost) < T::MaxPendingSlashes::get(),
			Error::<T>::TooManyPendingSlashes
		);
		open.count = open.count.saturating_add(1);
		open.amount = open.amount.checked_add(amount).ok_or(ArithmeticError::Overflow)?;
		T::Currency::hold(&HoldReason::ChallengeBond.into(), account, amount)?;
		Challenges::<T>::insert(account, open);
		Self::deposit_event(Event::ChallengeBonded { account: account.clone(), amount });
		Ok(())
	}

	/// Gives a challenge bond back: the challenger was right, or no verdict was reached. `amount` is what was held with
	/// [`Pallet::hold_challenge_bond`]; each bond is released or forfeited once.
	pub fn release_challenge_bond(account: &T::AccountId, amount: BalanceOf<T>) {
		let amount = Self::close_challenge(account, amount);
		Self::release_challenge(account, amount);
	}

	/// Takes a challenge bond: the audit confirmed what the challenger disputed. The fraction of
	/// [`FaultKind::FailedChallenge`] is slashed like any other slash, deferred, with appeal and veto; the rest is
	/// released now. `amount` is what was held with [`Pallet::hold_challenge_bond`].
	pub fn forfeit_challenge_bond(
		account: &T::AccountId,
		amount: BalanceOf<T>,
		evidence: H256,
	) -> Option<SlashId> {
		let amount = Self::close_challenge(account, amount);
		let lost = Fractions::<T>::get().of(FaultKind::FailedChallenge).mul_ceil(amount).min(amount);
		let slash = Self::defer_slash(account, FaultKind::FailedChallenge, lost, evidence);
		let kept = if slash.is_some() { lost } else { Zero::zero() };
		Self::release_challenge(account, amount.saturating_sub(kept));
		slash
	}

	/// Takes one challenge off the account's undecided ones; returns what is really held for it.
	fn close_challenge(account: &T::AccountId, amount: BalanceOf<T>) -> BalanceOf<T> {
		if amount.is_zero() {
			return amount;
		}
		Challenges::<T>::mutate_exists(account, |entry| {
			let mut open = entry.take().unwrap_or_default();
			frame_support::defensive_assert!(open.amount >= amount && open.count > 0);
			let amount = amount.min(open.amount);
			open.amount = open.amount.saturating_sub(amount);
			open.count = open.count.saturating_sub(1);
			if open.count > 0 {
				*entry = Some(open);
			}
			amount
		})
	}

	fn release_challenge(account: &T::AccountId, amount: BalanceOf<T>) {
		if amount.is_zero() {
			return;
		}
		let hold = HoldReason::ChallengeBond.into();
		if T::Currency::release(&hold, account, amount, Precision::BestEffort).is_ok() {
			Self::deposit_event(Event::ChallengeReleased { account: account.clone(), amount });
		}
	}

	/// Enters a slash of `amount`, or only writes the fault down when there is nothing to take.
	fn defer_slash(
		account: &T::AccountId,
		kind: FaultKind,
		amount: BalanceOf<T>,
		evidence: H256,
	) -> Option<SlashId> {
		let reported = frame_system::Pallet::<T>::block_number();
		let due = reported.saturating_add(T::SlashDeferral::get());
		let slash = SlashCount::<T>::get();
		let entered = !amount.is_zero()
			&& slash < SlashId::MAX
			&& Pending::<T>::try_mutate(account, hold_of(kind), |slots| slots.try_push((slash, amount)))
				.is_ok();
		if entered {
			SlashCount::<T>::put(slash.saturating_add(1));
			Slashes::<T>::insert(
				slash,
				Slash { account: account.clone(), kind, amount, evidence, reported, due, appeal: None },
			);
		}
		let slash = entered.then_some(slash);
		let amount = if entered { amount } else { Zero::zero() };
		Self::deposit_event(Event::FaultReported {
			account: account.clone(),
			kind,
			evidence,
			slash,
			amount,
			due,
		});
		slash
	}

	/// Enters the accused's appeal and gives the DAO time to look at it.
	pub(crate) fn do_appeal(account: T::AccountId, slash: SlashId, reason: H256) -> DispatchResult {
		Slashes::<T>::try_mutate(slash, |entry| -> DispatchResult {
			let entry = entry.as_mut().ok_or(Error::<T>::UnknownSlash)?;
			ensure!(entry.account == account, Error::<T>::NotAccused);
			ensure!(entry.appeal.is_none(), Error::<T>::AlreadyAppealed);
			ensure!(frame_system::Pallet::<T>::block_number() < entry.due, Error::<T>::AppealWindowClosed);
			entry.appeal = Some(reason);
			entry.due = entry.due.saturating_add(T::AppealPeriod::get());
			Self::deposit_event(Event::SlashAppealed { slash, account, reason, due: entry.due });
			Ok(())
		})
	}

	/// Lifts a slash that is not applied yet.
	pub(crate) fn do_veto(slash: SlashId) -> DispatchResult {
		let entry = Self::take_slash(slash)?;
		if hold_of(entry.kind) == HoldReason::ChallengeBond {
			Self::release_challenge(&entry.account, entry.amount);
		}
		Self::deposit_event(Event::SlashVetoed { slash, account: entry.account, amount: entry.amount });
		Ok(())
	}

	/// Moves what a due slash takes from the hold to the treasury.
	pub(crate) fn do_apply(slash: SlashId) -> DispatchResult {
		let entry = Self::take_slash(slash)?;
		ensure!(frame_system::Pallet::<T>::block_number() >= entry.due, Error::<T>::SlashNotDue);
		// By force: funds that are held can be frozen too, for a vote for example, and that must not shield them.
		let amount = T::Currency::transfer_on_hold(
			&hold_of(entry.kind).into(),
			&entry.account,
			&T::Treasury::get(),
			entry.amount,
			Precision::BestEffort,
			Restriction::Free,
			Fortitude::Force,
		)?;
		Self::deposit_event(Event::SlashApplied { slash, account: entry.account, amount });
		Ok(())
	}

	fn take_slash(slash: SlashId) -> Result<SlashOf<T>, DispatchError> {
		let entry = Slashes::<T>::take(slash).ok_or(Error::<T>::UnknownSlash)?;
		Pending::<T>::mutate_exists(&entry.account, hold_of(entry.kind), |slots| {
			if let Some(list) = slots {
				list.retain(|(id, _)| *id != slash);
				if list.is_empty() {
					*slots = None;
				}
			}
		});
		Ok(entry)
	}
}

/// Which hold pays for a fault.
pub(crate) fn hold_of(kind: FaultKind) -> HoldReason {
	match kind {
		FaultKind::FailedChallenge => HoldReason::ChallengeBond,
		FaultKind::Dissented | FaultKind::Overturned | FaultKind::Equivocation => HoldReason::Bond,
	}
}

/// What slashes take together. Saturates only where the total issuance would overflow.
pub(crate) fn sum<Balance: Zero + Saturating + Copy>(slots: &[(SlashId, Balance)]) -> Balance {
	slots.iter().fold(Zero::zero(), |total: Balance, (_, amount)| total.saturating_add(*amount))
}
