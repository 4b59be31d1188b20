//! What the docs show is what the tests run.

use std::{
	collections::BTreeSet,
	fs,
	path::{Path, PathBuf},
};

fn docs() -> PathBuf {
	PathBuf::from("../docs")
}

fn read(path: &Path) -> String {
	fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The fenced blocks of a page, by language. Indented fences do not occur.
fn blocks(page: &str) -> BTreeSet<(String, String)> {
	let mut blocks = BTreeSet::new();
	let mut open: Option<(String, String)> = None;
	for line in page.lines() {
		match (line.strip_prefix("```"), open.as_mut()) {
			(Some(language), None) => open = Some((language.into(), String::new())),
			(Some(_), Some(_)) => blocks.extend(open.take()),
			(None, Some((_, text))) => *text += &format!("{line}\n"),
			(None, None) => {},
		}
	}
	blocks
}

#[test]
fn auditing_page_shows_every_example_as_it_is() {
	let page = read(&docs().join("auditing.md"));
	let shown = blocks(&page);
	let mut programs = 0;
	let entries = fs::read_dir(docs().join("examples")).expect("docs/examples is there");
	for file in entries.map(|entry| entry.expect("docs/examples can be read").path()) {
		let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
		let language = match name.rsplit('.').next() {
			Some("sh") => "sh",
			Some("py") => "python",
			// These are only types, and long.
			Some("mjs") if name != "provenance.mjs" => "js",
			_ => continue,
		};
		programs += 1;
		assert!(page.contains(&format!("(examples/{name})")), "docs/auditing.md does not name {name}");
		assert!(
			shown.contains(&(language.into(), read(&file))),
			"docs/auditing.md does not show docs/examples/{name} as it is: copy the file into its ```{language} block"
		);
	}
	assert_eq!(programs, 4);
}
