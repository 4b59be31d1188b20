//! What the calls cost, and what moving a round on costs on top. Devices sign with keys of a keystore, so the
//! externalities need one.

use super::*;
use alloc::{format, vec, vec::Vec};
use cairn_primitives::{
	network_key_message,
	round::{aggregate_commitment, quality_digest},
	Aggregation, DeviceClass, EnergySource, Label, Schedule,
};
use frame_benchmarking::v2::*;
use frame_support::traits::fungible::{Inspect, Mutate};
use frame_system::RawOrigin;
use pallet_hardware::Evidence;
use sp_core::crypto::KeyTypeId;
use sp_runtime::traits::Bounded;

/// The keystore's drawer for these benchmarks.
const KEYS: KeyTypeId = KeyTypeId(*b"cbnt");
const SALT: [u8; 32] = [7; 32];

type Currency<T> = <T as pallet_rewards::Config>::Currency;

/// More than any deposit or bond, and far from overflowing the issuance.
fn plenty<T: Config>() -> BalanceOf<T> {
	let least = <T as pallet_rewards::Config>::MinAggregatorBond::get()
		.saturating_add(<Currency<T> as Inspect<T::AccountId>>::minimum_balance());
	least.saturating_mul(10_000)
}

fn rich<T: Config>(account: &T::AccountId) {
	Currency::<T>::mint_into(account, plenty::<T>()).expect("the issuance has room");
}

fn signed<T: Config>(account: &T::AccountId) -> OriginFor<T> {
	RawOrigin::Signed(account.clone()).into()
}

/// A worker with an active device, alone at its site.
fn worker<T: Config>(index: u32) -> T::AccountId {
	let worker: T::AccountId = account("worker", index, 0);
	equip::<T>(&worker);
	worker
}

fn equip<T: Config>(worker: &T::AccountId) {
	rich::<T>(worker);
	let site = pallet_hardware::SiteCount::<T>::get();
	let name = BoundedVec::truncate_from(vec![b's'; 64]);
	let region = BoundedVec::truncate_from(vec![b'r'; 16]);
	pallet_hardware::Pallet::<T>::register_site(signed::<T>(worker), name, region, EnergySource::Mixed)
		.expect("the worker can pay the deposit");
	let origin = signed::<T>(worker);
	pallet_hardware::Pallet::<T>::register_device(origin, site, worker.clone(), DeviceClass::Gpu, 1)
		.expect("the worker can pay the deposit");
	// From a seed: a keystore derives a key from words, its default, with thousands of hashes each time.
	let seed = format!("0x{site:064x}").into_bytes();
	let key = sp_io::crypto::ed25519_generate(KEYS, Some(seed));
	let message = network_key_message(&Pallet::<T>::genesis_hash(), worker.as_ref());
	let proof = sp_io::crypto::ed25519_sign(KEYS, &key, &message).expect("there is a keystore");
	pallet_hardware::Pallet::<T>::activate_device(signed::<T>(worker), key.0, proof.0)
		.expect("the proof is right");
	// Rules may ask for it.
	let device = pallet_hardware::Pallet::<T>::active_device(worker).expect("it is active");
	pallet_hardware::Devices::<T>::mutate(device, |device| {
		device.as_mut().expect("it is in the registry").evidence = Some(Evidence::Measured {
			speed: T::ReferenceSpeed::get(),
			nonce: H256::repeat_byte(1),
			at: BlockNumberFor::<T>::zero(),
			expires: BlockNumberFor::<T>::max_value(),
		});
	});
}

/// An enlisted aggregator with as many tickets as one can have.
fn aggregator<T: Config>(index: u32) -> T::AccountId {
	let aggregator: T::AccountId = account("aggregator", index, 0);
	equip::<T>(&aggregator);
	bond::<T>(&aggregator);
	Pallet::<T>::do_enlist(aggregator.clone()).expect("the pool has room");
	aggregator
}

fn bond<T: Config>(account: &T::AccountId) {
	let bond = <T as pallet_rewards::Config>::MinAggregatorBond::get()
		.saturating_mul(T::MaxBondWeight::get().into());
	Currency::<T>::mint_into(account, bond).expect("the issuance has room");
	pallet_rewards::Pallet::<T>::bond(signed::<T>(account), bond).expect("the account is rich");
}

/// Opens a programme, for the benchmarks of pallets that need one, and returns its number.
pub fn open_programme<T: Config>() -> ProgrammeId {
	programme::<T>(1, 0)
}

