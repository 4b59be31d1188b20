//! Random re-checks.

use crate::{mock::*, Challenges, Devices, Error, Event, LastRecheck, Suspension, RECHECK_SHARE};
use cairn_primitives::DeviceState;
use frame_support::{assert_noop, assert_ok, dispatch::Pays};
use sp_core::crypto::AccountId32;
use sp_runtime::DispatchError;

fn state_of(device: u32) -> Option<DeviceState> {
	Hardware::device_info(device).map(|d| d.state)
}

/// Device 0 is attested and has to answer a re-check; returns when it is due.
fn drawn() -> u64 {
	active_device();
	assert_ok!(Hardware::recheck(signed(OTHER)));
	go_to(Epoch::get());
	attested();
	pass(20);
	assert_ok!(Hardware::recheck(signed(OTHER)));
	let due = System::block_number() + RecheckWindow::get();
	System::assert_last_event(Event::RecheckOrdered { device: 0, due }.into());
	assert_eq!(Hardware::device_info(0).and_then(|d| d.recheck_due), Some(due));
	assert!(Hardware::has_valid_evidence(0));
	due
}

#[test]
fn draw_picks_from_the_devices_of_the_epoch_before() {
	run(|| {
		active_device();
		attested();
		let done = Hardware::recheck(signed(OTHER)).expect("first of the epoch");
		assert_eq!(done.pays_fee, Pays::No);
		// Nobody could have known this epoch's devices an epoch ago.
		assert_eq!(Hardware::device_info(0).and_then(|d| d.recheck_due), None);
		assert_eq!(LastRecheck::<Test>::get(), Some((0, 1)));
		go_to(Epoch::get());
		assert_ok!(Hardware::recheck(signed(OTHER)));
		assert!(Hardware::device_info(0).and_then(|d| d.recheck_due).is_some());
	});
}

#[test]
fn draw_is_made_once_in_an_epoch() {
	run(|| {
		assert!(Hardware::recheck_is_due());
		assert_ok!(Hardware::recheck(signed(OTHER)));
		assert!(!Hardware::recheck_is_due());
		assert_noop!(Hardware::recheck(signed(OTHER)), Error::<Test>::TooSoon);
		go_to(Epoch::get() - 1);
		assert_noop!(Hardware::recheck(signed(OTHER)), Error::<Test>::TooSoon);
		pass(1);
		assert_ok!(Hardware::recheck(signed(OTHER)));
	});
}

#[test]
fn draw_does_not_depend_on_who_calls_when_or_what_was_registered_since() {
	let outcome = |caller: AccountId32, delay: u64, registrations: u8| {
		let mut drawn = Vec::new();
		run(|| {
			assert_ok!(register_site(OWNER));
			assert_ok!(register_site(OTHER));
			for n in 0..4u8 {
				assert_ok!(register_device(OWNER, 0, AccountId32::new([100 + n; 32])));
			}
			for id in 0..4 {
				Devices::<Test>::mutate(id, |d| {
					if let Some(d) = d {
						d.evidence = Some(crate::Evidence::Measured {
							speed: measured_speed(),
							nonce: Default::default(),
							at: 0,
							expires: 1_000,
						});
						d.settle_state();
					}
				});
			}
			assert_ok!(Hardware::recheck(signed(OWNER)));
			for n in 0..registrations {
				assert_ok!(register_device(OTHER, 1, AccountId32::new([120 + n; 32])));
			}
			go_to(Epoch::get() + delay);
			assert_ok!(Hardware::recheck(signed(caller)));
			drawn =
				(0..4).filter(|id| Devices::<Test>::get(id).is_some_and(|d| d.recheck.is_some())).collect();
		});
		drawn
	};
	for seed in 0..16 {
		Seed::set(seed);
		let first = outcome(OWNER, 0, 0);
		assert_eq!(first.len(), 1);
		assert_eq!(outcome(OTHER, 7, 3), first);
	}
	let all: std::collections::BTreeSet<_> = (0..64)
		.flat_map(|seed| {
			Seed::set(seed);
			outcome(OWNER, 0, 0)
		})
		.collect();
	assert_eq!(all.len(), 4, "every device is drawn sooner or later");
}

#[test]
fn number_of_draws_grows_with_the_registry_up_to_a_bound() {
	assert_eq!(
		[0, 1, RECHECK_SHARE, RECHECK_SHARE + 1, u32::MAX].map(Hardware::draws),
		[0, 1, 1, 2, MaxRechecks::get()]
	);
}

#[test]
fn device_without_evidence_is_not_drawn() {
	run(|| {
		active_device();
		assert_ok!(Hardware::recheck(signed(OTHER)));
		go_to(Epoch::get());
		assert_ok!(Hardware::recheck(signed(OTHER)));
		assert_eq!(Hardware::device_info(0).and_then(|d| d.recheck_due), None);
		pass(RecheckWindow::get() + 1);
		assert_eq!(Hardware::active_device(&DEVICE), Some(0));
	});
}

#[test]
fn recheck_is_over_when_new_evidence_is_accepted() {
	run(|| {
		let due = drawn();
		attested();
		assert_eq!(Hardware::device_info(0).and_then(|d| d.recheck_due), None);
		go_to(due + 1);
		assert!(Hardware::has_valid_evidence(0));
		assert_noop!(Hardware::expire_recheck(signed(OTHER), 0), Error::<Test>::TooSoon);
	});
}

