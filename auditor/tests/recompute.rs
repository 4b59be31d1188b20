//! What `recompute` makes of right, wrong and missing things.
#![allow(clippy::unwrap_used)]

mod common;

use cairn_aggregation::AggregationRule;
use cairn_artifacts::Store;
use cairn_auditor::{
	chain::ChainError,
	recompute::{recompute, Outcome, Report},
	stores::Stores,
	Verdict,
};
use cairn_primitives::{aggregation::ServerOptimiser, Aggregation, RecordRange, H256};
use common::*;
use std::fs;

const MEAN: AggregationRule = AggregationRule::WeightedMean;

async fn audit(world: &World, only: Option<u32>) -> Report {
	let stores = Stores::open(&[world.store.root()]).unwrap();
	let mut seen = Vec::new();
	let report = recompute(&world.chain, &stores.into(), 0, only, 2, |r| seen.push(r.clone())).await.unwrap();
	assert_eq!(seen, report.rounds);
	report
}

fn outcomes(report: &Report) -> Vec<Outcome> {
	report.rounds.iter().map(|r| r.outcome).collect()
}

/// The one reason of the one round.
fn reason(report: &Report) -> &str {
	assert_eq!((report.rounds.len(), report.rounds[0].reasons.len()), (1, 1), "{report:?}");
	&report.rounds[0].reasons[0]
}

#[tokio::test]
async fn every_round_is_equal_when_the_chain_tells_the_truth() {
	for rule in [MEAN, AggregationRule::TrimmedMean { trim: 1 }] {
		let world = World::with_rounds(rule, 3);
		let report = audit(&world, None).await;
		assert_eq!(report.verdict, Verdict::Equal);
		assert_eq!((report.genesis, report.programme, report.aggregation), (genesis(), 0, rule.into()));
		for (i, round) in report.rounds.iter().enumerate() {
			assert_eq!((round.round, round.updates, round.outcome), (i as u32, UPDATES, Outcome::Equal));
			assert_eq!(round.result, world.chain.rounds[i].result);
			assert_eq!(round.recomputed, round.result);
			assert!(round.reasons.is_empty());
		}
		assert_eq!(report.rounds.len(), 3);
	}
}

#[tokio::test]
async fn failed_and_running_rounds_are_skipped() {
	let mut world = World::with_rounds(MEAN, 1);
	world.fail();
	world.finalise();
	world.run();
	let report = audit(&world, None).await;
	assert_eq!(report.verdict, Verdict::Equal);
	assert_eq!(outcomes(&report), [Outcome::Equal, Outcome::Skipped, Outcome::Equal, Outcome::Skipped]);
	assert!(report.rounds[1].reasons[0].contains("TooFewCommits"));
	assert!(report.rounds[3].reasons[0].contains("Aggregate"));
	// Asked about by number, such a round is no success.
	for round in [1, 3] {
		assert_eq!(audit(&world, Some(round)).await.verdict, Verdict::Unknown);
	}
	assert_eq!(audit(&world, Some(2)).await.verdict, Verdict::Equal);
}

#[tokio::test]
async fn nothing_is_told_when_no_round_was_finalised() {
	let mut world = World::new(MEAN);
	// Before the first round is there, too.
	assert_eq!(audit(&world, None).await.verdict, Verdict::Unknown);
	world.run();
	assert_eq!(audit(&world, None).await.verdict, Verdict::Unknown);
}

#[tokio::test]
async fn round_is_refuted_when_the_chains_result_is_not_what_the_updates_give() {
	let mut world = World::with_rounds(MEAN, 2);
	let honest = world.chain.rounds[1].result.unwrap();
	let forged = H256::repeat_byte(0xee);
	world.chain.set_result(1, forged);
	let report = audit(&world, None).await;
	assert_eq!(report.verdict, Verdict::Refuted);
	assert_eq!(outcomes(&report), [Outcome::Equal, Outcome::Refuted]);
	let round = &report.rounds[1];
	assert_eq!((round.result, round.recomputed), (Some(forged), Some(honest)));
	assert!(
		round.reasons[0].contains(&format!("{forged:?}"))
			&& round.reasons[0].contains(&format!("{honest:?}"))
	);
	assert_eq!(audit(&world, Some(1)).await.verdict, Verdict::Refuted);
}

#[tokio::test]
async fn rounds_are_judged_by_what_was_decided_when_they_ran() {
	let mut world = World::with_rounds(MEAN, 1);
	world.chain.programme.aggregation = AggregationRule::TrimmedMean { trim: 1 }.into();
	(world.chain.programme.max_samples, world.chain.programme.max_local_steps) = (1, 1);
	assert_eq!(audit(&world, None).await.verdict, Verdict::Equal);
}

