//! Lineages: whole, of an update, and such that do not hold together.
#![allow(clippy::unwrap_used)]

mod common;

use cairn_aggregation::AggregationRule;
use cairn_auditor::{lineage::lineage, Verdict};
use cairn_primitives::H256;
use common::*;

fn world(rounds: u32) -> World {
	World::with_rounds(AggregationRule::WeightedMean, rounds)
}

#[tokio::test]
async fn model_is_followed_to_where_its_programme_started_whatever_the_page_size() {
	let mut world = world(3);
	let model = world.chain.programme.weights;
	for page in [1, 2, 5, 6, 100] {
		world.chain.page = page;
		let lineage = lineage(&world.chain, model).await.unwrap();
		assert_eq!(lineage.verdict, Verdict::Equal, "{:?}", lineage.contradictions);
		assert_eq!((lineage.genesis, lineage.block), (genesis(), HEAD));
		let ids: Vec<_> = lineage.steps.iter().map(|s| s.record.id).collect();
		assert_eq!(ids, [19, 13, 7, 1]);
		let inputs: Vec<Vec<_>> =
			lineage.steps.iter().map(|s| s.updates.iter().map(|u| u.id).collect()).collect();
		assert_eq!(inputs, [vec![14, 15, 16, 17, 18], vec![8, 9, 10, 11, 12], vec![2, 3, 4, 5, 6], vec![]]);
	}
}

#[tokio::test]
async fn other_updates_of_the_round_are_no_ancestors_of_an_update() {
	let mut world = world(2);
	let update = world.update(1, 4).clone();
	let lineage = lineage(&world.chain, update.record.artifact).await.unwrap();
	assert_eq!(lineage.verdict, Verdict::Equal, "{:?}", lineage.contradictions);
	let ids: Vec<_> = lineage.steps.iter().map(|s| (s.record.id, s.updates.len())).collect();
	assert_eq!(ids, [(update.id, 0), (7, 5), (1, 0)]);

	// A node that lists one all the same.
	world.chain.alter_page = |cursor, page| {
		if cursor.is_none() {
			let mut sibling = page.records[0].clone();
			sibling.id -= 1;
			page.records.insert(1, sibling);
		}
	};
	let lineage = cairn_auditor::lineage::lineage(&world.chain, update.record.artifact).await.unwrap();
	assert_eq!(lineage.verdict, Verdict::Refuted);
	assert!(lineage.contradictions[0].contains("does not name it as a parent"), "{lineage:?}");
}

#[tokio::test]
async fn lineage_is_printed_as_a_tree() {
	let world = world(1);
	let lineage = lineage(&world.chain, world.chain.programme.weights).await.unwrap();
	let text = lineage.to_string();
	let lines: Vec<_> = text.lines().collect();
	assert_eq!(lines.len(), 8, "{text}");
	assert_eq!(
		lines[0],
		format!("weights {:?}  programme 0, round 0, record 7, block 9", world.chain.programme.weights)
	);
	let first = world.update(0, 0);
	assert_eq!(
		lines[1],
		format!(
			"├─ update {:?}  record 2, by {} on device 0 of site 0",
			first.record.artifact,
			first.record.producer.as_ref().unwrap()
		)
	);
	assert_eq!(lines[6], "│");
	assert_eq!(
		lines[7],
		format!(
			"weights {:?}  programme 0, where it started, record 1, block 0",
			world.chain.programme.genesis_weights
		)
	);
}

#[tokio::test]
async fn lineage_is_refuted_when_the_records_do_not_lead_to_each_other() {
	type Alter = fn(&mut Fake);
	let cases: [(&str, Alter); 4] = [
		("is no update of its base", |c| c.records[9].record.base = Some(1)),
		("breaks off at record 7, which was derived from record 1", |c| {
			c.alter_page = |_, page| {
				page.records.retain(|r| r.id >= 7);
				page.next = page.next.filter(|next| *next >= 7);
			};
		}),
		("record 6 follows record 13, which does not name it as a parent", |c| {
			c.alter_page = |_, page| page.records.retain(|r| r.id != 7);
		}),
		("is no set of weights", |c| c.records[7].record.kind = cairn_primitives::RecordKind::TrainingConfig),
	];
	for (said, alter) in cases {
		let mut world = world(2);
		alter(&mut world.chain);
		let lineage = lineage(&world.chain, world.chain.programme.weights).await.unwrap();
		assert_eq!(lineage.verdict, Verdict::Refuted, "{said}");
		assert!(
			lineage.contradictions.iter().any(|c| c.contains(said)),
			"{said}: {:?}",
			lineage.contradictions
		);
	}
}

#[tokio::test]
async fn list_ends_with_the_first_contradiction() {
	type Alter = fn(Option<u64>, &mut cairn_auditor::chain::Page);
	let cases: [(&str, Alter); 4] = [
		("goes on at record 13", |_, page| page.next = page.next.map(|_| 13)),
		("where only those before record", |cursor, page| {
			// The same page again and again, with a cursor that goes back.
			page.next = Some(cursor.unwrap_or(9) - 1);
			page.records.iter_mut().for_each(|r| r.id = 13);
		}),
		("goes on at record", |cursor, page| {
			page.records.clear();
			page.next = Some(cursor.unwrap_or(u64::MAX) - 1);
		}),
		("record 9 is among what record 13 was made of, but is no update of its base", |cursor, page| {
			if cursor.is_some() {
				page.records.iter_mut().for_each(|r| r.record.base = Some(40));
			}
		}),
	];
	for (said, alter) in cases {
		let mut world = world(2);
		world.chain.alter_page = alter;
		let lineage = lineage(&world.chain, world.chain.programme.weights).await.unwrap();
		assert_eq!(lineage.verdict, Verdict::Refuted, "{said}");
		let [contradiction] = &lineage.contradictions[..] else { panic!("{said}: {lineage:?}") };
		assert!(contradiction.contains(said), "{said}: {contradiction}");
	}
}

#[tokio::test]
async fn unknown_artifact_is_the_nodes_error() {
	let error = lineage(&world(1).chain, H256::zero()).await.unwrap_err();
	assert!(error.to_string().contains("is not recorded"), "{error}");
}
