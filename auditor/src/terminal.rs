//! What is printed for people. Some of it was written by others: a node's errors, names, what a file says. None of that may
//! move the cursor, colour a verdict or pass for a line of its own.

use serde::Serialize;
use std::{
	fmt::Display,
	io::{self, ErrorKind, Write},
};

/// The most characters of a line: what others write can have any length.
const LONGEST: usize = 8192;

/// Text in one line in which every character stands for itself: others are replaced.
pub fn plain(text: &str) -> String {
	let mut chars = text.chars().map(|c| if is_plain(c) { c } else { char::REPLACEMENT_CHARACTER });
	let mut line: String = chars.by_ref().take(LONGEST).collect();
	if chars.next().is_some() {
		line.push('…');
	}
	line
}

/// Neither a control character nor one that ends a line or turns the direction of what follows.
fn is_plain(c: char) -> bool {
	!c.is_control()
		&& !matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Prints a line.
///
/// # Errors
/// When it cannot be printed. That nobody reads any more is no error.
pub fn say(line: impl Display) -> io::Result<()> {
	put(&(plain(&line.to_string()) + "\n"))
}

/// Prints lines, as they are made by what puts [`plain`] text into each.
///
/// # Errors
/// As for [`say`].
pub fn say_lines(lines: impl Display) -> io::Result<()> {
	lines.to_string().lines().try_for_each(say)
}

/// Prints a JSON document, for machines. What a terminal could take for a command is escaped.
///
/// # Errors
/// As for [`say`].
pub fn say_json(value: &impl Serialize) -> io::Result<()> {
	let mut text = String::new();
	// JSON has these characters in strings only, and escapes those below 32 itself.
	for c in serde_json::to_string_pretty(value)?.chars() {
		match c {
			'\u{7f}'..='\u{9f}' => text.push_str(&format!("\\u{:04x}", u32::from(c))),
			_ => text.push(c),
		}
	}
	text.push('\n');
	put(&text)
}

/// Prints a line to standard error. If that fails, there is nobody left to tell.
pub fn tell(line: impl Display) {
	let _ = writeln!(io::stderr().lock(), "{}", plain(&line.to_string()));
}

fn put(text: &str) -> io::Result<()> {
	let mut out = io::stdout().lock();
	match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
		// As behind `head`: the verdict, which is the exit code, is worth having all the same.
		Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
		done => done,
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn text_of_others_is_one_line_of_characters_that_do_nothing() {
		assert_eq!(plain("a\u{1b}[2J\r\nPROVEN\u{9b}1m\u{202e}x\u{7f}"), "a�[2J��PROVEN�1m�x�");
		assert_eq!(plain("naïve → 0x90c7…"), "naïve → 0x90c7…");
		assert_eq!(plain(&"x".repeat(2 * LONGEST)).chars().count(), LONGEST + 1);
	}
}
