//! `cairn-devnet`: a network on this machine that trains a model through the chain and checks the outcome.

use anyhow::{ensure, Context, Result};
use cairn_devnet::{
	bench, chaos,
	devnet::{Builder, Devnet, Keep, Model},
	lan,
	report::{self, Lineage},
	ui::Ui,
};
use cairn_primitives::{
	aggregation::ServerOptimiser,
	views::{Phase, MAX_PAGE},
	Aggregation, AggregationRule,
};
use clap::{Args, Parser, Subcommand};
use std::{path::PathBuf, process::ExitCode};
use tokio::signal::unix::{signal, SignalKind};

/// Starts validators and workers on this machine, trains a model through the chain, and checks the outcome: the table
/// of rounds, the lineage of the last model back to genesis, and every aggregate recomputed by a separate process.
///
/// Exit code 0 says that all of it held, 1 that something did not, 130 or 143 that it was interrupted. However it
/// ends, it leaves no process behind.
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Cli {
	#[command(subcommand)]
	command: Option<Subcommands>,
	#[command(flatten)]
	network: Network,
	/// Leave the network up after the last round, until Ctrl-C
	#[arg(long)]
	keep_running: bool,
	/// Fail when the last model's held-out accuracy is less than this, from 0 to 1
	#[arg(long, value_name = "PART")]
	min_accuracy: Option<f64>,
}

#[derive(Subcommand)]
enum Subcommands {
	/// Measure where the seconds of a round go, and compare a round with the same local steps in plain libtorch
	BenchRound {
		#[command(flatten)]
		network: Network,
	},
	/// A bad day: ten workers of which five are hostile, kills, and a network that splits and heals. Everybody is on a
	/// machine of its own (a network namespace; as root, or where user namespaces are allowed)
	Chaos {
		/// What goes wrong when is a function of this
		#[arg(long, default_value_t = 1)]
		seed: u64,
		/// Rounds to finalise; a few more are run when the liar was not drawn for a committee by then
		#[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(i64::from(chaos::plan::LEAST_ROUNDS)..))]
		rounds: u32,
		/// Show what would go wrong, and start nothing
		#[arg(long)]
		plan: bool,
		/// Another rule than the one that is right for so many hostile workers, as without a subcommand: to see what
		/// becomes of the model
		#[arg(long)]
		rule: Option<AggregationRule>,
		/// Where keys, databases, artifacts and logs go, as without a subcommand
		#[arg(long, value_name = "DIR")]
		data_dir: Option<PathBuf>,
	},
}

#[derive(Args)]
struct Network {
	/// Rounds to run
	#[arg(long, default_value_t = 10)]
	rounds: u32,
	/// Workers; all of them train
	#[arg(long, default_value_t = 5)]
	workers: usize,
	/// How many of the workers are aggregators, too; at most 3, when not given
	#[arg(long)]
	aggregators: Option<usize>,
	/// Validators
	#[arg(long, default_value_t = 3)]
	validators: usize,
	/// Seed of the data's partition and of the genesis weights: the same seed gives the same partition
	#[arg(long, default_value_t = 1)]
	seed: u64,
	/// How unlike the workers' data are: Dirichlet parameter of the labels' distribution. Small is unlike
	#[arg(long, default_value_t = 0.5)]
	alpha: f64,
	/// What is trained
	#[arg(long, value_enum, default_value_t = Model::Mlp)]
	model: Model,
	/// Local steps per round; those of the model file, when not given
	#[arg(long)]
	local_steps: Option<u32>,
	/// How updates become one: weighted-mean, median, trimmed-mean:TRIM, krum:HOSTILE, multi-krum:HOSTILE:SELECTED,
	/// geometric-median[:SMOOTHING:ITERATIONS], centered-clipping[:RADIUS:ITERATIONS]
	#[arg(long, default_value = "weighted-mean", value_name = "RULE")]
	rule: AggregationRule,
	/// Average so many updates at a time, in random order, before the rule
	#[arg(long, value_name = "SIZE")]
	bucketing: Option<u32>,
	/// What is made of the aggregate: sgd[:RATE], nesterov:RATE:MOMENTUM, adam:RATE:BETA1:BETA2:EPSILON
	#[arg(long, default_value = "sgd", value_name = "OPTIMISER")]
	server_optimiser: ServerOptimiser,
	/// RPC port of the first validator; the others get the ones after it. 0 takes whatever is free
	#[arg(long, default_value_t = 9944)]
	rpc_port: u16,
	/// Where keys, databases, artifacts and logs go. It is emptied first if an earlier devnet left it. A temporary
	/// folder when not given, which is kept when something fails
	#[arg(long, value_name = "DIR")]
	data_dir: Option<PathBuf>,
}

impl Network {
	fn builder(self) -> Builder {
		Devnet::builder()
			.rounds(self.rounds)
			.workers(self.workers)
			.aggregators(self.aggregators.unwrap_or(self.workers.min(3)))
			.validators(self.validators)
			.seed(self.seed)
			.alpha(self.alpha)
			.model(self.model)
			.local_steps(self.local_steps)
			.aggregation(Aggregation {
				bucketing: self.bucketing,
				optimiser: self.server_optimiser,
				..self.rule.into()
			})
			.rpc_port(self.rpc_port)
			.data_dir(self.data_dir)
	}
}

fn main() -> ExitCode {
	let cli = Cli::parse();
	// Before there are threads.
	if matches!(cli.command, Some(Subcommands::Chaos { plan: false, .. })) {
		if let Err(e) = lan::prepare() {
			eprintln!("cairn-devnet: {e:#}");
			return ExitCode::FAILURE;
		}
	}
	let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
		Ok(runtime) => runtime,
		Err(e) => {
			eprintln!("cairn-devnet: cannot start: {e}");
			return ExitCode::FAILURE;
		},
	};
	let code = runtime.block_on(run(cli));
	// Without waiting for a tool that an interrupted start left at work; it ends with this process.
	runtime.shutdown_background();
	code
}

