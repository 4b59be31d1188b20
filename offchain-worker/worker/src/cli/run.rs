//! `cairn-worker run`

use super::{args::RunArgs, data::local_data, App, CliError};
use crate::{
	base::BasePath,
	chain::{rpc::Notice, Chain, Heads, RpcPool, RpcSettings, Submitter, TxCounts},
	daemon::{
		self, retention, ChainPolicy, Context, Ledger, LiveLedger, NetworkExchange, Pace, Report, Withheld,
		HAND_OVER,
	},
	journal::{Journal, SharedJournal},
	keys::Keys,
	metrics::{self, Metrics, Sampled},
	output::Output,
	plan::{Duties, Role},
	trainer::{LibtorchTrainer, Trainer},
};
use cairn_artifacts::Store;
use cairn_network::{parse_multiaddr, Limits, Network, NetworkConfig};
use cairn_training::set_threads;
use serde_json::json;
use std::{
	collections::HashSet,
	net::{IpAddr, Ipv4Addr, SocketAddr},
	num::NonZeroU32,
	sync::Arc,
	time::Duration,
};
use tokio::{
	signal::unix::{signal, SignalKind},
	sync::{watch, Semaphore},
};

/// Where to listen when nobody says otherwise: everywhere, on a port that the system chooses.
const DEFAULT_LISTEN: &str = "/ip4/0.0.0.0/tcp/0";

/// What flags, environment and file add up to.
struct Plan {
	duties: Duties,
	listen: Vec<cairn_network::Multiaddr>,
	external: Vec<cairn_network::Multiaddr>,
	bootstrap: Vec<cairn_network::Multiaddr>,
	trainer: Option<LibtorchTrainer>,
	seed: u64,
	threads: usize,
	prometheus: Option<SocketAddr>,
	keep_rounds: NonZeroU32,
	disk_quota: Option<u64>,
	upload_rate: Option<u64>,
	guests: Option<usize>,
	guest_rate: Option<u64>,
}

fn layer<T: Clone>(flags: &[T], file: &[T]) -> Vec<T> {
	if flags.is_empty() { file } else { flags }.to_vec()
}

fn addresses(flag: &str, texts: &[String]) -> Result<Vec<cairn_network::Multiaddr>, CliError> {
	let parse = |t: &String| parse_multiaddr(t).map_err(|e| CliError::Usage(format!("{flag}: {e}")));
	texts.iter().map(parse).collect()
}

fn prepare(app: &App, args: &RunArgs) -> Result<Plan, CliError> {
	let file = &app.settings.run;
	let roles = layer(&args.role, &file.role);
	if roles.is_empty() {
		return Err(CliError::Usage(
			"say what to do: --role trainer, --role aggregator, or both (or `role` in the [run] table of worker.toml)".into(),
		));
	}
	let duties = Duties {
		trainer: roles.contains(&Role::Trainer),
		aggregator: roles.contains(&Role::Aggregator),
		programmes: layer(&args.programme, &file.programme),
	};
	let mut listen = layer(&args.listen, &file.listen);
	if listen.is_empty() {
		listen.push(DEFAULT_LISTEN.into());
	}
	let seed = args.partition.partition_seed.or(file.partition_seed).unwrap_or(0);
	let threads = args.threads.or(file.threads);
	// The data come before anything else, so that what is wrong with them is said at once.
	let trainer = duties.trainer.then(|| {
		let (data, device) = local_data(app, &args.data, &args.partition)?;
		Ok::<_, CliError>(LibtorchTrainer::new(data, device))
	});
	if let Some(threads) = threads {
		set_threads(threads);
	}
	let host = args.prometheus_host.or(file.prometheus_host).unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
	let prometheus = args.prometheus_port.or(file.prometheus_port).map(|port| SocketAddr::new(host, port));
	let cores = std::thread::available_parallelism().map_or(1, usize::from);
	Ok(Plan {
		listen: addresses("--listen", &listen)?,
		external: addresses("--external", &layer(&args.external, &file.external))?,
		bootstrap: addresses("--bootstrap", &layer(&args.bootstrap, &file.bootstrap))?,
		duties,
		trainer: trainer.transpose()?,
		seed,
		threads: threads.map_or(cores, |n| n.get().into()),
		prometheus,
		keep_rounds: args.keep_rounds.or(file.keep_rounds).unwrap_or(retention::DEFAULT_ROUNDS),
		disk_quota: args.disk_quota.or(file.disk_quota),
		upload_rate: args.upload_rate.or(file.upload_rate).map(Into::into),
		guests: args.guests.or(file.guests),
		guest_rate: args.guest_rate.or(file.guest_rate).map(Into::into),
	})
}

