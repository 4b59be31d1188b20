//! What the programs here share: transactions signed without a node, and chains with a past.

pub mod chain;
pub mod program;

use cairn_runtime::{AccountId, RuntimeCall, TxExtension, UncheckedExtrinsic, VERSION};
use codec::Encode;
use sp_core::{crypto::Pair as _, sr25519::Pair, H256};
use sp_runtime::{generic, traits::IdentifyAccount, MultiAddress, MultiSigner};

/// The account of a key.
pub fn account(pair: &Pair) -> AccountId {
	MultiSigner::from(pair.public()).into_account()
}

/// A transaction that is valid for ever and pays no tip.
pub fn sign(call: RuntimeCall, pair: &Pair, nonce: u32, genesis: H256) -> UncheckedExtrinsic {
	let extension: TxExtension = (
		frame_system::CheckNonZeroSender::new(),
		frame_system::CheckSpecVersion::new(),
		frame_system::CheckTxVersion::new(),
		frame_system::CheckGenesis::new(),
		frame_system::CheckEra::from(generic::Era::Immortal),
		frame_system::CheckNonce::from(nonce),
		frame_system::CheckWeight::new(),
		pallet_transaction_payment::ChargeTransactionPayment::from(0),
		frame_metadata_hash_extension::CheckMetadataHash::new(false),
		frame_system::WeightReclaim::new(),
	);
	let implicit =
		((), VERSION.spec_version, VERSION.transaction_version, genesis, genesis, (), (), (), None, ());
	let payload = generic::SignedPayload::from_raw(call.clone(), extension.clone(), implicit);
	let signature = payload.using_encoded(|payload| pair.sign(payload));
	let signer = MultiAddress::Id(account(pair));
	UncheckedExtrinsic::new_signed(call, signer, signature.into(), extension)
}
