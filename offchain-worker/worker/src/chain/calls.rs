//! The calls the worker makes, encoded by the metadata the node has at run time.

use cairn_primitives::{
	hardware::{Measurement, Speed},
	ArtifactHash, DeviceClass, DeviceId, EnergySource, ProgrammeId, RoundIndex, SiteId, H256,
};
use subxt::{
	dynamic::{self, Value},
	ext::scale_value::Composite,
	transactions::DynamicPayload,
	utils::AccountId32,
};

/// A call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Call {
	/// `Hardware.register_site`
	RegisterSite {
		/// Its name, 1 to 64 bytes.
		name: String,
		/// Where it stands.
		region: String,
		/// What powers it.
		energy: EnergySource,
	},
	/// `Hardware.register_device`
	RegisterDevice {
		/// The site.
		site: SiteId,
		/// The account the device signs with.
		account: AccountId32,
		/// What it is.
		class: DeviceClass,
		/// Memory, MiB.
		memory_mib: u32,
	},
	/// `Hardware.activate_device`
	ActivateDevice {
		/// The libp2p identity's ed25519 public key.
		network_key: [u8; 32],
		/// Its signature over the account.
		proof: [u8; 64],
	},
	/// `Hardware.describe_device`
	DescribeDevice {
		/// The device.
		device: DeviceId,
		/// Who made it.
		vendor: Vec<u8>,
		/// Which model it is.
		model: Vec<u8>,
		/// Memory, MiB.
		memory_mib: u32,
		/// Hash of the software image it runs.
		image: Option<H256>,
	},
	/// `Hardware.request_attestation`
	RequestAttestation,
	/// `Hardware.submit_measurement`
	SubmitMeasurement {
		/// The seed of the benchmark.
		nonce: H256,
		/// What it showed.
		measurement: Measurement,
	},
	/// `Hardware.attest`
	Attest {
		/// The device.
		device: DeviceId,
		/// The seed of the benchmark.
		nonce: H256,
		/// The speed to vouch for; `None` for a false measurement.
		statement: Option<Speed>,
	},
	/// `Hardware.recheck`
	Recheck,
	/// `Rewards.bond`
	Bond {
		/// Plancks.
		amount: u128,
	},
	/// `Rewards.fund`
	Fund {
		/// The programme.
		programme: ProgrammeId,
		/// Plancks.
		amount: u128,
	},
	/// `Rewards.claim`
	Claim {
		/// The programme.
		programme: ProgrammeId,
	},
	/// `Training.enlist_aggregator`
	EnlistAggregator,
	/// `Training.commit_update`
	CommitUpdate {
		/// The programme.
		programme: ProgrammeId,
		/// The round.
		round: RoundIndex,
		/// The update.
		artifact: ArtifactHash,
		/// Declared samples.
		samples: u32,
		/// Declared local steps.
		local_steps: u32,
	},
	/// `Training.vote_availability`
	VoteAvailability {
		/// The programme.
		programme: ProgrammeId,
		/// The round.
		round: RoundIndex,
		/// The committee's number.
		attempt: u32,
		/// Canonical bitmap over the commits.
		bitmap: Vec<u8>,
	},
	/// `Training.commit_aggregate`
	CommitAggregate {
		/// The programme.
		programme: ProgrammeId,
		/// The round.
		round: RoundIndex,
		/// The committee's number.
		attempt: u32,
		/// The commitment.
		commitment: H256,
	},
	/// `Training.reveal_aggregate`
	RevealAggregate {
		/// The programme.
		programme: ProgrammeId,
		/// The round.
		round: RoundIndex,
		/// The committee's number.
		attempt: u32,
		/// The next weights.
		result: ArtifactHash,
		/// Quality of each included update in canonical order, per cent.
		quality: Vec<u8>,
		/// What hid them.
		salt: H256,
	},
	/// `Training.challenge`
	Challenge {
		/// The programme.
		programme: ProgrammeId,
		/// The round.
		round: RoundIndex,
		/// What the next weights are according to this worker.
		claimed: ArtifactHash,
	},
	/// `Training.advance`
	Advance {
		/// The programme.
		programme: ProgrammeId,
	},
}

fn number(n: u32) -> Value {
	Value::u128(n.into())
}

fn option(value: Option<Value>) -> Value {
	match value {
		Some(value) => Value::unnamed_variant("Some", [value]),
		None => Value::unnamed_variant("None", []),
	}
}

fn unit<T: std::fmt::Debug>(variant: &T) -> Value {
	// The unit variants of cairn-primitives have the same names in the metadata.
	Value::unnamed_variant(format!("{variant:?}"), [])
}

