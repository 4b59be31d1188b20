use crate::{mock::*, CommitOrder, Commits, Error, Event, GenesisProgramme, Members};
use cairn_primitives::{
	ledger::batch_root,
	round::terms_digest,
	views::{FailureReason, MemberOutcome, Phase, ProgrammeState},
	AggregationRule, Record, RecordKind, Schedule, Settings,
};
use frame_support::{assert_noop, assert_ok};
use sp_runtime::{BoundedVec, DispatchError};

#[test]
fn finalised_round_links_base_updates_and_next_weights() {
	run(|| {
		commit_all();
		let members = committee();
		for member in &members {
			// Update 1 is left out by all.
			if phase() == Phase::Availability {
				assert_ok!(vote(member, |i| i != 1));
			}
		}
		let result = next_weights();
		for member in &members {
			assert_ok!(commit_result(member, result));
		}
		for member in &members {
			assert_ok!(reveal(member, result));
		}
		let round = Training::round_info(0, 0).expect("settled");
		assert_eq!((round.phase, round.included.clone()), (Phase::Finalised, vec![0b1101]));
		assert!(round.committee.iter().all(|m| m.outcome == Some(MemberOutcome::Agreed)));
		let range = round.updates.expect("updates");
		let common = Record {
			kind: RecordKind::Update,
			artifact: result,
			base: Some(1),
			inputs: None,
			terms: None,
			producer: None,
			device: None,
			site: None,
			programme: 0,
			round: Some(0),
			block: System::block_number(),
		};
		let mut records: Vec<_> = [6u8, 8, 9]
			.map(|n| Record {
				artifact: hash(1_000 + u64::from(n)),
				producer: Some(acc(n)),
				device: Hardware::active_device(&acc(n)),
				site: Hardware::active_device_at(&acc(n)).map(|(_, site)| site),
				..common.clone()
			})
			.into();
		// Whoever has the round's terms can tell that they are those that the chain settled it under.
		let terms = terms_digest(&round.terms, round.bucketing_seed.as_ref(), round.quality.as_ref());
		let terms = Some(terms);
		records.push(Record { kind: RecordKind::Weights, inputs: Some(range), terms, ..common });
		// State has the root, which names exactly these records.
		let weights = round.result_record.expect("recorded");
		let batch = Provenance::batch_of_weights(weights, &result, 0).expect("recorded");
		assert_eq!((batch.first, batch.count), (range.first, 4));
		assert_eq!(batch.root, batch_root(range.first, &records));
		let next = Training::current_round(0).expect("the next round is open");
		assert_eq!((next.index, next.base, next.base_record), (1, result, round.result_record.unwrap_or(0)));
		assert_eq!(Commits::<Test>::iter().count() + CommitOrder::<Test>::iter().count(), 0);
		assert_eq!(Members::<Test>::iter().count(), 0);
	});
}

#[test]
fn reward_goes_to_included_trainers_by_steps_and_to_the_committee() {
	run(|| {
		let members = {
			commit_all();
			committee()
		};
		assert_ok!(vote(&members[0], |i| i < 3));
		assert_ok!(vote(&members[1], |i| i < 3));
		let result = next_weights();
		for member in &members {
			assert_ok!(commit_result(member, result));
		}
		for member in &members {
			assert_ok!(reveal(member, result));
		}
		for trainer in 6..=8 {
			let earned = Rewards::reward_info(0, &acc(trainer));
			assert_eq!((earned.points, earned.claimable), (500, 300));
		}
		assert_eq!(Rewards::reward_info(0, &acc(9)).claimable, 0);
		for member in &members {
			let earned = Rewards::reward_info(0, member);
			assert_eq!((earned.points, earned.claimable), (3, 33));
		}
		assert_eq!(Rewards::pot_free(0), 100_000 - 900 - 99);
		assert_ok!(Rewards::claim(signed(6), 0));
	});
}

#[test]
fn points_are_local_steps_times_quality() {
	run(|| {
		commit_all();
		let members = committee();
		for member in &members {
			assert_ok!(vote(member, |i| i != 2));
		}
		let (result, quality) = (next_weights(), BoundedVec::truncate_from(vec![100, 0, 50]));
		for member in &members {
			assert_ok!(commit_with_quality(member, result, &quality));
		}
		for member in &members {
			assert_ok!(reveal_with(member, result, quality.clone()));
		}
		let earned = |n: u8| {
			let earned = Rewards::reward_info(0, &acc(n));
			(earned.points, earned.claimable)
		};
		assert_eq!([6, 7, 8, 9].map(earned), [(500, 600), (0, 0), (0, 0), (250, 300)]);
	});
}

#[test]
fn committee_that_agrees_on_the_weights_but_not_on_the_quality_does_not_agree() {
	run(|| {
		commit_all();
		let members = committee();
		for member in &members {
			assert_ok!(vote(member, |_| true));
		}
		let qualities: Vec<_> = (0..3).map(|n| BoundedVec::truncate_from(vec![90 + n; 4])).collect();
		for (member, quality) in members.iter().zip(&qualities) {
			assert_ok!(commit_with_quality(member, next_weights(), quality));
		}
		for (member, quality) in members.iter().zip(&qualities) {
			assert_ok!(reveal_with(member, next_weights(), quality.clone()));
		}
		assert_eq!((round().attempt, phase()), (1, Phase::Availability));
	});
}

