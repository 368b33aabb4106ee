//! Reads runners and attempts for reports.

use std::collections::HashMap;

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ValueRef};

use super::error::{Result, doing};
use super::reader::Reader;
use super::statement::{all, value};
use super::values::path_from_sql;
use crate::job::{FileName, JobId};

/// An invocation that worked on a run.
#[derive(Debug, Clone)]
pub struct Runner {
    /// The runner's number in this run.
    pub id: i64,
    /// The process.
    pub pid: u32,
    /// The machine.
    pub host: String,
    /// Maximum number of chunk threads, as set at its start.
    pub threads: u64,
    /// Its start, in milliseconds since 1970.
    pub started: i64,
    /// Its end and the kind of end, if noted. A later runner notes them for one that died.
    pub ended: Option<(i64, String)>,
}

/// The kinds of outcomes of attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttemptOutcome {
    /// A result.
    Succeeded,
    /// The answer of a step that is not the last.
    Advanced,
    /// Polls, all answered "not ready".
    NotReady,
    /// A definite failure.
    Failed,
    /// The service asked to wait.
    Throttled,
    /// Perhaps sent, without an answer.
    InDoubt,
    /// Provably not sent.
    NotSent,
    /// Provably not sent, because of a stop.
    Interrupted,
}

impl AttemptOutcome {
    /// Every kind, in the order of declaration.
    pub const ALL: [Self; 8] = [
        Self::Succeeded,
        Self::Advanced,
        Self::NotReady,
        Self::Failed,
        Self::Throttled,
        Self::InDoubt,
        Self::NotSent,
        Self::Interrupted,
    ];

    /// Returns the words for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Advanced => "advanced",
            Self::NotReady => "not ready",
            Self::Failed => "failed",
            Self::Throttled => "throttled",
            Self::InDoubt => "in doubt",
            Self::NotSent => "not sent",
            Self::Interrupted => "interrupted",
        }
    }
}

impl FromSql for AttemptOutcome {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let stored = value.as_str()?;
        let is_it = |kind: &Self| kind.as_str().bytes().eq(stored.bytes().map(space));
        let found = Self::ALL.into_iter().find(is_it);
        found.ok_or(FromSqlError::InvalidType)
    }
}

/// Replaces the underscores of stored words.
fn space(byte: u8) -> u8 {
    if byte == b'_' { b' ' } else { byte }
}

/// An attempt without its messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttemptSummary {
    /// The job.
    pub job: JobId,
    /// The attempt's number.
    pub number: u32,
    /// An attempt of the same step came before.
    pub is_repeat: bool,
    /// The runner that made it.
    pub runner: i64,
    /// The chunk whose thread made it.
    pub chunk: i64,
    /// Its start, or that of its latest poll, in milliseconds since 1970.
    pub started: i64,
    /// Its duration, in milliseconds; 0 while it is in flight, or if its end was not seen.
    pub took: i64,
    /// Its outcome; `None` while it is in flight.
    pub outcome: Option<AttemptOutcome>,
}

impl AttemptSummary {
    /// Returns its end, in milliseconds since 1970; its start while it is in flight.
    pub fn ended(&self) -> i64 {
        self.started.saturating_add(self.took)
    }
}

impl Reader {
    /// Returns the runners, oldest first.
    ///
    /// # Errors
    ///
    /// The database cannot be read.
    pub fn runners(&self) -> Result<Vec<Runner>> {
        let sql = "SELECT id, pid, host, threads, started, ended, ending FROM runner ORDER BY id";
        all(self.connection(), sql, [], "reading the runners", |row| {
            let ended: Option<i64> = row.get(5)?;
            Ok(Runner {
                id: row.get(0)?,
                pid: row.get(1)?,
                host: row.get(2)?,
                threads: row.get(3)?,
                started: row.get(4)?,
                ended: ended.zip(row.get(6)?),
            })
        })
    }

    /// Returns the last sign of life of each runner with attempts that did not note its end: the latest end or start of
    /// its attempts, in milliseconds since 1970.
    ///
    /// # Errors
    ///
    /// The database cannot be read.
    pub fn last_seen(&self) -> Result<HashMap<i64, i64>> {
        let mut seen = HashMap::new();
        let sql = "SELECT EXISTS (SELECT 1 FROM runner WHERE ended IS NULL OR ending = 'died')";
        if !value(self.connection(), sql, "reading the runners")? {
            return Ok(seen);
        }
        // SQLite would sort all attempts to group them.
        let sql = "SELECT runner, started + coalesce(took, 0) FROM attempt
                   WHERE runner IN (SELECT id FROM runner WHERE ended IS NULL OR ending = 'died')";
        self.each_row(sql, "reading the attempts", |row| {
            let moment = row.get(1)?;
            let last = seen.entry(row.get(0)?).or_insert(moment);
            *last = moment.max(*last);
            Ok(())
        })?;
        Ok(seen)
    }

    /// Passes on every attempt, ordered by job and number.
    ///
    /// # Errors
    ///
    /// The database cannot be read.
    pub fn attempts(&self, each: &mut dyn FnMut(AttemptSummary)) -> Result<()> {
        let sql =
            "SELECT job, step, runner, chunk, coalesce(polled, started), outcome, coalesce(took, 0), number FROM attempt
                   ORDER BY job, number";
        let mut last = None;
        self.each_row(sql, "reading the attempts", |row| {
            let step: (i64, u16) = (row.get(0)?, row.get(1)?);
            each(AttemptSummary {
                job: JobId(step.0),
                number: row.get(7)?,
                is_repeat: last.replace(step) == Some(step),
                runner: row.get(2)?,
                chunk: row.get(3)?,
                started: row.get(4)?,
                outcome: row.get(5)?,
                took: row.get(6)?,
            });
            Ok(())
        })
    }

    /// Returns the names of these jobs, in the same order.
    ///
    /// # Errors
    ///
    /// The database cannot be read, or there is no such job.
    pub fn names(&self, jobs: &[JobId]) -> Result<Vec<FileName>> {
        self.connection()
            .prepare("SELECT path FROM job WHERE id = ?1")
            .and_then(|mut statement| {
                let name = |job: &JobId| statement.query_row([job.0], |row| path_from_sql(row, 0));
                jobs.iter().map(name).collect()
            })
            .map_err(doing("reading names"))
    }
}
