//! The frame of a chart: a plot over the time line, with ticks on both axes and a mark where time was cut out.

use super::axis::Axis;
use super::html::{Markup, Text, put};
use super::scale::Scale;
use super::words;

/// How wide a chart is, in its own units: on a screen, and on one held in a hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Size {
    Wide,
    Narrow,
}

impl Size {
    pub(super) const ALL: [Self; 2] = [Self::Wide, Self::Narrow];

    fn width(self) -> f64 {
        match self {
            Self::Wide => 960.0,
            Self::Narrow => 400.0,
        }
    }

    fn class(self) -> &'static str {
        match self {
            Self::Wide => "wide",
            Self::Narrow => "narrow",
        }
    }
}

/// Where the plot of a chart lies.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame<'a> {
    pub(super) axis: &'a Axis,
    pub(super) size: Size,
    /// The left and the right end of the plot.
    pub(super) left: f64,
    pub(super) right: f64,
    pub(super) top: f64,
    pub(super) bottom: f64,
}

/// The room below a plot for its time line.
const BELOW: f64 = 36.0;
/// How far labels of the time line are apart, at least.
const LABELS_APART: f64 = 64.0;
/// The same of days below them.
const DAYS_APART: f64 = 90.0;

impl<'a> Frame<'a> {
    /// A plot so high, with so much room above it.
    pub(super) fn new(axis: &'a Axis, size: Size, above: f64, height: f64) -> Self {
        Self {
            axis,
            size,
            left: 48.0,
            right: size.width() - 24.0,
            top: above,
            bottom: above + height,
        }
    }

    /// How wide a cut is.
    pub(super) fn cut(&self) -> f64 {
        match self.size {
            Size::Wide => 16.0,
            Size::Narrow => 8.0,
        }
    }

    /// How wide a bucket is.
    pub(super) fn unit(&self) -> f64 {
        let cuts = self.axis.panels.len().saturating_sub(1) as f64 * self.cut();
        (self.right - self.left - cuts) / self.axis.buckets.max(1) as f64
    }

    fn at(&self, panel: usize, offset: f64) -> f64 {
        let first = self.axis.panels.get(panel).map_or(0, |panel| panel.first);
        self.left + panel as f64 * self.cut() + (first as f64 + offset) * self.unit()
    }

    /// Where a bucket begins.
    pub(super) fn bucket(&self, bucket: usize) -> f64 {
        let panel = self.axis.panel_of(bucket);
        let first = self.axis.panels.get(panel).map_or(0, |panel| panel.first);
        self.at(panel, (bucket - first) as f64)
    }

    /// Where a moment is.
    pub(super) fn moment(&self, moment: i64) -> f64 {
        let (panel, offset) = self.axis.place(moment);
        self.at(panel, offset)
    }

    /// How high a value is.
    pub(super) fn height(&self, scale: Scale, value: f64) -> f64 {
        self.bottom - scale.share(value) * (self.bottom - self.top)
    }

    /// A drawing with this name, described in words for whoever does not see it.
    pub(super) fn drawing(
        &self,
        id: &'static str,
        title: &'static str,
        description: Text,
        content: Markup,
    ) -> Markup {
        let (width, class) = (self.size.width(), self.size.class());
        let height = self.bottom + BELOW;
        let mut out = Markup::new();
        put!(&mut out =>
            "<svg class=\"", class, "\" viewBox=\"0 0 ", width, " ", height, "\" role=\"img\" aria-labelledby=\"",
            id, "-", class, "-t ", id, "-", class, "-d\"><title id=\"", id, "-", class, "-t\">", title,
            "</title><desc id=\"", id, "-", class, "-d\">", description, "</desc>", content, "</svg>\n",
        );
        out
    }

    /// The lines behind a plot: the values' ticks, the time line, and the cuts.
    pub(super) fn grid(&self, scale: Option<Scale>) -> Markup {
        let mut out = Markup::new();
        for (value, label) in scale.into_iter().flat_map(Scale::ticks) {
            let y = scale.map_or(self.bottom, |scale| self.height(scale, value));
            put!(&mut out =>
                "<path class=\"grid\" d=\"M", self.left, " ", y, "H", self.right, "\"/><text class=\"y\" x=\"",
                self.left - 8.0, "\" y=\"", y + 4.0, "\">", Text::of(label), "</text>",
            );
        }
        self.cuts(&mut out);
        self.time_line(&mut out);
        out
    }

