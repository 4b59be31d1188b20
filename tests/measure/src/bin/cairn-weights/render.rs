//! Writes measured weights as Rust.

use crate::runner::{Measured, Model};
use std::{
	collections::BTreeSet,
	fmt::Write,
	time::{SystemTime, UNIX_EPOCH},
};

/// What stands at the head of every file.
pub struct Origin {
	/// The command that made it.
	pub command: String,
	/// What it ran on.
	pub machine: String,
	/// The day, as `2026-01-31`.
	pub date: String,
	/// Values of each component.
	pub steps: u32,
	/// Timed repetitions at each.
	pub repeat: u32,
}

/// Today, UTC, as `2026-01-31`.
pub fn today() -> String {
	let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
	date(seconds / 86_400)
}

/// The date of a day counted from 1970-01-01. Years start in March here, so that a leap day is the last of its year.
fn date(day: u64) -> String {
	// Days since 0000-03-01; 146,097 of them make 400 years.
	let day = day + 719_468;
	let (era, of_era) = (day / 146_097, day % 146_097);
	let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
	let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	let march_based = (5 * of_year + 2) / 153;
	let day_of_month = of_year - (153 * march_based + 2) / 5 + 1;
	let month = if march_based < 10 { march_based + 3 } else { march_based - 9 };
	let year = era * 400 + year_of_era + u64::from(month <= 2);
	format!("{year:04}-{month:02}-{day_of_month:02}")
}

/// This machine, as far as it tells: cores and processor.
pub fn machine() -> String {
	let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
	let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
	let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
	let model = model.map_or(std::env::consts::ARCH, |(_, name)| name.trim());
	format!("{cores} cores, {model}")
}

/// A number with its thousands set apart, as Rust writes it.
fn number(value: u128) -> String {
	let digits = value.to_string();
	let mut out = String::new();
	for (place, digit) in digits.chars().enumerate() {
		if place > 0 && (digits.len() - place).is_multiple_of(3) {
			out.push('_');
		}
		out.push(digit);
	}
	out
}

fn function(out: &mut String, measured: &Measured) -> std::fmt::Result {
	let Measured { name, components, time, reads, writes, items, minimum } = measured;
	for (item, reads, writes) in items {
		writeln!(out, "\t/// Storage: `{item}` (r:{reads} w:{writes})")?;
	}
	for (component, low, high) in components {
		writeln!(out, "\t/// `{component}` was measured in `[{low}, {high}]`.")?;
	}
	let slope = |model: &Model, index: usize| model.slopes.get(index).copied().unwrap_or(0);
	let matters = |index| [time, reads, writes].iter().any(|model| slope(model, index) > 0);
	let parameters: Vec<_> = components
		.iter()
		.enumerate()
		.map(|(index, (component, ..))| format!("{}{component}: u32", if matters(index) { "" } else { "_" }))
		.collect();
	writeln!(out, "\tfn {name}({}) -> Weight {{", parameters.join(", "))?;
	writeln!(out, "\t\t// At least {} ps.", number(*minimum))?;
	let mut terms = Vec::new();
	for (index, (component, ..)) in components.iter().enumerate() {
		if slope(time, index) > 0 {
			terms.push(format!(
				"Weight::from_parts({}, 0).saturating_mul({component}.into())",
				number(slope(time, index))
			));
		}
	}
	for (kind, model) in [("reads", reads), ("writes", writes)] {
		if model.base > 0 {
			terms.push(format!("T::DbWeight::get().{kind}({})", number(model.base)));
		}
		for (index, (component, ..)) in components.iter().enumerate() {
			match slope(model, index) {
				0 => {},
				1 => terms.push(format!("T::DbWeight::get().{kind}({component}.into())")),
				more => terms.push(format!(
					"T::DbWeight::get().{kind}({}_u64.saturating_mul({component}.into()))",
					number(more)
				)),
			}
		}
	}
	write!(out, "\t\tWeight::from_parts({}, 0)", number(time.base))?;
	for term in terms {
		write!(out, "\n\t\t\t.saturating_add({term})")?;
	}
	writeln!(out, "\n\t}}")
}

/// The trait that a pallet's weights implement.
fn interface(pallet: &str) -> String {
	match pallet {
		// Not a pallet: what every transaction is checked for.
		"frame_system_extensions" => "frame_system::ExtensionsWeightInfo".into(),
		pallet => format!("{pallet}::WeightInfo"),
	}
}

/// The file of one pallet.
pub fn file(pallet: &str, origin: &Origin, benchmarks: &[Measured]) -> String {
	let mut out = String::new();
	let touches = |m: &Measured| {
		let uses = |model: &Model| model.base > 0 || model.slopes.iter().any(|slope| *slope > 0);
		uses(&m.reads) || uses(&m.writes)
	};
	let get = if benchmarks.iter().any(touches) { "traits::Get, " } else { "" };
	let interface = interface(pallet);
	let _ = write!(
		out,
		"//! Weights of `{pallet}`, measured on the runtime's WASM. Made by a program: change the benchmarks instead.\n\
		 //!\n\
		 //! ```sh\n\
		 //! {}\n\
		 //! ```\n\
		 //!\n\
		 //! {}; {}; {} steps, {} repetitions.\n\
		 //! Times are picoseconds in memory; the database's come on top, as the runtime's `DbWeight` says. The proof size\n\
		 //! is 0, because no block of this chain is proven to another one.\n\n\
		 use core::marker::PhantomData;\n\
		 use frame_support::{{{get}weights::Weight}};\n\n\
		 /// What the calls of `{pallet}` cost.\n\
		 pub struct WeightInfo<T>(PhantomData<T>);\n\n\
		 impl<T: frame_system::Config> {interface} for WeightInfo<T> {{\n",
		origin.command, origin.date, origin.machine, origin.steps, origin.repeat
	);
	for measured in benchmarks {
		let _ = function(&mut out, measured);
	}
	out.push_str("}\n");
	out
}

