//! What every signed transaction costs before its call, measured on the runtime's WASM. Made by a program.

use frame_support::weights::Weight;

/// Decoding, the signature, the checks of the extensions, the call into the runtime: picoseconds.
pub const EXTRINSIC_BASE: Weight = Weight::from_parts(108_157_000, 0);
