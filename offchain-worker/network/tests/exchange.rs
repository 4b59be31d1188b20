//! Artifacts between nodes on loopback.
#![allow(clippy::unwrap_used)]

mod common;

use cairn_network::{FetchError, Fetched, Limits, NetworkConfig, Problem, Route, SourceReport};
use cairn_primitives::{artifact_hash, ArtifactHash, H256};
use common::*;
use std::{slice::from_ref, time::Duration};

const KIB: usize = 1024;

/// Chunks of 64 KiB, so that small artifacts have many.
fn small_chunks(seed: u8, bootstrap: &[cairn_network::Multiaddr]) -> NetworkConfig {
	let mut config = config(seed, bootstrap);
	config.limits.chunk_len = 64 * 1024;
	config
}

fn sources(result: Result<Fetched, FetchError>) -> Vec<SourceReport> {
	match result.unwrap_err() {
		FetchError::NotObtained { sources, .. } => sources,
		error => panic!("{error}"),
	}
}

/// Fetches in vain until the peer's report is what `expected` is after. Under load, a peer may not even be connected
/// within the time of one fetch.
async fn fails_with(
	node: &Node,
	hash: ArtifactHash,
	seed: u8,
	expected: impl Fn(&Problem) -> bool,
) -> FetchError {
	within_long(async {
		loop {
			let result = node.network.fetch(hash, vec![key(seed)], SHORT).await;
			let error = result.clone().unwrap_err();
			let report = sources(result).into_iter().find(|report| report.peer == Some(peer_id(seed)));
			match report {
				Some(report) if expected(&report.problem) => return error,
				report => eprintln!("not yet what is expected: {report:?}"),
			}
		}
	})
	.await
}

async fn fetch(node: &Node, hash: ArtifactHash, preferred: &[[u8; 32]]) -> Result<Fetched, FetchError> {
	node.network.fetch(hash, preferred.to_vec(), LONG).await
}

fn from(seed: u8, route: Route) -> Result<Fetched, FetchError> {
	Ok(Fetched::From { peer: peer_id(seed), route })
}

#[tokio::test(flavor = "multi_thread")]
async fn blob_travels_from_a_holder_that_only_the_bootnode_and_kademlia_know() {
	let chain = TestChain::of(&[1, 2, 3]);
	let bootnode = node(1, &[], &chain).await;
	let holder = node(2, &[bootnode.address()], &chain).await;
	let bytes = artifact(3 * 1024 * KIB + 17, 1);
	let hash = holder.store.put(&bytes).unwrap();
	let second = holder.store.put(b"another one").unwrap();
	holder.network.announce(hash).await.unwrap();
	holder.network.announce(second).await.unwrap();
	eventually(|| bootnode.network.counters().provider_records == 2).await;

	let asker = node(3, &[bootnode.address()], &chain).await;
	let Fetched::From { peer, route } = fetch(&asker, hash, &[]).await.unwrap() else {
		panic!("never fetched")
	};
	assert_eq!(peer, peer_id(2));
	// Through Kademlia the two may have met before the fetch came to asking Kademlia.
	assert_ne!(route, Route::Preferred);
	assert_eq!(asker.store.get(&hash).unwrap(), Some(bytes));
	assert!(asker.partials().is_empty());

	// The holder repeats its announcements to the newcomer.
	eventually(|| asker.network.counters().provider_records == 2).await;
	assert_eq!(fetch(&asker, second, &[]).await, from(2, Route::Provider));
	assert_eq!(fetch(&asker, second, &[]).await, Ok(Fetched::AlreadyStored));

	let counters = asker.network.counters();
	assert_eq!((counters.fetches_ok, counters.fetches_failed), (3, 0));
	assert_eq!(counters.blob_bytes_in, 3 * 1024 * KIB as u64 + 17 + 11);
	assert!(counters.bytes_in > counters.blob_bytes_in);
	assert_eq!(holder.network.counters().blob_bytes_out, counters.blob_bytes_in);
}

