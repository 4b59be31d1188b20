//! `cairn-worker claim` and `fund`

use super::{
	args::{ClaimArgs, FundArgs},
	App, CliError,
};
use crate::{
	chain::{Call, Chain, Submitter},
	journal::NoLog,
	keys::Keys,
	units::format_amount,
};
use cairn_primitives::{ProgrammeId, H256};
use serde_json::json;
use std::sync::Arc;

/// Says which programmes there are when this one is not.
async fn known(chain: &Chain, at: Option<H256>, id: ProgrammeId) -> Result<(), CliError> {
	if chain.programme(id, at).await?.is_some() {
		return Ok(());
	}
	let known: Vec<String> = chain.programmes(at).await?.iter().map(u32::to_string).collect();
	Err(CliError::Failed(format!(
		"programme {id} does not exist on this chain; there are: {}",
		if known.is_empty() { "none".into() } else { known.join(", ") }
	)))
}

pub(super) async fn claim(app: &App, args: &ClaimArgs) -> Result<(), CliError> {
	let base = app.base()?;
	let keys = Keys::load(&base)?;
	let (chain, heads) = app.connect_for_command(&base).await?;
	let id = args.programme;
	let at = Some(heads.finalised_now().hash);
	known(&chain, at, id).await?;
	let claimable = chain.rewards(id, &keys.account_id(), at).await?.claimable;
	if claimable == 0 {
		let value = json!({ "programme": id, "claimed": "0" });
		app.output.result(&value, format!("programme {id} owes this worker nothing now"));
		return Ok(());
	}
	let submitter = Submitter::new(chain, heads, keys.signer().clone(), Arc::new(NoLog));
	let landed = submitter.submit("claim", &Call::Claim { programme: id }).await?;
	// What was paid may be more than what was claimable a moment ago.
	let paid = landed.number("Rewards", "Claimed", "amount").unwrap_or(claimable);
	let value = json!({ "programme": id, "claimed": paid.to_string(), "block": landed.block });
	app.output
		.result(&value, format!("programme {id} paid {} in block {}", format_amount(paid), landed.block));
	Ok(())
}

pub(super) async fn fund(app: &App, args: &FundArgs) -> Result<(), CliError> {
	let base = app.base()?;
	let keys = Keys::load(&base)?;
	let (chain, heads) = app.connect_for_command(&base).await?;
	let FundArgs { programme, amount } = *args;
	known(&chain, Some(heads.finalised_now().hash), programme).await?;
	let submitter = Submitter::new(chain, heads, keys.signer().clone(), Arc::new(NoLog));
	let landed = submitter.submit("fund", &Call::Fund { programme, amount }).await?;
	let value = json!({ "programme": programme, "funded": amount.to_string(), "block": landed.block });
	let text = format!("programme {programme} got {} in block {}", format_amount(amount), landed.block);
	app.output.result(&value, text);
	Ok(())
}
