//! `cairn recompute` with artifacts that workers have.
#![allow(clippy::unwrap_used)]

mod common;

use cairn_aggregation::AggregationRule;
use cairn_artifacts::Store;
use cairn_primitives::{aggregation::ServerOptimiser, Aggregation};
use common::{
	peers::{closed_worker, liar, worker},
	rpc::{cairn_in, serve, Output},
	*,
};
use tempfile::TempDir;

const MEAN: AggregationRule = AggregationRule::WeightedMean;

/// Recomputes with a cache of its own.
async fn recompute(cache: &TempDir, url: &str, args: &[&str]) -> Output {
	let args: Vec<_> =
		["recompute", "--node", url, "--cache", "cache"].into_iter().chain(args.iter().copied()).collect();
	cairn_in(cache.path(), &args).await
}

#[tokio::test(flavor = "multi_thread")]
async fn rounds_are_equal_when_their_artifacts_come_from_a_worker_and_again_without_it() {
	// Momentum, so that there is a state beside the weights.
	let world = World::with_rounds(Aggregation { optimiser: ServerOptimiser::DILOCO, ..MEAN.into() }, 3);
	let (url, _server) = serve(world.chain.clone()).await;
	let (network, address) = worker(1, &world.store).await;
	let cache = TempDir::new().unwrap();
	let done = recompute(&cache, &url, &["0", "--peer", &address]).await;
	assert_eq!((done.code, &*done.err), (0, ""), "{}", done.out);
	assert!(done.out.ends_with("all 3 recomputed aggregates equal the chain's\n"), "{}", done.out);
	// 15 updates and the first weights: the others were made here.
	assert!(network.counters().requests_served >= 16);
	network.shutdown().await;

	let done = recompute(&cache, &url, &["0", "1", "--offline", "--peer", &address]).await;
	assert_eq!((done.code, &*done.err), (0, ""), "{}", done.out);
	assert!(done.out.contains("round    1    5 updates"), "{}", done.out);
	let cached = Store::open_read_only(cache.path().join("cache/store")).unwrap();
	assert!(cached.contains(&world.update(2, 4).record.artifact));
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_bytes_are_not_taken_and_another_worker_is_asked() {
	let world = World::with_rounds(MEAN, 1);
	let (url, _server) = serve(world.chain.clone()).await;
	let (_liar, lies) = liar(2).await;
	let cache = TempDir::new().unwrap();
	let done = recompute(&cache, &url, &["0", "0", "--peer", &lies, "--timeout", "10"]).await;
	assert_eq!(done.code, 2, "{}{}", done.out, done.err);
	let update = world.update(0, 3).record.artifact;
	assert!(done.out.contains(&format!("artifact {update:?} was not obtained within 10 s")), "{}", done.out);
	assert!(done.out.contains("sent wrong bytes") && done.out.contains("--store"), "{}", done.out);

	let (_network, address) = worker(1, &world.store).await;
	let done = recompute(&cache, &url, &["0", "0", "--peer", &lies, "--peer", &address]).await;
	assert_eq!((done.code, &*done.err), (0, ""), "{}", done.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_worker_gives_is_named_with_the_remedy() {
	let world = World::with_rounds(MEAN, 2);
	let (url, _server) = serve(world.chain.clone()).await;
	let gone = world.update(1, 2).record.artifact;
	world.store.remove(&gone).unwrap();
	let (network, address) = worker(1, &world.store).await;
	let cache = TempDir::new().unwrap();
	let done = recompute(&cache, &url, &["0", "--peer", &address, "--timeout", "5"]).await;
	assert_eq!(done.code, 2, "{}{}", done.out, done.err);
	assert!(
		done.out.contains("could not tell; 1 of 2 aggregates equal the chain's, none differs"),
		"{}",
		done.out
	);
	for said in [&format!("artifact {gone:?} was not obtained"), "does not have it", "--keep-rounds"] {
		assert!(done.out.contains(said), "{}", done.out);
	}
	network.shutdown().await;

	// A store that has what the worker lacks fills in.
	let other = TempDir::new().unwrap();
	let done = recompute(&other, &url, &["0", "--store", world.store.root().to_str().unwrap()]).await;
	assert_eq!(done.code, 2, "{}", done.out);
	assert!(done.out.contains("is in none of the stores given"), "{}", done.out);

	let done = recompute(&other, &url, &["0", "0", "--peer", &address, "--timeout", "3"]).await;
	assert_eq!(done.code, 2);
	assert!(done.out.contains("cannot be reached") && done.out.contains("--peer"), "{}", done.out);

	let (_network, address) = closed_worker(3, &world.store).await;
	let done = recompute(&other, &url, &["0", "0", "--peer", &address, "--timeout", "5"]).await;
	assert_eq!(done.code, 2);
	assert!(done.out.contains("--guests"), "{}", done.out);

	let (_network, address) = worker(4, &world.store).await;
	let done = recompute(&other, &url, &["0", "0", "--peer", &address, "--quota", "10"]).await;
	assert_eq!(done.code, 2);
	assert!(done.out.contains("which may take 10 in all"), "{}", done.out);
}

#[tokio::test]
async fn wrong_arguments_are_named_and_nothing_is_asked() {
	let world = World::with_rounds(MEAN, 1);
	let (url, _server) = serve(world.chain.clone()).await;
	let dir = TempDir::new().unwrap();
	let store = world.store.root().to_str().unwrap();
	for (args, said) in [
		(&["0"][..], "--store DIR"),
		(&["--store", store], "PROGRAMME"),
		(&["0", "--programme", "0", "--store", store], "cannot be used with"),
		(&["0", "0", "--round", "0", "--store", store], "cannot be used with"),
		(&["0", "--peer", "127.0.0.1:4001"], "is no multiaddress"),
		(&["0", "--peer", "/ip4/127.0.0.1/tcp/4001"], "does not end in /p2p/PEER_ID"),
	] {
		let done = recompute(&dir, &url, args).await;
		assert_eq!((done.code, &*done.out), (2, ""), "{args:?}: {}", done.err);
		assert!(done.err.contains(said), "{args:?}: {}", done.err);
	}
	let other = format!("0x{}", "12".repeat(32));
	let done = recompute(&dir, &url, &["0", "--store", store, "--genesis", &other]).await;
	assert_eq!(done.code, 1, "{}{}", done.out, done.err);
	assert!(done.out.contains("REFUTED: the node's chain has the genesis hash"), "{}", done.out);
}
