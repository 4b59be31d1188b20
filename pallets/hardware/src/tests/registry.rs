//! Sites and devices: registration, activation, retirement.

use crate::{mock::*, Device, DeviceOf, DeviceOfNetworkKey, Devices, Error, Event, HoldReason, Sites};
use cairn_primitives::{DeviceClass, DeviceState, EnergySource};
use frame_support::{assert_noop, assert_ok, traits::fungible::InspectHold};
use sp_core::{crypto::AccountId32, Pair};
use sp_runtime::{BoundedVec, DispatchError, TokenError};

fn held(who: &AccountId32) -> u128 {
	Balances::balance_on_hold(&HoldReason::RegistryDeposit.into(), who)
}

mod register_site {
	use super::*;

	#[test]
	fn site_is_registered_and_its_deposit_held() {
		run(|| {
			assert_ok!(register_site(OWNER));
			let site = Sites::<Test>::get(0).expect("registered");
			assert_eq!((site.owner, site.devices, site.energy), (OWNER, 0, EnergySource::Renewable));
			assert_eq!(held(&OWNER), SiteDeposit::get());
			System::assert_last_event(Event::SiteRegistered { site: 0, owner: OWNER }.into());
			assert_ok!(register_site(OTHER));
			assert_eq!(Sites::<Test>::get(1).map(|s| s.owner), Some(OTHER));
		});
	}

	#[test]
	fn site_is_refused_without_a_name() {
		run(|| {
			assert_noop!(
				Hardware::register_site(
					RuntimeOrigin::signed(OWNER),
					Default::default(),
					Default::default(),
					EnergySource::Unknown
				),
				Error::<Test>::EmptyName
			);
		});
	}

	#[test]
	fn site_is_refused_when_the_deposit_cannot_be_held() {
		run(|| {
			assert_noop!(register_site(POOR), TokenError::FundsUnavailable);
		});
	}

	#[test]
	fn site_is_refused_when_the_origin_is_not_signed() {
		run(|| {
			for origin in [RuntimeOrigin::root(), RuntimeOrigin::none()] {
				assert_noop!(
					Hardware::register_site(
						origin,
						BoundedVec::truncate_from(b"Lab".to_vec()),
						Default::default(),
						EnergySource::Unknown
					),
					DispatchError::BadOrigin
				);
			}
		});
	}
}

mod register_device {
	use super::*;

	#[test]
	fn device_is_registered_and_its_deposit_held_from_the_owner() {
		run(|| {
			assert_ok!(register_site(OWNER));
			assert_ok!(register_device(OWNER, 0, DEVICE));
			assert_eq!(
				Devices::<Test>::get(0),
				Some(Device {
					site: 0,
					account: DEVICE,
					class: DeviceClass::Cpu,
					memory_mib: 2_048,
					state: DeviceState::Registered,
					network_key: None,
					vendor: Default::default(),
					model: Default::default(),
					image: None,
					deposit: DeviceDeposit::get(),
					evidence: None,
					recheck: None,
					suspension: None,
					requested: None,
				})
			);
			assert_eq!(DeviceOf::<Test>::get(DEVICE), Some(0));
			assert_eq!(held(&OWNER), SiteDeposit::get() + DeviceDeposit::get());
			assert_eq!(held(&DEVICE), 0);
			assert_eq!(Hardware::active_device(&DEVICE), None);
			System::assert_last_event(Event::DeviceRegistered { device: 0, site: 0, account: DEVICE }.into());
		});
	}

	#[test]
	fn device_is_refused_at_an_unknown_site() {
		run(|| {
			assert_noop!(register_device(OWNER, 0, DEVICE), Error::<Test>::UnknownSite);
		});
	}

	#[test]
	fn device_is_refused_at_somebody_elses_site() {
		run(|| {
			assert_ok!(register_site(OWNER));
			assert_noop!(register_device(OTHER, 0, DEVICE), Error::<Test>::NotSiteOwner);
		});
	}

	#[test]
	fn device_is_refused_when_its_account_signs_for_another() {
		run(|| {
			assert_ok!(register_site(OWNER));
			assert_ok!(register_site(OTHER));
			assert_ok!(register_device(OWNER, 0, DEVICE));
			assert_noop!(register_device(OTHER, 1, DEVICE), Error::<Test>::AccountInUse);
		});
	}

