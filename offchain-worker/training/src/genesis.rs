//! The weights a programme starts from.

use crate::{
	config::TrainingConfig,
	model::{self, Init},
	random::Stream,
};
use cairn_artifacts::{Tensor, TensorFile};
use cairn_primitives::{artifact_hash, envelope::WeightsEnvelope};

/// The weights that `config` starts from: the same bits on every host, so that anyone can check that nobody chose
/// them.
///
/// Weights are drawn uniformly from ±gain·√(3 / fan_in) (He et al. 2015), biases are zero. Each tensor has its own
/// ChaCha20 stream, keyed by the configuration's `genesis_seed` and the tensor's name; value `i` is
/// `bound · (k·2⁻²³ − 1)` with `k` the upper 24 bits of the stream's word `i`. No libtorch takes part.
///
/// The configuration must be valid, as it is when it came from [`TrainingConfig::from_toml`] or
/// [`TrainingConfig::from_artifact`].
///
/// # Panics
/// When the configuration was put together by hand and is not valid.
pub fn genesis_weights(config: &TrainingConfig) -> TensorFile {
	let tensors = model::parameters(config)
		.into_iter()
		.map(|parameter| {
			let len = parameter.shape.iter().product();
			let data = match parameter.init {
				Init::Zero => vec![0.0; len],
				Init::Uniform { bound } => {
					let mut stream =
						Stream::new("genesis weights", config.genesis_seed, &[parameter.name.as_bytes()]);
					(0..len).map(|_| bound * stream.signed_unit()).collect()
				},
			};
			Tensor { name: parameter.name, shape: parameter.shape, data }
		})
		.collect();
	let envelope = WeightsEnvelope::Genesis { config: artifact_hash(&config.to_artifact()) };
	TensorFile::new(envelope.to_metadata(), tensors)
		.expect("names are distinct and every tensor has as many values as its shape says; qed")
}

#[cfg(test)]
mod tests {
	#![allow(clippy::unwrap_used)]
	use super::*;
	use crate::{DIGITS_CNN, DIGITS_MLP};

	#[test]
	fn genesis_weights_have_the_published_hashes() {
		let hashes = [DIGITS_MLP, DIGITS_CNN].map(|text| {
			let config = TrainingConfig::from_toml(text).unwrap();
			let [config_hash, weights_hash] = [config.to_artifact(), genesis_weights(&config).to_bytes()]
				.map(|bytes| format!("{:?}", artifact_hash(&bytes)));
			(config_hash, weights_hash)
		});
		let golden = GOLDEN.map(|(config, weights)| (config.to_owned(), weights.to_owned()));
		assert_eq!(hashes, golden);
	}

	/// Configuration and genesis weights of the shipped perceptron and convolutional network.
	const GOLDEN: [(&str, &str); 2] = [
		(
			"0xeb76bd803836db7bd2a5dfedbe0e4db9472bfa67cf37ad8fbfbbf9104c0ef654",
			"0xf3a27713478cfc6b088e47990318cd31627d3e435073a5aea1fb9a21c1965893",
		),
		(
			"0x719690101cd06d6d8b79d8551fc842e69c4ce655fc2ed17caca73d47c63aa151",
			"0x50c8d08be252fa9d28c13fe10d1a8e2ca383678879e80b9ce88b2226cd8fd75d",
		),
	];

	#[test]
	fn genesis_weights_fit_the_model_and_name_its_configuration() {
		let config = TrainingConfig::from_toml(DIGITS_CNN).unwrap();
		let weights = genesis_weights(&config);
		assert_eq!(weights.signature(), config.signature());
		assert_eq!(
			WeightsEnvelope::from_metadata(weights.metadata()),
			Ok(WeightsEnvelope::Genesis { config: artifact_hash(&config.to_artifact()) })
		);
		for parameter in model::parameters(&config) {
			let data = &weights.get(&parameter.name).unwrap().data;
			match parameter.init {
				Init::Zero => assert!(data.iter().all(|v| *v == 0.0)),
				Init::Uniform { bound } => {
					assert!(data.iter().all(|v| v.abs() <= bound));
					// They fill the range: some value lies in each outer quarter.
					assert!(data.iter().any(|v| *v > bound / 2.0) && data.iter().any(|v| *v < -bound / 2.0));
				},
			}
		}
	}

	#[test]
	fn genesis_weights_differ_when_the_seed_differs() {
		let config = TrainingConfig::from_toml(DIGITS_MLP).unwrap();
		let other = TrainingConfig { genesis_seed: config.genesis_seed + 1, ..config.clone() };
		let name = "dense.0.weight";
		let (a, b) = (genesis_weights(&config), genesis_weights(&other));
		assert_ne!(a.get(name).unwrap().data, b.get(name).unwrap().data);
	}
}
