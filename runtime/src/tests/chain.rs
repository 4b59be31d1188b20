//! A chain with something on it for every call to act on, driven block by block through the executive.
//!
//! The fuzzer in `tests/measure` includes this file too. Whoever includes it names the runtime `rt`.

use super::rt::*;
use cairn_primitives::{
	bitmap,
	hardware::{account_rotation_message, Measurement, Speed},
	network_key_message,
	round::aggregate_commitment,
	views::{Phase, ProgrammeState, RoundInfo},
	AggregationRule, DeviceClass, DeviceId, EnergySource, ProgrammeId, Schedule, Settings, H256,
};
use codec::Encode;
use frame_support::{traits::DisabledValidators, BoundedVec};
use pallet_training::GenesisProgramme;
use sp_consensus_babe::{
	digests::{PreDigest, SecondaryPlainPreDigest},
	BABE_ENGINE_ID,
};
use sp_core::{ed25519, sr25519, Pair};
use sp_runtime::{
	traits::{Dispatchable, Header as _},
	BuildStorage, Digest, DigestItem,
};
use std::sync::OnceLock;

/// How many accounts have funds, from 1 on. 1 to 3 validate and sit on the technical committee, 1 to 12 have devices, 1
/// to 8 are aggregators, 13 to 15 attest, 16 and 17 keep sites.
pub const PEOPLE: u8 = 20;
/// Devices that a new chain has.
pub const DEVICES: u8 = 12;
/// What everybody has, in plancks.
pub const WEALTH: Balance = 1_000_000 * CRN;

const FIRST_SLOT: u64 = 1_000_000;
const AGGREGATORS: u8 = 8;
const SALT: [u8; 32] = [42; 32];
/// The most blocks that a leap makes.
const MAX_HOPS: u32 = 64;

/// The key of account `n`.
pub fn pair(n: u8) -> sr25519::Pair {
	sr25519::Pair::from_seed(&[n; 32])
}

/// The account number `n`.
pub fn account(n: u8) -> AccountId {
	static ACCOUNTS: OnceLock<Vec<AccountId>> = OnceLock::new();
	ACCOUNTS.get_or_init(|| (0..=u8::MAX).map(|n| pair(n).public().into()).collect())[usize::from(n)].clone()
}

/// The artifact number `n`.
pub fn artifact(n: u64) -> H256 {
	H256::from_low_u64_be(n + 1)
}

/// A programme whose windows last a few blocks and whose results can be challenged.
pub fn programme() -> GenesisProgramme<Balance> {
	GenesisProgramme {
		name: "digits".into(),
		config: artifact(1),
		genesis_weights: artifact(2),
		aggregation: AggregationRule::WeightedMean.into(),
		schedule: Schedule { commit: 8, availability: 4, aggregate: 4, reveal: 4, challenge: 4 },
		committee_size: 3,
		audit_size: Some(5),
		min_updates: 2,
		target_updates: 4,
		max_updates: 8,
		max_samples: 1_000,
		max_local_steps: 100,
		rounds: 6,
		reward_per_round: 1_000 * CRN,
		committee_share: 10,
		licence: String::new(),
		data_category: String::new(),
		epsilon_per_round: Some(500),
		challenge_bond: 50 * CRN,
		pot: 20_000 * CRN,
	}
}

/// What a programme starts from, with other rounds and seats.
pub fn settings(rounds: u32, seats: u32) -> Settings<Balance> {
	let settings = programme().settings().expect("texts fit");
	Settings { rounds, committee_size: seats, audit_size: 2 * seats + 1, ..settings }
}

