//! The stored counts of jobs and attempts.

use rusqlite::types::FromSql;
use rusqlite::{Connection, Transaction, params};

use super::error::{Result, StoreError, doing};
use super::statement::{execute, value};
use super::values::miscounted;
use crate::event::Counts;
use crate::job::JobState;

/// Reads the counts.
pub(super) fn counts(connection: &Connection) -> Result<Counts> {
    let columns = "SELECT pending, running, done, failed, held, attempts, in_doubt, in_doubt_recovered FROM counts";
    let counts = connection.query_row(columns, [], |row| {
        Ok(Counts {
            total: 0,
            pending: row.get(0)?,
            running: row.get(1)?,
            done: row.get(2)?,
            failed: row.get(3)?,
            held: row.get(4)?,
            attempts: row.get(5)?,
            in_doubt: row.get(6)?,
            in_doubt_recovered: row.get(7)?,
        })
    });
    let counts = counts.map_err(doing("reading the counts"))?;
    let mut states = JobState::ALL.iter().map(|state| counts.of(*state));
    let total = states.try_fold(0, u64::checked_add);
    Ok(Counts {
        total: total.ok_or_else(miscounted)?,
        ..counts
    })
}

/// Returns the number of jobs. Ids have no gaps.
pub(super) fn job_count<T: FromSql>(connection: &Connection) -> Result<T> {
    let sql = "SELECT coalesce(max(id) + 1, 0) FROM job";
    value(connection, sql, "counting the list")
}

/// Checks the total of the counts. Later changes are relative to it, so an error would stay.
pub(super) fn check_total(connection: &Connection, counts: &Counts) -> Result<()> {
    let total: u64 = job_count(connection)?;
    if total == counts.total {
        return Ok(());
    }
    let source = format!(
        "the counts say {} files, and there are {total}",
        counts.total
    );
    Err(StoreError::Damaged {
        doing: "reading the counts",
        source: source.into(),
    })
}

/// Adds the differences between `before` and `after` to the stored counts.
pub(super) fn add_counts(
    transaction: &Transaction<'_>,
    before: &Counts,
    after: &Counts,
) -> Result<()> {
    let change = |count: fn(&Counts) -> u64| count(after).wrapping_sub(count(before)) as i64;
    let sql = "UPDATE counts SET pending = pending + ?1, running = running + ?2, done = done + ?3, failed = failed + ?4,
                      held = held + ?5, attempts = attempts + ?6, in_doubt = in_doubt + ?7,
                      in_doubt_recovered = in_doubt_recovered + ?8";
    let values = params![
        change(|counts| counts.pending),
        change(|counts| counts.running),
        change(|counts| counts.done),
        change(|counts| counts.failed),
        change(|counts| counts.held),
        change(|counts| counts.attempts),
        change(|counts| counts.in_doubt),
        change(|counts| counts.in_doubt_recovered),
    ];
    execute(transaction, sql, values, "updating the counts").map(drop)
}
