use crate::{
	mock::*, Error, Event, FaultKind, Fractions as SlashFractionsSet, HoldReason, SlashFractions, Slashes,
};
use frame_support::{
	assert_noop, assert_ok,
	dispatch::Pays,
	traits::{LockableCurrency, WithdrawReasons},
};
use sp_runtime::{DispatchError, Perbill};

/// Account 1 bonds 200 and is reported for what an audit overturned: slash 0, of 100, due at block 21.
fn accused() {
	assert_ok!(Rewards::bond(signed(1), 200));
	assert_eq!(Rewards::report_fault(&acc(1), FaultKind::Overturned, evidence(7)), Some(0));
}

#[test]
fn fault_defers_a_slash_of_its_fraction_of_the_bond() {
	run(|| {
		accused();
		System::assert_last_event(
			Event::FaultReported {
				account: acc(1),
				kind: FaultKind::Overturned,
				evidence: evidence(7),
				slash: Some(0),
				amount: 100,
				due: 21,
			}
			.into(),
		);
		assert_eq!(Rewards::bonded(&acc(1)), 200);
		assert_eq!(Rewards::pending(&acc(1), HoldReason::Bond), 100);
		let info = Rewards::slash_info(0).expect("it waits");
		assert_eq!((info.amount, info.reported, info.due, info.appeal), (100, 1, 21, None));
		assert_eq!(Rewards::slashes_of(&acc(1)), vec![info]);
		assert_eq!(Rewards::slashes_of(&acc(2)), vec![]);
	});
}

#[test]
fn each_kind_costs_its_own_fraction() {
	run(|| {
		for (who, kind, amount) in [
			(1, FaultKind::Dissented, 20),
			(2, FaultKind::Overturned, 100),
			(3, FaultKind::Equivocation, 200),
		] {
			assert_ok!(Rewards::bond(signed(who), 200));
			assert!(Rewards::report_fault(&acc(who), kind, evidence(0)).is_some());
			assert_eq!(Rewards::pending(&acc(who), HoldReason::Bond), amount);
		}
	});
}

#[test]
fn slash_is_rounded_up_so_that_no_bond_is_too_small() {
	run(|| {
		assert_ok!(Rewards::bond(signed(1), 1));
		assert!(Rewards::report_fault(&acc(1), FaultKind::Dissented, evidence(0)).is_some());
		assert_eq!(Rewards::free_bond(&acc(1)), 0);
	});
}

#[test]
fn fault_without_a_bond_or_a_fraction_is_only_written_down() {
	run(|| {
		assert_eq!(Rewards::report_fault(&acc(1), FaultKind::Overturned, evidence(1)), None);
		assert_ok!(Rewards::bond(signed(1), 100));
		assert_eq!(Rewards::report_fault(&acc(1), FaultKind::FailedChallenge, evidence(2)), None);
		assert_ok!(Rewards::set_slash_fractions(signed(SLASH_ORIGIN), SlashFractions::default()));
		assert_eq!(Rewards::report_fault(&acc(1), FaultKind::Overturned, evidence(3)), None);
		System::assert_last_event(
			Event::FaultReported {
				account: acc(1),
				kind: FaultKind::Overturned,
				evidence: evidence(3),
				slash: None,
				amount: 0,
				due: 21,
			}
			.into(),
		);
		assert_eq!(Slashes::<Test>::iter().count(), 0);
	});
}

#[test]
fn slashes_together_never_take_more_than_the_bond() {
	run(|| {
		assert_ok!(Rewards::bond(signed(1), 100));
		assert!(Rewards::report_fault(&acc(1), FaultKind::Overturned, evidence(1)).is_some());
		assert!(Rewards::report_fault(&acc(1), FaultKind::Overturned, evidence(2)).is_some());
		assert_eq!(Rewards::report_fault(&acc(1), FaultKind::Overturned, evidence(3)), None);
		assert_eq!(Rewards::pending(&acc(1), HoldReason::Bond), 100);
	});
}

#[test]
fn last_slot_takes_all_that_is_left_of_the_bond() {
	run(|| {
		assert_ok!(Rewards::bond(signed(1), 200));
		for (n, pending) in [20, 40, 60, 200].into_iter().enumerate() {
			assert!(Rewards::report_fault(&acc(1), FaultKind::Dissented, evidence(n as u64)).is_some());
			assert_eq!(Rewards::pending(&acc(1), HoldReason::Bond), pending);
		}
		assert_eq!(Rewards::report_fault(&acc(1), FaultKind::Dissented, evidence(9)), None);
	});
}

#[test]
fn due_slash_moves_from_the_bond_to_the_treasury() {
	run(|| {
		accused();
		pass_blocks(19);
		assert_noop!(Rewards::apply_slash(signed(2), 0), Error::<Test>::SlashNotDue);
		pass_blocks(1);
		let info = Rewards::apply_slash(signed(2), 0).expect("it is due");
		assert_eq!(info.pays_fee, Pays::No);
		System::assert_last_event(Event::SlashApplied { slash: 0, account: acc(1), amount: 100 }.into());
		assert_eq!((Rewards::bonded(&acc(1)), free(1), treasury()), (100, 800, 100));
		assert_eq!(Rewards::pending(&acc(1), HoldReason::Bond), 0);
		assert_noop!(Rewards::apply_slash(signed(2), 0), Error::<Test>::UnknownSlash);
		assert_ok!(Rewards::unbond(signed(1), 100));
	});
}

