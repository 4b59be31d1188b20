//! Descriptions, keys, suspension.

use crate::{mock::*, DeviceOf, DeviceOfNetworkKey, Devices, Error, Event, Suspension};
use cairn_primitives::{DeviceState, H256};
use frame_support::{assert_noop, assert_ok};
use sp_core::{crypto::AccountId32, Pair};
use sp_runtime::DispatchError;

fn state_of(device: u32) -> Option<DeviceState> {
	Hardware::device_info(device).map(|d| d.state)
}

mod describe_device {
	use super::*;

	fn describe(who: AccountId32, model: &str, memory: u32, image: u8) -> sp_runtime::DispatchResult {
		Hardware::describe_device(
			signed(who),
			0,
			b"ACME".to_vec().try_into().expect("short"),
			model.as_bytes().to_vec().try_into().expect("short"),
			memory,
			Some(H256([image; 32])),
		)
	}

	#[test]
	fn device_is_described_by_its_owner_or_by_itself() {
		run(|| {
			active_device();
			assert_ok!(describe(OWNER, "One", 4_096, 1));
			assert_ok!(describe(DEVICE, "Two", 8_192, 2));
			System::assert_last_event(
				Event::DeviceDescribed { device: 0, image: Some(H256([2; 32])) }.into(),
			);
			let info = Hardware::device_info(0).expect("registered");
			assert_eq!((&info.vendor[..], &info.model[..]), (&b"ACME"[..], &b"Two"[..]));
			assert_eq!((info.memory_mib, info.image), (8_192, Some(H256([2; 32]))));
			assert_eq!(info.state, DeviceState::Active);
		});
	}

	#[test]
	fn evidence_is_void_when_the_machine_changes_but_not_when_its_software_does() {
		run(|| {
			active_device();
			assert_ok!(describe(OWNER, "One", 4_096, 1));
			attested();
			assert_ok!(describe(DEVICE, "One", 4_096, 2));
			assert!(Hardware::has_valid_evidence(0));
			assert_ok!(describe(DEVICE, "One", 8_192, 2));
			System::assert_has_event(Event::EvidenceVoided { device: 0 }.into());
			assert!(!Hardware::has_valid_evidence(0));
			assert_eq!(state_of(0), Some(DeviceState::Active));
		});
	}

	#[test]
	fn open_request_ends_when_the_machine_changes() {
		run(|| {
			active_device();
			let nonce = deliver();
			assert_ok!(describe(DEVICE, "Other", 4_096, 1));
			assert_noop!(state(1, nonce, Some(measured_speed())), Error::<Test>::NoChallenge);
		});
	}

	#[test]
	fn description_is_refused_from_others_and_for_devices_not_in_service() {
		run(|| {
			assert_noop!(describe(OWNER, "One", 1, 1), Error::<Test>::UnknownDevice);
			active_device();
			assert_noop!(describe(OTHER, "One", 1, 1), Error::<Test>::NotSiteOwner);
			assert_ok!(Hardware::retire_device(signed(OWNER), 0));
			assert_noop!(describe(OWNER, "One", 1, 1), Error::<Test>::AlreadyRetired);
			for origin in [RuntimeOrigin::root(), RuntimeOrigin::none()] {
				assert_noop!(
					Hardware::describe_device(origin, 0, Default::default(), Default::default(), 1, None),
					DispatchError::BadOrigin
				);
			}
		});
	}
}

mod rotate_account {
	use super::*;

	fn rotate(who: AccountId32, n: u8) -> sp_runtime::DispatchResult {
		let proof = rotation_proof(n, 0, &DEVICE);
		Hardware::rotate_account(signed(who), 0, account_pair(n).1, proof)
	}

	#[test]
	fn device_signs_with_the_new_account_once_its_own_key_rotates() {
		run(|| {
			active_device();
			attested();
			let new = account_pair(30).1;
			assert_ok!(rotate(DEVICE, 30));
			System::assert_last_event(
				Event::AccountRotated { device: 0, old: DEVICE, new: new.clone() }.into(),
			);
			assert_eq!(DeviceOf::<Test>::get(DEVICE), None);
			assert_eq!(DeviceOf::<Test>::get(&new), Some(0));
			// The libp2p key signed for the old account.
			assert_eq!(DeviceOfNetworkKey::<Test>::get(network_pair(7).public().0), None);
			assert_eq!(state_of(0), Some(DeviceState::Attested));
			assert!(Hardware::has_valid_evidence(0));
			assert_ok!(activate(new.clone(), 7));
			assert_eq!(Hardware::active_device(&new), Some(0));
		});
	}

