//! Makes failed and held jobs pending again.

use rusqlite::params_from_iter;

use super::causes;
use super::counts::{add_counts, read_counts};
use super::error::Result;
use super::filter::Filter;
use super::owner;
use super::statement::execute;
use super::values::shift;
use super::writer::Store;
use crate::job::JobState;

impl Store {
    /// Makes the jobs that `filter` selects pending and resets their retry and crash counts. Returns the number of jobs.
    /// Recorded attempts are kept.
    ///
    /// # Errors
    ///
    /// The database cannot be written; then nothing was changed.
    pub fn requeue(&mut self, filter: &Filter) -> Result<u64> {
        let from = filter.from();
        causes::define(&self.connection)?;
        let transaction = self.owner.begin(&self.connection)?;
        let before = read_counts(&transaction)?;
        let mut counts = before;
        let selected = filter.conditions();
        let sql = format!(
            "UPDATE work SET state = 0, charged = 0, crashes = 0, failed_before = failed_before OR state = 3 AND EXISTS (
                 SELECT 1 FROM attempt WHERE attempt.job = work.job AND number = attempts AND class IN ('transient', 'throttled'))
             WHERE job IN (
                 SELECT work.job FROM work JOIN job ON job.id = work.job
                                      JOIN attempt ON attempt.job = work.job AND attempt.number = work.attempts
                 WHERE {})",
            selected.sql
        );
        let values = params_from_iter(selected.values);
        let moved = execute(&transaction, &sql, values, "making files pending")? as u64;
        shift(&mut counts, from, JobState::Pending, moved)?;
        add_counts(&transaction, &before, &counts)?;
        owner::commit(transaction, "making files pending")?;
        self.counts = counts;
        Ok(moved)
    }
}
