//! Training configurations as artifacts: JSON in one canonical form.

use crate::ArtifactHash;
use serde_json::{Number, Value};
use thiserror::Error;

/// The key that says what a configuration artifact is.
pub const KIND_KEY: &str = "cairn";
/// The kind of a training configuration.
pub const TRAINING_CONFIG_KIND: &str = "training-config/1";
/// The largest configuration that is read, in bytes.
pub const MAX_CONFIG_BYTES: usize = 1024 * 1024;

/// Why bytes are no canonical configuration.
#[derive(Debug, Error)]
pub enum ConfigError {
	/// Longer than [`MAX_CONFIG_BYTES`].
	#[error("the configuration has {found} bytes; at most {MAX_CONFIG_BYTES} are allowed")]
	TooLong {
		/// Its length.
		found: usize,
	},
	/// Not JSON.
	#[error("the configuration is not JSON: {0}")]
	Json(#[from] serde_json::Error),
	/// JSON, but not what [`canonical_json`] writes.
	#[error(
		"the configuration is JSON, but not in canonical form (keys sorted, each once, no white space); \
		 in canonical form it would be artifact {canonical:?}"
	)]
	NotCanonical {
		/// The hash of its canonical form.
		canonical: ArtifactHash,
	},
	/// Without the tag that says what it is, or with another one.
	#[error("the configuration's `cairn` tag is {found:?}; expected \"training-config/1\"")]
	Kind {
		/// The tag that stands there, if any.
		found: Option<String>,
	},
}

/// The canonical form of a JSON value: object keys sorted by their bytes, no white space, strings escaped only where
/// JSON demands it, numbers as `serde_json` writes them (integers in full, floats in the shortest form that reads
/// back as the same `f64`).
pub fn canonical_json(value: &Value) -> Vec<u8> {
	let mut out = Vec::new();
	write(value, &mut out);
	out
}

fn write(value: &Value, out: &mut Vec<u8>) {
	let leaf = |v: &Value, out: &mut Vec<u8>| out.extend_from_slice(v.to_string().as_bytes());
	let separate = |i: usize, out: &mut Vec<u8>| {
		if i > 0 {
			out.push(b',');
		}
	};
	match value {
		Value::Object(map) => {
			// Sorted here, because a feature of serde_json, which any crate of a build can switch on, makes its maps
			// keep the order in which keys came.
			let mut entries: Vec<_> = map.iter().collect();
			entries.sort_by_key(|(key, _)| key.as_bytes());
			out.push(b'{');
			for (i, (key, value)) in entries.into_iter().enumerate() {
				separate(i, out);
				leaf(&Value::String(key.clone()), out);
				out.push(b':');
				write(value, out);
			}
			out.push(b'}');
		},
		Value::Array(items) => {
			out.push(b'[');
			for (i, item) in items.iter().enumerate() {
				separate(i, out);
				write(item, out);
			}
			out.push(b']');
		},
		Value::Number(number) => out.extend_from_slice(canonical_number(number).to_string().as_bytes()),
		other => leaf(other, out),
	}
}

/// The number without the spelling it came in, which another feature of serde_json would keep.
fn canonical_number(number: &Number) -> Number {
	let integer = number.as_u64().map(Number::from).or_else(|| number.as_i64().map(Number::from));
	let float = || number.as_f64().and_then(Number::from_f64);
	integer.or_else(float).unwrap_or_else(|| number.clone())
}

/// Reads a training configuration artifact, which has to be in canonical form and to carry its tag.
///
/// # Errors
/// When it is too long, no JSON, not canonical, or something else than a training configuration.
pub fn parse_training_config(bytes: &[u8]) -> Result<Value, ConfigError> {
	if bytes.len() > MAX_CONFIG_BYTES {
		return Err(ConfigError::TooLong { found: bytes.len() });
	}
	let value: Value = serde_json::from_slice(bytes)?;
	let canonical = canonical_json(&value);
	if canonical != bytes {
		return Err(ConfigError::NotCanonical { canonical: crate::artifact_hash(&canonical) });
	}
	let found = value.get(KIND_KEY).and_then(Value::as_str);
	if found != Some(TRAINING_CONFIG_KIND) {
		return Err(ConfigError::Kind { found: found.map(str::to_owned) });
	}
	Ok(value)
}

#[cfg(test)]
mod tests {
	use super::*;
	use proptest::prelude::*;
	use serde_json::json;

	fn values() -> impl Strategy<Value = Value> {
		let leaf = prop_oneof![
			Just(Value::Null),
			any::<bool>().prop_map(Value::from),
			any::<u64>().prop_map(Value::from),
			any::<i64>().prop_map(Value::from),
			proptest::num::f64::NORMAL.prop_map(Value::from),
			any::<String>().prop_map(Value::from),
		];
		leaf.prop_recursive(4, 32, 4, |inner| {
			prop_oneof![
				proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
				proptest::collection::btree_map(any::<String>(), inner, 0..4)
					.prop_map(|m| Value::Object(m.into_iter().collect())),
			]
		})
	}

	proptest! {
		#[test]
		fn canonical_json_is_read_back_as_itself(value in values()) {
			let bytes = canonical_json(&value);
			let again: Value = serde_json::from_slice(&bytes).expect("canonical JSON is JSON");
			prop_assert_eq!(canonical_json(&again), bytes);
		}
	}

	#[test]
	fn canonical_json_sorts_keys_at_every_depth_and_has_no_white_space() {
		let value: Value =
			serde_json::from_str(r#" { "b" : [ { "z": 1.50, "a": "é\n" } ], "a": null, "B": -1e3 } "#)
				.expect("valid JSON");
		let text = String::from_utf8(canonical_json(&value)).expect("JSON is UTF-8");
		assert_eq!(text, r#"{"B":-1000.0,"a":null,"b":[{"a":"é\n","z":1.5}]}"#);
	}

	#[test]
	fn float_is_read_back_to_the_last_bit() {
		// serde_json reads this one inexactly unless its feature `float_roundtrip` is on.
		let text = b"1.8939177410904698e-255";
		let value: Value = serde_json::from_slice(text).expect("valid JSON");
		assert_eq!(canonical_json(&value), text);
	}

	#[test]
	fn training_config_is_refused_when_not_canonical_or_not_tagged() {
		let good = canonical_json(&json!({ "cairn": TRAINING_CONFIG_KIND, "rate": 0.1 }));
		assert_eq!(parse_training_config(&good).expect("canonical and tagged")["rate"], json!(0.1));
		for bytes in [
			&br#"{"cairn":"training-config/1", "rate":0.1}"#[..],
			br#"{"rate":0.1,"cairn":"training-config/1"}"#,
			br#"{"cairn":"training-config/1","rate":0.10}"#,
			br#"{"cairn":"training-config/1","rate":1,"rate":0.1}"#,
		] {
			assert!(matches!(parse_training_config(bytes), Err(ConfigError::NotCanonical { .. })));
		}
		assert!(matches!(
			parse_training_config(br#"{"cairn":"update/1"}"#),
			Err(ConfigError::Kind { found: Some(tag) }) if tag == "update/1"
		));
		assert!(matches!(parse_training_config(b"[]"), Err(ConfigError::Kind { found: None })));
		assert!(matches!(parse_training_config(b"{"), Err(ConfigError::Json(_))));
		let long = vec![b' '; MAX_CONFIG_BYTES + 1];
		assert!(matches!(parse_training_config(&long), Err(ConfigError::TooLong { .. })));
	}
}
