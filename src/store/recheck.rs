//! Stored answers, one after the other, to be judged again; and what becomes of their jobs.

use rusqlite::{Connection, OptionalExtension, Params, Row, params};

use super::body::{Filed, Inserted, Table, fill};
use super::counts::add_counts;
use super::error::{Result, StoreError, doing};
use super::owner;
use super::reader::Reader;
use super::values::{path_from_sql, shift, state_from_sql, to_json};
use super::writer::Store;
use crate::job::{Body, Failure, FileName, JobState};
use crate::settings::Call;

/// An answer that is stored: the result of a job that is done, or one that was judged to be none. Always the answer of the
/// job's latest attempt.
#[derive(Debug, Clone)]
pub struct Answered {
    job: i64,
    attempt: i64,
    state: JobState,
    /// The job's name.
    pub path: FileName,
    /// Whether it is the job's result.
    pub is_result: bool,
    /// Why not, where it is not.
    pub message: Option<String>,
    /// The HTTP status.
    pub status: Option<u16>,
    /// The `Content-Type` as received.
    pub media_type: Option<String>,
    /// The headers, as a JSON object from lower-case name to value, where they were kept.
    pub headers: Option<String>,
    /// The body.
    pub body: Body,
}

/// The first answer behind a place in the list. One at a time, so that jobs can be changed on the way.
const NEXT: &str = "SELECT work.job, attempt.number, job.path, work.state, attempt.message, attempt.status,
            coalesce(result.media_type, rejected.media_type), coalesce(result.headers, rejected.headers),
            coalesce(result.body, rejected.body), result.file, result.size, result.sha256
     FROM work JOIN job ON job.id = work.job JOIN attempt ON attempt.job = work.job AND attempt.number = work.attempts
               LEFT JOIN result ON work.state = 2 AND result.job = work.job AND result.attempt = attempt.number
               LEFT JOIN rejected_response AS rejected
                   ON work.state IN (0, 3, 4) AND rejected.job = work.job AND rejected.attempt = attempt.number
     WHERE work.job > ?1 AND (result.job IS NOT NULL OR rejected.job IS NOT NULL)
     ORDER BY work.job LIMIT 1";

impl Reader {
    /// Hands over the stored answers, in list order.
    ///
    /// # Errors
    ///
    /// The database cannot be read, or whatever `each` returns.
    pub fn answers<E: From<StoreError>>(
        &self,
        each: &mut dyn FnMut(&Answered) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        let mut last = None;
        while let Some(answer) = next(self.connection(), last)? {
            each(&answer)?;
            last = Some(answer.job);
        }
        Ok(())
    }
}

impl Store {
    /// Judges the stored answers again, in list order: `judge` says why one is no result, where it is none. Jobs whose
    /// verdict changes become done, or fail, also pending and held ones. The service is not called. `call`, which includes
    /// the rules for answers, replaces the run's. All in one transaction.
    ///
    /// # Errors
    ///
    /// The database cannot be written, and whatever `judge` returns; then nothing was changed.
    pub fn rejudge<E: From<StoreError>>(
        &mut self,
        call: &Call,
        judge: &mut dyn FnMut(&Answered) -> std::result::Result<Option<Failure>, E>,
    ) -> std::result::Result<(), E> {
        let mut counts = self.counts;
        let transaction = self.owner.begin(&self.connection)?;
        let mut last = None;
        while let Some(answer) = next(&transaction, last)? {
            match (answer.is_result, judge(&answer)?) {
                (true, Some(failure)) => {
                    refuse(&transaction, &answer, &failure)?;
                    shift(&mut counts, JobState::Done, JobState::Failed, 1)?;
                }
                (false, None) => {
                    accept(&transaction, &answer)?;
                    shift(&mut counts, answer.state, JobState::Done, 1)?;
                }
                (true, None) | (false, Some(_)) => {}
            }
            last = Some(answer.job);
        }
        transaction
            .execute("UPDATE run SET call = ?1", [to_json(call)])
            .map_err(doing("changing the settings"))?;
        add_counts(&transaction, &self.counts, &counts)?;
        owner::commit(transaction, "committing")?;
        self.counts = counts;
        Ok(())
    }
}

