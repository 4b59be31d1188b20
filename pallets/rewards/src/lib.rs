//! pallets/rewards
