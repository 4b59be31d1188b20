//! One transaction on a chain that this test writes by hand.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::chain::{errors::PoolAnswer, heads::Head};
use async_trait::async_trait;
use std::{
	collections::{BTreeMap, VecDeque},
	sync::Mutex as StdMutex,
};
use tokio::sync::watch;

const ME: AccountId32 = AccountId32([1; 32]);

#[derive(Default)]
struct Script {
	/// The pool's answers to come; it takes what comes after them.
	answers: VecDeque<PoolAnswer>,
	/// What the pool was given.
	sent: Vec<Vec<u8>>,
	/// Nonces and the runtime that they were signed for.
	signed: Vec<(u64, u32)>,
	/// The runtime of the best block.
	runtime: u32,
	nonce: u64,
	/// Finalised blocks that have a transaction.
	blocks: BTreeMap<u32, Vec<u8>>,
	refused: bool,
	/// What is sent uses its nonce, whatever the pool says.
	uses_nonce: bool,
}

struct Written {
	script: StdMutex<Script>,
	/// How many transactions were sent.
	count: watch::Sender<usize>,
}

#[async_trait]
impl Node for Written {
	async fn next_nonce(&self, _: &AccountId32) -> Result<u64, RpcError> {
		Ok(self.script.lock().unwrap().nonce)
	}

	async fn finalised_nonce(&self, _: Head, _: &AccountId32) -> Option<u64> {
		Some(self.script.lock().unwrap().nonce)
	}

	async fn sign(&self, _: &Call, nonce: u64, _: Head, _: u32) -> Result<Vec<u8>, ChainError> {
		let mut script = self.script.lock().unwrap();
		let runtime = script.runtime;
		script.signed.push((nonce, runtime));
		Ok(vec![nonce as u8, runtime as u8])
	}

	async fn send(&self, extrinsic: &[u8]) -> Result<Option<PoolAnswer>, RpcError> {
		let mut script = self.script.lock().unwrap();
		script.sent.push(extrinsic.to_vec());
		script.nonce += u64::from(script.uses_nonce);
		self.count.send_modify(|count| *count += 1);
		Ok(script.answers.pop_front())
	}

	async fn find(&self, extrinsic: &[u8], number: u32) -> Result<Option<(Head, u32)>, ChainError> {
		let script = self.script.lock().unwrap();
		let there = script.blocks.get(&number).is_some_and(|bytes| bytes == extrinsic);
		Ok(there.then(|| (Head { number, hash: H256::zero() }, 0)))
	}

	async fn outcome(&self, _: Head, _: u32) -> Result<Outcome, ChainError> {
		let refused = Refused { pallet: "Training".into(), name: "Odd".into(), docs: String::new() };
		Ok(match self.script.lock().unwrap().refused {
			true => Outcome::Refused(refused),
			false => Outcome::Done(Vec::new()),
		})
	}
}

/// What the journal has, and how often something was written.
#[derive(Default)]
struct Log(StdMutex<(Option<SentTx>, usize)>);

impl SentLog for Log {
	fn pending(&self, key: &str) -> Option<SentTx> {
		self.0.lock().unwrap().0.clone().filter(|tx| tx.key == key)
	}

	fn sent(&self, tx: &SentTx) -> Result<(), JournalError> {
		let mut log = self.0.lock().unwrap();
		*log = (Some(tx.clone()), log.1 + 1);
		Ok(())
	}

	fn closed(&self, _: &str, _: Option<u32>) -> Result<(), JournalError> {
		self.0.lock().unwrap().0 = None;
		Ok(())
	}
}

struct Stage {
	node: Arc<Written>,
	log: Arc<Log>,
	submitter: Arc<Submitter>,
	finalised: watch::Sender<Head>,
	_best: watch::Sender<u32>,
}

impl Stage {
	fn new(script: Script) -> Self {
		let (heads, finalised, best) = Heads::manual(Head { number: 100, hash: H256::zero() });
		let node = Arc::new(Written { script: StdMutex::new(script), count: watch::Sender::new(0) });
		let log = Arc::new(Log::default());
		let submitter = Arc::new(Submitter::over(node.clone(), H256::zero(), heads, ME, log.clone()));
		Self { node, log, submitter, finalised, _best: best }
	}

	fn submit(&self) -> tokio::task::JoinHandle<Result<Landed, SubmitError>> {
		let submitter = self.submitter.clone();
		tokio::spawn(async move { submitter.submit("k", &Call::EnlistAggregator).await })
	}

	async fn sent(&self, times: usize) {
		self.node.count.subscribe().wait_for(|count| *count >= times).await.unwrap();
	}

	fn finalise(&self, number: u32) {
		self.finalised.send_modify(|head| head.number = number);
	}

	fn script<R>(&self, change: impl FnOnce(&mut Script) -> R) -> R {
		change(&mut self.node.script.lock().unwrap())
	}

	fn counted(&self, name: &str) -> u64 {
		self.submitter.counts().all().iter().find(|(n, _)| *n == name).unwrap().1
	}
}

