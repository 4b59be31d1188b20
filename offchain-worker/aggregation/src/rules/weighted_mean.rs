//! Mean weighted by samples: McMahan and others, "Communication-Efficient Learning of Deep Networks from
//! Decentralized Data", 2017 (FedAvg).
//!
//! Not robust: its breakdown point is 0, a single update can move it anywhere.

use super::CoordinateRule;

/// Σ wᵢ·xᵢ / Σ wᵢ, summed in the order of the updates.
pub(crate) struct WeightedMean {
	weights: Vec<f64>,
	total: f64,
}

impl WeightedMean {
	/// `None` when the weights sum to 0.
	pub(crate) fn new(samples: &[u32]) -> Option<Self> {
		// Summed as integers, because that is exact whatever the order.
		let total: u64 = samples.iter().map(|s| u64::from(*s)).sum();
		let weights = samples.iter().map(|s| f64::from(*s)).collect();
		(total > 0).then_some(Self { weights, total: total as f64 })
	}
}

impl CoordinateRule for WeightedMean {
	fn aggregate(&self, columns: &[&[f32]], out: &mut [f64]) {
		out.fill(0.0);
		// Update by update rather than coordinate by coordinate: the order per coordinate is the same, and the inner
		// loop is one that the compiler turns into vector instructions without changing any result.
		for (column, weight) in columns.iter().zip(&self.weights) {
			for (sum, x) in out.iter_mut().zip(*column) {
				*sum += weight * f64::from(*x);
			}
		}
		for sum in out {
			*sum /= self.total;
		}
	}
}
