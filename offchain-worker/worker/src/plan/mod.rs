//! What to do next: a pure function from the finalised chain and the journal to actions.
//!
//! It is asked anew at every block. It knows nothing of what is under way: the [`daemon`](crate::daemon) runs each
//! action once, by its [key](Action::key), and whatever fails is planned again from the state that the chain has then.

mod notices;
#[cfg(test)]
pub(crate) mod tests;

pub use notices::{notices, Notice};

use crate::{
	chain::{Device, Programme, Round},
	journal::JournalState,
};
use cairn_primitives::{
	round::quality_digest,
	views::{MemberInfo, Phase, ProgrammeState},
	ArtifactHash, DeviceState, ProgrammeId, RoundIndex, H256,
};
use serde::{Deserialize, Serialize};
use subxt::utils::AccountId32;

/// What a worker does for the network.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Role {
	/// Trains on its own data and commits updates.
	Trainer,
	/// Checks, votes and aggregates when drawn into a committee. Needs a bond.
	Aggregator,
}

/// Roles, and which programmes they are for.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Duties {
	/// Trains.
	pub trainer: bool,
	/// Aggregates.
	pub aggregator: bool,
	/// Trains for these programmes only; empty for all. Aggregators are drawn by the chain and serve all.
	pub programmes: Vec<ProgrammeId>,
}

impl Duties {
	fn trains(&self, programme: ProgrammeId) -> bool {
		self.trainer && (self.programmes.is_empty() || self.programmes.contains(&programme))
	}

	/// Whether this worker may have a part in a programme: as its trainer, or as whatever the chain draws it for.
	fn serves(&self, programme: ProgrammeId) -> bool {
		self.aggregator || self.trains(programme)
	}
}

/// A programme and its running round.
#[derive(Clone, PartialEq, Debug)]
pub struct ProgrammeView {
	/// The programme.
	pub info: Programme,
	/// The running round, if one runs.
	pub round: Option<Round>,
	/// Whether it waits, and its next round could open now.
	pub can_open: bool,
	/// Whether the charter lets this worker's device take part in it. True where nothing depends on it.
	pub admits: bool,
}

/// The chain at a finalised block, as far as this worker is concerned.
#[derive(Clone, PartialEq, Debug)]
pub struct ChainView {
	/// Number of the finalised block.
	pub finalised: u32,
	/// Number of the best block.
	pub best: u32,
	/// This worker's account.
	pub me: AccountId32,
	/// This worker's network key: its libp2p identity.
	pub network_key: [u8; 32],
	/// This worker's device.
	pub device: Option<Device>,
	/// Whether this worker stands ready for committees.
	pub enlisted: bool,
	/// Whether this worker's device can prove its speed now: it may ask for attestation, or has asked. Only looked up
	/// while it needs to.
	pub can_attest: bool,
	/// By how many seconds this machine's clock is ahead of the finalised block's, when the chain says that.
	pub clock_ahead: Option<i64>,
	/// The programmes.
	pub programmes: Vec<ProgrammeView>,
}

impl ChainView {
	/// Whether this worker's device may take part in rounds.
	pub(crate) fn active(&self) -> bool {
		self.device.as_ref().is_some_and(|d| d.state == DeviceState::Active) && self.reachable()
	}

	/// Whether others find this worker by what the chain has of its device. What it did otherwise would cost fees, and
	/// be left out by all who do not find it.
	fn reachable(&self) -> bool {
		self.device.as_ref().is_none_or(|device| Notice::of_network_key(device, self.network_key).is_none())
	}
}

/// What this process knows of artifacts.
pub trait Artifacts {
	/// Whether the bytes are in the store.
	fn held(&self, artifact: &ArtifactHash) -> bool;
	/// Whether this process has told the network that it holds them.
	fn announced(&self, artifact: &ArtifactHash) -> bool;
}

/// Which round, of which programme, with which committee.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct At {
	/// The programme.
	pub programme: ProgrammeId,
	/// The round.
	pub round: RoundIndex,
	/// The committee's number.
	pub attempt: u32,
}

