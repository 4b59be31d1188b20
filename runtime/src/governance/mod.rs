//! The DAO: who may decide what ([`origins`]), and what it takes to decide it ([`tracks`]).
//!
//! There is no sudo. Whatever is above the ordinary account is a referendum on one of the tracks, or a motion of the
//! technical committee, which can whitelist a call for a faster referendum and can pause a programme, and nothing else.

pub mod origins;
pub mod tracks;

pub use origins::{
	pallet_custom_origins, PolicyAdmin, ProgrammeAdmin, RegistryAdmin, SafetyStop, Treasurer,
	WhitelistedCaller,
};
pub use tracks::TracksInfo;
