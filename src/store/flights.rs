//! The calls that are in flight.

use super::connection::doing;
use super::error::Result;
use super::{Reader, path_from_sql};
use crate::job::FileName;

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
                "SELECT job.path, attempt.started FROM job JOIN attempt ON attempt.job = job.id AND attempt.number = job.attempts
                 WHERE job.state = 1 AND job.state <> 2 ORDER BY attempt.started, job.position LIMIT ?1",
            )
            .and_then(|mut statement| {
                let rows = statement.query_map([most], |row| Ok((path_from_sql(row, 0)?, row.get(1)?)))?;
                rows.collect()
            })
            .map_err(doing("reading what is in flight"))
    }
}
