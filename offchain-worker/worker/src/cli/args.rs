//! The command line.

use crate::{
	config::Given,
	plan::Role,
	units::{parse_amount, parse_hash},
};
use cairn_primitives::{
	aggregation::{Aggregation, Mixing, Normalisation, ServerOptimiser},
	AggregationRule, DeviceClass, EnergySource, ProgrammeId, SiteId, H256,
};
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::{
	net::IpAddr,
	num::{NonZeroU16, NonZeroU32, NonZeroU64, NonZeroUsize},
	path::PathBuf,
};

/// A Cairn worker: trains models on this machine's data and agrees with others on the result. Data never leaves the
/// machine; only model updates do, and each is recorded on chain with who made it, from what, on which device.
#[derive(Debug, Parser)]
#[command(name = "cairn-worker", version)]
#[command(after_help = "\
First steps:
  cairn-worker keys generate
  cairn-worker register --site-name \"My lab\" --region EU --energy renewable
  cairn-worker run --role trainer --data csv:measurements.csv

Settings come from flags, else environment variables, else worker.toml in the base path, else defaults.
Exit codes: 0 done, 1 failed, 2 wrong usage.")]
pub struct Cli {
	/// Settings of all commands.
	#[command(flatten)]
	pub global: GlobalArgs,
	/// What to do.
	#[command(subcommand)]
	pub command: Command,
}

/// Settings of all commands.
#[derive(Debug, Args)]
#[command(next_help_heading = "Settings of all commands")]
pub struct GlobalArgs {
	/// Folder with keys, artifacts, journal and worker.toml [default: cairn-worker in the user's data directory]
	#[arg(long, value_name = "DIR", env = "CAIRN_BASE_PATH", global = true)]
	base_path: Option<PathBuf>,
	/// Settings file [default: worker.toml in the base path]
	#[arg(long, value_name = "FILE", env = "CAIRN_SETTINGS", global = true)]
	settings: Option<PathBuf>,
	/// WebSocket address of a node; repeat it to name others to go to when one fails [default: ws://127.0.0.1:9944]
	#[arg(long, value_name = "URL", env = "CAIRN_NODE", value_delimiter = ',', global = true)]
	node: Vec<String>,
	/// Write JSON for machines: one object per line
	#[arg(long, env = "CAIRN_JSON", global = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
	json: Option<bool>,
	/// Log level (error, warn, info, debug, trace) or filter, to standard error [default: info]
	#[arg(long, value_name = "LEVEL", env = "CAIRN_LOG", global = true)]
	log: Option<String>,
	/// Only talk to the chain with this genesis hash [default: the chain of the first contact]
	#[arg(long, value_name = "HASH", env = "CAIRN_GENESIS", global = true)]
	genesis: Option<String>,
}

impl From<GlobalArgs> for Given {
	fn from(args: GlobalArgs) -> Self {
		let GlobalArgs { base_path, settings, node, json, log, genesis } = args;
		Self { base_path, settings, node, json, log, genesis }
	}
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
	/// Make or show this worker's keys
	#[command(subcommand)]
	Keys(KeysCommand),
	/// Enter this machine into the registry on chain; does only what is missing
	Register(RegisterArgs),
	/// Prove on chain how fast this machine is, or judge what others prove
	Attest(AttestArgs),
	/// Train and aggregate until stopped
	Run(RunArgs),
	/// Show this worker, its programmes and its rewards
	Status,
	/// Collect what a programme owes this worker
	Claim(ClaimArgs),
	/// Give CRN to a programme's pot, out of this worker's account
	Fund(FundArgs),
	/// Prepare a new programme
	#[command(subcommand)]
	Programme(ProgrammeCommand),
	/// Look after the artifact store
	#[command(subcommand)]
	Artifacts(ArtifactsCommand),
	/// Measure weights on the held-out part of a data set
	Evaluate(EvaluateArgs),
	/// Time a configuration's local steps in plain libtorch, to compare a round with
	BenchPlain(BenchArgs),
	/// Try out rules of aggregation against attacks, with the real training and aggregation but without a chain
	Simulate(SimulateArgs),
}

