#![doc = include_str!("../README.md")]
#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

#[cfg(test)]
mod mock;
pub mod policy;
mod programmes;
mod rounds;
#[cfg(test)]
mod tests;
mod try_state;
pub mod types;
mod view;
pub mod weights;

use cairn_primitives::{
	bitmap, round::aggregate_commitment, two_thirds, views::*, AggregationRule, ArtifactHash, DeviceId,
	ProgrammeId, RoundIndex, Settings, H256,
};
use frame_support::{
	dispatch::{DispatchResultWithPostInfo, PostDispatchInfo},
	pallet_prelude::*,
	traits::{Contains, Randomness},
};
use frame_system::pallet_prelude::*;
use sp_runtime::{traits::Zero, Saturating};

pub use pallet::*;
pub use policy::{Policy, PolicyBreach};
pub use programmes::{OutOfBounds, Setting};
use rounds::Step;
pub use types::*;
pub use weights::WeightInfo;

/// Amounts of the native token.
pub type BalanceOf<T> = pallet_rewards::BalanceOf<T>;
type ProgrammeOf<T> = Programme<BalanceOf<T>, BlockNumberFor<T>>;
type RunningOf<T> = RunningRound<
	<T as frame_system::Config>::AccountId,
	BlockNumberFor<T>,
	<T as Config>::MaxCommittee,
	<T as Config>::MaxBitmap,
>;
type SettledOf<T> = SettledRound<
	<T as frame_system::Config>::AccountId,
	BlockNumberFor<T>,
	<T as Config>::MaxCommittee,
	<T as Config>::MaxBitmap,
>;
type CommitOfT<T> = Commit<<T as frame_system::Config>::AccountId>;
type MemberOf<T> = MemberState<<T as Config>::MaxBitmap>;

#[frame_support::pallet]
pub mod pallet {
	use super::*;

	const STORAGE_VERSION: StorageVersion = StorageVersion::new(1);

	#[pallet::pallet]
	#[pallet::storage_version(STORAGE_VERSION)]
	pub struct Pallet<T>(_);

	#[pallet::config]
	pub trait Config:
		frame_system::Config<RuntimeEvent: From<Event<Self>>>
		+ pallet_provenance::Config
		+ pallet_hardware::Config
		+ pallet_rewards::Config
	{
		/// What committees are drawn with. Whoever closes a commit window must not be able to influence it.
		type Randomness: Randomness<H256, BlockNumberFor<Self>>;
		/// The rules that bind every programme.
		type Policy: Policy<BalanceOf<Self>>;
		/// The most updates a round takes.
		#[pallet::constant]
		type MaxUpdates: Get<u32>;
		/// Bytes of a bitmap over `MaxUpdates`.
		#[pallet::constant]
		type MaxBitmap: Get<u32>;
		/// The most members a committee has.
		#[pallet::constant]
		type MaxCommittee: Get<u32>;
		/// The most aggregators that can be enlisted.
		#[pallet::constant]
		type MaxAggregators: Get<u32>;
		/// Committees that try to agree before a round fails.
		#[pallet::constant]
		type MaxAttempts: Get<u32>;
		/// What the calls cost.
		type WeightInfo: WeightInfo;
	}

	/// The number of the next programme.
	#[pallet::storage]
	pub type ProgrammeCount<T> = StorageValue<_, ProgrammeId, ValueQuery>;

	/// The programmes. Twox64Concat: the chain makes the numbers. Each was approved.
	#[pallet::storage]
	pub type Programmes<T: Config> = StorageMap<_, Twox64Concat, ProgrammeId, ProgrammeOf<T>>;

	/// The running round of each open programme. Twox64Concat: the chain makes the numbers.
	#[pallet::storage]
	pub type Running<T: Config> = StorageMap<_, Twox64Concat, ProgrammeId, RunningOf<T>>;

	/// What stays of settled rounds. Twox64Concat: the chain makes the numbers. Grows by one entry per round.
	#[pallet::storage]
	pub type Settled<T: Config> =
		StorageDoubleMap<_, Twox64Concat, ProgrammeId, Twox64Concat, RoundIndex, SettledOf<T>>;

