//! The life of a programme: what its settings may be, how it opens, is amended, paused, resumed and closed.
//!
//! There are no calls for these here: whoever decides about programmes calls the functions, and has asked for the
//! right origin before.

use super::*;
use alloc::{format, string::String};
use cairn_primitives::programme::is_label;
use frame_support::PalletError;

/// A setting of a programme, as errors name it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, PalletError)]
pub enum Setting {
	/// Aggregators per round: from 1 to `MaxCommittee`.
	CommitteeSize,
	/// Aggregators per audit: more than the committee has, at most `MaxCommittee`. Free without a challenge window.
	AuditSize,
	/// Updates a round takes: from 1 to `MaxUpdates`.
	MaxUpdates,
	/// Updates a round needs: from what the aggregation needs to `max_updates`.
	MinUpdates,
	/// Commits that close the window: from `min_updates` to `max_updates`.
	TargetUpdates,
	/// Samples per update: at least 1.
	MaxSamples,
	/// Local steps per update: at least 1.
	MaxLocalSteps,
	/// Rounds: at least 1, and more than are finalised already.
	Rounds,
	/// The committee's part of the reward: at most 100 per cent.
	CommitteeShare,
	/// The commit window: at least 1 block.
	CommitWindow,
	/// The availability window: at least 1 block.
	AvailabilityWindow,
	/// The aggregate window: at least 1 block.
	AggregateWindow,
	/// The reveal window: at least 1 block.
	RevealWindow,
	/// What the rule drops: less than `MaxUpdates`.
	Trim,
	/// The challenger's bond: above zero where there is a challenge window.
	ChallengeBond,
	/// The licence: ASCII without spaces.
	Licence,
	/// The category of data: ASCII without spaces.
	DataCategory,
	/// The name, which never changes.
	Name,
	/// The training configuration, which never changes.
	Config,
	/// The weights it started from, which never change.
	GenesisWeights,
	/// What a round costs in privacy, which never changes: participants agreed to it.
	EpsilonPerRound,
	/// A parameter of the aggregation: within what it can work with, whatever the number of updates.
	Aggregation,
}

impl Setting {
	/// As a genesis configuration names it.
	pub const fn name(self) -> &'static str {
		match self {
			Self::CommitteeSize => "committeeSize",
			Self::AuditSize => "auditSize",
			Self::MaxUpdates => "maxUpdates",
			Self::MinUpdates => "minUpdates",
			Self::TargetUpdates => "targetUpdates",
			Self::MaxSamples => "maxSamples",
			Self::MaxLocalSteps => "maxLocalSteps",
			Self::Rounds => "rounds",
			Self::CommitteeShare => "committeeShare",
			Self::CommitWindow => "schedule.commit",
			Self::AvailabilityWindow => "schedule.availability",
			Self::AggregateWindow => "schedule.aggregate",
			Self::RevealWindow => "schedule.reveal",
			Self::Trim => "aggregation.rule.trimmedMean.trim",
			Self::ChallengeBond => "challengeBond",
			Self::Licence => "licence",
			Self::DataCategory => "dataCategory",
			Self::Name => "name",
			Self::Config => "config",
			Self::GenesisWeights => "genesisWeights",
			Self::EpsilonPerRound => "epsilonPerRound",
			Self::Aggregation => "aggregation",
		}
	}
}

/// A setting that cannot be, and what it may be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OutOfBounds {
	/// The setting.
	pub setting: Setting,
	/// Says what it is and what it may be.
	pub problem: String,
}

impl<T: Config> From<OutOfBounds> for Error<T> {
	fn from(problem: OutOfBounds) -> Self {
		Self::SettingOutOfBounds(problem.setting)
	}
}

