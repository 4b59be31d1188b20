//! What clients see.

use super::*;
use alloc::vec::Vec;

/// The most rounds that one page is picked from: what bounds the work when few are of the state asked for.
const LOOKED_AT: u32 = 1_000;

impl<T: Config> Pallet<T> {
	/// The numbers of all programmes.
	pub fn programme_ids() -> Vec<ProgrammeId> {
		(0..ProgrammeCount::<T>::get()).collect()
	}

	/// A programme.
	pub fn programme_info(id: ProgrammeId) -> Option<ProgrammeInfo<T::AccountId, BalanceOf<T>>> {
		let p = Programmes::<T>::get(id)?;
		let s = p.settings;
		Some(ProgrammeInfo {
			id,
			name: s.name.into_inner(),
			state: p.state,
			config: s.config,
			genesis_weights: s.genesis_weights,
			weights: p.weights,
			weights_record: p.weights_record,
			aggregation: s.aggregation,
			schedule: s.schedule,
			committee_size: s.committee_size,
			audit_size: s.audit_size,
			min_updates: s.min_updates,
			target_updates: s.target_updates,
			max_updates: s.max_updates,
			max_samples: s.max_samples,
			max_local_steps: s.max_local_steps,
			rounds: s.rounds,
			finalised: p.finalised,
			round: p.round,
			committee_share: s.committee_share,
			reward_per_round: s.reward_per_round,
			licence: s.licence.into_inner(),
			data_category: s.data_category.into_inner(),
			epsilon_per_round: s.epsilon_per_round,
			challenge_bond: s.challenge_bond,
			pot: pallet_rewards::Pallet::<T>::pot(id),
			pot_free: pallet_rewards::Pallet::<T>::pot_free(id),
		})
	}

	/// Whether [`Call::advance`] would open the next round of a programme that waits for funds or for the policy.
	pub fn can_open_round(id: ProgrammeId) -> bool {
		Programmes::<T>::get(id).is_some_and(|entry| {
			let settings = entry.next.as_ref().unwrap_or(&entry.settings);
			matches!(entry.state, ProgrammeState::Unfunded | ProgrammeState::Barred)
				&& T::Policy::may_start_round(settings, entry.released).is_ok()
				&& pallet_rewards::Pallet::<T>::pot_free(id) >= settings.reward_per_round
		})
	}

	/// Whether the policy lets a device take part in a programme.
	pub fn may_take_part(programme: ProgrammeId, device: DeviceId) -> bool {
		T::Policy::may_take_part(programme, device)
	}

	/// The running round of a programme.
	pub fn current_round(programme: ProgrammeId) -> Option<RoundInfo<T::AccountId, BlockNumberFor<T>>> {
		let r = Running::<T>::get(programme)?;
		let commits = (0u32..)
			.zip(CommitOrder::<T>::get(programme))
			.filter_map(|(index, device)| {
				let c = Commits::<T>::get(programme, device)?;
				Some(CommitInfo {
					index,
					producer: c.producer,
					device: c.device,
					artifact: c.artifact,
					samples: c.samples,
					local_steps: c.local_steps,
				})
			})
			.collect();
		let at_work: Vec<_> = (0..)
			.zip(r.committee)
			.map(|(seat, account)| {
				let member = Members::<T>::get(programme, seat);
				MemberInfo {
					account,
					bitmap: member.bitmap.map(|b| b.into_inner()),
					committed: member.commitment.is_some(),
					revealed: member.revealed.map(|r| r.result),
					quality: member.revealed.map(|r| r.quality),
					outcome: None,
				}
			})
			.collect();
		let (committee, challenge) = match Disputes::<T>::get(programme) {
			None => (at_work, None),
			Some(Dispute { challenger, claimed, panel, .. }) => {
				let panel = panel.into_iter().map(|(account, revealed)| MemberInfo {
					account,
					bitmap: None,
					committed: revealed.is_some(),
					revealed: revealed.map(|r| r.result),
					quality: revealed.map(|r| r.quality),
					outcome: None,
				});
				let challenge = ChallengeInfo { challenger, claimed, committee: at_work, verdict: None };
				(panel.collect(), Some(challenge))
			},
		};
		Some(RoundInfo {
			programme,
			index: r.index,
			attempt: r.attempt,
			phase: r.phase,
			deadline: r.deadline,
			opened: r.opened,
			base: r.base,
			base_record: r.base_record,
			terms: Programmes::<T>::get(programme)?.settings.terms(),
			commit_count: r.commit_count,
			commits,
			committee,
			included: r.included.into_inner(),
			bucketing_seed: r.bucketing_seed,
			result: r.agreed.map(|a| a.result),
			quality: r.agreed.map(|a| a.quality),
			challenge,
			result_record: None,
			updates: None,
			failure: None,
		})
	}

