//! What does not hold is refused.
#![allow(clippy::unwrap_used)]

use crate::support::*;
use cairn_primitives::{RecordKind, H256};
use cairn_verifier::{
	bundle::{Inclusion, MAX_LEN, VERSION},
	grandpa::{JustificationError, SetError},
	header::Data,
	report::{read, report, Verdict},
	trie::TrieError,
	verify, Bundle, Claim, DecodeError, Refusal, Statement,
};
use serde_json::Value;
use sp_consensus_grandpa::{ConsensusLog, ScheduledChange, GRANDPA_ENGINE_ID};
use sp_core::Pair;
use sp_runtime::DigestItem;

fn chain() -> Chain {
	Chain::new(Plan { changes: vec![3, 11], ..Plan::default() })
}

fn refusal(chain: &Chain, bundle: &Bundle) -> Refusal {
	verify(bundle, &chain.genesis()).expect_err("a forgery")
}

/// Of four authorities, none voted.
const NOBODY: JustificationError = JustificationError::TooFew { weight: 0, threshold: 3 };

fn evidence(bundle: &mut Bundle) -> &mut Vec<cairn_verifier::Evidence> {
	match &mut bundle.claim {
		Claim::Records(evidence) => evidence,
		Claim::NoWeights(_) => panic!("records are claimed"),
	}
}

/// Every bit pattern that differs in one bit, and a few that differ in more, at each place.
fn flips(byte: u8) -> impl Iterator<Item = u8> {
	(0..8)
		.map(move |bit| byte ^ (1 << bit))
		.chain([!byte, 0, 0xff, byte.wrapping_add(1)])
		.filter(move |b| *b != byte)
}

#[test]
fn bundle_with_any_byte_changed_is_refused() {
	let chain = chain();
	for bundle in
		[chain.record_bundle(3, 17), chain.ledger_bundle(14), chain.absence_bundle(H256::repeat_byte(1), 14)]
	{
		let bytes = bundle.to_bytes();
		assert_eq!(report(&bytes, &chain.genesis()).verdict, Verdict::Proven);
		for place in 0..bytes.len() {
			// All of them would check as many signatures; each byte gets a flip, and every eighth gets all.
			let all = if place % 8 == 0 { usize::MAX } else { 1 };
			for flipped in flips(bytes[place]).skip(place % 8).take(all) {
				let mut forged = bytes.clone();
				forged[place] = flipped;
				let verdict = Bundle::from_bytes(&forged).map(|bundle| verify(&bundle, &chain.genesis()));
				match (verdict, &bundle.claim) {
					(Ok(Ok(proven)), Claim::NoWeights(absence)) => {
						// The same nodes can show the absence of other weights, if there was none in their place: another
						// claim, and as true.
						let Statement::NoWeights(other) = proven.statement else {
							panic!("absence is claimed")
						};
						assert_ne!(other, absence.artifact);
						assert!(chain.batches.iter().all(|b| b.records.last().unwrap().artifact != other));
						assert_eq!(proven.block, bundle.finality.block.header.hash());
					},
					(Ok(Ok(_)), _) => panic!("byte {place} from {} to {flipped}", bytes[place]),
					_ => {},
				}
			}
		}
	}
}

#[test]
fn bundle_with_bytes_missing_or_added_is_refused() {
	let chain = chain();
	let bytes = chain.record_bundle(3, 17).to_bytes();
	for len in 0..bytes.len() {
		assert!(Bundle::from_bytes(&bytes[..len]).is_err(), "{len} bytes");
	}
	for more in 0..=255 {
		assert!(Bundle::from_bytes(&[&bytes[..], &[more]].concat()).is_err());
	}
}

