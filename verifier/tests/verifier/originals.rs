//! The verifier's own types and checks against those of polkadot-sdk.
#![allow(clippy::unwrap_used)]

use crate::support::*;
use cairn_primitives::H256;
use cairn_verifier::{
	grandpa::{AuthoritySet, Justification},
	header::SetChange,
	mmr::Leaf,
	storage, trie, Header,
};
use codec::{Decode, Encode};
use proptest::prelude::*;
use sc_consensus_grandpa::GrandpaJustification as ScJustification;
use sp_consensus_grandpa::{ConsensusLog, ScheduledChange, GRANDPA_ENGINE_ID};
use sp_core::{storage::StateVersion, Pair};
use sp_io::hashing::{blake2_128, twox_128};
use sp_mmr_primitives::LeafProof;
use sp_runtime::{
	generic,
	traits::{BlakeTwo256, Header as _},
	Digest, DigestItem, OpaqueExtrinsic,
};
use sp_state_machine::{prove_read, read_proof_check, InMemoryBackend};
use std::{collections::BTreeMap, sync::LazyLock};

type Block = generic::Block<SubstrateHeader, OpaqueExtrinsic>;

static CHAIN: LazyLock<Chain> = LazyLock::new(|| Chain::new(Plan { authorities: 7, ..Plan::default() }));

static STRANGERS: LazyLock<Vec<sp_core::ed25519::Pair>> = LazyLock::new(|| keys(99, 0, 1));

fn digest_item() -> impl Strategy<Value = DigestItem> {
	let bytes = prop::collection::vec(any::<u8>(), 0..40);
	prop_oneof![
		bytes.clone().prop_map(DigestItem::Other),
		(any::<[u8; 4]>(), bytes.clone()).prop_map(|(engine, bytes)| DigestItem::Consensus(engine, bytes)),
		(any::<[u8; 4]>(), bytes.clone()).prop_map(|(engine, bytes)| DigestItem::Seal(engine, bytes)),
		(any::<[u8; 4]>(), bytes).prop_map(|(engine, bytes)| DigestItem::PreRuntime(engine, bytes)),
		Just(DigestItem::RuntimeEnvironmentUpdated),
	]
}