#[test]
fn device_that_does_not_answer_is_out_until_it_is_attested_again() {
	run(|| {
		let due = drawn();
		go_to(due);
		assert_eq!(Hardware::active_device(&DEVICE), Some(0));
		assert_noop!(Hardware::expire_recheck(signed(OTHER), 0), Error::<Test>::TooSoon);
		pass(1);
		// At once, before anybody has written it down.
		assert_eq!(Hardware::active_device(&DEVICE), None);
		assert!(!Hardware::has_valid_evidence(0));
		assert_eq!(state_of(0), Some(DeviceState::Suspended));
		assert_noop!(activate(DEVICE, 8), Error::<Test>::NotActivatable);
		let paid = Hardware::expire_recheck(signed(OTHER), 0).expect("overdue").pays_fee;
		assert_eq!(paid, Pays::No);
		System::assert_has_event(Event::EvidenceVoided { device: 0 }.into());
		System::assert_last_event(
			Event::DeviceSuspended { device: 0, suspension: Suspension::FailedRecheck }.into(),
		);
		assert_noop!(activate(DEVICE, 8), Error::<Test>::NotActivatable);
		attested();
		assert_eq!(Hardware::active_device(&DEVICE), Some(0));
	});
}

#[test]
fn device_that_did_not_answer_can_come_back_without_anybody_writing_it_down() {
	run(|| {
		let due = drawn();
		go_to(due + 1);
		attested();
		System::assert_has_event(
			Event::DeviceSuspended { device: 0, suspension: Suspension::FailedRecheck }.into(),
		);
		assert_eq!(Hardware::active_device(&DEVICE), Some(0));
		assert!(Hardware::has_valid_evidence(0));
	});
}

#[test]
fn device_that_answers_falsely_is_suspended_at_once() {
	run(|| {
		drawn();
		let nonce = deliver();
		for n in [1, 2] {
			assert_ok!(state(n, nonce, None));
		}
		assert_eq!(state_of(0), Some(DeviceState::Suspended));
		assert_eq!(Devices::<Test>::get(0).and_then(|d| d.suspension), Some(Suspension::FailedRecheck));
		pass(20);
		attested();
		assert_eq!(state_of(0), Some(DeviceState::Active));
	});
}

#[test]
fn device_loses_its_evidence_but_not_its_place_when_attesters_are_silent() {
	run(|| {
		let due = drawn();
		go_to(due - 2);
		let nonce = deliver();
		// The answer came in time; attesters have theirs.
		pass(StatementWindow::get());
		assert!(Hardware::has_valid_evidence(0));
		assert_ok!(state(1, nonce, Some(measured_speed())));
		pass(1);
		assert!(!Hardware::has_valid_evidence(0));
		assert_eq!(Hardware::active_device(&DEVICE), Some(0));
		assert_ok!(Hardware::expire_recheck(signed(OTHER), 0));
		System::assert_last_event(Event::EvidenceVoided { device: 0 }.into());
		assert_eq!(state_of(0), Some(DeviceState::Active));
	});
}

#[test]
fn losing_evidence_is_no_way_round_a_recheck() {
	run(|| {
		let due = drawn();
		assert_ok!(Hardware::describe_device(
			signed(DEVICE),
			0,
			Default::default(),
			Default::default(),
			1,
			None
		));
		assert!(!Hardware::has_valid_evidence(0));
		go_to(due + 1);
		assert_eq!(state_of(0), Some(DeviceState::Suspended));
		assert_ok!(Hardware::expire_recheck(signed(OTHER), 0));
		assert_eq!(state_of(0), Some(DeviceState::Suspended));
	});
}

#[test]
fn suspension_by_the_registry_ends_a_recheck() {
	run(|| {
		let due = drawn();
		assert_ok!(Hardware::suspend_device(signed(Registry::get()), 0));
		go_to(due + 1);
		assert_noop!(Hardware::expire_recheck(signed(OTHER), 0), Error::<Test>::TooSoon);
		assert_ok!(Hardware::reinstate_device(signed(Registry::get()), 0));
		assert_eq!(Hardware::active_device(&DEVICE), Some(0));
	});
}

#[test]
fn registry_can_lift_a_failed_recheck() {
	run(|| {
		let due = drawn();
		go_to(due + 1);
		assert_ok!(Hardware::reinstate_device(signed(Registry::get()), 0));
		assert_eq!(Hardware::active_device(&DEVICE), Some(0));
		assert!(!Hardware::has_valid_evidence(0));
	});
}

#[test]
fn retired_device_has_nothing_to_answer() {
	run(|| {
		let due = drawn();
		let _ = deliver();
		assert_ok!(Hardware::retire_device(signed(OWNER), 0));
		assert!(Challenges::<Test>::get(0).is_none());
		go_to(due + 20);
		assert_eq!(state_of(0), Some(DeviceState::Retired));
		assert_noop!(Hardware::expire_recheck(signed(OTHER), 0), Error::<Test>::TooSoon);
	});
}

#[test]
fn recheck_and_its_end_are_refused_when_unknown_or_not_signed() {
	run(|| {
		assert_noop!(Hardware::expire_recheck(signed(OTHER), 0), Error::<Test>::UnknownDevice);
		for origin in [RuntimeOrigin::root(), RuntimeOrigin::none()] {
			assert_noop!(Hardware::recheck(origin.clone()), DispatchError::BadOrigin);
			assert_noop!(Hardware::expire_recheck(origin, 0), DispatchError::BadOrigin);
		}
	});
}
