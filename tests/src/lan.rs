//! Machines and cables: network namespaces that are joined by virtual Ethernet, so that a link can really be cut.
//!
//! Every machine is a network namespace with one interface, whose other end is plugged into one of two switches
//! (bridges, in a namespace of their own). There is no way from one switch to the other: machines that are moved to the
//! second switch keep their addresses and lose everybody on the first, without anybody being told. Packets are dropped
//! as on a cut cable; no connection is closed.
//!
//! No namespace has a name. Each lives as long as a process in it or this process's descriptor of it, so nothing is left
//! behind however this process ends, and two runs cannot meet. The machine's own network is not touched.

use anyhow::{bail, ensure, Context, Result};
use nix::{
	errno::Errno,
	sched::{setns, unshare, CloneFlags},
	unistd::{getgid, getuid},
};
use std::{
	fs::{self, File},
	io::{self, Write},
	net::{Ipv4Addr, SocketAddr, TcpStream},
	os::{fd::AsRawFd, unix::process::CommandExt},
	process::{Command, Stdio},
	sync::Arc,
	thread,
	time::Duration,
};

/// The switch that machines are plugged into at first.
const SWITCH: &str = "switch0";
/// The other one.
const OTHER_SWITCH: &str = "switch1";
/// The most machines of a network: the addresses are 10.77.0.1 to 10.77.0.254.
const MOST: usize = 254;

/// Gets this process the right to make network namespaces: as it is, when it has it (root, or `CAP_SYS_ADMIN` and
/// `CAP_NET_ADMIN`), or in a user namespace of its own, in which it then stays.
///
/// Must be called while the process has one thread: the kernel lets no other process into a user namespace.
///
/// # Errors
/// When the system allows neither; the message says what to change.
pub fn prepare() -> Result<()> {
	let Err(refused) = Namespace::new() else { return Ok(()) };
	let (user, group) = (getuid(), getgid());
	let enter = || -> Result<()> {
		// The thread above is gone for this process a moment before it is for the kernel, which refuses until then.
		let mut unshared = unshare(CloneFlags::CLONE_NEWUSER);
		for _ in 0..100 {
			if unshared != Err(Errno::EINVAL) {
				break;
			}
			thread::sleep(Duration::from_millis(1));
			unshared = unshare(CloneFlags::CLONE_NEWUSER);
		}
		unshared.context("unshare(CLONE_NEWUSER)")?;
		fs::write("/proc/self/setgroups", "deny")?;
		fs::write("/proc/self/gid_map", format!("0 {group} 1"))?;
		// As root of the namespace, so that programs which are started in it keep the right.
		fs::write("/proc/self/uid_map", format!("0 {user} 1"))?;
		Namespace::new().map(drop)
	};
	enter().with_context(|| {
		format!(
			"links can only be cut in network namespaces, and this process may not make any ({refused:#}). Run it as \
			 root, or allow unprivileged user namespaces (sysctl user.max_user_namespaces, and \
			 kernel.unprivileged_userns_clone or kernel.apparmor_restrict_unprivileged_userns where they exist)"
		)
	})
}

/// A network namespace. Cheap to clone; it goes when the last clone and the last process in it are gone.
#[derive(Clone, Debug)]
pub struct Namespace(Arc<File>);

impl Namespace {
	/// A new one, with nothing but a loopback interface that is down.
	fn new() -> Result<Self> {
		// A namespace belongs to a thread; this one ends, and the descriptor stays.
		let make = || -> Result<File> {
			unshare(CloneFlags::CLONE_NEWNET).context("unshare(CLONE_NEWNET)")?;
			let path = "/proc/thread-self/ns/net";
			File::open(path).with_context(|| format!("cannot open {path}"))
		};
		Ok(Self(Arc::new(in_thread(make)??)))
	}

