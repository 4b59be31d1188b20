//! The canonical tensor file: round trips, what another implementation makes of it, and what is refused.
#![allow(clippy::unwrap_used)]

use cairn_artifacts::{
	artifact_hash, metadata_of, Elements, FormatError, Metadata, Tensor, TensorFile, TensorFileBuffer,
	MAX_DIMENSIONS, MAX_HEADER_BYTES, MAX_NAME_BYTES, MAX_TENSORS,
};
use proptest::prelude::*;
use safetensors::{tensor::TensorView, Dtype, SafeTensors};
use std::collections::HashMap;

fn tensor(name: &str, shape: &[usize], data: &[f32]) -> Tensor {
	Tensor { name: name.into(), shape: shape.into(), data: data.into() }
}

fn metadata(entries: &[(&str, &str)]) -> Metadata {
	entries.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect()
}

fn sample() -> TensorFile {
	TensorFile::new(
		metadata(&[("cairn", "update/1"), ("round", "3")]),
		vec![
			tensor("w", &[2, 3], &[1.0, -0.0, f32::MIN_POSITIVE / 2.0, f32::MAX, 0.1, -7.5]),
			tensor("empty", &[0, 4], &[]),
			tensor("scalar", &[], &[2.5]),
		],
	)
	.unwrap()
}

/// A file with this header, written as it is, and this much data.
fn raw(header: &str, data: usize) -> Vec<u8> {
	let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
	bytes.extend_from_slice(header.as_bytes());
	bytes.resize(bytes.len() + data, 0);
	bytes
}

/// As `raw`, with the header padded.
fn padded(header: &str, data: usize) -> Vec<u8> {
	let spaces = header.len().next_multiple_of(8) - header.len();
	raw(&format!("{header}{}", " ".repeat(spaces)), data)
}

fn refusal(bytes: &[u8]) -> FormatError {
	TensorFile::from_bytes(bytes).unwrap_err()
}

/// Tensors with any bits, any names, and shapes of up to three small dimensions.
fn files() -> impl Strategy<Value = TensorFile> {
	let shape = proptest::collection::vec(0usize..4, 0..4);
	let tensor = shape.prop_flat_map(|shape| {
		let n = shape.iter().product::<usize>();
		(Just(shape), proptest::collection::vec(any::<u32>().prop_map(f32::from_bits), n))
	});
	let name = any::<String>().prop_filter("not a tensor name", |n| {
		!n.is_empty() && n != "__metadata__" && n.len() <= MAX_NAME_BYTES
	});
	let tensors = proptest::collection::btree_map(name, tensor, 0..6);
	let metadata = proptest::collection::btree_map(any::<String>(), any::<String>(), 0..4);
	(metadata, tensors, any::<bool>()).prop_map(|(metadata, tensors, reverse)| {
		let mut tensors: Vec<_> =
			tensors.into_iter().map(|(name, (shape, data))| Tensor { name, shape, data }).collect();
		if reverse {
			tensors.reverse();
		}
		TensorFile::new(metadata, tensors).unwrap()
	})
}

