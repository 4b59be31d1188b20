//! What a person should know.

use super::{seat, ChainView, Duties};
use crate::{chain::Device, journal::JournalState, units::hex};
use cairn_network::peer_id_of_network_key;
use cairn_primitives::{
	views::{Phase, ProgrammeState},
	DeviceState, ProgrammeId, RoundIndex,
};

/// Something a person should know, and can do something about.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Notice {
	/// The account has no device.
	NoDevice,
	/// The device may not take part.
	DeviceNotActive(String),
	/// The chain has another network key for the device than this worker's.
	OtherNetworkKey {
		/// The one that the chain has.
		chain: [u8; 32],
		/// This worker's.
		own: [u8; 32],
	},
	/// Aggregator by role, but not enlisted on chain.
	NotEnlisted,
	/// Drawn into a committee, but not running as aggregator.
	DrawnWithoutRole(ProgrammeId),
	/// A commitment cannot be revealed: the journal that had its salt is gone.
	CannotReveal(ProgrammeId, RoundIndex),
	/// Another update than the journal's is committed for this device.
	ForeignCommit(ProgrammeId, RoundIndex),
	/// The pot cannot pay for a round.
	Unfunded(ProgrammeId),
	/// All rounds are done.
	Completed(ProgrammeId),
	/// Governance stopped it for now.
	Paused(ProgrammeId),
	/// The charter does not allow its next round.
	Barred(ProgrammeId),
	/// Governance ended it.
	Closed(ProgrammeId),
	/// The charter asks for evidence that the device does not have.
	NotAdmitted(ProgrammeId),
	/// `--programme` names one that does not exist.
	UnknownProgramme(ProgrammeId),
	/// This machine's clock is at least so many minutes ahead of a finalised block's.
	ClockAhead(u32),
	/// This machine's clock is at least so many minutes behind a finalised block's.
	ClockBehind(u32),
}

impl std::fmt::Display for Notice {
	fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
		match self {
			Self::NoDevice => write!(
				f,
				"this account has no device on chain: run `cairn-worker register`; until then nothing is trained or aggregated"
			),
			Self::DeviceNotActive(state) => write!(
				f,
				"this worker's device is {state}, not active: run `cairn-worker register`. A device suspended after a failed \
				 re-check comes back when it is attested, which this worker sees to; one that governance suspended waits for \
				 governance; after retirement, register another"
			),
			Self::OtherNetworkKey { chain, own } => write!(
				f,
				"the chain has another network key for this device than this worker's: peer id {} there, {} here. Others look for \
				 the first and take this worker for a guest, so nothing is trained or aggregated: run `cairn-worker register`, \
				 which binds this worker's key. If another machine runs with this account, give it a device of its own",
				peer(chain),
				peer(own)
			),
			Self::NotEnlisted => write!(
				f,
				"this worker runs as aggregator but is not enlisted: run `cairn-worker register --aggregator --bond CRN`"
			),
			Self::DrawnWithoutRole(p) => write!(
				f,
				"this worker was drawn into a committee of programme {p} but does not run as aggregator: add `--role aggregator`, \
				 or delist it"
			),
			Self::CannotReveal(p, r) => write!(
				f,
				"programme {p} round {r}: the aggregate committed to cannot be revealed, because the journal that held its salt \
				 is gone; it only costs this round's share"
			),
			Self::ForeignCommit(p, r) => write!(
				f,
				"programme {p} round {r}: another update than this worker's is committed for its device: does the same key run \
				 on two machines? Give each its own device"
			),
			Self::Unfunded(p) => write!(f, "programme {p} waits: its pot cannot pay for a round until somebody funds it"),
			Self::Completed(p) => write!(f, "programme {p} is complete"),
			Self::Paused(p) => write!(f, "programme {p} is paused: nothing is sent until governance resumes it"),
			Self::Barred(p) => write!(
				f,
				"programme {p} waits: the charter does not allow its next round until the programme or the charter is amended"
			),
			Self::Closed(p) => write!(f, "programme {p} was closed by governance; what was earned can still be claimed"),
			Self::NotAdmitted(p) => write!(
				f,
				"programme {p} is closed to this device: the charter asks for evidence of its speed. This worker delivers it as \
				 soon as the chain takes a request; it takes none while it has no attesters, whom governance names"
			),
			Self::UnknownProgramme(p) => write!(f, "programme {p} does not exist on this chain: check --programme"),
			Self::ClockAhead(minutes) => write!(
				f,
				"the newest finalised block is at least {minutes} min old by this machine's clock: either the clock is fast \
				 (compare it with `date -u` elsewhere and switch time synchronisation on), or the node lags or the chain finalises \
				 late. Rounds go by blocks, so they are not affected; certificates of wss:// nodes and the times in logs are"
			),
			Self::ClockBehind(minutes) => write!(
				f,
				"the newest finalised block is at least {minutes} min in the future by this machine's clock: the clock is slow. \
				 Switch time synchronisation on. Rounds go by blocks, so they are not affected; certificates of wss:// nodes and \
				 the times in logs are"
			),
		}
	}
}

/// A network key as people know it.
fn peer(key: &[u8; 32]) -> String {
	peer_id_of_network_key(*key).map_or_else(|_| hex(key), |peer| peer.to_string())
}

impl Notice {
	/// What to say when the chain has another network key for this worker's device than `own`. A device that has none yet
	/// is not active, which is said anyway.
	pub fn of_network_key(device: &Device, own: [u8; 32]) -> Option<Self> {
		let chain = device.network_key.filter(|key| *key != own)?;
		Some(Self::OtherNetworkKey { chain, own })
	}
}

