#![allow(clippy::unwrap_used)]

use super::{error::*, *};
use crate::ledger::{
	mock::{artifact, MockLedger, MockState, DEVICE, SITE},
	Batch, Record,
};
use cairn_primitives::{
	ledger::BatchId,
	views::{AttestationInfo, AttestersInfo, CommitInfo, MemberInfo, Phase, ProgrammeState, RoundState},
	AggregationRule, ArtifactHash, DeviceClass, DeviceState, EnergySource, RecordKind, RecordRange,
	RoundTerms, Schedule,
};
use serde_json::{json, Value};
use sp_blockchain::Info;
use sp_core::{crypto::Ss58Codec, offchain::testing::TestPersistentOffchainDB};
use sp_runtime::{
	generic,
	traits::{BlakeTwo256, NumberFor},
	OpaqueExtrinsic,
};
use std::sync::{
	atomic::{AtomicUsize, Ordering},
	LazyLock, Mutex,
};

pub(super) type Block = generic::Block<generic::Header<BlockNumber, BlakeTwo256>, OpaqueExtrinsic>;

/// The best block.
pub(super) const BEST: H256 = H256([0xbb; 32]);
/// A block further back; only the programme's start was recorded then.
pub(super) const EARLY: H256 = H256([0xee; 32]);
/// A block whose header is here and whose state is not.
pub(super) const PRUNED: H256 = H256([0xdd; 32]);
/// A block at which the runtime traps.
const TRAPS: H256 = H256([0xcc; 32]);
/// A block that the database cannot read.
const BROKEN: H256 = H256([0xaa; 32]);

/// How many rounds of [`UPDATES`] updates there were.
const ROUNDS: u64 = 62;
/// How many updates a round had.
const UPDATES: u64 = 3;
/// How many records the ledger holds: two for the start and then rounds, more than two pages.
const RECORDS: u64 = 2 + ROUNDS * (UPDATES + 1);
/// Alice's development account.
const ALICE: &str = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY";

fn alice() -> AccountId32 {
	AccountId32::from_ss58check(ALICE).unwrap()
}

/// What the chain recorded.
static CHAIN: LazyLock<MockLedger> = LazyLock::new(|| MockLedger::new(ROUNDS as u32, UPDATES as u32));

/// What another chain recorded, on which finality moves: rounds of three updates of programmes 0 and 4 in turn.
pub(super) static MOVING: LazyLock<MockLedger> = LazyLock::new(|| MockLedger::of(&[0, 4], 40, 3));

/// The block of that chain up to which this many batches were appended.
pub(super) fn block_with(batches: usize) -> H256 {
	H256::from_low_u64_be(batches as u64)
}

fn batches_at(block: H256) -> Option<usize> {
	(1..=MOVING.batches.len()).find(|batches| block_with(*batches) == block)
}

/// The ledger of a node that has executed every block. Everything is final but the last five rounds.
pub(super) static LEDGER: LazyLock<Ledger<TestPersistentOffchainDB>> = LazyLock::new(|| ledger(|_| ()));

/// The ledger of a node to whose database something happened before it indexed it.
fn ledger(happened: impl FnOnce(&mut TestPersistentOffchainDB)) -> Ledger<TestPersistentOffchainDB> {
	let mut db = TestPersistentOffchainDB::new();
	CHAIN.store(&mut db);
	happened(&mut db);
	let mut ledger = Ledger::new(db);
	crate::ledger::catch_up(&mut ledger, &CHAIN.at(CHAIN.batches.len() - 5)).unwrap();
	ledger
}

fn programme_info() -> ProgrammeInfo<AccountId32, Balance> {
	ProgrammeInfo {
		id: 0,
		name: b"digits".to_vec(),
		state: ProgrammeState::Open,
		config: H256([1; 32]),
		genesis_weights: artifact(0),
		weights: artifact(RECORDS - 1),
		weights_record: RECORDS - 1,
		aggregation: AggregationRule::TrimmedMean { trim: 1 }.into(),
		schedule: Schedule { commit: 20, availability: 8, aggregate: 8, reveal: 8, challenge: 0 },
		committee_size: 3,
		audit_size: 7,
		min_updates: 3,
		target_updates: 5,
		max_updates: 64,
		max_samples: 100_000,
		max_local_steps: 10_000,
		rounds: 10,
		finalised: 1,
		round: 1,
		reward_per_round: 1_000_000_000_000_000,
		licence: b"Apache-2.0".to_vec(),
		data_category: Vec::new(),
		epsilon_per_round: Some(250),
		challenge_bond: 1_000_000_000_000,
		pot: alice(),
		pot_free: u128::MAX,
		committee_share: Default::default(),
	}
}

fn round_info(index: u32) -> RoundInfo {
	RoundInfo {
		programme: 0,
		index,
		attempt: 0,
		phase: Phase::Reveal,
		deadline: Some(40),
		opened: 7,
		base: artifact(0),
		base_record: 0,
		terms: RoundTerms {
			aggregation: AggregationRule::TrimmedMean { trim: 1 }.into(),
			max_samples: 10,
			max_local_steps: 5,
		},
		commit_count: 1,
		commits: vec![CommitInfo {
			index: 0,
			producer: alice(),
			device: 3,
			artifact: artifact(1),
			samples: 10,
			local_steps: 5,
		}],
		committee: vec![MemberInfo {
			account: alice(),
			bitmap: Some(vec![0x01]),
			committed: true,
			revealed: Some(artifact(2)),
			quality: None,
			outcome: None,
		}],
		included: vec![0x01],
		bucketing_seed: None,
		result: None,
		quality: None,
		challenge: None,
		result_record: None,
		updates: Some(RecordRange { first: 1, count: 1 }),
		failure: None,
	}
}

