//! Where the seconds of a round go, from the events that the workers wrote.

use crate::{
	devnet::{Devnet, PROGRAMME},
	report::Row,
	ui::table,
};
use anyhow::{Context, Result};
use cairn_primitives::views::Phase;
use serde_json::Value;

/// Seconds of one round. Workers work side by side, so each part is that of the slowest.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Split {
	/// The round.
	pub round: u32,
	/// Local training.
	pub training: f64,
	/// Fetching and checking: weights by trainers, updates by the committee.
	pub transfer: f64,
	/// Computing the next weights.
	pub aggregation: f64,
	/// The rest: blocks, finality, and windows.
	pub waiting: f64,
	/// All of it, by the chain's clock.
	pub whole: f64,
}

/// The largest value of a field among the events of a kind in a round.
fn slowest(events: &[Vec<Value>], kind: &str, round: u32, field: &str) -> f64 {
	let of_round =
		|event: &&Value| event["event"] == kind && event["programme"] == PROGRAMME && event["round"] == round;
	events.iter().flatten().filter(of_round).filter_map(|e| e[field].as_f64()).fold(0.0, f64::max)
}

/// Splits a finalised round's seconds. `events` are those of each worker.
pub fn split(events: &[Vec<Value>], round: u32, whole: f64) -> Split {
	let training = slowest(events, "round.trained", round, "trainSeconds");
	let transfer = slowest(events, "round.trained", round, "fetchSeconds")
		+ slowest(events, "round.voted", round, "fetchSeconds")
		+ slowest(events, "round.aggregated", round, "fetchSeconds");
	let aggregation = slowest(events, "round.aggregated", round, "aggregateSeconds");
	let waiting = (whole - training - transfer - aggregation).max(0.0);
	Split { round, training, transfer, aggregation, waiting, whole }
}

/// The middle of the values; of an even number, the upper one of the two.
fn median(mut values: Vec<f64>) -> f64 {
	values.sort_by(f64::total_cmp);
	values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// Times the local steps of every worker in plain libtorch, one worker after the other, each in a process of its own.
/// Gives the seconds of each.
async fn plain(net: &Devnet, config: &cairn_primitives::H256) -> Result<Vec<f64>> {
	let config = net.artifact(config)?.display().to_string();
	let mut seconds = Vec::new();
	for worker in net.workers().iter().filter(|w| w.trainer) {
		net.ui().status(format!("the same local steps in plain libtorch, {}", worker.name));
		let mut args = vec!["bench-plain".to_string(), "--config".into(), config.clone()];
		// Its data, its partition and its number of threads; nothing of the network.
		for pair in worker.run_args.chunks_exact(2) {
			if ["--data", "--partition", "--partition-seed", "--alpha", "--threads"]
				.contains(&pair[0].as_str())
			{
				args.extend_from_slice(pair);
			}
		}
		let args: Vec<&str> = args.iter().map(String::as_str).collect();
		let answer: Value = worker.cli(&args).await?.json()?;
		let elapsed = answer["seconds"].as_f64();
		seconds
			.push(elapsed.with_context(|| format!("`cairn-worker bench-plain` shows no seconds: {answer}"))?);
	}
	Ok(seconds)
}

/// Measures after the last round, and says where the seconds went.
///
/// # Errors
/// When events cannot be read or the plain run fails.
pub async fn report(net: &Devnet, rows: &[Row]) -> Result<String> {
	let events = net.workers().iter().map(|w| w.read_events()).collect::<Result<Vec<_>>>()?;
	let finalised = rows.iter().filter(|row| row.round.phase == Phase::Finalised);
	let splits: Vec<Split> = finalised.map(|row| split(&events, row.round.index, row.seconds)).collect();
	let head = net.rpc().finalised().await?;
	let programme = net.rpc().programme(PROGRAMME, Some(&head.hash)).await?;
	let plain = plain(net, &programme.config).await?;
	Ok(show(&splits, &plain))
}

fn show(splits: &[Split], plain: &[f64]) -> String {
	let cells = |label: String, s: Split| {
		let mut cells = vec![label];
		let seconds = [s.training, s.transfer, s.aggregation, s.waiting, s.whole];
		cells.extend(seconds.map(|v| format!("{v:.3}")));
		cells
	};
	let middle = |field: fn(&Split) -> f64| median(splits.iter().map(field).collect());
	let typical = Split {
		round: 0,
		training: middle(|s| s.training),
		transfer: middle(|s| s.transfer),
		aggregation: middle(|s| s.aggregation),
		waiting: middle(|s| s.waiting),
		whole: middle(|s| s.whole),
	};
	let mut rows: Vec<_> = splits.iter().map(|s| cells(s.round.to_string(), *s)).collect();
	rows.push(cells("median".into(), typical));
	let header =
		["round", "local training", "transfer", "aggregation", "waiting for the chain", "whole round"];
	let (all, slowest) = (plain.iter().sum::<f64>(), plain.iter().copied().fold(0.0, f64::max));
	let ratio = |seconds: f64| if seconds > 0.0 { typical.whole / seconds } else { f64::NAN };
	format!(
		"{}\n\nSeconds; of workers side by side, the slowest.\n\
		 The same local steps in plain libtorch: {slowest:.3} s for the slowest worker alone, {all:.3} s for all {} one \
		 after the other.\nA whole round takes {:.1} times the former and {:.1} times the latter.",
		table(&header, &rows),
		plain.len(),
		ratio(slowest),
		ratio(all)
	)
}

#[cfg(test)]
mod tests {
	use super::*;
	use serde_json::json;

	fn events() -> Vec<Vec<Value>> {
		let trained = |round, seconds: f64| json!({"event": "round.trained", "programme": 0, "round": round, "trainSeconds": seconds, "fetchSeconds": 0.5});
		vec![
			vec![trained(0, 1.0), trained(1, 9.0)],
			vec![
				trained(0, 2.0),
				json!({"event": "round.voted", "programme": 0, "round": 0, "fetchSeconds": 0.25}),
				json!({"event": "round.aggregated", "programme": 0, "round": 0, "fetchSeconds": 0.25, "aggregateSeconds": 3.0}),
				json!({"event": "round.trained", "programme": 7, "round": 0, "trainSeconds": 99.0}),
			],
		]
	}

	#[test]
	fn round_is_split_by_its_own_events_and_the_slowest_worker() {
		let expected =
			Split { round: 0, training: 2.0, transfer: 1.0, aggregation: 3.0, waiting: 6.0, whole: 12.0 };
		assert_eq!(split(&events(), 0, 12.0), expected);
	}

	#[test]
	fn parts_that_overlap_do_not_make_waiting_negative() {
		assert_eq!(split(&events(), 1, 3.0).waiting, 0.0);
	}

	#[test]
	fn report_relates_the_median_round_to_plain_steps() {
		let splits: Vec<Split> =
			[10.0, 30.0, 20.0].map(|whole| Split { whole, ..Default::default() }).into_iter().collect();
		let text = show(&splits, &[1.0, 2.0, 2.0]);
		assert!(text.contains("10.0 times the former and 4.0 times the latter"), "{text}");
	}
}
