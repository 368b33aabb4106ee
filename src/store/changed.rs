//! Finds done jobs whose files have changed since their calls.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::error::{Result, doing};
use super::values::path_from_sql;
use super::writer::Store;
use crate::job::{FileName, FileStamp};

/// Done jobs whose files have changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changed {
    /// Number of jobs.
    pub files: u64,
    /// The first of them, at most [`Changed::EXAMPLES`].
    pub examples: Vec<FileName>,
    /// All done jobs were looked at.
    pub is_whole: bool,
}

impl Changed {
    /// Most examples.
    pub const EXAMPLES: usize = 3;
}

impl Store {
    /// Looks at the files of done jobs, in list order and for about `most` at longest, because a disk may be slow. Missing
    /// files have not changed.
    ///
    /// # Errors
    ///
    /// The database cannot be read.
    pub fn changed_files(&self, most: Duration) -> Result<Changed> {
        let end = Instant::now() + most;
        let (mut files, mut examples) = (0, Vec::new());
        let mut found = |_, name| {
            files += 1;
            if examples.len() < Changed::EXAMPLES {
                examples.push(name);
            }
        };
        let goes_on = || Instant::now() < end;
        let is_whole = each(&self.connection, &self.base, &mut found, &goes_on)?;
        Ok(Changed {
            files,
            examples,
            is_whole,
        })
    }
}

/// Returns the done jobs whose files have changed.
pub(super) fn changed(connection: &Connection, base: &Path) -> Result<Vec<i64>> {
    let mut jobs = Vec::new();
    each(connection, base, &mut |job, _| jobs.push(job), &|| true)?;
    Ok(jobs)
}

/// Passes on the done jobs whose files have changed, as long as `goes_on`. Returns true if it came to the end.
fn each(
    connection: &Connection,
    base: &Path,
    found: &mut dyn FnMut(i64, FileName),
    goes_on: &dyn Fn() -> bool,
) -> Result<bool> {
    let mut read = || -> rusqlite::Result<bool> {
        let mut statement = connection.prepare(
            "SELECT result.job, path, source_size, source_modified, coalesce(input, path)
             FROM result JOIN work ON work.job = result.job JOIN job ON job.id = result.job
                         JOIN attempt ON attempt.job = result.job AND attempt.number = result.attempt
                         LEFT JOIN columns ON columns.job = result.job
             WHERE state = 2 AND source_size IS NOT NULL ORDER BY result.job",
        )?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            if !goes_on() {
                return Ok(false);
            }
            let name = path_from_sql(row, 1)?;
            let (size, modified) = (row.get(2)?, row.get(3)?);
            let sent = FileStamp { size, modified };
            let file = path_from_sql(row, 4)?;
            let now = fs::metadata(base.join(file.as_path()));
            if now.is_ok_and(|meta| !FileStamp::of(&meta).is_same(&sent)) {
                found(row.get(0)?, name);
            }
        }
        Ok(true)
    };
    read().map_err(doing("looking for changed files"))
}
