//! `stride failures`: what failed and why, the most frequent cause first, and the command that calls just those again.

use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;

use stride::export::timestamp;
use stride::job::{CauseKey, Class, JobState};
use stride::store::{Cause, Filter, Reader, Record, StoreError};

use crate::cli::args::Failures;
use crate::cli::output::error::printed;
use crate::cli::output::error::{Problem, command};
use crate::cli::output::exit;
use crate::cli::output::shown::{self, data};
use crate::cli::session::summary::{standing, told};

#[derive(Serialize)]
struct FailureJson<'r> {
    path: std::borrow::Cow<'r, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path_bytes: Option<String>,
    state: JobState,
    outcome: Option<&'r str>,
    class: Option<Class>,
    kind: Option<&'r str>,
    status: Option<u16>,
    message: Option<&'r str>,
    body: Option<std::borrow::Cow<'r, str>>,
    attempts: u32,
    started: Option<String>,
    /// What this failure has in common with others; `retry --cause` takes it.
    cause: String,
}

pub(crate) fn failures(db: &Path, args: &Failures) -> Result<u8, Problem> {
    let reader = Reader::open(db)?;
    let filter = args.filter.with_classes(args.class.clone());
    let filter = Some(&filter).filter(|filter| **filter != Filter::default());
    let mut out = data();
    if args.null {
        return print_each(&reader, filter, |record| {
            out.write_all(record.path.as_bytes())?;
            out.write_all(b"\0")
        })
        .and_then(|code| printed(out.flush()).map(|_| code));
    }
    if args.json {
        let mut first = true;
        let code = print_each(&reader, filter, |record| {
            out.write_all(if std::mem::take(&mut first) {
                b"[\n"
            } else {
                b",\n"
            })?;
            serde_json::to_writer(&mut out, &FailureJson::of(&record)).map_err(io::Error::from)
        })?;
        printed(
            out.write_all(if first { b"[]\n" } else { b"\n]\n" })
                .and_then(|()| out.flush()),
        )?;
        return Ok(code);
    }
    if filter.is_some() {
        return Err(Problem::usage("only lists of files can be restricted")
            .hint("say --json, or -0 for the bare names"));
    }
    let causes = reader.causes()?;
    let counts = reader.counts()?;
    let mut lines: Vec<String> = Vec::new();
    for cause in &causes {
        lines.extend(told(cause));
        lines.push(format!(
            "    again: {}",
            command(db, &again(cause, &causes))
        ));
    }
    if lines.is_empty() {
        lines.push(format!("nothing failed: {}", standing(&counts)));
    }
    if causes.len() > 1 && counts.failed > 0 {
        lines.push(format!(
            "{} calls all failed files again",
            command(db, "retry")
        ));
    }
    if causes.len() > 1 && counts.held > 0 {
        lines.push(format!(
            "{} calls all held files again",
            command(db, "retry --held")
        ));
    }
    drop(out);
    printed(shown::lines(lines))
}

/// The command that calls the files of just this cause again: in words that mean something, where they are enough.
fn again(cause: &Cause, all: &[Cause]) -> String {
    let key = &cause.key;
    let verb = match key.state {
        JobState::Held => "retry --held",
        _ => "retry",
    };
    let peers: Vec<&CauseKey> = all
        .iter()
        .map(|other| &other.key)
        .filter(|other| other.state == key.state)
        .collect();
    let alone =
        |same: &dyn Fn(&CauseKey) -> bool| peers.iter().filter(|other| same(other)).count() == 1;
    if peers.len() == 1 {
        return verb.to_owned();
    }
    if let Some(status) = key.status
        && alone(&|other| other.status == key.status)
    {
        return format!("{verb} --status {status}");
    }
    if let Some(class) = key.class
        && alone(&|other| other.class == key.class)
    {
        return format!("{verb} --class {}", class.as_str());
    }
    if !cause.is_rest() {
        return format!("{verb} --cause {}", key.id());
    }
    // They have too many words to be told apart; others of their class and status are called with them.
    let class = key
        .class
        .map_or_else(String::new, |class| format!(" --class {}", class.as_str()));
    let status = key
        .status
        .map_or_else(String::new, |status| format!(" --status {status}"));
    format!("{verb}{class}{status}")
}

impl<'r> FailureJson<'r> {
    fn of(record: &'r Record) -> Self {
        let path_bytes = record.path.odd_bytes();
        Self {
            path: record.path.to_string_lossy(),
            path_bytes,
            state: record.state,
            outcome: record.outcome.as_deref(),
            class: record.class,
            kind: record.kind.as_deref(),
            status: record.status,
            message: record.message.as_deref(),
            body: record
                .error_body
                .as_ref()
                .map(|body| String::from_utf8_lossy(body)),
            attempts: record.attempts,
            started: record.started.map(timestamp),
            cause: cause(record).id(),
        }
    }
}

/// What ends a print-out early.
enum Ended {
    Store(StoreError),
    Write(io::Error),
}

impl From<StoreError> for Ended {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

fn print_each(
    reader: &Reader,
    filter: Option<&Filter>,
    mut print: impl FnMut(Record) -> io::Result<()>,
) -> Result<u8, Problem> {
    match reader.failures(filter, &mut |record| print(record).map_err(Ended::Write)) {
        Ok(()) => Ok(exit::DONE),
        Err(Ended::Store(error)) => Err(error.into()),
        Err(Ended::Write(error)) => printed(Err(error)),
    }
}

/// What a failure has in common with others.
fn cause(record: &Record) -> CauseKey {
    let key = CauseKey {
        state: record.state,
        class: record.class,
        kind: record.kind.clone(),
        status: record.status,
        gist: String::new(),
    };
    let (message, body) = (record.message.as_deref(), record.error_body.as_deref());
    key.with_words(
        &record.path,
        message.unwrap_or_default(),
        body.unwrap_or_default(),
    )
}
