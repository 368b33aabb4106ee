//! Settles ended attempts: records the outcome, the job's next state and the answer.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, params};

use super::body::{Inserted, Table, fill};
use super::error::{Result, StoreError, failed};
use super::progress;
use super::statement::{LazyStatement, execute};
use super::types::Settlement;
use super::values::{path_to_sql, state_to_sql};
use crate::job::{
    Answer, AttemptId, Body, Checksum, FileName, JobState, Outcome, Price, Refused, Step, StepKind,
};
use crate::paths;
use crate::retry::{Next, Record};

/// An ended attempt and its job's next state, in the words of the schema.
#[derive(Debug)]
pub(super) struct Ended<'s> {
    pub(super) attempt: AttemptId,
    pub(super) step: Step,
    pub(super) outcome: &'s str,
    pub(super) class: Option<&'s str>,
    pub(super) kind: Option<&'s str>,
    pub(super) status: Option<u16>,
    pub(super) message: Option<&'s str>,
    /// The beginning of an error's body.
    pub(super) body: Option<&'s [u8]>,
    pub(super) took: Duration,
    pub(super) result: Option<&'s Answer>,
    /// The answer of a step that is not the last, and the kind of the next step.
    pub(super) advanced: Option<(&'s Answer, StepKind)>,
    pub(super) checksum: Option<Checksum>,
    pub(super) refused: Option<&'s Refused>,
    pub(super) price: Option<Price>,
    pub(super) next: Next,
    pub(super) record: Record,
    /// The service may know the key: a repeat goes to the same lane.
    pub(super) binds: bool,
}

impl<'s> From<&'s Settlement> for Ended<'s> {
    fn from(settlement: &'s Settlement) -> Self {
        let failure = settlement.outcome.failure();
        let (mut result, mut advanced, mut message) = (None, None, None);
        let mut status = failure.and_then(|failure| failure.status);
        match &settlement.outcome {
            Outcome::Succeeded(answer) => (result, status) = (Some(answer), answer.status),
            Outcome::Advanced { answer, next, .. } => {
                (advanced, status) = (Some((&**answer, *next)), answer.status);
            }
            Outcome::NotReady {
                status: of, words, ..
            } => {
                (message, status) = (Some(words.as_str()), *of);
            }
            _ => {}
        }
        Self {
            attempt: settlement.attempt,
            step: settlement.step,
            outcome: settlement.outcome.as_str(),
            class: failure.map(|failure| failure.class.as_str()),
            kind: failure.map(|failure| failure.kind.as_str()),
            status,
            message: failure.map(|failure| failure.message.as_str()).or(message),
            body: failure
                .map(|failure| failure.body.as_slice())
                .filter(|body| !body.is_empty()),
            took: settlement.took,
            result,
            advanced,
            checksum: settlement.checksum,
            refused: failure.and_then(|failure| failure.answer.as_deref()),
            price: settlement.price,
            next: settlement.next,
            record: settlement.record,
            binds: settlement.binds(),
        }
    }
}

impl Ended<'_> {
    /// Returns true if the job's next step follows, or its poll is repeated: the account knows a handle.
    fn waits(&self) -> bool {
        matches!(self.next, Next::Advance(_) | Next::Poll(_))
    }
}

/// Settles attempts inside the caller's transaction. The caller updates the counts.
#[derive(Debug)]
pub(super) struct Settler<'c> {
    connection: &'c Connection,
    /// The folder against which names resolve.
    base: &'c Path,
    job: LazyStatement<'c>,
    attempt: LazyStatement<'c>,
    result: LazyStatement<'c>,
}

