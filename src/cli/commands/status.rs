//! Looking at a run: `status`, `verify`. They work while the run goes on.

use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;
use serde_json::Value;

use stride::event::Counts;
use stride::export::timestamp;
use stride::job::{FileName, escaped};
use stride::settings::{Call, Threads, show_duration};
use stride::store::{Holder, Lock, Reader, RunInfo, RunnerStatus, wall_clock};

use crate::cli::args::Status;
use crate::cli::output::error::printed;
use crate::cli::output::error::{Problem, command};
use crate::cli::output::exit;
use crate::cli::output::format::{counted, grouped};
use crate::cli::output::halt::{self, StoppedJson};
use crate::cli::output::shown::{self, data};
use crate::cli::output::terminal::{Terminal, red};
use crate::cli::output::time::clock;
use crate::cli::output::why;
use crate::cli::session::inspect::Inspected;
use crate::cli::session::storage::{rescue_folders, why as why_refused};
use crate::cli::session::summary::standing;

/// A file and how often something happened to it.
#[derive(Serialize)]
struct TimesJson {
    file: String,
    times: u32,
}

impl From<&(FileName, u32)> for TimesJson {
    fn from((file, times): &(FileName, u32)) -> Self {
        Self {
            file: file.to_string(),
            times: *times,
        }
    }
}

/// How many files `status` names that may be what kills the process.
const CRASHED_NAMED: usize = 5;

#[derive(Serialize)]
struct StatusJson<'r> {
    #[serde(flatten)]
    counts: Counts,
    db: String,
    created: String,
    base: String,
    call: &'r Call,
    #[serde(flatten)]
    inspected: Inspected,
    threads: Value,
    /// The rates, in the words in which they were given; `auto` where there are none.
    rate: String,
    /// The limit that keeps the run from going faster, as its runner noted it.
    limit: Option<String>,
    /// Until when the service asked everybody to wait.
    closed_until: Option<String>,
    /// The file that the service refused most often while it took others.
    refused: Option<TimesJson>,
    /// The files that were alone in flight at two deaths of the process or more, the first few.
    crashed: Vec<TimesJson>,
    /// When the last file can be called at best.
    earliest_end: Option<String>,
    calls: u64,
    cost: String,
    /// For how many seconds runners have worked on it.
    worked: f64,
    rescue_files: &'r [String],
    /// Those that the next run cannot take in, and why.
    untaken: &'r [String],
    runners: u64,
    working: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<u32>,
    started: Option<String>,
    ended: Option<String>,
    ending: Option<&'r str>,
    /// Why the last runner stopped early, where a guard or a limit stopped it.
    stopped: Option<StoppedJson<'r>>,
}

pub(crate) fn status(db: &Path, args: &Status) -> Result<u8, Problem> {
    let reader = Reader::open(db)?;
    let (counts, info) = (reader.counts()?, reader.info()?);
    let holder = Lock::holder(db).filter(|_| info.ended.is_none());
    let noted = reader.noted()?;
    let limit = why::recorded(&noted)
        .filter(|_| holder.is_some())
        .map(|limit| why::describe(&limit))
        .filter(|words| !words.is_empty());
    let crashed = reader.may_kill(CRASHED_NAMED)?;
    let closed = noted.closed_until.filter(|until| *until > wall_clock());
    let inspected = Inspected::of(&reader, &info, args.request)?;
    let (rescued, refused) = reader.rescues(&rescue_folders(reader.path()))?;
    // A working runner has checked its rescue files.
    let refused = if holder.is_some() {
        Vec::new()
    } else {
        refused
    };
    let untaken: Vec<String> = refused.iter().map(why_refused).collect();
    let rescued: Vec<String> = rescued
        .iter()
        .map(|file| FileName::from(file.as_path()).to_string())
        .collect();
    if args.json {
        let mut out = data();
        let status = StatusJson {
            counts,
            db: reader.path().to_string_lossy().into_owned(),
            created: timestamp(info.created),
            base: info.base.to_string_lossy().into_owned(),
            call: &info.call,
            inspected,
            threads: match info.settings.threads {
                Threads::Fixed(threads) => threads.into(),
                Threads::Auto => "auto".into(),
            },
            rate: info.settings.rates.to_string(),
            limit,
            closed_until: closed.map(timestamp),
            refused: noted.refused.as_ref().map(TimesJson::from),
            crashed: crashed.iter().map(TimesJson::from).collect(),
            earliest_end: noted.finish.filter(|_| holder.is_some()).map(timestamp),
            calls: noted.used.calls,
            cost: noted.used.cost.to_string(),
            worked: noted.used.worked.as_secs_f64(),
            rescue_files: &rescued,
            untaken: &untaken,
            runners: info.runners,
            working: holder.is_some(),
            pid: holder.as_ref().map(|holder| holder.pid),
            started: info.started.map(timestamp),
            ended: info.ended.as_ref().map(|(ended, _)| timestamp(*ended)),
            ending: info.ended.as_ref().map(|(_, ending)| ending.as_str()),
            stopped: info.stopped.as_ref().map(StoppedJson::from),
        };
        let result = serde_json::to_writer_pretty(&mut out, &status).map_err(io::Error::from);
        return printed(
            result
                .and_then(|()| out.write_all(b"\n"))
                .and_then(|()| out.flush()),
        );
    }
    let lines = [
        (
            "run",
            format!(
                "{}, made {}",
                FileName::from(reader.path()),
                timestamp(info.created)
            ),
        ),
        ("call", call(&info.call)),
        ("files", standing(&counts)),
        ("calls", calls(&counts)),
        ("used", used(&noted, &info)),
        ("runner", runner(&info, holder.as_ref(), &counts)),
        (
            "stopped",
            info.stopped
                .as_ref()
                .map_or_else(String::new, |stopped| halt::describe(db, stopped)),
        ),
        (
            "saved",
            match &rescued[..] {
                [] => String::new(),
                files => format!(
                    "what could not be recorded is in {}; the next run records it",
                    files.join(" and ")
                ),
            },
        ),
        (
            "stuck",
            match &untaken[..] {
                [] => String::new(),
                files => format!(
                    "saved results cannot be recorded, and no run begins: {}",
                    files.join("; ")
                ),
            },
        ),
        (
            "limit",
            limit
                .or_else(|| {
                    closed.map(|until| format!("the service asked to wait until {}", clock(until)))
                })
                .unwrap_or_default(),
        ),
        (
            "refused",
            noted
                .refused
                .as_ref()
                .map_or_else(String::new, |(file, times)| {
                    format!(
                        "{file}: {} while others were accepted; it is called last",
                        counted(u64::from(*times), "time")
                    )
                }),
        ),
        ("crashed", crashed_words(&crashed)),
    ];
    let rows = lines
        .into_iter()
        .chain(inspected.rows(args.request))
        .filter(|(_, text)| !text.is_empty())
        .map(|(label, text)| format!("{label:7} {text}"));
    printed(shown::lines(rows))
}

