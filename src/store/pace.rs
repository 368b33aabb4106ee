//! Stores the limiter's state and the usage between runners, and the flow for other processes.

use std::time::Duration;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::error::{Result, doing};
use super::limit;
use super::statement::{all, execute};
use super::system::now;
use super::values::{milliseconds, moment, path_from_sql};
use super::writer::Store;
use crate::event::Flow;
use crate::governor::{
    Action, Checkpoint, Fault, History, LaneCheckpoint, LaneHistory, LearnedLimits, LimitedBy,
};
use crate::job::{AttemptId, FileName, Money, Price};
use crate::limits::{Cost, PastCharge, Usage};

/// Longest window of a rate, in seconds. Earlier usage no longer counts.
const LONGEST_WINDOW: i64 = 86_400;
/// The lane of a run without a pool, in the usage.
pub(super) const NO_POOL: u32 = 0;
/// Milliseconds in a second.
const SECOND: i64 = 1000;

/// The latest stored state of a runner. Moments are milliseconds since 1970.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RunnerStatus {
    /// Used part of the budgets.
    pub used: Usage,
    /// The dearest known cost of a call.
    pub dearest: Option<Money>,
    /// The service's limits, as far as they were found.
    pub found: LearnedLimits,
    /// The end of the wait that the service asked for.
    pub closed_until: Option<i64>,
    /// A file has succeeded under the present request.
    pub proven: bool,
    /// The limiting reason; its moments are zero.
    pub limited_by: Option<LimitedBy>,
    /// The moment of the limiting reason.
    pub limited_at: Option<i64>,
    /// The earliest moment of the last call.
    pub finish: Option<i64>,
    /// The file that the service refused most often while it accepted others, and the number of refusals.
    pub refused: Option<(FileName, u32)>,
}

impl Store {
    /// Reads the state that earlier runners stored.
    ///
    /// # Errors
    ///
    /// The database cannot be read.
    pub fn past(&self) -> Result<History> {
        let now = now();
        let noted = noted(&self.connection)?;
        let lane = LaneHistory {
            spent: spent(&self.connection, NO_POOL, now)?,
            closed_for: noted
                .closed_until
                .map(|until| milliseconds(until.saturating_sub(now)))
                .filter(|left| !left.is_zero()),
            found: noted.found,
            proven: noted.proven,
        };
        let mut lanes = self.lane_histories()?;
        for pooled in &mut lanes {
            pooled.found.width = lane.found.width;
        }
        if lanes.is_empty() {
            lanes.push(lane);
        }
        Ok(History {
            lanes,
            used: noted.used,
            dearest: noted.dearest,
            stopped_by_guard: stopped_by_guard(&self.connection)?,
        })
    }

    /// Reads the usage of the last day in each lane, oldest first.
    ///
    /// # Errors
    ///
    /// The database cannot be read.
    pub fn spent(&self) -> Result<Vec<Vec<PastCharge>>> {
        let now = now();
        let numbers = self.lanes.iter().map(|lane| lane.number);
        let numbers = numbers.chain(self.lanes.is_empty().then_some(NO_POOL));
        numbers
            .map(|lane| spent(&self.connection, lane, now))
            .collect()
    }

    /// Forgets the wait that the service asked for, and the waits of all jobs, those between polls too.
    ///
    /// # Errors
    ///
    /// The database cannot be written.
    pub fn ignore_wait(&mut self) -> Result<()> {
        self.change("forgetting a wait", |connection| {
            connection.execute_batch(
                "UPDATE limiter_state SET closed_until = NULL;
                 UPDATE lane SET closed_until = NULL;
                 UPDATE work SET not_before = NULL WHERE state = 0 AND not_before > 0;
                 UPDATE work SET not_before = 0 WHERE state = 6;",
            )
        })
    }
}

/// Reads the usage of a lane.
pub(super) fn spent(connection: &Connection, lane: u32, now: i64) -> Result<Vec<PastCharge>> {
    let sql = "SELECT second, calls, bytes, weight FROM usage WHERE lane = ?1 AND second >= ?2 ORDER BY second";
    let values = params![lane, now / SECOND - LONGEST_WINDOW];
    all(connection, sql, values, "reading the usage", |row| {
        // Count usage at the end of its second. A second in the future, written before the clock was set back, is now.
        let begin = row.get::<_, i64>(0)?.saturating_mul(SECOND);
        let end = begin.saturating_add(SECOND);
        Ok(PastCharge {
            ago: milliseconds(now.saturating_sub(end)),
            cost: Cost {
                calls: row.get(1)?,
                bytes: row.get(2)?,
                weight: row.get(3)?,
            },
        })
    })
}

/// Reads the latest stored state.
pub(super) fn noted(connection: &Connection) -> Result<RunnerStatus> {
    let query = "SELECT calls, cost, worked, closed_until, found_rate, found_width, limited_by, limited_at, finish,
                        found_at_once, proven, (SELECT path FROM work JOIN job ON job.id = work.job WHERE work.job = refused_job AND (state < 2 OR state = 6)), refused_times,
                        cost_unknown, dearest
                 FROM limiter_state";
    let row = connection.query_row(query, [], |row| {
        let refused = match row.get_ref(11)? {
            ValueRef::Null => None,
            _ => Some((path_from_sql(row, 11)?, row.get(12)?)),
        };
        Ok(RunnerStatus {
            used: Usage {
                calls: row.get(0)?,
                cost: Money(row.get(1)?),
                unknown: row.get(13)?,
                worked: milliseconds(row.get(2)?),
            },
            dearest: row.get::<_, Option<u64>>(14)?.map(Money),
            closed_until: row.get(3)?,
            found: LearnedLimits {
                rate: row.get(4)?,
                width: row.get(5)?,
                at_once: row.get(9)?,
            },
            proven: row.get(10)?,
            limited_by: row
                .get::<_, Option<String>>(6)?
                .and_then(|line| limit::parse(&line)),
            limited_at: row.get(7)?,
            finish: row.get(8)?,
            refused,
        })
    });
    row.optional()
        .map(Option::unwrap_or_default)
        .map_err(doing("reading the limiter's state"))
}

