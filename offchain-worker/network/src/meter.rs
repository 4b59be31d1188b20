//! How many bytes a peer may have: at which rate, and within a window of time.

use libp2p::PeerId;
use std::{
	collections::HashMap,
	time::{Duration, Instant},
};

/// The most peers that are remembered.
const PEERS: usize = 4096;

/// What a peer did not take in this time may be given to it at once later.
pub(crate) const BURST: Duration = Duration::from_secs(1);

/// What is done about a peer's next bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Allowance {
	/// They are given after this pause.
	After(Duration),
	/// They would have to wait for longer than the peer does.
	Busy,
	/// They are not given before the window ends.
	Spent,
}

#[derive(Clone, Copy, Debug)]
struct Meter {
	window_ends: Instant,
	/// Bytes in this window.
	given: u64,
	/// When what was given so far is paid for at the rate.
	free_at: Instant,
}

/// What each peer has been given. Pure bookkeeping: time is handed in. It outlives connections, so that nobody begins
/// anew by coming back.
#[derive(Debug)]
pub(crate) struct Meters {
	/// Bytes per second; `None` without a limit.
	rate: Option<u64>,
	/// The longest pause that a peer may be made to wait.
	patience: Duration,
	window: Duration,
	per_window: u64,
	meters: HashMap<PeerId, Meter>,
}

impl Meters {
	pub(crate) fn new(limits: &crate::Limits) -> Self {
		Self {
			rate: limits.serving_rate_per_peer,
			patience: limits.serving_patience(),
			window: limits.serving_window,
			per_window: limits.serving_per_window,
			meters: HashMap::new(),
		}
	}

	/// For all guests together. An identity costs nothing, so what each of them had says nothing.
	pub(crate) fn of_guests(limits: &crate::Limits) -> Self {
		let rate = limits.serving_rate_per_peer.map_or(limits.guest_rate, |rate| rate.min(limits.guest_rate));
		Self { rate: Some(rate), per_window: u64::MAX, ..Self::new(limits) }
	}

	/// Enters `bytes` for a peer if the window and its patience have room for them, and says how long to wait for the
	/// rate's sake. What is saved up in [`BURST`] may be given at once. What is not given costs nothing.
	pub(crate) fn take(&mut self, peer: PeerId, bytes: u64, now: Instant) -> Allowance {
		if self.meters.len() >= PEERS && !self.meters.contains_key(&peer) {
			self.meters.retain(|_, meter| now < meter.window_ends);
			if self.meters.len() >= PEERS {
				return Allowance::Spent;
			}
		}
		let cost = self.cost(bytes);
		let fresh = Meter { window_ends: now + self.window, given: 0, free_at: now };
		let meter = self.meters.entry(peer).or_insert(fresh);
		if now >= meter.window_ends {
			*meter = Meter { free_at: meter.free_at.max(now), ..fresh };
		}
		if meter.given.saturating_add(bytes) > self.per_window {
			return Allowance::Spent;
		}
		let free_at = meter.free_at.max(now) + cost;
		let pause = (free_at - now).saturating_sub(BURST);
		if pause > self.patience {
			return Allowance::Busy;
		}
		meter.given += bytes;
		meter.free_at = free_at;
		Allowance::After(pause)
	}

	/// Takes back what was entered and not given, and the time that it would have taken.
	pub(crate) fn give_back(&mut self, peer: &PeerId, bytes: u64, now: Instant) {
		let cost = self.cost(bytes);
		if let Some(meter) = self.meters.get_mut(peer) {
			meter.given = meter.given.saturating_sub(bytes);
			meter.free_at = meter.free_at.checked_sub(cost).unwrap_or(now).max(now);
		}
	}

	/// How long these bytes take at the rate.
	fn cost(&self, bytes: u64) -> Duration {
		self.rate.map_or(Duration::ZERO, |rate| Duration::from_secs_f64(bytes as f64 / rate as f64))
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use crate::Limits;

	fn meters(rate: Option<u64>) -> Meters {
		Meters::new(&Limits {
			serving_rate_per_peer: rate,
			serving_window: Duration::from_secs(60),
			serving_per_window: 1000,
			..Limits::default()
		})
	}

	#[test]
	fn window_is_spent_until_it_ends_and_each_peer_has_its_own() {
		let (mut meters, now) = (meters(None), Instant::now());
		let (a, b) = (PeerId::random(), PeerId::random());
		let at = |seconds| now + Duration::from_secs(seconds);
		let given = Allowance::After(Duration::ZERO);
		assert_eq!(meters.take(a, 600, now), given);
		assert_eq!(meters.take(a, 401, at(59)), Allowance::Spent);
		assert_eq!(meters.take(a, 400, at(59)), given);
		assert_eq!(meters.take(a, 1, at(59)), Allowance::Spent);
		assert_eq!(meters.take(b, 1000, at(59)), given);
		meters.give_back(&a, 100, at(59));
		assert_eq!(meters.take(a, 100, at(59)), given);
		assert_eq!(meters.take(a, 1000, at(60)), given);
	}

	#[test]
	fn rate_lets_a_second_pass_at_once_and_makes_the_rest_wait() {
		let (mut meters, now, peer) = (meters(Some(100)), Instant::now(), PeerId::random());
		let wait = |allowance| match allowance {
			Allowance::After(pause) => pause.as_secs_f64(),
			other => panic!("{other:?}"),
		};
		assert_eq!(wait(meters.take(peer, 100, now)), 0.0);
		assert!((wait(meters.take(peer, 50, now)) - 0.5).abs() < 1e-6);
		assert!((wait(meters.take(peer, 100, now)) - 1.5).abs() < 1e-6);
		// After ten seconds it is all paid for, and no more than a second's worth was saved up.
		let later = now + Duration::from_secs(10);
		assert_eq!(wait(meters.take(peer, 100, later)), 0.0);
		assert!((wait(meters.take(peer, 100, later)) - 1.0).abs() < 1e-6);
	}

	#[test]
	fn bytes_that_are_refused_or_given_back_cost_no_time() {
		let limits = Limits {
			serving_rate_per_peer: Some(100),
			chunk_timeout: Duration::from_secs(4),
			..Limits::default()
		};
		let (mut meters, now, peer) = (Meters::new(&limits), Instant::now(), PeerId::random());
		let at = |seconds| now + Duration::from_secs(seconds);
		let after = |seconds| Allowance::After(Duration::from_secs(seconds));
		assert_eq!(meters.take(peer, 300, now), after(2));
		// However often it asks.
		for _ in 0..1000 {
			assert_eq!(meters.take(peer, 100, now), Allowance::Busy);
		}
		assert_eq!(meters.take(peer, 100, at(1)), after(2));
		// The last 200 were not given after all; what is over does not save up for later.
		meters.give_back(&peer, 200, at(1));
		assert_eq!(meters.take(peer, 100, at(1)), after(1));
		meters.give_back(&peer, 100_000, at(1));
		assert_eq!(meters.take(peer, 100, at(1)), after(0));
		assert_eq!(meters.take(peer, 100, at(1)), after(1));
	}

	#[test]
	fn strangers_beyond_the_most_that_are_remembered_get_nothing_until_others_expire() {
		let (mut meters, now) = (meters(None), Instant::now());
		for _ in 0..PEERS {
			meters.take(PeerId::random(), 1, now);
		}
		assert_eq!(meters.take(PeerId::random(), 1, now), Allowance::Spent);
		let later = now + Duration::from_secs(60);
		assert_eq!(meters.take(PeerId::random(), 1, later), Allowance::After(Duration::ZERO));
		assert_eq!(meters.meters.len(), 1);
	}
}
