//! `cairn-worker attest`: proves on chain how fast this machine is, or judges what others prove.

use super::{args::AttestArgs, App, CliError};
use crate::{
	attest::{describe, measure, said, send, speed_of, Prover, DELIVERY},
	benchmark::{self, Pace},
	chain::{Call, Chain, Challenge, Heads, SubmitError, Submitter},
	daemon::{Ledger, LiveLedger},
	journal::NoLog,
	keys::Keys,
	output::Output,
	units::short,
};
use cairn_primitives::{hardware::Measurement, DeviceId, H256};
use serde_json::json;
use std::{
	collections::HashSet,
	ops::ControlFlow,
	sync::Arc,
	time::{Duration, Instant},
};

/// For how many blocks it is one attester's turn to draw for re-checks.
const TURN: u32 = 10;
/// The pause after an attester could not read the chain.
const RETRY: Duration = Duration::from_secs(10);

pub(super) async fn run(app: &App, args: AttestArgs) -> Result<(), CliError> {
	let cores = std::thread::available_parallelism().map_or(1, usize::from);
	let threads = args.threads.map_or(cores, |n| n.get().into());
	let seconds = Duration::from_secs(args.seconds.into());
	if args.measure_only {
		let measurement = measure(&app.output, H256::zero(), seconds, threads).await?;
		let speed = speed_of(&measurement)?;
		app.output.result(
			&json!({ "speed": speed, "measurement": measurement, "threads": threads }),
			format!("{} on {threads} threads", describe(&speed)),
		);
		Ok(())
	} else if args.judge {
		Judge::new(app, threads).await?.run().await
	} else {
		prove(app, threads, seconds).await
	}
}

/// Has this account's device attested.
async fn prove(app: &App, threads: usize, seconds: Duration) -> Result<(), CliError> {
	let base = app.base()?;
	let keys = Keys::load(&base)?;
	let (chain, heads) = app.connect_for_command(&base).await?;
	let submitter = Submitter::new(chain.clone(), heads.clone(), keys.signer().clone(), Arc::new(NoLog));
	let ledger = LiveLedger::new(chain, heads, submitter, keys.network_key());
	let me = keys.account_id();
	let device = ledger.device_of(&me).await?.ok_or_else(|| {
		CliError::Failed(format!("{me} has no device to attest: run `cairn-worker register` first"))
	})?;
	let prover = Prover { ledger: &ledger, output: &app.output, device: device.id, threads, key: "attest" };
	let delivered = prover.deliver(seconds).await?;
	let evidence = prover.verdict(&delivered).await?;
	let text = said(device.id, &evidence);
	app.output.result(&json!({ "device": device.id, "evidence": evidence }), text);
	Ok(())
}

/// An attester.
struct Judge<'a> {
	output: &'a Output,
	chain: Chain,
	heads: Heads,
	submitter: Submitter,
	block_time: Duration,
	threads: usize,
	pace: Pace,
	/// What needs no further look.
	done: HashSet<(DeviceId, H256)>,
	/// Whether it was said that this account is no attester.
	said: bool,
}

impl<'a> Judge<'a> {
	async fn new(app: &'a App, threads: usize) -> Result<Self, CliError> {
		let base = app.base()?;
		let keys = Keys::load(&base)?;
		// An attester waits for nodes for ever, as the daemon does.
		let chain = app.connect(&base, None).await?;
		let heads = Heads::follow(&chain).await?;
		let submitter = Submitter::new(chain.clone(), heads.clone(), keys.signer().clone(), Arc::new(NoLog));
		let block_time = chain.block_time(heads.finalised_now()).await?;
		let pace =
			tokio::task::spawn_blocking(move || Pace::take(threads)).await.map_err(CliError::failed)?;
		let text = format!("attester {} is ready", submitter.account());
		app.output.event("attester.started", json!({ "account": submitter.account() }), text);
		let (done, said) = (HashSet::new(), false);
		Ok(Self { output: &app.output, chain, heads, submitter, block_time, threads, pace, done, said })
	}

	async fn run(mut self) -> Result<(), CliError> {
		let mut finalised = self.heads.finalised.clone();
		loop {
			finalised.borrow_and_update();
			if let Err(e) = self.look().await {
				self.output.event(
					"attester.waiting",
					json!({ "error": e.to_string() }),
					format!("waiting: {e}"),
				);
				tokio::time::sleep(RETRY).await;
			}
			if finalised.changed().await.is_err() {
				// Following ended; only a chain mix-up does that, and the log says so.
				tokio::time::sleep(RETRY).await;
			}
		}
	}