proptest! {
	#[test]
	fn file_round_trips_bit_by_bit(file in files()) {
		let bytes = file.to_bytes();
		let again = TensorFile::from_bytes(&bytes).unwrap();
		prop_assert_eq!(again.metadata(), file.metadata());
		prop_assert_eq!(again.signature(), file.signature());
		for (a, b) in again.tensors().iter().zip(file.tensors()) {
			prop_assert!(a.data.iter().map(|x| x.to_bits()).eq(b.data.iter().map(|x| x.to_bits())));
		}
		prop_assert_eq!(again.to_bytes(), bytes);
	}

	#[test]
	fn hash_of_a_file_is_the_hash_of_its_bytes(file in files()) {
		prop_assert_eq!(file.hash(), artifact_hash(&file.to_bytes()));
		prop_assert_eq!(file.to_bytes(), file.clone().into_bytes());
	}

	#[test]
	fn file_filled_in_where_it_stands_is_the_file_that_is_written(
		file in files(), before in any::<String>(), order in any::<u64>(),
	) {
		let named = |t: &Tensor<Elements>| Tensor { name: t.name.clone(), shape: t.shape.clone(), data: () };
		let mut tensors: Vec<Tensor<()>> = file.tensors().iter().map(named).collect();
		if !tensors.is_empty() {
			let middle = order as usize % tensors.len();
			tensors.rotate_left(middle);
		}
		let mut buffer = TensorFileBuffer::new(&metadata(&[("before", &before)]), tensors).unwrap();
		prop_assert!(buffer.tensors().iter().map(|t| &t.name).eq(file.tensors().iter().map(|t| &t.name)));
		for (place, tensor) in buffer.data_mut().into_iter().zip(file.tensors()) {
			let data: Vec<u8> = tensor.data.iter().flat_map(|x| x.to_le_bytes()).collect();
			place.copy_from_slice(&data);
		}
		buffer.set_metadata(file.metadata()).unwrap();
		prop_assert_eq!(buffer.into_bytes(), file.to_bytes());
	}

	#[test]
	fn the_safetensors_crate_reads_the_same_tensors_and_metadata(file in files()) {
		let bytes = file.to_bytes();
		let (header_len, header) = SafeTensors::read_metadata(&bytes).unwrap();
		prop_assert_eq!(header_len % 8, 0);
		let read: HashMap<_, _> = header.metadata().clone().unwrap_or_default();
		prop_assert_eq!(read, file.metadata().clone().into_iter().collect::<HashMap<_, _>>());
		let theirs = SafeTensors::deserialize(&bytes).unwrap();
		prop_assert_eq!(theirs.len(), file.tensors().len());
		for own in file.tensors() {
			let view = theirs.tensor(&own.name).unwrap();
			prop_assert_eq!(view.dtype(), Dtype::F32);
			prop_assert_eq!(view.shape(), &own.shape[..]);
			let data: Vec<u8> = own.data.iter().flat_map(|x| x.to_le_bytes()).collect();
			prop_assert_eq!(view.data(), &data[..]);
		}
	}

	#[test]
	fn changed_byte_is_refused_or_gives_another_artifact(
		file in files(), at in any::<prop::sample::Index>(), change in 1u8..,
	) {
		let bytes = file.to_bytes();
		let mut changed = bytes.clone();
		changed[at.index(bytes.len())] ^= change;
		if let Ok(other) = TensorFile::from_bytes(&changed) {
			// Only canonical bytes are accepted, so what was accepted is written back as it came.
			prop_assert_eq!(other.to_bytes(), changed.clone());
			prop_assert_ne!(other.hash(), file.hash());
		}
	}

	#[test]
	fn cut_or_extended_file_is_refused(file in files(), at in any::<prop::sample::Index>(), extra in 1usize..20) {
		let bytes = file.to_bytes();
		prop_assert!(TensorFile::from_bytes(&bytes[..at.index(bytes.len())]).is_err());
		let mut longer = bytes;
		longer.resize(longer.len() + extra, 0);
		prop_assert!(TensorFile::from_bytes(&longer).is_err());
	}

	#[test]
	fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
		if let Ok(file) = TensorFile::from_bytes(&bytes) {
			prop_assert_eq!(file.to_bytes(), bytes);
		}
	}

	#[test]
	fn random_header_pieces_never_panic(
		pieces in proptest::collection::vec(prop::sample::select(vec![
			"{", "}", "[", "]", ",", ":", "\"", "\\", " ", "0", "1", "18446744073709551615", "18446744073709551616",
			"\"a\"", "\"b\"", "\"__metadata__\"", "\"__metadata__\":{", "\"F32\"", "\"F64\"", "\\u0000", "\\n", "é",
			"\"a\":{\"dtype\":\"F32\",\"shape\":[", "],\"data_offsets\":[", "]}", "\"a\":{\"dtype\":",
			"\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}",
			"\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}",
		]), 0..12),
		data in 0usize..16,
	) {
		for bytes in [padded(&pieces.concat(), data), padded(&format!("{{{}}}", pieces.concat()), data)] {
			if let Ok(file) = TensorFile::from_bytes(&bytes) {
				prop_assert_eq!(file.to_bytes(), bytes);
			}
		}
	}
}

