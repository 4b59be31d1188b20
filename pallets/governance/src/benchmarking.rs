//! What the calls cost, measured.

use super::*;
use alloc::{boxed::Box, vec::Vec};
use cairn_primitives::{AggregationRule, Label, RuleKind, Schedule, H256};
use codec::Decode;
use frame_benchmarking::v2::*;
use pallet_session::NextKeys;
use sp_runtime::{traits::TrailingZeroInput, BoundedVec};

/// A charter as long as one can be.
fn full_charter() -> Charter {
	let labels = |first: u8| {
		BoundedVec::truncate_from(
			(0..32).map(|i| Label::truncate_from(alloc::vec![first.saturating_add(i); 32])).collect(),
		)
	};
	Charter {
		max_epsilon: Some(u32::MAX),
		licences: labels(b'A'),
		data_categories: labels(b'B'),
		rules: BoundedVec::truncate_from(alloc::vec![RuleKind::WeightedMean; 16]),
		..Charter::default()
	}
}

/// Settings that [`full_charter`] allows only by its last entries.
fn settings<T: Config>() -> Settings<BalanceOf<T>> {
	Settings {
		name: BoundedVec::truncate_from(alloc::vec![b'n'; 64]),
		config: H256::repeat_byte(1),
		genesis_weights: H256::repeat_byte(2),
		aggregation: AggregationRule::WeightedMean.into(),
		schedule: Schedule { challenge: 0, ..Schedule::LONGEST },
		committee_size: 1,
		audit_size: 0,
		min_updates: 1,
		target_updates: 1,
		max_updates: 1,
		max_samples: 1,
		max_local_steps: 1,
		rounds: 10,
		reward_per_round: 0,
		committee_share: 10,
		licence: Label::truncate_from(alloc::vec![b'A' + 31; 32]),
		data_category: Label::truncate_from(alloc::vec![b'B' + 31; 32]),
		epsilon_per_round: Some(1),
		challenge_bond: 0,
	}
}

/// A programme whose first round runs, under the longest charter.
fn running<T: Config>() -> ProgrammeId {
	CurrentCharter::<T>::put(full_charter());
	Training::<T>::open(settings::<T>()).expect("the charter allows it")
}

fn programme_origin<T: Config>() -> Result<T::RuntimeOrigin, BenchmarkError> {
	T::ProgrammeOrigin::try_successful_origin().map_err(|_| BenchmarkError::Weightless)
}

fn state<T: Config>(programme: ProgrammeId) -> Option<cairn_primitives::views::ProgrammeState> {
	pallet_training::Programmes::<T>::get(programme).map(|p| p.state)
}

#[benchmarks]
mod benchmarks {
	use super::*;
	use cairn_primitives::views::ProgrammeState;

	#[benchmark]
	fn set_charter() -> Result<(), BenchmarkError> {
		let origin = T::PolicyOrigin::try_successful_origin().map_err(|_| BenchmarkError::Weightless)?;

		#[extrinsic_call]
		_(origin as T::RuntimeOrigin, Box::new(full_charter()));

		assert_eq!(CurrentCharter::<T>::get(), full_charter());
		Ok(())
	}

	#[benchmark]
	fn open_programme() -> Result<(), BenchmarkError> {
		CurrentCharter::<T>::put(full_charter());
		let programme = pallet_training::ProgrammeCount::<T>::get();
		let origin = programme_origin::<T>()?;

		#[extrinsic_call]
		_(origin as T::RuntimeOrigin, Box::new(settings::<T>()));

		assert_eq!(state::<T>(programme), Some(ProgrammeState::Open));
		Ok(())
	}

	/// The dearest case: the amendment opens the round that the programme waited for.
	#[benchmark]
	fn amend_programme() -> Result<(), BenchmarkError> {
		CurrentCharter::<T>::put(full_charter());
		let dear = Settings { reward_per_round: 1_000_000u32.into(), ..settings::<T>() };
		let programme = Training::<T>::open(dear).map_err(|_| BenchmarkError::Stop("opens"))?;
		assert_eq!(state::<T>(programme), Some(ProgrammeState::Unfunded));
		let origin = programme_origin::<T>()?;

		#[extrinsic_call]
		_(origin as T::RuntimeOrigin, programme, Box::new(settings::<T>()));

		assert_eq!(state::<T>(programme), Some(ProgrammeState::Open));
		Ok(())
	}

	#[benchmark]
	fn pause_programme() -> Result<(), BenchmarkError> {
		let programme = running::<T>();
		// The last origin that is tried.
		let origin = programme_origin::<T>()?;

		#[extrinsic_call]
		_(origin as T::RuntimeOrigin, programme);

		assert_eq!(state::<T>(programme), Some(ProgrammeState::Paused));
		Ok(())
	}

	/// The dearest case: no round was running, so that one opens.
	#[benchmark]
	fn resume_programme() -> Result<(), BenchmarkError> {
		CurrentCharter::<T>::put(full_charter());
		let dear = Settings { reward_per_round: 1_000_000u32.into(), ..settings::<T>() };
		let programme = Training::<T>::open(dear).map_err(|_| BenchmarkError::Stop("opens"))?;
		Training::<T>::pause(programme).map_err(|_| BenchmarkError::Stop("pauses"))?;
		Training::<T>::amend(programme, settings::<T>()).map_err(|_| BenchmarkError::Stop("amends"))?;
		let origin = programme_origin::<T>()?;

		#[extrinsic_call]
		_(origin as T::RuntimeOrigin, programme);

		assert_eq!(state::<T>(programme), Some(ProgrammeState::Open));
		Ok(())
	}

	/// Without commits: settling a round that runs is charged as training's benchmarks say.
	#[benchmark]
	fn close_programme() -> Result<(), BenchmarkError> {
		let programme = running::<T>();
		let origin = programme_origin::<T>()?;

		#[extrinsic_call]
		_(origin as T::RuntimeOrigin, programme);

		assert_eq!(state::<T>(programme), Some(ProgrammeState::Closed));
		Ok(())
	}

	#[benchmark]
	fn set_validators(v: Linear<10, 100>) -> Result<(), BenchmarkError> {
		let origin = T::ValidatorOrigin::try_successful_origin().map_err(|_| BenchmarkError::Weightless)?;
		let keys = <T as pallet_session::Config>::Keys::decode(&mut TrailingZeroInput::zeroes())
			.map_err(|_| BenchmarkError::Stop("keys of zeros decode"))?;
		let validators: Vec<T::AccountId> = (0..v).rev().map(|n| account("validator", n, 0)).collect();
		for validator in &validators {
			NextKeys::<T>::insert(validator, keys.clone());
		}

		#[extrinsic_call]
		_(origin as T::RuntimeOrigin, BoundedVec::truncate_from(validators));

		assert_eq!(Validators::<T>::get().len() as u32, v);
		Ok(())
	}

	impl_benchmark_test_suite!(Pallet, crate::mock::new_test_ext(), crate::mock::Test);
}
