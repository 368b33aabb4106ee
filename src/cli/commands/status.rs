//! `stride status`, which also works while another process works on the run.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::{Value, json};

use stride::event::Counts;
use stride::export::timestamp;
use stride::job::{FileName, escaped};
use stride::settings::{Threads, show_duration};
use stride::store::{Holder, Location, Lock, Reader, RunInfo, RunnerStatus, wall_clock};

use crate::cli::args::Status;
use crate::cli::output::error::{CliError, command, printed};
use crate::cli::output::format::{cost, counted, grouped};
use crate::cli::output::halt::{self, StoppedJson};
use crate::cli::output::lanes;
use crate::cli::output::shown::{self, data};
use crate::cli::output::storage::rescue_folders;
use crate::cli::output::time::clock;
use crate::cli::output::why;
use crate::cli::session::inspect::RequestView;
use crate::cli::session::storage::describe_refused;
use crate::cli::session::summary::{earlier_results, standing};

/// The maximum number of files to name that may crash the process.
const CRASHED_NAMED: usize = 5;

#[derive(Serialize)]
struct StatusJson {
    #[serde(flatten)]
    counts: Counts,
    #[serde(flatten)]
    request: RequestView,
    #[serde(flatten)]
    other: Value,
}

pub(crate) fn status(db: &Location, args: &Status) -> Result<u8, CliError> {
    let reader = Reader::open(db)?;
    let (counts, info, noted) = (reader.counts()?, reader.info()?, reader.noted()?);
    let holder = Lock::holder(db).filter(|_| info.ended.is_none());
    let limit = why::recorded(&noted)
        .filter(|_| holder.is_some())
        .map(|limit| why::describe(&limit))
        .filter(|words| !words.is_empty());
    let crashed = reader.may_kill(CRASHED_NAMED)?;
    let next_due = reader.next_due()?;
    let closed = noted.closed_until.filter(|until| *until > wall_clock());
    let earlier = match holder {
        // A working run will replace them.
        Some(_) => None,
        None => earlier_results(db, &reader)?,
    };
    let of_pool = reader.lanes()?;
    let request = RequestView::read(&reader, &info, args.request)?;
    let folders = rescue_folders(reader.path());
    let (rescued, refused) = reader.rescues(&folders)?;
    let rescued = rescued.iter().map(|file| FileName::from(file.as_path()));
    let rescued: Vec<String> = rescued.map(|file| file.to_string()).collect();
    // A working runner has checked its rescue files.
    let refused = refused.iter().filter(|_| holder.is_none());
    let refused: Vec<String> = refused.map(describe_refused).collect();
    if args.json {
        let times =
            |(file, times): &(FileName, u32)| json!({ "file": file.to_string(), "times": times });
        let other = json!({
            "db": reader.path().to_string_lossy(),
            "created": timestamp(info.created),
            "base": info.base.to_string_lossy(),
            "call": info.call,
            "threads": match info.settings.threads {
                Threads::Fixed(threads) => json!(threads),
                Threads::Auto => json!("auto"),
            },
            // The rates, joined with `and`, or `auto` or `none`.
            "rate": info.settings.rates.to_string(),
            // Why the run goes no faster, as its runner recorded it.
            "limit": limit,
            // The end of the wait that the service asked for.
            "closed_until": closed.map(timestamp),
            // The file that the service refused most often while it accepted others.
            "refused": noted.refused.as_ref().map(times),
            // The moment at which the first waiting file goes on.
            "next_due": next_due.map(timestamp),
            // The first pending, waiting, running or held files with two or more crashes (`stride::retry::Record::crashes`).
            "crashed": crashed.iter().map(times).collect::<Vec<_>>(),
            // The earliest time at which the last file can be called.
            "earliest_end": noted.finish.filter(|_| holder.is_some()).map(timestamp),
            "calls": noted.used.calls,
            // Calls of unknown cost are counted as the dearest before each.
            "cost": noted.used.cost.to_string(),
            "cost_unknown": noted.used.unknown,
            // The working time of all runners, in seconds.
            "worked": noted.used.worked.as_secs_f64(),
            "rescue_files": rescued,
            // The files that the next run cannot import, with the reasons.
            "untaken": refused,
            // The files for which `retry --restore` would bring a result back.
            "restorable": reader.restorable()?,
            // The rows of the pool, if the run has one.
            "lanes": lanes::json(&of_pool),
            "runners": info.runners,
            "working": holder.is_some(),
            "pid": holder.as_ref().map(|holder| holder.pid),
            "started": info.started.map(timestamp),
            "ended": info.ended.as_ref().map(|(ended, _)| timestamp(*ended)),
            "ending": info.ended.as_ref().map(|(_, ending)| ending),
            // Why the last runner stopped early, if a guard or a limit stopped it.
            "stopped": info.stopped.as_ref().map(StoppedJson::from),
        });
        let status = StatusJson {
            counts,
            request,
            other,
        };
        let mut out = data();
        let written = serde_json::to_writer_pretty(&mut out, &status).map_err(io::Error::from);
        return printed(
            written
                .and_then(|()| writeln!(out))
                .and_then(|()| out.flush()),
        );
    }
    let path = FileName::from(reader.path());
    let rows = [
        (
            "run",
            Some(format!("{path}, created {}", timestamp(info.created))),
        ),
        ("call", Some(escaped(info.call.summary().as_bytes()))),
        ("files", Some(standing(db, &counts))),
        ("calls", Some(calls(noted.used.calls, &counts))),
        ("cost", cost(&noted.used)),
        ("used", used(&noted, &info)),
        ("runner", Some(runner(&info, holder.as_ref(), &counts, !rescued.is_empty()))),
        (
            "stopped",
            info.stopped
                .as_ref()
                .map(|stopped| halt::describe(db, &info.call, stopped, counts.done > 0)),
        ),
        (
            "saved",
            not_empty(&rescued).map(|files| {
                format!(
                    "unrecorded results are in {}; the next run will import them",
                    files.join(" and ")
                )
            }),
        ),
        (
            "stuck",
            not_empty(&refused).map(|files| {
                let ignore = command(db, "resume --ignore-rescue");
                format!(
                    "no run starts, because these rescue files cannot be imported: {}; correct their owner or mode, or call their files again with: {ignore}",
                    files.join("; ")
                )
            }),
        ),
        (
            "limit",
            limit.or_else(|| {
                closed.map(|until| format!("the service asked to wait until {}", clock(until)))
            }),
        ),
        (
            "refused",
            noted.refused.as_ref().map(|(file, times)| {
                let times = counted(u64::from(*times), "time");
                format!("{file}: {times} while other files were accepted; stride calls it last")
            }),
        ),
        (
            "waiting",
            next_due.map(|due| match due > wall_clock() {
                true => format!("the next step is due at {}", clock(due)),
                false => "the next step is due".to_owned(),
            }),
        ),
        ("crashed", not_empty(&crashed).map(may_kill)),
        ("earlier", earlier),
    ];
    let rows = rows
        .into_iter()
        .filter_map(|(label, text)| Some((label, text?)));
    let lanes = lanes::lines(&of_pool).into_iter();
    let rows = rows.chain(lanes.map(|line| ("lane", line)));
    let rows = rows.chain(request.rows(args.request));
    printed(shown::lines(
        rows.map(|(label, text)| format!("{label:7} {text}")),
    ))
}

