//! Whatever arrives: no panic, no more memory than its length allows, and nothing proved that is not true.
#![allow(clippy::unwrap_used)]

use crate::support::*;
use cairn_primitives::H256;
use cairn_verifier::{
	bundle::{MEMORY_PER_BYTE, VERSION},
	report::read,
	verify, Bundle, Proven, Statement,
};
use proptest::prelude::*;
use std::{
	alloc::{GlobalAlloc, Layout, System},
	cell::Cell,
	sync::LazyLock,
};

/// Counts what a thread holds, and the most it held.
struct Counting;

thread_local! {
	static HELD: Cell<usize> = const { Cell::new(0) };
	static MOST: Cell<usize> = const { Cell::new(0) };
}

unsafe impl GlobalAlloc for Counting {
	unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
		let held = HELD.with(|held| {
			held.set(held.get().wrapping_add(layout.size()));
			held.get()
		});
		MOST.with(|most| most.set(most.get().max(held)));
		unsafe { System.alloc(layout) }
	}

	unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
		// What another thread took is given back here at times.
		HELD.with(|held| held.set(held.get().saturating_sub(layout.size())));
		unsafe { System.dealloc(block, layout) }
	}
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The most memory that was held at once while `action` ran, beyond what was held before.
fn memory_of<T>(action: impl FnOnce() -> T) -> (T, usize) {
	let before = HELD.with(Cell::get);
	MOST.with(|most| most.set(before));
	let result = action();
	(result, MOST.with(Cell::get).saturating_sub(before))
}

static CHAINS: LazyLock<Vec<Chain>> = LazyLock::new(|| {
	[(1, vec![3, 11]), (1, vec![]), (2, vec![3, 11])]
		.map(|(seed, changes)| Chain::new(Plan { seed, changes, ..Plan::default() }))
		.into()
});

static BUNDLES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
	CHAINS
		.iter()
		.flat_map(|chain| {
			[
				chain.record_bundle(3, 17),
				chain.ledger_bundle(14),
				chain.absence_bundle(H256::repeat_byte(1), 14),
			]
		})
		.map(|bundle| bundle.to_bytes())
		.collect()
});

static JSON: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
	BUNDLES.iter().map(|bytes| Bundle::from_bytes(bytes).unwrap().to_json().into_bytes()).collect()
});

/// Whether what was proved is so.
fn is_true(chain: &Chain, proven: &Proven) -> bool {
	let header = &chain.headers[proven.number as usize];
	let statement = match &proven.statement {
		Statement::Records(records) => records.iter().all(|(id, record)| {
			let batch = chain.batch_of(*id);
			batch.records.get((id - batch.first) as usize) == Some(record) && record.block < proven.number
		}),
		Statement::NoWeights(artifact) => {
			chain.batches.iter().all(|b| b.records.last().unwrap().artifact != *artifact)
		},
	};
	statement && sp_runtime::traits::Header::hash(header) == proven.block
}

/// Looks at bytes as a verifier does, in whichever form they are; says whether all is well.
fn is_handled(bytes: &[u8]) -> Result<(), String> {
	for chain in CHAINS.iter() {
		let genesis = chain.genesis();
		let (verdict, memory) = memory_of(|| read(bytes).ok().map(|bundle| verify(&bundle, &genesis)));
		if memory > most_memory(bytes.len()) {
			return Err(format!("{} bytes took {memory}", bytes.len()));
		}
		if let Some(Ok(proven)) = verdict {
			// Two of the chains have the same genesis, as forks have.
			let mut forks = CHAINS.iter().filter(|chain| chain.genesis() == genesis);
			if !forks.any(|chain| is_true(chain, &proven)) {
				return Err(format!("{proven:?} is not so"));
			}
		}
	}
	Ok(())
}

/// What a bundle of so many bytes may take: what its decoding is allowed, twice when a list moves, as much again for what
/// is made of it while it is checked, and what any call takes.
fn most_memory(len: usize) -> usize {
	4 * MEMORY_PER_BYTE * len + (64 << 10)
}

#[derive(Clone, Debug)]
enum Change {
	/// Other bytes in a place.
	Overwrite(prop::sample::Index, Vec<u8>),
	/// Bytes in between.
	Insert(prop::sample::Index, Vec<u8>),
	/// Bytes left out.
	Remove(prop::sample::Index, usize),
	/// The rest of another bundle.
	Splice(prop::sample::Index, prop::sample::Index, prop::sample::Index),
	/// A part of another bundle in the same place.
	Transplant(prop::sample::Index, prop::sample::Index, usize),
}

