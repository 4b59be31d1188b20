//! What the server makes of an aggregate: the step from base weights to next weights.

use crate::{
	rules::from_millionths,
	state::{Slot, Start},
	AggregationError,
};
use cairn_primitives::{aggregation::ServerOptimiser, rule::MILLION};

/// How many of `epsilon`'s units make one.
const TRILLION: u64 = 1_000_000_000_000;

/// What an optimiser carries from round to round.
pub(crate) fn slots(optimiser: &ServerOptimiser) -> &'static [Slot] {
	match optimiser {
		ServerOptimiser::Sgd { .. } => &[],
		ServerOptimiser::Nesterov { .. } => &[Slot::Momentum],
		ServerOptimiser::Adam { .. } => &[Slot::Mean, Slot::Root],
	}
}

/// The optimiser at a round after `start`.
pub(crate) fn prepare(optimiser: &ServerOptimiser, start: &Start) -> Result<Step, AggregationError> {
	optimiser.check()?;
	let rate = |rate: u32| from_millionths(rate.into());
	Ok(match *optimiser {
		ServerOptimiser::Sgd { rate: r } => Step::Sgd { rate: rate(r) },
		ServerOptimiser::Nesterov { rate: r, momentum } => {
			Step::Nesterov { rate: rate(r), momentum: from_millionths(momentum.into()) }
		},
		ServerOptimiser::Adam { rate: r, beta1, beta2, epsilon } => {
			let of = |beta: u32| {
				let kept = from_millionths(beta.into());
				// The difference of the integers is exact.
				let new = from_millionths(MILLION - u64::from(beta));
				Decay { kept, new, sum: 1.0 - power(kept, start.next_step()) }
			};
			let square = of(beta2);
			Step::Adam {
				rate: rate(r),
				mean: of(beta1),
				root_sum: square.sum.sqrt(),
				square,
				epsilon: epsilon as f64 / TRILLION as f64,
			}
		},
	})
}

/// `x` to the power of `n` by squaring, from the lowest bit of `n` up.
fn power(mut x: f64, mut n: u32) -> f64 {
	let mut result = 1.0;
	while n > 0 {
		if n % 2 == 1 {
			result *= x;
		}
		x *= x;
		n /= 2;
	}
	result
}

/// An exponential average.
pub(crate) struct Decay {
	/// *β*.
	kept: f64,
	/// 1 − *β*.
	new: f64,
	/// The sum of all weights so far, 1 − *β*ᵗ.
	sum: f64,
}

/// An optimiser with the numbers of one round.
pub(crate) enum Step {
	Sgd { rate: f64 },
	Nesterov { rate: f64, momentum: f64 },
	Adam { rate: f64, mean: Decay, square: Decay, root_sum: f64, epsilon: f64 },
}

impl Step {
	/// Makes next weights of a block: `base` and the aggregate `a` there, the optimiser's slots as they were (`None`:
	/// zeros) and as they become.
	pub(crate) fn apply(
		&self,
		base: &[f32],
		a: &[f64],
		old: &[Option<&[f32]>],
		next: &mut [f32],
		new: &mut [&mut [f32]],
	) {
		let was = |slot: usize, i: usize| old[slot].map_or(0.0, |old| f64::from(old[i]));
		match self {
			Self::Sgd { rate } => {
				for ((next, base), a) in next.iter_mut().zip(base).zip(a) {
					*next = (f64::from(*base) - rate * a) as f32;
				}
			},
			Self::Nesterov { rate, momentum } => {
				for (i, a) in a.iter().enumerate() {
					let m = (momentum * was(0, i) + a) as f32;
					new[0][i] = m;
					next[i] = (f64::from(base[i]) - rate * (a + momentum * f64::from(m))) as f32;
				}
			},
			Self::Adam { rate, mean, square, root_sum, epsilon } => {
				for (i, a) in a.iter().enumerate() {
					let m = (mean.kept * was(0, i) + mean.new * a) as f32;
					let root = was(1, i);
					// The root is kept rather than the square, which would leave the range of binary32 long before the
					// aggregate does.
					let r = (square.kept * (root * root) + square.new * (a * a)).sqrt() as f32;
					(new[0][i], new[1][i]) = (m, r);
					let step = rate * (f64::from(m) / mean.sum) / (f64::from(r) / root_sum + epsilon);
					next[i] = (f64::from(base[i]) - step) as f32;
				}
			},
		}
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn numbers_out_of_bounds_are_refused_by_name() {
		let start = Start::default();
		let refused = |optimiser: ServerOptimiser| match prepare(&optimiser, &start) {
			Err(AggregationError::Setting { setting, .. }) => setting,
			other => panic!("{:?} for {optimiser:?}", other.err()),
		};
		assert_eq!(refused(ServerOptimiser::Sgd { rate: 0 }), "optimiser.rate");
		assert_eq!(refused(ServerOptimiser::Nesterov { rate: 1, momentum: 1_000_000 }), "optimiser.momentum");
		let good = ServerOptimiser::Adam { rate: 1, beta1: 0, beta2: 999_999, epsilon: 1 };
		assert!(prepare(&good, &start).is_ok());
		for (beta1, beta2, epsilon, setting) in [
			(1_000_000, 0, 1, "optimiser.beta1"),
			(0, 1_000_000, 1, "optimiser.beta2"),
			(0, 0, 0, "optimiser.epsilon"),
		] {
			assert_eq!(refused(ServerOptimiser::Adam { rate: 1, beta1, beta2, epsilon }), setting);
		}
	}

	#[test]
	fn power_is_made_by_squaring() {
		assert_eq!(power(0.5, 0), 1.0);
		assert_eq!(power(0.5, 10), 1.0 / 1024.0);
		assert_eq!(power(0.9, 3), 0.9 * (0.9 * 0.9));
		assert_eq!(power(0.9, u32::MAX), 0.0);
	}
}
