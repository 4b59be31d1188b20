//! How much memory of its own a settlement of mapped updates takes: the result, and what the README says beside it.
#![allow(clippy::unwrap_used)]

mod common;

use cairn_aggregation::{
	check_mapped_update, next_weights, settle_with, AggregationRule, Bucketing, CheckedUpdate,
	EffectiveSteps, Method, Mixing, Normalisation, PreAggregation,
};
use cairn_artifacts::{Store, TensorFile};
use common::*;
use std::{
	alloc::{GlobalAlloc, Layout, System},
	sync::atomic::{AtomicUsize, Ordering::SeqCst},
};
use tempfile::TempDir;

/// The system's allocator, which counts the bytes that are out and remembers the most there were.
struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

fn more(bytes: usize) {
	let now = NOW.fetch_add(bytes, SeqCst) + bytes;
	MOST.fetch_max(now, SeqCst);
}

// SAFETY: all is passed on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
	unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
		more(layout.size());
		unsafe { System.alloc(layout) }
	}

	unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
		more(layout.size());
		unsafe { System.alloc_zeroed(layout) }
	}

	unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
		NOW.fetch_sub(layout.size(), SeqCst);
		unsafe { System.dealloc(at, layout) }
	}

	unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
		// Both are there while one is copied to the other.
		more(size);
		let to = unsafe { System.realloc(at, layout, size) };
		NOW.fetch_sub(layout.size(), SeqCst);
		to
	}
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The most bytes that were out at once during `f`, beside those that were before.
fn most<T>(f: impl FnOnce() -> T) -> (usize, T) {
	let before = NOW.load(SeqCst);
	MOST.store(before, SeqCst);
	let result = f();
	(MOST.load(SeqCst) - before, result)
}

/// Beside what a settlement returns, for so many rows: what the README says.
fn constant(n: usize, threads: usize, all_pairs: bool) -> usize {
	let pairs = if all_pairs { n * (n - 1) / 2 } else { 0 };
	(9 << 10) * n * threads + 72 * pairs * threads + 80 * pairs + (64 << 10)
}

fn mapped(store: &Store, base: &TensorFile, n: usize, elements: usize) -> Vec<CheckedUpdate> {
	let put = |i: usize| {
		let envelope = envelope(base, i, 1 + i as u32);
		let data: Vec<f32> = (0..elements).map(|c| ((c * 7 + i * 13) % 101) as f32 / 50.0 - 1.0).collect();
		let hash = store.put(&bytes(&envelope, flat(&data))).unwrap();
		(hash, expected(&envelope))
	};
	let known: Vec<_> = (0..n).map(put).collect();
	let check = || -> Vec<CheckedUpdate> {
		let one = |(hash, expected)| {
			check_mapped_update(&store.map(hash).unwrap().unwrap(), hash, expected, base).unwrap()
		};
		known.iter().map(|(hash, expected)| one((hash, expected))).collect()
	};
	let (taken, updates) = most(check);
	// One buffer to read through while a file is checked, and a header for each.
	assert!(
		taken < (1 << 20) + n * (8 << 10),
		"checking {n} updates of {elements} elements took {taken} bytes"
	);
	updates
}

// The only test of this file: another one beside it would be counted, too.
#[test]
fn settlement_of_mapped_updates_takes_the_memory_of_its_result_and_a_constant() {
	let dir = TempDir::new().unwrap();
	let store = Store::open(dir.path().join("store")).unwrap();
	let pre = PreAggregation {
		normalisation: Some(Normalisation { effective: EffectiveSteps::Median, cap: 2_000_000 }),
		bucketing: Some(Bucketing { size: 1, seed: [7; 32] }),
		mixing: Some(Mixing { hostile: 1 }),
	};
	let krum = AggregationRule::Krum { hostile: 1 };
	let rules = [
		(AggregationRule::WeightedMean, false),
		(AggregationRule::TrimmedMean { trim: 1 }, false),
		(AggregationRule::CoordinateMedian, false),
		(krum, true),
		(AggregationRule::MultiKrum { hostile: 1, selected: 2 }, true),
		(AggregationRule::GeometricMedian { smoothing: 100_000, iterations: 2 }, false),
	];
	for (n, elements) in [(5, 200_000), (20, 200_000), (5, 800_000)] {
		let name = store.put(&base(flat(&vec![0.5; elements])).into_bytes()).unwrap();
		let base = TensorFile::from_mapped(&store.map(&name).unwrap().unwrap()).unwrap();
		let updates = mapped(&store, &base, n, elements);
		let model = 4 * elements;
		for threads in [1, 7] {
			for (rule, all_pairs) in rules {
				let (taken, result) = most(|| next_weights(&round(&base, rule), &base, &updates, threads));
				let bytes = result.unwrap().1;
				let beside = taken - bytes.len();
				let allowed = constant(n, threads, all_pairs);
				assert!(
					bytes.len() > model && beside < allowed,
					"{rule:?}, {n} updates of {elements} on {threads}: {beside}"
				);
			}
			// Everything at once: what a committee member does, with pre-aggregation and a state.
			let method = Method { pre, ..Method::default() };
			let rule = AggregationRule::CENTERED_CLIPPING;
			let (taken, result) =
				most(|| settle_with(&round(&base, rule), &method, &base, None, &updates, threads));
			let result = result.unwrap();
			let beside = taken - result.bytes.len() - result.state.unwrap().bytes.len();
			let products = 2 * 72 * n * threads;
			let allowed = constant(n, threads, true) + products;
			assert!(beside < allowed, "all stages, {n} updates of {elements} on {threads}: {beside}");
		}
	}
}
