//! Carries undecoded rows from SQLite to another thread, which decodes them.

use std::path::Path;
use std::sync::Arc;

use rusqlite::Row;
use rusqlite::types::{FromSql, ValueRef};

use super::body::Filed;
use super::error::{Result, StoreError, doing};
use super::record::{Record, Stored};
use super::values::{columns_of, path_of, state_from_sql};
use crate::job::{Checksum, Class, JobState};

/// Number of columns of a page: those of a [`Record`], the row of a list that is a table, and the job's step.
const WIDTH: usize = 20;
/// The index of the row.
const ROW: usize = 17;
/// Columns of a [`Record`] from these tables.
pub(super) const RECORD: &str = "SELECT job.path, work.state, work.attempts, attempt.outcome, attempt.class, attempt.kind, attempt.status,
     attempt.message, attempt.body, attempt.started, attempt.took, result.media_type, result.body, result.sha256,
     result.headers, result.file, result.size";
pub(super) const TABLES: &str = "FROM work JOIN job ON job.id = work.job
     LEFT JOIN result ON result.job = work.job
     LEFT JOIN attempt ON attempt.job = work.job AND attempt.number = coalesce(result.attempt, work.attempts)";

/// Joins the attempt of a job's result, or else its latest one, where the result is not joined. They differ if
/// [`Store::restore`](super::Store::restore) brought an earlier result back.
pub(super) const ATTEMPT: &str = "LEFT JOIN attempt ON attempt.job = work.job AND attempt.number =
     coalesce((SELECT result.attempt FROM result WHERE result.job = work.job), work.attempts)";

/// The outcome for exports: a call that was not made leaves the doubt about the one before it, which had the same key.
const OUTCOME: &str = "CASE WHEN attempt.outcome IN ('not_sent', 'interrupted', 'throttled') AND EXISTS
         (SELECT 1 FROM attempt AS doubt WHERE doubt.job = work.job AND doubt.key = attempt.key AND doubt.outcome = 'in_doubt')
     THEN 'in_doubt' ELSE attempt.outcome END";

/// The step that a job has reached, and the answer of the one before.
const STEP: &str = "coalesce((SELECT step FROM progress WHERE progress.job = work.job), attempt.step),
     (SELECT body FROM step_answer WHERE step_answer.job = work.job AND work.state <> 2 ORDER BY step DESC LIMIT 1)";

/// Returns the statement for whole records without the row of the list. Conditions may follow.
pub(super) fn records() -> String {
    format!("{RECORD}, NULL, {STEP} {TABLES}")
}

/// The same columns without the details of failures.
const DONE: &str = "SELECT job.path, work.state, work.attempts, attempt.outcome, attempt.class, NULL, attempt.status,
     attempt.message, NULL, attempt.started, attempt.took, result.media_type, result.body, result.sha256,
     result.headers, result.file, result.size";
/// The same columns without attempts and headers.
const RESULTS: &str = "SELECT job.path, work.state, work.attempts, NULL, NULL, NULL, NULL,
     NULL, NULL, NULL, NULL, result.media_type, result.body, result.sha256,
     NULL, result.file, result.size";

/// The parts of jobs to load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// The jobs, and the columns of their attempts and results.
    pub projection: Projection,
    /// Their rows, if the list is a table.
    pub columns: bool,
}

/// The columns to load. Skipping unused ones halves the cost of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Projection {
    /// All columns of all jobs.
    Everything,
    /// Done jobs with results and attempts, without kind and the error's body.
    Done,
    /// Done jobs with results, without headers and attempts.
    Results,
}

