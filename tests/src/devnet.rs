//! A network on this machine: validators, workers, and the programme that they run.

use crate::{
	binaries::Binaries,
	lan::{Lan, Machine},
	ports::Ports,
	process::{run, tail, Finished, Process},
	rpc::{Head, Heads, ProgrammeInfo, RoundInfo, Rpc},
	spec::{self, Authority, Genesis},
	ui::Ui,
	worker::{clean_environment, Attack, Identity, Worker},
};
use anyhow::{anyhow, bail, ensure, Context, Result};
use cairn_primitives::{
	views::{Phase, ProgrammeState},
	Aggregation, Schedule, H256,
};
use futures::future::{join_all, select_all, try_join_all};
use nix::fcntl::{Flock, FlockArg};
use serde_json::{json, Value};
use std::{
	fs::{self, File, OpenOptions},
	future::Future,
	path::{Path, PathBuf},
	process::Command,
	str::FromStr,
	time::{Duration, Instant},
};

/// The programme's number: it is the only one.
pub const PROGRAMME: u32 = 0;

/// A new node's RPC answers within seconds; on a starved machine it may take this long.
const START: Duration = Duration::from_secs(600);

/// How long a programme may stand still while blocks are finalised. Longer than any window of a round.
const PATIENCE: Duration = Duration::from_secs(600);

/// The file that shows that a folder is a devnet's, and that is locked while the devnet runs.
const LOCK: &str = "devnet.lock";

/// Ports where every process is on a machine of its own.
const LAN_RPC_PORT: u16 = 9944;
const LAN_NODE_PORT: u16 = 30_333;
const LAN_WORKER_PORT: u16 = 4001;

/// Where a process listens: at the address of its machine, or at a free port of this one's loopback interface.
fn listen_address(machine: Option<&Machine>, port: u16, ports: &mut Ports) -> Result<String> {
	Ok(match machine {
		Some(machine) => format!("/ip4/{}/tcp/{port}", machine.address),
		None => format!("/ip4/127.0.0.1/tcp/{}", ports.free()?),
	})
}

/// What is trained: one of the two models for the built-in UCI digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Model {
	/// A perceptron with one hidden layer.
	Mlp,
	/// A small convolutional network.
	Cnn,
}

impl Model {
	fn config(self) -> &'static str {
		match self {
			Self::Mlp => include_str!("../../offchain-worker/training/models/digits-mlp.toml"),
			Self::Cnn => include_str!("../../offchain-worker/training/models/digits-cnn.toml"),
		}
	}
}

/// What a devnet is made of.
#[derive(Clone)]
pub struct Builder {
	validators: usize,
	workers: usize,
	aggregators: usize,
	aggregators_only: usize,
	spares: usize,
	candidates: usize,
	pruning: Option<u32>,
	members: Vec<String>,
	fast: bool,
	every_programme: bool,
	rounds: u32,
	seed: u64,
	alpha: f64,
	local_steps: Option<u32>,
	model: Model,
	aggregation: Aggregation,
	schedule: Schedule,
	min_updates: Option<u32>,
	target_updates: Option<u32>,
	committee: Option<u32>,
	challenge_bond: u64,
	bonds: Vec<u64>,
	attacks: Vec<(usize, Attack)>,
	lan: bool,
	rpc_port: u16,
	data_dir: Option<PathBuf>,
	binaries: Option<Binaries>,
	ui: Ui,
}

