//! The life of a programme: what its settings may be, and how it opens.

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
	/// Updates a round needs: from what the rule needs to `max_updates`.
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
			Self::Trim => "rule.trimmedMean.trim",
			Self::ChallengeBond => "challengeBond",
			Self::Licence => "licence",
			Self::DataCategory => "dataCategory",
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
		let trim = match settings.rule {
			AggregationRule::TrimmedMean { trim } => trim,
			AggregationRule::WeightedMean => 0,
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
			(Setting::MinUpdates, settings.min_updates, settings.rule.min_updates(), settings.max_updates),
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
			round: 0,
			next: None,
			paused_at: None,
			settings,
		};
		Self::open_round(programme, entry);
		programme
	}

	/// Opens the round after the last settled one, or suspends the programme when its pot cannot pay for it.
	pub(crate) fn open_round(programme: ProgrammeId, mut entry: ProgrammeOf<T>) -> Step {
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
				agreed: None,
			},
		);
		Self::deposit_event(Event::RoundOpened { programme, round: entry.round, base: entry.weights });
		Programmes::<T>::insert(programme, entry);
		Step::Moved
	}
}