	#[test]
	fn device_is_refused_when_the_site_is_full_until_one_retires() {
		run(|| {
			assert_ok!(register_site(OWNER));
			for n in 0..MaxDevicesPerSite::get() as u8 {
				assert_ok!(register_device(OWNER, 0, AccountId32::new([100 + n; 32])));
			}
			assert_noop!(register_device(OWNER, 0, DEVICE), Error::<Test>::TooManyDevices);
			assert_ok!(Hardware::retire_device(RuntimeOrigin::signed(OWNER), 0));
			assert_ok!(register_device(OWNER, 0, DEVICE));
		});
	}

	#[test]
	fn device_is_refused_when_the_deposit_cannot_be_held() {
		run(|| {
			assert_ok!(register_site(OWNER));
			assert_ok!(Balances::force_set_balance(RuntimeOrigin::root(), OWNER, DeviceDeposit::get() - 1));
			assert_noop!(register_device(OWNER, 0, DEVICE), TokenError::FundsUnavailable);
		});
	}

	#[test]
	fn device_is_refused_when_the_origin_is_not_signed() {
		run(|| {
			assert_ok!(register_site(OWNER));
			for origin in [RuntimeOrigin::root(), RuntimeOrigin::none()] {
				assert_noop!(
					Hardware::register_device(origin, 0, DEVICE, DeviceClass::Gpu, 1),
					DispatchError::BadOrigin
				);
			}
		});
	}
}

mod activate_device {
	use super::*;

	fn registered() {
		assert_ok!(register_site(OWNER));
		assert_ok!(register_device(OWNER, 0, DEVICE));
	}

	#[test]
	fn device_is_active_once_its_own_keys_agree() {
		run(|| {
			registered();
			assert_ok!(activate(DEVICE, 7));
			let key = network_pair(7).public().0;
			assert_eq!(Hardware::active_device(&DEVICE), Some(0));
			assert_eq!(DeviceOfNetworkKey::<Test>::get(key), Some(0));
			assert_eq!(Hardware::device_info(0).and_then(|d| d.network_key), Some(key));
			System::assert_last_event(Event::DeviceActivated { device: 0, network_key: key }.into());
		});
	}

	#[test]
	fn network_key_is_replaced_when_the_device_activates_again() {
		run(|| {
			registered();
			assert_ok!(activate(DEVICE, 7));
			assert_ok!(activate(DEVICE, 8));
			assert_eq!(DeviceOfNetworkKey::<Test>::get(network_pair(7).public().0), None);
			assert_eq!(DeviceOfNetworkKey::<Test>::get(network_pair(8).public().0), Some(0));
			assert_ok!(activate(DEVICE, 8));
			assert_eq!(DeviceOfNetworkKey::<Test>::get(network_pair(8).public().0), Some(0));
		});
	}

	#[test]
	fn activation_is_refused_when_the_account_is_no_device() {
		run(|| {
			assert_noop!(activate(OTHER, 7), Error::<Test>::NotADevice);
		});
	}

	#[test]
	fn activation_is_refused_when_the_proof_is_for_another_account_or_chain() {
		run(|| {
			registered();
			let (key, proof) = network_key(7, &OTHER);
			assert_noop!(
				Hardware::activate_device(RuntimeOrigin::signed(DEVICE), key, proof),
				Error::<Test>::BadNetworkKeyProof
			);
			let foreign =
				cairn_primitives::network_key_message(&sp_core::H256::repeat_byte(9), DEVICE.as_ref());
			assert_noop!(
				Hardware::activate_device(
					RuntimeOrigin::signed(DEVICE),
					network_pair(7).public().0,
					network_pair(7).sign(&foreign).0
				),
				Error::<Test>::BadNetworkKeyProof
			);
			let (_, proof) = network_key(7, &DEVICE);
			assert_noop!(
				Hardware::activate_device(RuntimeOrigin::signed(DEVICE), network_pair(8).public().0, proof),
				Error::<Test>::BadNetworkKeyProof
			);
		});
	}

