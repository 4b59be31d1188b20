#![allow(clippy::unwrap_used)]

use super::*;
use crate::journal::{AggregateState, Entry, SentTx, UpdateState};
use cairn_primitives::{
	hardware::{EvidenceKind, Speed},
	views::{ChallengeInfo, CommitInfo, EvidenceInfo, MemberInfo},
	AggregationRule, DeviceClass, RoundTerms, Schedule,
};
use std::collections::BTreeSet;

pub(crate) const ME: AccountId32 = AccountId32([1; 32]);
pub(crate) const OTHER: AccountId32 = AccountId32([2; 32]);
pub(crate) const NETWORK_KEY: [u8; 32] = [9; 32];
pub(crate) const CONFIG: H256 = H256([10; 32]);
pub(crate) const GENESIS_WEIGHTS: H256 = H256([11; 32]);
pub(crate) const WEIGHTS: H256 = H256([12; 32]);
pub(crate) const UPDATE: H256 = H256([13; 32]);

pub(crate) fn device(state: DeviceState) -> Device {
	Device {
		id: 7,
		site: 0,
		account: ME,
		class: DeviceClass::Cpu,
		memory_mib: 1024,
		state,
		network_key: Some(NETWORK_KEY),
		vendor: Vec::new(),
		model: Vec::new(),
		image: None,
		evidence: None,
		recheck_due: None,
	}
}

pub(crate) fn programme() -> Programme {
	Programme {
		id: 0,
		name: b"digits".to_vec(),
		state: ProgrammeState::Open,
		config: CONFIG,
		genesis_weights: GENESIS_WEIGHTS,
		weights: WEIGHTS,
		weights_record: 5,
		aggregation: AggregationRule::WeightedMean.into(),
		schedule: Schedule { commit: 20, availability: 8, aggregate: 8, reveal: 8, challenge: 0 },
		committee_size: 3,
		audit_size: 7,
		min_updates: 1,
		target_updates: 3,
		max_updates: 4,
		max_samples: 1000,
		max_local_steps: 100,
		rounds: 10,
		finalised: 3,
		round: 3,
		committee_share: 10,
		reward_per_round: 1,
		licence: Vec::new(),
		data_category: Vec::new(),
		epsilon_per_round: None,
		challenge_bond: 0,
		pot: AccountId32([3; 32]),
		pot_free: 100,
	}
}

pub(crate) fn member(account: AccountId32) -> MemberInfo<AccountId32> {
	MemberInfo { account, bitmap: None, committed: false, revealed: None, quality: None, outcome: None }
}

pub(crate) fn commit(index: u32, producer: AccountId32, artifact: H256) -> CommitInfo<AccountId32> {
	CommitInfo { index, producer, device: 7, artifact, samples: 100, local_steps: 10 }
}

pub(crate) fn round(phase: Phase) -> Round {
	let drawn = phase != Phase::Commit;
	Round {
		programme: 0,
		index: 3,
		attempt: 0,
		phase,
		deadline: Some(200),
		opened: 90,
		base: WEIGHTS,
		base_record: 5,
		terms: terms(&programme()),
		commit_count: u32::from(drawn),
		commits: if drawn { vec![commit(0, OTHER, H256([50; 32]))] } else { Vec::new() },
		committee: if drawn { vec![member(OTHER), member(ME)] } else { Vec::new() },
		included: if matches!(phase, Phase::Aggregate | Phase::Reveal) { vec![1] } else { Vec::new() },
		bucketing_seed: None,
		result: None,
		quality: None,
		challenge: None,
		result_record: None,
		updates: None,
		failure: None,
	}
}

pub(crate) fn terms(info: &Programme) -> RoundTerms {
	let Programme { aggregation, max_samples, max_local_steps, .. } = *info;
	RoundTerms { aggregation, max_samples, max_local_steps }
}