/// Keys.
#[derive(Debug, Subcommand)]
pub enum KeysCommand {
	/// Make an account key and a network key
	#[command(
		after_help = "The account's secret is a 24-word mnemonic in keys/account.suri: back it up. Who has it has the rewards."
	)]
	Generate {
		/// Take this account instead of a new one: a mnemonic, 0x and a hexadecimal seed, //Alice (development chains
		/// only), or a file with one of these
		#[arg(long, value_name = "SURI|FILE")]
		suri: Option<String>,
		/// Replace keys that are there; they are lost for good
		#[arg(long)]
		force: bool,
	},
	/// Show account, public key and peer id; never secrets
	Show,
}

/// A device class on the command line.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Class {
	/// Trains on its processor
	Cpu,
	/// Trains on a graphics processor
	Gpu,
	/// Trains on a tensor processor
	Tpu,
	/// A phone, a board, a gateway
	Edge,
	/// Any other accelerator
	Accelerator,
}

impl From<Class> for DeviceClass {
	fn from(class: Class) -> Self {
		match class {
			Class::Cpu => Self::Cpu,
			Class::Gpu => Self::Gpu,
			Class::Tpu => Self::Tpu,
			Class::Edge => Self::Edge,
			Class::Accelerator => Self::Accelerator,
		}
	}
}

/// An energy source on the command line.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Energy {
	/// Not stated
	Unknown,
	/// The public grid
	Grid,
	/// Solar, wind, hydro or geothermal
	Renewable,
	/// Nuclear
	Nuclear,
	/// Coal, oil or gas
	Fossil,
	/// Several of these
	Mixed,
}

impl From<Energy> for EnergySource {
	fn from(energy: Energy) -> Self {
		match energy {
			Energy::Unknown => Self::Unknown,
			Energy::Grid => Self::Grid,
			Energy::Renewable => Self::Renewable,
			Energy::Nuclear => Self::Nuclear,
			Energy::Fossil => Self::Fossil,
			Energy::Mixed => Self::Mixed,
		}
	}
}

/// Registration.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  A new site with one machine, both on this account:
    cairn-worker register --site-name \"My lab\" --region EU --energy renewable
  Another machine at a site that somebody else keeps:
    cairn-worker register --site 3 --owner-suri owner.suri
  Also stand ready for committees, with the least bond that the chain takes:
    cairn-worker register --aggregator

Every step is a transaction that the signing account pays for. Run it again whenever it was interrupted.")]
pub struct RegisterArgs {
	/// Number of the site this machine stands at
	#[arg(long, value_name = "ID", conflicts_with = "site_name")]
	pub site: Option<SiteId>,
	/// Name of the site; it is registered if the owner has none of this name
	#[arg(long, value_name = "NAME")]
	pub site_name: Option<String>,
	/// Where a new site stands
	#[arg(long, value_name = "REGION", default_value = "unknown")]
	pub region: String,
	/// What powers a new site
	#[arg(long, value_enum, default_value_t = Energy::Unknown)]
	pub energy: Energy,
	/// What this machine is
	#[arg(long, value_enum, default_value_t = Class::Cpu)]
	pub class: Class,
	/// Its memory in MiB [default: what the system says]
	#[arg(long, value_name = "N")]
	pub memory_mib: Option<u32>,
	/// Who made it, up to 32 bytes; another vendor than before ends what was attested
	#[arg(long, value_name = "NAME")]
	pub vendor: Option<String>,
	/// Which model it is, up to 64 bytes; another model than before ends what was attested
	#[arg(long, value_name = "NAME")]
	pub model: Option<String>,
	/// BLAKE3-256 hash of the software image it runs
	#[arg(long, value_name = "HASH", value_parser = parse_hash)]
	pub image: Option<H256>,
	/// Secret of the site's owner, if that is another account than this worker's
	#[arg(long, value_name = "SURI|FILE", env = "CAIRN_OWNER_SURI", hide_env_values = true)]
	pub owner_suri: Option<String>,
	/// Also bond and stand ready for committees
	#[arg(long)]
	pub aggregator: bool,
	/// Bond in CRN, in all [default: the least that the chain takes]
	#[arg(long, value_name = "CRN", value_parser = parse_amount, requires = "aggregator")]
	pub bond: Option<u128>,
}

