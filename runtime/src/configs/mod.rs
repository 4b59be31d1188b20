//! How the pallets are configured.

mod cairn;
mod consensus;
pub mod governance;
mod provenance;
mod system;

pub use consensus::GenesisValidators;
pub use provenance::{MmrLeaf, MMR_ENGINE_ID};
