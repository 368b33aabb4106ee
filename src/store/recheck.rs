//! Reads stored responses to validate them again, and changes the jobs whose verdict changed.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, Params, Row, params};

use super::body::{Filed, Inserted, Table, fill};
use super::counts::{add_counts, read_counts};
use super::error::{Result, StoreError, doing, failed};
use super::owner;
use super::progress;
use super::reader::Reader;
use super::redo::set_aside;
use super::values::{columns_of, path_from_sql, shift, state_from_sql, to_json};
use super::writer::Store;
use crate::job::{Body, Columns, Failure, FileName, JobId, JobState};
use crate::settings::Call;

/// A stored response: a job's result, or the rejected response of its latest attempt.
#[derive(Debug, Clone)]
pub struct StoredResponse {
    job: i64,
    attempt: i64,
    state: JobState,
    /// It is a result that was brought back after a later attempt.
    is_restored: bool,
    /// The job's name.
    pub path: FileName,
    /// The response is the job's result.
    pub is_result: bool,
    /// Why it was rejected.
    pub message: Option<String>,
    /// The HTTP status.
    pub status: Option<u16>,
    /// The `Content-Type` as received.
    pub media_type: Option<String>,
    /// The headers, as a JSON object from lower-case name to value, if they were kept.
    pub headers: Option<String>,
    /// The job's row, if the list is a table.
    pub columns: Columns,
    /// The body.
    pub body: Body,
}

/// Selects the first response after a job. One row a query, so that the caller can change jobs between reads.
const NEXT: &str = "SELECT work.job, attempt.number, job.path, work.state, attempt.message, attempt.status,
            coalesce(result.media_type, rejected.media_type), coalesce(result.headers, rejected.headers),
            coalesce(result.body, rejected.body), result.file, result.size, result.sha256,
            (SELECT fields FROM columns WHERE columns.job = work.job), attempt.number < work.attempts
     FROM work JOIN job ON job.id = work.job
               LEFT JOIN result ON work.state = 2 AND result.job = work.job
               JOIN attempt ON attempt.job = work.job AND attempt.number = coalesce(result.attempt, work.attempts)
               LEFT JOIN rejected_response AS rejected
                   ON work.state IN (0, 3, 4, 6) AND rejected.job = work.job AND rejected.attempt = attempt.number
     WHERE work.job > ?1 AND (result.job IS NOT NULL OR rejected.job IS NOT NULL)
     ORDER BY work.job LIMIT 1";

impl Reader {
    /// Calls `each` with every stored response, in list order.
    ///
    /// # Errors
    ///
    /// The database cannot be read, or `each` fails.
    pub fn responses<E: From<StoreError>>(
        &self,
        each: &mut dyn FnMut(&StoredResponse) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        let mut last = -1;
        while let Some(response) = next(self.connection(), self.base(), last)? {
            each(&response)?;
            last = response.job;
        }
        Ok(())
    }
}

impl Store {
    /// Validates the stored responses again, in list order and in one transaction. `validate` returns why a response is
    /// rejected. A done job whose response is now rejected fails. A pending, failed or held job whose response is now
    /// accepted becomes done. Sends nothing. `call`, with the criteria that `validate` applies, replaces the run's `call`.
    ///
    /// # Errors
    ///
    /// The database cannot be written, or `validate` fails; then nothing was changed.
    pub fn revalidate<E: From<StoreError>>(
        &mut self,
        call: &Call,
        validate: &mut dyn FnMut(&StoredResponse) -> std::result::Result<Option<Failure>, E>,
    ) -> std::result::Result<(), E> {
        let transaction = self.owner.begin(&self.connection)?;
        let before = read_counts(&transaction)?;
        let mut counts = before;
        let mut last = -1;
        while let Some(response) = next(&transaction, &self.base, last)? {
            match (response.is_result, validate(&response)?) {
                (true, Some(failure)) => {
                    reject(&transaction, &response, &failure)?;
                    shift(&mut counts, JobState::Done, JobState::Failed, 1)?;
                }
                (false, None) => {
                    accept(&transaction, &response)?;
                    shift(&mut counts, response.state, JobState::Done, 1)?;
                }
                (true, None) | (false, Some(_)) => {}
            }
            last = response.job;
        }
        transaction
            .execute("UPDATE run SET call = ?1", [to_json(call)])
            .map_err(doing("storing the request"))?;
        add_counts(&transaction, &before, &counts)?;
        owner::commit(transaction, "committing")?;
        self.counts = counts;
        Ok(())
    }
}

