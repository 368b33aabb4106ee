//! Finds done jobs whose files have changed since their calls.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::error::{Result, doing};
use super::read;
use super::values::path_from_sql;
use super::writer::Store;
use crate::job::{FileName, FileStamp};
use crate::settings::Call;

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
    // A worker reads the files itself, so stride has no stamps of them.
    let call: Call = read::json(connection, "SELECT call FROM run")?;
    let has_workers = call.has_workers();
    let mut read = || -> rusqlite::Result<bool> {
        let mut statement = connection.prepare(
            "SELECT result.job, path, source_size, source_modified, coalesce(input, path), ended
             FROM result JOIN work ON work.job = result.job JOIN job ON job.id = result.job
                         JOIN attempt ON attempt.job = result.job AND (attempt.number = result.attempt OR attempt.number IN
                                         (SELECT attempt FROM step_answer WHERE step_answer.job = result.job))
                         LEFT JOIN columns ON columns.job = result.job
             WHERE state = 2 AND (source_size IS NOT NULL OR ?1) ORDER BY result.job",
        )?;
        let mut rows = statement.query([has_workers])?;
        // Several requests of a job may have read its file.
        let mut latest = None;
        while let Some(row) = rows.next()? {
            if !goes_on() {
                return Ok(false);
            }
            let name = path_from_sql(row, 1)?;
            let file = path_from_sql(row, 4)?;
            let Ok(now) = fs::metadata(base.join(file.as_path())) else {
                continue;
            };
            let is_changed = match (row.get(2)?, row.get(3)?) {
                (Some(size), Some(modified)) => {
                    !FileStamp::of(&now).is_same(&FileStamp { size, modified })
                }
                _ => now.is_file() && FileStamp::of(&now).is_after(row.get(5)?),
            };
            let job: i64 = row.get(0)?;
            if is_changed && latest != Some(job) {
                latest = Some(job);
                found(job, name);
            }
        }
        Ok(true)
    };
    read().map_err(doing("looking for changed files"))
}
