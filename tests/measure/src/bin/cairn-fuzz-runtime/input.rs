//! What is done to a chain, as bytes: to be written down and done again.

use super::{
	chain::{account, Chain},
	rt::*,
};
use anyhow::{bail, Context, Result};
use codec::{DecodeLimit, Encode};
use frame_support::{
	dispatch::{DispatchInfo, GetDispatchInfo, PostDispatchInfo},
	MAX_EXTRINSIC_DEPTH,
};
use governance::pallet_custom_origins::Origin as Office;
use sp_runtime::{generic::Preamble, traits::Dispatchable, transaction_validity::TransactionSource};
use std::{fmt, str::FromStr};

/// With what origin a call is dispatched. Root is none of them: root may stop the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaker {
	/// As a bare extrinsic.
	Nobody,
	/// An account.
	Account(u8),
	/// The origin of a track.
	Office(u8),
	/// So many of the three members of the technical committee.
	Committee(u8),
}

impl Speaker {
	/// The origin itself.
	pub fn origin(self) -> RuntimeOrigin {
		match self {
			Speaker::Nobody => RuntimeOrigin::none(),
			Speaker::Account(n) => RuntimeOrigin::signed(account(n)),
			Speaker::Office(0) => Office::WhitelistedCaller.into(),
			Speaker::Office(1) => Office::ProgrammeAdmin.into(),
			Speaker::Office(2) => Office::PolicyAdmin.into(),
			Speaker::Office(3) => Office::Treasurer.into(),
			Speaker::Office(4) => Office::RegistryAdmin.into(),
			Speaker::Office(_) => Office::SafetyStop.into(),
			Speaker::Committee(n) => {
				pallet_collective::RawOrigin::<AccountId, pallet_collective::Instance1>::Members(n.into(), 3)
					.into()
			},
		}
	}
}

/// One thing that is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
	/// The block ends, and the next one comes so many slots late.
	Block(u64),
	/// So many empty blocks, of which only those are made that something is scheduled for.
	Leap(u32),
	/// An extrinsic is validated and applied.
	Extrinsic(Vec<u8>),
	/// A call is dispatched.
	Call(Speaker, Vec<u8>),
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
	/// A block began.
	Block,
	/// The bytes mean nothing.
	Undecodable,
	/// What a block's author adds, which makes the block invalid when it is wrong.
	Inherent,
	/// The extrinsic is invalid.
	Invalid,
	/// The extrinsic is valid but does not fit into the block.
	Exhausted,
	/// It failed, and changed nothing but the fee.
	Failed,
	/// It was done.
	Done,
}

/// That, and of what.
#[derive(Clone, Debug)]
pub struct Effect {
	/// What came of it.
	pub outcome: Outcome,
	/// The call, if it is one.
	pub call: Option<String>,
	/// How much it weighed, when that was more than it had declared before.
	pub overweight: Option<String>,
}

impl From<Outcome> for Effect {
	fn from(outcome: Outcome) -> Self {
		Self { outcome, call: None, overweight: None }
	}
}

impl Input {
	/// Does it.
	pub fn apply(&self, chain: &mut Chain) -> Effect {
		match self {
			Input::Block(skipped) => {
				chain.next_block(*skipped);
				Outcome::Block.into()
			},
			Input::Leap(blocks) => {
				chain.leap(*blocks);
				Outcome::Block.into()
			},
			Input::Extrinsic(bytes) => chain.run(|| extrinsic(bytes)),
			Input::Call(speaker, bytes) => chain.run(|| call(*speaker, bytes)),
		}
	}
}

/// As `BlockBuilder` and the transaction pool do.
fn extrinsic(bytes: &[u8]) -> Effect {
	let decode = || UncheckedExtrinsic::decode_all_with_depth_limit(MAX_EXTRINSIC_DEPTH, &mut &bytes[..]);
	let Ok(decoded) = decode() else { return Outcome::Undecodable.into() };
	if matches!(decoded.function, RuntimeCall::Timestamp(_)) && matches!(decoded.preamble, Preamble::Bare(_))
	{
		return Outcome::Inherent.into();
	}
	// What was decoded must say again what it was decoded from, or nobody could follow the block.
	let again =
		UncheckedExtrinsic::decode_all_with_depth_limit(MAX_EXTRINSIC_DEPTH, &mut &decoded.encode()[..]);
	assert!(again.is_ok_and(|again| again == decoded), "an extrinsic's encoding decodes to something else");

	let call = Some(name(&decoded.function));
	sp_io::storage::start_transaction();
	let source = TransactionSource::External;
	let validity = Executive::validate_transaction(source, decoded.clone(), System::parent_hash());
	sp_io::storage::rollback_transaction();

	sp_io::storage::start_transaction();
	let applied = Executive::apply_extrinsic(decoded);
	match applied {
		Ok(_) => sp_io::storage::commit_transaction(),
		Err(_) => sp_io::storage::rollback_transaction(),
	}
	let outcome = match (validity, applied) {
		(_, Ok(Ok(()))) => Outcome::Done,
		(_, Ok(Err(_))) => Outcome::Failed,
		(_, Err(error)) if error.exhausted_resources() => Outcome::Exhausted,
		_ => Outcome::Invalid,
	};
	Effect { outcome, call, overweight: None }
}