	/// The commits of the running round, in canonical order. Twox64Concat: the chain makes the numbers. At most
	/// `MaxUpdates` per programme; removed when the round settles.
	#[pallet::storage]
	pub type Commits<T: Config> =
		StorageDoubleMap<_, Twox64Concat, ProgrammeId, Twox64Concat, u32, CommitOfT<T>>;

	/// The place of a device's commit in the running round. Twox64Concat: the chain makes the numbers. Bounded and
	/// removed like [`Commits`].
	#[pallet::storage]
	pub type CommitOf<T> = StorageDoubleMap<_, Twox64Concat, ProgrammeId, Twox64Concat, DeviceId, u32>;

	/// What each member of the running attempt's committee has done, by seat. Twox64Concat: the chain makes the
	/// numbers. At most `MaxCommittee` per programme; removed when the attempt ends.
	#[pallet::storage]
	pub type Members<T: Config> =
		StorageDoubleMap<_, Twox64Concat, ProgrammeId, Twox64Concat, u32, MemberOf<T>, ValueQuery>;

	/// The pool that committees are drawn from.
	#[pallet::storage]
	pub type Aggregators<T: Config> =
		StorageValue<_, BoundedVec<T::AccountId, T::MaxAggregators>, ValueQuery>;

	/// On how many committees of running rounds an account sits. Blake2_128Concat: users choose accounts. At most one
	/// entry per seat.
	#[pallet::storage]
	pub type Serving<T: Config> = StorageMap<_, Blake2_128Concat, T::AccountId, u32, ValueQuery>;

	#[pallet::event]
	#[pallet::generate_deposit(pub(super) fn deposit_event)]
	pub enum Event<T: Config> {
		/// A programme was opened.
		ProgrammeOpened {
			/// Its number.
			programme: ProgrammeId,
		},
		/// An aggregator joined the pool.
		AggregatorEnlisted {
			/// Who.
			account: T::AccountId,
		},
		/// An aggregator left the pool.
		AggregatorDelisted {
			/// Who.
			account: T::AccountId,
		},
		/// A round opened: workers may commit.
		RoundOpened {
			/// The programme.
			programme: ProgrammeId,
			/// The round.
			round: RoundIndex,
			/// Its base weights.
			base: ArtifactHash,
		},
		/// An update was committed.
		UpdateCommitted {
			/// The programme.
			programme: ProgrammeId,
			/// The round.
			round: RoundIndex,
			/// Its place in the canonical order.
			index: u32,
			/// The device.
			device: DeviceId,
			/// The update.
			artifact: ArtifactHash,
		},
		/// A committee was drawn.
		CommitteeDrawn {
			/// The programme.
			programme: ProgrammeId,
			/// The round.
			round: RoundIndex,
			/// Which committee this is, from 0.
			attempt: u32,
			/// Its members, by seat.
			members: BoundedVec<T::AccountId, T::MaxCommittee>,
		},
		/// A round moved to another phase.
		PhaseStarted {
			/// The programme.
			programme: ProgrammeId,
			/// The round.
			round: RoundIndex,
			/// The phase.
			phase: Phase,
			/// The last block at which it takes what it waits for.
			deadline: BlockNumberFor<T>,
		},
		/// A member voted which updates it holds.
		AvailabilityVoted {
			/// The programme.
			programme: ProgrammeId,
			/// The round.
			round: RoundIndex,
			/// Who.
			member: T::AccountId,
		},
		/// A member committed to an aggregate.
		AggregateCommitted {
			/// The programme.
			programme: ProgrammeId,
			/// The round.
			round: RoundIndex,
			/// Who.
			member: T::AccountId,
		},
		/// A member revealed its aggregate.
		AggregateRevealed {
			/// The programme.
			programme: ProgrammeId,
			/// The round.
			round: RoundIndex,
			/// Who.
			member: T::AccountId,
			/// The aggregate.
			result: ArtifactHash,
		},
		/// A member revealed another aggregate than two thirds did, or nothing.
		MemberFaulted {
			/// The programme.
			programme: ProgrammeId,
			/// The round.
			round: RoundIndex,
			/// Which committee.
			attempt: u32,
			/// Who.
			member: T::AccountId,
			/// What it did.
			outcome: MemberOutcome,
		},
		/// A round has its next weights.
		RoundFinalised {
			/// The programme.
			programme: ProgrammeId,
			/// The round.
			round: RoundIndex,
			/// The next weights.
			result: ArtifactHash,
			/// How many updates they are made of.
			updates: u32,
		},
		/// Nothing came of a round; nothing was paid.
		RoundFailed {
			/// The programme.
			programme: ProgrammeId,
			/// The round.
			round: RoundIndex,
			/// Why.
			reason: FailureReason,
		},
		/// No round can start until the pot is filled.
		ProgrammeUnfunded {
			/// The programme.
			programme: ProgrammeId,
		},
		/// All rounds are done.
		ProgrammeCompleted {
			/// The programme.
			programme: ProgrammeId,
		},
		/// What was decided about a programme changed; it binds from the next round on.
		ProgrammeAmended {
			/// The programme.
			programme: ProgrammeId,
		},
		/// A programme and its running round stand still.
		ProgrammePaused {
			/// The programme.
			programme: ProgrammeId,
		},
		/// A programme goes on where it stopped.
		ProgrammeResumed {
			/// The programme.
			programme: ProgrammeId,
		},
		/// No round can start until the programme or the policy is amended.
		ProgrammeBarred {
			/// The programme.
			programme: ProgrammeId,
			/// What the policy does not allow.
			breach: PolicyBreach,
		},
		/// A programme was ended.
		ProgrammeClosed {
			/// The programme.
			programme: ProgrammeId,
		},
	}