impl Wanted {
    /// Returns the statement for the jobs that meet these conditions, in list order.
    pub(super) fn sql(self, conditions: &str) -> String {
        let (columns, only) = match self.projection {
            Projection::Everything => (&*RECORD.replacen("attempt.outcome", OUTCOME, 1), ""),
            Projection::Done => (DONE, "work.state = 2 AND "),
            Projection::Results => (RESULTS, "work.state = 2 AND "),
        };
        let step = match self.projection {
            Projection::Everything => STEP,
            Projection::Done => "attempt.step, NULL",
            Projection::Results => "NULL, NULL",
        };
        let row = match self.columns {
            true => "(SELECT fields FROM columns WHERE columns.job = work.job)",
            false => "NULL",
        };
        format!("{columns}, {row}, {step} {TABLES} WHERE {only}{conditions} ORDER BY work.job")
    }
}

/// A page, or a record that is too large for one.
#[derive(Debug)]
pub enum Batch {
    /// Several jobs, undecoded.
    Page(Page),
    /// One large job. Few of them should be in memory at once.
    Large(Box<Record>),
}

/// Size at which a page is full, in bytes.
const PAGE: usize = 128 << 10;
/// Size above which a row goes alone, in bytes.
const LARGE: usize = 1 << 20;

/// A row that begins with the columns of a [`Record`], in SQLite or in a [`Page`].
pub(super) trait Columns {
    fn value(&self, column: usize) -> rusqlite::Result<ValueRef<'_>>;

    fn get<T: FromSql>(&self, column: usize) -> rusqlite::Result<T> {
        let value = self.value(column)?;
        T::column_result(value).map_err(|error| {
            rusqlite::Error::FromSqlConversionFailure(column, value.data_type(), error.into())
        })
    }
}

impl Columns for Row<'_> {
    fn value(&self, column: usize) -> rusqlite::Result<ValueRef<'_>> {
        self.get_ref(column)
    }
}

/// Undecoded jobs with their results. [`Page::each`] decodes them and checks the checksums.
#[derive(Debug)]
pub struct Page {
    /// The folder against which the paths of results in files resolve.
    base: Arc<Path>,
    bytes: Vec<u8>,
    cells: Vec<Cell>,
}

#[derive(Debug, Clone, Copy)]
enum Cell {
    Null,
    Integer(i64),
    Real(f64),
    Text { begin: u32, end: u32 },
    Blob { begin: u32, end: u32 },
}

impl Page {
    pub(super) fn new(base: &Arc<Path>) -> Self {
        Self {
            base: Arc::clone(base),
            bytes: Vec::new(),
            cells: Vec::new(),
        }
    }

    /// Decodes the jobs and passes them on.
    ///
    /// # Errors
    ///
    /// A row cannot be decoded, or `each` fails.
    pub fn each<E: From<StoreError>>(
        &self,
        each: &mut dyn FnMut(Record) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        for cells in self.cells.chunks_exact(WIDTH) {
            let bytes = &self.bytes;
            each(with_columns(&PageRow { bytes, cells }, &self.base)?)?;
        }
        Ok(())
    }

    /// Returns the jobs and leaves an empty page.
    pub(super) fn take(&mut self) -> Self {
        let empty = Self::new(&self.base);
        std::mem::replace(self, empty)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.bytes.len() >= PAGE
    }

    /// Adds a row and returns true, unless it is large.
    pub(super) fn push(&mut self, row: &Row<'_>) -> rusqlite::Result<bool> {
        let before = (self.bytes.len(), self.cells.len());
        for column in 0..WIDTH {
            let value = row.get_ref(column)?;
            if let ValueRef::Text(bytes) | ValueRef::Blob(bytes) = value
                && self.bytes.len() - before.0 + bytes.len() > LARGE
            {
                self.bytes.truncate(before.0);
                self.cells.truncate(before.1);
                return Ok(false);
            }
            let cell = match value {
                ValueRef::Null => Cell::Null,
                ValueRef::Integer(number) => Cell::Integer(number),
                ValueRef::Real(number) => Cell::Real(number),
                ValueRef::Text(bytes) => {
                    let (begin, end) = self.append(bytes);
                    Cell::Text { begin, end }
                }
                ValueRef::Blob(bytes) => {
                    let (begin, end) = self.append(bytes);
                    Cell::Blob { begin, end }
                }
            };
            self.cells.push(cell);
        }
        Ok(true)
    }