#[tokio::test]
async fn rounds_with_buckets_and_memory_are_equal_and_unknown_without_the_state() {
	let aggregation = Aggregation {
		bucketing: Some(2),
		optimiser: ServerOptimiser::DILOCO,
		..AggregationRule::CENTERED_CLIPPING.into()
	};
	let mut world = World::with_rounds(aggregation, 3);
	assert_eq!(audit(&world, None).await.verdict, Verdict::Equal);

	let mut reordered = World::with_rounds(aggregation, 3);
	// Even if the chain had settled the round under such a seed.
	reordered.chain.rounds[1].bucketing_seed = Some(H256::repeat_byte(0xab));
	reordered.chain.bind(1);
	assert_eq!(outcomes(&audit(&reordered, None).await), [Outcome::Equal, Outcome::Refuted, Outcome::Equal]);
	reordered.chain.rounds[1].bucketing_seed = None;
	reordered.chain.bind(1);
	let report = audit(&reordered, Some(1)).await;
	assert!(reason(&report).contains("the round has no such seed"), "{report:?}");

	let state = world.state.as_ref().expect("the rule remembers").hash();
	world.finalise();
	fs::remove_file(world.store.path(&state)).unwrap();
	let report = audit(&world, Some(3)).await;
	assert_eq!(report.verdict, Verdict::Unknown);
	assert!(reason(&report).contains(&format!("{state:?}")), "{report:?}");
}

#[tokio::test]
async fn round_is_refuted_when_it_ran_under_another_rule() {
	let mut world = World::with_rounds(MEAN, 1);
	world.chain.rounds[0].terms.aggregation = AggregationRule::TrimmedMean { trim: 1 }.into();
	world.chain.bind(0);
	let report = audit(&world, None).await;
	assert!(reason(&report).contains("the updates give"), "{report:?}");
	// And when that rule could not have been applied at all.
	world.chain.rounds[0].terms.aggregation = AggregationRule::TrimmedMean { trim: 3 }.into();
	world.chain.bind(0);
	let report = audit(&world, Some(0)).await;
	assert!(reason(&report).contains("needs at least 7 updates, but there are 5"), "{report:?}");
}

#[tokio::test]
async fn round_is_refuted_when_the_node_says_that_it_was_settled_under_something_else_than_its_record() {
	type Alter = fn(&mut Fake);
	let settled = "was settled under 0x";
	let cases: [(&str, Alter); 7] = [
		(settled, |c| c.rounds[0].terms.aggregation = AggregationRule::TrimmedMean { trim: 1 }.into()),
		(settled, |c| c.rounds[0].terms.max_samples += 1),
		(settled, |c| c.rounds[0].terms.max_local_steps += 1),
		(settled, |c| c.rounds[0].bucketing_seed = Some(H256::repeat_byte(0xab))),
		(settled, |c| c.rounds[0].quality = Some(H256::repeat_byte(0xab))),
		(settled, |c| c.rounds[0].quality = None),
		("does not say what its round was settled under", |c| c.records[7].record.terms = None),
	];
	for (said, alter) in cases {
		let mut world = World::with_rounds(MEAN, 1);
		alter(&mut world.chain);
		let report = audit(&world, Some(0)).await;
		assert_eq!(report.verdict, Verdict::Refuted, "{said}");
		assert!(reason(&report).contains("record 7") && reason(&report).contains(said), "{said}: {report:?}");
	}
}

#[tokio::test]
async fn answer_about_something_else_is_an_error_that_names_both() {
	type Alter = fn(&mut Fake);
	let cases: [(&str, Alter); 4] = [
		("asked for programme 0, the node answered provenance_programme with programme 1", |c| {
			c.programme.id = 1;
		}),
		("asked for round 0 of programme 0, the node answered provenance_round with round 1 of programme 0", |c| {
			c.rounds[0].index = 1;
		}),
		("asked for round 0 of programme 0, the node answered provenance_round with round 0 of programme 7", |c| {
			c.rounds[0].programme = 7;
		}),
		("asked for record 3, the node answered provenance_record with record 4", |c| c.swap = Some((3, 4))),
	];
	for (said, alter) in cases {
		let mut world = World::with_rounds(MEAN, 1);
		alter(&mut world.chain);
		let stores = Stores::open(&[world.store.root()]).unwrap();
		let error = recompute(&world.chain, &stores.into(), 0, None, 1, |_| {}).await.unwrap_err();
		assert!(error.to_string().contains(said), "{said}: {error}");
	}
}