/// Something to do.
#[derive(Clone, PartialEq, Debug)]
pub enum Action {
	/// Train and put the update into store and journal.
	Train {
		/// The round.
		at: At,
	},
	/// Commit the update that is in the journal.
	CommitUpdate {
		/// The round.
		at: At,
		/// The update.
		artifact: ArtifactHash,
	},
	/// Fetch and check the committed updates, and vote.
	Vote {
		/// The round.
		at: At,
	},
	/// Compute the next weights and put them into store and journal.
	Aggregate {
		/// The round.
		at: At,
	},
	/// Commit to the aggregate that is in the journal.
	CommitAggregate {
		/// The round.
		at: At,
	},
	/// Reveal it.
	Reveal {
		/// The round.
		at: At,
	},
	/// Dispute the result that the committee agreed on: this worker computed another.
	Challenge {
		/// The round.
		at: At,
		/// What it computed.
		claimed: ArtifactHash,
	},
	/// Move a round on whose deadline has passed.
	Advance {
		/// The round.
		at: At,
		/// The phase that is over.
		phase: Phase,
	},
	/// Open the next round of a programme that had to wait, for funds or for the charter, and need not any more.
	Resume {
		/// The programme.
		programme: ProgrammeId,
	},
	/// Prove anew how fast this machine is.
	Attest,
	/// Fetch weights or a configuration that will be needed.
	Fetch {
		/// Of which programme.
		programme: ProgrammeId,
		/// What.
		artifact: ArtifactHash,
	},
	/// Tell the network that this worker holds an artifact.
	Announce {
		/// What.
		artifact: ArtifactHash,
	},
	/// Say how a round ended and drop it from the journal.
	Settle {
		/// The programme.
		programme: ProgrammeId,
		/// The round.
		round: RoundIndex,
	},
}

impl Action {
	/// Two actions with the same key are the same thing to do. Also the key of the transaction in the journal.
	pub fn key(&self) -> String {
		let place = |what: &str, at: &At| format!("{what}:{}:{}:{}", at.programme, at.round, at.attempt);
		match self {
			// One update per round, whichever committee judges it.
			Self::Train { at } => format!("train:{}:{}", at.programme, at.round),
			Self::CommitUpdate { at, .. } => format!("commit-update:{}:{}", at.programme, at.round),
			Self::Vote { at } => place("vote", at),
			Self::Aggregate { at } => place("aggregate", at),
			Self::CommitAggregate { at } => place("commit-aggregate", at),
			Self::Reveal { at } => place("reveal", at),
			Self::Challenge { at, .. } => place("challenge", at),
			Self::Advance { at, phase } => place("advance", at) + &format!(":{phase:?}"),
			Self::Resume { programme } => format!("resume:{programme}"),
			Self::Attest => "attest".into(),
			Self::Fetch { artifact, .. } => format!("fetch:{artifact:?}"),
			Self::Announce { artifact } => format!("announce:{artifact:?}"),
			Self::Settle { programme, round } => format!("settle:{programme}:{round}"),
		}
	}
}

/// Blocks by which this account holds back before it pays for moving a round on, so that not everybody does: 0 to
/// `spread - 1`, the same for the same account, round and phase.
fn hold_back(me: &AccountId32, at: &At, phase: Phase, spread: u32) -> u32 {
	let mut hasher = blake3::Hasher::new();
	hasher.update(&me.0);
	for n in [at.programme, at.round, at.attempt, phase as u32] {
		hasher.update(&n.to_le_bytes());
	}
	u32::from(hasher.finalize().as_bytes()[0]) % spread.max(1)
}

/// How many blocks the first to pay for `advance` and the last are apart.
const ADVANCE_SPREAD: u32 = 4;

/// What to do now, most urgent first.
pub fn plan(
	view: &ChainView,
	journal: &JournalState,
	duties: &Duties,
	artifacts: &dyn Artifacts,
) -> Vec<Action> {
	let mut actions = Vec::new();
	for programme in &view.programmes {
		// The chain would refuse whatever belongs to a round that stands still.
		let stands_still = programme.info.state == ProgrammeState::Paused;
		if let Some(round) = programme.round.as_ref().filter(|_| !stands_still) {
			plan_round(view, programme, round, journal, duties, artifacts, &mut actions);
		}
		plan_resume(view, programme, &mut actions);
		plan_artifacts(view, programme, journal, duties, artifacts, &mut actions);
	}
	if needs_attestation(view, duties) && view.can_attest {
		actions.push(Action::Attest);
	}
	plan_settled(view, journal, &mut actions);
	actions
}