/// A programme with committees and audits of this size, whose first round runs.
fn programme<T: Config>(committee_size: u32, audit_size: u32) -> ProgrammeId {
	let challenge = u32::from(audit_size > 0);
	let reward: BalanceOf<T> =
		<T as pallet_rewards::Config>::MinContribution::get().saturating_add(1_000_000u32.into());
	let settings = Settings {
		name: BoundedVec::truncate_from(vec![b'n'; 64]),
		config: H256::repeat_byte(1),
		genesis_weights: H256::repeat_byte(2),
		// With an order of buckets to draw.
		aggregation: Aggregation { bucketing: Some(1), ..Default::default() },
		schedule: Schedule { commit: 10, availability: 10, aggregate: 10, reveal: 10, challenge },
		committee_size,
		audit_size,
		min_updates: 1,
		target_updates: T::MaxUpdates::get(),
		max_updates: T::MaxUpdates::get(),
		max_samples: u32::MAX,
		max_local_steps: u32::MAX,
		rounds: 10,
		reward_per_round: reward,
		committee_share: 10,
		licence: Label::truncate_from(vec![b'l'; 32]),
		data_category: Label::truncate_from(vec![b'd'; 32]),
		epsilon_per_round: None,
		challenge_bond: challenge.into(),
	};
	T::Policy::most_expensive(&settings);
	let programme = Pallet::<T>::open(settings).expect("the settings are within bounds");
	let sponsor: T::AccountId = account("sponsor", 0, 0);
	Currency::<T>::mint_into(&sponsor, reward.saturating_mul(100).saturating_add(plenty::<T>()))
		.expect("the issuance has room");
	pallet_rewards::Pallet::<T>::fund(signed::<T>(&sponsor), programme, reward.saturating_mul(50))
		.expect("the sponsor is rich");
	if !Running::<T>::contains_key(programme) {
		Pallet::<T>::advance(signed::<T>(&sponsor), programme).expect("the pot is filled");
	}
	programme
}

/// Commits of `u` workers.
fn commits<T: Config>(programme: ProgrammeId, u: u32) {
	for index in 0..u {
		let worker = worker::<T>(index);
		let artifact = H256(sp_io::hashing::blake2_256(&(programme, index).encode()));
		Running::<T>::mutate(programme, |running| {
			let running = running.as_mut().expect("it runs");
			let device = pallet_hardware::Pallet::<T>::active_device(&worker).expect("it is active");
			let site = pallet_hardware::Devices::<T>::get(device).map(|d| d.site).unwrap_or_default();
			CommitOrder::<T>::try_append(programme, device).expect("there is room");
			Commits::<T>::insert(
				programme,
				device,
				Commit { producer: worker.clone(), device, site, artifact, samples: 1, local_steps: 100 },
			);
			running.commit_count = index.saturating_add(1);
		});
	}
}

/// Brings the round to `phase`, all commits included, with these members.
fn seat<T: Config>(programme: ProgrammeId, phase: Phase, members: Vec<T::AccountId>) {
	Running::<T>::mutate(programme, |running| {
		let running = running.as_mut().expect("it runs");
		Pallet::<T>::take_seats(programme, running, members);
		running.phase = phase;
		running.deadline = Some(Pallet::<T>::block_after(100));
		let everything = bitmap::from_fn(running.commit_count, |_| true);
		running.included = match phase {
			Phase::Commit | Phase::Availability => BoundedVec::new(),
			_ => BoundedVec::truncate_from(everything),
		};
	});
}

fn members<T: Config>(first: u32, c: u32) -> Vec<T::AccountId> {
	(first..first.saturating_add(c)).map(|n| aggregator::<T>(n)).collect()
}

/// A bitmap over `u` commits that has all of them.
fn all<T: Config>(u: u32) -> BoundedVec<u8, T::MaxBitmap> {
	BoundedVec::truncate_from(bitmap::from_fn(u, |_| true))
}

fn quality<T: Config>(u: u32, first: u8) -> BoundedVec<u8, <T as Config>::MaxUpdates> {
	let mut quality = vec![50; u as usize];
	if let Some(byte) = quality.first_mut() {
		*byte = first;
	}
	BoundedVec::truncate_from(quality)
}

