//! How evidence comes about: a device asks for a nonce, delivers what it measured, attesters state what they found.

use super::*;
use alloc::vec::Vec;
use cairn_primitives::hardware::{attestation_nonce, Measurement, Speed};
use frame_support::traits::UnixTime;

/// Statements that differ from the median by more than this many per cent of it do not count as agreeing.
pub const TOLERANCE: u64 = 10;

/// What became of the backing of a piece of evidence.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict<BlockNumber> {
	/// More has to come.
	Pending,
	/// It holds.
	Accepted(Evidence<BlockNumber>),
	/// It is false.
	Rejected,
	/// All has come, and it shows nothing.
	Undecided,
}

/// What backs one kind of evidence, and how it is judged. A further kind of evidence is a further implementation; what
/// follows from the verdict is the same for all.
pub trait Backing<BlockNumber> {
	/// Judges it. Evidence that is accepted was accepted at `at` and is valid up to and including `expires`.
	fn verdict(&self, at: BlockNumber, expires: BlockNumber) -> Verdict<BlockNumber>;
}

/// Attesters' statements about one run of the benchmark.
#[derive(Clone, Debug)]
pub struct Statements {
	/// The seed of the benchmark.
	pub nonce: H256,
	/// How many attesters must agree.
	pub threshold: u32,
	/// How many attesters have not spoken.
	pub silent: u32,
	/// What the others stated.
	pub stated: Vec<Option<Speed>>,
}

/// The lower of the two middle values, or the middle one. `None` when there is no value.
fn median(values: impl Iterator<Item = u64>) -> Option<u64> {
	let mut values: Vec<_> = values.collect();
	values.sort_unstable();
	values.get(values.len().checked_sub(1)? / 2).copied()
}

fn within(value: u64, middle: u64) -> bool {
	u128::from(value.abs_diff(middle)) * 100 <= u128::from(middle) * u128::from(TOLERANCE)
}

impl<BlockNumber> Backing<BlockNumber> for Statements {
	/// As many attesters as the threshold asks for decide: those who found the measurement false, or those who vouch for
	/// speeds within [`TOLERANCE`] of the medians of all who vouch. The medians are the evidence, so with more honest
	/// than hostile statements no hostile one takes it outside what honest ones span.
	fn verdict(&self, at: BlockNumber, expires: BlockNumber) -> Verdict<BlockNumber> {
		let threshold = self.threshold as usize;
		let vouched: Vec<_> = self.stated.iter().flatten().collect();
		if threshold == 0 {
			return Verdict::Undecided;
		}
		if self.stated.len() - vouched.len() >= threshold {
			return Verdict::Rejected;
		}
		let flops = median(vouched.iter().map(|s| s.flops));
		let bandwidth = median(vouched.iter().map(|s| s.bandwidth));
		if let (Some(flops), Some(bandwidth)) = (flops, bandwidth) {
			let agreed =
				vouched.iter().filter(|s| within(s.flops, flops) && within(s.bandwidth, bandwidth)).count();
			if agreed >= threshold {
				let speed = Speed { flops, bandwidth };
				return Verdict::Accepted(Evidence::Measured { speed, nonce: self.nonce, at, expires });
			}
		}
		if self.silent == 0 {
			Verdict::Undecided
		} else {
			Verdict::Pending
		}
	}
}

impl<T: Config> Pallet<T> {
	/// The nonce of a request that a past block took; `None` in that block itself, whose hash nobody knows yet.
	pub(crate) fn nonce_of(device: DeviceId, requested: BlockNumberFor<T>) -> Option<H256> {
		if requested >= Self::now() {
			return None;
		}
		let hash = frame_system::Pallet::<T>::block_hash(requested);
		// The default stands for a block that the chain has forgotten.
		(hash != H256::default()).then(|| attestation_nonce(&Self::genesis_hash(), &hash, device))
	}

	pub(crate) fn now_ms() -> u64 {
		u64::try_from(T::Clock::now().as_millis()).unwrap_or(u64::MAX)
	}

	pub(crate) fn do_request_attestation(account: T::AccountId) -> DispatchResult {
		let (id, mut device) = Self::device_by(&account)?;
		let now = Self::now();
		Self::settle(id, &mut device);
		Self::ensure_may_request(&device)?;
		device.requested = Some(now);
		let submit_by = now.saturating_add(T::MeasurementWindow::get());
		Devices::<T>::insert(id, device);
		Challenges::<T>::insert(
			id,
			Challenge {
				requested: now,
				requested_ms: Self::now_ms(),
				submit_by,
				submission: None,
				statements: BoundedVec::new(),
			},
		);
		Self::deposit_event(Event::AttestationRequested { device: id, submit_by });
		Ok(())
	}