impl<T: Config> Pallet<T> {
	/// Whether a round can run with these settings at all, whatever the charter says.
	///
	/// # Errors
	/// Names the first setting that is out of bounds.
	pub fn check_settings(settings: &Settings<BalanceOf<T>>) -> Result<(), OutOfBounds> {
		let (schedule, max) = (settings.schedule, u32::MAX);
		let trim = match settings.aggregation.rule {
			AggregationRule::TrimmedMean { trim } => trim,
			_ => 0,
		};
		// Without a challenge window nobody is audited.
		let (audit_low, audit_high) = match schedule.challenge {
			0 => (0, max),
			_ => (settings.committee_size.saturating_add(1), T::MaxCommittee::get()),
		};
		let bounds = [
			(Setting::CommitteeSize, settings.committee_size, 1, T::MaxCommittee::get()),
			(Setting::AuditSize, settings.audit_size, audit_low, audit_high),
			(Setting::Trim, trim, 0, T::MaxUpdates::get().saturating_sub(1)),
			(Setting::MaxUpdates, settings.max_updates, 1, T::MaxUpdates::get()),
			(
				Setting::MinUpdates,
				settings.min_updates,
				settings.aggregation.min_updates(),
				settings.max_updates,
			),
			(Setting::TargetUpdates, settings.target_updates, settings.min_updates, settings.max_updates),
			(Setting::MaxSamples, settings.max_samples, 1, max),
			(Setting::MaxLocalSteps, settings.max_local_steps, 1, max),
			(Setting::Rounds, settings.rounds, 1, max),
			(Setting::CommitteeShare, settings.committee_share.into(), 0, 100),
			(Setting::CommitWindow, schedule.commit, 1, max),
			(Setting::AvailabilityWindow, schedule.availability, 1, max),
			(Setting::AggregateWindow, schedule.aggregate, 1, max),
			(Setting::RevealWindow, schedule.reveal, 1, max),
		];
		for (setting, value, low, high) in bounds {
			if !(low..=high).contains(&value) {
				let problem = format!("`{}` is {value}, but must be from {low} to {high}", setting.name());
				return Err(OutOfBounds { setting, problem });
			}
		}
		if let Err(parameter) = settings.aggregation.check() {
			let setting = Setting::Aggregation;
			return Err(OutOfBounds { setting, problem: format!("of `aggregation`, {parameter}") });
		}
		if schedule.challenge > 0 && settings.challenge_bond.is_zero() {
			let setting = Setting::ChallengeBond;
			let problem =
				String::from("`challengeBond` is 0, but must be above 0 where `schedule.challenge` is");
			return Err(OutOfBounds { setting, problem });
		}
		for (setting, label) in
			[(Setting::Licence, &settings.licence), (Setting::DataCategory, &settings.data_category)]
		{
			if !is_label(label) {
				let problem = format!("`{}` must be printable ASCII without spaces", setting.name());
				return Err(OutOfBounds { setting, problem });
			}
		}
		Ok(())
	}

	/// Opens a programme in the first block.
	///
	/// # Errors
	/// Says which setting is wrong and what it may be.
	pub(crate) fn open_at_genesis(genesis: &GenesisProgramme<BalanceOf<T>>) -> Result<(), String> {
		let settings = genesis.settings()?;
		Self::check_settings(&settings).map_err(|e| e.problem)?;
		T::Policy::may_open(&settings).map_err(|e| format!("the charter does not allow it: {e:?}"))?;
		let programme = ProgrammeCount::<T>::get();
		pallet_rewards::Pallet::<T>::endow_at_genesis(programme, genesis.pot)
			.map_err(|e| format!("`pot` cannot be endowed with {}: {e:?}", genesis.pot))?;
		Self::start(settings);
		Ok(())
	}

	/// Records a programme with settings that were checked, and opens its first round if the pot pays for it.
	fn start(settings: Settings<BalanceOf<T>>) -> ProgrammeId {
		let programme = ProgrammeCount::<T>::get();
		ProgrammeCount::<T>::put(programme.saturating_add(1));
		let weights_record = pallet_provenance::Pallet::<T>::record_start(
			programme,
			settings.config,
			settings.genesis_weights,
		);
		Self::deposit_event(Event::ProgrammeOpened { programme });
		let entry = Programme {
			state: ProgrammeState::Open,
			weights: settings.genesis_weights,
			weights_record,
			finalised: 0,
			released: 0,
			round: 0,
			next: None,
			paused_at: None,
			settings,
		};
		Self::open_round(programme, entry);
		programme
	}

