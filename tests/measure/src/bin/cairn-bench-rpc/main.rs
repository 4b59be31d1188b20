//! `cairn-bench-rpc`: how long a node takes to answer what auditors ask, on a chain with many records.
//!
//! Genesis has the devices and a round for each programme that only waits to be finalised. Then the chain runs: one
//! transaction per programme finalises its round, so that all records are made by blocks that a node executed, with
//! everything that proofs of them need. The node is started again before each kind of question, so that the first answer
//! comes from one that has read and checked no batch yet; what the system keeps of the disk in memory stays. Questions are
//! asked over HTTP and over WebSocket on the loopback interface, one after the other, and the answers are checked. HTTP shows the node's own time: the WebSocket server of polkadot-sdk
//! leaves Nagle's algorithm on, which together with delayed acknowledgements adds 40 ms to every answer that is longer
//! than one segment.

use anyhow::{anyhow, bail, ensure, Context, Result};
use cairn_devnet::{
	binaries::Binaries,
	process::run,
	ui::{table, Ui},
};
use cairn_measure::{
	account,
	chain::{hexadecimal, keys, make_spec, median, populate, Validator, PATIENCE},
	program::{self, Folder},
	sign,
};
use cairn_primitives::{
	bitmap, round::quality_digest, views::Phase, ArtifactHash, DeviceId, ProgrammeId, H256,
};
use cairn_runtime::{AccountId, Runtime, RuntimeCall};
use cairn_verifier::Bundle;
use clap::Parser;
use codec::Encode;
use frame_support::{traits::Get, BoundedVec};
use jsonrpsee::{core::traits::ToRpcParams, rpc_params};
use pallet_training::{Commit, CommitOrder, Commits, Qualities, Running};
use serde_json::{json, Value};
use sp_core::{crypto::Ss58Codec, sr25519::Pair};
use sp_io::hashing::blake2_256;
use std::{
	io::{BufRead, BufReader, Read, Write},
	net::TcpStream,
	path::{Path, PathBuf},
	process::{Command, ExitCode},
	time::{Duration, Instant},
};

/// What the project promises, in milliseconds.
const PAGE: f64 = 5.0;
const PROOF: f64 = 50.0;
const VERIFICATION: f64 = 10.0;

/// Measures how long a node takes to answer what auditors ask, on a chain with many records.
#[derive(Parser)]
#[command(name = "cairn-bench-rpc", version)]
struct Cli {
	/// The least records that the ledger has
	#[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..))]
	records: u32,
	/// Updates of a round, each of another device
	#[arg(long, default_value_t = 999, value_parser = clap::value_parser!(u32).range(100..))]
	updates_per_round: u32,
	/// How often each question is asked
	#[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(2..))]
	passes: u32,
	/// Where the database and logs go. A temporary folder when not given, which is kept when something fails
	#[arg(long, value_name = "DIR")]
	data_dir: Option<PathBuf>,
}

fn hash(what: &str, number: u64) -> H256 {
	H256(blake2_256(&(what, number).encode()))
}

/// The weights that a programme's round makes.
fn weights(programme: ProgrammeId) -> ArtifactHash {
	hash("weights", programme.into())
}

/// A programme of the chain specification's kind whose rounds take this many updates.
fn programme(model: &Value, index: u32, updates: u32) -> Value {
	let mut programme = model.clone();
	if let Some(fields) = programme.as_object_mut() {
		fields.insert("name".into(), format!("bench {index}").into());
		fields.insert("minUpdates".into(), 1.into());
		fields.insert("targetUpdates".into(), updates.into());
		fields.insert("maxUpdates".into(), updates.into());
	}
	programme
}

/// Brings the first round of a programme to where the next call of `advance` finalises it.
fn prepare(programme: ProgrammeId, accounts: &[AccountId]) -> Result<()> {
	let quality = vec![50u8; accounts.len()];
	let digest = quality_digest(&quality);
	for (device, producer) in (0..).zip(accounts) {
		let artifact = hash("update", u64::from(programme) << 32 | u64::from(device));
		CommitOrder::<Runtime>::try_append(programme, device)
			.map_err(|()| anyhow!("a round takes fewer than {} updates", accounts.len()))?;
		let commit =
			Commit { producer: producer.clone(), device, site: 0, artifact, samples: 1, local_steps: 1 };
		Commits::<Runtime>::insert(programme, device, commit);
	}
	Qualities::<Runtime>::insert(programme, digest, BoundedVec::truncate_from(quality));
	Running::<Runtime>::try_mutate(programme, |running| {
		let running = running.as_mut().with_context(|| format!("programme {programme} runs no round"))?;
		running.phase = Phase::Challenge;
		running.deadline = Some(0);
		running.commit_count = accounts.len() as u32;
		running.included = BoundedVec::truncate_from(bitmap::from_fn(running.commit_count, |_| true));
		running.agreed =
			Some(cairn_primitives::round::Revealed { result: weights(programme), quality: digest });
		Ok(())
	})
}

