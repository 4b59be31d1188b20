//! What the pallet stores and is told.

use cairn_primitives::{views::FaultKind, SiteId, H256};
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;
use sp_runtime::{traits::Saturating, Perbill};

/// What one account did for a reward.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Share<AccountId> {
	/// Who is paid.
	pub account: AccountId,
	/// Where the work was done: the site cap binds all shares of one site together.
	pub site: SiteId,
	/// Verified work × quality.
	pub points: u128,
}

/// What one account earned in a programme.
#[derive(
	Clone, Copy, PartialEq, Eq, Debug, Default, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct Earnings<Balance> {
	/// Points so far.
	pub points: u128,
	/// Earned and not yet claimed, in plancks.
	pub owed: Balance,
	/// Claimed, in plancks.
	pub claimed: Balance,
}

/// The ledger of a programme's pot, in plancks. What came in is what went out, what is owed, and what is free:
/// `funded = claimed + owed + refunded + forfeited + free`.
#[derive(
	Clone, Copy, PartialEq, Eq, Debug, Default, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct Pot<Balance> {
	/// Points given to all accounts together.
	pub points: u128,
	/// Everything that came in, from sponsors, from genesis and by plain transfer.
	pub funded: Balance,
	/// Of that, what those sponsors gave who have not been refunded.
	pub sponsored: Balance,
	/// How many sponsors those are.
	pub sponsors: u32,
	/// Earned by accounts and not yet claimed.
	pub owed: Balance,
	/// Claimed.
	pub claimed: Balance,
	/// Returned to sponsors.
	pub refunded: Balance,
	/// Gone to the treasury after the programme closed.
	pub forfeited: Balance,
	/// How the free part is divided, once the programme has closed.
	pub closing: Option<Closing<Balance>>,
}

impl<Balance: Copy + Saturating> Pot<Balance> {
	/// What the pot's account holds as far as this ledger has counted.
	pub fn balance(&self) -> Balance {
		self.funded.saturating_sub(self.claimed).saturating_sub(self.refunded).saturating_sub(self.forfeited)
	}
}

/// How the free part of a closed pot is divided: a sponsor of `c` gets back `free × c / funded`, rounded down.
#[derive(
	Clone, Copy, PartialEq, Eq, Debug, Default, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct Closing<Balance> {
	/// What was free when the programme closed, beyond the existential deposit.
	pub free: Balance,
	/// What had come in by then.
	pub funded: Balance,
	/// What is kept for sponsors who have not asked for their refund yet.
	pub reserved: Balance,
}

/// What a fault costs: the part of the bond, or of the challenge bond, that is slashed.
#[derive(
	Clone, Copy, PartialEq, Eq, Debug, Default, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct SlashFractions {
	/// Of an aggregator's bond, for [`FaultKind::Dissented`].
	pub dissented: Perbill,
	/// Of an aggregator's bond, for [`FaultKind::Overturned`].
	pub overturned: Perbill,
	/// Of a challenge bond, for [`FaultKind::FailedChallenge`]. The rest is released at once.
	pub failed_challenge: Perbill,
	/// Of a validator's bond, for [`FaultKind::Equivocation`].
	pub equivocation: Perbill,
}

impl SlashFractions {
	/// The part that a fault of this kind costs.
	pub fn of(&self, kind: FaultKind) -> Perbill {
		match kind {
			FaultKind::Dissented => self.dissented,
			FaultKind::Overturned => self.overturned,
			FaultKind::FailedChallenge => self.failed_challenge,
			FaultKind::Equivocation => self.equivocation,
		}
	}
}

/// A slash that waits to be applied.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Slash<AccountId, Balance, BlockNumber> {
	/// Whose.
	pub account: AccountId,
	/// What for. It also says which hold pays: [`FaultKind::FailedChallenge`] takes from the challenge bonds, every
	/// other kind from the bond.
	pub kind: FaultKind,
	/// How much, in plancks. Fixed when the fault is reported.
	pub amount: Balance,
	/// The hash of the evidence.
	pub evidence: H256,
	/// The block that reported the fault.
	pub reported: BlockNumber,
	/// The first block that may apply it.
	pub due: BlockNumber,
	/// The hash of the reason of the appeal, once there is one.
	pub appeal: Option<H256>,
}

/// Challenge bonds of one account whose challenges are not decided.
#[derive(
	Clone, Copy, PartialEq, Eq, Debug, Default, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct OpenChallenges<Balance> {
	/// How many.
	pub count: u32,
	/// What is held for them together, in plancks.
	pub amount: Balance,
}