	#[test]
	fn activation_is_refused_when_the_key_belongs_to_another_device() {
		run(|| {
			registered();
			assert_ok!(activate(DEVICE, 7));
			assert_ok!(register_device(OWNER, 0, OTHER));
			assert_noop!(activate(OTHER, 7), Error::<Test>::NetworkKeyInUse);
		});
	}

	#[test]
	fn activation_is_refused_when_the_device_is_suspended() {
		run(|| {
			registered();
			assert_ok!(Hardware::suspend_device(signed(Registry::get()), 0));
			assert_noop!(activate(DEVICE, 7), Error::<Test>::NotActivatable);
		});
	}

	#[test]
	fn activation_is_refused_when_the_origin_is_not_signed() {
		run(|| {
			for origin in [RuntimeOrigin::root(), RuntimeOrigin::none()] {
				assert_noop!(Hardware::activate_device(origin, [0; 32], [0; 64]), DispatchError::BadOrigin);
			}
		});
	}
}

mod retire_device {
	use super::*;

	#[test]
	fn device_is_retired_by_its_owner_and_its_keys_are_free() {
		run(|| {
			assert_ok!(register_site(OWNER));
			assert_ok!(register_device(OWNER, 0, DEVICE));
			assert_ok!(activate(DEVICE, 7));
			assert_ok!(Hardware::retire_device(RuntimeOrigin::signed(OWNER), 0));
			System::assert_last_event(Event::DeviceRetired { device: 0 }.into());
			assert_eq!(Hardware::active_device(&DEVICE), None);
			assert_eq!(Devices::<Test>::get(0).map(|d| d.state), Some(DeviceState::Retired));
			assert_eq!(held(&OWNER), SiteDeposit::get() + DeviceDeposit::get());
			assert_ok!(register_device(OWNER, 0, DEVICE));
			assert_ok!(activate(DEVICE, 7));
			assert_eq!(Hardware::active_device(&DEVICE), Some(1));
		});
	}

	#[test]
	fn device_account_can_free_itself_from_a_registration_it_did_not_want() {
		run(|| {
			assert_ok!(register_site(OTHER));
			assert_ok!(register_device(OTHER, 0, DEVICE));
			assert_ok!(Hardware::retire_device(RuntimeOrigin::signed(DEVICE), 0));
			assert_eq!(DeviceOf::<Test>::get(DEVICE), None);
		});
	}

	#[test]
	fn retirement_is_refused_when_unknown_foreign_or_done() {
		run(|| {
			assert_noop!(
				Hardware::retire_device(RuntimeOrigin::signed(OWNER), 0),
				Error::<Test>::UnknownDevice
			);
			assert_ok!(register_site(OWNER));
			assert_ok!(register_device(OWNER, 0, DEVICE));
			assert_noop!(
				Hardware::retire_device(RuntimeOrigin::signed(OTHER), 0),
				Error::<Test>::NotSiteOwner
			);
			assert_ok!(Hardware::retire_device(RuntimeOrigin::signed(OWNER), 0));
			assert_noop!(
				Hardware::retire_device(RuntimeOrigin::signed(OWNER), 0),
				Error::<Test>::AlreadyRetired
			);
			for origin in [RuntimeOrigin::root(), RuntimeOrigin::none()] {
				assert_noop!(Hardware::retire_device(origin, 0), DispatchError::BadOrigin);
			}
		});
	}
}

#[test]
fn try_state_notices_a_broken_index() {
	run(|| {
		assert_ok!(register_site(OWNER));
		assert_ok!(register_device(OWNER, 0, DEVICE));
		DeviceOf::<Test>::insert(OTHER, 0);
		assert!(Hardware::do_try_state().is_err());
		DeviceOf::<Test>::remove(OTHER);
		DeviceOfNetworkKey::<Test>::insert([9; 32], 0);
		assert!(Hardware::do_try_state().is_err());
		DeviceOfNetworkKey::<Test>::remove([9; 32]);
		Sites::<Test>::mutate(0, |s| {
			if let Some(s) = s {
				s.devices = 2
			}
		});
		assert!(Hardware::do_try_state().is_err());
		Sites::<Test>::mutate(0, |s| {
			if let Some(s) = s {
				s.devices = 1
			}
		});
	});
}