#[test]
fn byte_form_of_a_file_never_changes() {
	let bytes = sample().to_bytes();
	let header = concat!(
		r#"{"__metadata__":{"cairn":"update/1","round":"3"},"#,
		r#""empty":{"dtype":"F32","shape":[0,4],"data_offsets":[0,0]},"#,
		r#""scalar":{"dtype":"F32","shape":[],"data_offsets":[0,4]},"#,
		r#""w":{"dtype":"F32","shape":[2,3],"data_offsets":[4,28]}}"#,
	);
	let mut expected = padded(header, 0);
	for x in [2.5, 1.0, -0.0, f32::MIN_POSITIVE / 2.0, f32::MAX, 0.1, -7.5] {
		expected.extend_from_slice(&x.to_le_bytes());
	}
	assert_eq!(bytes, expected);
	assert_eq!(TensorFile::new(Metadata::new(), vec![]).unwrap().to_bytes(), padded("{}", 0));
}

#[test]
fn tensors_are_found_by_name() {
	let file = sample();
	assert_eq!(file.get("scalar").unwrap().data, [2.5]);
	assert_eq!(file.get("empty").unwrap().shape, [0, 4]);
	assert!(file.get("absent").is_none());
}

#[test]
fn file_of_the_safetensors_crate_is_accepted_when_its_order_is_not_left_to_chance() {
	let (a, b) = (1f32.to_le_bytes(), [0u8; 8]);
	let views = || {
		vec![
			("b", TensorView::new(Dtype::F32, vec![2, 1], &b).unwrap()),
			("a", TensorView::new(Dtype::F32, vec![], &a).unwrap()),
		]
	};
	let one: HashMap<_, _> = [("format".to_string(), "pt".to_string())].into();
	for metadata in [None, Some(one)] {
		let bytes = safetensors::serialize(views(), metadata).unwrap();
		let file = TensorFile::from_bytes(&bytes).unwrap();
		assert_eq!(file.signature(), [("a".into(), vec![]), ("b".into(), vec![2, 1])]);
	}
}

#[test]
fn file_of_the_safetensors_crate_is_refused_when_not_canonical() {
	let half = [0u8; 8];
	let bytes =
		safetensors::serialize(vec![("w", TensorView::new(Dtype::F16, vec![4], &half).unwrap())], None)
			.unwrap();
	let refused = refusal(&bytes);
	assert_eq!(refused, FormatError::ElementType { name: "w".into(), dtype: "F16".into() });
	assert!(refused.to_string().contains("only F32"), "{refused}");

	// The crate writes an empty metadata object where the canonical form has none.
	let bytes = safetensors::serialize(Vec::<(&str, TensorView)>::new(), Some(HashMap::new())).unwrap();
	assert!(matches!(refusal(&bytes), FormatError::NotCanonical { .. }));

	// Twenty entries in a hash map's order: ascending once in 20! times.
	let many: HashMap<_, _> = (10..30).map(|i| (format!("key {i}"), String::new())).collect();
	let bytes =
		safetensors::serialize(vec![("w", TensorView::new(Dtype::F32, vec![2], &half).unwrap())], Some(many))
			.unwrap();
	let refused = refusal(&bytes);
	assert!(matches!(refused, FormatError::Order { what: "metadata key", .. }), "{refused}");
	assert!(refused.to_string().contains("must ascend"), "{refused}");
}

