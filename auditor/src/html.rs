//! An audit as one HTML page: no script, nothing loaded from anywhere.
//!
//! The lineage is an SVG drawing with a row per round: weights stand on the left, one below what they were made of, and
//! the updates that made them stand between, to the right. A round with many updates has one node for all of them. Every
//! state is said in words, too. The page is well-formed XML, so that it can be read by more than a browser.

use crate::{
	audit::{Audit, Finding, Node, RoundAudit},
	recompute::Outcome,
};
use std::{collections::BTreeSet, fmt::Write};

/// The most updates of a round that have a node each.
const DRAWN: usize = 8;
/// The most updates in all that are listed below the drawing.
const LISTED: usize = 5_000;

const NODE_WIDTH: usize = 168;
const NODE_HEIGHT: usize = 44;
const GAP: usize = 16;
const MARGIN: usize = 12;
/// From weights to those that a round makes of them.
const ROW: usize = 148;
/// What a round takes that made no weights.
const STUB: usize = 40;

const STYLE: &str = "\
:root{--ground:#fff;--text:#1b1f24;--dim:#57606a;--line:#8c959f;--proven:#1a7f37;--refuted:#cf222e;--unknown:#9a6700;\
--none:#6e7781;--box:#f6f8fa}\
@media(prefers-color-scheme:dark){:root{--ground:#0d1117;--text:#e6edf3;--dim:#8d96a0;--line:#6e7681;--proven:#3fb950;\
--refuted:#f85149;--unknown:#d29922;--none:#8b949e;--box:#161b22}}\
body{margin:2rem auto;max-width:72rem;padding:0 1rem;background:var(--ground);color:var(--text);\
font:16px/1.5 system-ui,sans-serif}\
code,.hash{font-family:ui-monospace,monospace;font-size:.85em;overflow-wrap:anywhere}\
.drawing{overflow:auto;max-height:80vh;border:1px solid var(--line);border-radius:6px;background:var(--box)}\
svg{display:block}svg text{font:12px ui-monospace,monospace;fill:var(--text)}svg .small{font-size:11px;fill:var(--dim)}\
svg rect{fill:var(--ground);stroke-width:2;rx:6px}svg path{fill:none;stroke:var(--line)}\
svg .stub{stroke-dasharray:3 3}\
.proven{stroke:var(--proven)}.refuted{stroke:var(--refuted)}.unknown{stroke:var(--unknown)}.none{stroke:var(--none)}\
.verdict{border-left:6px solid;padding:.5rem 1rem;background:var(--box);font-weight:600;overflow-wrap:anywhere}\
p.proven,td.proven{color:var(--proven)}p.refuted,td.refuted,li.refuted{color:var(--refuted)}\
p.unknown,td.unknown,li.unknown{color:var(--unknown)}td.none{color:var(--none)}\
table{border-collapse:collapse;width:100%}td,th{text-align:left;vertical-align:top;padding:.3rem .6rem;\
border-bottom:1px solid var(--line)}dt{font-weight:600}dd{margin:0 0 .5rem}";

/// The page.
pub fn page(audit: &Audit) -> String {
	let mut page = Page(String::new());
	page.write(audit);
	page.0
}

/// Text as it may stand between tags and in attributes. What XML has no place for is replaced.
fn escape(text: &str) -> String {
	let mut out = String::with_capacity(text.len());
	for c in text.chars() {
		match c {
			'&' => out.push_str("&amp;"),
			'<' => out.push_str("&lt;"),
			'>' => out.push_str("&gt;"),
			'"' => out.push_str("&quot;"),
			'\'' => out.push_str("&#39;"),
			'\t' | '\n' => out.push(' '),
			c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
			c => out.push(c),
		}
	}
	out
}

/// The first digits of a hash, for where there is no room for all.
fn short(hash: &impl std::fmt::Debug) -> String {
	format!("{hash:?}").chars().take(12).chain(['…']).collect()
}