/// Has every programme's round finalised. Returns when all of it can be proved.
async fn finalise(validator: &Validator, pairs: &[Pair], programmes: u32, ui: &Ui) -> Result<()> {
	for programme in 0..programmes {
		let call = RuntimeCall::Training(pallet_training::Call::advance { programme });
		let pair = &pairs[programme as usize % pairs.len()];
		let signed = sign(call, pair, programme / pairs.len() as u32, validator.genesis);
		let params = rpc_params![hexadecimal(&signed.encode())];
		validator.rpc.call::<String>("author_submitExtrinsic", params).await?;
	}
	let (mut done, mut moved) = (0, Instant::now());
	while done < programmes {
		let artifact = hexadecimal(weights(done).as_bytes());
		match validator.rpc.call::<Value>("provenance_prove", rpc_params![artifact]).await {
			Ok(_) => {
				(done, moved) = (done + 1, Instant::now());
				ui.status(format!("{done} of {programmes} rounds are finalised and can be proved"));
			},
			Err(error) => {
				ensure!(
					validator.process.is_running() && moved.elapsed() < 2 * PATIENCE,
					"round {done} of {programmes} is not finalised, or cannot be proved: {error:#}. The validator's log is {}",
					validator.process.log().display()
				);
				tokio::time::sleep(Duration::from_millis(500)).await;
			},
		}
	}
	Ok(())
}

/// A node that has the chain, and what it takes to start it again.
struct Node<'a> {
	validator: Validator,
	binaries: &'a Binaries,
	spec: PathBuf,
	folder: &'a Path,
}

impl<'a> Node<'a> {
	async fn start(binaries: &'a Binaries, spec: PathBuf, folder: &'a Path) -> Result<Self> {
		let validator = Self::launch(binaries, &spec, folder).await?;
		Ok(Self { validator, binaries, spec, folder })
	}

	async fn launch(binaries: &Binaries, spec: &Path, folder: &Path) -> Result<Validator> {
		let (base, log) = (folder.join("node"), folder.join("node.log"));
		Validator::start(binaries, spec, &base, &log, &["--rpc-methods", "unsafe"]).await
	}

	/// Makes it forget what it has read.
	async fn restart(&mut self) -> Result<()> {
		self.validator.process.stop().await;
		self.validator = Self::launch(self.binaries, &self.spec, self.folder).await?;
		Ok(())
	}
}

/// One kind of question.
struct Question {
	/// What is asked.
	what: &'static str,
	/// Milliseconds of each answer: over HTTP where it is a node's. The first is that of a node that was just started.
	times: Vec<f64>,
	/// The same over WebSocket.
	over_websocket: Vec<f64>,
	/// What was promised.
	limit: f64,
}

/// One connection that stays open. Of HTTP just what a JSON-RPC server answers with: no library, whose connection pool
/// would be measured, too.
struct Http {
	address: String,
	stream: BufReader<TcpStream>,
}

impl Http {
	fn connect(url: &str) -> Result<Self> {
		let address = url.trim_start_matches("ws://").to_string();
		let stream = TcpStream::connect(&address).with_context(|| format!("{address} does not answer"))?;
		stream.set_nodelay(true).context("a socket cannot be set up")?;
		Ok(Self { address, stream: BufReader::new(stream) })
	}

	/// The result of a call, and the milliseconds until the whole of it was there.
	fn ask(&mut self, method: &str, params: &[Value]) -> Result<(Value, f64)> {
		let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
		let request = format!(
			"POST / HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
			self.address,
			body.len()
		);
		let start = Instant::now();
		self.stream.get_mut().write_all(request.as_bytes()).context("the node closed the connection")?;
		let mut length = None;
		loop {
			let mut line = String::new();
			let read = self.stream.read_line(&mut line).context("the node closed the connection")?;
			ensure!(read > 0, "the node closed the connection");
			match line.trim_end().split_once(':') {
				Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
					length = Some(value.trim().parse::<usize>().context("a content length that is none")?);
				},
				None if line.trim_end().is_empty() => break,
				_ => {},
			}
		}
		let mut answer = vec![0; length.context("an answer without a content length")?];
		self.stream.read_exact(&mut answer).context("the node closed the connection")?;
		let time = start.elapsed().as_secs_f64() * 1_000.0;
		let mut answer: Value = serde_json::from_slice(&answer).context("an answer that is no JSON")?;
		ensure!(answer.get("error").is_none(), "{method}: {}", answer["error"]);
		Ok((answer["result"].take(), time))
	}
}