#[test]
fn bundle_is_refused_against_another_genesis() {
	let (chain, other) = (chain(), Chain::new(Plan { seed: 2, changes: vec![3, 11], ..Plan::default() }));
	let mut bundle = chain.record_bundle(3, 17);
	let found = chain.genesis();
	assert_eq!(
		verify(&bundle, &other.genesis()),
		Err(Refusal::OtherGenesis { expected: other.genesis(), found })
	);
	// With the other chain's genesis header, its state has other authorities.
	bundle.finality.genesis = other.header(0);
	assert_eq!(refusal(&other, &bundle), Refusal::GenesisAuthorities(TrieError::Missing { place: 0 }));
	bundle.finality.authorities = other.authorities_proof();
	assert_eq!(refusal(&other, &bundle), Refusal::NotFinal { number: 3, set: 0, error: NOBODY });
	// And with its hand-overs as well, the block.
	bundle.finality.hand_overs = other.finality(17).hand_overs;
	assert_eq!(refusal(&other, &bundle), Refusal::NotFinal { number: 17, set: 2, error: NOBODY });
	// And with its whole finality, the record.
	bundle.finality = other.finality(17);
	assert_eq!(refusal(&other, &bundle), Refusal::NotInChain { number: 5 });
}

#[test]
fn header_that_is_not_of_a_genesis_block_is_refused_even_when_its_hash_is_given() {
	let chain = chain();
	let mut bundle = chain.record_bundle(3, 17);
	bundle.finality.genesis = chain.header(1);
	assert_eq!(verify(&bundle, &chain.headers[1].hash()), Err(Refusal::NotGenesis));
}

#[test]
fn first_authorities_that_are_not_in_the_genesis_state_are_refused() {
	let chain = chain();
	let whole = chain.record_bundle(3, 17);
	let with = |change: &dyn Fn(&mut Vec<Data>)| {
		let mut bundle = whole.clone();
		change(&mut bundle.finality.authorities);
		refusal(&chain, &bundle)
	};
	let nodes = whole.finality.authorities.len();
	assert_eq!(with(&|proof| proof.clear()), Refusal::GenesisAuthorities(TrieError::Missing { place: 0 }));
	assert_eq!(
		with(&|proof| drop(proof.pop())),
		Refusal::GenesisAuthorities(TrieError::Missing { place: nodes - 1 })
	);
	assert_eq!(with(&|proof| proof.push(Data(vec![1]))), Refusal::GenesisAuthorities(TrieError::Unused));
	assert!(matches!(
		with(&|proof| proof.swap(0, 1)),
		Refusal::GenesisAuthorities(TrieError::Missing { .. })
	));
	// The value is a node of its own, the last; other authorities have another hash.
	let stolen = codec::Encode::encode(&authorities(&keys(66, 0, 4)));
	assert!(matches!(
		with(&|proof| proof.last_mut().unwrap().0 = stolen.clone()),
		Refusal::GenesisAuthorities(TrieError::Missing { .. })
	));
	// A right proof that there is nothing, or something else, under another key.
	let state = &chain.genesis_state;
	assert!(matches!(with(&|proof| *proof = state_proof(state, b":code")), Refusal::GenesisAuthorities(_)));
}

#[test]
fn record_that_is_changed_is_refused() {
	let chain = chain();
	let whole = chain.record_bundle(3, 17);
	let with = |change: &dyn Fn(&mut cairn_verifier::bundle::RecordProof)| {
		let mut bundle = whole.clone();
		let Inclusion::Record(proof) = &mut evidence(&mut bundle)[0].inclusion else { panic!("one record") };
		change(proof);
		refusal(&chain, &bundle)
	};
	let expected = Refusal::NotInBlock { record: 3, number: 5 };
	assert_eq!(with(&|p| p.record.artifact = H256::zero()), expected);
	assert_eq!(with(&|p| p.record.producer = None), expected);
	assert_eq!(with(&|p| p.record.device = Some(0)), expected);
	assert_eq!(with(&|p| p.record.site = None), expected);
	assert_eq!(with(&|p| p.record.kind = RecordKind::Weights), expected);
	assert_eq!(with(&|p| p.record.base = Some(0)), expected);
	assert_eq!(with(&|p| p.record.terms = Some(H256::zero())), expected);
	assert_eq!(with(&|p| p.record.round = None), expected);
	assert_eq!(with(&|p| p.record.block = 4), expected);
	assert_eq!(with(&|p| p.in_batch.index = 0), expected);
	assert_eq!(with(&|p| p.in_block.index = 0), expected);
	assert_eq!(with(&|p| p.in_block.siblings.truncate(0)), expected);
	assert_eq!(with(&|p| p.id = 4), Refusal::NotInBlock { record: 4, number: 5 });
	assert_eq!(with(&|p| p.id = u64::MAX), Refusal::NotInBlock { record: u64::MAX, number: 5 });
}

