//! What clients see of a programme's rounds.

use crate::mock::*;
use cairn_primitives::views::RoundState;
use frame_support::assert_ok;

/// A round that fails, because one commit is too few.
fn fail_round() {
	assert_ok!(commit(6));
	pass_blocks(11);
	assert_ok!(Training::advance(signed(20), 0));
}

/// The numbers of all rounds in a state, page by page, and how many pages that took.
fn listed(state: Option<RoundState>, size: u32) -> (Vec<u32>, usize) {
	let (mut listed, mut pages, mut from) = (Vec::new(), 0, None);
	loop {
		let page = Training::rounds(0, state, from, size).expect("the programme exists");
		assert!(page.rounds.len() <= size.clamp(1, 100) as usize);
		listed.extend(page.rounds.iter().map(|round| {
			assert!(state.is_none_or(|state| round.phase.state() == state));
			assert_eq!(Training::round_info(0, round.index).as_ref(), Some(round));
			round.index
		}));
		pages += 1;
		assert!(page.next.is_none_or(|next| from.is_none_or(|from| next < from)));
		from = page.next;
		if from.is_none() {
			return (listed, pages);
		}
	}
}

#[test]
fn rounds_are_listed_newest_first_by_state_in_pages_of_any_size() {
	run(|| {
		// Finalised are 1 and 3; 4 runs; the others have failed.
		fail_round();
		finalise_round();
		fail_round();
		finalise_round();
		for size in [1, 2, 3, 100] {
			assert_eq!(listed(None, size).0, [4, 3, 2, 1, 0], "{size}");
			assert_eq!(listed(Some(RoundState::Running), size).0, [4]);
			assert_eq!(listed(Some(RoundState::Finalised), size).0, [3, 1]);
			assert_eq!(listed(Some(RoundState::Failed), size).0, [2, 0]);
		}
		// No page is empty but for want of rounds, and none holds nothing for ever.
		assert_eq!(listed(None, 0), (vec![4, 3, 2, 1, 0], 5));
		let page = Training::rounds(0, None, Some(2), 2).expect("exists");
		assert_eq!(page.rounds.iter().map(|r| r.index).collect::<Vec<_>>(), [2, 1]);
		assert_eq!(page.next, Some(0));
		// A cursor from beyond the newest round is that of the newest.
		assert_eq!(Training::rounds(0, None, Some(99), 1).map(|p| p.rounds[0].index), Some(4));
		assert_eq!(Training::rounds(7, None, None, 10), None);
	});
}

#[test]
fn page_of_rounds_that_are_rare_ends_before_all_are_looked_at_and_says_where_to_go_on() {
	run(|| {
		finalise_round();
		for _ in 0..1_005 {
			fail_round();
		}
		let page = Training::rounds(0, Some(RoundState::Finalised), None, 10).expect("exists");
		// Rounds 1,006 to 7 were looked at.
		assert_eq!((page.rounds.len(), page.next), (0, Some(6)));
		assert_eq!(listed(Some(RoundState::Finalised), 10), (vec![0], 2));
	});
}