fn next(connection: &Connection, base: &Path, last: i64) -> Result<Option<StoredResponse>> {
    let found = connection
        .prepare_cached(NEXT)
        .and_then(|mut statement| {
            statement
                .query_row([last], |row| read(row, base))
                .optional()
        })
        .map_err(doing("reading the responses"))?;
    let Some((mut response, file)) = found else {
        return Ok(None);
    };
    if let Some(file) = file {
        response.body = file.open_for(&response.path)?;
    }
    Ok(Some(response))
}

/// Decodes a row: the response, and the reference to the file of its body, if it has one.
fn read(row: &Row<'_>, base: &Path) -> rusqlite::Result<(StoredResponse, Option<Filed>)> {
    let state = state_from_sql(row.get(3)?)?;
    let response = StoredResponse {
        job: row.get(0)?,
        attempt: row.get(1)?,
        path: path_from_sql(row, 2)?,
        state,
        is_restored: row.get(13)?,
        is_result: state == JobState::Done,
        message: row.get(4)?,
        status: row.get(5)?,
        media_type: row.get(6)?,
        headers: row.get(7)?,
        columns: columns_of(row.get_ref(12)?, 12)?,
        body: row.get::<_, Vec<u8>>(8)?.into(),
    };
    Ok((
        response,
        Filed::from_columns([row.get_ref(9)?, row.get_ref(10)?, row.get_ref(11)?], base)?,
    ))
}

/// Demotes a result to a rejected response, copying its body into the database. The result's own file stays. A result that
/// was brought back is set aside again, because its job's failure is that of the later attempt.
fn reject(connection: &Connection, response: &StoredResponse, failure: &Failure) -> Result<()> {
    let failed = "UPDATE work SET state = 3 WHERE job = ?1 AND state = 2";
    one(connection, failed, [response.job])?;
    if response.is_restored {
        return set_aside(connection, response.job);
    }
    let body = Some(failure.body.as_slice()).filter(|body| !body.is_empty());
    one(
        connection,
        "UPDATE attempt SET outcome = 'failed', class = ?3, kind = ?4, message = ?5, body = ?6
         WHERE job = ?1 AND number = ?2 AND outcome = 'succeeded'",
        params![
            response.job,
            response.attempt,
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
        params![response.job, Inserted(&response.body)],
    )?;
    fill(connection, Table::Refused, response.job, &response.body)?;
    one(
        connection,
        "DELETE FROM result WHERE job = ?1",
        [response.job],
    )
}

/// Promotes a rejected response to the job's result.
fn accept(connection: &Connection, response: &StoredResponse) -> Result<()> {
    let checksum = response.body.checksum();
    let checksum = checksum.map_err(failed("reading a response"))?;
    one(
        connection,
        "UPDATE attempt SET outcome = 'succeeded', class = NULL, kind = NULL, message = NULL, body = NULL
         WHERE job = ?1 AND number = ?2 AND outcome IN ('failed', 'throttled')",
        [response.job, response.attempt],
    )?;
    one(
        connection,
        "INSERT INTO result (job, attempt, media_type, headers, body, sha256)
         SELECT job, attempt, media_type, headers, body, ?2 FROM rejected_response WHERE job = ?1",
        params![response.job, checksum.0],
    )?;
    one(
        connection,
        "DELETE FROM rejected_response WHERE job = ?1",
        [response.job],
    )?;
    one(
        connection,
        "UPDATE work SET state = 2, not_before = NULL WHERE job = ?1 AND state IN (0, 3, 4, 6)",
        [response.job],
    )?;
    progress::end(connection, JobId(response.job))
}

/// Changes exactly one row.
fn one(connection: &Connection, sql: &str, values: impl Params) -> Result<()> {
    connection
        .prepare_cached(sql)
        .and_then(|mut statement| match statement.execute(values)? {
            1 => Ok(()),
            rows => Err(rusqlite::Error::StatementChangedRows(rows)),
        })
        .map_err(doing("validating a response again"))
}
