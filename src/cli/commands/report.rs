//! `stride report`.

use std::io::Write;

use stride::job::FileName;
use stride::report::Report;
use stride::store::{Location, Lock, Reader, wall_clock};

use crate::cli::args::export::ReportArgs;
use crate::cli::output::error::{CliError, command, printed};
use crate::cli::output::exit;
use crate::cli::output::shown::{data, is_terminal};
use crate::cli::output::terminal::Terminal;
use crate::cli::session::files::{named_output, not_listed, remember_output};

pub(crate) fn report(
    db: &Location,
    args: &ReportArgs,
    terminal: &Terminal,
) -> Result<u8, CliError> {
    let output = named_output(args.output.as_deref());
    if output.is_none() && is_terminal() {
        return Err(
            CliError::usage("a report is an HTML page, not for a terminal")
                .hint(format!("use {}", command(db, "report -o report.html"))),
        );
    }
    let reader = Reader::open(db)?;
    let database = reader.path().to_owned();
    if let Some(path) = output {
        not_listed(&reader, path)?;
    }
    let is_working = Lock::holder(db).is_some();
    let report = Report::new(&reader, wall_clock(), is_working)?;
    drop(reader);
    if let Some(path) = output {
        report.to_file(path)?;
        terminal.say(&format!("wrote the report to {}", FileName::from(path)));
    } else {
        let mut out = data();
        let html = report.html();
        printed(out.write_all(html.as_bytes()).and_then(|()| out.flush()))?;
    }
    remember_output(&database, output);
    Ok(exit::DONE)
}
