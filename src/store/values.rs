//! Converts names, states and times from and to their stored form.

use std::time::Duration;

use rusqlite::Row;
use rusqlite::types::{ToSqlOutput, ValueRef};

use super::error::{Result, StoreError};
use crate::event::Counts;
use crate::job::{Columns, FileName, JobId, JobState, Money, Position, Price};

/// Stores a name as text if it is UTF-8, so that people can read it, and as a blob otherwise.
pub(super) fn path_to_sql(name: &FileName) -> ToSqlOutput<'_> {
    match name.as_str() {
        Some(text) => ToSqlOutput::from(text),
        None => ToSqlOutput::from(name.as_bytes()),
    }
}

/// Reads a name that may be absent.
pub(super) fn optional_path(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<FileName>> {
    match row.get_ref(column)? {
        ValueRef::Null => Ok(None),
        value => path_of(value, column).map(Some),
    }
}

pub(super) fn path_from_sql(row: &Row<'_>, column: usize) -> rusqlite::Result<FileName> {
    path_of(row.get_ref(column)?, column)
}

pub(super) fn path_of(value: ValueRef<'_>, column: usize) -> rusqlite::Result<FileName> {
    match value {
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Ok(FileName::new(bytes)),
        other => Err(rusqlite::Error::InvalidColumnType(
            column,
            "path".to_owned(),
            other.data_type(),
        )),
    }
}

/// Reads the row that a table gave a job: JSON, or NULL.
pub(super) fn columns_of(value: ValueRef<'_>, column: usize) -> rusqlite::Result<Columns> {
    let Some(fields) = value.as_str_or_null()? else {
        return Ok(Columns::default());
    };
    Columns::read(fields).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(column, value.data_type(), error.into())
    })
}

/// Returns the moment after a time, in milliseconds since 1970.
pub(super) fn moment(now: i64, after: Duration) -> i64 {
    i64::try_from(after.as_millis()).map_or(i64::MAX, |ms| now.saturating_add(ms))
}

pub(super) fn state_to_sql(state: JobState) -> i64 {
    state as i64
}

pub(super) fn state_from_sql(code: i64) -> rusqlite::Result<JobState> {
    let state = usize::try_from(code)
        .ok()
        .and_then(|code| JobState::ALL.get(code).copied());
    state.ok_or(rusqlite::Error::IntegralValueOutOfRange(0, code))
}

/// Reads a price from its column and that of `cost_unknown`, which follows. The latter is NULL if there is no attempt.
pub(super) fn price_from_sql(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Price>> {
    let amount: Option<u64> = row.get(column)?;
    let is_unknown: Option<bool> = row.get(column + 1)?;
    Ok(amount.map(|amount| Price {
        amount: Money(amount),
        is_known: is_unknown != Some(true),
    }))
}

/// Returns milliseconds as a duration; negative ones are zero.
pub(super) fn milliseconds(ms: i64) -> Duration {
    Duration::from_millis(ms.max(0).unsigned_abs())
}

/// Returns a job's place in the list: ids are positions.
pub(super) fn position_of(job: JobId) -> Position {
    Position(job.0.unsigned_abs())
}

/// Moves jobs from one state to another in the counts.
///
/// # Errors
///
/// The counts cannot be right.
pub(super) fn shift(counts: &mut Counts, from: JobState, to: JobState, jobs: u64) -> Result<()> {
    counts.shift(from, to, jobs).ok_or_else(miscounted)
}

/// Returns the error of counts that cannot be right.
pub(super) fn miscounted() -> StoreError {
    StoreError::Damaged {
        doing: "changing the counts",
        source: "they do not match the jobs".into(),
    }
}

/// Returns a stored type as JSON.
pub(super) fn to_json(value: &impl serde::Serialize) -> String {
    #[expect(
        clippy::expect_used,
        reason = "our types have text keys and serializers that cannot fail"
    )]
    serde_json::to_string(value).expect("settings are JSON")
}