macro_rules! setters {
	($($(#[$doc:meta])+ $field:ident: $type:ty,)+) => {
		$($(#[$doc])+ pub fn $field(mut self, $field: impl Into<$type>) -> Self {
			self.$field = $field.into();
			self
		})+
	};
}

impl Builder {
	setters! {
		/// How many validators; 3.
		validators: usize,
		/// How many workers; 5.
		workers: usize,
		/// How many of the workers are aggregators, the first ones; 3.
		aggregators: usize,
		/// How many of the aggregators, the last ones, do not train; 0.
		aggregators_only: usize,
		/// How many further workers get keys and funds, but are neither registered nor started; 0. They come after the
		/// others.
		spares: usize,
		/// How many further nodes run as validators without being in the first validator set; 0. They come after the
		/// validators, and their accounts have funds.
		candidates: usize,
		/// For how many finalised blocks the last validator of the first set keeps the state, as nodes do when nobody asks for
		/// more; all keep all of it when `None`.
		pruning: Option<u32>,
		/// Addresses of DAO members, who get [`spec::MEMBER_ENDOWMENT`] each; none.
		members: Vec<String>,
		/// Whether epochs and votes take minutes instead of days, as on the chain `local-fast`; they do not.
		fast: bool,
		/// Whether trainers work for every programme and not just for the devnet's own; they do not.
		every_programme: bool,
		/// Rounds to finalise before the programme is complete; 10.
		rounds: u32,
		/// Seed of the data's partition and of the genesis weights; 1.
		seed: u64,
		/// Dirichlet parameter of the partition: how unlike the trainers' data are; 0.5.
		alpha: f64,
		/// Local steps per round; the model file's when `None`.
		local_steps: Option<u32>,
		/// What is trained; the perceptron.
		model: Model,
		/// How updates are aggregated; the weighted mean.
		aggregation: Aggregation,
		/// The windows of a round, in blocks; 20, 8, 8 and 8.
		schedule: Schedule,
		/// The least updates of a round; three fifths of the trainers when `None`.
		min_updates: Option<u32>,
		/// The commits at which the commit window closes early; as many as there are trainers when `None`.
		target_updates: Option<u32>,
		/// Aggregators drawn per round; at most 3 of those there are when `None`.
		committee: Option<u32>,
		/// What a challenger puts at stake, in plancks; 0.
		challenge_bond: u64,
		/// What each aggregator bonds, in CRN, the first one first; those beyond the list bond the least that the chain
		/// takes.
		bonds: Vec<u64>,
		/// Which workers are hostile, by index; none.
		attacks: Vec<(usize, Attack)>,
		/// Whether every process runs on a machine of its own, in a network whose cables can be cut ([`Devnet::lan`]); they
		/// all run on this one.
		lan: bool,
		/// RPC port of the first validator; the others get the ones after it. 0 takes free ports; 0.
		rpc_port: u16,
		/// Where everything is kept; a fresh temporary folder when `None`.
		data_dir: Option<PathBuf>,
		/// The programs; those beside the running one when `None`.
		binaries: Option<Binaries>,
		/// Where progress is shown.
		ui: Ui,
	}

	fn trainers(&self) -> usize {
		self.workers.saturating_sub(self.aggregators_only)
	}

	/// A worker's number among the trainers; `None` when it only aggregates.
	fn trainer(&self, index: usize) -> Option<usize> {
		if index >= self.aggregators {
			Some(index - self.aggregators_only)
		} else {
			(index < self.aggregators - self.aggregators_only).then_some(index)
		}
	}

	fn committee_size(&self) -> u32 {
		self.committee.unwrap_or((self.aggregators as u32).min(3))
	}

	fn least_updates(&self) -> u32 {
		let three_fifths = (self.trainers() as u32 * 3).div_ceil(5).max(1);
		self.min_updates.unwrap_or(three_fifths.max(self.aggregation.min_updates()))
	}

	fn check(&self) -> Result<()> {
		ensure!(
			(1..=20).contains(&self.validators),
			"a devnet has 1 to 20 validators, not {}",
			self.validators
		);
		ensure!((1..=50).contains(&self.workers), "a devnet has 1 to 50 workers, not {}", self.workers);
		ensure!(
			self.pruning.is_none() || self.validators > 1,
			"the only validator must keep the state of every block: give more validators, or no pruning"
		);
		ensure!(self.rounds >= 1, "there must be at least one round");
		ensure!(
			(1..=self.workers).contains(&self.aggregators),
			"{} of {} workers cannot be aggregators: it must be at least 1 and at most all",
			self.aggregators,
			self.workers
		);
		ensure!(
			self.aggregators_only <= self.aggregators && self.trainers() >= 1,
			"{} aggregators that do not train leave no trainer, or are more than the {} aggregators",
			self.aggregators_only,
			self.aggregators
		);
		ensure!(
			self.committee_size() >= 1 && self.committee_size() as usize <= self.aggregators,
			"a committee of {} cannot be drawn from {} aggregators",
			self.committee_size(),
			self.aggregators
		);
		ensure!(
			self.least_updates() >= self.aggregation.min_updates() && self.least_updates() as usize <= self.trainers(),
			"{} needs {} updates per round, the programme asks for {}, and there are {} trainers: give more workers",
			self.aggregation,
			self.aggregation.min_updates(),
			self.least_updates(),
			self.trainers()
		);
		ensure!(
			self.alpha.is_finite() && self.alpha > 0.0,
			"alpha must be a positive number, not {}",
			self.alpha
		);
		Ok(())
	}

	/// Starts everything and waits until the workers run.
	///
	/// # Errors
	/// When something cannot be started, dies, or a port or folder is in use. Nothing is left running then.
	pub async fn start(self) -> Result<Devnet> {
		self.check()?;
		let binaries = self.binaries.clone().map_or_else(Binaries::beside_this_one, Ok)?;
		let (rpc_ports, mut ports) = self.rpc_ports()?;
		let data = DataDir::open(self.data_dir.as_deref())?;
		let ui = self.ui.clone();
		ui.line(format!("data and logs: {}", data.path.display()));
		let mut lan = self.lan.then(Lan::new).transpose()?;
		let names = (0..rpc_ports.len()).map(|i| format!("validator-{}", i + 1));
		let machines = names.map(|name| lan.as_mut().map(|lan| lan.machine(name)).transpose());
		let machines = machines.collect::<Result<Vec<Option<Machine>>>>()?;
		let placed = || rpc_ports.iter().zip(&machines);
		let url = |(port, machine): (&u16, &Option<Machine>)| match machine {
			Some(machine) => format!("ws://{}:{port}", machine.address),
			None => format!("ws://127.0.0.1:{port}"),
		};
		let urls: Vec<String> = placed().map(url).collect();
		let rpcs = placed().zip(&urls).map(|((port, machine), url)| match machine {
			Some(machine) => Rpc::within(machine.namespace(), *port),
			None => Rpc::new(url),
		});
		let mut net = Devnet {
			rpcs: rpcs.collect(),
			urls,
			lan,
			machines,
			workers: Vec::new(),
			validators: Vec::new(),
			genesis: String::new(),
			options: self,
			binaries,
			data: Some(data),
			ui,
		};
		let started = net.bring_up(&rpc_ports, &mut ports).await;
		if let Err(error) = started {
			let logs = net.logs();
			net.shutdown(Keep::Yes).await;
			return Err(
				error.context(format!("the devnet did not start; its logs are in {}", logs.display()))
			);
		}
		Ok(net)
	}

	fn rpc_ports(&self) -> Result<(Vec<u16>, Ports)> {
		let mut ports = Ports::default();
		let list = (0..self.validators + self.candidates).map(|i| {
			if self.lan {
				// Nobody else is on its machine.
				return Ok(LAN_RPC_PORT);
			}
			if self.rpc_port == 0 {
				return ports.free();
			}
			let port = u16::try_from(i).ok().and_then(|i| self.rpc_port.checked_add(i));
			let port = port.context("--rpc-port is too high for this many validators")?;
			Ports::certain(port, &format!("RPC of validator-{}", i + 1))
		});
		let list = list.collect::<Result<Vec<_>>>()?;
		Ok((list, ports))
	}
}

/// Whether the data folder stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
	/// It stays.
	Yes,
	/// It goes, if it is a temporary one.
	No,
}

struct DataDir {
	path: PathBuf,
	temporary: bool,
	_lock: Flock<File>,
}

impl DataDir {
	fn open(wanted: Option<&Path>) -> Result<Self> {
		let Some(wanted) = wanted else {
			let dir = tempfile::Builder::new().prefix("cairn-devnet-").tempdir();
			let path = dir.context("cannot make a temporary folder")?.keep();
			let _lock = Self::lock(&path)?;
			return Ok(Self { path, temporary: true, _lock });
		};
		fs::create_dir_all(wanted).with_context(|| format!("cannot make the folder {}", wanted.display()))?;
		let path = wanted.canonicalize().with_context(|| format!("cannot find {}", wanted.display()))?;
		let read = || fs::read_dir(&path).with_context(|| format!("cannot read {}", path.display()));
		if read()?.next().is_some() && !path.join(LOCK).is_file() {
			bail!(
				"{} is not empty and not a devnet's: a run starts with an empty folder. Give another --data-dir",
				path.display()
			);
		}
		let _lock = Self::lock(&path)?;
		// What an earlier devnet left.
		for entry in read()? {
			let entry = entry.with_context(|| format!("cannot read {}", path.display()))?;
			if entry.file_name() == LOCK {
				continue;
			}
			let old = entry.path();
			let removed = if old.is_dir() { fs::remove_dir_all(&old) } else { fs::remove_file(&old) };
			removed
				.with_context(|| format!("cannot remove {}, which an earlier devnet left", old.display()))?;
		}
		Ok(Self { path, temporary: false, _lock })
	}

	fn lock(path: &Path) -> Result<Flock<File>> {
		let file = path.join(LOCK);
		let opened = OpenOptions::new().write(true).create(true).truncate(false).open(&file);
		let opened = opened.with_context(|| format!("cannot write {}", file.display()))?;
		Flock::lock(opened, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| {
			anyhow!(
				"{} cannot be locked ({errno}): another devnet runs there. Stop it, or give another --data-dir",
				file.display()
			)
		})
	}
}

struct Validator {
	name: String,
	base: PathBuf,
	log: PathBuf,
	args: Vec<String>,
	process: Option<Process>,
}

/// A running devnet. Dropping it kills every process that it started.
pub struct Devnet {
	// Before `data`: the processes must be gone when the folder goes.
	workers: Vec<Worker>,
	validators: Vec<Validator>,
	rpcs: Vec<Rpc>,
	urls: Vec<String>,
	lan: Option<Lan>,
	machines: Vec<Option<Machine>>,
	genesis: String,
	options: Builder,
	binaries: Binaries,
	data: Option<DataDir>,
	ui: Ui,
}

impl Devnet {
	/// A devnet with the defaults of `cairn-devnet`, but on ports that are free.
	pub fn builder() -> Builder {
		Builder {
			validators: 3,
			workers: 5,
			aggregators: 3,
			aggregators_only: 0,
			spares: 0,
			candidates: 0,
			pruning: None,
			members: Vec::new(),
			fast: false,
			every_programme: false,
			rounds: 10,
			seed: 1,
			alpha: 0.5,
			local_steps: None,
			model: Model::Mlp,
			aggregation: Aggregation::default(),
			schedule: Schedule { commit: 20, availability: 8, aggregate: 8, reveal: 8, challenge: 0 },
			min_updates: None,
			target_updates: None,
			committee: None,
			challenge_bond: 0,
			bonds: Vec::new(),
			attacks: Vec::new(),
			lan: false,
			rpc_port: 0,
			data_dir: None,
			binaries: None,
			ui: Ui::default(),
		}
	}

	// ---- what it is ----

	/// The RPC of the first validator.
	pub fn rpc(&self) -> &Rpc {
		self.rpc_of(0)
	}

	/// The RPC of a validator. On a network whose cables can be cut it is reached all the same.
	///
	/// # Panics
	/// When there is none with this index.
	pub fn rpc_of(&self, validator: usize) -> &Rpc {
		&self.rpcs[validator]
	}

	/// The network whose cables can be cut, if there is one.
	pub fn lan(&self) -> Option<&Lan> {
		self.lan.as_ref()
	}

	/// The machine of a validator, if it has one of its own.
	///
	/// # Panics
	/// When there is none with this index.
	pub fn machine_of_validator(&self, index: usize) -> Option<&Machine> {
		self.machines[index].as_ref()
	}

	/// The WebSocket URLs of all validators.
	pub fn urls(&self) -> &[String] {
		&self.urls
	}

	/// The chain's genesis hash, hexadecimal.
	pub fn genesis(&self) -> &str {
		&self.genesis
	}

	/// The workers, and after them the spares.
	pub fn workers(&self) -> &[Worker] {
		&self.workers
	}

	/// A worker.
	///
	/// # Panics
	/// When there is none with this index.
	pub fn worker(&self, index: usize) -> &Worker {
		&self.workers[index]
	}

	/// A worker, to change what it does when it is started next.
	///
	/// # Panics
	/// When there is none with this index.
	pub fn worker_mut(&mut self, index: usize) -> &mut Worker {
		&mut self.workers[index]
	}

	/// The programs it runs.
	pub fn binaries(&self) -> &Binaries {
		&self.binaries
	}

	/// Rounds that were asked for.
	pub fn rounds(&self) -> u32 {
		self.options.rounds
	}

	/// Where progress is shown.
	pub fn ui(&self) -> &Ui {
		&self.ui
	}

	/// The data folder.
	pub fn path(&self) -> &Path {
		&self.data.as_ref().expect("only taken when it is shut down, which consumes it; qed").path
	}

	/// The folder of the logs.
	pub fn logs(&self) -> PathBuf {
		self.path().join("logs")
	}

	/// The last lines of every log, for where nobody can look into the folder afterwards. Nodes come first: what is cut
	/// off from the front of a long text is what is least missed.
	pub fn log_tails(&self, lines: usize) -> String {
		let entries = fs::read_dir(self.logs()).into_iter().flatten().flatten();
		let mut logs: Vec<_> = entries.map(|entry| entry.path()).collect();
		let name = |log: &Path| log.file_name().unwrap_or_default().to_string_lossy().into_owned();
		let is_node = |log: &Path| name(log).starts_with("validator");
		logs.sort_by_key(|log| (!is_node(log), name(log)));
		logs.iter().map(|log| format!("{}:\n{}\n", log.display(), tail(log, lines))).collect()
	}

	/// What this network is, for a person who runs it again.
	pub fn describe(&self) -> String {
		let o = &self.options;
		format!(
			"{} validators, {} workers ({} of them aggregators), {} rounds of {} on digits, {}, seed {}",
			o.validators,
			o.workers,
			o.aggregators,
			o.rounds,
			match o.model {
				Model::Mlp => "a perceptron",
				Model::Cnn => "a convolutional network",
			},
			o.aggregation,
			o.seed
		)
	}

	// ---- start ----

	async fn bring_up(&mut self, rpc_ports: &[u16], ports: &mut Ports) -> Result<()> {
		for folder in ["logs", "validators", "workers", "programme"] {
			let folder = self.path().join(folder);
			fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
		}
		self.ui.status("making keys, the programme and the chain specification");
		self.make_workers(ports).await?;
		let programme = self.make_programme().await?;
		let authorities = self.authorities().await?;
		let spec = self.make_spec(authorities, programme).await?;
		self.prepare_validators(&spec, rpc_ports, ports).await?;

		self.ui.status("starting the validators");
		for index in 0..self.validators.len() {
			self.start_validator(index)?;
		}
		self.guard(self.wait_until_up()).await?;
		self.genesis = self.guard(self.rpc().genesis()).await?;
		let mut heads = self.guard(self.rpc().heads()).await?;
		while self.guard(heads.next()).await?.number == 0 {}
		self.ui.line(format!(
			"{} validators finalise blocks; RPC at {}",
			self.validators.len(),
			self.urls.join(" ")
		));

		self.ui.status("registering sites, devices and aggregators");
		let active = self.options.workers;
		self.guard(try_join_all(self.workers[..active].iter().map(Worker::register))).await?;
		for worker in &mut self.workers[..active] {
			worker.start()?;
		}
		self.ui.line(format!("{active} workers are registered and run"));
		Ok(())
	}

	async fn make_workers(&mut self, ports: &mut Ports) -> Result<()> {
		let active = self.options.workers;
		let mut listens = Vec::new();
		for index in 0..active + self.options.spares {
			let name = format!("worker-{}", index + 1);
			let base = self.path().join("workers").join(&name);
			let machine = self.lan.as_mut().map(|lan| lan.machine(&name)).transpose()?;
			listens.push(listen_address(machine.as_ref(), LAN_WORKER_PORT, ports)?);
			let suri = format!("//cairn-devnet//{name}");
			let attack = self.options.attacks.iter().find(|(i, _)| *i == index).map(|(_, attack)| *attack);
			let binary = if attack.is_some() { &self.binaries.hostile } else { &self.binaries.worker };
			let worker = Worker {
				log: self.logs().join(format!("{name}.log")),
				events: self.logs().join(format!("{name}.events")),
				// Each prefers another node, so that no node is a bottleneck, and knows the rest for when it is gone.
				nodes: (0..self.urls.len())
					.map(|i| self.urls[(index + i) % self.urls.len()].clone())
					.collect(),
				identity: Identity { account: String::new(), peer_id: String::new() },
				trainer: index < active && self.options.trainer(index).is_some(),
				aggregator: index < self.options.aggregators,
				bond: self.options.bonds.get(index).copied(),
				run_args: Vec::new(),
				binary: binary.clone(),
				attack,
				machine,
				daemon: None,
				name,
				base,
				suri,
			};
			self.workers.push(worker);
		}
		// All at once: each starts a process twice.
		let identities = try_join_all(self.workers.iter().map(Worker::make_keys)).await?;
		let mut first: Option<String> = None;
		for (index, (identity, listen)) in identities.into_iter().zip(listens).enumerate() {
			let args = self.run_args(index, &listen, first.as_deref());
			first.get_or_insert_with(|| format!("{listen}/p2p/{}", identity.peer_id));
			let worker = &mut self.workers[index];
			(worker.identity, worker.run_args) = (identity, args);
		}
		Ok(())
	}

	fn run_args(&self, index: usize, listen: &str, bootstrap: Option<&str>) -> Vec<String> {
		let flag = |name: &str, value: String| [name.to_string(), value];
		// One thread each: there are more workers than cores.
		let mut args = [flag("--listen", listen.to_string()), flag("--threads", "1".into())].concat();
		// In the end every round is recomputed from what the workers have, however long it took.
		args.extend(flag("--keep-rounds", self.options.rounds.max(1).to_string()));
		// Whatever is free; the event `metrics.serving` says where.
		args.extend(flag("--prometheus-port", "0".into()));
		if let Some(address) = bootstrap {
			args.extend(flag("--bootstrap", address.to_string()));
		}
		// A spare has the part of the first trainer, should it be started.
		if let Some(trainer) = self.options.trainer(if index < self.options.workers { index } else { 0 }) {
			if !self.options.every_programme {
				args.extend(flag("--programme", PROGRAMME.to_string()));
			}
			args.extend(flag("--data", "digits".into()));
			args.extend(flag("--partition", format!("{trainer}/{}", self.options.trainers())));
			args.extend(flag("--partition-seed", self.options.seed.to_string()));
			args.extend(flag("--alpha", self.options.alpha.to_string()));
		}
		args
	}

	/// Makes configuration and genesis weights, which only the first worker gets; the others fetch them.
	async fn make_programme(&self) -> Result<Value> {
		let folder = self.path().join("programme");
		let file = folder.join("model.toml");
		let mut config: toml::Table =
			self.options.model.config().parse().context("the model file that is built in")?;
		let seed = i64::try_from(self.options.seed).context("--seed must be less than 2^63")?;
		config.insert("genesis_seed".into(), seed.into());
		if let Some(steps) = self.options.local_steps {
			config.insert("local_steps".into(), i64::from(steps).into());
		}
		fs::write(&file, config.to_string()).with_context(|| format!("cannot write {}", file.display()))?;
		let first = self.workers.first().context("a devnet has at least one worker")?;
		let (file, out) = (file.display().to_string(), folder.display().to_string());
		let made =
			first.cli(&["programme", "init", "--config", &file, "--out", &out, "--name", "digits"]).await?;
		let mut entry: Value = made.json()?;
		let o = &self.options;
		spec::set_fields(
			&mut entry,
			json!({
				"aggregation": o.aggregation,
				"schedule": o.schedule,
				"committeeSize": o.committee_size(),
				"challengeBond": o.challenge_bond,
				"minUpdates": o.least_updates(),
				"targetUpdates": o.target_updates.unwrap_or(o.trainers() as u32),
				"rounds": o.rounds,
				"rewardPerRound": REWARD,
				"pot": REWARD * u64::from(o.rounds),
			}),
		)?;
		Ok(entry)
	}

	async fn node(&self, args: &[&str]) -> Result<Finished> {
		let mut command = Command::new(&self.binaries.node);
		command.args(args);
		run(command).await?.ok()
	}

	async fn authorities(&self) -> Result<Vec<Authority>> {
		try_join_all((0..self.options.validators + self.options.candidates).map(|index| async move {
			let suri = suri(index);
			let address = |scheme: &'static str| {
				let suri = suri.clone();
				async move {
					let args = ["key", "inspect", "--scheme", scheme, "--output-type", "json", &suri];
					let keys: Value = self.node(&args).await?.json()?;
					let address = keys["ss58Address"].as_str().map(str::to_string);
					address.with_context(|| format!("`cairn-node key inspect` shows no address: {keys}"))
				}
			};
			Ok(Authority { account: address("sr25519").await?, grandpa: address("ed25519").await? })
		}))
		.await
	}

	async fn make_spec(&self, mut authorities: Vec<Authority>, programme: Value) -> Result<PathBuf> {
		let chain = if self.options.fast { "local-fast" } else { "local" };
		let local: Value = self.node(&["export-chain-spec", "--chain", chain]).await?.json()?;
		let candidates = authorities.split_off(self.options.validators);
		let others = self.workers.iter().map(|w| &w.identity.account);
		let others =
			others.chain(candidates.iter().map(|c| &c.account)).map(|a| (a.clone(), spec::ENDOWMENT));
		let members = self.options.members.iter().map(|a| (a.clone(), spec::MEMBER_ENDOWMENT));
		// A member may be a validator's or a candidate's account, too; the member's funds count then.
		let balances = others.filter(|(a, _)| !self.options.members.contains(a)).chain(members).collect();
		let spec = spec::with_genesis(local, &Genesis { authorities, balances, programme })?;
		let path = self.path().join("chain-spec.json");
		let text =
			serde_json::to_vec_pretty(&spec).context("the chain specification cannot be written as JSON")?;
		fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
		Ok(path)
	}

	async fn prepare_validators(&mut self, spec: &Path, rpc_ports: &[u16], ports: &mut Ports) -> Result<()> {
		let spec = spec.display().to_string();
		let mut bootnode: Option<String> = None;
		for (index, rpc_port) in rpc_ports.iter().enumerate() {
			let name = format!("validator-{}", index + 1);
			let base = self.path().join("validators").join(&name);
			fs::create_dir_all(&base).with_context(|| format!("cannot make {}", base.display()))?;
			let base_text = base.display().to_string();
			for (scheme, key_type) in [("sr25519", "babe"), ("ed25519", "gran")] {
				let args = ["key", "insert", "--base-path", &base_text, "--chain", &spec, "--scheme", scheme];
				let suri = suri(index);
				self.node(&[&args[..], &["--suri", &suri, "--key-type", key_type]].concat()).await?;
			}
			// A node key that is the same in every run: 31 zero bytes and the validator's number.
			let node_key = base.join("node-key");
			fs::write(&node_key, format!("{:064x}", index + 1))
				.with_context(|| format!("cannot write {}", node_key.display()))?;
			let node_key = node_key.display().to_string();
			let peer = self.node(&["key", "inspect-node-key", "--file", &node_key]).await?;
			let machine = self.machines[index].as_ref();
			let listen = listen_address(machine, LAN_NODE_PORT, ports)?;
			let is_last = index + 1 == self.options.validators;
			let (state, blocks) = match self.options.pruning.filter(|_| is_last) {
				Some(window) => (window.to_string(), "archive-canonical"),
				// So that an auditor can ask about every block.
				None => ("archive".into(), "archive"),
			};
			let mut args: Vec<String> = [
				("--chain", spec.clone()),
				("--base-path", base_text),
				("--name", name.clone()),
				("--node-key-file", node_key),
				("--listen-addr", listen.clone()),
				("--rpc-port", rpc_port.to_string()),
				("--prometheus-port", ports.free()?.to_string()),
				("--state-pruning", state),
				("--blocks-pruning", blocks.into()),
			]
			.into_iter()
			.flat_map(|(flag, value)| [flag.to_string(), value])
			.collect();
			args.extend(["--validator", "--no-telemetry", "--no-mdns"].map(String::from));
			if machine.is_some() {
				// The workers are on other machines. What is unsafe about it is that it is a validator whom anybody can ask.
				let open = ["--unsafe-rpc-external", "--rpc-methods", "safe", "--rpc-cors", "all"];
				args.extend(open.map(String::from));
			}
			if let Some(bootnode) = &bootnode {
				args.extend(["--bootnodes".to_string(), bootnode.clone()]);
			}
			bootnode.get_or_insert_with(|| format!("{listen}/p2p/{}", peer.stdout.trim()));
			let log = self.logs().join(format!("{name}.log"));
			self.validators.push(Validator { name, base, log, args, process: None });
		}
		Ok(())
	}

	fn start_validator(&mut self, index: usize) -> Result<()> {
		let mut command = Command::new(&self.binaries.node);
		let validator = &mut self.validators[index];
		command.args(&validator.args);
		clean_environment(&mut command);
		if let Some(machine) = &self.machines[index] {
			machine.namespace().enter(&mut command);
		}
		validator.process = Some(Process::start(&validator.name, command, &validator.log, None)?);
		Ok(())
	}

	/// Waits until every validator's RPC answers.
	async fn wait_until_up(&self) -> Result<()> {
		for rpc in &self.rpcs {
			let start = Instant::now();
			while let Err(error) = rpc.genesis().await {
				if start.elapsed() > START {
					return Err(error.context(format!("no answer within {} seconds", START.as_secs())));
				}
				// A port that is not open yet tells nobody when it is.
				tokio::time::sleep(Duration::from_millis(200)).await;
			}
		}
		Ok(())
	}

	// ---- while it runs ----

	fn processes(&self) -> impl Iterator<Item = &Process> {
		let validators = self.validators.iter().filter_map(|v| v.process.as_ref());
		validators.chain(self.workers.iter().filter_map(|w| w.daemon.as_ref()))
	}

	/// Waits until a process ends that should run, and says which and why. Those that were killed on purpose do not
	/// count.
	pub async fn first_death(&self) -> anyhow::Error {
		let ends: Vec<_> =
			self.processes().map(|p| Box::pin(async move { p.obituary(p.ended().await) })).collect();
		if ends.is_empty() {
			return std::future::pending().await;
		}
		select_all(ends).await.0
	}

	/// Does `work`, unless a process ends that should run.
	///
	/// # Errors
	/// Those of the work, or [`Devnet::first_death`].
	pub async fn guard<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
		tokio::select! {
			biased;
			death = self.first_death() => Err(death),
			done = work => done,
		}
	}

	/// `kill -9` of a worker's daemon.
	///
	/// # Errors
	/// When it does not run.
	pub async fn kill_worker(&mut self, index: usize) -> Result<()> {
		let worker = &mut self.workers[index];
		let daemon = worker.daemon.take().filter(Process::is_running);
		daemon.with_context(|| format!("{} does not run", worker.name))?.kill().await;
		Ok(())
	}

	/// Starts a worker's daemon again, as it was.
	///
	/// # Errors
	/// When it runs or cannot be started.
	pub fn restart_worker(&mut self, index: usize) -> Result<()> {
		self.workers[index].start()
	}

	/// `kill -9` of a worker's daemon, and its base path is gone, too: nobody will ever start it again.
	///
	/// # Errors
	/// When it does not run, or its folder cannot be moved away.
	pub async fn kill_worker_for_good(&mut self, index: usize) -> Result<()> {
		self.kill_worker(index).await?;
		let worker = &self.workers[index];
		let away = worker.base.with_extension("lost");
		fs::rename(&worker.base, &away).with_context(|| format!("cannot move {}", worker.base.display()))
	}

	/// Whether a validator runs.
	///
	/// # Panics
	/// When there is none with this index.
	pub fn validator_is_running(&self, index: usize) -> bool {
		self.validators[index].process.as_ref().is_some_and(Process::is_running)
	}

	/// `kill -9` of a validator.
	///
	/// # Errors
	/// When it does not run.
	pub async fn kill_validator(&mut self, index: usize) -> Result<()> {
		let validator = &mut self.validators[index];
		let process = validator.process.take().filter(Process::is_running);
		process.with_context(|| format!("{} does not run", validator.name))?.kill().await;
		Ok(())
	}

	/// Starts a validator again and waits until its RPC answers.
	///
	/// # Errors
	/// When it runs or cannot be started.
	pub async fn restart_validator(&mut self, index: usize) -> Result<()> {
		ensure!(self.validators[index].process.is_none(), "{} runs already", self.validators[index].name);
		self.start_validator(index)?;
		self.guard(self.wait_until_up()).await
	}

	/// A validator's base path.
	///
	/// # Panics
	/// When there is none with this index.
	pub fn validator_base(&self, index: usize) -> &Path {
		&self.validators[index].base
	}

	/// Follows the programme at finalised blocks.
	///
	/// # Errors
	/// When the node cannot be asked.
	pub async fn watch(&self) -> Result<Watch<'_>> {
		let heads = self.guard(self.rpc().heads()).await?;
		Ok(Watch { net: self, heads, moved: Instant::now(), last: String::new() })
	}

	/// Waits until `done` gives something for the state at a finalised block.
	///
	/// # Errors
	/// When the chain or the programme stands still, or a process dies.
	pub async fn wait_until<T>(&self, mut done: impl FnMut(&Snapshot) -> Option<T>) -> Result<T> {
		let mut watch = self.watch().await?;
		loop {
			if let Some(answer) = done(&watch.next().await?) {
				return Ok(answer);
			}
		}
	}

	/// Waits until a round is settled, whatever its outcome, and gives it as the finalised chain has it.
	///
	/// # Errors
	/// As [`Devnet::wait_until`].
	pub async fn wait_for_round(&self, index: u32) -> Result<RoundInfo> {
		let head = self.wait_until(|s| s.is_settled(index).then(|| s.head.clone())).await?;
		self.guard(self.rpc().round(PROGRAMME, index, Some(&head.hash))).await
	}

	/// Waits until this many rounds were finalised.
	///
	/// # Errors
	/// As [`Devnet::wait_until`].
	pub async fn wait_for_finalised(&self, rounds: u32) -> Result<Head> {
		self.wait_until(|s| (s.programme.finalised >= rounds).then(|| s.head.clone())).await
	}

	/// The file of an artifact, in the store of whichever worker has it.
	///
	/// # Errors
	/// When no worker has it.
	pub fn artifact(&self, hash: &H256) -> Result<PathBuf> {
		let stores =
			self.workers.iter().filter_map(|w| cairn_artifacts::Store::open_read_only(w.store()).ok());
		let mut holders = stores.filter(|store| store.contains(hash));
		holders
			.next()
			.map(|store| store.path(hash))
			.with_context(|| format!("no worker has the artifact {hash:?}"))
	}

	/// Held-out loss and accuracy of weights, by a separate process, from the stored artifacts.
	///
	/// # Errors
	/// When no worker has them, or the evaluation fails.
	pub async fn evaluate(&self, weights: &H256, config: &H256) -> Result<Evaluation> {
		let (weights, config) = (self.artifact(weights)?, self.artifact(config)?);
		let (weights, config) = (weights.display().to_string(), config.display().to_string());
		let worker = self.workers.iter().find(|w| w.base.is_dir()).context("no worker is left")?;
		let args = ["evaluate", "--weights", &weights, "--config", &config, "--data", "digits"];
		worker.cli(&args).await?.json()
	}

	/// Recomputes the aggregate of a finalised round by a separate process, from the stored artifacts and the chain.
	/// Exit code 0 of `cairn recompute` says that it equals the chain's.
	///
	/// # Errors
	/// When the process cannot be started. What it found is in the result.
	pub async fn recompute(&self, round: u32) -> Result<Finished> {
		let mut command = Command::new(&self.binaries.auditor);
		clean_environment(&mut command);
		if let Some(machine) = &self.machines[0] {
			machine.namespace().enter(&mut command);
		}
		command.args(["recompute", "--node", self.rpc().url()]);
		for worker in self.workers.iter().filter(|w| w.store().is_dir()) {
			command.arg("--store").arg(worker.store());
		}
		command.args(["--programme", &PROGRAMME.to_string(), "--round", &round.to_string(), "--json"]);
		run(command).await
	}

	/// Stops everything, in order: the workers end what they are doing, then the validators.
	pub async fn shutdown(mut self, keep: Keep) {
		self.ui.status("stopping");
		join_all(self.workers.iter().filter_map(|w| w.daemon.as_ref()).map(Process::stop)).await;
		join_all(self.validators.iter().filter_map(|v| v.process.as_ref()).map(Process::stop)).await;
		self.workers.clear();
		self.validators.clear();
		if let Some(data) = self.data.take() {
			if data.temporary && keep == Keep::No {
				// What cannot be removed is the system's temporary folder's to clean.
				let _ = fs::remove_dir_all(&data.path);
			}
		}
	}
}

