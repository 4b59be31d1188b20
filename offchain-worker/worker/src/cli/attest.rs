//! `cairn-worker attest`: proves on chain how fast this machine is, or judges what others prove.

use super::{args::AttestArgs, App, CliError};
use crate::{
	benchmark::{self, Pace, Part},
	chain::{Call, Chain, Challenge, Device, Heads, Landed, SubmitError, Submitter},
	journal::NoLog,
	keys::Keys,
	output::Output,
	units::short,
};
use cairn_primitives::{
	hardware::{attestation_nonce, Measurement, Speed},
	DeviceId, H256,
};
use serde_json::json;
use std::{
	collections::HashSet,
	ops::ControlFlow,
	sync::Arc,
	time::{Duration, Instant},
};

/// How often a transaction that got lost is made anew.
const ATTEMPTS: u32 = 3;
/// Blocks that a measurement needs to get into a block, with some to spare.
const DELIVERY: u32 = 3;
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
		Proof::new(app, threads).await?.run(seconds).await
	}
}

fn describe(speed: &Speed) -> String {
	format!("{:.1} GFLOP/s, {:.1} GB/s", speed.flops as f64 / 1e9, speed.bandwidth as f64 / 1e9)
}

fn speed_of(measurement: &Measurement) -> Result<Speed, CliError> {
	measurement.speed().ok_or_else(|| CliError::Failed("the benchmark measured nothing: try again".into()))
}

/// Runs the benchmark off the async threads, with a bar.
async fn measure(
	output: &Output,
	nonce: H256,
	seconds: Duration,
	threads: usize,
) -> Result<Measurement, CliError> {
	let text = format!("measuring for {} s; leave the machine alone meanwhile", 2 * seconds.as_secs());
	output.event("attest.measuring", json!({ "nonce": nonce, "seconds": 2 * seconds.as_secs() }), text);
	let bar = output.bar(2 * seconds.as_secs(), "benchmark");
	let work = move || {
		benchmark::measure(&nonce, seconds, threads, &mut |part, count, spent| {
			let (before, what) = match part {
				Part::Products => (Duration::ZERO, "products"),
				Part::Sweeps => (seconds, "sweeps"),
			};
			bar.set((before + spent).as_secs(), format!("{count} {what}"));
			ControlFlow::Continue(())
		})
	};
	let measured = tokio::task::spawn_blocking(work).await.map_err(CliError::failed)?;
	measured.map_err(CliError::failed)
}

/// How long a block takes, by the chain's own word.
async fn block_time(chain: &Chain, heads: &Heads) -> Result<Duration, CliError> {
	let ms = chain.amount_constant(heads.finalised_now(), "Babe", "ExpectedBlockTime").await?;
	Ok(Duration::from_millis(u64::try_from(ms).unwrap_or(u64::MAX).max(1)))
}

/// Sends a call; what got lost can no longer land and is made anew.
async fn send(submitter: &Submitter, key: &str, call: &Call) -> Result<Landed, SubmitError> {
	let mut attempt = 1;
	loop {
		match submitter.submit(key, call).await {
			Err(SubmitError::Lost { .. }) if attempt < ATTEMPTS => attempt += 1,
			outcome => return outcome,
		}
	}
}

/// A device that lets itself be measured.
struct Proof<'a> {
	output: &'a Output,
	chain: Chain,
	heads: Heads,
	submitter: Submitter,
	device: Device,
	block_time: Duration,
	threads: usize,
}

impl<'a> Proof<'a> {
	async fn new(app: &'a App, threads: usize) -> Result<Self, CliError> {
		let base = app.base()?;
		let keys = Keys::load(&base)?;
		let (chain, heads) = app.connect_for_command(&base).await?;
		let me = keys.account_id();
		let device = chain.device_of(&me, Some(heads.finalised_now().hash)).await?;
		let device = device.ok_or_else(|| {
			CliError::Failed(format!("{me} has no device to attest: run `cairn-worker register` first"))
		})?;
		let submitter = Submitter::new(chain.clone(), heads.clone(), keys.signer().clone(), Arc::new(NoLog));
		let block_time = block_time(&chain, &heads).await?;
		Ok(Self { output: &app.output, chain, heads, submitter, device, block_time, threads })
	}

	async fn open_challenge(&self) -> Result<Option<Challenge>, CliError> {
		Ok(self.chain.open_challenge(self.device.id, Some(self.heads.finalised_now().hash)).await?)
	}