	/// Does everything there is to do at the newest finalised block.
	async fn look(&mut self) -> Result<(), CliError> {
		let head = self.heads.finalised_now();
		let at = Some(head.hash);
		let attesters = self.chain.attesters(at).await?;
		let me = *self.submitter.account();
		let Some(place) = attesters.members.iter().position(|who| *who == me) else {
			if !std::mem::replace(&mut self.said, true) {
				let text = format!("{me} is no attester; waiting until governance names it");
				self.output.event("attester.waiting", json!({ "account": me }), text);
			}
			return Ok(());
		};
		self.said = false;
		// One after the other, so that not all pay for what only the first gets for nothing.
		let turn = (head.number / TURN) as usize % attesters.members.len();
		if turn == place && self.chain.recheck_is_due(at).await? {
			self.recheck().await?;
		}
		let open = self.chain.challenges_to_judge(at).await?;
		self.done
			.retain(|(device, nonce)| open.iter().any(|c| c.device == *device && c.nonce == Some(*nonce)));
		for challenge in open {
			let Some((nonce, measurement)) = challenge.nonce.zip(challenge.measurement) else { continue };
			let key = (challenge.device, nonce);
			if challenge.statements.iter().any(|s| s.attester == me) || self.done.contains(&key) {
				continue;
			}
			if self.judge(&challenge, nonce, measurement).await? {
				self.done.insert(key);
			}
		}
		Ok(())
	}

	async fn recheck(&self) -> Result<(), CliError> {
		match send(|| self.submitter.submit("attest/recheck", &Call::Recheck)).await {
			Ok(landed) => {
				let drawn = landed.events.iter().filter(|e| e.name == "RecheckOrdered").count();
				let text = format!("drew {drawn} devices for a re-check in block {}", landed.block);
				self.output.event("attester.drew", json!({ "devices": drawn, "block": landed.block }), text);
				Ok(())
			},
			// Somebody else was faster.
			Err(e) if e.is_refusal("Hardware", "TooSoon") => Ok(()),
			Err(e) => Err(e.into()),
		}
	}

	/// Until when a statement must be sent to be in block `state_by`.
	fn time_until(&self, state_by: u32) -> Duration {
		self.block_time * state_by.saturating_sub(self.heads.best_now() + DELIVERY)
	}

	/// Takes the pace once more and keeps the better of the two: what else the machine does only ever slows it down.
	async fn retake_pace(&mut self) -> Result<(), CliError> {
		let threads = self.threads;
		let now = tokio::task::spawn_blocking(move || Pace::take(threads)).await.map_err(CliError::failed)?;
		self.pace = self.pace.better(now);
		Ok(())
	}

	/// Runs a device's benchmark again and states what it showed. Whether this needs no further look.
	async fn judge(
		&mut self,
		challenge: &Challenge,
		nonce: H256,
		measurement: Measurement,
	) -> Result<bool, CliError> {
		let device = challenge.device;
		let state_by = challenge.state_by.unwrap_or(0);
		if self.pace.of(&measurement) > self.time_until(state_by) {
			// The pace may have been taken while the machine was busy with something else.
			self.retake_pace().await?;
		}
		let (left, needed) = (self.time_until(state_by), self.pace.of(&measurement));
		if needed > left {
			let (needed, left) = (needed.as_secs(), left.as_secs());
			let text = format!(
				"device {device}: running its benchmark again takes about {needed} s here, and the chain gives {left} s; left to faster \
				 attesters"
			);
			let fields = json!({ "device": device, "nonce": nonce, "needed": needed, "left": left });
			self.output.event("attester.skipped", fields, text);
			return Ok(true);
		}
		let text = format!("device {device}: running its benchmark again, for about {} s", needed.as_secs());
		self.output.event("attester.checking", json!({ "device": device, "nonce": nonce }), text);
		let (threads, started) = (self.threads, Instant::now());
		// As long as there is any point in it.
		let work = move || {
			let count = (measurement.products, measurement.sweeps);
			benchmark::replay(&nonce, count, threads, &mut |_, _, _| {
				if started.elapsed() > left {
					ControlFlow::Break(())
				} else {
					ControlFlow::Continue(())
				}
			})
		};
		let Ok(digest) = tokio::task::spawn_blocking(work).await.map_err(CliError::failed)? else {
			let text = format!("device {device}: the time ran out before its benchmark was done");
			self.output.event("attester.skipped", json!({ "device": device, "nonce": nonce }), text);
			return Ok(true);
		};
		let statement = if digest == measurement.digest { measurement.speed() } else { None };
		let found = match &statement {
			Some(speed) => format!("it is {}", describe(speed)),
			None => format!(
				"its measurement is false: the digest is {}, not {}",
				short(&digest),
				short(&measurement.digest)
			),
		};
		let key = format!("attest/{device}/{nonce:?}");
		let call = Call::Attest { device, nonce, statement };
		match send(|| self.submitter.submit(&key, &call)).await {
			Ok(landed) => {
				let fields =
					json!({ "device": device, "nonce": nonce, "speed": statement, "block": landed.block });
				let text = format!("device {device}: stated that {found}");
				self.output.event("attester.stated", fields, text);
			},
			// Decided without this attester, too late, or not for it to say.
			Err(SubmitError::Refused { refused, .. }) => {
				let fields = json!({ "device": device, "nonce": nonce, "reason": refused.to_string() });
				let text = format!("device {device}: the statement was not needed: {refused}");
				self.output.event("attester.refused", fields, text);
			},
			// Read the chain again and see.
			Err(SubmitError::Lost { .. }) => return Ok(false),
			Err(e) => return Err(e.into()),
		}
		Ok(true)
	}
}
