//! Records that a reader returns: a run and its jobs.

use std::borrow::Cow;
use std::path::PathBuf;

use super::body::Filed;
use super::error::Result;
use crate::job::{Body, Class, Columns, FileName, JobState, said};
use crate::settings::{Call, Settings};

/// A run's properties and its latest runner. Times are milliseconds since 1970.
#[derive(Debug, Clone)]
pub struct RunInfo {
    /// Creation time.
    pub created: i64,
    /// The folder against which names resolve.
    pub base: PathBuf,
    /// The call, with its rules for results.
    pub call: Call,
    /// The settings, as last given.
    pub settings: Settings,
    /// Number of runners so far.
    pub runners: u64,
    /// Start of the latest one.
    pub started: Option<i64>,
    /// End of the latest one and the kind of end, if they were recorded.
    pub ended: Option<(i64, String)>,
    /// Why the latest one stopped early, if a guard or a limit stopped it.
    pub stopped: Option<Stopped>,
}

/// The stop of a runner by a guard or a limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stopped {
    /// The reason, as [`crate::governor::StopReason::as_str`] names it.
    pub reason: String,
    /// The user's way to continue, as [`crate::governor::Action::as_str`] names it.
    pub action: String,
    /// The moment until which the service asked to wait, in milliseconds since 1970.
    pub until: Option<i64>,
    /// The last failure in the service's own words.
    pub words: Option<String>,
}

/// A job with its result, and the attempt of that, or else its latest one.
#[derive(Debug, Clone)]
pub struct Record {
    /// The job's name.
    pub path: FileName,
    /// The job's state.
    pub state: JobState,
    /// Number of attempts.
    pub attempts: u32,
    /// That attempt's outcome.
    pub outcome: Option<String>,
    /// The failure's class.
    pub class: Option<Class>,
    /// The failure's kind.
    pub kind: Option<String>,
    /// The HTTP status.
    pub status: Option<u16>,
    /// The failure in one line.
    pub message: Option<String>,
    /// The beginning of an error's body.
    pub error_body: Option<Vec<u8>>,
    /// Its start, in milliseconds since 1970.
    pub started: Option<i64>,
    /// Its duration, in milliseconds.
    pub took: Option<i64>,
    /// The job's row, if the list is a table and the row was asked for.
    pub columns: Columns,
    /// The index of the step that the job has reached, from 0, if it was asked for.
    pub step: u16,
    /// The answer of its latest finished step, if it was asked for and the job is not done.
    pub handle: Option<Vec<u8>>,
    /// The result. One in the database is left out if its checksum does not match; one in a file is not checked yet.
    pub result: Option<Stored>,
    /// The job has a result in the database whose checksum does not match.
    pub is_damaged: bool,
}

impl Record {
    /// Returns the failure in one line: its message, and the service's own words.
    pub fn reason(&self) -> Option<Cow<'_, str>> {
        let message = self.message.as_deref()?;
        let said = said(self.error_body.as_deref().unwrap_or_default());
        let words: Vec<&str> = said.split_whitespace().collect();
        Some(match words.is_empty() {
            true => message.into(),
            false => format!("{message}: {}", words.join(" ")).into(),
        })
    }
}

/// A stored result.
#[derive(Debug, Clone)]
pub struct Stored {
    /// The `Content-Type` as received.
    pub media_type: Option<String>,
    /// The headers, as a JSON object from lower-case name to value, if they were kept.
    pub headers: Option<String>,
    /// The body as received; empty if it is in a file that was not opened.
    pub body: Body,
    /// The body's own file.
    pub file: Option<Filed>,
}

impl Stored {
    /// Returns the body of this job's result. Opens and checks its file, unless `body` is that file already.
    ///
    /// # Errors
    ///
    /// The file is missing or changed.
    pub fn open(&self, job: &FileName) -> Result<Body> {
        match &self.file {
            Some(file) if self.body.path().is_none() => file.open_for(job),
            _ => Ok(self.body.clone()),
        }
    }
}