/// A number that looks like chance and is the same every time.
fn pick(pass: u32, below: u32) -> u32 {
	hash("pick", pass.into()).to_low_u64_be() as u32 % below
}

/// Asks a node that was just started for a page of `count` of `entries` as often as asked for.
async fn pages(
	node: &mut Node<'_>,
	passes: u32,
	what: &'static str,
	method: &str,
	(entries, count): (&str, usize),
	params: impl Fn(u32) -> Vec<Value>,
) -> Result<Question> {
	node.restart().await?;
	let validator = &node.validator;
	let mut http = Http::connect(validator.rpc.url())?;
	let (mut times, mut over_websocket) = (Vec::new(), Vec::new());
	for pass in 0..passes {
		let params = params(pass);
		let (page, time) = http.ask(method, &params)?;
		let given = page[entries].as_array().map_or(0, Vec::len);
		ensure!(given == count, "{method} gave {given} {entries} where there are at least {count}");
		times.push(time);
		let start = Instant::now();
		let same: Value = validator.rpc.call(method, Params(params)).await?;
		over_websocket.push(start.elapsed().as_secs_f64() * 1_000.0);
		ensure!(same == page, "{method} gave two answers to one question");
	}
	Ok(Question { what, times, over_websocket, limit: PAGE })
}

/// Parameters by place.
struct Params(Vec<Value>);

impl ToRpcParams for Params {
	fn to_rpc_params(self) -> Result<Option<Box<serde_json::value::RawValue>>, serde_json::Error> {
		serde_json::value::to_raw_value(&self.0).map(Some)
	}
}

/// Asks everything.
async fn questions(
	node: &mut Node<'_>,
	cli: &Cli,
	programmes: u32,
	accounts: &[AccountId],
	ui: &Ui,
) -> Result<Vec<Question>> {
	let name = |programme| json!(hexadecimal(weights(programme).as_bytes()));
	let devices = cli.updates_per_round;
	let whole = ("records", 100);
	let mut asked = Vec::new();
	ui.status("asking for pages");
	asked.push(
		pages(node, cli.passes, "page of a lineage", "provenance_lineage", whole, |pass| {
			vec![name(pick(pass, programmes)), Value::Null, json!(100)]
		})
		.await?,
	);
	// A programme's start has all of its round as descendants.
	let start: Value = node.validator.rpc.call("provenance_programme", rpc_params![0]).await?;
	asked.push(
		pages(node, cli.passes, "page of descendants", "provenance_descendants", whole, |_| {
			vec![start["config"].clone(), Value::Null, json!(100)]
		})
		.await?,
	);
	if programmes >= 100 {
		asked.push(
			pages(node, cli.passes, "page of a device", "provenance_recordsByDevice", whole, |pass| {
				vec![json!(pick(pass, devices)), Value::Null, json!(100)]
			})
			.await?,
		);
		asked.push(
			pages(node, cli.passes, "page of an account", "provenance_recordsByAccount", whole, |pass| {
				let address = accounts[pick(pass, devices) as usize].to_ss58check();
				vec![json!(address), Value::Null, json!(100)]
			})
			.await?,
		);
	}
	asked.push(
		pages(node, cli.passes, "page of a site", "provenance_recordsBySite", whole, |pass| {
			vec![json!(0), json!(2 * programmes + 100 + pick(pass, programmes * devices / 2)), json!(100)]
		})
		.await?,
	);
	// Each programme has one that is finalised.
	asked.push(
		pages(node, cli.passes, "finalised rounds", "provenance_rounds", ("rounds", 1), |pass| {
			vec![json!(pick(pass, programmes)), json!("finalised"), Value::Null, json!(100)]
		})
		.await?,
	);

	ui.status("asking for proofs");
	node.restart().await?;
	let validator = &node.validator;
	let mut http = Http::connect(validator.rpc.url())?;
	let (mut proofs, mut over_websocket, mut verifications) = (Vec::new(), Vec::new(), Vec::new());
	for pass in 0..cli.passes {
		let programme = pick(pass, programmes);
		let device = pick(pass.wrapping_add(1), devices);
		let artifact = hash("update", u64::from(programme) << 32 | u64::from(device));
		let params = vec![json!(hexadecimal(artifact.as_bytes()))];
		let (answer, time) = http.ask("provenance_prove", &params)?;
		proofs.push(time);
		let start = Instant::now();
		validator.rpc.call::<Value>("provenance_prove", Params(params)).await?;
		over_websocket.push(start.elapsed().as_secs_f64() * 1_000.0);
		let bundle = answer["bundle"].as_str().context("a proof without a bundle")?.to_string();
		let bundle = cairn_measure::chain::bytes(&bundle)?;
		let begin = Instant::now();
		let decoded = Bundle::from_bytes(&bundle).map_err(|e| anyhow!("a bundle cannot be read: {e}"))?;
		let proven = cairn_verifier::verify(&decoded, &validator.genesis)
			.map_err(|e| anyhow!("a bundle proves nothing: {e}"))?;
		verifications.push(begin.elapsed().as_secs_f64() * 1_000.0);
		let cairn_verifier::Statement::Records(records) = &proven.statement else {
			bail!("a bundle proves something else");
		};
		ensure!(
			records.iter().any(|(_, record)| record.artifact == artifact),
			"a bundle of another artifact"
		);
	}
	asked.push(Question { what: "proof of a record", times: proofs, over_websocket, limit: PROOF });
	let none = Vec::new();
	asked.push(Question {
		what: "verification of it",
		times: verifications,
		over_websocket: none,
		limit: VERIFICATION,
	});
	Ok(asked)
}

