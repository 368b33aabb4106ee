//! What the governor remembers from one runner to the next, and what tells others how the run fares.

use std::time::Duration;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::error::{Result, doing};
use super::limit;
use super::owner;
use super::system::now;
use super::values::path_from_sql;
use super::writer::Store;
use crate::event::Flow;
use crate::governor::{Action, Found, Memory, Past, Refusal, Why};
use crate::job::{AttemptId, FileName};
use crate::limits::{Cost, Money, Spent, Used};

/// The longest window of a rate: what was spent before it says nothing more.
const LONGEST_WINDOW: i64 = 86_400;
/// Milliseconds in a second.
const SECOND: i64 = 1000;

/// What a runner has noted of its flow.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Noted {
    /// What of the budgets is used.
    pub used: Used,
    /// What was found of the service's limits.
    pub found: Found,
    /// Until when the service asked everybody to wait, in milliseconds since 1970.
    pub closed_until: Option<i64>,
    /// A file has succeeded under the present request.
    pub proven: bool,
    /// What kept the run from going faster; its moments are zero.
    pub limited_by: Option<Why>,
    /// The moment that belongs to it, in milliseconds since 1970.
    pub limited_at: Option<i64>,
    /// When the last file could be called at best, in milliseconds since 1970.
    pub finish: Option<i64>,
    /// The file that the service refused most often while it took others, and how often.
    pub refused: Option<(FileName, u32)>,
}

impl Store {
    /// What earlier runners remembered for this one.
    ///
    /// # Errors
    ///
    /// The database cannot be read.
    pub fn past(&self) -> Result<Past> {
        let now = now();
        let noted = noted(&self.connection)?;
        Ok(Past {
            spent: spent(&self.connection, now)?,
            closed_for: noted
                .closed_until
                .map(|until| milliseconds(until.saturating_sub(now)))
                .filter(|left| !left.is_zero()),
            found: noted.found,
            used: noted.used,
            proven: noted.proven,
            stopped_by_guard: stopped_by_guard(&self.connection)?,
        })
    }

    /// What was spent in the last day, the oldest first.
    ///
    /// # Errors
    ///
    /// The database cannot be read.
    pub fn spent(&self) -> Result<Vec<Spent>> {
        spent(&self.connection, now())
    }

    /// Forgets that the service asked everybody to wait.
    ///
    /// # Errors
    ///
    /// The database cannot be written.
    pub fn ignore_wait(&mut self) -> Result<()> {
        let transaction = self.owner.begin(&self.connection)?;
        transaction
            .execute_batch("UPDATE limiter_state SET closed_until = NULL; UPDATE work SET not_before = NULL WHERE state = 0 AND not_before > 0;")
            .map_err(doing("forgetting a wait"))?;
        owner::commit(transaction, "committing")
    }
}

/// A time that has come is no time.
fn milliseconds(ms: i64) -> Duration {
    Duration::from_millis(ms.max(0).unsigned_abs())
}

fn spent(connection: &Connection, now: i64) -> Result<Vec<Spent>> {
    connection
        .prepare_cached(
            "SELECT second, calls, bytes, weight FROM usage WHERE second >= ?1 ORDER BY second",
        )
        .and_then(|mut statement| {
            let rows = statement.query_map([now / SECOND - LONGEST_WINDOW], |row| {
                // When in its second it was is not known: at its end. A second that is yet to come was written
                // before the clock was put back, and counts as now.
                let begin = row.get::<_, i64>(0)?.saturating_mul(SECOND);
                let end = begin.saturating_add(SECOND - 1);
                Ok(Spent {
                    ago: milliseconds(now.saturating_sub(end)),
                    cost: Cost {
                        calls: row.get(1)?,
                        bytes: row.get(2)?,
                        weight: row.get(3)?,
                    },
                })
            })?;
            rows.collect()
        })
        .map_err(doing("reading what was spent"))
}

/// Reads what the latest runner noted.
pub(super) fn noted(connection: &Connection) -> Result<Noted> {
    let query = "SELECT calls, cost, worked, closed_until, found_rate, found_width, limited_by, limited_at, finish,
                        found_at_once, proven, (SELECT path FROM work JOIN job ON job.id = work.job WHERE work.job = refused_job AND state < 2), refused_times
                 FROM limiter_state";
    let row = connection.query_row(query, [], |row| {
        let refused = match row.get_ref(11)? {
            ValueRef::Null => None,
            _ => Some((path_from_sql(row, 11)?, row.get(12)?)),
        };
        Ok(Noted {
            used: Used {
                calls: row.get(0)?,
                cost: Money(row.get(1)?),
                worked: milliseconds(row.get(2)?),
            },
            closed_until: row.get(3)?,
            found: Found {
                rate: row.get(4)?,
                width: row.get(5)?,
                at_once: row.get(9)?,
            },
            proven: row.get(10)?,
            limited_by: row
                .get::<_, Option<String>>(6)?
                .and_then(|line| limit::read(&line)),
            limited_at: row.get(7)?,
            finish: row.get(8)?,
            refused,
        })
    });
    row.optional()
        .map(Option::unwrap_or_default)
        .map_err(doing("reading the pace"))
}