	/// Where other processes of this user find it.
	fn path(&self) -> String {
		format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd())
	}

	/// Has a program run in it.
	pub fn enter(&self, command: &mut Command) {
		let namespace = self.0.clone();
		// SAFETY: between fork and exec the closure makes one system call and allocates nothing.
		unsafe {
			command.pre_exec(move || Ok(setns(&namespace, CloneFlags::CLONE_NEWNET)?));
		}
	}

	/// Connects from within. The connection stays in the namespace, whoever uses it.
	///
	/// # Errors
	/// Those of the connection.
	pub fn connect(&self, to: SocketAddr) -> io::Result<TcpStream> {
		let connect = || {
			setns(&self.0, CloneFlags::CLONE_NEWNET)?;
			TcpStream::connect(to)
		};
		in_thread(connect).map_err(|e| io::Error::other(e.to_string()))?
	}

	/// Runs `ip` (iproute2) on these lines.
	fn ip(&self, lines: &[String]) -> Result<()> {
		let mut command = Command::new("ip");
		command.args(["-batch", "-"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
		self.enter(&mut command);
		let mut child =
			command.spawn().context("cannot run `ip`: install iproute2, which scripts/setup --tests does")?;
		let mut stdin = child.stdin.take().context("a pipe was asked for")?;
		// A program that reads nothing has said why on its standard error.
		let _ = stdin.write_all(lines.join("\n").as_bytes());
		drop(stdin);
		let output = child.wait_with_output().context("cannot read from `ip`")?;
		if !output.status.success() {
			bail!("`ip {}` failed: {}", lines.join("; "), String::from_utf8_lossy(&output.stderr).trim());
		}
		Ok(())
	}
}

fn in_thread<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T> {
	thread::scope(|scope| {
		let thread = thread::Builder::new().name("namespace".into()).spawn_scoped(scope, work)?;
		thread.join().ok().context("a thread has panicked")
	})
}

/// A machine on the network.
#[derive(Clone, Debug)]
pub struct Machine {
	/// What it is called in messages.
	pub name: String,
	/// Its address.
	pub address: Ipv4Addr,
	namespace: Namespace,
	/// The switch's end of its cable.
	port: String,
}

impl Machine {
	/// What runs on it.
	pub fn namespace(&self) -> &Namespace {
		&self.namespace
	}
}

/// Two switches and the machines that are plugged into them.
#[derive(Debug)]
pub struct Lan {
	switches: Namespace,
	machines: usize,
}

impl Lan {
	/// Without machines yet.
	///
	/// # Errors
	/// When the system does not allow it; see [`prepare`].
	pub fn new() -> Result<Self> {
		let switches = Namespace::new()
			.context("no network namespace can be made: run as root, or see cairn_devnet::lan::prepare")?;
		let lines = [SWITCH, OTHER_SWITCH]
			.iter()
			.flat_map(|s| [format!("link add {s} type bridge"), format!("link set {s} up")]);
		switches.ip(&lines.collect::<Vec<_>>())?;
		Ok(Self { switches, machines: 0 })
	}

	/// Plugs a new machine into the first switch.
	///
	/// # Errors
	/// When there are too many, or the system does not allow it.
	pub fn machine(&mut self, name: impl Into<String>) -> Result<Machine> {
		ensure!(self.machines < MOST, "a network has at most {MOST} machines");
		self.machines += 1;
		let (namespace, number) = (Namespace::new()?, self.machines as u8);
		let (address, port) = (Ipv4Addr::new(10, 77, 0, number), format!("port{number}"));
		self.switches.ip(&[
			format!("link add {port} type veth peer name eth0 netns {}", namespace.path()),
			format!("link set {port} master {SWITCH} up"),
		])?;
		namespace.ip(&[
			"link set lo up".into(),
			format!("address add {address}/24 dev eth0"),
			"link set eth0 up".into(),
		])?;
		Ok(Machine { name: name.into(), address, namespace, port })
	}

	/// Moves machines to the second switch: they reach each other and nobody else.
	///
	/// # Errors
	/// When `ip` fails.
	pub fn part<'a>(&self, machines: impl IntoIterator<Item = &'a Machine>) -> Result<()> {
		self.plug(machines, OTHER_SWITCH)
	}

	/// Moves machines back to the first switch.
	///
	/// # Errors
	/// When `ip` fails.
	pub fn join<'a>(&self, machines: impl IntoIterator<Item = &'a Machine>) -> Result<()> {
		self.plug(machines, SWITCH)
	}

	fn plug<'a>(&self, machines: impl IntoIterator<Item = &'a Machine>, switch: &str) -> Result<()> {
		let lines: Vec<_> =
			machines.into_iter().map(|m| format!("link set {} master {switch}", m.port)).collect();
		self.switches.ip(&lines)
	}

	/// Pulls a machine's cable out of its switch.
	///
	/// # Errors
	/// When `ip` fails.
	pub fn unplug(&self, machine: &Machine) -> Result<()> {
		self.switches.ip(&[format!("link set {} nomaster", machine.port)])
	}
}