#[test]
fn record_leaf_and_path_of_another_height_are_refused() {
	let chain = chain();
	let mut bundle = chain.record_bundle(3, 17);
	// A record of block 9 with the leaf of block 5.
	evidence(&mut bundle)[0].inclusion = chain.record_evidence(6, 17).inclusion;
	assert_eq!(refusal(&chain, &bundle), Refusal::NotInBlock { record: 6, number: 5 });
	// A record of block 5 with leaf and path of block 9.
	let mut bundle = chain.record_bundle(3, 17);
	evidence(&mut bundle)[0].leaf = chain.leaf(9);
	evidence(&mut bundle)[0].path = chain.path(9, 17);
	assert_eq!(refusal(&chain, &bundle), Refusal::NotInBlock { record: 3, number: 9 });
	// A path of another leaf, in another range, shorter, longer.
	for path in [chain.path(9, 17), chain.path(5, 18), chain.path(5, 14), vec![], vec![H256::zero(); 40]] {
		let mut bundle = chain.record_bundle(3, 17);
		evidence(&mut bundle)[0].path = path;
		assert_eq!(refusal(&chain, &bundle), Refusal::NotInChain { number: 5 });
	}
	// A provenance root of the forger's own making.
	let mut bundle = chain.record_bundle(3, 17);
	let Inclusion::Record(proof) = &mut evidence(&mut bundle)[0].inclusion else { panic!("one record") };
	proof.record.artifact = H256::zero();
	let root = proof.block_root().unwrap();
	evidence(&mut bundle)[0].leaf.provenance_root = root;
	assert_eq!(refusal(&chain, &bundle), Refusal::NotInChain { number: 5 });
	// The hash of a block that was never made.
	let mut bundle = chain.record_bundle(3, 17);
	evidence(&mut bundle)[0].leaf.hash = H256::zero();
	assert_eq!(refusal(&chain, &bundle), Refusal::NotInChain { number: 5 });
}

#[test]
fn record_is_refused_as_of_a_block_that_does_not_come_after_its_own() {
	let chain = chain();
	for number in [4, 5] {
		let bundle = Bundle {
			finality: chain.finality(number),
			claim: Claim::Records(vec![chain.record_evidence(3, 6)]),
		};
		assert_eq!(refusal(&chain, &bundle), Refusal::NotInChain { number: 5 });
	}
}

#[test]
fn records_out_of_order_twice_or_none_are_refused() {
	let chain = chain();
	let (three, six) = (chain.record_evidence(3, 17), chain.record_evidence(6, 17));
	let of = |evidence| Bundle { finality: chain.finality(17), claim: Claim::Records(evidence) };
	assert!(verify(&of(vec![three.clone(), six.clone()]), &chain.genesis()).is_ok());
	assert_eq!(refusal(&chain, &of(vec![])), Refusal::NoRecords);
	assert_eq!(refusal(&chain, &of(vec![six, three.clone()])), Refusal::RecordOrder { record: 3 });
	assert_eq!(refusal(&chain, &of(vec![three.clone(), three])), Refusal::RecordOrder { record: 3 });
	// An empty batch would prove anything about nothing.
	let mut empty = chain.batch_evidence(3, 17);
	let Inclusion::Batch(batch) = &mut empty.inclusion else { panic!("a batch") };
	batch.records.clear();
	assert_eq!(refusal(&chain, &of(vec![empty])), Refusal::NoRecords);
}

#[test]
fn batch_with_a_record_left_out_added_or_moved_is_refused() {
	let chain = chain();
	let with = |change: &dyn Fn(&mut cairn_verifier::bundle::Batch)| {
		let mut evidence = chain.batch_evidence(3, 17);
		let Inclusion::Batch(batch) = &mut evidence.inclusion else { panic!("a batch") };
		change(batch);
		refusal(&chain, &Bundle { finality: chain.finality(17), claim: Claim::Records(vec![evidence]) })
	};
	let expected = Refusal::NotInBlock { record: 2, number: 5 };
	assert_eq!(with(&|b| b.records.truncate(b.records.len() - 1)), expected);
	assert_eq!(
		with(&|b| {
			b.records.remove(1);
		}),
		expected
	);
	assert_eq!(with(&|b| b.records.push(b.records[0].clone())), expected);
	assert_eq!(with(&|b| b.records.swap(0, 1)), expected);
	assert_eq!(with(&|b| b.records[2].block = 6), expected);
	assert_eq!(with(&|b| b.first = 3), Refusal::NotInBlock { record: 3, number: 5 });
	assert_eq!(with(&|b| b.first = u64::MAX), Refusal::NotInBlock { record: u64::MAX, number: 5 });
	assert_eq!(with(&|b| b.first = u64::MAX - 1), Refusal::NotInBlock { record: u64::MAX - 1, number: 5 });
}

