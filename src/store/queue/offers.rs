//! Finds the jobs to call next.

use std::time::Duration;

use rusqlite::{Row, params};

use super::Group;
use crate::job::{JobId, Position};
use crate::retry::MAY_KILL;
use crate::store::error::Result;
use crate::store::progress;
use crate::store::statement::all;
use crate::store::types::{Due, Offer};
use crate::store::values::{milliseconds, position_of};

impl Group<'_> {
    /// Returns up to `limit` pending jobs from a place in the list on, in list order. Leaves out those that are
    /// bound to a lane, but for jobs that may kill their process. Cuts stored waits to `longest`, because the clock may have
    /// jumped since.
    ///
    /// # Errors
    ///
    /// The database cannot be read.
    pub fn offer(&self, from: Position, limit: usize, longest: Duration) -> Result<Vec<Offer>> {
        let sql = if self.has_drawn {
            "SELECT drawn.job, not_before, crashes FROM drawn CROSS JOIN work ON work.job = drawn.job
             WHERE state = 0 AND (lane IS NULL OR crashes >= 2) AND drawn.job >= ?1 ORDER BY drawn.job LIMIT ?2"
        } else {
            "SELECT job, not_before, crashes FROM work
             WHERE state = 0 AND state <> 2 AND (lane IS NULL OR crashes >= 2) AND job >= ?1 ORDER BY job LIMIT ?2"
        };
        let read = |row: &Row<'_>| self.read_offer(row, longest);
        let (values, what) = (params![from.0, limit], "reading pending files");
        all(&self.transaction, sql, values, what, read)
    }

    /// Returns up to `limit` waiting jobs that are due and do not crash their process, the earliest first. With a pool, those
    /// that are bound to this lane, pending ones too. If the first one waits longer than `longest`, the clock was set back:
    /// all are due then.
    ///
    /// # Errors
    ///
    /// The database cannot be read.
    pub fn due(&self, lane: usize, limit: usize, longest: Duration) -> Result<Due> {
        let due = self.due_by(lane, self.now, limit)?;
        match due.next {
            Some(next) if due.jobs.is_empty() && next > longest => {
                self.due_by(lane, i64::MAX, limit)
            }
            _ => Ok(due),
        }
    }

    fn due_by(&self, lane: usize, moment: i64, limit: usize) -> Result<Due> {
        let lane = self.lanes.get(lane).map(|lane| lane.number);
        let sql = match (self.has_drawn, lane) {
            (true, None) => {
                "SELECT drawn.job, not_before, (SELECT kind <> 'write' FROM progress WHERE progress.job = work.job) FROM drawn CROSS JOIN work ON work.job = drawn.job
                 WHERE state = 6 AND crashes < 2 AND not_before BETWEEN ?1 AND ?2 AND ?4 IS NULL ORDER BY not_before LIMIT ?3"
            }
            (false, None) => {
                "SELECT job, not_before, (SELECT kind <> 'write' FROM progress WHERE progress.job = work.job) FROM work
                 WHERE state = 6 AND crashes < 2 AND not_before BETWEEN ?1 AND ?2 AND ?4 IS NULL ORDER BY not_before LIMIT ?3"
            }
            (true, Some(_)) => {
                "SELECT drawn.job, coalesce(not_before, 0), (SELECT kind <> 'write' FROM progress WHERE progress.job = work.job) FROM drawn CROSS JOIN work ON work.job = drawn.job
                 WHERE lane = ?4 AND (state = 0 OR state = 6) AND crashes < 2
                       AND coalesce(not_before, 0) BETWEEN ?1 AND ?2 ORDER BY coalesce(not_before, 0) LIMIT ?3"
            }
            (false, Some(_)) => {
                "SELECT job, coalesce(not_before, 0), (SELECT kind <> 'write' FROM progress WHERE progress.job = work.job) FROM work
                 WHERE lane = ?4 AND lane IS NOT NULL AND (state = 0 OR state = 6) AND crashes < 2
                       AND coalesce(not_before, 0) BETWEEN ?1 AND ?2 ORDER BY coalesce(not_before, 0) LIMIT ?3"
            }
        };
        let read = |row: &Row<'_>| {
            let reads: Option<bool> = row.get(2)?;
            Ok(((JobId(row.get(0)?), reads == Some(true)), row.get(1)?))
        };
        let between = |first: i64, last: i64, limit: usize| {
            let values = params![first, last, limit, lane];
            all(
                &self.transaction,
                sql,
                values,
                "reading waiting files",
                read,
            )
        };
        let due: Vec<((JobId, bool), i64)> = between(i64::MIN, moment, limit)?;
        let next = match due.len() == limit {
            true => due.last().copied(),
            false => between(moment.saturating_add(1), i64::MAX, 1)?.pop(),
        };
        Ok(Due {
            jobs: due.into_iter().map(|(job, _)| job).collect(),
            next: next.map(|(_, moment)| milliseconds(moment.saturating_sub(self.now))),
        })
    }

    /// Returns the waiting jobs that may kill their process.
    ///
    /// # Errors
    ///
    /// The database cannot be read.
    pub fn waiting_alone(&self, longest: Duration) -> Result<Vec<Offer>> {
        let sql = progress::WAITING_ALONE;
        let read = |row: &Row<'_>| self.read_offer(row, longest);
        all(&self.transaction, sql, [], "reading waiting files", read)
    }

    fn read_offer(&self, row: &Row<'_>, longest: Duration) -> rusqlite::Result<Offer> {
        let job = JobId(row.get(0)?);
        let not_before: Option<i64> = row.get(1)?;
        let wait = not_before.map_or(0, |then| then.saturating_sub(self.now));
        Ok(Offer {
            job,
            position: position_of(job),
            wait: milliseconds(wait).min(longest),
            crashes: row.get(2)?,
        })
    }

    /// Returns up to a thousand pending jobs from a place in the list on, or from its end: first those that were never
    /// called, none that may kill its process or is bound to a lane.
    ///
    /// # Errors
    ///
    /// The database cannot be read.
    pub fn elsewhere(&self, from: Option<Position>) -> Result<Vec<JobId>> {
        let sql = match (self.has_drawn, from.is_some()) {
            (true, _) => {
                "SELECT drawn.job, attempts FROM drawn CROSS JOIN work ON work.job = drawn.job
                 WHERE state = 0 AND lane IS NULL AND crashes < ?2 AND drawn.job >= ?1 ORDER BY drawn.job DESC LIMIT 1000"
            }
            (false, true) => {
                "SELECT job, attempts FROM work
                 WHERE state = 0 AND state <> 2 AND lane IS NULL AND crashes < ?2 AND job >= ?1 ORDER BY job LIMIT 1000"
            }
            (false, false) => {
                "SELECT job, attempts FROM work
                 WHERE state = 0 AND state <> 2 AND lane IS NULL AND crashes < ?2 AND job >= ?1 ORDER BY job DESC LIMIT 1000"
            }
        };
        let values = params![from.map_or(0, |from| from.0), MAY_KILL];
        let read = |row: &Row<'_>| Ok((JobId(row.get(0)?), row.get::<_, u32>(1)? > 0));
        let mut found = all(
            &self.transaction,
            sql,
            values,
            "reading pending files",
            read,
        )?;
        found.sort_by_key(|(_, was_called)| *was_called);
        Ok(found.into_iter().map(|(job, _)| job).collect())
    }
}
