//! TCP ports on the loopback interface.

use anyhow::{bail, Result};
use std::net::{Ipv4Addr, TcpListener};

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

/// Hands out ports that nothing listens on.
pub struct Ports {
	next: u16,
}

impl Default for Ports {
	fn default() -> Self {
		// Two networks that start at the same moment begin at different places.
		let spread = (std::process::id() % 100) as u16 * ((LAST - FIRST) / 100);
		Self { next: FIRST + spread }
	}
}

impl Ports {
	/// The next free port.
	///
	/// # Errors
	/// When none is left.
	pub fn free(&mut self) -> Result<u16> {
		for _ in FIRST..LAST {
			let port = self.next;
			self.next = if port + 1 >= LAST { FIRST } else { port + 1 };
			if is_free(port) {
				return Ok(port);
			}
		}
		bail!("no free TCP port between {FIRST} and {LAST}: `ss -ltnp` shows what listens there")
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
		assert_ne!(Ports { next: port }.free().unwrap(), port);
	}
}
