//! Honest and hostile actors do anything at any time; the invariants hold after every step.

use crate::{mock::*, Devices, Sites};
use cairn_primitives::{hardware::Measurement, DeviceState};
use frame_support::BoundedVec;
use proptest::prelude::*;
use sp_core::crypto::AccountId32;
use std::sync::LazyLock;

#[derive(Clone, Debug)]
enum Act {
	RegisterSite { who: u8 },
	RegisterDevice { who: u8, site: u32, account: u8 },
	Activate { account: u8, key: u8 },
	Describe { who: u8, device: u32, memory: u32 },
	Rotate { who: u8, device: u32, key: u8 },
	OfferSite { who: u8, site: u32, to: Option<u8> },
	AcceptSite { who: u8, site: u32 },
	OfferDevice { who: u8, device: u32, to: Option<u32> },
	AcceptDevice { who: u8, device: u32 },
	Retire { who: u8, device: u32 },
	Suspend { device: u32 },
	Reinstate { device: u32 },
	SetAttesters { members: Vec<u8>, threshold: u32 },
	Request { account: u8 },
	Submit { account: u8, device: u32, product_ms: u32 },
	Attest { who: u8, device: u32, percent: u64 },
	Recheck { who: u8 },
	Expire { who: u8, device: u32 },
	Wait { blocks: u64 },
}

/// A few owners, keys of devices, and attesters; some play more than one part.
fn acc(n: u8) -> AccountId32 {
	match n {
		0 => OWNER,
		1 => DEVICE,
		2 => OTHER,
		3 => POOR,
		4 | 5 => attester(n - 3),
		n => KEYS[usize::from(n) % KEYS.len()].clone(),
	}
}

/// Accounts of keys, made once: making one takes longer than an act.
static KEYS: LazyLock<[AccountId32; 9]> = LazyLock::new(|| core::array::from_fn(|n| account_pair(n as u8).1));

fn act() -> impl Strategy<Value = Act> {
	let who = 0u8..9;
	let device = 0u32..6;
	let site = 0u32..4;
	prop_oneof![
		2 => who.clone().prop_map(|who| Act::RegisterSite { who }),
		5 => (who.clone(), site.clone(), who.clone())
			.prop_map(|(who, site, account)| Act::RegisterDevice { who, site, account }),
		4 => (who.clone(), 0u8..6).prop_map(|(account, key)| Act::Activate { account, key }),
		1 => (who.clone(), device.clone(), 0u32..3)
			.prop_map(|(who, device, memory)| Act::Describe { who, device, memory }),
		2 => (who.clone(), device.clone(), 6u8..9).prop_map(|(who, device, key)| Act::Rotate { who, device, key }),
		2 => (who.clone(), site.clone(), prop::option::of(who.clone()))
			.prop_map(|(who, site, to)| Act::OfferSite { who, site, to }),
		2 => (who.clone(), site.clone()).prop_map(|(who, site)| Act::AcceptSite { who, site }),
		2 => (who.clone(), device.clone(), prop::option::of(site))
			.prop_map(|(who, device, to)| Act::OfferDevice { who, device, to }),
		2 => (who.clone(), device.clone()).prop_map(|(who, device)| Act::AcceptDevice { who, device }),
		1 => (who.clone(), device.clone()).prop_map(|(who, device)| Act::Retire { who, device }),
		1 => device.clone().prop_map(|device| Act::Suspend { device }),
		1 => device.clone().prop_map(|device| Act::Reinstate { device }),
		1 => (prop::collection::vec(1u8..=5, 0..5), 0u32..5)
			.prop_map(|(members, threshold)| Act::SetAttesters { members, threshold }),
		5 => who.clone().prop_map(|account| Act::Request { account }),
		5 => (who.clone(), device.clone(), 1u32..20_000)
			.prop_map(|(account, device, product_ms)| Act::Submit { account, device, product_ms }),
		8 => (1u8..=5, device.clone(), 0u64..120)
			.prop_map(|(who, device, percent)| Act::Attest { who, device, percent }),
		2 => who.clone().prop_map(|who| Act::Recheck { who }),
		1 => (who, device).prop_map(|(who, device)| Act::Expire { who, device }),
		4 => (0u64..20).prop_map(|blocks| Act::Wait { blocks }),
	]
}

/// What the chain answers to an act; the invariants show that a refusal changes nothing.
fn ignore<T>(_answer: T) {}

