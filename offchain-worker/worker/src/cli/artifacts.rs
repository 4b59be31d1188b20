//! `cairn-worker artifacts` and `cairn-worker evaluate`

use super::{
	args::{ArtifactOrFile, ArtifactsCommand, DataArgs, EvaluateArgs, Part},
	App, CliError,
};
use crate::units::{hex, parse_hash};
use cairn_artifacts::{artifact_hash, Store, TensorFile};
use cairn_primitives::envelope::{UpdateEnvelope, WeightsEnvelope};
use cairn_training::{load, set_threads, DataSource, Device, TrainingConfig};
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
						let value = json!({ "event": "artifact.damaged", "artifact": hash, "error": e.to_string() });
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

/// The data source and the device of the flags, or of the file, or the defaults.
pub(super) fn data_and_device(app: &App, args: &DataArgs) -> Result<(DataSource, Device), CliError> {
	let source = args.data.as_ref().or(app.settings.run.data.as_ref());
	let source = source.map_or("digits", String::as_str).parse::<DataSource>().map_err(CliError::usage)?;
	let device = args.device.as_ref().or(app.settings.run.device.as_ref());
	let device = device.map_or("cpu", String::as_str).parse::<Device>().map_err(CliError::usage)?;
	Ok((source, device))
}

fn read(app: &App, what: &ArtifactOrFile) -> Result<Vec<u8>, CliError> {
	match what {
		ArtifactOrFile::File(path) => {
			fs::read(path).map_err(|e| CliError::Failed(format!("cannot read {}: {e}", path.display())))
		},
		ArtifactOrFile::Hash(hash) => {
			let base = app.base()?;
			let store = Store::open(base.store())?;
			store.get(hash)?.ok_or_else(|| {
				CliError::Failed(format!(
					"artifact {} is not in the store {}: import it with `cairn-worker artifacts import FILE`",
					hex(hash),
					base.store().display()
				))
			})
		},
	}
}

pub(super) fn evaluate(app: &App, args: EvaluateArgs) -> Result<(), CliError> {
	let (source, device) = data_and_device(app, &args.data)?;
	let weights = TensorFile::from_bytes(&read(app, &args.weights)?).map_err(CliError::failed)?;
	let envelope = WeightsEnvelope::from_metadata(weights.metadata())
		.map_err(|e| CliError::Failed(format!("these are no weights: {e}")))?;
	let named = match envelope {
		WeightsEnvelope::Genesis { config } | WeightsEnvelope::Aggregate { config, .. } => config,
	};
	let config = match &args.config {
		Some(config) => read(app, config)?,
		None => read(app, &ArtifactOrFile::Hash(named))?,
	};
	if artifact_hash(&config) != named {
		return Err(CliError::Failed(format!(
			"the weights belong to the training configuration {}, but {} was given",
			hex(named),
			hex(artifact_hash(&config))
		)));
	}
	let config = TrainingConfig::from_artifact(&config).map_err(CliError::failed)?;
	if let Some(threads) = args.threads.or(app.settings.run.threads) {
		set_threads(threads);
	}
	let splits = load(&source).map_err(CliError::failed)?;
	let data = match args.part {
		Part::HeldOut => &splits.held_out,
		Part::Train => &splits.train,
	};
	let measured = cairn_training::evaluate(&config, &weights, data, device).map_err(CliError::failed)?;
	let value =
		json!({ "loss": measured.loss, "accuracy": measured.accuracy, "samples": measured.samples });
	let text = format!(
		"loss {:.4}, accuracy {:.4} on {} samples",
		measured.loss, measured.accuracy, measured.samples
	);
	app.output.result(&value, text);
	Ok(())
}
