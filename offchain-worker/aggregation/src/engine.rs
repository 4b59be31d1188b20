//! The walk over all coordinates, in parallel.
//!
//! Threads share the coordinates, never the sum of one coordinate, and sums over coordinates are put together in the
//! order of the coordinates: how many threads there are and who comes first decides when a result is there, not what
//! it is.

use crate::{
	arithmetic,
	rows::{Buffers, Rows},
	rules::CoordinateRule,
	sums::{Lanes, CHUNK},
	AggregationError,
};
use std::{
	mem,
	ops::Range,
	sync::{Condvar, Mutex, MutexGuard, PoisonError},
	thread,
};

/// Coordinates that a rule is given at once: few enough for their sums to stay in the first-level cache. A multiple of
/// the lanes of a sum and a divisor of [`CHUNK`].
pub(crate) const BLOCK: usize = 512;

/// A part of one tensor: at most [`CHUNK`] of its elements.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Part {
	/// The tensor's number.
	pub(crate) tensor: usize,
	/// The part's first element.
	pub(crate) start: usize,
	/// Its elements.
	pub(crate) len: usize,
}

impl Part {
	/// The elements within the tensor.
	pub(crate) fn range(&self) -> Range<usize> {
		self.start..self.start + self.len
	}

	/// These elements of one of the lists of tensors that the walk goes over.
	pub(crate) fn of<'a>(&self, tensors: &[&'a [f32]]) -> &'a [f32] {
		&tensors[self.tensor][self.range()]
	}

	/// The part in pieces of at most [`BLOCK`] elements.
	pub(crate) fn blocks(self) -> impl Iterator<Item = Part> {
		(0..self.len).step_by(BLOCK).map(move |at| Part {
			tensor: self.tensor,
			start: self.start + at,
			len: BLOCK.min(self.len - at),
		})
	}
}

/// All parts of tensors like these, in order.
pub(crate) struct Parts<'a> {
	like: &'a [&'a [f32]],
	tensor: usize,
	start: usize,
	left: usize,
}

impl<'a> Parts<'a> {
	pub(crate) fn of(like: &'a [&'a [f32]]) -> Self {
		let left = like.iter().map(|t| t.len().div_ceil(CHUNK)).sum();
		Self { like, tensor: 0, start: 0, left }
	}
}

impl Iterator for Parts<'_> {
	type Item = Part;

	fn next(&mut self) -> Option<Part> {
		loop {
			let elements = self.like.get(self.tensor)?.len();
			if self.start < elements {
				let part =
					Part { tensor: self.tensor, start: self.start, len: CHUNK.min(elements - self.start) };
				self.start += part.len;
				self.left -= 1;
				return Some(part);
			}
			(self.tensor, self.start) = (self.tensor + 1, 0);
		}
	}

	fn size_hint(&self) -> (usize, Option<usize>) {
		(self.left, Some(self.left))
	}
}

impl ExactSizeIterator for Parts<'_> {}

