//! What calls cost, measured. `scripts/weights` writes this folder.

pub mod frame_system_extensions;
pub mod overhead;
pub mod pallet_balances;
pub mod pallet_governance;
pub mod pallet_hardware;
pub mod pallet_provenance;
pub mod pallet_rewards;
pub mod pallet_timestamp;
pub mod pallet_training;
pub mod pallet_transaction_payment;
pub mod pallet_utility;
