//! What BABE and GRANDPA prove against validators reaches the same slashes as any other fault.

use super::*;
use sp_io::hashing::blake2_256;
use sp_runtime::Perbill;
use sp_staking::{
	offence::{OffenceDetails, OnOffenceHandler},
	SessionIndex,
};

impl<T: Config> OnOffenceHandler<T::AccountId, (T::AccountId, ()), Weight> for Pallet<T> {
	/// Reports each offender once per session, because every report names all who offended at the same time, those
	/// of earlier reports too.
	///
	/// Slashing is individual: the fractions of the offence, which grow with the number of those who offend together,
	/// are not used; [`SlashFractions::equivocation`] is. The evidence is the BLAKE2-256 hash of the SCALE encoding of
	/// the offender, the session and the reporters; the report itself stays with the offences pallet.
	fn on_offence(
		offenders: &[OffenceDetails<T::AccountId, (T::AccountId, ())>],
		_fractions: &[Perbill],
		session: SessionIndex,
	) -> Weight {
		for OffenceDetails { offender: (validator, ()), reporters } in offenders {
			if !Equivocations::<T>::contains_key(session, validator) {
				Equivocations::<T>::insert(session, validator, ());
				let evidence = H256((validator, session, reporters).using_encoded(blake2_256));
				Self::report_fault(validator, FaultKind::Equivocation, evidence);
			}
		}
		T::WeightInfo::report_fault().saturating_mul(offenders.len() as u64)
	}
}