#[test]
fn header_is_refused_when_spelt_otherwise() {
	let good = r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#;
	assert!(TensorFile::from_bytes(&padded(good, 4)).is_ok());
	for other in [
		r#"{ "a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#,
		r#"{"a": {"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#,
		r#"{"a":{"shape":[1],"dtype":"F32","data_offsets":[0,4]}}"#,
		r#"{"a":{"dtype":"F32","shape":[01],"data_offsets":[0,4]}}"#,
		r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":1}}"#,
		r#"{"\u0061":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#,
		r#"{"__metadata__":{},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#,
		r#"{"__metadata__":{"k":1},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#,
		r#"{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}"#,
		r#"{"a":{"dtype":"F32","shape":[1.0],"data_offsets":[0,4]}}"#,
		r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}},"#,
		r#"[]"#,
		"",
	] {
		let refused = refusal(&padded(other, 4));
		assert!(matches!(refused, FormatError::NotCanonical { .. }), "{other}: {refused}");
	}
	// Padding: none where some is needed, eight spaces too many, a tab.
	let over = format!("{good:<0$}", good.len().next_multiple_of(8) + 8);
	let tab = format!("{good}\t{:<1$}", "", good.len().next_multiple_of(8) - good.len() - 1);
	for bytes in [raw(good, 4), raw(&over, 4), raw(&tab, 4)] {
		assert!(matches!(refusal(&bytes), FormatError::NotCanonical { .. }));
	}
	let mut not_utf8 = padded(good, 4);
	not_utf8[10] = 0xff;
	assert_eq!(refusal(&not_utf8), FormatError::NotUtf8 { offset: 10 });
}

