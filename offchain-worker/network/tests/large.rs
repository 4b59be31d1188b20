//! A large artifact, alone in its process, whose memory is measured.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;

const MIB: usize = 1 << 20;

/// The most memory this process has held so far, KiB.
#[cfg(target_os = "linux")]
fn peak_memory_kib() -> usize {
	let status = std::fs::read_to_string("/proc/self/status").unwrap();
	let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
	line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn large_artifact_travels_without_being_held_in_memory() {
	let chain = TestChain::open();
	let holder = node(1, &[], &chain).await;
	let piece = artifact(MIB, 7);
	let mut writer = holder.store.writer().unwrap();
	for i in 0..64u8 {
		writer.append(&piece).unwrap();
		writer.append(&[i]).unwrap();
	}
	let hash = writer.finish().unwrap();
	let asker = node(2, &[holder.address()], &chain).await;
	asker.connected_to(peer_id(1)).await;

	let before = peak_memory_kib();
	asker.network.fetch(hash, vec![holder.key()], LONG * 5).await.unwrap();
	let grown = peak_memory_kib() - before;
	assert_eq!(asker.store.size(&hash).unwrap(), Some(64 * (MIB as u64 + 1)));
	// Both ends live in this process.
	assert!(grown < 40 * 1024, "the peak grew by {grown} KiB for an artifact of 64 MiB");
}