/// The runtime's answers at one block; an error where it gives none.
pub(super) struct Mock;

impl Mock {
	fn alive(at: H256) -> Result<(), ApiError> {
		if [BEST, EARLY].contains(&at) || batches_at(at).is_some() {
			Ok(())
		} else if at == PRUNED {
			// As the client says it.
			Err(ApiError::UnknownBlock(format!("State already discarded for {at:?}")))
		} else {
			Err(ApiError::Application("the runtime trapped".into()))
		}
	}

	/// What the state of a block says of the ledger.
	fn state(at: H256) -> Result<MockState<'static>, ApiError> {
		Self::alive(at)?;
		Ok(match batches_at(at) {
			_ if at == EARLY => CHAIN.at(1),
			Some(batches) => MOVING.at(batches),
			None => CHAIN.best(),
		})
	}
}

/// What cannot fail did not.
fn sure<T>(answer: Result<T, std::convert::Infallible>) -> Result<T, ApiError> {
	match answer {
		Ok(answer) => Ok(answer),
		Err(never) => match never {},
	}
}

sp_api::mock_impl_runtime_apis! {
	impl TrainingRuntimeApi<Block, AccountId32, Balance, BlockNumber> for Mock {
		#[advanced]
		fn programmes(at: H256) -> Result<Vec<ProgrammeId>, ApiError> {
			Mock::alive(at)?;
			Ok(vec![0, 4])
		}

		#[advanced]
		fn programme(
			at: H256,
			id: ProgrammeId,
		) -> Result<Option<ProgrammeInfo<AccountId32, Balance>>, ApiError> {
			Mock::alive(at)?;
			// Programme 4 has no running round.
			Ok([0, 4].contains(&id).then(|| ProgrammeInfo { id, ..programme_info() }))
		}

		#[advanced]
		fn current_round(at: H256, programme: ProgrammeId) -> Result<Option<RoundInfo>, ApiError> {
			Mock::alive(at)?;
			Ok((programme == 0).then(|| round_info(1)))
		}

		#[advanced]
		fn round(at: H256, programme: ProgrammeId, index: u32) -> Result<Option<RoundInfo>, ApiError> {
			Mock::alive(at)?;
			Ok((programme == 0 && index <= 1).then(|| round_info(index)))
		}

		#[advanced]
		fn rounds(
			at: H256,
			programme: ProgrammeId,
			state: Option<RoundState>,
			from: Option<u32>,
			limit: u32,
		) -> Result<Option<RoundPage>, ApiError> {
			Mock::alive(at)?;
			// The newest runs, and all others have failed.
			let all = (0..=from.unwrap_or(1).min(1)).rev().map(|index| match index {
				1 => round_info(1),
				_ => RoundInfo { phase: Phase::Failed, ..round_info(index) },
			});
			let mut rounds: Vec<_> = all.filter(|r| state.is_none_or(|s| r.phase.state() == s)).collect();
			let next = rounds.get(limit as usize).map(|r| r.index);
			rounds.truncate(limit as usize);
			Ok((programme == 0).then_some(RoundPage { rounds, next }))
		}

		fn aggregators() -> Vec<AccountId32> {
			vec![alice()]
		}
	}

	impl ProvenanceRuntimeApi<Block, AccountId32, BlockNumber> for Mock {
		#[advanced]
		fn record_count(at: H256) -> Result<RecordId, ApiError> {
			sure(Mock::state(at)?.record_count())
		}

		#[advanced]
		fn batch_count(at: H256) -> Result<BatchId, ApiError> {
			sure(Mock::state(at)?.batch_count())
		}

		#[advanced]
		fn batch(at: H256, id: BatchId) -> Result<Option<Batch>, ApiError> {
			sure(Mock::state(at)?.batch(id))
		}

		#[advanced]
		fn batch_of(at: H256, record: RecordId) -> Result<Option<(BatchId, Batch)>, ApiError> {
			sure(Mock::state(at)?.batch_of(record))
		}

		#[advanced]
		fn batches(at: H256, ids: Vec<BatchId>) -> Result<Vec<Option<Batch>>, ApiError> {
			sure(Mock::state(at)?.batches(ids))
		}

		#[advanced]
		fn batches_beside(at: H256, id: BatchId) -> Result<Option<(BatchId, Vec<H256>)>, ApiError> {
			sure(Mock::state(at)?.batches_beside(id))
		}

		#[advanced]
		fn start_records(at: H256, id: BatchId) -> Result<Option<Vec<Record>>, ApiError> {
			sure(Mock::state(at)?.start_records(id))
		}

		#[advanced]
		fn weights_record(at: H256, weights: ArtifactHash) -> Result<Option<RecordId>, ApiError> {
			sure(Mock::state(at)?.weights_record(weights))
		}
	}

	impl HardwareRuntimeApi<Block, AccountId32> for Mock {
		#[advanced]
		fn site(at: H256, id: SiteId) -> Result<Option<SiteInfo<AccountId32>>, ApiError> {
			Mock::alive(at)?;
			Ok((id == SITE).then(|| SiteInfo {
				id,
				owner: alice(),
				name: "Genève".into(),
				region: b"EU-CH".to_vec(),
				energy: EnergySource::Renewable,
				devices: 1,
			}))
		}

		#[advanced]
		fn device(at: H256, id: DeviceId) -> Result<Option<DeviceInfo<AccountId32>>, ApiError> {
			Mock::alive(at)?;
			Ok((id == DEVICE).then(|| DeviceInfo {
				id,
				site: 1,
				account: alice(),
				class: DeviceClass::Cpu,
				memory_mib: 2048,
				state: DeviceState::Active,
				network_key: Some([0x1f; 32]),
				vendor: b"ACME".to_vec(),
				model: Vec::new(),
				image: None,
				evidence: None,
				recheck_due: None,
			}))
		}

		fn device_of(_account: AccountId32) -> Option<DeviceInfo<AccountId32>> {
			None
		}

		fn device_of_network_key(_network_key: [u8; 32]) -> Option<DeviceInfo<AccountId32>> {
			None
		}

		fn attesters() -> AttestersInfo<AccountId32> {
			AttestersInfo { members: Vec::new(), threshold: 0 }
		}

		fn open_challenge(_device: DeviceId) -> Option<AttestationInfo<AccountId32, u32>> {
			None
		}

		fn challenges_to_judge(_after: Option<DeviceId>, _limit: u32) -> Vec<AttestationInfo<AccountId32, u32>> {
			Vec::new()
		}

		fn local_steps(_device: DeviceId, max: u32) -> u32 {
			max
		}

		fn recheck_is_due() -> bool {
			false
		}
	}

	impl RewardsRuntimeApi<Block, AccountId32, Balance> for Mock {
		#[advanced]
		fn rewards(
			at: H256,
			_programme: ProgrammeId,
			account: AccountId32,
		) -> Result<RewardInfo<Balance>, ApiError> {
			Mock::alive(at)?;
			let points = if account == alice() { u128::MAX } else { 0 };
			Ok(RewardInfo { points, claimable: 12, claimed: 0 })
		}

		fn bonded(_account: AccountId32) -> Balance {
			0
		}
	}
}

