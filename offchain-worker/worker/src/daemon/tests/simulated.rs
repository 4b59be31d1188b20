//! A chain outside the worker's process: blocks, finality two blocks later, a pool, and reorganisations before finality.
//! It is kept in memory by the test and served at a socket, so that it outlives the processes that are killed.

use super::fakes::*;
use crate::{
	chain::{
		api::Rewards, errors::PoolAnswer, heads::Head, Call, ChainError, Challenge, Device, Heads, Landed,
		Node, Outcome, Programme, Refused, Round, RpcError, SubmitError, Submitter,
	},
	crash,
	daemon::Ledger,
	journal::SharedJournal,
	plan::{
		tests::{ME, NETWORK_KEY},
		ChainView, Duties, ProgrammeView,
	},
};
use async_trait::async_trait;
use cairn_primitives::{ArtifactHash, DeviceId, ProgrammeId, RoundIndex, H256};
use codec::{Decode, DecodeAll, Encode};
use std::{
	collections::BTreeSet,
	io::{Read, Write},
	os::unix::net::{UnixListener, UnixStream},
	path::{Path, PathBuf},
	sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
	time::Duration,
};
use subxt::utils::AccountId32;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// How long a block takes.
const BLOCK: Duration = Duration::from_millis(2);
/// The first block, which is final.
const FIRST: u32 = 100;
/// How many blocks finality is behind.
const FINALITY: u32 = 2;
/// Every so many blocks one is reorganised away, once.
const REORGANISED: u32 = 3;

/// A call of a worker, as its transactions have it.
#[derive(Clone, PartialEq, Debug, Encode, Decode)]
pub(super) enum Did {
	CommitUpdate(ProgrammeId, RoundIndex, ArtifactHash, u32, u32),
	Vote(ProgrammeId, RoundIndex, u32, Vec<u8>),
	CommitAggregate(ProgrammeId, RoundIndex, u32, H256),
	Reveal(ProgrammeId, RoundIndex, u32, ArtifactHash, Vec<u8>, H256),
	Challenge(ProgrammeId, RoundIndex, ArtifactHash),
	Advance(ProgrammeId),
}

impl From<&Call> for Did {
	fn from(call: &Call) -> Self {
		match call.clone() {
			Call::CommitUpdate { programme, round, artifact, samples, local_steps } => {
				Self::CommitUpdate(programme, round, artifact, samples, local_steps)
			},
			Call::VoteAvailability { programme, round, attempt, bitmap } => {
				Self::Vote(programme, round, attempt, bitmap)
			},
			Call::CommitAggregate { programme, round, attempt, commitment } => {
				Self::CommitAggregate(programme, round, attempt, commitment)
			},
			Call::RevealAggregate { programme, round, attempt, result, quality, salt } => {
				Self::Reveal(programme, round, attempt, result, quality, salt)
			},
			Call::Challenge { programme, round, claimed } => Self::Challenge(programme, round, claimed),
			Call::Advance { programme } => Self::Advance(programme),
			other => panic!("the daemon makes no such call here: {other:?}"),
		}
	}
}

impl From<Did> for Call {
	fn from(did: Did) -> Self {
		match did {
			Did::CommitUpdate(programme, round, artifact, samples, local_steps) => {
				Self::CommitUpdate { programme, round, artifact, samples, local_steps }
			},
			Did::Vote(programme, round, attempt, bitmap) => {
				Self::VoteAvailability { programme, round, attempt, bitmap }
			},
			Did::CommitAggregate(programme, round, attempt, commitment) => {
				Self::CommitAggregate { programme, round, attempt, commitment }
			},
			Did::Reveal(programme, round, attempt, result, quality, salt) => {
				Self::RevealAggregate { programme, round, attempt, result, quality, salt }
			},
			Did::Challenge(programme, round, claimed) => Self::Challenge { programme, round, claimed },
			Did::Advance(programme) => Self::Advance { programme },
		}
	}
}