pub(super) async fn run(app: &App, args: RunArgs) -> Result<(), CliError> {
	let base = app.base()?;
	// Before anything that a second daemon could disturb.
	let _lock = base.lock()?;
	// What an earlier process that was killed has left must not pass for this one's word.
	Report::remove(&Report::path(base.path()));
	let keys = Keys::load(&base)?;
	let plan = prepare(app, &args)?;
	let (stop_tx, stop) = watch::channel(false);
	listen_for_signals(&app.output, stop_tx)?;
	let mut stopped = stop.clone();
	// Stopping must work while no node answers, too.
	tokio::select! {
		result = serve(app, &base, keys, plan, stop) => result,
		() = async {
			drop(stopped.wait_for(|stop| *stop).await);
			// The daemon bounds its own end. This is for what it hangs in; the journal has what is needed to go on.
			tokio::time::sleep(HAND_OVER + Duration::from_secs(10)).await;
		} => Ok(()),
	}
}

async fn serve(
	app: &App,
	base: &BasePath,
	keys: Keys,
	plan: Plan,
	stop: watch::Receiver<bool>,
) -> Result<(), CliError> {
	let store = Store::open(base.store())?;
	let me = keys.account_id();
	let journal = SharedJournal::new(Journal::open(base, &me)?);
	let counted = Arc::new(Metrics::default());
	let observing = counted.clone();
	app.output.observe(move |event, fields| observing.observe(event, fields));
	if let Some(address) = plan.prometheus {
		let listener = metrics::bind(address).await.map_err(CliError::failed)?;
		let address = listener.local_addr().map_err(CliError::failed)?;
		let text = format!("metrics are served at http://{address}/metrics");
		app.output.event("metrics.serving", json!({ "address": address }), text);
		tokio::spawn(metrics::serve(listener, counted.clone()));
	}
	let mut stopping = stop.clone();
	tracing::debug!("connecting to {}", app.settings.nodes.join(", "));
	let connecting = async {
		let output = app.output.clone();
		let rpc = |settings: RpcSettings| {
			RpcPool::with_notices(app.settings.nodes.clone(), settings, move |notice| say(&output, &notice))
		};
		let chain = app.connect_over(base, None, rpc).await?;
		let heads = Heads::follow(&chain).await?;
		Ok::<(Chain, Heads), CliError>((chain, heads))
	};
	let (chain, heads) = tokio::select! {
		connected = connecting => connected?,
		_ = stopping.wait_for(|stop| *stop) => return Ok(()),
	};
	let submitter =
		Submitter::new(chain.clone(), heads.clone(), keys.signer().clone(), Arc::new(journal.clone()));
	let transactions = submitter.counts();
	let ledger = Arc::new(LiveLedger::new(chain.clone(), heads, submitter, keys.network_key()));
	let ledger: Arc<dyn Ledger> = app.embedding.ledger(ledger, &journal, me);
	let withheld = Withheld::from_journal(&journal.state());
	let policy = Arc::new(ChainPolicy::new(ledger.clone(), withheld.clone()));
	let policy = app.embedding.policy(policy, &store);
	let default = Limits::default();
	let limits = Limits {
		shutdown_grace: Duration::from_secs(2),
		disk_quota: plan.disk_quota,
		serving_rate_per_peer: plan.upload_rate,
		max_guests: plan.guests.unwrap_or(default.max_guests),
		guest_rate: plan.guest_rate.unwrap_or(default.guest_rate),
		..default
	};
	let config = NetworkConfig {
		limits,
		listen: plan.listen,
		external: plan.external,
		bootstrap: plan.bootstrap,
		..NetworkConfig::new(keys.network_keypair(), chain.genesis())
	};
	let network = Network::start(config, store.clone(), policy).await.map_err(CliError::failed)?;
	let samples = plan.trainer.as_ref().map(LibtorchTrainer::samples);
	let listen: Vec<String> = network.listen_addrs().iter().map(ToString::to_string).collect();
	let fields = json!({
		"account": me, "peerId": keys.peer_id().to_string(), "genesis": chain.genesis(), "listen": listen,
		"trainer": plan.duties.trainer, "aggregator": plan.duties.aggregator, "samples": samples,
		"process": std::process::id(),
	});
	let text = format!("worker {me} is running, listening on {}", listen.join(", "));
	app.output.event("worker.started", fields, text);

	counted.sample(sampler(network.clone(), transactions, journal.clone(), store.clone()));
	let context = Arc::new(Context {
		ledger,
		exchange: Arc::new(NetworkExchange(network.clone())),
		trainer: plan.trainer.map(|t| app.embedding.trainer(Arc::new(t) as Arc<dyn Trainer>)),
		store,
		journal,
		withheld,
		output: app.output.clone(),
		me,
		duties: plan.duties,
		seed: plan.seed,
		threads: plan.threads,
		training: Semaphore::new(1),
		announced: HashSet::new().into(),
		pace: Pace::default(),
		metrics: counted,
		report: Some(Report::path(base.path())),
		latest: watch::Sender::new(None),
		stalled: daemon::STALLED,
	});
	let collecting = tokio::spawn(retention::run(context.clone(), plan.keep_rounds, stop.clone()));
	let outcome = daemon::run(context, stop).await;
	collecting.abort();
	network.shutdown().await;
	app.output.event("worker.stopped", json!({}), "worker stopped");
	Ok(outcome?)
}