/// All members have committed, and all but those of the last `open` seats have revealed, everyone another quality.
fn act<T: Config>(programme: ProgrammeId, u: u32, open: u32) {
	let running = Running::<T>::get(programme).expect("it runs");
	let c = running.committee.len() as u32;
	for (seat, member) in (0..c).zip(&running.committee) {
		let quality = quality::<T>(u, (seat % 100) as u8);
		let (round, attempt, result) = (running.index, running.attempt, H256::repeat_byte(9));
		let genesis = Pallet::<T>::genesis_hash();
		let who = member.as_ref();
		let commitment =
			aggregate_commitment(&genesis, programme, round, attempt, who, &result, &quality, &SALT);
		let revealed = Revealed { result, quality: quality_digest(&quality) };
		let reveals = seat.saturating_add(open) < c;
		if reveals {
			Qualities::<T>::insert(programme, revealed.quality, quality);
		}
		Members::<T>::insert(
			programme,
			seat,
			MemberState {
				bitmap: Some(all::<T>(running.commit_count)),
				commitment: Some(commitment),
				revealed: reveals.then_some(revealed),
			},
		);
	}
}

#[benchmarks]
mod benchmarks {
	use super::*;

	#[benchmark]
	fn enlist() {
		members::<T>(0, T::MaxAggregators::get().saturating_sub(1));
		let caller: T::AccountId = whitelisted_caller();
		equip::<T>(&caller);
		bond::<T>(&caller);

		#[extrinsic_call]
		enlist_aggregator(RawOrigin::Signed(caller.clone()));

		assert_eq!(Aggregators::<T>::get().len() as u32, T::MaxAggregators::get());
	}

	#[benchmark]
	fn commit_update() {
		let programme = programme::<T>(1, 0);
		let caller: T::AccountId = whitelisted_caller();
		equip::<T>(&caller);
		// The commits of a block share these keys: the database gives and takes each once per block and programme, however
		// many commits there are, as it does with what the system pallet has for every block.
		for key in [
			Programmes::<T>::hashed_key_for(programme),
			Running::<T>::hashed_key_for(programme),
			CommitOrder::<T>::hashed_key_for(programme),
		] {
			frame_benchmarking::benchmarking::add_to_whitelist(key.into());
		}

		#[extrinsic_call]
		_(RawOrigin::Signed(caller), programme, 0, H256::repeat_byte(3), 1, 1);

		assert_eq!(Running::<T>::get(programme).map(|r| r.commit_count), Some(1));
	}

	#[benchmark]
	fn vote_availability(u: Linear<1, { T::MaxUpdates::get() }>, c: Linear<2, { T::MaxCommittee::get() }>) {
		let programme = programme::<T>(c, 0);
		commits::<T>(programme, u);
		let committee = members::<T>(0, c);
		let caller = committee[0].clone();
		seat::<T>(programme, Phase::Availability, committee);
		// Not enough to decide anything.
		for seat in 1..two_thirds(c).saturating_sub(1) {
			let bitmap = Some(all::<T>(u));
			Members::<T>::insert(programme, seat, MemberState { bitmap, ..Default::default() });
		}

		#[extrinsic_call]
		_(RawOrigin::Signed(caller), programme, 0, 0, all::<T>(u));

		assert!(Members::<T>::get(programme, 0).bitmap.is_some());
	}

	#[benchmark]
	fn commit_aggregate(c: Linear<1, { T::MaxCommittee::get() }>) {
		let programme = programme::<T>(c, 0);
		commits::<T>(programme, 1);
		let committee = members::<T>(0, c);
		let caller = committee[0].clone();
		seat::<T>(programme, Phase::Aggregate, committee);
		act::<T>(programme, 1, c);
		Members::<T>::mutate(programme, 0, |member| member.commitment = None);

		#[extrinsic_call]
		_(RawOrigin::Signed(caller), programme, 0, 0, H256::repeat_byte(4));

		assert_eq!(Running::<T>::get(programme).map(|r| r.phase), Some(Phase::Reveal));
	}

	#[benchmark]
	fn reveal_aggregate(u: Linear<1, { T::MaxUpdates::get() }>, c: Linear<2, { T::MaxCommittee::get() }>) {
		let programme = programme::<T>(c, 0);
		commits::<T>(programme, 1);
		let committee = members::<T>(0, c);
		let caller = committee[0].clone();
		seat::<T>(programme, Phase::Reveal, committee);
		Running::<T>::mutate(programme, |running| {
			let running = running.as_mut().expect("it runs");
			running.commit_count = u;
			running.included = all::<T>(u);
		});
		act::<T>(programme, u, c);

		#[extrinsic_call]
		_(RawOrigin::Signed(caller), programme, 0, 0, H256::repeat_byte(9), quality::<T>(u, 0), SALT);

		assert!(Members::<T>::get(programme, 0).revealed.is_some());
	}