/// A client with the blocks above, of which [`EARLY`] is final until another is said to be.
pub(super) struct MockClient {
	/// The newest finalised block.
	pub(super) finalised: Mutex<H256>,
	/// How often the runtime was asked.
	pub(super) asked: AtomicUsize,
}

impl Default for MockClient {
	fn default() -> Self {
		Self { finalised: Mutex::new(EARLY), asked: AtomicUsize::new(0) }
	}
}

impl ProvideRuntimeApi<Block> for MockClient {
	type Api = Mock;

	fn runtime_api(&self) -> ApiRef<'_, Mock> {
		self.asked.fetch_add(1, Ordering::SeqCst);
		Mock.into()
	}
}

impl HeaderBackend<Block> for MockClient {
	fn header(&self, _hash: H256) -> sp_blockchain::Result<Option<<Block as BlockT>::Header>> {
		Ok(None)
	}

	fn info(&self) -> Info<Block> {
		Info {
			best_hash: BEST,
			best_number: 300,
			genesis_hash: H256::zero(),
			finalized_hash: *self.finalised.lock().unwrap(),
			finalized_number: 290,
			finalized_state: None,
			number_leaves: 1,
			block_gap: None,
		}
	}

	fn status(&self, hash: H256) -> sp_blockchain::Result<BlockStatus> {
		if hash == BROKEN {
			Err(sp_blockchain::Error::Backend("disk error".into()))
		} else if [BEST, EARLY, PRUNED, TRAPS].contains(&hash) || batches_at(hash).is_some() {
			Ok(BlockStatus::InChain)
		} else {
			Ok(BlockStatus::Unknown)
		}
	}

	fn number(&self, hash: H256) -> sp_blockchain::Result<Option<NumberFor<Block>>> {
		// That which traps is on another fork.
		let known = [(BEST, 300), (EARLY, 290), (TRAPS, 280), (PRUNED, 270)];
		Ok(known.into_iter().find(|(known, _)| *known == hash).map(|(_, number)| number))
	}

	fn hash(&self, number: NumberFor<Block>) -> sp_blockchain::Result<Option<H256>> {
		Ok(match number {
			300 => Some(BEST),
			290 => Some(EARLY),
			270 => Some(PRUNED),
			_ => None,
		})
	}
}

/// A JSON-RPC error as it goes over the wire.
#[derive(Debug, serde::Deserialize)]
pub(super) struct WireError {
	pub(super) code: i32,
	pub(super) message: String,
	pub(super) data: Value,
}

/// Calls a method as a client does, with JSON on both sides.
pub(super) async fn ask(method: &str, params: Value) -> Result<Value, WireError> {
	ask_node(&LEDGER, method, params).await
}

/// Calls a method of a node with a ledger of its own.
async fn ask_node(
	ledger: &Ledger<TestPersistentOffchainDB>,
	method: &str,
	params: Value,
) -> Result<Value, WireError> {
	ask_module(
		Provenance::<_, Block, _>::new(Arc::new(MockClient::default()), ledger.clone()).into_rpc(),
		method,
		params,
	)
	.await
}

/// Calls a method of these.
pub(super) async fn ask_module<T>(
	module: jsonrpsee::RpcModule<T>,
	method: &str,
	params: Value,
) -> Result<Value, WireError> {
	ask_module_for(&module, method, params).await
}

