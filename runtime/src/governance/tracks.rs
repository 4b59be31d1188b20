//! What it takes to decide: the tracks of `Referenda`.
//!
//! They are static, because clients read them from a constant of the metadata. Approval is the conviction-weighted part
//! of ayes among ayes and nays; support is the unweighted part of ayes in all that could vote. Both thresholds fall while
//! a referendum is being decided, never to zero: however long one waits, somebody must want it.

use super::pallet_custom_origins;
use crate::{Balance, BlockNumber, OriginCaller, CRN, DAYS, HOURS, MINUTES};
use alloc::borrow::Cow;
use pallet_referenda::{Curve, Track, TrackInfo};
use sp_runtime::{str_array as name, FixedI64};

/// `normal`, or `fast` with the feature `fast-runtime`, in which a vote takes a minute or two.
pub const fn blocks(normal: BlockNumber, fast: BlockNumber) -> BlockNumber {
	if cfg!(feature = "fast-runtime") {
		fast
	} else {
		normal
	}
}

const fn per_cent(n: u128) -> FixedI64 {
	FixedI64::from_rational(n, 100)
}

const fn per_mille(n: u128) -> FixedI64 {
	FixedI64::from_rational(n, 1_000)
}

/// From `ceil` at the start to `floor` at the end, in a straight line.
const fn linear(floor: FixedI64, ceil: FixedI64) -> Curve {
	Curve::make_linear(1, 1, floor, ceil)
}

/// From `ceil` at the start, steeply at first, to `level` after a quarter of the time and `floor` at the end.
const fn reciprocal(level: FixedI64, floor: FixedI64, ceil: FixedI64) -> Curve {
	Curve::make_reciprocal(1, 4, level, floor, ceil)
}

type TrackOf = Track<u16, Balance, BlockNumber>;

/// Root: can do anything, upgrade the runtime included.
pub const ROOT: u16 = 0;
/// Runs with root's rights what the technical committee whitelisted.
pub const WHITELISTED_CALLER: u16 = 1;
/// Training priorities: which programmes run.
pub const PROGRAMME_ADMIN: u16 = 10;
/// Safety and privacy: the charter.
pub const POLICY_ADMIN: u16 = 11;
/// Resource allocation: the treasury.
pub const TREASURER: u16 = 12;
/// Validators and attesters.
pub const REGISTRY_ADMIN: u16 = 13;
/// Pausing a programme.
pub const SAFETY_STOP: u16 = 20;

static TRACKS: [TrackOf; 7] = [
	Track {
		id: ROOT,
		info: TrackInfo {
			name: name("root"),
			max_deciding: 1,
			decision_deposit: 10_000 * CRN,
			prepare_period: blocks(2 * HOURS, 2),
			decision_period: blocks(14 * DAYS, 60),
			confirm_period: blocks(DAYS, 2),
			min_enactment_period: blocks(DAYS, 2),
			min_approval: reciprocal(per_cent(80), per_cent(50), per_cent(100)),
			min_support: linear(per_cent(1), per_cent(50)),
		},
	},
	Track {
		id: WHITELISTED_CALLER,
		info: TrackInfo {
			name: name("whitelisted_caller"),
			max_deciding: 20,
			decision_deposit: 1_000 * CRN,
			prepare_period: blocks(30 * MINUTES, 2),
			decision_period: blocks(14 * DAYS, 60),
			confirm_period: blocks(10 * MINUTES, 2),
			min_enactment_period: blocks(10 * MINUTES, 2),
			min_approval: reciprocal(per_cent(80), per_cent(50), per_cent(100)),
			min_support: reciprocal(per_cent(2), per_mille(5), per_cent(50)),
		},
	},
	Track {
		id: PROGRAMME_ADMIN,
		info: TrackInfo {
			name: name("programme_admin"),
			max_deciding: 20,
			decision_deposit: 500 * CRN,
			prepare_period: blocks(HOURS, 2),
			decision_period: blocks(7 * DAYS, 40),
			confirm_period: blocks(12 * HOURS, 2),
			min_enactment_period: blocks(HOURS, 1),
			min_approval: reciprocal(per_cent(75), per_cent(50), per_cent(100)),
			min_support: reciprocal(per_cent(5), per_mille(5), per_cent(50)),
		},
	},
	Track {
		id: POLICY_ADMIN,
		info: TrackInfo {
			name: name("policy_admin"),
			max_deciding: 10,
			decision_deposit: 1_000 * CRN,
			prepare_period: blocks(2 * HOURS, 2),
			decision_period: blocks(14 * DAYS, 40),
			confirm_period: blocks(DAYS, 2),
			min_enactment_period: blocks(12 * HOURS, 1),
			min_approval: reciprocal(per_cent(80), per_cent(50), per_cent(100)),
			min_support: reciprocal(per_cent(10), per_cent(1), per_cent(50)),
		},
	},
	Track {
		id: TREASURER,
		info: TrackInfo {
			name: name("treasurer"),
			max_deciding: 10,
			decision_deposit: 1_000 * CRN,
			prepare_period: blocks(2 * HOURS, 2),
			decision_period: blocks(14 * DAYS, 40),
			confirm_period: blocks(DAYS, 2),
			min_enactment_period: blocks(12 * HOURS, 1),
			min_approval: reciprocal(per_cent(80), per_cent(50), per_cent(100)),
			min_support: reciprocal(per_cent(10), per_cent(1), per_cent(50)),
		},
	},
	Track {
		id: REGISTRY_ADMIN,
		info: TrackInfo {
			name: name("registry_admin"),
			max_deciding: 10,
			decision_deposit: 1_000 * CRN,
			prepare_period: blocks(2 * HOURS, 2),
			decision_period: blocks(14 * DAYS, 40),
			confirm_period: blocks(12 * HOURS, 2),
			min_enactment_period: blocks(HOURS, 1),
			min_approval: reciprocal(per_cent(80), per_cent(50), per_cent(100)),
			min_support: reciprocal(per_cent(10), per_cent(1), per_cent(50)),
		},
	},
	Track {
		id: SAFETY_STOP,
		info: TrackInfo {
			name: name("safety_stop"),
			max_deciding: 20,
			decision_deposit: 500 * CRN,
			prepare_period: blocks(5 * MINUTES, 1),
			decision_period: blocks(2 * DAYS, 20),
			confirm_period: blocks(5 * MINUTES, 1),
			min_enactment_period: blocks(1, 1),
			min_approval: reciprocal(per_cent(70), per_cent(50), per_cent(100)),
			min_support: reciprocal(per_cent(2), per_mille(5), per_cent(50)),
		},
	},
];

