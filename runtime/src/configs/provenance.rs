//! The ledger, and the Merkle mountain range that commits to it block by block.

use crate::*;
use codec::Encode;
use frame_support::weights::Weight;
use pallet_mmr::{DefaultBlockHashProvider, LeafDataProvider, OnNewRoot, ParentNumberAndHash};
use sp_runtime::{ConsensusEngineId, DigestItem};

impl pallet_provenance::Config for Runtime {
	type WeightInfo = weights::pallet_provenance::WeightInfo<Runtime>;
}

/// Under which name a block's header carries the root of the Merkle mountain range: SCALE of a hash, in a consensus
/// digest item.
///
/// Whoever has a finalised header has the root with it, and needs no proof of state to check a record of any age.
pub const MMR_ENGINE_ID: ConsensusEngineId = *b"CRNM";

/// What a block adds to the range: number and hash of its parent, and the parent's provenance root.
///
/// It says nothing of the block itself: two blocks with the same parent add the same leaf, as the range's index, which
/// is keyed by parents, asks for.
pub struct ParentAndProvenance;

/// A leaf of the range. Leaf `n` is that of block `n + 1` and so about block `n`.
pub type MmrLeaf = <ParentAndProvenance as LeafDataProvider>::LeafData;

impl LeafDataProvider for ParentAndProvenance {
	type LeafData = ((BlockNumber, Hash), Hash);

	fn leaf_data() -> Self::LeafData {
		(ParentNumberAndHash::<Runtime>::leaf_data(), Provenance::parent_root())
	}
}

/// Puts the range's root into the block's header.
pub struct RootIntoDigest;

impl OnNewRoot<Hash> for RootIntoDigest {
	fn on_new_root(root: &Hash) {
		System::deposit_log(DigestItem::Consensus(MMR_ENGINE_ID, root.encode()));
	}
}

/// The costs of the range's hook: its accesses at this runtime's database costs and its hashing.
pub struct MmrCosts;

impl pallet_mmr::WeightInfo for MmrCosts {
	fn on_initialize(peaks: u32) -> Weight {
		let peaks = u64::from(peaks);
		// The leaf, and a hash of two for each peak that is merged or bagged.
		Weight::from_parts(20_000_000_u64.saturating_add(peaks.saturating_mul(2_000_000)), 4_000)
			.saturating_add(
				<Runtime as frame_system::Config>::DbWeight::get()
					.reads_writes(peaks.saturating_add(3), peaks.saturating_add(2)),
			)
	}
}

impl pallet_mmr::Config for Runtime {
	const INDEXING_PREFIX: &'static [u8] = sp_mmr_primitives::INDEXING_PREFIX;
	type Hashing = BlakeTwo256;
	type LeafData = ParentAndProvenance;
	type OnNewRoot = RootIntoDigest;
	type BlockHashProvider = DefaultBlockHashProvider<Runtime>;
	type WeightInfo = MmrCosts;
	#[cfg(feature = "runtime-benchmarks")]
	type BenchmarkHelper = ();
}

#[cfg(test)]
mod tests {
	use super::*;
	use cairn_primitives::{ledger, H256};
	use codec::Decode;
	use frame_support::traits::Hooks;
	use pallet_mmr::primitives::DataOrHash;
	use sp_core::offchain::{OffchainDbExt, OffchainWorkerExt};
	use sp_runtime::{BuildStorage, Digest};

	/// Begins a block as the executive does: the header's parent first, then the hooks in the order of the pallets.
	fn begin(number: BlockNumber) {
		System::reset_events();
		System::initialize(&number, &H256::repeat_byte(number as u8), &Digest::default());
		Mmr::on_initialize(number);
		Provenance::on_initialize(number);
	}

	fn chain() -> sp_io::TestExternalities {
		let storage = RuntimeGenesisConfig::default().build_storage().expect("builds");
		let mut chain = sp_io::TestExternalities::new(storage);
		let (offchain, _) =
			sp_core::offchain::testing::TestOffchainExt::with_offchain_db(chain.offchain_db());
		chain.register_extension(OffchainDbExt::new(offchain.clone()));
		chain.register_extension(OffchainWorkerExt::new(offchain));
		chain
	}

	/// The root in the running block's digest.
	fn root_in_digest() -> Option<Hash> {
		System::digest().logs().iter().find_map(|log| match log {
			DigestItem::Consensus(MMR_ENGINE_ID, bytes) => Hash::decode(&mut &bytes[..]).ok(),
			_ => None,
		})
	}

	#[test]
	fn leaf_has_the_provenance_root_of_the_parent_and_the_header_has_the_root() {
		let mut chain = chain();
		let mut roots = Vec::new();
		chain.execute_with(|| {
			for number in 1..=5 {
				begin(number);
				assert_eq!(root_in_digest(), Some(Mmr::mmr_root()), "block {number}");
				assert_eq!(Mmr::mmr_leaves(), u64::from(number));
				if number % 2 == 0 {
					Provenance::record_start(number, H256::repeat_byte(1), H256::repeat_byte(number as u8));
					let batch = pallet_provenance::BatchCount::<Runtime>::get() - 1;
					let batch = pallet_provenance::Batches::<Runtime>::get(batch).expect("just appended");
					roots.push((number, ledger::root([batch.root])));
				} else {
					roots.push((number, H256::zero()));
				}
			}
		});
		chain.persist_offchain_overlay();
		chain.execute_with(|| {
			let root = Mmr::mmr_root();
			for (number, provenance) in roots.into_iter().take(4) {
				// What is said of block `number` is in the leaf of the block after it.
				let (leaves, proof) = Mmr::generate_proof(vec![number + 1], None).expect("is in the index");
				assert_eq!(leaves.len(), 1);
				assert_eq!((leaves[0].0 .0, leaves[0].1), (number, provenance));
				let node = DataOrHash::<BlakeTwo256, MmrLeaf>::Data(leaves[0]);
				pallet_mmr::verify_leaves_proof::<BlakeTwo256, _>(root, vec![node], proof).expect("verifies");
			}
		});
	}

	#[test]
	fn what_is_appended_before_the_range_asks_does_not_get_into_the_parents_leaf() {
		chain().execute_with(|| {
			begin(1);
			System::initialize(&2, &H256::repeat_byte(1), &Digest::default());
			// As the scheduler does when it enacts a referendum at the beginning of a block.
			Provenance::record_start(0, H256::repeat_byte(1), H256::repeat_byte(2));
			assert_eq!(ParentAndProvenance::leaf_data(), ((1, H256::repeat_byte(1)), H256::zero()));
			begin(3);
			assert_ne!(ParentAndProvenance::leaf_data().1, H256::zero());
		});
	}
}
