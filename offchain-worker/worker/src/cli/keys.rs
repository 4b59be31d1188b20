//! `cairn-worker keys`

use super::{args::KeysCommand, App, CliError};
use crate::{keys::Keys, units::hex};
use serde_json::json;

pub(super) fn run(app: &App, command: KeysCommand) -> Result<(), CliError> {
	let base = app.base()?;
	let (keys, made) = match command {
		KeysCommand::Generate { suri, force } => (Keys::generate(&base, suri.as_deref(), force)?, true),
		KeysCommand::Show => (Keys::load(&base)?, false),
	};
	let account = keys.account_id();
	let value = json!({
		"account": account,
		"publicKey": hex(account.0),
		"peerId": keys.peer_id().to_string(),
		"networkKey": hex(keys.network_key()),
	});
	let mut text = format!(
		"account      {account}\npublic key   {}\npeer id      {}\nnetwork key  {}",
		hex(account.0),
		keys.peer_id(),
		hex(keys.network_key())
	);
	if made {
		text += &format!(
			"\n\nKeys are in {}. Back this folder up: whoever loses it loses the account. The mnemonic alone brings the \
			 account back with a new network key, which `cairn-worker register` binds.\nNext: send the account some CRN, then \
			 `cairn-worker register`.",
			base.keys().display()
		);
	}
	app.output.result(&value, text);
	Ok(())
}
