#![allow(clippy::unwrap_used)]

use super::*;
use crate::plan::tests::{round, view};
use serde_json::json;
use std::{
	net::SocketAddr,
	sync::{
		atomic::{AtomicU64, Ordering},
		Arc,
	},
};
use tokio::{
	io::{AsyncReadExt, AsyncWriteExt},
	net::TcpStream,
};

async fn ask(address: SocketAddr, request: &str) -> String {
	let mut stream = TcpStream::connect(address).await.unwrap();
	let request = format!("{request} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
	stream.write_all(request.as_bytes()).await.unwrap();
	let mut answer = String::new();
	stream.read_to_string(&mut answer).await.unwrap();
	answer
}

async fn serving(metrics: Arc<Metrics>) -> SocketAddr {
	let listener = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
	let address = listener.local_addr().unwrap();
	tokio::spawn(serve(listener, metrics));
	address
}

fn has(text: &str, line: &str) {
	assert!(text.lines().any(|l| l == line), "no line `{line}` in\n{text}");
}

#[tokio::test]
async fn what_happened_is_scraped_in_prometheus_text_format() {
	let metrics = Arc::new(Metrics::default());
	metrics.observe("round.trained", &json!({ "localSteps": 30, "trainSeconds": 1.5, "fetchSeconds": 0.25 }));
	metrics.observe("round.trained", &json!({ "localSteps": 12, "trainSeconds": 0.5, "fetchSeconds": 0.25 }));
	metrics.observe("round.committed", &json!({}));
	metrics.observe("round.finalised", &json!({}));
	metrics.observe("round.late", &json!({}));
	metrics.observe("round.hopeless", &json!({}));
	metrics.observe("round.abandoned", &json!({ "cause": "window" }));
	metrics.observe("round.abandoned", &json!({ "cause": "stopping" }));
	metrics.observe("chain.waiting", &json!({ "reason": "no node answers", "seconds": 0 }));
	metrics.observe("chain.waiting", &json!({ "reason": "no node has answered", "seconds": 30 }));
	metrics.observe("chain.waiting", &json!({ "reason": "no new block" }));
	metrics.observe("update.refused", &json!({}));
	metrics.observe("action.failed", &json!({ "kind": "store" }));
	metrics.observe("no.such.event", &json!({ "localSteps": 1 }));
	metrics.heads(104, 106, Instant::now());
	metrics.view(&view(Some(round(Phase::Availability))));
	metrics.rewards(0, &Rewards { points: 5, claimable: 2_500_000_000_000, claimed: 0 });
	metrics.sample(|| Sampled {
		network: Counters {
			bytes_in: 7,
			blob_bytes_out: 9,
			connected_peers: 3,
			bans: 1,
			..Counters::default()
		},
		transactions: vec![("landed", 4), ("lost", 1)],
		journal_bytes: 100,
		store_bytes: 5000,
		store_artifacts: 2,
	});
	let address = serving(metrics).await;
	// Twice: what is counted elsewhere is not added up again.
	ask(address, "GET /metrics").await;
	let answer = ask(address, "GET /metrics").await;
	assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
	assert!(answer.to_lowercase().contains("content-type: text/plain; version=0.0.4"), "{answer}");
	for line in [
		"# TYPE cairn_worker_rounds_total counter",
		"cairn_worker_rounds_total{outcome=\"finalised\"} 1",
		"cairn_worker_rounds_total{outcome=\"late\"} 1",
		"cairn_worker_rounds_total{outcome=\"failed\"} 0",
		"cairn_worker_rounds_total{outcome=\"hopeless\"} 1",
		"cairn_worker_rounds_total{outcome=\"abandoned\"} 1",
		"cairn_worker_waiting_total 2",
		"cairn_worker_local_steps_total 42",
		"cairn_worker_training_seconds_total 2",
		"cairn_worker_fetch_seconds_total 0.5",
		"cairn_worker_updates_committed_total 1",
		"cairn_worker_updates_refused_total 1",
		"cairn_worker_errors_total{kind=\"store\"} 1",
		"cairn_worker_errors_total{kind=\"chain\"} 0",
		"cairn_worker_round{programme=\"0\"} 3",
		"cairn_worker_round_phase{phase=\"availability\",programme=\"0\"} 1",
		"cairn_worker_round_phase{phase=\"commit\",programme=\"0\"} 0",
		"cairn_worker_finalised_block 104",
		"cairn_worker_lag_blocks 4",
		"cairn_worker_clock_ahead_seconds 6",
		"cairn_worker_points{programme=\"0\"} 5",
		"cairn_worker_claimable_crn{programme=\"0\"} 2.5",
		"cairn_worker_transactions_total{outcome=\"landed\"} 4",
		"cairn_worker_network_bytes_total{direction=\"received\"} 7",
		"cairn_worker_artifact_bytes_total{direction=\"sent\"} 9",
		"cairn_worker_peers 3",
		"cairn_worker_peers_banned_total 1",
		"cairn_worker_journal_bytes 100",
		"cairn_worker_store_bytes 5000",
		"cairn_worker_store_artifacts 2",
	] {
		has(&answer, line);
	}
}

#[test]
fn what_is_counted_elsewhere_is_added_once_when_several_ask_at_once() {
	let metrics = Metrics::default();
	let total = AtomicU64::new(0);
	metrics.sample(move || Sampled {
		transactions: vec![("landed", total.fetch_add(1000, Ordering::SeqCst) + 1000)],
		..Sampled::default()
	});
	let ask = || (0..100).for_each(|_| drop(metrics.render().unwrap()));
	std::thread::scope(|scope| {
		for _ in 0..8 {
			scope.spawn(ask);
		}
	});
	let text = String::from_utf8(metrics.render().unwrap()).unwrap();
	has(&text, "cairn_worker_transactions_total{outcome=\"landed\"} 801000");
}

#[tokio::test]
async fn other_paths_and_methods_are_refused() {
	let address = serving(Arc::default()).await;
	let answer = ask(address, "GET /").await;
	assert!(answer.starts_with("HTTP/1.1 404") && answer.contains("/metrics"), "{answer}");
	assert!(ask(address, "POST /metrics").await.starts_with("HTTP/1.1 405"));
}

#[tokio::test]
async fn port_in_use_is_named_with_the_remedy() {
	let address = serving(Arc::default()).await;
	let error = bind(address).await.unwrap_err().to_string();
	assert!(error.contains(&address.port().to_string()) && error.contains("--prometheus-port"), "{error}");
}

#[test]
fn every_metric_is_in_the_operators_handbook() {
	let metrics = Metrics::default();
	metrics.view(&view(Some(round(Phase::Commit))));
	let docs = include_str!("../../../../docs/worker.md");
	// Families without a value yet are not rendered, so their descriptions are asked for.
	let names = [
		"points",
		"claimable_crn",
		"transactions_total",
		"network_bytes_total",
		"artifact_bytes_total",
		"fetches_total",
	]
	.map(|name| format!("cairn_worker_{name}"));
	let text = String::from_utf8(metrics.render().unwrap()).unwrap();
	let rendered =
		text.lines().filter_map(|l| l.strip_prefix("# HELP ")?.split(' ').next().map(String::from));
	let mut count = 0;
	for name in rendered.chain(names) {
		assert!(docs.contains(&format!("`{name}`")), "docs/worker.md does not have {name}");
		count += 1;
	}
	assert!(count >= 35, "{count}");
}
