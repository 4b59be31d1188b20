//! The training configuration: what every worker of a programme does with its data.
//!
//! A person writes it as TOML; the programme names its canonical artifact form by hash. One configuration has exactly
//! one artifact: canonical JSON (keys sorted, no white space) with every field present (but for those that came later,
//! which are left out where they change nothing, so that a hash never changes), and each non-integer number
//! as a *string* that holds the shortest decimal digits that read back as the same `f64`, without an exponent
//! (`"0.05"`, `"0.00000001"`), as in the envelopes of `cairn-primitives`. JSON numbers would be written differently
//! by different libraries (`1e-8`, `1e-08`, `0.00000001`).

use crate::model;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The key of an artifact that says what follows.
const FORMAT_KEY: &str = "cairn";
/// Format of a configuration artifact.
pub const CONFIG_FORMAT: &str = "training-config/1";
/// The largest configuration artifact that is read, in bytes.
pub const MAX_CONFIG_BYTES: usize = 65_536;
/// The most values that one sample may have.
pub const MAX_INPUT_VALUES: u64 = 1 << 24;
/// The most parameters that a model may have; as F32 they take 1 GiB.
pub const MAX_PARAMETERS: u64 = 1 << 28;
/// The most classes.
pub const MAX_CLASSES: u32 = 65_536;
/// The widest layer.
pub const MAX_WIDTH: u32 = 65_536;
/// The most layers in one list of layers.
pub const MAX_LAYERS: usize = 64;

/// Why a configuration was refused.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ConfigError {
	/// The TOML file does not parse, lacks a field, or has one that is not known. The message shows the line.
	#[error("the model file is not valid: {0}")]
	Toml(String),
	/// The artifact does not parse, lacks a field, or has one that is not known.
	#[error("the training configuration artifact is not valid: {0}")]
	Json(String),
	/// The artifact is larger than any configuration.
	#[error("the training configuration artifact has {0} bytes, but at most {MAX_CONFIG_BYTES} are read")]
	TooLarge(usize),
	/// The artifact is something else.
	#[error(
		"the artifact's `cairn` key is {found}, but a training configuration has \"{CONFIG_FORMAT}\"; \
		 check the hash, or use a release that knows this format"
	)]
	Format {
		/// What stood there.
		found: String,
	},
	/// The artifact says something valid in other bytes than the canonical ones, so its hash is not the
	/// configuration's name.
	#[error(
		"the training configuration is not in canonical form (sorted keys, no white space, every field present, \
		 decimals as strings): write it again with `TrainingConfig::to_artifact`"
	)]
	NotCanonical,
	/// A value outside of what is possible.
	#[error("`{field}` is {value}, but must be {allowed}")]
	Range {
		/// The field, as it is written in the file.
		field: String,
		/// What stood there.
		value: String,
		/// What may stand there.
		allowed: String,
	},
}

/// The non-linearity after each hidden layer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
	/// max(0, x).
	Relu,
	/// The hyperbolic tangent.
	Tanh,
	/// x·Φ(x) with the exact error function (Hendrycks & Gimpel 2016), not its tanh approximation.
	Gelu,
}

/// The model's architecture.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "family", rename_all = "snake_case", deny_unknown_fields)]
pub enum ModelSpec {
	/// A multi-layer perceptron over the flattened input.
	Mlp {
		/// Widths of the hidden layers, first to last; empty for plain softmax regression.
		hidden: Vec<u32>,
		/// The non-linearity after each hidden layer.
		activation: Activation,
	},
	/// Convolutions (stride 1, zero padding that keeps the size), each followed by the activation and a max-pool,
	/// then dense layers. The input is `[channels, height, width]`.
	Cnn {
		/// Output channels of the convolutions, first to last.
		channels: Vec<u32>,
		/// Side of the square kernel; odd.
		kernel: u32,
		/// Side and stride of the max-pool after each convolution; 1 for none.
		pool: u32,
		/// Widths of the hidden dense layers after the convolutions; may be empty.
		dense: Vec<u32>,
		/// The non-linearity after each convolution and each hidden dense layer.
		activation: Activation,
	},
}

