//! The invariants of the charter and of the validators.

use super::*;
use sp_runtime::TryRuntimeError;

impl<T: Config> Pallet<T> {
	/// Checks everything. Linear in the state: for tests and for `try-runtime`, not for blocks.
	pub fn do_try_state() -> Result<(), TryRuntimeError> {
		ensure!(
			Self::check_charter(&CurrentCharter::<T>::get()).is_ok(),
			"governance: the charter says what no programme can keep"
		);
		let validators = Validators::<T>::get();
		ensure!(
			validators.windows(2).all(|pair| pair[0] < pair[1]),
			"governance: the validators are not sorted, or one is there twice"
		);
		let former = FormerValidators::<T>::get();
		ensure!(
			former.windows(2).all(|pair| pair[0].1 <= pair[1].1),
			"governance: the former validators are not in the order in which they left"
		);
		ensure!(
			(1..former.len()).all(|i| former[..i].iter().all(|(account, _)| *account != former[i].0)),
			"governance: a former validator is there twice"
		);
		Ok(())
	}
}
