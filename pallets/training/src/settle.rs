//! The end of a round: how each member did, who is paid, what stays.

use super::*;
use alloc::vec::Vec;
use cairn_primitives::round::{fault_evidence, terms_digest, Revealed};
use frame_support::storage::with_storage_layer;
use pallet_provenance::IncludedUpdate;
use pallet_rewards::Share;

/// The members of a committee, and what each of them revealed.
pub(crate) type Sat<AccountId> = Vec<(AccountId, Option<Revealed>)>;
/// The members of a committee, and how each of them did.
pub(crate) type Judged<T> =
	BoundedVec<(<T as frame_system::Config>::AccountId, MemberOutcome), <T as Config>::MaxCommittee>;

/// What becomes known of members who did not reveal what they should have.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Blame {
	/// Nothing: the round did not come to where it matters.
	Nobody,
	/// An event tells. Where nothing was settled, nobody can say who was wrong.
	Record,
	/// Whoever revealed something else than was settled is reported besides, on the evidence of its own commitment.
	/// Silence is only recorded: it costs its own reward.
	Report,
}

/// What members are measured by.
pub(crate) struct Judgement {
	/// What was right in the end.
	pub(crate) settled: Option<Revealed>,
	/// What an audit overturned.
	pub(crate) overturned: Option<Revealed>,
	/// What becomes known of the others.
	pub(crate) blame: Blame,
}

impl<T: Config> Pallet<T> {
	/// Takes the seats from the committee at work, and forgets all that it did but what it revealed.
	pub(crate) fn dismiss(programme: ProgrammeId, running: &mut RunningOf<T>) -> Sat<T::AccountId> {
		let sat: Sat<_> = core::mem::take(&mut running.committee)
			.into_iter()
			.zip(0u32..)
			.map(|(account, seat)| (account, Members::<T>::take(programme, seat).revealed))
			.collect();
		Self::release(programme, &sat);
		sat
	}

	/// Lets go of the bonds of those who sat, and of the bytes that they revealed.
	fn release(programme: ProgrammeId, sat: &[(T::AccountId, Option<Revealed>)]) {
		for (account, revealed) in sat {
			Serving::<T>::mutate_exists(account, |n| {
				*n = n.and_then(|n| n.checked_sub(1)).filter(|n| *n > 0);
			});
			if let Some(revealed) = revealed {
				Qualities::<T>::remove(programme, revealed.quality);
			}
		}
	}

	/// How each member did, next to what its committee should have revealed.
	pub(crate) fn judge(
		programme: ProgrammeId,
		round: RoundIndex,
		attempt: u32,
		sat: Sat<T::AccountId>,
		by: &Judgement,
	) -> Judged<T> {
		let genesis = Self::genesis_hash();
		let judged = sat.into_iter().map(|(member, revealed)| {
			let outcome = match revealed {
				None => MemberOutcome::Silent,
				Some(_) if revealed == by.settled => MemberOutcome::Agreed,
				Some(_) if revealed == by.overturned => MemberOutcome::Overturned,
				Some(_) => MemberOutcome::Dissented,
			};
			if outcome != MemberOutcome::Agreed && by.blame != Blame::Nobody {
				Self::deposit_event(Event::MemberFaulted {
					programme,
					round,
					attempt,
					member: member.clone(),
					outcome,
				});
			}
			let fault = match outcome {
				MemberOutcome::Agreed | MemberOutcome::Silent => None,
				MemberOutcome::Overturned => Some(FaultKind::Overturned),
				MemberOutcome::Dissented => Some(FaultKind::Dissented),
			};
			if let (Blame::Report, Some(fault), Some(revealed), Some(settled)) =
				(by.blame, fault, revealed, by.settled)
			{
				let who = member.as_ref();
				let evidence = fault_evidence(&genesis, programme, round, attempt, who, &revealed, &settled);
				pallet_rewards::Pallet::<T>::report_fault(&member, fault, evidence);
			}
			(member, outcome)
		});
		BoundedVec::truncate_from(judged.collect())
	}

