//! The lanes of a pool: which rows a run has used, and what each has learned. Only a row's number and name are stored, and a
//! hash by which the row is known again.

use rusqlite::{Connection, Transaction, params};

use super::error::Result;
use super::owner;
use super::pace;
use super::reader::Reader;
use super::statement::{all, execute};
use super::system::now;
use super::types::{HeldOfLane, LaneStatus, LaneWork};
use super::values::{milliseconds, moment, path_from_sql, shift, state_from_sql};
use super::writer::Store;
use crate::event::Counts;
use crate::governor::{LaneCheckpoint, LaneHistory, LearnedLimits};
use crate::job::{AttemptId, JobId, JobState, Lane, LaneIdentity};

impl Store {
    /// Uses these rows of a pool as the lanes of this session; none without a pool. A row that an earlier session had keeps
    /// its number. [`Store::start`] holds the jobs that are bound to a row which is gone.
    ///
    /// # Errors
    ///
    /// The database cannot be written.
    pub fn use_lanes(&mut self, rows: &[LaneIdentity]) -> Result<()> {
        let what = "recording the pool's lanes";
        if rows.is_empty() && statuses(&self.connection)?.is_empty() {
            return Ok(());
        }
        let transaction = self.owner.begin(&self.connection)?;
        let old = "UPDATE lane SET present = 0, stopped = NULL, stopped_words = NULL";
        execute(&transaction, old, [], what)?;
        let mut lanes = Vec::with_capacity(rows.len());
        for LaneIdentity { name, hash } in rows {
            let sql = "INSERT INTO lane (identity, name) VALUES (?1, ?2)
                       ON CONFLICT (identity) DO UPDATE SET present = 1";
            execute(&transaction, sql, params![hash, name], what)?;
            let sql = "SELECT number FROM lane WHERE identity = ?1";
            let number = all(&transaction, sql, [hash], what, |row| row.get(0))?;
            lanes.extend(number.into_iter().map(|number| Lane {
                number,
                name: name.clone(),
            }));
        }
        owner::commit(transaction, what)?;
        self.lanes = lanes;
        self.noted_lanes.clear();
        Ok(())
    }

    /// Returns the run's UUID.
    pub fn uuid(&self) -> &[u8; 16] {
        &self.uuid
    }

    /// Returns the lanes of this session; none without a pool.
    pub fn lanes(&self) -> &[Lane] {
        &self.lanes
    }

    /// Reads what earlier sessions left for each lane.
    pub(super) fn lane_histories(&self) -> Result<Vec<LaneHistory>> {
        let now = now();
        let read = |lane: &Lane| {
            let sql = "SELECT found_rate, found_at_once, closed_until, proven FROM lane WHERE number = ?1";
            let history = all(&self.connection, sql, [lane.number], READING, |row| {
                Ok(LaneHistory {
                    spent: Vec::new(),
                    closed_for: row
                        .get::<_, Option<i64>>(2)?
                        .map(|until| milliseconds(until.saturating_sub(now)))
                        .filter(|left| !left.is_zero()),
                    found: LearnedLimits {
                        rate: row.get(0)?,
                        at_once: row.get(1)?,
                        width: None,
                    },
                    proven: row.get(3)?,
                })
            });
            Ok(LaneHistory {
                spent: pace::spent(&self.connection, lane.number, now)?,
                ..history?.into_iter().next().unwrap_or_default()
            })
        };
        self.lanes.iter().map(read).collect()
    }
}

const READING: &str = "reading the pool's lanes";

/// Stores the lanes' states that differ from `noted`.
pub(super) fn remember(
    transaction: &Transaction<'_>,
    lanes: &[Lane],
    states: &[LaneCheckpoint],
    noted: &[LaneCheckpoint],
    now: i64,
) -> Result<()> {
    for (index, (lane, state)) in lanes.iter().zip(states).enumerate() {
        if noted.get(index) == Some(state) {
            continue;
        }
        let sql = "UPDATE lane SET closed_until = ?2, found_rate = ?3, found_at_once = ?4, proven = ?5 WHERE number = ?1";
        let values = params![
            lane.number,
            state.closed_for.map(|left| moment(now, left)),
            state.found.rate,
            state.found.at_once,
            state.proven
        ];
        execute(transaction, sql, values, "storing the lanes' states")?;
    }
    Ok(())
}

