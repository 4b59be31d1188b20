use crate::{mock::*, Charter, Error, Event};
use cairn_primitives::{
	views::{CharterInfo, Phase, ProgrammeState},
	AggregationRule, DeviceClass, Label, RuleKind, Schedule, Settings,
};
use frame_support::{assert_noop, assert_ok, BoundedVec};
use pallet_training::{Policy, PolicyBreach, Programmes};
use sp_runtime::DispatchError;
use std::collections::BTreeSet;

fn label(text: &str) -> Label {
	Label::try_from(text.as_bytes().to_vec()).expect("fits")
}

fn set(charter: Charter) {
	assert_ok!(Governance::set_charter(signed(POLICY_ADMIN), Box::new(charter)));
}

fn state() -> ProgrammeState {
	Programmes::<Test>::get(0).expect("exists").state
}

#[test]
fn charter_is_replaced_by_its_origin_only() {
	run(|| {
		let charter = Charter { site_cap: 40, ..Charter::default() };
		for n in [PROGRAMME_ADMIN, SAFETY, REGISTRY_ADMIN, 1] {
			assert_noop!(
				Governance::set_charter(signed(n), Box::new(charter.clone())),
				DispatchError::BadOrigin
			);
		}
		assert_noop!(
			Governance::set_charter(RuntimeOrigin::none(), Box::new(charter.clone())),
			DispatchError::BadOrigin
		);
		set(charter.clone());
		System::assert_last_event(Event::CharterSet { charter }.into());
		assert_eq!(<Governance as Policy<u128>>::site_cap(), 40);
		assert_eq!(Governance::charter_info().site_cap, 40);
	});
}

#[test]
fn charter_that_no_programme_can_keep_is_rejected() {
	run(|| {
		let longer = Schedule { reveal: 9, ..Schedule::SHORTEST };
		let cases = [
			(Charter { site_cap: 0, ..Default::default() }, Error::<Test>::SiteCapOutOfBounds),
			(Charter { site_cap: 101, ..Default::default() }, Error::SiteCapOutOfBounds),
			(
				Charter {
					licences: BoundedVec::truncate_from(vec![label("two words")]),
					..Default::default()
				},
				Error::MalformedLabel,
			),
			(
				Charter { data_categories: BoundedVec::truncate_from(vec![label("")]), ..Default::default() },
				Error::MalformedLabel,
			),
			(
				Charter { min_schedule: longer, max_schedule: Schedule::SHORTEST, ..Default::default() },
				Error::WindowsOutOfOrder,
			),
			(
				Charter { min_schedule: Schedule { commit: 0, ..Schedule::SHORTEST }, ..Default::default() },
				Error::WindowsOutOfOrder,
			),
			(Charter { min_committee: 8, ..Default::default() }, Error::CommitteeOutOfBounds),
		];
		for (charter, error) in cases {
			assert_noop!(Governance::set_charter(signed(POLICY_ADMIN), Box::new(charter)), error);
		}
	});
}

#[test]
fn programme_that_breaks_the_charter_cannot_open_or_be_amended() {
	run(|| {
		set(Charter {
			max_epsilon: Some(1_000),
			licences: BoundedVec::truncate_from(vec![label("Apache-2.0")]),
			data_categories: BoundedVec::truncate_from(vec![label("images"), label("text")]),
			rules: BoundedVec::truncate_from(vec![RuleKind::WeightedMean]),
			min_committee: 3,
			min_schedule: Schedule { commit: 5, ..Schedule::SHORTEST },
			max_schedule: Schedule { commit: 50, availability: 9, aggregate: 9, reveal: 9, challenge: 9 },
			..Charter::default()
		});
		let fine = settings();
		assert_eq!(fine.epsilon(), Some(1_000));
		type Change = fn(&mut Settings<u128>);
		let amendable: [(Error<Test>, Change); 6] = [
			(Error::PrivacyCeilingExceeded, |s| s.rounds = 5),
			(Error::RuleNotAllowed, |s| s.aggregation.rule = AggregationRule::TrimmedMean { trim: 0 }),
			(Error::CommitteeTooSmall, |s| s.committee_size = 2),
			(Error::WindowNotAllowed, |s| s.schedule.commit = 4),
			(Error::WindowNotAllowed, |s| s.schedule.commit = 51),
			(Error::WindowNotAllowed, |s| s.schedule.reveal = 10),
		];
		for (error, change) in amendable {
			let mut settings = fine.clone();
			change(&mut settings);
			let error = DispatchError::from(error);
			assert_noop!(
				Governance::open_programme(signed(PROGRAMME_ADMIN), Box::new(settings.clone())),
				error
			);
			assert_noop!(Governance::amend_programme(signed(PROGRAMME_ADMIN), 0, Box::new(settings)), error);
		}
		let fixed: [(Error<Test>, Change); 4] = [
			(Error::PrivacyCeilingExceeded, |s| s.epsilon_per_round = Some(251)),
			(Error::PrivacyCeilingExceeded, |s| s.epsilon_per_round = None),
			(Error::LicenceNotAllowed, |s| s.licence = label("MIT")),
			(Error::DataCategoryNotAllowed, |s| s.data_category = label("")),
		];
		for (error, change) in fixed {
			let mut settings = fine.clone();
			change(&mut settings);
			assert_noop!(Governance::open_programme(signed(PROGRAMME_ADMIN), Box::new(settings)), error);
		}
		assert_ok!(Governance::open_programme(signed(PROGRAMME_ADMIN), Box::new(fine)));
	});
}