#[tokio::test]
async fn transaction_that_a_reorganisation_took_out_is_sent_again_as_the_same_bytes_and_lands_once() {
	let stage = Stage::new(Script { nonce: 4, ..Script::default() });
	let task = stage.submit();
	stage.sent(1).await;
	// It was in a block, and the block is gone: the finalised ones do not have it.
	stage.finalise(100 + RESEND_EVERY);
	stage.sent(2).await;
	stage.script(|s| s.blocks.insert(105, vec![4, 0]));
	stage.finalise(106);
	assert_eq!(task.await.unwrap().unwrap().block, 105);
	assert_eq!(stage.script(|s| s.sent.clone()), [[4, 0], [4, 0]]);
	assert_eq!((stage.counted("signed"), stage.counted("resent"), stage.counted("landed")), (1, 1, 1));
	assert_eq!(stage.log.pending("k"), None);
}

#[tokio::test]
async fn transaction_signed_for_the_runtime_before_an_upgrade_is_signed_anew_for_the_one_after() {
	let stage = Stage::new(Script { nonce: 4, answers: [PoolAnswer::SignAgain].into(), ..Script::default() });
	let task = stage.submit();
	stage.sent(1).await;
	stage.script(|s| s.runtime = 1);
	stage.sent(2).await;
	stage.script(|s| s.blocks.insert(102, vec![4, 1]));
	stage.finalise(102);
	assert_eq!(task.await.unwrap().unwrap().block, 102);
	// The same nonce: one of the two could land at most.
	assert_eq!(stage.script(|s| s.signed.clone()), [(4, 0), (4, 1)]);
}

#[tokio::test]
async fn transaction_that_got_in_although_the_answer_was_lost_is_not_made_a_second_time() {
	// What the second node says of bytes that the first one has taken into a block, and what a pool says after that.
	for answer in [PoolAnswer::Stale, PoolAnswer::SignAgain, PoolAnswer::Later("Priority is too low".into())]
	{
		let stage = Stage::new(Script { nonce: 4, answers: [answer].into(), ..Script::default() });
		stage.script(|s| s.uses_nonce = true);
		let task = stage.submit();
		stage.sent(1).await;
		stage.script(|s| s.blocks.insert(102, vec![4, 0]));
		stage.finalise(102);
		assert_eq!(task.await.unwrap().unwrap().block, 102);
		assert_eq!(stage.script(|s| s.signed.clone()), [(4, 0)]);
	}
}

#[tokio::test]
async fn transaction_in_the_pool_when_the_runtime_is_upgraded_is_lost_at_once_and_made_anew() {
	let stage = Stage::new(Script { nonce: 4, ..Script::default() });
	let task = stage.submit();
	stage.sent(1).await;
	stage.script(|s| (s.runtime, s.answers) = (1, [PoolAnswer::SignAgain].into()));
	stage.finalise(100 + RESEND_EVERY);
	let error = task.await.unwrap().unwrap_err();
	assert!(matches!(error, SubmitError::Lost { .. }), "{error}");
	let task = stage.submit();
	stage.sent(3).await;
	stage.script(|s| s.blocks.insert(105, vec![4, 1]));
	stage.finalise(105);
	assert_eq!(task.await.unwrap().unwrap().block, 105);
	assert_eq!(stage.script(|s| s.signed.clone()), [(4, 0), (4, 1)]);
	assert_eq!((stage.counted("lost"), stage.counted("landed")), (1, 1));
}

#[tokio::test]
async fn transaction_of_an_earlier_process_that_is_too_old_now_is_found_where_it_landed_and_not_sent_again() {
	let stage = Stage::new(Script { nonce: 5, ..Script::default() });
	let tx = SentTx { key: "k".into(), extrinsic: vec![4, 0], nonce: 4, birth: 20, death: 84 };
	stage.log.sent(&tx).unwrap();
	stage.script(|s| s.blocks.insert(60, vec![4, 0]));
	assert_eq!(stage.submit().await.unwrap().unwrap().block, 60);
	assert_eq!(stage.script(|s| (s.sent.len(), s.signed.len())), (0, 0));
}

#[tokio::test]
async fn transaction_that_the_chain_refused_is_closed_and_not_made_again() {
	let stage = Stage::new(Script { nonce: 4, refused: true, ..Script::default() });
	stage.script(|s| s.blocks.insert(101, vec![4, 0]));
	let task = stage.submit();
	stage.sent(1).await;
	stage.finalise(101);
	let error = task.await.unwrap().unwrap_err();
	assert!(error.is_refusal("Training", "Odd"), "{error}");
	assert_eq!((stage.log.pending("k"), stage.counted("refused")), (None, 1));
}

#[tokio::test]
async fn transaction_that_the_node_will_never_take_is_closed_with_its_reason() {
	let answers = [PoolAnswer::Never("Custom error: 7".into())].into();
	let stage = Stage::new(Script { nonce: 4, answers, ..Script::default() });
	let error = stage.submit().await.unwrap().unwrap_err();
	assert!(error.to_string().contains("Custom error: 7"), "{error}");
	assert_eq!((stage.log.pending("k"), stage.counted("not_taken")), (None, 1));
}