const fn class(finding: Finding) -> &'static str {
	match finding {
		Finding::Proven => "proven",
		Finding::Refuted => "refuted",
		Finding::Unknown => "unknown",
	}
}

const fn word(finding: Finding) -> &'static str {
	match finding {
		Finding::Proven => "proven",
		Finding::Refuted => "REFUTED",
		Finding::Unknown => "could not tell",
	}
}

fn class_of(round: &RoundAudit) -> &'static str {
	match (round.aggregate, round.is_proven()) {
		(Outcome::Refuted, _) => "refuted",
		(Outcome::Skipped, _) => "none",
		(Outcome::Equal, true) => "proven",
		(Outcome::Equal | Outcome::Unknown, _) => "unknown",
	}
}

const fn record_word(node: &Node) -> (&'static str, &'static str) {
	if node.proven {
		("proven", "record proven")
	} else {
		("unknown", "record not proven")
	}
}

struct Page(String);

impl Page {
	/// Writing to a string does not fail.
	fn add(&mut self, text: std::fmt::Arguments<'_>) {
		let _ = self.0.write_fmt(text);
	}

	fn write(&mut self, audit: &Audit) {
		let title = format!("Audit of programme {} ({})", audit.programme, audit.name);
		let title = escape(&title);
		self.add(format_args!(
			"<!DOCTYPE html>\n<html xmlns=\"http://www.w3.org/1999/xhtml\" lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
			 <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\"/>\n\
			 <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n<title>{title}</title>\n\
			 <style>{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n"
		));
		let verdict = class(audit.verdict);
		self.add(format_args!("<p class=\"verdict {verdict}\">{}</p>\n", escape(&audit.sentence())));
		let problems: Vec<_> = audit.problems().collect();
		if !problems.is_empty() {
			self.add(format_args!("<ul>\n"));
			for problem in problems {
				let class = if problem.starts_with("REFUTED") { "refuted" } else { "unknown" };
				self.add(format_args!("<li class=\"{class}\">{}</li>\n", escape(&problem)));
			}
			self.add(format_args!("</ul>\n"));
		}
		self.facts(audit);
		self.add(format_args!("<h2>Lineage</h2>\n"));
		self.drawing(audit);
		self.rounds(audit);
		self.add(format_args!("<h2>Not covered</h2>\n<ul>\n"));
		for not in &audit.not_covered {
			self.add(format_args!("<li>{}</li>\n", escape(not)));
		}
		self.add(format_args!("</ul>\n</body>\n</html>\n"));
	}

	fn facts(&mut self, audit: &Audit) {
		let (rounds, equal) = audit.aggregates();
		self.add(format_args!("<dl>\n"));
		let mut fact = |name: &str, value: String| {
			self.add(format_args!("<dt>{name}</dt><dd class=\"hash\">{}</dd>\n", escape(&value)));
		};
		fact("Newest weights", format!("{:?}", audit.model));
		if let Some(start) = &audit.start {
			fact("Started from", format!("{:?} ({})", start.artifact, record_word(start).1));
		}
		let configuration = &audit.configuration;
		fact("Configuration", format!("{:?} ({})", configuration.artifact, word(configuration.finding)));
		fact("Proven", audit.proof_words());
		if audit.genesis_from_node {
			fact("Chain", "the node named it: compare the genesis hash with one that you know".into());
		}
		fact(
			"Recomputed",
			format!("{equal} of {rounds} aggregates, bit for bit, from {} updates", audit.updates()),
		);
		for missing in &audit.missing {
			fact("Missing", format!("{missing:?}"));
		}
		self.add(format_args!("</dl>\n"));
	}

