//! Line plots as SVG, small enough to be committed and readable on light and dark pages: text stays text, colours follow
//! the reader's preference, and lines differ in dashes as well as in colour.

use std::fmt::Write;

/// A point of a curve: a mean, and the least and greatest of what it is the mean of.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Point {
	pub x: f64,
	pub y: f64,
	pub low: f64,
	pub high: f64,
}

/// A line.
pub(crate) struct Curve {
	pub name: String,
	pub points: Vec<Point>,
}

/// One plot among several.
pub(crate) struct Panel {
	pub title: String,
	pub curves: Vec<Curve>,
}

/// Colours that people with any kind of colour vision tell apart (after Okabe and Ito), for light and dark pages.
const COLOURS: [(&str, &str); 8] = [
	("#0072b2", "#56b4e9"),
	("#d55e00", "#ff8c42"),
	("#00795a", "#2ecc9b"),
	("#a04a80", "#e59ac8"),
	("#8a6500", "#e8b93c"),
	("#303030", "#e8e8e8"),
	("#2a8ca8", "#8fe0f5"),
	("#8a8f00", "#f0e442"),
];
const DASHES: [&str; 4] = ["", "7 3", "2 3", "9 3 2 3"];

const WIDTH: f64 = 288.0;
const HEIGHT: f64 = 172.0;
const LEFT: f64 = 52.0;
const TOP: f64 = 30.0;
const GAP: f64 = 26.0;
const BELOW: f64 = 42.0;
const COLUMNS: usize = 3;
const LEGEND: f64 = 18.0;

