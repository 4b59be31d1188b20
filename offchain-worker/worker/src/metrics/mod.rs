//! What a running worker counts, for Prometheus.
//!
//! Counters follow the daemon's events, so that what is counted is what is said. What other parts keep count of
//! themselves (the network, the store, the journal, transactions) is read when somebody asks.

mod server;

pub use server::{bind, serve, BindError};

use crate::{chain::api::Rewards, plan::ChainView};
use cairn_network::Counters;
use cairn_primitives::{views::Phase, ProgrammeId};
use prometheus::{
	core::Collector, Counter, Encoder, Gauge, GaugeVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
	Opts, Registry, TextEncoder,
};
use serde_json::Value;
use std::{
	sync::{Mutex, PoisonError},
	time::{Instant, SystemTime},
};

/// Plancks in one CRN.
const CRN: f64 = 1e12;
/// The phases, as the metric names them.
const PHASES: [Phase; 9] = [
	Phase::Commit,
	Phase::Availability,
	Phase::Aggregate,
	Phase::Reveal,
	Phase::Challenge,
	Phase::AuditAggregate,
	Phase::AuditReveal,
	Phase::Finalised,
	Phase::Failed,
];

/// What is read from elsewhere when somebody asks.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Sampled {
	/// The network's counters.
	pub network: Counters,
	/// Transactions, by what became of them.
	pub transactions: Vec<(&'static str, u64)>,
	/// Bytes of the journal.
	pub journal_bytes: u64,
	/// Bytes of the artifacts in the store.
	pub store_bytes: u64,
	/// How many artifacts there are.
	pub store_artifacts: u64,
}

type Sampler = Box<dyn Fn() -> Sampled + Send + Sync>;

/// The metrics of one worker. `docs/worker.md` lists them.
pub struct Metrics {
	registry: Registry,
	sampler: Mutex<Option<Sampler>>,
	newest: Mutex<Option<Instant>>,
	rounds: IntCounterVec,
	round: IntGaugeVec,
	phase: IntGaugeVec,
	commits: IntCounter,
	votes: IntCounter,
	reveals: IntCounter,
	refused: IntCounter,
	local_steps: IntCounter,
	training: Counter,
	aggregation: Counter,
	fetching: Counter,
	finalised: IntGauge,
	best: IntGauge,
	acted: IntGauge,
	lag: IntGauge,
	age: Gauge,
	clock: Gauge,
	waiting: IntCounter,
	notices: IntGauge,
	errors: IntCounterVec,
	points: GaugeVec,
	claimable: GaugeVec,
	transactions: IntCounterVec,
	network: IntCounterVec,
	artifacts: IntCounterVec,
	peers: IntGauge,
	refused_peers: IntCounter,
	bans: IntCounter,
	refused_requests: IntCounter,
	fetches: IntCounterVec,
	journal: IntGauge,
	store: IntGauge,
	stored: IntGauge,
}

/// Makes metrics and registers them. Names and labels are constants, so neither can fail.
struct Maker(Registry);

impl Maker {
	fn add<T: Collector + Clone + 'static>(&self, metric: prometheus::Result<T>) -> T {
		let metric = metric.expect("names and labels are valid constants; qed");
		self.0.register(Box::new(metric.clone())).expect("every name is used once; qed");
		metric
	}

	fn options(name: &str, help: &str) -> Opts {
		Opts::new(name, help).namespace("cairn_worker")
	}

	fn count(&self, name: &str, help: &str) -> IntCounter {
		self.add(IntCounter::with_opts(Self::options(name, help)))
	}

	fn seconds(&self, name: &str, help: &str) -> Counter {
		self.add(Counter::with_opts(Self::options(name, help)))
	}

	fn counts(&self, name: &str, help: &str, label: &str) -> IntCounterVec {
		self.add(IntCounterVec::new(Self::options(name, help), &[label]))
	}

	fn number(&self, name: &str, help: &str) -> IntGauge {
		self.add(IntGauge::with_opts(Self::options(name, help)))
	}

	fn value(&self, name: &str, help: &str) -> Gauge {
		self.add(Gauge::with_opts(Self::options(name, help)))
	}

	fn numbers(&self, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
		self.add(IntGaugeVec::new(Self::options(name, help), labels))
	}

	fn values(&self, name: &str, help: &str, label: &str) -> GaugeVec {
		self.add(GaugeVec::new(Self::options(name, help), &[label]))
	}
}