impl Drop for Devnet {
	fn drop(&mut self) {
		// Reached without `shutdown` when a test panics or an error is passed on; each handle kills its process.
		if let Some(data) = &self.data {
			eprintln!("devnet: everything is stopped; data and logs stay in {}", data.path.display());
		}
	}
}

/// Points of one round are worth this much together, in plancks: 1,000 CRN.
const REWARD: u64 = 1_000_000_000_000_000;

/// A validator's secret: the well-known development keys, then numbered ones.
fn suri(index: usize) -> String {
	const NAMES: [&str; 6] = ["Alice", "Bob", "Charlie", "Dave", "Eve", "Ferdie"];
	match NAMES.get(index) {
		Some(name) => format!("//{name}"),
		None => format!("//Validator//{}", index + 1),
	}
}

/// What an evaluation on the held-out samples gave.
#[derive(Clone, Copy, Debug, PartialEq, serde::Deserialize)]
pub struct Evaluation {
	/// Mean cross entropy, nats.
	pub loss: f64,
	/// Part of the samples that were classified rightly.
	pub accuracy: f64,
	/// How many samples.
	pub samples: u64,
}

/// The programme at a finalised block.
#[derive(Clone, Debug)]
pub struct Snapshot {
	/// The block.
	pub head: Head,
	/// The programme.
	pub programme: ProgrammeInfo,
	/// Its running round.
	pub round: Option<RoundInfo>,
}

