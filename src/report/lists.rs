//! The tables of numbers: runners, chunks, what calls came to, how often files were called.

use crate::store::How;

use super::html::{Markup, Text, put};
use super::scale::grouped;
use super::sums::{Jobs, MOST_TRIES};
use super::table::{Table, bar};
use super::{Report, words};

/// The most runners and the most chunks that are listed.
const MOST_LISTED: usize = 64;
/// How much of a machine's name is shown, in characters.
const HOST: usize = 64;

/// The runners, the latest of very many.
pub(super) fn runners(report: &Report) -> Table {
    let mut table = Table::new(&[
        "runner",
        "began (UTC)",
        "ended (UTC)",
        "for",
        "how",
        "threads",
        "calls",
        "process",
    ]);
    let skipped = report.runners.len().saturating_sub(MOST_LISTED);
    let latest = report.runners.len().saturating_sub(1);
    for (i, seen) in report.runners.iter().enumerate().skip(skipped) {
        let runner = &seen.runner;
        let works = i == latest && report.working.is_some();
        let (how, ended) = match &runner.ended {
            None if works => ("at work", "…".to_owned()),
            None => ("died", format!("after {}", words::moment(seen.end))),
            Some((_, ending)) if ending == "died" => {
                ("died", format!("after {}", words::moment(seen.end)))
            }
            Some((ended, ending)) => (ending.as_str(), words::moment(*ended)),
        };
        let calls = report.sums.runners.get(&runner.id).copied().unwrap_or(0);
        table
            .row(Text::of(runner.id.to_string()))
            .text(Text::of(words::moment(seen.begin)))
            .text(Text::of(ended))
            .number(words::span(seen.end.abs_diff(seen.begin)))
            .text(Text::clipped(how, HOST))
            .count(runner.threads)
            .count(calls)
            .text(Text::clipped(
                format!("{} on {}", runner.pid, runner.host),
                HOST,
            ));
    }
    table
}

/// How long calls took, by chunk.
pub(super) fn chunks(report: &Report) -> Markup {
    let mut out = Markup::new();
    let chunks = &report.sums.chunks;
    if chunks.is_empty() {
        put!(&mut out => "<p class=\"empty\">No calls yet.</p>\n");
        return out;
    }
    let mut listed: Vec<_> = chunks.iter().collect();
    let mut note = "Answered calls, by the chunk whose thread made them: chunk i of N has the files i, i + N, i + 2N and on of the list, \
         and then helps the others. The bar goes to p50, p90 and p99.".to_owned();
    if listed.len() > MOST_LISTED {
        listed.sort_by_key(|(_, latency)| std::cmp::Reverse(latency.quantile(0.9)));
        listed.truncate(MOST_LISTED);
        listed.sort_by_key(|(chunk, _)| **chunk);
        note.push_str(&format!(
            " These are the {MOST_LISTED} slowest of {}, by p90.",
            grouped(chunks.len() as u64)
        ));
    }
    put!(&mut out => "<p class=\"note\">", Text::of(note), "</p>\n");
    let quantiles =
        |latency: &super::histogram::Histogram| [0.5, 0.9, 0.99].map(|q| latency.quantile(q));
    let all = &report.sums.all.latency;
    let longest = listed
        .iter()
        .filter_map(|(_, latency)| latency.quantile(0.99));
    let longest = longest.max().unwrap_or(1).max(1) as f64;
    let mut table = Table::new(&["chunk", "calls", "", "p50", "p90", "p99", "max"]);
    let named = listed
        .into_iter()
        .map(|(chunk, latency)| (chunk.to_string(), latency));
    for (name, latency) in named.chain([("all".to_owned(), all)]) {
        let values = quantiles(latency);
        let mut before = 0.0;
        let parts = ["p50", "p90", "p99"]
            .into_iter()
            .zip(values)
            .map(|(class, value)| {
                let share = value.unwrap_or(0) as f64 / longest;
                let part = (class, (share - before).max(0.0));
                before = share;
                part
            });
        let parts: Vec<_> = parts.collect();
        table
            .row(Text::of(name))
            .count(latency.count())
            .drawing(bar(&parts))
            .times(&values)
            .times(&[Some(latency.most())]);
    }
    put!(&mut out => table.markup());
    out
}

/// What all attempts came to.
pub(super) fn outcomes(report: &Report) -> Markup {
    let all = &report.sums.all;
    let total: u64 = How::ALL.into_iter().map(|how| all.of(how)).sum();
    let mut out = Markup::new();
    if total == 0 {
        put!(&mut out => "<p class=\"empty\">No calls yet.</p>\n");
        return out;
    }
    let meanings = [
        (How::Succeeded, "ok", "a result"),
        (How::Failed, "bad", "an answer that is no result"),
        (How::Throttled, "slow", "the service asked for patience"),
        (How::InDoubt, "doubt", "perhaps sent, and no answer"),
        (
            How::NotSent,
            "off",
            "no connection, or the file could not be read",
        ),
        (How::Interrupted, "off", "a stop came first; not sent"),
    ];
    let mut table = Table::new(&["outcome", "attempts", "share", "", "meaning"]);
    for (how, class, meaning) in meanings {
        let count = all.of(how);
        if count > 0 {
            table
                .row(Text::of(how.as_str()))
                .count(count)
                .number(words::share(count, total))
                .drawing(bar(&[(class, count as f64 / total as f64)]))
                .text(Text::of(meaning));
        }
    }
    put!(&mut out => table.markup());
    out
}

/// The last numbers of attempts that are counted together, each with all above the one before it.
const TOGETHER: [usize; 13] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 20, 50, 100];

/// How many attempts files needed.
pub(super) fn tries(report: &Report) -> Markup {
    let tries = &report.sums.tries;
    let mut out = Markup::new();
    if tries.is_empty() {
        put!(&mut out => "<p class=\"empty\">No calls yet.</p>\n");
        return out;
    }
    let total: u64 = tries.values().map(|jobs| jobs.all).sum();
    let mut table = Table::new(&["attempts", "files", "share", "", "with a result"]);
    let mut first = 1;
    for last in TOGETHER.into_iter().chain([MOST_TRIES]) {
        let mut sum = Jobs::default();
        for (_, jobs) in tries.range(first..=last) {
            sum.all += jobs.all;
            sum.succeeded += jobs.succeeded;
        }
        let name = match last {
            MOST_TRIES => format!("{first} and more"),
            last if last == first => last.to_string(),
            last => format!("{first} to {last}"),
        };
        first = last + 1;
        if sum.all > 0 {
            let share = |count: u64| count as f64 / total as f64;
            let parts = [
                ("ok", share(sum.succeeded)),
                ("off", share(sum.all - sum.succeeded)),
            ];
            table
                .row(Text::of(name))
                .count(sum.all)
                .number(words::share(sum.all, total))
                .drawing(bar(&parts))
                .count(sum.succeeded);
        }
    }
    let untried = report.counts.total.saturating_sub(total);
    if untried > 0 {
        put!(&mut out => "<p class=\"note\">", Text::of(format!("{} files have not been called yet.", grouped(untried))), "</p>\n");
    }
    put!(&mut out => table.markup());
    out
}
