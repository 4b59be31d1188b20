//! From a device's request to evidence.

use crate::{mock::*, Challenges, Devices, Error, Event, Suspension};
use cairn_primitives::{
	hardware::{attestation_nonce, EvidenceKind, Measurement, Speed},
	DeviceState, H256,
};
use frame_support::{assert_noop, assert_ok, dispatch::Pays, BoundedVec};
use sp_runtime::DispatchError;

fn state_of(device: u32) -> Option<DeviceState> {
	Hardware::device_info(device).map(|d| d.state)
}

fn times(speed: Speed, per_cent: u64) -> Speed {
	Speed { flops: speed.flops / 100 * per_cent, bandwidth: speed.bandwidth / 100 * per_cent }
}

mod request {
	use super::*;

	#[test]
	fn nonce_is_known_from_the_block_after_the_request() {
		run(|| {
			active_device();
			assert_ok!(Hardware::request_attestation(signed(DEVICE)));
			System::assert_last_event(Event::AttestationRequested { device: 0, submit_by: 6 }.into());
			let challenge = Hardware::open_challenge(0).expect("open");
			assert_eq!((challenge.nonce, challenge.requested, challenge.submit_by), (None, 1, 6));
			pass(1);
			let nonce = Hardware::open_challenge(0).and_then(|c| c.nonce);
			assert_eq!(nonce, Some(attestation_nonce(&System::block_hash(0), &System::block_hash(1), 0)));
			pass(4);
			assert_eq!(Hardware::open_challenge(0).and_then(|c| c.nonce), nonce);
			pass(1);
			assert_eq!(Hardware::open_challenge(0), None);
		});
	}

	#[test]
	fn request_is_refused_until_the_windows_of_the_one_before_are_over() {
		run(|| {
			active_device();
			assert_ok!(Hardware::request_attestation(signed(DEVICE)));
			pass(MeasurementWindow::get() + StatementWindow::get());
			assert_noop!(Hardware::request_attestation(signed(DEVICE)), Error::<Test>::TooSoon);
			pass(1);
			assert_ok!(Hardware::request_attestation(signed(DEVICE)));
		});
	}

	#[test]
	fn device_can_attest_while_a_request_is_open_or_would_be_taken() {
		run(|| {
			assert!(!Hardware::can_attest(0));
			active_device();
			assert!(Hardware::can_attest(0));
			assert_ok!(Hardware::request_attestation(signed(DEVICE)));
			pass(MeasurementWindow::get());
			assert!(Hardware::can_attest(0));
			// The window is over, and the pause is not.
			pass(1);
			assert!(!Hardware::can_attest(0));
			pass(StatementWindow::get());
			assert!(Hardware::can_attest(0));
			assert_ok!(Hardware::suspend_device(signed(Registry::get()), 0));
			assert!(!Hardware::can_attest(0));
		});
	}

	#[test]
	fn request_is_refused_too_soon_even_when_the_one_before_is_decided() {
		run(|| {
			active_device();
			attested();
			assert_noop!(Hardware::request_attestation(signed(DEVICE)), Error::<Test>::TooSoon);
		});
	}

	#[test]
	fn request_is_refused_when_the_account_is_no_device() {
		run(|| {
			active_device();
			assert_noop!(Hardware::request_attestation(signed(OWNER)), Error::<Test>::NotADevice);
		});
	}

	#[test]
	fn request_is_refused_when_the_registry_suspended_the_device() {
		run(|| {
			active_device();
			assert_ok!(Hardware::suspend_device(signed(Registry::get()), 0));
			assert_noop!(Hardware::request_attestation(signed(DEVICE)), Error::<Test>::NotActivatable);
		});
	}

	#[test]
	fn request_is_refused_when_the_origin_is_not_signed() {
		run(|| {
			for origin in [RuntimeOrigin::root(), RuntimeOrigin::none()] {
				assert_noop!(Hardware::request_attestation(origin), DispatchError::BadOrigin);
			}
		});
	}
}

mod submission {
	use super::*;

	fn requested() {
		active_device();
		assert_ok!(Hardware::request_attestation(signed(DEVICE)));
	}