	#[pallet::error]
	pub enum Error<T> {
		/// There is no programme of this number: ask the chain which exist.
		UnknownProgramme,
		/// The programme has no running round: it is over, its pot waits to be funded, or the charter bars it.
		NoRunningRound,
		/// Another round is running: look it up and work on that one.
		WrongRound,
		/// Another committee is at work in this round: look up the running attempt.
		WrongAttempt,
		/// The commit window of the round is closed: the update came too late; take part in the next round.
		CommitWindowClosed,
		/// The round is in another phase, or the window of this phase is closed.
		WindowClosed,
		/// The account signs for no active device: register one and activate it.
		DeviceNotActive,
		/// The device committed an update in this round, or the member an aggregate in this attempt, before: only the
		/// first counts.
		AlreadyCommitted,
		/// The artifact has a record already: an update must be new.
		AlreadyRecorded,
		/// The round has as many updates as it takes.
		TooManyUpdates,
		/// Samples and local steps must be at least 1 and at most what the programme allows.
		WorkOutOfBounds,
		/// The account does not sit on the round's committee.
		NotOnCommittee,
		/// The member voted before in this attempt: only the first vote counts.
		AlreadyVoted,
		/// The bitmap is not the canonical encoding over the round's commits: `ceil(commits / 8)` bytes, no bit beyond
		/// the last commit.
		MalformedBitmap,
		/// The member made no commitment in this attempt, so there is nothing to open.
		NotCommitted,
		/// The member revealed before in this attempt.
		AlreadyRevealed,
		/// Result and salt do not open the commitment: reveal exactly what was committed.
		CommitmentMismatch,
		/// Nothing is due: no deadline has passed and no quorum is complete.
		NotDue,
		/// Fewer aggregators with an active device are enlisted than the committee has seats: enlist more.
		NotEnoughAggregators,
		/// The pot cannot pay for another round: fund it.
		PotTooSmall,
		/// All rounds of the programme are done.
		ProgrammeCompleted,
		/// The bond is below `MinAggregatorBond`: bond more first.
		BondTooSmall,
		/// The aggregator is in the pool already.
		AlreadyEnlisted,
		/// The aggregator is not in the pool.
		NotEnlisted,
		/// The pool is full.
		TooManyAggregators,
		/// A setting of the programme is out of bounds: it is named, and the pallet's README says what it may be.
		SettingOutOfBounds(Setting),
		/// This setting of a programme never changes: open another programme.
		SettingFixed(Setting),
		/// The programme is paused: wait until governance resumes it.
		ProgrammePaused,
		/// The programme is not paused, so it cannot be resumed.
		ProgrammeNotPaused,
		/// The policy does not allow the programme's next round: amend the programme or the charter.
		ProgrammeBarred,
		/// Governance ended the programme.
		ProgrammeClosed,
		/// The charter asks for evidence that the device does not have: get it attested.
		DeviceNotAllowed,
	}