	/// Opens a programme. Its first round opens as soon as its pot pays for one.
	///
	/// # Errors
	/// [`Error::SettingOutOfBounds`]; what the policy says.
	pub fn open(settings: Settings<BalanceOf<T>>) -> Result<ProgrammeId, DispatchError> {
		Self::check_settings(&settings).map_err(Error::<T>::from)?;
		T::Policy::may_open(&settings)?;
		Ok(Self::start(settings))
	}

	/// Changes what was decided about a programme, from its next round on. Amending to what holds already withdraws an
	/// amendment that waits.
	///
	/// # Errors
	/// [`Error::UnknownProgramme`], [`Error::ProgrammeCompleted`], [`Error::ProgrammeClosed`]; [`Error::SettingFixed`]
	/// for what participants relied on when they joined; [`Error::SettingOutOfBounds`]; what the policy says.
	pub fn amend(programme: ProgrammeId, settings: Settings<BalanceOf<T>>) -> DispatchResult {
		let mut entry = Self::unfinished(programme)?;
		let old = &entry.settings;
		for (setting, kept) in [
			(Setting::Name, old.name == settings.name),
			(Setting::Config, old.config == settings.config),
			(Setting::GenesisWeights, old.genesis_weights == settings.genesis_weights),
			(Setting::Licence, old.licence == settings.licence),
			(Setting::DataCategory, old.data_category == settings.data_category),
			(Setting::EpsilonPerRound, old.epsilon_per_round == settings.epsilon_per_round),
		] {
			ensure!(kept, Error::<T>::SettingFixed(setting));
		}
		Self::check_settings(&settings).map_err(Error::<T>::from)?;
		ensure!(settings.rounds > entry.finalised, Error::<T>::SettingOutOfBounds(Setting::Rounds));
		T::Policy::may_open(&settings)?;
		entry.next = (settings != entry.settings).then_some(settings);
		Self::deposit_event(Event::ProgrammeAmended { programme });
		match entry.state {
			// It may be what the programme waited for.
			ProgrammeState::Unfunded | ProgrammeState::Barred => {
				Self::open_round(programme, entry);
			},
			_ => Programmes::<T>::insert(programme, entry),
		}
		Ok(())
	}

	/// Stops a programme at once. Its running round stands still: it takes nothing and its windows stop.
	///
	/// # Errors
	/// [`Error::UnknownProgramme`], [`Error::ProgrammeCompleted`], [`Error::ProgrammeClosed`],
	/// [`Error::ProgrammePaused`].
	pub fn pause(programme: ProgrammeId) -> DispatchResult {
		let mut entry = Self::unfinished(programme)?;
		ensure!(entry.state != ProgrammeState::Paused, Error::<T>::ProgrammePaused);
		entry.state = ProgrammeState::Paused;
		entry.paused_at = Some(frame_system::Pallet::<T>::block_number());
		Programmes::<T>::insert(programme, entry);
		Self::deposit_event(Event::ProgrammePaused { programme });
		Ok(())
	}

	/// Lets a paused programme go on where it stopped: the window that was open has as many blocks left as then.
	///
	/// # Errors
	/// [`Error::UnknownProgramme`], [`Error::ProgrammeNotPaused`].
	pub fn resume(programme: ProgrammeId) -> DispatchResult {
		let mut entry = Programmes::<T>::get(programme).ok_or(Error::<T>::UnknownProgramme)?;
		ensure!(entry.state == ProgrammeState::Paused, Error::<T>::ProgrammeNotPaused);
		let now = frame_system::Pallet::<T>::block_number();
		let pause = now.saturating_sub(entry.paused_at.take().unwrap_or(now));
		entry.state = ProgrammeState::Open;
		Self::deposit_event(Event::ProgrammeResumed { programme });
		match Running::<T>::get(programme) {
			Some(mut running) => {
				running.deadline = running.deadline.map(|last| last.saturating_add(pause));
				Running::<T>::insert(programme, running);
				Programmes::<T>::insert(programme, entry);
			},
			None => {
				Self::open_round(programme, entry);
			},
		}
		Ok(())
	}

