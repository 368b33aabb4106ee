//! The charts of a run over time.

use crate::store::How;

use super::chart::{Frame, Size};
use super::html::{Markup, Text, put};
use super::scale::{Scale, Unit, duration_unit, grouped, rate_unit};
use super::sums::Slot;
use super::table::Table;
use super::{Report, lanes, words};

/// What is drawn of calls that ended, with the class of its colour, from the bottom up.
const ENDS: [(How, &str); 4] = [
    (How::Succeeded, "ok"),
    (How::Failed, "bad"),
    (How::Throttled, "slow"),
    (How::InDoubt, "doubt"),
];

/// All charts, or that there is nothing to draw.
pub(super) fn charts(report: &Report) -> Markup {
    let mut out = Markup::new();
    if report.runners.is_empty() {
        put!(&mut out => "<p class=\"empty\">No calls yet.</p>\n");
        return out;
    }
    put!(&mut out => introduction(report), lanes::runners(report));
    let ended = report.sums.all.calls() + report.sums.all.of(How::NotSent);
    if ended == 0 {
        put!(&mut out => "<p class=\"empty\">No calls yet.</p>\n");
        return out;
    }
    put!(&mut out => throughput(report), latency(report), lanes::troubles(report));
    out
}

fn introduction(report: &Report) -> Markup {
    let axis = &report.axis;
    let mut text = format!(
        "Times are in UTC. Each step is {} long.",
        words::width(axis.width)
    );
    let cuts = axis.panels.len().saturating_sub(1);
    if cuts > 0 {
        text.push_str(" Where // is, a pause between two runners has been cut out.");
    }
    if axis.unmarked > 0 {
        text.push_str(&format!(
            " So have {} shorter ones that have no mark.",
            grouped(axis.unmarked as u64)
        ));
    }
    let mut out = Markup::new();
    put!(&mut out => "<p class=\"note\">", Text::of(text), "</p>\n");
    out
}

/// A chart with its name, what its colours mean, its drawings and its numbers.
pub(super) fn figure(
    name: &'static str,
    note: Text,
    legend: &[(&'static str, &'static str)],
    drawings: Markup,
    numbers: Table,
) -> Markup {
    let mut out = Markup::new();
    put!(&mut out => "<figure>\n<figcaption><h3>", name, "</h3><p>", note, "</p>");
    if !legend.is_empty() {
        put!(&mut out => "<ul class=\"legend\">");
        for (class, words) in legend {
            put!(&mut out => "<li class=\"", *class, "\">", *words, "</li>");
        }
        put!(&mut out => "</ul>");
    }
    put!(&mut out => "</figcaption>\n", drawings, "<details><summary>", name, ": the numbers</summary>\n",
        numbers.markup(), "</details>\n</figure>\n");
    out
}

fn throughput(report: &Report) -> Markup {
    let (axis, slots) = (&report.axis, &report.sums.slots);
    let most = slots.iter().map(Slot::calls).max().unwrap_or(0);
    let unit = rate_unit(most, axis.width);
    let rate = |count: u64| count as f64 * unit.milliseconds / axis.width as f64;
    let scale = Scale::to(rate(most), 4);
    let mut drawings = Markup::new();
    for size in Size::ALL {
        let frame = Frame::new(axis, size, 10.0, 190.0);
        let mut content = frame.grid(Some(scale));
        let mut below = vec![0; slots.len()];
        for (how, class) in ENDS {
            let mut path = Markup::new();
            for (bucket, slot) in slots
                .iter()
                .enumerate()
                .filter(|(_, slot)| slot.of(how) > 0)
            {
                let from = frame.height(scale, rate(below[bucket]));
                below[bucket] += slot.of(how);
                frame.bar(
                    &mut path,
                    bucket,
                    from,
                    frame.height(scale, rate(below[bucket])),
                );
            }
            if !path.is_empty() {
                put!(&mut content => "<path class=\"bar ", class, "\" d=\"", path, "\"/>");
            }
        }
        put!(&mut content => frame.hints(|bucket| hint(report, bucket)));
        let description = Text::of(format!(
            "{} calls ended, at most {} in a step of {}.",
            grouped(report.sums.all.calls()),
            grouped(most),
            words::width(axis.width)
        ));
        put!(&mut drawings => frame.drawing("throughput", "Calls that ended over time, by what they came to", description, content));
    }
    let legend: Vec<_> = ENDS
        .into_iter()
        .filter(|(how, _)| report.sums.all.of(*how) > 0)
        .map(|(how, class)| (class, how.as_str()))
        .collect();
    let mut numbers = Table::new(&["from (UTC)", "succeeded", "failed", "throttled", "in doubt"]);
    for (bucket, slot) in slots
        .iter()
        .enumerate()
        .filter(|(_, slot)| slot.calls() > 0)
    {
        let cells = ENDS.map(|(how, _)| slot.of(how));
        numbers.row(begin(report, bucket)).counts(&cells);
    }
    let note = Text::of(format!("calls a {}, by what they came to", unit.name));
    figure("Calls that ended", note, &legend, drawings, numbers)
}

/// When a bucket begins.
pub(super) fn begin(report: &Report, bucket: usize) -> Text {
    Text::of(words::step_begin(
        report.axis.begin(bucket),
        report.axis.width,
    ))
}