#[tokio::test(flavor = "multi_thread")]
async fn preferred_peer_is_found_through_kademlia_when_its_address_is_unknown() {
	let chain = TestChain::open();
	let bootnode = node(1, &[], &chain).await;
	let holder = node(2, &[bootnode.address()], &chain).await;
	bootnode.connected_to(peer_id(2)).await;
	let hash = holder.store.put(b"hello world").unwrap();
	let asker = node(3, &[bootnode.address()], &chain).await;
	assert_eq!(fetch(&asker, hash, &[holder.key()]).await, from(2, Route::Preferred));
}

#[tokio::test(flavor = "multi_thread")]
async fn liar_is_banned_and_the_other_holder_is_used() {
	let chain = TestChain::open();
	let bytes = artifact(200 * KIB, 1);
	let wrong = artifact(200 * KIB, 2);
	let liar = raw_peer(1, move |_, request| Answer::Bytes(chunk_of(&wrong, request))).await;
	let holder = node(2, &[], &chain).await;
	let hash = holder.store.put(&bytes).unwrap();
	let asker = start(small_chunks(3, &[liar.address.clone(), holder.address()]), 3, &chain).await.unwrap();
	asker.connected_to(liar.peer_id()).await;
	asker.connected_to(peer_id(2)).await;

	assert_eq!(fetch(&asker, hash, &[liar.key(), holder.key()]).await, from(2, Route::Preferred));
	assert_eq!(asker.store.get(&hash).unwrap(), Some(bytes));
	assert_eq!(asker.network.banned_peers(), [liar.peer_id()]);
	assert_eq!(asker.network.counters().bans, 1);
	asker.disconnected_from(liar.peer_id()).await;
	assert_eq!(asker.store.list().unwrap(), [hash], "wrong bytes reached the store");

	let asked_before = liar.offsets().len();
	let absent = artifact_hash(b"something else");
	fails_with(&asker, absent, 1, |problem| matches!(problem, Problem::Banned(_))).await;
	assert_eq!(liar.offsets().len(), asked_before);
}

