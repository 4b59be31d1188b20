//! Transactions of any account, signed here and sent over the public RPC, so that the chain is asked things that
//! `cairn-worker` would never do.

use anyhow::{anyhow, bail, Context, Result};
use cairn_devnet::rpc::Rpc;
use cairn_primitives::H256;
use jsonrpsee::{core::traits::ToRpcParams, rpc_params};
use serde_json::{value::RawValue, Value as Json};
use std::{str::FromStr, sync::Arc};
use subxt::{
	backend::LegacyBackend,
	config::{
		substrate::{SubstrateConfig, SubstrateConfigBuilder},
		DefaultExtrinsicParamsBuilder,
	},
	dynamic::{self, Value},
	error::DispatchError,
	events::Phase,
	ext::scale_value::Composite,
	rpcs::{
		self,
		client::{RawRpcFuture, RawRpcSubscription},
	},
	OnlineClient,
};
use subxt_signer::{sr25519::Keypair, SecretUri};

/// How many blocks a transaction may wait.
const MORTALITY: u32 = 32;

/// What became of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
	/// It is in a finalised block and had effect.
	Applied,
	/// It is in a finalised block and the call was refused with this error, as the metadata names it.
	Refused(String),
}

/// Pallet, call and arguments.
pub type Call = (&'static str, &'static str, Vec<Value>);

/// Calls of one account.
pub struct Account {
	rpc: Rpc,
	client: OnlineClient<SubstrateConfig>,
	key: Keypair,
}

struct Adapter(Rpc);

struct Params(Option<Box<RawValue>>);

impl ToRpcParams for Params {
	fn to_rpc_params(self) -> Result<Option<Box<RawValue>>, serde_json::Error> {
		Ok(self.0)
	}
}

impl rpcs::RpcClientT for Adapter {
	fn request_raw<'a>(
		&'a self,
		method: &'a str,
		params: Option<Box<RawValue>>,
	) -> RawRpcFuture<'a, Box<RawValue>> {
		Box::pin(async move {
			let answer = self.0.call(method, Params(params)).await;
			answer.map_err(|e| rpcs::Error::Client(e.to_string().into()))
		})
	}

	fn subscribe_raw<'a>(
		&'a self,
		sub: &'a str,
		_: Option<Box<RawValue>>,
		_: &'a str,
	) -> RawRpcFuture<'a, RawRpcSubscription> {
		// Blocks are followed with the devnet's own client.
		Box::pin(async move { Err(rpcs::Error::Client(format!("no subscription to {sub} here").into())) })
	}
}

/// A number as an argument.
pub fn number(n: u32) -> Value {
	Value::u128(n.into())
}

impl Account {
	/// The account of a secret URI, on the chain of this node.
	pub async fn new(rpc: Rpc, suri: &str) -> Result<Self> {
		let uri = SecretUri::from_str(suri).map_err(|e| anyhow!("{e}"))?;
		let key = Keypair::from_uri(&uri).map_err(|e| anyhow!("{e}"))?;
		let genesis = H256::from_str(&rpc.genesis().await?)?;
		let config = SubstrateConfigBuilder::new().set_genesis_hash(genesis).build();
		let backend = LegacyBackend::builder().build(rpcs::RpcClient::new(Adapter(rpc.clone())));
		let client = OnlineClient::from_backend_with_config(config, Arc::new(backend)).await?;
		Ok(Self { rpc, client, key })
	}

	/// Its address.
	pub fn address(&self) -> String {
		subxt::utils::AccountId32(self.id()).to_string()
	}

	/// Its public key.
	pub fn id(&self) -> [u8; 32] {
		self.key.public_key().0
	}

	/// Sends these calls at once, with consecutive nonces, waits until all are finalised, and says what became of each.
	pub async fn send(&self, calls: Vec<Call>) -> Result<Vec<Outcome>> {
		let mut heads = self.rpc.heads().await?;
		let head = self.rpc.finalised().await?;
		let hash = H256::from_str(&head.hash)?;
		let at = self.client.at_block_hash_and_number(hash, head.number.into()).await?;
		let account = self.address();
		let nonce: u64 = self.rpc.call("system_accountNextIndex", rpc_params![&account]).await?;
		let mut waiting = Vec::new();
		for (offset, (pallet, call, arguments)) in (0u64..).zip(calls) {
			let payload = dynamic::transaction(pallet, call, Composite::unnamed(arguments));
			let params = DefaultExtrinsicParamsBuilder::<SubstrateConfig>::new()
				.nonce(nonce + offset)
				.mortal_from_unchecked(MORTALITY.into(), head.number.into(), hash)
				.build();
			let transactions = at.transactions();
			let signed = transactions.create_signable_offline(&payload, params)?.sign(&self.key)?;
			let bytes: String = signed.into_encoded().iter().map(|b| format!("{b:02x}")).collect();
			let bytes = format!("0x{bytes}");
			let _: String = self.rpc.call("author_submitExtrinsic", rpc_params![&bytes]).await?;
			waiting.push(bytes);
		}
		let mut outcomes = vec![None; waiting.len()];
		let mut next = head.number + 1;
		while outcomes.iter().any(Option::is_none) {
			let newest = heads.next().await?.number;
			if newest > head.number + MORTALITY {
				bail!("a transaction of {account} was not taken into a block in time");
			}
			while next <= newest {
				for (place, bytes) in waiting.iter().enumerate() {
					if let Some(outcome) = self.find(next, bytes).await? {
						outcomes[place] = Some(outcome);
					}
				}
				next += 1;
			}
		}
		Ok(outcomes.into_iter().flatten().collect())
	}

	async fn find(&self, number: u32, bytes: &str) -> Result<Option<Outcome>> {
		let hash = self.rpc.block_hash(number).await?;
		let block: Json = self.rpc.call("chain_getBlock", rpc_params![&hash]).await?;
		let extrinsics = block["block"]["extrinsics"].as_array().context("a block has extrinsics")?;
		let Some(index) = extrinsics.iter().position(|x| x == bytes) else { return Ok(None) };
		let at = self.client.at_block_hash_and_number(H256::from_str(&hash)?, number.into()).await?;
		for event in at.events().fetch().await?.iter() {
			let event = event?;
			let failed = event.pallet_name() == "System" && event.event_name() == "ExtrinsicFailed";
			if failed && event.phase() == Phase::ApplyExtrinsic(index as u32) {
				let error = DispatchError::decode_from(event.field_bytes(), at.metadata())?;
				return Ok(Some(Outcome::Refused(match &error {
					DispatchError::Module(module) => {
						let details = module.details()?;
						format!("{}.{}", details.pallet.name(), details.variant.name)
					},
					other => format!("{other:?}"),
				})));
			}
		}
		Ok(Some(Outcome::Applied))
	}
}
