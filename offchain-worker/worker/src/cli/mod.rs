//! The command line: arguments in, exit code out.

pub mod args;
mod artifacts;
mod attest;
mod data;
mod keys;
mod programme;
mod register;
mod rewards;
pub(crate) mod run;
mod simulate;
mod status;

use crate::{
	attest::AttestError,
	base::{BaseError, BasePath},
	chain::{Chain, ChainError, Heads, RpcPool, RpcSettings, SubmitError},
	config::{ConfigError, Settings},
	daemon::{DaemonError, Ledger},
	journal::{JournalError, SharedJournal},
	keys::KeyError,
	output::Output,
	trainer::Trainer,
};
use args::{Cli, Command};
use cairn_artifacts::{Store, StoreError};
use cairn_network::AccessPolicy;
use clap::Parser;
use serde_json::json;
use std::{io::IsTerminal, process::ExitCode, sync::Arc, time::Duration};
use subxt::utils::AccountId32;
use tracing_subscriber::EnvFilter;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
	/// Wrong arguments or settings; exit code 2.
	#[error("{0}")]
	Usage(String),
	/// Anything else; exit code 1.
	#[error("{0}")]
	Failed(String),
}

impl CliError {
	fn usage(e: impl std::fmt::Display) -> Self {
		Self::Usage(e.to_string())
	}

	fn failed(e: impl std::fmt::Display) -> Self {
		Self::Failed(e.to_string())
	}
}

impl From<ConfigError> for CliError {
	fn from(e: ConfigError) -> Self {
		Self::usage(e)
	}
}

macro_rules! failures {
	($($error:ty),*) => {
		$(impl From<$error> for CliError {
			fn from(e: $error) -> Self {
				Self::failed(e)
			}
		})*
	};
}
failures!(AttestError, BaseError, ChainError, DaemonError, JournalError, KeyError, StoreError, SubmitError);

/// What a program that embeds the worker puts around the parts of `cairn-worker run`. By default nothing.
pub trait Embedding: Send + Sync {
	/// Around what trains.
	fn trainer(&self, trainer: Arc<dyn Trainer>) -> Arc<dyn Trainer> {
		trainer
	}

	/// Around the chain, as `account` sees it.
	fn ledger(
		&self,
		ledger: Arc<dyn Ledger>,
		journal: &SharedJournal,
		account: AccountId32,
	) -> Arc<dyn Ledger> {
		let _ = (journal, account);
		ledger
	}

	/// Around what decides which peers are served, and with which of the store's artifacts.
	fn policy(&self, policy: Arc<dyn AccessPolicy>, store: &Store) -> Arc<dyn AccessPolicy> {
		let _ = store;
		policy
	}
}

/// Nothing around anything: `cairn-worker` itself.
struct Plain;

impl Embedding for Plain {}

/// What every command gets.
pub(crate) struct App {
	settings: Settings,
	output: Output,
	embedding: Box<dyn Embedding>,
}

/// How long a command waits for a node. The daemon waits for ever.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long each of several nodes may take at least, even when all of them together take longer then.
const LEAST_SHARE: Duration = Duration::from_secs(3);

impl App {
	fn base(&self) -> Result<BasePath, CliError> {
		Ok(BasePath::open(&self.settings.base_path)?)
	}

	/// Connects to the chain this base path belongs to, and pins it on first contact.
	async fn connect(&self, base: &BasePath, patience: Option<Duration>) -> Result<Chain, CliError> {
		self.connect_over(base, patience, |settings| RpcPool::new(self.settings.nodes.clone(), settings))
			.await
	}

