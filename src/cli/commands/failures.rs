//! `stride failures`: lists failures by cause, the most frequent first, each with the command that calls its files again.

use std::borrow::Cow;
use std::io::{self, Write};

use serde::Serialize;

use stride::export::timestamp;
use stride::job::{CauseKey, Class, JobState};
use stride::store::{Cause, Filter, Location, Reader, Record, StoreError};

use crate::cli::args::failures::Failures;
use crate::cli::output::error::{CliError, command, printed};
use crate::cli::output::exit;
use crate::cli::output::shown::{self, data};
use crate::cli::session::summary::{describe, standing};

pub(crate) fn failures(db: &Location, args: &Failures) -> Result<u8, CliError> {
    let reader = Reader::open(db)?;
    let filter = args.filter.with_classes(args.class.clone());
    let filter = Some(&filter).filter(|filter| **filter != Filter::default());
    if args.null || args.json {
        return match print_files(&reader, filter, args.json) {
            Ok(()) => Ok(exit::DONE),
            Err(PrintError::Store(error)) => Err(error.into()),
            Err(PrintError::Write(error)) => printed(Err(error)),
        };
    }
    if filter.is_some() {
        return Err(
            CliError::usage("only --json and -0 can select failures").hint("add --json or -0")
        );
    }
    let causes = reader.causes()?;
    let counts = reader.counts()?;
    let mut lines: Vec<String> = Vec::new();
    for cause in &causes {
        lines.extend(describe(cause));
        let again = command(db, &retry(cause, &causes));
        lines.push(format!("    again: {again}"));
    }
    if lines.is_empty() {
        lines.push(format!("nothing failed: {}", standing(&counts)));
    }
    for (number, word, words) in [
        (counts.failed, "failed", "retry"),
        (counts.held, "held", "retry --held"),
    ] {
        if causes.len() > 1 && number > 0 {
            let retry = command(db, words);
            lines.push(format!("{retry} calls all {word} files again"));
        }
    }
    if !causes.is_empty() {
        let forget = command(db, "forget --where state=failed,held");
        lines.push(format!(
            "{forget} takes all of them off the run, so that its export is whole"
        ));
    }
    printed(shown::lines(lines))
}

/// Returns the command that calls the files of just this cause again, with readable flags if they suffice.
fn retry(cause: &Cause, all: &[Cause]) -> String {
    let key = &cause.key;
    let verb = match key.state {
        JobState::Held => "retry --held",
        _ => "retry",
    };
    let is_only = |same: &dyn Fn(&CauseKey) -> bool| {
        let mut keys = all.iter().map(|other| &other.key);
        keys.all(|other| other == key || other.state != key.state || !same(other))
    };
    let status = key.status.map(|status| format!(" --status {status}"));
    let class = key
        .class
        .map(|class| format!(" --class {}", class.as_str()));
    let (status, class) = (status.unwrap_or_default(), class.unwrap_or_default());
    if is_only(&|_| true) {
        verb.to_owned()
    } else if key.status.is_some() && is_only(&|other| other.status == key.status) {
        format!("{verb}{status}")
    } else if key.class.is_some() && is_only(&|other| other.class == key.class) {
        format!("{verb}{class}")
    } else if !cause.is_rest() {
        format!("{verb} --cause {}", key.id())
    } else {
        // No cause separates the rest from others of its class and status.
        format!("{verb}{class}{status}")
    }
}

/// An error that ends a list early.
enum PrintError {
    Store(StoreError),
    Write(io::Error),
}

impl From<StoreError> for PrintError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<io::Error> for PrintError {
    fn from(error: io::Error) -> Self {
        Self::Write(error)
    }
}

/// Prints the failed files: as a JSON array, or as names that end with NUL bytes.
fn print_files(reader: &Reader, filter: Option<&Filter>, is_json: bool) -> Result<(), PrintError> {
    let mut out = data();
    let mut is_first = true;
    reader.failures(filter, &mut |record| {
        if is_json {
            out.write_all(if is_first { b"[\n" } else { b",\n" })?;
            serde_json::to_writer(&mut out, &FailureJson::from(&record))
                .map_err(io::Error::from)?;
        } else {
            out.write_all(record.path.as_bytes())?;
            out.write_all(b"\0")?;
        }
        is_first = false;
        Ok::<_, PrintError>(())
    })?;
    if is_json {
        out.write_all(if is_first { b"[]\n" } else { b"\n]\n" })?;
    }
    Ok(out.flush()?)
}

#[derive(Serialize)]
struct FailureJson<'r> {
    path: Cow<'r, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path_bytes: Option<String>,
    state: JobState,
    outcome: Option<&'r str>,
    class: Option<Class>,
    kind: Option<&'r str>,
    status: Option<u16>,
    message: Option<&'r str>,
    body: Option<Cow<'r, str>>,
    attempts: u32,
    started: Option<String>,
    /// The id of the cause, for `retry --cause`.
    cause: String,
}

impl<'r> From<&'r Record> for FailureJson<'r> {
    fn from(record: &'r Record) -> Self {
        let body = record.error_body.as_deref();
        Self {
            path: record.path.to_string_lossy(),
            path_bytes: record.path.non_utf8_bytes(),
            state: record.state,
            outcome: record.outcome.as_deref(),
            class: record.class,
            kind: record.kind.as_deref(),
            status: record.status,
            message: record.message.as_deref(),
            body: body.map(String::from_utf8_lossy),
            attempts: record.attempts,
            started: record.started.map(timestamp),
            cause: cause(record).id(),
        }
    }
}

fn cause(record: &Record) -> CauseKey {
    let key = CauseKey {
        state: record.state,
        class: record.class,
        kind: record.kind.clone(),
        status: record.status,
        gist: String::new(),
    };
    let message = record.message.as_deref().unwrap_or_default();
    let body = record.error_body.as_deref().unwrap_or_default();
    key.with_words(&record.path, message, body)
}
