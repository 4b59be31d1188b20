//! What clients see.

use super::*;
use alloc::vec::Vec;

impl<T: Config> Pallet<T> {
	/// What an account earned in a programme.
	pub fn reward_info(programme: ProgrammeId, account: &T::AccountId) -> RewardInfo<BalanceOf<T>> {
		let Earnings { points, owed, claimed } = Accounts::<T>::get(programme, account);
		RewardInfo { points, claimable: owed, claimed }
	}

	/// The ledger of a programme's pot, with what arrived since it was last counted.
	pub fn pot_info(programme: ProgrammeId) -> Option<PotInfo<T::AccountId, BalanceOf<T>>> {
		if !T::Programmes::contains(&programme) {
			return None;
		}
		let account = Self::pot(programme);
		let pot = Pots::<T>::get(programme);
		let balance = T::Currency::total_balance(&account);
		Some(PotInfo {
			account,
			funded: pot.funded.saturating_add(balance.saturating_sub(pot.balance())),
			sponsored: pot.sponsored,
			claimed: pot.claimed,
			owed: pot.owed,
			refunded: pot.refunded,
			forfeited: pot.forfeited,
			remaining: balance.saturating_sub(pot.owed),
			closed: pot.closing.is_some(),
		})
	}

	/// What a sponsor gets back when it calls [`Pallet::claim_refund`] now, in plancks. Zero while the programme is not
	/// closed.
	pub fn refund(programme: ProgrammeId, sponsor: &T::AccountId) -> BalanceOf<T> {
		let (Some(contribution), Some(closing)) =
			(Contributions::<T>::get(programme, sponsor), Pots::<T>::get(programme).closing)
		else {
			return Zero::zero();
		};
		share_of(closing.free, contribution, closing.funded).unwrap_or_default()
	}

	/// What an account stakes.
	pub fn bond_info(account: &T::AccountId) -> BondInfo<BalanceOf<T>> {
		BondInfo {
			bonded: Self::bonded(account),
			pending: Self::pending(account, HoldReason::Bond),
			challenges: T::Currency::balance_on_hold(&HoldReason::ChallengeBond.into(), account),
			locked: T::BondLocked::contains(account),
		}
	}

	/// A slash that is neither applied nor vetoed.
	pub fn slash_info(id: SlashId) -> Option<SlashInfo<T::AccountId, BalanceOf<T>, BlockNumberFor<T>>> {
		Slashes::<T>::get(id).map(|s| SlashInfo {
			id,
			account: s.account,
			kind: s.kind,
			amount: s.amount,
			evidence: s.evidence,
			reported: s.reported,
			due: s.due,
			appeal: s.appeal,
		})
	}

	/// The slashes of an account that are neither applied nor vetoed: at most `MaxPendingSlashes` of its bond, then as
	/// many of its challenge bonds.
	pub fn slashes_of(
		account: &T::AccountId,
	) -> Vec<SlashInfo<T::AccountId, BalanceOf<T>, BlockNumberFor<T>>> {
		[HoldReason::Bond, HoldReason::ChallengeBond]
			.into_iter()
			.flat_map(|hold| Pending::<T>::get(account, hold))
			.filter_map(|(id, _)| Self::slash_info(id))
			.collect()
	}
}