pub(crate) fn view(round: Option<Round>) -> ChainView {
	ChainView {
		finalised: 100,
		best: 102,
		me: ME,
		network_key: NETWORK_KEY,
		device: Some(device(DeviceState::Active)),
		enlisted: true,
		can_attest: true,
		clock_ahead: Some(6),
		programmes: vec![ProgrammeView { round, ..idle() }],
	}
}

/// The programme when no round runs.
pub(crate) fn idle() -> ProgrammeView {
	ProgrammeView { info: programme(), round: None, can_open: false, admits: true }
}

pub(crate) fn update_state(artifact: H256) -> UpdateState {
	let (samples, local_steps) = (100, 10);
	UpdateState { artifact, base: WEIGHTS, samples, local_steps, seed: 1, loss: 0.5, train_seconds: 1.0 }
}

#[derive(Default)]
pub(crate) struct Local {
	pub(crate) held: BTreeSet<H256>,
	pub(crate) announced: BTreeSet<H256>,
}

impl Artifacts for Local {
	fn held(&self, artifact: &ArtifactHash) -> bool {
		self.held.contains(artifact)
	}

	fn announced(&self, artifact: &ArtifactHash) -> bool {
		self.announced.contains(artifact)
	}
}

/// Everything is there and announced, so that only the round speaks.
fn settled_in() -> Local {
	let all: BTreeSet<H256> = [CONFIG, GENESIS_WEIGHTS, WEIGHTS, UPDATE].into();
	Local { held: all.clone(), announced: all }
}

fn both() -> Duties {
	Duties { trainer: true, aggregator: true, programmes: Vec::new() }
}

const HERE: At = At { programme: 0, round: 3, attempt: 0 };

fn with_update() -> JournalState {
	let mut journal = JournalState::default();
	journal.apply(Entry::UpdateReady { programme: 0, round: 3, update: update_state(UPDATE) });
	journal
}

fn with_aggregate(attempt: u32) -> JournalState {
	let mut journal = JournalState::default();
	let aggregate = AggregateState { result: H256([60; 32]), quality: vec![100], salt: H256([61; 32]) };
	journal.apply(Entry::AggregateReady { programme: 0, round: 3, attempt, aggregate });
	journal
}

fn planned(view: &ChainView, journal: &JournalState, duties: &Duties) -> Vec<Action> {
	plan(view, journal, duties, &settled_in())
}

#[test]
fn trainer_trains_once_then_commits_what_it_trained_then_rests() {
	let mut view = view(Some(round(Phase::Commit)));
	assert_eq!(planned(&view, &JournalState::default(), &both()), [Action::Train { at: HERE }]);
	assert_eq!(
		planned(&view, &with_update(), &both()),
		[Action::CommitUpdate { at: HERE, artifact: UPDATE }]
	);
	view.programmes[0].round.as_mut().unwrap().commits = vec![commit(0, ME, UPDATE)];
	assert_eq!(planned(&view, &with_update(), &both()), []);
	// Also when the journal is gone: the chain knows.
	assert_eq!(planned(&view, &JournalState::default(), &both()), []);
}

#[test]
fn trainer_trains_while_nobody_has_started_the_clock() {
	let mut open = round(Phase::Commit);
	open.deadline = None;
	let mut view = view(Some(open));
	view.best = 1_000_000;
	assert_eq!(planned(&view, &JournalState::default(), &both()), [Action::Train { at: HERE }]);
}

#[test]
fn trainer_trains_again_when_the_store_lost_an_update_that_was_not_committed() {
	let view = view(Some(round(Phase::Commit)));
	let mut local = settled_in();
	local.held.remove(&UPDATE);
	let actions = plan(&view, &with_update(), &both(), &local);
	assert_eq!(actions, [Action::Train { at: HERE }]);
}

#[test]
fn an_update_of_another_round_is_not_committed() {
	let mut view = view(Some(round(Phase::Commit)));
	view.programmes[0].round.as_mut().unwrap().index = 4;
	let at = At { round: 4, ..HERE };
	let expected = [Action::Train { at }, Action::Settle { programme: 0, round: 3 }];
	assert_eq!(planned(&view, &with_update(), &both()), expected);
}

