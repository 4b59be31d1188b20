//! The programs of `docs/examples`, run as they stand: copied into a folder in which they find what `npm install` would have
//! put there.

use anyhow::{ensure, Context, Result};
use cairn_artifacts::TensorFile;
use cairn_devnet::{
	devnet::{Devnet, PROGRAMME},
	process::{tail, Process},
	rpc::{Head, RecordInfo},
};
use cairn_primitives::{views::MAX_PAGE, RecordKind};
use futures::stream::{self, StreamExt, TryStreamExt};
use serde_json::Value;
use std::{
	env, fs,
	path::{Path, PathBuf},
	process::Command,
	time::{Duration, Instant},
};

/// One takes seconds. What takes longer waits for something that never comes.
const LIMIT: Duration = Duration::from_secs(180);
/// A hash that nothing has.
const NOTHING: &str = "0x7777777777777777777777777777777777777777777777777777777777777777";
/// Blocks between two justifications that nodes keep.
const JUSTIFICATIONS: u32 = 16;
/// How many run side by side. The network, which they ask, has the same processors.
const AT_ONCE: usize = 2;

/// What a program left.
struct Ran {
	name: String,
	code: Option<i32>,
	out: String,
	log: String,
}

impl Ran {
	fn ended_with(&self, code: i32) -> Result<()> {
		let Self { name, code: ended, out, log } = self;
		ensure!(*ended == Some(code), "{name} ended with {ended:?} instead of {code}.\n{out}\n{log}");
		Ok(())
	}

	fn said(&self, parts: &[&str]) -> Result<()> {
		for part in parts {
			let is_there = self.out.contains(part) || self.log.contains(part);
			ensure!(is_there, "{} did not say `{part}`, but:\n{}\n{}", self.name, self.out, self.log);
		}
		Ok(())
	}
}

/// The folder of the programs, and what is run beside them.
struct Examples<'a> {
	net: &'a Devnet,
	folder: PathBuf,
	python: PathBuf,
}

impl<'a> Examples<'a> {
	fn new(net: &'a Devnet) -> Result<Self> {
		let root = Path::new("..").canonicalize()?;
		let cache = env::var_os("CAIRN_CACHE").map(PathBuf::from).or_else(|| {
			let home = || env::var_os("HOME").map(|home| Path::new(&home).join(".cache"));
			env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(home).map(|cache| cache.join("cairn"))
		});
		let python = cache.context("neither CAIRN_CACHE nor HOME is set")?.join("examples-venv/bin/python");
		ensure!(
			python.is_file(),
			"{} is not there: run scripts/setup --tests, which makes it",
			python.display()
		);
		let folder = net.path().join("examples");
		let modules = folder.join("node_modules");
		fs::create_dir_all(modules.join("@cairn"))?;
		for (module, at) in [
			("@polkadot", "tests/js/node_modules/@polkadot"),
			("polkadot-api", "tests/js/node_modules/polkadot-api"),
			("@cairn/verifier", "verifier/npm"),
		] {
			let at = root.join(at);
			ensure!(
				at.is_dir(),
				"{} is not there: run scripts/setup --tests, which fetches it",
				at.display()
			);
			// Those of an earlier run on this network.
			let _ = fs::remove_file(modules.join(module));
			std::os::unix::fs::symlink(at, modules.join(module))?;
		}
		for file in fs::read_dir(root.join("docs/examples"))? {
			let file = file?;
			if file.file_type()?.is_file() {
				fs::copy(file.path(), folder.join(file.file_name()))?;
			}
		}
		Ok(Self { net, folder, python })
	}

	/// Runs a command of these words in the folder, with `cairn` in its path.
	async fn run(&self, name: &str, words: &[&str]) -> Result<Ran> {
		let [program, arguments @ ..] = words else { anyhow::bail!("{name} is no command") };
		let mut command = Command::new(program);
		let programs = self.net.binaries().auditor.parent().context("`cairn` is in a folder")?;
		let path = env::var_os("PATH").unwrap_or_default();
		let path = env::join_paths(std::iter::once(programs.into()).chain(env::split_paths(&path)))?;
		command.args(arguments).current_dir(&self.folder).env("PATH", path);
		let files = ["log", "out"].map(|kind| self.net.logs().join(format!("example-{name}.{kind}")));
		for file in &files {
			// Of an earlier run.
			let _ = fs::remove_file(file);
		}
		let start = Instant::now();
		let process = Process::start(name, command, &files[0], Some(&files[1]))
			.context("scripts/setup --tests installs what the examples need")?;
		let ended = tokio::time::timeout(LIMIT, self.net.guard(async { Ok(process.ended().await) })).await;
		let [log, out] = &files;
		let status = ended.with_context(|| {
			let (seconds, log, out) = (LIMIT.as_secs(), tail(log, 30), tail(out, 30));
			format!("{name} did not end within {seconds} s. It said so far:\n{out}\n{log}")
		})??;
		println!("{name}: {:.1} s", start.elapsed().as_secs_f64());
		let (out, log) = (fs::read_to_string(out)?, fs::read_to_string(log)?);
		Ok(Ran { name: name.into(), code: status.code(), out, log })
	}
}

/// Where the programme's newest weights at a block came from.
async fn lineage_at(net: &Devnet, head: &Head) -> Result<Vec<RecordInfo>> {
	let programme = net.guard(net.rpc().programme(PROGRAMME, Some(&head.hash))).await?;
	let newest = format!("{:?}", programme.weights);
	net.guard(net.rpc().lineage(&newest, MAX_PAGE, &head.hash)).await
}

