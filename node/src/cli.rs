//! The command line.

use crate::chain_spec::CHOICES;
use clap::{builder::ValueParser, Arg, Command, CommandFactory, FromArgMatches, Parser};
use sc_cli::{Database, RunCmd, SubstrateCli};

/// A Cairn node: keeps the ledger of record, makes and finalises blocks, and answers questions about provenance.
#[derive(Debug, Parser)]
pub struct Cli {
	/// What to do instead of running a node.
	#[command(subcommand)]
	pub subcommand: Option<Subcommand>,

	/// How to run the node.
	#[command(flatten)]
	pub run: RunCmd,
}

/// What the binary does besides running a node.
#[derive(Debug, clap::Subcommand)]
#[allow(clippy::large_enum_variant)]
pub enum Subcommand {
	/// Generate, inspect and insert keys.
	#[command(subcommand)]
	Key(sc_cli::KeySubcommand),

	/// Sign a message with a given secret key.
	Sign(sc_cli::SignCmd),

	/// Verify a signature of a message.
	Verify(sc_cli::VerifyCmd),

	/// Generate a seed whose address holds a given text.
	Vanity(sc_cli::VanityCmd),

	/// Write a chain specification, with a boot node of this machine in it. Prefer `export-chain-spec`.
	BuildSpec(sc_cli::BuildSpecCmd),

	/// Write the specification of a chain, in plain or raw form.
	ExportChainSpec(sc_cli::ExportChainSpecCmd),

	/// Execute a block of the database again and check it.
	CheckBlock(sc_cli::CheckBlockCmd),

	/// Export blocks to a file.
	ExportBlocks(sc_cli::ExportBlocksCmd),

	/// Export the state of a block into a chain specification.
	ExportState(sc_cli::ExportStateCmd),

	/// Import blocks from a file.
	ImportBlocks(sc_cli::ImportBlocksCmd),

	/// Delete the database of a chain.
	PurgeChain(sc_cli::PurgeChainCmd),

	/// Take the newest blocks back.
	Revert(sc_cli::RevertCmd),

	/// Tell what the database holds.
	ChainInfo(sc_cli::ChainInfoCmd),
}

impl Cli {
	/// Parses this process's arguments. Prints and exits when they are wrong or when help is asked for.
	pub fn parse_process_arguments() -> Self {
		Self::parse_arguments(std::env::args_os()).unwrap_or_else(|e| e.exit())
	}

	/// Parses arguments, of which the first is the program's name.
	pub fn parse_arguments<I>(arguments: I) -> Result<Self, clap::Error>
	where
		I: IntoIterator,
		I::Item: Into<std::ffi::OsString> + Clone,
	{
		let matches = Self::adapted_command().try_get_matches_from(arguments)?;
		Self::from_arg_matches(&matches)
	}

	/// The standard command line with what is different here.
	fn adapted_command() -> Command {
		Self::setup_command(Self::command())
			.mut_args(adapt)
			.mut_subcommands(|command| command.mut_args(adapt))
			// The directory is named after the chain, and there is no default chain.
			.mut_subcommand("key", |key| {
				key.mut_subcommand("generate-node-key", |command| {
					command.mut_arg("default_base_path", |arg| arg.requires("chain"))
				})
			})
	}
}

/// Changes the standard arguments that are different for Cairn.
fn adapt(arg: Arg) -> Arg {
	match arg.get_id().as_str() {
		"database" => arg
			.value_parser(ValueParser::new(database))
			.help("The database: `paritydb`, the only one there is")
			.long_help(None),
		// What a block writes into the index cannot be had later without importing the block again, so it is on from
		// the first block on.
		"indexing_enabled" => arg.default_value("true").help(
			"Keep the runtime's offchain index, from which proofs about records are served. A node that was once run \
			 without it lacks what the blocks of that time wrote",
		).long_help(None),
		"chain" => arg
			.help(format!("The chain: {CHOICES}"))
			.long_help(None),
		_ => arg,
	}
}

/// The database that `--database` names.
fn database(name: &str) -> Result<Database, String> {
	match name.to_ascii_lowercase().as_str() {
		// `auto` takes what is there, and only ParityDB can be.
		"paritydb" | "auto" => Ok(Database::ParityDb),
		"rocksdb" => {
			Err("this node has no RocksDB; it keeps its data in ParityDB. Leave --database out. To move a \
			RocksDB database of another node, synchronise anew or use export-blocks there and import-blocks here"
				.into())
		},
		_ => Err("the only database is `paritydb`; leave --database out".into()),
	}
}

#[cfg(test)]
mod tests {
	#![allow(clippy::unwrap_used)]

	use super::*;
	use sc_cli::CliConfiguration;

	fn parse(arguments: &[&str]) -> Result<Cli, clap::Error> {
		Cli::parse_arguments([&["cairn-node"], arguments].concat())
	}

	#[test]
	fn the_command_line_is_consistent() {
		Cli::adapted_command().debug_assert();
	}

	#[test]
	fn offchain_indexing_is_on_unless_switched_off() {
		let indexing = |arguments: &[&str]| {
			let run = parse(arguments).unwrap().run;
			run.offchain_worker(&sc_cli::Role::Full).unwrap().indexing_enabled
		};
		assert!(indexing(&["--dev"]));
		assert!(indexing(&["--chain", "local", "--validator"]));
		assert!(!indexing(&["--dev", "--enable-offchain-indexing", "false"]));
	}

	#[test]
	fn rocksdb_is_refused_with_the_reason_in_every_command_that_takes_a_database() {
		for command in [
			&["--dev"][..],
			&["import-blocks"],
			&["export-blocks"],
			&["purge-chain"],
			&["chain-info"],
			&["revert"],
		] {
			let error = parse(&[command, &["--database", "RocksDb"]].concat()).unwrap_err().to_string();
			assert!(error.contains("ParityDB"), "{command:?}: {error}");
		}
	}

	#[test]
	fn paritydb_and_auto_are_the_same() {
		for name in ["paritydb", "ParityDb", "auto"] {
			let run = parse(&["--dev", "--database", name]).unwrap().run;
			assert_eq!(run.database().unwrap(), Some(Database::ParityDb), "{name}");
		}
	}

	#[test]
	fn dev_is_one_validator_named_alice_with_forced_authoring() {
		let run = parse(&["--dev"]).unwrap().run;
		assert!(run.is_dev().unwrap());
		assert_eq!(run.chain_id(true).unwrap(), "dev");
		assert!(run.role(true).unwrap().is_authority());
		assert!(run.force_authoring().unwrap());
		assert_eq!(run.dev_key_seed(true).unwrap().as_deref(), Some("//Alice"));
	}

	#[test]
	fn a_node_key_for_the_default_directory_needs_a_chain() {
		let generate = ["key", "generate-node-key"];
		assert!(parse(&generate).is_ok());
		assert!(parse(&[&generate[..], &["--default-base-path"]].concat()).is_err());
		assert!(parse(&[&generate[..], &["--default-base-path", "--chain", "dev"]].concat()).is_ok());
	}
}