/// Attestation.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  Let attesters measure this machine:     cairn-worker attest
  See what the benchmark shows, only:     cairn-worker attest --measure-only
  Judge other machines, as an attester:   cairn-worker attest --judge

Keep the machine idle meanwhile: what runs beside the benchmark makes it slower. An attester runs the same work again and
needs a machine that does it in the time that the chain gives, ten minutes for what took the device half of one.")]
pub struct AttestArgs {
	/// Judge other machines' measurements until stopped; only for attesters that governance named
	#[arg(long, conflicts_with = "measure_only")]
	pub judge: bool,
	/// Only run the benchmark and print what it shows; no chain is needed
	#[arg(long)]
	pub measure_only: bool,
	/// Seconds for each of the two parts of the benchmark, at least; longer when the chain is slow
	#[arg(long, value_name = "N", default_value_t = 12, value_parser = clap::value_parser!(u32).range(1..=600), conflicts_with = "judge")]
	pub seconds: u32,
	/// Threads [default: all cores]
	#[arg(long, value_name = "N", env = "CAIRN_THREADS")]
	pub threads: Option<NonZeroU16>,
}

/// The data to train or evaluate on.
#[derive(Debug, Args)]
pub struct DataArgs {
	/// `digits` (built in), `csv:PATH` (last column is the label), or `idx:IMAGES,LABELS` (MNIST's format) [default: digits]
	#[arg(long, value_name = "SOURCE", env = "CAIRN_DATA")]
	pub data: Option<String>,
	/// Where to compute: cpu, or cuda with an optional number such as cuda:1 [default: cpu]
	#[arg(long, value_name = "DEVICE", env = "CAIRN_DEVICE")]
	pub device: Option<String>,
}

/// A part of the data, for simulations.
#[derive(Debug, Args)]
pub struct PartitionArgs {
	/// Train on one part of the data only, for simulations: 0/5 is the first of five
	#[arg(long, value_name = "INDEX/WORKERS", env = "CAIRN_PARTITION")]
	pub partition: Option<String>,
	/// How unlike the parts are: Dirichlet concentration; small is unlike [default: parts are alike]
	#[arg(long, value_name = "A", env = "CAIRN_ALPHA")]
	pub alpha: Option<f64>,
	/// Seed of the partition and of the order in which samples are drawn [default: 0]
	#[arg(long, value_name = "S", env = "CAIRN_PARTITION_SEED")]
	pub partition_seed: Option<u64>,
}

/// The daemon.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  Train on your own table:       cairn-worker run --role trainer --data csv:measurements.csv
  Only check and aggregate:      cairn-worker run --role aggregator --listen /ip4/0.0.0.0/tcp/30600
  Both, with a second node:      cairn-worker run --role trainer --role aggregator --node ws://a:9944 --node ws://b:9944