impl Call {
	/// Pallet and call, as the metadata names them.
	pub fn name(&self) -> (&'static str, &'static str) {
		match self {
			Self::RegisterSite { .. } => ("Hardware", "register_site"),
			Self::RegisterDevice { .. } => ("Hardware", "register_device"),
			Self::ActivateDevice { .. } => ("Hardware", "activate_device"),
			Self::DescribeDevice { .. } => ("Hardware", "describe_device"),
			Self::RequestAttestation => ("Hardware", "request_attestation"),
			Self::SubmitMeasurement { .. } => ("Hardware", "submit_measurement"),
			Self::Attest { .. } => ("Hardware", "attest"),
			Self::Recheck => ("Hardware", "recheck"),
			Self::Bond { .. } => ("Rewards", "bond"),
			Self::Fund { .. } => ("Rewards", "fund"),
			Self::Claim { .. } => ("Rewards", "claim"),
			Self::EnlistAggregator => ("Training", "enlist_aggregator"),
			Self::CommitUpdate { .. } => ("Training", "commit_update"),
			Self::VoteAvailability { .. } => ("Training", "vote_availability"),
			Self::CommitAggregate { .. } => ("Training", "commit_aggregate"),
			Self::RevealAggregate { .. } => ("Training", "reveal_aggregate"),
			Self::Challenge { .. } => ("Training", "challenge"),
			Self::Advance { .. } => ("Training", "advance"),
		}
	}

	/// The arguments in the order of the call.
	fn arguments(&self) -> Vec<Value> {
		match self {
			Self::RegisterSite { name, region, energy } => {
				vec![Value::from_bytes(name), Value::from_bytes(region), unit(energy)]
			},
			Self::RegisterDevice { site, account, class, memory_mib } => {
				vec![number(*site), Value::from_bytes(account.0), unit(class), number(*memory_mib)]
			},
			Self::ActivateDevice { network_key, proof } => {
				vec![Value::from_bytes(network_key), Value::from_bytes(proof)]
			},
			Self::Bond { amount } => vec![Value::u128(*amount)],
			Self::Fund { programme, amount } => vec![number(*programme), Value::u128(*amount)],
			Self::Claim { programme } | Self::Advance { programme } => vec![number(*programme)],
			Self::EnlistAggregator | Self::RequestAttestation | Self::Recheck => Vec::new(),
			Self::DescribeDevice { device, vendor, model, memory_mib, image } => vec![
				number(*device),
				Value::from_bytes(vendor),
				Value::from_bytes(model),
				number(*memory_mib),
				option(image.map(Value::from_bytes)),
			],
			Self::SubmitMeasurement { nonce, measurement } => vec![
				Value::from_bytes(nonce),
				Value::named_composite([
					("products", number(measurement.products)),
					("product_ms", number(measurement.product_ms)),
					("sweeps", number(measurement.sweeps)),
					("sweep_ms", number(measurement.sweep_ms)),
					("digest", Value::from_bytes(measurement.digest)),
				]),
			],
			Self::Attest { device, nonce, statement } => {
				let speed = |speed: Speed| {
					Value::named_composite([
						("flops", Value::u128(speed.flops.into())),
						("bandwidth", Value::u128(speed.bandwidth.into())),
					])
				};
				vec![number(*device), Value::from_bytes(nonce), option(statement.map(speed))]
			},
			Self::CommitUpdate { programme, round, artifact, samples, local_steps } => vec![
				number(*programme),
				number(*round),
				Value::from_bytes(artifact),
				number(*samples),
				number(*local_steps),
			],
			Self::VoteAvailability { programme, round, attempt, bitmap } => {
				vec![number(*programme), number(*round), number(*attempt), Value::from_bytes(bitmap)]
			},
			Self::CommitAggregate { programme, round, attempt, commitment } => {
				vec![number(*programme), number(*round), number(*attempt), Value::from_bytes(commitment)]
			},
			Self::RevealAggregate { programme, round, attempt, result, quality, salt } => vec![
				number(*programme),
				number(*round),
				number(*attempt),
				Value::from_bytes(result),
				Value::from_bytes(quality),
				Value::from_bytes(salt),
			],
			Self::Challenge { programme, round, claimed } => {
				vec![number(*programme), number(*round), Value::from_bytes(claimed)]
			},
		}
	}

	/// The call for subxt, which encodes it by the metadata.
	pub(crate) fn payload(&self) -> DynamicPayload<Composite<()>> {
		let (pallet, call) = self.name();
		dynamic::transaction(pallet, call, Composite::unnamed(self.arguments()))
	}
}
