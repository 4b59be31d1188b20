//! How the pallets are configured.

mod cairn;
mod consensus;
pub mod governance;
mod system;

pub use consensus::GenesisValidators;
