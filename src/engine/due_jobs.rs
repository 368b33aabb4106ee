//! Waiting jobs whose next step is due, read from the store in pages, so that waiting jobs take no memory.

use std::collections::VecDeque;
use std::time::Duration;

use super::quarantine::Quarantine;
use crate::job::JobId;
use crate::store::{Group, StoreError};

/// Number of jobs to read in a page.
const PAGE: usize = 1024;

#[derive(Debug)]
pub(super) struct DueJobs {
    /// Due jobs, the earliest first.
    page: VecDeque<JobId>,
    /// The moment to read the next page; `None` if no job waits.
    next: Option<Duration>,
}

impl Default for DueJobs {
    fn default() -> Self {
        Self {
            page: VecDeque::new(),
            next: Some(Duration::ZERO),
        }
    }
}

impl DueJobs {
    /// Notes that a job waits until `due`.
    pub(super) fn note(&mut self, due: Duration) {
        self.next = Some(self.next.map_or(due, |next| next.min(due)));
    }

    /// Returns the moment of the first step that is due. `None` if no job waits.
    pub(super) fn next(&self) -> Option<Duration> {
        match self.page.is_empty() {
            true => self.next,
            false => Some(Duration::ZERO),
        }
    }

    /// Returns the next due job that is not quarantined, and removes it from the page.
    pub(super) fn take(
        &mut self,
        group: &Group<'_>,
        quarantine: &Quarantine,
        longest: Duration,
        now: Duration,
    ) -> Result<Option<JobId>, StoreError> {
        if self.page.is_empty() && self.next.is_some_and(|next| next <= now) {
            // Quarantined jobs stay due.
            let most = PAGE + quarantine.len() as usize;
            let due = group.due(0, most, longest)?;
            self.next = due.next.map(|wait| now + wait);
            self.page.extend(due.jobs);
        }
        while let Some(job) = self.page.pop_front() {
            if !quarantine.contains(job) {
                return Ok(Some(job));
            }
        }
        Ok(None)
    }
}
