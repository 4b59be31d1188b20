//! The pallets whose benchmarks `scripts/weights` runs.
//!
//! Every pallet of Cairn, and those of polkadot-sdk that people call. The others either have no benchmarks that fit
//! their `WeightInfo` (`Babe`, `Grandpa`), or none outside a crate of their own (`System`, `Session`): they keep the
//! weights that come with them, charged at this runtime's database costs.

frame_benchmarking::define_benchmarks!(
	[pallet_balances, Balances]
	[pallet_timestamp, Timestamp]
	[pallet_utility, Utility]
);