impl Default for Metrics {
	fn default() -> Self {
		let m = Maker(Registry::new());
		let build = m.numbers("build_info", "Always 1; the version is in the label", &["version"]);
		build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
		let started = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
		m.value("start_time_seconds", "When the process started, in seconds since 1970")
			.set(started.as_secs_f64());
		let metrics = Self {
			rounds: m.counts(
				"rounds_total",
				"Rounds that this worker had a part in, by outcome: finalised, failed, abandoned (training did not end in time), \
				 late (the update was too late to be sent), hopeless (training fails however often it is tried)",
				"outcome",
			),
			round: m.numbers("round", "Number of the running round, at the newest finalised block", &["programme"]),
			phase: m.numbers(
				"round_phase",
				"1 for the phase that the running round is in, 0 for the others",
				&["programme", "phase"],
			),
			commits: m.count("updates_committed_total", "Updates of this worker that were committed, finalised"),
			votes: m.count("votes_total", "Availability votes of this worker, finalised"),
			reveals: m.count("aggregates_revealed_total", "Aggregates that this worker revealed, finalised"),
			refused: m.count("updates_refused_total", "Other workers' updates that are not what was committed to"),
			local_steps: m.count("local_steps_total", "Local steps of the updates that this worker trained"),
			training: m.seconds("training_seconds_total", "Seconds of training of those updates"),
			aggregation: m.seconds("aggregation_seconds_total", "Seconds of computing aggregates"),
			fetching: m.seconds("fetch_seconds_total", "Seconds of waiting for artifacts of other workers"),
			finalised: m.number("finalised_block", "Number of the newest finalised block that the node reported"),
			best: m.number("best_block", "Number of the best block that the node reported"),
			acted: m.number("acted_block", "Number of the finalised block that this worker has acted on"),
			lag: m.number("lag_blocks", "Finalised blocks that this worker has not acted on yet"),
			age: m.value("finalised_age_seconds", "Seconds since a new finalised block was seen"),
			clock: m.value(
				"clock_ahead_seconds",
				"By how much this machine's clock is ahead of the finalised block's timestamp; some seconds are usual",
			),
			waiting: m.count("waiting_total", "Times that something began to keep the worker from working: the node or the chain"),
			notices: m.number("notices", "Things that a person should look at now"),
			errors: m.counts(
				"errors_total",
				"Actions that failed and are tried again, by kind: transaction, chain, journal, store, fetch, other",
				"kind",
			),
			points: m.values("points", "Points of this worker, as of the newest finalised round", "programme"),
			claimable: m.values("claimable_crn", "What this worker can claim, in CRN, as of the newest finalised round", "programme"),
			transactions: m.counts(
				"transactions_total",
				"Transactions of this worker: signed, resent (the same bytes), landed (finalised, with effect), refused (finalised, \
				 without), lost (made anew if still needed), not_taken (by the node)",
				"outcome",
			),
			network: m.counts("network_bytes_total", "Bytes over TCP with other workers", "direction"),
			artifacts: m.counts("artifact_bytes_total", "Bytes of artifacts exchanged with other workers", "direction"),
			peers: m.number("peers", "Workers that are connected and admitted"),
			refused_peers: m.count("peers_refused_total", "Peers that were refused: no active device, or another chain"),
			bans: m.count("peers_banned_total", "Peers that were kept out for a while because they sent wrong bytes"),
			refused_requests: m.count("requests_refused_total", "Requests for bytes that were refused"),
			fetches: m.counts("fetches_total", "Fetches of artifacts, by outcome: ok, failed", "outcome"),
			journal: m.number("journal_bytes", "Bytes of the journal"),
			store: m.number("store_bytes", "Bytes of the artifacts in the store"),
			stored: m.number("store_artifacts", "Artifacts in the store"),
			sampler: Mutex::default(),
			newest: Mutex::default(),
			registry: m.0,
		};
		// So that a rate can be taken from the first failure on.
		for outcome in ["finalised", "failed", "abandoned", "late", "hopeless"] {
			metrics.rounds.with_label_values(&[outcome]);
		}
		for kind in ["transaction", "chain", "journal", "store", "fetch", "other"] {
			metrics.errors.with_label_values(&[kind]);
		}
		metrics
	}
}

