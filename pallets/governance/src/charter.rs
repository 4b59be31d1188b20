//! The charter, and where it binds.

use super::*;
use alloc::{
	format,
	string::{String, ToString},
};
use cairn_primitives::{programme::is_label, DeviceClass, Label, RuleKind, Schedule};
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use frame_support::traits::ConstU32;
use pallet_training::Policy;
use scale_info::TypeInfo;

/// The policies that bind every programme. The default binds nothing.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Charter {
	/// What a programme may cost a participant in differential privacy, over all its rounds by basic composition, in
	/// thousandths of epsilon. A programme that states no cost then may not open. `None`: nothing is asked.
	pub max_epsilon: Option<u32>,
	/// The licences a model may be published under. Empty: any, or none.
	pub licences: BoundedVec<Label, ConstU32<32>>,
	/// The kinds of data that may be trained on. Empty: any.
	pub data_categories: BoundedVec<Label, ConstU32<32>>,
	/// The most of a round's reward for trainers that one site may get, in per cent.
	pub site_cap: u8,
	/// The classes of devices that take part only with valid measured evidence.
	pub evidence: BoundedVec<DeviceClass, ConstU32<8>>,
	/// The aggregation rules that may be used. Empty: any.
	pub rules: BoundedVec<RuleKind, ConstU32<16>>,
	/// The least aggregators per round.
	pub min_committee: u32,
	/// The shortest windows of a round, in blocks.
	pub min_schedule: Schedule,
	/// The longest windows of a round, in blocks.
	pub max_schedule: Schedule,
}

impl Default for Charter {
	fn default() -> Self {
		Self {
			max_epsilon: None,
			licences: BoundedVec::new(),
			data_categories: BoundedVec::new(),
			site_cap: 100,
			evidence: BoundedVec::new(),
			rules: BoundedVec::new(),
			min_committee: 1,
			min_schedule: Schedule::SHORTEST,
			max_schedule: Schedule::LONGEST,
		}
	}
}

impl Charter {
	/// Whether a programme with these settings keeps the charter while the updates of at most `rounds` of its rounds
	/// leave their devices.
	///
	/// # Errors
	/// Names the first policy that it breaks.
	pub fn check<Balance>(&self, settings: &Settings<Balance>, rounds: u64) -> Result<(), PolicyBreach> {
		if let Some(max) = self.max_epsilon {
			// Without a stated cost there is no bound on it.
			let per_round = settings.epsilon_per_round.ok_or(PolicyBreach::Privacy)?;
			ensure!(u64::from(per_round).saturating_mul(rounds) <= u64::from(max), PolicyBreach::Privacy);
		}
		ensure!(self.licences.is_empty() || self.licences.contains(&settings.licence), PolicyBreach::Licence);
		ensure!(
			self.data_categories.is_empty() || self.data_categories.contains(&settings.data_category),
			PolicyBreach::DataCategory
		);
		ensure!(
			self.rules.is_empty() || self.rules.contains(&settings.aggregation.rule.kind()),
			PolicyBreach::Rule
		);
		ensure!(settings.committee_size >= self.min_committee, PolicyBreach::CommitteeSize);
		ensure!(
			self.min_schedule.fits_into(&settings.schedule)
				&& settings.schedule.fits_into(&self.max_schedule),
			PolicyBreach::Window
		);
		Ok(())
	}
}

impl<T: Config> Pallet<T> {
	/// Whether a charter says something that programmes can keep.
	///
	/// # Errors
	/// [`Error::SiteCapOutOfBounds`], [`Error::MalformedLabel`], [`Error::WindowsOutOfOrder`],
	/// [`Error::CommitteeOutOfBounds`].
	pub fn check_charter(charter: &Charter) -> Result<(), Error<T>> {
		// At zero nobody would ever be paid; that is what closing a programme is for.
		ensure!((1..=100).contains(&charter.site_cap), Error::SiteCapOutOfBounds);
		let mut labels = charter.licences.iter().chain(&charter.data_categories);
		ensure!(labels.all(|label| !label.is_empty() && is_label(label)), Error::MalformedLabel);
		ensure!(
			Schedule::SHORTEST.fits_into(&charter.min_schedule)
				&& charter.min_schedule.fits_into(&charter.max_schedule),
			Error::WindowsOutOfOrder
		);
		ensure!(
			charter.min_committee <= <T as pallet_training::Config>::MaxCommittee::get(),
			Error::CommitteeOutOfBounds
		);
		Ok(())
	}
}

