//! JSON-RPC over WebSocket that outlives a node: reconnects with backoff, goes to the next `--node` when one does not
//! answer, takes subscriptions up again, and never talks to a node of another chain.

use cairn_primitives::H256;
use futures::stream::{BoxStream, StreamExt};
use jsonrpsee::{
	core::{
		client::{ClientT, Error as ClientError, Subscription, SubscriptionClientT},
		traits::ToRpcParams,
	},
	ws_client::{PingConfig, WsClient, WsClientBuilder},
};
use serde::{de::DeserializeOwned, Serialize};
use serde_json::value::RawValue;
use std::{
	sync::{Arc, Mutex, MutexGuard, PoisonError},
	time::Duration,
};
use subxt::rpcs;
use tokio::{
	sync::watch,
	task::JoinSet,
	time::{sleep, timeout, Instant},
};
use tracing_subscriber::fmt::{
	format::Writer,
	time::{FormatTime, SystemTime},
};

/// How patient the worker is with its nodes. The defaults suit a daemon.
#[derive(Clone, Debug)]
pub struct RpcSettings {
	/// How long a connection attempt to one node may take, until it has said which chain it is on.
	pub connect_timeout: Duration,
	/// How long a node may take to answer a request.
	pub request_timeout: Duration,
	/// The first pause after a round of failed attempts; it doubles from there.
	pub backoff: Duration,
	/// The longest pause.
	pub backoff_max: Duration,
	/// After how long without any node a request gives up; `None` for never.
	pub patience: Option<Duration>,
	/// How often to say that no node answers.
	pub remind: Duration,
	/// How long a node may bring no new finalised block before another is tried.
	pub stalled: Duration,
	/// Refuse nodes of any other chain.
	pub genesis: Option<H256>,
}

impl Default for RpcSettings {
	fn default() -> Self {
		Self {
			connect_timeout: Duration::from_secs(10),
			request_timeout: Duration::from_secs(30),
			backoff: Duration::from_millis(250),
			backoff_max: Duration::from_secs(15),
			patience: None,
			remind: Duration::from_secs(30),
			stalled: Duration::from_secs(60),
			genesis: None,
		}
	}
}

/// Why a request has no result.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RpcError {
	/// The node answered with an error.
	#[error("the node refused `{method}`: {message}{data} (code {code})", data = data.as_ref().map(|d| format!(": {d}")).unwrap_or_default())]
	Call {
		/// The method.
		method: String,
		/// JSON-RPC error code.
		code: i32,
		/// Its message.
		message: String,
		/// More about it.
		data: Option<String>,
	},
	/// No node could be reached for as long as the settings allow.
	#[error(
		"no node answers: {reasons}. Start a node, or name another with --node (several are tried in turn)"
	)]
	Unreachable {
		/// Per URL, what happened.
		reasons: String,
	},
	/// Every node that answers is on another chain.
	#[error(
		"wrong chain: {url} is on the chain with genesis {found}, but this worker belongs to the chain with genesis {expected}. \
		 Connect to a node of that chain (--node), or use another --base-path for the other chain",
		found = crate::units::hex(found), expected = crate::units::hex(expected)
	)]
	WrongChain {
		/// The node.
		url: String,
		/// Its chain.
		found: H256,
		/// Ours.
		expected: H256,
	},
	/// The answer has another form than expected.
	#[error("the node's answer to `{method}` cannot be read ({reason}): it speaks another version; use a worker of the same release as the node")]
	Unreadable {
		/// The method.
		method: String,
		/// What is wrong.
		reason: String,
	},
}

impl RpcError {
	/// Whether trying again later may help.
	pub fn is_transient(&self) -> bool {
		matches!(self, Self::Unreachable { .. })
	}
}

/// Already serialised parameters.
struct Params(Option<Box<RawValue>>);

impl ToRpcParams for Params {
	fn to_rpc_params(self) -> Result<Option<Box<RawValue>>, serde_json::Error> {
		Ok(self.0)
	}
}

struct Connection {
	client: WsClient,
	url: String,
	/// Position in the list, so that the next attempt starts after it.
	index: usize,
	genesis: H256,
}