/// Says that no node answers, and that one does again.
fn say(output: &Output, notice: &Notice) {
	match notice {
		Notice::Waiting { since, reasons } => {
			let seconds = since.as_secs();
			let since = match seconds {
				0 => "no node answers".to_string(),
				_ => format!("no node has answered for {seconds} s"),
			};
			let reason = format!(
				"{since} ({reasons}). Start a node, or name another with --node; this worker tries on"
			);
			let text = format!("waiting: {reason}");
			output.event("chain.waiting", json!({ "reason": reason, "seconds": seconds }), text);
		},
		Notice::Connected { url } => {
			output.event("chain.connected", json!({ "node": url }), format!("connected to {url}"));
		},
	}
}

/// What is counted elsewhere, for the metrics.
fn sampler(
	network: Network,
	transactions: Arc<TxCounts>,
	journal: SharedJournal,
	store: Store,
) -> impl Fn() -> Sampled {
	move || {
		let hashes = store.list().unwrap_or_default();
		let sizes = hashes.iter().filter_map(|hash| store.size(hash).ok().flatten());
		Sampled {
			network: network.counters(),
			transactions: transactions.all().to_vec(),
			journal_bytes: journal.bytes(),
			store_bytes: sizes.sum(),
			store_artifacts: hashes.len() as u64,
		}
	}
}

/// Turns SIGINT and SIGTERM into a request to stop.
pub(crate) fn listen_for_signals(output: &Output, stop: watch::Sender<bool>) -> Result<(), CliError> {
	let listen = |kind| signal(kind).map_err(|e| CliError::Failed(format!("cannot listen for signals: {e}")));
	let (mut interrupt, mut terminate) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
	let output = output.clone();
	tokio::spawn(async move {
		let name = tokio::select! {
			_ = interrupt.recv() => "SIGINT",
			_ = terminate.recv() => "SIGTERM",
		};
		let text = format!("{name}: stopping");
		output.event("worker.stopping", json!({ "signal": name }), text);
		stop.send_replace(true);
		// Whoever asks twice does not want to wait. The journal allows it at any moment.
		tokio::select! {
			_ = interrupt.recv() => {},
			_ = terminate.recv() => {},
		}
		std::process::exit(130);
	});
	Ok(())
}
