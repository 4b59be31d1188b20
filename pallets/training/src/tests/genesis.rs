use crate::{mock::*, GenesisProgramme, Programmes};
use cairn_primitives::{
	views::{Phase, ProgrammeState},
	AggregationRule,
};

#[test]
fn programme_opens_with_its_first_round_records_and_pot() {
	run(|| {
		let info = Training::programme_info(0).expect("opened");
		assert_eq!((info.state, info.round, info.finalised), (ProgrammeState::Open, 0, 0));
		assert_eq!((info.name.as_slice(), info.weights), (b"digits".as_slice(), hash(2)));
		assert_eq!(info.pot_free, 100_000);
		assert!(Provenance::batch_of_weights(info.weights_record, &hash(2), 0).is_some());
		let round = round();
		assert_eq!((round.phase, round.deadline, round.base), (Phase::Commit, None, hash(2)));
		assert_eq!(Training::programme_ids(), vec![0]);
		assert_eq!(Training::programme_info(1), None);
		assert_eq!(Training::round_info(0, 1), None);
	});
}

#[test]
fn programme_that_its_pot_cannot_pay_for_waits() {
	run_with(vec![GenesisProgramme { pot: 900, ..programme() }], || {
		assert_eq!(Programmes::<Test>::get(0).map(|p| p.state), Some(ProgrammeState::Unfunded));
		assert_eq!(Training::current_round(0), None);
	});
}

fn refused(change: impl FnOnce(&mut GenesisProgramme<u128>), expected: &str) {
	let mut settings = programme();
	change(&mut settings);
	let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| chain(vec![settings])));
	let message = match panic {
		Ok(_) => panic!("the genesis was accepted, but should say: {expected}"),
		Err(payload) => *payload.downcast::<String>().expect("a message"),
	};
	assert!(message.contains("programme `digits`"), "{message}");
	assert!(message.contains(expected), "{message}");
}

#[test]
fn genesis_is_refused_when_a_setting_is_out_of_bounds_and_says_which() {
	refused(|p| p.committee_size = 0, "`committeeSize` is 0, but must be from 1 to 7");
	refused(|p| p.committee_size = 8, "`committeeSize` is 8, but must be from 1 to 7");
	refused(|p| p.max_updates = 13, "`maxUpdates` is 13, but must be from 1 to 12");
	refused(|p| p.min_updates = 0, "`minUpdates` is 0, but must be from 1 to 8");
	refused(
		|p| p.aggregation = AggregationRule::TrimmedMean { trim: 1 }.into(),
		"`minUpdates` is 2, but must be from 3 to 8",
	);
	refused(|p| p.target_updates = 1, "`targetUpdates` is 1, but must be from 2 to 8");
	refused(|p| p.committee_share = 101, "`committeeShare` is 101, but must be from 0 to 100");
	refused(|p| p.schedule.reveal = 0, "`schedule.reveal` is 0");
	refused(|p| p.rounds = 0, "`rounds` is 0");
}
