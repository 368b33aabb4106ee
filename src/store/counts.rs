//! The stored counts of jobs and attempts.

use rusqlite::types::FromSql;
use rusqlite::{Connection, params};

use super::error::{Result, StoreError, doing};
use super::statement::{execute, value};
use super::values::miscounted;
use crate::event::Counts;
use crate::job::JobState;

/// Reads the counts.
pub(super) fn read_counts(connection: &Connection) -> Result<Counts> {
    let columns = "SELECT pending, running, done, failed, held, forgotten, attempts, in_doubt, in_doubt_recovered, waiting FROM counts";
    let counts = connection
        .prepare_cached(columns)
        .and_then(|mut statement| {
            statement.query_row([], |row| {
                Ok(Counts {
                    total: 0,
                    pending: row.get(0)?,
                    running: row.get(1)?,
                    done: row.get(2)?,
                    failed: row.get(3)?,
                    held: row.get(4)?,
                    forgotten: row.get(5)?,
                    attempts: row.get(6)?,
                    in_doubt: row.get(7)?,
                    in_doubt_recovered: row.get(8)?,
                    waiting: row.get(9)?,
                })
            })
        });
    total(counts.map_err(doing("reading the counts"))?).ok_or_else(miscounted)
}

/// Sets the total to the sum of the states except the forgotten one. Returns `None` if it overflows.
pub(super) fn total(counts: Counts) -> Option<Counts> {
    let states = JobState::ALL.iter();
    let mut states = states.filter(|state| **state != JobState::Forgotten);
    let total = states.try_fold(0, |sum: u64, state| sum.checked_add(counts.of(*state)))?;
    Some(Counts { total, ..counts })
}

/// Returns the number of jobs. Ids have no gaps.
pub(super) fn job_count<T: FromSql>(connection: &Connection) -> Result<T> {
    let sql = "SELECT coalesce(max(id) + 1, 0) FROM job";
    value(connection, sql, "counting the list")
}

/// Checks the sum of the counts. Later changes are relative to it, so an error would stay.
pub(super) fn check_total(connection: &Connection, counts: &Counts) -> Result<()> {
    let listed: u64 = job_count(connection)?;
    if listed == counts.listed() {
        return Ok(());
    }
    let source = format!(
        "the counts say {} files, and there are {listed}",
        counts.listed()
    );
    Err(StoreError::Damaged {
        doing: "reading the counts",
        source: source.into(),
    })
}

/// Adds the differences between `before` and `after` to the stored counts.
pub(super) fn add_counts(connection: &Connection, before: &Counts, after: &Counts) -> Result<()> {
    let change = |count: fn(&Counts) -> u64| count(after).wrapping_sub(count(before)) as i64;
    let sql = "UPDATE counts SET pending = pending + ?1, running = running + ?2, done = done + ?3, failed = failed + ?4,
                      held = held + ?5, attempts = attempts + ?6, in_doubt = in_doubt + ?7,
                      in_doubt_recovered = in_doubt_recovered + ?8, forgotten = forgotten + ?9, waiting = waiting + ?10";
    let values = params![
        change(|counts| counts.pending),
        change(|counts| counts.running),
        change(|counts| counts.done),
        change(|counts| counts.failed),
        change(|counts| counts.held),
        change(|counts| counts.attempts),
        change(|counts| counts.in_doubt),
        change(|counts| counts.in_doubt_recovered),
        change(|counts| counts.forgotten),
        change(|counts| counts.waiting),
    ];
    execute(connection, sql, values, "updating the counts").map(drop)
}
