//! Who may connect and what may be served.

use async_trait::async_trait;
use cairn_primitives::ArtifactHash;
use libp2p::PeerId;
use std::{
	collections::HashMap,
	time::{Duration, Instant},
};

/// What the chain says about a network key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Admission {
	/// It belongs to an active registered device.
	Admitted,
	/// It belongs to no device: an auditor, perhaps. It may fetch what may be served, within what
	/// [`Limits::max_guests`](crate::Limits::max_guests) and [`Limits::guest_rate`](crate::Limits::guest_rate) leave to all
	/// such peers together, and nothing else: it is asked for nothing, and no record of it is kept.
	Guest,
	/// It does not, and gets nothing.
	Refused {
		/// Why, for the log: "no device has this network key", "device 7 is retired".
		reason: String,
	},
	/// The chain could not be asked. Whoever was admitted before stays; nobody new is let in.
	Unknown {
		/// What went wrong, for the log.
		reason: String,
	},
}

/// Decides who may connect and what may be served. The worker answers from the chain.
#[async_trait]
pub trait AccessPolicy: Send + Sync + 'static {
	/// Whether the holder of this network key is a registered, active device. The answer is kept for
	/// [`Limits::admitted_for`](crate::Limits::admitted_for) or
	/// [`Limits::refused_for`](crate::Limits::refused_for); taking longer than
	/// [`Limits::policy_timeout`](crate::Limits::policy_timeout), or panicking, counts as [`Admission::Unknown`].
	async fn admits(&self, network_key: [u8; 32]) -> Admission;

	/// Whether the bytes of this artifact may be given out: not before the commit window of its round has closed.
	/// Called on a thread that may block.
	fn may_serve(&self, hash: &ArtifactHash) -> bool;
}

/// The last that is known of a peer.
#[derive(Clone, Debug)]
enum Verdict {
	/// Admitted, as a guest or not; asked for the last time then.
	Admitted { asked: Instant, guest: bool },
	/// Kept out until then.
	Refused { until: Instant, reason: String },
}

/// Where a peer stands at this moment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Standing {
	/// Nothing is known, or no longer.
	Unknown,
	/// Admitted. `stale` when the chain should be asked again.
	Admitted { stale: bool },
	/// May fetch, and nothing else. `stale` as above.
	Guest { stale: bool },
	/// Kept out, for this reason.
	Refused { reason: String },
	/// Kept out because it misbehaved.
	Banned { reason: String },
}

/// How long verdicts last.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GateTimes {
	pub(crate) admitted_for: Duration,
	pub(crate) refused_for: Duration,
	pub(crate) unknown_for: Duration,
	pub(crate) ban_for: Duration,
}

impl GateTimes {
	/// How long it is good that a peer is admitted, or is a guest: a guest may be a device that is being registered.
	fn good_for(&self, guest: bool) -> Duration {
		if guest {
			self.refused_for
		} else {
			self.admitted_for
		}
	}
}

impl From<&crate::Limits> for GateTimes {
	fn from(limits: &crate::Limits) -> Self {
		Self {
			admitted_for: limits.admitted_for,
			refused_for: limits.refused_for,
			unknown_for: limits.unknown_for,
			ban_for: limits.ban_for,
		}
	}
}

/// The verdicts on peers, and the bans. Pure bookkeeping: time is handed in.
#[derive(Debug)]
pub(crate) struct Gate {
	times: GateTimes,
	/// The most verdicts that are kept.
	capacity: usize,
	verdicts: HashMap<PeerId, Verdict>,
	/// Peers that are kept out whatever the chain says of their keys.
	kept_out: HashMap<PeerId, KeptOut>,
}

#[derive(Clone, Debug)]
struct KeptOut {
	until: Instant,
	reason: String,
	/// For what it did, not for what it is.
	banned: bool,
}

impl Gate {
	pub(crate) fn new(times: GateTimes, capacity: usize) -> Self {
		Self { times, capacity, verdicts: HashMap::new(), kept_out: HashMap::new() }
	}

	pub(crate) fn standing(&self, peer: &PeerId, now: Instant) -> Standing {
		if let Some(KeptOut { reason, banned, .. }) = self.kept_out.get(peer).filter(|k| now < k.until) {
			let reason = reason.clone();
			return if *banned { Standing::Banned { reason } } else { Standing::Refused { reason } };
		}
		match self.verdicts.get(peer) {
			None => Standing::Unknown,
			Some(Verdict::Admitted { asked, guest }) => {
				let stale = now.saturating_duration_since(*asked) >= self.times.good_for(*guest);
				if *guest {
					Standing::Guest { stale }
				} else {
					Standing::Admitted { stale }
				}
			},
			Some(Verdict::Refused { until, reason }) if now < *until => {
				Standing::Refused { reason: reason.clone() }
			},
			Some(Verdict::Refused { .. }) => Standing::Unknown,
		}
	}

