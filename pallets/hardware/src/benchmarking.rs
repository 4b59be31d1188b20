//! What the calls cost, each on its most expensive way through. Keys are made and used in a keystore, so the
//! externalities need one.

use super::*;
use cairn_primitives::{hardware::account_rotation_message, network_key_message};
use frame_benchmarking::v2::*;
use frame_support::traits::fungible::Mutate;
use frame_system::RawOrigin;
use sp_core::crypto::KeyTypeId;
use sp_runtime::traits::Bounded;

/// The keystore's drawer for these benchmarks.
const KEYS: KeyTypeId = KeyTypeId(*b"cbnc");

fn rich<T: Config>(account: T::AccountId) -> T::AccountId
where
	T::Currency: Mutate<T::AccountId>,
{
	// Far above any deposit, and far from overflowing the issuance.
	let amount = BalanceOf::<T>::max_value() / 1_000_000_000u32.into();
	let _ = T::Currency::mint_into(&account, amount);
	account
}

fn person<T: Config>(index: u32) -> T::AccountId
where
	T::Currency: Mutate<T::AccountId>,
{
	rich::<T>(account("person", index, 0))
}

fn words<B: TryFrom<alloc::vec::Vec<u8>>>(length: usize) -> Result<B, BenchmarkError> {
	alloc::vec![b'x'; length].try_into().map_err(|_| BenchmarkError::Stop("too long"))
}

fn registry<T: Config>() -> Result<T::RuntimeOrigin, BenchmarkError> {
	T::RegistryOrigin::try_successful_origin().map_err(|_| BenchmarkError::Weightless)
}

/// A site of `owner`, its texts as long as they can be.
fn site<T: Config>(owner: &T::AccountId) -> Result<SiteId, BenchmarkError> {
	let site = SiteCount::<T>::get();
	Pallet::<T>::register_site(
		RawOrigin::Signed(owner.clone()).into(),
		words(64)?,
		words(16)?,
		EnergySource::Mixed,
	)?;
	Ok(site)
}

/// A device of `account` at `site`, its texts as long as they can be.
fn device<T: Config>(
	owner: &T::AccountId,
	site: SiteId,
	account: &T::AccountId,
) -> Result<DeviceId, BenchmarkError> {
	let device = DeviceCount::<T>::get();
	let origin = || RawOrigin::Signed(owner.clone()).into();
	Pallet::<T>::register_device(origin(), site, account.clone(), DeviceClass::Gpu, 1)?;
	let image = Some(H256([7; 32]));
	Pallet::<T>::describe_device(origin(), device, words(32)?, words(64)?, 1, image)?;
	Ok(device)
}

/// A libp2p key and its proof for `account`.
fn network_key<T: Config>(account: &T::AccountId) -> Result<(NetworkKey, [u8; 64]), BenchmarkError> {
	let key = sp_io::crypto::ed25519_generate(KEYS, None);
	let message = network_key_message(&Pallet::<T>::genesis_hash(), account.as_ref());
	let proof = sp_io::crypto::ed25519_sign(KEYS, &key, &message)
		.ok_or(BenchmarkError::Stop("the externalities have no keystore"))?;
	Ok((key.0, proof.0))
}

fn activate<T: Config>(account: &T::AccountId) -> Result<(), BenchmarkError> {
	let (key, proof) = network_key::<T>(account)?;
	Ok(Pallet::<T>::activate_device(RawOrigin::Signed(account.clone()).into(), key, proof)?)
}

fn some_speed() -> Speed {
	Speed { flops: 1_000_000, bandwidth: 1_000_000 }
}

fn evidence<T: Config>() -> Evidence<BlockNumberFor<T>> {
	Evidence::Measured {
		speed: some_speed(),
		nonce: H256([3; 32]),
		at: Zero::zero(),
		expires: BlockNumberFor::<T>::max_value(),
	}
}

/// Gives the device evidence, and a re-check that is over when `overdue`.
fn with_evidence<T: Config>(id: DeviceId, overdue: bool) {
	Devices::<T>::mutate(id, |entry| {
		if let Some(entry) = entry {
			entry.evidence = Some(evidence::<T>());
			entry.recheck = overdue.then(|| Recheck { due: Zero::zero(), answered: false });
			entry.settle_state();
		}
	});
	frame_system::Pallet::<T>::set_block_number(1u32.into());
}

fn attesters<T: Config>(n: u32) -> BoundedVec<T::AccountId, T::MaxAttesters> {
	BoundedVec::truncate_from((0..n).map(|i| account("attester", i, 1)).collect())
}

