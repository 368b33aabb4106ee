//! The plot of `flat`, as SVG: two panels, by the number of names. Pure.

use std::fmt::Write as _;

/// The figures of a list of one length.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Point {
    pub(crate) names: f64,
    /// In MiB.
    pub(crate) peak: f64,
    /// In microseconds a call.
    pub(crate) cpu: f64,
}

const WIDTH: f64 = 784.0;
const HEIGHT: f64 = 300.0;
/// The size of a panel, and the distance of the two.
const PANEL: (f64, f64) = (290.0, 190.0);
const LEFT: f64 = 60.0;
const TOP: f64 = 50.0;
const APART: f64 = 380.0;

const STYLE: &str = "\
  <style>
    svg { background: #ffffff; font: 12px system-ui, sans-serif; }
    text { fill: #24292f; }
    .head { font-size: 13px; font-weight: 600; }
    .grid { stroke: #d0d7de; stroke-width: 1; }
    .line { fill: none; stroke: #0969da; stroke-width: 2; }
    .dot { fill: #0969da; }
    @media (prefers-color-scheme: dark) {
      svg { background: #0d1117; }
      text { fill: #e6edf3; }
      .grid { stroke: #30363d; }
      .line { stroke: #58a6ff; }
      .dot { fill: #58a6ff; }
    }
  </style>
";

/// Returns the least of 1, 2 and 5 times a power of ten that is not below a number. Axes end there.
pub(crate) fn ceiling(number: f64) -> f64 {
    let power = 10_f64.powf(number.max(1e-9).log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|step| step * power);
    steps
        .into_iter()
        .find(|step| *step >= number)
        .unwrap_or(10.0 * power)
}

/// Formats a power of ten for an axis.
fn power(exponent: f64) -> String {
    match exponent as i32 {
        3 => "1,000".to_owned(),
        4 => "10,000".to_owned(),
        5 => "100,000".to_owned(),
        6 => "1 million".to_owned(),
        7 => "10 million".to_owned(),
        other => format!("10^{other}"),
    }
}

fn panel(svg: &mut String, points: &[Point], index: usize, head: &str, of: fn(&Point) -> f64) {
    let left = LEFT + APART * index as f64;
    let (width, height) = PANEL;
    let greatest = ceiling(points.iter().map(of).fold(0.0, f64::max));
    let exponents = points.iter().map(|point| point.names.log10());
    let (first, last) = (
        exponents.clone().fold(f64::INFINITY, f64::min).floor(),
        exponents.fold(0.0, f64::max).ceil(),
    );
    let x = |names: f64| left + width * (names.log10() - first) / (last - first).max(1.0);
    let y = |value: f64| TOP + height * (1.0 - value / greatest);
    // Formatting into text cannot fail.
    let _ = writeln!(
        svg,
        r#"  <text class="head" x="{left}" y="28">{head}</text>"#
    );
    for step in 0..=4 {
        let value = greatest * f64::from(step) / 4.0;
        let (y, right) = (y(value), left + width);
        let _ = writeln!(
            svg,
            r#"  <line class="grid" x1="{left}" y1="{y:.1}" x2="{right}" y2="{y:.1}"/>"#
        );
        let (x, y) = (left - 8.0, y + 4.0);
        let _ = writeln!(
            svg,
            r#"  <text x="{x}" y="{y:.1}" text-anchor="end">{value}</text>"#
        );
    }
    let mut exponent = first;
    while exponent <= last {
        let (x, y) = (x(10_f64.powf(exponent)), TOP + height + 20.0);
        let text = power(exponent);
        let _ = writeln!(
            svg,
            r#"  <text x="{x:.1}" y="{y}" text-anchor="middle">{text}</text>"#
        );
        exponent += 1.0;
    }
    let (middle, below) = (left + width / 2.0, TOP + height + 42.0);
    let _ = writeln!(
        svg,
        r#"  <text x="{middle}" y="{below}" text-anchor="middle">names in the list</text>"#
    );
    let line: Vec<String> = points
        .iter()
        .map(|point| format!("{:.1},{:.1}", x(point.names), y(of(point))))
        .collect();
    let _ = writeln!(
        svg,
        r#"  <polyline class="line" points="{}"/>"#,
        line.join(" ")
    );
    for point in points {
        let (x, y) = (x(point.names), y(of(point)));
        let _ = writeln!(
            svg,
            r#"  <circle class="dot" cx="{x:.1}" cy="{y:.1}" r="3.5"/>"#
        );
    }
}

/// Draws the plot, with its figures in words for people who cannot see it.
pub(crate) fn svg(points: &[Point]) -> String {
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-labelledby=\"title desc\">\n",
    );
    svg.push_str("  <title id=\"title\">Memory and processor time of a run by the length of its list</title>\n");
    let words: Vec<String> = points
        .iter()
        .map(|point| {
            format!(
                "{} names: {:.1} MiB, {:.0} µs a call",
                point.names, point.peak, point.cpu
            )
        })
        .collect();
    let _ = writeln!(svg, "  <desc id=\"desc\">{}.</desc>", words.join("; "));
    svg.push_str(STYLE);
    panel(&mut svg, points, 0, "peak resident memory, MiB", |point| {
        point.peak
    });
    panel(&mut svg, points, 1, "processor time a call, µs", |point| {
        point.cpu
    });
    svg.push_str("</svg>\n");
    svg
}