	/// A page of a programme's rounds, newest first, from round `from` or the newest on; of `state` alone when one is given.
	/// `None` when there is no such programme.
	pub fn rounds(
		programme: ProgrammeId,
		state: Option<RoundState>,
		from: Option<RoundIndex>,
		limit: u32,
	) -> Option<RoundPage<T::AccountId, BlockNumberFor<T>>> {
		let newest = Programmes::<T>::get(programme)?.round;
		let limit = limit.clamp(1, MAX_PAGE) as usize;
		let mut rounds = Vec::new();
		let mut looked_at = 0;
		for index in (0..=from.unwrap_or(newest).min(newest)).rev() {
			if rounds.len() == limit || looked_at == LOOKED_AT {
				return Some(RoundPage { rounds, next: Some(index) });
			}
			looked_at = looked_at.saturating_add(1);
			// A programme that waits for its first round has none under this number yet.
			let round = Self::round_info(programme, index);
			rounds.extend(round.filter(|r| state.is_none_or(|state| r.phase.state() == state)));
		}
		Some(RoundPage { rounds, next: None })
	}

	/// A round, running or settled.
	pub fn round_info(
		programme: ProgrammeId,
		index: RoundIndex,
	) -> Option<RoundInfo<T::AccountId, BlockNumberFor<T>>> {
		let Some(s) = Settled::<T>::get(programme, index) else {
			return Self::current_round(programme).filter(|r| r.index == index);
		};
		let (phase, settled, result_record, updates, failure) = match s.outcome {
			Outcome::Finalised { result, quality, record, updates } => {
				(Phase::Finalised, Some(Revealed { result, quality }), Some(record), Some(updates), None)
			},
			Outcome::Failed(reason) => (Phase::Failed, None, None, None, Some(reason)),
		};
		let member = |(account, outcome)| {
			let revealed = settled.filter(|_| outcome == MemberOutcome::Agreed);
			MemberInfo {
				account,
				bitmap: None,
				committed: outcome != MemberOutcome::Silent,
				revealed: revealed.map(|r| r.result),
				quality: revealed.map(|r| r.quality),
				outcome: Some(outcome),
			}
		};
		let challenge = s.audit.map(|Audit { challenger, claimed, verdict, committee }| ChallengeInfo {
			challenger,
			claimed,
			committee: committee.into_iter().map(member).collect(),
			verdict: Some(verdict),
		});
		Some(RoundInfo {
			programme,
			index,
			attempt: s.attempt,
			phase,
			deadline: Some(s.settled),
			opened: s.opened,
			base: s.base,
			base_record: s.base_record,
			terms: s.terms,
			commit_count: s.commit_count,
			commits: Vec::new(),
			committee: s.committee.into_iter().map(member).collect(),
			included: s.included.into_inner(),
			bucketing_seed: s.bucketing_seed,
			result: settled.map(|r| r.result),
			quality: settled.map(|r| r.quality),
			challenge,
			result_record,
			updates,
			failure,
		})
	}
}
