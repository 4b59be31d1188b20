//! Evidence of what this machine can do.

use super::{ActionError, Task};
use crate::{
	attest::{said, AttestError, Prover},
	plan::Action,
};
use serde_json::json;
use std::time::Duration;

/// The least time for each part of the benchmark: shorter, and what else the machine does shows in the result.
const SECONDS: Duration = Duration::from_secs(12);

impl From<AttestError> for ActionError {
	fn from(e: AttestError) -> Self {
		match e {
			AttestError::Submit(e) => e.into(),
			AttestError::Chain(e) => e.into(),
			e => Self::failed(e),
		}
	}
}

/// Proves the machine's speed, and waits for what the attesters say.
pub(super) async fn attest(task: &Task, action: &Action) -> Result<(), ActionError> {
	let context = &task.context;
	let device = task.view.device.as_ref().map(|d| d.id).ok_or(ActionError::Cancelled)?;
	let key = action.key();
	let (ledger, output) = (&*context.ledger, &context.output);
	let prover = Prover { ledger, output, device, threads: context.threads, key: &key };
	let delivered = {
		// Training and measuring would slow each other down.
		let _permit = context.training.acquire().await.map_err(|_| ActionError::Cancelled)?;
		prover.deliver(SECONDS).await?
	};
	let evidence = prover.verdict(&delivered).await?;
	output.event("attest.done", json!({ "device": device, "evidence": evidence }), said(device, &evidence));
	Ok(())
}
