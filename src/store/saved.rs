//! Decodes and records the settlements of a rescue file.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, Row, Transaction};

use super::error::{Result, StoreError, doing};
use super::page::{self, RECORD, TABLES};
use super::record::Record;
use super::settle::{Ended, Settler};
use super::system::now;
use super::values::{path_from_sql, price_from_sql};
use crate::job::{
    Answer, AttemptId, Class, FileName, FileStamp, JobId, JobState, Price, Refused, Step, StepKind,
};
use crate::retry::{self, Next};

/// Returns the statement for the settlements of a rescue file.
pub(super) fn sql() -> String {
    format!(
        "{RECORD}, work.job, attempt.key, attempt.ended, not_before, charged, crashes, generation,
                rejected.media_type, rejected.headers, rejected.body, attempt.source_size, attempt.source_modified,
                attempt.step, attempt.polls, progress.kind, answer.media_type, answer.headers, answer.body,
                attempt.cost, attempt.cost_unknown
         {TABLES} LEFT JOIN rejected_response AS rejected
                      ON rejected.job = work.job AND rejected.attempt = work.attempts
                  LEFT JOIN progress ON progress.job = work.job
                  LEFT JOIN step_answer AS answer ON answer.job = work.job AND answer.attempt = work.attempts
         ORDER BY work.job"
    )
}

/// A settlement. If it cannot be decoded: its job's name, or `None` if the name cannot be decoded either.
pub(super) type Decoded = std::result::Result<Saved, Option<FileName>>;

/// Hands over the settlements of a rescue file. Returns false if it cannot be read to its end.
pub(super) fn each(
    rescue: &Connection,
    each: &mut dyn FnMut(Decoded) -> Result<()>,
) -> Result<bool> {
    let mut statement = rescue
        .prepare(&sql())
        .map_err(doing("reading a rescue file"))?;
    let mut rows = statement
        .query([])
        .map_err(doing("reading a rescue file"))?;
    loop {
        match rows.next() {
            Ok(None) => return Ok(true),
            Ok(Some(row)) => each(Saved::read(row).map_err(|_| path_from_sql(row, 0).ok()))?,
            Err(_) => return Ok(false),
        }
    }
}

/// The longest duration of a call, in milliseconds.
const LONGEST: i64 = u32::MAX as i64;

/// A saved settlement.
pub(super) struct Saved {
    pub(super) attempt: AttemptId,
    pub(super) key: [u8; 16],
    pub(super) record: Record,
    pub(super) step: Step,
    /// The answer of a step that is not the last, and the kind of the next one.
    advanced: Option<(Answer, StepKind)>,
    refused: Option<Refused>,
    source: Option<FileStamp>,
    pub(super) ended: i64,
    pub(super) price: Option<Price>,
    next: Next,
    counted: retry::Record,
}

impl Saved {
    fn read(row: &Row<'_>) -> Result<Self> {
        let record = page::record(row, Path::new(""))?;
        let read = || -> rusqlite::Result<Self> {
            let attempt = AttemptId {
                job: JobId(row.get(17)?),
                number: record.attempts,
            };
            let ended: i64 = row.get(19)?;
            let wait = row
                .get::<_, Option<i64>>(20)?
                .unwrap_or(ended)
                .saturating_sub(ended);
            let (media_type, headers) = (row.get(24)?, row.get(25)?);
            let body: Option<Vec<u8>> = row.get(26)?;
            let polls: Option<u32> = row.get(30)?;
            let step = Step {
                index: row.get(29)?,
                kind: match polls {
                    Some(_) => StepKind::Poll,
                    None => StepKind::Write,
                },
                polls: polls.unwrap_or_default(),
                ..Step::FIRST
            };
            let answer: Option<Vec<u8>> = row.get(34)?;
            let next: Option<String> = row.get(31)?;
            let next = next.and_then(|word| word.parse().ok());
            let (size, modified): (Option<u64>, Option<i64>) = (row.get(27)?, row.get(28)?);
            let source = size
                .zip(modified)
                .map(|(size, modified)| FileStamp { size, modified });
            let advanced = match answer.zip(next) {
                Some((body, next)) => Some((
                    Answer {
                        status: record.status,
                        media_type: row.get(32)?,
                        headers: row.get(33)?,
                        body: body.into(),
                        source,
                        ..Answer::text("")
                    },
                    next,
                )),
                None => None,
            };
            let wait = Duration::from_millis(wait.max(0).unsigned_abs());
            Ok(Self {
                attempt,
                key: row.get(18)?,
                step,
                refused: body.map(|body| Refused {
                    media_type,
                    headers,
                    body: body.into(),
                }),
                source,
                price: price_from_sql(row, 35)?,
                // A time in the future or before 1970 would distort the run's statistics.
                ended: ended.clamp(0, now()),
                next: match record.state {
                    JobState::Done => Next::Done,
                    JobState::Failed => Next::Fail,
                    JobState::Held => Next::Hold,
                    JobState::Waiting if advanced.is_some() => Next::Advance(wait),
                    JobState::Waiting if record.outcome.as_deref() == Some("not_ready") => {
                        Next::Poll(wait)
                    }
                    JobState::Pending
                    | JobState::Waiting
                    | JobState::Running
                    | JobState::Forgotten => Next::Again(wait),
                },
                counted: retry::Record {
                    charged: row.get(21)?,
                    crashes: row.get(22)?,
                    generation: row.get(23)?,
                    ..retry::Record::default()
                },
                advanced,
                record,
            })
        };
        read().map_err(doing("reading a rescue file"))
    }

    /// Returns true if state, outcome and result fit each other, and the state is one that an attempt can lead to.
    pub(super) fn is_whole(&self) -> bool {
        let is_done = self.record.state == JobState::Done;
        is_done == self.record.result.is_some()
            && is_done == (self.record.outcome.as_deref() == Some("succeeded"))
            && self.advanced.is_some() == (self.record.outcome.as_deref() == Some("advanced"))
            && !matches!(self.record.state, JobState::Running | JobState::Forgotten)
    }

    pub(super) fn settle(&self, transaction: &Transaction<'_>, base: &Path) -> Result<JobState> {
        let result = self.record.result.as_ref().map(|stored| {
            Ok::<_, StoreError>(Answer {
                status: self.record.status,
                media_type: stored.media_type.clone(),
                headers: stored.headers.clone(),
                body: stored.open(&self.record.path)?,
                hint: None,
                source: self.source,
            })
        });
        let result = result.transpose()?;
        let took = self.record.took.unwrap_or(0).clamp(0, LONGEST);
        let ended = Ended {
            attempt: self.attempt,
            step: self.step,
            outcome: self.record.outcome.as_deref().unwrap_or_default(),
            class: self.record.class.map(Class::as_str),
            kind: self.record.kind.as_deref(),
            status: self.record.status,
            message: self.record.message.as_deref(),
            body: self.record.error_body.as_deref(),
            took: Duration::from_millis(took.unsigned_abs()),
            result: result.as_ref(),
            advanced: (self.advanced.as_ref()).map(|(answer, next)| (answer, *next)),
            checksum: None,
            refused: self.refused.as_ref(),
            price: self.price,
            next: self.next,
            record: self.counted,
            binds: self.record.outcome.as_deref() == Some("in_doubt")
                || self.record.status == Some(409),
        };
        Settler::new(transaction, base).settle(&ended, self.ended)
    }
}