impl Snapshot {
	/// Whether a round is over.
	pub fn is_settled(&self, index: u32) -> bool {
		let newest = self.programme.round;
		index < newest
			|| (index == newest && self.round.is_none() && self.programme.state != ProgrammeState::Open)
	}

	/// One line for a person.
	pub fn status(&self) -> String {
		let Some(round) = &self.round else {
			return match self.programme.state {
				ProgrammeState::Completed => "all rounds are done".into(),
				ProgrammeState::Unfunded => "the programme's pot is empty".into(),
				ProgrammeState::Open => "between two rounds".into(),
				ProgrammeState::Paused => "governance paused the programme".into(),
				ProgrammeState::Barred => "the charter does not allow the next round".into(),
				ProgrammeState::Closed => "governance closed the programme".into(),
			};
		};
		let members = round.committee.len();
		let acted = |f: fn(&crate::rpc::Member) -> bool| round.committee.iter().filter(|m| f(m)).count();
		let what = match round.phase {
			Phase::Commit => {
				format!("{} of {} updates committed", round.commit_count, self.programme.target_updates)
			},
			Phase::Availability => {
				format!("{} of {members} aggregators voted availability", acted(|m| m.bitmap.is_some()))
			},
			Phase::Aggregate => format!("{} of {members} aggregates committed", acted(|m| m.committed)),
			Phase::Reveal => format!("{} of {members} aggregates revealed", acted(|m| m.revealed.is_some())),
			Phase::Challenge => "the result can be challenged".into(),
			Phase::AuditAggregate | Phase::AuditReveal => "the result is audited".into(),
			Phase::Finalised => "finalised".into(),
			Phase::Failed => "failed".into(),
		};
		let again =
			if round.attempt > 0 { format!(", committee {}", round.attempt + 1) } else { String::new() };
		format!("round {}{again}: {what}", round.index)
	}
}

