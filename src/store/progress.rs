//! How far jobs of several steps are, and the answers of their finished steps.

use rusqlite::{Connection, Row, params};

use super::body::{Inserted, Table, fill};
use super::error::{Result, doing};
use super::statement::{all, execute, value};
use super::values::{milliseconds, shift, state_from_sql};
use super::writer::Store;
use crate::event::Counts;
use crate::job::{Answer, AttemptId, JobId, JobState, Step, StepAnswer, StepKind};

const READING: &str = "reading how far a file is";
const RECORDING: &str = "recording a step";

/// Selects the waiting jobs that may kill their process, which are few, by the index `work_may_kill`.
pub(super) const WAITING_ALONE: &str =
    "SELECT job, not_before, crashes FROM work WHERE crashes >= 2 AND state = 6";

/// The next step of a waiting job.
pub(super) struct NextStep {
    pub(super) step: Step,
    /// The job's latest attempt is a poll of this step that was answered "not ready": the next poll belongs to it.
    pub(super) continues: bool,
}

/// Reads the next step of a waiting job, of which `attempt` is the latest attempt.
pub(super) fn next_step(connection: &Connection, attempt: AttemptId, now: i64) -> Result<NextStep> {
    let sql = "SELECT progress.step, progress.kind, since, asked, polls, outcome = 'not_ready' AND attempt.step = progress.step
               FROM progress JOIN attempt ON attempt.job = progress.job AND attempt.number = ?2
               WHERE progress.job = ?1";
    let AttemptId { job, number } = attempt;
    let read = |row: &Row<'_>| {
        let continues: Option<bool> = row.get(5)?;
        let (continues, polls): (_, Option<u32>) = (continues == Some(true), row.get(4)?);
        let mut step = read_step(row, 0, now)?;
        step.polls = match (step.kind, continues) {
            (StepKind::Poll, true) => polls.unwrap_or(1).saturating_add(1),
            (StepKind::Poll, false) => 1,
            _ => 0,
        };
        Ok(NextStep { step, continues })
    };
    connection
        .prepare_cached(sql)
        .and_then(|mut statement| statement.query_row(params![job.0, number], read))
        .map_err(doing(READING))
}

/// Reads four columns of `progress`: the step, its kind, since when and how often it was asked.
pub(super) fn read_step(row: &Row<'_>, first: usize, now: i64) -> rusqlite::Result<Step> {
    let kind: StepKind = {
        let word = row.get_ref(first + 1)?;
        word.as_str()?.parse().map_err(|error| {
            let kind = word.data_type();
            rusqlite::Error::FromSqlConversionFailure(first + 1, kind, Box::new(error))
        })?
    };
    Ok(Step {
        index: row.get(first)?,
        kind,
        since: milliseconds(now.saturating_sub(row.get(first + 2)?)),
        asked: row.get(first + 3)?,
        polls: 0,
    })
}

/// Reads the answers of a job's finished steps, in order.
pub(super) fn answers(connection: &Connection, job: JobId) -> Result<Vec<StepAnswer>> {
    let sql =
        "SELECT status, media_type, headers, body FROM step_answer WHERE job = ?1 ORDER BY step";
    all(connection, sql, [job.0], READING, |row| {
        Ok(StepAnswer {
            status: row.get(0)?,
            media_type: row.get(1)?,
            headers: row.get(2)?,
            body: row.get(3)?,
        })
    })
}

/// Records the answer of a finished step, and that a step of this kind follows.
pub(super) fn advance(
    connection: &Connection,
    attempt: AttemptId,
    step: u16,
    answer: &Answer,
    next: StepKind,
    now: i64,
) -> Result<()> {
    let AttemptId { job, number } = attempt;
    let sql = "INSERT OR REPLACE INTO step_answer (job, step, attempt, status, media_type, headers, body, recorded)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    let body = Inserted(&answer.body);
    let values = params![
        job.0,
        step,
        number,
        answer.status,
        answer.media_type,
        answer.headers,
        body,
        now
    ];
    execute(connection, sql, values, RECORDING)?;
    let row = connection.last_insert_rowid();
    fill(connection, Table::StepAnswer, row, &answer.body)?;
    let sql = "INSERT OR REPLACE INTO progress (job, step, kind, since) VALUES (?1, ?2, ?3, ?4)";
    let values = params![job.0, u32::from(step) + 1, next.as_str(), now];
    execute(connection, sql, values, RECORDING).map(drop)
}

/// Records that the service was not ready. A step that is not known as a poll becomes one.
pub(super) fn not_ready(connection: &Connection, job: JobId, step: u16, now: i64) -> Result<()> {
    let sql = "INSERT INTO progress (job, step, kind, since, asked) VALUES (?1, ?2, 'poll', ?3, 1)
               ON CONFLICT (job) DO UPDATE SET kind = 'poll', asked = asked + 1";
    execute(connection, sql, params![job.0, step, now], RECORDING).map(drop)
}

/// Forgets how far a job is and the answers of its steps, because it begins anew.
pub(super) fn begin_anew(connection: &Connection, job: JobId) -> Result<()> {
    let sql = "DELETE FROM step_answer WHERE job = ?1";
    execute(connection, sql, [job.0], RECORDING)?;
    end(connection, job)
}

/// Makes a submitted job that is not running pending, from the first step on.
pub(super) fn restart(connection: &Connection, counts: &mut Counts, job: JobId) -> Result<()> {
    let sql = "SELECT state FROM work WHERE job = ?1 AND (state = 3 OR state = 4 OR state = 6)";
    let read = |row: &Row<'_>| state_from_sql(row.get(0)?);
    for from in all(connection, sql, [job.0], RECORDING, read)? {
        let sql =
            "UPDATE work SET state = 0, not_before = NULL, charged = 0, crashes = 0, lane = NULL,
                          generation = generation + 1
                   WHERE job = ?1";
        execute(connection, sql, [job.0], RECORDING)?;
        shift(counts, from, JobState::Pending, 1)?;
        begin_anew(connection, job)?;
    }
    Ok(())
}

/// Forgets how far a job is, because it is done.
pub(super) fn end(connection: &Connection, job: JobId) -> Result<()> {
    let sql = "DELETE FROM progress WHERE job = ?1";
    execute(connection, sql, [job.0], RECORDING).map(drop)
}

impl Store {
    /// Returns true if the next step of a waiting job only reads.
    ///
    /// # Errors
    ///
    /// The database cannot be read.
    pub(crate) fn has_waiting_reads(&self) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM progress CROSS JOIN work ON work.job = progress.job
                                  WHERE kind <> 'write' AND state = 6)";
        value(&self.connection, sql, READING)
    }

    /// Returns true if a later step of any job was answered well.
    ///
    /// # Errors
    ///
    /// The database cannot be read.
    pub(crate) fn has_later_answers(&self) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM progress WHERE asked > 0 OR step > 1)
                          OR EXISTS (SELECT 1 FROM step_answer CROSS JOIN result ON result.job = step_answer.job)";
        value(&self.connection, sql, READING)
    }
}
