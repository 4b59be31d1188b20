use crate::{self as pallet_provenance, *};
use cairn_primitives::ledger;
use codec::Decode;
use frame_support::derive_impl;
use sp_runtime::BuildStorage;

#[frame_support::runtime]
mod runtime {
	#[runtime::runtime]
	#[runtime::derive(RuntimeCall, RuntimeEvent, RuntimeError, RuntimeOrigin, RuntimeTask)]
	pub struct Test;

	#[runtime::pallet_index(0)]
	pub type System = frame_system;
	#[runtime::pallet_index(1)]
	pub type Provenance = pallet_provenance;
}

#[derive_impl(frame_system::config_preludes::TestDefaultConfig)]
impl frame_system::Config for Test {
	type Block = frame_system::mocking::MockBlock<Test>;
}

impl pallet_provenance::Config for Test {
	type WeightInfo = pallet_provenance::weights::DbCosts<Test>;
}

/// An empty chain at block 1.
pub fn chain() -> sp_io::TestExternalities {
	let storage = frame_system::GenesisConfig::<Test>::default().build_storage().expect("no genesis to fail");
	let mut chain = sp_io::TestExternalities::new(storage);
	chain.execute_with(|| System::set_block_number(1));
	chain
}

/// Runs `test` on an empty chain at block 1 and checks the ledger at the end: its state, and every record against it.
pub fn run<R>(test: impl FnOnce() -> R) -> (R, Vec<RecordOfT<Test>>) {
	let mut chain = chain();
	let result = chain.execute_with(|| {
		let result = test();
		Provenance::do_try_state().expect("the ledger's invariants hold");
		result
	});
	let records = records(&mut chain);
	check_parents(&records);
	(result, records)
}

/// All records, as somebody with the state and the offchain index reads them.
pub fn records(chain: &mut sp_io::TestExternalities) -> Vec<RecordOfT<Test>> {
	chain.persist_offchain_overlay();
	let index = chain.offchain_db();
	chain.execute_with(|| {
		(0..BatchCount::<Test>::get())
			.flat_map(|id| {
				let batch = Batches::<Test>::get(id).expect("numbers have no gaps");
				let records: Vec<RecordOfT<Test>> = match StartRecords::<Test>::get(id) {
					Some(records) => records.into_inner(),
					None => {
						let bytes = index.get(&ledger::batch_key(&batch.root)).expect("is in the index");
						Decode::decode(&mut &bytes[..]).expect("decodes")
					},
				};
				assert!(batch.holds(&records), "batch {id}");
				assert!(records
					.iter()
					.all(|r| (r.programme, r.round, r.block) == (batch.programme, batch.round, batch.block)));
				records
			})
			.collect()
	})
}

/// Checks that every record has the parents that its kind asks for.
fn check_parents(records: &[RecordOfT<Test>]) {
	for (id, record) in records.iter().enumerate() {
		if let Some(base) = record.base {
			assert!(base < id as u64, "a base is older than what came from it");
			let base = &records[base as usize];
			assert_eq!((base.kind, base.programme), (RecordKind::Weights, record.programme));
		}
		match (record.kind, record.round) {
			(RecordKind::Update, round) => {
				assert!(round.is_some() && record.base.is_some() && record.inputs.is_none());
				assert!(record.producer.is_some() && record.device.is_some());
			},
			(RecordKind::Weights, Some(_)) => {
				let range = record.inputs.expect("an aggregate has inputs");
				assert!(range.count > 0 && range.first + u64::from(range.count) == id as u64);
				for input in &records[range.first as usize..id] {
					assert_eq!(input.kind, RecordKind::Update);
					assert_eq!(
						(input.programme, input.round, input.base),
						(record.programme, record.round, record.base)
					);
				}
			},
			_ => assert!(record.base.is_none() && record.inputs.is_none()),
		}
	}
}