/// The same of methods that are called more than once.
pub(super) async fn ask_module_for<T>(
	module: &jsonrpsee::RpcModule<T>,
	method: &str,
	params: Value,
) -> Result<Value, WireError> {
	let request =
		json!({ "jsonrpc": "2.0", "id": 1, "method": format!("provenance_{method}"), "params": params });
	let (answer, _) = module.raw_json_request(&request.to_string(), 1).await.unwrap();
	let mut answer: Value = serde_json::from_str(&answer).unwrap();
	match answer.get_mut("error") {
		Some(error) => Err(serde_json::from_value(error.take()).unwrap()),
		None => Ok(answer["result"].take()),
	}
}

async fn refused(method: &str, params: Value) -> WireError {
	ask(method, params).await.unwrap_err()
}

pub(super) fn hex(hash: H256) -> String {
	format!("{hash:?}")
}

/// Every method with arguments that are good at [`BEST`], without `at`.
fn good_calls() -> Vec<(&'static str, Vec<Value>)> {
	vec![
		("programmes", vec![]),
		("programme", vec![json!(0)]),
		("currentRound", vec![json!(0)]),
		("round", vec![json!(0), json!(1)]),
		("record", vec![json!(0)]),
		("recordByArtifact", vec![json!(hex(artifact(0)))]),
		("recordProof", vec![json!(2)]),
		("recordsByDevice", vec![json!(DEVICE), Value::Null, Value::Null]),
		("recordsByAccount", vec![json!(ALICE), Value::Null, Value::Null]),
		("lineage", vec![json!(hex(artifact(0))), Value::Null, Value::Null]),
		("rewards", vec![json!(0), json!(ALICE)]),
		("device", vec![json!(3)]),
		("rounds", vec![json!(0), Value::Null, Value::Null, Value::Null]),
		("recordsBySite", vec![json!(SITE), Value::Null, Value::Null]),
		("descendants", vec![json!(hex(artifact(2))), Value::Null, Value::Null]),
		("site", vec![json!(SITE)]),
	]
}

fn at(mut params: Vec<Value>, block: &str) -> Value {
	params.push(json!(block));
	Value::Array(params)
}

#[tokio::test]
async fn every_method_answers_with_and_without_a_block() {
	for (method, params) in good_calls() {
		let best = ask(method, json!(params)).await.unwrap();
		assert_eq!(ask(method, at(params, &hex(BEST))).await.unwrap(), best, "{method}");
	}
}

#[tokio::test]
async fn the_methods_are_those_of_the_contract_and_no_others() {
	let module = Provenance::<_, Block, _>::new(Arc::new(MockClient::default()), LEDGER.clone()).into_rpc();
	let mut names: Vec<_> = module.method_names().map(|n| n.to_string()).collect();
	names.sort();
	let mut expected: Vec<_> = good_calls().iter().map(|(m, _)| format!("provenance_{m}")).collect();
	expected.sort();
	assert_eq!(names, expected);
}

#[tokio::test]
async fn a_failing_runtime_is_9100_in_every_method() {
	for (method, params) in good_calls() {
		let error = refused(method, at(params, &hex(TRAPS))).await;
		assert_eq!(error.code, RUNTIME_CALL_FAILED, "{method}");
		assert!(error.message.contains("the runtime trapped"), "{method}: {}", error.message);
		assert!(error.message.contains(&hex(TRAPS)), "{method}: {}", error.message);
		assert_eq!(error.data["block"], json!(TRAPS));
	}
}

#[tokio::test]
async fn a_failing_database_is_9100() {
	let error = refused("programmes", json!([hex(BROKEN)])).await;
	assert_eq!(error.code, RUNTIME_CALL_FAILED);
	assert!(error.message.contains("disk error"), "{}", error.message);
}

#[tokio::test]
async fn an_unknown_programme_is_9101_in_every_method_that_takes_one() {
	for (method, params) in [
		("programme", json!([7])),
		("currentRound", json!([7])),
		("round", json!([7, 0])),
		("rewards", json!([7, ALICE])),
	] {
		let error = refused(method, params).await;
		assert_eq!(error.code, UNKNOWN_PROGRAMME, "{method}");
		assert!(error.message.contains("no programme 7"), "{method}: {}", error.message);
		assert!(error.message.contains("provenance_programmes"), "{method}: {}", error.message);
		assert_eq!(error.data, json!({ "reason": "unknownProgramme", "programme": 7, "block": BEST }));
	}
}

#[tokio::test]
async fn an_unknown_round_is_9102_and_says_the_newest() {
	let error = refused("round", json!([0, 9])).await;
	assert_eq!(error.code, UNKNOWN_ROUND);
	assert!(error.message.contains("no round 9"), "{}", error.message);
	assert!(error.message.contains("newest round is 1"), "{}", error.message);
	assert_eq!(
		error.data,
		json!({ "reason": "unknownRound", "programme": 0, "round": 9, "newest": 1, "block": BEST })
	);
}

#[tokio::test]
async fn a_programme_without_a_running_round_has_null_as_its_current_round() {
	assert_eq!(ask("currentRound", json!([4])).await.unwrap(), Value::Null);
}

#[tokio::test]
async fn an_unknown_record_is_9103_and_says_which_exist() {
	let error = refused("record", json!([RECORDS])).await;
	assert_eq!(error.code, UNKNOWN_RECORD);
	assert!(error.message.contains("no record 250"), "{}", error.message);
	assert!(error.message.contains("records 0 to 249"), "{}", error.message);
	assert_eq!(
		error.data,
		json!({ "reason": "unknownRecord", "record": RECORDS, "count": RECORDS, "block": BEST })
	);
}