#[test]
fn trainer_holds_still_when_it_may_not_or_cannot_commit() {
	let open = || view(Some(round(Phase::Commit)));
	let cases: Vec<(&str, ChainView, Duties)> = vec![
		("not its role", open(), Duties { trainer: false, ..both() }),
		("not its programme", open(), Duties { programmes: vec![4], ..both() }),
		("no device", ChainView { device: None, ..open() }, both()),
		("registered", ChainView { device: Some(device(DeviceState::Registered)), ..open() }, both()),
		("suspended", ChainView { device: Some(device(DeviceState::Suspended)), ..open() }, both()),
		("retired", ChainView { device: Some(device(DeviceState::Retired)), ..open() }, both()),
		(
			"full",
			{
				let mut view = open();
				view.programmes[0].round.as_mut().unwrap().commit_count = 4;
				view
			},
			both(),
		),
		("no round", view(None), both()),
	];
	for (case, view, duties) in cases {
		for journal in [JournalState::default(), with_update()] {
			let actions = planned(&view, &journal, &duties);
			let acts =
				actions.iter().any(|a| matches!(a, Action::Train { .. } | Action::CommitUpdate { .. }));
			assert!(!acts, "{case}: {actions:?}");
		}
	}
}

#[test]
fn nothing_but_advance_is_planned_once_the_deadline_block_is_best() {
	for phase in [Phase::Commit, Phase::Availability, Phase::Aggregate, Phase::Reveal] {
		for journal in [JournalState::default(), with_update(), with_aggregate(0)] {
			let mut running = round(phase);
			if phase == Phase::Reveal {
				running.committee[1].committed = true;
			}
			let mut view = view(Some(running));
			view.best = 199;
			let before = planned(&view, &journal, &both());
			assert!(!before.iter().any(|a| matches!(a, Action::Advance { .. })), "{phase:?}: {before:?}");
			view.best = 200 + ADVANCE_SPREAD;
			let after = planned(&view, &journal, &both());
			let mut rest = after.clone();
			rest.retain(|a| !matches!(a, Action::Announce { .. }));
			assert_eq!(rest, [Action::Advance { at: HERE, phase }], "{phase:?}");
		}
	}
}

#[test]
fn advance_is_held_back_differently_by_different_accounts_and_never_for_long() {
	let waits: BTreeSet<u32> =
		(0..64u8).map(|n| hold_back(&AccountId32([n; 32]), &HERE, Phase::Commit, ADVANCE_SPREAD)).collect();
	assert_eq!(waits, (0..ADVANCE_SPREAD).collect());
}

#[test]
fn complete_window_that_is_still_open_is_moved_on_as_soon_as_blocks_allow() {
	let mut complete = round(Phase::Commit);
	complete.commit_count = 3;
	let advances = |best| {
		let view = ChainView { best, ..view(Some(complete.clone())) };
		let actions = planned(&view, &JournalState::default(), &Duties::default());
		actions.contains(&Action::Advance { at: HERE, phase: Phase::Commit })
	};
	// Once in every few blocks, so that not everybody pays in the same one.
	assert_eq!((100..100 + ADVANCE_SPREAD).filter(|best| advances(*best)).count(), 1);
}

#[test]
fn programme_that_waited_is_resumed_once_its_round_can_open() {
	let resumes = |can_open, best| {
		let mut view = ChainView { best, ..view(None) };
		view.programmes[0].info.state = ProgrammeState::Unfunded;
		view.programmes[0].can_open = can_open;
		let actions = planned(&view, &JournalState::default(), &both());
		actions.contains(&Action::Resume { programme: 0 })
	};
	assert_eq!((100..100 + ADVANCE_SPREAD).filter(|best| resumes(true, *best)).count(), 1);
	assert_eq!((100..100 + ADVANCE_SPREAD).filter(|best| resumes(false, *best)).count(), 0);
}