/// Follows the programme at finalised blocks. See [`Devnet::watch`].
pub struct Watch<'a> {
	net: &'a Devnet,
	heads: Heads,
	moved: Instant,
	last: String,
}

impl Watch<'_> {
	/// The state at the next finalised block.
	///
	/// # Errors
	/// When the chain or the programme stands still, or a process dies.
	pub async fn next(&mut self) -> Result<Snapshot> {
		let (net, heads) = (self.net, &mut self.heads);
		let snapshot = net
			.guard(async {
				let head = heads.next().await?;
				let at = Some(head.hash.as_str());
				let programme = net.rpc().programme(PROGRAMME, at).await?;
				let round = net.rpc().current_round(PROGRAMME, at).await?;
				Ok(Snapshot { head, programme, round })
			})
			.await?;
		// Everything that a step of the programme changes, and nothing that time alone does.
		let now = format!("{:?} {:?}", snapshot.programme, snapshot.round);
		if now != self.last {
			(self.last, self.moved) = (now, Instant::now());
		} else if snapshot.programme.state == ProgrammeState::Open && self.moved.elapsed() > PATIENCE {
			bail!(
				"nothing has happened in the programme for {} seconds ({}), though blocks are finalised: look into the \
				 workers' logs in {}",
				PATIENCE.as_secs(),
				snapshot.status(),
				net.logs().display()
			);
		}
		Ok(snapshot)
	}
}