#[test]
fn tensors_out_of_order_or_twice_or_named_as_metadata_are_refused() {
	let entry = |name: &str, from: usize| {
		format!(r#""{name}":{{"dtype":"F32","shape":[1],"data_offsets":[{from},{}]}}"#, from + 4)
	};
	for (first, second) in [("b", "a"), ("a", "a")] {
		let refused = refusal(&padded(&format!("{{{},{}}}", entry(first, 0), entry(second, 4)), 8));
		let (name, previous) = (second.to_string(), first.to_string());
		assert_eq!(refused, FormatError::Order { what: "tensor", name, previous });
	}
	for name in ["", &"n".repeat(MAX_NAME_BYTES + 1)] {
		assert!(matches!(refusal(&padded(&format!("{{{}}}", entry(name, 0)), 4)), FormatError::Name { .. }));
	}
	let late = format!(r#"{{{},"__metadata__":{{"k":"v"}}}}"#, entry("Z", 0));
	assert!(matches!(refusal(&padded(&late, 4)), FormatError::Name { .. } | FormatError::Order { .. }));
}

#[test]
fn data_offsets_are_refused_when_there_is_a_gap_an_overlap_or_a_wrong_size() {
	for offsets in ["[4,8]", "[0,8]", "[0,0]", "[8,4]", "[0,18446744073709551615]"] {
		let header = format!(r#"{{"a":{{"dtype":"F32","shape":[1],"data_offsets":{offsets}}}}}"#);
		assert!(matches!(refusal(&padded(&header, 8)), FormatError::Offsets { .. }), "{offsets}");
	}
	for second in ["[0,4]", "[8,12]"] {
		let header = format!(
			r#"{{"a":{{"dtype":"F32","shape":[1],"data_offsets":[0,4]}},"b":{{"dtype":"F32","shape":[1],"data_offsets":{second}}}}}"#
		);
		assert!(
			matches!(refusal(&padded(&header, 12)), FormatError::Offsets { expected: (4, 8), .. }),
			"{second}"
		);
	}
}

#[test]
fn metadata_is_read_without_the_rest_of_the_file_and_of_tensor_files_alone() {
	let file = sample();
	let bytes = file.to_bytes();
	let header = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
	let dir = tempfile::tempdir().unwrap();
	let path = dir.path().join("file");
	let read = |bytes: &[u8]| {
		std::fs::write(&path, bytes).unwrap();
		metadata_of(&path).unwrap()
	};
	for whole in [&bytes[..], &bytes[..header]] {
		assert_eq!(read(whole).as_ref(), Some(file.metadata()));
	}
	let none = TensorFile::new(Metadata::new(), vec![]).unwrap();
	assert_eq!(read(&none.to_bytes()), Some(Metadata::new()));
	for other in [&bytes[..header - 1], &bytes[..7], b"", &[0xff; 64], b"{\"batch\": 32}"] {
		assert_eq!(read(other), None);
	}
	std::fs::remove_file(&path).unwrap();
	assert_eq!(metadata_of(&path).unwrap_err().kind(), std::io::ErrorKind::NotFound);
}

#[test]
fn hostile_claims_are_refused_before_anything_is_allocated_for_them() {
	// A header of almost 2^64 bytes, in a file of eight.
	assert_eq!(refusal(&u64::MAX.to_le_bytes()), FormatError::HeaderTooLong { found: u64::MAX });
	let just_over = MAX_HEADER_BYTES as u64 + 1;
	assert_eq!(refusal(&just_over.to_le_bytes()), FormatError::HeaderTooLong { found: just_over });
	assert_eq!(refusal(&8u64.to_le_bytes()), FormatError::Truncated { found: 8, needed: 16 });
	assert_eq!(refusal(b""), FormatError::Truncated { found: 0, needed: 8 });
	// Shapes whose size does not fit 64 bits, or would fit after wrapping around.
	for shape in ["[4294967296,4294967296]", "[18446744073709551615]", "[4611686018427387905]"] {
		let header = format!(r#"{{"a":{{"dtype":"F32","shape":{shape},"data_offsets":[0,4]}}}}"#);
		assert!(matches!(refusal(&padded(&header, 4)), FormatError::TooLarge { .. }), "{shape}");
	}
	// Two sizes that fit, but whose sum does not.
	let huge = 1u64 << 61;
	let end = huge * 4;
	let header = format!(
		r#"{{"a":{{"dtype":"F32","shape":[{huge}],"data_offsets":[0,{end}]}},"b":{{"dtype":"F32","shape":[{huge}],"data_offsets":[{end},0]}}}}"#
	);
	assert!(matches!(refusal(&padded(&header, 4)), FormatError::TooLarge { name, .. } if name == "b"));
	// A tensor of 8 EiB that is not there.
	let header = format!(r#"{{"a":{{"dtype":"F32","shape":[{huge}],"data_offsets":[0,{end}]}}}}"#);
	assert!(matches!(refusal(&padded(&header, 4)), FormatError::FileLength { .. }));
	let many = vec!["1"; MAX_DIMENSIONS + 1].join(",");
	let header = format!(r#"{{"a":{{"dtype":"F32","shape":[{many}],"data_offsets":[0,4]}}}}"#);
	assert_eq!(refusal(&padded(&header, 4)), FormatError::TooManyDimensions { name: "a".into() });
	let entries: Vec<_> = (0..=MAX_TENSORS)
		.map(|i| format!(r#""{i:05}":{{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}"#))
		.collect();
	assert_eq!(refusal(&padded(&format!("{{{}}}", entries.join(",")), 0)), FormatError::TooManyTensors);
}

#[test]
fn tensors_that_are_no_file_are_refused() {
	let new = |tensors| TensorFile::new(Metadata::new(), tensors).unwrap_err();
	assert_eq!(
		new(vec![tensor("a", &[], &[1.0]), tensor("b", &[0], &[]), tensor("a", &[0], &[])]),
		FormatError::Duplicate { name: "a".into() }
	);
	for (shape, data) in [(&[2usize][..], &[1.0f32][..]), (&[], &[]), (&[0], &[1.0]), (&[3], &[1.0; 4])] {
		assert!(matches!(new(vec![tensor("a", shape, data)]), FormatError::ElementCount { .. }));
	}
	assert!(matches!(new(vec![tensor("", &[0], &[])]), FormatError::Name { .. }));
	assert!(matches!(new(vec![tensor("__metadata__", &[0], &[])]), FormatError::Name { .. }));
	assert!(matches!(new(vec![tensor("a", &[usize::MAX, 2], &[])]), FormatError::TooLarge { .. }));
	assert!(matches!(
		new(vec![tensor("a", &[1; MAX_DIMENSIONS + 1], &[1.0])]),
		FormatError::TooManyDimensions { .. }
	));
	let big = metadata(&[("k", &"v".repeat(MAX_HEADER_BYTES))]);
	assert!(matches!(TensorFile::new(big, vec![]), Err(FormatError::HeaderTooLong { .. })));
	let many = (0..=MAX_TENSORS).map(|i| tensor(&i.to_string(), &[0], &[])).collect();
	assert_eq!(new(many), FormatError::TooManyTensors);
}
