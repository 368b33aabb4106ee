//! Draws a run over time: its sessions, its calls, and how long they took. All charts share one time axis.
//!
//! A drawing stretches with the page and its text does not: the bars are in an SVG of their own without a fixed aspect
//! ratio, one unit wide for each step and a hundred high, and labels are placed in percent.

use std::fmt::Write as _;

use maud::{Markup, html};

use crate::store::How;

use super::html::{Column, empty, legend, percent, table};
use super::snapshot::{Ending, Session, Snapshot};
use super::sums::Totals;
use super::timeline::Pause;
use super::{tables, words};

/// The outcomes of sent calls with the classes of their colours, from the bottom up.
const OUTCOMES: [(How, &str); 4] = [
    (How::Succeeded, "ok"),
    (How::Failed, "bad"),
    (How::Throttled, "slow"),
    (How::InDoubt, "doubt"),
];
/// Labels of pauses and sessions need this much room, in percent of the axis.
const LABEL: f64 = 15.0;
/// Narrower than this, a session cannot be seen, in percent of the axis.
const NARROWEST: f64 = 0.2;

/// Returns all charts.
pub(super) fn charts(shown: &Snapshot) -> Markup {
    if shown.sessions.is_empty() {
        return empty("No calls yet.");
    }
    let plot = Plot::new(shown);
    let all = &shown.sums.all;
    html! {
        p.note {
            "Times are in UTC, in steps of " (plot.step) ". The time axis shows only the time in which stride worked."
            @if shown.timeline.pauses().next().is_some() {
                " A dashed line is a pause between two sessions."
            }
        }
        (sessions(shown, &plot))
        @if all.calls() + all.of(How::NotSent) == 0 { (empty("No calls yet.")) }
        @else {
            (calls(shown, &plot))
            (latency(shown, &plot))
            (counts(shown, &plot, "Repeated calls", "now", |step| step.repeats))
            (counts(shown, &plot, "Throttled calls", "slow", |step| step.of(How::Throttled)))
            (counts(shown, &plot, "Calls that could not be sent", "off", |step| step.of(How::NotSent)))
            details { summary { "The numbers of each step" } (numbers(shown)) }
        }
    }
}

/// Bars of one colour: for each step where its bar begins and ends, as a share of the chart's height.
struct Bars {
    class: &'static str,
    bars: Vec<(f64, f64)>,
}

/// What all charts have in common.
struct Plot {
    /// The length of a step.
    step: String,
    steps: usize,
    pauses: Markup,
    axis: Markup,
    /// What a step says when it is pointed at.
    hints: Vec<String>,
}

impl Plot {
    fn new(shown: &Snapshot) -> Self {
        let line = &shown.timeline;
        let mut last = f64::NEG_INFINITY;
        // Of many pauses, those that can be told apart.
        let mut pauses: Vec<Pause> = line.pauses().collect();
        pauses.retain(|pause| {
            let is_apart = pause.percent - last >= 2.0 * NARROWEST;
            last = if is_apart { pause.percent } else { last };
            is_apart
        });
        let pauses = html! {
            @for pause in pauses {
                @let at = percent(pause.percent);
                line.pause x1=(at) x2=(at) y1="0" y2="100%" {
                    title {
                        (words::span(pause.end.abs_diff(pause.begin))) " without a session, until "
                        (words::moment(pause.end)) " UTC"
                    }
                }
            }
        };
        let (apart, ticks) = line.ticks();
        let mut last = String::new();
        let axis = html! {
            svg.axis aria-hidden="true" { @for tick in ticks {
                @let (at, day) = (percent(tick.percent), words::day(tick.moment, apart));
                line x1=(at) x2=(at) y1="0" y2="6" {}
                text x=(at) y="18" { (words::tick(tick.moment, apart)) }
                @if day != last { text x=(at) y="32" { (day) } }
                ({ last = day; "" })
            } }
        };
        let steps = shown.sums.steps.iter().enumerate();
        Self {
            step: words::span(line.width.unsigned_abs()),
            steps: line.steps,
            pauses,
            axis,
            hints: steps
                .map(|(i, step)| hint(&begin(shown, i), step))
                .collect(),
        }
    }

