//! Makes tables of sessions, chunks, outcomes, attempts per file, and the slowest calls.

use maud::{Markup, html};

use crate::store::AttemptOutcome;

use super::html::{bar, empty, name, row, table, text};
use super::snapshot::{SessionState, Snapshot};
use super::sums::{Jobs, Latency, MOST_TRIES, OUTCOMES};
use super::words::{self, grouped};

/// The maximum number of listed sessions, and of listed chunks.
const MOST_LISTED: usize = 64;
/// The maximum number of shown characters of a service's words.
const WORDS: usize = 200;
/// The maximum number of shown characters of a machine's name.
const HOST: usize = 64;

/// Returns the sessions, the latest of very many.
pub(super) fn sessions(shown: &Snapshot) -> Markup {
    let skipped = shown.sessions.len().saturating_sub(MOST_LISTED);
    let rows = shown.sessions.iter().skip(skipped).map(|session| {
        let runner = &session.runner;
        let attempts = shown.sums.sessions.get(&runner.id).copied().unwrap_or(0);
        let end = words::moment(session.end);
        row![
            runner.id,
            words::moment(session.begin),
            match session.state {
                SessionState::AtWork => "…".to_owned(),
                SessionState::Died => format!("after {end}"),
                _ => end,
            },
            words::span(session.end.abs_diff(session.begin)),
            session.state.as_str(),
            grouped(runner.threads),
            grouped(attempts),
            text(format!("{} on {}", runner.pid, runner.host), HOST),
        ]
    });
    table(
        "session|began (UTC)|ended (UTC)|#worked|how it ended|#threads|#attempts|process",
        rows,
    )
}

/// Returns the lanes of the pool.
pub(super) fn lanes(shown: &Snapshot) -> Markup {
    let rows = shown.lanes.iter().take(MOST_LISTED).map(|status| {
        let stopped = status.stopped.as_ref();
        row![
            status.lane.number,
            text(status.lane.name.clone().unwrap_or_default(), HOST),
            grouped(status.calls),
            grouped(status.results),
            status
                .found
                .rate
                .map_or_else(String::new, |rate| format!("{rate:.2}")),
            stopped.map_or("", |(reason, words)| words::stop_reason(reason, words)),
            text(
                stopped.map_or_else(String::new, |(_, words)| words.clone()),
                WORDS
            ),
        ]
    });
    table(
        "lane|name|#calls|#results|#calls/s found|ended|last answer",
        rows,
    )
}

/// Returns the latency of calls, by chunk.
pub(super) fn chunks(shown: &Snapshot) -> Markup {
    let chunks = &shown.sums.chunks;
    if chunks.is_empty() {
        return empty("No call has been answered yet.");
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
    let all = ("all".to_owned(), &shown.sums.all.latency);
    let listed = listed
        .into_iter()
        .map(|(chunk, sum)| (chunk.to_string(), sum));
    let rows = listed.chain([all]).map(|(chunk, latency)| {
        let [p50, p90, p99] = times(latency);
        let share = |from: u64, to: u64| to.saturating_sub(from) as f64 / longest;
        let parts = [
            ("p50", share(0, p50)),
            ("p90", share(p50, p90)),
            ("p99", share(p90, p99)),
        ];
        let max = latency.quantile(1.0).unwrap_or(0);
        let [p50, p90, p99, max] = [p50, p90, p99, max].map(words::took);
        row![
            chunk,
            grouped(latency.count()),
            bar(&parts),
            p50,
            p90,
            p99,
            max
        ]
    });
    html! {
        p.note {
            "Latency of answered calls. Chunk i of N has the files i, i + N, i + 2N and so on of the list, counted from 0. A \
             thread that has finished its chunk helps with others. The bar shows p50, p90 and p99."
            @if chunks.len() > MOST_LISTED {
                " These are the " (MOST_LISTED) " slowest of " (grouped(chunks.len() as u64)) ", by p90."
            }
        }
        (table("chunk|#calls||#p50|#p90|#p99|#max", rows))
    }
}

/// Returns how many attempts had each outcome.
pub(super) fn outcomes(shown: &Snapshot) -> Markup {
    let all = &shown.sums.all;
    let total = all.attempts();
    if total == 0 {
        return empty("No calls yet.");
    }
    let seen = OUTCOMES.into_iter().filter(|(how, ..)| all.of(*how) > 0);
    let rows = seen.map(|(how, color, meaning)| {
        let count = all.of(how);
        row![
            how.as_str(),
            grouped(count),
            words::share(count, total),
            bar(&[(color, count as f64 / total as f64)]),
            meaning,
        ]
    });
    table("outcome|#attempts|#share||meaning", rows)
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
    let uncalled = shown.counts.listed().saturating_sub(total);
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
        let (ok, off) = (share(sum.succeeded), share(sum.all - sum.succeeded));
        (sum.all > 0).then(|| {
            row![
                name,
                grouped(sum.all),
                words::share(sum.all, total),
                bar(&[("ok", ok), ("off", off)]),
                grouped(sum.succeeded),
            ]
        })
    });
    html! {
        @if uncalled > 0 { p.note { (words::counted(uncalled, "file")) " not called yet." } }
        (table("attempts|#files|#share||#with a result", rows))
    }
}

/// Returns the slowest calls.
pub(super) fn slowest(shown: &Snapshot) -> Markup {
    if shown.slowest.is_empty() {
        return empty("No calls yet.");
    }
    let rows = shown.slowest.iter().map(|(slow, file)| {
        row![
            name(file),
            words::took(slow.took.unsigned_abs()),
            slow.outcome.map_or("", AttemptOutcome::as_str),
            slow.number,
            slow.chunk,
            words::moment(slow.started),
        ]
    });
    table("file|#took|outcome|#attempt|#chunk|began (UTC)", rows)
}