async fn run(cli: Cli) -> ExitCode {
	// The work is dropped when a signal comes, and with it every process that it started.
	let outcome = tokio::select! {
		outcome = work(cli) => outcome,
		code = interrupted() => {
			eprintln!("cairn-devnet: interrupted; everything is stopped");
			return ExitCode::from(code);
		},
	};
	match outcome {
		Ok(()) => ExitCode::SUCCESS,
		Err(error) => {
			eprintln!("cairn-devnet: {error:#}");
			ExitCode::FAILURE
		},
	}
}

/// Waits for Ctrl-C, SIGTERM or SIGHUP and gives the exit code that goes with it.
async fn interrupted() -> u8 {
	let listen = |kind| signal(kind).context("cannot listen for signals");
	let all =
		(listen(SignalKind::interrupt()), listen(SignalKind::terminate()), listen(SignalKind::hangup()));
	let (Ok(mut interrupt), Ok(mut terminate), Ok(mut hangup)) = all else {
		// Then the signals kill this process, and the kernel its children.
		return std::future::pending().await;
	};
	tokio::select! {
		_ = interrupt.recv() => 130,
		_ = terminate.recv() => 143,
		_ = hangup.recv() => 129,
	}
}

async fn work(cli: Cli) -> Result<()> {
	let (builder, bench) = match cli.command {
		Some(Subcommands::Chaos { seed, rounds, plan, rule, data_dir }) => {
			let it = chaos::plan::Plan::new(seed, rounds);
			if plan {
				print!("{it}");
				return Ok(());
			}
			let mut builder = chaos::builder(&it).data_dir(data_dir);
			if let Some(rule) = rule {
				builder = builder.aggregation(rule);
			}
			return bad_day(builder, &it).await;
		},
		Some(Subcommands::BenchRound { network }) => (network.builder(), true),
		None => (cli.network.builder(), false),
	};
	let net = builder.start().await?;
	let outcome = if bench { measure(&net).await } else { train(&net, cli.min_accuracy).await };
	net.ui().clear();
	if let Err(error) = outcome {
		let logs = net.logs();
		net.shutdown(Keep::Yes).await;
		return Err(error.context(format!("the devnet failed; its logs are in {}", logs.display())));
	}
	if cli.keep_running {
		net.ui().print(&format!("\nThe network stays up until Ctrl-C. RPC: {}", net.urls().join(" ")));
		let death = net.first_death().await;
		return Err(death);
	}
	net.shutdown(Keep::No).await;
	Ok(())
}

async fn bad_day(builder: Builder, plan: &chaos::plan::Plan) -> Result<()> {
	let ui = Ui::default();
	ui.line(plan.to_string().trim_end());
	let mut net = builder.ui(ui.clone()).start().await?;
	let outcome = chaos::run_and_check(&mut net, plan).await;
	ui.clear();
	let logs = net.logs();
	let kept = || format!("the logs are in {}", logs.display());
	let outcome = outcome.and_then(|report| {
		ui.print(&format!("\n{report}"));
		ensure!(report.is_ok(), "not all of it held");
		ui.print("All of it held.");
		Ok(())
	});
	let keep = if outcome.is_ok() { Keep::No } else { Keep::Yes };
	net.shutdown(keep).await;
	outcome.with_context(kept)
}

async fn train(net: &Devnet, min_accuracy: Option<f64>) -> Result<()> {
	let ui = net.ui().clone();
	ui.line(net.describe());
	let rows = report::run_rounds(net).await?;
	ui.clear();
	ui.print(&format!("\n{}\n", report::rounds_table(&rows)));
	ui.print(&format!("{}\n", net.guard(report::workers_table(net)).await?));

	let lineage = net.guard(Lineage::read(net, MAX_PAGE)).await?;
	ui.print("Lineage of the last model, as the chain tells it:");
	ui.print(&lineage.show(net));
	ui.print("It reaches the programme's genesis weights without a gap.\n");

	ui.print("Every aggregate, recomputed by a separate process from the stored artifacts:");
	let finalised = rows.iter().filter(|row| row.round.phase == Phase::Finalised);
	let finalised: Vec<u32> = finalised.map(|row| row.round.index).collect();
	ensure!(
		finalised.len() as u32 == net.rounds(),
		"{} of {} rounds were finalised",
		finalised.len(),
		net.rounds()
	);
	net.guard(report::recompute_all(net, finalised)).await?;

	let accuracy = rows.iter().rev().find_map(|row| row.accuracy).context("no round was evaluated")?;
	if let Some(least) = min_accuracy {
		ensure!(
			accuracy >= least,
			"held-out accuracy is {accuracy:.4}, less than the {least} that was asked for"
		);
	}
	ui.print(&format!("\nAll of it held. Held-out accuracy of the last model: {accuracy:.4}"));
	Ok(())
}

async fn measure(net: &Devnet) -> Result<()> {
	let ui = net.ui().clone();
	ui.line(net.describe());
	let rows = report::run_rounds(net).await?;
	let report = net.guard(bench::report(net, &rows)).await?;
	ui.clear();
	ui.print(&format!("\n{report}"));
	Ok(())
}

#[cfg(test)]
mod tests {
	use super::*;
	use clap::CommandFactory;

	#[test]
	fn command_line_is_consistent() {
		Cli::command().debug_assert();
	}
}
