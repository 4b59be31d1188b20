//! The walk over all coordinates, in parallel.
//!
//! Threads share the coordinates, never the sum of one coordinate: how many there are and who comes first decides when
//! a result is there, not what it is.

use crate::{arithmetic, rules::CoordinateRule, AggregationError};
use cairn_artifacts::Tensor;
use std::thread;

/// Coordinates that a thread takes on at once.
const CHUNK: usize = 32_768;
/// Coordinates that a rule is given at once: few enough for their sums to stay in the first-level cache.
const BLOCK: usize = 512;

/// A part of one tensor of the result.
struct Task<'a> {
	tensor: usize,
	/// The part's first element.
	start: usize,
	out: &'a mut [f32],
	/// The same part of the aggregate.
	aggregate: &'a mut [f32],
}

/// What a walk over all coordinates leaves.
pub(crate) struct Walked {
	/// What `finish` made of each coordinate.
	pub(crate) results: Vec<Tensor>,
	/// What the rule gave, rounded to 32 bits. Within the range of the updates' values, hence finite.
	pub(crate) aggregate: Vec<Tensor>,
}

/// Where the first result is that no `f32` can hold: tensor, index.
type Place = (usize, usize);

/// Applies `rule` to all coordinates of `updates`, which have the same names and shapes, and lets `finish` make one
/// element of the result of each: it gets the tensor's number, the element's index, and what the rule gave.
pub(crate) fn run(
	updates: &[&[Tensor]],
	rule: &dyn CoordinateRule,
	threads: usize,
	finish: impl Fn(usize, usize, f64) -> f32 + Sync,
) -> Result<Walked, AggregationError> {
	let Some(like) = updates.first() else { return Err(AggregationError::NoUpdates) };
	let empty =
		|t: &Tensor| Tensor { name: t.name.clone(), shape: t.shape.clone(), data: vec![0.0; t.data.len()] };
	let mut results: Vec<Tensor> = like.iter().map(empty).collect();
	let mut aggregate: Vec<Tensor> = like.iter().map(empty).collect();
	let tasks: Vec<_> = results
		.iter_mut()
		.zip(&mut aggregate)
		.enumerate()
		.flat_map(|(tensor, (result, aggregate))| {
			let parts = result.data.chunks_mut(CHUNK).zip(aggregate.data.chunks_mut(CHUNK)).enumerate();
			parts.map(move |(i, (out, aggregate))| Task { tensor, start: i * CHUNK, out, aggregate })
		})
		.collect();

	// Dealt out like cards: every coordinate costs the same.
	let threads = threads.clamp(1, tasks.len().max(1));
	let mut hands: Vec<Vec<Task>> = (0..threads).map(|_| Vec::new()).collect();
	for (i, task) in tasks.into_iter().enumerate() {
		hands[i % threads].push(task);
	}
	let work = |hand: Vec<Task>| -> Result<Option<Place>, AggregationError> {
		arithmetic::check()?;
		Ok(hand.into_iter().filter_map(|task| fill(updates, rule, &finish, task)).min())
	};
	let outcomes: Vec<_> = thread::scope(|scope| {
		let workers: Vec<_> = hands.into_iter().map(|hand| scope.spawn(|| work(hand))).collect();
		let join = |w: thread::ScopedJoinHandle<_>| w.join().unwrap_or_else(|p| std::panic::resume_unwind(p));
		workers.into_iter().map(join).collect()
	});

	let mut first: Option<Place> = None;
	for outcome in outcomes {
		first = first.into_iter().chain(outcome?).min();
	}
	match first {
		None => Ok(Walked { results, aggregate }),
		Some((tensor, index)) => {
			let Tensor { name, data, .. } = &results[tensor];
			Err(AggregationError::Overflow { tensor: name.clone(), index, value: data[index] })
		},
	}
}

/// Fills one part of the result; returns where its first element is that is not finite.
fn fill(
	updates: &[&[Tensor]],
	rule: &dyn CoordinateRule,
	finish: &(impl Fn(usize, usize, f64) -> f32 + Sync),
	task: Task,
) -> Option<Place> {
	let Task { tensor, start, out, aggregate } = task;
	let mut sums = [0.0f64; BLOCK];
	let mut columns = Vec::with_capacity(updates.len());
	let mut place = None;
	for (i, (out, aggregate)) in out.chunks_mut(BLOCK).zip(aggregate.chunks_mut(BLOCK)).enumerate() {
		let start = start + i * BLOCK;
		let sums = &mut sums[..out.len()];
		columns.clear();
		columns.extend(updates.iter().map(|u| &u[tensor].data[start..start + out.len()]));
		rule.aggregate(&columns, sums);
		for (aggregate, sum) in aggregate.iter_mut().zip(&*sums) {
			*aggregate = *sum as f32;
		}
		for (j, (out, sum)) in out.iter_mut().zip(sums).enumerate() {
			*out = finish(tensor, start + j, *sum);
			if !out.is_finite() {
				place = place.or(Some((tensor, start + j)));
			}
		}
	}
	place
}
