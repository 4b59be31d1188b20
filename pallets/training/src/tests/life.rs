//! Opening, amending, pausing, resuming and closing programmes, and the policy that binds them.

use crate::{mock::*, Error, Event, PolicyBreach, Programmes, Serving, Setting};
use cairn_primitives::{
	views::{FailureReason, Phase, ProgrammeState},
	AggregationRule, Settings,
};
use frame_support::{assert_noop, assert_ok, assert_storage_noop};
use sp_runtime::DispatchError;

fn settings() -> Settings<u128> {
	programme().settings().expect("they fit")
}

fn state(id: u32) -> ProgrammeState {
	Programmes::<Test>::get(id).expect("exists").state
}

mod open {
	use super::*;

	#[test]
	fn opened_programme_waits_for_its_pot_and_then_runs() {
		run(|| {
			let id = Training::open(settings()).expect("opens");
			assert_eq!((id, state(1)), (1, ProgrammeState::Unfunded));
			System::assert_has_event(Event::ProgrammeOpened { programme: 1 }.into());
			assert_noop!(Training::advance(signed(20), 1), Error::<Test>::PotTooSmall);
			assert_ok!(Rewards::fund(signed(20), 1, 1_001));
			assert_ok!(Training::advance(signed(20), 1));
			let round = Training::current_round(1).expect("runs");
			assert_eq!((round.index, round.base), (0, hash(2)));
		});
	}

	#[test]
	fn programme_out_of_bounds_or_against_the_policy_is_not_opened() {
		run(|| {
			type Change = fn(&mut Settings<u128>);
			let cases: [(Setting, Change); 10] = [
				(Setting::CommitteeSize, |s| s.committee_size = 8),
				(Setting::AuditSize, |s| (s.schedule.challenge, s.audit_size) = (1, 3)),
				(Setting::ChallengeBond, |s| (s.schedule.challenge, s.audit_size) = (1, 4)),
				(Setting::MaxUpdates, |s| s.max_updates = 0),
				(Setting::Rounds, |s| s.rounds = 0),
				(Setting::CommitWindow, |s| s.schedule.commit = 0),
				(Setting::CommitteeShare, |s| s.committee_share = 101),
				(Setting::Licence, |s| s.licence = b"two words".to_vec().try_into().expect("fits")),
				(Setting::DataCategory, |s| s.data_category = vec![0].try_into().expect("fits")),
				(Setting::Aggregation, |s| {
					s.aggregation.rule = AggregationRule::CenteredClipping { radius: 0, iterations: 3 };
				}),
			];
			for (setting, change) in cases {
				let mut wrong = settings();
				change(&mut wrong);
				assert_noop!(Training::open(wrong), Error::<Test>::SettingOutOfBounds(setting));
			}
			Forbidden::set(&true);
			assert_noop!(Training::open(settings()), DispatchError::Other("forbidden"));
		});
	}
}

mod amend {
	use super::*;

	#[test]
	fn amendment_binds_from_the_next_round_on() {
		run(|| {
			assert_ok!(commit(6));
			let amended = Settings { committee_size: 4, min_updates: 1, rounds: 5, ..settings() };
			assert_ok!(Training::amend(0, amended.clone()));
			System::assert_last_event(Event::ProgrammeAmended { programme: 0 }.into());
			assert_eq!(Training::programme_info(0).map(|p| p.committee_size), Some(3));
			for n in 7..=9 {
				assert_ok!(commit(n));
			}
			assert_eq!(committee().len(), 3);
			for member in committee() {
				if phase() == Phase::Availability {
					assert_ok!(vote(&member, |_| true));
				}
			}
			let result = next_weights();
			for member in committee() {
				assert_ok!(commit_result(&member, result));
			}
			for member in committee() {
				assert_ok!(reveal(&member, result));
			}
			let entry = Programmes::<Test>::get(0).expect("exists");
			assert_eq!((entry.settings, entry.next), (amended, None));
			commit_all();
			assert_eq!(committee().len(), 4);
		});
	}