#[test]
fn an_unknown_record_in_a_short_ledger_reads_well() {
	let text = |count| Error::UnknownRecord { record: 5, count, block: BEST }.to_string();
	assert!(text(0).ends_with("the ledger is empty"));
	assert!(text(1).ends_with("the ledger holds record 0 only"));
	assert!(text(2).ends_with("the ledger holds records 0 to 1"));
}

#[tokio::test]
async fn an_artifact_that_nobody_recorded_is_9103() {
	let unknown = hex(H256([9; 32]));
	for (method, params) in [
		("recordByArtifact", json!([unknown])),
		("lineage", json!([unknown])),
		("lineage", json!([unknown, 5])),
	] {
		let error = refused(method, params).await;
		assert_eq!(error.code, UNKNOWN_RECORD, "{method}");
		assert!(error.message.contains(&unknown), "{method}: {}", error.message);
		assert_eq!(error.data["reason"], "unknownArtifact");
		assert_eq!(error.data["artifact"], json!(unknown));
	}
}

#[tokio::test]
async fn an_unknown_device_is_9103() {
	for method in ["device", "recordsByDevice"] {
		let error = refused(method, json!([8])).await;
		assert_eq!(error.code, UNKNOWN_RECORD);
		assert!(error.message.contains("no device 8"), "{}", error.message);
		assert_eq!(error.data, json!({ "reason": "unknownDevice", "device": 8, "block": BEST }));
	}
}

#[tokio::test]
async fn a_page_over_the_cap_or_empty_is_9104() {
	for count in [0, MAX_PAGE + 1, u32::MAX] {
		for (method, what) in [
			("lineage", json!(hex(artifact(9)))),
			("recordsByDevice", json!(DEVICE)),
			("recordsByAccount", json!(ALICE)),
			("recordsBySite", json!(SITE)),
			("descendants", json!(hex(artifact(9)))),
		] {
			let error = refused(method, json!([what, null, count])).await;
			assert_eq!(error.code, PAGE_SIZE, "{count}");
			assert!(error.message.contains(&format!("not {count}")), "{}", error.message);
			assert!(error.message.contains("1 to 100"), "{}", error.message);
			assert_eq!(error.data, json!({ "reason": "pageSize", "count": count, "max": MAX_PAGE }));
		}
	}
}

#[tokio::test]
async fn a_page_at_the_cap_is_served_and_is_the_default() {
	let model = hex(artifact(RECORDS - 1));
	let full = ask("lineage", json!([model, null, MAX_PAGE])).await.unwrap();
	assert_eq!(full["records"].as_array().unwrap().len(), MAX_PAGE as usize);
	assert_eq!(ask("lineage", json!([model])).await.unwrap(), full);
}

#[tokio::test]
async fn paging_to_the_end_gives_every_record_once() {
	let model = hex(artifact(RECORDS - 1));
	for count in [1, 7, 99, 100] {
		let mut seen = Vec::new();
		let mut cursor = Value::Null;
		loop {
			let page = ask("lineage", json!([model, cursor, count])).await.unwrap();
			let page: RecordPage = serde_json::from_value(page).unwrap();
			assert!(page.records.len() <= count);
			seen.extend(page.records);
			match page.next {
				Some(next) => cursor = json!(next),
				None => break,
			}
		}
		// All but record 0, the configuration, which is nobody's parent.
		let whole: Vec<_> = (1..RECORDS)
			.rev()
			.map(|id| RecordInfo { id, record: CHAIN.records[id as usize].clone() })
			.collect();
		assert_eq!(seen, whole, "page size {count}");
	}
}

#[tokio::test]
async fn a_cursor_of_another_lineage_is_9105() {
	// Record 10 is the first update of the third round: a newer record, and one far beyond.
	for (origin, cursor) in [(10, 11), (11, 10), (13, 14), (13, 1_000)] {
		let error = refused("lineage", json!([hex(artifact(origin)), cursor])).await;
		assert_eq!(error.code, MALFORMED);
		assert_eq!(error.data["argument"], "cursor");
		assert!(error.message.contains(&format!("whose record is {origin}")), "{}", error.message);
	}
}

#[tokio::test]
async fn lineage_of_an_update_leads_to_its_base_and_not_over_the_others_of_its_round() {
	// The third round has updates 10 to 12 and starts from record 9.
	let update = hex(artifact(11));
	let (mut seen, mut cursor) = (Vec::new(), Value::Null);
	loop {
		let page = ask("lineage", json!([update, cursor, 4])).await.unwrap();
		let page: RecordPage = serde_json::from_value(page).unwrap();
		seen.extend(page.records.iter().map(|r| r.id));
		match page.next {
			Some(next) => cursor = json!(next),
			None => break,
		}
	}
	assert_eq!(seen, [11, 9, 8, 7, 6, 5, 4, 3, 2, 1]);
}