	/// The programmes that a chain starts with.
	#[pallet::genesis_config]
	#[derive(frame_support::DefaultNoBound)]
	pub struct GenesisConfig<T: Config> {
		/// The programmes, numbered from 0 in this order.
		pub programmes: alloc::vec::Vec<GenesisProgramme<BalanceOf<T>>>,
	}

	#[pallet::genesis_build]
	impl<T: Config> BuildGenesisConfig for GenesisConfig<T> {
		fn build(&self) {
			for programme in &self.programmes {
				if let Err(problem) = Pallet::<T>::open_at_genesis(programme) {
					// A chain must not start from a genesis that is not what its author wrote.
					panic!("programme `{}` in the genesis configuration: {problem}", programme.name);
				}
			}
		}
	}

	#[pallet::hooks]
	impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
		fn integrity_test() {
			assert!(
				T::MaxBitmap::get() as usize == bitmap::byte_len(T::MaxUpdates::get()),
				"MaxBitmap must be the bytes of a bitmap over MaxUpdates"
			);
			assert!(
				T::MaxCommittee::get() <= T::MaxAggregators::get(),
				"a committee is drawn from the pool, so it cannot be larger"
			);
			assert!(
				T::MaxCommittee::get() > 0 && T::MaxUpdates::get() > 0 && T::MaxAttempts::get() > 0,
				"a round needs a committee, an update and an attempt"
			);
		}

