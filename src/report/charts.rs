//! Draws a run over time: sessions, attempts and latency, above one time axis.
//!
//! A drawing stretches with the page and its text does not. Bars are in a nested SVG without a fixed aspect ratio, one unit
//! wide for each step and a hundred high. Labels are placed in percent.

use std::fmt::Write as _;

use maud::{Markup, html};

use super::html::{empty, legend, percent};
use super::snapshot::Snapshot;
use super::sums::{OUTCOMES, Totals};
use super::timeline::Timeline;
use super::{tables, words};

/// The least width of a session, in steps. A narrower one would be invisible.
const NARROWEST: f64 = 0.5;

/// Returns all charts.
pub(super) fn charts(shown: &Snapshot) -> Markup {
    if shown.sums.all.attempts() == 0 {
        return empty("No calls yet.");
    }
    let line = &shown.timeline;
    html! {
        p.note {
            "Times are in UTC. The time axis shows only the time in which stride worked, in steps of "
            (words::span(line.width.unsigned_abs())) ". A dashed line is a pause between two sessions."
        }
        (sessions(shown))
        (attempts(shown))
        (latency(shown))
        (axis(line))
        details { summary { "The sessions" } (tables::sessions(shown)) }
    }
}

/// Returns a chart. `top` is the label of its full height.
fn chart(
    shown: &Snapshot,
    title: &str,
    note: Markup,
    class: &str,
    top: &str,
    drawing: Markup,
) -> Markup {
    let steps = shown.timeline.steps;
    let pauses: String = shown
        .timeline
        .pauses()
        .iter()
        .map(|position| format!("M{position:.2} 0V100"))
        .collect();
    html! {
        figure {
            figcaption { h3 { (title) } (note) }
            svg class=(class) role="img" aria-label={ (title) " over time" } {
                svg width="100%" height="100%" viewBox={ "0 0 " (steps) " 100" } preserveAspectRatio="none" {
                    (drawing)
                    path.pause d=(pauses) {}
                }
                line.base x2="100%" y1="100%" y2="100%" {}
                text.y dx="-8" dy="8" { (top) }
            }
        }
    }
}

/// Returns bars of one color: for each step the beginning and the end, as shares of the chart's height.
fn bars(class: &str, bars: impl IntoIterator<Item = (f64, f64)>) -> Markup {
    let mut path = String::new();
    for (i, (from, to)) in bars.into_iter().enumerate().filter(|(_, (a, b))| b > a) {
        let (from, to) = (100.0 - from * 100.0, 100.0 - to * 100.0);
        let _ = write!(path, "M{i} {from:.1}V{to:.1}h1V{from:.1}z");
    }
    html! { @if !path.is_empty() { path class={ "bar " (class) } d=(path) {} } }
}

/// Returns the areas that show a step's numbers under the mouse pointer.
fn hints(shown: &Snapshot) -> Markup {
    let steps = shown.sums.steps.iter().enumerate();
    html! {
        @for (i, step) in steps.filter(|(_, step)| step.attempts() > 0) {
            rect.hint x=(i) width="1" height="100" { title { (hint(shown.timeline.begin(i), step)) } }
        }
    }
}

fn hint(begin: i64, step: &Totals) -> String {
    let seen = OUTCOMES.iter().filter(|(how, ..)| step.of(*how) > 0);
    let counts =
        seen.map(|(how, ..)| format!("{} {}", words::grouped(step.of(*how)), how.as_str()));
    let mut parts: Vec<String> = counts.collect();
    if step.repeats > 0 {
        parts.push(format!("{} repeated", words::grouped(step.repeats)));
    }
    if let Some(values) = quantiles(step) {
        let [half, most] = values.map(words::took);
        parts.push(format!("half within {half}, 95 % within {most}"));
    }
    format!("{}: {}", words::moment(begin), parts.join(", "))
}