#[tokio::test]
async fn malformed_hex_is_9105_and_names_argument_value_and_form() {
	let ok = hex(artifact(0));
	let bad = [
		("", "does not begin with 0x"),
		("0x", "has 0 hex digits"),
		("12", "does not begin with 0x"),
		(&ok[2..], "does not begin with 0x"),
		(&ok[..65], "has 63 hex digits"),
		(&format!("{ok}0"), "has 65 hex digits"),
		(&ok.replace("0a", "0g"), "has 'g' among its digits"),
		(&format!("{} ", &ok[..65]), "has ' ' among its digits"),
		("0xé", "has 'é' among its digits"),
		(&ok.replace("0x", "0X"), "does not begin with 0x"),
	];
	for (value, problem) in bad {
		for (method, params, argument) in [
			("recordByArtifact", json!([value]), "hash"),
			("lineage", json!([value, null, 10]), "hash"),
			("programmes", json!([value]), "at"),
			("device", json!([3, value]), "at"),
		] {
			let error = refused(method, params).await;
			assert_eq!(error.code, MALFORMED, "{method} {value}");
			assert!(
				error.message.starts_with(&format!("`{argument}` is \"{value}\", which {problem}")),
				"{}",
				error.message
			);
			assert!(error.message.contains("0x and then 64 hex digits"), "{}", error.message);
			assert_eq!(error.data["argument"], argument);
			assert_eq!(error.data["value"], value);
		}
	}
}

#[tokio::test]
async fn hex_in_upper_case_is_the_same_hash() {
	let upper = hex(artifact(171)).to_uppercase().replace("0X", "0x");
	assert_eq!(ask("recordByArtifact", json!([upper])).await.unwrap()["id"], 171);
}

#[tokio::test]
async fn malformed_addresses_are_9105_and_say_what_is_wrong() {
	let polkadot = alice().to_ss58check_with_version(0u16.into());
	let key = hex(H256(alice().into()));
	let mistyped = ALICE.replace("utQY", "utQZ");
	let bad = [
		("".to_string(), "length".to_string()),
		("5Grwva0".into(), "base58".into()),
		("5Grwva".into(), "length".into()),
		(ALICE[1..].into(), "wrong checksum".into()),
		(ALICE.repeat(2), "too long".into()),
		(mistyped, "wrong checksum".into()),
		(polkadot, format!("SS58 prefix 0; on this chain the same key has the address {ALICE}")),
		(key, format!("is a public key in hex; its address is {ALICE}")),
		("0x12".into(), "is hex, not an address".into()),
	];
	for (value, problem) in bad {
		let error = refused("rewards", json!([0, value])).await;
		assert_eq!(error.code, MALFORMED, "{value}");
		assert!(error.message.contains("`account` is"), "{}", error.message);
		assert!(error.message.contains("SS58 address with prefix 42"), "{}", error.message);
		assert!(error.data["problem"].as_str().unwrap().contains(&problem), "{}", error.message);
		assert_eq!(error.data["value"], value);
	}
}

#[tokio::test]
async fn a_long_argument_is_not_echoed_in_full() {
	for (method, params) in [
		("recordByArtifact", json!(["ä".repeat(100_000)])),
		("rewards", json!([0, "5".repeat(1_000_000)])),
		("rewards", json!([0, format!("0x{}", "5".repeat(1_000_000))])),
		("programmes", json!(["0x5".repeat(100_000)])),
	] {
		let error = refused(method, params).await;
		assert_eq!(error.code, MALFORMED);
		assert!(error.message.len() < 1000, "{}", error.message.len());
		assert!(error.data.to_string().len() < 1000);
	}
}

#[tokio::test]
async fn an_unknown_block_is_9106() {
	let stranger = H256([5; 32]);
	for (method, params) in good_calls() {
		let error = refused(method, at(params, &hex(stranger))).await;
		assert_eq!(error.code, UNKNOWN_BLOCK, "{method}");
		assert!(error.message.contains(&hex(stranger)), "{method}: {}", error.message);
		assert_eq!(error.data, json!({ "reason": "unknownBlock", "block": stranger }));
	}
}

#[tokio::test]
async fn a_pruned_block_is_9106_and_names_the_archive_node() {
	for (method, params) in good_calls() {
		let error = refused(method, at(params, &hex(PRUNED))).await;
		assert_eq!(error.code, UNKNOWN_BLOCK, "{method}");
		assert!(error.message.contains("archive node"), "{method}: {}", error.message);
		assert_eq!(error.data, json!({ "reason": "prunedBlock", "block": PRUNED }));
	}
}

#[tokio::test]
async fn an_earlier_block_answers_from_its_own_state() {
	let early = hex(EARLY);
	assert_eq!(ask("record", json!([1, early])).await.unwrap()["id"], 1);
	for (method, argument) in [("record", json!(2)), ("recordProof", json!(2))] {
		let error = refused(method, json!([argument, early])).await;
		assert_eq!(error.code, UNKNOWN_RECORD, "{method}");
		assert_eq!(error.data["block"], json!(EARLY));
		assert_eq!(error.data["count"], 2);
	}
	let error = refused("recordByArtifact", json!([hex(artifact(2)), early])).await;
	assert_eq!(error.data["reason"], "unknownArtifact");
	let page = ask("recordsByDevice", json!([DEVICE, null, null, early])).await.unwrap();
	assert_eq!(page, json!({ "records": [], "next": null }));
}

#[tokio::test]
async fn a_record_that_is_not_final_is_found_by_number_and_artifact_and_listed() {
	let update = RECORDS - 2;
	let record = ask("record", json!([update])).await.unwrap();
	assert_eq!(ask("recordByArtifact", json!([hex(artifact(update))])).await.unwrap(), record);
	let listed = ask("recordsByDevice", json!([DEVICE, null, 1])).await.unwrap();
	assert_eq!(listed["records"], json!([record]));
}

