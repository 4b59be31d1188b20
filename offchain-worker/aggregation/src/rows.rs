//! The rows that a rule aggregates: the updates themselves, or what pre-aggregation makes of them.
//!
//! Rows that are made are never held as a whole, but made again, block by block, whenever a walk comes by.

use crate::{
	arithmetic::vectorised,
	engine::{Part, BLOCK},
};

/// How rows are made of the rows before.
pub(crate) enum Stage {
	/// Each times a factor of its own.
	Scale(Vec<f64>),
	/// Each the mean of some of them, given in ascending order.
	Groups(Vec<Vec<usize>>),
}

/// Updates, and what is done to them before the rule. There is at least one update.
pub(crate) struct Rows<'a> {
	updates: Vec<Vec<&'a [f32]>>,
	stages: Vec<Stage>,
}

/// Where blocks of made rows stand: 4 bytes per row and coordinate, twice.
#[derive(Default)]
pub(crate) struct Buffers {
	current: Vec<f32>,
	next: Vec<f32>,
}

impl<'a> Rows<'a> {
	/// The updates, of which there is at least one, as they are: each one's tensors. All have the same shapes.
	pub(crate) fn new(updates: Vec<Vec<&'a [f32]>>) -> Self {
		debug_assert!(!updates.is_empty());
		Self { updates, stages: Vec::new() }
	}

	/// Adds a stage after those that are there.
	pub(crate) fn push(&mut self, stage: Stage) {
		self.stages.push(stage);
	}

	/// How many rows there are after all stages.
	pub(crate) fn count(&self) -> usize {
		let groups = |stage: &Stage| match stage {
			Stage::Scale(_) => None,
			Stage::Groups(groups) => Some(groups.len()),
		};
		self.stages.iter().rev().find_map(groups).unwrap_or(self.updates.len())
	}

	/// Tensors with the shapes of all rows.
	pub(crate) fn like(&self) -> &[&'a [f32]] {
		&self.updates[0]
	}

	/// The tensors of each update, before all stages.
	pub(crate) fn updates(&self) -> &[Vec<&'a [f32]>] {
		&self.updates
	}

	/// Hands out a block of all rows.
	pub(crate) fn columns<T>(&self, block: Part, buffers: &mut Buffers, f: impl FnOnce(&[&[f32]]) -> T) -> T {
		let mut columns: Vec<&[f32]> = self.updates.iter().map(|u| block.of(u)).collect();
		let Some((first, others)) = self.stages.split_first() else { return f(&columns) };
		first.apply(&columns, block.len, &mut buffers.current);
		for stage in others {
			let columns: Vec<&[f32]> = buffers.current.chunks_exact(block.len).collect();
			stage.apply(&columns, block.len, &mut buffers.next);
			std::mem::swap(&mut buffers.current, &mut buffers.next);
		}
		columns.clear();
		columns.extend(buffers.current.chunks_exact(block.len));
		f(&columns)
	}
}

impl Stage {
	/// Writes the rows that it makes of `columns`, one after the other.
	fn apply(&self, columns: &[&[f32]], len: usize, out: &mut Vec<f32>) {
		let stage = self;
		vectorised!(apply(stage: &Stage, columns: &[&[f32]], len: usize, out: &mut Vec<f32>));
	}
}

#[inline(always)]
fn apply(stage: &Stage, columns: &[&[f32]], len: usize, out: &mut Vec<f32>) {
	out.clear();
	match stage {
		Stage::Scale(factors) => {
			for (column, factor) in columns.iter().zip(factors) {
				out.extend(column.iter().map(|x| to_f32(f64::from(*x) * factor)));
			}
		},
		Stage::Groups(groups) => {
			let mut sums = [0.0f64; BLOCK];
			for group in groups {
				let sums = &mut sums[..len];
				sums.fill(0.0);
				for member in group {
					for (sum, x) in sums.iter_mut().zip(columns[*member]) {
						*sum += f64::from(*x);
					}
				}
				let count = group.len() as f64;
				out.extend(sums.iter().map(|sum| to_f32(*sum / count)));
			}
		},
	}
}

/// Rounds to binary32. What is beyond its range becomes its largest number of that sign: an update that declares few
/// steps and contains huge numbers must not stop everybody else's round by becoming infinite.
#[inline(always)]
fn to_f32(x: f64) -> f32 {
	x.clamp(f64::from(f32::MIN), f64::from(f32::MAX)) as f32
}

#[cfg(test)]
mod tests {
	use super::*;
	use crate::arithmetic::some_rows;

	fn made(rows: &Rows) -> Vec<Vec<f32>> {
		let block = Part { tensor: 0, start: 0, len: rows.like()[0].len() };
		rows.columns(block, &mut Buffers::default(), |columns| columns.iter().map(|c| c.to_vec()).collect())
	}

	#[test]
	fn stages_are_applied_one_after_the_other() {
		let updates = [[1.0f32, -8.0], [3.0, 4.0], [5.0, 0.0]];
		let mut rows = Rows::new(updates.iter().map(|u| vec![&u[..]]).collect());
		assert_eq!((rows.count(), made(&rows)), (3, vec![vec![1.0, -8.0], vec![3.0, 4.0], vec![5.0, 0.0]]));
		rows.push(Stage::Scale(vec![2.0, 1.0, 0.5]));
		assert_eq!((rows.count(), made(&rows)), (3, vec![vec![2.0, -16.0], vec![3.0, 4.0], vec![2.5, 0.0]]));
		rows.push(Stage::Groups(vec![vec![0, 1], vec![2]]));
		assert_eq!((rows.count(), made(&rows)), (2, vec![vec![2.5, -6.0], vec![2.5, 0.0]]));
		rows.push(Stage::Groups(vec![vec![0, 1]]));
		assert_eq!((rows.count(), made(&rows)), (1, vec![vec![2.5, -3.0]]));
	}

	#[test]
	fn stages_with_this_processors_vectors_have_the_bits_of_the_portable_form() {
		let bits = |values: &[f32]| values.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
		let scale = Stage::Scale(vec![0.3, 1.7, 1e38]);
		for stage in [scale, Stage::Groups(vec![vec![0, 2], vec![1], vec![0, 1, 2]])] {
			for len in [1, 7, 8, 100, BLOCK] {
				let rows = some_rows(3, len);
				let columns: Vec<&[f32]> = rows.iter().map(|row| &row[..]).collect();
				let [mut portable, mut found] = [Vec::new(), Vec::new()];
				apply(&stage, &columns, len, &mut portable);
				stage.apply(&columns, len, &mut found);
				assert_eq!(bits(&found), bits(&portable), "{len}");
			}
		}
	}

	#[test]
	fn scaled_row_stays_finite() {
		let update = [f32::MAX, f32::MIN, -0.0];
		let mut rows = Rows::new(vec![vec![&update]]);
		rows.push(Stage::Scale(vec![1000.0]));
		let row = made(&rows).remove(0);
		assert_eq!(
			row.iter().map(|x| x.to_bits()).collect::<Vec<_>>(),
			[f32::MAX.to_bits(), f32::MIN.to_bits(), (-0.0f32).to_bits()]
		);
	}
}
