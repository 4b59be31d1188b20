//! The invariants of pots and points.

use super::*;
use sp_runtime::TryRuntimeError;

impl<T: Config> Pallet<T> {
	/// Checks every pot. Linear in the accounts: for tests and for `try-runtime`, not for blocks.
	pub fn do_try_state() -> Result<(), TryRuntimeError> {
		for (programme, totals) in Totals::<T>::iter() {
			ensure!(
				T::Programmes::contains(&programme),
				"rewards: totals of a programme that does not exist"
			);
			let mut sum = Earnings::<BalanceOf<T>>::default();
			for (_, e) in Accounts::<T>::iter_prefix(programme) {
				sum.points = sum.points.checked_add(e.points).ok_or("rewards: points overflow")?;
				sum.owed = sum.owed.checked_add(e.owed).ok_or("rewards: owed overflows")?;
				sum.claimed = sum.claimed.checked_add(e.claimed).ok_or("rewards: claimed overflows")?;
			}
			ensure!(sum == totals, "rewards: totals differ from the sum over accounts");
			let spendable = T::Currency::reducible_balance(
				&Self::pot(programme),
				Preservation::Preserve,
				Fortitude::Polite,
			);
			ensure!(spendable >= totals.owed, "rewards: a pot owes more than it holds");
		}
		for (programme, _, _) in Accounts::<T>::iter() {
			ensure!(Totals::<T>::contains_key(programme), "rewards: an account's programme has no totals");
		}
		Ok(())
	}
}
