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
		Ok(())
	}
}