/// Stores the limiter's state and the flow.
pub(super) fn remember(
    transaction: &Transaction<'_>,
    memory: &Checkpoint,
    flow: &Flow,
    now: i64,
) -> Result<()> {
    let at = |duration: Duration| moment(now, duration);
    let lane = match memory.lanes.as_slice() {
        [lane] => *lane,
        lanes => LaneCheckpoint {
            proven: lanes.iter().any(|lane| lane.proven),
            found: LearnedLimits {
                width: lanes.first().and_then(|lane| lane.found.width),
                ..LearnedLimits::default()
            },
            ..LaneCheckpoint::default()
        },
    };
    let sql = "UPDATE limiter_state SET calls = max(0, calls + ?1), cost = max(0, cost + ?2), worked = worked + ?3,
                      closed_until = ?4, found_rate = ?5, found_width = ?6, limited_by = ?7, limited_at = ?8, finish = ?9,
                      found_at_once = ?10, proven = ?11, refused_job = ?12, refused_times = ?13,
                      cost_unknown = max(0, cost_unknown + ?14), dearest = ?15";
    let values = params![
        memory.used.calls,
        memory.used.cost,
        memory.used.worked.as_millis() as i64,
        lane.closed_for.map(at),
        lane.found.rate,
        lane.found.width,
        limit::format(&flow.why),
        flow.moment.map(|moment| now.saturating_add(moment)),
        flow.finish.map(at),
        lane.found.at_once,
        lane.proven,
        memory.refused.map(|(job, _)| job.0),
        memory.refused.map_or(0, |(_, times)| times),
        memory.used.unknown,
        memory.dearest.map(|dearest| dearest.0),
    ];
    execute(transaction, sql, values, "storing the limiter's state").map(drop)
}

/// Replaces a call's price in the sums.
pub(super) fn replace_price(
    transaction: &Transaction<'_>,
    before: Option<Price>,
    after: Option<Price>,
) -> Result<()> {
    if before == after {
        return Ok(());
    }
    let amount = |price: Option<Price>| price.map_or(0, |price| price.amount.0 as i64);
    let unknown = |price: Option<Price>| i64::from(price.is_some_and(|price| !price.is_known));
    let known = after.filter(|price| price.is_known);
    let sql = "UPDATE limiter_state SET cost = max(0, cost + ?1), cost_unknown = max(0, cost_unknown + ?2),
                      dearest = nullif(max(coalesce(dearest, -1), coalesce(?3, -1)), -1)";
    let values = params![
        amount(after).saturating_sub(amount(before)),
        unknown(after) - unknown(before),
        known.map(|price| price.amount.0),
    ];
    execute(transaction, sql, values, "storing the cost").map(drop)
}

/// Adds to the usage, never in an earlier second than before: setting the clock back must not age it.
pub(super) fn spend(transaction: &Transaction<'_>, lane: u32, cost: &Cost, now: i64) -> Result<()> {
    let sql = "INSERT INTO usage (lane, second, calls, bytes, weight)
               VALUES (?5, max(?1, coalesce((SELECT max(second) FROM usage WHERE lane = ?5), 0)), ?2, ?3, ?4)
               ON CONFLICT (lane, second) DO UPDATE SET calls = calls + excluded.calls, bytes = bytes + excluded.bytes,
                                                  weight = weight + excluded.weight";
    let values = params![now / SECOND, cost.calls, cost.bytes, cost.weight, lane];
    execute(transaction, sql, values, "storing the usage").map(drop)
}

/// Takes an attempt's usage back from the second in which it was claimed.
pub(super) fn give_back(
    transaction: &Transaction<'_>,
    attempt: AttemptId,
    cost: &Cost,
) -> Result<()> {
    let sql = "UPDATE usage SET calls = max(0, calls - ?3), bytes = max(0, bytes - ?4), weight = max(0, weight - ?5)
               WHERE (lane, second) = (SELECT usage.lane, max(second) FROM usage, attempt
                                       WHERE job = ?1 AND number = ?2 AND usage.lane = coalesce(attempt.lane, 0)
                                             AND second <= coalesce(polled, started) / 1000)";
    let AttemptId { job, number } = attempt;
    let values = params![job.0, number, cost.calls, cost.bytes, cost.weight];
    execute(transaction, sql, values, "taking usage back").map(drop)
}

/// Returns true if a guard stopped the last runner because every file would fail the same way.
fn stopped_by_guard(connection: &Connection) -> Result<bool> {
    let last = connection.query_row(
        "SELECT stopped_action = ?1 OR stopped = ?2 FROM runner WHERE ended IS NOT NULL ORDER BY id DESC LIMIT 1",
        [Action::Fix.as_str(), Fault::Quota.as_str()],
        |row| row.get::<_, Option<bool>>(0),
    );
    let last = last.optional().map_err(doing("reading the runners"))?;
    Ok(last.flatten() == Some(true))
}

/// Deletes usage that no longer counts.
pub(super) fn forget_usage(transaction: &Transaction<'_>, now: i64) -> Result<()> {
    let sql = "DELETE FROM usage WHERE second < ?1";
    let oldest = [now / SECOND - LONGEST_WINDOW];
    execute(transaction, sql, oldest, "deleting old usage").map(drop)
}