#[test]
fn aggregator_votes_once_when_drawn() {
	let mut view = view(Some(round(Phase::Availability)));
	assert_eq!(planned(&view, &JournalState::default(), &both()), [Action::Vote { at: HERE }]);
	view.programmes[0].round.as_mut().unwrap().committee[1].bitmap = Some(vec![1]);
	assert_eq!(planned(&view, &JournalState::default(), &both()), []);
}

#[test]
fn aggregator_votes_again_for_the_next_committee_when_drawn_again() {
	let mut again = round(Phase::Availability);
	again.attempt = 1;
	let expected = [Action::Vote { at: At { attempt: 1, ..HERE } }];
	assert_eq!(planned(&view(Some(again)), &with_aggregate(0), &both()), expected);
}

#[test]
fn aggregator_computes_then_commits_with_the_journalled_salt() {
	let view = view(Some(round(Phase::Aggregate)));
	assert_eq!(planned(&view, &JournalState::default(), &both()), [Action::Aggregate { at: HERE }]);
	assert_eq!(planned(&view, &with_aggregate(0), &both()), [Action::CommitAggregate { at: HERE }]);
	// A salt of another committee is not reused.
	assert_eq!(planned(&view, &with_aggregate(1), &both()), [Action::Aggregate { at: HERE }]);
	let mut done = view;
	done.programmes[0].round.as_mut().unwrap().committee[1].committed = true;
	assert_eq!(planned(&done, &with_aggregate(0), &both()), []);
}

#[test]
fn aggregator_reveals_once_what_it_committed_to() {
	let mut revealing = round(Phase::Reveal);
	revealing.committee[1].committed = true;
	let mut view = view(Some(revealing));
	assert_eq!(planned(&view, &with_aggregate(0), &both()), [Action::Reveal { at: HERE }]);
	// Without the salt there is nothing to reveal, and it is said.
	assert_eq!(planned(&view, &JournalState::default(), &both()), []);
	let said = notices(&view, &JournalState::default(), &both());
	assert_eq!(said, [Notice::CannotReveal(0, 3)]);
	view.programmes[0].round.as_mut().unwrap().committee[1].revealed = Some(H256([60; 32]));
	assert_eq!(planned(&view, &with_aggregate(0), &both()), []);
}

#[test]
fn second_committee_computes_commits_and_reveals_under_its_own_number() {
	let at = At { attempt: 1, ..HERE };
	let mut again = Round { attempt: 1, ..round(Phase::Aggregate) };
	assert_eq!(planned(&view(Some(again.clone())), &with_aggregate(0), &both()), [Action::Aggregate { at }]);
	assert_eq!(
		planned(&view(Some(again.clone())), &with_aggregate(1), &both()),
		[Action::CommitAggregate { at }]
	);
	(again.phase, again.committee[1].committed) = (Phase::Reveal, true);
	let revealing = view(Some(again));
	assert_eq!(planned(&revealing, &with_aggregate(1), &both()), [Action::Reveal { at }]);
	assert_eq!(planned(&revealing, &with_aggregate(0), &both()), []);
}

/// A round whose committee agreed on a result.
fn agreed(result: H256, quality: &[u8]) -> ChainView {
	let (result, quality) = (Some(result), Some(quality_digest(quality)));
	view(Some(Round { result, quality, ..round(Phase::Challenge) }))
}

#[test]
fn result_is_challenged_when_it_is_not_what_this_worker_computed() {
	let own = H256([60; 32]);
	assert_eq!(planned(&agreed(own, &[100]), &with_aggregate(0), &both()), []);
	let challenge = [Action::Challenge { at: HERE, claimed: own }];
	let wrong = agreed(H256([70; 32]), &[100]);
	assert_eq!(planned(&wrong, &with_aggregate(0), &both()), challenge);
	// Who is paid how much depends on the quality.
	assert_eq!(planned(&agreed(own, &[99]), &with_aggregate(0), &both()), challenge);
	// Not without having computed it with this committee, without the role, or when the window has closed.
	for journal in [JournalState::default(), with_update(), with_aggregate(1)] {
		assert_eq!(planned(&wrong, &journal, &both()), []);
	}
	assert_eq!(planned(&wrong, &with_aggregate(0), &Duties { aggregator: false, ..both() }), []);
	let late = ChainView { best: 200 + ADVANCE_SPREAD, ..wrong };
	let advance = [Action::Advance { at: HERE, phase: Phase::Challenge }];
	assert_eq!(planned(&late, &with_aggregate(0), &both()), advance);
}