#[cfg(test)]
mod tests {
	#![allow(clippy::unwrap_used)]
	use super::*;
	use std::{net::TcpListener, os::unix::fs::MetadataExt};

	fn listen(on: &Machine) -> (TcpListener, SocketAddr) {
		let address = SocketAddr::new(on.address.into(), 4001);
		let namespace = on.namespace().clone();
		let listener = in_thread(move || {
			setns(&namespace.0, CloneFlags::CLONE_NEWNET).unwrap();
			TcpListener::bind(address).unwrap()
		});
		(listener.unwrap(), address)
	}

	fn connects(from: &Machine, to: SocketAddr) -> bool {
		in_thread(|| {
			setns(&from.namespace.0, CloneFlags::CLONE_NEWNET).unwrap();
			TcpStream::connect_timeout(&to, Duration::from_secs(1)).is_ok()
		})
		.unwrap()
	}

	/// A cable that is cut answers nothing, however long one waits.
	fn is_cut_off(from: &Machine, to: SocketAddr) -> bool {
		!connects(from, to)
	}

	/// A connection within one machine takes microseconds, and on a busy one as long as it takes.
	fn is_reached(from: &Machine, to: SocketAddr) -> bool {
		(0..100).any(|attempt| {
			thread::sleep(Duration::from_millis(attempt));
			connects(from, to)
		})
	}

	// A test's threads cannot enter a user namespace, so this needs the right as it is. `cairn-devnet chaos` is tested
	// with whatever the system allows.
	#[test]
	fn machines_reach_each_other_until_the_network_splits_and_again_when_it_heals() {
		let mut lan = match Lan::new() {
			Ok(lan) => lan,
			Err(error) if !getuid().is_root() => return println!("SKIPPED, not root: {error:#}"),
			Err(error) => panic!("{error:#}"),
		};
		let [a, b, c] = ["a", "b", "c"].map(|name| lan.machine(name).unwrap());
		let (_on_a, to_a) = listen(&a);
		let (_on_b, to_b) = listen(&b);
		let (_on_c, to_c) = listen(&c);
		assert!(is_reached(&a, to_b) && is_reached(&b, to_c) && is_reached(&c, to_a));
		lan.part([&b, &c]).unwrap();
		assert!(is_reached(&b, to_c));
		assert!(is_cut_off(&a, to_b) && is_cut_off(&c, to_a));
		lan.join([&b, &c]).unwrap();
		assert!(is_reached(&a, to_b) && is_reached(&c, to_a));
		lan.unplug(&a).unwrap();
		assert!(is_cut_off(&b, to_a) && is_reached(&b, to_c));
		// Its own loopback is its own.
		assert!(is_reached(&a, to_a));
		lan.join([&a]).unwrap();
		assert!(is_reached(&b, to_a));
	}

	#[test]
	fn namespace_goes_with_its_last_descriptor() {
		let Ok(mut lan) = Lan::new() else { return println!("SKIPPED, not root") };
		let machine = lan.machine("a").unwrap();
		// Counted while there is one: another namespace may get its number at once.
		let number = |file: &fs::Metadata| (file.dev(), file.ino());
		let own = number(&fs::metadata(machine.namespace.path()).unwrap());
		let held = fs::read_dir("/proc/self/fd").unwrap().flatten();
		let held = held.filter_map(|d| fs::metadata(d.path()).ok()).filter(|file| number(file) == own);
		assert_eq!(held.count(), 1);
		let descriptor = Arc::downgrade(&machine.namespace.0);
		drop((machine, lan));
		assert!(descriptor.upgrade().is_none());
	}
}
