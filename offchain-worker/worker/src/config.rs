//! Settings: a flag wins over an environment variable, which wins over `worker.toml`, which wins over the default.

use crate::{base::BasePath, plan::Role, units};
use cairn_primitives::H256;
use serde::Deserialize;
use std::{
	net::IpAddr,
	num::{NonZeroU16, NonZeroU32, NonZeroU64},
	path::{Path, PathBuf},
};

/// The node that is asked when nobody says otherwise.
pub const DEFAULT_NODE: &str = "ws://127.0.0.1:9944";
/// The log level when nobody says otherwise.
pub const DEFAULT_LOG: &str = "info";

/// Why settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
	/// The file cannot be read.
	#[error("cannot read {path}: {source}", path = path.display())]
	Unreadable {
		/// The file.
		path: PathBuf,
		/// What came back.
		source: std::io::Error,
	},
	/// The file says something that is not understood.
	#[error("{path}: {reason}", path = path.display())]
	Malformed {
		/// The file.
		path: PathBuf,
		/// What, and in which line.
		reason: String,
	},
	/// No node URL.
	#[error("`{url}` is not a node's address ({reason}): write ws://HOST:PORT or wss://HOST, for example {DEFAULT_NODE}")]
	NodeUrl {
		/// What was given.
		url: String,
		/// What is wrong with it.
		reason: &'static str,
	},
	/// Not `INDEX/WORKERS`.
	#[error("`{0}` is not a partition: write INDEX/WORKERS with INDEX below WORKERS, for example 0/5")]
	Partition(String),
	/// The genesis hash is malformed.
	#[error("genesis: {0}")]
	Genesis(#[from] units::ParseError),
}

/// One value or a list, as TOML files have it.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMany<T> {
	One(T),
	Many(Vec<T>),
}

fn one_or_many<'de, D: serde::Deserializer<'de>, T: Deserialize<'de>>(d: D) -> Result<Vec<T>, D::Error> {
	Ok(match OneOrMany::deserialize(d)? {
		OneOrMany::One(value) => vec![value],
		OneOrMany::Many(values) => values,
	})
}

/// `worker.toml`.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct FileConfig {
	/// Nodes, tried in turn.
	#[serde(deserialize_with = "one_or_many")]
	pub node: Vec<String>,
	/// Output for machines.
	pub json: Option<bool>,
	/// Log level or filter.
	pub log: Option<String>,
	/// The chain's genesis hash.
	pub genesis: Option<String>,
	/// For `cairn-worker run`.
	pub run: FileRun,
}

/// The `[run]` table of `worker.toml`; see `cairn-worker run --help` for what each means.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct FileRun {
	/// Roles.
	#[serde(deserialize_with = "one_or_many")]
	pub role: Vec<Role>,
	/// Programmes to train for.
	#[serde(deserialize_with = "one_or_many")]
	pub programme: Vec<u32>,
	/// Multiaddresses to listen on.
	#[serde(deserialize_with = "one_or_many")]
	pub listen: Vec<String>,
	/// Multiaddresses to be reached at from outside.
	#[serde(deserialize_with = "one_or_many")]
	pub external: Vec<String>,
	/// Multiaddresses of peers to join through.
	#[serde(deserialize_with = "one_or_many")]
	pub bootstrap: Vec<String>,
	/// The data.
	pub data: Option<String>,
	/// Which part of it.
	pub partition: Option<String>,
	/// Dirichlet concentration of the partition.
	pub alpha: Option<f64>,
	/// Seed of the partition.
	pub partition_seed: Option<u64>,
	/// Threads for aggregation and training.
	pub threads: Option<NonZeroU16>,
	/// Where to train.
	pub device: Option<String>,
	/// Port of the Prometheus endpoint.
	pub prometheus_port: Option<u16>,
	/// Address of the Prometheus endpoint.
	pub prometheus_host: Option<IpAddr>,
	/// Finalised rounds of each programme whose files are kept.
	pub keep_rounds: Option<NonZeroU32>,
	/// The most that the artifact store may take on disk, bytes.
	pub disk_quota: Option<u64>,
	/// The most bytes per second that one peer is given.
	pub upload_rate: Option<NonZeroU64>,
	/// How many peers that are no device's are served at once.
	pub guests: Option<usize>,
	/// The most bytes per second that all of them together are given.
	pub guest_rate: Option<NonZeroU64>,
}

