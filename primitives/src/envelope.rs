//! The envelopes: what an update and a set of weights declare about themselves.
//!
//! An artifact is a canonical safetensors file. Its envelope is the file's metadata (strings by name), so the hash of
//! the file covers the envelope, the shapes and the payload alike, and the `cairn` key, which comes with every file,
//! separates updates from weights and from everything else. Each field has exactly one text form: what parses but
//! would be written differently is refused, so that two files that say the same are the same file.

use crate::{ArtifactHash, DeviceId, ProgrammeId, RoundIndex, H256};
use alloc::{
	collections::BTreeMap,
	format,
	string::{String, ToString},
};
use core::{fmt, str::FromStr};

/// Names and values of a file's metadata.
pub type Metadata = BTreeMap<String, String>;

/// The metadata key that says which envelope follows.
pub const FORMAT_KEY: &str = "cairn";
/// Format of an update's envelope.
pub const UPDATE_FORMAT: &str = "update/1";
/// Format of a weights envelope.
pub const WEIGHTS_FORMAT: &str = "weights/1";
/// Format of a state's envelope.
pub const STATE_FORMAT: &str = "state/1";

/// Why an envelope was refused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum EnvelopeError {
	/// A field is not there.
	Missing {
		/// The field.
		field: &'static str,
	},
	/// A field that this format does not know.
	Unknown {
		/// The field.
		field: String,
	},
	/// A value that does not parse, or not in its one canonical form.
	Malformed {
		/// The field.
		field: &'static str,
		/// What stood there.
		value: String,
	},
	/// A value that differs from what the chain says it must be.
	Mismatch {
		/// The field.
		field: &'static str,
		/// What the envelope says.
		found: String,
		/// What the chain says.
		expected: String,
	},
}

impl fmt::Display for EnvelopeError {
	fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
		match self {
			Self::Missing { field } => write!(f, "envelope field `{field}` is missing"),
			Self::Unknown { field } => write!(f, "envelope field `{field}` is not known"),
			Self::Malformed { field, value } => {
				write!(f, "envelope field `{field}` has the malformed value `{value}`")
			},
			Self::Mismatch { field, found, expected } => {
				write!(f, "envelope field `{field}` is `{found}`, but the chain says `{expected}`")
			},
		}
	}
}

impl core::error::Error for EnvelopeError {}

/// What a worker declares about its update.
#[derive(Clone, PartialEq, Debug)]
pub struct UpdateEnvelope {
	/// Genesis hash of the chain.
	pub genesis: H256,
	/// The programme.
	pub programme: ProgrammeId,
	/// The round.
	pub round: RoundIndex,
	/// The base weights that training started from.
	pub base: ArtifactHash,
	/// The training configuration that was followed.
	pub config: ArtifactHash,
	/// The producing account (public key).
	pub producer: [u8; 32],
	/// The device.
	pub device: DeviceId,
	/// How many local training samples there are: the update's weight in a weighted mean.
	pub samples: u32,
	/// How many local steps were taken.
	pub local_steps: u32,
	/// L2 bound the update was clipped to; 0 for none.
	pub clip_norm: f32,
	/// Standard deviation of the noise that was added, as a multiple of `clip_norm`; 0 for none.
	pub noise_multiplier: f32,
	/// Seed of the local run.
	pub seed: u64,
}

/// What the chain knows of an update before anyone has seen its bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ExpectedUpdate {
	/// Genesis hash of the chain.
	pub genesis: H256,
	/// The programme.
	pub programme: ProgrammeId,
	/// The round.
	pub round: RoundIndex,
	/// The round's base weights.
	pub base: ArtifactHash,
	/// The programme's training configuration.
	pub config: ArtifactHash,
	/// The account that committed.
	pub producer: [u8; 32],
	/// The device it committed for.
	pub device: DeviceId,
	/// The samples it declared on chain.
	pub samples: u32,
	/// The local steps it declared on chain.
	pub local_steps: u32,
}