/// How local steps move the weights. The state (momenta) stays with the worker. It starts at zero in every round, unless
/// [`TrainingConfig::keep_momentum`] says otherwise.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Optimiser {
	/// Stochastic gradient descent: `g += weight_decay·w; v = momentum·v + g; w -= learning_rate·v`.
	Sgd {
		/// Step size.
		#[serde(with = "decimal")]
		learning_rate: f64,
		/// Heavy-ball momentum; 0 for none.
		#[serde(with = "decimal", default)]
		momentum: f64,
		/// L2 penalty added to the gradient; 0 for none.
		#[serde(with = "decimal", default)]
		weight_decay: f64,
	},
	/// Adam with bias correction (Kingma & Ba 2014, algorithm 1).
	Adam {
		/// Step size.
		#[serde(with = "decimal")]
		learning_rate: f64,
		/// Decay of the first moment.
		#[serde(with = "decimal", default = "default_beta1")]
		beta1: f64,
		/// Decay of the second moment.
		#[serde(with = "decimal", default = "default_beta2")]
		beta2: f64,
		/// Added to the square root of the second moment.
		#[serde(with = "decimal", default = "default_epsilon")]
		epsilon: f64,
		/// L2 penalty added to the gradient; 0 for none.
		#[serde(with = "decimal", default)]
		weight_decay: f64,
	},
}

fn default_beta1() -> f64 {
	0.9
}

fn default_beta2() -> f64 {
	0.999
}

fn default_epsilon() -> f64 {
	1e-8
}

impl Optimiser {
	/// The step size.
	pub fn learning_rate(&self) -> f64 {
		match self {
			Self::Sgd { learning_rate, .. } | Self::Adam { learning_rate, .. } => *learning_rate,
		}
	}
}

/// What every worker of a programme does with its data, and the model it does it to.
///
/// A value that came from [`TrainingConfig::from_toml`] or [`TrainingConfig::from_artifact`] has been checked. One
/// that was put together by hand has not: call [`TrainingConfig::validate`].
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingConfig {
	/// Shape of one sample. A data set fits when it has as many values per sample, in the same (row-major) order.
	pub input: Vec<u32>,
	/// Number of classes; labels are `0 .. classes`.
	pub classes: u32,
	/// Samples per local step.
	pub batch_size: u32,
	/// Local steps that a worker takes per round, unless it is asked for another number.
	pub local_steps: u32,
	/// Seed of the genesis weights.
	pub genesis_seed: u64,
	/// The architecture.
	pub model: ModelSpec,
	/// How local steps move the weights.
	pub optimiser: Optimiser,
	/// The weight μ of the proximal term that FedProx adds to the loss of each local step, μ/2·‖w − w₀‖² with the
	/// round's base weights w₀ (Li and others 2020, "Federated Optimization in Heterogeneous Networks"): it holds
	/// workers with unlike data together. 0 for none, and then the artifact does not have it, so that configurations
	/// from before there was one keep their hashes.
	#[serde(with = "decimal", default, skip_serializing_if = "is_zero")]
	pub proximal: f64,
	/// Worker momentum (Karimireddy and others 2021, "Learning from History for Byzantine Robust Optimization"): the
	/// optimiser's momenta go on from round to round at each worker, so that its updates vary less and a hostile one
	/// has less to hide in. Left out of the artifact when false, as it is when left out of the file.
	#[serde(default, skip_serializing_if = "is_false")]
	pub keep_momentum: bool,
}

/// Exactly +0: -0 is written, and then refused.
fn is_zero(value: &f64) -> bool {
	value.to_bits() == 0
}

fn is_false(value: &bool) -> bool {
	!value
}

impl TrainingConfig {
	/// Reads and checks a model file.
	///
	/// # Errors
	/// [`ConfigError::Toml`] with the line when the file does not parse, lacks a field or has an unknown one;
	/// [`ConfigError::Range`] when a value is not possible.
	pub fn from_toml(text: &str) -> Result<Self, ConfigError> {
		let config: Self =
			toml::from_str(text).map_err(|e| ConfigError::Toml(e.to_string().trim_end().to_owned()))?;
		config.validate()?;
		Ok(config)
	}