/// Minutes by which a finalised block may be old: finality takes a few blocks, and some more after a pause.
const OLD: u64 = 5;
/// Minutes by which it may be in the future: authors may be ahead by less than one.
const FUTURE: u64 = 1;

/// What to say of a clock that is ahead of the chain's by so many seconds. In powers of two, so that it is not said anew
/// at every block.
fn clock_notice(ahead: i64) -> Option<Notice> {
	let minutes = ahead.unsigned_abs() / 60;
	let coarse = |from: u64| {
		let steps = (minutes / from).checked_ilog2()?;
		Some(u32::try_from(from << steps).unwrap_or(u32::MAX))
	};
	if ahead > 0 {
		coarse(OLD).map(Notice::ClockAhead)
	} else {
		coarse(FUTURE).map(Notice::ClockBehind)
	}
}

/// What a person should know now.
pub fn notices(view: &ChainView, journal: &JournalState, duties: &Duties) -> Vec<Notice> {
	let mut notices = Vec::new();
	match &view.device {
		None => notices.push(Notice::NoDevice),
		Some(device) if device.state != DeviceState::Active => {
			notices.push(Notice::DeviceNotActive(format!("{:?}", device.state).to_lowercase()));
		},
		Some(device) => {
			notices.extend(Notice::of_network_key(device, view.network_key));
			if duties.aggregator && !view.enlisted {
				notices.push(Notice::NotEnlisted);
			}
		},
	}
	notices.extend(view.clock_ahead.and_then(clock_notice));
	for id in &duties.programmes {
		if view.programmes.iter().all(|p| p.info.id != *id) {
			notices.push(Notice::UnknownProgramme(*id));
		}
	}
	for programme in &view.programmes {
		let id = programme.info.id;
		match programme.info.state {
			ProgrammeState::Open => {},
			ProgrammeState::Unfunded => notices.push(Notice::Unfunded(id)),
			ProgrammeState::Completed => notices.push(Notice::Completed(id)),
			ProgrammeState::Paused => notices.push(Notice::Paused(id)),
			ProgrammeState::Barred => notices.push(Notice::Barred(id)),
			ProgrammeState::Closed => notices.push(Notice::Closed(id)),
		}
		let active = programme.info.state == ProgrammeState::Open && view.active();
		if active && duties.serves(id) && !programme.admits {
			notices.push(Notice::NotAdmitted(id));
		}
		let Some(round) = &programme.round else { continue };
		let commit = round.commits.iter().find(|c| c.producer == view.me);
		if let (Some(commit), Some(update)) = (commit, journal.update(id, round.index)) {
			if commit.artifact != update.artifact {
				notices.push(Notice::ForeignCommit(id, round.index));
			}
		}
		if let Some(member) = seat(round, &view.me) {
			if !duties.aggregator {
				notices.push(Notice::DrawnWithoutRole(id));
			} else if matches!(round.phase, Phase::Reveal | Phase::AuditReveal)
				&& member.committed
				&& member.revealed.is_none()
				&& journal.aggregate(id, round.index, round.attempt).is_none()
			{
				notices.push(Notice::CannotReveal(id, round.index));
			}
		}
	}
	notices
}

#[cfg(test)]
mod tests {
	use super::*;
	use crate::plan::tests::view;

	fn of_clock(ahead: i64) -> Vec<Notice> {
		let view = ChainView { clock_ahead: Some(ahead), ..view(None) };
		let all = notices(&view, &JournalState::default(), &Duties { trainer: true, ..Duties::default() });
		all.into_iter().filter(|n| matches!(n, Notice::ClockAhead(_) | Notice::ClockBehind(_))).collect()
	}

	#[test]
	fn clock_that_is_far_from_the_chains_is_said_in_steps_that_double() {
		for near in [0, 6, 299, -59] {
			assert_eq!(of_clock(near), [], "{near}");
		}
		assert_eq!(of_clock(300), [Notice::ClockAhead(5)]);
		assert_eq!(of_clock(599), [Notice::ClockAhead(5)]);
		assert_eq!(of_clock(601), [Notice::ClockAhead(10)]);
		assert_eq!(of_clock(-60), [Notice::ClockBehind(1)]);
		assert_eq!(of_clock(-3600), [Notice::ClockBehind(32)]);
		assert_eq!(of_clock(i64::MIN).len() + of_clock(i64::MAX).len(), 2);
	}

	#[test]
	fn notice_of_another_network_key_names_both_peers_and_the_remedy() {
		let key = |seed| cairn_network::network_key(&cairn_network::keypair_from_seed([seed; 32]));
		let keys = [1, 2].map(key);
		let said = Notice::OtherNetworkKey { chain: keys[0], own: keys[1] }.to_string();
		for part in [peer(&keys[0]), peer(&keys[1]), "cairn-worker register".into()] {
			assert!(said.contains(&part), "no {part} in {said}");
		}
		assert!(peer(&keys[0]).starts_with("12D3KooW"), "{said}");
	}

	#[test]
	fn notice_of_a_wrong_clock_says_which_way_and_what_to_do() {
		let ahead = Notice::ClockAhead(10).to_string();
		assert!(ahead.contains("10 min old") && ahead.contains("time synchronisation"), "{ahead}");
		let behind = Notice::ClockBehind(2).to_string();
		assert!(
			behind.contains("2 min in the future") && behind.contains("time synchronisation"),
			"{behind}"
		);
	}
}
