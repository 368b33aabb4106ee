//! Runs the command of `--on-finish` with a summary of the run as JSON.

use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde::Serialize;

use stride::event::Counts;
use stride::export::timestamp;
use stride::job::{Class, JobState};
use stride::store::{Cause, Reader};

use crate::cli::output::error::{Problem, command};
use crate::cli::output::halt::StoppedJson;
use crate::cli::output::shown::stderr_of_child;
use crate::cli::output::terminal::{Terminal, bold};

/// The largest number of causes in the summary.
const CAUSES: usize = 10;

/// The outcome of a run, as JSON for the command.
#[derive(Serialize)]
struct Summary<'s> {
    /// The exit code.
    exit: u8,
    /// Why it stopped, where it is an error.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'s str>,
    db: String,
    #[serde(flatten)]
    counts: Counts,
    /// Calls that this invocation made.
    calls: u64,
    /// How long it took, in seconds.
    took: f64,
    /// How the runner ended, as `stride status` has it.
    ending: Option<String>,
    /// Why it stopped early, as `stride status` has it.
    stopped: Option<StoppedJson<'s>>,
    started: Option<String>,
    ended: Option<String>,
    /// What failed, the most frequent first.
    causes: Vec<CauseJson>,
    /// What to type next.
    next: String,
}

#[derive(Serialize)]
struct CauseJson {
    count: u64,
    state: JobState,
    class: Option<&'static str>,
    status: Option<u16>,
    message: String,
    cause: String,
}

impl From<&Cause> for CauseJson {
    fn from(cause: &Cause) -> Self {
        Self {
            count: cause.count,
            state: cause.key.state,
            class: cause.key.class.map(Class::as_str),
            status: cause.key.status,
            message: cause.words(),
            cause: cause.key.id(),
        }
    }
}

/// The outcome of this invocation.
pub(crate) struct Ended<'e> {
    pub(crate) result: &'e Result<u8, Problem>,
    pub(crate) took: Duration,
    /// Calls of the run before it.
    pub(crate) calls_before: u64,
}

/// Runs the command, if any. Its failure is a warning and does not change the exit code.
pub(crate) fn run_command(
    command: Option<&str>,
    db: &Path,
    ended: &Ended<'_>,
    terminal: &Terminal,
) {
    // `STRIDE_ON_FINISH=` and `on-finish = ''` turn the command off.
    let Some(command) = command.filter(|command| !command.is_empty()) else {
        return;
    };
    let ran = match summary(db, ended) {
        Ok(json) => run(command, db, code(ended.result), &json)
            .map_err(|reason| format!("the command of --on-finish {reason}")),
        Err(problem) => Err(format!("no summary for --on-finish: {}", problem.words())),
    };
    if let Err(warning) = ran {
        terminal.say(&format!("{} {warning}", bold("warning:")));
    }
}

/// Returns the exit code of a result.
fn code(result: &Result<u8, Problem>) -> u8 {
    match result {
        Ok(code) => *code,
        Err(problem) => problem.code,
    }
}

fn summary(db: &Path, ended: &Ended<'_>) -> Result<Vec<u8>, Problem> {
    let reader = Reader::open(db)?;
    let (counts, info) = (reader.counts()?, reader.info()?);
    let causes = match counts.failed + counts.held {
        0 => Vec::new(),
        _ => reader.causes()?,
    };
    let next = if counts.pending + counts.running > 0 {
        "resume"
    } else if counts.failed > 0 {
        "failures"
    } else if counts.held > 0 {
        "retry --held"
    } else {
        "export -o results.json"
    };
    let summary = Summary {
        exit: code(ended.result),
        error: ended.result.as_ref().err().map(Problem::words),
        db: reader.path().to_string_lossy().into_owned(),
        counts,
        calls: reader
            .noted()?
            .used
            .calls
            .saturating_sub(ended.calls_before),
        took: ended.took.as_secs_f64(),
        ending: info.ended.as_ref().map(|(_, ending)| ending.clone()),
        stopped: info.stopped.as_ref().map(StoppedJson::from),
        started: info.started.map(timestamp),
        ended: info.ended.as_ref().map(|(ended, _)| timestamp(*ended)),
        causes: causes.iter().take(CAUSES).map(CauseJson::from).collect(),
        next: command(db, next),
    };
    let mut json = serde_json::to_vec(&summary)
        .map_err(|error| Problem::of(crate::cli::output::exit::INTERNAL, &error))?;
    json.push(b'\n');
    Ok(json)
}

/// Runs a command with the summary as its standard input. Its output goes to stderr: stdout is for data.
fn run(words: &str, db: &Path, exit: u8, json: &[u8]) -> Result<(), String> {
    let failed = |error: io::Error| format!("cannot be run: {error}");
    let mut child = Command::new("sh")
        .args(["-c", words])
        .env("STRIDE_DB", db.canonicalize().as_deref().unwrap_or(db))
        .env("STRIDE_EXIT", exit.to_string())
        // A command that resumes the run must not start itself again.
        .env("STRIDE_ON_FINISH", "")
        .stdin(Stdio::piped())
        .stdout(stderr_of_child())
        .spawn()
        .map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        // The command may ignore its input.
        let _ = stdin.write_all(json);
    }
    let status = child.wait().map_err(failed)?;
    match status.success() {
        true => Ok(()),
        false => Err(format!("ended with {status}")),
    }
}

#[cfg(test)]
mod tests {
    use stride::job::FileName;

    use super::*;

    #[test]
    fn a_command_has_the_summary_and_what_it_does_not_read_is_no_error() {
        let db = Path::new("/nowhere/stride.db");
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("out");
        let name = FileName::from(file.as_path()).to_string();
        run(
            &format!("cat > '{name}'; echo $STRIDE_EXIT $STRIDE_DB >> '{name}'"),
            db,
            3,
            b"{}\n",
        )
        .unwrap();
        assert_eq!(
            std::fs::read_to_string(&file).unwrap(),
            "{}\n3 /nowhere/stride.db\n"
        );
        run("true", db, 0, &vec![b'x'; 1 << 20]).unwrap();
        assert!(run("exit 7", db, 0, b"").unwrap_err().contains('7'));
    }
}
