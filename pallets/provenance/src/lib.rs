#![doc = include_str!("../README.md")]
#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

#[cfg(test)]
mod mock;
#[cfg(test)]
mod tests;
mod try_state;

use alloc::vec::Vec;
use cairn_primitives::{
	views::{LineagePage, RecordInfo, MAX_PAGE},
	ArtifactHash, DeviceId, ProgrammeId, Record, RecordId, RecordKind, RecordRange, RoundIndex,
};
use frame_support::pallet_prelude::*;
use frame_system::pallet_prelude::*;

pub use pallet::*;

/// A record as this runtime stores it.
pub type RecordOfT<T> = Record<<T as frame_system::Config>::AccountId, BlockNumberFor<T>>;

/// An update that a round included.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IncludedUpdate<AccountId> {
	/// Who produced it.
	pub producer: AccountId,
	/// On which device.
	pub device: DeviceId,
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

	const STORAGE_VERSION: StorageVersion = StorageVersion::new(1);

	#[pallet::pallet]
	#[pallet::storage_version(STORAGE_VERSION)]
	pub struct Pallet<T>(_);

	#[pallet::config]
	pub trait Config: frame_system::Config<RuntimeEvent: From<Event<Self>>> {}

	/// How many records there are; the number of the next one.
	#[pallet::storage]
	pub type RecordCount<T> = StorageValue<_, RecordId, ValueQuery>;

	/// The ledger. Twox64Concat, because the chain itself hands out the numbers; bounded per record.
	#[pallet::storage]
	pub type Records<T: Config> = StorageMap<_, Twox64Concat, RecordId, RecordOfT<T>>;

	/// The first record of an artifact. Blake2_128Concat, because users choose the hashes; at most one per record.
	#[pallet::storage]
	pub type RecordOf<T> = StorageMap<_, Blake2_128Concat, ArtifactHash, RecordId>;

	#[pallet::event]
	#[pallet::generate_deposit(pub(super) fn deposit_event)]
	pub enum Event<T: Config> {
		/// A record was appended to the ledger.
		Recorded {
			/// Its number.
			id: RecordId,
			/// What the artifact is.
			kind: RecordKind,
			/// The artifact.
			artifact: ArtifactHash,
			/// The programme it belongs to.
			programme: ProgrammeId,
			/// The round it was made in.
			round: Option<RoundIndex>,
		},
	}

	#[pallet::hooks]
	impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
		#[cfg(feature = "try-runtime")]
		fn try_state(_: BlockNumberFor<T>) -> Result<(), sp_runtime::TryRuntimeError> {
			Self::do_try_state()
		}
	}
}

impl<T: Config> Pallet<T> {
	fn append(record: RecordOfT<T>) -> RecordId {
		let id = RecordCount::<T>::get();
		// A u64 counter of state entries cannot overflow: the disk ends long before.
		RecordCount::<T>::put(id.saturating_add(1));
		if !RecordOf::<T>::contains_key(record.artifact) {
			RecordOf::<T>::insert(record.artifact, id);
		}
		Self::deposit_event(Event::Recorded {
			id,
			kind: record.kind,
			artifact: record.artifact,
			programme: record.programme,
			round: record.round,
		});
		Records::<T>::insert(id, record);
		id
	}

	/// Records what a programme starts with: its training configuration, then its weights. Returns the number of the
	/// weights' record.
	pub fn record_start(programme: ProgrammeId, config: ArtifactHash, weights: ArtifactHash) -> RecordId {
		let block = frame_system::Pallet::<T>::block_number();
		let start = |kind, artifact| Record {
			kind,
			artifact,
			base: None,
			inputs: None,
			producer: None,
			device: None,
			programme,
			round: None,
			block,
		};
		Self::append(start(RecordKind::TrainingConfig, config));
		Self::append(start(RecordKind::Weights, weights))
	}

	/// Records a finalised round: each included update, then the next weights made of them.
	///
	/// `base` is the record of the weights that the round started from; the caller has checked that it exists.
	pub fn record_round(
		programme: ProgrammeId,
		round: RoundIndex,
		base: RecordId,
		updates: Vec<IncludedUpdate<T::AccountId>>,
		weights: ArtifactHash,
	) -> RoundRecords {
		let block = frame_system::Pallet::<T>::block_number();
		let range = RecordRange { first: RecordCount::<T>::get(), count: updates.len() as u32 };
		for IncludedUpdate { producer, device, artifact } in updates {
			Self::append(Record {
				kind: RecordKind::Update,
				artifact,
				base: Some(base),
				inputs: None,
				producer: Some(producer),
				device: Some(device),
				programme,
				round: Some(round),
				block,
			});
		}
		let weights = Self::append(Record {
			kind: RecordKind::Weights,
			artifact: weights,
			base: Some(base),
			inputs: Some(range),
			producer: None,
			device: None,
			programme,
			round: Some(round),
			block,
		});
		RoundRecords { updates: range, weights }
	}

	/// Whether an artifact has a record.
	pub fn is_recorded(artifact: &ArtifactHash) -> bool {
		RecordOf::<T>::contains_key(artifact)
	}

	/// A page of what record `from` came from, newest first, itself included. At most [`MAX_PAGE`] records, whatever
	/// `limit` says. `None` when there is no such record.
	///
	/// The walk needs nothing but the ledger: from weights to the last of their inputs, from an update to the one
	/// before it in the same round, and from the first update of a round to the base that all of them share. A page can
	/// therefore start at any record that an earlier page named.
	pub fn lineage(from: RecordId, limit: u32) -> Option<LineagePage<T::AccountId, BlockNumberFor<T>>> {
		let mut record = Records::<T>::get(from)?;
		let mut id = from;
		let mut records = Vec::new();
		loop {
			let next = Self::before(id, &record);
			records.push(RecordInfo { id, record });
			match next {
				None => return Some(LineagePage { records, next: None }),
				Some(n) if records.len() as u32 >= limit.clamp(1, MAX_PAGE) => {
					return Some(LineagePage { records, next: Some(n) })
				},
				Some(n) => {
					// Parents exist by construction; should one not, the page ends there and `try_state` tells.
					let Some(parent) = Records::<T>::get(n) else {
						return Some(LineagePage { records, next: None });
					};
					(id, record) = (n, parent);
				},
			}
		}
	}

	/// The record before `id` in the order of [`Self::lineage`].
	fn before(id: RecordId, record: &RecordOfT<T>) -> Option<RecordId> {
		match record.inputs {
			Some(RecordRange { first, count }) if count > 0 => {
				Some(first.saturating_add(count.into()).saturating_sub(1))
			},
			_ => {
				let previous = id.checked_sub(1)?;
				let sibling = record.kind == RecordKind::Update
					&& Records::<T>::get(previous).is_some_and(|p| {
						p.kind == RecordKind::Update
							&& p.programme == record.programme
							&& p.round == record.round
					});
				if sibling {
					Some(previous)
				} else {
					record.base
				}
			},
		}
	}
}
