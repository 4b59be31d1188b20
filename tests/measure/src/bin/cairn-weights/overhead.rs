//! What every signed transaction costs before its call and the checks of its extensions, which have weights of their
//! own: decoding, the signature, the call into the runtime itself.

use crate::runner::Runner;
use anyhow::{anyhow, ensure, Context, Result};
use cairn_measure::sign;
use cairn_runtime::{RuntimeCall, UncheckedExtrinsic};
use codec::{Decode, Encode};
use sp_core::{crypto::Pair as _, sr25519::Pair, H256};
use sp_runtime::{
	generic::{Digest, Header},
	traits::BlakeTwo256,
	ApplyExtrinsicResult,
};
use std::time::Instant;

/// Transactions in a block that is timed: enough that the clock's resolution does not matter.
const TRANSACTIONS: u32 = 256;

/// Whether every signed transaction is charged a benchmark besides its base weight.
pub fn is_charged(pallet: &str, benchmark: &str) -> bool {
	match pallet {
		// A transaction is mortal or not; those that are measured are not.
		"frame_system_extensions" => benchmark != "check_mortality_mortal_transaction",
		"pallet_transaction_payment" => benchmark == "charge_transaction_payment",
		_ => false,
	}
}

/// The median over `repeat` blocks of what a transaction with an empty remark takes in a block, its extensions included, in picoseconds.
///
/// # Errors
/// When the runtime does not take the transactions.
pub fn extrinsic(runner: &Runner, repeat: u32) -> Result<u128> {
	let parent = H256::repeat_byte(1);
	let signer = Pair::from_string("//Alice", None).map_err(|e| anyhow!("the development key: {e:?}"))?;
	// The chain's first block takes its parent for the genesis, whose hash every signature is over.
	let transactions: Vec<Vec<u8>> = (0..TRANSACTIONS)
		.map(|nonce| {
			let call = RuntimeCall::System(frame_system::Call::remark { remark: Vec::new() });
			let transaction: UncheckedExtrinsic = sign(call, &signer, nonce, parent);
			transaction.encode()
		})
		.collect();
	let header = Header::<u32, BlakeTwo256> {
		parent_hash: parent,
		number: 1,
		state_root: H256::zero(),
		extrinsics_root: H256::zero(),
		digest: Digest::default(),
	};
	let mut times = Vec::new();
	for _ in 0..=repeat {
		let mut block = runner.block();
		block.call("Core_initialize_block", &header.encode())?;
		let started = Instant::now();
		let mut answers = Vec::with_capacity(transactions.len());
		for transaction in &transactions {
			answers.push(block.call("BlockBuilder_apply_extrinsic", transaction)?);
		}
		let time = started.elapsed().as_nanos();
		for answer in answers {
			let result = ApplyExtrinsicResult::decode(&mut &answer[..]).context("the outcome of a remark")?;
			ensure!(matches!(result, Ok(Ok(()))), "the runtime does not take a remark: {result:?}");
		}
		times.push(time * 1_000 / u128::from(TRANSACTIONS));
	}
	// The first block also warms the caches up.
	times.remove(0);
	times.sort_unstable();
	times.get(times.len() / 2).copied().context("at least one block is timed")
}
