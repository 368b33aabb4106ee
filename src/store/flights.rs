//! Reads calls in flight and in doubt, and jobs whose calls may crash stride.

use super::error::Result;
use super::reader::Reader;
use super::statement::{all, value};
use super::values::path_from_sql;
use super::writer::Store;
use crate::job::FileName;
use crate::retry::MAY_KILL;

// The query of `may_kill` repeats the condition of the partial index `work_may_kill`, because SQLite uses the index
// only then.
const _: () = assert!(MAY_KILL == 2);

impl Reader {
    /// Returns the oldest calls in flight, at most `most`: the names and the starts, in milliseconds since 1970.
    ///
    /// # Errors
    ///
    /// The database cannot be read.
    pub fn in_flight(&self, most: usize) -> Result<Vec<(FileName, i64)>> {
        // The second condition is that of the partial index `work_open`, which SQLite uses only if it is repeated.
        let sql =
            "SELECT job.path, coalesce(polled, started) FROM work JOIN job ON job.id = work.job
                   JOIN attempt ON attempt.job = work.job AND attempt.number = work.attempts
                   WHERE work.state = 1 AND work.state <> 2 ORDER BY 2, work.job LIMIT ?1";
        let what = "reading the calls in flight";
        all(self.connection(), sql, [most], what, |row| {
            Ok((path_from_sql(row, 0)?, row.get(1)?))
        })
    }

    /// Returns the moment at which the first waiting job goes on, in milliseconds since 1970.
    ///
    /// # Errors
    ///
    /// The database cannot be read.
    pub fn next_due(&self) -> Result<Option<i64>> {
        let sql = "SELECT min(not_before) FROM work WHERE state = 6";
        value(self.connection(), sql, "reading the waiting files")
    }

    /// Returns at most `most` jobs whose calls may crash stride, in list order, each with its number of crashes.
    /// Returns only pending, waiting, running and held jobs.
    ///
    /// # Errors
    ///
    /// The database cannot be read.
    pub fn may_kill(&self, most: usize) -> Result<Vec<(FileName, u32)>> {
        let sql = "SELECT path, crashes FROM work JOIN job ON job.id = work.job
                   WHERE crashes >= 2 AND state IN (0, 1, 4, 6) ORDER BY work.job LIMIT ?1";
        let what = "reading the files that may kill their process";
        all(self.connection(), sql, [most], what, |row| {
            Ok((path_from_sql(row, 0)?, row.get(1)?))
        })
    }
}

impl Store {
    /// Returns the pending jobs whose last call is in doubt, in list order.
    ///
    /// # Errors
    ///
    /// The database cannot be read.
    pub fn left_in_doubt(&self) -> Result<Vec<FileName>> {
        // Most runs have none, and need no walk over their pending jobs.
        if self.counts().in_doubt == 0 {
            return Ok(Vec::new());
        }
        let sql = "SELECT path FROM work JOIN job ON job.id = work.job
                   JOIN attempt ON attempt.job = work.job AND attempt.number = work.attempts
                   WHERE state = 0 AND state <> 2 AND attempts > 0 AND outcome = 'in_doubt' ORDER BY work.job";
        let what = "reading the calls in doubt";
        all(&self.connection, sql, [], what, |row| path_from_sql(row, 0))
    }
}