/// A signed transaction. Who signed it goes without saying.
#[derive(Clone, PartialEq, Debug, Encode, Decode)]
struct Tx {
	nonce: u64,
	birth: u32,
	death: u32,
	did: Did,
}

#[derive(Encode, Decode)]
enum Ask {
	View,
	Round(RoundIndex),
	BestRound,
	NextNonce,
	FinalisedNonce(u32),
	Send(Vec<u8>),
	Find(Vec<u8>, u32),
	Outcome(u32, u32),
	Follow,
}

type Seen = (Option<Device>, Vec<(Programme, Option<Round>)>);

#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
enum Pooled {
	Taken,
	AlreadyThere,
	Stale,
	TooOld,
	NonceHeld,
}

#[derive(Clone)]
struct Block {
	state: State,
	nonce: u64,
	transactions: Vec<(Vec<u8>, Option<String>)>,
}

struct Chain {
	blocks: Vec<Block>,
	/// Never goes back.
	finalised: u32,
	pool: Vec<Vec<u8>>,
	reorganised: BTreeSet<u32>,
	stopped: bool,
}

fn tx(bytes: &[u8]) -> Tx {
	Tx::decode_all(&mut &bytes[..]).unwrap()
}

impl Chain {
	fn best(&self) -> u32 {
		FIRST + self.blocks.len() as u32 - 1
	}

	fn block(&self, number: u32) -> &Block {
		&self.blocks[(number - FIRST) as usize]
	}

	/// Makes a block, or takes the best one back.
	fn advance(&mut self) {
		let best = self.best();
		if best.is_multiple_of(REORGANISED) && best > self.finalised && self.reorganised.insert(best) {
			let gone = self.blocks.pop().unwrap();
			self.pool.extend(gone.transactions.into_iter().map(|(bytes, _)| bytes));
			return;
		}
		let number = best + 1;
		let mut block = Block { transactions: Vec::new(), ..self.blocks.last().unwrap().clone() };
		self.pool.retain(|bytes| tx(bytes).nonce >= block.nonce && tx(bytes).death >= number);
		while let Some(at) = self.pool.iter().position(|bytes| tx(bytes).nonce == block.nonce) {
			let bytes = self.pool.remove(at);
			block.nonce += 1;
			let outcome = apply(&mut block.state, &tx(&bytes).did.into());
			let refused = outcome.err().map(|e| match e {
				SubmitError::Refused { refused, .. } => refused.name,
				other => panic!("{other}"),
			});
			block.transactions.push((bytes, refused));
		}
		self.blocks.push(block);
		self.finalised = self.finalised.max(number.saturating_sub(FINALITY).max(FIRST));
	}

	fn next_nonce(&self) -> u64 {
		let mut next = self.blocks.last().unwrap().nonce;
		while self.pool.iter().any(|bytes| tx(bytes).nonce == next) {
			next += 1;
		}
		next
	}

	fn take(&mut self, bytes: Vec<u8>) -> Pooled {
		let new = tx(&bytes);
		if self.pool.contains(&bytes) {
			Pooled::AlreadyThere
		} else if new.nonce < self.blocks.last().unwrap().nonce {
			Pooled::Stale
		} else if new.death <= self.best() {
			Pooled::TooOld
		} else if self.pool.iter().any(|old| tx(old).nonce == new.nonce) {
			Pooled::NonceHeld
		} else {
			self.pool.push(bytes);
			Pooled::Taken
		}
	}

