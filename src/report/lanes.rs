//! The charts that are no curves: runners with their ends, and what was repeated, throttled or not sent.

use crate::store::How;

use super::chart::{Frame, Size};
use super::charts::{begin, figure};
use super::html::{Markup, Text, put};
use super::scale::grouped;
use super::sums::Slot;
use super::table::Table;
use super::{Report, Seen, lists, words};

/// How far the ends of two runners are from each other, at least, if both are drawn.
const RUNNERS_APART: f64 = 2.0;
/// From which width on a runner's bar has a mark at its end.
const MARKED: f64 = 8.0;

/// The class of a runner's colour, and what its end is called.
fn ending(seen: &Seen, working: bool) -> (&'static str, &'static str) {
    match &seen.runner.ended {
        None if working => ("now", "at work"),
        None => ("bad", "died"),
        Some((_, ending)) => match ending.as_str() {
            "finished" => ("ok", "finished"),
            "stopped" => ("off", "stopped"),
            "halted" => ("slow", "stopped by a guard or a limit"),
            "died" => ("bad", "died"),
            _ => ("bad", "failed"),
        },
    }
}

pub(super) fn runners(report: &Report) -> Markup {
    let latest = report.runners.len() - 1;
    let ends: Vec<_> = report
        .runners
        .iter()
        .enumerate()
        .map(|(i, seen)| ending(seen, report.working.is_some() && i == latest))
        .collect();
    let mut drawings = Markup::new();
    for size in Size::ALL {
        let frame = Frame::new(&report.axis, size, 22.0, 26.0);
        let mut content = frame.grid(None);
        let mut free = f64::NEG_INFINITY;
        for i in 1..report.axis.panels.len() {
            let x = frame.moment(report.axis.panels[i].begin()) - frame.cut() / 2.0;
            if x - free > 34.0 && x < frame.right - 30.0 {
                let pause = words::span(report.axis.pause_before(i).unsigned_abs());
                put!(&mut content => "<text class=\"x pause\" x=\"", x, "\" y=\"13\">", Text::of(pause), "</text>");
                free = x + 34.0;
            }
        }
        let mut drawn = f64::NEG_INFINITY;
        for (seen, (class, word)) in report.runners.iter().zip(&ends) {
            let (begin, end) = (frame.moment(seen.begin), frame.moment(seen.end));
            let end = end.max(begin + 1.5);
            // Of many that share one place the first is seen, so that there are never more than have room.
            if end < drawn + RUNNERS_APART {
                continue;
            }
            drawn = end;
            put!(&mut content => "<g class=\"runner ", *class, "\">");
            if size == Size::Wide {
                put!(&mut content => "<title>", runner_hint(seen, word), "</title>");
            }
            put!(&mut content => "<rect x=\"", begin, "\" y=\"", frame.top + 4.0, "\" width=\"", end - begin,
                "\" height=\"18\" rx=\"1.5\"/>");
            if end - begin > MARKED {
                put!(&mut content => end_mark(class, word, end, frame.top + 13.0));
            }
            put!(&mut content => "</g>");
        }
        let description = Text::of(format!(
            "{} runners between {} and {} UTC; the last one {}.",
            report.runners.len(),
            words::moment(report.runners[0].begin),
            words::moment(report.runners[latest].end),
            ends[latest].1
        ));
        put!(&mut drawings => frame.drawing("runners", "When runners worked on the run, and how they ended", description, content));
    }
    let mut legend: Vec<(&'static str, &'static str)> = Vec::new();
    for end in ends {
        if !legend.contains(&end) {
            legend.push(end);
        }
    }
    let note = Text::of("each bar is a runner: an invocation that worked on the run");
    figure("Runners", note, &legend, drawings, lists::runners(report))
}

fn runner_hint(seen: &Seen, word: &str) -> Text {
    Text::of(format!(
        "runner {}: {} to {} UTC, {word}",
        seen.runner.id,
        words::moment(seen.begin),
        words::moment(seen.end)
    ))
}