    fn cuts(&self, out: &mut Markup) {
        for (i, panel) in self.axis.panels.iter().enumerate().skip(1) {
            let x = self.at(i, 0.0) - self.cut();
            let height = self.bottom - self.top;
            put!(out =>
                "<rect class=\"cut\" x=\"", x, "\" y=\"", self.top, "\" width=\"", self.cut(), "\" height=\"", height,
                "\"><title>", Text::of(format!(
                    "{} without a runner, until {}",
                    words::span(self.axis.pause_before(i).unsigned_abs()),
                    words::moment(panel.begin())
                )), "</title></rect>",
            );
            let middle = x + self.cut() / 2.0;
            put!(out =>
                "<path class=\"break\" d=\"M", middle - 4.0, " ", self.bottom + 5.0, "l4 -10M", middle, " ",
                self.bottom + 5.0, "l4 -10\"/>",
            );
        }
    }

    fn time_line(&self, out: &mut Markup) {
        for i in 0..self.axis.panels.len() {
            let buckets = self.axis.panels[i].buckets as f64;
            put!(out =>
                "<path class=\"base\" d=\"M", self.at(i, 0.0), " ", self.bottom, "H", self.at(i, buckets), "\"/>",
            );
        }
        let (step, ticks) = self.axis.ticks(LABELS_APART / self.unit());
        let (mut labelled, mut day_labelled) = (f64::NEG_INFINITY, f64::NEG_INFINITY);
        let mut last_day = String::new();
        for (moment, panel, offset) in self.with_beginnings(ticks) {
            let x = self.at(panel, offset);
            put!(out => "<path class=\"tick\" d=\"M", x, " ", self.bottom, "v5\"/>");
            let day = words::day(moment, step);
            let is_new_day = day != last_day;
            // A time on another day says nothing without that day.
            if x - labelled < LABELS_APART - 1.0 || is_new_day && x - day_labelled < DAYS_APART {
                continue;
            }
            labelled = x;
            put!(out => "<text class=\"x\" x=\"", x, "\" y=\"", self.bottom + 18.0, "\">",
                Text::of(words::tick(moment, step)), "</text>");
            if is_new_day {
                put!(out => "<text class=\"x\" x=\"", x, "\" y=\"", self.bottom + 32.0, "\">", Text::of(day.as_str()), "</text>");
                (last_day, day_labelled) = (day, x);
            }
        }
    }

    /// The ticks, and the beginning of each panel that has none: there it says at least when it is.
    fn with_beginnings(&self, ticks: Vec<(i64, usize, f64)>) -> Vec<(i64, usize, f64)> {
        let mut all = ticks;
        for (i, panel) in self.axis.panels.iter().enumerate() {
            if !all.iter().any(|(_, of, _)| *of == i) {
                all.push((panel.begin(), i, 0.0));
            }
        }
        all.sort_by_key(|(moment, panel, _)| (*panel, *moment));
        all
    }

    /// Areas over buckets that say what they stand for when they are pointed at.
    pub(super) fn hints(&self, hint: impl Fn(usize) -> Option<String>) -> Markup {
        let mut out = Markup::new();
        if self.size == Size::Narrow {
            return out;
        }
        for bucket in 0..self.axis.buckets {
            let Some(text) = hint(bucket) else { continue };
            let height = self.bottom - self.top;
            put!(&mut out =>
                "<rect class=\"hint\" x=\"", self.bucket(bucket), "\" y=\"", self.top, "\" width=\"", self.unit(),
                "\" height=\"", height, "\"><title>", Text::of(text), "</title></rect>",
            );
        }
        out
    }

    /// A bar over a bucket, as a part of a path, from one height to another.
    pub(super) fn bar(&self, path: &mut Markup, bucket: usize, from: f64, to: f64) {
        let unit = self.unit();
        // Wide bars have a gap between them; narrow ones would only shimmer.
        let width = if unit > 8.0 { unit - 1.0 } else { unit };
        put!(path => "M", self.bucket(bucket), " ", from, "V", to, "h", width, "V", from, "z");
    }
}