	#[test]
	fn measurement_is_taken_until_the_window_closes() {
		run(|| {
			requested();
			pass(MeasurementWindow::get());
			let nonce = nonce(0);
			// 15 s have passed on the chain; a quarter is 3.75 s.
			let slow = Measurement { product_ms: 3_750, sweep_ms: 3_750, ..measurement() };
			assert_ok!(Hardware::submit_measurement(signed(DEVICE), nonce, slow));
			let speed = slow.speed().expect("not zero");
			System::assert_last_event(
				Event::MeasurementSubmitted { device: 0, nonce, speed, state_by: 13 }.into(),
			);
			let challenge = Hardware::open_challenge(0).expect("open");
			assert_eq!((challenge.measurement, challenge.state_by), (Some(slow), Some(13)));
			assert_eq!(Hardware::challenges_to_judge(None, 10), vec![challenge]);
		});
	}

	#[test]
	fn measurement_is_refused_after_the_window() {
		run(|| {
			requested();
			pass(1);
			let nonce = nonce(0);
			pass(MeasurementWindow::get());
			assert_noop!(
				Hardware::submit_measurement(signed(DEVICE), nonce, measurement()),
				Error::<Test>::WindowClosed
			);
		});
	}

	#[test]
	fn measurement_is_refused_in_the_block_of_the_request() {
		run(|| {
			requested();
			assert_noop!(
				Hardware::submit_measurement(signed(DEVICE), H256::zero(), measurement()),
				Error::<Test>::NoChallenge
			);
		});
	}

	#[test]
	fn measurement_is_refused_with_another_nonce_or_without_a_request() {
		run(|| {
			active_device();
			let submit = |nonce| Hardware::submit_measurement(signed(DEVICE), nonce, measurement());
			assert_noop!(submit(H256::zero()), Error::<Test>::NoChallenge);
			assert_ok!(Hardware::request_attestation(signed(DEVICE)));
			pass(1);
			assert_noop!(submit(H256([1; 32])), Error::<Test>::NoChallenge);
		});
	}

	#[test]
	fn measurement_is_refused_when_the_time_it_claims_is_too_short_for_the_chain() {
		run(|| {
			requested();
			pass(4);
			for hasty in [
				Measurement { product_ms: 2_999, ..measurement() },
				Measurement { sweep_ms: 2_999, ..measurement() },
				Measurement { products: 0, ..measurement() },
			] {
				assert_noop!(
					Hardware::submit_measurement(signed(DEVICE), nonce(0), hasty),
					Error::<Test>::ImplausibleMeasurement
				);
			}
			assert_ok!(Hardware::submit_measurement(signed(DEVICE), nonce(0), measurement()));
		});
	}

	#[test]
	fn measurement_is_refused_when_delivered_already() {
		run(|| {
			active_device();
			let nonce = deliver();
			assert_noop!(
				Hardware::submit_measurement(signed(DEVICE), nonce, measurement()),
				Error::<Test>::AlreadyStated
			);
		});
	}

	#[test]
	fn measurement_is_refused_from_anybody_but_the_device() {
		run(|| {
			requested();
			pass(1);
			let submit = |origin| Hardware::submit_measurement(origin, nonce(0), measurement());
			assert_noop!(submit(signed(OWNER)), Error::<Test>::NotADevice);
			for origin in [RuntimeOrigin::root(), RuntimeOrigin::none()] {
				assert_noop!(submit(origin), DispatchError::BadOrigin);
			}
		});
	}
}

mod statements {
	use super::*;

	#[test]
	fn evidence_is_accepted_when_enough_attesters_agree() {
		run(|| {
			active_device();
			let nonce = deliver();
			let paid = state(1, nonce, Some(measured_speed())).expect("stated").pays_fee;
			assert_eq!(paid, Pays::No);
			System::assert_last_event(
				Event::StatementMade { device: 0, attester: attester(1), speed: Some(measured_speed()) }
					.into(),
			);
			assert!(!Hardware::has_valid_evidence(0));
			assert_eq!(Hardware::speed(0), None);
			assert_ok!(state(2, nonce, Some(times(measured_speed(), 95))));
			// The lower of the two.
			let speed = times(measured_speed(), 95);
			System::assert_last_event(
				Event::EvidenceAccepted {
					device: 0,
					kind: EvidenceKind::Measured,
					speed: Some(speed),
					expires: 3 + EvidencePeriod::get(),
				}
				.into(),
			);
			assert!(Hardware::has_valid_evidence(0));
			assert_eq!(Hardware::speed(0), Some(speed));
			assert_eq!(state_of(0), Some(DeviceState::Active));
			assert!(Challenges::<Test>::get(0).is_none());
			assert_eq!(Hardware::open_challenge(0), None);
		});
	}