	/// Refuses a request for attestation that a device makes now.
	pub(crate) fn ensure_may_request(device: &DeviceEntry<T>) -> DispatchResult {
		ensure!(device.suspension != Some(Suspension::Ordered), Error::<T>::NotActivatable);
		ensure!(Attesters::<T>::get().threshold > 0, Error::<T>::NoAttesters);
		let pause = T::MeasurementWindow::get().saturating_add(T::StatementWindow::get());
		let asked = device.requested.map(|before| before.saturating_add(pause));
		ensure!(asked.is_none_or(|until| Self::now() > until), Error::<T>::TooSoon);
		Ok(())
	}

	pub(crate) fn do_submit_measurement(
		account: T::AccountId,
		nonce: H256,
		measurement: Measurement,
	) -> DispatchResult {
		let (id, mut device) = Self::device_by(&account)?;
		let now = Self::now();
		let mut challenge = Challenges::<T>::get(id).ok_or(Error::<T>::NoChallenge)?;
		ensure!(challenge.submission.is_none(), Error::<T>::AlreadyStated);
		ensure!(now <= challenge.submit_by, Error::<T>::WindowClosed);
		ensure!(Self::nonce_of(id, challenge.requested) == Some(nonce), Error::<T>::NoChallenge);
		let elapsed = Self::now_ms().saturating_sub(challenge.requested_ms);
		let speed = measurement
			.speed()
			.filter(|_| measurement.fits(elapsed))
			.ok_or(Error::<T>::ImplausibleMeasurement)?;
		let state_by = now.saturating_add(T::StatementWindow::get());
		Self::settle(id, &mut device);
		if let Some(recheck) = device.recheck.as_mut() {
			recheck.answered = true;
			recheck.due = recheck.due.max(state_by);
		}
		Devices::<T>::insert(id, device);
		challenge.submission = Some(Submission { nonce, measurement, state_by });
		Challenges::<T>::insert(id, challenge);
		Self::deposit_event(Event::MeasurementSubmitted { device: id, nonce, speed, state_by });
		Ok(())
	}

	pub(crate) fn do_attest(
		attester: T::AccountId,
		id: DeviceId,
		nonce: H256,
		statement: Option<Speed>,
	) -> DispatchResult {
		let set = Attesters::<T>::get();
		ensure!(set.members.binary_search(&attester).is_ok(), Error::<T>::NotAnAttester);
		let mut challenge = Challenges::<T>::get(id).ok_or(Error::<T>::NoChallenge)?;
		let submission =
			challenge.submission.as_ref().filter(|s| s.nonce == nonce).ok_or(Error::<T>::NoChallenge)?;
		let now = Self::now();
		ensure!(now <= submission.state_by, Error::<T>::WindowClosed);
		let mut device = Devices::<T>::get(id).ok_or(Error::<T>::UnknownDevice)?;
		let site = Sites::<T>::get(device.site).ok_or(Error::<T>::UnknownSite)?;
		ensure!(site.owner != attester && device.account != attester, Error::<T>::OwnDevice);
		ensure!(challenge.statements.iter().all(|(who, _)| *who != attester), Error::<T>::AlreadyStated);
		if let Some(stated) = statement {
			let claim = submission.measurement.speed().ok_or(Error::<T>::ImplausibleMeasurement)?;
			ensure!(
				(1..=claim.flops).contains(&stated.flops)
					&& (1..=claim.bandwidth).contains(&stated.bandwidth),
				Error::<T>::ImplausibleMeasurement
			);
		}
		// Who is no attester any more has no say, and leaves room for those who are.
		challenge.statements.retain(|(who, _)| set.members.binary_search(who).is_ok());
		challenge
			.statements
			.try_push((attester.clone(), statement))
			.map_err(|_| Error::<T>::AlreadyStated)?;
		Self::deposit_event(Event::StatementMade { device: id, attester, speed: statement });
		// An attester that may not speak about this device is not waited for either.
		let barred = [&site.owner, &device.account];
		let heard = |who: &T::AccountId| challenge.statements.iter().any(|(by, _)| by == who);
		let silent = set.members.iter().filter(|who| !heard(who) && !barred.contains(who)).count();
		let backing = Statements {
			nonce,
			threshold: set.threshold,
			silent: silent as u32,
			stated: challenge.statements.iter().map(|(_, stated)| *stated).collect(),
		};
		Self::settle(id, &mut device);
		let verdict = backing.verdict(now, now.saturating_add(T::EvidencePeriod::get()));
		if matches!(verdict, Verdict::Pending) {
			Challenges::<T>::insert(id, challenge);
		} else {
			Challenges::<T>::remove(id);
			Self::conclude(id, &mut device, verdict);
		}
		Devices::<T>::insert(id, device);
		Ok(())
	}