/// Whose turn it is to add its sums.
struct Turn {
	next: usize,
	totals: Vec<f64>,
	/// A thread panicked; its turn never comes.
	broken: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
	// Nothing that is done under these locks can panic halfway.
	mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Does all tasks on up to `threads` threads (0 counts as 1). Each task has `count` sums to make, given as zeros; the
/// tasks' sums are added in the order of the tasks, beginning with +0.
///
/// Beside what `work` takes, this needs 8 bytes per sum and thread.
pub(crate) fn in_order<T: Send>(
	tasks: impl ExactSizeIterator<Item = T> + Send,
	count: usize,
	threads: usize,
	work: impl Fn(T, &mut [f64]) + Sync,
) -> Result<Vec<f64>, AggregationError> {
	arithmetic::check()?;
	let threads = threads.clamp(1, tasks.len().max(1));
	let queue = Mutex::new(tasks.enumerate());
	let turn = Mutex::new(Turn { next: 0, totals: vec![0.0; count], broken: false });
	let moved = Condvar::new();
	// Without this, the others would wait for the turn of a thread that is gone.
	struct Alarm<'a>(&'a Mutex<Turn>, &'a Condvar);
	impl Drop for Alarm<'_> {
		fn drop(&mut self) {
			if thread::panicking() {
				lock(self.0).broken = true;
				self.1.notify_all();
			}
		}
	}
	let worker = || -> Result<(), AggregationError> {
		arithmetic::check()?;
		let _alarm = Alarm(&turn, &moved);
		let mut sums = vec![0.0f64; count];
		loop {
			// On a line of its own, so that the lock is not held during the work.
			let task = lock(&queue).next();
			let Some((number, task)) = task else { return Ok(()) };
			sums.fill(0.0);
			work(task, &mut sums);
			if count == 0 {
				continue;
			}
			let mut turn = moved
				.wait_while(lock(&turn), |turn| turn.next != number && !turn.broken)
				.unwrap_or_else(PoisonError::into_inner);
			if turn.broken {
				return Ok(());
			}
			for (total, sum) in turn.totals.iter_mut().zip(&sums) {
				*total += sum;
			}
			turn.next += 1;
			moved.notify_all();
		}
	};
	let outcomes: Vec<_> = thread::scope(|scope| {
		let workers: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
		let join = |w: thread::ScopedJoinHandle<_>| w.join().unwrap_or_else(|p| std::panic::resume_unwind(p));
		workers.into_iter().map(join).collect()
	});
	outcomes.into_iter().collect::<Result<(), _>>()?;
	Ok(turn.into_inner().unwrap_or_else(PoisonError::into_inner).totals)
}

/// Where the elements of one tensor of an output are to stand.
pub(crate) enum Place<'a> {
	/// As numbers.
	Floats(&'a mut [f32]),
	/// As little-endian bytes.
	Bytes(&'a mut [u8]),
}

impl<'a> Place<'a> {
	/// Takes so many elements off the front.
	fn take(&mut self, elements: usize) -> Self {
		match self {
			Self::Floats(all) => {
				let (own, rest) = mem::take(all).split_at_mut(elements);
				*all = rest;
				Self::Floats(own)
			},
			Self::Bytes(all) => {
				let (own, rest) = mem::take(all).split_at_mut(elements * size_of::<f32>());
				*all = rest;
				Self::Bytes(own)
			},
		}
	}

	/// Writes elements, the first of them to `at`.
	fn put(&mut self, at: usize, elements: &[f32]) {
		match self {
			Self::Floats(all) => all[at..at + elements.len()].copy_from_slice(elements),
			Self::Bytes(all) => {
				let (all, _) = all.as_chunks_mut::<{ size_of::<f32>() }>();
				for (bytes, x) in all[at..at + elements.len()].iter_mut().zip(elements) {
					*bytes = x.to_le_bytes();
				}
			},
		}
	}
}

/// A file or list of tensors that a walk makes, with the shapes of the rows.
pub(crate) struct Output<'a> {
	/// What stands before the names of the model's tensors.
	pub(crate) prefix: &'static str,
	/// Its tensors.
	pub(crate) places: Vec<Place<'a>>,
}

/// A part of the outputs.
struct Task<'a> {
	part: Part,
	outputs: Vec<Place<'a>>,
}

/// The place of a result that is not finite, and the result.
type NotFinite = ((usize, usize, usize), f32);