It keeps running when nodes go away. Ctrl-C or SIGTERM stops it: a run that is half done or more ends after its current
step and its update is kept; a second signal stops it at once. Killed at any moment, it goes on where it was.")]
pub struct RunArgs {
	/// What to do; repeat it for several
	#[arg(long, value_enum, env = "CAIRN_ROLE", value_delimiter = ',')]
	pub role: Vec<Role>,
	/// Train for this programme only; repeat it for several [default: all]
	#[arg(long, value_name = "ID", env = "CAIRN_PROGRAMME", value_delimiter = ',')]
	pub programme: Vec<ProgrammeId>,
	/// Multiaddress to listen on for other workers; repeat it for several [default: /ip4/0.0.0.0/tcp/0]
	#[arg(long, value_name = "MULTIADDR", env = "CAIRN_LISTEN", value_delimiter = ',')]
	pub listen: Vec<String>,
	/// Multiaddress to be reached at from outside, where a router forwards a port
	#[arg(long, value_name = "MULTIADDR", env = "CAIRN_EXTERNAL", value_delimiter = ',')]
	pub external: Vec<String>,
	/// Multiaddress, with /p2p/PEER, of a worker to join the others through; repeat it for several
	#[arg(long, value_name = "MULTIADDR", env = "CAIRN_BOOTSTRAP", value_delimiter = ',')]
	pub bootstrap: Vec<String>,
	/// The data.
	#[command(flatten)]
	pub data: DataArgs,
	/// Which part of it.
	#[command(flatten)]
	pub partition: PartitionArgs,
	/// Threads for training and for aggregation [default: 1 for training, so that updates are repeatable; all cores for
	/// aggregation, whose result never depends on them]
	#[arg(long, value_name = "N", env = "CAIRN_THREADS")]
	pub threads: Option<NonZeroU16>,
	/// Serve metrics for Prometheus at this port, at /metrics [default: off; 9616 is usual]
	#[arg(long, value_name = "PORT", env = "CAIRN_PROMETHEUS_PORT")]
	pub prometheus_port: Option<u16>,
	/// Address at which metrics are served; who can reach it can read them [default: 127.0.0.1]
	#[arg(long, value_name = "IP", env = "CAIRN_PROMETHEUS_HOST")]
	pub prometheus_host: Option<IpAddr>,
	/// Finalised rounds of each programme whose updates and weights are kept, and as many of the last rounds however
	/// they ended; older ones are removed [default: 8]
	#[arg(long, value_name = "N", env = "CAIRN_KEEP_ROUNDS")]
	pub keep_rounds: Option<NonZeroU32>,
	/// The most that the artifact store may take on disk; what would exceed it is not fetched [default: what the disk
	/// has, less 256 MiB]
	#[arg(long, value_name = "BYTES", env = "CAIRN_DISK_QUOTA")]
	pub disk_quota: Option<u64>,
	/// The most bytes per second that one other worker is given, at least 65536 [default: no limit]
	#[arg(long, value_name = "BYTES", env = "CAIRN_UPLOAD_RATE")]
	pub upload_rate: Option<NonZeroU64>,
	/// How many peers that are no device's, such as auditors, may fetch at once, after the commit window has closed;
	/// 0 for none [default: 16]
	#[arg(long, value_name = "N", env = "CAIRN_GUESTS")]
	pub guests: Option<usize>,
	/// The most bytes per second that all of these together are given, at least 65536 [default: 16 MiB]
	#[arg(long, value_name = "BYTES", env = "CAIRN_GUEST_RATE")]
	pub guest_rate: Option<NonZeroU64>,
}

/// Collecting rewards.
#[derive(Debug, Args)]
pub struct ClaimArgs {
	/// The programme
	#[arg(long, value_name = "ID")]
	pub programme: ProgrammeId,
}

/// Filling a pot.
#[derive(Debug, Args)]
pub struct FundArgs {
	/// The programme
	#[arg(long, value_name = "ID")]
	pub programme: ProgrammeId,
	/// How much, in CRN; it cannot be taken back
	#[arg(long, value_name = "CRN", value_parser = parse_amount)]
	pub amount: u128,
}

/// Programmes.
#[derive(Debug, Subcommand)]
pub enum ProgrammeCommand {
	/// Write a programme's configuration and first weights, and print its entry for a chain's genesis
	Init(InitArgs),
}

