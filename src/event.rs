//! What happened: facts, each told only after its commit. Pure data.

use std::time::Duration;

use crate::governor::{Reason, Why};
use crate::job::{AttemptId, Checksum, Class, FileName, IdempotencyKey, JobState, Position};
use crate::settings::Settings;

/// How many jobs are in which state, and what the attempts came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Counts {
    /// Jobs in all.
    pub total: u64,
    /// Jobs to be called.
    pub pending: u64,
    /// Jobs claimed by a runner.
    pub running: u64,
    /// Jobs with a result.
    pub done: u64,
    /// Jobs that failed for good.
    pub failed: u64,
    /// Jobs held because their last attempt is in doubt.
    pub held: u64,
    /// Attempts ever.
    pub attempts: u64,
    /// Attempts ever in doubt.
    pub in_doubt: u64,
    /// Those of them that a dead runner left behind.
    pub in_doubt_recovered: u64,
}

impl Counts {
    /// The number of jobs in a state.
    pub fn of(&self, state: JobState) -> u64 {
        match state {
            JobState::Pending => self.pending,
            JobState::Running => self.running,
            JobState::Done => self.done,
            JobState::Failed => self.failed,
            JobState::Held => self.held,
        }
    }

    /// The number of jobs in a state, to be changed.
    pub fn of_mut(&mut self, state: JobState) -> &mut u64 {
        match state {
            JobState::Pending => &mut self.pending,
            JobState::Running => &mut self.running,
            JobState::Done => &mut self.done,
            JobState::Failed => &mut self.failed,
            JobState::Held => &mut self.held,
        }
    }

    /// Moves jobs from one state to another. Returns `None`, and changes nothing, where there are not as many.
    #[must_use]
    pub fn shift(&mut self, from: JobState, to: JobState, jobs: u64) -> Option<()> {
        let mut after = *self;
        *after.of_mut(from) = after.of(from).checked_sub(jobs)?;
        *after.of_mut(to) = after.of(to).checked_add(jobs)?;
        *self = after;
        Some(())
    }
}

/// A stop that was not asked for: the reason, and the words of the service that go with it, without secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Halt {
    /// The reason.
    pub reason: Reason,
    /// The last failure in one line; empty where none belongs to it.
    pub words: String,
}

/// How a runner ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// Nothing is left to call.
    Finished,
    /// Stopped on request.
    Stopped,
    /// The caller panicked on this file.
    Panicked(FileName),
    /// A guard or a budget stopped it; the rest is pending.
    Halted(Halt),
}

impl Ending {
    /// The stop that was not asked for, if it was one.
    pub fn halt(&self) -> Option<&Halt> {
        match self {
            Self::Halted(halt) => Some(halt),
            _ => None,
        }
    }

    /// The word under which the ending is recorded.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::Stopped => "stopped",
            Self::Panicked(_) => "panicked",
            Self::Halted(_) => "halted",
        }
    }
}

/// A fact about a run that is going on.
#[derive(Debug, Clone)]
pub enum Event {
    /// A runner began.
    Started {
        /// Its number in this run.
        runner: i64,
        /// The jobs whose call was in flight when an earlier runner died.
        recovered: Vec<FileName>,
        /// Where the run stands.
        counts: Counts,
    },
    /// An attempt is about to be sent.
    Claimed {
        /// The job's name.
        path: FileName,
        /// The job's place in the list.
        position: Position,
        /// The attempt.
        attempt: AttemptId,
        /// Its key.
        key: IdempotencyKey,
        /// The chunk whose thread makes it.
        chunk: usize,
    },
    /// An attempt's outcome is recorded.
    Settled(Box<Settled>),
    /// The gate closed for all threads, or opened (`None`).
    Gate(Option<Shut>),
    /// What keeps the run from going faster.
    Flow(Flow),
    /// A job was refused again and again while others were accepted: from now on it is called after them.
    PutLast(FileName),
    /// A job that was left pending after a refusal has failed: the service took others.
    GaveUp {
        /// The job's name.
        path: FileName,
        /// The attempt that was refused.
        attempt: AttemptId,
    },
    /// Something about the database that people may want to do something about.
    Storage(Storage),
    /// Somebody has changed the settings meanwhile; these hold from now on.
    Changed(Box<Settings>),
    /// A stop was asked for, or the governor stops the run; so many calls are still in flight.
    Stopping {
        /// Calls in flight.
        in_flight: usize,
        /// Why, where nobody asked for it.
        halt: Option<Halt>,
    },
    /// The runner ended.
    Stopped {
        /// How.
        ending: Ending,
        /// Where the run stands.
        counts: Counts,
    },
    /// The listener was too slow, and so many events before this one were dropped: a run does not wait for its listener.
    Missed {
        /// Events that were dropped.
        events: u64,
        /// Where the run stands.
        counts: Counts,
    },
    /// Nothing happened for a moment.
    Tick,
}

/// What is the matter with the place where results go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Storage {
    /// Somebody else has had the database locked for so long; nothing can be recorded meanwhile.
    Busy(Duration),
    /// So many bytes are free, and so many are kept free; no call is made until there are.
    NoRoom {
        /// What is free.
        free: u64,
        /// What has to be.
        kept: u64,
    },
    /// There is room again.
    Room,
    /// The log beside the database has so many bytes, for somebody reads the database all the time.
    LogGrows(u64),
    /// It has failed. Nothing is recorded from now on; what the calls in flight come to is saved in a file.
    Failed {
        /// What happened.
        message: String,
        /// Calls in flight.
        in_flight: usize,
    },
}

/// The reason why a run goes no faster.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Flow {
    /// The reason.
    pub why: Why,
    /// The moment that belongs to it, seen from now, in milliseconds; negative where it has passed.
    pub moment: Option<i64>,
    /// How long it takes until the last file can be called, at best.
    pub finish: Option<Duration>,
}

/// The gate, closed for all threads.
#[derive(Debug, Clone, PartialEq)]
pub struct Shut {
    /// Why.
    pub why: Why,
    /// How long from now on.
    pub wait: Duration,
    /// What the last call that met it came to, in one line.
    pub message: String,
}

/// The fact that an attempt's outcome is recorded.
#[derive(Debug, Clone)]
pub struct Settled {
    /// The job's name.
    pub path: FileName,
    /// The attempt.
    pub attempt: AttemptId,
    /// Its key.
    pub key: IdempotencyKey,
    /// The word for the outcome.
    pub outcome: &'static str,
    /// The failure's class.
    pub class: Option<Class>,
    /// The HTTP status.
    pub status: Option<u16>,
    /// The failure, in one line.
    pub message: Option<String>,
    /// The result's checksum.
    pub sha256: Option<Checksum>,
    /// The job's state now.
    pub state: JobState,
    /// How long the call took.
    pub took: Duration,
}