fn next(connection: &Connection, last: Option<i64>) -> Result<Option<Answered>> {
    let found = connection
        .prepare_cached(NEXT)
        .and_then(|mut statement| {
            statement
                .query_row([last.unwrap_or(-1)], answered)
                .optional()
        })
        .map_err(doing("reading the answers"))?;
    let Some((mut answer, file)) = found else {
        return Ok(None);
    };
    if let Some(file) = file {
        answer.body = file.open_for(&answer.path)?;
    }
    Ok(Some(answer))
}

/// An answer, and the file that its body is in, where it is in one.
fn answered(row: &Row<'_>) -> rusqlite::Result<(Answered, Option<Filed>)> {
    let state = state_from_sql(row.get(3)?)?;
    let answer = Answered {
        job: row.get(0)?,
        attempt: row.get(1)?,
        path: path_from_sql(row, 2)?,
        state,
        is_result: state == JobState::Done,
        message: row.get(4)?,
        status: row.get(5)?,
        media_type: row.get(6)?,
        headers: row.get(7)?,
        body: row.get::<_, Vec<u8>>(8)?.into(),
    };
    Ok((
        answer,
        Filed::of([row.get_ref(9)?, row.get_ref(10)?, row.get_ref(11)?])?,
    ))
}

/// A result that is none: it is kept as an answer that was refused, in the database, also where it was in a file. That
/// file stays where it is, and is the user's.
fn refuse(connection: &Connection, answer: &Answered, failure: &Failure) -> Result<()> {
    let body = Some(failure.body.as_slice()).filter(|body| !body.is_empty());
    one(
        connection,
        "UPDATE attempt SET outcome = 'failed', class = ?3, kind = ?4, message = ?5, body = ?6
         WHERE job = ?1 AND number = ?2 AND outcome = 'succeeded'",
        params![
            answer.job,
            answer.attempt,
            failure.class.as_str(),
            failure.kind.as_str(),
            failure.message,
            body
        ],
    )?;
    one(
        connection,
        "INSERT OR REPLACE INTO rejected_response (job, attempt, media_type, headers, body)
         SELECT job, attempt, media_type, headers, ?2 FROM result WHERE job = ?1",
        params![answer.job, Inserted(&answer.body)],
    )?;
    fill(connection, Table::Refused, answer.job, &answer.body)?;
    one(
        connection,
        "DELETE FROM result WHERE job = ?1",
        [answer.job],
    )?;
    one(
        connection,
        "UPDATE work SET state = 3 WHERE job = ?1 AND state = 2",
        [answer.job],
    )
}

/// An answer that was refused and is a result.
fn accept(connection: &Connection, answer: &Answered) -> Result<()> {
    let checksum = answer.body.checksum().map_err(unreadable)?;
    one(
        connection,
        "UPDATE attempt SET outcome = 'succeeded', class = NULL, kind = NULL, message = NULL, body = NULL
         WHERE job = ?1 AND number = ?2 AND outcome IN ('failed', 'throttled')",
        [answer.job, answer.attempt],
    )?;
    one(
        connection,
        "INSERT INTO result (job, attempt, media_type, headers, body, sha256)
         SELECT job, attempt, media_type, headers, body, ?2 FROM rejected_response WHERE job = ?1",
        params![answer.job, checksum.0],
    )?;
    one(
        connection,
        "DELETE FROM rejected_response WHERE job = ?1",
        [answer.job],
    )?;
    one(
        connection,
        "UPDATE work SET state = 2, not_before = NULL WHERE job = ?1 AND state IN (0, 3, 4)",
        [answer.job],
    )
}

fn unreadable(error: std::io::Error) -> StoreError {
    StoreError::Failed {
        doing: "reading an answer",
        source: error.into(),
    }
}

/// Changes exactly one row.
fn one(connection: &Connection, sql: &str, values: impl Params) -> Result<()> {
    connection
        .prepare_cached(sql)
        .and_then(|mut statement| match statement.execute(values)? {
            1 => Ok(()),
            rows => Err(rusqlite::Error::StatementChangedRows(rows)),
        })
        .map_err(doing("judging an answer again"))
}
