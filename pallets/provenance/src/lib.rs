#![doc = include_str!("../README.md")]
#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

#[cfg(feature = "runtime-benchmarks")]
mod benchmarking;
mod block;
#[cfg(test)]
mod mock;
#[cfg(test)]
mod tests;
mod try_state;
pub mod weights;

use alloc::{vec, vec::Vec};
use cairn_primitives::{
	ledger::{batch_key, batch_root, Batch, BatchId},
	ArtifactHash, DeviceId, ProgrammeId, Record, RecordId, RecordKind, RecordRange, RoundIndex, SiteId, H256,
};
use codec::Encode;
use frame_support::{pallet_prelude::*, traits::ConstU32};
use frame_system::pallet_prelude::*;

pub use block::BlockBatches;
pub use pallet::*;
pub use weights::WeightInfo;

/// A record as this runtime makes it.
pub type RecordOfT<T> = Record<<T as frame_system::Config>::AccountId, BlockNumberFor<T>>;
/// A batch as this runtime stores it.
pub type BatchOf<T> = Batch<BlockNumberFor<T>>;

/// How many records a programme starts with: its training configuration and its weights.
pub const START_RECORDS: u32 = 2;

/// An update that a round included.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IncludedUpdate<AccountId> {
	/// Who produced it.
	pub producer: AccountId,
	/// On which device.
	pub device: DeviceId,
	/// Where the device stood.
	pub site: SiteId,
	/// The update.
	pub artifact: ArtifactHash,
}

/// The records that a finalised round left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RoundRecords {
	/// The included updates, in canonical order.
	pub updates: RecordRange,
	/// The next weights.
	pub weights: RecordId,
}

#[frame_support::pallet]
pub mod pallet {
	use super::*;

	// Version 1 kept every record in state. No chain but short-lived devnets ran it, so nothing migrates from it.
	const STORAGE_VERSION: StorageVersion = StorageVersion::new(2);

	#[pallet::pallet]
	#[pallet::storage_version(STORAGE_VERSION)]
	pub struct Pallet<T>(_);

	#[pallet::config]
	pub trait Config: frame_system::Config<RuntimeEvent: From<Event<Self>>> {
		/// What appending costs whoever makes the chain do it.
		type WeightInfo: WeightInfo;
	}

	/// How many records there are; the number of the next one.
	#[pallet::storage]
	pub type RecordCount<T> = StorageValue<_, RecordId, ValueQuery>;

	/// How many batches there are; the number of the next one.
	#[pallet::storage]
	pub type BatchCount<T> = StorageValue<_, BatchId, ValueQuery>;

	/// The batches that records were appended in. Twox64Concat: the chain makes the numbers. One of fixed size per
	/// programme and per finalised round, however many updates the round had.
	#[pallet::storage]
	pub type Batches<T: Config> = StorageMap<_, Twox64Concat, BatchId, BatchOf<T>>;

	/// The records of the batches that programmes start with. They are here and not in the offchain index because a
	/// chain's genesis cannot write there. Twox64Concat: the chain makes the numbers. Two per programme.
	#[pallet::storage]
	pub type StartRecords<T: Config> =
		StorageMap<_, Twox64Concat, BatchId, BoundedVec<RecordOfT<T>, ConstU32<START_RECORDS>>>;

	/// The first record of weights. Blake2_128Concat, because users choose the hashes; at most one per batch.
	#[pallet::storage]
	pub type WeightsRecord<T> = StorageMap<_, Blake2_128Concat, ArtifactHash, RecordId>;

	/// What the newest block with batches appended. One value of bounded size.
	#[pallet::storage]
	pub type Newest<T: Config> = StorageValue<_, BlockBatches<BlockNumberFor<T>>, ValueQuery>;

	#[pallet::event]
	#[pallet::generate_deposit(pub(super) fn deposit_event)]
	pub enum Event<T: Config> {
		/// Records were appended to the ledger.
		BatchRecorded {
			/// The number of their batch.
			batch: BatchId,
			/// The root of the tree over them.
			root: H256,
			/// The number of the first.
			first: RecordId,
			/// How many there are.
			count: u32,
			/// The programme they belong to.
			programme: ProgrammeId,
			/// The round that left them; none for what a programme starts with.
			round: Option<RoundIndex>,
		},
	}

	#[pallet::hooks]
	impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
		fn on_initialize(_: BlockNumberFor<T>) -> Weight {
			// The Merkle mountain range asks for the root of the block before, and its own weight does not know what
			// that costs.
			T::WeightInfo::parent_root()
		}

		#[cfg(feature = "try-runtime")]
		fn try_state(_: BlockNumberFor<T>) -> Result<(), sp_runtime::TryRuntimeError> {
			Self::do_try_state()
		}
	}
}

impl<T: Config> Pallet<T> {
	/// Records what a programme starts with: its training configuration, then its weights. Returns the number of the
	/// weights' record.
	pub fn record_start(programme: ProgrammeId, config: ArtifactHash, weights: ArtifactHash) -> RecordId {
		let block = frame_system::Pallet::<T>::block_number();
		let start = |kind, artifact| Record {
			kind,
			artifact,
			base: None,
			inputs: None,
			terms: None,
			producer: None,
			device: None,
			site: None,
			programme,
			round: None,
			block,
		};
		let records = vec![start(RecordKind::TrainingConfig, config), start(RecordKind::Weights, weights)];
		let (id, batch) = Self::append(programme, None, &records);
		StartRecords::<T>::insert(id, BoundedVec::truncate_from(records));
		Self::note_weights(weights, &batch)
	}