/// What a chain knows on which an update with this envelope was committed, if the envelope says the truth. What is known
/// from elsewhere replaces its fields.
impl From<&UpdateEnvelope> for ExpectedUpdate {
	fn from(envelope: &UpdateEnvelope) -> Self {
		let UpdateEnvelope {
			genesis,
			programme,
			round,
			base,
			config,
			producer,
			device,
			samples,
			local_steps,
			..
		} = *envelope;
		Self { genesis, programme, round, base, config, producer, device, samples, local_steps }
	}
}

fn hex32(bytes: &[u8; 32]) -> String {
	format!("0x{}", hex::encode(bytes))
}

fn take(map: &mut Metadata, field: &'static str) -> Result<String, EnvelopeError> {
	map.remove(field).ok_or(EnvelopeError::Missing { field })
}

fn take_hash(map: &mut Metadata, field: &'static str) -> Result<[u8; 32], EnvelopeError> {
	let value = take(map, field)?;
	let mut out = [0u8; 32];
	let parsed = value.strip_prefix("0x").map(|s| hex::decode_to_slice(s, &mut out));
	if parsed == Some(Ok(())) && hex32(&out) == value {
		Ok(out)
	} else {
		Err(EnvelopeError::Malformed { field, value })
	}
}

/// A number in its canonical decimal form (no sign, no leading zeros, the shortest that reads back as the same float).
fn take_number<T: FromStr + ToString>(map: &mut Metadata, field: &'static str) -> Result<T, EnvelopeError> {
	let value = take(map, field)?;
	match value.parse::<T>() {
		Ok(n) if n.to_string() == value => Ok(n),
		_ => Err(EnvelopeError::Malformed { field, value }),
	}
}

fn take_format(map: &mut Metadata, format: &str) -> Result<(), EnvelopeError> {
	let found = take(map, FORMAT_KEY)?;
	if found == format {
		Ok(())
	} else {
		Err(EnvelopeError::Mismatch { field: FORMAT_KEY, found, expected: format.to_string() })
	}
}

fn nothing_left(mut map: Metadata) -> Result<(), EnvelopeError> {
	match map.pop_first() {
		None => Ok(()),
		Some((field, _)) => Err(EnvelopeError::Unknown { field }),
	}
}

fn same<T: PartialEq>(
	field: &'static str,
	found: &T,
	expected: &T,
	show: impl Fn(&T) -> String,
) -> Result<(), EnvelopeError> {
	if found == expected {
		Ok(())
	} else {
		Err(EnvelopeError::Mismatch { field, found: show(found), expected: show(expected) })
	}
}

impl UpdateEnvelope {
	/// The file metadata that carries this envelope.
	pub fn to_metadata(&self) -> Metadata {
		[
			(FORMAT_KEY, UPDATE_FORMAT.to_string()),
			("genesis", hex32(&self.genesis.0)),
			("programme", self.programme.to_string()),
			("round", self.round.to_string()),
			("base", hex32(&self.base.0)),
			("config", hex32(&self.config.0)),
			("producer", hex32(&self.producer)),
			("device", self.device.to_string()),
			("samples", self.samples.to_string()),
			("local_steps", self.local_steps.to_string()),
			("clip_norm", self.clip_norm.to_string()),
			("noise_multiplier", self.noise_multiplier.to_string()),
			("seed", self.seed.to_string()),
		]
		.into_iter()
		.map(|(k, v)| (k.to_string(), v))
		.collect()
	}

	/// Reads the envelope from a file's metadata.
	///
	/// # Errors
	/// When a field is missing, unknown, or not in its canonical form, or when the file is no update.
	pub fn from_metadata(metadata: &Metadata) -> Result<Self, EnvelopeError> {
		let mut map = metadata.clone();
		take_format(&mut map, UPDATE_FORMAT)?;
		let envelope = Self {
			genesis: H256(take_hash(&mut map, "genesis")?),
			programme: take_number(&mut map, "programme")?,
			round: take_number(&mut map, "round")?,
			base: H256(take_hash(&mut map, "base")?),
			config: H256(take_hash(&mut map, "config")?),
			producer: take_hash(&mut map, "producer")?,
			device: take_number(&mut map, "device")?,
			samples: take_number(&mut map, "samples")?,
			local_steps: take_number(&mut map, "local_steps")?,
			clip_norm: take_number(&mut map, "clip_norm")?,
			noise_multiplier: take_number(&mut map, "noise_multiplier")?,
			seed: take_number(&mut map, "seed")?,
		};
		for (field, value) in
			[("clip_norm", envelope.clip_norm), ("noise_multiplier", envelope.noise_multiplier)]
		{
			// "-0" and "NaN" round-trip as text, so canonical form alone does not exclude them.
			if !value.is_finite() || value.is_sign_negative() {
				return Err(EnvelopeError::Malformed { field, value: value.to_string() });
			}
		}
		nothing_left(map)?;
		Ok(envelope)
	}