/// The most attesters there can be, all of whom must agree.
fn all_attesters<T: Config>() -> Result<(), BenchmarkError> {
	let members = attesters::<T>(T::MaxAttesters::get());
	let threshold = members.len() as u32;
	Ok(Pallet::<T>::do_set_attesters(members, threshold)?)
}

/// Asks for attestation, and goes on to the next block.
fn requested<T: Config>(account: &T::AccountId) -> Result<(), BenchmarkError> {
	Pallet::<T>::request_attestation(RawOrigin::Signed(account.clone()).into())?;
	let now = Pallet::<T>::now();
	frame_system::BlockHash::<T>::insert(now, H256([1; 32]));
	frame_system::Pallet::<T>::set_block_number(now.saturating_add(1u32.into()));
	Ok(())
}

fn measurement() -> Measurement {
	Measurement {
		products: u32::MAX,
		product_ms: u32::MAX,
		sweeps: u32::MAX,
		sweep_ms: u32::MAX,
		digest: H256([2; 32]),
	}
}

#[benchmarks(where T::Currency: Mutate<T::AccountId>)]
mod benchmarks {
	use super::*;

	#[benchmark]
	fn register_site() -> Result<(), BenchmarkError> {
		let owner = person::<T>(0);
		let (name, region): (SiteName, Region) = (words(64)?, words(16)?);
		#[extrinsic_call]
		_(RawOrigin::Signed(owner), name, region, EnergySource::Mixed);
		assert_eq!(SiteCount::<T>::get(), 1);
		Ok(())
	}

	#[benchmark]
	fn register_device() -> Result<(), BenchmarkError> {
		let (owner, machine) = (person::<T>(0), person::<T>(1));
		let site = site::<T>(&owner)?;
		#[extrinsic_call]
		_(RawOrigin::Signed(owner), site, machine.clone(), DeviceClass::Gpu, 1);
		assert_eq!(DeviceOf::<T>::get(machine), Some(0));
		Ok(())
	}

	/// Replaces a key.
	#[benchmark]
	fn activate_device() -> Result<(), BenchmarkError> {
		let (owner, machine) = (person::<T>(0), person::<T>(1));
		let site = site::<T>(&owner)?;
		device::<T>(&owner, site, &machine)?;
		activate::<T>(&machine)?;
		let (key, proof) = network_key::<T>(&machine)?;
		#[extrinsic_call]
		_(RawOrigin::Signed(machine), key, proof);
		assert_eq!(DeviceOfNetworkKey::<T>::get(key), Some(0));
		Ok(())
	}

	#[benchmark]
	fn retire_device() -> Result<(), BenchmarkError> {
		let (owner, machine) = (person::<T>(0), person::<T>(1));
		let site = site::<T>(&owner)?;
		let device = device::<T>(&owner, site, &machine)?;
		activate::<T>(&machine)?;
		Pallet::<T>::offer_device(RawOrigin::Signed(owner.clone()).into(), device, Some(site))?;
		all_attesters::<T>()?;
		requested::<T>(&machine)?;
		#[extrinsic_call]
		_(RawOrigin::Signed(owner), device);
		assert!(DeviceOf::<T>::get(machine).is_none());
		Ok(())
	}

	#[benchmark]
	fn update_site() -> Result<(), BenchmarkError> {
		let owner = person::<T>(0);
		let site = site::<T>(&owner)?;
		let (name, region): (SiteName, Region) = (words(63)?, words(16)?);
		#[extrinsic_call]
		_(RawOrigin::Signed(owner), site, name.clone(), region, EnergySource::Grid);
		assert_eq!(Sites::<T>::get(site).map(|s| s.name), Some(name));
		Ok(())
	}

	#[benchmark]
	fn offer_site() -> Result<(), BenchmarkError> {
		let (owner, other) = (person::<T>(0), person::<T>(1));
		let site = site::<T>(&owner)?;
		#[extrinsic_call]
		_(RawOrigin::Signed(owner), site, Some(other.clone()));
		assert_eq!(SiteOffers::<T>::get(site), Some(other));
		Ok(())
	}

	#[benchmark]
	fn accept_site() -> Result<(), BenchmarkError> {
		let (owner, other) = (person::<T>(0), person::<T>(1));
		let site = site::<T>(&owner)?;
		Pallet::<T>::offer_site(RawOrigin::Signed(owner).into(), site, Some(other.clone()))?;
		#[extrinsic_call]
		_(RawOrigin::Signed(other.clone()), site);
		assert_eq!(Sites::<T>::get(site).map(|s| s.owner), Some(other));
		Ok(())
	}

