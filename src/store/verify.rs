//! Proving a database sound: SQLite's own checks, the invariants of the queue, every result's checksum.

use rusqlite::Row;

use super::body::Filed;
use super::counts::counts;
use super::error::{Result, doing};
use super::reader::Reader;
use super::values::{path_from_sql, state_from_sql};
use crate::event::Counts;
use crate::job::{Checksum, FileName};

/// What a check found.
#[derive(Debug, Default, Clone)]
pub struct Verdict {
    /// Results whose checksum was computed.
    pub results: u64,
    /// What is wrong, in words; empty where all is well. At most [`Verdict::MOST`].
    pub problems: Vec<String>,
    /// The number of result files outside of the database that are missing or changed.
    pub files: u64,
    /// Something in the database itself is wrong.
    pub is_damaged: bool,
}

impl Verdict {
    /// How many problems are listed before the rest is left out.
    pub const MOST: usize = 20;

    fn note(&mut self, problem: impl FnOnce() -> String) {
        self.is_damaged = true;
        self.list(problem);
    }

    fn list(&mut self, problem: impl FnOnce() -> String) {
        if self.problems.len() < Self::MOST {
            self.problems.push(problem());
        }
    }
}

/// Statements that find rows which break an invariant, with what such a row means. Each returns a name.
const INVARIANTS: [(&str, &str); 9] = [
    ("SELECT path FROM job WHERE NOT EXISTS (SELECT 1 FROM work WHERE work.job = job.id)", "is not in the queue"),
    (
        "SELECT path FROM work JOIN job ON job.id = work.job
         WHERE state = 2 AND NOT EXISTS (SELECT 1 FROM result WHERE result.job = work.job)",
        "is done without a result",
    ),
    (
        "SELECT path FROM result JOIN job ON job.id = result.job JOIN work ON work.job = result.job WHERE state <> 2",
        "has a result without being done",
    ),
    (
        "SELECT path FROM work JOIN job ON job.id = work.job
         WHERE attempts <> (SELECT count(*) FROM attempt WHERE attempt.job = work.job)",
        "does not have as many attempts as it counts",
    ),
    (
        "SELECT path FROM attempt JOIN job ON job.id = attempt.job JOIN work ON work.job = attempt.job
         WHERE attempt.outcome IS NULL AND NOT (work.state = 1 AND attempt.number = work.attempts)",
        "has an attempt in flight without running",
    ),
    (
        "SELECT path FROM work JOIN job ON job.id = work.job WHERE state = 1 AND NOT EXISTS (
             SELECT 1 FROM attempt WHERE attempt.job = work.job AND attempt.number = work.attempts AND attempt.outcome IS NULL)",
        "is running without an attempt in flight",
    ),
    (
        "SELECT path FROM result JOIN job ON job.id = result.job
         WHERE NOT EXISTS (SELECT 1 FROM attempt WHERE attempt.job = result.job AND attempt.number = result.attempt
                                                   AND attempt.outcome = 'succeeded')",
        "has a result of an attempt that did not succeed",
    ),
    (
        "SELECT path FROM rejected_response AS rejected JOIN job ON job.id = rejected.job JOIN work ON work.job = rejected.job
         WHERE work.state = 2",
        "is done and has an answer that was no result",
    ),
    (
        "SELECT path FROM rejected_response AS rejected JOIN job ON job.id = rejected.job
         WHERE NOT EXISTS (SELECT 1 FROM attempt WHERE attempt.job = rejected.job AND attempt.number = rejected.attempt
                                                   AND attempt.outcome IN ('failed', 'throttled'))",
        "has an answer that was no result, of an attempt that did not fail",
    ),
];

impl Reader {
    /// Checks everything that can be checked without calling anybody. Changes nothing.
    ///
    /// # Errors
    ///
    /// The database cannot be read at all; damage that can be read past is in the verdict.
    pub fn verify(&self) -> Result<Verdict> {
        let mut verdict = Verdict::default();
        self.each("PRAGMA integrity_check", |row| {
            let line: String = row.get(0)?;
            if line != "ok" {
                verdict.note(|| format!("SQLite: {line}"));
            }
            Ok(())
        })?;
        if !verdict.problems.is_empty() {
            // Beyond this point SQLite would trip over what it has just found.
            return Ok(verdict);
        }
        self.each("PRAGMA foreign_key_check", |row| {
            let (table, parent): (String, String) = (row.get(0)?, row.get(2)?);
            verdict
                .note(|| format!("a row of {table} refers to a row of {parent} that is not there"));
            Ok(())
        })?;
        for (sql, meaning) in INVARIANTS {
            self.each(sql, |row| {
                let path: FileName = path_from_sql(row, 0)?;
                verdict.note(|| format!("{path} {meaning}"));
                Ok(())
            })?;
        }
        let results = "SELECT job.path, result.body, result.sha256, result.file, result.size
                       FROM result JOIN job ON job.id = result.job";
        self.each(results, |row| {
            let body = row.get_ref(1)?.as_blob()?;
            let path = path_from_sql(row, 0)?;
            if let Some(filed) = Filed::of([row.get_ref(3)?, row.get_ref(4)?, row.get_ref(2)?])? {
                let (file, opened) = (&filed.path, filed.open());
                if let Err(error) = opened {
                    verdict.files += 1;
                    verdict.list(|| format!("the result of {path} is in the file {file}: {error}"));
                }
            } else if Checksum::of(body) != Checksum(row.get(2)?) {
                verdict.note(|| format!("the result of {path} is not what was recorded"));
            }
            verdict.results += 1;
            Ok(())
        })?;
        let (kept, counted) = (counts(self.connection())?, self.count()?);
        if kept != counted {
            verdict.note(|| format!("the counts say {kept:?}, the jobs {counted:?}"));
        }
        Ok(verdict)
    }

    /// Counts the rows that the stored counts are about.
    fn count(&self) -> Result<Counts> {
        let kept = counts(self.connection())?;
        // What was recovered is known from the stored counts alone; that it is a part of the doubt can be checked.
        let mut counts = Counts {
            in_doubt_recovered: kept.in_doubt_recovered,
            ..Counts::default()
        };
        self.each("SELECT state, count(*) FROM work GROUP BY state", |row| {
            *counts.of_mut(state_from_sql(row.get(0)?)?) = row.get(1)?;
            Ok(())
        })?;
        counts.total = counts.pending + counts.running + counts.done + counts.failed + counts.held;
        self.each(
            "SELECT count(*), count(*) FILTER (WHERE outcome = 'in_doubt') FROM attempt",
            |row| {
                (counts.attempts, counts.in_doubt) = (row.get(0)?, row.get(1)?);
                Ok(())
            },
        )?;
        counts.in_doubt_recovered = counts.in_doubt_recovered.min(counts.in_doubt);
        Ok(counts)
    }

    fn each(
        &self,
        sql: &str,
        mut each: impl FnMut(&Row<'_>) -> rusqlite::Result<()>,
    ) -> Result<()> {
        let mut check = || -> rusqlite::Result<()> {
            let mut statement = self.connection().prepare(sql)?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                each(row)?;
            }
            Ok(())
        };
        check().map_err(doing("checking the database"))
    }
}