#[test]
fn hand_overs_that_are_cut_moved_or_repeated_are_refused() {
	let chain = chain();
	let whole = chain.record_bundle(3, 17);
	let with = |change: &dyn Fn(&mut Vec<cairn_verifier::grandpa::Finalised>)| {
		let mut bundle = whole.clone();
		change(&mut bundle.finality.hand_overs);
		refusal(&chain, &bundle)
	};
	// The votes are those of another set, signed as such.
	let stranger = |refusal: Refusal, number, set| {
		let Refusal::NotFinal { number: n, set: s, error: JustificationError::Signature(_) } = refusal else {
			panic!("{refusal}");
		};
		assert_eq!((n, s), (number, set));
	};
	stranger(with(&|h| h.clear()), 17, 0);
	stranger(with(&|h| drop(h.pop())), 17, 1);
	stranger(with(&|h| drop(h.remove(0))), 11, 0);
	stranger(with(&|h| h.swap(0, 1)), 11, 0);
	assert_eq!(with(&|h| h.push(h[1].clone())), Refusal::Order { number: 11 });
	assert_eq!(with(&|h| h.insert(1, h[0].clone())), Refusal::Order { number: 3 });
	// A finalised block that hands over nothing.
	assert_eq!(with(&|h| h.insert(0, chain.finalised(2))), Refusal::NoHandOver { number: 2 });
	// The finalised block must come after the last of them.
	let mut bundle = whole.clone();
	bundle.finality.block = chain.finalised(9);
	assert_eq!(refusal(&chain, &bundle), Refusal::Order { number: 9 });
}

#[test]
fn hand_over_to_other_authorities_than_the_header_names_is_refused() {
	let chain = chain();
	let mut bundle = chain.record_bundle(3, 17);
	let thief = keys(66, 1, 4);
	let digest = &mut bundle.finality.hand_overs[0].header.digest;
	for item in digest.iter_mut() {
		if let cairn_verifier::header::DigestItem::Consensus(engine, Data(bytes)) = item {
			if engine.0 == *b"FRNK" {
				let change = sp_consensus_grandpa::ScheduledChange {
					next_authorities: authorities(&thief),
					delay: 0u32,
				};
				*bytes = codec::Encode::encode(&sp_consensus_grandpa::ConsensusLog::ScheduledChange(change));
			}
		}
	}
	// The header has another hash now, and the votes are for the one that it had.
	assert_eq!(
		refusal(&chain, &bundle),
		Refusal::NotFinal { number: 3, set: 0, error: JustificationError::OtherTarget }
	);
}

#[test]
fn hand_over_that_is_delayed_or_forced_is_refused() {
	let chain = chain();
	let change = |delay| ScheduledChange { next_authorities: authorities(&chain.sets[1]), delay };
	let with = |log: ConsensusLog<u32>| {
		// Its own authorities made this header final, so that nothing else is wrong with it.
		let mut other = self::chain();
		let items = &mut other.headers[3].digest.logs;
		let change = items
			.iter_mut()
			.find(|item| matches!(item, DigestItem::Consensus(engine, _) if *engine == GRANDPA_ENGINE_ID));
		*change.unwrap() = DigestItem::Consensus(GRANDPA_ENGINE_ID, codec::Encode::encode(&log));
		let votes: Vec<_> = other.sets[0].iter().map(|key| (key, 3)).collect();
		let mut bundle = chain.record_bundle(3, 17);
		bundle.finality.hand_overs[0] = other.finalised_by(3, &other.votes(3, 0, &votes));
		verify(&bundle, &chain.genesis()).map(|_| ())
	};
	assert_eq!(with(ConsensusLog::ScheduledChange(change(0))), Ok(()));
	let refused = Err(Refusal::NoHandOver { number: 3 });
	assert_eq!(with(ConsensusLog::ScheduledChange(change(1))), refused);
	assert_eq!(with(ConsensusLog::ForcedChange(1, change(0))), refused);
}

