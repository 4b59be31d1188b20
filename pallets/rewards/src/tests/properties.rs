//! Honest and hostile actors do anything at any time; the invariants hold after every step, and in the end everything
//! that came in has gone out again.

use crate::{mock::*, Contributions, FaultKind, Pots, Share, SlashFractions, Slashes};
use cairn_primitives::ProgrammeId;
use frame_support::{assert_ok, storage::with_storage_layer};
use proptest::prelude::*;
use sp_runtime::Perbill;
use sp_staking::offence::{OffenceDetails, OnOffenceHandler};

const ACTORS: [u8; 5] = [1, 2, 3, 4, 9];

#[derive(Clone, Debug)]
enum Act {
	Bond { who: u8, amount: u128 },
	Unbond { who: u8, amount: u128 },
	Fund { who: u8, programme: ProgrammeId, amount: u128 },
	Transfer { who: u8, programme: ProgrammeId, amount: u128 },
	Accrue { programme: ProgrammeId, amount: u128, work: Vec<(u8, u32, u128)>, cap: u8 },
	Claim { who: u8, programme: ProgrammeId },
	Close { programme: ProgrammeId },
	Refund { who: u8, programme: ProgrammeId },
	Sweep { programme: ProgrammeId },
	Report { who: u8, kind: FaultKind },
	Offend { who: u8, session: u32 },
	Challenge { who: u8, amount: u128 },
	Verdict { challenge: usize, right: bool },
	Appeal { who: u8, slash: u32 },
	Veto { slash: u32 },
	Apply { slash: u32 },
	Fractions { percent: u32 },
	Wait { blocks: u64 },
}

fn act() -> impl Strategy<Value = Act> {
	let who = || prop::sample::select(ACTORS.to_vec());
	let kind = prop_oneof![
		Just(FaultKind::Dissented),
		Just(FaultKind::Overturned),
		Just(FaultKind::FailedChallenge),
		Just(FaultKind::Equivocation),
	];
	let work = prop::collection::vec((prop::sample::select(ACTORS.to_vec()), 0u32..3, 0u128..1_000), 0..6);
	prop_oneof![
		2 => (who(), 0u128..300).prop_map(|(who, amount)| Act::Bond { who, amount }),
		2 => (who(), 0u128..300).prop_map(|(who, amount)| Act::Unbond { who, amount }),
		3 => (who(), 0u32..3, 0u128..300).prop_map(|(who, programme, amount)| Act::Fund { who, programme, amount }),
		1 => (who(), 0u32..2, 0u128..100)
			.prop_map(|(who, programme, amount)| Act::Transfer { who, programme, amount }),
		4 => (0u32..2, 0u128..200, work, 0u8..=120)
			.prop_map(|(programme, amount, work, cap)| Act::Accrue { programme, amount, work, cap }),
		2 => (who(), 0u32..2).prop_map(|(who, programme)| Act::Claim { who, programme }),
		1 => (0u32..8).prop_map(|programme| Act::Close { programme }),
		2 => (who(), 0u32..2).prop_map(|(who, programme)| Act::Refund { who, programme }),
		1 => (0u32..2).prop_map(|programme| Act::Sweep { programme }),
		3 => (who(), kind).prop_map(|(who, kind)| Act::Report { who, kind }),
		1 => (who(), 0u32..4).prop_map(|(who, session)| Act::Offend { who, session }),
		2 => (who(), 0u128..100).prop_map(|(who, amount)| Act::Challenge { who, amount }),
		2 => (any::<usize>(), any::<bool>()).prop_map(|(challenge, right)| Act::Verdict { challenge, right }),
		1 => (who(), 0u32..12).prop_map(|(who, slash)| Act::Appeal { who, slash }),
		1 => (0u32..12).prop_map(|slash| Act::Veto { slash }),
		2 => (0u32..12).prop_map(|slash| Act::Apply { slash }),
		1 => (0u32..=100).prop_map(|percent| Act::Fractions { percent }),
		2 => (0u64..15).prop_map(|blocks| Act::Wait { blocks }),
	]
}

/// An act may be refused.
fn tried<Outcome>(_: Outcome) {}

