//! Quarantine: failed jobs that stay pending until the governor knows whether they or the service are at fault. Also
//! keeps charges that an outage may have caused.

use std::collections::{HashMap, HashSet};

use crate::governor::SharedCause;
use crate::job::{AttemptId, FileName, JobId, Position};
use crate::store::{Group, StoreError};

/// A job in quarantine.
#[derive(Debug, Clone)]
pub(super) struct Quarantined {
    pub(super) attempt: AttemptId,
    pub(super) path: FileName,
    pub(super) position: Position,
    /// The job is between two steps.
    pub(super) is_waiting: bool,
    pub(super) failed_before: bool,
    pub(super) cause: SharedCause,
    pub(super) message: String,
}

#[derive(Debug, Default)]
pub(super) struct Quarantine {
    jobs: Vec<Quarantined>,
    ids: HashSet<JobId>,
    /// Jobs with a charge that an outage may have caused, once for each charge.
    charged: Vec<JobId>,
    /// Refunds due to jobs that were in flight when the outage was established.
    refunds: HashMap<JobId, u32>,
}

impl Quarantine {
    pub(super) fn len(&self) -> u64 {
        self.jobs.len() as u64
    }

    pub(super) fn contains(&self, job: JobId) -> bool {
        self.ids.contains(&job)
    }

    /// Returns true if a recent failure of this job has an unknown cause.
    pub(super) fn has_failed(&self, job: JobId) -> bool {
        self.contains(job) || self.charged.contains(&job)
    }

    /// Returns the failure message of the job that was added last, if possible of one with the cause
    /// [`SharedCause::Service`], for which a run stops.
    pub(super) fn last_message(&self) -> Option<String> {
        let mut latest = self.jobs.iter().rev();
        let of_service = |held: &&Quarantined| held.cause == SharedCause::Service;
        let held = latest.find(of_service).or(self.jobs.last());
        held.map(|held| held.message.clone())
    }

    pub(super) fn add(&mut self, held: Quarantined) {
        self.ids.insert(held.attempt.job);
        self.jobs.push(held);
    }

    /// Removes and returns the jobs with cleared causes: they are at fault themselves.
    pub(super) fn release_at_fault(
        &mut self,
        cleared: impl Fn(SharedCause) -> bool,
    ) -> Vec<Quarantined> {
        if cleared(SharedCause::Outage) {
            self.charged.clear();
        }
        self.release(cleared)
    }

    /// Removes the jobs that failed in an outage, to be called again. Returns them, and the jobs to refund.
    pub(super) fn excuse(&mut self) -> (Vec<Quarantined>, Vec<JobId>) {
        let excused = self.release(|cause| cause == SharedCause::Outage);
        (excused, std::mem::take(&mut self.charged))
    }

    fn release(&mut self, is_released: impl Fn(SharedCause) -> bool) -> Vec<Quarantined> {
        let is_released = |held: &mut Quarantined| is_released(held.cause);
        let released: Vec<Quarantined> = self.jobs.extract_if(.., is_released).collect();
        for held in &released {
            self.ids.remove(&held.attempt.job);
        }
        released
    }

    /// Records a charge that an outage may have caused.
    pub(super) fn note_charged(&mut self, job: JobId) {
        self.charged.push(job);
    }

    /// Refunds a charge to each of these jobs. A job in flight gets its refund when the call completes.
    pub(super) fn refund(
        &mut self,
        group: &mut Group<'_>,
        jobs: Vec<JobId>,
    ) -> Result<(), StoreError> {
        for job in jobs {
            if !group.give_back_charge(job)? {
                *self.refunds.entry(job).or_default() += 1;
            }
        }
        Ok(())
    }

    /// Returns the number of refunds due to a job whose call has completed.
    pub(super) fn take_refunds(&mut self, job: JobId) -> u32 {
        self.refunds.remove(&job).unwrap_or_default()
    }
}
