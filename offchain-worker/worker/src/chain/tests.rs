//! Against a small node in this process, which can be stopped, started again, and turned into another chain.
#![allow(clippy::unwrap_used)]

use super::{
	heads::Head,
	node::{LiveNode, Node as _},
	*,
};
use crate::journal::{JournalError, SentLog, SentTx};
use futures::StreamExt;
use jsonrpsee::{
	server::{RpcModule, Server, ServerHandle},
	types::ErrorObjectOwned,
	SubscriptionMessage,
};
use serde_json::{json, Value};
use std::{
	net::SocketAddr,
	sync::{Mutex, PoisonError},
	time::Duration,
};
use tokio::sync::watch;

const GENESIS: H256 = H256([0xaa; 32]);
const OTHER_GENESIS: H256 = H256([0xbb; 32]);

/// What the node answers. Outlives the node's process, as a chain does.
struct State {
	genesis: Mutex<H256>,
	finalised: watch::Sender<u32>,
	/// The finalised block that a follower was told of last.
	told: watch::Sender<u32>,
	syncing: Mutex<bool>,
	/// How often it has not got a block's body yet, though its hash.
	bodiless: Mutex<u32>,
	submitted: watch::Sender<Vec<String>>,
	/// Code, message and data of the answer to the next submissions.
	refuse: Mutex<Option<(i32, &'static str, &'static str)>>,
	next_nonce: Mutex<u64>,
}