struct Inner {
	urls: Vec<String>,
	settings: Mutex<RpcSettings>,
	current: Mutex<Slot>,
	/// Held by whoever connects; the others wait for it. Only ever locked on a task of its own: [`RpcPool::connection`].
	connecting: tokio::sync::Mutex<()>,
	/// Changes whenever a connection is given up: what hangs on it lets go of it then.
	given_up: watch::Sender<()>,
	/// What to say when no node answers for a while, and when one answers again.
	notice: Box<dyn Fn(Notice) + Send + Sync>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
	mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Default)]
struct Slot {
	connection: Option<Arc<Connection>>,
	/// Where the next connection attempt starts.
	next: usize,
}

/// What the connection says to its user.
#[derive(Clone, Debug)]
pub enum Notice {
	/// No node has answered since `since`; it is still trying.
	Waiting {
		/// How long, so far; zero when it begins.
		since: Duration,
		/// Per URL, what happened.
		reasons: String,
	},
	/// Connected to this node.
	Connected {
		/// The node.
		url: String,
	},
}

/// A connection to whichever node answers. Cheap to clone.
#[derive(Clone)]
pub struct RpcPool(Arc<Inner>);

impl RpcPool {
	/// Prepares connections to these nodes; the first request connects.
	pub fn new(urls: Vec<String>, settings: RpcSettings) -> Self {
		Self::with_notices(urls, settings, |notice| match notice {
			Notice::Waiting { since, reasons } if since.as_secs() == 0 => {
				tracing::warn!("no node answers, trying on: {reasons}");
			},
			Notice::Waiting { since, reasons } => {
				tracing::warn!("no node has answered for {} s, still trying: {reasons}", since.as_secs());
			},
			Notice::Connected { url } => tracing::info!("connected to {url}"),
		})
	}

	/// As [`RpcPool::new`], with somebody who is told of trouble.
	pub fn with_notices(
		urls: Vec<String>,
		settings: RpcSettings,
		notice: impl Fn(Notice) + Send + Sync + 'static,
	) -> Self {
		Self(Arc::new(Inner {
			urls,
			settings: Mutex::new(settings),
			current: Mutex::default(),
			connecting: tokio::sync::Mutex::default(),
			given_up: watch::Sender::new(()),
			notice: Box::new(notice),
		}))
	}

	/// From now on nodes of any other chain are refused.
	pub fn require_genesis(&self, genesis: H256) {
		lock(&self.0.settings).genesis = Some(genesis);
	}

	/// From now on give up after this long without any node; `None` for never.
	pub fn set_patience(&self, patience: Option<Duration>) {
		lock(&self.0.settings).patience = patience;
	}

	fn settings(&self) -> RpcSettings {
		lock(&self.0.settings).clone()
	}

	/// The longest pause between attempts.
	pub(crate) fn longest_pause(&self) -> Duration {
		self.settings().backoff_max
	}

	/// How long a node may bring no new finalised block.
	pub(crate) fn stalled(&self) -> Duration {
		self.settings().stalled
	}

	/// Whether there is another node to go to.
	pub(crate) fn has_others(&self) -> bool {
		self.0.urls.len() > 1
	}

	/// The genesis hash of the connected chain.
	///
	/// # Errors
	/// When no node can be reached.
	pub async fn genesis(&self) -> Result<H256, RpcError> {
		Ok(self.connection().await?.genesis)
	}

	/// The node in use, if one is connected.
	pub fn url(&self) -> Option<String> {
		lock(&self.0.current).connection.as_ref().map(|c| c.url.clone())
	}

	/// Leaves the current node for the next, for one that answers but does not get on. Subscriptions leave it, too.
	pub fn rotate(&self) {
		if self.has_others() {
			lock(&self.0.current).connection = None;
			self.0.given_up.send_replace(());
		}
	}

