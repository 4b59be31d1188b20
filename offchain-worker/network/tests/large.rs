//! A large artifact, alone in its process, whose memory is measured.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use std::sync::{
	atomic::{AtomicBool, AtomicUsize, Ordering},
	Arc,
};

const MIB: usize = 1 << 20;

/// What may be taken however large the artifact is: by the chunks that are on their way, at both ends and between them.
const MOST_KIB: usize = 48 * 1024;

/// The memory that this process has for itself at this moment, files and mappings of files not counted, KiB.
#[cfg(target_os = "linux")]
fn anonymous_kib() -> usize {
	let status = std::fs::read_to_string("/proc/self/status").unwrap();
	let line = status.lines().find(|line| line.starts_with("RssAnon:")).unwrap();
	line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// The short form of what `scripts/bench transfer` shows of 2 GB: memory stays far below the artifact.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn large_artifact_travels_without_being_held_in_memory() {
	const PIECES: usize = 192;
	let chain = TestChain::open();
	let holder = node(1, &[], &chain).await;
	let piece = artifact(MIB, 7);
	let mut writer = holder.store.writer().unwrap();
	for i in 0..PIECES {
		writer.append(&piece).unwrap();
		writer.append(&[i as u8]).unwrap();
	}
	let hash = writer.finish().unwrap();
	let asker = node(2, &[holder.address()], &chain).await;
	asker.connected_to(peer_id(1)).await;

	let before = anonymous_kib();
	let (peak, over) = (Arc::new(AtomicUsize::new(before)), Arc::new(AtomicBool::new(false)));
	let watching = std::thread::spawn({
		let (peak, over) = (peak.clone(), over.clone());
		move || {
			while !over.load(Ordering::SeqCst) {
				peak.fetch_max(anonymous_kib(), Ordering::SeqCst);
				std::thread::sleep(std::time::Duration::from_millis(2));
			}
		}
	});
	asker.network.fetch(hash, vec![holder.key()], LONG * 5).await.unwrap();
	over.store(true, Ordering::SeqCst);
	watching.join().unwrap();
	let grown = peak.load(Ordering::SeqCst) - before;
	assert_eq!(asker.store.size(&hash).unwrap(), Some((PIECES * (MIB + 1)) as u64));
	// Both ends live in this process.
	assert!(grown < MOST_KIB, "the peak grew by {grown} KiB of at most {MOST_KIB}, for {PIECES} MiB");
}