#[test]
fn bond_that_is_locked_for_a_vote_is_slashed_all_the_same() {
	run(|| {
		accused();
		Balances::set_lock(*b"pyconvot", &acc(1), 1_000, WithdrawReasons::all());
		pass_blocks(20);
		assert_ok!(Rewards::apply_slash(signed(2), 0));
		assert_eq!(treasury(), 100);
	});
}

#[test]
fn slash_that_the_treasury_cannot_take_waits() {
	run(|| {
		assert_ok!(Rewards::bond(signed(1), 30));
		assert_eq!(Rewards::report_fault(&acc(1), FaultKind::Dissented, evidence(1)), Some(0));
		pass_blocks(20);
		// 3 cannot create an account with an existential deposit of 5.
		assert_noop!(Rewards::apply_slash(signed(2), 0), sp_runtime::TokenError::CannotCreate);
		assert_ok!(Balances::transfer_keep_alive(signed(2), Treasury::get(), 5));
		assert_ok!(Rewards::apply_slash(signed(2), 0));
		assert_eq!(treasury(), 8);
	});
}

#[test]
fn appeal_defers_the_slash_once() {
	run(|| {
		accused();
		pass_blocks(19);
		assert_ok!(Rewards::appeal(signed(1), 0, evidence(99)));
		System::assert_last_event(
			Event::SlashAppealed { slash: 0, account: acc(1), reason: evidence(99), due: 51 }.into(),
		);
		assert_eq!(Rewards::slash_info(0).and_then(|s| s.appeal), Some(evidence(99)));
		assert_noop!(Rewards::appeal(signed(1), 0, evidence(99)), Error::<Test>::AlreadyAppealed);
		pass_blocks(30);
		assert_noop!(Rewards::apply_slash(signed(2), 0), Error::<Test>::SlashNotDue);
		pass_blocks(1);
		assert_ok!(Rewards::apply_slash(signed(2), 0));
	});
}

#[test]
fn appeal_is_refused_to_others_after_the_deferral_and_without_a_slash() {
	run(|| {
		accused();
		assert_noop!(Rewards::appeal(signed(2), 0, evidence(1)), Error::<Test>::NotAccused);
		assert_noop!(Rewards::appeal(signed(1), 1, evidence(1)), Error::<Test>::UnknownSlash);
		pass_blocks(20);
		assert_noop!(Rewards::appeal(signed(1), 0, evidence(1)), Error::<Test>::AppealWindowClosed);
		for origin in unsigned() {
			assert_noop!(Rewards::appeal(origin, 0, evidence(1)), DispatchError::BadOrigin);
		}
	});
}

#[test]
fn veto_lifts_a_slash_until_it_is_applied() {
	run(|| {
		accused();
		assert!(Rewards::report_fault(&acc(1), FaultKind::Dissented, evidence(8)).is_some());
		pass_blocks(500);
		assert_ok!(Rewards::veto_slash(signed(VETO_ORIGIN), 0));
		System::assert_last_event(Event::SlashVetoed { slash: 0, account: acc(1), amount: 100 }.into());
		assert_eq!(Rewards::pending(&acc(1), HoldReason::Bond), 20);
		assert_noop!(Rewards::veto_slash(signed(VETO_ORIGIN), 0), Error::<Test>::UnknownSlash);
		assert_noop!(Rewards::apply_slash(signed(2), 0), Error::<Test>::UnknownSlash);
		assert_ok!(Rewards::apply_slash(signed(2), 1));
		assert_noop!(Rewards::veto_slash(signed(VETO_ORIGIN), 1), Error::<Test>::UnknownSlash);
		assert_eq!(Rewards::bonded(&acc(1)), 180);
	});
}

#[test]
fn fractions_bind_later_faults_only() {
	run(|| {
		accused();
		let fractions = SlashFractions { overturned: Perbill::from_percent(1), ..Default::default() };
		assert_ok!(Rewards::set_slash_fractions(signed(SLASH_ORIGIN), fractions));
		System::assert_last_event(Event::SlashFractionsSet { fractions }.into());
		assert_eq!(SlashFractionsSet::<Test>::get(), fractions);
		assert_eq!(Rewards::pending(&acc(1), HoldReason::Bond), 100);
		assert!(Rewards::report_fault(&acc(1), FaultKind::Overturned, evidence(8)).is_some());
		assert_eq!(Rewards::pending(&acc(1), HoldReason::Bond), 102);
	});
}

#[test]
fn slash_calls_are_refused_when_the_origin_is_wrong() {
	run(|| {
		accused();
		for origin in [signed(1), signed(SLASH_ORIGIN), RuntimeOrigin::root(), RuntimeOrigin::none()] {
			assert_noop!(Rewards::veto_slash(origin, 0), DispatchError::BadOrigin);
		}
		for origin in [signed(1), signed(VETO_ORIGIN), RuntimeOrigin::root(), RuntimeOrigin::none()] {
			assert_noop!(Rewards::set_slash_fractions(origin, Default::default()), DispatchError::BadOrigin);
		}
		for origin in unsigned() {
			assert_noop!(Rewards::apply_slash(origin, 0), DispatchError::BadOrigin);
		}
	});
}
