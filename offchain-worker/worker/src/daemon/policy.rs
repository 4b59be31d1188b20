//! Who may connect, and which bytes are not given out yet.

use super::Ledger;
use crate::{
	journal::JournalState,
	plan::{may_release, ChainView},
};
use async_trait::async_trait;
use cairn_network::{AccessPolicy, Admission};
use cairn_primitives::{views::Phase, ArtifactHash, DeviceState, ProgrammeId, RoundIndex};
use std::{
	collections::HashMap,
	sync::{Arc, PoisonError, RwLock},
};

/// The updates of running commit windows. Cheap to clone.
///
/// An update is entered before its bytes are in the store, and leaves once the chain shows, finalised, that its
/// commit window has closed: nobody can copy what is not given out. Before the chain is read for the first time nothing
/// is given out at all: it may have commits of this worker that a lost journal does not know.
#[derive(Clone, Debug, Default)]
pub struct Withheld(Arc<RwLock<Known>>);

#[derive(Debug, Default)]
struct Known {
	updates: HashMap<ArtifactHash, (ProgrammeId, RoundIndex)>,
	/// Whether the chain has been read.
	follows: bool,
}

impl Withheld {
	/// What an earlier process withheld.
	pub fn from_journal(journal: &JournalState) -> Self {
		let withheld = Self::default();
		for ((programme, round), state) in &journal.rounds {
			for artifact in &state.withheld {
				withheld.insert(*artifact, *programme, *round);
			}
		}
		withheld
	}

	/// Do not give these bytes out before this round's commit window has closed.
	pub fn insert(&self, artifact: ArtifactHash, programme: ProgrammeId, round: RoundIndex) {
		let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
		known.updates.insert(artifact, (programme, round));
	}

	/// Whether these bytes are withheld.
	pub fn contains(&self, artifact: &ArtifactHash) -> bool {
		let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
		!known.follows || known.updates.contains_key(artifact)
	}

	/// Lets go of what the finalised chain says may be given out, and takes up what it says this worker has committed in
	/// windows that are open.
	pub fn follow(&self, view: &ChainView) {
		let released = |programme: &ProgrammeId, round: &RoundIndex| {
			view.programmes.iter().any(|p| p.info.id == *programme && may_release(p, *round))
		};
		let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
		known.updates.retain(|_, (programme, round)| !released(programme, round));
		for programme in &view.programmes {
			let open = programme.round.as_ref().filter(|round| round.phase == Phase::Commit);
			let Some(round) = open else { continue };
			for commit in round.commits.iter().filter(|commit| commit.producer == view.me) {
				known.updates.insert(commit.artifact, (programme.info.id, round.index));
			}
		}
		known.follows = true;
	}
}

/// Answers the network's questions from the chain.
pub struct ChainPolicy {
	ledger: Arc<dyn Ledger>,
	withheld: Withheld,
}

impl ChainPolicy {
	/// A policy over this chain.
	pub fn new(ledger: Arc<dyn Ledger>, withheld: Withheld) -> Self {
		Self { ledger, withheld }
	}
}

#[async_trait]
impl AccessPolicy for ChainPolicy {
	async fn admits(&self, network_key: [u8; 32]) -> Admission {
		match self.ledger.device_of_network_key(&network_key).await {
			Ok(Some(device)) if device.state == DeviceState::Active => Admission::Admitted,
			Ok(Some(device)) => Admission::Refused {
				reason: format!("device {} is {}", device.id, format!("{:?}", device.state).to_lowercase()),
			},
			// An auditor, perhaps: what may be served is public, and bytes prove themselves.
			Ok(None) => Admission::Guest,
			Err(e) => Admission::Unknown { reason: e.to_string() },
		}
	}

	fn may_serve(&self, hash: &ArtifactHash) -> bool {
		!self.withheld.contains(hash)
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use crate::{
		journal::Entry,
		plan::tests::{commit, round, view, ME, OTHER, UPDATE},
	};
	use cairn_primitives::H256;

	const ANOTHER: H256 = H256([14; 32]);

	#[test]
	fn update_is_withheld_across_a_restart_until_its_window_closed_finalised() {
		let mut journal = JournalState::default();
		journal.apply(Entry::Withhold { programme: 0, round: 3, artifact: UPDATE });
		let withheld = Withheld::from_journal(&journal);
		assert!(withheld.contains(&UPDATE));
		withheld.follow(&view(Some(round(Phase::Commit))));
		withheld.follow(&ChainView { programmes: Vec::new(), ..view(None) });
		assert!(withheld.contains(&UPDATE) && !withheld.contains(&ANOTHER));
		withheld.follow(&view(Some(round(Phase::Availability))));
		assert!(!withheld.contains(&UPDATE));
	}

	#[test]
	fn without_a_journal_the_chain_says_which_update_is_withheld_and_nothing_is_given_out_before() {
		let withheld = Withheld::from_journal(&JournalState::default());
		assert!(withheld.contains(&UPDATE) && withheld.contains(&ANOTHER));
		let mut open = round(Phase::Commit);
		open.commits = vec![commit(0, OTHER, ANOTHER), commit(1, ME, UPDATE)];
		withheld.follow(&view(Some(open)));
		assert!(withheld.contains(&UPDATE) && !withheld.contains(&ANOTHER));
		withheld.follow(&view(Some(round(Phase::Availability))));
		assert!(!withheld.contains(&UPDATE));
	}
}