/// Names the files that may be what kills the process.
fn crashed_words(crashed: &[(FileName, u32)]) -> String {
    let named: Vec<String> = crashed
        .iter()
        .map(|(file, times)| format!("{file} ({})", counted(u64::from(*times), "time")))
        .collect();
    match &named[..] {
        [] => String::new(),
        [one] => format!("stride died during the call of {one} alone; it is called last and alone"),
        named => format!(
            "stride died during the calls of these files alone; they are called last and alone: {}",
            named.join(", ")
        ),
    }
}

fn call(call: &Call) -> String {
    match call {
        Call::Http(request) => escaped(format!("{} {}", request.method, request.url).as_bytes()),
        Call::Program { name } => escaped(format!("the program's own: {name}").as_bytes()),
    }
}

fn calls(counts: &Counts) -> String {
    let mut line = counted(counts.attempts, "attempt");
    if counts.in_doubt > 0 {
        line.push_str(&format!(", {} in doubt", grouped(counts.in_doubt)));
        if counts.in_doubt_recovered > 0 {
            line.push_str(&format!(
                " ({} left by crashes)",
                grouped(counts.in_doubt_recovered)
            ));
        }
    }
    line
}

/// Returns how much of the budgets is used, where there are any.
fn used(noted: &RunnerStatus, info: &RunInfo) -> String {
    let settings = &info.settings;
    let mut parts = Vec::new();
    if let Some(most) = settings.max_calls {
        parts.push(format!(
            "{} of {}",
            grouped(noted.used.calls),
            counted(most, "call")
        ));
    }
    if let Some(most) = settings.max_cost {
        parts.push(format!("{} of {most} in cost", noted.used.cost));
    }
    if let Some(most) = settings.max_duration {
        let worked = show_duration(noted.used.worked);
        parts.push(format!("{worked} of {} of work", show_duration(most)));
    }
    if let Some(until) = settings.until {
        parts.push(format!("until {}", clock(until)));
    }
    parts.join(", ")
}

fn runner(info: &RunInfo, holder: Option<&Holder>, counts: &Counts) -> String {
    match (&info.ended, info.started, holder) {
        (_, None, _) => "none has begun".to_owned(),
        (Some((ended, ending)), ..) => format!("the last one {ending} at {}", timestamp(*ended)),
        (None, Some(started), Some(holder)) => {
            format!(
                "process {} has been working on it since {}",
                holder.pid,
                timestamp(started)
            )
        }
        (None, Some(started), None) => format!(
            "the one begun at {} died with {} in flight; the next one marks them as in doubt",
            timestamp(started),
            counted(counts.running, "call")
        ),
    }
}

pub(crate) fn verify(db: &Path, terminal: &Terminal) -> Result<u8, Problem> {
    let reader = Reader::open(db)?;
    let counts = reader.counts()?;
    let verdict = reader.verify()?;
    if verdict.problems.is_empty() {
        let results = counted(verdict.results, "result");
        let line = format!("sound: {}; {results} checked", standing(&counts));
        return printed(shown::lines([line]));
    }
    for problem in &verdict.problems {
        terminal.say(&format!(
            "{} {}",
            red("damage:"),
            escaped(problem.as_bytes())
        ));
    }
    if !verdict.is_damaged {
        return Err(Problem::new(
            exit::UNUSABLE,
            format!("result files missing or changed: {}", verdict.files),
        )
        .note("nothing was changed; the database itself is sound")
        .hint(format!(
            "restore them; {} writes the other results",
            command(db, "export --partial")
        )));
    }
    Err(Problem::new(
        exit::UNUSABLE,
        format!("{} is damaged", FileName::from(reader.path())),
    )
    .note("nothing was changed")
    .hint("work on a copy; `sqlite3 COPY .recover` saves what can be read"))
}