	/// Voids evidence and settles a re-check.
	#[benchmark]
	fn describe_device() -> Result<(), BenchmarkError> {
		let (owner, machine) = (person::<T>(0), person::<T>(1));
		let site = site::<T>(&owner)?;
		let device = device::<T>(&owner, site, &machine)?;
		with_evidence::<T>(device, true);
		let (vendor, model): (Vendor, Model) = (words(31)?, words(63)?);
		#[extrinsic_call]
		_(RawOrigin::Signed(owner), device, vendor.clone(), model, 2, Some(H256([8; 32])));
		assert_eq!(Devices::<T>::get(device).map(|d| d.vendor), Some(vendor));
		Ok(())
	}

	/// By the owner: voids evidence.
	#[benchmark]
	fn rotate_account() -> Result<(), BenchmarkError> {
		let (owner, machine) = (person::<T>(0), person::<T>(1));
		let site = site::<T>(&owner)?;
		let device = device::<T>(&owner, site, &machine)?;
		activate::<T>(&machine)?;
		with_evidence::<T>(device, true);
		let key = sp_io::crypto::sr25519_generate(KEYS, None);
		let message =
			account_rotation_message(&Pallet::<T>::genesis_hash(), device, machine.as_ref(), &key.0);
		let proof = sp_io::crypto::sr25519_sign(KEYS, &key, &message)
			.ok_or(BenchmarkError::Stop("the externalities have no keystore"))?;
		let new = T::AccountId::from(key.0);
		#[extrinsic_call]
		_(RawOrigin::Signed(owner), device, new.clone(), proof.0);
		assert_eq!(DeviceOf::<T>::get(new), Some(device));
		Ok(())
	}

	#[benchmark]
	fn offer_device() -> Result<(), BenchmarkError> {
		let (owner, machine, other) = (person::<T>(0), person::<T>(1), person::<T>(2));
		let from = site::<T>(&owner)?;
		let to = site::<T>(&other)?;
		let device = device::<T>(&owner, from, &machine)?;
		#[extrinsic_call]
		_(RawOrigin::Signed(owner), device, Some(to));
		assert!(DeviceOffers::<T>::contains_key(device));
		Ok(())
	}

	#[benchmark]
	fn accept_device() -> Result<(), BenchmarkError> {
		let (owner, machine, other) = (person::<T>(0), person::<T>(1), person::<T>(2));
		let from = site::<T>(&owner)?;
		let to = site::<T>(&other)?;
		let device = device::<T>(&owner, from, &machine)?;
		Pallet::<T>::offer_device(RawOrigin::Signed(owner).into(), device, Some(to))?;
		#[extrinsic_call]
		_(RawOrigin::Signed(other), device);
		assert_eq!(Pallet::<T>::site_of(device), Some(to));
		Ok(())
	}

	/// Settles a re-check that is over.
	#[benchmark]
	fn suspend_device() -> Result<(), BenchmarkError> {
		let (owner, machine) = (person::<T>(0), person::<T>(1));
		let site = site::<T>(&owner)?;
		let device = device::<T>(&owner, site, &machine)?;
		with_evidence::<T>(device, true);
		let origin = registry::<T>()?;
		#[extrinsic_call]
		_(origin as T::RuntimeOrigin, device);
		assert_eq!(Devices::<T>::get(device).and_then(|d| d.suspension), Some(Suspension::Ordered));
		Ok(())
	}

	/// Settles a re-check that is over.
	#[benchmark]
	fn reinstate_device() -> Result<(), BenchmarkError> {
		let (owner, machine) = (person::<T>(0), person::<T>(1));
		let site = site::<T>(&owner)?;
		let device = device::<T>(&owner, site, &machine)?;
		with_evidence::<T>(device, true);
		let origin = registry::<T>()?;
		#[extrinsic_call]
		_(origin as T::RuntimeOrigin, device);
		assert_eq!(Devices::<T>::get(device).and_then(|d| d.suspension), None);
		Ok(())
	}

	#[benchmark]
	fn set_attesters(n: Linear<0, { T::MaxAttesters::get() }>) -> Result<(), BenchmarkError> {
		let members = attesters::<T>(n);
		let origin = registry::<T>()?;
		#[extrinsic_call]
		_(origin as T::RuntimeOrigin, members, n);
		assert_eq!(Attesters::<T>::get().threshold, n);
		Ok(())
	}