/// Whether this worker's device should prove its speed: the charter asks for it, a re-check was ordered or failed, or a
/// tenth of the time that its evidence is good for is left.
pub fn needs_attestation(view: &ChainView, duties: &Duties) -> bool {
	let Some(device) = &view.device else { return false };
	match device.state {
		DeviceState::Active => {},
		// After a failed re-check this is the way back. The chain lets nobody ask whom governance suspended.
		DeviceState::Suspended => return true,
		_ => return false,
	}
	let ages = device.evidence.as_ref().is_some_and(|e| {
		let reserve = e.expires.saturating_sub(e.at) / 10;
		e.valid && view.finalised >= e.expires.saturating_sub(reserve)
	});
	let shut_out = |p: &ProgrammeView| !p.admits && duties.serves(p.info.id);
	device.recheck_due.is_some() || ages || view.programmes.iter().any(shut_out)
}

/// Whether it matters to this worker if the charter lets its device take part in a programme: not where it serves
/// nothing, where nothing is left to serve, or while the device may do nothing anyway.
pub fn asks_admission(programme: &ProgrammeView, device: &Device, duties: &Duties) -> bool {
	let over = matches!(programme.info.state, ProgrammeState::Completed | ProgrammeState::Closed);
	device.state == DeviceState::Active && !over && duties.serves(programme.info.id)
}

/// What this worker has done on the committee that is at work in a round: the audit's once the result is disputed.
fn seat<'a>(round: &'a Round, me: &AccountId32) -> Option<&'a MemberInfo<AccountId32>> {
	let committee = match (&round.challenge, round.phase) {
		(Some(challenge), Phase::AuditAggregate | Phase::AuditReveal) => &challenge.committee,
		_ => &round.committee,
	};
	committee.iter().find(|m| m.account == *me)
}

fn plan_round(
	view: &ChainView,
	programme: &ProgrammeView,
	round: &Round,
	journal: &JournalState,
	duties: &Duties,
	artifacts: &dyn Artifacts,
	actions: &mut Vec<Action>,
) {
	let at = At { programme: programme.info.id, round: round.index, attempt: round.attempt };
	// A call made now gets into the next block at the earliest, and the deadline's block still takes it.
	let over = round.deadline.is_some_and(|deadline| view.best >= deadline);
	let member = seat(round, &view.me);
	let aggregates = duties.aggregator && !over;
	match round.phase {
		Phase::Commit => {
			let committed = round.commits.iter().any(|c| c.producer == view.me);
			let full = round.commit_count >= programme.info.max_updates;
			if duties.trains(at.programme)
				&& view.active()
				&& programme.admits
				&& !committed
				&& !full && !over
			{
				match journal.update(at.programme, at.round).filter(|u| artifacts.held(&u.artifact)) {
					Some(update) => {
						actions.push(Action::CommitUpdate { at, artifact: update.artifact });
					},
					None => actions.push(Action::Train { at }),
				}
			}
		},
		Phase::Availability => {
			if aggregates && view.reachable() && member.is_some_and(|m| m.bitmap.is_none()) {
				actions.push(Action::Vote { at });
			}
		},
		// An audit does once more what the committee did: from the same updates, under another number.
		Phase::Aggregate | Phase::AuditAggregate => {
			if aggregates && member.is_some_and(|m| !m.committed) {
				match journal.aggregate(at.programme, at.round, at.attempt) {
					Some(_) => actions.push(Action::CommitAggregate { at }),
					None if view.reachable() => actions.push(Action::Aggregate { at }),
					None => {},
				}
			}
		},
		Phase::Reveal | Phase::AuditReveal => {
			let due = member.is_some_and(|m| m.committed && m.revealed.is_none());
			if aggregates && due && journal.aggregate(at.programme, at.round, at.attempt).is_some() {
				actions.push(Action::Reveal { at });
			}
		},
		Phase::Challenge => {
			let mine = journal.aggregate(at.programme, at.round, at.attempt);
			let disputed = mine.filter(|own| {
				round.result != Some(own.result) || round.quality != Some(quality_digest(&own.quality))
			});
			if let Some(own) = disputed.filter(|_| aggregates) {
				actions.push(Action::Challenge { at, claimed: own.result });
			}
		},
		Phase::Finalised | Phase::Failed => return,
	}
	let wait = hold_back(&view.me, &at, round.phase, ADVANCE_SPREAD);
	let past = round.deadline.is_some_and(|deadline| view.best >= deadline.saturating_add(wait));
	// The commit that completes the window draws the committee. If that is not what happened, there were too few
	// aggregators then, and somebody has to ask again.
	let complete = round.phase == Phase::Commit && round.commit_count >= programme.info.target_updates;
	if past || (complete && view.best % ADVANCE_SPREAD == wait) {
		actions.push(Action::Advance { at, phase: round.phase });
	}
}

