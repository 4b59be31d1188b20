//! `cairn-worker artifacts`

use super::{args::ArtifactsCommand, App, CliError};
use crate::units::{hex, parse_hash};
use cairn_artifacts::{artifact_hash, Store, TensorFile};
use cairn_primitives::envelope::{UpdateEnvelope, WeightsEnvelope};
use cairn_training::TrainingConfig;
use serde_json::json;
use std::fs;

pub(super) fn run(app: &App, command: ArtifactsCommand) -> Result<(), CliError> {
	let base = app.base()?;
	let store = Store::open(base.store())?;
	match command {
		ArtifactsCommand::Import { files } => {
			for file in files {
				let name = file.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
				// Files named by a hash are expected to have it: a damaged copy is not taken in under another name.
				if let Ok(expected) = parse_hash(&name) {
					let bytes = fs::read(&file)
						.map_err(|e| CliError::Failed(format!("cannot read {}: {e}", file.display())))?;
					let found = artifact_hash(&bytes);
					if found != expected {
						return Err(CliError::Failed(format!(
							"{} is damaged: its bytes have the hash {}, not the one in its name. Copy it again; nothing of it was \
							 imported",
							file.display(),
							hex(found)
						)));
					}
				}
				let hash = store.put_file(&file)?;
				let value = json!({ "event": "artifact.imported", "file": file, "artifact": hash });
				app.output.result(&value, format!("{}  {}", hex(hash), file.display()));
			}
			Ok(())
		},
		ArtifactsCommand::List => {
			for hash in store.list()? {
				let size = store.size(&hash)?.unwrap_or(0);
				let kind = store.get(&hash).ok().flatten().map_or("damaged", |bytes| kind_of(&bytes));
				let value = json!({ "artifact": hash, "bytes": size, "kind": kind });
				app.output.result(&value, format!("{}  {size:>12}  {kind}", hex(hash)));
			}
			Ok(())
		},
		ArtifactsCommand::Verify => {
			let (mut good, mut bad) = (0, Vec::new());
			for hash in store.list()? {
				match store.get(&hash) {
					Ok(Some(_)) => good += 1,
					Ok(None) => {},
					Err(e) => {
						bad.push(hash);
						let value =
							json!({ "event": "artifact.damaged", "artifact": hash, "error": e.to_string() });
						app.output.result(&value, e.to_string());
					},
				}
			}
			let value = json!({ "event": "store.verified", "good": good, "damaged": bad });
			app.output.result(&value, format!("{good} artifacts are intact, {} damaged", bad.len()));
			if bad.is_empty() {
				Ok(())
			} else {
				Err(CliError::Failed(format!(
					"{} damaged artifacts were moved aside; a running worker fetches what it needs again",
					bad.len()
				)))
			}
		},
	}
}

/// What an artifact is, by its own words.
fn kind_of(bytes: &[u8]) -> &'static str {
	if let Ok(file) = TensorFile::from_bytes(bytes) {
		if WeightsEnvelope::from_metadata(file.metadata()).is_ok() {
			return "weights";
		}
		if UpdateEnvelope::from_metadata(file.metadata()).is_ok() {
			return "update";
		}
		return "tensors";
	}
	if TrainingConfig::from_artifact(bytes).is_ok() {
		return "training-config";
	}
	"other"
}
