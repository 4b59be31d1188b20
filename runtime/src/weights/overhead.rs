//! What every signed transaction costs before its call, measured on the runtime's WASM. Made by a program.
//!
//! ```sh
//! scripts/weights --steps 10 --repeat 5
//! ```
//!
//! 2026-11-21; 2 cores, Intel(R) Xeon(R) Processor @ 2.80GHz; the median of 5 blocks of empty remarks.

use frame_support::weights::Weight;

/// Decoding, the signature, the call into the runtime; without the extensions, which are charged apart. Picoseconds.
pub const EXTRINSIC_BASE: Weight = Weight::from_parts(195_665_722, 0);