	/// The canonical artifact: the bytes whose BLAKE3 hash names this configuration.
	pub fn to_artifact(&self) -> Vec<u8> {
		let mut value = serde_json::to_value(self)
			.expect("the fields are integers, strings and lists of them, which JSON can always hold; qed");
		if let Value::Object(map) = &mut value {
			map.insert(FORMAT_KEY.to_owned(), Value::String(CONFIG_FORMAT.to_owned()));
		}
		cairn_artifacts::config::canonical_json(&value)
	}

	/// Reads and checks a canonical artifact.
	///
	/// # Errors
	/// When the bytes are not exactly what [`TrainingConfig::to_artifact`] writes for a valid configuration.
	pub fn from_artifact(bytes: &[u8]) -> Result<Self, ConfigError> {
		if bytes.len() > MAX_CONFIG_BYTES {
			return Err(ConfigError::TooLarge(bytes.len()));
		}
		let mut value: Value = serde_json::from_slice(bytes).map_err(|e| ConfigError::Json(e.to_string()))?;
		let Value::Object(map) = &mut value else {
			return Err(ConfigError::Json("not a JSON object".to_owned()));
		};
		match map.remove(FORMAT_KEY) {
			Some(Value::String(format)) if format == CONFIG_FORMAT => {},
			found => {
				let found = found.map_or_else(|| "missing".to_owned(), |v| v.to_string());
				return Err(ConfigError::Format { found });
			},
		}
		let config: Self = serde_json::from_value(value).map_err(|e| ConfigError::Json(e.to_string()))?;
		config.validate()?;
		if config.to_artifact() != bytes {
			return Err(ConfigError::NotCanonical);
		}
		Ok(config)
	}

	/// The names and shapes of the model's tensors, sorted by name as in a weights file.
	pub fn signature(&self) -> Vec<(String, Vec<usize>)> {
		let mut signature: Vec<_> = model::parameters(self).into_iter().map(|p| (p.name, p.shape)).collect();
		signature.sort();
		signature
	}

	/// How many values one sample has.
	pub fn input_values(&self) -> usize {
		self.input.iter().map(|&d| d as usize).product()
	}

	/// How many parameters the model has.
	pub fn parameter_count(&self) -> usize {
		model::parameters(self).iter().map(|p| p.shape.iter().product::<usize>()).sum()
	}

	/// Checks every value.
	///
	/// # Errors
	/// [`ConfigError::Range`] names the first value that is not possible, and what is.
	pub fn validate(&self) -> Result<(), ConfigError> {
		length("input", &self.input, 1, 4)?;
		for &side in &self.input {
			within("input", side, 1, MAX_WIDTH)?;
		}
		let values = product(&self.input);
		if values > MAX_INPUT_VALUES {
			return Err(range("input", format!("{:?} ({values} values)", self.input), {
				format!("of at most {MAX_INPUT_VALUES} values")
			}));
		}
		within("classes", self.classes, 2, MAX_CLASSES)?;
		within("batch_size", self.batch_size, 1, 65_536)?;
		within("local_steps", self.local_steps, 1, 1_000_000)?;
		match &self.model {
			ModelSpec::Mlp { hidden, .. } => widths("model.hidden", hidden, 0)?,
			ModelSpec::Cnn { channels, kernel, pool, dense, .. } => {
				if self.input.len() != 3 {
					return Err(range(
						"input",
						format!("{:?}", self.input),
						"[channels, height, width] for the family \"cnn\"",
					));
				}
				widths("model.channels", channels, 1)?;
				widths("model.dense", dense, 0)?;
				within("model.pool", *pool, 1, 16)?;
				within("model.kernel", *kernel, 1, 15)?;
				if kernel % 2 == 0 {
					return Err(range("model.kernel", kernel, "odd, so that padding keeps the image's size"));
				}
				let (mut height, mut width) = (self.input[1], self.input[2]);
				for layer in 1..=channels.len() {
					(height, width) = (height / pool, width / pool);
					if height == 0 || width == 0 {
						return Err(range(
							"model.pool",
							pool,
							format!(
								"small enough to leave pixels after each convolution: nothing of {}x{} is left \
								 after layer {layer}; use fewer `channels` or a smaller `pool`",
								self.input[1], self.input[2]
							),
						));
					}
				}
			},
		}
		let parameters = self.parameter_total();
		if parameters > MAX_PARAMETERS {
			return Err(range(
				"model",
				format!("a model of {parameters} parameters"),
				format!("one of at most {MAX_PARAMETERS}; make layers narrower"),
			));
		}
		if !(0.0..=1000.0).contains(&self.proximal) || self.proximal.is_sign_negative() {
			return Err(range(
				"proximal",
				self.proximal,
				"between 0 and 1000; 0 switches it off, 0.001 to 1 is usual",
			));
		}
		match &self.optimiser {
			Optimiser::Sgd { momentum, .. } if self.keep_momentum && *momentum == 0.0 => Err(range(
				"keep_momentum",
				true,
				"false where `optimiser.momentum` is 0, because there is none to keep",
			)),
			Optimiser::Sgd { learning_rate, momentum, weight_decay } => {
				rate("optimiser.learning_rate", *learning_rate)?;
				fraction("optimiser.momentum", *momentum)?;
				decay("optimiser.weight_decay", *weight_decay)
			},
			Optimiser::Adam { learning_rate, beta1, beta2, epsilon, weight_decay } => {
				rate("optimiser.learning_rate", *learning_rate)?;
				fraction("optimiser.beta1", *beta1)?;
				fraction("optimiser.beta2", *beta2)?;
				if !(1e-16..=1.0).contains(epsilon) {
					return Err(range("optimiser.epsilon", epsilon, "between 1e-16 and 1; 1e-8 is usual"));
				}
				decay("optimiser.weight_decay", *weight_decay)
			},
		}
	}