/// Returns the beginnings of four steps as labels, with the day where it changes.
fn axis(line: &Timeline) -> Markup {
    let mut last = String::new();
    html! {
        svg.axis aria-hidden="true" { @for i in 0..4 {
            @let step = line.steps * i / 4;
            @let at = percent(step as f64 / line.steps.max(1) as f64 * 100.0);
            @let day = words::format(line.begin(step), "%-d %b %Y");
            line x1=(at) x2=(at) y1="0" y2="6" {}
            text x=(at) y="18" { (words::format(line.begin(step), "%H:%M:%S")) }
            @if day != last { text x=(at) y="32" { (day) } }
            ({ last = day; "" })
        } }
    }
}

fn sessions(shown: &Snapshot) -> Markup {
    let mut states: Vec<_> = shown.sessions.iter().map(|session| session.state).collect();
    states.sort_unstable();
    states.dedup();
    let note = html! {
        p { "each run, resume or retry is a session" }
        (legend(states.into_iter().map(|state| (state.color(), state.as_str()))))
    };
    let mut drawn = f64::NEG_INFINITY;
    let drawing = html! {
        @for session in &shown.sessions {
            @let from = shown.timeline.position(session.begin);
            @let to = shown.timeline.position(session.end).max(from + NARROWEST);
            // Skip a session that would cover an earlier one.
            @if to >= drawn + NARROWEST {
                ({ drawn = to; "" })
                g class=(session.state.color()) {
                    title {
                        "session " (session.runner.id) ": " (words::moment(session.begin)) " to "
                        (words::moment(session.end)) " UTC, " (session.state.as_str())
                    }
                    rect x=(format!("{from:.2}")) width=(format!("{:.2}", to - from)) height="100" {}
                }
            }
        }
    };
    chart(shown, "Sessions", note, "strip", "", drawing)
}

fn attempts(shown: &Snapshot) -> Markup {
    let steps = &shown.sums.steps;
    let most = steps.iter().map(Totals::attempts).max().unwrap_or(0);
    let mut below = vec![0; steps.len()];
    let drawing = html! {
        @for (how, class, _) in OUTCOMES {
            (bars(class, below.iter_mut().zip(steps).map(|(below, step)| {
                let from = *below;
                *below += step.of(how);
                (from as f64 / most as f64, *below as f64 / most as f64)
            })))
        }
        (hints(shown))
    };
    let seen = OUTCOMES
        .into_iter()
        .filter(|(how, ..)| shown.sums.all.of(*how) > 0);
    let note = html! {
        p { "in each step, by outcome" }
        (legend(seen.map(|(how, class, _)| (class, how.as_str()))))
    };
    let top = words::grouped(most);
    chart(shown, "Attempts", note, "plot", &top, drawing)
}

fn latency(shown: &Snapshot) -> Markup {
    let steps: Vec<_> = shown.sums.steps.iter().map(quantiles).collect();
    let Some(top) = steps.iter().flatten().map(|[_, p95]| *p95).max() else {
        return empty("No call has been answered yet.");
    };
    let heights = |quantile: usize| {
        let height = move |values: &Option<[u64; 2]>| {
            values.map_or(0.0, |values| values[quantile] as f64 / top.max(1) as f64)
        };
        steps.iter().map(move |values| (0.0, height(values)))
    };
    let drawing = html! { (bars("p95", heights(1))) (bars("p50", heights(0))) (hints(shown)) };
    let note = html! {
        p { "the times within which half and 95 % of the calls were answered" }
        (legend([("p50", "half (p50)"), ("p95", "95 % (p95)")]))
    };
    chart(shown, "Latency", note, "plot", &words::took(top), drawing)
}

/// Returns the p50 and the p95.
fn quantiles(totals: &Totals) -> Option<[u64; 2]> {
    let quantile = |q| totals.latency.quantile(q);
    Some([quantile(0.5)?, quantile(0.95)?])
}