#[test]
fn programme_is_complete_after_its_rounds() {
	run(|| {
		for _ in 0..3 {
			finalise_round();
		}
		let info = Training::programme_info(0).expect("exists");
		assert_eq!((info.state, info.finalised, info.round), (ProgrammeState::Completed, 3, 2));
		System::assert_has_event(Event::ProgrammeCompleted { programme: 0 }.into());
		// Nobody sponsored it, so what the rounds left went to the treasury, and what was earned is still there.
		assert_eq!(Rewards::pot_free(0), 0);
		assert_ok!(Rewards::claim(signed(6), 0));
		assert_eq!(Training::current_round(0), None);
		assert_noop!(Training::advance(signed(20), 0), Error::<Test>::ProgrammeCompleted);
	});
}

#[test]
fn programme_whose_pot_is_spent_waits_until_it_is_funded() {
	run_with(vec![GenesisProgramme { pot: 1_500, ..programme() }], || {
		finalise_round();
		let info = Training::programme_info(0).expect("exists");
		assert_eq!((info.state, info.round), (ProgrammeState::Unfunded, 0));
		assert_noop!(Training::advance(signed(20), 0), Error::<Test>::PotTooSmall);
		assert_ok!(Rewards::fund(signed(20), 0, 1_000));
		assert_ok!(Training::advance(signed(20), 0));
		assert_eq!(round().index, 1);
		finalise_round();
	});
}

#[test]
fn pot_endowed_with_exactly_the_rewards_pays_for_every_round() {
	run_with(vec![GenesisProgramme { pot: 3_000, ..programme() }], || {
		for _ in 0..3 {
			finalise_round();
		}
		assert_eq!(Training::programme_info(0).map(|p| p.state), Some(ProgrammeState::Completed));
	});
}

#[test]
fn dissenting_member_is_recorded_and_not_paid() {
	run(|| {
		commit_all();
		let members = committee();
		assert_ok!(vote(&members[0], |_| true));
		assert_ok!(vote(&members[1], |_| true));
		let result = next_weights();
		for (member, hash) in members.iter().zip([result, hash(666), result]) {
			assert_ok!(commit_result(member, hash));
		}
		for (member, hash) in members.iter().zip([result, hash(666), result]) {
			assert_ok!(reveal(member, hash));
		}
		System::assert_has_event(
			Event::MemberFaulted {
				programme: 0,
				round: 0,
				attempt: 0,
				member: members[1].clone(),
				outcome: MemberOutcome::Dissented,
			}
			.into(),
		);
		let round = Training::round_info(0, 0).expect("settled");
		assert_eq!(round.result, Some(result));
		assert_eq!(round.committee[1].outcome, Some(MemberOutcome::Dissented));
		assert_eq!(Rewards::reward_info(0, &members[1]).claimable, 0);
		assert_eq!(Rewards::reward_info(0, &members[0]).claimable, 50);
	});
}

#[test]
fn committee_without_agreement_is_replaced_and_the_commits_stay() {
	run(|| {
		commit_all();
		let members = committee();
		assert_ok!(vote(&members[0], |_| true));
		assert_ok!(vote(&members[1], |_| true));
		for (n, member) in members.iter().enumerate() {
			assert_ok!(commit_result(member, hash(600 + n as u64)));
		}
		for (n, member) in members.iter().enumerate() {
			assert_ok!(reveal(member, hash(600 + n as u64)));
		}
		let again = round();
		assert_eq!((again.index, again.attempt, again.phase), (0, 1, Phase::Availability));
		assert_eq!((again.commit_count, again.included.len()), (4, 0));
		let members = committee();
		assert_ok!(vote(&members[0], |_| true));
		assert_ok!(vote(&members[1], |_| true));
		let result = next_weights();
		for member in &members {
			assert_ok!(commit_result(member, result));
		}
		for member in &members {
			assert_ok!(reveal(member, result));
		}
		let settled = Training::round_info(0, 0).expect("settled");
		assert_eq!((settled.attempt, settled.result), (1, Some(result)));
	});
}

#[test]
fn agreed_aggregate_that_was_recorded_before_fails_the_round() {
	run(|| {
		commit_all();
		let members = committee();
		assert_ok!(vote(&members[0], |_| true));
		assert_ok!(vote(&members[1], |_| true));
		for member in &members {
			assert_ok!(commit_result(member, hash(2)));
		}
		for member in &members {
			assert_ok!(reveal(member, hash(2)));
		}
		assert_eq!(Training::round_info(0, 0).and_then(|r| r.failure), Some(FailureReason::AlreadyRecorded));
		assert_eq!(round().index, 1);
	});
}