	/// Makes a request, on another connection or another node if need be. All requests the worker makes may be
	/// repeated without harm.
	///
	/// # Errors
	/// What the node answered, or that none did.
	pub async fn request_raw(
		&self,
		method: &str,
		params: Option<Box<RawValue>>,
	) -> Result<Box<RawValue>, RpcError> {
		let started = Instant::now();
		loop {
			let connection = self.connection_since(started).await?;
			match connection.client.request::<Box<RawValue>, _>(method, Params(params.clone())).await {
				Ok(value) => return Ok(value),
				Err(ClientError::Call(e)) => {
					return Err(RpcError::Call {
						method: method.to_string(),
						code: e.code(),
						message: e.message().to_string(),
						data: e.data().map(|d| d.get().trim_matches('"').to_string()),
					})
				},
				Err(ClientError::ParseError(e)) => {
					return Err(RpcError::Unreadable { method: method.to_string(), reason: e.to_string() })
				},
				Err(e) => {
					tracing::debug!("{method} on {}: {e}", connection.url);
					self.drop_connection(&connection);
					let settings = self.settings();
					if settings.patience.is_some_and(|p| started.elapsed() >= p) {
						return Err(RpcError::Unreachable { reasons: format!("{}: {e}", connection.url) });
					}
					sleep(settings.backoff).await;
				},
			}
		}
	}

	/// Makes a request with typed parameters and result.
	///
	/// # Errors
	/// As [`RpcPool::request_raw`], and when the answer does not have the expected form.
	pub async fn request<R: DeserializeOwned>(
		&self,
		method: &str,
		params: impl Serialize,
	) -> Result<R, RpcError> {
		let unreadable =
			|e: serde_json::Error| RpcError::Unreadable { method: method.to_string(), reason: e.to_string() };
		let params = serde_json::value::to_raw_value(&params).map_err(unreadable)?;
		// `()` stands for no parameters.
		let params = (params.get() != "null").then_some(params);
		let answer = self.request_raw(method, params).await?;
		serde_json::from_str(answer.get()).map_err(unreadable)
	}

