//! `cairn-worker artifacts`

use super::{args::ArtifactsCommand, App, CliError};
use crate::{
	base::BasePath,
	daemon::retention,
	journal::Journal,
	keys::Keys,
	units::{hex, parse_hash},
};
use cairn_artifacts::{artifact_hash, Store, TensorFile};
use cairn_primitives::envelope::{UpdateEnvelope, WeightsEnvelope};
use cairn_training::TrainingConfig;
use serde_json::json;
use std::{fs, num::NonZeroU32};

pub(super) async fn run(app: &App, command: ArtifactsCommand) -> Result<(), CliError> {
	let base = app.base()?;
	if let ArtifactsCommand::Gc { dry_run, keep_rounds } = command {
		return collect(app, &base, dry_run, keep_rounds).await;
	}
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
		ArtifactsCommand::Gc { .. } => unreachable!("handled above; qed"),
	}
}

/// Removes what a running worker would remove, or says what that is.
async fn collect(
	app: &App,
	base: &BasePath,
	dry_run: bool,
	rounds: Option<NonZeroU32>,
) -> Result<(), CliError> {
	// Beside a running worker, which collects by itself, journal and store could change in between.
	let _lock = base.lock()?;
	let rounds = rounds.or(app.settings.run.keep_rounds).unwrap_or(retention::DEFAULT_ROUNDS);
	let journal = Journal::open(base, &Keys::load(base)?.account_id())?;
	let store = Store::open(base.store())?;
	let (chain, heads) = app.connect_for_command(base).await?;
	if chain.is_syncing().await? {
		return Err(CliError::Failed(
			"the node is still catching up with the chain, so it is not known what is old; nothing was removed. Try again \
			 when it has"
				.into(),
		));
	}
	let at = Some(heads.finalised_now().hash);
	let mut programmes = Vec::new();
	for id in chain.programmes(at).await? {
		if let Some(info) = chain.programme(id, at).await? {
			programmes.push((info, chain.current_round(id, at).await?));
		}
	}
	let views: Vec<_> = programmes.iter().map(|(info, round)| (info, round.as_ref())).collect();
	let read = |programme, index| chain.round(programme, index, at);
	let keep = retention::keep(chain.genesis(), &views, journal.state(), rounds, read).await?;
	let old = keep.old(&store)?;
	for file in &old {
		let value = json!({
			"event": "artifact.old", "artifact": file.artifact, "kind": file.kind, "programme": file.programme,
			"round": file.round, "bytes": file.bytes,
		});
		app.output.result(&value, retention::describe(file));
	}
	let bytes: u64 = old.iter().map(|file| file.bytes).sum();
	let (count, size) = (old.len(), retention::megabytes(bytes));
	if dry_run {
		let value = json!({ "event": "artifacts.old", "count": count, "bytes": bytes, "keptRounds": rounds });
		let text = format!("{count} artifacts would be removed, {size}; {rounds} finalised rounds are kept");
		app.output.result(&value, text);
		return Ok(());
	}
	let freed = retention::remove(&store, &old)?;
	let value = json!({
		"event": "artifacts.collected", "removed": count, "bytes": freed, "keptRounds": rounds,
	});
	app.output.result(&value, format!("{count} artifacts were removed, {}", retention::megabytes(freed)));
	Ok(())
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
