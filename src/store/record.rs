//! What is read of a run and its jobs.

use std::path::PathBuf;

use super::body::Filed;
use super::error::Result;
use crate::job::{Body, Class, FileName, JobState};
use crate::settings::{Call, Settings};

/// What a run is.
#[derive(Debug, Clone)]
pub struct RunInfo {
    /// When it was made, in milliseconds since 1970.
    pub created: i64,
    /// The folder against which names resolve.
    pub base: PathBuf,
    /// What a call is.
    pub call: Call,
    /// The free settings, as last given.
    pub settings: Settings,
    /// How many runners have worked on it.
    pub runners: u64,
    /// When the latest one began, in milliseconds since 1970.
    pub started: Option<i64>,
    /// When and how the latest one ended, if it has.
    pub ended: Option<(i64, String)>,
    /// Why the latest one stopped early, if a guard or a limit stopped it.
    pub stopped: Option<Stopped>,
}

/// The stop of a runner by a guard or a limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stopped {
    /// The reason, as [`crate::governor::Reason::as_str`] has it.
    pub reason: String,
    /// The way out, as [`crate::governor::Action::as_str`] has it.
    pub action: String,
    /// The moment until which the service asked to wait, in milliseconds since 1970.
    pub until: Option<i64>,
    /// The last failure in the service's own words.
    pub words: Option<String>,
}

/// A job with its latest attempt and its result.
#[derive(Debug, Clone)]
pub struct Record {
    /// The job's name.
    pub path: FileName,
    /// Where it stands.
    pub state: JobState,
    /// How many attempts it had.
    pub attempts: u32,
    /// What the latest attempt came to.
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
    /// When the latest attempt began, in milliseconds since 1970.
    pub started: Option<i64>,
    /// How long it took, in milliseconds.
    pub took: Option<i64>,
    /// The result, if there is one that is what was recorded.
    pub result: Option<Stored>,
    /// Whether there is one that is not.
    pub is_damaged: bool,
}

/// A stored result.
#[derive(Debug, Clone)]
pub struct Stored {
    /// The `Content-Type` as received.
    pub media_type: Option<String>,
    /// The headers, as a JSON object from lower-case name to value, where they were kept.
    pub headers: Option<String>,
    /// The body as received; empty where it lies in a file that was not opened.
    pub body: Body,
    /// The file that it lies in.
    pub file: Option<Filed>,
}

impl Stored {
    /// Its body, wherever it lies; `job` is whose it is. A file is checked when it is opened first; a body that was put
    /// in its place is taken as it is.
    ///
    /// # Errors
    ///
    /// The file that it lies in is not there, or is not what was recorded.
    pub fn open(&self, job: &FileName) -> Result<Body> {
        match &self.file {
            Some(file) if self.body.path().is_none() => file.open_for(job),
            _ => Ok(self.body.clone()),
        }
    }
}
