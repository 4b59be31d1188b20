//! Where somebody else's rules bind programmes.

use cairn_primitives::{DeviceId, ProgrammeId, Settings};
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use frame_support::pallet_prelude::DispatchResult;
use scale_info::TypeInfo;

/// What of a programme's settings the rules do not allow.
#[derive(
	Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub enum PolicyBreach {
	/// It would cost participants more privacy than they may lose in one programme, or promises them none.
	Privacy,
	/// The model's licence.
	Licence,
	/// The kind of data.
	DataCategory,
	/// The aggregation rule.
	Rule,
	/// Its committees are too small.
	CommitteeSize,
	/// A window is too short or too long.
	Window,
}

/// The rules that bind every programme, asked at the moment they bind.
///
/// `()` allows everything.
pub trait Policy<Balance> {
	/// Whether a programme may open with these settings, or be amended to them.
	///
	/// # Errors
	/// The error of the call that asked for it.
	fn may_open(settings: &Settings<Balance>) -> DispatchResult;

	/// Whether another round may start after `released` rounds whose updates left their devices.
	///
	/// # Errors
	/// Says which rule the round would break.
	fn may_start_round(settings: &Settings<Balance>, released: u32) -> Result<(), PolicyBreach>;

	/// Whether a device may take part in a programme now: commit, be drawn, have its update included.
	fn may_take_part(programme: ProgrammeId, device: DeviceId) -> bool;

	/// The most of a round's reward for trainers that one site may get, in per cent.
	fn site_cap() -> u8;

	/// For benchmarks: makes the rules the most expensive to ask that still allow these settings and devices with
	/// evidence. Rules that are not stored have nothing to do.
	#[cfg(feature = "runtime-benchmarks")]
	fn most_expensive(_: &Settings<Balance>) {}
}

impl<Balance> Policy<Balance> for () {
	fn may_open(_: &Settings<Balance>) -> DispatchResult {
		Ok(())
	}

	fn may_start_round(_: &Settings<Balance>, _: u32) -> Result<(), PolicyBreach> {
		Ok(())
	}

	fn may_take_part(_: ProgrammeId, _: DeviceId) -> bool {
		true
	}

	fn site_cap() -> u8 {
		100
	}
}
