//! Why an action had no effect.

use crate::{
	chain::{ChainError, SubmitError},
	journal::JournalError,
	plan::At,
	units::short,
};
use cairn_artifacts::StoreError;
use cairn_primitives::ArtifactHash;

/// Why an action had no effect.
#[derive(Debug, thiserror::Error)]
pub enum ActionError {
	/// The chain has overtaken it, or the daemon stops.
	#[error("no longer needed")]
	Cancelled,
	/// A transaction had no effect.
	#[error(transparent)]
	Submit(#[from] SubmitError),
	/// The chain could not be read.
	#[error(transparent)]
	Chain(#[from] ChainError),
	/// The journal could not be written.
	#[error(transparent)]
	Journal(#[from] JournalError),
	/// The store failed.
	#[error(transparent)]
	Store(#[from] StoreError),
	/// An artifact could not be had.
	#[error("artifact {artifact:?} could not be fetched: {reason}")]
	Fetch {
		/// Which.
		artifact: ArtifactHash,
		/// Who was asked, and what they said.
		reason: String,
	},
	/// The commit window closed before the update could be sent.
	#[error(
		"programme {} round {}: the commit window closed before update {} could be sent. Nothing is lost and nothing was \
		 paid: the next round is open to everyone. If it happens often, the node lags, or the device is too slow for the \
		 programme",
		at.programme, at.round, short(update)
	)]
	Late {
		/// The round.
		at: At,
		/// The update.
		update: ArtifactHash,
	},
	/// Training fails, and would fail the same way again.
	#[error(
		"programme {} round {}: training failed: {reason}. It is not tried again in this round: from the same weights and \
		 data it would fail the same way. If it fails in other rounds, too, this worker's data (--data) or the programme's \
		 training configuration do not suit: change the data, or leave the programme out (--programme names the others)",
		at.programme, at.round
	)]
	Hopeless {
		/// The round.
		at: At,
		/// Why.
		reason: String,
	},
	/// Anything else, in words.
	#[error("{0}")]
	Failed(String),
}

impl ActionError {
	/// Whether a disk or a quota is full, or refuses for another reason that may pass; nothing was written then.
	pub(super) fn is_disk_full(&self) -> bool {
		matches!(
			self,
			Self::Store(StoreError::NoSpace { .. } | StoreError::Io { .. })
				| Self::Journal(JournalError::NotWritten { .. })
		)
	}

	/// What went wrong, in one word: for metrics.
	pub(super) fn kind(&self) -> &'static str {
		match self {
			Self::Cancelled => "cancelled",
			Self::Late { .. } => "late",
			Self::Submit(SubmitError::Chain(_)) | Self::Chain(_) => "chain",
			Self::Submit(SubmitError::Journal(_)) | Self::Journal(_) => "journal",
			Self::Submit(_) => "transaction",
			Self::Store(_) => "store",
			Self::Fetch { .. } => "fetch",
			Self::Hopeless { .. } => "training",
			Self::Failed(_) => "other",
		}
	}

	pub(super) fn failed(e: impl std::fmt::Display) -> Self {
		Self::Failed(e.to_string())
	}
}

/// Whether the chain refused a call because others were faster or the window had closed: no fault, nothing lost.
pub(super) fn overtaken(error: &SubmitError) -> bool {
	const NAMES: [&str; 9] = [
		"CommitWindowClosed",
		"WindowClosed",
		"WrongRound",
		"WrongAttempt",
		"NoRunningRound",
		"AlreadyCommitted",
		"AlreadyVoted",
		"AlreadyRevealed",
		"TooManyUpdates",
	];
	NAMES.iter().any(|name| error.is_refusal("Training", name))
}
