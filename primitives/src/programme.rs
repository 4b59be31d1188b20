//! What is decided about a programme.

use crate::{Aggregation, ArtifactHash, Schedule};
use bounded_collections::{BoundedVec, ConstU32};
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;
#[cfg(feature = "serde")]
use serde::{Deserialize, Serialize};

/// A programme's name, UTF-8, at most 64 bytes.
pub type ProgrammeName = BoundedVec<u8, ConstU32<64>>;

/// A short name from a list that people keep: a licence's SPDX identifier, a category of data. At most 32 bytes of
/// ASCII without spaces; empty when nothing is stated.
pub type Label = BoundedVec<u8, ConstU32<32>>;

/// Whether a label is one that two people write in the same way: printable ASCII without spaces, or nothing.
pub fn is_label(text: &[u8]) -> bool {
	text.iter().all(u8::is_ascii_graphic)
}

/// What a programme's settings say about the updates of one round and their aggregate. Settings may be amended; what
/// bound a round stays with it, so that anyone can recompute it later.
#[derive(
	Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub struct RoundTerms {
	/// How the updates are aggregated.
	pub aggregation: Aggregation,
	/// The most samples an update may declare.
	pub max_samples: u32,
	/// The most local steps an update may declare.
	pub max_local_steps: u32,
}

/// Everything that is decided about a programme before it runs. What happens to it is kept elsewhere.
///
/// `config`, `genesis_weights` and `name` say which programme it is and never change; the rest may be amended, which
/// binds from the next round on.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Settings<Balance> {
	/// What it is called.
	pub name: ProgrammeName,
	/// Its training configuration.
	pub config: ArtifactHash,
	/// The weights it starts from.
	pub genesis_weights: ArtifactHash,
	/// How updates are aggregated.
	pub aggregation: Aggregation,
	/// The windows of a round, in blocks.
	pub schedule: Schedule,
	/// Aggregators drawn for a round.
	pub committee_size: u32,
	/// Aggregators drawn for the audit of a disputed round: more than `committee_size`. Means nothing as long as there
	/// is no challenge window.
	pub audit_size: u32,
	/// The least updates a round needs.
	pub min_updates: u32,
	/// The number of commits at which the commit window closes early.
	pub target_updates: u32,
	/// The most updates a round takes.
	pub max_updates: u32,
	/// The most samples an update may declare.
	pub max_samples: u32,
	/// The most local steps an update may declare.
	pub max_local_steps: u32,
	/// Rounds to finalise.
	pub rounds: u32,
	/// What a finalised round pays, in plancks.
	pub reward_per_round: Balance,
	/// The part of that which the committee shares, in per cent.
	pub committee_share: u8,
	/// The licence that the model is published under.
	pub licence: Label,
	/// What kind of data it is trained on.
	pub data_category: Label,
	/// What one finalised round may cost a participant in differential privacy, in thousandths of epsilon. `None`: no
	/// guarantee is given.
	pub epsilon_per_round: Option<u32>,
	/// What a challenger puts at stake, in plancks.
	pub challenge_bond: Balance,
}

impl<Balance> Settings<Balance> {
	/// What binds the updates of a round that runs under these settings.
	pub fn terms(&self) -> RoundTerms {
		let Self { aggregation, max_samples, max_local_steps, .. } = *self;
		RoundTerms { aggregation, max_samples, max_local_steps }
	}

	/// What the whole programme may cost a participant in differential privacy, in thousandths of epsilon, by basic
	/// composition: the sum over its rounds. `None`: no guarantee is given.
	pub fn epsilon(&self) -> Option<u64> {
		self.epsilon_per_round.map(|epsilon| u64::from(epsilon).saturating_mul(u64::from(self.rounds)))
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use crate::H256;

	#[test]
	fn privacy_cost_of_a_programme_is_the_sum_over_its_rounds_and_never_overflows() {
		let mut settings = Settings::<u128> {
			name: Default::default(),
			config: H256([1; 32]),
			genesis_weights: H256([2; 32]),
			aggregation: Aggregation::default(),
			schedule: Schedule { commit: 1, availability: 1, aggregate: 1, reveal: 1, challenge: 0 },
			committee_size: 1,
			audit_size: 3,
			min_updates: 1,
			target_updates: 1,
			max_updates: 1,
			max_samples: 1,
			max_local_steps: 1,
			rounds: 10,
			reward_per_round: 0,
			committee_share: 0,
			licence: Default::default(),
			data_category: Default::default(),
			epsilon_per_round: None,
			challenge_bond: 0,
		};
		assert_eq!(settings.epsilon(), None);
		settings.epsilon_per_round = Some(250);
		assert_eq!(settings.epsilon(), Some(2_500));
		(settings.rounds, settings.epsilon_per_round) = (u32::MAX, Some(u32::MAX));
		assert_eq!(settings.epsilon(), Some(u64::from(u32::MAX) * u64::from(u32::MAX)));
	}

	#[test]
	fn label_is_ascii_without_spaces() {
		assert!(is_label(b"") && is_label(b"Apache-2.0"));
		assert!(!is_label(b"Apache 2.0") && !is_label("café".as_bytes()) && !is_label(b"a\n"));
	}
}