#[test]
fn votes_of_less_than_two_thirds_are_refused() {
	for (authorities, needed) in [(1u8, 1u64), (2, 2), (3, 3), (4, 3), (5, 4), (6, 5), (7, 5), (10, 7)] {
		let chain = Chain::new(Plan { authorities, ..Plan::default() });
		for voters in 0..=authorities as usize {
			let keys = &chain.sets[0];
			let mut bundle = chain.record_bundle(3, 17);
			bundle.finality.block = match voters {
				// Without votes there is nothing to make a justification of.
				0 => {
					bundle.finality.block.justification.precommits.clear();
					bundle.finality.block.justification.votes_ancestries.clear();
					bundle.finality.block
				},
				_ => {
					let votes: Vec<_> = keys[..voters].iter().map(|key| (key, 17)).collect();
					chain.finalised_by(17, &chain.votes(17, 0, &votes))
				},
			};
			let verdict = verify(&bundle, &chain.genesis()).map(|_| ());
			let weight = voters as u64;
			let too_few = JustificationError::TooFew { weight, threshold: needed };
			let expected = if weight >= needed {
				Ok(())
			} else {
				Err(Refusal::NotFinal { number: 17, set: 0, error: too_few })
			};
			assert_eq!(verdict, expected, "{voters} of {authorities}");
		}
	}
}

#[test]
fn votes_that_are_not_for_the_block_give_it_no_weight() {
	let chain = Chain::new(Plan::default());
	let keys = &chain.sets[0];
	let with = |votes: &[(usize, u32)]| {
		let votes: Vec<_> = votes.iter().map(|(key, block)| (&keys[*key], *block)).collect();
		let mut bundle = chain.record_bundle(3, 17);
		bundle.finality.block = chain.finalised_by(17, &chain.votes(17, 0, &votes));
		verify(&bundle, &chain.genesis()).map(|_| ())
	};
	let too_few = |weight| {
		let error = JustificationError::TooFew { weight, threshold: 3 };
		Err(Refusal::NotFinal { number: 17, set: 0, error })
	};
	assert_eq!(with(&[(0, 17), (1, 18), (2, 20)]), Ok(()));
	// Votes for blocks before it.
	assert_eq!(with(&[(0, 16), (1, 17), (2, 17)]), too_few(2));
	assert_eq!(with(&[(0, 15), (1, 16), (2, 16), (3, 20)]), too_few(1));
	assert_eq!(with(&[(0, 15), (1, 17), (2, 17), (3, 20)]), Ok(()));
	// Whoever votes for two blocks has voted for everything, and counts once.
	assert_eq!(with(&[(0, 16), (0, 18), (1, 17), (2, 17)]), Ok(()));
	assert_eq!(with(&[(0, 17), (0, 18), (1, 17)]), too_few(2));
	// The same vote again is not another one, nor is a third.
	assert_eq!(with(&[(0, 17), (1, 17), (1, 17)]), too_few(2));
	assert_eq!(with(&[(0, 17), (0, 18), (0, 19), (1, 17)]), too_few(2));
}

#[test]
fn votes_for_a_sibling_of_the_block_give_it_no_weight() {
	let chain = Chain::new(Plan::default());
	let keys = &chain.sets[0];
	let mut sibling = chain.headers[17].clone();
	sibling.extrinsics_root = H256::repeat_byte(0x5b);
	// One votes for the parent of both, one for the sibling, and so many for the block.
	let with = |voters: &[usize]| {
		let votes: Vec<_> =
			[(&keys[0], 16)].into_iter().chain(voters.iter().map(|key| (&keys[*key], 17))).collect();
		let mut justification = chain.votes(17, 0, &votes);
		chain.add_vote(&mut justification, 0, &keys[1], &sibling);
		let mut bundle = chain.record_bundle(3, 17);
		bundle.finality.block = chain.finalised_by(17, &justification);
		verify(&bundle, &chain.genesis()).map(|_| ())
	};
	let error = JustificationError::TooFew { weight: 2, threshold: 3 };
	assert_eq!(with(&[2, 3]), Err(Refusal::NotFinal { number: 17, set: 0, error }));
	// Whoever votes for the block as well counts, once.
	assert_eq!(with(&[1, 2, 3]), Ok(()));
}