	/// Moving on by one phase, in which nothing needs to be looked at.
	#[benchmark]
	fn advance() {
		let programme = programme::<T>(1, 0);
		commits::<T>(programme, 1);
		seat::<T>(programme, Phase::Aggregate, members::<T>(0, 1));
		act::<T>(programme, 1, 1);
		let caller: T::AccountId = whitelisted_caller();

		#[extrinsic_call]
		_(RawOrigin::Signed(caller), programme);

		assert_eq!(Running::<T>::get(programme).map(|r| r.phase), Some(Phase::Reveal));
	}

	/// With the largest panel, and the smallest audit that fits: drawing is measured by itself.
	#[benchmark]
	fn challenge() {
		let c = T::MaxCommittee::get().saturating_sub(1);
		let programme = programme::<T>(c, T::MaxCommittee::get());
		commits::<T>(programme, 1);
		seat::<T>(programme, Phase::Challenge, members::<T>(0, c));
		act::<T>(programme, 1, 0);
		aggregator::<T>(c);
		let caller: T::AccountId = whitelisted_caller();
		rich::<T>(&caller);
		let lottery = Pallet::<T>::lottery_known(H256::zero(), programme, BlockNumberFor::<T>::max_value());

		#[block]
		{
			Pallet::<T>::do_challenge(caller, programme, 0, H256::repeat_byte(5), |_| lottery)
				.expect("the window is open");
		}

		assert_eq!(Running::<T>::get(programme).map(|r| r.phase), Some(Phase::AuditAggregate));
	}

	#[benchmark]
	fn draw(a: Linear<1, { T::MaxAggregators::get() }>, c: Linear<0, { T::MaxCommittee::get() }>) {
		let programme = programme::<T>(T::MaxCommittee::get(), 0);
		members::<T>(0, a);
		let mut entry = Programmes::<T>::get(programme).expect("it is open");
		entry.settings.committee_size = c.min(a);
		let running = Running::<T>::get(programme).expect("it runs");

		#[block]
		{
			let (seed, _) = T::Randomness::random(b"a subject");
			let lottery = Pallet::<T>::lottery_known(seed, programme, BlockNumberFor::<T>::max_value());
			Pallet::<T>::seat_committee(programme, &entry, running, lottery);
		}

		assert_eq!(Running::<T>::get(programme).map(|r| r.committee.len() as u32), Some(c.min(a)));
	}

	#[benchmark]
	fn include(u: Linear<1, { T::MaxUpdates::get() }>, c: Linear<1, { T::MaxCommittee::get() }>) {
		let programme = programme::<T>(c, 0);
		commits::<T>(programme, u);
		seat::<T>(programme, Phase::Availability, members::<T>(0, c));
		for seat in 0..c {
			let bitmap = Some(all::<T>(u));
			Members::<T>::insert(programme, seat, MemberState { bitmap, ..Default::default() });
		}

		#[block]
		{
			Pallet::<T>::progress(programme);
		}

		assert_eq!(Running::<T>::get(programme).map(|r| r.phase), Some(Phase::Aggregate));
	}

	/// Everybody but a bare two thirds dissents, and is reported.
	#[benchmark]
	fn settle(u: Linear<1, { T::MaxUpdates::get() }>, c: Linear<1, { T::MaxCommittee::get() }>) {
		let programme = programme::<T>(c, 0);
		commits::<T>(programme, u);
		seat::<T>(programme, Phase::Reveal, members::<T>(0, c));
		act::<T>(programme, u, 0);
		let settled = Members::<T>::get(programme, 0).revealed;
		for seat in 0..two_thirds(c) {
			Members::<T>::mutate(programme, seat, |member| member.revealed = settled);
		}

		#[block]
		{
			Pallet::<T>::progress(programme);
		}

		assert_eq!(Programmes::<T>::get(programme).map(|p| (p.finalised, p.round)), Some((1, 1)));
	}

	impl_benchmark_test_suite!(Pallet, crate::mock::benchmark_chain(), crate::mock::Test);
}