	#[test]
	fn amending_to_what_holds_withdraws_the_amendment_that_waits() {
		run(|| {
			assert_ok!(Training::amend(0, Settings { rounds: 9, ..settings() }));
			assert_ok!(Training::amend(0, settings()));
			assert_eq!(Programmes::<Test>::get(0).and_then(|p| p.next), None);
		});
	}

	#[test]
	fn fewer_rounds_complete_the_programme_as_soon_as_they_are_done() {
		run(|| {
			finalise_round();
			assert_noop!(
				Training::amend(0, Settings { rounds: 1, ..settings() }),
				Error::<Test>::SettingOutOfBounds(Setting::Rounds)
			);
			assert_ok!(Training::amend(0, Settings { rounds: 2, ..settings() }));
			finalise_round();
			assert_eq!(state(0), ProgrammeState::Completed);
			assert_noop!(Training::amend(0, settings()), Error::<Test>::ProgrammeCompleted);
		});
	}

	#[test]
	fn amendment_opens_the_round_of_a_programme_that_could_not_afford_one() {
		run_with(vec![crate::GenesisProgramme { pot: 500, ..programme() }], || {
			assert_eq!(state(0), ProgrammeState::Unfunded);
			assert_ok!(Training::amend(0, Settings { reward_per_round: 400, ..settings() }));
			assert_eq!(state(0), ProgrammeState::Open);
			finalise_round();
		});
	}

	#[test]
	fn amendment_of_what_participants_agreed_to_is_rejected() {
		run(|| {
			type Change = fn(&mut Settings<u128>);
			let cases: [(Setting, Change); 6] = [
				(Setting::Name, |s| s.name = Default::default()),
				(Setting::Config, |s| s.config = hash(9)),
				(Setting::GenesisWeights, |s| s.genesis_weights = hash(9)),
				(Setting::Licence, |s| s.licence = b"MIT".to_vec().try_into().expect("fits")),
				(Setting::DataCategory, |s| s.data_category = b"text".to_vec().try_into().expect("fits")),
				(Setting::EpsilonPerRound, |s| s.epsilon_per_round = Some(1)),
			];
			for (setting, change) in cases {
				let mut wrong = settings();
				change(&mut wrong);
				assert_noop!(Training::amend(0, wrong), Error::<Test>::SettingFixed(setting));
			}
		});
	}

	#[test]
	fn amendment_that_is_out_of_bounds_forbidden_or_of_nothing_is_rejected() {
		run(|| {
			assert_noop!(Training::amend(1, settings()), Error::<Test>::UnknownProgramme);
			assert_noop!(
				Training::amend(0, Settings { committee_size: 0, ..settings() }),
				Error::<Test>::SettingOutOfBounds(Setting::CommitteeSize)
			);
			Forbidden::set(&true);
			assert_noop!(Training::amend(0, settings()), DispatchError::Other("forbidden"));
			assert_ok!(Training::close(0));
			assert_noop!(Training::amend(0, settings()), Error::<Test>::ProgrammeClosed);
		});
	}
}

mod pause {
	use super::*;

	#[test]
	fn paused_round_takes_nothing_in_the_same_block() {
		run(|| {
			assert_ok!(commit(6));
			assert_ok!(Training::pause(0));
			System::assert_last_event(Event::ProgrammePaused { programme: 0 }.into());
			assert_noop!(commit(7), Error::<Test>::ProgrammePaused);
			assert_noop!(Training::advance(signed(20), 0), Error::<Test>::ProgrammePaused);
			assert_noop!(Training::pause(0), Error::<Test>::ProgrammePaused);
			assert_ok!(Training::resume(0));
			for n in 7..=9 {
				assert_ok!(commit(n));
			}
			let members = committee();
			assert_ok!(Training::pause(0));
			assert_noop!(vote(&members[0], |_| true), Error::<Test>::ProgrammePaused);
			assert_noop!(commit_result(&members[0], hash(9)), Error::<Test>::ProgrammePaused);
			assert_noop!(reveal(&members[0], hash(9)), Error::<Test>::ProgrammePaused);
		});
	}

