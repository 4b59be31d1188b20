//! Mean weighted by samples: McMahan and others, "Communication-Efficient Learning of Deep Networks from
//! Decentralized Data", 2017 (FedAvg).
//!
//! Not robust: its breakdown point is 0, a single update can move it anywhere.

use super::Combination;

/// Σ *wᵢ*·*xᵢ* / Σ *wᵢ*; `None` when the weights sum to 0.
pub(super) fn combination(samples: &[u64]) -> Option<Combination<'static>> {
	// Summed as integers, because that is exact whatever the order: up to 2³² rows of 2³² samples, or fewer rows with
	// the same samples in sum.
	let total: u64 = samples.iter().sum();
	let weights = samples.iter().map(|s| *s as f64).collect();
	(total > 0).then_some(Combination { centre: None, weights, divisor: total as f64 })
}