#[test]
fn advance_is_refused_when_nothing_is_due_or_nothing_is_there() {
	run(|| {
		assert_noop!(Training::advance(signed(20), 0), Error::<Test>::NotDue);
		assert_noop!(Training::advance(signed(20), 1), Error::<Test>::UnknownProgramme);
		assert_ok!(commit(6));
		pass_blocks(10);
		assert_noop!(Training::advance(signed(20), 0), Error::<Test>::NotDue);
		for origin in [RuntimeOrigin::root(), RuntimeOrigin::none()] {
			assert_noop!(Training::advance(origin, 0), DispatchError::BadOrigin);
		}
	});
}

#[test]
fn weight_charged_never_exceeds_the_weight_declared() {
	use frame_support::dispatch::GetDispatchInfo;
	let challenged = GenesisProgramme {
		schedule: Schedule { challenge: 5, ..programme().schedule },
		audit_size: Some(5),
		challenge_bond: 100,
		..programme()
	};
	run_with(vec![challenged], || {
		let declared = |call: crate::Call<Test>| RuntimeCall::Training(call).get_dispatch_info().call_weight;
		let charged = |result: crate::DispatchResultWithPostInfo| {
			result.expect("accepted").actual_weight.expect("refunded")
		};
		let mut pairs = Vec::new();
		let call = crate::Call::commit_update {
			programme: 0,
			round: 0,
			artifact: hash(0),
			samples: 1,
			local_steps: 1,
		};
		for n in 6..=9 {
			pairs.push((charged(commit(n)), declared(call.clone())));
		}
		// Only the commit that drew the committee pays for the draw.
		assert!(pairs[0].0.all_lt(pairs[3].0));
		let (programme, round, attempt) = (0, 0, 0);
		let vote_call =
			|| crate::Call::vote_availability { programme, round, attempt, bitmap: BoundedVec::new() };
		let commit_call = || crate::Call::commit_aggregate { programme, round, attempt, commitment: hash(0) };
		let (result, quality, salt) = (hash(0), BoundedVec::new(), SALT);
		let reveal_call = || crate::Call::reveal_aggregate {
			programme,
			round,
			attempt,
			result,
			quality: quality.clone(),
			salt,
		};
		let work = |members: &[sp_core::crypto::AccountId32]| {
			let mut pairs = Vec::new();
			for member in members {
				pairs.push((charged(commit_result(member, next_weights())), declared(commit_call())));
			}
			let result = next_weights();
			for member in members {
				pairs.push((charged(reveal(member, result)), declared(reveal_call())));
			}
			pairs
		};
		for member in committee() {
			pairs.push((charged(vote(&member, |_| true)), declared(vote_call())));
		}
		pairs.extend(work(&committee()));
		let challenge = crate::Call::challenge { programme, round, claimed: hash(1) };
		let dispute = Training::challenge(signed(20), 0, 0, hash(1));
		pairs.push((charged(dispute), declared(challenge)));
		pairs.extend(work(&auditors()));
		let advance = crate::Call::advance { programme };
		assert_ok!(commit(6));
		assert_ok!(commit(7));
		pass_blocks(11);
		pairs.push((charged(Training::advance(signed(20), 0)), declared(advance)));
		for (n, (charged, declared)) in pairs.iter().enumerate() {
			assert!(charged.all_lte(*declared), "call {n}: {charged:?} of {declared:?}");
		}
	});
}

#[test]
fn order_of_buckets_is_drawn_when_inclusion_is_settled_and_anew_with_another_committee() {
	let mut programme = programme();
	programme.aggregation.bucketing = Some(2);
	run_with(vec![programme], || {
		commit_all();
		assert_eq!(round().bucketing_seed, None);
		let members = committee();
		// Two of three settle it.
		for member in &members[..2] {
			assert_eq!(round().bucketing_seed, None);
			assert_ok!(vote(member, |_| true));
		}
		let first = round().bucketing_seed.expect("drawn with inclusion");
		// Nobody agrees, so another committee has to.
		aggregate(&members, &[hash(1), hash(2), hash(3)]);
		assert_eq!((round().attempt, round().bucketing_seed), (1, None));
		let members = committee();
		for member in &members[..2] {
			assert_ok!(vote(member, |_| true));
		}
		let second = round().bucketing_seed.expect("drawn with inclusion");
		assert_ne!(first, second);
		aggregate(&members, &[next_weights(); 3]);
		assert_eq!(Training::round_info(0, 0).and_then(|r| r.bucketing_seed), Some(second));
	});
}

#[test]
fn settled_round_keeps_the_terms_that_it_ran_under() {
	run(|| {
		let before = round().terms;
		let settings = programme().settings().expect("they fit");
		let amended = Settings {
			aggregation: AggregationRule::CoordinateMedian.into(),
			max_samples: settings.max_samples + 1,
			max_local_steps: settings.max_local_steps + 1,
			..settings
		};
		assert_ok!(Training::amend(0, amended.clone()));
		finalise_round();
		finalise_round();
		assert_eq!(Training::round_info(0, 0).map(|r| r.terms), Some(before));
		assert_eq!(Training::round_info(0, 1).map(|r| r.terms), Some(amended.terms()));
		assert_ne!(before, amended.terms());
	});
}