	/// The drawing: the oldest weights on top.
	fn drawing(&mut self, audit: &Audit) {
		let most = audit.rounds.iter().map(|round| round.updates.len().min(DRAWN)).max().unwrap_or(0);
		let width = 2 * MARGIN + (NODE_WIDTH + GAP) * (most + 1).max(2);
		let height: usize = 2 * MARGIN
			+ NODE_HEIGHT
			+ audit.rounds.iter().map(|round| if round.is_finalised() { ROW } else { STUB }).sum::<usize>();
		self.add(format_args!(
			"<div class=\"drawing\" tabindex=\"0\">\n<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" \
			 aria-labelledby=\"lineage-title\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\">\n\
			 <title id=\"lineage-title\">Lineage of programme {}: from the weights it started from, on top, through {} rounds \
			 to its newest weights</title>\n",
			audit.programme,
			audit.rounds.len()
		));
		let mut y = MARGIN;
		match &audit.start {
			Some(start) => {
				let (class, word) = record_word(start);
				let about = format!("weights {:?}, where the programme started, {word}", start.artifact);
				self.node(MARGIN, y, class, &about, &short(&start.artifact), "start");
			},
			None => {
				self.node(MARGIN, y, "unknown", "the weights it started from are not known", "?", "start")
			},
		}
		for round in &audit.rounds {
			y = self.round(round, y);
		}
		self.add(format_args!("</svg>\n</div>\n"));
	}

	/// Draws a round below the weights at `y`; returns where the newest weights stand then.
	fn round(&mut self, round: &RoundAudit, y: usize) -> usize {
		let (x, middle) = (MARGIN, MARGIN + NODE_WIDTH / 2);
		let bottom = y + NODE_HEIGHT;
		let about = format!("round {}: {}", round.round, round.words());
		if !round.is_finalised() {
			// What runs on to the next weights, and a word beside it.
			let next = y + STUB;
			self.add(format_args!(
				"<g role=\"img\"><title>{}</title><path class=\"stub\" d=\"M{middle} {bottom}V{}\"/>\
				 <text class=\"small\" x=\"{}\" y=\"{}\">{}</text></g>\n",
				escape(&format!("{about}. {}", round.reasons.join(" "))),
				bottom + STUB,
				middle + GAP,
				bottom + STUB / 2 + 4,
				escape(&about)
			));
			return next;
		}
		let next = y + ROW;
		let updates_y = y + ROW / 2;
		self.add(format_args!("<path d=\"M{middle} {bottom}V{next}\"/>\n"));
		let nodes: Vec<(&'static str, String, String, String)> = if round.updates.len() <= DRAWN {
			round.updates.iter().map(update).collect()
		} else {
			vec![all_updates(round)]
		};
		for (i, (class, about, first, second)) in nodes.iter().enumerate() {
			let left = x + (NODE_WIDTH + GAP) * (i + 1);
			let (centre, lower) = (left + NODE_WIDTH / 2, updates_y + NODE_HEIGHT);
			self.add(format_args!(
				"<path d=\"M{middle} {bottom}C{middle} {updates_y} {centre} {bottom} {centre} {updates_y}\"/>\
				 <path d=\"M{centre} {lower}C{centre} {next} {middle} {lower} {middle} {next}\"/>\n"
			));
			self.node(left, updates_y, class, about, first, second);
		}
		let artifact = round.weights.as_ref().map(|node| node.artifact);
		let name = artifact.map_or_else(|| "?".into(), |artifact| short(&artifact));
		let whole = artifact.map_or_else(|| "unknown".into(), |artifact| format!("{artifact:?}"));
		let about = format!("{about}; weights {whole} {}", round.reasons.join(" "));
		let second = format!("round {} {}", round.round, mark(class_of(round)));
		self.node(x, next, class_of(round), &about, &name, &second);
		next
	}

	fn node(&mut self, x: usize, y: usize, class: &str, about: &str, first: &str, second: &str) {
		self.add(format_args!(
			"<g role=\"img\"><title>{}</title><rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{NODE_WIDTH}\" \
			 height=\"{NODE_HEIGHT}\"/><text x=\"{}\" y=\"{}\">{}</text><text class=\"small\" x=\"{}\" y=\"{}\">{}</text></g>\n",
			escape(about.trim_end()),
			x + 8,
			y + 18,
			escape(first),
			x + 8,
			y + 35,
			escape(second)
		));
	}

