//! Waiting jobs whose next step is due, and with a pool all jobs that are bound to a lane. They are read from the store in
//! pages, so that waiting jobs take no memory. Those whose next step only reads are apart, because a throttle of the others
//! does not delay them.

use std::collections::VecDeque;
use std::time::Duration;

use super::quarantine::Quarantine;
use crate::job::JobId;
use crate::store::{Group, StoreError};

/// Number of jobs to read in a page.
const PAGE: usize = 1024;

#[derive(Debug)]
pub(super) struct DueJobs {
    /// Due jobs, the earliest first: those whose next step changes something, and those whose next step only reads.
    due: [VecDeque<JobId>; 2],
    /// The moment to read the next page; `None` if no job waits beyond these.
    next: Option<Duration>,
}

impl Default for DueJobs {
    fn default() -> Self {
        Self {
            due: Default::default(),
            next: Some(Duration::ZERO),
        }
    }
}

impl DueJobs {
    /// Forgets all jobs.
    pub(super) fn end(&mut self) {
        self.due = Default::default();
        self.next = None;
    }

    /// Notes that a job waits until `due`.
    pub(super) fn note(&mut self, due: Duration) {
        self.next = Some(self.next.map_or(due, |next| next.min(due)));
    }

    /// Returns the moment at which the next job is due, of either kind. `None` if no job waits.
    pub(super) fn next(&self) -> Option<Duration> {
        match self.due.iter().all(VecDeque::is_empty) {
            true => self.next,
            false => Some(Duration::ZERO),
        }
    }

    /// Returns the moment at which a further page has to be read.
    pub(super) fn next_page(&self) -> Option<Duration> {
        self.next
    }

    /// Returns true if a job of this kind may be due.
    pub(super) fn has(&self, reads: bool, now: Duration) -> bool {
        !self.due[usize::from(reads)].is_empty() || self.next.is_some_and(|next| next <= now)
    }

    /// Puts a job of this kind back that was taken and not called.
    pub(super) fn put_first(&mut self, reads: bool, job: JobId) {
        self.due[usize::from(reads)].push_front(job);
    }

    /// Returns the next due job of this kind that is not quarantined, and removes it.
    pub(super) fn take(
        &mut self,
        (lane, reads): (usize, bool),
        group: &Group<'_>,
        quarantine: &Quarantine,
        longest: Duration,
        now: Duration,
    ) -> Result<Option<JobId>, StoreError> {
        let kind = usize::from(reads);
        if self.due[kind].is_empty() && self.next.is_some_and(|next| next <= now) {
            // Those in quarantine and those of the other kind stay due.
            let most = PAGE + quarantine.len() as usize + self.due[1 - kind].len();
            let due = group.due(lane, most, longest)?;
            self.next = due.next.map(|wait| now + wait);
            self.due = Default::default();
            for (job, reads) in due.jobs {
                if !quarantine.contains(job) {
                    self.due[usize::from(reads)].push_back(job);
                }
            }
        }
        while let Some(job) = self.due[kind].pop_front() {
            if !quarantine.contains(job) {
                return Ok(Some(job));
            }
        }
        Ok(None)
    }
}
