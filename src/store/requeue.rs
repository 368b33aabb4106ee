//! Makes failed and held jobs pending again.

use rusqlite::{Connection, Row, params_from_iter};

use super::causes;
use super::counts::{add_counts, read_counts};
use super::error::Result;
use super::filter::Filter;
use super::forget::choose_none;
use super::identity;
use super::owner;
use super::redo::Redone;
use super::statement::{all, execute};
use super::system::now;
use super::values::{shift, state_from_sql, state_to_sql};
use super::writer::Store;
use crate::event::Counts;
use crate::job::{FileName, JobState};

const REQUEUING: &str = "making files pending";

/// Selects the chosen jobs whose handle is worth nothing, so that they begin at the first step again: the service has ended
/// the work as failed, or no longer knows it although it has answered a poll of it. All others go on at their step.
const ANEW: &str = "WHERE job IN (
     SELECT chosen.job FROM chosen JOIN work ON work.job = chosen.job
                       JOIN attempt ON attempt.job = work.job AND attempt.number = work.attempts
     WHERE kind = 'job_failed' OR kind = 'expired' AND (polls > 1 OR EXISTS (
         SELECT 1 FROM attempt AS earlier
         WHERE earlier.job = attempt.job AND earlier.step = attempt.step AND earlier.number < attempt.number
               AND (earlier.outcome = 'not_ready' OR earlier.polls > 1)
               AND earlier.number > (SELECT max(step_answer.attempt) FROM step_answer WHERE step_answer.job = attempt.job))))";

/// Makes the chosen jobs pending. Those that failed by a definite answer get a new key: some services repeat the answer
/// that they have stored under the old one.
const PENDING: &str = "UPDATE work SET state = 0, charged = 0, crashes = 0, failed_before = failed_before OR state = 3 AND EXISTS (
     SELECT 1 FROM attempt WHERE attempt.job = work.job AND number = attempts AND class IN ('transient', 'throttled')),
     generation = generation + (state = 3 AND EXISTS (
     SELECT 1 FROM attempt WHERE attempt.job = work.job AND number = attempts AND class = 'transient'
                                 AND outcome = 'failed' AND status IS NOT 409))
     WHERE job IN (SELECT job FROM chosen)";

/// Lets those go on that have a next step, with all of the time for polls.
const WAITING: &str = "UPDATE work SET state = 6, not_before = ?1
     WHERE job IN (SELECT chosen.job FROM chosen JOIN progress ON progress.job = chosen.job)";
const FROM_NOW: &str =
    "UPDATE progress SET since = ?1, asked = 0 WHERE job IN (SELECT job FROM chosen)";

impl Store {
    /// Makes the jobs that `filter` selects pending, or waiting if their work at the service goes on, and resets their retry
    /// and crash counts. Returns the number of jobs.
    /// Recorded attempts are kept.
    ///
    /// # Errors
    ///
    /// The database cannot be written; then nothing was changed.
    pub fn requeue(&mut self, filter: &Filter) -> Result<u64> {
        self.requeue_from(filter, false)
    }

    /// As [`Store::requeue`], but from the first step on: what the service has begun is submitted anew.
    ///
    /// # Errors
    ///
    /// As [`Store::requeue`].
    pub fn requeue_anew(&mut self, filter: &Filter) -> Result<u64> {
        self.requeue_from(filter, true)
    }

    fn requeue_from(&mut self, filter: &Filter, anew: bool) -> Result<u64> {
        causes::define(&self.connection)?;
        let transaction = self.owner.begin(&self.connection)?;
        let before = read_counts(&transaction)?;
        let mut counts = before;
        let selected = filter.conditions();
        choose_none(&transaction)?;
        let sql = format!(
            "INSERT INTO chosen SELECT work.job FROM work JOIN job ON job.id = work.job
                    JOIN attempt ON attempt.job = work.job AND attempt.number = work.attempts
             WHERE {}",
            selected.sql
        );
        let values = params_from_iter(selected.values);
        execute(&transaction, &sql, values, REQUEUING)?;
        let moved = make_pending(&transaction, &mut counts, anew)?;
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
        self.requeue_names(names, false)
    }

    /// As [`Store::requeue_named`], but from the first step on.
    ///
    /// # Errors
    ///
    /// As [`Store::requeue`].
    pub fn requeue_named_anew(&mut self, names: &[FileName]) -> Result<Redone> {
        self.requeue_names(names, true)
    }

    fn requeue_names(&mut self, names: &[FileName], anew: bool) -> Result<Redone> {
        let transaction = self.owner.begin(&self.connection)?;
        let before = read_counts(&transaction)?;
        let (mut counts, mut requeued) = (before, Redone::default());
        choose_none(&transaction)?;
        for name in names {
            let read = |row: &Row<'_>| Ok((row.get::<_, i64>(0)?, state_from_sql(row.get(1)?)?));
            let job = identity::named(&transaction, name)?;
            let sql = "SELECT job, state FROM work WHERE job = ?1";
            let found = all(&transaction, sql, [job], REQUEUING, read)?;
            match found.first() {
                None => requeued.unknown.push(name.clone()),
                Some((job, JobState::Failed | JobState::Held)) => {
                    let sql = "INSERT OR IGNORE INTO chosen VALUES (?1)";
                    execute(&transaction, sql, [*job], REQUEUING)?;
                }
                Some((_, state)) => requeued.others.push((name.clone(), *state)),
            }
        }
        if !requeued.unknown.is_empty() {
            return Ok(requeued);
        }
        requeued.changed = make_pending(&transaction, &mut counts, anew)?;
        add_counts(&transaction, &before, &counts)?;
        owner::commit(transaction, REQUEUING)?;
        self.counts = counts;
        Ok(requeued)
    }
}

/// Makes the chosen jobs, which have failed or are held, pending or waiting. Returns their number.
fn make_pending(connection: &Connection, counts: &mut Counts, anew: bool) -> Result<u64> {
    for state in [JobState::Failed, JobState::Held] {
        let sql = "SELECT count(*) FROM chosen JOIN work ON work.job = chosen.job WHERE state = ?1";
        let read = |row: &Row<'_>| row.get::<_, u64>(0);
        let jobs = all(connection, sql, [state_to_sql(state)], REQUEUING, read)?;
        shift(counts, state, JobState::Pending, jobs.into_iter().sum())?;
    }
    for begin in [
        "DELETE FROM step_answer",
        "DELETE FROM progress",
        "UPDATE work SET lane = NULL",
    ] {
        let which = match anew {
            true => "WHERE job IN (SELECT job FROM chosen)",
            false => ANEW,
        };
        let sql = [begin, which].join(" ");
        execute(connection, &sql, [], REQUEUING)?;
    }
    let moved = execute(connection, PENDING, [], REQUEUING)? as u64;
    let now = [now()];
    let waiting = execute(connection, WAITING, now, REQUEUING)? as u64;
    execute(connection, FROM_NOW, now, REQUEUING)?;
    shift(counts, JobState::Pending, JobState::Waiting, waiting)?;
    Ok(moved)
}
