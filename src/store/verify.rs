//! Verifies a database: SQLite's own checks, the invariants of the queue, and the checksum of every result.

use super::body::Filed;
use super::counts::{read_counts, total};
use super::error::Result;
use super::reader::Reader;
use super::values::{path_from_sql, state_from_sql};
use crate::event::Counts;
use crate::job::{Checksum, FileName};

/// The findings of a verification.
#[derive(Debug, Default, Clone)]
pub struct Verification {
    /// Number of results.
    pub results: u64,
    /// Descriptions of problems, at most [`Verification::MOST`].
    pub problems: Vec<String>,
    /// Number of result files outside of the database that are missing or changed.
    pub files: u64,
    /// The database itself has a problem.
    pub is_damaged: bool,
}

impl Verification {
    /// Most problems that are listed.
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

const CHECKING: &str = "checking the database";

/// Statements that return the names of jobs that break an invariant, and what they break.
const INVARIANTS: [(&str, &str); 14] = [
    ("SELECT path FROM job WHERE NOT EXISTS (SELECT 1 FROM work WHERE work.job = job.id)", "is not in the queue"),
    (
        "SELECT path FROM work JOIN job ON job.id = work.job
         WHERE (state = 2 OR EXISTS (SELECT 1 FROM forgotten WHERE forgotten.job = work.job AND forgotten.state = 2))
               AND NOT EXISTS (SELECT 1 FROM result WHERE result.job = work.job)",
        "is done without a result",
    ),
    (
        "SELECT path FROM result JOIN job ON job.id = result.job JOIN work ON work.job = result.job
         LEFT JOIN forgotten ON forgotten.job = work.job
         WHERE CASE work.state WHEN 5 THEN forgotten.state ELSE work.state END IS NOT 2",
        "has a result without being done",
    ),
    (
        "SELECT path FROM work JOIN job ON job.id = work.job
         WHERE (state = 5) <> EXISTS (SELECT 1 FROM forgotten WHERE forgotten.job = work.job)",
        "is forgotten without its earlier state, or has one without being forgotten",
    ),
    (
        "SELECT path FROM work JOIN job ON job.id = work.job
         WHERE attempts <> (SELECT count(*) FROM attempt WHERE attempt.job = work.job)",
        "has more or fewer attempts than it counts",
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
    (
        "SELECT path FROM work JOIN job ON job.id = work.job LEFT JOIN forgotten ON forgotten.job = work.job
         WHERE CASE work.state WHEN 5 THEN forgotten.state ELSE work.state END = 6
               AND NOT EXISTS (SELECT 1 FROM progress WHERE progress.job = work.job)",
        "waits without a next step",
    ),
    (
        "SELECT path FROM progress JOIN job ON job.id = progress.job JOIN work ON work.job = progress.job
                               LEFT JOIN forgotten ON forgotten.job = work.job
         WHERE CASE work.state WHEN 5 THEN forgotten.state ELSE work.state END IN (0, 2)",
        "has a next step without waiting for it",
    ),
    (
        "SELECT path FROM progress JOIN job ON job.id = progress.job
         WHERE progress.step <> (SELECT count(*) FROM step_answer WHERE step_answer.job = progress.job
                                                                   AND step_answer.step < progress.step)",
        "lacks the answer of an earlier step",
    ),
    (
        "SELECT path FROM step_answer JOIN job ON job.id = step_answer.job
         WHERE NOT EXISTS (SELECT 1 FROM attempt WHERE attempt.job = step_answer.job AND attempt.number = step_answer.attempt
                                                   AND attempt.outcome = 'advanced' AND attempt.step = step_answer.step)",
        "has the answer of a step that did not end",
    ),
];

impl Reader {
    /// Verifies the database. Changes nothing and makes no call.
    ///
    /// # Errors
    ///
    /// The database cannot be read. Other damage is in the findings.
    pub fn verify(&self) -> Result<Verification> {
        let mut found = Verification::default();
        self.each_row("PRAGMA integrity_check", CHECKING, |row| {
            let line: String = row.get(0)?;
            if line != "ok" {
                found.note(|| format!("SQLite: {line}"));
            }
            Ok(())
        })?;
        if !found.problems.is_empty() {
            // Further statements would fail because of the damage.
            return Ok(found);
        }
        self.each_row("PRAGMA foreign_key_check", CHECKING, |row| {
            let (table, parent): (String, String) = (row.get(0)?, row.get(2)?);
            found
                .note(|| format!("a row of {table} refers to a row of {parent} that is not there"));
            Ok(())
        })?;
        for (sql, meaning) in INVARIANTS {
            self.each_row(sql, CHECKING, |row| {
                let path: FileName = path_from_sql(row, 0)?;
                found.note(|| format!("{path} {meaning}"));
                Ok(())
            })?;
        }
        let results = "SELECT job.path, result.body, result.sha256, result.file, result.size
                       FROM result JOIN job ON job.id = result.job";
        self.each_row(results, CHECKING, |row| {
            let body = row.get_ref(1)?.as_blob()?;
            let path = path_from_sql(row, 0)?;
            if let Some(filed) = Filed::from_columns(
                [row.get_ref(3)?, row.get_ref(4)?, row.get_ref(2)?],
                self.base(),
            )? {
                let (file, opened) = (&filed.path, filed.open());
                if let Err(error) = opened {
                    found.files += 1;
                    found.list(|| {
                        format!("the file {file}, the result of {path}, cannot be used: {error}")
                    });
                }
            } else if Checksum::of(body) != Checksum(row.get(2)?) {
                found.note(|| format!("the result of {path} does not match its checksum"));
            }
            found.results += 1;
            Ok(())
        })?;
        let sums = "SELECT cost, cost_unknown, (SELECT coalesce(sum(cost), 0) FROM attempt), (SELECT sum(cost_unknown) FROM attempt)
                    FROM limiter_state";
        self.each_row(sums, CHECKING, |row| {
            let sum = |column| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(column)?.unwrap_or(0));
            let (cost, unknown) = ((sum(0)?, sum(2)?), (sum(1)?, sum(3)?));
            if cost.0 != cost.1 || unknown.0 != unknown.1 {
                found.note(|| {
                    format!(
                        "the cost of the run is noted as {}, {} of its calls unknown; its calls add up to {}, {} unknown",
                        cost.0, unknown.0, cost.1, unknown.1
                    )
                });
            }
            Ok(())
        })?;
        let (kept, counted) = (read_counts(self.connection())?, self.count()?);
        if kept != counted {
            found.note(|| format!("the counts say {kept:?}, the jobs {counted:?}"));
        }
        Ok(found)
    }

    /// Counts the rows that the stored counts describe.
    fn count(&self) -> Result<Counts> {
        let kept = read_counts(self.connection())?;
        // Only the stored counts know how many doubts were recovered, but not more than there are.
        let mut counts = Counts {
            in_doubt_recovered: kept.in_doubt_recovered,
            ..Counts::default()
        };
        let sql = "SELECT state, count(*) FROM work GROUP BY state";
        self.each_row(sql, CHECKING, |row| {
            *counts.of_mut(state_from_sql(row.get(0)?)?) = row.get(1)?;
            Ok(())
        })?;
        counts = total(counts).unwrap_or(counts);
        let sql = "SELECT count(*), count(*) FILTER (WHERE outcome = 'in_doubt') FROM attempt";
        self.each_row(sql, CHECKING, |row| {
            (counts.attempts, counts.in_doubt) = (row.get(0)?, row.get(1)?);
            Ok(())
        })?;
        counts.in_doubt_recovered = counts.in_doubt_recovered.min(counts.in_doubt);
        Ok(counts)
    }
}