	/// Enters an answer and says where the peer stands now.
	pub(crate) fn enter(&mut self, peer: PeerId, answer: Admission, now: Instant) -> Standing {
		match answer {
			Admission::Admitted => {
				self.verdicts.insert(peer, Verdict::Admitted { asked: now, guest: false });
			},
			Admission::Guest => {
				self.verdicts.insert(peer, Verdict::Admitted { asked: now, guest: true });
			},
			Admission::Refused { reason } => {
				self.verdicts.insert(peer, Verdict::Refused { until: now + self.times.refused_for, reason });
			},
			Admission::Unknown { reason } => match self.verdicts.get_mut(&peer) {
				Some(Verdict::Admitted { asked, guest }) => {
					// Ask again after `unknown_for`, not at once, and not only when the old answer ends.
					let wait = self.times.good_for(*guest).saturating_sub(self.times.unknown_for);
					*asked = now.checked_sub(wait).unwrap_or(now);
				},
				_ => {
					let reason = format!("the chain could not be asked: {reason}");
					self.verdicts
						.insert(peer, Verdict::Refused { until: now + self.times.unknown_for, reason });
				},
			},
		}
		self.standing(&peer, now)
	}

	/// Keeps a peer out for what it is, whatever the chain says of its key.
	pub(crate) fn refuse(&mut self, peer: PeerId, reason: String, now: Instant) {
		self.keep_out(peer, KeptOut { until: now + self.times.refused_for, reason, banned: false });
	}

	/// Keeps a peer out for what it did.
	pub(crate) fn ban(&mut self, peer: PeerId, reason: String, now: Instant) {
		self.keep_out(peer, KeptOut { until: now + self.times.ban_for, reason, banned: true });
	}

	fn keep_out(&mut self, peer: PeerId, new: KeptOut) {
		let old = self.kept_out.get(&peer);
		if old.is_none_or(|old| old.until < new.until || (new.banned && !old.banned)) {
			self.kept_out.insert(peer, new);
		}
	}

	/// Forgets what has run out and returns the peers that need no longer be kept out. Of admitted peers that are
	/// not `connected`, the ones not heard of for longest go when there are more than the capacity.
	pub(crate) fn sweep(&mut self, now: Instant, connected: impl Fn(&PeerId) -> bool) -> Vec<PeerId> {
		let mut released = Vec::new();
		self.kept_out.retain(|peer, kept| {
			let keep = now < kept.until;
			if !keep {
				released.push(*peer);
			}
			keep
		});
		self.verdicts.retain(|peer, verdict| match verdict {
			Verdict::Refused { until, .. } if now >= *until => {
				released.push(*peer);
				false
			},
			_ => true,
		});
		if self.verdicts.len() > self.capacity {
			let mut idle: Vec<(Instant, PeerId)> = self
				.verdicts
				.iter()
				.filter(|(peer, _)| !connected(peer))
				.map(|(peer, verdict)| match verdict {
					Verdict::Admitted { asked, .. } => (*asked, *peer),
					Verdict::Refused { until, .. } => (*until, *peer),
				})
				.collect();
			idle.sort_unstable();
			for (_, peer) in idle.into_iter().take(self.verdicts.len() - self.capacity) {
				if let Some(Verdict::Refused { .. }) = self.verdicts.remove(&peer) {
					released.push(peer);
				}
			}
		}
		released.retain(|peer| {
			!matches!(self.standing(peer, now), Standing::Refused { .. } | Standing::Banned { .. })
		});
		released
	}

