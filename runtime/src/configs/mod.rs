//! How the pallets are configured.

mod cairn;
mod consensus;
mod system;

pub use consensus::GenesisValidators;
