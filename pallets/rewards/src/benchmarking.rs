//! Benchmarks of the calls, and of what other pallets call.

use cairn_primitives::ProgrammeId;

/// What the benchmarks need from other pallets.
pub trait BenchmarkHelper {
	/// Makes a programme whose pot is open, and returns its number.
	fn open_programme() -> ProgrammeId;
}
