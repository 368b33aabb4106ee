//! Gives calls in doubt a new idempotency key if they would now send something else: to a key that it knows, a service
//! returns the answer of the old call.

use std::fs;
use std::time::UNIX_EPOCH;

use rusqlite::Connection;

use super::error::Result;
use super::owner;
use super::statement::{all, execute};
use super::values::path_from_sql;
use super::writer::Store;

const RENEWING: &str = "renewing idempotency keys";

/// Selects jobs that are not done and the attempts that may have been carried out under the key of their next call.
const IN_DOUBT: &str = "FROM work JOIN attempt AS last ON last.job = work.job AND last.number = work.attempts
                                  JOIN attempt AS doubt ON doubt.job = work.job AND doubt.key = last.key
     WHERE work.state <> 2 AND work.attempts > 0
       AND last.outcome IS NOT 'succeeded' AND (last.outcome IS NOT 'failed' OR last.status = 409)
       AND (doubt.outcome IS NULL OR doubt.outcome = 'in_doubt' OR doubt.status = 409)";

impl Store {
    /// Gives calls in doubt a new key if their job's file was written after they began. Steps that do not send the file keep
    /// theirs. Returns their number.
    ///
    /// # Errors
    ///
    /// The database cannot be read or written; then nothing was changed.
    pub fn renew_changed(&mut self) -> Result<u64> {
        // The list may be long.
        if self.counts.in_doubt + self.counts.running == 0 {
            return Ok(0);
        }
        let sql = format!(
            "SELECT work.job, min(doubt.started),
                    (SELECT coalesce((SELECT input FROM columns WHERE columns.job = job.id), path)
                     FROM job WHERE job.id = work.job), last.step
             {IN_DOUBT} GROUP BY work.job"
        );
        let transaction = self.owner.begin(&self.connection)?;
        let found = all(&transaction, &sql, [], RENEWING, |row| {
            let step: u16 = row.get(3)?;
            Ok((row.get(0)?, row.get(1)?, path_from_sql(row, 2)?, step))
        })?;
        let call = self.call()?;
        let found = found
            .into_iter()
            .filter(|(.., step)| call.sends_file((*step).into()));
        let mut renewed = 0;
        for (job, began, file, _) in found {
            let written = fs::metadata(self.base.join(file.as_path()));
            let written = written.and_then(|meta| meta.modified()).ok();
            let written = written.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
            if written.is_some_and(|written| written.as_millis() as i64 > began) {
                renewed += renew(&transaction, Some(job))?;
            }
        }
        owner::commit(transaction, RENEWING)?;
        Ok(renewed)
    }
}

/// Gives the call of a job, or of all jobs, a new key if it is in doubt. Returns the number of calls.
pub(super) fn renew(connection: &Connection, job: Option<i64>) -> Result<u64> {
    let chosen = match job {
        Some(_) => "work.job = ?1",
        None => "?1 IS NULL",
    };
    let sql = format!(
        "UPDATE work SET generation = generation + 1,
                         lane = CASE WHEN EXISTS (SELECT 1 FROM progress WHERE progress.job = work.job) THEN lane END
         WHERE job IN (SELECT work.job {IN_DOUBT} AND {chosen})"
    );
    execute(connection, &sql, [job], RENEWING).map(|jobs| jobs as u64)
}
