//! How the pallets are configured.

mod cairn;
mod consensus;
mod provenance;
mod system;

pub use consensus::GenesisValidators;
pub use provenance::{MmrLeaf, MMR_ENGINE_ID};