#[tokio::test]
async fn records_of_a_device_and_of_an_account_come_in_pages_newest_first() {
	// The newest of them are not final, and not in the index.
	let expected: Vec<_> =
		(0..RECORDS).rev().filter(|id| CHAIN.records[*id as usize].kind == RecordKind::Update).collect();
	for (method, owner) in [
		("recordsByDevice", json!(DEVICE)),
		("recordsByAccount", json!(ALICE)),
		("recordsBySite", json!(SITE)),
	] {
		for count in [7, 100] {
			let (mut seen, mut cursor) = (Vec::new(), Value::Null);
			loop {
				let page = ask(method, json!([owner, cursor, count])).await.unwrap();
				let page: RecordPage = serde_json::from_value(page).unwrap();
				assert!(page.records.len() <= count);
				seen.extend(page.records.iter().map(|r| r.id));
				match page.next {
					Some(next) => cursor = json!(next),
					None => break,
				}
			}
			assert_eq!(seen, expected, "{method} in pages of {count}");
		}
	}
	let nobodys = AccountId32::new([9; 32]).to_ss58check();
	let page = ask("recordsByAccount", json!([nobodys])).await.unwrap();
	assert_eq!(page, json!({ "records": [], "next": null }));
}

#[tokio::test]
async fn a_record_proof_leads_to_the_root_of_its_block() {
	for id in [0, 2, 5, RECORDS - 1] {
		let proof = ask("recordProof", json!([id])).await.unwrap();
		let proof: RecordProof<AccountId32, BlockNumber> = serde_json::from_value(proof).unwrap();
		assert_eq!(proof.record, CHAIN.records[id as usize]);
		let batch = CHAIN.batches.iter().find(|b| b.contains(id)).unwrap();
		assert_eq!(proof.block_root(), Some(cairn_primitives::ledger::root([batch.root])));
	}
}

/// Every method that reads records, with what it needs to reach record 8.
fn reads_of_record_8() -> Vec<(&'static str, Value)> {
	vec![
		("record", json!([8])),
		("recordProof", json!([8])),
		("recordByArtifact", json!([hex(artifact(8))])),
		("lineage", json!([hex(artifact(9))])),
		("recordsByDevice", json!([DEVICE, 8])),
		("recordsByAccount", json!([ALICE, 8])),
		("recordsBySite", json!([SITE, 8])),
		("descendants", json!([hex(artifact(7)), 8])),
	]
}

#[tokio::test]
async fn damaged_records_are_9107_and_name_the_remedy() {
	use sp_core::offchain::{OffchainStorage, STORAGE_PREFIX};
	let mut damaged = None;
	ledger(|db| damaged = Some(db.clone()));
	let (key, mut value) = CHAIN.entry(2);
	value[60] ^= 1;
	let mut damaged = damaged.unwrap();
	damaged.set(STORAGE_PREFIX, &key, &value);
	// A node that starts again.
	let node = Ledger::new(damaged);
	for (method, params) in reads_of_record_8() {
		let error = ask_node(&node, method, params).await.unwrap_err();
		assert_eq!(error.code, LEDGER_UNREADABLE, "{method}");
		assert_eq!(error.data["reason"], "damagedRecords", "{method}");
		assert_eq!((error.data["batch"].clone(), error.data["number"].clone()), (json!(2), json!(2)));
		assert!(error.message.contains("--sync full"), "{}", error.message);
	}
	assert_eq!(ask_node(&node, "record", json!([5])).await.unwrap()["id"], 5);
}

#[tokio::test]
async fn records_that_the_node_never_had_are_9107_and_not_unknown() {
	use sp_core::offchain::{OffchainStorage, STORAGE_PREFIX};
	let node = ledger(|db| db.remove(STORAGE_PREFIX, &CHAIN.entry(2).0));
	for (method, params) in reads_of_record_8().into_iter().take(4) {
		let error = ask_node(&node, method, params).await.unwrap_err();
		assert_eq!(error.code, LEDGER_UNREADABLE, "{method}");
		assert_eq!(error.data["reason"], "missingRecords", "{method}");
		assert!(error.message.contains("--sync full"), "{}", error.message);
	}
	// Nobody can tell whether a hash that is not in the index is one of those.
	let error = ask_node(&node, "recordByArtifact", json!([hex(H256([9; 32]))])).await.unwrap_err();
	assert_eq!(error.data["reason"], "missingRecords");
}

#[tokio::test]
async fn an_index_that_is_far_behind_is_9107_and_says_how_far() {
	let mut db = TestPersistentOffchainDB::new();
	CHAIN.store(&mut db);
	let node = Ledger::new(db);
	// Not so far that the rest could not be searched.
	assert_eq!(ask_node(&node, "recordByArtifact", json!([hex(artifact(8))])).await.unwrap()["id"], 8);
	// At a block of the longer chain it is. Weights are in state, and found all the same.
	let mut db = TestPersistentOffchainDB::new();
	MOVING.store(&mut db);
	let node = Ledger::new(db);
	let (count, update, weights) = (MOVING.batches.len(), MOVING.records.len() - 2, MOVING.records.len() - 1);
	let at = hex(block_with(count));
	for method in ["recordByArtifact", "lineage", "descendants"] {
		let hash = hex(artifact(update as u64));
		let params = match method {
			"recordByArtifact" => json!([hash, at]),
			_ => json!([hash, null, null, at]),
		};
		let error = ask_node(&node, method, params).await.unwrap_err();
		assert_eq!(error.code, LEDGER_UNREADABLE, "{method}: {}", error.message);
		assert_eq!(error.data, json!({ "reason": "indexBehind", "indexed": 0, "count": count }));
		assert!(error.message.contains(&format!("0 of {count} batches")), "{}", error.message);
	}
	let found = ask_node(&node, "recordByArtifact", json!([hex(artifact(weights as u64)), at])).await;
	assert_eq!(found.unwrap()["id"], weights);
}