fn change() -> impl Strategy<Value = Change> {
	let at = any::<prop::sample::Index>;
	let bytes =
		|| prop::collection::vec(prop_oneof![any::<u8>(), Just(0xff), Just(0), Just(3), Just(0xfe)], 1..9);
	prop_oneof![
		(at(), bytes()).prop_map(|(place, bytes)| Change::Overwrite(place, bytes)),
		(at(), bytes()).prop_map(|(place, bytes)| Change::Insert(place, bytes)),
		(at(), 1usize..200).prop_map(|(place, count)| Change::Remove(place, count)),
		(at(), at(), at()).prop_map(|(other, from, to)| Change::Splice(other, from, to)),
		(at(), at(), 1usize..400).prop_map(|(other, place, count)| Change::Transplant(other, place, count)),
	]
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
	if bytes.is_empty() {
		return;
	}
	match change {
		Change::Overwrite(place, new) => {
			let place = place.index(bytes.len());
			for (old, new) in bytes[place..].iter_mut().zip(new) {
				*old = *new;
			}
		},
		Change::Insert(place, new) => {
			let place = place.index(bytes.len());
			bytes.splice(place..place, new.iter().copied());
		},
		Change::Remove(place, count) => {
			let place = place.index(bytes.len());
			let end = bytes.len().min(place + count);
			bytes.drain(place..end);
		},
		Change::Splice(other, from, to) => {
			let other = &BUNDLES[other.index(BUNDLES.len())];
			bytes.truncate(to.index(bytes.len()));
			bytes.extend_from_slice(&other[from.index(other.len())..]);
		},
		Change::Transplant(other, place, count) => {
			let other = &BUNDLES[other.index(BUNDLES.len())];
			let place = place.index(bytes.len().min(other.len()));
			let end = bytes.len().min(other.len()).min(place + count);
			bytes[place..end].copy_from_slice(&other[place..end]);
		},
	}
}

/// `VERIFIER_FUZZ_CASES` makes it longer: scripts/fuzz-verifier.
fn cases() -> u32 {
	std::env::var("VERIFIER_FUZZ_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(400)
}

proptest! {
	#![proptest_config(ProptestConfig { cases: cases(), max_shrink_iters: 2000, ..ProptestConfig::default() })]

	#[test]
	fn changed_bundle_proves_nothing_that_is_not_so(
		which: prop::sample::Index,
		changes in prop::collection::vec(change(), 1..4),
	) {
		let mut bytes = BUNDLES[which.index(BUNDLES.len())].clone();
		changes.iter().for_each(|change| apply(&mut bytes, change));
		prop_assert_eq!(is_handled(&bytes), Ok(()));
		prop_assert_eq!(is_handled(format!("0x{}", hex::encode(&bytes)).as_bytes()), Ok(()));
	}

	#[test]
	fn changed_json_proves_nothing_that_is_not_so(
		which: prop::sample::Index,
		changes in prop::collection::vec(change(), 1..4),
	) {
		let mut json = JSON[which.index(JSON.len())].clone();
		changes.iter().for_each(|change| apply(&mut json, change));
		prop_assert_eq!(is_handled(&json), Ok(()));
	}

	#[test]
	fn bytes_of_any_kind_are_handled(bytes in prop::collection::vec(any::<u8>(), 0..600), is_versioned: bool) {
		let mut bytes = bytes;
		if let (Some(first), true) = (bytes.first_mut(), is_versioned) {
			*first = VERSION;
		}
		prop_assert_eq!(is_handled(&bytes), Ok(()));
	}
}

/// Lists that say to be longer than anything, instead of what stands at a place and before it.
#[test]
fn length_that_is_not_there_is_refused_and_takes_no_memory() {
	for bytes in BUNDLES.iter() {
		for place in 1..bytes.len() {
			for length in [&[0xfe, 0xff, 0xff, 0xff][..], &[0x03, 0xff, 0xff, 0xff, 0xff], &[0xfd, 0xff]] {
				for rest in [place, place + 1] {
					let forged = [&bytes[..place], length, &bytes[rest..]].concat();
					let (decoded, memory) = memory_of(|| Bundle::from_bytes(&forged));
					// No list that is announced is made room for before its items are there.
					assert!(
						memory <= 2 * MEMORY_PER_BYTE * forged.len() + (8 << 10),
						"{memory} bytes at {place}"
					);
					// Where it is no length but part of a value, the bundle is another one, with bytes of its own.
					if let Ok(bundle) = decoded {
						assert!(bundle.to_bytes() == forged, "{length:?} at {place} is read and not written");
					}
				}
			}
		}
	}
}
