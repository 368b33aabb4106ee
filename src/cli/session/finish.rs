//! Runs the command of `--on-finish` with a summary of the run as JSON.

use std::io::{self, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};

use stride::event::Counts;
use stride::export::timestamp;
use stride::job::Class;
use stride::store::{Cause, Location, Reader};

use crate::cli::output::again::again;
use crate::cli::output::error::CliError;
use crate::cli::output::exit;
use crate::cli::output::halt::StoppedJson;
use crate::cli::output::shown::stderr_of_child;
use crate::cli::output::terminal::Terminal;

/// The largest number of causes in the summary.
const CAUSES: usize = 10;

/// The outcome of a run, as JSON for the command.
#[derive(Serialize)]
struct Summary<'s> {
    /// The exit code.
    exit: u8,
    /// The error that stopped the run, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'s str>,
    db: String,
    #[serde(flatten)]
    counts: Counts,
    #[serde(flatten)]
    other: Value,
}

/// The outcome of this invocation.
pub(crate) struct Outcome<'o> {
    pub(crate) result: &'o Result<u8, CliError>,
    pub(crate) took: Duration,
    /// The run's calls before this invocation.
    pub(crate) calls_before: u64,
}

/// Runs the command, if any. Its failure is a warning and does not change the exit code.
pub(crate) fn run_command(
    command: Option<&str>,
    db: &Location,
    outcome: &Outcome<'_>,
    terminal: &Terminal,
) {
    // `STRIDE_ON_FINISH=` and `on-finish = ''` turn the command off.
    let Some(command) = command.filter(|command| !command.is_empty()) else {
        return;
    };
    let exit = match outcome.result {
        Ok(code) => *code,
        Err(cli_error) => cli_error.code,
    };
    let ran = match summary(db, exit, outcome) {
        Ok(json) => run(command, db, exit, &json)
            .map_err(|reason| format!("the command of --on-finish {reason}")),
        Err(cli_error) => Err(format!("no summary for --on-finish: {}", cli_error.words())),
    };
    if let Err(warning) = ran {
        terminal.warn(&warning);
    }
}

fn summary(db: &Location, exit: u8, outcome: &Outcome<'_>) -> Result<Vec<u8>, CliError> {
    let reader = Reader::open(db)?;
    let (counts, info) = (reader.counts()?, reader.info()?);
    let causes = match counts.failed + counts.held {
        0 => Vec::new(),
        _ => reader.causes()?,
    };
    let next = if counts.open() + counts.running > 0 {
        "resume"
    } else if counts.failed > 0 {
        "failures"
    } else if counts.held > 0 {
        "retry --held"
    } else {
        "export -o results.json"
    };
    let used = reader.noted()?.used;
    let other = json!({
        // Calls that this invocation made.
        "calls": used.calls.saturating_sub(outcome.calls_before),
        // The cost of the whole run, as in `stride status`.
        "cost": used.cost.to_string(),
        "cost_unknown": used.unknown,
        // In seconds.
        "took": outcome.took.as_secs_f64(),
        // The runner's ending, and the reason if it stopped early, as in `stride status`.
        "ending": info.ended.as_ref().map(|(_, ending)| ending),
        "stopped": info.stopped.as_ref().map(StoppedJson::from),
        "started": info.started.map(timestamp),
        "ended": info.ended.as_ref().map(|(ended, _)| timestamp(*ended)),
        // The most frequent first.
        "causes": causes.iter().take(CAUSES).map(cause_json).collect::<Vec<_>>(),
        // The command to type next.
        "next": again(db, &info.call, next),
    });
    let summary = Summary {
        exit,
        error: outcome.result.as_ref().err().map(CliError::words),
        db: reader.path().to_string_lossy().into_owned(),
        counts,
        other,
    };
    let mut json =
        serde_json::to_vec(&summary).map_err(|error| CliError::of(exit::INTERNAL, &error))?;
    json.push(b'\n');
    Ok(json)
}

fn cause_json(cause: &Cause) -> Value {
    json!({
        "count": cause.count,
        "state": cause.key.state,
        "class": cause.key.class.map(Class::as_str),
        "status": cause.key.status,
        "message": cause.words(),
        "cause": cause.key.id(),
    })
}

/// Runs a command with the summary as its standard input. Its output goes to stderr, because stdout is for data.
fn run(words: &str, db: &Location, exit: u8, json: &[u8]) -> Result<(), String> {
    let failed = |error: io::Error| format!("cannot be run: {error}");
    let mut child = Command::new("sh")
        .args(["-c", words])
        .env(
            "STRIDE_DB",
            db.file().canonicalize().as_deref().unwrap_or(db.file()),
        )
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
    use super::*;

    #[test]
    fn a_command_need_not_read_the_summary() {
        run("true", &"stride.db".into(), 0, &vec![b'x'; 1 << 20]).unwrap();
    }
}
