//! `stride report`.

use std::io::Write;
use std::path::Path;

use stride::job::FileName;
use stride::report::Report;
use stride::store::{Lock, Reader, note_artifact, wall_clock};

use crate::cli::args::ReportArgs;
use crate::cli::output::error::Problem;
use crate::cli::output::error::printed;
use crate::cli::output::exit;
use crate::cli::output::shown::data;
use crate::cli::output::terminal::Terminal;
use crate::cli::session::files::not_listed;

pub(crate) fn report(db: &Path, args: &ReportArgs, terminal: &Terminal) -> Result<u8, Problem> {
    let reader = Reader::open(db)?;
    let database = reader.path().to_owned();
    if let Some(path) = output(args) {
        not_listed(&reader, path)?;
    }
    let is_working = Lock::holder(db).is_some();
    let report = Report::new(&reader, wall_clock(), is_working)?;
    // The look ends before a note is written: the last to leave folds the log into the database.
    drop(reader);
    if let Some(path) = output(args) {
        report.to_file(path)?;
        if let Ok(path) = path.canonicalize() {
            note_artifact(&database, &path);
        }
        terminal.say(&format!("wrote the report to {}", FileName::from(path)));
        return Ok(exit::DONE);
    }
    let mut out = data();
    let written = out
        .write_all(report.html().as_bytes())
        .and_then(|()| out.flush());
    // Where a shell sent stdout into a file, a later walk should know that file.
    if written.is_ok()
        && let Ok(path) = std::fs::read_link("/proc/self/fd/1")
        && path.is_file()
    {
        note_artifact(&database, &path);
    }
    printed(written)
}

/// Where it goes, if not to stdout.
fn output(args: &ReportArgs) -> Option<&Path> {
    let path = args.output.as_deref();
    path.filter(|path| *path != Path::new("-"))
}
