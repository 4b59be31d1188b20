//! Batches of inputs, each on a chain of its own, until something breaks.

use super::{
	chain::{self, account, pair, Chain, DEVICES, PEOPLE},
	generate::{Generator, Hints},
	input::{Effect, Input, Outcome, Speaker},
	mutate::{mutate, nest},
	random::Random,
	rt::*,
};
use codec::{Decode, DecodeLimit, Encode};
use frame_support::{
	traits::{schedule::DispatchTime, Bounded, OriginTrait},
	weights::Weight,
	MAX_EXTRINSIC_DEPTH,
};
use pallet_conviction_voting::{AccountVote, Conviction, Vote};
use sp_core::{Pair, H256};
use sp_io::hashing::blake2_256;
use sp_runtime::generic::{self, Era};
use std::{
	collections::{BTreeMap, VecDeque},
	panic::{self, AssertUnwindSafe},
	sync::{Mutex, Once},
	time::{Duration, Instant},
};

/// Inputs after which the invariants are checked, at every so-manyth.
const CHECK_EVERY: u64 = 40;
/// Calls that later ones are made of.
const POOL: usize = 256;
/// For how long a finding is made smaller.
const SHRINKING: Duration = Duration::from_secs(120);

/// What was done so far.
#[derive(Debug, Default)]
pub struct Tally {
	/// Inputs.
	pub inputs: u64,
	/// Times that the invariants were checked.
	pub checks: u64,
	/// What came of inputs of each kind.
	pub outcomes: BTreeMap<String, u64>,
	/// How often each call was done, and how often it failed.
	pub calls: BTreeMap<String, (u64, u64)>,
	/// Calls that weighed more than they had declared.
	pub overweight: BTreeMap<String, String>,
	/// What took longest.
	pub slowest: (Duration, String),
}

/// Something that must not happen, and how to bring it about.
#[derive(Clone, Debug)]
pub struct Finding {
	/// What happened.
	pub message: String,
	/// What led to it, from a new chain on; the last one is the culprit.
	pub inputs: Vec<Input>,
}

static PANIC: Mutex<String> = Mutex::new(String::new());

/// From now on panics are kept instead of printed.
fn keep_panics() {
	static ONCE: Once = Once::new();
	ONCE.call_once(|| {
		panic::set_hook(Box::new(|info| {
			if let Ok(mut kept) = PANIC.lock() {
				*kept = info.to_string();
			}
		}));
	});
}

/// Does `work`; a panic is an error that says where and what.
fn caught<R>(work: impl FnOnce() -> R) -> Result<R, String> {
	panic::catch_unwind(AssertUnwindSafe(work))
		.map_err(|_| PANIC.lock().map_or_else(|_| "a panic".into(), |kept| kept.replace('\n', " ")))
}

fn check(chain: &mut Chain) -> Result<(), String> {
	caught(|| chain.run(chain::check_invariants))?.map_err(|problem| format!("broken invariant: {problem}"))
}

/// Does all of it on a new chain; an error says what happened and at which input.
pub fn replay(inputs: &[Input]) -> Result<(), (usize, String)> {
	keep_panics();
	let mut chain = Chain::new();
	for (n, input) in inputs.iter().enumerate() {
		caught(|| input.apply(&mut chain)).map_err(|message| (n, message))?;
	}
	check(&mut chain).map_err(|message| (inputs.len().saturating_sub(1), message))
}

/// Leaves out what the finding does not need.
fn shrink(finding: Finding) -> Finding {
	let begun = Instant::now();
	let Finding { message, mut inputs } = finding;
	let mut size = inputs.len() / 2;
	while size > 0 {
		let mut at = 0;
		while at + size < inputs.len() {
			if begun.elapsed() > SHRINKING {
				return Finding { message, inputs };
			}
			let mut fewer = inputs.clone();
			fewer.drain(at..at + size);
			match replay(&fewer) {
				Err((n, found)) if found == message => {
					fewer.truncate(n + 1);
					inputs = fewer;
				},
				_ => at += size,
			}
		}
		size /= 2;
	}
	Finding { message, inputs }
}

/// Makes inputs.
pub struct Campaign {
	generator: Generator,
	seed: u64,
}

/// What a batch remembers.
struct Batch<'a> {
	generator: &'a Generator,
	random: Random,
	chain: Chain,
	hints: Hints,
	pool: VecDeque<Vec<u8>>,
	hashes: Vec<H256>,
	liar: u8,
}

impl Campaign {
	/// With everything following from `seed`.
	pub fn new(seed: u64) -> Self {
		keep_panics();
		Self { generator: Generator::new(), seed }
	}