	async fn run(&self, seconds: Duration) -> Result<(), CliError> {
		let (nonce, delivered) = match self.open_challenge().await? {
			Some(Challenge { nonce: Some(nonce), measurement: Some(_), .. }) => {
				let text = format!("device {}: the measurement is delivered already", self.device.id);
				self.output.event("attest.delivered", json!({ "nonce": nonce }), text);
				(nonce, 0)
			},
			open => {
				let (nonce, requested) = self.nonce(open).await?;
				(nonce, self.deliver(nonce, requested, seconds).await?)
			},
		};
		self.verdict(nonce, delivered).await
	}

	/// The seed of the benchmark and the block it comes from: of the request that is open, or of a new one.
	async fn nonce(&self, open: Option<Challenge>) -> Result<(H256, u32), CliError> {
		let id = self.device.id;
		let (requested, hash) = match open {
			Some(open) => {
				let hash = self.chain.block_hash(open.requested).await?;
				let hash = hash.ok_or_else(|| CliError::Failed("the node lags behind: try again".into()))?;
				(open.requested, hash)
			},
			None => {
				self.output.event(
					"attest.requesting",
					json!({ "device": id }),
					format!("requesting attestation of device {id}"),
				);
				let landed = send(&self.submitter, "attest/request", &Call::RequestAttestation).await?;
				(landed.block, landed.block_hash)
			},
		};
		Ok((attestation_nonce(&self.chain.genesis(), &hash, id), requested))
	}

	/// Measures and delivers. The block of the delivery.
	async fn deliver(&self, nonce: H256, requested: u32, seconds: Duration) -> Result<u32, CliError> {
		// The chain takes no part that lasted less than a quarter of the time it saw pass.
		let waited = self.block_time * self.heads.best_now().saturating_sub(requested);
		let seconds = seconds.max(waited / 2 + self.block_time * DELIVERY);
		let measurement = measure(self.output, nonce, seconds, self.threads).await?;
		let speed = speed_of(&measurement)?;
		let text = format!("measured {}; delivering", describe(&speed));
		self.output.event("attest.measured", json!({ "speed": speed, "measurement": measurement }), text);
		let call = Call::SubmitMeasurement { nonce, measurement };
		Ok(send(&self.submitter, "attest/submit", &call).await?.block)
	}

	/// Waits for the attesters.
	async fn verdict(&self, nonce: H256, delivered: u32) -> Result<(), CliError> {
		let id = self.device.id;
		self.output.event("attest.waiting", json!({ "device": id }), "waiting for attesters");
		let mut finalised = self.heads.finalised.clone();
		loop {
			let at = Some(finalised.borrow_and_update().hash);
			let open = self.chain.open_challenge(id, at).await?;
			if !open.is_some_and(|open| open.nonce == Some(nonce)) {
				let device = self.chain.device(id, at).await?;
				let evidence = device.and_then(|d| d.evidence).filter(|e| e.valid && e.at >= delivered);
				let Some(evidence) = evidence else {
					return Err(CliError::Failed(format!(
						"device {id} was not attested: the attesters found the measurement to be false, did not agree, or were silent. \
						 The events of the chain say which; try again on an idle machine"
					)));
				};
				let speed =
					evidence.speed.as_ref().map_or_else(String::new, |s| format!(" at {}", describe(s)));
				let text = format!("device {id} is attested{speed}, until block {}", evidence.expires);
				self.output.result(&json!({ "device": id, "evidence": evidence }), text);
				return Ok(());
			}
			if finalised.changed().await.is_err() {
				return Err(CliError::Failed("the node went away: run this again to see the outcome".into()));
			}
		}
	}
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
		let block_time = block_time(&chain, &heads).await?;
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
		match send(&self.submitter, "attest/recheck", &Call::Recheck).await {
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

	/// Runs a device's benchmark again and states what it showed. Whether this needs no further look.
	async fn judge(
		&self,
		challenge: &Challenge,
		nonce: H256,
		measurement: Measurement,
	) -> Result<bool, CliError> {
		let device = challenge.device;
		let blocks = challenge.state_by.unwrap_or(0).saturating_sub(self.heads.best_now() + DELIVERY);
		let (left, needed) = (self.block_time * blocks, self.pace.of(&measurement));
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
		match send(
			&self.submitter,
			&format!("attest/{device}/{nonce:?}"),
			&Call::Attest { device, nonce, statement },
		)
		.await
		{
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