		#[cfg(feature = "try-runtime")]
		fn try_state(_: BlockNumberFor<T>) -> Result<(), sp_runtime::TryRuntimeError> {
			Self::do_try_state()
		}
	}

	#[pallet::call]
	impl<T: Config> Pallet<T> {
		/// Joins the pool that committees are drawn from.
		///
		/// - **Origin**: signed by the account of an active device with a bond of at least `MinAggregatorBond`.
		/// - **Event**: [`Event::AggregatorEnlisted`].
		#[pallet::call_index(0)]
		#[pallet::weight(<T as Config>::WeightInfo::enlist())]
		pub fn enlist_aggregator(origin: OriginFor<T>) -> DispatchResult {
			let account = ensure_signed(origin)?;
			ensure!(
				pallet_hardware::Pallet::<T>::active_device(&account).is_some(),
				Error::<T>::DeviceNotActive
			);
			ensure!(
				pallet_rewards::Pallet::<T>::bonded(&account)
					>= <T as pallet_rewards::Config>::MinAggregatorBond::get(),
				Error::<T>::BondTooSmall
			);
			Aggregators::<T>::try_mutate(|pool| -> DispatchResult {
				ensure!(!pool.contains(&account), Error::<T>::AlreadyEnlisted);
				pool.try_push(account.clone()).map_err(|_| Error::<T>::TooManyAggregators)?;
				Ok(())
			})?;
			Self::deposit_event(Event::AggregatorEnlisted { account });
			Ok(())
		}

		/// Leaves the pool. A committee that the caller serves on stays as it is, and so does the bond until then.
		///
		/// - **Origin**: signed by an enlisted aggregator.
		/// - **Event**: [`Event::AggregatorDelisted`].
		#[pallet::call_index(1)]
		#[pallet::weight(<T as Config>::WeightInfo::enlist())]
		pub fn delist_aggregator(origin: OriginFor<T>) -> DispatchResult {
			let account = ensure_signed(origin)?;
			Aggregators::<T>::try_mutate(|pool| -> DispatchResult {
				let seat = pool.iter().position(|a| *a == account).ok_or(Error::<T>::NotEnlisted)?;
				pool.swap_remove(seat);
				Ok(())
			})?;
			Self::deposit_event(Event::AggregatorDelisted { account });
			Ok(())
		}

		/// Commits the hash of an update, with the work that its envelope declares. The commit that completes the round
		/// closes the window and draws the committee.
		///
		/// - **Origin**: signed by the account of an active device.
		/// - **Event**: [`Event::UpdateCommitted`].
		#[pallet::call_index(2)]
		#[pallet::weight(<T as Config>::WeightInfo::commit_update().saturating_add(Pallet::<T>::draw_weight()))]
		pub fn commit_update(
			origin: OriginFor<T>,
			programme: ProgrammeId,
			round: RoundIndex,
			artifact: ArtifactHash,
			samples: u32,
			local_steps: u32,
		) -> DispatchResultWithPostInfo {
			let producer = ensure_signed(origin)?;
			let entry = Programmes::<T>::get(programme).ok_or(Error::<T>::UnknownProgramme)?;
			ensure!(entry.state != ProgrammeState::Paused, Error::<T>::ProgrammePaused);
			let mut running = Running::<T>::get(programme).ok_or(Error::<T>::NoRunningRound)?;
			ensure!(round >= running.index, Error::<T>::CommitWindowClosed);
			ensure!(round == running.index, Error::<T>::WrongRound);
			ensure!(
				running.phase == Phase::Commit && !Self::is_past(running.deadline),
				Error::<T>::CommitWindowClosed
			);
			let device =
				pallet_hardware::Pallet::<T>::active_device(&producer).ok_or(Error::<T>::DeviceNotActive)?;
			ensure!(T::Policy::may_take_part(programme, device), Error::<T>::DeviceNotAllowed);
			ensure!(!CommitOf::<T>::contains_key(programme, device), Error::<T>::AlreadyCommitted);
			ensure!(
				(1..=entry.settings.max_samples).contains(&samples)
					&& (1..=entry.settings.max_local_steps).contains(&local_steps),
				Error::<T>::WorkOutOfBounds
			);
			ensure!(running.commit_count < entry.settings.max_updates, Error::<T>::TooManyUpdates);
			ensure!(!pallet_provenance::Pallet::<T>::is_recorded(&artifact), Error::<T>::AlreadyRecorded);

			let index = running.commit_count;
			Commits::<T>::insert(
				programme,
				index,
				Commit { producer, device, artifact, samples, local_steps },
			);
			CommitOf::<T>::insert(programme, device, index);
			running.commit_count = index.saturating_add(1);
			if running.deadline.is_none() {
				running.deadline = Some(Self::block_after(entry.settings.schedule.commit));
			}
			Running::<T>::insert(programme, running);
			Self::deposit_event(Event::UpdateCommitted { programme, round, index, device, artifact });
			let step = Self::progress(programme);
			Ok(Self::post_info(<T as Config>::WeightInfo::commit_update(), step))
		}

		/// Votes which of the round's updates the caller holds and found valid, as a bitmap over commits. The vote that
		/// decides the last update's fate moves the round on.
		///
		/// - **Origin**: signed by a member of the running attempt's committee.
		/// - **Event**: [`Event::AvailabilityVoted`].
		#[pallet::call_index(3)]
		#[pallet::weight(Pallet::<T>::member_weight())]
		pub fn vote_availability(
			origin: OriginFor<T>,
			programme: ProgrammeId,
			round: RoundIndex,
			attempt: u32,
			bitmap: BoundedVec<u8, T::MaxBitmap>,
		) -> DispatchResultWithPostInfo {
			let account = ensure_signed(origin)?;
			let (running, seat) = Self::seat(&account, programme, round, attempt, Phase::Availability)?;
			ensure!(bitmap::is_canonical(&bitmap, running.commit_count), Error::<T>::MalformedBitmap);
			Members::<T>::try_mutate(programme, seat, |member| -> DispatchResult {
				ensure!(member.bitmap.is_none(), Error::<T>::AlreadyVoted);
				member.bitmap = Some(bitmap);
				Ok(())
			})?;
			Self::deposit_event(Event::AvailabilityVoted { programme, round, member: account });
			let step = Self::progress(programme);
			Ok(Self::member_post_info(&running, step))
		}

		/// Commits to the next weights: [`cairn_primitives::round::aggregate_commitment`]. The last member's commitment
		/// moves the round on.
		///
		/// - **Origin**: signed by a member of the running attempt's committee.
		/// - **Event**: [`Event::AggregateCommitted`].
		#[pallet::call_index(4)]
		#[pallet::weight(Pallet::<T>::member_weight())]
		pub fn commit_aggregate(
			origin: OriginFor<T>,
			programme: ProgrammeId,
			round: RoundIndex,
			attempt: u32,
			commitment: H256,
		) -> DispatchResultWithPostInfo {
			let account = ensure_signed(origin)?;
			let (running, seat) = Self::seat(&account, programme, round, attempt, Phase::Aggregate)?;
			Members::<T>::try_mutate(programme, seat, |member| -> DispatchResult {
				ensure!(member.commitment.is_none(), Error::<T>::AlreadyCommitted);
				member.commitment = Some(commitment);
				Ok(())
			})?;
			Self::deposit_event(Event::AggregateCommitted { programme, round, member: account });
			let step = Self::progress(programme);
			Ok(Self::member_post_info(&running, step))
		}

		/// Opens the caller's commitment. The last one settles the round.
		///
		/// - **Origin**: signed by a member of the running attempt's committee.
		/// - **Event**: [`Event::AggregateRevealed`].
		#[pallet::call_index(5)]
		#[pallet::weight(Pallet::<T>::member_weight())]
		pub fn reveal_aggregate(
			origin: OriginFor<T>,
			programme: ProgrammeId,
			round: RoundIndex,
			attempt: u32,
			result: ArtifactHash,
			salt: [u8; 32],
		) -> DispatchResultWithPostInfo {
			let account = ensure_signed(origin)?;
			let (running, seat) = Self::seat(&account, programme, round, attempt, Phase::Reveal)?;
			Members::<T>::try_mutate(programme, seat, |member| -> DispatchResult {
				let commitment = member.commitment.ok_or(Error::<T>::NotCommitted)?;
				ensure!(member.revealed.is_none(), Error::<T>::AlreadyRevealed);
				let genesis = frame_system::Pallet::<T>::block_hash(BlockNumberFor::<T>::zero());
				let expected = aggregate_commitment(
					&genesis,
					programme,
					round,
					attempt,
					account.as_ref(),
					&result,
					&salt,
				);
				ensure!(commitment == expected, Error::<T>::CommitmentMismatch);
				member.revealed = Some(result);
				Ok(())
			})?;
			Self::deposit_event(Event::AggregateRevealed { programme, round, member: account, result });
			let step = Self::progress(programme);
			Ok(Self::member_post_info(&running, step))
		}

		/// Moves a programme on when something is due: a deadline passed, a quorum is complete, or the pot was filled.
		///
		/// - **Origin**: signed by anyone.
		/// - **Event**: what the step brings.
		#[pallet::call_index(6)]
		#[pallet::weight(
			<T as Config>::WeightInfo::advance()
				.saturating_add(Pallet::<T>::draw_weight())
				.saturating_add(Pallet::<T>::member_weight())
		)]
		pub fn advance(origin: OriginFor<T>, programme: ProgrammeId) -> DispatchResultWithPostInfo {
			ensure_signed(origin)?;
			let entry = Programmes::<T>::get(programme).ok_or(Error::<T>::UnknownProgramme)?;
			let step = match entry.state {
				ProgrammeState::Completed => return Err(Error::<T>::ProgrammeCompleted.into()),
				ProgrammeState::Closed => return Err(Error::<T>::ProgrammeClosed.into()),
				ProgrammeState::Paused => return Err(Error::<T>::ProgrammePaused.into()),
				ProgrammeState::Unfunded | ProgrammeState::Barred => Self::open_round(programme, entry),
				ProgrammeState::Open => Self::progress(programme),
			};
			match step {
				Step::NotDue => Err(Error::<T>::NotDue.into()),
				Step::NoCommittee => Err(Error::<T>::NotEnoughAggregators.into()),
				Step::NoFunds => Err(Error::<T>::PotTooSmall.into()),
				Step::Barred => Err(Error::<T>::ProgrammeBarred.into()),
				step => Ok(Self::post_info(<T as Config>::WeightInfo::advance(), step)),
			}
		}
	}
}