/// Runs all of them, on weights that the chain has and on what it does not have.
pub async fn run(net: &Devnet) -> Result<()> {
	// Weights old enough to have one proof, which stays the same.
	let early = lineage_at(net, &net.wait_for_finalised(1).await?).await?;
	// Any round may have failed, but one has not.
	let first = early.iter().rfind(|r| r.record.inputs.is_some()).context("a round left weights")?;
	let block = first.record.block;
	let head = net.wait_until(|s| (s.head.number > block + JUSTIFICATIONS).then(|| s.head.clone())).await?;
	let lineage = lineage_at(net, &head).await?;
	let is_old = |r: &&RecordInfo| {
		r.record.kind == RecordKind::Weights && r.record.block + JUSTIFICATIONS < head.number
	};
	let model = lineage.iter().find(is_old).context("a round left weights")?;
	let artifact = format!("{:?}", model.record.artifact);
	let ancestors: Vec<_> = lineage.iter().filter(|r| r.id <= model.id).collect();

	let examples = Examples::new(net)?;
	let (ws, genesis) = (net.urls()[0].as_str(), net.genesis());
	let http = ws.replacen("ws://", "http://", 1);
	let file = net.artifact(&model.record.artifact)?;
	let changed = examples.folder.join("changed.safetensors");
	let mut bytes = fs::read(&file)?;
	let model_file = TensorFile::from_bytes(&bytes)?;
	*bytes.last_mut().context("a model has bytes")? ^= 1;
	fs::write(&changed, bytes)?;
	let python = examples.python.display().to_string();
	let (file, changed) = (file.display().to_string(), changed.display().to_string());
	let commands: [(&str, &[&str]); 10] = [
		("curl", &["./lineage.sh", &http, genesis, &artifact]),
		("curl-unknown", &["./lineage.sh", &http, genesis, NOTHING]),
		("curl-other-genesis", &["./lineage.sh", &http, NOTHING, &artifact]),
		("polkadot-js", &["node", "polkadot-js.mjs", ws, genesis, &artifact]),
		("polkadot-js-unknown", &["node", "polkadot-js.mjs", ws, genesis, NOTHING]),
		("papi", &["node", "papi.mjs", ws, genesis, &artifact]),
		("papi-unknown", &["node", "papi.mjs", ws, genesis, NOTHING]),
		("papi-other-genesis", &["node", "papi.mjs", ws, NOTHING, &artifact]),
		("python", &[&python, "model.py", &http, &file]),
		("python-changed", &[&python, "model.py", &http, &changed]),
	];
	let runs: Vec<_> = commands.iter().map(|(name, words)| examples.run(name, words)).collect();
	let ran: Vec<_> = stream::iter(runs).buffered(AT_ONCE).try_collect().await?;
	let Ok([curl, curl_unknown, curl_other, js, js_unknown, papi, papi_unknown, papi_other, py, py_changed]) =
		<[Ran; 10]>::try_from(ran)
	else {
		anyhow::bail!("as many ran as were started; qed");
	};

	for unknown in [&curl_unknown, &js_unknown, &papi_unknown, &py_changed] {
		unknown.ended_with(1)?;
		unknown.said(&["9103", "no record names artifact"])?;
	}
	for other in [&curl_other, &papi_other] {
		other.ended_with(1)?;
		ensure!(
			other.out.to_lowercase().contains("refuted"),
			"{}:\n{}\n{}",
			other.name,
			other.out,
			other.log
		);
	}
	for whole in [&curl, &js, &papi] {
		whole.ended_with(0)?;
		for RecordInfo { id, record } in &ancestors {
			whole.said(&[&id.to_string(), &format!("{:?}", record.artifact)])?;
		}
	}
	curl.said(&["proven as of block", &format!("of chain {genesis}")])?;
	// A round may have ended meanwhile.
	let later = lineage_at(net, &net.guard(net.rpc().finalised()).await?).await?;
	for proven in [&js, &papi] {
		let named = proven.out.lines().find_map(|line| line.strip_prefix("newest weights of digits: "));
		let named =
			named.with_context(|| format!("{} names the newest weights: {}", proven.name, proven.out))?;
		let known = later.iter().any(|r| r.id >= model.id && format!("{:?}", r.record.artifact) == named);
		ensure!(known, "{named} were none of the programme's newest weights");
		let report = proven.out.lines().last().context("the report comes last")?;
		let report: Value = serde_json::from_str(report).with_context(|| format!("a report: {report}"))?;
		let proof = &report["proof"];
		ensure!(report["verdict"] == "proven" && report["genesis"] == genesis, "{report}");
		ensure!(proof["records"][0]["id"] == model.id, "{report}");
		ensure!(proof["records"][0]["record"]["artifact"] == artifact.as_str(), "{report}");
	}
	py.ended_with(0)?;
	py.said(&[&format!("record {}: weights {artifact}", model.id)])?;
	for tensor in model_file.tensors() {
		let norm = tensor.data.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
		let shape: Vec<_> = tensor.shape.iter().map(ToString::to_string).collect();
		let line = format!("{}: float32 [{}], norm ", tensor.name, shape.join(", "));
		let found =
			py.out.lines().find_map(|l| l.strip_prefix(&line)).and_then(|norm| norm.parse::<f64>().ok());
		let found = found.with_context(|| format!("`{line}` is in {}", py.out))?;
		ensure!((found - norm).abs() < 1e-5 * norm.max(1.0), "{line}{found}, not {norm}");
	}

	// And all the methods that the examples do not call.
	let definitions = Path::new("js/definitions.mjs").canonicalize()?.display().to_string();
	let account = &net.workers()[0].identity.account;
	let defined = examples.run("definitions", &["node", &definitions, ws, &artifact, account]).await?;
	defined.ended_with(0)
}
