//! Benchmarks of the calls, and of what other pallets call. Each sets up the most expensive case.

use super::*;
use alloc::vec::Vec;
use frame_benchmarking::v2::*;
use frame_system::RawOrigin;
use sp_staking::offence::{OffenceDetails, OnOffenceHandler};

/// What the benchmarks need from other pallets.
pub trait BenchmarkHelper {
	/// Makes a programme whose pot is open, and returns its number.
	fn open_programme() -> ProgrammeId;
}

/// An amount that is enough for any deposit, and a small part of what accounts hold here.
fn unit<T: Config>() -> BalanceOf<T> {
	T::Currency::minimum_balance()
		.saturating_add(T::MinContribution::get())
		.saturating_add(T::MinAggregatorBond::get())
}

fn rich<T: Config>(account: &T::AccountId) {
	T::Currency::mint_into(account, unit::<T>().saturating_mul(100_000))
		.expect("the benchmark's supply fits");
}

fn caller<T: Config>() -> T::AccountId {
	let caller: T::AccountId = whitelisted_caller();
	rich::<T>(&caller);
	caller
}

/// The treasury exists, as it does on every chain that has run for a while.
fn treasury<T: Config>() {
	rich::<T>(&T::Treasury::get());
}

fn signed<T: Config>(account: &T::AccountId) -> OriginFor<T> {
	RawOrigin::Signed(account.clone()).into()
}

fn programme<T: Config>() -> ProgrammeId {
	T::BenchmarkHelper::open_programme()
}

/// A closed pot with two sponsors, one of them the caller, and with a reward that nobody has claimed.
fn closed_pot<T: Config>(caller: &T::AccountId) -> ProgrammeId {
	let programme = programme::<T>();
	let other: T::AccountId = account("sponsor", 0, 0);
	rich::<T>(&other);
	for sponsor in [caller, &other] {
		Pallet::<T>::fund(signed::<T>(sponsor), programme, unit::<T>().saturating_mul(10))
			.expect("the programme is open");
	}
	let share = Share { account: caller.clone(), site: 0, points: 1 };
	Pallet::<T>::accrue(programme, unit::<T>(), &[share], 100).expect("the pot holds twenty times that");
	Pallet::<T>::close_pot(programme);
	programme
}

/// All slots but `free` of the account's challenge bonds, or of its bond, are taken. Returns the last slash.
fn slashes<T: Config>(account: &T::AccountId, kind: FaultKind, free: u32) -> SlashId {
	Fractions::<T>::put(SlashFractions {
		dissented: Perbill::from_percent(1),
		overturned: Perbill::from_percent(1),
		failed_challenge: Perbill::from_percent(100),
		equivocation: Perbill::from_percent(1),
	});
	if kind != FaultKind::FailedChallenge {
		Pallet::<T>::bond(signed::<T>(account), unit::<T>().saturating_mul(100))
			.expect("the account is rich");
	}
	let mut last = 0;
	for _ in free..T::MaxPendingSlashes::get() {
		let slash = if kind == FaultKind::FailedChallenge {
			Pallet::<T>::hold_challenge_bond(account, unit::<T>()).expect("the account is rich");
			Pallet::<T>::forfeit_challenge_bond(account, unit::<T>(), H256::zero())
		} else {
			Pallet::<T>::report_fault(account, kind, H256::zero())
		};
		last = slash.expect("a slot is free and there is something to take");
	}
	last
}

#[benchmarks]
mod benchmarks {
	use super::*;

	#[benchmark]
	fn bond() {
		let caller = caller::<T>();
		slashes::<T>(&caller, FaultKind::Dissented, 1);
		let before = Pallet::<T>::bonded(&caller);
		#[extrinsic_call]
		_(RawOrigin::Signed(caller.clone()), unit::<T>());
		assert_eq!(Pallet::<T>::bonded(&caller), before + unit::<T>());
	}

	#[benchmark]
	fn unbond() {
		let caller = caller::<T>();
		Pallet::<T>::bond(signed::<T>(&caller), unit::<T>()).expect("the account is rich");
		slashes::<T>(&caller, FaultKind::Dissented, 1);
		let before = Pallet::<T>::bonded(&caller);
		#[extrinsic_call]
		_(RawOrigin::Signed(caller.clone()), unit::<T>());
		assert_eq!(Pallet::<T>::bonded(&caller), before - unit::<T>());
	}

	#[benchmark]
	fn fund() {
		let caller = caller::<T>();
		let programme = programme::<T>();
		#[extrinsic_call]
		_(RawOrigin::Signed(caller.clone()), programme, unit::<T>());
		assert_eq!(Contributions::<T>::get(programme, &caller), Some(unit::<T>()));
	}

	#[benchmark]
	fn claim() {
		let caller = caller::<T>();
		let programme = closed_pot::<T>(&caller);
		#[extrinsic_call]
		_(RawOrigin::Signed(caller.clone()), programme);
		assert_eq!(Accounts::<T>::get(programme, &caller).claimed, unit::<T>());
	}

	#[benchmark]
	fn claim_refund() {
		let caller = caller::<T>();
		let programme = closed_pot::<T>(&caller);
		#[extrinsic_call]
		_(RawOrigin::Signed(caller.clone()), programme);
		assert!(!Contributions::<T>::contains_key(programme, &caller));
	}

