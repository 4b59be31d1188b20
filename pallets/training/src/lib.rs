#![doc = include_str!("../README.md")]
#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

#[cfg(feature = "runtime-benchmarks")]
pub mod benchmarking;
mod challenge;
mod members;
#[cfg(test)]
mod mock;
pub mod policy;
mod pool;
mod programmes;
mod rounds;
mod settle;
#[cfg(test)]
mod tests;
mod try_state;
pub mod types;
mod view;
pub mod weights;

use cairn_primitives::{
	bitmap, round::Revealed, two_thirds, views::*, AggregationRule, ArtifactHash, DeviceId, ProgrammeId,
	RoundIndex, Settings, H256,
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
use pool::Lottery;
pub use programmes::{OutOfBounds, Setting};
use rounds::Step;
use settle::{Blame, Judgement};
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
type AggregatorOf<T> = Aggregator<<T as frame_system::Config>::AccountId, BlockNumberFor<T>>;
type DisputeOf<T> =
	Dispute<<T as frame_system::Config>::AccountId, BalanceOf<T>, <T as Config>::MaxCommittee>;
type AuditOf<T> = Audit<<T as frame_system::Config>::AccountId, <T as Config>::MaxCommittee>;
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
		/// What committees are drawn with. Whoever closes a commit window must not be able to influence it. The block
		/// that it gives along is the first whose author could know the randomness: whoever enlists from then on is not
		/// drawn with it.
		type Randomness: Randomness<H256, BlockNumberFor<Self>>;
		/// What orders updates into buckets. Nobody who votes on which updates are included may know or influence it, but
		/// it may be of the block in which the last vote stands.
		type BlockRandomness: Randomness<H256, BlockNumberFor<Self>>;
		/// The rules that bind every programme.
		type Policy: Policy<BalanceOf<Self>>;
		/// The most updates a round takes.
		#[pallet::constant]
		type MaxUpdates: Get<u32>;
		/// Bytes of a bitmap over `MaxUpdates`.
		#[pallet::constant]
		type MaxBitmap: Get<u32>;
		/// The most members a committee has, an audit committee too.
		#[pallet::constant]
		type MaxCommittee: Get<u32>;
		/// How many times `MinAggregatorBond` a bond counts in the draw at most, so that no amount of funds buys a
		/// committee.
		#[pallet::constant]
		type MaxBondWeight: Get<u32>;
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

	/// The commits of the running round, by device. Twox64Concat: the chain makes the numbers. At most `MaxUpdates` per
	/// programme; removed when the round settles.
	#[pallet::storage]
	pub type Commits<T: Config> =
		StorageDoubleMap<_, Twox64Concat, ProgrammeId, Twox64Concat, DeviceId, CommitOfT<T>>;

	/// The devices that committed in the running round, in the canonical order of their commits. Twox64Concat: the chain
	/// makes the numbers. At most `MaxUpdates` per programme; removed when the round settles. A value that is only ever
	/// appended to, so that a commit writes one key of its own and not two.
	#[pallet::storage]
	pub type CommitOrder<T: Config> =
		StorageMap<_, Twox64Concat, ProgrammeId, BoundedVec<DeviceId, T::MaxUpdates>, ValueQuery>;

	/// What each member of the running attempt's committee has done, by seat. Twox64Concat: the chain makes the
	/// numbers. At most `MaxCommittee` per programme; removed when the attempt ends.
	#[pallet::storage]
	pub type Members<T: Config> =
		StorageDoubleMap<_, Twox64Concat, ProgrammeId, Twox64Concat, u32, MemberOf<T>, ValueQuery>;

	/// The pool that committees are drawn from.
	#[pallet::storage]
	pub type Aggregators<T: Config> =
		StorageValue<_, BoundedVec<AggregatorOf<T>, T::MaxAggregators>, ValueQuery>;

	/// The quality of the included updates, byte by byte, that members of the running attempt revealed. Identity: the key
	/// is a hash. At most one entry per seat of a programme's committee and audit committee; removed when the round
	/// settles.
	#[pallet::storage]
	pub type Qualities<T: Config> = StorageDoubleMap<
		_,
		Twox64Concat,
		ProgrammeId,
		Identity,
		H256,
		BoundedVec<u8, <T as Config>::MaxUpdates>,
	>;

	/// The dispute over the running round's result. Twox64Concat: the chain makes the numbers. At most one per running
	/// round, paid by a bond; removed when the round settles.
	#[pallet::storage]
	pub type Disputes<T: Config> = StorageMap<_, Twox64Concat, ProgrammeId, DisputeOf<T>>;

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
			/// Its tickets in the draw.
			tickets: u32,
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
			/// The aggregate, and the digest of the updates' quality.
			revealed: Revealed,
		},
		/// An agreed result was challenged; an audit committee computes it again.
		AggregateChallenged {
			/// The programme.
			programme: ProgrammeId,
			/// The round.
			round: RoundIndex,
			/// Who disputes it.
			challenger: T::AccountId,
			/// What it says the next weights are.
			claimed: ArtifactHash,
			/// What it put at stake, in plancks.
			bond: BalanceOf<T>,
		},
		/// An audit came to an end.
		ChallengeSettled {
			/// The programme.
			programme: ProgrammeId,
			/// The round.
			round: RoundIndex,
			/// Who had challenged.
			challenger: T::AccountId,
			/// What came of it.
			verdict: Verdict,
		},
		/// A member revealed another aggregate than was settled, or nothing.
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
			/// The digest of the updates' quality.
			quality: H256,
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
		/// The quality must have one byte for each included update, in canonical order, from 0 to 100.
		MalformedQuality,
		/// The result was challenged before: a round is audited once.
		AlreadyChallenged,
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
		/// The pool has as many aggregators as it takes: try again when one has left it.
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
			assert!(T::MaxBondWeight::get() > 0, "a bond counts at least once");
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
			Self::do_enlist(ensure_signed(origin)?)
		}

		/// Leaves the pool. A committee that the caller serves on stays as it is, and so does the bond until then.
		///
		/// - **Origin**: signed by an enlisted aggregator.
		/// - **Event**: [`Event::AggregatorDelisted`].
		#[pallet::call_index(1)]
		#[pallet::weight(<T as Config>::WeightInfo::enlist())]
		pub fn delist_aggregator(origin: OriginFor<T>) -> DispatchResult {
			Self::do_delist(ensure_signed(origin)?)
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
			let (device, site) = pallet_hardware::Pallet::<T>::active_device_at(&producer)
				.ok_or(Error::<T>::DeviceNotActive)?;
			ensure!(T::Policy::may_take_part(programme, device), Error::<T>::DeviceNotAllowed);
			ensure!(!Commits::<T>::contains_key(programme, device), Error::<T>::AlreadyCommitted);
			ensure!(
				(1..=entry.settings.max_samples).contains(&samples)
					&& (1..=entry.settings.max_local_steps).contains(&local_steps),
				Error::<T>::WorkOutOfBounds
			);
			ensure!(running.commit_count < entry.settings.max_updates, Error::<T>::TooManyUpdates);
			ensure!(!pallet_provenance::Pallet::<T>::is_recorded(&artifact), Error::<T>::AlreadyRecorded);

			let index = running.commit_count;
			CommitOrder::<T>::try_append(programme, device).map_err(|()| Error::<T>::TooManyUpdates)?;
			let commit = Commit { producer, device, site, artifact, samples, local_steps };
			Commits::<T>::insert(programme, device, commit);
			running.commit_count = index.saturating_add(1);
			if running.deadline.is_none() {
				running.deadline = Some(Self::block_after(entry.settings.schedule.commit));
			}
			let complete = running.commit_count >= entry.settings.target_updates;
			Running::<T>::insert(programme, running);
			Self::deposit_event(Event::UpdateCommitted { programme, round, index, device, artifact });
			// Nothing else can be due, and nearly all commits complete nothing: they need not read everything again.
			let step = if complete { Self::progress(programme) } else { Step::NotDue };
			Ok(Self::post_info(<T as Config>::WeightInfo::commit_update(), step))
		}

		/// Votes which of the round's updates the caller holds and found valid, as a bitmap over commits. The vote that
		/// decides the last update's fate moves the round on. A vote that comes after that, while the aggregate is
		/// computed, is taken and changes nothing.
		///
		/// - **Origin**: signed by a member of the running attempt's committee.
		/// - **Event**: [`Event::AvailabilityVoted`].
		#[pallet::call_index(3)]
		#[pallet::weight(Pallet::<T>::vote_weight())]
		pub fn vote_availability(
			origin: OriginFor<T>,
			programme: ProgrammeId,
			round: RoundIndex,
			attempt: u32,
			bitmap: BoundedVec<u8, T::MaxBitmap>,
		) -> DispatchResultWithPostInfo {
			Self::do_vote(ensure_signed(origin)?, programme, round, attempt, bitmap)
		}

		/// Commits to the next weights and the quality of the updates:
		/// [`cairn_primitives::round::aggregate_commitment`]. The last member's commitment moves the round on.
		///
		/// - **Origin**: signed by a member of the running attempt's committee, which during an audit is the auditors'.
		/// - **Event**: [`Event::AggregateCommitted`].
		#[pallet::call_index(4)]
		#[pallet::weight(<T as Config>::WeightInfo::commit_aggregate(T::MaxCommittee::get()))]
		pub fn commit_aggregate(
			origin: OriginFor<T>,
			programme: ProgrammeId,
			round: RoundIndex,
			attempt: u32,
			commitment: H256,
		) -> DispatchResultWithPostInfo {
			Self::do_commit_aggregate(ensure_signed(origin)?, programme, round, attempt, commitment)
		}

		/// Opens the caller's commitment. The last one ends the phase: the result is settled, can be challenged, or is
		/// missing and another committee tries.
		///
		/// - **Origin**: signed by a member of the running attempt's committee, which during an audit is the auditors'.
		/// - **Event**: [`Event::AggregateRevealed`].
		#[pallet::call_index(5)]
		#[pallet::weight(Pallet::<T>::reveal_weight())]
		pub fn reveal_aggregate(
			origin: OriginFor<T>,
			programme: ProgrammeId,
			round: RoundIndex,
			attempt: u32,
			result: ArtifactHash,
			quality: BoundedVec<u8, <T as Config>::MaxUpdates>,
			salt: [u8; 32],
		) -> DispatchResultWithPostInfo {
			Self::do_reveal(ensure_signed(origin)?, programme, round, attempt, result, quality, salt)
		}

		/// Moves a programme on when something is due: a deadline passed, a quorum is complete, or the pot was filled.
		///
		/// - **Origin**: signed by anyone.
		/// - **Event**: what the step brings.
		#[pallet::call_index(6)]
		#[pallet::weight(
			<T as Config>::WeightInfo::advance()
				.saturating_add(Pallet::<T>::include_weight())
				.saturating_add(Pallet::<T>::settle_weight())
				.saturating_add(Pallet::<T>::draw_weight())
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

		/// Disputes the result that the round's committee agreed on, before the challenge window closes. `claimed` is
		/// what the caller says the next weights are; the agreed hash itself says that the quality is wrong. A larger
		/// committee computes the result again, and its verdict decides: the same result costs the caller its bond,
		/// another one is finalised and costs those who agreed on the first. A round is audited once.
		///
		/// - **Origin**: signed by anyone who can put the programme's `challenge_bond` at stake.
		/// - **Event**: [`Event::AggregateChallenged`].
		#[pallet::call_index(7)]
		#[pallet::weight(<T as Config>::WeightInfo::challenge().saturating_add(Pallet::<T>::draw_weight()))]
		pub fn challenge(
			origin: OriginFor<T>,
			programme: ProgrammeId,
			round: RoundIndex,
			claimed: ArtifactHash,
		) -> DispatchResultWithPostInfo {
			Self::do_challenge(ensure_signed(origin)?, programme, round, claimed, |attempt| {
				Self::lottery(b"cairn/audit", programme, round, attempt)
			})
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

	/// The hash of the first block, which says what chain this is.
	fn genesis_hash() -> H256 {
		frame_system::Pallet::<T>::block_hash(BlockNumberFor::<T>::zero())
	}

	fn draw_weight() -> Weight {
		<T as Config>::WeightInfo::draw(T::MaxAggregators::get(), T::MaxCommittee::get())
	}

	fn include_weight() -> Weight {
		<T as Config>::WeightInfo::include(T::MaxUpdates::get(), T::MaxCommittee::get())
	}

	/// Settling a full round that was audited.
	fn settle_weight() -> Weight {
		<T as Config>::WeightInfo::settle(T::MaxUpdates::get(), T::MaxCommittee::get().saturating_mul(2))
	}

	/// The most a vote costs: it may settle inclusion, fail the round, or have a new committee drawn.
	fn vote_weight() -> Weight {
		<T as Config>::WeightInfo::vote_availability(T::MaxUpdates::get(), T::MaxCommittee::get())
			.saturating_add(Self::include_weight())
			.saturating_add(Self::settle_weight())
			.saturating_add(Self::draw_weight())
	}

	/// The most a reveal costs: it may settle the round, or have a new committee drawn.
	fn reveal_weight() -> Weight {
		<T as Config>::WeightInfo::reveal_aggregate(T::MaxUpdates::get(), T::MaxCommittee::get())
			.saturating_add(Self::settle_weight())
			.saturating_add(Self::draw_weight())
	}

	fn step_weight(step: Step) -> Weight {
		match step {
			Step::NotDue | Step::NoFunds | Step::Barred | Step::Moved => Weight::zero(),
			Step::NoCommittee => Self::draw_weight(),
			Step::Drew { candidates, seats } => <T as Config>::WeightInfo::draw(candidates, seats),
			Step::Included { updates, seats } => <T as Config>::WeightInfo::include(updates, seats),
			Step::Settled { candidates, updates, seats } => {
				let looked = match candidates {
					0 => Weight::zero(),
					_ => <T as Config>::WeightInfo::draw(candidates, 0),
				};
				<T as Config>::WeightInfo::settle(updates, seats).saturating_add(looked)
			},
		}
	}

	fn post_info(base: Weight, step: Step) -> PostDispatchInfo {
		Some(base.saturating_add(Self::step_weight(step))).into()
	}
}

/// Bonds that must stay: those of aggregators that can be drawn or were drawn.
impl<T: Config> Contains<T::AccountId> for Pallet<T> {
	fn contains(account: &T::AccountId) -> bool {
		Serving::<T>::get(account) > 0 || Aggregators::<T>::get().iter().any(|a| a.account == *account)
	}
}

/// Which programmes exist.
pub struct KnownProgrammes<T>(core::marker::PhantomData<T>);

impl<T: Config> Contains<ProgrammeId> for KnownProgrammes<T> {
	fn contains(programme: &ProgrammeId) -> bool {
		Programmes::<T>::contains_key(programme)
	}
}
