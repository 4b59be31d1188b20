//! `cairn-worker evaluate` and `cairn-worker bench-plain`, and the data they and the daemon share.

use super::{
	args::{ArtifactOrFile, BenchArgs, DataArgs, EvaluateArgs, Part, PartitionArgs},
	App, CliError,
};
use crate::{
	config::{parse_partition, ConfigError},
	units::hex,
};
use cairn_artifacts::{artifact_hash, Store, TensorFile};
use cairn_primitives::envelope::WeightsEnvelope;
use cairn_training::{
	load, plain_steps, set_threads, DataSource, Dataset, Device, Partition, TrainingConfig,
};
use serde_json::json;
use std::fs;

/// The data source and the device of the flags, or of the file, or the defaults.
fn data_and_device(app: &App, args: &DataArgs) -> Result<(DataSource, Device), CliError> {
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

/// What a trainer trains on, and where: the training part of the data, or a part of that.
pub(super) fn local_data(
	app: &App,
	data: &DataArgs,
	partition: &PartitionArgs,
) -> Result<(Dataset, Device), CliError> {
	let file = &app.settings.run;
	let (source, device) = data_and_device(app, data)?;
	let mut data = load(&source).map_err(CliError::failed)?.train;
	let alpha = partition.alpha.or(file.alpha);
	let seed = partition.partition_seed.or(file.partition_seed).unwrap_or(0);
	match partition.partition.as_ref().or(file.partition.as_ref()) {
		Some(text) => {
			let (index, workers) = parse_partition(text)?;
			let partition = Partition { workers, index, alpha, seed };
			data = data.partition(&partition).map_err(CliError::failed)?;
		},
		None if alpha.is_some() => {
			let error = ConfigError::Partition(String::new());
			return Err(CliError::Usage(format!(
				"--alpha says how parts differ, so it needs --partition: {error}"
			)));
		},
		None => {},
	}
	Ok((data, device))
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
	let value = json!({ "loss": measured.loss, "accuracy": measured.accuracy, "samples": measured.samples });
	let text = format!(
		"loss {:.4}, accuracy {:.4} on {} samples",
		measured.loss, measured.accuracy, measured.samples
	);
	app.output.result(&value, text);
	Ok(())
}

pub(super) fn bench_plain(app: &App, args: &BenchArgs) -> Result<(), CliError> {
	let config = TrainingConfig::from_artifact(&read(app, &args.config)?).map_err(CliError::failed)?;
	if let Some(threads) = args.threads.or(app.settings.run.threads) {
		set_threads(threads);
	}
	let (data, _) = local_data(app, &args.data, &args.partition)?;
	let seed = args.partition.partition_seed.or(app.settings.run.partition_seed).unwrap_or(0);
	let steps = args.steps.unwrap_or(config.local_steps);
	let run = plain_steps(&config, &data, steps, seed).map_err(CliError::failed)?;
	let seconds = run.elapsed.as_secs_f64();
	let value = json!({ "seconds": seconds, "steps": steps, "samples": data.samples(), "loss": run.loss });
	let text = format!("{steps} steps on {} samples in {seconds:.3} s, loss {:.4}", data.samples(), run.loss);
	app.output.result(&value, text);
	Ok(())
}