impl Metrics {
	/// Where to read what is counted elsewhere. It may block.
	pub fn sample(&self, sampler: impl Fn() -> Sampled + Send + Sync + 'static) {
		*self.sampler.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(sampler));
	}

	/// Takes in an event of the worker's output.
	pub fn observe(&self, event: &str, fields: &Value) {
		let seconds = |name: &str| fields.get(name).and_then(Value::as_f64).unwrap_or_default().max(0.0);
		match event {
			// Not too slow, but stopped or shut out.
			"round.abandoned" if fields.get("cause").is_some_and(|cause| cause != "window") => {},
			"round.finalised" | "round.failed" | "round.abandoned" | "round.late" | "round.hopeless" => {
				self.rounds.with_label_values(&[&event["round.".len()..]]).inc();
			},
			"round.trained" => {
				self.local_steps.inc_by(fields.get("localSteps").and_then(Value::as_u64).unwrap_or_default());
				self.training.inc_by(seconds("trainSeconds"));
				self.fetching.inc_by(seconds("fetchSeconds"));
			},
			"round.committed" => self.commits.inc(),
			"round.voted" => {
				self.votes.inc();
				self.fetching.inc_by(seconds("fetchSeconds"));
			},
			"round.aggregated" => {
				self.aggregation.inc_by(seconds("aggregateSeconds"));
				self.fetching.inc_by(seconds("fetchSeconds"));
			},
			"artifact.fetched" => self.fetching.inc_by(seconds("fetchSeconds")),
			"aggregate.revealed" => self.reveals.inc(),
			"update.refused" => self.refused.inc(),
			// Later ones only remind of it.
			"chain.waiting" if seconds("seconds") == 0.0 => self.waiting.inc(),
			"action.failed" => {
				let kind = fields.get("kind").and_then(Value::as_str).unwrap_or("other");
				self.errors.with_label_values(&[kind]).inc();
			},
			_ => {},
		}
	}

	/// Where the chain is, and since when its newest finalised block is known.
	pub fn heads(&self, finalised: u32, best: u32, since: Instant) {
		self.finalised.set(finalised.into());
		self.best.set(best.into());
		*self.newest.lock().unwrap_or_else(PoisonError::into_inner) = Some(since);
	}

	/// What the daemon acts on.
	pub fn view(&self, view: &ChainView) {
		self.acted.set(view.finalised.into());
		if let Some(ahead) = view.clock_ahead {
			self.clock.set(ahead as f64);
		}
		for programme in &view.programmes {
			let id = programme.info.id.to_string();
			let round = programme.round.as_ref();
			self.round.with_label_values(&[&id]).set(round.map_or(programme.info.round, |r| r.index).into());
			for phase in PHASES {
				let name = format!("{phase:?}").to_lowercase();
				let here = round.is_some_and(|r| r.phase == phase);
				self.phase.with_label_values(&[&id, &name]).set(here.into());
			}
		}
	}

	/// What was earned in a programme.
	pub fn rewards(&self, programme: ProgrammeId, rewards: &Rewards) {
		let id = programme.to_string();
		self.points.with_label_values(&[&id]).set(rewards.points as f64);
		self.claimable.with_label_values(&[&id]).set(rewards.claimable as f64 / CRN);
	}

	/// How many things a person should look at.
	pub fn notices(&self, now: usize) {
		self.notices.set(i64::try_from(now).unwrap_or(i64::MAX));
	}

	/// Everything in Prometheus' text format. May block for as long as listing the store takes.
	///
	/// # Errors
	/// When it cannot be encoded.
	pub fn render(&self) -> Result<Vec<u8>, prometheus::Error> {
		self.lag.set((self.finalised.get() - self.acted.get()).max(0));
		if let Some(newest) = *self.newest.lock().unwrap_or_else(PoisonError::into_inner) {
			self.age.set(newest.elapsed().as_secs_f64());
		}
		// Held until all is added: of two who ask at once, each would add what the other adds.
		let sampler = self.sampler.lock().unwrap_or_else(PoisonError::into_inner);
		if let Some(sample) = &*sampler {
			self.take(&sample());
		}
		drop(sampler);
		let mut text = Vec::new();
		TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
		Ok(text)
	}

	fn take(&self, sampled: &Sampled) {
		// Counted elsewhere since the process started, and never less than before.
		let up_to = |counter: &IntCounter, total: u64| counter.inc_by(total.saturating_sub(counter.get()));
		let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
		for (outcome, total) in &sampled.transactions {
			up_to(&self.transactions.with_label_values(&[outcome]), *total);
		}
		let net = &sampled.network;
		up_to(&self.network.with_label_values(&["received"]), net.bytes_in);
		up_to(&self.network.with_label_values(&["sent"]), net.bytes_out);
		up_to(&self.artifacts.with_label_values(&["received"]), net.blob_bytes_in);
		up_to(&self.artifacts.with_label_values(&["sent"]), net.blob_bytes_out);
		up_to(&self.refused_peers, net.refused_peers);
		up_to(&self.bans, net.bans);
		up_to(&self.refused_requests, net.requests_refused.saturating_add(net.requests_malformed));
		up_to(&self.fetches.with_label_values(&["ok"]), net.fetches_ok);
		up_to(&self.fetches.with_label_values(&["failed"]), net.fetches_failed);
		self.peers.set(number(net.connected_peers));
		self.journal.set(number(sampled.journal_bytes));
		self.store.set(number(sampled.store_bytes));
		self.stored.set(number(sampled.store_artifacts));
	}
}

impl std::fmt::Debug for Metrics {
	fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
		f.write_str("Metrics")
	}
}

#[cfg(test)]
mod tests;