impl<'c> Settler<'c> {
    pub(super) fn new(connection: &'c Connection, base: &'c Path) -> Self {
        Self {
            connection,
            base,
            job: LazyStatement::new(
                connection,
                "UPDATE work SET state = ?3, not_before = ?4, charged = ?5, crashes = ?6, generation = ?7,
                        lane = CASE WHEN ?8 THEN (SELECT lane FROM attempt WHERE job = ?1 AND number = ?2)
                                    WHEN ?7 <> generation THEN NULL ELSE lane END
                 WHERE job = ?1 AND attempts = ?2 AND state = 1",
            ),
            attempt: LazyStatement::new(
                connection,
                "UPDATE attempt SET ended = ?3, took = ?4, outcome = ?5, class = ?6, kind = ?7, status = ?8, message = ?9, body = ?10,
                                    source_size = ?11, source_modified = ?12,
                                    cost = CASE WHEN polls > 1 THEN nullif(coalesce(cost, 0) + coalesce(?14, 0), 0) ELSE ?14 END,
                                    cost_unknown = CASE WHEN polls > 1 THEN cost_unknown + ?15 ELSE ?15 END
                 WHERE job = ?1 AND number = ?2 AND outcome IS NULL AND polls IS ?13",
            ),
            result: LazyStatement::new(
                connection,
                "INSERT INTO result (job, attempt, media_type, headers, body, sha256, file, size)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            ),
        }
    }

    /// Settles an attempt at the time `now`.
    pub(super) fn settle(&mut self, ended: &Ended<'_>, now: i64) -> Result<JobState> {
        let AttemptId { job, number } = ended.attempt;
        let (state, not_before) = match ended.next {
            Next::Done => (JobState::Done, None),
            Next::Fail => (JobState::Failed, None),
            Next::Hold => (JobState::Held, None),
            Next::Again(Duration::ZERO) if !ended.step.is_later() => (JobState::Pending, None),
            Next::Again(wait) | Next::Advance(wait) | Next::Poll(wait) => {
                let state = match ended.step.is_later() || ended.waits() {
                    true => JobState::Waiting,
                    false => JobState::Pending,
                };
                (state, Some(now.saturating_add(wait.as_millis() as i64)))
            }
        };
        let values = params![
            job.0,
            number,
            state_to_sql(state),
            not_before,
            ended.record.charged,
            ended.record.crashes,
            ended.record.generation,
            state != JobState::Done && (ended.binds || ended.step.is_later() || ended.waits())
        ];
        let jobs = self.job.execute(values, "settling a file")?;
        let advanced = ended.advanced.map(|(answer, _)| answer);
        let source = ended.result.or(advanced).and_then(|answer| answer.source);
        let values = params![
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
            source.map(|source| source.size),
            source.map(|source| source.modified),
            Some(ended.step.polls).filter(|polls| *polls > 0),
            ended.price.map(|price| price.amount.0),
            ended.price.is_some_and(|price| !price.is_known),
        ];
        let attempts = self.attempt.execute(values, "settling an attempt")?;
        if (jobs, attempts) != (1, 1) {
            return Err(StoreError::Stale { job, number });
        }
        if let Some(answer) = ended.result {
            self.record_result(ended.attempt, answer, ended.checksum)?;
            if ended.step.is_later() {
                progress::end(self.connection, ended.attempt.job)?;
            }
        }
        let (attempt, step) = (ended.attempt, ended.step.index);
        if let Some((answer, next)) = ended.advanced {
            progress::advance(self.connection, attempt, step, answer, next, now)?;
        }
        if matches!(ended.next, Next::Poll(_)) {
            progress::not_ready(self.connection, attempt.job, step, now)?;
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
        let checksum = checksum.map_or_else(|| answer.body.checksum(), Ok);
        let checksum = checksum.map_err(failed("reading a large answer"))?;
        // A body in a permanent file stays there; its path is recorded.
        let file = answer.body.path();
        let file = file.map(|file| FileName::from(paths::below(self.base, file)));
        let nothing = Body::default();
        let here = match &file {
            Some(_) => &nothing,
            None => &answer.body,
        };
        let values = params![
            attempt.job.0,
            attempt.number,
            answer.media_type,
            answer.headers,
            Inserted(here),
            checksum.0,
            file.as_ref().map(path_to_sql),
            file.as_ref().map(|_| answer.body.len())
        ];
        self.result.execute(values, "recording a result")?;
        fill(self.connection, Table::Result, attempt.job.0, here)?;
        // Only an earlier attempt can have left a rejected response.
        if attempt.number > 1 {
            let sql = "DELETE FROM rejected_response WHERE job = ?1";
            execute(self.connection, sql, [attempt.job.0], "recording a result")?;
        }
        Ok(())
    }
}

fn keep_refused(connection: &Connection, attempt: AttemptId, refused: &Refused) -> Result<()> {
    let values = params![
        attempt.job.0,
        attempt.number,
        refused.media_type,
        refused.headers,
        Inserted(&refused.body)
    ];
    let sql = "INSERT OR REPLACE INTO rejected_response (job, attempt, media_type, headers, body)
               VALUES (?1, ?2, ?3, ?4, ?5)";
    execute(connection, sql, values, "keeping a rejected response")?;
    fill(connection, Table::Refused, attempt.job.0, &refused.body)
}