	/// Ends the round without a result. Nothing is paid, and nobody is reported.
	pub(crate) fn fail(
		programme: ProgrammeId,
		entry: ProgrammeOf<T>,
		mut running: RunningOf<T>,
		reason: FailureReason,
	) -> Step {
		let (round, attempt) = (running.index, running.attempt);
		// Of a round that failed for another reason, its committee need not have revealed anything.
		let blame = match reason {
			FailureReason::NoAgreement | FailureReason::NoVerdict => Blame::Record,
			_ => Blame::Nobody,
		};
		let nothing = Judgement { settled: None, overturned: None, blame };
		let agreed = Judgement { settled: running.agreed, overturned: None, blame };
		let sat = Self::dismiss(programme, &mut running);
		let (committee, audit) = match Disputes::<T>::take(programme) {
			None => (Self::judge(programme, round, attempt, sat, &agreed), None),
			Some(Dispute { challenger, claimed, bond, attempt: first, panel }) => {
				let auditors = Self::judge(programme, round, attempt, sat, &nothing);
				let panel = panel.into_inner();
				Self::release(programme, &panel);
				let judged = Self::judge(programme, round, first, panel, &agreed);
				let verdict = Verdict::None;
				Self::release_challenger(programme, round, &challenger, bond, verdict);
				(judged, Some(Audit { challenger, claimed, verdict, committee: auditors }))
			},
		};
		Self::deposit_event(Event::RoundFailed { programme, round, reason });
		Self::settle(programme, entry, running, committee, audit, Outcome::Failed(reason))
	}

	/// The programme is closed while its round runs: the committees are free, the challenger has its bond back, nobody is
	/// faulted and nobody is paid.
	pub(crate) fn abandon(programme: ProgrammeId, entry: ProgrammeOf<T>, mut running: RunningOf<T>) -> Step {
		let (round, reason) = (running.index, FailureReason::ProgrammeClosed);
		Self::dismiss(programme, &mut running);
		let audit = Disputes::<T>::take(programme).map(|dispute| {
			let Dispute { challenger, claimed, bond, panel, .. } = dispute;
			Self::release(programme, &panel);
			Self::release_challenger(programme, round, &challenger, bond, Verdict::None);
			Audit { challenger, claimed, verdict: Verdict::None, committee: BoundedVec::new() }
		});
		Self::deposit_event(Event::RoundFailed { programme, round, reason });
		Self::settle(programme, entry, running, BoundedVec::new(), audit, Outcome::Failed(reason))
	}

	/// The challenger was right, or nobody could say: it has its bond back.
	fn release_challenger(
		programme: ProgrammeId,
		round: RoundIndex,
		challenger: &T::AccountId,
		bond: BalanceOf<T>,
		verdict: Verdict,
	) {
		pallet_rewards::Pallet::<T>::release_challenge_bond(challenger, bond);
		let challenger = challenger.clone();
		Self::deposit_event(Event::ChallengeSettled { programme, round, challenger, verdict });
	}

	/// Ends the round with what was agreed, unless the result has a record already.
	pub(crate) fn finalise(
		programme: ProgrammeId,
		mut entry: ProgrammeOf<T>,
		mut running: RunningOf<T>,
		settled: Revealed,
	) -> Step {
		let Revealed { result, quality: digest } = settled;
		if pallet_provenance::Pallet::<T>::is_recorded(&result) {
			return Self::fail(programme, entry, running, FailureReason::AlreadyRecorded);
		}
		let quality = Qualities::<T>::get(programme, digest).unwrap_or_default();
		let included: Vec<_> = (0u32..)
			.zip(CommitOrder::<T>::get(programme))
			.filter(|(i, _)| bitmap::get(&running.included, *i))
			.filter_map(|(_, device)| Commits::<T>::get(programme, device))
			.collect();
		let updates = included
			.iter()
			.map(|c| IncludedUpdate {
				producer: c.producer.clone(),
				device: c.device,
				site: c.site,
				artifact: c.artifact,
			})
			.collect();
		let records = pallet_provenance::Pallet::<T>::record_round(
			programme,
			running.index,
			running.base_record,
			updates,
			result,
			terms_digest(&entry.settings.terms(), running.bucketing_seed.as_ref(), Some(&digest)),
		);

		let (round, attempt) = (running.index, running.attempt);
		let sat = Self::dismiss(programme, &mut running);
		let by = Judgement { settled: Some(settled), overturned: None, blame: Blame::Report };
		let last = Self::judge(programme, round, attempt, sat, &by);
		let (committee, audit) = match Disputes::<T>::take(programme) {
			None => (last, None),
			Some(Dispute { challenger, claimed, bond, attempt: first, panel }) => {
				let by = Judgement { overturned: running.agreed, ..by };
				let panel = panel.into_inner();
				Self::release(programme, &panel);
				let judged = Self::judge(programme, round, first, panel, &by);
				let verdict = match running.agreed == Some(settled) {
					true => Verdict::Upheld,
					false => Verdict::Overturned,
				};
				if verdict == Verdict::Upheld {
					let claim = Revealed { result: claimed, quality: H256::zero() };
					let (genesis, who) = (Self::genesis_hash(), challenger.as_ref());
					let evidence = fault_evidence(&genesis, programme, round, attempt, who, &claim, &settled);
					pallet_rewards::Pallet::<T>::forfeit_challenge_bond(&challenger, bond, evidence);
					let challenger = challenger.clone();
					Self::deposit_event(Event::ChallengeSettled { programme, round, challenger, verdict });
				} else {
					Self::release_challenger(programme, round, &challenger, bond, verdict);
				}
				(judged, Some(Audit { challenger, claimed, verdict, committee: last }))
			},
		};
		let auditors = audit.iter().flat_map(|a| a.committee.iter());
		Self::reward(programme, &entry, &included, &quality, committee.iter().chain(auditors));

		entry.weights = result;
		entry.weights_record = records.weights;
		entry.finalised = entry.finalised.saturating_add(1);
		let count = records.updates.count;
		Self::deposit_event(Event::RoundFinalised {
			programme,
			round,
			result,
			quality: digest,
			updates: count,
		});
		let outcome =
			Outcome::Finalised { result, quality: digest, record: records.weights, updates: records.updates };
		Self::settle(programme, entry, running, committee, audit, outcome)
	}

