//! The invariants of the ledger.

use super::*;

impl<T: Config> Pallet<T> {
	/// Checks every record against every rule of the ledger. Linear in the number of records: for tests and for
	/// `try-runtime`, not for blocks.
	pub fn do_try_state() -> Result<(), sp_runtime::TryRuntimeError> {
		let count = RecordCount::<T>::get();
		ensure!(
			Records::<T>::iter().count() as u64 == count,
			"provenance: RecordCount differs from the ledger"
		);
		for id in 0..count {
			let record = Records::<T>::get(id).ok_or("provenance: a record number is missing")?;
			Self::check_parents(id, &record)?;
			let first =
				RecordOf::<T>::get(record.artifact).ok_or("provenance: an artifact is not indexed")?;
			ensure!(first <= id, "provenance: an artifact's index is not its first record");
		}
		for (artifact, id) in RecordOf::<T>::iter() {
			let record = Records::<T>::get(id).ok_or("provenance: an index points at no record")?;
			ensure!(record.artifact == artifact, "provenance: an index points at another artifact");
		}
		Ok(())
	}

	fn check_parents(id: RecordId, record: &RecordOfT<T>) -> Result<(), sp_runtime::TryRuntimeError> {
		if let Some(base) = record.base {
			ensure!(base < id, "provenance: a base is not older than what came from it");
			let base = Records::<T>::get(base).ok_or("provenance: a base does not exist")?;
			ensure!(base.kind == RecordKind::Weights, "provenance: a base is not weights");
			ensure!(base.programme == record.programme, "provenance: a base belongs to another programme");
		}
		match record.kind {
			RecordKind::Update => {
				ensure!(
					record.base.is_some()
						&& record.round.is_some()
						&& record.producer.is_some()
						&& record.device.is_some()
						&& record.inputs.is_none(),
					"provenance: an update lacks its base, round, producer or device"
				);
			},
			RecordKind::Weights if record.round.is_some() => {
				let range = record.inputs.ok_or("provenance: an aggregate has no inputs")?;
				ensure!(
					range.count > 0 && range.first + range.count as u64 == id,
					"provenance: an aggregate does not follow its inputs"
				);
				for input in range.first..id {
					let input = Records::<T>::get(input).ok_or("provenance: an input does not exist")?;
					ensure!(
						input.kind == RecordKind::Update
							&& input.programme == record.programme
							&& input.round == record.round
							&& input.base == record.base,
						"provenance: an input is not an update of the same round and base"
					);
				}
			},
			RecordKind::Weights | RecordKind::TrainingConfig => {
				ensure!(
					record.base.is_none() && record.inputs.is_none() && record.round.is_none(),
					"provenance: what a programme starts with has parents"
				);
			},
		}
		Ok(())
	}
}
