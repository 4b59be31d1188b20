//! pallets/hardware