/// Adds a group's work to the lanes.
pub(super) fn add_work(
    transaction: &Transaction<'_>,
    lanes: &[Lane],
    work: &[LaneWork],
) -> Result<()> {
    for (lane, work) in lanes.iter().zip(work) {
        if *work != LaneWork::default() {
            let sql =
                "UPDATE lane SET calls = calls + ?2, results = results + ?3 WHERE number = ?1";
            let values = params![lane.number, work.calls, work.results];
            execute(transaction, sql, values, "storing the lanes' work")?;
        }
    }
    Ok(())
}

/// Records why a lane has ended for this session.
pub(super) fn stop(
    transaction: &Transaction<'_>,
    lane: &Lane,
    reason: &str,
    words: &str,
) -> Result<()> {
    let sql = "UPDATE lane SET stopped = ?2, stopped_words = ?3 WHERE number = ?1";
    let values = params![lane.number, reason, words];
    execute(transaction, sql, values, "storing a lane's end").map(drop)
}

impl Reader {
    /// Reads all lanes that the run has used.
    ///
    /// # Errors
    ///
    /// The database cannot be read.
    pub fn lanes(&self) -> Result<Vec<LaneStatus>> {
        statuses(self.connection())
    }
}

fn statuses(connection: &Connection) -> Result<Vec<LaneStatus>> {
    let sql = "SELECT number, name, present, calls, results, found_rate, found_at_once, closed_until, stopped, stopped_words
               FROM lane ORDER BY number";
    all(connection, sql, [], READING, |row| {
        let stopped: Option<String> = row.get(8)?;
        let words: Option<String> = row.get(9)?;
        Ok(LaneStatus {
            lane: Lane {
                number: row.get(0)?,
                name: row.get(1)?,
            },
            is_present: row.get(2)?,
            calls: row.get(3)?,
            results: row.get(4)?,
            found: LearnedLimits {
                rate: row.get(5)?,
                at_once: row.get(6)?,
                width: None,
            },
            closed_until: row.get(7)?,
            stopped: stopped.map(|reason| (reason, words.unwrap_or_default())),
        })
    })
}

/// Holds the open jobs that are bound to a lane which is not among `lanes`, those of the session. With lanes, also the waiting
/// ones that are bound to none. Returns the number of jobs.
pub(super) fn hold_gone(
    transaction: &Transaction<'_>,
    counts: &mut Counts,
    lanes: &[Lane],
) -> Result<u64> {
    let known = statuses(transaction)?;
    let mut held = 0;
    for LaneStatus { lane, .. } in known {
        if !lanes.contains(&lane) {
            let reason = format!("the pool has no row for {lane}, which sent it");
            held += hold(transaction, counts, Some(lane.number), &reason)?.len();
        }
    }
    if !lanes.is_empty() {
        let reason = "it was sent before the run had a pool";
        held += hold(transaction, counts, None, reason)?.len();
    }
    Ok(held as u64)
}

/// Holds the open jobs that are bound to a lane which no longer exists, or the waiting ones that are bound to none. `retry --held` begins them anew, in any lane. `reason`
/// becomes part of their last attempts' messages.
pub(super) fn hold(
    transaction: &Transaction<'_>,
    counts: &mut Counts,
    lane: Option<u32>,
    reason: &str,
) -> Result<Vec<HeldOfLane>> {
    let what = "holding files of a lane";
    let sql = match lane {
        Some(_) => {
            "SELECT work.job, attempts, path, state FROM work JOIN job ON job.id = work.job
             WHERE lane = ?1 AND lane IS NOT NULL AND (state = 0 OR state = 6)"
        }
        None => {
            "SELECT work.job, attempts, path, state FROM work JOIN job ON job.id = work.job
             WHERE ?1 IS NULL AND lane IS NULL AND state = 6"
        }
    };
    let held = all(transaction, sql, [lane], what, |row| {
        let attempt = AttemptId {
            job: JobId(row.get(0)?),
            number: row.get(1)?,
        };
        Ok(HeldOfLane {
            path: path_from_sql(row, 2)?,
            attempt,
            from: state_from_sql(row.get(3)?)?,
        })
    })?;
    for HeldOfLane { attempt, from, .. } in &held {
        let job = attempt.job.0;
        for sql in [
            "UPDATE work SET state = 4, not_before = NULL, lane = NULL, generation = generation + 1 WHERE job = ?1",
            "DELETE FROM progress WHERE job = ?1",
            "DELETE FROM step_answer WHERE job = ?1",
        ] {
            execute(transaction, sql, [job], what)?;
        }
        let sql = "UPDATE attempt SET message = coalesce(message || '; ', '') || ?3 WHERE job = ?1 AND number = ?2";
        execute(transaction, sql, params![job, attempt.number, reason], what)?;
        shift(counts, *from, JobState::Held, 1)?;
    }
    Ok(held)
}