impl<T: Config> Policy<BalanceOf<T>> for Pallet<T> {
	fn may_open(settings: &Settings<BalanceOf<T>>) -> DispatchResult {
		CurrentCharter::<T>::get().check(settings, settings.rounds.into()).map_err(Error::<T>::from)?;
		Ok(())
	}

	fn may_start_round(settings: &Settings<BalanceOf<T>>, released: u32) -> Result<(), PolicyBreach> {
		CurrentCharter::<T>::get().check(settings, u64::from(released).saturating_add(1))
	}

	fn may_take_part(_: ProgrammeId, device: DeviceId) -> bool {
		let needed = CurrentCharter::<T>::get().evidence;
		// Most charters ask for nothing; then the device need not be read.
		needed.is_empty()
			|| pallet_hardware::Pallet::<T>::class_of(device)
				.is_some_and(|class| !needed.contains(&class) || T::Evidence::contains(&device))
	}

	fn site_cap() -> u8 {
		CurrentCharter::<T>::get().site_cap
	}

	#[cfg(feature = "runtime-benchmarks")]
	fn most_expensive(settings: &Settings<BalanceOf<T>>) {
		// As long as a charter can be, what is looked for being the last of each list.
		let labels = |last: &Label| {
			let others = (b'A'..).take(31).map(|letter| Label::truncate_from(alloc::vec![letter; 32]));
			BoundedVec::truncate_from(others.chain([last.clone()]).collect())
		};
		CurrentCharter::<T>::put(Charter {
			licences: labels(&settings.licence),
			data_categories: labels(&settings.data_category),
			evidence: BoundedVec::truncate_from(alloc::vec![DeviceClass::Gpu; 8]),
			..Charter::default()
		});
	}
}

fn bounded<A, B, const N: u32>(
	field: &str,
	items: &[A],
	f: impl Fn(&A) -> Result<B, String>,
) -> Result<BoundedVec<B, ConstU32<N>>, String> {
	let items = items.iter().map(f).collect::<Result<Vec<_>, _>>()?;
	BoundedVec::try_from(items)
		.map_err(|items| format!("`{field}` has {} entries, more than {N}", items.len()))
}

fn label(text: &str) -> Result<Label, String> {
	Label::try_from(text.as_bytes().to_vec()).map_err(|_| format!("`{text}` is longer than 32 bytes"))
}

impl TryFrom<&CharterInfo> for Charter {
	type Error = String;

	/// # Errors
	/// Names what is too long.
	fn try_from(info: &CharterInfo) -> Result<Self, String> {
		Ok(Self {
			max_epsilon: info.max_epsilon,
			licences: bounded("licences", &info.licences, |text| label(text))?,
			data_categories: bounded("dataCategories", &info.data_categories, |text| label(text))?,
			site_cap: info.site_cap,
			evidence: bounded("evidence", &info.evidence, |class| Ok(*class))?,
			rules: bounded("rules", &info.rules, |rule| Ok(*rule))?,
			min_committee: info.min_committee,
			min_schedule: info.min_schedule,
			max_schedule: info.max_schedule,
		})
	}
}

impl From<&Charter> for CharterInfo {
	fn from(charter: &Charter) -> Self {
		// Labels are ASCII, so nothing is lost.
		let text = |label: &Label| String::from_utf8_lossy(label).to_string();
		Self {
			max_epsilon: charter.max_epsilon,
			licences: charter.licences.iter().map(text).collect(),
			data_categories: charter.data_categories.iter().map(text).collect(),
			site_cap: charter.site_cap,
			evidence: charter.evidence.to_vec(),
			rules: charter.rules.to_vec(),
			min_committee: charter.min_committee,
			min_schedule: charter.min_schedule,
			max_schedule: charter.max_schedule,
		}
	}
}