fn call(speaker: Speaker, bytes: &[u8]) -> Effect {
	let Ok(call) = RuntimeCall::decode_all_with_depth_limit(MAX_EXTRINSIC_DEPTH, &mut &bytes[..]) else {
		return Outcome::Undecodable.into();
	};
	if speaker == Speaker::Nobody && matches!(call, RuntimeCall::Timestamp(_)) {
		return Outcome::Inherent.into();
	}
	let info = call.get_dispatch_info();
	let name = name(&call);
	let done = call.dispatch(speaker.origin());
	let post = match &done {
		Ok(post) => post,
		Err(error) => &error.post_info,
	};
	Effect {
		outcome: if done.is_ok() { Outcome::Done } else { Outcome::Failed },
		overweight: overweight(&info, post),
		call: Some(name),
	}
}

fn name(call: &RuntimeCall) -> String {
	use frame_support::traits::GetCallMetadata;
	let metadata = call.get_call_metadata();
	format!("{}.{}", metadata.pallet_name, metadata.function_name)
}

fn overweight(info: &DispatchInfo, post: &PostDispatchInfo) -> Option<String> {
	let actual = post.actual_weight?;
	actual.any_gt(info.call_weight).then(|| format!("{actual} instead of {}", info.call_weight))
}

impl fmt::Display for Speaker {
	fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
		match self {
			Speaker::Nobody => f.write_str("nobody"),
			Speaker::Account(n) => write!(f, "account-{n}"),
			Speaker::Office(n) => write!(f, "office-{n}"),
			Speaker::Committee(n) => write!(f, "committee-{n}"),
		}
	}
}

impl FromStr for Speaker {
	type Err = anyhow::Error;

	fn from_str(text: &str) -> Result<Self> {
		if text == "nobody" {
			return Ok(Speaker::Nobody);
		}
		let (kind, number) = text.split_once('-').context("a speaker is `nobody` or `KIND-NUMBER`")?;
		let number = number.parse().with_context(|| format!("`{number}` is no number"))?;
		match kind {
			"account" => Ok(Speaker::Account(number)),
			"office" => Ok(Speaker::Office(number)),
			"committee" => Ok(Speaker::Committee(number)),
			_ => bail!("`{kind}` is no kind of speaker"),
		}
	}
}

impl fmt::Display for Input {
	fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
		match self {
			Input::Block(skipped) => write!(f, "block {skipped}"),
			Input::Leap(blocks) => write!(f, "leap {blocks}"),
			Input::Extrinsic(bytes) => write!(f, "extrinsic {}", hexadecimal(bytes)),
			Input::Call(speaker, bytes) => write!(f, "call {speaker} {}", hexadecimal(bytes)),
		}
	}
}

impl FromStr for Input {
	type Err = anyhow::Error;

	fn from_str(line: &str) -> Result<Self> {
		let mut words = line.split_whitespace();
		let mut word = || words.next().with_context(|| format!("`{line}` is too short"));
		match word()? {
			"block" => Ok(Input::Block(word()?.parse()?)),
			"leap" => Ok(Input::Leap(word()?.parse()?)),
			"extrinsic" => Ok(Input::Extrinsic(bytes(word()?)?)),
			"call" => Ok(Input::Call(word()?.parse()?, bytes(word()?)?)),
			other => bail!("`{other}` is nothing that can be done"),
		}
	}
}

fn hexadecimal(bytes: &[u8]) -> String {
	format!("0x{}", sp_core::hexdisplay::HexDisplay::from(&bytes))
}

fn bytes(text: &str) -> Result<Vec<u8>> {
	sp_core::bytes::from_hex(text).ok().with_context(|| format!("`{text}` is not hexadecimal"))
}
