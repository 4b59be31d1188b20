//! pallets/training
