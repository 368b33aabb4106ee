//! Steps of jobs that take several requests: submit, poll, fetch.

use std::time::Duration;

use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};
use strum::{EnumString, IntoStaticStr};

/// The kind of a step. It determines what follows a call in doubt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, EnumString, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum StepKind {
    /// Changes something at the service, such as a submission.
    Write,
    /// Changes nothing at the service: it is simply repeated when in doubt.
    Read,
    /// A read that is repeated until the service is ready.
    Poll,
}

impl StepKind {
    /// Returns the stored word.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// The step of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// The step's index, from 0.
    pub index: u16,
    /// Its kind.
    pub kind: StepKind,
    /// Number of answers so far that said "not ready".
    pub asked: u32,
    /// Time since the step became the next one.
    pub since: Duration,
    /// Number of polls that the attempt stands for, this one included; 0 if it is no poll.
    pub polls: u32,
}

impl Step {
    /// The first request of a job, and the only one of most.
    pub const FIRST: Self = Self {
        index: 0,
        kind: StepKind::Write,
        asked: 0,
        since: Duration::ZERO,
        polls: 0,
    };

    /// Returns true if the job waits for this step as [`Waiting`](super::JobState::Waiting): it has been answered before.
    pub fn is_later(&self) -> bool {
        self.index > 0 || self.kind != StepKind::Write
    }
}

/// Serializes to the fields that people see: the step's number, counted from 1, and the number of polls. The only step of
/// a job has none.
impl Serialize for Step {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut fields = to.serialize_map(None)?;
        if self.is_later() {
            fields.serialize_entry("step", &(u32::from(self.index) + 1))?;
        }
        if self.polls > 0 {
            fields.serialize_entry("polls", &self.polls)?;
        }
        fields.end()
    }
}

/// The answer of a finished step.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StepAnswer {
    /// The HTTP status; `None` if the call was not HTTP.
    pub status: Option<u16>,
    /// The `Content-Type` as received.
    pub media_type: Option<String>,
    /// The headers, as a JSON object from lower-case name to value, if they were kept.
    pub headers: Option<String>,
    /// The body after content decoding.
    pub body: Vec<u8>,
}
