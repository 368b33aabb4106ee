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
    /// Its next call comes from the due jobs: the job is between two steps, or is bound to a lane.
    pub(super) is_waiting: bool,
    pub(super) failed_before: bool,
    pub(super) cause: SharedCause,
    /// The lane of its call.
    pub(super) lane: usize,
    pub(super) message: String,
}

#[derive(Debug, Default)]
pub(super) struct Quarantine {
    jobs: Vec<Quarantined>,
    ids: HashSet<JobId>,
    /// Jobs with a charge that an outage may have caused and the lanes of their calls, once for each charge.
    charged: Vec<(JobId, usize)>,
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
        self.contains(job) || self.charged.iter().any(|(charged, _)| *charged == job)
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

    /// Removes and returns the jobs whose causes calls of a lane have cleared: they are at fault themselves.
    pub(super) fn release_at_fault(
        &mut self,
        lane: usize,
        cleared: impl Fn(SharedCause) -> bool,
    ) -> Vec<Quarantined> {
        if cleared(SharedCause::Outage) {
            self.charged.retain(|(_, of)| *of != lane);
        }
        self.release(|cause, of| cleared(cause) && (cause.is_of_run() || of == lane))
    }

    /// Removes and returns all jobs with one of these causes.
    pub(super) fn release_all(
        &mut self,
        is_released: impl Fn(SharedCause) -> bool,
    ) -> Vec<Quarantined> {
        self.charged.clear();
        self.release(|cause, _| is_released(cause))
    }

    /// Removes the jobs that failed in an outage of a lane, to be called again. Returns them, and the jobs to refund.
    pub(super) fn excuse(&mut self, lane: usize) -> (Vec<Quarantined>, Vec<JobId>) {
        let excused = self.release(|cause, of| cause == SharedCause::Outage && of == lane);
        let charged = self.charged.extract_if(.., |(_, of)| *of == lane);
        (excused, charged.map(|(job, _)| job).collect())
    }

    /// Removes the jobs that a lane has refused, because it has stopped, to be called in another.
    pub(super) fn release_lane(&mut self, lane: usize) -> Vec<Quarantined> {
        self.charged.retain(|(_, of)| *of != lane);
        self.release(|cause, of| !cause.is_of_run() && of == lane)
    }

    fn release(&mut self, is_released: impl Fn(SharedCause, usize) -> bool) -> Vec<Quarantined> {
        let is_released = |held: &mut Quarantined| is_released(held.cause, held.lane);
        let released: Vec<Quarantined> = self.jobs.extract_if(.., is_released).collect();
        for held in &released {
            self.ids.remove(&held.attempt.job);
        }
        released
    }

    /// Records a charge that an outage may have caused.
    pub(super) fn note_charged(&mut self, job: JobId, lane: usize) {
        self.charged.push((job, lane));
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