proptest! {
	#![proptest_config(ProptestConfig::with_cases(200))]

	#[test]
	fn header_has_the_bytes_and_the_hash_of_a_substrate_header(
		number: u32,
		hashes: [[u8; 32]; 3],
		logs in prop::collection::vec(digest_item(), 0..6),
	) {
		let [extrinsics, state, parent] = hashes.map(H256);
		let original = SubstrateHeader::new(number, extrinsics, state, parent, Digest { logs });
		let ours: Header = convert(&original);
		prop_assert_eq!(ours.encode(), original.encode());
		prop_assert_eq!(ours.hash(), original.hash());
		prop_assert_eq!((ours.number, ours.parent_hash, ours.state_root), (number, parent, state));
	}

	/// What nodes accept, the verifier accepts. What the verifier accepts, nodes accept for that block or, when the votes
	/// make a later one final, for the later one.
	#[test]
	fn votes_make_a_block_final_as_they_do_for_nodes(
		votes in prop::collection::vec((0usize..8, 10u32..14), 1..12),
	) {
		let keys = &CHAIN.sets[0];
		// One who is not in the set votes, too.
		let voters: Vec<_> = keys.iter().chain(&*STRANGERS).collect();
		let votes: Vec<_> = votes.iter().map(|(key, block)| (voters[*key], *block)).collect();
		let list = authorities(keys);
		let set = AuthoritySet::new(0, &convert::<_, Vec<(H256, u64)>>(&list)).unwrap();
		let mut final_for_nodes = None;
		for number in (9..15).rev() {
			let original = CHAIN.votes(number, 0, &votes);
			let ours: Justification = convert(&original);
			prop_assert_eq!(ours.encode(), original.encode());
			let nodes = ScJustification::<Block>::from(original).verify(0, &list).is_ok();
			let verifier = set.check(&CHAIN.headers[number as usize].hash(), number, &ours).is_ok();
			if nodes {
				prop_assert!(verifier, "nodes take the votes for {number}");
				final_for_nodes = Some(number);
			}
			prop_assert!(!verifier || final_for_nodes.is_some(), "the verifier takes the votes for {number}");
		}
	}

	/// A state of any form: read with proof, a key has the value that it has.
	#[test]
	fn value_is_read_from_a_proof_as_from_the_state(
		entries in prop::collection::btree_map(
			prop::collection::vec(0u8..6, 1..5),
			prop_oneof![
				prop::collection::vec(any::<u8>(), 0..5),
				prop::collection::vec(any::<u8>(), 30..80),
			],
			0..40,
		),
		probes in prop::collection::vec(prop::collection::vec(0u8..6, 1..6), 20),
		hashed: bool,
		flip: (prop::sample::Index, prop::sample::Index, u8),
	) {
		let version = if hashed { StateVersion::V1 } else { StateVersion::V0 };
		let storage =
			sp_core::storage::Storage { top: entries.clone(), children_default: Default::default() };
		let state: InMemoryBackend<BlakeTwo256> = (storage, version).into();
		let root = *state.root();
		for key in entries.keys().chain(&probes) {
			let original = prove_read(state.clone(), [key]).unwrap();
			let proof = trie::prove(&root, key, original.clone().into_iter_nodes()).unwrap();
			let value = trie::read(&root, key, &proof).unwrap();
			prop_assert_eq!(value.as_ref(), entries.get(key));
			let theirs = read_proof_check::<BlakeTwo256, _>(root, original, [key]).unwrap();
			prop_assert_eq!(&value, &theirs[key]);

			let mut forged = proof.clone();
			let node = flip.0.index(forged.len());
			let bytes = &mut forged[node].0;
			if !bytes.is_empty() {
				let place = flip.1.index(bytes.len());
				bytes[place] ^= flip.2 | 1;
				prop_assert_eq!(trie::read(&root, key, &forged), Err(trie::TrieError::Missing { place: node }));
			}
			let mut long = proof;
			long.push(long[0].clone());
			prop_assert_eq!(trie::read(&root, key, &long), Err(trie::TrieError::Unused));
		}
	}

	/// Nodes that no trie has are refused without a panic. The root is that of the first, so that they are looked into.
	#[test]
	fn node_of_any_bytes_is_read_without_a_panic(
		node in prop::collection::vec(any::<u8>(), 0..80),
		key in prop::collection::vec(any::<u8>(), 0..6),
	) {
		let root = cairn_verifier::blake2_256(&node);
		let _ = trie::read(&root, &key, &[cairn_verifier::header::Data(node)]);
	}
}

#[test]
fn path_in_the_range_is_that_of_pallet_mmr_for_every_leaf_and_length() {
	let chain = Chain::new(Plan { blocks: 70, ..Plan::default() });
	for count in 1..=70u32 {
		let root = chain.header(count).mmr_root().unwrap();
		for index in 0..count {
			let (leaf, path) = (chain.leaf(index), chain.path(index, count));
			assert_eq!(leaf.root(count, &path), Some(root), "leaf {index} of {count}");
			// It compares the only leaf itself with the root, which is that leaf's hash, and finds them different.
			if count == 1 {
				continue;
			}
			let proof =
				LeafProof { leaf_indices: vec![index.into()], leaf_count: count.into(), items: path.clone() };
			let data = MmrNode::Data(chain.leaves[index as usize]);
			pallet_mmr::verify_leaves_proof::<BlakeTwo256, MmrLeaf>(root, vec![data], proof)
				.unwrap_or_else(|e| panic!("leaf {index} of {count}: {e:?}"));
			// Under another number it leads elsewhere or nowhere. (The range's length is that of the header that has its
			// root; some neighbouring lengths have paths of the same form.)
			for other in (0..80).filter(|other| *other != index) {
				assert_ne!(Leaf { number: other, ..leaf.clone() }.root(count, &path), Some(root));
			}
			for len in (0..path.len() + 3).filter(|len| *len != path.len()) {
				let resized: Vec<_> = path.iter().copied().chain([H256::zero(); 3]).take(len).collect();
				assert_eq!(leaf.root(count, &resized), None);
			}
		}
	}
	assert_eq!(chain.leaf(0).root(0, &[]), None);
	let last = Leaf { number: u32::MAX - 1, ..chain.leaf(0) };
	assert!(last.root(u32::MAX, &[H256::zero(); 31]).is_some());
}

#[test]
fn leaf_has_the_bytes_of_the_runtimes_leaf() {
	let leaf = ((7u32, H256::repeat_byte(1)), H256::repeat_byte(2));
	let ours = Leaf::decode(&mut &leaf.encode()[..]).unwrap();
	assert_eq!(ours, Leaf { number: 7, hash: leaf.0 .1, provenance_root: leaf.1 });
}