#[tokio::test]
async fn rounds_that_the_node_says_there_are_and_does_not_give_end_the_walk() {
	for newest in [2, u32::MAX] {
		let mut world = World::with_rounds(MEAN, 2);
		world.chain.programme.round = newest;
		let report = audit(&world, None).await;
		assert_eq!((report.verdict, report.rounds.len()), (Verdict::Refuted, 2));
		let said = format!("newest round is {newest}, but does not know round 2");
		assert!(report.contradictions.iter().any(|c| c.contains(&said)), "{report:?}");
	}
	let mut world = World::with_rounds(MEAN, 2);
	world.chain.programme.round = u32::MAX;
	world.chain.rounds[1].phase = cairn_primitives::views::Phase::Aggregate;
	let report = audit(&world, None).await;
	assert_eq!((report.verdict, report.rounds.len()), (Verdict::Refuted, 1));
	assert!(report.contradictions[0].contains("round 1 still runs"), "{report:?}");
}

#[tokio::test]
async fn round_is_refuted_when_an_update_was_included_that_must_not_be() {
	type Alter = fn(&mut cairn_aggregation::UpdateEnvelope, &mut Vec<cairn_artifacts::Tensor>);
	let cases: [(&str, Alter); 6] = [
		("is NaN", |e, t| {
			if e.device == 3 {
				t[1].data[2] = f32::NAN
			}
		}),
		("`round` is `9`", |e, _| {
			if e.device == 3 {
				e.round = 9
			}
		}),
		("`genesis`", |e, _| {
			if e.device == 3 {
				e.genesis = H256::zero()
			}
		}),
		("`producer`", |e, _| {
			if e.device == 3 {
				e.producer = [1; 32]
			}
		}),
		("has shape [12]", |e, t| {
			if e.device == 3 {
				t[1].shape = vec![12]
			}
		}),
		("declares 100001 samples", |e, _| {
			if e.device == 3 {
				e.samples = 100_001
			}
		}),
	];
	for (said, alter) in cases {
		let mut world = World::new(MEAN);
		world.finalise_with(alter);
		let report = audit(&world, Some(0)).await;
		assert_eq!(report.verdict, Verdict::Refuted, "{said}");
		assert!(reason(&report).contains(said), "{report:?}");
		assert!(reason(&report).contains(&format!("{:?}", world.update(0, 2).record.artifact)), "{report:?}");
	}
}

#[tokio::test]
async fn round_is_refuted_when_its_records_contradict_each_other() {
	type Alter = fn(&mut Fake);
	let cases: [(&str, Alter); 9] = [
		("finalised, but names no result", |c| c.rounds[0].result = None),
		("5 updates, but includes 4", |c| c.rounds[0].included[0] &= 0x1f),
		("5 updates, but includes 5 of 5", |c| c.rounds[0].commit_count = 5),
		("not that of the base weights", |c| c.rounds[0].base_record = 0),
		("not that of the result", |c| c.rounds[0].result_record = Some(4)),
		("as its parents", |c| c.records[7].record.inputs = Some(RecordRange { first: 3, count: 4 })),
		("as its parents", |c| c.records[7].record.producer = Some("5F".into())),
		("not that of an update of this round", |c| c.records[3].record.round = Some(1)),
		("not that of an update of this round", |c| c.records[3].record.base = Some(0)),
	];
	for (said, alter) in cases {
		let mut world = World::with_rounds(MEAN, 1);
		alter(&mut world.chain);
		let report = audit(&world, Some(0)).await;
		assert_eq!(report.verdict, Verdict::Refuted, "{said}");
		assert!(report.rounds[0].reasons.iter().any(|r| r.contains(said)), "{said}: {report:?}");
	}
}

#[tokio::test]
async fn programme_is_refuted_when_its_rounds_do_not_join() {
	// The second round forks off the first weights instead of following the first round: each round by itself is right.
	let mut world = World::with_rounds(MEAN, 1);
	let mut other = World::with_rounds(MEAN, 0);
	other.fail();
	other.finalise();
	for id in other.store.list().unwrap() {
		world.store.put(&other.store.get(&id).unwrap().unwrap()).unwrap();
	}
	let shift = world.chain.records.len() as u64 - 2;
	let mut fork = other.chain.rounds[1].clone();
	fork.updates = fork.updates.map(|r| RecordRange { first: r.first + shift, ..r });
	fork.result_record = fork.result_record.map(|r| r + shift);
	for mut record in other.chain.records.into_iter().skip(2) {
		record.id += shift;
		record.record.inputs = record.record.inputs.map(|r| RecordRange { first: r.first + shift, ..r });
		world.chain.records.push(record);
	}
	world.chain.programme.finalised = 2;
	world.chain.programme.round = 1;
	world.chain.programme.weights = fork.result.unwrap();
	world.chain.rounds.push(fork);
	let report = audit(&world, None).await;
	assert_eq!(outcomes(&report), [Outcome::Equal, Outcome::Equal]);
	assert_eq!(report.verdict, Verdict::Refuted);
	assert!(report.contradictions[0].starts_with("round 1 started from"), "{report:?}");

	// The programme claims weights that no round made, or rounds that are not there.
	let mut world = World::with_rounds(MEAN, 2);
	world.chain.programme.weights = H256::zero();
	assert_eq!(audit(&world, None).await.verdict, Verdict::Refuted);
	let mut world = World::with_rounds(MEAN, 2);
	world.chain.rounds.pop();
	let report = audit(&world, None).await;
	assert!(report.contradictions.iter().any(|c| c.contains("counts 2 finalised rounds")), "{report:?}");
}

