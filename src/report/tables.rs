//! Tables of numbers: sessions, chunks, outcomes, attempts per file, and the slowest calls.

use maud::{Markup, html};

use crate::store::How;

use super::html::{Column, bar, empty, name, table, text};
use super::snapshot::{Ending, Snapshot};
use super::sums::{Jobs, Latency, MOST_TRIES};
use super::words::{self, grouped};

/// The most sessions and the most chunks that are listed.
const MOST_LISTED: usize = 64;
/// The most characters of a machine's name that are shown.
const HOST: usize = 64;

fn cell(text: impl AsRef<str>) -> Markup {
    html! { (text.as_ref()) }
}

/// Returns the sessions, the latest of very many.
pub(super) fn sessions(shown: &Snapshot) -> Markup {
    let columns = [
        Column::text("session"),
        Column::text("began (UTC)"),
        Column::text("ended (UTC)"),
        Column::number("worked"),
        Column::number("pause before"),
        Column::text("how it ended"),
        Column::number("threads"),
        Column::number("attempts"),
        Column::text("process"),
    ];
    let before = std::iter::once(None).chain(shown.sessions.iter().map(Some));
    let skipped = shown.sessions.len().saturating_sub(MOST_LISTED);
    let rows = shown
        .sessions
        .iter()
        .zip(before)
        .skip(skipped)
        .map(|(session, before)| {
            let runner = &session.runner;
            let pause = before.map(|before| session.begin.saturating_sub(before.end).max(0));
            let calls = shown.sums.sessions.get(&runner.id).copied().unwrap_or(0);
            vec![
                cell(runner.id.to_string()),
                cell(words::moment(session.begin)),
                match session.ending {
                    Ending::AtWork => html! { "…" },
                    Ending::Died => html! { "after " (words::moment(session.end)) },
                    _ => cell(words::moment(session.end)),
                },
                cell(words::span(session.end.abs_diff(session.begin))),
                cell(pause.map_or_else(String::new, |pause| words::span(pause.unsigned_abs()))),
                cell(session.ending.as_str()),
                cell(grouped(runner.threads)),
                cell(grouped(calls)),
                cell(text(format!("{} on {}", runner.pid, runner.host), HOST)),
            ]
        });
    table(&columns, rows)
}

/// Returns how long calls took, by chunk.
pub(super) fn chunks(shown: &Snapshot) -> Markup {
    let chunks = &shown.sums.chunks;
    if chunks.is_empty() {
        return empty("No calls yet.");
    }
    let mut listed: Vec<_> = chunks.iter().collect();
    if listed.len() > MOST_LISTED {
        listed.sort_by_key(|(_, latency)| std::cmp::Reverse(latency.quantile(0.9)));
        listed.truncate(MOST_LISTED);
        listed.sort_by_key(|(chunk, _)| **chunk);
    }
    let times = |latency: &Latency| [0.5, 0.9, 0.99].map(|q| latency.quantile(q).unwrap_or(0));
    let longest = listed.iter().map(|(_, latency)| times(latency)[2]).max();
    let longest = longest.unwrap_or(0).max(1) as f64;
    let columns = [
        Column::text("chunk"),
        Column::number("calls"),
        Column::text(""),
        Column::number("p50"),
        Column::number("p90"),
        Column::number("p99"),
        Column::number("max"),
    ];
    let shown_chunks = listed
        .into_iter()
        .map(|(chunk, latency)| (chunk.to_string(), latency));
    let all = ("all".to_owned(), &shown.sums.all.latency);
    let rows = shown_chunks.chain([all]).map(|(chunk, latency)| {
        let [p50, p90, p99] = times(latency);
        let share = |from: u64, to: u64| to.saturating_sub(from) as f64 / longest;
        let bar = bar(&[
            ("p50", share(0, p50)),
            ("p90", share(p50, p90)),
            ("p99", share(p90, p99)),
        ]);
        let max = latency.quantile(1.0).unwrap_or(0);
        let times = [p50, p90, p99, max].map(words::took);
        let cells = [cell(chunk), cell(grouped(latency.count())), bar].into_iter();
        cells.chain(times.map(cell)).collect()
    });
    html! {
        p.note {
            "How long answered calls took. Chunk i of N has the files i, i + N, i + 2N and so on of the list; a thread that \
             is done with its chunk helps with the others. The bar shows p50, p90 and p99."
            @if chunks.len() > MOST_LISTED {
                " These are the " (MOST_LISTED) " slowest of " (grouped(chunks.len() as u64)) ", by p90."
            }
        }
        (table(&columns, rows))
    }
}