#[test]
fn amended_charter_binds_a_running_programme_at_its_next_round() {
	run(|| {
		assert_ok!(commit(14));
		set(Charter { min_committee: 4, ..Charter::default() });
		// The round that runs is not touched.
		assert_ok!(commit(15));
		assert_eq!(state(), ProgrammeState::Open);
		let round = Training::current_round(0).expect("runs");
		assert_eq!((round.phase, round.committee.len()), (Phase::Availability, 3));
		for _ in 0..3 {
			System::set_block_number(System::block_number() + 6);
			assert_ok!(Training::advance(signed(20), 0));
		}
		assert_eq!(state(), ProgrammeState::Barred);
		System::assert_last_event(
			pallet_training::Event::ProgrammeBarred { programme: 0, breach: PolicyBreach::CommitteeSize }
				.into(),
		);
		assert_noop!(Training::advance(signed(20), 0), pallet_training::Error::<Test>::ProgrammeBarred);
		// Either of the two can give way.
		let amended = Settings { committee_size: 4, ..settings() };
		assert_ok!(Governance::amend_programme(signed(PROGRAMME_ADMIN), 0, Box::new(amended)));
		assert_eq!(state(), ProgrammeState::Open);
		set(Charter { min_committee: 5, ..Charter::default() });
		fail_round();
		assert_eq!(state(), ProgrammeState::Barred);
		set(Charter::default());
		assert_ok!(Training::advance(signed(20), 0));
		assert_eq!(state(), ProgrammeState::Open);
	});
}

#[test]
fn privacy_that_failed_rounds_cost_counts_against_the_ceiling() {
	run(|| {
		set(Charter { max_epsilon: Some(1_000), ..Charter::default() });
		for round in 0..4 {
			assert_eq!(
				(state(), Training::current_round(0).map(|r| r.index)),
				(ProgrammeState::Open, Some(round))
			);
			// The committee is silent, but it could have fetched the updates.
			fail_round();
		}
		assert_eq!(state(), ProgrammeState::Barred);
	});
}

#[test]
fn device_class_that_needs_evidence_takes_part_only_with_it() {
	run(|| {
		set(Charter { evidence: BoundedVec::truncate_from(vec![DeviceClass::Gpu]), ..Charter::default() });
		assert_noop!(commit(14), pallet_training::Error::<Test>::DeviceNotAllowed);
		// A processor needs none.
		assert_ok!(commit(11));
		Attested::set(&BTreeSet::from([3]));
		assert_ok!(commit(14));
		assert_noop!(commit(15), pallet_training::Error::<Test>::CommitWindowClosed);
		assert!(!<Governance as Policy<u128>>::may_take_part(0, 99));
	});
}

#[test]
fn genesis_charter_is_kept_and_reads_back() {
	let charter = CharterInfo {
		max_epsilon: Some(8_000),
		licences: vec!["Apache-2.0".into(), "MIT".into()],
		data_categories: vec!["images".into()],
		site_cap: 25,
		evidence: vec![DeviceClass::Gpu, DeviceClass::Tpu],
		rules: vec![RuleKind::TrimmedMean, RuleKind::WeightedMean],
		min_committee: 3,
		..CharterInfo::default()
	};
	chain(charter.clone(), vec![programme()]).execute_with(|| {
		assert_eq!(Governance::charter_info(), charter);
		check_invariants();
	});
	assert_eq!(CharterInfo::from(&Charter::default()), CharterInfo::default());
}

fn refused(charter: CharterInfo, expected: &str) {
	let panic =
		std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| storage(charter, vec![programme()])));
	let message = match panic {
		Ok(_) => panic!("the genesis was accepted, but should say: {expected}"),
		Err(payload) => *payload.downcast::<String>().expect("a message"),
	};
	assert!(message.contains(expected), "{message}");
}

#[test]
fn genesis_is_refused_when_the_charter_is_wrong_or_a_programme_breaks_it() {
	refused(CharterInfo { site_cap: 0, ..Default::default() }, "SiteCapOutOfBounds");
	refused(CharterInfo { licences: vec!["x".repeat(33)], ..Default::default() }, "longer than 32 bytes");
	refused(CharterInfo { rules: vec![RuleKind::WeightedMean; 17], ..Default::default() }, "more than 16");
	refused(
		CharterInfo { licences: vec!["MIT".into()], ..Default::default() },
		"programme 0 in the genesis configuration breaks the charter",
	);
}