	/// Ends a programme. Its running round fails without fault to anybody and without pay; what was earned before stays
	/// claimable, and what is free in the pot becomes refundable.
	///
	/// # Errors
	/// [`Error::UnknownProgramme`], [`Error::ProgrammeCompleted`], [`Error::ProgrammeClosed`].
	pub fn close(programme: ProgrammeId) -> DispatchResult {
		let mut entry = Self::unfinished(programme)?;
		entry.state = ProgrammeState::Closed;
		entry.paused_at = None;
		entry.next = None;
		Self::deposit_event(Event::ProgrammeClosed { programme });
		match Running::<T>::get(programme) {
			Some(running) => {
				Self::abandon(programme, entry, running);
			},
			None => Programmes::<T>::insert(programme, entry),
		}
		pallet_rewards::Pallet::<T>::close_pot(programme);
		Ok(())
	}

	/// A programme that is neither completed nor closed.
	fn unfinished(programme: ProgrammeId) -> Result<ProgrammeOf<T>, Error<T>> {
		let entry = Programmes::<T>::get(programme).ok_or(Error::<T>::UnknownProgramme)?;
		match entry.state {
			ProgrammeState::Completed => Err(Error::<T>::ProgrammeCompleted),
			ProgrammeState::Closed => Err(Error::<T>::ProgrammeClosed),
			_ => Ok(entry),
		}
	}

	/// What is left after a round: what was amended binds from here on, and the next round opens if there is one.
	pub(crate) fn go_on(programme: ProgrammeId, mut entry: ProgrammeOf<T>) {
		if entry.state == ProgrammeState::Closed {
			return Programmes::<T>::insert(programme, entry);
		}
		if let Some(next) = entry.next.take() {
			entry.settings = next;
		}
		if entry.finalised >= entry.settings.rounds {
			entry.state = ProgrammeState::Completed;
			Programmes::<T>::insert(programme, entry);
			Self::deposit_event(Event::ProgrammeCompleted { programme });
			// No round will spend from it again.
			pallet_rewards::Pallet::<T>::close_pot(programme);
		} else {
			Self::open_round(programme, entry);
		}
	}

	/// Opens the round after the last settled one, with what was amended. The programme waits when the policy does not
	/// allow the round or the pot cannot pay for it.
	pub(crate) fn open_round(programme: ProgrammeId, mut entry: ProgrammeOf<T>) -> Step {
		if let Some(next) = entry.next.take() {
			entry.settings = next;
		}
		if let Err(breach) = T::Policy::may_start_round(&entry.settings, entry.released) {
			if entry.state != ProgrammeState::Barred {
				entry.state = ProgrammeState::Barred;
				Self::deposit_event(Event::ProgrammeBarred { programme, breach });
			}
			Programmes::<T>::insert(programme, entry);
			return Step::Barred;
		}
		if pallet_rewards::Pallet::<T>::pot_free(programme) < entry.settings.reward_per_round {
			if entry.state != ProgrammeState::Unfunded {
				entry.state = ProgrammeState::Unfunded;
				Self::deposit_event(Event::ProgrammeUnfunded { programme });
			}
			Programmes::<T>::insert(programme, entry);
			return Step::NoFunds;
		}
		// Only now: `round` names a round that runs or ran, never one that waits for funds.
		if Settled::<T>::contains_key(programme, entry.round) {
			entry.round = entry.round.saturating_add(1);
		}
		entry.state = ProgrammeState::Open;
		Running::<T>::insert(
			programme,
			RunningRound {
				index: entry.round,
				attempt: 0,
				phase: Phase::Commit,
				deadline: None,
				opened: frame_system::Pallet::<T>::block_number(),
				base: entry.weights,
				base_record: entry.weights_record,
				commit_count: 0,
				committee: BoundedVec::new(),
				included: BoundedVec::new(),
				bucketing_seed: None,
				agreed: None,
			},
		);
		Self::deposit_event(Event::RoundOpened { programme, round: entry.round, base: entry.weights });
		Programmes::<T>::insert(programme, entry);
		Step::Moved
	}
}
