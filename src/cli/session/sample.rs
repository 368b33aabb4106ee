//! Reports on the files that `stride run --sample` called.

use std::io::Write;
use std::time::Duration;

use stride::job::{FileName, JobState, shortened};
use stride::store::{Location, Reader};

use crate::cli::output::again::again;
use crate::cli::output::error::{CliError, printed};
use crate::cli::output::exit;
use crate::cli::output::format::counted;
use crate::cli::output::shown::data;
use crate::cli::output::terminal::Terminal;
use crate::cli::session::estimate::{self, Measured};

/// The maximum number of characters of a result or a message.
const SHOWN: usize = 500;

/// Prints the outcomes of the drawn files, and returns the exit code.
pub(crate) fn report(
    db: &Location,
    drawn: &[FileName],
    terminal: &Terminal,
) -> Result<u8, CliError> {
    let reader = Reader::open(db)?;
    let (mut lines, mut times, mut done) = (Vec::new(), Vec::new(), 0);
    let mut measured = Measured::default();
    for name in drawn {
        let Some(record) = reader.record(name)? else {
            continue;
        };
        done += usize::from(record.state == JobState::Done);
        let status = record
            .status
            .map_or("-".to_owned(), |code| code.to_string());
        let took = record.took.map_or("-".to_owned(), |ms| format!("{ms} ms"));
        let text = match &record.result {
            Some(result) if let Some(file) = &result.file => file.path.to_string(),
            Some(result) => body_text(result.body.in_memory().unwrap_or_default()),
            None => record.message.as_deref().unwrap_or_default().to_owned(),
        };
        let words: Vec<&str> = text.split_whitespace().collect();
        let text = words.join(" ");
        times.extend(record.took.filter(|_| record.state == JobState::Done));
        if let Some(job) = reader.job_named(name)? {
            measured.costs.push(reader.cost_of(job)?);
        }
        lines.push(format!(
            "{name}\t{}\t{status}\t{took}\t{}",
            record.state.as_str(),
            shortened(text.as_bytes(), SHOWN)
        ));
    }
    let mut out = data();
    let write = lines.iter().try_for_each(|line| writeln!(out, "{line}"));
    let code = printed(write.and_then(|()| out.flush()))?;
    drop(out);
    times.sort_unstable();
    if let (Some(first), Some(last)) = (times.first(), times.last()) {
        let median = times[(times.len() - 1) / 2].midpoint(times[times.len() / 2]);
        terminal.say(&format!(
            "latency: {first} to {last} ms, median {median} ms"
        ));
    }
    let millis = |ms: &i64| Duration::from_millis(ms.unsigned_abs());
    measured.times = times.iter().map(millis).collect();
    let (files, settings) = (reader.counts()?.total, reader.info()?.settings);
    if let Some(estimate) = estimate::describe(&measured, files, &settings) {
        terminal.say(&estimate);
    }
    terminal.say(&format!(
        "sample: {done} of {} done; they stay in the run, and {} calls the rest",
        counted(drawn.len() as u64, "file"),
        again(db, &reader.info()?.call, "resume")
    ));
    Ok(match done < drawn.len() {
        true => exit::INCOMPLETE,
        false => code,
    })
}

fn body_text(body: &[u8]) -> String {
    match std::str::from_utf8(body) {
        Ok(text) => text.to_owned(),
        Err(_) => format!("({} bytes that are not text)", body.len()),
    }
}