	/// The number of parameters without building their list, saturating: the sizes are not checked yet.
	fn parameter_total(&self) -> u64 {
		let dense = |mut from: u64, hidden: &[u32]| {
			let mut sum = 0u64;
			for to in hidden.iter().chain([&self.classes]).map(|&w| u64::from(w)) {
				sum = sum.saturating_add(from.saturating_add(1).saturating_mul(to));
				from = to;
			}
			sum
		};
		match &self.model {
			ModelSpec::Mlp { hidden, .. } => dense(product(&self.input), hidden),
			ModelSpec::Cnn { channels, kernel, pool, dense: hidden, .. } => {
				let (mut from, mut height, mut width) =
					(u64::from(self.input[0]), self.input[1], self.input[2]);
				let area = u64::from(*kernel).saturating_mul(u64::from(*kernel));
				let mut sum = 0u64;
				for to in channels.iter().map(|&c| u64::from(c)) {
					sum = sum.saturating_add(from.saturating_mul(area).saturating_add(1).saturating_mul(to));
					(from, height, width) = (to, height / pool, width / pool);
				}
				let flat = from.saturating_mul(u64::from(height)).saturating_mul(u64::from(width));
				sum.saturating_add(dense(flat, hidden))
			},
		}
	}
}

fn range(field: &str, value: impl ToString, allowed: impl Into<String>) -> ConfigError {
	ConfigError::Range { field: field.to_owned(), value: value.to_string(), allowed: allowed.into() }
}

fn within(field: &str, value: u32, least: u32, most: u32) -> Result<(), ConfigError> {
	if (least..=most).contains(&value) {
		Ok(())
	} else {
		Err(range(field, value, format!("between {least} and {most}")))
	}
}

fn length(field: &str, list: &[u32], least: usize, most: usize) -> Result<(), ConfigError> {
	if (least..=most).contains(&list.len()) {
		Ok(())
	} else {
		Err(range(field, format!("a list of {}", list.len()), format!("a list of {least} to {most} numbers")))
	}
}

fn widths(field: &str, list: &[u32], least: usize) -> Result<(), ConfigError> {
	length(field, list, least, MAX_LAYERS)?;
	list.iter().try_for_each(|&width| within(field, width, 1, MAX_WIDTH))
}

fn product(list: &[u32]) -> u64 {
	list.iter().fold(1u64, |product, &d| product.saturating_mul(u64::from(d)))
}

fn rate(field: &str, value: f64) -> Result<(), ConfigError> {
	if (1e-12..=100.0).contains(&value) {
		Ok(())
	} else {
		Err(range(field, value, "between 1e-12 and 100; 0.001 to 0.1 is usual"))
	}
}

/// Refuses `-0` as well: it equals 0 but has another text form.
fn fraction(field: &str, value: f64) -> Result<(), ConfigError> {
	if (0.0..1.0).contains(&value) && value.is_sign_positive() {
		Ok(())
	} else {
		Err(range(field, value, "at least 0 and less than 1"))
	}
}