	/// Checks every field the chain knows.
	///
	/// # Errors
	/// Names the first field that differs.
	pub fn check(&self, expected: &ExpectedUpdate) -> Result<(), EnvelopeError> {
		same("genesis", &self.genesis, &expected.genesis, |h| hex32(&h.0))?;
		same("programme", &self.programme, &expected.programme, u32::to_string)?;
		same("round", &self.round, &expected.round, u32::to_string)?;
		same("base", &self.base, &expected.base, |h| hex32(&h.0))?;
		same("config", &self.config, &expected.config, |h| hex32(&h.0))?;
		same("producer", &self.producer, &expected.producer, hex32)?;
		same("device", &self.device, &expected.device, u32::to_string)?;
		same("samples", &self.samples, &expected.samples, u32::to_string)?;
		same("local_steps", &self.local_steps, &expected.local_steps, u32::to_string)
	}
}

/// What a weights file declares.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum WeightsEnvelope {
	/// The weights a programme starts from. They are named in the chain's genesis, so they cannot name it.
	Genesis {
		/// The training configuration that describes the model.
		config: ArtifactHash,
	},
	/// The outcome of a round.
	Aggregate {
		/// Genesis hash of the chain.
		genesis: H256,
		/// The programme.
		programme: ProgrammeId,
		/// The round that made it.
		round: RoundIndex,
		/// The training configuration that describes the model.
		config: ArtifactHash,
		/// The weights that the aggregate was applied to.
		base: ArtifactHash,
		/// [`crate::round::inputs_digest`] of the included updates.
		inputs: H256,
		/// What the next round starts from beside these weights: the artifact with the [`StateEnvelope`] of this round.
		/// `None` where neither rule nor optimiser remembers anything. As the chain settles the weights' hash, it settles
		/// the state with it.
		state: Option<ArtifactHash>,
	},
}

/// What the state of a round declares: the tensors that rule and optimiser carry from one round to the next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StateEnvelope {
	/// Genesis hash of the chain.
	pub genesis: H256,
	/// The programme.
	pub programme: ProgrammeId,
	/// The round that left it.
	pub round: RoundIndex,
	/// The training configuration that describes the model.
	pub config: ArtifactHash,
	/// The weights that the round started from.
	pub base: ArtifactHash,
	/// [`crate::round::inputs_digest`] of the included updates.
	pub inputs: H256,
	/// How many steps in a row the optimiser has made, with this round's; 0 for an optimiser that remembers nothing.
	pub steps: u32,
}

impl StateEnvelope {
	/// The file metadata that carries this envelope.
	pub fn to_metadata(&self) -> Metadata {
		[
			(FORMAT_KEY, STATE_FORMAT.to_string()),
			("genesis", hex32(&self.genesis.0)),
			("programme", self.programme.to_string()),
			("round", self.round.to_string()),
			("config", hex32(&self.config.0)),
			("base", hex32(&self.base.0)),
			("inputs", hex32(&self.inputs.0)),
			("steps", self.steps.to_string()),
		]
		.into_iter()
		.map(|(k, v)| (k.to_string(), v))
		.collect()
	}

	/// Reads the envelope from a file's metadata.
	///
	/// # Errors
	/// When a field is missing, unknown, or not in its canonical form, or when the file is no state.
	pub fn from_metadata(metadata: &Metadata) -> Result<Self, EnvelopeError> {
		let mut map = metadata.clone();
		take_format(&mut map, STATE_FORMAT)?;
		let envelope = Self {
			genesis: H256(take_hash(&mut map, "genesis")?),
			programme: take_number(&mut map, "programme")?,
			round: take_number(&mut map, "round")?,
			config: H256(take_hash(&mut map, "config")?),
			base: H256(take_hash(&mut map, "base")?),
			inputs: H256(take_hash(&mut map, "inputs")?),
			steps: take_number(&mut map, "steps")?,
		};
		nothing_left(map)?;
		Ok(envelope)
	}
}

