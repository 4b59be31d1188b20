//! `cairn-worker programme`

use super::{
	args::{InitArgs, ProgrammeCommand},
	App, CliError,
};
use crate::units::hex;
use cairn_artifacts::{artifact_hash, Store};
use cairn_primitives::{programme::is_label, Aggregation, Schedule};
use cairn_training::{genesis_weights, TrainingConfig};
use serde_json::{json, Value};
use std::{fs, path::PathBuf};

pub(super) fn run(app: &App, command: ProgrammeCommand) -> Result<(), CliError> {
	let ProgrammeCommand::Init(args) = command;
	let entry = init(app, &args)?;
	// The entry itself is the answer, for people and machines alike.
	let text = serde_json::to_string_pretty(&entry).map_err(CliError::failed)?;
	app.output.result(&entry, text);
	Ok(())
}

fn init(app: &App, args: &InitArgs) -> Result<Value, CliError> {
	let aggregation = args.aggregation.aggregation();
	let schedule = parse_schedule(&args.schedule)?;
	check_numbers(args, &aggregation, &schedule)?;
	let text = fs::read_to_string(&args.config)
		.map_err(|e| CliError::Failed(format!("cannot read {}: {e}", args.config.display())))?;
	let config = TrainingConfig::from_toml(&text)
		.map_err(|e| CliError::Failed(format!("{}: {e}", args.config.display())))?;
	let config_bytes = config.to_artifact();
	let weights_bytes = genesis_weights(&config).to_bytes();
	let write = |bytes: &[u8]| -> Result<PathBuf, CliError> {
		let path = args.out.join(hex(artifact_hash(bytes)));
		fs::create_dir_all(&args.out)
			.and_then(|()| fs::write(&path, bytes))
			.map_err(|e| CliError::Failed(format!("cannot write {}: {e}", path.display())))?;
		Ok(path)
	};
	write(&config_bytes)?;
	write(&weights_bytes)?;
	// No store is made for somebody who only prepares a chain.
	if app.settings.base_named {
		let store = Store::open(app.base()?.store())?;
		store.put(&config_bytes)?;
		store.put(&weights_bytes)?;
	}
	Ok(json!({
		"name": args.name,
		"config": artifact_hash(&config_bytes),
		"genesisWeights": artifact_hash(&weights_bytes),
		"aggregation": aggregation,
		"schedule": schedule,
		"committeeSize": args.committee_size,
		"minUpdates": args.min_updates,
		"targetUpdates": args.target_updates,
		"maxUpdates": args.max_updates,
		"maxSamples": args.max_samples,
		"maxLocalSteps": args.max_local_steps,
		"rounds": args.rounds,
		"rewardPerRound": amount(args.reward_per_round)?,
		"committeeShare": args.committee_share,
		"auditSize": args.audit_size,
		"licence": args.licence,
		"dataCategory": args.data_category,
		"epsilonPerRound": args.epsilon_per_round,
		"challengeBond": amount(args.challenge_bond)?,
		"pot": amount(args.pot)?,
	}))
}

/// A plain JSON number, which is what the chain's genesis takes.
fn amount(plancks: u128) -> Result<u64, CliError> {
	u64::try_from(plancks).map_err(|_| {
		CliError::Usage(format!(
			"{plancks} plancks do not fit into a JSON number of 64 bits: choose a smaller amount"
		))
	})
}

fn parse_schedule(text: &str) -> Result<Schedule, CliError> {
	let numbers: Result<Vec<u32>, _> = text.split(',').map(|n| n.trim().parse()).collect();
	match numbers.as_deref() {
		Ok([commit, availability, aggregate, reveal, challenge @ ..])
			if challenge.len() <= 1
				&& [commit, availability, aggregate, reveal].into_iter().all(|n| *n > 0) =>
		{
			Ok(Schedule {
				commit: *commit,
				availability: *availability,
				aggregate: *aggregate,
				reveal: *reveal,
				challenge: challenge.first().copied().unwrap_or(0),
			})
		},
		_ => Err(CliError::Usage(format!(
			"--schedule `{text}`: write four numbers of blocks above 0, for example 20,8,8,8, and a fifth where an \
			 aggregate can be challenged: 20,8,8,8,10"
		))),
	}
}

fn check_numbers(args: &InitArgs, aggregation: &Aggregation, schedule: &Schedule) -> Result<(), CliError> {
	let wrong = |text: String| Err(CliError::Usage(text));
	if args.name.is_empty() || args.name.len() > 64 {
		return wrong(format!("--name has {} bytes: give 1 to 64", args.name.len()));
	}
	aggregation.check().map_err(|e| CliError::Usage(format!("the aggregation cannot be: {e}")))?;
	let least = aggregation.min_updates().max(1);
	if args.min_updates < least {
		return wrong(format!(
			"--min-updates {} is below the {least} that {aggregation} needs",
			args.min_updates
		));
	}
	if args.target_updates < args.min_updates || args.max_updates < args.target_updates {
		return wrong(format!(
			"--min-updates {}, --target-updates {} and --max-updates {} must not fall",
			args.min_updates, args.target_updates, args.max_updates
		));
	}
	for (name, label) in [("--licence", &args.licence), ("--data-category", &args.data_category)] {
		if label.len() > 32 || !is_label(label.as_bytes()) {
			return wrong(format!("{name} `{label}`: give at most 32 characters of ASCII without spaces"));
		}
	}
	if schedule.challenge > 0 {
		if args.audit_size.is_some_and(|size| size <= args.committee_size) {
			return wrong(format!(
				"--audit-size must be above --committee-size {}: an audit is a second, larger opinion",
				args.committee_size
			));
		}
		if args.challenge_bond == 0 {
			return wrong("--challenge-bond must be above 0 where an aggregate can be challenged".into());
		}
	}
	if args.committee_share > 100 {
		return wrong(format!("--committee-share {} is above 100 per cent", args.committee_share));
	}
	for (name, value) in [
		("--committee-size", args.committee_size),
		("--rounds", args.rounds),
		("--max-samples", args.max_samples),
	] {
		if value == 0 {
			return wrong(format!("{name} must be at least 1"));
		}
	}
	Ok(())
}