fn decay(field: &str, value: f64) -> Result<(), ConfigError> {
	if (0.0..=1.0).contains(&value) && value.is_sign_positive() {
		Ok(())
	} else {
		Err(range(field, value, "between 0 and 1; 0 switches it off"))
	}
}

/// A decimal: read from a number or from text, written as text. Rust writes an `f64` with the fewest digits that read
/// back as the same value and never with an exponent, so a value has one form.
mod decimal {
	use serde::{de, Deserializer, Serializer};
	use std::fmt;

	pub fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
		serializer.collect_str(value)
	}

	pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
		struct Visitor;
		impl de::Visitor<'_> for Visitor {
			type Value = f64;

			fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
				f.write_str("a decimal number such as 0.05")
			}

			fn visit_f64<E: de::Error>(self, value: f64) -> Result<f64, E> {
				Ok(value)
			}

			fn visit_i64<E: de::Error>(self, value: i64) -> Result<f64, E> {
				Ok(value as f64)
			}

			fn visit_u64<E: de::Error>(self, value: u64) -> Result<f64, E> {
				Ok(value as f64)
			}

			fn visit_str<E: de::Error>(self, text: &str) -> Result<f64, E> {
				text.parse().map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
			}
		}
		deserializer.deserialize_any(Visitor)
	}
}

#[cfg(test)]
mod tests {
	#![allow(clippy::unwrap_used)]
	use super::*;
	use crate::{DIGITS_CNN, DIGITS_MLP};

	fn mlp() -> TrainingConfig {
		TrainingConfig::from_toml(DIGITS_MLP).unwrap()
	}

	fn cnn() -> TrainingConfig {
		TrainingConfig::from_toml(DIGITS_CNN).unwrap()
	}

	#[test]
	fn shipped_configurations_round_trip_through_their_artifacts() {
		for config in [mlp(), cnn()] {
			let artifact = config.to_artifact();
			assert_eq!(TrainingConfig::from_artifact(&artifact), Ok(config));
		}
	}

	#[test]
	fn artifact_is_sorted_json_with_decimals_as_strings() {
		let config = TrainingConfig {
			input: vec![4],
			classes: 3,
			batch_size: 2,
			local_steps: 7,
			genesis_seed: u64::MAX,
			model: ModelSpec::Mlp { hidden: vec![], activation: Activation::Tanh },
			optimiser: Optimiser::Adam {
				learning_rate: 0.05,
				beta1: 0.9,
				beta2: 0.999,
				epsilon: 1e-8,
				weight_decay: 0.0,
			},
			proximal: 0.0,
			keep_momentum: false,
		};
		assert_eq!(
			String::from_utf8(config.to_artifact()).unwrap(),
			r#"{"batch_size":2,"cairn":"training-config/1","classes":3,"genesis_seed":18446744073709551615,"input":[4],"local_steps":7,"model":{"activation":"tanh","family":"mlp","hidden":[]},"optimiser":{"beta1":"0.9","beta2":"0.999","epsilon":"0.00000001","kind":"adam","learning_rate":"0.05","weight_decay":"0"}}"#
		);
		assert_eq!(TrainingConfig::from_artifact(&config.to_artifact()), Ok(config));
	}