    /// Returns a chart. `ticks` are the labels of half its height and of all of it.
    fn chart(&self, description: &str, ticks: [String; 2], layers: &[Bars]) -> Markup {
        let [half, top] = ticks;
        // Wide bars have gaps between them; between narrow ones gaps would flicker.
        let width = if self.steps > 60 { "1" } else { ".9" };
        html! {
            svg.plot role="img" aria-label=(description) {
                line.grid x2="100%" {}
                line.grid x2="100%" y1="50%" y2="50%" {}
                line.base x2="100%" y1="100%" y2="100%" {}
                (self.pauses)
                svg width="100%" height="100%" viewBox={ "0 0 " (self.steps) " 100" } preserveAspectRatio="none" {
                    @for layer in layers { path class={ "bar " (layer.class) } d=(path(&layer.bars, width)) {} }
                    @for (i, hint) in self.hints.iter().enumerate().filter(|(_, hint)| !hint.is_empty()) {
                        rect.hint x=(i) width="1" height="100" { title { (hint) } }
                    }
                }
                text.y dx="-8" dy="4" { (top) }
                text.y dx="-8" y="50%" dy="4" { (half) }
                text.y dx="-8" y="100%" dy="4" { "0" }
            }
            (self.axis)
        }
    }
}

fn path(bars: &[(f64, f64)], width: &str) -> String {
    let mut path = String::new();
    for (i, (from, to)) in bars.iter().enumerate().filter(|(_, (from, to))| to > from) {
        let (from, to) = (100.0 - from * 100.0, 100.0 - to * 100.0);
        let _ = write!(path, "M{i} {from:.1}V{to:.1}h{width}V{from:.1}z");
    }
    path
}

fn figure(title: &str, note: Markup, drawing: Markup) -> Markup {
    html! {
        figure { figcaption { h3 { (title) } (note) } (drawing) }
    }
}

/// Returns the class of an ending's colour.
fn colour(ending: Ending) -> &'static str {
    match ending {
        Ending::AtWork => "now",
        Ending::Finished => "ok",
        Ending::Stopped => "off",
        Ending::Halted => "slow",
        Ending::Failed | Ending::Died => "bad",
    }
}

fn sessions(shown: &Snapshot, plot: &Plot) -> Markup {
    let line = &shown.timeline;
    let mut endings: Vec<Ending> = Vec::new();
    for session in &shown.sessions {
        if !endings.contains(&session.ending) {
            endings.push(session.ending);
        }
    }
    let description = format!(
        "{}; the last one: {}",
        words::counted(shown.sessions.len() as u64, "session"),
        shown
            .sessions
            .last()
            .map_or("none", |last| last.ending.as_str())
    );
    let mut drawn = f64::NEG_INFINITY;
    let mut labelled = f64::NEG_INFINITY;
    let drawing = html! {
        svg.strip role="img" aria-label=(description) {
            @for session in &shown.sessions {
                @let (from, to) = (line.percent(session.begin), line.percent(session.end));
                // Of many in one place, the first is drawn.
                @if to.max(from + NARROWEST) >= drawn + NARROWEST {
                    ({ drawn = to.max(from + NARROWEST); "" })
                    (bar(session, from, drawn - from))
                }
            }
            @for pause in line.pauses() {
                @if pause.percent - labelled >= LABEL && pause.percent <= 100.0 - LABEL / 2.0 {
                    ({ labelled = pause.percent; "" })
                    text.middle x=(percent(pause.percent)) y="12" { (words::span(pause.end.abs_diff(pause.begin))) }
                }
            }
            (plot.pauses)
        }
        (plot.axis)
        details { summary { "The sessions" } (tables::sessions(shown)) }
    };
    let note = html! {
        p { "each run, resume or retry is a session" }
        (legend(endings.into_iter().map(|ending| (colour(ending), ending.as_str()))))
    };
    figure("Sessions", note, drawing)
}

