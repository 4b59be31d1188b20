//! Honest and hostile actors do anything at any time; the invariants hold after every step.

use crate::mock::*;
use cairn_primitives::{bitmap, views::Phase, Schedule, Settings, H256};
use proptest::prelude::*;
use sp_runtime::BoundedVec;

/// Each is a hundred acts or so, with all invariants checked after every one of them.
const CASES: u32 = 96;

#[derive(Clone, Debug)]
enum Act {
	Commit {
		who: u8,
		round: u32,
		artifact: u64,
		samples: u32,
		steps: u32,
	},
	Vote {
		who: u8,
		bits: u8,
	},
	CommitResult {
		who: u8,
		result: u64,
		quality: u8,
	},
	Reveal {
		who: u8,
		result: u64,
		quality: u8,
	},
	/// A whole committee goes on together, so that rounds get as far as audits.
	Together {
		agree: bool,
	},
	Challenge {
		who: u8,
		claimed: u64,
	},
	ApplySlash {
		slash: u32,
	},
	VetoSlash {
		slash: u32,
	},
	Learn {
		block: u64,
	},
	Advance {
		who: u8,
	},
	Enlist {
		who: u8,
	},
	Delist {
		who: u8,
	},
	Bond {
		who: u8,
		amount: u128,
	},
	Unbond {
		who: u8,
		amount: u128,
	},
	Fund {
		who: u8,
		amount: u128,
	},
	Claim {
		who: u8,
	},
	Retire {
		who: u8,
		device: u32,
	},
	Wait {
		blocks: u64,
	},
	Amend {
		seats: u32,
		rounds: u32,
		reward: u128,
	},
	Pause,
	Resume,
	Close,
	Forbid {
		yes: bool,
	},
	Ban {
		device: Option<u32>,
	},
}

fn act() -> impl Strategy<Value = Act> {
	let who = 1u8..=13;
	prop_oneof![
		6 => (who.clone(), 0u32..4, 0u64..40, 0u32..1_100, 0u32..110)
			.prop_map(|(who, round, artifact, samples, steps)| Act::Commit { who, round, artifact, samples, steps }),
		6 => (1u8..=6, any::<u8>()).prop_map(|(who, bits)| Act::Vote { who, bits }),
		6 => (1u8..=6, 0u64..3, 98u8..=101)
			.prop_map(|(who, result, quality)| Act::CommitResult { who, result, quality }),
		6 => (1u8..=6, 0u64..3, 98u8..=101)
			.prop_map(|(who, result, quality)| Act::Reveal { who, result, quality }),
		8 => prop::bool::weighted(0.8).prop_map(|agree| Act::Together { agree }),
		4 => (1u8..=20, 0u64..3).prop_map(|(who, claimed)| Act::Challenge { who, claimed }),
		1 => (0u32..6).prop_map(|slash| Act::ApplySlash { slash }),
		1 => (0u32..6).prop_map(|slash| Act::VetoSlash { slash }),
		1 => prop_oneof![0u64..100, Just(u64::MAX)].prop_map(|block| Act::Learn { block }),
		4 => who.clone().prop_map(|who| Act::Advance { who }),
		1 => who.clone().prop_map(|who| Act::Enlist { who }),
		1 => who.clone().prop_map(|who| Act::Delist { who }),
		1 => (who.clone(), 0u128..100).prop_map(|(who, amount)| Act::Bond { who, amount }),
		1 => (who.clone(), 0u128..100).prop_map(|(who, amount)| Act::Unbond { who, amount }),
		1 => (who.clone(), 0u128..2_000).prop_map(|(who, amount)| Act::Fund { who, amount }),
		1 => who.clone().prop_map(|who| Act::Claim { who }),
		1 => (who, 0u32..13).prop_map(|(who, device)| Act::Retire { who, device }),
		2 => (0u64..12).prop_map(|blocks| Act::Wait { blocks }),
		1 => (1u32..6, 0u32..6, 0u128..2_000)
			.prop_map(|(seats, rounds, reward)| Act::Amend { seats, rounds, reward }),
		1 => Just(Act::Pause),
		2 => Just(Act::Resume),
		1 => prop::bool::weighted(0.1).prop_map(|yes| if yes { Act::Close } else { Act::Resume }),
		1 => any::<bool>().prop_map(|yes| Act::Forbid { yes }),
		1 => prop::option::of(0u32..12).prop_map(|device| Act::Ban { device }),
	]
}