	/// Runs batch number `batch`: at most `cases` inputs, until `deadline`.
	///
	/// # Errors
	/// A panic or a broken invariant, made small.
	pub fn batch(
		&self,
		batch: u64,
		cases: u64,
		deadline: Option<Instant>,
		tally: &mut Tally,
	) -> Result<(), Finding> {
		let mut inputs = Vec::new();
		self.run(batch, cases, deadline, tally, &mut inputs)
			.map_err(|message| shrink(Finding { message, inputs }))
	}

	fn run(
		&self,
		batch: u64,
		cases: u64,
		deadline: Option<Instant>,
		tally: &mut Tally,
		inputs: &mut Vec<Input>,
	) -> Result<(), String> {
		let mut batch = Batch {
			generator: &self.generator,
			random: Random::new(self.seed, batch),
			chain: Chain::new(),
			hints: Hints::default(),
			pool: VecDeque::new(),
			hashes: Vec::new(),
			liar: 1 + (batch % 10) as u8,
		};
		let mut full = false;
		for case in 0..cases {
			if deadline.is_some_and(|deadline| Instant::now() > deadline) {
				break;
			}
			if case % 8 == 0 {
				batch.hints = caught(|| batch.chain.run(|| Hints::read(&batch.hashes)))?;
			}
			let input = if full { Input::Block(0) } else { caught(|| batch.next())? };
			inputs.push(input.clone());
			let begun = Instant::now();
			let effect = caught(|| input.apply(&mut batch.chain))?;
			full = effect.outcome == Outcome::Exhausted;
			tally.note(&input, &effect, begun.elapsed());
			if let (Outcome::Done, Input::Call(_, bytes)) = (effect.outcome, &input) {
				batch.remember(bytes);
			}
			if case % CHECK_EVERY == CHECK_EVERY - 1 {
				tally.checks += 1;
				check(&mut batch.chain)?;
			}
		}
		tally.checks += 1;
		check(&mut batch.chain)
	}
}

