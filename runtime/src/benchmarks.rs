//! The pallets whose benchmarks `scripts/weights` runs.
//!
//! Every pallet of Cairn, the accounts and utilities of polkadot-sdk, and what every transaction is checked for. The
//! others keep the weights that come with them: charged at this runtime's database costs, but `Babe`'s and `Grandpa`'s,
//! which are fixed and assume a dearer database.

use crate::Runtime;

frame_benchmarking::define_benchmarks!(
	[frame_system_extensions, frame_system_benchmarking::extensions::Pallet::<Runtime>]
	[pallet_balances, Balances]
	[pallet_timestamp, Timestamp]
	[pallet_transaction_payment, TransactionPayment]
	[pallet_utility, Utility]
	[pallet_provenance, Provenance]
	[pallet_hardware, Hardware]
	[pallet_rewards, Rewards]
	[pallet_training, Training]
	[pallet_governance, Governance]
);

impl pallet_transaction_payment::BenchmarkConfig for Runtime {}