	#[test]
	fn evidence_is_void_when_the_owner_rotates() {
		run(|| {
			active_device();
			attested();
			assert_ok!(rotate(OWNER, 30));
			assert!(!Hardware::has_valid_evidence(0));
			assert_eq!(state_of(0), Some(DeviceState::Registered));
		});
	}

	#[test]
	fn rotation_is_refused_without_the_new_keys_consent() {
		run(|| {
			active_device();
			let new = account_pair(30).1;
			for proof in [
				rotation_proof(31, 0, &DEVICE),
				rotation_proof(30, 1, &DEVICE),
				rotation_proof(30, 0, &OTHER),
				[0; 64],
			] {
				assert_noop!(
					Hardware::rotate_account(signed(DEVICE), 0, new.clone(), proof),
					Error::<Test>::BadAccountProof
				);
			}
		});
	}

	#[test]
	fn rotation_is_refused_to_an_account_that_signs_for_a_device() {
		run(|| {
			active_device();
			let taken = account_pair(30).1;
			assert_ok!(register_device(OWNER, 0, taken));
			assert_noop!(rotate(DEVICE, 30), Error::<Test>::AccountInUse);
			assert_noop!(
				Hardware::rotate_account(signed(DEVICE), 0, DEVICE, [0; 64]),
				Error::<Test>::AccountInUse
			);
		});
	}

	#[test]
	fn rotation_is_refused_from_others_and_for_devices_not_in_service() {
		run(|| {
			assert_noop!(rotate(OWNER, 30), Error::<Test>::UnknownDevice);
			active_device();
			assert_noop!(rotate(OTHER, 30), Error::<Test>::NotSiteOwner);
			assert_noop!(rotate(account_pair(30).1, 30), Error::<Test>::NotSiteOwner);
			assert_ok!(Hardware::retire_device(signed(OWNER), 0));
			assert_noop!(rotate(DEVICE, 30), Error::<Test>::AlreadyRetired);
			for origin in [RuntimeOrigin::root(), RuntimeOrigin::none()] {
				assert_noop!(Hardware::rotate_account(origin, 0, OTHER, [0; 64]), DispatchError::BadOrigin);
			}
		});
	}
}

mod suspension {
	use super::*;

	#[test]
	fn device_is_out_while_suspended_and_back_when_reinstated() {
		run(|| {
			active_device();
			assert_ok!(Hardware::suspend_device(signed(Registry::get()), 0));
			System::assert_last_event(
				Event::DeviceSuspended { device: 0, suspension: Suspension::Ordered }.into(),
			);
			assert_eq!(Hardware::active_device(&DEVICE), None);
			assert_eq!(state_of(0), Some(DeviceState::Suspended));
			assert_ok!(Hardware::reinstate_device(signed(Registry::get()), 0));
			System::assert_last_event(
				Event::DeviceReinstated { device: 0, state: DeviceState::Active }.into(),
			);
			assert_eq!(Hardware::active_device(&DEVICE), Some(0));
		});
	}

	#[test]
	fn suspended_device_can_be_retired() {
		run(|| {
			active_device();
			assert_ok!(Hardware::suspend_device(signed(Registry::get()), 0));
			assert_ok!(Hardware::retire_device(signed(DEVICE), 0));
			assert_eq!(Devices::<Test>::get(0).map(|d| d.state), Some(DeviceState::Retired));
		});
	}

	#[test]
	fn suspension_and_reinstatement_are_refused_when_there_is_nothing_to_do() {
		run(|| {
			let registry = || signed(Registry::get());
			assert_noop!(Hardware::suspend_device(registry(), 0), Error::<Test>::UnknownDevice);
			assert_noop!(Hardware::reinstate_device(registry(), 0), Error::<Test>::UnknownDevice);
			active_device();
			assert_noop!(Hardware::reinstate_device(registry(), 0), Error::<Test>::NotSuspended);
			assert_ok!(Hardware::retire_device(signed(OWNER), 0));
			assert_noop!(Hardware::suspend_device(registry(), 0), Error::<Test>::AlreadyRetired);
			assert_noop!(Hardware::reinstate_device(registry(), 0), Error::<Test>::AlreadyRetired);
		});
	}

	#[test]
	fn suspension_and_reinstatement_are_refused_when_the_origin_is_not_the_registry() {
		run(|| {
			active_device();
			for origin in [RuntimeOrigin::root(), RuntimeOrigin::none(), signed(OWNER)] {
				assert_noop!(Hardware::suspend_device(origin.clone(), 0), DispatchError::BadOrigin);
				assert_noop!(Hardware::reinstate_device(origin, 0), DispatchError::BadOrigin);
			}
		});
	}
}