/// The file of what every transaction costs, in picoseconds.
pub fn overhead(origin: &Origin, extrinsic: u128) -> String {
	format!(
		"//! What every signed transaction costs before its call, measured on the runtime's WASM. Made by a program.\n\
		 //!\n\
		 //! ```sh\n\
		 //! {}\n\
		 //! ```\n\
		 //!\n\
		 //! {}; {}; the median of {} blocks of empty remarks.\n\n\
		 use frame_support::weights::Weight;\n\n\
		 /// Decoding, the signature, the call into the runtime; without the extensions, which are charged apart. Picoseconds.\n\
		 pub const EXTRINSIC_BASE: Weight = Weight::from_parts({}, 0);\n",
		origin.command,
		origin.date,
		origin.machine,
		origin.repeat,
		number(extrinsic)
	)
}

/// The module file over the files of all pallets.
pub fn module(pallets: &BTreeSet<String>) -> String {
	let mut out = String::from("//! What calls cost, measured. `scripts/weights` writes this folder.\n\n");
	for pallet in pallets {
		let _ = writeln!(out, "pub mod {pallet};");
	}
	out
}

#[cfg(test)]
mod tests {
	use super::*;
	use frame_benchmarking::BenchmarkParameter::{m, n};

	fn model(base: u128, slopes: &[u128]) -> Model {
		Model { base, slopes: slopes.to_vec() }
	}

	fn origin() -> Origin {
		Origin {
			command: "scripts/weights".into(),
			machine: "2 cores".into(),
			date: "2026-01-31".into(),
			steps: 50,
			repeat: 20,
		}
	}

	#[test]
	fn dates_are_those_of_the_calendar() {
		let cases = [(0, "1970-01-01"), (59, "1970-03-01"), (11_016, "2000-02-29"), (20_818, "2026-12-31")];
		for (day, expected) in cases {
			assert_eq!(date(day), expected);
		}
	}

	#[test]
	fn numbers_are_grouped_by_three() {
		let cases = [(0, "0"), (999, "999"), (1_000, "1_000"), (12_345_678, "12_345_678")];
		for (value, expected) in cases {
			assert_eq!(number(value), expected);
		}
	}

	#[test]
	fn function_has_every_slope_and_marks_what_does_not_matter() {
		let measured = Measured {
			name: "settle".into(),
			components: vec![(n, 1, 100), (m, 0, 8)],
			time: model(12_345, &[67_890, 0]),
			reads: model(3, &[1, 0]),
			writes: model(0, &[2, 0]),
			items: vec![("Training::Running".into(), 1, 1)],
			minimum: 11_000,
		};
		let text = file("pallet_x", &origin(), &[measured]);
		let expected = [
			"\t/// Storage: `Training::Running` (r:1 w:1)",
			"\t/// `n` was measured in `[1, 100]`.",
			"\t/// `m` was measured in `[0, 8]`.",
			"\tfn settle(n: u32, _m: u32) -> Weight {",
			"\t\t// At least 11_000 ps.",
			"\t\tWeight::from_parts(12_345, 0)",
			"\t\t\t.saturating_add(Weight::from_parts(67_890, 0).saturating_mul(n.into()))",
			"\t\t\t.saturating_add(T::DbWeight::get().reads(3))",
			"\t\t\t.saturating_add(T::DbWeight::get().reads(n.into()))",
			"\t\t\t.saturating_add(T::DbWeight::get().writes(2_u64.saturating_mul(n.into())))",
			"\t}\n}\n",
		];
		assert!(text.ends_with(&expected.join("\n")), "{text}");
		assert!(text.contains("use frame_support::{traits::Get, weights::Weight};"), "{text}");
		assert!(text.contains("2026-01-31; 2 cores; 50 steps, 20 repetitions"), "{text}");
	}

	#[test]
	fn file_without_accesses_imports_no_more_than_it_uses() {
		let measured = Measured {
			name: "remark".into(),
			components: vec![],
			time: model(7, &[]),
			reads: model(0, &[]),
			writes: model(0, &[]),
			items: vec![],
			minimum: 6,
		};
		let text = file("pallet_x", &origin(), &[measured]);
		assert!(text.contains("use frame_support::{weights::Weight};"), "{text}");
		assert!(text.contains("fn remark() -> Weight {"), "{text}");
	}

	#[test]
	fn checks_of_transactions_implement_the_trait_of_their_own() {
		let text = file("frame_system_extensions", &origin(), &[]);
		assert!(text.contains(
			"impl<T: frame_system::Config> frame_system::ExtensionsWeightInfo for WeightInfo<T> {"
		));
	}

	#[test]
	fn overhead_is_a_constant_weight() {
		let text = overhead(&origin(), 123_456_789);
		assert!(text.contains("Weight::from_parts(123_456_789, 0)"), "{text}");
		assert!(text.contains("2026-01-31; 2 cores; the median of 20 blocks"), "{text}");
	}

	#[test]
	fn module_lists_every_pallet_once() {
		let pallets = ["pallet_b", "pallet_a"].map(String::from).into();
		assert!(module(&pallets).ends_with("pub mod pallet_a;\npub mod pallet_b;\n"));
	}
}
