//! How fast an artifact travels between two processes on this machine, next to the same bytes over plain TCP, and how
//! much memory both ends take. `scripts/bench transfer` runs it; docs/benchmarks.md says how to read it.
//!
//! Both ways read the bytes from a file, send them over loopback, write them to a file on the same disk and sync it.
//! They take turns, so that what else the machine does hits both.
#![allow(clippy::unwrap_used)]

use async_trait::async_trait;
use cairn_artifacts::Store;
use cairn_network::{
	keypair_from_seed, network_key, AccessPolicy, Admission, Limits, Multiaddr, Network, NetworkConfig,
	PeerId,
};
use cairn_primitives::{ArtifactHash, H256};
use std::{
	fs::File,
	io::{BufRead, BufReader, Read, Write},
	net::{TcpListener, TcpStream},
	path::Path,
	process::{Child, Command, Stdio},
	sync::{
		atomic::{AtomicU64, Ordering},
		Arc,
	},
	time::{Duration, Instant},
};

const USAGE: &str = "Usage: transfer [--bytes N] [--passes N] [--dir DIR]

  --bytes N   size of the artifact [default: 2000000000]
  --passes N  how often each way is measured; the medians count [default: 3]
  --dir DIR   where to put the files; three times their size is needed [default: the system's temporary folder]";

const PIECE: usize = 1 << 20;
const GENESIS: H256 = H256([0xbe; 32]);

struct Everybody;

#[async_trait]
impl AccessPolicy for Everybody {
	async fn admits(&self, _: [u8; 32]) -> Admission {
		Admission::Admitted
	}

	fn may_serve(&self, _: &ArtifactHash) -> bool {
		true
	}
}

/// The most memory of its own (`RssAnon`) that this process has had since the call, bytes; sampled.
#[derive(Clone, Default)]
struct Peak(Arc<AtomicU64>);

impl Peak {
	fn watch() -> Self {
		let peak = Self::default();
		let watched = peak.clone();
		std::thread::spawn(move || loop {
			watched.0.fetch_max(anonymous(), Ordering::Relaxed);
			std::thread::sleep(Duration::from_millis(5));
		});
		peak
	}

	fn get(&self) -> u64 {
		self.0.load(Ordering::Relaxed)
	}
}

fn anonymous() -> u64 {
	let status = std::fs::read_to_string("/proc/self/status").unwrap();
	let line = status.lines().find(|line| line.starts_with("RssAnon:")).expect("Linux tells it");
	line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

async fn node(seed: u8, store: &Path, bootstrap: Vec<Multiaddr>) -> Network {
	let mut config = NetworkConfig::new(keypair_from_seed([seed; 32]), GENESIS);
	config.listen = vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()];
	config.bootstrap = bootstrap;
	config.limits = Limits { disk_reserve: 0, ..Limits::default() };
	Network::start(config, Store::open(store).unwrap(), Arc::new(Everybody)).await.unwrap()
}

/// `serve STORE`: says where, serves until its input ends, then says how much memory it took.
async fn serve(store: &Path) {
	let peak = Peak::watch();
	let network = node(1, store, vec![]).await;
	println!("{}", network.listen_addrs()[0]);
	tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await.unwrap().unwrap();
	println!("{}", peak.get());
}

/// `fetch STORE ADDRESS HASH`: says the seconds and the memory that it took.
async fn fetch(store: &Path, from: Multiaddr, hash: ArtifactHash) {
	let peak = Peak::watch();
	let network = node(2, store, vec![from]).await;
	let holder = PeerId::from(libp2p::identity::Keypair::from(keypair_from_seed([1; 32])).public());
	network.watch_peers().wait_for(|peers| peers.contains(&holder)).await.unwrap();
	let key = network_key(&keypair_from_seed([1; 32]));
	let started = Instant::now();
	network.fetch(hash, vec![key], Duration::from_secs(3600)).await.unwrap();
	let seconds = started.elapsed().as_secs_f64();
	println!("{seconds} {}", peak.get());
	network.shutdown().await;
}

fn copy(mut from: impl Read, mut to: impl Write) {
	let mut piece = vec![0; PIECE];
	loop {
		match from.read(&mut piece).unwrap() {
			0 => return,
			n => to.write_all(&piece[..n]).unwrap(),
		}
	}
}

/// `tcp-serve FILE`: says where, sends the file to everybody who connects.
fn tcp_serve(file: &Path) {
	let listener = TcpListener::bind("127.0.0.1:0").unwrap();
	println!("{}", listener.local_addr().unwrap());
	for stream in listener.incoming() {
		copy(File::open(file).unwrap(), stream.unwrap());
	}
}

/// `tcp-fetch FILE ADDRESS`: says the seconds it took.
fn tcp_fetch(file: &Path, address: &str) {
	let started = Instant::now();
	let stream = TcpStream::connect(address).unwrap();
	if file == Path::new("-") {
		copy(stream, std::io::sink());
	} else {
		let to = File::create(file).unwrap();
		copy(stream, &to);
		to.sync_all().unwrap();
	}
	println!("{}", started.elapsed().as_secs_f64());
}

/// A part of this program in a process of its own, which ends with this value.
struct Part {
	child: Child,
	lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Part {
	fn start(args: &[&str]) -> Self {
		let mut child = Command::new(std::env::current_exe().unwrap())
			.args(args)
			.stdin(Stdio::piped())
			.stdout(Stdio::piped())
			.spawn()
			.unwrap();
		let lines = BufReader::new(child.stdout.take().unwrap()).lines();
		Self { child, lines }
	}

	fn line(&mut self) -> String {
		self.lines.next().expect("the other process ended early").unwrap()
	}

	fn numbers(&mut self) -> Vec<f64> {
		self.line().split_whitespace().map(|number| number.parse().unwrap()).collect()
	}
}

impl Drop for Part {
	fn drop(&mut self) {
		let _ = self.child.kill();
		let _ = self.child.wait();
	}
}

fn median(mut of: Vec<f64>) -> f64 {
	of.sort_by(f64::total_cmp);
	of[of.len() / 2]
}

fn measure(bytes: u64, passes: usize, dir: &Path) {
	let (here, there) = (dir.join("here"), dir.join("there"));
	let (here, there) = (here.to_str().unwrap(), there.to_str().unwrap());
	let copied = dir.join("copied");
	let store = Store::open(here).unwrap();
	let mut writer = store.writer().unwrap();
	let mut bits = blake3::Hasher::new().finalize_xof();
	let mut piece = vec![0; PIECE];
	let mut left = bytes;
	while left > 0 {
		bits.fill(&mut piece);
		let n = left.min(PIECE as u64);
		writer.append(&piece[..n as usize]).unwrap();
		left -= n;
	}
	let hash = writer.finish().unwrap();
	let file = store.path(&hash);
	let name: String = hash.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();

	let mut tcp_server = Part::start(&["tcp-serve", file.to_str().unwrap()]);
	let mut server = Part::start(&["serve", here]);
	let (tcp_address, address) = (tcp_server.line(), server.line());
	let tcp = |to: &str| Part::start(&["tcp-fetch", to, &tcp_address]).numbers()[0];
	let mut fetched_peak = 0f64;
	let mut fetch = || {
		let _ = std::fs::remove_dir_all(there);
		let numbers = Part::start(&["fetch", there, &address, &name]).numbers();
		fetched_peak = fetched_peak.max(numbers[1]);
		numbers[0]
	};
	// The file has to be in memory for both, and the first fetch pays for the hash tree.
	tcp("-");
	let first = fetch();
	let (mut memory, mut disk, mut verified) = (Vec::new(), Vec::new(), Vec::new());
	for _ in 0..passes {
		memory.push(tcp("-"));
		disk.push(tcp(copied.to_str().unwrap()));
		std::fs::remove_file(&copied).unwrap();
		verified.push(fetch());
	}
	let size = |path: &Path| std::fs::metadata(path).unwrap().len();
	let received = Store::open(there).unwrap();
	assert_eq!(size(&received.path(&hash)), bytes);
	assert!(received.verify(&hash).unwrap().is_some());
	drop(server.child.stdin.take());
	let served_peak = server.numbers()[0];

	let (memory, disk, verified) = (median(memory), median(disk), median(verified));
	let row = |what: &str, seconds: f64| {
		println!("{what:<44}{seconds:>9.3}{:>10.0}", bytes as f64 / 1e6 / seconds);
	};
	println!("{:<44}{:>9}{:>10}", format!("{bytes} bytes on loopback"), "seconds", "MB/s");
	row("plain TCP, thrown away on arrival", memory);
	row("plain TCP, file to synced file", disk);
	row("artifact, verified, to synced file", verified);
	row("the same, first time: hash tree is computed", first);
	println!("\nratio to plain TCP, file to synced file: {:.2}", disk / verified);
	println!("ratio to plain TCP, thrown away on arrival: {:.2}", memory / verified);
	let share = |peak: f64| 100.0 * peak / bytes as f64;
	println!("peak RssAnon of the holder: {:.1} MB ({:.1} %)", served_peak / 1e6, share(served_peak));
	println!("peak RssAnon of the fetcher: {:.1} MB ({:.1} %)", fetched_peak / 1e6, share(fetched_peak));
}

#[tokio::main]
async fn main() {
	let args: Vec<String> = std::env::args().skip(1).collect();
	let args: Vec<&str> = args.iter().map(String::as_str).collect();
	match args[..] {
		["serve", store] => serve(Path::new(store)).await,
		["fetch", store, from, hash] => {
			let mut bytes = [0; 32];
			for (i, byte) in bytes.iter_mut().enumerate() {
				*byte = u8::from_str_radix(&hash[2 * i..2 * i + 2], 16).unwrap();
			}
			fetch(Path::new(store), from.parse().unwrap(), H256(bytes)).await;
		},
		["tcp-serve", file] => tcp_serve(Path::new(file)),
		["tcp-fetch", file, address] => tcp_fetch(Path::new(file), address),
		_ => {
			let (mut bytes, mut passes, mut dir) = (2_000_000_000, 3, std::env::temp_dir());
			for pair in args.chunks(2) {
				match pair {
					["--bytes", n] => bytes = n.parse().expect("a number of bytes"),
					["--passes", n] => passes = n.parse::<usize>().expect("a number").max(1),
					["--dir", path] => dir = path.into(),
					_ => {
						eprintln!("{USAGE}");
						std::process::exit(2);
					},
				}
			}
			let place = tempfile::tempdir_in(dir).unwrap();
			measure(bytes, passes, place.path());
		},
	}
}