fn not_empty<T>(list: &[T]) -> Option<&[T]> {
    (!list.is_empty()).then_some(list)
}

/// Names the files that may crash the process.
fn may_kill(files: &[(FileName, u32)]) -> String {
    let named = files
        .iter()
        .map(|(file, times)| format!("{file} ({times} crashes)"));
    let named: Vec<String> = named.collect();
    format!(
        "these files may crash stride; pending ones are called last and alone: {}",
        named.join(", ")
    )
}

/// Formats the number of calls that may have been sent, and of those in doubt.
fn calls(sent: u64, counts: &Counts) -> String {
    let mut line = counted(sent, "call");
    if counts.in_doubt > 0 {
        line.push_str(&format!(", {} in doubt", grouped(counts.in_doubt)));
    }
    if counts.in_doubt_recovered > 0 {
        match counts.in_doubt_recovered == counts.in_doubt {
            true => line.push_str(" because of a crash"),
            false => {
                let recovered = grouped(counts.in_doubt_recovered);
                line.push_str(&format!(" ({recovered} of them because of a crash)"));
            }
        }
    }
    line
}

/// Formats the used part of each budget.
fn used(noted: &RunnerStatus, info: &RunInfo) -> Option<String> {
    let settings = &info.settings;
    let calls = settings.max_calls.map(|most| {
        let most = counted(most, "call");
        format!("{} of {most}", grouped(noted.used.calls))
    });
    let cost = settings.max_cost;
    let cost = cost.map(|most| format!("{} of {most} in cost", noted.used.cost));
    let duration = settings.max_duration.map(|most| {
        let worked = show_duration(noted.used.worked);
        format!("worked {worked} of {}", show_duration(most))
    });
    let until = settings.until;
    let until = until.map(|until| format!("until {}", clock(until)));
    let parts: Vec<String> = [calls, cost, duration, until]
        .into_iter()
        .flatten()
        .collect();
    not_empty(&parts).map(|parts| parts.join(", "))
}

fn runner(info: &RunInfo, holder: Option<&Holder>, counts: &Counts, has_saved: bool) -> String {
    let Some(started) = info.started.map(timestamp) else {
        return "none has started".to_owned();
    };
    match (&info.ended, holder) {
        (Some((ended, ending)), _) => format!("the last one {ending} at {}", timestamp(*ended)),
        (None, Some(holder)) => format!("process {}, at work since {started}", holder.pid),
        (None, None) if counts.running == 0 => {
            format!("the runner started at {started} crashed with no call in flight")
        }
        (None, None) if has_saved => format!(
            "the runner started at {started} ended with {} that it could not record; the next session records what it saved",
            counted(counts.running, "call")
        ),
        (None, None) => format!(
            "the runner started at {started} crashed with {} in flight; the next session marks these as in doubt",
            counted(counts.running, "call")
        ),
    }
}