	/// Records a finalised round: each included update, then the next weights made of them.
	///
	/// `base` is the record of the weights that the round started from; the caller has checked that it exists. `terms` is
	/// [`terms_digest`](cairn_primitives::round::terms_digest) of what the round was settled under. The records go into the
	/// offchain index; state keeps the batch's root.
	pub fn record_round(
		programme: ProgrammeId,
		round: RoundIndex,
		base: RecordId,
		updates: Vec<IncludedUpdate<T::AccountId>>,
		weights: ArtifactHash,
		terms: H256,
	) -> RoundRecords {
		let block = frame_system::Pallet::<T>::block_number();
		let range = RecordRange { first: RecordCount::<T>::get(), count: updates.len() as u32 };
		let mut records = Vec::with_capacity(updates.len().saturating_add(1));
		records.extend(updates.into_iter().map(|IncludedUpdate { producer, device, site, artifact }| {
			Record {
				kind: RecordKind::Update,
				artifact,
				base: Some(base),
				inputs: None,
				terms: None,
				producer: Some(producer),
				device: Some(device),
				site: Some(site),
				programme,
				round: Some(round),
				block,
			}
		}));
		records.push(Record {
			kind: RecordKind::Weights,
			artifact: weights,
			base: Some(base),
			inputs: Some(range),
			terms: Some(terms),
			producer: None,
			device: None,
			site: None,
			programme,
			round: Some(round),
			block,
		});
		let (_, batch) = Self::append(programme, Some(round), &records);
		sp_io::offchain_index::set(&batch_key(&batch.root), &records.encode());
		RoundRecords { updates: range, weights: Self::note_weights(weights, &batch) }
	}

	/// Whether these weights have a record. Updates do not: whether one was recorded before is not in state, and their
	/// hashes name the round that they are for.
	pub fn is_recorded(weights: &ArtifactHash) -> bool {
		WeightsRecord::<T>::contains_key(weights)
	}

	/// The batch that a record is in; `None` when there is no such record. Reads as many entries as the number of
	/// batches has bits.
	pub fn batch_of(record: RecordId) -> Option<(BatchId, BatchOf<T>)> {
		let (mut low, mut high) = (0, BatchCount::<T>::get());
		// `low` is a batch that begins at or before the record, `high` one that begins after it.
		while high.saturating_sub(low) > 1 {
			let middle = low.saturating_add(high.saturating_sub(low) / 2);
			if Batches::<T>::get(middle)?.first <= record {
				low = middle;
			} else {
				high = middle;
			}
		}
		let batch = Batches::<T>::get(low)?;
		batch.contains(record).then_some((low, batch))
	}

	/// The batch whose last record, `record`, is that of these weights of this programme, as far as the state tells: for
	/// the invariants of other pallets. `None` when the state says otherwise. What a round's records say beyond that is
	/// what the batch's root commits to.
	pub fn batch_of_weights(
		record: RecordId,
		weights: &ArtifactHash,
		programme: ProgrammeId,
	) -> Option<BatchOf<T>> {
		let (id, batch) = Self::batch_of(record)?;
		let is_last = batch.place(record) == batch.count.checked_sub(1);
		let is_indexed = WeightsRecord::<T>::get(weights).is_some_and(|first| first <= record);
		let start_fits = match StartRecords::<T>::get(id) {
			Some(records) => records.last().is_some_and(|last| last.artifact == *weights),
			None => batch.round.is_some(),
		};
		(is_last && is_indexed && start_fits && batch.programme == programme).then_some(batch)
	}

	/// Appends records that belong together.
	fn append(
		programme: ProgrammeId,
		round: Option<RoundIndex>,
		records: &[RecordOfT<T>],
	) -> (BatchId, BatchOf<T>) {
		let first = RecordCount::<T>::get();
		let id = BatchCount::<T>::get();
		let count = records.len() as u32;
		let block = frame_system::Pallet::<T>::block_number();
		let batch = Batch { root: batch_root(first, records), first, count, block, programme, round };
		// A u64 counter of state entries cannot overflow: the disk ends long before.
		RecordCount::<T>::put(first.saturating_add(count.into()));
		BatchCount::<T>::put(id.saturating_add(1));
		Batches::<T>::insert(id, &batch);
		Newest::<T>::mutate(|newest| newest.append(block, batch.root));
		Self::deposit_event(Event::BatchRecorded {
			batch: id,
			root: batch.root,
			first,
			count,
			programme,
			round,
		});
		(id, batch)
	}

	/// Remembers that the last record of a batch is that of these weights, unless they have one. Returns its number.
	fn note_weights(weights: ArtifactHash, batch: &BatchOf<T>) -> RecordId {
		let id = batch.first.saturating_add(batch.count.into()).saturating_sub(1);
		if !WeightsRecord::<T>::contains_key(weights) {
			WeightsRecord::<T>::insert(weights, id);
		}
		id
	}
}