/// Tries an act; what the chain refuses changes nothing, which the invariants then show.
fn perform(act: &Act) {
	let running = Training::current_round(0);
	match *act {
		Act::Commit { who, round, artifact, samples, steps } => {
			// Mostly the running round, so that rounds get anywhere.
			let round = running.map_or(round, |r| if round < 3 { r.index } else { round });
			let artifact = hash(artifact + 100 * u64::from(who) + 10_000 * u64::from(round));
			let _ = Training::commit_update(signed(who), 0, round, artifact, samples, steps);
		},
		Act::Vote { who, bits } => {
			if let Some(r) = running {
				let map = bitmap::from_fn(r.commit_count, |i| bits >> (i % 8) & 1 == 1);
				let _ = Training::vote_availability(
					signed(who),
					0,
					r.index,
					r.attempt,
					BoundedVec::truncate_from(map),
				);
			}
		},
		Act::CommitResult { who, result, quality } => {
			if running.is_some() {
				let _ = commit_with_quality(&acc(who), outcome(result), &qualities(quality));
			}
		},
		Act::Reveal { who, result, quality } => {
			if running.is_some() {
				let _ = reveal_with(&acc(who), outcome(result), qualities(quality));
			}
		},
		Act::Together { agree } => {
			if let Some(r) = running {
				let members = r.challenge.map_or(r.committee, |c| c.committee);
				for (n, member) in (0u8..).zip(members) {
					let Some(now) = Training::current_round(0) else { return };
					let quality = qualities(if agree { 100 } else { 100 - n });
					let _ = match now.phase {
						Phase::Availability => vote(&member.account, |_| true),
						Phase::Aggregate | Phase::AuditAggregate => {
							commit_with_quality(&member.account, next_weights(), &quality)
						},
						_ => reveal_with(&member.account, next_weights(), quality),
					};
				}
			}
		},
		Act::Challenge { who, claimed } => {
			if let Some(r) = running {
				let _ = Training::challenge(signed(who), 0, r.index, outcome(claimed));
			}
		},
		Act::ApplySlash { slash } => {
			let _ = Rewards::apply_slash(signed(1), slash);
		},
		Act::VetoSlash { slash } => {
			let _ = Rewards::veto_slash(RuntimeOrigin::root(), slash);
		},
		Act::Learn { block } => Known::set(&block),
		Act::Advance { who } => {
			let _ = Training::advance(signed(who), 0);
		},
		Act::Enlist { who } => {
			let _ = Training::enlist_aggregator(signed(who));
		},
		Act::Delist { who } => {
			let _ = Training::delist_aggregator(signed(who));
		},
		Act::Bond { who, amount } => {
			let _ = Rewards::bond(signed(who), amount);
		},
		Act::Unbond { who, amount } => {
			let _ = Rewards::unbond(signed(who), amount);
		},
		Act::Fund { who, amount } => {
			let _ = Rewards::fund(signed(who), 0, amount);
		},
		Act::Claim { who } => {
			let _ = Rewards::claim(signed(who), 0);
		},
		Act::Retire { who, device } => {
			let _ = Hardware::retire_device(signed(who), device);
		},
		Act::Wait { blocks } => pass_blocks(blocks),
		Act::Amend { seats, rounds, reward } => {
			let settings = disputable().settings().expect("they fit");
			let _ = Training::amend(
				0,
				Settings { committee_size: seats, rounds, reward_per_round: reward, ..settings },
			);
		},
		Act::Pause => {
			let _ = Training::pause(0);
		},
		Act::Resume => {
			let _ = Training::resume(0);
		},
		Act::Close => {
			let _ = Training::close(0);
		},
		Act::Forbid { yes } => Forbidden::set(&yes),
		Act::Ban { device } => Banned::set(&device),
	}
}

/// Mostly the honest result, sometimes another one or the base.
fn outcome(result: u64) -> H256 {
	match result {
		0 | 1 => next_weights(),
		_ => hash(2),
	}
}

/// This for every included update, when it can be.
fn qualities(quality: u8) -> BoundedVec<u8, MaxUpdates> {
	BoundedVec::truncate_from(vec![quality; bitmap::count(&round().included) as usize])
}

/// The programme, with a challenge window and an audit.
fn disputable() -> crate::GenesisProgramme<u128> {
	let schedule = Schedule { challenge: 4, ..programme().schedule };
	crate::GenesisProgramme { schedule, audit_size: Some(5), challenge_bond: 100, ..programme() }
}

proptest! {
	#![proptest_config(ProptestConfig::with_cases(CASES))]

	#[test]
	fn invariants_hold_after_every_act(acts in prop::collection::vec(act(), 1..160)) {
		chain(vec![disputable()]).execute_with(|| {
			let issued = Balances::total_issuance();
			for act in &acts {
				perform(act);
				check_invariants();
				prop_assert_eq!(Balances::total_issuance(), issued);
			}
			Ok(())
		})?;
	}

	#[test]
	fn programme_always_gets_on_when_honest_workers_come_back(
		acts in prop::collection::vec(act(), 1..120)
	) {
		chain(vec![disputable()]).execute_with(|| {
			let lasting = |act: &&Act| {
				use Act::*;
				!matches!(act, Retire { .. } | Delist { .. } | Close | Amend { .. })
			};
			for act in acts.iter().filter(lasting) {
				perform(act);
			}
			Forbidden::set(&false);
			Banned::set(&None);
			Known::set(&u64::MAX);
			// A slashed aggregator makes up for what it lost.
			for n in 1..=5 {
				let _ = Rewards::bond(signed(n), 500);
			}
			let _ = Training::resume(0);
			if Training::current_round(0).is_none() {
				let _ = Training::advance(signed(20), 0);
			}
			// Let whatever is under way run out, which may finalise a round by itself, then work honestly.
			for _ in 0..20 {
				if Training::current_round(0).is_none_or(|r| r.phase == Phase::Commit && r.commit_count == 0) {
					break;
				}
				pass_blocks(20);
				let _ = Training::advance(signed(20), 0);
			}
			let Some(before) = Training::programme_info(0) else { return Err(TestCaseError::fail("gone")) };
			if before.finalised == before.rounds {
				return Ok(());
			}
			finalise_round();
			check_invariants();
			let after = Training::programme_info(0).map(|p| p.finalised);
			prop_assert_eq!(after, Some(before.finalised + 1));
			Ok(())
		})?;
	}
}