impl<T: Config> Pallet<T> {
	/// The block that is `blocks` after this one.
	fn block_after(blocks: u32) -> BlockNumberFor<T> {
		frame_system::Pallet::<T>::block_number().saturating_add(blocks.into())
	}

	/// Whether a window that ends with `deadline` is closed.
	fn is_past(deadline: Option<BlockNumberFor<T>>) -> bool {
		deadline.is_some_and(|last| frame_system::Pallet::<T>::block_number() > last)
	}

	/// The running round and the caller's seat on its committee, if the round takes from that seat what belongs to
	/// `phase` now.
	fn seat(
		account: &T::AccountId,
		programme: ProgrammeId,
		round: RoundIndex,
		attempt: u32,
		phase: Phase,
	) -> Result<(RunningOf<T>, u32), DispatchError> {
		let entry = Programmes::<T>::get(programme).ok_or(Error::<T>::UnknownProgramme)?;
		ensure!(entry.state != ProgrammeState::Paused, Error::<T>::ProgrammePaused);
		let running = Running::<T>::get(programme).ok_or(Error::<T>::NoRunningRound)?;
		ensure!(round == running.index, Error::<T>::WrongRound);
		ensure!(attempt == running.attempt, Error::<T>::WrongAttempt);
		ensure!(running.phase == phase && !Self::is_past(running.deadline), Error::<T>::WindowClosed);
		let seat = running
			.committee
			.iter()
			.position(|member| member == account)
			.ok_or(Error::<T>::NotOnCommittee)?;
		// A committee has at most `MaxCommittee: u32` seats.
		Ok((running, seat as u32))
	}

