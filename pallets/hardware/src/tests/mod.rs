//! Tests, one file per feature.

mod attestation;
mod attesters;
mod devices;
mod properties;
mod recheck;
mod registry;
mod transfer;
