//! The invariants of the ledger.

use super::*;
use alloc::collections::{BTreeMap, BTreeSet};
use cairn_primitives::ledger;
use sp_runtime::TryRuntimeError;

impl<T: Config> Pallet<T> {
	/// Checks every batch against every rule of the ledger. Linear in the number of batches: for tests and for
	/// `try-runtime`, not for blocks.
	///
	/// What the records of rounds say is not in state; the batches' roots are, and whoever reads the records checks them
	/// against these.
	pub fn do_try_state() -> Result<(), TryRuntimeError> {
		let count = BatchCount::<T>::get();
		ensure!(
			Batches::<T>::iter().count() as u64 == count,
			"provenance: BatchCount differs from the batches"
		);
		let (mut records, mut ends) = (0, BTreeMap::new());
		let mut block = BlockNumberFor::<T>::default();
		let mut trees: Vec<(BlockNumberFor<T>, Vec<H256>)> = Vec::new();
		for id in 0..count {
			let batch = Batches::<T>::get(id).ok_or("provenance: a batch's number is missing")?;
			ensure!(batch.first == records && batch.count > 0, "provenance: a batch leaves a gap");
			ensure!(batch.block >= block, "provenance: a batch is older than the one before it");
			records += u64::from(batch.count);
			block = batch.block;
			ends.insert(records - 1, id);
			match trees.last_mut() {
				Some((newest, roots)) if *newest == block => roots.push(batch.root),
				_ => trees.push((block, vec![batch.root])),
			}
			match batch.round {
				None => Self::check_start(id, &batch)?,
				Some(_) => ensure!(
					batch.count > 1 && !StartRecords::<T>::contains_key(id),
					"provenance: a round's batch has no updates, or its records are in state"
				),
			}
		}
		ensure!(RecordCount::<T>::get() == records, "provenance: RecordCount differs from the batches");
		ensure!(
			StartRecords::<T>::iter_keys().all(|id| id < count),
			"provenance: records are kept of a batch that is not there"
		);
		Self::check_weights(&ends)?;

		let root_of = |(block, roots): &(_, Vec<H256>)| (*block, ledger::root(roots.iter().copied()));
		let newest = Newest::<T>::get();
		let mut latest = trees.iter().rev().map(root_of);
		ensure!(
			latest.next().unwrap_or_default() == (newest.block, newest.tree.root()),
			"provenance: the newest block's tree is not that of its batches"
		);
		ensure!(latest.next() == newest.before, "provenance: the root of the block before is another one");
		ensure!(
			newest.block <= frame_system::Pallet::<T>::block_number(),
			"provenance: a block appended before it was"
		);
		Ok(())
	}

	fn check_start(id: BatchId, batch: &BatchOf<T>) -> Result<(), TryRuntimeError> {
		let records = StartRecords::<T>::get(id).ok_or("provenance: the records of a start are missing")?;
		ensure!(batch.holds(&records), "provenance: the records of a start are not those of its batch");
		let kinds = [RecordKind::TrainingConfig, RecordKind::Weights];
		ensure!(
			records.iter().map(|r| r.kind).eq(kinds)
				&& records.iter().all(|r| {
					(r.base, r.inputs, r.round, r.device) == (None, None, None, None)
						&& r.producer.is_none()
						&& (r.programme, r.block) == (batch.programme, batch.block)
				}),
			"provenance: what a programme starts with has parents, or belongs to another programme"
		);
		ensure!(
			records
				.last()
				.and_then(|weights| WeightsRecord::<T>::get(weights.artifact))
				.is_some_and(|first| first < batch.first.saturating_add(batch.count.into())),
			"provenance: the weights that a programme starts with are not indexed"
		);
		Ok(())
	}

	/// Checks that the index of weights names last records of batches, each at most once. `ends` has these and their
	/// batches.
	fn check_weights(ends: &BTreeMap<RecordId, BatchId>) -> Result<(), TryRuntimeError> {
		let mut seen = BTreeSet::new();
		for (weights, record) in WeightsRecord::<T>::iter() {
			let batch = ends.get(&record).ok_or("provenance: an index of weights names no weights")?;
			ensure!(seen.insert(record), "provenance: two weights have one record");
			if let Some(start) = StartRecords::<T>::get(batch) {
				ensure!(
					start.last().is_some_and(|r| r.artifact == weights),
					"provenance: an index names other weights"
				);
			}
		}
		Ok(())
	}
}