	fn draw_weight() -> Weight {
		<T as Config>::WeightInfo::draw(T::MaxAggregators::get(), T::MaxCommittee::get())
	}

	/// The most a member's call costs: settling a full round or fixing what is included in it, or drawing a new committee
	/// after one failed to agree.
	fn member_weight() -> Weight {
		<T as Config>::WeightInfo::member_call(T::MaxCommittee::get())
			.saturating_add(
				<T as Config>::WeightInfo::settle(T::MaxUpdates::get(), T::MaxCommittee::get())
					.max(<T as Config>::WeightInfo::include(T::MaxUpdates::get())),
			)
			.saturating_add(Self::draw_weight())
	}

	fn step_weight(step: Step) -> Weight {
		match step {
			Step::NotDue | Step::NoFunds | Step::Barred | Step::Moved => Weight::zero(),
			Step::Included { updates } => <T as Config>::WeightInfo::include(updates),
			Step::NoCommittee => Self::draw_weight(),
			Step::Drew { candidates, seats } => <T as Config>::WeightInfo::draw(candidates, seats),
			Step::Settled { updates, seats } => <T as Config>::WeightInfo::settle(updates, seats),
		}
	}

	fn post_info(base: Weight, step: Step) -> PostDispatchInfo {
		Some(base.saturating_add(Self::step_weight(step))).into()
	}

	fn member_post_info(running: &RunningOf<T>, step: Step) -> PostDispatchInfo {
		let seats = running.committee.len() as u32;
		Self::post_info(<T as Config>::WeightInfo::member_call(seats), step)
	}
}

/// Bonds that must stay: those of aggregators that can be drawn or were drawn.
impl<T: Config> Contains<T::AccountId> for Pallet<T> {
	fn contains(account: &T::AccountId) -> bool {
		Serving::<T>::get(account) > 0 || Aggregators::<T>::get().contains(account)
	}
}

/// Which programmes exist.
pub struct KnownProgrammes<T>(core::marker::PhantomData<T>);

impl<T: Config> Contains<ProgrammeId> for KnownProgrammes<T> {
	fn contains(programme: &ProgrammeId) -> bool {
		Programmes::<T>::contains_key(programme)
	}
}