	/// Settles a re-check that is over.
	#[benchmark]
	fn request_attestation() -> Result<(), BenchmarkError> {
		let (owner, machine) = (person::<T>(0), person::<T>(1));
		let site = site::<T>(&owner)?;
		let device = device::<T>(&owner, site, &machine)?;
		all_attesters::<T>()?;
		with_evidence::<T>(device, true);
		#[extrinsic_call]
		_(RawOrigin::Signed(machine));
		assert!(Challenges::<T>::contains_key(device));
		Ok(())
	}

	/// Settles a re-check that is over.
	#[benchmark]
	fn submit_measurement() -> Result<(), BenchmarkError> {
		let (owner, machine) = (person::<T>(0), person::<T>(1));
		let site = site::<T>(&owner)?;
		let device = device::<T>(&owner, site, &machine)?;
		all_attesters::<T>()?;
		requested::<T>(&machine)?;
		Devices::<T>::mutate(device, |entry| {
			if let Some(entry) = entry {
				entry.evidence = Some(evidence::<T>());
				entry.recheck = Some(Recheck { due: Zero::zero(), answered: false });
				entry.settle_state();
			}
		});
		let nonce = Pallet::<T>::open_challenge(device)
			.and_then(|c| c.nonce)
			.ok_or(BenchmarkError::Stop("no request is open"))?;
		#[extrinsic_call]
		_(RawOrigin::Signed(machine), nonce, measurement());
		assert!(Challenges::<T>::get(device).is_some_and(|c| c.submission.is_some()));
		Ok(())
	}

	/// The last of as many attesters as there can be, whose statement decides.
	#[benchmark]
	fn attest() -> Result<(), BenchmarkError> {
		let (owner, machine) = (person::<T>(0), person::<T>(1));
		let site = site::<T>(&owner)?;
		let device = device::<T>(&owner, site, &machine)?;
		all_attesters::<T>()?;
		requested::<T>(&machine)?;
		let nonce = Pallet::<T>::open_challenge(device)
			.and_then(|c| c.nonce)
			.ok_or(BenchmarkError::Stop("no request is open"))?;
		Pallet::<T>::submit_measurement(RawOrigin::Signed(machine).into(), nonce, measurement())?;
		let mut members = Attesters::<T>::get().members.into_inner();
		let last = members.pop().ok_or(BenchmarkError::Stop("there are no attesters"))?;
		for member in members {
			Pallet::<T>::attest(RawOrigin::Signed(member).into(), device, nonce, Some(some_speed()))
				.map_err(|e| e.error)?;
		}
		#[extrinsic_call]
		_(RawOrigin::Signed(last), device, nonce, Some(some_speed()));
		assert_eq!(Pallet::<T>::speed(device), Some(some_speed()));
		Ok(())
	}

	/// Every number drawn is a device with evidence. Devices are entered directly, more than one site may have.
	#[benchmark]
	fn recheck(d: Linear<1, { T::MaxRechecks::get() }>) -> Result<(), BenchmarkError> {
		let (owner, machine) = (person::<T>(0), person::<T>(1));
		let site = site::<T>(&owner)?;
		let first = device::<T>(&owner, site, &machine)?;
		with_evidence::<T>(first, false);
		let entry = Devices::<T>::get(first).ok_or(BenchmarkError::Stop("just registered"))?;
		let population = d * RECHECK_SHARE;
		for id in 0..population {
			Devices::<T>::insert(id, entry.clone());
		}
		DeviceCount::<T>::put(population);
		LastRecheck::<T>::put((BlockNumberFor::<T>::max_value(), population));
		#[extrinsic_call]
		_(RawOrigin::Signed(owner));
		assert!(Devices::<T>::iter_values().any(|d| d.recheck.is_some()));
		Ok(())
	}

	/// The device did not answer.
	#[benchmark]
	fn expire_recheck() -> Result<(), BenchmarkError> {
		let (owner, machine) = (person::<T>(0), person::<T>(1));
		let site = site::<T>(&owner)?;
		let device = device::<T>(&owner, site, &machine)?;
		with_evidence::<T>(device, true);
		#[extrinsic_call]
		_(RawOrigin::Signed(machine), device);
		assert_eq!(Devices::<T>::get(device).map(|d| d.state), Some(DeviceState::Suspended));
		Ok(())
	}

	impl_benchmark_test_suite!(Pallet, crate::mock::benchmark_chain(), crate::mock::Test);
}