#[test]
fn bundle_of_empty_items_is_refused_before_it_takes_memory() {
	let chain = chain();
	let mut bundle = chain.record_bundle(3, 17);
	let empty = cairn_verifier::header::DigestItem::RuntimeEnvironmentUpdated;
	bundle.finality.genesis.digest = vec![empty; 1 << 16];
	assert_eq!(Bundle::from_bytes(&bundle.to_bytes()), Err(DecodeError::Malformed));
	let long = vec![VERSION; MAX_LEN + 1];
	assert_eq!(Bundle::from_bytes(&long), Err(DecodeError::TooLong(MAX_LEN + 1)));
}

#[test]
fn json_with_any_character_changed_proves_nothing_else() {
	let chain = chain();
	let bundle = chain.record_bundle(3, 17);
	let json = bundle.to_json().into_bytes();
	assert_eq!(report(&json, &chain.genesis()).verdict, Verdict::Proven);
	for place in (0..json.len()).step_by(3) {
		for flip in [1, 0x20] {
			let mut forged = json.clone();
			forged[place] ^= flip;
			// A digit of hex in upper case is the same digit.
			if report(&forged, &chain.genesis()).verdict == Verdict::Proven {
				assert_eq!(read(&forged).unwrap(), bundle, "byte {place} of {}", json.len());
			}
		}
	}
}

#[test]
fn json_with_a_name_that_means_nothing_is_no_bundle() {
	let json: Value = serde_json::from_str(&chain().record_bundle(3, 17).to_json()).unwrap();
	let with = |path: &str| {
		let mut json = json.clone();
		json.pointer_mut(path).unwrap()["more"] = 1.into();
		Bundle::from_json(&json.to_string())
	};
	for path in [
		"",
		"/finality",
		"/finality/genesis",
		"/finality/handOvers/0",
		"/finality/block/justification",
		"/finality/block/justification/precommits/0",
		"/claim/records/0",
		"/claim/records/0/leaf",
	] {
		let error = with(path).unwrap_err();
		assert!(error.contains("unknown field `more`"), "{path}: {error}");
	}
}

#[test]
fn votes_of_an_old_set_a_later_set_or_another_round_are_refused() {
	let chain = chain();
	let with = |set_of_keys: usize, set: u64, change_round: bool| {
		let votes: Vec<_> = chain.sets[set_of_keys].iter().map(|key| (key, 17)).collect();
		let mut bundle = chain.record_bundle(3, 17);
		bundle.finality.block = chain.finalised_by(17, &chain.votes(17, set, &votes));
		if change_round {
			bundle.finality.block.justification.round += 1;
		}
		verify(&bundle, &chain.genesis()).map(|_| ())
	};
	assert_eq!(with(2, 2, false), Ok(()));
	let signature = JustificationError::Signature(chain.sets[2][0].public().0.into());
	let refused = |error| Err(Refusal::NotFinal { number: 17, set: 2, error });
	// The right keys, signing as another set or in another round.
	for (set, change_round) in [(0, false), (1, false), (3, false), (2, true)] {
		assert_eq!(with(2, set, change_round), refused(signature));
	}
	// The keys of an old set, whatever they sign as.
	for (keys, set) in [(0, 0), (0, 2), (1, 1), (1, 2)] {
		let signature = JustificationError::Signature(chain.sets[keys][0].public().0.into());
		assert_eq!(with(keys, set, false), refused(if set == 2 { NOBODY } else { signature }));
	}
}

