//! Draws a random sample of jobs.

use super::error::{Result, doing};
use super::values::path_from_sql;
use super::writer::Store;
use crate::job::FileName;

impl Store {
    /// Draws up to `most` pending jobs at random and returns their names, in list order. From now on this runner is
    /// offered only these; the database does not change.
    ///
    /// # Errors
    ///
    /// The database cannot be read.
    pub fn draw(&mut self, most: u32) -> Result<Vec<FileName>> {
        let draw = || -> rusqlite::Result<Vec<FileName>> {
            self.connection.execute_batch(
                "CREATE TEMP TABLE IF NOT EXISTS drawn (job INTEGER PRIMARY KEY); DELETE FROM drawn;",
            )?;
            self.connection.execute(
                "INSERT INTO drawn SELECT job FROM work WHERE state = 0 AND state <> 2 ORDER BY random() LIMIT ?1",
                [most],
            )?;
            let mut statement = self.connection.prepare(
                "SELECT path FROM drawn JOIN job ON job.id = drawn.job ORDER BY drawn.job",
            )?;
            let names = statement.query_map([], |row| path_from_sql(row, 0))?;
            names.collect()
        };
        let names = draw().map_err(doing("drawing files"))?;
        self.has_drawn = true;
        Ok(names)
    }
}
