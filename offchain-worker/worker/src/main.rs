//! The `cairn-worker` binary. Everything is in the library, where it is tested.

use std::process::ExitCode;

fn main() -> ExitCode {
	cairn_worker::cli::main()
}
