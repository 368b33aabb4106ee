//! What a run does at its end for people who have walked away: a command, or a call, with a summary as JSON.

use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use clap::Args as ClapArgs;
use serde::Serialize;

use stride::caller::{Caller as _, Cancel};
use stride::event::Counts;
use stride::export::timestamp;
use stride::job::{Class, JobState, Outcome, escaped};
use stride::settings::{Expect, Header, HeaderValue, Judging, Request, Settings};
use stride::store::{Cause, Reader};

use super::args::Once;
use super::error::{Problem, command};
use super::halt::StoppedJson;
use super::shown::stderr_of_child;
use super::terminal::Terminal;
use super::{trial, work};

/// How long the address may take to answer: nobody waits for a run that is over.
const PATIENCE: Duration = Duration::from_secs(15);
/// How many causes the summary has.
const CAUSES: usize = 10;

#[derive(Debug, Default, ClapArgs)]
#[command(next_help_heading = "At the end")]
pub(crate) struct OnFinish {
    /// Run this command with `sh` when the run has ended, however it has; a summary is its standard input, as JSON, and
    /// `STRIDE_DB` and `STRIDE_EXIT` tell the database and the exit code
    #[arg(long, value_name = "COMMAND")]
    on_finish: Option<String>,
    /// POST the summary to this address; secrets as {env:NAME} {file:PATH} {cmd:COMMAND}
    #[arg(long, value_name = "URL")]
    on_finish_url: Option<String>,
}

impl OnFinish {
    /// Takes over what another one says, where this one says nothing.
    pub(crate) fn or(&mut self, other: Self) {
        self.on_finish = self.on_finish.take().or(other.on_finish);
        self.on_finish_url = self.on_finish_url.take().or(other.on_finish_url);
    }
}

/// How a run went.
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

/// What this invocation did.
pub(crate) struct Ended<'e> {
    pub(crate) result: &'e Result<u8, Problem>,
    pub(crate) took: Duration,
    /// Calls of the run before it.
    pub(crate) calls_before: u64,
}

impl OnFinish {
    /// Checks what can be checked before anything is called.
    pub(crate) fn check(&self, base: &Path, once: Once) -> Result<(), Problem> {
        match said(self.on_finish_url.as_ref()) {
            Some(url) => self.plan(url, base, once).map(drop),
            None => Ok(()),
        }
    }

    fn plan(
        &self,
        url: &str,
        base: &Path,
        once: Once,
    ) -> Result<stride::caller::HttpPlan, Problem> {
        let request = Request {
            method: "POST".to_owned(),
            url: url.to_owned(),
            headers: vec![Header {
                name: "Content-Type".to_owned(),
                value: HeaderValue::Template("application/json".to_owned()),
            }],
            judging: Judging {
                expect: Expect::Any,
                ..Judging::default()
            },
            ..Request::default()
        };
        let settings = Settings {
            timeout: PATIENCE,
            ..Settings::default()
        };
        work::plan(&request, &settings, &[], once, base)
    }

    /// Runs the command and calls the address. The run's end stays what it is, whatever comes of them.
    pub(crate) fn tell(&self, db: &Path, once: Once, ended: &Ended<'_>, terminal: &Terminal) {
        let (command, url) = (
            said(self.on_finish.as_ref()),
            said(self.on_finish_url.as_ref()),
        );
        if command.is_none() && url.is_none() {
            return;
        }
        let warn = |what: &str| terminal.say(&format!("{} {what}", terminal.bold("warning:")));
        let json = match summary(db, ended) {
            Ok(json) => json,
            Err(problem) => {
                return warn(&format!(
                    "there is no summary for --on-finish: {}",
                    problem.words()
                ));
            }
        };
        let exit = code(ended.result);
        if let Some(words) = command
            && let Err(reason) = run(words, db, exit, &json)
        {
            warn(&format!("the command of --on-finish {reason}"));
        }
        if let Some(url) = url
            && let Err(reason) = self.post(url, db, once, &json)
        {
            warn(&format!("--on-finish-url: {}", escaped(reason.as_bytes())));
        }
    }

    fn post(&self, url: &str, db: &Path, once: Once, json: &[u8]) -> Result<(), String> {
        let words = |error: &dyn std::fmt::Display| error.to_string();
        let base = Reader::open(db)
            .and_then(|reader| reader.info())
            .map_err(|error| words(&error))?
            .base;
        let plan = self
            .plan(url, &base, once)
            .map_err(|problem| problem.words().to_owned())?;
        // A call is made of a file.
        let mut file = tempfile::NamedTempFile::new().map_err(|error| words(&error))?;
        file.write_all(json).map_err(|error| words(&error))?;
        let (job, attempt) = trial::single(file.path());
        let mut caller = plan.caller().map_err(|error| words(&error))?;
        match caller.call(&job, &attempt, &Cancel::new()) {
            Outcome::Succeeded(_) => Ok(()),
            outcome => Err(trial::refused(&outcome)),
        }
    }
}

/// What was said, where that is anything: nothing stands for none, whatever a variable or a file would say.
fn said(words: Option<&String>) -> Option<&str> {
    words.map(String::as_str).filter(|words| !words.is_empty())
}

/// The exit code that a result will be.
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
    let mut json =
        serde_json::to_vec(&summary).map_err(|error| Problem::of(super::exit::INTERNAL, &error))?;
    json.push(b'\n');
    Ok(json)
}

/// Runs a command with the summary as its standard input. What it writes goes to stderr: stdout is for data.
fn run(words: &str, db: &Path, exit: u8, json: &[u8]) -> Result<(), String> {
    let failed = |error: io::Error| format!("cannot be run: {error}");
    let mut child = Command::new("sh")
        .args(["-c", words])
        .env("STRIDE_DB", db.canonicalize().as_deref().unwrap_or(db))
        .env("STRIDE_EXIT", exit.to_string())
        // A command that goes on with the run has an end too, and would go on and on.
        .env("STRIDE_ON_FINISH", "")
        .env("STRIDE_ON_FINISH_URL", "")
        .stdin(Stdio::piped())
        .stdout(stderr_of_child())
        .spawn()
        .map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        // A command that does not read it has no use for it.
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
