//! Looking at a whole run from above: its runners, and every attempt as it went.

use std::collections::HashMap;

use rusqlite::types::{Type, ValueRef};

use super::error::{Result, doing};
use super::reader::Reader;
use super::values::path_from_sql;
use crate::job::{FileName, JobId};

/// An invocation that worked on a run.
#[derive(Debug, Clone)]
pub struct Runner {
    /// Its number in this run.
    pub id: i64,
    /// Its process.
    pub pid: u32,
    /// The machine that it ran on.
    pub host: String,
    /// With how many chunk threads it began.
    pub threads: u64,
    /// When it began, in milliseconds since 1970.
    pub started: i64,
    /// When and how it ended, if that was noted. Of one that died, this is when somebody found out.
    pub ended: Option<(i64, String)>,
}

/// What an attempt came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// A result.
    Succeeded,
    /// A definite failure.
    Failed,
    /// The service asked for patience.
    Throttled,
    /// Perhaps sent, and no answer.
    InDoubt,
    /// Provably not sent.
    NotSent,
    /// Provably not sent, because a stop came.
    Interrupted,
}

impl How {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 6] = [
        Self::Succeeded,
        Self::Failed,
        Self::Throttled,
        Self::InDoubt,
        Self::NotSent,
        Self::Interrupted,
    ];

    /// The words for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Throttled => "throttled",
            Self::InDoubt => "in doubt",
            Self::NotSent => "not sent",
            Self::Interrupted => "interrupted",
        }
    }

    fn of(value: ValueRef<'_>) -> rusqlite::Result<Option<Self>> {
        let word = match value {
            ValueRef::Null => return Ok(None),
            ValueRef::Text(word) => word,
            other => return Err(unknown(other.data_type())),
        };
        Ok(Some(match word {
            b"succeeded" => Self::Succeeded,
            b"failed" => Self::Failed,
            b"throttled" => Self::Throttled,
            b"in_doubt" => Self::InDoubt,
            b"not_sent" => Self::NotSent,
            b"interrupted" => Self::Interrupted,
            _ => return Err(unknown(Type::Text)),
        }))
    }
}

fn unknown(found: Type) -> rusqlite::Error {
    rusqlite::Error::InvalidColumnType(5, "outcome".to_owned(), found)
}

/// An attempt as it went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tried {
    /// Whose attempt it was.
    pub job: JobId,
    /// Which of its job's.
    pub number: u32,
    /// The runner that made it.
    pub runner: i64,
    /// The chunk whose thread made it.
    pub chunk: i64,
    /// When it began, in milliseconds since 1970.
    pub started: i64,
    /// How long it took, in milliseconds; nothing for those that a dead runner left behind.
    pub took: i64,
    /// What it came to; nothing as long as it goes on.
    pub how: Option<How>,
}

impl Tried {
    /// When it ended, in milliseconds since 1970. What was recorded later, by another runner, ended when it did.
    pub fn ended(&self) -> i64 {
        self.started.saturating_add(self.took)
    }
}

impl Reader {
    /// The runners, from the first to the last.
    ///
    /// # Errors
    ///
    /// The database cannot be read.
    pub fn runners(&self) -> Result<Vec<Runner>> {
        self.connection()
            .prepare(
                "SELECT id, pid, host, threads, started, ended, ending FROM runner ORDER BY id",
            )
            .and_then(|mut statement| {
                let rows = statement.query_map([], |row| {
                    let ended: Option<i64> = row.get(5)?;
                    Ok(Runner {
                        id: row.get(0)?,
                        pid: row.get(1)?,
                        host: row.get(2)?,
                        threads: row.get(3)?,
                        started: row.get(4)?,
                        ended: ended.zip(row.get(6)?),
                    })
                })?;
                rows.collect()
            })
            .map_err(doing("reading the runners"))
    }

    /// When runners whose end nobody noted while they lived were seen last, by what their attempts say, in
    /// milliseconds since 1970.
    ///
    /// # Errors
    ///
    /// The database cannot be read.
    pub fn last_seen(&self) -> Result<HashMap<i64, i64>> {
        let look = || -> rusqlite::Result<HashMap<i64, i64>> {
            let mut seen = HashMap::new();
            let connection = self.connection();
            let unnoted =
                "SELECT EXISTS (SELECT 1 FROM runner WHERE ended IS NULL OR ending = 'died')";
            if !connection.query_row(unnoted, [], |row| row.get(0))? {
                return Ok(seen);
            }
            // Grouped here and not by SQLite, which would sort them all.
            let mut statement = connection.prepare(
                "SELECT runner, started + coalesce(took, 0) FROM attempt
                 WHERE runner IN (SELECT id FROM runner WHERE ended IS NULL OR ending = 'died')",
            )?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                let moment = row.get(1)?;
                let last = seen.entry(row.get(0)?).or_insert(moment);
                *last = moment.max(*last);
            }
            Ok(seen)
        };
        look().map_err(doing("reading the attempts"))
    }

    /// Hands over every attempt, those of one job after the other, in their order.
    ///
    /// # Errors
    ///
    /// The database cannot be read.
    pub fn attempts(&self, each: &mut dyn FnMut(Tried)) -> Result<()> {
        let mut look = || -> rusqlite::Result<()> {
            let mut statement = self.connection().prepare(
                "SELECT job, number, runner, chunk, started, outcome, coalesce(took, 0) FROM attempt
                 ORDER BY job, number",
            )?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                each(Tried {
                    job: JobId(row.get(0)?),
                    number: row.get(1)?,
                    runner: row.get(2)?,
                    chunk: row.get(3)?,
                    started: row.get(4)?,
                    took: row.get(6)?,
                    how: How::of(row.get_ref(5)?)?,
                });
            }
            Ok(())
        };
        look().map_err(doing("reading the attempts"))
    }

    /// The names of jobs, in the order in which they are asked for.
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
