//! Sites get other owners, and devices other sites.

use crate::{mock::*, DeviceOffers, Error, Event, HoldReason, SiteOffers, Sites};
use cairn_primitives::EnergySource;
use frame_support::{assert_noop, assert_ok, traits::fungible::InspectHold};
use sp_core::crypto::AccountId32;
use sp_runtime::{DispatchError, TokenError};

fn held(who: &AccountId32) -> u128 {
	Balances::balance_on_hold(&HoldReason::RegistryDeposit.into(), who)
}

fn site_of(device: u32) -> Option<u32> {
	Hardware::device_info(device).map(|d| d.site)
}

mod update_site {
	use super::*;

	fn update(origin: RuntimeOrigin, name: &[u8]) -> sp_runtime::DispatchResult {
		Hardware::update_site(
			origin,
			0,
			name.to_vec().try_into().expect("short"),
			b"NO".to_vec().try_into().expect("short"),
			EnergySource::Mixed,
		)
	}

	#[test]
	fn site_is_described_anew_by_its_owner() {
		run(|| {
			active_device();
			assert_ok!(update(signed(OWNER), b"Fjord"));
			let site = Sites::<Test>::get(0).expect("registered");
			assert_eq!((&site.name[..], &site.region[..]), (&b"Fjord"[..], &b"NO"[..]));
			assert_eq!((site.energy, site.devices, site.owner), (EnergySource::Mixed, 1, OWNER));
			System::assert_last_event(
				Event::SiteUpdated { site: 0, region: site.region, energy: EnergySource::Mixed }.into(),
			);
		});
	}

	#[test]
	fn description_is_refused_without_a_name_or_from_others() {
		run(|| {
			assert_noop!(update(signed(OWNER), b"Fjord"), Error::<Test>::UnknownSite);
			assert_ok!(register_site(OWNER));
			assert_noop!(update(signed(OWNER), b""), Error::<Test>::EmptyName);
			assert_noop!(update(signed(OTHER), b"Fjord"), Error::<Test>::NotSiteOwner);
			for origin in [RuntimeOrigin::root(), RuntimeOrigin::none()] {
				assert_noop!(update(origin, b"Fjord"), DispatchError::BadOrigin);
			}
		});
	}
}

mod site {
	use super::*;

	#[test]
	fn site_and_all_its_deposits_pass_to_the_account_that_accepts() {
		run(|| {
			active_device();
			assert_ok!(register_device(OWNER, 0, account_pair(30).1));
			assert_ok!(Hardware::retire_device(signed(OWNER), 1));
			assert_ok!(Hardware::offer_site(signed(OWNER), 0, Some(OTHER)));
			System::assert_last_event(Event::SiteOffered { site: 0, to: Some(OTHER) }.into());
			assert_ok!(Hardware::accept_site(signed(OTHER), 0));
			System::assert_last_event(Event::SiteTransferred { site: 0, from: OWNER, to: OTHER }.into());
			assert_eq!(held(&OWNER), 0);
			assert_eq!(held(&OTHER), SiteDeposit::get() + 2 * DeviceDeposit::get());
			assert_eq!(SiteOffers::<Test>::get(0), None);
			assert_noop!(Hardware::retire_device(signed(OWNER), 0), Error::<Test>::NotSiteOwner);
			assert_ok!(Hardware::retire_device(signed(OTHER), 0));
		});
	}

	#[test]
	fn offer_can_be_withdrawn_or_made_to_another() {
		run(|| {
			assert_ok!(register_site(OWNER));
			assert_ok!(Hardware::offer_site(signed(OWNER), 0, Some(OTHER)));
			assert_ok!(Hardware::offer_site(signed(OWNER), 0, Some(DEVICE)));
			assert_noop!(Hardware::accept_site(signed(OTHER), 0), Error::<Test>::NotOffered);
			assert_ok!(Hardware::offer_site(signed(OWNER), 0, None));
			assert_noop!(Hardware::accept_site(signed(DEVICE), 0), Error::<Test>::NotOffered);
		});
	}

	#[test]
	fn site_can_be_offered_to_its_own_owner() {
		run(|| {
			assert_ok!(register_site(OWNER));
			assert_ok!(Hardware::offer_site(signed(OWNER), 0, Some(OWNER)));
			assert_ok!(Hardware::accept_site(signed(OWNER), 0));
			assert_eq!(held(&OWNER), SiteDeposit::get());
		});
	}

	#[test]
	fn site_is_not_passed_on_when_the_new_owner_cannot_pay_its_deposits() {
		run(|| {
			assert_ok!(register_site(OWNER));
			assert_ok!(Hardware::offer_site(signed(OWNER), 0, Some(POOR)));
			assert_noop!(Hardware::accept_site(signed(POOR), 0), TokenError::FundsUnavailable);
			assert_eq!(SiteOffers::<Test>::get(0), Some(POOR));
		});
	}

	#[test]
	fn offer_and_acceptance_are_refused_to_others() {
		run(|| {
			assert_noop!(Hardware::offer_site(signed(OWNER), 0, None), Error::<Test>::UnknownSite);
			assert_noop!(Hardware::accept_site(signed(OWNER), 0), Error::<Test>::UnknownSite);
			assert_ok!(register_site(OWNER));
			assert_noop!(Hardware::offer_site(signed(OTHER), 0, Some(OTHER)), Error::<Test>::NotSiteOwner);
			assert_noop!(Hardware::accept_site(signed(OTHER), 0), Error::<Test>::NotOffered);
			for origin in [RuntimeOrigin::root(), RuntimeOrigin::none()] {
				assert_noop!(Hardware::offer_site(origin.clone(), 0, None), DispatchError::BadOrigin);
				assert_noop!(Hardware::accept_site(origin, 0), DispatchError::BadOrigin);
			}
		});
	}
}