#[test]
fn headers_beside_the_votes_must_lead_to_the_block_and_none_may_be_left() {
	let chain = Chain::new(Plan::default());
	let whole = chain.record_bundle(3, 17);
	assert_eq!(whole.finality.block.justification.votes_ancestries.len(), 1);
	let with = |change: &dyn Fn(&mut Vec<cairn_verifier::Header>)| {
		let mut bundle = whole.clone();
		change(&mut bundle.finality.block.justification.votes_ancestries);
		match refusal(&chain, &bundle) {
			Refusal::NotFinal { error, .. } => error,
			other => panic!("{other}"),
		}
	};
	let ahead = JustificationError::NotDescendant(chain.headers[18].hash());
	assert_eq!(with(&|h| h.clear()), ahead);
	assert_eq!(with(&|h| h[0] = chain.header(19)), ahead);
	assert_eq!(with(&|h| h[0].parent_hash = H256::zero()), ahead);
	for stranger in [16, 17, 19] {
		assert_eq!(
			with(&|h| h.push(chain.header(stranger))),
			JustificationError::UnusedHeaders,
			"{stranger}"
		);
	}
	assert_eq!(with(&|h| h.push(h[0].clone())), JustificationError::UnusedHeaders);
}

#[test]
fn header_without_one_root_of_the_range_is_refused() {
	// The genesis header's child is the first that has one; a header without any is one that the votes are for, too.
	let chain = Chain::new(Plan::default());
	for times in [0, 2] {
		let mut forged = chain.headers[17].clone();
		let root = forged.digest.logs.remove(1);
		(0..times).for_each(|_| forged.digest.push(root.clone()));
		let mut other = Chain::new(Plan::default());
		other.headers[17] = forged;
		let votes: Vec<_> = other.sets[0].iter().map(|key| (key, 17)).collect();
		let mut bundle = chain.record_bundle(3, 17);
		bundle.finality.block = other.finalised_by(17, &other.votes(17, 0, &votes));
		assert_eq!(refusal(&chain, &bundle), Refusal::NoMmrRoot { number: 17 });
	}
}

#[test]
fn sets_of_authorities_that_cannot_be_are_refused() {
	use cairn_verifier::grandpa::AuthoritySet;
	let (a, b) = (H256::repeat_byte(1), H256::repeat_byte(2));
	let new = |list: &[(H256, u64)]| AuthoritySet::new(0, list).map(|_| ());
	assert_eq!(new(&[(a, 1), (b, u64::MAX - 1)]), Ok(()));
	assert_eq!(new(&[]), Err(SetError::Empty));
	assert_eq!(new(&[(a, 1), (b, 0)]), Err(SetError::Weight));
	assert_eq!(new(&[(a, 1), (b, u64::MAX)]), Err(SetError::Weight));
	assert_eq!(new(&[(a, 1), (a, 1)]), Err(SetError::Twice(a)));
}

#[test]
fn absence_is_not_proved_of_what_is_there_nor_in_another_ledger() {
	let chain = chain();
	let weights = chain.batches[1].records.last().unwrap().artifact;
	assert_eq!(refusal(&chain, &chain.absence_bundle(weights, 17)), Refusal::Present { artifact: weights });
	let stranger = H256::repeat_byte(0x77);
	let with = |change: &dyn Fn(&mut cairn_verifier::bundle::Absence)| {
		let mut bundle = chain.absence_bundle(stranger, 17);
		let Claim::NoWeights(absence) = &mut bundle.claim else { panic!("absence") };
		change(absence);
		refusal(&chain, &bundle)
	};
	// The proof is of another artifact's absence.
	assert!(matches!(with(&|a| a.artifact = weights), Refusal::State(_)));
	assert!(matches!(with(&|a| a.entry = a.version.clone()), Refusal::State(_)));
	assert!(matches!(with(&|a| drop(a.entry.pop())), Refusal::State(TrieError::Missing { .. })));
	assert!(matches!(with(&|a| a.version.clear()), Refusal::State(TrieError::Missing { place: 0 })));
	assert_eq!(with(&|a| a.entry.push(Data(vec![0]))), Refusal::State(TrieError::Unused));
	// The genesis state of the tests knows nothing of a ledger, nor of its version.
	let mut other = Chain::new(Plan { changes: vec![3, 11], ..Plan::default() });
	other.state = other.genesis_state.clone();
	let mut bundle = other.absence_bundle(weights, 17);
	let root = *other.state.root();
	let mut header = other.headers[17].clone();
	header.state_root = root;
	other.headers[17] = header;
	let votes: Vec<_> = other.sets[2].iter().map(|key| (key, 17)).collect();
	bundle.finality.block = other.finalised_by(17, &other.votes(17, 2, &votes));
	assert_eq!(refusal(&other, &bundle), Refusal::LedgerVersion);
}