const AUDIT: At = At { attempt: 1, ..HERE };

/// A round whose result is disputed. This worker sat on the committee that agreed on it.
fn audited(phase: Phase, auditors: &[AccountId32]) -> Round {
	let mut disputed = Round { attempt: 1, result: Some(H256([70; 32])), ..round(phase) };
	disputed.committee[1].committed = true;
	disputed.challenge = Some(ChallengeInfo {
		challenger: OTHER,
		claimed: H256([60; 32]),
		committee: auditors.iter().copied().map(member).collect(),
		verdict: None,
	});
	disputed
}

#[test]
fn auditor_computes_anew_commits_and_reveals_under_the_audits_number() {
	let mut disputed = audited(Phase::AuditAggregate, &[OTHER, ME]);
	let open = view(Some(disputed.clone()));
	for journal in [JournalState::default(), with_aggregate(0)] {
		assert_eq!(planned(&open, &journal, &both()), [Action::Aggregate { at: AUDIT }]);
	}
	assert_eq!(planned(&open, &with_aggregate(1), &both()), [Action::CommitAggregate { at: AUDIT }]);
	disputed.challenge.as_mut().unwrap().committee[1].committed = true;
	assert_eq!(planned(&view(Some(disputed.clone())), &with_aggregate(1), &both()), []);

	disputed.phase = Phase::AuditReveal;
	let revealing = view(Some(disputed.clone()));
	assert_eq!(planned(&revealing, &with_aggregate(1), &both()), [Action::Reveal { at: AUDIT }]);
	assert_eq!(planned(&revealing, &with_aggregate(0), &both()), []);
	assert_eq!(notices(&revealing, &with_aggregate(0), &both()), [Notice::CannotReveal(0, 3)]);
	disputed.challenge.as_mut().unwrap().committee[1].revealed = Some(H256([60; 32]));
	assert_eq!(planned(&view(Some(disputed)), &with_aggregate(1), &both()), []);
}

#[test]
fn auditor_that_did_not_commit_does_not_reveal() {
	let disputed = view(Some(audited(Phase::AuditReveal, &[OTHER, ME])));
	assert_eq!(planned(&disputed, &with_aggregate(1), &both()), []);
}

#[test]
fn who_is_no_auditor_or_has_not_the_role_does_nothing_in_an_audit_but_to_move_it_on() {
	for phase in [Phase::AuditAggregate, Phase::AuditReveal] {
		// A member of the committee whose result is disputed: its own acts were in another attempt.
		let elsewhere = view(Some(audited(phase, &[OTHER])));
		for journal in [JournalState::default(), with_aggregate(0), with_aggregate(1)] {
			assert_eq!(planned(&elsewhere, &journal, &both()), [], "{phase:?}");
		}
		assert_eq!(notices(&elsewhere, &JournalState::default(), &both()), []);
		let drawn = view(Some(audited(phase, &[OTHER, ME])));
		let trainer = Duties { aggregator: false, ..both() };
		assert_eq!(planned(&drawn, &with_aggregate(1), &trainer), []);
		assert_eq!(notices(&drawn, &with_aggregate(1), &trainer), [Notice::DrawnWithoutRole(0)]);
		for late in [elsewhere, drawn] {
			let late = ChainView { best: 200 + ADVANCE_SPREAD, ..late };
			let advance = [Action::Advance { at: AUDIT, phase }];
			assert_eq!(planned(&late, &with_aggregate(1), &both()), advance, "{phase:?}");
		}
	}
}

#[test]
fn aggregator_that_did_not_commit_does_not_reveal() {
	assert_eq!(planned(&view(Some(round(Phase::Reveal))), &with_aggregate(0), &both()), []);
}

