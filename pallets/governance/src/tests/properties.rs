//! The DAO and everybody else do anything at any time; the invariants hold after every step.

use crate::{mock::*, Charter};
use cairn_primitives::{
	views::{CharterInfo, ProgrammeState},
	DeviceClass, Label, RuleKind, Schedule, Settings,
};
use frame_support::BoundedVec;
use pallet_training::Programmes;
use proptest::prelude::*;
use std::collections::BTreeSet;

#[derive(Clone, Debug)]
enum Act {
	SetCharter {
		by: u8,
		epsilon: Option<u32>,
		committee: u32,
		cap: u8,
		commit: u32,
		gpu: bool,
		licence: bool,
	},
	Open {
		by: u8,
		rounds: u32,
		epsilon: Option<u32>,
	},
	Amend {
		by: u8,
		id: u32,
		rounds: u32,
		committee: u32,
		commit: u32,
	},
	Pause {
		by: u8,
		id: u32,
	},
	Resume {
		by: u8,
		id: u32,
	},
	Close {
		by: u8,
		id: u32,
	},
	SetValidators {
		by: u8,
		set: Vec<u8>,
	},
	Purge {
		who: u8,
	},
	Keys {
		who: u8,
		key: u64,
	},
	Rotate,
	Attest {
		devices: BTreeSet<u32>,
	},
	Commit {
		who: u8,
	},
	Advance {
		id: u32,
	},
	Fund {
		id: u32,
		amount: u128,
	},
	Wait {
		blocks: u64,
	},
}

/// Mostly somebody who may, sometimes somebody who may not.
fn by() -> impl Strategy<Value = u8> {
	prop_oneof![
		4 => Just(PROGRAMME_ADMIN),
		3 => Just(POLICY_ADMIN),
		2 => Just(SAFETY),
		2 => Just(REGISTRY_ADMIN),
		1 => Just(1u8)
	]
}

fn act() -> impl Strategy<Value = Act> {
	let id = 0u32..4;
	let epsilon = prop::option::of(0u32..1_500);
	prop_oneof![
		2 => (epsilon.clone(), 0u32..9, 0u8..110, 0u32..15, any::<bool>(), any::<bool>()).prop_flat_map(
			|(epsilon, committee, cap, commit, gpu, licence)| by().prop_map(move |by| {
				Act::SetCharter { by, epsilon, committee, cap, commit, gpu, licence }
			})
		),
		1 => (by(), 0u32..6, epsilon)
			.prop_map(|(by, rounds, epsilon)| Act::Open { by, rounds, epsilon }),
		2 => (by(), id.clone(), 0u32..6, 0u32..9, 0u32..20).prop_map(|(by, id, rounds, committee, commit)| {
			Act::Amend { by, id, rounds, committee, commit }
		}),
		2 => (by(), id.clone()).prop_map(|(by, id)| Act::Pause { by, id }),
		3 => (by(), id.clone()).prop_map(|(by, id)| Act::Resume { by, id }),
		1 => (by(), 1u32..4).prop_map(|(by, id)| Act::Close { by, id }),
		2 => (by(), prop::collection::vec(1u8..12, 0..6))
			.prop_map(|(by, set)| Act::SetValidators { by, set }),
		1 => (1u8..10).prop_map(|who| Act::Purge { who }),
		2 => (1u8..10, 1_000u64..1_000_000).prop_map(|(who, key)| Act::Keys { who, key }),
		3 => Just(Act::Rotate),
		1 => prop::collection::btree_set(0u32..6, 0..6).prop_map(|devices| Act::Attest { devices }),
		6 => (11u8..17).prop_map(|who| Act::Commit { who }),
		4 => id.clone().prop_map(|id| Act::Advance { id }),
		1 => (id, 0u128..3_000).prop_map(|(id, amount)| Act::Fund { id, amount }),
		4 => (0u64..12).prop_map(|blocks| Act::Wait { blocks }),
	]
}