fn genesis(programmes: Vec<GenesisProgramme<Balance>>) -> RuntimeGenesisConfig {
	let validators = (1..=3).map(|n| {
		let grandpa = ed25519::Pair::from_seed(&[n; 32]).public();
		(account(n), account(n), SessionKeys { babe: pair(n).public().into(), grandpa: grandpa.into() })
	});
	RuntimeGenesisConfig {
		balances: BalancesConfig {
			balances: (1..=PEOPLE)
				.map(account)
				.chain([configs::governance::TreasuryAccount::get()])
				.map(|account| (account, WEALTH))
				.collect(),
			..Default::default()
		},
		babe: BabeConfig { epoch_config: BABE_GENESIS_EPOCH_CONFIG, ..Default::default() },
		session: SessionConfig { keys: validators.collect(), ..Default::default() },
		technical_committee: TechnicalCommitteeConfig {
			members: (1..=3).map(account).collect(),
			..Default::default()
		},
		hardware: HardwareConfig { attesters: (13..=15).map(account).collect(), attester_threshold: 2 },
		training: TrainingConfig { programmes },
		..Default::default()
	}
}

/// A chain in the middle of a block.
pub struct Chain {
	state: sp_io::TestExternalities,
	slot: u64,
	parent: H256,
}

impl Chain {
	/// In its first block, with two programmes, devices and aggregators as [`PEOPLE`] says.
	pub fn new() -> Self {
		let second =
			GenesisProgramme { name: "second".into(), committee_size: 1, min_updates: 1, ..programme() };
		let mut chain = Self::bare(vec![programme(), second]);
		chain.run(populate);
		chain
	}

	/// In its first block, with these programmes and nobody to work on them.
	pub fn bare(programmes: Vec<GenesisProgramme<Balance>>) -> Self {
		let state = genesis(programmes).build_storage().expect("genesis is valid").into();
		let mut chain = Self { state, slot: FIRST_SLOT, parent: H256::repeat_byte(7) };
		chain.begin(0);
		chain
	}

	/// Does something within the running block.
	pub fn run<R>(&mut self, work: impl FnOnce() -> R) -> R {
		self.state.execute_with(work)
	}

	/// Ends the running block and begins the next one, `skipped` slots later than it could be.
	pub fn next_block(&mut self, skipped: u64) {
		self.end();
		self.begin(skipped);
	}

	/// The same as if `blocks` blocks without any transaction had come, so that deferrals and validities of weeks come to
	/// an end. Only those are made in which the scheduler has something to do, and the last one.
	pub fn leap(&mut self, blocks: u32) {
		let last = self.run(System::block_number).saturating_add(blocks);
		for _ in 0..MAX_HOPS {
			let (now, due) = self.run(|| {
				let now = System::block_number();
				let due = pallet_scheduler::Agenda::<Runtime>::iter_keys().filter(|when| *when > now).min();
				(now, due.map_or(last, |due| due.min(last)))
			});
			if now >= due {
				return;
			}
			self.end();
			self.run(|| {
				System::set_block_number(due - 1);
				// Where the scheduler would be if it had been called in between.
				pallet_scheduler::IncompleteSince::<Runtime>::put(due);
			});
			self.begin(u64::from(due - now - 1));
		}
	}

	fn begin(&mut self, skipped: u64) {
		self.slot = self.slot.saturating_add(1).saturating_add(skipped);
		let (slot, parent) = (self.slot, self.parent);
		self.run(|| {
			// A disabled validator's block is not imported.
			let authority_index =
				(0..).find(|n| !<Session as DisabledValidators>::is_disabled(*n)).expect("some are not");
			let claim =
				PreDigest::SecondaryPlain(SecondaryPlainPreDigest { authority_index, slot: slot.into() });
			let digest = Digest { logs: vec![DigestItem::PreRuntime(BABE_ENGINE_ID, claim.encode())] };
			let number = System::block_number() + 1;
			Executive::initialize_block(&Header::new(
				number,
				Default::default(),
				Default::default(),
				parent,
				digest,
			));
			let now = pallet_timestamp::Call::set { now: slot * SLOT_DURATION };
			Executive::apply_extrinsic(UncheckedExtrinsic::new_bare(now.into()))
				.expect("an inherent is valid")
				.expect("time goes on");
		});
	}

	fn end(&mut self) {
		self.parent = self.run(|| Executive::finalize_block().hash());
		self.state.commit_all().expect("no storage transaction is open");
	}
}