#[test]
fn who_was_not_drawn_or_has_not_the_role_does_nothing_for_the_committee() {
	for phase in [Phase::Availability, Phase::Aggregate, Phase::Reveal] {
		let mut undrawn = round(phase);
		undrawn.committee.pop();
		assert_eq!(planned(&view(Some(undrawn)), &with_aggregate(0), &both()), []);
		let drawn = view(Some(round(phase)));
		let trainer = Duties { aggregator: false, ..both() };
		assert_eq!(planned(&drawn, &with_aggregate(0), &trainer), []);
		assert_eq!(notices(&drawn, &with_aggregate(0), &trainer), [Notice::DrawnWithoutRole(0)]);
	}
}

#[test]
fn update_is_announced_only_after_its_commit_window_closed() {
	let mut local = settled_in();
	local.announced.remove(&UPDATE);
	let announce = Action::Announce { artifact: UPDATE };
	let open = view(Some(round(Phase::Commit)));
	assert!(!plan(&open, &with_update(), &both(), &local).contains(&announce));
	let closed = view(Some(round(Phase::Availability)));
	assert!(plan(&closed, &with_update(), &both(), &local).contains(&announce));
}

#[test]
fn bytes_are_released_only_after_the_commit_window_closed() {
	let running = |phase| ProgrammeView { round: Some(round(phase)), ..idle() };
	assert!(!may_release(&running(Phase::Commit), 3));
	assert!(!may_release(&running(Phase::Commit), 4));
	assert!(may_release(&running(Phase::Commit), 2));
	for phase in [Phase::Availability, Phase::Aggregate, Phase::Reveal, Phase::Finalised, Phase::Failed] {
		assert!(may_release(&running(phase), 3), "{phase:?}");
	}
	assert!(may_release(&idle(), 3));
	assert!(!may_release(&idle(), 4));
}

#[test]
fn weights_and_configuration_are_fetched_then_announced() {
	let view = view(None);
	let journal = JournalState::default();
	let nothing = Local::default();
	let fetch = |artifact| Action::Fetch { programme: 0, artifact };
	assert_eq!(plan(&view, &journal, &both(), &nothing), [fetch(CONFIG), fetch(WEIGHTS)]);
	let held = Local { held: settled_in().held, ..Local::default() };
	let announce = |artifact| Action::Announce { artifact };
	let expected = [announce(CONFIG), announce(WEIGHTS), announce(GENESIS_WEIGHTS)];
	assert_eq!(plan(&view, &journal, &both(), &held), expected);
	let other = Duties { aggregator: false, programmes: vec![9], trainer: true };
	assert_eq!(plan(&view, &journal, &other, &nothing), []);
}

#[test]
fn journalled_rounds_are_settled_when_over_and_not_before() {
	let settle = [Action::Settle { programme: 0, round: 3 }];
	for phase in [Phase::Finalised, Phase::Failed] {
		assert_eq!(planned(&view(Some(round(phase))), &with_update(), &both()), settle);
	}
	let mut next = round(Phase::Availability);
	next.index = 4;
	next.committee.clear();
	assert_eq!(planned(&view(Some(next)), &with_update(), &both()), settle);
	// Completed, or waiting for funds: no round runs.
	assert_eq!(planned(&view(None), &with_update(), &both()), settle);
	assert_eq!(planned(&view(Some(round(Phase::Reveal))), &with_update(), &both()), []);
}

#[test]
fn transactions_under_way_do_not_change_the_plan() {
	let mut journal = with_update();
	journal.apply(Entry::Sent(SentTx {
		key: "commit-update:0:3".into(),
		extrinsic: vec![1],
		nonce: 0,
		birth: 90,
		death: 154,
	}));
	let view = view(Some(round(Phase::Commit)));
	// The same key takes up the same transaction, so the restarted worker follows it instead of doubling it.
	let actions = planned(&view, &journal, &both());
	assert_eq!(actions, [Action::CommitUpdate { at: HERE, artifact: UPDATE }]);
	assert!(journal.sent.contains_key(&actions[0].key()));
}

