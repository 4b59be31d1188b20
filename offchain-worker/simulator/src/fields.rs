//! Reading a table key by key, so that every error names the key, what stands there, and what may.

use crate::SimulationError;
use std::cell::RefCell;
use toml::{Table, Value};

/// A table of the configuration, and the keys that were asked for so far.
pub(crate) struct Fields<'a> {
	/// What stands before the keys in errors, such as `method[2].`.
	place: String,
	table: &'a Table,
	known: RefCell<Vec<&'static str>>,
}

impl<'a> Fields<'a> {
	pub fn new(place: impl Into<String>, table: &'a Table) -> Self {
		Self { place: place.into(), table, known: RefCell::default() }
	}

	fn value(&self, key: &'static str) -> Option<&'a Value> {
		self.known.borrow_mut().push(key);
		self.table.get(key)
	}

	/// The error of a key.
	pub fn refused(&self, key: &str, found: impl ToString, allowed: impl Into<String>) -> SimulationError {
		SimulationError::Value {
			key: format!("{}{key}", self.place),
			found: found.to_string(),
			allowed: allowed.into(),
		}
	}

	pub fn missing(&self, key: &str, remedy: impl Into<String>) -> SimulationError {
		SimulationError::Missing { key: format!("{}{key}", self.place), remedy: remedy.into() }
	}

	pub fn text(&self, key: &'static str) -> Result<Option<&'a str>, SimulationError> {
		self.value(key)
			.map(|v| v.as_str().ok_or_else(|| self.refused(key, v, "text in quotation marks")))
			.transpose()
	}

	pub fn flag(&self, key: &'static str) -> Result<Option<bool>, SimulationError> {
		self.value(key).map(|v| v.as_bool().ok_or_else(|| self.refused(key, v, "true or false"))).transpose()
	}

	/// One of a few words; the first is the default.
	pub fn choice(
		&self,
		key: &'static str,
		choices: &[&'static str],
	) -> Result<&'static str, SimulationError> {
		let Some(text) = self.text(key)? else { return Ok(choices[0]) };
		self.chosen(key, text, choices)
	}

	/// One of a few words, which has to be there.
	pub fn required(
		&self,
		key: &'static str,
		choices: &[&'static str],
	) -> Result<&'static str, SimulationError> {
		let text = self.text(key)?.ok_or_else(|| self.missing(key, list(choices)))?;
		self.chosen(key, text, choices)
	}

	fn chosen(
		&self,
		key: &str,
		text: &str,
		choices: &[&'static str],
	) -> Result<&'static str, SimulationError> {
		choices
			.iter()
			.find(|choice| **choice == text)
			.copied()
			.ok_or_else(|| self.refused(key, format!("\"{text}\""), list(choices)))
	}

	/// A whole number.
	pub fn whole(&self, key: &'static str, low: u64, high: u64) -> Result<Option<u64>, SimulationError> {
		let Some(value) = self.value(key) else { return Ok(None) };
		let number =
			value.as_integer().and_then(|n| u64::try_from(n).ok()).filter(|n| (low..=high).contains(n));
		let allowed = || {
			if high == i64::MAX as u64 {
				format!("a whole number of at least {low}")
			} else {
				format!("a whole number from {low} to {high}")
			}
		};
		number.map(Some).ok_or_else(|| self.refused(key, value, allowed()))
	}

	/// [`Self::whole`] that fits 32 bits.
	pub fn count(&self, key: &'static str, low: u32, high: u32) -> Result<Option<u32>, SimulationError> {
		Ok(self.whole(key, low.into(), high.into())?.map(|n| n as u32))
	}

	/// A number between two others; `open` leaves the lower one out.
	pub fn number(
		&self,
		key: &'static str,
		open: bool,
		low: f64,
		high: f64,
	) -> Result<Option<f64>, SimulationError> {
		let Some(value) = self.value(key) else { return Ok(None) };
		let number = value.as_float().or_else(|| value.as_integer().map(|n| n as f64));
		let fits = |n: &f64| (low..=high).contains(n) && !(open && *n == low);
		let low = if open { format!("more than {low}") } else { format!("at least {low}") };
		number
			.filter(fits)
			.map(Some)
			.ok_or_else(|| self.refused(key, value, format!("a number, {low} and at most {high}")))
	}

	/// A number in millionths, as the chain keeps it: at least one of them.
	pub fn millionths(&self, key: &'static str, default: u64, high: f64) -> Result<u64, SimulationError> {
		let least = 1.0 / 1e6;
		Ok(self.number(key, false, least, high)?.map_or(default, |n| (n * 1e6).round() as u64))
	}

	/// Whole numbers in a list.
	pub fn wholes(&self, key: &'static str) -> Result<Option<Vec<u64>>, SimulationError> {
		let Some(value) = self.value(key) else { return Ok(None) };
		let read = |v: &Value| v.as_integer().and_then(|n| u64::try_from(n).ok());
		let numbers = value.as_array().and_then(|list| list.iter().map(read).collect::<Option<Vec<_>>>());
		let allowed = "a list of whole numbers that are not negative, such as [1, 2, 3]";
		numbers.filter(|n| !n.is_empty()).map(Some).ok_or_else(|| self.refused(key, value, allowed))
	}

	pub fn table(&self, key: &'static str) -> Result<Option<Fields<'a>>, SimulationError> {
		let Some(value) = self.value(key) else { return Ok(None) };
		let table =
			value.as_table().ok_or_else(|| self.refused(key, value, format!("a table, as in [{key}]")))?;
		Ok(Some(Self::new(format!("{}{key}.", self.place), table)))
	}

	/// An array of tables, counted from 1 in errors.
	pub fn tables(&self, key: &'static str) -> Result<Vec<Fields<'a>>, SimulationError> {
		let Some(value) = self.value(key) else { return Ok(Vec::new()) };
		let tables =
			value.as_array().and_then(|list| list.iter().map(Value::as_table).collect::<Option<Vec<_>>>());
		let tables = tables.ok_or_else(|| self.refused(key, value, format!("tables, as in [[{key}]]")))?;
		let place = |(i, table)| Self::new(format!("{}{key}[{}].", self.place, i + 1), table);
		Ok(tables.into_iter().enumerate().map(place).collect())
	}

	/// Refuses a key that nobody asked for. `of` says what the table is.
	pub fn finish(&self, of: &str) -> Result<(), SimulationError> {
		let known = self.known.borrow();
		match self.table.keys().find(|key| !known.contains(&key.as_str())) {
			None => Ok(()),
			Some(key) => Err(SimulationError::Unknown {
				key: format!("{}{key}", self.place),
				of: of.to_owned(),
				known: known.join(", "),
			}),
		}
	}
}

fn list(choices: &[&str]) -> String {
	let quoted: Vec<String> = choices.iter().map(|choice| format!("\"{choice}\"")).collect();
	format!("one of {}", quoted.join(", "))
}