impl Batch<'_> {
	fn next(&mut self) -> Input {
		let kind = self.random.below(100);
		match kind {
			0..=6 => self.block(),
			7..=32 => self.honest(),
			33..=50 => {
				let bytes = self.fresh();
				self.transaction(bytes)
			},
			51..=66 => {
				let bytes = self.fresh();
				Input::Call(self.suitable_speaker(&bytes), bytes)
			},
			67..=80 => {
				let bytes = self.changed();
				Input::Call(self.suitable_speaker(&bytes), bytes)
			},
			81..=85 => {
				let bytes = self.changed();
				self.transaction(bytes)
			},
			86..=91 => {
				let bytes = self.fresh();
				let other = self.fresh();
				let Input::Extrinsic(mut bytes) = self.transaction(bytes) else { return self.block() };
				mutate(&mut bytes, &other, &mut self.random);
				Input::Extrinsic(bytes)
			},
			92..=95 => {
				let depth = match self.random.below(4) {
					0 => 1 + self.random.below(300),
					_ => 1 + self.random.below(8),
				};
				let bytes = self.fresh();
				let bytes = nest(&bytes, depth, &mut self.random);
				match self.random.chance(50) {
					true => Input::Call(self.suitable_speaker(&bytes), bytes),
					false => self.transaction(bytes),
				}
			},
			96 | 97 => self.unsigned(),
			_ => {
				let mut bytes = Vec::new();
				for _ in 0..self.random.below(32) {
					bytes.extend(self.random.bytes32());
				}
				Input::Extrinsic(bytes.encode())
			},
		}
	}

	fn block(&mut self) -> Input {
		// Past a deferred slash, the validity of evidence, a track's longest vote; all in blocks.
		if self.random.chance(1) {
			return Input::Leap(*self.random.pick(&[1_000, 30_000, 250_000, 900_000]));
		}
		Input::Block(match self.random.below(20) {
			0 => self.random.below(5_000),
			1..=3 => self.random.below(50),
			_ => 0,
		})
	}

	fn somebody(&mut self) -> u8 {
		1 + self.random.below(u64::from(PEOPLE)) as u8
	}

	fn speaker(&mut self) -> Speaker {
		match self.random.below(100) {
			0..=7 => Speaker::Nobody,
			8..=37 => Speaker::Office(self.random.below(6) as u8),
			38..=43 => Speaker::Committee(1 + self.random.below(3) as u8),
			_ => Speaker::Account(self.somebody()),
		}
	}

	/// Somebody who may do what is in `bytes`, if that is not anybody.
	fn suitable_speaker(&mut self, bytes: &[u8]) -> Speaker {
		let offices: &[u8] = match bytes.first() {
			Some(54) => &[1, 2, 4, 5],
			Some(27) => &[3],
			Some(26) => &[0],
			Some(51) if self.random.chance(40) => &[4],
			Some(52) if self.random.chance(30) => &[2],
			_ => return self.speaker(),
		};
		match self.random.chance(80) {
			true => Speaker::Office(*self.random.pick(offices)),
			false => self.speaker(),
		}
	}

	fn fresh(&mut self) -> Vec<u8> {
		let bytes = self.generator.call(&mut self.random, &self.hints);
		if self.random.chance(30) {
			self.remember(&bytes);
		}
		bytes
	}

	fn changed(&mut self) -> Vec<u8> {
		let other = self.fresh();
		let mut bytes = if self.pool.is_empty() {
			self.fresh()
		} else {
			let at = self.random.below(self.pool.len() as u64) as usize;
			self.pool[at].clone()
		};
		mutate(&mut bytes, &other, &mut self.random);
		bytes
	}

	fn remember(&mut self, bytes: &[u8]) {
		if self.pool.len() == POOL {
			self.pool.pop_front();
			self.hashes.remove(0);
		}
		self.pool.push_back(bytes.to_vec());
		self.hashes.push(H256(blake2_256(bytes)));
	}

	/// What gets rounds and attestations on, so that there is something to break.
	fn honest(&mut self) -> Input {
		let (kind, who) = (self.random.below(40), self.somebody());
		let (index, other) = (self.random.below(8) as usize, self.fresh());
		let (device, programme) = (self.random.below(u64::from(DEVICES)) as u32, self.random.below(2) as u32);
		let liar = self.liar;
		let call = self.chain.run(|| {
			let by = |call: RuntimeCall| Some((account(who), call));
			match kind {
				0 => by(pallet_hardware::Call::request_attestation {}.into()),
				1 => by(chain::submit_measurement(who)?),
				2 => by(chain::attest(device, who % 4 != 0)?),
				3 => by(chain::rotate_account(device, who)?),
				4 => by(chain::activate_device(who, who)),
				5 => {
					let round = Training::current_round(programme)?;
					let claimed = chain::next_weights(&round);
					by(pallet_training::Call::challenge { programme, round: round.index, claimed }.into())
				},
				6..=10 => by(motion(kind, index, other)?),
				11 => {
					let slash = pallet_rewards::Slashes::<Runtime>::iter_keys().min()?;
					by(pallet_rewards::Call::apply_slash { slash }.into())
				},
				12 => {
					let (slash, accused) = pallet_rewards::Slashes::<Runtime>::iter().next()?;
					let reason = H256::zero();
					Some((accused.account, pallet_rewards::Call::appeal { slash, reason }.into()))
				},
				13 => by(pallet_rewards::Call::claim { programme }.into()),
				// One of the aggregators lies, another one in each batch.
				_ => chain::next_step(programme, liar),
			}
		});
		let Some((who, call)) = call else { return self.block() };
		let n = (1..=PEOPLE).find(|n| account(*n) == who).unwrap_or(1);
		match self.random.chance(50) {
			true => Input::Call(Speaker::Account(n), call.encode()),
			false => Input::Extrinsic(self.sign(n, call)),
		}
	}

	/// A signed transaction with this call, or the call alone when it is none.
	fn transaction(&mut self, bytes: Vec<u8>) -> Input {
		let n = self.somebody();
		match RuntimeCall::decode_all_with_depth_limit(MAX_EXTRINSIC_DEPTH, &mut &bytes[..]) {
			Ok(call) => Input::Extrinsic(self.sign(n, call)),
			Err(_) => Input::Call(Speaker::Account(n), bytes),
		}
	}

	fn extension(&mut self, n: u8) -> (TxExtension, H256, H256) {
		let who = account(n);
		let (genesis, now, nonce) =
			self.chain.run(|| (System::block_hash(0), System::block_number(), System::account_nonce(&who)));
		let nonce = match self.random.below(20) {
			0 => nonce.wrapping_add(self.random.below(3) as u32).wrapping_sub(1),
			_ => nonce,
		};
		let (era, checkpoint) = match self.random.below(10) {
			0 => {
				let era = Era::mortal(64, u64::from(now).saturating_sub(1));
				let birth = era.birth(u64::from(now).saturating_sub(1)) as u32;
				(era, self.chain.run(|| System::block_hash(birth)))
			},
			_ => (Era::Immortal, genesis),
		};
		let tip = if self.random.chance(5) { u128::from(self.random.next()) } else { 0 };
		let extension = (
			frame_system::CheckNonZeroSender::new(),
			frame_system::CheckSpecVersion::new(),
			frame_system::CheckTxVersion::new(),
			frame_system::CheckGenesis::new(),
			frame_system::CheckEra::from(era),
			frame_system::CheckNonce::from(nonce),
			frame_system::CheckWeight::new(),
			pallet_transaction_payment::ChargeTransactionPayment::from(tip),
			frame_metadata_hash_extension::CheckMetadataHash::new(false),
			frame_system::WeightReclaim::new(),
		);
		(extension, genesis, checkpoint)
	}

	fn sign(&mut self, n: u8, call: RuntimeCall) -> Vec<u8> {
		let (extension, genesis, checkpoint) = self.extension(n);
		let implicit = (
			(),
			VERSION.spec_version,
			VERSION.transaction_version,
			genesis,
			checkpoint,
			(),
			(),
			(),
			None,
			(),
		);
		let payload = generic::SignedPayload::from_raw(call.clone(), extension.clone(), implicit);
		let signature = payload.using_encoded(|payload| pair(n).sign(payload));
		UncheckedExtrinsic::new_signed(call, account(n).into(), signature.into(), extension).encode()
	}

	/// A bare extrinsic, or one whose extension is to say who it is from.
	fn unsigned(&mut self) -> Input {
		let bytes = self.fresh();
		let Ok(call) = RuntimeCall::decode_all_with_depth_limit(MAX_EXTRINSIC_DEPTH, &mut &bytes[..]) else {
			return Input::Call(Speaker::Nobody, bytes);
		};
		let n = self.somebody();
		Input::Extrinsic(match self.random.chance(50) {
			true => UncheckedExtrinsic::new_bare(call).encode(),
			false => UncheckedExtrinsic::new_transaction(call, self.extension(n).0).encode(),
		})
	}
}