    /// Appends bytes and returns their range. A page and a large row together fit into 32 bits.
    fn append(&mut self, bytes: &[u8]) -> (u32, u32) {
        let begin = self.bytes.len() as u32;
        self.bytes.extend_from_slice(bytes);
        (begin, self.bytes.len() as u32)
    }
}

struct PageRow<'p> {
    bytes: &'p [u8],
    cells: &'p [Cell],
}

impl Columns for PageRow<'_> {
    fn value(&self, column: usize) -> rusqlite::Result<ValueRef<'_>> {
        let cell = self.cells.get(column);
        let bytes = |begin: u32, end: u32| &self.bytes[begin as usize..end as usize];
        Ok(
            match *cell.ok_or(rusqlite::Error::InvalidColumnIndex(column))? {
                Cell::Null => ValueRef::Null,
                Cell::Integer(number) => ValueRef::Integer(number),
                Cell::Real(number) => ValueRef::Real(number),
                Cell::Text { begin, end } => ValueRef::Text(bytes(begin, end)),
                Cell::Blob { begin, end } => ValueRef::Blob(bytes(begin, end)),
            },
        )
    }
}

/// Decodes a row of a page.
pub(super) fn with_columns(row: &impl Columns, base: &Path) -> Result<Record> {
    let decode = || {
        let columns = columns_of(row.value(ROW)?, ROW)?;
        let step: Option<u16> = row.get(ROW + 1)?;
        Ok((columns, step.unwrap_or_default(), row.get(ROW + 2)?))
    };
    let (columns, step, handle) = decode().map_err(doing("reading jobs"))?;
    Ok(Record {
        columns,
        step,
        handle,
        ..record(row, base)?
    })
}

/// Decodes a row. Drops a result in the database whose checksum does not match, and marks the record damaged.
pub(super) fn record(row: &impl Columns, base: &Path) -> Result<Record> {
    let (mut record, checksum) =
        unchecked(row, base).map_err(doing("reading the list of files"))?;
    if let (Some(result), Some(checksum)) = (&record.result, checksum)
        && result.file.is_none()
        && Checksum::of(result.body.in_memory().unwrap_or_default()) != checksum
    {
        record.is_damaged = true;
        record.result = None;
    }
    Ok(record)
}

fn unchecked(row: &impl Columns, base: &Path) -> rusqlite::Result<(Record, Option<Checksum>)> {
    let class = match row.value(4)? {
        ValueRef::Null => None,
        word => Class::from_word(word.as_str()?),
    };
    let state = state_from_sql(row.get(1)?)?;
    let result = match row.value(12)? {
        ValueRef::Null => None,
        // It is kept, and comes back with the job.
        _ if state == JobState::Forgotten => None,
        ValueRef::Blob(body) => Some(Stored {
            media_type: row.get(11)?,
            headers: row.get(14)?,
            body: body.into(),
            file: Filed::from_columns([row.value(15)?, row.value(16)?, row.value(13)?], base)?,
        }),
        other => {
            let name = "body".to_owned();
            return Err(rusqlite::Error::InvalidColumnType(
                12,
                name,
                other.data_type(),
            ));
        }
    };
    let record = Record {
        path: path_of(row.value(0)?, 0)?,
        state,
        attempts: row.get(2)?,
        outcome: row.get(3)?,
        class,
        kind: row.get(5)?,
        status: row.get(6)?,
        message: row.get(7)?,
        error_body: row.get(8)?,
        started: row.get(9)?,
        took: row.get(10)?,
        columns: Default::default(),
        step: 0,
        handle: None,
        result,
        is_damaged: false,
    };
    Ok((record, row.get::<Option<[u8; 32]>>(13)?.map(Checksum)))
}
