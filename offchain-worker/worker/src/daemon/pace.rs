//! How fast this machine trains, and what that leaves time for.

use cairn_primitives::ArtifactHash;
use std::{
	collections::HashMap,
	sync::{Mutex, PoisonError},
	time::Duration,
};

/// The share of a new measurement in the speed that is gone by: what else a machine does changes from round to round.
const WEIGHT: f64 = 0.5;
/// The part of the time until a deadline that is planned with: the last tenth is for what was not foreseen.
const USABLE: f64 = 0.9;

/// Seconds that one local step takes, by training configuration, as measured by this process.
#[derive(Debug, Default)]
pub struct Pace(Mutex<HashMap<ArtifactHash, f64>>);

impl Pace {
	/// Takes in that so many local steps took so long.
	pub fn record(&self, config: ArtifactHash, steps: u32, took: Duration) {
		if steps == 0 {
			return;
		}
		let now = took.as_secs_f64() / f64::from(steps);
		let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
		all.entry(config).and_modify(|seconds| *seconds += WEIGHT * (now - *seconds)).or_insert(now);
	}

	/// The local steps that fit into `left`, at least one; `None` while nothing is measured.
	pub fn fits(&self, config: &ArtifactHash, left: Duration) -> Option<u32> {
		let seconds = *self.0.lock().unwrap_or_else(PoisonError::into_inner).get(config)?;
		// A cast of what is too large, or of a division by zero, saturates.
		Some(((left.as_secs_f64() * USABLE / seconds) as u32).max(1))
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use cairn_primitives::H256;

	#[test]
	fn steps_that_fit_follow_the_measured_speed_of_their_configuration() {
		let (config, other) = (H256([1; 32]), H256([2; 32]));
		let pace = Pace::default();
		let left = Duration::from_secs(100);
		assert_eq!(pace.fits(&config, left), None);
		pace.record(config, 10, Duration::from_secs(10));
		assert_eq!((pace.fits(&config, left), pace.fits(&other, left)), (Some(90), None));
		// Slower now: half way from one second a step to three.
		pace.record(config, 10, Duration::from_secs(30));
		assert_eq!(pace.fits(&config, left), Some(45));
		assert_eq!(pace.fits(&config, Duration::ZERO), Some(1));
		pace.record(config, 0, Duration::from_secs(1));
		assert_eq!(pace.fits(&config, left), Some(45));
	}
}
