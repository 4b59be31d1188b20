//! What a person sees while a devnet runs: a progress bar on a terminal, plain lines elsewhere.

use indicatif::{ProgressBar, ProgressStyle};
use std::{
	io::{IsTerminal, Write},
	sync::{Arc, Mutex, PoisonError},
	time::{Duration, Instant},
};

/// Where progress goes. Cheap to clone.
#[derive(Clone)]
pub struct Ui(Arc<Inner>);

struct Inner {
	start: Instant,
	/// `None` where nobody watches a terminal.
	bar: Option<ProgressBar>,
	/// The last status line, so that without a terminal only changes are printed.
	last: Mutex<String>,
	quiet: bool,
}

impl Default for Ui {
	/// A bar if standard error is a terminal, else lines.
	fn default() -> Self {
		Self::new(std::io::stderr().is_terminal(), false)
	}
}

impl Ui {
	fn new(terminal: bool, quiet: bool) -> Self {
		let bar = terminal.then(|| {
			let bar = ProgressBar::new(0);
			bar.set_style(spinner());
			bar.enable_steady_tick(Duration::from_millis(120));
			bar
		});
		Self(Arc::new(Inner { start: Instant::now(), bar, last: Mutex::default(), quiet }))
	}

	/// Says nothing but what is final.
	pub fn quiet() -> Self {
		Self::new(false, true)
	}

	/// Something that was done. It stays.
	pub fn line(&self, text: impl AsRef<str>) {
		if self.0.quiet {
			return;
		}
		let line = format!("[{:>4}s] {}", self.0.start.elapsed().as_secs(), text.as_ref());
		self.print(&line);
	}

	/// A result: without the time, and also when quiet.
	pub fn print(&self, text: &str) {
		// A closed pipe is no reason to stop.
		let print = || drop(writeln!(std::io::stdout(), "{text}"));
		match &self.0.bar {
			Some(bar) => bar.suspend(print),
			None => print(),
		}
	}

	/// What goes on now. On a terminal it replaces what went on before.
	pub fn status(&self, text: impl Into<String>) {
		let text = text.into();
		if let Some(bar) = &self.0.bar {
			bar.set_message(text);
			return;
		}
		let mut last = self.0.last.lock().unwrap_or_else(PoisonError::into_inner);
		if *last != text {
			self.line(&text);
			*last = text;
		}
	}

	/// How many of how many rounds are done.
	pub fn rounds(&self, done: u32, of: u32) {
		if let Some(bar) = &self.0.bar {
			if bar.length() != Some(of.into()) {
				bar.set_length(of.into());
				bar.set_style(rounds_style());
			}
			bar.set_position(done.into());
		}
	}

	/// Takes the bar away.
	pub fn clear(&self) {
		if let Some(bar) = &self.0.bar {
			bar.set_style(spinner());
			bar.set_message("");
			bar.finish_and_clear();
		}
	}
}

fn spinner() -> ProgressStyle {
	ProgressStyle::with_template("{spinner} [{elapsed}] {msg}")
		.unwrap_or_else(|_| ProgressStyle::default_spinner())
}

fn rounds_style() -> ProgressStyle {
	ProgressStyle::with_template("{spinner} [{elapsed}] rounds {bar:20} {pos}/{len}  {msg}")
		.unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// A table with its columns aligned: text to the left, numbers to the right.
pub fn table(header: &[&str], rows: &[Vec<String>]) -> String {
	let width = |column: usize| {
		let cells = rows.iter().filter_map(|row| row.get(column)).map(|c| c.chars().count());
		cells.chain([header[column].chars().count()]).max().unwrap_or(0)
	};
	let widths: Vec<usize> = (0..header.len()).map(width).collect();
	let numeric = |column: usize| {
		rows.iter()
			.filter_map(|row| row.get(column))
			.all(|c| c.starts_with(|c: char| c.is_ascii_digit() || c == '-'))
			&& !rows.iter().any(|row| row.get(column).is_some_and(|c| c.starts_with("0x")))
	};
	let line = |cells: &[String]| {
		let cells = cells.iter().enumerate().map(|(i, cell)| {
			let pad = " ".repeat(widths[i].saturating_sub(cell.chars().count()));
			if numeric(i) {
				format!("{pad}{cell}")
			} else {
				format!("{cell}{pad}")
			}
		});
		cells.collect::<Vec<_>>().join("  ").trim_end().to_string()
	};
	let header: Vec<String> = header.iter().map(|h| (*h).to_string()).collect();
	let rule = widths.iter().map(|w| "-".repeat(*w)).collect::<Vec<_>>().join("  ");
	let mut lines = vec![line(&header), rule];
	lines.extend(rows.iter().map(|row| line(row)));
	lines.join("\n")
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn table_aligns_numbers_right_and_text_left() {
		let rows =
			[["1", "0xabcd", "0.5"], ["10", "0xa", "0.25"]].map(|r| r.map(String::from).to_vec()).to_vec();
		let expected = "round  hash    loss\n-----  ------  ----\n    1  0xabcd   0.5\n   10  0xa     0.25";
		assert_eq!(table(&["round", "hash", "loss"], &rows), expected);
	}
}
