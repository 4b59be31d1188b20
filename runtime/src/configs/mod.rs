//! How the pallets are configured.

mod cairn;
mod consensus;
pub mod governance;
mod provenance;
mod system;

pub use provenance::{MmrLeaf, MMR_ENGINE_ID};
