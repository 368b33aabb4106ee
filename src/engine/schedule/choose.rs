//! Chooses jobs: those whose next step is due, and then new ones.

use std::time::Duration;

use super::{Decision, Schedule, earliest};
use crate::engine::strided_queue::NextJob;
use crate::governor::{Rules, Spot};
use crate::job::{Columns, JobId, Position};
use crate::limits::Cost;
use crate::store::{Group, StoreError};

/// Due jobs among which a spot check looks for one that has not failed.
const SPOTS: usize = 1000;

impl Schedule {
    /// Chooses the next job whose step writes: one that is due, or else a new one. `Err` is the decision if no job can be
    /// called.
    pub(super) fn choose(
        &mut self,
        group: &Group<'_>,
        slot: usize,
        in_flight: usize,
        now: Duration,
    ) -> Result<Result<(JobId, Cost), Decision>, StoreError> {
        let (quarantine, longest) = (&self.quarantine, self.longest_poll);
        // With a pool, these jobs are bound to lanes.
        if !self.has_pool()
            && let Some(job) = self.due_jobs[0].take((0, false), group, quarantine, longest, now)?
        {
            // A later step does not send the file.
            return Ok(Ok((job, Cost::default())));
        }
        let due = match self.has_pool() {
            true => None,
            false => earliest(self.reads_from, self.due_jobs[0].next_page()),
        };
        let waits = self.next_due().is_some();
        // If nothing else can happen, the limit must not stop the run.
        if let Some(files) = self.is_full(group).filter(|_| waits || in_flight > 0) {
            self.full = Some(files);
            self.has_new = false;
            return Ok(Err(Decision::Wait(due)));
        }
        if !std::mem::replace(&mut self.has_waiting_alone, true) {
            for offer in group.waiting_alone(longest)? {
                (self.queue).put_alone(offer.job, offer.crashes, now + offer.wait);
            }
        }
        let next = self.next_job(group, slot, now)?;
        self.has_new = !matches!(next, NextJob::Empty);
        Ok(match next {
            NextJob::Job(job) => Ok((job, self.cost(group, job)?)),
            NextJob::Alone(job) if in_flight == 0 => {
                self.queue.take_alone();
                Ok((job, self.cost(group, job)?))
            }
            NextJob::Alone(_) => Err(Decision::Wait(None)),
            NextJob::Wait(pending) => Err(Decision::Wait(earliest(Some(pending), due))),
            NextJob::Empty | NextJob::NeedPage(_) => Err(match waits {
                true => Decision::Wait(due),
                false => Decision::Nothing,
            }),
        })
    }

    /// Returns how many jobs may be submitted and unfinished, if there are as many. Until a later step was answered well, they
    /// are few, because a mistake in its request would cost all submissions.
    fn is_full(&self, group: &Group<'_>) -> Option<u64> {
        let counts = group.counts();
        let first = (!self.is_proven && counts.waiting > 0).then_some(Rules::BAD_REQUEST);
        let most = self.max_submitted.into_iter().chain(first).min()?;
        (counts.waiting + counts.running >= most).then_some(most)
    }

    /// Returns a slot's next job, skipping quarantined ones and reading pages as needed.
    fn next_job(
        &mut self,
        group: &Group<'_>,
        slot: usize,
        now: Duration,
    ) -> Result<NextJob, StoreError> {
        loop {
            match self.queue.next(slot, now) {
                NextJob::Job(job) if self.quarantine.contains(job) => {}
                NextJob::Alone(job) if self.quarantine.contains(job) => {
                    self.queue.take_alone();
                }
                NextJob::NeedPage(from) => {
                    let limit = self.queue.page_size();
                    let page = group.offer(from, limit, self.longest_wait)?;
                    (self.queue).add_page(from, &page, page.len() == limit, now);
                }
                next => return Ok(next),
            }
        }
    }

    /// Finds a job elsewhere in the list that has not failed, and the charge of its call: a pending one, or else one whose
    /// next step is due. For a mere read, only one of those that read.
    pub(super) fn elsewhere(
        &self,
        group: &Group<'_>,
        lane: usize,
        reads: bool,
        spot: Spot,
    ) -> Result<Option<(JobId, Cost)>, StoreError> {
        let fresh = |jobs: Vec<JobId>| {
            let mut jobs = jobs.into_iter();
            jobs.find(|job| !self.quarantine.has_failed(*job))
        };
        let first = |from| Ok::<_, StoreError>(fresh(group.elsewhere(from)?));
        let found = match spot {
            _ if reads => None,
            Spot::Last => first(None)?,
            Spot::Random => {
                let from = Position(fastrand::u64(..self.jobs.max(1)));
                match first(Some(from))? {
                    None => first(Some(Position(0)))?,
                    found => found,
                }
            }
        };
        if let Some(job) = found {
            return Ok(Some((job, self.cost(group, job)?)));
        }
        let due = group.due(lane, SPOTS, self.longest_poll)?.jobs.into_iter();
        let due = due.filter(|(_, is_read)| *is_read || !reads);
        let found = fresh(due.map(|(job, _)| job).collect());
        Ok(found.map(|job| (job, Cost::default())))
    }

    /// Returns what a call charges to the rates. If stat fails, charges one call and zero bytes; the call itself will
    /// report the error.
    ///
    /// Only runs with a rate in bytes or weights look at files here, in the writer's transaction. A file system that hangs
    /// delays the recording of such a run. Its calls that read the file hang as well.
    pub(super) fn cost(&self, group: &Group<'_>, job: JobId) -> Result<Cost, StoreError> {
        if !self.governor.needs_size() {
            return Ok(Cost::default());
        }
        let size = std::fs::metadata(group.file(job)?).map_or(0, |meta| meta.len());
        let weight = match &self.weight {
            None => 0,
            Some(weight) if weight.columns().is_empty() => weight.of(size, Columns::NONE),
            Some(weight) => weight.of(size, &group.columns(job)?),
        };
        Ok(Cost {
            calls: 1,
            bytes: size,
            weight,
        })
    }
}
