//! Who may connect, and which bytes are not given out yet.

use super::Ledger;
use crate::{
	journal::JournalState,
	plan::{may_release, ProgrammeView},
};
use async_trait::async_trait;
use cairn_network::{AccessPolicy, Admission};
use cairn_primitives::{ArtifactHash, DeviceState, ProgrammeId, RoundIndex};
use std::{
	collections::HashMap,
	sync::{Arc, PoisonError, RwLock},
};

/// The updates of running commit windows. Cheap to clone.
///
/// An update is entered before its bytes are in the store, and leaves once the chain shows, finalised, that its
/// commit window has closed: nobody can copy what is not given out.
#[derive(Clone, Debug, Default)]
pub struct Withheld(Arc<RwLock<HashMap<ArtifactHash, (ProgrammeId, RoundIndex)>>>);

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
		self.0.write().unwrap_or_else(PoisonError::into_inner).insert(artifact, (programme, round));
	}

	/// Whether these bytes are withheld.
	pub fn contains(&self, artifact: &ArtifactHash) -> bool {
		self.0.read().unwrap_or_else(PoisonError::into_inner).contains_key(artifact)
	}

	/// Lets go of what the finalised chain says may be given out.
	pub fn release(&self, programmes: &[ProgrammeView]) {
		let released = |programme: &ProgrammeId, round: &RoundIndex| {
			programmes.iter().any(|p| p.info.id == *programme && may_release(p, *round))
		};
		let mut withheld = self.0.write().unwrap_or_else(PoisonError::into_inner);
		withheld.retain(|_, (programme, round)| !released(programme, round));
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
		plan::tests::{idle, round, UPDATE},
	};
	use cairn_primitives::views::Phase;

	#[test]
	fn update_is_withheld_across_a_restart_until_its_window_closed_finalised() {
		let mut journal = JournalState::default();
		journal.apply(Entry::Withhold { programme: 0, round: 3, artifact: UPDATE });
		let withheld = Withheld::from_journal(&journal);
		let at = |phase| [ProgrammeView { round: Some(round(phase)), ..idle() }];
		assert!(withheld.contains(&UPDATE));
		withheld.release(&at(Phase::Commit));
		withheld.release(&[]);
		assert!(withheld.contains(&UPDATE));
		withheld.release(&at(Phase::Availability));
		assert!(!withheld.contains(&UPDATE));
	}
}
