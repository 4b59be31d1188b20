//! What the registry stores.

use cairn_primitives::{
	hardware::{EvidenceKind, Measurement, Speed},
	DeviceClass, DeviceState, EnergySource, SiteId, H256,
};
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use frame_support::{
	traits::{ConstU32, Get},
	BoundedVec,
};
use scale_info::TypeInfo;

/// A site's name, UTF-8, at most 64 bytes.
pub type SiteName = BoundedVec<u8, ConstU32<64>>;
/// A site's region, for example `EU-CH`, at most 16 bytes.
pub type Region = BoundedVec<u8, ConstU32<16>>;
/// A device's vendor, UTF-8, at most 32 bytes.
pub type Vendor = BoundedVec<u8, ConstU32<32>>;
/// A device's model, UTF-8, at most 64 bytes.
pub type Model = BoundedVec<u8, ConstU32<64>>;
/// An ed25519 public key that is a libp2p identity.
pub type NetworkKey = [u8; 32];

/// A community-owned data centre or lab.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Site<AccountId, Balance> {
	/// Who keeps it.
	pub owner: AccountId,
	/// What it is called.
	pub name: SiteName,
	/// Where it stands.
	pub region: Region,
	/// What powers it.
	pub energy: EnergySource,
	/// How many of its devices are not retired.
	pub devices: u32,
	/// What is held from its owner for it and for the devices that stand or last stood at it, in plancks.
	pub deposit: Balance,
}

/// One machine at a site.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Device<AccountId, Balance, BlockNumber> {
	/// Where it stands.
	pub site: SiteId,
	/// The account it signs with.
	pub account: AccountId,
	/// What it is.
	pub class: DeviceClass,
	/// Memory, MiB.
	pub memory_mib: u32,
	/// Where it stands in its life, but for a re-check that it has missed since.
	pub state: DeviceState,
	/// Its libp2p identity, once bound.
	pub network_key: Option<NetworkKey>,
	/// Who made it.
	pub vendor: Vendor,
	/// Which model it is.
	pub model: Model,
	/// The BLAKE3-256 hash of the software image it runs.
	pub image: Option<H256>,
	/// What is held from its site's owner for it, in plancks.
	pub deposit: Balance,
	/// Evidence of what it can do.
	pub evidence: Option<Evidence<BlockNumber>>,
	/// The random re-check that it has to answer.
	pub recheck: Option<Recheck<BlockNumber>>,
	/// Why it is suspended; set exactly when it is.
	pub suspension: Option<Suspension>,
	/// The block of its newest request for attestation.
	pub requested: Option<BlockNumber>,
}

impl<AccountId, Balance, BlockNumber: Copy + PartialOrd> Device<AccountId, Balance, BlockNumber> {
	/// Lets the state follow from what the device has: a bound libp2p key makes it active, evidence alone attested.
	pub(crate) fn settle_state(&mut self) {
		self.state = match (self.state, self.suspension) {
			(DeviceState::Retired, _) => DeviceState::Retired,
			(_, Some(_)) => DeviceState::Suspended,
			_ if self.network_key.is_some() => DeviceState::Active,
			_ if self.evidence.is_some() => DeviceState::Attested,
			_ => DeviceState::Registered,
		};
	}

	/// Whether the time to answer a re-check is over at `now`.
	pub(crate) fn recheck_is_over(&self, now: BlockNumber) -> bool {
		self.recheck.is_some_and(|r| now > r.due)
	}

	/// The state at `now`: a re-check that was not answered in time suspends, even before anybody has written it down.
	pub fn state_at(&self, now: BlockNumber) -> DeviceState {
		let missed = self.recheck_is_over(now) && self.recheck.is_some_and(|r| !r.answered);
		match self.state {
			DeviceState::Retired => DeviceState::Retired,
			_ if missed => DeviceState::Suspended,
			state => state,
		}
	}

	/// The evidence that counts at `now`.
	pub fn evidence_at(&self, now: BlockNumber) -> Option<&Evidence<BlockNumber>> {
		let barred = matches!(self.state_at(now), DeviceState::Suspended | DeviceState::Retired);
		self.evidence.as_ref().filter(|e| !barred && !self.recheck_is_over(now) && now <= e.expires())
	}
}

