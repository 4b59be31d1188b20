//! What the worker says: plain lines for people, progress bars on a terminal, one JSON object per line for machines.

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::{Map, Value};
use std::{
	io::{IsTerminal, Write},
	sync::{Arc, Mutex, OnceLock},
};
use tracing_subscriber::fmt::MakeWriter;

/// Where events and results go. Cheap to clone.
#[derive(Clone)]
pub struct Output(Arc<Inner>);

/// Who is told of every event.
type Observer = Box<dyn Fn(&str, &Value) + Send + Sync>;

struct Inner {
	json: bool,
	bars: Option<MultiProgress>,
	sink: Mutex<Sink>,
	observer: OnceLock<Observer>,
}

enum Sink {
	Stdout,
	Memory(Vec<String>),
}

/// A progress bar, or nothing where there is no terminal.
pub struct Bar(Option<ProgressBar>);

impl Bar {
	/// Moves the bar to `position` and shows `message` beside it.
	pub fn set(&self, position: u64, message: impl Into<String>) {
		if let Some(bar) = &self.0 {
			bar.set_position(position);
			bar.set_message(message.into());
		}
	}
}

impl Drop for Bar {
	fn drop(&mut self) {
		if let Some(bar) = &self.0 {
			bar.finish_and_clear();
		}
	}
}

/// One log line on its way to standard error. Bars step aside for it.
pub struct LogLine {
	output: Output,
	bytes: Vec<u8>,
}

impl Write for LogLine {
	fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
		self.bytes.extend_from_slice(bytes);
		Ok(bytes.len())
	}

	fn flush(&mut self) -> std::io::Result<()> {
		Ok(())
	}
}

impl Drop for LogLine {
	fn drop(&mut self) {
		let write = || drop(std::io::stderr().write_all(&self.bytes));
		match &self.output.0.bars {
			Some(bars) => bars.suspend(write),
			None => write(),
		}
	}
}

impl MakeWriter<'_> for Output {
	type Writer = LogLine;

	fn make_writer(&self) -> LogLine {
		LogLine { output: self.clone(), bytes: Vec::new() }
	}
}

impl Output {
	/// Writes to standard output; as JSON if `json`.
	pub fn new(json: bool) -> Self {
		let bars = (!json && std::io::stderr().is_terminal()).then(MultiProgress::new);
		let observer = OnceLock::new();
		Self(Arc::new(Inner { json, bars, sink: Mutex::new(Sink::Stdout), observer }))
	}

	/// Keeps the lines in memory, for tests. See [`Output::lines`].
	pub fn memory(json: bool) -> Self {
		let sink = Mutex::new(Sink::Memory(Vec::new()));
		Self(Arc::new(Inner { json, bars: None, sink, observer: OnceLock::new() }))
	}

	/// The lines kept so far by [`Output::memory`].
	pub fn lines(&self) -> Vec<String> {
		match &*self.sink() {
			Sink::Stdout => Vec::new(),
			Sink::Memory(lines) => lines.clone(),
		}
	}

	/// From now on `observer` is told of every event, with its fields. Only the first one counts.
	pub fn observe(&self, observer: impl Fn(&str, &Value) + Send + Sync + 'static) {
		let _ = self.0.observer.set(Box::new(observer));
	}

	/// Whether machines read this.
	pub fn is_json(&self) -> bool {
		self.0.json
	}

	/// One thing that happened. `name` is dotted, subject first (`round.committed`); `fields` is a JSON object;
	/// `text` is the same for people.
	pub fn event(&self, name: &str, fields: Value, text: impl AsRef<str>) {
		crate::crash::point(&format!("before the event {name}"));
		if let Some(observer) = self.0.observer.get() {
			observer(name, &fields);
		}
		if self.0.json {
			let mut line = Map::new();
			line.insert("event".into(), name.into());
			if let Value::Object(fields) = fields {
				line.extend(fields);
			}
			self.line(&Value::Object(line).to_string());
		} else {
			self.line(text.as_ref());
		}
	}

	/// The one result of a command: `value` for machines, `text` for people.
	pub fn result(&self, value: &Value, text: impl AsRef<str>) {
		if self.0.json {
			self.line(&value.to_string());
		} else {
			self.line(text.as_ref());
		}
	}

	/// A bar of `length` steps, if a person is watching.
	pub fn bar(&self, length: u64, prefix: impl Into<String>) -> Bar {
		Bar(self.0.bars.as_ref().map(|bars| {
			let bar = bars.add(ProgressBar::new(length));
			let style = ProgressStyle::with_template("{prefix} {bar:30} {pos}/{len} {msg}")
				.unwrap_or_else(|_| ProgressStyle::default_bar());
			bar.set_style(style);
			bar.set_prefix(prefix.into());
			bar
		}))
	}

	fn line(&self, line: &str) {
		let write = |sink: &mut Sink| match sink {
			// A closed pipe is no reason to stop training.
			Sink::Stdout => drop(writeln!(std::io::stdout(), "{line}")),
			Sink::Memory(lines) => lines.push(line.to_string()),
		};
		match &self.0.bars {
			Some(bars) => bars.suspend(|| write(&mut self.sink())),
			None => write(&mut self.sink()),
		}
	}

	fn sink(&self) -> std::sync::MutexGuard<'_, Sink> {
		self.0.sink.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use serde_json::json;

	#[test]
	fn event_is_one_json_object_when_machines_read() {
		let out = Output::memory(true);
		out.event("round.committed", json!({"round": 3}), "committed");
		let lines = out.lines();
		assert_eq!(lines.len(), 1);
		let value: Value = serde_json::from_str(&lines[0]).expect("valid JSON");
		assert_eq!(value, json!({"event": "round.committed", "round": 3}));
	}

	#[test]
	fn event_is_the_text_when_people_read() {
		let out = Output::memory(false);
		out.event("round.committed", json!({"round": 3}), "round 3: committed");
		out.result(&json!({"a": 1}), "a is 1");
		assert_eq!(out.lines(), ["round 3: committed", "a is 1"]);
	}
}
