//! Why there is no simulation.

use cairn_aggregation::AggregationError;
use cairn_training::{DataError, PartitionError, TrainingError};
use std::{io, path::PathBuf};

/// Why a simulation cannot be.
#[derive(Debug, thiserror::Error)]
pub enum SimulationError {
	/// The configuration is no TOML. The message shows the line.
	#[error("the configuration is not valid TOML: {0}")]
	Toml(String),
	/// A key that has to be there.
	#[error("`{key}` is missing: write {remedy}")]
	Missing {
		/// The key.
		key: String,
		/// What to write.
		remedy: String,
	},
	/// A key that is not known.
	#[error("`{key}` is not a key of {of}: these are known: {known}")]
	Unknown {
		/// The key.
		key: String,
		/// What it stands in.
		of: String,
		/// The keys that may stand there.
		known: String,
	},
	/// A value that cannot be.
	#[error("`{key}` is {found}, but must be {allowed}")]
	Value {
		/// The key.
		key: String,
		/// What stands there.
		found: String,
		/// What may stand there.
		allowed: String,
	},
	/// A file cannot be read or written.
	#[error("cannot {verb} {}{}: {error}", path.display(), of(key))]
	File {
		/// Read, write or make.
		verb: &'static str,
		/// The file.
		path: PathBuf,
		/// The key that names it; empty for output.
		key: &'static str,
		/// What went wrong.
		error: io::Error,
	},
	/// The model file is not valid.
	#[error("`model`: {0}")]
	Model(String),
	/// Data cannot be loaded.
	#[error("`{key}`: {error}{}", help(help_text))]
	Data {
		/// The key.
		key: &'static str,
		/// What is wrong.
		error: DataError,
		/// Where the configuration says that the data come from; may be empty.
		help_text: String,
	},
	/// Data cannot be shared out.
	#[error("`workers`: {0}")]
	Partition(#[from] PartitionError),
	/// Aggregation refuses a method with as many updates as there are workers.
	#[error("the method \"{method}\" cannot aggregate the updates of {workers} workers: {error}")]
	Method {
		/// The method's name.
		method: String,
		/// How many workers there are.
		workers: u32,
		/// What aggregation says.
		error: Box<AggregationError>,
	},
	/// Training cannot start, or libtorch failed.
	#[error(transparent)]
	Training(#[from] TrainingError),
	/// The output folder has something in it.
	#[error("the folder {} is not empty: name another one, or allow it to be written over with --overwrite", .0.display())]
	NotEmpty(PathBuf),
	/// Aggregation gave bytes that do not read back: a fault of this program.
	#[error("internal error: {0}")]
	Internal(String),
}

fn of(key: &str) -> String {
	if key.is_empty() {
		String::new()
	} else {
		format!(", which `{key}` names")
	}
}

fn help(text: &str) -> String {
	if text.is_empty() {
		". Put the file there or change the key".to_owned()
	} else {
		format!(". {text}")
	}
}