/// A new programme.
#[derive(Debug, Args)]
#[command(after_help = "\
The model file describes model, optimiser and local steps; two are shipped in offchain-worker/training/models. The files
written to --out are named by their hashes, and are imported into the store when --base-path is given.
The amounts in the printed entry are plancks: 1 CRN is 1000000000000.")]
pub struct InitArgs {
	/// The model file
	#[arg(long, value_name = "FILE.toml")]
	pub config: PathBuf,
	/// Folder to write the two artifacts to
	#[arg(long, value_name = "DIR")]
	pub out: PathBuf,
	/// Name of the programme
	#[arg(long, default_value = "digits")]
	pub name: String,
	/// How updates are aggregated
	#[command(flatten)]
	pub aggregation: AggregationArgs,
	/// Windows in blocks: COMMIT,AVAILABILITY,AGGREGATE,REVEAL, and CHALLENGE where an aggregate can be disputed
	#[arg(long, default_value = "20,8,8,8", value_name = "BLOCKS")]
	pub schedule: String,
	/// Aggregators per round
	#[arg(long, default_value_t = 3)]
	pub committee_size: u32,
	/// Aggregators per audit of a disputed round; one more than twice the committee when it is not said
	#[arg(long, value_name = "SIZE")]
	pub audit_size: Option<u32>,
	/// What a challenger puts at stake, in CRN
	#[arg(long, default_value = "0", value_parser = parse_amount, value_name = "CRN")]
	pub challenge_bond: u128,
	/// Licence that the model is published under, an SPDX identifier
	#[arg(long, default_value = "", value_name = "SPDX")]
	pub licence: String,
	/// Kind of data that it is trained on
	#[arg(long, default_value = "", value_name = "NAME")]
	pub data_category: String,
	/// What one round may cost a participant in differential privacy, in thousandths of epsilon
	#[arg(long, value_name = "MILLI")]
	pub epsilon_per_round: Option<u32>,
	/// The least updates a round needs
	#[arg(long, default_value_t = 3)]
	pub min_updates: u32,
	/// Commits at which the window closes early
	#[arg(long, default_value_t = 5)]
	pub target_updates: u32,
	/// The most updates a round takes
	#[arg(long, default_value_t = 64)]
	pub max_updates: u32,
	/// The most samples an update may declare
	#[arg(long, default_value_t = 100_000)]
	pub max_samples: u32,
	/// The most local steps an update may declare
	#[arg(long, default_value_t = 10_000)]
	pub max_local_steps: u32,
	/// Rounds to finalise
	#[arg(long, default_value_t = 10)]
	pub rounds: u32,
	/// What a finalised round pays in all, in CRN
	#[arg(long, default_value = "1000", value_parser = parse_amount, value_name = "CRN")]
	pub reward_per_round: u128,
	/// The part of that which the committee shares, in per cent
	#[arg(long, default_value_t = 10, value_name = "PERCENT")]
	pub committee_share: u8,
	/// What the pot is endowed with, in CRN
	#[arg(long, default_value = "20000", value_parser = parse_amount, value_name = "CRN")]
	pub pot: u128,
}

/// A programme's aggregation. docs/choosing-a-policy.md helps with the choice.
#[derive(Debug, Args)]
pub struct AggregationArgs {
	/// How updates become one: weighted-mean, median, trimmed-mean:TRIM, krum:HOSTILE, multi-krum:HOSTILE:SELECTED,
	/// geometric-median[:SMOOTHING:ITERATIONS], centered-clipping[:RADIUS:ITERATIONS]
	#[arg(long, default_value = "weighted-mean", value_name = "RULE")]
	pub rule: AggregationRule,
	/// Make up for different numbers of local steps: mean:CAP, or median:CAP for robust rules
	#[arg(long, value_name = "STEPS:CAP")]
	pub normalisation: Option<Normalisation>,
	/// Average so many updates at a time, in random order, before the rule
	#[arg(long, value_name = "SIZE")]
	pub bucketing: Option<u32>,
	/// Replace each update by the mean of its nearest ones, all but so many
	#[arg(long, value_name = "HOSTILE")]
	pub mixing: Option<u32>,
	/// What is made of the aggregate: sgd[:RATE], nesterov:RATE:MOMENTUM, adam:RATE:BETA1:BETA2:EPSILON
	#[arg(long, default_value = "sgd", value_name = "OPTIMISER")]
	pub server_optimiser: ServerOptimiser,
}

impl AggregationArgs {
	/// As the chain keeps it.
	pub fn aggregation(&self) -> Aggregation {
		Aggregation {
			rule: self.rule,
			normalisation: self.normalisation,
			bucketing: self.bucketing,
			mixing: self.mixing.map(|hostile| Mixing { hostile }),
			optimiser: self.server_optimiser,
		}
	}
}

