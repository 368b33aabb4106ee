//! The calls that are in flight, and those in flight at a death.

use super::error::{Result, doing};
use super::reader::Reader;
use super::values::path_from_sql;
use crate::job::FileName;
use crate::retry::MAY_KILL;

// The index on such jobs states the number, and SQLite uses it only where the query states the same.
const _: () = assert!(MAY_KILL == 2);

impl Reader {
    /// The calls in flight that began first, at most so many: the files' names, and when each began, in milliseconds
    /// since 1970.
    ///
    /// # Errors
    ///
    /// The database cannot be read.
    pub fn in_flight(&self, most: usize) -> Result<Vec<(FileName, i64)>> {
        self.connection()
            .prepare(
                "SELECT job.path, attempt.started FROM work JOIN job ON job.id = work.job
                 JOIN attempt ON attempt.job = work.job AND attempt.number = work.attempts
                 WHERE work.state = 1 AND work.state <> 2 ORDER BY attempt.started, work.job LIMIT ?1",
            )
            .and_then(|mut statement| {
                let rows = statement.query_map([most], |row| Ok((path_from_sql(row, 0)?, row.get(1)?)))?;
                rows.collect()
            })
            .map_err(doing("reading what is in flight"))
    }

    /// Returns the jobs that may be what kills their process, in list order, at most so many, and how often each was
    /// alone in flight when its process died. Jobs that are done or have failed are left out.
    ///
    /// # Errors
    ///
    /// The database cannot be read.
    pub fn may_kill(&self, most: usize) -> Result<Vec<(FileName, u32)>> {
        self.connection()
            .prepare(
                "SELECT path, crashes FROM work JOIN job ON job.id = work.job
                 WHERE crashes >= 2 AND state IN (0, 1, 4) ORDER BY work.job LIMIT ?1",
            )
            .and_then(|mut statement| {
                let rows =
                    statement.query_map([most], |row| Ok((path_from_sql(row, 0)?, row.get(1)?)))?;
                rows.collect()
            })
            .map_err(doing("reading which files may kill their process"))
    }
}