#[tokio::test(flavor = "multi_thread")]
async fn ban_ends_after_its_time() {
	let chain = TestChain::open();
	let bytes = artifact(10 * KIB, 1);
	let hash = artifact_hash(&bytes);
	// Lies once and is honest from then on.
	let peer = raw_peer(1, move |n, request| {
		let mut bytes = bytes.clone();
		bytes[0] ^= u8::from(n == 0);
		Answer::Bytes(chunk_of(&bytes, request))
	})
	.await;
	let mut config = config(2, from_ref(&peer.address));
	config.limits.ban_for = Duration::from_millis(300);
	let asker = start(config, 2, &chain).await.unwrap();
	assert_eq!(fetch(&asker, hash, &[peer.key()]).await, from(1, Route::Preferred));
	assert_eq!(asker.network.counters().bans, 1);
	eventually(|| asker.network.banned_peers().is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn honest_holder_is_not_blamed_when_a_liar_sent_the_first_bytes() {
	let chain = TestChain::open();
	let bytes = artifact(200 * KIB, 1);
	let wrong = artifact(200 * KIB, 2);
	// Sends one wrong chunk and is gone.
	let liar = raw_peer(1, move |n, request| match n {
		0 => Answer::Bytes(chunk_of(&wrong, request)),
		_ => Answer::Vanish,
	})
	.await;
	let holder = node(2, &[], &chain).await;
	let hash = holder.store.put(&bytes).unwrap();
	let mut config = small_chunks(3, &[liar.address.clone(), holder.address()]);
	config.limits.chunks_in_flight = 1;
	let asker = start(config, 3, &chain).await.unwrap();
	asker.connected_to(liar.peer_id()).await;
	asker.connected_to(peer_id(2)).await;

	assert_eq!(fetch(&asker, hash, &[liar.key(), holder.key()]).await, from(2, Route::Preferred));
	assert_eq!(asker.store.get(&hash).unwrap(), Some(bytes));
	assert!(asker.network.banned_peers().is_empty());
	assert_eq!(liar.offsets(), [0, 64 * 1024]);
}

#[tokio::test(flavor = "multi_thread")]
async fn blob_is_refused_until_the_commit_window_closes() {
	let chain = TestChain::open();
	chain.set_window_closed(false);
	let holder = node(1, &[], &chain).await;
	let hash = holder.store.put(b"hello world").unwrap();
	let asker = node(2, &[holder.address()], &chain).await;
	asker.connected_to(peer_id(1)).await;
	let not_yet = Problem::Refused(cairn_network::protocol::Refusal::NotYet);
	let error = fails_with(&asker, hash, 1, |problem| *problem == not_yet).await;
	assert!(error.to_string().contains("before the commit window closes"), "{error}");
	assert_eq!(holder.network.counters().blob_bytes_out, 0);
	assert!(!asker.store.contains(&hash));

	// The same fetch that is refused at first gets it once the window is closed.
	let refused = holder.network.counters().requests_refused;
	let waiting = tokio::spawn({
		let (network, key) = (asker.network.clone(), holder.key());
		async move { network.fetch(hash, vec![key], LONG).await }
	});
	eventually(|| holder.network.counters().requests_refused > refused).await;
	chain.set_window_closed(true);
	assert_eq!(waiting.await.unwrap(), from(1, Route::Preferred));
}

#[tokio::test(flavor = "multi_thread")]
async fn unadmitted_peer_is_disconnected_and_can_fetch_nothing() {
	let holder = node(1, &[], &TestChain::of(&[1])).await;
	let hash = holder.store.put(b"hello world").unwrap();
	// The stranger itself trusts everybody.
	let stranger = node(2, &[holder.address()], &TestChain::open()).await;
	eventually(|| holder.network.counters().refused_peers > 0).await;
	let result = stranger.network.fetch(hash, vec![holder.key()], SHORT).await;
	assert!(!sources(result).is_empty());
	assert!(!stranger.store.contains(&hash));
	assert!(holder.network.connected_peers().is_empty());
	stranger.disconnected_from(peer_id(1)).await;
	let counters = holder.network.counters();
	assert_eq!((counters.requests_served, counters.blob_bytes_out, counters.provider_records), (0, 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn unadmitted_peer_that_asks_at_once_is_told_why_it_gets_nothing() {
	let chain = TestChain::of(&[1]);
	let holder = node(1, &[], &chain).await;
	let hash = holder.store.put(b"hello world").unwrap();
	let mut stranger = raw_peer(2, |_, _| Answer::Silence).await;
	let mut request = hash.as_bytes().to_vec();
	request.extend_from_slice(&[0; 8]);
	request.extend_from_slice(&1000u32.to_le_bytes());
	stranger.ask(holder.address(), request.clone());
	let answer = within_long(stranger.answers.recv()).await.unwrap();
	// The refusal, unless the connection was closed before the request was read.
	assert!(answer == Ok(vec![4]) || answer.is_err(), "{answer:?}");

	// The very same peer is served once it is registered.
	chain.register(&[1, 2]);
	loop {
		stranger.ask(holder.address(), request.clone());
		if let Ok(answer) = within_long(stranger.answers.recv()).await.unwrap() {
			if answer != [4] {
				assert_eq!(answer, chunk(11, b"hello world"));
				break;
			}
		}
		tokio::time::sleep(Duration::from_millis(50)).await;
	}
}

#[tokio::test(flavor = "multi_thread")]
async fn peer_that_this_node_does_not_admit_is_not_asked_even_as_bootnode() {
	let chain = TestChain::of(&[2]);
	let bytes = artifact(KIB, 1);
	let hash = artifact_hash(&bytes);
	let stranger = raw_peer(1, move |_, request| Answer::Bytes(chunk_of(&bytes, request))).await;
	let asker = node(2, from_ref(&stranger.address), &chain).await;
	fails_with(
		&asker,
		hash,
		1,
		|problem| matches!(problem, Problem::NotAdmitted(reason) if reason.contains("no device")),
	)
	.await;
	assert!(stranger.offsets().is_empty());

	chain.register(&[1, 2]);
	assert_eq!(fetch(&asker, hash, &[stranger.key()]).await, from(1, Route::Preferred));
}

#[tokio::test(flavor = "multi_thread")]
async fn unreachable_chain_keeps_who_was_admitted_and_admits_no_stranger() {
	let chain = TestChain::open();
	let mut config = config(1, &[]);
	config.limits.admitted_for = Duration::from_millis(250);
	let holder = start(config, 1, &chain).await.unwrap();
	let hash = holder.store.put(b"hello world").unwrap();
	let friend = node(2, &[holder.address()], &TestChain::open()).await;
	holder.connected_to(peer_id(2)).await;

	chain.set_reachable(false);
	let asked = chain.questions();
	eventually(|| chain.questions() > asked + 2).await;
	assert_eq!(holder.network.connected_peers(), [peer_id(2)]);
	assert_eq!(fetch(&friend, hash, &[]).await.map(|_| ()), Ok(()));

	let stranger = node(3, &[holder.address()], &TestChain::open()).await;
	eventually(|| holder.network.counters().refused_peers > 0).await;
	sources(stranger.network.fetch(hash, vec![holder.key()], SHORT).await);
	assert_eq!(holder.network.connected_peers(), [peer_id(2)]);

	chain.set_reachable(true);
	fetch(&stranger, hash, &[holder.key()]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn device_that_is_retired_is_dropped_at_the_next_check() {
	let chain = TestChain::of(&[1, 2]);
	let mut config = config(1, &[]);
	config.limits.admitted_for = Duration::from_millis(100);
	let node1 = start(config, 1, &chain).await.unwrap();
	let node2 = node(2, &[node1.address()], &TestChain::open()).await;
	node1.connected_to(peer_id(2)).await;
	node2.connected_to(peer_id(1)).await;
	chain.register(&[1]);
	node1.disconnected_from(peer_id(2)).await;
	assert!(node1.network.counters().refused_peers > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn policy_that_panics_or_never_answers_admits_nobody_and_harms_nobody() {
	struct Broken {
		panics: bool,
	}

	#[async_trait::async_trait]
	impl cairn_network::AccessPolicy for Broken {
		async fn admits(&self, _: [u8; 32]) -> cairn_network::Admission {
			assert!(!self.panics, "a broken policy");
			std::future::pending().await
		}

		fn may_serve(&self, _: &ArtifactHash) -> bool {
			panic!("a broken policy")
		}
	}

	for panics in [true, false] {
		let dir = tempfile::tempdir().unwrap();
		let store = cairn_artifacts::Store::open(dir.path()).unwrap();
		let mut config = config(1, &[]);
		config.limits.policy_timeout = Duration::from_millis(100);
		let network = cairn_network::Network::start(config, store, std::sync::Arc::new(Broken { panics }))
			.await
			.unwrap();
		let _stranger = node(2, &[network.listen_addrs()[0].clone()], &TestChain::open()).await;
		eventually(|| network.counters().refused_peers > 1).await;
		assert!(network.connected_peers().is_empty());
		network.shutdown().await;
	}
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_of_different_chains_do_not_talk() {
	let chain = TestChain::open();
	let here = node(1, &[], &chain).await;
	let hash = here.store.put(b"hello world").unwrap();
	let mut elsewhere = config(2, &[here.address()]);
	elsewhere.genesis = H256([0xde; 32]);
	let there = start(elsewhere, 2, &chain).await.unwrap();
	there.network.announce(hash).await.unwrap();
	eventually(|| here.network.counters().refused_peers > 0 || there.network.counters().refused_peers > 0)
		.await;
	sources(there.network.fetch(hash, vec![here.key()], SHORT).await);
	assert!(!there.store.contains(&hash));
	let counters = here.network.counters();
	assert_eq!((counters.requests_served, counters.requests_refused, counters.provider_records), (0, 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn interrupted_transfer_goes_on_where_it_broke_off() {
	let chain = TestChain::open();
	let bytes = artifact(300 * KIB, 1);
	let hash = artifact_hash(&bytes);
	let served = bytes.clone();
	let holder = raw_peer(1, move |n, request| match n {
		2 => Answer::HangUp,
		_ => Answer::Bytes(chunk_of(&served, request)),
	})
	.await;
	let mut config = small_chunks(2, from_ref(&holder.address));
	config.limits.chunks_in_flight = 1;
	let asker = start(config, 2, &chain).await.unwrap();
	assert_eq!(fetch(&asker, hash, &[holder.key()]).await, from(1, Route::Preferred));
	assert_eq!(asker.store.get(&hash).unwrap(), Some(bytes));
	let chunk = 64 * 1024;
	assert_eq!(holder.offsets(), [0, chunk, 2 * chunk, 2 * chunk, 3 * chunk, 4 * chunk]);
}

#[tokio::test(flavor = "multi_thread")]
async fn interrupted_transfer_goes_on_after_a_restart() {
	let chain = TestChain::open();
	let bytes = artifact(300 * KIB, 1);
	let hash = artifact_hash(&bytes);
	let served = bytes.clone();
	let holder = raw_peer(1, move |n, request| match n {
		2 => Answer::Silence,
		_ => Answer::Bytes(chunk_of(&served, request)),
	})
	.await;
	let mut config = small_chunks(2, from_ref(&holder.address));
	config.limits.chunks_in_flight = 1;
	let asker = start(config.clone(), 2, &chain).await.unwrap();
	let waiting = tokio::spawn({
		let (network, key) = (asker.network.clone(), holder.key());
		async move { network.fetch(hash, vec![key], LONG).await }
	});
	eventually(|| holder.offsets().len() == 3).await;
	let asker = restart(asker, config, &chain).await;
	assert_eq!(waiting.await.unwrap(), Err(FetchError::Stopped { hash }));
	assert_eq!(asker.partials().len(), 1);

	assert_eq!(fetch(&asker, hash, &[holder.key()]).await, from(1, Route::Preferred));
	assert_eq!(asker.store.get(&hash).unwrap(), Some(bytes));
	assert!(asker.partials().is_empty());
	let chunk = 64 * 1024;
	assert_eq!(holder.offsets(), [0, chunk, 2 * chunk, 2 * chunk, 3 * chunk, 4 * chunk]);
}

#[tokio::test(flavor = "multi_thread")]
async fn next_holder_goes_on_when_one_vanishes_in_mid_transfer() {
	let chain = TestChain::open();
	let bytes = artifact(300 * KIB, 1);
	let served = bytes.clone();
	let fleeting = raw_peer(1, move |n, request| match n {
		0 | 1 => Answer::Bytes(chunk_of(&served, request)),
		_ => Answer::Vanish,
	})
	.await;
	let holder = node(2, &[], &chain).await;
	let hash = holder.store.put(&bytes).unwrap();
	let mut config = small_chunks(3, &[fleeting.address.clone(), holder.address()]);
	config.limits.chunks_in_flight = 1;
	let asker = start(config, 3, &chain).await.unwrap();
	asker.connected_to(peer_id(1)).await;
	asker.connected_to(peer_id(2)).await;
	assert_eq!(fetch(&asker, hash, &[fleeting.key(), holder.key()]).await, from(2, Route::Preferred));
	assert_eq!(asker.store.get(&hash).unwrap(), Some(bytes));
	// Five chunks in all, of which the first two had come.
	assert_eq!(holder.network.counters().requests_served, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn next_holder_is_asked_when_one_stalls() {
	let chain = TestChain::open();
	let stalling = raw_peer(1, |_, _| Answer::Silence).await;
	let holder = node(2, &[], &chain).await;
	let hash = holder.store.put(b"hello world").unwrap();
	let mut config = config(3, &[stalling.address.clone(), holder.address()]);
	config.limits.chunk_timeout = Duration::from_millis(500);
	let asker = start(config, 3, &chain).await.unwrap();
	asker.connected_to(peer_id(1)).await;
	asker.connected_to(peer_id(2)).await;
	assert_eq!(fetch(&asker, hash, &[stalling.key(), holder.key()]).await, from(2, Route::Preferred));
	assert_eq!(stalling.offsets(), [0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn holder_that_hangs_while_connecting_holds_nobody_up() {
	let chain = TestChain::open();
	// Accepts connections and never says a word.
	let mute = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
	let address = format!("/ip4/127.0.0.1/tcp/{}/p2p/{}", mute.local_addr().unwrap().port(), peer_id(1));
	let holder = node(2, &[], &chain).await;
	let hash = holder.store.put(b"hello world").unwrap();
	let mut config = config(3, &[address.parse().unwrap(), holder.address()]);
	config.limits.dial_timeout = LONG * 10;
	let asker = start(config, 3, &chain).await.unwrap();
	// Before that dial ends, with which everything else would end too.
	assert_eq!(fetch(&asker, hash, &[key(1), holder.key()]).await, from(2, Route::Preferred));
	let other = holder.store.put(b"another one").unwrap();
	assert_eq!(fetch(&asker, other, &[key(1)]).await.map(|_| ()), Ok(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn oversized_length_is_refused_before_anything_is_kept() {
	let chain = TestChain::open();
	let boaster =
		raw_peer(1, |_, request| Answer::Bytes(chunk(1 << 40, &vec![0; max_len_of(request) as usize]))).await;
	let mut config = config(2, from_ref(&boaster.address));
	config.limits.max_artifact_len = 1 << 20;
	let asker = start(config, 2, &chain).await.unwrap();
	let expected = Problem::TooLarge { declared: 1 << 40, max: 1 << 20 };
	fails_with(&asker, H256([9; 32]), 1, |problem| *problem == expected).await;
	assert!(boaster.offsets().iter().all(|offset| *offset == 0));
	asker.network.shutdown().await;
	assert!(asker.partials().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_break_the_protocol_are_a_reported_problem_of_that_peer() {
	let chain = TestChain::open();
	let cases: [(&str, Vec<u8>); 5] = [
		("no bytes where some are due", chunk(100, b"")),
		("fewer bytes than are due", chunk(100, b"few")),
		("an unknown tag", vec![77]),
		("bytes after the end", [chunk(3, b"abc"), vec![1]].concat()),
		("a chunk longer than the whole", chunk(2, b"abc")),
	];
	for (case, answer) in cases {
		let peer = raw_peer(1, move |_, _| Answer::Bytes(answer.clone())).await;
		let asker = node(2, from_ref(&peer.address), &chain).await;
		fails_with(&asker, H256([9; 32]), 1, |problem| matches!(problem, Problem::Protocol(_))).await;
		assert!(asker.store.list().unwrap().is_empty(), "{case}");
	}
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_request_does_not_harm_the_node() {
	let chain = TestChain::open();
	let holder = node(1, &[], &chain).await;
	let hash = holder.store.put(b"hello world").unwrap();
	let mut peer = raw_peer(2, |_, _| Answer::Silence).await;
	for (i, junk) in [vec![], vec![1; 43], vec![1; 45], vec![0xff; 100_000]].into_iter().enumerate() {
		peer.ask(holder.address(), junk);
		// Whatever it gets, it is no chunk.
		let answer = within_long(peer.answers.recv()).await.unwrap();
		assert!(answer.is_err() || answer == Ok(vec![]), "{answer:?}");
		eventually(|| holder.network.counters().requests_malformed == i as u64 + 1).await;
	}
	let asker = node(3, &[holder.address()], &chain).await;
	assert_eq!(fetch(&asker, hash, &[holder.key()]).await, from(1, Route::Preferred));
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_fetches_of_one_artifact_share_a_transfer() {
	let chain = TestChain::open();
	let bytes = artifact(300 * KIB, 1);
	let hash = artifact_hash(&bytes);
	let served = bytes.clone();
	let holder = raw_peer(1, move |_, request| Answer::Bytes(chunk_of(&served, request))).await;
	let asker = start(small_chunks(2, from_ref(&holder.address)), 2, &chain).await.unwrap();
	let fetches: Vec<_> = (0..10)
		.map(|_| {
			let (network, key) = (asker.network.clone(), holder.key());
			tokio::spawn(async move { network.fetch(hash, vec![key], LONG).await })
		})
		.collect();
	for fetch in fetches {
		fetch.await.unwrap().unwrap();
	}
	assert_eq!(asker.store.get(&hash).unwrap(), Some(bytes));
	// Each chunk once, whether a call joined the transfer or came after its end.
	let mut offsets = holder.offsets();
	offsets.sort_unstable();
	assert_eq!(offsets, [0, 1, 2, 3, 4].map(|i| i * 64 * 1024));
}

#[tokio::test(flavor = "multi_thread")]
async fn busy_holder_is_asked_again_more_slowly() {
	let chain = TestChain::open();
	let bytes = artifact(200 * KIB, 1);
	let hash = artifact_hash(&bytes);
	let served = bytes.clone();
	let holder = raw_peer(1, move |n, request| {
		if n % 3 == 1 {
			Answer::Bytes(vec![3])
		} else {
			Answer::Bytes(chunk_of(&served, request))
		}
	})
	.await;
	let asker = start(small_chunks(2, from_ref(&holder.address)), 2, &chain).await.unwrap();
	assert_eq!(fetch(&asker, hash, &[holder.key()]).await, from(1, Route::Preferred));
	assert_eq!(asker.store.get(&hash).unwrap(), Some(bytes));
}

#[tokio::test(flavor = "multi_thread")]
async fn holder_that_serves_as_many_as_it_may_says_that_it_is_busy() {
	let chain = TestChain::open();
	let mut config = config(1, &[]);
	config.limits = Limits { serving_per_peer: 1, serving_total: 1, ..limits() };
	let holder = start(config, 1, &chain).await.unwrap();
	let hash = holder.store.put(&artifact(900 * KIB, 1)).unwrap();
	let mut peer = raw_peer(2, |_, _| Answer::Silence).await;
	let mut request = hash.as_bytes().to_vec();
	request.extend_from_slice(&[0; 8]);
	request.extend_from_slice(&u32::MAX.to_le_bytes());
	// One first, which connects the two.
	peer.ask(holder.address(), request.clone());
	assert!(within_long(peer.answers.recv()).await.unwrap().unwrap().len() > 900 * KIB);
	for _ in 0..20 {
		peer.ask(holder.address(), request.clone());
	}
	let mut answers = Vec::new();
	for _ in 0..20 {
		answers.push(within_long(peer.answers.recv()).await.unwrap().unwrap());
	}
	assert!(answers.contains(&vec![3]), "twenty at once were all served");
	assert!(answers.iter().any(|answer| answer.len() > 900 * KIB));
	// It is not stuck.
	peer.ask(holder.address(), request);
	assert!(within_long(peer.answers.recv()).await.unwrap().unwrap().len() > 900 * KIB);
}

#[tokio::test(flavor = "multi_thread")]
async fn fetch_that_nobody_can_serve_says_whom_it_asked() {
	let chain = TestChain::open();
	let other = node(1, &[], &chain).await;
	let asker = node(2, &[other.address()], &chain).await;
	asker.connected_to(peer_id(1)).await;
	let missing = H256([9; 32]);
	let mut no_key = [0u8; 32];
	no_key[0] = 2;
	let asked_all = |sources: &[SourceReport]| {
		sources.iter().any(|s| s.peer.is_none() && matches!(s.problem, Problem::InvalidKey(_)))
			&& sources.iter().any(|s| s.peer == Some(peer_id(77)) && s.problem == Problem::NoAddress)
			&& sources.iter().any(|s| s.peer == Some(peer_id(1)) && s.route == Route::Connected)
	};
	let message = within_long(async {
		loop {
			let result = asker.network.fetch(missing, vec![no_key, key(77)], SHORT).await;
			let message = result.clone().unwrap_err().to_string();
			if asked_all(&sources(result)) {
				return message;
			}
		}
	})
	.await;
	for part in [format!("{missing:?}"), peer_id(1).to_string(), "does not have it".into()] {
		assert!(message.contains(&part), "{message}");
	}
	assert!(asker.network.counters().fetches_failed > 0);

	let alone = node(3, &[], &chain).await;
	let message = alone.network.fetch(missing, vec![], SHORT).await.unwrap_err().to_string();
	assert!(message.contains("bootstrap"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bootnode_that_comes_late_or_comes_back_is_joined() {
	let chain = TestChain::open();
	let first = node(1, &[], &chain).await;
	let address = first.address();
	first.network.shutdown().await;
	drop(first);
	let node2 = node(2, from_ref(&address), &chain).await;
	let bare: cairn_network::Multiaddr = address.iter().take(2).collect();
	for _ in 0..2 {
		let mut config = config(1, &[]);
		config.listen = vec![bare.clone()];
		let bootnode = start(config, 1, &chain).await.unwrap();
		node2.connected_to(peer_id(1)).await;
		bootnode.network.shutdown().await;
		node2.disconnected_from(peer_id(1)).await;
	}
}
