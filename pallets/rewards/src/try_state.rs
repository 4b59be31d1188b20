//! The invariants of pots, points, bonds and slashes.

use super::*;
use sp_runtime::TryRuntimeError;

impl<T: Config> Pallet<T> {
	/// Checks everything. Linear in the state: for tests and for `try-runtime`, not for blocks.
	pub fn do_try_state() -> Result<(), TryRuntimeError> {
		for (programme, pot) in Pots::<T>::iter() {
			ensure!(T::Programmes::contains(&programme), "rewards: a pot of a programme that does not exist");
			Self::check_earnings(programme, &pot)?;
			Self::check_conservation(programme, &pot)?;
			Self::check_sponsors(programme, &pot)?;
		}
		for (programme, _, _) in Accounts::<T>::iter() {
			ensure!(Pots::<T>::contains_key(programme), "rewards: an account's programme has no pot");
		}
		for (programme, _, _) in Contributions::<T>::iter() {
			ensure!(Pots::<T>::contains_key(programme), "rewards: a contribution's programme has no pot");
		}
		Self::check_slashes()?;
		Self::check_challenges()
	}

	/// What all accounts earned is what their entries say.
	fn check_earnings(programme: ProgrammeId, pot: &PotOf<T>) -> Result<(), TryRuntimeError> {
		let mut sum = Earnings::<BalanceOf<T>>::default();
		for (_, e) in Accounts::<T>::iter_prefix(programme) {
			sum.points = sum.points.checked_add(e.points).ok_or("rewards: points overflow")?;
			sum.owed = sum.owed.checked_add(e.owed).ok_or("rewards: owed overflows")?;
			sum.claimed = sum.claimed.checked_add(e.claimed).ok_or("rewards: claimed overflows")?;
		}
		ensure!(
			sum == Earnings { points: pot.points, owed: pot.owed, claimed: pot.claimed },
			"rewards: a pot's totals differ from the sum over accounts"
		);
		Ok(())
	}

	/// What came in is what was claimed, owed, refunded and forfeited, and what is left: the account holds the rest to
	/// the planck, or more when a plain transfer is not counted yet.
	fn check_conservation(programme: ProgrammeId, pot: &PotOf<T>) -> Result<(), TryRuntimeError> {
		let out = pot
			.claimed
			.checked_add(pot.refunded)
			.and_then(|out| out.checked_add(pot.forfeited))
			.ok_or("rewards: what left a pot overflows")?;
		let remaining = pot.funded.checked_sub(out).ok_or("rewards: more left a pot than came in")?;
		let account = Self::pot(programme);
		ensure!(
			T::Currency::total_balance(&account) >= remaining,
			"rewards: a pot holds less than its ledger says"
		);
		let reserved = pot.closing.map(|c| c.reserved).unwrap_or_default();
		let kept = pot.owed.checked_add(reserved).ok_or("rewards: what is kept overflows")?;
		ensure!(remaining >= kept, "rewards: a pot owes more than its ledger holds");
		let spendable = T::Currency::reducible_balance(&account, Preservation::Preserve, Fortitude::Polite);
		ensure!(spendable >= kept, "rewards: a pot owes more than it can pay");
		Ok(())
	}

	/// Contributions add up, and what is kept for sponsors pays every refund.
	fn check_sponsors(programme: ProgrammeId, pot: &PotOf<T>) -> Result<(), TryRuntimeError> {
		let (mut sponsors, mut sponsored, mut refunds) = (0u32, 0u128, 0u128);
		for (_, contribution) in Contributions::<T>::iter_prefix(programme) {
			ensure!(!contribution.is_zero(), "rewards: a sponsor gave nothing");
			sponsors = sponsors.saturating_add(1);
			sponsored = sponsored.checked_add(contribution).ok_or("rewards: contributions overflow")?;
			if let Some(closing) = pot.closing {
				let refund = share_of(closing.free, contribution, closing.funded)
					.map_err(|_| "rewards: a refund overflows")?;
				refunds = refunds.saturating_add(refund);
			}
		}
		ensure!(
			sponsors == pot.sponsors && sponsored == pot.sponsored,
			"rewards: a pot's contributions differ from the sum over sponsors"
		);
		ensure!(sponsored <= pot.funded, "rewards: sponsors gave more than came in");
		if let Some(closing) = pot.closing {
			ensure!(refunds <= closing.reserved, "rewards: not enough is kept for refunds");
			ensure!(sponsors > 0 || closing.reserved.is_zero(), "rewards: refunds are kept for nobody");
		}
		Ok(())
	}

	/// Slashes and their slots name each other, and every slash can be paid.
	fn check_slashes() -> Result<(), TryRuntimeError> {
		let mut slots = 0;
		for (account, hold, list) in Pending::<T>::iter() {
			ensure!(!list.is_empty(), "rewards: an empty list of slashes is kept");
			for (id, amount) in &list {
				let slash = Slashes::<T>::get(id).ok_or("rewards: a slash that waits does not exist")?;
				ensure!(
					slash.account == account
						&& slashing::hold_of(slash.kind) == hold
						&& slash.amount == *amount
						&& !amount.is_zero(),
					"rewards: a slash is not what its slot says"
				);
				ensure!(*id < SlashCount::<T>::get(), "rewards: a slash has a number of the future");
				ensure!(slash.reported <= slash.due, "rewards: a slash is due before it was reported");
				slots += 1;
			}
			ensure!(
				T::Currency::balance_on_hold(&hold.into(), &account) >= slashing::sum(&list),
				"rewards: slashes wait that a bond cannot pay"
			);
		}
		ensure!(Slashes::<T>::iter().count() == slots, "rewards: a slash has no slot");
		Ok(())
	}

	/// Challenge bonds are held for undecided and for lost challenges, and for nothing else.
	fn check_challenges() -> Result<(), TryRuntimeError> {
		let held = |account: &T::AccountId| -> bool {
			let open = Challenges::<T>::get(account).amount;
			T::Currency::balance_on_hold(&HoldReason::ChallengeBond.into(), account)
				== open.saturating_add(Self::pending(account, HoldReason::ChallengeBond))
		};
		for (account, open) in Challenges::<T>::iter() {
			ensure!(
				open.count > 0 && !open.amount.is_zero(),
				"rewards: undecided challenges without a bond are kept"
			);
			ensure!(held(&account), "rewards: a hold for challenges differs from what they need");
			let lost = Pending::<T>::get(&account, HoldReason::ChallengeBond).len() as u32;
			ensure!(
				open.count.saturating_add(lost) <= T::MaxPendingSlashes::get(),
				"rewards: an account has too many challenges"
			);
		}
		for (account, _, _) in Pending::<T>::iter() {
			ensure!(held(&account), "rewards: a hold for lost challenges differs from what they need");
		}
		Ok(())
	}
}