#[tokio::test]
async fn arguments_of_the_wrong_type_are_invalid_params() {
	for (method, params) in [
		("programme", json!(["zero"])),
		("programme", json!([-1])),
		("programme", json!([])),
		("round", json!([0])),
		("record", json!([1.5])),
		("recordByArtifact", json!([7])),
		("device", json!([4_294_967_296u64])),
	] {
		let module =
			Provenance::<_, Block, _>::new(Arc::new(MockClient::default()), LEDGER.clone()).into_rpc();
		let request =
			json!({ "jsonrpc": "2.0", "id": 1, "method": format!("provenance_{method}"), "params": params });
		let (answer, _) = module.raw_json_request(&request.to_string(), 1).await.unwrap();
		let answer: Value = serde_json::from_str(&answer).unwrap();
		assert_eq!(answer["error"]["code"], -32602, "{method} {params}");
	}
}

#[tokio::test]
async fn a_programme_reads_as_names_hex_ss58_and_decimal_strings() {
	let json = ask("programme", json!([0])).await.unwrap();
	assert_eq!(json["name"], "digits");
	assert_eq!(json["state"], "open");
	assert_eq!(json["config"], format!("0x{}", "01".repeat(32)));
	assert_eq!(json["weightsRecord"], RECORDS - 1);
	assert_eq!(json["aggregation"]["rule"], json!({ "trimmedMean": { "trim": 1 } }));
	assert_eq!(json["rewardPerRound"], "1000000000000000");
	assert_eq!(json["licence"], "Apache-2.0");
	assert_eq!(json["dataCategory"], "");
	assert_eq!(json["epsilonPerRound"], 250);
	assert_eq!(json["challengeBond"], "1000000000000");
	assert_eq!((&json["auditSize"], &json["schedule"]["challenge"]), (&json!(7), &json!(0)));
	assert_eq!(json["potFree"], u128::MAX.to_string());
	assert_eq!(json["pot"], ALICE);
	assert_eq!(
		serde_json::from_value::<ProgrammeInfo<AccountId32, Balance>>(json).unwrap(),
		programme_info()
	);
}

#[tokio::test]
async fn a_round_reads_as_hex_and_ss58() {
	let json = ask("round", json!([0, 1])).await.unwrap();
	assert_eq!(json["phase"], "reveal");
	assert_eq!(json["commits"][0]["producer"], ALICE);
	assert_eq!(json["commits"][0]["artifact"], hex(artifact(1)));
	assert_eq!(json["committee"][0]["account"], ALICE);
	assert_eq!(json["committee"][0]["bitmap"], "0x01");
	assert_eq!(json["committee"][0]["revealed"], hex(artifact(2)));
	assert_eq!(json["included"], "0x01");
	assert_eq!(json["result"], Value::Null);
	assert_eq!(serde_json::from_value::<RoundInfo>(json).unwrap(), round_info(1));
}

#[tokio::test]
async fn a_record_reads_as_hex_and_ss58() {
	let json = ask("record", json!([4])).await.unwrap();
	assert_eq!(json["id"], 4);
	assert_eq!(json["record"]["artifact"], hex(artifact(4)));
	assert_eq!(json["record"]["producer"], ALICE);
	assert_eq!(json, ask("recordByArtifact", json!([hex(artifact(4))])).await.unwrap());
}

#[tokio::test]
async fn a_device_and_rewards_read_as_hex_ss58_and_decimal_strings() {
	let device = ask("device", json!([3])).await.unwrap();
	assert_eq!(device["networkKey"], format!("0x{}", "1f".repeat(32)));
	assert_eq!(device["account"], ALICE);
	assert_eq!(device["class"], "cpu");

	let rewards = ask("rewards", json!([0, ALICE])).await.unwrap();
	assert_eq!(rewards, json!({ "points": u128::MAX.to_string(), "claimable": "12", "claimed": "0" }));
}

#[tokio::test]
async fn no_answer_holds_a_byte_array() {
	/// Whether a list of two numbers or more, all below 256, is somewhere inside.
	fn byte_array(value: &Value) -> bool {
		match value {
			Value::Array(items) => {
				(items.len() > 1 && items.iter().all(|i| i.as_u64().is_some_and(|n| n < 256)))
					|| items.iter().any(byte_array)
			},
			Value::Object(fields) => fields.values().any(byte_array),
			_ => false,
		}
	}
	assert!(byte_array(&json!({ "a": [{ "b": [1, 255] }] })));
	for (method, params) in good_calls() {
		// A list of programme numbers is a list of numbers.
		if method != "programmes" {
			let answer = ask(method, json!(params)).await.unwrap();
			assert!(!byte_array(&answer), "{method}: {answer}");
		}
	}
}

#[tokio::test]
async fn arguments_may_be_given_by_name() {
	assert_eq!(ask("record", json!({ "id": 5 })).await.unwrap()["id"], 5);
	let page = ask("lineage", json!({ "hash": hex(artifact(5)), "count": 2 })).await.unwrap();
	assert_eq!(page["next"], 3);
}