	/// Lets a verdict about any kind of evidence take effect in the device's entry.
	fn conclude(id: DeviceId, device: &mut DeviceEntry<T>, verdict: Verdict<BlockNumberFor<T>>) {
		match verdict {
			Verdict::Pending => {},
			Verdict::Accepted(evidence) => {
				Self::deposit_event(Event::EvidenceAccepted {
					device: id,
					kind: evidence.kind(),
					speed: evidence.speed(),
					expires: evidence.expires(),
				});
				device.evidence = Some(evidence);
				device.recheck = None;
				if device.suspension == Some(Suspension::FailedRecheck) {
					device.suspension = None;
				}
				device.settle_state();
			},
			Verdict::Rejected => {
				Self::deposit_event(Event::EvidenceRefused { device: id, rejected: true });
				Self::void(id, device);
				if device.recheck.take().is_some() && device.suspension.is_none() {
					Self::suspend(id, device, Suspension::FailedRecheck);
				}
			},
			Verdict::Undecided => {
				Self::deposit_event(Event::EvidenceRefused { device: id, rejected: false });
			},
		}
	}

	/// Takes the evidence from a device. A re-check stays: losing evidence is no way round it.
	pub(crate) fn void(id: DeviceId, device: &mut DeviceEntry<T>) {
		if device.evidence.take().is_some() {
			Self::deposit_event(Event::EvidenceVoided { device: id });
		}
		device.settle_state();
	}

	pub(crate) fn suspend(id: DeviceId, device: &mut DeviceEntry<T>, suspension: Suspension) {
		device.suspension = Some(suspension);
		device.settle_state();
		Self::deposit_event(Event::DeviceSuspended { device: id, suspension });
	}

	/// Lets a re-check that is over take effect in the entry, which the caller stores. Whether it was over.
	pub(crate) fn settle(id: DeviceId, device: &mut DeviceEntry<T>) -> bool {
		if !device.recheck_is_over(Self::now()) {
			return false;
		}
		let answered = device.recheck.take().is_some_and(|r| r.answered);
		Self::void(id, device);
		if !answered && device.suspension.is_none() {
			Self::suspend(id, device, Suspension::FailedRecheck);
		}
		true
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	fn statements(threshold: u32, silent: u32, stated: &[Option<u64>]) -> Statements {
		let stated = stated.iter().map(|s| s.map(|n| Speed { flops: n, bandwidth: n })).collect();
		Statements { nonce: H256([1; 32]), threshold, silent, stated }
	}

	fn speed(verdict: Verdict<u32>) -> Option<u64> {
		match verdict {
			Verdict::Accepted(evidence) => evidence.speed().map(|s| s.flops),
			_ => None,
		}
	}

	#[test]
	fn evidence_is_the_lower_median_of_those_who_agree() {
		assert_eq!(speed(statements(2, 1, &[Some(100), Some(104)]).verdict(1, 2)), Some(100));
		assert_eq!(speed(statements(2, 0, &[Some(100), Some(1), Some(104)]).verdict(1, 2)), Some(100));
	}

	#[test]
	fn statement_beyond_the_tolerance_does_not_count() {
		assert_eq!(speed(statements(2, 0, &[Some(100), Some(110)]).verdict(1, 2)), Some(100));
		assert_eq!(statements(2, 0, &[Some(100), Some(111)]).verdict(1, 2), Verdict::<u32>::Undecided);
		assert_eq!(statements(2, 1, &[Some(100), Some(111)]).verdict(1, 2), Verdict::<u32>::Pending);
	}

	#[test]
	fn measurement_is_rejected_when_enough_found_it_false() {
		assert_eq!(statements(2, 3, &[None, Some(1), None]).verdict(1, 2), Verdict::<u32>::Rejected);
		assert_eq!(statements(2, 1, &[None, Some(1)]).verdict(1, 2), Verdict::<u32>::Pending);
	}

	#[test]
	fn nothing_is_decided_without_attesters_or_when_all_disagree() {
		assert_eq!(statements(0, 0, &[]).verdict(1, 2), Verdict::<u32>::Undecided);
		assert_eq!(statements(2, 0, &[None, Some(1)]).verdict(1, 2), Verdict::<u32>::Undecided);
	}

	#[test]
	fn comparison_does_not_overflow_at_the_largest_speeds() {
		let stated = [Some(u64::MAX), Some(u64::MAX)];
		assert_eq!(speed(statements(2, 0, &stated).verdict(1, 2)), Some(u64::MAX));
	}

	#[test]
	fn minority_cannot_move_the_median_beyond_honest_statements() {
		for hostile in [1, 50, 1_000, u64::MAX] {
			let verdict = statements(3, 0, &[Some(100), Some(hostile), Some(101), Some(102), Some(hostile)]);
			let agreed = speed(verdict.verdict(1, 2)).expect("three agree");
			assert!((100..=102).contains(&agreed), "{agreed}");
		}
	}
}
