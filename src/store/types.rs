//! What the queue takes and hands out.

use std::time::Duration;

use crate::job::{Attempt, AttemptId, Checksum, Job, JobId, Outcome, Position};
use crate::retry::{Next, Record};

/// A job that is pending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offer {
    /// The job.
    pub job: JobId,
    /// Its place in the list.
    pub position: Position,
    /// How long it has to wait from now on.
    pub wait: Duration,
    /// Times that the process died while this job's call was the only one in flight.
    pub crashes: u32,
}

/// A claimed job: its attempt is recorded and about to be sent.
#[derive(Debug, Clone)]
pub struct Claim {
    /// The job.
    pub job: Job,
    /// The attempt.
    pub attempt: Attempt,
    /// What the job has behind it.
    pub record: Record,
}

/// What an attempt came to, and where its job goes.
#[derive(Debug)]
pub struct Settlement {
    /// The attempt.
    pub attempt: AttemptId,
    /// What it came to.
    pub outcome: Outcome,
    /// The checksum of the answer's body, where there is one.
    pub checksum: Option<Checksum>,
    /// How long the call took.
    pub took: Duration,
    /// Where the job goes.
    pub next: Next,
    /// What the job has behind it now.
    pub record: Record,
}