/// The store.
#[derive(Debug, Subcommand)]
pub enum ArtifactsCommand {
	/// Put files into the store
	Import {
		/// The files
		#[arg(required = true, value_name = "FILE")]
		files: Vec<PathBuf>,
	},
	/// List what is in the store
	List,
	/// Read everything in the store and check it against its hash
	Verify,
	/// Remove the updates, weights and states of old rounds, as a running worker does by itself
	Gc {
		/// Only say what would be removed
		#[arg(long)]
		dry_run: bool,
		/// Finalised rounds of each programme whose files are kept [default: `keep-rounds` in worker.toml, or 8]
		#[arg(long, value_name = "N", env = "CAIRN_KEEP_ROUNDS")]
		keep_rounds: Option<NonZeroU32>,
	},
}

/// Weights to measure.
#[derive(Clone, Debug)]
pub enum ArtifactOrFile {
	/// By hash, from the store.
	Hash(H256),
	/// A file.
	File(PathBuf),
}

impl std::str::FromStr for ArtifactOrFile {
	type Err = String;

	fn from_str(text: &str) -> Result<Self, String> {
		let path = PathBuf::from(text);
		match parse_hash(text) {
			Ok(hash) if !path.exists() => Ok(Self::Hash(hash)),
			_ if path.exists() => Ok(Self::File(path)),
			Err(e) => Err(format!("there is no file `{text}`, and {e}")),
			Ok(hash) => Ok(Self::Hash(hash)),
		}
	}
}

/// The part of a data set.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Part {
	/// What no worker trains on
	HeldOut,
	/// What workers share out among themselves
	Train,
}

/// Evaluation.
#[derive(Debug, Args)]
pub struct EvaluateArgs {
	/// Weights: a hash in the store, or a file
	#[arg(long, value_name = "HASH|FILE")]
	pub weights: ArtifactOrFile,
	/// Training configuration [default: the one that the weights name, from the store]
	#[arg(long, value_name = "HASH|FILE")]
	pub config: Option<ArtifactOrFile>,
	/// The data.
	#[command(flatten)]
	pub data: DataArgs,
	/// Which part of it
	#[arg(long, value_enum, default_value_t = Part::HeldOut)]
	pub part: Part,
	/// Threads [default: 1]
	#[arg(long, value_name = "N", env = "CAIRN_THREADS")]
	pub threads: Option<NonZeroU16>,
}

/// The baseline of a round.
#[derive(Debug, Args)]
pub struct BenchArgs {
	/// Training configuration: a hash in the store, or a file
	#[arg(long, value_name = "HASH|FILE")]
	pub config: ArtifactOrFile,
	/// The data.
	#[command(flatten)]
	pub data: DataArgs,
	/// Which part of it.
	#[command(flatten)]
	pub partition: PartitionArgs,
	/// Steps [default: the configuration's]
	#[arg(long, value_name = "N")]
	pub steps: Option<u32>,
	/// Threads [default: 1]
	#[arg(long, value_name = "N", env = "CAIRN_THREADS")]
	pub threads: Option<NonZeroU16>,
}

/// Simulation.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  What it would take:      cairn-worker simulate offchain-worker/simulator/configs/digits.toml --check
  Table, figures, plots:   cairn-worker simulate offchain-worker/simulator/configs/digits.toml --out results

The configuration names model, data, workers, methods and attacks; docs/choosing-a-policy.md walks through one. The same
configuration and seeds give the same results, bit for bit, on the same machine. Ctrl-C keeps what is done.")]
pub struct SimulateArgs {
	/// The configuration
	#[arg(value_name = "CONFIG.toml")]
	pub config: PathBuf,
	/// Folder to write the results to
	#[arg(long, value_name = "DIR", required_unless_present = "check")]
	pub out: Option<PathBuf>,
	/// Write into the folder even if there is something in it
	#[arg(long)]
	pub overwrite: bool,
	/// Only check configuration, data and methods, and show how long it takes and how much memory
	#[arg(long)]
	pub check: bool,
	/// Runs to do at the same time; changes nothing but the time [default: one per core]
	#[arg(long, value_name = "N")]
	pub jobs: Option<NonZeroUsize>,
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