	fn answer(&mut self, ask: Ask) -> Vec<u8> {
		match ask {
			Ask::View => {
				let view = &self.block(self.finalised).state.view;
				let programmes: Vec<_> =
					view.programmes.iter().map(|p| (p.info.clone(), p.round.clone())).collect();
				(self.finalised, self.best(), (view.device.clone(), programmes)).encode()
			},
			Ask::Round(index) => {
				let settled = &self.block(self.finalised).state.settled;
				settled.iter().find(|r| r.index == index).cloned().encode()
			},
			Ask::BestRound => self.block(self.best()).state.view.programmes[0].round.clone().encode(),
			Ask::NextNonce => self.next_nonce().encode(),
			Ask::FinalisedNonce(number) => self.block(number).nonce.encode(),
			Ask::Send(bytes) => self.take(bytes).encode(),
			Ask::Find(bytes, number) => {
				assert!(number <= self.finalised, "only finalised blocks are final");
				let place = self.block(number).transactions.iter().position(|(b, _)| *b == bytes);
				place.map(|p| p as u32).encode()
			},
			Ask::Outcome(number, index) => self.block(number).transactions[index as usize].1.encode(),
			Ask::Follow => unreachable!("it is answered elsewhere"),
		}
	}
}

struct Shared {
	chain: Mutex<Chain>,
	moved: Condvar,
}

impl Shared {
	fn lock(&self) -> MutexGuard<'_, Chain> {
		self.chain.lock().unwrap_or_else(PoisonError::into_inner)
	}
}

fn write(stream: &mut UnixStream, bytes: &[u8]) -> std::io::Result<()> {
	stream.write_all(&(bytes.len() as u32).to_le_bytes())?;
	stream.write_all(bytes)
}

fn read(stream: &mut UnixStream) -> std::io::Result<Vec<u8>> {
	let mut length = [0; 4];
	stream.read_exact(&mut length)?;
	let mut bytes = vec![0; u32::from_le_bytes(length) as usize];
	stream.read_exact(&mut bytes)?;
	Ok(bytes)
}

/// Serves one connection until the worker is gone.
fn serve(shared: &Shared, mut stream: UnixStream) -> std::io::Result<()> {
	loop {
		let ask = Ask::decode_all(&mut &read(&mut stream)?[..]).unwrap();
		if matches!(ask, Ask::Follow) {
			let mut chain = shared.lock();
			while !chain.stopped {
				let heads = (chain.finalised, chain.best()).encode();
				drop(chain);
				write(&mut stream, &heads)?;
				chain = shared.moved.wait(shared.lock()).unwrap_or_else(PoisonError::into_inner);
			}
			return Ok(());
		}
		let answer = shared.lock().answer(ask);
		write(&mut stream, &answer)?;
	}
}

/// The chain, running.
pub(super) struct Simulated {
	shared: Arc<Shared>,
	pub(super) socket: PathBuf,
}

impl Simulated {
	/// Starts it with this state.
	pub(super) fn start(state: State, folder: &Path) -> Self {
		let socket = folder.join("node");
		let listener = UnixListener::bind(&socket).unwrap();
		let genesis = Block { state, nonce: 0, transactions: Vec::new() };
		let chain = Chain {
			blocks: vec![genesis],
			finalised: FIRST,
			pool: Vec::new(),
			reorganised: BTreeSet::new(),
			stopped: false,
		};
		let shared = Arc::new(Shared { chain: Mutex::new(chain), moved: Condvar::new() });
		let serving = shared.clone();
		std::thread::spawn(move || {
			for stream in listener.incoming() {
				if serving.lock().stopped {
					return;
				}
				let (shared, stream) = (serving.clone(), stream.unwrap());
				// The worker's death ends the connection in the middle of anything.
				std::thread::spawn(move || drop(serve(&shared, stream)));
			}
		});
		let building = shared.clone();
		std::thread::spawn(move || loop {
			std::thread::sleep(BLOCK);
			let mut chain = building.lock();
			if chain.stopped {
				return;
			}
			chain.advance();
			building.moved.notify_all();
		});
		Self { shared, socket }
	}