	#[test]
	fn proximal_term_and_kept_momentum_are_declared_in_the_artifact_and_left_out_when_off() {
		let on = TrainingConfig { proximal: 0.01, keep_momentum: true, ..mlp() };
		let text = String::from_utf8(on.to_artifact()).unwrap();
		assert!(
			text.contains(r#""keep_momentum":true,"#) && text.contains(r#""proximal":"0.01"}"#),
			"{text}"
		);
		assert_eq!(TrainingConfig::from_artifact(text.as_bytes()), Ok(on));
		let off = String::from_utf8(mlp().to_artifact()).unwrap();
		assert!(!off.contains("proximal") && !off.contains("keep_momentum"));
		for part in [r#","proximal":"0"}"#, r#","proximal":"-0"}"#] {
			let other = format!("{}{part}", &off[..off.len() - 1]);
			assert!(TrainingConfig::from_artifact(other.as_bytes()).is_err(), "{other}");
		}
		let written = DIGITS_MLP.replace("[model]", "proximal = 0.01\nkeep_momentum = true\n[model]");
		let read = TrainingConfig::from_toml(&written).unwrap();
		assert_eq!((read.proximal, read.keep_momentum), (0.01, true));
	}

	#[test]
	fn artifact_is_refused_when_it_says_the_same_in_other_bytes() {
		let text = String::from_utf8(mlp().to_artifact()).unwrap();
		let rate = format!("\"learning_rate\":\"{}\"", mlp().optimiser.learning_rate());
		assert!(text.contains(&rate));
		for (from, to) in [
			("\"batch_size\":", "\"batch_size\": "),
			(rate.as_str(), &rate.replace("\":\"0.", "\":\"00.")),
			(rate.as_str(), &format!("\"learning_rate\":{}", mlp().optimiser.learning_rate())),
		] {
			let other = text.replace(from, to);
			assert_ne!(other, text);
			assert_eq!(
				TrainingConfig::from_artifact(other.as_bytes()),
				Err(ConfigError::NotCanonical),
				"{to}"
			);
		}
		// A field that has a default must be written out all the same.
		let short = text.replace(",\"weight_decay\":\"0.0001\"", "");
		assert_ne!(short, text);
		assert_eq!(TrainingConfig::from_artifact(short.as_bytes()), Err(ConfigError::NotCanonical));
	}

	#[test]
	fn artifact_is_refused_when_it_is_something_else() {
		let text = String::from_utf8(mlp().to_artifact()).unwrap();
		let other = text.replace("training-config/1", "training-config/2");
		let error = TrainingConfig::from_artifact(other.as_bytes()).unwrap_err();
		assert_eq!(error, ConfigError::Format { found: "\"training-config/2\"".into() });
		assert!(error.to_string().contains("training-config/2"));
		assert_eq!(
			TrainingConfig::from_artifact(b"{}"),
			Err(ConfigError::Format { found: "missing".into() })
		);
		for bytes in [&b""[..], b"[]", b"\xff\xfe", b"{", b"1"] {
			assert!(matches!(TrainingConfig::from_artifact(bytes), Err(ConfigError::Json(_))));
		}
		assert_eq!(
			TrainingConfig::from_artifact(&vec![b' '; MAX_CONFIG_BYTES + 1]),
			Err(ConfigError::TooLarge(MAX_CONFIG_BYTES + 1))
		);
	}

	#[test]
	fn unknown_and_missing_fields_are_refused_by_name() {
		for (from, to, named) in [
			("classes = 10", "classes = 10\nclases = 10", "clases"),
			("classes = 10", "", "classes"),
			("activation = \"relu\"", "activation = \"relu\"\nwidth = 3", "width"),
			("activation = \"relu\"", "activation = \"swish\"", "swish"),
			("family = \"mlp\"", "family = \"transformer\"", "transformer"),
			("kind = \"sgd\"", "kind = \"lion\"", "lion"),
			("momentum =", "momentun =", "momentun"),
			("classes = 10", "classes = -1", "-1"),
			("classes = 10", "classes = \"ten\"", "ten"),
		] {
			let text = DIGITS_MLP.replace(from, to);
			assert_ne!(text, DIGITS_MLP, "{from}");
			let error = TrainingConfig::from_toml(&text).unwrap_err();
			assert!(matches!(error, ConfigError::Toml(_)) && error.to_string().contains(named), "{error}");
		}
		let text = String::from_utf8(mlp().to_artifact()).unwrap();
		let error = TrainingConfig::from_artifact(text.replace("{\"batch", "{\"a\":1,\"batch").as_bytes())
			.unwrap_err();
		assert!(matches!(&error, ConfigError::Json(message) if message.contains("`a`")), "{error}");
	}

	#[test]
	fn values_out_of_range_are_refused_with_field_and_value() {
		type Change = fn(&mut TrainingConfig);
		fn sgd(config: &mut TrainingConfig, rate: f64, momentum: f64, decay: f64) {
			config.optimiser = Optimiser::Sgd { learning_rate: rate, momentum, weight_decay: decay };
		}
		fn hidden(config: &mut TrainingConfig, widths: Vec<u32>) {
			config.model = ModelSpec::Mlp { hidden: widths, activation: Activation::Gelu };
		}
		let changes: [(&str, &str, Change); 26] = [
			("input", "a list of 0", |c| c.input.clear()),
			("input", "a list of 5", |c| c.input = vec![1; 5]),
			("input", "0", |c| c.input = vec![0, 3]),
			("input", "4294967295", |c| c.input = vec![u32::MAX]),
			("input", "16785409", |c| c.input = vec![4097, 4097]),
			("classes", "1", |c| c.classes = 1),
			("classes", "65537", |c| c.classes = 65_537),
			("batch_size", "0", |c| c.batch_size = 0),
			("local_steps", "0", |c| c.local_steps = 0),
			("local_steps", "1000001", |c| c.local_steps = 1_000_001),
			("model.hidden", "0", |c| hidden(c, vec![8, 0])),
			("model.hidden", "a list of 65", |c| hidden(c, vec![1; 65])),
			("model", "parameters", |c| hidden(c, vec![65_536; 64])),
			("optimiser.learning_rate", "0", |c| sgd(c, 0.0, 0.0, 0.0)),
			("optimiser.learning_rate", "-0.1", |c| sgd(c, -0.1, 0.0, 0.0)),
			("optimiser.learning_rate", "NaN", |c| sgd(c, f64::NAN, 0.0, 0.0)),
			("optimiser.learning_rate", "inf", |c| sgd(c, f64::INFINITY, 0.0, 0.0)),
			("proximal", "-1", |c| c.proximal = -1.0),
			("proximal", "NaN", |c| c.proximal = f64::NAN),
			("proximal", "-0", |c| c.proximal = -0.0),
			("keep_momentum", "true", |c| {
				sgd(c, 0.1, 0.0, 0.0);
				c.keep_momentum = true;
			}),
			("optimiser.momentum", "1", |c| sgd(c, 0.1, 1.0, 0.0)),
			("optimiser.momentum", "-0", |c| sgd(c, 0.1, -0.0, 0.0)),
			("optimiser.weight_decay", "NaN", |c| sgd(c, 0.1, 0.0, f64::NAN)),
			("optimiser.weight_decay", "2", |c| sgd(c, 0.1, 0.0, 2.0)),
			("optimiser.epsilon", "0", |c| {
				c.optimiser = Optimiser::Adam {
					learning_rate: 0.1,
					beta1: 0.9,
					beta2: 0.9,
					epsilon: 0.0,
					weight_decay: 0.0,
				}
			}),
		];
		for (name, shown, change) in changes {
			let mut config = mlp();
			change(&mut config);
			let error = config.validate().unwrap_err();
			assert!(
				matches!(&error, ConfigError::Range { field, value, .. } if field == name && value.contains(shown)),
				"{name} {shown}: {error}"
			);
		}
	}

	#[test]
	fn cnn_is_refused_when_kernel_or_pool_or_input_do_not_fit() {
		type Change = fn(&mut TrainingConfig);
		let changes: [(&str, Change); 5] = [
			("input", |c| c.input = vec![8, 8]),
			("model.kernel", |c| set(c, 1, 4, 2)),
			("model.kernel", |c| set(c, 1, 17, 2)),
			("model.pool", |c| set(c, 1, 3, 9)),
			("model.pool", |c| set(c, 4, 3, 2)),
		];
		fn set(config: &mut TrainingConfig, layers: usize, k: u32, p: u32) {
			config.model = ModelSpec::Cnn {
				channels: vec![4; layers],
				kernel: k,
				pool: p,
				dense: vec![],
				activation: Activation::Relu,
			};
		}
		for (name, change) in changes {
			let mut config = cnn();
			change(&mut config);
			let error = config.validate().unwrap_err();
			assert!(matches!(&error, ConfigError::Range { field, .. } if field == name), "{error}");
		}
		let mut config = cnn();
		set(&mut config, 3, 3, 2);
		assert_eq!(config.validate(), Ok(()));
	}

	#[test]
	fn parameter_count_agrees_with_the_list_of_tensors() {
		let deep = TrainingConfig {
			model: ModelSpec::Mlp { hidden: vec![7, 5, 3], activation: Activation::Relu },
			..mlp()
		};
		for config in [mlp(), cnn(), deep] {
			assert_eq!(config.parameter_total(), config.parameter_count() as u64);
		}
	}
}