	async fn connect_over(
		&self,
		base: &BasePath,
		patience: Option<Duration>,
		rpc: impl FnOnce(RpcSettings) -> RpcPool,
	) -> Result<Chain, CliError> {
		let pinned = base.pinned_chain()?;
		if let (Some(pinned), Some(found)) = (pinned, self.settings.genesis) {
			if pinned != found {
				let path = base.path().to_path_buf();
				return Err(BaseError::WrongChain { path, pinned, found }.into());
			}
		}
		let mut settings =
			RpcSettings { genesis: pinned.or(self.settings.genesis), patience, ..RpcSettings::default() };
		if let Some(patience) = patience {
			// A node that is silent must not take the others' time.
			let share = patience / u32::try_from(self.settings.nodes.len().max(1)).unwrap_or(u32::MAX);
			settings.connect_timeout = settings.connect_timeout.min(share.max(LEAST_SHARE));
		}
		let chain = Chain::connect(rpc(settings)).await?;
		base.pin_chain(chain.genesis())?;
		Ok(chain)
	}

	async fn connect_for_command(&self, base: &BasePath) -> Result<(Chain, Heads), CliError> {
		let chain = self.connect(base, Some(PATIENCE)).await?;
		let heads = Heads::follow(&chain).await?;
		Ok((chain, heads))
	}
}

/// Runs the program.
pub fn main() -> ExitCode {
	main_with(Plain)
}

/// Runs the program with something of the caller's around its parts.
pub fn main_with(embedding: impl Embedding + 'static) -> ExitCode {
	// Wrong usage ends here, with exit code 2 and clap's explanation; `--help` with 0.
	let cli = Cli::parse();
	let settings = match Settings::resolve(cli.global.into()) {
		Ok(settings) => settings,
		Err(e) => return report(false, &e.into()),
	};
	let json = settings.json;
	let output = Output::new(json);
	if let Err(e) = set_up_log(&settings.log, &output) {
		return report(json, &e);
	}
	let app = App { output, settings, embedding: Box::new(embedding) };
	let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
		Ok(runtime) => runtime,
		Err(e) => return report(json, &CliError::Failed(format!("cannot start threads: {e}"))),
	};
	let outcome = runtime.block_on(dispatch(&app, cli.command));
	// A training step that is under way is not waited for longer than this.
	runtime.shutdown_timeout(Duration::from_secs(3));
	match outcome {
		Ok(()) => ExitCode::SUCCESS,
		Err(e) => report(json, &e),
	}
}

async fn dispatch(app: &App, command: Command) -> Result<(), CliError> {
	match command {
		Command::Keys(command) => keys::run(app, command),
		Command::Register(args) => register::run(app, args).await,
		Command::Attest(args) => attest::run(app, args).await,
		Command::Run(args) => run::run(app, args).await,
		Command::Status => status::status(app).await,
		Command::Claim(args) => rewards::claim(app, &args).await,
		Command::Fund(args) => rewards::fund(app, &args).await,
		Command::Programme(command) => programme::run(app, command),
		Command::Artifacts(command) => artifacts::run(app, command).await,
		Command::Evaluate(args) => data::evaluate(app, args),
		Command::BenchPlain(args) => data::bench_plain(app, &args),
		Command::Simulate(args) => simulate::run(app, args).await,
	}
}

fn report(json: bool, error: &CliError) -> ExitCode {
	if json {
		eprintln!("{}", json!({ "error": error.to_string() }));
	} else {
		eprintln!("error: {error}");
	}
	match error {
		CliError::Usage(_) => ExitCode::from(2),
		CliError::Failed(_) => ExitCode::from(1),
	}
}

fn set_up_log(level: &str, output: &Output) -> Result<(), CliError> {
	// A plain level is for this program; libraries only speak up when something is wrong.
	let simple = ["error", "warn", "info", "debug", "trace"].contains(&level);
	let filter = if simple {
		format!("warn,libp2p_kad=error,cairn_worker={level},cairn_network={level},cairn_training={level}")
	} else {
		level.to_string()
	};
	let filter = EnvFilter::try_new(&filter).map_err(|e| {
		CliError::Usage(format!(
			"--log `{level}` is neither a level (error, warn, info, debug, trace) nor a filter such as cairn_worker=debug ({e})"
		))
	})?;
	let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(output.clone());
	let set = if output.is_json() {
		builder.json().try_init()
	} else {
		builder.with_target(false).with_ansi(std::io::stderr().is_terminal()).try_init()
	};
	set.map_err(CliError::failed)
}
