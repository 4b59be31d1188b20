//! What a person is told when the chain says no.

use crate::units;
use std::borrow::Cow;
use subxt::{error::DispatchError, utils::AccountId32};

/// Why a call had no effect although its transaction is in a block.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refused {
	/// The pallet, or `System` for errors that are nobody's in particular.
	pub pallet: String,
	/// The error's name in the metadata.
	pub name: String,
	/// What the metadata says about it: cause and remedy.
	pub docs: String,
}

impl std::fmt::Display for Refused {
	fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
		write!(f, "{}.{}: {}", self.pallet, self.name, self.explanation())
	}
}

impl Refused {
	/// Reads what the metadata knows about a dispatch error.
	pub fn from_dispatch(error: &DispatchError) -> Self {
		match error {
			DispatchError::Module(module) => match module.details() {
				Ok(details) => Self {
					pallet: details.pallet.name().to_string(),
					name: details.variant.name.clone(),
					docs: join_docs(&details.variant.docs),
				},
				Err(_) => Self {
					pallet: "System".into(),
					name: module.details_string(),
					docs: "the metadata does not know this error; use a worker of the node's release".into(),
				},
			},
			other => Self { pallet: "System".into(), name: format!("{other:?}"), docs: other.to_string() },
		}
	}

	/// Whether this is the named error of the named pallet.
	pub fn is(&self, pallet: &str, name: &str) -> bool {
		self.pallet == pallet && self.name == name
	}

	/// Cause and remedy in the words of a worker's operator, or the metadata's words.
	pub fn explanation(&self) -> Cow<'_, str> {
		let text = match (self.pallet.as_str(), self.name.as_str()) {
			("Training", "CommitWindowClosed" | "WindowClosed") => {
				"the window closed before this arrived. Nothing is lost: the next round is open to everyone. If it \
				 happens often, the device is too slow for the programme's local steps, or the node lags"
			},
			("Training", "AlreadyCommitted") => "this device has committed its update for the round already",
			("Training", "NotDue") => "somebody else has moved the round on already",
			("Training", "BondTooSmall") => "bond more: `cairn-worker register --aggregator --bond CRN`",
			("Training", "DeviceNotActive") | ("Hardware", "NotADevice") => {
				"this account has no active device: run `cairn-worker register`"
			},
			("Hardware", "NotSiteOwner") => {
				"only the site's owner may register devices there: give the owner's key with --owner-suri"
			},
			("Hardware", "UnknownSite") => "there is no site of this number: check --site, or use --site-name",
			("Hardware", "ImplausibleMeasurement") => {
				"the benchmark's parts took too small a share of the time the chain saw pass: run it for longer, with --seconds"
			},
			("Rewards", "NothingToClaim") => {
				"nothing is claimable yet; rewards come with finalised rounds (`cairn-worker status` shows them)"
			},
			("Balances", "InsufficientBalance") | ("System", "Token(FundsUnavailable)") => {
				"the account does not hold enough free CRN for this: send it more"
			},
			_ if self.docs.is_empty() => "the chain gives no more detail",
			_ => return Cow::Borrowed(&self.docs),
		};
		Cow::Borrowed(text)
	}
}

fn join_docs(lines: &[String]) -> String {
	lines.iter().map(|l| l.trim()).filter(|l| !l.is_empty()).collect::<Vec<_>>().join(" ")
}

/// What the transaction pool's answer means for a transaction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PoolAnswer {
	/// It is there already: as good as accepted.
	AlreadyThere,
	/// The nonce is used: it, or another transaction of the account, is in a block.
	Stale,
	/// The account cannot pay.
	CannotPay,
	/// Sign it again at a newer block: it is too old, or the runtime has changed since.
	SignAgain,
	/// The pool is full, or another transaction holds the place; later may work.
	Later(String),
	/// No use to try again.
	Never(String),
}