#[test]
fn keys_are_distinct_for_distinct_things() {
	let again = At { attempt: 1, ..HERE };
	let actions = [
		Action::Train { at: HERE },
		Action::CommitUpdate { at: HERE, artifact: UPDATE },
		Action::Vote { at: HERE },
		Action::Vote { at: again },
		Action::Aggregate { at: HERE },
		Action::CommitAggregate { at: HERE },
		Action::CommitAggregate { at: again },
		Action::Reveal { at: HERE },
		Action::Advance { at: HERE, phase: Phase::Commit },
		Action::Advance { at: HERE, phase: Phase::Reveal },
		Action::Resume { programme: 0 },
		Action::Fetch { programme: 0, artifact: UPDATE },
		Action::Announce { artifact: UPDATE },
		Action::Settle { programme: 0, round: 3 },
	];
	let keys: BTreeSet<String> = actions.iter().map(Action::key).collect();
	assert_eq!(keys.len(), actions.len());
	// The update stays the same whichever committee judges it.
	assert_eq!(Action::Train { at: HERE }.key(), Action::Train { at: again }.key());
}

#[test]
fn notices_say_what_is_missing() {
	let journal = JournalState::default();
	let none = ChainView { device: None, ..view(None) };
	assert_eq!(notices(&none, &journal, &both()), [Notice::NoDevice]);
	let retired = ChainView { device: Some(device(DeviceState::Retired)), ..view(None) };
	assert_eq!(notices(&retired, &journal, &both()), [Notice::DeviceNotActive("retired".into())]);
	let unlisted = ChainView { enlisted: false, ..view(None) };
	assert_eq!(notices(&unlisted, &journal, &both()), [Notice::NotEnlisted]);
	assert_eq!(notices(&unlisted, &journal, &Duties { aggregator: false, ..both() }), []);
	let strange = Duties { programmes: vec![8], ..both() };
	assert_eq!(notices(&view(None), &journal, &strange), [Notice::UnknownProgramme(8)]);
	for (state, notice) in [
		(ProgrammeState::Unfunded, Notice::Unfunded(0)),
		(ProgrammeState::Completed, Notice::Completed(0)),
		(ProgrammeState::Paused, Notice::Paused(0)),
		(ProgrammeState::Barred, Notice::Barred(0)),
		(ProgrammeState::Closed, Notice::Closed(0)),
	] {
		let mut view = view(None);
		view.programmes[0].info.state = state;
		assert_eq!(notices(&view, &journal, &both()), [notice]);
	}
	let mut foreign = round(Phase::Commit);
	foreign.commits = vec![commit(0, ME, H256([99; 32]))];
	assert_eq!(notices(&view(Some(foreign)), &with_update(), &both()), [Notice::ForeignCommit(0, 3)]);
}

#[test]
fn device_with_another_network_key_on_chain_starts_nothing_until_it_is_registered_and_that_is_said() {
	let other = |phase| ChainView { network_key: [8; 32], ..view(Some(round(phase))) };
	for journal in [JournalState::default(), with_update()] {
		for phase in [Phase::Commit, Phase::Availability, Phase::Aggregate] {
			assert_eq!(planned(&other(phase), &journal, &both()), [], "{phase:?}");
		}
	}
	let said = notices(&other(Phase::Commit), &JournalState::default(), &both());
	assert_eq!(said, [Notice::OtherNetworkKey { chain: NETWORK_KEY, own: [8; 32] }]);
	// What was computed before needs nobody to find this worker.
	let aggregate = other(Phase::Aggregate);
	assert_eq!(planned(&aggregate, &with_aggregate(0), &both()), [Action::CommitAggregate { at: HERE }]);
	// Registered, the same device goes on.
	let registered = Device { network_key: Some([8; 32]), ..device(DeviceState::Active) };
	let bound = ChainView { device: Some(registered), ..other(Phase::Commit) };
	assert_eq!(planned(&bound, &JournalState::default(), &both()), [Action::Train { at: HERE }]);
	assert_eq!(notices(&bound, &JournalState::default(), &both()), []);
}