#[test]
fn digest_tells_the_next_authorities_as_grandpa_reads_it() {
	let change = ScheduledChange { next_authorities: authorities(&keys(1, 0, 3)), delay: 0u32 };
	let other = ScheduledChange { next_authorities: authorities(&keys(2, 0, 3)), delay: 5u32 };
	let item = |log: ConsensusLog<u32>| DigestItem::Consensus(GRANDPA_ENGINE_ID, log.encode());
	let read = |logs: Vec<DigestItem>| {
		let header = SubstrateHeader::new(1, H256::zero(), H256::zero(), H256::zero(), Digest { logs });
		convert::<_, Header>(&header).set_change()
	};
	let scheduled = |change: &ScheduledChange<u32>| SetChange::Scheduled(convert(change));
	assert_eq!(read(vec![]), SetChange::None);
	assert_eq!(read(vec![item(ConsensusLog::ScheduledChange(change.clone()))]), scheduled(&change));
	assert_eq!(read(vec![item(ConsensusLog::ScheduledChange(other.clone()))]), scheduled(&other));
	let beside = [
		item(ConsensusLog::OnDisabled(3)),
		item(ConsensusLog::Pause(9)),
		item(ConsensusLog::Resume(9)),
		DigestItem::Consensus(*b"BABE", ConsensusLog::ScheduledChange(other.clone()).encode()),
		DigestItem::PreRuntime(GRANDPA_ENGINE_ID, ConsensusLog::ScheduledChange(other.clone()).encode()),
	];
	assert_eq!(read(beside.to_vec()), SetChange::None);
	let both = beside.into_iter().chain([
		item(ConsensusLog::ScheduledChange(change.clone())),
		item(ConsensusLog::ScheduledChange(other.clone())),
	]);
	assert_eq!(read(both.collect()), scheduled(&change));
	assert_eq!(
		read(vec![item(ConsensusLog::ScheduledChange(change)), item(ConsensusLog::ForcedChange(1, other))]),
		SetChange::Forced
	);
}

#[test]
fn state_is_looked_for_where_the_runtime_has_it() {
	let key = |pallet: &str, item: &str| [twox_128(pallet.as_bytes()), twox_128(item.as_bytes())].concat();
	assert_eq!(storage::GRANDPA_AUTHORITIES[..], key("Grandpa", "Authorities"));
	assert_eq!(storage::LEDGER_VERSION[..], key("Provenance", ":__STORAGE_VERSION__:"));
	let weights = H256::repeat_byte(5);
	let entry = [key("Provenance", "WeightsRecord"), blake2_128(&weights.0).to_vec(), vec![5; 32]].concat();
	assert_eq!(storage::weights_record(&weights), entry);
}

#[test]
fn signature_is_checked_as_sp_core_does() {
	use cairn_verifier::grandpa::Signature;
	let number = 12;
	let keys = &CHAIN.sets[0];
	let set = AuthoritySet::new(0, &convert::<_, Vec<(H256, u64)>>(&authorities(keys))).unwrap();
	let votes: Vec<_> = keys.iter().map(|key| (key, number)).collect();
	let hash = CHAIN.headers[number as usize].hash();
	let mut justification: Justification = convert(&CHAIN.votes(number, 0, &votes));
	assert_eq!(set.check(&hash, number, &justification), Ok(()));
	let message = (1u8, hash, number, justification.round, 0u64).encode();
	let Signature(signature) = justification.precommits[0].signature;
	assert!(sp_core::ed25519::Pair::verify(&signature.into(), &message, &keys[0].public()));
	justification.precommits[0].signature = justification.precommits[1].signature;
	assert!(set.check(&hash, number, &justification).is_err());
}

/// Not used by other tests here, but what they stand on: the chain's own states.
#[test]
fn states_of_the_chain_in_memory_have_what_they_are_asked_for() {
	let entries: BTreeMap<_, _> =
		[(storage::GRANDPA_AUTHORITIES.to_vec(), authorities(&CHAIN.sets[0]).encode())].into();
	for (key, value) in entries {
		let root = *CHAIN.genesis_state.root();
		let proof = state_proof(&CHAIN.genesis_state, &key);
		assert_eq!(trie::read(&root, &key, &proof), Ok(Some(value)));
	}
}