/// Where the scripts are that use polkadot.js.
fn scripts() -> Result<PathBuf> {
	let folder = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("js");
	ensure!(
		folder.join("node_modules").is_dir(),
		"{} has no node_modules: run scripts/setup --tests, which fetches @polkadot/api",
		folder.display()
	);
	Ok(folder)
}

/// The same page of a device as polkadot.js finds it in what the node stores. Milliseconds of each pass.
async fn by_storage(
	scripts: &Path,
	validator: &Validator,
	device: DeviceId,
	passes: u32,
) -> Result<Vec<f64>> {
	let mut command = Command::new("node");
	command.current_dir(scripts).arg("walk-records.mjs").arg(validator.rpc.url());
	command.args([device.to_string(), "100".into(), passes.to_string()]);
	let found: Value = run(command).await?.json()?;
	let page: Value =
		validator.rpc.call("provenance_recordsByDevice", rpc_params![device, Value::Null, 100]).await?;
	let ids: Vec<&Value> = page["records"].as_array().into_iter().flatten().map(|r| &r["id"]).collect();
	let walked: Vec<&Value> = found["records"].as_array().into_iter().flatten().collect();
	ensure!(ids == walked, "polkadot.js found other records of device {device} than the node names");
	Ok(found["milliseconds"].as_array().into_iter().flatten().filter_map(Value::as_f64).collect())
}

async fn measure(cli: &Cli, ui: &Ui) -> Result<String> {
	let binaries = Binaries::beside_this_one()?;
	let folder = Folder::new(cli.data_dir.as_deref())?;
	let outcome = on_a_chain(cli, &binaries, folder.path(), ui).await;
	folder.after(outcome, ui)
}

async fn on_a_chain(cli: &Cli, binaries: &Binaries, folder: &Path, ui: &Ui) -> Result<String> {
	let scripts = scripts()?;
	let most: u32 = <Runtime as pallet_training::Config>::MaxUpdates::get();
	let per_site: u32 = <Runtime as pallet_hardware::Config>::MaxDevicesPerSite::get();
	let updates = cli.updates_per_round;
	ensure!(
		updates <= most.min(per_site),
		"--updates-per-round is {updates}, and a round takes at most {most} and a site {per_site} devices"
	);
	let programmes = cli.records.div_ceil(updates + 1);
	let pairs: Vec<Pair> = (0..updates).map(keys).collect();
	let accounts: Vec<AccountId> = pairs.iter().map(account).collect();
	ui.status("making the chain");
	let spec = make_spec(
		binaries,
		folder,
		"rpc",
		|model| (0..programmes).map(|index| programme(model, index, updates)).collect(),
		|storage| {
			populate(storage, &accounts, || {
				(0..programmes).try_for_each(|programme| prepare(programme, &accounts))
			})
		},
	)
	.await?;
	let mut node = Node::start(binaries, spec, folder).await?;
	finalise(&node.validator, &pairs, programmes, ui).await?;
	let asked = questions(&mut node, cli, programmes, &accounts, ui).await?;
	ui.status("asking the same through polkadot.js");
	let walked = by_storage(&scripts, &node.validator, pick(0, updates), 3).await?;
	node.validator.process.stop().await;
	Ok(show(programmes * (updates + 1) + 2 * programmes, cli.passes, &asked, &walked))
}

