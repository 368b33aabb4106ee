//! Brings back results that were set aside, for jobs that got no new one.

use std::fs;
use std::path::Path;

use rusqlite::{Connection, Row};

use super::body::Filed;
use super::counts::{add_counts, read_counts};
use super::error::{Result, doing};
use super::identity;
use super::owner;
use super::progress;
use super::reader::Reader;
use super::statement::{all, execute, value};
use super::values::{shift, state_from_sql};
use super::writer::Store;
use crate::job::{FileName, JobId, JobState};

const RESTORING: &str = "bringing results back";

/// The outcome of [`Store::restore`]. Nothing was changed if there are unknown names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Restored {
    /// Number of jobs that are done again.
    pub changed: u64,
    /// Number of them whose result is from a request that the run had before.
    pub outdated: u64,
    /// Number of jobs whose earlier results are in files that are missing or changed.
    pub lost: u64,
    /// Names that the run does not have.
    pub unknown: Vec<FileName>,
    /// Jobs with these names that have a result or no earlier one, with their states.
    pub others: Vec<(FileName, JobState)>,
}

/// A result that was set aside, of a job that has none now and is not running.
struct Earlier {
    job: i64,
    attempt: i64,
    state: JobState,
    is_outdated: bool,
    is_usable: bool,
}

impl Reader {
    /// Returns the number of jobs for which [`Store::restore`] would bring a result back. Looks at sizes of files, and not
    /// at their bytes.
    ///
    /// # Errors
    ///
    /// The database cannot be read.
    pub fn restorable(&self) -> Result<u64> {
        let has_size = |filed: &Filed| {
            fs::metadata(filed.path.as_path()).is_ok_and(|meta| meta.len() == filed.size)
        };
        let latest = latest(self.connection(), self.base(), None, &has_size)?;
        Ok(latest.iter().filter(|earlier| earlier.is_usable).count() as u64)
    }
}

impl Store {
    /// Makes jobs done again with the latest usable result that was set aside: the pending, waiting, failed and held ones with
    /// these names, or all if there are no names. Keeps their attempts.
    ///
    /// # Errors
    ///
    /// The database cannot be written; then nothing was changed.
    pub fn restore(&mut self, names: &[FileName]) -> Result<Restored> {
        let transaction = self.owner.begin(&self.connection)?;
        let before = read_counts(&transaction)?;
        let (mut counts, mut restored) = (before, Restored::default());
        let is_whole = |filed: &Filed| filed.open().is_ok();
        let mut found = Vec::new();
        if names.is_empty() {
            found = latest(&transaction, &self.base, None, &is_whole)?;
        }
        for name in names {
            let job = identity::named(&transaction, name)?;
            let sql = "SELECT state FROM work WHERE job = ?1";
            let read = |row: &Row<'_>| state_from_sql(row.get(0)?);
            let state = all(&transaction, sql, [job], RESTORING, read)?;
            let Some(state) = state.first() else {
                restored.unknown.push(name.clone());
                continue;
            };
            let earlier = latest(&transaction, &self.base, job, &is_whole)?;
            if earlier.is_empty() {
                restored.others.push((name.clone(), *state));
            }
            found.extend(earlier);
        }
        if !restored.unknown.is_empty() {
            return Ok(restored);
        }
        for earlier in found {
            if !earlier.is_usable {
                restored.lost += 1;
            } else if restore(&transaction, &earlier)? {
                shift(&mut counts, earlier.state, JobState::Done, 1)?;
                restored.changed += 1;
                restored.outdated += u64::from(earlier.is_outdated);
            }
        }
        add_counts(&transaction, &before, &counts)?;
        owner::commit(transaction, RESTORING)?;
        self.counts = counts;
        Ok(restored)
    }
}

/// Returns the latest usable result of each job that has only earlier ones, or an unusable one if there is no other.
fn latest(
    connection: &Connection,
    base: &Path,
    job: Option<i64>,
    is_usable: &dyn Fn(&Filed) -> bool,
) -> Result<Vec<Earlier>> {
    let mut found: Vec<Earlier> = Vec::new();
    // The list may be long, and the table is nearly always empty.
    if !value(
        connection,
        "SELECT EXISTS (SELECT 1 FROM earlier_result)",
        RESTORING,
    )? {
        return Ok(found);
    }
    let chosen = if job.is_some() {
        "work.job = ?1"
    } else {
        "?1 IS NULL"
    };
    let mut read = || -> rusqlite::Result<()> {
        let mut statement = connection.prepare(&format!(
            "SELECT work.job, earlier.attempt, state, runner.request <> (SELECT request FROM run), file, size, sha256
             FROM work JOIN earlier_result AS earlier ON earlier.job = work.job
                       JOIN attempt ON attempt.job = work.job AND attempt.number = earlier.attempt
                       JOIN runner ON runner.id = attempt.runner
             WHERE state IN (0, 3, 4, 6) AND state <> 2 AND {chosen}
             ORDER BY work.job, earlier.attempt"
        ))?;
        let mut rows = statement.query([job])?;
        while let Some(row) = rows.next()? {
            let columns = [row.get_ref(4)?, row.get_ref(5)?, row.get_ref(6)?];
            let filed = Filed::from_columns(columns, base)?;
            let earlier = Earlier {
                job: row.get(0)?,
                attempt: row.get(1)?,
                state: state_from_sql(row.get(2)?)?,
                is_outdated: row.get(3)?,
                is_usable: filed.is_none_or(|filed| is_usable(&filed)),
            };
            match found.last_mut() {
                Some(last) if last.job == earlier.job => {
                    if earlier.is_usable {
                        *last = earlier;
                    }
                }
                _ => found.push(earlier),
            }
        }
        Ok(())
    };
    read().map_err(doing("reading the earlier results"))?;
    Ok(found)
}

/// Makes a job done with an earlier result. Returns false if it is done already, because its name was given twice.
fn restore(connection: &Connection, earlier: &Earlier) -> Result<bool> {
    let done =
        "UPDATE work SET state = 2, not_before = NULL WHERE job = ?1 AND state IN (0, 3, 4, 6)";
    if execute(connection, done, [earlier.job], RESTORING)? == 0 {
        return Ok(false);
    }
    let insert = "INSERT INTO result (job, attempt, media_type, body, sha256, headers, file, size)
                  SELECT job, attempt, media_type, body, sha256, headers, file, size FROM earlier_result
                  WHERE job = ?1 AND attempt = ?2";
    let delete = "DELETE FROM earlier_result WHERE job = ?1 AND attempt = ?2";
    for sql in [insert, delete] {
        execute(connection, sql, [earlier.job, earlier.attempt], RESTORING)?;
    }
    // A job that is done has no other answer.
    let sql = "DELETE FROM rejected_response WHERE job = ?1";
    execute(connection, sql, [earlier.job], RESTORING)?;
    progress::begin_anew(connection, JobId(earlier.job))?;
    Ok(true)
}