	/// What the finalised blocks have: each call, and why it was refused if it was.
	pub(super) fn landed(&self) -> Vec<(Did, Option<String>)> {
		let chain = self.shared.lock();
		let last = (chain.finalised - FIRST) as usize;
		let all = chain.blocks[..=last].iter().flat_map(|b| &b.transactions);
		all.map(|(bytes, refused)| (tx(bytes).did, refused.clone())).collect()
	}

	/// The rounds that are settled, finalised.
	pub(super) fn settled(&self) -> Vec<Round> {
		let chain = self.shared.lock();
		chain.block(chain.finalised).state.settled.clone()
	}
}

impl Drop for Simulated {
	fn drop(&mut self) {
		self.shared.lock().stopped = true;
		self.shared.moved.notify_all();
		// So that the thread that accepts connections looks.
		drop(UnixStream::connect(&self.socket));
	}
}

/// The chain as a worker's process sees it.
#[derive(Clone)]
struct Wire(PathBuf);

impl Wire {
	async fn ask<R: DecodeAll>(&self, ask: Ask) -> R {
		let mut stream = tokio::net::UnixStream::connect(&self.0).await.unwrap();
		send(&mut stream, &ask.encode()).await;
		R::decode_all(&mut &receive(&mut stream).await[..]).unwrap()
	}
}

async fn send(stream: &mut tokio::net::UnixStream, bytes: &[u8]) {
	stream.write_all(&(bytes.len() as u32).to_le_bytes()).await.unwrap();
	stream.write_all(bytes).await.unwrap();
}

async fn receive(stream: &mut tokio::net::UnixStream) -> Vec<u8> {
	let length = stream.read_u32_le().await.unwrap();
	let mut bytes = vec![0; length as usize];
	stream.read_exact(&mut bytes).await.unwrap();
	bytes
}

fn head(number: u32) -> Head {
	Head { number, hash: H256::from_low_u64_be(number.into()) }
}

#[async_trait]
impl Node for Wire {
	async fn next_nonce(&self, _: &AccountId32) -> Result<u64, RpcError> {
		Ok(self.ask(Ask::NextNonce).await)
	}

	async fn finalised_nonce(&self, head: Head, _: &AccountId32) -> Option<u64> {
		Some(self.ask(Ask::FinalisedNonce(head.number)).await)
	}

	async fn sign(
		&self,
		call: &Call,
		nonce: u64,
		birth: Head,
		mortality: u32,
	) -> Result<Vec<u8>, ChainError> {
		let death = birth.number + mortality;
		Ok(Tx { nonce, birth: birth.number, death, did: call.into() }.encode())
	}

	async fn send(&self, extrinsic: &[u8]) -> Result<Option<PoolAnswer>, RpcError> {
		crash::point("before the pool has a transaction");
		let pooled = self.ask(Ask::Send(extrinsic.to_vec())).await;
		crash::point("after the pool has a transaction");
		Ok(match pooled {
			Pooled::Taken => None,
			Pooled::AlreadyThere => Some(PoolAnswer::AlreadyThere),
			Pooled::Stale => Some(PoolAnswer::Stale),
			Pooled::TooOld => Some(PoolAnswer::SignAgain),
			Pooled::NonceHeld => Some(PoolAnswer::Later("Priority is too low".into())),
		})
	}

	async fn find(&self, extrinsic: &[u8], number: u32) -> Result<Option<(Head, u32)>, ChainError> {
		let place: Option<u32> = self.ask(Ask::Find(extrinsic.to_vec(), number)).await;
		Ok(place.map(|place| (head(number), place)))
	}

	async fn outcome(&self, block: Head, index: u32) -> Result<Outcome, ChainError> {
		let refused: Option<String> = self.ask(Ask::Outcome(block.number, index)).await;
		Ok(match refused {
			None => Outcome::Done(Vec::new()),
			Some(name) => Outcome::Refused(Refused { pallet: "Training".into(), name, docs: String::new() }),
		})
	}
}