fn show(records: u32, passes: u32, asked: &[Question], walked: &[f64]) -> String {
	let worst = |times: &[f64]| times.iter().copied().fold(f64::NAN, f64::max);
	let warm = |question: &Question| median(question.times.get(1..).unwrap_or_default());
	let rows: Vec<Vec<String>> = asked
		.iter()
		.map(|question| {
			let middle = warm(question);
			vec![
				question.what.into(),
				question.times.first().map_or_else(String::new, |first| format!("{first:.2}")),
				format!("{middle:.2}"),
				format!("{:.2}", worst(question.times.get(1..).unwrap_or_default())),
				format!("{:.0}", question.limit),
				if middle <= question.limit { "holds" } else { "does not hold" }.into(),
				question
					.over_websocket
					.first()
					.map_or_else(String::new, |_| format!("{:.2}", median(&question.over_websocket))),
			]
		})
		.collect();
	let device = asked.iter().find(|q| q.what == "page of a device");
	let walked = median(walked);
	let against = device.map_or_else(String::new, |device| {
		format!(
			"\n\nThe page of a device through polkadot.js and what the node stores: {walked:.0} ms, {:.0} times as long.",
			walked / warm(device)
		)
	});
	format!(
		"{}\n\nMilliseconds over {passes} questions each, on a chain with {records} records, one node, over HTTP, and the \
		 median over WebSocket; the verification is this program's own. The first question of a kind is put to a node that \
		 was just started and has read no batch; median and longest are those of the others.{against}",
		table(&["question", "first", "median", "longest", "at most", "median", "WebSocket"], &rows)
	)
}

fn main() -> ExitCode {
	let (cli, ui) = (Cli::parse(), Ui::default());
	program::run("cairn-bench-rpc", &ui, measure(&cli, &ui))
}

#[cfg(test)]
mod tests {
	#![allow(clippy::unwrap_used)]
	use super::*;
	use clap::CommandFactory;
	use sp_runtime::BuildStorage;

	#[test]
	fn command_line_is_consistent() {
		Cli::command().debug_assert();
	}

	#[test]
	fn prepared_round_is_finalised_by_the_next_call() {
		let pairs: Vec<Pair> = (0..3).map(keys).collect();
		let accounts: Vec<AccountId> = pairs.iter().map(account).collect();
		let mut config = cairn_runtime::RuntimeGenesisConfig::default();
		config.training.programmes = vec![pallet_training::GenesisProgramme {
			pot: 1_000 * cairn_runtime::CRN,
			reward_per_round: cairn_runtime::CRN,
			..model()
		}];
		let storage = populate(config.build_storage().unwrap(), &accounts, || prepare(0, &accounts)).unwrap();
		let mut chain = sp_io::TestExternalities::new(storage);
		chain.execute_with(|| {
			cairn_runtime::System::set_block_number(2);
			let who = cairn_runtime::RuntimeOrigin::signed(accounts[0].clone());
			cairn_runtime::Training::advance(who, 0).unwrap();
			let round = cairn_runtime::Training::round_info(0, 0).unwrap();
			assert_eq!((round.phase, round.result), (Phase::Finalised, Some(weights(0))));
			assert_eq!(round.updates.map(|u| u.count), Some(3));
		});
	}

	fn model() -> pallet_training::GenesisProgramme<cairn_runtime::Balance> {
		pallet_training::GenesisProgramme {
			name: "bench".into(),
			config: hash("config", 0),
			genesis_weights: hash("start", 0),
			aggregation: cairn_primitives::AggregationRule::WeightedMean.into(),
			schedule: cairn_primitives::Schedule {
				commit: 10,
				availability: 10,
				aggregate: 10,
				reveal: 10,
				challenge: 0,
			},
			committee_size: 1,
			audit_size: None,
			min_updates: 1,
			target_updates: 10,
			max_updates: 10,
			max_samples: 1_000,
			max_local_steps: 1_000,
			rounds: 10,
			reward_per_round: 0,
			committee_share: 10,
			licence: String::new(),
			data_category: String::new(),
			epsilon_per_round: None,
			challenge_bond: 0,
			pot: 0,
		}
	}
}