fn get<T: Clone>(mutex: &Mutex<T>) -> T {
	mutex.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

fn set<T>(mutex: &Mutex<T>, value: T) {
	*mutex.lock().unwrap_or_else(PoisonError::into_inner) = value;
}

fn hash_of(number: u32) -> H256 {
	let mut hash = [0u8; 32];
	hash[..4].copy_from_slice(&number.to_be_bytes());
	hash[31] = 1;
	H256(hash)
}

fn header(number: u32) -> Value {
	json!({ "number": format!("0x{number:x}") })
}

struct Node {
	state: Arc<State>,
	address: SocketAddr,
	handle: Option<ServerHandle>,
}

impl Node {
	async fn start() -> Self {
		let state = Arc::new(State {
			genesis: Mutex::new(GENESIS),
			finalised: watch::Sender::new(10),
			told: watch::Sender::new(0),
			syncing: Mutex::new(false),
			bodiless: Mutex::new(0),
			submitted: watch::Sender::new(Vec::new()),
			refuse: Mutex::new(None),
			next_nonce: Mutex::new(0),
		});
		let mut node = Self { state, address: SocketAddr::from(([127, 0, 0, 1], 0)), handle: None };
		node.resume().await;
		node
	}

	/// Serves again on the port it had before.
	async fn resume(&mut self) {
		let server = Server::builder().build(self.address).await.unwrap();
		self.address = server.local_addr().unwrap();
		self.handle = Some(server.start(module(self.state.clone())));
	}

	async fn stop(&mut self) {
		let handle = self.handle.take().unwrap();
		handle.stop().unwrap();
		handle.stopped().await;
	}

	fn url(&self) -> String {
		format!("ws://{}", self.address)
	}
}

fn module(state: Arc<State>) -> RpcModule<Arc<State>> {
	let mut module = RpcModule::new(state);
	module
		.register_method("chain_getBlockHash", |params, state, _| {
			let number: u32 = params.one().unwrap();
			match number {
				0 => Some(get(&state.genesis)),
				n if n <= *state.finalised.borrow() => Some(hash_of(n)),
				_ => None,
			}
		})
		.unwrap();
	module
		.register_method("chain_getFinalizedHead", |_, state, _| Some(hash_of(*state.finalised.borrow())))
		.unwrap();
	module
		.register_method("chain_getHeader", |params, _, _| {
			let hash: H256 = params.one().unwrap();
			header(u32::from_be_bytes(hash.0[..4].try_into().unwrap()))
		})
		.unwrap();
	module
		.register_method("chain_getBlock", |_, state, _| {
			let left = get(&state.bodiless);
			set(&state.bodiless, left.saturating_sub(1));
			(left == 0).then(|| json!({ "block": { "extrinsics": ["0x00"] } }))
		})
		.unwrap();
	module
		.register_method("system_health", |_, state, _| json!({ "isSyncing": get(&state.syncing) }))
		.unwrap();
	module
		.register_method("state_getStorage", |params, _, _| {
			let (key, _): (String, H256) = params.parse().unwrap();
			// 1,700,000,000,123 ms, as the chain encodes it.
			(key.len() == 66).then_some("0x7b68e5cf8b010000")
		})
		.unwrap();
	module.register_method("system_accountNextIndex", |_, state, _| get(&state.next_nonce)).unwrap();
	module
		.register_method("author_submitExtrinsic", |params, state, _| {
			let bytes: String = params.one().unwrap();
			state.submitted.send_modify(|all| all.push(bytes));
			match get(&state.refuse) {
				None => Ok(hash_of(1)),
				Some((code, message, data)) => Err(ErrorObjectOwned::owned(code, message, Some(data))),
			}
		})
		.unwrap();
	module
		.register_method("state_call", |_, _, _| {
			let text =
				"Client error: Execution failed: Other: Exported method TrainingApi_programmes is not found";
			Err::<String, _>(ErrorObjectOwned::owned(4003, "Client error", Some(text)))
		})
		.unwrap();
	for (subscribe, item, unsubscribe) in [
		("chain_subscribeFinalizedHeads", "chain_finalizedHead", "chain_unsubscribeFinalizedHeads"),
		("chain_subscribeNewHeads", "chain_newHead", "chain_unsubscribeNewHeads"),
	] {
		module
			.register_subscription(subscribe, item, unsubscribe, move |_, pending, state, _| async move {
				let Ok(sink) = pending.accept().await else { return };
				let mut finalised = state.finalised.subscribe();
				loop {
					let number = *finalised.borrow_and_update();
					let message = SubscriptionMessage::from_json(&header(number)).unwrap();
					if sink.send(message).await.is_err() {
						return;
					}
					if item == "chain_finalizedHead" {
						state.told.send_replace(number);
					}
					tokio::select! {
						changed = finalised.changed() => if changed.is_err() { return },
						() = sink.closed() => return,
					}
				}
			})
			.unwrap();
	}
	module
}

fn quick() -> RpcSettings {
	RpcSettings {
		backoff: Duration::from_millis(5),
		backoff_max: Duration::from_millis(20),
		..RpcSettings::default()
	}
}

fn impatient() -> RpcSettings {
	RpcSettings { patience: Some(Duration::from_millis(50)), ..quick() }
}

async fn number_reaches(heads: &Heads, number: u32) -> Head {
	let mut finalised = heads.finalised.clone();
	let head = finalised.wait_for(|head| head.number >= number).await.unwrap();
	*head
}

#[tokio::test]
async fn request_survives_a_node_restart() {
	let mut node = Node::start().await;
	let chain = Chain::connect(RpcPool::new(vec![node.url()], quick())).await.unwrap();
	assert_eq!(chain.finalised().await.unwrap(), Head { number: 10, hash: hash_of(10) });
	node.stop().await;
	let waiting = tokio::spawn({
		let chain = chain.clone();
		async move { chain.block_hash(7).await }
	});
	node.resume().await;
	assert_eq!(waiting.await.unwrap().unwrap(), Some(hash_of(7)));
}

#[tokio::test]
async fn subscription_is_taken_up_again_after_a_node_restart() {
	let mut node = Node::start().await;
	let chain = Chain::connect(RpcPool::new(vec![node.url()], quick())).await.unwrap();
	let heads = Heads::follow(&chain).await.unwrap();
	node.state.finalised.send_replace(11);
	assert_eq!(number_reaches(&heads, 11).await.hash, hash_of(11));
	node.stop().await;
	node.state.finalised.send_replace(15);
	node.resume().await;
	assert_eq!(number_reaches(&heads, 15).await.hash, hash_of(15));
	node.state.finalised.send_replace(16);
	number_reaches(&heads, 16).await;
	heads.best_reaches(16).await;
}

#[tokio::test]
async fn finalised_head_never_goes_back_when_a_node_lags() {
	let mut node = Node::start().await;
	let chain = Chain::connect(RpcPool::new(vec![node.url()], quick())).await.unwrap();
	let heads = Heads::follow(&chain).await.unwrap();
	node.stop().await;
	node.state.finalised.send_replace(3);
	node.resume().await;
	node.state.told.subscribe().wait_for(|told| *told == 3).await.unwrap();
	// What was sent before these answers has arrived, and there was time to ask for the block's hash.
	for _ in 0..5 {
		chain.block_hash(1).await.unwrap();
	}
	assert!(!heads.finalised.has_changed().unwrap());
	assert_eq!(heads.finalised_now().number, 10);
	node.state.finalised.send_replace(12);
	assert_eq!(number_reaches(&heads, 12).await.number, 12);
}

#[tokio::test]
async fn node_that_is_behind_is_left_for_the_next_however_much_it_says() {
	let (mut first, behind) = (Node::start().await, Node::start().await);
	first.state.finalised.send_replace(20);
	let settings = RpcSettings { stalled: Duration::from_millis(300), ..quick() };
	let pool = RpcPool::new(vec![first.url(), behind.url()], settings);
	let chain = Chain::connect(pool).await.unwrap();
	let heads = Heads::follow(&chain).await.unwrap();
	first.stop().await;
	assert_eq!(chain.finalised().await.unwrap().number, 10);
	first.state.finalised.send_replace(30);
	first.resume().await;
	let getting_on = async {
		for number in (11..20).cycle() {
			behind.state.finalised.send_replace(number);
			tokio::time::sleep(Duration::from_millis(10)).await;
		}
	};
	tokio::select! {
		head = number_reaches(&heads, 30) => assert_eq!(head.hash, hash_of(30)),
		() = getting_on => {},
		() = tokio::time::sleep(Duration::from_secs(30)) => panic!("the worker stays at the node that is behind"),
	}
}

#[tokio::test]
async fn node_that_is_catching_up_is_left_for_one_that_is_not_though_it_gets_on() {
	let (behind, ahead) = (Node::start().await, Node::start().await);
	set(&behind.state.syncing, true);
	ahead.state.finalised.send_replace(1000);
	let chain = Chain::connect(RpcPool::new(vec![behind.url(), ahead.url()], quick())).await.unwrap();
	let heads = Heads::follow(&chain).await.unwrap();
	let getting_on = async {
		for number in 11..900 {
			behind.state.finalised.send_replace(number);
			tokio::time::sleep(Duration::from_millis(10)).await;
		}
	};
	tokio::select! {
		head = number_reaches(&heads, 1000) => assert_eq!(head.hash, hash_of(1000)),
		() = getting_on => panic!("the worker stays at the node that is catching up"),
	}
}

#[tokio::test]
async fn subscription_that_nobody_asks_for_its_next_item_keeps_nobody_from_connecting() {
	let mut node = Node::start().await;
	let chain = Chain::connect(RpcPool::new(vec![node.url()], quick())).await.unwrap();
	node.stop().await;
	let mut heads = chain.rpc().subscribe::<Value>("chain_subscribeNewHeads", "chain_unsubscribeNewHeads");
	// It has begun to look for a node that answers, and stays there.
	let next = async {
		loop {
			let item = heads.next().await.unwrap().unwrap();
			if item == header(12) {
				return;
			}
		}
	};
	let mut next = std::pin::pin!(next);
	assert!(tokio::time::timeout(Duration::from_millis(50), &mut next).await.is_err());
	node.state.finalised.send_replace(12);
	node.resume().await;
	let asked = tokio::time::timeout(Duration::from_secs(30), chain.block_hash(12)).await;
	assert_eq!(
		asked.expect("an answer, though nobody looks at the subscription").unwrap(),
		Some(hash_of(12))
	);
	next.await;
}

#[tokio::test]
async fn best_block_comes_from_the_node_in_use_after_a_rotation() {
	let (first, second) = (Node::start().await, Node::start().await);
	let chain = Chain::connect(RpcPool::new(vec![first.url(), second.url()], quick())).await.unwrap();
	let heads = Heads::follow(&chain).await.unwrap();
	// Both subscriptions are up, at the first node.
	first.state.finalised.send_replace(11);
	number_reaches(&heads, 11).await;
	heads.best.clone().wait_for(|best| *best == 11).await.unwrap();
	chain.rpc().rotate();
	second.state.finalised.send_replace(50);
	let mut best = heads.best.clone();
	let reaching = best.wait_for(|best| *best == 50);
	assert!(tokio::time::timeout(Duration::from_secs(30), reaching).await.is_ok());
	// The first has no say any more.
	first.state.finalised.send_replace(60);
	for _ in 0..5 {
		chain.block_hash(1).await.unwrap();
	}
	assert_eq!((heads.best_now(), chain.rpc().url()), (50, Some(second.url())));
}

#[tokio::test]
async fn transaction_is_not_missed_in_a_block_whose_body_comes_late() {
	let node = Node::start().await;
	set(&node.state.bodiless, 1);
	let chain = Chain::connect(RpcPool::new(vec![node.url()], quick())).await.unwrap();
	let live = LiveNode::new(chain, subxt_signer::sr25519::dev::alice());
	assert_eq!(live.find(&[0], 5).await.unwrap(), Some((Head { number: 5, hash: hash_of(5) }, 0)));
	assert_eq!(live.find(&[1], 5).await.unwrap(), None);
}

#[test]
fn certificate_out_of_its_time_is_reported_with_what_the_clock_says() {
	// As rustls words it, with and without the times.
	for reason in [
		"invalid peer certificate: certificate expired: verification time 1 (UNIX), but certificate is not valid after 0",
		"invalid peer certificate: certificate not valid yet: verification time 0 (UNIX), but certificate is not valid before 1",
		"invalid peer certificate: Expired",
		"invalid peer certificate: NotValidYet",
	] {
		let said = rpc::with_hint(reason.into());
		assert!(said.starts_with(reason) && said.contains("Check this machine's clock: it says 2"), "{said}");
	}
	let other = "invalid peer certificate: UnknownIssuer";
	assert_eq!(rpc::with_hint(other.into()), other);
}

#[tokio::test]
async fn next_node_is_used_when_one_fails() {
	let mut first = Node::start().await;
	let second = Node::start().await;
	let pool = RpcPool::new(vec![first.url(), second.url()], quick());
	let chain = Chain::connect(pool).await.unwrap();
	assert_eq!(chain.rpc().url(), Some(first.url()));
	first.stop().await;
	assert_eq!(chain.block_hash(1).await.unwrap(), Some(hash_of(1)));
	assert_eq!(chain.rpc().url(), Some(second.url()));
}

#[tokio::test]
async fn rotation_leaves_a_node_that_answers() {
	let (first, second) = (Node::start().await, Node::start().await);
	let chain = Chain::connect(RpcPool::new(vec![first.url(), second.url()], quick())).await.unwrap();
	chain.rpc().rotate();
	chain.finalised().await.unwrap();
	assert_eq!(chain.rpc().url(), Some(second.url()));
}

#[tokio::test]
async fn node_of_another_chain_is_refused_by_both_hashes() {
	let node = Node::start().await;
	set(&node.state.genesis, OTHER_GENESIS);
	let settings = RpcSettings { genesis: Some(GENESIS), ..quick() };
	let error = Chain::connect(RpcPool::new(vec![node.url()], settings)).await.unwrap_err();
	let message = error.to_string();
	assert!(matches!(error, ChainError::Rpc(RpcError::WrongChain { .. })), "{message}");
	for part in [crate::units::hex(GENESIS), crate::units::hex(OTHER_GENESIS), node.url()] {
		assert!(message.contains(&part), "{message}");
	}
}

#[tokio::test]
async fn node_that_comes_back_with_another_chain_is_refused_after_first_contact() {
	let mut node = Node::start().await;
	let chain = Chain::connect(RpcPool::new(vec![node.url()], quick())).await.unwrap();
	node.stop().await;
	set(&node.state.genesis, OTHER_GENESIS);
	node.resume().await;
	let error = chain.finalised().await.unwrap_err();
	assert!(matches!(error, ChainError::Rpc(RpcError::WrongChain { .. })), "{error}");
}

#[tokio::test]
async fn following_goes_on_when_the_right_chain_comes_back() {
	let mut node = Node::start().await;
	let chain = Chain::connect(RpcPool::new(vec![node.url()], quick())).await.unwrap();
	let heads = Heads::follow(&chain).await.unwrap();
	node.stop().await;
	set(&node.state.genesis, OTHER_GENESIS);
	node.resume().await;
	assert!(chain.finalised().await.is_err());
	node.stop().await;
	set(&node.state.genesis, GENESIS);
	node.state.finalised.send_replace(20);
	node.resume().await;
	assert_eq!(number_reaches(&heads, 20).await.hash, hash_of(20));
}

#[tokio::test]
async fn following_ends_with_the_patience_of_a_command() {
	let mut node = Node::start().await;
	let chain = Chain::connect(RpcPool::new(vec![node.url()], impatient())).await.unwrap();
	let mut heads = Heads::follow(&chain).await.unwrap();
	heads.finalised.borrow_and_update();
	node.stop().await;
	assert!(heads.finalised.changed().await.is_err());
}

#[tokio::test]
async fn node_of_another_chain_is_passed_over_for_one_of_ours() {
	let (strange, ours) = (Node::start().await, Node::start().await);
	set(&strange.state.genesis, OTHER_GENESIS);
	let settings = RpcSettings { genesis: Some(GENESIS), ..quick() };
	let chain = Chain::connect(RpcPool::new(vec![strange.url(), ours.url()], settings)).await.unwrap();
	assert_eq!(chain.rpc().url(), Some(ours.url()));
}

#[tokio::test]
async fn command_gives_up_naming_the_node_and_the_remedy() {
	let mut node = Node::start().await;
	node.stop().await;
	let error = Chain::connect(RpcPool::new(vec![node.url()], impatient())).await.unwrap_err();
	assert!(error.is_transient());
	let message = error.to_string();
	assert!(message.contains(&node.url()) && message.contains("--node"), "{message}");
}

#[tokio::test]
async fn waiting_for_a_node_is_said_and_so_is_its_return() {
	let mut node = Node::start().await;
	node.stop().await;
	let (said, mut saying) = tokio::sync::mpsc::unbounded_channel();
	let pool = RpcPool::with_notices(vec![node.url()], quick(), move |notice| {
		drop(said.send(format!("{notice:?}")))
	});
	let connecting = tokio::spawn(Chain::connect(pool));
	assert!(saying.recv().await.unwrap().starts_with("Waiting"));
	node.resume().await;
	connecting.await.unwrap().unwrap();
	assert!(saying.recv().await.unwrap().starts_with("Connected"));
}

#[tokio::test]
async fn runtime_without_the_api_is_reported_by_name() {
	let node = Node::start().await;
	let chain = Chain::connect(RpcPool::new(vec![node.url()], quick())).await.unwrap();
	let error = chain.programmes(None).await.unwrap_err();
	assert!(matches!(&error, ChainError::NoSuchApi { api } if api == "TrainingApi_programmes"), "{error}");
}

#[tokio::test]
async fn time_of_a_block_is_read_from_its_state() {
	let node = Node::start().await;
	let chain = Chain::connect(RpcPool::new(vec![node.url()], quick())).await.unwrap();
	assert_eq!(chain.timestamp(hash_of(10)).await.unwrap(), Some(1_700_000_000_123));
}

#[tokio::test]
async fn unknown_method_is_reported_with_what_the_node_said() {
	let node = Node::start().await;
	let pool = RpcPool::new(vec![node.url()], quick());
	let error = pool.request::<Value>("no_such_method", ()).await.unwrap_err().to_string();
	assert!(error.contains("no_such_method") && error.contains("-32601"), "{error}");
}

/// A log with one transaction under way.
struct OnePending {
	tx: Mutex<Option<SentTx>>,
}

impl SentLog for OnePending {
	fn pending(&self, key: &str) -> Option<SentTx> {
		get(&self.tx).filter(|tx| tx.key == key)
	}

	fn sent(&self, tx: &SentTx) -> Result<(), JournalError> {
		set(&self.tx, Some(tx.clone()));
		Ok(())
	}

	fn closed(&self, _: &str, _: Option<u32>) -> Result<(), JournalError> {
		set(&self.tx, None);
		Ok(())
	}
}

async fn resuming(node: &Node) -> (Submitter, Arc<OnePending>) {
	let chain = Chain::connect(RpcPool::new(vec![node.url()], quick())).await.unwrap();
	let heads = Heads::follow(&chain).await.unwrap();
	let tx = SentTx { key: "k".into(), extrinsic: vec![1, 2, 3], nonce: 4, birth: 8, death: 30 };
	let log = Arc::new(OnePending { tx: Mutex::new(Some(tx)) });
	let signer = subxt_signer::sr25519::dev::alice();
	(Submitter::new(chain, heads, signer, log.clone()), log)
}

#[tokio::test]
async fn transaction_of_an_earlier_process_is_sent_again_as_the_same_bytes_until_it_cannot_land() {
	let node = Node::start().await;
	let (submitter, log) = resuming(&node).await;
	let task = tokio::spawn(async move { submitter.submit("k", &Call::EnlistAggregator).await });
	let mut submitted = node.state.submitted.subscribe();
	submitted.wait_for(|all| !all.is_empty()).await.unwrap();
	// Some blocks without it, then its death.
	node.state.finalised.send_replace(14);
	submitted.wait_for(|all| all.len() >= 2).await.unwrap();
	node.state.finalised.send_replace(30);
	let error = task.await.unwrap().unwrap_err();
	assert!(matches!(error, SubmitError::Lost { .. }), "{error}");
	assert!(submitted.borrow().iter().all(|bytes| bytes == "0x010203"), "{:?}", submitted.borrow());
	assert!(get(&log.tx).is_none());
}

#[tokio::test]
async fn transaction_that_the_node_dropped_is_lost_at_once_when_its_nonce_is_free() {
	let node = Node::start().await;
	set(&node.state.refuse, Some((1010, "Invalid Transaction", "Transaction has a bad signature")));
	set(&node.state.next_nonce, 4);
	let (submitter, _) = resuming(&node).await;
	let task = tokio::spawn(async move { submitter.submit("k", &Call::EnlistAggregator).await });
	node.state.submitted.subscribe().wait_for(|all| !all.is_empty()).await.unwrap();
	node.state.finalised.send_replace(14);
	let error = task.await.unwrap().unwrap_err();
	assert!(matches!(error, SubmitError::Lost { .. }), "{error}");
}

#[tokio::test]
async fn account_that_cannot_pay_is_told_so() {
	let node = Node::start().await;
	let unpaid = "Inability to pay some fees (e.g. account balance too low)";
	set(&node.state.refuse, Some((1010, "Invalid Transaction", unpaid)));
	let (submitter, log) = resuming(&node).await;
	let account = submitter.account().to_string();
	let task = tokio::spawn(async move { submitter.submit("k", &Call::EnlistAggregator).await });
	node.state.submitted.subscribe().wait_for(|all| !all.is_empty()).await.unwrap();
	node.state.finalised.send_replace(14);
	let error = task.await.unwrap().unwrap_err();
	let message = error.to_string();
	assert!(matches!(error, SubmitError::CannotPay(_)), "{message}");
	assert!(message.contains(&account) && message.contains("send it CRN"), "{message}");
	assert!(get(&log.tx).is_none());
}
