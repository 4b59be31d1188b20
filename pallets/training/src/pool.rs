//! Who can be drawn, and how committees are drawn.

use super::*;
use alloc::vec::Vec;
use sp_io::hashing::blake2_256;

/// What a committee is drawn from: the seed, and the candidates with their tickets.
pub(crate) struct Lottery<AccountId> {
	seed: H256,
	pub(crate) candidates: Vec<(AccountId, u32)>,
}

impl<AccountId: Encode> Lottery<AccountId> {
	/// How many can be drawn.
	pub(crate) fn size(&self) -> u32 {
		self.candidates.len() as u32
	}

	/// Draws `seats` of them, or all when there are fewer.
	pub(crate) fn draw(self, seats: u32) -> Vec<AccountId> {
		draw(self.seed, self.candidates, seats)
	}

	/// Draws an audit committee: those who sat on the disputed `panel` only when without them there are fewer than
	/// `least`, and then only as many as there is room for beyond the others.
	pub(crate) fn draw_audit(
		self,
		panel: impl Fn(&AccountId) -> bool,
		least: u32,
		seats: u32,
	) -> Vec<AccountId> {
		let (concerned, fresh): (Vec<_>, Vec<_>) = self.candidates.into_iter().partition(|(a, _)| panel(a));
		let mut drawn = draw(self.seed, fresh, seats);
		let missing = seats.saturating_sub(drawn.len() as u32);
		if (drawn.len() as u32) < least {
			drawn.extend(draw(self.seed, concerned, missing));
		}
		drawn
	}
}

impl<T: Config> Pallet<T> {
	pub(crate) fn do_enlist(account: T::AccountId) -> DispatchResult {
		ensure!(pallet_hardware::Pallet::<T>::active_device(&account).is_some(), Error::<T>::DeviceNotActive);
		let tickets = Self::tickets(&account);
		ensure!(tickets > 0, Error::<T>::BondTooSmall);
		let since = frame_system::Pallet::<T>::block_number();
		Aggregators::<T>::try_mutate(|pool| -> DispatchResult {
			ensure!(!pool.iter().any(|a| a.account == account), Error::<T>::AlreadyEnlisted);
			pool.try_push(Aggregator { account: account.clone(), since, tickets })
				.map_err(|_| Error::<T>::TooManyAggregators)?;
			Ok(())
		})?;
		Self::deposit_event(Event::AggregatorEnlisted { account, tickets });
		Ok(())
	}

	pub(crate) fn do_delist(account: T::AccountId) -> DispatchResult {
		Aggregators::<T>::try_mutate(|pool| -> DispatchResult {
			let place = pool.iter().position(|a| a.account == account).ok_or(Error::<T>::NotEnlisted)?;
			pool.swap_remove(place);
			Ok(())
		})?;
		Self::deposit_event(Event::AggregatorDelisted { account });
		Ok(())
	}

	/// The pool, as clients see it.
	pub fn aggregators() -> Vec<T::AccountId> {
		Aggregators::<T>::get().into_iter().map(|a| a.account).collect()
	}

	/// How many aggregators a committee of this programme could be drawn from now.
	pub fn drawable(programme: ProgrammeId) -> u32 {
		let (_, known) = T::Randomness::random(&[]);
		Self::candidates(programme, known).len() as u32
	}

	/// Tickets in the draw: one for each `MinAggregatorBond` of the account's bond that no pending slash would take, at
	/// most `MaxBondWeight`.
	fn tickets(account: &T::AccountId) -> u32 {
		let bond = pallet_rewards::Pallet::<T>::free_bond(account);
		let least = <T as pallet_rewards::Config>::MinAggregatorBond::get();
		let most = T::MaxBondWeight::get();
		bond.checked_div(least).map_or(most, |n| u32::try_from(n).unwrap_or(most).min(most))
	}

	/// The enlisted aggregators that can be drawn with randomness that became known in block `known`: enlisted before,
	/// with an active device that may take part, and still bonded. Nobody can enlist once the draw can be foreseen, nor
	/// get more tickets: a bond that grew since counts from the next enlistment on.
	///
	/// A chain's first randomness is known from its genesis on, so there is no block before it to enlist in; until it is
	/// replaced, at the end of the first epoch, everybody can be drawn.
	fn candidates(programme: ProgrammeId, known: BlockNumberFor<T>) -> Vec<(T::AccountId, u32)> {
		Aggregators::<T>::get()
			.into_iter()
			.filter(|a| known.is_zero() || a.since < known)
			.filter(|a| Self::may_aggregate(programme, &a.account))
			.filter_map(|a| {
				let tickets = a.tickets.min(Self::tickets(&a.account));
				(tickets > 0).then_some((a.account, tickets))
			})
			.collect()
	}

	fn may_aggregate(programme: ProgrammeId, account: &T::AccountId) -> bool {
		pallet_hardware::Pallet::<T>::active_device(account)
			.is_some_and(|device| T::Policy::may_take_part(programme, device))
	}

	/// The lottery for one committee. What it is drawn with is fixed by the chain before the block, and differs for each
	/// subject, programme, round and attempt.
	pub(crate) fn lottery(
		subject: &[u8],
		programme: ProgrammeId,
		round: RoundIndex,
		attempt: u32,
	) -> Lottery<T::AccountId> {
		let (seed, known) = T::Randomness::random(&(subject, programme, round, attempt).encode());
		Self::lottery_known(seed, programme, known)
	}

	/// The same with a seed that became known in block `known`.
	pub(crate) fn lottery_known(
		seed: H256,
		programme: ProgrammeId,
		known: BlockNumberFor<T>,
	) -> Lottery<T::AccountId> {
		Lottery { seed, candidates: Self::candidates(programme, known) }
	}
}

/// `seats` different candidates, each weighted by its tickets, without replacement: the first is any candidate with
/// probability tickets / all tickets, the second likewise among the others, and so on.
///
/// Every ticket is a number that BLAKE2 draws from the seed, the candidate and the ticket; a candidate has its lowest,
/// and the lowest candidates are drawn. The lowest of *t* uniform numbers is what Efraimidis and Spirakis's weighted
/// sampling ("Weighted random sampling with a reservoir", 2006) gives a candidate of weight *t*, here in integers. As
/// each number depends on one candidate alone, who else stands for election changes nobody's chance but by being drawn:
/// a candidate that leaves makes room for the next one, and nothing is dealt anew.
pub(crate) fn draw<A: Encode>(seed: H256, candidates: Vec<(A, u32)>, seats: u32) -> Vec<A> {
	let mut numbered: Vec<([u8; 32], A)> = candidates
		.into_iter()
		.filter_map(|(candidate, tickets)| {
			let lowest = (0..tickets).map(|ticket| blake2_256(&(seed, &candidate, ticket).encode())).min()?;
			Some((lowest, candidate))
		})
		.collect();
	numbered.sort_by_key(|(lowest, _)| *lowest);
	numbered.into_iter().take(seats as usize).map(|(_, candidate)| candidate).collect()
}