	#[benchmark]
	fn sweep_pot() {
		treasury::<T>();
		let caller = caller::<T>();
		let programme = closed_pot::<T>(&caller);
		rich::<T>(&Pallet::<T>::pot(programme));
		let before = Pots::<T>::get(programme).forfeited;
		#[extrinsic_call]
		_(RawOrigin::Signed(caller), programme);
		assert!(Pots::<T>::get(programme).forfeited > before);
	}

	#[benchmark]
	fn appeal() {
		let caller = caller::<T>();
		let slash = slashes::<T>(&caller, FaultKind::Dissented, 0);
		#[extrinsic_call]
		_(RawOrigin::Signed(caller), slash, H256::repeat_byte(1));
		assert_eq!(Slashes::<T>::get(slash).and_then(|s| s.appeal), Some(H256::repeat_byte(1)));
	}

	#[benchmark]
	fn veto_slash() -> Result<(), BenchmarkError> {
		let origin = T::VetoOrigin::try_successful_origin().map_err(|_| BenchmarkError::Weightless)?;
		// Of a challenge bond, because that is given back.
		let caller = caller::<T>();
		let slash = slashes::<T>(&caller, FaultKind::FailedChallenge, 0);
		#[extrinsic_call]
		_(origin as T::RuntimeOrigin, slash);
		assert!(!Slashes::<T>::contains_key(slash));
		Ok(())
	}

	#[benchmark]
	fn apply_slash() {
		treasury::<T>();
		let caller = caller::<T>();
		let slash = slashes::<T>(&caller, FaultKind::Dissented, 0);
		let due = frame_system::Pallet::<T>::block_number().saturating_add(T::SlashDeferral::get());
		frame_system::Pallet::<T>::set_block_number(due);
		#[extrinsic_call]
		_(RawOrigin::Signed(caller), slash);
		assert!(!Slashes::<T>::contains_key(slash));
	}

	#[benchmark]
	fn set_slash_fractions() -> Result<(), BenchmarkError> {
		let origin = T::SlashOrigin::try_successful_origin().map_err(|_| BenchmarkError::Weightless)?;
		let fractions = SlashFractions { dissented: Perbill::from_percent(3), ..Default::default() };
		#[extrinsic_call]
		_(origin as T::RuntimeOrigin, fractions);
		assert_eq!(Fractions::<T>::get(), fractions);
		Ok(())
	}

	#[benchmark]
	fn accrue(n: Linear<1, 1_100>) {
		let programme = programme::<T>();
		rich::<T>(&Pallet::<T>::pot(programme));
		// Every share of another account at another site, all of them above the cap, is the most work.
		let shares: Vec<_> = (0..n)
			.map(|i| Share { account: account("worker", i, 0), site: i, points: 1_000 + u128::from(i) })
			.collect();
		let amount = unit::<T>().saturating_mul(10_000);
		#[block]
		{
			Pallet::<T>::accrue(programme, amount, &shares, 1).expect("the pot is full");
		}
		assert!(Pots::<T>::get(programme).points >= 1_000);
	}

	#[benchmark]
	fn close_pot() {
		treasury::<T>();
		let caller = caller::<T>();
		let programme = programme::<T>();
		Pallet::<T>::fund(signed::<T>(&caller), programme, unit::<T>()).expect("the programme is open");
		rich::<T>(&Pallet::<T>::pot(programme));
		#[block]
		{
			Pallet::<T>::close_pot(programme);
		}
		let pot = Pots::<T>::get(programme);
		assert!(pot.closing.is_some() && pot.forfeited > 0);
	}

	#[benchmark]
	fn report_fault() {
		let validator = caller::<T>();
		slashes::<T>(&validator, FaultKind::Equivocation, 1);
		let details = [OffenceDetails { offender: (validator.clone(), ()), reporters: Vec::new() }];
		#[block]
		{
			Pallet::<T>::on_offence(&details, &[Perbill::one()], 7);
		}
		assert!(Pending::<T>::get(&validator, HoldReason::Bond).is_full());
	}

	#[benchmark]
	fn hold_challenge_bond() {
		let challenger = caller::<T>();
		slashes::<T>(&challenger, FaultKind::FailedChallenge, 1);
		#[block]
		{
			Pallet::<T>::hold_challenge_bond(&challenger, unit::<T>()).expect("one slot is left");
		}
		assert_eq!(Challenges::<T>::get(&challenger).count, 1);
	}

	#[benchmark]
	fn release_challenge_bond() {
		let challenger = caller::<T>();
		Pallet::<T>::hold_challenge_bond(&challenger, unit::<T>()).expect("the account is rich");
		#[block]
		{
			Pallet::<T>::release_challenge_bond(&challenger, unit::<T>());
		}
		assert!(!Challenges::<T>::contains_key(&challenger));
	}

	#[benchmark]
	fn forfeit_challenge_bond() {
		let challenger = caller::<T>();
		slashes::<T>(&challenger, FaultKind::FailedChallenge, 1);
		// A part is given back too.
		Fractions::<T>::mutate(|f| f.failed_challenge = Perbill::from_percent(50));
		Pallet::<T>::hold_challenge_bond(&challenger, unit::<T>()).expect("one slot is left");
		#[block]
		{
			Pallet::<T>::forfeit_challenge_bond(&challenger, unit::<T>(), H256::repeat_byte(2));
		}
		assert!(Pending::<T>::get(&challenger, HoldReason::ChallengeBond).is_full());
	}

	impl_benchmark_test_suite!(Pallet, crate::mock::chain(), crate::mock::Test);
}
