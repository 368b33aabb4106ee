//! Settling: what is written of an attempt that has ended, of its job, and of its answer.

use std::time::Duration;

use rusqlite::{Connection, params};

use super::body::{Inserted, Table, fill};
use super::error::{Result, StoreError, doing};
use super::kept::Kept;
use super::types::Settlement;
use super::values::{path_to_sql, state_to_sql};
use crate::job::{Answer, AttemptId, Body, Checksum, FileName, JobState, Outcome, Refused};
use crate::retry::{Next, Record};

/// What is written of an attempt that has ended, and of its job.
#[derive(Debug)]
pub(super) struct Ended<'s> {
    pub(super) attempt: AttemptId,
    /// In the words of the schema, as are the next three.
    pub(super) outcome: &'s str,
    pub(super) class: Option<&'s str>,
    pub(super) kind: Option<&'s str>,
    pub(super) status: Option<u16>,
    pub(super) message: Option<&'s str>,
    /// The beginning of an error's body.
    pub(super) body: Option<&'s [u8]>,
    pub(super) took: Duration,
    pub(super) result: Option<&'s Answer>,
    pub(super) checksum: Option<Checksum>,
    pub(super) refused: Option<&'s Refused>,
    pub(super) next: Next,
    pub(super) record: Record,
}

impl<'s> From<&'s Settlement> for Ended<'s> {
    fn from(settlement: &'s Settlement) -> Self {
        let failure = settlement.outcome.failure();
        let result = match &settlement.outcome {
            Outcome::Succeeded(answer) => Some(answer),
            _ => None,
        };
        Self {
            attempt: settlement.attempt,
            outcome: settlement.outcome.as_str(),
            class: failure.map(|failure| failure.class.as_str()),
            kind: failure.map(|failure| failure.kind.as_str()),
            status: failure.map_or(result.and_then(|answer| answer.status), |failure| {
                failure.status
            }),
            message: failure.map(|failure| failure.message.as_str()),
            body: failure
                .map(|failure| failure.body.as_slice())
                .filter(|body| !body.is_empty()),
            took: settlement.took,
            result,
            checksum: settlement.checksum,
            refused: failure.and_then(|failure| failure.answer.as_deref()),
            next: settlement.next,
            record: settlement.record,
        }
    }
}

/// Settles attempts inside the caller's transaction; the counts are the caller's too.
#[derive(Debug)]
pub(super) struct Settler<'c> {
    connection: &'c Connection,
    job: Kept<'c>,
    attempt: Kept<'c>,
    result: Kept<'c>,
}

impl<'c> Settler<'c> {
    pub(super) fn new(connection: &'c Connection) -> Self {
        Self {
            connection,
            job: Kept::new(
                connection,
                "UPDATE work SET state = ?3, not_before = ?4, charged = ?5, crashes = ?6, generation = ?7
                 WHERE job = ?1 AND attempts = ?2 AND state = 1",
            ),
            attempt: Kept::new(
                connection,
                "UPDATE attempt SET ended = ?3, took = ?4, outcome = ?5, class = ?6, kind = ?7, status = ?8, message = ?9, body = ?10
                 WHERE job = ?1 AND number = ?2 AND outcome IS NULL",
            ),
            result: Kept::new(
                connection,
                "INSERT INTO result (job, attempt, media_type, headers, body, sha256, file, size)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            ),
        }
    }

    /// Settles an attempt, at the moment `now`.
    pub(super) fn settle(&mut self, ended: &Ended<'_>, now: i64) -> Result<JobState> {
        let AttemptId { job, number } = ended.attempt;
        let (state, not_before) = match ended.next {
            Next::Done => (JobState::Done, None),
            Next::Fail => (JobState::Failed, None),
            Next::Hold => (JobState::Held, None),
            Next::Again(Duration::ZERO) => (JobState::Pending, None),
            Next::Again(wait) => (
                JobState::Pending,
                Some(now.saturating_add(wait.as_millis() as i64)),
            ),
        };
        let moved = self.job.get().and_then(|statement| {
            statement.execute(params![
                job.0,
                number,
                state_to_sql(state),
                not_before,
                ended.record.charged,
                ended.record.crashes,
                ended.record.generation
            ])
        });
        let moved = moved.map_err(doing("settling a job"))?;
        let noted = self.attempt.get().and_then(|statement| {
            statement.execute(params![
                job.0,
                number,
                now,
                ended.took.as_millis() as i64,
                ended.outcome,
                ended.class,
                ended.kind,
                ended.status,
                ended.message,
                ended.body,
            ])
        });
        let noted = noted.map_err(doing("settling an attempt"))?;
        if (moved, noted) != (1, 1) {
            return Err(StoreError::Stale { job, number });
        }
        if let Some(answer) = ended.result {
            self.record_result(ended.attempt, answer, ended.checksum)?;
        }
        if let Some(refused) = ended.refused {
            keep_refused(self.connection, ended.attempt, refused)?;
        }
        Ok(state)
    }

    fn record_result(
        &mut self,
        attempt: AttemptId,
        answer: &Answer,
        checksum: Option<Checksum>,
    ) -> Result<()> {
        let checksum = match checksum {
            Some(checksum) => checksum,
            None => answer.body.checksum().map_err(|error| StoreError::Failed {
                doing: "reading a large answer",
                source: error.into(),
            })?,
        };
        // What lies in a file for good is recorded by where that is.
        let (file, nothing) = (answer.body.path().map(FileName::from), Body::default());
        let here = match &file {
            Some(_) => &nothing,
            None => &answer.body,
        };
        let inserted = self.result.get().and_then(|statement| {
            statement.execute(params![
                attempt.job.0,
                attempt.number,
                answer.media_type,
                answer.headers,
                Inserted(here),
                checksum.0,
                file.as_ref().map(path_to_sql),
                file.as_ref().map(|_| answer.body.len())
            ])
        });
        inserted.map_err(doing("recording a result"))?;
        fill(self.connection, Table::Result, attempt.job.0, here)?;
        // An answer that was refused is one of an attempt before.
        if attempt.number > 1 {
            self.connection
                .prepare_cached("DELETE FROM rejected_response WHERE job = ?1")
                .and_then(|mut statement| statement.execute([attempt.job.0]))
                .map_err(doing("recording a result"))?;
        }
        Ok(())
    }
}

fn keep_refused(connection: &Connection, attempt: AttemptId, refused: &Refused) -> Result<()> {
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO rejected_response (job, attempt, media_type, headers, body)
             VALUES (?1, ?2, ?3, ?4, ?5)",
        )
        .and_then(|mut statement| {
            statement.execute(params![
                attempt.job.0,
                attempt.number,
                refused.media_type,
                refused.headers,
                Inserted(&refused.body)
            ])
        })
        .map_err(doing("keeping an answer that is no result"))?;
    fill(connection, Table::Refused, attempt.job.0, &refused.body)
}
