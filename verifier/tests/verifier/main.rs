//! Bundles of a chain in memory: what is proved, what is refused, and whether the verifier's own types and checks are
//! those of polkadot-sdk.

mod forgeries;
mod npm;
mod originals;
mod proofs;
mod properties;
mod support;