/// Tries an act; what the chain refuses changes nothing, which the invariants then show.
fn perform(act: &Act) {
	match act.clone() {
		Act::SetCharter { by, epsilon, committee, cap, commit, gpu, licence } => {
			let licences = if licence { vec![Label::truncate_from(b"Apache-2.0".to_vec())] } else { vec![] };
			let evidence = if gpu { vec![DeviceClass::Gpu] } else { vec![] };
			let charter = Charter {
				max_epsilon: epsilon.map(|e| e * 4),
				licences: BoundedVec::truncate_from(licences),
				site_cap: cap,
				evidence: BoundedVec::truncate_from(evidence),
				rules: BoundedVec::truncate_from(vec![RuleKind::WeightedMean]),
				min_committee: committee,
				min_schedule: Schedule { commit, ..Schedule::SHORTEST },
				..Charter::default()
			};
			let _ = Governance::set_charter(signed(by), Box::new(charter));
		},
		Act::Open { by, rounds, epsilon } => {
			let settings = Settings { rounds, epsilon_per_round: epsilon, ..settings() };
			let _ = Governance::open_programme(signed(by), Box::new(settings));
		},
		Act::Amend { by, id, rounds, committee, commit } => {
			let settings = Programmes::<Test>::get(id).map_or_else(settings, |p| p.settings);
			let schedule = Schedule { commit, ..settings.schedule };
			let settings = Settings { rounds, committee_size: committee, schedule, ..settings };
			let _ = Governance::amend_programme(signed(by), id, Box::new(settings));
		},
		Act::Pause { by, id } => {
			let _ = Governance::pause_programme(signed(by), id);
		},
		Act::Resume { by, id } => {
			let _ = Governance::resume_programme(signed(by), id);
		},
		Act::Close { by, id } => {
			let _ = Governance::close_programme(signed(by), id);
		},
		Act::SetValidators { by, set } => {
			let set = BoundedVec::truncate_from(set.into_iter().map(acc).collect());
			let _ = Governance::set_validators(signed(by), set);
		},
		Act::Purge { who } => pallet_session::NextKeys::<Test>::remove(acc(who)),
		Act::Keys { who, key } => pallet_session::NextKeys::<Test>::insert(acc(who), keys(key)),
		Act::Rotate => {
			let queued: Vec<_> = pallet_session::QueuedKeys::<Test>::get();
			Session::rotate_session();
			// Everybody is told exactly when the authorities are others than before.
			let now: Vec<_> = queued.iter().map(|(validator, _)| validator.clone()).collect();
			assert_eq!(Session::validators(), now);
		},
		Act::Attest { devices } => Attested::set(&devices),
		Act::Commit { who } => {
			if Training::current_round(0).is_some() {
				let _ = commit(who);
			}
		},
		Act::Advance { id } => {
			let _ = Training::advance(signed(20), id);
		},
		Act::Fund { id, amount } => {
			let _ = Rewards::fund(signed(20), id, amount);
		},
		Act::Wait { blocks } => {
			frame_system::Pallet::<Test>::set_block_number(System::block_number() + blocks)
		},
	}
}

proptest! {
	#![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

	#[test]
	fn invariants_hold_after_every_act(acts in prop::collection::vec(act(), 1..100)) {
		chain(CharterInfo::default(), vec![programme()]).execute_with(|| {
			let issued = Balances::total_issuance();
			for act in &acts {
				let before: Vec<_> = Programmes::<Test>::iter().collect();
				perform(act);
				check_invariants();
				prop_assert_eq!(Balances::total_issuance(), issued);
				for (id, old) in before {
					let Some(new) = Programmes::<Test>::get(id) else {
						return Err(TestCaseError::fail("a programme vanished"));
					};
					// What is over stays over, and what participants agreed to stays.
					if matches!(old.state, ProgrammeState::Closed | ProgrammeState::Completed) {
						prop_assert_eq!(old.state, new.state);
					}
					prop_assert_eq!(old.settings.epsilon_per_round, new.settings.epsilon_per_round);
					prop_assert_eq!(old.settings.genesis_weights, new.settings.genesis_weights);
				}
			}
			Ok(())
		})?;
	}

	#[test]
	fn round_starts_only_when_the_charter_allows_it(acts in prop::collection::vec(act(), 1..100)) {
		chain(CharterInfo::default(), vec![programme()]).execute_with(|| {
			for act in &acts {
				let before: Vec<_> = (0..4).map(|id| Training::current_round(id).map(|r| r.index)).collect();
				perform(act);
				for (id, before) in (0..4).zip(before) {
					let Some(round) = Training::current_round(id) else { continue };
					if Some(round.index) == before {
						continue;
					}
					let programme = Programmes::<Test>::get(id).expect("it runs");
					let charter = crate::CurrentCharter::<Test>::get();
					let rounds = u64::from(programme.released) + 1;
					prop_assert_eq!(charter.check(&programme.settings, rounds), Ok(()));
				}
			}
			Ok(())
		})?;
	}
}
