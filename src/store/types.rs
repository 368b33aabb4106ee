//! Inputs and outputs of the queue.

use std::time::Duration;

use crate::governor::LearnedLimits;
use crate::job::{
    Attempt, AttemptId, Checksum, FileName, Job, JobId, JobState, Lane, Outcome, Position, Price,
    Step,
};
use crate::retry::{Next, Record};

/// A pending job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offer {
    /// The job.
    pub job: JobId,
    /// Its place in the list.
    pub position: Position,
    /// Time until it may be called.
    pub wait: Duration,
    /// Panics of the job's call, and deaths of the process with no other call in flight.
    pub crashes: u32,
}

/// Waiting jobs whose next step is due.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Due {
    /// The jobs, the earliest first, each with whether its next step only reads.
    pub jobs: Vec<(JobId, bool)>,
    /// Time until the next one is due, if one waits beyond these.
    pub next: Option<Duration>,
}

/// A claimed job: its attempt is recorded and about to be sent.
#[derive(Debug, Clone)]
pub struct Claim {
    /// The job.
    pub job: Job,
    /// The attempt.
    pub attempt: Attempt,
    /// The job's history.
    pub record: Record,
    /// The call was bound to its lane.
    pub is_bound: bool,
}

/// An ended attempt's outcome and its job's next state.
#[derive(Debug)]
pub struct Settlement {
    /// The attempt.
    pub attempt: AttemptId,
    /// Its step. [`Step::polls`] fences off late answers to earlier polls of the same attempt.
    pub step: Step,
    /// The outcome.
    pub outcome: Outcome,
    /// The checksum of the answer's body, if it was computed.
    pub checksum: Option<Checksum>,
    /// Duration of the call.
    pub took: Duration,
    /// The price of the call; `None` if it is free.
    pub price: Option<Price>,
    /// The job's next state.
    pub next: Next,
    /// The job's history, this attempt included.
    pub record: Record,
}

/// A lane as the latest session left it.
#[derive(Debug, Clone, PartialEq)]
pub struct LaneStatus {
    /// The lane.
    pub lane: Lane,
    /// The latest session's pool has the row.
    pub is_present: bool,
    /// Calls that were perhaps sent.
    pub calls: u64,
    /// Results of these calls.
    pub results: u64,
    /// The account's limits, as far as they were found.
    pub found: LearnedLimits,
    /// The end of the wait that the service asked for, in milliseconds since 1970.
    pub closed_until: Option<i64>,
    /// The word of the reason for which the lane has ended, and the service's words.
    pub stopped: Option<(String, String)>,
}

/// The calls and the results of a lane in one group.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct LaneWork {
    pub(super) calls: u64,
    pub(super) results: u64,
}

impl Settlement {
    /// Returns true if the job's next call is bound to the lane of this one, because the account knows its key or a handle.
    pub fn is_bound(&self, claim: &Claim) -> bool {
        let is_same = self.record.generation == claim.record.generation;
        let waits = matches!(self.next, Next::Advance(_) | Next::Poll(_));
        self.step.is_later() || waits || self.binds() || claim.is_bound && is_same
    }

    /// Returns true if the service may know the key: the outcome is unknown, or the operation is unfinished.
    pub(super) fn binds(&self) -> bool {
        let status = self.outcome.failure().and_then(|failure| failure.status);
        matches!(self.outcome, Outcome::InDoubt(_)) || status == Some(409)
    }
}

/// A job that was held because its lane no longer exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldOfLane {
    /// Its name.
    pub path: FileName,
    /// Its latest attempt.
    pub attempt: AttemptId,
    /// Its state before.
    pub from: JobState,
}