	/// The rounds as a table, for whoever reads rather than looks.
	fn rounds(&mut self, audit: &Audit) {
		let listed = audit.updates() <= LISTED;
		self.add(format_args!("<h2>Rounds</h2>\n"));
		if !listed {
			self.add(format_args!(
				"<p>The {} updates are too many for a page; the report as JSON lists each.</p>\n",
				audit.updates()
			));
		}
		self.add(format_args!(
			"<table>\n<thead><tr><th>round</th><th>found</th><th>updates</th><th>weights</th></tr></thead>\n<tbody>\n"
		));
		for round in &audit.rounds {
			let weights = round.weights.as_ref().map_or_else(
				|| "–".into(),
				|node| format!("{:?} record {}, block {}", node.artifact, node.record, node.block),
			);
			self.add(format_args!(
				"<tr id=\"round-{}\"><td>{}</td><td class=\"{}\">{}</td><td>{}</td><td class=\"hash\">{}",
				round.round,
				round.round,
				class_of(round),
				round.words(),
				round.updates.len(),
				escape(&weights)
			));
			for reason in &round.reasons {
				self.add(format_args!("<p class=\"{}\">{}</p>", class_of(round), escape(reason)));
			}
			if listed && !round.updates.is_empty() {
				self.add(format_args!("<details><summary>updates</summary><ol>"));
				for node in &round.updates {
					self.add(format_args!("<li>{}</li>", escape(&about_update(node))));
				}
				self.add(format_args!("</ol></details>"));
			}
			self.add(format_args!("</td></tr>\n"));
		}
		self.add(format_args!("</tbody>\n</table>\n"));
	}
}

/// A sign for who does not see the colours.
fn mark(class: &str) -> &'static str {
	match class {
		"proven" => "✓ recomputed",
		"refuted" => "✗ REFUTED",
		_ => "? open",
	}
}

fn about_update(node: &Node) -> String {
	let by = node.producer.as_deref().unwrap_or("nobody");
	let mut device = node.device.map_or_else(|| "no device".into(), |device| format!("device {device}"));
	if let Some(site) = node.site {
		device.push_str(&format!(" of site {site}"));
	}
	format!(
		"update {:?}, record {}, by {by} on {device}, {}",
		node.artifact,
		node.record,
		record_word(node).1
	)
}

fn update(node: &Node) -> (&'static str, String, String, String) {
	let device = node.device.map_or_else(String::new, |device| format!("device {device}, "));
	let by: String = node.producer.as_deref().unwrap_or("nobody").chars().take(8).collect();
	(record_word(node).0, about_update(node), short(&node.artifact), format!("{device}{by}…"))
}

/// One node for the updates of a round.
fn all_updates(round: &RoundAudit) -> (&'static str, String, String, String) {
	let count = round.updates.len();
	let workers = round.updates.iter().map(|node| &node.producer).collect::<BTreeSet<_>>().len();
	let devices = round.updates.iter().map(|node| node.device).collect::<BTreeSet<_>>().len();
	let proven = round.updates.iter().filter(|node| node.proven).count();
	let class = if proven == count { "proven" } else { "unknown" };
	let about = format!(
		"{count} updates of {workers} workers on {devices} devices; {proven} of their records proven"
	);
	(class, about, format!("{count} updates"), format!("{workers} workers, {devices} dev."))
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn text_is_escaped_and_what_xml_cannot_hold_is_replaced() {
		assert_eq!(
			escape("<script>alert('1' & \"2\")</script>\u{0}\n"),
			"&lt;script&gt;alert(&#39;1&#39; &amp; &quot;2&quot;)&lt;/script&gt;\u{fffd} "
		);
	}
}
