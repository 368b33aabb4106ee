//! Makes failed and held jobs pending again.

use rusqlite::{Row, params_from_iter};

use super::causes;
use super::counts::{add_counts, read_counts};
use super::error::Result;
use super::filter::Filter;
use super::identity;
use super::owner;
use super::redo::Redone;
use super::statement::{all, execute};
use super::values::{shift, state_from_sql};
use super::writer::Store;
use crate::job::{FileName, JobState};

const REQUEUING: &str = "making files pending";

/// Makes jobs pending. A condition follows.
const PENDING: &str = "UPDATE work SET state = 0, charged = 0, crashes = 0, failed_before = failed_before OR state = 3 AND EXISTS (
     SELECT 1 FROM attempt WHERE attempt.job = work.job AND number = attempts AND class IN ('transient', 'throttled'))";

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
            "{PENDING}
             WHERE job IN (
                 SELECT work.job FROM work JOIN job ON job.id = work.job
                                      JOIN attempt ON attempt.job = work.job AND attempt.number = work.attempts
                 WHERE {})",
            selected.sql
        );
        let values = params_from_iter(selected.values);
        let moved = execute(&transaction, &sql, values, REQUEUING)? as u64;
        shift(&mut counts, from, JobState::Pending, moved)?;
        add_counts(&transaction, &before, &counts)?;
        owner::commit(transaction, REQUEUING)?;
        self.counts = counts;
        Ok(moved)
    }

    /// Does the same for the failed and held jobs with these names. Changes nothing if a name is unknown, or if none of
    /// the jobs has failed or is held.
    ///
    /// # Errors
    ///
    /// The database cannot be written; then nothing was changed.
    pub fn requeue_named(&mut self, names: &[FileName]) -> Result<Redone> {
        let transaction = self.owner.begin(&self.connection)?;
        let before = read_counts(&transaction)?;
        let (mut counts, mut requeued) = (before, Redone::default());
        let mut jobs = Vec::new();
        for name in names {
            let read = |row: &Row<'_>| Ok((row.get::<_, i64>(0)?, state_from_sql(row.get(1)?)?));
            let job = identity::named(&transaction, name)?;
            let sql = "SELECT job, state FROM work WHERE job = ?1";
            let found = all(&transaction, sql, [job], REQUEUING, read)?;
            match found.first() {
                None => requeued.unknown.push(name.clone()),
                Some((job, state @ (JobState::Failed | JobState::Held))) => {
                    jobs.push((*job, *state));
                }
                Some((_, state)) => requeued.others.push((name.clone(), *state)),
            }
        }
        if !requeued.unknown.is_empty() {
            return Ok(requeued);
        }
        let pending = format!("{PENDING} WHERE job = ?1 AND state IN (3, 4)");
        for (job, state) in jobs {
            let moved = execute(&transaction, &pending, [job], REQUEUING)? as u64;
            shift(&mut counts, state, JobState::Pending, moved)?;
            requeued.changed += moved;
        }
        add_counts(&transaction, &before, &counts)?;
        owner::commit(transaction, REQUEUING)?;
        self.counts = counts;
        Ok(requeued)
    }
}