	#[test]
	fn windows_stand_still_while_a_programme_is_paused() {
		run(|| {
			assert_ok!(commit(6));
			assert_eq!(round().deadline, Some(11));
			pass_blocks(4);
			assert_ok!(Training::pause(0));
			pass_blocks(1_000);
			assert_ok!(Training::resume(0));
			System::assert_last_event(Event::ProgrammeResumed { programme: 0 }.into());
			assert_eq!((state(0), round().deadline), (ProgrammeState::Open, Some(1_011)));
			pass_blocks(6);
			assert_ok!(commit(7));
			pass_blocks(1);
			assert_noop!(commit(8), Error::<Test>::CommitWindowClosed);
			assert_ok!(Training::advance(signed(20), 0));
			assert_eq!(phase(), Phase::Availability);
		});
	}

	#[test]
	fn clock_that_has_not_started_does_not_start_by_a_pause() {
		run(|| {
			assert_ok!(Training::pause(0));
			pass_blocks(50);
			assert_ok!(Training::resume(0));
			assert_eq!(round().deadline, None);
			finalise_round();
		});
	}

	#[test]
	fn programme_without_a_round_can_be_paused_and_is_looked_at_anew_when_resumed() {
		run_with(vec![crate::GenesisProgramme { pot: 0, ..programme() }], || {
			assert_ok!(Training::pause(0));
			assert_ok!(Rewards::fund(signed(20), 0, 1_000));
			assert_noop!(Training::advance(signed(20), 0), Error::<Test>::ProgrammePaused);
			assert_ok!(Training::amend(0, Settings { reward_per_round: 900, ..settings() }));
			assert_eq!(state(0), ProgrammeState::Paused);
			assert_ok!(Training::resume(0));
			let info = Training::programme_info(0).expect("exists");
			assert_eq!((info.state, info.reward_per_round), (ProgrammeState::Open, 900));
		});
	}

	#[test]
	fn pause_and_resume_of_what_does_not_run_is_rejected() {
		run(|| {
			assert_noop!(Training::pause(1), Error::<Test>::UnknownProgramme);
			assert_noop!(Training::resume(1), Error::<Test>::UnknownProgramme);
			assert_noop!(Training::resume(0), Error::<Test>::ProgrammeNotPaused);
			assert_ok!(Training::close(0));
			assert_noop!(Training::pause(0), Error::<Test>::ProgrammeClosed);
			assert_noop!(Training::resume(0), Error::<Test>::ProgrammeNotPaused);
		});
	}
}

mod close {
	use super::*;

	#[test]
	fn closing_fails_the_running_round_without_fault_and_without_pay() {
		run(|| {
			finalise_round();
			commit_all();
			let before = System::events().len();
			assert_ok!(Training::close(0));
			let faulted = System::events()
				.iter()
				.skip(before)
				.any(|record| matches!(record.event, RuntimeEvent::Training(Event::MemberFaulted { .. })));
			assert!(!faulted);
			let info = Training::programme_info(0).expect("exists");
			assert_eq!((info.state, info.finalised, info.round), (ProgrammeState::Closed, 1, 1));
			let closed = Training::round_info(0, 1).expect("settled");
			assert_eq!(closed.failure, Some(FailureReason::ProgrammeClosed));
			assert_eq!(Serving::<Test>::iter().count(), 0);
			// Nobody sponsored it, so what was free went to the treasury; what was earned stays.
			assert_eq!((Rewards::pot_free(0), Balances::free_balance(acc(100))), (0, 100_000 - 999));
			assert_ok!(Rewards::claim(signed(6), 0));
		});
	}