#[tokio::test]
async fn round_is_undecided_when_artifacts_are_missing_and_all_are_named() {
	let world = World::with_rounds(MEAN, 2);
	let gone = [world.update(1, 0).record.artifact, world.update(1, 3).record.artifact];
	let elsewhere = Store::open(world.dir.path().join("elsewhere")).unwrap();
	for hash in &gone {
		elsewhere.put(&world.store.get(hash).unwrap().unwrap()).unwrap();
		world.store.remove(hash).unwrap();
	}
	let report = audit(&world, None).await;
	assert_eq!(report.verdict, Verdict::Unknown);
	assert_eq!(outcomes(&report), [Outcome::Equal, Outcome::Unknown]);
	let reasons = &report.rounds[1].reasons;
	assert_eq!(reasons.len(), 2);
	for (hash, reason) in gone.iter().zip(reasons) {
		assert!(reason.contains(&format!("{hash:?}")), "{reason}");
		assert!(reason.contains(&world.store.root().display().to_string()), "{reason}");
	}
	// Another store makes up for it.
	let both = Stores::open(&[world.store.root(), elsewhere.root()]).unwrap();
	let report = recompute(&world.chain, &both.into(), 0, None, 1, |_| {}).await.unwrap();
	assert_eq!(report.verdict, Verdict::Equal);
}

#[tokio::test]
async fn round_is_undecided_when_an_artifact_is_corrupt_and_the_file_is_left_alone() {
	let world = World::with_rounds(MEAN, 1);
	for hash in [world.chain.rounds[0].base, world.update(0, 4).record.artifact] {
		let path = world.store.path(&hash);
		let intact = fs::read(&path).unwrap();
		let mut corrupt = intact.clone();
		*corrupt.last_mut().unwrap() ^= 1;
		fs::write(&path, &corrupt).unwrap();
		let report = audit(&world, None).await;
		assert_eq!(report.verdict, Verdict::Unknown);
		assert!(
			reason(&report).contains("is corrupt") && reason(&report).contains(&path.display().to_string())
		);
		assert_eq!(fs::read(&path).unwrap(), corrupt);
		// An intact copy elsewhere serves, whatever the order.
		let elsewhere = Store::open(world.dir.path().join("elsewhere")).unwrap();
		elsewhere.put(&intact).unwrap();
		for paths in [[world.store.root(), elsewhere.root()], [elsewhere.root(), world.store.root()]] {
			let stores = Stores::open(&paths).unwrap();
			let report = recompute(&world.chain, &stores.into(), 0, None, 1, |_| {}).await.unwrap();
			assert_eq!(report.verdict, Verdict::Equal);
		}
		fs::write(&path, &intact).unwrap();
	}
}

#[tokio::test]
async fn round_is_undecided_when_the_node_withholds_a_record_and_others_are_not() {
	let mut world = World::with_rounds(MEAN, 2);
	world.chain.records.retain(|r| r.id != 3);
	let report = audit(&world, None).await;
	assert_eq!(report.verdict, Verdict::Unknown);
	assert_eq!(outcomes(&report), [Outcome::Unknown, Outcome::Equal]);
	assert!(report.rounds[0].reasons[0].contains("there is no record 3"));
}

#[tokio::test]
async fn what_the_node_does_not_know_is_its_error() {
	let world = World::with_rounds(MEAN, 1);
	let stores = Stores::open(&[world.store.root()]).unwrap();
	let code = |result: Result<Report, ChainError>| match result {
		Err(ChainError::Refused { code, .. }) => code,
		other => panic!("{other:?}"),
	};
	assert_eq!(code(recompute(&world.chain, &stores.clone().into(), 7, None, 1, |_| {}).await), 9101);
	assert_eq!(code(recompute(&world.chain, &stores.clone().into(), 0, Some(7), 1, |_| {}).await), 9102);
}
