//! Fetching processes that are killed, and disks that are full.
#![allow(clippy::unwrap_used)]

mod common;

use cairn_artifacts::Store;
use cairn_network::{FetchError, Network, NetworkConfig, Shortage};
use cairn_primitives::{artifact_hash, ArtifactHash};
use common::*;
use std::{
	path::Path,
	process::{Child, Command, Stdio},
	slice::from_ref,
};

const LEN: usize = 300 * 1024;
const CHUNK: u64 = 64 * 1024;
/// Where the process that fetches is told its store's folder and the holder's address.
const STORE: &str = "CAIRN_TEST_STORE";
const HOLDER: &str = "CAIRN_TEST_HOLDER";

fn fetcher_config(holder: &cairn_network::Multiaddr) -> NetworkConfig {
	let mut config = config(2, from_ref(holder));
	config.limits.chunk_len = CHUNK as u32;
	config.limits.chunks_in_flight = 1;
	config.limits.chunk_timeout = LONG;
	config
}

/// Runs one test of this file again, in a process of its own, in which it fetches.
fn in_own_process(test: &str, store: &Path, holder: &cairn_network::Multiaddr) -> Child {
	// A process that may not write any more gets a signal, which would end it before the error is seen.
	Command::new("sh")
		.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""])
		.arg(std::env::current_exe().unwrap())
		.args([test, "--exact", "--nocapture", "--test-threads=1"])
		.env(STORE, store)
		.env(HOLDER, holder.to_string())
		.stdout(Stdio::inherit())
		.spawn()
		.unwrap()
}

/// In the process that fetches: the node.
async fn fetching() -> Option<(Network, Store)> {
	let store = Store::open(std::env::var_os(STORE)?).unwrap();
	let holder = std::env::var(HOLDER).unwrap().parse().unwrap();
	let network = Network::start(fetcher_config(&holder), store.clone(), TestChain::open()).await.unwrap();
	Some((network, store))
}

fn the_artifact() -> (Vec<u8>, ArtifactHash) {
	let bytes = artifact(LEN, 1);
	let hash = artifact_hash(&bytes);
	(bytes, hash)
}

#[tokio::test(flavor = "multi_thread")]
async fn fetch_goes_on_with_what_was_proven_after_its_process_was_killed() {
	let (bytes, hash) = the_artifact();
	if let Some((network, _)) = fetching().await {
		let _ = network.fetch(hash, vec![key(1)], LONG).await;
		return;
	}
	let served = bytes.clone();
	let holder = raw_peer(1, move |n, request| match n {
		3 => Answer::Silence,
		_ => Answer::Bytes(slice_of(&served, request)),
	})
	.await;
	let dir = tempfile::tempdir().unwrap();
	let root = dir.path().join("store");
	let this = "fetch_goes_on_with_what_was_proven_after_its_process_was_killed";
	let mut child = in_own_process(this, &root, &holder.address);
	eventually(|| holder.offsets().len() == 3).await;
	// SIGKILL.
	child.kill().unwrap();
	child.wait().unwrap();

	// As a crash of the whole system may leave it: the second chunk's bytes never reached the disk.
	let folder = root.join("partial").join(peer_id(2).to_string());
	let data = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
	let data = data.into_iter().find(|path| path.extension().is_some_and(|e| e == "data")).unwrap();
	let file = std::fs::File::options().write(true).open(data).unwrap();
	std::os::unix::fs::FileExt::write_all_at(&file, &[0; 4096], CHUNK).unwrap();

	let store = Store::open(&root).unwrap();
	let network =
		Network::start(fetcher_config(&holder.address), store.clone(), TestChain::open()).await.unwrap();
	network.fetch(hash, vec![holder.key()], LONG).await.unwrap();
	assert_eq!(store.get(&hash).unwrap(), Some(bytes));
	assert_eq!(holder.offsets(), [0, 1, 2, 1, 2, 3, 4].map(|i| i * CHUNK));
	assert!(std::fs::read_dir(&folder).unwrap().next().is_none());
}

/// Limits how long this process' files may be, in bytes, or lifts the limit.
fn limit_files(limit: &str) {
	let pid = std::process::id().to_string();
	let limited = Command::new("prlimit").args(["--pid", &pid, &format!("--fsize={limit}:")]).status();
	assert!(limited.unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn write_that_the_system_refuses_in_mid_transfer_loses_nothing() {
	let (bytes, hash) = the_artifact();
	let this = "write_that_the_system_refuses_in_mid_transfer_loses_nothing";
	let dir = tempfile::tempdir().unwrap();
	if std::env::var_os(STORE).is_none() {
		// The limit is one of the process, so all of it happens in one of its own.
		let mut child =
			in_own_process(this, &dir.path().join("store"), &"/ip4/127.0.0.1/tcp/1".parse().unwrap());
		assert!(child.wait().unwrap().success());
		return;
	}
	let served = bytes.clone();
	let holder = raw_peer(1, move |n, request| {
		if n == 3 {
			limit_files(&(2 * CHUNK).to_string());
		}
		Answer::Bytes(slice_of(&served, request))
	})
	.await;
	let asker = start(fetcher_config(&holder.address), 2, &TestChain::open()).await.unwrap();
	let error = asker.network.fetch(hash, vec![holder.key()], LONG).await.unwrap_err();
	limit_files("unlimited");
	assert!(
		matches!(&error, FetchError::NoSpace { shortage: Shortage::Refused { free: Some(_), .. }, .. }),
		"{error:?}"
	);
	assert!(error.to_string().contains(&asker.store.root().display().to_string()), "{error}");
	assert!(asker.network.banned_peers().is_empty());

	asker.network.fetch(hash, vec![holder.key()], LONG).await.unwrap();
	assert_eq!(asker.store.get(&hash).unwrap(), Some(bytes));
	assert_eq!(holder.offsets(), [0, 1, 2, 2, 3, 4].map(|i| i * CHUNK));
}