/// A mark at the end of a runner, so that how it ended is told by more than a colour.
fn end_mark(class: &str, word: &str, x: f64, y: f64) -> Markup {
    let mut out = Markup::new();
    match (class, word) {
        ("ok" | "now", _) => {}
        (_, "died" | "failed") => {
            put!(&mut out => "<path class=\"mark\" d=\"M", x - 4.0, " ", y - 4.0, "l8 8m0 -8l-8 8\"/>");
        }
        _ => put!(&mut out => "<path class=\"mark\" d=\"M", x, " ", y - 9.0, "v18\"/>"),
    }
    out
}

/// Something that is counted over time on a line of its own.
type Lane = (&'static str, &'static str, fn(&Slot) -> u64);

const LANES: [Lane; 3] = [
    ("repeats", "repeat", |slot| slot.repeats),
    ("throttled", "slow", |slot| slot.of(How::Throttled)),
    ("not sent", "off", |slot| slot.of(How::NotSent)),
];

/// How high a lane is, with its label.
const LANE: f64 = 64.0;
const LANE_LABEL: f64 = 24.0;

pub(super) fn troubles(report: &Report) -> Markup {
    let (axis, slots) = (&report.axis, &report.sums.slots);
    let (some, none): (Vec<Lane>, Vec<Lane>) = LANES
        .into_iter()
        .partition(|(_, _, count)| count(&report.sums.all) > 0);
    let mut drawings = Markup::new();
    if some.is_empty() {
        put!(&mut drawings => "<p class=\"empty\">No call was repeated or throttled, and none could not be sent.</p>\n");
    }
    for size in Size::ALL.into_iter().filter(|_| !some.is_empty()) {
        let frame = Frame::new(axis, size, 4.0, LANE * some.len() as f64);
        let mut content = frame.grid(None);
        for (i, (name, class, count)) in some.iter().enumerate() {
            let top = frame.top + LANE * i as f64;
            let bottom = top + LANE;
            let most = slots.iter().map(count).max().unwrap_or(0);
            let label = format!("{name}: at most {} a step", grouped(most));
            put!(&mut content => "<text class=\"lane\" x=\"", frame.left, "\" y=\"", top + 16.0, "\">", Text::of(label),
                "</text><path class=\"grid\" d=\"M", frame.left, " ", bottom, "H", frame.right, "\"/>");
            let mut path = Markup::new();
            for (bucket, slot) in slots.iter().enumerate().filter(|(_, slot)| count(slot) > 0) {
                let share = count(slot) as f64 / most.max(1) as f64;
                frame.bar(
                    &mut path,
                    bucket,
                    bottom,
                    bottom - share * (LANE - LANE_LABEL),
                );
            }
            put!(&mut content => "<path class=\"bar ", *class, "\" d=\"", path, "\"/>");
        }
        put!(&mut content => frame.hints(|bucket| {
            let slot = &slots[bucket];
            let parts: Vec<String> = LANES
                .iter()
                .filter(|(_, _, count)| count(slot) > 0)
                .map(|(name, _, count)| format!("{} {name}", grouped(count(slot))))
                .collect();
            let begin = words::step_begin(axis.begin(bucket), axis.width);
            (!parts.is_empty()).then(|| format!("{begin}: {}", parts.join(", ")))
        }));
        let all =
            LANES.map(|(name, _, count)| format!("{} {name}", grouped(count(&report.sums.all))));
        let description = Text::of(format!("{}.", all.join(", ")));
        put!(&mut drawings => frame.drawing("troubles", "Repeats, throttling and calls that were not sent, over time", description, content));
    }
    let mut numbers = Table::new(&["from (UTC)", "repeats", "throttled", "not sent"]);
    for (bucket, slot) in slots.iter().enumerate() {
        let cells = LANES.map(|(_, _, count)| count(slot));
        if cells.iter().any(|count| *count > 0) {
            numbers.row(begin(report, bucket)).counts(&cells);
        }
    }
    let none: Vec<&str> = none.into_iter().map(|(name, ..)| name).collect();
    let note = match none.is_empty() {
        true => Text::of("each line has a scale of its own"),
        false => Text::of(format!(
            "each line has a scale of its own; none {}",
            none.join(", none ")
        )),
    };
    figure("Repeats and throttling", note, &[], drawings, numbers)
}
