//! The validators: decided on by governance, rotated by sessions.

use super::*;
use pallet_session::{historical, NextKeys, QueuedKeys, SessionManager};
use sp_runtime::Saturating;
use sp_staking::SessionIndex;

impl<T: Config> Pallet<T> {
	pub(crate) fn decide_validators(
		validators: BoundedVec<T::AccountId, T::MaxValidators>,
	) -> DispatchResult {
		let mut sorted = validators.into_inner();
		// An order that people can predict.
		sorted.sort();
		ensure!(sorted.len() as u32 >= T::MinValidators::get(), Error::<T>::TooFewValidators);
		ensure!(sorted.windows(2).all(|pair| pair[0] != pair[1]), Error::<T>::DuplicateValidator);
		ensure!(sorted.iter().all(NextKeys::<T>::contains_key), Error::<T>::ValidatorWithoutKeys);
		let validators = BoundedVec::truncate_from(sorted);
		Validators::<T>::put(&validators);
		Self::deposit_event(Event::ValidatorsSet { validators });
		Ok(())
	}

	/// The validators of the session that is being planned, when they or their keys are not those of the session
	/// planned before.
	///
	/// Keys count as well as accounts: the root that equivocation proofs are checked against is made anew only for a
	/// set that is returned here, and a validator that purged its keys must leave the authorities with everybody's
	/// knowledge. Without anybody left the old set stays.
	fn changed_validators() -> Option<Vec<T::AccountId>> {
		let next: Vec<_> = Validators::<T>::get()
			.into_iter()
			.filter_map(|validator| NextKeys::<T>::get(&validator).map(|keys| (validator, keys)))
			.collect();
		if next.is_empty() || next == QueuedKeys::<T>::get() {
			return None;
		}
		Some(next.into_iter().map(|(validator, _)| validator).collect())
	}

	/// Remembers who is a validator of the session that ends and not of the next one.
	fn note_departures() {
		let next = QueuedKeys::<T>::get();
		let leaving: Vec<_> = pallet_session::Validators::<T>::get()
			.into_iter()
			.filter(|validator| next.iter().all(|(stays, _)| stays != validator))
			.collect();
		if leaving.is_empty() {
			return;
		}
		let now = frame_system::Pallet::<T>::block_number();
		let until = now.saturating_add(T::LiabilityPeriod::get());
		FormerValidators::<T>::mutate(|former| {
			let mut all = core::mem::take(former).into_inner();
			all.retain(|(account, until)| now <= *until && !leaving.contains(account));
			all.extend(leaving.into_iter().map(|account| (account, until)));
			let beyond = all.len().saturating_sub(T::MaxFormerValidators::get() as usize);
			*former = BoundedVec::truncate_from(all.split_off(beyond));
		});
	}
}

impl<T: Config> SessionManager<T::AccountId> for Pallet<T> {
	fn new_session(_: SessionIndex) -> Option<Vec<T::AccountId>> {
		Self::changed_validators()
	}

	/// The first validators are those whose session keys the chain starts with.
	fn new_session_genesis(_: SessionIndex) -> Option<Vec<T::AccountId>> {
		let mut validators: Vec<_> = NextKeys::<T>::iter_keys().collect();
		validators.sort();
		let bounded = BoundedVec::try_from(validators.clone())
			.expect("a genesis has at most `MaxValidators` validators; another chain cannot start");
		Validators::<T>::put(bounded);
		Some(validators)
	}

	fn start_session(_: SessionIndex) {}

	fn end_session(_: SessionIndex) {
		Self::note_departures();
	}
}

impl<T: Config> historical::SessionManager<T::AccountId, ()> for Pallet<T> {
	fn new_session(index: SessionIndex) -> Option<Vec<(T::AccountId, ())>> {
		<Self as SessionManager<_>>::new_session(index).map(identified)
	}

	fn new_session_genesis(index: SessionIndex) -> Option<Vec<(T::AccountId, ())>> {
		<Self as SessionManager<_>>::new_session_genesis(index).map(identified)
	}

	fn start_session(_: SessionIndex) {}

	fn end_session(index: SessionIndex) {
		<Self as SessionManager<_>>::end_session(index);
	}
}

/// A validator's account says all there is to say about it.
fn identified<A>(validators: Vec<A>) -> Vec<(A, ())> {
	validators.into_iter().map(|validator| (validator, ())).collect()
}