/// Tries an act.
fn perform(act: &Act) {
	match act.clone() {
		Act::RegisterSite { who } => ignore(register_site(acc(who))),
		Act::RegisterDevice { who, site, account } => ignore(register_device(acc(who), site, acc(account))),
		Act::Activate { account, key } => ignore(activate(acc(account), key)),
		Act::Describe { who, device, memory } => ignore(Hardware::describe_device(
			signed(acc(who)),
			device,
			Default::default(),
			Default::default(),
			memory,
			None,
		)),
		Act::Rotate { who, device, key } => {
			let old = Devices::<Test>::get(device).map_or(DEVICE, |d| d.account);
			let proof = rotation_proof(key, device, &old);
			ignore(Hardware::rotate_account(signed(acc(who)), device, account_pair(key).1, proof));
		},
		Act::OfferSite { who, site, to } => {
			ignore(Hardware::offer_site(signed(acc(who)), site, to.map(acc)));
		},
		Act::AcceptSite { who, site } => ignore(Hardware::accept_site(signed(acc(who)), site)),
		Act::OfferDevice { who, device, to } => ignore(Hardware::offer_device(signed(acc(who)), device, to)),
		Act::AcceptDevice { who, device } => ignore(Hardware::accept_device(signed(acc(who)), device)),
		Act::Retire { who, device } => ignore(Hardware::retire_device(signed(acc(who)), device)),
		Act::Suspend { device } => ignore(Hardware::suspend_device(signed(Registry::get()), device)),
		Act::Reinstate { device } => ignore(Hardware::reinstate_device(signed(Registry::get()), device)),
		Act::SetAttesters { members, threshold } => {
			let members = BoundedVec::truncate_from(members.into_iter().map(attester).collect());
			ignore(Hardware::set_attesters(signed(Registry::get()), members, threshold));
		},
		Act::Request { account } => ignore(Hardware::request_attestation(signed(acc(account)))),
		Act::Submit { account, device, product_ms } => {
			if let Some(nonce) = Hardware::open_challenge(device).and_then(|c| c.nonce) {
				let measurement = Measurement { product_ms, ..measurement() };
				ignore(Hardware::submit_measurement(signed(acc(account)), nonce, measurement));
				// The device itself too, so that some get there.
				if let Some(device) = Devices::<Test>::get(device) {
					ignore(Hardware::submit_measurement(signed(device.account), nonce, measurement));
				}
			}
		},
		Act::Attest { who, device, percent } => {
			if let Some(challenge) = Hardware::open_challenge(device) {
				let claim = challenge.measurement.and_then(|m| m.speed());
				let statement = claim.filter(|_| percent > 20).map(|mut claim| {
					claim.flops = claim.flops / 100 * percent;
					claim
				});
				let nonce = challenge.nonce.unwrap_or_default();
				ignore(Hardware::attest(signed(attester(who)), device, nonce, statement));
			}
		},
		Act::Recheck { who } => ignore(Hardware::recheck(signed(acc(who)))),
		Act::Expire { who, device } => ignore(Hardware::expire_recheck(signed(acc(who)), device)),
		Act::Wait { blocks } => pass(blocks),
	}
}

proptest! {
	#![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

	#[test]
	fn invariants_hold_after_every_act(seed in any::<u64>(), acts in prop::collection::vec(act(), 1..160)) {
		genesis(vec![attester(1), attester(2), attester(3)], 2).execute_with(|| {
			Seed::set(seed);
			let issued = Balances::total_issuance();
			for act in &acts {
				perform(act);
				if let Err(broken) = Hardware::do_try_state() {
					return Err(TestCaseError::fail(format!("{broken:?} after {act:?}")));
				}
				prop_assert_eq!(Balances::total_issuance(), issued);
				for (id, device) in Devices::<Test>::iter() {
					// Who counts as having evidence is in service, and who is suspended does not take part.
					let state = Hardware::device_info(id).map(|d| d.state);
					let out = matches!(state, Some(DeviceState::Suspended | DeviceState::Retired));
					prop_assert!(!(out && Hardware::has_valid_evidence(id)));
					prop_assert!(!out || Hardware::active_device(&device.account) != Some(id));
					prop_assert_eq!(Hardware::speed(id).is_some(), Hardware::has_valid_evidence(id));
				}
			}
			Ok(())
		})?;
	}

	#[test]
	fn device_can_always_be_attested_when_attesters_are_honest(
		seed in any::<u64>(),
		acts in prop::collection::vec(act(), 1..120),
	) {
		genesis(vec![attester(1), attester(2), attester(3)], 2).execute_with(|| {
			Seed::set(seed);
			for act in &acts {
				perform(act);
			}
			let members = BoundedVec::truncate_from(vec![attester(3), attester(4), attester(5)]);
			prop_assert!(Hardware::set_attesters(signed(Registry::get()), members, 2).is_ok());
			let Some((id, device)) = Devices::<Test>::iter().find(|(_, d)| d.state != DeviceState::Retired) else {
				return Ok(());
			};
			// Attesters 3 to 5 own nothing in these acts, so all may speak.
			prop_assert!(Sites::<Test>::iter_values().all(|s| s.owner != attester(3)));
			let _ = Hardware::reinstate_device(signed(Registry::get()), id);
			pass(MeasurementWindow::get() + StatementWindow::get() + 1);
			prop_assert!(Hardware::request_attestation(signed(device.account.clone())).is_ok());
			pass(1);
			let nonce = nonce(id);
			prop_assert!(Hardware::submit_measurement(signed(device.account), nonce, measurement()).is_ok());
			for n in [3, 4] {
				prop_assert!(Hardware::attest(signed(attester(n)), id, nonce, Some(measured_speed())).is_ok());
			}
			prop_assert!(Hardware::has_valid_evidence(id));
			Ok(())
		})?;
	}
}