	/// A subscription that is taken up again on another connection when one is lost. Items may repeat or be missing
	/// around a reconnection; it ends only when every node is on the wrong chain or patience runs out.
	pub fn subscribe<T: DeserializeOwned + Send + 'static>(
		&self,
		method: &'static str,
		unsubscribe: &'static str,
	) -> BoxStream<'static, Result<T, RpcError>> {
		struct State<T> {
			pool: RpcPool,
			given_up: watch::Receiver<()>,
			live: Option<(Arc<Connection>, Subscription<T>)>,
			failed: bool,
		}
		let given_up = self.0.given_up.subscribe();
		let state = State::<T> { pool: self.clone(), given_up, live: None, failed: false };
		futures::stream::unfold(state, move |mut state| async move {
			if state.failed {
				return None;
			}
			loop {
				if let Some((connection, subscription)) = &mut state.live {
					let next = tokio::select! {
						next = subscription.next() => next,
						// The pool has left this node, which may still go on sending.
						_ = state.given_up.changed() => {
							state.live = None;
							continue;
						},
					};
					match next {
						Some(Ok(item)) => return Some((Ok(item), state)),
						Some(Err(e)) => {
							let reason = e.to_string();
							return Some((
								Err(RpcError::Unreadable { method: method.into(), reason }),
								state,
							));
						},
						// The node ended it (it does so to slow readers), or it is gone.
						None => {
							if !connection.client.is_connected() {
								state.pool.drop_connection(connection);
							}
							state.live = None;
							sleep(state.pool.settings().backoff).await;
						},
					}
					continue;
				}
				// Before asking for a connection, so that its loss is not missed.
				state.given_up.mark_unchanged();
				let connection = match state.pool.connection().await {
					Ok(connection) => connection,
					Err(e) => {
						state.failed = true;
						return Some((Err(e), state));
					},
				};
				match connection.client.subscribe::<T, _>(method, Params(None), unsubscribe).await {
					Ok(subscription) => state.live = Some((connection, subscription)),
					Err(ClientError::Call(e)) => {
						state.failed = true;
						let error = RpcError::Call {
							method: method.to_string(),
							code: e.code(),
							message: e.message().to_string(),
							data: e.data().map(|d| d.get().to_string()),
						};
						return Some((Err(error), state));
					},
					Err(e) => {
						tracing::debug!("{method} on {}: {e}", connection.url);
						state.pool.drop_connection(&connection);
						sleep(state.pool.settings().backoff).await;
					},
				}
			}
		})
		.boxed()
	}

	fn drop_connection(&self, bad: &Arc<Connection>) {
		let mut slot = lock(&self.0.current);
		// Another task may have reconnected since.
		if slot.connection.as_ref().is_some_and(|c| Arc::ptr_eq(c, bad)) {
			slot.connection = None;
			self.0.given_up.send_replace(());
		}
	}

	/// The connection in use, if it has not ended.
	fn live(&self) -> Option<Arc<Connection>> {
		lock(&self.0.current).connection.clone().filter(|c| c.client.is_connected())
	}

	async fn connection(&self) -> Result<Arc<Connection>, RpcError> {
		self.connection_since(Instant::now()).await
	}

	async fn connection_since(&self, started: Instant) -> Result<Arc<Connection>, RpcError> {
		if let Some(connection) = self.live() {
			return Ok(connection);
		}
		// On a task of its own, which ends with this future. This future may be left alone for a while, in a subscription
		// whose user makes a request meanwhile; what nobody polls must neither connect for everybody nor be next to.
		let pool = self.clone();
		let mut connecting = JoinSet::new();
		connecting.spawn(async move { pool.connect_since(started).await });
		match connecting.join_next().await {
			Some(Ok(result)) => result,
			// Only when it has panicked, or the runtime shuts down.
			Some(Err(error)) => Err(RpcError::Unreachable { reasons: error.to_string() }),
			None => Err(RpcError::Unreachable { reasons: "nothing was tried".into() }),
		}
	}

	/// Connects, unless somebody else has done so before it comes to that.
	async fn connect_since(&self, started: Instant) -> Result<Arc<Connection>, RpcError> {
		let _first = self.0.connecting.lock().await;
		if let Some(connection) = self.live() {
			return Ok(connection);
		}
		let began = Instant::now();
		let mut pause = self.settings().backoff;
		let mut reminded = None::<Instant>;
		loop {
			let settings = self.settings();
			let mut reasons = Vec::new();
			let mut wrong = None;
			let first = lock(&self.0.current).next;
			for offset in 0..self.0.urls.len() {
				let index = (first + offset) % self.0.urls.len();
				let url = &self.0.urls[index];
				let within = settings.connect_timeout;
				let connected = timeout(within, connect(url, index, &settings)).await.unwrap_or_else(|_| {
					Err(ConnectError::Other(format!("no answer within {:.1} s", within.as_secs_f64())))
				});
				match connected {
					Ok(connection) => {
						let connection = Arc::new(connection);
						let slot = Slot { connection: Some(connection.clone()), next: index + 1 };
						*lock(&self.0.current) = slot;
						(self.0.notice)(Notice::Connected { url: url.clone() });
						return Ok(connection);
					},
					Err(ConnectError::Wrong { found, expected }) => {
						reasons.push(format!("{url}: wrong chain, genesis {}", crate::units::hex(found)));
						wrong = Some(RpcError::WrongChain { url: url.clone(), found, expected });
					},
					Err(ConnectError::Other(reason)) => reasons.push(format!("{url}: {reason}")),
				}
			}
			if let Some(wrong) = wrong {
				if reasons.len() == 1 || reasons.iter().all(|r| r.contains("wrong chain")) {
					return Err(wrong);
				}
			}
			let reasons = reasons.join("; ");
			if settings.patience.is_some_and(|p| started.elapsed().max(began.elapsed()) >= p) {
				return Err(RpcError::Unreachable { reasons });
			}
			if reminded.is_none_or(|at| at.elapsed() >= settings.remind) {
				let since = reminded.map_or(Duration::ZERO, |_| began.elapsed());
				reminded = Some(Instant::now());
				(self.0.notice)(Notice::Waiting { since, reasons });
			}
			sleep(pause).await;
			pause = (pause * 2).min(settings.backoff_max);
		}
	}
}

enum ConnectError {
	Wrong { found: H256, expected: H256 },
	Other(String),
}