	/// The peers that are banned.
	pub(crate) fn banned(&self) -> Vec<PeerId> {
		self.kept_out.iter().filter(|(_, kept)| kept.banned).map(|(peer, _)| *peer).collect()
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	fn gate() -> Gate {
		Gate::new(
			GateTimes {
				admitted_for: Duration::from_secs(60),
				refused_for: Duration::from_secs(12),
				unknown_for: Duration::from_secs(3),
				ban_for: Duration::from_secs(600),
			},
			2,
		)
	}

	fn unknown() -> Admission {
		Admission::Unknown { reason: "no node answers".into() }
	}

	fn refused() -> Admission {
		Admission::Refused { reason: "no device has this network key".into() }
	}

	fn after(start: Instant, seconds: u64) -> Instant {
		start + Duration::from_secs(seconds)
	}

	#[test]
	fn verdicts_run_out_and_are_asked_again() {
		let (mut gate, peer, now) = (gate(), PeerId::random(), Instant::now());
		assert_eq!(gate.standing(&peer, now), Standing::Unknown);
		assert_eq!(gate.enter(peer, Admission::Admitted, now), Standing::Admitted { stale: false });
		assert_eq!(gate.standing(&peer, after(now, 59)), Standing::Admitted { stale: false });
		assert_eq!(gate.standing(&peer, after(now, 60)), Standing::Admitted { stale: true });
		assert!(matches!(gate.enter(peer, refused(), after(now, 60)), Standing::Refused { .. }));
		assert!(matches!(gate.standing(&peer, after(now, 71)), Standing::Refused { .. }));
		assert_eq!(gate.standing(&peer, after(now, 72)), Standing::Unknown);
	}

	#[test]
	fn an_unreachable_chain_keeps_who_was_admitted_and_lets_nobody_in() {
		let (mut gate, friend, stranger, now) =
			(gate(), PeerId::random(), PeerId::random(), Instant::now() + Duration::from_secs(3600));
		gate.enter(friend, Admission::Admitted, now);
		let later = after(now, 100);
		assert!(matches!(gate.enter(friend, unknown(), later), Standing::Admitted { .. }));
		assert_eq!(gate.standing(&friend, after(later, 2)), Standing::Admitted { stale: false });
		assert_eq!(gate.standing(&friend, after(later, 3)), Standing::Admitted { stale: true });
		assert!(matches!(gate.standing(&friend, after(later, 100_000)), Standing::Admitted { .. }));

		let Standing::Refused { reason } = gate.enter(stranger, unknown(), later) else {
			panic!("a stranger was let in")
		};
		assert!(reason.contains("no node answers"), "{reason}");
		// It is asked about again soon.
		assert_eq!(gate.standing(&stranger, after(later, 3)), Standing::Unknown);
	}

	#[test]
	fn a_guest_is_asked_about_again_and_may_have_become_a_device() {
		let (mut gate, peer, now) = (gate(), PeerId::random(), Instant::now());
		assert_eq!(gate.enter(peer, Admission::Guest, now), Standing::Guest { stale: false });
		let later = after(now, 12);
		assert_eq!(gate.standing(&peer, later), Standing::Guest { stale: true });
		// As long as nobody can be asked, it stays what it is.
		assert_eq!(gate.enter(peer, unknown(), later), Standing::Guest { stale: false });
		assert_eq!(gate.standing(&peer, after(later, 3)), Standing::Guest { stale: true });
		assert_eq!(gate.enter(peer, Admission::Admitted, later), Standing::Admitted { stale: false });
	}

	#[test]
	fn a_ban_outlasts_an_admission_and_ends() {
		let (mut gate, peer, now) = (gate(), PeerId::random(), Instant::now());
		gate.ban(peer, "wrong bytes".into(), now);
		assert!(matches!(gate.enter(peer, Admission::Admitted, now), Standing::Banned { .. }));
		assert!(gate.sweep(after(now, 599), |_| false).is_empty());
		assert_eq!(gate.sweep(after(now, 600), |_| false), vec![peer]);
		assert!(matches!(gate.standing(&peer, after(now, 600)), Standing::Admitted { .. }));
	}

	#[test]
	fn a_peer_of_another_chain_is_kept_out_whatever_this_chain_says_of_its_key() {
		let (mut gate, peer, now) = (gate(), PeerId::random(), Instant::now());
		gate.refuse(peer, "another chain".into(), now);
		assert!(matches!(gate.enter(peer, Admission::Admitted, now), Standing::Refused { .. }));
		assert!(gate.banned().is_empty());
		assert_eq!(gate.sweep(after(now, 12), |_| false), [peer]);
	}

	#[test]
	fn a_ban_is_not_lifted_by_the_end_of_a_refusal() {
		let (mut gate, peer, now) = (gate(), PeerId::random(), Instant::now());
		gate.enter(peer, refused(), now);
		gate.ban(peer, "wrong bytes".into(), now);
		assert!(gate.sweep(after(now, 12), |_| false).is_empty());
		assert!(matches!(gate.standing(&peer, after(now, 12)), Standing::Banned { .. }));
	}

	#[test]
	fn verdicts_over_the_capacity_are_forgotten_but_not_of_connected_peers() {
		let (mut gate, now) = (gate(), Instant::now());
		let peers: Vec<PeerId> = (0..5).map(|_| PeerId::random()).collect();
		for (i, peer) in peers.iter().enumerate() {
			gate.enter(*peer, Admission::Admitted, after(now, i as u64));
		}
		assert!(gate.sweep(after(now, 5), |peer| *peer == peers[0]).is_empty());
		let kept: Vec<bool> = peers
			.iter()
			.map(|peer| matches!(gate.standing(peer, after(now, 5)), Standing::Admitted { .. }))
			.collect();
		assert_eq!(kept, [true, false, false, false, true]);
	}
}
