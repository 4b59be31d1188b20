use crate::{mock::*, FaultKind, HoldReason, Pending};
use frame_support::{assert_ok, weights::Weight};
use sp_core::crypto::AccountId32;
use sp_runtime::Perbill;
use sp_staking::offence::{OffenceDetails, OnOffenceHandler};

fn offence(who: u8) -> OffenceDetails<AccountId32, (AccountId32, ())> {
	OffenceDetails { offender: (acc(who), ()), reporters: vec![acc(3)] }
}

fn report(offenders: &[u8], session: u32) -> Weight {
	let details: Vec<_> = offenders.iter().map(|n| offence(*n)).collect();
	Rewards::on_offence(&details, &vec![Perbill::from_percent(1); offenders.len()], session)
}

fn slashes(who: u8) -> usize {
	Pending::<Test>::get(acc(who), HoldReason::Bond).len()
}

#[test]
fn equivocation_of_a_validator_is_slashed() {
	run(|| {
		assert_ok!(Rewards::bond(signed(1), 300));
		assert_ne!(report(&[1], 5), Weight::zero());
		let slash = Rewards::slash_info(0).expect("it waits");
		assert_eq!((slash.account, slash.kind, slash.amount), (acc(1), FaultKind::Equivocation, 300));
		pass_blocks(20);
		assert_ok!(Rewards::apply_slash(signed(2), 0));
		assert_eq!(treasury(), 300);
	});
}

#[test]
fn validator_that_later_reports_name_again_is_slashed_once_per_session() {
	run(|| {
		assert_ok!(Rewards::bond(signed(1), 300));
		assert_ok!(Rewards::bond(signed(2), 300));
		report(&[1], 5);
		report(&[1, 2], 5);
		assert_eq!((slashes(1), slashes(2)), (1, 1));
		assert_ok!(Rewards::veto_slash(signed(VETO_ORIGIN), 0));
		report(&[1], 5);
		assert_eq!(slashes(1), 0);
		report(&[1], 6);
		assert_eq!(slashes(1), 1);
	});
}

#[test]
fn evidence_differs_between_validators_and_sessions() {
	run(|| {
		for n in [1, 2] {
			assert_ok!(Rewards::bond(signed(n), 300));
		}
		report(&[1, 2], 5);
		assert_ok!(Rewards::veto_slash(signed(VETO_ORIGIN), 0));
		report(&[1], 6);
		let evidence: std::collections::BTreeSet<_> =
			[1, 2].map(|n| Rewards::slash_info(n).expect("it waits").evidence).into();
		assert_eq!(evidence.len(), 2);
	});
}

#[test]
fn equivocation_of_a_validator_without_a_bond_is_written_down() {
	run(|| {
		report(&[7], 5);
		assert_eq!(slashes(7), 0);
		assert_eq!(System::events().len(), 1);
	});
}