	/// Points for a finalised round: to each included update its local steps × its quality, to each member that revealed
	/// what was settled, auditors like others, the number of updates it checked. Trainers and committees share the
	/// reward as the programme says.
	fn reward<'a>(
		programme: ProgrammeId,
		entry: &ProgrammeOf<T>,
		included: &[CommitOfT<T>],
		quality: &[u8],
		members: impl Iterator<Item = &'a (T::AccountId, MemberOutcome)>,
	) where
		T::AccountId: 'a,
	{
		let total = entry.settings.reward_per_round;
		// `committee_share` is at most 100, so neither the product's quotient nor the difference can go wrong.
		let for_committee = (total / 100) * u128::from(entry.settings.committee_share)
			+ (total % 100) * u128::from(entry.settings.committee_share) / 100;
		let trainers: Vec<_> = included
			.iter()
			.zip(quality)
			.map(|(c, quality)| Share {
				account: c.producer.clone(),
				site: c.site,
				// Two factors below 2³² and 2⁸.
				points: u128::from(c.local_steps).saturating_mul(u128::from(*quality)),
			})
			.collect();
		// The cap on a site binds trainers only, so it does not matter where a member stands.
		let members: Vec<_> = members
			.filter(|(_, outcome)| *outcome == MemberOutcome::Agreed)
			.map(|(account, _)| Share { account: account.clone(), site: 0, points: included.len() as u128 })
			.collect();
		let for_trainers = total.saturating_sub(for_committee);
		let site_cap = T::Policy::site_cap();
		let paid = with_storage_layer(|| {
			pallet_rewards::Pallet::<T>::accrue(programme, for_trainers, &trainers, site_cap)?;
			pallet_rewards::Pallet::<T>::accrue(programme, for_committee, &members, 100)
		});
		// The round opened only because the free pot covered the reward, and nothing but rounds takes from it. Should it
		// fail all the same, the model must not be lost with the pay.
		frame_support::defensive_assert!(paid.is_ok());
	}

	/// Writes down what came of the round, removes what only a running round needs, and opens the next one.
	fn settle(
		programme: ProgrammeId,
		mut entry: ProgrammeOf<T>,
		running: RunningOf<T>,
		committee: Judged<T>,
		audit: Option<AuditOf<T>>,
		outcome: Outcome,
	) -> Step {
		for device in CommitOrder::<T>::take(programme) {
			Commits::<T>::remove(programme, device);
		}
		Running::<T>::remove(programme);
		if running.phase != Phase::Commit {
			entry.released = entry.released.saturating_add(1);
		}
		let auditors = audit.as_ref().map_or(0, |a| a.committee.len());
		let seats = committee.len().saturating_add(auditors) as u32;
		let step = Step::Settled { candidates: 0, updates: running.commit_count, seats };
		Settled::<T>::insert(
			programme,
			running.index,
			SettledRound {
				attempt: running.attempt,
				opened: running.opened,
				settled: frame_system::Pallet::<T>::block_number(),
				base: running.base,
				base_record: running.base_record,
				terms: entry.settings.terms(),
				commit_count: running.commit_count,
				committee,
				included: running.included,
				bucketing_seed: running.bucketing_seed,
				audit,
				outcome,
			},
		);
		Self::go_on(programme, entry);
		step
	}
}