/// Registers, binds and enlists everybody.
fn populate() {
	let act = |n: u8, call: RuntimeCall| {
		call.dispatch(RuntimeOrigin::signed(account(n))).expect("a new chain allows it");
	};
	for keeper in [16, 17] {
		act(keeper, register_site());
	}
	for n in 1..=DEVICES {
		let site = u32::from(n % 2);
		act(16 + n % 2, register_device(site, account(n)));
		act(n, activate_device(n, n));
	}
	for n in 1..=AGGREGATORS {
		act(n, pallet_rewards::Call::bond { amount: 100 * CRN * Balance::from(n) }.into());
		act(n, pallet_training::Call::enlist_aggregator {}.into());
	}
}

/// Another site.
pub fn register_site() -> RuntimeCall {
	let name = BoundedVec::truncate_from(b"Lab".to_vec());
	let region = BoundedVec::truncate_from(b"EU".to_vec());
	pallet_hardware::Call::register_site { name, region, energy: EnergySource::Grid }.into()
}

/// Another device, that `account` is to sign for.
pub fn register_device(site: u32, account: AccountId) -> RuntimeCall {
	pallet_hardware::Call::register_device { site, account, class: DeviceClass::Cpu, memory_mib: 1_024 }
		.into()
}

/// Account `n` binds the libp2p key number `key`.
pub fn activate_device(n: u8, key: u8) -> RuntimeCall {
	let pair = ed25519::Pair::from_seed(&[key; 32]);
	let message = network_key_message(&System::block_hash(0), account(n).as_ref());
	pallet_hardware::Call::activate_device { network_key: pair.public().0, proof: pair.sign(&message).0 }
		.into()
}

/// Account `new` agrees to sign for `device`.
pub fn rotate_account(device: DeviceId, new: u8) -> Option<RuntimeCall> {
	let old = pallet_hardware::Devices::<Runtime>::get(device)?.account;
	let message =
		account_rotation_message(&System::block_hash(0), device, old.as_ref(), account(new).as_ref());
	let proof = pair(new).sign(&message).0;
	Some(pallet_hardware::Call::rotate_account { device, new: account(new), proof }.into())
}

/// The device of account `n` delivers a measurement.
pub fn submit_measurement(n: u8) -> Option<RuntimeCall> {
	let device = pallet_hardware::DeviceOf::<Runtime>::get(account(n))?;
	let nonce = Hardware::open_challenge(device)?.nonce?;
	let measurement = Measurement {
		products: 100,
		product_ms: 60_000,
		sweeps: 1_000,
		sweep_ms: 60_000,
		digest: H256::repeat_byte(n),
	};
	Some(pallet_hardware::Call::submit_measurement { nonce, measurement }.into())
}

/// A statement about a device's measurement: that it is true, or false.
pub fn attest(device: DeviceId, vouch: bool) -> Option<RuntimeCall> {
	let challenge = Hardware::open_challenge(device)?;
	let speed = challenge.measurement?.speed()?;
	let speed = Speed { flops: speed.flops - speed.flops / 50, ..speed };
	let statement = vouch.then_some(speed);
	Some(pallet_hardware::Call::attest { device, nonce: challenge.nonce?, statement }.into())
}

/// A vote on what is in `bits`, repeated over the round's commits.
pub fn vote(round: &RoundInfo<AccountId, BlockNumber>, bits: u8) -> RuntimeCall {
	let map = bitmap::from_fn(round.commit_count, |n| bits >> (n % 8) & 1 == 1);
	pallet_training::Call::vote_availability {
		programme: round.programme,
		round: round.index,
		attempt: round.attempt,
		bitmap: BoundedVec::truncate_from(map),
	}
	.into()
}

/// What honest members compute in this round.
pub fn next_weights(round: &RoundInfo<AccountId, BlockNumber>) -> H256 {
	artifact(1_000_000 + 1_000 * u64::from(round.programme) + u64::from(round.index))
}

fn qualities(round: &RoundInfo<AccountId, BlockNumber>, quality: u8) -> Vec<u8> {
	vec![quality; bitmap::count(&round.included) as usize]
}