impl FileConfig {
	/// Reads `worker.toml` in the base path, or another file. Without either, everything is left to the defaults.
	///
	/// # Errors
	/// When a named file is not there, or a file is not understood.
	pub fn load(base: &Path, named: Option<&Path>) -> Result<Self, ConfigError> {
		let path = named.map_or_else(|| base.join("worker.toml"), Path::to_path_buf);
		let text = match std::fs::read_to_string(&path) {
			Ok(text) => text,
			Err(e) if named.is_none() && e.kind() == std::io::ErrorKind::NotFound => {
				return Ok(Self::default())
			},
			Err(source) => return Err(ConfigError::Unreadable { path, source }),
		};
		toml::from_str(&text)
			.map_err(|e| ConfigError::Malformed { path, reason: e.to_string().trim().to_string() })
	}
}

/// What flags and environment say, for all commands. Both come through clap, flags first.
#[derive(Clone, Debug, Default)]
pub struct Given {
	/// `--base-path`
	pub base_path: Option<PathBuf>,
	/// `--settings`
	pub settings: Option<PathBuf>,
	/// `--node`
	pub node: Vec<String>,
	/// `--json`
	pub json: Option<bool>,
	/// `--log`
	pub log: Option<String>,
	/// `--genesis`
	pub genesis: Option<String>,
}

/// What all commands go by.
#[derive(Clone, PartialEq, Debug)]
pub struct Settings {
	/// The base path; it may not exist yet.
	pub base_path: PathBuf,
	/// Whether somebody named it, or it is the default.
	pub base_named: bool,
	/// Nodes, tried in turn. Never empty.
	pub nodes: Vec<String>,
	/// Output for machines.
	pub json: bool,
	/// Log level or filter.
	pub log: String,
	/// The only chain to talk to, if it is named.
	pub genesis: Option<H256>,
	/// The `[run]` table of the file.
	pub run: FileRun,
}

impl Settings {
	/// Puts the layers on top of each other.
	///
	/// # Errors
	/// When a layer is not understood; the message names it.
	pub fn resolve(given: Given) -> Result<Self, ConfigError> {
		let base_named = given.base_path.is_some();
		let base_path = given.base_path.unwrap_or_else(BasePath::default_path);
		let file = FileConfig::load(&base_path, given.settings.as_deref())?;
		let mut nodes = if given.node.is_empty() { file.node } else { given.node };
		if nodes.is_empty() {
			nodes.push(DEFAULT_NODE.to_string());
		}
		nodes.iter().try_for_each(|url| check_node_url(url).map(drop))?;
		let genesis = given.genesis.or(file.genesis).map(|text| units::parse_hash(&text)).transpose()?;
		Ok(Self {
			base_path,
			base_named,
			nodes,
			json: given.json.or(file.json).unwrap_or(false),
			log: given.log.or(file.log).unwrap_or_else(|| DEFAULT_LOG.to_string()),
			genesis,
			run: file.run,
		})
	}
}

/// Checks that a text is a WebSocket URL.
///
/// # Errors
/// [`ConfigError::NodeUrl`], saying what is wrong.
pub fn check_node_url(url: &str) -> Result<String, ConfigError> {
	let wrong = |reason| ConfigError::NodeUrl { url: url.to_string(), reason };
	let (scheme, rest) = url.split_once("://").ok_or_else(|| wrong("it has no scheme"))?;
	match scheme {
		"ws" | "wss" => {},
		"http" | "https" => {
			return Err(wrong("the worker needs a WebSocket; nodes serve it on the same port"))
		},
		_ => return Err(wrong("its scheme is not ws or wss")),
	}
	let authority = rest.split(['/', '?']).next().unwrap_or_default();
	let (host, port) = match authority.rfind(':') {
		// The last colon of an IPv6 address is inside its brackets.
		Some(at) if !authority.ends_with(']') => (&authority[..at], Some(&authority[at + 1..])),
		_ => (authority, None),
	};
	if host.is_empty() || host.contains(char::is_whitespace) {
		return Err(wrong("it has no host"));
	}
	if port.is_some_and(|p| p.parse::<u16>().map_or(true, |p| p == 0)) {
		return Err(wrong("its port is not a number from 1 to 65535"));
	}
	Ok(url.to_string())
}

