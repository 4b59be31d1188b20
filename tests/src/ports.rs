//! TCP ports on the loopback interface.

use anyhow::{bail, Context, Result};
use std::{
	net::{Ipv4Addr, TcpListener},
	sync::atomic::{AtomicU16, Ordering},
};

/// Where the search for free ports begins. Below the range from which systems take ports for outgoing connections, so
/// that none is taken between the check and its use.
const FIRST: u16 = 20_000;
/// Where it ends.
const LAST: u16 = 32_000;

fn is_free(port: u16) -> bool {
	// Any address counts as use: a server on 0.0.0.0 shadows the loopback.
	TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok()
		&& TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

fn first_free(mut ports: impl Iterator<Item = u16>) -> Option<u16> {
	ports.find(|port| is_free(*port))
}

/// How many ports this process has handed out: networks that it runs side by side must not get the same ones, though
/// nothing listens on them yet.
static HANDED_OUT: AtomicU16 = AtomicU16::new(0);

/// Hands out ports that nothing listens on.
#[derive(Default)]
pub struct Ports(());

impl Ports {
	/// The next free port.
	///
	/// # Errors
	/// When none is left.
	pub fn free(&mut self) -> Result<u16> {
		// Two processes that start networks at the same moment begin at different places.
		let range = u32::from(LAST - FIRST);
		let begin = std::process::id() % 100 * (range / 100);
		let ports = (0..range).map(|_| {
			let place = begin + u32::from(HANDED_OUT.fetch_add(1, Ordering::Relaxed));
			FIRST + (place % range) as u16
		});
		first_free(ports).with_context(|| {
			format!("no free TCP port between {FIRST} and {LAST}: `ss -ltnp` shows what listens there")
		})
	}

	/// A certain port, if it is free.
	///
	/// # Errors
	/// When something listens on it; the message says for what it was wanted and what to do.
	pub fn certain(port: u16, purpose: &str) -> Result<u16> {
		if is_free(port) {
			return Ok(port);
		}
		bail!(
			"port {port} ({purpose}) is in use. `ss -ltnp 'sport = :{port}'` shows by what; stop that (perhaps another \
			 devnet), or give another --rpc-port (0 takes whatever is free)"
		)
	}
}

#[cfg(test)]
mod tests {
	#![allow(clippy::unwrap_used)]
	use super::*;

	#[test]
	fn free_ports_are_different_and_free() {
		let mut ports = Ports::default();
		let (a, b) = (ports.free().unwrap(), ports.free().unwrap());
		assert_ne!(a, b);
		assert!(is_free(a) && is_free(b));
	}

	#[test]
	fn port_in_use_is_refused_with_number_purpose_and_remedy() {
		let held = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
		let port = held.local_addr().unwrap().port();
		let message = Ports::certain(port, "RPC of validator-1").unwrap_err().to_string();
		for part in [&port.to_string(), "RPC of validator-1", "--rpc-port"] {
			assert!(message.contains(part), "{message}");
		}
	}

	#[test]
	fn port_that_is_in_use_is_passed_over() {
		let held = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
		let port = held.local_addr().unwrap().port();
		let free = Ports::default().free().unwrap();
		assert_eq!(first_free([port, free].into_iter()), Some(free));
		assert_eq!(first_free([port].into_iter()), None);
	}
}