/// Applies `rule` to all coordinates and lets `finish` make one element of each output of them: it gets a block, what
/// the rule gave there, and where to write to. `names` are those of the model's tensors.
///
/// With `judge` it returns ⟨*a*, *a*⟩ of the aggregate *a* rounded to 32 bits, then ⟨*u*, *u*⟩ and ⟨*u*, *a*⟩ of each
/// update *u*, as it was before all stages; without, nothing.
pub(crate) fn run(
	rows: &Rows,
	rule: &dyn CoordinateRule,
	judge: bool,
	names: &[&str],
	mut outputs: Vec<Output>,
	threads: usize,
	finish: impl Fn(Part, &[f64], &mut [&mut [f32]]) + Sync,
) -> Result<Vec<f64>, AggregationError> {
	let prefixes: Vec<_> = outputs.iter().map(|output| output.prefix).collect();
	let tasks = Parts::of(rows.like()).map(|part| Task {
		part,
		outputs: outputs.iter_mut().map(|output| output.places[part.tensor].take(part.len)).collect(),
	});
	// Where the first output is that no `f32` can hold: tensor, index, output; and what stands there instead.
	let first: Mutex<Option<NotFinite>> = Mutex::new(None);
	let judged = if judge { rows.updates() } else { &[] };
	let count = if judge { 1 + 2 * judged.len() } else { 0 };
	let products = in_order(tasks, count, threads, |task, sums| {
		let Task { part, mut outputs } = task;
		let mut buffers = Buffers::default();
		let mut lanes = vec![Lanes::default(); count];
		let mut values = [0.0f64; BLOCK];
		let mut made = vec![[0.0f32; BLOCK]; outputs.len()];
		let mut rounded = [0.0f32; BLOCK];
		for block in part.blocks() {
			let values = &mut values[..block.len];
			rows.columns(block, &mut buffers, |columns| rule.aggregate(block, columns, values));
			let mut pieces: Vec<&mut [f32]> = made.iter_mut().map(|made| &mut made[..block.len]).collect();
			finish(block, values, &mut pieces);
			for (output, (piece, place)) in pieces.iter().zip(&mut outputs).enumerate() {
				if let Some(i) = piece.iter().position(|x| !x.is_finite()) {
					let found = ((block.tensor, block.start + i, output), piece[i]);
					let mut first = lock(&first);
					*first = Some(first.filter(|(other, _)| *other < found.0).unwrap_or(found));
				}
				place.put(block.start - part.start, piece);
			}
			if let Some((own, others)) = lanes.split_first_mut() {
				let rounded = &mut rounded[..block.len];
				for (r, value) in rounded.iter_mut().zip(&*values) {
					*r = *value as f32;
				}
				own.add_products(rounded, rounded);
				for (pair, update) in others.chunks_exact_mut(2).zip(judged) {
					let update = block.of(update);
					pair[0].add_products(update, update);
					pair[1].add_products(update, rounded);
				}
			}
		}
		for (sum, lanes) in sums.iter_mut().zip(lanes) {
			*sum = lanes.sum();
		}
	})?;
	match first.into_inner().unwrap_or_else(PoisonError::into_inner) {
		None => Ok(products),
		Some(((tensor, index, output), value)) => {
			let tensor = format!("{}{}", prefixes[output], names[tensor]);
			Err(AggregationError::Overflow { tensor, index, value })
		},
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn sums_are_added_in_the_order_of_the_tasks_on_any_number_of_threads() {
		let terms: Vec<f64> = (0..500).map(|i| if i % 7 == 0 { 1e16 } else { -(i as f64) * 0.3 }).collect();
		let expected = terms.iter().fold(0.0, |sum, x| sum + x);
		for threads in [0, 1, 2, 7] {
			let sums = in_order(terms.iter().copied(), 1, threads, |x, sums| sums[0] = x).expect("adds");
			assert_eq!(sums[0].to_bits(), expected.to_bits(), "{threads} threads");
		}
		assert_eq!(in_order(std::iter::empty::<f64>(), 2, 3, |_, _| {}), Ok(vec![0.0, 0.0]));
	}

	#[test]
	fn panic_in_one_task_ends_the_walk() {
		let walk = || {
			in_order(0..50, 1, 4, |i: i32, sums| {
				assert!(i != 17, "seventeen");
				sums[0] = 1.0;
			})
		};
		assert!(std::panic::catch_unwind(walk).is_err());
	}

	#[test]
	fn parts_and_blocks_cover_every_element_once_and_in_order() {
		let data = vec![0.0; 2 * CHUNK + BLOCK + 3];
		let like = [0, 1, CHUNK, data.len()].map(|n| &data[..n]);
		let mut seen: Vec<Vec<usize>> = vec![Vec::new(); like.len()];
		let parts = Parts::of(&like);
		assert_eq!(parts.len(), 5);
		for part in parts {
			assert!(part.len > 0 && part.len <= CHUNK);
			for block in part.blocks() {
				assert_eq!(block.of(&like).len(), block.len);
				seen[block.tensor].extend(block.range());
			}
		}
		for (seen, tensor) in seen.iter().zip(&like) {
			assert!(seen.iter().copied().eq(0..tensor.len()));
		}
	}
}