/// Evidence of what a device can do, by what backs it. Further kinds, such as quotes that hardware signs, are further
/// variants with further numbers.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub enum Evidence<BlockNumber> {
	/// Attesters agree on what a timed benchmark showed.
	#[codec(index = 0)]
	Measured {
		/// The median of what the attesters vouch for.
		speed: Speed,
		/// The seed of the benchmark.
		nonce: H256,
		/// The block that accepted it.
		at: BlockNumber,
		/// The last block at which it is valid.
		expires: BlockNumber,
	},
}

impl<BlockNumber: Copy> Evidence<BlockNumber> {
	/// What backs it.
	pub const fn kind(&self) -> EvidenceKind {
		match self {
			Self::Measured { .. } => EvidenceKind::Measured,
		}
	}

	/// The speed it shows, if its kind shows one.
	pub const fn speed(&self) -> Option<Speed> {
		match self {
			Self::Measured { speed, .. } => Some(*speed),
		}
	}

	/// The block that accepted it.
	pub const fn at(&self) -> BlockNumber {
		match self {
			Self::Measured { at, .. } => *at,
		}
	}

	/// The last block at which it is valid.
	pub const fn expires(&self) -> BlockNumber {
		match self {
			Self::Measured { expires, .. } => *expires,
		}
	}
}

/// A random re-check of a device that has evidence.
#[derive(
	Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct Recheck<BlockNumber> {
	/// The last block at which new evidence replaces the old. After it the old is void.
	pub due: BlockNumber,
	/// Whether the device has delivered a measurement. A device that has is not suspended when attesters are silent.
	pub answered: bool,
}

/// Why a device is suspended.
#[derive(
	Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub enum Suspension {
	/// The registry's origin barred it; only that origin lifts it.
	Ordered,
	/// It did not answer a random re-check, or answered it falsely; new evidence lifts it.
	FailedRecheck,
}

/// A site's owner wants another site to take over a device.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct DeviceOffer<AccountId> {
	/// The site that may take it.
	pub to: SiteId,
	/// Who offered it: the offer is void once its site has another owner.
	pub by: AccountId,
}

/// Who attests, and how many of them must agree.
#[derive(Encode, Decode, MaxEncodedLen, TypeInfo)]
#[scale_info(skip_type_params(MaxAttesters))]
pub struct AttesterSet<AccountId, MaxAttesters: Get<u32>> {
	/// The attesters, ascending and without duplicates.
	pub members: BoundedVec<AccountId, MaxAttesters>,
	/// More than half of the members; zero exactly when there are none.
	pub threshold: u32,
}

impl<AccountId, MaxAttesters: Get<u32>> Default for AttesterSet<AccountId, MaxAttesters> {
	fn default() -> Self {
		Self { members: BoundedVec::new(), threshold: 0 }
	}
}

/// What a device delivered.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Submission<BlockNumber> {
	/// The seed of the benchmark.
	pub nonce: H256,
	/// What it measured.
	pub measurement: Measurement,
	/// The last block at which attesters can state what they found.
	pub state_by: BlockNumber,
}

/// A request for attestation that is under way.
#[derive(Encode, Decode, MaxEncodedLen, TypeInfo)]
#[scale_info(skip_type_params(MaxAttesters))]
pub struct Challenge<AccountId, BlockNumber, MaxAttesters: Get<u32>> {
	/// The block that took the request; its hash makes the nonce.
	pub requested: BlockNumber,
	/// The chain's time at that block, milliseconds.
	pub requested_ms: u64,
	/// The last block at which the device can deliver its measurement.
	pub submit_by: BlockNumber,
	/// What the device delivered.
	pub submission: Option<Submission<BlockNumber>>,
	/// What attesters stated: the speed they vouch for, or none for a false measurement.
	pub statements: BoundedVec<(AccountId, Option<Speed>), MaxAttesters>,
}
