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
use cairn_artifacts::Tensor;
use std::{
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
	pub(crate) fn of<'a>(&self, tensors: &'a [Tensor]) -> &'a [f32] {
		&tensors[self.tensor].data[self.range()]
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
pub(crate) fn parts(like: &[Tensor]) -> impl Iterator<Item = Part> + '_ {
	like.iter().enumerate().flat_map(|(tensor, t)| {
		let elements = t.data.len();
		(0..elements).step_by(CHUNK).map(move |start| Part {
			tensor,
			start,
			len: CHUNK.min(elements - start),
		})
	})
}

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
	tasks: Vec<T>,
	count: usize,
	threads: usize,
	work: impl Fn(T, &mut [f64]) + Sync,
) -> Result<Vec<f64>, AggregationError> {
	arithmetic::check()?;
	let threads = threads.clamp(1, tasks.len().max(1));
	let queue = Mutex::new(tasks.into_iter().enumerate());
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

/// What a walk over all coordinates leaves.
pub(crate) struct Walked {
	/// What `finish` made of each coordinate, as often as was asked.
	pub(crate) outputs: Vec<Vec<Tensor>>,
	/// ⟨*a*, *a*⟩ of the aggregate *a* rounded to 32 bits, then ⟨*u*, *u*⟩ and ⟨*u*, *a*⟩ of each update *u* asked for.
	pub(crate) products: Vec<f64>,
}

/// A part of the outputs.
struct Task<'a> {
	part: Part,
	outputs: Vec<&'a mut [f32]>,
}

/// Applies `rule` to all coordinates and lets `finish` make one element of each of `names.len()` outputs of them: it
/// gets a block, what the rule gave there, and where to write to. An output's tensors are called as the updates', with
/// its name before them. `judged` are the updates whose products with the aggregate are wanted.
pub(crate) fn run(
	rows: &Rows,
	rule: &dyn CoordinateRule,
	judged: &[&[Tensor]],
	names: &[&str],
	threads: usize,
	finish: impl Fn(Part, &[f64], &mut [&mut [f32]]) + Sync,
) -> Result<Walked, AggregationError> {
	let like = rows.like();
	let empty = |name: &str| -> Vec<Tensor> {
		let one = |t: &Tensor| Tensor {
			name: format!("{name}{}", t.name),
			shape: t.shape.clone(),
			data: vec![0.0; t.data.len()],
		};
		like.iter().map(one).collect()
	};
	let mut outputs: Vec<Vec<Tensor>> = names.iter().map(|name| empty(name)).collect();
	let mut tasks: Vec<Task> = parts(like).map(|part| Task { part, outputs: Vec::new() }).collect();
	for output in &mut outputs {
		let pieces = output.iter_mut().flat_map(|t| t.data.chunks_mut(CHUNK));
		for (task, piece) in tasks.iter_mut().zip(pieces) {
			task.outputs.push(piece);
		}
	}
	// Where the first output is that no `f32` can hold: tensor, index, output.
	let first: Mutex<Option<(usize, usize, usize)>> = Mutex::new(None);
	let count = if judged.is_empty() { 0 } else { 1 + 2 * judged.len() };
	let products = in_order(tasks, count, threads, |task, sums| {
		let Task { part, mut outputs } = task;
		let mut buffers = Buffers::default();
		let mut lanes = vec![Lanes::default(); count];
		let mut values = [0.0f64; BLOCK];
		let mut rounded = [0.0f32; BLOCK];
		for block in part.blocks() {
			let values = &mut values[..block.len];
			rows.columns(block, &mut buffers, |columns| rule.aggregate(block, columns, values));
			let at = block.start - part.start;
			let mut pieces: Vec<&mut [f32]> =
				outputs.iter_mut().map(|o| &mut o[at..at + block.len]).collect();
			finish(block, values, &mut pieces);
			for (output, piece) in pieces.iter().enumerate() {
				if let Some(i) = piece.iter().position(|x| !x.is_finite()) {
					let place = (block.tensor, block.start + i, output);
					let mut first = lock(&first);
					*first = Some(first.map_or(place, |other| other.min(place)));
				}
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
		None => Ok(Walked { outputs, products }),
		Some((tensor, index, output)) => {
			let Tensor { name, data, .. } = &outputs[output][tensor];
			Err(AggregationError::Overflow { tensor: name.clone(), index, value: data[index] })
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
			let sums = in_order(terms.clone(), 1, threads, |x, sums| sums[0] = x).expect("adds");
			assert_eq!(sums[0].to_bits(), expected.to_bits(), "{threads} threads");
		}
		assert_eq!(in_order(Vec::<f64>::new(), 2, 3, |_, _| {}), Ok(vec![0.0, 0.0]));
	}

	#[test]
	fn panic_in_one_task_ends_the_walk() {
		let walk = || {
			in_order((0..50).collect(), 1, 4, |i: i32, sums| {
				assert!(i != 17, "seventeen");
				sums[0] = 1.0;
			})
		};
		assert!(std::panic::catch_unwind(walk).is_err());
	}

	#[test]
	fn parts_and_blocks_cover_every_element_once_and_in_order() {
		let tensor = |n: usize| Tensor { name: "t".into(), shape: vec![n], data: vec![0.0; n] };
		let like = [tensor(0), tensor(1), tensor(CHUNK), tensor(2 * CHUNK + BLOCK + 3)];
		let mut seen: Vec<Vec<usize>> = vec![Vec::new(); like.len()];
		for part in parts(&like) {
			assert!(part.len > 0 && part.len <= CHUNK);
			for block in part.blocks() {
				assert_eq!(block.of(&like).len(), block.len);
				seen[block.tensor].extend(block.range());
			}
		}
		for (seen, tensor) in seen.iter().zip(&like) {
			assert!(seen.iter().copied().eq(0..tensor.data.len()));
		}
	}
}
