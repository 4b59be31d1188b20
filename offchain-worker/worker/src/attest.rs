//! Proves on chain how fast this machine is. `cairn-worker attest` does it once; the daemon does it whenever the chain
//! asks for it.

use crate::{
	benchmark::{self, Part},
	chain::{Call, ChainError, Challenge, Landed, SubmitError},
	daemon::Ledger,
	output::Output,
};
use cairn_primitives::{
	hardware::{attestation_nonce, Measurement, Speed},
	views::EvidenceInfo,
	DeviceId, H256,
};
use serde_json::json;
use std::{future::Future, ops::ControlFlow, time::Duration};

/// How often a transaction that got lost is made anew.
const ATTEMPTS: u32 = 3;
/// Blocks that a measurement needs to get into a block, with some to spare.
pub const DELIVERY: u32 = 3;

/// Why a device is not attested.
#[derive(Debug, thiserror::Error)]
pub enum AttestError {
	/// A transaction had no effect.
	#[error(transparent)]
	Submit(#[from] SubmitError),
	/// The chain could not be read.
	#[error(transparent)]
	Chain(#[from] ChainError),
	/// The node does not have the block that took the request.
	#[error("the node lags behind and does not have block {0} yet: try again")]
	Behind(u32),
	/// The benchmark did not run to its end.
	#[error("the benchmark did not run to its end: {0}")]
	Benchmark(String),
	/// A part of the benchmark took no time that could be measured.
	#[error("the benchmark measured nothing: try again")]
	Nothing,
	/// The attesters did not accept the measurement.
	#[error(
		"device {0} was not attested: the attesters found the measurement to be false, did not agree, or were silent. The \
		 events of the chain say which; try again on an idle machine"
	)]
	Refused(DeviceId),
	/// Following the chain ended.
	#[error("the node went away: run this again to see the outcome")]
	NodeGone,
}

/// A speed for people.
pub fn describe(speed: &Speed) -> String {
	format!("{:.1} GFLOP/s, {:.1} GB/s", speed.flops as f64 / 1e9, speed.bandwidth as f64 / 1e9)
}

/// New evidence for people.
pub fn said(device: DeviceId, evidence: &EvidenceInfo<u32>) -> String {
	let speed = evidence.speed.as_ref().map_or_else(String::new, |s| format!(" at {}", describe(s)));
	format!("device {device} is attested{speed}, until block {}", evidence.expires)
}

/// What a measurement says.
///
/// # Errors
/// When it says nothing.
pub fn speed_of(measurement: &Measurement) -> Result<Speed, AttestError> {
	measurement.speed().ok_or(AttestError::Nothing)
}

/// Sends a call; what got lost can no longer land and is made anew.
///
/// # Errors
/// Those of `submit`.
pub async fn send<F>(submit: impl Fn() -> F) -> Result<Landed, SubmitError>
where
	F: Future<Output = Result<Landed, SubmitError>>,
{
	let mut attempt = 1;
	loop {
		match submit().await {
			Err(SubmitError::Lost { .. }) if attempt < ATTEMPTS => attempt += 1,
			outcome => return outcome,
		}
	}
}

/// Runs the benchmark off the async threads, with a bar.
///
/// # Errors
/// When it did not run to its end.
pub async fn measure(
	output: &Output,
	nonce: H256,
	seconds: Duration,
	threads: usize,
) -> Result<Measurement, AttestError> {
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
	let failed = |e: &dyn std::fmt::Display| AttestError::Benchmark(e.to_string());
	tokio::task::spawn_blocking(work).await.map_err(|e| failed(&e))?.map_err(|e| failed(&e))
}

/// A measurement on chain.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Delivered {
	nonce: H256,
	/// Block of the request: the verdict on it comes later, and older evidence is not about it.
	requested: u32,
}

/// A device that lets itself be measured.
pub struct Prover<'a> {
	/// The chain, with the device's account.
	pub ledger: &'a dyn Ledger,
	/// Where it says what it does.
	pub output: &'a Output,
	/// The device.
	pub device: DeviceId,
	/// Threads of the benchmark.
	pub threads: usize,
	/// Key of its transactions.
	pub key: &'a str,
}

impl Prover<'_> {
	/// Asks for a nonce unless a request is open, measures for `seconds` or longer for each part, and delivers. What was
	/// delivered before is not measured again.
	///
	/// # Errors
	/// When the chain refuses or nothing was measured.
	pub async fn deliver(&self, seconds: Duration) -> Result<Delivered, AttestError> {
		let open = self.ledger.open_challenge(self.device).await?;
		if let Some(Challenge { nonce: Some(nonce), measurement: Some(_), requested, .. }) = open {
			let text = format!("device {}: the measurement is delivered already", self.device);
			self.output.event("attest.delivered", json!({ "nonce": nonce }), text);
			return Ok(Delivered { nonce, requested });
		}
		let (requested, hash) = match open {
			Some(Challenge { requested, .. }) => {
				let hash = self.ledger.block_hash(requested).await?;
				(requested, hash.ok_or(AttestError::Behind(requested))?)
			},
			None => {
				let text = format!("requesting attestation of device {}", self.device);
				self.output.event("attest.requesting", json!({ "device": self.device }), text);
				let key = format!("{}/request", self.key);
				let landed = send(|| self.ledger.submit(&key, &Call::RequestAttestation)).await?;
				(landed.block, landed.block_hash)
			},
		};
		let nonce = attestation_nonce(&self.ledger.genesis(), &hash, self.device);
		// The chain takes no part that lasted less than a quarter of the time it saw pass.
		let block_time = self.ledger.block_time().await?;
		let waited = block_time * self.ledger.heads().best_now().saturating_sub(requested);
		let seconds = seconds.max(waited / 2 + block_time * DELIVERY);
		let measurement = measure(self.output, nonce, seconds, self.threads).await?;
		let speed = speed_of(&measurement)?;
		let text = format!("measured {}; delivering", describe(&speed));
		self.output.event("attest.measured", json!({ "speed": speed, "measurement": measurement }), text);
		let call = Call::SubmitMeasurement { nonce, measurement };
		let key = format!("{}/submit", self.key);
		send(|| self.ledger.submit(&key, &call)).await?;
		Ok(Delivered { nonce, requested })
	}

	/// Waits for the attesters. The evidence that they gave.
	///
	/// # Errors
	/// When they gave none.
	pub async fn verdict(&self, delivered: &Delivered) -> Result<EvidenceInfo<u32>, AttestError> {
		self.output.event("attest.waiting", json!({ "device": self.device }), "waiting for attesters");
		let mut finalised = self.ledger.heads().finalised.clone();
		loop {
			finalised.borrow_and_update();
			let open = self.ledger.open_challenge(self.device).await?;
			if open.is_none_or(|open| open.nonce != Some(delivered.nonce)) {
				let evidence = self.ledger.device(self.device).await?.and_then(|d| d.evidence);
				let new = evidence.filter(|e| e.valid && e.at > delivered.requested);
				return new.ok_or(AttestError::Refused(self.device));
			}
			finalised.changed().await.map_err(|_| AttestError::NodeGone)?;
		}
	}
}