	#[test]
	fn closed_programme_takes_nothing_and_never_opens_again() {
		run(|| {
			assert_ok!(Training::pause(0));
			assert_ok!(Training::close(0));
			System::assert_has_event(
				Event::RoundFailed { programme: 0, round: 0, reason: FailureReason::ProgrammeClosed }.into(),
			);
			assert_noop!(
				Training::commit_update(signed(6), 0, 0, hash(9), 1, 1),
				Error::<Test>::NoRunningRound
			);
			assert_noop!(Training::advance(signed(20), 0), Error::<Test>::ProgrammeClosed);
			assert_noop!(Training::close(0), Error::<Test>::ProgrammeClosed);
			assert_noop!(Training::close(7), Error::<Test>::UnknownProgramme);
		});
	}

	#[test]
	fn completed_programme_cannot_be_closed() {
		run(|| {
			for _ in 0..3 {
				finalise_round();
			}
			assert_noop!(Training::close(0), Error::<Test>::ProgrammeCompleted);
		});
	}
}

mod policy {
	use super::*;

	#[test]
	fn round_that_the_policy_forbids_does_not_open_until_it_allows_it() {
		run(|| {
			Forbidden::set(&true);
			// The running round is not touched.
			finalise_round();
			assert_eq!(state(0), ProgrammeState::Barred);
			System::assert_last_event(
				Event::ProgrammeBarred { programme: 0, breach: PolicyBreach::Privacy }.into(),
			);
			assert_storage_noop!(assert_eq!(
				Training::advance(signed(20), 0).map_err(|e| e.error),
				Err(Error::<Test>::ProgrammeBarred.into())
			));
			assert!(!Training::can_open_round(0));
			Forbidden::set(&false);
			assert!(Training::can_open_round(0));
			assert_ok!(Training::advance(signed(20), 0));
			assert_eq!(round().index, 1);
			assert!(!Training::can_open_round(0) && !Training::can_open_round(9));
			finalise_round();
		});
	}

	#[test]
	fn rounds_whose_updates_left_their_devices_count_even_when_they_fail() {
		run(|| {
			MaxReleased::set(&2);
			// Too few commits: nothing was released.
			assert_ok!(commit(6));
			pass_blocks(11);
			assert_ok!(Training::advance(signed(20), 0));
			assert_eq!(Programmes::<Test>::get(0).map(|p| p.released), Some(0));
			// A silent committee had the updates.
			commit_all();
			for _ in 0..3 {
				pass_blocks(6);
				assert_ok!(Training::advance(signed(20), 0));
			}
			assert_eq!(Programmes::<Test>::get(0).map(|p| (p.released, p.finalised)), Some((1, 0)));
			finalise_round();
			assert_eq!(state(0), ProgrammeState::Barred);
		});
	}

	#[test]
	fn device_that_the_policy_keeps_out_cannot_commit() {
		run(|| {
			Banned::set(&Some(5));
			assert!(!Training::may_take_part(0, 5) && Training::may_take_part(0, 6));
			assert_noop!(commit(6), Error::<Test>::DeviceNotAllowed);
			assert_ok!(commit(7));
		});
	}

	#[test]
	fn device_that_the_policy_keeps_out_is_not_drawn() {
		run(|| {
			Banned::set(&Some(0));
			for seed in 0..8 {
				Seed::set(&seed);
				finalise_round();
				let settled = Training::round_info(0, seed as u32).expect("settled");
				assert!(settled.committee.iter().all(|m| m.account != acc(1)));
				if state(0) == ProgrammeState::Completed {
					break;
				}
			}
		});
	}

	#[test]
	fn update_of_a_device_that_lost_its_permission_since_it_committed_is_not_included() {
		run(|| {
			commit_all();
			Banned::set(&Some(6));
			let members = committee();
			assert_ok!(vote(&members[0], |_| true));
			assert_ok!(vote(&members[1], |_| true));
			assert_eq!((phase(), round().included), (Phase::Aggregate, vec![0b1101]));
		});
	}

	#[test]
	fn genesis_programme_that_the_policy_forbids_is_refused() {
		// The storage that the mock's policy reads cannot be set before genesis, so the function is asked directly.
		run(|| {
			Forbidden::set(&true);
			let problem = Training::open_at_genesis(&programme()).expect_err("forbidden");
			assert!(problem.contains("the charter does not allow it"), "{problem}");
		});
	}
}