fn bar(session: &Session, from: f64, width: f64) -> Markup {
    let word = session.ending.as_str();
    html! {
        g class=(colour(session.ending)) {
            title {
                "session " (session.runner.id) ": " (words::moment(session.begin)) " to "
                (words::moment(session.end)) " UTC, " (word)
            }
            rect x=(percent(from)) y="18" width=(percent(width)) height="20" {}
            @if width > LABEL { text.inside x=(percent(from)) dx="6" y="32" { (word) } }
        }
    }
}

fn calls(shown: &Snapshot, plot: &Plot) -> Markup {
    let steps = &shown.sums.steps;
    let most = steps.iter().map(Totals::calls).max().unwrap_or(0);
    let (unit, length) = rate_unit(most, shown.timeline.width);
    let rate = |count: u64| count as f64 * length / shown.timeline.width as f64;
    let top = round_up(rate(most));
    let mut below = vec![0; steps.len()];
    let layers = OUTCOMES.map(|(how, class)| {
        let stacked = below.iter_mut().zip(steps).map(|(below, step)| {
            let from = *below;
            *below += step.of(how);
            (rate(from) / top, rate(*below) / top)
        });
        Bars {
            class,
            bars: stacked.collect(),
        }
    });
    let description = format!(
        "{} over time, at most {} in a step of {}",
        words::counted(shown.sums.all.calls(), "call"),
        words::grouped(most),
        plot.step
    );
    let seen = OUTCOMES
        .into_iter()
        .filter(|(how, _)| shown.sums.all.of(*how) > 0);
    let note = html! {
        p { "per " (unit) ", by outcome" }
        (legend(seen.map(|(how, class)| (class, how.as_str()))))
    };
    let ticks = [top / 2.0, top].map(number);
    figure("Calls", note, plot.chart(&description, ticks, &layers))
}

fn latency(shown: &Snapshot, plot: &Plot) -> Markup {
    let all = quantiles(&shown.sums.all);
    let Some([half, most]) = all else {
        return empty("No call has been answered yet.");
    };
    let steps: Vec<_> = shown.sums.steps.iter().map(quantiles).collect();
    let top = steps.iter().flatten().map(|[_, p95]| *p95).max();
    let top = round_up(top.unwrap_or(0) as f64);
    let layers = [("p95", 1), ("p50", 0)].map(|(class, i)| {
        let height =
            |values: &Option<[u64; 2]>| values.map_or(0.0, |values| values[i] as f64 / top);
        Bars {
            class,
            bars: steps.iter().map(|values| (0.0, height(values))).collect(),
        }
    });
    let description = format!(
        "Over all, half of the answered calls took at most {}, 95 % at most {}",
        words::took(half),
        words::took(most)
    );
    let note = html! {
        p { "of answered calls: half of them, and 95 %, took no longer" }
        (legend([("p50", "half (p50)"), ("p95", "95 % (p95)")]))
    };
    let ticks = [top / 2.0, top].map(|tick| words::took(tick as u64));
    figure("Latency", note, plot.chart(&description, ticks, &layers))
}

/// Returns the p50 and the p95.
fn quantiles(totals: &Totals) -> Option<[u64; 2]> {
    let quantile = |q| totals.latency.quantile(q);
    Some([quantile(0.5)?, quantile(0.95)?])
}

/// Returns a small chart of a count; nothing where it is always zero.
fn counts(
    shown: &Snapshot,
    plot: &Plot,
    title: &str,
    class: &'static str,
    count: fn(&Totals) -> u64,
) -> Markup {
    let all = count(&shown.sums.all);
    if all == 0 {
        return html! {};
    }
    let steps = &shown.sums.steps;
    let top = round_up(steps.iter().map(count).max().unwrap_or(0) as f64);
    let bars = steps
        .iter()
        .map(|step| (0.0, count(step) as f64 / top))
        .collect();
    let description = format!("{title} over time: {}", words::grouped(all));
    let note = html! { p { "per step of " (plot.step) ", " (words::grouped(all)) " in all" } };
    let ticks = [top / 2.0, top].map(number);
    let chart = plot.chart(&description, ticks, &[Bars { class, bars }]);
    figure(title, note, html! { div.small { (chart) } })
}