/// The chain and the account, as the daemon has them: the transactions go through the real [`Submitter`].
pub(super) struct SimulatedLedger {
	wire: Wire,
	heads: Heads,
	submitter: Submitter,
}

impl SimulatedLedger {
	pub(super) async fn connect(socket: &Path, journal: SharedJournal) -> Self {
		let wire = Wire(socket.to_path_buf());
		let mut stream = tokio::net::UnixStream::connect(socket).await.unwrap();
		send(&mut stream, &Ask::Follow.encode()).await;
		let decode = |bytes: Vec<u8>| <(u32, u32)>::decode_all(&mut &bytes[..]).unwrap();
		let (first, _) = decode(receive(&mut stream).await);
		let (heads, finalised, best) = Heads::manual(head(first));
		tokio::spawn(async move {
			loop {
				let (now, newest) = decode(receive(&mut stream).await);
				best.send_replace(newest);
				finalised.send_if_modified(|last| {
					let moved = last.number < now;
					*last = if moved { head(now) } else { *last };
					moved
				});
			}
		});
		let submitter =
			Submitter::over(Arc::new(wire.clone()), GENESIS, heads.clone(), ME, Arc::new(journal));
		Self { wire, heads, submitter }
	}
}

#[async_trait]
impl Ledger for SimulatedLedger {
	fn genesis(&self) -> H256 {
		GENESIS
	}

	fn heads(&self) -> &Heads {
		&self.heads
	}

	async fn view(&self, _: &Duties) -> Result<ChainView, ChainError> {
		let (finalised, best, (device, programmes)): (u32, u32, Seen) = self.wire.ask(Ask::View).await;
		let programmes = programmes.into_iter();
		let programmes =
			programmes.map(|(info, round)| ProgrammeView { info, round, can_open: false, admits: true });
		Ok(ChainView {
			finalised,
			best,
			me: ME,
			network_key: NETWORK_KEY,
			device,
			enlisted: true,
			can_attest: false,
			clock_ahead: None,
			programmes: programmes.collect(),
		})
	}

	async fn round(&self, _: ProgrammeId, index: RoundIndex) -> Result<Option<Round>, ChainError> {
		Ok(self.wire.ask(Ask::Round(index)).await)
	}

	async fn best_round(&self, _: ProgrammeId) -> Result<Option<Round>, ChainError> {
		Ok(self.wire.ask(Ask::BestRound).await)
	}

	async fn device(&self, _: DeviceId) -> Result<Option<Device>, ChainError> {
		Ok(None)
	}

	async fn device_of(&self, _: &AccountId32) -> Result<Option<Device>, ChainError> {
		Ok(None)
	}

	async fn device_of_network_key(&self, _: &[u8; 32]) -> Result<Option<Device>, ChainError> {
		Ok(None)
	}

	async fn local_steps(&self, _: DeviceId, max: u32) -> Result<u32, ChainError> {
		Ok(max)
	}

	async fn drawable(&self, _: ProgrammeId) -> Result<u32, ChainError> {
		Ok(3)
	}

	async fn open_challenge(&self, _: DeviceId) -> Result<Option<Challenge>, ChainError> {
		Ok(None)
	}

	async fn block_hash(&self, number: u32) -> Result<Option<H256>, ChainError> {
		Ok(Some(head(number).hash))
	}

	async fn block_time(&self) -> Result<Duration, ChainError> {
		Ok(BLOCK)
	}

	async fn aggregators(&self) -> Result<Vec<AccountId32>, ChainError> {
		Ok(vec![ME])
	}

	async fn rewards(&self, _: ProgrammeId) -> Result<Rewards, ChainError> {
		Ok(Rewards { points: 5, claimable: 7, claimed: 0 })
	}

	async fn submit(&self, key: &str, call: &Call) -> Result<Landed, SubmitError> {
		self.submitter.submit(key, call).await
	}

	async fn is_syncing(&self) -> Result<bool, ChainError> {
		Ok(false)
	}
}
