//! Artifacts between nodes on loopback.
#![allow(clippy::unwrap_used)]

mod common;

use cairn_network::{
	protocol::Refusal, FetchError, Fetched, Limits, MaxLen, NetworkConfig, PeerId, Problem, Route, Shortage,
	SourceReport,
};
use cairn_primitives::{artifact_hash, ArtifactHash, H256};
use common::*;
use std::{
	slice::from_ref,
	sync::{
		atomic::{AtomicBool, AtomicUsize, Ordering},
		Arc, Mutex,
	},
	time::Duration,
};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

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

/// Fetches; says from whom and how they were found, nobody when it was there already.
async fn fetch(
	node: &Node,
	hash: ArtifactHash,
	preferred: &[[u8; 32]],
) -> Result<Vec<(PeerId, Route)>, FetchError> {
	node.network.fetch(hash, preferred.to_vec(), LONG).await.map(givers)
}

fn givers(fetched: Fetched) -> Vec<(PeerId, Route)> {
	match fetched {
		Fetched::AlreadyStored => Vec::new(),
		Fetched::From { sources, .. } => sources.iter().map(|source| (source.peer, source.route)).collect(),
	}
}

fn from(seed: u8, route: Route) -> Result<Vec<(PeerId, Route)>, FetchError> {
	Ok(vec![(peer_id(seed), route)])
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
	let sources = fetch(&asker, hash, &[]).await.unwrap();
	let [(peer, route)] = sources[..] else { panic!("{sources:?}") };
	assert_eq!(peer, peer_id(2));
	// Through Kademlia the two may have met before the fetch came to asking Kademlia.
	assert_ne!(route, Route::Preferred);
	assert_eq!(asker.store.get(&hash).unwrap(), Some(bytes));
	assert!(asker.partials().is_empty());

	// The holder repeats its announcements to the newcomer.
	eventually(|| asker.network.counters().provider_records == 2).await;
	assert_eq!(fetch(&asker, second, &[]).await, from(2, Route::Provider));
	assert_eq!(fetch(&asker, second, &[]).await, Ok(vec![]));

	let counters = asker.network.counters();
	assert_eq!((counters.fetches_ok, counters.fetches_failed), (3, 0));
	// The bytes, and less than a hundredth more to prove them.
	let len = 3 * 1024 * KIB as u64 + 17 + 11;
	assert!((len..len + len / 100).contains(&counters.blob_bytes_in), "{}", counters.blob_bytes_in);
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
	let liar = raw_peer(1, move |_, request| Answer::Bytes(slice_of(&wrong, request))).await;
	let holder = node(2, &[], &chain).await;
	let hash = holder.store.put(&bytes).unwrap();
	let asker = start(small_chunks(3, &[liar.address.clone(), holder.address()]), 3, &chain).await.unwrap();
	asker.connected_to(liar.peer_id()).await;
	asker.connected_to(peer_id(2)).await;

	let fetched = asker.network.fetch(hash, vec![liar.key(), holder.key()], LONG).await.unwrap();
	let Fetched::From { sources, problems } = fetched else { panic!("never fetched") };
	assert_eq!(sources.iter().map(|source| source.peer).collect::<Vec<_>>(), [peer_id(2)]);
	let named =
		|report: &SourceReport| report.peer == Some(liar.peer_id()) && report.problem == Problem::WrongBytes;
	assert!(problems.iter().any(named), "the report does not name the liar: {problems:?}");
	assert_eq!(asker.store.get(&hash).unwrap(), Some(bytes));
	assert_eq!(asker.network.banned_peers(), [liar.peer_id()]);
	assert_eq!(asker.network.counters().bans, 1);
	asker.disconnected_from(liar.peer_id()).await;
	assert_eq!(asker.store.list().unwrap(), [hash], "wrong bytes reached the store");

	let asked_before = liar.asked();
	let absent = artifact_hash(b"something else");
	fails_with(&asker, absent, 1, |problem| matches!(problem, Problem::Banned(_))).await;
	assert_eq!(liar.asked(), asked_before);
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
		Answer::Bytes(slice_of(&bytes, request))
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
async fn peer_that_lies_in_mid_transfer_is_banned_and_what_it_proved_is_kept() {
	let chain = TestChain::open();
	let bytes = artifact(300 * KIB, 1);
	let served = bytes.clone();
	// The length and two chunks are right, the third is not.
	let liar = raw_peer(1, move |n, request| {
		let mut proof = proof_of(&served, request);
		*proof.last_mut().unwrap() ^= u8::from(n == 3);
		Answer::Bytes(slice(served.len() as u64, &proof))
	})
	.await;
	let holder = node(2, &[], &chain).await;
	let hash = holder.store.put(&bytes).unwrap();
	let mut config = small_chunks(3, &[liar.address.clone(), holder.address()]);
	config.limits.chunks_in_flight = 1;
	config.limits.sources_per_transfer = 1;
	let asker = start(config, 3, &chain).await.unwrap();
	asker.connected_to(liar.peer_id()).await;
	asker.connected_to(peer_id(2)).await;

	let fetched = fetch(&asker, hash, &[liar.key(), holder.key()]).await.unwrap();
	assert!(fetched.contains(&(peer_id(2), Route::Preferred)), "{fetched:?}");
	assert_eq!(asker.store.get(&hash).unwrap(), Some(bytes));
	assert_eq!(asker.network.banned_peers(), [liar.peer_id()]);
	let chunk = 64 * 1024;
	assert_eq!(liar.offsets(), [0, chunk, 2 * chunk]);
	// The third to the fifth chunk; the length was proven by the liar.
	assert_eq!(holder.network.counters().requests_served, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn length_that_contradicts_the_proven_one_is_a_lie() {
	let chain = TestChain::open();
	let bytes = artifact(300 * KIB, 1);
	let hash = artifact_hash(&bytes);
	let liar = raw_peer(1, move |n, request| {
		let total = bytes.len() as u64 + u64::from(n > 0);
		Answer::Bytes(slice(total, &proof_of(&bytes, request)))
	})
	.await;
	let asker = start(small_chunks(2, from_ref(&liar.address)), 2, &chain).await.unwrap();
	let lied = |problem: &Problem| matches!(problem, Problem::WrongBytes | Problem::Banned(_));
	fails_with(&asker, hash, 1, lied).await;
	assert_eq!(asker.network.banned_peers(), [liar.peer_id()]);
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
	assert_eq!(waiting.await.unwrap().map(givers), from(1, Route::Preferred));
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
	let request = request(&hash, 0, 0);
	stranger.ask(holder.address(), request.clone());
	let answer = within_long(stranger.answers.recv()).await.unwrap();
	// The refusal, unless the connection was closed before the request was read. It was closed for that alone.
	if let Ok(answer) = answer {
		assert_eq!(answer, [4]);
	}
	eventually(|| holder.network.counters().refused_peers > 0).await;
	let counters = holder.network.counters();
	assert_eq!((counters.requests_served, counters.blob_bytes_out), (0, 0));

	// The very same peer is served once it is registered.
	chain.register(&[1, 2]);
	loop {
		stranger.ask(holder.address(), request.clone());
		if let Ok(answer) = within_long(stranger.answers.recv()).await.unwrap() {
			if answer != [4] {
				assert_eq!(answer, slice_of(b"hello world", &request));
				break;
			}
		}
		tokio::time::sleep(Duration::from_millis(50)).await;
	}
}

#[tokio::test(flavor = "multi_thread")]
async fn guest_fetches_what_may_be_served_and_is_nobody_otherwise() {
	let chain = TestChain::of(&[1, 3]);
	chain.take_guests();
	let holder = node(1, &[], &chain).await;
	let hash = holder.store.put(&artifact(3 * MIB, 1)).unwrap();
	let guest = node(2, &[holder.address()], &TestChain::open()).await;

	chain.set_window_closed(false);
	fails_with(&guest, hash, 1, |problem| *problem == Problem::Refused(Refusal::NotYet)).await;
	chain.set_window_closed(true);
	assert_eq!(fetch(&guest, hash, &[holder.key()]).await, from(1, Route::Preferred));

	// It announces, and holds what nobody else has: no record is kept, and it is not asked.
	let own = guest.store.put(b"of the guest").unwrap();
	guest.network.announce(own).await.unwrap();
	let device = node(3, &[holder.address()], &chain).await;
	device.connected_to(peer_id(1)).await;
	let asked = sources(device.network.fetch(own, vec![], SHORT).await);
	assert!(asked.iter().all(|report| report.peer != Some(peer_id(2))), "{asked:?}");
	let asked = sources(holder.network.fetch(own, vec![key(2)], SHORT).await);
	let is_named = |report: &SourceReport| matches!(&report.problem, Problem::NotAdmitted(reason) if reason.contains("no device's"));
	assert!(asked.iter().any(is_named), "{asked:?}");
	assert_eq!(holder.network.connected_peers(), [peer_id(3)]);
	assert_eq!(holder.network.counters().provider_records, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn guests_beyond_the_limit_get_nothing_until_one_leaves() {
	for max_guests in [0, 1] {
		let chain = TestChain::of(&[1]);
		chain.take_guests();
		let mut config = config(1, &[]);
		config.limits.max_guests = max_guests;
		let holder = start(config, 1, &chain).await.unwrap();
		let hash = holder.store.put(b"hello world").unwrap();
		let first = node(2, &[holder.address()], &TestChain::open()).await;
		if max_guests == 0 {
			assert!(!sources(first.network.fetch(hash, vec![key(1)], SHORT).await).is_empty());
			continue;
		}
		assert_eq!(fetch(&first, hash, &[key(1)]).await, from(1, Route::Preferred));
		let second = node(3, &[holder.address()], &TestChain::open()).await;
		assert!(!sources(second.network.fetch(hash, vec![key(1)], SHORT).await).is_empty());
		first.network.shutdown().await;
		assert_eq!(fetch(&second, hash, &[key(1)]).await, from(1, Route::Preferred));
	}
}

#[tokio::test(flavor = "multi_thread")]
async fn peer_that_this_node_does_not_admit_is_not_asked_even_as_bootnode() {
	let chain = TestChain::of(&[2]);
	let bytes = artifact(KIB, 1);
	let hash = artifact_hash(&bytes);
	let stranger = raw_peer(1, move |_, request| Answer::Bytes(slice_of(&bytes, request))).await;
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
			unreachable!("nobody is admitted")
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
async fn policy_that_panics_over_one_artifact_gives_it_to_nobody_and_the_next_all_the_same() {
	struct Shy(ArtifactHash);

	#[async_trait::async_trait]
	impl cairn_network::AccessPolicy for Shy {
		async fn admits(&self, _: [u8; 32]) -> cairn_network::Admission {
			cairn_network::Admission::Admitted
		}

		fn may_serve(&self, hash: &ArtifactHash) -> bool {
			assert_ne!(*hash, self.0, "a broken policy");
			true
		}
	}

	let dir = tempfile::tempdir().unwrap();
	let store = cairn_artifacts::Store::open(dir.path()).unwrap();
	let (secret, given) = (store.put(b"a secret").unwrap(), store.put(b"hello world").unwrap());
	let network = cairn_network::Network::start(config(1, &[]), store, Arc::new(Shy(secret))).await.unwrap();
	let asker = node(2, &[network.listen_addrs()[0].clone()], &TestChain::open()).await;
	fails_with(&asker, secret, 1, |problem| *problem == Problem::Refused(Refusal::Busy)).await;
	assert_eq!(network.counters().blob_bytes_out, 0);
	assert_eq!(fetch(&asker, given, &[key(1)]).await, from(1, Route::Preferred));
	network.shutdown().await;
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
	// Between two chunks, and in the middle of one.
	for in_the_middle in [false, true] {
		let served = bytes.clone();
		let holder = raw_peer(1, move |n, request| match n {
			3 if in_the_middle => {
				let slice = slice_of(&served, request);
				Answer::Bytes(slice[..slice.len() / 2].to_vec())
			},
			3 => Answer::HangUp,
			_ => Answer::Bytes(slice_of(&served, request)),
		})
		.await;
		let mut config = small_chunks(2, from_ref(&holder.address));
		config.limits.chunks_in_flight = 1;
		let asker = start(config, 2, &chain).await.unwrap();
		assert_eq!(fetch(&asker, hash, &[holder.key()]).await, from(1, Route::Preferred));
		assert_eq!(asker.store.get(&hash).unwrap().as_ref(), Some(&bytes));
		let chunk = 64 * 1024;
		assert_eq!(holder.offsets(), [0, chunk, 2 * chunk, 2 * chunk, 3 * chunk, 4 * chunk]);
	}
}

#[tokio::test(flavor = "multi_thread")]
async fn interrupted_transfer_goes_on_after_a_restart() {
	let chain = TestChain::open();
	let bytes = artifact(300 * KIB, 1);
	let hash = artifact_hash(&bytes);
	let served = bytes.clone();
	let holder = raw_peer(1, move |n, request| match n {
		3 => Answer::Silence,
		_ => Answer::Bytes(slice_of(&served, request)),
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
	assert_eq!(asker.partials().len(), 2, "data and outboard");

	assert_eq!(fetch(&asker, hash, &[holder.key()]).await, from(1, Route::Preferred));
	assert_eq!(asker.store.get(&hash).unwrap(), Some(bytes));
	assert!(asker.partials().is_empty());
	let chunk = 64 * 1024;
	assert_eq!(holder.offsets(), [0, chunk, 2 * chunk, 2 * chunk, 3 * chunk, 4 * chunk]);
}

#[tokio::test(flavor = "multi_thread")]
async fn fetch_goes_on_for_as_long_as_something_arrives_and_ends_when_nothing_does() {
	let chain = TestChain::open();
	let bytes = artifact(500 * KIB, 1);
	let hash = artifact_hash(&bytes);
	let served = bytes.clone();
	// Eight chunks, which all together take longer than the fetch would wait for one.
	let pause = Duration::from_millis(500);
	let within = pause * 6;
	let slow = raw_peer(1, move |n, request| {
		if n > 8 {
			return Answer::Silence;
		}
		if n > 0 {
			std::thread::sleep(pause);
		}
		Answer::Bytes(slice_of(&served, request))
	})
	.await;
	let mut config = small_chunks(2, from_ref(&slow.address));
	config.limits.chunks_in_flight = 1;
	let asker = start(config, 2, &chain).await.unwrap();
	asker.connected_to(slow.peer_id()).await;
	let fetched = asker.network.fetch(hash, vec![slow.key()], within).await.unwrap();
	assert_eq!(givers(fetched), [(slow.peer_id(), Route::Preferred)]);
	assert_eq!(asker.store.get(&hash).unwrap(), Some(bytes));
	// From now on it says nothing.
	let missing = artifact_hash(b"another one");
	let result = asker.network.fetch(missing, vec![slow.key()], pause).await;
	assert!(matches!(result, Err(FetchError::NotObtained { waited, .. }) if waited == pause), "{result:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn holder_that_says_nothing_does_not_take_the_turn_of_another_transfer() {
	let chain = TestChain::open();
	let silent = raw_peer(1, |_, _| Answer::Silence).await;
	let holder = node(2, &[], &chain).await;
	let hash = holder.store.put(&artifact(300 * KIB, 1)).unwrap();
	let mut config = small_chunks(3, &[silent.address.clone(), holder.address()]);
	config.limits.max_transfers = 1;
	// Nothing ends while this test runs but what gets its turn.
	config.limits.chunk_timeout = LONG * 10;
	let asker = start(config, 3, &chain).await.unwrap();
	asker.connected_to(silent.peer_id()).await;
	asker.connected_to(peer_id(2)).await;
	let waiting = tokio::spawn({
		let (network, key) = (asker.network.clone(), silent.key());
		async move { network.fetch(H256([9; 32]), vec![key], LONG * 10).await }
	});
	eventually(|| silent.asked() > 0).await;
	assert_eq!(fetch(&asker, hash, &[holder.key()]).await, from(2, Route::Preferred));
	waiting.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn next_holder_goes_on_when_one_vanishes_in_mid_transfer() {
	let chain = TestChain::open();
	let bytes = artifact(300 * KIB, 1);
	let served = bytes.clone();
	let fleeting = raw_peer(1, move |n, request| match n {
		0..=2 => Answer::Bytes(slice_of(&served, request)),
		_ => Answer::Vanish,
	})
	.await;
	let holder = node(2, &[], &chain).await;
	let hash = holder.store.put(&bytes).unwrap();
	let mut config = small_chunks(3, &[fleeting.address.clone(), holder.address()]);
	config.limits.chunks_in_flight = 1;
	config.limits.sources_per_transfer = 1;
	let asker = start(config, 3, &chain).await.unwrap();
	asker.connected_to(peer_id(1)).await;
	asker.connected_to(peer_id(2)).await;
	let fetched = fetch(&asker, hash, &[fleeting.key(), holder.key()]).await.unwrap();
	assert_eq!(fetched.len(), 2, "{fetched:?}");
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
	assert_eq!(stalling.asked(), 1);
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
async fn oversized_length_without_proof_is_a_lie_and_nothing_is_kept() {
	let chain = TestChain::open();
	let boaster = raw_peer(1, |_, _| Answer::Bytes(slice(1 << 40, &vec![0; 1 << 20]))).await;
	let asker = node(2, from_ref(&boaster.address), &chain).await;
	let lied = |problem: &Problem| matches!(problem, Problem::WrongBytes | Problem::Banned(_));
	fails_with(&asker, H256([9; 32]), 1, lied).await;
	assert!(boaster.offsets().is_empty());
	asker.network.shutdown().await;
	assert!(asker.partials().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn artifact_over_the_limit_is_refused_before_any_chunk_is_asked_for() {
	let chain = TestChain::open();
	let bytes = artifact(300 * KIB, 1);
	let hash = artifact_hash(&bytes);
	let holder = raw_peer(1, move |_, request| Answer::Bytes(slice_of(&bytes, request))).await;
	let mut config = small_chunks(2, from_ref(&holder.address));
	config.limits.max_artifact_len = 1000;
	let asker = start(config, 2, &chain).await.unwrap();
	let error = fetch(&asker, hash, &[holder.key()]).await.unwrap_err();
	assert!(matches!(error, FetchError::TooLarge { len: 307_200, max: 1000, .. }), "{error:?}");
	assert!(error.to_string().contains("raise its limit `max_artifact_len`"), "{error}");
	assert!(holder.offsets().is_empty() && asker.partials().is_empty());
}

fn most(bytes: usize) -> MaxLen {
	MaxLen { bytes: bytes as u64, reason: "it is a test's".into() }
}

#[tokio::test(flavor = "multi_thread")]
async fn fetch_with_a_limit_of_its_own_refuses_what_another_takes() {
	let chain = TestChain::open();
	let bytes = artifact(300 * KIB, 1);
	let hash = artifact_hash(&bytes);
	let served = bytes.clone();
	let holder = raw_peer(1, move |_, request| Answer::Bytes(slice_of(&served, request))).await;
	let asker = start(small_chunks(2, from_ref(&holder.address)), 2, &chain).await.unwrap();
	let up_to = |len: usize| asker.network.fetch_up_to(hash, vec![holder.key()], LONG, most(len));
	let error = up_to(300 * KIB - 1).await.unwrap_err();
	assert!(error.to_string().contains("307200 bytes, and the most is 307199: it is a test's"), "{error}");
	assert!(holder.offsets().is_empty() && asker.partials().is_empty());
	assert!(asker.network.banned_peers().is_empty());
	assert_eq!(up_to(300 * KIB).await.map(givers), from(1, Route::Preferred));
	assert_eq!(asker.store.get(&hash).unwrap(), Some(bytes));
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_that_share_a_transfer_get_what_the_most_generous_of_them_allows() {
	let chain = TestChain::open();
	let bytes = artifact(300 * KIB, 1);
	let hash = artifact_hash(&bytes);
	let released = Arc::new(AtomicBool::new(false));
	let (served, open) = (bytes.clone(), released.clone());
	// Busy until both have asked.
	let holder = raw_peer(1, move |_, request| match open.load(Ordering::SeqCst) {
		true => Answer::Bytes(slice_of(&served, request)),
		false => Answer::Bytes(vec![3]),
	})
	.await;
	let asker = start(small_chunks(2, from_ref(&holder.address)), 2, &chain).await.unwrap();
	let fetching = |len: usize| {
		let (network, key) = (asker.network.clone(), holder.key());
		tokio::spawn(async move { network.fetch_up_to(hash, vec![key], LONG, most(len)).await })
	};
	let sparing = fetching(1000);
	eventually(|| holder.asked() > 0).await;
	// This one alone decides: it gets the artifact whether it joins the other or comes after its end.
	let generous = fetching(MIB);
	released.store(true, Ordering::SeqCst);
	generous.await.unwrap().unwrap();
	match sparing.await.unwrap() {
		Ok(_) | Err(FetchError::TooLarge { max: 1000, .. }) => {},
		other => panic!("{other:?}"),
	}
	assert_eq!(asker.store.get(&hash).unwrap(), Some(bytes));
}

#[tokio::test(flavor = "multi_thread")]
async fn artifact_that_has_no_room_is_refused_with_folder_need_and_what_is_free() {
	let chain = TestChain::open();
	let bytes = artifact(300 * KIB, 1);
	let (hash, len) = (artifact_hash(&bytes), bytes.len() as u64);
	let served = bytes.clone();
	let holder = raw_peer(1, move |_, request| Answer::Bytes(slice_of(&served, request))).await;
	let cases =
		[Limits { disk_quota: Some(200_000), ..limits() }, Limits { disk_reserve: 1 << 60, ..limits() }];
	for limits in cases {
		let mut config = small_chunks(2, from_ref(&holder.address));
		config.limits = Limits { chunk_len: 64 * 1024, ..limits.clone() };
		let mut asker = start(config.clone(), 2, &chain).await.unwrap();
		let error = fetch(&asker, hash, &[holder.key()]).await.unwrap_err();
		let FetchError::NoSpace { folder, need, shortage, .. } = &error else { panic!("{error}") };
		assert_eq!(folder, asker.store.root());
		assert!((len..len + len / 100).contains(need), "{need}");
		let has = match shortage {
			Shortage::Quota { quota, used, promised: 0 } if *used < *quota => *quota,
			Shortage::Disk { free, reserve, promised: 0 } if *free > 0 && *reserve == 1 << 60 => *free,
			other => panic!("{other:?}"),
		};
		let said = error.to_string();
		for part in [folder.display().to_string(), need.to_string(), has.to_string()] {
			assert!(said.contains(&part), "{said}");
		}
		assert!(holder.offsets().is_empty() && asker.partials().is_empty());

		// With more room, the same fetch succeeds.
		config.limits.disk_quota = Some(10_000_000);
		config.limits.disk_reserve = 0;
		asker = restart(asker, config, &chain).await;
		assert_eq!(fetch(&asker, hash, &[holder.key()]).await, from(1, Route::Preferred));
		assert_eq!(asker.store.get(&hash).unwrap().unwrap(), bytes);
		let chunks = holder.take_offsets();
		assert_eq!(chunks.len(), 5);
	}
}

#[tokio::test(flavor = "multi_thread")]
async fn several_holders_give_parts_of_one_artifact() {
	let chain = TestChain::open();
	let bytes = artifact(300 * KIB, 1);
	let hash = artifact_hash(&bytes);
	let (served, served_too) = (bytes.clone(), bytes.clone());
	let given = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
	let seen = given.clone();
	// Gives two chunks and then has it no more.
	let first = raw_peer(1, move |_, request| {
		let chunks = given.load(std::sync::atomic::Ordering::SeqCst);
		if chunks == 2 {
			return Answer::Bytes(vec![1]);
		}
		given.fetch_add(usize::from(max_len_of(request) > 0), std::sync::atomic::Ordering::SeqCst);
		Answer::Bytes(slice_of(&served, request))
	})
	.await;
	// Is busy until the other one has had its turn.
	let second = raw_peer(2, move |_, request| {
		if seen.load(std::sync::atomic::Ordering::SeqCst) < 2 {
			return Answer::Bytes(vec![3]);
		}
		Answer::Bytes(slice_of(&served_too, request))
	})
	.await;
	let mut config = small_chunks(3, &[first.address.clone(), second.address.clone()]);
	config.limits.chunks_in_flight = 1;
	let asker = start(config, 3, &chain).await.unwrap();
	asker.connected_to(first.peer_id()).await;
	asker.connected_to(second.peer_id()).await;
	let mut fetched = fetch(&asker, hash, &[first.key(), second.key()]).await.unwrap();
	fetched.sort();
	let mut both = vec![(first.peer_id(), Route::Preferred), (second.peer_id(), Route::Preferred)];
	both.sort();
	assert_eq!(fetched, both);
	assert_eq!(asker.store.get(&hash).unwrap(), Some(bytes));
	assert!(asker.network.banned_peers().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn chunk_that_one_holder_sits_on_is_asked_of_another_that_has_nothing_to_do() {
	let chain = TestChain::open();
	let bytes = artifact(300 * KIB, 1);
	let served = bytes.clone();
	let slow = raw_peer(1, move |n, request| match n {
		0 => Answer::Bytes(slice_of(&served, request)),
		_ => Answer::Silence,
	})
	.await;
	let holder = node(2, &[], &chain).await;
	let hash = holder.store.put(&bytes).unwrap();
	let mut config = small_chunks(3, &[slow.address.clone(), holder.address()]);
	// The slow one's time would outlast the fetch.
	config.limits.chunk_timeout = LONG - Duration::from_secs(20);
	let asker = start(config, 3, &chain).await.unwrap();
	asker.connected_to(slow.peer_id()).await;
	asker.connected_to(peer_id(2)).await;
	let within = LONG - Duration::from_secs(21);
	asker.network.fetch(hash, vec![slow.key(), holder.key()], within).await.unwrap();
	assert_eq!(asker.store.get(&hash).unwrap(), Some(bytes));
}

#[tokio::test(flavor = "multi_thread")]
async fn holder_stops_at_the_allowance_and_another_gives_the_rest() {
	let chain = TestChain::open();
	let bytes = artifact(1500 * KIB, 1);
	let mut sparing = config(1, &[]);
	sparing.limits.serving_per_window = 1 << 20;
	let sparing = start(sparing, 1, &chain).await.unwrap();
	let hash = sparing.store.put(&bytes).unwrap();
	let asker = start(small_chunks(3, &[sparing.address()]), 3, &chain).await.unwrap();
	let spent = Problem::Refused(cairn_network::protocol::Refusal::Allowance);
	fails_with(&asker, hash, 1, |problem| *problem == spent).await;
	let out = sparing.network.counters().blob_bytes_out;
	assert!(out > 900 * KIB as u64 && out <= 1 << 20, "{out}");

	let generous = node(2, &[], &chain).await;
	generous.store.put(&bytes).unwrap();
	let asker = restart(asker, small_chunks(3, &[sparing.address(), generous.address()]), &chain).await;
	fetch(&asker, hash, &[sparing.key(), generous.key()]).await.unwrap();
	assert_eq!(asker.store.get(&hash).unwrap(), Some(bytes));
	// What the first gave was not fetched again.
	let rest = generous.network.counters().blob_bytes_out;
	assert!(rest < 700 * KIB as u64, "{rest}");
}

#[tokio::test(flavor = "multi_thread")]
async fn peer_of_a_holder_with_a_low_rate_gets_all_of_the_artifact_all_the_same() {
	for guest in [false, true] {
		let chain = TestChain::of(if guest { &[1][..] } else { &[1, 2][..] });
		chain.take_guests();
		let mut slow = config(1, &[]);
		// With a pause of half a second at most: the least rate is 699,051.
		slow.limits.chunk_timeout = Duration::from_secs(1);
		if guest {
			slow.limits.guest_rate = 1 << 20;
		} else {
			slow.limits.serving_rate_per_peer = Some(1 << 20);
		}
		let holder = start(slow, 1, &chain).await.unwrap();
		let bytes = artifact(5 * MIB / 2, 1);
		let hash = holder.store.put(&bytes).unwrap();
		let asker = node(2, &[holder.address()], &TestChain::open()).await;
		fetch(&asker, hash, &[holder.key()]).await.unwrap();
		assert_eq!(asker.store.get(&hash).unwrap(), Some(bytes));
	}
}

#[tokio::test(flavor = "multi_thread")]
async fn peer_that_comes_back_has_no_more_served_than_one_that_stays() {
	/// What it is asked to serve takes as long as the test likes.
	#[derive(Default)]
	struct Slow {
		asked: AtomicUsize,
		released: AtomicBool,
	}

	#[async_trait::async_trait]
	impl cairn_network::AccessPolicy for Slow {
		async fn admits(&self, _: [u8; 32]) -> cairn_network::Admission {
			cairn_network::Admission::Admitted
		}

		fn may_serve(&self, _: &ArtifactHash) -> bool {
			self.asked.fetch_add(1, Ordering::SeqCst);
			// Not for ever, so that a test that fails ends.
			let began = std::time::Instant::now();
			while !self.released.load(Ordering::SeqCst) && began.elapsed() < LONG {
				std::thread::sleep(Duration::from_millis(5));
			}
			true
		}
	}

	let dir = tempfile::tempdir().unwrap();
	let store = cairn_artifacts::Store::open(dir.path()).unwrap();
	let hash = store.put(b"hello world").unwrap();
	let policy = Arc::new(Slow::default());
	let mut config = config(1, &[]);
	config.limits.serving_per_peer = 1;
	let network = cairn_network::Network::start(config, store, policy.clone()).await.unwrap();
	let address = network.listen_addrs()[0].clone();
	let request = request(&hash, 0, 0);
	let first = raw_peer(2, |_, _| Answer::Silence).await;
	first.ask(address.clone(), request.clone());
	eventually(|| policy.asked.load(Ordering::SeqCst) == 1).await;
	drop(first);
	eventually(|| network.connected_peers().is_empty()).await;

	let mut again = raw_peer(2, |_, _| Answer::Silence).await;
	again.ask(address.clone(), request.clone());
	assert_eq!(within_long(again.answers.recv()).await.unwrap(), Ok(vec![3]));
	assert_eq!(policy.asked.load(Ordering::SeqCst), 1);
	policy.released.store(true, Ordering::SeqCst);
	// As soon as what it had asked for is done.
	let served = slice_of(b"hello world", &request);
	loop {
		again.ask(address.clone(), request.clone());
		match within_long(again.answers.recv()).await.unwrap() {
			Ok(answer) if answer == served => break,
			answer => assert_eq!(answer, Ok(vec![3])),
		}
	}
	network.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_fetched_is_served_to_others_with_the_outboard_that_came_along() {
	let chain = TestChain::open();
	let first = node(1, &[], &chain).await;
	let bytes = artifact(3000 * KIB, 1);
	let hash = first.store.put(&bytes).unwrap();
	let second = node(2, &[first.address()], &chain).await;
	fetch(&second, hash, &[first.key()]).await.unwrap();
	let read = |node: &Node| std::fs::read(node.store.outboard_path(&hash)).unwrap();
	assert_eq!(read(&first), read(&second));
	first.network.shutdown().await;
	let third = node(3, &[second.address()], &chain).await;
	assert_eq!(fetch(&third, hash, &[second.key()]).await, from(2, Route::Preferred));
	assert_eq!(third.store.get(&hash).unwrap(), Some(bytes));
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_break_the_protocol_are_a_reported_problem_of_that_peer() {
	let chain = TestChain::open();
	let hello = b"hello world";
	let proof = proof_of(hello, &request(&artifact_hash(hello), 0, 0));
	let mut endless = slice(11, &proof);
	endless.resize(1 << 22, 0);
	let cases: [(&str, Vec<u8>); 6] = [
		("no bytes where some are due", slice(11, b"")),
		("fewer bytes than are due", slice(11, &proof[..5])),
		("more bytes than prove anything", slice(11, &[&proof[..], b"!"].concat())),
		("an unknown tag", vec![77]),
		("a stream that does not end", endless),
		("a slice longer than any", [&[0][..], &11u64.to_le_bytes(), &u32::MAX.to_le_bytes()].concat()),
	];
	for (case, answer) in cases {
		let peer = raw_peer(1, move |_, _| Answer::Bytes(answer.clone())).await;
		let asker = node(2, from_ref(&peer.address), &chain).await;
		let broken = |problem: &Problem| matches!(problem, Problem::Protocol(_));
		fails_with(&asker, artifact_hash(hello), 1, broken).await;
		assert!(asker.store.list().unwrap().is_empty(), "{case}");
	}
}

#[tokio::test(flavor = "multi_thread")]
async fn peer_that_sends_too_few_or_too_many_bytes_is_asked_once_by_a_fetch() {
	let chain = TestChain::open();
	let hello = b"hello world";
	let hash = artifact_hash(hello);
	let proof = proof_of(hello, &request(&hash, 0, 0));
	let (few, many) = (slice(11, &proof[..5]), slice(11, &[&proof[..], b"!"].concat()));
	let few = raw_peer(1, move |_, _| Answer::Bytes(few.clone())).await;
	let many = raw_peer(2, move |_, _| Answer::Bytes(many.clone())).await;
	// Does not have it, and is asked once a round.
	let witness = raw_peer(3, |_, _| Answer::Bytes(vec![1])).await;
	let peers = [few.address.clone(), many.address.clone(), witness.address.clone()];
	let asker = node(4, &peers, &chain).await;
	for peer in [&few, &many, &witness] {
		asker.connected_to(peer.peer_id()).await;
	}
	let asking = tokio::spawn({
		let (network, keys) = (asker.network.clone(), vec![few.key(), many.key(), witness.key()]);
		async move { network.fetch(hash, keys, LONG * 10).await }
	});
	eventually(|| witness.asked() > 3).await;
	assert_eq!((few.asked(), many.asked()), (1, 1));
	assert!(asker.network.banned_peers().is_empty());
	asking.abort();
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
	let holder = raw_peer(1, move |_, request| Answer::Bytes(slice_of(&served, request))).await;
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
async fn busy_holder_is_not_given_up_and_is_asked_for_the_same_chunk_once_more() {
	let chain = TestChain::open();
	let bytes = artifact(500 * KIB, 1);
	let hash = artifact_hash(&bytes);
	let offsets = Arc::new(Mutex::new(Vec::new()));
	let (served, seen) = (bytes.clone(), offsets.clone());
	let mut refused = false;
	let holder = raw_peer(1, move |n, request| {
		if n == 0 {
			return Answer::Bytes(slice_of(&served, request));
		}
		seen.lock().unwrap().push(offset_of(request));
		// The first of the chunks that are asked for at once.
		if !std::mem::replace(&mut refused, true) {
			return Answer::Bytes(vec![3]);
		}
		Answer::Bytes(slice_of(&served, request))
	})
	.await;
	let mut config = small_chunks(2, from_ref(&holder.address));
	config.limits.chunks_in_flight = 3;
	let asker = start(config, 2, &chain).await.unwrap();
	let fetched = asker.network.fetch(hash, vec![holder.key()], LONG).await.unwrap();
	let Fetched::From { sources, problems } = fetched else { panic!("it was not there") };
	// It was not given up for one refusal, and the chunk was asked for again.
	assert_eq!(sources.iter().map(|source| source.peer).collect::<Vec<_>>(), [holder.peer_id()]);
	assert!(problems.is_empty(), "{problems:?}");
	let mut offsets = offsets.lock().unwrap().clone();
	let again = offsets[0];
	assert_eq!(offsets.iter().filter(|offset| **offset == again).count(), 2, "{offsets:?}");
	offsets.sort_unstable();
	offsets.dedup();
	assert_eq!(offsets, (0..8).map(|i| i * 64 * 1024).collect::<Vec<_>>());
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
	let request = request(&hash, 0, 1 << 20);
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
