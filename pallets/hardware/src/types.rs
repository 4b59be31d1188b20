//! What the registry stores.

use cairn_primitives::{DeviceClass, DeviceState, EnergySource, SiteId};
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use frame_support::{traits::ConstU32, BoundedVec};
use scale_info::TypeInfo;

/// A site's name, UTF-8, at most 64 bytes.
pub type SiteName = BoundedVec<u8, ConstU32<64>>;
/// A site's region, for example `EU-CH`, at most 16 bytes.
pub type Region = BoundedVec<u8, ConstU32<16>>;
/// An ed25519 public key that is a libp2p identity.
pub type NetworkKey = [u8; 32];

/// A community-owned data centre or lab.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Site<AccountId> {
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
}

/// One machine at a site.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Device<AccountId> {
	/// Where it stands.
	pub site: SiteId,
	/// The account it signs with.
	pub account: AccountId,
	/// What it is.
	pub class: DeviceClass,
	/// Memory, MiB.
	pub memory_mib: u32,
	/// Where it stands in its life.
	pub state: DeviceState,
	/// Its libp2p identity, once bound.
	pub network_key: Option<NetworkKey>,
}