impl FromStr for Model {
	type Err = String;
	fn from_str(text: &str) -> Result<Self, String> {
		clap::ValueEnum::from_str(text, true)
	}
}

#[cfg(test)]
mod tests {
	#![allow(clippy::unwrap_used)]
	use super::*;

	#[test]
	fn model_files_are_toml_with_the_fields_that_the_devnet_sets() {
		for model in [Model::Mlp, Model::Cnn] {
			let table: toml::Table = model.config().parse().unwrap();
			assert!(table.contains_key("genesis_seed") && table.contains_key("local_steps"));
		}
	}

	#[test]
	fn impossible_networks_are_refused_before_anything_starts() {
		let refused = |builder: Builder| builder.check().unwrap_err().to_string();
		assert!(refused(Devnet::builder().aggregators(6usize)).contains("6 of 5"));
		assert!(refused(Devnet::builder().validators(0usize)).contains("1 to 20"));
		assert!(refused(Devnet::builder().validators(1usize).pruning(64u32)).contains("only validator"));
		assert!(refused(Devnet::builder().alpha(0.0)).contains("alpha"));
		assert!(refused(
			Devnet::builder().aggregation(cairn_primitives::AggregationRule::TrimmedMean { trim: 3 })
		)
		.contains("7 updates"));
		assert!(refused(Devnet::builder().committee(Some(4))).contains("4"));
		assert!(Devnet::builder().check().is_ok());
		assert!(Devnet::builder().workers(1usize).aggregators(1usize).check().is_ok());
	}