/// What a bucket of calls is in words.
fn hint(report: &Report, bucket: usize) -> Option<String> {
    let slot = report.sums.slots.get(bucket)?;
    if slot.calls() == 0 {
        return None;
    }
    let parts: Vec<String> = ENDS
        .into_iter()
        .filter(|(how, _)| slot.of(*how) > 0)
        .map(|(how, _)| format!("{} {}", grouped(slot.of(how)), how.as_str()))
        .collect();
    let begin = words::step_begin(report.axis.begin(bucket), report.axis.width);
    Some(format!("{begin}: {}", parts.join(", ")))
}

fn latency(report: &Report) -> Markup {
    let (axis, slots) = (&report.axis, &report.sums.slots);
    let quantiles: Vec<Option<[u64; 2]>> = slots
        .iter()
        .map(|slot| {
            let [half, most] = [0.5, 0.95].map(|q| slot.latency.quantile(q));
            half.zip(most).map(|(half, most)| [half, most])
        })
        .collect();
    let most = quantiles.iter().flatten().map(|[_, p95]| *p95).max();
    let Some(most) = most else {
        let mut out = Markup::new();
        put!(&mut out => "<h3>Latency</h3><p class=\"empty\">No call was answered yet.</p>\n");
        return out;
    };
    let Unit { name, milliseconds } = duration_unit(most);
    let scale = Scale::to(most as f64 / milliseconds, 4);
    let mut drawings = Markup::new();
    for size in Size::ALL {
        let frame = Frame::new(axis, size, 10.0, 150.0);
        let mut content = frame.grid(Some(scale));
        let height = |value: u64| frame.height(scale, value as f64 / milliseconds);
        let middle = |bucket: usize| frame.bucket(bucket) + frame.unit() / 2.0;
        let mut band = Markup::new();
        let mut lines = [Markup::new(), Markup::new()];
        let mut dots = [Markup::new(), Markup::new()];
        for (first, stretch) in stretches(report, &quantiles) {
            if let [values] = &stretch[..] {
                for (dots, value) in dots.iter_mut().zip(values) {
                    put!(dots => "M", middle(first), " ", height(*value), "h0.1");
                }
                continue;
            }
            for (line, path) in lines.iter_mut().enumerate() {
                for (bucket, values) in (first..).zip(&stretch) {
                    let command = if bucket == first { "M" } else { "L" };
                    put!(path => command, middle(bucket), " ", height(values[line]));
                }
            }
            for (bucket, values) in (first..).zip(&stretch) {
                let command = if bucket == first { "M" } else { "L" };
                put!(&mut band => command, middle(bucket), " ", height(values[0]));
            }
            for (bucket, values) in (first..)
                .zip(&stretch)
                .collect::<Vec<_>>()
                .into_iter()
                .rev()
            {
                put!(&mut band => "L", middle(bucket), " ", height(values[1]));
            }
            put!(&mut band => "z");
        }
        let [half, most] = lines;
        let [half_dots, most_dots] = dots;
        put!(&mut content => "<path class=\"band\" d=\"", band, "\"/><path class=\"line p95\" d=\"", most,
            "\"/><path class=\"line p50\" d=\"", half, "\"/><path class=\"dot p95\" d=\"", most_dots,
            "\"/><path class=\"dot p50\" d=\"", half_dots, "\"/>");
        put!(&mut content => frame.hints(|bucket| {
            let [half, most] = (*quantiles.get(bucket)?)?;
            let begin = words::step_begin(axis.begin(bucket), axis.width);
            Some(format!("{begin}: half within {}, 95 % within {}", words::took(half), words::took(most)))
        }));
        let all = &report.sums.all.latency;
        let description = Text::of(format!(
            "Over all, half of the answered calls took at most {}, 95 % at most {}.",
            words::took(all.quantile(0.5).unwrap_or(0)),
            words::took(all.quantile(0.95).unwrap_or(0))
        ));
        put!(&mut drawings => frame.drawing("latency", "How long calls took over time", description, content));
    }
    let mut numbers = Table::new(&["from (UTC)", "answered", "p50", "p95"]);
    for (bucket, values) in quantiles.iter().enumerate() {
        let Some(values) = values else { continue };
        let row = numbers.row(begin(report, bucket));
        row.count(slots[bucket].latency.count());
        row.times(&values.map(Some));
    }
    let note = Text::of(format!(
        "how long answered calls took, in {name}: half of them, and 95 %, took no longer"
    ));
    let legend = [("p50", "p50 (half)"), ("p95", "p95")];
    figure("Latency", note, &legend, drawings, numbers)
}

/// Stretches of buckets that have values, none over a cut: each with its first bucket.
fn stretches(report: &Report, values: &[Option<[u64; 2]>]) -> Vec<(usize, Vec<[u64; 2]>)> {
    let mut found: Vec<(usize, Vec<[u64; 2]>)> = Vec::new();
    for (bucket, value) in values.iter().enumerate() {
        let Some(value) = *value else { continue };
        let panel = report.axis.panel_of(bucket);
        match found.last_mut() {
            Some((first, stretch))
                if *first + stretch.len() == bucket && report.axis.panel_of(*first) == panel =>
            {
                stretch.push(value);
            }
            _ => found.push((bucket, vec![value])),
        }
    }
    found
}
