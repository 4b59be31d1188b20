//! What each command does.

use crate::{
	chain_spec,
	cli::{Cli, Subcommand},
	config,
	service::{self, FullClient, Partial},
};
use cairn_runtime::opaque::Block;
use sc_cli::{CliConfiguration, DefaultConfigurationValues, KeySubcommand, Runner, SubstrateCli};
use sc_network::config::NetworkBackendType;
use std::sync::Arc;

impl SubstrateCli for Cli {
	fn impl_name() -> String {
		"Cairn Node".into()
	}

	fn impl_version() -> String {
		env!("SUBSTRATE_CLI_IMPL_VERSION").into()
	}

	fn description() -> String {
		env!("CARGO_PKG_DESCRIPTION").into()
	}

	fn author() -> String {
		"the Cairn contributors".into()
	}

	fn support_url() -> String {
		"the issue tracker of the repository that this node was built from".into()
	}

	fn copyright_start_year() -> i32 {
		2026
	}

	fn load_spec(&self, name: &str) -> Result<Box<dyn sc_service::ChainSpec>, String> {
		Ok(Box::new(chain_spec::load(name)?))
	}
}

/// A runner whose configuration is ready for this node.
fn runner<C, V>(cli: &Cli, command: &C) -> sc_cli::Result<Runner<Cli>>
where
	C: CliConfiguration<V>,
	V: DefaultConfigurationValues,
{
	let mut runner = cli.create_runner(command)?;
	config::use_parity_db(runner.config_mut());
	// Blocks that are imported, checked or reverted offline go through the same index as those of a running node.
	runner.config_mut().offchain_worker.indexing_enabled = true;
	Ok(runner)
}

/// Parses this process's arguments and does what they say.
pub fn run() -> sc_cli::Result<()> {
	let cli = Cli::parse_process_arguments();

	match &cli.subcommand {
		Some(Subcommand::Key(KeySubcommand::GenerateNodeKey(command))) if command.chain.is_none() => {
			// A node key belongs to no chain. The chain's id only names the default directory, and who asks for that
			// one has to name the chain.
			command.run("", &Cli::executable_name())
		},
		Some(Subcommand::Key(command)) => command.run(&cli),
		Some(Subcommand::Sign(command)) => command.run(),
		Some(Subcommand::Verify(command)) => command.run(),
		Some(Subcommand::Vanity(command)) => command.run(),
		Some(Subcommand::BuildSpec(command)) => {
			runner(&cli, command)?.sync_run(|config| command.run(config.chain_spec, config.network))
		},
		Some(Subcommand::ExportChainSpec(command)) => command.run(cli.load_spec(&command.chain)?),
		Some(Subcommand::CheckBlock(command)) => runner(&cli, command)?.async_run(|config| {
			let Partial { client, task_manager, import_queue, .. } = service::new_partial(&config)?;
			Ok((command.run(client, import_queue), task_manager))
		}),
		Some(Subcommand::ExportBlocks(command)) => runner(&cli, command)?.async_run(|config| {
			let Partial { client, task_manager, .. } = service::new_partial(&config)?;
			Ok((command.run(client, config.database), task_manager))
		}),
		Some(Subcommand::ExportState(command)) => runner(&cli, command)?.async_run(|config| {
			let Partial { client, task_manager, .. } = service::new_partial(&config)?;
			Ok((command.run(client, config.chain_spec), task_manager))
		}),
		Some(Subcommand::ImportBlocks(command)) => runner(&cli, command)?.async_run(|config| {
			let Partial { client, task_manager, import_queue, .. } = service::new_partial(&config)?;
			Ok((command.run(client, import_queue), task_manager))
		}),
		Some(Subcommand::PurgeChain(command)) => {
			runner(&cli, command)?.sync_run(|config| command.run(config.database))
		},
		Some(Subcommand::Revert(command)) => runner(&cli, command)?.async_run(|config| {
			let Partial { client, task_manager, backend, .. } = service::new_partial(&config)?;
			let consensus = Box::new(|client: Arc<FullClient>, backend, blocks| {
				sc_consensus_babe::revert(client.clone(), backend, blocks)?;
				sc_consensus_grandpa::revert(client, blocks)?;
				Ok(())
			});
			Ok((command.run(client, backend, Some(consensus)), task_manager))
		}),
		Some(Subcommand::ChainInfo(command)) => {
			runner(&cli, command)?.sync_run(|config| command.run::<Block>(&config))
		},
		None => run_node(&cli),
	}
}

/// Runs the node until a signal ends it.
fn run_node(cli: &Cli) -> sc_cli::Result<()> {
	let mut runner = cli.create_runner(&cli.run)?;
	config::use_parity_db(runner.config_mut());
	config::warn_without_index(runner.config());
	// Who spells an endpoint out also says there whether another port will do.
	if cli.run.rpc_params.experimental_rpc_endpoint.is_empty() {
		config::refuse_other_rpc_ports(runner.config_mut());
	}
	config::check_ports(runner.config())?;
	runner.run_node_until_exit(|config| async move {
		match config.network.network_backend {
			NetworkBackendType::Libp2p => {
				service::new_full::<sc_network::NetworkWorker<Block, cairn_runtime::Hash>>(config)
			},
			NetworkBackendType::Litep2p => service::new_full::<sc_network::Litep2pNetworkBackend>(config),
		}
		.map_err(sc_cli::Error::Service)
	})
}