/// The tracks, for `Referenda`.
pub struct TracksInfo;

impl pallet_referenda::TracksInfo<Balance, BlockNumber> for TracksInfo {
	type Id = u16;
	type RuntimeOrigin = OriginCaller;

	fn tracks() -> impl Iterator<Item = Cow<'static, TrackOf>> {
		TRACKS.iter().map(Cow::Borrowed)
	}

	fn track_for(origin: &Self::RuntimeOrigin) -> Result<Self::Id, ()> {
		use pallet_custom_origins::Origin;
		match origin {
			OriginCaller::system(frame_system::RawOrigin::Root) => Ok(ROOT),
			OriginCaller::Origins(Origin::WhitelistedCaller) => Ok(WHITELISTED_CALLER),
			OriginCaller::Origins(Origin::ProgrammeAdmin) => Ok(PROGRAMME_ADMIN),
			OriginCaller::Origins(Origin::PolicyAdmin) => Ok(POLICY_ADMIN),
			OriginCaller::Origins(Origin::Treasurer) => Ok(TREASURER),
			OriginCaller::Origins(Origin::RegistryAdmin) => Ok(REGISTRY_ADMIN),
			OriginCaller::Origins(Origin::SafetyStop) => Ok(SAFETY_STOP),
			_ => Err(()),
		}
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use pallet_referenda::TracksInfo as _;
	use sp_runtime::Perbill;

	#[test]
	fn tracks_are_sorted_and_every_origin_has_its_own() {
		TracksInfo::check_integrity().expect("sorted, without doubles");
		use pallet_custom_origins::Origin::*;
		let mut ids: alloc::vec::Vec<_> =
			[WhitelistedCaller, ProgrammeAdmin, PolicyAdmin, Treasurer, RegistryAdmin, SafetyStop]
				.map(|o| TracksInfo::track_for(&OriginCaller::Origins(o)).expect("has a track"))
				.into();
		ids.push(TracksInfo::track_for(&frame_system::RawOrigin::Root.into()).expect("has a track"));
		ids.sort();
		assert_eq!(ids, TracksInfo::track_ids().collect::<alloc::vec::Vec<_>>());
		assert!(TracksInfo::track_for(&frame_system::RawOrigin::None.into()).is_err());
	}

	#[test]
	fn no_threshold_ever_falls_to_zero_and_none_rises() {
		for track in TracksInfo::tracks() {
			for curve in [&track.info.min_approval, &track.info.min_support] {
				let mut last = Perbill::one();
				for step in 0..=100 {
					let threshold = curve.threshold(Perbill::from_percent(step));
					assert!(threshold <= last, "{:?} rises at {step} %", track.id);
					assert!(
						!sp_runtime::traits::Zero::is_zero(&threshold),
						"{:?} is zero at {step} %",
						track.id
					);
					last = threshold;
				}
			}
			// Half of the votes at the least, always, but for the ninth digit that a curve's constants are rounded at.
			let least = track.info.min_approval.threshold(Perbill::one()).deconstruct();
			assert!(least >= Perbill::from_percent(50).deconstruct() - 100, "track {}: {least}", track.id);
		}
	}
}