/// A member's commitment to a result and to this quality for every update.
pub fn commit_aggregate(
	round: &RoundInfo<AccountId, BlockNumber>,
	member: &AccountId,
	result: H256,
	quality: u8,
) -> RuntimeCall {
	let commitment = aggregate_commitment(
		&System::block_hash(0),
		round.programme,
		round.index,
		round.attempt,
		member.as_ref(),
		&result,
		&qualities(round, quality),
		&SALT,
	);
	pallet_training::Call::commit_aggregate {
		programme: round.programme,
		round: round.index,
		attempt: round.attempt,
		commitment,
	}
	.into()
}

/// The opening of such a commitment.
pub fn reveal_aggregate(round: &RoundInfo<AccountId, BlockNumber>, result: H256, quality: u8) -> RuntimeCall {
	pallet_training::Call::reveal_aggregate {
		programme: round.programme,
		round: round.index,
		attempt: round.attempt,
		result,
		quality: BoundedVec::truncate_from(qualities(round, quality)),
		salt: SALT,
	}
	.into()
}

/// An update of account `n`, which only it could make in this round when `variant` is less than 1,000.
pub fn commit_update(round: &RoundInfo<AccountId, BlockNumber>, n: u8, variant: u64) -> RuntimeCall {
	let update = 10_000_000
		+ 1_000_000 * u64::from(round.programme)
		+ 100_000 * u64::from(round.index)
		+ 1_000 * u64::from(n)
		+ variant;
	pallet_training::Call::commit_update {
		programme: round.programme,
		round: round.index,
		artifact: artifact(update),
		samples: 10 * u32::from(n),
		local_steps: 5,
	}
	.into()
}

/// What a party does next for a programme, if anybody has to do anything: what is honest, but that `liar` stands by the
/// weights that the round began with.
pub fn next_step(programme: ProgrammeId, liar: u8) -> Option<(AccountId, RuntimeCall)> {
	let outcome = |round: &RoundInfo<AccountId, BlockNumber>, who: &AccountId| match *who == account(liar) {
		true => round.base,
		false => next_weights(round),
	};
	let advance = || Some((account(20), pallet_training::Call::advance { programme }.into()));
	let Some(round) = Training::current_round(programme) else { return advance() };
	if Training::programme_info(programme)?.state != ProgrammeState::Open {
		return None;
	}
	if round.deadline.is_some_and(|last| System::block_number() > last) {
		return advance();
	}
	let at_work = round.challenge.as_ref().map_or(&round.committee, |c| &c.committee);
	let silent = |said: fn(&cairn_primitives::views::MemberInfo<AccountId>) -> bool| {
		at_work.iter().find(|m| !said(m)).map(|m| m.account.clone())
	};
	match round.phase {
		Phase::Commit => {
			let n = (1..=DEVICES).find(|n| {
				Hardware::active_device(&account(*n))
					.is_some_and(|d| round.commits.iter().all(|c| c.device != d))
			})?;
			Some((account(n), commit_update(&round, n, 0)))
		},
		Phase::Availability => silent(|m| m.bitmap.is_some()).map(|who| (who, vote(&round, u8::MAX))),
		Phase::Aggregate | Phase::AuditAggregate => silent(|m| m.committed).map(|who| {
			let call = commit_aggregate(&round, &who, outcome(&round, &who), 100);
			(who, call)
		}),
		Phase::Reveal | Phase::AuditReveal => at_work
			.iter()
			.find(|m| m.committed && m.revealed.is_none())
			.map(|m| (m.account.clone(), reveal_aggregate(&round, outcome(&round, &m.account), 100))),
		_ => None,
	}
}

/// Checks the invariants of every pallet of Cairn's.
///
/// # Errors
/// Names the first that is broken.
pub fn check_invariants() -> Result<(), String> {
	for outcome in [
		Provenance::do_try_state(),
		Hardware::do_try_state(),
		Rewards::do_try_state(),
		Training::do_try_state(),
		Governance::do_try_state(),
	] {
		outcome.map_err(|problem| format!("{problem:?}"))?;
	}
	Ok(())
}
