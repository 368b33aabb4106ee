//! `stride failures`: lists failures by cause, the most frequent first, each with the command that calls its files again; or
//! prints the failed files for programs.

use std::borrow::Cow;
use std::io::{self, Write};
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

use serde::Serialize;

use stride::export::timestamp;
use stride::job::{CauseKey, Class, FileName, JobState, escaped};
use stride::store::{Cause, Filter, Location, Reader, Record, StoreError};

use crate::cli::args::failures::Failures;
use crate::cli::output::again::{again, effect_for};
use crate::cli::output::error::{CliError, command, printed};
use crate::cli::output::exit;
use crate::cli::output::format::{grouped, short};
use crate::cli::output::shown::{self, data};
use crate::cli::session::summary::{describe, look, more_names, standing};

pub(crate) fn failures(db: &Location, args: &Failures) -> Result<u8, CliError> {
    let reader = Reader::open(db)?;
    let filter = args.filter.with_classes(args.class.clone());
    check_causes(db, &reader, &filter)?;
    let filter = Some(&filter).filter(|filter| **filter != Filter::default());
    let names = Names::new(&reader)?;
    if args.null || args.json {
        return match print_files(&reader, filter, args.json, &names) {
            Ok(()) => Ok(exit::DONE),
            Err(PrintError::Store(error)) => Err(error.into()),
            Err(PrintError::Write(error)) => printed(Err(error)),
        };
    }
    let all = reader.causes()?;
    let causes = match filter {
        Some(filter) => &reader.causes_of(filter)?,
        None => &all,
    };
    let (counts, call) = (reader.counts()?, reader.info()?.call);
    let mut lines: Vec<String> = Vec::new();
    for cause in causes {
        lines.extend(describe(cause));
        let again = again(db, &call, &retry(cause, &all));
        lines.push(format!("    again: {again}"));
        if let Some(look) = look(db, cause) {
            lines.push(format!("    the whole call: {look}"));
        }
    }
    lines.extend(more_names(db, causes));
    match filter {
        None if lines.is_empty() => {
            lines.push(format!("nothing failed: {}", standing(db, &counts)));
        }
        Some(_) if lines.is_empty() => {
            lines.push(format!("no failure matches: {}", standing(db, &counts)));
        }
        _ => {}
    }
    for (number, word, words) in [
        (counts.failed, "failed", "retry"),
        (counts.held, "held", "retry --held"),
    ] {
        if causes.len() > 1 && number > 0 && filter.is_none() {
            let retry = again(db, &call, words);
            let effect = effect_for(db, &format!("all {word} files"));
            lines.push(format!("{retry} {effect}"));
        }
    }
    if !causes.is_empty() && filter.is_none() {
        let forget = command(db, "forget --where state=failed,held");
        lines.push(format!(
            "{forget} takes all of them off the run, so that its export is whole"
        ));
    }
    if let Some(base) = names.elsewhere
        && !causes.is_empty()
    {
        lines.push(format!("names are relative to {}", FileName::from(base)));
    }
    printed(shown::lines(lines))
}

/// Refuses ids that no cause has, and names the first of those that there are.
pub(crate) fn check_causes(
    db: &Location,
    reader: &Reader,
    filter: &Filter,
) -> Result<(), CliError> {
    if filter.causes.is_empty() {
        return Ok(());
    }
    let causes = reader.causes()?;
    let is_known = |id: &&String| causes.iter().any(|cause| cause.key.id() == **id);
    let Some(unknown) = filter.causes.iter().find(|id| !is_known(id)) else {
        return Ok(());
    };
    let unknown = escaped(unknown.as_bytes());
    let mut error = CliError::usage(format!("no failure has the cause `{unknown}`"));
    for cause in causes.iter().take(SHOWN) {
        let words = short(cause.words().as_bytes());
        let count = grouped(cause.count);
        error = error.line(format!("    {}   {count} × {words}", cause.key.id()));
    }
    let failures = command(db, "failures");
    Err(error
        .note("nothing was changed")
        .hint(match causes.is_empty() {
            true => "leave out --cause: nothing failed".to_owned(),
            false => format!("use the id of a cause; {failures} shows the files of each"),
        }))
}

/// The maximum number of causes that an error names.
const SHOWN: usize = 10;

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
        // No id separates the rest from others of its class and status.
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

/// Prints the chosen files: as a JSON array, or as names that end with NUL bytes.
fn print_files(
    reader: &Reader,
    filter: Option<&Filter>,
    is_json: bool,
    names: &Names,
) -> Result<(), PrintError> {
    let mut out = data();
    let mut is_first = true;
    reader.failures(filter, &mut |record| {
        if is_json {
            out.write_all(if is_first { b"[\n" } else { b",\n" })?;
            let failure = FailureJson::new(&record, &names.base);
            serde_json::to_writer(&mut out, &failure).map_err(io::Error::from)?;
        } else {
            out.write_all(&names.usable(&record.path))?;
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

/// The names of a run as commands in the current folder can use them.
struct Names {
    base: PathBuf,
    /// The base, if it is not the current folder.
    elsewhere: Option<PathBuf>,
    /// The list is a table, whose names may be no files.
    is_table: bool,
}

impl Names {
    fn new(reader: &Reader) -> Result<Self, CliError> {
        let base = std::path::absolute(reader.info()?.base)
            .map_err(|error| CliError::of(exit::ERROR, &error))?;
        let here = std::env::current_dir().ok();
        let is_here =
            |here: &PathBuf| *here == base || here.canonicalize().ok() == base.canonicalize().ok();
        let elsewhere = (!here.is_some_and(|here| is_here(&here))).then(|| base.clone());
        Ok(Self {
            is_table: reader.is_table()?,
            base,
            elsewhere,
        })
    }

    /// Returns a name that leads to the job's file from the current folder, and that no command takes for a flag. Names
    /// that are no files stay as they are.
    fn usable<'n>(&self, name: &'n FileName) -> Cow<'n, [u8]> {
        let path = name.as_path();
        if path.is_absolute() || self.is_table && !self.base.join(path).exists() {
            return name.as_bytes().into();
        }
        match &self.elsewhere {
            Some(base) => base.join(path).into_os_string().into_vec().into(),
            None if name.as_bytes().starts_with(b"-") => [b"./", name.as_bytes()].concat().into(),
            None => name.as_bytes().into(),
        }
    }
}

#[derive(Serialize)]
struct FailureJson<'r> {
    path: Cow<'r, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path_bytes: Option<String>,
    /// The folder against which a relative name resolves.
    base: Cow<'r, str>,
    state: JobState,
    outcome: Option<&'r str>,
    class: Option<Class>,
    kind: Option<&'r str>,
    status: Option<u16>,
    message: Option<&'r str>,
    body: Option<Cow<'r, str>>,
    attempts: u32,
    /// The step that failed, counted from 1.
    step: u32,
    started: Option<String>,
    /// The id of the cause, for `retry --cause`.
    cause: String,
}

impl<'r> FailureJson<'r> {
    fn new(record: &'r Record, base: &'r Path) -> Self {
        let body = record.error_body.as_deref();
        Self {
            path: record.path.to_string_lossy(),
            path_bytes: record.path.non_utf8_bytes(),
            base: base.to_string_lossy(),
            state: record.state,
            outcome: record.outcome.as_deref(),
            class: record.class,
            kind: record.kind.as_deref(),
            status: record.status,
            message: record.message.as_deref(),
            body: body.map(String::from_utf8_lossy),
            attempts: record.attempts,
            step: u32::from(record.step) + 1,
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