/// Returns how many attempts had which outcome.
pub(super) fn outcomes(shown: &Snapshot) -> Markup {
    let all = &shown.sums.all;
    let total: u64 = How::ALL.into_iter().map(|how| all.of(how)).sum();
    if total == 0 {
        return empty("No calls yet.");
    }
    let columns = [
        Column::text("outcome"),
        Column::number("attempts"),
        Column::number("share"),
        Column::text(""),
        Column::text("meaning"),
    ];
    let meanings = [
        (How::Succeeded, "ok", "the service sent a result"),
        (
            How::Failed,
            "bad",
            "the service sent an error, or an answer that is not a result",
        ),
        (How::Throttled, "slow", "the service asked to wait"),
        (
            How::InDoubt,
            "doubt",
            "the call may have been sent; no answer came",
        ),
        (
            How::NotSent,
            "off",
            "no connection, or the file could not be read",
        ),
        (
            How::Interrupted,
            "off",
            "stride was stopped before the call was sent",
        ),
    ];
    let seen = meanings.into_iter().filter(|(how, ..)| all.of(*how) > 0);
    let rows = seen.map(|(how, class, meaning)| {
        let count = all.of(how);
        vec![
            cell(how.as_str()),
            cell(grouped(count)),
            cell(words::share(count, total)),
            bar(&[(class, count as f64 / total as f64)]),
            cell(meaning),
        ]
    });
    table(&columns, rows)
}

/// The last numbers of attempts that share a row.
const TOGETHER: [usize; 14] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 20, 50, 100, MOST_TRIES];

/// Returns how many attempts files needed.
pub(super) fn tries(shown: &Snapshot) -> Markup {
    let tries = &shown.sums.tries;
    if tries.is_empty() {
        return empty("No calls yet.");
    }
    let total: u64 = tries.values().map(|jobs| jobs.all).sum();
    let uncalled = shown.counts.total.saturating_sub(total);
    let columns = [
        Column::text("attempts"),
        Column::number("files"),
        Column::number("share"),
        Column::text(""),
        Column::number("with a result"),
    ];
    let mut first = 1;
    let rows = TOGETHER.into_iter().filter_map(|last| {
        let name = match last {
            MOST_TRIES => format!("{first} and more"),
            last if last == first => last.to_string(),
            last => format!("{first} to {last}"),
        };
        let mut sum = Jobs::default();
        for (_, jobs) in tries.range(first..=last) {
            sum.all += jobs.all;
            sum.succeeded += jobs.succeeded;
        }
        first = last + 1;
        let share = |count: u64| count as f64 / total as f64;
        (sum.all > 0).then(|| {
            vec![
                cell(name),
                cell(grouped(sum.all)),
                cell(words::share(sum.all, total)),
                bar(&[
                    ("ok", share(sum.succeeded)),
                    ("off", share(sum.all - sum.succeeded)),
                ]),
                cell(grouped(sum.succeeded)),
            ]
        })
    });
    html! {
        @if uncalled > 0 { p.note { (words::counted(uncalled, "file")) " not called yet." } }
        (table(&columns, rows))
    }
}

/// Returns the calls that took longest.
pub(super) fn slowest(shown: &Snapshot) -> Markup {
    if shown.slowest.is_empty() {
        return empty("No calls yet.");
    }
    let columns = [
        Column::text("file"),
        Column::number("took"),
        Column::text("outcome"),
        Column::number("attempt"),
        Column::number("chunk"),
        Column::text("began (UTC)"),
    ];
    let rows = shown.slowest.iter().map(|(slow, file)| {
        vec![
            cell(name(file)),
            cell(words::took(slow.took.unsigned_abs())),
            cell(slow.how.as_str()),
            cell(slow.number.to_string()),
            cell(slow.chunk.to_string()),
            cell(words::moment(slow.started)),
        ]
    });
    table(&columns, rows)
}
