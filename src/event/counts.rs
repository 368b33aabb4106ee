//! The state of a run in numbers.

use serde::Serialize;

use crate::job::JobState;

/// The number of jobs in each state, and of attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Counts {
    /// All jobs except the forgotten ones.
    pub total: u64,
    /// Jobs that are still to be called.
    pub pending: u64,
    /// Jobs between two steps: submitted, and unfinished.
    pub waiting: u64,
    /// Jobs whose call is in flight.
    pub running: u64,
    /// Jobs with a result.
    pub done: u64,
    /// Jobs that failed and are not retried.
    pub failed: u64,
    /// Jobs held because their last attempt is in doubt.
    pub held: u64,
    /// All attempts so far.
    pub attempts: u64,
    /// Attempts that ended in doubt.
    pub in_doubt: u64,
    /// Attempts in doubt because their process died.
    pub in_doubt_recovered: u64,
    /// Jobs that were taken off the run.
    pub forgotten: u64,
}

impl Counts {
    /// Returns the number of jobs in a state.
    pub fn of(&self, state: JobState) -> u64 {
        match state {
            JobState::Pending => self.pending,
            JobState::Waiting => self.waiting,
            JobState::Running => self.running,
            JobState::Done => self.done,
            JobState::Failed => self.failed,
            JobState::Held => self.held,
            JobState::Forgotten => self.forgotten,
        }
    }

    /// Returns the number of jobs that are still to be called, for their first step or a later one.
    pub fn open(&self) -> u64 {
        self.pending.saturating_add(self.waiting)
    }

    /// Returns the length of the list, forgotten jobs included.
    pub fn listed(&self) -> u64 {
        self.total.saturating_add(self.forgotten)
    }

    /// Returns the number of jobs in a state, for a change.
    pub fn of_mut(&mut self, state: JobState) -> &mut u64 {
        match state {
            JobState::Pending => &mut self.pending,
            JobState::Waiting => &mut self.waiting,
            JobState::Running => &mut self.running,
            JobState::Done => &mut self.done,
            JobState::Failed => &mut self.failed,
            JobState::Held => &mut self.held,
            JobState::Forgotten => &mut self.forgotten,
        }
    }

    /// Moves jobs from one state to another. Returns `None`, and changes nothing, if there are too few.
    #[must_use]
    pub fn shift(&mut self, from: JobState, to: JobState, jobs: u64) -> Option<()> {
        let mut after = *self;
        *after.of_mut(from) = after.of(from).checked_sub(jobs)?;
        *after.of_mut(to) = after.of(to).checked_add(jobs)?;
        after.total = match (from, to) {
            (JobState::Forgotten, JobState::Forgotten) => after.total,
            (JobState::Forgotten, _) => after.total.checked_add(jobs)?,
            (_, JobState::Forgotten) => after.total.checked_sub(jobs)?,
            _ => after.total,
        };
        *self = after;
        Some(())
    }
}