	#[test]
	fn device_is_attested_before_it_is_active() {
		run(|| {
			assert_ok!(register_site(OWNER));
			assert_ok!(register_device(OWNER, 0, DEVICE));
			attested();
			assert_eq!(state_of(0), Some(DeviceState::Attested));
			assert_eq!(Hardware::active_device(&DEVICE), None);
			assert_ok!(activate(DEVICE, 7));
			assert_eq!(state_of(0), Some(DeviceState::Active));
			assert!(Hardware::has_valid_evidence(0));
		});
	}

	#[test]
	fn evidence_expires() {
		run(|| {
			active_device();
			attested();
			pass(EvidencePeriod::get());
			assert!(Hardware::has_valid_evidence(0));
			pass(1);
			assert!(!Hardware::has_valid_evidence(0));
			assert_eq!(Hardware::speed(0), None);
			assert_eq!(state_of(0), Some(DeviceState::Active));
			let evidence = Hardware::device_info(0).and_then(|d| d.evidence).expect("still told");
			assert!(!evidence.valid);
			attested();
			assert!(Hardware::has_valid_evidence(0));
		});
	}

	#[test]
	fn evidence_is_void_when_enough_attesters_find_the_measurement_false() {
		run(|| {
			active_device();
			attested();
			pass(20);
			let nonce = deliver();
			assert_ok!(state(1, nonce, None));
			assert!(Hardware::has_valid_evidence(0));
			assert_ok!(state(3, nonce, None));
			System::assert_has_event(Event::EvidenceRefused { device: 0, rejected: true }.into());
			System::assert_last_event(Event::EvidenceVoided { device: 0 }.into());
			assert!(!Hardware::has_valid_evidence(0));
			// Outside a re-check a false measurement costs the evidence, not the place.
			assert_eq!(state_of(0), Some(DeviceState::Active));
			assert_noop!(state(2, nonce, None), Error::<Test>::NoChallenge);
		});
	}

	#[test]
	fn nothing_changes_when_all_attesters_have_spoken_and_disagree() {
		run(|| {
			active_device();
			attested();
			pass(20);
			let nonce = deliver();
			assert_ok!(state(1, nonce, Some(measured_speed())));
			assert_ok!(state(2, nonce, Some(times(measured_speed(), 50))));
			assert_ok!(state(3, nonce, None));
			System::assert_last_event(Event::EvidenceRefused { device: 0, rejected: false }.into());
			assert!(Challenges::<Test>::get(0).is_none());
			assert!(Hardware::has_valid_evidence(0));
		});
	}

	#[test]
	fn hostile_attester_cannot_move_the_evidence() {
		run(|| {
			active_device();
			let nonce = deliver();
			assert_ok!(state(3, nonce, Some(Speed { flops: 1, bandwidth: 1 })));
			assert_ok!(state(1, nonce, Some(measured_speed())));
			assert!(!Hardware::has_valid_evidence(0));
			assert_ok!(state(2, nonce, Some(measured_speed())));
			assert_eq!(Hardware::speed(0), Some(measured_speed()));
		});
	}

	#[test]
	fn silent_attesters_leave_the_device_where_it_was() {
		run(|| {
			active_device();
			let nonce = deliver();
			pass(StatementWindow::get() + 1);
			assert_noop!(state(1, nonce, Some(measured_speed())), Error::<Test>::WindowClosed);
			assert_eq!(state_of(0), Some(DeviceState::Active));
			assert!(Hardware::challenges_to_judge(None, 10).is_empty());
			pass(20);
			attested();
			assert!(Hardware::has_valid_evidence(0));
		});
	}

	#[test]
	fn statement_of_a_former_attester_does_not_count() {
		run(|| {
			active_device();
			let nonce = deliver();
			assert_ok!(state(1, nonce, Some(measured_speed())));
			let members = BoundedVec::truncate_from(vec![attester(2), attester(3), attester(4)]);
			assert_ok!(Hardware::set_attesters(signed(Registry::get()), members, 2));
			assert_noop!(state(1, nonce, None), Error::<Test>::NotAnAttester);
			assert_ok!(state(2, nonce, Some(measured_speed())));
			assert!(!Hardware::has_valid_evidence(0));
			assert_ok!(state(4, nonce, Some(measured_speed())));
			assert!(Hardware::has_valid_evidence(0));
		});
	}

	#[test]
	fn statement_is_refused_above_the_claim_or_at_zero() {
		run(|| {
			active_device();
			let nonce = deliver();
			let claim = measured_speed();
			for speed in [
				Speed { flops: claim.flops + 1, ..claim },
				Speed { bandwidth: claim.bandwidth + 1, ..claim },
				Speed { flops: 0, ..claim },
				Speed { bandwidth: 0, ..claim },
			] {
				assert_noop!(state(1, nonce, Some(speed)), Error::<Test>::ImplausibleMeasurement);
			}
		});
	}