/// A programme that waited for funds or for the charter, and need not any more, goes on when somebody says so.
fn plan_resume(view: &ChainView, programme: &ProgrammeView, actions: &mut Vec<Action>) {
	let info = &programme.info;
	let at = At { programme: info.id, round: info.round, attempt: 0 };
	let wait = hold_back(&view.me, &at, Phase::Commit, ADVANCE_SPREAD);
	if programme.can_open && view.device.is_some() && view.best % ADVANCE_SPREAD == wait {
		actions.push(Action::Resume { programme: info.id });
	}
}

fn plan_artifacts(
	view: &ChainView,
	programme: &ProgrammeView,
	journal: &JournalState,
	duties: &Duties,
	artifacts: &dyn Artifacts,
	actions: &mut Vec<Action>,
) {
	let info = &programme.info;
	let serves = duties.serves(info.id);
	for artifact in [info.config, info.weights] {
		if !artifacts.held(&artifact) {
			// After the last round the result is still worth having: somebody has to keep it.
			if serves && view.device.is_some() {
				actions.push(Action::Fetch { programme: info.id, artifact });
			}
		} else if !artifacts.announced(&artifact) {
			actions.push(Action::Announce { artifact });
		}
	}
	if !artifacts.announced(&info.genesis_weights) && artifacts.held(&info.genesis_weights) {
		actions.push(Action::Announce { artifact: info.genesis_weights });
	}
	// The round's own update, as soon as its commit window has closed.
	if let Some(round) = &programme.round {
		if let Some(update) = journal.update(info.id, round.index) {
			let closed = round.phase != Phase::Commit;
			if closed && artifacts.held(&update.artifact) && !artifacts.announced(&update.artifact) {
				actions.push(Action::Announce { artifact: update.artifact });
			}
		}
	}
}

fn plan_settled(view: &ChainView, journal: &JournalState, actions: &mut Vec<Action>) {
	for (programme, round) in journal.rounds.keys() {
		let over = view.programmes.iter().any(|p| p.info.id == *programme && is_over(p, *round));
		if over {
			actions.push(Action::Settle { programme: *programme, round: *round });
		}
	}
}

/// Whether a round is finalised or failed.
pub fn is_over(programme: &ProgrammeView, round: RoundIndex) -> bool {
	match &programme.round {
		Some(running) => {
			running.index > round
				|| (running.index == round && matches!(running.phase, Phase::Finalised | Phase::Failed))
		},
		// No round runs: the last one, and all before it, are over.
		None => programme.info.round >= round,
	}
}

/// Whether the bytes of an update of this round may be given out: its commit window has closed.
pub fn may_release(programme: &ProgrammeView, round: RoundIndex) -> bool {
	let running = programme.round.as_ref();
	is_over(programme, round) || running.is_some_and(|r| r.index == round && r.phase != Phase::Commit)
}

/// The seed of a local run: another for every chain, programme, round and device, and the same again after a restart.
pub fn run_seed(genesis: &H256, at: &At, device: u32, declared: u64) -> u64 {
	let mut hasher = blake3::Hasher::new_derive_key("cairn 2026-11 local run seed v1");
	hasher.update(genesis.as_bytes());
	hasher.update(&at.programme.to_le_bytes());
	hasher.update(&at.round.to_le_bytes());
	hasher.update(&device.to_le_bytes());
	hasher.update(&declared.to_le_bytes());
	let mut first = [0u8; 8];
	hasher.finalize_xof().fill(&mut first);
	u64::from_le_bytes(first)
}