fn escaped(text: &str) -> String {
	text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A step of 1, 2 or 5 times a power of ten that makes about five of the range.
fn step(range: f64) -> f64 {
	let rough = (range / 5.0).max(1.0);
	let power = 10f64.powf(rough.log10().floor());
	[1.0, 2.0, 5.0, 10.0].into_iter().map(|n| n * power).find(|s| *s >= rough).unwrap_or(power)
}

/// Shortest form with one digit behind the point.
fn coordinate(value: f64) -> String {
	let text = format!("{value:.1}");
	text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

/// Panels of curves whose values are shares, from 0 to 1, over x from 0 to `most`.
pub(crate) fn panels(title: &str, x: &str, y: &str, most: f64, panels: &[Panel]) -> String {
	let columns = panels.len().clamp(1, COLUMNS);
	let rows = panels.len().div_ceil(columns).max(1);
	let names: Vec<&str> =
		panels.first().map_or(Vec::new(), |p| p.curves.iter().map(|c| c.name.as_str()).collect());
	let width = columns as f64 * (LEFT + WIDTH) + GAP;
	// Legend entries stand in as many columns as the longest name allows.
	let entry = names.iter().map(|n| n.chars().count()).max().unwrap_or(0) as f64 * 7.2 + 50.0;
	let per_row = ((width - LEFT) / entry).floor().max(1.0) as usize;
	let legend = names.len().div_ceil(per_row) as f64 * LEGEND + 14.0;
	let head = 34.0;
	let height = head + legend + rows as f64 * (TOP + HEIGHT + BELOW);

	let mut out = String::new();
	let _ = write!(
		out,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" \
		 height=\"{height:.0}\" role=\"img\" font-family=\"system-ui,sans-serif\" font-size=\"12\">\n<title>{}</title>\n",
		escaped(title)
	);
	let style =
		|pick: fn(&(&'static str, &'static str)) -> &'static str, paper: &str, ink: &str, faint: &str| {
			let mut style = format!(".p{{fill:{paper}}}text{{fill:{ink}}}.g{{stroke:{faint};fill:none}}");
			for (number, colours) in COLOURS.iter().enumerate() {
				let colour = pick(colours);
				let _ = write!(style, ".l{number}{{stroke:{colour}}}.b{number}{{fill:{colour}}}");
			}
			style
		};
	let _ = writeln!(
		out,
		"<style>{}.l{{fill:none;stroke-width:2;stroke-linejoin:round}}.b{{opacity:.15}}\n\
		 @media(prefers-color-scheme:dark){{{}}}</style>",
		style(|c| c.0, "#ffffff", "#202020", "#c8c8c8"),
		style(|c| c.1, "#15181c", "#e4e4e4", "#4a4f55"),
	);
	let _ = writeln!(out, "<rect class=\"p\" width=\"100%\" height=\"100%\"/>");
	let _ = writeln!(
		out,
		"<text x=\"{LEFT}\" y=\"22\" font-size=\"15\" font-weight=\"600\">{}</text>",
		escaped(title)
	);
	for (number, name) in names.iter().enumerate() {
		let left = LEFT + (number % per_row) as f64 * entry;
		let top = head + 8.0 + (number / per_row) as f64 * LEGEND;
		let _ = writeln!(
			out,
			"<path class=\"l l{}\"{} d=\"M{} {}h30\"/><text x=\"{}\" y=\"{}\">{}</text>",
			number % COLOURS.len(),
			dashes(number),
			coordinate(left),
			coordinate(top),
			coordinate(left + 36.0),
			coordinate(top + 4.0),
			escaped(name)
		);
	}
	for (number, panel) in panels.iter().enumerate() {
		let left = LEFT + (number % columns) as f64 * (LEFT + WIDTH);
		let top = head + legend + TOP + (number / columns) as f64 * (TOP + HEIGHT + BELOW);
		draw(&mut out, panel, (left, top), (x, y), most.max(1.0));
	}
	out += "</svg>\n";
	out
}

fn dashes(number: usize) -> String {
	// Where colours come round again, dashes do not.
	match DASHES[(number + number / COLOURS.len()) % DASHES.len()] {
		"" => String::new(),
		dashes => format!(" stroke-dasharray=\"{dashes}\""),
	}
}

fn draw(out: &mut String, panel: &Panel, (left, top): (f64, f64), (x, y): (&str, &str), most: f64) {
	let across = |value: f64| coordinate(left + value / most * WIDTH);
	let down = |value: f64| coordinate(top + (1.0 - value.clamp(0.0, 1.0)) * HEIGHT);
	let bottom = top + HEIGHT;
	let _ = writeln!(
		out,
		"<text x=\"{}\" y=\"{}\" font-weight=\"600\">{}</text>",
		coordinate(left),
		coordinate(top - 8.0),
		escaped(&panel.title)
	);
	for tick in 0..=5 {
		let value = f64::from(tick) / 5.0;
		let _ = write!(
			out,
			"<path class=\"g\" d=\"M{} {}h{WIDTH}\"/><text x=\"{}\" y=\"{}\" text-anchor=\"end\">{value:.1}</text>",
			coordinate(left),
			down(value),
			coordinate(left - 6.0),
			coordinate(top + (1.0 - value) * HEIGHT + 4.0),
		);
	}
	let step = step(most);
	for tick in 0..=(most / step) as u32 {
		let value = f64::from(tick) * step;
		let _ = write!(
			out,
			"<path class=\"g\" d=\"M{} {}v4\"/><text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{value:.0}</text>",
			across(value),
			coordinate(bottom),
			across(value),
			coordinate(bottom + 16.0)
		);
	}
	let _ = writeln!(
		out,
		"\n<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>\
		 <text transform=\"translate({} {}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
		coordinate(left + WIDTH / 2.0),
		coordinate(bottom + 32.0),
		escaped(x),
		coordinate(left - 36.0),
		coordinate(top + HEIGHT / 2.0),
		escaped(y)
	);
	for (number, curve) in panel.curves.iter().enumerate() {
		let points: Vec<&Point> = curve.points.iter().filter(|p| p.y.is_finite()).collect();
		if points.is_empty() {
			continue;
		}
		let line = |points: &mut dyn Iterator<Item = (f64, f64)>| {
			points.map(|(x, y)| format!("{} {}", across(x), down(y))).collect::<Vec<_>>().join(" ")
		};
		let colour = number % COLOURS.len();
		if points.iter().any(|p| p.high > p.low) {
			let high = line(&mut points.iter().map(|p| (p.x, p.high)));
			let low = line(&mut points.iter().rev().map(|p| (p.x, p.low)));
			let _ = writeln!(out, "<path class=\"b b{colour}\" d=\"M{high} {low}z\"/>");
		}
		let mean = line(&mut points.iter().map(|p| (p.x, p.y)));
		let _ = writeln!(
			out,
			"<path class=\"l l{colour}\"{} d=\"M{mean}\"><title>{}</title></path>",
			dashes(number),
			escaped(&curve.name)
		);
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn plot_has_titles_axes_legend_and_a_line_through_the_points() {
		let point = |x, y: f64| Point { x, y, low: y - 0.1, high: y + 0.1 };
		let curve = Curve { name: "krum & <co>".into(), points: vec![point(0.0, 0.1), point(10.0, 0.9)] };
		let image = panels(
			"A title",
			"round",
			"accuracy",
			10.0,
			&[Panel { title: "ipm".into(), curves: vec![curve] }],
		);
		for part in
			["<title>A title</title>", ">ipm<", ">round<", ">accuracy<", ">krum &amp; &lt;co&gt;<", ">10<"]
		{
			assert!(image.contains(part), "{part}: {image}");
		}
		// Top at 34 + 32 + 30; 0.1 is nine tenths of 172 below it, 0.9 one tenth.
		assert!(image.contains("d=\"M52 250.8 340 113.2\""), "{image}");
		assert_eq!(image.matches("<svg").count(), image.matches("</svg>").count());
		assert!(image.contains("prefers-color-scheme:dark"));
	}

	#[test]
	fn ticks_are_round_numbers() {
		assert_eq!([1.0, 5.0, 10.0, 20.0, 30.0, 600.0].map(step), [1.0, 1.0, 2.0, 5.0, 10.0, 200.0]);
	}
}