/// Writes down what the next runner has to know, and what others may want to see.
pub(super) fn remember(
    transaction: &Transaction<'_>,
    memory: &Memory,
    flow: &Flow,
    now: i64,
) -> Result<()> {
    let at = |duration: Duration| {
        i64::try_from(duration.as_millis()).map_or(i64::MAX, |ms| now.saturating_add(ms))
    };
    transaction
        .prepare_cached(
            "UPDATE limiter_state SET calls = max(0, calls + ?1), cost = max(0, cost + ?2), worked = worked + ?3, closed_until = ?4,
                             found_rate = ?5, found_width = ?6, limited_by = ?7, limited_at = ?8, finish = ?9,
                             found_at_once = ?10, proven = ?11, refused_job = ?12, refused_times = ?13",
        )
        .and_then(|mut statement| {
            statement.execute(params![
                memory.used.calls,
                memory.used.cost,
                memory.used.worked.as_millis() as i64,
                memory.closed_for.map(at),
                memory.found.rate,
                memory.found.width,
                limit::line(&flow.why),
                flow.moment.map(|moment| now.saturating_add(moment)),
                flow.finish.map(at),
                memory.found.at_once,
                memory.proven,
                memory.refused.map(|(job, _)| job.0),
                memory.refused.map_or(0, |(_, times)| times),
            ])
        })
        .map_err(doing("remembering the pace"))?;
    Ok(())
}

/// Notes what was spent. Never in an earlier second than before: a clock that was put back must not make it old.
pub(super) fn spend(transaction: &Transaction<'_>, cost: &Cost, now: i64) -> Result<()> {
    transaction
        .prepare_cached(
            "INSERT INTO usage (second, calls, bytes, weight)
             VALUES (max(?1, coalesce((SELECT max(second) FROM usage), 0)), ?2, ?3, ?4)
             ON CONFLICT (second) DO UPDATE SET calls = calls + excluded.calls, bytes = bytes + excluded.bytes,
                                                weight = weight + excluded.weight",
        )
        .and_then(|mut statement| {
            statement.execute(params![now / SECOND, cost.calls, cost.bytes, cost.weight])
        })
        .map_err(doing("noting what was spent"))?;
    Ok(())
}

/// Takes back what an attempt took of the second in which it was claimed.
pub(super) fn give_back(
    transaction: &Transaction<'_>,
    attempt: AttemptId,
    cost: &Cost,
) -> Result<()> {
    transaction
        .prepare_cached(
            "UPDATE usage SET calls = max(0, calls - ?3), bytes = max(0, bytes - ?4), weight = max(0, weight - ?5)
             WHERE second = (SELECT max(second) FROM usage, attempt
                             WHERE job = ?1 AND number = ?2 AND second <= started / 1000)",
        )
        .and_then(|mut statement| {
            let AttemptId { job, number } = attempt;
            statement.execute(params![job.0, number, cost.calls, cost.bytes, cost.weight])
        })
        .map_err(doing("taking back what was spent"))?;
    Ok(())
}

/// Returns true where a guard stopped the last runner: all files looked as if they were refused.
fn stopped_by_guard(connection: &Connection) -> Result<bool> {
    let last = connection.query_row(
        "SELECT stopped_action = ?1 OR stopped = ?2 FROM runner WHERE ended IS NOT NULL ORDER BY id DESC LIMIT 1",
        [Action::Fix.as_str(), Refusal::Quota.as_str()],
        |row| row.get::<_, Option<bool>>(0),
    );
    let last = last.optional().map_err(doing("reading the runners"))?;
    Ok(last.flatten() == Some(true))
}

/// Forgets what was spent too long ago to count.
pub(super) fn forget_usage(transaction: &Transaction<'_>, now: i64) -> Result<()> {
    transaction
        .execute(
            "DELETE FROM usage WHERE second < ?1",
            [now / SECOND - LONGEST_WINDOW],
        )
        .map_err(doing("forgetting what was spent"))?;
    Ok(())
}