/// Reads `INDEX/WORKERS`.
///
/// # Errors
/// [`ConfigError::Partition`] when it is anything else.
pub fn parse_partition(text: &str) -> Result<(u32, u32), ConfigError> {
	let parsed = text.split_once('/').and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
	match parsed {
		Some((index, workers)) if index < workers => Ok((index, workers)),
		_ => Err(ConfigError::Partition(text.to_string())),
	}
}

#[cfg(test)]
mod tests {
	#![allow(clippy::unwrap_used)]
	use super::*;

	fn given(base: &Path) -> Given {
		Given { base_path: Some(base.to_path_buf()), ..Given::default() }
	}

	#[test]
	fn defaults_apply_without_file_and_flags() {
		let dir = tempfile::tempdir().unwrap();
		let settings = Settings::resolve(given(dir.path())).unwrap();
		assert_eq!(settings.nodes, [DEFAULT_NODE]);
		assert_eq!((settings.json, settings.log.as_str(), settings.genesis), (false, DEFAULT_LOG, None));
	}

	#[test]
	fn file_wins_over_defaults_and_flags_win_over_the_file() {
		let dir = tempfile::tempdir().unwrap();
		let text = format!(
			"node = [\"ws://a:1\", \"wss://b\"]\njson = true\nlog = \"debug\"\ngenesis = \"0x{}\"\n[run]\nrole = \"trainer\"\nalpha = 0.5\n",
			"11".repeat(32)
		);
		std::fs::write(dir.path().join("worker.toml"), text).unwrap();
		let settings = Settings::resolve(given(dir.path())).unwrap();
		assert_eq!(settings.nodes, ["ws://a:1", "wss://b"]);
		assert!(settings.json);
		assert_eq!(settings.genesis, Some(H256([0x11; 32])));
		assert_eq!((settings.run.role, settings.run.alpha), (vec![Role::Trainer], Some(0.5)));

		let flags = Given {
			node: vec!["ws://c:3".into()],
			json: Some(false),
			log: Some("warn".into()),
			genesis: Some("22".repeat(32)),
			..given(dir.path())
		};
		let settings = Settings::resolve(flags).unwrap();
		assert_eq!(settings.nodes, ["ws://c:3"]);
		assert_eq!((settings.json, settings.log.as_str()), (false, "warn"));
		assert_eq!(settings.genesis, Some(H256([0x22; 32])));
	}

	#[test]
	fn unknown_or_malformed_entries_name_file_and_line() {
		let dir = tempfile::tempdir().unwrap();
		let path = dir.path().join("worker.toml");
		for text in ["nodes = \"ws://a:1\"", "[run]\nrole = \"miner\"", "json = 3", "node = "] {
			std::fs::write(&path, text).unwrap();
			let message = Settings::resolve(given(dir.path())).unwrap_err().to_string();
			assert!(message.contains("worker.toml") && message.contains("line"), "{text}: {message}");
		}
	}

	#[test]
	fn a_named_file_must_exist() {
		let dir = tempfile::tempdir().unwrap();
		let flags = Given { settings: Some(dir.path().join("absent.toml")), ..given(dir.path()) };
		assert!(Settings::resolve(flags).unwrap_err().to_string().contains("absent.toml"));
	}

	#[test]
	fn malformed_node_urls_are_refused_with_an_example() {
		for url in ["ws://127.0.0.1:9944", "wss://node.example", "ws://[::1]:9944/path", "ws://[::1]"] {
			assert!(check_node_url(url).is_ok(), "{url}");
		}
		for url in [
			"127.0.0.1:9944",
			"http://a:1",
			"ftp://a",
			"ws://",
			"ws://:9944",
			"ws://a:x",
			"ws://a:0",
			"ws://a:70000",
			"ws://a b:1",
		] {
			let message = check_node_url(url).unwrap_err().to_string();
			assert!(message.contains(url) && message.contains(DEFAULT_NODE), "{message}");
		}
	}

	#[test]
	fn partition_is_read_or_refused() {
		assert_eq!(parse_partition("0/5").unwrap(), (0, 5));
		for text in ["5/5", "0/0", "1", "a/b", "-1/5", ""] {
			assert!(parse_partition(text).unwrap_err().to_string().contains("0/5"), "{text}");
		}
	}
}