/// Reads the answer to `author_submitExtrinsic`. Codes and texts are those of sc-rpc-api's author errors and of
/// sp-runtime's `InvalidTransaction`.
pub fn read_pool_answer(code: i32, message: &str, data: Option<&str>) -> PoolAnswer {
	let detail = data.unwrap_or(message);
	let has = |needle: &str| detail.contains(needle) || message.contains(needle);
	match code {
		1013 => PoolAnswer::AlreadyThere,
		1010 if has("Inability to pay") => PoolAnswer::CannotPay,
		1010 if has("outdated") => PoolAnswer::Stale,
		1010 if has("ancient birth block") || has("bad signature") => PoolAnswer::SignAgain,
		1010 if has("exhaust") || has("in the future") => PoolAnswer::Later(detail.to_string()),
		1010 => PoolAnswer::Never(detail.to_string()),
		// Banned for a while because it was not valid when a block was built; signed anew it is another one.
		1012 => PoolAnswer::SignAgain,
		1002 | 1011 | 1014..=1021 => PoolAnswer::Later(detail.to_string()),
		_ => PoolAnswer::Never(format!("{message} ({code})")),
	}
}

/// What to tell the owner of an account that cannot pay fees.
pub fn cannot_pay(account: &AccountId32, genesis: &cairn_primitives::H256) -> String {
	format!(
		"account {account} on chain {} cannot pay fees: send it {}, e.g. 10 {} from any wallet (polkadot.js Apps: Accounts → \
		 Transfer), then try again",
		units::short(genesis),
		units::SYMBOL,
		units::SYMBOL
	)
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn pool_answers_are_told_apart_by_code_and_text() {
		let invalid = |data| read_pool_answer(1010, "Invalid Transaction", Some(data));
		let unpaid = "Inability to pay some fees (e.g. account balance too low)";
		assert_eq!(invalid(unpaid), PoolAnswer::CannotPay);
		assert_eq!(invalid("Transaction is outdated"), PoolAnswer::Stale);
		assert_eq!(invalid("Transaction has an ancient birth block"), PoolAnswer::SignAgain);
		assert_eq!(invalid("Transaction has a bad signature"), PoolAnswer::SignAgain);
		assert_eq!(invalid("Custom error: 7"), PoolAnswer::Never("Custom error: 7".into()));
		assert_eq!(read_pool_answer(1013, "Transaction Already Imported", None), PoolAnswer::AlreadyThere);
		assert_eq!(read_pool_answer(1012, "Transaction is temporarily banned", None), PoolAnswer::SignAgain);
		assert!(matches!(read_pool_answer(1014, "Priority is too low", None), PoolAnswer::Later(_)));
		assert!(matches!(read_pool_answer(1016, "Immediately Dropped", None), PoolAnswer::Later(_)));
		assert!(matches!(read_pool_answer(-32601, "Method not found", None), PoolAnswer::Never(_)));
	}

	#[test]
	fn unfunded_account_is_told_which_account_which_chain_and_what_to_do() {
		let text = cannot_pay(&AccountId32([1; 32]), &cairn_primitives::H256([2; 32]));
		assert!(text.contains(&AccountId32([1; 32]).to_string()), "{text}");
		assert!(text.contains("0x02020202") && text.contains("send it CRN"), "{text}");
	}

	#[test]
	fn refusal_explains_itself_in_our_words_or_the_metadatas() {
		let refused = |pallet: &str, name: &str, docs: &str| {
			Refused { pallet: pallet.into(), name: name.into(), docs: docs.into() }.to_string()
		};
		let closed = refused("Training", "CommitWindowClosed", "x");
		assert!(closed.starts_with("Training.CommitWindowClosed: ") && closed.contains("Nothing is lost"));
		assert_eq!(refused("Other", "Odd", "Because. Do this."), "Other.Odd: Because. Do this.");
		assert!(refused("Other", "Odd", "").contains("no more detail"));
	}

	#[test]
	fn docs_of_an_error_become_one_line() {
		let lines =
			[" The window".to_string(), "  is closed.".to_string(), String::new(), " Wait.".to_string()];
		assert_eq!(join_docs(&lines), "The window is closed. Wait.");
	}
}