	#[test]
	fn statement_is_refused_twice_from_one_attester() {
		run(|| {
			active_device();
			let nonce = deliver();
			assert_ok!(state(1, nonce, None));
			assert_noop!(state(1, nonce, Some(measured_speed())), Error::<Test>::AlreadyStated);
		});
	}

	#[test]
	fn statement_is_refused_before_the_measurement_or_for_another_nonce() {
		run(|| {
			active_device();
			assert_noop!(state(1, H256::zero(), None), Error::<Test>::NoChallenge);
			assert_ok!(Hardware::request_attestation(signed(DEVICE)));
			pass(1);
			assert_noop!(state(1, nonce(0), None), Error::<Test>::NoChallenge);
			assert_ok!(Hardware::submit_measurement(signed(DEVICE), nonce(0), measurement()));
			assert_noop!(state(1, H256([9; 32]), None), Error::<Test>::NoChallenge);
		});
	}

	#[test]
	fn statement_is_refused_about_the_attesters_own_device() {
		run(|| {
			assert_ok!(register_site(attester(1)));
			assert_ok!(register_device(attester(1), 0, DEVICE));
			let nonce = deliver();
			assert_noop!(state(1, nonce, Some(measured_speed())), Error::<Test>::OwnDevice);
			// Nor is it waited for: the other two have spoken, and that is all there is.
			assert_ok!(state(2, nonce, None));
			assert_ok!(state(3, nonce, Some(measured_speed())));
			System::assert_last_event(Event::EvidenceRefused { device: 0, rejected: false }.into());
		});
	}

	#[test]
	fn statement_is_refused_from_anybody_but_an_attester() {
		run(|| {
			active_device();
			let nonce = deliver();
			assert_noop!(Hardware::attest(signed(OTHER), 0, nonce, None), Error::<Test>::NotAnAttester);
			for origin in [RuntimeOrigin::root(), RuntimeOrigin::none()] {
				assert_noop!(Hardware::attest(origin, 0, nonce, None), DispatchError::BadOrigin);
			}
		});
	}
}

#[test]
fn local_steps_follow_the_slower_measure_and_are_all_for_a_device_nobody_measured() {
	run(|| {
		active_device();
		assert_eq!(Hardware::local_steps_for(0, 100), 100);
		attested();
		// About 21 GFLOP/s of 1 TFLOP/s, and 13 GB/s of 100 GB/s.
		assert_eq!(Hardware::local_steps_for(0, 1_000), 21);
		assert_eq!(Hardware::local_steps_for(0, 10), 1);
		pass(EvidencePeriod::get() + 1);
		assert_eq!(Hardware::local_steps_for(0, 100), 100);
	});
}

#[test]
fn pages_of_requests_reach_every_one_once() {
	run(|| {
		assert_ok!(register_site(OWNER));
		for device in 0..4u8 {
			let account = sp_core::crypto::AccountId32::new([40 + device; 32]);
			assert_ok!(register_device(OWNER, 0, account.clone()));
			assert_ok!(Hardware::request_attestation(signed(account)));
		}
		assert!(Hardware::challenges_to_judge(None, 10).is_empty());
		pass(1);
		for device in 0..4u8 {
			let account = sp_core::crypto::AccountId32::new([40 + device; 32]);
			let nonce = nonce(device.into());
			assert_ok!(Hardware::submit_measurement(signed(account), nonce, measurement()));
		}
		let mut seen = Vec::new();
		while let [challenge] = &Hardware::challenges_to_judge(seen.last().copied(), 1)[..] {
			seen.push(challenge.device);
		}
		seen.sort_unstable();
		assert_eq!(seen, vec![0, 1, 2, 3]);
	});
}

#[test]
fn suspension_by_the_registry_survives_new_evidence() {
	run(|| {
		active_device();
		let nonce = deliver();
		assert_ok!(Hardware::suspend_device(signed(Registry::get()), 0));
		for n in [1, 2] {
			assert_ok!(state(n, nonce, Some(measured_speed())));
		}
		assert_eq!(state_of(0), Some(DeviceState::Suspended));
		assert_eq!(Devices::<Test>::get(0).and_then(|d| d.suspension), Some(Suspension::Ordered));
		assert!(!Hardware::has_valid_evidence(0));
		assert_ok!(Hardware::reinstate_device(signed(Registry::get()), 0));
		assert!(Hardware::has_valid_evidence(0));
	});
}