/// Tries an act; what the chain refuses changes nothing, which the invariants then show. `open` are the undecided
/// challenges, as another pallet would keep them.
fn perform(act: &Act, open: &mut Vec<(u8, u128)>) {
	match *act {
		Act::Bond { who, amount } => tried(Rewards::bond(signed(who), amount)),
		Act::Unbond { who, amount } => tried(Rewards::unbond(signed(who), amount)),
		Act::Fund { who, programme, amount } => tried(Rewards::fund(signed(who), programme, amount)),
		Act::Transfer { who, programme, amount } => {
			tried(Balances::transfer_keep_alive(signed(who), Rewards::pot(programme), amount))
		},
		Act::Accrue { programme, amount, ref work, cap } => {
			let shares: Vec<_> =
				work.iter().map(|&(who, site, points)| Share { account: acc(who), site, points }).collect();
			let _ = with_storage_layer(|| Rewards::accrue(programme, amount, &shares, cap));
		},
		Act::Claim { who, programme } => tried(Rewards::claim(signed(who), programme)),
		// Mostly programmes that do not exist, so that pots live for a while.
		Act::Close { programme } => {
			if programme < 2 {
				Rewards::close_pot(programme)
			}
		},
		Act::Refund { who, programme } => tried(Rewards::claim_refund(signed(who), programme)),
		Act::Sweep { programme } => tried(Rewards::sweep_pot(signed(1), programme)),
		Act::Report { who, kind } => tried(Rewards::report_fault(&acc(who), kind, evidence(1))),
		Act::Offend { who, session } => {
			let details = OffenceDetails { offender: (acc(who), ()), reporters: vec![] };
			let _ = Rewards::on_offence(&[details], &[Perbill::one()], session);
		},
		Act::Challenge { who, amount } => {
			if with_storage_layer(|| Rewards::hold_challenge_bond(&acc(who), amount)).is_ok() {
				open.push((who, amount));
			}
		},
		Act::Verdict { challenge, right } => {
			if !open.is_empty() {
				let (who, amount) = open.swap_remove(challenge % open.len());
				if right {
					Rewards::release_challenge_bond(&acc(who), amount);
				} else {
					Rewards::forfeit_challenge_bond(&acc(who), amount, evidence(2));
				}
			}
		},
		Act::Appeal { who, slash } => tried(Rewards::appeal(signed(who), slash, evidence(3))),
		Act::Veto { slash } => tried(Rewards::veto_slash(signed(VETO_ORIGIN), slash)),
		Act::Apply { slash } => tried(Rewards::apply_slash(signed(1), slash)),
		Act::Fractions { percent } => {
			let fraction = Perbill::from_percent(percent);
			let fractions = SlashFractions {
				dissented: fraction,
				overturned: fraction,
				failed_challenge: fraction,
				equivocation: fraction,
			};
			assert_ok!(Rewards::set_slash_fractions(signed(SLASH_ORIGIN), fractions));
		},
		Act::Wait { blocks } => pass_blocks(blocks),
	}
}

proptest! {
	#![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

	#[test]
	fn invariants_hold_after_every_act_and_everything_is_paid_in_the_end(
		acts in prop::collection::vec(act(), 1..120)
	) {
		chain().execute_with(|| {
			assert_ok!(Balances::transfer_keep_alive(signed(1), Treasury::get(), 5));
			let issued = Balances::total_issuance();
			let mut open = Vec::new();
			for act in &acts {
				perform(act, &mut open);
				prop_assert_eq!(Rewards::do_try_state(), Ok(()), "after {:?}", act);
				prop_assert_eq!(Balances::total_issuance(), issued);
			}

			// Whatever happened: programmes close, everybody takes what it has a right to, and nothing is left over.
			for programme in [0, 1] {
				Rewards::close_pot(programme);
				for who in ACTORS {
					if Rewards::reward_info(programme, &acc(who)).claimable > 0 {
						assert_ok!(Rewards::claim(signed(who), programme));
					}
					if Contributions::<Test>::contains_key(programme, acc(who)) {
						assert_ok!(Rewards::claim_refund(signed(who), programme));
					}
				}
				let _ = Rewards::sweep_pot(signed(1), programme);
				let pot = Pots::<Test>::get(programme);
				prop_assert_eq!(pot.funded, pot.claimed + pot.refunded + pot.forfeited);
				prop_assert_eq!(Balances::free_balance(Rewards::pot(programme)), 0);
			}
			for (who, amount) in open {
				Rewards::release_challenge_bond(&acc(who), amount);
			}
			pass_blocks(100);
			for slash in Slashes::<Test>::iter_keys().collect::<Vec<_>>() {
				assert_ok!(Rewards::apply_slash(signed(1), slash));
			}
			for who in ACTORS {
				let bond = Rewards::bond_info(&acc(who));
				prop_assert_eq!((bond.pending, bond.challenges), (0, 0));
				if bond.bonded > 0 && !bond.locked {
					assert_ok!(Rewards::unbond(signed(who), bond.bonded));
				}
			}
			prop_assert_eq!(Rewards::do_try_state(), Ok(()));
			prop_assert_eq!(Balances::total_issuance(), issued);
			Ok(())
		})?;
	}

	#[test]
	fn shares_are_fair_and_capped(
		amount in 0u128..1_000_000,
		work in prop::collection::vec((1u8..40, 0u32..5, 0u128..u128::MAX / 64), 1..40),
		cap in 0u8..=100,
	) {
		chain().execute_with(|| {
			assert_ok!(Rewards::endow_at_genesis(0, amount));
			let shares: Vec<_> =
				work.iter().map(|&(who, site, points)| Share { account: acc(who), site, points }).collect();
			let points: u128 = work.iter().map(|w| w.2).sum();
			let paid = Rewards::accrue(0, amount, &shares, cap).map_err(|e| TestCaseError::fail(format!("{e:?}")))?;
			prop_assert!(paid <= amount);
			prop_assert_eq!(Rewards::do_try_state(), Ok(()));
			if points == 0 {
				return Ok(());
			}
			// With one share per account, what an account is owed is that share.
			let mut seen = std::collections::BTreeSet::new();
			if work.iter().all(|w| seen.insert(w.0)) {
				let mut sites = std::collections::BTreeMap::<u32, (u128, u128, u128)>::new();
				for &(who, site, points) in &work {
					let entry = sites.entry(site).or_default();
					entry.0 += points;
					entry.1 += Rewards::reward_info(0, &acc(who)).claimable;
					entry.2 += 1;
				}
				for (site_points, site_paid, devices) in sites.into_values() {
					let fair = crate::pots::share_of(amount, site_points, points).unwrap_or_default();
					let limit = amount * u128::from(cap) / 100;
					prop_assert!(site_paid <= fair.min(limit));
					// No more is lost than rounding loses.
					prop_assert!(site_paid + devices >= fair.min(limit));
				}
			}
			Ok(())
		})?;
	}
}
