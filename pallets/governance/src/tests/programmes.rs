use crate::mock::*;
use cairn_primitives::{views::ProgrammeState, Settings};
use frame_support::{assert_noop, assert_ok, dispatch::DispatchResult};
use pallet_training::{Error, Event, Programmes, Setting};
use sp_runtime::DispatchError;

fn state(id: u32) -> ProgrammeState {
	Programmes::<Test>::get(id).expect("exists").state
}

#[test]
fn programme_opens_is_funded_runs_is_paused_resumed_amended_and_closed() {
	run(|| {
		let admin = || signed(PROGRAMME_ADMIN);
		assert_ok!(Governance::open_programme(admin(), Box::new(settings())));
		System::assert_has_event(Event::ProgrammeOpened { programme: 1 }.into());
		assert_eq!(state(1), ProgrammeState::Unfunded);
		assert_ok!(Rewards::fund(signed(20), 1, 5_000));
		assert_ok!(Training::advance(signed(20), 1));
		assert_eq!(state(1), ProgrammeState::Open);
		assert_ok!(Governance::pause_programme(signed(SAFETY), 1));
		System::assert_last_event(Event::ProgrammePaused { programme: 1 }.into());
		assert_ok!(Governance::resume_programme(admin(), 1));
		System::assert_last_event(Event::ProgrammeResumed { programme: 1 }.into());
		let amended = Settings { rounds: 9, ..settings() };
		assert_ok!(Governance::amend_programme(admin(), 1, Box::new(amended)));
		System::assert_last_event(Event::ProgrammeAmended { programme: 1 }.into());
		assert_ok!(Governance::pause_programme(admin(), 1));
		assert_ok!(Governance::close_programme(admin(), 1));
		System::assert_has_event(Event::ProgrammeClosed { programme: 1 }.into());
		assert_eq!(state(1), ProgrammeState::Closed);
		// The other programme knows nothing of it.
		assert_eq!(state(0), ProgrammeState::Open);
	});
}

#[test]
fn safety_origin_pauses_and_can_do_nothing_else() {
	run(|| {
		let safety = || signed(SAFETY);
		let refused: [DispatchResult; 6] = [
			Governance::open_programme(safety(), Box::new(settings())),
			Governance::amend_programme(safety(), 0, Box::new(settings())),
			Governance::resume_programme(safety(), 0),
			Governance::close_programme(safety(), 0),
			Governance::set_charter(safety(), Default::default()),
			Governance::set_validators(safety(), Default::default()),
		];
		assert!(refused.iter().all(|result| *result == Err(DispatchError::BadOrigin)));
		assert_ok!(Governance::pause_programme(safety(), 0));
		assert_noop!(commit(14), Error::<Test>::ProgrammePaused);
		assert_eq!(Governance::resume_programme(safety(), 0), Err(DispatchError::BadOrigin));
	});
}

#[test]
fn programmes_are_decided_on_by_their_origin_only() {
	run(|| {
		let origins = [POLICY_ADMIN, REGISTRY_ADMIN, 1].map(signed);
		for origin in origins.into_iter().chain([RuntimeOrigin::none()]) {
			let o = || origin.clone();
			assert_noop!(Governance::open_programme(o(), Box::new(settings())), DispatchError::BadOrigin);
			assert_noop!(Governance::amend_programme(o(), 0, Box::new(settings())), DispatchError::BadOrigin);
			assert_noop!(Governance::pause_programme(o(), 0), DispatchError::BadOrigin);
			assert_noop!(Governance::resume_programme(o(), 0), DispatchError::BadOrigin);
			assert_noop!(Governance::close_programme(o(), 0), DispatchError::BadOrigin);
		}
	});
}

#[test]
fn decisions_about_what_is_not_there_or_out_of_bounds_are_refused() {
	run(|| {
		let admin = || signed(PROGRAMME_ADMIN);
		let wrong = Box::new(Settings { committee_size: 8, ..settings() });
		let out_of_bounds = DispatchError::from(Error::<Test>::SettingOutOfBounds(Setting::CommitteeSize));
		assert_noop!(Governance::open_programme(admin(), wrong.clone()), out_of_bounds);
		assert_noop!(Governance::amend_programme(admin(), 0, wrong), out_of_bounds);
		let renamed = Box::new(Settings { name: Default::default(), ..settings() });
		assert_noop!(
			Governance::amend_programme(admin(), 0, renamed),
			Error::<Test>::SettingFixed(Setting::Name)
		);
		assert_noop!(
			Governance::amend_programme(admin(), 7, Box::new(settings())),
			Error::<Test>::UnknownProgramme
		);
		assert_noop!(Governance::pause_programme(admin(), 7), Error::<Test>::UnknownProgramme);
		assert_noop!(Governance::resume_programme(admin(), 7), Error::<Test>::UnknownProgramme);
		assert_noop!(Governance::close_programme(admin(), 7), Error::<Test>::UnknownProgramme);
		assert_noop!(Governance::resume_programme(admin(), 0), Error::<Test>::ProgrammeNotPaused);
		assert_ok!(Governance::close_programme(admin(), 0));
		assert_noop!(Governance::close_programme(admin(), 0), Error::<Test>::ProgrammeClosed);
		assert_noop!(Governance::pause_programme(admin(), 0), Error::<Test>::ProgrammeClosed);
		assert_noop!(
			Governance::amend_programme(admin(), 0, Box::new(settings())),
			Error::<Test>::ProgrammeClosed
		);
	});
}
