//! Making failed and held jobs pending again. Done jobs are out of its reach.

use super::causes;
use super::counts::add_counts;
use super::error::{Result, doing};
use super::filter::Filter;
use super::owner;
use super::values::shift;
use super::writer::Store;
use crate::job::JobState;

impl Store {
    /// Makes the jobs that `filter` chooses pending, with all their retries before them. What was tried stays
    /// recorded. Returns how many there were.
    ///
    /// # Errors
    ///
    /// The database cannot be written; then nothing was changed.
    pub fn requeue(&mut self, filter: &Filter) -> Result<u64> {
        let mut counts = self.counts;
        let from = filter.from();
        causes::define(&self.connection)?;
        let transaction = self.owner.begin(&self.connection)?;
        let sql = format!(
            "UPDATE work SET state = 0, charged = 0, crashes = 0, failed_before = failed_before OR state = 3 AND EXISTS (
                 SELECT 1 FROM attempt WHERE attempt.job = work.job AND number = attempts AND class IN ('transient', 'throttled'))
             WHERE job IN (
                 SELECT work.job FROM work JOIN job ON job.id = work.job
                                      JOIN attempt ON attempt.job = work.job AND attempt.number = work.attempts
                 WHERE {})",
            Filter::condition()
        );
        let values = filter.values();
        let values = values.each_ref().map(|(name, value)| (*name, &**value));
        let moved = transaction
            .execute(&sql, &values[..])
            .map_err(doing("making jobs pending"))? as u64;
        shift(&mut counts, from, JobState::Pending, moved)?;
        add_counts(&transaction, &self.counts, &counts)?;
        owner::commit(transaction, "making jobs pending")?;
        self.counts = counts;
        Ok(moved)
    }
}