async fn connect(url: &str, index: usize, settings: &RpcSettings) -> Result<Connection, ConnectError> {
	let other = |e: &dyn std::fmt::Display| ConnectError::Other(e.to_string());
	let ping = PingConfig::new()
		.ping_interval(Duration::from_secs(15))
		.inactive_limit(Duration::from_secs(20))
		.max_failures(2);
	let building = WsClientBuilder::default()
		.connection_timeout(settings.connect_timeout)
		.request_timeout(settings.request_timeout)
		// Metadata and blocks are large; the node's own default is 15 MB.
		.max_response_size(64 * 1024 * 1024)
		.max_buffer_capacity_per_subscription(4096)
		.enable_ws_ping(ping)
		.build(url);
	let client = building.await.map_err(|e| other(&with_hint(root_cause(&e))))?;
	let first: H256 = client.request("chain_getBlockHash", [0u32]).await.map_err(|e| other(&e))?;
	match settings.genesis {
		Some(expected) if expected != first => Err(ConnectError::Wrong { found: first, expected }),
		_ => Ok(Connection { client, url: url.to_string(), index, genesis: first }),
	}
}

fn root_cause(error: &dyn std::error::Error) -> String {
	let mut cause = error;
	while let Some(source) = cause.source() {
		cause = source;
	}
	cause.to_string()
}

/// Why a connection failed, and where to look when it is about time: rustls names neither the clock nor a remedy.
pub(super) fn with_hint(reason: String) -> String {
	const UNTIMELY: [&str; 4] = [
		"certificate expired",
		"certificate not valid yet",
		"invalid peer certificate: Expired",
		"invalid peer certificate: NotValidYet",
	];
	if !UNTIMELY.iter().any(|words| reason.contains(words)) {
		return reason;
	}
	let mut now = String::new();
	// Writing to a string does not fail.
	let _ = SystemTime.format_time(&mut Writer::new(&mut now));
	format!("{reason}. Check this machine's clock: it says {now}; if that is right, the node's certificate is not")
}

impl std::fmt::Debug for RpcPool {
	fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
		write!(f, "RpcPool({})", self.0.urls.join(", "))
	}
}

impl std::fmt::Debug for Connection {
	fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
		write!(f, "Connection({}, {})", self.index, self.url)
	}
}

/// Lets subxt read blocks, events and metadata over the same connections.
impl rpcs::RpcClientT for RpcPool {
	fn request_raw<'a>(
		&'a self,
		method: &'a str,
		params: Option<Box<RawValue>>,
	) -> rpcs::client::RawRpcFuture<'a, Box<RawValue>> {
		Box::pin(async move { RpcPool::request_raw(self, method, params).await.map_err(to_subxt) })
	}

	fn subscribe_raw<'a>(
		&'a self,
		sub: &'a str,
		params: Option<Box<RawValue>>,
		unsub: &'a str,
	) -> rpcs::client::RawRpcFuture<'a, rpcs::client::RawRpcSubscription> {
		// Bound to one connection: subxt takes it up again itself when told that the connection was lost.
		Box::pin(async move {
			let mut given_up = self.0.given_up.subscribe();
			let connection = self.connection().await.map_err(to_subxt)?;
			let subscription =
				connection.client.subscribe::<Box<RawValue>, _>(sub, Params(params), unsub).await;
			let subscription = subscription.map_err(|e| rpcs::Error::Client(Box::new(e)))?;
			let left = async move {
				let _ = given_up.changed().await;
			};
			let lost = futures::stream::once(async {
				Err(rpcs::Error::DisconnectedWillReconnect("the subscription ended".into()))
			});
			let stream = subscription.take_until(left).map(|item| item.map_err(rpcs::Error::Deserialization));
			Ok(rpcs::client::RawRpcSubscription { stream: Box::pin(stream.chain(lost)), id: None })
		})
	}
}

fn to_subxt(error: RpcError) -> rpcs::Error {
	match error {
		RpcError::Call { code, message, .. } => {
			rpcs::Error::User(rpcs::UserError { code, message, data: None })
		},
		other => rpcs::Error::Client(Box::new(other)),
	}
}