mod device {
	use super::*;

	fn two_sites() {
		active_device();
		assert_ok!(register_site(OTHER));
	}

	#[test]
	fn device_and_its_deposit_pass_to_the_site_that_accepts() {
		run(|| {
			two_sites();
			attested();
			assert_ok!(Hardware::offer_device(signed(OWNER), 0, Some(1)));
			System::assert_last_event(Event::DeviceOffered { device: 0, to: Some(1) }.into());
			assert_ok!(Hardware::accept_device(signed(OTHER), 0));
			System::assert_last_event(Event::DeviceTransferred { device: 0, from: 0, to: 1 }.into());
			assert_eq!(site_of(0), Some(1));
			assert_eq!(held(&OWNER), SiteDeposit::get());
			assert_eq!(held(&OTHER), SiteDeposit::get() + DeviceDeposit::get());
			// The machine, its keys and what was measured are the same.
			assert_eq!(Hardware::active_device(&DEVICE), Some(0));
			assert!(Hardware::has_valid_evidence(0));
			assert!(DeviceOffers::<Test>::get(0).is_none());
			assert_noop!(Hardware::retire_device(signed(OWNER), 0), Error::<Test>::NotSiteOwner);
		});
	}

	#[test]
	fn device_moves_between_two_sites_of_one_owner_without_a_second_deposit() {
		run(|| {
			active_device();
			assert_ok!(register_site(OWNER));
			assert_ok!(Balances::force_set_balance(RuntimeOrigin::root(), OWNER, 1));
			assert_ok!(Hardware::offer_device(signed(OWNER), 0, Some(1)));
			assert_ok!(Hardware::accept_device(signed(OWNER), 0));
			assert_eq!(site_of(0), Some(1));
			assert_ok!(Hardware::offer_device(signed(OWNER), 0, Some(1)));
			assert_ok!(Hardware::accept_device(signed(OWNER), 0));
			assert_eq!(Sites::<Test>::get(1).map(|s| s.devices), Some(1));
		});
	}

	#[test]
	fn offer_of_a_former_owner_is_void() {
		run(|| {
			active_device();
			assert_ok!(register_site(OWNER));
			assert_ok!(Hardware::offer_device(signed(OWNER), 0, Some(1)));
			assert_ok!(Hardware::offer_site(signed(OWNER), 0, Some(OTHER)));
			assert_ok!(Hardware::accept_site(signed(OTHER), 0));
			assert_noop!(Hardware::accept_device(signed(OWNER), 0), Error::<Test>::NotOffered);
		});
	}

	#[test]
	fn offer_can_be_withdrawn() {
		run(|| {
			two_sites();
			assert_ok!(Hardware::offer_device(signed(OWNER), 0, Some(1)));
			assert_ok!(Hardware::offer_device(signed(OWNER), 0, None));
			assert_noop!(Hardware::accept_device(signed(OTHER), 0), Error::<Test>::NotOffered);
		});
	}

	#[test]
	fn device_is_not_passed_on_to_a_full_site_or_a_poor_owner() {
		run(|| {
			two_sites();
			for n in 0..MaxDevicesPerSite::get() as u8 {
				assert_ok!(register_device(OTHER, 1, AccountId32::new([100 + n; 32])));
			}
			assert_ok!(Hardware::offer_device(signed(OWNER), 0, Some(1)));
			assert_noop!(Hardware::accept_device(signed(OTHER), 0), Error::<Test>::TooManyDevices);
			assert_ok!(Hardware::retire_device(signed(OTHER), 1));
			assert_ok!(Balances::force_set_balance(RuntimeOrigin::root(), OTHER, 1));
			assert_noop!(Hardware::accept_device(signed(OTHER), 0), TokenError::FundsUnavailable);
		});
	}

	#[test]
	fn offer_and_acceptance_are_refused_to_others_and_for_devices_not_in_service() {
		run(|| {
			assert_noop!(Hardware::offer_device(signed(OWNER), 0, Some(0)), Error::<Test>::UnknownDevice);
			assert_noop!(Hardware::accept_device(signed(OWNER), 0), Error::<Test>::UnknownDevice);
			two_sites();
			assert_noop!(Hardware::offer_device(signed(DEVICE), 0, Some(1)), Error::<Test>::NotSiteOwner);
			assert_noop!(Hardware::offer_device(signed(OWNER), 0, Some(7)), Error::<Test>::UnknownSite);
			assert_ok!(Hardware::offer_device(signed(OWNER), 0, Some(1)));
			assert_noop!(Hardware::accept_device(signed(OWNER), 0), Error::<Test>::NotSiteOwner);
			assert_ok!(Hardware::retire_device(signed(OWNER), 0));
			assert_noop!(Hardware::offer_device(signed(OWNER), 0, None), Error::<Test>::AlreadyRetired);
			assert_noop!(Hardware::accept_device(signed(OTHER), 0), Error::<Test>::AlreadyRetired);
			for origin in [RuntimeOrigin::root(), RuntimeOrigin::none()] {
				assert_noop!(Hardware::offer_device(origin.clone(), 0, None), DispatchError::BadOrigin);
				assert_noop!(Hardware::accept_device(origin, 0), DispatchError::BadOrigin);
			}
		});
	}
}
