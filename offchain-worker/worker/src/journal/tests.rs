#![allow(clippy::unwrap_used)]

use super::*;
use proptest::prelude::*;

fn hash(n: u8) -> H256 {
	H256([n; 32])
}

fn update(n: u8) -> UpdateState {
	UpdateState {
		artifact: hash(n),
		base: hash(0),
		samples: 100,
		local_steps: 10,
		seed: u64::MAX,
		loss: 0.5 + f64::from(n),
		train_seconds: 1.5,
	}
}

fn sent(key: &str) -> SentTx {
	SentTx { key: key.into(), extrinsic: vec![1, 2, 3], nonce: 7, birth: 10, death: 74 }
}

fn some_entries() -> Vec<Entry> {
	vec![
		Entry::Withhold { programme: 0, round: 3, artifact: hash(1) },
		Entry::UpdateReady { programme: 0, round: 3, update: update(1) },
		Entry::Sent(sent("commit:0:3")),
		Entry::Closed { key: "commit:0:3".into(), block: Some(12) },
		Entry::AggregateReady {
			programme: 0,
			round: 3,
			attempt: 0,
			aggregate: AggregateState { result: hash(5), quality: vec![100, 0], salt: hash(6) },
		},
		Entry::Sent(sent("aggregate:0:3:0")),
	]
}

fn folded(entries: &[Entry]) -> JournalState {
	let mut state = JournalState::default();
	entries.iter().cloned().for_each(|e| state.apply(e));
	state
}

fn write(path: &Path, entries: &[Entry]) -> Vec<u8> {
	let mut journal = Journal::open_file(path).unwrap();
	entries.iter().cloned().for_each(|e| journal.append(e).unwrap());
	assert_eq!(journal.state(), &folded(entries));
	fs::read(path).unwrap()
}

#[test]
fn journal_reads_back_what_was_written() {
	let dir = tempfile::tempdir().unwrap();
	let path = dir.path().join("j");
	write(&path, &some_entries());
	let journal = Journal::open_file(&path).unwrap();
	assert_eq!(journal.state(), &folded(&some_entries()));
	assert_eq!(journal.state().update(0, 3), Some(&update(1)));
	assert!(journal.state().sent.contains_key("aggregate:0:3:0"));
	assert!(!journal.state().sent.contains_key("commit:0:3"));
}

#[test]
fn journal_recovers_every_whole_line_when_cut_at_any_byte() {
	let dir = tempfile::tempdir().unwrap();
	let path = dir.path().join("j");
	let entries = some_entries();
	let bytes = write(&path, &entries);
	for cut in 0..=bytes.len() {
		fs::write(&path, &bytes[..cut]).unwrap();
		let whole = bytes[..cut].iter().filter(|b| **b == b'\n').count();
		let mut journal = Journal::open_file(&path).unwrap();
		assert_eq!(journal.state(), &folded(&entries[..whole]), "cut at {cut}");
		// And it goes on from there as if nothing had happened.
		journal.append(Entry::Settled { programme: 9, round: 9 }).unwrap();
		drop(journal);
		let again = Journal::open_file(&path).unwrap();
		assert_eq!(again.state(), &folded(&entries[..whole]), "reopened after a cut at {cut}");
		assert_eq!(again.lines, whole + 1);
	}
}

#[test]
fn journal_drops_a_tail_that_the_file_system_left_as_zeros() {
	let dir = tempfile::tempdir().unwrap();
	let path = dir.path().join("j");
	let mut bytes = write(&path, &some_entries());
	bytes.extend([0; 100]);
	fs::write(&path, &bytes).unwrap();
	assert_eq!(Journal::open_file(&path).unwrap().state(), &folded(&some_entries()));
}

#[test]
fn damage_in_the_middle_is_reported_with_line_and_remedy_and_changes_nothing() {
	let dir = tempfile::tempdir().unwrap();
	let path = dir.path().join("j");
	let bytes = write(&path, &some_entries());
	let second_line = bytes.iter().position(|b| *b == b'\n').unwrap() + 1;
	for offset in [0, 20, 60] {
		let mut damaged = bytes.clone();
		damaged[second_line + offset] ^= 1;
		fs::write(&path, &damaged).unwrap();
		let error = Journal::open_file(&path).unwrap_err();
		assert!(matches!(error, JournalError::Damaged { line: 2, .. }), "{error}");
		assert!(error.to_string().contains("move the"), "{error}");
		assert_eq!(fs::read(&path).unwrap(), damaged);
	}
}

#[test]
fn journal_shrinks_once_rounds_are_settled_and_keeps_what_counts() {
	let dir = tempfile::tempdir().unwrap();
	let path = dir.path().join("j");
	let mut journal = Journal::open_file(&path).unwrap();
	for round in 0..200 {
		journal.append(Entry::Withhold { programme: 0, round, artifact: hash(1) }).unwrap();
		journal.append(Entry::UpdateReady { programme: 0, round, update: update(1) }).unwrap();
		if round < 199 {
			journal.append(Entry::Settled { programme: 0, round }).unwrap();
		}
	}
	assert!(journal.lines < 300, "{}", journal.lines);
	let state = journal.state().clone();
	assert_eq!(state.rounds.keys().copied().collect::<Vec<_>>(), [(0, 199)]);
	drop(journal);
	assert_eq!(Journal::open_file(&path).unwrap().state(), &state);
}

#[test]
fn journal_file_is_private() {
	use std::os::unix::fs::PermissionsExt;
	let dir = tempfile::tempdir().unwrap();
	let base = BasePath::open(dir.path()).unwrap();
	let account = AccountId32([1; 32]);
	drop(Journal::open(&base, &account).unwrap());
	let file = base.journal().join(format!("{account}.jsonl"));
	assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
}

fn any_entry() -> impl Strategy<Value = Entry> {
	let key = prop::sample::select(vec!["a", "b", "c"]);
	prop_oneof![
		(0..3u32, 0..3u32, any::<u8>()).prop_map(|(programme, round, n)| Entry::Withhold {
			programme,
			round,
			artifact: hash(n)
		}),
		(0..3u32, 0..3u32, any::<u8>()).prop_map(|(programme, round, n)| Entry::UpdateReady {
			programme,
			round,
			update: update(n)
		}),
		(0..3u32, 0..3u32, 0..3u32, any::<u8>()).prop_map(|(programme, round, attempt, n)| {
			let aggregate = AggregateState { result: hash(n), quality: vec![n; 3], salt: hash(n ^ 1) };
			Entry::AggregateReady { programme, round, attempt, aggregate }
		}),
		key.clone().prop_map(|key| Entry::Sent(sent(key))),
		(key, any::<Option<u32>>()).prop_map(|(key, block)| Entry::Closed { key: key.into(), block }),
		(0..3u32, 0..3u32).prop_map(|(programme, round)| Entry::Settled { programme, round }),
	]
}

proptest! {
	#[test]
	fn compacted_entries_lead_to_the_same_state(entries in prop::collection::vec(any_entry(), 0..60)) {
		let state = folded(&entries);
		prop_assert_eq!(folded(&state.entries()), state);
	}

	#[test]
	fn every_entry_reads_back_as_itself(entry in any_entry()) {
		let line = encode(&entry);
		prop_assert_eq!(decode(&line[..line.len() - 1]).unwrap(), entry);
	}
}