#[test]
fn nothing_is_done_in_the_round_of_a_paused_programme() {
	let mut view = view(Some(round(Phase::Commit)));
	assert_eq!(planned(&view, &JournalState::default(), &both()), [Action::Train { at: HERE }]);
	view.programmes[0].info.state = ProgrammeState::Paused;
	assert_eq!(planned(&view, &JournalState::default(), &both()), []);
}

fn with_evidence(at: u32, expires: u32, valid: bool) -> Device {
	let speed = Some(Speed { flops: 1, bandwidth: 1 });
	let evidence = EvidenceInfo { kind: EvidenceKind::Measured, speed, at, expires, valid };
	Device { evidence: Some(evidence), ..device(DeviceState::Active) }
}

#[test]
fn device_without_the_evidence_that_the_charter_asks_for_is_attested_and_does_not_train() {
	let mut view = view(Some(round(Phase::Commit)));
	view.programmes[0].admits = false;
	assert_eq!(planned(&view, &JournalState::default(), &both()), [Action::Attest]);
	assert_eq!(notices(&view, &JournalState::default(), &both()), [Notice::NotAdmitted(0)]);
	// Nor is an update committed that was ready before.
	assert_eq!(planned(&view, &with_update(), &both()), [Action::Attest]);
	view.can_attest = false;
	assert_eq!(planned(&view, &JournalState::default(), &both()), []);
	// Programmes that this worker does not work for are none of its business.
	let elsewhere = Duties { trainer: true, aggregator: false, programmes: vec![1] };
	view.can_attest = true;
	assert!(!planned(&view, &JournalState::default(), &elsewhere).contains(&Action::Attest));
}

#[test]
fn evidence_is_renewed_in_the_last_tenth_of_its_time_and_when_a_recheck_asks_for_it() {
	let attests = |device: Device| {
		let view = ChainView { device: Some(device), ..view(None) };
		planned(&view, &JournalState::default(), &both()).contains(&Action::Attest)
	};
	assert!(!attests(device(DeviceState::Active)));
	assert!(!attests(with_evidence(0, 112, true)));
	assert!(attests(with_evidence(0, 111, true)));
	// Void evidence that nothing asks for.
	assert!(!attests(with_evidence(0, 111, false)));
	assert!(attests(Device { recheck_due: Some(120), ..with_evidence(90, 500, true) }));
	assert!(attests(device(DeviceState::Suspended)));
	assert!(!attests(device(DeviceState::Retired)));
}

#[test]
fn run_seed_differs_by_chain_programme_round_device_and_declared_seed_but_not_by_committee() {
	let genesis = H256([1; 32]);
	let base = run_seed(&genesis, &HERE, 7, 42);
	assert_eq!(base, run_seed(&genesis, &At { attempt: 5, ..HERE }, 7, 42));
	let others = [
		run_seed(&H256([2; 32]), &HERE, 7, 42),
		run_seed(&genesis, &At { programme: 1, ..HERE }, 7, 42),
		run_seed(&genesis, &At { round: 4, ..HERE }, 7, 42),
		run_seed(&genesis, &HERE, 8, 42),
		run_seed(&genesis, &HERE, 7, 43),
	];
	assert!(others.iter().all(|seed| *seed != base));
}

#[test]
fn the_charters_word_on_a_device_is_asked_only_where_something_depends_on_it() {
	let active = device(DeviceState::Active);
	assert!(asks_admission(&idle(), &active, &both()));
	let elsewhere = Duties { trainer: true, aggregator: false, programmes: vec![9] };
	assert!(!asks_admission(&idle(), &active, &elsewhere));
	assert!(!asks_admission(&idle(), &device(DeviceState::Suspended), &both()));
	for over in [ProgrammeState::Completed, ProgrammeState::Closed] {
		let over = ProgrammeView { info: Programme { state: over, ..programme() }, ..idle() };
		assert!(!asks_admission(&over, &active, &both()));
	}
}