impl WeightsEnvelope {
	/// The state that goes with the weights, where there is one.
	pub fn state(&self) -> Option<ArtifactHash> {
		match self {
			Self::Genesis { .. } => None,
			Self::Aggregate { state, .. } => *state,
		}
	}

	/// The file metadata that carries this envelope.
	pub fn to_metadata(&self) -> Metadata {
		let mut map = Metadata::new();
		map.insert(FORMAT_KEY.to_string(), WEIGHTS_FORMAT.to_string());
		match self {
			Self::Genesis { config } => {
				map.insert("config".to_string(), hex32(&config.0));
			},
			Self::Aggregate { genesis, programme, round, config, base, inputs, state } => {
				map.insert("genesis".to_string(), hex32(&genesis.0));
				map.insert("programme".to_string(), programme.to_string());
				map.insert("round".to_string(), round.to_string());
				map.insert("config".to_string(), hex32(&config.0));
				map.insert("base".to_string(), hex32(&base.0));
				map.insert("inputs".to_string(), hex32(&inputs.0));
				if let Some(state) = state {
					map.insert("state".to_string(), hex32(&state.0));
				}
			},
		}
		map
	}

	/// Reads the envelope from a file's metadata.
	///
	/// # Errors
	/// When a field is missing, unknown, or not in its canonical form, or when the file is no set of weights.
	pub fn from_metadata(metadata: &Metadata) -> Result<Self, EnvelopeError> {
		let mut map = metadata.clone();
		take_format(&mut map, WEIGHTS_FORMAT)?;
		let config = H256(take_hash(&mut map, "config")?);
		if map.is_empty() {
			return Ok(Self::Genesis { config });
		}
		let state = match map.contains_key("state") {
			true => Some(H256(take_hash(&mut map, "state")?)),
			false => None,
		};
		let envelope = Self::Aggregate {
			genesis: H256(take_hash(&mut map, "genesis")?),
			programme: take_number(&mut map, "programme")?,
			round: take_number(&mut map, "round")?,
			config,
			base: H256(take_hash(&mut map, "base")?),
			inputs: H256(take_hash(&mut map, "inputs")?),
			state,
		};
		nothing_left(map)?;
		Ok(envelope)
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use alloc::vec::Vec;

	fn envelope() -> UpdateEnvelope {
		UpdateEnvelope {
			genesis: H256([1; 32]),
			programme: 2,
			round: 3,
			base: H256([4; 32]),
			config: H256([5; 32]),
			producer: [6; 32],
			device: 7,
			samples: 8,
			local_steps: 9,
			clip_norm: 1.5,
			noise_multiplier: 0.1,
			seed: u64::MAX,
		}
	}

	fn expected() -> ExpectedUpdate {
		ExpectedUpdate {
			genesis: H256([1; 32]),
			programme: 2,
			round: 3,
			base: H256([4; 32]),
			config: H256([5; 32]),
			producer: [6; 32],
			device: 7,
			samples: 8,
			local_steps: 9,
		}
	}

	#[test]
	fn update_envelope_round_trips_through_metadata() {
		let metadata = envelope().to_metadata();
		assert_eq!(UpdateEnvelope::from_metadata(&metadata), Ok(envelope()));
		assert_eq!(envelope().check(&expected()), Ok(()));
	}

	#[test]
	fn update_envelope_is_refused_when_any_field_is_missing_or_extra() {
		let metadata = envelope().to_metadata();
		for key in metadata.keys() {
			let mut map = metadata.clone();
			map.remove(key);
			assert!(
				matches!(UpdateEnvelope::from_metadata(&map), Err(EnvelopeError::Missing { field }) if field == key)
			);
		}
		let mut map = metadata;
		map.insert("extra".into(), "1".into());
		assert_eq!(
			UpdateEnvelope::from_metadata(&map),
			Err(EnvelopeError::Unknown { field: "extra".into() })
		);
	}

	#[test]
	fn update_envelope_is_refused_when_a_value_is_not_canonical() {
		for (key, value) in [
			("round", "03"),
			("round", "+3"),
			("round", "-3"),
			("round", "4294967296"),
			("base", "0404"),
			("clip_norm", "1.50"),
			("clip_norm", "NaN"),
			("clip_norm", "inf"),
			("noise_multiplier", "-0"),
			("noise_multiplier", "-1"),
			("seed", ""),
		] {
			let mut map = envelope().to_metadata();
			map.insert(key.into(), value.into());
			assert!(
				matches!(UpdateEnvelope::from_metadata(&map), Err(EnvelopeError::Malformed { field, .. }) if field == key),
				"{key}={value}"
			);
		}
		let mut map = envelope().to_metadata();
		let upper = map["base"].replace("0x", "0X");
		map.insert("base".into(), upper);
		assert!(UpdateEnvelope::from_metadata(&map).is_err());
	}

	#[test]
	fn every_field_the_chain_knows_is_checked() {
		type Change = fn(&mut ExpectedUpdate);
		let changes: [(&str, Change); 9] = [
			("genesis", |e| e.genesis = H256::zero()),
			("programme", |e| e.programme += 1),
			("round", |e| e.round += 1),
			("base", |e| e.base = H256::zero()),
			("config", |e| e.config = H256::zero()),
			("producer", |e| e.producer = [0; 32]),
			("device", |e| e.device += 1),
			("samples", |e| e.samples += 1),
			("local_steps", |e| e.local_steps += 1),
		];
		for (name, change) in changes {
			let mut other = expected();
			change(&mut other);
			assert!(
				matches!(envelope().check(&other), Err(EnvelopeError::Mismatch { field, .. }) if field == name)
			);
		}
	}

	#[test]
	fn weights_and_state_envelopes_round_trip_and_stay_apart() {
		let genesis = WeightsEnvelope::Genesis { config: H256([1; 32]) };
		let aggregate = |state| WeightsEnvelope::Aggregate {
			genesis: H256([1; 32]),
			programme: 2,
			round: 3,
			config: H256([4; 32]),
			base: H256([5; 32]),
			inputs: H256([6; 32]),
			state,
		};
		let state = StateEnvelope {
			genesis: H256([1; 32]),
			programme: 2,
			round: 3,
			config: H256([4; 32]),
			base: H256([5; 32]),
			inputs: H256([6; 32]),
			steps: 7,
		};
		for envelope in [genesis, aggregate(None), aggregate(Some(H256([8; 32])))] {
			let metadata = envelope.to_metadata();
			assert_eq!(WeightsEnvelope::from_metadata(&metadata), Ok(envelope));
			assert!(UpdateEnvelope::from_metadata(&metadata).is_err());
			assert!(StateEnvelope::from_metadata(&metadata).is_err());
		}
		let metadata = state.to_metadata();
		assert_eq!(StateEnvelope::from_metadata(&metadata), Ok(state));
		assert!(WeightsEnvelope::from_metadata(&metadata).is_err());
		assert!(UpdateEnvelope::from_metadata(&metadata).is_err());
		assert!(WeightsEnvelope::from_metadata(&envelope().to_metadata()).is_err());
		for key in metadata.keys() {
			let mut map = metadata.clone();
			map.remove(key);
			assert!(
				matches!(StateEnvelope::from_metadata(&map), Err(EnvelopeError::Missing { field }) if field == key)
			);
		}
	}

	#[test]
	fn weights_without_a_state_say_what_they_always_said() {
		let envelope = WeightsEnvelope::Aggregate {
			genesis: H256([1; 32]),
			programme: 2,
			round: 3,
			config: H256([4; 32]),
			base: H256([5; 32]),
			inputs: H256([6; 32]),
			state: None,
		};
		let keys: Vec<_> = envelope.to_metadata().into_keys().collect();
		assert_eq!(keys, ["base", "cairn", "config", "genesis", "inputs", "programme", "round"]);
		let mut map = envelope.to_metadata();
		map.insert("state".into(), "none".into());
		assert!(matches!(
			WeightsEnvelope::from_metadata(&map),
			Err(EnvelopeError::Malformed { field: "state", .. })
		));
	}
}