fn begin(shown: &Snapshot, step: usize) -> String {
    words::step_begin(shown.timeline.begin(step), shown.timeline.width)
}

/// Returns what a step says when it is pointed at; nothing of a step without calls.
fn hint(begin: &str, step: &Totals) -> String {
    let outcomes = OUTCOMES
        .into_iter()
        .map(|(how, _)| how)
        .chain([How::NotSent]);
    let mut parts: Vec<String> = outcomes
        .filter(|how| step.of(*how) > 0)
        .map(|how| format!("{} {}", words::grouped(step.of(how)), how.as_str()))
        .collect();
    if parts.is_empty() {
        return String::new();
    }
    if step.repeats > 0 {
        parts.push(format!("{} repeated", words::grouped(step.repeats)));
    }
    if let Some(values) = quantiles(step) {
        let [half, most] = values.map(words::took);
        parts.push(format!("half within {half}, 95 % within {most}"));
    }
    format!("{begin}: {}", parts.join(", "))
}

fn numbers(shown: &Snapshot) -> Markup {
    let columns = [
        Column::text("from (UTC)"),
        Column::number("succeeded"),
        Column::number("failed"),
        Column::number("throttled"),
        Column::number("in doubt"),
        Column::number("not sent"),
        Column::number("repeated"),
        Column::number("p50"),
        Column::number("p95"),
    ];
    let steps = shown.sums.steps.iter().enumerate();
    let rows = steps
        .filter(|(_, step)| step.calls() + step.of(How::NotSent) > 0)
        .map(|(i, step)| {
            let outcomes = OUTCOMES
                .into_iter()
                .map(|(how, _)| how)
                .chain([How::NotSent]);
            let counts = outcomes.map(|how| step.of(how)).chain([step.repeats]);
            let times = match quantiles(step) {
                Some(times) => times.map(words::took),
                None => [const { String::new() }; 2],
            };
            let cells = counts.map(words::grouped).chain(times);
            let cells = std::iter::once(begin(shown, i)).chain(cells);
            cells.map(|cell| html! { (cell) }).collect()
        });
    table(&columns, rows)
}

/// Returns the shortest unit of time that brings at least one of `most` per step of this width; and its milliseconds.
fn rate_unit(most: u64, width: i64) -> (&'static str, f64) {
    let units = [("second", 1e3), ("minute", 6e4), ("hour", 3.6e6)];
    let fits = |(_, length): &(&str, f64)| most as f64 * length >= width as f64;
    units.into_iter().find(fits).unwrap_or(("day", 8.64e7))
}

/// Returns the next round number up, at least 1.
fn round_up(value: f64) -> f64 {
    let power = 10_f64.powf(value.max(1.0).log10().floor());
    let digits = [1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 10.0];
    let digit = digits.into_iter().find(|digit| value <= digit * power);
    digit.unwrap_or(10.0) * power
}

/// Returns the label of a tick.
fn number(value: f64) -> String {
    match value.fract() == 0.0 {
        true => words::grouped(value as u64),
        false => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_end_at_round_numbers() {
        let tops = [0.0, 1.0, 1.2, 7.0, 41.0, 600.0, 85_000.0].map(round_up);
        assert_eq!(tops, [1.0, 1.0, 1.5, 8.0, 60.0, 600.0, 100_000.0]);
        assert_eq!(
            [0.5, 0.75, 30.0, 100_000.0].map(number),
            ["0.5", "0.75", "30", "100,000"]
        );
    }

    #[test]
    fn rates_have_a_unit_that_fits() {
        let units = [(10, 10_000), (9, 10_000), (1, 3_600_000), (0, 1_000)];
        let units = units.map(|(most, width)| rate_unit(most, width).0);
        assert_eq!(units, ["second", "minute", "hour", "day"]);
    }
}
