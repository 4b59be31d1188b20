//! The origins that referenda speak with, one for each track but `root`.

pub use pallet_custom_origins::*;

/// A pallet without calls or storage: it only adds the origins to the runtime's.
#[frame_support::pallet]
pub mod pallet_custom_origins {
	use frame_support::{
		pallet_prelude::*,
		traits::{EnsureOrigin, OriginTrait},
	};

	#[pallet::config]
	pub trait Config: frame_system::Config {}

	#[pallet::pallet]
	pub struct Pallet<T>(_);

	/// What a referendum may decide.
	#[derive(PartialEq, Eq, Clone, MaxEncodedLen, Encode, Decode, DecodeWithMemTracking, TypeInfo, Debug)]
	#[pallet::origin]
	pub enum Origin {
		/// Runs with root's rights a call that the technical committee whitelisted.
		WhitelistedCaller,
		/// Decides which programmes are trained: opens, amends, resumes and closes them.
		ProgrammeAdmin,
		/// Decides the charter: safety, privacy, licences, caps; and vetoes slashes.
		PolicyAdmin,
		/// Spends from the treasury.
		Treasurer,
		/// Decides who validates and who attests hardware.
		RegistryAdmin,
		/// Pauses a programme. Nothing else.
		SafetyStop,
	}

	macro_rules! ensures {
		($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
			$(#[$doc])*
			pub struct $name;

			impl<O: OriginTrait + From<Origin>> EnsureOrigin<O> for $name
			where
				for<'a> &'a O::PalletsOrigin: TryInto<&'a Origin>,
			{
				type Success = ();

				fn try_origin(origin: O) -> Result<Self::Success, O> {
					let is_it = matches!(origin.caller().try_into(), Ok(Origin::$name));
					if is_it {
						Ok(())
					} else {
						Err(origin)
					}
				}

				#[cfg(feature = "runtime-benchmarks")]
				fn try_successful_origin() -> Result<O, ()> {
					Ok(O::from(Origin::$name))
				}
			}
		)+};
	}

	ensures!(
		/// [`Origin::WhitelistedCaller`].
		WhitelistedCaller,
		/// [`Origin::ProgrammeAdmin`].
		ProgrammeAdmin,
		/// [`Origin::PolicyAdmin`].
		PolicyAdmin,
		/// [`Origin::Treasurer`].
		Treasurer,
		/// [`Origin::RegistryAdmin`].
		RegistryAdmin,
		/// [`Origin::SafetyStop`].
		SafetyStop,
	);
}