/// What gets motions and referenda on: about `call`, or about number `index` of those that there are.
fn motion(kind: u64, index: usize, call: Vec<u8>) -> Option<RuntimeCall> {
	use pallet_collective::{Call as Committee, Instance1, Proposals, Voting};
	let open = Proposals::<Runtime, Instance1>::get();
	// The field is private, and the first.
	let number = |proposal| {
		let votes = Voting::<Runtime, Instance1>::get(proposal)?;
		u32::decode(&mut &votes.encode()[..]).ok()
	};
	let proposal = open.get(index % open.len().max(1)).copied();
	let poll = (index as u32).min(pallet_referenda::ReferendumCount::<Runtime>::get());
	Some(match (kind, index) {
		(6, _) => {
			let length_bound = call.len() as u32;
			let proposal =
				RuntimeCall::decode_all_with_depth_limit(MAX_EXTRINSIC_DEPTH, &mut &call[..]).ok()?;
			Committee::<Runtime, Instance1>::propose {
				threshold: 2,
				proposal: Box::new(proposal),
				length_bound,
			}
			.into()
		},
		(7, _) => {
			let proposal = proposal?;
			let index = number(proposal)?;
			Committee::<Runtime, Instance1>::vote { proposal, index, approve: true }.into()
		},
		(8, _) => {
			let proposal_hash = proposal?;
			Committee::<Runtime, Instance1>::close {
				proposal_hash,
				index: number(proposal_hash)?,
				proposal_weight_bound: Weight::MAX,
				length_bound: 10_000,
			}
			.into()
		},
		(9, 0..=2) => pallet_referenda::Call::submit {
			proposal_origin: Box::new(Speaker::Office(index as u8 * 2).origin().caller().clone()),
			proposal: Bounded::Inline(call.try_into().ok()?),
			enactment_moment: DispatchTime::After(1),
		}
		.into(),
		(9, _) => pallet_referenda::Call::place_decision_deposit { index: poll }.into(),
		_ => pallet_conviction_voting::Call::vote {
			poll_index: poll,
			vote: AccountVote::Standard {
				vote: Vote { aye: true, conviction: Conviction::Locked1x },
				balance: chain::WEALTH / 10 * 9,
			},
		}
		.into(),
	})
}

impl Tally {
	fn note(&mut self, input: &Input, effect: &Effect, took: Duration) {
		self.inputs += 1;
		let kind = match input {
			Input::Block(_) | Input::Leap(_) => "block",
			Input::Extrinsic(_) => "extrinsic",
			Input::Call(..) => "call",
		};
		*self.outcomes.entry(format!("{kind}: {:?}", effect.outcome)).or_default() += 1;
		let name = effect.call.clone().unwrap_or_else(|| kind.into());
		if took > self.slowest.0 {
			self.slowest = (took, name.clone());
		}
		if let Some(by) = &effect.overweight {
			self.overweight.entry(name.clone()).or_insert_with(|| by.clone());
		}
		if effect.call.is_some() {
			let entry = self.calls.entry(name).or_default();
			match effect.outcome {
				Outcome::Done => entry.0 += 1,
				_ => entry.1 += 1,
			}
		}
	}
}