	#[test]
	fn data_folder_of_somebody_else_is_left_alone() {
		let dir = tempfile::tempdir().unwrap();
		fs::write(dir.path().join("thesis.tex"), "years of work").unwrap();
		let message = DataDir::open(Some(dir.path())).err().unwrap().to_string();
		assert!(message.contains("not empty") && message.contains("--data-dir"), "{message}");
		assert!(dir.path().join("thesis.tex").is_file());
	}

	#[test]
	fn data_folder_of_an_earlier_devnet_is_emptied_but_not_while_it_runs() {
		let dir = tempfile::tempdir().unwrap();
		let first = DataDir::open(Some(dir.path())).unwrap();
		fs::create_dir(first.path.join("workers")).unwrap();
		let message = DataDir::open(Some(dir.path())).err().unwrap().to_string();
		assert!(message.contains("another devnet"), "{message}");
		assert!(dir.path().join("workers").is_dir());
		drop(first);
		let second = DataDir::open(Some(dir.path())).unwrap();
		assert!(!dir.path().join("workers").exists());
		assert!(!second.temporary);
	}

	#[test]
	fn validators_have_the_well_known_keys_first() {
		assert_eq!([suri(0), suri(5), suri(6)], ["//Alice", "//Ferdie", "//Validator//7"]);
	}
}
